/* A file system looked at as a whole: directories, chains, the table, its copies. What who was interrupted leaves is
 * put right. In this file: 1. findings  2. chains  3. entries  4. directories  5. the table  6. all of it
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fs/check.h"
#include "fs/index.h"

enum { PATH = 1024, TOLD_MAX = 1000 };

struct waiting {
    uint32_t first, parent, above; /* clusters; the one it is in, in the list */
    char *name;
    size_t bytes;
};

struct check {
    struct xk_fat *f;
    int repair, unclean, bad, said;
    void (*told)(void *arg, enum xk_fat_finding what, const char *text);
    void *arg;
    uint8_t *seen, *heads; /* bits of clusters: in use; the first of an entry */
    size_t bytes;
    struct waiting *list; /* directories: those behind (next) are still to be looked at */
    size_t count, room, next;
};

/* --- 1. findings -------------------------------------------------------------------------------------------------- */

static void say(struct check *c, enum xk_fat_finding what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(struct check *c, enum xk_fat_finding what, const char *format, ...)
{
    char text[PATH + 200];
    va_list list;

    c->bad += what == XK_FAT_BAD;
    if (!c->told || c->said++ >= TOLD_MAX)
        return;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    c->told(c->arg, what, text);
}

/* The path of an entry of directory (dir) of the list; its end where it is too long. */
static const char *path_of(const struct check *c, size_t dir, const char *name, char out[PATH])
{
    size_t at = PATH - 1, n = strlen(name);

    out[at] = '\0';
    for (;;) {
        if (n + 1 > at)
            break;
        at -= n;
        memcpy(out + at, name, n);
        if (n || at == PATH - 1)
            out[--at] = '/';
        if (dir == 0)
            break;
        name = c->list[dir].name;
        n = strlen(name);
        dir = c->list[dir].above;
    }
    return out + at;
}

/* --- 2. chains ---------------------------------------------------------------------------------------------------- */

static int test(const uint8_t *bits, uint32_t i) { return bits[i / 8] >> i % 8 & 1; }
static void mark(uint8_t *bits, uint32_t i) { bits[i / 8] |= (uint8_t)(1 << i % 8); }

enum end { ENDS, GOES_ON, LEADS_NOWHERE, RUNS_INTO };

struct chain {
    uint32_t last, count; /* the last that is sound; how many are */
    uint32_t leads;       /* where it goes on, or nowhere */
    enum end end;
};

/* At most (want) clusters from (first) on, which are marked. */
static int walk(struct check *c, uint32_t first, uint32_t want, struct chain *out)
{
    uint32_t at = first;
    int r = 0;

    *out = (struct chain){.leads = first};
    for (;; at = out->leads) {
        if (out->count && at == FAT_END)
            out->end = ENDS;
        else if (out->count == want)
            out->end = GOES_ON;
        else if (!fat_is_cluster(&c->f->shape, at))
            out->end = LEADS_NOWHERE;
        else if (test(c->seen, at))
            out->end = RUNS_INTO;
        else
            out->end = GOES_ON + 10; /* no end yet */
        if (out->end <= RUNS_INTO)
            return 0;
        r = fat_get(c->f, at, &out->leads);
        if (r < 0)
            return r;
        if (out->leads == FAT_FREE) { /* it is not in use itself */
            out->end = LEADS_NOWHERE;
            return 0;
        }
        mark(c->seen, at);
        out->last = at;
        out->count++;
    }
}

/* --- 3. entries --------------------------------------------------------------------------------------------------- */

/* Another name for what was seen: of a rename that was interrupted, or damage. */
static int second_name(struct check *c, size_t dir, const struct fat_entry *e, const char *path)
{
    say(c, c->unclean ? XK_FAT_LEFT : XK_FAT_BAD, "%s: a second name of the same contents%s", path,
        c->unclean ? ", of a rename that was interrupted" : "");
    return c->repair && c->unclean ? fat_dir_remove(c->f, c->list[dir].first, e) : 0;
}

static int check_file(struct check *c, size_t dir, struct fat_entry *e, const char *path)
{
    uint32_t size = fat_get32(e->raw + 28), cluster = c->f->shape.cluster, first = fat_entry_cluster(e);
    uint32_t want = (uint32_t)(((uint64_t)size + cluster - 1) / cluster);
    struct chain chain;
    int r;

    if (want == 0) {
        if (first == 0)
            return 0;
        say(c, XK_FAT_LEFT, "%s: it is empty and has clusters", path);
        fat_raw_set_cluster(e->raw, 0);
        return c->repair ? fat_dir_update(c->f, e) : 0;
    }
    if (fat_is_cluster(&c->f->shape, first) && test(c->seen, first) && test(c->heads, first))
        return second_name(c, dir, e, path);
    r = walk(c, first, want, &chain);
    if (r < 0)
        return r;
    if (fat_is_cluster(&c->f->shape, first))
        mark(c->heads, first);
    if (chain.count < want) {
        say(c, XK_FAT_BAD, "%s: %s after %u of %u clusters", path,
            chain.end == RUNS_INTO ? "it runs into another file" : "its chain ends", chain.count, want);
    } else if (chain.end == GOES_ON) {
        say(c, XK_FAT_LEFT, "%s: its chain is longer than the file", path);
        return c->repair ? fat_set(c->f, chain.last, FAT_END) : 0;
    }
    return 0;
}

static int add_dir(struct check *c, size_t above, const char *name, uint32_t first)
{
    size_t bytes = strlen(name) + 1;
    char *copy = xk_new(&c->f->alloc, bytes);

    if (c->count == c->room) {
        size_t room = c->room ? c->room * 2 : 64;
        struct waiting *more = xk_resize(&c->f->alloc, c->list, c->room * sizeof(*more), room * sizeof(*more));
        if (more) {
            c->list = more;
            c->room = room;
        }
    }
    if (!copy || c->count == c->room) {
        xk_free(&c->f->alloc, copy, bytes);
        return XK_ENOMEM;
    }
    memcpy(copy, name, bytes);
    c->list[c->count] =
        (struct waiting){first, c->count ? c->list[above].first : FAT_ROOT, (uint32_t)above, copy, bytes};
    c->count++;
    return 0;
}

/* The chain of a directory, which has no size. */
static int check_dir_chain(struct check *c, uint32_t first, const char *path)
{
    struct chain chain;
    int r = walk(c, first, UINT32_MAX, &chain), left;

    if (r < 0 || chain.end == ENDS)
        return r;
    left = c->unclean && chain.count > 0; /* it was about to grow */
    say(c, left ? XK_FAT_LEFT : XK_FAT_BAD, "%s: the directory's chain %s", path,
        chain.end == RUNS_INTO ? "runs into another one" : "leads nowhere");
    return c->repair && left ? fat_set(c->f, chain.last, FAT_END) : 0;
}

static int check_subdir(struct check *c, size_t dir, const struct fat_entry *e, const char *name, const char *path)
{
    uint32_t first = fat_entry_cluster(e);
    int r;

    if (!fat_is_cluster(&c->f->shape, first)) {
        say(c, XK_FAT_BAD, "%s: the directory leads nowhere", path);
        return 0;
    }
    if (test(c->seen, first) && test(c->heads, first))
        return second_name(c, dir, e, path);
    if (test(c->seen, first)) {
        say(c, XK_FAT_BAD, "%s: the directory is within another file", path);
        return 0;
    }
    mark(c->heads, first);
    r = check_dir_chain(c, first, path);
    return r < 0 || !test(c->seen, first)
               ? r
               : add_dir(c, dir, name, first); /* what is not even in use is not looked into */
}

/* "." leads to itself, ".." to the one above. */
static int check_dot(struct check *c, size_t dir, struct fat_entry *e, const char *path)
{
    const struct waiting *w = &c->list[dir];
    int up = e->raw[1] == '.';
    uint32_t is = fat_entry_cluster(e), root = c->f->shape.root_cluster, should = up ? w->parent : w->first;

    if (is == should || (up && should == FAT_ROOT && is == root))
        return 0;
    say(c, XK_FAT_LEFT, "%s: \"%s\" leads elsewhere", path, up ? ".." : ".");
    fat_raw_set_cluster(e->raw, should);
    return c->repair ? fat_dir_update(c->f, e) : 0;
}

/* --- 4. directories ----------------------------------------------------------------------------------------------- */

/* Slots from (from) to (to) that are parts of no long name. */
static int check_parts(struct check *c, size_t dir, uint32_t from, uint32_t to)
{
    struct fat_sector *s;
    struct fat_dir d;
    uint8_t *slot;
    char path[PATH];
    int r = 1, n = 0;

    fat_dir_begin(&d, c->f, c->list[dir].first);
    for (uint32_t i = from; i < to && (r = fat_dir_slot(&d, i, &s, &slot)) > 0; i++) {
        if (slot[0] == FAT_DELETED || slot[0] == 0 || (slot[11] & 0x3f) != FAT_ATTR_LONG)
            continue;
        n++;
        if (c->repair) {
            slot[0] = FAT_DELETED;
            fat_cache_dirty(&c->f->cache, s);
        }
    }
    if (n)
        say(c, XK_FAT_LEFT, "%s: %d parts of a long name without an entry", path_of(c, dir, "", path), n);
    return r < 0 ? r : 0;
}

/* What is behind the last slot was never there. Others than us may leave anything. */
static int check_behind(struct check *c, size_t dir, uint32_t from)
{
    static const uint8_t none[FAT_SLOT];
    struct fat_sector *s;
    struct fat_dir d;
    uint8_t *slot;
    int r;

    fat_dir_begin(&d, c->f, c->list[dir].first);
    for (uint32_t i = from; c->unclean && c->repair && (r = fat_dir_slot(&d, i, &s, &slot)) != 0; i++) {
        if (r < 0)
            return r;
        if (memcmp(slot, none, FAT_SLOT)) {
            memset(slot, 0, FAT_SLOT);
            fat_cache_dirty(&c->f->cache, s);
        }
    }
    return 0;
}

static int check_dir(struct check *c, size_t dir)
{
    char path[PATH], name[XK_FAT_NAME_MAX];
    struct fat_entry e;
    struct fat_dir d;
    uint32_t last = 0;
    int r;

    fat_dir_begin(&d, c->f, c->list[dir].first);
    while ((r = fat_dir_next(&d, &e)) > 0) {
        const char *at;
        xk__utf8_of(e.name.unit, e.name.n, name);
        at = path_of(c, dir, fat_entry_is_dot(&e) ? "" : name, path);
        r = check_parts(c, dir, last, e.index + 1 - e.slots);
        last = e.index + 1;
        if (r < 0)
            return r;
        r = fat_entry_is_dot(&e)   ? check_dot(c, dir, &e, at)
            : fat_entry_is_dir(&e) ? check_subdir(c, dir, &e, name, at)
                                   : check_file(c, dir, &e, at);
        if (r < 0)
            return r;
    }
    if (r == 0)
        r = check_parts(c, dir, last, d.index);
    return r < 0 ? r : check_behind(c, dir, d.index);
}

/* --- 5. the table ------------------------------------------------------------------------------------------------- */

static int check_lost(struct check *c)
{
    struct xk_fat *f = c->f;
    uint32_t lost = 0, free_count = 0;

    for (uint32_t i = 2; fat_is_cluster(&f->shape, i); i++) {
        uint32_t value;
        int r = fat_get(f, i, &value);
        if (r == 0 && value != FAT_FREE && value != FAT_BAD && !test(c->seen, i)) {
            lost++;
            r = c->repair ? fat_set(f, i, FAT_FREE) : 0;
            value = c->repair ? FAT_FREE : value;
        }
        if (r < 0)
            return r;
        free_count += value == FAT_FREE;
    }
    if (lost)
        say(c, XK_FAT_LEFT, "%u clusters belong to no file", lost);
    if (f->free_count != FAT_UNKNOWN && f->free_count != free_count && !c->repair)
        say(c, XK_FAT_LEFT, "%u clusters are said to be free, %u are", f->free_count, free_count);
    if (c->repair)
        f->free_count = free_count;
    return 0;
}

/* Sectors of the table that are another in copy (copy): how many. (take): 0: the first one counts, and is written to
 * all; 1: the copy counts. */
static int compare_copy(struct xk_fat *f, uint32_t copy, int repair, int take, uint32_t *different)
{
    uint8_t other[4096];

    for (uint32_t i = 0; i < f->shape.fat_sectors; i++) {
        struct fat_sector *s;
        int r = fat_cache_get(&f->cache, f->shape.reserved + i, FAT_TABLE, 0, &s);
        if (r == 0)
            r = xk_file_read(f->file, other, f->shape.sector,
                             (f->shape.reserved + (uint64_t)copy * f->shape.fat_sectors + i) * f->shape.sector);
        if (r < 0)
            return r;
        if (memcmp(other, s->data, f->shape.sector) == 0)
            continue;
        ++*different;
        if (take)
            memcpy(s->data, other, f->shape.sector);
        if (repair)
            fat_cache_dirty(&f->cache, s);
    }
    return 0;
}

static int check_copies(struct check *c)
{
    for (uint32_t k = 1; k < c->f->shape.fats; k++) {
        uint32_t n = 0;
        int r = compare_copy(c->f, k, c->repair, 0, &n);
        if (r < 0)
            return r;
        if (n)
            say(c, XK_FAT_LEFT, "copy %u of the table is another in %u sectors", k + 1, n);
    }
    return 0;
}

/* --- 6. all of it ------------------------------------------------------------------------------------------------- */

static void clean(struct check *c)
{
    const xk_alloc *a = &c->f->alloc;

    for (size_t i = 0; i < c->count; i++)
        xk_free(a, c->list[i].name, c->list[i].bytes);
    xk_free(a, c->list, c->room * sizeof(*c->list));
    xk_free(a, c->seen, c->bytes);
    xk_free(a, c->heads, c->bytes);
}

static int look(struct check *c)
{
    uint32_t root = c->f->shape.root_cluster;
    int r = 0;

    c->bytes = (c->f->shape.clusters + 2) / 8 + 1;
    c->seen = xk_new(&c->f->alloc, c->bytes);
    c->heads = xk_new(&c->f->alloc, c->bytes);
    if (!c->seen || !c->heads)
        r = XK_ENOMEM;
    if (r == 0 && root) {
        mark(c->heads, root);
        r = check_dir_chain(c, root, "/");
    }
    if (r == 0)
        r = add_dir(c, 0, "", FAT_ROOT);
    for (; r == 0 && c->next < c->count; c->next++)
        r = check_dir(c, c->next);
    if (r == 0)
        r = check_copies(c);
    return r < 0 ? r : check_lost(c);
}

/* FAT12 has entries across sectors, so that a cut may leave half of one. There is a sync between the copies then: if
 * the first one is no good the second is as it was. */
static int choose_copy(struct xk_fat *f)
{
    struct check c = {.f = f, .unclean = 1};
    uint32_t different = 0;
    int r;

    if (f->shape.type != 12 || f->shape.fats < 2)
        return 0;
    r = look(&c);
    clean(&c);
    return r < 0 || c.bad == 0 ? r : compare_copy(f, 1, 1, 1, &different);
}

int fat_check(struct xk_fat *f, int repair, void (*told)(void *arg, enum xk_fat_finding what, const char *text),
              void *arg)
{
    struct check c = {.f = f, .repair = repair, .told = told, .arg = arg};
    int r = 0;

    c.unclean = (f->shape.state & FAT_BOOT_DIRTY) != 0;
    if (c.unclean && !repair)
        say(&c, XK_FAT_LEFT, "it was not unmounted");
    if (c.unclean && repair)
        r = choose_copy(f);
    if (r == 0)
        r = look(&c);
    clean(&c);
    fat_index_drop_all(f);
    if (r == 0 && repair)
        r = fat_commit(f);
    return r < 0 ? r : c.bad;
}

int xk_fat_check(const xk_alloc *alloc, struct xk_file *file, int repair,
                 void (*told)(void *arg, enum xk_fat_finding what, const char *text), void *arg)
{
    struct xk_fat *f = xk_new(alloc, sizeof(*f));
    int r, bad = 0;

    if (!f)
        return XK_ENOMEM;
    r = fat_begin_with(f, alloc, file);
    f->options.readonly = !repair;
    if (r == 0 && repair)
        r = fat_begin(f);
    if (r == 0)
        r = bad = fat_check(f, repair, told, arg);
    if (r >= 0 && repair && bad == 0)
        r = fat_finish(f);
    fat_cache_free(&f->cache);
    xk_free(alloc, f, sizeof(*f));
    return r < 0 ? r : bad;
}
