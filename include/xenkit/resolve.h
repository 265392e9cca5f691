/* xenkit/resolve.h - addresses of names, by asking name servers over UDP of a stack of inet.h: c-ares does it, with
 * sockets of ours. There is no file of hosts, no cache, and no TCP: an answer beyond 1232 bytes (EDNS) is not had.
 *
 * Each lookup has a socket of its own, at a port that is not to be foreseen, besides its random number (RFC 5452).
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_RESOLVE_H
#define XENKIT_RESOLVE_H

#include <xenkit/inet.h>

XK_API_BEGIN

enum { XK_RESOLVE_SERVERS = 6, XK_RESOLVE_ADDRESSES = 32, XK_RESOLVE_NAME = 253 };

struct xk_resolve_config {
    struct xk_ip server[XK_RESOLVE_SERVERS]; /* asked in this order, until one answers */
    uint8_t servers, tries;                  /* (tries): rounds of them; 0: 3 */
    uint16_t port;                           /* theirs; 0: 53 */
    uint32_t timeout;                        /* ms until the next is asked, twice that in the next round; 0: 1000 */
    const char *domain;                      /* is added to names without a dot; NULL: none */
};

struct xk_resolution;

/* The caller places it, zeroed but for (done). */
struct xk_lookup {
    /* 0: up to 32 addresses, valid until it returns, those first that there is a way to; (ttl) seconds, the least of
     * all. XK_ENOENT: there is no such name, or it has no such address; XK_ETIMEDOUT; XK_ECONNREFUSED: the servers say
     * no; XK_EPROTO: what they say makes no sense; XK_EINVAL: what is asked for is no name. May start it again. */
    void (*done)(struct xk_lookup *l, int err, const struct xk_ip *list, unsigned n, uint32_t ttl);
    struct xk_resolution *r; /* NULL: not under way */
};

enum { XK_RESOLVE_ANY = 0, XK_RESOLVE_IP4 = 4, XK_RESOLVE_IP6 = 6 };

/* xk_lookup_start (alloc, loop, s, config, name, version, l) - (done) comes later, from within the loop, also for what
 * needs no server, as an address as text. XK_EINVAL: no servers, or (name) is longer than a name may be; XK_ENOMEM.
 * xk_lookup_stop - (done) is not called. Before (s) is closed. */
XK_MUSTCHECK int xk_lookup_start(const xk_alloc *alloc, struct xk_loop *loop, struct xk_inet *s,
                                 const struct xk_resolve_config *config, const char *name, int version,
                                 struct xk_lookup *l);
void xk_lookup_stop(struct xk_lookup *l);

XK_API_END

#endif
