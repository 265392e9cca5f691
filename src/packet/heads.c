/* Where headers lie. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/packet.h>

enum { IP4_MIN = 20, IP6_HEAD = 40, EXTENSIONS_MAX = 8, TAGS_MAX = 2 };
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };

/* TCP's and UDP's own header; others have none that is needed here. */
static int transport(const uint8_t *data, struct xk_packet_heads *h)
{
    uint32_t left = h->end - h->l4, n = 0;

    if (h->proto == XK_IP_UDP)
        n = 8;
    else if (h->proto == XK_IP_TCP)
        n = left < 20 ? 20 : (data[h->l4 + 12] >> 4) * 4u;
    if (n > left || (h->proto == XK_IP_TCP && n < 20))
        return XK_EINVAL;
    h->l4_end = (uint16_t)(h->l4 + n);
    return 0;
}

static int ip4(const uint8_t *data, uint32_t len, struct xk_packet_heads *h)
{
    const uint8_t *p = data + h->l3;
    uint32_t room = len - h->l3, head, total;

    if (room < IP4_MIN || p[0] >> 4 != 4)
        return XK_EINVAL;
    head = (p[0] & 15) * 4u;
    total = xk_packet_get16(p + 2);
    if (head < IP4_MIN || head > total || total > room)
        return XK_EINVAL;
    h->end = h->l3 + total;
    h->proto = p[9];
    if (xk_packet_get16(p + 6) & 0x3fff) /* a fragment, the first too */
        return 0;
    h->l4 = (uint16_t)(h->l3 + head);
    return transport(data, h);
}

static int ip6(const uint8_t *data, uint32_t len, struct xk_packet_heads *h)
{
    const uint8_t *p = data + h->l3;
    uint32_t at = h->l3 + IP6_HEAD;
    uint8_t next;

    if (len < at || p[0] >> 4 != 6 || at + xk_packet_get16(p + 4) > len)
        return XK_EINVAL;
    h->end = at + xk_packet_get16(p + 4);
    next = p[6];
    for (int i = 0; i < EXTENSIONS_MAX; i++) {
        uint32_t n;
        if (next == FRAGMENT) {
            h->proto = FRAGMENT;
            return 0;
        }
        if (next != HOP_BY_HOP && next != ROUTING && next != DESTINATION) {
            h->proto = next;
            h->l4 = (uint16_t)at;
            return transport(data, h);
        }
        if (h->end - at < 8)
            return XK_EINVAL;
        n = (data[at + 1] + 1u) * 8;
        if (n > h->end - at)
            return XK_EINVAL;
        next = data[at];
        at += n;
    }
    return XK_EINVAL;
}

int xk_packet_heads(const uint8_t *data, uint32_t len, struct xk_packet_heads *h)
{
    uint32_t at = 12;

    memset(h, 0, sizeof(*h));
    if (len < XK_ETHER_HEAD || len > XK_PACKET_MAX)
        return XK_EINVAL;
    for (int tags = 0; (h->type = xk_packet_get16(data + at)) == XK_ETHER_VLAN && tags < TAGS_MAX; tags++) {
        if (len < at + 6)
            return XK_EINVAL;
        if (tags == 0)
            h->vlan = xk_packet_get16(data + at + 2) & 0xfff;
        at += 4;
    }
    h->l3 = (uint16_t)(at + 2);
    h->end = len;
    return h->type == XK_ETHER_IP4 ? ip4(data, len, h) : h->type == XK_ETHER_IP6 ? ip6(data, len, h) : 0;
}
