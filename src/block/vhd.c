/* A VHD as a device: a chain of images, the first of which is written. In this file:
 *   1. reading   2. what is pending   3. a new block   4. writing   5. life
 *
 * What a cut of the power must find: the table's entry of a block stands only after its bitmap does, and a bitmap's bit
 * only after its data. So entries and bits are pending until all requests of a kick have written their data; then comes
 * one sync for all, then they; then the requests are answered. A dynamic image's new block says at once that all its
 * sectors are there: they are zeroes, as the file ended before. A differencing image takes eight sectors at a time from
 * its parent, a byte of the bitmap: libvhdi 20210425 reads a byte of which the first bits alone are set as if all were.
 * Which blocks are full comes to the file behind whichever sync is the next (vhd_batmap.h).
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "block/cursor.h"
#include "block/image.h"
#include "block/vhd_device.h"

enum { PENDING_MAX = 128, GROW_MAX = 16 };

/* Sectors (first) .. (end) of a block get their bits; (fresh): the block gets its entry. */
struct pending {
    uint32_t block, first, end;
    int fresh;
};

struct vhd {
    struct xk__image image; /* first */
    xk_alloc alloc;
    unsigned levels, pending;
    int sync_err, settle_err, differs, lazy, written;
    uint64_t room; /* where the footer stands: at the level's end or behind it */
    uint32_t grow; /* blocks */
    uint8_t footer[VHD_SECTOR];
    struct vhd_level level[XK_VHD_CHAIN_MAX];
    struct pending pend[PENDING_MAX];
};

static int run(struct xk__image *i, struct xk_blk_request *r);

/* --- 1. reading --------------------------------------------------------------------------------------------------- */

/* From the level (i) down. What no level has is zero, and so is what lies beyond the end of one: a parent may be
 * smaller than its child. */
static int read_from(struct vhd *v, unsigned i, uint64_t sector, struct cursor *c, uint32_t n)
{
    while (n) {
        int none = i == v->levels || sector >= v->level[i].sectors, r = 0;
        uint64_t at = VHD_NOWHERE;
        int run = none ? (int)n : vhd_level_locate(&v->level[i], sector, n, &at);

        if (run < 0)
            return run;
        if (none)
            cursor_zero(c, (size_t)run * VHD_SECTOR);
        else if (at == VHD_NOWHERE)
            r = read_from(v, i + 1, sector, c, (uint32_t)run);
        else
            r = cursor_read(c, v->level[i].file, (size_t)run * VHD_SECTOR, at);
        if (r < 0)
            return r;
        sector += (uint32_t)run;
        n -= (uint32_t)run;
    }
    return 0;
}

/* --- 2. what is pending ------------------------------------------------------------------------------------------- */

static int put(struct xk_file *f, const void *data, size_t n, uint64_t at)
{
    int r = xk_file_write(f, data, n, at);

    return r < 0 ? r : 0;
}

static int sync_file(struct vhd *v)
{
    if (!v->sync_err)
        v->sync_err = xk_file_sync(v->level[0].file);
    if (!v->sync_err)
        (void)!vhd_batmap_write(&v->level[0]); /* what could not be written is written behind the next */
    return v->sync_err;
}

/* The bits of (first) .. (end), whole bytes, and the sectors of the file that they are in. */
static int set_bits(struct vhd_level *l, uint32_t block, uint32_t first, uint32_t end)
{
    uint32_t from = first / 8 / VHD_SECTOR * VHD_SECTOR, to = ((end - 1) / 8 / VHD_SECTOR + 1) * VHD_SECTOR;
    int r = vhd_level_load_bitmap(l, block);

    if (r < 0)
        return r;
    memset(l->bitmap + first / 8, 0xff, (end - first) / 8);
    r = put(l->file, l->bitmap + from, to - from, vhd_level_bitmap_at(l, block) + from);
    if (r < 0)
        l->cached = VHD_NONE; /* what is in the file counts */
    else if (vhd_level_is_full(l))
        vhd_batmap_set(&l->batmap, block);
    return r;
}

