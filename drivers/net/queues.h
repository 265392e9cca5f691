/* drivers/net/queues.h - the queues of one network as one device: a flow stays on its queue.
 * SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_NET_QUEUES_H
#define XK_DRIVERS_NET_QUEUES_H

#include <xenkit/vif.h>

struct net_queues {
    struct xk_netdev dev; /* first; what its user sees */
    struct xk_netdev *queue[XK_VIF_QUEUES];
    unsigned count;
    const struct xk_net_hash *hash; /* how flows are spread; NULL, or one that says nothing: as we like */
};

void net_queues_init(struct net_queues *q, const uint8_t mac[6], uint16_t mtu);

/* up: (count) queues, each of which is up, and tells its user. down: closes them. */
void net_queues_up(struct net_queues *q, struct xk_netdev *const *queue, unsigned count);
void net_queues_down(struct net_queues *q);

/* "aa:bb:cc:dd:ee:ff". 0, or XK_EINVAL. */
int net_mac_read(const char *text, uint8_t mac[6]);

/* What one half says the other may send to it, from the nodes of netif.h. */
uint32_t net_features_read(const struct xk_xenbus *bus);
extern const char *const net_feature_names[5];
int net_features_put(struct xk_xenbus *bus, int plain);

#endif
