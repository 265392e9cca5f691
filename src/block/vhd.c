/* A VHD as a device: a chain of images, the first of which is written. In this file:
 *   1. where a sector is   2. reading   3. a new block   4. writing   5. life
 *
 * What a cut of the power must find: the table's entry of a block stands only after its bitmap does, and a bitmap's bit
 * only after its data. So there is a sync between the two, where a request is the first for a block or a sector. A
 * dynamic image's new block says at once that all its sectors are there: they are zeroes, as the file ended before.
 * A differencing image takes eight sectors at a time from its parent, a byte of the bitmap: libvhdi 20210425 reads a
 * byte of which the first bits alone are set as if all were.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "block/image.h"
#include "block/vhd.h"

struct level {
    struct xk_file *file;
    uint64_t sectors; /* of the disk */
    uint32_t *table;  /* in sectors of the file; NULL: all is there, from its beginning on */
    uint32_t blocks, block_sectors, bitmap_bytes;
    uint64_t table_at, end; /* in bytes; (end): where the footer stands, and the next block will */
    uint32_t cached;        /* whose bitmap is in (bitmap); VHD_NONE */
    int low_first;          /* bits are counted from the lowest */
    uint8_t *bitmap;
};

struct vhd {
    struct xk__image image; /* first */
    xk_alloc alloc;
    unsigned levels;
    int sync_err, differs;
    uint8_t footer[VHD_SECTOR];
    struct level level[XK_VHD_CHAIN_MAX];
};

/* --- 1. where a sector is ----------------------------------------------------------------------------------------- */

static uint8_t mask(const struct level *l, uint32_t sector)
{
    return (uint8_t)(l->low_first ? 1u << sector % 8 : 0x80u >> sector % 8);
}

static int bit(const struct level *l, uint32_t sector) { return (l->bitmap[sector / 8] & mask(l, sector)) != 0; }

static uint64_t block_at(const struct level *l, uint32_t block) { return l->table[block] * (uint64_t)VHD_SECTOR; }

static int load_bitmap(struct level *l, uint32_t block)
{
    int r;

    if (l->cached == block)
        return 0;
    l->cached = VHD_NONE;
    r = xk_file_read(l->file, l->bitmap, l->bitmap_bytes, block_at(l, block));
    if (r < 0)
        return r;
    if ((uint32_t)r < l->bitmap_bytes)
        return XK_EIO; /* the file is shorter than it was */
    l->cached = block;
    return 0;
}

/* Of up to (n) sectors from (sector) on those that are alike: how many, and in *at where they are in the file;
 * VHD_NOWHERE: not in this one. */
static int locate(struct level *l, uint64_t sector, uint32_t n, uint64_t *at)
{
    uint32_t block, first, run = 1;
    int r;

    *at = VHD_NOWHERE;
    if (n > l->sectors - sector)
        n = (uint32_t)(l->sectors - sector);
    if (!l->table) {
        *at = sector * VHD_SECTOR;
        return (int)n;
    }
    block = (uint32_t)(sector / l->block_sectors);
    first = (uint32_t)(sector % l->block_sectors);
    if (n > l->block_sectors - first)
        n = l->block_sectors - first;
    if (l->table[block] == VHD_NONE)
        return (int)n;
    r = load_bitmap(l, block);
    if (r < 0)
        return r;
    while (run < n && bit(l, first + run) == bit(l, first))
        run++;
    if (bit(l, first))
        *at = block_at(l, block) + l->bitmap_bytes + first * (uint64_t)VHD_SECTOR;
    return (int)run;
}

/* --- 2. reading --------------------------------------------------------------------------------------------------- */

static int read_exact(struct xk_file *f, uint8_t *buf, size_t n, uint64_t at)
{
    int r = xk_file_read(f, buf, n, at);

    if (r >= 0)
        memset(buf + r, 0, n - (size_t)r); /* a raw file's last part */
    return r < 0 ? r : 0;
}

/* From the level (i) down. What no level has is zero, and so is what lies beyond the end of one: a parent may be
 * smaller than its child. */
