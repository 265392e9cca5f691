/* Disks of several rings: what is negotiated, how requests are spread, back ends that go, come and move with another
 * number of rings. Who lies about them stands in test_vbd_lies.c. SPDX-License-Identifier: MIT */
#include "tests/c/block/disks.h"

static uint64_t seed = 1;
static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
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

static int chaos; /* events come late, and from nowhere */

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
    if (chaos)
        xk_fake_chaos(world.fake, 300, 300);
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
TEST(random_use_of_rings_with_two_pages_of_data_each)
{
    front_pages = 2 * RINGS;
    random_use(RINGS, RINGS, 3, 20); /* the rings of three have as many together */
    front_pages = 0;
}
TEST(random_use_with_events_that_are_late)
{
    chaos = 1;
    random_use(RINGS, RINGS, RINGS, 30);
    chaos = 0;
}
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

/* A successor that offers fewer takes up what there is; who connects anew gets what it offers. */
TEST(a_successor_that_offers_fewer)
{
    open_with(RINGS, RINGS);
    stop_back(BACK);
    back_queues[BACK] = 2;
    ask_many(200, XK_BLK_WRITE);
    start_back(BACK);
    rounds(3);
    all_done(200, 0);
    EQ(xk_vbd_back_queues(server[BACK].back), RINGS);
    EQ(tellings, 1);
    xk_xenbus_retire(xk_vbd_back_bus(server[BACK].back));
    settle();
    stop_back(BACK);
    start_back(BACK);
    rounds(3);
    EQ(xk_vbd_front_queues(front), 2);
    ask_many(200, XK_BLK_READ);
    rounds(3);
    all_done(200, 0);
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
