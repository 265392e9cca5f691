/* The rings of one disk. SPDX-License-Identifier: MIT */
#include "drivers/block/queues.h"

#include <string.h>

#include "drivers/block/front.h"

enum { STRIDE = 8 /* requests that a ring may have more than the one that has the fewest */ };

static unsigned pick(const struct blk_queues *q)
{
    unsigned at = q->at, least = 0, load[XK_VBD_QUEUES] = {0};

    for (unsigned i = 0; i < q->count; i++) {
        load[i] = xk__blkfront_load(q->ring[i]);
        if (load[i] < load[least])
            least = i;
        if (xk__blkfront_answers(q->ring[i]))
            at = i;
    }
    return load[at] >= load[least] + STRIDE ? least : at;
}

void blk_queues_submit(struct blk_queues *q, struct xk_blk_request *r)
{
    struct xk_blkdev *d;

    if (q->count > 1) {
        q->at = pick(q);
        q->waiting |= 1u << q->at;
    }
    d = xk_blkfront_device(q->ring[q->at]);
    d->ops->submit(d, r);
}

void blk_queues_kick(struct blk_queues *q)
{
    unsigned waiting = q->waiting;

    if (q->count == 1) {
        xk_blk_kick(xk_blkfront_device(q->ring[0]));
        return;
    }
    q->waiting = 0;
    for (unsigned i = 0; waiting; i++, waiting >>= 1)
        if (waiting & 1)
            xk_blk_kick(xk_blkfront_device(q->ring[i]));
}

void blk_queues_fail(struct blk_queues *q, int err)
{
    for (unsigned i = 0; i < q->count; i++)
        xk_blkfront_fail(q->ring[i], err);
}

struct xk_blk_request *blk_queues_end(struct blk_queues *q)
{
    struct xk_blk_request *first = NULL, **last = &first;

    for (unsigned i = 0; i < q->count; i++) {
        *last = xk__blkfront_take_back(q->ring[i]);
        while (*last)
            last = &(*last)->next;
        xk_blk_close(xk_blkfront_device(q->ring[i]));
    }
    q->count = q->at = q->waiting = 0;
    return first;
}

void blk_queues_stats(const struct blk_queues *q, struct xk_blkfront_stats *out)
{
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < q->count; i++) {
        struct xk_blkfront_stats s;
        xk_blkfront_stats(q->ring[i], &s);
        for (int op = 0; op < XK_BLK_OPS; op++)
            out->requests[op] += s.requests[op];
        for (int way = 0; way < 2; way++)
            out->bytes[way] += s.bytes[way];
        out->errors += s.errors;
        out->notified += s.notified;
        out->events += s.events;
        out->full += s.full;
        out->copied += s.copied;
        out->under_way += s.under_way;
        out->waiting += s.waiting;
    }
}
