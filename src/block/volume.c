/* Files of fixed room on a block device. In this file: 1. the header  2. bytes at any place  3. files  4. life
 * SPDX-License-Identifier: MIT */
#include <xenkit/volume.h>

#include <limits.h>
#include <string.h>

#include <xenkit/err.h>

enum { DATA = 65536, BLOCK = XK_VOLUME_BLOCK, PIECE = 65536, WAIT = 60 /* seconds that the disk may take */ };
static const char magic[8] = "XKVOLUM1";

/* On the disk, little endian; a copy in block 0 and one in block 1. */
struct header {
    char magic[8];
    uint64_t number; /* of its writing: the higher one counts */
    uint32_t files, reserved;
    struct {
        uint64_t start, room, size; /* bytes */
    } file[XK_VOLUME_FILES];
    uint64_t sum;
};

struct volume_file {
    struct xk_file file; /* first */
    struct volume *volume;
    unsigned index;
};

struct volume {
    xk_alloc alloc;
    struct xk_blkdev *dev;
    struct xk_loop *loop;
    struct header h;
    int resized; /* since the header was written */
    unsigned open;
    struct volume_file file[XK_VOLUME_FILES];
    uint8_t edge[BLOCK];
};

static xk_time deadline(struct xk_loop *loop) { return xk_now(xk_loop_platform(loop)) + WAIT * XK_SECOND; }

static int disk(struct volume *v, enum xk_blk_op op, uint64_t at, void *buf, size_t n)
{
    return xk_blk_do(v->dev, v->loop, op, at / XK_SECTOR, buf, n, deadline(v->loop));
}

/* --- 1. the header ------------------------------------------------------------------------------------------------ */

/* FNV-1a over all but the sum: against a torn block, not against anybody. */
static uint64_t sum_of(const struct header *h)
{
    const uint8_t *p = (const uint8_t *)h;
    uint64_t s = 14695981039346656037u;

    for (size_t i = 0; i < offsetof(struct header, sum); i++)
        s = (s ^ p[i]) * 1099511628211u;
    return s;
}

static int sound(const struct header *h, uint64_t bytes)
{
    if (memcmp(h->magic, magic, sizeof(magic)) || h->sum != sum_of(h) || h->files == 0 || h->files > XK_VOLUME_FILES)
        return 0;
    for (unsigned i = 0; i < h->files; i++)
        if (h->file[i].start % BLOCK || h->file[i].room % BLOCK || h->file[i].start < DATA ||
            h->file[i].start > bytes || h->file[i].room > bytes - h->file[i].start || h->file[i].size > h->file[i].room)
            return 0;
    return 1;
}

static int write_header(struct volume *v)
{
    int r;

    v->h.number++;
    v->h.sum = sum_of(&v->h);
    memset(v->edge, 0, sizeof(v->edge));
    memcpy(v->edge, &v->h, sizeof(v->h));
    r = disk(v, XK_BLK_WRITE, v->h.number % 2 * BLOCK, v->edge, BLOCK);
    return r < 0 ? r : disk(v, XK_BLK_FLUSH, 0, NULL, 0);
}

static int read_header(struct volume *v)
{
    struct header h;
    int found = 0;

    for (unsigned i = 0; i < 2; i++) {
        int r = disk(v, XK_BLK_READ, i * BLOCK, v->edge, BLOCK);
        if (r < 0)
            return r;
        memcpy(&h, v->edge, sizeof(h));
        if (sound(&h, v->dev->info.sectors * XK_SECTOR) && (!found || h.number > v->h.number)) {
            v->h = h;
            found = 1;
        }
    }
    return found ? 0 : XK_EPROTO;
}

/* --- 2. bytes at any place ---------------------------------------------------------------------------------------- */

/* Of a range those bytes that share a sector with others go through (edge): read, changed, written. Other bytes of that
 * sector are at risk in a power cut, but none of another block. */
