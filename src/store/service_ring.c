/* A guest's ring page. With a journal, what was taken from the ring counts as consumed only when it is answered, or
 * when its changes and its answers are written there: after a crash no change is made twice, and every request is
 * answered. SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/shared.h"
#include "store/service.h"

enum { REQ_DATA = 0, RSP_DATA = 1024, REQ_CONS = 2048, REQ_PROD = 2052, RSP_CONS = 2056, RSP_PROD = 2060, RING = 1024 };
enum { FEATURES = 2064, CONNECTION = 2068, ERROR_WORD = 2072 }; /* io/xs_wire.h, struct xenstore_domain_interface */
enum {
    TURNS = 32,    /* ringfuls that a guest is served before others are: it may fill its ring while we empty it */
    FAR = 1 << 30, /* bytes after which the indices of a note could be taken for some that are still to come */
    EXPIRY = 20    /* seconds that events wait for a guest that does not read: upstream's timeout */
};

static volatile uint32_t *word(void *page, size_t at) { return (volatile uint32_t *)(void *)((uint8_t *)page + at); }

/* The guest broke the protocol. It is not served any more, and may read why, until it dies or asks to be connected
 * anew; its memory and port stay. */
static void ignore(struct xk__transport *t, uint32_t why)
{
    t->ignored = 1;
    xk__service_say(t->service, "domain %u: %s; its ring is ignored until it dies or reconnects", t->domid,
                    why == XK_STORE_RING_INDEX ? "a ring index beyond the 1024 bytes of the ring"
                                               : "a packet whose field len is above 4096");
    xk_shared_store32(word(t->page, ERROR_WORD), why);
    xk_store_conn_reset(t->conn); /* what it holds of ours, and of others' trees, goes at once */
}

/* Requests in, as far as the engine takes them. Returns 1 when something moved. */
static int input(struct xk__transport *t)
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
        if (t->closed)
            break;
        if (used < 0) {
            ignore(t, XK_STORE_RING_PROTO);
            break;
        }
        xk_pipe_skip(&t->in, (size_t)used);
        t->unnoted += (uint32_t)used;
        moved |= used > 0;
        if (used < n)
            break;
    }
    return moved;
}

/* A note in the journal of what lies between ring and engine. With too little memory for it, a crash now would make
 * this guest lose its place. */
static void note(struct xk__transport *t)
{
    const uint8_t *p;
    size_t out = xk_store_conn_output(t->conn, &p);

    if (!t->service->keeper.on)
        return;
    if (xk_store_journal_ring(t->conn, t->in.mine, t->out.mine) == 0) {
        t->noted = t->out.mine + (uint32_t)out;
        t->unnoted = 0;
    }
    xk__keeper_flush(t->service);
}

static int push(struct xk__transport *t, const uint8_t *p, size_t n)
{
    int r = n ? xk_pipe_write(&t->out, p, n) : 0;

    if (r == XK_EPEER)
        ignore(t, XK_STORE_RING_INDEX);
    if (r > 0) {
        xk_store_conn_sent(t->conn, (size_t)r);
        t->unnoted += (uint32_t)r;
    }
    return r;
}

/* Whole packets first. A piece of one only when it is noted, or nobody asks. */
static int output(struct xk__transport *t)
{
    const uint8_t *p;
    size_t n = xk_store_conn_output(t->conn, &p), whole;
    int space = n ? xk_pipe_space(&t->out) : 0, moved = 0, r;

    if (space < 0)
        ignore(t, XK_STORE_RING_INDEX);
    if (space <= 0)
        return 0;
    whole = n <= (size_t)space ? n : xk_store_conn_whole(t->conn, (size_t)space);
    moved = (r = push(t, p, whole)) > 0;
    if (r < 0 || whole == n || whole == (size_t)space)
        return moved;
    n = xk_store_conn_output(t->conn, &p);
    if ((int32_t)(t->noted - t->out.mine) < space - (int32_t)whole)
        note(t);
    return push(t, p, n) > 0 || moved;
}

/* Gives back what was taken, once nothing of it depends on this process alone. */
static void publish(struct xk__transport *t)
{
    const uint8_t *p;

    if (t->unnoted > FAR)
        note(t);
    if (!xk_pipe_unpublished(&t->in))
        return;
    if (xk_store_conn_output(t->conn, &p) || xk_store_conn_halfway(t->conn))
        note(t);
    xk_pipe_publish(&t->in);
}

/* Requests that changed something are given back before they are answered. */
static void promise(struct xk__transport *t)
{
    if (!t->service->keeper.on || !xk_store_journal_due(t->conn))
        return;
    note(t);
    xk_pipe_publish(&t->in);
}

/* Nobody will tell when a guest's credit is there again, or when it has not read for too long, or that it has (more) to
 * say. */
static void see_again(struct xk__transport *t, int more)
{
    struct xk_store_service *s = t->service;
    xk_time now = xk_now(s->platform), at = XK_FOREVER;
    uint64_t wait = xk_store_conn_wait(t->conn);
    const uint8_t *p;

    if (more)
        at = now + 1;
    else if (wait)
        at = now + (xk_time)wait;
    else if (xk_store_conn_output(t->conn, &p))
        at = now + EXPIRY * XK_SECOND / 4;
    if (at == XK_FOREVER || (s->later_at && s->later_at <= at))
        return;
    if (xk_timer_start(s->loop, &s->later, at) == 0) /* without memory: at the guest's next notification */
        s->later_at = at;
}

/* What was noted of the output is not what it is once events were taken out of it. */
static void expire(struct xk__transport *t)
{
    const uint8_t *p;
    size_t before = xk_store_conn_output(t->conn, &p);

    xk_store_conn_expire(t->conn, (uint64_t)xk_now(t->service->platform), EXPIRY * (uint64_t)XK_SECOND);
    if (xk_store_conn_output(t->conn, &p) != before)
        note(t);
}

