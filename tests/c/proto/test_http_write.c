/* Composed messages, and that our own reader takes them. SPDX-License-Identifier: MIT */
#include <xenkit/http.h>

#include "tests/c/proto/test_http_feed.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

static struct xk_buf out;

static void is(const char *want)
{
    if (xk_buf_len(&out) != strlen(want) || memcmp(xk_buf_head(&out), want, strlen(want)))
        TAP_FAIL("\"%.*s\" is not \"%s\"", (int)xk_buf_len(&out), (char *)xk_buf_head(&out), want);
    xk_buf_take(&out, xk_buf_len(&out));
}

static struct xk_http_answer answer(unsigned status, enum xk_http_framing framing, uint64_t length)
{
    struct xk_http_answer a = {0};

    a.status = status;
    a.framing = framing;
    a.length = length;
    a.keep_alive = true;
    a.minor = 1;
    return a;
}

static void head(const struct xk_http_answer *a, const char *want)
{
    struct xk_http_writer w;

    xk_http_begin(&w, &out, a);
    EQ(xk_http_end(&w), 0);
    is(want);
}

TEST(heads_by_status_version_and_framing)
{
    struct xk_http_answer a = answer(200, XK_HTTP_LENGTH, 18446744073709551615u);

    xk_buf_init(&out, NULL, 4096);
    head(&a, "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n");
    a.length = 7;
    a.date = (struct xk_http_str){DATE, 29};
    head(&a, "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Length: 7\r\n\r\n");
    a.date.n = 0;
    a.head_only = true;
    head(&a, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    a.head_only = false;
    a.keep_alive = false;
    head(&a, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n");
    a.minor = 0;
    head(&a, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n");
    a.keep_alive = true;
    head(&a, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n");
    a.framing = XK_HTTP_CHUNKED; /* which HTTP/1.0 does not know */
    head(&a, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    a.minor = 1;
    head(&a, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    a.framing = XK_HTTP_TO_CLOSE;
    head(&a, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    a.framing = XK_HTTP_NO_BODY;
    head(&a, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    a.status = 799;
    head(&a, "HTTP/1.1 799 \r\nContent-Length: 0\r\n\r\n");
    xk_buf_fini(&out);
}

/* cohttp #1141: framing fields on messages that have no body */
TEST(no_framing_where_no_body_can_be)
{
    static const unsigned bare[] = {100, 103, 204, 304};
    struct xk_http_writer w;

    xk_buf_init(&out, NULL, 4096);
    for (unsigned i = 0; i < 4; i++)
        for (int framing = XK_HTTP_NO_BODY; framing <= XK_HTTP_TO_CLOSE; framing++) {
            struct xk_http_answer a = answer(bare[i], (enum xk_http_framing)framing, 5);
            xk_http_begin(&w, &out, &a);
            EQ(xk_http_end(&w), 0);
            OK(w.keep_alive);
            EQ(xk_http_put_body(&w, "hello", 5), 0);
            EQ(xk_http_end_body(&w), 0);
            OK(xk_buf_put(&out, "", 1) == 0);
            OK(!strstr((char *)xk_buf_head(&out), "Content-Length"));
            OK(!strstr((char *)xk_buf_head(&out), "Transfer"));
            OK(!strstr((char *)xk_buf_head(&out), "hello"));
            OK(strstr((char *)xk_buf_head(&out), "\r\n\r\n"));
            xk_buf_take(&out, xk_buf_len(&out));
        }
    xk_buf_fini(&out);
}

TEST(a_value_cannot_smuggle_a_line)
{
    static const struct {
        const char *name, *value;
        size_t n;
        int r;
    } rows[] = {
        {"X", "a", 1, 0},
        {"X", "", 0, 0},
        {"X", "a\tb \xc3\xa9", 6, 0},
        {"X", "a\r\nY: b", 7, XK_EINVAL},
        {"X", "a\nY: b", 6, XK_EINVAL},
        {"X", "a\rb", 3, XK_EINVAL},
        {"X", "a\0b", 3, XK_EINVAL},
        {"X", "0123456789\x01", 11, XK_EINVAL},
        {"X", "\x7f", 1, XK_EINVAL},
        {"", "a", 1, XK_EINVAL},
        {"X Y", "a", 1, XK_EINVAL},
        {"X:", "a", 1, XK_EINVAL},
        {"X\r\nY", "a", 1, XK_EINVAL},
        {"\xc3\xa9", "a", 1, XK_EINVAL},
        {"content-Length", "1", 1, XK_EINVAL},
        {"Transfer-Encoding", "x", 1, XK_EINVAL},
        {"Connection", "close", 5, XK_EINVAL},
        {"Date", "x", 1, 0},
    };

    xk_buf_init(&out, NULL, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct xk_http_answer a = answer(200, XK_HTTP_NO_BODY, 0);
        struct xk_http_writer w;
        OK(xk_buf_put(&out, "before", 6) == 0);
        xk_http_begin(&w, &out, &a);
        if (xk_http_put(&w, rows[i].name, rows[i].value, rows[i].n) != rows[i].r)
            TAP_FAIL("row %zu: %s", i, rows[i].name);
        xk_http_put(&w, "Z", "z", 1);
        EQ(xk_http_end(&w), rows[i].r);
        if (rows[i].r < 0)
            is("before"); /* nothing of it stays */
        else
            xk_buf_take(&out, xk_buf_len(&out));
    }
    {
        struct xk_http_answer a = answer(101, XK_HTTP_NO_BODY, 0);
        struct xk_http_writer w;
        xk_http_begin(&w, &out, &a);
        xk_http_put(&w, "Connection", "Upgrade", 7);
        EQ(xk_http_end(&w), 0);
        is("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n");
        a.status = 99;
        xk_http_begin(&w, &out, &a);
        EQ(xk_http_end(&w), XK_EINVAL);
        a.status = 1000;
        xk_http_begin(&w, &out, &a);
        EQ(xk_http_end(&w), XK_EINVAL);
        a.status = 200;
        a.date = (struct xk_http_str){"a\r\nb", 4};
        xk_http_begin(&w, &out, &a);
        EQ(xk_http_end(&w), XK_EINVAL);
        xk_http_begin_request(&w, &out, XK_HTTP_GET, "/ HTTP/1.1\r\nX:", "a", XK_HTTP_NO_BODY, 0);
        EQ(xk_http_end(&w), XK_EINVAL);
        xk_http_begin_request(&w, &out, XK_HTTP_GET, "/", "a\r\nX: y", XK_HTTP_NO_BODY, 0);
        EQ(xk_http_end(&w), XK_EINVAL);
        is("");
    }
    xk_buf_fini(&out);
}

TEST(bodies_keep_their_word)
{
    struct xk_http_answer a = answer(200, XK_HTTP_CHUNKED, 0);
    struct xk_http_writer w;
    static char block[0x1234];

    xk_buf_init(&out, NULL, 1 << 20);
    xk_http_begin(&w, &out, &a);
    EQ(xk_http_end(&w), 0);
    EQ(xk_http_put_body(&w, "hello", 5), 0);
    EQ(xk_http_put_body(&w, "", 0), 0);
    EQ(xk_http_put_body(&w, "0123456789abcdef", 16), 0);
    EQ(xk_http_end_body(&w), 0);
    is("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
    EQ(xk_http_put_body(&w, block, sizeof(block)), 0);
    MEMEQ(xk_buf_head(&out), "1234\r\n", 6);
    xk_buf_take(&out, xk_buf_len(&out));

    a = answer(200, XK_HTTP_LENGTH, 5);
    xk_http_begin(&w, &out, &a);
    EQ(xk_http_end(&w), 0);
    EQ(xk_http_put_body(&w, "he", 2), 0);
    EQ(xk_http_end_body(&w), XK_EINVAL);
    EQ(xk_http_put_body(&w, "llo", 3), 0);
    EQ(xk_http_end_body(&w), 0);
    EQ(xk_http_put_body(&w, "!", 1), XK_EINVAL);
    is("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");

    a.head_only = true;
    xk_http_begin(&w, &out, &a);
    EQ(xk_http_end(&w), 0);
    EQ(xk_http_put_body(&w, "hello", 5), 0);
    EQ(xk_http_end_body(&w), 0);
    is("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    xk_buf_fini(&out);
}

TEST(whole_responses_and_error_pages)
{
    struct xk_http_answer a = answer(200, XK_HTTP_NO_BODY, 0);
    struct xk_diag d = {0};

    xk_buf_init(&out, NULL, 400);
    EQ(xk_http_whole(&out, &a, "text/plain", "hi\n", 3), 0);
    is("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\nhi\n");
    a.head_only = true;
    EQ(xk_http_whole(&out, &a, "text/plain", "hi\n", 3), 0);
    is("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\n");
    a.head_only = false;
    a.status = 304;
    EQ(xk_http_whole(&out, &a, "text/plain", "hi\n", 3), 0);
    is("HTTP/1.1 304 Not Modified\r\n\r\n");
    a.status = 404;
    a.keep_alive = false;
    EQ(xk_http_error(&out, &a, NULL), 0);
    is("HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\nConnection: close\r\n"
       "Content-Type: text/plain; charset=utf-8\r\n\r\n404 Not Found\n");
    a.status = 400;
    (void)xk_diag_set(&d, XK_EPROTO, 3, 1, "what is wrong");
    EQ(xk_http_error(&out, &a, &d), 0);
    OK(strstr((char *)xk_buf_head(&out), "\r\n\r\n400 Bad Request\nline 3: what is wrong\n"));
    xk_buf_take(&out, xk_buf_len(&out));
    OK(xk_buf_put(&out, "before", 6) == 0);
    EQ(xk_http_whole(&out, &a, "text/plain", (char[380]){0}, 380), XK_EMSGSIZE); /* all or nothing */
    is("before");
    EQ(xk_http_whole(&out, &a, "text/pl\nain", "", 0), XK_EINVAL);
    is("");
    STREQ(xk_http_reason(404), "Not Found");
    STREQ(xk_http_reason(299), "");
    xk_buf_fini(&out);
}

TEST(an_answer_follows_its_request)
{
    static const char both[] = "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/9.9\r\n\r\n";
    struct xk_http_conn c;
    const struct xk_http_msg *m;
    struct xk_http_answer a;

    xk_http_conn_init(&c, NULL, NULL, NULL);
    OK(xk_http_conn_feed(&c, both, sizeof(both) - 1) > 0);
    EQ(xk_http_conn_next(&c, &m, NULL), 1);
    a = xk_http_answer(&c, 200);
    OK(a.head_only && a.keep_alive && a.minor == 0);
    xk_http_conn_done(&c);
    EQ(xk_http_conn_next(&c, &m, NULL), XK_EPROTO);
    a = xk_http_answer(&c, c.status);
    EQ(a.status, 505);
    OK(!a.head_only && !a.keep_alive);
    xk_http_conn_fini(&c);
}

/* --- our reader on what was written ------------------------------------------------------------------------------- */

static void read_response(const char *text, size_t n, bool head_only, unsigned status, unsigned framing,
                          const char *body, bool keep_alive)
{
    for (size_t cut = 0; cut < n; cut++) {
        struct xk_http_conn c;
        const struct xk_http_msg *m = NULL;
        char got[256];
        size_t len = 0;
        int r;

        xk_http_conn_init_client(&c, NULL, NULL, NULL);
        xk_http_conn_expect(&c, head_only);
        if (cut)
            OK(xk_http_conn_feed(&c, text, cut) == (int)cut);
        r = xk_http_conn_next(&c, &m, NULL);
        OK(r == XK_EAGAIN || r == 1);
        OK(xk_http_conn_feed(&c, text + cut, n - cut) == (int)(n - cut));
        if (r != 1)
            EQ(xk_http_conn_next(&c, &m, NULL), 1);
        EQ(m->status, status);
        EQ(m->framing, framing);
        EQ(m->keep_alive, keep_alive);
        if (framing == XK_HTTP_TO_CLOSE)
            EQ(xk_http_conn_eof(&c, NULL), 0);
        for (struct xk_http_str p; (r = xk_http_conn_body(&c, &p, NULL)) == 1; len += p.n)
            memcpy(got + len, p.p, p.n);
        EQ(r, 0);
        EQ(len, strlen(body));
        MEMEQ(got, body, len);
        xk_http_conn_done(&c);
        xk_http_conn_fini(&c);
    }
}
#define READ(text, head_only, status, framing, body, ka) \
    read_response(text, sizeof(text) - 1, head_only, status, framing, body, ka)

TEST(responses_are_read)
{
    READ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, 200, XK_HTTP_LENGTH, "hi", true);
    READ("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", false, 200, XK_HTTP_LENGTH, "hi", true);
    READ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false, 200, XK_HTTP_CHUNKED, "hi",
         true);
    READ("HTTP/1.1 200 OK\r\n\r\nuntil the end", false, 200, XK_HTTP_TO_CLOSE, "until the end", false);
    READ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, 200, XK_HTTP_LENGTH, "hi", false);
    READ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", true, 200, XK_HTTP_NO_BODY, "", true);
    READ("HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", false, 304, XK_HTTP_NO_BODY, "", true);
    READ("HTTP/1.1 204 No Content\r\n\r\n", false, 204, XK_HTTP_NO_BODY, "", true);
    READ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 500 Oh\r\n"
         "Content-Length: 1\r\nConnection: close\r\n\r\nx",
         false, 500, XK_HTTP_LENGTH, "x", false);
}

TEST(bad_responses_are_refused)
{
    static const char *const rows[] = {
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 200 OK\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct xk_http_conn c;
        const struct xk_http_msg *m;
        xk_http_conn_init_client(&c, NULL, NULL, NULL);
        OK(xk_http_conn_feed(&c, rows[i], strlen(rows[i])) > 0);
        if (xk_http_conn_next(&c, &m, NULL) != XK_EPROTO)
            TAP_FAIL("taken: %s", rows[i]);
        xk_http_conn_fini(&c);
    }
}

TEST(requests_are_written_as_they_are_read)
{
    struct xk_http_writer w;
    struct script s;

    xk_buf_init(&out, NULL, 4096);
    xk_http_begin_request(&w, &out, XK_HTTP_POST, "/x?y", "h:80", XK_HTTP_CHUNKED, 0);
    xk_http_put(&w, "User-Agent", "probe", 5);
    EQ(xk_http_end(&w), 0);
    EQ(xk_http_put_body(&w, "hello", 5), 0);
    EQ(xk_http_end_body(&w), 0);
    s = play(NULL, (char *)xk_buf_head(&out), xk_buf_len(&out), 0, 1);
    STREQ(s.text, "POST 0 1 form=0 framing=2 len=0 ka=1 ex=0 q=1\n/x?y|/x|y|h:80\nHost=h:80\n"
                  "Transfer-Encoding=chunked\nUser-Agent=probe\n[hello]\n");
    free(s.text);
    xk_buf_fini(&out);
}

static void *no_memory(void *ctx, void *p, size_t old, size_t size)
{
    (void)ctx, (void)p, (void)old, (void)size;
    return NULL;
}

TEST(without_memory_nothing_is_written)
{
    xk_alloc a = {no_memory, NULL};
    struct xk_http_answer ans = answer(200, XK_HTTP_NO_BODY, 0);
    struct xk_http_writer w;

    xk_buf_init(&out, &a, 4096);
    EQ(xk_http_whole(&out, &ans, NULL, "x", 1), XK_ENOMEM);
    xk_http_begin(&w, &out, &ans);
    EQ(xk_http_put(&w, "X", "y", 1), XK_ENOMEM);
    EQ(xk_http_end(&w), XK_ENOMEM);
    EQ(xk_buf_len(&out), 0);
}
