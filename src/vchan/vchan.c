/* A vchan: two byte pipes and an event channel. Layout and meaning of the shared page are those of Xen's public
 * io/libxenvchan.h: "left" is written by the client, "right" by the server.
 *
 * Who wants to be notified sets a bit in the byte that the other side looks at: the server sets bits in cli_notify, the
 * client in srv_notify. The one that acts takes the bit away and notifies, so one request is one event at most. A side
 * that is awake does not ask; it asks before it sleeps and then looks once more, which closes the race.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/loop.h>
#include <xenkit/pipe.h>
#include <xenkit/vchan.h>

#include "base/list.h"
#include "base/shared.h"

enum { NOTIFY_WRITE = 1, NOTIFY_READ = 2, LIVE_GONE = 0, LIVE_YES = 1, LIVE_NOT_YET = 2 };
enum { ORDER_SMALL = 10, ORDER_LARGE = 11, ORDER_PAGE = 12, ORDER_MAX = 20, OFFSET_SMALL = 1024, OFFSET_LARGE = 2048 };
enum { LOOK = 1 }; /* seconds between two looks for a peer that may have died in silence */
enum { GRANTS_MAX = 2 << (ORDER_MAX - ORDER_PAGE) };

struct shared { /* struct vchan_interface */
    struct {
        volatile uint32_t cons, prod;
    } left, right;
    volatile uint16_t left_order, right_order;
    volatile uint8_t cli_live, srv_live;
    volatile uint8_t cli_notify, srv_notify;
    volatile uint32_t grants[];
};

struct ring_memory { /* one direction's pages outside the shared page */
    void *addr;
    unsigned pages;
};

struct xk_vchan {
    struct xk_stream stream; /* first */
    xk_alloc alloc;
    struct xk_platform *platform;
    xk_domid peer;
    int server, persist, broken, was_open, gone;
    int silent;               /* the system below raises no event when a peer's domain dies */
    size_t want_in, want_out; /* what waiting is for: bytes to read, room to write; reading 0: the client's coming */
    struct shared *shared;
    xk_gref ref;
    xk_port port;
    struct ring_memory left, right;
    struct xk_pipe in, out;
    struct xk_loop *loop;
    struct xk_port_watch watch;
    struct xk_spinner spinner;
    struct xk_defer defer;
    struct xk_timer timer;
    struct xk_waiter *readers, *writers;
    unsigned spin_skip, spin_skipped;
    struct xk_vchan_stats stats;
};

static const struct xk_stream_ops vchan_stream_ops;

/* --- set-up ------------------------------------------------------------------------------------------------------ */

static int order_for(size_t n)
{
    int order = ORDER_PAGE;

    while (order < ORDER_MAX && ((size_t)1 << order) < n)
        order++;
    return order;
}

/* One ring of 1024 and one of 2048 bytes fit in the shared page; a 2048 one fits beside a list of grants. */
static void choose_orders(size_t left, size_t right, int *lo, int *ro)
{
    *lo = order_for(left);
    *ro = order_for(right);
    if (left <= OFFSET_SMALL && right <= OFFSET_LARGE) {
        *lo = ORDER_SMALL;
        *ro = ORDER_LARGE;
    } else if (left <= OFFSET_LARGE && right <= OFFSET_SMALL) {
        *lo = ORDER_LARGE;
        *ro = ORDER_SMALL;
    } else if (left <= OFFSET_LARGE) {
        *lo = ORDER_LARGE;
    } else if (right <= OFFSET_LARGE) {
        *ro = ORDER_LARGE;
    }
}

static unsigned pages_of(int order) { return order < ORDER_PAGE ? 0 : 1u << (order - ORDER_PAGE); }

static void *data_of(struct xk_vchan *v, int order, struct ring_memory *m)
{
    return order == ORDER_SMALL   ? (uint8_t *)v->shared + OFFSET_SMALL
           : order == ORDER_LARGE ? (uint8_t *)v->shared + OFFSET_LARGE
                                  : m->addr;
}

