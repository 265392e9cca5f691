/* xenkit/uri.h - URIs by RFC 3986, percent-encoding, and query strings.
 *
 * A parsed URI stores offsets into the text it was parsed from; nothing is copied and nothing is decoded. When to
 * decode is the caller's choice and is done once: a decoded text is never parsed again as a URI.
 *
 * Nothing here allocates except through a caller's xk_buf; nothing blocks; all is reentrant.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_URI_H
#define XENKIT_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xenkit/buf.h>
#include <xenkit/err.h>

XK_API_BEGIN

struct xk_uri_part {
    uint32_t off, len;
};

enum { XK_URI_MAX = 1 << 20 }; /* longer texts are refused with XK_E2BIG */

enum xk_uri_has { /* a component may be there and be empty: "a?" has a query, "a" has none */
                  XK_URI_SCHEME = 1,
                  XK_URI_AUTHORITY = 2,
                  XK_URI_USERINFO = 4,
                  XK_URI_PORT = 8,
                  XK_URI_QUERY = 16,
                  XK_URI_FRAGMENT = 32,
};

enum xk_uri_host { XK_URI_NAME, XK_URI_IPV4, XK_URI_IPV6, XK_URI_IPFUTURE };

struct xk_uri {
    struct xk_uri_part scheme, authority, userinfo, host, port, path, query, fragment;
    uint16_t port_number; /* 0 when absent or empty */
    uint8_t has;          /* bits of xk_uri_has */
    uint8_t host_kind;    /* enum xk_uri_host; the brackets of an IP literal belong to (host) */
};

/* xk_uri_parse (u, s, n, d) - a URI reference (RFC 3986 section 4.1), absolute or relative. Strict: 8-bit bytes,
 * spaces, half percent escapes and stray brackets are XK_EINVAL with a diagnosis in (d), which may be NULL. */
XK_MUSTCHECK int xk_uri_parse(struct xk_uri *u, const char *s, size_t n, struct xk_diag *d);

/* xk_uri_host_check (s, n, d) - whether (s) is host [ ":" port ] as the Host field wants it (RFC 9110 section 7.2).
 * Gives the length of the host without the port, or XK_EINVAL. An empty host is well-formed. */
int xk_uri_host_check(const char *s, size_t n, uint16_t *port);

/* xk_uri_remove_dots (p, n) - removes dot segments in place (section 5.2.4); gives the new length, at most (n).
 * ".." above the root stays at the root. */
size_t xk_uri_remove_dots(char *p, size_t n);

/* xk_uri_resolve (out, base, nb, ref, nr, d) - appends the target URI of (ref) against (base) (section 5.2, strict).
 * XK_EINVAL when either is malformed or (base) has no scheme; errors of xk_buf_put. On error (out) is as before. */
XK_MUSTCHECK int xk_uri_resolve(struct xk_buf *out, const char *base, size_t nb, const char *ref, size_t nr,
                                struct xk_diag *d);

/* What stays as it is when encoding. */
enum xk_uri_set {
    XK_URI_SET_UNRESERVED, /* letters, digits, "-._~": for anything */
    XK_URI_SET_SEGMENT,    /* one path segment: pchar, so "/" is encoded */
    XK_URI_SET_PATH,       /* a whole path: pchar and "/" */
    XK_URI_SET_QUERY,      /* a whole query: pchar, "/" and "?" */
    XK_URI_SET_FORM,       /* a name or value of a form: unreserved, and " " as "+" */
};

/* xk_uri_encode (out, s, n, set) - appends, all or nothing. Errors of xk_buf_reserve. */
XK_MUSTCHECK int xk_uri_encode(struct xk_buf *out, const char *s, size_t n, enum xk_uri_set set);

/* xk_uri_decode (dst, s, n) - decodes percent escapes into (dst), which has room for (n) bytes and may be (s). Gives
 * the new length, or XK_EINVAL at a broken escape. Bytes of any value may come out, also NUL. */
XK_MUSTCHECK int xk_uri_decode(char *dst, const char *s, size_t n);

/* xk_uri_form_decode - the same for application/x-www-form-urlencoded: "+" is a space, a broken escape stands for
 * itself, as browsers have it. Cannot fail; gives the new length. */
size_t xk_uri_form_decode(char *dst, const char *s, size_t n);

/* xk_uri_query_next (it, ...) - goes through "a=1&b=2". Set (it) to the text first. Gives 1 and the undecoded name and
 * value, or 0 at the end. Empty pieces are skipped; a name without "=" has an empty value. ";" separates nothing. */
struct xk_uri_query {
    const char *p;
    size_t n;
};
int xk_uri_query_next(struct xk_uri_query *it, const char **name, size_t *name_len, const char **value,
                      size_t *value_len);

XK_API_END

#endif
