/* A tool's socket: its client is domain 0. SPDX-License-Identifier: MIT */
#include <stdbool.h>

#include <xenkit/store_wire.h>

#include "store/service.h"

enum { ACCEPT_BATCH = 64, HASTY = 8 };

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

/* How many bytes of (n) the engine took. Its answers are sent sooner than by the caller only if it waits for that. */
static long feed(struct xk__transport *t, const uint8_t *p, size_t n)
{
    size_t taken = 0;
    bool sent = false;

    while (taken < n) {
        long used = xk_store_conn_input(t->conn, p + taken, n - taken);
        if (used < 0)
            return used;
        if (used == 0 && sent)
            break;
        taken += (size_t)used;
        sent = taken < n;
        if (sent)
            xk__socket_output(t);
    }
    return (long)taken;
}

/* What came and was not taken before. XK_E... when the connection is to be dropped, XK_EAGAIN: something is left. */
static int feed_left(struct xk__transport *t)
{
    long used = xk_buf_len(&t->left) ? feed(t, xk_buf_head(&t->left), xk_buf_len(&t->left)) : 0;

    if (used < 0)
        return (int)used;
    xk_buf_take(&t->left, (size_t)used);
    if (xk_buf_len(&t->left))
        return XK_EAGAIN;
    xk_buf_fini(&t->left); /* an idle connection holds no buffer */
    return 0;
}

/* The length of the first packet of (n) bytes, if others follow it. */
static size_t first_of_many(const uint8_t *p, size_t n)
{
    struct xk_store_header h;

    if (n < XK_STORE_HEADER_SIZE || xk_store_header_get(&h, p) < 0 || n <= XK_STORE_HEADER_SIZE + h.len)
        return 0;
    return XK_STORE_HEADER_SIZE + h.len;
}

/* A client that has many requests under way sends the next ones soon: so do its next few reads. */
static void expect_more(struct xk__transport *t, const uint8_t *p, size_t n)
{
    if (first_of_many(p, n))
        t->hasty = HASTY;
    else if (t->hasty)
        t->hasty--;
    if (!t->hasty)
        return;
    xk_loop_expect(t->service->loop);
    if (t->service->alone)
        xk_spinner_start(t->service->loop, &t->service->spinner);
}

void xk__socket_settle(struct xk__transport *t)
{
    uint8_t known[4096];

    while (t->owed > 0) {
        int n = xk_handle_read(t->fd, known, t->owed < sizeof(known) ? t->owed : sizeof(known));
        if (n <= 0)
            break; /* cannot be: it was there */
        t->owed -= (size_t)n;
    }
}

/* Of a hasty client what came is looked at first, and taken from the socket when the answers are sent: on taking it
 * Linux would wake the client, who may send again, but waits to receive, once for each message. It is a system call
 * more, which pays while there is no other client to be served meanwhile. */
static int peek(struct xk__transport *t)
{
    int n = xk_handle_peek(t->fd, t->service->scratch, XK__SOCKET_READ);

    t->owed = n > 0 ? (size_t)n : 0;
    return n;
}

static int read_new(struct xk__transport *t)
{
    t->service->alone = t->service->last == t;
    t->service->last = t;
    return t->hasty && t->service->alone ? peek(t) : xk_stream_read(t->stream, t->service->scratch, XK__SOCKET_READ);
}

/* (n) bytes that came; the answer to the first packet of (first) is sent before the others are carried out. */
static int feed_new(struct xk__transport *t, int n, size_t first)
{
    uint8_t *p = t->service->scratch;
    long used = 0, more;

    if (n <= 0)
        return n == 0 ? XK_EGONE : n;
    expect_more(t, p, (size_t)n);
    if (first) {
        used = feed(t, p, first);
        if (used < 0)
            return (int)used;
        if (!t->service->frozen)
            xk__socket_output(t);
    }
    more = feed(t, p + used, (size_t)(n - used));
    if (more < 0)
        return (int)more;
    used += more;
    return used < n ? xk_buf_put(&t->left, p + used, (size_t)(n - used)) : 0;
}

/* After (r) of a feed. @return 0: (t) is gone */
static int goes_on(struct xk__transport *t, int r)
{
    if (r == XK_ECLOSED)
        return 0; /* by its own request */
    if (r == XK_EPROTO)
        xk__service_say(t->service,
                        "a client of the socket: a packet whose field len is above 4096; its connection is closed");
    if (r >= 0 || r == XK_EAGAIN)
        return 1;
    xk__transport_close(t);
    return 0;
}

/* What the engine has to say is sent at the end of the turn, when all connections that had something have been read:
 * then one write to the journal serves them all. */
void xk__socket_run(struct xk__transport *t)
{
    struct xk_store_service *s = t->service;
    int r;

    if (s->frozen)
        return;
    r = feed_left(t);
    if (r == 0) {
        xk__socket_settle(t);
        r = feed_new(t, read_new(t), 0);
    }
    if (!goes_on(t, r)) {
        xk__service_tidy(s);
        return;
    }
    xk__transport_flush(t);
    if (!xk_buf_len(&t->left))
        xk_stream_arm(t->stream, XK_READABLE, &t->reader);
    /* else: the engine waits for its output to be fetched; on_writable goes on */
}

/* Right here a hasty client that is alone is answered: one that gets its answer before it has gone to sleep need not be
 * woken, which takes longer than most requests. Its reader stays armed. If there was nothing, and then there are
 * several requests, they were sent by one call: the client waits already, and the first is answered alone. */
int xk__socket_look(struct xk__transport *t)
{
    struct xk_store_service *s = t->service;
    int n, waits = s->vain;

    if (!t->hasty || !s->alone || s->frozen || xk_buf_len(&t->left) || t->owed)
        return 0;
    n = peek(t);
    s->vain = n <= 0;
    if (n <= 0)
        return 0; /* its end is seen by the reader */
    if (!goes_on(t, feed_new(t, n, waits ? first_of_many(s->scratch, (size_t)n) : 0)) || s->frozen)
        return 1;
    xk__socket_output(t);
    xk__socket_settle(t);
    return 1;
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
    if (t->service->last == t)
        t->service->last = NULL;
    xk__socket_settle(t); /* of what was left in the socket the client would hear as an error */
    xk_waiter_cancel(&t->reader);
    xk_waiter_cancel(&t->writer);
    xk_stream_close(t->stream);
    xk_buf_fini(&t->left);
}
