/* An image in memory. SPDX-License-Identifier: MIT */
#include <string.h>

#include "block/image.h"

struct memory {
    struct xk__image image; /* first */
    uint8_t *blocks;
    size_t bytes;
};

static int run(struct xk__image *i, struct xk_blk_request *r)
{
    uint8_t *at = ((struct memory *)i)->blocks + r->sector * XK_SECTOR;

    if (r->op == XK_BLK_DISCARD)
        memset(at, 0, r->sectors * XK_SECTOR);
    for (unsigned k = 0; k < r->pieces; at += r->piece[k++].len)
        if (r->op == XK_BLK_READ)
            memcpy(r->piece[k].base, at, r->piece[k].len);
        else
            memcpy(at, r->piece[k].base, r->piece[k].len);
    return 0;
}

static void fini(struct xk__image *i)
{
    struct memory *m = (struct memory *)i;
    xk_free(&i->alloc, m->blocks, m->bytes);
}

int xk_block_memory(const xk_alloc *alloc, uint64_t sectors, struct xk_blkdev **out)
{
    struct memory *m;

    if (sectors == 0 || sectors > SIZE_MAX / XK_SECTOR)
        return XK_EINVAL;
    m = (struct memory *)xk__image_new(alloc, sizeof(*m), run, fini);
    if (!m)
        return XK_ENOMEM;
    m->bytes = (size_t)sectors * XK_SECTOR;
    m->blocks = xk_new(alloc, m->bytes);
    if (!m->blocks) {
        m->bytes = 0;
        xk_blk_close(&m->image.dev);
        return XK_ENOMEM;
    }
    m->image.dev.info.sectors = sectors;
    m->image.dev.info.features = XK_BLK_CAN_DISCARD | XK_BLK_CAN_SECURE;
    m->image.dev.info.discard_granularity = XK_SECTOR;
    *out = &m->image.dev;
    return 0;
}
