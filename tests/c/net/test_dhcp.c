/* DHCP, client and server back to back or one and messages by hand, in virtual time. SPDX-License-Identifier: MIT */
#include <xenkit/dhcp.h>

#include "tests/c/tap.h"

#include "tests/c/net/stacks.h"

enum { A = 0x0a000001, B = 0x0a000002, GATE = 0x0a0000fe, FAR = 0x08080808 };

static uint8_t frame[2000];
static struct xk_dhcp_lease lease;
static int leases, losses;
static void on_lease(void *arg, const struct xk_dhcp_lease *l)
{
    (void)arg;
    if (l) {
        lease = *l;
        leases++;
    } else {
        losses++;
    }
}

static struct xk_dhcp_server_config dhcp_config(void)
{
    return (struct xk_dhcp_server_config){.first = 0x0a000010,
                                          .last = 0x0a000013,
                                          .seconds = 1000,
                                          .router = GATE,
                                          .dns = {0x0a000035, 0x01010101},
                                          .dns_count = 2,
                                          .mtu = 1400,
                                          .domain = "lab.example"};
}

TEST(a_client_gets_an_address_and_keeps_it)
{
    struct xk_dhcp_server_config c = dhcp_config();
    struct xk_dhcp_client *client;
    struct xk_dhcp_server *server;
    struct xk_dhcp_binding bound;
    unsigned prefix;
    xk_ip4 gateway;

    open_net(1);
    EQ(xk_inet_set(b, B, 24, 0), 0);
    leases = losses = 0;
    EQ(xk_dhcp_server_start(xk_fake_alloc(world), loop, b, &c, &server), 0);
    EQ(xk_dhcp_client_start(xk_fake_alloc(world), loop, a, "db-1", on_lease, NULL, &client), 0);
    pass(XK_MS);
    EQ(leases, 1);
    OK(lease.address >= c.first && lease.address <= c.last);
    EQ(xk_inet_address(a, &prefix, &gateway), lease.address);
    EQ(prefix, 24);
    EQ(gateway, GATE);
    EQ(lease.dns_count, 2);
    EQ(lease.dns[1], 0x01010101);
    EQ(lease.mtu, 1400);
    STREQ(lease.domain, "lab.example");
    EQ(xk_dhcp_server_binding(server, 0, &bound), 0);
    EQ(bound.address, lease.address);
    STREQ(bound.name, "db-1");
    MEMEQ(bound.mac, macs[0], 6);
    EQ(xk_dhcp_server_binding(server, 1, &bound), XK_ENOENT);
    pass(4000 * XK_SECOND); /* renewed again and again */
    OK(leases >= 8 && leases <= 10);
    EQ(losses, 0);
    xk_dhcp_server_stop(server); /* and lost, when there is nobody to renew it with */
    pass(1001 * XK_SECOND);
    EQ(losses, 1);
    EQ(xk_inet_address(a, NULL, NULL), 0);
    c.first = 0x0a000020;
    c.last = 0x0a000020;
    EQ(xk_dhcp_server_start(xk_fake_alloc(world), loop, b, &c, &server), 0);
    pass(70 * XK_SECOND);
    EQ(xk_inet_address(a, NULL, NULL), 0x0a000020);
    xk_dhcp_client_stop(client);
    xk_dhcp_server_stop(server);
    close_net();
}

