/* Zone files: what is read, what is refused and with which words, and what happens when memory is short.
 * SPDX-License-Identifier: MIT */
#include <time.h>

#include "proto/dns/name.h"
#include "tests/c/proto/test_dns_util.h"

#define HEAD "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\n"

/* --- what is read ------------------------------------------------------------------------------------------------- */

TEST(every_way_to_write_a_record)
{
    static const char zone[] = "; a comment\n"
                               "$ORIGIN example.\n"
                               "\t\n"
                               "   ; another\n"
                               "@ 1h IN SOA ns.example. host\\.master ( ; open\n"
                               "    2024010101 ; serial\n"
                               "\n"
                               "    1d 2h\n"
                               "3w\n"
                               ") 1h30m\n" /* the parenthesis closes in column 1 */
                               "\t\tNS\tns\r\n"
                               "@ NS NS.Example. ; the same, names compare without case\n"
                               "$TTL 120\n"
                               "ns IN 20 A 192.0.2.1\n"
                               "   10 IN A 192.0.2.2\n"
                               "   A 192.0.2.3\n"
                               "N A 1.1.1.1\n"
                               "A A 2.2.2.2\n"
                               "IN IN A 3.3.3.3\n"
                               "3600 A 4.4.4.4\n"
                               "e.ns A 5.5.5.5\n"
                               "TXT TXT \"a;b\" c(d \n e ) \"\\\"\"\n"
                               "x.y.z.example. CLASS1 TYPE1 \\# 4 ( 06 06\n 06 06 )\n"
                               "$ORIGIN sub\n"
                               "@ MX 10 mail\n"
                               "mail A 7.7.7.7\n"
                               "mail.sub.EXAMPLE. A 7.7.7.7 ; the same once more\n"
                               "a\\046b A 8.8.8.8";
    struct xk_dns_server *s = serve(NULL, zone);
    struct xk_dns_zone *z = load_zone(NULL, zone);
    struct xk_dns_zone_stats st;
    char text[XK_DNS_NAME_TEXT_MAX];

    EQ(xk_dns_name_text(xk_dns_zone_apex(z), text, sizeof(text)), 8);
    STREQ(text, "example.");
    EQ(xk_dns_zone_serial(z), 2024010101);
    xk_dns_zone_stats(z, &st);
    EQ(st.duplicates, 2);
    EQ(st.records, 15);
    EQ(st.rrsets, 13);
    EQ(st.names, 14); /* with the empty z and y.z */
    xk_dns_zone_unref(z);
    STREQ(ask(s, "example.", "SOA"),
          "NOERROR aa\nAN example. 3600 SOA ns.example. host\\.master.example. 2024010101 86400 7200 1814400 5400\n");
    STREQ(ask(s, "ns.example.", "A"), "NOERROR aa\nAN ns.example. 10 A 192.0.2.1\nAN ns.example. 10 A 192.0.2.2\n"
                                      "AN ns.example. 10 A 192.0.2.3\n"); /* the lowest TTL, RFC 2181 */
    STREQ(ask(s, "n.example.", "A"), "NOERROR aa\nAN n.example. 120 A 1.1.1.1\n");
    STREQ(ask(s, "a.example.", "A"), "NOERROR aa\nAN a.example. 120 A 2.2.2.2\n");
    STREQ(ask(s, "in.example.", "A"), "NOERROR aa\nAN in.example. 120 A 3.3.3.3\n");
    STREQ(ask(s, "3600.example.", "A"), "NOERROR aa\nAN 3600.example. 120 A 4.4.4.4\n");
    STREQ(ask(s, "e.ns.example.", "A"), "NOERROR aa\nAN e.ns.example. 120 A 5.5.5.5\n");
    STREQ(ask(s, "txt.example.", "TXT"), "NOERROR aa\nAN txt.example. 120 TXT \"a;b\" \"c\" \"d\" \"e\" \"\\\"\"\n");
    STREQ(ask(s, "x.y.z.example.", "A"), "NOERROR aa\nAN x.y.z.example. 120 A 6.6.6.6\n");
    STREQ(ask(s, "sub.example.", "MX"), "NOERROR aa\nAN sub.example. 120 MX 10 mail.sub.example.\n"
                                        "AR mail.sub.example. 120 A 7.7.7.7\n");
    STREQ(ask(s, "a\\.b.sub.example.", "A"), "NOERROR aa\nAN a\\.b.sub.example. 120 A 8.8.8.8\n");
    xk_dns_server_destroy(s);
}