static struct xk_vchan *vchan_new(const xk_alloc *alloc, struct xk_platform *p, xk_domid peer, int server)
{
    struct xk_vchan *v = xk_new(alloc, sizeof(*v));

    if (!v)
        return NULL;
    v->stream.ops = &vchan_stream_ops;
    v->alloc = alloc ? *alloc : *xk_alloc_libc();
    v->platform = p;
    v->peer = peer == XK_DOMID_SELF ? xk_platform_domid(p) : peer;
    v->server = server;
    v->port = -1;
    v->want_in = v->want_out = 1;
    v->silent = !strcmp(xk_platform_name(p), "xen") || !strcmp(xk_platform_name(p), "stub");
    return v;
}

/* Sizes come from our own (server) or already checked (client) orders, never from the page again. */
static void place_pipes(struct xk_vchan *v, int lo, int ro)
{
    struct xk_pipe *left = v->server ? &v->in : &v->out, *right = v->server ? &v->out : &v->in;
    uint32_t lstart = xk_shared_load32(v->server ? &v->shared->left.cons : &v->shared->left.prod);
    uint32_t rstart = xk_shared_load32(v->server ? &v->shared->right.prod : &v->shared->right.cons);

    (void)!xk_pipe_init(left, &v->shared->left.prod, &v->shared->left.cons, data_of(v, lo, &v->left), 1u << lo, lstart);
    (void)!xk_pipe_init(right, &v->shared->right.prod, &v->shared->right.cons, data_of(v, ro, &v->right), 1u << ro,
                        rstart);
    v->stats.ring_in = v->in.size;
    v->stats.ring_out = v->out.size;
}

static int share_ring(struct xk_vchan *v, int order, struct ring_memory *m, volatile uint32_t **grants)
{
    xk_gref refs[GRANTS_MAX / 2];
    unsigned n = pages_of(order);
    int r;

    if (n == 0)
        return 0;
    r = xk_page_share(v->platform, v->peer, n, 0, refs, &m->addr);
    if (r < 0)
        return r;
    m->pages = n;
    for (unsigned i = 0; i < n; i++)
        xk_shared_store32((*grants)++, refs[i]);
    return 0;
}

int xk_vchan_listen(const xk_alloc *alloc, struct xk_platform *p, xk_domid peer, size_t left, size_t right,
                    struct xk_vchan **out)
{
    struct xk_vchan *v;
    volatile uint32_t *grants;
    int lo, ro, r;

    if (left == 0 || right == 0 || left > (size_t)1 << ORDER_MAX || right > (size_t)1 << ORDER_MAX)
        return XK_EINVAL;
    v = vchan_new(alloc, p, peer, 1);
    if (!v)
        return XK_ENOMEM;
    choose_orders(left, right, &lo, &ro);
    r = xk_page_share(p, v->peer, 1, 0, &v->ref, (void **)&v->shared);
    if (r == 0) {
        grants = v->shared->grants;
        r = share_ring(v, lo, &v->left, &grants);
    }
    if (r == 0)
        r = share_ring(v, ro, &v->right, &grants);
    if (r == 0)
        r = v->port = xk_evtchn_alloc(p, v->peer);
    if (r < 0) {
        xk_vchan_close(v);
        return r;
    }
    xk_shared_store16(&v->shared->left_order, (uint16_t)lo);
    xk_shared_store16(&v->shared->right_order, (uint16_t)ro);
    xk_shared_store8(&v->shared->srv_live, LIVE_YES);
    xk_shared_store8(&v->shared->cli_live, LIVE_NOT_YET);
    xk_shared_store8(&v->shared->cli_notify, NOTIFY_WRITE); /* tell us of the first bytes */
    place_pipes(v, lo, ro);
    *out = v;
    return 0;
}

static int order_valid(int order) { return order >= ORDER_SMALL && order <= ORDER_MAX; }

