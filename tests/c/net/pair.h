/* A network's two halves in a fake world: domain 1 has the front end, domain 2 the back end.
 * SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_NET_PAIR_H
#define XK_TESTS_NET_PAIR_H

#include <xenkit/netback.h>
#include <xenkit/netfront.h>

#include "tests/c/tap.h" /* first */

#include "tests/c/net/frames.h"
#include "tests/c/platform/world.h"

enum { NET_ALL = XK_NET_CSUM4 | XK_NET_CSUM6 | XK_NET_GSO4 | XK_NET_GSO6 | XK_NET_LARGE };

/* What came out at one end: packets one behind the other. */
struct sink {
    uint8_t bytes[1 << 20];
    struct xk_packet p[2000];
    size_t used, n;
    int rooms;
};

struct net_pair {
    struct world w;
    struct xk_loop *front_loop, *back_loop;
    struct xk_netfront *front;
    struct xk_netback *back;
    struct xk_netfront_config fc;
    struct xk_netback_config bc;
    struct xk_netdev *end[2]; /* front, back */
    struct sink sink[2];
    int front_broken, back_broken;
};

static inline void net_front_broken(void *arg, int err) { ((struct net_pair *)arg)->front_broken = err; }
static inline void net_back_broken(void *arg, int err) { ((struct net_pair *)arg)->back_broken = err; }

static inline void net_receive(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    struct sink *s = d->user;

    for (unsigned i = 0; i < n; i++) {
        OK(s->n < 2000 && s->used + p[i].len <= sizeof(s->bytes));
        memcpy(s->bytes + s->used, p[i].data, p[i].len);
        s->p[s->n] = p[i];
        s->p[s->n++].data = s->bytes + s->used;
        s->used += p[i].len;
    }
}

static inline void net_room(struct xk_netdev *d) { ((struct sink *)d->user)->rooms++; }

static inline void net_sink(struct net_pair *p, int end)
{
    p->end[end]->receive = net_receive;
    p->end[end]->room = net_room;
    p->end[end]->user = &p->sink[end];
}

static inline void net_world(struct net_pair *p)
{
    memset(p, 0, offsetof(struct net_pair, sink));
    p->sink[0].n = p->sink[0].used = p->sink[1].n = p->sink[1].used = 0;
    p->sink[0].rooms = p->sink[1].rooms = p->front_broken = p->back_broken = 0;
    world_open_fake(&p->w);
    EQ(xk_loop_create(NULL, p->w.dom[1], &p->front_loop), 0);
    EQ(xk_loop_create(NULL, p->w.dom[2], &p->back_loop), 0);
    p->fc.back = 2;
    p->fc.features = p->bc.features = NET_ALL;
}

static inline int net_front(struct net_pair *p)
{
    int r = xk_netfront_create(xk_fake_alloc(p->w.fake), p->front_loop, &p->fc, &p->front);

    if (r < 0)
        return r;
    p->end[0] = xk_netfront_device(p->front);
    net_sink(p, 0);
    xk_netfront_on_broken(p->front, net_front_broken, p);
    return r;
}

static inline int net_back(struct net_pair *p)
{
    struct xk_netfront_rings rings;
    int r;

    xk_netfront_rings(p->front, &rings);
    p->bc.front = 1;
    p->bc.tx = rings.tx;
    p->bc.rx = rings.rx;
    p->bc.tx_port = rings.tx_port;
    p->bc.rx_port = rings.rx_port;
    p->bc.broken = net_back_broken;
    p->bc.arg = p;
    r = xk_netback_open(xk_fake_alloc(p->w.fake), p->back_loop, &p->bc, &p->back);
    if (r < 0)
        return r;
    p->end[1] = xk_netback_device(p->back);
    net_sink(p, 1);
    return r;
}

static inline void net_open(struct net_pair *p)
{
    EQ(net_front(p), 0);
    EQ(net_back(p), 0);
    xk_netfront_connect(p->front);
}

static inline void net_run(struct net_pair *p)
{
    for (int idle = 0; idle < 3;)
        idle = xk_loop_run_once(p->front_loop, XK_NOW) + xk_loop_run_once(p->back_loop, XK_NOW) > 0 ? 0 : idle + 1;
}

static inline void net_close(struct net_pair *p)
{
    if (p->front)
        xk_net_close(p->end[0]);
    if (p->back)
        xk_net_close(p->end[1]);
    xk_loop_destroy(p->front_loop);
    xk_loop_destroy(p->back_loop);
    world_close(&p->w);
}

#endif
