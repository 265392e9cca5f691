/* Frames into a stack that has sockets, gives addresses to others, or asks for one itself, with IPv6 and without. The
 * first byte says which (1: gives addresses, 2: no IPv6); then a length of two bytes and a frame, again and again; a
 * length of 0: time passes; its first bit: the checksums are made right.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <xenkit/dhcp.h>
#include <xenkit/fake.h>
#include <xenkit/inet6.h>
#include <xenkit/packet.h>

#include "tests/c/fuzz/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ADDRESS = 0x0a000001 };

static void on_datagram(struct xk_udp *u, struct xk_ip from, uint16_t port, struct xk_ip to, const uint8_t *data,
                        size_t n)
{
    (void)to;
    (void)xk_udp_send(u, from, port, data, n);
}

static void on_lease(void *arg, const struct xk_dhcp_lease *l)
{
    (void)arg;
    must(!l || l->dns_count <= 3);
}

static void on_answer(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    (void)d;
    for (unsigned i = 0; i < n; i++)
        must(p[i].len >= XK_ETHER_HEAD && p[i].len <= 1514);
}

/* Makes the checksums right, which no chance would. */
static void mend(uint8_t *f, uint32_t n)
{
    struct xk_packet_heads h;
    uint32_t sum;

    if (n >= 34 && xk_packet_get16(f + 12) == XK_ETHER_IP4 && n >= 14 + (f[14] & 15) * 4u) {
        xk_packet_put16(f + 24, 0);
        xk_packet_put16(f + 24, xk_sum_fold(xk_sum(f + 14, (f[14] & 15) * 4u, 0)));
    }
    if (xk_packet_heads(f, n, &h) < 0 || !h.l4 || h.end - h.l4 < 8)
        return;
    (void)xk_packet_fill(f, n);
    if (h.proto == XK_IP_ICMP || h.proto == XK_IP_IGMP || h.proto == XK_IP_ICMP6) {
        sum = h.proto == XK_IP_ICMP6 ? xk_packet_pseudo(f, &h, h.end - h.l4) : 0;
        xk_packet_put16(f + h.l4 + 2, 0);
        xk_packet_put16(f + h.l4 + 2, xk_sum_fold(xk_sum(f + h.l4, h.end - h.l4, sum)));
    }
}

static void feed(struct xk_fake *w, struct xk_loop *loop, struct xk_netdev *from, const uint8_t *data, size_t size)
{
    while (size >= 2) {
        size_t n = (size_t)((data[0] & 0x7f) << 8 | data[1]);
        int right = data[0] & 0x80;
        uint8_t *frame;
        struct xk_packet p;
        data += 2;
        size -= 2;
        n = n < size ? n : size;
        if (n == 0)
            xk_fake_advance(w, XK_SECOND);
        if (n >= XK_ETHER_HEAD) {
            frame = malloc(n); /* of this length exactly */
            must(frame != NULL);
            memcpy(frame, data, n);
            if (right)
                mend(frame, (uint32_t)n);
            p = (struct xk_packet){frame, (uint32_t)n, 0, 0, 0};
            must(xk_net_send(from, &p) == 0);
            xk_net_kick(from);
            free(frame);
        }
        while (xk_loop_run_once(loop, XK_NOW) > 0)
            ;
        data += n;
        size -= n;
    }
}

static void on_failed(struct xk_udp *u, struct xk_ip to, uint16_t port, int err)
{
    (void)u;
    (void)to;
    (void)port;
    must(err == XK_EGONE || err == XK_ECONNREFUSED);
}

static struct xk_advertiser *start6(struct xk_inet *s, struct xk_loop *loop, struct xk_fake *w, struct xk_udp *u,
                                    int router)
{
    struct xk_advertiser_config c = {.router = 1800};
    struct xk_advertiser *r = NULL;
    struct xk_ip own, group;

    must(xk_ip_read("fd00::1", &own) == 0 && xk_ip_read("ff02::5", &group) == 0 &&
         xk_ip_read("fd00::", &c.prefix) == 0);
    must(xk_inet6_start(s, router ? XK_INET6_QUIET : 0) == 0 && xk_inet6_add(s, own, 64) == 0 &&
         xk_udp_join(u, group) == 0);
    if (router)
        must(xk_advertiser_start(xk_fake_alloc(w), loop, s, &c, &r) == 0);
    for (int i = 0; i < 4; i++) {
        xk_fake_advance(w, XK_SECOND);
        while (xk_loop_run_once(loop, XK_NOW) > 0)
            ;
    }
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
    struct xk_dhcp_server_config c = {.first = ADDRESS + 15, .last = ADDRESS + 18};
    struct xk_udp u = {.receive = on_datagram, .failed = on_failed};
    struct xk_advertiser *router = NULL;
    struct xk_dhcp_client *client = NULL;
    struct xk_dhcp_server *server = NULL;
    struct xk_netdev *ends[2];
    struct xk_platform *dom;
    struct xk_loop *loop;
    struct xk_inet *s;
    struct xk_fake *w;
    char report[256];

    if (size == 0 || size > 65536)
        return 0;
    must(xk_fake_create(1, &w) == 0 && xk_fake_domain(w, "a", &dom) == 0 && xk_loop_create(NULL, dom, &loop) == 0);
    must(xk_net_cable(xk_fake_alloc(w), macs, ends) == 0 && xk_inet_open(xk_fake_alloc(w), loop, ends[0], &s) == 0);
    ends[1]->receive = on_answer;
    must(xk_udp_open(s, &u, 7) == 0);
    if (data[0] & 1) {
        must(xk_inet_set(s, ADDRESS, 24, ADDRESS + 1) == 0);
        must(xk_dhcp_server_start(xk_fake_alloc(w), loop, s, &c, &server) == 0);
    } else {
        must(xk_dhcp_client_start(xk_fake_alloc(w), loop, s, "x", on_lease, NULL, &client) == 0);
    }
    if (!(data[0] & 2))
        router = start6(s, loop, w, &u, data[0] & 1);
    feed(w, loop, ends[1], data + 1, size - 1);
    if (router)
        xk_advertiser_stop(router);
    if (server)
        xk_dhcp_server_stop(server);
    if (client)
        xk_dhcp_client_stop(client);
    xk_udp_close(&u);
    xk_inet_close(s);
    xk_net_close(ends[0]);
    xk_net_close(ends[1]);
    xk_loop_destroy(loop);
    xk_platform_close(dom);
    must(xk_fake_destroy(w, report, sizeof(report)) == 0);
    return 0;
}