TEST(an_address_that_is_not_of_this_network_is_refused)
{
    struct xk_dhcp_server_config c = dhcp_config();
    struct xk_dhcp_client *client;
    struct xk_dhcp_server *server;

    open_net(1);
    EQ(xk_inet_set(b, B, 24, 0), 0);
    leases = losses = 0;
    EQ(xk_dhcp_server_start(xk_fake_alloc(world), loop, b, &c, &server), 0);
    EQ(xk_dhcp_client_start(xk_fake_alloc(world), loop, a, NULL, on_lease, NULL, &client), 0);
    pass(XK_MS);
    EQ(leases, 1);
    xk_dhcp_server_stop(server);
    c.first = 0x0a000080; /* the server comes back with other addresses */
    c.last = 0x0a000081;
    EQ(xk_dhcp_server_start(xk_fake_alloc(world), loop, b, &c, &server), 0);
    pass(600 * XK_SECOND);
    EQ(losses, 1);
    OK(xk_inet_address(a, NULL, NULL) >= c.first);
    xk_dhcp_client_stop(client);
    xk_dhcp_server_stop(server);
    close_net();
}

/* The device was down and is up again: the same network, another one, or one without a server. */
TEST(a_client_asks_again_when_its_device_comes_up)
{
    struct xk_dhcp_server_config c = dhcp_config();
    struct xk_dhcp_client *client;
    struct xk_dhcp_server *server;
    xk_ip4 first;

    open_net(1);
    EQ(xk_inet_set(b, B, 24, 0), 0);
    leases = losses = 0;
    EQ(xk_dhcp_server_start(xk_fake_alloc(world), loop, b, &c, &server), 0);
    EQ(xk_dhcp_client_start(xk_fake_alloc(world), loop, a, NULL, on_lease, NULL, &client), 0);
    pass(XK_MS);
    first = lease.address;
    cable[0]->changed(cable[0]);
    pass(XK_MS);
    EQ(leases, 2);
    EQ(lease.address, first);
    xk_dhcp_server_stop(server);
    cable[0]->changed(cable[0]);
    pass(60 * XK_SECOND); /* nobody says no: it is kept */
    EQ(losses, 0);
    EQ(xk_inet_address(a, NULL, NULL), first);
    c.first = 0x0a000080;
    c.last = 0x0a000080;
    EQ(xk_dhcp_server_start(xk_fake_alloc(world), loop, b, &c, &server), 0);
    cable[0]->changed(cable[0]);
    pass(XK_MS);
    EQ(losses, 1);
    EQ(xk_inet_address(a, NULL, NULL), 0x0a000080);
    xk_dhcp_client_stop(client);
    xk_dhcp_server_stop(server);
    close_net();
}

/* A client by hand, of any hardware address. */
static uint8_t answer_type, dhcp_pretends;
static xk_ip4 answer_ip;
static void on_dhcp(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    (void)d;
    for (unsigned i = 0; i < n; i++)
        if (p[i].len > 285 && p[i].data[23] == XK_IP_UDP) {
            answer_ip = xk_packet_get32(p[i].data + 42 + 16);
            answer_type = p[i].data[42 + 242];
            OK(p[i].len <= 590);
        }
}

static void dhcp_say(uint8_t who, uint8_t type, xk_ip4 requested, xk_ip4 server)
{
    uint8_t *m = frame + 42;
    size_t n = 240;
    struct xk_packet p = {frame, 0, XK_PACKET_CSUM_VALID, 0, 0};
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};

    memset(frame, 0, sizeof(frame));
    m[0] = m[1] = 1;
    m[2] = 6;
    m[33] = who;
    xk_packet_put32(m + 236, 0x63825363);
    m[n++] = 53;
    m[n++] = 1;
    m[n++] = type;
    if (requested) {
        m[n] = 50;
        m[n + 1] = 4;
        xk_packet_put32(m + n + 2, requested);
        n += 6;
    }
    if (server) {
        m[n] = 54;
        m[n + 1] = 4;
        xk_packet_put32(m + n + 2, server);
        n += 6;
    }
    m[n++] = 255;
    frame_ether(frame, all, m + 28, XK_ETHER_IP4); /* its own address is that of the frame, */
    frame[11] ^= dhcp_pretends;                    /* or not */
    frame[14] = 0x45;
    xk_packet_put16(frame + 16, (uint16_t)(28 + n));
    frame[22] = 64;
    frame[23] = XK_IP_UDP;
    xk_packet_put32(frame + 30, 0xffffffff);
    xk_packet_put16(frame + 24, xk_sum_fold(xk_sum(frame + 14, 20, 0)));
    xk_packet_put16(frame + 34, 68);
    xk_packet_put16(frame + 36, 67);
    xk_packet_put16(frame + 38, (uint16_t)(8 + n));
    p.len = (uint32_t)(42 + n);
    answer_type = 0;
    EQ(xk_net_send(cable[1], &p), 0);
    xk_net_kick(cable[1]);
    pass(XK_MS);
}

