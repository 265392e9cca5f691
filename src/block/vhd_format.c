/* A VHD's footer and header, byte by byte. Offsets are those of the specification's tables. SPDX-License-Identifier:
 * MIT
 */
#include <string.h>

#include "block/vhd.h"

enum {
    VERSION = 0x00010000, /* of footer and header */
    FEATURES = 2,         /* a bit that is always set */
    FOOTER_SUM = 64,
    HEADER_SUM = 36
};
static const char footer_cookie[] = "conectix", header_cookie[] = "cxsparse", host[] = "Wi2k";

/* One's complement of the sum of all bytes but the checksum's own. */
static uint32_t checksum(const uint8_t *p, size_t n, size_t at)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += i >= at && i < at + 4 ? 0 : p[i];
    return ~sum;
}

/* Cylinders, heads and sectors as the specification's appendix works them out. */
static uint32_t geometry(uint64_t size)
{
    uint64_t total = size / VHD_SECTOR, times;
    uint32_t spt, heads;

    if (total > 65535ull * 16 * 255)
        total = 65535ull * 16 * 255;
    if (total >= 65535ull * 16 * 63) {
        spt = 255;
        heads = 16;
        times = total / spt;
    } else {
        spt = 17;
        times = total / spt;
        heads = (uint32_t)((times + 1023) / 1024);
        if (heads < 4)
            heads = 4;
        if (times >= heads * 1024ull || heads > 16) {
            spt = 31;
            heads = 16;
            times = total / spt;
        }
        if (times >= heads * 1024ull) {
            spt = 63;
            heads = 16;
            times = total / spt;
        }
    }
    return (uint32_t)(times / heads) << 16 | heads << 8 | spt;
}

void vhd_footer_write(const struct vhd_footer *f, uint8_t out[VHD_SECTOR])
{
    memset(out, 0, VHD_SECTOR);
    memcpy(out, footer_cookie, 8);
    vhd_put32(out + 8, FEATURES);
    vhd_put32(out + 12, VERSION);
    vhd_put64(out + 16, f->data_offset);
    vhd_put32(out + 24, f->time);
    memcpy(out + 28, f->creator, 4);
    vhd_put32(out + 32, f->creator_version);
    memcpy(out + 36, host, 4);
    vhd_put64(out + 40, f->size);
    vhd_put64(out + 48, f->size);
    vhd_put32(out + 56, geometry(f->size));
    vhd_put32(out + 60, f->type);
    memcpy(out + 68, f->uuid, 16);
    out[84] = f->saved;
    out[85] = f->hidden;
    vhd_put32(out + FOOTER_SUM, checksum(out, VHD_SECTOR, FOOTER_SUM));
}

void vhd_footer_lead(uint8_t raw[VHD_SECTOR], uint64_t at)
{
    vhd_put64(raw + 16, at);
    vhd_put32(raw + FOOTER_SUM, checksum(raw, VHD_SECTOR, FOOTER_SUM));
}

int vhd_footer_read(const uint8_t in[VHD_SECTOR], struct vhd_footer *f)
{
    if (memcmp(in, footer_cookie, 8) || vhd_get32(in + FOOTER_SUM) != checksum(in, VHD_SECTOR, FOOTER_SUM) ||
        vhd_get32(in + 12) >> 16 != VERSION >> 16)
        return XK_EPROTO;
    memcpy(f->raw, in, VHD_SECTOR);
    f->data_offset = vhd_get64(in + 16);
    f->time = vhd_get32(in + 24);
    memcpy(f->creator, in + 28, 4);
    f->creator_version = vhd_get32(in + 32);
    f->size = vhd_get64(in + 48);
    f->type = vhd_get32(in + 60);
    memcpy(f->uuid, in + 68, 16);
    f->saved = in[84];
    f->hidden = in[85];
    if (f->type < XK_VHD_FIXED || f->type > XK_VHD_DIFFERENCING || f->size % VHD_SECTOR || f->size == 0)
        return XK_EPROTO;
    return f->size > XK_VHD_SIZE_MAX ? XK_ERANGE : 0;
}

