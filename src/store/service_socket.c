/* A tool's socket: its client is domain 0. SPDX-License-Identifier: MIT */
#include "store/service.h"

enum { ACCEPT_BATCH = 64 };

void xk__socket_output(struct xk__transport *t)
{
    const uint8_t *p;
    size_t n;

    xk__keeper_flush(t->service);
    while ((n = xk_store_conn_output(t->conn, &p)) > 0) {
        int r = xk_stream_write(t->stream, p, n);
        if (r == XK_EAGAIN)
            xk_stream_arm(t->stream, XK_WRITABLE, &t->writer);
        if (r <= 0)
            break; /* a broken connection is seen by the reader */
        xk_store_conn_sent(t->conn, (size_t)r);
    }
}

/* Feeds (n) bytes; what the engine does not take waits in t->left. XK_E... when the connection is to be dropped. */
static int feed(struct xk__transport *t, const uint8_t *p, size_t n)
{
    while (n > 0) {
        long used = xk_store_conn_input(t->conn, p, n);
        if (used < 0)
            return (int)used;
        p += used;
        n -= (size_t)used;
        xk__socket_output(t);
        if (used == 0)
            break;
    }
    return n ? xk_buf_put(&t->left, p, n) : 0;
}

static int feed_left(struct xk__transport *t)
{
    long used;

    while (xk_buf_len(&t->left)) {
        used = xk_store_conn_input(t->conn, xk_buf_head(&t->left), xk_buf_len(&t->left));
        if (used < 0)
            return (int)used;
        xk_buf_take(&t->left, (size_t)used);
        xk__socket_output(t);
        if (used == 0)
            return XK_EAGAIN;
    }
    xk_buf_fini(&t->left); /* an idle connection holds no buffer */
    return 0;
}

void xk__socket_run(struct xk__transport *t)
{
    struct xk_store_service *s = t->service;
    int r;

    if (s->frozen)
        return;
    r = feed_left(t);
    if (r == 0) {
        r = xk_stream_read(t->stream, s->scratch, sizeof(s->scratch));
        if (r == 0)
            r = XK_EGONE;
        if (r > 0)
            r = feed(t, s->scratch, (size_t)r);
    }
    if (r == XK_EPROTO)
        xk__service_say(s, "a client of the socket: a packet whose field len is above 4096; its connection is closed");
    if (r == XK_ECLOSED)
        return; /* by its own request: (t) is gone */
    if (r < 0 && r != XK_EAGAIN)
        xk__transport_close(t);
    else if (!xk_buf_len(&t->left))
        xk_stream_arm(t->stream, XK_READABLE, &t->reader);
    /* else: the engine waits for its output to be fetched; on_writable goes on */
}

static void on_readable(struct xk_waiter *w) { xk__socket_run(XK_CONTAINER(w, struct xk__transport, reader)); }

static void on_writable(struct xk_waiter *w)
{
    struct xk__transport *t = XK_CONTAINER(w, struct xk__transport, writer);

    if (t->service->frozen)
        return;
    xk__socket_output(t);
    if (xk_buf_len(&t->left))
        xk__socket_run(t);
}

struct xk__transport *xk__socket_new(struct xk_store_service *s, int handle)
{
    struct xk_stream *stream;
    struct xk__transport *t;

    if (xk_socket_stream(&s->alloc, s->loop, handle, &stream) < 0)
        return NULL;
    t = xk__transport_new(s, 0, 0);
    if (!t) {
        xk_stream_close(stream);
        return NULL;
    }
    t->fd = handle;
    t->stream = stream;
    t->reader.fn = on_readable;
    t->writer.fn = on_writable;
    xk_buf_init(&t->left, &s->alloc, 0x10000);
    return t;
}

void xk__socket_accept(struct xk_acceptor *a)
{
    struct xk_store_service *s = XK_CONTAINER(a, struct xk_store_service, acceptor);

    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int h = xk_handle_accept(s->listener);
        struct xk__transport *t = h < 0 ? NULL : xk__socket_new(s, h);
        if (!t)
            return;
        xk__socket_run(t); /* the first request is usually there already */
    }
}

void xk__socket_close(struct xk__transport *t)
{
    xk_waiter_cancel(&t->reader);
    xk_waiter_cancel(&t->writer);
    xk_stream_close(t->stream);
    xk_buf_fini(&t->left);
}
