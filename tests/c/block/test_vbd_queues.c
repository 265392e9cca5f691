/* Disks of several rings: what is negotiated, how requests are spread, back ends that go, come and move with another
 * number of rings, liars on one of them. SPDX-License-Identifier: MIT */
#include <xenkit/ring.h>

#include "drivers/block/proto.h"
#include "tests/c/block/disks.h"

#define B "/local/domain/3/backend/vbd/2/51712"
enum { RINGS = XK_VBD_QUEUES };

static uint64_t seed = 1;
static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static const char *read_node(const char *folder, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return ring_path(&world, 0, XK_STORE_READ, path) == 0 ? world.guest[0].reply : NULL;
}

static void rounds(int n)
{
    while (n--)
        settle();
}

static void open_with(unsigned of_front, unsigned of_back)
{
    front_queues = of_front;
    back_queues[BACK] = of_back;
    open_world();
}

/* --- what is negotiated ------------------------------------------------------------------------------------------- */

TEST(both_have_as_many_rings_as_the_one_that_wants_fewer)
{
    static uint8_t out[90 * XK_SECTOR], in[90 * XK_SECTOR];

    for (unsigned f = 0; f <= RINGS; f++)
        for (unsigned b = 0; b <= RINGS; b++) {
            unsigned n = f < b ? f : b;
            char text[2] = {(char)('0' + (n ? n : 1)), 0};
            open_with(f, b);
            EQ(front_connected, 1);
            EQ(xk_vbd_front_queues(front), n ? n : 1);
            EQ(xk_vbd_back_queues(server[BACK].back), n ? n : 1);
            STREQ(read_node(F, "multi-queue-num-queues"), text);
            OK(!read_node(F, "event-channel") == (n > 1)); /* blkif.h: not in both places */
            OK(!read_node(F, "ring-ref0") == (n > 1));
            OK(!read_node(F, "queue-1/event-channel") == (n < 2));
            OK(!read_node(F, "queue-3/ring-ref1") == (n < 4));
            OK(!read_node(F, "queue-3/ring-ref2"));
            memset(out, (int)(f * 8 + b + 1), sizeof(out));
            good(XK_BLK_WRITE, 3, out, sizeof(out));
            good(XK_BLK_READ, 3, in, sizeof(in));
            MEMEQ(in, out, sizeof(in));
            close_world();
        }
}

TEST(a_back_end_that_offers_none_is_asked_for_one)
{
    open_with(RINGS, RINGS);
    xk_xenbus_retire(xk_vbd_back_bus(server[BACK].back));
    settle();
    stop_back(BACK);
    node(B, "multi-queue-max-queues", "0"); /* and waits; the test is the back end */
    node(B, "max-ring-page-order", "0");
    node(B, "state", "2");
    settle();
    EQ(xk_vbd_front_queues(front), 1);
    STREQ(read_node(F, "multi-queue-num-queues"), "1");
    node(B, "state", "6");
    settle();
    EQ(xk_vbd_front_queues(front), 0);
    close_world();
}

