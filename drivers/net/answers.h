/* drivers/net/answers.h - answers on their way to a ring, shown by whole packets: whoever is killed meanwhile, a guest
 * never has some pages of a packet from one back end and others from the next. SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_NET_ANSWERS_H
#define XK_DRIVERS_NET_ANSWERS_H

#include <xenkit/ring.h>

struct answers {
    struct xk_ring_back *ring;
    uint32_t bytes;    /* of each */
    uint32_t n, whole; /* how many are here; how many up to the end of a packet */
    int notify;
    uint8_t data[XK_RING_SETTLE_BYTES];
};

static inline void answers_init(struct answers *a, struct xk_ring_back *ring, uint32_t bytes)
{
    a->ring = ring;
    a->bytes = bytes;
    a->n = a->whole = 0;
    a->notify = 0;
}

/* answers_add (a, answer, last) - (last): it is the last one of its packet, which has at most XK_RING_SETTLE.
 * answers_show (a) - the rest of them. 1: the guest wants a notification for what was shown since answers_init. */
void answers_add(struct answers *a, const void *answer, int last);
int answers_show(struct answers *a);

#endif
