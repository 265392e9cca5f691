/* The disk's front half. In this file:
 *   1. pages   2. requests onto the ring   3. answers off it   4. the device   5. life
 *
 * A *tag* is a request on the ring; its number is the id on the wire, so an answer is found, and checked, by it.
 * SPDX-License-Identifier: MIT */
#include <xenkit/blkfront.h>
#include <xenkit/ring.h>

#include "base/list.h"
#include "base/shared.h"
#include "drivers/block/front.h"
#include "drivers/block/proto.h"

enum { BATCH = 8, PIECES_MAX = 256, FLUSHED = 0x80 /* in flags of a request: the flush of its FUA is under way */ };

/* Pages granted to the back end, in one piece. The first region is the pool of single pages, others are memory that was
 * given out. */
struct region {
    struct region *next;
    uint8_t *addr;
    unsigned pages;
    size_t asked; /* bytes, as xk_blkdev_ops.memory was asked */
    xk_gref refs[];
};

struct part {      /* a segment */
    uint8_t *user; /* where the data of a read goes in the end; NULL: it is there already */
    uint16_t page, len;
};

struct tag {
    struct xk_blk_request *request;
    struct tag *free;
    uint16_t parts, index_page; /* (index_page): of the pool, for indirect segments; NO_PAGE */
    uint8_t op;
    struct part *part;
};

enum { NO_PAGE = 0xffff };

struct xk_blkfront {
    struct xk_blkdev dev; /* first */
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_platform *platform;
    struct xk_ring_front ring;
    void *ring_page;
    unsigned ring_pages, pool_pages, max_parts, wanted_parts;
    xk_domid back;
    xk_gref ring_refs[XK_BLKFRONT_RING_MAX];
    struct region *regions; /* the last is the pool */
    struct region *pool;
    uint16_t *free_page; /* a stack: the page that was used last is in the cache still */
    unsigned free_pages;
    struct tag *tags, *free_tag;
    struct part *parts;
    struct xk_blk_request *head, **tail;
    int barriers; /* the back end knows no flush: a barrier without data does as well */
    struct xk_port_watch watch;
    struct xk_spinner spinner;
    struct xk_defer later;
    struct xk_blkfront_stats stats;
    void (*broken)(void *arg, int err);
    void *broken_arg;
    int err;           /* why there is nothing more to be had, or 0 */
    int busy, closing; /* in calls of (done); closed by one of them */
};

/* --- 1. pages ----------------------------------------------------------------------------------------------------- */

static size_t region_bytes(unsigned pages) { return sizeof(struct region) + pages * sizeof(xk_gref); }

static struct region *region_new(struct xk_blkfront *f, unsigned pages)
{
    struct region *r = xk_new(&f->alloc, region_bytes(pages));
    void *addr;

    if (!r)
        return NULL;
    if (xk_page_share(f->platform, f->back, pages, 0, r->refs, &addr) < 0) {
        xk_free(&f->alloc, r, region_bytes(pages));
        return NULL;
    }
    r->addr = addr;
    r->pages = pages;
    r->next = f->regions;
    f->regions = r;
    return r;
}

static void region_drop(struct xk_blkfront *f, struct region *r)
{
    struct region **at = &f->regions;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    xk_page_forget(f->platform, r->addr, r->pages);
    xk_free(&f->alloc, r, region_bytes(r->pages));
}

/* The region of ours that (p) lies in, with at least (len) bytes from there, or NULL. */
static struct region *region_of(struct xk_blkfront *f, const uint8_t *p, size_t len)
{
    for (struct region *r = f->regions; r; r = r->next)
        if (r != f->pool && p >= r->addr && len <= (size_t)r->pages * XK_PAGE_SIZE &&
            (size_t)(p - r->addr) <= (size_t)r->pages * XK_PAGE_SIZE - len)
            return r;
    return NULL;
}

static uint8_t *page_at(struct xk_blkfront *f, unsigned page) { return f->pool->addr + (size_t)page * XK_PAGE_SIZE; }

static void *memory(struct xk_blkdev *d, size_t bytes)
{
    struct xk_blkfront *f = (struct xk_blkfront *)d;
    struct region *r = region_new(f, (unsigned)((bytes + XK_PAGE_SIZE - 1) / XK_PAGE_SIZE));

    if (r)
        r->asked = bytes;
    return r ? r->addr : NULL;
}

