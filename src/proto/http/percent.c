/* Percent-encoding (RFC 3986 section 2.1) and form encoding (application/x-www-form-urlencoded).
 * SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>

#include <xenkit/uri.h>

#include "proto/http/chars.h"

static bool stays(char c, enum xk_uri_set set)
{
    switch (set) {
    case XK_URI_SET_SEGMENT:
        return xk__is(c, XK__PCHAR);
    case XK_URI_SET_PATH:
        return xk__is(c, XK__PCHAR) || c == '/';
    case XK_URI_SET_QUERY:
        return xk__is(c, XK__PCHAR) || c == '/' || c == '?';
    default:
        return xk__is(c, XK__UNRESERVED);
    }
}

int xk_uri_encode(struct xk_buf *out, const char *s, size_t n, enum xk_uri_set set)
{
    static const char digits[] = "0123456789ABCDEF"; /* upper case: section 2.1 */
    size_t need = n, at = 0;
    uint8_t *p;
    int r;

    for (size_t i = 0; i < n; i++)
        if (!stays(s[i], set) && !(set == XK_URI_SET_FORM && s[i] == ' '))
            need += 2;
    if (need == 0)
        return 0;
    r = xk_buf_reserve(out, need, &p);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        if (stays(s[i], set)) {
            p[at++] = (uint8_t)s[i];
        } else if (set == XK_URI_SET_FORM && s[i] == ' ') {
            p[at++] = '+';
        } else {
            p[at++] = '%';
            p[at++] = (uint8_t)digits[(uint8_t)s[i] >> 4];
            p[at++] = (uint8_t)digits[(uint8_t)s[i] & 15];
        }
    }
    xk_buf_wrote(out, need);
    return 0;
}

/* The byte of the escape at (s), or -1. */
static int escape(const char *s, size_t left)
{
    int hi, lo;

    if (left < 3)
        return -1;
    hi = xk__hex(s[1]);
    lo = xk__hex(s[2]);
    return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

int xk_uri_decode(char *dst, const char *s, size_t n)
{
    size_t at = 0;

    if (n > INT_MAX)
        return XK_EINVAL;
    for (size_t i = 0; i < n; i++) {
        int v = s[i] == '%' ? escape(s + i, n - i) : (uint8_t)s[i];
        if (v < 0)
            return XK_EINVAL;
        if (s[i] == '%')
            i += 2;
        dst[at++] = (char)v;
    }
    return (int)at;
}

size_t xk_uri_form_decode(char *dst, const char *s, size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        int v = s[i] == '%' ? escape(s + i, n - i) : -1;
        if (v >= 0) {
            i += 2;
            dst[at++] = (char)v;
        } else {
            dst[at++] = s[i] == '+' ? ' ' : s[i];
        }
    }
    return at;
}

int xk_uri_query_next(struct xk_uri_query *it, const char **name, size_t *name_len, const char **value,
                      size_t *value_len)
{
    while (it->n) {
        const char *p = it->p, *end = memchr(p, '&', it->n), *eq;
        size_t n = end ? (size_t)(end - p) : it->n;

        it->p += end ? n + 1 : n;
        it->n -= end ? n + 1 : n;
        if (n == 0)
            continue;
        eq = memchr(p, '=', n);
        *name = p;
        *name_len = eq ? (size_t)(eq - p) : n;
        *value = eq ? eq + 1 : p + n;
        *value_len = eq ? n - *name_len - 1 : 0;
        return 1;
    }
    return 0;
}