TEST(four_addresses_serve_four_clients)
{
    struct xk_dhcp_server_config c = dhcp_config();
    struct xk_dhcp_binding kept = {.address = 0x0a000011, .mac = {0, 0, 0, 0, 0, 9}, .seconds = 500};
    struct xk_dhcp_server *server;
    xk_ip4 ip[8];

    open_net(0);
    EQ(xk_inet_set(a, A, 24, 0), 0);
    EQ(xk_dhcp_server_start(xk_fake_alloc(world), loop, a, &c, &server), 0);
    cable[1]->receive = on_dhcp;
    EQ(xk_dhcp_server_keep(server, &kept), 0);
    EQ(xk_dhcp_server_keep(server, &kept), XK_EINVAL);
    for (uint8_t i = 1; i <= 3; i++) {
        dhcp_say(i, 1, 0, 0);
        EQ(answer_type, 2);
        ip[i] = answer_ip;
        dhcp_say(i, 3, ip[i], A);
        EQ(answer_type, 5);
        OK(ip[i] != kept.address);
        for (int k = 1; k < i; k++)
            OK(ip[k] != ip[i]);
    }
    dhcp_say(9, 1, 0, 0); /* it has had one before */
    EQ(answer_ip, kept.address);
    dhcp_say(4, 1, 0, 0); /* none is left */
    EQ(answer_type, 0);
    dhcp_say(4, 3, ip[1], 0); /* another's */
    EQ(answer_type, 6);
    dhcp_say(4, 3, 0x0b000001, 0);
    EQ(answer_type, 6);
    dhcp_say(2, 4, ip[2], 0); /* declined: somebody uses it */
    dhcp_say(4, 1, 0, 0);
    EQ(answer_type, 0);
    pass(700 * XK_SECOND);
    dhcp_say(4, 1, 0, 0); /* 10 minutes later it is tried again; and leases have ended */
    EQ(answer_type, 2);
    dhcp_say(1, 3, ip[1], 0);
    EQ(answer_type, 5);
    dhcp_pretends = 1; /* who speaks for another is not heard */
    dhcp_say(1, 3, ip[1], 0);
    EQ(answer_type, 0);
    dhcp_say(1, 7, 0, 0);
    dhcp_pretends = 0;
    dhcp_say(1, 3, ip[1], 0);
    EQ(answer_type, 5);
    xk_dhcp_server_stop(server);
    close_net();
}

TEST(a_server_needs_addresses_that_make_sense)
{
    struct xk_dhcp_server_config c = dhcp_config();
    struct xk_dhcp_server *server;

    open_net(0);
    EQ(xk_dhcp_server_start(NULL, loop, a, &c, &server), XK_EINVAL); /* no address of its own */
    EQ(xk_inet_set(a, A, 24, 0), 0);
    c.last = c.first - 1;
    EQ(xk_dhcp_server_start(NULL, loop, a, &c, &server), XK_EINVAL);
    c = dhcp_config();
    c.first = 0x0b000001;
    c.last = 0x0b000002;
    EQ(xk_dhcp_server_start(NULL, loop, a, &c, &server), XK_EINVAL);
    c = dhcp_config();
    c.seconds = 5;
    EQ(xk_dhcp_server_start(NULL, loop, a, &c, &server), XK_EINVAL);
    close_net();
}
