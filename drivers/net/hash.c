/* Receive side scaling as a guest wants it. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/nethash.h>
#include <xenkit/packet.h>

/* The type for a frame with these headers, as a bit's number; -1: none of the wanted ones. */
static int type_of(const struct xk_net_hash *h, const struct xk_packet_heads *heads)
{
    int six = heads->type == XK_ETHER_IP6, plain = six ? 2 : 0;

    if (heads->proto == XK_IP_TCP && heads->l4 && h->types >> (plain + 1) & 1)
        return plain + 1;
    return h->types >> plain & 1 ? plain : -1;
}

uint32_t xk_net_hash(const struct xk_net_hash *h, const struct xk_packet *p, int *type)
{
    struct xk_packet_heads heads;
    uint8_t input[36];
    size_t n;

    *type = -1;
    if (h->algorithm == XK_NET_HASH_NONE || xk_packet_heads(p->data, p->len, &heads) < 0 || heads.proto == 0)
        return 0;
    *type = type_of(h, &heads);
    if (*type < 0)
        return 0;
    n = heads.type == XK_ETHER_IP4 ? 8 : 32;
    memcpy(input, p->data + heads.l3 + (n == 8 ? 12 : 8), n);
    if (*type & 1) {
        memcpy(input + n, p->data + heads.l4, 4);
        n += 4;
    }
    return xk_toeplitz(h->key, input, n);
}

unsigned xk_net_hash_queue(const struct xk_net_hash *h, uint32_t value, unsigned queues)
{
    unsigned q = h->map_size ? h->map[value % h->map_size] : value;

    return q % queues;
}
