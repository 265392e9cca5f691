/* One pass over a message head, line by line as the lines come in. http-parser as packaged accepts bare LF, spaces
 * before the colon, folded lines, HTTP/9.9 and more; each of these has been a request-smuggling hole, so each is
 * refused here first. A line is judged when it is complete and never twice: a byte at a time costs the same as all at
 * once, and gives the same answer. SPDX-License-Identifier: MIT */
#include <string.h>

#include "proto/http/chars.h"
#include "proto/http/gate.h"

unsigned xk__http_refusal_status(enum xk_http_refusal why)
{
    switch (why) {
#define STATUS(name, status, text) \
    case XK_HTTP_BAD_##name:       \
        return (status);
        XK_HTTP_REFUSAL_MAP(STATUS)
#undef STATUS
    default:
        return 0;
    }
}

const char *xk_http_refusal_text(enum xk_http_refusal why)
{
    switch (why) {
#define TEXT(name, status, text) \
    case XK_HTTP_BAD_##name:     \
        return text;
        XK_HTTP_REFUSAL_MAP(TEXT)
#undef TEXT
    default:
        return "accepted";
    }
}

int xk__http_refuse(uint8_t *reason, struct xk_diag *d, enum xk_http_refusal why, unsigned line, size_t column,
                    const char *more)
{
    *reason = (uint8_t)why;
    return xk_diag_set(d, XK_EPROTO, line, (unsigned)column, "%s%s%s", xk_http_refusal_text(why), *more ? ": " : "",
                       more);
}

/* --- lines ------------------------------------------------------------------------------------------------------ */

/* The line being judged: (s) to (s + n), without CRLF. */
struct line {
    const char *head, *s;
    size_t n;
};

static int refuse(struct xk_http_gate *g, struct xk_diag *d, enum xk_http_refusal why, size_t at, const char *more)
{
    return xk__http_refuse(&g->reason, d, why, g->lines + 1u, at + 1, more);
}

/* A control byte deserves its own name whatever place it spoils. */
static int refuse_byte(struct xk_http_gate *g, struct xk_diag *d, enum xk_http_refusal why, const struct line *l,
                       size_t at, const char *more)
{
    if (at < l->n && l->s[at] == '\r')
        return refuse(g, d, XK_HTTP_BAD_BARE_CR, at, "");
    if (at < l->n && l->s[at] == '\0')
        more = "NUL";
    return refuse(g, d, why, at, more);
}

