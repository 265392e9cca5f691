/* Record types: the table, and record data from text to wire form. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <xenkit/dns.h>

#include "proto/dns/name.h"
#include "proto/dns/rdata.h"

/* --- types -------------------------------------------------------------------------------------------------------- */

/* RFC 1035, 1183, 2163, 2230, 2782, 3403, 3596, 4034, 4255, 6672, 6698, 7344, 7553, 7929, 8162, 8659, 9460. The types
 * that a signer makes have no text form here: this server does not sign. */
static const struct xk__dns_type types[] = {
    {1, "A", "A"},           {2, "NS", "N"},          {5, "CNAME", "N"},    {6, "SOA", "NNwdddd"},
    {12, "PTR", "N"},        {13, "HINFO", "ss"},     {15, "MX", "hN"},     {16, "TXT", "S"},
    {17, "RP", "nn"},        {18, "AFSDB", "hn"},     {28, "AAAA", "6"},    {29, "LOC", NULL},
    {33, "SRV", "hhhn"},     {35, "NAPTR", "hhsssn"}, {36, "KX", "hn"},     {37, "CERT", NULL},
    {39, "DNAME", "n"},      {43, "DS", "hbbX"},      {44, "SSHFP", "bbX"}, {46, "RRSIG", NULL},
    {47, "NSEC", NULL},      {48, "DNSKEY", "hbbB"},  {50, "NSEC3", NULL},  {51, "NSEC3PARAM", NULL},
    {52, "TLSA", "bbbX"},    {53, "SMIMEA", "bbbX"},  {59, "CDS", "hbbX"},  {60, "CDNSKEY", "hbbB"},
    {61, "OPENPGPKEY", "B"}, {64, "SVCB", "hnP"},     {65, "HTTPS", "hnP"}, {99, "SPF", "S"},
    {256, "URI", "hhQ"},     {257, "CAA", "bCQ"},
};

/* What a question may ask for, or a message carry, but a zone not hold (RFC 6895 section 3.1). */
static const struct xk__dns_type meta[] = {
    {41, "OPT", NULL},   {249, "TKEY", NULL},  {250, "TSIG", NULL},  {251, "IXFR", NULL},
    {252, "AXFR", NULL}, {253, "MAILB", NULL}, {254, "MAILA", NULL}, {255, "ANY", NULL},
};

enum { TYPES = sizeof(types) / sizeof(types[0]), METAS = sizeof(meta) / sizeof(meta[0]) };

const struct xk__dns_type *xk__dns_type_find(unsigned number)
{
    for (unsigned i = 0; i < TYPES && types[i].number <= number; i++)
        if (types[i].number == number)
            return &types[i];
    return NULL;
}

int xk_dns_type_parse(const char *text, size_t len)
{
    uint32_t v;

    for (unsigned i = 0; i < TYPES; i++)
        if (xk__dns_word_is(text, len, types[i].name))
            return types[i].number;
    for (unsigned i = 0; i < METAS; i++)
        if (xk__dns_word_is(text, len, meta[i].name))
            return meta[i].number;
    if (len > 4 && xk__dns_word_is(text, 4, "TYPE") && xk__dns_number(text + 4, len - 4, 65535, &v) == 0)
        return (int)v;
    return XK_EINVAL;
}

int xk_dns_type_text(unsigned type, char *out, size_t max)
{
    const struct xk__dns_type *t = xk__dns_type_find(type);
    int n;

    for (unsigned i = 0; !t && i < METAS; i++)
        if (meta[i].number == type)
            t = &meta[i];
    n = t ? snprintf(out, max, "%s", t->name) : snprintf(out, max, "TYPE%u", type & 0xffff);
    return n < 0 || (size_t)n >= max ? XK_EMSGSIZE : n;
}

/* --- pieces ------------------------------------------------------------------------------------------------------- */

