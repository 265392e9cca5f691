/* So many requests and bytes a second, no more: two buckets that fill with time and hold a tenth of a second, or one
 * request. SPDX-License-Identifier: MIT */
#include "base/list.h"
#include "block/layer.h"

enum { REQUESTS, BYTES, BUCKETS };

struct throttle {
    struct xk__layer layer; /* first */
    struct xk_loop *loop;
    struct xk_timer timer;
    uint64_t rate[BUCKETS]; /* a second; 0: no limit */
    int64_t level[BUCKETS]; /* in billionths */
    xk_time filled;
};

static const int64_t UNIT = 1000000000;

static int64_t most(const struct throttle *t, int i) { return (int64_t)t->rate[i] * (UNIT / 10); }

static void fill(struct throttle *t)
{
    xk_time now = xk_now(xk_loop_platform(t->loop)), past = now - t->filled;

    t->filled = now;
    for (int i = 0; i < BUCKETS; i++) {
        int64_t rate = (int64_t)t->rate[i], full = rate ? (most(t, i) - t->level[i]) / rate + 1 : 0;
        t->level[i] += rate * (past < full ? past : full); /* no more than fills it, so that nothing overflows */
        t->level[i] = t->level[i] < most(t, i) ? t->level[i] : most(t, i);
    }
}

/* A bucket may go below zero by one request, and has to come up again: so one that is larger than it gets through. */
static int pass(struct xk__layer *l, struct xk_blk_request *r)
{
    struct throttle *t = (struct throttle *)l;
    uint64_t cost[BUCKETS] = {1, r->op <= XK_BLK_WRITE ? r->sectors * XK_SECTOR : 0};
    xk_time wait = 0;

    fill(t);
    for (int i = 0; i < BUCKETS; i++)
        if (t->rate[i] && t->level[i] < 0) {
            xk_time w = -t->level[i] / (int64_t)t->rate[i] + 1;
            wait = w > wait ? w : wait;
        }
    if (wait) {
        xk_timer_start(t->loop, &t->timer, t->filled + wait);
        return XK_EAGAIN;
    }
    for (int i = 0; i < BUCKETS; i++)
        if (t->rate[i])
            t->level[i] -= (int64_t)cost[i] * UNIT;
    return 0;
}

static void on_timer(struct xk_timer *timer) { xk__layer_go(&XK_CONTAINER(timer, struct throttle, timer)->layer); }

static void fini(struct xk__layer *l)
{
    struct throttle *t = (struct throttle *)l;
    xk_timer_stop(t->loop, &t->timer);
}

int xk_block_throttle(const xk_alloc *alloc, struct xk_loop *loop, struct xk_blkdev *below, uint64_t requests,
                      uint64_t bytes, struct xk_blkdev **out)
{
    struct throttle *t;

    if (requests > UINT32_MAX || bytes > UINT32_MAX * 16ull) {
        xk_blk_close(below);
        return XK_EINVAL;
    }
    t = (struct throttle *)xk__layer_new(alloc, sizeof(*t), below, pass, fini);
    if (!t)
        return XK_ENOMEM;
    t->loop = loop;
    t->timer.fn = on_timer;
    t->rate[REQUESTS] = requests;
    t->rate[BYTES] = bytes;
    t->level[REQUESTS] = most(t, REQUESTS);
    t->level[BYTES] = most(t, BYTES);
    t->filled = xk_now(xk_loop_platform(loop));
    *out = &t->layer.dev;
    return 0;
}
