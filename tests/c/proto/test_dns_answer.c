/* What is answered: the algorithm of RFC 1034 section 4.3.2 as a table, then EDNS, truncation, malformed queries, the
 * cache, zones beside each other, and the hook. SPDX-License-Identifier: MIT */
#include "tests/c/proto/test_dns_util.h"

static const char zone[] = "$ORIGIN example.\n$TTL 60\n"
                           "@ 3600 SOA ns1 host 1 7200 3600 604800 300\n"
                           "@ NS ns1\n@ NS ns.other.\n@ MX 10 mail\n@ MX 20 mx.sub\n"
                           "ns1 A 192.0.2.1\nns1 AAAA 2001:db8::1\n"
                           "mail A 192.0.2.2\n"
                           "www CNAME web\nweb A 192.0.2.3\nweb A 192.0.2.4\nweb TXT hello\n"
                           "out CNAME x.other.\n"
                           "dangling CNAME nothing\n"
                           "loop1 CNAME loop2\nloop2 CNAME loop1\nself CNAME self\n"
                           "intosub CNAME h.sub\n"
                           "_s._tcp SRV 0 0 80 web\n_s._tcp SRV 0 0 80 x.other.\n"
                           "a.b.ent A 192.0.2.5\n"
                           "*.wild A 192.0.2.6\n*.wild MX 5 mail\nhost.wild A 192.0.2.7\nx.y.wild TXT y\n"
                           "*.cw CNAME web\n*.lw CNAME t.lw\n*.sw CNAME sw\nsw TXT t\n"
                           "sub NS ns.sub\nsub NS ns1\nsub NS ns.sub2\nsub DS 1 8 2 00\n"
                           "ns.sub A 192.0.2.8\nmx.sub A 192.0.2.9\nh.sub A 192.0.2.99\n"
                           "sub2 NS ns.sub2\nns.sub2 A 192.0.2.10\n"
                           "lame NS ns.other.\n"
                           "dn DNAME dt\nx.dt A 192.0.2.11\n*.dt TXT w\nbelow.dn A 1.1.1.1\n"
                           "dlong DNAME 012345678901234567890123456789012345678901234567890123456789."
                           "012345678901234567890123456789012345678901234567890123456789."
                           "012345678901234567890123456789012345678901234567890123456789."
                           "0123456789012345678901234567890123456789012345678901234567.o.\n";

#define SOA "NS example. 300 SOA ns1.example. host.example. 1 7200 3600 604800 300\n"

