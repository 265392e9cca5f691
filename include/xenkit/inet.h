/* xenkit/inet.h - an IP stack on one network device: ARP, ICMP, UDP, multicast (RFC 791, 792, 768, 826, 1122, 1191,
 * 2236, 5227); IPv6 is started by inet6.h. Any number of them live in one program.
 *
 * All tables are of fixed size, or bounded: 256 neighbours, 64 packets that wait for one, 16 datagrams (together 512
 * KiB) that wait for fragments, 32 memberships of groups, 64 destinations with a path of their own. Never blocks. One
 * thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_INET_H
#define XENKIT_INET_H

#include <xenkit/ip.h>
#include <xenkit/loop.h>
#include <xenkit/netdev.h>

XK_API_BEGIN

struct xk_inet;

struct xk_inet_stats {
    uint64_t packets[2];                   /* in, out */
    uint64_t bad;                          /* came and made no sense, checksums too */
    uint64_t not_ours;                     /* for another address, or of a protocol that is not spoken */
    uint64_t no_room;                      /* could not be sent, or kept */
    uint64_t unresolved;                   /* nobody answered for the next hop */
    uint64_t fragments, reassembled, lost; /* (lost): datagrams whose rest never came, or was overlapping */
    uint64_t pings, refused;               /* echoes that were answered; "port unreachable" that was sent */
    uint64_t limited;                      /* ICMP that was not sent, as there was too much of it */
    uint64_t conflicts;                    /* others that used our address */
    uint64_t too_big;                      /* paths that turned out narrower than the device */
};

/* xk_inet_open (alloc, loop, device, out) - takes the device in use: its (receive), (room), (changed) and (user). It
 * stays its owner's, and outlives the stack. Without an address nothing but DHCP is spoken. */
XK_MUSTCHECK int xk_inet_open(const xk_alloc *alloc, struct xk_loop *loop, struct xk_netdev *device,
                              struct xk_inet **out);
void xk_inet_close(struct xk_inet *s); /* not from within its call-backs; sockets are closed before */

/* xk_inet_set (s, address, prefix, gateway) - its address; it is announced. (prefix) 0 .. 32 bits; (gateway) 0: none.
 * The address 0 takes it away. XK_EINVAL. */
int xk_inet_set(struct xk_inet *s, xk_ip4 address, unsigned prefix, xk_ip4 gateway);
xk_ip4 xk_inet_address(const struct xk_inet *s, unsigned *prefix, xk_ip4 *gateway); /* either may be NULL */

/* xk_inet_on_conflict (s, fn, arg) - somebody else, (mac), uses our address (RFC 5227, 2.4). We defend it, at most
 * every ten seconds. */
void xk_inet_on_conflict(struct xk_inet *s, void (*fn)(void *arg, const uint8_t mac[6]), void *arg);

/* xk_inet_on_up (s, fn, arg) - the device is up again, perhaps in another network. */
void xk_inet_on_up(struct xk_inet *s, void (*fn)(void *arg), void *arg);

/* xk_inet_source (s) - within a socket's (receive): the Ethernet address that the frame came from, of a datagram in
 * fragments the last one's. */
const uint8_t *xk_inet_source(const struct xk_inet *s);

/* xk_inet_has_way (s, to) - 1: there is an address of ours to speak from, and a next hop on the way. */
int xk_inet_has_way(struct xk_inet *s, struct xk_ip to);

struct xk_netdev *xk_inet_device(const struct xk_inet *s);
void xk_inet_stats(const struct xk_inet *s, struct xk_inet_stats *out);

/* xk_inet_neighbour (s, i, ip, mac) - the (i)-th known neighbour; XK_ENOENT beyond the last. */
int xk_inet_neighbour(const struct xk_inet *s, unsigned i, struct xk_ip *ip, uint8_t mac[6]);

/* --- UDP --- */

enum { XK_UDP_MAX = 65507 };

/* The caller places it, zeroed but for the call-backs and (hops). */
struct xk_udp {
    /* A datagram came; (data) is valid until it returns. May send, and close (u). (to) is our address, a broadcast's,
     * or a group's that was joined. */
    void (*receive)(struct xk_udp *u, struct xk_ip from, uint16_t port, struct xk_ip to, const uint8_t *data, size_t n);
    /* What was sent to (to, port) did not arrive, as a message of ICMP says: XK_ECONNREFUSED: nobody has that port;
     * XK_EGONE: there is no way. Anybody can forge that. NULL: nobody cares. */
    void (*failed)(struct xk_udp *u, struct xk_ip to, uint16_t port, int err);
    uint8_t hops; /* time to live, hop limit; 0: 64, to groups 1 */
    uint16_t port;
    struct xk_inet *s; /* NULL: not open */
    struct xk_udp *next;
};

/* xk_udp_open (s, u, port) - for both versions of IP; (port) 0: one that is free, not to be foreseen (RFC 6056).
 * XK_EBUSY: it is taken. */
XK_MUSTCHECK int xk_udp_open(struct xk_inet *s, struct xk_udp *u, uint16_t port);
void xk_udp_close(struct xk_udp *u);

/* xk_udp_send (u, to, port, data, n) - one datagram, in fragments if it has to be; it leaves when the call-back that it
 * is in returns, or before. 0 means that it was sent or waits for its neighbour's address. XK_EINVAL: too long;
 * XK_EGONE: there is no way to (to), the device is down, or there is no address yet; XK_EAGAIN: no room. */
int xk_udp_send(struct xk_udp *u, struct xk_ip to, uint16_t port, const void *data, size_t n);

/* xk_udp_join (u, group) - what is sent to this group and (u)'s port comes to (u), too; routers and switches are told
 * (RFC 2236, 3810). Memberships end with the socket. XK_EINVAL: it is no group; XK_EEXIST; XK_EMFILE: too many. */
int xk_udp_join(struct xk_udp *u, struct xk_ip group);
int xk_udp_leave(struct xk_udp *u, struct xk_ip group); /* XK_ENOENT */

/* --- echo --- */

struct xk_ping {
    void (*done)(struct xk_ping *p, int err, xk_time took); /* 0, XK_ETIMEDOUT, XK_EGONE: unreachable */
    struct xk_inet *s;
    struct xk_timer timer;
    struct xk_ping *next;
    xk_time sent;
    struct xk_ip to;
    uint16_t id;
};

/* xk_ping_start (s, p, to, bytes, deadline) - an echo request with so much in it. xk_ping_stop - (done) is not called.
 */
XK_MUSTCHECK int xk_ping_start(struct xk_inet *s, struct xk_ping *p, struct xk_ip to, size_t bytes, xk_time deadline);
void xk_ping_stop(struct xk_ping *p);

XK_API_END

#endif
