/* Whole connections: pipelining, bodies, persistence, paths, memory. SPDX-License-Identifier: MIT */
#include <xenkit/http.h>

#include "proto/http/gate.h"
#include "tests/c/proto/test_http_feed.h"

#define H "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" H
#define POST "POST / HTTP/1.1\r\n" H
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static void feed(struct xk_http_conn *c, const char *s) { EQ(xk_http_conn_feed(c, s, strlen(s)), strlen(s)); }

static void same(struct xk_http_str s, const char *want)
{
    if (s.n != strlen(want) || (s.n && memcmp(s.p, want, s.n)))
        TAP_FAIL("\"%.*s\" is not \"%s\"", (int)s.n, s.p, want);
}

static struct xk_http_conn *server(void)
{
    static struct xk_http_conn c;
    xk_http_conn_init(&c, NULL, NULL, NULL);
    return &c;
}

TEST(a_request_is_all_there)
{
    struct xk_http_conn *c = server();
    const struct xk_http_msg *m;
    struct xk_http_str v, name;

    feed(c, "GET /a%20b/../c?x=1&y HTTP/1.1\r\nHost: h:8\r\nX-A: 1\r\nx-a:  2 \r\nLonger: z\r\n\r\n");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    EQ(m->method, XK_HTTP_GET);
    EQ(m->minor, 1);
    same(m->target, "/a%20b/../c?x=1&y");
    same(m->path, "/c");
    same(m->query, "x=1&y");
    same(m->host, "h:8");
    OK(m->keep_alive && m->has_query);
    EQ(m->field_count, 4);
    EQ(xk_http_msg_find(m, "X-a", 0, &v), 1);
    same(v, "1");
    EQ(xk_http_msg_find(m, "x-A", 2, &v), 2);
    same(v, "2");
    EQ(xk_http_msg_find(m, "x-b", 0, &v), XK_ENOENT);
    EQ(xk_http_msg_at(m, 3, &name, &v), 0);
    same(name, "Longer");
    EQ(xk_http_msg_at(m, 4, &name, &v), XK_ENOENT);
    EQ(xk_http_conn_next(c, &m, NULL), XK_EBUSY);
    EQ(xk_http_conn_body(c, &v, NULL), 0);
    xk_http_conn_done(c);
    EQ(xk_http_conn_body(c, &v, NULL), XK_ENOENT);
    EQ(xk_http_conn_next(c, &m, NULL), XK_EAGAIN);
    OK(xk_http_conn_idle(c));
    xk_http_conn_fini(c);
}

/* in -> the script's text must contain this, whatever the cuts */
static void script(const char *in, size_t n, unsigned messages, unsigned status, const char *has)
{
    struct script s = play_every_way(NULL, in, n);

    if (s.messages != messages || s.status != status || !strstr(s.text, has))
        TAP_FAIL("\"%s\": wanted %u messages, %u, \"%s\"; got %s", in, messages, status, has, s.text);
    free(s.text);
}
#define SCRIPT(in, messages, status, has) script(in, sizeof(in) - 1, messages, status, has)

TEST(pipelined_requests_come_out_in_order)
{
    SCRIPT(GET "\r\n" POST "Content-Length: 3\r\n\r\nabc" CHUNKED "2\r\nde\r\n1\r\nf\r\n0\r\n\r\n\r\n" GET "\r\n", 4, 0,
           "[abc]\n");
    SCRIPT(CHUNKED "2\r\nde\r\n1\r\nf\r\n0\r\nT: x\r\n\r\n" GET "\r\n", 2, 0, "[def]\n");
    SCRIPT(GET "Connection: close\r\n\r\n" GET "\r\n", 1, 0, "end XK_ECLOSED");
    SCRIPT(GET "\r\n"
               "nonsense\r\n",
           1, 400, "refused");
}

TEST(persistence_by_version)
{
    SCRIPT(GET "Connection: Close\r\n\r\n", 1, 0, "ka=0");
    SCRIPT(GET "Connection: x, cLOSE ,y\r\n\r\n", 1, 0, "ka=0");
    SCRIPT(GET "Connection: x\r\nConnection: close\r\n\r\n", 1, 0, "ka=0");
    SCRIPT(GET "Connection: closed\r\n\r\n", 1, 0, "ka=1");
    SCRIPT("GET / HTTP/1.0\r\n\r\n", 1, 0, "ka=0");
    SCRIPT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 1, 0, "ka=1");
    SCRIPT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", 1, 0, "ka=0");
}

