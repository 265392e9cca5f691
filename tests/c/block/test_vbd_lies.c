/* Disks whose other half says what cannot be, in a node or on one of several rings, and front ends that the test plays
 * itself, in each ABI. SPDX-License-Identifier: MIT */
#include <xenkit/ring.h>

#include "drivers/block/proto.h"
#include "tests/c/block/disks.h"

/* --- nodes that make no sense ------------------------------------------------------------------------------------- */

/* The toolstack as a front end of two rings that says one thing wrong: it is refused, with words, and may begin anew.
 */
static void wrong(const char *name, const char *value, const char *says)
{
    char path[128], want[200];

    open_with(2, 3);
    xk_vbd_front_close(front);
    front = NULL;
    node(F, "state", "6");
    settle();
    node(F, "state", "1");
    settle();
    snprintf(path, sizeof(path), F "/%s", name);
    if (value)
        node(F, name, value);
    else
        EQ(ring_path(&world, 0, XK_STORE_RM, path), 0);
    node(F, "state", "3");
    settle();
    EQ(server[BACK].connected, 0);
    EQ(xk_vbd_back_queues(server[BACK].back), 0);
    snprintf(want, sizeof(want), "1003 XK_EPEER: the front end's %s", says);
    STREQ(read_node(B, "error"), want);
    { /* a front end that knows better is served */
        struct xk_vbd_front_options o = {.queues = 3, .told = front_told};
        node(F, "state", "1");
        EQ(xk_vbd_front_open(NULL, front_loop, front_store, "device/vbd/51712", &o, &front), 0);
        disk = xk_vbd_front_device(front);
        rounds(40);
        EQ(xk_vbd_front_queues(front), 3);
        good(XK_BLK_READ, 0, bufs[0], XK_SECTOR);
    }
    close_world();
}

TEST(no_rings) { wrong("multi-queue-num-queues", "0", "multi-queue-num-queues is 0, and has to be 1 to 3"); }
TEST(too_many_rings) { wrong("multi-queue-num-queues", "4", "multi-queue-num-queues is 4, and has to be 1 to 3"); }
TEST(absurdly_many_rings)
{
    wrong("multi-queue-num-queues", "4294967298", "multi-queue-num-queues is 4294967298, and has to be 1 to 3");
}
TEST(a_number_that_is_none_is_not_there)
{
    wrong("multi-queue-num-queues", "two", "event-channel is not there, and has to be a port");
}
TEST(a_ring_more_than_is_described)
{
    wrong("multi-queue-num-queues", "3", "queue-2/event-channel is not there, and has to be a port");
}
TEST(a_ring_without_a_port)
{
    wrong("queue-1/event-channel", NULL, "queue-1/event-channel is not there, and has to be a port");
}
TEST(a_port_of_zero_of_one_ring)
{
    wrong("queue-0/event-channel", "0", "queue-0/event-channel is '0', and has to be a port");
}
TEST(a_ring_without_its_second_page)
{
    wrong("queue-1/ring-ref1", NULL, "queue-1/ring-ref1 is not there, and has to be a grant reference");
}
TEST(a_reference_that_is_none_of_one_ring)
{
    wrong("queue-1/ring-ref0", "8x", "queue-1/ring-ref0 is '8x', and has to be a grant reference");
}
TEST(a_ring_order_beyond_what_is_offered)
{
    wrong("ring-page-order", "3", "ring-page-order is 3, and has to be 0 to 2");
}
TEST(a_protocol_of_its_own)
{
    wrong("protocol", "vax-abi", "protocol is 'vax-abi', and has to be x86_64-abi or x86_32-abi");
}

TEST(a_ring_that_was_not_granted_is_named)
{
    open_with(2, 2);
    xk_vbd_front_close(front);
    front = NULL;
    node(F, "state", "6");
    settle();
    node(F, "state", "1");
    settle();
    node(F, "queue-0/event-channel", "99");
    node(F, "state", "3");
    settle();
    EQ(server[BACK].connected, 0);
    OK(strstr(read_node(B, "error"), ": the front end's ring 0 of 2 cannot be used: its pages, its port 99 or") !=
       NULL);
    close_world();
}

/* --- liars -------------------------------------------------------------------------------------------------------- */