static void memory_free(struct xk_blkdev *d, void *p, size_t bytes)
{
    struct xk_blkfront *f = (struct xk_blkfront *)d;
    struct region *r = region_of(f, p, bytes);

    if (r)
        region_drop(f, r);
}

/* --- 2. requests onto the ring ------------------------------------------------------------------------------------ */

static struct tag *tag_take(struct xk_blkfront *f, struct xk_blk_request *r)
{
    struct tag *t = f->free_tag;

    f->free_tag = t->free;
    t->request = r;
    t->parts = 0;
    t->index_page = NO_PAGE;
    r->under_way++;
    f->stats.under_way++;
    f->spinner.awaits = XK_AWAITS_ANSWER;
    return t;
}

static void tag_drop(struct xk_blkfront *f, struct tag *t)
{
    if (t->index_page != NO_PAGE)
        f->free_page[f->free_pages++] = t->index_page;
    for (unsigned i = 0; i < t->parts; i++)
        if (t->part[i].page != NO_PAGE)
            f->free_page[f->free_pages++] = t->part[i].page;
    t->request = NULL;
    t->free = f->free_tag;
    f->free_tag = t;
    if (--f->stats.under_way == 0)
        f->spinner.awaits = XK_AWAITS_NOTHING;
}

/* The next segment, from byte (in) of the piece (p) on: at most to the end of a page and of the piece. Its length, or
 * 0: no page is free. */
static unsigned add_part(struct xk_blkfront *f, struct tag *t, const struct xk_piece *p, uint32_t in, int write,
                         struct blk_segment *seg)
{
    uint8_t *user = (uint8_t *)p->base + in;
    struct part *part = &t->part[t->parts];
    struct region *own = region_of(f, user, p->len - in);
    size_t offset = own ? (size_t)(user - own->addr) : 0;
    uint32_t len = XK_PAGE_SIZE - (own ? offset % XK_PAGE_SIZE : 0);

    len = len < p->len - in ? len : p->len - in;
    memset(seg, 0, sizeof(*seg));
    if (own && offset % XK_SECTOR == 0) {
        *part = (struct part){NULL, NO_PAGE, (uint16_t)len};
        seg->gref = own->refs[offset / XK_PAGE_SIZE];
        seg->first = (uint8_t)(offset % XK_PAGE_SIZE / XK_SECTOR);
    } else {
        if (f->free_pages == 0)
            return 0;
        *part = (struct part){user, f->free_page[--f->free_pages], (uint16_t)len};
        if (write)
            xk_shared_copy_in(page_at(f, part->page), user, len);
        f->stats.copied += len;
        seg->gref = f->pool->refs[part->page];
    }
    seg->last = (uint8_t)(seg->first + len / XK_SECTOR - 1);
    t->parts++;
    return len;
}

static uint64_t bytes_of(const struct xk_blk_request *r) { return r->sectors * XK_SECTOR; }

/* Segments of (r) from where it stands on, as many as there is room for; how many bytes. */
static uint64_t gather(struct xk_blkfront *f, struct xk_blk_request *r, struct tag *t, struct blk_segment *seg)
{
    unsigned room = t->index_page == NO_PAGE ? BLK_SEGMENTS : f->max_parts, n;
    const struct xk_piece *p = r->piece;
    uint64_t at = r->at, in = at;

    for (; in >= p->len; p++)
        in -= p->len;
    while (at < bytes_of(r) && t->parts < room) {
        n = add_part(f, t, p, (uint32_t)in, r->op == XK_BLK_WRITE, &seg[t->parts]);
        if (n == 0)
            break;
        at += n;
        in += n;
        if (in == p->len) {
            p++;
            in = 0;
        }
    }
    return at - r->at;
}

