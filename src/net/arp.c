/* ARP (RFC 826), conflicts (RFC 5227). SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet.h"

enum { ARP_BYTES = 28, REQUEST = 1, REPLY = 2 };
static const xk_time DEFEND = 10 * XK_SECOND;
static const uint8_t everybody[6] = {255, 255, 255, 255, 255, 255}, nobody[6];
static const uint8_t head[6] = {0, 1, 8, 0, 6, 4}; /* Ethernet, IPv4, the lengths of their addresses */

static void say(struct xk_inet *s, uint16_t op, const uint8_t *to, xk_ip4 sender, const uint8_t *target_mac,
                xk_ip4 target)
{
    uint8_t *f = inet_out(s, XK_ETHER_HEAD + ARP_BYTES), *a = f ? f + XK_ETHER_HEAD : NULL;
    struct xk_packet p = {f, XK_ETHER_HEAD + ARP_BYTES, 0, 0, 0};

    if (!f)
        return;
    memcpy(f, to, 6);
    inet_link(s, f, XK_ETHER_ARP);
    memcpy(a, head, 6);
    xk_packet_put16(a + 6, op);
    memcpy(a + 8, s->dev->info.mac, 6);
    xk_packet_put32(a + 14, sender);
    memcpy(a + 18, target_mac, 6);
    xk_packet_put32(a + 24, target);
    inet_send(s, &p);
}

void arp_ask(struct xk_inet *s, xk_ip4 ip) { say(s, REQUEST, everybody, s->address, nobody, ip); }

void arp_announce(struct xk_inet *s) { say(s, REQUEST, everybody, s->address, nobody, s->address); }

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
        neighbour_learn(s, xk_ip_of4(sender), mac, op == REQUEST && target == s->address ? NEIGHBOUR_CREATE : 0);
    if (op == REQUEST && target == s->address)
        say(s, REPLY, mac, s->address, mac, sender);
}
