/* The table of clusters: who follows whom, who is free. SPDX-License-Identifier: MIT */
#include <string.h>

#include "fs/fat.h"

/* The byte (at) of the table, in its sector. */
static int byte_at(struct xk_fat *f, uint64_t at, struct fat_sector **s, uint8_t **p)
{
    int r = fat_cache_get(&f->cache, f->shape.reserved + (uint32_t)(at / f->shape.sector), FAT_TABLE, 0, s);

    if (r == 0)
        *p = (*s)->data + at % f->shape.sector;
    return r;
}

/* The two bytes with the entry of a cluster in FAT12, which may be in two sectors. */
static int get12(struct xk_fat *f, uint32_t cluster, uint32_t *value)
{
    struct fat_sector *s;
    uint8_t *p = NULL, low;
    int r = byte_at(f, cluster + cluster / 2, &s, &p);

    if (r < 0)
        return r;
    low = *p;
    r = byte_at(f, cluster + cluster / 2 + 1, &s, &p);
    if (r < 0)
        return r;
    *value = cluster & 1 ? low >> 4 | (uint32_t)*p << 4 : low | (*p & 15u) << 8;
    return 0;
}

static int set12(struct xk_fat *f, uint32_t cluster, uint32_t value)
{
    struct fat_sector *s;
    uint8_t *p = NULL;
    int r = byte_at(f, cluster + cluster / 2, &s, &p);

    if (r < 0)
        return r;
    *p = (uint8_t)(cluster & 1 ? (*p & 15) | value << 4 : value);
    fat_cache_dirty(&f->cache, s);
    r = byte_at(f, cluster + cluster / 2 + 1, &s, &p);
    if (r < 0)
        return r;
    *p = (uint8_t)(cluster & 1 ? value >> 4 : (*p & 0xf0) | (value >> 8 & 15));
    fat_cache_dirty(&f->cache, s);
    return 0;
}

int fat_get(struct xk_fat *f, uint32_t cluster, uint32_t *value)
{
    uint32_t most = f->shape.type == 12 ? 0xfff : f->shape.type == 16 ? 0xffff : 0x0fffffff;
    struct fat_sector *s;
    uint8_t *p = NULL;
    int r;

    if (f->shape.type == 12)
        r = get12(f, cluster, value);
    else
        r = byte_at(f, (uint64_t)cluster * (f->shape.type / 8), &s, &p);
    if (r < 0)
        return r;
    if (f->shape.type == 16)
        *value = fat_get16(p);
    if (f->shape.type == 32)
        *value = fat_get32(p) & most;
    if (*value >= most - 8)
        *value = *value == most - 8 ? FAT_BAD : FAT_END;
    return 0;
}

int fat_set(struct xk_fat *f, uint32_t cluster, uint32_t value)
{
    struct fat_sector *s;
    uint8_t *p = NULL;
    int r;

    if (f->shape.type == 12)
        return set12(f, cluster, value & 0xfff);
    r = byte_at(f, (uint64_t)cluster * (f->shape.type / 8), &s, &p);
    if (r < 0)
        return r;
    if (f->shape.type == 16)
        fat_put16(p, value & 0xffff);
    else
        fat_put32(p, (fat_get32(p) & 0xf0000000) | (value & 0x0fffffff)); /* its upper bits are not ours */
    fat_cache_dirty(&f->cache, s);
    return 0;
}

int fat_next(struct xk_fat *f, uint32_t cluster, uint32_t *next)
{
    int r = fat_get(f, cluster, next);

    return r < 0 || *next == FAT_END || fat_is_cluster(&f->shape, *next) ? r : XK_EPROTO;
}

/* The first free cluster from (from) on, to the end. 0: there is none. */
static int find_free(struct xk_fat *f, uint32_t from, uint32_t *found)
{
    *found = 0;
    for (uint32_t c = from; fat_is_cluster(&f->shape, c); c++) {
        uint32_t value;
        int r = fat_get(f, c, &value);
        if (r < 0)
            return r;
        if (value == FAT_FREE) {
            *found = c;
            break;
        }
    }
    return 0;
}

int fat_take(struct xk_fat *f, uint32_t hint, uint32_t want, uint32_t *first, uint32_t *count)
{
    uint32_t c, value, next;
    int r = find_free(f, fat_is_cluster(&f->shape, hint) ? hint : f->rover, &c);

    if (r == 0 && c == 0)
        r = find_free(f, 2, &c);
    if (r < 0 || c == 0)
        return r < 0 ? r : XK_ENOSPC;
    *first = c;
    for (*count = 1; *count < want; ++*count) {
        next = c + *count;
        if (!fat_is_cluster(&f->shape, next) || (r = fat_get(f, next, &value)) < 0 || value != FAT_FREE)
            break;
    }
    for (uint32_t i = *count; i > 0 && r == 0; i--) /* from its end, so that what stands is always ended */
        r = fat_set(f, c + i - 1, i == *count ? FAT_END : c + i);
    if (r < 0)
        return r;
    f->rover = c + *count;
    if (f->free_count != FAT_UNKNOWN)
        f->free_count -= *count;
    return 0;
}

int fat_give(struct xk_fat *f, uint32_t first)
{
    uint32_t c = first;

    while (fat_is_cluster(&f->shape, c)) {
        uint32_t next;
        int r = fat_get(f, c, &next);
        if (r == 0 && next == FAT_FREE)
            break; /* given back already: a chain that ran into another */
        if (r == 0)
            r = fat_set(f, c, FAT_FREE);
        if (r < 0)
            return r;
        if (f->free_count != FAT_UNKNOWN)
            f->free_count++;
        c = next;
    }
    return 0;
}

int fat_give_later(struct xk_fat *f, uint32_t first)
{
    int r = f->pendings == FAT_PENDING ? fat_commit(f) : 0;

    if (r == 0 && fat_is_cluster(&f->shape, first))
        f->pending[f->pendings++] = first;
    return r;
}

int fat_count_free(struct xk_fat *f)
{
    uint32_t n = 0;

    for (uint32_t c = 2; fat_is_cluster(&f->shape, c); c++) {
        uint32_t value;
        int r = fat_get(f, c, &value);
        if (r < 0)
            return r;
        n += value == FAT_FREE;
    }
    f->free_count = n;
    return 0;
}
