/* Connections: the incremental parser on the way in, one bounded buffer of replies and events on the way out.
 *
 * A request is only executed when the longest reply surely fits, and every reservation for events leaves that room too.
 * So a reply never fails, and a client that does not fetch its replies stops being served (XSA-326) instead of filling
 * our memory. SPDX-License-Identifier: MIT */
#include <string.h>

#include "store/server.h"

enum {
    EVENT_BYTES = 256 * 1024, /* of an unprivileged connection's output, events included */
    EVENT_BYTES_PRIVILEGED = 4096 * 1024,
    REPLY_BYTES = 128 * 1024, /* output above which nothing more is executed */
    SHRINK_ABOVE = 32 * 1024, /* an empty output larger than that gives memory back */
    OUT_FIRST = 2 * XK_STORE_PACKET_MAX
};

/* --- life --------------------------------------------------------------------------------------------------------- */

struct xk_store_conn *xk_store_conn_open(struct xk_store_server *s, unsigned domid, int privileged, void *cookie)
{
    struct xk_store_conn *c;
    size_t most = privileged ? EVENT_BYTES_PRIVILEGED : EVENT_BYTES;

    if (domid > 0xffff)
        return NULL;
    c = xk_new(&s->alloc, sizeof(*c));
    if (!c)
        return NULL;
    xk_list_init(&c->wake);
    xk_list_init(&c->watches);
    xk_list_init(&c->txns);
    c->server = s;
    c->cookie = cookie;
    c->domid = (uint16_t)domid;
    c->privileged = privileged != 0;
    c->id = ++s->next_conn;
    c->sent = 1; /* so that there is a byte before the first one: see xk__conn_restore_out */
    xk_buf_init(&c->in, &s->alloc, XK_STORE_PACKET_MAX);
    xk_buf_init(&c->out, &s->alloc, most + 2 * OUT_FIRST);
    c->dom = xk__dom_get(s, domid);
    if (!c->dom || xk__conn_reserve(c, 0, 1)) {
        xk_buf_fini(&c->out);
        xk_free(&s->alloc, c->records, c->record_cap * sizeof(*c->records));
        if (c->dom)
            xk__dom_tidy(s, c->dom);
        xk_free(&s->alloc, c, sizeof(*c));
        return NULL;
    }
    c->dom->conns++;
    c->dom->other += (int64_t)sizeof(*c);
    s->nconns++;
    xk_list_add_tail(&s->conns, &c->link);
    return c;
}

void xk__conn_drop_state(struct xk_store_conn *c)
{
    while (!xk_list_empty(&c->watches))
        xk__watch_del(XK_CONTAINER(c->watches.next, struct xk__watch, link));
    while (!xk_list_empty(&c->txns))
        xk__txn_free(XK_CONTAINER(c->txns.next, struct xk__txn, link));
}

void xk_store_conn_close(struct xk_store_conn *c)
{
    struct xk_store_server *s;

    if (!c)
        return;
    s = c->server;
    if (c->busy) {
        c->doomed = true; /* by a callback of its own request: xk_store_conn_input does it when that is over */
        return;
    }
    xk__journal_closed(c);
    xk__conn_drop_state(c);
    xk_buf_fini(&c->in);
    xk_buf_fini(&c->out);
    xk_free(&s->alloc, c->records, c->record_cap * sizeof(*c->records));
    xk_list_del(&c->link);
    xk_list_del(&c->wake);
    c->dom->conns--;
    c->dom->other -= (int64_t)sizeof(*c);
    s->nconns--;
    xk__dom_tidy(s, c->dom);
    xk_free(&s->alloc, c, sizeof(*c));
}

void xk_store_conn_reset(struct xk_store_conn *c)
{
    (void)!xk__journal_reset(c);
    xk__conn_drop_state(c);
    xk_buf_take(&c->in, xk_buf_len(&c->in));
    c->sent += xk_buf_len(&c->out);
    xk_buf_take(&c->out, xk_buf_len(&c->out));
    c->record_head = c->record_count = c->replies = c->events = 0;
    c->broken = c->woken = c->lost = false;
    xk_list_del(&c->wake);
}