static int part(struct volume *v, int write, uint64_t at, uint8_t *buf, size_t n)
{
    uint64_t first = at - at % XK_SECTOR, end = at + n;
    size_t bytes = (size_t)((end + XK_SECTOR - 1) / XK_SECTOR * XK_SECTOR - first);
    int r = disk(v, XK_BLK_READ, first, v->edge, bytes);

    if (r < 0)
        return r;
    if (!write) {
        memcpy(buf, v->edge + (at - first), n);
        return 0;
    }
    memcpy(v->edge + (at - first), buf, n);
    return disk(v, XK_BLK_WRITE, first, v->edge, bytes);
}

static int bytes(struct volume *v, int write, uint64_t at, uint8_t *buf, size_t n)
{
    int r = 0;

    while (n && r == 0) {
        size_t k = n < PIECE ? n : PIECE;
        if (at % XK_SECTOR || n < XK_SECTOR) { /* up to the next sector's begin */
            size_t left = XK_SECTOR - at % XK_SECTOR;
            k = n < left ? n : left;
            r = part(v, write, at, buf, k);
        } else {
            k -= k % XK_SECTOR;
            r = disk(v, write ? XK_BLK_WRITE : XK_BLK_READ, at, buf, k);
        }
        at += k;
        buf += k;
        n -= k;
    }
    return r;
}

/* Zeroes from (at) to (end) of the disk. */
static int zeroes(struct volume *v, uint64_t at, uint64_t end)
{
    uint8_t none[BLOCK] = {0};
    int r = 0;

    for (; at < end && r == 0; at += BLOCK - at % BLOCK) {
        uint64_t k = BLOCK - at % BLOCK;
        r = bytes(v, 1, at, none, (size_t)(k < end - at ? k : end - at));
    }
    return r;
}

/* --- 3. files ----------------------------------------------------------------------------------------------------- */

static struct volume_file *of(struct xk_file *f) { return (struct volume_file *)f; }

static int file_read(struct xk_file *file, void *buf, size_t n, uint64_t at)
{
    struct volume_file *f = of(file);
    struct volume *v = f->volume;
    uint64_t size = v->h.file[f->index].size;
    int r;

    if (at >= size)
        return 0;
    if (n > size - at)
        n = (size_t)(size - at);
    if (n > INT_MAX)
        n = INT_MAX;
    r = bytes(v, 0, v->h.file[f->index].start + at, buf, n);
    return r < 0 ? r : (int)n;
}

static int file_write(struct xk_file *file, const void *buf, size_t n, uint64_t at)
{
    struct volume_file *f = of(file);
    struct volume *v = f->volume;
    uint64_t room = v->h.file[f->index].room, size = v->h.file[f->index].size, start = v->h.file[f->index].start;
    int r = 0;

    if (at > room || n > room - at || n > INT_MAX)
        return XK_ENOSPC;
    if (at > size)
        r = zeroes(v, start + size, start + at);
    if (r == 0)
        r = bytes(v, 1, start + at, (uint8_t *)(uintptr_t)buf, n); /* a write only reads it */
    if (r < 0)
        return r;
    if (at + n > size) {
        v->h.file[f->index].size = at + n;
        v->resized = 1;
    }
    return (int)n;
}

static int file_sync(struct xk_file *file)
{
    struct volume *v = of(file)->volume;
    int r = disk(v, XK_BLK_FLUSH, 0, NULL, 0);

    if (r == XK_ENOSYS)
        r = 0; /* all that is done is on the medium there */
    if (r == 0 && v->resized) {
        r = write_header(v);
        v->resized = r != 0 && r != XK_ENOSYS;
    }
    return r == XK_ENOSYS ? 0 : r;
}

static int64_t file_size(struct xk_file *file) { return (int64_t)of(file)->volume->h.file[of(file)->index].size; }