static int put_entry(struct vhd_level *l, uint32_t block)
{
    uint8_t entry[4];

    vhd_put32(entry, l->table[block]);
    return put(l->file, entry, sizeof(entry), l->table_at + block * 4ull);
}

/* A block whose entry did not come to stand is not there. Its room in the file is not used again. */
static void forget(struct vhd *v)
{
    struct vhd_level *l = &v->level[0];

    for (unsigned i = 0; i < v->pending; i++)
        if (v->pend[i].fresh) {
            l->table[v->pend[i].block] = VHD_NONE;
            vhd_batmap_unset(&l->batmap, v->pend[i].block);
        }
    l->cached = VHD_NONE;
}

static int commit(struct vhd *v)
{
    struct vhd_level *l = &v->level[0];
    int r = v->pending && !v->lazy ? sync_file(v) : 0;

    for (unsigned i = 0; i < v->pending && r == 0; i++) {
        struct pending *p = &v->pend[i];
        if (p->fresh)
            r = put_entry(l, p->block);
        if (p->fresh && r == 0 && !v->differs)
            vhd_batmap_set(&l->batmap, p->block);
        if (r == 0 && p->first < p->end)
            r = set_bits(l, p->block, p->first, p->end);
    }
    if (r < 0)
        forget(v);
    if (r < 0 && v->settle_err == 0)
        v->settle_err = r; /* what was done before in this kick has not come to stand either */
    v->pending = 0;
    l->batmap.quiet = 0;
    return r;
}

static int settle(struct xk__image *i)
{
    struct vhd *v = (struct vhd *)i;
    int r;

    commit(v);
    r = v->settle_err;
    v->settle_err = 0;
    return r;
}

static int pend(struct vhd *v, uint32_t block, uint32_t first, uint32_t end, int fresh)
{
    int r = v->pending == PENDING_MAX ? commit(v) : 0;

    if (r == 0)
        v->pend[v->pending++] = (struct pending){block, first, end, fresh};
    v->level[0].batmap.quiet = v->pending > 0; /* the bitmap of a new block is there before its entry is */
    return r;
}

static int is_pending(const struct vhd *v, uint32_t block, uint32_t first, uint32_t end)
{
    for (unsigned i = 0; i < v->pending; i++)
        if (v->pend[i].block == block && v->pend[i].first < end && first < v->pend[i].end)
            return 1;
    return 0;
}

/* --- 3. a new block ----------------------------------------------------------------------------------------------- */

/* The file always ends with a footer, also after a cut, as libvhdi knows no other: it is written farther out, and
 * synced, before anything takes its old place. Each time twice as far, up to GROW_MAX blocks, so that few blocks pay
 * for it; the rest is cut off when the image is closed. */
static int make_room(struct vhd *v, uint64_t block_bytes)
{
    struct vhd_level *l = &v->level[0];
    int r = put(l->file, v->footer, VHD_SECTOR, l->end + v->grow * block_bytes);

    if (r < 0 && v->grow > 1) {
        v->grow = 1;
        r = put(l->file, v->footer, VHD_SECTOR, l->end + block_bytes);
    }
    if (r == 0 && !v->lazy)
        r = sync_file(v);
    if (r < 0)
        return r;
    v->room = l->end + v->grow * block_bytes;
    v->grow = v->grow < GROW_MAX ? v->grow * 2 : GROW_MAX;
    return 0;
}

static int new_block(struct vhd *v, uint32_t block)
{
    struct vhd_level *l = &v->level[0];
    uint64_t at = l->end, bytes = l->bitmap_bytes + (uint64_t)l->block_sectors * VHD_SECTOR;
    int r = v->room - at >= bytes ? 0 : make_room(v, bytes);

    if (r == 0 && v->pending == PENDING_MAX)
        r = commit(v); /* now, as it takes (l->bitmap) for other blocks */
    if (r < 0)
        return r;
    l->cached = VHD_NONE;
    memset(l->bitmap, v->differs ? 0 : 0xff, l->bitmap_bytes);
    l->end = at + bytes; /* whatever comes of it: it may not be zeroes any more */
    r = put(l->file, l->bitmap, l->bitmap_bytes, at);
    if (r == 0)
        r = pend(v, block, 0, 0, 1);
    if (r < 0)
        return r;
    l->table[block] = (uint32_t)(at / VHD_SECTOR);
    l->cached = block;
    return 0;
}