int xk__dns_ip4(const char *s, size_t n, uint8_t *out)
{
    const char *end = s + n;

    for (int i = 0; i < 4; i++) {
        const char *from = s;
        uint32_t v;
        while (s < end && *s != '.')
            s++;
        if (s - from > 3 || xk__dns_number(from, (size_t)(s - from), 255, &v))
            return XK_EINVAL;
        out[i] = (uint8_t)v;
        if (i < 3 && s++ == end)
            return XK_EINVAL;
    }
    return s == end ? 0 : XK_EINVAL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 4291 section 2.2, all three forms. */
int xk__dns_ip6(const char *s, size_t n, uint8_t *out)
{
    const char *end = s + n;
    unsigned at = 0, gap = 16;

    memset(out, 0, 16);
    if (n >= 2 && s[0] == ':' && s[1] == ':') {
        gap = 0;
        s += 2;
    }
    while (s < end) {
        unsigned v = 0, digits = 0;
        const char *from = s;
        for (; s < end && hex_digit(*s) >= 0; s++, digits++)
            v = v << 4 | (unsigned)hex_digit(*s);
        if (s < end && *s == '.') {
            if (at > 12 || xk__dns_ip4(from, (size_t)(end - from), out + at))
                return XK_EINVAL;
            at += 4;
            break;
        }
        if (digits == 0 || digits > 4 || at > 14)
            return XK_EINVAL;
        out[at++] = (uint8_t)(v >> 8);
        out[at++] = (uint8_t)v;
        if (s == end)
            break;
        if (*s++ != ':' || s == end)
            return XK_EINVAL;
        if (*s == ':') {
            if (gap < 16)
                return XK_EINVAL;
            gap = at;
            s++;
        }
    }
    if (gap == 16)
        return at == 16 ? 0 : XK_EINVAL;
    if (at == 16)
        return XK_EINVAL; /* "::" stands for at least one group */
    memmove(out + 16 - (at - gap), out + gap, at - gap);
    memset(out + gap, 0, 16 - at);
    return 0;
}

int xk__dns_base64_add(struct xk__dns_base64 *b, const char *s, size_t n, struct xk__dns_out *o)
{
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        int v = c >= 'A' && c <= 'Z'   ? c - 'A'
                : c >= 'a' && c <= 'z' ? c - 'a' + 26
                : c >= '0' && c <= '9' ? c - '0' + 52
                : c == '+'             ? 62
                : c == '/'             ? 63
                                       : -1;
        if (c == '=' && b->pads < 2 && b->chars % 4 >= 2) {
            b->pads++;
            continue;
        }
        if (v < 0 || b->pads)
            return XK_EINVAL;
        b->bits = b->bits << 6 | (uint32_t)v;
        b->have += 6;
        b->chars++;
        if (b->have >= 8) {
            uint8_t *p = xk__dns_out_at(o, 1);
            if (!p)
                return XK_EINVAL;
            b->have -= 8;
            *p = (uint8_t)(b->bits >> b->have);
        }
    }
    return 0;
}

/* --- fields from text --------------------------------------------------------------------------------------------- */

static int full(struct xk__dns_lex *lx, const struct xk__dns_tok *tok)
{
    return xk_diag_set(lx->diag, XK_EMSGSIZE, tok->line, tok->column, "the record's data is longer than there is room");
}

static int read_number(struct xk__dns_lex *lx, char f, struct xk__dns_out *o)
{
    static const char *const what[] = {"a number from 0 to 255", "a number from 0 to 65535",
                                       "a number from 0 to 4294967295", "a time from 0 to 2147483647 s, as 3600 or 1h"};
    int i = f == 'b' ? 0 : f == 'h' ? 1 : f == 'w' ? 2 : 3;
    static const uint32_t most[] = {255, 65535, 0xffffffff};
    const struct xk__dns_tok *tok = xk__dns_lex_word(lx, what[i]);
    unsigned size = i < 2 ? (unsigned)i + 1 : 4;
    uint32_t v = 0;
    uint8_t *p;

    if (!tok)
        return XK_EINVAL;
    if (i == 3 ? xk__dns_duration(tok->s, tok->n, &v) : xk__dns_number(tok->s, tok->n, most[i], &v))
        return xk__dns_lex_bad(lx, tok, what[i]);
    p = xk__dns_out_at(o, size);
    if (!p)
        return full(lx, tok);
    while (size--) {
        p[size] = (uint8_t)v;
        v >>= 8;
    }
    return 0;
}

static int read_name(struct xk__dns_lex *lx, const uint8_t *origin, struct xk__dns_out *o)
{
    const struct xk__dns_tok *tok = xk__dns_lex_word(lx, "a domain name");
    uint8_t name[XK_DNS_NAME_MAX], *p;
    const char *why;
    int n;

    if (!tok)
        return XK_EINVAL;
    if (!origin && !xk__dns_name_absolute(tok->s, tok->n))
        return xk__dns_lex_bad(lx, tok, "a name that ends in '.', as there is no origin");
    n = xk__dns_name_from_text(name, tok->s, tok->n, origin, &why);
    if (n < 0)
        return xk__dns_lex_bad(lx, tok, why);
    p = xk__dns_out_at(o, (size_t)n);
    if (!p)
        return full(lx, tok);
    memcpy(p, name, (size_t)n);
    return 0;
}

