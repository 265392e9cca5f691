/* IPv6 addresses of our own: duplicate address detection (RFC 4862 5.4), their ends, which one speaks (RFC 6724 5).
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet6.h"

static const xk_time DELAY = XK_SECOND /* MAX_RTR_SOLICITATION_DELAY */, PROBE = XK_SECOND /* RETRANS_TIMER */;
static const xk_time DEFEND = 10 * XK_SECOND;
static const struct xk_ip LOOPBACK = {{[15] = 1}};

struct own6 *address6_find(const struct xk_inet *s, struct xk_ip ip)
{
    for (int i = 0; s->six && i < SIX_ADDRESSES; i++)
        if (s->six->own[i].used && xk_ip_equal(s->six->own[i].ip, ip))
            return &s->six->own[i];
    return NULL;
}

const struct xk_ip *address6_local(const struct xk_inet *s)
{
    for (int i = 0; i < SIX_ADDRESSES; i++)
        if (s->six->own[i].used && s->six->own[i].checked && xk_ip_is_local(s->six->own[i].ip))
            return &s->six->own[i].ip;
    return NULL;
}

void address6_told(struct xk_inet *s)
{
    if (s->six->changed)
        s->six->changed(s->six->changed_arg);
}

/* --- which one speaks --------------------------------------------------------------------------------------------- */

static unsigned scope(struct xk_ip ip)
{
    return xk_ip_is_group(ip) ? ip.b[1] & 15u : xk_ip_is_local(ip) || xk_ip_equal(ip, LOOPBACK) ? 2 : 14;
}

static int label(struct xk_ip ip) /* RFC 6724 2.1, as far as there are such addresses still */
{
    return ip.b[0] >> 1 == 0x7e ? 13 : ip.b[0] == 0x20 && ip.b[1] == 2 ? 2 : 1;
}

/* 1: (a) is better than (b) for (to). */
static int is_better(struct xk_inet *s, const struct own6 *a, const struct own6 *b, struct xk_ip to)
{
    unsigned sa = scope(a->ip), sb = scope(b->ip), st = scope(to);
    int da = a->preferred <= s->now, db = b->preferred <= s->now;
    int la = label(a->ip) == label(to), lb = label(b->ip) == label(to);
    unsigned na = xk_ip_common(a->ip, to), nb = xk_ip_common(b->ip, to);

    if (sa != sb)
        return sa < sb ? sa >= st : sb < st;
    if (da != db)
        return db;
    if (la != lb)
        return la;
    na = na < a->prefix ? na : a->prefix;
    nb = nb < b->prefix ? nb : b->prefix;
    return na > nb;
}

const struct xk_ip *ip6_source(struct xk_inet *s, struct xk_ip to)
{
    const struct own6 *best = NULL;

    for (int i = 0; s->six && i < SIX_ADDRESSES; i++) {
        const struct own6 *o = &s->six->own[i];
        if (o->used && o->checked && (!best || is_better(s, o, best, to)))
            best = o;
    }
    return best ? &best->ip : NULL;
}

void address6_interface(const struct xk_inet *s, struct xk_ip *ip)
{
    const uint8_t *mac = s->dev->info.mac;
    uint8_t id[8] = {mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};

    memcpy(ip->b + 8, id, 8);
}

/* --- from tentative to the end ------------------------------------------------------------------------------------ */

void address6_wake(struct xk_inet *s, xk_time at)
{
    if (at != XK_FOREVER && (!s->six->timer.slot || s->six->timer.at > at))
        xk_timer_start(s->loop, &s->six->timer, at);
}

static void drop(struct xk_inet *s, struct own6 *o)
{
    group_leave(s, nd_group(o->ip), NULL);
    memset(o, 0, sizeof(*o));
}

static void begin(struct xk_inet *s, struct own6 *o)
{
    o->asked = o->duplicate = 0;
    o->at = s->now + inet_some(s, DELAY);
    if (s->dev->info.up)
        address6_wake(s, o->at);
}

/* Nobody objected. A link-local one makes it possible to ask for routers. */
static void accept(struct xk_inet *s, struct own6 *o)
{
    o->checked = 1;
    if (xk_ip_is_local(o->ip))
        slaac_ask(s);
    address6_told(s);
}

static void check(struct xk_inet *s, struct own6 *o, xk_time *next)
{
    if (o->checked || o->duplicate || !s->dev->info.up)
        return;
    if (o->at <= s->now && o->asked) {
        accept(s, o);
        return;
    }
    if (o->at <= s->now) {
        o->asked = 1;
        o->at = s->now + PROBE;
        nd_probe(s, o->ip);
    }
    *next = o->at < *next ? o->at : *next;
}

static void on_timer(struct xk_timer *t)
{
    struct xk_inet *s = ((struct inet6 *)((char *)t - offsetof(struct inet6, timer)))->stack;
    xk_time next = XK_FOREVER;

    s->now = xk_now(xk_loop_platform(s->loop));
    for (int i = 0; i < SIX_ADDRESSES; i++) {
        struct own6 *o = &s->six->own[i];
        if (!o->used)
            continue;
        if (o->valid <= s->now) {
            drop(s, o);
            address6_told(s);
            continue;
        }
        check(s, o, &next);
        next = o->valid < next ? o->valid : next;
    }
    slaac_expire(s, &next);
    address6_wake(s, next);
}

