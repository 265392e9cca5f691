/* fs/dir.h - directories: slots of 32 bytes, entries of one short name and the long one before it.
 * SPDX-License-Identifier: MIT */
#ifndef XK_FS_DIR_H
#define XK_FS_DIR_H

#include "fs/fat.h"
#include "fs/name.h"

enum {
    FAT_SLOT = 32,
    FAT_SLOTS_MAX = 65536, /* of a directory */
    FAT_ATTR_LABEL = 8,
    FAT_ATTR_LONG = 15,
    FAT_DELETED = 0xe5
};
#define FAT_ROOT 0u /* in place of a directory's first cluster */

/* A place in a directory. */
struct fat_dir {
    struct xk_fat *f;
    uint32_t first;        /* cluster; FAT_ROOT */
    uint32_t index;        /* of the next slot */
    uint32_t cluster, nth; /* where it was last: the (nth) of its chain */
};

struct fat_entry {
    struct fat_name name;
    uint8_t raw[FAT_SLOT];
    uint32_t index, slots;   /* of the last slot, which has the short name; with the long one's */
    uint32_t sector, offset; /* where it is on the medium */
};

static inline uint32_t fat_entry_cluster(const struct fat_entry *e)
{
    return fat_get16(e->raw + 26) | fat_get16(e->raw + 20) << 16;
}
static inline uint32_t fat_entry_size(const struct fat_entry *e) { return fat_get32(e->raw + 28); }
static inline void fat_raw_set_cluster(uint8_t raw[FAT_SLOT], uint32_t cluster)
{
    fat_put16(raw + 26, cluster);
    fat_put16(raw + 20, cluster >> 16);
}
static inline int fat_entry_is_dir(const struct fat_entry *e) { return (e->raw[11] & XK_FAT_DIRECTORY) != 0; }
static inline int fat_entry_is_dot(const struct fat_entry *e) { return e->raw[0] == '.'; }

static inline void fat_dir_begin(struct fat_dir *d, struct xk_fat *f, uint32_t first)
{
    *d = (struct fat_dir){.f = f, .first = first};
}

/* Slot (index): where it is in memory. 1; 0: the directory ends before it. */
int fat_dir_slot(struct fat_dir *d, uint32_t index, struct fat_sector **s, uint8_t **slot);

/* The next entry that is in use; the label is none. 1; 0: there is no other. */
int fat_dir_next(struct fat_dir *d, struct fat_entry *e);

/* XK_ENOENT. */
int fat_dir_find(struct xk_fat *f, uint32_t first, const struct fat_name *name, struct fat_entry *e);

/* A new entry, whose attributes, times, cluster and size (raw) has. XK_EEXIST, XK_ENOSPC. */
int fat_dir_add(struct xk_fat *f, uint32_t first, const struct fat_name *name, const uint8_t raw[FAT_SLOT],
                struct fat_entry *e);
int fat_dir_remove(struct xk_fat *f, uint32_t first, const struct fat_entry *e);

/* An entry of now without a name, for fat_dir_add. */
void fat_raw_new(const struct xk_fat *f, uint8_t attributes, uint32_t cluster, uint8_t raw[FAT_SLOT]);

/* What (e->raw) says now, but for the name, comes to the directory. */
int fat_dir_update(struct xk_fat *f, const struct fat_entry *e);

/* A cluster of zeroes with "." and "..", on the medium; it is in no directory yet. */
int fat_dir_make(struct xk_fat *f, uint32_t parent, uint32_t *first);

#endif
