/* A part of a device, such as a partition. SPDX-License-Identifier: MIT */
#include "block/layer.h"

struct slice {
    struct xk__layer layer; /* first */
    uint64_t first;
};

static int pass(struct xk__layer *l, struct xk_blk_request *r)
{
    r->sector += ((struct slice *)l)->first;
    return 0;
}

int xk_block_slice(const xk_alloc *alloc, struct xk_blkdev *below, uint64_t first, uint64_t sectors,
                   struct xk_blkdev **out)
{
    uint64_t unit = below->info.logical / XK_SECTOR;
    struct slice *s;

    if (sectors == 0 || sectors > below->info.sectors || first > below->info.sectors - sectors || first % unit ||
        sectors % unit) {
        xk_blk_close(below);
        return XK_EINVAL;
    }
    s = (struct slice *)xk__layer_new(alloc, sizeof(*s), below, pass, NULL);
    if (!s)
        return XK_ENOMEM;
    s->first = first;
    s->layer.dev.info.sectors = sectors;
    *out = &s->layer.dev;
    return 0;
}
