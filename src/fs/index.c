/* Names to slots (index.h): a hash table for each of a few directories, by the names' capitals, long and short.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "fs/index.h"

enum { FREE, USED, GONE };

static uint32_t hash_of(const struct fat_name *name)
{
    uint32_t h = 2166136261u;

    for (unsigned i = 0; i < name->n; i++)
        h = (h ^ fat_name_fold(name->unit[i])) * 16777619u;
    return h;
}

static size_t bytes_of(uint32_t room) { return room * sizeof(struct fat_index_slot); }

static void put(struct fat_index *ix, struct fat_index_slot s)
{
    uint32_t i = s.hash & (ix->room - 1);

    while (ix->slot[i].state == USED)
        i = (i + 1) & (ix->room - 1);
    ix->count += ix->slot[i].state == FREE;
    ix->slot[i] = s;
}

/* Half of the places stay free. */
static int make_room(struct xk_fat *f, struct fat_index *ix)
{
    uint32_t room = ix->room ? ix->room * 2 : 64;
    struct fat_index old = *ix;

    if (ix->count * 2 + 4 <= ix->room)
        return 0;
    ix->slot = xk_new(&f->alloc, bytes_of(room));
    if (!ix->slot) {
        ix->slot = old.slot;
        return XK_ENOMEM;
    }
    ix->room = room;
    ix->count = 0;
    for (uint32_t i = 0; i < old.room; i++)
        if (old.slot[i].state == USED)
            put(ix, old.slot[i]);
    xk_free(&f->alloc, old.slot, bytes_of(old.room));
    return 0;
}

static int add(struct xk_fat *f, struct fat_index *ix, const struct fat_entry *e)
{
    struct fat_index_slot s = {hash_of(&e->name), (uint16_t)e->index, (uint8_t)e->slots, USED};
    struct fat_name short_name;
    int r = make_room(f, ix);

    if (r < 0)
        return r;
    put(ix, s);
    if (e->slots == 1)
        return 0;
    fat_name_of_short(e->raw, 0, &short_name);
    s.hash = hash_of(&short_name);
    put(ix, s);
    return 0;
}

static void drop(struct xk_fat *f, struct fat_index *ix)
{
    xk_free(&f->alloc, ix->slot, bytes_of(ix->room));
    memset(ix, 0, sizeof(*ix));
}

static struct fat_index *known(struct xk_fat *f, uint32_t first)
{
    for (unsigned i = 0; i < FAT_INDEXES; i++)
        if (f->index[i].slot && f->index[i].first == first)
            return &f->index[i];
    return NULL;
}

static struct fat_index *oldest(struct xk_fat *f)
{
    struct fat_index *ix = &f->index[0];

    for (unsigned i = 1; i < FAT_INDEXES; i++)
        if (f->index[i].tick < ix->tick)
            ix = &f->index[i];
    return ix;
}

int fat_index_of(struct xk_fat *f, uint32_t first, struct fat_index **out)
{
    struct fat_index *ix = known(f, first);
    struct fat_entry e;
    struct fat_dir d;
    int r = 0;

    if (!ix) {
        ix = oldest(f);
        drop(f, ix);
        ix->first = first;
        r = make_room(f, ix);
        fat_dir_begin(&d, f, first);
        while (r == 0 && (r = fat_dir_next(&d, &e)) > 0)
            r = add(f, ix, &e);
    }
    if (r < 0) {
        drop(f, ix);
        return r;
    }
    ix->tick = ++f->ticks;
    *out = ix;
    return 0;
}

int fat_index_find(struct xk_fat *f, struct fat_index *ix, const struct fat_name *name, struct fat_entry *e)
{
    uint32_t hash = hash_of(name);

    for (uint32_t i = hash & (ix->room - 1); ix->slot[i].state != FREE; i = (i + 1) & (ix->room - 1)) {
        struct fat_name short_name;
        struct fat_dir d;
        int r;
        if (ix->slot[i].state != USED || ix->slot[i].hash != hash)
            continue;
        fat_dir_begin(&d, f, ix->first);
        d.index = ix->slot[i].index + 1u - ix->slot[i].slots;
        r = fat_dir_next(&d, e);
        if (r <= 0)
            return r < 0 ? r : XK_EPROTO;
        fat_name_of_short(e->raw, 0, &short_name);
        if (fat_name_same(&e->name, name) || (e->slots > 1 && fat_name_same(&short_name, name)))
            return 0;
    }
    return XK_ENOENT;
}

void fat_index_add(struct xk_fat *f, uint32_t first, const struct fat_entry *e)
{
    struct fat_index *ix = known(f, first);

    if (ix && add(f, ix, e) < 0)
        drop(f, ix);
}

void fat_index_remove(struct xk_fat *f, uint32_t first, const struct fat_entry *e)
{
    struct fat_index *ix = known(f, first);
    struct fat_name name = e->name;

    for (int k = 0; ix && k < 2; k++) {
        uint32_t hash = hash_of(&name);
        for (uint32_t i = hash & (ix->room - 1); ix->slot[i].state != FREE; i = (i + 1) & (ix->room - 1))
            if (ix->slot[i].state == USED && ix->slot[i].index == e->index)
                ix->slot[i].state = GONE;
        fat_name_of_short(e->raw, 0, &name);
    }
    if (ix && ix->room_from > e->index + 1 - e->slots)
        ix->room_from = e->index + 1 - e->slots;
}

void fat_index_drop(struct xk_fat *f, uint32_t first)
{
    struct fat_index *ix = known(f, first);

    if (ix)
        drop(f, ix);
}

void fat_index_drop_all(struct xk_fat *f)
{
    for (unsigned i = 0; i < FAT_INDEXES; i++)
        drop(f, &f->index[i]);
}
