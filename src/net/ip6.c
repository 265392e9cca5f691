/* IPv6 (RFC 8200). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet6.h"

enum { FRAGMENT_HEAD = 8 };

const struct xk_ip IP6_NONE = {{0}};
const struct xk_ip IP6_ALL_NODES = {{0xff, 2, [15] = 1}};
const struct xk_ip IP6_ALL_ROUTERS = {{0xff, 2, [15] = 2}};
static const struct xk_ip LOOPBACK = {{[15] = 1}};

/* --- in ----------------------------------------------------------------------------------------------------------- */

static int is_for_us(const struct xk_inet *s, struct xk_ip to)
{
    const struct own6 *own;

    if (xk_ip_is_group(to))
        return group_is_all(to) || group_has(s, to);
    own = address6_find(s, to);
    return own && own->checked;
}

/* An IPv4 address in IPv6's clothes would be taken for the real one further up. */
static int is_nonsense(const struct xk_inet *s, const struct ip6_packet *p)
{
    const struct own6 *own = address6_find(s, p->from);

    return xk_ip_is_group(p->from) || xk_ip_is4(p->from) || xk_ip_is4(p->to) || xk_ip_equal(p->from, LOOPBACK) ||
           (own && own->checked);
}

static void deliver(struct xk_inet *s, const struct ip6_packet *p, struct extension e, const uint8_t *data, size_t n);

/* A datagram in one fragment (RFC 6946) has nothing to do with others. */
static void fragment(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n)
{
    struct fragment f = {.from = p->from, .to = p->to, .proto = EXT_FRAGMENT};
    struct ip6_packet whole = *p;
    struct extension e = {0};

    if (n < FRAGMENT_HEAD || !p->ip) { /* nor is there one in another */
        s->stats.bad++;
        return;
    }
    whole.ip = NULL;
    f.next = data[0];
    f.at = xk_packet_get16(data + 2) & 0xfff8;
    f.more = data[3] & 1;
    f.id = xk_packet_get32(data + 4);
    e.next = f.next;
    data += FRAGMENT_HEAD;
    n -= FRAGMENT_HEAD;
    if (f.at || f.more) {
        whole.checked = 0;
        data = reassembly_add(s, &f, data, n, &n, &e.next);
    }
    if (data)
        deliver(s, &whole, e, data, n);
}

static void deliver(struct xk_inet *s, const struct ip6_packet *p, struct extension e, const uint8_t *data, size_t n)
{
    if (extension_pass(s, p, data, n, &e) < 0)
        return;
    data += e.at;
    n -= e.at;
    switch (e.next) {
    case EXT_FRAGMENT:
        fragment(s, p, data, n);
        break;
    case XK_IP_UDP:
        if (xk_ip_is_none(p->from))
            s->stats.bad++;
        else if (!udp_input(s, p->from, p->to, data, n, p->checked))
            icmp6_complain(s, p, ICMP6_UNREACHABLE, 4, 0);
        break;
    case XK_IP_ICMP6:
        icmp6_input(s, p, data, n);
        break;
    case EXT_NONE:
        break;
    default:
        s->stats.not_ours++;
        icmp6_complain(s, p, ICMP6_PARAMETER, 1, (uint32_t)e.field);
    }
}

