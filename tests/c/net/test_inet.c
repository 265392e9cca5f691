/* Stacks back to back, in virtual time. SPDX-License-Identifier: MIT */
#include <xenkit/dhcp.h>

#include "tests/c/tap.h"

#include "tests/c/net/stacks.h"

enum { A = 0x0a000001, B = 0x0a000002, GATE = 0x0a0000fe, FAR = 0x08080808 };

static void both(void)
{
    open_net(1);
    EQ(xk_inet_set(a, A, 24, GATE), 0);
    EQ(xk_inet_set(b, B, 24, GATE), 0);
    pass(XK_MS);
    got_n = got_count = 0;
}

TEST(addresses_are_read_and_written)
{
    static const char *const bad[] = {"",         "1.2.3",   "1.2.3.4.5", "1.2.3.256",
                                      "1.2.3.4 ", "a.2.3.4", "1..2.3",    "0001.2.3.4"};
    xk_ip4 ip;
    char text[16];

    EQ(xk_ip4_read("10.1.2.255", &ip), 0);
    EQ(ip, 0x0a0102ff);
    xk_ip4_write(ip, text);
    STREQ(text, "10.1.2.255");
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        EQ(xk_ip4_read(bad[i], &ip), XK_EINVAL);
}

TEST(datagrams_of_all_lengths_go_there_and_back)
{
    static uint8_t data[XK_UDP_MAX];
    static const size_t sizes[] = {0, 1, 7, 1471, 1472, 1473, 2952, 9000, 30001, XK_UDP_MAX};
    struct xk_udp x = {.receive = on_datagram}, y = {.receive = on_echo};
    struct xk_inet_stats s;

    both();
    EQ(xk_udp_open(a, &x, 0), 0);
    OK(x.port >= 49152);
    EQ(xk_udp_open(b, &y, 7), 0);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 13 + (i >> 9));
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        EQ(xk_udp_send(&x, xk_ip_of4(B), 7, data, sizes[i]), 0);
        pass(XK_MS);
        EQ(got_count, i + 1);
        EQ(got_n, sizes[i]);
        EQ(xk_ip_to4(got_from), B);
        EQ(got_port, 7);
        MEMEQ(got, data, sizes[i]);
    }
    EQ(xk_udp_send(&x, xk_ip_of4(B), 7, data, XK_UDP_MAX + 1), XK_EINVAL);
    xk_inet_stats(b, &s);
    EQ(s.bad + s.lost + s.no_room, 0);
    EQ(s.reassembled, 5);
    xk_udp_close(&x);
    xk_udp_close(&y);
    close_net();
}

TEST(a_socket_has_its_port_alone)
{
    struct xk_udp x = {.receive = on_datagram}, y = {.receive = on_datagram};

    both();
    EQ(xk_udp_open(a, &x, 500), 0);
    EQ(xk_udp_open(a, &y, 500), XK_EBUSY);
    xk_udp_close(&x);
    xk_udp_close(&x);
    EQ(xk_udp_open(a, &y, 500), 0);
    xk_udp_close(&y);
    EQ(xk_udp_send(&y, xk_ip_of4(B), 1, "", 0), XK_EGONE);
    close_net();
}

TEST(broadcasts_are_heard)
{
    struct xk_udp x = {.receive = on_datagram}, y = {.receive = on_datagram};

    both();
    EQ(xk_udp_open(a, &x, 9), 0);
    EQ(xk_udp_open(b, &y, 9), 0);
    EQ(xk_udp_send(&x, xk_ip_of4(0xffffffff), 9, "all", 3), 0);
    pass(XK_MS);
    EQ(got_count, 1);
    EQ(xk_udp_send(&x, xk_ip_of4(0x0a0000ff), 9, "net", 3), 0);
    pass(XK_MS);
    EQ(got_count, 2);
    EQ(xk_ip_to4(got_from), A);
    xk_udp_close(&x);
    xk_udp_close(&y);
    close_net();
}

