/* block/file.h - one request on a file, done while the caller waits. SPDX-License-Identifier: MIT */
#ifndef XK_BLOCK_FILE_H
#define XK_BLOCK_FILE_H

#include <xenkit/blkdev.h>
#include <xenkit/file.h>

/* xk__file_do (file, r) - 0 or XK_E... Of a request that was cut short by the end of the file the rest reads as
 * zeroes. */
int xk__file_do(struct xk_file *f, const struct xk_blk_request *r);

/* xk__file_info (file, features, info) - what such a device can do. 0, or XK_EINVAL: it has not one sector; XK_E... */
int xk__file_info(struct xk_file *f, unsigned features, struct xk_blk_info *info);

#endif
