/* xenkit/blkdev.h - a block device: what stores blocks (an image, a disk front end) and what needs them (a back end, a
 * file system, a database) meet here, so that images compose and a front end looks like an image.
 *
 * A sector is 512 bytes here, whatever the device's own sectors are, as in Xen's io/blkif.h. A request is placed by its
 * caller, who gives it away by xk_blk_submit until its (done) runs: the device keeps it in a list of its own, so
 * nothing is allocated for it and the number of requests under way is the caller's to bound.
 *
 * Order: none between requests that are under way together. XK_BLK_FLUSH: all that was done before it was submitted is
 * on the medium when it is done. Blocking: submit and kick do not wait for other domains; an image over a file waits
 * for the disk where the system below offers nothing better. One thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_BLKDEV_H
#define XENKIT_BLKDEV_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/loop.h>
#include <xenkit/piece.h>

XK_API_BEGIN

enum { XK_SECTOR = 512 };

enum xk_blk_op { XK_BLK_READ, XK_BLK_WRITE, XK_BLK_FLUSH, XK_BLK_DISCARD, XK_BLK_OPS };
enum {
    XK_BLK_FUA = 1,   /* WRITE: on the medium when done, as if a flush followed */
    XK_BLK_SECURE = 2 /* DISCARD: no copy is left */
};

struct xk_blk_request {
    /* Called once, from within xk_blk_kick or the loop, never from xk_blk_submit. (err) 0 or XK_EIO, XK_ENOSPC, ...;
     * XK_ECANCELED: the device was closed, XK_EGONE: its other half is gone. May submit, this request too, and kick. */
    void (*done)(struct xk_blk_request *r, int err);
    void *arg; /* the caller's */
    uint64_t sector, sectors;
    struct xk_piece *piece; /* READ, WRITE: each a multiple of XK_SECTOR and more than 0, together (sectors) long; the
                               caller's, unchanged until done */
    uint16_t pieces;
    uint8_t op, flags;
    /* The device's, from submit to done. */
    struct xk_blk_request *next;
    uint64_t at;
    uint32_t under_way;
    int err;
};

enum { /* what a device can do: struct xk_blk_info, features */
       XK_BLK_READONLY = 1,
       XK_BLK_CAN_FLUSH = 2, /* without it all that is done is on the medium */
       XK_BLK_CAN_DISCARD = 4,
       XK_BLK_CAN_SECURE = 8,
       XK_BLK_REMOVABLE = 16,
       XK_BLK_CDROM = 32,
       XK_BLK_DEAR_KICK = 64 /* a kick costs as much as many requests: it should be for all that there are */
};

struct xk_blk_info {
    uint64_t sectors;                                /* of 512 bytes: the size */
    uint32_t features;                               /* XK_BLK_READONLY ... */
    uint32_t logical, physical;                      /* bytes: the least that can be addressed, and what is best */
    uint32_t discard_granularity, discard_alignment; /* bytes */
    uint32_t max_sectors;                            /* of one request; longer ones are divided by the device itself */
};

struct xk_blkdev;
enum { XK_BLKDEV_VERSION = 1 };
struct xk_blkdev_ops {
    uint32_t version;
    void (*submit)(struct xk_blkdev *d, struct xk_blk_request *r); /* only what xk_blk_submit let through */
    void (*kick)(struct xk_blkdev *d);
    void (*close)(struct xk_blkdev *d);
    /* Memory that the device can take without a copy; NULL: any will do, and comes from the allocator. */
    void *(*memory)(struct xk_blkdev *d, size_t bytes);
    void (*memory_free)(struct xk_blkdev *d, void *p, size_t bytes);
};

struct xk_blkdev {
    const struct xk_blkdev_ops *ops;
    struct xk_blk_info info;              /* the size may change while it is in use; then (changed) is called */
    void (*changed)(struct xk_blkdev *d); /* the user's, NULL allowed */
    void *user;                           /* the user's */
};

/* xk_blk_submit (d, r) - gives (r) to the device; it is started by the next kick at the latest. XK_EINVAL: it goes
 * beyond the end, its pieces are not (sectors) long, or do not begin and end where the device's own sectors do;
 * XK_EROFS; XK_ENOSYS: such a device cannot do that. Then (done) is not called. */
XK_MUSTCHECK int xk_blk_submit(struct xk_blkdev *d, struct xk_blk_request *r);
void xk_blk_kick(struct xk_blkdev *d);

/* xk_blk_close (d) - requests under way end with XK_ECANCELED. NULL is allowed. */
void xk_blk_close(struct xk_blkdev *d);

/* xk_blk_do (d, loop, op, sector, buf, bytes, deadline) - one request, and waits for its end while the loop runs; not
 * from within a call-back of that. For FLUSH (bytes) is 0, for DISCARD the length with (buf) NULL. The data go through
 * memory of its own, so that (buf) is the caller's again whatever is returned. XK_ETIMEDOUT: given up waiting; a write
 * may still be done later. */
int xk_blk_do(struct xk_blkdev *d, struct xk_loop *loop, enum xk_blk_op op, uint64_t sector, void *buf, size_t bytes,
              xk_time deadline);

/* xk_file_over_blk (alloc, dev, loop, out) - a device as a file: bytes at any place. Calls wait while the loop runs, up
 * to a minute for one request; (loop) may be NULL for an image that answers when it is kicked. (dev) stays the caller's
 * and must outlive the file. Its size does not change; writing beyond it is XK_ENOSPC. */
