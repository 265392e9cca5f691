/* What the fields of a head say about framing, routing and persistence. One field, one meaning: a field that could be
 * read in two ways is refused, since the other reader may be a proxy between us and the client (RFC 9112 section 11.2).
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/uri.h>

#include "proto/http/chars.h"
#include "proto/http/gate.h"

static int refuse(struct xk_http_gate *g, struct xk_diag *d, enum xk_http_refusal why, const char *more)
{
    return xk__http_refuse(&g->reason, d, why, g->lines + 1u, 1, more);
}

/* The next element of a comma-separated list, without white space around it; false at the end. Empty elements are
 * elements here. */
static bool next_element(const char **p, const char *end, const char **e, size_t *n)
{
    const char *comma, *stop;

    if (!*p)
        return false;
    comma = memchr(*p, ',', (size_t)(end - *p));
    stop = comma ? comma : end;
    *e = *p;
    *p = comma ? comma + 1 : NULL;
    while (*e < stop && (**e == ' ' || **e == '\t'))
        ++*e;
    while (stop > *e && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    *n = (size_t)(stop - *e);
    return true;
}

/* Exactly one, exactly digits: "+1", "1 1", "1, 1" and two equal ones have all been read differently by two servers
 * (RFC 9112 section 6.3). */
static int content_length(struct xk_http_gate *g, const char *v, size_t n, struct xk_diag *d)
{
    uint64_t sum = 0;

    if (g->has_length)
        return refuse(g, d, XK_HTTP_BAD_LENGTH, "there are two");
    if (n == 0)
        return refuse(g, d, XK_HTTP_BAD_LENGTH, "empty");
    for (size_t i = 0; i < n; i++) {
        if (v[i] < '0' || v[i] > '9')
            return refuse(g, d, XK_HTTP_BAD_LENGTH, "digits only");
        if (sum > (UINT64_MAX / 2 - 9) / 10)
            return refuse(g, d, XK_HTTP_BAD_LENGTH, "too great");
        sum = sum * 10 + (unsigned)(v[i] - '0');
    }
    g->has_length = true;
    g->length = sum;
    return 0;
}

/* Codings are listed in the order they were applied; chunked comes last and once (section 6.1). */
static int transfer_encoding(struct xk_http_gate *g, const char *v, size_t n, struct xk_diag *d)
{
    const char *p = v, *e;
    size_t len;

    g->te_line = (uint16_t)(g->lines + 1);
    while (next_element(&p, v + n, &e, &len)) {
        if (len == 0)
            return refuse(g, d, XK_HTTP_BAD_CODING, "an empty element");
        if (g->chunked)
            return refuse(g, d, XK_HTTP_BAD_CODING, "chunked must be last, and once");
        if (g->codings < 255)
            g->codings++;
        g->chunked = len == 7 && xk__ieq_lit(e, "chunked", 7);
    }
    return 0;
}

static int connection(struct xk_http_gate *g, const char *v, size_t n)
{
    const char *p = v, *e;
    size_t len;

    while (next_element(&p, v + n, &e, &len)) {
        if (len == 5 && xk__ieq_lit(e, "close", 5))
            g->close = true;
        else if (len == 10 && xk__ieq_lit(e, "keep-alive", 10))
            g->keep_alive = true;
    }
    return 0;
}

static int host(struct xk_http_gate *g, const char *v, const struct xk_http_field *f, struct xk_diag *d)
{
    if (g->has_host)
        return refuse(g, d, XK_HTTP_BAD_HOST, "there are two");
    if (xk_uri_host_check(v, f->value_len, NULL) < 0)
        return refuse(g, d, XK_HTTP_BAD_HOST, "not a host, or host:port");
    g->has_host = true;
    g->host = *f;
    return 0;
}

/* "100-continue" is the only one there is (RFC 9110 section 10.1.1); HTTP/1.0 knows none. */
static int expect(struct xk_http_gate *g, const char *v, size_t n, struct xk_diag *d)
{
    if (g->minor == 0)
        return 0;
    if (n != 12 || !xk__ieq_lit(v, "100-continue", 12))
        return refuse(g, d, XK_HTTP_BAD_EXPECT, "only 100-continue is known");
    g->expect_continue = true;
    return 0;
}

int xk__http_fact(struct xk_http_gate *g, const char *head, const struct xk_http_field *f, struct xk_diag *d)
{
    const char *name = head + f->name_off, *v = head + f->value_off;
    size_t n = f->value_len;

    switch (f->name_len) {
    case 4:
        return !g->client && xk__ieq_lit(name, "host", 4) ? host(g, v, f, d) : 0;
    case 6:
        return !g->client && xk__ieq_lit(name, "expect", 6) ? expect(g, v, n, d) : 0;
    case 10:
        return xk__ieq_lit(name, "connection", 10) ? connection(g, v, n) : 0;
    case 14:
        return xk__ieq_lit(name, "content-length", 14) ? content_length(g, v, n, d) : 0;
    case 17:
        return xk__ieq_lit(name, "transfer-encoding", 17) ? transfer_encoding(g, v, n, d) : 0;
    default:
        return 0;
    }
}

int xk__http_facts_end(struct xk_http_gate *g, struct xk_diag *d)
{
    if (!g->client && g->minor == 1 && !g->has_host)
        return xk__http_refuse(&g->reason, d, XK_HTTP_BAD_HOST, 1, 0, "there is none");
    if (!g->codings)
        return 0;
    if (g->has_length)
        return xk__http_refuse(&g->reason, d, XK_HTTP_BAD_FRAMING, g->te_line, 1, "send one of them");
    if (g->minor == 0)
        return xk__http_refuse(&g->reason, d, XK_HTTP_BAD_CODING, g->te_line, 1, "HTTP/1.0 knows no transfer codings");
    if (!g->chunked)
        return xk__http_refuse(&g->reason, d, XK_HTTP_BAD_CODING, g->te_line, 1, "chunked must be last");
    if (g->codings > 1)
        return xk__http_refuse(&g->reason, d, XK_HTTP_BAD_CODING_UNKNOWN, g->te_line, 1, "only chunked is known");
    return 0;
}