/* What was made and not used. Where a file cannot be cut it stays: a hole. */
static void cut_room(struct vhd *v)
{
    struct vhd_level *l = &v->level[0];

    if (v->room <= l->end || v->sync_err || put(l->file, v->footer, VHD_SECTOR, l->end) < 0)
        return;
    if (v->lazy || sync_file(v) == 0)
        (void)!xk_file_truncate(l->file, l->end + VHD_SECTOR);
}

/* --- 4. writing --------------------------------------------------------------------------------------------------- */

/* Sectors (from) .. (to) of a block, as the chain has them, become this image's own. */
static int copy_up(struct vhd *v, uint32_t block, uint32_t from, uint32_t to)
{
    struct vhd_level *l = &v->level[0];
    uint8_t buf[8 * VHD_SECTOR];
    struct xk_piece p = {buf, (to - from) * (size_t)VHD_SECTOR};
    struct cursor c = {&p, 0};
    int r = from == to ? 0 : read_from(v, 0, block * (uint64_t)l->block_sectors + from, &c, to - from);

    if (r == 0 && from < to)
        r = put(l->file, buf, p.len, vhd_level_data_at(l, block, from));
    return r;
}

/* What is new of sectors (begin) .. (end), whole bytes of the bitmap; then their rest has to come, too. */
static int fresh_sectors(struct vhd *v, uint32_t block, uint32_t begin, uint32_t end)
{
    struct vhd_level *l = &v->level[0];
    int fresh = 0, r = 0;

    if (vhd_batmap_has(&l->batmap, block))
        return 0;
    if (is_pending(v, block, begin, end))
        r = commit(v);
    if (r == 0)
        r = vhd_level_load_bitmap(l, block);
    for (uint32_t i = begin; i < end && r == 0; i++)
        fresh += !vhd_level_bit(l, i);
    return r < 0 ? r : fresh;
}

/* Sectors of one block: their data; where they are new, their bits are pending. */
static int write_part(struct vhd *v, uint32_t block, uint32_t first, struct cursor *c, uint32_t n)
{
    struct vhd_level *l = &v->level[0];
    uint32_t begin = first / 8 * 8, end = (first + n + 7) / 8 * 8;
    int fresh = fresh_sectors(v, block, begin, end), r = fresh < 0 ? fresh : 0;

    if (fresh > 0)
        r = copy_up(v, block, begin, first);
    if (fresh > 0 && r == 0)
        r = copy_up(v, block, first + n, end);
    if (r == 0)
        r = cursor_write(c, l->file, (size_t)n * VHD_SECTOR, vhd_level_data_at(l, block, first));
    return r < 0 || fresh == 0 ? r : pend(v, block, begin, end, 0);
}

static int write_sectors(struct vhd *v, uint64_t sector, struct cursor *c, uint32_t n)
{
    struct vhd_level *l = &v->level[0];

    if (!l->table)
        return cursor_write(c, l->file, (size_t)n * VHD_SECTOR, sector * VHD_SECTOR);
    while (n) {
        uint32_t block = (uint32_t)(sector / l->block_sectors), first = (uint32_t)(sector % l->block_sectors);
        uint32_t part = l->block_sectors - first < n ? l->block_sectors - first : n;
        int r = l->table[block] == VHD_NONE ? new_block(v, block) : 0;

        if (r == 0)
            r = write_part(v, block, first, c, part);
        if (r < 0)
            return r;
        sector += part;
        n -= part;
    }
    return 0;
}

/* Requests of one kick have no order among them, so a read needs nothing of what is pending. */
static int run(struct xk__image *i, struct xk_blk_request *r)
{
    struct vhd *v = (struct vhd *)i;
    struct cursor c = {r->piece, 0};
    int err = 0;

    if (r->op == XK_BLK_WRITE)
        err = write_sectors(v, r->sector, &c, (uint32_t)r->sectors);
    else if (r->op == XK_BLK_READ)
        err = read_from(v, 0, r->sector, &c, (uint32_t)r->sectors);
    if (err == 0 && r->flags & XK_BLK_FUA)
        err = commit(v);
    if (err == 0 && (r->op == XK_BLK_FLUSH || r->flags & XK_BLK_FUA))
        err = sync_file(v);
    return err;
}

