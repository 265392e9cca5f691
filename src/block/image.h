/* block/image.h - what the images have in common that answer a request at once, when they are kicked.
 * SPDX-License-Identifier: MIT */
#ifndef XK_BLOCK_IMAGE_H
#define XK_BLOCK_IMAGE_H

#include <xenkit/blkdev.h>

struct xk__image {
    struct xk_blkdev dev; /* first */
    xk_alloc alloc;
    struct xk_blk_request *head, **tail;
    int running;
    size_t size;                                               /* of the whole structure */
    int (*run)(struct xk__image *i, struct xk_blk_request *r); /* 0 or XK_E... */
    int (*settle)(struct xk__image *i); /* NULL; else after the last request of a kick, and before any is answered: an
                                           error is the answer of all but reads */
    void (*fini)(struct xk__image *i);
    uint64_t (*next)(struct xk__image *i, uint64_t sector); /* NULL; else the first sector at or after (sector) that may
                                                               be other than zero */
};

/* xk__image_new (alloc, size, run, fini) - zeroes of (size) bytes that begin with a struct xk__image; the caller fills
 * dev.info. NULL: no memory. */
struct xk__image *xk__image_new(const xk_alloc *alloc, size_t size,
                                int (*run)(struct xk__image *i, struct xk_blk_request *r),
                                void (*fini)(struct xk__image *i));

/* What an image's dev.ops are, whatever image it is. */
const struct xk_blkdev_ops *xk__image_ops(void);

#endif
