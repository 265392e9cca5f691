/* block/vhd_level.h - one file of a chain: where its sectors are. SPDX-License-Identifier: MIT */
#ifndef XK_BLOCK_VHD_LEVEL_H
#define XK_BLOCK_VHD_LEVEL_H

#include "block/vhd_batmap.h"

struct vhd_level {
    struct xk_file *file;
    uint64_t sectors; /* of the disk */
    uint32_t *table;  /* in sectors of the file; NULL: all is there, from its beginning on */
    uint32_t blocks, block_sectors, bitmap_bytes;
    uint64_t table_at, end; /* in bytes; (end): where the footer stands, and the next block will */
    uint32_t cached;        /* whose bitmap is in (bitmap); VHD_NONE */
    int low_first;          /* bits are counted from the lowest */
    uint8_t *bitmap;
    struct vhd_batmap batmap;
};

/* Of (l->file). XK_EPROTO: it is damaged. Closed by vhd_level_close whatever is returned. */
int vhd_level_open(const xk_alloc *alloc, struct vhd_level *l, struct vhd_footer *f, struct vhd_header *h);
int vhd_level_open_raw(struct vhd_level *l);
void vhd_level_close(const xk_alloc *alloc, struct vhd_level *l);

/* All but its file, which stays open. */
void vhd_level_free(const xk_alloc *alloc, struct vhd_level *l);

int vhd_level_load_bitmap(struct vhd_level *l, uint32_t block);

/* Whether the loaded bitmap has all bits. */
int vhd_level_is_full(const struct vhd_level *l);

/* Of up to (n) sectors from (sector) on those that are alike: how many, and in *at where they are in the file;
 * VHD_NOWHERE: not in this one. */
int vhd_level_locate(struct vhd_level *l, uint64_t sector, uint32_t n, uint64_t *at);

/* Of the loaded bitmap. */
static inline int vhd_level_bit(const struct vhd_level *l, uint32_t sector)
{
    return (l->bitmap[sector / 8] & (l->low_first ? 1u << sector % 8 : 0x80u >> sector % 8)) != 0;
}

/* Where the data of a block begin, which is in the file. */
static inline uint64_t vhd_level_bitmap_at(const struct vhd_level *l, uint32_t block)
{
    return l->table[block] * (uint64_t)VHD_SECTOR;
}
static inline uint64_t vhd_level_data_at(const struct vhd_level *l, uint32_t block, uint32_t sector)
{
    return vhd_level_bitmap_at(l, block) + l->bitmap_bytes + sector * (uint64_t)VHD_SECTOR;
}

#endif
