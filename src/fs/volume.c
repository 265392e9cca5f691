/* A file system as a whole: from its mount on, and what is done by names. In this file: 1. time  2. what is written
 * when
 * 3. life  4. looking  5. new and gone  6. renaming. SPDX-License-Identifier: MIT */
#include <string.h>

#include "fs/check.h"
#include "fs/index.h"
#include "fs/node.h"
#include "fs/path.h"

enum { DAY = 86400, DIRTY_MAX = 512 /* sectors */, INFO_FREE = 488, INFO_NEXT = 492 };

/* --- 1. time ------------------------------------------------------------------------------------------------------ */

/* Days after 1970 of a date, and back: the Gregorian calendar, counted from March. */
static int64_t days_of(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1 - 719468;
}

uint32_t fat_date_time(int64_t t)
{
    int64_t days = t / DAY, z = days + 719468, era = z / 146097, of_era = z % 146097,
            y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365,
            of_year = of_era - (365 * y + y / 4 - y / 100);
    unsigned m = (unsigned)(5 * of_year + 2) / 153, d = (unsigned)of_year - (153 * m + 2) / 5 + 1,
             s = (unsigned)(t % DAY);

    y += era * 400 + (m >= 10);
    m = m < 10 ? m + 3 : m - 9;
    if (t < 0 || y < 1980)
        return 1u << 21 | 1u << 16; /* the first day there is */
    if (y > 2107)
        return 127u << 25 | 12u << 21 | 31u << 16;
    return (uint32_t)(y - 1980) << 25 | m << 21 | d << 16 | s / 3600 << 11 | s / 60 % 60 << 5 | s % 60 / 2;
}

int64_t fat_time(uint32_t t)
{
    unsigned m = t >> 21 & 15, d = t >> 16 & 31;

    if (m < 1 || m > 12 || d < 1)
        return 0;
    return days_of(1980 + (t >> 25), m, d) * DAY + (t >> 11 & 31) * 3600 + (t >> 5 & 63) * 60 + (t & 31) * 2;
}

uint32_t fat_now(const struct xk_fat *f) { return fat_date_time(f->options.now ? f->options.now(f->options.arg) : 0); }

/* --- 2. what is written when -------------------------------------------------------------------------------------- */

static int put(struct xk_fat *f, const void *data, size_t n, uint64_t at)
{
    int r = xk_file_write(f->file, data, n, at);

    return r < 0 ? r : 0;
}

/* Whether it is in use stands in the boot sector, and how much is free in a sector of FAT32. */
static int put_state(struct xk_fat *f, int dirty)
{
    const struct fat_shape *s = &f->shape;
    uint8_t state = (uint8_t)((s->state & ~FAT_BOOT_DIRTY) | (dirty ? FAT_BOOT_DIRTY : 0)), words[8];
    int r = 0;

    if (s->info_sector && !dirty) {
        fat_put32(words, f->free_count);
        fat_put32(words + 4, fat_is_cluster(s, f->rover) ? f->rover : 2);
    } else {
        memset(words, 0xff, sizeof(words)); /* nobody knows */
    }
    if (s->info_sector)
        r = put(f, words, sizeof(words), (uint64_t)s->info_sector * s->sector + INFO_FREE);
    if (r == 0)
        r = put(f, &state, 1, s->type == 32 ? FAT_BOOT_STATE_32 : FAT_BOOT_STATE_16);
    return r < 0 ? r : xk_file_sync(f->file);
}

int fat_begin(struct xk_fat *f)
{
    int r;

    if (f->options.readonly)
        return XK_EROFS;
    if (f->marked)
        return 0;
    r = put_state(f, 1);
    f->marked = r == 0;
    return r;
}

static int sync_all(struct xk_fat *f)
{
    int r = xk_file_sync(f->file);

    if (r == 0)
        f->wrote = f->fresh = 0;
    return r;
}

/* The order: directories' new clusters; then the chains, beside what is in files; then who names them; then chains that
 * nobody names any more are given back, in memory: they come to the table on the medium with the next time. */
