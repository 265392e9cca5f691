/* New VHDs, and what is told of one (vhd.h). Layout: footer's copy, header, table, batmap, parent's locator,
 * footer. SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/utf.h"
#include "block/vhd_level.h"

enum { TABLE_AT = VHD_SECTOR + VHD_HEADER, CREATOR_VERSION = 0x00010001, BATMAP_CREATOR_VERSION = 0x00010003 };

/* QEMU takes the size from the geometry, which is rounded, but for a few creators; blktap's is one. Its version 1.1
 * says that bits of bitmaps are counted from the highest, as the specification has it, its 1.3 that there is a batmap
 * of version 1.2. */
static const char creator[4] = {'t', 'a', 'p', 0};

/* --- names --- */

/* UTF-16, (low) byte first or not, into (room) bytes. How many, or XK_EINVAL. */
static int to_utf16(const char *name, int low, uint8_t *out, size_t room)
{
    uint16_t unit[VHD_LOCATOR_ROOM / 2];
    int n = xk__utf16_of(name, unit, room / 2);

    for (int i = 0; i < n; i++) {
        out[2 * i + !low] = (uint8_t)unit[i];
        out[2 * i + low] = (uint8_t)(unit[i] >> 8);
    }
    return n < 0 ? XK_EINVAL : 2 * n;
}

static void from_utf16(const uint8_t *in, size_t bytes, char *out)
{
    uint16_t unit[VHD_NAME / 2];

    for (size_t i = 0; i < bytes / 2; i++)
        unit[i] = (uint16_t)(in[2 * i] << 8 | in[2 * i + 1]);
    xk__utf8_of(unit, bytes / 2, out);
}

/* --- made --- */

static int put(struct xk_file *file, const void *data, size_t n, uint64_t at)
{
    int r = xk_file_write(file, data, n, at);

    return r < 0 ? r : 0;
}