/* As much of a READ or WRITE as one request on the ring takes. XK_EAGAIN: not now. */
static int put_data(struct xk_blkfront *f, struct xk_blk_request *r, struct blk_wire *w)
{
    struct blk_segment seg[PIECES_MAX];
    struct tag *t = tag_take(f, r);
    uint64_t bytes;

    if (f->max_parts > BLK_SEGMENTS && f->free_pages && bytes_of(r) - r->at > BLK_SEGMENTS * XK_PAGE_SIZE)
        t->index_page = f->free_page[--f->free_pages];
    bytes = gather(f, r, t, seg);
    if (t->parts == 0) {
        tag_drop(f, t);
        r->under_way--;
        return XK_EAGAIN;
    }
    t->op = w->op = r->op == XK_BLK_READ ? BLK_READ : BLK_WRITE;
    w->id = (uint64_t)(t - f->tags);
    w->sector = r->sector + r->at / XK_SECTOR;
    w->segments = t->parts;
    if (t->parts > BLK_SEGMENTS) {
        w->indirect = 1;
        w->page[0] = f->pool->refs[t->index_page];
        xk_shared_copy_in(page_at(f, t->index_page), seg, t->parts * sizeof(seg[0]));
    } else {
        memcpy(w->seg, seg, t->parts * sizeof(seg[0]));
    }
    f->stats.bytes[r->op == XK_BLK_WRITE] += bytes;
    r->at += bytes;
    return 0;
}

static void put_plain(struct xk_blkfront *f, struct xk_blk_request *r, struct blk_wire *w)
{
    struct tag *t = tag_take(f, r);
    int flush = r->op == XK_BLK_FLUSH || r->flags & FLUSHED;

    w->id = (uint64_t)(t - f->tags);
    t->op = w->op = !flush ? BLK_DISCARD : f->barriers ? BLK_BARRIER : BLK_FLUSH;
    if (!flush) {
        w->sector = r->sector;
        w->count = r->sectors;
        w->flags = r->flags & XK_BLK_SECURE ? BLK_SECURE : 0;
    }
    r->at = r->op == XK_BLK_FLUSH ? 1 : bytes_of(r);
}

static int put(struct xk_blkfront *f, struct xk_blk_request *r)
{
    uint8_t slot[BLK_SLOT_MAX];
    struct blk_wire w;
    int rc = 0;

    memset(&w, 0, sizeof(w));
    if (r->op <= XK_BLK_WRITE && !(r->flags & FLUSHED))
        rc = put_data(f, r, &w);
    else
        put_plain(f, r, &w);
    if (rc < 0)
        return rc;
    blk_request_write(&blk_abi_64, slot, &w);
    f->stats.requests[r->flags & FLUSHED ? XK_BLK_FLUSH : r->op]++;
    return xk_ring_front_put(&f->ring, slot, 1) == 1 ? 0 : XK_EIO; /* there is a slot for each tag */
}

/* Whether all of it was put on the ring. */
static int whole(const struct xk_blk_request *r) { return r->at >= bytes_of(r) && (r->at || r->op != XK_BLK_FLUSH); }

static void publish(struct xk_blkfront *f)
{
    if (f->err || !xk_ring_front_publish(&f->ring))
        return;
    f->stats.notified++;
    xk_evtchn_notify(f->platform, f->watch.port);
}

/* A few at a time: the back end is at work while the rest is put there. */
static void send(struct xk_blkfront *f)
{
    unsigned n = 0;

    while (f->head && f->free_tag && xk_ring_front_free(&f->ring) && !f->err) {
        struct xk_blk_request *r = f->head;
        if (put(f, r) < 0)
            break;
        if (whole(r)) {
            f->head = r->next;
            if (!f->head)
                f->tail = &f->head;
            r->next = NULL;
            f->stats.waiting--;
        }
        if (++n % BATCH == 0)
            publish(f);
    }
    f->stats.full += f->head != NULL;
    publish(f);
}

/* --- 3. answers off the ring -------------------------------------------------------------------------------------- */

static void enqueue(struct xk_blkfront *f, struct xk_blk_request *r)
{
    r->next = NULL;
    *f->tail = r;
    f->tail = &r->next;
    f->stats.waiting++;
}

/* Nothing of (r) is on the ring any more. */
static void finish(struct xk_blkfront *f, struct xk_blk_request *r)
{
    int fua = r->op == XK_BLK_WRITE && r->flags & XK_BLK_FUA && f->dev.info.features & XK_BLK_CAN_FLUSH;

    if (fua && !(r->flags & FLUSHED) && r->err == 0 && !f->err) {
        r->flags |= FLUSHED;
        enqueue(f, r);
        return;
    }
    r->flags &= (uint8_t)~FLUSHED;
    f->stats.errors += r->err != 0;
    r->done(r, r->err);
}

static void fail_all(struct xk_blkfront *f, int err);

static void break_it(struct xk_blkfront *f)
{
    fail_all(f, XK_EPEER);
    if (f->broken && !f->closing) /* a (done) may have closed it, and its owner be gone */
        f->broken(f->broken_arg, XK_EPEER);
}

