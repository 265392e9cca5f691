/* The store service: the engine on a platform. SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "store/service.h"

enum { LOOKS = 4 }; /* in one round of the loop */

void xk__service_say(struct xk_store_service *s, const char *fmt, ...)
{
    char line[200];
    va_list ap;

    if (!s->log)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    s->log(s->log_arg, line);
}

/* --- transports --- */

void xk__transport_close(struct xk__transport *t)
{
    struct xk_store_service *s = t->service;

    xk_list_del(&t->link);
    xk_defer_stop(s->loop, &t->flush);
    xk_store_conn_close(t->conn);
    if (t->ring)
        xk__ring_close(t);
    else
        xk__socket_close(t);
    t->closed = 1;
    if (!t->busy)
        xk_free(&s->alloc, t, sizeof(*t));
}

struct xk__transport *xk__transport_new(struct xk_store_service *s, int ring, xk_domid domid)
{
    struct xk__transport *t = xk_new(&s->alloc, sizeof(*t));

    if (!t)
        return NULL;
    t->service = s;
    t->ring = ring;
    t->domid = domid;
    t->port = t->fd = -1;
    t->conn = xk_store_conn_open(s->server, domid, domid == 0 || s->trust, t);
    if (!t->conn) {
        xk_free(&s->alloc, t, sizeof(*t));
        return NULL;
    }
    xk_list_add_tail(&s->transports, &t->link);
    return t;
}

struct xk__transport *xk__ring_of(struct xk_store_service *s, unsigned domid)
{
    XK_LIST_EACH(l, &s->transports)
    {
        struct xk__transport *t = XK_CONTAINER(l, struct xk__transport, link);
        if (t->ring && t->domid == domid)
            return t;
    }
    return NULL;
}

/* --- the engine's side --- */

static void on_flush(struct xk_defer *d)
{
    struct xk__transport *t = XK_CONTAINER(d, struct xk__transport, flush);
    struct xk_store_service *s = t->service;

    s->looked = 0;
    if (s->frozen)
        return;
    if (t->ring) {
        xk__keeper_flush(s);
        xk__ring_run(t);
    } else {
        xk__socket_output(t);
        xk__socket_settle(t);
    }
    xk__service_tidy(s);
}

void xk__transport_flush(struct xk__transport *t)
{
    if (!t->flush.queued) /* else it may be for more */
        t->flush.fn = on_flush;
    xk_defer_start(t->service->loop, &t->flush);
}

/* Output of a connection that is not being served at the moment: watch events. */
static void wakeup(void *arg, struct xk_store_conn *conn)
{
    struct xk__transport *t = xk_store_conn_cookie(conn);

    (void)arg;
    if (t && !t->busy) /* no transport: of xk_store_service_do */
        xk__transport_flush(t);
}

static void on_soon(struct xk_defer *d)
{
    struct xk__transport *t = XK_CONTAINER(d, struct xk__transport, flush);
    int ring = t->ring; /* which may be gone afterwards */

    on_flush(d);
    if (!ring && !t->service->frozen)
        xk__socket_run(t);
}

/* A walk over all transports must not serve them itself: a request may close any other one. */
void xk__transport_soon(struct xk__transport *t)
{
    t->flush.fn = on_soon;
    xk_defer_start(t->service->loop, &t->flush);
}

