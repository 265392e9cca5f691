/* Sectors in memory (fat.h). Those that were changed stay until they are written. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "fs/fat.h"

static size_t bytes_of(const struct fat_cache *c) { return sizeof(struct fat_sector) + c->size; }

static void unlink_use(struct fat_cache *c, struct fat_sector *s)
{
    *(s->newer ? &s->newer->older : &c->newest) = s->older;
    *(s->older ? &s->older->newer : &c->oldest) = s->newer;
}

static void link_newest(struct fat_cache *c, struct fat_sector *s)
{
    s->newer = NULL;
    s->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = s;
    c->newest = s;
}

static void drop(struct fat_cache *c, struct fat_sector *s)
{
    struct fat_sector **link = &c->hash[s->number % FAT_HASH];

    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    unlink_use(c, s);
    c->count--;
    xk_free(&c->alloc, s, bytes_of(c));
}

static void make_room(struct fat_cache *c)
{
    struct fat_sector *s = c->oldest;

    while (s && c->count >= FAT_CACHE_MAX) {
        struct fat_sector *newer = s->newer;
        if (!s->dirty)
            drop(c, s);
        s = newer;
    }
}

static int load(struct fat_cache *c, struct fat_sector *s)
{
    int r = xk_file_read(c->file, s->data, c->size, (uint64_t)s->number * c->size);

    return r < 0 ? r : (uint32_t)r < c->size ? XK_EIO : 0;
}

int fat_cache_get(struct fat_cache *c, uint32_t number, enum fat_kind kind, int fresh, struct fat_sector **out)
{
    struct fat_sector *s = c->hash[number % FAT_HASH];
    int r = 0;

    while (s && s->number != number)
        s = s->next;
    if (s) {
        unlink_use(c, s);
    } else {
        if (c->count >= FAT_CACHE_MAX)
            make_room(c);
        s = xk_new(&c->alloc, bytes_of(c));
        if (s)
            s->number = number;
        if (s && !fresh)
            r = load(c, s);
        if (!s || r < 0) {
            c->failed = 1;
            xk_free(&c->alloc, s, bytes_of(c));
            return s ? r : XK_ENOMEM;
        }
        s->next = c->hash[number % FAT_HASH];
        c->hash[number % FAT_HASH] = s;
        c->count++;
    }
    link_newest(c, s);
    if (s->dirty && s->kind != kind) { /* a cluster that was a directory's, or is now */
        c->dirty[s->kind]--;
        c->dirty[kind]++;
    }
    s->kind = (uint8_t)kind;
    if (fresh)
        memset(s->data, 0, c->size);
    *out = s;
    return 0;
}

void fat_cache_dirty(struct fat_cache *c, struct fat_sector *s)
{
    c->dirty[s->kind] += !s->dirty;
    s->dirty = 1;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = (*(struct fat_sector *const *)a)->number, y = (*(struct fat_sector *const *)b)->number;

    return (x > y) - (x < y);
}

/* Neighbours go as one, as far as pieces go. */
static int write_list(struct fat_cache *c, struct fat_sector **list, unsigned n, uint64_t shift)
{
    enum { PIECES = 64 };
    int r = 0;

    for (unsigned i = 0, run; i < n && r >= 0; i += run) {
        struct xk_piece v[PIECES];
        for (run = 0; i + run < n && run < PIECES && list[i + run]->number == list[i]->number + run; run++)
            v[run] = (struct xk_piece){list[i + run]->data, c->size};
        r = xk_file_writev(c->file, v, run, (list[i]->number + shift) * c->size);
    }
    return r < 0 ? r : 0;
}

int fat_cache_write(struct fat_cache *c, enum fat_kind kind, unsigned copies, uint32_t step, int split)
{
    unsigned n = 0, count = c->dirty[kind];
    struct fat_sector **list;
    int r = 0;

    if (count == 0)
        return 0;
    list = xk_new(&c->alloc, count * sizeof(struct fat_sector *));
    if (!list) {
        c->failed = 1;
        return XK_ENOMEM;
    }
    for (struct fat_sector *s = c->newest; s; s = s->older)
        if (s->dirty && s->kind == kind)
            list[n++] = s;
    qsort(list, n, sizeof(struct fat_sector *), by_number);
    for (unsigned k = 0; k < copies && r == 0; k++) {
        r = write_list(c, list, n, (uint64_t)k * step);
        if (r == 0 && k == 0 && split && copies > 1)
            r = xk_file_sync(c->file);
    }
    for (unsigned i = 0; i < n && r == 0; i++)
        list[i]->dirty = 0;
    if (r == 0)
        c->dirty[kind] = 0;
    c->failed |= r < 0;
    xk_free(&c->alloc, list, count * sizeof(struct fat_sector *));
    return r;
}

void fat_cache_forget(struct fat_cache *c, uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct fat_sector *s = c->hash[(first + i) % FAT_HASH];
        while (s && s->number != first + i)
            s = s->next;
        if (!s)
            continue;
        c->dirty[s->kind] -= s->dirty;
        drop(c, s);
    }
}

void fat_cache_free(struct fat_cache *c)
{
    while (c->oldest)
        drop(c, c->oldest);
}