/* Two that answer each other for ever do not stop the program. */
TEST(two_echoes_do_not_run_away)
{
    struct xk_udp x = {.receive = on_echo}, y = {.receive = on_echo};

    both();
    x.receive = on_datagram;
    EQ(xk_udp_open(a, &x, 7), 0);
    EQ(xk_udp_open(b, &y, 7), 0);
    EQ(xk_udp_send(&x, xk_ip_of4(B), 7, "x", 1), 0);
    pass(XK_MS);
    EQ(got_count, 1);
    xk_udp_close(&x);
    xk_udp_close(&y);
    close_net();
}

/* --- neighbours and ways ------------------------------------------------------------------------------------------ */

TEST(who_does_not_answer_is_given_up)
{
    struct xk_udp x = {.receive = on_datagram};
    struct xk_inet_stats s;
    int r = 0, n = 0;

    both();
    EQ(xk_udp_open(a, &x, 0), 0);
    for (; n < 1000 && r == 0; n++)
        r = xk_udp_send(&x, xk_ip_of4(0x0a000033), 1, "x", 1);
    EQ(r, XK_EAGAIN);
    EQ(n, 65);
    pass(6 * XK_SECOND);
    xk_inet_stats(a, &s);
    EQ(s.unresolved, 64);
    EQ(xk_udp_send(&x, xk_ip_of4(0x0a000033), 1, "x", 1), 0); /* and asked for anew */
    xk_udp_close(&x);
    close_net();
}

TEST(what_waits_goes_with_the_address)
{
    struct xk_udp x = {.receive = on_datagram};

    both();
    EQ(xk_udp_open(a, &x, 0), 0);
    for (int i = 0; i < 64; i++)
        EQ(xk_udp_send(&x, xk_ip_of4(0x0a000033), 1, "x", 1), 0);
    EQ(xk_inet_set(a, A, 24, 0), 0);
    EQ(xk_udp_send(&x, xk_ip_of4(0x0a000034), 1, "x", 1), 0); /* there is room again */
    xk_udp_close(&x);
    close_net();
}

/* As many as a cable holds wait for one that answers at once. */
TEST(many_that_wait_for_one_neighbour_all_go)
{
    struct xk_udp x = {.receive = on_datagram}, y = {.receive = on_datagram};

    both();
    EQ(xk_udp_open(a, &x, 0), 0);
    EQ(xk_udp_open(b, &y, 9), 0);
    for (int i = 0; i < 64; i++)
        EQ(xk_udp_send(&x, xk_ip_of4(B), 9, "x", 1), 0);
    pass(XK_MS);
    EQ(got_count, 64);
    xk_udp_close(&x);
    xk_udp_close(&y);
    close_net();
}

TEST(what_is_far_goes_by_the_gateway)
{
    struct xk_udp x = {.receive = on_datagram};
    struct xk_ip ip;
    uint8_t mac[6];

    both();
    EQ(xk_inet_set(b, GATE, 24, 0), 0);
    EQ(xk_udp_open(a, &x, 0), 0);
    EQ(xk_udp_send(&x, xk_ip_of4(FAR), 53, "x", 1), 0);
    pass(XK_MS);
    EQ(xk_inet_neighbour(a, 0, &ip, mac), 0);
    EQ(xk_ip_to4(ip), GATE);
    MEMEQ(mac, macs[1], 6);
    EQ(xk_inet_neighbour(a, 1, &ip, mac), XK_ENOENT);
    EQ(xk_inet_set(a, A, 24, 0), 0);
    EQ(xk_udp_send(&x, xk_ip_of4(FAR), 53, "x", 1), XK_EGONE);
    EQ(xk_inet_set(a, A, 33, 0), XK_EINVAL);
    EQ(xk_inet_set(a, 0xe0000001, 24, 0), XK_EINVAL);
    xk_udp_close(&x);
    close_net();
}

static int conflicts;
static void on_conflict(void *arg, const uint8_t mac[6])
{
    (void)arg;
    MEMEQ(mac, macs[1], 6);
    conflicts++;
}

TEST(an_address_that_two_have_is_noticed)
{
    both();
    conflicts = 0;
    xk_inet_on_conflict(a, on_conflict, NULL);
    EQ(xk_inet_set(b, A, 24, 0), 0);
    pass(XK_MS);
    EQ(conflicts, 2); /* its announcement, and its answer to our defence */
    close_net();
}

