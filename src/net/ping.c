/* Echoes that are asked for (RFC 792, RFC 4443 4.1). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet6.h"

enum { HEAD = 8, ECHO4 = 8 };

static void end(struct xk_ping *p, int err)
{
    xk_time took = xk_now(xk_loop_platform(p->s->loop)) - p->sent;

    xk_ping_stop(p);
    p->done(p, err, took);
}

static struct xk_ping *find(struct xk_inet *s, struct xk_ip to, uint16_t id)
{
    struct xk_ping *p = s->pings;

    while (p && (p->id != id || !(xk_ip_equal(p->to, to) || xk_ip_is_group(p->to))))
        p = p->next;
    return p;
}

void ping_answer(struct xk_inet *s, struct xk_ip from, uint16_t id)
{
    struct xk_ping *p = find(s, from, id);

    if (p)
        end(p, 0);
}

void ping_failed(struct xk_inet *s, struct xk_ip to, uint16_t id, int err)
{
    struct xk_ping *p = find(s, to, id);

    if (p)
        end(p, err);
}

static void on_timeout(struct xk_timer *t) { end(XK_CONTAINER(t, struct xk_ping, timer), XK_ETIMEDOUT); }

/* Type, code, checksum, identifier, sequence number; then bytes that count up. */
static void fill(uint8_t *m, uint8_t type, uint16_t id, size_t bytes)
{
    memset(m, 0, HEAD);
    m[0] = type;
    xk_packet_put16(m + 4, id);
    for (size_t i = 0; i < bytes; i++)
        m[HEAD + i] = (uint8_t)i;
}

static int send(struct xk_inet *s, struct xk_ping *p, size_t bytes)
{
    int four = xk_ip_is4(p->to);
    size_t room = four ? IP4_ROOM : IP6_ROOM, n = HEAD + bytes;
    uint8_t *f = inet_out(s, room + n);

    if (!f)
        return XK_EAGAIN;
    fill(f + room, four ? ECHO4 : ICMP6_ECHO, p->id, bytes);
    if (!four)
        return icmp6_output(s, NULL, p->to, f, n, 0);
    xk_packet_put16(f + room + 2, xk_sum_fold(xk_sum(f + room, n, 0)));
    return ip4_output(s, XK_IP_ICMP, s->address, xk_ip_to4(p->to), f, n, 0, 0);
}

int xk_ping_start(struct xk_inet *s, struct xk_ping *p, struct xk_ip to, size_t bytes, xk_time deadline)
{
    int r;

    if (bytes > XK_UDP_MAX || p->s)
        return XK_EINVAL;
    p->to = to;
    p->id = (uint16_t)inet_random(s);
    p->sent = s->now = xk_now(xk_loop_platform(s->loop));
    p->timer.fn = on_timeout;
    r = xk_timer_start(s->loop, &p->timer, deadline);
    if (r < 0)
        return r;
    p->s = s;
    p->next = s->pings;
    s->pings = p; /* before it leaves: the answer may come at once */
    r = send(s, p, bytes);
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
