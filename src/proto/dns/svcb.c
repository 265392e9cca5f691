/* Service parameters of SVCB and HTTPS records (RFC 9460 section 2.1 and appendix A): key=value words in any order as
 * text; on the wire sorted, each key at most once. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <xenkit/err.h>

#include "proto/dns/name.h"
#include "proto/dns/rdata.h"

enum { MANDATORY, ALPN, NO_DEFAULT_ALPN, PORT, IPV4HINT, ECH, IPV6HINT, DOHPATH, KEYS, VALUE_MAX = 2048 };

static const char *const key_names[KEYS] = {"mandatory", "alpn", "no-default-alpn", "port",
                                            "ipv4hint",  "ech",  "ipv6hint",        "dohpath"};

static int key_number(const char *s, size_t n)
{
    uint32_t v;

    for (int i = 0; i < KEYS; i++)
        if (xk__dns_word_is(s, n, key_names[i]))
            return i;
    if (n > 3 && xk__dns_word_is(s, 3, "key") && xk__dns_number(s + 3, n - 3, 65534, &v) == 0)
        return (int)v;
    return -1;
}

/* --- from text ---------------------------------------------------------------------------------------------------- */

static int put(struct xk__dns_out *o, const void *p, size_t n)
{
    uint8_t *to = xk__dns_out_at(o, n);

    if (!to)
        return XK_EINVAL;
    if (n)
        memcpy(to, p, n);
    return 0;
}

static int put16(struct xk__dns_out *o, unsigned v)
{
    const uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    return put(o, b, 2);
}

static void swap_in_order(uint8_t *keys, size_t n)
{
    for (size_t i = 2; i < n; i += 2)
        for (size_t j = i; j && memcmp(keys + j - 2, keys + j, 2) > 0; j -= 2) {
            uint8_t hold[2];
            memcpy(hold, keys + j, 2);
            memcpy(keys + j, keys + j - 2, 2);
            memcpy(keys + j - 2, hold, 2);
        }
}

/* One item of a comma-separated list. In alpn a backslash keeps a comma in the item (appendix A.1). */
static int put_item(struct xk__dns_out *o, int key, const char *s, size_t n)
{
    uint8_t b[256];
    size_t len = 0;
    int k;

    switch (key) {
    case MANDATORY:
        k = key_number(s, n);
        return k <= 0 ? XK_EINVAL : put16(o, (unsigned)k);
    case IPV4HINT:
        return xk__dns_ip4(s, n, b) ? XK_EINVAL : put(o, b, 4);
    case IPV6HINT:
        return xk__dns_ip6(s, n, b) ? XK_EINVAL : put(o, b, 16);
    default:
        for (size_t i = 0; i < n; i++) {
            if (s[i] == '\\' && ++i == n)
                return XK_EINVAL;
            if (len == 255)
                return XK_EINVAL;
            b[1 + len++] = (uint8_t)s[i];
        }
        b[0] = (uint8_t)len;
        return len ? put(o, b, len + 1) : XK_EINVAL;
    }
}

static int put_list(struct xk__dns_out *o, int key, const char *s, size_t n)
{
    size_t from = 0, start = o->n;

    for (size_t i = 0; i <= n; i++) {
        if (i < n && s[i] == '\\' && key == ALPN) {
            if (++i == n)
                return XK_EINVAL;
            continue;
        }
        if (i < n && s[i] != ',')
            continue;
        if (put_item(o, key, s + from, i - from))
            return XK_EINVAL;
        from = i + 1;
    }
    if (key == MANDATORY)
        swap_in_order(o->p + start, o->n - start);
    return 0;
}