/* --- echo --------------------------------------------------------------------------------------------------------- */

TEST(echoes_are_asked_for_and_answered)
{
    struct xk_ping p = {.done = on_pong};
    struct xk_inet_stats s;

    both();
    pings = 0;
    EQ(xk_ping_start(a, &p, xk_ip_of4(B), 56, xk_now(dom) + XK_SECOND), 0);
    pass(XK_MS);
    EQ(pings, 1);
    EQ(ping_err, 0);
    EQ(xk_ping_start(a, &p, xk_ip_of4(B), 20000, xk_now(dom) + XK_SECOND), 0); /* in fragments */
    pass(XK_MS);
    EQ(pings, 2);
    EQ(ping_err, 0);
    EQ(xk_ping_start(a, &p, xk_ip_of4(0x0a000077), 0, xk_now(dom) + XK_SECOND), 0);
    pass(2 * XK_SECOND);
    EQ(pings, 3);
    EQ(ping_err, XK_ETIMEDOUT);
    EQ(ping_took, XK_SECOND);
    EQ(xk_ping_start(a, &p, xk_ip_of4(B), 0, xk_now(dom) + XK_SECOND), 0);
    xk_ping_stop(&p);
    pass(2 * XK_SECOND);
    EQ(pings, 3);
    xk_inet_stats(b, &s);
    EQ(s.pings, 3);
    close_net();
}

TEST(unreachable_is_said_and_not_too_often)
{
    struct xk_udp x = {.receive = on_datagram};
    struct xk_inet_stats s;

    both();
    EQ(xk_udp_open(a, &x, 0), 0);
    for (int i = 0; i < 200; i++) {
        EQ(xk_udp_send(&x, xk_ip_of4(B), 1, "x", 1), 0);
        if (i == 0)
            pass(0); /* it has to be found first */
    }
    pass(XK_MS);
    xk_inet_stats(b, &s);
    EQ(s.refused, 20);
    EQ(s.limited, 180);
    pass(XK_SECOND);
    EQ(xk_udp_send(&x, xk_ip_of4(B), 1, "x", 1), 0);
    pass(XK_MS);
    xk_inet_stats(b, &s);
    EQ(s.refused, 21);
    xk_udp_close(&x);
    close_net();
}

TEST(who_sent_to_nobody_is_told)
{
    struct xk_udp x = {.receive = on_datagram, .failed = on_failed};

    both();
    failures = 0;
    EQ(xk_udp_open(a, &x, 0), 0);
    EQ(xk_udp_send(&x, xk_ip_of4(B), 1, "x", 1), 0);
    pass(XK_MS);
    EQ(failures, 1);
    EQ(failed_err, XK_ECONNREFUSED);
    EQ(xk_ip_to4(failed_to), B);
    xk_udp_close(&x);
    close_net();
}

/* --- what others may send ----------------------------------------------------------------------------------------- */

static uint8_t frame[2000];
static uint32_t answers;
static void on_raw(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    (void)d;
    (void)p;
    answers += n;
}

/* A UDP datagram, or a piece of one, by hand. */
static void raw(uint16_t id, uint16_t part, size_t n)
{
    uint8_t *ip = frame + 14;
    struct xk_packet p = {frame, (uint32_t)(34 + n), 0, 0, 0};

    frame_ether(frame, macs[0], macs[1], XK_ETHER_IP4);
    memset(ip, 0, 20);
    ip[0] = 0x45;
    xk_packet_put16(ip + 2, (uint16_t)(20 + n));
    xk_packet_put16(ip + 4, id);
    xk_packet_put16(ip + 6, part);
    ip[8] = 64;
    ip[9] = XK_IP_UDP;
    xk_packet_put32(ip + 12, B);
    xk_packet_put32(ip + 16, A);
    xk_packet_put16(ip + 10, xk_sum_fold(xk_sum(ip, 20, 0)));
    EQ(xk_net_send(cable[1], &p), 0);
    xk_net_kick(cable[1]);
}

