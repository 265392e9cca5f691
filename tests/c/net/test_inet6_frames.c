/* IPv6, one stack and frames by hand, in virtual time. SPDX-License-Identifier: MIT */
#include "tests/c/tap.h"

#include "tests/c/net/stacks6.h"

static uint8_t frame[2000];
static size_t frame_n;
static uint8_t hop_limit = 255;

/* What came back: the last frame, and how many of each type of ICMPv6. */
static uint8_t back[2000];
static struct xk_ip asked; /* the last neighbour's address that was */
static uint32_t back_n, back_count, types[256];
static void on_raw(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    (void)d;
    for (unsigned i = 0; i < n; i++) {
        struct xk_packet_heads h;
        OK(p[i].len <= sizeof(back));
        memcpy(back, p[i].data, p[i].len);
        back_n = p[i].len;
        back_count++;
        EQ(xk_packet_heads(back, back_n, &h), 0);
        if (h.proto == XK_IP_ICMP6)
            types[back[h.l4]]++;
        if (h.proto == XK_IP_ICMP6 && back[h.l4] == 135)
            memcpy(asked.b, back + h.l4 + 8, 16);
    }
}

static void head(const char *from, const char *to, uint8_t next)
{
    struct xk_ip f = ip(from), t = ip(to);

    memset(frame, 0, sizeof(frame));
    frame_ether(frame, macs[0], macs[1], XK_ETHER_IP6);
    frame[14] = 0x60;
    frame[20] = next;
    frame[21] = hop_limit;
    memcpy(frame + 22, f.b, 16);
    memcpy(frame + 38, t.b, 16);
    frame_n = 54;
}

static void put(const void *bytes, size_t n)
{
    memcpy(frame + frame_n, bytes, n);
    frame_n += n;
}

static void put_ip(const char *text)
{
    struct xk_ip a6 = ip(text);

    put(a6.b, 16);
}

static void send_frame(void)
{
    struct xk_packet p = {frame, (uint32_t)frame_n, 0, 0, 0};

    xk_packet_put16(frame + 18, (uint16_t)(frame_n - 54));
    EQ(xk_net_send(cable[1], &p), 0);
    xk_net_kick(cable[1]);
    pass(0);
}

/* Fills in the checksum of the message from (at) on. */
static void send_icmp(size_t at)
{
    uint32_t sum = xk_sum(frame + 22, 32, 0) + XK_IP_ICMP6 + (uint32_t)(frame_n - at);

    xk_packet_put16(frame + at + 2, 0);
    xk_packet_put16(frame + at + 2, xk_sum_fold(xk_sum(frame + at, frame_n - at, sum)));
    send_frame();
}

/* One stack with fd00::1/64 and a router, fe80::2, whose frames are ours. */
static void alone(void)
{
    open_net(0);
    cable[1]->receive = on_raw;
    EQ(xk_inet6_start(a, 0), 0);
    EQ(xk_inet6_add(a, ip("fd00::1"), 64), 0);
    pass(3 * XK_SECOND);
    memset(types, 0, sizeof(types));
    back_count = 0;
}

static void send_ns(const char *from, const char *to, const char *target, int with_mac)
{
    head(from, to, XK_IP_ICMP6);
    put("\207\0\0\0\0\0\0\0", 8);
    put_ip(target);
    if (with_mac) {
        put("\1\1", 2);
        put(macs[1], 6);
    }
    send_icmp(54);
}

static void send_na(const char *from, const char *target, uint8_t flags, const uint8_t *mac)
{
    uint8_t m[8] = {136, 0, 0, 0, flags};

    head(from, "fd00::1", XK_IP_ICMP6);
    put(m, 8);
    put_ip(target);
    if (mac) {
        put("\2\1", 2);
        put(mac, 6);
    }
    send_icmp(54);
}

