/* Networks whole: a store between the halves, a test as toolstack; back ends that go, come back, and move.
 * SPDX-License-Identifier: MIT */
#include <xenkit/vif.h>

#include "tests/c/tap.h"

#include "tests/c/net/frames.h"
#include "tests/c/store/ring.h"

enum { FRONT = 2, BACK = 3, OTHER = 4 };
#define F "/local/domain/2/device/vif/0"

struct server {
    struct xk_loop *loop;
    struct xk_store *store;
    struct xk_vif_back *back;
    struct xk_netdev *port; /* attached */
    char path[64];
    int connected, gone, refuse, got;
};

static struct ring_world world;
static struct server server[RING_DOMAINS];
static struct xk_loop *front_loop;
static struct xk_store *front_store;
static struct xk_vif_front *front;
static struct xk_netdev *net;
static int front_connected, front_err, front_got, changes;
static struct xk_vif_back_options back_options;
static struct xk_vif_front_options wishes; /* of the front end, beside those of open_world */
static uint16_t back_keeps;

static void back_receive(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    (void)p;
    ((struct server *)d->user)->got += (int)n;
}

static int attach(void *arg, struct xk_netdev *d, xk_domid who, const char *path)
{
    struct server *s = arg;

    EQ(who, FRONT);
    STREQ(path, s->path);
    OK(!s->port);
    if (s->refuse)
        return XK_ENOSPC;
    s->port = d;
    d->user = s;
    d->receive = back_receive;
    return 0;
}

static void detach(void *arg, struct xk_netdev *d)
{
    OK(((struct server *)arg)->port == d);
    ((struct server *)arg)->port = NULL;
}

static void back_told(void *arg, int connected, int err)
{
    (void)err;
    ((struct server *)arg)->connected = connected;
}

static void back_gone(void *arg)
{
    struct server *s = arg;

    s->gone++;
    xk_vif_back_close(s->back);
    s->back = NULL;
}

static void front_told(void *arg, int connected, int err)
{
    (void)arg;
    front_connected = connected;
    front_err = err;
}

static void front_receive(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    OK(d == net);
    (void)p;
    front_got += (int)n;
}

static void front_changed(struct xk_netdev *d)
{
    OK(d == net);
    changes++;
}

static void settle(void)
{
    for (int i = 0; i < 120; i++) {
        ring_round(&world);
        OK(xk_loop_run_once(front_loop, XK_NOW) >= 0);
        for (int d = BACK; d <= OTHER; d++)
            OK(xk_loop_run_once(server[d].loop, XK_NOW) >= 0);
        xk_fake_advance(world.fake, XK_MS);
    }
}

static void node(const char *folder, const char *name, const char *value)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    EQ(ring_write(&world, 0, path, value), 0);
}

static void owned(const char *path, unsigned owner)
{
    char text[128];
    int n = snprintf(text, sizeof(text), "%s%cn%u%cr2%cr3%cr4", path, 0, owner, 0, 0, 0);

    EQ(ring_path(&world, 0, XK_STORE_MKDIR, path), 0);
    EQ(ring_call(&world, 0, XK_STORE_SET_PERMS, text, (size_t)n + 1), 0);
}

static void back_folder(unsigned domid)
{
    char *path = server[domid].path;

    snprintf(path, sizeof(server[domid].path), "/local/domain/%u/backend/vif/2/0", domid);
    owned(path, domid);
    node(path, "frontend-id", "2");
    node(path, "frontend", F);
    node(path, "mac", "00:16:3e:00:00:05");
    node(path, "online", "1");
    node(path, "state", "1");
}

static void start_back(unsigned domid)
{
    struct xk_vif_back_options o = back_options;

    o.attach = attach;
    o.detach = detach;
    o.told = back_told;
    o.gone = back_gone;
    o.arg = &server[domid];
    EQ(xk_vif_back_open(NULL, server[domid].loop, server[domid].store, server[domid].path, &o, &server[domid].back), 0);
}

