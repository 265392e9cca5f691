/* SPDX-License-Identifier: MIT */
#include "tests/c/proto/test_dns_util.h"

TEST(text_and_wire)
{
    static const struct {
        const char *text, *wire, *back;
        int len;
    } cases[] = {
        {".", "\0", ".", 1},
        {"example.com.", "\7example\3com\0", "example.com.", 13},
        {"WWW.Example.", "\3WWW\7Example\0", "WWW.Example.", 13},
        {"a\\.b.c.", "\3a.b\1c\0", "a\\.b.c.", 7},
        {"a\\046b.", "\3a.b\0", "a\\.b.", 5},
        {"\\000\\255.", "\2\0\377\0", "\\000\\255.", 4},
        {"*.x.", "\1*\1x\0", "*.x.", 5},
        {"\\@.", "\1@\0", "\\@.", 3},
        {"@", "\3org\0", "org.", 5},
        {"a", "\1a\3org\0", "a.org.", 7},
        {"a.b", "\1a\1b\3org\0", "a.b.org.", 9},
        {"a\\.", "\2a.\3org\0", "a\\..org.", 8},
    };
    uint8_t out[XK_DNS_NAME_MAX];
    char text[XK_DNS_NAME_TEXT_MAX];

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        EQ(xk_dns_name_parse(out, cases[i].text, strlen(cases[i].text), (const uint8_t *)"\3org"), cases[i].len);
        MEMEQ(out, cases[i].wire, cases[i].len);
        EQ(xk_dns_name_text(out, text, sizeof(text)), (int)strlen(cases[i].back));
        STREQ(text, cases[i].back);
        EQ(xk_dns_name_text(out, text, strlen(cases[i].back)), XK_EMSGSIZE);
    }
}

TEST(text_that_is_no_name)
{
    static const char *const bad[] = {"", "..", ".a", "a..b", "a..", "\\", "a\\25", "a\\256", "a\\2x5"};
    uint8_t out[XK_DNS_NAME_MAX];

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        EQ(xk_dns_name_parse(out, bad[i], strlen(bad[i]), NULL), XK_EINVAL);
}

TEST(label_and_name_lengths)
{
    char text[600];
    uint8_t *out = guarded(XK_DNS_NAME_MAX);
    size_t n = 0;

    memset(text, 'a', sizeof(text));
    EQ(xk_dns_name_parse(out, text, 63, NULL), 65);
    EQ(xk_dns_name_parse(out, text, 64, NULL), XK_EINVAL);
    for (int i = 0; i < 3; i++, n += 64)
        text[n + 63] = '.';
    EQ(xk_dns_name_parse(out, text, n + 61, NULL), 255);
    EQ(xk_dns_name_parse(out, text, n + 62, NULL), XK_EINVAL);
    text[n + 61] = '.';
    EQ(xk_dns_name_parse(out, text, n + 62, NULL), 255);
    EQ(xk_dns_name_parse(out, text, n + 60, (const uint8_t *)"\1x"), XK_EINVAL);
    EQ(xk_dns_name_parse(out, text, n + 59, (const uint8_t *)"\1x"), 255);
    for (n = 0; n < 508; n += 2)
        memcpy(text + n, "a.", 2);
    EQ(xk_dns_name_parse(out, text, 254, NULL), 255);
    EQ(xk_dns_name_parse(out, text, 256, NULL), XK_EINVAL);
    /* every octet as \DDD is the longest text */
    for (n = 0; n < 255; n++)
        out[n] = n % 64 || n == 254 ? 7 : 63;
    out[192] = 61;
    out[254] = 0;
    EQ(xk_dns_name_text(out, text, sizeof(text)), XK_EMSGSIZE);
    {
        char all[XK_DNS_NAME_TEXT_MAX];
        EQ(xk_dns_name_text(out, all, sizeof(all)), 250 * 4 + 4);
    }
}

TEST(equal_without_case)
{
    EQ(xk_dns_name_equal((const uint8_t *)"\1a\1B", (const uint8_t *)"\1A\1b"), 1);
    EQ(xk_dns_name_equal((const uint8_t *)"\1a\1B", (const uint8_t *)"\1A\1c"), 0);
    EQ(xk_dns_name_equal((const uint8_t *)"\1a", (const uint8_t *)"\1a\1b"), 0);
    EQ(xk_dns_name_equal((const uint8_t *)"\1[", (const uint8_t *)"\1{"), 0);
    EQ(xk_dns_name_equal((const uint8_t *)"\1@", (const uint8_t *)"\1`"), 0);
}

TEST(reading_follows_pointers_backwards_only)
{
    /* 0: a.  3: b.a. by pointer  7: itself  9: forwards  11: a pointer to a pointer */
    static const uint8_t msg[] = {1, 'a', 0, 1, 'b', 0xc0, 0, 0xc0, 7, 0xc0, 11, 0xc0, 3, 0x40, 0, 0x80, 0, 1};
    static const struct {
        size_t at;
        int len;
        size_t after;
    } cases[] = {{0, 3, 3},          {3, 5, 7},          {7, XK_EPROTO, 0},  {9, XK_EPROTO, 0},  {11, 5, 13},
                 {13, XK_EPROTO, 0}, {15, XK_EPROTO, 0}, {17, XK_EPROTO, 0}, {18, XK_EPROTO, 0}, {99, XK_EPROTO, 0}};
    uint8_t *p = guarded(sizeof(msg)), out[XK_DNS_NAME_MAX];

    memcpy(p, msg, sizeof(msg));
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t pos = cases[i].at;
        EQ(xk_dns_name_read(p, sizeof(msg), &pos, out), cases[i].len);
        if (cases[i].len > 0)
            EQ(pos, cases[i].after);
    }
}

TEST(reading_caps_the_length)
{
    uint8_t msg[600], out[XK_DNS_NAME_MAX];
    size_t pos = 0, n = 0;

    for (int i = 0; i < 127; i++, n += 2)
        memcpy(msg + n, "\1x", 2);
    msg[n++] = 0;
    EQ(xk_dns_name_read(msg, n, &pos, out), 255);
    memcpy(msg + n, "\1y\300\0", 4); /* one label more than fits */
    pos = n;
    EQ(xk_dns_name_read(msg, n + 4, &pos, out), XK_EPROTO);
}
