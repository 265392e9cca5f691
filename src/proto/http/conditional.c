/* Conditional requests and ranges (RFC 9110 sections 8.8.3, 13, 14). A field that cannot be understood is as if it were
 * not there: the answer is then the whole representation, which is always right. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/http.h>

/* DQUOTE *etagc DQUOTE at (s): its length, or 0. */
static size_t opaque_tag(const char *s, size_t n)
{
    if (n < 2 || s[0] != '"')
        return 0;
    for (size_t i = 1; i < n; i++) {
        if (s[i] == '"')
            return i + 1;
        if ((uint8_t)s[i] <= ' ' || s[i] == 0x7f)
            return 0;
    }
    return 0;
}

static bool weak(struct xk_http_str t) { return t.n >= 2 && t.p[0] == 'W' && t.p[1] == '/'; }

static struct xk_http_str opaque(struct xk_http_str t)
{
    if (weak(t)) {
        t.p += 2;
        t.n -= 2;
    }
    return t;
}

bool xk_http_etag_weak(struct xk_http_str a, struct xk_http_str b)
{
    a = opaque(a);
    b = opaque(b);
    return a.n >= 2 && a.n == b.n && opaque_tag(a.p, a.n) == a.n && memcmp(a.p, b.p, a.n) == 0;
}

bool xk_http_etag_strong(struct xk_http_str a, struct xk_http_str b)
{
    return !weak(a) && !weak(b) && xk_http_etag_weak(a, b);
}

/* Whether the list of If-None-Match names (etag) by the weak comparison (section 13.1.2). A list that is broken matches
 * as far as it was read. */
static bool listed(struct xk_http_str list, struct xk_http_str etag)
{
    const char *p = list.p, *end = list.p + list.n;

    if (list.n == 1 && *p == '*')
        return true;
    while (p < end) {
        struct xk_http_str t;
        size_t n, prefix;
        if (*p == ',' || *p == ' ' || *p == '\t') {
            p++;
            continue;
        }
        prefix = end - p > 2 && p[0] == 'W' && p[1] == '/' ? 2 : 0;
        n = opaque_tag(p + prefix, (size_t)(end - p) - prefix);
        if (n == 0)
            return false;
        t.p = p;
        t.n = prefix + n;
        if (xk_http_etag_weak(t, etag))
            return true;
        p += t.n;
    }
    return false;
}

bool xk_http_not_modified(const struct xk_http_msg *m, struct xk_http_str etag, int64_t modified)
{
    struct xk_http_str v;
    int64_t since;
    int i;

    if (m->method != XK_HTTP_GET && m->method != XK_HTTP_HEAD)
        return false;
    i = xk_http_msg_find(m, "if-none-match", 0, &v);
    if (i >= 0) {
        for (; i >= 0; i = xk_http_msg_find(m, "if-none-match", (unsigned)i + 1, &v))
            if (listed(v, etag))
                return true;
        return false; /* If-Modified-Since is not looked at beside it (section 13.1.3) */
    }
    if (modified < 0 || xk_http_msg_find(m, "if-modified-since", 0, &v) < 0)
        return false;
    return xk_http_date_parse(v.p, v.n, &since) == 0 && modified <= since;
}

/* Digits from (*i) on. false where there are none; a number too great stays at the top. */
static bool digits(const char *s, size_t n, size_t *i, uint64_t *v)
{
    size_t start = *i;

    *v = 0;
    for (; *i < n && s[*i] >= '0' && s[*i] <= '9'; ++*i) {
        unsigned digit = (unsigned)(s[*i] - '0');
        *v = *v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *v * 10 + digit;
    }
    return *i > start;
}

/* "bytes=" ( first "-" [ last ] / "-" suffix ) (section 14.1.2) */
int xk_http_range_parse(const char *s, size_t n, uint64_t size, uint64_t *first, uint64_t *last)
{
    uint64_t a = 0, b = 0;
    size_t i = 6;
    bool has_a, has_b;

    if (n < 7 || memcmp(s + 5, "=", 1) != 0)
        return 0;
    for (size_t k = 0; k < 5; k++)
        if ((s[k] | 0x20) != "bytes"[k])
            return 0;
    has_a = digits(s, n, &i, &a);
    if (i == n || s[i++] != '-')
        return 0;
    has_b = digits(s, n, &i, &b);
    if (i != n || (!has_a && !has_b) || (has_a && has_b && b < a))
        return 0;
    if (!has_a) {
        if (b == 0 || size == 0)
            return XK_ERANGE;
        *first = b < size ? size - b : 0;
        *last = size - 1;
        return 1;
    }
    if (a >= size)
        return XK_ERANGE;
    *first = a;
    *last = has_b && b < size ? b : size - 1;
    return 1;
}

int xk_http_range(const struct xk_http_msg *m, struct xk_http_str etag, int64_t modified, uint64_t size,
                  uint64_t *first, uint64_t *last)
{
    struct xk_http_str range, v;
    int64_t date;

    if (m->method != XK_HTTP_GET || xk_http_msg_find(m, "range", 0, &range) < 0)
        return 0;
    /* If-Range wants the strong comparison, and a date that is exactly ours (section 13.1.5). */
    if (xk_http_msg_find(m, "if-range", 0, &v) >= 0) {
        bool tag = v.n && (v.p[0] == '"' || v.p[0] == 'W');
        if (tag ? !xk_http_etag_strong(v, etag)
                : modified < 0 || xk_http_date_parse(v.p, v.n, &date) < 0 || date != modified)
            return 0;
    }
    return xk_http_range_parse(range.p, range.n, size, first, last);
}