static const struct {
    const char *name, *type, *reply;
} table[] = {
    {"ns1.example.", "A", "NOERROR aa\nAN ns1.example. 60 A 192.0.2.1\n"},
    {"NS1.eXample.", "AAAA", "NOERROR aa\nAN NS1.eXample. 60 AAAA 2001:db8::1\n"},
    {"web.example.", "A", "NOERROR aa\nAN web.example. 60 A 192.0.2.3\nAN web.example. 60 A 192.0.2.4\n"},
    {"web.example.", "AAAA", "NOERROR aa\n" SOA},
    {"nothing.example.", "A", "NXDOMAIN aa\n" SOA},
    {"a.web.example.", "A", "NXDOMAIN aa\n" SOA},
    {"example.", "SOA", "NOERROR aa\nAN example. 3600 SOA ns1.example. host.example. 1 7200 3600 604800 300\n"},
    {"example.", "NS",
     "NOERROR aa\nAN example. 60 NS ns1.example.\nAN example. 60 NS ns.other.\n"
     "AR ns1.example. 60 A 192.0.2.1\nAR ns1.example. 60 AAAA 2001:db8::1\n"},
    /* glue below a delegation is no answer for MX */
    {"example.", "MX",
     "NOERROR aa\nAN example. 60 MX 10 mail.example.\nAN example. 60 MX 20 mx.sub.example.\n"
     "AR mail.example. 60 A 192.0.2.2\n"},
    {"example.", "A", "NOERROR aa\n" SOA},
    {"example.", "DS", "NOERROR aa\n" SOA},
    {"_s._tcp.example.", "SRV",
     "NOERROR aa\nAN _s._tcp.example. 60 SRV 0 0 80 web.example.\n"
     "AN _s._tcp.example. 60 SRV 0 0 80 x.other.\n"
     "AR web.example. 60 A 192.0.2.3\nAR web.example. 60 A 192.0.2.4\n"},
    /* CNAME */
    {"www.example.", "A",
     "NOERROR aa\nAN www.example. 60 CNAME web.example.\nAN web.example. 60 A 192.0.2.3\n"
     "AN web.example. 60 A 192.0.2.4\n"},
    {"www.example.", "CNAME", "NOERROR aa\nAN www.example. 60 CNAME web.example.\n"},
    {"www.example.", "ANY", "NOERROR aa\nAN www.example. 60 CNAME web.example.\n"},
    {"www.example.", "MX", "NOERROR aa\nAN www.example. 60 CNAME web.example.\n" SOA},
    {"out.example.", "A", "NOERROR aa\nAN out.example. 60 CNAME x.other.\n"},
    {"dangling.example.", "A", "NXDOMAIN aa\nAN dangling.example. 60 CNAME nothing.example.\n" SOA},
    {"loop1.example.", "A",
     "NOERROR aa\nAN loop1.example. 60 CNAME loop2.example.\n"
     "AN loop2.example. 60 CNAME loop1.example.\n"},
    {"self.example.", "A", "NOERROR aa\nAN self.example. 60 CNAME self.example.\n"},
    {"intosub.example.", "A",
     "NOERROR aa\nAN intosub.example. 60 CNAME h.sub.example.\n"
     "NS sub.example. 60 NS ns.sub.example.\nNS sub.example. 60 NS ns1.example.\n"
     "NS sub.example. 60 NS ns.sub2.example.\n"
     "AR ns.sub.example. 60 A 192.0.2.8\nAR ns1.example. 60 A 192.0.2.1\n"
     "AR ns1.example. 60 AAAA 2001:db8::1\nAR ns.sub2.example. 60 A 192.0.2.10\n"},
    /* empty non-terminals */
    {"ent.example.", "A", "NOERROR aa\n" SOA},
    {"b.ent.example.", "ANY", "NOERROR aa\n" SOA},
    {"a.b.ent.example.", "A", "NOERROR aa\nAN a.b.ent.example. 60 A 192.0.2.5\n"},
    {"c.ent.example.", "A", "NXDOMAIN aa\n" SOA},
    {"_tcp.example.", "SRV", "NOERROR aa\n" SOA},
    /* wildcards, RFC 4592 */
    {"foo.wild.example.", "A", "NOERROR aa\nAN foo.wild.example. 60 A 192.0.2.6\n"},
    {"foo.bar.WILD.example.", "A", "NOERROR aa\nAN foo.bar.WILD.example. 60 A 192.0.2.6\n"},
    {"foo.wild.example.", "MX",
     "NOERROR aa\nAN foo.wild.example. 60 MX 5 mail.example.\n"
     "AR mail.example. 60 A 192.0.2.2\n"},
    {"foo.wild.example.", "TXT", "NOERROR aa\n" SOA},
    {"*.wild.example.", "A", "NOERROR aa\nAN *.wild.example. 60 A 192.0.2.6\n"},
    {"wild.example.", "A", "NOERROR aa\n" SOA},
    {"host.wild.example.", "MX", "NOERROR aa\n" SOA},
    {"z.host.wild.example.", "A", "NXDOMAIN aa\n" SOA},
    {"y.wild.example.", "A", "NOERROR aa\n" SOA},    /* empty: no wildcard for it */
    {"z.y.wild.example.", "A", "NXDOMAIN aa\n" SOA}, /* its closest encloser has no wildcard */
    {"a.*.wild.example.", "A", "NXDOMAIN aa\n" SOA},
    {"q.cw.example.", "TXT", "NOERROR aa\nAN q.cw.example. 60 CNAME web.example.\nAN web.example. 60 TXT \"hello\"\n"},
    {"q.lw.example.", "A",
     "NOERROR aa\nAN q.lw.example. 60 CNAME t.lw.example.\n"
     "AN t.lw.example. 60 CNAME t.lw.example.\n"},
    {"q.sw.example.", "TXT", "NOERROR aa\nAN q.sw.example. 60 CNAME sw.example.\nAN sw.example. 60 TXT \"t\"\n"},
    /* delegation */
    {"x.sub.example.", "A",
     "NOERROR\nNS sub.example. 60 NS ns.sub.example.\nNS sub.example. 60 NS ns1.example.\n"
     "NS sub.example. 60 NS ns.sub2.example.\n"
     "AR ns.sub.example. 60 A 192.0.2.8\nAR ns1.example. 60 A 192.0.2.1\n"
     "AR ns1.example. 60 AAAA 2001:db8::1\nAR ns.sub2.example. 60 A 192.0.2.10\n"},
    {"ns.sub2.example.", "A",
     "NOERROR\nNS sub2.example. 60 NS ns.sub2.example.\nAR ns.sub2.example. 60 A 192.0.2.10\n"},
    {"sub2.example.", "NS", "NOERROR\nNS sub2.example. 60 NS ns.sub2.example.\nAR ns.sub2.example. 60 A 192.0.2.10\n"},
    {"lame.example.", "A", "NOERROR\nNS lame.example. 60 NS ns.other.\n"},
    {"sub.example.", "DS", "NOERROR aa\nAN sub.example. 60 DS 1 8 2 00\n"},
    {"sub2.example.", "DS", "NOERROR aa\n" SOA},
    {"x.sub2.example.", "DS",
     "NOERROR\nNS sub2.example. 60 NS ns.sub2.example.\nAR ns.sub2.example. 60 A 192.0.2.10\n"},
    /* DNAME, RFC 6672 */
    {"dn.example.", "DNAME", "NOERROR aa\nAN dn.example. 60 DNAME dt.example.\n"},
    {"dn.example.", "A", "NOERROR aa\n" SOA},
    {"x.dn.example.", "A",
     "NOERROR aa\nAN dn.example. 60 DNAME dt.example.\nAN x.dn.example. 60 CNAME x.dt.example.\n"
     "AN x.dt.example. 60 A 192.0.2.11\n"},
    {"x.dn.example.", "CNAME",
     "NOERROR aa\nAN dn.example. 60 DNAME dt.example.\n"
     "AN x.dn.example. 60 CNAME x.dt.example.\n"},
    {"below.dn.example.", "TXT",
     "NOERROR aa\nAN dn.example. 60 DNAME dt.example.\n"
     "AN below.dn.example. 60 CNAME below.dt.example.\nAN below.dt.example. 60 TXT \"w\"\n"},
    {"other.", "A", "REFUSED\n"},
    {".", "NS", "REFUSED\n"},
    {"examples.", "A", "REFUSED\n"},
    {"web.example.", "AXFR", "REFUSED\n"},
    {"web.example.", "MAILB", "NOTIMP\n"},
    {"web.example.", "TYPE0", "NOERROR aa\n" SOA},
};