/* What the server published must make sense: sizes known, in-page rings apart, the grant list clear of them. */
static int check_orders(int lo, int ro)
{
    unsigned end, limit = XK_PAGE_SIZE;

    if (!order_valid(lo) || !order_valid(ro) || (lo == ro && lo < ORDER_PAGE))
        return XK_EPEER;
    end = (unsigned)offsetof(struct shared, grants) + 4 * (pages_of(lo) + pages_of(ro));
    if (lo == ORDER_LARGE || ro == ORDER_LARGE)
        limit = OFFSET_LARGE;
    if (lo == ORDER_SMALL || ro == ORDER_SMALL)
        limit = OFFSET_SMALL;
    return end <= limit ? 0 : XK_EPEER;
}

static int map_ring(struct xk_vchan *v, int order, struct ring_memory *m, volatile uint32_t **grants)
{
    xk_gref refs[GRANTS_MAX / 2];
    unsigned n = pages_of(order);
    int r;

    if (n == 0)
        return 0;
    for (unsigned i = 0; i < n; i++)
        refs[i] = xk_shared_load32((*grants)++);
    r = xk_page_map(v->platform, v->peer, refs, n, 0, NULL, &m->addr);
    if (r < 0)
        return r == XK_EINVAL || r == XK_EACCES ? XK_EPEER : r;
    m->pages = n;
    return 0;
}

static int connect_page(struct xk_vchan *v)
{
    volatile uint32_t *grants = v->shared->grants;
    int lo = xk_shared_load16(&v->shared->left_order), ro = xk_shared_load16(&v->shared->right_order), r;

    r = check_orders(lo, ro);
    if (r == 0)
        r = map_ring(v, lo, &v->left, &grants);
    if (r == 0)
        r = map_ring(v, ro, &v->right, &grants);
    if (r < 0)
        return r;
    place_pipes(v, lo, ro);
    return xk_pipe_ready(&v->in) < 0 || xk_pipe_space(&v->out) < 0 ? XK_EPEER : 0;
}

int xk_vchan_connect(const xk_alloc *alloc, struct xk_platform *p, xk_domid peer, xk_gref ring_ref,
                     xk_port event_channel, struct xk_vchan **out)
{
    struct xk_vchan *v = vchan_new(alloc, p, peer, 0);
    int r;

    if (!v)
        return XK_ENOMEM;
    r = xk_page_map(p, v->peer, &ring_ref, 1, 0, NULL, (void **)&v->shared);
    if (r < 0)
        v->shared = NULL;
    else
        r = connect_page(v);
    if (r == 0)
        r = v->port = xk_evtchn_bind(p, v->peer, event_channel);
    if (r < 0) {
        xk_vchan_close(v);
        return r;
    }
    xk_shared_store8(&v->shared->cli_live, LIVE_YES);
    xk_shared_or8(&v->shared->srv_notify, NOTIFY_WRITE);
    v->was_open = 1;
    xk_evtchn_notify(p, v->port); /* the server waits for us */
    *out = v;
    return 0;
}

xk_gref xk_vchan_ring_ref(const struct xk_vchan *v) { return v->ref; }

xk_port xk_vchan_event_channel(const struct xk_vchan *v) { return v->port; }

void xk_vchan_set_persist(struct xk_vchan *v, int on) { v->persist = on != 0; }

void xk_vchan_get_stats(const struct xk_vchan *v, struct xk_vchan_stats *out) { *out = v->stats; }

/* --- ending ------------------------------------------------------------------------------------------------------ */

static void give_back(struct xk_vchan *v, void *addr, unsigned pages)
{
    if (!addr)
        return;
    if (v->server)
        xk_page_forget(v->platform, addr, pages); /* the client may still read its last bytes */
    else
        xk_page_unmap(v->platform, addr, pages);
}

