/* Which blocks are full, in memory and in the file (vhd_batmap.h). SPDX-License-Identifier: MIT */
#include <string.h>

#include "block/vhd_level.h"

enum { V1_1 = 0x00010001, V1_2 = 0x00010002, KEPT_AT = 28, BITS = VHD_SECTOR * 8 };
static const char cookie[] = "tdbatmap";

/* --- the header, byte by byte --- */

/* The sum of all bytes; version 1.1 takes them for signed. */
static uint32_t worth(uint8_t byte, uint32_t version) { return version == V1_1 ? (uint32_t)(int8_t)byte : byte; }

static uint32_t sum_of(const struct vhd_batmap *b)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < b->bytes; i++)
        sum += worth(b->bits[i], b->version);
    return sum;
}

static int put(struct xk_file *f, const void *data, size_t n, uint64_t at)
{
    int r = xk_file_write(f, data, n, at);

    return r < 0 ? r : 0;
}

static int put_header(struct xk_file *file, const struct vhd_batmap *b)
{
    uint8_t out[VHD_SECTOR] = {0};

    memcpy(out, cookie, 8);
    vhd_put64(out + 8, b->map_at);
    vhd_put32(out + 16, b->sectors);
    vhd_put32(out + 20, b->version);
    vhd_put32(out + 24, ~b->sum);
    memcpy(out + KEPT_AT, b->kept, sizeof(b->kept));
    return put(file, out, sizeof(out), b->at);
}

uint64_t vhd_batmap_at(const struct vhd_header *h)
{
    return h->table_offset + (h->entries * 4ull + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
}

int vhd_batmap_found(struct xk_file *file, const struct vhd_header *h)
{
    uint8_t begin[8];

    return xk_file_read(file, begin, sizeof(begin), vhd_batmap_at(h)) == 8 && memcmp(begin, cookie, 8) == 0;
}

/* --- is it to be believed? --- */

/* (a) is within the file, (b) may be anything. */
static int apart(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return b >= a + a_bytes || (a >= b && a - b >= b_bytes);
}

/* Nothing else is there: no footer, header, table, locator or block. */
static int is_free(const struct vhd_level *l, const struct vhd_footer *f, const struct vhd_header *h, uint64_t at,
                   uint64_t bytes)
{
    uint64_t block_bytes = l->bitmap_bytes + (uint64_t)l->block_sectors * VHD_SECTOR;

    if (at > l->end || bytes > l->end - at || !apart(at, bytes, 0, VHD_SECTOR) ||
        !apart(at, bytes, f->data_offset, VHD_HEADER) || !apart(at, bytes, h->table_offset, h->entries * 4ull))
        return 0;
    for (unsigned i = 0; i < VHD_LOCATORS; i++)
        if (h->locator[i].length && !apart(at, bytes, h->locator[i].offset, h->locator[i].length))
            return 0;
    for (uint32_t i = 0; i < l->blocks; i++)
        if (l->table[i] != VHD_NONE && !apart(at, bytes, vhd_level_bitmap_at(l, i), block_bytes))
            return 0;
    return 1;
}

/* What the header says of itself. */
static const char *judge_header(const struct vhd_level *l, const struct vhd_footer *f, const struct vhd_header *h,
                                struct vhd_batmap *b)
{
    uint64_t bytes = b->sectors * (uint64_t)VHD_SECTOR;

    if (b->version != V1_1 && b->version != V1_2)
        return "its version is not known";
    if (bytes < b->bytes)
        return "it has fewer bits than the table has blocks";
    if (b->map_at % VHD_SECTOR || !is_free(l, f, h, b->map_at, bytes) || !apart(b->map_at, bytes, b->at, VHD_SECTOR))
        return "where its bits should be the file ends, or has something else";
    return NULL;
}

/* What its bits say. */
static const char *judge_bits(const struct vhd_level *l, const struct vhd_batmap *b, uint32_t sum)
{
    if (sum != ~b->sum)
        return "its checksum is wrong";
    for (uint32_t i = 0; i < b->bytes * 8; i++)
        if (b->bits[i / 8] == 0)
            i |= 7; /* eight at once */
        else if (vhd_batmap_has(b, i) && (i >= l->blocks || l->table[i] == VHD_NONE))
            return "it says of a block that is not in the file that it is full";
    return NULL;
}

static void load(struct vhd_level *l, const struct vhd_footer *f, const struct vhd_header *h)
{
    struct vhd_batmap *b = &l->batmap;
    uint8_t in[VHD_SECTOR];

    b->at = vhd_batmap_at(h);
    if (l->low_first || xk_file_read(l->file, in, sizeof(in), b->at) != VHD_SECTOR || memcmp(in, cookie, 8) ||
        !is_free(l, f, h, b->at, VHD_SECTOR))
        return;
    b->found = 1;
    b->map_at = vhd_get64(in + 8);
    b->sectors = vhd_get32(in + 16);
    b->version = vhd_get32(in + 20);
    memcpy(b->kept, in + KEPT_AT, sizeof(b->kept));
    b->wrong = judge_header(l, f, h, b);
    if (b->wrong) {
        b->map_at = 0;
        return;
    }
    if (xk_file_read(l->file, b->bits, b->bytes, b->map_at) != (int)b->bytes)
        b->wrong = "it cannot be read";
    b->sum = sum_of(b);
    if (!b->wrong)
        b->wrong = judge_bits(l, b, vhd_get32(in + 24));
    if (b->wrong) {
        memset(b->bits, 0, b->bytes);
        b->sum = 0;
    }
}

/* --- life --- */

/* Bytes for so many blocks. */
static uint32_t bytes_of(uint64_t blocks) { return (uint32_t)((blocks + BITS - 1) / BITS * VHD_SECTOR); }

/* blktap reckons the size of its map from the disk's, eight whole blocks a byte, and would not sum up the bits of a
 * few last blocks that are in a sector of their own: these never get one. */
static uint32_t limit_of(const struct vhd_level *l)
{
    uint64_t whole = l->sectors / l->block_sectors / 8 * 8;

    return bytes_of(whole ? whole : 8) * 8;
}

int vhd_batmap_open(const xk_alloc *alloc, struct vhd_level *l, const struct vhd_footer *f, const struct vhd_header *h)
{
    struct vhd_batmap *b = &l->batmap;

    b->bytes = bytes_of(l->blocks);
    b->limit = limit_of(l);
    b->bits = xk_new(alloc, b->bytes);
    if (!b->bits)
        return XK_ENOMEM;
    memset(b->bits, 0, b->bytes);
    load(l, f, h);
    return 0;
}

void vhd_batmap_close(const xk_alloc *alloc, struct vhd_batmap *b)
{
    if (b->bits)
        xk_free(alloc, b->bits, b->bytes);
    b->bits = NULL;
}

/* --- bits --- */

static void change(struct vhd_batmap *b, uint32_t block, uint8_t byte)
{
    uint32_t at = block / 8;

    b->sum += worth(byte, b->version) - worth(b->bits[at], b->version);
    b->bits[at] = byte;
    if (b->to == 0 || at < b->from)
        b->from = at;
    if (at >= b->to)
        b->to = at + 1;
}

static int add(struct vhd_batmap *b, uint32_t block)
{
    if (block >= b->limit || vhd_batmap_has(b, block))
        return 0;
    change(b, block, b->bits[block / 8] | (uint8_t)(0x80u >> block % 8));
    return 1;
}

void vhd_batmap_learn(struct vhd_batmap *b, uint32_t block)
{
    if (!b->quiet)
        (void)!add(b, block);
}

void vhd_batmap_set(struct vhd_batmap *b, uint32_t block)
{
    if (add(b, block))
        b->dirty = b->map_at != 0;
}

void vhd_batmap_unset(struct vhd_batmap *b, uint32_t block)
{
    if (vhd_batmap_has(b, block))
        change(b, block, b->bits[block / 8] & (uint8_t) ~(0x80u >> block % 8));
}

uint32_t vhd_batmap_count(const struct vhd_batmap *b)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < b->bytes * 8; i++)
        n += (uint32_t)vhd_batmap_has(b, i);
    return n;
}