TEST(neighbours_are_answered_by_the_book)
{
    alone();
    send_ns("fd00::2", "ff02::1:ff00:1", "fd00::1", 1);
    EQ(types[136], 1);
    EQ(back[54 + 4], 0x60); /* solicited, override */
    MEMEQ(back + 38, ip("fd00::2").b, 16);
    MEMEQ(back + 54 + 26, macs[0], 6);
    EQ(back[21], 255);
    send_ns("fd00::2", "fd00::1", "fd00::1", 0); /* a probe: one alone is asked */
    EQ(types[136], 2);
    send_ns("::", "ff02::1:ff00:1", "fd00::1", 0); /* somebody wants our address */
    EQ(types[136], 3);
    EQ(back[54 + 4], 0x20);
    MEMEQ(back + 38, ip("ff02::1").b, 16);
    send_ns("::", "ff02::1:ff00:1", "fd00::1", 1); /* nobody has no Ethernet address */
    send_ns("::", "ff02::1", "fd00::1", 0);
    send_ns("fd00::2", "ff02::1:ff00:1", "fd00::9", 1);
    send_ns("fd00::2", "ff02::1:ff00:1", "ff02::1", 1);
    hop_limit = 254; /* it came over a router */
    send_ns("fd00::2", "ff02::1:ff00:1", "fd00::1", 1);
    hop_limit = 255;
    head("fd00::2", "fd00::1", 44); /* in a fragment, if whole (RFC 6980) */
    put("\72\0\0\0\0\0\0\1", 8);
    put("\207\0\0\0\0\0\0\0", 8);
    put_ip("fd00::1");
    send_icmp(62);
    head("fd00::2", "fd00::1", XK_IP_ICMP6); /* an option without a length */
    put("\207\0\0\0\0\0\0\0", 8);
    put_ip("fd00::1");
    put("\1\0\0\0\0\0\0\0", 8);
    send_icmp(54);
    EQ(types[136], 3);
    close_net();
}

TEST(an_address_in_use_is_defended_and_not_given_up)
{
    struct xk_inet_stats s;

    alone();
    send_na("fd00::1", "fd00::1", 0x20, macs[1]); /* from ourselves it cannot be */
    EQ(types[136], 0);
    send_na("fe80::2", "fd00::1", 0x20, macs[1]);
    EQ(types[136], 1);
    EQ(state_of(a, "fd00::1"), XK_INET6_PREFERRED);
    send_na("fe80::2", "fd00::1", 0x20, macs[1]); /* once in ten seconds */
    EQ(types[136], 1);
    xk_inet_stats(a, &s);
    EQ(s.conflicts, 2);
    pass(11 * XK_SECOND);
    send_na("fe80::2", "fd00::1", 0x20, macs[1]);
    EQ(types[136], 2);
    close_net();
}

/* fd00::2's Ethernet address, as a datagram to it shows. */
static const uint8_t *mac_now(struct xk_udp *x)
{
    EQ(xk_udp_send(x, ip("fd00::2"), 9, "x", 1), 0);
    pass(0);
    return back;
}

TEST(neighbours_change_by_the_book)
{
    static const uint8_t other[6] = {2, 0, 0, 0, 0, 9};
    struct xk_udp x = {.receive = on_datagram};

    alone();
    EQ(xk_udp_open(a, &x, 0), 0);
    send_na("fd00::2", "fd00::2", 0x60, macs[1]); /* nobody asked */
    EQ(back_count, 0);
    EQ(xk_udp_send(&x, ip("fd00::2"), 9, "x", 1), 0);
    pass(0);
    EQ(types[135], 1);
    MEMEQ(back, "\x33\x33\xff\0\0\2", 6);
    send_na("fd00::2", "fd00::2", 0x40, NULL); /* says nothing */
    send_na("fd00::2", "fd00::2", 0x40, macs[1]);
    EQ(back[20], XK_IP_UDP); /* what waited is on its way */
    MEMEQ(back, macs[1], 6);
    send_na("fd00::2", "fd00::2", 0x40, other); /* without "override" a known one is not changed, but asked */
    MEMEQ(mac_now(&x), macs[1], 6);
    EQ(types[135], 2);
    send_na("fd00::2", "fd00::2", 0x60, other);
    MEMEQ(mac_now(&x), other, 6);
    EQ(types[135], 2);
    send_na("fd00::2", "fd00::2", 0x20, macs[1]); /* unasked: used, and asked */
    MEMEQ(mac_now(&x), macs[1], 6);
    EQ(types[135], 3);
    MEMEQ(back, macs[1], 6);
    pass(5 * XK_SECOND); /* no answer to three: it is forgotten */
    EQ(types[135], 5);
    EQ(xk_udp_send(&x, ip("fd00::2"), 9, "x", 1), 0);
    pass(0);
    EQ(types[135], 6);
    MEMEQ(back, "\x33\x33\xff\0\0\2", 6);
    xk_udp_close(&x);
    close_net();
}

