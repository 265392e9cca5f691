/* ICMP (RFC 792, 1122 3.2.2, 1191, 1812 4.3.2.8). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet.h"

enum { ECHO_REPLY = 0, UNREACHABLE = 3, ECHO = 8, HEAD = 8, QUOTED = 548 /* RFC 1812: as much as fits in 576 */ };
enum { NO_PORT = 3, TOO_BIG = 4, OLD_ROUTER = 576 /* which does not say how much is not too big */ };

static void checksum(uint8_t *m, size_t n)
{
    xk_packet_put16(m + 2, 0);
    xk_packet_put16(m + 2, xk_sum_fold(xk_sum(m, n, 0)));
}

static void echo(struct xk_inet *s, xk_ip4 from, const uint8_t *data, size_t n)
{
    uint8_t *f = inet_out(s, IP4_ROOM + n);

    if (!f)
        return;
    memcpy(f + IP4_ROOM, data, n);
    f[IP4_ROOM] = ECHO_REPLY;
    checksum(f + IP4_ROOM, n);
    s->stats.pings++;
    ip4_output(s, XK_IP_ICMP, s->address, from, f, n, 0, 0);
}

/* What could not be delivered, as much as is quoted of it. Only what could have been ours is heard (RFC 5927). */
static void unreachable(struct xk_inet *s, const uint8_t *data, size_t n)
{
    const uint8_t *ip = data + HEAD;
    size_t head = n > HEAD + IP4_HEAD ? (ip[0] & 15) * 4u : 0, mtu = xk_packet_get16(data + 6);
    int err = data[1] == NO_PORT ? XK_ECONNREFUSED : data[1] == TOO_BIG ? 0 : XK_EGONE, ours = 0;
    struct xk_ip to;

    if (head < IP4_HEAD || n < HEAD + head + 8 || !s->address || xk_packet_get32(ip + 12) != s->address)
        return;
    to = xk_ip_of4(xk_packet_get32(ip + 16));
    if (ip[9] == XK_IP_UDP) {
        ours = udp_failed(s, to, ip + head, err);
    } else if (ip[9] == XK_IP_ICMP) {
        ours = s->pings != NULL;
        if (err)
            ping_failed(s, to, xk_packet_get16(ip + head + 4), XK_EGONE);
    }
    if (ours && data[1] == TOO_BIG)
        path_too_big(s, to, mtu ? mtu : OLD_ROUTER);
}

void icmp_input(struct xk_inet *s, xk_ip4 from, xk_ip4 to, const uint8_t *data, size_t n)
{
    if (n < HEAD || xk_sum_fold(xk_sum(data, n, 0))) {
        s->stats.bad++;
        return;
    }
    if (data[0] == ECHO && to == s->address && s->address) /* broadcasts are not answered: RFC 1122 3.2.2.6 */
        echo(s, from, data, n);
    else if (data[0] == ECHO_REPLY)
        ping_answer(s, xk_ip_of4(from), xk_packet_get16(data + 4));
    else if (data[0] == UNREACHABLE)
        unreachable(s, data, n);
}

void icmp_unreachable(struct xk_inet *s, uint8_t code, xk_ip4 to, const uint8_t *ip, size_t n)
{
    size_t quoted = n < QUOTED ? n : QUOTED;
    uint8_t *f;

    if (!ip || to != s->address || !s->address || !inet_may_complain(s))
        return;
    f = inet_out(s, IP4_ROOM + HEAD + quoted);
    if (!f)
        return;
    memset(f + IP4_ROOM, 0, HEAD);
    f[IP4_ROOM] = UNREACHABLE;
    f[IP4_ROOM + 1] = code;
    memcpy(f + IP4_ROOM + HEAD, ip, quoted);
    checksum(f + IP4_ROOM, HEAD + quoted);
    s->stats.refused++;
    ip4_output(s, XK_IP_ICMP, s->address, xk_packet_get32(ip + 12), f, HEAD + quoted, 0, 0);
}