static int read_from(struct vhd *v, unsigned i, uint64_t sector, uint8_t *buf, uint32_t n)
{
    while (n) {
        int none = i == v->levels || sector >= v->level[i].sectors, r = 0;
        uint64_t at = VHD_NOWHERE;
        int run = none ? (int)n : locate(&v->level[i], sector, n, &at);

        if (run < 0)
            return run;
        if (none)
            memset(buf, 0, (size_t)run * VHD_SECTOR);
        else if (at == VHD_NOWHERE)
            r = read_from(v, i + 1, sector, buf, (uint32_t)run);
        else
            r = read_exact(v->level[i].file, buf, (size_t)run * VHD_SECTOR, at);
        if (r < 0)
            return r;
        sector += (uint32_t)run;
        buf += (size_t)run * VHD_SECTOR;
        n -= (uint32_t)run;
    }
    return 0;
}

/* --- 3. a new block ----------------------------------------------------------------------------------------------- */

static int put(struct xk_file *f, const void *data, size_t n, uint64_t at)
{
    int r = xk_file_write(f, data, n, at);

    return r < 0 ? r : 0;
}

static int sync_file(struct vhd *v)
{
    if (!v->sync_err)
        v->sync_err = xk_file_sync(v->level[0].file);
    return v->sync_err;
}

/* The footer first, which makes the room. On its old place the bitmap. */
static int new_block(struct vhd *v, uint32_t block)
{
    struct level *l = &v->level[0];
    uint64_t at = l->end, end = at + l->bitmap_bytes + (uint64_t)l->block_sectors * VHD_SECTOR;
    uint8_t entry[4];
    int r = put(l->file, v->footer, VHD_SECTOR, end);

    l->cached = VHD_NONE;
    memset(l->bitmap, v->differs ? 0 : 0xff, l->bitmap_bytes);
    if (r == 0)
        r = put(l->file, l->bitmap, l->bitmap_bytes, at);
    if (r == 0)
        r = sync_file(v);
    vhd_put32(entry, (uint32_t)(at / VHD_SECTOR));
    if (r == 0)
        r = put(l->file, entry, sizeof(entry), l->table_at + block * 4ull);
    if (r < 0)
        return r;
    l->table[block] = (uint32_t)(at / VHD_SECTOR);
    l->end = end;
    l->cached = block;
    return 0;
}

/* --- 4. writing --------------------------------------------------------------------------------------------------- */

/* Sectors (from) .. (to) of a block, as the chain has them, become this image's own. */
static int copy_up(struct vhd *v, uint32_t block, uint32_t from, uint32_t to)
{
    struct level *l = &v->level[0];
    uint8_t buf[8 * VHD_SECTOR];
    int r = from == to ? 0 : read_from(v, 0, block * (uint64_t)l->block_sectors + from, buf, to - from);

    if (r == 0 && from < to)
        r = put(l->file, buf, (to - from) * (size_t)VHD_SECTOR,
                block_at(l, block) + l->bitmap_bytes + from * (uint64_t)VHD_SECTOR);
    return r;
}

/* The bits of (first) .. (end), whole bytes, and the sectors of the file that they are in. */
static int set_bits(struct level *l, uint32_t block, uint32_t first, uint32_t end)
{
    uint32_t from = first / 8 / VHD_SECTOR * VHD_SECTOR, to = ((end - 1) / 8 / VHD_SECTOR + 1) * VHD_SECTOR;
    int r;

    memset(l->bitmap + first / 8, 0xff, (end - first) / 8);
    r = put(l->file, l->bitmap + from, to - from, block_at(l, block) + from);
    if (r < 0)
        l->cached = VHD_NONE; /* what is in the file counts */
    return r;
}