/* The back end cannot do what it offered: it is not asked again. */
static int unsupported(struct xk_blkfront *f, const struct tag *t)
{
    if (t->op == BLK_FLUSH || t->op == BLK_BARRIER)
        f->dev.info.features &= ~(uint32_t)XK_BLK_CAN_FLUSH;
    if (t->op == BLK_DISCARD)
        f->dev.info.features &= ~(uint32_t)(XK_BLK_CAN_DISCARD | XK_BLK_CAN_SECURE);
    return XK_ENOSYS;
}

static int answer(struct xk_blkfront *f, const struct blk_answer *a)
{
    struct tag *t = a->id < f->ring.count ? &f->tags[a->id] : NULL;
    struct xk_blk_request *r = t ? t->request : NULL;
    int err;

    /* Of an indirect request Linux says the operation that is meant, blkif.h the one in the slot. */
    if (!r || (a->op != t->op && !(a->op == BLK_INDIRECT && t->parts > BLK_SEGMENTS)))
        return XK_EPEER; /* of no request, or of another kind */
    err = a->status == BLK_OKAY ? 0 : a->status == BLK_UNSUPPORTED ? unsupported(f, t) : XK_EIO;
    for (unsigned i = 0; i < t->parts && err == 0 && r->op == XK_BLK_READ; i++)
        if (t->part[i].user)
            xk_shared_copy_out(t->part[i].user, page_at(f, t->part[i].page), t->part[i].len);
    tag_drop(f, t);
    if (r->err == 0)
        r->err = err;
    if (--r->under_way == 0 && whole(r))
        finish(f, r);
    return 0;
}

/* Takes some of what is there, and lets the back end have at once what (done) asked for. 1: something was there. */
static int receive(struct xk_blkfront *f)
{
    uint8_t slots[BATCH * BLK_SLOT_MAX];
    struct blk_answer a;
    int n = f->closing ? XK_EAGAIN : xk_ring_front_take(&f->ring, slots, BATCH);

    if (n == XK_EAGAIN)
        return 0;
    for (int i = 0; i < n && !f->err && !f->closing; i++) {
        blk_answer_read(&blk_abi_64, slots + (size_t)i * f->ring.slot, &a);
        if (answer(f, &a) < 0)
            n = XK_EPEER;
    }
    if (n < 0)
        break_it(f);
    send(f);
    return 1;
}

static void destroy(struct xk_blkfront *f);

/* Around all that calls (done), which may close the device. */
static void enter(struct xk_blkfront *f) { f->busy++; }
static void leave(struct xk_blkfront *f)
{
    if (--f->busy == 0 && f->closing)
        destroy(f);
}

static int work(struct xk_blkfront *f, int sleeping)
{
    int some;

    if (f->err)
        return 0;
    enter(f);
    some = receive(f);
    if (sleeping && !some && !f->err && !f->closing) {
        int more = xk_ring_front_rearm(&f->ring);
        if (more < 0)
            break_it(f);
        some = more != 0;
    }
    leave(f);
    return some;
}

static int on_spin(struct xk_spinner *s, int sleeping)
{
    return work(XK_CONTAINER(s, struct xk_blkfront, spinner), sleeping);
}

static void on_awake(struct xk_spinner *s)
{
    struct xk_blkfront *f = XK_CONTAINER(s, struct xk_blkfront, spinner);

    if (!f->err)
        xk_ring_front_unarm(&f->ring);
}

static void on_event(struct xk_port_watch *w)
{
    struct xk_blkfront *f = XK_CONTAINER(w, struct xk_blkfront, watch);

    f->stats.events++;
    work(f, 0);
}

/* --- 4. the device ------------------------------------------------------------------------------------------------ */

static void submit(struct xk_blkdev *d, struct xk_blk_request *r) { enqueue((struct xk_blkfront *)d, r); }

static void kick(struct xk_blkdev *d)
{
    struct xk_blkfront *f = (struct xk_blkfront *)d;

    if (f->err || f->busy) /* not from within (done): who submits again there would never come to an end */
        xk_defer_start(f->loop, &f->later);
    else
        send(f);
}

static void on_later(struct xk_defer *d)
{
    struct xk_blkfront *f = XK_CONTAINER(d, struct xk_blkfront, later);

    if (f->err)
        xk_blkfront_fail(f, f->err);
    else
        send(f);
}

