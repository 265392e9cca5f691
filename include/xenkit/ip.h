/* xenkit/ip.h - addresses of IPv4 and IPv6. Pure.
 *
 * One type holds either: an IPv4 address is kept as ::ffff:10.0.0.1 (RFC 4291 2.5.5.2), so who only carries addresses
 * need not know which it is. SPDX-License-Identifier: MIT */
#ifndef XENKIT_IP_H
#define XENKIT_IP_H

#include <stdint.h>
#include <string.h>

#include <xenkit/api.h>

XK_API_BEGIN

typedef uint32_t xk_ip4; /* in the machine's order: 10.0.0.1 is 0x0a000001 */

struct xk_ip {
    uint8_t b[16]; /* in the order of the wire */
};

enum { XK_IP4_TEXT = 16, XK_IP_TEXT = 46 }; /* rooms that hold any address as text, with its NUL */

/* xk_ip4_read (text, out) - four decimal numbers with dots, nothing else. XK_EINVAL. xk_ip4_write - into (out). */
int xk_ip4_read(const char *text, xk_ip4 *out);
void xk_ip4_write(xk_ip4 ip, char out[XK_IP4_TEXT]);

/* xk_ip_read (text, out) - "10.0.0.1", or any form of RFC 4291 2.2 ("fe80::1", "64:ff9b::10.0.0.1"), without a zone.
 * XK_EINVAL. xk_ip_write - as RFC 5952 has it; ::ffff:10.0.0.1 as 10.0.0.1. */
int xk_ip_read(const char *text, struct xk_ip *out);
void xk_ip_write(struct xk_ip ip, char out[XK_IP_TEXT]);

static inline struct xk_ip xk_ip_of4(xk_ip4 a)
{
    return (struct xk_ip){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, (uint8_t)(a >> 24), (uint8_t)(a >> 16),
                           (uint8_t)(a >> 8), (uint8_t)a}};
}

static inline xk_ip4 xk_ip_to4(struct xk_ip a) /* 0: it is not IPv4 */
{
    static const uint8_t mapped[12] = {[10] = 255, [11] = 255};

    return memcmp(a.b, mapped, 12) ? 0 : (xk_ip4)a.b[12] << 24 | (xk_ip4)a.b[13] << 16 | (xk_ip4)a.b[14] << 8 | a.b[15];
}

static inline int xk_ip_is4(struct xk_ip a)
{
    static const uint8_t mapped[12] = {[10] = 255, [11] = 255};

    return memcmp(a.b, mapped, 12) == 0;
}

static inline int xk_ip_equal(struct xk_ip a, struct xk_ip b) { return memcmp(a.b, b.b, 16) == 0; }
static inline int xk_ip_is_group(struct xk_ip a) /* multicast, of either */
{
    return xk_ip_is4(a) ? a.b[12] >> 4 == 14 : a.b[0] == 0xff;
}
static inline int xk_ip_is_local(struct xk_ip a) { return a.b[0] == 0xfe && a.b[1] >> 6 == 2; } /* fe80::/10 */
static inline int xk_ip_is_none(struct xk_ip a)                                                 /* :: */
{
    static const uint8_t none[16];

    return memcmp(a.b, none, 16) == 0;
}

/* xk_ip_common (a, b) - how many of their first bits are the same, 0 .. 128. */
unsigned xk_ip_common(struct xk_ip a, struct xk_ip b);

XK_API_END

#endif