TEST(ttl_left_out)
{
    /* RFC 2308 section 4: $TTL; RFC 1035: the last one stated; and a SOA's own minimum */
    struct xk_dns_server *s = serve("o", "@ SOA a b 1 2 3 4 77\n@ NS a\na A 1.1.1.1\nb 5 A 1.1.1.1\nc A 1.1.1.1\n"
                                         "$TTL 9\nd A 1.1.1.1\ne 6 A 1.1.1.1\nf A 1.1.1.1\n");

    STREQ(ask(s, "a.o.", "A"), "NOERROR aa\nAN a.o. 77 A 1.1.1.1\n");
    STREQ(ask(s, "c.o.", "A"), "NOERROR aa\nAN c.o. 5 A 1.1.1.1\n");
    STREQ(ask(s, "d.o.", "A"), "NOERROR aa\nAN d.o. 9 A 1.1.1.1\n");
    STREQ(ask(s, "f.o.", "A"), "NOERROR aa\nAN f.o. 9 A 1.1.1.1\n");
    xk_dns_server_destroy(s);
}

/* --- what is refused ---------------------------------------------------------------------------------------------- */

static const struct {
    const char *zone;
    unsigned line, column;
    const char *text;
} errors[] = {
    {HEAD "a A 1.2.3\n", 4, 5, "'1.2.3': expected an IPv4 address, as 192.0.2.1"},
    {HEAD "a A\n", 4, 4, "the line ends: expected an IPv4 address, as 192.0.2.1"},
    {HEAD "a A", 4, 4, "the line ends: expected an IPv4 address, as 192.0.2.1"},
    {HEAD "a A 1.2.3.4 5\n", 4, 13, "'5': expected the end of the record"},
    {HEAD "a\n", 4, 2, "the line ends: expected a TTL, the class IN, or a type"},
    {HEAD "a FOO 1\n", 4, 3, "'FOO': expected a TTL, the class IN, or a type as A, MX or TYPE731"},
    {HEAD "a IN IN A 1.2.3.4\n", 4, 6, "'IN': expected a TTL, the class IN, or a type as A, MX or TYPE731"},
    {HEAD "a CH A 1.2.3.4\n", 4, 3, "'CH': expected class IN; no other is served"},
    {HEAD "a CLASS3 A 1.2.3.4\n", 4, 3, "'CLASS3': expected class IN; no other is served"},
    {HEAD "a 1x A 1.2.3.4\n", 4, 3, "'1x': expected a TTL from 0 to 2147483647 s, as 3600 or 1h30m"},
    {HEAD "a 2147483648 A 1.2.3.4\n", 4, 3, "'2147483648': expected a TTL from 0 to 2147483647 s, as 3600 or 1h30m"},
    {HEAD "a OPT \\# 0\n", 4, 3, "'OPT': expected a type that a zone can hold"},
    {HEAD "a TYPE200 \\# 0\n", 4, 3, "'TYPE200': expected a type that a zone can hold"},
    {HEAD "\n  ( b\n A 1.2.3.4\n", 5, 5, "'b': expected a TTL, the class IN, or a type as A, MX or TYPE731"},
    {HEAD "a TXT ( \"x\"\n", 4, 7, "this '(' is not closed; expected ')' before the end"},
    {HEAD "a TXT x )\n", 4, 9, "')' without '(' before it"},
    {HEAD "a TXT \"x\nb A 1.2.3.4\n", 4, 7, "this quote is not closed; expected another '\"' on the line"},
    {HEAD "a TXT (\n\n  x\\999 )\n", 6, 3, "'x\\999': expected \\X or \\DDD with DDD from 000 to 255 in a string"},
    {HEAD "a..b A 1.2.3.4\n", 4, 1, "'a..b': expected a domain name without empty labels"},
    {HEAD "\"a\" A 1.2.3.4\n", 4, 1, "'a': expected a domain name"},
    {HEAD "0123456789012345678901234567890123456789012345678901234567890123 A 1.2.3.4\n", 4, 1,
     "'0123456789012345678901234567890123456789...': expected labels of at most 63 octets"},
    {HEAD "a.b. A 1.2.3.4\n", 4, 1, "'a.b.' is not in the zone; expected a name below 'o.'"},
    {HEAD "xo. A 1.2.3.4\n", 4, 1, "'xo.' is not in the zone; expected a name below 'o.'"},
    {HEAD "$INCLUDE other\n", 4, 1, "'$INCLUDE': expected the records themselves: no other file can be read from here"},
    {HEAD "$GENERATE 1-2 a A 1.2.3.4\n", 4, 1, "'$GENERATE': expected $ORIGIN, $TTL or $INCLUDE"},
    {HEAD "$TTL\n", 4, 5, "the line ends: expected a TTL from 0 to 2147483647 s, as 3600 or 1h30m"},
    {HEAD "$TTL x\n", 4, 6, "'x': expected a TTL from 0 to 2147483647 s, as 3600 or 1h30m"},
    {HEAD "$ORIGIN a b\n", 4, 11, "'b': expected the end of the line"},
    {HEAD "a CNAME b\na A 1.2.3.4\n", 5, 3, "'a.o.': this name has a CNAME already; expected no other records"},
    {HEAD "a A 1.2.3.4\na 5 CNAME b\n", 5, 5, "'a.o.': a CNAME beside other records; expected it alone at its name"},
    {HEAD "a CNAME b\na CNAME c\n", 5, 3,
     "'a.o.': a second record of a type of which a name has one (SOA, CNAME, DNAME); expected one"},
    {HEAD "@ SOA ns h 2 2 3 4 5\n", 4, 3,
     "'o.': a second record of a type of which a name has one (SOA, CNAME, DNAME); expected one"},
    {HEAD "a SOA ns h 2 2 3 4 5\n", 4, 3, "'a.o.': a SOA below the apex; expected it only at the zone's own name"},
    {HEAD "*.a NS b\n", 4, 5,
     "'*.a.o.': NS or DNAME at a wildcard has no meaning (RFC 4592 section 4); expected another type"},
    {HEAD "a MX 10\n", 4, 8, "the line ends: expected a domain name"},
    {HEAD "a MX x b\n", 4, 6, "'x': expected a number from 0 to 65535"},
    {HEAD "a AAAA 1::2::3\n", 4, 8, "'1::2::3': expected an IPv6 address, as 2001:db8::1"},
    {HEAD "a RRSIG A 5\n", 4, 9, "'A': expected \\# LENGTH HEX, as this type has no other text form"},
    {HEAD "a TYPE731 \\# 3 abcd\n", 4, 14, "'3': expected the number of octets that follow"},
    {"", 1, 1, "the zone ends without a SOA; expected one at the apex"},
    {"@ 1 NS ns\n", 2, 1, "the zone ends without a SOA; expected one at the apex"},
    {"\n@ 1 SOA ns h 1 2 3 4 5\n", 2, 5, "'o.': the zone has no NS at its apex; expected at least one"},
    {"@ NS ns\n", 1, 3, "this record has no TTL; expected one before the type, or a $TTL line before it"},
    {" A 1.2.3.4\n", 1, 1, "the line begins with white space, but no owner was named before; expected a name"},
    {"@ SOA ns h 1 2 3 4\n", 1, 19, "the line ends: expected a time from 0 to 2147483647 s, as 3600 or 1h"},
    {"a\377\001 B\n", 1, 5, "'B': expected a TTL, the class IN, or a type as A, MX or TYPE731"},
    {"\377\001..\n", 1, 1, "'\?\?..': expected a domain name without empty labels"},
};

