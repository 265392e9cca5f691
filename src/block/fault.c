/* A device that fails as it is told, for those who test what stands on it. SPDX-License-Identifier: MIT */
#include "block/layer.h"

struct fault {
    struct xk__layer layer; /* first */
    struct xk_blk_fault what;
    uint64_t count, seed;
};

static uint64_t roll(struct fault *f)
{
    f->seed ^= f->seed << 13;
    f->seed ^= f->seed >> 7;
    f->seed ^= f->seed << 17;
    return f->seed;
}

static int pass(struct xk__layer *l, struct xk_blk_request *r)
{
    struct fault *f = (struct fault *)l;
    const struct xk_blk_fault *w = &f->what;

    if (w->ops && !(w->ops & 1u << r->op))
        return 0;
    if (w->sectors && (r->sector + r->sectors <= w->first || r->sector >= w->first + w->sectors))
        return 0;
    f->count++;
    if (w->after && f->count <= w->after)
        return 0;
    return w->one_in && roll(f) % w->one_in ? 0 : w->err ? w->err : XK_EIO;
}

int xk_block_fault(const xk_alloc *alloc, struct xk_blkdev *below, const struct xk_blk_fault *what,
                   struct xk_blkdev **out)
{
    struct fault *f = (struct fault *)xk__layer_new(alloc, sizeof(*f), below, pass, NULL);

    if (!f)
        return XK_ENOMEM;
    f->what = *what;
    f->seed = what->seed ? what->seed : 88172645463325252u;
    *out = &f->layer.dev;
    return 0;
}
