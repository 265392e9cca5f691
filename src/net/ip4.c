/* IPv4 (RFC 791, 1122). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet.h"

enum { MORE = 0x2000, DONT = 0x4000, OFFSET = 0x1fff, MIN_MTU = 68 };

int ip4_is_broadcast(const struct xk_inet *s, xk_ip4 ip)
{
    return ip == 0xffffffff || (s->address && s->prefix < 31 && ip == (s->address | ~s->mask));
}

/* --- in ----------------------------------------------------------------------------------------------------------- */

/* While there is no address, what is for our device may be DHCP's answer (RFC 2131, 4.1). */
static int is_for_us(const struct xk_inet *s, const uint8_t *frame, xk_ip4 to)
{
    if (s->address ? to == s->address : memcmp(frame, s->dev->info.mac, 6) == 0)
        return 1;
    return ip4_is_broadcast(s, to) || to == 0xe0000001 /* all systems */ ||
           (to >> 28 == 14 && group_has(s, xk_ip_of4(to)));
}

static int bad_source(const struct xk_inet *s, xk_ip4 from)
{
    return from >> 28 == 14 || from >> 24 == 127 || ip4_is_broadcast(s, from) || (s->address && from == s->address);
}

/* (ip) NULL: it was reassembled. */
static void deliver(struct xk_inet *s, uint8_t proto, xk_ip4 from, xk_ip4 to, const uint8_t *ip, const uint8_t *data,
                    size_t n, int checked)
{
    if (proto == XK_IP_UDP) {
        if (!udp_input(s, xk_ip_of4(from), xk_ip_of4(to), data, n, checked))
            icmp_unreachable(s, 3, to, ip, ip ? (size_t)(data - ip) + n : 0);
    } else if (proto == XK_IP_ICMP) {
        icmp_input(s, from, to, data, n);
    } else if (proto == XK_IP_IGMP) {
        igmp_input(s, to, ip, data, n);
    } else {
        s->stats.not_ours++;
        icmp_unreachable(s, 2, to, ip, ip ? (size_t)(data - ip) + n : 0);
    }
}

static void fragment(struct xk_inet *s, const uint8_t *ip, xk_ip4 from, xk_ip4 to, const uint8_t *data, size_t n)
{
    uint16_t part = xk_packet_get16(ip + 6);
    struct fragment f = {.from = xk_ip_of4(from), .to = xk_ip_of4(to), .id = xk_packet_get16(ip + 4), .proto = ip[9]};
    const uint8_t *whole;
    uint8_t next;

    f.more = (part & MORE) != 0;
    f.at = (size_t)(part & OFFSET) * 8;
    whole = reassembly_add(s, &f, data, n, &n, &next);
    if (whole)
        deliver(s, ip[9], from, to, NULL, whole, n, 0);
}

