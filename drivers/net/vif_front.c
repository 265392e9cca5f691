/* A network's front end from the store to the rings. The device that it shows outlives rings.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <xenkit/vif.h>

#include "base/list.h"
#include "drivers/net/control.h"
#include "drivers/net/queues.h"

struct xk_vif_front {
    struct net_queues all; /* first */
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_xenbus *bus;
    struct xk_vif_front_options options;
    struct xk_netfront *ring[XK_VIF_QUEUES]; /* made, and perhaps connected */
    unsigned rings;
    struct control_front control;
    uint64_t instance; /* of the back end that heard our wishes */
    struct xk_defer later;
    int connected, dead;
};

static const char *const wanted[] = {"feature-sg",
                                     "feature-gso-tcpv4",
                                     "feature-gso-tcpv6",
                                     "feature-no-csum-offload",
                                     "feature-ipv6-csum-offload",
                                     "feature-split-event-channels",
                                     "multi-queue-max-queues",
                                     "feature-ctrl-ring",
                                     "xenkit-instance",
                                     NULL};
static const char *const own[] = {"mac", "mtu", "ctrl-ring-ref", NULL};

static void end_rings(struct xk_vif_front *f)
{
    unsigned n = f->rings;
    int was = f->connected;

    f->rings = 0;
    f->connected = 0;
    control_front_close(&f->control);
    if (was)
        net_queues_down(&f->all); /* closes them */
    for (unsigned i = 0; i < n && !was; i++)
        xk_net_close(xk_netfront_device(f->ring[i]));
}

/* A back end that lies is not asked again. */
static void on_broken(void *arg, int err)
{
    struct xk_vif_front *f = arg;

    f->dead = err;
    xk_defer_start(f->loop, &f->later); /* the ring is in use further up the stack */
}

static void on_later(struct xk_defer *d)
{
    struct xk_vif_front *f = XK_CONTAINER(d, struct xk_vif_front, later);
    int was = f->connected;

    end_rings(f);
    if (was && f->options.told)
        f->options.told(f->options.arg, 0, f->dead);
    xk_xenbus_retire(f->bus);
}

/* --- what is negotiated ------------------------------------------------------------------------------------------- */

static int put_ring(struct xk_xenbus *bus, const struct xk_netfront *ring, unsigned i, unsigned n, int split)
{
    struct xk_netfront_rings r;
    char prefix[16] = "", name[48];
    int rc;

    if (n > 1)
        snprintf(prefix, sizeof(prefix), "queue-%u/", i);
    xk_netfront_rings(ring, &r);
    snprintf(name, sizeof(name), "%stx-ring-ref", prefix);
    rc = xk_xenbus_put(bus, name, "%u", r.tx);
    snprintf(name, sizeof(name), "%srx-ring-ref", prefix);
    if (rc == 0)
        rc = xk_xenbus_put(bus, name, "%u", r.rx);
    snprintf(name, sizeof(name), split ? "%sevent-channel-tx" : "%sevent-channel", prefix);
    if (rc == 0)
        rc = xk_xenbus_put(bus, name, "%d", r.tx_port);
    snprintf(name, sizeof(name), "%sevent-channel-rx", prefix);
    return rc || !split ? rc : xk_xenbus_put(bus, name, "%d", r.rx_port);
}

/* What was said of a ring that is no more (a service before this one had it) is taken back. */
static int put_control(struct xk_vif_front *f)
{
    const struct control_front *c = &f->control;
    int r;

    if (!c->memory)
        return xk_xenbus_get(f->bus, "ctrl-ring-ref") ? xk_xenbus_put(f->bus, "ctrl-ring-ref", "%s", "") : 0;
    r = xk_xenbus_put(f->bus, "ctrl-ring-ref", "%u", c->refs[0]);
    return r ? r : xk_xenbus_put(f->bus, "event-channel-ctrl", "%d", c->watch.port);
}

