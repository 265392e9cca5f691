/* RFC 3986: the parser is a walk from left to right over the five components, as the regular expression of appendix B
 * has it, with every component's bytes checked on the way. No normalisation happens here. SPDX-License-Identifier: MIT
 */
#include <string.h>

#include <xenkit/uri.h>

#include "proto/http/chars.h"

/* --- bytes -------------------------------------------------------------------------------------------------------- */

static bool escape_at(const char *s, size_t i, size_t n)
{
    return n - i >= 3 && xk__is(s[i + 1], XK__HEX) && xk__is(s[i + 2], XK__HEX);
}

/* The offset of the first byte of [from, to) that is neither in (set), nor in (more), nor a percent escape. */
static size_t span(const char *s, size_t from, size_t to, unsigned set, const char *more)
{
    while (from < to) {
        if (xk__is(s[from], set) && s[from] != '%')
            from++;
        else if (s[from] == '%' && escape_at(s, from, to))
            from += 3;
        else if (s[from] && s[from] != '%' && strchr(more, s[from]))
            from++;
        else
            break;
    }
    return from;
}

static bool is_alpha(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static struct xk_uri_part part(size_t from, size_t to)
{
    struct xk_uri_part p = {(uint32_t)from, (uint32_t)(to - from)};
    return p;
}

/* --- hosts ----------------------------------------------------------------------------------------------------------
 */

/* dec-octet "." dec-octet "." dec-octet "." dec-octet, without leading zeroes (section 3.2.2) */
static bool is_ipv4(const char *s, size_t n)
{
    size_t i = 0;

    for (int octet = 0; octet < 4; octet++) {
        unsigned v = 0;
        size_t start = i;
        if (octet && (i == n || s[i++] != '.'))
            return false;
        if (octet)
            start = i;
        while (i < n && is_digit(s[i]) && i - start < 3)
            v = v * 10 + (unsigned)(s[i++] - '0');
        if (i == start || v > 255 || (s[start] == '0' && i - start > 1))
            return false;
    }
    return i == n;
}

/* Up to eight groups of one to four hex digits, one "::" standing for one or more groups of zero, the last two groups
 * perhaps written as IPv4 (section 3.2.2). */
static bool is_ipv6(const char *s, size_t n)
{
    unsigned groups = 0;
    bool gap = false;
    size_t i = 0;

    if (n >= 2 && s[0] == ':' && s[1] == ':') {
        gap = true;
        i = 2;
    }
    while (i < n) {
        size_t start = i;
        while (i < n && i - start < 4 && xk__is(s[i], XK__HEX))
            i++;
        if (i < n && s[i] == '.') {
            groups += 2;
            return is_ipv4(s + start, n - start) && (gap ? groups < 8 : groups == 8);
        }
        if (i == start || ++groups > 8)
            return false;
        if (i == n)
            break;
        if (s[i++] != ':' || i == n)
            return false;
        if (s[i] == ':') {
            if (gap)
                return false;
            gap = true;
            i++;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */
static bool is_ipfuture(const char *s, size_t n)
{
    size_t i = 1;

    if (n < 4 || (s[0] | 0x20) != 'v')
        return false;
    while (i < n && xk__is(s[i], XK__HEX))
        i++;
    if (i == 1 || i + 1 >= n || s[i] != '.')
        return false;
    for (i++; i < n; i++)
        if (!xk__is(s[i], XK__REG) && s[i] != ':')
            return false;
    return true;
}

/* Gives the end of the host that starts at (from), or (size_t)-1. */
static size_t host_end(const char *s, size_t from, size_t to, uint8_t *kind)
{
    const char *close;
    size_t end;

    if (from < to && s[from] == '[') {
        close = memchr(s + from, ']', to - from);
        if (!close)
            return (size_t)-1;
        end = (size_t)(close - s);
        if (is_ipv6(s + from + 1, end - from - 1))
            *kind = XK_URI_IPV6;
        else if (is_ipfuture(s + from + 1, end - from - 1))
            *kind = XK_URI_IPFUTURE;
        else
            return (size_t)-1;
        return end + 1;
    }
    end = span(s, from, to, XK__REG, "");
    *kind = is_ipv4(s + from, end - from) ? XK_URI_IPV4 : XK_URI_NAME;
    return end;
}

/* The digits of a port at [from, to), of which there may be none. */
static bool port_value(const char *s, size_t from, size_t to, uint16_t *port)
{
    unsigned v = 0;

    for (; from < to; from++) {
        if (!is_digit(s[from]))
            return false;
        v = v * 10 + (unsigned)(s[from] - '0');
        if (v > 65535)
            return false;
    }
    *port = (uint16_t)v;
    return true;
}

int xk_uri_host_check(const char *s, size_t n, uint16_t *port)
{
    uint16_t number = 0;
    uint8_t kind;
    size_t end;

    if (n > XK_URI_MAX)
        return XK_EINVAL;
    end = host_end(s, 0, n, &kind);
    if (end == (size_t)-1 || (end < n && (s[end] != ':' || !port_value(s, end + 1, n, &number))))
        return XK_EINVAL;
    if (port)
        *port = number;
    return (int)end;
}

/* --- parsing ---------------------------------------------------------------------------------------------------- */

static int bad(struct xk_diag *d, size_t at, const char *what)
{
    return xk_diag_set(d, XK_EINVAL, 1, (unsigned)at + 1, "URI: %s", what);
}

/* The end of "scheme:", or 0 when the reference is relative. */
static size_t scheme_end(const char *s, size_t n)
{
    size_t i = 0;

    if (n == 0 || !is_alpha(s[0]))
        return 0;
    while (i < n && (is_alpha(s[i]) || is_digit(s[i]) || s[i] == '+' || s[i] == '-' || s[i] == '.'))
        i++;
    return i < n && s[i] == ':' ? i + 1 : 0;
}

static int parse_authority(struct xk_uri *u, const char *s, size_t from, size_t to, struct xk_diag *d)
{
    size_t i, end;

    u->has |= XK_URI_AUTHORITY;
    u->authority = part(from, to);
    for (i = from; i < to && s[i] != '@'; i++)
        continue;
    if (i < to) {
        end = span(s, from, i, XK__REG, ":");
        if (end != i)
            return bad(d, end, "a byte that may not stand in the user information; percent-encode it");
        u->has |= XK_URI_USERINFO;
        u->userinfo = part(from, i);
        from = i + 1;
    }
    end = host_end(s, from, to, &u->host_kind);
    if (end == (size_t)-1)
        return bad(d, from, "the brackets do not hold an IPv6 address");
    u->host = part(from, end);
    if (end == to)
        return 0;
    if (s[end] != ':')
        return bad(d, end, "a byte that may not stand in a host; percent-encode it");
    u->has |= XK_URI_PORT;
    u->port = part(end + 1, to);
    if (!port_value(s, end + 1, to, &u->port_number))
        return bad(d, end + 1, "the port is not a number up to 65535");
    return 0;
}

static int parse_tail(struct xk_uri *u, const char *s, size_t i, size_t n, struct xk_diag *d)
{
    size_t start;

    if (i < n && s[i] == '?') {
        start = ++i;
        i = span(s, i, n, XK__PCHAR, "/?");
        u->has |= XK_URI_QUERY;
        u->query = part(start, i);
    }
    if (i < n && s[i] == '#') {
        start = ++i;
        i = span(s, i, n, XK__PCHAR, "/?");
        u->has |= XK_URI_FRAGMENT;
        u->fragment = part(start, i);
    }
    if (i < n)
        return bad(d, i, "a byte that may not stand here, or a broken percent escape; percent-encode it");
    return 0;
}

int xk_uri_parse(struct xk_uri *u, const char *s, size_t n, struct xk_diag *d)
{
    size_t i, end, colon;
    int r;

    memset(u, 0, sizeof(*u));
    if (n > XK_URI_MAX)
        return xk_diag_set(d, XK_E2BIG, 1, 0, "URI: longer than %d bytes", XK_URI_MAX);
    i = scheme_end(s, n);
    if (i) {
        u->has |= XK_URI_SCHEME;
        u->scheme = part(0, i - 1);
    }
    if (n - i >= 2 && s[i] == '/' && s[i + 1] == '/') {
        i += 2;
        for (end = i; end < n && s[end] != '/' && s[end] != '?' && s[end] != '#'; end++)
            continue;
        r = parse_authority(u, s, i, end, d);
        if (r < 0)
            return r;
        i = end;
    }
    end = span(s, i, n, XK__PCHAR, "/");
    u->path = part(i, end);
    /* path-noscheme: a relative path's first segment has no colon, else it would read as a scheme (section 4.2) */
    if (!(u->has & (XK_URI_SCHEME | XK_URI_AUTHORITY)))
        for (colon = i; colon < end && s[colon] != '/'; colon++)
            if (s[colon] == ':')
                return bad(d, colon, "a colon in the first segment of a relative path; write \"./\" before it");
    return parse_tail(u, s, end, n, d);
}

/* --- dot segments and references ------------------------------------------------------------------------------------
 */

/* Section 5.2.4 with the input and the output in one array: the output never overtakes the input. */
size_t xk_uri_remove_dots(char *p, size_t n)
{
    size_t in = 0, out = 0;

    if (n >= 3 && memcmp(p, "../", 3) == 0)
        in = 3;
    else if (n >= 2 && memcmp(p, "./", 2) == 0)
        in = 2;
    while (in < n) {
        size_t left = n - in;
        if (left >= 3 && memcmp(p + in, "/./", 3) == 0) {
            in += 2;
        } else if (left == 2 && memcmp(p + in, "/.", 2) == 0) {
            p[++in] = '/';
        } else if ((left >= 4 && memcmp(p + in, "/../", 4) == 0) || (left == 3 && memcmp(p + in, "/..", 3) == 0)) {
            in += left == 3 ? 2 : 3;
            p[in] = '/';
            while (out > 0 && p[--out] != '/')
                continue;
        } else if (out == 0 &&
                   ((left >= 3 && memcmp(p + in, "../", 3) == 0) || (left >= 2 && memcmp(p + in, "./", 2) == 0))) {
            in += p[in + 1] == '/' ? 2 : 3; /* rule A again, for "././x" */
        } else if (out == 0 && p[in] == '.' && (left == 1 || (left == 2 && p[in + 1] == '.'))) {
            in = n;
        } else {
            do
                p[out++] = p[in++];
            while (in < n && p[in] != '/');
        }
    }
    return out;
}

/* An empty part may meet a buffer without a block, whose null pointer must not be counted from. */
static int put(struct xk_buf *out, const char *s, size_t n) { return n ? xk_buf_put(out, s, n) : 0; }

static int put_part(struct xk_buf *out, const char *before, const char *s, struct xk_uri_part p, const char *after)
{
    int r = put(out, before, strlen(before));

    if (r == 0)
        r = put(out, s + p.off, p.len);
    return r < 0 ? r : put(out, after, strlen(after));
}

/* Section 5.2.3: the reference's path in place of what follows the base path's last slash. */
static int put_merged(struct xk_buf *out, const struct xk_uri *b, const char *base, struct xk_uri_part path,
                      const char *ref)
{
    size_t keep = b->path.len;
    int r;

    while (keep > 0 && base[b->path.off + keep - 1] != '/')
        keep--;
    if ((b->has & XK_URI_AUTHORITY) && b->path.len == 0)
        r = put(out, "/", 1);
    else
        r = put(out, base + b->path.off, keep);
    return r < 0 ? r : put(out, ref + path.off, path.len);
}

/* Section 5.2.2, strict. */
static int put_target(struct xk_buf *out, const struct xk_uri *b, const char *base, const struct xk_uri *u,
                      const char *ref)
{
    bool abs = u->has & XK_URI_SCHEME, own = abs || (u->has & XK_URI_AUTHORITY), same = !own && u->path.len == 0;
    const struct xk_uri *a = own ? u : b, *q = same && !(u->has & XK_URI_QUERY) ? b : u;
    const char *as = own ? ref : base, *qs = q == b ? base : ref;
    size_t len, start;
    int r = put_part(out, "", abs ? ref : base, abs ? u->scheme : b->scheme, ":");

    if (r == 0 && (a->has & XK_URI_AUTHORITY))
        r = put_part(out, "//", as, a->authority, "");
    start = xk_buf_len(out);
    if (r == 0 && same)
        r = put_part(out, "", base, b->path, "");
    else if (r == 0 && (own || (u->path.len && ref[u->path.off] == '/')))
        r = put_part(out, "", ref, u->path, "");
    else if (r == 0)
        r = put_merged(out, b, base, u->path, ref);
    if (r == 0 && !same) {
        len = xk_buf_len(out) - start;
        out->wr -= len - xk_uri_remove_dots((char *)xk_buf_head(out) + start, len);
    }
    /* a path that came to begin with "//" would read as an authority; "/." keeps it a path (RFC 3986 erratum 4547) */
    if (r == 0 && !(a->has & XK_URI_AUTHORITY) && xk_buf_len(out) - start >= 2 &&
        memcmp(xk_buf_head(out) + start, "//", 2) == 0) {
        r = put(out, "..", 2);
        if (r == 0) {
            char *at = (char *)xk_buf_head(out) + start;
            memmove(at + 2, at, xk_buf_len(out) - start - 2);
            memcpy(at, "/.", 2);
        }
    }
    if (r == 0 && (q->has & XK_URI_QUERY))
        r = put_part(out, "?", qs, q->query, "");
    if (r == 0 && (u->has & XK_URI_FRAGMENT))
        r = put_part(out, "#", ref, u->fragment, "");
    return r;
}

int xk_uri_resolve(struct xk_buf *out, const char *base, size_t nb, const char *ref, size_t nr, struct xk_diag *d)
{
    struct xk_uri b, u;
    size_t before = xk_buf_len(out);
    int r = xk_uri_parse(&b, base, nb, d);

    if (r < 0)
        return r;
    if (!(b.has & XK_URI_SCHEME))
        return bad(d, 0, "the base has no scheme");
    r = xk_uri_parse(&u, ref, nr, d);
    if (r < 0)
        return r;
    r = put_target(out, &b, base, &u, ref);
    if (r < 0)
        out->wr = out->rd + before;
    return r;
}
