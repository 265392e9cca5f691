/* Which queue a flow goes to: Toeplitz, as receive side scaling has it. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/packet.h>

uint32_t xk_toeplitz(const uint8_t *key, const uint8_t *data, size_t n)
{
    uint32_t window = xk_packet_get32(key), hash = 0;

    for (size_t i = 0; i < n; i++)
        for (int bit = 7; bit >= 0; bit--) {
            if (data[i] >> bit & 1)
                hash ^= window;
            window = window << 1 | (key[i + 4] >> bit & 1);
        }
    return hash;
}

uint32_t xk_packet_hash(const uint8_t key[40], const struct xk_packet *p)
{
    struct xk_packet_heads h;
    uint8_t input[36];
    size_t n;

    if (xk_packet_heads(p->data, p->len, &h) < 0 || h.proto == 0)
        return 0;
    n = h.type == XK_ETHER_IP4 ? 8 : 32;
    memcpy(input, p->data + h.l3 + (n == 8 ? 12 : 8), n);
    if (h.l4 && (h.proto == XK_IP_TCP || h.proto == XK_IP_UDP)) {
        memcpy(input + n, p->data + h.l4, 4);
        n += 4;
    }
    return xk_toeplitz(key, input, n);
}
