/* xenkit/vhd.h - Virtual Hard Disk images: fixed, dynamic, and differencing ones, which hold what differs from a
 * parent. Format: Microsoft's "Virtual Hard Disk Image Format Specification" 1.0; with what libvhd (blktap) and QEMU
 * made of it.
 *
 * An image has at most 2040 GiB. Sizes are in bytes and multiples of 512.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_VHD_H
#define XENKIT_VHD_H

#include <xenkit/blkdev.h>
#include <xenkit/file.h>

XK_API_BEGIN

#define XK_VHD_SIZE_MAX ((uint64_t)2040 << 30)
enum { XK_VHD_CHAIN_MAX = 30 /* images from the top to the base */, XK_VHD_NAME_MAX = 768 /* bytes of UTF-8 */ };

enum xk_vhd_type { XK_VHD_FIXED = 2, XK_VHD_DYNAMIC = 3, XK_VHD_DIFFERENCING = 4 };

/* A batmap, which blktap adds to what is not fixed, says of which blocks all sectors are there, so that reading these
 * needs no look at their bitmaps. One that is wrong is not used, and made anew when the image is next written. */
enum xk_vhd_batmap { XK_VHD_BATMAP_NONE, XK_VHD_BATMAP_USED, XK_VHD_BATMAP_WRONG };

struct xk_vhd_info {
    enum xk_vhd_type type;
    uint64_t size;       /* of the disk */
    uint32_t block_size; /* of what is not fixed: as much of the disk is in the file or is not */
    uint32_t blocks, allocated;
    enum xk_vhd_batmap batmap;
    uint32_t full; /* blocks that its batmap says are full */
    uint8_t uuid[16], parent_uuid[16];
    uint32_t parent_time;              /* when the parent was changed last: seconds after 2000, UTC */
    char creator[5];                   /* who made it, four letters */
    char parent_name[XK_VHD_NAME_MAX]; /* of the parent's file, UTF-8; "" */
};

/* xk_vhd_read_info (file, out) - what stands in its footer and header. XK_EPROTO: it is no VHD, or is damaged: a
 * checksum is wrong, or a number contradicts another. XK_ERANGE: it says it is larger than 2040 GiB. */
XK_MUSTCHECK int xk_vhd_read_info(struct xk_file *file, struct xk_vhd_info *out);

/* xk_vhd_create (file, spec) - makes an image of an empty file. The caller gives a random (uuid). A differencing
 * image's (parent_uuid) is its parent's uuid, all zeroes for a raw one; its (size) may differ from the parent's.
 * (block_size) 0: 2 MiB; a power of two, 64 KiB .. 256 MiB, so that there are 4194304 at most. (batmap): it gets one;
 * blktap takes it for blocks of 2 MiB only. The file is synced. XK_ERANGE, XK_EINVAL. */
struct xk_vhd_spec {
    enum xk_vhd_type type;
    uint64_t size;
    uint32_t block_size;
    uint32_t time; /* of now, seconds after 2000, UTC */
    uint8_t uuid[16], parent_uuid[16];
    uint32_t parent_time;
    const char
        *parent_name; /* a path as the parent is to be found by, relative to the image; UTF-8, no control letters */
    int batmap;       /* not for a fixed one */
};
XK_MUSTCHECK int xk_vhd_create(struct xk_file *file, const struct xk_vhd_spec *spec);

/* xk_block_vhd (alloc, chain, n, features, out) - an image as a device. (chain): the image's file, then its parent's,
 * down to one without a parent, or to a raw file, which only a parent_uuid of zeroes leads to. They belong to the
 * device from now on, even when this fails; only the first is written. (features): XK_BLK_READONLY; XK_VHD_LAZY, for an
 * image that is being made: until a flush is done a cut of the power may leave anything of it, and no other syncs are
 * made.
 *
 * Requests are done one after the other. What was written stays when the program is killed. When the power is cut, a
 * sector that was not flushed has its old or its new contents, whatever the image has to write for it: where requests
 * are the first for their sectors, the file is synced once a kick, before the image says where they are.
 * XK_EPROTO, XK_ERANGE as above; XK_EINVAL: a parent is not the one that the image names; XK_ENOMEM. */
enum { XK_VHD_LAZY = 1 << 17 };
XK_MUSTCHECK int xk_block_vhd(const xk_alloc *alloc, struct xk_file *const *chain, unsigned n, unsigned features,
                              struct xk_blkdev **out);

/* xk_vhd_coalesce (top, parent, sector, budget) - a part of what the image (top) has of its own is written to (parent),
 * the device over its parent's chain: from *sector on, about (budget) sectors, and *sector goes on with it. 1: there is
 * more; 0: all is there, and (parent) was flushed. Until then, and whenever it is cut, the chain of (top) reads the
 * same, as (top) hides what is written. Other images over that parent do not. Both are idle but for this. XK_EINVAL:
 * (top) is no VHD; XK_ERANGE: the parent is smaller; what the parent says. */
XK_MUSTCHECK int xk_vhd_coalesce(struct xk_blkdev *top, struct xk_blkdev *parent, uint64_t *sector, uint32_t budget);

/* xk_vhd_set_parent (file, spec) - the differencing image in (file) has another parent from now on: (parent_uuid),
 * (parent_time) and (parent_name) of (spec), the rest of which is not looked at. When the power is cut it has the one
 * or the other. The image is in use by nobody. XK_EINVAL: it is of another type, or what is said is wrong. */
XK_MUSTCHECK int xk_vhd_set_parent(struct xk_file *file, const struct xk_vhd_spec *spec);

/* xk_vhd_mend_batmap (file) - its batmap is made anew from the bitmaps of all blocks. When the power is cut, none or
 * some of the full blocks are in it. The image is in use by nobody. XK_EINVAL: it has none, or one without a place. */
XK_MUSTCHECK int xk_vhd_mend_batmap(struct xk_file *file);

/* xk_vhd_check (file, told, arg) - looks at all that xk_block_vhd takes on trust: whether the footers agree, blocks
 * overlap, the batmap says what bitmaps say, the file has room that nothing uses. Calls (told) with a sentence for each
 * finding, (bad) where data may be lost. How many were bad; XK_E... where it could not look. */
XK_MUSTCHECK int xk_vhd_check(struct xk_file *file, void (*told)(void *arg, int bad, const char *text), void *arg);

XK_API_END

#endif
