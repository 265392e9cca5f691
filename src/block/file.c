/* An image in a file (file.h): reads and writes wait for it. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/file.h>

#include "block/image.h"

struct file_image {
    struct xk__image image; /* first */
    struct xk_file *file;
};

static int data(struct xk_file *f, struct xk_blk_request *r)
{
    uint64_t at = r->sector * XK_SECTOR;

    for (unsigned k = 0; k < r->pieces; at += r->piece[k++].len) {
        struct xk_blk_piece *p = &r->piece[k];
        int n = r->op == XK_BLK_READ ? xk_file_read(f, p->base, p->len, at) : xk_file_write(f, p->base, p->len, at);
        if (n < 0)
            return n;
        if (r->op == XK_BLK_READ && (uint32_t)n < p->len)
            memset((uint8_t *)p->base + n, 0, p->len - (uint32_t)n); /* it was cut short since it was opened */
    }
    return r->flags & XK_BLK_FUA ? xk_file_sync(f) : 0;
}

static int run(struct xk__image *i, struct xk_blk_request *r)
{
    struct xk_file *f = ((struct file_image *)i)->file;

    return r->op == XK_BLK_FLUSH ? xk_file_sync(f) : data(f, r);
}

static void fini(struct xk__image *i) { xk_file_close(((struct file_image *)i)->file); }

int xk_block_file(const xk_alloc *alloc, struct xk_file *file, unsigned features, struct xk_blkdev **out)
{
    int64_t size = xk_file_size(file);
    struct file_image *f = size < XK_SECTOR ? NULL : (struct file_image *)xk__image_new(alloc, sizeof(*f), run, fini);

    if (!f) {
        xk_file_close(file);
        return size < 0 ? (int)size : size < XK_SECTOR ? XK_EINVAL : XK_ENOMEM;
    }
    f->file = file;
    f->image.dev.info.sectors = (uint64_t)size / XK_SECTOR;
    f->image.dev.info.features = XK_BLK_CAN_FLUSH | (features & (XK_BLK_READONLY | XK_BLK_REMOVABLE | XK_BLK_CDROM));
    *out = &f->image.dev;
    return 0;
}
