/* A router's advertisements (RFC 4861 6.2). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet6.h"

enum { RA_BYTES = 16, MOST = RA_BYTES + 8 + 8 + 32 + 8 + 3 * 16, HOPS = 255, DAY = 86400, FIRST_ONES = 3 };
static const xk_time LEAST_GAP = 200 * XK_SECOND, MOST_GAP = 600 * XK_SECOND, FIRST_GAP = 16 * XK_SECOND;
static const xk_time BETWEEN = 3 * XK_SECOND, DELAY = XK_SECOND / 2, SOON = XK_SECOND / 4;

struct xk_advertiser {
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_inet *s;
    struct xk_advertiser_config c;
    struct xk_timer timer, answer;
    struct xk_ip by; /* who asked, if only one did */
    xk_time told;    /* everybody, the last time */
    unsigned times;
};

static size_t put_dns(const struct xk_advertiser_config *c, uint8_t *o)
{
    if (!c->dns_count)
        return 0;
    memset(o, 0, 8);
    o[0] = ND_DNS;
    o[1] = (uint8_t)(1 + c->dns_count * 2);
    xk_packet_put32(o + 4, c->seconds);
    for (int i = 0; i < c->dns_count; i++)
        memcpy(o + 8 + i * 16, c->dns[i].b, 16);
    return o[1] * 8u;
}

static size_t write(struct xk_advertiser *a, uint8_t *m, uint16_t router)
{
    const struct xk_advertiser_config *c = &a->c;
    size_t n = RA_BYTES;

    memset(m, 0, MOST);
    m[0] = ICMP6_RA;
    m[4] = INET_HOPS;
    xk_packet_put16(m + 6, router);
    nd_put_mac(a->s, m + n, ND_SOURCE_MAC);
    n += 8;
    if (c->mtu) {
        m[n] = ND_MTU;
        m[n + 1] = 1;
        xk_packet_put32(m + n + 4, c->mtu);
        n += 8;
    }
    m[n] = ND_PREFIX;
    m[n + 1] = 4;
    m[n + 2] = 64;
    m[n + 3] = 0xc0; /* on the link, and good for addresses */
    xk_packet_put32(m + n + 4, c->seconds);
    xk_packet_put32(m + n + 8, c->seconds / 2);
    memcpy(m + n + 16, c->prefix.b, 16);
    n += 32;
    return n + put_dns(c, m + n);
}

/* 0: there is no address yet to say it from. */
static int tell(struct xk_advertiser *a, struct xk_ip to, uint16_t router)
{
    const struct xk_ip *from = address6_local(a->s);
    uint8_t *f = from ? inet_out(a->s, IP6_ROOM + MOST) : NULL;

    if (!f)
        return 0;
    icmp6_output(a->s, from, to, f, write(a, f + IP6_ROOM, router), HOPS);
    if (xk_ip_is_group(to))
        a->told = a->s->now;
    return 1;
}

static void on_timer(struct xk_timer *t)
{
    struct xk_advertiser *a = XK_CONTAINER(t, struct xk_advertiser, timer);
    xk_time gap = LEAST_GAP + inet_some(a->s, MOST_GAP - LEAST_GAP);

    a->s->now = xk_now(xk_loop_platform(a->loop));
    if (!tell(a, IP6_ALL_NODES, a->c.router)) {
        xk_timer_start(a->loop, &a->timer, a->s->now + SOON);
        return;
    }
    a->times++;
    xk_timer_start(a->loop, &a->timer, a->s->now + (a->times < FIRST_ONES && gap > FIRST_GAP ? FIRST_GAP : gap));
}

static void on_answer(struct xk_timer *t)
{
    struct xk_advertiser *a = XK_CONTAINER(t, struct xk_advertiser, answer);

    a->s->now = xk_now(xk_loop_platform(a->loop));
    tell(a, xk_ip_is_none(a->by) ? IP6_ALL_NODES : a->by, a->c.router);
    a->by = IP6_NONE;
}

/* One is told alone, several together, and not too often (6.2.6). */
void advertise_asked(struct xk_inet *s, struct xk_ip by)
{
    struct xk_advertiser *a = s->six->advertiser;
    xk_time at = s->now + inet_some(s, DELAY);

    if (!a->answer.slot && !xk_ip_is_none(by)) {
        a->by = by;
        xk_timer_start(a->loop, &a->answer, at);
        return;
    }
    if (a->answer.slot && xk_ip_equal(a->by, by))
        return;
    a->by = IP6_NONE;
    at = at < a->told + BETWEEN && a->told ? a->told + BETWEEN : at;
    xk_timer_start(a->loop, &a->answer, at);
}

static int is_prefix(struct xk_ip ip)
{
    static const uint8_t nothing[8];

    return memcmp(ip.b + 8, nothing, 8) == 0 && !xk_ip_is_none(ip) && !xk_ip_is_group(ip) && !xk_ip_is_local(ip);
}

int xk_advertiser_start(const xk_alloc *alloc, struct xk_loop *loop, struct xk_inet *s,
                        const struct xk_advertiser_config *config, struct xk_advertiser **out)
{
    struct xk_advertiser *a;
    int r;

    if (!s->six)
        return XK_ENODEV;
    if (s->six->advertiser)
        return XK_EBUSY;
    if (!is_prefix(config->prefix) || config->dns_count > 3 || (config->mtu && config->mtu < IP6_LEAST_MTU))
        return XK_EINVAL;
    a = xk_new(alloc, sizeof(*a));
    if (!a)
        return XK_ENOMEM;
    a->alloc = alloc ? *alloc : *xk_alloc_libc();
    a->loop = loop;
    a->s = s;
    a->c = *config;
    a->c.seconds = config->seconds ? config->seconds : DAY;
    a->timer.fn = on_timer;
    a->answer.fn = on_answer;
    r = group_join(s, IP6_ALL_ROUTERS, NULL);
    if (r < 0) {
        xk_free(alloc, a, sizeof(*a));
        return r;
    }
    s->six->advertiser = a;
    xk_timer_start(loop, &a->timer, xk_now(xk_loop_platform(loop)));
    *out = a;
    return 0;
}

void xk_advertiser_stop(struct xk_advertiser *a)
{
    xk_alloc alloc = a->alloc;

    if (a->s->six) {
        if (a->c.router)
            tell(a, IP6_ALL_NODES, 0);
        group_leave(a->s, IP6_ALL_ROUTERS, NULL);
        a->s->six->advertiser = NULL;
    }
    xk_timer_stop(a->loop, &a->timer);
    xk_timer_stop(a->loop, &a->answer);
    xk_free(&alloc, a, sizeof(*a));
}
