/* A device as a file: bytes at any place. SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>

#include <xenkit/blkdev.h>
#include <xenkit/file.h>

enum { PIECE = 256 * 1024, EDGE = 4096, WAIT = 60 /* seconds that the disk may take */ };

struct over {
    struct xk_file file; /* first */
    xk_alloc alloc;
    struct xk_blkdev *dev;
    struct xk_loop *loop;
    uint8_t edge[EDGE]; /* one of the device's own sectors */
};

static int disk(struct over *o, enum xk_blk_op op, uint64_t at, void *buf, size_t n)
{
    return xk_blk_do(o->dev, o->loop, op, at / XK_SECTOR, buf, n,
                     o->loop ? xk_now(xk_loop_platform(o->loop)) + WAIT * XK_SECOND : 0);
}

/* Of a range those bytes that share a sector with others go through (edge): read, changed, written. Other bytes of that
 * sector are at risk in a power cut, but none of another. */
static int part(struct over *o, int write, uint64_t at, uint8_t *buf, size_t n)
{
    uint32_t sector = o->dev->info.logical;
    uint64_t first = at - at % sector;
    int r = disk(o, XK_BLK_READ, first, o->edge, sector);

    if (r < 0)
        return r;
    if (!write) {
        memcpy(buf, o->edge + (at - first), n);
        return 0;
    }
    memcpy(o->edge + (at - first), buf, n);
    return disk(o, XK_BLK_WRITE, first, o->edge, sector);
}

static int bytes(struct over *o, int write, uint64_t at, uint8_t *buf, size_t n)
{
    uint32_t sector = o->dev->info.logical;
    int r = 0;

    while (n && r == 0) {
        size_t k = n < PIECE ? n : PIECE;
        if (at % sector || n < sector) { /* up to the next sector's begin */
            size_t left = sector - at % sector;
            k = n < left ? n : left;
            r = part(o, write, at, buf, k);
        } else {
            k -= k % sector;
            r = disk(o, write ? XK_BLK_WRITE : XK_BLK_READ, at, buf, k);
        }
        at += k;
        buf += k;
        n -= k;
    }
    return r;
}

static int64_t over_size(struct xk_file *f) { return (int64_t)(((struct over *)f)->dev->info.sectors * XK_SECTOR); }

static int over_read(struct xk_file *f, void *buf, size_t n, uint64_t at)
{
    uint64_t size = (uint64_t)over_size(f);
    int r;

    if (at >= size)
        return 0;
    if (n > size - at)
        n = (size_t)(size - at);
    if (n > INT_MAX)
        n = INT_MAX;
    r = bytes((struct over *)f, 0, at, buf, n);
    return r < 0 ? r : (int)n;
}

static int over_write(struct xk_file *f, const void *buf, size_t n, uint64_t at)
{
    uint64_t size = (uint64_t)over_size(f);
    int r;

    if (at > size || n > size - at || n > INT_MAX)
        return XK_ENOSPC;
    r = bytes((struct over *)f, 1, at, (uint8_t *)(uintptr_t)buf, n); /* a write only reads it */
    return r < 0 ? r : (int)n;
}

static int over_sync(struct xk_file *f)
{
    struct over *o = (struct over *)f;

    /* Without it all that is done is on the medium. */
    return o->dev->info.features & XK_BLK_CAN_FLUSH ? disk(o, XK_BLK_FLUSH, 0, NULL, 0) : 0;
}

static int over_truncate(struct xk_file *f, uint64_t size)
{
    return size == (uint64_t)over_size(f) ? 0 : size < (uint64_t)over_size(f) ? XK_EINVAL : XK_ENOSPC;
}

static void over_close(struct xk_file *f)
{
    struct over *o = (struct over *)f;
    xk_alloc alloc = o->alloc;

    xk_free(&alloc, o, sizeof(*o));
}

static const struct xk_file_ops ops = {.version = XK_FILE_VERSION,
                                       .read = over_read,
                                       .write = over_write,
                                       .sync = over_sync,
                                       .size = over_size,
                                       .truncate = over_truncate,
                                       .close = over_close};

int xk_file_over_blk(const xk_alloc *alloc, struct xk_blkdev *dev, struct xk_loop *loop, struct xk_file **out)
{
    struct over *o;

    if (dev->info.logical > EDGE)
        return XK_EINVAL;
    o = xk_new(alloc, sizeof(*o));
    if (!o)
        return XK_ENOMEM;
    o->file.ops = &ops;
    o->alloc = alloc ? *alloc : *xk_alloc_libc();
    o->dev = dev;
    o->loop = loop;
    *out = &o->file;
    return 0;
}
