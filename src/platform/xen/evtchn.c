/* Event channels through /dev/xen/evtchn, which masks a port when it gives it out, as the contract has it; and waiting.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <unistd.h>

#include "platform/xen/private.h"

enum { BATCH = 64 };

static int has(struct xen *x, xk_port port)
{
    return port >= 0 && port < XEN_PORTS && (x->mine[port / 64] >> port % 64 & 1);
}

static int keep(struct xen *x, int port)
{
    if (port < 0)
        return errno == ESRCH ? XK_EGONE : errno == ENOSPC ? XK_EMFILE : xk__sys_err(errno);
    if (port >= XEN_PORTS) {
        xenevtchn_unbind(x->evtchn, (evtchn_port_t)port);
        return XK_EMFILE;
    }
    x->mine[port / 64] |= 1ull << port % 64;
    return port;
}

int xen_evtchn_alloc(struct xk_platform *p, xk_domid peer)
{
    struct xen *x = (struct xen *)p;

    return keep(x, xenevtchn_bind_unbound_port(x->evtchn, peer));
}

int xen_evtchn_bind(struct xk_platform *p, xk_domid peer, xk_port remote)
{
    struct xen *x = (struct xen *)p;

    return keep(x, xenevtchn_bind_interdomain(x->evtchn, peer, (evtchn_port_t)remote));
}

int xen_evtchn_bind_virq(struct xk_platform *p, unsigned virq)
{
    struct xen *x = (struct xen *)p;

    if (virq >= XK_VIRQ_HANDLE) /* Xen has none of ours */
        return virq <= XK_VIRQ_TOOLSTACK ? XK_ENOSYS : XK_EINVAL;
    return keep(x, xenevtchn_bind_virq(x->evtchn, virq));
}

int xen_evtchn_notify(struct xk_platform *p, xk_port port)
{
    struct xen *x = (struct xen *)p;

    if (!has(x, port))
        return XK_EINVAL;
    xenevtchn_notify(x->evtchn, (evtchn_port_t)port); /* an unbound port drops it */
    return 0;
}

int xen_evtchn_unmask(struct xk_platform *p, xk_port port)
{
    struct xen *x = (struct xen *)p;

    if (!has(x, port))
        return XK_EINVAL;
    return xenevtchn_unmask(x->evtchn, (evtchn_port_t)port) < 0 ? xk__sys_err(errno) : 0;
}

int xen_evtchn_unbind(struct xk_platform *p, xk_port port)
{
    struct xen *x = (struct xen *)p;

    if (!has(x, port))
        return XK_EINVAL;
    x->mine[port / 64] &= ~(1ull << port % 64);
    return xenevtchn_unbind(x->evtchn, (evtchn_port_t)port) < 0 ? xk__sys_err(errno) : 0;
}

int xen_evtchn_peer(struct xk_platform *p, xk_port port)
{
    struct xen *x = (struct xen *)p;

    return has(x, port) ? xen_port_bound(x, port) : XK_EINVAL;
}

/* The device is non-blocking (open.c): a read of a port that a closed one left behind must not hang. */
int xen_evtchn_pending(struct xk_platform *p)
{
    struct xen *x = (struct xen *)p;
    int port;

    while ((port = xenevtchn_pending(x->evtchn)) >= 0)
        if (has(x, port))
            return port;
    return errno == EAGAIN || errno == EINTR ? XK_EAGAIN : xk__sys_err(errno);
}

/* As many as there is room for by one call, where libxenevtchn gives one; what is left is told of at the next wait. */
static int take_pending(struct xen *x, struct xk_ready *ready, int n, int max)
{
    evtchn_port_t ports[BATCH];
    size_t room = (size_t)(max - n < BATCH ? max - n : BATCH);
    ssize_t got = read(xenevtchn_fd(x->evtchn), ports, room * sizeof(ports[0]));

    for (size_t i = 0; got > 0 && i < (size_t)got / sizeof(ports[0]); i++)
        if (has(x, (xk_port)ports[i]))
            ready[n++] = (struct xk_ready){NULL, (xk_port)ports[i], 0};
    return n;
}

int xen_wait(struct xk_platform *p, xk_time deadline, struct xk_ready *ready, int max)
{
    struct xen *x = (struct xen *)p;
    struct xk__poll_event e[BATCH];
    int n, got, room = max < BATCH ? max : BATCH;

    for (;;) {
        int ports = 0;
        got = xk__poll_wait(&x->poll, deadline, e, room);
        if (got < 0)
            return got;
        n = 0;
        for (int i = 0; i < got; i++)
            if (e[i].cookie == x)
                ports = 1;
            else
                ready[n++] = (struct xk_ready){e[i].cookie, -1, e[i].events};
        if (ports)
            n = take_pending(x, ready, n, max);
        if (n > 0 || deadline == XK_NOW || (deadline != XK_FOREVER && xk__sys_now() >= deadline))
            return n;
    }
}
