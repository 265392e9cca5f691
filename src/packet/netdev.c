/* What a device cannot do is done for it. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/packet.h>

static int send_piece(void *arg, const struct xk_packet *frame)
{
    struct xk_netdev *d = arg;

    return d->ops->send(d, frame);
}

static int is_ip6(const struct xk_packet *p)
{
    struct xk_packet_heads h;

    return xk_packet_heads(p->data, p->len, &h) == 0 && h.type == XK_ETHER_IP6;
}

static int can_blank(const struct xk_netdev *d, const struct xk_packet *p)
{
    uint32_t both = XK_NET_CSUM4 | XK_NET_CSUM6;

    if ((d->info.features & both) == both)
        return 1;
    return (d->info.features & (is_ip6(p) ? XK_NET_CSUM6 : XK_NET_CSUM4)) != 0;
}

static int fill_and_send(struct xk_netdev *d, const struct xk_packet *p)
{
    struct xk_packet full = *p;

    if (p->len > d->scratch_size || xk_packet_whole(p) < 0)
        return XK_EINVAL;
    memcpy(d->scratch, p->data, p->len);
    if (xk_packet_fill(d->scratch, p->len) < 0)
        return XK_EINVAL;
    full.data = d->scratch;
    full.rest = NULL;
    full.flags = XK_PACKET_CSUM_VALID;
    return d->ops->send(d, &full);
}

/* Into frames of the device's size at most. */
static int cut_and_send(struct xk_netdev *d, const struct xk_packet *p)
{
    struct xk_packet_heads h;
    struct xk_packet q = *p;
    uint32_t most;
    int r;

    if (xk_packet_whole(p) < 0 || xk_packet_heads(p->data, p->len, &h) < 0 || h.l4_end < h.l3 ||
        d->info.mtu < h.l4_end - h.l3 + (uint32_t)XK_GSO_LEAST)
        return XK_EINVAL;
    most = d->info.mtu - (uint32_t)(h.l4_end - h.l3);
    q.gso_size = q.gso_size < most ? q.gso_size : (uint16_t)most;
    r = xk_packet_cut(&q, can_blank(d, p), d->scratch, d->scratch_size, send_piece, d);
    return r < 0 ? r : 0;
}

int xk_net_send(struct xk_netdev *d, const struct xk_packet *p)
{
    uint32_t gso = p->gso == XK_GSO_TCP4 ? XK_NET_GSO4 : p->gso == XK_GSO_TCP6 ? XK_NET_GSO6 : 0;

    if (p->len < XK_ETHER_HEAD || p->len > XK_PACKET_MAX || p->gso > XK_GSO_TCP6 || (gso && p->gso_size < XK_GSO_LEAST))
        return XK_EINVAL;
    if (!d->info.up)
        return XK_EGONE;
    if (gso && (d->info.features & (gso | XK_NET_LARGE)) != (gso | XK_NET_LARGE)) {
        return cut_and_send(d, p);
    }
    if (!gso && p->len > 4096 && !(d->info.features & XK_NET_LARGE))
        return XK_EINVAL;
    if (p->flags & XK_PACKET_CSUM_BLANK && !can_blank(d, p))
        return fill_and_send(d, p);
    if (p->rest && !(d->info.features & XK_NET_PARTS) && xk_packet_whole(p) < 0)
        return XK_EINVAL;
    return d->ops->send(d, p);
}

void xk_net_kick(struct xk_netdev *d) { d->ops->kick(d); }

void xk_net_close(struct xk_netdev *d)
{
    if (d)
        d->ops->close(d);
}
