/* xenkit/netback.h - one queue of a network's back end: what a guest sends comes out of a network device, what is sent
 * into that goes to the guest (xen/io/netif.h). How the two find each other is xenbus.h's business, or a test's.
 *
 * The guest's pages are not mapped, unless it asks for that: packets are copied, once, in batches, by the hypervisor
 * (xk_page_copy) or out of pages that stay mapped (xk_netback_keep), and looked at only then. Of packets beyond a page
 * only the first hundreds of bytes are copied where the receiver takes parts (netdev.h); it may be another guest's back
 * end, which copies the rest from page to page. A packet that is wrong is answered with an error; rings that cannot be
 * are given up: (broken) is called, and nothing else suffers. What a guest is too slow to take waits up to a bound;
 * beyond it sending says XK_EAGAIN. Never blocks.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_NETBACK_H
#define XENKIT_NETBACK_H

#include <xenkit/loop.h>
#include <xenkit/netdev.h>
#include <xenkit/nethash.h>

XK_API_BEGIN

struct xk_netback;

enum { XK_NETBACK_GREFS = 512 };

struct xk_netback_config {
    xk_domid front;
    xk_gref tx, rx;
    xk_port tx_port, rx_port;           /* the front end's; the same twice: not split */
    uint8_t mac[6];                     /* the guest's */
    uint16_t mtu;                       /* 0: 1500 */
    uint32_t features;                  /* what the front end takes: XK_NET_CSUM4 ... */
    uint32_t backlog;                   /* bytes that may wait for the guest; 0: 256 KiB */
    uint16_t grefs;                     /* pages it may have us keep mapped, up to XK_NETBACK_GREFS; 0: none */
    uint8_t multicast;                  /* it says which groups it wants (request-multicast-control) */
    void (*broken)(void *arg, int err); /* XK_EPEER: close it, soon; not from within. NULL allowed */
    void *arg;
};

struct xk_netback_stats {
    uint64_t packets[2], bytes[2]; /* from the guest, to the guest */
    uint64_t errors[2];            /* packets that made no sense; that could not be written to its pages */
    uint64_t delayed, full;        /* had to wait for the guest; found no room to wait */
    uint64_t copies;               /* calls to have pages copied */
    uint64_t direct, fetched; /* packets to the guest out of the sender's pages; from it, whose rest had to come here */
    uint64_t notified, events, idle_events;
    uint32_t waiting; /* bytes */
    uint32_t kept;    /* pages that stay mapped */
};

/* xk_netback_open (alloc, loop, config, out) - maps the rings, binds the ports; its device is up. XK_EPEER: the rings'
 * indices make no sense; what xk_page_map and xk_evtchn_bind say. */
XK_MUSTCHECK int xk_netback_open(const xk_alloc *alloc, struct xk_loop *loop, const struct xk_netback_config *config,
                                 struct xk_netback **out);
struct xk_netdev *xk_netback_device(struct xk_netback *b);

/* xk_netback_keep (b, refs, n, readonly) - from now on these pages of the guest, 1 .. XK_NETBACK_GREFS of them, stay
 * mapped, until xk_netback_let_go: packets in them are copied without the hypervisor. All or none; XK_ENOSPC: more than
 * (grefs) allows, which xk_netback_keeps tells; XK_EEXIST: one is there, or twice among them; XK_ENOMEM; what
 * xk_page_map says. let_go: XK_ENOENT. */
XK_MUSTCHECK int xk_netback_keep(struct xk_netback *b, const xk_gref *refs, unsigned n, int readonly);
int xk_netback_let_go(struct xk_netback *b, xk_gref ref);
unsigned xk_netback_keeps(const struct xk_netback *b);

/* xk_netback_hash (b, hash) - what goes to the guest carries its hash (XEN_NETIF_EXTRA_TYPE_HASH) while (hash) says so;
 * it stays the caller's, may change, and lives as long as (b). NULL: none. */
void xk_netback_hash(struct xk_netback *b, const struct xk_net_hash *hash);

/* Closing the device closes (b), also from within its call-backs: what waits for the guest is dropped. */
void xk_netback_stats(const struct xk_netback *b, struct xk_netback_stats *out);

XK_API_END

#endif