static void stop_back(unsigned domid)
{
    xk_vif_back_close(server[domid].back);
    server[domid].back = NULL;
    OK(!server[domid].port);
}

static void open_world(unsigned front_queues, unsigned back_queues, int plain)
{
    struct xk_vif_front_options o = {
        .queues = (uint8_t)front_queues, .told = front_told, .tx_pages = 32, .rx_pages = 64};

    o.plain = (uint8_t)plain;
    o.hash = wishes.hash;
    o.keep = wishes.keep;
    back_options = (struct xk_vif_back_options){.queues = (uint8_t)back_queues, .keep = back_keeps};
    ring_world(&world, 11);
    ring_service(&world, NULL);
    ring_introduce_all(&world);
    for (unsigned d = BACK; d <= OTHER; d++) {
        server[d] = (struct server){0};
        EQ(xk_loop_create(NULL, world.dom[d], &server[d].loop), 0);
        EQ(xk_store_open_domain(NULL, server[d].loop, &server[d].store), 0);
    }
    EQ(xk_loop_create(NULL, world.dom[FRONT], &front_loop), 0);
    EQ(xk_store_open_domain(NULL, front_loop, &front_store), 0);
    owned(F, FRONT);
    back_folder(BACK);
    node(F, "backend-id", "3");
    node(F, "backend", server[BACK].path);
    node(F, "mac", "00:16:3e:00:00:05");
    node(F, "state", "1");
    start_back(BACK);
    front_connected = front_err = front_got = changes = 0;
    EQ(xk_vif_front_open(NULL, front_loop, front_store, "device/vif/0", &o, &front), 0);
    net = xk_vif_front_device(front);
    net->receive = front_receive;
    net->changed = front_changed;
    settle();
}

static void close_world(void)
{
    if (front)
        xk_vif_front_close(front);
    front = NULL;
    xk_store_close(front_store);
    xk_loop_destroy(front_loop);
    for (unsigned d = BACK; d <= OTHER; d++) {
        if (server[d].back)
            stop_back(d);
        OK(!server[d].port);
        xk_store_close(server[d].store);
        xk_loop_destroy(server[d].loop);
    }
    ring_end(&world);
}

/* So many flows, one packet each, in both directions. */
static void carries(unsigned domid, int flows)
{
    uint8_t f[200];
    int was = server[domid].got, front_was = front_got;

    for (int i = 0; i < flows; i++) {
        struct xk_packet p = {f, frame_tcp(f, 4, 50, 1), 0, 0, 0};
        xk_packet_put16(f + 34, (uint16_t)(1000 + i));
        EQ(xk_net_send(net, &p), 0);
        EQ(xk_net_send(server[domid].port, &p), 0);
        xk_net_kick(net);
        xk_net_kick(server[domid].port);
        if (i % 16 == 15)
            settle();
    }
    settle();
    EQ(server[domid].got - was, flows);
    EQ(front_got - front_was, flows);
}

TEST(a_network_connects_and_carries_packets)
{
    struct xk_netfront_stats fs;
    struct xk_netback_stats bs;
    static const uint8_t mac[6] = {0, 0x16, 0x3e, 0, 0, 5};

    open_world(0, 0, 0);
    EQ(front_connected, 1);
    EQ(server[BACK].connected, 1);
    EQ(changes, 1);
    MEMEQ(net->info.mac, mac, 6);
    MEMEQ(server[BACK].port->info.mac, mac, 6);
    carries(BACK, 10);
    EQ(xk_vif_front_stats(front, &fs), 1);
    EQ(xk_vif_back_stats(server[BACK].back, &bs), 1);
    EQ(fs.packets[0], 10);
    EQ(bs.packets[1], 10);
    close_world();
}

