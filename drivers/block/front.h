/* drivers/block/front.h - what a disk that outlives its rings asks of one. SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_BLOCK_FRONT_H
#define XK_DRIVERS_BLOCK_FRONT_H

#include <xenkit/blkfront.h>

#include "base/list.h"

/* xk__blkfront_take_back (f) - all requests that are not done, in the order of their tags, then those that wait, as if
 * they had never been submitted. (f) is not used afterwards but to close it. */
struct xk_blk_request *xk__blkfront_take_back(struct xk_blkfront *f);

/* xk__blkfront_load (f) - how many requests it has on the ring, in parts, and waiting for it. */
unsigned xk__blkfront_load(const struct xk_blkfront *f);

/* Whether it is taking answers, after which it sends what was submitted meanwhile without a kick. */
int xk__blkfront_answers(const struct xk_blkfront *f);

/* Before it is connected: the back end offers barriers and no flush. */
void xk__blkfront_flush_by_barrier(struct xk_blkfront *f);

#endif