void ip4_input(struct xk_inet *s, const struct xk_packet *p)
{
    const uint8_t *ip = p->data + XK_ETHER_HEAD;
    size_t room = p->len - XK_ETHER_HEAD, head, total;
    xk_ip4 from, to;

    head = room ? (ip[0] & 15) * 4u : 0;
    if (room < IP4_HEAD || ip[0] >> 4 != 4 || head < IP4_HEAD || head > room ||
        (total = xk_packet_get16(ip + 2)) < head || total > room || xk_sum_fold(xk_sum(ip, head, 0))) {
        s->stats.bad++;
        return;
    }
    from = xk_packet_get32(ip + 12);
    to = xk_packet_get32(ip + 16);
    if (!is_for_us(s, p->data, to) || bad_source(s, from)) {
        s->stats.not_ours++;
        return;
    }
    if (xk_packet_get16(ip + 6) & (MORE | OFFSET))
        fragment(s, ip, from, to, ip + head, total - head);
    else
        deliver(s, ip[9], from, to, ip, ip + head, total - head,
                p->flags & (XK_PACKET_CSUM_BLANK | XK_PACKET_CSUM_VALID));
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

struct ip4_head {
    xk_ip4 from, to, hop;
    uint8_t proto, hops;
};

static void put_head(uint8_t *ip, const struct ip4_head *h, uint16_t id, uint16_t part, size_t n)
{
    memset(ip, 0, IP4_HEAD);
    ip[0] = 0x45;
    xk_packet_put16(ip + 2, (uint16_t)(IP4_HEAD + n));
    xk_packet_put16(ip + 4, id);
    xk_packet_put16(ip + 6, part);
    ip[8] = h->hops;
    ip[9] = h->proto;
    xk_packet_put32(ip + 12, h->from);
    xk_packet_put32(ip + 16, h->to);
    xk_packet_put16(ip + 10, xk_sum_fold(xk_sum(ip, IP4_HEAD, 0)));
}

void ip4_group_mac(xk_ip4 group, uint8_t mac[6]) /* RFC 1112, 6.4 */
{
    mac[0] = 1;
    mac[1] = 0;
    mac[2] = 0x5e;
    mac[3] = group >> 16 & 0x7f;
    xk_packet_put16(mac + 4, (uint16_t)group);
}

static int send(struct xk_inet *s, xk_ip4 hop, uint8_t *frame, struct xk_packet *p)
{
    inet_link(s, frame, XK_ETHER_IP4);
    if (hop >> 28 == 14)
        ip4_group_mac(hop, frame);
    else if (ip4_is_broadcast(s, hop))
        memset(frame, 255, 6);
    else
        return neighbour_send(s, xk_ip_of4(hop), frame, p);
    return inet_send(s, p);
}

int ip4_route(const struct xk_inet *s, xk_ip4 to, xk_ip4 *out)
{
    xk_ip4 none = 0, *hop = out ? out : &none;

    *hop = to;
    if (ip4_is_broadcast(s, to) || to >> 28 == 14)
        return 0;
    if (!s->address || to == s->address || to == 0)
        return XK_EGONE;
    if (((to ^ s->address) & s->mask) == 0)
        return 0;
    *hop = s->gateway;
    return s->gateway ? 0 : XK_EGONE;
}

/* In pieces, each made anew; the payload stands behind its room in (frame) still. */
static int fragments(struct xk_inet *s, const struct ip4_head *h, const uint8_t *data, size_t n, size_t mtu)
{
    size_t most = (mtu - IP4_HEAD) & ~(size_t)7;
    uint16_t id = s->id++;
    int r = 0;

    for (size_t at = 0; at < n && r == 0; at += most) {
        size_t some = n - at < most ? n - at : most;
        uint8_t *f = inet_out(s, IP4_ROOM + some);
        struct xk_packet p = {f, (uint32_t)(IP4_ROOM + some), 0, 0, 0};
        if (!f)
            return XK_EAGAIN;
        memcpy(f + IP4_ROOM, data + at, some);
        put_head(f + XK_ETHER_HEAD, h, id, (uint16_t)(at / 8 | (at + some < n ? MORE : 0)), some);
        r = send(s, h->hop, f, &p);
        s->stats.fragments++;
    }
    return r;
}

/* What goes in one piece says "don't fragment": so a path that is narrower tells (RFC 1191 3). */
int ip4_output(struct xk_inet *s, uint8_t proto, xk_ip4 from, xk_ip4 to, uint8_t *frame, size_t n, int blank,
               uint8_t hops)
{
    size_t mtu = path_mtu(s, xk_ip_of4(to), s->dev->info.mtu < MIN_MTU ? MIN_MTU : s->dev->info.mtu);
    struct xk_packet p = {frame, (uint32_t)(IP4_ROOM + n), blank ? XK_PACKET_CSUM_BLANK : 0, 0, 0};
    struct ip4_head h = {from, to, 0, proto, hops ? hops : to >> 28 == 14 ? 1 : INET_HOPS};
    int r = ip4_route(s, to, &h.hop);

    if (r < 0)
        return r;
    put_head(frame + XK_ETHER_HEAD, &h, s->id++, DONT, n);
    if (IP4_HEAD + n <= mtu)
        return send(s, h.hop, frame, &p);
    inet_link(s, frame, XK_ETHER_IP4);
    if (blank)
        xk_packet_fill(frame, p.len);
    return fragments(s, &h, frame + IP4_ROOM, n, mtu);
}
