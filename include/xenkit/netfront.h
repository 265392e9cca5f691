/* xenkit/netfront.h - one queue of a network's front end, as a network device (xen/io/netif.h): a ring each way. How
 * its back end is found, and learns of rings and ports, is xenbus.h's business, or a test's.
 *
 * All data goes through pages that are granted once, when the front end is made. What comes is copied into private
 * memory before anybody looks at it. Never blocks. One thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_NETFRONT_H
#define XENKIT_NETFRONT_H

#include <xenkit/loop.h>
#include <xenkit/netdev.h>

XK_API_BEGIN

struct xk_netfront;

struct xk_netfront_config {
    xk_domid back;
    uint16_t tx_pages, rx_pages; /* to send from, to receive into; 0: 256, which is the most */
    uint8_t split;               /* a port each way: the back end said feature-split-event-channels */
    uint8_t mac[6];
    uint16_t mtu;      /* 0: 1500 */
    uint32_t features; /* what the back end takes: XK_NET_CSUM4 ... */
};

struct xk_netfront_stats {
    uint64_t packets[2], bytes[2]; /* sent, received */
    uint64_t errors[2];            /* answers that were no success; packets that came and made no sense */
    uint64_t hashed;               /* packets that came with their hash */
    uint64_t full;                 /* how often there was no room to send */
    uint64_t notified, events;
};

/* xk_netfront_create (alloc, loop, config, out) - rings, pages and ports. It is not up before xk_netfront_connect.
 * XK_ENOMEM, XK_ENOSPC: no more grants; XK_EGONE: no such domain. */
XK_MUSTCHECK int xk_netfront_create(const xk_alloc *alloc, struct xk_loop *loop,
                                    const struct xk_netfront_config *config, struct xk_netfront **out);

/* What the back end is to be told: the references of the two rings, the ports (the same one twice unless split). */
struct xk_netfront_rings {
    xk_gref tx, rx;
    xk_port tx_port, rx_port;
};
void xk_netfront_rings(const struct xk_netfront *f, struct xk_netfront_rings *out);

/* xk_netfront_pages (f, refs, room, to_send) - the references of the pages for data, as many as there is (room) for:
 * first those that are sent from, (to_send) of them, then those that are received into. Returns how many. */
unsigned xk_netfront_pages(const struct xk_netfront *f, xk_gref *refs, unsigned room, unsigned *to_send);

/* xk_netfront_connect (f) - the back end serves it: it is up. */
void xk_netfront_connect(struct xk_netfront *f);

/* xk_netfront_device (f) - the network. Closing the device closes (f), also from within its call-backs; pages that the
 * back end still has are left to the platform (xk_page_forget). */
struct xk_netdev *xk_netfront_device(struct xk_netfront *f);

/* When the back end writes what it never may, the device goes down and (broken) is called with (arg) and XK_EPEER. */
void xk_netfront_on_broken(struct xk_netfront *f, void (*broken)(void *arg, int err), void *arg);

void xk_netfront_stats(const struct xk_netfront *f, struct xk_netfront_stats *out);

XK_API_END

#endif
