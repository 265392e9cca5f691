/* xenkit/netdev.h - a network device: what carries Ethernet frames (a network front end, one port of a back end, a tap)
 * and what needs them (a switch, an IP stack) meet here, as disks do at blkdev.h.
 *
 * A packet is one Ethernet frame, without its check sequence, in private memory and in one piece: whoever delivers it
 * has copied it from where others can write. It may be larger than any frame on a wire: (gso) says how it is to be cut.
 * To a receiver that says so (parts) a large packet comes with its headers alone; the rest is copied from the guest
 * that sent it into the guest that gets it, or here when somebody looks at it (xk_packet_whole).
 *
 * Borrowing: a packet that is received is valid until the (receive) that brought it returns; one that is sent until the
 * next xk_net_kick. So who receives may send the same packet on, and kicks before it returns: nothing is copied for it
 * and nothing allocated. Never blocks. One thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_NETDEV_H
#define XENKIT_NETDEV_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>
#include <xenkit/err.h>
#include <xenkit/platform.h>

XK_API_BEGIN

enum { XK_ETHER_HEAD = 14, XK_PACKET_MAX = 65535 };

enum { /* struct xk_packet, flags */
       /* The checksum field of its TCP or UDP holds the sum of the pseudo header alone, as NETTXF_csum_blank (netif.h).
        */
       XK_PACKET_CSUM_BLANK = 1,
       XK_PACKET_CSUM_VALID = 2 /* it has been looked at and is right, or the packet never was on a wire */
};
enum { XK_GSO_NONE, XK_GSO_TCP4, XK_GSO_TCP6, XK_GSO_LEAST = 48 /* bytes a piece */ }; /* as XEN_NETIF_GSO_TYPE_... */

/* What of a packet is not here yet. All headers that xk_packet_heads finds are. As long as the packet is borrowed the
 * pieces can be copied by who has the platform at hand, and what they say changes at any time. */
struct xk_packet_rest {
    uint32_t head;                    /* bytes that are at (data); there is room for all */
    xk_domid peer;                    /* the others lie in pages of this domain */
    unsigned pieces;                  /* in the order of the packet, without a gap */
    const struct xk_page_copy *piece; /* each would bring its part to its place behind (data) */
    int (*fetch)(struct xk_packet_rest *r);
};

struct xk_packet {
    const uint8_t *data; /* from the destination's address on */
    uint32_t len;        /* XK_ETHER_HEAD .. XK_PACKET_MAX */
    uint8_t flags, gso;
    uint16_t gso_size;           /* bytes of TCP payload in each frame it is to become */
    struct xk_packet_rest *rest; /* NULL: all is here */
};

/* xk_packet_whole (p) - brings here what is not. 0; XK_EINVAL, ...: it cannot be had, and the packet not be used. */
static inline int xk_packet_whole(const struct xk_packet *p)
{
    return p->rest && p->rest->pieces ? p->rest->fetch(p->rest) : 0;
}

enum { /* what a device can send: struct xk_net_info, features */
       XK_NET_CSUM4 = 1,
       XK_NET_CSUM6 = 2, /* blank checksums */
       XK_NET_GSO4 = 4,
       XK_NET_GSO6 = 8,
       XK_NET_LARGE = 16, /* frames beyond a page (scatter-gather on the ring) */
       XK_NET_PARTS = 32  /* packets that are not all here */
};

struct xk_net_info {
    uint8_t mac[6];
    uint16_t mtu; /* bytes of a frame behind its Ethernet header */
    uint32_t features;
    uint8_t up; /* it carries frames now */
};

struct xk_netdev;
enum { XK_NETDEV_VERSION = 1 };
struct xk_netdev_ops {
    uint32_t version;
    int (*send)(struct xk_netdev *d, const struct xk_packet *p); /* only what xk_net_send let through */
    void (*kick)(struct xk_netdev *d);
    void (*close)(struct xk_netdev *d);
};

/* The call-backs are the user's, set while nothing runs; NULL: nobody cares. They come from within the loop. */
struct xk_netdev {
    const struct xk_netdev_ops *ops;
    struct xk_net_info info;
    uint8_t parts;    /* the receiver's: it takes packets that are not all here, or forwards them to xk_net_send */
    uint8_t *scratch; /* the device's, where it cannot do all by itself: what is sent from there it copies at once */
    size_t scratch_size;
    void (*receive)(struct xk_netdev *d, const struct xk_packet *p, unsigned n); /* may send and kick, on (d), too */
    void (*room)(struct xk_netdev *d);    /* after XK_EAGAIN there is room again */
    void (*changed)(struct xk_netdev *d); /* its (info) is another */
    void *user;
};

/* xk_net_send (d, p) - one frame; it leaves at the next kick, or before. What (d) cannot do is done for it: a blank
 * checksum is filled in, a large packet cut, one that is not all here made whole. XK_EAGAIN: there is no room now,
 * (room) will be called; XK_EINVAL: no frame, or longer than (d) takes; XK_EGONE: it is not up. */
int xk_net_send(struct xk_netdev *d, const struct xk_packet *p);
void xk_net_kick(struct xk_netdev *d);
void xk_net_close(struct xk_netdev *d); /* NULL is allowed */

/* xk_net_cable (alloc, mac, ends) - two devices of this program: what is sent into one comes out of the other, at the
 * kick. Each is closed on its own; the other is down then. XK_ENOMEM. */

XK_MUSTCHECK int xk_net_cable(const xk_alloc *alloc, const uint8_t mac[2][6], struct xk_netdev *ends[2]);

XK_API_END

#endif
