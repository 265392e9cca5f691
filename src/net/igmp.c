/* IGMP, version 2 (RFC 2236), which routers of version 3 speak, too (RFC 3376 7.3). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet.h"

enum { QUERY = 0x11, REPORT = 0x16, LEAVE = 0x17, HEAD = 24 /* with the option */, BYTES = 8 };
enum { ALL_HOSTS = (int)0xe0000001, ALL_ROUTERS = (int)0xe0000002 };
static const xk_time TENTH = XK_SECOND / 10, OLD = 10 * XK_SECOND; /* of version 1, which says no time */

/* An IP header of its own, as it has Router Alert (RFC 2113). */
void igmp_say(struct xk_inet *s, xk_ip4 group, int leaving)
{
    xk_ip4 to = leaving ? (xk_ip4)ALL_ROUTERS : group;
    uint8_t *f = inet_out(s, XK_ETHER_HEAD + HEAD + BYTES), *ip, *m;
    struct xk_packet p = {f, XK_ETHER_HEAD + HEAD + BYTES, 0, 0, 0};

    if (!f)
        return;
    ip = f + XK_ETHER_HEAD;
    m = ip + HEAD;
    ip4_group_mac(to, f);
    inet_link(s, f, XK_ETHER_IP4);
    memset(ip, 0, HEAD + BYTES);
    ip[0] = 0x46;
    ip[1] = 0xc0;
    xk_packet_put16(ip + 2, HEAD + BYTES);
    xk_packet_put16(ip + 4, s->id++);
    ip[8] = 1;
    ip[9] = XK_IP_IGMP;
    xk_packet_put32(ip + 12, s->address);
    xk_packet_put32(ip + 16, to);
    xk_packet_put16(ip + 20, 0x9404);
    xk_packet_put16(ip + 10, xk_sum_fold(xk_sum(ip, HEAD, 0)));
    m[0] = leaving ? LEAVE : REPORT;
    xk_packet_put32(m + 4, group);
    xk_packet_put16(m + 2, xk_sum_fold(xk_sum(m, BYTES, 0)));
    inet_send(s, &p);
}

void igmp_input(struct xk_inet *s, xk_ip4 to, const uint8_t *ip, const uint8_t *data, size_t n)
{
    xk_ip4 group;

    if (!ip || ip[8] != 1 || n < BYTES || xk_sum_fold(xk_sum(data, n, 0))) {
        s->stats.bad++;
        return;
    }
    group = xk_packet_get32(data + 4);
    if (data[0] == QUERY && (group ? to == group : to == (xk_ip4)ALL_HOSTS))
        group_asked(s, group ? xk_ip_of4(group) : (struct xk_ip){{0}}, 1, data[1] ? data[1] * TENTH : OLD);
}
