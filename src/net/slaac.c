/* What routers advertise, and what becomes of it: addresses, prefixes on the link, routers, name servers (RFC 4861 6.3,
 * RFC 4862 5.5, RFC 8106). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet6.h"

enum { RA_BYTES = 16, RS_BYTES = 8, PREFIX_BYTES = 32, ON_LINK = 0x80, AUTONOMOUS = 0x40, HOPS = 255 };
static const xk_time TWO_HOURS = 7200 * XK_SECOND;
static const xk_time FIRST_GAP = 4 * XK_SECOND, LAST_GAP = 3600 * XK_SECOND; /* RFC 7559 2 */

/* --- tables ------------------------------------------------------------------------------------------------------- */

/* Kept until then; not longer means not any more. What has no room is not followed. */
static void keep(struct xk_inet *s, struct lasting *table, int n, struct xk_ip ip, uint8_t prefix, xk_time until)
{
    struct lasting *place = NULL;

    for (struct lasting *l = table; l < table + n; l++) {
        if (l->used && l->prefix == prefix && xk_ip_equal(l->ip, ip)) {
            place = l;
            break;
        }
        if (!l->used && !place)
            place = l;
    }
    if (!place) {
        s->stats.no_room++;
        return;
    }
    *place = (struct lasting){.ip = ip, .used = until > s->now, .prefix = prefix, .until = until};
    address6_wake(s, until);
}

static void expire(struct xk_inet *s, struct lasting *table, int n, xk_time *next)
{
    for (struct lasting *l = table; l < table + n; l++) {
        if (!l->used)
            continue;
        if (l->until <= s->now) {
            l->used = 0;
            address6_told(s);
        } else if (l->until < *next) {
            *next = l->until;
        }
    }
}

