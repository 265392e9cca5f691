/* The words of a master file (RFC 1035 section 5.1), each with its place, and the one way to complain about a word.
 * SPDX-License-Identifier: MIT */
#ifndef XK_PROTO_DNS_LEX_H
#define XK_PROTO_DNS_LEX_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/err.h>

enum xk__dns_tok_kind {
    DNS_TOK_EOF,
    DNS_TOK_EOL,
    DNS_TOK_BLANK, /* white space at the beginning of a line, outside parentheses: "the owner as before" */
    DNS_TOK_WORD,
    DNS_TOK_STRING, /* in quotes, which are not part of it; escapes are still in */
    DNS_TOK_ERROR   /* the diagnosis is filled */
};

struct xk__dns_tok {
    enum xk__dns_tok_kind kind;
    const char *s;
    size_t n;
    unsigned line, column;
};

struct xk__dns_lex {
    const char *p, *end, *line_start;
    unsigned line, depth, open_line, open_column;
    int fresh, held; /* fresh: nothing of this line was read yet; held: tok is given again */
    struct xk__dns_tok tok;
    struct xk_diag *diag;
};

void xk__dns_lex_init(struct xk__dns_lex *lx, const char *text, size_t len, struct xk_diag *diag);
const struct xk__dns_tok *xk__dns_lex_next(struct xk__dns_lex *lx);
static inline void xk__dns_lex_hold(struct xk__dns_lex *lx) { lx->held = 1; }

/* "'WORD': expected WHAT", or "the line ends: expected WHAT". Returns XK_EINVAL. */
int xk__dns_lex_bad(struct xk__dns_lex *lx, const struct xk__dns_tok *tok, const char *expected);

/* The next token must be a word; or a word or string. NULL: the diagnosis is filled. */
const struct xk__dns_tok *xk__dns_lex_word(struct xk__dns_lex *lx, const char *expected);
const struct xk__dns_tok *xk__dns_lex_string(struct xk__dns_lex *lx, const char *expected);

/* Decimal digits only, at most (max). */
int xk__dns_number(const char *s, size_t n, uint32_t max, uint32_t *v);

/* Seconds, plain or in units: 1h30m (w d h m s); at most 2^31-1 (RFC 2181 section 8). */
int xk__dns_duration(const char *s, size_t n, uint32_t *v);

/* Case-insensitive comparison of a token with an ASCII text. */
int xk__dns_word_is(const char *s, size_t n, const char *text);

#endif
