/* What all block devices share: checking a request before any of them sees it, and waiting in line.
 * SPDX-License-Identifier: MIT */
#include <xenkit/blkdev.h>

#include <string.h>

static int check_data(const struct xk_blkdev *d, const struct xk_blk_request *r)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < r->pieces; i++) {
        if (r->piece[i].len == 0 || r->piece[i].len % XK_SECTOR || r->piece[i].len > UINT32_MAX)
            return XK_EINVAL;
        bytes += r->piece[i].len;
    }
    if (bytes != r->sectors * XK_SECTOR)
        return XK_EINVAL;
    return r->sector * XK_SECTOR % d->info.logical || bytes % d->info.logical ? XK_EINVAL : 0;
}

static int check(const struct xk_blkdev *d, const struct xk_blk_request *r)
{
    const struct xk_blk_info *info = &d->info;

    if (r->op == XK_BLK_FLUSH)
        return info->features & XK_BLK_CAN_FLUSH ? 0 : XK_ENOSYS;
    if (r->op >= XK_BLK_OPS)
        return XK_ENOSYS;
    if (r->sectors == 0 || r->sectors > info->sectors || r->sector > info->sectors - r->sectors)
        return XK_EINVAL;
    if (r->op != XK_BLK_READ && info->features & XK_BLK_READONLY)
        return XK_EROFS;
    if (r->op != XK_BLK_DISCARD)
        return check_data(d, r);
    if (!(info->features & XK_BLK_CAN_DISCARD))
        return XK_ENOSYS;
    return r->flags & XK_BLK_SECURE && !(info->features & XK_BLK_CAN_SECURE) ? XK_ENOSYS : 0;
}

int xk_blk_submit(struct xk_blkdev *d, struct xk_blk_request *r)
{
    int rc = check(d, r);

    if (rc < 0)
        return rc;
    r->next = NULL;
    r->at = 0;
    r->under_way = 0;
    r->err = 0;
    d->ops->submit(d, r);
    return 0;
}

void xk_blk_kick(struct xk_blkdev *d) { d->ops->kick(d); }

void xk_blk_close(struct xk_blkdev *d)
{
    if (d)
        d->ops->close(d);
}

/* --- in line ------------------------------------------------------------------------------------------------------ */

/* It has memory of its own: after a deadline the device may still hold it, and write there. */
struct waiting {
    struct xk_blk_request r;
    struct xk_piece piece;
    size_t bytes; /* of (data) */
    int done, err, abandoned;
    uint8_t data[];
};

static void waiting_free(struct waiting *w) { xk_free(NULL, w, sizeof(*w) + w->bytes); }

static void waited(struct xk_blk_request *r, int err)
{
    struct waiting *w = r->arg;

    w->done = 1;
    w->err = err;
    if (w->abandoned)
        waiting_free(w);
}

static struct waiting *waiting_new(enum xk_blk_op op, uint64_t sector, const void *buf, size_t bytes)
{
    size_t data = op == XK_BLK_READ || op == XK_BLK_WRITE ? bytes : 0;
    struct waiting *w = xk_new(NULL, sizeof(*w) + data);

    if (!w)
        return NULL;
    w->bytes = data;
    if (op == XK_BLK_WRITE)
        memcpy(w->data, buf, bytes);
    w->piece = (struct xk_piece){w->data, data};
    w->r = (struct xk_blk_request){.done = waited,
                                   .arg = w,
                                   .sector = sector,
                                   .sectors = bytes / XK_SECTOR,
                                   .piece = &w->piece,
                                   .op = (uint8_t)op};
    w->r.pieces = data > 0;
    return w;
}

/* 0: it is done; XK_ETIMEDOUT, or why the loop cannot go on. */
static int wait_for(const struct waiting *w, struct xk_loop *loop, xk_time deadline)
{
    int rc = 0;

    while (!w->done && rc >= 0 && xk_now(xk_loop_platform(loop)) < deadline)
        rc = xk_loop_run_once(loop, deadline);
    return w->done ? 0 : rc < 0 ? rc : XK_ETIMEDOUT;
}

int xk_blk_do(struct xk_blkdev *d, struct xk_loop *loop, enum xk_blk_op op, uint64_t sector, void *buf, size_t bytes,
              xk_time deadline)
{
    struct waiting *w;
    int rc;

    if (bytes % XK_SECTOR || bytes > UINT32_MAX)
        return XK_EINVAL;
    w = waiting_new(op, sector, buf, bytes);
    if (!w)
        return XK_ENOMEM;
    rc = xk_blk_submit(d, &w->r);
    if (rc == 0) {
        xk_blk_kick(d);
        rc = wait_for(w, loop, deadline);
        if (rc < 0) {
            w->abandoned = 1; /* freed when it is done after all */
            return rc;
        }
        rc = w->err;
    }
    if (rc == 0 && op == XK_BLK_READ)
        memcpy(buf, w->data, bytes);
    waiting_free(w);
    return rc;
}