/* All entries empty, to a whole sector. */
static int put_table(struct xk_file *file, uint32_t entries)
{
    uint8_t none[4096];
    uint64_t bytes = (entries * 4ull + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
    int r = 0;

    memset(none, 0xff, sizeof(none));
    for (uint64_t at = 0; at < bytes && r == 0; at += sizeof(none))
        r = put(file, none, bytes - at < sizeof(none) ? (size_t)(bytes - at) : sizeof(none), TABLE_AT + at);
    return r;
}

/* The parent by a relative path, in UTF-16 with the low byte first: "W2ru". Where the header says it by its name too.
 */
int vhd_name_parent(const char *name, struct vhd_header *h, uint64_t at, uint8_t room[VHD_LOCATOR_ROOM])
{
    int n = to_utf16(name, 1, room, VHD_LOCATOR_ROOM);

    if (n < 0 || to_utf16(name, 0, h->parent_name, VHD_NAME) <= 0)
        return XK_EINVAL;
    memcpy(h->locator[0].platform, "W2ru", 4);
    h->locator[0].space = VHD_LOCATOR_ROOM; /* in bytes, as most have it; the specification says sectors, too */
    h->locator[0].length = (uint32_t)n;
    h->locator[0].offset = at;
    return 0;
}

static int create_blocks(struct xk_file *file, const struct xk_vhd_spec *s, const uint8_t footer[VHD_SECTOR])
{
    struct vhd_header h = {.table_offset = TABLE_AT, .block_size = s->block_size ? s->block_size : 2 << 20};
    uint8_t room[VHD_LOCATOR_ROOM] = {0}, header[VHD_HEADER];
    uint64_t blocks, at;
    int r = 0;

    if (h.block_size < VHD_BLOCK_MIN || h.block_size > VHD_BLOCK_MAX || h.block_size & (h.block_size - 1))
        return XK_EINVAL;
    blocks = (s->size + h.block_size - 1) / h.block_size;
    if (blocks > VHD_BLOCKS)
        return XK_ERANGE;
    h.entries = (uint32_t)blocks;
    at = vhd_batmap_at(&h) + (s->batmap ? vhd_batmap_room(&h) : 0);
    if (s->type == XK_VHD_DIFFERENCING) {
        memcpy(h.parent_uuid, s->parent_uuid, 16);
        h.parent_time = s->parent_time;
        r = vhd_name_parent(s->parent_name, &h, at, room);
    }
    if (r < 0)
        return r;
    vhd_header_write(&h, header);
    r = put_table(file, h.entries);
    if (r == 0 && s->batmap)
        r = vhd_batmap_create(file, &h);
    if (r == 0 && s->type == XK_VHD_DIFFERENCING) {
        r = put(file, room, sizeof(room), at);
        at += sizeof(room);
    }
    if (r == 0)
        r = put(file, header, sizeof(header), VHD_SECTOR);
    if (r == 0)
        r = put(file, footer, VHD_SECTOR, 0);
    return r < 0 ? r : put(file, footer, VHD_SECTOR, at);
}

int xk_vhd_create(struct xk_file *file, const struct xk_vhd_spec *s)
{
    struct vhd_footer f = {.time = s->time, .creator_version = CREATOR_VERSION, .size = s->size, .type = s->type};
    uint8_t footer[VHD_SECTOR];
    int r;

    if (s->type < XK_VHD_FIXED || s->type > XK_VHD_DIFFERENCING || s->size == 0 || s->size % VHD_SECTOR ||
        (s->type == XK_VHD_DIFFERENCING && !s->parent_name) || (s->type == XK_VHD_FIXED && s->batmap) ||
        xk_file_size(file) != 0)
        return XK_EINVAL;
    if (s->size > XK_VHD_SIZE_MAX)
        return XK_ERANGE;
    memcpy(f.creator, creator, 4);
    memcpy(f.uuid, s->uuid, 16);
    if (s->batmap)
        f.creator_version = BATMAP_CREATOR_VERSION;
    f.data_offset = s->type == XK_VHD_FIXED ? VHD_NOWHERE : VHD_SECTOR;
    vhd_footer_write(&f, footer);
    r = s->type == XK_VHD_FIXED ? put(file, footer, VHD_SECTOR, s->size) : create_blocks(file, s, footer);
    return r < 0 ? r : xk_file_sync(file);
}

/* --- told --- */

static int count_allocated(struct xk_file *file, const struct vhd_header *h, struct xk_vhd_info *out)
{
    uint8_t part[4096];

    for (uint32_t i = 0; i < out->blocks; i += sizeof(part) / 4) {
        uint32_t n = out->blocks - i < sizeof(part) / 4 ? out->blocks - i : (uint32_t)sizeof(part) / 4;
        int r = xk_file_read(file, part, n * 4, h->table_offset + i * 4ull);
        if (r < 0)
            return r;
        if (r < (int)(n * 4))
            return XK_EPROTO;
        for (uint32_t k = 0; k < n; k++)
            out->allocated += vhd_get32(part + k * 4) != VHD_NONE;
    }
    return 0;
}

static int tell_batmap(struct xk_file *file, struct vhd_footer *f, struct vhd_header *h, struct xk_vhd_info *out)
{
    struct vhd_level l = {.file = file};
    int r;

    if (!vhd_batmap_found(file, h))
        return 0;
    r = vhd_level_open(NULL, &l, f, h);
    if (r == 0 && l.batmap.found) {
        out->batmap = l.batmap.wrong ? XK_VHD_BATMAP_WRONG : XK_VHD_BATMAP_USED;
        out->full = vhd_batmap_count(&l.batmap);
    }
    vhd_level_free(NULL, &l);
    return r == XK_EPROTO ? 0 : r; /* a table that leads astray is told when the image is opened */
}

int xk_vhd_read_info(struct xk_file *file, struct xk_vhd_info *out)
{
    struct vhd_footer f;
    struct vhd_header h;
    uint64_t at;
    int r = vhd_open(file, &f, &h, &at);

    memset(out, 0, sizeof(*out));
    if (r < 0)
        return r;
    out->type = f.type;
    out->size = f.size;
    memcpy(out->uuid, f.uuid, 16);
    memcpy(out->creator, f.creator, 4);
    if (f.type == XK_VHD_FIXED)
        return 0;
    out->block_size = h.block_size;
    out->blocks = (uint32_t)((f.size + h.block_size - 1) / h.block_size);
    if (f.type == XK_VHD_DIFFERENCING) {
        memcpy(out->parent_uuid, h.parent_uuid, 16);
        out->parent_time = h.parent_time;
        from_utf16(h.parent_name, VHD_NAME, out->parent_name);
    }
    r = count_allocated(file, &h, out);
    return r < 0 ? r : tell_batmap(file, &f, &h, out);
}
