/* The server's transports. A connection is a ring page or a socket; both feed the engine and send what it has ready,
 * in the same round in which the requests came, so a batch costs one notification or one write.
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <xenkit/pipe.h>
#include <xenkit/buf.h>
#include <xenkit/socket.h>
#include <xenkit/store_service.h>

#include "base/list.h"
#include "base/shared.h"

enum { REQ_DATA = 0, RSP_DATA = 1024, REQ_CONS = 2048, REQ_PROD = 2052, RSP_CONS = 2056, RSP_PROD = 2060, RING = 1024 };
enum { FEATURES = 2064, CONNECTION = 2068, ERROR_WORD = 2072 }; /* io/xs_wire.h, struct xenstore_domain_interface */
enum { SOCKET_READ = 16384, ACCEPT_BATCH = 64 };

struct transport {
    struct xk_list link;
    struct xk_store_service *service;
    struct xk_store_conn *conn;
    struct xk_defer flush;
    int ring;
    /* ring */
    xk_domid domid;
    xk_port port;
    void *page;
    struct xk_pipe in, out;
    struct xk_port_watch watch;
    int ignored;
    /* socket */
    struct xk_stream *stream;
    struct xk_waiter reader, writer;
    struct xk_buf left; /* input that the engine did not take yet */
};

struct xk_store_service {
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_platform *platform;
    struct xk_store_server *server;
    struct xk_list transports;
    struct xk_acceptor acceptor;
    int listener;
    int trust;
    xk_port virq;
    struct xk_port_watch virq_watch;
    void (*log)(void *arg, const char *line);
    void *log_arg;
    uint8_t scratch[SOCKET_READ];
};

static void say(struct xk_store_service *s, const char *fmt, ...) XK_PRINTF(2, 3);
static void say(struct xk_store_service *s, const char *fmt, ...)
{
    char line[160];
    va_list ap;

    if (!s->log)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    s->log(s->log_arg, line);
}

static void transport_close(struct transport *t)
{
    struct xk_store_service *s = t->service;

    xk_list_del(&t->link);
    xk_defer_stop(s->loop, &t->flush);
    xk_store_conn_close(t->conn);
    if (t->ring) {
        xk_port_watch_stop(s->loop, &t->watch);
        if (t->port >= 0)
            xk_evtchn_unbind(s->platform, t->port);
        if (t->page)
            xk_page_unmap(s->platform, t->page, 1);
    } else {
        xk_waiter_cancel(&t->reader);
        xk_waiter_cancel(&t->writer);
        xk_stream_close(t->stream);
        xk_buf_fini(&t->left);
    }
    xk_free(&s->alloc, t, sizeof(*t));
}

static struct transport *transport_new(struct xk_store_service *s, int ring, xk_domid domid)
{
    struct transport *t = xk_new(&s->alloc, sizeof(*t));

    if (!t)
        return NULL;
    t->service = s;
    t->ring = ring;
    t->domid = domid;
    t->port = -1;
    t->conn = xk_store_conn_open(s->server, domid, domid == 0 || s->trust, t);
    if (!t->conn) {
        xk_free(&s->alloc, t, sizeof(*t));
        return NULL;
    }
    xk_list_add_tail(&s->transports, &t->link);
    return t;
}

/* --- rings --- */

static volatile uint32_t *word(void *page, size_t at) { return (volatile uint32_t *)(void *)((uint8_t *)page + at); }

/* The guest broke the protocol. It is not served any more, and may read why; its memory and port stay until it dies. */
static void ignore(struct transport *t, uint32_t why)
{
    t->ignored = 1;
    say(t->service, "domain %u: %s; its ring is ignored until it dies", t->domid,
        why == XK_STORE_RING_INDEX ? "a ring index beyond the 1024 bytes of the ring"
                                   : "a packet whose field len is above 4096");
    xk_shared_store32(word(t->page, ERROR_WORD), why);
    xk_port_watch_stop(t->service->loop, &t->watch);
}

