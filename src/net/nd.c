/* Neighbor Discovery: messages, and what neighbours say (RFC 4861 7, 8). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet6.h"

enum { NS_BYTES = 24, REDIRECT_BYTES = 40, MAC_BYTES = 8, HOPS = 255 /* so it never passed a router */ };
enum { ROUTER = 0x80, SOLICITED = 0x40, OVERRIDE = 0x20 };

struct xk_ip nd_group(struct xk_ip ip)
{
    return (struct xk_ip){{0xff, 2, [11] = 1, [12] = 0xff, [13] = ip.b[13], [14] = ip.b[14], [15] = ip.b[15]}};
}

/* --- options ------------------------------------------------------------------------------------------------------ */

static int are_whole(const uint8_t *o, size_t n)
{
    while (n >= 2 && o[1] && n >= o[1] * 8u) {
        n -= o[1] * 8u;
        o += o[1] * 8u;
    }
    return n == 0;
}

const uint8_t *nd_option(const uint8_t *o, size_t n, uint8_t type, unsigned which, size_t *size)
{
    for (; n >= 8; n -= o[1] * 8u, o += o[1] * 8u)
        if (o[0] == type && which-- == 0) {
            *size = o[1] * 8u;
            return o;
        }
    return NULL;
}

const uint8_t *nd_mac(const uint8_t *options, size_t n, uint8_t type)
{
    size_t size;
    const uint8_t *o = nd_option(options, n, type, 0, &size);

    return o && !(o[2] & 1) ? o + 2 : NULL;
}

void nd_put_mac(struct xk_inet *s, uint8_t *at, uint8_t type)
{
    at[0] = type;
    at[1] = 1;
    memcpy(at + 2, s->dev->info.mac, 6);
}

/* --- what we say -------------------------------------------------------------------------------------------------- */

/* A solicitation or an advertisement; (mac): the option that gives ours, or 0. */
static void say(struct xk_inet *s, uint8_t type, uint8_t flags, struct xk_ip from, struct xk_ip to, struct xk_ip target,
                uint8_t mac)
{
    size_t n = NS_BYTES + (mac ? MAC_BYTES : 0u);
    uint8_t *f = inet_out(s, IP6_ROOM + n), *m = f ? f + IP6_ROOM : NULL;

    if (!f)
        return;
    memset(m, 0, 8);
    m[0] = type;
    m[4] = flags;
    memcpy(m + 8, target.b, 16);
    if (mac)
        nd_put_mac(s, m + NS_BYTES, mac);
    icmp6_output(s, &from, to, f, n, HOPS);
}

void nd_ask(struct xk_inet *s, struct xk_ip ip, const uint8_t *mac)
{
    const struct xk_ip *from = ip6_source(s, ip);

    if (from)
        say(s, ICMP6_NS, 0, *from, mac ? ip : nd_group(ip), ip, ND_SOURCE_MAC);
}

void nd_probe(struct xk_inet *s, struct xk_ip ip) { say(s, ICMP6_NS, 0, IP6_NONE, nd_group(ip), ip, 0); }

void nd_announce(struct xk_inet *s, struct xk_ip ip)
{
    say(s, ICMP6_NA, OVERRIDE, ip, IP6_ALL_NODES, ip, ND_TARGET_MAC);
}

/* --- what others say ---------------------------------------------------------------------------------------------- */

static void solicitation(struct xk_inet *s, const struct ip6_packet *p, struct xk_ip target, const uint8_t *mac)
{
    const struct own6 *own = address6_find(s, target);
    int nameless = xk_ip_is_none(p->from);

    if (nameless && (mac || !xk_ip_equal(p->to, nd_group(target)))) {
        s->stats.bad++;
        return;
    }
    if (!own || own->duplicate)
        return;
    if (!own->checked) { /* who asks with a name will find out himself (RFC 4862 5.4.3) */
        if (nameless)
            address6_taken(s, target);
        return;
    }
    if (mac)
        neighbour_learn(s, p->from, mac, NEIGHBOUR_CREATE | NEIGHBOUR_STALE);
    say(s, ICMP6_NA, OVERRIDE | (nameless ? 0 : SOLICITED), target, nameless ? IP6_ALL_NODES : p->from, target,
        ND_TARGET_MAC);
}

/* The table of RFC 4861 7.2.5. */
static void advertisement(struct xk_inet *s, struct xk_ip target, uint8_t flags, const uint8_t *mac)
{
    struct neighbour *n = neighbour_find(s, target);
    int same;

    if (!n || (!n->known && !mac))
        return;
    same = n->known && (!mac || memcmp(mac, n->mac, 6) == 0);
    if (n->known && !same && !(flags & OVERRIDE)) {
        if (!n->tries)
            n->until = 0; /* somebody disagrees: it is asked when it is used */
        return;
    }
    if (flags & SOLICITED)
        neighbour_learn(s, target, mac ? mac : n->mac, 0);
    else if (!same)
        neighbour_learn(s, target, mac, NEIGHBOUR_STALE);
}

/* Only the router that we would ask has a say. */
static void redirect(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n)
{
    const uint8_t *mac;
    struct xk_ip target, to, hop;

    memcpy(target.b, data + 8, 16);
    memcpy(to.b, data + 24, 16);
    if (!xk_ip_is_local(p->from) || xk_ip_is_group(to) || xk_ip_is4(to) ||
        !(xk_ip_is_local(target) || xk_ip_equal(target, to)) || address6_find(s, target) ||
        ip6_route(s, to, &hop) < 0 || !xk_ip_equal(hop, p->from)) {
        s->stats.bad++;
        return;
    }
    mac = nd_mac(data + REDIRECT_BYTES, n - REDIRECT_BYTES, ND_TARGET_MAC);
    if (mac)
        neighbour_learn(s, target, mac, NEIGHBOUR_CREATE | NEIGHBOUR_STALE);
    path_redirect(s, to, target);
}

static void neighbours(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n)
{
    const uint8_t *o = data + NS_BYTES;
    struct xk_ip target;

    memcpy(target.b, data + 8, 16);
    if (xk_ip_is_group(target) || xk_ip_is4(target) || xk_ip_is_none(target)) {
        s->stats.bad++;
        return;
    }
    if (data[0] == ICMP6_NS) {
        solicitation(s, p, target, nd_mac(o, n - NS_BYTES, ND_SOURCE_MAC));
    } else if (data[4] & SOLICITED && xk_ip_is_group(p->to)) {
        s->stats.bad++;
    } else if (address6_find(s, target)) {
        address6_taken(s, target);
    } else {
        advertisement(s, target, data[4], nd_mac(o, n - NS_BYTES, ND_TARGET_MAC));
    }
}

/* Fragments are refused (RFC 6980), and what passed a router. */
void nd_input(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n)
{
    static const uint8_t least[] = {8, 16, NS_BYTES, NS_BYTES, REDIRECT_BYTES};
    size_t head = least[data[0] - ICMP6_RS];

    if (!p->ip || p->hops != HOPS || data[1] || n < head || !are_whole(data + head, n - head)) {
        s->stats.bad++;
        return;
    }
    switch (data[0]) {
    case ICMP6_RS:
        if (s->six->advertiser)
            advertise_asked(s, p->from);
        break;
    case ICMP6_RA:
        slaac_input(s, p, data, n);
        break;
    case ICMP6_REDIRECT:
        redirect(s, p, data, n);
        break;
    default:
        neighbours(s, p, data, n);
    }
}