static void front_close(struct xk_blkdev *d)
{
    struct xk_blkfront *f = (struct xk_blkfront *)d;

    f->closing = 1;
    xk_blkfront_fail(f, XK_ECANCELED);
}

static const struct xk_blkdev_ops ops = {XK_BLKDEV_VERSION, submit, kick, front_close, memory, memory_free};

/* --- 5. life ------------------------------------------------------------------------------------------------------ */

/* Requests that are submitted meanwhile fail, too, but in a later call: so that this ends. */
static void fail_all(struct xk_blkfront *f, int err)
{
    struct xk_blk_request *all = f->head, *r;

    f->err = f->err && !f->closing ? f->err : err;
    f->head = NULL;
    f->tail = &f->head;
    f->stats.waiting = 0;
    for (r = all; r; r = r->next)
        r->under_way += 1; /* as one that is on the ring: it ends in the same way */
    for (unsigned i = 0; i < f->ring.count; i++) {
        struct tag *t = &f->tags[i];
        if (!(r = t->request))
            continue;
        tag_drop(f, t);
        r->err = f->err;
        if (--r->under_way == 0)
            finish(f, r);
    }
    while ((r = all)) {
        all = r->next;
        r->next = NULL;
        r->err = f->err;
        r->under_way = 0;
        finish(f, r);
    }
}

void xk_blkfront_fail(struct xk_blkfront *f, int err)
{
    enter(f);
    fail_all(f, err);
    while (f->closing && f->head) /* what was submitted by those that were told */
        fail_all(f, err);
    leave(f);
}

struct xk_blk_request *xk__blkfront_take_back(struct xk_blkfront *f)
{
    struct xk_blk_request *all = NULL, **tail = &all, *r;

    for (unsigned i = 0; i < f->ring.count; i++) {
        r = f->tags[i].request;
        if (!r)
            continue;
        tag_drop(f, &f->tags[i]);
        if (--r->under_way || r == f->head) /* it has further tags, or a part of it waits */
            continue;
        r->next = NULL;
        *tail = r;
        tail = &r->next;
    }
    *tail = f->head;
    f->head = NULL;
    f->tail = &f->head;
    f->stats.waiting = 0;
    for (r = all; r; r = r->next) {
        r->at = 0;
        r->err = 0;
        r->flags &= (uint8_t)~FLUSHED;
    }
    f->err = f->err ? f->err : XK_ECANCELED;
    return all;
}

void xk_blkfront_on_broken(struct xk_blkfront *f, void (*broken)(void *arg, int err), void *arg)
{
    f->broken = broken;
    f->broken_arg = arg;
}

static void destroy(struct xk_blkfront *f)
{
    xk_alloc alloc = f->alloc;

    xk_spinner_stop(&f->spinner);
    xk_defer_stop(f->loop, &f->later);
    if (f->watch.port > 0) {
        xk_port_watch_stop(f->loop, &f->watch);
        xk_evtchn_unbind(f->platform, f->watch.port);
    }
    while (f->regions)
        region_drop(f, f->regions);
    if (f->ring_page)
        xk_page_forget(f->platform, f->ring_page, f->ring_pages);
    if (f->tags)
        xk_free(&alloc, f->tags, f->ring.count * sizeof(*f->tags));
    if (f->parts)
        xk_free(&alloc, f->parts, (size_t)f->ring.count * f->wanted_parts * sizeof(*f->parts));
    if (f->free_page)
        xk_free(&alloc, f->free_page, f->pool_pages * sizeof(*f->free_page));
    xk_free(&alloc, f, sizeof(*f));
}

static int make_tables(struct xk_blkfront *f, unsigned pages)
{
    f->tags = xk_new(&f->alloc, f->ring.count * sizeof(*f->tags));
    f->parts = xk_new(&f->alloc, (size_t)f->ring.count * f->wanted_parts * sizeof(*f->parts));
    f->pool = region_new(f, pages);
    if (f->pool)
        f->pool_pages = pages;
    f->free_page = f->pool ? xk_new(&f->alloc, pages * sizeof(*f->free_page)) : NULL;
    if (!f->tags || !f->parts || !f->free_page)
        return f->tags && f->parts && !f->pool ? XK_ENOSPC : XK_ENOMEM;
    for (unsigned i = f->ring.count; i-- > 0;) {
        f->tags[i].part = f->parts + (size_t)i * f->wanted_parts;
        f->tags[i].free = f->free_tag;
        f->free_tag = &f->tags[i];
    }
    for (unsigned i = pages; i-- > 0;)
        f->free_page[f->free_pages++] = (uint16_t)i;
    return 0;
}