TEST(as_many_queues_as_both_have)
{
    static const unsigned has[][3] = {{4, 4, 4}, {4, 2, 2}, {1, 4, 1}, {3, 0, 1}};

    for (int i = 0; i < 4; i++) {
        struct xk_netfront_stats fs;
        open_world(has[i][0], has[i][1], 0);
        EQ(xk_vif_front_stats(front, &fs), has[i][2]);
        carries(BACK, 40);
        if (has[i][2] == 4) { /* more at once than a queue has pages for: they are spread */
            uint8_t f[200];
            for (int flow = 0; flow < 60; flow++) {
                struct xk_packet p = {f, frame_tcp(f, 4, 50, 1), 0, 0, 0};
                xk_packet_put16(f + 34, (uint16_t)(1000 + flow));
                EQ(xk_net_send(net, &p), 0);
            }
        }
        close_world();
    }
}

TEST(a_front_end_that_asks_for_nothing_gets_plain_frames)
{
    static uint8_t f[20000];
    struct xk_packet p;

    open_world(1, 1, 1);
    p = (struct xk_packet){f, frame_tcp(f, 6, 10000, 1), XK_PACKET_CSUM_BLANK, XK_GSO_TCP6, 1000};
    EQ(xk_net_send(server[BACK].port, &p), 0);
    xk_net_kick(server[BACK].port);
    settle();
    EQ(front_got, 10);
    EQ(xk_net_send(net, &p), 0); /* the other way it may be large */
    xk_net_kick(net);
    settle();
    EQ(server[BACK].got, 1);
    close_world();
}

TEST(a_back_end_that_is_replaced_takes_up_the_rings)
{
    uint8_t f[100];
    struct xk_packet p = {f, frame_tcp(f, 4, 0, 0), 0, 0, 0};

    open_world(2, 2, 0);
    stop_back(BACK); /* its states stay */
    EQ(xk_net_send(net, &p), 0);
    xk_net_kick(net);
    settle();
    start_back(BACK);
    settle();
    EQ(server[BACK].got, 1);
    EQ(changes, 1); /* the front end has not noticed */
    carries(BACK, 20);
    close_world();
}

TEST(a_network_moves_to_another_back_end)
{
    uint8_t f[100];
    struct xk_packet p = {f, frame_tcp(f, 4, 0, 0), 0, 0, 0};

    open_world(2, 2, 0);
    back_options.queues = 1; /* and has fewer queues there */
    back_folder(OTHER);
    start_back(OTHER);
    settle();
    node(F, "backend-id", "4");
    node(F, "backend", server[OTHER].path);
    settle();
    EQ(server[BACK].connected, 0);
    EQ(server[OTHER].connected, 1);
    OK(!server[BACK].port);
    carries(OTHER, 20);
    xk_xenbus_retire(xk_vif_back_bus(server[OTHER].back));
    settle();
    EQ(front_connected, 0);
    EQ(net->info.up, 0);
    EQ(xk_net_send(net, &p), XK_EGONE);
    close_world();
}

/* The domain was saved: its back end's folder is a new one, with another state. */
TEST(a_network_goes_on_after_a_suspend)
{
    open_world(2, 2, 0);
    carries(BACK, 16);
    for (int i = 0; i < 3; i++) {
        xk_xenbus_suspend(xk_vif_front_bus(front));
        EQ(front_connected, 0);
        EQ(net->info.up, 0);
        settle();
        EQ(front_connected, 0); /* nobody looks at the store */
        EQ(xk_xenbus_resume(xk_vif_front_bus(front), front_store), 0);
        settle();
        EQ(front_connected, 1);
        EQ(server[BACK].connected, 1);
        carries(BACK, 16);
    }
    xk_xenbus_suspend(xk_vif_front_bus(front)); /* and is closed while it is */
    close_world();
}

