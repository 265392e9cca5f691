/* Two devices back to back. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/alloc.h>
#include <xenkit/netdev.h>

enum { HELD = 64 };

struct cable;
struct end {
    struct xk_netdev dev; /* first */
    struct cable *cable;
    struct end *other;
    struct xk_packet held[HELD]; /* until the kick, as their owner lends them */
    unsigned count;
};

struct cable {
    xk_alloc alloc;
    struct end end[2];
    int open, busy;
};

static void drop(struct cable *c)
{
    xk_alloc alloc = c->alloc;

    if (c->open == 0 && c->busy == 0)
        xk_free(&alloc, c, sizeof(*c));
}

static void cable_kick(struct xk_netdev *d)
{
    struct end *e = (struct end *)d;
    struct cable *c = e->cable;
    struct xk_packet now[HELD];
    unsigned n = e->count;

    if (n == 0)
        return;
    memcpy(now, e->held, n * sizeof(now[0]));
    e->count = 0;
    c->busy++;
    if (e->other->dev.receive && e->other->dev.info.up)
        e->other->dev.receive(&e->other->dev, now, n);
    c->busy--;
    if (n == HELD && d->room && c->open == 2)
        d->room(d);
    drop(c);
}

static int cable_send(struct xk_netdev *d, const struct xk_packet *p)
{
    struct end *e = (struct end *)d;

    if (e->count == HELD)
        return XK_EAGAIN;
    e->held[e->count++] = *p;
    return 0;
}

static void cable_close(struct xk_netdev *d)
{
    struct end *e = (struct end *)d;

    e->count = 0;
    d->receive = NULL;
    d->info.up = e->other->dev.info.up = 0;
    if (e->other->dev.changed && e->cable->open == 2)
        e->other->dev.changed(&e->other->dev);
    d->changed = NULL;
    e->cable->open--;
    drop(e->cable);
}

static const struct xk_netdev_ops ops = {XK_NETDEV_VERSION, cable_send, cable_kick, cable_close};

int xk_net_cable(const xk_alloc *alloc, const uint8_t mac[2][6], struct xk_netdev *ends[2])
{
    struct cable *c = xk_new(alloc, sizeof(*c));

    if (!c)
        return XK_ENOMEM;
    c->alloc = alloc ? *alloc : *xk_alloc_libc();
    c->open = 2;
    for (int i = 0; i < 2; i++) {
        struct end *e = &c->end[i];
        e->cable = c;
        e->other = &c->end[!i];
        e->dev.ops = &ops;
        memcpy(e->dev.info.mac, mac[i], 6);
        e->dev.info.mtu = 1500;
        e->dev.info.features = XK_NET_CSUM4 | XK_NET_CSUM6 | XK_NET_GSO4 | XK_NET_GSO6 | XK_NET_LARGE;
        e->dev.info.up = 1;
        ends[i] = &e->dev;
    }
    return 0;
}