static void send_ra(const char *from, uint16_t router, uint32_t valid, uint32_t preferred, const char *prefix)
{
    uint8_t m[16] = {134, 0, 0, 0, 33}, o[16] = {3, 4, 64, 0xc0};

    xk_packet_put16(m + 6, router);
    head(from, "ff02::1", XK_IP_ICMP6);
    put(m, 16);
    xk_packet_put32(o + 4, valid);
    xk_packet_put32(o + 8, preferred);
    put(o, 16);
    put_ip(prefix);
    put("\1\1", 2);
    put(macs[1], 6);
    send_icmp(54);
}

static uint32_t valid_of(const char *text)
{
    struct xk_inet6_address own;

    for (unsigned i = 0; xk_inet6_address(a, i, &own) == 0; i++)
        if (xk_ip_equal(own.ip, ip(text)))
            return own.valid;
    return 0;
}

TEST(advertisements_are_believed_within_limits)
{
    static const char own[] = "fd00:1::ff:fe00:1";
    char text[XK_IP_TEXT];
    struct xk_ip router;
    unsigned n = 0;

    alone();
    send_ra("fd00::2", 1800, 3600, 3600, "fd00:1::"); /* not from the link */
    EQ(xk_inet6_router(a, 0, &router), XK_ENOENT);
    send_ra("fe80::2", 1800, 1, 3600, "fd00:1::"); /* preferred for longer than valid */
    EQ(state_of(a, own), -1);
    EQ(xk_inet6_router(a, 0, &router), 0);
    send_ra("fe80::2", 1800, 3600, 3600, "fe80::");
    send_ra("fe80::2", 1800, 0, 0, "fd00:1::");
    EQ(state_of(a, own), -1);
    send_ra("fe80::2", 1800, 86400, 86400, "fd00:1::");
    pass(3 * XK_SECOND);
    EQ(state_of(a, own), XK_INET6_PREFERRED);
    send_ra("fe80::2", 1800, 5, 0, "fd00:1::"); /* two hours are left to it at least */
    OK(valid_of(own) > 7190 && valid_of(own) <= 7200);
    EQ(state_of(a, own), XK_INET6_DEPRECATED);
    send_ra("fe80::2", 1800, 100, 0, "fd00:1::");
    OK(valid_of(own) > 7190);
    send_ra("fe80::2", 1800, UINT32_MAX, UINT32_MAX, "fd00:1::");
    EQ(valid_of(own), UINT32_MAX);
    for (int i = 2; i < 100; i++) { /* no more than there is room for */
        char from[XK_IP_TEXT];
        snprintf(from, sizeof(from), "fe80::%x", i);
        snprintf(text, sizeof(text), "fd00:%x::", i);
        send_ra(from, 1800, 86400, 86400, text);
    }
    while (xk_inet6_router(a, n, &router) == 0)
        n++;
    EQ(n, 4);
    send_ra("fe80::2", 0, 0, 0, "fe80::");
    EQ(xk_inet6_router(a, 3, &router), XK_ENOENT);
    close_net();
}

