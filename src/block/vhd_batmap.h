/* block/vhd_batmap.h - which blocks of an image are full: all of their sectors are there, so that their bitmaps need
 * not be looked at. A bit a block, learned as bitmaps are read and written. An image with a batmap, which blktap adds
 * to the format, keeps these bits in the file, too: behind the table, at the next sector, stands a header that says
 * where they are and the sum of their bytes.
 *
 * A bit that is not set means nothing. One that is set in the file must be true for ever, whatever a cut of the power
 * leaves: so bits come to the file only behind a sync that was done after their blocks' entries and bitmaps, and as
 * no block here ever loses a sector, none has to be taken back. Bits and header are written without a sync
 * of their own; if the power is cut between them the sum is wrong, the batmap is not used, and who writes the
 * image next begins it anew.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XK_BLOCK_VHD_BATMAP_H
#define XK_BLOCK_VHD_BATMAP_H

#include "block/vhd.h"

struct vhd_level;

enum { VHD_BATMAP_KEPT = 66 /* bytes of the header that are others': a marker, the hash of a key */ };

struct vhd_batmap {
    uint8_t *bits;     /* counted from the highest of each byte */
    uint32_t bytes;    /* whole sectors */
    uint32_t limit;    /* blocks from here on get no bit */
    int quiet;         /* none is learned: what is in the file may not be true yet */
    int found;         /* the file has one */
    const char *wrong; /* why it is not used; NULL */
    uint64_t at;       /* of the header in the file */
    uint64_t map_at;   /* of the bits in the file; 0: they have no place there */
    uint32_t sectors, version, sum;
    int dirty;         /* the file lacks a bit that was set */
    uint32_t from, to; /* bytes that changed since they were written */
    uint8_t kept[VHD_BATMAP_KEPT];
};

/* Of a level whose table is loaded; what is wrong with the file's batmap fails nothing. XK_ENOMEM. */
int vhd_batmap_open(const xk_alloc *alloc, struct vhd_level *l, const struct vhd_footer *f, const struct vhd_header *h);
void vhd_batmap_close(const xk_alloc *alloc, struct vhd_batmap *b);

static inline int vhd_batmap_has(const struct vhd_batmap *b, uint32_t block)
{
    return (b->bits[block / 8] & 0x80u >> block % 8) != 0;
}

/* A block is full, as its bitmap says, which was read or was written; only what was written is a reason to write. */
void vhd_batmap_learn(struct vhd_batmap *b, uint32_t block);
void vhd_batmap_set(struct vhd_batmap *b, uint32_t block);

/* A block that is not in the file after all; the file has no such bit. */
void vhd_batmap_unset(struct vhd_batmap *b, uint32_t block);

/* What was set or learned is written, if the file lacks a bit that was set. The file was synced since. */
int vhd_batmap_write(struct vhd_level *l);

/* In the file none is full any more; synced. XK_EINVAL: there is no batmap, or it has no place. */
int vhd_batmap_reset(struct vhd_level *l);

/* How many blocks have the bit. */
uint32_t vhd_batmap_count(const struct vhd_batmap *b);

/* Where the header stands in a file with (h), if there is one. */
uint64_t vhd_batmap_at(const struct vhd_header *h);
int vhd_batmap_found(struct xk_file *file, const struct vhd_header *h);

/* A new one, empty, for a new image of (h); how many bytes it takes from vhd_batmap_at on. */
int vhd_batmap_create(struct xk_file *file, const struct vhd_header *h);
uint64_t vhd_batmap_room(const struct vhd_header *h);

#endif