TEST(errors_have_a_place_and_a_word)
{
    for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        size_t n = strlen(errors[i].zone);
        char *text = (char *)guarded(n);
        struct xk_diag d = {0, 0, 0, ""};
        struct xk_dns_zone *z;

        memcpy(text, errors[i].zone, n);
        EQ(xk_dns_zone_load(NULL, "o.", text, n, &d, &z), XK_EINVAL);
        EQ(d.err, XK_EINVAL);
        if (d.line != errors[i].line || d.column != errors[i].column || strcmp(d.text, errors[i].text))
            TAP_FAIL("%s\ngave   %u:%u: %s\nwanted %u:%u: %s", errors[i].zone, d.line, d.column, d.text, errors[i].line,
                     errors[i].column, errors[i].text);
    }
}

TEST(errors_without_an_origin)
{
    static const struct {
        const char *origin, *zone;
        unsigned line, column;
        const char *text;
    } cases[] = {
        {NULL, "o 1 SOA a. b. 1 2 3 4 5\n", 1, 1,
         "'o': expected a name that ends in '.', as there is no origin; or $ORIGIN before it"},
        {NULL, "o. 1 SOA a b. 1 2 3 4 5\n", 1, 10, "'a': expected a name that ends in '.', as there is no origin"},
        {NULL, "o. 1 NS a.\n", 1, 6, "the first record is no SOA; expected one, as its owner is the zone's name"},
        {"a..b", "", 0, 0, "origin 'a..b': expected a domain name without empty labels"},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct xk_diag d = {0, 0, 0, ""};
        struct xk_dns_zone *z;

        EQ(xk_dns_zone_load(NULL, cases[i].origin, cases[i].zone, strlen(cases[i].zone), &d, &z), XK_EINVAL);
        STREQ(d.text, cases[i].text);
        EQ(d.line, cases[i].line);
        EQ(d.column, cases[i].column);
    }
}