TEST(a_router_that_does_not_answer_is_passed_by)
{
    struct xk_udp x = {.receive = on_datagram};

    alone();
    EQ(xk_udp_open(a, &x, 0), 0);
    send_ra("fe80::2", 1800, 3600, 3600, "fd00:1::");
    send_ra("fe80::3", 1800, 3600, 3600, "fd00:1::");
    pass(3 * XK_SECOND);
    EQ(xk_udp_send(&x, ip("2001:db8::1"), 9, "x", 1), 0);
    pass(0);
    MEMEQ(back, macs[1], 6); /* known by its own word; asked, as it is used */
    IPEQ(asked, "fe80::2");
    pass(3 * XK_SECOND / 2); /* silent for long enough that the other one is tried */
    EQ(xk_udp_send(&x, ip("2001:db8::1"), 9, "x", 1), 0);
    pass(0);
    IPEQ(asked, "fe80::3");
    pass(5 * XK_SECOND); /* both dead */
    send_ra("fe80::3", 1800, 3600, 3600, "fd00:1::");
    EQ(xk_udp_send(&x, ip("2001:db8::1"), 9, "x", 1), 0);
    pass(0);
    IPEQ(asked, "fe80::3");
    xk_udp_close(&x);
    close_net();
}

TEST(a_redirect_is_followed_if_it_is_the_routers)
{
    static const uint8_t other[6] = {2, 0, 0, 0, 0, 9};
    struct xk_udp x = {.receive = on_datagram};

    alone();
    EQ(xk_udp_open(a, &x, 0), 0);
    send_ra("fe80::2", 1800, 3600, 3600, "fd00:1::");
    for (int i = 0; i < 2; i++) {
        head(i ? "fe80::2" : "fe80::3", "fd00::1", XK_IP_ICMP6);
        put("\211\0\0\0\0\0\0\0", 8);
        put_ip("fe80::9");
        put_ip("2001:db8::1");
        put("\2\1", 2);
        put(other, 6);
        send_icmp(54);
        EQ(xk_udp_send(&x, ip("2001:db8::1"), 9, "x", 1), 0);
        pass(0);
        back_count = 0;
        EQ(xk_udp_send(&x, ip("2001:db8::1"), 9, "x", 1), 0);
        pass(0);
        EQ(back_count, 1);
        MEMEQ(back, i ? other : macs[1], 6);
    }
    xk_udp_close(&x);
    close_net();
}

/* A hop-by-hop header with one option of this type, then an echo request. */
static uint32_t option(uint8_t type, const char *to)
{
    uint8_t h[8] = {XK_IP_ICMP6, 0, type, 4};

    head("fd00::2", to, 0);
    put(h, 8);
    put("\200\0\0\0\0\0\0\0", 8);
    memset(types, 0, sizeof(types));
    send_icmp(62);
    return types[129] * 10 + types[4];
}

TEST(options_that_are_not_known_say_what_is_to_be_done)
{
    alone();
    send_ns("fd00::2", "ff02::1:ff00:1", "fd00::1", 1);
    EQ(option(0x05, "fd00::1"), 10);
    EQ(option(0x1e, "fd00::1"), 10); /* pass over */
    EQ(option(0x5e, "fd00::1"), 0);  /* drop */
    EQ(option(0x9e, "fd00::1"), 1);  /* drop and say so: where it stands */
    EQ(back[55], 2);
    EQ(xk_packet_get32(back + 58), 42);
    EQ(option(0x9e, "ff02::1"), 1);
    EQ(option(0xde, "fd00::1"), 1);
    EQ(option(0xde, "ff02::1"), 0); /* but not of a group's */
    close_net();
}

/* An echo request behind these bytes, of which (next) is the first header. */
static uint32_t behind(uint8_t next, const void *bytes, size_t n)
{
    head("fd00::2", "fd00::1", next);
    put(bytes, n);
    put("\200\0\0\0\0\0\0\0", 8);
    memset(types, 0, sizeof(types));
    send_icmp(54 + n);
    return types[129] * 10 + types[4];
}

