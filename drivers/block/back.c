/* The disk's back half. In this file:
 *   1. a request's pages   2. from the wire to the device   3. answers   4. barriers   5. the ring   6. life
 *
 * A *task* is a request that was taken off the ring and whose answer is not on it yet: there are as many as the ring
 * has slots. SPDX-License-Identifier: MIT */
#include <xenkit/blkback.h>
#include <xenkit/ring.h>

#include "base/shared.h"
#include "drivers/block/pages.h"
#include "drivers/block/proto.h"

enum {
    BATCH = 16,
    SETTLE = XK_RING_SETTLE_BYTES / BLK_ANSWER_MAX,
    KEEP = 1056,
    FEW = 8,    /* requests, to begin with where the device has nothing to do */
    ROUND = 256 /* before others have their turn */
};
#define NO_ROOM_WAIT (5 * XK_MS)     /* until it is tried again to map a request's pages, when no answer comes before */
#define NO_ROOM_MAX (10 * XK_SECOND) /* after that it is an error */

struct task {
    struct xk_blk_request r; /* first */
    struct xk_blkback *back;
    struct task *free;
    uint64_t id;
    struct xk_piece *piece;
    struct blk_page **page; /* of each piece, or NULL: it is one of (mapped) */
    void *mapped;
    uint32_t at; /* which entry of the ring it stands in */
    struct task *next_answer;
    int16_t status;
    uint16_t mapped_pages;
    uint8_t op; /* as the answer says it: of an indirect request the one that is meant, as Linux wants it */
};

struct xk_blkback {
    struct xk_blkback_config config;
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_platform *platform;
    const struct blk_abi *abi;
    struct xk_ring_back ring;
    void *ring_page;
    struct blk_pages pages;
    struct task *tasks, *free_task;
    struct task **entry;              /* who stands in each entry of the ring */
    struct task *answered, **answers; /* that are not on the ring yet; where the next is put */
    struct xk_piece *pieces;
    struct blk_page **piece_pages;
    unsigned max_pieces;
    struct xk_port_watch watch;
    struct xk_spinner spinner;
    struct xk_defer later; /* answers that came outside of our own turn are shown at the end of the loop's */
    struct xk_blkback_stats stats;
    void (*closed)(void *arg);
    void *closed_arg;
    struct task *barrier; /* what came before it is under way still, or it is itself; what comes after waits */
    struct xk_blk_request flush;
    enum { DRAINING, FLUSHING, WRITING } stage; /* of the barrier */
    int held;                                   /* there may be requests that wait for it */
    int starved;                                /* there is no room for the next request's pages */
    xk_time starved_since;
    struct xk_timer room;
    struct xk_keeper keeper;
    int broken, busy, closing;
};

/* --- 1. a request's pages ----------------------------------------------------------------------------------------- */

static void release(struct task *t)
{
    for (unsigned i = 0; i < t->r.pieces; i++)
        if (t->page[i])
            blk_pages_put(t->page[i]);
    if (t->mapped)
        xk_page_unmap(t->back->platform, t->mapped, t->mapped_pages);
    t->mapped = NULL;
    t->mapped_pages = 0;
    t->r.pieces = 0;
}

static int no_room(int err) { return err == XK_ENOMEM || err == XK_ENOSPC; }

static void give_back(struct xk_keeper *k) { blk_pages_give_back(&XK_CONTAINER(k, struct xk_blkback, keeper)->pages); }

/* A page that stays. If there is no room, pages that nobody uses now go, of other disks, too. */
static int get_page(struct xk_blkback *b, xk_gref ref, struct blk_page **out)
{
    int r = blk_pages_get(&b->pages, ref, out);

    if (!no_room(r))
        return r;
    xk_loop_give_back(b->loop);
    return blk_pages_get(&b->pages, ref, out);
}

static int map_pages(struct xk_blkback *b, const xk_gref *ref, unsigned n, unsigned flags, void **addr)
{
    int r;

    b->stats.maps++;
    r = xk_page_map(b->platform, b->config.front, ref, n, flags, NULL, addr);
    if (!no_room(r))
        return r;
    xk_loop_give_back(b->loop);
    return xk_page_map(b->platform, b->config.front, ref, n, flags, NULL, addr);
}

