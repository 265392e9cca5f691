/* The world of the tests of large packets: domains 1 and 2 are guests, 3 has a switch and, at its third port, an end of
 * a cable. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_NET_PARTS_H
#define XK_TESTS_NET_PARTS_H

#include <xenkit/fake.h>
#include <xenkit/netback.h>
#include <xenkit/netfront.h>
#include <xenkit/ring.h>
#include <xenkit/switch.h>

#include "tests/c/tap.h" /* first */

#include "drivers/net/proto.h"
#include "drivers/net/queues.h"
#include "tests/c/net/frames.h"

enum { ALL = XK_NET_CSUM4 | XK_NET_CSUM6 | XK_NET_GSO4 | XK_NET_GSO6 | XK_NET_LARGE, CABLE = 2 };

struct sink {
    uint8_t bytes[1 << 21];
    struct xk_packet p[400];
    size_t used, n;
};

static struct xk_fake *world;
static struct xk_platform *dom[4];
static struct xk_loop *loop[4];
static struct xk_netfront *front[2];
static struct xk_netback *back[2];
static struct xk_switch *sw;
static struct xk_switch_port *port[3];
static struct xk_netdev *end[3], *plug[3]; /* the fronts and our end of the cable; what the switch has */
static struct sink sink[3];
static int broken;

static uint64_t seed = 1;
static inline unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* --- the world ---------------------------------------------------------------------------------------------------- */

static inline void receive(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    struct sink *s = d->user;

    for (unsigned i = 0; i < n; i++) {
        OK(s->n < 400 && s->used + p[i].len <= sizeof(s->bytes));
        EQ(xk_packet_whole(&p[i]), 0);
        memcpy(s->bytes + s->used, p[i].data, p[i].len);
        s->p[s->n] = p[i];
        s->p[s->n++].data = s->bytes + s->used;
        s->used += p[i].len;
    }
}

static inline void take(int i, struct xk_netdev *d)
{
    end[i] = d;
    d->receive = receive;
    d->user = &sink[i];
}

static inline void on_broken(void *arg, int err)
{
    (void)arg;
    broken = err;
}

static inline void empty_sinks(void)
{
    for (int i = 0; i < 3; i++)
        sink[i].n = sink[i].used = 0;
}

static inline void world_without_guests(void)
{
    static const uint8_t mac[2][6] = {{2, 0, 0, 0, 0, 3}, {2, 0, 0, 0, 0, 3}};
    struct xk_netdev *ends[2];

    EQ(xk_fake_create(1, &world), 0);
    for (int i = 0; i < 4; i++) {
        char name[2] = {(char)('a' + i), 0};
        EQ(xk_fake_domain(world, name, &dom[i]), 0);
        EQ(xk_loop_create(NULL, dom[i], &loop[i]), 0);
    }
    EQ(xk_switch_create(xk_fake_alloc(world), loop[3], &sw), 0);
    EQ(xk_net_cable(xk_fake_alloc(world), mac, ends), 0);
    take(CABLE, ends[0]);
    plug[CABLE] = ends[1];
    EQ(xk_switch_add(sw, plug[CABLE], NULL, &port[CABLE]), 0);
    broken = 0;
    empty_sinks();
}

static inline struct xk_netback_config back_config(int i)
{
    struct xk_netback_config c = {.front = (xk_domid)(i + 1), .features = ALL, .broken = on_broken};

    memcpy(c.mac, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(i + 1)}, 6);
    return c;
}

static inline void add_back(int i, const struct xk_netback_config *c)
{
    EQ(xk_netback_open(xk_fake_alloc(world), loop[3], c, &back[i]), 0);
    plug[i] = xk_netback_device(back[i]);
    EQ(xk_switch_add(sw, plug[i], NULL, &port[i]), 0);
}

static inline void add_guest(int i, struct xk_netback_config c)
{
    struct xk_netfront_config f = {.back = 3, .features = ALL};
    struct xk_netfront_rings rings;

    EQ(xk_netfront_create(xk_fake_alloc(world), loop[i + 1], &f, &front[i]), 0);
    take(i, xk_netfront_device(front[i]));
    xk_netfront_rings(front[i], &rings);
    c.tx = rings.tx;
    c.rx = rings.rx;
    c.tx_port = rings.tx_port;
    c.rx_port = rings.rx_port;
    add_back(i, &c);
    xk_netfront_connect(front[i]);
}

