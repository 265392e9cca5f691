/* xenkit/blkback.h - one ring of a disk's back end: serves a block device to a front end (xen/io/blkif.h). How the two
 * find each other is xenbus.h's business, or a test's.
 *
 * Whatever the front end writes is copied, then checked; a request that is wrong is answered with an error, as by
 * Linux' blkback, and a ring that cannot be is given up: (broken) is called, and nothing else suffers. The front end's
 * pages are mapped; those of one with persistent grants stay so, up to a bound. Never blocks. One thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_BLKBACK_H
#define XENKIT_BLKBACK_H

#include <xenkit/blkdev.h>

XK_API_BEGIN

struct xk_blkback;

enum xk_blk_abi { XK_BLK_ABI_64, XK_BLK_ABI_32 }; /* "x86_64-abi" and all that is native; "x86_32-abi" */
enum { XK_BLKBACK_RING_MAX = 16, XK_BLKBACK_PIECES_MAX = 256 };

struct xk_blkback_config {
    struct xk_blkdev *device; /* not owned; outlives the back end */
    xk_domid front;
    uint8_t ring_pages;  /* 1, 2, 4, 8 or 16 */
    uint8_t abi;         /* enum xk_blk_abi: what the front end's `protocol` says */
    uint8_t readonly;    /* writes are refused though the device would take them */
    uint8_t persistent;  /* the front end grants its pages for good */
    uint16_t max_pieces; /* what it was offered as feature-max-indirect-segments: 0 or 12 .. XK_BLKBACK_PIECES_MAX */
    uint16_t keep;       /* how many pages of it may stay mapped; 0: 1056 (LINUX' own bound for one ring) */
    xk_gref ring[XK_BLKBACK_RING_MAX];
    xk_port port;                       /* the front end's */
    void (*broken)(void *arg, int err); /* XK_EPEER: close it, soon; NULL allowed. Not closed from within */
    void *arg;
};

struct xk_blkback_stats {
    uint64_t requests[XK_BLK_OPS], bytes[2]; /* read, written */
    uint64_t errors;                         /* answers that were no success */
    uint64_t refused;                        /* of these, requests that made no sense */
    uint64_t notified, events, idle_events;  /* (idle): events with nothing to be done */
    uint64_t maps;                           /* calls to map pages */
    uint32_t kept, under_way, most_under_way;
};

/* xk_blkback_open (alloc, loop, config, out) - maps the ring, binds the port, serves what is there and what comes.
 * XK_EINVAL; XK_EPEER: the ring's indices make no sense; what xk_page_map and xk_evtchn_bind say. */
XK_MUSTCHECK int xk_blkback_open(const xk_alloc *alloc, struct xk_loop *loop, const struct xk_blkback_config *config,
                                 struct xk_blkback **out);

/* xk_blkback_close (b, closed, arg) - takes no more requests. Those under way are finished and answered; then all pages
 * are given back and (closed), if not NULL, is called: perhaps at once, perhaps from within the loop. */
void xk_blkback_close(struct xk_blkback *b, void (*closed)(void *arg), void *arg);

void xk_blkback_stats(const struct xk_blkback *b, struct xk_blkback_stats *out);

XK_API_END

#endif