TEST(the_algorithm)
{
    struct xk_dns_server *s = serve(NULL, zone);

    for (int round = 0; round < 3; round++) /* the second and third from the cache */
        for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            const char *got = ask(s, table[i].name, table[i].type);
            if (strcmp(got, table[i].reply))
                TAP_FAIL("round %d, %s %s gave\n%swanted\n%s", round, table[i].name, table[i].type, got,
                         table[i].reply);
        }
    xk_dns_server_destroy(s);
}

TEST(any_gives_one_set)
{
    struct xk_dns_server *s = serve(NULL, zone);

    STREQ(ask(s, "web.example.", "ANY"),
          "NOERROR aa\nAN web.example. 60 A 192.0.2.3\nAN web.example. 60 A 192.0.2.4\n");
    xk_dns_server_destroy(s);
}

TEST(dname_that_makes_a_name_too_long)
{
    struct xk_dns_server *s = serve(NULL, zone);

    OK(strstr(ask(s, "123456789.dlong.example.", "A"), "NOERROR aa\nAN dlong.example. 60 DNAME "));
    OK(strstr(ask(s, "1234567890.dlong.example.", "A"), "YXDOMAIN aa\nAN dlong.example. 60 DNAME "));
    OK(!strstr(ask(s, "1234567890.dlong.example.", "A"), "CNAME"));
    xk_dns_server_destroy(s);
}

TEST(a_long_cname_chain_is_cut)
{
    char text[4096], *p = text + sprintf(text, "@ 60 SOA a b 1 2 3 4 5\n@ NS a\n");
    struct xk_dns_server *s;
    const char *got, *at;
    int n = 0;

    for (int i = 0; i < 40; i++)
        p += sprintf(p, "c%d CNAME c%d\n", i, i + 1);
    s = serve("o", text);
    got = ask(s, "c0.o.", "A");
    OK(strncmp(got, "NOERROR aa\n", 11) == 0);
    for (at = got; (at = strstr(at, "CNAME")); at++)
        n++;
    EQ(n, 16);
    OK(strncmp(ask(s, "c30.o.", "A"), "NXDOMAIN aa\n", 12) == 0);
    xk_dns_server_destroy(s);
}

/* --- EDNS and truncation ------------------------------------------------------------------------------------------ */

TEST(edns)
{
    struct xk_dns_server *s = serve(NULL, zone);
    uint8_t q[512], r[512];
    int n;

    for (int round = 0; round < 2; round++) {
        STREQ(ask_with(s, "ns1.example.", "A", 4096, 0), "NOERROR aa\nAN ns1.example. 60 A 192.0.2.1\nOPT 1232\n");
        STREQ(ask_with(s, "ns1.example.", "A", 100, 1), "NOERROR aa\nAN ns1.example. 60 A 192.0.2.1\nOPT 1232 do\n");
        STREQ(ask(s, "ns1.example.", "A"), "NOERROR aa\nAN ns1.example. 60 A 192.0.2.1\n");
        STREQ(ask_with(s, "other.", "A", 1232, 0), "REFUSED\nOPT 1232\n");
    }
    n = xk_dns_query_write(q, sizeof(q), 7, 0, "ns1.example.", XK_DNS_A, 1232, 0);
    q[n - 5] = 1; /* version 1 */
    n = xk_dns_answer(s, q, (size_t)n, r, sizeof(r), XK_DNS_UDP);
    STREQ(reply_text(r, (size_t)n), "NOERROR\nOPT 1232 ext\n"); /* BADVERS is 16 */
    EQ(r[n - 6], 1);
    /* options are passed over, but must be whole */
    n = xk_dns_query_write(q, sizeof(q), 7, 0, "ns1.example.", XK_DNS_A, 1232, 0);
    memcpy(q + n - 2, "\0\5\0\3\0\1x", 7);
    n = xk_dns_answer(s, q, (size_t)n + 5, r, sizeof(r), XK_DNS_UDP);
    STREQ(reply_text(r, (size_t)n), "NOERROR aa\nAN ns1.example. 60 A 192.0.2.1\nOPT 1232\n");
    n = xk_dns_query_write(q, sizeof(q), 7, 0, "ns1.example.", XK_DNS_A, 1232, 0);
    memcpy(q + n - 2, "\0\5\0\3\0\2x", 7);
    n = xk_dns_answer(s, q, (size_t)n + 5, r, sizeof(r), XK_DNS_UDP);
    EQ(r[3] & 15, XK_DNS_FORMERR);
    xk_dns_server_destroy(s);
}

