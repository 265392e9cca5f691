/* Disks whole: back ends that go, come back, and move. SPDX-License-Identifier: MIT */
#include "tests/c/block/disks.h"

/* --- tests -------------------------------------------------------------------------------------------------------- */

TEST(a_disk_connects_and_carries_data)
{
    static uint8_t out[100 * XK_SECTOR], in[100 * XK_SECTOR];
    struct xk_blkfront_stats s;

    open_world();
    EQ(front_connected, 1);
    EQ(disk->info.sectors, SECTORS);
    OK(disk->info.features & XK_BLK_CAN_FLUSH);
    OK(disk->info.features & XK_BLK_CAN_DISCARD);
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7 >> 3);
    good(XK_BLK_WRITE, 17, out, sizeof(out));
    good(XK_BLK_FLUSH, 0, NULL, 0);
    good(XK_BLK_READ, 17, in, sizeof(in));
    MEMEQ(in, out, sizeof(in));
    EQ(xk_vbd_front_stats(front, &s), 0);
    EQ(s.requests[XK_BLK_WRITE], 1); /* 13 segments: an indirect request */
    close_world();
}

TEST(barriers_do_for_flushes)
{
    uint8_t sector[XK_SECTOR] = {1};
    struct xk_blkback_stats s;
    struct ask a;

    no_flush = 1;
    open_world();
    OK(disk->info.features & XK_BLK_CAN_FLUSH);
    image.hold = 1;
    put(&a, XK_BLK_WRITE, 9, sector, sizeof(sector));
    settle();
    {
        struct ask flush;
        put(&flush, XK_BLK_FLUSH, 0, NULL, 0);
        settle();
        EQ(image.n, 1); /* the flush waits for what came before it */
        image.hold = 0;
        slow_go(&image);
        settle();
        EQ(flush.done, 1);
        EQ(flush.err, 0);
    }
    EQ(a.done, 1);
    EQ(xk_vbd_back_stats(server[BACK].back, &s), 0);
    EQ(s.refused, 0);
    close_world();
}

TEST(before_it_is_connected_it_takes_no_requests)
{
    struct ask a;
    uint8_t buf[XK_SECTOR];

    ring_world(&world, 11);
    ring_service(&world, NULL);
    ring_introduce_all(&world);
    EQ(xk_loop_create(NULL, world.dom[FRONT], &front_loop), 0);
    EQ(xk_store_open_domain(NULL, front_loop, &front_store), 0);
    EQ(xk_vbd_front_open(NULL, front_loop, front_store, "device/vbd/1", NULL, &front), 0);
    disk = xk_vbd_front_device(front);
    EQ(ask_put(disk, &a, XK_BLK_READ, 0, buf, sizeof(buf)), XK_EINVAL);
    xk_vbd_front_close(front);
    xk_store_close(front_store);
    xk_loop_destroy(front_loop);
    ring_end(&world);
}

TEST(a_back_end_that_is_replaced_takes_up_the_ring)
{
    static uint8_t buf[XK_SECTOR], in[XK_SECTOR];
    struct ask a;

    open_world();
    memset(buf, 3, sizeof(buf));
    stop_back(BACK); /* its states stay */
    put(&a, XK_BLK_WRITE, 5, buf, sizeof(buf));
    settle();
    EQ(a.done, 0);
    start_back(BACK);
    settle();
    EQ(a.done, 1);
    EQ(a.err, 0);
    EQ(tellings, 1); /* the front end has not noticed */
    good(XK_BLK_READ, 5, in, sizeof(in));
    MEMEQ(in, buf, sizeof(in));
    close_world();
}

TEST(a_disk_moves_to_another_back_end_with_requests_under_way)
{
    static uint8_t buf[60][2 * XK_SECTOR], in[2 * XK_SECTOR];
    static struct ask a[60];

    open_world();
    back_folder(OTHER);
    start_back(OTHER);
    settle();
    image.hold = 1;
    for (int i = 0; i < 60; i++) {
        memset(buf[i], i + 1, sizeof(buf[i]));
        put(&a[i], XK_BLK_WRITE, (unsigned)i * 2, buf[i], sizeof(buf[i]));
    }
    settle();
    OK(image.n >= 32);
    move_to(OTHER);
    image.hold = 0;
    slow_go(&image); /* what the first back end had is done, and its answers go nowhere */
    settle();
    EQ(server[BACK].connected, 0);
    EQ(server[OTHER].connected, 1);
    for (int i = 0; i < 60; i++) {
        EQ(a[i].done, 1);
        EQ(a[i].err, 0);
    }
    for (int i = 0; i < 60; i++) {
        good(XK_BLK_READ, (unsigned)i * 2, in, sizeof(in));
        MEMEQ(in, buf[i], sizeof(in));
    }
    close_world();
}