void *xk_store_conn_cookie(const struct xk_store_conn *c) { return c->cookie; }

unsigned xk_store_conn_domid(const struct xk_store_conn *c) { return c->domid; }

/* --- output ------------------------------------------------------------------------------------------------------- */

static int records_reserve(struct xk_store_conn *c, uint32_t more)
{
    uint32_t cap = c->record_cap ? c->record_cap : 16;
    struct xk__record *v;

    if (c->record_head + c->record_count + more <= c->record_cap)
        return 0;
    if (c->record_head) {
        memmove(c->records, c->records + c->record_head, c->record_count * sizeof(*v));
        c->record_head = 0;
    }
    while (cap < c->record_count + more)
        cap *= 2;
    if (cap == c->record_cap)
        return 0;
    v = xk_resize(&c->server->alloc, c->records, c->record_cap * sizeof(*v), cap * sizeof(*v));
    if (!v)
        return XK_ENOMEM;
    c->records = v;
    c->record_cap = cap;
    return 0;
}

int xk__conn_reserve(struct xk_store_conn *c, size_t bytes, uint32_t records)
{
    uint8_t *p;
    int rc = records_reserve(c, records + 1);

    return rc ? rc : xk_buf_reserve(&c->out, bytes + XK_STORE_PACKET_MAX, &p);
}

size_t xk__conn_event_room(const struct xk_store_conn *c)
{
    size_t most = c->privileged ? EVENT_BYTES_PRIVILEGED : EVENT_BYTES, len = xk_buf_len(&c->out);
    return len < most ? most - len : 0;
}

uint8_t *xk__conn_payload(struct xk_store_conn *c) { return c->out.data + c->out.wr + XK_STORE_HEADER_SIZE; }

void xk__conn_packet(struct xk_store_conn *c, const struct xk_store_header *h, uint32_t hash, bool reply)
{
    struct xk__record *r = &c->records[c->record_head + c->record_count++];
    uint32_t len = XK_STORE_HEADER_SIZE + h->len;

    if (c->server->tape.on)
        xk__tape_packet(c, true, h, xk__conn_payload(c));
    xk_store_header_put(h, c->out.data + c->out.wr);
    r->at = c->sent + xk_buf_len(&c->out);
    r->len = len;
    r->hash = hash;
    r->reply = reply;
    xk_buf_wrote(&c->out, len);
    c->replies += reply;
    c->events += !reply;
    c->server->stats.bytes_out += len;
    if (!c->woken && xk_list_empty(&c->wake))
        xk_list_add_tail(&c->server->wake, &c->wake);
}

/* Output that another server had not sent yet: the rest of one packet, (partial) bytes, then whole ones. Which replies
 * and events it holds is counted again; events of before are not merged with. XK_EPROTO. */
int xk__conn_restore_out(struct xk_store_conn *c, const uint8_t *p, size_t n, size_t partial, bool partial_reply)
{
    struct xk_store_header h;
    size_t at = 0, len;

    if (partial > n || n > XK__CONN_OUT_MAX - 2 * XK_STORE_PACKET_MAX || xk__conn_reserve(c, n, 1))
        return partial > n ? XK_EPROTO : XK_ENOMEM;
    while (at < n) {
        bool first = at == 0 && partial;
        len = partial;
        if (!first) {
            if (n - at < XK_STORE_HEADER_SIZE || xk_store_header_get(&h, p + at) < 0)
                return XK_EPROTO;
            len = XK_STORE_HEADER_SIZE + h.len;
            if (len > n - at)
                return XK_EPROTO;
        }
        if (records_reserve(c, 1))
            return XK_ENOMEM;
        /* What was begun to be sent lies before (sent) with its first byte, as ever. */
        c->records[c->record_head + c->record_count++] =
            (struct xk__record){.at = c->sent + at - first,
                                .len = (uint32_t)len + first,
                                .reply = first ? partial_reply : h.type != XK_STORE_WATCH_EVENT};
        c->replies += c->records[c->record_head + c->record_count - 1].reply;
        c->events += !c->records[c->record_head + c->record_count - 1].reply;
        at += len;
    }
    c->partial = partial > 0;
    return n ? xk_buf_put(&c->out, p, n) : 0;
}

