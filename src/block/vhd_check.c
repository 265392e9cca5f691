/* A VHD looked at as a whole (vhd.h). SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/vhd_level.h"

struct check {
    struct xk_file *file;
    void (*told)(void *arg, int bad, const char *text);
    void *arg;
    int bad;
    uint64_t table_at, begin, end; /* of the file's part that blocks may be in */
    uint32_t blocks;
    uint64_t block_bytes;
};

static void say(struct check *c, int bad, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(struct check *c, int bad, const char *format, ...)
{
    char text[240];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    c->bad += bad;
    if (c->told)
        c->told(c->arg, bad, text);
}

static void check_footers(struct check *c, const struct vhd_footer *f, uint64_t at)
{
    uint8_t copy[VHD_SECTOR];
    uint64_t bytes = (uint64_t)xk_file_size(c->file);

    if (at == bytes)
        say(c, 0, "the footer at its end is lost; its copy at the beginning is right and counts");
    if (f->type == XK_VHD_FIXED) {
        if (at != f->size)
            say(c, 0, "the file has %llu bytes that nothing uses", (unsigned long long)(at - f->size));
        return;
    }
    if (xk_file_read(c->file, copy, sizeof(copy), 0) != VHD_SECTOR || memcmp(copy, f->raw, VHD_SECTOR))
        say(c, 0, "the footer's copy at the beginning is another; it is renewed when the image is written");
}

static int by_place(const void *a, const void *b)
{
    uint32_t x = ((const uint32_t *)a)[0], y = ((const uint32_t *)b)[0];

    return (x > y) - (x < y);
}

/* (place): pairs of a block's place in sectors and its number, of those that are in the file. */
static void check_places(struct check *c, uint32_t (*place)[2], uint32_t n)
{
    uint64_t used = c->begin;

    qsort(place, n, sizeof(*place), by_place);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = place[i][0] * (uint64_t)VHD_SECTOR, end = at + c->block_bytes;
        if (at < c->begin)
            say(c, 1, "block %u begins at byte %llu, within the table", place[i][1], (unsigned long long)at);
        else if (i && at < place[i - 1][0] * (uint64_t)VHD_SECTOR + c->block_bytes)
            say(c, 1, "blocks %u and %u overlap at byte %llu", place[i - 1][1], place[i][1], (unsigned long long)at);
        if (end > c->end)
            say(c, 1, "block %u ends at byte %llu, beyond the file's data, which end at %llu", place[i][1],
                (unsigned long long)end, (unsigned long long)c->end);
        used += c->block_bytes;
    }
    if (c->bad == 0 && c->end > used)
        say(c, 0, "%u of %u blocks are in the file; %llu bytes are headers, locators or unused", n, c->blocks,
            (unsigned long long)(c->end - used + c->begin));
}

static int check_table(struct check *c, uint32_t (*place)[2])
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->blocks; i += 1024) {
        uint8_t part[4096];
        uint32_t more = c->blocks - i < 1024 ? c->blocks - i : 1024;
        int r = xk_file_read(c->file, part, more * 4, c->table_at + i * 4ull);
        if (r < 0)
            return r;
        if ((uint32_t)r < more * 4)
            return XK_EPROTO;
        for (uint32_t k = 0; k < more; k++) {
            uint32_t at = vhd_get32(part + k * 4);
            if (at == VHD_NONE)
                continue;
            place[n][0] = at;
            place[n++][1] = i + k;
        }
    }
    check_places(c, place, n);
    return 0;
}

/* --- the batmap --- */

static uint32_t missing(const struct vhd_level *l)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->block_sectors; i++)
        n += !vhd_level_bit(l, i);
    return n;
}

/* Each bit beside the bitmap of its block. */
static int compare_bits(struct check *c, struct vhd_level *l)
{
    uint32_t unsaid = 0;

    l->batmap.quiet = 1;
    for (uint32_t i = 0; i < l->blocks; i++) {
        int said = vhd_batmap_has(&l->batmap, i);
        int r = l->table[i] == VHD_NONE ? 0 : vhd_level_load_bitmap(l, i);
        if (r < 0)
            return r;
        if (l->table[i] == VHD_NONE)
            continue;
        if (said && !vhd_level_is_full(l))
            say(c, 1,
                "the batmap says that block %u is full, its bitmap at byte %llu lacks %u sectors, which are read "
                "from the wrong place; make the batmap anew",
                i, (unsigned long long)vhd_level_bitmap_at(l, i), missing(l));
        unsaid += !said && vhd_level_is_full(l) && i < l->batmap.limit;
    }
    if (unsaid)
        say(c, 0, "the batmap does not say so of %u blocks that are full, whose bitmaps are looked at", unsaid);
    return 0;
}

static int check_batmap(struct check *c)
{
    struct vhd_level l = {.file = c->file};
    struct vhd_footer f;
    struct vhd_header h;
    int r = vhd_level_open(NULL, &l, &f, &h);

    if (r == 0 && l.batmap.found && l.batmap.kept[1])
        say(c, 0, "the batmap has the hash of a key: blktap encrypts what this image holds");
    if (r == 0 && l.batmap.wrong)
        say(c, 0, "the batmap at byte %llu is not used: %s%s", (unsigned long long)l.batmap.at, l.batmap.wrong,
            l.batmap.map_at ? "; it is made anew when the image is written" : "");
    else if (r == 0 && l.batmap.found)
        r = compare_bits(c, &l);
    vhd_level_free(NULL, &l);
    return r == XK_EPROTO ? 0 : r; /* a table that leads astray was told of */
}

int xk_vhd_check(struct xk_file *file, void (*told)(void *arg, int bad, const char *text), void *arg)
{
    struct check c = {.file = file, .told = told, .arg = arg};
    struct vhd_footer f;
    struct vhd_header h;
    uint32_t(*place)[2];
    int r = vhd_open(file, &f, &h, &c.end);

    if (r < 0)
        return r;
    check_footers(&c, &f, c.end);
    if (f.type == XK_VHD_FIXED)
        return c.bad;
    c.blocks = (uint32_t)((f.size + h.block_size - 1) / h.block_size);
    c.block_bytes = vhd_bitmap_bytes(h.block_size) + (uint64_t)h.block_size;
    c.table_at = h.table_offset;
    c.begin = h.table_offset + h.entries * 4ull;
    place = xk_new(NULL, (size_t)c.blocks * sizeof(*place));
    if (!place)
        return XK_ENOMEM;
    r = check_table(&c, place);
    xk_free(NULL, place, (size_t)c.blocks * sizeof(*place));
    if (r == 0)
        r = check_batmap(&c);
    return r < 0 ? r : c.bad;
}
