/* The switch: who hears what. SPDX-License-Identifier: MIT */
#include <xenkit/fake.h>
#include <xenkit/switch.h>

#include "tests/c/tap.h"

#include "tests/c/net/frames.h"

enum { N = 5 };

static struct xk_fake *world;
static struct xk_platform *dom;
static struct xk_loop *loop;
static struct xk_switch *sw;
static struct xk_netdev *end[N], *plug[N]; /* the test's end of each cable, and the switch's */
static struct xk_switch_port *port[N];
static int got[N], seen[2];
static uint8_t last[N][64];

static void on_frame(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    int i = (int)(intptr_t)d->user;

    got[i] += (int)n;
    memcpy(last[i], p[n - 1].data, 60);
}

static void see(void *arg, const struct xk_packet *p, int out)
{
    (void)p;
    OK(arg == seen);
    seen[out]++;
}

static void mac_of(uint8_t mac[6], int i)
{
    memset(mac, 0, 6);
    mac[0] = 2;
    mac[5] = (uint8_t)i;
}

static void open_all(const struct xk_switch_options *o)
{
    EQ(xk_fake_create(1, &world), 0);
    EQ(xk_fake_domain(world, "a", &dom), 0);
    EQ(xk_loop_create(NULL, dom, &loop), 0);
    EQ(xk_switch_create(xk_fake_alloc(world), loop, &sw), 0);
    for (int i = 0; i < N; i++) {
        uint8_t mac[2][6];
        struct xk_netdev *ends[2];
        mac_of(mac[0], i);
        mac_of(mac[1], i);
        EQ(xk_net_cable(xk_fake_alloc(world), (const uint8_t(*)[6])mac, ends), 0);
        end[i] = ends[0];
        plug[i] = ends[1];
        end[i]->receive = on_frame;
        end[i]->user = (void *)(intptr_t)i;
        EQ(xk_switch_add(sw, plug[i], o ? &o[i] : NULL, &port[i]), 0);
        got[i] = 0;
    }
    seen[0] = seen[1] = 0;
}

static void close_all(void)
{
    char report[256];

    for (int i = 0; i < N; i++) {
        xk_net_close(end[i]);
        if (port[i])
            xk_switch_remove(port[i]);
        xk_net_close(plug[i]);
    }
    xk_switch_destroy(sw);
    xk_loop_destroy(loop);
    xk_platform_close(dom);
    EQ(xk_fake_destroy(world, report, sizeof(report)), 0);
}

/* From (i) as (mac_from), to (to): -1 all. */
static void say_as(int i, int mac_from, int to)
{
    uint8_t f[60] = {0};
    struct xk_packet p = {f, 60, 0, 0, 0};

    mac_of(f + 6, mac_from);
    if (to < 0)
        memset(f, 255, 6);
    else
        mac_of(f, to);
    memset(got, 0, sizeof(got));
    EQ(xk_net_send(end[i], &p), 0);
    xk_net_kick(end[i]);
}
static void say(int i, int to) { say_as(i, i, to); }

static void heard(int a, int b, int c, int d, int e)
{
    int want[N] = {a, b, c, d, e};

    for (int i = 0; i < N; i++)
        EQ(got[i], want[i]);
}

TEST(who_is_known_hears_alone)
{
    open_all(NULL);
    say(0, 1);
    heard(0, 1, 1, 1, 1); /* nobody has heard of 1 yet */
    say(1, 0);
    heard(1, 0, 0, 0, 0);
    say(0, 1);
    heard(0, 1, 0, 0, 0);
    say(2, -1);
    heard(1, 1, 0, 1, 1);
    say(2, 2); /* to oneself */
    heard(0, 0, 0, 0, 0);
    xk_fake_advance(world, 301 * XK_SECOND);
    say(0, 1);
    heard(0, 1, 1, 1, 1);
    close_all();
}

TEST(an_address_moves)
{
    open_all(NULL);
    say(1, 0);
    say_as(3, 1, 0); /* the domain moved to another port */
    say(0, 1);
    heard(0, 0, 0, 1, 0);
    close_all();
}

TEST(vlans_do_not_see_each_other)
{
    struct xk_switch_options o[N] = {{.vlan = 5}, {.vlan = 5}, {.vlan = 6}, {.vlan = 6}, {.vlan = 0}};

    open_all(o);
    say(0, -1);
    heard(0, 1, 0, 0, 0);
    say_as(2, 1, -1); /* an address of another VLAN takes nothing away there */
    heard(0, 0, 0, 1, 0);
    say(1, 0);
    say(0, 1);
    heard(0, 1, 0, 0, 0);
    say(4, -1);
    heard(0, 0, 0, 0, 0);
    o[0].vlan = 4095;
    EQ(xk_switch_add(sw, plug[0], &o[0], &port[0]), XK_EINVAL);
    close_all();
}

/* A port that may use tags sends one of a VLAN that others are in without knowing it. */
TEST(a_tag_takes_nothing_from_a_vlan_of_plain_ports)
{
    struct xk_switch_options o[N] = {{.vlan = 7}, {.vlan = 7}, {.vlan = 0}, {.vlan = 0}, {.vlan = 0}};
    uint8_t f[64] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 7};
    struct xk_packet p = {f, 64, 0, 0, 0};

    open_all(o);
    say(1, 0);
    EQ(xk_net_send(end[2], &p), 0); /* as if it were the address of 1 */
    xk_net_kick(end[2]);
    say(0, 1);
    heard(0, 1, 0, 0, 0);
    close_all();
}

TEST(strict_ports_cannot_pretend)
{
    struct xk_switch_options o[N] = {{.strict = 1, .see = see, .arg = seen}};
    struct xk_switch_stats s;

    open_all(o);
    say_as(0, 1, -1);
    heard(0, 0, 0, 0, 0);
    say(0, -1);
    heard(0, 1, 1, 1, 1);
    say(1, 0);
    xk_switch_stats(port[0], &s);
    EQ(s.spoofed, 1);
    EQ(s.packets[0], 2);
    EQ(s.packets[1], 1);
    EQ(seen[0], 2);
    EQ(seen[1], 1);
    close_all();
}

TEST(nobody_fills_the_table)
{
    struct xk_switch_stats s;
    uint8_t mac[6];

    open_all(NULL);
    say(1, -1);
    for (int i = 0; i < 100000; i++) {
        uint8_t f[60] = {2};
        struct xk_packet p = {f, 60, 0, 0, 0};
        xk_packet_put32(f + 7, (uint32_t)i * 2654435761u);
        f[6] = 4;
        EQ(xk_net_send(end[0], &p), 0);
        xk_net_kick(end[0]);
    }
    xk_switch_stats(port[0], &s);
    EQ(s.addresses, 64);
    mac_of(mac, 1);
    OK(xk_switch_find(sw, 0, mac) == port[1]);
    xk_switch_remove(port[0]);
    port[0] = NULL;
    OK(xk_switch_find(sw, 0, mac) == port[1]);
    close_all();
}

/* A port is taken away by what a frame leads to. */
static void remove_it(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    (void)d;
    (void)p;
    (void)n;
    xk_switch_remove(port[0]);
    port[0] = NULL;
}

TEST(a_port_goes_while_it_speaks)
{
    open_all(NULL);
    end[2]->receive = remove_it;
    say(0, -1);
    heard(0, 1, 0, 1, 1);
    end[2]->receive = on_frame;
    say(0, -1);
    heard(0, 0, 0, 0, 0);
    say(1, 0);
    heard(0, 0, 1, 1, 1);
    close_all();
}
