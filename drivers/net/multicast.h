/* drivers/net/multicast.h - the groups that a guest asked for (request-multicast-control of netif.h).
 * SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_NET_MULTICAST_H
#define XK_DRIVERS_NET_MULTICAST_H

#include <stdint.h>
#include <string.h>

#include <xenkit/err.h>

enum { MULTICAST_MAX = 64 };

struct multicast {
    uint8_t group[MULTICAST_MAX][6];
    unsigned count;
};

static inline unsigned multicast_find(const struct multicast *m, const uint8_t *mac)
{
    unsigned i = 0;

    while (i < m->count && memcmp(m->group[i], mac, 6))
        i++;
    return i;
}

/* Adds or takes away. XK_EINVAL: no group address; XK_ENOSPC. */
static inline int multicast_change(struct multicast *m, const uint8_t *mac, int add)
{
    unsigned i = multicast_find(m, mac);

    if (!(mac[0] & 1))
        return XK_EINVAL;
    if (add && i == m->count && m->count == MULTICAST_MAX)
        return XK_ENOSPC;
    if (add && i == m->count)
        memcpy(m->group[m->count++], mac, 6);
    else if (!add && i < m->count)
        memcpy(m->group[i], m->group[--m->count], 6);
    return 0;
}

/* Whether a frame to (mac) is for the guest: all that is for one, broadcasts, and its groups. */
static inline int multicast_wanted(const struct multicast *m, const uint8_t *mac)
{
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};

    return !(mac[0] & 1) || memcmp(mac, all, 6) == 0 || multicast_find(m, mac) < m->count;
}

#endif
