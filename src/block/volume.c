/* Files of fixed room on a block device. In this file: 1. the header  2. bytes  3. files  4. life
 * SPDX-License-Identifier: MIT */
#include <xenkit/volume.h>

#include <limits.h>
#include <string.h>

#include <xenkit/err.h>

enum { DATA = 65536, BLOCK = XK_VOLUME_BLOCK };
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
    struct xk_file *disk;
    struct header h;
    int resized; /* since the header was written */
    unsigned open;
    struct volume_file file[XK_VOLUME_FILES];
    uint8_t edge[BLOCK];
};

/* All (n) bytes, or XK_E... */
static int disk_read(struct volume *v, uint64_t at, void *buf, size_t n)
{
    int r = xk_file_read(v->disk, buf, n, at);

    return r < 0 ? r : (size_t)r < n ? XK_EPROTO : 0;
}

static int disk_write(struct volume *v, uint64_t at, const void *buf, size_t n)
{
    int r = xk_file_write(v->disk, buf, n, at);

    return r < 0 ? r : 0;
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
    r = disk_write(v, v->h.number % 2 * BLOCK, v->edge, BLOCK);
    return r < 0 ? r : xk_file_sync(v->disk);
}

static int read_header(struct volume *v)
{
    struct header h;
    int found = 0;

    for (unsigned i = 0; i < 2; i++) {
        int r = disk_read(v, i * BLOCK, v->edge, BLOCK);
        if (r < 0)
            return r;
        memcpy(&h, v->edge, sizeof(h));
        if (sound(&h, (uint64_t)xk_file_size(v->disk)) && (!found || h.number > v->h.number)) {
            v->h = h;
            found = 1;
        }
    }
    return found ? 0 : XK_EPROTO;
}

/* --- 2. bytes ----------------------------------------------------------------------------------------------------- */

/* Zeroes from (at) to (end) of the disk. */
static int zeroes(struct volume *v, uint64_t at, uint64_t end)
{
    uint8_t none[BLOCK] = {0};
    int r = 0;

    for (; at < end && r == 0; at += BLOCK - at % BLOCK) {
        uint64_t k = BLOCK - at % BLOCK;
        r = disk_write(v, at, none, (size_t)(k < end - at ? k : end - at));
    }
    return r;
}

static void volume_free(struct volume *v)
{
    xk_alloc alloc = v->alloc;

    xk_file_close(v->disk);
    xk_free(&alloc, v, sizeof(*v));
}

static int volume_new(const xk_alloc *alloc, struct xk_blkdev *dev, struct xk_loop *loop, struct volume **out)
{
    struct volume *v = xk_new(alloc, sizeof(*v));
    int r = v ? xk_file_over_blk(alloc, dev, loop, &v->disk) : XK_ENOMEM;

    if (r < 0) {
        xk_free(alloc, v, sizeof(*v));
        return r;
    }
    v->alloc = alloc ? *alloc : *xk_alloc_libc();
    *out = v;
    return 0;
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
    r = disk_read(v, v->h.file[f->index].start + at, buf, n);
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
        r = disk_write(v, start + at, buf, n);
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
    int r = xk_file_sync(v->disk);

    if (r == 0 && v->resized) {
        r = write_header(v);
        v->resized = r != 0;
    }
    return r;
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

    if (--v->open == 0)
        volume_free(v);
}

static const struct xk_file_ops ops = {XK_FILE_VERSION, file_read,     file_write, file_sync,
                                       file_size,       file_truncate, file_close};

/* --- 4. life ------------------------------------------------------------------------------------------------------ */

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
    r = volume_new(NULL, dev, loop, &v);
    if (r < 0)
        return r;
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
    volume_free(v);
    return r;
}

int xk_volume_is_blank(struct xk_blkdev *dev, struct xk_loop *loop)
{
    uint8_t block[BLOCK];
    struct volume *v;
    int r = volume_new(NULL, dev, loop, &v), blank = 1;

    if (r < 0)
        return r;
    for (uint64_t at = 0; at < DATA && r == 0 && blank; at += BLOCK) {
        memset(block, 0, sizeof(block));
        r = xk_file_read(v->disk, block, BLOCK, at);
        r = r < 0 ? r : 0;
        for (unsigned i = 0; i < BLOCK && blank; i++)
            blank = block[i] == 0;
    }
    volume_free(v);
    return r < 0 ? r : blank;
}

int xk_volume_open(const xk_alloc *alloc, struct xk_blkdev *dev, struct xk_loop *loop, struct xk_file **files,
                   unsigned count)
{
    struct volume *v;
    int r = volume_new(alloc, dev, loop, &v);

    if (r < 0)
        return r;
    r = read_header(v);
    if (r == 0 && v->h.files != count)
        r = XK_EPROTO;
    if (r < 0) {
        volume_free(v);
        return r;
    }
    for (unsigned i = 0; i < count; i++) {
        v->file[i] = (struct volume_file){{&ops}, v, i};
        files[i] = &v->file[i].file;
    }
    v->open = count;
    return 0;
}
