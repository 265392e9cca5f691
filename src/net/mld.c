/* MLD, version 2 (RFC 3810), and version 1 (RFC 2710) as long as a router speaks that. SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet6.h"

enum { OPTION_BYTES = 8, V1_BYTES = 24, V2_QUERY = 28, V2_REPORT = 28 /* with one record */ };
static const xk_time MS = XK_SECOND / 1000, OLD_ROUTER = 260 * XK_SECOND; /* 9.12, with the usual intervals */
static const struct xk_ip ALL_MLD2 = {{0xff, 2, [15] = 0x16}};

/* 5.1.3 */
static xk_time delay_of(uint16_t code)
{
    return MS * (code < 0x8000 ? code : ((code & 0xfff) + 0x1000) << ((code >> 12 & 7) + 3));
}

void mld_input(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n)
{
    struct xk_ip group;

    if (!p->ip || p->hops != 1 || !xk_ip_is_local(p->from) || (n != V1_BYTES && n < V2_QUERY)) {
        s->stats.bad++;
        return;
    }
    memcpy(group.b, data + 8, 16);
    if (n == V1_BYTES)
        s->six->mld1 = s->now + OLD_ROUTER;
    group_asked(s, group, 0, n == V1_BYTES ? MS * xk_packet_get16(data + 4) : delay_of(xk_packet_get16(data + 4)));
}

/* A message behind Router Alert (RFC 2711), in a header of its own. */
static void send(struct xk_inet *s, struct xk_ip to, const uint8_t *message, size_t n)
{
    static const uint8_t alert[OPTION_BYTES] = {XK_IP_ICMP6, 0, 5, 2, 0, 0, 1, 0};
    const struct xk_ip *local = address6_local(s);
    struct xk_ip from = local ? *local : IP6_NONE;
    uint8_t *f = inet_out(s, IP6_ROOM + OPTION_BYTES + n), *m = f ? f + IP6_ROOM + OPTION_BYTES : NULL;

    if (!f)
        return;
    memcpy(f + IP6_ROOM, alert, OPTION_BYTES);
    memcpy(m, message, n);
    xk_packet_put16(m + 2, icmp6_sum(from, to, m, n));
    ip6_output(s, EXT_HOP, from, to, f, OPTION_BYTES + n, 0, 1);
}

void mld_say(struct xk_inet *s, struct xk_ip group, enum group_word word)
{
    uint8_t m[V2_REPORT] = {0};

    if (!s->six)
        return;
    if (s->six->mld1 > s->now) {
        m[0] = word == GROUP_LEFT ? ICMP6_DONE : ICMP6_REPORT;
        memcpy(m + 8, group.b, 16);
        send(s, word == GROUP_LEFT ? IP6_ALL_ROUTERS : group, m, V1_BYTES);
        return;
    }
    m[0] = ICMP6_REPORT2;
    m[7] = 1; /* record */
    m[8] = (uint8_t)word;
    memcpy(m + 12, group.b, 16);
    send(s, ALL_MLD2, m, V2_REPORT);
}
