/* An image in a file (file.h): reads and writes wait for it. SPDX-License-Identifier: MIT */
#include <string.h>

#include "block/file.h"
#include "block/image.h"

struct file_image {
    struct xk__image image; /* first */
    struct xk_file *file;
};

static void zero_from(const struct xk_blk_request *r, size_t from)
{
    for (unsigned k = 0; k < r->pieces; k++) {
        const struct xk_piece *p = &r->piece[k];
        size_t skip = from < p->len ? from : p->len;

        memset((uint8_t *)p->base + skip, 0, p->len - skip);
        from -= skip;
    }
}

/* Of more pieces than one call takes, part after part. */
static int data(struct xk_file *f, const struct xk_blk_request *r)
{
    uint64_t at = r->sector * XK_SECTOR, want = 0, done = 0;

    for (unsigned k = 0, n; k < r->pieces && done == want; k += n) {
        int got;

        for (n = 0; n < XK_PIECES_MAX && k + n < r->pieces; n++)
            want += r->piece[k + n].len;
        got = r->op == XK_BLK_READ ? xk_file_readv(f, r->piece + k, n, at + done)
                                   : xk_file_writev(f, r->piece + k, n, at + done);
        if (got < 0)
            return got;
        done += (uint64_t)got;
    }
    if (done < want && r->op == XK_BLK_WRITE)
        return XK_EIO;
    if (done < want)
        zero_from(r, done); /* it was cut short since it was opened */
    return r->flags & XK_BLK_FUA ? xk_file_sync(f) : 0;
}

/* --- memory that a file opened with O_DIRECT does not take --- */

static int misaligned(const struct xk_blk_request *r)
{
    for (unsigned k = 0; k < r->pieces; k++)
        if ((uintptr_t)r->piece[k].base % XK_SECTOR)
            return 1;
    return 0;
}

/* The bytes from (skip) on of the request's pieces, to or from (buf). */
static void copy(const struct xk_blk_request *r, size_t skip, uint8_t *buf, size_t n, int to_pieces)
{
    for (unsigned k = 0; k < r->pieces && n; k++) {
        const struct xk_piece *p = &r->piece[k];
        size_t from = skip < p->len ? skip : p->len, part = p->len - from < n ? p->len - from : n;

        skip -= from;
        if (to_pieces)
            memcpy((uint8_t *)p->base + from, buf, part);
        else
            memcpy(buf, (uint8_t *)p->base + from, part);
        buf += part;
        n -= part;
    }
}

/* Through memory of our own that is aligned to anything a disk may want. */
static int bounced(struct xk_file *f, const struct xk_blk_request *r)
{
    enum { BOUNCE = 256 * 1024, ALIGN = 4096 };
    uint8_t *memory = xk_new(NULL, BOUNCE + ALIGN), *buf;
    size_t all = r->sectors * XK_SECTOR;
    int err = memory ? 0 : XK_ENOMEM;

    if (!memory)
        return err;
    buf = memory + (ALIGN - (uintptr_t)memory % ALIGN);
    for (size_t at = 0, n; at < all && err == 0; at += n) {
        struct xk_piece p = {buf, n = all - at < BOUNCE ? all - at : BOUNCE};
        struct xk_blk_request part = {.op = r->op, .sector = r->sector + at / XK_SECTOR, .piece = &p, .pieces = 1};

        if (r->op == XK_BLK_WRITE)
            copy(r, at, buf, n, 0);
        err = data(f, &part);
        if (err == 0 && r->op == XK_BLK_READ)
            copy(r, at, buf, n, 1);
    }
    xk_free(NULL, memory, BOUNCE + ALIGN);
    return err == 0 && r->flags & XK_BLK_FUA ? xk_file_sync(f) : err;
}

int xk__file_do(struct xk_file *f, const struct xk_blk_request *r)
{
    int err;

    if (r->op == XK_BLK_FLUSH)
        return xk_file_sync(f);
    if (r->op == XK_BLK_DISCARD)
        return xk_file_punch(f, r->sector * XK_SECTOR, r->sectors * XK_SECTOR);
    err = data(f, r);
    return err == XK_EINVAL && misaligned(r) ? bounced(f, r) : err;
}

int xk__file_info(struct xk_file *f, unsigned features, struct xk_blk_info *info)
{
    int64_t size = xk_file_size(f);

    if (size < XK_SECTOR)
        return size < 0 ? (int)size : XK_EINVAL;
    info->sectors = (uint64_t)size / XK_SECTOR;
    info->logical = XK_SECTOR;
    info->physical = 4096;
    info->features = XK_BLK_CAN_FLUSH | (features & (XK_BLK_READONLY | XK_BLK_REMOVABLE | XK_BLK_CDROM));
    if (f->ops->punch && !(features & XK_BLK_READONLY)) {
        info->features |= XK_BLK_CAN_DISCARD;
        info->discard_granularity = 4096;
    }
    return 0;
}

static int run(struct xk__image *i, struct xk_blk_request *r) { return xk__file_do(((struct file_image *)i)->file, r); }

static uint64_t next(struct xk__image *i, uint64_t sector)
{
    int64_t at = xk_file_data(((struct file_image *)i)->file, sector * XK_SECTOR);

    return at < 0 ? sector : (uint64_t)at / XK_SECTOR;
}

static void fini(struct xk__image *i) { xk_file_close(((struct file_image *)i)->file); }

int xk_block_file(const xk_alloc *alloc, struct xk_file *file, unsigned features, struct xk_blkdev **out)
{
    struct xk_blk_info info = {0};
    int r = xk__file_info(file, features, &info);
    struct file_image *f = r < 0 ? NULL : (struct file_image *)xk__image_new(alloc, sizeof(*f), run, fini);

    if (!f) {
        xk_file_close(file);
        return r < 0 ? r : XK_ENOMEM;
    }
    f->file = file;
    f->image.dev.info = info;
    f->image.next = next;
    *out = &f->image.dev;
    return 0;
}
