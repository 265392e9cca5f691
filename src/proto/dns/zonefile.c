/* Master files (RFC 1035 section 5): lines to records. What a word must be follows from its place, never from its
 * look: an owner may be called IN, A or 3600. SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "proto/dns/build.h"
#include "proto/dns/rdata.h"

enum { INCLUDE_DEPTH = 8 };

struct load {
    struct xk__dns_lex lx;
    struct xk__dns_build build;
    const struct xk_dns_zone_opts *opts;
    uint8_t origin[XK_DNS_NAME_MAX];
    int have_origin, have_owner, have_ttl, have_last;
    uint32_t owner, ttl, last; /* ttl: of $TTL; last: of the record before (RFC 1035 section 5.1) */
    unsigned depth;
    uint8_t data[65535];
};

/* What stands before a record's data. */
struct head {
    int have_ttl, have_class, type;
    uint32_t ttl;
    struct xk__dns_place at; /* of the type */
};

static const uint8_t *origin_of(const struct load *ld) { return ld->have_origin ? ld->origin : NULL; }

static int end_of_line(struct load *ld, const char *expected)
{
    const struct xk__dns_tok *tok = xk__dns_lex_next(&ld->lx);

    if (tok->kind != DNS_TOK_EOL && tok->kind != DNS_TOK_EOF)
        return xk__dns_lex_bad(&ld->lx, tok, expected);
    xk__dns_lex_hold(&ld->lx);
    return 0;
}

