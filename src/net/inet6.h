/* net/inet6.h - IPv6's inside. SPDX-License-Identifier: MIT */
#ifndef XK_NET_INET6_H
#define XK_NET_INET6_H

#include <xenkit/inet6.h>

#include "net/inet.h"

enum { SIX_ADDRESSES = 16, SIX_PREFIXES = 8, SIX_ROUTERS = 4, SIX_DNS = 3 };

struct own6 { /* an address of ours */
    struct xk_ip ip;
    uint8_t used, prefix, automatic;
    uint8_t checked, asked, duplicate; /* of duplicate address detection: done; sent; somebody has it */
    xk_time at;                        /* its next step */
    xk_time preferred, valid;          /* until */
};

struct lasting { /* what an advertisement says: a prefix on the link, a router, a name server */
    struct xk_ip ip;
    uint8_t used, prefix;
    xk_time until;
};

struct inet6 {
    struct xk_inet *stack;
    unsigned flags;
    struct own6 own[SIX_ADDRESSES];
    struct lasting prefix[SIX_PREFIXES], router[SIX_ROUTERS], dns[SIX_DNS];
    struct xk_ip gateway;
    uint16_t mtu;        /* an advertisement's; 0: as the device's */
    uint8_t hops;        /* an advertisement's; 0: INET_HOPS */
    unsigned turn;       /* of routers that are not known to answer */
    xk_time ask_at, gap; /* when routers are asked next, and when again */
    xk_time mld1;        /* until then a router speaks MLD's version 1 */
    struct xk_timer timer;
    struct xk_advertiser *advertiser;
    void (*changed)(void *arg);
    void *changed_arg;
};

extern const struct xk_ip IP6_NONE, IP6_ALL_NODES, IP6_ALL_ROUTERS;

enum { IP6_HEAD = 40, IP6_ROOM = XK_ETHER_HEAD + IP6_HEAD, IP6_LEAST_MTU = 1280 };

/* ip6.c. output - as ip4_output. source - the address of ours that fits best for (to) (RFC 6724), or NULL. */
struct ip6_packet { /* that came */
    struct xk_ip from, to;
    const uint8_t *ip; /* NULL: it was reassembled, and nothing of it is quoted */
    size_t n;          /* of it */
    uint8_t hops;
    int checked;
};
void ip6_input(struct xk_inet *s, const struct xk_packet *p);
int ip6_output(struct xk_inet *s, uint8_t proto, struct xk_ip from, struct xk_ip to, uint8_t *frame, size_t n,
               int blank, uint8_t hops);

int ip6_route(struct xk_inet *s, struct xk_ip to, struct xk_ip *hop); /* the next one on the way, or XK_EGONE */

/* extension.c: headers between IPv6's and the protocol's (RFC 8200 4). (e) is moved behind those that can be passed
 * over. 0: go on; XK_EINVAL: the packet is dropped, and was complained of where that is due. */
enum { EXT_HOP = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_NONE = 59, EXT_DESTINATION = 60 };
struct extension {
    uint8_t next;  /* what stands at (at) */
    size_t at;     /* in the data */
    size_t field;  /* where the packet says (next) */
    size_t before; /* bytes of the packet before the data */
};
int extension_pass(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n, struct extension *e);

/* address6.c: ours. */
struct own6 *address6_find(const struct xk_inet *s, struct xk_ip ip);
const struct xk_ip *ip6_source(struct xk_inet *s, struct xk_ip to);
const struct xk_ip *address6_local(const struct xk_inet *s); /* link-local, in use; NULL */
int address6_put(struct xk_inet *s, struct xk_ip ip, unsigned prefix, int automatic, xk_time preferred, xk_time valid);
void address6_interface(const struct xk_inet *s, struct xk_ip *ip); /* its last 8 bytes (RFC 4291, appendix A) */
void address6_taken(struct xk_inet *s, struct xk_ip ip);            /* somebody else has, or wants, this one */
void address6_up(struct xk_inet *s);
void address6_wake(struct xk_inet *s, xk_time at); /* its timer goes at (at), or before */
void address6_told(struct xk_inet *s);             /* something is another */

/* icmp6.c. output - (frame) has IP6_ROOM before (n) bytes of a message, whose checksum it fills in; (from) NULL: what
 * fits. complain - of a packet that came: type, code, and the word behind the checksum. */
enum { ICMP6_UNREACHABLE = 1, ICMP6_TOO_BIG, ICMP6_TIME, ICMP6_PARAMETER, ICMP6_ECHO = 128, ICMP6_ECHO_REPLY };
enum { ICMP6_QUERY = 130, ICMP6_REPORT, ICMP6_DONE, ICMP6_RS, ICMP6_RA, ICMP6_NS, ICMP6_NA, ICMP6_REDIRECT };
enum { ICMP6_REPORT2 = 143 };
void icmp6_input(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n);
int icmp6_output(struct xk_inet *s, const struct xk_ip *from, struct xk_ip to, uint8_t *frame, size_t n, uint8_t hops);
uint16_t icmp6_sum(struct xk_ip from, struct xk_ip to, const uint8_t *m, size_t n);
void icmp6_complain(struct xk_inet *s, const struct ip6_packet *p, uint8_t type, uint8_t code, uint32_t word);

/* nd.c: neighbours. ask - (mac) NULL: everybody who might be (ip); else this one. options - calls (fn) for each, and
 * says XK_EINVAL when one is longer than there is. put_mac - our own address as an option, 8 bytes. */
enum { ND_SOURCE_MAC = 1, ND_TARGET_MAC, ND_PREFIX, ND_MTU = 5, ND_DNS = 25 };
void nd_input(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n);
void nd_ask(struct xk_inet *s, struct xk_ip ip, const uint8_t *mac);
void nd_probe(struct xk_inet *s, struct xk_ip ip); /* has anybody this address, which we want? */
void nd_announce(struct xk_inet *s, struct xk_ip ip);
struct xk_ip nd_group(struct xk_ip ip); /* the solicited node's */
const uint8_t *nd_option(const uint8_t *options, size_t n, uint8_t type, unsigned which, size_t *size);
void nd_put_mac(struct xk_inet *s, uint8_t *at, uint8_t type);
const uint8_t *nd_mac(const uint8_t *options, size_t n, uint8_t type); /* NULL: it is not there */

/* slaac.c: what routers advertise, heard. ask - for it. next_hop - the router to (to), or XK_EGONE. */
void slaac_input(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n);
void slaac_ask(struct xk_inet *s);
void slaac_expire(struct xk_inet *s, xk_time *next);
int slaac_on_link(const struct xk_inet *s, struct xk_ip to);
int slaac_router(struct xk_inet *s, struct xk_ip *hop);

/* advertise.c */
void advertise_asked(struct xk_inet *s, struct xk_ip by);

/* mld.c */
enum group_word { GROUP_IS = 2, GROUP_LEFT = 3, GROUP_JOINED = 4 }; /* as MLD's types of records */
void mld_input(struct xk_inet *s, const struct ip6_packet *p, const uint8_t *data, size_t n);
void mld_say(struct xk_inet *s, struct xk_ip group, enum group_word word);

#endif
