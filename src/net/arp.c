/* ARP (RFC 826), its timing (RFC 1122 2.3.2), conflicts (RFC 5227). A neighbour has its place in a row of four; the one
 * that was not asked for the longest time makes room. SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet.h"

enum { ROW = 4, TRIES = 4, ARP_BYTES = 28, REQUEST = 1, REPLY = 2 };
static const xk_time FRESH = 60 * XK_SECOND, AGAIN = XK_SECOND, DEFEND = 10 * XK_SECOND;
static const uint8_t everybody[6] = {255, 255, 255, 255, 255, 255}, nobody[6];

/* --- messages ----------------------------------------------------------------------------------------------------- */

static void say(struct xk_inet *s, uint16_t op, const uint8_t *to, xk_ip4 sender, const uint8_t *target_mac,
                xk_ip4 target)
{
    uint8_t *f = inet_out(s, XK_ETHER_HEAD + ARP_BYTES), *a = f ? f + XK_ETHER_HEAD : NULL;
    struct xk_packet p = {f, XK_ETHER_HEAD + ARP_BYTES, 0, 0, 0};
    static const uint8_t head[6] = {0, 1, 8, 0, 6, 4};

    if (!f)
        return;
    memcpy(f, to, 6);
    memcpy(f + 6, s->dev->info.mac, 6);
    xk_packet_put16(f + 12, XK_ETHER_ARP);
    memcpy(a, head, 6);
    xk_packet_put16(a + 6, op);
    memcpy(a + 8, s->dev->info.mac, 6);
    xk_packet_put32(a + 14, sender);
    memcpy(a + 18, target_mac, 6);
    xk_packet_put32(a + 24, target);
    inet_send(s, &p);
}

static void ask(struct xk_inet *s, xk_ip4 ip) { say(s, REQUEST, everybody, s->address, nobody, ip); }

void arp_announce(struct xk_inet *s) { say(s, REQUEST, everybody, s->address, nobody, s->address); }

/* --- the table ---------------------------------------------------------------------------------------------------- */

static struct neighbour *row_of(struct xk_inet *s, xk_ip4 ip)
{
    return &s->neighbour[(ip * 2654435761u >> 20) % (INET_NEIGHBOURS / ROW) * ROW];
}

static struct neighbour *find(struct xk_inet *s, xk_ip4 ip)
{
    struct neighbour *row = row_of(s, ip);

    for (int i = 0; i < ROW; i++)
        if (row[i].ip == ip)
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
        if (w->hop != n->ip)
            continue;
        s->stats.unresolved++;
        drop_waiting(s, w);
    }
    memset(n, 0, sizeof(*n));
}

static struct neighbour *add(struct xk_inet *s, xk_ip4 ip)
{
    struct neighbour *row = row_of(s, ip), *oldest = row;

    for (int i = 0; i < ROW; i++)
        if (!row[i].ip || (oldest->ip && row[i].until < oldest->until))
            oldest = &row[i];
    if (oldest->ip)
        forget(s, oldest);
    oldest->ip = ip;
    return oldest;
}

static struct waiting *next_for(struct xk_inet *s, xk_ip4 ip)
{
    XK_LIST_EACH(l, &s->waiting)
    if (XK_CONTAINER(l, struct waiting, link)->hop == ip)
        return XK_CONTAINER(l, struct waiting, link);
    return NULL;
}

