/* A disk's two halves in a fake world: domain 1 has the front end, domain 2 the back end over a disk that the test can
 * hold back. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_BLOCK_PAIR_H
#define XK_TESTS_BLOCK_PAIR_H

#include <xenkit/blkback.h>
#include <xenkit/blkfront.h>

#include "tests/c/tap.h" /* first */

#include "tests/c/platform/world.h"

/* A disk that can keep requests until it is told to go on. */
struct slow {
    struct xk_blkdev dev; /* first */
    struct xk_blkdev *below;
    struct xk_blk_request *held[512];
    int hold, n, closed, running;
    int kicks, at_kick[64]; /* so many were held at the first kicks */
};

static void slow_submit(struct xk_blkdev *d, struct xk_blk_request *r)
{
    struct slow *s = (struct slow *)d;

    OK(s->n < 512);
    s->held[s->n++] = r;
}

static void slow_pass(struct slow *s, struct xk_blk_request *r)
{
    s->below->ops->submit(s->below, r);
    s->below->ops->kick(s->below);
}

/* The last one first: answers come in another order than requests. */
static inline void slow_go(struct slow *s)
{
    while (s->n)
        slow_pass(s, s->held[--s->n]);
}

static void slow_kick(struct xk_blkdev *d)
{
    struct slow *s = (struct slow *)d;

    if (s->kicks < 64)
        s->at_kick[s->kicks++] = s->n;
    if (s->running)
        return; /* what is submitted from an answer is passed on by the kick that is under way */
    s->running = 1;
    for (int i = 0; i < s->n && !s->hold; i++)
        slow_pass(s, s->held[i]);
    s->n = s->hold ? s->n : 0;
    s->running = 0;
}

static void slow_close(struct xk_blkdev *d) { xk_blk_close(((struct slow *)d)->below); }

static const struct xk_blkdev_ops slow_ops = {XK_BLKDEV_VERSION, slow_submit, slow_kick, slow_close, NULL, NULL};

struct pair {
    struct world w;
    struct xk_loop *front_loop, *back_loop;
    struct slow disk;
    struct xk_blkfront *front;
    struct xk_blkback *back;
    struct xk_blkdev *dev; /* the front end's */
    struct xk_blkfront_config fc;
    struct xk_blkback_config bc;
    int front_broken, back_broken, back_closed;
};

enum { PAIR_SECTORS = 4096 };

static void pair_front_broken(void *arg, int err) { ((struct pair *)arg)->front_broken = err; }
static void pair_back_broken(void *arg, int err) { ((struct pair *)arg)->back_broken = err; }
static void pair_back_closed(void *arg) { ((struct pair *)arg)->back_closed++; }

static inline void pair_world(struct pair *p)
{
    memset(p, 0, sizeof(*p));
    world_open_fake(&p->w);
    EQ(xk_loop_create(NULL, p->w.dom[1], &p->front_loop), 0);
    EQ(xk_loop_create(NULL, p->w.dom[2], &p->back_loop), 0);
    p->disk.dev.ops = &slow_ops;
    EQ(xk_block_memory(NULL, PAIR_SECTORS, &p->disk.below), 0);
    p->disk.dev.info = p->disk.below->info;
    p->disk.dev.info.features |= XK_BLK_CAN_FLUSH; /* the memory below has nothing to do for it */
    p->fc.back = 2;
    p->bc.persistent = 1;
}

static inline int pair_front(struct pair *p)
{
    int r = xk_blkfront_create(xk_fake_alloc(p->w.fake), p->front_loop, &p->fc, &p->front);

    if (r == 0) {
        p->dev = xk_blkfront_device(p->front);
        xk_blkfront_on_broken(p->front, pair_front_broken, p);
    }
    return r;
}

static inline int pair_back(struct pair *p)
{
    p->bc.device = &p->disk.dev;
    p->bc.front = 1;
    p->bc.ring_pages = (uint8_t)xk_blkfront_ring(p->front, p->bc.ring);
    p->bc.port = xk_blkfront_port(p->front);
    p->bc.broken = pair_back_broken;
    p->bc.arg = p;
    return xk_blkback_open(xk_fake_alloc(p->w.fake), p->back_loop, &p->bc, &p->back);
}

static inline void pair_open(struct pair *p)
{
    EQ(pair_front(p), 0);
    EQ(pair_back(p), 0);
    xk_blkfront_connect(p->front, &p->disk.dev.info, p->bc.max_pieces);
}

/* Both loops, until neither has anything to do. */
static inline void pair_run(struct pair *p)
{
    for (int idle = 0; idle < 3;)
        idle = xk_loop_run_once(p->front_loop, XK_NOW) + xk_loop_run_once(p->back_loop, XK_NOW) > 0 ? 0 : idle + 1;
}

static inline void pair_close(struct pair *p)
{
    if (p->front)
        xk_blk_close(p->dev);
    if (p->back)
        xk_blkback_close(p->back, pair_back_closed, p);
    if (p->back)
        EQ(p->back_closed, 1);
    xk_blk_close(&p->disk.dev);
    xk_loop_destroy(p->front_loop);
    xk_loop_destroy(p->back_loop);
    world_close(&p->w);
}

/* --- requests --- */

struct ask {
    struct xk_blk_request r;
    struct xk_piece piece[8];
    int done, err;
};

static void ask_done(struct xk_blk_request *r, int err)
{
    struct ask *a = (struct ask *)r;

    a->done++;
    a->err = err;
}

static inline int ask_put(struct xk_blkdev *d, struct ask *a, int op, uint64_t sector, void *buf, size_t bytes)
{
    memset(a, 0, sizeof(*a));
    a->err = 1;
    a->piece[0] = (struct xk_piece){buf, (uint32_t)bytes};
    a->r = (struct xk_blk_request){
        .done = ask_done, .sector = sector, .sectors = bytes / XK_SECTOR, .piece = a->piece, .op = (uint8_t)op};
    a->r.pieces = op <= XK_BLK_WRITE;
    return xk_blk_submit(d, &a->r);
}

/* One request from beginning to end. */
static inline int ask(struct pair *p, int op, uint64_t sector, void *buf, size_t bytes)
{
    struct ask a;
    int r = ask_put(p->dev, &a, op, sector, buf, bytes);

    if (r < 0)
        return r;
    xk_blk_kick(p->dev);
    pair_run(p);
    EQ(a.done, 1);
    return a.err;
}

#endif
