/* net/inet.h - the stack's inside: what both versions of IP share, and IPv4. SPDX-License-Identifier: MIT */
#ifndef XK_NET_INET_H
#define XK_NET_INET_H

#include <xenkit/inet.h>
#include <xenkit/packet.h>

#include "base/list.h"

enum { INET_OUT = 256 * 1024, INET_NEIGHBOURS = 256, INET_WAITING = 64, INET_SOCKETS = 64 };
enum { INET_GROUPS = 32, INET_PATHS = 64 };
enum { INET_ICMP_BURST = 20, INET_ICMP_SECOND = 100 /* errors that may be sent, at once and per second */ };
enum { INET_HOPS = 64 };

struct neighbour {
    struct xk_ip ip;
    uint8_t mac[6], used, known;
    uint8_t tries;
    xk_time until; /* known: is asked again after; else: when to ask once more */
};

struct waiting { /* a packet that waits for its neighbour's address */
    struct xk_list link;
    struct xk_ip hop;
    struct xk_packet p;
    uint8_t frame[];
};

struct member { /* who listens to a group; (socket) NULL: the stack itself */
    struct xk_ip group;
    struct xk_udp *socket;
    unsigned count;   /* 0: free */
    unsigned reports; /* that are still to be sent */
    xk_time at;       /* the next */
};

struct path { /* what the table of routes does not say of a destination */
    struct xk_ip to, hop;
    uint16_t mtu; /* 0: as the device's */
    uint8_t used, redirected;
    xk_time until;
};

struct reassembly;
struct inet6;

struct xk_inet {
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_netdev *dev;
    xk_ip4 address, gateway, mask;
    unsigned prefix;
    struct inet6 *six; /* NULL: no IPv6 */
    struct neighbour neighbour[INET_NEIGHBOURS];
    struct xk_list waiting;
    unsigned waitings;
    struct xk_timer timer; /* the neighbours' */
    struct member member[INET_GROUPS];
    struct xk_timer reports; /* the groups' */
    struct path path[INET_PATHS];
    unsigned paths; /* 0: none is in use */
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

/* inet.c: frames. out - room for a frame, kept until the kick, or NULL. link - its source and type. send - one that was
 * made there. */
uint8_t *inet_out(struct xk_inet *s, size_t n);
void inet_link(struct xk_inet *s, uint8_t *frame, uint16_t type);
int inet_send(struct xk_inet *s, const struct xk_packet *p);
int inet_source(struct xk_inet *s, struct xk_ip to, struct xk_ip *from); /* XK_EGONE: there is none for that */
uint64_t inet_random(struct xk_inet *s);
xk_time inet_some(struct xk_inet *s, xk_time most); /* a time from 0 to (most) */
int inet_may_complain(struct xk_inet *s);           /* one more ICMP message that nobody asked for */

/* neighbour.c: who has which Ethernet address, by ARP or ND. */
enum { NEIGHBOUR_CREATE = 1, NEIGHBOUR_STALE = 2 /* not confirmed: it is asked when it is used */ };
struct neighbour *neighbour_find(struct xk_inet *s, struct xk_ip ip);
void neighbour_learn(struct xk_inet *s, struct xk_ip ip, const uint8_t *mac, int how);
/* Sends a frame, whose destination it fills in, by way of (hop), or keeps it until that is known. */
int neighbour_send(struct xk_inet *s, struct xk_ip hop, uint8_t *frame, struct xk_packet *p);
void neighbour_forget(struct xk_inet *s, int four); /* all of IPv4, or of IPv6 */
void neighbour_timer(struct xk_timer *t);

/* arp.c */
void arp_input(struct xk_inet *s, const uint8_t *frame, uint32_t len);
void arp_ask(struct xk_inet *s, xk_ip4 ip);
void arp_announce(struct xk_inet *s);

/* ip4.c. output - (frame) came from inet_out with IP4_ROOM bytes before (n) bytes of payload; (hops) 0: the usual. */
enum { IP4_HEAD = 20, IP4_ROOM = XK_ETHER_HEAD + IP4_HEAD };
void ip4_input(struct xk_inet *s, const struct xk_packet *p);
int ip4_output(struct xk_inet *s, uint8_t proto, xk_ip4 from, xk_ip4 to, uint8_t *frame, size_t n, int blank,
               uint8_t hops);
int ip4_route(const struct xk_inet *s, xk_ip4 to, xk_ip4 *hop); /* the next one on the way, or XK_EGONE */
int ip4_is_broadcast(const struct xk_inet *s, xk_ip4 ip);
void ip4_group_mac(xk_ip4 group, uint8_t mac[6]);

/* reassembly.c. A fragment at (at) of the datagram (from, to, id, proto); when that is whole: its payload, valid until
 * the next call, its length, and what the first fragment's (next) was. */
struct fragment {
    struct xk_ip from, to;
    uint32_t id;
    uint8_t proto, next, more;
    size_t at;
};
const uint8_t *reassembly_add(struct xk_inet *s, const struct fragment *f, const uint8_t *data, size_t n, size_t *whole,
                              uint8_t *next);
void reassembly_fini(struct xk_inet *s);

/* icmp.c. unreachable - (ip), of (n) bytes, could not be delivered; NULL: it came in fragments, and nothing is said. */
void icmp_input(struct xk_inet *s, xk_ip4 from, xk_ip4 to, const uint8_t *data, size_t n);
void icmp_unreachable(struct xk_inet *s, uint8_t code, xk_ip4 to, const uint8_t *ip, size_t n);

/* ping.c. answer - an echo's reply came; failed - what was sent to (to) with this number could not be delivered. */
void ping_answer(struct xk_inet *s, struct xk_ip from, uint16_t id);
void ping_failed(struct xk_inet *s, struct xk_ip to, uint16_t id, int err);

/* udp.c. input - 0: nobody has that port. failed - as much of a datagram of ours as an ICMP error quotes, 8 bytes at
 * least; 0: none of ours was like that. */
int udp_input(struct xk_inet *s, struct xk_ip from, struct xk_ip to, const uint8_t *data, size_t n, int checked);
int udp_failed(struct xk_inet *s, struct xk_ip to, const uint8_t *quoted, int err);

/* groups.c: multicast. has - somebody here listens. */
int group_join(struct xk_inet *s, struct xk_ip group, struct xk_udp *u);
void group_leave(struct xk_inet *s, struct xk_ip group, struct xk_udp *u);
void group_leave_all(struct xk_inet *s, struct xk_udp *u); /* (u) NULL: everybody's */
int group_has(const struct xk_inet *s, struct xk_ip group);
int group_is_all(struct xk_ip group); /* every host listens to it */
int group_member(const struct xk_inet *s, struct xk_ip group, const struct xk_udp *u);
void group_asked(struct xk_inet *s, struct xk_ip group, int four, xk_time within); /* (group) none: all */
void group_up(struct xk_inet *s);                                                  /* all are told again */
void group_timer(struct xk_timer *t);

/* igmp.c */
void igmp_input(struct xk_inet *s, xk_ip4 to, const uint8_t *ip, const uint8_t *data, size_t n);
void igmp_say(struct xk_inet *s, xk_ip4 group, int leaving);

/* path.c */
size_t path_mtu(struct xk_inet *s, struct xk_ip to, size_t mtu);
void path_too_big(struct xk_inet *s, struct xk_ip to, size_t mtu);
const struct xk_ip *path_hop(struct xk_inet *s, struct xk_ip to); /* NULL: it was not redirected */
void path_redirect(struct xk_inet *s, struct xk_ip to, struct xk_ip hop);
void path_forget(struct xk_inet *s);

#endif