/* Those that cannot stay, in one call. (of): which piece each belongs to. */
static int map_rest(struct task *t, const xk_gref *ref, const uint16_t *of, unsigned n)
{
    struct xk_blkback *b = t->back;
    unsigned flags = t->r.op == XK_BLK_WRITE ? XK_PAGE_READONLY : 0; /* we read what is to be written */
    int r;

    if (n == 0)
        return 0;
    r = map_pages(b, ref, n, flags, &t->mapped);
    if (r < 0) {
        t->mapped = NULL;
        return r;
    }
    t->mapped_pages = (uint16_t)n;
    for (unsigned i = 0; i < n; i++)
        t->piece[of[i]].base = (uint8_t *)t->mapped + (size_t)i * XK_PAGE_SIZE + (uintptr_t)t->piece[of[i]].base;
    return 0;
}

/* Memory for (n) segments. The segments have been checked. */
static int map_segments(struct task *t, const struct blk_segment *seg, unsigned n)
{
    xk_gref rest[XK_BLKBACK_PIECES_MAX];
    uint16_t of[XK_BLKBACK_PIECES_MAX];
    unsigned left = 0;
    int r;

    for (unsigned i = 0; i < n; i++) {
        size_t offset = (size_t)seg[i].first * XK_SECTOR;
        t->page[i] = NULL;
        t->r.pieces++;
        t->piece[i].len = (seg[i].last - seg[i].first + 1u) * XK_SECTOR;
        r = get_page(t->back, seg[i].gref, &t->page[i]);
        if (r == 0) {
            t->piece[i].base = t->page[i]->addr + offset;
            continue;
        }
        if (r != XK_EAGAIN && r != XK_EACCES) /* it may be granted for reading alone */
            return r;
        t->piece[i].base = (void *)(uintptr_t)offset;
        rest[left] = seg[i].gref;
        of[left++] = (uint16_t)i;
    }
    return map_rest(t, rest, of, left);
}

/* Segments that stand in pages of their own: copied, so that they can be checked. */
static int copy_indirect(struct xk_blkback *b, const struct blk_wire *w, struct blk_segment *seg)
{
    unsigned pages = (w->segments + BLK_PER_PAGE - 1u) / BLK_PER_PAGE;

    for (unsigned i = 0, left = w->segments; i < pages; i++) {
        unsigned n = left < BLK_PER_PAGE ? left : BLK_PER_PAGE;
        struct blk_page *page;
        void *addr;
        int r = get_page(b, w->page[i], &page);
        if (r == 0) {
            xk_shared_copy_out(seg, page->addr, n * sizeof(*seg));
            blk_pages_put(page);
        } else {
            r = map_pages(b, &w->page[i], 1, XK_PAGE_READONLY, &addr);
            if (r < 0)
                return r;
            xk_shared_copy_out(seg, addr, n * sizeof(*seg));
            xk_page_unmap(b->platform, addr, 1);
        }
        seg += n;
        left -= n;
    }
    return 0;
}

/* --- 2. from the wire to the device ------------------------------------------------------------------------------- */

static int check_segments(const struct blk_segment *seg, unsigned n, uint64_t *sectors)
{
    *sectors = 0;
    for (unsigned i = 0; i < n; i++) {
        if (seg[i].first > seg[i].last || seg[i].last >= BLK_SECTORS_PAGE)
            return XK_EINVAL;
        *sectors += seg[i].last - seg[i].first + 1u;
    }
    return 0;
}

