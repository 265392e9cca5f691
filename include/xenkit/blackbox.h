/* xenkit/blackbox.h - a ring of a program's last records, in memory that somebody else can still read after its death.
 *
 * The writer puts records and never waits: the oldest make room. Nothing is called, nobody is notified; a record costs
 * a checksum and a copy. Whoever has the pages mapped reads what lies there at any time, best after the writer died.
 *
 * The area: 64 bytes of header, then whole data.
 *   header  magic "XKBB", version, data bytes (each u32), 0; begin, end (each u64, bytes since the start: they only
 *           grow; a byte lies at its number modulo the size); the rest is 0
 *   record  length, checksum (each u32), then the bytes, padded to a multiple of 8. It wraps where the data ends.
 * All little endian. (begin) moves before old records are overwritten, (end) after a new one is whole, so that a writer
 * that is killed in between leaves nothing half. The checksum covers the record's place, its length and its bytes.
 *
 * The reader trusts nothing: it copies the area, believes sizes that it knows itself, and stops at the first record
 * that makes no sense. Placed by the caller; nothing is allocated. One thread an end.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_BLACKBOX_H
#define XENKIT_BLACKBOX_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/err.h>

XK_API_BEGIN

enum { XK_BLACKBOX_HEADER = 64, XK_BLACKBOX_RECORD = 8 };

struct xk_blackbox {
    volatile uint8_t *area;
    size_t size;         /* of the data */
    uint64_t begin, end; /* the writer's own */
    uint64_t dropped;    /* records that made room for later ones */
};

/* xk_blackbox_init (b, area, bytes) - makes an empty ring in (area), which is 8-byte aligned. XK_EINVAL unless (bytes)
 * is a multiple of 8 and leaves room for at least one record behind the header. */
XK_MUSTCHECK int xk_blackbox_init(struct xk_blackbox *b, void *area, size_t bytes);

/* xk_blackbox_move (b, area) - goes on in another area of the same size, with all that is in the ring. */
void xk_blackbox_move(struct xk_blackbox *b, void *area);

/* xk_blackbox_put (b, data, n) - adds a record. XK_E2BIG when it is larger than the ring, XK_EINVAL when (n) is 0. */
int xk_blackbox_put(struct xk_blackbox *b, const void *data, size_t n);

/* Reading. (copy) is private memory of (bytes) bytes, as large as the area.
 *
 * xk_blackbox_copy (r, area, bytes, copy) - takes a copy of the area and looks at its header. XK_EPEER when no writer
 * of ours can have made it. It may be called while the writer writes; XK_EAGAIN: that was too fast, try again.
 * xk_blackbox_next (r, data) - the next record, oldest first, within (copy): its length; 0 at the end; XK_EPEER when
 * what lies there is no record. (data) has no alignment. */
struct xk_blackbox_reader {
    uint8_t *copy; /* the data, so turned that it begins with the oldest record */
    size_t size;   /* bytes from the oldest record to the end of the newest */
    size_t at;
    uint64_t begin;
};
XK_MUSTCHECK int xk_blackbox_copy(struct xk_blackbox_reader *r, const volatile void *area, size_t bytes, void *copy);
int xk_blackbox_next(struct xk_blackbox_reader *r, const uint8_t **data);

XK_API_END

#endif