static int name_of(struct load *ld, const struct xk__dns_tok *tok, uint8_t *name)
{
    const char *why;

    if (tok->kind != DNS_TOK_WORD)
        return xk__dns_lex_bad(&ld->lx, tok, "a domain name");
    if (!ld->have_origin && !xk__dns_name_absolute(tok->s, tok->n))
        return xk__dns_lex_bad(&ld->lx, tok, "a name that ends in '.', as there is no origin; or $ORIGIN before it");
    if (xk__dns_name_from_text(name, tok->s, tok->n, origin_of(ld), &why) < 0)
        return xk__dns_lex_bad(&ld->lx, tok, why);
    return 0;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

/* 1 for IN; 0: the word is no class. */
static int class_word(struct load *ld, const struct xk__dns_tok *tok)
{
    static const char *const others[] = {"CS", "CH", "HS", "ANY", "NONE"};

    if (xk__dns_word_is(tok->s, tok->n, "IN") || xk__dns_word_is(tok->s, tok->n, "CLASS1"))
        return 1;
    for (unsigned i = 0; i < 5; i++)
        if (xk__dns_word_is(tok->s, tok->n, others[i]))
            return xk__dns_lex_bad(&ld->lx, tok, "class IN; no other is served");
    if (tok->n > 5 && xk__dns_word_is(tok->s, 5, "CLASS"))
        return xk__dns_lex_bad(&ld->lx, tok, "class IN; no other is served");
    return 0;
}

static int type_word(struct load *ld, const struct xk__dns_tok *tok)
{
    int type = xk_dns_type_parse(tok->s, tok->n);

    if (type < 0)
        return xk__dns_lex_bad(&ld->lx, tok, "a TTL, the class IN, or a type as A, MX or TYPE731");
    if (type == 0 || type == XK_DNS_OPT || (type >= 128 && type <= 255)) /* RFC 6895 section 3.1 */
        return xk__dns_lex_bad(&ld->lx, tok, "a type that a zone can hold");
    return type;
}

/* [TTL] [class] type, or [class] [TTL] type. */
static int read_head(struct load *ld, struct head *h)
{
    memset(h, 0, sizeof(*h));
    for (;;) {
        const struct xk__dns_tok *tok = xk__dns_lex_word(&ld->lx, "a TTL, the class IN, or a type");
        int r;
        if (!tok)
            return XK_EINVAL;
        if (!h->have_ttl && *tok->s >= '0' && *tok->s <= '9') {
            if (xk__dns_duration(tok->s, tok->n, &h->ttl))
                return xk__dns_lex_bad(&ld->lx, tok, "a TTL from 0 to 2147483647 s, as 3600 or 1h30m");
            h->have_ttl = 1;
            continue;
        }
        r = h->have_class ? 0 : class_word(ld, tok);
        if (r < 0)
            return r;
        if (r == 1) {
            h->have_class = 1;
            continue;
        }
        h->at = (struct xk__dns_place){tok->line, tok->column};
        h->type = type_word(ld, tok);
        return h->type;
    }
}

/* The TTL that was left out: $TTL (RFC 2308 section 4), the last one stated, or for a SOA its own minimum. */
static int default_ttl(struct load *ld, struct head *h, size_t len)
{
    const uint8_t *m = ld->data + len - 4;

    if (h->have_ttl)
        ld->last = h->ttl;
    else if (ld->have_ttl)
        h->ttl = ld->ttl;
    else if (ld->have_last)
        h->ttl = ld->last;
    else if (h->type == XK_DNS_SOA)
        h->ttl = ld->last = ((uint32_t)m[0] << 24 | (uint32_t)m[1] << 16 | (uint32_t)m[2] << 8 | m[3]) & 0x7fffffff;
    else
        return xk_diag_set(ld->lx.diag, XK_EINVAL, h->at.line, h->at.column,
                           "this record has no TTL; expected one before the type, or a $TTL line before it");
    if (h->have_ttl || (!ld->have_ttl && h->type == XK_DNS_SOA))
        ld->have_last = 1;
    return 0;
}

static int owner_node(struct load *ld, const struct xk__dns_tok *tok)
{
    struct xk__dns_place at = {tok->line, tok->column};
    uint8_t name[XK_DNS_NAME_MAX];
    char text[XK_DNS_NAME_TEXT_MAX], apex[XK_DNS_NAME_TEXT_MAX];
    int r = name_of(ld, tok, name);

    if (r >= 0 && !ld->build.have_apex)
        r = xk__dns_build_apex(&ld->build, name);
    if (r >= 0)
        r = xk__dns_build_node(&ld->build, name, &ld->owner);
    if (r == XK_ENOENT) {
        xk_dns_name_text(name, text, sizeof(text));
        xk_dns_name_text((const uint8_t *)ld->build.names.p, apex, sizeof(apex));
        return xk_diag_set(ld->lx.diag, XK_EINVAL, at.line, at.column,
                           "'%.80s' is not in the zone; expected a name below '%.80s'", text, apex);
    }
    ld->have_owner = r >= 0;
    return r;
}

static int record(struct load *ld)
{
    struct xk__dns_out o = {ld->data, 0, sizeof(ld->data)};
    struct head h;
    int r = read_head(ld, &h);

    if (r < 0)
        return r;
    if (ld->build.count == 0 && !ld->opts->origin && h.type != XK_DNS_SOA)
        return xk_diag_set(ld->lx.diag, XK_EINVAL, h.at.line, h.at.column,
                           "the first record is no SOA; expected one, as its owner is the zone's name");
    r = xk__dns_rdata_read(&ld->lx, (unsigned)h.type, origin_of(ld), &o);
    if (r >= 0)
        r = end_of_line(ld, "the end of the record");
    if (r >= 0)
        r = default_ttl(ld, &h, o.n);
    if (r < 0)
        return r;
    return xk__dns_build_add(&ld->build, ld->owner, (unsigned)h.type, h.ttl, o.p, o.n, h.at);
}

/* --- directives --------------------------------------------------------------------------------------------------- */

static int file(struct load *ld);

static int origin_line(struct load *ld)
{
    const struct xk__dns_tok *tok = xk__dns_lex_word(&ld->lx, "a domain name");
    uint8_t name[XK_DNS_NAME_MAX];
    int r = tok ? name_of(ld, tok, name) : XK_EINVAL;

    if (r < 0)
        return r;
    memcpy(ld->origin, name, xk__dns_name_len(name));
    ld->have_origin = 1;
    return end_of_line(ld, "the end of the line");
}

static int ttl_line(struct load *ld)
{
    static const char what[] = "a TTL from 0 to 2147483647 s, as 3600 or 1h30m";
    const struct xk__dns_tok *tok = xk__dns_lex_word(&ld->lx, what);

    if (!tok)
        return XK_EINVAL;
    if (xk__dns_duration(tok->s, tok->n, &ld->ttl))
        return xk__dns_lex_bad(&ld->lx, tok, what);
    ld->have_ttl = 1;
    return end_of_line(ld, "the end of the line");
}

/* Reads another text in place; origin and owner are then as before (RFC 1035 section 5.1). */
static int include_text(struct load *ld, const char *path, const char *text, size_t len)
{
    struct xk__dns_lex lx = ld->lx;
    uint8_t origin[XK_DNS_NAME_MAX];
    uint32_t owner = ld->owner;
    int have_owner = ld->have_owner, r;
    struct xk_diag inner = {0, 0, 0, ""};

    memcpy(origin, ld->origin, sizeof(origin));
    xk__dns_lex_init(&ld->lx, text, len, &inner);
    ld->build.diag = &inner;
    ld->depth++;
    r = file(ld);
    ld->depth--;
    ld->build.diag = lx.diag;
    ld->lx = lx;
    memcpy(ld->origin, origin, sizeof(origin));
    ld->owner = owner;
    ld->have_owner = have_owner;
    if (r < 0)
        xk_diag_set(lx.diag, r, inner.line, inner.column, "in %.60s: %.150s", path, inner.text);
    return r;
}

static int include_line(struct load *ld, struct xk__dns_tok dollar)
{
    const struct xk__dns_tok *tok;
    uint8_t origin[XK_DNS_NAME_MAX], before[XK_DNS_NAME_MAX];
    char path[256];
    const char *text = NULL;
    size_t len = 0;
    int had = ld->have_origin, r;

    if (!ld->opts->include)
        return xk__dns_lex_bad(&ld->lx, &dollar, "the records themselves: no other file can be read from here");
    tok = xk__dns_lex_string(&ld->lx, "a file name");
    if (!tok)
        return XK_EINVAL;
    if (tok->n >= sizeof(path) || memchr(tok->s, 0, tok->n))
        return xk__dns_lex_bad(&ld->lx, tok, "a file name of at most 255 characters");
    if (ld->depth == INCLUDE_DEPTH)
        return xk__dns_lex_bad(&ld->lx, &dollar, "files nested at most 8 deep");
    memcpy(path, tok->s, tok->n);
    path[tok->n] = 0;
    memcpy(before, ld->origin, sizeof(before));
    tok = xk__dns_lex_next(&ld->lx);
    if (tok->kind == DNS_TOK_WORD) {
        r = name_of(ld, tok, origin);
        if (r < 0)
            return r;
        memcpy(ld->origin, origin, xk__dns_name_len(origin));
        ld->have_origin = 1;
    } else {
        xk__dns_lex_hold(&ld->lx);
    }
    r = end_of_line(ld, "the end of the line");
    if (r < 0)
        return r;
    r = ld->opts->include(ld->opts->include_arg, path, &text, &len);
    if (r < 0)
        return xk_diag_set(ld->lx.diag, r, dollar.line, dollar.column, "$INCLUDE %.100s: %s", path, xk_err_text(r));
    r = include_text(ld, path, text, len);
    memcpy(ld->origin, before, sizeof(before));
    ld->have_origin = had;
    return r;
}

static int directive(struct load *ld, const struct xk__dns_tok *tok)
{
    if (xk__dns_word_is(tok->s, tok->n, "$ORIGIN"))
        return origin_line(ld);
    if (xk__dns_word_is(tok->s, tok->n, "$TTL"))
        return ttl_line(ld);
    if (xk__dns_word_is(tok->s, tok->n, "$INCLUDE"))
        return include_line(ld, *tok);
    return xk__dns_lex_bad(&ld->lx, tok, "$ORIGIN, $TTL or $INCLUDE");
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

/* One line, or one record over several. 0 at the end of the text, 1 otherwise. */
static int line(struct load *ld)
{
    const struct xk__dns_tok *tok = xk__dns_lex_next(&ld->lx);
    struct xk__dns_place at = {tok->line, tok->column};
    int r;

    if (tok->kind == DNS_TOK_BLANK) {
        tok = xk__dns_lex_next(&ld->lx);
        if (tok->kind == DNS_TOK_EOF || tok->kind == DNS_TOK_EOL)
            return tok->kind == DNS_TOK_EOL;
        if (tok->kind == DNS_TOK_ERROR)
            return XK_EINVAL;
        if (!ld->have_owner)
            return xk_diag_set(ld->lx.diag, XK_EINVAL, at.line, at.column,
                               "the line begins with white space, but no owner was named before; expected a name");
        xk__dns_lex_hold(&ld->lx);
        r = record(ld);
        return r < 0 ? r : 1;
    }
    if (tok->kind == DNS_TOK_EOF || tok->kind == DNS_TOK_EOL)
        return tok->kind == DNS_TOK_EOL;
    if (tok->kind == DNS_TOK_WORD && *tok->s == '$') {
        r = directive(ld, tok);
    } else {
        r = owner_node(ld, tok);
        if (r >= 0)
            r = record(ld);
    }
    return r < 0 ? r : 1;
}

static int file(struct load *ld)
{
    int r;

    do
        r = line(ld);
    while (r > 0);
    return r;
}

static int run(struct load *ld, struct xk_dns_zone **zone)
{
    const char *origin = ld->opts->origin, *why;
    struct xk__dns_place at;
    int r = 0;

    if (origin) {
        r = xk__dns_name_from_text(ld->origin, origin, strlen(origin), NULL, &why);
        if (r < 0)
            return xk_diag_set(ld->lx.diag, XK_EINVAL, 0, 0, "origin '%.80s': expected %s", origin, why);
        ld->have_origin = 1;
        r = xk__dns_build_apex(&ld->build, ld->origin);
    }
    if (r >= 0)
        r = file(ld);
    if (r < 0)
        return r;
    at = (struct xk__dns_place){ld->lx.tok.line, ld->lx.tok.column};
    return xk__dns_build_finish(&ld->build, at, zone);
}

int xk_dns_zone_load_with(const xk_alloc *alloc, const struct xk_dns_zone_opts *opts, const char *text, size_t len,
                          struct xk_diag *diag, struct xk_dns_zone **zone)
{
    static const struct xk_dns_zone_opts none = {NULL, 0, NULL, NULL};
    struct load *ld = xk_new(alloc, sizeof(*ld));
    int r;

    if (!ld)
        return xk_diag_set(diag, XK_ENOMEM, 0, 0, "out of memory while loading the zone");
    ld->opts = opts ? opts : &none;
    xk__dns_lex_init(&ld->lx, text, len, diag);
    xk__dns_build_init(&ld->build, alloc, ld->opts->max_bytes, diag);
    r = run(ld, zone);
    xk__dns_build_fini(&ld->build);
    xk_free(alloc, ld, sizeof(*ld));
    return r < 0 ? r : 0;
}

int xk_dns_zone_load(const xk_alloc *alloc, const char *origin, const char *text, size_t len, struct xk_diag *diag,
                     struct xk_dns_zone **zone)
{
    struct xk_dns_zone_opts opts = {origin, 0, NULL, NULL};

    return xk_dns_zone_load_with(alloc, &opts, text, len, diag, zone);
}