static struct xk_dns_server *serve_big(void)
{
    char *text = malloc(1 << 16), *p = text + sprintf(text, "@ 60 SOA a b 1 2 3 4 5\n@ NS a\n");
    struct xk_dns_server *s;

    for (int i = 0; i < 28; i++)
        p += sprintf(p, "s448 A 1.1.1.%d\n", i);
    for (int i = 0; i < 74; i++)
        p += sprintf(p, "s1184 A 1.1.1.%d\n", i);
    for (int i = 0; i < 1000; i++)
        p += sprintf(p, "s16000 A 1.1.%d.%d\n", i >> 8, i & 255);
    for (int i = 0; i < 30; i++)
        p += sprintf(p, "mx MX 5 m%d\nm%d A 1.1.1.1\nm%d AAAA ::1\n", i, i, i);
    for (int i = 0; i < 13; i++)
        p += sprintf(p, "sub NS n%d.sub\nn%d.sub A 1.1.1.1\nn%d.sub AAAA ::1\n", i, i, i);
    for (int i = 0; i < 13; i++)
        p += sprintf(p, "sib NS m%d\n", i);
    s = serve("o", text);
    free(text);
    return s;
}

TEST(truncation)
{
    struct xk_dns_server *s = serve_big();
    uint8_t q[512];
    struct xk_dns_stats st;
    int n;

    for (int round = 0; round < 2; round++) {
        ask(s, "s16000.o.", "A"); /* over TCP, so that the cache may know the whole */
        EQ(ask_length, 12 + 14 + 16000);
        STREQ(ask_with(s, "s16000.o.", "A", 4096, 0), "NOERROR aa tc\nOPT 1232\n");
        ask(s, "s1184.o.", "A");
        OK(!strstr(ask_with(s, "s1184.o.", "A", 1232, 0), "tc"));
        EQ(ask_length, 12 + 13 + 1184 + 11);
        STREQ(ask_with(s, "s1184.o.", "A", ask_length - 1u, 0), "NOERROR aa tc\nOPT 1232\n");
        OK(!strstr(ask_with(s, "s448.o.", "A", 512, 0), "tc"));
        STREQ(ask_with(s, "s1184.o.", "A", 1, 0), "NOERROR aa tc\nOPT 1232\n");
        n = xk_dns_query_write(q, sizeof(q), 1, 0, "s1184.o.", XK_DNS_A, 0, 0);
        ask_length = xk_dns_answer(s, q, (size_t)n, ask_reply, sizeof(ask_reply), XK_DNS_UDP);
        STREQ(reply_text(ask_reply, (size_t)ask_length), "NOERROR aa tc\n");
        /* addresses are optional beside MX and for hosts elsewhere, but not below the delegation (RFC 9471) */
        OK(!strstr(ask_with(s, "mx.o.", "MX", 700, 0), "tc"));
        OK(ask_length > 600 && ask_length <= 700);
        OK(strstr(ask_with(s, "x.sub.o.", "A", 600, 0), "tc"));
        OK(!strstr(ask_with(s, "x.sib.o.", "A", 600, 0), "tc"));
        OK(!strstr(ask_with(s, "x.sub.o.", "A", 1232, 0), "tc"));
    }
    xk_dns_server_stats(s, &st);
    EQ(st.truncated, 2 * 5);
    ask_with(s, "mx.o.", "MX", 700, 0);
    n = ask_length;
    ask_with(s, "mx.o.", "MX", 1232, 0); /* what was left out for 700 is not left out here */
    OK(ask_length > n + 300);
    xk_dns_server_destroy(s);
}

TEST(a_reply_never_passes_its_room)
{
    struct xk_dns_server *s = serve_big();
    static const char *const names[] = {"s16000.o.", "s1184.o.", "mx.o.", "x.sub.o.", "sib.o.", "nx.o."};

    for (size_t room = 512; room < 2000; room++) {
        uint8_t q[512], *r = guarded(room);
        const char *name = names[room % 6];
        int n = xk_dns_query_write(q, sizeof(q), 1, 0, name, name[0] == 'm' ? XK_DNS_MX : XK_DNS_A, 1232, 0);
        n = xk_dns_answer(s, q, (size_t)n, r, room, XK_DNS_TCP);
        OK(n > 0 && n <= (int)room);
        reply_text(r, (size_t)n);
        munmap((void *)((uintptr_t)r & ~(uintptr_t)4095), 4096);
    }
    EQ(xk_dns_answer(s, ask_reply, 12, ask_reply, 511, 0), XK_EMSGSIZE);
    xk_dns_server_destroy(s);
}

