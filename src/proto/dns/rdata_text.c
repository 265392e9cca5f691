/* Record data from wire form: checked, compared, and printed in presentation format. SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <xenkit/dns.h>

#include "proto/dns/name.h"
#include "proto/dns/rdata.h"

/* --- checking ----------------------------------------------------------------------------------------------------- */

static int strings_len(const uint8_t *p, size_t n)
{
    size_t pos = 0;

    while (pos < n)
        pos += 1u + p[pos];
    return n && pos == n ? (int)n : -1;
}

int xk__dns_field_len(char f, const uint8_t *p, size_t n)
{
    size_t need = 0;

    switch (f) {
    case 'N':
    case 'n':
        return xk__dns_name_scan(p, n);
    case 'A':
    case 'w':
    case 'd':
        need = 4;
        break;
    case '6':
        need = 16;
        break;
    case 'b':
        need = 1;
        break;
    case 'h':
        need = 2;
        break;
    case 's':
    case 'C':
        need = n ? 1u + p[0] : 1;
        break;
    case 'S':
        return strings_len(p, n);
    case 'P':
        return xk__dns_svcb_check(p, n) ? -1 : (int)n;
    default:
        return (int)n;
    }
    return need <= n ? (int)need : -1;
}

int xk__dns_rdata_check(unsigned type, const uint8_t *p, size_t n)
{
    const struct xk__dns_type *t = xk__dns_type_find(type);

    if (!t || !t->fields)
        return 0;
    for (const char *f = t->fields; *f; f++) {
        int len = xk__dns_field_len(*f, p, n);
        if (len < 0)
            return XK_EPROTO;
        p += len;
        n -= (size_t)len;
    }
    return n ? XK_EPROTO : 0;
}

int xk__dns_rdata_same(unsigned type, const uint8_t *a, size_t an, const uint8_t *b, size_t bn)
{
    const struct xk__dns_type *t;

    if (an != bn)
        return 0;
    if (memcmp(a, b, an) == 0)
        return 1;
    t = xk__dns_type_find(type);
    if (!t || !t->fields)
        return 0;
    for (const char *f = t->fields; *f; f++) {
        int len = xk__dns_field_len(*f, a, an), other = xk__dns_field_len(*f, b, an);
        if (len != other || len < 0)
            return 0;
        if (*f == 'N' || *f == 'n' ? !xk_dns_name_equal(a, b) : memcmp(a, b, (size_t)len) != 0)
            return 0;
        a += len;
        b += len;
        an -= (size_t)len;
    }
    return 1;
}

/* --- text pieces -------------------------------------------------------------------------------------------------- */

void xk__dns_text_put(struct xk__dns_text *t, const char *s, size_t n)
{
    if (t->n < t->max && n < t->max - t->n)
        memcpy(t->p + t->n, s, n);
    t->n += n;
}

void xk__dns_text_printf(struct xk__dns_text *t, const char *fmt, ...)
{
    char piece[64];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(piece, sizeof(piece), fmt, ap);
    va_end(ap);
    xk__dns_text_put(t, piece, strlen(piece));
}

static void text_escaped(struct xk__dns_text *t, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = (char)p[i];
        if (p[i] < ' ' || p[i] >= 127)
            xk__dns_text_printf(t, "\\%03u", p[i]);
        else if (c == '"' || c == '\\')
            xk__dns_text_printf(t, "\\%c", c);
        else
            xk__dns_text_put(t, &c, 1);
    }
}

void xk__dns_text_quoted(struct xk__dns_text *t, const uint8_t *p, size_t n)
{
    xk__dns_text_put(t, "\"", 1);
    text_escaped(t, p, n);
    xk__dns_text_put(t, "\"", 1);
}

void xk__dns_text_base64(struct xk__dns_text *t, const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);
        char c[4] = {digits[v >> 18], digits[v >> 12 & 63], left > 1 ? digits[v >> 6 & 63] : '=',
                     left > 2 ? digits[v & 63] : '='};
        xk__dns_text_put(t, c, 4);
    }
}

static void text_hex(struct xk__dns_text *t, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        char c[2] = {digits[p[i] >> 4], digits[p[i] & 15]};
        xk__dns_text_put(t, c, 2);
    }
}