TEST(a_zone_cut_anywhere_neither_crashes_nor_leaks)
{
    static const char zone[] = HEAD "a 1h IN TXT ( \"x\\\"y\" z\\065 ) ; c\n b\\.c MX 10 (\n@ )\n"
                                    "h HTTPS 1 . alpn=\"h2\" port=1\n$ORIGIN x\nk DNSKEY 1 3 5 AQID BA==\n";
    size_t n = sizeof(zone) - 1, loaded = 0;

    for (size_t cut = 0; cut <= n; cut++) {
        char *text = (char *)guarded(cut);
        struct xk_dns_zone *z = NULL;
        struct xk_diag d = {0, 0, 0, ""};

        memcpy(text, zone, cut);
        if (xk_dns_zone_load(NULL, "o.", text, cut, &d, &z) == 0) {
            loaded++;
            xk_dns_zone_unref(z);
        } else {
            OK(d.err && d.text[0]);
        }
    }
    OK(loaded > 4 && loaded < n / 2);
}

/* --- $INCLUDE ----------------------------------------------------------------------------------------------------- */

static int included(void *arg, const char *path, const char **text, size_t *len)
{
    if (strcmp(path, "self") == 0)
        *text = "$INCLUDE self\n";
    else if (strcmp(path, "a b") == 0)
        *text = "www 5 A 1.1.1.1\n$ORIGIN deep\nx A 2.2.2.2\n";
    else if (strcmp(path, "bad") == 0)
        *text = "\nq A 1.1.1\n";
    else
        return XK_ENOENT;
    *len = strlen(*text);
    ++*(int *)arg;
    return 0;
}

