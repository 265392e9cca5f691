/* The console's back: in whoever serves consoles. A stream that owns the mapping and the port of the one it wraps.
 * SPDX-License-Identifier: MIT */
#include <xenkit/console.h>
#include <xenkit/pipe_stream.h>

#include "base/shared.h"
#include "drivers/console/proto.h"

struct back {
    struct xk_stream stream; /* first */
    xk_alloc alloc;
    struct xk_platform *platform;
    struct xk_stream *inner;
    void *page;
    xk_port port;
};

static int back_read(struct xk_stream *s, void *buf, size_t n)
{
    return xk_stream_read(((struct back *)s)->inner, buf, n);
}

static int back_write(struct xk_stream *s, const void *buf, size_t n)
{
    return xk_stream_write(((struct back *)s)->inner, buf, n);
}

static void back_arm(struct xk_stream *s, unsigned events, struct xk_waiter *w)
{
    xk_stream_arm(((struct back *)s)->inner, events, w);
}

static int back_shutdown(struct xk_stream *s)
{
    (void)s;
    return XK_ENOSYS;
}

static void back_close(struct xk_stream *s)
{
    struct back *b = (struct back *)s;
    xk_alloc alloc = b->alloc;

    xk_stream_close(b->inner);
    if (b->port >= 0)
        xk_evtchn_unbind(b->platform, b->port);
    if (b->page)
        xk_page_unmap(b->platform, b->page, 1);
    xk_free(&alloc, b, sizeof(*b));
}

static const struct xk_stream_ops back_ops = {
    XK_STREAM_VERSION, back_read, back_write, back_arm, back_shutdown, back_close,
};

static int connect_ring(struct back *b, struct xk_loop *loop, xk_domid domid, xk_gref ref, xk_port port)
{
    struct xk_pipe in, out;
    int r = xk_page_map(b->platform, domid, &ref, 1, 0, NULL, &b->page);

    if (r < 0) {
        b->page = NULL;
        return r;
    }
    r = b->port = xk_evtchn_bind(b->platform, domid, port);
    if (r >= 0) /* what the domain writes is what we read */
        r = xk_pipe_init(&in, console_word(b->page, CON_OUT_PROD), console_word(b->page, CON_OUT_CONS),
                         (uint8_t *)b->page + CON_OUT, CON_OUT_SIZE,
                         xk_shared_load32(console_word(b->page, CON_OUT_CONS)));
    if (r == 0)
        r = xk_pipe_init(&out, console_word(b->page, CON_IN_PROD), console_word(b->page, CON_IN_CONS),
                         (uint8_t *)b->page + CON_IN, CON_IN_SIZE,
                         xk_shared_load32(console_word(b->page, CON_IN_PROD)));
    return r < 0 ? r : xk_pipe_stream(&b->alloc, loop, &in, &out, b->port, &b->inner);
}

int xk_console_back_at(const xk_alloc *alloc, struct xk_loop *loop, xk_domid domid, xk_gref ref, xk_port port,
                       struct xk_stream **out)
{
    struct back *b = xk_new(alloc, sizeof(*b));
    int r;

    if (!b)
        return XK_ENOMEM;
    b->stream.ops = &back_ops;
    b->alloc = alloc ? *alloc : *xk_alloc_libc();
    b->platform = xk_loop_platform(loop);
    b->port = -1;
    r = connect_ring(b, loop, domid, ref, port);
    if (r < 0) {
        back_close(&b->stream);
        return r;
    }
    *out = &b->stream;
    return 0;
}

int xk_console_back(const xk_alloc *alloc, struct xk_loop *loop, xk_domid domid, xk_port port, struct xk_stream **out)
{
    return xk_console_back_at(alloc, loop, domid, XK_GREF_CONSOLE, port, out);
}
