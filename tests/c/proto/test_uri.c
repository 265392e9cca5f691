/* RFC 3986: components, hosts, the tables of section 5.4, encoding. SPDX-License-Identifier: MIT */
#include <xenkit/uri.h>

#include "tests/c/proto/test_http_feed.h"

static const char *piece(const char *s, struct xk_uri_part p)
{
    static char text[8][256];
    static unsigned turn;
    char *t = text[turn++ % 8];

    snprintf(t, 256, "%.*s", (int)p.len, s + p.off);
    return t;
}

TEST(components)
{
    static const char s[] = "http://user:pw%20@[2001:db8::7]:8080/a/b;c=1,2?q=/?:@#frag/?";
    struct xk_uri u;

    EQ(xk_uri_parse(&u, s, strlen(s), NULL), 0);
    STREQ(piece(s, u.scheme), "http");
    STREQ(piece(s, u.authority), "user:pw%20@[2001:db8::7]:8080");
    STREQ(piece(s, u.userinfo), "user:pw%20");
    STREQ(piece(s, u.host), "[2001:db8::7]");
    STREQ(piece(s, u.port), "8080");
    STREQ(piece(s, u.path), "/a/b;c=1,2");
    STREQ(piece(s, u.query), "q=/?:@");
    STREQ(piece(s, u.fragment), "frag/?");
    EQ(u.port_number, 8080);
    EQ(u.host_kind, XK_URI_IPV6);
    EQ(u.has, 63);
}

