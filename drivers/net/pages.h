/* drivers/net/pages.h - how a packet is laid over the pages that a guest gave for it. SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_NET_PAGES_H
#define XK_DRIVERS_NET_PAGES_H

#include <xenkit/netdev.h>

#include "drivers/net/proto.h"

/* Bytes of it that are here. */
static inline uint32_t pages_head(const struct xk_packet *p)
{
    return p->rest && p->rest->pieces ? p->rest->head : p->len;
}

/* pages_for (p, given, fill) - how many pages (p) takes, and the bytes of it that go into each. Pieces of the sender's
 * pages each go into one page where that takes no more than (given) of them, and than a front end takes; else pages are
 * filled. So it may be more than (given): then they do not suffice. */
unsigned pages_for(const struct xk_packet *p, unsigned given, uint16_t fill[NET_SLOTS_MAX]);

#endif
