/* Event channels and waiting: the kernel keeps all state, this names it. SPDX-License-Identifier: MIT */
#include "platform/stub/private.h"

enum { WAIT_MAX = 64 };

struct stub_port {
    struct xk_list link;
    xk_port port;
};

/* Remembers (r), a port or an error, for the end of the handle. */
static int keep(struct stub *s, struct stub_port *entry, int r)
{
    if (!entry) {
        if (r >= 0)
            stub_call1(XK__STUB_EVT_CLOSE, (uint64_t)r);
        return XK_ENOMEM;
    }
    if (r < 0) {
        xk_free(&s->alloc, entry, sizeof(*entry));
        return r;
    }
    entry->port = r;
    xk_list_add_tail(&s->ports, &entry->link);
    return r;
}

int stub_evtchn_alloc(struct xk_platform *p, xk_domid peer)
{
    struct stub *s = (struct stub *)p;

    return keep(s, xk_new(&s->alloc, sizeof(struct stub_port)), stub_call1(XK__STUB_EVT_ALLOC, peer));
}

int stub_evtchn_bind(struct xk_platform *p, xk_domid peer, xk_port remote)
{
    struct stub *s = (struct stub *)p;

    return keep(s, xk_new(&s->alloc, sizeof(struct stub_port)), stub_call2(XK__STUB_EVT_BIND, peer, (uint64_t)remote));
}

int stub_evtchn_bind_virq(struct xk_platform *p, unsigned virq)
{
    struct stub *s = (struct stub *)p;

    if (virq >= XK_VIRQ_HANDLE) /* Xen has none of ours */
        return virq <= XK_VIRQ_TOOLSTACK ? XK_ENOSYS : XK_EINVAL;
    return keep(s, xk_new(&s->alloc, sizeof(struct stub_port)), stub_call1(XK__STUB_EVT_VIRQ, virq));
}

int stub_evtchn_notify(struct xk_platform *p, xk_port port)
{
    (void)p;
    return stub_call1(XK__STUB_EVT_NOTIFY, (uint64_t)port);
}

int stub_evtchn_pending(struct xk_platform *p)
{
    int32_t port;
    int n;

    (void)p;
    n = (int)stub_call(XK__STUB_WAIT, 0, (uint64_t)(uintptr_t)&port, 1, 0, 0, 0);
    return n == 1 ? port : XK_EAGAIN;
}

int stub_evtchn_unmask(struct xk_platform *p, xk_port port)
{
    (void)p;
    return stub_call1(XK__STUB_EVT_UNMASK, (uint64_t)port);
}

int stub_evtchn_unbind(struct xk_platform *p, xk_port port)
{
    struct stub *s = (struct stub *)p;
    int r = stub_call1(XK__STUB_EVT_CLOSE, (uint64_t)port);

    if (r < 0)
        return r;
    XK_LIST_EACH_SAFE(l, &s->ports)
    {
        struct stub_port *entry = XK_CONTAINER(l, struct stub_port, link);
        if (entry->port == port) {
            xk_list_del(l);
            xk_free(&s->alloc, entry, sizeof(*entry));
        }
    }
    return 0;
}

int stub_evtchn_peer(struct xk_platform *p, xk_port port)
{
    (void)p;
    return stub_call1(XK__STUB_EVT_PEER, (uint64_t)port);
}

void stub_evtchn_fini(struct stub *s)
{
    XK_LIST_EACH_SAFE(l, &s->ports)
    {
        struct stub_port *entry = XK_CONTAINER(l, struct stub_port, link);
        stub_call1(XK__STUB_EVT_CLOSE, (uint64_t)entry->port);
        xk_list_del(l);
        xk_free(&s->alloc, entry, sizeof(*entry));
    }
}

int stub_wait(struct xk_platform *p, xk_time deadline, struct xk_ready *ready, int max)
{
    int32_t ports[WAIT_MAX];
    int n;

    (void)p;
    n = (int)stub_call(XK__STUB_WAIT, deadline < 0 ? 0 : (uint64_t)deadline, (uint64_t)(uintptr_t)ports,
                       (uint64_t)(max < WAIT_MAX ? max : WAIT_MAX), 0, 0, 0);
    for (int i = 0; i < n; i++) {
        ready[i].cookie = NULL;
        ready[i].port = ports[i];
        ready[i].events = XK_READABLE;
    }
    return n;
}
