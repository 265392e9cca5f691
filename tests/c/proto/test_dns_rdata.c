/* Record data from text to wire and back, type by type. SPDX-License-Identifier: MIT */
#include "tests/c/proto/test_dns_util.h"

struct vector {
    const char *type, *text, *wire; /* wire in hexadecimal */
    const char *back;               /* NULL: as text */
};

static const struct vector vectors[] = {
    {"A", "192.0.2.255", "c00002ff", NULL},
    {"NS", "ns.example.", "026e73076578616d706c6500", NULL},
    {"CNAME", "X", "015801 6f00", "X.o."},
    {"SOA", "a. b. 4294967295 1h 2m 3w 1d", "016100 016200 ffffffff 00000e10 00000078 001baf80 00015180",
     "a. b. 4294967295 3600 120 1814400 86400"},
    {"PTR", "@", "016f00", "o."},
    {"HINFO", "a \"b c\"", "0161 03622063", "\"a\" \"b c\""},
    {"MX", "10 mail", "000a 046d61696c 016f00", "10 mail.o."},
    {"MX", "0 .", "0000 00", NULL},
    {"TXT", "a \"b;(\\\"c\" \"\" \\255", "0161 05623b282263 00 01ff", "\"a\" \"b;(\\\"c\" \"\" \"\\255\""},
    {"AAAA", "2001:DB8::1", "20010db8000000000000000000000001", "2001:db8::1"},
    {"AAAA", "::", "00000000000000000000000000000000", NULL},
    {"AAAA", "1::", "00010000000000000000000000000000", NULL},
    {"AAAA", "::ffff:192.0.2.1", "00000000000000000000ffffc0000201", "::ffff:c000:201"},
    {"AAAA", "1:2:3:4:5:6:7:8", "00010002000300040005000600070008", NULL},
    {"AAAA", "1:0:0:4:0:0:0:8", "00010000000000040000000000000008", "1:0:0:4::8"},
    {"SRV", "1 2 65535 t.", "00010002ffff 017400", NULL},
    {"NAPTR", "100 50 \"s\" \"z3950+N2L\" \"\" _x", "0064 0032 0173 097a333935302b4e324c 00 025f78016f00",
     "100 50 \"s\" \"z3950+N2L\" \"\" _x.o."},
    {"DNAME", "d.", "016400", NULL},
    {"DS", "60485 5 1 2BB183AF 5F22588179A53B0A 98631FAD1A292118",
     "ec45 05 01 2bb183af5f22588179a53b0a98631fad1a292118", "60485 5 1 2bb183af5f22588179a53b0a98631fad1a292118"},
    {"SSHFP", "4 2 0aff", "04 02 0aff", NULL},
    {"DNSKEY", "257 3 13 AQID BA==", "0101 03 0d 01020304", "257 3 13 AQIDBA=="},
    {"TLSA", "3 1 1 abcd", "03 01 01 abcd", NULL},
    {"CAA", "0 issue \"ca.example; x=y\"", "00 056973737565 63612e6578616d706c653b20783d79", NULL},
    {"CAA", "128 iodef \"\"", "80 05696f646566", NULL},
    {"URI", "10 1 \"https://e/\"", "000a 0001 68747470733a2f2f652f", NULL},
    {"HTTPS", "1 . port=8443 alpn=h2,h3", "0001 00 0001 0006 026832 026833 0003 0002 20fb",
     "1 . alpn=\"h2,h3\" port=8443"},
    {"HTTPS", "0 t.", "0000 017400", NULL},
    {"SVCB", "16 f. mandatory=ipv4hint,alpn alpn=\"h2\" ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=::1",
     "0010 016600 0000 0004 0001 0004 0001 0003 026832 0004 0008 c0000201 c0000202 0006 0010 "
     "00000000000000000000000000000001",
     "16 f. mandatory=alpn,ipv4hint alpn=\"h2\" ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=::1"},
    {"SVCB", "1 f. key667=\"hello\\210qoo\"", "0001 016600 029b 0009 68656c6c6fd2716f6f", NULL}, /* RFC 9460 D.2 */
    {"SVCB", "16 f. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"", "0010 016600 0001 000c 08665c6f6f2c626172 026832", NULL},
    {"SVCB", "1 f. no-default-alpn ech=AQID", "0001 016600 0002 0000 0005 0003 010203", NULL},
    {"TYPE731", "\\# 6 abcd ef 01 23 45", "abcdef012345", "\\# 6 abcdef012345"},
    {"TYPE62347", "\\# 0", "", NULL},
    {"A", "\\# 4 0A000001", "0a000001", "10.0.0.1"},
};

static size_t from_hex(const char *s, uint8_t *out)
{
    size_t n = 0;
    unsigned v;

    for (; *s; s++)
        if (*s != ' ') {
            EQ(sscanf(s, "%2x", &v), 1);
            out[n++] = (uint8_t)v;
            s++;
        }
    return n;
}

TEST(every_type_to_wire_and_back)
{
    for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const struct vector *v = &vectors[i];
        uint8_t want[512], got[512], again[512];
        char text[1024];
        size_t n = from_hex(v->wire, want);
        struct xk_diag d = {0, 0, 0, ""};
        struct xk_dns_msg m = {got, 0, 0, 0, 0, {0}, 0, 0};
        struct xk_dns_rr rr;
        int type = xk_dns_type_parse(v->type, strlen(v->type)), r;

        r = xk_dns_rdata_parse((unsigned)type, v->text, strlen(v->text), (const uint8_t *)"\1o", got, sizeof(got), &d);
        if (r != (int)n)
            TAP_FAIL("%s %s: %d, wanted %zu; %s", v->type, v->text, r, n, d.text);
        MEMEQ(got, want, n);
        m.len = n;
        memset(&rr, 0, sizeof(rr));
        rr.section = XK_DNS_ANSWER;
        rr.type = (uint16_t)type;
        rr.rdata_len = n;
        OK(xk_dns_rr_text(&m, &rr, text, sizeof(text)) >= 0);
        STREQ(text, v->back ? v->back : v->text);
        EQ(xk_dns_rr_text(&m, &rr, text, strlen(text)), XK_EMSGSIZE);
        OK(xk_dns_rr_text(&m, &rr, text, sizeof(text)) >= 0);
        EQ(xk_dns_rdata_parse((unsigned)type, text, strlen(text), NULL, again, sizeof(again), &d), (int)n);
        MEMEQ(again, want, n);
        for (size_t room = 0; room < n; room++) { /* never past the room it has */
            uint8_t *tight = guarded(room);
            OK(xk_dns_rdata_parse((unsigned)type, v->text, strlen(v->text), (const uint8_t *)"\1o", tight, room, NULL) <
               0);
        }
    }
}

