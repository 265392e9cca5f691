/* xenkit/nethash.h - how a guest wants what comes for it spread over its queues: receive side scaling, as netif.h's
 * control ring sets it (XEN_NETIF_CTRL_...). A hash over addresses, and over ports where it is TCP, gives a place in a
 * table, which says the queue. Pure: nothing is allocated, nothing blocks.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_NETHASH_H
#define XENKIT_NETHASH_H

#include <xenkit/netdev.h>

XK_API_BEGIN

enum { XK_NET_HASH_KEY = 40 /* bytes */, XK_NET_HASH_MAP = 128 /* places; Linux' back end takes as many */ };
enum { XK_NET_HASH_NONE, XK_NET_HASH_TOEPLITZ }; /* algorithms */
enum {                                           /* what is hashed; of two that fit the one with ports */
       XK_NET_HASH_IP4 = 1,
       XK_NET_HASH_IP4_TCP = 2,
       XK_NET_HASH_IP6 = 4,
       XK_NET_HASH_IP6_TCP = 8,
       XK_NET_HASH_ALL = 15
};

struct xk_net_hash {
    uint8_t algorithm, types;     /* either 0: queues are chosen as the sender likes */
    uint8_t key[XK_NET_HASH_KEY]; /* a shorter one ends in zeros */
    uint16_t map_size;            /* places in (map); 0: the hash modulo the number of queues */
    uint8_t map[XK_NET_HASH_MAP]; /* queues */
};

/* xk_net_hash (h, p, type) - the hash of a frame, and in (type) the number of the bit of (types) that it is; -1 there,
 * and 0: it has none, for it is no IP, or not of a wanted type. A fragment has no ports. */
uint32_t xk_net_hash(const struct xk_net_hash *h, const struct xk_packet *p, int *type);

/* xk_net_hash_queue (h, value, queues) - the queue for a hash, 0 .. (queues) - 1. */
unsigned xk_net_hash_queue(const struct xk_net_hash *h, uint32_t value, unsigned queues);

XK_API_END

#endif