/* At the end of every public call, when the state is whole: the callback may call anything. */
void xk__conn_wake(struct xk_store_server *s)
{
    while (!xk_list_empty(&s->wake)) {
        struct xk_store_conn *c = XK_CONTAINER(s->wake.next, struct xk_store_conn, wake);
        xk_list_del(&c->wake);
        c->woken = true;
        if (s->ops && s->ops->wakeup)
            s->ops->wakeup(s->arg, c);
    }
}

size_t xk_store_conn_output(struct xk_store_conn *c, const uint8_t **p)
{
    *p = c->out.data ? xk_buf_head(&c->out) : NULL;
    return xk_buf_len(&c->out);
}

size_t xk_store_conn_whole(const struct xk_store_conn *c, size_t room)
{
    size_t n = 0;

    for (uint32_t i = 0; i < c->record_count; i++) {
        const struct xk__record *r = &c->records[c->record_head + i];
        if (r->at + r->len - c->sent > room)
            break;
        n = (size_t)(r->at + r->len - c->sent);
    }
    return n;
}

int xk_store_conn_halfway(const struct xk_store_conn *c) { return xk_buf_len(&c->in) != 0; }

/* Watches whose event was dropped fire now that there is room. Without memory they stay marked. */
static void fire_lost(struct xk_store_conn *c)
{
    struct xk_store_server *s = c->server;

    c->lost = false;
    XK_LIST_EACH(e, &c->watches)
    {
        struct xk__watch *w = XK_CONTAINER(e, struct xk__watch, link);
        if (!w->lost)
            continue;
        w->lost = false;
        if (xk__events_plan_one(s, w) || xk__events_reserve(s)) {
            w->lost = c->lost = true;
            xk__events_cancel(s);
            return;
        }
        xk__events_done(s);
    }
}

void xk_store_conn_sent(struct xk_store_conn *c, size_t n)
{
    uint32_t most = c->dom->quota[XK__Q_EVENTS];

    if (n > xk_buf_len(&c->out))
        n = xk_buf_len(&c->out);
    xk_buf_take(&c->out, n);
    c->sent += n;
    c->stuck = n ? 0 : c->stuck;
    while (c->record_count && c->records[c->record_head].at + c->records[c->record_head].len <= c->sent) {
        c->replies -= c->records[c->record_head].reply;
        c->events -= !c->records[c->record_head].reply;
        c->record_head++;
        c->record_count--;
    }
    if (c->record_count == 0) {
        c->record_head = 0;
        c->woken = false;
        xk_list_del(&c->wake);
        if (c->out.cap > SHRINK_ABOVE) { /* never fails: the block gets smaller */
            c->out.data = xk_resize(&c->server->alloc, c->out.data, c->out.cap, OUT_FIRST);
            c->out.cap = OUT_FIRST;
        }
    }
    if (c->lost && xk_buf_len(&c->out) < EVENT_BYTES / 2 && (most == 0 || c->events <= most / 2)) {
        fire_lost(c);
        xk__conn_wake(c->server);
    }
}

/* Takes the events out of the output, but for one that was begun to be sent. */
static void forget_events(struct xk_store_conn *c)
{
    uint8_t *base = xk_buf_head(&c->out);
    size_t kept_bytes = 0;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < c->record_count; i++) {
        struct xk__record r = c->records[c->record_head + i];
        size_t at = r.at < c->sent ? 0 : (size_t)(r.at - c->sent);
        size_t len = (size_t)(r.at + r.len - c->sent) - at;
        if (!r.reply && r.at >= c->sent) {
            c->events--;
            continue;
        }
        memmove(base + kept_bytes, base + at, len);
        if (r.at >= c->sent)
            r.at = c->sent + kept_bytes;
        c->records[c->record_head + kept++] = r;
        kept_bytes += len;
    }
    c->record_count = kept;
    c->out.wr = c->out.rd + kept_bytes;
}

