/* IPv6 addresses in tests; two stacks with one each. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_NET_STACKS6_H
#define XK_TESTS_NET_STACKS6_H

#include "tests/c/net/stacks.h"

static inline struct xk_ip ip(const char *text)
{
    struct xk_ip out;

    EQ(xk_ip_read(text, &out), 0);
    return out;
}

static inline const char *text_of(struct xk_ip address)
{
    static char text[4][XK_IP_TEXT];
    static int turn;

    xk_ip_write(address, text[++turn % 4]);
    return text[turn % 4];
}

#define IPEQ(got, want) STREQ(text_of(got), want)

static inline int state_of(const struct xk_inet *s, const char *text)
{
    struct xk_inet6_address own;

    for (unsigned i = 0; xk_inet6_address(s, i, &own) == 0; i++)
        if (xk_ip_equal(own.ip, ip(text)))
            return own.state;
    return -1;
}

static inline void both(void)
{
    open_net(1);
    EQ(xk_inet6_start(a, 0), 0);
    EQ(xk_inet6_start(b, 0), 0);
    pass(3 * XK_SECOND);
    got_n = got_count = 0;
}

#define LOCAL_A "fe80::ff:fe00:1"
#define LOCAL_B "fe80::ff:fe00:2"

#endif
