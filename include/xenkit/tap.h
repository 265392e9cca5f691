/* xenkit/tap.h - a network device behind a descriptor that carries one Ethernet frame a read and a write: a tap of
 * Linux' (with its header of virtio_net.h, which tells of blank checksums and large packets), or a packet socket to
 * another process, such as a gateway.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_TAP_H
#define XENKIT_TAP_H

#include <xenkit/loop.h>
#include <xenkit/netdev.h>

XK_API_BEGIN

struct xk_tap_config {
    uint8_t mac[6];           /* (info)'s, for a stack on it; a switch's port does not need one */
    uint16_t mtu;             /* 0: 1500 */
    uint16_t header;          /* bytes before each frame: 10 or 12; 0: none, and it is a socket */
    void (*ended)(void *arg); /* the other end is gone; NULL: nobody cares. Not closed from within. */
    void *arg;
};

struct xk_tap_stats {
    uint64_t packets[2], bytes[2]; /* read, written */
    uint64_t bad;                  /* were no frames, or of a header that makes no sense */
    uint64_t full;                 /* could not be written at once */
};

/* xk_tap_open (alloc, loop, handle, config, out) - (handle) is open, does not block, and is the device's from now on:
 * it is closed with it, by xk_net_close. A read that fails, or an end, takes the device down. XK_EINVAL: the
 * config; XK_ENOMEM; what the loop says of the handle. */
XK_MUSTCHECK int xk_tap_open(const xk_alloc *alloc, struct xk_loop *loop, int handle,
                             const struct xk_tap_config *config, struct xk_netdev **out);
void xk_tap_stats(const struct xk_netdev *d, struct xk_tap_stats *out);

XK_API_END

#endif