int fat_commit(struct xk_fat *f)
{
    const struct fat_shape *s = &f->shape;
    struct fat_cache *c = &f->cache;
    int table = c->dirty[FAT_TABLE] > 0, dirs = c->dirty[FAT_DIR] > 0, r = 0;

    if (f->fresh && table)
        r = sync_all(f);
    if (r == 0 && table)
        r = fat_cache_write(c, FAT_TABLE, s->fats, s->fat_sectors, s->type == 12);
    if (r == 0 && (table || f->wrote))
        r = sync_all(f);
    if (r == 0 && dirs)
        r = fat_cache_write(c, FAT_DIR, 1, 0, 0);
    if (r == 0 && dirs)
        r = sync_all(f);
    while (r == 0 && f->pendings) {
        r = fat_give(f, f->pending[f->pendings - 1]);
        f->pendings -= r == 0;
    }
    return r;
}

int fat_commit_if_much(struct xk_fat *f)
{
    return f->cache.dirty[FAT_TABLE] + f->cache.dirty[FAT_DIR] > DIRTY_MAX ? fat_commit(f) : 0;
}

int xk_fat_sync(struct xk_fat *f) { return f->options.readonly ? 0 : fat_commit(f); }

/* --- 3. life ------------------------------------------------------------------------------------------------------ */

static void told(void *arg, enum xk_fat_finding what, const char *text)
{
    struct xk_fat *f = arg;

    (void)what;
    if (f->options.told)
        f->options.told(f->options.arg, text);
}

static int read_info(struct xk_fat *f)
{
    uint8_t b[512];
    int r;

    f->free_count = FAT_UNKNOWN;
    if (!f->shape.info_sector)
        return 0;
    r = xk_file_read(f->file, b, sizeof(b), (uint64_t)f->shape.info_sector * f->shape.sector);
    if (r < 0)
        return r;
    if ((size_t)r == sizeof(b) && memcmp(b, "RRaA", 4) == 0 && memcmp(b + 484, "rrAa", 4) == 0) {
        f->free_count = fat_get32(b + INFO_FREE) <= f->shape.clusters ? fat_get32(b + INFO_FREE) : FAT_UNKNOWN;
        f->rover = fat_get32(b + INFO_NEXT);
    }
    return 0;
}

int fat_begin_with(struct xk_fat *f, const xk_alloc *alloc, struct xk_file *file)
{
    int r = fat_boot_read(file, &f->shape);

    f->alloc = alloc ? *alloc : *xk_alloc_libc();
    f->file = file;
    f->cache = (struct fat_cache){.alloc = f->alloc, .file = file, .size = f->shape.sector};
    f->refs = 1;
    return r < 0 ? r : read_info(f);
}

int xk_fat_mount(const xk_alloc *alloc, struct xk_file *file, const struct xk_fat_options *options, struct xk_fat **out)
{
    struct xk_fat *f = xk_new(alloc, sizeof(*f));
    int r = f ? fat_begin_with(f, alloc, file) : XK_ENOMEM;

    if (r == 0 && options)
        f->options = *options;
    if (r == 0 && !f->options.readonly && f->shape.state & FAT_BOOT_DIRTY) {
        f->marked = 1;
        r = fat_check(f, 1, told, f);
        r = r > 0 ? XK_EPROTO : r;
    }
    if (r < 0) {
        if (f) {
            fat_index_drop_all(f);
            fat_cache_free(&f->cache);
        }
        xk_free(alloc, f, sizeof(*f));
        xk_file_close(file);
        return r;
    }
    *out = f;
    return 0;
}

int fat_finish(struct xk_fat *f)
{
    int r = 0;

    if (!f->marked)
        return 0;
    for (int i = 0; i < 2 && r == 0; i++) /* the second time what the first gave back */
        r = fat_commit(f);
    if (r == 0 && f->shape.info_sector && f->free_count == FAT_UNKNOWN)
        r = fat_count_free(f);
    return r < 0 || f->cache.failed ? r : put_state(f, 0); /* what may be half done the next mount has to find */
}

int xk_fat_unmount(struct xk_fat *f)
{
    xk_alloc alloc;
    int r;

    if (!f)
        return 0;
    r = fat_finish(f);
    fat_index_drop_all(f);
    fat_cache_free(&f->cache);
    xk_file_close(f->file);
    f->gone = 1;
    alloc = f->alloc;
    if (--f->refs == 0)
        xk_free(&alloc, f, sizeof(*f));
    return r;
}

int xk_fat_get_info(struct xk_fat *f, struct xk_fat_info *out)
{
    int r = f->free_count == FAT_UNKNOWN ? fat_count_free(f) : 0;

    *out = (struct xk_fat_info){.type = f->shape.type,
                                .sector = f->shape.sector,
                                .cluster = f->shape.cluster,
                                .clusters = f->shape.clusters,
                                .free = f->free_count,
                                .id = f->shape.id};
    memcpy(out->label, f->shape.label, sizeof(out->label));
    return r;
}