void xk_vchan_close(struct xk_vchan *v)
{
    xk_alloc alloc;

    if (!v)
        return;
    while (v->readers)
        xk_waiter_cancel(v->readers);
    while (v->writers)
        xk_waiter_cancel(v->writers);
    xk_spinner_stop(&v->spinner);
    if (v->loop) {
        xk_defer_stop(v->loop, &v->defer);
        xk_timer_stop(v->loop, &v->timer);
        xk_port_watch_stop(v->loop, &v->watch);
    }
    if (v->shared && v->port >= 0) {
        xk_shared_store8(v->server ? &v->shared->srv_live : &v->shared->cli_live, LIVE_GONE);
        xk_shared_fence();
        xk_evtchn_notify(v->platform, v->port);
    }
    if (v->port >= 0)
        xk_evtchn_unbind(v->platform, v->port);
    give_back(v, v->left.addr, v->left.pages);
    give_back(v, v->right.addr, v->right.pages);
    give_back(v, v->shared, 1);
    alloc = v->alloc;
    xk_free(&alloc, v, sizeof(*v));
}

/* --- state ------------------------------------------------------------------------------------------------------- */

static int peer_live(struct xk_vchan *v)
{
    return xk_shared_load8(v->server ? &v->shared->cli_live : &v->shared->srv_live);
}

enum xk_vchan_state xk_vchan_state(struct xk_vchan *v)
{
    int live = peer_live(v);

    if (v->broken)
        return XK_VCHAN_BROKEN;
    if (live == LIVE_YES) {
        v->was_open = 1;
        v->gone = 0;
        return XK_VCHAN_OPEN;
    }
    if (v->server && (v->persist || (live == LIVE_NOT_YET && !v->was_open)))
        return XK_VCHAN_WAITING;
    return XK_VCHAN_CLOSED;
}

/* The shared byte says alive; a peer that was killed could not take it back, but its end of the port is gone. Asked
 * only when there is nothing to do, as it costs a system call. The byte is looked at again, as the peer may have closed
 * in good order between the two. */
static int peer_vanished(struct xk_vchan *v)
{
    int bound = peer_live(v) == LIVE_YES ? xk_evtchn_peer(v->platform, v->port) : 1;

    /* XK_EINVAL: a domain that was saved and restored has lost the port itself */
    return (bound == 0 || bound == XK_EINVAL) && peer_live(v) == LIVE_YES;
}

static int broke(struct xk_vchan *v)
{
    v->broken = 1;
    return XK_EPEER;
}

/* Takes away the peer's wish to hear of (bit), and fulfils it. The fence is in the atomic and: what we did is visible
 * before we look at the wish, and pairs with the or and the second look of ask(). */
static void tell(struct xk_vchan *v, uint8_t bit)
{
    volatile uint8_t *wish = v->server ? &v->shared->srv_notify : &v->shared->cli_notify;

    xk_shared_fence();
    if (!(xk_shared_load8(wish) & bit))
        return;
    if (xk_shared_and8(wish, (uint8_t)~bit) & bit) {
        v->stats.notifies_sent++;
        xk_evtchn_notify(v->platform, v->port);
    }
}

static void ask(struct xk_vchan *v, uint8_t bits)
{
    xk_shared_or8(v->server ? &v->shared->cli_notify : &v->shared->srv_notify, bits);
}

int xk_vchan_ready(struct xk_vchan *v)
{
    int n = xk_pipe_ready(&v->in);
    return n < 0 ? broke(v) : n;
}

int xk_vchan_space(struct xk_vchan *v)
{
    int n = xk_pipe_space(&v->out);
    return n < 0 ? broke(v) : n;
}

/* --- reading and writing ----------------------------------------------------------------------------------------- */

static int read_end(struct xk_vchan *v)
{
    int n;

    if (v->broken)
        return XK_EPEER;
    if (xk_vchan_state(v) != XK_VCHAN_CLOSED)
        return XK_EAGAIN;
    n = xk_vchan_ready(v); /* the last bytes may have come with the end */
    return n < 0 ? n : n > 0 ? XK_EAGAIN : v->gone ? XK_EGONE : 0;
}

int xk_vchan_read(struct xk_vchan *v, void *buf, size_t n)
{
    int r = xk_pipe_read(&v->in, buf, n);

    if (r > 0) {
        v->stats.bytes_in += (uint64_t)r;
        tell(v, NOTIFY_READ);
        return r;
    }
    if (r == XK_EPEER)
        return broke(v);
    if (n == 0)
        return 0;
    v->want_in = 1;
    r = read_end(v);
    return r == XK_EAGAIN && xk_pipe_ready(&v->in) > 0 ? xk_vchan_read(v, buf, n) : r;
}