TEST(headers_that_do_not_end_or_lead_on_are_dropped)
{
    uint8_t many[10 * 8] = {0};

    alone();
    send_ns("fd00::2", "ff02::1:ff00:1", "fd00::1", 1);
    for (int i = 0; i < 10; i++)
        memcpy(many + i * 8, i < 9 ? "\74\0\1\4\0\0\0\0" : "\72\0\1\4\0\0\0\0", 8);
    EQ(behind(60, many + 72, 8), 10);
    EQ(behind(60, many + 32, 48), 10);
    EQ(behind(60, many, 80), 0);                /* ten of them */
    EQ(behind(43, "\72\0\0\0\0\0\0\0", 8), 10); /* a way that has ended */
    EQ(behind(43, "\72\0\0\1\0\0\0\0", 8), 1);  /* we lead nobody on */
    EQ(xk_packet_get32(back + 58), 42);
    EQ(behind(60, "\72\77\1\4\0\0\0\0", 8), 0);                  /* longer than the packet */
    EQ(behind(60, "\72\0\1\5\0\0\0\0", 8), 0);                   /* an option longer than its header */
    EQ(behind(60, "\0\0\1\4\0\0\0\0", 8), 1);                    /* hop-by-hop behind another */
    EQ(behind(59, "", 0), 0);                                    /* nothing follows */
    EQ(behind(44, "\72\0\0\0\0\0\0\5", 8), 10);                  /* a fragment that is the whole */
    EQ(behind(44, "\54\0\0\0\0\0\0\5\72\0\0\0\0\0\0\5", 16), 0); /* and one in another */
    EQ(behind(200, "", 0), 1);                                   /* no such protocol */
    EQ(back[55], 1);
    EQ(xk_packet_get32(back + 58), 6);
    close_net();
}

TEST(only_what_is_right_and_ours_is_delivered)
{
    static const char *const from[] = {"ff02::1", "::1", "fd00::1", "10.0.0.2", "::"};
    static const char *const to[] = {"fd00::9", "::1", "10.0.0.1", "::", "ff02::77"};
    struct xk_udp x = {.receive = on_datagram};

    alone();
    got_count = 0;
    EQ(xk_udp_open(a, &x, 9), 0);
    for (int i = 0; i < 12; i++) {
        head(i >= 1 && i <= 5 ? from[i - 1] : "fd00::2", i >= 6 && i <= 10 ? to[i - 6] : "fd00::1", XK_IP_UDP);
        put("\0\7\0\11\0\20\0\0"
            "12345678",
            16);
        xk_packet_fill(frame, (uint32_t)frame_n);
        xk_packet_put16(frame + 18, 16);
        xk_packet_put16(frame + 58, 16);
        xk_packet_fill(frame, (uint32_t)frame_n);
        if (i == 11)
            xk_packet_put16(frame + 60, 0); /* IPv6 has no datagrams without a checksum */
        send_frame();
        EQ(got_count, 1);
    }
    xk_udp_close(&x);
    close_net();
}

static void send_too_big(const char *to, uint16_t port, uint32_t mtu)
{
    uint8_t m[8] = {2}, q[8] = {0};

    xk_packet_put32(m + 4, mtu);
    xk_packet_put16(q, port);
    head("fe80::2", "fd00::1", XK_IP_ICMP6);
    put(m, 8);
    put("\x60\0\0\0\0\x08\x11\x40", 8);
    put_ip("fd00::1");
    put_ip(to);
    put(q, 8);
    send_icmp(54);
}