TEST(good_and_bad)
{
    static const struct {
        const char *s;
        int r, has;
    } rows[] = {
        /* RFC 3986 section 1.1.2 */
        {"ftp://ftp.is.co.za/rfc/rfc1808.txt", 0, XK_URI_SCHEME | XK_URI_AUTHORITY},
        {"http://www.ietf.org/rfc/rfc2396.txt", 0, XK_URI_SCHEME | XK_URI_AUTHORITY},
        {"ldap://[2001:db8::7]/c=GB?objectClass?one", 0, XK_URI_SCHEME | XK_URI_AUTHORITY | XK_URI_QUERY},
        {"mailto:John.Doe@example.com", 0, XK_URI_SCHEME},
        {"news:comp.infosystems.www.servers.unix", 0, XK_URI_SCHEME},
        {"tel:+1-816-555-1212", 0, XK_URI_SCHEME},
        {"telnet://192.0.2.16:80/", 0, XK_URI_SCHEME | XK_URI_AUTHORITY | XK_URI_PORT},
        {"urn:oasis:names:specification:docbook:dtd:xml:4.1.2", 0, XK_URI_SCHEME},
        {"", 0, 0},
        {"a", 0, 0},
        {"?", 0, XK_URI_QUERY},
        {"#", 0, XK_URI_FRAGMENT},
        {"//", 0, XK_URI_AUTHORITY},
        {"//@:", 0, XK_URI_AUTHORITY | XK_URI_USERINFO | XK_URI_PORT},
        {"file:///etc", 0, XK_URI_SCHEME | XK_URI_AUTHORITY},
        {"./a:b", 0, 0},
        {"a/b:c", 0, 0},
        {"h2+x-.:a", 0, XK_URI_SCHEME},
        {"http://a:65535/", 0, XK_URI_SCHEME | XK_URI_AUTHORITY | XK_URI_PORT},
        {"1a:b", XK_EINVAL, 0},
        {":b", XK_EINVAL, 0},
        {"%41:b", XK_EINVAL, 0},
        {"http://a:65536/", XK_EINVAL, 0},
        {"http://a:8a/", XK_EINVAL, 0},
        {"http://a b/", XK_EINVAL, 0},
        {"http://a@b@c/", XK_EINVAL, 0},
        {"http://[::1/", XK_EINVAL, 0},
        {"http://[::1]x/", XK_EINVAL, 0},
        {"http://::1/", XK_EINVAL, 0},
        {"http://[fe80::1%25eth0]/", XK_EINVAL, 0},
        {"/a b", XK_EINVAL, 0},
        {"/a%", XK_EINVAL, 0},
        {"/a%4", XK_EINVAL, 0},
        {"/a%4g", XK_EINVAL, 0},
        {"/a\\b", XK_EINVAL, 0},
        {"/\xc3\xa9", XK_EINVAL, 0},
        {"/a[b]", XK_EINVAL, 0},
        {"?a|b", XK_EINVAL, 0},
        {"#a#b", XK_EINVAL, 0},
        {"/\x7f", XK_EINVAL, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = strlen(rows[i].s);
        char *p = at_the_edge(rows[i].s, n);
        struct xk_diag d = {0};
        struct xk_uri u;
        int r = xk_uri_parse(&u, p, n, &d);
        if (r != rows[i].r || (r == 0 && u.has != rows[i].has) || (r < 0) != (d.err < 0))
            TAP_FAIL("%s: %d has %d %s", rows[i].s, r, u.has, d.text);
        leave_the_edge(p, n);
    }
    {
        struct xk_uri u;
        EQ(xk_uri_parse(&u, "a\0b", 3, NULL), XK_EINVAL);
        EQ(xk_uri_parse(&u, "a", XK_URI_MAX + 1u, NULL), XK_E2BIG);
    }
}

TEST(hosts)
{
    static const struct {
        const char *s;
        int kind; /* -1: malformed */
    } rows[] = {
        {"a.example", XK_URI_NAME},
        {"", XK_URI_NAME},
        {"a_b~%41!$&'()*+,;=", XK_URI_NAME},
        {"192.0.2.1", XK_URI_IPV4},
        {"255.255.255.255", XK_URI_IPV4},
        {"256.0.0.1", XK_URI_NAME},
        {"01.0.0.1", XK_URI_NAME},
        {"1.2.3", XK_URI_NAME},
        {"1.2.3.4.5", XK_URI_NAME},
        {"1.2.3.", XK_URI_NAME},
        {"[::]", XK_URI_IPV6},
        {"[::1]", XK_URI_IPV6},
        {"[1::]", XK_URI_IPV6},
        {"[1:2:3:4:5:6:7:8]", XK_URI_IPV6},
        {"[1:2:3:4:5:6:7::]", XK_URI_IPV6},
        {"[::2:3:4:5:6:7:8]", XK_URI_IPV6},
        {"[1:2:3:4:5:6:1.2.3.4]", XK_URI_IPV6},
        {"[::ffff:1.2.3.4]", XK_URI_IPV6},
        {"[::1.2.3.4]", XK_URI_IPV6},
        {"[ABCD:abcd::]", XK_URI_IPV6},
        {"[v1.a:b]", XK_URI_IPFUTURE},
        {"[]", -1},
        {"[:]", -1},
        {"[:::]", -1},
        {"[1:2:3:4:5:6:7]", -1},
        {"[1:2:3:4:5:6:7:8:9]", -1},
        {"[1:2:3:4:5:6:7:8::]", -1},
        {"[::1::]", -1},
        {"[1:]", -1},
        {"[:1]", -1},
        {"[12345::]", -1},
        {"[1:2:3:4:5:6:7:1.2.3.4]", -1},
        {"[::1.2.3]", -1},
        {"[::1.2.3.4:5]", -1},
        {"[::g]", -1},
        {"[v.a]", -1},
        {"[v1.]", -1},
        {"[::1", -1},
        {"a]", -1},
        {"a%4", -1},
        {"a b", -1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[128];
        struct xk_uri u;
        int n = snprintf(text, sizeof(text), "x://%s:7/", rows[i].s), r = xk_uri_parse(&u, text, (size_t)n, NULL);
        uint16_t port = 0;
        char *edge = at_the_edge(rows[i].s, strlen(rows[i].s));
        if ((r < 0) != (rows[i].kind < 0) || (r == 0 && (u.host_kind != rows[i].kind || u.port_number != 7)))
            TAP_FAIL("%s: %d kind %d", rows[i].s, r, u.host_kind);
        if ((xk_uri_host_check(edge, strlen(rows[i].s), &port) < 0) != (rows[i].kind < 0))
            TAP_FAIL("check %s", rows[i].s);
        leave_the_edge(edge, strlen(rows[i].s));
    }
}

static void resolves(const char *base, const char *ref, const char *want)
{
    struct xk_buf out;

    xk_buf_init(&out, NULL, 1000);
    EQ(xk_uri_resolve(&out, base, strlen(base), ref, strlen(ref), NULL), 0);
    if (xk_buf_len(&out) != strlen(want) || memcmp(xk_buf_head(&out), want, strlen(want)))
        TAP_FAIL("%s against %s: %.*s is not %s", ref, base, (int)xk_buf_len(&out), (char *)xk_buf_head(&out), want);
    xk_buf_fini(&out);
}

TEST(reference_resolution_of_section_5_4)
{
    static const char *const rows[][2] = {
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"},
        {"g#s", "http://a/b/c/g#s"},
        {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y#s"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../", "http://a/"},
        {"../../g", "http://a/g"},
        /* 5.4.2, abnormal */
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/./x", "http://a/b/c/g#s/./x"},
        {"g#s/../x", "http://a/b/c/g#s/../x"},
        {"http:g", "http:g"}, /* strict */
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        resolves("http://a/b/c/d;p?q", rows[i][0], rows[i][1]);
    resolves("http://a", "g", "http://a/g"); /* 5.2.3: no path to merge with */
    resolves("http://a?q", "../g", "http://a/g");
    resolves("urn:a", "?y", "urn:a?y");
    resolves("x:a/b", "../../c", "x:/c");
    resolves("x:/a", "/.//b", "x:/.//b"); /* not an authority */
    resolves("http://a/b", "/c//../d", "http://a/c/d");
}

TEST(resolution_is_all_or_nothing)
{
    struct xk_buf out;

    xk_buf_init(&out, NULL, 12);
    OK(xk_buf_put(&out, "ab", 2) == 0);
    EQ(xk_uri_resolve(&out, "http://a/b", 10, "long", 4, NULL), XK_EMSGSIZE);
    EQ(xk_uri_resolve(&out, "/b", 2, "g", 1, NULL), XK_EINVAL);
    EQ(xk_uri_resolve(&out, "a:b", 3, "g h", 3, NULL), XK_EINVAL);
    EQ(xk_buf_len(&out), 2);
    xk_buf_fini(&out);
}

TEST(dots)
{
    static const char *const rows[][2] = {
        {"/a/b/c/./../../g", "/a/g"}, /* section 5.2.4's own */
        {"mid/content=5/../6", "mid/6"},
        {"", ""},
        {".", ""},
        {"..", ""},
        {"../", ""},
        {"././../a", "a"},
        {"/.", "/"},
        {"/..", "/"},
        {"/../..", "/"},
        {"a/..", "/"},
        {"a/../b", "/b"},
        {"/a/..b/.c", "/a/..b/.c"},
        {"/a//../b", "/a/b"},
        {"/...", "/..."},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = strlen(rows[i][0]), r;
        char *p = at_the_edge(rows[i][0], n);
        r = xk_uri_remove_dots(p, n);
        if (r != strlen(rows[i][1]) || memcmp(p, rows[i][1], r))
            TAP_FAIL("%s: %.*s", rows[i][0], (int)r, p);
        leave_the_edge(p, n);
    }
}

TEST(percent_encoding_there_and_back)
{
    char all[256], back[256];
    struct xk_buf out;

    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    xk_buf_init(&out, NULL, 1024);
    for (int set = XK_URI_SET_UNRESERVED; set <= XK_URI_SET_FORM; set++) {
        EQ(xk_uri_encode(&out, all, 256, (enum xk_uri_set)set), 0);
        if (set == XK_URI_SET_FORM)
            EQ(xk_uri_form_decode(back, (char *)xk_buf_head(&out), xk_buf_len(&out)), 256);
        else
            EQ(xk_uri_decode((char *)xk_buf_head(&out), (char *)xk_buf_head(&out), xk_buf_len(&out)), 256);
        MEMEQ(set == XK_URI_SET_FORM ? back : (char *)xk_buf_head(&out), all, 256);
        xk_buf_take(&out, xk_buf_len(&out));
    }
    EQ(xk_uri_encode(&out, "a b/?\xe9", 6, XK_URI_SET_PATH), 0);
    MEMEQ(xk_buf_head(&out), "a%20b/%3F%E9", 12);
    EQ(xk_buf_len(&out), 12);
    EQ(xk_uri_decode(back, "%4", 2), XK_EINVAL);
    EQ(xk_uri_decode(back, "%", 1), XK_EINVAL);
    EQ(xk_uri_decode(back, "%4x", 3), XK_EINVAL);
    for (size_t n = 1; n < 3; n++) {
        char *p = at_the_edge("%41", n);
        EQ(xk_uri_decode(back, p, n), XK_EINVAL);
        EQ(xk_uri_form_decode(back, p, n), n);
        leave_the_edge(p, n);
    }
    EQ(xk_uri_decode(back, "a+b", 3), 3);
    OK(back[1] == '+');
    EQ(xk_uri_form_decode(back, "a+b%4x%", 7), 7);
    MEMEQ(back, "a b%4x%", 7);
    xk_buf_fini(&out);
}

TEST(query_strings)
{
    static const char s[] = "a=1&b&=c&&d==e=&f;g=%26+&";
    static const char *const want[][2] = {{"a", "1"}, {"b", ""}, {"", "c"}, {"d", "=e="}, {"f;g", "%26+"}};
    char *p = at_the_edge(s, strlen(s));
    struct xk_uri_query it = {p, strlen(s)};
    const char *name, *value;
    size_t nn, nv;

    for (int i = 0; i < 5; i++) {
        EQ(xk_uri_query_next(&it, &name, &nn, &value, &nv), 1);
        OK(nn == strlen(want[i][0]) && memcmp(name, want[i][0], nn) == 0);
        OK(nv == strlen(want[i][1]) && memcmp(value, want[i][1], nv) == 0);
    }
    EQ(xk_uri_query_next(&it, &name, &nn, &value, &nv), 0);
    EQ(xk_uri_query_next(&it, &name, &nn, &value, &nv), 0);
    leave_the_edge(p, strlen(s));
}