static inline void run(void)
{
    for (int idle = 0; idle < 3;) {
        int n = 0;
        for (int i = 1; i < 4; i++)
            n += xk_loop_run_once(loop[i], XK_NOW);
        idle = n > 0 ? 0 : idle + 1;
    }
}

/* A frame of these lengths, so that the switch knows where the three are. */
static inline void say(int from, int to, uint8_t *f, uint32_t len)
{
    struct xk_packet p = {f, len, 0, 0, 0, NULL};

    memset(f, 0, len);
    memcpy(f, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(to + 1)}, 6);
    memcpy(f + 6, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(from + 1)}, 6);
    EQ(xk_net_send(end[from], &p), 0);
    xk_net_kick(end[from]);
    run();
}

static inline void open_all(void)
{
    uint8_t f[60];

    world_without_guests();
    add_guest(0, back_config(0));
    add_guest(1, back_config(1));
    run();
    for (int i = 0; i < 3; i++)
        say(i, (i + 1) % 3, f, sizeof(f));
    empty_sinks();
}

static inline void close_all(void)
{
    char report[512] = "";

    xk_switch_destroy(sw);
    for (int i = 0; i < 3; i++) {
        xk_net_close(plug[i]);
        xk_net_close(end[i]);
        end[i] = plug[i] = NULL;
    }
    for (int i = 0; i < 4; i++) {
        xk_loop_destroy(loop[i]);
        xk_platform_close(dom[i]);
    }
    OK(xk_fake_destroy(world, report, sizeof(report)) == 0);
    EQ(report[0], 0);
}

/* The first guest's back end is not the switch's any more: (fn) has what it brings, in parts. */
static inline void bring_parts_to(void (*fn)(struct xk_netdev *d, const struct xk_packet *p, unsigned n), void *user)
{
    xk_switch_remove(port[0]);
    plug[0]->receive = fn;
    plug[0]->user = user;
    plug[0]->parts = 1;
}

static inline struct xk_netback_stats stats(int i)
{
    struct xk_netback_stats s;

    xk_netback_stats(back[i], &s);
    return s;
}

/* A TCP frame from one to another, (payload) bytes that differ by (n). */
static inline struct xk_packet tcp(uint8_t *f, int from, int to, uint32_t payload, int n)
{
    struct xk_packet p = {f, frame_tcp(f, n & 1 ? 6 : 4, payload, (uint8_t)n), XK_PACKET_CSUM_VALID, 0, 0, NULL};

    f[5] = (uint8_t)(to + 1);
    f[11] = (uint8_t)(from + 1);
    if (to > 2)
        memset(f, 255, 6);
    if (payload > 1460) {
        p.gso = n & 1 ? XK_GSO_TCP6 : XK_GSO_TCP4;
        p.gso_size = 1400;
        p.flags |= XK_PACKET_CSUM_BLANK;
    }
    return p;
}

static inline void is_there(int at, size_t i, const struct xk_packet *want)
{
    OK(i < sink[at].n);
    EQ(sink[at].p[i].len, want->len);
    EQ(sink[at].p[i].gso, want->gso);
    EQ(sink[at].p[i].gso_size, want->gso_size);
    EQ(sink[at].p[i].flags, want->flags);
    MEMEQ(sink[at].p[i].data, want->data, want->len);
}

/* --- traffic --------------------------------------------------------------------------------------------------------
 */

static uint8_t bytes[20][65536];

/* Some packets of all sizes each way, (kicked) together. */
static inline void churn(int rounds)
{
    static const uint32_t sizes[] = {0, 1, 1460, 3996, 4042, 4043, 4096, 8000, 30000, 65400};
    struct xk_packet p[20];

    for (int round = 0; round < rounds; round++) {
        int from = round & 1, n = 1 + (int)roll(6);
        empty_sinks();
        for (int i = 0; i < n; i++) {
            p[i] = tcp(bytes[i], from, !from, roll(2) ? sizes[roll(10)] : roll(65400), round + i);
            EQ(xk_net_send(end[from], &p[i]), 0);
        }
        xk_net_kick(end[from]);
        run();
        EQ(sink[!from].n, n);
        EQ(sink[CABLE].n, 0);
        for (int i = 0; i < n; i++)
            is_there(!from, (size_t)i, &p[i]);
    }
}

#endif
