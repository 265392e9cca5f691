/* Directories (dir.h). In this file: 1. slots  2. entries  3. room  4. new entries
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "fs/index.h"

enum { LONG_UNITS = 13, LONG_SLOTS = 20, LAST_LONG = 0x40, ALIASES = 1000 };

/* --- 1. slots ----------------------------------------------------------------------------------------------------- */

/* The cluster with the (nth) part of the directory. 1; 0: it ends before. */
static int go_to(struct fat_dir *d, uint32_t nth)
{
    uint32_t first = d->first == FAT_ROOT ? d->f->shape.root_cluster : d->first;

    if (d->cluster == 0 || nth < d->nth) {
        d->cluster = first;
        d->nth = 0;
    }
    while (d->nth < nth) {
        uint32_t next;
        int r = fat_next(d->f, d->cluster, &next);
        if (r < 0 || next == FAT_END)
            return r;
        d->cluster = next;
        d->nth++;
    }
    return 1;
}

int fat_dir_slot(struct fat_dir *d, uint32_t index, struct fat_sector **s, uint8_t **slot)
{
    const struct fat_shape *sh = &d->f->shape;
    uint32_t per_sector = sh->sector / FAT_SLOT, per_cluster = sh->cluster / FAT_SLOT, sector;
    int r;

    if (index >= FAT_SLOTS_MAX)
        return 0;
    if (d->first == FAT_ROOT && sh->type != 32) {
        if (index >= sh->root_entries)
            return 0;
        sector = sh->reserved + sh->fats * sh->fat_sectors + index / per_sector;
    } else {
        r = go_to(d, index / per_cluster);
        if (r <= 0)
            return r;
        sector = (uint32_t)(fat_cluster_at(sh, d->cluster) / sh->sector) + index % per_cluster / per_sector;
    }
    r = fat_cache_get(&d->f->cache, sector, FAT_DIR, 0, s);
    if (r < 0)
        return r;
    *slot = (*s)->data + index % per_sector * FAT_SLOT;
    return 1;
}

/* --- 2. entries --------------------------------------------------------------------------------------------------- */

/* A long name that is being put together from its last part to its first. */
struct parts {
    uint16_t unit[LONG_SLOTS * LONG_UNITS];
    unsigned want, all; /* the next part's number; how many there are */
    uint8_t sum;
};

static const uint8_t unit_at[LONG_UNITS] = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};

static void take_part(struct parts *p, const uint8_t *slot)
{
    unsigned number = slot[0] & 0x3f;

    if (slot[0] & LAST_LONG && number >= 1 && number <= LONG_SLOTS) {
        p->want = p->all = number;
        p->sum = slot[13];
    }
    if (p->want == 0 || number != p->want || slot[13] != p->sum) {
        p->want = p->all = 0;
        return;
    }
    p->want--;
    for (unsigned i = 0; i < LONG_UNITS; i++)
        p->unit[(number - 1) * LONG_UNITS + i] = (uint16_t)fat_get16(slot + unit_at[i]);
}

/* 1: the parts are this entry's long name. */
static int use_parts(const struct parts *p, const uint8_t *slot, struct fat_name *name)
{
    unsigned n = 0;

    if (p->all == 0 || p->want != 0 || p->sum != fat_name_sum(slot))
        return 0;
    while (n < p->all * LONG_UNITS && p->unit[n] != 0)
        n++;
    if (n == 0 || n > FAT_NAME_UNITS)
        return 0;
    memcpy(name->unit, p->unit, n * sizeof(name->unit[0]));
    name->n = n;
    return 1;
}

int fat_dir_next(struct fat_dir *d, struct fat_entry *e)
{
    struct parts parts = {.all = 0};
    struct fat_sector *s;
    uint8_t *slot;
    int r;

    for (; (r = fat_dir_slot(d, d->index, &s, &slot)) > 0 && slot[0] != 0; d->index++) {
        if (slot[0] == FAT_DELETED) {
            parts.all = 0;
        } else if ((slot[11] & 0x3f) == FAT_ATTR_LONG) {
            take_part(&parts, slot);
        } else if (slot[11] & FAT_ATTR_LABEL) {
            parts.all = 0;
        } else {
            memcpy(e->raw, slot, FAT_SLOT);
            e->slots = 1;
            if (use_parts(&parts, slot, &e->name))
                e->slots += parts.all;
            else
                fat_name_of_short(slot, slot[12], &e->name);
            e->index = d->index++;
            e->sector = s->number;
            e->offset = (uint32_t)(slot - s->data);
            return 1;
        }
    }
    return r < 0 ? r : 0;
}