TEST(a_narrower_path_is_found)
{
    static const uint8_t data[1400];
    struct xk_udp x = {.receive = on_datagram};

    alone();
    EQ(xk_udp_open(a, &x, 2000), 0);
    send_ra("fe80::2", 1800, 3600, 3600, "fd00:1::");
    send_na("fe80::2", "fe80::2", 0x60, macs[1]);
    for (int i = 0; i < 5; i++) {
        static const uint16_t ports[] = {0, 2001, 2000, 2000, 2000};
        static const uint32_t mtus[] = {0, 1300, 1279, 1300, 1400}, frames[] = {1, 1, 1, 2, 2};
        if (ports[i])
            send_too_big("2001:db8::1", ports[i], mtus[i]);
        back_count = 0;
        EQ(xk_udp_send(&x, ip("2001:db8::1"), 9, data, sizeof(data)), 0);
        pass(0);
        EQ(back_count, frames[i]);
    }
    EQ(back_n, 14 + 40 + 8 + 1408 - 1248);
    back_count = 0;
    EQ(xk_udp_send(&x, ip("2001:db8::2"), 9, data, sizeof(data)), 0); /* another way */
    pass(0);
    EQ(back_count, 1);
    xk_udp_close(&x);
    close_net();
}

TEST(fragments_that_overlap_end_their_datagram)
{
    alone();
    send_ns("fd00::2", "ff02::1:ff00:1", "fd00::1", 1);
    for (int i = 0; i < 2; i++) {
        static const uint8_t first[8] = {58, 0, 0, 1, 0, 0, 0, 7},
                             last[2][8] = {{58, 0, 0, 8, 0, 0, 0, 8}, {58, 0, 0, 16}};
        uint8_t h[8];
        memset(types, 0, sizeof(types));
        head("fd00::2", "fd00::1", 44);
        memcpy(h, first, 8);
        h[7] = (uint8_t)(7 + i);
        put(h, 8);
        put("\200\0\x1c\xb2\0\0\0\0"
            "\0\0\0\0\0\0\0\0",
            16);
        xk_packet_put16(frame + 64, xk_sum_fold(xk_sum(frame + 22, 32, 0x8000 + 58 + 24)));
        send_frame();
        head("fd00::2", "fd00::1", 44);
        memcpy(h, last[i], 8);
        xk_packet_put16(h + 2, i ? 16 : 8);
        h[7] = (uint8_t)(7 + i);
        put(h, 8);
        put("\0\0\0\0\0\0\0\0", 8);
        send_frame();
        EQ(types[129], (uint32_t)i); /* 8 .. 16 came twice; 16 .. 24 is the rest */
    }
    close_net();
}

/* --- multicast listeners ------------------------------------------------------------------------------------------ */

static uint8_t query_hops = 1;
static void send_query(const char *group, size_t n, uint16_t code)
{
    uint8_t m[28] = {130};

    xk_packet_put16(m + 4, code);
    hop_limit = query_hops;
    head("fe80::2", "ff02::1", 0);
    put("\72\0\5\2\0\0\1\0", 8);
    memcpy(m + 8, ip(group).b, 16);
    put(m, n);
    send_icmp(62);
    hop_limit = 255;
}

TEST(routers_are_told_of_groups)
{
    struct xk_udp x = {.receive = on_datagram};

    alone();
    EQ(xk_udp_open(a, &x, 9), 0);
    EQ(xk_udp_join(&x, ip("ff05::5")), 0);
    pass(2 * XK_SECOND);
    EQ(types[143], 2);
    MEMEQ(back + 38, ip("ff02::16").b, 16);
    MEMEQ(back, "\x33\x33\0\0\0\x16", 6);
    EQ(back[21], 1);
    MEMEQ(back + 54, "\72\0\5\2\0\0\1\0", 8);
    MEMEQ(back + 62 + 12, ip("ff05::5").b, 16);
    send_query("::", 28, 1000);
    pass(XK_SECOND);
    EQ(types[143], 4);                 /* the one of our two addresses, and that one */
    send_query("ff05::5", 28, 0x8fff); /* 65 seconds */
    pass(66 * XK_SECOND);
    EQ(types[143], 5);
    query_hops = 2; /* it came over a router */
    send_query("::", 28, 0);
    query_hops = 1;
    pass(XK_SECOND);
    EQ(types[143], 5);
    send_query("ff05::6", 28, 0);
    pass(XK_SECOND);
    EQ(types[143], 5);
    EQ(xk_udp_leave(&x, ip("ff05::5")), 0);
    pass(0);
    EQ(types[143], 6);
    EQ(back[62 + 8], 3);
    send_query("::", 24, 1000); /* an old router */
    pass(XK_SECOND);
    EQ(types[131], 1);
    EQ(xk_udp_join(&x, ip("ff05::5")), 0);
    pass(0);
    EQ(types[131], 2);
    MEMEQ(back + 38, ip("ff05::5").b, 16);
    xk_udp_close(&x);
    pass(0);
    EQ(types[132], 1);
    pass(300 * XK_SECOND); /* it has not been heard of for long */
    send_query("::", 28, 0);
    pass(XK_SECOND);
    EQ(types[143], 7);
    close_net();
}

