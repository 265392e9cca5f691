/* drivers/block/queues.h - the rings of a front end's disk, together. SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_BLOCK_QUEUES_H
#define XK_DRIVERS_BLOCK_QUEUES_H

#include <xenkit/vbd.h>

struct blk_queues {
    struct xk_blkfront *ring[XK_VBD_QUEUES];
    unsigned count;
    unsigned at;      /* the ring that requests go to now */
    unsigned waiting; /* bits 1 << ring: has requests that were not kicked */
};

/* blk_queues_submit (q, r) - (r), whole, goes onto one ring: the same one as long as that has not eight more to do than
 * another, so that a batch is one notification and neighbours on the disk stay together. What is submitted from an
 * answer goes onto the ring of that. blk_queues_kick: the rings that were given something. */
void blk_queues_submit(struct blk_queues *q, struct xk_blk_request *r);
void blk_queues_kick(struct blk_queues *q);

/* blk_queues_fail (q, err) - all requests, of all rings, end with (err). */
void blk_queues_fail(struct blk_queues *q, int err);

/* blk_queues_end (q) - there are no rings any more. What was not answered, as if it had never been submitted: no order
 * holds between requests that were under way together. */
struct xk_blk_request *blk_queues_end(struct blk_queues *q);

/* blk_queues_stats (q, out) - of all rings together. */
void blk_queues_stats(const struct blk_queues *q, struct xk_blkfront_stats *out);

#endif