static int connect_domain(struct xk_store_service *s, unsigned domid, uint32_t port)
{
    struct xk__transport *t = xk__ring_of(s, domid);
    int r;

    if (t)
        xk__transport_close(t); /* INTRODUCE of a known domain resets its connection */
    t = xk__transport_new(s, 1, (xk_domid)domid);
    if (!t)
        return XK_ENOMEM;
    r = xk__ring_connect(t, port);
    if (r == 0) {
        struct xk_store_link link = xk__transport_link(t);
        r = xk_store_journal_conn(t->conn, &link);
    }
    if (r == 0)
        r = xk__ring_start(t);
    if (r < 0) {
        xk__transport_close(t);
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
    struct xk__transport *t = xk__ring_of(arg, domid);

    if (t)
        xk__transport_close(t);
}

static uint64_t now(void *arg) { return (uint64_t)xk_now(((struct xk_store_service *)arg)->platform); }

/* Entries of domains that do not exist are of no effect: a later one of that number is another. Where Xen does not tell
 * us, they are taken for alive, as the number may be. */
static int domain_exists(void *arg, unsigned domid)
{
    struct xk_store_service *s = arg;
    struct xk_domain_info info;
    uint8_t *known = &s->alive[domid / 8 % sizeof(s->alive)], bit = (uint8_t)(1 << domid % 8);
    int r;

    if (*known & bit)
        return true; /* nobody died since it was asked; a toolstack names a domain in a dozen nodes before it is
                        introduced */
    r = xk_domain_info(s->platform, (xk_domid)domid, &info);
    if (r == XK_ENOENT || r == XK_EGONE || (r == 0 && info.state == XK_DOMAIN_DYING))
        return false;
    if (r == 0 && s->virq >= 0)
        *known |= bit;
    return true;
}

static int update(void *arg)
{
    struct xk_store_service *s = arg;

    if (!s->update)
        return XK_ENOSYS;
    s->update(s->update_arg);
    return 0;
}

static int permit(void *arg, unsigned domid, uint32_t type, const char *payload, size_t n)
{
    struct xk_store_service *s = arg;

    return s->policy && s->policy->permit ? s->policy->permit(s->policy_arg, domid, type, payload, n) : 0;
}

static void audit(void *arg, unsigned domid, uint32_t type, const char *payload, size_t n, int err)
{
    struct xk_store_service *s = arg;

    if (s->policy && s->policy->audit)
        s->policy->audit(s->policy_arg, domid, type, payload, n, err);
}

static long control(void *arg, const char *words, size_t n, char *out, size_t room)
{
    struct xk_store_service *s = arg;

    return s->policy && s->policy->control ? s->policy->control(s->policy_arg, words, n, out, room) : XK_EINVAL;
}

static void later(void *arg) { ((struct xk_store_service *)arg)->untidy = 1; }

void xk__service_tidy(struct xk_store_service *s)
{
    if (!s->untidy)
        return;
    s->untidy = 0;
    xk_store_server_tidy(s->server);
}

static void log_line(void *arg, const char *text, size_t n) { xk__service_say(arg, "%.*s", (int)n, text); }

static const struct xk_store_server_ops ops = {
    .version = XK_STORE_SERVER_OPS_VERSION,
    .now = now,
    .introduce = introduce,
    .release = release,
    .domain_exists = domain_exists,
    .wakeup = wakeup,
    .log = log_line,
    .update = update,
    .permit = permit,
    .audit = audit,
    .control = control,
    .later = later,
};

/* While it is spun for a hasty client; a few times, then others have their turn. */
static int look(struct xk_spinner *spinner, int sleeping)
{
    struct xk_store_service *s = XK_CONTAINER(spinner, struct xk_store_service, spinner);

    if (sleeping)
        xk_spinner_stop(spinner);
    if (sleeping || s->looked == LOOKS || !s->last || !xk__socket_look(s->last))
        return 0;
    s->looked++;
    xk__service_tidy(s);
    return 1;
}

/* Some domain ended. */
static void on_virq(struct xk_port_watch *w)
{
    struct xk_store_service *s = XK_CONTAINER(w, struct xk_store_service, virq_watch);

    memset(s->alive, 0, sizeof(s->alive));
    xk__service_bury(s);
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
    s->later.fn = xk__ring_later;
    s->spinner.fn = look;
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
    xk_timer_stop(s->loop, &s->later);
    xk_spinner_stop(&s->spinner);
    xk__keeper_flush(s);
    xk_store_journal_stop(s->server); /* that the connections end now is no news for it */
    XK_LIST_EACH_SAFE(l, &s->transports)
    xk__transport_close(XK_CONTAINER(l, struct xk__transport, link));
    xk_port_watch_stop(s->loop, &s->virq_watch);
    if (s->virq >= 0)
        xk_evtchn_unbind(s->platform, s->virq);
    xk_store_server_destroy(s->server);
    xk__keeper_fini(s);
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

void xk_store_service_set_policy(struct xk_store_service *s, const struct xk_store_policy *policy, void *arg)
{
    s->policy = policy;
    s->policy_arg = arg;
}

/* By a connection of its own for the moment; nobody else's reply is on it. */
long xk_store_service_do(struct xk_store_service *s, uint32_t type, const void *payload, size_t n, void *out,
                         size_t room)
{
    struct xk_store_conn *c = xk_store_conn_open(s->server, 0, 1, NULL);
    struct xk_store_header h = {type, 1, 0, (uint32_t)n};
    uint8_t packet[XK_STORE_PACKET_MAX];
    const uint8_t *p;
    long r = c ? 0 : XK_ENOMEM;

    if (n > XK_STORE_PAYLOAD_MAX)
        r = XK_E2BIG;
    if (r == 0) {
        xk_store_header_put(&h, packet);
        memcpy(packet + XK_STORE_HEADER_SIZE, payload, n);
        r = xk_store_conn_input(c, packet, XK_STORE_HEADER_SIZE + n);
    }
    if (r > 0 && xk_store_conn_output(c, &p) >= XK_STORE_HEADER_SIZE && xk_store_header_get(&h, p) == 0) {
        p += XK_STORE_HEADER_SIZE;
        r = h.type == XK_STORE_ERROR ? xk_store_error_code((const char *)p, h.len)
            : h.len > room           ? XK_EMSGSIZE
                                     : (long)h.len;
        if (r > 0)
            memcpy(out, p, h.len);
    }
    xk_store_conn_close(c);
    xk__keeper_flush(s);
    return r;
}

void xk_store_service_set_update(struct xk_store_service *s, void (*fn)(void *arg), void *arg)
{
    s->update = fn;
    s->update_arg = arg;
}

void xk_store_service_trust(struct xk_store_service *s, int on) { s->trust = on; }

int xk_store_service_listen(struct xk_store_service *s, int handle)
{
    int r;

    if (s->listener >= 0)
        return XK_EBUSY;
    s->acceptor.fn = xk__socket_accept;
    r = xk_acceptor_start(s->loop, &s->acceptor, handle);
    if (r == 0)
        s->listener = handle;
    return r;
}

struct xk_store_server *xk_store_service_server(struct xk_store_service *s) { return s->server; }