/* The number of queues is said also when it is one: it may have been another with the back end before. */
static int put_all(struct xk_vif_front *f, unsigned n, int split)
{
    int r = xk_xenbus_put(f->bus, "multi-queue-num-queues", "%u", n);

    for (unsigned i = 0; i < n && r == 0; i++)
        r = put_ring(f->bus, f->ring[i], i, n, split);
    if (r == 0)
        r = put_control(f);
    if (r == 0)
        r = xk_xenbus_put(f->bus, "request-rx-copy", "1");
    if (r == 0)
        r = xk_xenbus_put(f->bus, "feature-rx-notify", "1");
    if (r == 0)
        r = xk_xenbus_put(f->bus, "feature-xenkit-move", "1"); /* it follows when `backend` becomes another */
    return r ? r : net_features_put(f->bus, f->options.plain);
}

static unsigned list_pages(void *arg, unsigned queue, struct control_gref *list, unsigned room)
{
    const struct xk_vif_front *f = arg;
    xk_gref refs[CONTROL_GREFS];
    unsigned to_send, n = xk_netfront_pages(f->ring[queue], refs, room, &to_send);

    for (unsigned i = 0; i < n; i++)
        list[i] = (struct control_gref){refs[i], i < to_send ? CONTROL_GREF_READONLY : 0, 0};
    return n;
}

/* Only who wishes for something makes the third ring. */
static int make_control(struct xk_vif_front *f)
{
    struct control_front *c = &f->control;

    if ((!f->options.keep && f->options.hash.algorithm == XK_NET_HASH_NONE) ||
        !xk_xenbus_number(f->bus, "feature-ctrl-ring", 0))
        return 0;
    *c = (struct control_front){.loop = f->loop, .back = xk_xenbus_peer(f->bus), .queues = f->rings};
    c->wish = f->options.hash;
    c->grefs_wish = f->options.keep;
    c->list = list_pages;
    c->broken = on_broken;
    c->arg = f;
    return control_front_create(c);
}

static int setup(struct xk_xenbus *bus, void *arg)
{
    struct xk_vif_front *f = arg;
    uint64_t most = xk_xenbus_number(bus, "multi-queue-max-queues", 1), mtu = xk_xenbus_number(bus, "mtu", 1500);
    unsigned wish = f->options.queues ? f->options.queues : 1, n = most < wish ? (unsigned)most : wish;
    struct xk_netfront_config c = {.back = xk_xenbus_peer(bus),
                                   .tx_pages = f->options.tx_pages,
                                   .rx_pages = f->options.rx_pages,
                                   .mtu = (uint16_t)(mtu >= 68 && mtu <= XK_PACKET_MAX - XK_ETHER_HEAD ? mtu : 1500)};
    const char *mac = xk_xenbus_get(bus, "mac");
    int r = 0;

    end_rings(f);
    if (!mac || net_mac_read(mac, c.mac) < 0)
        return XK_EINVAL;
    c.split = xk_xenbus_number(bus, "feature-split-event-channels", 0) != 0;
    c.features = net_features_read(bus);
    for (n = n ? n : 1; f->rings < n && r == 0;) {
        r = xk_netfront_create(&f->alloc, f->loop, &c, &f->ring[f->rings]);
        if (r == 0)
            xk_netfront_on_broken(f->ring[f->rings++], on_broken, f);
    }
    if (r == 0)
        r = make_control(f);
    if (r == 0)
        r = put_all(f, n, c.split);
    if (r < 0)
        end_rings(f);
    return r;
}

static uint64_t instance_of(const struct xk_xenbus *bus) { return xk_xenbus_number(bus, "xenkit-instance", 0); }

/* One that took the rings up after another has not heard what we wish. */
static void changed(struct xk_xenbus *bus, void *arg)
{
    struct xk_vif_front *f = arg;

    if (!f->connected || instance_of(bus) == f->instance)
        return;
    f->instance = instance_of(bus);
    control_front_start(&f->control);
}