static int start_data(struct task *t, const struct blk_wire *w)
{
    struct blk_segment far[XK_BLKBACK_PIECES_MAX];
    const struct blk_segment *seg = w->indirect ? far : w->seg;
    unsigned most = w->indirect ? t->back->config.max_pieces : BLK_SEGMENTS;
    int r = 0;

    t->r.op = w->op == BLK_READ ? XK_BLK_READ : XK_BLK_WRITE;
    if (w->segments == 0 || w->segments > most)
        return XK_EINVAL;
    if (t->r.op == XK_BLK_WRITE && t->back->config.readonly)
        return XK_EROFS;
    if (w->indirect)
        r = copy_indirect(t->back, w, far);
    if (r == 0)
        r = check_segments(seg, w->segments, &t->r.sectors);
    return r < 0 ? r : map_segments(t, seg, w->segments);
}

static int start_barrier(struct task *t, const struct blk_wire *w)
{
    int r = w->indirect ? XK_EINVAL : w->segments ? start_data(t, w) : 0;

    t->r.op = XK_BLK_WRITE;
    t->r.flags = t->back->config.device->info.features & XK_BLK_CAN_FLUSH ? XK_BLK_FUA : 0;
    if (r < 0)
        return r;
    t->back->barrier = t;
    t->back->stage = DRAINING;
    t->back->held = 1;
    return 0;
}

static int start(struct task *t, const struct blk_wire *w)
{
    struct xk_blkback *b = t->back;
    int r = 0;

    t->r.sector = w->sector;
    t->r.sectors = 0;
    t->r.flags = 0;
    if (w->op == BLK_READ || w->op == BLK_WRITE) {
        r = start_data(t, w);
    } else if (w->op == BLK_FLUSH && !w->indirect && w->segments == 0) {
        t->r.op = XK_BLK_FLUSH;
    } else if (w->op == BLK_DISCARD && !w->indirect) {
        t->r.op = XK_BLK_DISCARD;
        t->r.sectors = w->count;
        t->r.flags = w->flags & BLK_SECURE ? XK_BLK_SECURE : 0;
        r = b->config.readonly ? XK_EROFS : 0;
    } else if (w->op == BLK_BARRIER) {
        r = start_barrier(t, w);
    } else {
        r = w->op == BLK_FLUSH ? XK_ENOSYS : XK_EINVAL;
    }
    if (r == 0 && t != b->barrier)
        r = xk_blk_submit(b->config.device, &t->r);
    if (r < 0)
        return r;
    b->stats.requests[t->r.op]++;
    if (t->r.op <= XK_BLK_WRITE)
        b->stats.bytes[t->r.op] += t->r.sectors * XK_SECTOR;
    return 0;
}

/* --- 3. answers --------------------------------------------------------------------------------------------------- */

static int16_t status_of(int err) { return err == 0 ? BLK_OKAY : err == XK_ENOSYS ? BLK_UNSUPPORTED : BLK_ERROR; }

static void answer(struct task *t, int err)
{
    struct xk_blkback *b = t->back;

    release(t);
    t->status = status_of(err);
    t->next_answer = NULL;
    *b->answers = t;
    b->answers = &t->next_answer;
    b->stats.errors += err != 0;
    b->stats.under_way--;
}

/* Some of them onto the ring. Whether the front end wants to be notified. */
static int settle(struct xk_blkback *b, struct task **answered)
{
    uint8_t answers[SETTLE * BLK_ANSWER_MAX];
    uint32_t place[SETTLE], n = 0, mask = b->ring.count - 1;

    for (struct task *t = *answered; t && n < SETTLE; t = *answered, n++) {
        const struct blk_answer a = {t->id, t->op, t->status};
        blk_answer_write(b->abi, answers + (size_t)n * b->abi->response, &a);
        place[n] = t->at;
        b->entry[t->at] = b->entry[(b->ring.rsp_prod + n) & mask]; /* the ring does the same with what stands there */
        b->entry[t->at]->at = t->at;
        *answered = t->next_answer;
        t->free = b->free_task;
        b->free_task = t;
    }
    return xk_ring_back_settle(&b->ring, answers, b->abi->response, place, n);
}

/* An answer takes the place of a request. So it is put there only when it is shown: should this process be killed, the
 * next one finds all requests that were not answered. */
