/* The words of a master file. Parentheses and comments end here: the parser sees lines as if they were never broken.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "proto/dns/lex.h"
#include "proto/dns/name.h"

void xk__dns_lex_init(struct xk__dns_lex *lx, const char *text, size_t len, struct xk_diag *diag)
{
    memset(lx, 0, sizeof(*lx));
    lx->p = lx->line_start = text;
    lx->end = text + len;
    lx->line = 1;
    lx->fresh = 1;
    lx->diag = diag;
}

static unsigned column_of(const struct xk__dns_lex *lx, const char *p) { return (unsigned)(p - lx->line_start) + 1; }

static void new_line(struct xk__dns_lex *lx)
{
    lx->p++;
    lx->line++;
    lx->line_start = lx->p;
}

static const struct xk__dns_tok *give(struct xk__dns_lex *lx, enum xk__dns_tok_kind kind, const char *s, size_t n)
{
    lx->tok = (struct xk__dns_tok){kind, s, n, lx->line, column_of(lx, s)};
    lx->fresh = 0;
    return &lx->tok;
}

static const struct xk__dns_tok *fail(struct xk__dns_lex *lx, unsigned line, unsigned column, const char *text)
{
    xk_diag_set(lx->diag, XK_EINVAL, line, column, "%s", text);
    return give(lx, DNS_TOK_ERROR, lx->p, 0);
}

static const struct xk__dns_tok *quoted(struct xk__dns_lex *lx)
{
    const char *start = lx->p++, *s = lx->p;
    const struct xk__dns_tok *tok;

    while (lx->p < lx->end && *lx->p != '"' && *lx->p != '\n') {
        if (*lx->p == '\\' && lx->end - lx->p > 1 && lx->p[1] != '\n')
            lx->p++;
        lx->p++;
    }
    if (lx->p >= lx->end || *lx->p != '"')
        return fail(lx, lx->line, column_of(lx, start), "this quote is not closed; expected another '\"' on the line");
    tok = give(lx, DNS_TOK_STRING, s, (size_t)(lx->p - s));
    lx->tok.column = column_of(lx, start);
    lx->p++;
    return tok;
}

static const struct xk__dns_tok *word(struct xk__dns_lex *lx)
{
    const char *s = lx->p;

    while (lx->p < lx->end && !memchr(" \t\r\n;()\"", *lx->p, 8)) {
        if (*lx->p == '\\' && lx->end - lx->p > 1 && lx->p[1] != '\n')
            lx->p++;
        lx->p++;
    }
    return give(lx, DNS_TOK_WORD, s, (size_t)(lx->p - s));
}

static const struct xk__dns_tok *paren(struct xk__dns_lex *lx)
{
    if (*lx->p == '(') {
        if (lx->depth++ == 0) {
            lx->open_line = lx->line;
            lx->open_column = column_of(lx, lx->p);
        }
    } else if (lx->depth == 0) {
        return fail(lx, lx->line, column_of(lx, lx->p), "')' without '(' before it");
    } else {
        lx->depth--;
    }
    lx->p++;
    lx->fresh = 0;
    return NULL;
}

static const struct xk__dns_tok *at_end(struct xk__dns_lex *lx)
{
    if (lx->depth)
        return fail(lx, lx->open_line, lx->open_column, "this '(' is not closed; expected ')' before the end");
    return give(lx, DNS_TOK_EOF, lx->p, 0);
}

const struct xk__dns_tok *xk__dns_lex_next(struct xk__dns_lex *lx)
{
    const struct xk__dns_tok *tok;

    if (lx->held) {
        lx->held = 0;
        return &lx->tok;
    }
    while (lx->p < lx->end) {
        switch (*lx->p) {
        case '\n':
            if (lx->depth == 0) {
                tok = give(lx, DNS_TOK_EOL, lx->p, 0);
                new_line(lx);
                lx->fresh = 1;
                return tok;
            }
            new_line(lx);
            break;
        case ' ':
        case '\t':
        case '\r':
            lx->p++;
            if (lx->fresh && lx->p[-1] != '\r')
                return give(lx, DNS_TOK_BLANK, lx->p - 1, 1);
            break;
        case ';':
            while (lx->p < lx->end && *lx->p != '\n')
                lx->p++;
            break;
        case '(':
        case ')':
            tok = paren(lx);
            if (tok)
                return tok;
            break;
        case '"':
            return quoted(lx);
        default:
            return word(lx);
        }
    }
    return at_end(lx);
}

int xk__dns_lex_bad(struct xk__dns_lex *lx, const struct xk__dns_tok *tok, const char *expected)
{
    char shown[48];
    size_t n = 0;

    if (tok->kind == DNS_TOK_ERROR)
        return XK_EINVAL;
    if (tok->kind == DNS_TOK_EOL || tok->kind == DNS_TOK_EOF)
        return xk_diag_set(lx->diag, XK_EINVAL, tok->line, tok->column, "the line ends: expected %s", expected);
    for (; n < tok->n && n < 40; n++)
        shown[n] = tok->s[n] >= ' ' && tok->s[n] < 127 ? tok->s[n] : '?';
    if (n < tok->n)
        memcpy(shown + n, "...", 3), n += 3;
    shown[n] = 0;
    return xk_diag_set(lx->diag, XK_EINVAL, tok->line, tok->column, "'%s': expected %s", shown, expected);
}

const struct xk__dns_tok *xk__dns_lex_word(struct xk__dns_lex *lx, const char *expected)
{
    const struct xk__dns_tok *tok = xk__dns_lex_next(lx);

    if (tok->kind == DNS_TOK_WORD)
        return tok;
    xk__dns_lex_bad(lx, tok, expected);
    return NULL;
}

const struct xk__dns_tok *xk__dns_lex_string(struct xk__dns_lex *lx, const char *expected)
{
    const struct xk__dns_tok *tok = xk__dns_lex_next(lx);

    if (tok->kind == DNS_TOK_WORD || tok->kind == DNS_TOK_STRING)
        return tok;
    xk__dns_lex_bad(lx, tok, expected);
    return NULL;
}

int xk__dns_number(const char *s, size_t n, uint32_t max, uint32_t *v)
{
    uint64_t sum = 0;

    if (n == 0 || n > 10)
        return XK_EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return XK_EINVAL;
        sum = sum * 10 + (uint64_t)(s[i] - '0');
    }
    *v = (uint32_t)sum;
    return sum > max ? XK_EINVAL : 0;
}

static unsigned unit_seconds(char c)
{
    switch (c | 0x20) {
    case 'w':
        return 604800;
    case 'd':
        return 86400;
    case 'h':
        return 3600;
    case 'm':
        return 60;
    case 's':
        return 1;
    default:
        return 0;
    }
}

int xk__dns_duration(const char *s, size_t n, uint32_t *v)
{
    uint64_t sum = 0, part = 0;
    size_t digits = 0;

    for (size_t i = 0; i < n; i++) {
        if (s[i] >= '0' && s[i] <= '9') {
            part = part * 10 + (uint64_t)(s[i] - '0');
            if (++digits > 10)
                return XK_EINVAL;
            continue;
        }
        if (!digits || !unit_seconds(s[i]))
            return XK_EINVAL;
        sum += part * unit_seconds(s[i]);
        if (sum > 0x7fffffff)
            return XK_EINVAL;
        part = digits = 0;
    }
    sum += part;
    if (n == 0 || sum > 0x7fffffff)
        return XK_EINVAL;
    *v = (uint32_t)sum;
    return 0;
}

int xk__dns_word_is(const char *s, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (!text[i] || xk__dns_lower((uint8_t)s[i]) != xk__dns_lower((uint8_t)text[i]))
            return 0;
    return text[n] == 0;
}
