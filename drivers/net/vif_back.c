/* A network's back end from the store to the rings. SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <xenkit/vif.h>

#include "base/list.h"
#include "drivers/net/control.h"
#include "drivers/net/queues.h"

struct xk_vif_back {
    struct net_queues all; /* first: the guest's port */
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_xenbus *bus;
    struct xk_vif_back_options options;
    struct xk_netback *ring[XK_VIF_QUEUES];
    unsigned rings;
    struct control_back control;
    struct xk_defer later;
    int attached, broken;
};

#define QUEUE(n)                                                                          \
    "queue-" #n "/tx-ring-ref", "queue-" #n "/rx-ring-ref", "queue-" #n "/event-channel", \
        "queue-" #n "/event-channel-tx", "queue-" #n "/event-channel-rx"
static const char *const wanted[] = {"feature-sg",
                                     "feature-gso-tcpv4",
                                     "feature-gso-tcpv6",
                                     "feature-no-csum-offload",
                                     "feature-ipv6-csum-offload",
                                     "tx-ring-ref",
                                     "rx-ring-ref",
                                     "event-channel",
                                     "event-channel-tx",
                                     "event-channel-rx",
                                     "request-rx-copy",
                                     "request-multicast-control",
                                     "multi-queue-num-queues",
                                     "mtu",
                                     "ctrl-ring-ref",
                                     "event-channel-ctrl",
                                     QUEUE(0),
                                     QUEUE(1),
                                     QUEUE(2),
                                     QUEUE(3),
                                     NULL};
static const char *const own[] = {"mac", NULL};

static void end_rings(struct xk_vif_back *b)
{
    int was = b->attached;

    b->attached = 0;
    if (was && b->options.detach)
        b->options.detach(b->options.arg, &b->all.dev);
    net_queues_down(&b->all);
    b->all.hash = NULL;
    control_back_close(&b->control);
    b->all.dev.receive = NULL;
    b->all.dev.room = NULL;
    b->rings = 0;
}

static int offer(struct xk_xenbus *bus, void *arg)
{
    struct xk_vif_back *b = arg;
    int r = net_features_put(bus, b->options.plain);

    if (r == 0)
        r = xk_xenbus_put(bus, "feature-rx-copy", "1");
    if (r == 0)
        r = xk_xenbus_put(bus, "feature-rx-flip", "0");
    if (r == 0)
        r = xk_xenbus_put(bus, "feature-split-event-channels", "1");
    if (r == 0)
        r = xk_xenbus_put(bus, "feature-multicast-control", "1");
    if (r == 0)
        r = xk_xenbus_put(bus, "feature-ctrl-ring", "1");
    return r ? r : xk_xenbus_put(bus, "multi-queue-max-queues", "%u", b->options.queues ? b->options.queues : 1);
}

/* --- the rings ---------------------------------------------------------------------------------------------------- */

static void on_broken(void *arg, int err)
{
    struct xk_vif_back *b = arg;

    b->broken = err;
    xk_defer_start(b->loop, &b->later);
}

static void on_later(struct xk_defer *d) { xk_xenbus_retire(XK_CONTAINER(d, struct xk_vif_back, later)->bus); }

static uint64_t number(const struct xk_xenbus *bus, const char *prefix, const char *name)
{
    char path[48];

    snprintf(path, sizeof(path), "%s%s", prefix, name);
    return xk_xenbus_number(bus, path, UINT64_MAX);
}

static int read_queue(const struct xk_xenbus *bus, unsigned i, unsigned n, struct xk_netback_config *c)
{
    char prefix[16] = "";
    uint64_t tx, rx, port, tx_port, rx_port;

    if (n > 1)
        snprintf(prefix, sizeof(prefix), "queue-%u/", i);
    tx = number(bus, prefix, "tx-ring-ref");
    rx = number(bus, prefix, "rx-ring-ref");
    port = number(bus, prefix, "event-channel");
    tx_port = number(bus, prefix, "event-channel-tx");
    rx_port = number(bus, prefix, "event-channel-rx");
    if (tx_port == UINT64_MAX || rx_port == UINT64_MAX)
        tx_port = rx_port = port;
    if (tx > UINT32_MAX || rx > UINT32_MAX || tx_port == 0 || rx_port == 0 || tx_port > INT32_MAX ||
        rx_port > INT32_MAX)
        return XK_EPEER;
    c->tx = (xk_gref)tx;
    c->rx = (xk_gref)rx;
    c->tx_port = (xk_port)tx_port;
    c->rx_port = (xk_port)rx_port;
    return 0;
}

static int open_rings(struct xk_vif_back *b, struct xk_netback_config *c, unsigned n)
{
    struct xk_netdev *queue[XK_VIF_QUEUES];
    unsigned made = 0;
    int r = 0;

    while (made < n && r == 0) {
        r = read_queue(b->bus, made, n, c);
        if (r == 0)
            r = xk_netback_open(&b->alloc, b->loop, c, &b->ring[made]);
        if (r == 0) {
            queue[made] = xk_netback_device(b->ring[made]);
            made++;
        }
    }
    while (r < 0 && made > 0)
        xk_net_close(queue[--made]);
    if (r < 0)
        return r;
    b->rings = n;
    net_queues_up(&b->all, queue, n);
    return 0;
}