int address6_put(struct xk_inet *s, struct xk_ip ip, unsigned prefix, int automatic, xk_time preferred, xk_time valid)
{
    struct own6 *o = s->six->own;
    int r;

    while (o < s->six->own + SIX_ADDRESSES && o->used)
        o++;
    if (o == s->six->own + SIX_ADDRESSES) {
        s->stats.no_room++;
        return XK_EMFILE;
    }
    r = group_join(s, nd_group(ip), NULL);
    if (r < 0)
        return r;
    *o = (struct own6){.ip = ip, .used = 1, .prefix = (uint8_t)prefix, .automatic = (uint8_t)automatic};
    o->preferred = preferred;
    o->valid = valid;
    address6_wake(s, valid);
    begin(s, o);
    return 0;
}

void address6_taken(struct xk_inet *s, struct xk_ip ip)
{
    struct own6 *o = address6_find(s, ip);

    if (!o || o->duplicate)
        return;
    s->stats.conflicts++;
    if (!o->checked) {
        o->duplicate = 1;
        address6_told(s);
    } else if (s->now - s->defended > DEFEND || s->defended == 0) {
        s->defended = s->now;
        nd_announce(s, ip);
    }
}

/* Of the device's own address, which may become known, or another, when the device comes up. */
static void own_local(struct xk_inet *s)
{
    struct xk_ip local = {{0xfe, 0x80}};

    address6_interface(s, &local);
    if (address6_find(s, local))
        return;
    for (int i = 0; i < SIX_ADDRESSES; i++)
        if (s->six->own[i].used && s->six->own[i].automatic)
            drop(s, &s->six->own[i]);
    (void)address6_put(s, local, 64, 1, XK_FOREVER, XK_FOREVER); /* no room: it has enough */
}

/* The link may be another one. Addresses that were in use stay in use, as a disk that moves stays a disk: others are
 * told where they are now, routers asked. */
void address6_up(struct xk_inet *s)
{
    own_local(s);
    for (int i = 0; i < SIX_ADDRESSES; i++) {
        struct own6 *o = &s->six->own[i];
        if (o->used && o->checked)
            nd_announce(s, o->ip);
        else if (o->used)
            begin(s, o);
    }
    if (address6_local(s))
        slaac_ask(s);
}

/* --- what a user does --------------------------------------------------------------------------------------------- */

int xk_inet6_start(struct xk_inet *s, unsigned flags)
{
    if (s->six)
        return XK_EBUSY;
    s->six = xk_new(&s->alloc, sizeof(*s->six));
    if (!s->six)
        return XK_ENOMEM;
    s->six->stack = s;
    s->six->flags = flags;
    s->six->ask_at = XK_FOREVER;
    s->six->timer.fn = on_timer;
    s->now = xk_now(xk_loop_platform(s->loop));
    if (s->dev->info.up)
        own_local(s);
    return 0;
}

void xk_inet6_stop(struct xk_inet *s)
{
    if (!s->six)
        return;
    for (int i = 0; i < SIX_ADDRESSES; i++)
        if (s->six->own[i].used)
            drop(s, &s->six->own[i]);
    xk_timer_stop(s->loop, &s->six->timer);
    neighbour_forget(s, 0);
    path_forget(s);
    xk_free(&s->alloc, s->six, sizeof(*s->six));
    s->six = NULL;
}

static int is_host(struct xk_ip ip)
{
    return !xk_ip_is4(ip) && !xk_ip_is_group(ip) && !xk_ip_is_none(ip) && !xk_ip_equal(ip, LOOPBACK);
}

int xk_inet6_add(struct xk_inet *s, struct xk_ip ip, unsigned prefix)
{
    if (!s->six)
        return XK_ENODEV;
    if (!is_host(ip) || prefix < 1 || prefix > 128)
        return XK_EINVAL;
    s->now = xk_now(xk_loop_platform(s->loop));
    return address6_find(s, ip) ? XK_EEXIST : address6_put(s, ip, prefix, 0, XK_FOREVER, XK_FOREVER);
}

int xk_inet6_remove(struct xk_inet *s, struct xk_ip ip)
{
    struct own6 *o = address6_find(s, ip);

    if (!o)
        return XK_ENOENT;
    drop(s, o);
    address6_told(s);
    return 0;
}

int xk_inet6_gateway(struct xk_inet *s, struct xk_ip ip)
{
    if (!s->six)
        return XK_ENODEV;
    if (!is_host(ip) && !xk_ip_is_none(ip))
        return XK_EINVAL;
    s->six->gateway = ip;
    path_forget(s);
    return 0;
}

static uint32_t seconds(const struct xk_inet *s, xk_time until)
{
    xk_time now = xk_now(xk_loop_platform(s->loop));

    return until == XK_FOREVER ? UINT32_MAX : until <= now ? 0 : (uint32_t)((until - now) / XK_SECOND);
}

int xk_inet6_address(const struct xk_inet *s, unsigned i, struct xk_inet6_address *out)
{
    for (int k = 0; s->six && k < SIX_ADDRESSES; k++) {
        const struct own6 *o = &s->six->own[k];
        if (!o->used || i-- > 0)
            continue;
        *out = (struct xk_inet6_address){.ip = o->ip, .prefix = o->prefix, .automatic = o->automatic};
        out->preferred = seconds(s, o->preferred);
        out->valid = seconds(s, o->valid);
        out->state = o->duplicate          ? XK_INET6_DUPLICATE
                     : !o->checked         ? XK_INET6_TENTATIVE
                     : out->preferred == 0 ? XK_INET6_DEPRECATED
                                           : XK_INET6_PREFERRED;
        return 0;
    }
    return XK_ENOENT;
}

void xk_inet6_on_change(struct xk_inet *s, void (*fn)(void *arg), void *arg)
{
    if (!s->six)
        return;
    s->six->changed = fn;
    s->six->changed_arg = arg;
}
