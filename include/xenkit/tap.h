/* xenkit/tap.h - a network device behind a descriptor that carries one Ethernet frame a read and a write: a tap of
 * Linux' (with its header of virtio_net.h, which tells of blank checksums and large packets), also of several queues,
 * or a packet socket to another process, such as a gateway.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_TAP_H
#define XENKIT_TAP_H

#include <xenkit/loop.h>
#include <xenkit/netdev.h>

XK_API_BEGIN

enum { XK_TAP_QUEUES = 8 };

struct xk_tap_config {
    uint8_t mac[6];           /* (info)'s, for a stack on it; a switch's port does not need one */
    uint16_t mtu;             /* 0: 1500 */
    uint16_t header;          /* bytes before each frame: 10 or 12; 0: none, and it is a socket */
    void (*ended)(void *arg); /* the other end is gone; NULL: nobody cares. Not closed from within. */
    void *arg;
};

struct xk_tap_stats {
    uint64_t packets[2], bytes[2];                  /* read, written */
    uint64_t bad;                                   /* were no frames, or of a header that makes no sense */
    uint64_t full;                                  /* could not be written at once */
    uint64_t in[XK_TAP_QUEUES], out[XK_TAP_QUEUES]; /* (packets), by queue */
};

/* xk_tap_open (alloc, loop, handles, count, config, out) - the (handles) are open, do not block, and are the device's
 * from now on: they are closed with it, by xk_net_close; after a failure they are the caller's. More than one: the
 * queues of one tap (IFF_MULTI_QUEUE of tun.h), 1 .. XK_TAP_QUEUES, all read here. A flow is written to the queue that
 * the hash of its addresses and ports gives, so it keeps its order, and Linux sends what answers it by that queue. A
 * read that fails, or an end, takes the device down. XK_EINVAL: the config or count; XK_ENOMEM; what the loop says of a
 * handle. */
XK_MUSTCHECK int xk_tap_open(const xk_alloc *alloc, struct xk_loop *loop, const int *handles, unsigned count,
                             const struct xk_tap_config *config, struct xk_netdev **out);
void xk_tap_stats(const struct xk_netdev *d, struct xk_tap_stats *out);

XK_API_END

#endif
