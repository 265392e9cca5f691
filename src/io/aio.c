/* A ring of file operations on a loop. SPDX-License-Identifier: MIT */
#include <xenkit/aio.h>

#include "base/list.h"

static void set_awaits(struct xk_aio_watch *w)
{
    w->spinner.awaits = xk_aio_under_way(w->aio) ? XK_AWAITS_DEVICE : XK_AWAITS_NOTHING;
}

static void on_readable(struct xk_fd_watch *w, unsigned events)
{
    struct xk_aio_watch *a = XK_CONTAINER(w, struct xk_aio_watch, fd);

    (void)events;
    xk_aio_woken(a->aio);
    set_awaits(a);
}

static int on_spin(struct xk_spinner *s, int sleeping)
{
    struct xk_aio_watch *w = XK_CONTAINER(s, struct xk_aio_watch, spinner);
    struct xk_aio *a = w->aio;
    int n = xk_aio_reap(a);

    if (n == 0)
        n = xk_aio_submit(a) > 0; /* what Linux had no memory for; a call only then */
    if (n == 0 && sleeping)
        n = xk_aio_arm(a);
    set_awaits(w);
    return n > 0;
}

int xk_aio_watch_start(struct xk_loop *loop, struct xk_aio_watch *w, struct xk_aio *a)
{
    int r;

    w->aio = a;
    w->loop = loop;
    w->fd.fn = on_readable;
    w->spinner.fn = on_spin;
    r = xk_fd_watch_start(loop, &w->fd, xk_aio_handle(a), XK_READABLE);
    if (r == 0)
        xk_spinner_start(loop, &w->spinner);
    return r;
}

void xk_aio_watch_stop(struct xk_aio_watch *w)
{
    if (!w->loop)
        return;
    xk_spinner_stop(&w->spinner);
    xk_fd_watch_stop(w->loop, &w->fd);
    w->loop = NULL;
}