static int connect(struct xk_xenbus *bus, void *arg, int again)
{
    struct xk_vif_front *f = arg;
    struct xk_netdev *queue[XK_VIF_QUEUES];

    (void)again; /* a back end's */
    f->instance = instance_of(bus);
    for (unsigned i = 0; i < f->rings; i++) {
        xk_netfront_connect(f->ring[i]);
        queue[i] = xk_netfront_device(f->ring[i]);
    }
    f->connected = 1;
    net_queues_up(&f->all, queue, f->rings);
    control_front_start(&f->control);
    if (f->options.told)
        f->options.told(f->options.arg, 1, 0);
    return 0;
}

static void closing(struct xk_xenbus *bus, void *arg, int err)
{
    struct xk_vif_front *f = arg;
    int was = f->connected;

    end_rings(f);
    if (was && f->options.told)
        f->options.told(f->options.arg, 0, err);
    xk_xenbus_closed(bus);
}

static void gone(struct xk_xenbus *bus, void *arg)
{
    (void)bus;
    (void)arg;
}

static const struct xk_xenbus_driver driver = {wanted, own, NULL, setup, connect, changed, closing, gone, 1};

/* --- life --------------------------------------------------------------------------------------------------------- */

int xk_vif_front_open(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store, const char *path,
                      const struct xk_vif_front_options *options, struct xk_vif_front **out)
{
    static const uint8_t none[6];
    struct xk_vif_front *f;
    int r;

    if (options && (options->queues > XK_VIF_QUEUES || options->hash.map_size > XK_NET_HASH_MAP))
        return XK_EINVAL;
    f = xk_new(alloc, sizeof(*f));
    if (!f)
        return XK_ENOMEM;
    net_queues_init(&f->all, none, 1500);
    f->alloc = alloc ? *alloc : *xk_alloc_libc();
    f->loop = loop;
    if (options)
        f->options = *options;
    f->later.fn = on_later;
    r = xk_xenbus_front(alloc, loop, store, path, &driver, f, &f->bus);
    if (r < 0) {
        xk_free(alloc, f, sizeof(*f));
        return r;
    }
    *out = f;
    return 0;
}

struct xk_netdev *xk_vif_front_device(struct xk_vif_front *f) { return &f->all.dev; }
struct xk_xenbus *xk_vif_front_bus(struct xk_vif_front *f) { return f->bus; }

void xk_vif_front_control(const struct xk_vif_front *f, struct xk_vif_control *out)
{
    const struct control_front *c = &f->control;
    int none = f->connected ? XK_ENOSYS : XK_ENOTCONN;

    *out = (struct xk_vif_control){none, none, 0, 0};
    if (f->connected && c->memory)
        *out = (struct xk_vif_control){c->hash, c->grefs, c->types, c->grefs == XK_EAGAIN ? 0 : c->mapped};
}

int xk_vif_front_queue(const struct xk_vif_front *f, unsigned queue, struct xk_netfront_stats *out)
{
    if (!f->connected || queue >= f->rings)
        return XK_ERANGE;
    xk_netfront_stats(f->ring[queue], out);
    return 0;
}

unsigned xk_vif_front_stats(const struct xk_vif_front *f, struct xk_netfront_stats *out)
{
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; f->connected && i < f->rings; i++) {
        struct xk_netfront_stats s;
        xk_netfront_stats(f->ring[i], &s);
        for (int way = 0; way < 2; way++) {
            out->packets[way] += s.packets[way];
            out->bytes[way] += s.bytes[way];
            out->errors[way] += s.errors[way];
        }
        out->hashed += s.hashed;
        out->full += s.full;
        out->notified += s.notified;
        out->events += s.events;
    }
    return f->connected ? f->rings : 0;
}

void xk_vif_front_close(struct xk_vif_front *f)
{
    xk_alloc alloc = f->alloc;

    xk_defer_stop(f->loop, &f->later);
    xk_xenbus_free(f->bus);
    f->all.dev.changed = NULL;
    end_rings(f);
    xk_free(&alloc, f, sizeof(*f));
}