/* --- malformed queries -------------------------------------------------------------------------------------------- */

static int rcode_of(struct xk_dns_server *s, const uint8_t *q, size_t n)
{
    static uint8_t r[1232];
    uint8_t *p = guarded(n);
    int len;

    memcpy(p, q, n);
    len = xk_dns_answer(s, p, n, r, sizeof(r), XK_DNS_UDP);
    munmap((void *)((uintptr_t)p & ~(uintptr_t)4095), n ? 8192 : 4096);
    if (len == 0)
        return -1;
    OK(len >= XK_DNS_HEADER);
    OK(r[2] & 0x80);
    EQ(r[2] & 0x78, q[2] & 0x78);
    MEMEQ(r, q, 2);
    reply_text(r, (size_t)len);
    return r[3] & 15;
}

TEST(every_cut_of_a_query)
{
    struct xk_dns_server *s = serve(NULL, zone);
    uint8_t q[512];
    int n = xk_dns_query_write(q, sizeof(q), 99, 0, "a.b.ent.example.", XK_DNS_A, 1232, 1);

    for (int cut = 1; cut < n; cut++)
        EQ(rcode_of(s, q, (size_t)cut), cut < XK_DNS_HEADER ? -1 : XK_DNS_FORMERR);
    EQ(rcode_of(s, q, (size_t)n), XK_DNS_NOERROR);
    q[n] = 0;
    EQ(rcode_of(s, q, (size_t)n + 1), XK_DNS_FORMERR); /* nor may anything follow */
    xk_dns_server_destroy(s);
}

TEST(queries_that_are_none)
{
    struct xk_dns_server *s = serve(NULL, zone);
    struct xk_dns_stats st;
    uint8_t q[512];
    int n = xk_dns_query_write(q, sizeof(q), 99, 0, "web.example.", XK_DNS_A, 0, 0);

#define CHANGED(at, to, want)                \
    do {                                     \
        uint8_t keep = q[at];                \
        q[at] = (to);                        \
        EQ(rcode_of(s, q, (size_t)n), want); \
        q[at] = keep;                        \
    } while (0)
    CHANGED(2, 0x80, -1);            /* a response */
    CHANGED(2, 0x28, XK_DNS_NOTIMP); /* UPDATE */
    CHANGED(2, 0x20, XK_DNS_NOTIMP); /* NOTIFY */
    CHANGED(5, 0, XK_DNS_FORMERR);   /* QDCOUNT */
    CHANGED(5, 2, XK_DNS_FORMERR);
    CHANGED(4, 1, XK_DNS_FORMERR);
    CHANGED(7, 1, XK_DNS_FORMERR);       /* ANCOUNT */
    CHANGED(9, 1, XK_DNS_FORMERR);       /* NSCOUNT */
    CHANGED(11, 1, XK_DNS_FORMERR);      /* ARCOUNT without a record */
    CHANGED(12, 0xc0, XK_DNS_FORMERR);   /* a pointer in the question */
    CHANGED(12, 0x40, XK_DNS_FORMERR);   /* a label of no known kind */
    CHANGED(12, 63, XK_DNS_FORMERR);     /* past the end */
    CHANGED(n - 1, 3, XK_DNS_REFUSED);   /* CHAOS */
    CHANGED(n - 1, 255, XK_DNS_NOERROR); /* any class */
    CHANGED(n - 3, 251, XK_DNS_REFUSED); /* IXFR */
    CHANGED(n - 3, 249, XK_DNS_NOTIMP);  /* TKEY */
#undef CHANGED
    n = xk_dns_query_write(q, sizeof(q), 99, 0, "web.example.", XK_DNS_A, 1232, 0);
    memcpy(q + n, q + n - 11, 11); /* two OPT */
    q[11] = 2;
    EQ(rcode_of(s, q, (size_t)n + 11), XK_DNS_FORMERR);
    q[n + 2] = 250; /* a TSIG after OPT is passed over */
    EQ(rcode_of(s, q, (size_t)n + 11), XK_DNS_NOERROR);
    xk_dns_server_stats(s, &st);
    EQ(st.dropped, 1);
    EQ(st.queries, 18);
    EQ(st.rcode[XK_DNS_FORMERR], 10);
    EQ(st.rcode[XK_DNS_NOTIMP], 3);
    xk_dns_server_destroy(s);
}