/* Sectors of one block: their data, then, where they are new, their bits. */
static int write_part(struct vhd *v, uint32_t block, uint32_t first, const uint8_t *buf, uint32_t n)
{
    struct level *l = &v->level[0];
    uint32_t begin = first / 8 * 8, end = (first + n + 7) / 8 * 8, fresh = 0;
    int r = load_bitmap(l, block);

    for (uint32_t i = begin; i < end && r == 0; i++)
        fresh += !bit(l, i);
    if (fresh && r == 0)
        r = copy_up(v, block, begin, first);
    if (fresh && r == 0)
        r = copy_up(v, block, first + n, end);
    if (r == 0)
        r = put(l->file, buf, (size_t)n * VHD_SECTOR,
                block_at(l, block) + l->bitmap_bytes + first * (uint64_t)VHD_SECTOR);
    if (r < 0 || fresh == 0)
        return r;
    r = sync_file(v);
    return r < 0 ? r : set_bits(l, block, begin, end);
}

static int write_sectors(struct vhd *v, uint64_t sector, const uint8_t *buf, uint32_t n)
{
    struct level *l = &v->level[0];

    while (n) {
        uint32_t block, first, part;
        int r = 0;

        if (!l->table)
            return put(l->file, buf, (size_t)n * VHD_SECTOR, sector * VHD_SECTOR);
        block = (uint32_t)(sector / l->block_sectors);
        first = (uint32_t)(sector % l->block_sectors);
        part = l->block_sectors - first < n ? l->block_sectors - first : n;
        if (l->table[block] == VHD_NONE)
            r = new_block(v, block);
        if (r == 0)
            r = write_part(v, block, first, buf, part);
        if (r < 0)
            return r;
        sector += part;
        buf += (size_t)part * VHD_SECTOR;
        n -= part;
    }
    return 0;
}

static int run(struct xk__image *i, struct xk_blk_request *r)
{
    struct vhd *v = (struct vhd *)i;
    uint64_t sector = r->sector;
    int err = 0;

    for (unsigned k = 0; k < r->pieces && err == 0; k++) {
        uint32_t n = (uint32_t)(r->piece[k].len / VHD_SECTOR);
        err = r->op == XK_BLK_READ ? read_from(v, 0, sector, r->piece[k].base, n)
                                   : write_sectors(v, sector, r->piece[k].base, n);
        sector += n;
    }
    if (err == 0 && (r->op == XK_BLK_FLUSH || r->flags & XK_BLK_FUA))
        err = sync_file(v);
    return err;
}

/* --- 5. life ------------------------------------------------------------------------------------------------------ */

static void fini(struct xk__image *i)
{
    struct vhd *v = (struct vhd *)i;

    for (unsigned k = 0; k < v->levels; k++) {
        struct level *l = &v->level[k];
        if (l->table)
            xk_free(&v->alloc, l->table, l->blocks * sizeof(uint32_t));
        if (l->bitmap)
            xk_free(&v->alloc, l->bitmap, l->bitmap_bytes);
        xk_file_close(l->file);
    }
}

/* Entries that lead beyond the end, or to before the table's own, are damage. */
static int check_table(const struct level *l)
{
    uint64_t size = l->bitmap_bytes + (uint64_t)l->block_sectors * VHD_SECTOR;

    for (uint32_t i = 0; i < l->blocks; i++) {
        uint64_t begin = l->table[i] * (uint64_t)VHD_SECTOR;
        if (l->table[i] != VHD_NONE && (begin < l->table_at || begin > l->end || size > l->end - begin))
            return XK_EPROTO;
    }
    return 0;
}

static int load_table(struct vhd *v, struct level *l)
{
    size_t bytes = l->blocks * sizeof(uint32_t);
    uint8_t *raw;
    int r;

    l->table = xk_new(&v->alloc, bytes);
    l->bitmap = xk_new(&v->alloc, l->bitmap_bytes);
    if (!l->table || !l->bitmap)
        return XK_ENOMEM;
    raw = (uint8_t *)l->table;
    r = xk_file_read(l->file, raw, bytes, l->table_at);
    if (r < 0 || (size_t)r < bytes)
        return r < 0 ? r : XK_EPROTO;
    for (uint32_t i = 0; i < l->blocks; i++)
        l->table[i] = vhd_get32(raw + i * 4ull);
    return check_table(l);
}

