/* Streams over descriptors. A descriptor is watched only while somebody waits for it, so an idle connection costs no
 * wake-ups; the watch is kept as it is between two waits for the same thing, which saves system calls on the usual
 * path. SPDX-License-Identifier: MIT */
#include <xenkit/socket.h>

#include "base/list.h"

struct socket_stream {
    struct xk_stream stream; /* first */
    xk_alloc alloc;
    struct xk_loop *loop;
    int handle;
    struct xk_fd_watch watch;
    struct xk_waiter *readers, *writers;
};

static unsigned wanted(const struct socket_stream *s)
{
    return (s->readers ? XK_READABLE : 0u) | (s->writers ? XK_WRITABLE : 0u);
}

/* Called after waiters changed. Interest in reading stays armed although nobody waits until an event shows that it is
 * in the way. */
static void update(struct socket_stream *s, int woken)
{
    unsigned want = wanted(s);

    if (!want && s->watch.started && !woken)
        return;
    if (want && s->watch.started && (s->watch.events & want) == want && !woken)
        return;
    if (want)
        (void)!xk_fd_watch_start(s->loop, &s->watch, s->handle, want);
    else
        xk_fd_watch_stop(s->loop, &s->watch);
}

static void on_ready(struct xk_fd_watch *w, unsigned events)
{
    struct socket_stream *s = XK_CONTAINER(w, struct socket_stream, watch);
    struct xk_waiter *waiter = NULL;

    /* Data, or a half-closed peer, that nobody reads: it would come up at every turn while a writer waits. */
    if (events & XK_READABLE && !s->readers && s->watch.events & XK_READABLE)
        update(s, 1);
    if (events & (XK_READABLE | XK_HANGUP) && s->readers)
        waiter = s->readers;
    else if (events & (XK_WRITABLE | XK_HANGUP) && s->writers)
        waiter = s->writers;
    if (!waiter) {
        update(s, 1); /* nobody waits for this: stop watching for it */
        return;
    }
    xk_waiter_cancel(waiter);
    waiter->fn(waiter); /* may close (s); what else is ready is reported again */
}

static int stream_read(struct xk_stream *x, void *buf, size_t n)
{
    return xk_handle_read(((struct socket_stream *)x)->handle, buf, n);
}

static int stream_write(struct xk_stream *x, const void *buf, size_t n)
{
    return xk_handle_write(((struct socket_stream *)x)->handle, buf, n);
}

static void stream_arm(struct xk_stream *x, unsigned events, struct xk_waiter *w)
{
    struct socket_stream *s = (struct socket_stream *)x;

    xk_waiter_arm(events & XK_READABLE ? &s->readers : &s->writers, w);
    update(s, 0);
}

static int stream_shutdown(struct xk_stream *x)
{
    return xk_handle_shutdown_write(((struct socket_stream *)x)->handle);
}

static void stream_close(struct xk_stream *x)
{
    struct socket_stream *s = (struct socket_stream *)x;
    xk_alloc alloc = s->alloc;

    while (s->readers)
        xk_waiter_cancel(s->readers);
    while (s->writers)
        xk_waiter_cancel(s->writers);
    xk_fd_watch_stop(s->loop, &s->watch);
    xk_handle_close(s->handle);
    xk_free(&alloc, s, sizeof(*s));
}

static const struct xk_stream_ops socket_ops = {
    XK_STREAM_VERSION, stream_read, stream_write, stream_arm, stream_shutdown, stream_close,
};

int xk_socket_stream(const xk_alloc *alloc, struct xk_loop *loop, int handle, struct xk_stream **out)
{
    struct socket_stream *s = handle < 0 ? NULL : xk_new(alloc, sizeof(*s));

    if (!s) {
        xk_handle_close(handle);
        return handle < 0 ? XK_EBADF : XK_ENOMEM;
    }
    s->stream.ops = &socket_ops;
    s->alloc = alloc ? *alloc : *xk_alloc_libc();
    s->loop = loop;
    s->handle = handle;
    s->watch.fn = on_ready;
    *out = &s->stream;
    return 0;
}

static void on_accept(struct xk_fd_watch *w, unsigned events)
{
    struct xk_acceptor *a = XK_CONTAINER(w, struct xk_acceptor, watch);

    (void)events;
    a->fn(a);
}

int xk_acceptor_start(struct xk_loop *loop, struct xk_acceptor *a, int handle)
{
    a->watch.fn = on_accept;
    return xk_fd_watch_start(loop, &a->watch, handle, XK_READABLE | XK_EXCLUSIVE);
}

void xk_acceptor_stop(struct xk_loop *loop, struct xk_acceptor *a) { xk_fd_watch_stop(loop, &a->watch); }
