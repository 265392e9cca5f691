/* One image into another, part after part. SPDX-License-Identifier: MIT */
#include <string.h>

#include "block/image.h"
#include "block/sync.h"

enum { PART = 4096 /* sectors at a time */, GRAIN = 8 /* sectors that are zero or not */ };

struct now {
    int done, err;
};

static void answered(struct xk_blk_request *r, int err) { *(struct now *)r->arg = (struct now){1, err}; }

int xk__blk_now(struct xk_blkdev *d, enum xk_blk_op op, uint64_t sector, void *buf, size_t bytes)
{
    struct now now = {0, 0};
    struct xk_piece p = {buf, bytes};
    struct xk_blk_request r = {.done = answered,
                               .arg = &now,
                               .sector = sector,
                               .sectors = bytes / XK_SECTOR,
                               .piece = &p,
                               .pieces = bytes > 0,
                               .op = (uint8_t)op};
    int err = d->ops == xk__image_ops() ? xk_blk_submit(d, &r) : XK_ENOSYS;

    if (err < 0)
        return err;
    xk_blk_kick(d);
    return now.done ? now.err : XK_EIO;
}

int xk__blk_flush_now(struct xk_blkdev *d)
{
    return d->info.features & XK_BLK_CAN_FLUSH ? xk__blk_now(d, XK_BLK_FLUSH, 0, NULL, 0) : 0;
}

/* Whether (n) bytes are zeroes: the first word is, and each byte equals the one a word before. */
static int is_zero(const uint8_t *p, size_t n)
{
    uint64_t first;

    memcpy(&first, p, sizeof(first));
    return first == 0 && memcmp(p, p + sizeof(first), n - sizeof(first)) == 0;
}

/* Sectors from the beginning of (buf) on that are zero, or are not, all alike. */
static uint32_t alike(const uint8_t *buf, uint32_t n, int *zero)
{
    uint32_t run = 0;

    while (run < n) {
        uint32_t part = n - run < GRAIN ? n - run : GRAIN;
        int is = is_zero(buf + (size_t)run * XK_SECTOR, part * (size_t)XK_SECTOR);
        if (run && is != *zero)
            break;
        *zero = is;
        run += part;
    }
    return run;
}

static int write_part(struct xk_blkdev *to, uint64_t sector, uint8_t *buf, uint32_t n, int sparse)
{
    int r = 0;

    while (n && r == 0) {
        int zero = 0;
        uint32_t run = sparse ? alike(buf, n, &zero) : n;
        if (!zero)
            r = xk__blk_now(to, XK_BLK_WRITE, sector, buf, run * (size_t)XK_SECTOR);
        sector += run;
        buf += run * (size_t)XK_SECTOR;
        n -= run;
    }
    return r;
}

static uint64_t next(struct xk_blkdev *d, uint64_t sector)
{
    struct xk__image *i = (struct xk__image *)d;
    uint64_t at = i->next ? i->next(i, sector) : sector;

    return at < d->info.sectors ? at : d->info.sectors;
}

static int copy(struct xk_blkdev *from, struct xk_blkdev *to, uint64_t *sector, uint32_t budget, int sparse,
                uint8_t *buf)
{
    uint64_t end = from->info.sectors;

    while (budget && *sector < end) {
        uint32_t n;
        int r;
        if (sparse)
            *sector = next(from, *sector);
        n = end - *sector < PART ? (uint32_t)(end - *sector) : PART;
        if (n == 0)
            break;
        r = xk__blk_now(from, XK_BLK_READ, *sector, buf, n * (size_t)XK_SECTOR);
        if (r == 0)
            r = write_part(to, *sector, buf, n, sparse);
        if (r < 0)
            return r;
        *sector += n;
        budget -= n < budget ? n : budget;
    }
    return *sector < end ? 1 : xk__blk_flush_now(to);
}

int xk_blk_copy(struct xk_blkdev *from, struct xk_blkdev *to, uint64_t *sector, uint32_t budget, int sparse)
{
    uint8_t *buf;
    int r;

    if (from->ops != xk__image_ops() || to->ops != xk__image_ops())
        return XK_ENOSYS;
    if (from->info.sectors > to->info.sectors || *sector > from->info.sectors)
        return XK_ERANGE;
    buf = xk_new(NULL, PART * XK_SECTOR);
    if (!buf)
        return XK_ENOMEM;
    r = copy(from, to, sector, budget, sparse, buf);
    xk_free(NULL, buf, PART * XK_SECTOR);
    return r;
}
