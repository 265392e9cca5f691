/* One table of what a byte may be in a message head and in a URI. SPDX-License-Identifier: MIT */
#ifndef XK_PROTO_HTTP_CHARS_H
#define XK_PROTO_HTTP_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    XK__TOKEN = 1,       /* RFC 9110 section 5.6.2 */
    XK__VALUE = 2,       /* field value: VCHAR, SP, HTAB, obs-text (section 5.5) */
    XK__PATH = 4,        /* request path: pchar, "/", and [ ] ^ | which browsers send raw */
    XK__QUERY = 8,       /* request query: the same, "?", and \ ` { } */
    XK__REG = 16,        /* RFC 3986: unreserved and sub-delims */
    XK__UNRESERVED = 32, /* RFC 3986 section 2.3 */
    XK__PCHAR = 64,      /* RFC 3986 section 3.3, without percent escapes */
    XK__HEX = 128,
};

extern const uint8_t xk__http_chars[256];

static inline bool xk__is(char c, unsigned set) { return xk__http_chars[(uint8_t)c] & set; }

static inline char xk__lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static inline int xk__hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = xk__lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Whether two texts of one length are equal without regard to the case of ASCII letters. */
static inline bool xk__ieq(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (xk__lower(a[i]) != xk__lower(b[i]))
            return false;
    return true;
}

/* The same where (b) is a constant of lower-case letters, digits and "-", and (a) holds no control bytes. */
static inline bool xk__ieq_lit(const char *a, const char *b, size_t n)
{
    unsigned diff = 0;

    for (size_t i = 0; i < n; i++)
        diff |= (unsigned)((a[i] | 0x20) ^ b[i]);
    return diff == 0;
}

/* The offset of the first byte of [from, n) that is not in (set). Four at a time: names are the longest thing that is
 * looked at byte by byte. */
static inline size_t xk__span(const char *p, size_t from, size_t n, unsigned set)
{
    while (n - from >= 4) {
        if (!xk__is(p[from], set))
            return from;
        if (!xk__is(p[from + 1], set))
            return from + 1;
        if (!xk__is(p[from + 2], set))
            return from + 2;
        if (!xk__is(p[from + 3], set))
            return from + 3;
        from += 4;
    }
    while (from < n && xk__is(p[from], set))
        from++;
    return from;
}

/* How many of the (n) bytes, from the first on, may stand in a field value. */
size_t xk__http_value_span(const char *p, size_t n);

#endif
