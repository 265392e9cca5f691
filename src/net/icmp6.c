/* ICMPv6 (RFC 4443). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet6.h"

enum { HEAD = 8, QUOTED = IP6_LEAST_MTU - IP6_HEAD - HEAD, NO_PORT = 4, INFORMS = 128 /* types from here on */ };

uint16_t icmp6_sum(struct xk_ip from, struct xk_ip to, const uint8_t *m, size_t n)
{
    uint32_t sum = xk_sum(from.b, 16, xk_sum(to.b, 16, 0)) + XK_IP_ICMP6 + (uint32_t)(n >> 16) + (uint32_t)(n & 0xffff);

    return xk_sum_fold(xk_sum(m, n, sum));
}

int icmp6_output(struct xk_inet *s, const struct xk_ip *from, struct xk_ip to, uint8_t *frame, size_t n, uint8_t hops)
{
    uint8_t *m = frame + IP6_ROOM;

    from = from ? from : ip6_source(s, to);
    if (!from)
        return XK_EGONE;
    xk_packet_put16(m + 2, 0);
    xk_packet_put16(m + 2, icmp6_sum(*from, to, m, n));
    return ip6_output(s, XK_IP_ICMP6, *from, to, frame, n, 0, hops);
}

/* --- errors ------------------------------------------------------------------------------------------------------- */

/* Never of an error itself, nor of a redirect (2.4 (e)). */
static int is_error(const struct ip6_packet *p)
{
    const uint8_t *frame = p->ip - XK_ETHER_HEAD;
    struct xk_packet_heads h;

    return xk_packet_heads(frame, (uint32_t)(XK_ETHER_HEAD + p->n), &h) == 0 && h.proto == XK_IP_ICMP6 && h.l4 &&
           h.l4 < h.end && (frame[h.l4] < INFORMS || frame[h.l4] == ICMP6_REDIRECT);
}

void icmp6_complain(struct xk_inet *s, const struct ip6_packet *p, uint8_t type, uint8_t code, uint32_t word)
{
    int to_group = xk_ip_is_group(p->to), even_then = type == ICMP6_PARAMETER && code == 2;
    size_t quoted = p->n < QUOTED ? p->n : QUOTED;
    uint8_t *f;

    if (!p->ip || xk_ip_is_none(p->from) || (to_group && !even_then) || is_error(p) || !inet_may_complain(s))
        return;
    f = inet_out(s, IP6_ROOM + HEAD + quoted);
    if (!f)
        return;
    memset(f + IP6_ROOM, 0, 4);
    f[IP6_ROOM] = type;
    f[IP6_ROOM + 1] = code;
    xk_packet_put32(f + IP6_ROOM + 4, word);
    memcpy(f + IP6_ROOM + HEAD, p->ip, quoted);
    s->stats.refused++;
    icmp6_output(s, to_group ? NULL : &p->to, p->from, f, HEAD + quoted, 0);
}

/* What is said of a packet that may have been ours: addresses and ports are to fit (RFC 5927). */
static void complaint(struct xk_inet *s, const uint8_t *data, size_t n)
{
    const uint8_t *ip = data + HEAD;
    size_t at = IP6_HEAD, mtu = xk_packet_get32(data + 4);
    int err = data[0] == ICMP6_TOO_BIG                             ? 0
              : data[0] == ICMP6_UNREACHABLE && data[1] == NO_PORT ? XK_ECONNREFUSED
                                                                   : XK_EGONE;
    int ours = 0;
    struct xk_ip from, to;
    uint8_t next;

    if (n < HEAD + IP6_HEAD + 8 || ip[0] >> 4 != 6)
        return;
    memcpy(from.b, ip + 8, 16);
    memcpy(to.b, ip + 24, 16);
    next = ip[6];
    if (next == EXT_FRAGMENT && (xk_packet_get16(ip + at + 2) & 0xfff8) == 0) { /* ours has no other extensions */
        next = ip[at];
        at += 8;
    }
    if (!address6_find(s, from) || n < HEAD + at + 8)
        return;
    if (next == XK_IP_UDP) {
        ours = udp_failed(s, to, ip + at, err);
    } else if (next == XK_IP_ICMP6 && ip[at] == ICMP6_ECHO) {
        ours = s->pings != NULL;
        if (err)
            ping_failed(s, to, xk_packet_get16(ip + at + 4), XK_EGONE);
    }
    if (ours && data[0] == ICMP6_TOO_BIG && mtu >= IP6_LEAST_MTU)
        path_too_big(s, to, mtu);
}

/* --- the rest ----------------------------------------------------------------------------------------------------- */

/* One to a group is answered, too, but not a flood of them. */
static void echo(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n)
{
    int to_group = xk_ip_is_group(p->to);
    uint8_t *f;

    if (xk_ip_is_none(p->from) || (to_group && !inet_may_complain(s)))
        return;
    f = inet_out(s, IP6_ROOM + n);
    if (!f)
        return;
    memcpy(f + IP6_ROOM, data, n);
    f[IP6_ROOM] = ICMP6_ECHO_REPLY;
    s->stats.pings++;
    icmp6_output(s, to_group ? NULL : &p->to, p->from, f, n, 0);
}

void icmp6_input(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n)
{
    if (n < HEAD || icmp6_sum(p->from, p->to, data, n)) {
        s->stats.bad++;
        return;
    }
    switch (data[0]) {
    case ICMP6_ECHO:
        echo(s, p, data, n);
        break;
    case ICMP6_ECHO_REPLY:
        ping_answer(s, p->from, xk_packet_get16(data + 4));
        break;
    case ICMP6_QUERY:
        mld_input(s, p, data, n);
        break;
    case ICMP6_RS:
    case ICMP6_RA:
    case ICMP6_NS:
    case ICMP6_NA:
    case ICMP6_REDIRECT:
        nd_input(s, p, data, n);
        break;
    default:
        if (data[0] < INFORMS)
            complaint(s, data, n);
    }
}