/* One whole datagram to port 9, with this in its headers. */
static void raw_udp(xk_ip4 from, xk_ip4 to, uint16_t sum)
{
    uint8_t *ip = frame + 14;
    struct xk_packet p = {frame, 34 + 16, 0, 0, 0};

    memset(frame, 0, 64);
    raw(1, 0, 16); /* nobody's port: fills the headers in */
    xk_packet_put32(ip + 12, from);
    xk_packet_put32(ip + 16, to);
    xk_packet_put16(ip + 10, 0);
    xk_packet_put16(ip + 10, xk_sum_fold(xk_sum(ip, 20, 0)));
    xk_packet_put16(frame + 34, 7);
    xk_packet_put16(frame + 36, 9);
    xk_packet_put16(frame + 38, 16);
    memcpy(frame + 42, "12345678", 8);
    xk_packet_fill(frame, p.len);
    xk_packet_put16(frame + 40, (uint16_t)(xk_packet_get16(frame + 40) ^ sum));
    EQ(xk_net_send(cable[1], &p), 0);
    xk_net_kick(cable[1]);
}

TEST(only_what_is_right_and_ours_is_delivered)
{
    static const xk_ip4 no_source[] = {0xe0000001, 0x7f000001, 0xffffffff, 0x0a0000ff, A};
    static const xk_ip4 not_ours[] = {0x0a000009, 0x0b000001, 0xe0000005};
    struct xk_udp x = {.receive = on_datagram};
    struct xk_inet_stats s;

    open_net(0);
    EQ(xk_inet_set(a, A, 24, 0), 0);
    cable[1]->receive = on_raw;
    EQ(xk_udp_open(a, &x, 9), 0);
    got_count = 0;
    raw_udp(B, A, 0);
    EQ(got_count, 1);
    raw_udp(B, 0x0a0000ff, 0);
    EQ(got_count, 2);
    raw_udp(B, A, 0x0100); /* its sum is wrong */
    xk_inet_stats(a, &s);
    EQ(s.bad, 1 + 3); /* and what filled the headers in was none */
    for (unsigned i = 0; i < 5; i++)
        raw_udp(no_source[i], A, 0);
    for (unsigned i = 0; i < 3; i++)
        raw_udp(B, not_ours[i], 0);
    EQ(got_count, 2);
    xk_udp_close(&x);
    close_net();
}

TEST(what_waits_for_one_does_not_go_to_another)
{
    struct xk_udp x = {.receive = on_datagram}, y = {.receive = on_datagram};
    struct xk_inet_stats s;

    both();
    EQ(xk_udp_open(a, &x, 0), 0);
    EQ(xk_udp_open(b, &y, 9), 0);
    EQ(xk_udp_send(&x, xk_ip_of4(0x0a000033), 9, "not for b", 9), 0);
    EQ(xk_udp_send(&x, xk_ip_of4(B), 9, "for b", 5), 0);
    pass(XK_MS);
    EQ(got_count, 1);
    xk_inet_stats(b, &s);
    EQ(s.not_ours, 0); /* nor seen there */
    xk_udp_close(&x);
    xk_udp_close(&y);
    close_net();
}

/* An ICMP message "too big" (RFC 1191 4) of what (from, port) sent to (to). */
static void raw_too_big(xk_ip4 from, xk_ip4 to, uint16_t port, uint16_t mtu)
{
    uint8_t *icmp = frame + 34, *ip = icmp + 8;

    memset(frame, 0, 80);
    icmp[0] = 3;
    icmp[1] = 4;
    xk_packet_put16(icmp + 6, mtu);
    ip[0] = 0x45;
    ip[9] = XK_IP_UDP;
    xk_packet_put32(ip + 12, from);
    xk_packet_put32(ip + 16, to);
    xk_packet_put16(ip + 20, port);
    xk_packet_put16(icmp + 2, xk_sum_fold(xk_sum(icmp, 36, 0)));
    raw(1, 0, 36);
    frame[14 + 9] = XK_IP_ICMP;
    xk_packet_put16(frame + 24, 0);
    xk_packet_put16(frame + 24, xk_sum_fold(xk_sum(frame + 14, 20, 0)));
    EQ(xk_net_send(cable[1], &(struct xk_packet){frame, 70, 0, 0, 0}), 0);
    xk_net_kick(cable[1]);
}

