/* A stream over two pipes in shared memory. SPDX-License-Identifier: MIT */
#include <xenkit/pipe_stream.h>

#include "base/list.h"

struct pipe_stream {
    struct xk_stream stream; /* first */
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_pipe in, out;
    struct xk_port_watch watch;
    struct xk_defer notify, wake;
    struct xk_waiter *readers, *writers;
};

static void moved(struct pipe_stream *s, int n)
{
    if (n > 0)
        xk_defer_start(s->loop, &s->notify);
}

static int stream_read(struct xk_stream *x, void *buf, size_t n)
{
    struct pipe_stream *s = (struct pipe_stream *)x;
    int r = xk_pipe_read(&s->in, buf, n);

    moved(s, r);
    return r;
}

static int stream_write(struct xk_stream *x, const void *buf, size_t n)
{
    struct pipe_stream *s = (struct pipe_stream *)x;
    int r = xk_pipe_write(&s->out, buf, n);

    moved(s, r);
    return r;
}

static int can_read(struct pipe_stream *s) { return s->readers && xk_pipe_ready(&s->in) != 0; }
static int can_write(struct pipe_stream *s) { return s->writers && xk_pipe_space(&s->out) != 0; }

static void stream_arm(struct xk_stream *x, unsigned events, struct xk_waiter *w)
{
    struct pipe_stream *s = (struct pipe_stream *)x;

    xk_waiter_arm(events & XK_READABLE ? &s->readers : &s->writers, w);
    if (can_read(s) || can_write(s))
        xk_defer_start(s->loop, &s->wake);
}

static void on_notify(struct xk_defer *d)
{
    struct pipe_stream *s = XK_CONTAINER(d, struct pipe_stream, notify);

    xk_evtchn_notify(xk_loop_platform(s->loop), s->watch.port);
}

/* One waiter at a time: after its call the stream may be gone. */
static void on_wake(struct xk_defer *d)
{
    struct pipe_stream *s = XK_CONTAINER(d, struct pipe_stream, wake);
    struct xk_waiter *w = can_read(s) ? s->readers : can_write(s) ? s->writers : NULL;

    if (!w)
        return;
    xk_waiter_cancel(w);
    if (s->readers || s->writers)
        xk_defer_start(s->loop, &s->wake);
    w->fn(w);
}

static void on_event(struct xk_port_watch *w)
{
    struct pipe_stream *s = XK_CONTAINER(w, struct pipe_stream, watch);

    if (can_read(s) || can_write(s))
        xk_defer_start(s->loop, &s->wake);
}

static int stream_shutdown(struct xk_stream *x)
{
    (void)x;
    return XK_ENOSYS;
}

static void stream_close(struct xk_stream *x)
{
    struct pipe_stream *s = (struct pipe_stream *)x;
    xk_alloc alloc = s->alloc;

    while (s->readers)
        xk_waiter_cancel(s->readers);
    while (s->writers)
        xk_waiter_cancel(s->writers);
    if (s->notify.queued)
        on_notify(&s->notify); /* what was written is to be seen */
    xk_defer_stop(s->loop, &s->notify);
    xk_defer_stop(s->loop, &s->wake);
    xk_port_watch_stop(s->loop, &s->watch);
    xk_free(&alloc, s, sizeof(*s));
}

static const struct xk_stream_ops pipe_stream_ops = {
    XK_STREAM_VERSION, stream_read, stream_write, stream_arm, stream_shutdown, stream_close,
};

int xk_pipe_stream(const xk_alloc *alloc, struct xk_loop *loop, const struct xk_pipe *in, const struct xk_pipe *out,
                   xk_port port, struct xk_stream **result)
{
    struct pipe_stream *s = xk_new(alloc, sizeof(*s));
    int r;

    if (!s)
        return XK_ENOMEM;
    s->stream.ops = &pipe_stream_ops;
    s->alloc = alloc ? *alloc : *xk_alloc_libc();
    s->loop = loop;
    s->in = *in;
    s->out = *out;
    s->notify.fn = on_notify;
    s->wake.fn = on_wake;
    s->watch.fn = on_event;
    r = xk_port_watch_start(loop, &s->watch, port);
    if (r < 0) {
        xk_free(alloc, s, sizeof(*s));
        return r;
    }
    *result = &s->stream;
    return 0;
}
