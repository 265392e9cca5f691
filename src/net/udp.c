/* UDP (RFC 768, 1122 4.1). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet6.h"

enum { HEAD = 8, EPHEMERAL = 49152, ATTEMPTS = 64 };

static struct xk_udp **bucket(struct xk_inet *s, uint16_t port) { return &s->socket[port % INET_SOCKETS]; }

static struct xk_udp *find(struct xk_inet *s, uint16_t port)
{
    struct xk_udp *u = *bucket(s, port);

    while (u && u->port != port)
        u = u->next;
    return u;
}

int xk_udp_open(struct xk_inet *s, struct xk_udp *u, uint16_t port)
{
    for (int i = 0; port == 0 && i < ATTEMPTS; i++) {
        port = (uint16_t)(EPHEMERAL + inet_random(s) % (65536 - EPHEMERAL));
        if (find(s, port))
            port = 0;
    }
    if (port == 0 || find(s, port))
        return XK_EBUSY;
    u->port = port;
    u->s = s;
    u->next = *bucket(s, port);
    *bucket(s, port) = u;
    return 0;
}

void xk_udp_close(struct xk_udp *u)
{
    struct xk_udp **at;

    if (!u->s)
        return;
    for (at = bucket(u->s, u->port); *at != u; at = &(*at)->next)
        ;
    *at = u->next;
    group_leave_all(u->s, u);
    u->s = NULL;
}

static uint32_t pseudo(struct xk_ip from, struct xk_ip to, size_t n)
{
    size_t skip = xk_ip_is4(to) ? 12 : 0; /* the sum of ::ffff:0:0 is not 0 */

    return xk_sum(from.b + skip, 16 - skip, xk_sum(to.b + skip, 16 - skip, 0)) + XK_IP_UDP + (uint32_t)n;
}

/* A checksum of 0 says that there is none, which IPv6 does not allow (RFC 8200 8.1). */
static int is_right(struct xk_ip from, struct xk_ip to, const uint8_t *data, size_t len)
{
    if (xk_packet_get16(data + 6) == 0)
        return xk_ip_is4(to);
    return xk_sum_fold(xk_sum(data, len, pseudo(from, to, len))) == 0;
}

int udp_input(struct xk_inet *s, struct xk_ip from, struct xk_ip to, const uint8_t *data, size_t n, int checked)
{
    size_t len = n >= HEAD ? xk_packet_get16(data + 4) : 0;
    struct xk_udp *u;

    if (len < HEAD || len > n || (!checked && !is_right(from, to, data, len))) {
        s->stats.bad++;
        return 1;
    }
    u = find(s, xk_packet_get16(data + 2));
    if (!u || (xk_ip_is_group(to) && !group_member(s, to, u) && !group_is_all(to))) {
        s->stats.not_ours++;
        return 0;
    }
    u->receive(u, from, xk_packet_get16(data), to, data + HEAD, len - HEAD);
    return 1;
}

int udp_failed(struct xk_inet *s, struct xk_ip to, const uint8_t *quoted, int err)
{
    struct xk_udp *u = find(s, xk_packet_get16(quoted));

    if (u && err && u->failed)
        u->failed(u, to, xk_packet_get16(quoted + 2), err);
    return u != NULL;
}

static void put_head(uint8_t *h, uint16_t from, uint16_t to, size_t len, uint16_t sum)
{
    xk_packet_put16(h, from);
    xk_packet_put16(h + 2, to);
    xk_packet_put16(h + 4, (uint16_t)len);
    xk_packet_put16(h + 6, sum);
}

int xk_udp_send(struct xk_udp *u, struct xk_ip to, uint16_t port, const void *data, size_t n)
{
    struct xk_inet *s = u->s;
    size_t len = HEAD + n, room = xk_ip_is4(to) ? IP4_ROOM : IP6_ROOM;
    struct xk_ip from;
    int blank;
    uint16_t sum;
    uint8_t *f;

    if (n > XK_UDP_MAX)
        return XK_EINVAL;
    if (!s || !s->dev->info.up || inet_source(s, to, &from) < 0)
        return XK_EGONE;
    s->now = s->busy ? s->now : xk_now(xk_loop_platform(s->loop));
    f = inet_out(s, room + len);
    if (!f)
        return XK_EAGAIN;
    put_head(f + room, u->port, port, len, 0);
    memcpy(f + room + HEAD, data, n);
    blank = s->dev->info.features & (xk_ip_is4(to) ? XK_NET_CSUM4 : XK_NET_CSUM6) &&
            room - XK_ETHER_HEAD + len <= s->dev->info.mtu;
    sum = xk_sum_fold(blank ? pseudo(from, to, len) : xk_sum(f + room, len, pseudo(from, to, len)));
    xk_packet_put16(f + room + 6, blank ? (uint16_t)~sum : sum ? sum : 0xffff);
    if (xk_ip_is4(to))
        return ip4_output(s, XK_IP_UDP, xk_ip_to4(from), xk_ip_to4(to), f, len, blank, u->hops);
    return ip6_output(s, XK_IP_UDP, from, to, f, len, blank, u->hops);
}