TEST(the_longest_name_is_answered)
{
    char name[512] = "";
    struct xk_dns_server *s;

    for (int i = 0; i < 126; i++)
        strcat(name, "a.");
    strcat(name, "o.");
    s = serve("o", "@ 60 SOA a b 1 2 3 4 5\n@ NS a\n* MX 5 @\n");
    OK(strstr(ask_with(s, name, "MX", 512, 0), "NOERROR aa\nAN a.a.a."));
    OK(strstr(ask_with(s, name, "A", 512, 0), "NOERROR aa\nNS o. 5 SOA"));
    xk_dns_server_destroy(s);
}

TEST(the_root_zone)
{
    struct xk_dns_server *s = serve(".", "@ 60 SOA a. b. 1 2 3 4 5\n@ NS a.\na. A 1.1.1.1\norg. NS ns.org.\n");

    STREQ(ask(s, ".", "NS"), "NOERROR aa\nAN . 60 NS a.\nAR a. 60 A 1.1.1.1\n");
    STREQ(ask(s, "x.org.", "A"), "NOERROR\nNS org. 60 NS ns.org.\n");
    STREQ(ask(s, "x.com.", "A"), "NXDOMAIN aa\nNS . 5 SOA a. b. 1 2 3 4 5\n");
    STREQ(ask(s, ".", "A"), "NOERROR aa\nNS . 5 SOA a. b. 1 2 3 4 5\n");
    xk_dns_server_destroy(s);
}

TEST(owners_point_to_the_question)
{
    struct xk_dns_server *s = serve(NULL, zone);

    ask(s, "WeB.eXaMpLe.", "A");
    for (int round = 0; round < 2; round++) {
        EQ(ask_length, 12 + 17 + 2 * 16);
        MEMEQ(ask_reply + 12, "\3WeB\7eXaMpLe\0", 13);
        MEMEQ(ask_reply + 29, "\300\014\0\1\0\1\0\0\0\74\0\4\300\0\2\3\300\014", 18);
        ask(s, "WeB.eXaMpLe.", "A");
    }
    /* host.example. of the SOA shares example. with the question */
    ask(s, "nx.example.", "A");
    EQ(ask_length, 12 + 16 + 2 + 10 + 6 + 7 + 20);
    xk_dns_server_destroy(s);
}

/* --- cache -------------------------------------------------------------------------------------------------------- */

static struct xk_dns_stats stats_of(const struct xk_dns_server *s)
{
    struct xk_dns_stats st;
    xk_dns_server_stats(s, &st);
    return st;
}

TEST(hits_are_counted_and_whole)
{
    struct xk_dns_server *s = serve(NULL, zone);
    uint8_t first[1232];
    int n;

    ask_with(s, "www.example.", "A", 1232, 1);
    n = ask_length;
    memcpy(first, ask_reply, (size_t)n);
    EQ(stats_of(s).cache_hits, 0);
    ask_with(s, "www.example.", "A", 1232, 1);
    EQ(stats_of(s).cache_hits, 1);
    EQ(ask_length, n);
    MEMEQ(ask_reply, first, n);
    ask_with(s, "wWw.example.", "A", 512, 1); /* the same but for the case, and it fits */
    EQ(stats_of(s).cache_hits, 2);
    MEMEQ(ask_reply + 12, "\3wWw", 4);
    ask_with(s, "www.example.", "A", 1232, 0);
    ask_with(s, "www.example.", "MX", 1232, 1);
    EQ(stats_of(s).cache_hits, 2);
    EQ(stats_of(s).rcode[0], 5);
    xk_dns_server_flush(s);
    EQ(stats_of(s).cache_bytes, 0);
    ask_with(s, "www.example.", "A", 1232, 1);
    EQ(stats_of(s).cache_hits, 2);
    xk_dns_server_destroy(s);
}

TEST(what_strangers_make_up_is_kept_the_second_time_only)
{
    struct xk_dns_server *s = serve(NULL, zone);

    ask(s, "nx.example.", "A");
    EQ(stats_of(s).cache_stores, 0);
    ask(s, "nx.example.", "A");
    EQ(stats_of(s).cache_stores, 1);
    ask(s, "nx.example.", "A");
    EQ(stats_of(s).cache_hits, 1);
    xk_dns_server_destroy(s);
}

TEST(the_cache_is_bounded_and_right_when_it_is_full)
{
    struct xk_dns_server_opts opts = {{1, 2}, 16384, 0};
    char *text = malloc(1 << 17), *p = text + sprintf(text, "@ 60 SOA a b 1 2 3 4 5\n@ NS a\n");
    struct xk_dns_server *s;
    struct xk_dns_zone *z;
    unsigned long seed = 5;

    for (int i = 0; i < 1500; i++)
        p += sprintf(p, "h%d A 10.0.%d.%d\n", i, i >> 8, i & 255);
    z = load_zone("o", text);
    EQ(xk_dns_server_create(NULL, &opts, &s), 0);
    EQ(xk_dns_server_set_zone(s, z), 0);
    xk_dns_zone_unref(z);
    for (int i = 0; i < 50000; i++) {
        char name[32], want[96];
        int k;
        seed = seed * 6364136223846793005ul + 1;
        k = (int)((seed >> 33) % 40 * (seed >> 50) % 1500);
        sprintf(name, "h%d.o.", k);
        sprintf(want, "NOERROR aa\nAN h%d.o. 60 A 10.0.%d.%d\n", k, k >> 8, k & 255);
        STREQ(ask(s, name, "A"), want);
        OK(stats_of(s).cache_bytes <= stats_of(s).cache_max);
    }
    OK(stats_of(s).cache_max <= 16384 + 64);
    OK(stats_of(s).cache_hits > 1000 && stats_of(s).cache_misses > 1000);
    xk_dns_server_destroy(s);
    free(text);
}

