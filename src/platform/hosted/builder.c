/* What only the control domain may ask of the hosted hypervisor: making domains. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <xenkit/hosted.h>

#include "platform/hosted/private.h"

static int ask_named(struct xk_platform *p, uint32_t op, int32_t a0, int32_t a1, const char *name, int fd)
{
    struct xk__ctl m;

    if (strlen(name) >= sizeof(m.u.name))
        return XK_EINVAL;
    memset(&m, 0, sizeof(m));
    m.op = op;
    m.arg[0] = a0;
    m.arg[1] = a1;
    snprintf(m.u.name, sizeof(m.u.name), "%s", name);
    return hosted_ask((struct hosted *)p, &m, fd, NULL);
}

static int is_hosted(struct xk_platform *p) { return strcmp(p->ops->name, "hosted") == 0; }

static int create(struct xk_platform *p, const char *name, int program, unsigned memory_mib, int lasting, xk_domid *out)
{
    int r = !is_hosted(p) ? XK_ENOSYS : ask_named(p, XK__CTL_CREATE, (int32_t)memory_mib, lasting, name, program);

    if (r < 0)
        return r;
    *out = (xk_domid)r;
    return 0;
}

int xk_hosted_create(struct xk_platform *p, const char *name, int program, unsigned memory_mib, xk_domid *out)
{
    return create(p, name, program, memory_mib, 0, out);
}

int xk_hosted_create_lasting(struct xk_platform *p, const char *name, int program, unsigned memory_mib, xk_domid *out)
{
    return create(p, name, program, memory_mib, 1, out);
}

int xk_hosted_renew(struct xk_platform *p, xk_domid domid, int program, unsigned memory_mib)
{
    return !is_hosted(p) ? XK_ENOSYS : ask_named(p, XK__CTL_RENEW, domid, (int32_t)memory_mib, "", program);
}

int xk_hosted_evtchn_for(struct xk_platform *p, xk_domid domid, xk_domid peer)
{
    return !is_hosted(p) ? XK_ENOSYS : hosted_ask_simple((struct hosted *)p, XK__CTL_EVT_FOR, domid, peer, 0, NULL);
}

int xk_hosted_hand(struct xk_platform *p, xk_domid domid, const char *name, int fd)
{
    return !is_hosted(p) ? XK_ENOSYS : fd < 0 ? XK_EBADF : ask_named(p, XK__CTL_HAND, domid, 0, name, fd);
}

int xk_hosted_built(struct xk_platform *p, xk_domid domid, xk_domid store_peer, xk_port store_port,
                    xk_domid console_peer, xk_port console_port)
{
    struct xk__ctl m;

    if (!is_hosted(p))
        return XK_ENOSYS;
    memset(&m, 0, sizeof(m));
    m.op = XK__CTL_BUILT;
    m.arg[0] = domid;
    m.arg[1] = store_peer;
    m.arg[2] = store_port;
    m.arg[3] = console_peer;
    m.arg[4] = console_port;
    return hosted_ask((struct hosted *)p, &m, -1, NULL);
}
