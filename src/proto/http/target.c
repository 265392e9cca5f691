/* Request targets (RFC 9112 section 3.2) and the one place where a path is decoded. What comes out is what is looked up
 * and what access rules see: decoding twice, or after dot segments were removed, is how "..%2f" left the root of other
 * servers. An encoded slash is a slash here. SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>

#include <xenkit/uri.h>

#include "proto/http/chars.h"
#include "proto/http/gate.h"

bool xk__http_path_is_plain(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] == '%' || (p[i] == '/' && i + 1 < n && (p[i + 1] == '/' || p[i + 1] == '.')))
            return false;
    return true;
}

int xk_http_path(char *dst, const char *s, size_t n)
{
    size_t len = 0;

    if (n == 0 || n > INT_MAX || s[0] != '/')
        return XK_EINVAL;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (c == '%') {
            int hi = n - i >= 3 ? xk__hex(s[i + 1]) : -1, lo = n - i >= 3 ? xk__hex(s[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return XK_EINVAL;
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        if ((uint8_t)c < 0x20 || c == 0x7f || c == '\\')
            return XK_EINVAL;
        if (c == '/' && len && dst[len - 1] == '/')
            continue;
        dst[len++] = c;
    }
    return (int)xk_uri_remove_dots(dst, len);
}

static int refuse(uint8_t *reason, struct xk_diag *d, size_t at, const char *more)
{
    return xk__http_refuse(reason, d, XK_HTTP_BAD_TARGET, 1, at, more);
}

static int set_path(struct xk_http_msg *m, const char *p, size_t n, char *scratch, uint8_t *reason, struct xk_diag *d)
{
    const char *mark = memchr(p, '?', n);
    size_t len = mark ? (size_t)(mark - p) : n;
    int r;

    if (mark) {
        m->has_query = true;
        m->query.p = mark + 1;
        m->query.n = n - len - 1;
    }
    m->path.p = p;
    m->path.n = len;
    if (xk__http_path_is_plain(p, len))
        return 0;
    r = xk_http_path(scratch, p, len);
    if (r < 0)
        return refuse(reason, d, 0, "the path holds a broken escape, a control byte or a backslash");
    m->path.p = scratch;
    m->path.n = (size_t)r;
    return 0;
}

/* scheme "://" host [ ":" port ] path. User information would be a trap for the reader (RFC 9110 section 4.2.4). */
static int absolute(struct xk_http_msg *m, char *scratch, uint8_t *reason, struct xk_diag *d)
{
    const char *p = m->target.p;
    size_t n = m->target.n, from = 0, end;
    int host;

    if (n > 7 && xk__ieq(p, "http://", 7))
        from = 7;
    else if (n > 8 && xk__ieq(p, "https://", 8))
        from = 8;
    else
        return refuse(reason, d, 0, "begin it with / or http://");
    for (end = from; end < n && p[end] != '/' && p[end] != '?'; end++)
        continue;
    host = xk_uri_host_check(p + from, end - from, NULL);
    if (host <= 0)
        return refuse(reason, d, 0, "not a host, or host:port");
    m->form = XK_HTTP_ABSOLUTE;
    m->host.p = p + from;
    m->host.n = end - from;
    if (end < n && p[end] == '/')
        return set_path(m, p + end, n - end, scratch, reason, d);
    m->path.p = "/";
    m->path.n = 1;
    if (end < n) {
        m->has_query = true;
        m->query.p = p + end + 1;
        m->query.n = n - end - 1;
    }
    return 0;
}

int xk__http_target(struct xk_http_msg *m, char *scratch, uint8_t *reason, struct xk_diag *d)
{
    uint16_t port = 0;

    if (m->method == XK_HTTP_CONNECT) {
        if (xk_uri_host_check(m->target.p, m->target.n, &port) <= 0 || port == 0)
            return refuse(reason, d, 0, "CONNECT wants host:port");
        m->form = XK_HTTP_AUTHORITY;
        m->host = m->target;
        return 0;
    }
    if (m->target.p[0] == '/') {
        m->form = XK_HTTP_ORIGIN;
        return set_path(m, m->target.p, m->target.n, scratch, reason, d);
    }
    if (m->target.n == 1 && m->target.p[0] == '*' && m->method == XK_HTTP_OPTIONS) {
        m->form = XK_HTTP_ASTERISK;
        m->path = m->target;
        return 0;
    }
    return absolute(m, scratch, reason, d);
}
