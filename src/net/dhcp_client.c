/* DHCP's client (RFC 2131 4.4). SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/packet.h>

#include "base/list.h"
#include "net/dhcp.h"

enum state { SELECTING, REQUESTING, REBOOTING, BOUND, RENEWING, REBINDING };

struct xk_dhcp_client {
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_inet *s;
    struct xk_udp udp;
    struct xk_timer timer;
    enum state state;
    uint32_t xid;
    unsigned tries;
    xk_time begun, t1, t2, end;
    struct xk_dhcp_lease lease;
    char hostname[64];
    void (*told)(void *arg, const struct xk_dhcp_lease *lease);
    void *arg;
};

static xk_time now(struct xk_dhcp_client *c) { return xk_now(xk_loop_platform(c->loop)); }

static void send(struct xk_dhcp_client *c, uint8_t type)
{
    static const uint8_t wanted[] = {OPT_MASK, OPT_ROUTER, OPT_DNS, OPT_DOMAIN, OPT_MTU, OPT_SECONDS, OPT_T1, OPT_T2};
    const struct xk_netdev *dev = xk_inet_device(c->s);
    int bound = c->state == RENEWING || c->state == REBINDING;
    struct dhcp_message m = {.op = 1, .type = type, .xid = c->xid, .ciaddr = bound ? c->lease.address : 0};
    struct dhcp_writer w;
    uint8_t id[7] = {1};

    m.seconds = (uint16_t)((now(c) - c->begun) / XK_SECOND);
    memcpy(m.mac, dev->info.mac, 6);
    memcpy(id + 1, dev->info.mac, 6);
    dhcp_begin(&w, &m);
    dhcp_put(&w, OPT_CLIENT, id, sizeof(id));
    if (type == REQUEST && !bound)
        dhcp_put32(&w, OPT_REQUESTED, c->lease.address);
    if (c->state == REQUESTING)
        dhcp_put32(&w, OPT_SERVER, c->lease.server);
    if (c->hostname[0])
        dhcp_put(&w, OPT_HOSTNAME, c->hostname, strlen(c->hostname));
    dhcp_put(&w, OPT_WANTED, wanted, sizeof(wanted));
    dhcp_end(&w);
    /* One that is not sent is sent again when its time is over, as one that was lost. */
    xk_udp_send(&c->udp, xk_ip_of4(c->state == RENEWING ? c->lease.server : 0xffffffff), DHCP_SERVER_PORT, w.bytes,
                w.n);
}

/* 4, 8, 16, 32, 64 seconds, as 4.1 has it, but for a first one that is short: a domain is to be up soon. */
static xk_time patience(struct xk_dhcp_client *c)
{
    return c->tries == 0 ? XK_SECOND / 2 : (xk_time)(2 << (c->tries < 5 ? c->tries : 5)) * XK_SECOND;
}

static void enter(struct xk_dhcp_client *c, enum state state)
{
    c->state = state;
    c->tries = 0;
}

static void start_over(struct xk_dhcp_client *c)
{
    int had = xk_inet_address(c->s, NULL, NULL) != 0 && c->state >= REBOOTING;

    if (had) {
        xk_inet_set(c->s, 0, 0, 0);
        c->told(c->arg, NULL);
    }
    enter(c, SELECTING);
    c->begun = now(c);
    c->xid += 0x9e3779b9;
    send(c, DISCOVER);
    xk_timer_start(c->loop, &c->timer, now(c) + patience(c));
}

/* When to ask again while the lease runs out: half of what is left, at least a minute (4.4.5). */
static xk_time half_way(struct xk_dhcp_client *c, xk_time to)
{
    xk_time half = (to - now(c)) / 2;

    return now(c) + (half > 60 * XK_SECOND ? half : to - now(c) < 60 * XK_SECOND ? to - now(c) : 60 * XK_SECOND);
}

static void on_timer(struct xk_timer *t)
{
    struct xk_dhcp_client *c = XK_CONTAINER(t, struct xk_dhcp_client, timer);

    if (c->state == BOUND && now(c) >= c->t1)
        enter(c, RENEWING);
    if (c->state == RENEWING && now(c) >= c->t2)
        enter(c, REBINDING);
    if (c->state >= BOUND && now(c) >= c->end) {
        start_over(c);
        return;
    }
    c->tries++;
    if (c->state == REBOOTING && c->tries > 3) { /* nobody says no: it is ours to its end */
        enter(c, BOUND);
        if (c->t1 != XK_FOREVER)
            xk_timer_start(c->loop, t, c->t1 > now(c) ? c->t1 : now(c) + XK_SECOND);
        return;
    }
    if (c->state == REQUESTING && c->tries > 3) {
        start_over(c);
        return;
    }
    send(c, c->state == SELECTING ? DISCOVER : REQUEST);
    if (c->state >= RENEWING)
        xk_timer_start(c->loop, t, half_way(c, c->state == RENEWING ? c->t2 : c->end));
    else
        xk_timer_start(c->loop, t, now(c) + patience(c));
}

static uint8_t prefix_of(uint32_t mask)
{
    uint8_t n = 0;

    for (; mask & 0x80000000; mask <<= 1)
        n++;
    return n;
}