static void learn(struct xk_inet *s, xk_ip4 ip, const uint8_t *mac, int create)
{
    struct neighbour *n = find(s, ip);
    struct waiting *w;

    if (!n && create)
        n = add(s, ip);
    if (!n)
        return;
    memcpy(n->mac, mac, 6);
    n->known = 1;
    n->tries = 0;
    n->until = s->now + FRESH;
    while ((w = next_for(s, ip))) { /* from the beginning each time: sending may lead here again */
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

/* Asks once more, or gives up. A known neighbour is asked again when it is used after its time: see arp_send. */
void arp_timer(struct xk_timer *t)
{
    struct xk_inet *s = XK_CONTAINER(t, struct xk_inet, timer);
    int left = 0;

    s->now = xk_now(xk_loop_platform(s->loop));
    for (unsigned i = 0; i < INET_NEIGHBOURS; i++) {
        struct neighbour *n = &s->neighbour[i];
        if (!n->ip || (n->known && !n->tries))
            continue;
        if (n->until > s->now) {
            left = 1;
            continue;
        }
        if (n->tries >= TRIES) {
            forget(s, n);
            continue;
        }
        n->tries++;
        n->until = s->now + AGAIN;
        ask(s, n->ip);
        left = 1;
    }
    if (left)
        xk_timer_start(s->loop, &s->timer, s->now + AGAIN / 4);
}

static void begin(struct xk_inet *s, struct neighbour *n)
{
    n->tries = 1;
    n->until = s->now + AGAIN;
    ask(s, n->ip);
    if (!s->timer.slot)
        xk_timer_start(s->loop, &s->timer, s->now + AGAIN / 4);
}

/* --- to and from the stack ---------------------------------------------------------------------------------------- */

static int keep(struct xk_inet *s, xk_ip4 hop, const struct xk_packet *p)
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

int arp_send(struct xk_inet *s, xk_ip4 hop, uint8_t *frame, struct xk_packet *p)
{
    struct neighbour *n;
    int r;

    memcpy(frame + 6, s->dev->info.mac, 6);
    xk_packet_put16(frame + 12, XK_ETHER_IP4);
    if (ip4_is_broadcast(s, hop) || hop >> 28 == 14) {
        static const uint8_t group[3] = {1, 0, 0x5e};
        memcpy(frame, everybody, 6);
        if (hop >> 28 == 14) { /* RFC 1112, 6.4 */
            memcpy(frame, group, 3);
            frame[3] = hop >> 16 & 0x7f;
            xk_packet_put16(frame + 4, (uint16_t)hop);
        }
        return inet_send(s, p);
    }
    n = find(s, hop);
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

static void check_conflict(struct xk_inet *s, const uint8_t *mac)
{
    s->stats.conflicts++;
    if (s->now - s->defended > DEFEND || s->defended == 0) {
        s->defended = s->now;
        arp_announce(s);
    }
    if (s->conflict)
        s->conflict(s->conflict_arg, mac);
}

void arp_input(struct xk_inet *s, const uint8_t *frame, uint32_t len)
{
    static const uint8_t head[6] = {0, 1, 8, 0, 6, 4};
    const uint8_t *a = frame + XK_ETHER_HEAD, *mac = a + 8;
    xk_ip4 sender, target;
    uint16_t op;

    if (len < XK_ETHER_HEAD + ARP_BYTES || memcmp(a, head, 6) || mac[0] & 1) {
        s->stats.bad++;
        return;
    }
    op = xk_packet_get16(a + 6);
    sender = xk_packet_get32(a + 14);
    target = xk_packet_get32(a + 24);
    if (!s->address)
        return;
    if (sender == s->address) {
        if (memcmp(mac, s->dev->info.mac, 6))
            check_conflict(s, mac);
        return;
    }
    if (sender && ((sender ^ s->address) & s->mask) == 0 && !ip4_is_broadcast(s, sender))
        learn(s, sender, mac, op == REQUEST && target == s->address);
    if (op == REQUEST && target == s->address)
        say(s, REPLY, mac, s->address, mac, sender);
}

/* All is forgotten: the address became another, or the stack ends. */
void arp_fini(struct xk_inet *s)
{
    xk_timer_stop(s->loop, &s->timer);
    XK_LIST_EACH_SAFE(l, &s->waiting)
    drop_waiting(s, XK_CONTAINER(l, struct waiting, link));
    memset(s->neighbour, 0, sizeof(s->neighbour));
}
