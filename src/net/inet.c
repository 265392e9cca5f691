/* The stack between its device and its protocols. SPDX-License-Identifier: MIT */
#include "net/inet6.h"

#include <string.h>

/* xorshift128+, seeded by the platform: for ports and the like, not for keys. */
uint64_t inet_random(struct xk_inet *s)
{
    uint64_t a = s->secret[0], b = s->secret[1];

    s->secret[0] = b;
    a ^= a << 23;
    s->secret[1] = a ^ b ^ a >> 17 ^ b >> 26;
    return s->secret[1] + b;
}

xk_time inet_some(struct xk_inet *s, xk_time most)
{
    return most > 0 ? (xk_time)(inet_random(s) % (uint64_t)(most + 1)) : 0;
}

/* A bucket, so that a flood does not become another one. */
int inet_may_complain(struct xk_inet *s)
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

/* The device may bring answers while it is kicked (a cable does): they are behind what it still has of ours, and are
 * kicked in their turn. */
static void kick(struct xk_inet *s)
{
    size_t was;

    if (s->used == 0 || s->kicking)
        return;
    s->kicking = 1;
    do {
        was = s->used;
        xk_net_kick(s->dev);
    } while (s->used != was);
    s->kicking = 0;
    s->used = 0;
}

static void on_later(struct xk_defer *d) { kick(XK_CONTAINER(d, struct xk_inet, later)); }

uint8_t *inet_out(struct xk_inet *s, size_t n)
{
    uint8_t *p;

    if (s->used + n > INET_OUT)
        kick(s);
    if (s->used + n > INET_OUT) {
        s->stats.no_room++;
        return NULL;
    }
    p = s->out + s->used;
    s->used += (n + 63) & ~(size_t)63;
    s->used = s->used < INET_OUT ? s->used : INET_OUT;
    if (!s->busy)
        xk_defer_start(s->loop, &s->later);
    return p;
}

void inet_link(struct xk_inet *s, uint8_t *frame, uint16_t type)
{
    memcpy(frame + 6, s->dev->info.mac, 6);
    xk_packet_put16(frame + 12, type);
}

int inet_source(struct xk_inet *s, struct xk_ip to, struct xk_ip *from)
{
    const struct xk_ip *own;

    if (xk_ip_is4(to)) {
        *from = xk_ip_of4(s->address);
        return 0;
    }
    own = ip6_source(s, to);
    if (own)
        *from = *own;
    return own ? 0 : XK_EGONE;
}

int inet_send(struct xk_inet *s, const struct xk_packet *p)
{
    int r = xk_net_send(s->dev, p);

    if (r == XK_EAGAIN) { /* perhaps what was sent is not yet on its way */
        xk_net_kick(s->dev);
        r = xk_net_send(s->dev, p);
    }
    s->stats.packets[1] += r == 0;
    s->stats.no_room += r < 0;
    return r;
}

static void receive(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    struct xk_inet *s = d->user;

    s->now = xk_now(xk_loop_platform(s->loop));
    s->busy++;
    for (unsigned i = 0; i < n; i++) {
        uint16_t type = xk_packet_get16(p[i].data + 12);
        s->stats.packets[0]++;
        s->source = p[i].data + 6;
        if (type == XK_ETHER_IP4)
            ip4_input(s, &p[i]);
        else if (type == XK_ETHER_ARP)
            arp_input(s, p[i].data, p[i].len);
        else if (type == XK_ETHER_IP6 && s->six)
            ip6_input(s, &p[i]);
        else
            s->stats.not_ours++;
    }
    if (--s->busy == 0)
        kick(s);
}

static void changed(struct xk_netdev *d)
{
    struct xk_inet *s = d->user;

    s->now = xk_now(xk_loop_platform(s->loop));
    if (d->info.up && s->address)
        arp_announce(s); /* it may have moved to another port of its switch */
    if (d->info.up && s->six)
        address6_up(s);
    if (d->info.up)
        group_up(s);
    if (d->info.up && s->up)
        s->up(s->up_arg);
}