static uint32_t longest, frames_seen, whole_frames;
static void on_size(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    (void)d;
    for (unsigned i = 0; i < n; i++) {
        longest = p[i].len > longest ? p[i].len : longest;
        frames_seen++;
        whole_frames += p[i].len > 40 && p[i].data[20] == 0x40; /* "don't fragment" */
    }
}

/* How many frames 1400 bytes to FAR become, and how long the longest is. */
static uint32_t sent_far(struct xk_udp *x, xk_ip4 to)
{
    static const uint8_t data[1400];

    longest = frames_seen = whole_frames = 0;
    EQ(xk_udp_send(x, xk_ip_of4(to), 9, data, sizeof(data)), 0);
    pass(XK_MS);
    return frames_seen;
}

TEST(a_narrower_path_is_found)
{
    struct xk_udp x = {.receive = on_datagram};
    struct xk_inet_stats s;

    open_net(0);
    EQ(xk_inet_set(a, A, 24, B), 0);
    cable[1]->receive = on_size;
    EQ(xk_udp_open(a, &x, 2000), 0);
    raw_udp(B, A, 0);  /* so that the gateway is known */
    sent_far(&x, FAR); /* asks for it */
    frame_ether(frame, macs[0], macs[1], XK_ETHER_ARP);
    memcpy(frame + 14, "\0\1\x8\0\6\4\0\2", 8);
    memcpy(frame + 22, macs[1], 6);
    xk_packet_put32(frame + 28, B);
    memcpy(frame + 32, macs[0], 6);
    xk_packet_put32(frame + 38, A);
    EQ(xk_net_send(cable[1], &(struct xk_packet){frame, 42, 0, 0, 0}), 0);
    xk_net_kick(cable[1]);
    EQ(sent_far(&x, FAR), 1);
    EQ(whole_frames, 1);
    EQ(longest, 14 + 20 + 8 + 1400);
    raw_too_big(A, FAR, 2001, 1000); /* nobody of ours */
    raw_too_big(B, FAR, 2000, 1000);
    EQ(sent_far(&x, FAR), 1);
    raw_too_big(A, FAR, 2000, 1000);
    EQ(sent_far(&x, FAR), 2);
    EQ(longest, 14 + 20 + 976); /* of 980, a multiple of eight */
    EQ(whole_frames, 0);
    EQ(sent_far(&x, FAR + 1), 1);
    raw_too_big(A, FAR, 2000, 1200); /* more is not believed, */
    EQ(sent_far(&x, FAR), 2);
    EQ(longest, 14 + 20 + 976);
    raw_too_big(A, FAR, 2000, 68); /* nor as little as that */
    EQ(sent_far(&x, FAR), 3);
    EQ(longest, 14 + 20 + 528);
    raw_too_big(A, FAR + 1, 2000, 0); /* a router that does not say */
    EQ(sent_far(&x, FAR + 1), 3);
    xk_inet_stats(a, &s);
    EQ(s.too_big, 3);
    pass(601 * XK_SECOND); /* then it is tried again */
    sent_far(&x, FAR);
    pass(5 * XK_SECOND);
    EQ(xk_udp_send(&x, xk_ip_of4(0xffffffff), 9, "x", 1), 0);
    xk_udp_close(&x);
    close_net();
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

static uint8_t igmp_types[16];
static xk_ip4 igmp_groups[16], igmp_to[16];
static unsigned igmps;
static void on_igmp(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    (void)d;
    for (unsigned i = 0; i < n && igmps < 16; i++) {
        const uint8_t *ip = p[i].data + 14;
        if (xk_packet_get16(p[i].data + 12) != XK_ETHER_IP4 || ip[9] != XK_IP_IGMP)
            continue;
        EQ(p[i].len, 14 + 24 + 8);
        EQ(ip[8], 1);
        EQ(xk_packet_get32(ip + 20), 0x94040000);
        EQ(xk_sum_fold(xk_sum(ip, 24, 0)), 0);
        EQ(xk_sum_fold(xk_sum(ip + 24, 8, 0)), 0);
        EQ(xk_packet_get32(p[i].data), 0x01005e00 | (ip[17] & 0x7f));
        igmp_types[igmps] = ip[24];
        igmp_groups[igmps] = xk_packet_get32(ip + 28);
        igmp_to[igmps++] = xk_packet_get32(ip + 16);
    }
}

static uint8_t query_hops = 1;
static void query(xk_ip4 group, uint8_t tenths)
{
    uint8_t *m = frame + 34;

    memset(frame, 0, 80);
    m[0] = 0x11;
    m[1] = tenths;
    xk_packet_put32(m + 4, group);
    xk_packet_put16(m + 2, xk_sum_fold(xk_sum(m, 8, 0)));
    raw(1, 0, 8); /* with hops that are too many */
    frame[14 + 8] = query_hops;
    frame[14 + 9] = XK_IP_IGMP;
    xk_packet_put32(frame + 30, group ? group : 0xe0000001);
    xk_packet_put16(frame + 24, 0);
    xk_packet_put16(frame + 24, xk_sum_fold(xk_sum(frame + 14, 20, 0)));
    EQ(xk_net_send(cable[1], &(struct xk_packet){frame, 42, 0, 0, 0}), 0);
    xk_net_kick(cable[1]);
}

TEST(routers_are_told_of_groups)
{
    enum { G = 0xe8000001, H = 0xe8000002 };
    struct xk_udp x = {.receive = on_datagram}, y = {.receive = on_datagram};

    open_net(0);
    EQ(xk_inet_set(a, A, 24, 0), 0);
    cable[1]->receive = on_igmp;
    igmps = 0;
    EQ(xk_udp_open(a, &x, 9), 0);
    EQ(xk_udp_open(a, &y, 10), 0);
    EQ(xk_udp_join(&x, xk_ip_of4(A)), XK_EINVAL);
    EQ(xk_udp_join(&x, xk_ip_of4(G)), 0);
    EQ(xk_udp_join(&x, xk_ip_of4(G)), XK_EEXIST);
    EQ(xk_udp_join(&y, xk_ip_of4(G)), 0);
    pass(11 * XK_SECOND);
    EQ(igmps, 2);
    EQ(igmp_types[0], 0x16);
    EQ(igmp_groups[1], G);
    EQ(igmp_to[1], G);
    EQ(xk_udp_join(&y, xk_ip_of4(H)), 0);
    pass(11 * XK_SECOND);
    EQ(igmps, 4);
    query(0, 10);
    pass(XK_SECOND);
    EQ(igmps, 6);
    query_hops = 2; /* it came over a router */
    query(0, 1);
    query_hops = 1;
    pass(XK_SECOND);
    EQ(igmps, 6);
    query(H, 0);
    pass(11 * XK_SECOND);
    EQ(igmps, 7);
    EQ(igmp_groups[6], H);
    EQ(xk_udp_leave(&x, xk_ip_of4(H)), XK_ENOENT);
    EQ(xk_udp_leave(&x, xk_ip_of4(G)), 0); /* the other one is there still */
    EQ(igmps, 7);
    xk_udp_close(&y);
    pass(XK_MS);
    EQ(igmps, 9);
    EQ(igmp_types[7], 0x17);
    EQ(igmp_to[7], 0xe0000002);
    xk_udp_close(&x);
    close_net();
}

TEST(who_joined_a_group_hears_it_and_nobody_else)
{
    struct xk_udp x = {.receive = on_datagram}, y = {.receive = on_datagram}, z = {.receive = on_datagram};
    struct xk_ip group = xk_ip_of4(0xe8000001);

    both();
    EQ(xk_udp_open(a, &x, 9), 0);
    EQ(xk_udp_open(b, &y, 9), 0);
    EQ(xk_udp_open(b, &z, 10), 0);
    EQ(xk_udp_join(&z, group), 0);
    EQ(xk_udp_send(&x, group, 9, "x", 1), 0); /* its host listens, but not that port */
    pass(XK_MS);
    EQ(got_count, 0);
    EQ(xk_udp_join(&y, group), 0);
    EQ(xk_udp_send(&x, group, 9, "x", 1), 0);
    pass(XK_MS);
    EQ(got_count, 1);
    EQ(xk_ip_to4(got_to), 0xe8000001);
    for (xk_ip4 i = 0; i < 30; i++)
        EQ(xk_udp_join(&y, xk_ip_of4(0xe9000000 + i)), 0);
    EQ(xk_udp_join(&y, xk_ip_of4(0xe9000100)), XK_EMFILE);
    xk_udp_close(&y);
    EQ(xk_udp_send(&x, group, 9, "x", 1), 0);
    pass(XK_MS);
    EQ(got_count, 1);
    xk_udp_close(&x);
    xk_udp_close(&z);
    close_net();
}

TEST(fragments_that_overlap_or_never_end_cost_little)
{
    struct xk_udp x = {.receive = on_datagram};
    struct xk_inet_stats s;

    open_net(0);
    EQ(xk_inet_set(a, A, 24, 0), 0);
    cable[1]->receive = on_raw;
    EQ(xk_udp_open(a, &x, 9), 0);
    got_count = 0;
    memset(frame, 0, sizeof(frame));
    xk_packet_put16(frame + 36, 9);
    xk_packet_put16(frame + 38, 24);
    raw(1, 0x2000, 16);
    raw(1, 2, 8); /* the other half: whole */
    EQ(got_count, 1);
    EQ(got_n, 16);
    raw(2, 0x2000, 16);
    raw(2, 0x2001, 16); /* overlaps */
    raw(2, 2, 8);
    EQ(got_count, 1);
    raw(8, 0x2000, 8);
    raw(8, 0x2000, 8); /* twice: as many bytes as there are, and a hole */
    raw(8, 2, 8);
    EQ(got_count, 1);
    raw(3, 2, 8); /* the last first */
    raw(3, 0x2000, 16);
    EQ(got_count, 2);
    raw(6, 0x2000 | 100, 40); /* farther than the last one ends: no count of bytes makes that whole */
    raw(6, 6, 8);
    raw(6, 0x2000, 8);
    EQ(got_count, 2);
    raw(4, 0x2000, 15);  /* not a multiple of eight */
    raw(4, 0x3fff, 800); /* beyond what there can be */
    for (uint16_t i = 0; i < 3000; i++)
        raw((uint16_t)(1000 + i), 0x2000 | 1000, 1000); /* far into datagrams that never become whole */
    xk_inet_stats(a, &s);
    OK(s.lost > 2900);
    for (uint16_t i = 0; i < 16; i++)
        raw((uint16_t)(5000 + i), 0x2000 | 8125, 8); /* 64 KiB each, for eight bytes */
    raw(7, 0x2000, 16);                              /* an honest one has its room */
    raw(7, 2, 8);
    EQ(got_count, 3);
    pass(20 * XK_SECOND);
    raw(5, 0x2000, 16);
    raw(5, 2, 8);
    EQ(got_count, 4);
    xk_udp_close(&x);
    close_net();
}

TEST(what_makes_no_sense_is_counted_and_nothing_else)
{
    struct xk_inet_stats s;
    uint64_t seed = 7;

    open_net(0);
    EQ(xk_inet_set(a, A, 24, 0), 0);
    cable[1]->receive = on_raw;
    for (int i = 0; i < 20000; i++) {
        struct xk_packet p = {frame, 0, 0, 0, 0};
        raw(1, 0, 30);
        p.len = 14 + (uint32_t)(seed >> 40) % 60;
        for (int k = 0; k < 3; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            frame[12 + (seed >> 33) % 50] = (uint8_t)(seed >> 25);
        }
        EQ(xk_net_send(cable[1], &p), 0);
        xk_net_kick(cable[1]);
    }
    xk_inet_stats(a, &s);
    OK(s.bad > 10000);
    close_net();
}