/* A front end of rings that the test writes itself. */
struct raw {
    struct xk_ring_front ring[RINGS];
    void *page[RINGS];
    int port[RINGS];
    uint8_t *data;
    xk_gref ref;
    unsigned slot;
};

static void raw_open(struct raw *r, const char *protocol)
{
    void *data;

    open_with(1, RINGS);
    xk_vbd_front_close(front);
    front = NULL;
    node(F, "state", "6");
    settle();
    node(F, "state", "1");
    settle();
    r->slot = strcmp(protocol, "x86_32-abi") == 0 ? 108 : 112;
    EQ(xk_page_share(world.dom[FRONT], BACK, 1, 0, &r->ref, &data), 0);
    r->data = data;
    node(F, "protocol", protocol);
    node(F, "multi-queue-num-queues", "4");
    node(F, "ring-page-order", "0");
    for (unsigned i = 0; i < RINGS; i++) {
        char name[32], text[16];
        xk_gref ref;
        EQ(xk_page_share(world.dom[FRONT], BACK, 1, 0, &ref, &r->page[i]), 0);
        r->port[i] = xk_evtchn_alloc(world.dom[FRONT], BACK);
        EQ(xk_ring_front_init(&r->ring[i], r->page[i], XK_PAGE_SIZE, r->slot), 0);
        snprintf(name, sizeof(name), "queue-%u/ring-ref", i);
        snprintf(text, sizeof(text), "%u", ref);
        node(F, name, text);
        snprintf(name, sizeof(name), "queue-%u/event-channel", i);
        snprintf(text, sizeof(text), "%d", r->port[i]);
        node(F, name, text);
    }
    node(F, "state", "3");
    settle();
    EQ(server[BACK].connected, 1);
    EQ(xk_vbd_back_queues(server[BACK].back), RINGS);
}

static void raw_close(struct raw *r)
{
    stop_back(BACK);
    EQ(xk_page_unshare(world.dom[FRONT], r->data, 1), 0);
    for (unsigned i = 0; i < RINGS; i++) {
        EQ(xk_page_unshare(world.dom[FRONT], r->page[i], 1), 0);
        xk_evtchn_unbind(world.dom[FRONT], r->port[i]);
    }
    close_world();
}

/* One request of a sector. The status of its answer, or 99: none came. */
static int raw_ask(struct raw *r, unsigned ring, unsigned op, uint64_t sector)
{
    const struct blk_abi *abi = r->slot == 108 ? &blk_abi_32 : &blk_abi_64;
    struct blk_wire w = {.id = 0x8000000000000000u + ring, .sector = sector, .segments = 1, .op = (uint8_t)op};
    uint8_t slot[BLK_SLOT_MAX];
    struct blk_answer a;

    w.seg[0].gref = r->ref;
    blk_request_write(abi, slot, &w);
    EQ(xk_ring_front_put(&r->ring[ring], slot, 1), 1);
    if (xk_ring_front_publish(&r->ring[ring]))
        xk_evtchn_notify(world.dom[FRONT], r->port[ring]);
    settle();
    if (xk_ring_front_take(&r->ring[ring], slot, 1) != 1)
        return 99;
    blk_answer_read(abi, slot, &a);
    EQ(a.id, w.id);
    return a.status;
}

static void data_by(const char *protocol)
{
    struct raw r;

    raw_open(&r, protocol);
    for (unsigned i = 0; i < RINGS; i++) {
        memset(r.data, (int)i + 'a', XK_SECTOR);
        EQ(raw_ask(&r, i, BLK_WRITE, 10 + i), BLK_OKAY);
    }
    for (unsigned i = 0; i < RINGS; i++) {
        memset(r.data, 0, XK_SECTOR);
        EQ(raw_ask(&r, (i + 1) % RINGS, BLK_READ, 10 + i), BLK_OKAY);
        EQ(r.data[0], i + 'a');
        EQ(r.data[XK_SECTOR - 1], i + 'a');
    }
    EQ(raw_ask(&r, 2, BLK_READ, SECTORS), BLK_ERROR); /* an error of this request alone */
    EQ(raw_ask(&r, 2, BLK_READ, 0), BLK_OKAY);
    raw_close(&r);
}