TEST(routers_are_asked_for_ever_more_rarely)
{
    open_net(0);
    cable[1]->receive = on_raw;
    memset(types, 0, sizeof(types));
    EQ(xk_inet6_start(a, 0), 0);
    pass(2 * XK_SECOND);
    EQ(types[133], 1);
    pass(30 * XK_SECOND); /* after 4, 8, 16 s and a tenth */
    EQ(types[133], 4);
    pass(86400 * XK_SECOND);
    OK(types[133] > 20 && types[133] < 40);
    cable[0]->changed(cable[0]); /* another network, perhaps */
    pass(XK_MS);
    EQ(types[136], 1);
    pass(10 * XK_SECOND);
    OK(types[133] > 22);
    close_net();
}

TEST(nothing_is_asked_while_the_device_is_down)
{
    open_net(0);
    cable[1]->receive = on_raw;
    EQ(xk_inet6_start(a, 0), 0);
    pass(3 * XK_SECOND);
    cable[0]->info.up = 0;
    memset(types, 0, sizeof(types));
    pass(3600 * XK_SECOND);
    EQ(types[133], 0);
    cable[0]->info.up = 1;
    cable[0]->changed(cable[0]);
    pass(XK_SECOND);
    EQ(types[133], 1);
    close_net();
}

TEST(what_makes_no_sense_is_counted_and_nothing_else)
{
    static const uint8_t next[] = {0, 17, 43, 44, 58, 60};
    struct xk_udp x = {.receive = on_echo};
    uint64_t seed = 11;

    alone();
    EQ(xk_udp_open(a, &x, 9), 0);
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[160];
        size_t n;
        for (size_t k = 0; k < sizeof(bytes); k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[k] = (uint8_t)(seed >> 33) & (uint8_t)(seed >> 41);
        }
        n = seed >> 50 & 127;
        head("fe80::2", i & 1 ? "fd00::1" : "ff02::1", next[(seed >> 45) % 6]);
        bytes[0] = i & 2 ? (uint8_t)(128 + (bytes[0] & 31)) : next[bytes[0] % 6];
        bytes[1] &= i & 2 ? 0 : 1;
        put(bytes, n);
        if (frame_n > 58)
            send_icmp(54);
        else
            send_frame();
        if (i % 100 == 0)
            pass(XK_SECOND);
    }
    pass(10 * XK_SECOND);
    xk_udp_close(&x);
    close_net();
}

TEST(without_memory_nothing_is_lost_but_what_asked)
{
    for (unsigned long n = 0; n < 4; n++) {
        int r;
        open_net(0);
        xk_fake_fail(world, XK_FAKE_ALLOC, n);
        r = xk_inet6_start(a, 0);
        OK(r == 0 || r == XK_ENOMEM);
        xk_fake_fail(world, XK_FAKE_ALLOC, 0);
        if (r < 0)
            EQ(xk_inet6_start(a, 0), 0);
        pass(3 * XK_SECOND);
        EQ(state_of(a, LOCAL_A), XK_INET6_PREFERRED);
        xk_inet6_stop(a);
        xk_inet6_stop(a);
        close_net();
    }
}
