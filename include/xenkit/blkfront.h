/* xenkit/blkfront.h - one ring of a disk's front end, as a block device (xen/io/blkif.h). How its back end is found,
 * and learns of ring and port, is xenbus.h's business, or a test's.
 *
 * All data goes through pages that are granted once, when the front end is made: while requests run no grant is made or
 * ended. Requests are divided by what the back end takes at a time. Never blocks. One thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_BLKFRONT_H
#define XENKIT_BLKFRONT_H

#include <xenkit/blkdev.h>

XK_API_BEGIN

struct xk_blkfront;

struct xk_blkfront_config {
    xk_domid back;       /* who serves the disk */
    uint16_t pages;      /* for data: 0: as many as the ring's requests of 11 segments take; at most 1008; */
    uint8_t rings;       /* it is one of so many of its disk, which divide these pages, two at least each; 0: 1 */
    uint8_t ring_order;  /* 1 << ring_order pages of ring, 0 .. 4 */
    uint16_t max_pieces; /* segments of a request: 0: 11; more, up to 256, go in indirect pages */
};

enum { XK_BLKFRONT_RING_MAX = 16, XK_BLKFRONT_RINGS = 4 };

struct xk_blkfront_stats {
    uint64_t requests[XK_BLK_OPS], bytes[2]; /* on the ring; read, written */
    uint64_t errors, notified, events;
    uint64_t full;   /* how often requests had to wait for the ring or for pages */
    uint64_t copied; /* bytes; what came in memory of the device's own was not */
    uint32_t under_way, waiting;
};

/* xk_blkfront_create (alloc, loop, config, out) - the ring, its pages and its port. Nothing is sent before
 * xk_blkfront_connect. XK_EINVAL, XK_ENOMEM, XK_ENOSPC: no more grants; XK_EGONE: no such domain. */
XK_MUSTCHECK int xk_blkfront_create(const xk_alloc *alloc, struct xk_loop *loop,
                                    const struct xk_blkfront_config *config, struct xk_blkfront **out);

/* What the back end is to be told: references of the ring's pages (returns how many), the port. */
unsigned xk_blkfront_ring(const struct xk_blkfront *f, xk_gref refs[XK_BLKFRONT_RING_MAX]);
xk_port xk_blkfront_port(const struct xk_blkfront *f);

/* xk_blkfront_connect (f, info, max_pieces) - the back end serves it: (info) is what it says of the disk, (max_pieces)
 * its feature-max-indirect-segments, 0: none. The device may be used from now on. xk_blkfront_resize: it says that the
 * disk has another size. */
void xk_blkfront_connect(struct xk_blkfront *f, const struct xk_blk_info *info, unsigned max_pieces);
void xk_blkfront_resize(struct xk_blkfront *f, uint64_t sectors);

/* xk_blkfront_device (f) - the disk. Closing the device closes (f): requests under way end with XK_ECANCELED; pages
 * that the back end still has are left to the platform (xk_page_forget). */
struct xk_blkdev *xk_blkfront_device(struct xk_blkfront *f);

/* xk_blkfront_fail (f, err) - the back end is gone: all requests end with (err), and later ones too. It does so by
 * itself, with XK_EPEER, when the back end writes what it never may; then (broken), if not NULL, is called with (arg).
 */
void xk_blkfront_fail(struct xk_blkfront *f, int err);
void xk_blkfront_on_broken(struct xk_blkfront *f, void (*broken)(void *arg, int err), void *arg);

void xk_blkfront_stats(const struct xk_blkfront *f, struct xk_blkfront_stats *out);

XK_API_END

#endif
