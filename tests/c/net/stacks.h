/* Two stacks on one cable, in virtual time; or one, and frames by hand. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_NET_STACKS_H
#define XK_TESTS_NET_STACKS_H

#include <xenkit/fake.h>
#include <xenkit/inet6.h>

#include "tests/c/tap.h"

#include "tests/c/net/frames.h"

static struct xk_fake *world;
static struct xk_platform *dom;
static struct xk_loop *loop;
static struct xk_netdev *cable[2];
static struct xk_inet *a, *b;
static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};

static inline void open_net(int with_b)
{
    EQ(xk_fake_create(3, &world), 0);
    EQ(xk_fake_domain(world, "a", &dom), 0);
    EQ(xk_loop_create(NULL, dom, &loop), 0);
    EQ(xk_net_cable(xk_fake_alloc(world), macs, cable), 0);
    EQ(xk_inet_open(xk_fake_alloc(world), loop, cable[0], &a), 0);
    b = NULL;
    if (with_b)
        EQ(xk_inet_open(xk_fake_alloc(world), loop, cable[1], &b), 0);
}

static inline void close_net(void)
{
    char report[256];

    xk_inet_close(a);
    if (b)
        xk_inet_close(b);
    xk_net_close(cable[0]);
    xk_net_close(cable[1]);
    xk_loop_destroy(loop);
    xk_platform_close(dom);
    EQ(xk_fake_destroy(world, report, sizeof(report)), 0);
}

static inline void pass(xk_time ns)
{
    xk_time end = xk_now(dom) + ns;

    while (xk_loop_run_once(loop, XK_NOW) > 0)
        ;
    while (xk_now(dom) < end) {
        xk_time next = xk_loop_next(loop);
        xk_fake_advance(world, (next < end ? next > xk_now(dom) ? next - xk_now(dom) : 1 : end - xk_now(dom)));
        while (xk_loop_run_once(loop, XK_NOW) > 0)
            ;
    }
}

/* --- what came out ------------------------------------------------------------------------------------------------ */

static uint8_t got[70000];
static size_t got_n, got_count;
static struct xk_ip got_from, got_to;
static uint16_t got_port;

static inline void on_datagram(struct xk_udp *u, struct xk_ip from, uint16_t port, struct xk_ip to, const uint8_t *data,
                               size_t n)
{
    (void)u;
    memcpy(got, data, n);
    got_n = n;
    got_from = from;
    got_to = to;
    got_port = port;
    got_count++;
}

static inline void on_echo(struct xk_udp *u, struct xk_ip from, uint16_t port, struct xk_ip to, const uint8_t *data,
                           size_t n)
{
    (void)to;
    EQ(xk_udp_send(u, from, port, data, n), 0);
}

static int failed_err, failures;
static struct xk_ip failed_to;
static inline void on_failed(struct xk_udp *u, struct xk_ip to, uint16_t port, int err)
{
    (void)u;
    (void)port;
    failed_to = to;
    failed_err = err;
    failures++;
}

static int ping_err, pings;
static xk_time ping_took;
static inline void on_pong(struct xk_ping *p, int err, xk_time took)
{
    (void)p;
    ping_err = err;
    ping_took = took;
    pings++;
}

#endif