/* Requests in, as far as the engine takes them. Returns 1 when something moved. */
static int ring_input(struct transport *t)
{
    uint8_t copy[RING];
    const volatile uint8_t *p;
    int moved = 0;

    while (!xk_store_conn_blocked(t->conn)) {
        int n = xk_pipe_peek(&t->in, &p);
        long used;
        if (n == XK_EPEER)
            ignore(t, XK_STORE_RING_INDEX);
        if (n < 0)
            break;
        xk_shared_copy_out(copy, p, (size_t)n);
        used = xk_store_conn_input(t->conn, copy, (size_t)n);
        if (used < 0) {
            ignore(t, XK_STORE_RING_PROTO);
            break;
        }
        xk_pipe_consume(&t->in, (size_t)used);
        moved |= used > 0;
        if (used < n)
            break;
    }
    return moved;
}

static int ring_output(struct transport *t)
{
    const uint8_t *p;
    int moved = 0;
    size_t n;

    while ((n = xk_store_conn_output(t->conn, &p)) > 0) {
        int r = xk_pipe_write(&t->out, p, n);
        if (r == XK_EPEER)
            ignore(t, XK_STORE_RING_INDEX);
        if (r <= 0)
            break;
        xk_store_conn_sent(t->conn, (size_t)r);
        moved = 1;
    }
    return moved;
}

static void ring_run(struct transport *t)
{
    int moved = 0, once;

    do {
        once = t->ignored ? 0 : ring_input(t);
        once |= t->ignored ? 0 : ring_output(t);
        moved |= once;
    } while (once);
    if (moved)
        xk_evtchn_notify(t->service->platform, t->port);
}

static void on_ring_event(struct xk_port_watch *w) { ring_run(XK_CONTAINER(w, struct transport, watch)); }

static int ring_connect(struct transport *t, xk_port port)
{
    struct xk_store_service *s = t->service;
    xk_gref ref = XK_GREF_STORE;
    int r = xk_page_map(s->platform, t->domid, &ref, 1, 0, NULL, &t->page);

    if (r < 0)
        return r;
    r = t->port = xk_evtchn_bind(s->platform, t->domid, port);
    if (r < 0)
        return r;
    r = xk_pipe_init(&t->in, word(t->page, REQ_PROD), word(t->page, REQ_CONS), (uint8_t *)t->page + REQ_DATA, RING,
                     xk_shared_load32(word(t->page, REQ_CONS)));
    if (r == 0)
        r = xk_pipe_init(&t->out, word(t->page, RSP_PROD), word(t->page, RSP_CONS), (uint8_t *)t->page + RSP_DATA, RING,
                         xk_shared_load32(word(t->page, RSP_PROD)));
    if (r < 0)
        return r;
    xk_shared_store32(word(t->page, FEATURES), xk_store_domain_features(s->server, t->domid));
    xk_shared_store32(word(t->page, CONNECTION), 0);
    xk_shared_store32(word(t->page, ERROR_WORD), XK_STORE_RING_OK);
    t->watch.fn = on_ring_event;
    r = xk_port_watch_start(s->loop, &t->watch, t->port);
    if (r == 0)
        xk_evtchn_notify(s->platform, t->port); /* Linux as domain 0 says nothing before it has heard of its store */
    return r;
}

/* --- sockets --- */