static int read_address(struct xk__dns_lex *lx, char f, struct xk__dns_out *o)
{
    const char *what = f == 'A' ? "an IPv4 address, as 192.0.2.1" : "an IPv6 address, as 2001:db8::1";
    const struct xk__dns_tok *tok = xk__dns_lex_word(lx, what);
    uint8_t *p;

    if (!tok)
        return XK_EINVAL;
    p = xk__dns_out_at(o, f == 'A' ? 4 : 16);
    if (!p)
        return full(lx, tok);
    if (f == 'A' ? xk__dns_ip4(tok->s, tok->n, p) : xk__dns_ip6(tok->s, tok->n, p))
        return xk__dns_lex_bad(lx, tok, what);
    return 0;
}

/* One string; (counted): with its length before it, at most 255 octets. */
static int put_string(struct xk__dns_lex *lx, const struct xk__dns_tok *tok, int counted, struct xk__dns_out *o)
{
    const char *s = tok->s, *end = tok->s + tok->n;
    size_t start = o->n, n = 0;

    if (counted && !xk__dns_out_at(o, 1))
        return full(lx, tok);
    for (; s < end; n++) {
        int c = xk__dns_unescape(&s, end);
        uint8_t *p;
        if (c < 0)
            return xk__dns_lex_bad(lx, tok, "\\X or \\DDD with DDD from 000 to 255 in a string");
        if (counted && n == 255)
            return xk__dns_lex_bad(lx, tok, "strings of at most 255 octets; split it: \"...\" \"...\"");
        p = xk__dns_out_at(o, 1);
        if (!p)
            return full(lx, tok);
        *p = (uint8_t)c;
    }
    if (counted)
        o->p[start] = (uint8_t)n;
    return 0;
}