static int read_lease(const struct dhcp_message *m, struct xk_dhcp_lease *l)
{
    size_t n = 0;
    const uint8_t *p;

    memset(l, 0, sizeof(*l));
    l->address = m->yiaddr;
    l->server = dhcp_number(m, OPT_SERVER, 0);
    l->seconds = dhcp_number(m, OPT_SECONDS, 0);
    l->router = dhcp_number(m, OPT_ROUTER, 0);
    l->prefix = prefix_of(dhcp_number(m, OPT_MASK, 0xffffff00));
    p = dhcp_option(m, OPT_DNS, &n);
    for (; p && n >= 4 && l->dns_count < 3; n -= 4, p += 4)
        l->dns[l->dns_count++] = xk_packet_get32(p);
    p = dhcp_option(m, OPT_MTU, &n);
    l->mtu = p && n == 2 && xk_packet_get16(p) >= 68 ? xk_packet_get16(p) : 0;
    dhcp_text(m, OPT_DOMAIN, l->domain, sizeof(l->domain));
    return l->address && l->server && l->seconds ? 0 : XK_EINVAL;
}

static void bind_lease(struct xk_dhcp_client *c, const struct dhcp_message *m, const struct xk_dhcp_lease *l)
{
    xk_time length = (xk_time)l->seconds * XK_SECOND;
    uint32_t t1 = dhcp_number(m, OPT_T1, l->seconds / 2), t2 = dhcp_number(m, OPT_T2, l->seconds / 8 * 7);
    int same = c->state >= REBOOTING && l->address == c->lease.address && l->prefix == c->lease.prefix &&
               l->router == c->lease.router;

    if (t1 == 0 || t1 > t2 || t2 > l->seconds) {
        t1 = l->seconds / 2 + 1;
        t2 = l->seconds / 8 * 7 + 1;
    }
    c->lease = *l;
    c->t1 = l->seconds == UINT32_MAX ? XK_FOREVER : now(c) + (xk_time)t1 * XK_SECOND;
    c->t2 = l->seconds == UINT32_MAX ? XK_FOREVER : now(c) + (xk_time)t2 * XK_SECOND;
    c->end = l->seconds == UINT32_MAX ? XK_FOREVER : now(c) + length;
    enter(c, BOUND);
    if (c->t1 == XK_FOREVER)
        xk_timer_stop(c->loop, &c->timer);
    else
        xk_timer_start(c->loop, &c->timer, c->t1);
    if (!same && xk_inet_set(c->s, l->address, l->prefix, l->router) < 0) {
        start_over(c);
        return;
    }
    c->told(c->arg, &c->lease);
}

static void receive(struct xk_udp *u, struct xk_ip from, uint16_t port, struct xk_ip to, const uint8_t *data, size_t n)
{
    struct xk_dhcp_client *c = XK_CONTAINER(u, struct xk_dhcp_client, udp);
    struct xk_dhcp_lease l;
    struct dhcp_message m;

    (void)from;
    (void)to;
    if (port != DHCP_SERVER_PORT || dhcp_read(data, n, &m) < 0 || m.op != 2 || m.xid != c->xid ||
        memcmp(m.mac, xk_inet_device(c->s)->info.mac, 6))
        return;
    if (m.type == NAK && c->state != SELECTING && c->state != BOUND) {
        start_over(c);
        return;
    }
    if (read_lease(&m, &l) < 0)
        return;
    if (m.type == OFFER && c->state == SELECTING) {
        c->lease = l;
        enter(c, REQUESTING);
        send(c, REQUEST);
        xk_timer_start(c->loop, &c->timer, now(c) + patience(c));
    } else if (m.type == ACK && c->state != SELECTING && c->state != BOUND) {
        bind_lease(c, &m, &l);
    }
}

/* The network may be another: the address is asked for again, and used meanwhile (RFC 2131 3.2). */
static void on_up(void *arg)
{
    struct xk_dhcp_client *c = arg;

    if (c->state < BOUND) {
        start_over(c);
        return;
    }
    enter(c, REBOOTING);
    c->begun = now(c);
    send(c, REQUEST);
    xk_timer_start(c->loop, &c->timer, now(c) + patience(c));
}

int xk_dhcp_client_start(const xk_alloc *alloc, struct xk_loop *loop, struct xk_inet *s, const char *hostname,
                         void (*told)(void *arg, const struct xk_dhcp_lease *lease), void *arg,
                         struct xk_dhcp_client **out)
{
    struct xk_dhcp_client *c = xk_new(alloc, sizeof(*c));
    int r;

    if (!c)
        return XK_ENOMEM;
    c->alloc = alloc ? *alloc : *xk_alloc_libc();
    c->loop = loop;
    c->s = s;
    c->told = told;
    c->arg = arg;
    c->timer.fn = on_timer;
    c->udp.receive = receive;
    if (hostname)
        strncpy(c->hostname, hostname, sizeof(c->hostname) - 1);
    if (xk_entropy(xk_loop_platform(loop), &c->xid, sizeof(c->xid)) < 0)
        c->xid = (uint32_t)now(c);
    r = xk_udp_open(s, &c->udp, DHCP_CLIENT_PORT);
    if (r < 0) {
        xk_free(alloc, c, sizeof(*c));
        return r;
    }
    *out = c;
    xk_inet_on_up(s, on_up, c);
    start_over(c);
    return 0;
}

void xk_dhcp_client_stop(struct xk_dhcp_client *c)
{
    xk_alloc alloc = c->alloc;

    xk_inet_on_up(c->s, NULL, NULL);
    xk_timer_stop(c->loop, &c->timer);
    xk_udp_close(&c->udp);
    xk_free(&alloc, c, sizeof(*c));
}
