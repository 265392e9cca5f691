/* block/vhd.h - a VHD's footer and header as plain structures. SPDX-License-Identifier: MIT */
#ifndef XK_BLOCK_VHD_H
#define XK_BLOCK_VHD_H

#include <xenkit/vhd.h>

enum {
    VHD_SECTOR = 512,
    VHD_HEADER = 1024,
    VHD_LOCATORS = 8,
    VHD_NAME = 512, /* bytes of UTF-16, big-endian */
    VHD_LOCATOR_ROOM = 2048,
    VHD_BLOCK_MIN = 65536,
    VHD_BLOCK_MAX = 256 << 20,
    VHD_BLOCKS = 1 << 22 /* of an image; its table is kept in memory */
};
#define VHD_NONE UINT32_MAX    /* of the table: this block is not in the file */
#define VHD_NOWHERE UINT64_MAX /* of offsets */

struct vhd_footer {
    uint64_t data_offset; /* of the header; VHD_NOWHERE: fixed */
    uint32_t time;
    char creator[4];
    uint32_t creator_version;
    uint64_t size;
    uint32_t type;
    uint8_t uuid[16];
    uint8_t saved, hidden;
    uint8_t raw[VHD_SECTOR]; /* as it was read */
};

struct vhd_locator {
    char platform[4];
    uint32_t space, length; /* bytes that are there, that are used */
    uint64_t offset;
};

struct vhd_header {
    uint64_t table_offset;
    uint32_t entries, block_size;
    uint8_t parent_uuid[16];
    uint32_t parent_time;
    uint8_t parent_name[VHD_NAME];
    struct vhd_locator locator[VHD_LOCATORS];
};

/* The bytes of them, with their checksums. */
void vhd_footer_write(const struct vhd_footer *f, uint8_t out[VHD_SECTOR]);
void vhd_header_write(const struct vhd_header *h, uint8_t out[VHD_HEADER]);

/* 0; XK_EPROTO: cookie, checksum, version or a number is wrong; XK_ERANGE: too large. */
int vhd_footer_read(const uint8_t in[VHD_SECTOR], struct vhd_footer *f);
int vhd_header_read(const uint8_t in[VHD_HEADER], struct vhd_header *h);

/* The footer (raw) leads to a header at (at) from now on. */
void vhd_footer_lead(uint8_t raw[VHD_SECTOR], uint64_t at);

/* (h) names its parent, and so does a locator "W2ru", whose (room) has its place at (at). XK_EINVAL: no such name. */
int vhd_name_parent(const char *name, struct vhd_header *h, uint64_t at, uint8_t room[VHD_LOCATOR_ROOM]);

/* Of a file: the footer at its end or, where that is damaged, its copy at the beginning; the header, unless it is
 * fixed. (at): where the footer stands or should; both agree with the file's size and with each other. */
int vhd_open(struct xk_file *file, struct vhd_footer *f, struct vhd_header *h, uint64_t *at);

/* Bytes of a block's bitmap in the file. */
static inline uint32_t vhd_bitmap_bytes(uint32_t block_size)
{
    uint32_t bytes = block_size / VHD_SECTOR / 8;

    return (bytes + VHD_SECTOR - 1) / VHD_SECTOR * VHD_SECTOR;
}

static inline void vhd_put32(uint8_t *p, uint32_t v)
{
    for (int i = 3; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}
static inline void vhd_put64(uint8_t *p, uint64_t v)
{
    vhd_put32(p, (uint32_t)(v >> 32));
    vhd_put32(p + 4, (uint32_t)v);
}
static inline uint32_t vhd_get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint64_t vhd_get64(const uint8_t *p) { return (uint64_t)vhd_get32(p) << 32 | vhd_get32(p + 4); }

#endif
