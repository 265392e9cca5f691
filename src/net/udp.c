/* UDP (RFC 768, 1122 4.1). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet.h"

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
    u->s = NULL;
}

static uint32_t pseudo(xk_ip4 from, xk_ip4 to, size_t n)
{
    return (from >> 16) + (from & 0xffff) + (to >> 16) + (to & 0xffff) + XK_IP_UDP + (uint32_t)n;
}

void udp_input(struct xk_inet *s, xk_ip4 from, xk_ip4 to, const uint8_t *ip, const uint8_t *data, size_t n, int checked)
{
    size_t len = n >= HEAD ? xk_packet_get16(data + 4) : 0;
    struct xk_udp *u;

    if (len < HEAD || len > n ||
        (!checked && xk_packet_get16(data + 6) && xk_sum_fold(xk_sum(data, len, pseudo(from, to, len))))) {
        s->stats.bad++;
        return;
    }
    u = find(s, xk_packet_get16(data + 2));
    if (u) {
        u->receive(u, from, xk_packet_get16(data), to, data + HEAD, len - HEAD);
        return;
    }
    s->stats.not_ours++;
    icmp_unreachable(s, 3, to, ip, ip ? (size_t)(data - ip) + len : 0);
}

int xk_udp_send(struct xk_udp *u, xk_ip4 to, uint16_t port, const void *data, size_t n)
{
    struct xk_inet *s = u->s;
    size_t len = HEAD + n;
    uint8_t *f, *h;
    int blank;
    uint16_t sum;

    if (n > XK_UDP_MAX)
        return XK_EINVAL;
    if (!s || !s->dev->info.up)
        return XK_EGONE;
    s->now = s->busy ? s->now : xk_now(xk_loop_platform(s->loop));
    f = inet_out(s, IP4_ROOM + len);
    if (!f)
        return XK_EAGAIN;
    h = f + IP4_ROOM;
    xk_packet_put16(h, u->port);
    xk_packet_put16(h + 2, port);
    xk_packet_put16(h + 4, (uint16_t)len);
    xk_packet_put16(h + 6, 0);
    memcpy(h + HEAD, data, n);
    blank = s->dev->info.features & XK_NET_CSUM4 && IP4_HEAD + len <= s->dev->info.mtu;
    if (blank) {
        sum = (uint16_t)~xk_sum_fold(pseudo(s->address, to, len));
    } else {
        sum = xk_sum_fold(xk_sum(h, len, pseudo(s->address, to, len)));
        sum = sum ? sum : 0xffff;
    }
    xk_packet_put16(h + 6, sum);
    return ip4_output(s, XK_IP_UDP, s->address, to, f, len, blank);
}