static int read_tag(struct xk__dns_lex *lx, struct xk__dns_out *o)
{
    static const char what[] = "a CAA tag of 1 to 15 letters and digits, as issue";
    const struct xk__dns_tok *tok = xk__dns_lex_word(lx, what);

    if (!tok)
        return XK_EINVAL;
    if (tok->n > 15)
        return xk__dns_lex_bad(lx, tok, what);
    for (size_t i = 0; i < tok->n; i++) {
        uint8_t c = xk__dns_lower((uint8_t)tok->s[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
            return xk__dns_lex_bad(lx, tok, what);
    }
    return put_string(lx, tok, 1, o);
}

static int read_strings(struct xk__dns_lex *lx, struct xk__dns_out *o)
{
    const struct xk__dns_tok *tok = xk__dns_lex_string(lx, "a string");
    int r;

    if (!tok)
        return XK_EINVAL;
    do {
        r = put_string(lx, tok, 1, o);
        if (r < 0)
            return r;
        tok = xk__dns_lex_next(lx);
    } while (tok->kind == DNS_TOK_WORD || tok->kind == DNS_TOK_STRING);
    xk__dns_lex_hold(lx);
    return 0;
}

static int read_string(struct xk__dns_lex *lx, int counted, struct xk__dns_out *o)
{
    const struct xk__dns_tok *tok = xk__dns_lex_string(lx, "a string");

    return tok ? put_string(lx, tok, counted, o) : XK_EINVAL;
}

/* Digits may be parted by white space anywhere, as signers' tools write them. */
static int read_hex(struct xk__dns_lex *lx, unsigned least, struct xk__dns_out *o)
{
    static const char what[] = "an even number of hexadecimal digits";
    const struct xk__dns_tok *tok = xk__dns_lex_next(lx);
    unsigned digits = 0;
    uint8_t *p = NULL;

    for (; tok->kind == DNS_TOK_WORD; tok = xk__dns_lex_next(lx))
        for (size_t i = 0; i < tok->n; i++, digits++) {
            int v = hex_digit(tok->s[i]);
            if (v < 0)
                return xk__dns_lex_bad(lx, tok, what);
            if (digits % 2 == 0) {
                p = xk__dns_out_at(o, 1);
                if (!p)
                    return full(lx, tok);
                *p = 0;
            }
            *p = (uint8_t)(*p << 4 | v);
        }
    if (digits % 2 || digits < least || tok->kind == DNS_TOK_STRING)
        return xk__dns_lex_bad(lx, tok, what);
    xk__dns_lex_hold(lx);
    return 0;
}

static int read_base64(struct xk__dns_lex *lx, struct xk__dns_out *o)
{
    const struct xk__dns_tok *tok = xk__dns_lex_word(lx, "base64");
    struct xk__dns_base64 b = {0, 0, 0, 0};

    if (!tok)
        return XK_EINVAL;
    for (; tok->kind == DNS_TOK_WORD; tok = xk__dns_lex_next(lx))
        if (xk__dns_base64_add(&b, tok->s, tok->n, o))
            return o->n == o->max ? full(lx, tok) : xk__dns_lex_bad(lx, tok, "base64 (A-Z a-z 0-9 + / =)");
    if (!xk__dns_base64_done(&b) || tok->kind == DNS_TOK_STRING)
        return xk__dns_lex_bad(lx, tok, "base64 in groups of four");
    xk__dns_lex_hold(lx);
    return 0;
}

static int read_field(struct xk__dns_lex *lx, char f, const uint8_t *origin, struct xk__dns_out *o)
{
    switch (f) {
    case 'N':
    case 'n':
        return read_name(lx, origin, o);
    case 'A':
    case '6':
        return read_address(lx, f, o);
    case 's':
        return read_string(lx, 1, o);
    case 'Q':
        return read_string(lx, 0, o);
    case 'S':
        return read_strings(lx, o);
    case 'C':
        return read_tag(lx, o);
    case 'X':
        return read_hex(lx, 2, o);
    case 'B':
        return read_base64(lx, o);
    case 'P':
        return xk__dns_svcb_read(lx, o);
    default:
        return read_number(lx, f, o);
    }
}

/* RFC 3597 section 5: after \#, the length and that many octets. */
static int read_generic(struct xk__dns_lex *lx, unsigned type, struct xk__dns_out *o)
{
    const struct xk__dns_tok *tok = xk__dns_lex_word(lx, "the length of the data");
    struct xk__dns_tok length;
    size_t start = o->n;
    uint32_t v;
    int r;

    if (!tok)
        return XK_EINVAL;
    if (xk__dns_number(tok->s, tok->n, 65535, &v))
        return xk__dns_lex_bad(lx, tok, "the length of the data, from 0 to 65535");
    length = *tok;
    r = read_hex(lx, 0, o);
    if (r < 0)
        return r;
    if (o->n - start != v)
        return xk__dns_lex_bad(lx, &length, "the number of octets that follow");
    if (xk__dns_rdata_check(type, o->p + start, o->n - start))
        return xk__dns_lex_bad(lx, &length, "data that is right for this type");
    return 0;
}

int xk__dns_rdata_read(struct xk__dns_lex *lx, unsigned type, const uint8_t *origin, struct xk__dns_out *o)
{
    const struct xk__dns_type *t = xk__dns_type_find(type);
    const struct xk__dns_tok *tok = xk__dns_lex_next(lx);
    int r;

    if (tok->kind == DNS_TOK_WORD && tok->n == 2 && tok->s[0] == '\\' && tok->s[1] == '#')
        return read_generic(lx, type, o);
    if (!t || !t->fields)
        return xk__dns_lex_bad(lx, tok, "\\# LENGTH HEX, as this type has no other text form");
    xk__dns_lex_hold(lx);
    for (const char *f = t->fields; *f; f++) {
        r = read_field(lx, *f, origin, o);
        if (r < 0)
            return r;
    }
    return 0;
}

int xk_dns_rdata_parse(unsigned type, const char *text, size_t len, const uint8_t *origin, uint8_t *out, size_t max,
                       struct xk_diag *diag)
{
    struct xk__dns_out o = {out, 0, max < 65535 ? max : 65535};
    const struct xk__dns_tok *tok;
    struct xk__dns_lex lx;
    int r;

    xk__dns_lex_init(&lx, text, len, diag);
    lx.fresh = 0; /* leading white space means nothing here */
    r = xk__dns_rdata_read(&lx, type, origin, &o);
    if (r < 0)
        return r;
    tok = xk__dns_lex_next(&lx);
    if (tok->kind != DNS_TOK_EOF && tok->kind != DNS_TOK_EOL)
        return xk__dns_lex_bad(&lx, tok, "the end of the record");
    return (int)o.n;
}
