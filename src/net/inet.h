/* net/inet.h - the stack's inside. SPDX-License-Identifier: MIT */
#ifndef XK_NET_INET_H
#define XK_NET_INET_H

#include <xenkit/inet.h>
#include <xenkit/packet.h>

#include "base/list.h"

enum { INET_OUT = 256 * 1024, INET_NEIGHBOURS = 256, INET_WAITING = 64, INET_SOCKETS = 64 };
enum { INET_ICMP_BURST = 20, INET_ICMP_SECOND = 100 /* errors that may be sent, at once and per second */ };

struct neighbour {
    xk_ip4 ip; /* 0: free */
    uint8_t mac[6], known;
    uint8_t tries;
    xk_time until; /* known: is asked again after; else: when to ask once more */
};

struct waiting { /* a packet that waits for its neighbour's address */
    struct xk_list link;
    xk_ip4 hop;
    struct xk_packet p;
    uint8_t frame[];
};

struct reassembly;

struct xk_inet {
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_netdev *dev;
    xk_ip4 address, gateway, mask;
    unsigned prefix;
    struct neighbour neighbour[INET_NEIGHBOURS];
    struct xk_list waiting;
    unsigned waitings;
    struct xk_timer timer; /* the neighbours' */
    struct reassembly *reassembly;
    struct xk_udp *socket[INET_SOCKETS]; /* by port */
    struct xk_ping *pings;
    uint8_t *out; /* frames until the kick */
    size_t used;
    struct xk_defer later; /* the kick, where no call-back of the device ends soon */
    const uint8_t *source; /* of the frame that is being looked at */
    int busy, kicking;
    uint16_t id;
    uint64_t secret[2]; /* for numbers that are not to be foreseen */
    xk_time now, defended, icmp_at;
    uint32_t icmp_left;
    void (*conflict)(void *arg, const uint8_t mac[6]);
    void *conflict_arg;
    void (*up)(void *arg);
    void *up_arg;
    struct xk_inet_stats stats;
};

/* inet.c: frames. out - room for a frame, kept until the kick, or NULL. send - one that was made there. */
uint8_t *inet_out(struct xk_inet *s, size_t n);
int inet_send(struct xk_inet *s, const struct xk_packet *p);
uint64_t inet_random(struct xk_inet *s);

/* arp.c */
void arp_input(struct xk_inet *s, const uint8_t *frame, uint32_t len);
/* Sends a frame, whose destination it fills in, by way of (hop). */
int arp_send(struct xk_inet *s, xk_ip4 hop, uint8_t *frame, struct xk_packet *p);
void arp_announce(struct xk_inet *s);
void arp_fini(struct xk_inet *s);
void arp_timer(struct xk_timer *t);

/* ip4.c. output - (frame) came from inet_out with XK_ETHER_HEAD + 20 bytes of room before (n) bytes of payload. */
enum { IP4_HEAD = 20, IP4_ROOM = XK_ETHER_HEAD + IP4_HEAD };
void ip4_input(struct xk_inet *s, const struct xk_packet *p);
void ip4_deliver(struct xk_inet *s, uint8_t proto, xk_ip4 from, xk_ip4 to, const uint8_t *ip, const uint8_t *data,
                 size_t n, int checked); /* (ip) NULL: it was reassembled */
int ip4_output(struct xk_inet *s, uint8_t proto, xk_ip4 from, xk_ip4 to, uint8_t *frame, size_t n, int blank);
int ip4_is_broadcast(const struct xk_inet *s, xk_ip4 ip);

/* reassembly.c. A fragment; when its datagram is whole: its payload, valid until the next call, and its length. */
const uint8_t *reassembly_add(struct xk_inet *s, const uint8_t *ip, const uint8_t *data, size_t n, size_t *whole);
void reassembly_fini(struct xk_inet *s);

/* icmp.c */
void icmp_input(struct xk_inet *s, xk_ip4 from, xk_ip4 to, const uint8_t *data, size_t n);
void icmp_unreachable(struct xk_inet *s, uint8_t code, xk_ip4 to, const uint8_t *ip, size_t n);

/* udp.c */
void udp_input(struct xk_inet *s, xk_ip4 from, xk_ip4 to, const uint8_t *ip, const uint8_t *data, size_t n,
               int checked);
void udp_unreachable(struct xk_inet *s, xk_ip4 to, const uint8_t *data, size_t n);

#endif