static int file_truncate(struct xk_file *file, uint64_t size)
{
    struct volume_file *f = of(file);
    struct volume *v = f->volume;
    uint64_t start = v->h.file[f->index].start, old = v->h.file[f->index].size;
    int r = 0;

    if (size > v->h.file[f->index].room)
        return XK_ENOSPC;
    if (size > old)
        r = zeroes(v, start + old, start + size);
    if (r < 0)
        return r;
    v->resized |= size != old;
    v->h.file[f->index].size = size;
    return 0;
}

static void file_close(struct xk_file *file)
{
    struct volume *v = of(file)->volume;
    xk_alloc alloc = v->alloc;

    if (--v->open == 0)
        xk_free(&alloc, v, sizeof(*v));
}

static const struct xk_file_ops ops = {XK_FILE_VERSION, file_read,     file_write, file_sync,
                                       file_size,       file_truncate, file_close};

/* --- 4. life ------------------------------------------------------------------------------------------------------ */

static struct volume *volume_new(const xk_alloc *alloc, struct xk_blkdev *dev, struct xk_loop *loop)
{
    struct volume *v = xk_new(alloc, sizeof(*v));

    if (v) {
        v->alloc = alloc ? *alloc : *xk_alloc_libc();
        v->dev = dev;
        v->loop = loop;
    }
    return v;
}

int xk_volume_format(struct xk_blkdev *dev, struct xk_loop *loop, const unsigned *shares, unsigned count)
{
    uint64_t bytes_all = dev->info.sectors * XK_SECTOR, room, at = DATA, all = 0;
    struct volume *v;
    int r = 0;

    for (unsigned i = 0; i < count && i < XK_VOLUME_FILES; i++)
        all += shares[i];
    if (count == 0 || count > XK_VOLUME_FILES || all == 0 || all > UINT32_MAX)
        return XK_EINVAL;
    room = bytes_all > DATA ? (bytes_all - DATA) / BLOCK : 0;
    v = volume_new(NULL, dev, loop);
    if (!v)
        return XK_ENOMEM;
    memcpy(v->h.magic, magic, sizeof(magic));
    v->h.files = count;
    for (unsigned i = 0; i < count; i++) {
        v->h.file[i].start = at;
        v->h.file[i].room = room * shares[i] / all * BLOCK;
        at += v->h.file[i].room;
        r = v->h.file[i].room ? r : XK_ENOSPC;
    }
    for (int copy = 0; copy < 2 && r == 0; copy++) /* both: none of another volume is left */
        r = write_header(v);
    xk_free(NULL, v, sizeof(*v));
    return r == XK_ENOSYS ? 0 : r;
}

int xk_volume_is_blank(struct xk_blkdev *dev, struct xk_loop *loop)
{
    uint8_t block[BLOCK];
    uint64_t end = dev->info.sectors * XK_SECTOR < DATA ? dev->info.sectors * XK_SECTOR / BLOCK * BLOCK : DATA;

    for (uint64_t at = 0; at < end; at += BLOCK) {
        int r = xk_blk_do(dev, loop, XK_BLK_READ, at / XK_SECTOR, block, BLOCK, deadline(loop));
        if (r < 0)
            return r;
        for (unsigned i = 0; i < BLOCK; i++)
            if (block[i])
                return 0;
    }
    return 1;
}

int xk_volume_open(const xk_alloc *alloc, struct xk_blkdev *dev, struct xk_loop *loop, struct xk_file **files,
                   unsigned count)
{
    struct volume *v = volume_new(alloc, dev, loop);
    int r = v ? read_header(v) : XK_ENOMEM;

    if (r == 0 && v->h.files != count)
        r = XK_EPROTO;
    if (r < 0) {
        xk_free(alloc, v, sizeof(*v));
        return r;
    }
    for (unsigned i = 0; i < count; i++) {
        v->file[i] = (struct volume_file){{&ops}, v, i};
        files[i] = &v->file[i].file;
    }
    v->open = count;
    return 0;
}