/* --- in the file --- */

static int write_out(struct vhd_level *l, uint32_t from, uint32_t to)
{
    struct vhd_batmap *b = &l->batmap;
    int r;

    from = from / VHD_SECTOR * VHD_SECTOR;
    to = (to + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
    r = put(l->file, b->bits + from, to - from, b->map_at + from);
    if (r == 0)
        r = put_header(l->file, b);
    if (r == 0)
        b->dirty = 0, b->from = 0, b->to = 0;
    return r;
}

int vhd_batmap_write(struct vhd_level *l)
{
    return l->batmap.dirty && l->batmap.map_at ? write_out(l, l->batmap.from, l->batmap.to) : 0;
}

int vhd_batmap_reset(struct vhd_level *l)
{
    struct vhd_batmap *b = &l->batmap;
    int r;

    if (!b->map_at)
        return XK_EINVAL;
    memset(b->bits, 0, b->bytes);
    b->sum = 0;
    r = write_out(l, 0, b->bytes);
    if (r == 0)
        b->wrong = NULL;
    return r < 0 ? r : xk_file_sync(l->file);
}

uint64_t vhd_batmap_room(const struct vhd_header *h) { return VHD_SECTOR + (uint64_t)bytes_of(h->entries); }

int vhd_batmap_create(struct xk_file *file, const struct vhd_header *h)
{
    static const uint8_t none[VHD_SECTOR];
    struct vhd_batmap b = {.version = V1_2, .at = vhd_batmap_at(h), .map_at = vhd_batmap_at(h) + VHD_SECTOR};
    int r = 0;

    b.sectors = bytes_of(h->entries) / VHD_SECTOR;
    for (uint32_t i = 0; i < b.sectors && r == 0; i++)
        r = put(file, none, sizeof(none), b.map_at + i * (uint64_t)VHD_SECTOR);
    return r < 0 ? r : put_header(file, &b);
}
