/* SPDX-License-Identifier: MIT */
#include <xenkit/err.h>

#include "tests/c/tap.h"

TEST(names_and_texts)
{
    STREQ(xk_err_name(XK_ENOENT), "XK_ENOENT");
    STREQ(xk_err_name(7), "XK_OK");
    STREQ(xk_err_name(-9999), "XK_EUNKNOWN");
    STREQ(xk_err_text(XK_EPEER), "the peer broke the protocol");
    STREQ(xk_err_text(-9999), "unknown error");
}

TEST(codes_are_distinct)
{
    static const int codes[] = {
#define CODE(name, value, text) value,
        XK_ERR_MAP(CODE)
#undef CODE
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
        for (size_t j = 0; j < i; j++)
            OK(codes[i] != codes[j] && codes[i] < 0);
}

TEST(first_diagnosis_is_kept)
{
    struct xk_diag d = {0};

    EQ(xk_diag_set(&d, XK_EPROTO, 7, 3, "TTL '%s' is no number", "x"), XK_EPROTO);
    EQ(xk_diag_set(&d, XK_EIO, 1, 1, "later"), XK_EIO);
    EQ(d.line, 7);
    STREQ(d.text, "TTL 'x' is no number");
    EQ(xk_diag_set(NULL, XK_EIO, 0, 0, "nobody listens"), XK_EIO);
}
