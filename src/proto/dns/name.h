/* Names in wire form. A qname is a lower-case name with the place and the hash of every suffix, worked out once from
 * the right to the left, so that a name and all its ancestors are looked up at one hashing's price.
 * SPDX-License-Identifier: MIT */
#ifndef XK_PROTO_DNS_NAME_H
#define XK_PROTO_DNS_NAME_H

#include <stddef.h>
#include <stdint.h>

enum { DNS_LABEL_MAX = 63, DNS_LABELS_MAX = 127 };

struct xk__dns_qname {
    uint8_t len, labels;               /* labels without the root */
    uint8_t off[DNS_LABELS_MAX + 1];   /* of label i from the left; off[labels] is the root */
    uint32_t hash[DNS_LABELS_MAX + 1]; /* of the suffix that begins at label i */
    uint8_t name[256];
};

/* Length octets are below 'A', so a name may be lowered without looking where its labels are. */
static inline uint8_t xk__dns_lower(uint8_t c) { return (uint8_t)(c + ((uint8_t)(c - 'A') < 26 ? 32 : 0)); }

static inline size_t xk__dns_name_len(const uint8_t *name)
{
    size_t n = 0;
    while (name[n])
        n += 1u + name[n];
    return n + 1;
}

/* The length of the uncompressed name at (p) that must end within (n) bytes; -1 when there is none. */
int xk__dns_name_scan(const uint8_t *p, size_t n);

/* Fills (q) from a valid uncompressed name; lowers it. */
void xk__dns_qname_init(struct xk__dns_qname *q, const uint8_t *name);

/* As xk_dns_name_parse; on failure (why) is a text that says what is wrong. */
int xk__dns_name_from_text(uint8_t *out, const char *text, size_t len, const uint8_t *origin, const char **why);

/* 1 when the text ends in a dot that is not escaped, so that no origin is appended. */
int xk__dns_name_absolute(const char *text, size_t len);

/* One character with its escape (RFC 1035 section 5.1: \X and \DDD): moves (*s), returns the byte; -1 when malformed.
 */
int xk__dns_unescape(const char **s, const char *end);

#endif