/* A guest need not have a control ring. One that is ours says its wishes again when we are another instance than the
 * one that heard them. */
static int open_control(struct xk_vif_back *b)
{
    uint64_t ref = number(b->bus, "", "ctrl-ring-ref"), port = number(b->bus, "", "event-channel-ctrl");
    struct control_back *c = &b->control;
    int r;

    if (ref == UINT64_MAX)
        return 0;
    if (ref > UINT32_MAX || port == 0 || port > INT32_MAX)
        return XK_EPEER;
    *c = (struct control_back){.loop = b->loop, .front = xk_xenbus_peer(b->bus), .queue = b->ring, .queues = b->rings};
    c->broken = on_broken;
    c->arg = b;
    r = control_back_open(c, (xk_gref)ref, (xk_port)port);
    if (r < 0)
        return r;
    b->all.hash = &c->hash;
    return xk_xenbus_put(b->bus, "xenkit-instance", "%" PRId64, xk_now(xk_loop_platform(b->loop)));
}

static int connect(struct xk_xenbus *bus, void *arg, int again)
{
    struct xk_vif_back *b = arg;
    uint64_t n = xk_xenbus_number(bus, "multi-queue-num-queues", 1);
    struct xk_netback_config c = {
        .front = xk_xenbus_peer(bus), .backlog = b->options.backlog, .grefs = b->options.keep};
    const char *mac = xk_xenbus_get(bus, "mac");
    int r;

    (void)again; /* the rings show where their answers end */
    if (n == 0 || n > (b->options.queues ? b->options.queues : 1u) || !xk_xenbus_number(bus, "request-rx-copy", 0))
        return XK_EPEER;
    if (mac && net_mac_read(mac, c.mac) < 0)
        return XK_EINVAL;
    c.broken = on_broken;
    c.arg = b;
    c.features = net_features_read(bus);
    c.multicast = xk_xenbus_number(bus, "request-multicast-control", 0) != 0;
    r = open_rings(b, &c, (unsigned)n);
    if (r == 0)
        r = open_control(b);
    if (r == 0)
        r = b->options.attach(b->options.arg, &b->all.dev, c.front, xk_xenbus_path(bus));
    if (r < 0) {
        end_rings(b);
        return r;
    }
    b->attached = 1;
    if (b->options.told)
        b->options.told(b->options.arg, 1, 0);
    return 0;
}

static void closing(struct xk_xenbus *bus, void *arg, int err)
{
    struct xk_vif_back *b = arg;

    end_rings(b);
    if (b->options.told)
        b->options.told(b->options.arg, 0, b->broken ? b->broken : err);
    xk_xenbus_closed(bus);
}

static void gone(struct xk_xenbus *bus, void *arg)
{
    struct xk_vif_back *b = arg;

    (void)bus;
    if (b->options.gone)
        b->options.gone(b->options.arg);
}

static const struct xk_xenbus_driver driver = {wanted, own, offer, NULL, connect, NULL, closing, gone, 0};

/* --- life --------------------------------------------------------------------------------------------------------- */

int xk_vif_back_open(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store, const char *path,
                     const struct xk_vif_back_options *options, struct xk_vif_back **out)
{
    static const uint8_t none[6];
    struct xk_vif_back *b;
    int r;

    if (!options || !options->attach || options->queues > XK_VIF_QUEUES || options->keep > XK_NETBACK_GREFS)
        return XK_EINVAL;
    b = xk_new(alloc, sizeof(*b));
    if (!b)
        return XK_ENOMEM;
    net_queues_init(&b->all, none, 1500);
    b->alloc = alloc ? *alloc : *xk_alloc_libc();
    b->loop = loop;
    b->options = *options;
    b->later.fn = on_later;
    r = xk_xenbus_back(alloc, loop, store, path, &driver, b, &b->bus);
    if (r < 0) {
        xk_free(alloc, b, sizeof(*b));
        return r;
    }
    *out = b;
    return 0;
}

void xk_vif_back_close(struct xk_vif_back *b)
{
    xk_alloc alloc = b->alloc;

    xk_defer_stop(b->loop, &b->later);
    xk_xenbus_free(b->bus);
    end_rings(b);
    xk_free(&alloc, b, sizeof(*b));
}

struct xk_xenbus *xk_vif_back_bus(struct xk_vif_back *b) { return b->bus; }

unsigned xk_vif_back_stats(const struct xk_vif_back *b, struct xk_netback_stats *out)
{
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < b->rings; i++) {
        struct xk_netback_stats s;
        xk_netback_stats(b->ring[i], &s);
        for (int way = 0; way < 2; way++) {
            out->packets[way] += s.packets[way];
            out->bytes[way] += s.bytes[way];
            out->errors[way] += s.errors[way];
        }
        out->delayed += s.delayed;
        out->full += s.full;
        out->copies += s.copies;
        out->direct += s.direct;
        out->fetched += s.fetched;
        out->notified += s.notified;
        out->events += s.events;
        out->idle_events += s.idle_events;
        out->waiting += s.waiting;
        out->kept += s.kept;
    }
    return b->rings;
}
