/* Record types and their data. Each type is described by a string, one letter a field; parsing, printing, checking and
 * comparing all walk that string, so that a new type is one line in rdata.c. SPDX-License-Identifier: MIT */
#ifndef XK_PROTO_DNS_RDATA_H
#define XK_PROTO_DNS_RDATA_H

#include <stddef.h>
#include <stdint.h>

#include "proto/dns/lex.h"

/* The letters:
 *   N name that replies compress (RFC 3597 section 4: only types of RFC 1035)   n name that they do not
 *   A IPv4   6 IPv6   b h w number of 8, 16, 32 bits   d duration, 32 bits
 *   s character-string   S one or more of them   Q string up to the end, without a length   C CAA's tag
 *   X hexadecimal up to the end   B base64 up to the end   P SvcParams (RFC 9460) up to the end */
struct xk__dns_type {
    uint16_t number;
    const char *name, *fields; /* fields NULL: only by \# */
};

const struct xk__dns_type *xk__dns_type_find(unsigned number); /* NULL: unknown */

struct xk__dns_out {
    uint8_t *p;
    size_t n, max;
};

/* Room for (n) more bytes, or NULL. */
static inline uint8_t *xk__dns_out_at(struct xk__dns_out *o, size_t n)
{
    uint8_t *p = o->p + o->n;
    if (n > o->max - o->n)
        return NULL;
    o->n += n;
    return p;
}

/* Reads one record's data up to the end of its line, which stays unread. XK_EINVAL with the diagnosis filled,
 * XK_EMSGSIZE (filled too) when (o) is full. */
int xk__dns_rdata_read(struct xk__dns_lex *lx, unsigned type, const uint8_t *origin, struct xk__dns_out *o);

/* 0, or XK_EPROTO when (n) bytes are not what the type demands. Unknown types are always right. */
int xk__dns_rdata_check(unsigned type, const uint8_t *p, size_t n);

/* 1 when both are the same record: names compare without case. Both were checked. */
int xk__dns_rdata_same(unsigned type, const uint8_t *a, size_t an, const uint8_t *b, size_t bn);

/* The length of the field (f) at (p); -1 when it does not fit into (n). */
int xk__dns_field_len(char f, const uint8_t *p, size_t n);

/* SvcParams, in svcb.c. */
int xk__dns_svcb_read(struct xk__dns_lex *lx, struct xk__dns_out *o);
int xk__dns_svcb_check(const uint8_t *p, size_t n);

/* Text under construction. Too long is found out at the end: n > max. */
struct xk__dns_text {
    char *p;
    size_t n, max;
};
void xk__dns_text_put(struct xk__dns_text *t, const char *s, size_t n);
void xk__dns_text_printf(struct xk__dns_text *t, const char *fmt, ...) XK_PRINTF(2, 3);
void xk__dns_text_quoted(struct xk__dns_text *t, const uint8_t *p, size_t n);
void xk__dns_text_base64(struct xk__dns_text *t, const uint8_t *p, size_t n);
void xk__dns_text_ip6(struct xk__dns_text *t, const uint8_t *p);
void xk__dns_svcb_text(struct xk__dns_text *t, const uint8_t *p, size_t n);

/* Pieces that SvcParams share with the other fields; 0 or XK_EINVAL. */
int xk__dns_ip4(const char *s, size_t n, uint8_t *out);
int xk__dns_ip6(const char *s, size_t n, uint8_t *out);

/* Base64 piece by piece: 0, or XK_EINVAL for a character that is none, or for too little room. */
struct xk__dns_base64 {
    uint32_t bits;
    unsigned have, pads, chars;
};
int xk__dns_base64_add(struct xk__dns_base64 *b, const char *s, size_t n, struct xk__dns_out *o);
static inline int xk__dns_base64_done(const struct xk__dns_base64 *b) { return (b->chars + b->pads) % 4 == 0; }

#endif
