/* The few hypercalls that no device offers: the state of a port, and for dom0 what domains there are. By the stable
 * libxencall and Xen's public headers; domctl's version is that of the headers, another Xen answers XK_EACCES.
 * SPDX-License-Identifier: MIT */
#define __XEN_TOOLS__ 1
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/xen/private.h"

#include <xen/xen.h>

#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/sched.h>

enum { STORE_PATIENCE = 5000 }; /* ms */

/* A guest with hardware virtualisation is told by cpuid (Xen 4.13). */
static int domid_by_cpuid(void)
{
    uint32_t leaf, a = 0, b, c, d;

    for (leaf = 0x40000000; leaf < 0x40010000; leaf += 0x100) {
        __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(0));
        if (b == 0x566e6558 && c == 0x65584d4d && d == 0x4d4d566e) /* XenVMMXenVMM */
            break;
    }
    if (leaf >= 0x40010000 || a < leaf + 4)
        return XK_ENODEV;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf + 4), "c"(0));
    return a & 1 << 4 ? (int)c : XK_ENODEV;
}

/* A paravirtual one, such as dom0 mostly is, asks the store for its node "domid": one request and its answer. */
static int domid_by_store(int store)
{
    static const char path[] = "domid";
    uint32_t head[4] = {2, 1, 0, sizeof(path)}; /* XS_READ; xs_wire.h */
    char answer[64];
    int n = 0;

    if (store < 0 || write(store, head, sizeof(head)) != sizeof(head) || write(store, path, sizeof(path)) < 0)
        return XK_ENODEV;
    while (n < (int)sizeof(head) || n < (int)(sizeof(head) + head[3])) {
        struct pollfd p = {.fd = store, .events = POLLIN};
        ssize_t r = poll(&p, 1, STORE_PATIENCE) == 1 ? read(store, answer + n, sizeof(answer) - 1 - (size_t)n) : -1;
        if (r <= 0)
            return XK_ENODEV;
        n += (int)r;
        if (n >= (int)sizeof(head))
            memcpy(head, answer, sizeof(head));
        if (head[3] > sizeof(answer) - 1 - sizeof(head))
            return XK_ENODEV;
    }
    answer[n] = '\0';
    return head[0] == 2 ? atoi(answer + sizeof(head)) : XK_ENODEV;
}

/* Only the control domain has this word in that file. Asking it spares a store that is not there yet. */
static int is_dom0(void)
{
    char text[64] = "";
    int fd = open("/proc/xen/capabilities", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    (void)!read(fd, text, sizeof(text) - 1);
    close(fd);
    return strstr(text, "control_d") != NULL;
}

int xen_find_domid(struct xen *x)
{
    int r = is_dom0() ? 0 : domid_by_cpuid();

    return r >= 0 ? r : domid_by_store(x->store);
}

int xen_port_bound(struct xen *x, xk_port port)
{
    struct evtchn_status *s = x->call ? xencall_alloc_buffer(x->call, sizeof(*s)) : NULL;
    int r;

    if (!s)
        return XK_ENOSYS;
    memset(s, 0, sizeof(*s));
    s->dom = DOMID_SELF;
    s->port = (evtchn_port_t)port;
    r = xencall2(x->call, __HYPERVISOR_event_channel_op, EVTCHNOP_status, (uint64_t)(uintptr_t)s);
    r = r < 0 ? xk__sys_err(errno) : s->status == EVTCHNSTAT_interdomain;
    if (r == XK_EPERM || r == XK_EACCES) /* Linux lets only dom0 make hypercalls */
        r = XK_ENOSYS;
    xencall_free_buffer(x->call, s);
    return r;
}

/* One domctl; (op) comes back filled. */
static int domctl(struct xen *x, struct xen_domctl *op)
{
    struct xen_domctl *buf = x->call ? xencall_alloc_buffer(x->call, sizeof(*buf)) : NULL;
    int r;

    if (!buf)
        return XK_EPERM;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    *buf = *op;
    r = xencall1(x->call, __HYPERVISOR_domctl, (uint64_t)(uintptr_t)buf);
    r = r < 0 ? (errno == ESRCH ? XK_ENOENT : xk__sys_err(errno)) : 0;
    *op = *buf;
    xencall_free_buffer(x->call, buf);
    return r;
}

static uint8_t state_of(uint32_t flags)
{
    return flags & XEN_DOMINF_dying      ? XK_DOMAIN_DYING
           : flags & XEN_DOMINF_shutdown ? XK_DOMAIN_SHUTDOWN
           : flags & XEN_DOMINF_paused   ? XK_DOMAIN_PAUSED
                                         : XK_DOMAIN_RUNNING;
}

static void self_info(struct xen *x, struct xk_domain_info *out)
{
    memset(out, 0, sizeof(*out));
    out->domid = x->domid;
    out->state = XK_DOMAIN_RUNNING;
    snprintf(out->name, sizeof(out->name), "domain-%u", (unsigned)x->domid);
}

/* Xen knows no names: the toolstack keeps them in the store. */
static int get_info(struct xen *x, xk_domid domid, struct xk_domain_info *out)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_getdomaininfo, .domain = domid};
    struct xen_domctl_getdomaininfo *i = &op.u.getdomaininfo;
    int r = domctl(x, &op);

    if (r < 0)
        return r;
    memset(out, 0, sizeof(*out));
    out->domid = i->domain;
    out->state = state_of(i->flags);
    out->reason = (uint8_t)((i->flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask);
    out->cpu_ns = i->cpu_time;
    out->mem_bytes = i->tot_pages * XK_PAGE_SIZE;
    snprintf(out->name, sizeof(out->name), "domain-%u", (unsigned)i->domain);
    return 0;
}

int xen_domain_info(struct xk_platform *p, xk_domid domid, struct xk_domain_info *out)
{
    struct xen *x = (struct xen *)p;
    int r = get_info(x, domid, out);

    if (r == 0 && out->domid != domid) /* Xen gives the next one */
        return XK_ENOENT;
    if ((r == XK_EPERM || r == XK_EACCES) && domid == x->domid) {
        self_info(x, out);
        return 0;
    }
    return r;
}

int xen_domain_next(struct xk_platform *p, xk_domid after, struct xk_domain_info *out)
{
    return get_info((struct xen *)p, (xk_domid)(after + 1), out);
}

static int end_self(struct xen *x, int reason)
{
    (void)x, (void)reason;
    return XK_ENOSYS; /* the domain is a whole Linux: it is for its init to end */
}

int xen_domain_control(struct xk_platform *p, xk_domid domid, int verb, int arg)
{
    static const uint32_t command[] = {[XK_DOMCTL_PAUSE] = XEN_DOMCTL_pausedomain,
                                       [XK_DOMCTL_UNPAUSE] = XEN_DOMCTL_unpausedomain,
                                       [XK_DOMCTL_DESTROY] = XEN_DOMCTL_destroydomain};
    struct xen *x = (struct xen *)p;
    struct xen_domctl op = {.domain = domid};

    if (verb == XK_DOMCTL_SHUTDOWN)
        return domid == x->domid ? end_self(x, arg) : XK_EPERM;
    if (domid == x->domid)
        return XK_EINVAL;
    if (verb == XK_DOMCTL_SET_VIRQ_HANDLER) {
        op.cmd = XEN_DOMCTL_set_virq_handler;
        op.u.set_virq_handler.virq = (uint32_t)arg;
    } else {
        op.cmd = command[verb];
    }
    return domctl(x, &op);
}
