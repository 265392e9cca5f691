/* What the gate lets through and what it refuses, each beside its accepted neighbour. The rows come from a probe of
 * http-parser 2.9.4, which accepts most of the refused ones. SPDX-License-Identifier: MIT */

#include "proto/http/chars.h"
#include "proto/http/gate.h"
#include "tests/c/proto/test_http_feed.h"

struct row {
    const char *in;
    size_t n; /* 0: strlen */
    unsigned status, reason, line;
};

#define ROW(text, status, reason, line)                            \
    {                                                              \
        text, sizeof(text) - 1, status, XK_HTTP_BAD_##reason, line \
    }
#define GOOD(text)                      \
    {                                   \
        text, sizeof(text) - 1, 0, 0, 0 \
    }
#define H "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n"

static const struct row rows[] = {
    GOOD(GET H "\r\n"),
    /* space before the colon (RFC 9112 section 5.1) */
    ROW(POST H "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, COLON_SPACE, 3),
    ROW(GET "Host : a\r\n\r\n", 400, COLON_SPACE, 2),
    ROW(GET "Host\t: a\r\n\r\n", 400, COLON_SPACE, 2),
    GOOD(GET "Host: \t a \t\r\n\r\n"),
    GOOD(GET "Host:a\r\n\r\n"),
    /* bare LF */
    ROW("GET / HTTP/1.1\nHost: a\n\n", 400, BARE_LF, 1),
    ROW(GET "Host: a\n\r\n", 400, BARE_LF, 2),
    ROW(GET H "\n", 400, BARE_LF, 3),
    ROW("\nGET / HTTP/1.1\r\n" H "\r\n", 400, BARE_LF, 1),
    GOOD("\r\n" GET H "\r\n"),
    ROW("\r\n\r\n" GET H "\r\n", 400, REQUEST_LINE, 1),
    /* bare CR */
    ROW(GET H "X: \rxTransfer-Encoding: chunked\r\n\r\n", 400, BARE_CR, 3),
    ROW(GET H "X\r: a\r\n\r\n", 400, BARE_CR, 3),
    ROW("GET /\r HTTP/1.1\r\n" H "\r\n", 400, BARE_CR, 1),
    ROW("GET / HTTP/1.1\r\r\n" H "\r\n", 400, BARE_CR, 1),
    ROW(GET H "\r\r\n", 400, BARE_CR, 3),
    /* obs-fold */
    ROW(GET H "X: a\r\n b\r\n\r\n", 400, OBS_FOLD, 4),
    ROW(POST H "Transfer-Encoding: x\r\n chunked\r\n\r\n", 400, OBS_FOLD, 4),
    ROW(POST H "Transfer-Encoding:\r\n chunked\r\n\r\n", 400, CODING, 3),
    ROW(GET " Host: a\r\n\r\n", 400, OBS_FOLD, 2),
    ROW(GET H "\tX: a\r\n\r\n", 400, OBS_FOLD, 3),
    /* versions */
    ROW("GET / HTTP/9.9\r\n" H "\r\n", 505, VERSION, 1),
    ROW("GET / HTTP/2.0\r\n" H "\r\n", 505, VERSION, 1),
    ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, VERSION, 1),
    ROW("GET / HTTP/0.9\r\n" H "\r\n", 505, VERSION, 1),
    ROW("GET /\r\n", 400, REQUEST_LINE, 1),
    ROW("GET / \r\n", 400, REQUEST_LINE, 1),
    ROW("GET / http/1.1\r\n" H "\r\n", 400, REQUEST_LINE, 1),
    ROW("GET / HTTP/1.10\r\n" H "\r\n", 400, REQUEST_LINE, 1),
    ROW("GET / HTTP/1\r\n" H "\r\n", 400, REQUEST_LINE, 1),
    ROW("GET / HTTP/1.1 \r\n" H "\r\n", 400, REQUEST_LINE, 1),
    ROW("GET / HTTPS/1.1\r\n" H "\r\n", 400, REQUEST_LINE, 1),
    GOOD("GET / HTTP/1.0\r\n\r\n"),
    GOOD("GET / HTTP/1.2\r\n" H "\r\n"),
    /* the request line */
    ROW("GET  / HTTP/1.1\r\n" H "\r\n", 400, REQUEST_LINE, 1),
    ROW(" GET / HTTP/1.1\r\n" H "\r\n", 400, REQUEST_LINE, 1),
    ROW("GET\t/ HTTP/1.1\r\n" H "\r\n", 400, REQUEST_LINE, 1),
    ROW("G@T / HTTP/1.1\r\n" H "\r\n", 400, REQUEST_LINE, 1),
    ROW("\r\n\r\n", 400, REQUEST_LINE, 1),
    ROW("\x16\x03\x01\x02\x01\r\n", 400, REQUEST_LINE, 1),
    ROW("BREW / HTTP/1.1\r\n" H "\r\n", 501, METHOD, 1),
    ROW("get / HTTP/1.1\r\n" H "\r\n", 501, METHOD, 1),
    GOOD("PROPFIND / HTTP/1.1\r\n" H "\r\n"),
    GOOD("OPTIONS * HTTP/1.1\r\n" H "\r\n"),
    ROW("GET * HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    GOOD("CONNECT a:443 HTTP/1.1\r\n" H "\r\n"),
    ROW("CONNECT a HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("CONNECT / HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    GOOD("GET http://a/x?y HTTP/1.1\r\n" H "\r\n"),
    GOOD("GET http://[::1]:80 HTTP/1.1\r\n" H "\r\n"),
    ROW("GET http://u@a/ HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET http:///x HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET ftp://a/x HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET x HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    /* targets */
    ROW("GET /caf\xc3\xa9 HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET /a#b HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET /?a#b HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET /a\\b HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET /a\"b HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET /a\0b HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET /a\tb HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET /a%00b HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET /a%0ab HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET /a%5cb HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET /a%b HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    ROW("GET /a%zz HTTP/1.1\r\n" H "\r\n", 400, TARGET, 1),
    GOOD("GET /caf%c3%a9 HTTP/1.1\r\n" H "\r\n"),
    GOOD("GET /a[1]|^?x={}\\`% HTTP/1.1\r\n" H "\r\n"),
    /* names and values */
    ROW(GET H "X\x01: a\r\n\r\n", 400, NAME, 3),
    ROW(GET H "X\0: a\r\n\r\n", 400, NAME, 3),
    ROW(GET H "X\x80: a\r\n\r\n", 400, NAME, 3),
    ROW(GET H "X(: a\r\n\r\n", 400, NAME, 3),
    ROW(GET H ": a\r\n\r\n", 400, NAME, 3),
    ROW(GET H "Xa\r\n\r\n", 400, NAME, 3),
    ROW(GET H "X Y: a\r\n\r\n", 400, COLON_SPACE, 3),
    ROW(GET H "X: a\0b\r\n\r\n", 400, VALUE, 3),
    ROW(GET H "X: a\x01"
              "b\r\n\r\n",
        400, VALUE, 3),
    ROW(GET H "X: abcdefgh\x7f\r\n\r\n", 400, VALUE, 3),
    GOOD(GET H "X!#$%&'*+-.^_`|~9: a\r\n\r\n"),
    GOOD(GET H "X: a\tb \xc3\xa9 \xff 0123456789 abcdefgh\t\r\nY:\r\n\r\n"),
    /* Host */
    ROW(GET "\r\n", 400, HOST, 1),
    ROW(GET "X: a\r\n\r\n", 400, HOST, 1),
    ROW(GET H "host: a\r\n\r\n", 400, HOST, 3),
    ROW("GET / HTTP/1.0\r\n" H H "\r\n", 400, HOST, 3),
    ROW("GET http://a/ HTTP/1.1\r\n\r\n", 400, HOST, 1),
    ROW(GET "Host: a b\r\n\r\n", 400, HOST, 2),
    ROW(GET "Host: a/b\r\n\r\n", 400, HOST, 2),
    ROW(GET "Host: u@a\r\n\r\n", 400, HOST, 2),
    ROW(GET "Host: a:b\r\n\r\n", 400, HOST, 2),
    ROW(GET "Host: a:65536\r\n\r\n", 400, HOST, 2),
    ROW(GET "Host: ::1\r\n\r\n", 400, HOST, 2),
    ROW(GET "Host: a, b\r\n\r\n", 400, HOST, 2),
    GOOD(GET "Host:\r\n\r\n"),
    GOOD(GET "Host: [::1]:8080\r\n\r\n"),
    GOOD(GET "Host: a.example:80\r\n\r\n"),
    /* Content-Length */
    ROW(POST H "Content-Length: +1\r\n\r\nx", 400, LENGTH, 3),
    ROW(POST H "Content-Length: -1\r\n\r\nx", 400, LENGTH, 3),
    ROW(POST H "Content-Length: 1 1\r\n\r\nx", 400, LENGTH, 3),
    ROW(POST H "Content-Length: 1, 1\r\n\r\nx", 400, LENGTH, 3),
    ROW(POST H "Content-Length: 0x1\r\n\r\nx", 400, LENGTH, 3),
    ROW(POST H "Content-Length:\r\n\r\nx", 400, LENGTH, 3),
    ROW(POST H "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400, LENGTH, 4),
    ROW(POST H "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400, LENGTH, 4),
    ROW(POST H "Content-Length: 18446744073709551617\r\n\r\nx", 400, LENGTH, 3),
    ROW(POST H "Content-Length: 99999999999999\r\n\r\nx", 413, BODY_SIZE, 0),
    GOOD(POST H "Content-Length: 1\r\n\r\nx"),
    GOOD(POST H "content-length:   00001  \r\n\r\nx"),
    GOOD(POST H "Content-Length: 0\r\n\r\n"),
    /* Transfer-Encoding */
    ROW("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, CODING, 2),
    ROW(POST H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, CODING_UNKNOWN, 3),
    ROW(POST H "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501, CODING_UNKNOWN, 4),
    ROW(POST H "Transfer-Encoding: gzip\r\n\r\n", 400, CODING, 3),
    ROW(POST H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, CODING, 3),
    ROW(POST H "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n", 400, CODING, 3),
    ROW(POST H "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400, CODING, 3),
    ROW(POST H "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400, CODING, 3),
    ROW(POST H "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400, CODING, 4),
    ROW(POST H "Transfer-Encoding: identity\r\n\r\n", 400, CODING, 3),
    ROW(POST H "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400, CODING, 3),
    ROW(POST H "Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n", 400, CODING, 3),
    ROW(POST H "Transfer-Encoding:\r\n\r\n", 400, CODING, 3),
    ROW(POST H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, FRAMING, 4),
    ROW(POST H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400, FRAMING, 3),
    GOOD(POST H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    GOOD(POST H "tRANSFER-eNCODING:  cHUNKED \r\n\r\n0\r\n\r\n"),
    /* Expect */
    ROW(POST H "Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx", 417, EXPECT, 3),
    GOOD(POST H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx"),
    GOOD("GET / HTTP/1.0\r\nExpect: what\r\n\r\n"),
};

TEST(every_row_cut_every_way)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct script s = play_every_way(NULL, rows[i].in, rows[i].n);
        if (s.status != rows[i].status || s.reason != rows[i].reason || (s.status && s.diag.line != rows[i].line) ||
            (!s.status && s.messages != 1))
            TAP_FAIL("row %zu: \"%s\": wanted %u (%s) in line %u, got: %s", i, rows[i].in, rows[i].status,
                     xk_http_refusal_text(rows[i].reason), rows[i].line, s.text);
        free(s.text);
    }
}

/* The gate and http-parser on every beginning of every row, at the edge of readable memory. */
TEST(nothing_is_read_past_the_end)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t n = 0; n <= rows[i].n; n++) {
            char *p = at_the_edge(rows[i].in, n);
            struct xk_http_gate g = {0};
            struct xk_http_field table[16];
            int r = xk__http_gate_run(&g, &xk_http_limits_default, p, n, table, 16, NULL);
            if (r > 0)
                (void)xk__http_second_opinion(&g, p, (size_t)r);
            leave_the_edge(p, n);
        }
}

static char *repeat(const char *before, const char *what, size_t times, const char *after, size_t *n)
{
    size_t nb = strlen(before), nw = strlen(what), na = strlen(after);
    char *s = malloc(nb + nw * times + na + 1), *p = s + nb;

    memcpy(s, before, nb);
    for (size_t i = 0; i < times; i++, p += nw)
        memcpy(p, what, nw);
    memcpy(p, after, na + 1);
    *n = nb + nw * times + na;
    return s;
}

static void sized(const struct xk_http_limits *l, const char *before, const char *what, size_t times, const char *after,
                  unsigned status, unsigned line)
{
    size_t n;
    char *s = repeat(before, what, times, after, &n);
    struct script got = play_every_way(l, s, n);

    if (got.status != status || (status && got.diag.line != line) || (!status && got.messages != 1))
        TAP_FAIL("%zu times %s: wanted %u in line %u, got %.300s", times, what, status, line, got.text);
    free(got.text);
    free(s);
}

TEST(caps_hold_to_the_byte)
{
    struct xk_http_limits l = xk_http_limits_default;

    /* "GET /" and " HTTP/1.1\r\n" are 16 bytes */
    sized(NULL, "GET /", "a", 8192 - 16, " HTTP/1.1\r\n" H "\r\n", 0, 0);
    sized(NULL, "GET /", "a", 8192 - 15, " HTTP/1.1\r\n" H "\r\n", 414, 1);
    sized(NULL, "GET /", "a", 40000, "", 414, 1);
    sized(NULL, GET H, "X: y\r\n", 99, "\r\n", 0, 0);
    sized(NULL, GET H, "X: y\r\n", 100, "\r\n", 431, 102);
    l.head = 300; /* "Host: a", "X: " CRLF and the empty line are 9 + 5 + 2 */
    sized(&l, GET H "X: ", "y", 284, "\r\n\r\n", 0, 0);
    sized(&l, GET H "X: ", "y", 285, "\r\n\r\n", 431, 4);
    sized(&l, GET H "X: ", "y", 286, "\r\n\r\n", 431, 3 + 1);
    sized(&l, GET H "X: ", "y", 290, "\r\n\r\n", 431, 3);
    sized(&l, GET H "X: ", "y", 4000, "", 431, 3);
    l.line = 64;
    sized(&l, "GET /", "a", 48, " HTTP/1.1\r\n" H "\r\n", 0, 0);
    sized(&l, "GET /", "a", 49, " HTTP/1.1\r\n" H "\r\n", 414, 1);
    l.body = 10;
    sized(&l, POST H "Content-Length: 10\r\n\r\n", "b", 10, "", 0, 0);
    sized(&l, POST H "Content-Length: 11\r\n\r\n", "b", 11, "", 413, 0);
}

TEST(limits_beyond_sixteen_bits_are_clipped)
{
    struct xk_http_limits l = {1 << 30, 1 << 30, 1 << 30, UINT64_MAX, 1 << 30, 1 << 30};

    sized(&l, "GET /", "a", 32000, " HTTP/1.1\r\n" H "\r\n", 0, 0);
    sized(&l, "GET /", "a", 33000, " HTTP/1.1\r\n" H "\r\n", 414, 1);
    sized(&l, GET H "X: ", "y", 32600, "\r\n\r\n", 0, 0);
    sized(&l, GET H "X: ", "y", 33000, "\r\n\r\n", 431, 3);
}

TEST(a_refusal_is_counted_and_named)
{
    struct xk_http_stats st = {0};
    struct xk_http_conn c;
    const struct xk_http_msg *m;
    struct xk_diag d = {0};

    xk_http_conn_init(&c, NULL, NULL, &st);
    OK(xk_http_conn_feed(&c, GET "Host : a\r\n\r\n", 28) == 28);
    EQ(xk_http_conn_next(&c, &m, &d), XK_EPROTO);
    EQ(st.refused[XK_HTTP_BAD_COLON_SPACE], 1);
    EQ(c.status, 400);
    EQ(d.line, 2);
    EQ(d.column, 5);
    OK(strstr(d.text, "colon"));
    EQ(xk_http_conn_next(&c, &m, NULL), XK_EPROTO);
    EQ(st.refused[XK_HTTP_BAD_COLON_SPACE], 1);
    EQ(xk_http_conn_feed(&c, "x", 1), XK_ECLOSED);
    EQ(st.messages, 0);
    xk_http_conn_fini(&c);
}

/* No head that the gate lets through is known to be read otherwise by http-parser, so the gate's findings are falsified
 * here, one at a time. */
TEST(the_second_reader_must_agree)
{
    static const char in[] = POST H "Content-Length: 5\r\n\r\n", reply[] = "HTTP/1.0 404 No\r\n\r\n";
    struct xk_http_field table[16];
    struct xk_http_gate g = {0}, lie;
    int n = xk__http_gate_run(&g, &xk_http_limits_default, in, sizeof(in) - 1, table, 16, NULL);

    EQ(n, sizeof(in) - 1);
    EQ(xk__http_second_opinion(&g, in, (size_t)n), 0);
    lie = g, lie.chunked = true;
    EQ(xk__http_second_opinion(&lie, in, (size_t)n), XK_EPROTO);
    lie = g, lie.length = 6;
    EQ(xk__http_second_opinion(&lie, in, (size_t)n), XK_EPROTO);
    lie = g, lie.has_length = false;
    EQ(xk__http_second_opinion(&lie, in, (size_t)n), XK_EPROTO);
    lie = g, lie.minor = 0;
    EQ(xk__http_second_opinion(&lie, in, (size_t)n), XK_EPROTO);
    lie = g, lie.method = XK_HTTP_PUT;
    EQ(xk__http_second_opinion(&lie, in, (size_t)n), XK_EPROTO);
    EQ(xk__http_second_opinion(&g, "nonsense\r\n\r\n", 12), XK_EPROTO);
    memset(&g, 0, sizeof(g));
    g.client = true;
    n = xk__http_gate_run(&g, &xk_http_limits_default, reply, sizeof(reply) - 1, table, 16, NULL);
    EQ(xk__http_second_opinion(&g, reply, (size_t)n), 0);
    g.status = 405;
    EQ(xk__http_second_opinion(&g, reply, (size_t)n), XK_EPROTO);
}

TEST(value_span_at_every_length_and_place)
{
    for (size_t n = 0; n < 40; n++)
        for (size_t at = 0; at <= n; at++)
            for (int c = 0; c < 256; c++) {
                static char *page;
                bool bad = c != '\t' && (c < 0x20 || c == 0x7f);
                char *p;
                if (!page)
                    page = at_the_edge("0123456789\t\xff\x80~ 0123456789\t\xff\x80~ 0123456789\t\xff\x80~ ", 45) + 45;
                p = page - n;
                if (at < n) {
                    char kept = p[at];
                    p[at] = (char)c;
                    EQ(xk__http_value_span(p, n), bad ? at : n);
                    p[at] = kept;
                } else {
                    EQ(xk__http_value_span(p, n), n);
                }
            }
}
