/* xenkit/inet6.h - IPv6 on a stack of inet.h: addresses of its own (RFC 4862), neighbours and routers (RFC 4861),
 * fragments (RFC 8200), ICMPv6 (RFC 4443), multicast (RFC 3810), and the other end of all that: a router's
 * advertisements. Sockets are the same, for both versions.
 *
 * Bounds: 16 addresses, 8 prefixes, 4 routers, 3 name servers; an advertisement beyond these is not followed.
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_INET6_H
#define XENKIT_INET6_H

#include <xenkit/inet.h>

XK_API_BEGIN

enum { XK_INET6_QUIET = 1 /* routers are neither asked nor heard */ };

/* xk_inet6_start (s, flags) - when its device is up, it gets a link-local address made of the device's (RFC 4291,
 * appendix A), which is used after nobody else was found to have it, a second or two (RFC 4862 5.4), and with it what
 * routers advertise. Of another address of the device's, others are made. XK_EBUSY: it is
 * started; XK_ENOMEM. xk_inet6_stop - all of it is forgotten; also by xk_inet_close. */
XK_MUSTCHECK int xk_inet6_start(struct xk_inet *s, unsigned flags);
void xk_inet6_stop(struct xk_inet *s);

/* xk_inet6_add (s, ip, prefix) - an address that somebody chose; the others of its prefix, 1 .. 128 bits, are on the
 * same link. XK_EINVAL: none that a host may have; XK_EEXIST; XK_EMFILE; XK_ENODEV: not started. xk_inet6_remove -
 * XK_ENOENT. xk_inet6_gateway - a router beside those that advertise themselves; :: takes it away. */
int xk_inet6_add(struct xk_inet *s, struct xk_ip ip, unsigned prefix);
int xk_inet6_remove(struct xk_inet *s, struct xk_ip ip);
int xk_inet6_gateway(struct xk_inet *s, struct xk_ip ip);

enum {                     /* struct xk_inet6_address, state */
       XK_INET6_TENTATIVE, /* others are asked whether they have it */
       XK_INET6_PREFERRED,
       XK_INET6_DEPRECATED, /* is not used for what begins */
       XK_INET6_DUPLICATE   /* somebody else has it: it is not used */
};

struct xk_inet6_address {
    struct xk_ip ip;
    uint8_t prefix, state, automatic;
    uint32_t preferred, valid; /* seconds that are left; UINT32_MAX: for ever */
};

/* The (i)-th of its addresses, routers in use, name servers that were advertised (RFC 8106); XK_ENOENT beyond the last.
 */
int xk_inet6_address(const struct xk_inet *s, unsigned i, struct xk_inet6_address *out);
int xk_inet6_router(const struct xk_inet *s, unsigned i, struct xk_ip *out);
int xk_inet6_dns(const struct xk_inet *s, unsigned i, struct xk_ip *out);

/* xk_inet6_on_change (s, fn, arg) - one of these is another. From within the loop. */
void xk_inet6_on_change(struct xk_inet *s, void (*fn)(void *arg), void *arg);

/* --- a router's advertisements --- */

struct xk_advertiser;

struct xk_advertiser_config {
    struct xk_ip prefix; /* of 64 bits: others make addresses of it */
    uint32_t seconds;    /* for which these are good; 0: a day; they are preferred for half of it */
    uint16_t router;     /* seconds for which we are a way to elsewhere; 0: we are none */
    uint16_t mtu;        /* 0: not told */
    struct xk_ip dns[3];
    uint8_t dns_count;
};

/* xk_advertiser_start (alloc, loop, s, config, out) - tells it every 200 to 600 seconds, and who asks (RFC 4861 6.2).
 * (s) has IPv6 started, quiet or not. XK_EINVAL: the prefix makes no sense; XK_EBUSY: there is one; XK_ENODEV.
 * xk_advertiser_stop - the last word is that we are no router any more. */
XK_MUSTCHECK int xk_advertiser_start(const xk_alloc *alloc, struct xk_loop *loop, struct xk_inet *s,
                                     const struct xk_advertiser_config *config, struct xk_advertiser **out);
void xk_advertiser_stop(struct xk_advertiser *a);

XK_API_END

#endif