/* RFC 5952: lower case, no leading zeroes, "::" for the first longest run of two or more zero groups. */
void xk__dns_text_ip6(struct xk__dns_text *t, const uint8_t *p)
{
    int best = -1, best_len = 1;

    for (int i = 0, run = 0; i < 8; i++) {
        run = p[2 * i] | p[2 * i + 1] ? 0 : run + 1;
        if (run > best_len) {
            best_len = run;
            best = i - run + 1;
        }
    }
    for (int i = 0; i < 8; i++) {
        if (i == best) {
            xk__dns_text_put(t, "::", 2);
            i += best_len - 1;
            continue;
        }
        if (i && i != best + best_len)
            xk__dns_text_put(t, ":", 1);
        xk__dns_text_printf(t, "%x", p[2 * i] << 8 | p[2 * i + 1]);
    }
}

/* --- whole records ------------------------------------------------------------------------------------------------ */

struct view {
    const uint8_t *msg;
    size_t len, pos, end; /* the data is at pos..end of the message */
};

/* Messages may carry compressed names in the data (RFC 3597 section 4 says for which types to expect them). */
static int name_field(struct xk__dns_text *t, struct view *v)
{
    uint8_t name[XK_DNS_NAME_MAX];
    char text[XK_DNS_NAME_TEXT_MAX];
    int n;

    if (xk_dns_name_read(v->msg, v->len, &v->pos, name) < 0 || v->pos > v->end)
        return XK_EPROTO;
    n = xk_dns_name_text(name, text, sizeof(text));
    if (n < 0)
        return n;
    xk__dns_text_put(t, text, (size_t)n);
    return 0;
}

static void number_field(struct xk__dns_text *t, const uint8_t *p, int n)
{
    uint32_t v = 0;

    while (n--)
        v = v << 8 | *p++;
    xk__dns_text_printf(t, "%u", v);
}

static void strings_field(struct xk__dns_text *t, const uint8_t *p, size_t n)
{
    for (size_t pos = 0; pos < n; pos += 1u + p[pos]) {
        if (pos)
            xk__dns_text_put(t, " ", 1);
        xk__dns_text_quoted(t, p + pos + 1, p[pos]);
    }
}

static int text_field(struct xk__dns_text *t, char f, struct view *v)
{
    const uint8_t *p = v->msg + v->pos;
    int n;

    if (f == 'N' || f == 'n')
        return name_field(t, v);
    n = xk__dns_field_len(f, p, v->end - v->pos);
    if (n < 0)
        return XK_EPROTO;
    v->pos += (size_t)n;
    switch (f) {
    case 'A':
        xk__dns_text_printf(t, "%u.%u.%u.%u", p[0], p[1], p[2], p[3]);
        break;
    case '6':
        xk__dns_text_ip6(t, p);
        break;
    case 's':
    case 'S':
        strings_field(t, p, (size_t)n);
        break;
    case 'C':
        text_escaped(t, p + 1, p[0]);
        break;
    case 'Q':
        xk__dns_text_quoted(t, p, (size_t)n);
        break;
    case 'X':
        text_hex(t, p, (size_t)n);
        break;
    case 'B':
        xk__dns_text_base64(t, p, (size_t)n);
        break;
    case 'P':
        xk__dns_svcb_text(t, p, (size_t)n);
        break;
    default:
        number_field(t, p, n);
    }
    return 0;
}

static int text_record(struct xk__dns_text *t, unsigned type, struct view *v)
{
    const struct xk__dns_type *d = xk__dns_type_find(type);
    int r;

    if (!d || !d->fields) {
        xk__dns_text_printf(t, "\\# %u", (unsigned)(v->end - v->pos));
        if (v->end > v->pos)
            xk__dns_text_put(t, " ", 1);
        text_hex(t, v->msg + v->pos, v->end - v->pos);
        return 0;
    }
    for (const char *f = d->fields; *f; f++) {
        if (f > d->fields && (*f != 'P' || v->pos < v->end))
            xk__dns_text_put(t, " ", 1);
        r = text_field(t, *f, v);
        if (r < 0)
            return r;
    }
    return v->pos == v->end ? 0 : XK_EPROTO;
}

int xk_dns_rr_text(const struct xk_dns_msg *m, const struct xk_dns_rr *rr, char *out, size_t max)
{
    struct view v = {m->data, m->len, rr->rdata, rr->rdata + rr->rdata_len};
    struct xk__dns_text t = {out, 0, max};
    int r;

    if (rr->section == XK_DNS_QUESTION || rr->rdata > m->len || rr->rdata_len > m->len - rr->rdata)
        return XK_EPROTO;
    r = text_record(&t, rr->type, &v);
    if (r < 0)
        return r;
    if (t.n >= max)
        return XK_EMSGSIZE;
    out[t.n] = 0;
    return (int)t.n;
}
