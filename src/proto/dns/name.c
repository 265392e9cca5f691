/* Names: text, wire form, comparison, and reading out of a message. Reading follows pointers only to places before the
 * one it started from; so the walk ends, whatever the message says. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/dns.h>

#include "proto/dns/name.h"

int xk__dns_name_scan(const uint8_t *p, size_t n)
{
    size_t pos = 0;

    if (n > XK_DNS_NAME_MAX)
        n = XK_DNS_NAME_MAX;
    while (pos < n && p[pos]) {
        if (p[pos] > DNS_LABEL_MAX)
            return -1;
        pos += 1u + p[pos];
    }
    return pos < n ? (int)pos + 1 : -1;
}

void xk__dns_qname_init(struct xk__dns_qname *q, const uint8_t *name)
{
    unsigned pos = 0, n = 0;
    uint64_t h = 0x9e3779b97f4a7c15u;

    while (name[pos]) {
        q->off[n++] = (uint8_t)pos;
        pos += 1u + name[pos];
    }
    q->off[n] = (uint8_t)pos;
    q->len = (uint8_t)(pos + 1);
    q->labels = (uint8_t)n;
    for (unsigned i = 0; i <= pos; i++)
        q->name[i] = xk__dns_lower(name[i]);
    q->hash[n] = (uint32_t)(h >> 32);
    while (n--) {
        const uint8_t *p = q->name + q->off[n], *end = p + 1 + *p;
        for (; p < end; p++)
            h = (h ^ *p) * 0x2127599bf4325c37u;
        h ^= h >> 29;
        q->hash[n] = (uint32_t)(h >> 32);
    }
}

int xk__dns_unescape(const char **s, const char *end)
{
    const char *p = *s;
    unsigned v = 0;

    if (*p != '\\') {
        *s = p + 1;
        return (uint8_t)*p;
    }
    if (++p == end)
        return -1;
    if (*p < '0' || *p > '9') {
        *s = p + 1;
        return (uint8_t)*p;
    }
    if (end - p < 3)
        return -1;
    for (int i = 0; i < 3; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        v = v * 10 + (unsigned)(p[i] - '0');
    }
    *s = p + 3;
    return v > 255 ? -1 : (int)v;
}

int xk__dns_name_absolute(const char *text, size_t len)
{
    size_t slashes = 0;

    if (len == 0 || text[len - 1] != '.')
        return 0;
    while (slashes < len - 1 && text[len - 2 - slashes] == '\\')
        slashes++;
    return slashes % 2 == 0;
}

static int append_origin(uint8_t *out, size_t n, const uint8_t *origin, const char **why)
{
    size_t more = origin ? xk__dns_name_len(origin) : 1;

    if (n + more > XK_DNS_NAME_MAX) {
        *why = "a name of at most 255 octets";
        return XK_EINVAL;
    }
    if (origin)
        memcpy(out + n, origin, more);
    else
        out[n] = 0;
    return (int)(n + more);
}

int xk__dns_name_from_text(uint8_t *out, const char *text, size_t len, const uint8_t *origin, const char **why)
{
    const char *end = text + len;
    size_t label = 0, n = 1; /* out[label] will be the length of the label that ends before out[n] */

    *why = "a domain name without empty labels";
    if (len == 0)
        return XK_EINVAL;
    if (len == 1 && *text == '@')
        return append_origin(out, 0, origin, why);
    if (len == 1 && *text == '.')
        return append_origin(out, 0, NULL, why);
    while (text < end) {
        int c = 0, dot = *text == '.';
        if (dot)
            text++;
        else if ((c = xk__dns_unescape(&text, end)) < 0)
            return *why = "\\X or \\DDD with DDD from 000 to 255 in a name", XK_EINVAL;
        if (dot && n == label + 1)
            return XK_EINVAL;
        if (!dot && n - label > DNS_LABEL_MAX)
            return *why = "labels of at most 63 octets", XK_EINVAL;
        if (n >= XK_DNS_NAME_MAX)
            return *why = "a name of at most 255 octets", XK_EINVAL;
        if (dot) {
            out[label] = (uint8_t)(n - label - 1);
            label = n++;
        } else {
            out[n++] = (uint8_t)c;
        }
    }
    if (n == label + 1) /* the last character was a dot */
        return append_origin(out, label, NULL, why);
    out[label] = (uint8_t)(n - label - 1);
    return append_origin(out, n, origin, why);
}

int xk_dns_name_parse(uint8_t out[XK_DNS_NAME_MAX], const char *text, size_t len, const uint8_t *origin)
{
    const char *why;
    return xk__dns_name_from_text(out, text, len, origin, &why);
}

static size_t text_of_byte(uint8_t c, char *p)
{
    if (c <= ' ' || c >= 127) {
        p[0] = '\\';
        p[1] = (char)('0' + c / 100);
        p[2] = (char)('0' + c / 10 % 10);
        p[3] = (char)('0' + c % 10);
        return 4;
    }
    if (strchr(".\\\"();@$", c)) {
        p[0] = '\\';
        p[1] = (char)c;
        return 2;
    }
    p[0] = (char)c;
    return 1;
}

int xk_dns_name_text(const uint8_t *name, char *out, size_t max)
{
    char all[XK_DNS_NAME_TEXT_MAX + 8];
    size_t n = 0;

    if (!*name)
        all[n++] = '.';
    while (*name) {
        for (unsigned i = 1; i <= *name; i++)
            n += text_of_byte(name[i], all + n);
        all[n++] = '.';
        name += 1 + *name;
    }
    if (n >= max)
        return XK_EMSGSIZE;
    memcpy(out, all, n);
    out[n] = 0;
    return (int)n;
}

int xk_dns_name_equal(const uint8_t *a, const uint8_t *b)
{
    size_t n = xk__dns_name_len(a);

    if (n != xk__dns_name_len(b))
        return 0;
    while (n--)
        if (xk__dns_lower(a[n]) != xk__dns_lower(b[n]))
            return 0;
    return 1;
}

int xk_dns_name_read(const uint8_t *msg, size_t n, size_t *pos, uint8_t out[XK_DNS_NAME_MAX])
{
    size_t at = *pos, first = at, len = 0, after = 0;

    for (;;) {
        uint8_t c;
        if (at >= n)
            return XK_EPROTO;
        c = msg[at];
        if (c >= 0xc0) {
            size_t to;
            if (n - at < 2)
                return XK_EPROTO;
            to = (size_t)(c & 0x3f) << 8 | msg[at + 1];
            if (to >= first)
                return XK_EPROTO;
            if (!after)
                after = at + 2;
            at = first = to;
            continue;
        }
        if (c > DNS_LABEL_MAX || c >= n - at || len + 1u + c > XK_DNS_NAME_MAX)
            return XK_EPROTO;
        memcpy(out + len, msg + at, 1u + c);
        len += 1u + c;
        at += 1u + c;
        if (c == 0)
            break;
        if (len == XK_DNS_NAME_MAX)
            return XK_EPROTO;
    }
    *pos = after ? after : at;
    return (int)len;
}
