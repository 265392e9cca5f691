/* Xen's own log, for dom0: read by index, so that who reads it again gets only what is new and others read it, too.
 * SPDX-License-Identifier: MIT */
#define __XEN_TOOLS__ 1
#include <errno.h>
#include <string.h>

#include "platform/xen/private.h"

#include <xen/xen.h>

#include <xen/sysctl.h>

static int read_console(struct xen *x, struct xen_sysctl *op, char *text, uint32_t n, uint32_t *index)
{
    struct xen_sysctl_readconsole *c = &op->u.readconsole;

    memset(op, 0, sizeof(*op));
    op->cmd = XEN_SYSCTL_readconsole;
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    c->incremental = 1;
    c->index = *index;
    c->count = n;
    set_xen_guest_handle(c->buffer, text);
    if (xencall1(x->call, __HYPERVISOR_sysctl, (uint64_t)(uintptr_t)op) < 0)
        return errno == EACCES ? XK_ENOSYS : xk__sys_err(errno); /* EACCES: another Xen's sysctl */
    *index = c->index;
    return (int)c->count;
}

int xk_xen_console_read(struct xk_platform *p, uint32_t *index, char *buf, size_t n)
{
    struct xen *x = (struct xen *)p;
    struct xen_sysctl *op = NULL;
    char *text = NULL;
    int r;

    if (strcmp(p->ops->name, "xen") != 0 || !x->call)
        return XK_EPERM;
    if (n > INT32_MAX)
        n = INT32_MAX;
    op = xencall_alloc_buffer(x->call, sizeof(*op));
    text = xencall_alloc_buffer(x->call, n);
    r = op && text ? read_console(x, op, text, (uint32_t)n, index) : XK_ENOMEM;
    if (r > 0)
        memcpy(buf, text, (size_t)r);
    xencall_free_buffer(x->call, text);
    xencall_free_buffer(x->call, op);
    return r;
}