/* The first sector from (sector) on that the level may have. */
static uint64_t next_of(const struct vhd_level *l, uint64_t sector)
{
    uint32_t block;
    int64_t at;

    if (sector >= l->sectors)
        return UINT64_MAX;
    if (!l->table) {
        at = xk_file_data(l->file, sector * VHD_SECTOR);
        return at < 0 ? sector : (uint64_t)at / VHD_SECTOR;
    }
    for (block = (uint32_t)(sector / l->block_sectors); block < l->blocks && l->table[block] == VHD_NONE; block++)
        ;
    return block * (uint64_t)l->block_sectors > sector ? block * (uint64_t)l->block_sectors : sector;
}

static uint64_t next(struct xk__image *i, uint64_t sector)
{
    const struct vhd *v = (const struct vhd *)i;
    uint64_t first = v->image.dev.info.sectors;

    for (unsigned k = 0; k < v->levels; k++) {
        uint64_t at = next_of(&v->level[k], sector);
        first = at < first ? at : first;
    }
    return first;
}

/* --- 5. life ------------------------------------------------------------------------------------------------------ */

static void fini(struct xk__image *i)
{
    struct vhd *v = (struct vhd *)i;

    cut_room(v);
    if (v->written && v->level[0].batmap.dirty)
        (void)!sync_file(v);
    for (unsigned k = 0; k < v->levels; k++)
        vhd_level_close(&v->alloc, &v->level[k]);
}

/* The footer's copy at the beginning, which counts when the footer is lost: a cut may have left it behind. */
static int renew_copy(struct xk_file *file, const uint8_t footer[VHD_SECTOR])
{
    uint8_t old[VHD_SECTOR];
    int r = xk_file_read(file, old, sizeof(old), 0);

    if (r < 0 || (r == VHD_SECTOR && memcmp(old, footer, VHD_SECTOR) == 0))
        return r < 0 ? r : 0;
    r = put(file, footer, VHD_SECTOR, 0);
    return r < 0 ? r : xk_file_sync(file);
}

/* A block that was begun when the power was cut stays behind, unused, and the next one comes after all that is there:
 * so it is zeroes. A footer that was lost then is written anew. */
static int tidy(struct vhd *v, const struct vhd_footer *f)
{
    struct vhd_level *l = &v->level[0];
    int64_t size = xk_file_size(l->file);

    memcpy(v->footer, f->raw, VHD_SECTOR);
    if (size >= 0 && l->table) {
        int r = renew_copy(l->file, f->raw);
        if (r == 0 && l->batmap.wrong && l->batmap.map_at)
            r = vhd_batmap_reset(l);
        if (r < 0)
            return r;
    }
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
        r = raw ? vhd_level_open_raw(&v->level[i]) : vhd_level_open(&v->alloc, &v->level[i], &f, &h);
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
    v->room = v->level[0].end;
    v->grow = 1;
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
    v->lazy = (features & XK_VHD_LAZY) != 0;
    v->image.settle = settle;
    v->image.next = next;
    for (unsigned i = 0; i < n; i++)
        v->level[i].file = chain[i];
    r = open_chain(v, n, (features & XK_BLK_READONLY) != 0);
    if (r < 0) {
        xk_blk_close(&v->image.dev);
        return r;
    }
    v->image.dev.info.sectors = v->level[0].sectors;
    v->image.dev.info.features = XK_BLK_CAN_FLUSH | XK_BLK_DEAR_KICK | (features & XK_BLK_READONLY);
    v->written = !(features & XK_BLK_READONLY);
    *out = &v->image.dev;
    return 0;
}

/* --- vhd_device.h ------------------------------------------------------------------------------------------------- */

struct vhd_level *vhd_top(struct xk_blkdev *dev)
{
    struct xk__image *i = (struct xk__image *)dev;

    return dev->ops == xk__image_ops() && i->run == run ? &((struct vhd *)i)->level[0] : NULL;
}