struct xk_file;
XK_MUSTCHECK int xk_file_over_blk(const xk_alloc *alloc, struct xk_blkdev *dev, struct xk_loop *loop,
                                  struct xk_file **out);

/* --- images ------------------------------------------------------------------------------------------------------ */

/* xk_block_memory (alloc, sectors, out) - blocks in memory, zeroes at first. Discarded ones are zero. XK_ENOMEM. */
XK_MUSTCHECK int xk_block_memory(const xk_alloc *alloc, uint64_t sectors, struct xk_blkdev **out);

/* xk_block_file (alloc, file, features, out) - blocks of a file, which belongs to the device from now on, even when
 * this fails. Requests are done one after the other, while the caller waits. (features): XK_BLK_READONLY,
 * XK_BLK_REMOVABLE, XK_BLK_CDROM. A last part of less than a sector is not there. Discarded blocks are zero, and their
 * room in the file is given back; where that cannot be, they end with XK_ENOSYS. */
XK_MUSTCHECK int xk_block_file(const xk_alloc *alloc, struct xk_file *file, unsigned features, struct xk_blkdev **out);

/* xk_block_aio (alloc, aio, file, features, out) - the same, and requests are under way side by side, in a ring that
 * outlives the device and is reaped by somebody (xk_aio_watch). Neighbours that are kicked together become one request
 * of the file's. With XK_BLK_CACHED in (features) what can be had from and given to Linux' page cache is done at once,
 * which costs less than the ring, and on many file systems a thread that a write is handed to; leave it out for a file
 * that was opened with O_DIRECT. xk_blk_close waits for the disk. XK_ENOSYS: the file is none of the operating
 * system's. */
enum { XK_BLK_CACHED = 1 << 16 };
struct xk_aio;
XK_MUSTCHECK int xk_block_aio(const xk_alloc *alloc, struct xk_aio *aio, struct xk_file *file, unsigned features,
                              struct xk_blkdev **out);

/* xk_blk_copy (from, to, sector, budget, sparse) - a part of image (from) is written to image (to): from *sector on,
 * about (budget) sectors, and *sector goes on with it. What is said to be zero is passed over where (sparse): (to) is
 * zeroes so far. 1: there is more; 0: all is there, and (to) was flushed. XK_ENOSYS: one is no image that answers at
 * once, as those in memory, in a file and VHDs do; XK_ERANGE: (to) is smaller; XK_ENOMEM; what they say. */
XK_MUSTCHECK int xk_blk_copy(struct xk_blkdev *from, struct xk_blkdev *to, uint64_t *sector, uint32_t budget,
                             int sparse);

/* --- layers: a device over another one, (below), which belongs to it from now on, even when this fails -------------
 */

/* xk_block_slice (alloc, below, first, sectors, out) - a part of it, such as a partition. XK_EINVAL: it has no such
 * part, or one that does not begin and end where its own sectors do. */
XK_MUSTCHECK int xk_block_slice(const xk_alloc *alloc, struct xk_blkdev *below, uint64_t first, uint64_t sectors,
                                struct xk_blkdev **out);

/* xk_block_throttle (alloc, loop, below, requests, bytes, out) - so many requests, and bytes read and written, a
 * second; 0: as many as there are. A tenth of a second's worth may come at once. */
XK_MUSTCHECK int xk_block_throttle(const xk_alloc *alloc, struct xk_loop *loop, struct xk_blkdev *below,
                                   uint64_t requests, uint64_t bytes, struct xk_blkdev **out);

/* xk_block_overlay (alloc, below, bytes, out) - what is written stays in memory, (bytes) of it at most, and is
 * forgotten at the end; (below) is only read. A write that needs more: XK_ENOSPC. Memory is taken for 64 KiB of the
 * device at a time. */
XK_MUSTCHECK int xk_block_overlay(const xk_alloc *alloc, struct xk_blkdev *below, uint64_t bytes,
                                  struct xk_blkdev **out);

/* xk_block_fault (alloc, below, what, out) - requests fail as (what) says, before they reach (below). All that is 0
 * says nothing. */
struct xk_blk_fault {
    unsigned ops;            /* bits 1 << XK_BLK_READ ...: only these; 0: all */
    uint64_t first, sectors; /* only those that touch this part */
    uint64_t after;          /* only after so many of those */
    uint64_t one_in;         /* only about one in so many */
    uint64_t seed;           /* of that chance */
    int err;                 /* the answer; 0: XK_EIO */
};
XK_MUSTCHECK int xk_block_fault(const xk_alloc *alloc, struct xk_blkdev *below, const struct xk_blk_fault *what,
                                struct xk_blkdev **out);

/* xk_block_power (alloc, below, seed, out) - a disk with a write cache (of 2 MiB, which are taken at once) that loses
 * power when it is closed, or its process ends: of what was written and not flushed then, each 512 bytes are as they
 * were, as any of the writes since then left them, or garbage behind a new first part, also where the writes did not
 * change them. (seed), not 0, chooses, once how much of it, from nearly all to next to nothing, then what. (below) has
 * what is flushed. Whoever uses the disk has to end with it, as with a real power cut. XK_EINVAL: (below) has larger
 * sectors. xk_block_power_at_risk (d) - how many sectors would be lost, or half lost, if it ended now; (d) is a device
 * that xk_block_power made. */
XK_MUSTCHECK int xk_block_power(const xk_alloc *alloc, struct xk_blkdev *below, uint64_t seed, struct xk_blkdev **out);
uint64_t xk_block_power_at_risk(struct xk_blkdev *d);

XK_API_END

#endif
