/* xenkit/vbd.h - a disk between two domains, whole: the life cycle (xenbus.h), what disks negotiate (xen/io/blkif.h),
 * and the rings (blkfront.h, blkback.h): one, or up to four side by side (multi-queue).
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_VBD_H
#define XENKIT_VBD_H

#include <xenkit/blkback.h>
#include <xenkit/blkfront.h>
#include <xenkit/xenbus.h>

XK_API_BEGIN

enum { XK_VBD_QUEUES = XK_BLKFRONT_RINGS /* at most */ };

/* --- front end --- */

struct xk_vbd_front;

struct xk_vbd_front_options {
    uint8_t ring_order;  /* the largest ring that is asked for: 1 << order pages; 0 .. 4 */
    uint16_t max_pieces; /* segments of a request, 0 .. 256 */
    uint16_t pages;      /* for data, of all rings together, see blkfront.h */
    uint8_t queues;      /* so many rings, or as many as the back end offers; 0: 1 */
    /* It was connected, or is connected again (connected 1, err 0), or not any more (0, and why: 0 in order, XK_EGONE,
     * XK_EPEER, ...). NULL allowed. Not freed from within. */
    void (*told)(void *arg, int connected, int err);
    void *arg;
};

/* xk_vbd_front_open (alloc, loop, store, path, options, out) - the disk whose folder is (path), "device/vbd/51712". Its
 * device has the size 0 until it is connected for the first time, and so takes no requests. When the back end is gone,
 * what was under way, and what comes then, waits for the next one, and is done again there: reading, writing and
 * discarding twice is as good as once. A back end that breaks the protocol is left for good: XK_EPEER. */
XK_MUSTCHECK int xk_vbd_front_open(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store,
                                   const char *path, const struct xk_vbd_front_options *options,
                                   struct xk_vbd_front **out);
/* xk_vbd_front_device (f) - the disk; it belongs to (f), and is not closed but with it. */
struct xk_blkdev *xk_vbd_front_device(struct xk_vbd_front *f);
/* xk_vbd_front_close (f) - requests end with XK_ECANCELED. The states in the store stay as they are; a device that is
 * not wanted any more is retired before (xk_xenbus_retire). */
void xk_vbd_front_close(struct xk_vbd_front *f);
/* xk_vbd_front_bus (f) - to retire it, and for a domain that is saved: while it is suspended (xk_xenbus_suspend)
 * requests wait, as they do without a back end. */
struct xk_xenbus *xk_vbd_front_bus(struct xk_vbd_front *f);

/* Of all rings together; XK_EAGAIN: there is none. queues: how many there are. */
int xk_vbd_front_stats(const struct xk_vbd_front *f, struct xk_blkfront_stats *out);
unsigned xk_vbd_front_queues(const struct xk_vbd_front *f);

/* --- back end --- */

struct xk_vbd_back;

struct xk_vbd_back_options {
    /* Opens what the disk's `params` names, for the domain (front); (mode) "r" or "w". XK_E...: the disk is refused,
     * and the front end told. (device) is closed by (close_image) when nobody uses it. */
    int (*open_image)(void *arg, xk_domid front, const char *params, const char *mode, struct xk_blkdev **device);
    void (*close_image)(void *arg, struct xk_blkdev *device);
    /* A front end is about to use the image, for reading alone or not: 0, or XK_EAGAIN: it is to wait, until
     * xk_xenbus_update. (end): it does not any more. NULL allowed. */
    int (*begin)(void *arg, int readonly);
    void (*end)(void *arg);
    void (*told)(void *arg, int connected, int err); /* as above */
    void (*gone)(void *arg); /* the device is no more: xk_vbd_back_close may be called from here */
    void *arg;
    uint8_t ring_order;  /* the largest ring that is offered; 0 .. 4 */
    uint16_t max_pieces; /* segments of an indirect request that are offered; 0: none */
    uint8_t queues;      /* that are offered; 0: 1; a disk of one that was killed keeps those that it has */
    uint8_t no_persistent, no_discard;
};

/* xk_vbd_back_open (alloc, loop, store, path, options, out) - serves the disk whose folder is (path),
 * "backend/vbd/7/51712". */
XK_MUSTCHECK int xk_vbd_back_open(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store, const char *path,
                                  const struct xk_vbd_back_options *options, struct xk_vbd_back **out);
/* xk_vbd_back_close (b, closed, arg) - answers what is under way, gives everything back, then calls (closed), perhaps
 * at once. The states in the store stay as they are, so that another back end can take its place. */
void xk_vbd_back_close(struct xk_vbd_back *b, void (*closed)(void *arg), void *arg);
struct xk_xenbus *xk_vbd_back_bus(struct xk_vbd_back *b);
/* Of all rings together (most_under_way: of the one that had most); XK_EAGAIN: there is none. queues: how many. */
int xk_vbd_back_stats(const struct xk_vbd_back *b, struct xk_blkback_stats *out);
unsigned xk_vbd_back_queues(const struct xk_vbd_back *b);

/* xk_vbd_back_resized (b) - the image has another size now: the front end is told. */
int xk_vbd_back_resized(struct xk_vbd_back *b);

XK_API_END

#endif