static int put_value(struct xk__dns_out *o, int key, const char *s, size_t n)
{
    struct xk__dns_base64 b = {0, 0, 0, 0};
    uint32_t v;

    switch (key) {
    case MANDATORY:
    case ALPN:
    case IPV4HINT:
    case IPV6HINT:
        return put_list(o, key, s, n);
    case NO_DEFAULT_ALPN:
        return n ? XK_EINVAL : 0;
    case PORT:
        return xk__dns_number(s, n, 65535, &v) ? XK_EINVAL : put16(o, v);
    case ECH:
        return n == 0 || xk__dns_base64_add(&b, s, n, o) || !xk__dns_base64_done(&b) ? XK_EINVAL : 0;
    default:
        return put(o, s, n);
    }
}

static void reverse(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        uint8_t hold = p[i];
        p[i] = p[n - 1 - i];
        p[n - 1 - i] = hold;
    }
}

/* Moves the parameter that was appended at (last) to its place among those before it; -1 when its key is there. */
static int sort_in(struct xk__dns_out *o, size_t start, size_t last)
{
    size_t at = start;

    while (at < last) {
        int order = memcmp(o->p + at, o->p + last, 2);
        if (order == 0)
            return -1;
        if (order > 0)
            break;
        at += 4u + ((size_t)o->p[at + 2] << 8 | o->p[at + 3]);
    }
    reverse(o->p + at, last - at);
    reverse(o->p + last, o->n - last);
    reverse(o->p + at, o->n - at);
    return 0;
}

static int decode(const char *s, size_t n, char *out)
{
    const char *end = s + n;
    int len = 0;

    while (s < end) {
        int c = xk__dns_unescape(&s, end);
        if (c < 0 || len == VALUE_MAX)
            return -1;
        out[len++] = (char)c;
    }
    return len;
}

static int read_param(struct xk__dns_lex *lx, struct xk__dns_tok key, size_t start, struct xk__dns_out *o)
{
    static const char what[] = "a service parameter key=value, as alpn=h2 or key65000=\"x\"";
    const char *eq = memchr(key.s, '=', key.n);
    size_t name = eq ? (size_t)(eq - key.s) : key.n, last = o->n;
    const char *s = key.s + name + (eq ? 1 : 0);
    size_t n = key.n - name - (eq ? 1 : 0);
    int number = key_number(key.s, name), len;
    char value[VALUE_MAX];

    if (number < 0)
        return xk__dns_lex_bad(lx, &key, what);
    if (eq && n == 0 && lx->p < lx->end && *lx->p == '"') {
        const struct xk__dns_tok *tok = xk__dns_lex_string(lx, "a value");
        if (!tok)
            return XK_EINVAL;
        s = tok->s;
        n = tok->n;
    }
    len = decode(s, n, value);
    if (len < 0 || put16(o, (unsigned)number) || put16(o, 0) || put_value(o, number, value, (size_t)len))
        return xk__dns_lex_bad(lx, &key, "a value that is right for this key");
    n = o->n - last - 4;
    o->p[last + 2] = (uint8_t)(n >> 8);
    o->p[last + 3] = (uint8_t)n;
    if (sort_in(o, start, last))
        return xk__dns_lex_bad(lx, &key, "each key at most once");
    return 0;
}

int xk__dns_svcb_read(struct xk__dns_lex *lx, struct xk__dns_out *o)
{
    const struct xk__dns_tok *tok;
    size_t start = o->n;

    while ((tok = xk__dns_lex_next(lx))->kind == DNS_TOK_WORD)
        if (read_param(lx, *tok, start, o) < 0)
            return XK_EINVAL;
    if (tok->kind == DNS_TOK_STRING || tok->kind == DNS_TOK_ERROR)
        return xk__dns_lex_bad(lx, tok, "a service parameter key=value");
    xk__dns_lex_hold(lx);
    return 0;
}

/* --- from the wire ------------------------------------------------------------------------------------------------ */