int fat_dir_find(struct xk_fat *f, uint32_t first, const struct fat_name *name, struct fat_entry *e)
{
    struct fat_index *ix;
    int r = fat_index_of(f, first, &ix);

    return r < 0 ? r : fat_index_find(f, ix, name, e);
}

int fat_dir_update(struct xk_fat *f, const struct fat_entry *e)
{
    struct fat_sector *s;
    int r = fat_cache_get(&f->cache, e->sector, FAT_DIR, 0, &s);

    if (r < 0)
        return r;
    memcpy(s->data + e->offset + FAT_SHORT, e->raw + FAT_SHORT, FAT_SLOT - FAT_SHORT);
    fat_cache_dirty(&f->cache, s);
    return 0;
}

int fat_dir_remove(struct xk_fat *f, uint32_t first, const struct fat_entry *e)
{
    struct fat_sector *s;
    struct fat_dir d;
    uint8_t *slot;
    int r = 1;

    fat_index_remove(f, first, e);
    fat_dir_begin(&d, f, first);
    for (uint32_t i = 0; i < e->slots && r > 0; i++) { /* the short name first: without it the others are nothing */
        r = fat_dir_slot(&d, e->index - i, &s, &slot);
        if (r > 0) {
            slot[0] = FAT_DELETED;
            fat_cache_dirty(&f->cache, s);
        }
    }
    return r < 0 ? r : 0;
}

/* --- 3. room ------------------------------------------------------------------------------------------------------ */

struct look {
    uint32_t need;       /* slots */
    uint32_t run, begin; /* free slots up to here */
    uint32_t found;      /* the first of enough; UINT32_MAX */
    uint32_t end;        /* the first slot that was never used, or the capacity */
};

/* An entry is in one sector, if it can be: then it is there as a whole, or not, when the power is cut. */
static int fits(uint32_t begin, uint32_t need, uint32_t per_sector)
{
    return need > per_sector || begin % per_sector + need <= per_sector;
}

static void look_at_free(struct look *l, uint32_t index, uint32_t per_sector)
{
    if (l->run++ == 0)
        l->begin = index;
    for (; l->found == UINT32_MAX && l->run >= l->need; l->begin++, l->run--)
        if (fits(l->begin, l->need, per_sector)) {
            l->found = l->begin;
            return;
        }
}

static int look_for_room(struct xk_fat *f, uint32_t first, uint32_t from, struct look *l)
{
    uint32_t per_sector = f->shape.sector / FAT_SLOT, i;
    struct fat_sector *s;
    struct fat_dir d;
    uint8_t *slot;
    int r, ended = 0;

    fat_dir_begin(&d, f, first);
    l->found = UINT32_MAX;
    l->run = 0;
    for (i = from; (r = fat_dir_slot(&d, i, &s, &slot)) > 0 && l->found == UINT32_MAX; i++) {
        if (slot[0] == 0 && !ended) {
            ended = 1;
            l->end = i;
        }
        if (ended || slot[0] == FAT_DELETED)
            look_at_free(l, i, per_sector);
        else
            l->run = 0;
    }
    if (!ended)
        l->end = i;
    return r < 0 ? r : 0;
}

/* One cluster more, of zeroes, which are on the medium before anything leads there. */
static int grow(struct xk_fat *f, uint32_t first)
{
    uint32_t last = first == FAT_ROOT ? f->shape.root_cluster : first, next, fresh, n, steps = 0;
    uint8_t *none;
    int r;

    if (last == 0)
        return XK_ENOSPC; /* the root of FAT12 and FAT16 */
    while ((r = fat_next(f, last, &next)) == 0 && next != FAT_END && steps++ < FAT_SLOTS_MAX)
        last = next;
    if (r < 0)
        return r;
    r = fat_take(f, last + 1, 1, &fresh, &n);
    if (r < 0)
        return r;
    none = xk_new(&f->alloc, f->shape.cluster);
    r = none ? xk_file_write(f->file, none, f->shape.cluster, fat_cluster_at(&f->shape, fresh)) : XK_ENOMEM;
    xk_free(&f->alloc, none, f->shape.cluster);
    f->wrote = f->fresh = 1;
    if (r < 0) {
        fat_give(f, fresh);
        return r;
    }
    return fat_set(f, last, fresh);
}

