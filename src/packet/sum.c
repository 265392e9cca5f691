/* Internet checksums (RFC 1071, 768, 9293, 8200 8.1). SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/packet.h>

/* Words are added in the machine's own order, eight bytes at a time; the order is put right once, as the sum's bytes
 * swap with those of its words (RFC 1071, 2(B)). (sum) and the result are in the order of the wire. */
uint32_t xk_sum(const void *data, size_t n, uint32_t sum)
{
    const uint8_t *p = data;
    uint64_t all = 0, word;
    uint16_t tail = 0;

    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        all += word;
        all += all < word;
    }
    for (; n >= 2; n -= 2, p += 2) {
        memcpy(&tail, p, 2);
        all += tail;
        all += all < tail;
    }
    if (n) {
        tail = 0;
        memcpy(&tail, p, 1);
        all += tail;
        all += all < tail;
    }
    all = (all & 0xffffffff) + (all >> 32);
    all = (all & 0xffff) + (all >> 16 & 0xffff) + (all >> 32);
    all = (all & 0xffff) + (all >> 16);
    all = (all & 0xffff) + (all >> 16);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    all = (all & 0xff) << 8 | all >> 8;
#endif
    return sum + (uint32_t)all < sum ? sum + (uint32_t)all + 1 : sum + (uint32_t)all;
}

uint16_t xk_sum_fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

uint32_t xk_packet_pseudo(const uint8_t *data, const struct xk_packet_heads *h, uint32_t len)
{
    uint32_t sum = h->type == XK_ETHER_IP4 ? xk_sum(data + h->l3 + 12, 8, 0) : xk_sum(data + h->l3 + 8, 32, 0);

    return sum + (len >> 16) + (len & 0xffff) + h->proto;
}

static int field_of(const struct xk_packet_heads *h)
{
    return !h->l4 ? XK_EINVAL : h->proto == XK_IP_TCP ? h->l4 + 16 : h->proto == XK_IP_UDP ? h->l4 + 6 : XK_EINVAL;
}

int xk_packet_fill(uint8_t *data, uint32_t len)
{
    struct xk_packet_heads h;
    int r = xk_packet_heads(data, len, &h), field = r < 0 ? r : field_of(&h);
    uint16_t sum;

    if (field < 0)
        return XK_EINVAL;
    xk_packet_put16(data + field, 0);
    sum = xk_sum_fold(xk_sum(data + h.l4, h.end - h.l4, xk_packet_pseudo(data, &h, h.end - h.l4)));
    xk_packet_put16(data + field, sum == 0 && h.proto == XK_IP_UDP ? 0xffff : sum);
    return 0;
}

int xk_packet_check(const uint8_t *data, const struct xk_packet_heads *h)
{
    uint32_t len = h->end - h->l4;

    if (!h->l4)
        return 0;
    if (h->proto == XK_IP_UDP && xk_packet_get16(data + h->l4 + 6) == 0)
        return h->type == XK_ETHER_IP4;
    if (h->proto == XK_IP_ICMP)
        return xk_sum_fold(xk_sum(data + h->l4, len, 0)) == 0;
    return xk_sum_fold(xk_sum(data + h->l4, len, xk_packet_pseudo(data, h, len))) == 0;
}