static int value_ok(unsigned key, const uint8_t *p, size_t n)
{
    size_t pos = 0;

    switch (key) {
    case MANDATORY:
        return n >= 2 && n % 2 == 0;
    case ALPN:
        while (pos < n && p[pos])
            pos += 1u + p[pos];
        return n && pos == n;
    case NO_DEFAULT_ALPN:
        return n == 0;
    case PORT:
        return n == 2;
    case IPV4HINT:
        return n >= 4 && n % 4 == 0;
    case IPV6HINT:
        return n >= 16 && n % 16 == 0;
    default:
        return 1;
    }
}

int xk__dns_svcb_check(const uint8_t *p, size_t n)
{
    long before = -1;

    while (n) {
        size_t len;
        unsigned key;
        if (n < 4)
            return XK_EPROTO;
        key = (unsigned)(p[0] << 8 | p[1]);
        len = (size_t)(p[2] << 8 | p[3]);
        if (len > n - 4 || (long)key <= before || !value_ok(key, p + 4, len))
            return XK_EPROTO;
        before = (long)key;
        p += 4 + len;
        n -= 4 + len;
    }
    return 0;
}

static void key_text(struct xk__dns_text *t, unsigned key)
{
    if (key < KEYS)
        xk__dns_text_printf(t, "%s", key_names[key]);
    else
        xk__dns_text_printf(t, "key%u", key);
}

/* Commas and backslashes of an item are escaped twice: once for the list, once for the string around it. */
static void alpn_text(struct xk__dns_text *t, const uint8_t *p, size_t n)
{
    xk__dns_text_put(t, "\"", 1);
    for (size_t pos = 0; pos < n; pos += 1u + p[pos]) {
        if (pos)
            xk__dns_text_put(t, ",", 1);
        for (unsigned i = 1; i <= p[pos]; i++) {
            uint8_t c = p[pos + i];
            if (c == ',' || c == '\\')
                xk__dns_text_put(t, c == ',' ? "\\\\," : "\\\\\\\\", c == ',' ? 3 : 4);
            else if (c == '"')
                xk__dns_text_put(t, "\\\"", 2);
            else if (c < ' ' || c >= 127)
                xk__dns_text_printf(t, "\\%03u", c);
            else
                xk__dns_text_printf(t, "%c", c);
        }
    }
    xk__dns_text_put(t, "\"", 1);
}

static void list_text(struct xk__dns_text *t, unsigned key, const uint8_t *p, size_t n)
{
    size_t step = key == MANDATORY ? 2 : key == IPV4HINT ? 4 : 16;

    for (size_t pos = 0; pos < n; pos += step) {
        if (pos)
            xk__dns_text_put(t, ",", 1);
        if (key == MANDATORY)
            key_text(t, (unsigned)(p[pos] << 8 | p[pos + 1]));
        else if (key == IPV4HINT)
            xk__dns_text_printf(t, "%u.%u.%u.%u", p[pos], p[pos + 1], p[pos + 2], p[pos + 3]);
        else
            xk__dns_text_ip6(t, p + pos);
    }
}

void xk__dns_svcb_text(struct xk__dns_text *t, const uint8_t *p, size_t n)
{
    for (size_t pos = 0, len; pos < n; pos += 4 + len) {
        unsigned key = (unsigned)(p[pos] << 8 | p[pos + 1]);
        const uint8_t *value = p + pos + 4;

        len = (size_t)(p[pos + 2] << 8 | p[pos + 3]);
        if (pos)
            xk__dns_text_put(t, " ", 1);
        key_text(t, key);
        if (len == 0)
            continue;
        xk__dns_text_put(t, "=", 1);
        if (key == ALPN)
            alpn_text(t, value, len);
        else if (key == PORT)
            xk__dns_text_printf(t, "%u", value[0] << 8 | value[1]);
        else if (key == MANDATORY || key == IPV4HINT || key == IPV6HINT)
            list_text(t, key, value, len);
        else if (key == ECH)
            xk__dns_text_base64(t, value, len);
        else
            xk__dns_text_quoted(t, value, len);
    }
}
