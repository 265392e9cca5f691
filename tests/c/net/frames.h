/* Frames that are right, for tests. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_NET_FRAMES_H
#define XK_TESTS_NET_FRAMES_H

#include <string.h>

#include <xenkit/packet.h>

static inline void frame_ether(uint8_t *f, const uint8_t *to, const uint8_t *from, uint16_t type)
{
    memcpy(f, to, 6);
    memcpy(f + 6, from, 6);
    xk_packet_put16(f + 12, type);
}

/* A TCP frame with (payload) bytes i * 7 + seed, its checksums right; its length. (v) 4 or 6. */
static inline uint32_t frame_tcp(uint8_t *f, int v, uint32_t payload, uint8_t seed)
{
    static const uint8_t to[6] = {2, 0, 0, 0, 0, 2}, from[6] = {2, 0, 0, 0, 0, 1};
    uint32_t ip = v == 4 ? 20 : 40, head = 14 + ip + 20;
    uint8_t *p = f + 14, *t = p + ip;

    memset(f, 0, head);
    frame_ether(f, to, from, v == 4 ? XK_ETHER_IP4 : XK_ETHER_IP6);
    if (v == 4) {
        p[0] = 0x45;
        xk_packet_put16(p + 2, (uint16_t)(40 + payload));
        xk_packet_put16(p + 4, 100);
        p[8] = 64;
        p[9] = XK_IP_TCP;
        xk_packet_put32(p + 12, 0x0a000001);
        xk_packet_put32(p + 16, 0x0a000002);
        xk_packet_put16(p + 10, xk_sum_fold(xk_sum(p, 20, 0)));
    } else {
        p[0] = 0x60;
        xk_packet_put16(p + 4, (uint16_t)(20 + payload));
        p[6] = XK_IP_TCP;
        p[7] = 64;
        p[8] = p[24] = 0xfd;
        p[23] = 1;
        p[39] = 2;
    }
    xk_packet_put16(t, 1000);
    xk_packet_put16(t + 2, 80);
    xk_packet_put32(t + 4, 0xfffffff0);
    t[12] = 5 << 4;
    t[13] = 0x19; /* ACK, PSH, FIN */
    for (uint32_t i = 0; i < payload; i++)
        f[head + i] = (uint8_t)(i * 7 + seed);
    xk_packet_fill(f, head + payload);
    return head + payload;
}

#endif