void xk__ring_later(struct xk_timer *timer)
{
    struct xk_store_service *s = XK_CONTAINER(timer, struct xk_store_service, later);

    s->later_at = 0;
    XK_LIST_EACH_SAFE(l, &s->transports)
    {
        struct xk__transport *t = XK_CONTAINER(l, struct xk__transport, link);
        const uint8_t *p;
        if (s->frozen || !t->ring || t->ignored)
            continue;
        expire(t);
        if (xk_store_conn_output(t->conn, &p) || xk_pipe_ready(&t->in) != 0)
            xk__transport_soon(t);
    }
}

/* Both directions, until nothing moves. 0: it is gone. */
static int run(struct xk__transport *t, int *moved, int *more)
{
    int turns = 0;

    do {
        *more = t->ignored ? 0 : input(t);
        if (t->closed)
            return 0;
        if (*more && !t->ignored)
            promise(t);
        *more |= t->ignored ? 0 : output(t);
        if (!t->ignored)
            publish(t);
        *moved |= *more;
    } while (*more && ++turns < TURNS);
    return 1;
}

void xk__ring_run(struct xk__transport *t)
{
    struct xk_store_service *s = t->service;
    int moved = 0, more, there;

    t->busy = 1;
    there = run(t, &moved, &more);
    t->busy = 0;
    if (there && moved)
        xk_evtchn_notify(s->platform, t->port);
    xk__service_tidy(s);
    if (!there)
        xk_free(&s->alloc, t, sizeof(*t));
    else if (!t->ignored)
        see_again(t, more);
}

/* Both queues are empty where the guest's own indices stand, and nothing of before counts (xenstore-ring.txt). */
static int make_pipes(struct xk__transport *t, uint32_t consumed, uint32_t produced)
{
    int r = xk_pipe_init(&t->in, word(t->page, REQ_PROD), word(t->page, REQ_CONS), (uint8_t *)t->page + REQ_DATA, RING,
                         consumed);

    if (r == 0)
        r = xk_pipe_init(&t->out, word(t->page, RSP_PROD), word(t->page, RSP_CONS), (uint8_t *)t->page + RSP_DATA, RING,
                         produced);
    t->noted = produced;
    t->unnoted = 0;
    return r;
}

static int reconnect_asked(const struct xk__transport *t)
{
    return xk_shared_load32(word(t->page, CONNECTION)) == 1 &&
           xk_store_domain_features(t->service->server, t->domid) & XK_STORE_FEATURE_RECONNECT;
}

static void reconnect(struct xk__transport *t)
{
    uint32_t consumed = xk_shared_load32(word(t->page, REQ_PROD)), produced = xk_shared_load32(word(t->page, RSP_CONS));

    xk_store_conn_reset(t->conn);
    (void)!make_pipes(t, consumed, produced); /* the size is right */
    xk_shared_store32(word(t->page, REQ_CONS), consumed);
    xk_shared_store32(word(t->page, RSP_PROD), produced);
    if (t->service->keeper.on)
        (void)!xk_store_journal_ring(t->conn, consumed, produced);
    xk__keeper_flush(t->service);
    t->ignored = 0;
    xk_shared_store32(word(t->page, ERROR_WORD), XK_STORE_RING_OK);
    xk_shared_store_release32(word(t->page, CONNECTION), 0); /* last: the guest looks at nothing else until then */
    xk_evtchn_notify(t->service->platform, t->port);
}

static void on_event(struct xk_port_watch *w)
{
    struct xk__transport *t = XK_CONTAINER(w, struct xk__transport, watch);

    if (reconnect_asked(t))
        reconnect(t);
    xk__ring_run(t);
}

int xk__ring_connect(struct xk__transport *t, uint32_t remote)
{
    struct xk_store_service *s = t->service;
    xk_gref ref = XK_GREF_STORE;
    int r = remote > INT32_MAX ? XK_EINVAL : xk_page_map(s->platform, t->domid, &ref, 1, 0, NULL, &t->page);

    if (r < 0)
        return r;
    t->remote = remote;
    r = t->port = xk_evtchn_bind(s->platform, t->domid, (xk_port)remote);
    if (r < 0)
        return r;
    r = make_pipes(t, xk_shared_load32(word(t->page, REQ_CONS)), xk_shared_load32(word(t->page, RSP_PROD)));
    return r < 0 ? r : 0;
}

int xk__ring_start(struct xk__transport *t)
{
    struct xk_store_service *s = t->service;
    int r;

    xk_shared_store32(word(t->page, FEATURES), xk_store_domain_features(s->server, t->domid));
    xk_shared_store32(word(t->page, ERROR_WORD), XK_STORE_RING_OK);
    if (reconnect_asked(t)) /* of a process before this one */
        reconnect(t);
    xk_shared_store32(word(t->page, CONNECTION), 0);
    t->watch.fn = on_event;
    r = xk_port_watch_start(s->loop, &t->watch, t->port);
    if (r == 0)
        xk_evtchn_notify(s->platform, t->port); /* Linux as domain 0 says nothing before it has heard of its store */
    return r;
}

void xk__ring_stop(struct xk__transport *t)
{
    xk_port_watch_stop(t->service->loop, &t->watch);
    if (t->port >= 0)
        xk_evtchn_unbind(t->service->platform, t->port);
    t->port = -1;
}

void xk__ring_close(struct xk__transport *t)
{
    xk__ring_stop(t);
    if (t->page)
        xk_page_unmap(t->service->platform, t->page, 1);
}
