/* Who has which Ethernet address: the table that ARP and Neighbor Discovery share (RFC 1122 2.3.2, RFC 4861 7.3). A
 * neighbour has its place in a row of four; the one that was not asked for the longest time makes room. One that is
 * known is used at once, and asked again when it is used after its time; RFC 4861's DELAY state, which waits for word
 * from a protocol above before it asks, is left out. SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet6.h"

enum { ROW = 4, TRIES4 = 4, TRIES6 = 3 /* MAX_MULTICAST_SOLICIT */ };
static const xk_time FRESH4 = 60 * XK_SECOND, FRESH6 = 30 * XK_SECOND /* REACHABLE_TIME */, AGAIN = XK_SECOND;

static struct neighbour *row_of(struct xk_inet *s, struct xk_ip ip)
{
    uint64_t a, b;

    memcpy(&a, ip.b, 8);
    memcpy(&b, ip.b + 8, 8);
    return &s->neighbour[(a * 31 + b) * 0x9e3779b97f4a7c15u >> 40 & (INET_NEIGHBOURS / ROW - 1) * ROW];
}

struct neighbour *neighbour_find(struct xk_inet *s, struct xk_ip ip)
{
    struct neighbour *row = row_of(s, ip);

    for (int i = 0; i < ROW; i++)
        if (row[i].used && xk_ip_equal(row[i].ip, ip))
            return &row[i];
    return NULL;
}

static void drop_waiting(struct xk_inet *s, struct waiting *w)
{
    xk_list_del(&w->link);
    s->waitings--;
    xk_free(&s->alloc, w, sizeof(*w) + w->p.len);
}

static void forget(struct xk_inet *s, struct neighbour *n)
{
    XK_LIST_EACH_SAFE(l, &s->waiting)
    {
        struct waiting *w = XK_CONTAINER(l, struct waiting, link);
        if (!xk_ip_equal(w->hop, n->ip))
            continue;
        s->stats.unresolved++;
        drop_waiting(s, w);
    }
    memset(n, 0, sizeof(*n));
}

static struct neighbour *add(struct xk_inet *s, struct xk_ip ip)
{
    struct neighbour *row = row_of(s, ip), *oldest = row;

    for (int i = 0; i < ROW; i++)
        if (!row[i].used || (oldest->used && row[i].until < oldest->until))
            oldest = &row[i];
    if (oldest->used)
        forget(s, oldest);
    oldest->used = 1;
    oldest->ip = ip;
    return oldest;
}

static struct waiting *next_for(struct xk_inet *s, struct xk_ip ip)
{
    XK_LIST_EACH(l, &s->waiting)
    if (xk_ip_equal(XK_CONTAINER(l, struct waiting, link)->hop, ip))
        return XK_CONTAINER(l, struct waiting, link);
    return NULL;
}

/* From the beginning each time: sending may lead here again. */
static void send_waiting(struct xk_inet *s, struct xk_ip ip, const uint8_t *mac)
{
    struct waiting *w;

    while ((w = next_for(s, ip))) {
        uint8_t *f;
        xk_list_del(&w->link);
        f = inet_out(s, w->p.len);
        if (f) {
            memcpy(f, w->frame, w->p.len);
            memcpy(f, mac, 6);
            w->p.data = f;
            inet_send(s, &w->p);
        }
        drop_waiting(s, w);
    }
}

void neighbour_learn(struct xk_inet *s, struct xk_ip ip, const uint8_t *mac, int how)
{
    struct neighbour *n = neighbour_find(s, ip);
    uint8_t copy[6]; /* (mac) may lie in the table, or in a buffer that sending uses */

    if (!n && how & NEIGHBOUR_CREATE)
        n = add(s, ip);
    if (!n)
        return;
    memcpy(copy, mac, 6);
    if (!(how & NEIGHBOUR_STALE))
        n->until = s->now + (xk_ip_is4(ip) ? FRESH4 : FRESH6);
    else if (!n->known || memcmp(n->mac, copy, 6)) /* what was confirmed stays so */
        n->until = 0;
    if (!(how & NEIGHBOUR_STALE) || !n->known)
        n->tries = 0;
    memcpy(n->mac, copy, 6);
    n->known = 1;
    send_waiting(s, ip, copy);
}

static void ask(struct xk_inet *s, struct neighbour *n)
{
    if (xk_ip_is4(n->ip))
        arp_ask(s, xk_ip_to4(n->ip));
    else
        nd_ask(s, n->ip, n->known ? n->mac : NULL);
}

/* Asks once more, or gives up. */
void neighbour_timer(struct xk_timer *t)
{
    struct xk_inet *s = XK_CONTAINER(t, struct xk_inet, timer);
    int left = 0;

    s->now = xk_now(xk_loop_platform(s->loop));
    for (unsigned i = 0; i < INET_NEIGHBOURS; i++) {
        struct neighbour *n = &s->neighbour[i];
        if (!n->used || (n->known && !n->tries))
            continue;
        if (n->until > s->now) {
            left = 1;
            continue;
        }
        if (n->tries >= (xk_ip_is4(n->ip) ? TRIES4 : TRIES6)) {
            forget(s, n);
            continue;
        }
        n->tries++;
        n->until = s->now + AGAIN;
        ask(s, n);
        left = 1;
    }
    if (left)
        xk_timer_start(s->loop, &s->timer, s->now + AGAIN / 4);
}

static void begin(struct xk_inet *s, struct neighbour *n)
{
    n->tries = 1;
    n->until = s->now + AGAIN;
    ask(s, n);
    if (!s->timer.slot)
        xk_timer_start(s->loop, &s->timer, s->now + AGAIN / 4);
}

static int keep(struct xk_inet *s, struct xk_ip hop, const struct xk_packet *p)
{
    struct waiting *w = s->waitings < INET_WAITING ? xk_new(&s->alloc, sizeof(*w) + p->len) : NULL;

    if (!w) {
        s->stats.no_room++;
        return XK_EAGAIN;
    }
    w->hop = hop;
    w->p = *p;
    memcpy(w->frame, p->data, p->len);
    xk_list_add_tail(&s->waiting, &w->link);
    s->waitings++;
    return 0;
}

int neighbour_send(struct xk_inet *s, struct xk_ip hop, uint8_t *frame, struct xk_packet *p)
{
    struct neighbour *n = neighbour_find(s, hop);
    int r;

    if (n && n->known) {
        if (n->until < s->now && !n->tries)
            begin(s, n); /* it is used meanwhile */
        memcpy(frame, n->mac, 6);
        return inet_send(s, p);
    }
    r = keep(s, hop, p);
    if (!n)
        begin(s, add(s, hop));
    return r;
}

void neighbour_forget(struct xk_inet *s, int four)
{
    XK_LIST_EACH_SAFE(l, &s->waiting)
    {
        struct waiting *w = XK_CONTAINER(l, struct waiting, link);
        if (xk_ip_is4(w->hop) == four)
            drop_waiting(s, w);
    }
    for (unsigned i = 0; i < INET_NEIGHBOURS; i++)
        if (xk_ip_is4(s->neighbour[i].ip) == four)
            memset(&s->neighbour[i], 0, sizeof(s->neighbour[i]));
}