TEST(more_than_four_are_not_to_be_had)
{
    struct xk_vbd_front_options o = {.queues = RINGS + 1};
    struct xk_vbd_back_options b = {.open_image = open_image, .queues = RINGS + 1};
    struct xk_vbd_front *f;
    struct xk_vbd_back *back;

    open_world();
    EQ(xk_vbd_front_open(NULL, front_loop, front_store, "device/vbd/1", &o, &f), XK_EINVAL);
    EQ(xk_vbd_back_open(NULL, server[BACK].loop, server[BACK].store, B, &b, &back), XK_EINVAL);
    o = (struct xk_vbd_front_options){.queues = RINGS, .pages = 2 * RINGS - 1};
    EQ(xk_vbd_front_open(NULL, front_loop, front_store, "device/vbd/1", &o, &f), XK_EINVAL);
    close_world();
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

enum { MANY = 240 };
static uint8_t bufs[MANY][XK_SECTOR];
static struct ask asks[MANY];

static void ask_many(unsigned n, int op)
{
    for (unsigned i = 0; i < n; i++) {
        memset(bufs[i], (int)i, XK_SECTOR);
        EQ(ask_put(disk, &asks[i], op, i, bufs[i], XK_SECTOR), 0);
    }
    xk_blk_kick(disk);
    settle();
}

static void all_done(unsigned n, int err)
{
    for (unsigned i = 0; i < n; i++) {
        EQ(asks[i].done, 1);
        EQ(asks[i].err, err);
    }
}

TEST(requests_go_onto_all_rings)
{
    for (unsigned n = 1; n <= RINGS; n++) {
        struct xk_blkfront_stats f;
        struct xk_blkback_stats b;
        unsigned most = n * 64 < MANY ? n * 64 : MANY; /* a ring of two pages has 64 entries */
        open_with(n, RINGS);
        image.hold = 1;
        ask_many(MANY, XK_BLK_WRITE);
        EQ(image.n, most);
        EQ(xk_vbd_front_stats(front, &f), 0);
        EQ(f.under_way, most);
        EQ(f.waiting, MANY - most);
        EQ(f.notified, n); /* a batch on each ring */
        EQ(xk_vbd_back_stats(server[BACK].back, &b), 0);
        EQ(b.under_way, most);
        OK(b.most_under_way >= most / n && b.most_under_way <= 64);
        image.hold = 0;
        slow_go(&image);
        settle();
        all_done(MANY, 0);
        EQ(xk_vbd_front_stats(front, &f), 0);
        EQ(xk_vbd_back_stats(server[BACK].back, &b), 0);
        EQ(f.requests[XK_BLK_WRITE], MANY);
        EQ(b.requests[XK_BLK_WRITE], MANY);
        EQ(f.bytes[1], b.bytes[1]);
        EQ(f.under_way + f.waiting + b.under_way, 0);
        close_world();
    }
}

TEST(a_small_batch_is_one_notification)
{
    struct xk_blkfront_stats f;

    open_with(RINGS, RINGS);
    image.hold = 1;
    ask_many(8, XK_BLK_READ);
    EQ(image.n, 8);
    EQ(xk_vbd_front_stats(front, &f), 0);
    EQ(f.notified, 1);
    image.hold = 0;
    slow_go(&image);
    settle();
    all_done(8, 0);
    close_world();
}

static unsigned left;
static void once_more(struct xk_blk_request *r, int err)
{
    ask_done(r, err);
    if (left) {
        left--;
        ((struct ask *)r)->done--;
        EQ(xk_blk_submit(disk, r), 0);
        if (left & 1)
            xk_blk_kick(disk);
    }
}

/* What an answer submits stays where that came from, with a kick or without one; it does not wait for ever. */
TEST(a_request_may_be_submitted_again_from_its_answer)
{
    open_with(3, RINGS);
    left = 2000;
    for (unsigned i = 0; i < 60; i++) {
        EQ(ask_put(disk, &asks[i], XK_BLK_READ, i, bufs[i], XK_SECTOR), 0);
        asks[i].r.done = once_more;
    }
    xk_blk_kick(disk);
    for (int i = 0; i < 20 && left; i++)
        settle();
    settle();
    xk_blk_kick(disk); /* the last one may not have been kicked */
    settle();
    EQ(left, 0);
    all_done(60, 0);
    close_world();
}

static void once_more_unkicked(struct xk_blk_request *r, int err)
{
    ask_done(r, err);
    if (left) {
        left--;
        ((struct ask *)r)->done--;
        EQ(xk_blk_submit(disk, r), 0);
    }
}

TEST(what_is_submitted_from_an_answer_goes_onto_its_ring)
{
    open_with(2, 2);
    image.hold = 1;
    for (unsigned i = 0; i < 16; i++) {
        EQ(ask_put(disk, &asks[i], XK_BLK_READ, i, bufs[i], XK_SECTOR), 0);
        asks[i].r.done = once_more_unkicked;
    }
    xk_blk_kick(disk);
    settle();
    EQ(image.n, 16);
    left = 8;
    for (int i = 15; i >= 0; i--) /* those of the first ring; the last were put onto the second */
        if (image.held[i]->sector < 8) {
            struct xk_blk_request *r = image.held[i];
            image.held[i] = image.held[--image.n];
            slow_pass(&image, r);
        }
    EQ(image.n, 8);
    settle();
    EQ(left, 0);
    EQ(image.n, 16);
    slow_go(&image);
    settle();
    all_done(16, 0);
    close_world();
}

/* A flush is one request, of any ring; it is on the disk after all that was answered on all. */
TEST(a_flush_is_one_for_all_rings)
{
    struct xk_blkback_stats b;

    open_with(RINGS, RINGS);
    ask_many(100, XK_BLK_WRITE);
    all_done(100, 0);
    good(XK_BLK_FLUSH, 0, NULL, 0);
    EQ(xk_vbd_back_stats(server[BACK].back, &b), 0);
    EQ(b.requests[XK_BLK_FLUSH], 1);
    close_world();
}

/* As Linux' blkback does it: a barrier waits for what is before it on its own ring. No order holds between rings. */
TEST(a_barrier_waits_for_its_own_ring)
{
    struct ask flush;

    no_flush = 1;
    open_with(2, 2);
    image.hold = 1;
    ask_many(8, XK_BLK_WRITE);
    EQ(image.n, 8);
    put(&flush, XK_BLK_FLUSH, 0, NULL, 0); /* the other ring has less to do */
    settle();
    EQ(image.n, 9);
    EQ(image.held[8]->op, XK_BLK_FLUSH);
    EQ(flush.done, 0);
    image.hold = 0;
    slow_go(&image);
    settle();
    EQ(flush.done, 1);
    EQ(flush.err, 0);
    all_done(8, 0);
    close_world();
    no_flush = 0;
}

/* Random requests on parts of the disk of their own, against a model, while the back end goes, comes back and moves. */
static void random_use(unsigned of_front, unsigned of_back, unsigned of_other, int turns)
{
    enum { PARTS = 40, PART = 48 };
    static uint8_t model[PARTS * PART * XK_SECTOR], buf[PARTS][PART * XK_SECTOR];
    static struct ask a[PARTS];
    unsigned home = BACK;

    memset(model, 0, sizeof(model));
    back_queues[OTHER] = of_other;
    open_with(of_front, of_back);
    back_folder(OTHER);
    start_back(OTHER);
    settle();
    for (int turn = 0; turn < turns; turn++) {
        image.hold = roll(2) == 0;
        for (unsigned i = 0; i < PARTS; i++) {
            unsigned at = i * PART + roll(PART), n = 1 + roll(i * PART + PART - at), op = roll(8);
            uint8_t *want = model + (size_t)at * XK_SECTOR;
            op = op < 4 ? XK_BLK_WRITE : op == 4 ? XK_BLK_DISCARD : op == 5 ? XK_BLK_FLUSH : XK_BLK_READ;
            for (unsigned k = 0; k < n * XK_SECTOR && op == XK_BLK_WRITE; k++)
                buf[i][k] = want[k] = (uint8_t)roll(256);
            if (op == XK_BLK_DISCARD)
                memset(want, 0, (size_t)n * XK_SECTOR);
            EQ(ask_put(disk, &a[i], (int)op, op == XK_BLK_FLUSH ? 0 : at, op < XK_BLK_FLUSH ? buf[i] : NULL,
                       op == XK_BLK_FLUSH ? 0 : (size_t)n * XK_SECTOR),
               0);
            a[i].r.flags = op == XK_BLK_WRITE && roll(4) == 0 ? XK_BLK_FUA : 0;
            if (roll(3) == 0)
                xk_blk_kick(disk);
        }
        xk_blk_kick(disk);
        if (roll(2))
            OK(xk_loop_run_once(server[home].loop, XK_NOW) >= 0);
        if (roll(3) == 0) {
            stop_back(home);
            slow_go(&image);
            start_back(home);
        } else if (roll(3) == 0) {
            home = BACK + OTHER - home;
            back_folder(home);
            move_to(home);
        }
        for (int i = 0; i < 6; i++) {
            settle();
            image.hold = 0;
            slow_go(&image);
        }
        for (unsigned i = 0; i < PARTS; i++) {
            EQ(a[i].done, 1);
            EQ(a[i].err, 0);
            if (a[i].r.op == XK_BLK_READ)
                MEMEQ(buf[i], model + a[i].r.sector * XK_SECTOR, a[i].r.sectors * XK_SECTOR);
        }
    }
    EQ(xk_vbd_front_queues(front), home == BACK          ? of_back < of_front ? of_back : of_front
                                   : of_other < of_front ? of_other
                                                         : of_front);
    close_world();
}

TEST(random_use_of_one_ring) { random_use(1, 1, 1, 30); }
TEST(random_use_of_two_rings) { random_use(2, 2, 2, 30); }
TEST(random_use_of_three_rings) { random_use(3, 3, 3, 30); }
TEST(random_use_of_four_rings) { random_use(4, 4, 4, 30); }
TEST(random_use_of_as_many_as_there_are) { random_use(4, 3, 1, 40); }

/* --- back ends that go -------------------------------------------------------------------------------------------- */

TEST(a_back_end_that_is_replaced_takes_up_all_rings)
{
    open_with(RINGS, RINGS);
    stop_back(BACK); /* its states stay */
    ask_many(200, XK_BLK_WRITE);
    rounds(3);
    EQ(asks[0].done, 0);
    start_back(BACK);
    rounds(3);
    all_done(200, 0);
    EQ(tellings, 1); /* the front end has not noticed */
    EQ(xk_vbd_back_queues(server[BACK].back), RINGS);
    EQ(server[BACK].connected, 1);
    close_world();
}

/* The number of rings, and of their pages, is another with each back end; what was said to the one before is not taken
 * for it. */
TEST(a_disk_moves_between_back_ends_of_other_rings)
{
    static const struct {
        unsigned queues, order;
    } to[] = {{1, 0}, {3, 1}, {1, 2}, {2, 0}, {4, 2}, {1, 0}};

    open_with(RINGS, RINGS);
    for (unsigned i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
        unsigned home = i % 2 ? BACK : OTHER;
        if (server[home].back)
            stop_back(home);
        back_queues[home] = to[i].queues;
        back_order[home] = to[i].order;
        back_folder(home);
        start_back(home);
        settle();
        image.hold = 1;
        ask_many(MANY, i % 2 ? XK_BLK_READ : XK_BLK_WRITE);
        OK(image.n >= 32);
        move_to(home);
        image.hold = 0;
        slow_go(&image);
        rounds(4);
        all_done(MANY, 0);
        EQ(server[home].connected, 1);
        EQ(server[BACK + OTHER - home].connected, 0);
        EQ(xk_vbd_front_queues(front), to[i].queues);
        EQ(xk_vbd_back_queues(server[home].back), to[i].queues);
        for (unsigned k = 0; k < MANY && i % 2; k++)
            EQ(bufs[k][0], (uint8_t)k);
    }
    close_world();
    back_order[BACK] = back_order[OTHER] = 2;
}

/* A back end's successor that offers fewer than there are refuses, says so, and is connected to anew. */
TEST(a_successor_that_offers_fewer)
{
    open_with(RINGS, RINGS);
    stop_back(BACK);
    back_queues[BACK] = 2;
    ask_many(200, XK_BLK_WRITE);
    start_back(BACK);
    settle();
    STREQ(read_node(B, "error"), "1003 XK_EPEER: the front end's multi-queue-num-queues is 4, and has to be 1 to 2");
    rounds(40); /* it is tried again after a second */
    all_done(200, 0);
    EQ(xk_vbd_front_queues(front), 2);
    close_world();
}

TEST(closing_ends_the_requests_of_all_rings)
{
    open_with(RINGS, RINGS);
    image.hold = 1;
    ask_many(200, XK_BLK_READ);
    EQ(image.n, 200);
    xk_vbd_front_close(front);
    front = NULL;
    all_done(200, XK_ECANCELED);
    EQ(ring_path(&world, 0, XK_STORE_RM, F), 0);
    settle();
    EQ(server[BACK].last, XK_EGONE);
    EQ(ring_path(&world, 0, XK_STORE_RM, B), 0);
    settle();
    EQ(server[BACK].gone, 0); /* the disk has its requests still */
    for (int i = 0; i < 199; i++) {
        slow_pass(&image, image.held[--image.n]);
        if (i % 40 == 0) {
            settle();
            EQ(server[BACK].gone, 0); /* of the other rings, or of the last */
        }
    }
    settle();
    EQ(server[BACK].gone, 0);
    slow_pass(&image, image.held[--image.n]);
    settle();
    EQ(server[BACK].gone, 1);
    close_world();
}

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
    OK(strstr(read_node(B, "error"), ": the front end's ring 0 of 2: its pages, its port 99 or") != NULL);
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

/* --- what may fail ------------------------------------------------------------------------------------------------ */

/* One call fails while a disk of four rings connects: it is tried again, and nothing is left over. */
static void fails_once(enum xk_fake_fault what, unsigned most)
{
    int passed = 0;

    for (unsigned nth = 1; nth < most && passed < 2; nth++) {
        unsigned calls;
        open_with(RINGS, RINGS);
        xk_xenbus_retire(xk_vbd_back_bus(server[BACK].back));
        rounds(2);
        stop_back(BACK);
        calls = xk_fake_calls(world.fake, what);
        xk_fake_fail(world.fake, what, nth);
        start_back(BACK);
        rounds(70);
        passed += xk_fake_calls(world.fake, what) - calls < nth; /* there are no more of them */
        xk_fake_fail(world.fake, what, 0);
        EQ(front_connected, 1);
        EQ(server[BACK].connected, 1);
        EQ(xk_vbd_front_queues(front), RINGS);
        ask_many(40, XK_BLK_WRITE);
        all_done(40, 0);
        close_world();
    }
    EQ(passed, 2);
}

TEST(each_share_fails_once_with_four_rings) { fails_once(XK_FAKE_SHARE, 12); }
TEST(each_map_fails_once_with_four_rings) { fails_once(XK_FAKE_MAP, 12); }
TEST(each_event_channel_fails_once_with_four_rings) { fails_once(XK_FAKE_EVTCHN, 12); }