TEST(what_comes_while_there_is_no_back_end_waits)
{
    static uint8_t buf[XK_SECTOR];
    struct ask a;

    open_world();
    xk_xenbus_retire(xk_vbd_back_bus(server[BACK].back));
    settle();
    EQ(front_connected, 0);
    put(&a, XK_BLK_READ, 5, buf, sizeof(buf));
    settle();
    EQ(a.done, 0);
    stop_back(BACK);
    start_back(BACK);
    settle();
    EQ(a.done, 1);
    EQ(a.err, 0);
    close_world();
}

TEST(a_disk_that_is_unplugged_ends_its_requests)
{
    static uint8_t buf[XK_SECTOR];
    struct ask a;

    open_world();
    image.hold = 1;
    put(&a, XK_BLK_READ, 5, buf, sizeof(buf));
    settle();
    EQ(ring_path(&world, 0, XK_STORE_RM, F), 0);
    EQ(ring_path(&world, 0, XK_STORE_RM, server[BACK].path), 0);
    settle();
    EQ(a.done, 1);
    EQ(a.err, XK_EGONE);
    EQ(server[BACK].gone, 0); /* the disk has its request still */
    image.hold = 0;
    slow_go(&image);
    settle();
    EQ(server[BACK].gone, 1);
    close_world();
}

static int resized;
static void on_changed(struct xk_blkdev *d) { resized = (int)d->info.sectors; }

TEST(a_new_size_arrives)
{
    open_world();
    disk->changed = on_changed;
    image.dev.info.sectors = SECTORS / 2;
    EQ(xk_vbd_back_resized(server[BACK].back), 0);
    settle();
    EQ(resized, SECTORS / 2);
    EQ(disk->info.sectors, SECTORS / 2);
    close_world();
}

TEST(a_guest_that_dies_leaves_nothing)
{
    static uint8_t buf[XK_SECTOR];
    struct ask a;

    open_world();
    good(XK_BLK_READ, 0, buf, sizeof(buf));
    put(&a, XK_BLK_READ, 5, buf, sizeof(buf));
    xk_vbd_front_close(front); /* the driver of a guest that dies is not asked; this only tidies up */
    EQ(a.err, XK_ECANCELED);
    front = NULL;
    EQ(ring_path(&world, 0, XK_STORE_RM, "/local/domain/2"), 0);
    settle();
    EQ(server[BACK].connected, 0);
    EQ(server[BACK].last, XK_EGONE);
    EQ(ring_path(&world, 0, XK_STORE_RM, server[BACK].path), 0);
    settle();
    EQ(server[BACK].gone, 1);
    close_world();
}

/* The toolstack as a front end that says nonsense. */
static void lie(const char *name, const char *value, const char *state)
{
    open_world();
    xk_vbd_front_close(front);
    front = NULL;
    node(F, "state", "6");
    settle();
    node(F, "state", "1");
    settle();
    EQ(server[BACK].connected, 0);
    node(F, name, value);
    node(F, "state", state);
    settle();
    EQ(server[BACK].connected, 0);
    EQ(ring_path(&world, 0, XK_STORE_READ, "/local/domain/3/backend/vbd/2/51712/error"), 0);
    close_world();
}

TEST(a_ring_of_too_many_pages) { lie("ring-page-order", "3", "3"); }
TEST(a_ring_of_absurdly_many_pages) { lie("ring-page-order", "4294967296", "3"); }
TEST(a_ring_that_was_not_granted) { lie("ring-ref0", "999999", "3"); }
TEST(a_reference_that_is_none) { lie("ring-ref0", "8x", "3"); }
TEST(a_port_that_is_none) { lie("event-channel", "99999", "3"); }
TEST(a_port_of_zero) { lie("event-channel", "0", "4"); }
TEST(a_protocol_that_nobody_speaks) { lie("protocol", "vax-abi", "3"); }
