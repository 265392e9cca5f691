/* A disk that loses power: what was written since the last flush is, sector by sector, as it was, as any writing since
 * then left it, torn between two of these, or garbage. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_BLOCK_CUT_H
#define XK_TESTS_BLOCK_CUT_H

#include "block/image.h"
#include "tests/c/tap.h"

struct cut_write {
    uint64_t sector;
    uint8_t data[XK_SECTOR];
};

struct cut {
    struct xk__image image; /* first */
    uint8_t *now, *durable;
    size_t bytes;
    struct cut_write *log; /* since the last flush */
    size_t n, cap;
    uint64_t rng;
    long requests, at; /* power goes at the request of this number; 0: never */
    long flushes, writes;
};

static uint64_t cut_roll(struct cut *c, uint64_t n)
{
    c->rng = c->rng * 6364136223846793005u + 1442695040888963407u;
    return (c->rng >> 33) % n;
}

static void cut_note(struct cut *c, uint64_t sector, const uint8_t *data)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 256;
        c->log = realloc(c->log, c->cap * sizeof(*c->log));
        OK(c->log != NULL);
    }
    c->log[c->n].sector = sector;
    memcpy(c->log[c->n++].data, data, XK_SECTOR);
}

static int cut_run(struct xk__image *i, struct xk_blk_request *r)
{
    struct cut *c = (struct cut *)i;
    uint8_t *at = c->now + r->sector * XK_SECTOR;

    if (c->at && ++c->requests >= c->at)
        return XK_EIO;
    if (r->op == XK_BLK_FLUSH) {
        memcpy(c->durable, c->now, c->bytes);
        c->n = 0;
        c->flushes++;
        return 0;
    }
    for (unsigned k = 0; k < r->pieces; at += r->piece[k++].len) {
        if (r->op == XK_BLK_READ) {
            memcpy(r->piece[k].base, at, r->piece[k].len);
            continue;
        }
        memcpy(at, r->piece[k].base, r->piece[k].len);
        for (uint32_t b = 0; b < r->piece[k].len; b += XK_SECTOR)
            cut_note(c, (uint64_t)(at + b - c->now) / XK_SECTOR, at + b);
    }
    c->writes += r->op == XK_BLK_WRITE;
    return 0;
}

static void cut_fini(struct xk__image *i)
{
    struct cut *c = (struct cut *)i;

    free(c->now);
    free(c->durable);
    free(c->log);
}

static inline struct cut *cut_new(uint64_t sectors, uint64_t seed)
{
    struct cut *c = (struct cut *)xk__image_new(NULL, sizeof(*c), cut_run, cut_fini);

    OK(c != NULL);
    c->bytes = sectors * XK_SECTOR;
    c->now = calloc(1, c->bytes);
    c->durable = calloc(1, c->bytes);
    OK(c->now && c->durable);
    c->rng = seed;
    c->image.dev.info.sectors = sectors;
    c->image.dev.info.features = XK_BLK_CAN_FLUSH;
    return c;
}

/* What the disk is found to hold when power is back. */
static inline void cut_power(struct cut *c)
{
    memcpy(c->now, c->durable, c->bytes);
    for (size_t i = 0; i < c->n; i++) { /* each writing in turn: lost, there, torn; the last word is anybody's */
        uint8_t *at = c->now + c->log[i].sector * XK_SECTOR;
        size_t half = cut_roll(c, XK_SECTOR);
        switch (cut_roll(c, 8)) {
        case 0:
        case 1:
        case 2:
            break;
        case 3:
            memcpy(at, c->log[i].data, half);
            break;
        case 4:
            for (unsigned k = 0; k < XK_SECTOR && cut_roll(c, 8) == 0; k++)
                at[k] = (uint8_t)cut_roll(c, 256);
            break;
        default:
            memcpy(at, c->log[i].data, XK_SECTOR);
        }
    }
    memcpy(c->durable, c->now, c->bytes);
    c->n = 0;
    c->at = 0;
}

#endif
