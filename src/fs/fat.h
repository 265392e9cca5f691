/* fs/fat.h - what the parts of a FAT file system know of each other: its shape, its sectors in memory, its table.
 * Downwards: volume.c, check.c, file.c, dir.c, table.c, cache.c, boot.c. SPDX-License-Identifier: MIT */
#ifndef XK_FS_FAT_H
#define XK_FS_FAT_H

#include <xenkit/fat.h>

/* --- boot.c: what the boot sector says --- */

struct fat_shape {
    int type;                 /* 12, 16, 32 */
    uint32_t sector, cluster; /* bytes */
    uint32_t reserved, fats, fat_sectors;
    uint32_t root_entries, root_sectors; /* of FAT12 and FAT16 */
    uint32_t root_cluster;               /* of FAT32 */
    uint32_t info_sector, backup;        /* of FAT32; 0: none */
    uint64_t sectors;
    uint32_t data_sector, clusters; /* clusters are 2 .. clusters + 1 */
    uint32_t id;
    char label[12];
    uint8_t state; /* bit 0: it was not unmounted */
};

enum { FAT_BOOT_STATE_16 = 37, FAT_BOOT_STATE_32 = 65, FAT_BOOT_DIRTY = 1 };

/* XK_EPROTO: the first sector of (file) is no FAT boot sector, or contradicts itself or the file's size. */
int fat_boot_read(struct xk_file *file, struct fat_shape *out);

/* --- cache.c: sectors of the table and of directories in memory --- */

enum fat_kind { FAT_TABLE, FAT_DIR, FAT_KINDS };

struct fat_sector {
    struct fat_sector *next;          /* of the same hash */
    struct fat_sector *newer, *older; /* by use */
    uint32_t number;
    uint8_t kind, dirty;
    _Alignas(8) uint8_t data[];
};

enum { FAT_HASH = 512, FAT_CACHE_MAX = 1024 /* sectors, but for those that have to be written */ };

struct fat_cache {
    xk_alloc alloc;
    struct xk_file *file;
    uint32_t size; /* bytes of a sector */
    struct fat_sector *hash[FAT_HASH], *newest, *oldest;
    unsigned count, dirty[FAT_KINDS];
    int failed; /* a sector could not be had or written: something may be half done */
};

/* Sector (number) of the file. It stays where it is until some hundred others were asked for. (fresh): it is zeroes
 * now, whatever the file has. */
int fat_cache_get(struct fat_cache *c, uint32_t number, enum fat_kind kind, int fresh, struct fat_sector **out);
void fat_cache_dirty(struct fat_cache *c, struct fat_sector *s);

/* All of this kind that were changed, at their place and (copies) times (step) sectors behind it. (split): a sync after
 * the first copy. */
int fat_cache_write(struct fat_cache *c, enum fat_kind kind, unsigned copies, uint32_t step, int split);

/* These sectors are something else from now on: what is known of them is not written any more. */
void fat_cache_forget(struct fat_cache *c, uint32_t first, uint32_t n);
void fat_cache_free(struct fat_cache *c);

/* --- the file system --- */

/* --- index.c: names of directories --- */

struct fat_index_slot {
    uint32_t hash;
    uint16_t index; /* of the entry's last slot */
    uint8_t slots, state;
};

struct fat_index {
    uint32_t first;              /* the directory */
    struct fat_index_slot *slot; /* NULL: none */
    uint32_t room, count;
    uint32_t room_from; /* there is no room for a new entry before this slot, or too little */
    uint8_t basis[11];  /* for which short names were numbered last */
    unsigned number;    /* the next */
    uint64_t tick;
};

struct fat_node;
enum { FAT_PENDING = 64, FAT_INDEXES = 8 };

struct xk_fat {
    xk_alloc alloc;
    struct xk_file *file;
    struct fat_shape shape;
    struct fat_cache cache;
    struct xk_fat_options options;
    int marked;                    /* as being written to, on the medium */
    int fresh;                     /* new clusters of directories were written since the last sync */
    int wrote;                     /* data since the last sync */
    uint32_t free_count;           /* FAT_UNKNOWN */
    uint32_t rover;                /* where free clusters are looked for */
    uint32_t pending[FAT_PENDING]; /* chains that are given back once no directory on the medium names them */
    unsigned pendings;
    struct fat_index index[FAT_INDEXES];
    uint64_t ticks;
    struct fat_node *nodes; /* files that are open */
    unsigned refs;          /* 1 and the open files */
    int gone;               /* unmounted */
};

#define FAT_UNKNOWN UINT32_MAX

/* Before anything is changed: XK_EROFS; the medium says that it is being written to. */
int fat_begin(struct xk_fat *f);

/* All that was changed, in an order that a cut of the power may stop anywhere. */
int fat_commit(struct xk_fat *f);

/* Enough is waiting to be written that it should be. */
int fat_commit_if_much(struct xk_fat *f);

uint32_t fat_now(const struct xk_fat *f); /* date in the upper half, time in the lower */
int64_t fat_time(uint32_t date_time);     /* 0: none */
uint32_t fat_date_time(int64_t seconds);

/* --- table.c --- */

#define FAT_FREE 0u
#define FAT_BAD 0x0ffffff7u
#define FAT_END 0x0fffffffu /* any mark of an end is read as this */

int fat_get(struct xk_fat *f, uint32_t cluster, uint32_t *value);
int fat_set(struct xk_fat *f, uint32_t cluster, uint32_t value);

static inline int fat_is_cluster(const struct fat_shape *s, uint32_t c) { return c >= 2 && c - 2 < s->clusters; }

/* The next of a chain: FAT_END, or a cluster that is one. XK_EPROTO. */
int fat_next(struct xk_fat *f, uint32_t cluster, uint32_t *next);

/* Up to (want) free clusters in a row, from (hint) on if that can be, chained to each other and ended. XK_ENOSPC. */
int fat_take(struct xk_fat *f, uint32_t hint, uint32_t want, uint32_t *first, uint32_t *count);

/* The chain from (first) on is given back, now. What is not sound of it ends it. */
int fat_give(struct xk_fat *f, uint32_t first);

/* It is given back when the directories on the medium do not name it any more. */
int fat_give_later(struct xk_fat *f, uint32_t first);

int fat_count_free(struct xk_fat *f);

static inline uint64_t fat_cluster_at(const struct fat_shape *s, uint32_t c)
{
    return (uint64_t)s->data_sector * s->sector + (uint64_t)(c - 2) * s->cluster;
}

static inline uint32_t fat_get16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static inline uint32_t fat_get32(const uint8_t *p) { return fat_get16(p) | fat_get16(p + 2) << 16; }
static inline void fat_put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void fat_put32(uint8_t *p, uint32_t v)
{
    fat_put16(p, v);
    fat_put16(p + 2, v >> 16);
}

#endif
