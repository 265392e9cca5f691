/* One file of a chain (vhd_level.h). SPDX-License-Identifier: MIT */
#include <string.h>

#include "block/vhd_level.h"

/* --- where a sector is --- */

int vhd_level_load_bitmap(struct vhd_level *l, uint32_t block)
{
    int r;

    if (l->cached == block)
        return 0;
    l->cached = VHD_NONE;
    r = xk_file_read(l->file, l->bitmap, l->bitmap_bytes, vhd_level_bitmap_at(l, block));
    if (r < 0)
        return r;
    if ((uint32_t)r < l->bitmap_bytes)
        return XK_EIO; /* the file is shorter than it was */
    l->cached = block;
    if (vhd_level_is_full(l))
        vhd_batmap_learn(&l->batmap, block);
    return 0;
}

int vhd_level_is_full(const struct vhd_level *l)
{
    return l->bitmap[0] == 0xff && memcmp(l->bitmap, l->bitmap + 1, l->block_sectors / 8 - 1) == 0;
}

/* Sectors of one block that are alike, a byte of the bitmap at a time where that can be. */
static uint32_t alike(const struct vhd_level *l, uint32_t first, uint32_t n)
{
    int is = vhd_level_bit(l, first);
    uint8_t whole = is ? 0xff : 0;
    uint32_t run = 1;

    while (run < n) {
        uint32_t at = first + run;
        if (at % 8 == 0 && n - run >= 8 && l->bitmap[at / 8] == whole)
            run += 8;
        else if (vhd_level_bit(l, at) == is)
            run++;
        else
            break;
    }
    return run;
}

int vhd_level_locate(struct vhd_level *l, uint64_t sector, uint32_t n, uint64_t *at)
{
    uint32_t block, first, run;
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
    if (vhd_batmap_has(&l->batmap, block)) {
        *at = vhd_level_data_at(l, block, first);
        return (int)n;
    }
    r = vhd_level_load_bitmap(l, block);
    if (r < 0)
        return r;
    run = alike(l, first, n);
    if (vhd_level_bit(l, first))
        *at = vhd_level_data_at(l, block, first);
    return (int)run;
}

/* --- life --- */

/* Entries that lead beyond the end, or to before the table's, are damage. */
static int check_table(const struct vhd_level *l)
{
    uint64_t size = l->bitmap_bytes + (uint64_t)l->block_sectors * VHD_SECTOR, least = l->table_at + l->blocks * 4ull;

    for (uint32_t i = 0; i < l->blocks; i++) {
        uint64_t begin = l->table[i] * (uint64_t)VHD_SECTOR;
        if (l->table[i] != VHD_NONE && (begin < least || begin > l->end || size > l->end - begin))
            return XK_EPROTO;
    }
    return 0;
}

static int load_table(const xk_alloc *alloc, struct vhd_level *l)
{
    size_t bytes = l->blocks * sizeof(uint32_t);
    uint8_t *raw;
    int r;

    l->table = xk_new(alloc, bytes);
    l->bitmap = xk_new(alloc, l->bitmap_bytes);
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

int vhd_level_open(const xk_alloc *alloc, struct vhd_level *l, struct vhd_footer *f, struct vhd_header *h)
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
    r = load_table(alloc, l);
    return r < 0 ? r : vhd_batmap_open(alloc, l, f, h);
}

int vhd_level_open_raw(struct vhd_level *l)
{
    int64_t size = xk_file_size(l->file);

    l->sectors = size < 0 ? 0 : (uint64_t)size / VHD_SECTOR;
    return size < 0 ? (int)size : 0;
}

void vhd_level_free(const xk_alloc *alloc, struct vhd_level *l)
{
    vhd_batmap_close(alloc, &l->batmap);
    if (l->table)
        xk_free(alloc, l->table, l->blocks * sizeof(uint32_t));
    if (l->bitmap)
        xk_free(alloc, l->bitmap, l->bitmap_bytes);
}

void vhd_level_close(const xk_alloc *alloc, struct vhd_level *l)
{
    vhd_level_free(alloc, l);
    xk_file_close(l->file);
}
