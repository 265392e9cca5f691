/* Dates, media types, entity tags, ranges. SPDX-License-Identifier: MIT */
#include <time.h>

#include <xenkit/http.h>

#include "tests/c/proto/test_http_feed.h"

TEST(dates)
{
    char text[XK_HTTP_DATE];
    int64_t t;

    EQ(xk_http_date_format(text, 784111777), 0);
    STREQ(text, "Sun, 06 Nov 1994 08:49:37 GMT"); /* RFC 9110 section 5.6.7 */
    EQ(xk_http_date_format(text, 0), 0);
    STREQ(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    EQ(xk_http_date_format(text, -1), 0);
    STREQ(text, "Wed, 31 Dec 1969 23:59:59 GMT");
    EQ(xk_http_date_format(text, 253402300799), 0);
    STREQ(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    EQ(xk_http_date_format(text, 253402300800), XK_ERANGE);
    EQ(xk_http_date_format(text, INT64_MIN), XK_ERANGE);
    EQ(xk_http_date_format(text, -62167219200), 0);
    STREQ(text, "Sat, 01 Jan 0000 00:00:00 GMT");
    EQ(xk_http_date_format(text, -62167219201), XK_ERANGE);
    for (int64_t s = -5000000000; s < 8000000000; s += 9999991) { /* against the C library */
        time_t tt = (time_t)s;
        char want[64];
        struct tm tm;
        gmtime_r(&tt, &tm);
        strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        EQ(xk_http_date_format(text, s), 0);
        STREQ(text, want);
        EQ(xk_http_date_parse(text, 29, &t), 0);
        EQ(t, s);
    }
}

TEST(bad_dates)
{
    static const char *const rows[] = {
        "Mon, 06 Nov 1994 08:49:37 GMT",  "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",  "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",  "Sun, 06 Nov 1994 08:49:37 gmt", "Sun. 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",  "Sun, +6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08-49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",      "",
        "Sun, 00 Nov 1994 08:49:37 GMT",
    };
    int64_t t;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (xk_http_date_parse(rows[i], strlen(rows[i]), &t) != XK_EINVAL)
            TAP_FAIL("taken: %s", rows[i]);
    EQ(xk_http_date_parse("Sat, 31 Dec 2016 23:59:60 GMT", 29, &t), 0); /* a leap second */
    EQ(t, 1483228799);
}

TEST(media_types)
{
    static const char *const rows[][2] = {
        {"index.html", "text/html; charset=utf-8"},
        {"/a.b/X.PNG", "image/png"},
        {"a.tar.gz", "application/gzip"},
        {"font.woff2", "font/woff2"},
        {"x.7z", "application/x-7z-compressed"},
        {"x.zst", "application/zstd"},
        {"/a.png/b", "application/octet-stream"},
        {"png", "application/octet-stream"},
        {"a.", "application/octet-stream"},
        {"", "application/octet-stream"},
        {"a.htmlhtmlhtml", "application/octet-stream"},
        {".js", "text/javascript; charset=utf-8"},
    };
    static const char *const all[] = {
        "7z",   "atom", "avif", "bin",  "bmp",  "bz2",  "c",     "conf",  "css",  "csv", "eot",  "epub",
        "flac", "gif",  "gz",   "h",    "htm",  "html", "ico",   "ics",   "jpeg", "jpg", "js",   "json",
        "log",  "lua",  "m4a",  "map",  "md",   "mjs",  "mp3",   "mp4",   "oga",  "ogg", "ogv",  "opus",
        "otf",  "pcap", "pdf",  "png",  "ps",   "rss",  "svg",   "tar",   "tgz",  "tif", "tiff", "ttf",
        "txt",  "wasm", "wav",  "webm", "webp", "woff", "woff2", "xhtml", "xml",  "xz",  "zip",  "zst",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        STREQ(xk_http_media_type(rows[i][0], strlen(rows[i][0])), rows[i][1]);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) { /* all are found: the table is in order */
        char name[32];
        int n = snprintf(name, sizeof(name), "f.%s", all[i]);
        if (strcmp(all[i], "bin") && !strcmp(xk_http_media_type(name, (size_t)n), "application/octet-stream"))
            TAP_FAIL("not found: %s", name);
    }
}

static struct xk_http_str str(const char *s)
{
    struct xk_http_str r = {s, strlen(s)};
    return r;
}

/* RFC 9110 section 8.8.3.2, the table */
TEST(entity_tags)
{
    OK(!xk_http_etag_strong(str("W/\"1\""), str("W/\"1\"")) && xk_http_etag_weak(str("W/\"1\""), str("W/\"1\"")));
    OK(!xk_http_etag_strong(str("W/\"1\""), str("W/\"2\"")) && !xk_http_etag_weak(str("W/\"1\""), str("W/\"2\"")));
    OK(!xk_http_etag_strong(str("W/\"1\""), str("\"1\"")) && xk_http_etag_weak(str("W/\"1\""), str("\"1\"")));
    OK(xk_http_etag_strong(str("\"1\""), str("\"1\"")) && xk_http_etag_weak(str("\"1\""), str("\"1\"")));
    OK(!xk_http_etag_strong(str("1"), str("1")) && !xk_http_etag_strong(str(""), str("")));
    OK(!xk_http_etag_strong(str("\"a\"b\""), str("\"a\"b\"")));
}

static struct xk_http_conn conn;

static const struct xk_http_msg *request(const char *method, const char *fields)
{
    static char text[1024];
    const struct xk_http_msg *m = NULL;
    int n = snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", method, fields);

    xk_http_conn_fini(&conn);
    xk_http_conn_init(&conn, NULL, NULL, NULL);
    EQ(xk_http_conn_feed(&conn, text, (size_t)n), n);
    EQ(xk_http_conn_next(&conn, &m, NULL), 1);
    return m;
}

#define NOW 784111777
#define NOW_TEXT "Sun, 06 Nov 1994 08:49:37 GMT"

TEST(conditions)
{
    static const struct {
        const char *method, *fields;
        bool yes;
    } rows[] = {
        {"GET", "", false},
        {"GET", "If-None-Match: \"x\"\r\n", true},
        {"HEAD", "If-None-Match: \"x\"\r\n", true},
        {"POST", "If-None-Match: \"x\"\r\n", false},
        {"GET", "If-None-Match: W/\"x\"\r\n", true},
        {"GET", "If-None-Match: \"y\"\r\n", false},
        {"GET", "If-None-Match: \"a,\", W/\"b\" ,, \"x\"\r\n", true},
        {"GET", "If-None-Match: \"a\"\r\nIf-None-Match: \"x\"\r\n", true},
        {"GET", "If-None-Match: *\r\n", true},
        {"GET", "If-None-Match: x\r\n", false},
        {"GET", "If-None-Match: \"x\r\n", false},
        {"GET", "If-None-Match: W/\r\n", false},
        {"GET", "If-None-Match:\r\n", false},
        {"GET", "If-Modified-Since: " NOW_TEXT "\r\n", true},
        {"GET", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", false},
        {"GET", "If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n", true},
        {"GET", "If-Modified-Since: yesterday\r\n", false},
        {"GET", "If-None-Match: \"y\"\r\nIf-Modified-Since: " NOW_TEXT "\r\n", false},
    };

    xk_http_conn_init(&conn, NULL, NULL, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (xk_http_not_modified(request(rows[i].method, rows[i].fields), str("\"x\""), NOW) != rows[i].yes)
            TAP_FAIL("%s %s", rows[i].method, rows[i].fields);
    OK(!xk_http_not_modified(request("GET", "If-Modified-Since: " NOW_TEXT "\r\n"), str(""), -1));
    xk_http_conn_fini(&conn);
}

TEST(content_codings)
{
    static const struct {
        const char *fields;
        bool yes;
    } rows[] = {
        {"", false},
        {"Accept-Encoding:\r\n", false},
        {"Accept-Encoding: gzip\r\n", true},
        {"accept-encoding: GZip\r\n", true},
        {"Accept-Encoding: gzip, deflate, br, zstd\r\n", true},
        {"Accept-Encoding: br;q=1.0,gzip;q=0.001\r\n", true},
        {"Accept-Encoding: x-gzip\r\n", true},
        {"Accept-Encoding: deflate, br\r\n", false},
        {"Accept-Encoding: gzipped\r\n", false},
        {"Accept-Encoding: gzip;q=0\r\n", false},
        {"Accept-Encoding: gzip;q=0.000\r\n", false},
        {"Accept-Encoding: gzip ; Q=0.5\r\n", true},
        {"Accept-Encoding: gzip ;\tq=0\r\n", false},
        {"Accept-Encoding: *\r\n", true},
        {"Accept-Encoding: *;q=0\r\n", false},
        {"Accept-Encoding: gzip;q=0, *\r\n", false},
        {"Accept-Encoding: gzip, *;q=0\r\n", true},
        {"Accept-Encoding: identity, gzip;q=0.5\r\n", false},
        {"Accept-Encoding: identity;q=0.5, gzip;q=0.5\r\n", true},
        {"Accept-Encoding: identity;q=0, gzip\r\n", true},
        {"Accept-Encoding: gzip;q=2\r\n", false},
        {"Accept-Encoding: gzip;q=1.5\r\n", false},
        {"Accept-Encoding: gzip;q=1.0000\r\n", false},
        {"Accept-Encoding: gzip;q=\r\n", false},
        {"Accept-Encoding: gzip;q=-1\r\n", false},
        {"Accept-Encoding: gzip;level=9\r\n", false},
        {"Accept-Encoding: ,, ;q=1, gzip\r\n", true},
        {"Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n", true},
        {"Accept-Encoding: *\r\nAccept-Encoding: gzip;q=0\r\n", false},
    };

    xk_http_conn_init(&conn, NULL, NULL, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (xk_http_accepts(request("GET", rows[i].fields), "gzip") != rows[i].yes)
            TAP_FAIL("%s", rows[i].fields);
    xk_http_conn_fini(&conn);
}

TEST(ranges)
{
    static const struct {
        const char *s;
        uint64_t size;
        int r;
        uint64_t first, last;
    } rows[] = {
        {"bytes=0-499", 1000, 1, 0, 499},
        {"bytes=500-999", 1000, 1, 500, 999},
        {"bytes=-500", 1000, 1, 500, 999},
        {"bytes=9500-", 10000, 1, 9500, 9999},
        {"bytes=0-0", 1, 1, 0, 0},
        {"Bytes=0-", 1, 1, 0, 0},
        {"bytes=0-99999999999999999999999", 10, 1, 0, 9},
        {"bytes=-99999999999999999999999", 10, 1, 0, 9},
        {"bytes=10-", 10, XK_ERANGE, 0, 0},
        {"bytes=10-12", 10, XK_ERANGE, 0, 0},
        {"bytes=99999999999999999999999-", 10, XK_ERANGE, 0, 0},
        {"bytes=-0", 10, XK_ERANGE, 0, 0},
        {"bytes=0-", 0, XK_ERANGE, 0, 0},
        {"bytes=-1", 0, XK_ERANGE, 0, 0},
        {"bytes=5-4", 10, 0, 0, 0},
        {"bytes=-", 10, 0, 0, 0},
        {"bytes=", 10, 0, 0, 0},
        {"bytes=a-b", 10, 0, 0, 0},
        {"bytes=0-1,3-4", 10, 0, 0, 0},
        {"bytes=0 - 1", 10, 0, 0, 0},
        {"lines=0-1", 10, 0, 0, 0},
        {"", 10, 0, 0, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = strlen(rows[i].s);
        char *p = at_the_edge(rows[i].s, n);
        uint64_t first = 0, last = 0;
        int r = xk_http_range_parse(p, n, rows[i].size, &first, &last);
        if (r != rows[i].r || (r == 1 && (first != rows[i].first || last != rows[i].last)))
            TAP_FAIL("%s of %llu: %d", rows[i].s, (unsigned long long)rows[i].size, r);
        leave_the_edge(p, n);
    }
}

TEST(ranges_under_conditions)
{
    static const struct {
        const char *method, *fields;
        int r;
    } rows[] = {
        {"GET", "", 0},
        {"GET", "Range: bytes=1-2\r\n", 1},
        {"HEAD", "Range: bytes=1-2\r\n", 0},
        {"GET", "Range: bytes=1-2\r\nIf-Range: \"x\"\r\n", 1},
        {"GET", "Range: bytes=1-2\r\nIf-Range: W/\"x\"\r\n", 0},
        {"GET", "Range: bytes=1-2\r\nIf-Range: \"y\"\r\n", 0},
        {"GET", "Range: bytes=1-2\r\nIf-Range: " NOW_TEXT "\r\n", 1},
        {"GET", "Range: bytes=1-2\r\nIf-Range: Mon, 07 Nov 1994 08:49:37 GMT\r\n", 0},
        {"GET", "Range: bytes=99-\r\nIf-Range: \"x\"\r\n", XK_ERANGE},
        {"GET", "Range: bytes=99-\r\nIf-Range: \"y\"\r\n", 0},
    };
    uint64_t first, last;

    xk_http_conn_init(&conn, NULL, NULL, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (xk_http_range(request(rows[i].method, rows[i].fields), str("\"x\""), NOW, 10, &first, &last) != rows[i].r)
            TAP_FAIL("%s %s", rows[i].method, rows[i].fields);
    xk_http_conn_fini(&conn);
}
