/* ICMP (RFC 792, 1122 3.2.2, 1812 4.3.2.8). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet.h"

enum { ECHO_REPLY = 0, UNREACHABLE = 3, ECHO = 8, HEAD = 8, QUOTED = 548 /* RFC 1812: as much as fits in 576 */ };

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
    ip4_output(s, XK_IP_ICMP, s->address, from, f, n, 0);
}

static void end_ping(struct xk_ping *p, int err)
{
    xk_time took = xk_now(xk_loop_platform(p->s->loop)) - p->sent;

    xk_ping_stop(p);
    p->done(p, err, took);
}

static struct xk_ping *find_ping(struct xk_inet *s, xk_ip4 to, uint16_t id)
{
    struct xk_ping *p = s->pings;

    while (p && (p->to != to || p->id != id))
        p = p->next;
    return p;
}

/* What could not be delivered, as much as is quoted of it. */
static void unreachable(struct xk_inet *s, const uint8_t *data, size_t n)
{
    const uint8_t *ip = data + HEAD;
    size_t head = n > HEAD + IP4_HEAD ? (ip[0] & 15) * 4u : 0;
    xk_ip4 to;

    if (head < IP4_HEAD || n < HEAD + head + 8 || xk_packet_get32(ip + 12) != s->address)
        return;
    to = xk_packet_get32(ip + 16);
    if (ip[9] == XK_IP_ICMP) {
        struct xk_ping *p = find_ping(s, to, xk_packet_get16(ip + head + 4));
        if (p)
            end_ping(p, XK_EGONE);
    }
}

void icmp_input(struct xk_inet *s, xk_ip4 from, xk_ip4 to, const uint8_t *data, size_t n)
{
    struct xk_ping *p;

    if (n < HEAD || xk_sum_fold(xk_sum(data, n, 0))) {
        s->stats.bad++;
        return;
    }
    if (data[0] == ECHO && to == s->address && s->address) { /* broadcasts are not answered: RFC 1122 3.2.2.6 */
        echo(s, from, data, n);
    } else if (data[0] == ECHO_REPLY) {
        p = find_ping(s, from, xk_packet_get16(data + 4));
        if (p)
            end_ping(p, 0);
    } else if (data[0] == UNREACHABLE) {
        unreachable(s, data, n);
    }
}

/* A bucket, so that a flood does not become another one. */
static int may_send(struct xk_inet *s)
{
    uint64_t more = (uint64_t)(s->now - s->icmp_at) * INET_ICMP_SECOND / (uint64_t)XK_SECOND;

    if (more) {
        s->icmp_left = more > INET_ICMP_BURST - s->icmp_left ? INET_ICMP_BURST : s->icmp_left + (uint32_t)more;
        s->icmp_at = s->now;
    }
    if (s->icmp_left == 0) {
        s->stats.limited++;
        return 0;
    }
    s->icmp_left--;
    return 1;
}

void icmp_unreachable(struct xk_inet *s, uint8_t code, xk_ip4 to, const uint8_t *ip, size_t n)
{
    size_t quoted = n < QUOTED ? n : QUOTED;
    uint8_t *f;

    if (!ip || to != s->address || !s->address || !may_send(s))
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
    ip4_output(s, XK_IP_ICMP, s->address, xk_packet_get32(ip + 12), f, HEAD + quoted, 0);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static void on_timeout(struct xk_timer *t) { end_ping(XK_CONTAINER(t, struct xk_ping, timer), XK_ETIMEDOUT); }

int xk_ping_start(struct xk_inet *s, struct xk_ping *p, xk_ip4 to, size_t bytes, xk_time deadline)
{
    uint8_t *f;
    int r;

    if (bytes > XK_UDP_MAX || p->s)
        return XK_EINVAL;
    f = inet_out(s, IP4_ROOM + HEAD + bytes);
    if (!f)
        return XK_EAGAIN;
    p->to = to;
    p->id = (uint16_t)inet_random(s);
    p->sent = s->now = xk_now(xk_loop_platform(s->loop));
    p->timer.fn = on_timeout;
    memset(f + IP4_ROOM, 0, HEAD);
    f[IP4_ROOM] = ECHO;
    xk_packet_put16(f + IP4_ROOM + 4, p->id);
    for (size_t i = 0; i < bytes; i++)
        f[IP4_ROOM + HEAD + i] = (uint8_t)i;
    checksum(f + IP4_ROOM, HEAD + bytes);
    r = xk_timer_start(s->loop, &p->timer, deadline);
    if (r < 0)
        return r;
    p->s = s;
    p->next = s->pings;
    s->pings = p; /* before it leaves: the answer may come at once */
    r = ip4_output(s, XK_IP_ICMP, s->address, to, f, HEAD + bytes, 0);
    if (r < 0)
        xk_ping_stop(p);
    return r;
}

void xk_ping_stop(struct xk_ping *p)
{
    if (!p->s)
        return;
    for (struct xk_ping **at = &p->s->pings; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    xk_timer_stop(p->s->loop, &p->timer);
    p->s = NULL;
}
