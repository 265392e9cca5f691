/* Waiting: one poller for ports and for the descriptors that are watched. SPDX-License-Identifier: MIT */
#include "platform/hosted/private.h"

enum { BATCH = 64 };

/* A port's cookie is odd (evtchn.c), a watch's is a pointer to something, hence even. */
static int is_port(const void *cookie) { return (uintptr_t)cookie & 1; }
static xk_port port_number(const void *cookie) { return (xk_port)((uintptr_t)cookie >> 1); }

int hosted_poll_ports(struct hosted *h)
{
    struct xk__poll_event e[BATCH];
    int n = xk__poll_wait(&h->poll, XK_NOW, e, BATCH);

    for (int i = 0; i < n; i++)
        if (is_port(e[i].cookie))
            hosted_evtchn_drain(h, port_number(e[i].cookie));
    return n < 0 ? n : 0;
}

static int take_pending(struct hosted *h, struct xk_ready *ready, int n, int max)
{
    while (n < max) {
        xk_port port = hosted_evtchn_next(h);
        if (port < 0)
            break;
        ready[n++] = (struct xk_ready){NULL, port, 0};
    }
    return n;
}

int hosted_wait(struct xk_platform *p, xk_time deadline, struct xk_ready *ready, int max)
{
    struct hosted *h = (struct hosted *)p;
    struct xk__poll_event e[BATCH];
    int n, got, room = max < BATCH ? max : BATCH;

    for (;;) {
        if (h->queue_head >= 0)
            deadline = XK_NOW; /* something is pending: only look at the descriptors */
        got = xk__poll_wait(&h->poll, deadline, e, room);
        if (got < 0)
            return got;
        n = 0;
        for (int i = 0; i < got; i++) {
            if (is_port(e[i].cookie))
                hosted_evtchn_drain(h, port_number(e[i].cookie));
            else
                ready[n++] = (struct xk_ready){e[i].cookie, -1, e[i].events};
        }
        n = take_pending(h, ready, n, max);
        if (n > 0 || deadline == XK_NOW || (deadline != XK_FOREVER && xk__sys_now() >= deadline))
            return n;
    }
}

int hosted_watch_add(struct xk_platform *p, int handle, unsigned events, void *cookie)
{
    return is_port(cookie) ? XK_EINVAL : xk__poll_add(&((struct hosted *)p)->poll, handle, events, cookie);
}

int hosted_watch_mod(struct xk_platform *p, int handle, unsigned events, void *cookie)
{
    return is_port(cookie) ? XK_EINVAL : xk__poll_mod(&((struct hosted *)p)->poll, handle, events, cookie);
}

int hosted_watch_del(struct xk_platform *p, int handle) { return xk__poll_del(&((struct hosted *)p)->poll, handle); }
