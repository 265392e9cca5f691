/* Some queues as one device, and what both halves negotiate in the same way. SPDX-License-Identifier: MIT */
#include "drivers/net/queues.h"

#include <string.h>

#include <xenkit/packet.h>

/* Any key will do, as both directions of a flow need not meet; this one is Microsoft's. */
static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
                                0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
                                0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static unsigned queue_for(const struct net_queues *q, const struct xk_packet *p)
{
    int type;

    if (q->count < 2)
        return 0;
    if (q->hash && q->hash->algorithm && q->hash->types)
        return xk_net_hash_queue(q->hash, xk_net_hash(q->hash, p, &type), q->count);
    return xk_packet_hash(key, p) % q->count;
}

static int queues_send(struct xk_netdev *d, const struct xk_packet *p)
{
    struct net_queues *q = (struct net_queues *)d;

    return q->count ? xk_net_send(q->queue[queue_for(q, p)], p) : XK_EGONE;
}

static void queues_kick(struct xk_netdev *d)
{
    struct net_queues *q = (struct net_queues *)d;

    for (unsigned i = 0; i < q->count; i++)
        xk_net_kick(q->queue[i]);
}

static void queues_close(struct xk_netdev *d) { (void)d; } /* its owner closes it */

static const struct xk_netdev_ops ops = {XK_NETDEV_VERSION, queues_send, queues_kick, queues_close};

static void on_receive(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    struct xk_netdev *all = d->user;
    int parts = d->parts;

    d->parts = all->parts; /* who receives may be another by now */
    for (unsigned i = 0; i < n && parts && !all->parts; i++)
        if (all->receive && xk_packet_whole(&p[i]) == 0)
            all->receive(all, &p[i], 1);
    if (all->receive && (!parts || all->parts))
        all->receive(all, p, n);
}

static void on_room(struct xk_netdev *d)
{
    struct xk_netdev *all = d->user;

    if (all->room)
        all->room(all);
}

void net_queues_init(struct net_queues *q, const uint8_t mac[6], uint16_t mtu)
{
    q->dev.ops = &ops;
    memcpy(q->dev.info.mac, mac, 6);
    q->dev.info.mtu = mtu;
}

static void tell(struct net_queues *q)
{
    if (q->dev.changed)
        q->dev.changed(&q->dev);
}

void net_queues_up(struct net_queues *q, struct xk_netdev *const *queue, unsigned count)
{
    q->count = count;
    for (unsigned i = 0; i < count; i++) {
        q->queue[i] = queue[i];
        queue[i]->user = &q->dev;
        queue[i]->parts = q->dev.parts;
        queue[i]->receive = on_receive;
        queue[i]->room = on_room;
    }
    /* What a queue cannot do it has done for it, so all can be sent to all of them. */
    q->dev.info = queue[0]->info;
    q->dev.info.features = XK_NET_CSUM4 | XK_NET_CSUM6 | XK_NET_GSO4 | XK_NET_GSO6 | XK_NET_LARGE | XK_NET_PARTS;
    q->dev.info.up = 1;
    tell(q);
}

void net_queues_down(struct net_queues *q)
{
    unsigned count = q->count;

    q->count = 0;
    q->dev.info.up = 0;
    for (unsigned i = 0; i < count; i++)
        xk_net_close(q->queue[i]);
    if (count)
        tell(q);
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

int net_mac_read(const char *text, uint8_t mac[6])
{
    if (strlen(text) != 17)
        return XK_EINVAL;
    for (int i = 0; i < 6; i++) {
        int hi = hex(text[i * 3]), lo = hex(text[i * 3 + 1]);
        if (hi < 0 || lo < 0 || (i < 5 && text[i * 3 + 2] != ':'))
            return XK_EINVAL;
        mac[i] = (uint8_t)(hi << 4 | lo);
    }
    return 0;
}

const char *const net_feature_names[5] = {"feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6",
                                          "feature-no-csum-offload", "feature-ipv6-csum-offload"};

uint32_t net_features_read(const struct xk_xenbus *bus)
{
    uint32_t f = 0;

    if (!xk_xenbus_number(bus, "feature-no-csum-offload", 0))
        f |= XK_NET_CSUM4;
    if (xk_xenbus_number(bus, "feature-ipv6-csum-offload", 0))
        f |= XK_NET_CSUM6;
    if (!xk_xenbus_number(bus, "feature-sg", 0))
        return f;
    f |= XK_NET_LARGE;
    if (xk_xenbus_number(bus, "feature-gso-tcpv4", 0) && f & XK_NET_CSUM4)
        f |= XK_NET_GSO4;
    if (xk_xenbus_number(bus, "feature-gso-tcpv6", 0) && f & XK_NET_CSUM6)
        f |= XK_NET_GSO6;
    return f;
}

int net_features_put(struct xk_xenbus *bus, int plain)
{
    int r = 0;

    for (int i = 0; i < 5 && r == 0; i++) {
        int negative = strcmp(net_feature_names[i], "feature-no-csum-offload") == 0;
        r = xk_xenbus_put(bus, net_feature_names[i], "%d", negative == plain);
    }
    return r;
}