TEST(chunks_are_read_strictly)
{
    SCRIPT(CHUNKED "5\r\nhello\r\n0\r\n\r\n", 1, 0, "[hello]");
    SCRIPT(CHUNKED "0000000000000005\r\nhello\r\n000\r\n\r\n", 1, 0, "[hello]");
    SCRIPT(CHUNKED "A;a=b;c=\"d\"\r\n0123456789\r\n0;x\r\nA: b\r\nC:\r\n\r\n", 1, 0, "[0123456789]");
    SCRIPT(CHUNKED "5 ;a\r\nhello\r\n0\r\n\r\n", 1, 0, "[hello]");
    SCRIPT(CHUNKED "5\r\n\r\n\r\n\r\r\n0\r\n\r\n", 1, 0, "[\r\n\r\n\r]");
    SCRIPT(CHUNKED "0x1\r\na\r\n0\r\n\r\n", 1, 400, "only ;");
    SCRIPT(CHUNKED "5 \r\nhello\r\n0\r\n\r\n", 1, 400, "only ;");
    SCRIPT(CHUNKED " 5\r\nhello\r\n0\r\n\r\n", 1, 400, "hex");
    SCRIPT(CHUNKED "-5\r\nhello\r\n0\r\n\r\n", 1, 400, "hex");
    SCRIPT(CHUNKED "\r\nhello\r\n0\r\n\r\n", 1, 400, "hex");
    SCRIPT(CHUNKED ";a\r\nhello\r\n0\r\n\r\n", 1, 400, "hex");
    SCRIPT(CHUNKED "5\nhello\r\n0\r\n\r\n", 1, 400, "LF alone");
    SCRIPT(CHUNKED "5\r\nhelloXX0\r\n\r\n", 1, 400, "no CRLF");
    SCRIPT(CHUNKED "5\r\nhello0\r\n\r\n", 1, 400, "no CRLF");
    SCRIPT(CHUNKED "5\r\nhello\n0\r\n\r\n", 1, 400, "no CRLF");
    SCRIPT(CHUNKED "5\r\nhello\rX0\r\n\r\n", 1, 400, "no CRLF");
    SCRIPT(CHUNKED "5;a\rb\r\nhello\r\n0\r\n\r\n", 1, 400, "control byte");
    SCRIPT(CHUNKED "5;a\0b\r\nhello\r\n0\r\n\r\n", 1, 400, "control byte");
    SCRIPT(CHUNKED "00000000000000005\r\nhello\r\n0\r\n\r\n", 1, 400, "digits");
    SCRIPT(CHUNKED "ffffffffffffffff\r\nhello", 1, 413, "too long");
    SCRIPT(CHUNKED "8000000000000000\r\nhello", 1, 413, "too long");
    SCRIPT(CHUNKED "5\r\nhello\r\nffffffffffffffff\r\n", 1, 413, "too long");
    SCRIPT(CHUNKED "1000001\r\n", 1, 413, "too long");
    SCRIPT(CHUNKED "0\r\nA : b\r\n\r\n", 1, 400, "trailer");
    SCRIPT(CHUNKED "0\r\n a\r\n\r\n", 1, 400, "trailer");
    SCRIPT(CHUNKED "0\r\nA: b\n\r\n", 1, 400, "LF alone");
    SCRIPT(CHUNKED "0\r\nX", 1, 0, "[");
}

/* Megabytes of extensions for one byte of data, as in CVE-2023-39326. */
TEST(chunk_extensions_and_trailers_are_bounded)
{
    struct xk_http_limits l = xk_http_limits_default;
    struct script s;
    char in[8000] = CHUNKED;

    l.chunk_ext = 1000;
    for (int i = 0; i < 200; i++)
        strcat(in, "1;abcdefg\r\nx\r\n");
    s = play_every_way(&l, in, strlen(in));
    EQ(s.status, 400);
    OK(strstr(s.text, "too long"));
    free(s.text);
    strcpy(in, CHUNKED "0\r\n");
    for (int i = 0; i < 200; i++)
        strcat(in, "A: 45678\r\n");
    s = play_every_way(&l, in, strlen(in));
    EQ(s.status, 400);
    free(s.text);
    strcpy(in, CHUNKED "1;");
    memset(in + strlen(in), 'x', 1200);
    s = play_every_way(&l, in, strlen(in));
    EQ(s.status, 400);
    free(s.text);
}