TEST(include_by_the_callers_function)
{
    int calls = 0;
    struct xk_dns_zone_opts opts = {"o.", 0, included, &calls};
    static const char zone[] = HEAD "m A 9.9.9.9\n$INCLUDE \"a b\" sub\n  A 8.8.8.8\nn A 7.7.7.7\n";
    struct xk_diag d = {0, 0, 0, ""};
    struct xk_dns_zone *z;
    struct xk_dns_server *s;

    EQ(xk_dns_zone_load_with(NULL, &opts, zone, strlen(zone), &d, &z), 0);
    EQ(xk_dns_server_create(NULL, NULL, &s), 0);
    EQ(xk_dns_server_set_zone(s, z), 0);
    xk_dns_zone_unref(z);
    STREQ(ask(s, "www.sub.o.", "A"), "NOERROR aa\nAN www.sub.o. 5 A 1.1.1.1\n");
    STREQ(ask(s, "x.deep.sub.o.", "A"), "NOERROR aa\nAN x.deep.sub.o. 60 A 2.2.2.2\n");
    STREQ(ask(s, "m.o.", "A"), "NOERROR aa\nAN m.o. 60 A 9.9.9.9\nAN m.o. 60 A 8.8.8.8\n");
    STREQ(ask(s, "n.o.", "A"), "NOERROR aa\nAN n.o. 60 A 7.7.7.7\n");
    EQ(calls, 1);
    xk_dns_server_destroy(s);
    EQ(xk_dns_zone_load_with(NULL, &opts, HEAD "$INCLUDE bad\n", sizeof(HEAD) + 12, &d, &z), XK_EINVAL);
    STREQ(d.text, "in bad: '1.1.1': expected an IPv4 address, as 192.0.2.1");
    EQ(d.line, 2);
    EQ(d.column, 5);
    memset(&d, 0, sizeof(d));
    EQ(xk_dns_zone_load_with(NULL, &opts, HEAD "$INCLUDE no\n", sizeof(HEAD) + 11, &d, &z), XK_ENOENT);
    STREQ(d.text, "$INCLUDE no: no such entry");
    EQ(xk_dns_zone_load_with(NULL, &opts, HEAD "$INCLUDE self\n", sizeof(HEAD) + 13, NULL, &z), XK_EINVAL);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

struct counter {
    long calls, fail_at;
    size_t held, peak;
};

static void *counted(void *ctx, void *p, size_t old, size_t size)
{
    struct counter *c = ctx;
    void *q;

    if (size > old && ++c->calls == c->fail_at)
        return NULL;
    c->held += size - (p ? old : 0);
    if (c->held > c->peak)
        c->peak = c->held;
    if (!size) {
        free(p);
        return NULL;
    }
    q = realloc(p, size);
    return q;
}

static char *many_names(unsigned n)
{
    char *text = malloc((size_t)n * 48 + 256), *p = text;

    p += sprintf(p, HEAD "ns A 1.2.3.4\n");
    for (unsigned i = 0; i < n; i++)
        p += sprintf(p, "host%u 300 IN A 10.%u.%u.%u\n", i, i >> 16 & 255, i >> 8 & 255, i & 255);
    return text;
}

TEST(every_failing_allocation_is_survived)
{
    char *text = many_names(3000);
    long n = 1, failed = 0;

    for (;; n++) {
        struct counter c = {0, n, 0, 0};
        const xk_alloc alloc = {counted, &c};
        struct xk_dns_zone *z = NULL;
        struct xk_dns_server *s = NULL;
        struct xk_diag d = {0, 0, 0, ""};
        int r = xk_dns_zone_load(&alloc, "o", text, strlen(text), &d, &z);

        if (r < 0)
            EQ(d.err, XK_ENOMEM);
        if (r == 0)
            r = xk_dns_server_create(&alloc, NULL, &s);
        if (r == 0)
            r = xk_dns_server_set_zone(s, z);
        if (r < 0) {
            EQ(r, XK_ENOMEM);
            failed++;
        }
        xk_dns_zone_unref(z);
        xk_dns_server_destroy(s);
        EQ(c.held, 0);
        if (c.calls < n)
            break;
    }
    OK(failed > 15);
    EQ(failed, n - 1);
    free(text);
}

TEST(the_bound_holds)
{
    char *text = many_names(3000);
    struct counter c = {0, 0, 0, 0};
    const xk_alloc alloc = {counted, &c};
    struct xk_dns_zone_opts opts = {"o", 100000, NULL, NULL};
    struct xk_diag d = {0, 0, 0, ""};
    struct xk_dns_zone *z;

    EQ(xk_dns_zone_load_with(&alloc, &opts, text, strlen(text), &d, &z), XK_E2BIG);
    OK(strstr(d.text, "100000"));
    EQ(c.held, 0);
    OK(c.peak < 100000 + 80000); /* the loader's own buffers besides */
    free(text);
}

TEST(sets_and_names_have_bounds)
{
    size_t max = 4200 * 40;
    char *text = malloc(max), *p = text + sprintf(text, HEAD);
    struct xk_diag d = {0, 0, 0, ""};
    struct xk_dns_zone *z;

    for (unsigned i = 0; i < 4098; i++)
        p += sprintf(p, "x A 10.0.%u.%u\n", i >> 8, i & 255);
    EQ(xk_dns_zone_load(NULL, "o", text, (size_t)(p - text), &d, &z), XK_EINVAL);
    STREQ(d.text, "'x.o.': the records of this type do not fit into one message; expected fewer");
    EQ(d.line, 4 + 65000 / 16);
    memset(&d, 0, sizeof(d));
    p = text + sprintf(text, HEAD);
    for (unsigned i = 0; i < 4098; i++)
        p += sprintf(p, "x TYPE%u \\# 0\n", 30000 + i);
    EQ(xk_dns_zone_load(NULL, "o", text, (size_t)(p - text), &d, &z), XK_EINVAL);
    STREQ(d.text, "'x.o.': more than 4096 records at one name; expected fewer");
    EQ(d.line, 4 + 4096);
    free(text);
}

TEST(a_hundred_thousand_names_in_little_memory)
{
    char *text = many_names(100000);
    struct counter c = {0, 0, 0, 0};
    const xk_alloc alloc = {counted, &c};
    struct xk_dns_zone_stats st;
    struct xk_dns_zone *z;
    struct timespec a, b;

    clock_gettime(CLOCK_MONOTONIC, &a);
    EQ(xk_dns_zone_load(&alloc, "example.com", text, strlen(text), NULL, &z), 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    xk_dns_zone_stats(z, &st);
    EQ(st.names, 100002);
    EQ(st.records, 100003);
    EQ(st.bytes, c.held);
    OK(st.bytes < 10 << 20);
    printf("# %.1f ms, %zu KiB held, %zu KiB at most while loading\n",
           (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6, st.bytes >> 10, c.peak >> 10);
    xk_dns_zone_unref(z);
    EQ(c.held, 0);
    free(text);
}

static int by_hash(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return x[0] < y[0] ? -1 : x[0] > y[0];
}

TEST(names_with_the_same_hash_are_told_apart)
{
    enum { MANY = 400000 };
    uint32_t(*h)[2] = malloc(MANY * sizeof(*h)), pairs = 0;
    struct xk__dns_qname q;
    uint8_t wire[XK_DNS_NAME_MAX];
    char name[32], text[128];

    for (uint32_t i = 0; i < MANY; i++) {
        sprintf(name, "h%u.o.", i);
        OK(xk_dns_name_parse(wire, name, strlen(name), NULL) > 0);
        xk__dns_qname_init(&q, wire);
        h[i][0] = q.hash[0];
        h[i][1] = i;
    }
    qsort(h, MANY, sizeof(*h), by_hash);
    for (uint32_t i = 1; i < MANY && pairs < 5; i++) {
        struct xk_dns_server *s;
        if (h[i][0] != h[i - 1][0])
            continue;
        sprintf(text, HEAD "h%u A 1.1.1.1\n", h[i][1]);
        s = serve("o", text);
        sprintf(name, "h%u.o.", h[i - 1][1]);
        OK(strncmp(ask(s, name, "A"), "NXDOMAIN", 8) == 0);
        xk_dns_server_destroy(s);
        pairs++;
    }
    OK(pairs > 0);
    free(h);
}

TEST(a_server_keeps_its_own_reference)
{
    struct counter c = {0, 0, 0, 0};
    const xk_alloc alloc = {counted, &c};
    static const char zone[] = HEAD "a A 1.1.1.1\n", next[] = HEAD "a A 2.2.2.2\n";
    struct xk_dns_zone *z, *z2;
    struct xk_dns_server *s;

    EQ(xk_dns_zone_load(&alloc, "o", zone, strlen(zone), NULL, &z), 0);
    EQ(xk_dns_zone_load(&alloc, "O.", next, strlen(next), NULL, &z2), 0);
    EQ(xk_dns_server_create(&alloc, NULL, &s), 0);
    EQ(xk_dns_server_set_zone(s, z), 0);
    xk_dns_zone_unref(xk_dns_zone_ref(z));
    xk_dns_zone_unref(z);
    STREQ(ask(s, "a.o.", "A"), "NOERROR aa\nAN a.o. 60 A 1.1.1.1\n");
    for (int i = 0; i < 3; i++) { /* no answer allocates, from the cache or not */
        long calls = c.calls;
        ask(s, i ? "a.o." : "nx.o.", "A");
        EQ(c.calls, calls);
    }
    EQ(xk_dns_server_set_zone(s, z2), 0);
    xk_dns_zone_unref(z2);
    STREQ(ask(s, "a.o.", "A"), "NOERROR aa\nAN a.o. 60 A 2.2.2.2\n");
    EQ(xk_dns_server_drop_zone(s, "nothing."), XK_ENOENT);
    EQ(xk_dns_server_drop_zone(s, "o."), 0);
    STREQ(ask(s, "a.o.", "A"), "REFUSED\n");
    xk_dns_server_destroy(s);
    EQ(c.held, 0);
}