static int make(struct xk_blkfront *f, const struct xk_blkfront_config *c)
{
    unsigned pages;
    int r = xk_page_share(f->platform, f->back, 1u << c->ring_order, 0, f->ring_refs, &f->ring_page);

    if (r < 0) {
        f->ring_page = NULL;
        return r;
    }
    f->ring_pages = 1u << c->ring_order;
    r = xk_ring_front_init(&f->ring, f->ring_page, f->ring_pages * (size_t)XK_PAGE_SIZE, blk_abi_64.slot);
    if (r < 0)
        return r;
    pages = c->pages ? c->pages : f->ring.count * BLK_SEGMENTS;
    pages = (pages < 1008 ? pages : 1008) / (c->rings ? c->rings : 1);
    r = make_tables(f, pages);
    if (r == 0)
        r = f->watch.port = xk_evtchn_alloc(f->platform, f->back);
    return r < 0 ? r : xk_port_watch_start(f->loop, &f->watch, f->watch.port);
}

int xk_blkfront_create(const xk_alloc *alloc, struct xk_loop *loop, const struct xk_blkfront_config *config,
                       struct xk_blkfront **out)
{
    struct xk_blkfront *f;
    int r;

    if (config->ring_order > BLK_RING_ORDER || config->max_pieces > PIECES_MAX || config->rings > XK_BLKFRONT_RINGS ||
        (config->pages && config->pages < 2 * (config->rings ? config->rings : 1)))
        return XK_EINVAL;
    f = xk_new(alloc, sizeof(*f));
    if (!f)
        return XK_ENOMEM;
    f->dev.ops = &ops;
    f->dev.info.logical = f->dev.info.physical = XK_SECTOR;
    f->alloc = alloc ? *alloc : *xk_alloc_libc();
    f->loop = loop;
    f->platform = xk_loop_platform(loop);
    f->back = config->back;
    f->wanted_parts = config->max_pieces > BLK_SEGMENTS ? config->max_pieces : BLK_SEGMENTS;
    f->max_parts = BLK_SEGMENTS;
    f->tail = &f->head;
    f->watch.fn = on_event;
    f->spinner.fn = on_spin;
    f->spinner.awake = on_awake;
    f->later.fn = on_later;
    r = make(f, config);
    if (r < 0) {
        destroy(f);
        return r;
    }
    *out = f;
    return 0;
}

unsigned xk_blkfront_ring(const struct xk_blkfront *f, xk_gref refs[XK_BLKFRONT_RING_MAX])
{
    memcpy(refs, f->ring_refs, f->ring_pages * sizeof(*refs));
    return f->ring_pages;
}

xk_port xk_blkfront_port(const struct xk_blkfront *f) { return f->watch.port; }

void xk_blkfront_connect(struct xk_blkfront *f, const struct xk_blk_info *info, unsigned max_pieces)
{
    f->dev.info = *info;
    f->max_parts = max_pieces < f->wanted_parts ? max_pieces : f->wanted_parts;
    if (f->max_parts < BLK_SEGMENTS)
        f->max_parts = BLK_SEGMENTS;
    f->dev.info.max_sectors = f->max_parts * BLK_SECTORS_PAGE;
    xk_spinner_start(f->loop, &f->spinner);
}

unsigned xk__blkfront_load(const struct xk_blkfront *f) { return f->stats.under_way + f->stats.waiting; }

int xk__blkfront_answers(const struct xk_blkfront *f) { return f->busy > 0; }

void xk__blkfront_flush_by_barrier(struct xk_blkfront *f) { f->barriers = 1; }

void xk_blkfront_resize(struct xk_blkfront *f, uint64_t sectors)
{
    f->dev.info.sectors = sectors;
    if (f->dev.changed)
        f->dev.changed(&f->dev);
}

struct xk_blkdev *xk_blkfront_device(struct xk_blkfront *f) { return &f->dev; }

void xk_blkfront_stats(const struct xk_blkfront *f, struct xk_blkfront_stats *out) { *out = f->stats; }