TEST(data_that_is_wrong)
{
    static const char *const bad[][2] = {
        {"A", "1.2.3"},
        {"A", "1.2.3.256"},
        {"A", "1.2.3.4.5"},
        {"A", "1.2.3.4 5"},
        {"A", "01234.1.1.1"},
        {"A", ""},
        {"A", "\"1.2.3.4\""},
        {"AAAA", ":1"},
        {"AAAA", "1:"},
        {"AAAA", "1::2::3"},
        {"AAAA", "1:2:3:4:5:6:7"},
        {"AAAA", "1:2:3:4:5:6:7:8:9"},
        {"AAAA", "12345::"},
        {"AAAA", "1:2:3:4:5:6:7::8"},
        {"AAAA", "::1.2.3"},
        {"AAAA", "1:2:3:4:5:6:7:1.2.3.4"},
        {"MX", "mail.o."},
        {"MX", "65536 mail.o."},
        {"MX", "1"},
        {"NS", "a..b."},
        {"SOA", "a. b. 1 2 3 4"},
        {"SOA", "a. b. 1 2 3 4 5 6"},
        {"SOA", "a. b. 1h 2 3 4 5"},
        {"TXT", ""},
        {"TXT", "\"a"},
        {"CAA", "0 is-sue x"},
        {"CAA", "256 issue x"},
        {"DS", "1 2 3"},
        {"DS", "1 2 3 abc"},
        {"DS", "1 2 3 xy"},
        {"DNSKEY", "1 3 5 A"},
        {"DNSKEY", "1 3 5 A==="},
        {"HTTPS", "1 . port=65536"},
        {"HTTPS", "1 . port=1 port=2"},
        {"HTTPS", "1 . nothing=1"},
        {"HTTPS", "1 . alpn=,"},
        {"HTTPS", "1 . alpn=a\\\\"},
        {"HTTPS", "1 . key65535=x"},
        {"HTTPS", "1 . no-default-alpn=x"},
        {"HTTPS", "1 . mandatory=mandatory"},
        {"TYPE731", "abcd"},
        {"TYPE731", "\\# 3 abcd"},
        {"TYPE731", "\\# x"},
        {"A", "\\# 3 abcdef"},
        {"NS", "\\# 2 c000"},
        {"RRSIG", "A 5 3 86400"},
    };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t out[512];
        struct xk_diag d = {0, 0, 0, ""};
        int r = xk_dns_rdata_parse((unsigned)xk_dns_type_parse(bad[i][0], strlen(bad[i][0])), bad[i][1],
                                   strlen(bad[i][1]), (const uint8_t *)"\1o", out, sizeof(out), &d);
        if (r != XK_EINVAL || d.err != XK_EINVAL || d.line != 1 || !d.column || !strstr(d.text, "expected"))
            TAP_FAIL("%s %s: %d, %u:%u %s", bad[i][0], bad[i][1], r, d.line, d.column, d.text);
    }
}

