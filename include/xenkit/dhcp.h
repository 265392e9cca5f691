/* xenkit/dhcp.h - addresses from a server, and for clients (RFC 2131, 2132), over a stack of inet.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_DHCP_H
#define XENKIT_DHCP_H

#include <xenkit/inet.h>

XK_API_BEGIN

struct xk_dhcp_lease {
    xk_ip4 address, server, router, dns[3];
    uint8_t prefix, dns_count;
    uint16_t mtu;     /* 0: it did not say */
    uint32_t seconds; /* 0xffffffff: for ever */
    char domain[64];
};

/* --- client --- */

struct xk_dhcp_client;

/* xk_dhcp_client_start (alloc, loop, s, hostname, told, arg, out) - asks until it gets an address, gives it to (s),
 * renews it at half of its time with the same server, at seven eighths with any (4.4.5). (told) is called with each new
 * lease, and with NULL when the address is lost. (hostname) NULL: says none. Begins with what it had when the device
 * comes up again. */
XK_MUSTCHECK int xk_dhcp_client_start(const xk_alloc *alloc, struct xk_loop *loop, struct xk_inet *s,
                                      const char *hostname, void (*told)(void *arg, const struct xk_dhcp_lease *lease),
                                      void *arg, struct xk_dhcp_client **out);
void xk_dhcp_client_stop(struct xk_dhcp_client *c); /* the address stays */

/* --- server --- */

struct xk_dhcp_server;

struct xk_dhcp_server_config {
    xk_ip4 first, last; /* addresses to give; at most 4096, in the stack's own network, its own address left out */
    uint32_t seconds;   /* 0: one hour; at least 60 */
    xk_ip4 router;      /* 0: none is told */
    xk_ip4 dns[3];
    uint8_t dns_count;
    uint16_t mtu;       /* 0: not told */
    const char *domain; /* NULL: not told */
};

struct xk_dhcp_binding {
    xk_ip4 address;
    uint8_t mac[6];
    uint32_t seconds; /* that are left; 0: it has ended, but the address is kept for this client while it can be */
    char name[64];    /* as the client calls itself, or "" */
};

/* xk_dhcp_server_start - a client gets the address that it had before, if nobody else needed it meanwhile. XK_EINVAL:
 * the addresses make no sense; XK_EBUSY: port 67 is taken. */
XK_MUSTCHECK int xk_dhcp_server_start(const xk_alloc *alloc, struct xk_loop *loop, struct xk_inet *s,
                                      const struct xk_dhcp_server_config *config, struct xk_dhcp_server **out);
void xk_dhcp_server_stop(struct xk_dhcp_server *d);

/* xk_dhcp_server_binding (d, i, out) - the (i)-th address that is or was given; XK_ENOENT beyond the last.
 * xk_dhcp_server_keep (d, b) - one that a server before this one gave; XK_EINVAL: not one of ours, or taken. */
int xk_dhcp_server_binding(const struct xk_dhcp_server *d, unsigned i, struct xk_dhcp_binding *out);
int xk_dhcp_server_keep(struct xk_dhcp_server *d, const struct xk_dhcp_binding *b);

XK_API_END

#endif