static int get(const struct xk_inet *s, const struct lasting *table, int n, unsigned i, struct xk_ip *out)
{
    xk_time now = xk_now(xk_loop_platform(s->loop));

    for (const struct lasting *l = table; l < table + n; l++) {
        if (!l->used || l->until <= now || i-- > 0)
            continue;
        *out = l->ip;
        return 0;
    }
    return XK_ENOENT;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

void slaac_ask(struct xk_inet *s)
{
    if (s->six->flags & XK_INET6_QUIET)
        return;
    s->six->gap = FIRST_GAP;
    s->six->ask_at = s->now;
    address6_wake(s, s->now);
}

static void solicit(struct xk_inet *s)
{
    const struct xk_ip *from = address6_local(s);
    uint8_t *f = from ? inet_out(s, IP6_ROOM + RS_BYTES + 8) : NULL;

    if (!f)
        return;
    memset(f + IP6_ROOM, 0, RS_BYTES);
    f[IP6_ROOM] = ICMP6_RS;
    nd_put_mac(s, f + IP6_ROOM + RS_BYTES, ND_SOURCE_MAC);
    icmp6_output(s, from, IP6_ALL_ROUTERS, f, RS_BYTES + 8, HOPS);
}

void slaac_expire(struct xk_inet *s, xk_time *next)
{
    struct inet6 *six = s->six;

    expire(s, six->prefix, SIX_PREFIXES, next);
    expire(s, six->router, SIX_ROUTERS, next);
    expire(s, six->dns, SIX_DNS, next);
    if (!s->dev->info.up) /* asked when it comes */
        return;
    if (six->ask_at <= s->now) {
        solicit(s);
        six->ask_at = s->now + six->gap + inet_some(s, six->gap / 10);
        six->gap = six->gap * 2 < LAST_GAP ? six->gap * 2 : LAST_GAP;
    }
    *next = six->ask_at < *next ? six->ask_at : *next;
}

/* --- hearing ------------------------------------------------------------------------------------------------------ */

static xk_time after(struct xk_inet *s, uint32_t seconds)
{
    return seconds == UINT32_MAX ? XK_FOREVER : s->now + (xk_time)seconds * XK_SECOND;
}

/* Who forges an advertisement is not to end an address at once (RFC 4862 5.5.3 (e)). */
static void prolong(struct xk_inet *s, struct own6 *o, xk_time preferred, xk_time valid)
{
    xk_time two_hours = s->now + TWO_HOURS;

    if (valid > two_hours || valid > o->valid)
        o->valid = valid;
    else if (o->valid > two_hours)
        o->valid = two_hours;
    o->preferred = preferred;
    address6_wake(s, o->valid);
}

static void make_address(struct xk_inet *s, struct xk_ip prefix, xk_time preferred, xk_time valid)
{
    struct own6 *o = s->six->own;

    for (; o < s->six->own + SIX_ADDRESSES; o++)
        if (o->used && o->automatic && memcmp(o->ip.b, prefix.b, 8) == 0) {
            prolong(s, o, preferred, valid);
            return;
        }
    if (valid <= s->now)
        return;
    address6_interface(s, &prefix);
    (void)address6_put(s, prefix, 64, 1, preferred, valid); /* no room: it has enough */
}

static void on_prefix(struct xk_inet *s, const uint8_t *o)
{
    uint32_t valid = xk_packet_get32(o + 4), preferred = xk_packet_get32(o + 8);
    unsigned bits = o[2];
    struct xk_ip ip = IP6_NONE;

    if (bits == 0 || bits > 128)
        return;
    memcpy(ip.b, o + 16, (bits + 7) / 8);
    if (bits % 8)
        ip.b[bits / 8] &= (uint8_t)(0xff00 >> bits % 8);
    if (xk_ip_is_local(ip) || xk_ip_is_group(ip) || xk_ip_is4(ip) || xk_ip_is_none(ip))
        return;
    if (o[3] & ON_LINK)
        keep(s, s->six->prefix, SIX_PREFIXES, ip, (uint8_t)bits, after(s, valid));
    if (o[3] & AUTONOMOUS && bits == 64 && preferred <= valid)
        make_address(s, ip, after(s, preferred), after(s, valid));
}

static void on_dns(struct xk_inet *s, const uint8_t *o, size_t size)
{
    xk_time until = after(s, xk_packet_get32(o + 4));
    struct xk_ip ip;

    for (size_t at = 8; at + 16 <= size; at += 16) {
        memcpy(ip.b, o + at, 16);
        if (!xk_ip_is_group(ip) && !xk_ip_is4(ip) && !xk_ip_is_none(ip))
            keep(s, s->six->dns, SIX_DNS, ip, 128, until);
    }
}

static void on_options(struct xk_inet *s, const uint8_t *o, size_t n)
{
    const uint8_t *p;
    size_t size;

    p = nd_option(o, n, ND_MTU, 0, &size);
    if (p && xk_packet_get32(p + 4) >= IP6_LEAST_MTU && xk_packet_get32(p + 4) <= s->dev->info.mtu)
        s->six->mtu = (uint16_t)xk_packet_get32(p + 4);
    for (unsigned i = 0; (p = nd_option(o, n, ND_PREFIX, i, &size)); i++)
        if (size == PREFIX_BYTES)
            on_prefix(s, p);
    for (unsigned i = 0; (p = nd_option(o, n, ND_DNS, i, &size)); i++)
        on_dns(s, p, size);
}

void slaac_input(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n)
{
    uint16_t lifetime = xk_packet_get16(data + 6);
    const uint8_t *mac = nd_mac(data + RA_BYTES, n - RA_BYTES, ND_SOURCE_MAC);

    if (!xk_ip_is_local(p->from)) {
        s->stats.bad++;
        return;
    }
    if (s->six->flags & XK_INET6_QUIET)
        return;
    if (data[4])
        s->six->hops = data[4];
    keep(s, s->six->router, SIX_ROUTERS, p->from, 128, after(s, lifetime));
    if (lifetime)
        s->six->ask_at = XK_FOREVER;
    if (mac)
        neighbour_learn(s, p->from, mac, NEIGHBOUR_CREATE | NEIGHBOUR_STALE);
    on_options(s, data + RA_BYTES, n - RA_BYTES);
    address6_told(s);
}

/* --- ways --------------------------------------------------------------------------------------------------------- */

int slaac_on_link(const struct xk_inet *s, struct xk_ip to)
{
    for (int i = 0; i < SIX_PREFIXES; i++) {
        const struct lasting *l = &s->six->prefix[i];
        if (l->used && xk_ip_common(l->ip, to) >= l->prefix)
            return 1;
    }
    for (int i = 0; i < SIX_ADDRESSES; i++) {
        const struct own6 *o = &s->six->own[i];
        if (o->used && !o->automatic && xk_ip_common(o->ip, to) >= o->prefix)
            return 1;
    }
    return 0;
}

/* One that answers is taken before one that may not; of these one after the other (RFC 4861 6.3.6). */
int slaac_router(struct xk_inet *s, struct xk_ip *hop)
{
    struct xk_ip found[SIX_ROUTERS + 1];
    unsigned n = 0;

    if (!xk_ip_is_none(s->six->gateway))
        found[n++] = s->six->gateway;
    for (int i = 0; i < SIX_ROUTERS; i++)
        if (s->six->router[i].used)
            found[n++] = s->six->router[i].ip;
    if (n == 0)
        return XK_EGONE;
    for (unsigned i = 0; i < n; i++) {
        const struct neighbour *b = neighbour_find(s, found[i]);
        if (b && b->known && b->tries < 2) {
            *hop = found[i];
            return 0;
        }
    }
    *hop = found[s->six->turn++ % n];
    return 0;
}

int xk_inet6_router(const struct xk_inet *s, unsigned i, struct xk_ip *out)
{
    if (!s->six)
        return XK_ENOENT;
    if (xk_ip_is_none(s->six->gateway))
        return get(s, s->six->router, SIX_ROUTERS, i, out);
    *out = s->six->gateway;
    return i == 0 ? 0 : get(s, s->six->router, SIX_ROUTERS, i - 1, out);
}

int xk_inet6_dns(const struct xk_inet *s, unsigned i, struct xk_ip *out)
{
    return s->six ? get(s, s->six->dns, SIX_DNS, i, out) : XK_ENOENT;
}