int xk_vchan_recv(struct xk_vchan *v, void *buf, size_t n)
{
    int ready = xk_vchan_ready(v);

    if (n > v->in.size)
        return XK_EMSGSIZE;
    if (ready < 0)
        return ready;
    if ((size_t)ready < n && xk_vchan_state(v) == XK_VCHAN_CLOSED) {
        ready = xk_vchan_ready(v); /* the last bytes may have come with the end */
        if (ready >= 0 && (size_t)ready < n)
            return v->gone ? XK_EGONE : ready > 0 ? XK_EPIPE : 0; /* cut within a packet, or between two */
    }
    if (ready < 0)
        return ready;
    if ((size_t)ready < n) {
        v->want_in = n;
        return XK_EAGAIN;
    }
    return xk_vchan_read(v, buf, n);
}

static int write_end(struct xk_vchan *v)
{
    if (v->broken)
        return XK_EPEER;
    return xk_vchan_state(v) != XK_VCHAN_CLOSED ? 0 : v->gone ? XK_EGONE : XK_EPIPE;
}

int xk_vchan_write(struct xk_vchan *v, const void *buf, size_t n)
{
    int r = write_end(v);

    if (r < 0)
        return r;
    r = xk_pipe_write(&v->out, buf, n);
    if (r > 0) {
        v->stats.bytes_out += (uint64_t)r;
        tell(v, NOTIFY_WRITE);
    } else if (r == XK_EAGAIN) {
        v->want_out = 1;
    }
    return r == XK_EPEER ? broke(v) : r;
}

int xk_vchan_send(struct xk_vchan *v, const void *buf, size_t n)
{
    int r = write_end(v);

    if (r < 0)
        return r;
    r = xk_pipe_put(&v->out, buf, n);
    if (r == 0) {
        v->stats.bytes_out += n;
        tell(v, NOTIFY_WRITE);
        return (int)n;
    }
    if (r == XK_EAGAIN)
        v->want_out = n;
    return r == XK_EPEER ? broke(v) : r == XK_E2BIG ? XK_EMSGSIZE : r;
}

int xk_vchan_drain(struct xk_vchan *v)
{
    int space = xk_vchan_space(v), r;

    if (space < 0 || (uint32_t)space == v->out.size)
        return space < 0 ? space : 0;
    v->want_out = v->out.size;
    r = write_end(v);
    return r < 0 ? r : XK_EAGAIN;
}

int xk_vchan_accept(struct xk_vchan *v)
{
    if (v->broken)
        return XK_EPEER;
    if (xk_vchan_state(v) == XK_VCHAN_WAITING) {
        v->want_in = 0;
        return XK_EAGAIN;
    }
    v->want_in = 1;
    return 0;
}

/* --- waiting without a loop --------------------------------------------------------------------------------------- */

static int enough(int n, size_t want) { return n < 0 || (n > 0 && (size_t)n >= want); }

/* 1 when the call that last answered XK_EAGAIN would not do so now. */
static int possible(struct xk_vchan *v, unsigned events)
{
    if (events & XK_READABLE && v->want_in == 0 && xk_vchan_state(v) != XK_VCHAN_WAITING)
        return 1;
    if (events & XK_READABLE && v->want_in > 0 && enough(xk_pipe_ready(&v->in), v->want_in))
        return 1;
    if (events & XK_WRITABLE && enough(xk_pipe_space(&v->out), v->want_out))
        return 1;
    return xk_vchan_state(v) == XK_VCHAN_CLOSED;
}

static uint8_t wish_for(unsigned events)
{
    return (uint8_t)((events & XK_READABLE ? NOTIFY_WRITE : 0) | (events & XK_WRITABLE ? NOTIFY_READ : 0));
}

enum { SPIN_NS = 20000, SPIN_RARE = 64 };

