/* drivers/block/front.h - what a disk that outlives its rings asks of one. SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_BLOCK_FRONT_H
#define XK_DRIVERS_BLOCK_FRONT_H

#include <xenkit/blkfront.h>

#include "base/list.h"

/* xk__blkfront_take_back (f) - all requests that are not done, in the order of their tags, then those that wait, as if
 * they had never been submitted. (f) is not used afterwards but to close it. */
struct xk_blk_request *xk__blkfront_take_back(struct xk_blkfront *f);

/* Before it is connected: the back end offers barriers and no flush. */
void xk__blkfront_flush_by_barrier(struct xk_blkfront *f);

#endif
