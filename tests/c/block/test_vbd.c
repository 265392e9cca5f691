/* Disks whole: a store between the halves, a test as toolstack; back ends that go, come back, and move.
 * SPDX-License-Identifier: MIT */
#include <xenkit/vbd.h>

#include "tests/c/tap.h"

#include "tests/c/block/pair.h"
#include "tests/c/store/ring.h"

enum { FRONT = 2, BACK = 3, OTHER = 4, SECTORS = 2048 };
#define F "/local/domain/2/device/vbd/51712"

struct server {
    struct xk_loop *loop;
    struct xk_store *store;
    struct xk_vbd_back *back;
    char path[64];
    int opened, closed, connected, last, gone;
};

static struct ring_world world;
static struct server server[RING_DOMAINS];
static struct slow image; /* both back ends have the same */
static struct xk_loop *front_loop;
static struct xk_store *front_store;
static struct xk_vbd_front *front;
static struct xk_blkdev *disk;
static int told[8], tellings, front_connected;
static int no_flush; /* the back end offers barriers alone */

static int open_image(void *arg, xk_domid who, const char *params, const char *mode, struct xk_blkdev **out)
{
    struct server *s = arg;

    EQ(who, FRONT);
    STREQ(params, "disk.img");
    STREQ(mode, "w");
    s->opened++;
    *out = &image.dev;
    return 0;
}

static void close_image(void *arg, struct xk_blkdev *d)
{
    OK(d == &image.dev);
    ((struct server *)arg)->closed++;
}

static void back_told(void *arg, int connected, int err)
{
    ((struct server *)arg)->connected = connected;
    ((struct server *)arg)->last = err;
}

static void back_gone(void *arg)
{
    struct server *s = arg;

    s->gone++;
    xk_vbd_back_close(s->back, NULL, NULL);
    s->back = NULL;
}

static void front_told(void *arg, int connected, int err)
{
    (void)arg;
    front_connected = connected;
    if (tellings < 8)
        told[tellings++] = connected ? 1 : err;
}

static void settle(void)
{
    for (int i = 0; i < 60; i++) {
        ring_round(&world);
        if (front_loop)
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

    snprintf(path, sizeof(server[domid].path), "/local/domain/%u/backend/vbd/2/51712", domid);
    owned(path, domid);
    node(path, "frontend-id", "2");
    node(path, "frontend", F);
    node(path, "params", "disk.img");
    node(path, "mode", "w");
    node(path, "online", "1");
    node(path, "state", "1");
}

static void start_back(unsigned domid)
{
    struct xk_vbd_back_options o = {.open_image = open_image,
                                    .close_image = close_image,
                                    .told = back_told,
                                    .gone = back_gone,
                                    .arg = &server[domid],
                                    .ring_order = 2,
                                    .max_pieces = 32};
    EQ(xk_vbd_back_open(NULL, server[domid].loop, server[domid].store, server[domid].path, &o, &server[domid].back), 0);
}

static void stop_back(unsigned domid)
{
    xk_vbd_back_close(server[domid].back, NULL, NULL);
    server[domid].back = NULL;
}

static void open_world(void)
{
    struct xk_vbd_front_options o = {.ring_order = 1, .max_pieces = 64, .told = front_told};

    ring_world(&world, 11);
    ring_service(&world, NULL);
    ring_introduce_all(&world);
    image.dev.ops = &slow_ops;
    EQ(xk_block_memory(NULL, SECTORS, &image.below), 0);
    image.dev.info = image.below->info;
    image.dev.info.features |= XK_BLK_CAN_FLUSH;
    for (unsigned d = BACK; d <= OTHER; d++) {
        EQ(xk_loop_create(NULL, world.dom[d], &server[d].loop), 0);
        EQ(xk_store_open_domain(NULL, server[d].loop, &server[d].store), 0);
    }
    EQ(xk_loop_create(NULL, world.dom[FRONT], &front_loop), 0);
    EQ(xk_store_open_domain(NULL, front_loop, &front_store), 0);
    owned(F, FRONT);
    back_folder(BACK);
    node(F, "backend-id", "3");
    node(F, "backend", server[BACK].path);
    node(F, "state", "1");
    start_back(BACK);
    if (no_flush) {
        settle();
        node(server[BACK].path, "feature-flush-cache", "0");
    }
    EQ(xk_vbd_front_open(NULL, front_loop, front_store, "device/vbd/51712", &o, &front), 0);
    disk = xk_vbd_front_device(front);
    settle();
}

static void close_world(void)
{
    if (front)
        xk_vbd_front_close(front);
    xk_store_close(front_store);
    xk_loop_destroy(front_loop);
    for (unsigned d = BACK; d <= OTHER; d++) {
        if (server[d].back)
            stop_back(d);
        EQ(server[d].opened, server[d].closed);
        xk_store_close(server[d].store);
        xk_loop_destroy(server[d].loop);
    }
    xk_blk_close(&image.dev);
    ring_end(&world);
}

static void put(struct ask *a, int op, uint64_t sector, void *buf, size_t n)
{
    EQ(ask_put(disk, a, op, sector, buf, n), 0);
    xk_blk_kick(disk);
}

static void good(int op, uint64_t sector, void *buf, size_t n)
{
    struct ask a;

    put(&a, op, sector, buf, n);
    settle();
    EQ(a.done, 1);
    EQ(a.err, 0);
}

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
    node(F, "backend-id", "4");
    node(F, "backend", server[OTHER].path);
    settle();
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
