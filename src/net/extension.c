/* Extension headers of packets that came (RFC 8200 4). SPDX-License-Identifier: MIT */
#include "net/inet6.h"

enum { HEADERS_MAX = 8, PAD1 = 0, PADN = 1, ROUTER_ALERT = 5 };
enum { BAD_FIELD = 0, BAD_HEADER = 1, BAD_OPTION = 2 }; /* ICMPv6 parameter problem */

/* An option that is not known says itself what to do (4.2); none is known here but those that need nothing. */
static int unknown_option(struct xk_inet *s, const struct ip6_packet *p, uint8_t type, size_t at)
{
    switch (type >> 6) {
    case 0:
        return 0;
    case 3:
        if (xk_ip_is_group(p->to))
            return XK_EINVAL;
        /* fall through */
    case 2:
        icmp6_complain(s, p, ICMP6_PARAMETER, BAD_OPTION, (uint32_t)at);
        /* fall through */
    default:
        return XK_EINVAL;
    }
}

/* (at): of the packet, for who is told. */
static int options(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *o, size_t n, size_t at)
{
    for (size_t i = 0; i < n;) {
        size_t size;
        if (o[i] == PAD1) {
            i++;
            continue;
        }
        if (n - i < 2 || n - i < (size = 2u + o[i + 1]))
            return XK_EINVAL;
        if (o[i] != PADN && o[i] != ROUTER_ALERT && unknown_option(s, p, o[i], at + i) < 0)
            return XK_EINVAL;
        i += size;
    }
    return 0;
}

/* One header, of (size) bytes. */
static int header(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *h, size_t size,
                  const struct extension *e)
{
    if (e->next == EXT_ROUTING) { /* we are nobody's waypoint */
        if (h[3] == 0)
            return 0;
        icmp6_complain(s, p, ICMP6_PARAMETER, BAD_FIELD, (uint32_t)(e->before + e->at + 2));
        return XK_EINVAL;
    }
    return options(s, p, h + 2, size - 2, e->before + e->at + 2);
}

int extension_pass(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n, struct extension *e)
{
    for (int i = 0; i < HEADERS_MAX; i++) {
        const uint8_t *h = data + e->at;
        size_t left = n - e->at, size;
        if (e->next != EXT_HOP && e->next != EXT_ROUTING && e->next != EXT_DESTINATION)
            return 0;
        if (e->next == EXT_HOP && (e->at || !p->ip)) { /* only ever the first one */
            icmp6_complain(s, p, ICMP6_PARAMETER, BAD_HEADER, (uint32_t)e->field);
            break;
        }
        if (left < 8 || left < (size = (h[1] + 1u) * 8) || header(s, p, h, size, e) < 0)
            break;
        e->next = h[0];
        e->field = e->before + e->at;
        e->at += size;
    }
    s->stats.bad++;
    return XK_EINVAL;
}