void ip6_input(struct xk_inet *s, const struct xk_packet *packet)
{
    const uint8_t *ip = packet->data + XK_ETHER_HEAD;
    size_t room = packet->len - XK_ETHER_HEAD, total;
    struct ip6_packet p = {.ip = ip};
    struct extension e = {.field = 6, .before = IP6_HEAD};

    if (room < IP6_HEAD || ip[0] >> 4 != 6 || (total = IP6_HEAD + (size_t)xk_packet_get16(ip + 4)) > room) {
        s->stats.bad++;
        return;
    }
    memcpy(p.from.b, ip + 8, 16);
    memcpy(p.to.b, ip + 24, 16);
    if (is_nonsense(s, &p) || !is_for_us(s, p.to)) {
        s->stats.not_ours++;
        return;
    }
    p.n = total;
    p.hops = ip[7];
    p.checked = packet->flags & (XK_PACKET_CSUM_BLANK | XK_PACKET_CSUM_VALID);
    e.next = ip[6];
    deliver(s, &p, e, ip + IP6_HEAD, total - IP6_HEAD);
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

struct ip6_head {
    struct xk_ip from, to, hop;
    uint8_t hops;
};

static void put_head(uint8_t *ip, const struct ip6_head *h, uint8_t next, size_t n)
{
    memset(ip, 0, 8);
    ip[0] = 0x60;
    xk_packet_put16(ip + 4, (uint16_t)n);
    ip[6] = next;
    ip[7] = h->hops;
    memcpy(ip + 8, h->from.b, 16);
    memcpy(ip + 24, h->to.b, 16);
}

int ip6_route(struct xk_inet *s, struct xk_ip to, struct xk_ip *hop)
{
    const struct xk_ip *better;

    if (!s->six || xk_ip_is_none(to) || address6_find(s, to))
        return XK_EGONE;
    *hop = to;
    if (xk_ip_is_group(to) || xk_ip_is_local(to) || slaac_on_link(s, to))
        return 0;
    better = path_hop(s, to);
    if (!better)
        return slaac_router(s, hop);
    *hop = *better;
    return 0;
}

static int send(struct xk_inet *s, struct xk_ip hop, uint8_t *frame, struct xk_packet *p)
{
    inet_link(s, frame, XK_ETHER_IP6);
    if (!xk_ip_is_group(hop))
        return neighbour_send(s, hop, frame, p);
    frame[0] = frame[1] = 0x33; /* RFC 2464 7 */
    memcpy(frame + 2, hop.b + 12, 4);
    return inet_send(s, p);
}

/* In pieces, each made anew; the payload stands behind its room in the frame still. */
static int fragments(struct xk_inet *s, const struct ip6_head *h, uint8_t proto, const uint8_t *data, size_t n,
                     size_t mtu)
{
    size_t most = (mtu - IP6_HEAD - FRAGMENT_HEAD) & ~(size_t)7;
    uint32_t id = (uint32_t)inet_random(s); /* RFC 7739: not to be foreseen */
    int r = 0;

    for (size_t at = 0; at < n && r == 0; at += most) {
        size_t some = n - at < most ? n - at : most;
        uint8_t *f = inet_out(s, IP6_ROOM + FRAGMENT_HEAD + some), *head = f ? f + IP6_ROOM : NULL;
        struct xk_packet p = {f, (uint32_t)(IP6_ROOM + FRAGMENT_HEAD + some), 0, 0, 0};
        if (!f)
            return XK_EAGAIN;
        put_head(f + XK_ETHER_HEAD, h, EXT_FRAGMENT, FRAGMENT_HEAD + some);
        head[0] = proto;
        head[1] = 0;
        xk_packet_put16(head + 2, (uint16_t)(at | (at + some < n)));
        xk_packet_put32(head + 4, id);
        memcpy(head + FRAGMENT_HEAD, data + at, some);
        r = send(s, h->hop, f, &p);
        s->stats.fragments++;
    }
    return r;
}

static size_t link_mtu(const struct xk_inet *s)
{
    return s->six->mtu && s->six->mtu < s->dev->info.mtu ? s->six->mtu : s->dev->info.mtu;
}

int ip6_output(struct xk_inet *s, uint8_t proto, struct xk_ip from, struct xk_ip to, uint8_t *frame, size_t n,
               int blank, uint8_t hops)
{
    struct xk_packet p = {frame, (uint32_t)(IP6_ROOM + n), blank ? XK_PACKET_CSUM_BLANK : 0, 0, 0};
    struct ip6_head h = {.from = from, .to = to};
    size_t mtu;
    int r = ip6_route(s, to, &h.hop);

    if (r < 0 || s->dev->info.mtu < IP6_LEAST_MTU)
        return XK_EGONE;
    if (n > 65535)
        return XK_EINVAL;
    h.hops = hops ? hops : xk_ip_is_group(to) ? 1 : s->six->hops ? s->six->hops : INET_HOPS;
    put_head(frame + XK_ETHER_HEAD, &h, proto, n);
    mtu = path_mtu(s, to, link_mtu(s));
    if (IP6_HEAD + n <= mtu)
        return send(s, h.hop, frame, &p);
    inet_link(s, frame, XK_ETHER_IP6);
    if (blank)
        xk_packet_fill(frame, p.len);
    return fragments(s, &h, proto, frame + IP6_ROOM, n, mtu);
}