static int open_level(struct vhd *v, struct level *l, struct vhd_footer *f, struct vhd_header *h)
{
    int r = vhd_open(l->file, f, h, &l->end);

    if (r < 0)
        return r;
    l->end = (l->end + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
    l->low_first = memcmp(f->creator, "tap", 4) == 0 && f->creator_version == 0x00000001; /* blktap's first */
    l->sectors = f->size / VHD_SECTOR;
    l->cached = VHD_NONE;
    if (f->type == XK_VHD_FIXED)
        return 0;
    l->block_sectors = h->block_size / VHD_SECTOR;
    l->bitmap_bytes = vhd_bitmap_bytes(h->block_size);
    l->blocks = (uint32_t)((f->size + h->block_size - 1) / h->block_size);
    l->table_at = h->table_offset;
    return load_table(v, l);
}

static int open_raw(struct level *l)
{
    int64_t size = xk_file_size(l->file);

    l->sectors = size < 0 ? 0 : (uint64_t)size / VHD_SECTOR;
    return size < 0 ? (int)size : 0;
}

/* A block that was begun when the power was cut stays behind, unused, and the next one comes after all that is there:
 * so it is zeroes. A footer that was lost then is written anew. */
static int tidy(struct vhd *v, const struct vhd_footer *f)
{
    struct level *l = &v->level[0];
    int64_t size = xk_file_size(l->file);

    vhd_footer_write(f, v->footer);
    if (!l->table || size < 0 || (uint64_t)size == l->end + VHD_SECTOR)
        return size < 0 ? (int)size : 0;
    return put(l->file, v->footer, VHD_SECTOR, l->end);
}

static int open_chain(struct vhd *v, unsigned n, int readonly)
{
    static const uint8_t none[16];
    struct vhd_footer f, top = {0};
    struct vhd_header h = {0};

    for (unsigned i = 0; i < n; i++) {
        uint8_t want[16];
        int r, raw = i > 0 && memcmp(h.parent_uuid, none, 16) == 0;

        memcpy(want, h.parent_uuid, 16);
        r = raw ? open_raw(&v->level[i]) : open_level(v, &v->level[i], &f, &h);
        if (r < 0)
            return r;
        if (i == 0)
            top = f;
        if (!raw && i > 0 && memcmp(f.uuid, want, 16))
            return XK_EINVAL;
        if (i + 1 < n && (raw || f.type != XK_VHD_DIFFERENCING))
            return XK_EINVAL; /* more images than there are parents */
        if (i + 1 == n && !raw && f.type == XK_VHD_DIFFERENCING)
            return XK_EINVAL; /* its parent is missing */
    }
    v->differs = top.type == XK_VHD_DIFFERENCING;
    return readonly ? 0 : tidy(v, &top);
}

int xk_block_vhd(const xk_alloc *alloc, struct xk_file *const *chain, unsigned n, unsigned features,
                 struct xk_blkdev **out)
{
    struct vhd *v = n == 0 || n > XK_VHD_CHAIN_MAX ? NULL : (struct vhd *)xk__image_new(alloc, sizeof(*v), run, fini);
    int r;

    if (!v) {
        for (unsigned i = 0; i < n; i++)
            xk_file_close(chain[i]);
        return n == 0 || n > XK_VHD_CHAIN_MAX ? XK_EINVAL : XK_ENOMEM;
    }
    v->alloc = alloc ? *alloc : *xk_alloc_libc();
    v->levels = n;
    for (unsigned i = 0; i < n; i++)
        v->level[i].file = chain[i];
    r = open_chain(v, n, (features & XK_BLK_READONLY) != 0);
    if (r < 0) {
        xk_blk_close(&v->image.dev);
        return r;
    }
    v->image.dev.info.sectors = v->level[0].sectors;
    v->image.dev.info.features = XK_BLK_CAN_FLUSH | (features & XK_BLK_READONLY);
    *out = &v->image.dev;
    return 0;
}