TEST(malformed_data_in_a_message_is_no_text)
{
    static const struct {
        const char *type, *wire;
    } bad[] = {{"A", "010203"},
               {"A", "0102030405"},
               {"NS", "0161"},
               {"NS", "c000"},
               {"MX", "00"},
               {"TXT", ""},
               {"TXT", "0261"},
               {"SOA", "000000"},
               {"HTTPS", "0001000001"},
               {"HTTPS", "00010000010000"},
               {"HTTPS", "0001000003000220fb00010003026832"},
               {"CAA", "00ff41"}};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t wire[64];
        char text[256];
        size_t n = from_hex(bad[i].wire, wire);
        uint8_t *p = guarded(n);
        struct xk_dns_msg m = {p, n, 0, 0, 0, {0}, 0, 0};
        struct xk_dns_rr rr;

        memcpy(p, wire, n);
        memset(&rr, 0, sizeof(rr));
        rr.section = XK_DNS_ANSWER;
        rr.type = (uint16_t)xk_dns_type_parse(bad[i].type, strlen(bad[i].type));
        rr.rdata_len = n;
        if (xk_dns_rr_text(&m, &rr, text, sizeof(text)) != XK_EPROTO)
            TAP_FAIL("%s %s gave a text", bad[i].type, bad[i].wire);
    }
}

TEST(type_names)
{
    char text[16];

    EQ(xk_dns_type_parse("aaaa", 4), 28);
    EQ(xk_dns_type_parse("TYPE65535", 9), 65535);
    EQ(xk_dns_type_parse("TYPE65536", 9), XK_EINVAL);
    EQ(xk_dns_type_parse("AA", 2), XK_EINVAL);
    EQ(xk_dns_type_parse("", 0), XK_EINVAL);
    EQ(xk_dns_type_parse("any", 3), 255);
    EQ(xk_dns_type_text(257, text, sizeof(text)), 3);
    STREQ(text, "CAA");
    EQ(xk_dns_type_text(65280, text, 12), 9);
    STREQ(text, "TYPE65280");
    EQ(xk_dns_type_text(65280, text, 9), XK_EMSGSIZE);
    STREQ(xk_dns_rcode_text(XK_DNS_NXDOMAIN), "NXDOMAIN");
    OK(!xk_dns_rcode_text(99));
}