/* All flows come over the queue that the guest wants, also after its back end was killed and another took its place. */
TEST(a_guest_says_how_flows_are_spread_and_what_stays_mapped)
{
    struct xk_vif_control c;
    struct xk_netfront_stats s;
    struct xk_netback_stats bs;
    uint8_t f[200];

    wishes.hash = (struct xk_net_hash){1, XK_NET_HASH_ALL, {1, 2, 3}, 2, {3, 3}};
    wishes.keep = 1;
    back_keeps = 50;
    open_world(4, 4, 0);
    for (int i = 0; i < 3; i++) {
        xk_vif_front_control(front, &c);
        EQ(c.hash, 0);
        EQ(c.types, XK_NET_HASH_ALL);
        EQ(c.keep, 0);
        EQ(c.kept, 4 * 50);
        EQ(xk_vif_back_stats(server[BACK].back, &bs), 4);
        EQ(bs.kept, 4 * 50);
        for (int flow = 0; flow < 20; flow++) {
            struct xk_packet p = {f, frame_tcp(f, 4, 50, 1), 0, 0, 0};
            xk_packet_put16(f + 34, (uint16_t)(1000 + flow));
            EQ(xk_net_send(server[BACK].port, &p), 0);
        }
        xk_net_kick(server[BACK].port);
        settle();
        for (unsigned q = 0; q < 4; q++) {
            EQ(xk_vif_front_queue(front, q, &s), 0);
            EQ(s.packets[1], q == 3 ? 20 * (i + 1) : 0);
            EQ(s.hashed, s.packets[1]);
        }
        stop_back(BACK);
        settle();
        start_back(BACK);
        settle();
        EQ(changes, 1);
    }
    EQ(xk_vif_front_queue(front, 4, &s), XK_ERANGE);
    carries(BACK, 20);
    wishes = (struct xk_vif_front_options){0};
    back_keeps = 0;
    close_world();
}

TEST(a_guest_that_wishes_nothing_has_no_third_ring)
{
    struct xk_vif_control c;

    open_world(1, 1, 0);
    xk_vif_front_control(front, &c);
    EQ(c.hash, XK_ENOSYS);
    EQ(c.keep, XK_ENOSYS);
    node(F, "ctrl-ring-ref", "12345"); /* left by another service of the domain */
    xk_vif_front_close(front);
    stop_back(BACK);
    node(server[BACK].path, "state", "1");
    node(F, "state", "1");
    start_back(BACK);
    EQ(xk_vif_front_open(NULL, front_loop, front_store, "device/vif/0", NULL, &front), 0);
    net = xk_vif_front_device(front);
    net->receive = front_receive;
    settle();
    xk_vif_front_control(front, &c);
    EQ(c.hash, XK_ENOSYS);
    carries(BACK, 5);
    close_world();
}

TEST(a_network_that_is_unplugged_is_down)
{
    open_world(1, 1, 0);
    EQ(ring_path(&world, 0, XK_STORE_RM, F), 0);
    EQ(ring_path(&world, 0, XK_STORE_RM, server[BACK].path), 0);
    settle();
    EQ(front_connected, 0);
    EQ(front_err, XK_EGONE);
    EQ(server[BACK].gone, 1);
    close_world();
}

TEST(a_guest_that_is_refused_is_told)
{
    open_world(1, 1, 0);
    stop_back(BACK);
    server[BACK].refuse = 1;
    start_back(BACK);
    settle();
    EQ(front_connected, 0);
    OK(!server[BACK].port);
    close_world();
}

TEST(a_liar_is_left_and_nobody_else)
{
    struct xk_netfront_stats fs;

    open_world(1, 1, 0);
    xk_vif_front_close(front); /* its store nodes say what is not there any more */
    front = NULL;
    settle();
    node(F, "tx-ring-ref", "4000000");
    stop_back(BACK);
    start_back(BACK);
    settle();
    OK(!server[BACK].port);
    node(F, "mac", "nonsense");
    node(F, "state", "1");
    EQ(xk_vif_front_open(NULL, front_loop, front_store, "device/vif/0", NULL, &front), 0);
    net = xk_vif_front_device(front);
    settle();
    EQ(xk_vif_front_stats(front, &fs), 0);
    close_world();
}
