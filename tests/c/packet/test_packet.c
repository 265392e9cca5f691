/* Headers, checksums, cutting, hashes. SPDX-License-Identifier: MIT */
#include "tests/c/tap.h"

#include "tests/c/net/frames.h"

TEST(a_checksum_of_rfc_1071)
{
    static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    uint8_t big[999];

    EQ(xk_sum_fold(xk_sum(data, sizeof(data), 0)), (uint16_t)~0xddf2); /* its own example, section 3 */
    for (unsigned i = 0; i < sizeof(big); i++)
        big[i] = (uint8_t)(i * 31 + (i >> 3));
    for (unsigned n = 0; n < sizeof(big); n++) { /* against the plainest loop there is, at each alignment */
        uint32_t sum = 0;
        for (unsigned i = 0; i < n - n % 7; i++)
            sum += i & 1 ? big[i + n % 7] : (uint32_t)big[i + n % 7] << 8;
        while (sum >> 16)
            sum = (sum & 0xffff) + (sum >> 16);
        EQ(xk_sum_fold(xk_sum(big + n % 7, n - n % 7, 0)), (uint16_t)~sum);
    }
}

TEST(headers_are_found)
{
    uint8_t f[200];
    struct xk_packet_heads h;
    uint32_t n = frame_tcp(f, 4, 10, 0);

    EQ(xk_packet_heads(f, n, &h), 0);
    EQ(h.l3, 14);
    EQ(h.l4, 34);
    EQ(h.l4_end, 54);
    EQ(h.end, 64);
    EQ(h.proto, XK_IP_TCP);
    EQ(xk_packet_check(f, &h), 1);
    f[60] ^= 1;
    EQ(xk_packet_check(f, &h), 0);
    n = frame_tcp(f, 6, 10, 0);
    EQ(xk_packet_heads(f, n + 5, &h), 0); /* padded */
    EQ(h.l4_end, 74);
    EQ(h.end, n);
    EQ(xk_packet_check(f, &h), 1);
    memmove(f + 18, f + 14, n - 14);
    xk_packet_put16(f + 14, 0x6007);
    memcpy(f + 16, "\x86\xdd", 2);
    xk_packet_put16(f + 12, XK_ETHER_VLAN);
    EQ(xk_packet_heads(f, n + 4, &h), 0);
    EQ(h.vlan, 7);
    EQ(h.l4, 58);
}

TEST(what_cannot_be_is_refused)
{
    uint8_t f[200];
    struct xk_packet_heads h;
    uint32_t n = frame_tcp(f, 4, 10, 0);

    for (uint32_t i = 0; i < 64; i++)
        OK(xk_packet_heads(f, i, &h) < 0); /* cut anywhere */
    f[14] = 0x44;
    OK(xk_packet_heads(f, n, &h) < 0);
    f[14] = 0x4f; /* options beyond the end of TCP's header */
    OK(xk_packet_heads(f, n, &h) < 0);
    n = frame_tcp(f, 4, 10, 0);
    f[46] = 0x40;
    OK(xk_packet_heads(f, n, &h) < 0);
    f[46] = 0xf0;
    OK(xk_packet_heads(f, n, &h) < 0);
    n = frame_tcp(f, 4, 10, 0);
    f[20] = 0x20; /* a first fragment has no transport */
    EQ(xk_packet_heads(f, n, &h), 0);
    EQ(h.l4, 0);
    n = frame_tcp(f, 6, 10, 0);
    for (uint32_t i = 0; i < n; i++)
        OK(xk_packet_heads(f, i, &h) < 0);
    f[20] = 60; /* TCP's bytes read as a header of options: longer than the packet */
    f[55] = 200;
    OK(xk_packet_heads(f, n, &h) < 0);
}

struct cuts {
    int n, v, blank, fail_at;
    uint32_t payload, each, at;
};

static int on_cut(void *arg, const struct xk_packet *p)
{
    struct cuts *c = arg;
    struct xk_packet_heads h;
    uint8_t copy[4096];
    uint32_t n;

    if (c->fail_at && c->n + 1 == c->fail_at)
        return XK_EAGAIN;
    EQ(xk_packet_heads(p->data, p->len, &h), 0);
    n = p->len - h.l4_end;
    EQ(n, c->payload - c->at < c->each ? c->payload - c->at : c->each);
    EQ(xk_packet_get32(p->data + h.l4 + 4), 0xfffffff0 + c->at);
    EQ(p->data[h.l4 + 13], c->at + n == c->payload ? 0x19 : 0x10);
    for (uint32_t i = 0; i < n; i++)
        EQ(p->data[h.l4_end + i], (uint8_t)((c->at + i) * 7 + 3));
    memcpy(copy, p->data, p->len);
    if (c->blank)
        EQ(xk_packet_fill(copy, p->len), 0);
    EQ(xk_packet_check(copy, &h), 1);
    if (c->v == 4) {
        EQ(xk_sum_fold(xk_sum(p->data + 14, 20, 0)), 0);
        EQ(xk_packet_get16(p->data + 18), 100 + c->n);
    }
    c->at += n;
    c->n++;
    return 0;
}

TEST(a_large_packet_is_cut)
{
    static uint8_t f[65536], scratch[2000];

    for (int v = 4; v <= 6; v += 2)
        for (int blank = 0; blank < 2; blank++) {
            struct cuts c = {0, v, blank, 0, 10000, 1448, 0};
            struct xk_packet p = {f, frame_tcp(f, v, 10000, 3), XK_PACKET_CSUM_BLANK,
                                  v == 4 ? XK_GSO_TCP4 : XK_GSO_TCP6, 1448};
            EQ(xk_packet_cut(&p, blank, scratch, sizeof(scratch), on_cut, &c), 7);
            EQ(c.at, 10000);
            c = (struct cuts){0, v, blank, 3, 10000, 1448, 0};
            EQ(xk_packet_cut(&p, blank, scratch, sizeof(scratch), on_cut, &c), XK_EAGAIN);
            EQ(c.n, 2);
            p.gso = v == 4 ? XK_GSO_TCP6 : XK_GSO_TCP4;
            EQ(xk_packet_cut(&p, blank, scratch, sizeof(scratch), on_cut, &c), XK_EINVAL);
            p.gso = v == 4 ? XK_GSO_TCP4 : XK_GSO_TCP6;
            EQ(xk_packet_cut(&p, blank, scratch, 1400, on_cut, &c), XK_EINVAL);
        }
}

/* The verification suite that Microsoft publishes for receive side scaling. */
TEST(toeplitz_as_others_compute_it)
{
    static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
                                    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
                                    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
    /* 66.9.149.187:2794 to 161.142.100.80:1766 */
    static const uint8_t in[] = {66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6};
    uint8_t f[100];
    struct xk_packet p = {f, frame_tcp(f, 4, 4, 0), 0, 0, 0};

    EQ(xk_toeplitz(key, in, 8), 0x323e8fc2);
    EQ(xk_toeplitz(key, in, 12), 0x51ccc178);
    memcpy(f + 26, in, 12 - 4);
    memcpy(f + 34, in + 8, 4);
    EQ(xk_packet_hash(key, &p), 0x51ccc178);
    f[12] = 0;
    EQ(xk_packet_hash(key, &p), 0);
}