void xk_store_conn_expire(struct xk_store_conn *c, uint64_t now, uint64_t limit)
{
    if (c->privileged || c->events == 0) {
        c->stuck = 0;
        return;
    }
    if (c->stuck == 0) {
        c->stuck = now;
        return;
    }
    if (now - c->stuck < limit)
        return;
    c->server->stats.events_expired += c->events;
    forget_events(c);
    XK_LIST_EACH(e, &c->watches)
    XK_CONTAINER(e, struct xk__watch, link)->lost = true;
    c->lost = true;
    c->stuck = now;
}

/* --- input -------------------------------------------------------------------------------------------------------- */

int xk_store_conn_blocked(const struct xk_store_conn *c)
{
    return (!c->privileged && c->dom->quota[XK__Q_OUTSTANDING] && c->replies >= c->dom->quota[XK__Q_OUTSTANDING]) ||
           xk_buf_len(&c->out) > REPLY_BYTES || xk__credit_wait(c);
}

uint64_t xk_store_conn_wait(const struct xk_store_conn *c) { return xk__credit_wait(c); }

/* Executes the packet that starts the (n) bytes at (p), if it lies there whole. Its size, or 0. */
static long whole_packet(struct xk_store_conn *c, const uint8_t *p, size_t n)
{
    struct xk_store_header h;

    if (n < XK_STORE_HEADER_SIZE)
        return 0;
    if (xk_store_header_get(&h, p) < 0)
        return XK_EPROTO;
    if (n - XK_STORE_HEADER_SIZE < h.len)
        return 0;
    xk__execute(c, &h, p + XK_STORE_HEADER_SIZE);
    return (long)(XK_STORE_HEADER_SIZE + h.len);
}

/* Adds to the incomplete packet in c->in, up to the end of its header or, once that is known, to its own end. */
static long piece(struct xk_store_conn *c, const uint8_t *p, size_t n)
{
    size_t have = xk_buf_len(&c->in), want = XK_STORE_HEADER_SIZE;
    struct xk_store_header h;
    long rc;

    if (have >= XK_STORE_HEADER_SIZE) {
        rc = xk_store_header_get(&h, xk_buf_head(&c->in));
        if (rc < 0)
            return rc;
        want += h.len;
    }
    if (n > want - have)
        n = want - have;
    if (xk_buf_put(&c->in, p, n) < 0)
        return 0; /* no memory: the bytes stay where they are */
    rc = whole_packet(c, xk_buf_head(&c->in), xk_buf_len(&c->in));
    if (rc < 0)
        return rc;
    if (rc > 0)
        xk_buf_take(&c->in, (size_t)rc);
    return (long)n;
}

long xk_store_conn_input(struct xk_store_conn *c, const void *bytes, size_t n)
{
    struct xk_store_server *s = c->server;
    const uint8_t *p = bytes;
    size_t used = 0;
    long step = 0;

    c->busy = true;
    while (!c->broken && !c->doomed && used < n && !xk_store_conn_blocked(c) && xk__conn_reserve(c, 0, 0) == 0) {
        step = xk_buf_len(&c->in) ? 0 : whole_packet(c, p + used, n - used);
        if (step == 0)
            step = piece(c, p + used, n - used);
        if (step < 0)
            c->broken = true;
        if (step <= 0)
            break;
        used += (size_t)step;
        s->stats.bytes_in += (uint64_t)step;
    }
    c->busy = false;
    step = c->broken ? XK_EPROTO : (long)used;
    if (c->doomed) {
        xk_store_conn_close(c);
        step = XK_ECLOSED;
    }
    xk__conn_wake(s);
    return step;
}
