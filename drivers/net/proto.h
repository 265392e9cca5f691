/* drivers/net/proto.h - what stands in the slots of a network's two rings (xen/io/netif.h). One layout on all machines.
 * SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_NET_PROTO_H
#define XK_DRIVERS_NET_PROTO_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/platform.h>

enum { NET_TX_SLOT = 12, NET_TX_ANSWER = 4, NET_RX_SLOT = 8, NET_RING = 256 /* entries of either in a page */ };

enum { /* NETTXF_..., and the same bits but for the first two on the way to a guest: see below */
       NET_TX_BLANK = 1,
       NET_TX_VALIDATED = 2,
       NET_MORE = 4,
       NET_EXTRA = 8
};
enum { NET_RX_VALIDATED = 1, NET_RX_BLANK = 2 }; /* NETRXF_... */
enum { NET_DROPPED = -2, NET_ERROR = -1, NET_OKAY = 0, NET_NULL = 1 };
enum { NET_EXTRA_GSO = 1, NET_EXTRA_MCAST_ADD = 2, NET_EXTRA_MCAST_DEL = 3, NET_EXTRA_HASH = 4, NET_EXTRA_MORE = 1 };
enum {
    NET_SLOTS_MAX = 18,  /* of one packet: what every back end takes (XEN_NETIF_NR_SLOTS_MIN) */
    NET_SLOTS_LIAR = 32, /* nobody sends so many */
    NET_PAGES_MAX = 17,  /* of one packet to a guest: what Linux' front end takes (MAX_SKB_FRAGS), and one more */
    NET_HEAD_MAX = 256,  /* if there are no more bytes in the first (RX_COPY_THRESHOLD) */
    NET_EXTRAS_MAX = 4   /* kinds */
};

struct net_tx {
    uint32_t ref;
    uint16_t offset, flags, id, size; /* (size): of the first slot, the whole packet's */
};
struct net_tx_answer {
    uint16_t id;
    int16_t status;
    uint8_t pad[NET_TX_SLOT - NET_TX_ANSWER]; /* a slot of the ring is as large as a request */
};
struct net_rx {
    uint16_t id, pad;
    uint32_t ref;
};
struct net_rx_answer {
    uint16_t id, offset, flags;
    int16_t status; /* bytes in its page, or NET_ERROR ... */
};
struct net_extra {
    uint8_t type, flags;
    union {
        struct {
            uint16_t size;
            uint8_t type, pad;
            uint16_t features;
        } gso;
        uint8_t mcast[6];
        struct {
            uint8_t type, algorithm, value[4];
        } hash;
    } u;
};

union net_tx_slot {
    struct net_tx tx;
    struct net_extra extra;
    struct net_tx_answer answer;
};
union net_rx_slot {
    struct net_rx rx;
    struct net_rx_answer answer;
    struct net_extra extra;
};

_Static_assert(offsetof(struct net_tx_answer, pad) == NET_TX_ANSWER, "netif.h");
_Static_assert(sizeof(union net_tx_slot) == NET_TX_SLOT, "netif.h");
_Static_assert(sizeof(union net_rx_slot) == NET_RX_SLOT, "netif.h");

#endif
