/* A disk with a write cache of its own, for those who test what a cut of the power leaves. What is written is kept
 * here, and goes below in any order: now and then a sector, or all of a write, sometimes only the first part of a
 * sector; and all of it at a flush. When the device ends what is still here is lost.
 *
 * So of what was not flushed each sector is as it was, as any write since then left it, or torn: its first part is new
 * and the rest garbage. How much goes below by itself, from nothing to nearly all, is chosen with the seed, once. One
 * write of a sector is under way at a time, as devices below have no order. SPDX-License-Identifier: MIT */
#include <string.h>

#include "block/layer.h"

enum { SECTORS = 4096 /* in the cache */, AT_ONCE = 256 /* on their way below */, NONE = 0xffff };
enum { EAGER = 4 /* of how many writes so many go below at once: 0 .. EAGER */ };

struct cached {
    uint64_t sector;
    uint16_t next, place;     /* of its bucket, or of the free ones; in (list) */
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
    unsigned eager;
    unsigned used, clean;    /* slots */
    unsigned reads, through; /* that are below; (through): writes that pass by the cache */
    int err;                 /* of a sector that nobody waited for: the answer to the next one who waits */
    uint16_t bucket[SECTORS], list[SECTORS], free_slot;
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

static uint16_t new_slot(struct power *p, uint64_t sector)
{
    uint16_t i = p->free_slot;
    struct cached *c = &p->slot[i];

    p->free_slot = c->next;
    *c = (struct cached){.sector = sector, .next = *bucket_of(p, sector), .place = (uint16_t)p->used};
    *bucket_of(p, sector) = i;
    p->list[p->used++] = i;
    return i;
}

static void keep(struct power *p, uint64_t sector, const uint8_t *data)
{
    uint16_t i = find(p, sector);
    struct cached *c = &p->slot[i != NONE ? i : new_slot(p, sector)];

    c->changed = c->leaving;
    p->clean -= c->clean;
    c->clean = 0;
    memcpy(c->data, data, XK_SECTOR);
}

static void forget(struct power *p, uint16_t i)
{
    struct cached *c = &p->slot[i];
    uint16_t *at = bucket_of(p, c->sector), last = p->list[--p->used];

    while (*at != i)
        at = &p->slot[*at].next;
    *at = c->next;
    p->list[c->place] = last;
    p->slot[last].place = c->place;
    p->clean -= c->clean;
    c->next = p->free_slot;
    p->free_slot = i;
}

/* A read that is below may bring what was there before. */
static void forget_clean(struct power *p)
{
    for (unsigned k = p->used; k-- > 0 && p->clean && !p->reads;)
        if (p->slot[p->list[k]].clean)
            forget(p, p->list[k]);
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
    xk__layer_own_done(&p->layer);
}

static void send_below(struct power *p, uint16_t i, int torn)
{
    struct leaving *l = p->free;
    struct cached *c = &p->slot[i];

    if (!l || c->leaving || c->clean)
        return;
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
    xk__layer_own(&p->layer, &l->r);
}

/* After a write: all of it, or some of what there is. */
static void some_leave(struct power *p, const struct xk_blk_request *r)
{
    if (roll(p, EAGER) < p->eager)
        for (uint64_t k = 0; k < r->sectors; k++)
            send_below(p, find(p, r->sector + k), roll(p, 16) == 0);
    for (unsigned n = p->eager ? roll(p, 4) : 0; n > 0 && p->used; n--)
        send_below(p, p->list[roll(p, p->used)], roll(p, 4) == 0);
}

/* @return 0: nothing is here that is not below; XK_EAGAIN: some is on its way; XK_E...: some could not go */
static int all_leave(struct power *p)
{
    int err = p->err;

    p->err = 0;
    if (err)
        return err;
    for (unsigned k = 0; k < p->used && p->free; k++)
        send_below(p, p->list[k], 0);
    return p->used > p->clean ? XK_EAGAIN : 0;
}

/* What passes by the cache finds nothing in it that would hide it, and writes after it wait, as below they might come
 * first. */
static int pass_by(struct power *p, struct xk_blk_request *r)
{
    int rc = all_leave(p);

    if (rc)
        return rc;
    if (p->used)
        return XK_EAGAIN; /* clean: until the reads are done */
    if (!(p->layer.below->info.features & XK_BLK_CAN_FLUSH))
        r->flags &= (uint8_t)~XK_BLK_FUA;
    p->through++;
    return 0;
}

static int pass_write(struct power *p, struct xk_blk_request *r)
{
    int rc = 0;

    if (p->through)
        return XK_EAGAIN;
    if (r->flags & XK_BLK_FUA || r->sectors > SECTORS)
        return pass_by(p, r);
    if (r->sectors > SECTORS - p->used && (rc = all_leave(p)) == 0)
        return XK_EAGAIN; /* as above */
    if (rc)
        return rc;
    copy(p, r);
    some_leave(p, r);
    return 1;
}

static int pass(struct xk__layer *layer, struct xk_blk_request *r)
{
    struct power *p = (struct power *)layer;
    int rc;

    switch (r->op) {
    case XK_BLK_READ:
        p->reads++;
        return 0;
    case XK_BLK_WRITE:
        return pass_write(p, r);
    case XK_BLK_FLUSH:
        rc = all_leave(p);
        return rc == 0 && !(layer->below->info.features & XK_BLK_CAN_FLUSH) ? 1 : rc;
    default:
        return 1; /* a discard: it may read as before */
    }
}

static void after(struct xk__layer *layer, struct xk_blk_request *r, int err)
{
    struct power *p = (struct power *)layer;

    p->through -= r->op == XK_BLK_WRITE;
    if (r->op != XK_BLK_READ)
        return;
    if (err == 0)
        copy(p, r);
    p->reads--;
    forget_clean(p);
}

static struct power *power_of(struct xk_blkdev *d) { return (struct power *)d; }

uint64_t xk_block_power_at_risk(struct xk_blkdev *d) { return power_of(d)->used - power_of(d)->clean; }

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
    for (int i = 0; i < 4; i++)
        p->eager = roll(p, EAGER + 1);
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
    p->layer.dev.info.features &= ~(uint32_t)XK_BLK_CAN_SECURE;
    *out = &p->layer.dev;
    return 0;
}
