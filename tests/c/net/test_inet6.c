/* IPv6, two stacks back to back, in virtual time. SPDX-License-Identifier: MIT */
#include "tests/c/tap.h"

#include "tests/c/net/stacks6.h"

/* --- addresses ---------------------------------------------------------------------------------------------------- */

TEST(addresses_are_read_in_all_forms_and_written_in_one)
{
    static const char *const good[][2] = {
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"fe80::1", "fe80::1"},
        {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"}, /* RFC 5952 4.2.3: the first of two */
        {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* 4.2.2: one word alone is no row */
        {"2001:0db8::0001", "2001:db8::1"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"64:ff9b::10.0.0.1", "64:ff9b::a00:1"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"::ffff:10.0.0.1", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1"},
    };
    static const char *const bad[] = {"",
                                      ":",
                                      ":::",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:6:7:8:9",
                                      "1:2:3:4:5:6:7:8:",
                                      ":1:2:3:4:5:6:7:8",
                                      "1::2::3",
                                      "12345::",
                                      "g::",
                                      "1:2:3:4:5:6:7::8:",
                                      "1.2.3.4::",
                                      "::1.2.3",
                                      "::1.2.3.4:1",
                                      "fe80::1%e",
                                      "::1 ",
                                      "1:2:3:4::5:6:7:8",
                                      "1:2:3:4:5:6:7:1.2.3.4"};
    struct xk_ip out;

    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        IPEQ(ip(good[i][0]), good[i][1]);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (xk_ip_read(bad[i], &out) != XK_EINVAL)
            TAP_FAIL("'%s' was read", bad[i]);
    EQ(xk_ip_common(ip("fd00::"), ip("fd00::1")), 127);
    EQ(xk_ip_common(ip("fd00::"), ip("7d00::")), 0);
    EQ(xk_ip_common(ip("::1"), ip("::1")), 128);
}

TEST(an_address_is_used_when_nobody_objected)
{
    struct xk_inet6_address own;

    open_net(1);
    EQ(xk_inet6_add(a, ip("fd00::1"), 64), XK_ENODEV);
    EQ(xk_inet6_start(a, 0), 0);
    EQ(xk_inet6_start(a, 0), XK_EBUSY);
    EQ(xk_inet6_address(a, 0, &own), 0);
    IPEQ(own.ip, LOCAL_A);
    EQ(own.state, XK_INET6_TENTATIVE);
    EQ(own.valid, UINT32_MAX);
    EQ(xk_inet6_address(a, 1, &own), XK_ENOENT);
    pass(2 * XK_SECOND + XK_MS);
    EQ(state_of(a, LOCAL_A), XK_INET6_PREFERRED);
    EQ(xk_inet6_add(a, ip("fd00::1"), 64), 0);
    EQ(xk_inet6_add(a, ip("fd00::1"), 64), XK_EEXIST);
    EQ(xk_inet6_add(a, ip("ff02::1"), 64), XK_EINVAL);
    EQ(xk_inet6_add(a, ip("::"), 64), XK_EINVAL);
    EQ(xk_inet6_add(a, ip("::1"), 64), XK_EINVAL);
    EQ(xk_inet6_add(a, ip("10.0.0.1"), 24), XK_EINVAL);
    EQ(xk_inet6_add(a, ip("fd00::2"), 129), XK_EINVAL);
    pass(3 * XK_SECOND);
    EQ(state_of(a, "fd00::1"), XK_INET6_PREFERRED);
    EQ(xk_inet6_start(b, 0), 0);
    EQ(xk_inet6_add(b, ip("fd00::1"), 64), 0); /* a has it */
    pass(3 * XK_SECOND);
    EQ(state_of(b, "fd00::1"), XK_INET6_DUPLICATE);
    EQ(state_of(a, "fd00::1"), XK_INET6_PREFERRED);
    EQ(xk_inet6_remove(b, ip("fd00::1")), 0);
    EQ(xk_inet6_remove(b, ip("fd00::1")), XK_ENOENT);
    EQ(xk_inet6_remove(a, ip("fd00::1")), 0);
    EQ(xk_inet6_add(a, ip("fd00::3"), 64), 0); /* both at the same time: neither gets it, or one */
    EQ(xk_inet6_add(b, ip("fd00::3"), 64), 0);
    pass(3 * XK_SECOND);
    OK((state_of(a, "fd00::3") == XK_INET6_DUPLICATE) + (state_of(b, "fd00::3") == XK_INET6_DUPLICATE) >= 1);
    close_net();
}

/* A front end does not know its address before it is connected. */
TEST(an_address_is_made_of_the_devices_when_that_is_known)
{
    open_net(0);
    memset(cable[0]->info.mac, 0, 6);
    cable[0]->info.up = 0;
    EQ(xk_inet6_start(a, 0), 0);
    EQ(xk_inet6_add(a, ip("fd00::1"), 64), 0);
    pass(3 * XK_SECOND);
    EQ(state_of(a, "fd00::1"), XK_INET6_TENTATIVE);
    memcpy(cable[0]->info.mac, macs[0], 6);
    cable[0]->info.up = 1;
    cable[0]->changed(cable[0]);
    pass(3 * XK_SECOND);
    EQ(state_of(a, LOCAL_A), XK_INET6_PREFERRED);
    EQ(state_of(a, "fd00::1"), XK_INET6_PREFERRED);
    memcpy(cable[0]->info.mac, macs[1], 6);
    cable[0]->changed(cable[0]);
    pass(3 * XK_SECOND);
    EQ(state_of(a, LOCAL_A), -1);
    EQ(state_of(a, LOCAL_B), XK_INET6_PREFERRED);
    EQ(state_of(a, "fd00::1"), XK_INET6_PREFERRED);
    close_net();
}

TEST(sixteen_addresses_are_all_there_is_room_for)
{
    struct xk_inet_stats s;
    char text[XK_IP_TEXT];

    open_net(0);
    EQ(xk_inet6_start(a, 0), 0);
    for (int i = 1; i <= 15; i++) {
        snprintf(text, sizeof(text), "fd00::%d", i);
        EQ(xk_inet6_add(a, ip(text), 64), 0);
    }
    EQ(xk_inet6_add(a, ip("fd00::99"), 64), XK_EMFILE);
    xk_inet_stats(a, &s);
    EQ(s.no_room, 1);
    close_net();
}

/* --- datagrams ---------------------------------------------------------------------------------------------------- */

TEST(datagrams_of_all_lengths_go_there_and_back)
{
    static uint8_t data[XK_UDP_MAX];
    static const size_t sizes[] = {0, 1, 7, 1451, 1452, 1453, 2952, 9000, 30001, XK_UDP_MAX};
    struct xk_udp x = {.receive = on_datagram}, y = {.receive = on_echo};
    struct xk_inet_stats s;

    both();
    EQ(xk_udp_open(a, &x, 0), 0);
    EQ(xk_udp_open(b, &y, 7), 0);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 13 + (i >> 9));
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        EQ(xk_udp_send(&x, ip(LOCAL_B), 7, data, sizes[i]), 0);
        pass(XK_MS);
        EQ(got_count, i + 1);
        EQ(got_n, sizes[i]);
        IPEQ(got_from, LOCAL_B);
        IPEQ(got_to, LOCAL_A);
        EQ(got_port, 7);
        MEMEQ(got, data, sizes[i]);
    }
    xk_inet_stats(b, &s);
    EQ(s.bad + s.lost + s.no_room, 0);
    EQ(s.reassembled, 5);
    xk_udp_close(&x);
    xk_udp_close(&y);
    close_net();
}

