/* xenkit/packet.h - what can be said of, and done to, one Ethernet frame without knowing where it goes: headers,
 * checksums, cutting, the hash that chooses a queue. Pure. SPDX-License-Identifier: MIT */
#ifndef XENKIT_PACKET_H
#define XENKIT_PACKET_H

#include <xenkit/netdev.h>

XK_API_BEGIN

enum { XK_ETHER_IP4 = 0x0800, XK_ETHER_ARP = 0x0806, XK_ETHER_VLAN = 0x8100, XK_ETHER_IP6 = 0x86dd };
enum { XK_IP_ICMP = 1, XK_IP_IGMP = 2, XK_IP_TCP = 6, XK_IP_UDP = 17, XK_IP_ICMP6 = 58 };

/* Where a frame's headers lie; all of them are within the frame. */
struct xk_packet_heads {
    uint16_t type;   /* EtherType, behind VLAN tags */
    uint16_t vlan;   /* of the outermost tag, 0: none */
    uint16_t l3;     /* offset of the network header */
    uint16_t l4;     /* of the transport header; 0: none, or it is a fragment */
    uint16_t l4_end; /* of what stands behind TCP's or UDP's header */
    uint8_t proto;   /* XK_IP_TCP ...; 0: no IP */
    uint32_t end;    /* of the IP packet, without the frame's padding */
};

/* xk_packet_heads (data, len, h) - XK_EINVAL: a header lies beyond the end, or lengths contradict each other. What is
 * no IP is no error. IPv6's extension headers are passed over, up to eight. */
int xk_packet_heads(const uint8_t *data, uint32_t len, struct xk_packet_heads *h);

/* xk_sum (data, n, sum) - adds 16-bit words to a one's complement sum (RFC 1071); (sum) 0 to begin with. xk_sum_fold
 * gives the checksum, in the machine's order of a field that is stored by xk_packet_put16. */
uint32_t xk_sum(const void *data, size_t n, uint32_t sum);
uint16_t xk_sum_fold(uint32_t sum);

/* xk_packet_pseudo (data, h, len) - the sum of the pseudo header for (len) bytes of transport. */
uint32_t xk_packet_pseudo(const uint8_t *data, const struct xk_packet_heads *h, uint32_t len);

/* xk_packet_fill (data, len) - computes the checksum of a TCP or UDP frame whose field is blank. XK_EINVAL: it is none.
 * xk_packet_check (data, h) - 1: the transport's checksum is right (or UDP over IPv4 has none), 0. */
int xk_packet_fill(uint8_t *data, uint32_t len);
int xk_packet_check(const uint8_t *data, const struct xk_packet_heads *h);

/* xk_packet_cut (p, blank, each, arg) - makes of a large TCP packet the frames that it stands for, one after the other
 * in (scratch), which holds XK_ETHER_HEAD + headers + gso_size; (blank): their checksums stay blank. Calls (each) for
 * every one; a result < 0 ends it. Returns how many, XK_EINVAL. RFC 9293's rules for sequence numbers, PSH and FIN. */
int xk_packet_cut(const struct xk_packet *p, int blank, uint8_t *scratch, size_t size,
                  int (*each)(void *arg, const struct xk_packet *frame), void *arg);

/* xk_toeplitz (key, data, n) - the hash of receive side scaling (netif.h gives its definition); (key) has n + 4 bytes
 * or more. xk_packet_hash (key, p) - over addresses and ports of a frame, 40 bytes of key; 0: not IP. */
uint32_t xk_toeplitz(const uint8_t *key, const uint8_t *data, size_t n);
uint32_t xk_packet_hash(const uint8_t key[40], const struct xk_packet *p);

static inline uint16_t xk_packet_get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t xk_packet_get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void xk_packet_put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void xk_packet_put32(uint8_t *p, uint32_t v)
{
    xk_packet_put16(p, (uint16_t)(v >> 16));
    xk_packet_put16(p + 2, (uint16_t)v);
}

XK_API_END

#endif
