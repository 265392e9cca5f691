/* A disk with a write cache of its own, for those who test what a cut of the power leaves. What is written is kept
 * here, and goes below in any order: now and then a sector, sometimes only its first part, and all of it at a flush.
 * When the device ends, by a close or with its process, what is still here is lost.
 *
 * So of what was not flushed each sector is as it was, as any write since then left it, or torn: its first part is new
 * and the rest garbage. One write of a sector is under way at a time, as devices below have no order.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "block/layer.h"

enum { SECTORS = 4096 /* in the cache */, AT_ONCE = 32 /* on their way below */, TRIES = 4, NONE = 0xffff };

struct cached {
    uint64_t sector;
    uint16_t next; /* of its bucket, or of the free ones */
    uint8_t used;
    uint8_t leaving, changed; /* a copy is on its way below; it was written since */
    uint8_t clean;            /* it is below, and kept for reads that began before */
    uint8_t data[XK_SECTOR];
};

struct leaving {
    struct xk_blk_request r; /* first */
    struct power *of;
    struct leaving *free;
    struct xk_piece piece;
    uint16_t slot;
    uint8_t torn;
    uint8_t data[XK_SECTOR];
};

struct power {
    struct xk__layer layer; /* first */
    uint64_t seed;
    unsigned used, clean, top; /* slots; (top): that were ever used */
    unsigned reads; /* that are below */
    int err; /* of a write that nobody waited for: the next flush's answer */
    uint16_t bucket[SECTORS], free_slot;
    struct leaving pool[AT_ONCE], *free;
    struct cached slot[SECTORS];
};

static unsigned roll(struct power *p, unsigned n)
{
    p->seed ^= p->seed << 13;
    p->seed ^= p->seed >> 7;
    p->seed ^= p->seed << 17;
    return (unsigned)((p->seed >> 20) % n);
}

/* --- the cache ---------------------------------------------------------------------------------------------------- */

static uint16_t *bucket_of(struct power *p, uint64_t sector) { return &p->bucket[sector % SECTORS]; }

static uint16_t find(struct power *p, uint64_t sector)
{
    uint16_t i = *bucket_of(p, sector);

    while (i != NONE && p->slot[i].sector != sector)
        i = p->slot[i].next;
    return i;
}

static void keep(struct power *p, uint64_t sector, const uint8_t *data)
{
    uint16_t i = find(p, sector);
    struct cached *c;

    if (i == NONE) {
        i = p->free_slot;
        c = &p->slot[i];
        p->free_slot = c->next;
        *c = (struct cached){.sector = sector, .next = *bucket_of(p, sector), .used = 1};
        *bucket_of(p, sector) = i;
        p->used++;
        p->top = p->top > i + 1u ? p->top : i + 1u;
    }
    c = &p->slot[i];
    c->changed = c->leaving;
    p->clean -= c->clean;
    c->clean = 0;
    memcpy(c->data, data, XK_SECTOR);
}

static void forget(struct power *p, uint16_t i)
{
    uint16_t *at = bucket_of(p, p->slot[i].sector);

    while (*at != i)
        at = &p->slot[*at].next;
    *at = p->slot[i].next;
    p->clean -= p->slot[i].clean;
    p->slot[i].used = 0;
    p->slot[i].next = p->free_slot;
    p->free_slot = i;
    p->used--;
}

/* A read that is below may bring what was there before. */
static void forget_clean(struct power *p)
{
    for (uint16_t i = 0; i < p->top && p->clean && !p->reads; i++)
        if (p->slot[i].used && p->slot[i].clean)
            forget(p, i);
}

/* Sector by sector through the pieces. */
static void copy(struct power *p, struct xk_blk_request *r)
{
    uint64_t sector = r->sector;

    for (unsigned i = 0; i < r->pieces; i++)
        for (uint32_t at = 0; at < r->piece[i].len; at += XK_SECTOR, sector++) {
            uint8_t *user = (uint8_t *)r->piece[i].base + at;
            uint16_t k = r->op == XK_BLK_READ ? find(p, sector) : NONE;
            if (r->op == XK_BLK_WRITE)
                keep(p, sector, user);
            else if (k != NONE)
                memcpy(user, p->slot[k].data, XK_SECTOR);
        }
}

/* --- the way below ------------------------------------------------------------------------------------------------ */