TEST(both_versions_share_a_socket)
{
    struct xk_udp x = {.receive = on_datagram}, y = {.receive = on_echo};

    both();
    EQ(xk_inet_set(a, 0x0a000001, 24, 0), 0);
    EQ(xk_inet_set(b, 0x0a000002, 24, 0), 0);
    EQ(xk_udp_open(a, &x, 0), 0);
    EQ(xk_udp_open(b, &y, 7), 0);
    EQ(xk_udp_send(&x, ip("10.0.0.2"), 7, "four", 4), 0);
    pass(XK_MS);
    IPEQ(got_from, "10.0.0.2");
    EQ(xk_udp_send(&x, ip(LOCAL_B), 7, "six", 3), 0);
    pass(XK_MS);
    IPEQ(got_from, LOCAL_B);
    EQ(got_count, 2);
    xk_udp_close(&x);
    xk_udp_close(&y);
    close_net();
}

TEST(nothing_is_said_before_an_address_is_sure)
{
    struct xk_udp x = {.receive = on_datagram};
    struct xk_ping p = {.done = on_pong};

    open_net(1);
    EQ(xk_udp_open(a, &x, 0), 0);
    EQ(xk_udp_send(&x, ip(LOCAL_B), 7, "x", 1), XK_EGONE);
    EQ(xk_inet6_start(a, 0), 0);
    EQ(xk_udp_send(&x, ip(LOCAL_B), 7, "x", 1), XK_EGONE);
    EQ(xk_ping_start(a, &p, ip(LOCAL_B), 0, xk_now(dom) + XK_SECOND), XK_EGONE);
    EQ(p.s == NULL, 1);
    pass(3 * XK_SECOND);
    EQ(xk_udp_send(&x, ip(LOCAL_B), 7, "x", 1), 0);
    EQ(xk_udp_send(&x, ip("fd00::1"), 7, "x", 1), XK_EGONE); /* no way */
    EQ(xk_udp_send(&x, ip(LOCAL_A), 7, "x", 1), XK_EGONE);   /* that is ourselves */
    EQ(xk_inet6_gateway(a, ip(LOCAL_B)), 0);
    EQ(xk_udp_send(&x, ip("fd00::1"), 7, "x", 1), 0);
    EQ(xk_inet6_gateway(a, ip("::")), 0);
    EQ(xk_inet6_gateway(a, ip("ff02::1")), XK_EINVAL);
    EQ(xk_udp_send(&x, ip("fd00::1"), 7, "x", 1), XK_EGONE);
    xk_udp_close(&x);
    close_net();
}