/* --- 4. looking --------------------------------------------------------------------------------------------------- */

static void stat_of(const struct fat_entry *e, struct xk_fat_stat *out)
{
    struct fat_name short_name;

    xk__utf8_of(e->name.unit, e->name.n, out->name);
    fat_name_of_short(e->raw, 0, &short_name);
    for (unsigned i = 0; i <= short_name.n; i++)
        out->short_name[i] = (char)(i == short_name.n ? 0 : short_name.unit[i] < 0x80 ? short_name.unit[i] : '_');
    out->attributes = e->raw[11] & 0x37;
    out->size = fat_entry_is_dir(e) ? 0 : fat_entry_size(e);
    out->modified = fat_time(fat_get32(e->raw + 22));
    out->created = fat_time(fat_get32(e->raw + 14));
}

/* It is there, and is no root. */
static int find(struct xk_fat *f, const char *path, struct fat_place *p)
{
    int r = fat_path_find(f, path, p);

    return r < 0 ? r : r == 0 ? XK_ENOENT : p->root ? XK_EISDIR : 0;
}

int xk_fat_stat(struct xk_fat *f, const char *path, struct xk_fat_stat *out)
{
    struct fat_place p;
    int r = find(f, path, &p);

    memset(out, 0, sizeof(*out));
    if (r == XK_EISDIR) {
        out->attributes = XK_FAT_DIRECTORY;
        return 0;
    }
    if (r == 0)
        stat_of(&p.entry, out);
    return r;
}

/* Not of a damaged directory: letters that no name has, or the end of one, under which nothing would be found. */
static int can_be_said(const struct xk_fat_stat *st)
{
    struct fat_name name;

    return fat_name_of(st->name, strlen(st->name), &name) == 0;
}

int xk_fat_read_each(struct xk_fat *f, const char *path, void *buf, uint32_t room, xk_fat_each *each, void *arg)
{
    struct fat_place p;
    struct fat_entry e;
    struct xk_fat_stat st;
    struct fat_dir d;
    int r = find(f, path, &p);

    if (r < 0 && r != XK_EISDIR)
        return r;
    if (r == 0 && !fat_entry_is_dir(&p.entry))
        return XK_ENOTDIR;
    fat_dir_begin(&d, f, r == XK_EISDIR ? FAT_ROOT : fat_entry_cluster(&p.entry));
    while ((r = fat_dir_next(&d, &e)) > 0) {
        int there;
        if (fat_entry_is_dot(&e))
            continue;
        stat_of(&e, &st);
        there = buf && !fat_entry_is_dir(&e) && st.size <= room && can_be_said(&st) && fat_read_entry(f, &e, buf) == 0;
        r = each(arg, &st, there ? buf : NULL);
        if (r)
            return r;
    }
    return r;
}

struct listing {
    int (*each)(void *arg, const struct xk_fat_stat *e);
    void *arg;
};

static int list_one(void *arg, const struct xk_fat_stat *e, const void *data)
{
    const struct listing *l = arg;

    (void)data;
    return l->each(l->arg, e);
}

int xk_fat_list(struct xk_fat *f, const char *path, int (*each)(void *arg, const struct xk_fat_stat *e), void *arg)
{
    struct listing l = {each, arg};

    return xk_fat_read_each(f, path, NULL, 0, list_one, &l);
}

int xk_fat_set(struct xk_fat *f, const char *path, unsigned attributes, int64_t modified)
{
    const unsigned ours = XK_FAT_READONLY | XK_FAT_HIDDEN | XK_FAT_SYSTEM | XK_FAT_ARCHIVE;
    struct fat_place p;
    struct fat_node *n;
    int r = find(f, path, &p);

    if (r == 0)
        r = fat_begin(f);
    if (r < 0)
        return r;
    p.entry.raw[11] = (uint8_t)((p.entry.raw[11] & ~ours) | (attributes & ours));
    if (modified >= 0)
        fat_put32(p.entry.raw + 22, fat_date_time(modified));
    n = fat_node_at(f, p.entry.sector, p.entry.offset);
    if (n)
        memcpy(n->entry.raw, p.entry.raw, sizeof(n->entry.raw));
    return fat_dir_update(f, &p.entry);
}

/* --- 5. new and gone ---------------------------------------------------------------------------------------------- */