static void on_left(struct xk_blk_request *r, int err)
{
    struct leaving *l = (struct leaving *)r;
    struct power *p = l->of;
    struct cached *c = &p->slot[l->slot];

    c->leaving = 0;
    p->err = err && !p->err ? err : p->err;
    if (!err && !l->torn && !c->changed) {
        p->clean += c->clean = 1;
        forget_clean(p);
    }
    l->free = p->free;
    p->free = l;
    if (p->layer.head)
        xk__layer_go(&p->layer);
}

static void send_below(struct power *p, uint16_t i, int torn)
{
    struct leaving *l = p->free;
    struct cached *c = &p->slot[i];

    p->free = l->free;
    l->slot = i;
    l->torn = (uint8_t)torn;
    memcpy(l->data, c->data, XK_SECTOR);
    for (unsigned k = torn ? roll(p, XK_SECTOR) : XK_SECTOR; k < XK_SECTOR; k++)
        l->data[k] = (uint8_t)roll(p, 256);
    l->r = (struct xk_blk_request){
        .done = on_left, .sector = c->sector, .sectors = 1, .piece = &l->piece, .pieces = 1, .op = XK_BLK_WRITE};
    c->leaving = 1;
    c->changed = 0;
    if (xk_blk_submit(p->layer.below, &l->r) < 0)
        on_left(&l->r, XK_EIO); /* cannot be: the sector was written here */
}

static int waits(const struct cached *c) { return c->used && !c->leaving && !c->clean; }

static void some_leave(struct power *p)
{
    for (unsigned n = roll(p, TRIES); n > 0 && p->free && p->top; n--) {
        uint16_t i = (uint16_t)roll(p, p->top);
        if (waits(&p->slot[i]))
            send_below(p, i, roll(p, 4) == 0);
    }
}

/* @return 0: nothing is here any more; XK_EAGAIN: some is on its way; XK_E...: some could not go */
static int all_leave(struct power *p)
{
    int err = p->err;

    p->err = 0;
    if (err)
        return err;
    for (uint16_t i = 0; i < p->top && p->free; i++)
        if (waits(&p->slot[i]))
            send_below(p, i, 0);
    return p->used > p->clean ? XK_EAGAIN : 0;
}

static int pass(struct xk__layer *layer, struct xk_blk_request *r)
{
    struct power *p = (struct power *)layer;
    int rc;

    if (r->op == XK_BLK_READ) {
        p->reads++;
        return 0;
    }
    if (r->op == XK_BLK_DISCARD)
        return 1; /* it may read as before */
    if (r->op == XK_BLK_FLUSH || r->flags & XK_BLK_FUA)
        return all_leave(p);
    if (r->sectors > SECTORS)
        return XK_E2BIG;
    if (r->sectors > SECTORS - p->used && (rc = all_leave(p)) != 0)
        return rc;
    if (r->sectors > SECTORS - p->used)
        return XK_EAGAIN; /* clean ones: until the reads are done */
    copy(p, r);
    some_leave(p);
    return 1;
}

static void after(struct xk__layer *layer, struct xk_blk_request *r, int err)
{
    struct power *p = (struct power *)layer;

    if (r->op != XK_BLK_READ)
        return;
    if (err == 0)
        copy(p, r);
    p->reads--;
    forget_clean(p);
}

int xk_block_power(const xk_alloc *alloc, struct xk_blkdev *below, uint64_t seed, struct xk_blkdev **out)
{
    struct power *p;

    if (below->info.logical > XK_SECTOR) {
        xk_blk_close(below);
        return XK_EINVAL;
    }
    p = (struct power *)xk__layer_new(alloc, sizeof(*p), below, pass, NULL);
    if (!p)
        return XK_ENOMEM;
    p->layer.after = after;
    p->seed = seed ? seed : 88172645463325252u;
    memset(p->bucket, 0xff, sizeof(p->bucket));
    for (uint16_t i = 0; i < SECTORS; i++)
        p->slot[i].next = i + 1 < SECTORS ? (uint16_t)(i + 1) : NONE;
    for (int i = AT_ONCE; i-- > 0;) {
        p->pool[i].of = p;
        p->pool[i].piece = (struct xk_piece){p->pool[i].data, XK_SECTOR};
        p->pool[i].free = p->free;
        p->free = &p->pool[i];
    }
    p->layer.dev.info.features |= XK_BLK_CAN_FLUSH;
    *out = &p->layer.dev;
    return 0;
}
