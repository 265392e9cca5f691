/* A front end of a network made by hand, which can put anything on its rings. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_NET_LIAR_H
#define XK_TESTS_NET_LIAR_H

#include <xenkit/netback.h>
#include <xenkit/ring.h>

#include "tests/c/tap.h" /* first */

#include "drivers/net/proto.h"

struct liar {
    struct xk_platform *p;
    struct xk_ring_front tx, rx;
    uint8_t *rings, *data; /* two pages, eight pages */
    xk_gref ring_ref[2], ref[8];
    xk_port port;
};

/* For a back end in domain (back), whose description is completed. */
static inline void liar_make(struct liar *l, struct xk_platform *p, xk_domid back, struct xk_netback_config *c)
{
    void *m;

    l->p = p;
    EQ(xk_page_share(p, back, 2, 0, l->ring_ref, &m), 0);
    l->rings = m;
    EQ(xk_page_share(p, back, 8, 0, l->ref, &m), 0);
    l->data = m;
    EQ(xk_ring_front_init(&l->tx, l->rings, 4096, NET_TX_SLOT), 0);
    EQ(xk_ring_front_init(&l->rx, l->rings + 4096, 4096, NET_RX_SLOT), 0);
    l->port = xk_evtchn_alloc(p, back);
    OK(l->port > 0);
    c->tx = l->ring_ref[0];
    c->rx = l->ring_ref[1];
    c->tx_port = c->rx_port = l->port;
}

/* After its back end: nothing stayed mapped. */
static inline void liar_end(struct liar *l)
{
    EQ(xk_page_unshare(l->p, l->rings, 2), 0);
    EQ(xk_page_unshare(l->p, l->data, 8), 0);
    EQ(xk_evtchn_unbind(l->p, l->port), 0);
}

#endif