static void socket_output(struct transport *t)
{
    const uint8_t *p;
    size_t n;

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
static int socket_feed(struct transport *t, const uint8_t *p, size_t n)
{
    while (n > 0) {
        long used = xk_store_conn_input(t->conn, p, n);
        if (used < 0)
            return (int)used;
        p += used;
        n -= (size_t)used;
        socket_output(t);
        if (used == 0)
            break;
    }
    return n ? xk_buf_put(&t->left, p, n) : 0;
}

static int socket_feed_left(struct transport *t)
{
    long used;

    while (xk_buf_len(&t->left)) {
        used = xk_store_conn_input(t->conn, xk_buf_head(&t->left), xk_buf_len(&t->left));
        if (used < 0)
            return (int)used;
        xk_buf_take(&t->left, (size_t)used);
        socket_output(t);
        if (used == 0)
            return XK_EAGAIN;
    }
    xk_buf_fini(&t->left); /* an idle connection holds no buffer */
    return 0;
}

static void socket_run(struct transport *t)
{
    struct xk_store_service *s = t->service;
    int r = socket_feed_left(t);

    if (r == 0) {
        r = xk_stream_read(t->stream, s->scratch, sizeof(s->scratch));
        if (r == 0)
            r = XK_EGONE;
        if (r > 0)
            r = socket_feed(t, s->scratch, (size_t)r);
    }
    if (r == XK_EPROTO)
        say(s, "a client of the socket: a packet whose field len is above 4096; its connection is closed");
    if (r < 0 && r != XK_EAGAIN)
        transport_close(t);
    else if (!xk_buf_len(&t->left))
        xk_stream_arm(t->stream, XK_READABLE, &t->reader);
    /* else: the engine waits for its output to be fetched; on_writable goes on */
}

static void on_readable(struct xk_waiter *w) { socket_run(XK_CONTAINER(w, struct transport, reader)); }

static void on_writable(struct xk_waiter *w)
{
    struct transport *t = XK_CONTAINER(w, struct transport, writer);

    socket_output(t);
    if (xk_buf_len(&t->left))
        socket_run(t);
}

static void on_accept(struct xk_acceptor *a)
{
    struct xk_store_service *s = XK_CONTAINER(a, struct xk_store_service, acceptor);

    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int h = xk_handle_accept(s->listener);
        struct xk_stream *stream;
        struct transport *t;
        if (h < 0 || xk_socket_stream(&s->alloc, s->loop, h, &stream) < 0)
            return;
        t = transport_new(s, 0, 0);
        if (!t) {
            xk_stream_close(stream);
            return;
        }
        t->stream = stream;
        t->reader.fn = on_readable;
        t->writer.fn = on_writable;
        xk_buf_init(&t->left, &s->alloc, SOCKET_READ);
        socket_run(t); /* the first request is usually there already */
    }
}

/* --- the engine's side --- */

static void on_flush(struct xk_defer *d)
{
    struct transport *t = XK_CONTAINER(d, struct transport, flush);

    if (t->ring)
        ring_run(t);
    else
        socket_output(t);
}

/* Output of a connection that is not being served at the moment: watch events. */
static void wakeup(void *arg, struct xk_store_conn *conn)
{
    struct xk_store_service *s = arg;
    struct transport *t = xk_store_conn_cookie(conn);

    t->flush.fn = on_flush;
    xk_defer_start(s->loop, &t->flush);
}

static struct transport *ring_of(struct xk_store_service *s, unsigned domid)
{
    XK_LIST_EACH(l, &s->transports)
    {
        struct transport *t = XK_CONTAINER(l, struct transport, link);
        if (t->ring && t->domid == domid)
            return t;
    }
    return NULL;
}

static int connect_domain(struct xk_store_service *s, unsigned domid, uint32_t port)
{
    struct transport *t = ring_of(s, domid);
    int r;

    if (t)
        transport_close(t); /* INTRODUCE of a known domain resets its connection */
    t = transport_new(s, 1, (xk_domid)domid);
    if (!t)
        return XK_ENOMEM;
    r = port > INT32_MAX ? XK_EINVAL : ring_connect(t, (xk_port)port);
    if (r < 0) {
        transport_close(t);
        return r == XK_EGONE ? XK_ENOENT : r == XK_EPERM ? XK_EACCES : r;
    }
    return 0;
}

static int introduce(void *arg, unsigned domid, int64_t gfn, uint32_t port)
{
    (void)gfn; /* the page is grant 1, whatever the toolstack calls it (xenstored maps by grant first, too) */
    return connect_domain(arg, domid, port);
}

static void release(void *arg, unsigned domid)
{
    struct transport *t = ring_of(arg, domid);

    if (t)
        transport_close(t);
}