/* A sleep and a wake-up cost some 25 us here; looking for 20 us first pays when the peer is at work on another
 * processor. After a spin that found nothing the next ones are skipped, more and more. */
static int spin(struct xk_vchan *v, unsigned events, xk_time deadline)
{
    xk_time now, end;

    if (deadline == XK_NOW || xk_cpus(v->platform) < 2)
        return 0;
    if (v->spin_skipped < v->spin_skip) {
        v->spin_skipped++;
        return 0;
    }
    v->stats.spins++;
    now = xk_now(v->platform);
    end = now + SPIN_NS < deadline ? now + SPIN_NS : deadline;
    do {
        for (int i = 0; i < 100; i++)
            if (possible(v, events)) {
                v->stats.spin_hits++;
                v->spin_skip = v->spin_skipped = 0;
                return 1;
            }
    } while (xk_now(v->platform) < end);
    v->spin_skipped = 0;
    v->spin_skip = v->spin_skip ? (v->spin_skip < SPIN_RARE ? v->spin_skip * 2 : SPIN_RARE) : 1;
    return 0;
}

int xk_vchan_bound(struct xk_vchan *v) { return xk_evtchn_peer(v->platform, v->port); }

static void vanish(struct xk_vchan *v)
{
    if (!peer_vanished(v))
        return;
    /* The peer cannot write any more; the byte is ours to correct, so that every later look says the same. */
    v->gone = 1;
    xk_shared_store8(v->server ? &v->shared->cli_live : &v->shared->srv_live, LIVE_GONE);
}

/* Until when to sleep: a peer that may die in silence is looked for now and then. */
static xk_time look_at(struct xk_vchan *v, xk_time deadline)
{
    xk_time look = xk_now(v->platform) + LOOK * XK_SECOND;

    return v->silent && look < deadline ? look : deadline;
}

int xk_vchan_wait(struct xk_vchan *v, unsigned events, xk_time deadline)
{
    struct xk_ready ready[16];
    int n;

    for (;;) {
        if (possible(v, events) || spin(v, events, deadline))
            return 0;
        ask(v, wish_for(events));
        if (possible(v, events))
            return 0;
        if (deadline != XK_FOREVER && xk_now(v->platform) >= deadline)
            return XK_ETIMEDOUT;
        v->stats.sleeps++;
        n = xk_wait(v->platform, look_at(v, deadline), ready, 16);
        if (n < 0)
            return n;
        for (int i = 0; i < n; i++) {
            if (ready[i].port < 0)
                continue;
            xk_evtchn_unmask(v->platform, ready[i].port);
            v->stats.events += ready[i].port == v->port;
        }
        vanish(v);
    }
}

int xk_vchan_read_all(struct xk_vchan *v, void *buf, size_t n, xk_time deadline)
{
    size_t done = 0;

    while (done < n) {
        int r = xk_vchan_read(v, (uint8_t *)buf + done, n - done);
        if (r == 0)
            break;
        if (r > 0)
            done += (size_t)r;
        else if (r != XK_EAGAIN || (r = xk_vchan_wait(v, XK_READABLE, deadline)) < 0)
            return r;
    }
    return (int)done;
}

int xk_vchan_write_all(struct xk_vchan *v, const void *buf, size_t n, xk_time deadline)
{
    size_t done = 0;

    while (done < n) {
        int r = xk_vchan_write(v, (const uint8_t *)buf + done, n - done);
        if (r > 0)
            done += (size_t)r;
        else if (r != XK_EAGAIN || (r = xk_vchan_wait(v, XK_WRITABLE, deadline)) < 0)
            return r;
    }
    return (int)done;
}

/* --- on a loop --------------------------------------------------------------------------------------------------- */

static int wake_if_possible(struct xk_vchan *v)
{
    int woke = 0;

    if (v->readers && possible(v, XK_READABLE))
        woke |= 1;
    if (v->writers && possible(v, XK_WRITABLE))
        woke |= 2;
    if (woke)
        xk_defer_start(v->loop, &v->defer); /* call-backs may close the vchan: not from within here */
    return woke;
}