static void show(struct xk_blkback *b)
{
    int notify = 0;

    while (b->answered && !b->broken)
        notify |= settle(b, &b->answered);
    b->answered = NULL;
    b->answers = &b->answered;
    if (notify) {
        b->stats.notified++;
        xk_evtchn_notify(b->platform, b->watch.port);
    }
}

static void done(struct xk_blk_request *r, int err)
{
    struct xk_blkback *b = ((struct task *)r)->back;

    answer((struct task *)r, err);
    if ((struct task *)r == b->barrier)
        b->barrier = NULL;
    if (!b->busy)
        xk_defer_start(b->loop, &b->later);
}

/* --- 4. barriers -------------------------------------------------------------------------------------------------- */

/* The barrier's next step: a flush of what came before it, then its own data, then its answer. */
static void step(struct xk_blkback *b, int err)
{
    struct xk_blkdev *d = b->config.device;
    struct task *t = b->barrier;

    if (err == 0 && b->stage == DRAINING && d->info.features & XK_BLK_CAN_FLUSH) {
        b->stage = FLUSHING;
        err = xk_blk_submit(d, &b->flush);
        if (err == 0) {
            xk_blk_kick(d);
            return;
        }
    }
    if (err == 0 && t->r.pieces) {
        b->stage = WRITING;
        err = xk_blk_submit(d, &t->r);
        if (err == 0) {
            xk_blk_kick(d);
            return;
        }
    }
    done(&t->r, err);
}

static void flushed(struct xk_blk_request *r, int err) { step(XK_CONTAINER(r, struct xk_blkback, flush), err); }

static void try_barrier(struct xk_blkback *b)
{
    if (b->barrier && b->stage == DRAINING && b->stats.under_way == 1)
        step(b, 0);
}

/* --- 5. the ring -------------------------------------------------------------------------------------------------- */

/* Pages of others will be unmapped, but not for ever is it waited for that. */
static int may_wait(struct xk_blkback *b)
{
    xk_time now = xk_now(b->platform);

    if (b->starved_since == 0)
        b->starved_since = now;
    return now - b->starved_since < NO_ROOM_MAX && xk_timer_start(b->loop, &b->room, now + NO_ROOM_WAIT) == 0;
}

/* 0: there is no room for it now. */
static int take_one(struct xk_blkback *b, const uint8_t *slot, uint32_t at)
{
    struct task *t = b->free_task;
    struct blk_wire w;
    int r;

    b->free_task = t->free;
    b->stats.under_way++;
    if (b->stats.under_way > b->stats.most_under_way)
        b->stats.most_under_way = b->stats.under_way;
    blk_request_read(b->abi, slot, &w);
    t->id = w.id;
    t->op = w.op;
    t->at = at & (b->ring.count - 1);
    b->entry[t->at] = t;
    t->r.pieces = 0;
    r = start(t, &w);
    if (no_room(r) && may_wait(b)) {
        release(t);
        b->stats.under_way--;
        t->free = b->free_task;
        b->free_task = t;
        b->starved = b->held = 1;
        return 0;
    }
    b->starved_since = 0;
    if (r < 0) {
        b->stats.refused++;
        answer(t, r);
    }
    return 1;
}

static void break_it(struct xk_blkback *b)
{
    b->broken = 1;
    xk_spinner_stop(&b->spinner);
    if (b->config.broken)
        b->config.broken(b->config.arg, XK_EPEER);
}

/* A device that has nothing to do gets a few requests at once, and is at work while the rest is taken: else the two
 * halves and the device wait for each other in turn. Not so where a kick costs more than that. */
static int most_now(const struct xk_blkback *b)
{
    return b->stats.under_way || b->config.device->info.features & XK_BLK_DEAR_KICK ? ROUND : FEW;
}