static uint64_t now(void *arg) { return (uint64_t)xk_now(((struct xk_store_service *)arg)->platform); }

static const struct xk_store_server_ops ops = {
    .version = XK_STORE_SERVER_OPS_VERSION,
    .now = now,
    .introduce = introduce,
    .release = release,
    .wakeup = wakeup,
};

/* Some domain ended: ask after each that is connected. One that is dying is gone for us: on Xen it cannot be freed
 * before we let go of its page. */
static void on_virq(struct xk_port_watch *w)
{
    struct xk_store_service *s = XK_CONTAINER(w, struct xk_store_service, virq_watch);

    XK_LIST_EACH_SAFE(l, &s->transports)
    {
        struct transport *t = XK_CONTAINER(l, struct transport, link);
        struct xk_domain_info info;
        int r;
        if (!t->ring || t->domid == 0)
            continue;
        r = xk_domain_info(s->platform, t->domid, &info);
        if (r == XK_ENOENT || (r == 0 && info.state == XK_DOMAIN_DYING))
            (void)!xk_store_domain_died(s->server, t->domid);
        else if (r == 0 && info.state == XK_DOMAIN_SHUTDOWN)
            (void)!xk_store_domain_shutdown(s->server, t->domid);
    }
}

/* --- life cycle --- */

int xk_store_service_create(const xk_alloc *alloc, struct xk_loop *loop, const struct xk_store_limits *limits,
                            struct xk_store_service **out)
{
    struct xk_store_service *s = xk_new(alloc, sizeof(*s));

    if (!s)
        return XK_ENOMEM;
    s->alloc = alloc ? *alloc : *xk_alloc_libc();
    s->loop = loop;
    s->platform = xk_loop_platform(loop);
    s->listener = s->virq = -1;
    xk_list_init(&s->transports);
    s->server = xk_store_server_create(alloc, &ops, s, limits);
    if (!s->server) {
        xk_free(alloc, s, sizeof(*s));
        return XK_ENOMEM;
    }
    s->virq = xk_evtchn_bind_virq(s->platform, XK_VIRQ_DOM_EXC);
    s->virq_watch.fn = on_virq;
    if (s->virq >= 0)
        (void)!xk_port_watch_start(loop, &s->virq_watch, s->virq);
    *out = s;
    return 0;
}

void xk_store_service_destroy(struct xk_store_service *s)
{
    xk_alloc alloc;

    if (!s)
        return;
    xk_acceptor_stop(s->loop, &s->acceptor);
    XK_LIST_EACH_SAFE(l, &s->transports)
    transport_close(XK_CONTAINER(l, struct transport, link));
    xk_port_watch_stop(s->loop, &s->virq_watch);
    if (s->virq >= 0)
        xk_evtchn_unbind(s->platform, s->virq);
    xk_store_server_destroy(s->server);
    alloc = s->alloc;
    xk_free(&alloc, s, sizeof(*s));
}

int xk_store_service_introduce(struct xk_store_service *s, xk_domid domid, xk_port port)
{
    int r = connect_domain(s, domid, (uint32_t)port);

    if (r == 0 && domid != 0)
        r = xk_store_domain_introduce(s->server, domid);
    return r == XK_EEXIST ? 0 : r;
}

void xk_store_service_set_log(struct xk_store_service *s, void (*fn)(void *arg, const char *line), void *arg)
{
    s->log = fn;
    s->log_arg = arg;
}

void xk_store_service_trust(struct xk_store_service *s, int on) { s->trust = on; }

int xk_store_service_listen(struct xk_store_service *s, int handle)
{
    int r;

    if (s->listener >= 0)
        return XK_EBUSY;
    s->acceptor.fn = on_accept;
    r = xk_acceptor_start(s->loop, &s->acceptor, handle);
    if (r == 0)
        s->listener = handle;
    return r;
}

struct xk_store_server *xk_store_service_server(struct xk_store_service *s) { return s->server; }