TEST(echoes_and_refusals)
{
    struct xk_ping p = {.done = on_pong};
    struct xk_udp x = {.receive = on_datagram, .failed = on_failed};
    struct xk_inet_stats s;

    both();
    pings = failures = 0;
    EQ(xk_ping_start(a, &p, ip(LOCAL_B), 56, xk_now(dom) + XK_SECOND), 0);
    pass(XK_MS);
    EQ(pings, 1);
    EQ(ping_err, 0);
    EQ(xk_ping_start(a, &p, ip(LOCAL_B), 20000, xk_now(dom) + XK_SECOND), 0); /* in fragments */
    pass(XK_MS);
    EQ(pings, 2);
    EQ(ping_err, 0);
    EQ(xk_ping_start(a, &p, ip("ff02::1"), 0, xk_now(dom) + XK_SECOND), 0); /* whoever is there */
    pass(XK_MS);
    EQ(pings, 3);
    EQ(ping_err, 0);
    EQ(xk_ping_start(a, &p, ip("fe80::77"), 0, xk_now(dom) + XK_SECOND), 0);
    pass(2 * XK_SECOND);
    EQ(pings, 4);
    EQ(ping_err, XK_ETIMEDOUT);
    EQ(xk_udp_open(a, &x, 0), 0);
    for (int i = 0; i < 60; i++)
        EQ(xk_udp_send(&x, ip(LOCAL_B), 1, "x", 1), 0);
    pass(XK_MS);
    EQ(failures, 20);
    EQ(failed_err, XK_ECONNREFUSED);
    IPEQ(failed_to, LOCAL_B);
    xk_inet_stats(b, &s);
    EQ(s.pings, 3);
    xk_udp_close(&x);
    close_net();
}

TEST(groups_are_heard_by_who_joined)
{
    struct xk_udp x = {.receive = on_datagram}, y = {.receive = on_datagram};

    both();
    EQ(xk_udp_open(a, &x, 9), 0);
    EQ(xk_udp_open(b, &y, 9), 0);
    EQ(xk_udp_send(&x, ip("ff02::1:2"), 9, "x", 1), 0);
    pass(XK_MS);
    EQ(got_count, 0);
    EQ(xk_udp_join(&y, ip("ff02::1:2")), 0);
    EQ(xk_udp_send(&x, ip("ff02::1:2"), 9, "x", 1), 0);
    pass(XK_MS);
    EQ(got_count, 1);
    IPEQ(got_to, "ff02::1:2");
    EQ(xk_udp_send(&x, ip("ff02::1"), 9, "x", 1), 0); /* all nodes */
    pass(XK_MS);
    EQ(got_count, 2);
    xk_udp_close(&x);
    xk_udp_close(&y);
    close_net();
}