void vhd_header_write(const struct vhd_header *h, uint8_t out[VHD_HEADER])
{
    memset(out, 0, VHD_HEADER);
    memcpy(out, header_cookie, 8);
    vhd_put64(out + 8, VHD_NOWHERE);
    vhd_put64(out + 16, h->table_offset);
    vhd_put32(out + 24, VERSION);
    vhd_put32(out + 28, h->entries);
    vhd_put32(out + 32, h->block_size);
    memcpy(out + 40, h->parent_uuid, 16);
    vhd_put32(out + 56, h->parent_time);
    memcpy(out + 64, h->parent_name, VHD_NAME);
    for (unsigned i = 0; i < VHD_LOCATORS; i++) {
        uint8_t *p = out + 576 + i * 24;
        memcpy(p, h->locator[i].platform, 4);
        vhd_put32(p + 4, h->locator[i].space);
        vhd_put32(p + 8, h->locator[i].length);
        vhd_put64(p + 16, h->locator[i].offset);
    }
    vhd_put32(out + HEADER_SUM, checksum(out, VHD_HEADER, HEADER_SUM));
}

int vhd_header_read(const uint8_t in[VHD_HEADER], struct vhd_header *h)
{
    if (memcmp(in, header_cookie, 8) || vhd_get32(in + HEADER_SUM) != checksum(in, VHD_HEADER, HEADER_SUM) ||
        vhd_get32(in + 24) >> 16 != VERSION >> 16)
        return XK_EPROTO;
    h->table_offset = vhd_get64(in + 16);
    h->entries = vhd_get32(in + 28);
    h->block_size = vhd_get32(in + 32);
    memcpy(h->parent_uuid, in + 40, 16);
    h->parent_time = vhd_get32(in + 56);
    memcpy(h->parent_name, in + 64, VHD_NAME);
    for (unsigned i = 0; i < VHD_LOCATORS; i++) {
        const uint8_t *p = in + 576 + i * 24;
        memcpy(h->locator[i].platform, p, 4);
        h->locator[i].space = vhd_get32(p + 4);
        h->locator[i].length = vhd_get32(p + 8);
        h->locator[i].offset = vhd_get64(p + 16);
    }
    if (h->block_size < VHD_BLOCK_MIN || h->block_size > VHD_BLOCK_MAX || h->block_size & (h->block_size - 1))
        return XK_EPROTO;
    return h->table_offset % VHD_SECTOR ? XK_EPROTO : 0;
}

/* --- of a file --- */

static int read_all(struct xk_file *file, void *buf, size_t n, uint64_t at)
{
    int r = xk_file_read(file, buf, n, at);

    return r < 0 ? r : (size_t)r < n ? XK_EPROTO : 0;
}

/* What footer, header and file say of each other. */
static int agree(const struct vhd_footer *f, const struct vhd_header *h, uint64_t bytes)
{
    uint64_t blocks = (f->size + h->block_size - 1) / h->block_size;

    if (blocks > VHD_BLOCKS)
        return XK_ERANGE;
    if (h->entries < blocks)
        return XK_EPROTO;
    if (h->table_offset > bytes || h->entries * 4ull > bytes - h->table_offset)
        return XK_EPROTO;
    return 0;
}

int vhd_open(struct xk_file *file, struct vhd_footer *f, struct vhd_header *h, uint64_t *at)
{
    uint8_t sector[VHD_SECTOR], header[VHD_HEADER];
    int64_t bytes = xk_file_size(file);
    int r;

    if (bytes < VHD_SECTOR)
        return bytes < 0 ? (int)bytes : XK_EPROTO;
    *at = (uint64_t)bytes - VHD_SECTOR;
    r = read_all(file, sector, sizeof(sector), *at);
    if (r == 0 && (r = vhd_footer_read(sector, f)) == XK_EPROTO) {
        r = read_all(file, sector, sizeof(sector), 0);
        if (r == 0)
            r = vhd_footer_read(sector, f);
        if (r == 0 && f->type == XK_VHD_FIXED)
            r = XK_EPROTO; /* data that looks like a footer: a fixed image has no copy */
        *at = (uint64_t)bytes;
    }
    if (r < 0)
        return r;
    if (f->type == XK_VHD_FIXED)
        return f->size <= *at ? 0 : XK_EPROTO;
    if (f->data_offset > (uint64_t)bytes)
        return XK_EPROTO;
    r = read_all(file, header, sizeof(header), f->data_offset);
    if (r == 0)
        r = vhd_header_read(header, h);
    return r < 0 ? r : agree(f, h, (uint64_t)bytes);
}
