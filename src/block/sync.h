/* block/sync.h - requests to a device that answers while it is kicked, as images do. SPDX-License-Identifier: MIT */
#ifndef XK_BLOCK_SYNC_H
#define XK_BLOCK_SYNC_H

#include <xenkit/blkdev.h>

/* One request with one piece of memory. What it answers; XK_ENOSYS: this device answers later. */
int xk__blk_now(struct xk_blkdev *d, enum xk_blk_op op, uint64_t sector, void *buf, size_t bytes);

/* A flush, where the device knows such a thing. */
int xk__blk_flush_now(struct xk_blkdev *d);

#endif