/* --- routers ------------------------------------------------------------------------------------------------------ */

static struct xk_advertiser_config config(void)
{
    return (struct xk_advertiser_config){.prefix = ip("fd00:1::"),
                                         .seconds = 3600,
                                         .router = 1800,
                                         .mtu = 1400,
                                         .dns = {ip("fd00:1::53")},
                                         .dns_count = 1};
}

static int changes;
static void on_change(void *arg) { (void)arg, changes++; }

TEST(a_router_gives_prefix_way_and_names)
{
    struct xk_advertiser_config c = config();
    struct xk_advertiser *r;
    struct xk_inet6_address own;
    struct xk_udp x = {.receive = on_datagram};
    struct xk_ip found;

    open_net(1);
    EQ(xk_advertiser_start(xk_fake_alloc(world), loop, b, &c, &r), XK_ENODEV);
    EQ(xk_inet6_start(b, XK_INET6_QUIET), 0);
    EQ(xk_advertiser_start(xk_fake_alloc(world), loop, b, &c, &r), 0);
    EQ(xk_advertiser_start(xk_fake_alloc(world), loop, b, &c, &r), XK_EBUSY);
    pass(5 * XK_SECOND);
    changes = 0;
    EQ(xk_inet6_start(a, 0), 0); /* asks, and does not have to wait for the next one */
    xk_inet6_on_change(a, on_change, NULL);
    pass(5 * XK_SECOND);
    OK(changes >= 3);
    EQ(xk_inet6_address(a, 1, &own), 0);
    IPEQ(own.ip, "fd00:1::ff:fe00:1");
    EQ(own.state, XK_INET6_PREFERRED);
    EQ(own.automatic, 1);
    OK(own.valid > 3590 && own.valid <= 3600 && own.preferred > 1790 && own.preferred <= 1800);
    EQ(xk_inet6_router(a, 0, &found), 0);
    IPEQ(found, LOCAL_B);
    EQ(xk_inet6_router(a, 1, &found), XK_ENOENT);
    EQ(xk_inet6_dns(a, 0, &found), 0);
    IPEQ(found, "fd00:1::53");
    EQ(xk_inet6_dns(a, 1, &found), XK_ENOENT);
    EQ(xk_udp_open(a, &x, 0), 0);
    EQ(xk_udp_send(&x, ip("2001:db8::1"), 9, "x", 1), 0); /* by the router */
    pass(9000 * XK_SECOND);                               /* it is told again and again */
    EQ(state_of(a, "fd00:1::ff:fe00:1"), XK_INET6_PREFERRED);
    xk_advertiser_stop(r); /* its last word: no router any more */
    pass(XK_MS);
    EQ(xk_inet6_router(a, 0, &found), XK_ENOENT);
    EQ(xk_udp_send(&x, ip("2001:db8::1"), 9, "x", 1), XK_EGONE);
    pass(2000 * XK_SECOND);
    EQ(state_of(a, "fd00:1::ff:fe00:1"), XK_INET6_DEPRECATED);
    pass(2000 * XK_SECOND);
    EQ(state_of(a, "fd00:1::ff:fe00:1"), -1);
    EQ(xk_inet6_dns(a, 0, &found), XK_ENOENT);
    xk_udp_close(&x);
    close_net();
}

TEST(a_router_needs_a_prefix_that_makes_sense)
{
    static const char *const bad[] = {"::", "fe80::", "ff00::", "fd00::1"};
    struct xk_advertiser_config c = config();
    struct xk_advertiser *r;

    open_net(0);
    EQ(xk_inet6_start(a, 0), 0);
    for (unsigned i = 0; i < 4; i++) {
        c.prefix = ip(bad[i]);
        EQ(xk_advertiser_start(NULL, loop, a, &c, &r), XK_EINVAL);
    }
    c = config();
    c.mtu = 1279;
    EQ(xk_advertiser_start(NULL, loop, a, &c, &r), XK_EINVAL);
    close_net();
}