int xk_fat_mkdir(struct xk_fat *f, const char *path)
{
    struct fat_place p;
    uint8_t raw[FAT_SLOT];
    uint32_t first;
    int r = fat_path_find(f, path, &p);

    if (r != 0)
        return r < 0 ? r : XK_EEXIST;
    r = fat_begin(f);
    if (r == 0)
        r = fat_dir_make(f, p.parent, &first);
    if (r < 0)
        return r;
    fat_raw_new(f, XK_FAT_DIRECTORY, first, raw);
    r = fat_dir_add(f, p.parent, &p.name, raw, &p.entry);
    if (r < 0)
        (void)!fat_give(f, first);
    return r < 0 ? r : fat_commit_if_much(f);
}

int xk_fat_open(struct xk_fat *f, const char *path, unsigned flags, struct xk_file **out)
{
    int writable = (flags & (XK_FAT_WRITE | XK_FAT_CREATE | XK_FAT_NEW)) != 0;
    struct fat_place p;
    uint8_t raw[FAT_SLOT];
    int r = fat_path_find(f, path, &p);

    if (r < 0)
        return r;
    if (r > 0 && (p.root || fat_entry_is_dir(&p.entry)))
        return XK_EISDIR;
    if (r > 0 && flags & XK_FAT_NEW)
        return XK_EEXIST;
    if (r > 0 && writable && p.entry.raw[11] & XK_FAT_READONLY)
        return XK_EACCES;
    if (r == 0 && !(flags & (XK_FAT_CREATE | XK_FAT_NEW)))
        return XK_ENOENT;
    if (writable && f->options.readonly)
        return XK_EROFS;
    if (r == 0) {
        r = fat_begin(f);
        fat_raw_new(f, XK_FAT_ARCHIVE, 0, raw);
        if (r == 0)
            r = fat_dir_add(f, p.parent, &p.name, raw, &p.entry);
        if (r == 0)
            r = fat_commit_if_much(f);
    }
    return r < 0 ? r : fat_node_open(f, p.parent, &p.entry, writable, out);
}

static int is_empty(struct xk_fat *f, uint32_t first)
{
    struct fat_entry e;
    struct fat_dir d;
    int r;

    fat_dir_begin(&d, f, first);
    while ((r = fat_dir_next(&d, &e)) > 0 && fat_entry_is_dot(&e))
        ;
    return r < 0 ? r : r == 0 ? 0 : XK_ENOTEMPTY;
}

/* Its sectors in memory are nothing any more, before its clusters become others'. */
static int forget_dir(struct xk_fat *f, uint32_t first)
{
    uint32_t per = f->shape.cluster / f->shape.sector, steps = 0;
    int r = 0;

    fat_index_drop(f, first);
    for (uint32_t c = first; r == 0 && c != FAT_END && steps++ < f->shape.clusters;) {
        fat_cache_forget(&f->cache, (uint32_t)(fat_cluster_at(&f->shape, c) / f->shape.sector), per);
        r = fat_next(f, c, &c);
    }
    return r;
}

int xk_fat_remove(struct xk_fat *f, const char *path)
{
    struct fat_place p;
    uint32_t first;
    int r = find(f, path, &p);

    if (r < 0)
        return r == XK_EISDIR ? XK_EBUSY : r;
    if (p.entry.raw[11] & XK_FAT_READONLY)
        return XK_EACCES;
    if (fat_node_at(f, p.entry.sector, p.entry.offset))
        return XK_EBUSY;
    first = fat_entry_cluster(&p.entry);
    if (fat_entry_is_dir(&p.entry)) {
        if (!fat_is_cluster(&f->shape, first))
            return XK_EPROTO;
        r = is_empty(f, first);
    }
    if (r == 0)
        r = fat_begin(f);
    if (r == 0 && fat_entry_is_dir(&p.entry))
        r = forget_dir(f, first);
    if (r == 0)
        r = fat_dir_remove(f, p.parent, &p.entry);
    if (r == 0)
        r = fat_give_later(f, first);
    return r < 0 ? r : fat_commit_if_much(f);
}

/* --- 6. renaming -------------------------------------------------------------------------------------------------- */

