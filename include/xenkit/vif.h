/* xenkit/vif.h - a network between two domains, whole: the life cycle (xenbus.h), what networks negotiate
 * (xen/io/netif.h), and the rings of its queues (netfront.h, netback.h).
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_VIF_H
#define XENKIT_VIF_H

#include <xenkit/netback.h>
#include <xenkit/netfront.h>
#include <xenkit/nethash.h>
#include <xenkit/xenbus.h>

XK_API_BEGIN

enum { XK_VIF_QUEUES = 4 /* at most */ };

/* --- front end --- */

struct xk_vif_front;

struct xk_vif_front_options {
    uint8_t queues;              /* so many, or as many as the back end has; 0: 1 */
    uint16_t tx_pages, rx_pages; /* of each, see netfront.h */
    uint8_t plain;               /* asks for no offloads: frames of the MTU with right checksums */
    uint8_t keep;                /* asks that its pages stay mapped, where the back end does that */
    struct xk_net_hash hash;     /* how what comes is to be spread over its queues, where the back end does that */
    /* It was connected (1, 0), or is not any more (0, and why: 0 in order, XK_EGONE, XK_EPEER ...). NULL allowed. Not
     * freed from within. */
    void (*told)(void *arg, int connected, int err);
    void *arg;
};

/* xk_vif_front_open (alloc, loop, store, path, options, out) - the network whose folder is (path), "device/vif/0". Its
 * device lives as long as (f); it is up while a back end serves it, which may be another after each break, and what is
 * sent meanwhile gets XK_EGONE. A back end that breaks the protocol is left for good: XK_EPEER. */
XK_MUSTCHECK int xk_vif_front_open(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store,
                                   const char *path, const struct xk_vif_front_options *options,
                                   struct xk_vif_front **out);
/* xk_vif_front_device (f) - closed with (f), and not by xk_net_close. */
struct xk_netdev *xk_vif_front_device(struct xk_vif_front *f);
/* xk_vif_front_close (f) - the states in the store stay; one that is not wanted any more is retired before. Not from
 * within a call-back of its device. */
void xk_vif_front_close(struct xk_vif_front *f);

/* xk_vif_front_bus (f) - to retire it, and for a domain that is saved: while it is suspended (xk_xenbus_suspend) the
 * network is down, as it is without a back end. */
struct xk_xenbus *xk_vif_front_bus(struct xk_vif_front *f);

/* What became of the wishes (hash) and (keep): XK_ENOTCONN; XK_EAGAIN: not answered yet; 0: in use; XK_ENOSYS: there
 * was none, or the back end does not know it; XK_EINVAL: it refused. (types): what is hashed, of those that were asked
 * for; (kept): pages that stay mapped, of all queues. */
struct xk_vif_control {
    int hash, keep;
    uint8_t types;
    uint32_t kept;
};
void xk_vif_front_control(const struct xk_vif_front *f, struct xk_vif_control *out);

/* Of all queues together; how many there are, 0: not connected. xk_vif_front_queue - of one of them; XK_ERANGE. */
int xk_vif_front_queue(const struct xk_vif_front *f, unsigned queue, struct xk_netfront_stats *out);
unsigned xk_vif_front_stats(const struct xk_vif_front *f, struct xk_netfront_stats *out);

/* --- back end --- */

struct xk_vif_back;

struct xk_vif_back_options {
    uint8_t queues;   /* that are offered; 0: 1 */
    uint8_t plain;    /* offers no offloads */
    uint16_t keep;    /* pages of each queue that may stay mapped, see (grefs) of netback.h; 0: none */
    uint32_t backlog; /* of each, see netback.h */
    /* A guest is connected: (device) is its port, to be given (receive) and (room); it is valid until (detach).
     * XK_E...: the guest is refused. */
    int (*attach)(void *arg, struct xk_netdev *device, xk_domid front, const char *path);
    void (*detach)(void *arg, struct xk_netdev *device);
    void (*told)(void *arg, int connected, int err);
    void (*gone)(void *arg); /* the device is no more: xk_vif_back_close may be called from here */
    void *arg;
};

/* xk_vif_back_open (alloc, loop, store, path, options, out) - serves the network whose folder is (path),
 * "backend/vif/7/0". xk_vif_back_close - the states in the store stay, so that another can take its place. Not from
 * within a call-back of its device. */
XK_MUSTCHECK int xk_vif_back_open(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store, const char *path,
                                  const struct xk_vif_back_options *options, struct xk_vif_back **out);
void xk_vif_back_close(struct xk_vif_back *b);
struct xk_xenbus *xk_vif_back_bus(struct xk_vif_back *b);
unsigned xk_vif_back_stats(const struct xk_vif_back *b, struct xk_netback_stats *out);

XK_API_END

#endif