/* Takes what is there, up to a bound. How many, or XK_EPEER. */
static int receive(struct xk_blkback *b)
{
    uint8_t slots[BATCH * BLK_SLOT_MAX];
    int n, all = 0, most = most_now(b);

    while (!b->barrier && !b->starved && all < most &&
           (n = xk_ring_back_take(&b->ring, slots, most < BATCH ? (unsigned)most : BATCH)) != XK_EAGAIN) {
        uint32_t first = b->ring.req_cons - (uint32_t)n;
        int i = 0;
        if (n < 0)
            return n;
        while (i < n && !b->barrier && take_one(b, slots + (size_t)i * b->abi->slot, first + (uint32_t)i))
            i++;
        xk_ring_back_untake(&b->ring, (uint32_t)(n - i));
        all += i;
    }
    if (all)
        xk_blk_kick(b->config.device);
    try_barrier(b);
    return all;
}

static void finish_closing(struct xk_blkback *b);

static int work(struct xk_blkback *b, int sleeping)
{
    int n;

    if (b->broken || b->closing)
        return 0;
    b->busy++;
    n = receive(b);
    show(b);
    if (b->held && !b->barrier && !b->starved)
        xk_defer_start(b->loop, &b->later); /* what waited has its turn */
    else if (n == 0 && sleeping && !b->held)
        n = xk_ring_back_rearm(&b->ring);
    b->busy--;
    if (n < 0)
        break_it(b);
    return n > 0;
}

static int on_spin(struct xk_spinner *s, int sleeping)
{
    return work(XK_CONTAINER(s, struct xk_blkback, spinner), sleeping);
}

static void on_awake(struct xk_spinner *s) { xk_ring_back_unarm(&XK_CONTAINER(s, struct xk_blkback, spinner)->ring); }

static void on_event(struct xk_port_watch *w)
{
    struct xk_blkback *b = XK_CONTAINER(w, struct xk_blkback, watch);

    b->stats.events++;
    if (!work(b, 0))
        b->stats.idle_events++;
}

static void on_room(struct xk_timer *t)
{
    struct xk_blkback *b = XK_CONTAINER(t, struct xk_blkback, room);

    xk_defer_start(b->loop, &b->later);
}

static void on_later(struct xk_defer *d)
{
    struct xk_blkback *b = XK_CONTAINER(d, struct xk_blkback, later);

    b->busy++;
    try_barrier(b);
    b->busy--;
    show(b);
    if (b->held && !b->barrier) {
        b->held = b->starved = 0;
        work(b, 0);
    }
    if (b->closing && b->stats.under_way == 0)
        finish_closing(b);
}

/* --- 6. life ------------------------------------------------------------------------------------------------------ */

static void destroy(struct xk_blkback *b)
{
    xk_alloc alloc = b->alloc;

    xk_spinner_stop(&b->spinner);
    xk_defer_stop(b->loop, &b->later);
    xk_timer_stop(b->loop, &b->room);
    xk_keeper_stop(&b->keeper);
    if (b->watch.port > 0) {
        xk_port_watch_stop(b->loop, &b->watch);
        xk_evtchn_unbind(b->platform, b->watch.port);
    }
    blk_pages_fini(&b->pages);
    if (b->ring_page)
        xk_page_unmap(b->platform, b->ring_page, b->config.ring_pages);
    if (b->tasks)
        xk_free(&alloc, b->tasks, b->ring.count * sizeof(*b->tasks));
    if (b->entry)
        xk_free(&alloc, b->entry, b->ring.count * sizeof(struct task *));
    if (b->pieces)
        xk_free(&alloc, b->pieces, (size_t)b->ring.count * b->max_pieces * sizeof(*b->pieces));
    if (b->piece_pages)
        xk_free(&alloc, b->piece_pages, (size_t)b->ring.count * b->max_pieces * sizeof(*b->piece_pages));
    xk_free(&alloc, b, sizeof(*b));
}

static void finish_closing(struct xk_blkback *b)
{
    void (*closed)(void *arg) = b->closed;
    void *arg = b->closed_arg;

    destroy(b);
    if (closed)
        closed(arg);
}