void xk_vchan_set_gone(struct xk_vchan *v)
{
    if (xk_vchan_state(v) != XK_VCHAN_OPEN)
        return;
    v->gone = 1;
    xk_shared_store8(v->server ? &v->shared->cli_live : &v->shared->srv_live, LIVE_GONE);
    if (v->loop)
        wake_if_possible(v);
}

static void on_defer(struct xk_defer *d)
{
    struct xk_vchan *v = XK_CONTAINER(d, struct xk_vchan, defer);
    struct xk_waiter *w = NULL;

    if (v->readers && possible(v, XK_READABLE))
        w = v->readers;
    else if (v->writers && possible(v, XK_WRITABLE))
        w = v->writers;
    if (!w)
        return;
    xk_defer_start(v->loop, &v->defer); /* one waiter at a time: after its call the vchan may be gone */
    xk_waiter_cancel(w);
    if (!v->readers && !v->writers) {
        xk_defer_stop(v->loop, &v->defer);
        xk_spinner_stop(&v->spinner);
    }
    w->fn(w);
}

static int on_spin(struct xk_spinner *s, int sleeping)
{
    struct xk_vchan *v = XK_CONTAINER(s, struct xk_vchan, spinner);

    if (v->defer.queued)
        return 0;
    if (sleeping)
        ask(v, wish_for((v->readers ? XK_READABLE : 0u) | (v->writers ? XK_WRITABLE : 0u)));
    return wake_if_possible(v) != 0;
}

static void on_event(struct xk_port_watch *w)
{
    struct xk_vchan *v = XK_CONTAINER(w, struct xk_vchan, watch);

    v->stats.events++;
    vanish(v);
    wake_if_possible(v);
}

static void on_timer(struct xk_timer *t)
{
    struct xk_vchan *v = XK_CONTAINER(t, struct xk_vchan, timer);

    if (!v->readers && !v->writers)
        return; /* it starts again with the next one that waits */
    vanish(v);
    wake_if_possible(v);
    (void)!xk_timer_start(v->loop, t, xk_now(v->platform) + LOOK * XK_SECOND);
}

int xk_vchan_attach(struct xk_vchan *v, struct xk_loop *loop)
{
    int r;

    if (v->loop)
        return XK_EBUSY;
    v->watch.fn = on_event;
    v->spinner.fn = on_spin;
    v->defer.fn = on_defer;
    v->timer.fn = on_timer;
    r = xk_port_watch_start(loop, &v->watch, v->port);
    if (r == 0)
        v->loop = loop;
    return r;
}

static int stream_read(struct xk_stream *s, void *buf, size_t n) { return xk_vchan_read((struct xk_vchan *)s, buf, n); }

static int stream_write(struct xk_stream *s, const void *buf, size_t n)
{
    return xk_vchan_write((struct xk_vchan *)s, buf, n);
}

static void stream_arm(struct xk_stream *s, unsigned events, struct xk_waiter *w)
{
    struct xk_vchan *v = (struct xk_vchan *)s;

    xk_waiter_arm(events & XK_READABLE ? &v->readers : &v->writers, w);
    if (!v->loop)
        return;
    xk_spinner_start(v->loop, &v->spinner);
    if (v->silent && !v->timer.slot)
        (void)!xk_timer_start(v->loop, &v->timer, xk_now(v->platform) + LOOK * XK_SECOND);
}

/* A vchan has no half close; the stream's end is told by closing. */
static int stream_shutdown(struct xk_stream *s)
{
    (void)s;
    return XK_ENOSYS;
}

static void stream_close(struct xk_stream *s) { xk_vchan_close((struct xk_vchan *)s); }

static const struct xk_stream_ops vchan_stream_ops = {
    XK_STREAM_VERSION, stream_read, stream_write, stream_arm, stream_shutdown, stream_close,
};

struct xk_stream *xk_vchan_stream(struct xk_vchan *v) { return &v->stream; }

struct xk_vchan *xk_vchan_of(struct xk_stream *s) { return s->ops == &vchan_stream_ops ? (struct xk_vchan *)s : NULL; }