/* (l->found) slots, all within the directory. */
static int make_room(struct xk_fat *f, uint32_t first, uint32_t from, struct look *l)
{
    int r = look_for_room(f, first, from, l);

    while (r == 0 && l->found == UINT32_MAX) {
        if (l->end + l->need >= FAT_SLOTS_MAX)
            return XK_ENOSPC;
        r = grow(f, first);
        if (r == 0)
            r = look_for_room(f, first, from, l);
    }
    return r;
}

/* --- 4. new entries ----------------------------------------------------------------------------------------------- */

/* 1: nobody has this short name. */
static int is_free(struct xk_fat *f, struct fat_index *ix, const uint8_t raw[FAT_SHORT])
{
    struct fat_name name;
    struct fat_entry e;
    int r;

    fat_name_of_short(raw, 0, &name);
    r = fat_index_find(f, ix, &name, &e);
    return r == XK_ENOENT ? 1 : r;
}

/* The next number that is free, after the one that such a name got last. */
static int choose_alias(struct xk_fat *f, struct fat_index *ix, const uint8_t basis[FAT_SHORT], uint8_t out[FAT_SHORT])
{
    int r = 0;

    if (ix->number == 0 || memcmp(ix->basis, basis, FAT_SHORT)) {
        memcpy(ix->basis, basis, FAT_SHORT);
        ix->number = 1;
    }
    for (; ix->number < ALIASES && r == 0; ix->number++) {
        fat_name_number(basis, ix->number, out);
        r = is_free(f, ix, out);
    }
    return r < 0 ? r : r == 0 ? XK_ENOSPC : 0;
}

/* When a thousand names begin alike: letters that the whole name makes. */
static int choose_by_hash(struct xk_fat *f, struct fat_index *ix, const struct fat_name *name, uint8_t basis[FAT_SHORT],
                          uint8_t out[FAT_SHORT])
{
    static const char hex[] = "0123456789ABCDEF";
    uint32_t h = 2166136261u;
    int r = 0;

    for (unsigned i = 0; i < name->n; i++)
        h = (h ^ name->unit[i]) * 16777619u;
    for (int i = 0; i < 4; i++)
        basis[2 + i] = (uint8_t)hex[h >> (8 + 4 * i) & 15];
    for (int i = 0; i < 2; i++)
        basis[i] = basis[i] == ' ' ? '_' : basis[i];
    for (unsigned i = 1; i < ALIASES && r == 0; i++) {
        fat_name_number(basis, i, out);
        r = is_free(f, ix, out);
    }
    return r < 0 ? r : r == 0 ? XK_ENOSPC : 0;
}

/* Into (e->raw). How many slots the entry needs. */
static int choose_short(struct xk_fat *f, struct fat_index *ix, const struct fat_name *name, struct fat_entry *e)
{
    uint8_t basis[FAT_SHORT], lower;
    int whole = fat_name_to_short(name, basis, &lower), r = whole ? is_free(f, ix, basis) : 0;

    if (r < 0)
        return r;
    memcpy(e->raw, basis, FAT_SHORT);
    e->raw[12] = lower;
    if (r > 0)
        return 1;
    e->raw[12] = 0;
    r = choose_alias(f, ix, basis, e->raw);
    if (r == XK_ENOSPC)
        r = choose_by_hash(f, ix, name, basis, e->raw);
    return r < 0 ? r : (int)(1 + (name->n + LONG_UNITS - 1) / LONG_UNITS);
}

static void write_long(uint8_t *slot, const struct fat_name *name, unsigned number, int last, uint8_t sum)
{
    memset(slot, 0, FAT_SLOT);
    slot[0] = (uint8_t)(number | (last ? LAST_LONG : 0));
    slot[11] = FAT_ATTR_LONG;
    slot[13] = sum;
    for (unsigned i = 0; i < LONG_UNITS; i++) {
        unsigned at = (number - 1) * LONG_UNITS + i;
        fat_put16(slot + unit_at[i], at < name->n ? name->unit[at] : at == name->n ? 0 : 0xffff);
    }
}