TEST(no_cache_at_all)
{
    struct xk_dns_server_opts opts = {{1, 2}, 1, 0};
    struct xk_dns_zone *z = load_zone(NULL, zone);
    struct xk_dns_server *s;

    EQ(xk_dns_server_create(NULL, &opts, &s), 0);
    EQ(xk_dns_server_set_zone(s, z), 0);
    xk_dns_zone_unref(z);
    for (int i = 0; i < 3; i++)
        STREQ(ask(s, "ns1.example.", "A"), "NOERROR aa\nAN ns1.example. 60 A 192.0.2.1\n");
    EQ(stats_of(s).cache_hits, 0);
    EQ(stats_of(s).cache_max, 0);
    xk_dns_server_destroy(s);
    opts.udp_max = 511;
    EQ(xk_dns_server_create(NULL, &opts, &s), XK_EINVAL);
}

/* --- several zones ------------------------------------------------------------------------------------------------ */

TEST(the_longest_apex_answers)
{
    struct xk_dns_server *s = serve(NULL, zone);
    struct xk_dns_zone *z = load_zone("sub.example.", "@ 9 SOA a b 1 2 3 4 5\n@ NS a\nh A 5.5.5.5\n");

    EQ(xk_dns_server_set_zone(s, z), 0);
    xk_dns_zone_unref(z);
    STREQ(ask(s, "h.sub.example.", "A"), "NOERROR aa\nAN h.sub.example. 9 A 5.5.5.5\n");
    STREQ(ask(s, "nx.sub.example.", "A"),
          "NXDOMAIN aa\nNS sub.example. 5 SOA a.sub.example. b.sub.example. 1 2 3 4 5\n");
    STREQ(ask(s, "sub.example.", "DS"), "NOERROR aa\nAN sub.example. 60 DS 1 8 2 00\n"); /* the parent's */
    STREQ(ask(s, "web.example.", "TXT"), "NOERROR aa\nAN web.example. 60 TXT \"hello\"\n");
    for (int i = 0; i < 100; i++) {
        char apex[32];
        sprintf(apex, "z%d.", i);
        z = load_zone(apex, "@ 9 SOA a b 1 2 3 4 5\n@ NS a\nh A 6.6.6.6\n");
        EQ(xk_dns_server_set_zone(s, z), 0);
        xk_dns_zone_unref(z);
    }
    EQ(stats_of(s).zones, 102);
    STREQ(ask(s, "h.z77.", "A"), "NOERROR aa\nAN h.z77. 9 A 6.6.6.6\n");
    EQ(xk_dns_server_drop_zone(s, "Z77."), 0);
    EQ(xk_dns_server_drop_zone(s, "sub.example."), 0);
    STREQ(ask(s, "h.z77.", "A"), "REFUSED\n");
    STREQ(ask(s, "h.z78.", "A"), "NOERROR aa\nAN h.z78. 9 A 6.6.6.6\n");
    OK(strstr(ask(s, "h.sub.example.", "A"), "NS ns.sub.example."));
    xk_dns_server_destroy(s);
}

/* --- hook --------------------------------------------------------------------------------------------------------- */

struct script {
    int calls, give, add_bad;
    unsigned stage, rcode, cache;
    const char *text;
    char name[64];
    unsigned type;
};

static int hook(void *arg, const struct xk_dns_hook_question *q, struct xk_dns_hook *h)
{
    struct script *s = arg;

    s->calls++;
    s->stage = q->stage;
    s->type = q->type;
    strcpy(s->name, q->name);
    if (s->text)
        s->add_bad = xk_dns_hook_add(h, q->type, 7, s->text, strlen(s->text), NULL);
    if (s->rcode)
        xk_dns_hook_rcode(h, s->rcode);
    if (s->cache)
        xk_dns_hook_cache(h);
    return s->give;
}