static int make_tasks(struct xk_blkback *b)
{
    size_t n = b->ring.count;

    b->tasks = xk_new(&b->alloc, n * sizeof(*b->tasks));
    b->entry = xk_new(&b->alloc, n * sizeof(struct task *));
    b->pieces = xk_new(&b->alloc, n * b->max_pieces * sizeof(*b->pieces));
    b->piece_pages = xk_new(&b->alloc, n * b->max_pieces * sizeof(*b->piece_pages));
    if (!b->tasks || !b->entry || !b->pieces || !b->piece_pages)
        return XK_ENOMEM;
    for (size_t i = n; i-- > 0;) {
        struct task *t = &b->tasks[i];
        t->r.done = done;
        t->r.piece = t->piece = b->pieces + i * b->max_pieces;
        t->page = b->piece_pages + i * b->max_pieces;
        t->back = b;
        t->free = b->free_task;
        b->free_task = t;
    }
    return 0;
}

/* Once the port is ours: as long as it is another's, that may be alive and write there. */
static int attach(struct xk_blkback *b, size_t bytes)
{
    int r = xk_ring_back_take_up(&b->ring, b->ring_page, bytes, b->abi->slot);

    if (r == 1)
        xk_evtchn_notify(b->platform, b->watch.port);
    return r < 0 ? r : 0;
}

static int make(struct xk_blkback *b)
{
    const struct xk_blkback_config *c = &b->config;
    int r = blk_pages_init(&b->pages, &b->alloc, b->platform, c->front, c->persistent ? c->keep ? c->keep : KEEP : 0);

    if (r == 0)
        r = xk_page_map(b->platform, c->front, c->ring, c->ring_pages, 0, NULL, &b->ring_page);
    if (r < 0) {
        b->ring_page = NULL;
        return r;
    }
    r = b->watch.port = xk_evtchn_bind(b->platform, c->front, c->port);
    if (r >= 0)
        r = attach(b, c->ring_pages * (size_t)XK_PAGE_SIZE);
    if (r == 0)
        r = make_tasks(b);
    if (r == 0)
        r = xk_port_watch_start(b->loop, &b->watch, b->watch.port);
    return r;
}

int xk_blkback_open(const xk_alloc *alloc, struct xk_loop *loop, const struct xk_blkback_config *config,
                    struct xk_blkback **out)
{
    unsigned n = config->ring_pages;
    struct xk_blkback *b;
    int r;

    if (n == 0 || n > XK_BLKBACK_RING_MAX || n & (n - 1) || config->abi > XK_BLK_ABI_32 ||
        config->max_pieces > XK_BLKBACK_PIECES_MAX)
        return XK_EINVAL;
    b = xk_new(alloc, sizeof(*b));
    if (!b)
        return XK_ENOMEM;
    b->config = *config;
    b->alloc = alloc ? *alloc : *xk_alloc_libc();
    b->loop = loop;
    b->platform = xk_loop_platform(loop);
    b->abi = config->abi == XK_BLK_ABI_32 ? &blk_abi_32 : &blk_abi_64;
    b->max_pieces = config->max_pieces > BLK_SEGMENTS ? config->max_pieces : BLK_SEGMENTS;
    b->answers = &b->answered;
    b->watch.fn = on_event;
    b->spinner.fn = on_spin;
    b->spinner.awake = on_awake;
    b->later.fn = on_later;
    b->room.fn = on_room;
    b->keeper.fn = give_back;
    b->flush = (struct xk_blk_request){.done = flushed, .op = XK_BLK_FLUSH};
    r = make(b);
    if (r < 0) {
        destroy(b);
        return r;
    }
    xk_spinner_start(loop, &b->spinner);
    xk_keeper_start(loop, &b->keeper);
    *out = b;
    return 0;
}

void xk_blkback_close(struct xk_blkback *b, void (*closed)(void *arg), void *arg)
{
    b->closing = 1;
    b->closed = closed;
    b->closed_arg = arg;
    xk_spinner_stop(&b->spinner);
    if (b->stats.under_way == 0) {
        show(b);
        finish_closing(b);
    } else {
        xk_defer_start(b->loop, &b->later); /* a barrier may wait for nothing more */
    }
}

void xk_blkback_stats(const struct xk_blkback *b, struct xk_blkback_stats *out)
{
    *out = b->stats;
    out->kept = b->pages.kept;
    out->maps += b->pages.maps;
}