/* Whether directory (dir) is (first) or below it: up by "..". */
static int is_below(struct xk_fat *f, uint32_t dir, uint32_t first)
{
    for (unsigned depth = 0; depth < 1024; depth++) {
        struct fat_sector *s;
        struct fat_dir d;
        uint8_t *slot;
        int r;
        if (dir == first)
            return 1;
        if (dir == FAT_ROOT || dir == f->shape.root_cluster)
            return 0;
        fat_dir_begin(&d, f, dir);
        r = fat_dir_slot(&d, 1, &s, &slot);
        if (r <= 0)
            return r < 0 ? r : XK_EPROTO;
        dir = fat_get16(slot + 26) | fat_get16(slot + 20) << 16;
        if (dir != FAT_ROOT && !fat_is_cluster(&f->shape, dir))
            return XK_EPROTO;
    }
    return XK_EPROTO;
}

static int set_parent(struct xk_fat *f, uint32_t dir, uint32_t parent)
{
    struct fat_sector *s;
    struct fat_dir d;
    uint8_t *slot;
    int r;

    fat_dir_begin(&d, f, dir);
    r = fat_dir_slot(&d, 1, &s, &slot);
    if (r > 0) {
        fat_raw_set_cluster(slot, parent);
        fat_cache_dirty(&f->cache, s);
    }
    return r < 0 ? r : 0;
}

/* The file that has the name gets the contents of the other: its entry is one sector, which is written as a whole. */
static int take_over(struct xk_fat *f, const struct fat_entry *from, struct fat_place *to)
{
    uint32_t old = fat_entry_cluster(&to->entry);
    int r;

    memcpy(to->entry.raw + 13, from->raw + 13, FAT_SLOT - 13);
    to->entry.raw[11] = from->raw[11];
    r = fat_dir_update(f, &to->entry);
    return r < 0 ? r : fat_give_later(f, old);
}

/* First it has both names, then the old one goes: whenever the power is cut it has one. The next mount takes away the
 * second of two. */
static int move(struct xk_fat *f, struct fat_place *from, struct fat_place *to, int there)
{
    struct fat_node *open = fat_node_at(f, from->entry.sector, from->entry.offset);
    uint32_t first = fat_entry_cluster(&from->entry);
    int r = there ? take_over(f, &from->entry, to) : fat_dir_add(f, to->parent, &to->name, from->entry.raw, &to->entry);

    if (r == 0 && fat_entry_is_dir(&from->entry) && from->parent != to->parent)
        r = set_parent(f, first, to->parent);
    if (r == 0 && to->entry.sector != from->entry.sector)
        r = fat_commit(f);
    if (r == 0)
        r = fat_dir_remove(f, from->parent, &from->entry);
    if (r == 0 && open) {
        open->parent = to->parent;
        open->entry = to->entry;
    }
    return r < 0 ? r : fat_commit_if_much(f);
}

/* Only the case of letters is to be another: it goes by a name between. */
static int move_aside(struct xk_fat *f, struct fat_place *from)
{
    struct fat_place aside = {.parent = from->parent};
    char text[] = "xkname00.tmp";
    int r = XK_EEXIST;

    for (unsigned i = 0; i < 100 && r == XK_EEXIST; i++) {
        text[6] = (char)('0' + i / 10);
        text[7] = (char)('0' + i % 10);
        r = fat_name_of(text, strlen(text), &aside.name);
        if (r == 0)
            r = move(f, from, &aside, 0);
    }
    *from = aside;
    return r;
}

int xk_fat_rename(struct xk_fat *f, const char *from, const char *to)
{
    struct fat_place a, b;
    int r = find(f, from, &a), there, same;

    if (r < 0)
        return r == XK_EISDIR ? XK_EBUSY : r;
    there = fat_path_find(f, to, &b);
    if (there < 0)
        return there;
    if (there && b.root)
        return XK_EEXIST;
    same = there && b.entry.sector == a.entry.sector && b.entry.offset == a.entry.offset;
    if (there && !same && (fat_entry_is_dir(&b.entry) || fat_entry_is_dir(&a.entry)))
        return XK_EEXIST;
    if (there && !same && fat_node_at(f, b.entry.sector, b.entry.offset))
        return XK_EBUSY;
    if (there && !same && b.entry.raw[11] & XK_FAT_READONLY)
        return XK_EACCES;
    if (fat_entry_is_dir(&a.entry) && (r = is_below(f, b.parent, fat_entry_cluster(&a.entry))) != 0)
        return r < 0 ? r : XK_EINVAL;
    r = fat_begin(f);
    if (r == 0 && same)
        r = move_aside(f, &a);
    return r < 0 ? r : move(f, &a, &b, there && !same);
}
