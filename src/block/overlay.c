/* What is written stays in memory, over a device that is only read. Memory is taken for 64 KiB at a time, with a bit
 * for each sector that was written there. SPDX-License-Identifier: MIT */
#include <string.h>

#include "block/layer.h"

enum { CHUNK = 128 /* sectors */ };

struct chunk {
    uint8_t written[CHUNK / 8];
    uint8_t data[CHUNK * XK_SECTOR];
};

struct overlay {
    struct xk__layer layer; /* first */
    struct chunk **chunk;
    uint64_t chunks, used, most; /* (used), (most): of them that have memory */
};

static struct chunk *chunk_of(struct overlay *o, uint64_t sector) { return o->chunk[sector / CHUNK]; }

static int is_written(const struct chunk *c, uint64_t sector)
{
    return c && c->written[sector % CHUNK / 8] >> (sector % 8) & 1;
}

/* Memory for all of it, before any of it is written. */
static int make_room(struct overlay *o, const struct xk_blk_request *r)
{
    for (uint64_t i = r->sector / CHUNK; i <= (r->sector + r->sectors - 1) / CHUNK; i++) {
        if (o->chunk[i])
            continue;
        if (o->used == o->most)
            return XK_ENOSPC;
        o->chunk[i] = xk_new(&o->layer.alloc, sizeof(struct chunk));
        if (!o->chunk[i])
            return XK_ENOMEM;
        o->used++;
    }
    return 0;
}

/* Sector by sector through the pieces: to memory, or what is there back. */
static void copy(struct overlay *o, struct xk_blk_request *r, int write)
{
    uint64_t sector = r->sector;

    for (unsigned i = 0; i < r->pieces; i++)
        for (uint32_t at = 0; at < r->piece[i].len; at += XK_SECTOR, sector++) {
            struct chunk *c = chunk_of(o, sector);
            uint8_t *user = (uint8_t *)r->piece[i].base + at;
            if (write) {
                memcpy(c->data + sector % CHUNK * XK_SECTOR, user, XK_SECTOR);
                c->written[sector % CHUNK / 8] |= (uint8_t)(1 << sector % 8);
            } else if (is_written(c, sector)) {
                memcpy(user, c->data + sector % CHUNK * XK_SECTOR, XK_SECTOR);
            }
        }
}

static int pass(struct xk__layer *l, struct xk_blk_request *r)
{
    struct overlay *o = (struct overlay *)l;
    int rc;

    if (r->op == XK_BLK_READ)
        return 0;
    if (r->op != XK_BLK_WRITE) /* a discard: it may read as before */
        return 1;
    rc = make_room(o, r);
    if (rc < 0)
        return rc;
    copy(o, r, 1);
    return 1;
}

static void after(struct xk__layer *l, struct xk_blk_request *r, int err)
{
    if (err == 0)
        copy((struct overlay *)l, r, 0);
}

static void fini(struct xk__layer *l)
{
    struct overlay *o = (struct overlay *)l;

    for (uint64_t i = 0; i < o->chunks && o->chunk; i++)
        xk_free(&l->alloc, o->chunk[i], sizeof(struct chunk));
    xk_free(&l->alloc, o->chunk, o->chunks * sizeof(*o->chunk));
}

int xk_block_overlay(const xk_alloc *alloc, struct xk_blkdev *below, uint64_t bytes, struct xk_blkdev **out)
{
    struct overlay *o = (struct overlay *)xk__layer_new(alloc, sizeof(*o), below, pass, fini);

    if (!o)
        return XK_ENOMEM;
    o->layer.after = after;
    o->chunks = (o->layer.dev.info.sectors + CHUNK - 1) / CHUNK;
    o->most = bytes / sizeof(struct chunk);
    o->chunk = o->chunks < SIZE_MAX / sizeof(*o->chunk) ? xk_new(alloc, o->chunks * sizeof(*o->chunk)) : NULL;
    if (!o->chunk) {
        xk_blk_close(&o->layer.dev);
        return XK_ENOMEM;
    }
    o->layer.dev.info.features = XK_BLK_CAN_DISCARD;
    o->layer.dev.info.discard_granularity = XK_SECTOR;
    *out = &o->layer.dev;
    return 0;
}