TEST(four_rings_of_the_64_bit_abi) { data_by("x86_64-abi"); }
TEST(four_rings_of_the_32_bit_abi) { data_by("x86_32-abi"); }

/* A ring that is always full does not keep another one waiting. */
TEST(each_ring_has_its_turn)
{
    const struct blk_wire w = {.segments = 1, .op = BLK_READ};
    uint8_t slot[BLK_SLOT_MAX];
    struct raw r;

    raw_open(&r, "x86_64-abi");
    for (int round = 0; round < 50; round++) {
        unsigned other = 1 + (unsigned)round % (RINGS - 1);
        struct blk_wire q = w;
        q.seg[0].gref = r.ref;
        blk_request_write(&blk_abi_64, slot, &q);
        while (xk_ring_front_free(&r.ring[0]))
            EQ(xk_ring_front_put(&r.ring[0], slot, 1), 1);
        EQ(xk_ring_front_put(&r.ring[other], slot, 1), 1);
        if (xk_ring_front_publish(&r.ring[0]))
            xk_evtchn_notify(world.dom[FRONT], r.port[0]);
        if (xk_ring_front_publish(&r.ring[other]))
            xk_evtchn_notify(world.dom[FRONT], r.port[other]);
        OK(xk_loop_run_once(server[BACK].loop, XK_NOW) >= 0);
        EQ(xk_ring_front_take(&r.ring[other], slot, 1), 1);
        while (xk_ring_front_take(&r.ring[0], slot, 1) == 1)
            ;
    }
    raw_close(&r);
}

TEST(a_front_end_that_lies_on_one_ring_loses_all)
{
    for (unsigned i = 0; i < RINGS; i++) {
        struct raw r;
        raw_open(&r, "x86_64-abi");
        EQ(raw_ask(&r, i, BLK_READ, 0), BLK_OKAY);
        *(volatile uint32_t *)r.page[i] = 1000; /* req_prod */
        xk_evtchn_notify(world.dom[FRONT], r.port[i]);
        settle();
        EQ(server[BACK].connected, 0);
        EQ(server[BACK].last, XK_EPEER);
        EQ(xk_vbd_back_queues(server[BACK].back), 0);
        STREQ(read_node(B, "state"), "6");
        EQ(raw_ask(&r, (i + 1) % RINGS, BLK_READ, 0), 99);
        raw_close(&r);
    }
}

/* The test as back end, which answers on one ring what nobody asked. */
TEST(a_back_end_that_lies_on_one_ring_loses_all)
{
    for (unsigned i = 0; i < 3; i++) {
        char name[32];
        xk_gref ref;
        void *page;
        int port;
        open_with(3, RINGS);
        xk_xenbus_retire(xk_vbd_back_bus(server[BACK].back));
        settle();
        stop_back(BACK);
        node(B, "multi-queue-max-queues", "3");
        node(B, "max-ring-page-order", "0");
        node(B, "state", "2");
        settle();
        snprintf(name, sizeof(name), "queue-%u/ring-ref", i);
        ref = (xk_gref)strtoul(read_node(F, name), NULL, 10);
        snprintf(name, sizeof(name), "queue-%u/event-channel", i);
        EQ(xk_page_map(world.dom[BACK], FRONT, &ref, 1, 0, NULL, &page), 0);
        port = xk_evtchn_bind(world.dom[BACK], FRONT, (xk_port)strtol(read_node(F, name), NULL, 10));
        OK(port > 0);
        node(B, "sectors", "2048");
        node(B, "state", "4");
        settle();
        EQ(front_connected, 1);
        ask_many(MANY, XK_BLK_READ);
        ((volatile uint32_t *)page)[2] = 77; /* rsp_prod */
        xk_evtchn_notify(world.dom[BACK], port);
        rounds(2);
        EQ(front_connected, 0);
        EQ(told[tellings - 1], XK_EPEER);
        all_done(MANY, XK_EPEER);
        STREQ(read_node(F, "state"), "6");
        EQ(xk_page_unmap(world.dom[BACK], page, 1), 0);
        EQ(xk_evtchn_unbind(world.dom[BACK], port), 0);
        close_world();
    }
}