static uint8_t find_method(const char *s, size_t n)
{
#define METHOD(name)                                                        \
    if (n == sizeof(#name) - 1 && memcmp(s, #name, sizeof(#name) - 1) == 0) \
        return XK_HTTP_##name;
    XK_HTTP_METHOD_MAP(METHOD)
#undef METHOD
    return XK__HTTP_METHOD_UNKNOWN;
}

/* "HTTP/" DIGIT "." DIGIT at (s). A later minor version is read as the latest that we know (RFC 9110 section 2.5). */
static int version(struct xk_http_gate *g, const struct line *l, size_t at, size_t n, struct xk_diag *d)
{
    const char *s = l->s + at;

    if (n != 8 || memcmp(s, "HTTP/", 5) != 0 || s[5] < '0' || s[5] > '9' || s[6] != '.' || s[7] < '0' || s[7] > '9') {
        for (size_t i = at; i < l->n; i++)
            if (l->s[i] == '\r')
                return refuse(g, d, XK_HTTP_BAD_BARE_CR, i, "");
        return refuse(g, d, XK_HTTP_BAD_REQUEST_LINE, at, "the version must read HTTP/1.1 or HTTP/1.0");
    }
    if (s[5] != '1')
        return refuse(g, d, XK_HTTP_BAD_VERSION, at, "use HTTP/1.1");
    g->minor = s[7] == '0' ? 0 : 1;
    return 0;
}

/* method SP request-target SP HTTP-version (RFC 9112 section 3) */
static int request_line(struct xk_http_gate *g, const struct line *l, struct xk_diag *d)
{
    size_t i, start;
    int r;

    i = xk__span(l->s, 0, l->n, XK__TOKEN);
    if (i == 0 || i == l->n || l->s[i] != ' ')
        return refuse_byte(g, d, XK_HTTP_BAD_REQUEST_LINE, l, i, "a method and a space are wanted");
    g->method = find_method(l->s, i);
    start = ++i;
    i = xk__span(l->s, i, l->n, XK__PATH);
    if (i < l->n && l->s[i] == '?')
        i = xk__span(l->s, i, l->n, XK__QUERY);
    if (i == l->n && i > start)
        return refuse(g, d, XK_HTTP_BAD_REQUEST_LINE, i, "no version; HTTP/0.9 is not spoken");
    if (i == start && (i == l->n || l->s[i] == ' '))
        return refuse(g, d, XK_HTTP_BAD_REQUEST_LINE, i, "no target after the method");
    if (l->s[i] != ' ')
        return refuse_byte(g, d, XK_HTTP_BAD_TARGET, l, i, "a byte that must be percent-encoded");
    g->target.value_off = (uint16_t)(g->line + start);
    g->target.value_len = (uint16_t)(i - start);
    i++;
    r = version(g, l, i, l->n - i, d);
    if (r < 0)
        return r;
    if (g->method == XK__HTTP_METHOD_UNKNOWN)
        return refuse(g, d, XK_HTTP_BAD_METHOD, 0, "");
    return 0;
}

/* HTTP-version SP status-code SP [ reason-phrase ] (section 4); the last space is often left out. */
static int status_line(struct xk_http_gate *g, const struct line *l, struct xk_diag *d)
{
    const char *s = l->s;
    size_t end;
    int r = version(g, l, 0, l->n < 8 ? l->n : 8, d);

    if (r < 0)
        return r;
    if (l->n < 12 || s[8] != ' ' || s[9] < '1' || s[9] > '9' || s[10] < '0' || s[10] > '9' || s[11] < '0' ||
        s[11] > '9' || (l->n > 12 && s[12] != ' '))
        return refuse_byte(g, d, XK_HTTP_BAD_REQUEST_LINE, l, 8, "three digits of status are wanted");
    end = xk__http_value_span(s, l->n);
    if (end < l->n)
        return refuse_byte(g, d, XK_HTTP_BAD_REQUEST_LINE, l, end, "control byte");
    g->status = (uint16_t)((s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0'));
    return 0;
}

/* field-name ":" OWS field-value OWS (section 5) */
static int field_line(struct xk_http_gate *g, const struct line *l, struct xk_http_field *f, struct xk_diag *d)
{
    const char *s = l->s;
    size_t i, start, end;

    if (s[0] == ' ' || s[0] == '\t')
        return refuse(g, d, XK_HTTP_BAD_OBS_FOLD, 0, "write the field on one line");
    i = xk__span(s, 0, l->n, XK__TOKEN);
    if (i == l->n)
        return refuse(g, d, XK_HTTP_BAD_NAME, i, "no colon in the line");
    if (i == 0 || s[i] != ':') {
        if (i && (s[i] == ' ' || s[i] == '\t'))
            return refuse(g, d, XK_HTTP_BAD_COLON_SPACE, i, "");
        return refuse_byte(g, d, XK_HTTP_BAD_NAME, l, i, i ? "not a token" : "empty");
    }
    start = i + 1;
    end = start + xk__http_value_span(s + start, l->n - start);
    if (end < l->n)
        return refuse_byte(g, d, XK_HTTP_BAD_VALUE, l, end, "");
    while (start < end && (s[start] == ' ' || s[start] == '\t'))
        start++;
    while (end > start && (s[end - 1] == ' ' || s[end - 1] == '\t'))
        end--;
    f->name_off = (uint16_t)g->line;
    f->name_len = (uint16_t)i;
    f->value_off = (uint16_t)(g->line + start);
    f->value_len = (uint16_t)(end - start);
    return xk__http_fact(g, l->head, f, d);
}

/* The caps come before the content, so that where the input was cut does not change the answer. (end) is how far the
 * line is known to reach. */
static int caps(struct xk_http_gate *g, const struct xk_http_limits *limits, size_t end, struct xk_diag *d)
{
    if (g->lines == 0) {
        if (end > limits->line)
            return refuse(g, d, XK_HTTP_BAD_TARGET_SIZE, limits->line, "");
        g->head = (uint32_t)end;
    } else if (end - g->head > limits->head) {
        return refuse(g, d, XK_HTTP_BAD_HEAD_SIZE, 0, "");
    }
    return 0;
}

/* 1 when the head is complete. */
static int judge(struct xk_http_gate *g, const struct xk_http_limits *limits, const struct line *l,
                 struct xk_http_field *table, size_t cap, struct xk_diag *d)
{
    int r;

    if (g->lines == 0)
        return g->client ? status_line(g, l, d) : request_line(g, l, d);
    if (l->n == 0) {
        r = xk__http_facts_end(g, d);
        return r < 0 ? r : 1;
    }
    if (g->fields >= limits->fields)
        return refuse(g, d, XK_HTTP_BAD_HEAD_COUNT, 0, "");
    if (g->fields >= cap)
        return XK_ENOSPC;
    r = field_line(g, l, &table[g->fields], d);
    if (r == 0)
        g->fields++;
    return r;
}

int xk__http_gate_run(struct xk_http_gate *g, const struct xk_http_limits *limits, const char *p, size_t n,
                      struct xk_http_field *table, size_t cap, struct xk_diag *d)
{
    if (g->complete)
        return (int)g->head;
    for (;;) {
        const char *lf = g->scanned < n ? memchr(p + g->scanned, '\n', n - g->scanned) : NULL;
        size_t end = lf ? (size_t)(lf - p) + 1 : n;
        struct line l = {p, p + g->line, end - g->line};
        int r = caps(g, limits, end, d);

        if (r < 0)
            return r;
        if (!lf) {
            g->scanned = (uint32_t)n;
            return XK_EAGAIN;
        }
        if (l.n < 2 || lf[-1] != '\r')
            return refuse(g, d, XK_HTTP_BAD_BARE_LF, l.n - 1, "");
        l.n -= 2;
        r = judge(g, limits, &l, table, cap, d);
        if (r < 0)
            return r;
        g->lines++;
        g->line = g->scanned = (uint32_t)end;
        if (r == 1) {
            g->complete = true;
            g->head = (uint32_t)end;
            return (int)end;
        }
    }
}