int xk_inet_open(const xk_alloc *alloc, struct xk_loop *loop, struct xk_netdev *device, struct xk_inet **out)
{
    struct xk_inet *s = xk_new(alloc, sizeof(*s));

    if (!s)
        return XK_ENOMEM;
    s->alloc = alloc ? *alloc : *xk_alloc_libc();
    s->out = xk_new(alloc, INET_OUT);
    if (!s->out) {
        xk_free(alloc, s, sizeof(*s));
        return XK_ENOMEM;
    }
    s->loop = loop;
    s->dev = device;
    s->later.fn = on_later;
    s->timer.fn = neighbour_timer;
    s->reports.fn = group_timer;
    s->icmp_left = INET_ICMP_BURST;
    s->now = xk_now(xk_loop_platform(loop));
    xk_list_init(&s->waiting);
    if (xk_entropy(xk_loop_platform(loop), s->secret, sizeof(s->secret)) < 0 || !(s->secret[0] | s->secret[1]))
        s->secret[0] = (uint64_t)s->now | 1;
    s->id = (uint16_t)inet_random(s);
    device->user = s;
    device->receive = receive;
    device->changed = changed;
    *out = s;
    return 0;
}

void xk_inet_close(struct xk_inet *s)
{
    xk_alloc alloc = s->alloc;

    s->dev->receive = NULL;
    s->dev->changed = NULL;
    xk_inet6_stop(s);
    group_leave_all(s, NULL);
    kick(s);
    xk_defer_stop(s->loop, &s->later);
    xk_timer_stop(s->loop, &s->timer);
    xk_timer_stop(s->loop, &s->reports);
    neighbour_forget(s, 1);
    reassembly_fini(s);
    xk_free(&alloc, s->out, INET_OUT);
    xk_free(&alloc, s, sizeof(*s));
}

int xk_inet_set(struct xk_inet *s, xk_ip4 address, unsigned prefix, xk_ip4 gateway)
{
    if (prefix > 32 || address >> 28 == 14 || address == 0xffffffff || address >> 24 == 127)
        return XK_EINVAL;
    s->address = address;
    s->prefix = prefix;
    s->mask = prefix ? 0xffffffff << (32 - prefix) : 0;
    s->gateway = gateway;
    neighbour_forget(s, 1);
    path_forget(s);
    if (address && s->dev->info.up) {
        arp_announce(s);
        group_up(s);
    }
    return 0;
}

xk_ip4 xk_inet_address(const struct xk_inet *s, unsigned *prefix, xk_ip4 *gateway)
{
    if (prefix)
        *prefix = s->prefix;
    if (gateway)
        *gateway = s->gateway;
    return s->address;
}

void xk_inet_on_conflict(struct xk_inet *s, void (*fn)(void *arg, const uint8_t mac[6]), void *arg)
{
    s->conflict = fn;
    s->conflict_arg = arg;
}

void xk_inet_on_up(struct xk_inet *s, void (*fn)(void *arg), void *arg)
{
    s->up = fn;
    s->up_arg = arg;
}

int xk_inet_has_way(struct xk_inet *s, struct xk_ip to)
{
    struct xk_ip any;

    if (xk_ip_is4(to))
        return s->address != 0 && ip4_route(s, xk_ip_to4(to), NULL) == 0;
    return ip6_source(s, to) && ip6_route(s, to, &any) == 0;
}

const uint8_t *xk_inet_source(const struct xk_inet *s) { return s->source; }
struct xk_netdev *xk_inet_device(const struct xk_inet *s) { return s->dev; }
void xk_inet_stats(const struct xk_inet *s, struct xk_inet_stats *out) { *out = s->stats; }

int xk_inet_neighbour(const struct xk_inet *s, unsigned i, struct xk_ip *ip, uint8_t mac[6])
{
    for (unsigned k = 0; k < INET_NEIGHBOURS; k++) {
        if (!s->neighbour[k].used || !s->neighbour[k].known || i-- > 0)
            continue;
        *ip = s->neighbour[k].ip;
        memcpy(mac, s->neighbour[k].mac, 6);
        return 0;
    }
    return XK_ENOENT;
}