/* Slots that were never used stay behind the last one, also where some were passed over. */
static int close_gap(struct fat_dir *d, const struct look *l)
{
    struct fat_sector *s;
    uint8_t *slot;
    int r = 1;

    for (uint32_t i = l->end; i < l->found && r > 0; i++) {
        r = fat_dir_slot(d, i, &s, &slot);
        if (r > 0) {
            slot[0] = FAT_DELETED;
            fat_cache_dirty(&d->f->cache, s);
        }
    }
    if (r > 0 && l->found + l->need > l->end) {
        r = fat_dir_slot(d, l->found + l->need, &s, &slot);
        if (r > 0 && slot[0] != 0) {
            memset(slot, 0, FAT_SLOT);
            fat_cache_dirty(&d->f->cache, s);
        }
    }
    return r < 0 ? r : 0;
}

static int write_entry(struct fat_dir *d, const struct look *l, struct fat_entry *e)
{
    uint8_t sum = fat_name_sum(e->raw);
    int r = 1;

    for (uint32_t i = 0; i < l->need && r > 0; i++) {
        struct fat_sector *s;
        uint8_t *slot;
        r = fat_dir_slot(d, l->found + i, &s, &slot);
        if (r <= 0)
            return r < 0 ? r : XK_EPROTO;
        if (i + 1 < l->need) {
            write_long(slot, &e->name, l->need - 1 - i, i == 0, sum);
        } else {
            memcpy(slot, e->raw, FAT_SLOT);
            e->index = l->found + i;
            e->sector = s->number;
            e->offset = (uint32_t)(slot - s->data);
        }
        fat_cache_dirty(&d->f->cache, s);
    }
    return 0;
}

void fat_raw_new(const struct xk_fat *f, uint8_t attributes, uint32_t cluster, uint8_t raw[FAT_SLOT])
{
    uint32_t now = fat_now(f);

    memset(raw, 0, FAT_SLOT);
    raw[11] = attributes;
    fat_put32(raw + 14, now);
    fat_put16(raw + 18, now >> 16);
    fat_put32(raw + 22, now);
    fat_raw_set_cluster(raw, cluster);
}

int fat_dir_add(struct xk_fat *f, uint32_t first, const struct fat_name *name, const uint8_t raw[FAT_SLOT],
                struct fat_entry *e)
{
    struct look l = {.need = 0};
    struct fat_index *ix;
    struct fat_dir d;
    int r = fat_index_of(f, first, &ix);

    if (r == 0 && (r = fat_index_find(f, ix, name, e)) != XK_ENOENT)
        return r < 0 ? r : XK_EEXIST;
    memcpy(e->raw, raw, FAT_SLOT);
    e->name = *name;
    r = choose_short(f, ix, name, e);
    if (r < 0)
        return r;
    l.need = e->slots = (uint32_t)r;
    r = make_room(f, first, ix->room_from, &l);
    if (r < 0)
        return r;
    ix->room_from = l.found + l.need;
    fat_dir_begin(&d, f, first);
    r = close_gap(&d, &l);
    if (r == 0)
        r = write_entry(&d, &l, e);
    if (r == 0)
        fat_index_add(f, first, e);
    return r;
}

int fat_dir_make(struct xk_fat *f, uint32_t parent, uint32_t *first)
{
    uint8_t *bytes = xk_new(&f->alloc, f->shape.cluster);
    uint32_t n;
    int r = bytes ? fat_take(f, 0, 1, first, &n) : XK_ENOMEM;

    for (int i = 0; i < 2 && r == 0; i++) {
        uint8_t *slot = bytes + i * FAT_SLOT;
        memset(slot, ' ', FAT_SHORT);
        memset(slot, '.', (size_t)i + 1);
        slot[11] = XK_FAT_DIRECTORY;
        fat_put32(slot + 14, fat_now(f));
        fat_put16(slot + 18, fat_now(f) >> 16);
        fat_put32(slot + 22, fat_now(f));
        fat_raw_set_cluster(slot, i == 0 ? *first : parent);
    }
    if (r == 0) {
        r = xk_file_write(f->file, bytes, f->shape.cluster, fat_cluster_at(&f->shape, *first));
        if (r < 0)
            fat_give(f, *first);
    }
    f->wrote = f->fresh = 1;
    xk_free(&f->alloc, bytes, f->shape.cluster);
    return r < 0 ? r : 0;
}