TEST(chunk_reader_at_the_edge_of_memory)
{
    static const char in[] = "5;ab=\"c\"\r\nhello\r\n0;x\r\nA: b\r\nC:\r\n\r\n";

    for (size_t n = 0; n < sizeof(in); n++) {
        char *p = at_the_edge(in, n);
        struct xk_http_body b = {0};
        size_t at = 0, used, len;
        uint8_t reason;
        b.kind = XK_HTTP_CHUNKED;
        while (xk__http_body_next(&b, &xk_http_limits_default, p + at, n - at, &used, &len, &reason, NULL) == 1)
            at += used + len;
        leave_the_edge(p, n);
    }
}

/* --- paths ------------------------------------------------------------------------------------------------------ */

TEST(no_path_leaves_the_root)
{
    static const char *const rows[][2] = {
        {"/", "/"},
        {"/a/b", "/a/b"},
        {"/..", "/"},
        {"/../../etc/passwd", "/etc/passwd"},
        {"/a/../../b", "/b"},
        {"/..%2fetc", "/etc"},
        {"/..%2f..%2fetc", "/etc"},
        {"/%2e%2e/etc", "/etc"},
        {"/%2E%2e%2Fetc", "/etc"},
        {"/.%2e/%2e./etc", "/etc"},
        {"/a/%2e%2e%2f%2e%2e%2fb", "/b"},
        {"/%252e%252e/etc", "/%2e%2e/etc"}, /* once */
        {"//etc//passwd", "/etc/passwd"},
        {"/%2f/etc", "/etc"},
        {"/a//../b", "/b"},
        {"/a/./b/.", "/a/b/"},
        {"/a/b/..", "/a/"},
        {"/.../a", "/.../a"},
        {"/..a/.b", "/..a/.b"},
        {"/a/..;/b", "/a/..;/b"},
        {"/.well-known/x", "/.well-known/x"},
        {"/%c3%a9", "/\xc3\xa9"},
        {"/a%3fb%23", "/a?b#"},
        {"", NULL},
        {"a", NULL},
        {"../a", NULL},
        {"/a%00b", NULL},
        {"/a%0d%0a", NULL},
        {"/a%7f", NULL},
        {"/..\\..\\a", NULL},
        {"/..%5c..%5ca", NULL},
        {"/%", NULL},
        {"/%2", NULL},
        {"/%g0", NULL},
        {"/%-1", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = strlen(rows[i][0]);
        char *p = at_the_edge(rows[i][0], n);
        int r = xk_http_path(p, p, n);
        if (rows[i][1] ? r != (int)strlen(rows[i][1]) || memcmp(p, rows[i][1], (size_t)r) : r != XK_EINVAL)
            TAP_FAIL("%s: %d \"%.*s\"", rows[i][0], r, r > 0 ? r : 0, p);
        leave_the_edge(p, n);
    }
}

/* Every text of up to seven of these pieces: the outcome has no dot segment, no double slash and the root in front. */
TEST(no_path_of_hostile_pieces_leaves_the_root)
{
    static const char *const pieces[] = {"/", ".", "..", "%2f", "%2e", "a", "%5c"};

    for (unsigned long code = 0; code < 823543; code++) {
        char text[64] = "/";
        unsigned long v = code;
        int r;
        for (int i = 0; i < 7; i++, v /= 7)
            strcat(text, pieces[v % 7]);
        r = xk_http_path(text, text, strlen(text));
        if (r < 0)
            continue;
        text[r] = '/';
        text[r + 1] = 0;
        if (r < 1 || text[0] != '/' || (r > 1 && strstr(text, "//") && text[r - 1] != '/') || strstr(text, "/../") ||
            strstr(text, "/./") || strchr(text, '\\'))
            TAP_FAIL("code %lu: %s", code, text);
        text[r] = 0;
        if (strstr(text, "//"))
            TAP_FAIL("code %lu: %s", code, text);
    }
}

TEST(request_targets_of_every_form)
{
    SCRIPT("GET HTTP://b:80/x/%2e%2e/y?q HTTP/1.1\r\n" H "\r\n", 1, 0, "|/y|q|b:80\n");
    SCRIPT("GET http://b?q HTTP/1.1\r\n" H "\r\n", 1, 0, "|/|q|b\n");
    SCRIPT("GET https://b HTTP/1.1\r\n" H "\r\n", 1, 0, "|/||b\n");
    SCRIPT("OPTIONS * HTTP/1.1\r\n" H "\r\n", 1, 0, "*|*||a\n");
    SCRIPT("CONNECT b:443 HTTP/1.1\r\n" H "\r\n", 1, 0, "b:443|||b:443\n");
    SCRIPT("GET /a?%2e%2e/?x HTTP/1.1\r\n" H "\r\n", 1, 0, "|/a|%2e%2e/?x|a\n");
    SCRIPT("GET /? HTTP/1.1\r\n" H "\r\n", 1, 0, "q=1\n/?|/||a\n");
}

/* --- bodies and continuation ------------------------------------------------------------------------------------ */

TEST(slices_survive_feeding)
{
    struct xk_http_conn *c = server();
    const struct xk_http_msg *m;
    struct xk_http_str piece;
    char block[3000];
    size_t got = 0;

    memset(block, 'b', sizeof(block));
    feed(c, "PUT /here HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\nX: kept\r\n\r\nbb");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    for (size_t sent = 2; got < 300000;) {
        size_t n = 300000 - sent < sizeof(block) ? 300000 - sent : sizeof(block);
        int r;
        if (n)
            EQ(xk_http_conn_feed(c, block, n), n);
        sent += n;
        while ((r = xk_http_conn_body(c, &piece, NULL)) == 1)
            for (size_t i = 0; i < piece.n; i++, got++)
                OK(piece.p[i] == 'b');
        EQ(r, got == 300000 ? 0 : XK_EAGAIN);
    }
    same(m->target, "/here");
    EQ(xk_http_msg_find(m, "x", 0, &piece), 2);
    same(piece, "kept");
    OK(c->cap <= 8192); /* the body went through a small block */
    xk_http_conn_done(c);
    OK(xk_http_conn_idle(c) && c->cap <= XK_HTTP_KEEP);
    xk_http_conn_fini(c);
}

TEST(feeding_has_a_bound)
{
    struct xk_http_conn *c = server();
    const struct xk_http_msg *m;
    static char block[1 << 20];
    size_t sum = 0, again = 0;
    int r;

    feed(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    while ((r = xk_http_conn_feed(c, block, sizeof(block))) > 0)
        sum += (size_t)r;
    EQ(r, XK_EAGAIN);
    OK(sum > 8192 && sum < 64 << 10);
    for (;;) {
        struct xk_http_str piece;
        while (xk_http_conn_body(c, &piece, NULL) == 1)
            again += piece.n;
        if (again == 1000000)
            break;
        r = xk_http_conn_feed(c, block, 1000000 - again);
        OK(r > 0);
    }
    xk_http_conn_fini(c);
}

TEST(collecting_a_body)
{
    struct xk_http_conn *c = server();
    const struct xk_http_msg *m;
    struct xk_diag d = {0};
    struct xk_buf to;

    xk_buf_init(&to, NULL, 10);
    feed(c, CHUNKED "5\r\nhello\r\n5\r\nwor");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    EQ(xk_http_conn_collect(c, &to, NULL), XK_EAGAIN);
    feed(c, "ld\r\n0\r\n\r\n" CHUNKED "5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n");
    EQ(xk_http_conn_collect(c, &to, NULL), 0);
    EQ(xk_buf_len(&to), 10);
    MEMEQ(xk_buf_head(&to), "helloworld", 10);
    xk_http_conn_done(c);
    xk_buf_take(&to, 10);
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    EQ(xk_http_conn_collect(c, &to, &d), XK_EPROTO);
    EQ(c->status, 413);
    EQ(d.err, XK_EPROTO);
    xk_http_conn_fini(c);

    c = server(); /* refused as soon as the length is known, before any of it came */
    xk_buf_take(&to, xk_buf_len(&to));
    feed(c, POST "Content-Length: 11\r\n\r\n");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    EQ(xk_http_conn_collect(c, &to, NULL), XK_EPROTO);
    EQ(c->status, 413);
    xk_http_conn_fini(c);
    xk_buf_fini(&to);
}

TEST(expectation_is_met_once)
{
    struct xk_http_conn *c = server();
    const struct xk_http_msg *m;
    struct xk_http_str piece;
    struct xk_buf out;

    xk_buf_init(&out, NULL, 1000);
    feed(c, POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    OK(m->expect_continue);
    OK(!xk_http_conn_keep_alive(c)); /* refusing now leaves the client's next bytes ambiguous */
    EQ(xk_http_conn_continue(c, &out), 0);
    EQ(xk_http_conn_continue(c, &out), 0);
    EQ(xk_buf_len(&out), 25);
    MEMEQ(xk_buf_head(&out), "HTTP/1.1 100 Continue\r\n\r\n", 25);
    OK(xk_http_conn_keep_alive(c));
    feed(c, "ab");
    EQ(xk_http_conn_body(c, &piece, NULL), 1);
    same(piece, "ab");
    xk_http_conn_done(c);
    feed(c, POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\na"); /* it did not wait */
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    EQ(xk_http_conn_continue(c, &out), 0);
    EQ(xk_buf_len(&out), 25);
    OK(xk_http_conn_keep_alive(c));
    xk_http_conn_done(c);
    feed(c, "b" POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    xk_http_conn_done(c); /* answered without the body */
    EQ(xk_http_conn_next(c, &m, NULL), XK_ECLOSED);
    xk_http_conn_fini(c);
    xk_buf_fini(&out);
}

TEST(unread_bodies_are_read_over_or_end_it)
{
    struct xk_http_conn *c = server();
    const struct xk_http_msg *m;
    static char block[4097];

    memset(block, 'b', 4096);

    feed(c, CHUNKED "3\r\nabc\r\n");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    OK(xk_http_conn_keep_alive(c));
    xk_http_conn_done(c);
    EQ(xk_http_conn_next(c, &m, NULL), XK_EAGAIN);
    feed(c, "2\r\nde\r\n0\r\n\r\nGET /next HTTP/1.1\r\n" H "\r\n");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    same(m->path, "/next");
    xk_http_conn_done(c);
    feed(c, CHUNKED);
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    xk_http_conn_done(c);
    feed(c, "zz\r\n"); /* nobody is left to be told */
    EQ(xk_http_conn_next(c, &m, NULL), XK_ECLOSED);
    xk_http_conn_fini(c);

    c = server(); /* chunks do not say how much will come: reading over has its bound too */
    feed(c, CHUNKED);
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    xk_http_conn_done(c);
    for (int i = 0, r = XK_EAGAIN; r == XK_EAGAIN; i++) {
        OK(i < 100);
        feed(c, "1000\r\n");
        feed(c, block);
        feed(c, "\r\n");
        r = xk_http_conn_next(c, &m, NULL);
        EQ(r, i * 4104 < (256 << 10) - 4104 ? XK_EAGAIN : XK_ECLOSED);
    }
    xk_http_conn_fini(c);

    c = server();
    feed(c, POST "Content-Length: 1000000\r\n\r\n");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    OK(!xk_http_conn_keep_alive(c));
    xk_http_conn_done(c);
    EQ(xk_http_conn_next(c, &m, NULL), XK_ECLOSED);
    EQ(xk_http_conn_feed(c, "x", 1), XK_ECLOSED);
    xk_http_conn_fini(c);
}

TEST(the_end_of_the_stream)
{
    struct xk_http_conn *c = server();
    const struct xk_http_msg *m;
    struct xk_http_str piece;
    struct xk_diag d = {0};

    EQ(xk_http_conn_eof(c, NULL), 0);
    EQ(xk_http_conn_next(c, &m, NULL), XK_ECLOSED);
    xk_http_conn_fini(c);
    c = server();
    feed(c, GET);
    EQ(xk_http_conn_next(c, &m, NULL), XK_EAGAIN);
    EQ(xk_http_conn_eof(c, &d), XK_ECONNRESET);
    OK(d.err);
    EQ(xk_http_conn_next(c, &m, NULL), XK_ECLOSED);
    xk_http_conn_fini(c);
    c = server();
    feed(c, POST "Content-Length: 2\r\n\r\na");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    EQ(xk_http_conn_eof(c, NULL), XK_ECONNRESET);
    EQ(xk_http_conn_body(c, &piece, NULL), 1);
    EQ(xk_http_conn_body(c, &piece, NULL), XK_ECONNRESET);
    xk_http_conn_fini(c);
    c = server(); /* half-closed after two pipelined requests: both are answered */
    feed(c, GET "\r\n" GET "\r\n");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    EQ(xk_http_conn_eof(c, NULL), 0);
    xk_http_conn_done(c);
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    OK(!xk_http_conn_keep_alive(c));
    xk_http_conn_done(c);
    EQ(xk_http_conn_next(c, &m, NULL), XK_ECLOSED);
    xk_http_conn_fini(c);
}

TEST(a_tunnel_gets_the_rest)
{
    struct xk_http_conn *c = server();
    const struct xk_http_msg *m;

    feed(c, GET "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello");
    EQ(xk_http_conn_next(c, &m, NULL), 1);
    same(xk_http_conn_rest(c), "\x81\x05hello");
    xk_http_conn_fini(c);
}

/* --- memory ----------------------------------------------------------------------------------------------------- */

struct meter {
    size_t in_use, peak, calls, fail_at;
};

static void *metered(void *ctx, void *p, size_t old, size_t size)
{
    struct meter *m = ctx;

    if (size > old && m->fail_at && ++m->calls == m->fail_at)
        return NULL;
    m->in_use += size - old;
    if (m->in_use > m->peak)
        m->peak = m->in_use;
    if (size == 0)
        return free(p), NULL;
    return realloc(p, size);
}

TEST(an_idle_connection_is_small)
{
    struct meter meter = {0};
    xk_alloc a = {metered, &meter};
    struct xk_http_conn c;
    const struct xk_http_msg *m;
    char big[6000] = GET;

    for (int i = 0; i < 60; i++)
        strcat(big, "X-Something: with some value or other in it, of seventy bytes about\r\n");
    strcat(big, "\r\n");
    xk_http_conn_init(&c, &a, NULL, NULL);
    EQ(meter.in_use, 0);
    feed(&c, big);
    EQ(xk_http_conn_next(&c, &m, NULL), 1);
    OK(meter.in_use > 4096);
    xk_http_conn_done(&c);
    EQ(meter.in_use, 0);
    for (int i = 0; i < 10; i++) {
        feed(&c, GET "\r\n");
        EQ(xk_http_conn_next(&c, &m, NULL), 1);
        xk_http_conn_done(&c);
        EQ(meter.in_use, XK_HTTP_KEEP);
    }
    OK(sizeof(c) + meter.in_use <= 1024);
    xk_http_conn_trim(&c);
    EQ(meter.in_use, 0);
    OK(sizeof(c) <= 640);
    xk_http_conn_fini(&c);
}

/* Every allocation fails once; the same bytes, tried again, then give the same messages. */
TEST(no_allocation_failure_loses_anything)
{
    char in[8000] = GET "\r\nPOST /a%20b HTTP/1.1\r\nHost: a\r\n";
    struct xk_buf to;
    struct script want;
    size_t n, fail_at = 1;

    for (int i = 0; i < 40; i++)
        strcat(in, "X-Field: some value\r\n");
    strcat(in, "Content-Length: 3000\r\n\r\n");
    n = strlen(in);
    memset(in + n, 'b', 3000);
    n += 3000;
    want = play(NULL, in, n, n, 700);
    xk_buf_init(&to, NULL, 10);
    for (;; fail_at++) {
        struct meter meter = {0};
        xk_alloc a = {metered, &meter};
        struct xk_http_conn c;
        struct script s = {0};
        size_t at = 0;

        meter.fail_at = fail_at;
        xk_http_conn_init(&c, &a, NULL, NULL);
        note(&s, "", 0);
        while (at < n) {
            size_t step = n - at < 700 ? n - at : 700;
            int r = xk_http_conn_feed(&c, in + at, step);
            if (r == XK_ENOMEM)
                r = xk_http_conn_feed(&c, in + at, step);
            OK(r > 0);
            at += (size_t)r;
            take_all(&c, &s);
            if (s.over) { /* the script stops at XK_ENOMEM: take its last line off and go on */
                OK(strstr(s.text, "end XK_ENOMEM\n"));
                s.len -= strlen("end XK_ENOMEM\n");
                s.text[s.len] = 0;
                s.over = false;
                take_all(&c, &s);
            }
        }
        STREQ(s.text, want.text);
        free(s.text);
        xk_http_conn_fini(&c);
        EQ(meter.in_use, 0);
        if (meter.calls < fail_at)
            break;
    }
    OK(fail_at > 5);
    free(want.text);
    xk_buf_fini(&to);
}

TEST(counters)
{
    struct xk_http_stats st = {0};
    struct xk_http_conn c;
    const struct xk_http_msg *m;

    xk_http_conn_init(&c, NULL, NULL, &st);
    feed(&c, GET "\r\n" GET "\r\n");
    EQ(xk_http_conn_next(&c, &m, NULL), 1);
    xk_http_conn_done(&c);
    EQ(xk_http_conn_next(&c, &m, NULL), 1);
    xk_http_conn_sent(&c, 99);
    EQ(st.messages, 2);
    EQ(st.bytes_in, 2 * (sizeof(GET) + 1));
    EQ(st.bytes_out, 99);
    xk_http_conn_fini(&c);
}