TEST(a_hook_before)
{
    struct xk_dns_server *s = serve(NULL, zone);
    struct script k = {0};
    uint8_t q[64];
    int n;

    xk_dns_server_set_hook(s, hook, &k, XK_DNS_HOOK_BEFORE);
    STREQ(ask(s, "NS1.example.", "A"), "NOERROR aa\nAN NS1.example. 60 A 192.0.2.1\n");
    EQ(k.calls, 1);
    EQ(k.stage, XK_DNS_HOOK_BEFORE);
    EQ(k.type, 1);
    STREQ(k.name, "ns1.example.");
    ask(s, "ns1.example.", "A"); /* passed, so cached, so not asked again */
    EQ(k.calls, 1);
    k.give = XK_DNS_HOOK_ANSWER;
    k.text = "10.1.1.1";
    STREQ(ask(s, "dyn.example.", "A"), "NOERROR aa\nAN dyn.example. 7 A 10.1.1.1\n");
    STREQ(ask_with(s, "dyn.nowhere.", "A", 512, 0), "NOERROR aa\nAN dyn.nowhere. 7 A 10.1.1.1\nOPT 1232\n");
    ask(s, "dyn.example.", "A");
    EQ(k.calls, 4);
    k.cache = 1;
    ask(s, "dyn.example.", "A");
    STREQ(ask(s, "dyn.example.", "A"), "NOERROR aa\nAN dyn.example. 7 A 10.1.1.1\n");
    EQ(k.calls, 5);
    k.text = NULL;
    STREQ(ask(s, "dyn.example.", "AAAA"), "NOERROR aa\n" SOA);
    k.rcode = XK_DNS_NXDOMAIN;
    STREQ(ask(s, "dyn.example.", "MX"), "NXDOMAIN aa\n" SOA);
    k.give = XK_EIO;
    STREQ(ask(s, "dyn2.example.", "MX"), "SERVFAIL\n");
    n = xk_dns_query_write(q, sizeof(q), 1, 0, "later.example.", XK_DNS_A, 0, 0);
    k.give = XK_EAGAIN;
    EQ(xk_dns_answer(s, q, (size_t)n, ask_reply, 512, 0), XK_EAGAIN);
    k.give = XK_DNS_HOOK_DROP;
    EQ(xk_dns_answer(s, q, (size_t)n, ask_reply, 512, 0), 0);
    EQ(stats_of(s).dropped, 1);
    EQ(stats_of(s).hook_calls, (unsigned)k.calls);
    xk_dns_server_destroy(s);
}

TEST(a_hook_after)
{
    struct xk_dns_server *s = serve(NULL, zone);
    struct script k = {0};

    xk_dns_server_set_hook(s, hook, &k, XK_DNS_HOOK_AFTER);
    ask(s, "web.example.", "A");
    ask(s, "web.example.", "AAAA");
    EQ(k.calls, 0);
    for (int i = 1; i < 5; i++) { /* NXDOMAIN that passed is not kept: the name may come to be */
        STREQ(ask(s, "vm.example.", "A"), "NXDOMAIN aa\n" SOA);
        EQ(k.calls, i);
    }
    k.give = XK_DNS_HOOK_ANSWER;
    k.text = "10.0.0.7";
    STREQ(ask(s, "vm.example.", "A"), "NOERROR aa\nAN vm.example. 7 A 10.0.0.7\n");
    STREQ(ask(s, "vm.nowhere.", "A"), "NOERROR aa\nAN vm.nowhere. 7 A 10.0.0.7\n");
    EQ(k.stage, XK_DNS_HOOK_AFTER);
    k.text = "10.0.0.777";
    ask(s, "vm.nowhere.", "A");
    EQ(k.add_bad, XK_EINVAL);
    xk_dns_server_set_hook(s, NULL, NULL, XK_DNS_HOOK_AFTER);
    STREQ(ask(s, "vm.nowhere.", "A"), "REFUSED\n");
    xk_dns_server_destroy(s);
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

TEST(a_message_cut_anywhere_is_an_error)
{
    struct xk_dns_server *s = serve(NULL, zone);
    struct xk_dns_msg m;
    struct xk_dns_rr rr;

    ask_with(s, "x.sub.example.", "A", 1232, 1);
    for (int cut = 1; cut < ask_length; cut++) {
        uint8_t *p = guarded((size_t)cut);
        int r;
        memcpy(p, ask_reply, (size_t)cut);
        r = xk_dns_msg_open(&m, p, (size_t)cut);
        EQ(r, cut < 12 ? XK_EPROTO : 0);
        if (r < 0)
            continue;
        while ((r = xk_dns_msg_next(&m, &rr)) == 1)
            ;
        EQ(r, XK_EPROTO);
        EQ(xk_dns_msg_next(&m, &rr), XK_EPROTO);
    }
    xk_dns_server_destroy(s);
}

TEST(queries_that_cannot_be_written)
{
    uint8_t q[32];

    EQ(xk_dns_query_write(q, sizeof(q), 1, 0, "a..b", 1, 0, 0), XK_EINVAL);
    EQ(xk_dns_query_write(q, sizeof(q), 1, 0, "aaaaaaaaaaaaaa.", 1, 0, 0), 32);
    EQ(xk_dns_query_write(q, sizeof(q), 1, 0, "aaaaaaaaaaaaaaa.", 1, 0, 0), XK_EMSGSIZE);
}
