/* Layers: what they let through, hold back and refuse. SPDX-License-Identifier: MIT */
#include <xenkit/fake.h>

#include "tests/c/block/pair.h"

static struct world w;
static struct xk_loop *loop;
static struct slow disk;
static struct xk_blkdev *top;

static const xk_alloc *alloc(void) { return xk_fake_alloc(w.fake); }

static void open_disk(void)
{
    world_open_fake(&w);
    EQ(xk_loop_create(NULL, w.dom[1], &loop), 0);
    memset(&disk, 0, sizeof(disk));
    disk.dev.ops = &slow_ops;
    EQ(xk_block_memory(alloc(), PAIR_SECTORS, &disk.below), 0);
    disk.dev.info = disk.below->info;
    disk.dev.info.features |= XK_BLK_CAN_FLUSH;
}

static void close_disk(void)
{
    xk_blk_close(top);
    xk_loop_destroy(loop);
    world_close(&w);
}

static int do_it(int op, uint64_t sector, void *buf, size_t n)
{
    struct ask a;
    int r = ask_put(top, &a, op, sector, buf, n);

    if (r < 0)
        return r;
    xk_blk_kick(top);
    EQ(a.done, 1);
    return a.err;
}

TEST(a_slice_begins_where_it_says)
{
    uint8_t buf[4 * XK_SECTOR], in[4 * XK_SECTOR];

    open_disk();
    EQ(xk_block_slice(alloc(), &disk.dev, 100, 50, &top), 0);
    EQ(top->info.sectors, 50);
    memset(buf, 7, sizeof(buf));
    EQ(do_it(XK_BLK_WRITE, 46, buf, sizeof(buf)), 0);
    EQ(do_it(XK_BLK_READ, 46, in, sizeof(in)), 0);
    MEMEQ(in, buf, sizeof(in));
    EQ(do_it(XK_BLK_WRITE, 47, buf, sizeof(buf)), XK_EINVAL);
    EQ(do_it(XK_BLK_FLUSH, 0, NULL, 0), 0); /* of all that is below */
    {
        struct ask a;
        EQ(ask_put(&disk.dev, &a, XK_BLK_READ, 146, in, sizeof(in)), 0);
        memset(in, 0, sizeof(in));
        xk_blk_kick(&disk.dev);
        EQ(a.done, 1);
        MEMEQ(in, buf, sizeof(in));
    }
    close_disk();
}

TEST(a_slice_that_is_not_there)
{
    static const uint64_t bad[][2] = {
        {0, 0}, {0, PAIR_SECTORS + 1}, {PAIR_SECTORS, 1}, {UINT64_MAX, 2}, {1, UINT64_MAX}};

    for (int i = 0; i < 5; i++) {
        open_disk();
        EQ(xk_block_slice(alloc(), &disk.dev, bad[i][0], bad[i][1], &top), XK_EINVAL);
        top = NULL; /* and the one below is closed */
        close_disk();
    }
    open_disk();
    disk.dev.info.logical = 4096;
    EQ(xk_block_slice(alloc(), &disk.dev, 4, 8, &top), XK_EINVAL);
    top = NULL;
    close_disk();
}

/* More requests than a layer has copies for, which are answered in another order. */
TEST(many_requests_go_through_one_after_the_other)
{
    static struct ask a[300];
    static uint8_t buf[300][XK_SECTOR];

    open_disk();
    disk.hold = 1;
    EQ(xk_block_slice(alloc(), &disk.dev, 8, 1000, &top), 0);
    for (unsigned i = 0; i < 300; i++) {
        memset(buf[i], (int)i, XK_SECTOR);
        EQ(ask_put(top, &a[i], XK_BLK_WRITE, i, buf[i], XK_SECTOR), 0);
    }
    xk_blk_kick(top);
    EQ(disk.n, 64);
    for (int i = 0; i < 10; i++)
        slow_go(&disk);
    for (unsigned i = 0; i < 300; i++) {
        uint8_t in[XK_SECTOR];
        EQ(a[i].done, 1);
        EQ(a[i].r.sector, i); /* as its owner made it */
        disk.hold = 0;
        EQ(do_it(XK_BLK_READ, i, in, sizeof(in)), 0);
        EQ(in[0], (uint8_t)i);
    }
    close_disk();
}

TEST(what_waits_and_what_is_below_ends_with_it)
{
    static struct ask a[100];
    static uint8_t buf[XK_SECTOR];

    open_disk();
    disk.hold = 1;
    EQ(xk_block_slice(alloc(), &disk.dev, 0, 1000, &top), 0);
    for (unsigned i = 0; i < 100; i++)
        EQ(ask_put(top, &a[i], XK_BLK_READ, i, buf, XK_SECTOR), 0);
    xk_blk_kick(top);
    disk.hold = 0; /* the disk below answers what it has when it is closed */
    slow_go(&disk);
    close_disk();
    for (unsigned i = 0; i < 100; i++)
        EQ(a[i].done, 1);
}

static void pass_time(xk_time ns)
{
    xk_time end = xk_now(w.dom[1]) + ns;

    while (xk_now(w.dom[1]) < end) {
        xk_fake_advance(w.fake, XK_MS);
        while (xk_loop_run_once(loop, XK_NOW) > 0)
            ;
    }
}

/* A front end below ends what it has with itself, not when its device is closed. */
static int closes;

static void stay(struct xk_blkdev *d)
{
    (void)d;
    closes++;
}

static const struct xk_blkdev_ops stays = {XK_BLKDEV_VERSION, slow_submit, slow_kick, stay, NULL, NULL};

static void close_it(struct xk_blk_request *r, int err)
{
    struct ask *a = (struct ask *)r;

    a->done++;
    a->err = err;
    xk_blk_close(top);
    top = NULL;
}

/* By an answer that comes from within a kick, and by one that comes later. */
TEST(a_layer_is_closed_from_within_an_answer)
{
    static uint8_t buf[XK_SECTOR];

    for (int hold = 0; hold < 2; hold++) {
        struct ask a, b;
        open_disk();
        disk.dev.ops = &stays;
        EQ(xk_block_slice(alloc(), &disk.dev, 0, 1000, &top), 0);
        disk.hold = 1;
        EQ(ask_put(top, &b, XK_BLK_READ, 2, buf, XK_SECTOR), 0);
        xk_blk_kick(top);
        disk.hold = hold;
        EQ(ask_put(top, &a, XK_BLK_READ, 1, buf, XK_SECTOR), 0);
        a.r.done = close_it;
        xk_blk_kick(top);
        slow_go(&disk);
        EQ(a.done, 1);
        EQ(b.done, 1);
        OK(top == NULL);
        xk_blk_close(disk.below);
        close_disk();
    }
}

static int asked_again;
static struct ask again;

static void ask_again(struct xk_blk_request *r, int err)
{
    static uint8_t buf[XK_SECTOR];

    ((struct ask *)r)->done++;
    EQ(err, XK_ECANCELED);
    if (asked_again++)
        return;
    EQ(ask_put(top, &again, XK_BLK_READ, 5, buf, XK_SECTOR), 0);
    xk_blk_kick(top);
}

TEST(who_asks_again_while_it_ends_is_refused_again)
{
    static struct ask a[100];
    static uint8_t buf[XK_SECTOR];

    open_disk();
    disk.dev.ops = &stays;
    disk.hold = 1;
    EQ(xk_block_slice(alloc(), &disk.dev, 0, 1000, &top), 0);
    for (unsigned i = 0; i < 100; i++) {
        EQ(ask_put(top, &a[i], XK_BLK_READ, i, buf, XK_SECTOR), 0);
        a[i].r.done = i < 64 ? a[i].r.done : ask_again;
    }
    xk_blk_kick(top);
    asked_again = closes = 0;
    xk_blk_close(top);
    top = NULL;
    EQ(asked_again, 36);
    EQ(closes, 1);
    EQ(again.done, 1);
    EQ(again.err, XK_ECANCELED);
    slow_go(&disk);
    for (unsigned i = 0; i < 100; i++)
        EQ(a[i].done, 1);
    xk_blk_close(disk.below);
    close_disk();
}

TEST(a_throttle_lets_so_many_through)
{
    static struct ask a[2000];
    static uint8_t buf[XK_SECTOR];
    int done = 0;

    open_disk();
    EQ(xk_block_throttle(alloc(), loop, &disk.dev, 500, 0, &top), 0);
    for (unsigned i = 0; i < 2000; i++)
        EQ(ask_put(top, &a[i], XK_BLK_READ, i, buf, XK_SECTOR), 0);
    xk_blk_kick(top);
    pass_time(2 * XK_SECOND);
    for (unsigned i = 0; i < 2000; i++)
        done += a[i].done;
    OK(done >= 1000 && done <= 1052);
    pass_time(2 * XK_SECOND);
    for (unsigned i = 0; i < 2000; i++)
        EQ(a[i].done, 1);
    close_disk();
}

TEST(a_throttle_counts_bytes_and_lets_a_large_one_through)
{
    static struct ask a[10];
    static uint8_t buf[1 << 20];
    xk_time began;

    open_disk();
    EQ(xk_block_throttle(alloc(), loop, &disk.dev, 0, 1 << 20, &top), 0);
    began = xk_now(w.dom[1]);
    for (unsigned i = 0; i < 4; i++)
        EQ(ask_put(top, &a[i], XK_BLK_WRITE, 0, buf, sizeof(buf)), 0);
    xk_blk_kick(top);
    while (!a[3].done)
        pass_time(XK_MS);
    OK(xk_now(w.dom[1]) - began > 28 * XK_SECOND / 10 && xk_now(w.dom[1]) - began < 31 * XK_SECOND / 10);
    EQ(ask_put(top, &a[4], XK_BLK_READ, 0, buf, XK_SECTOR), 0);
    xk_blk_kick(top);
    EQ(a[4].done, 0); /* it waits, and ends with the device */
    close_disk();
    EQ(a[4].err, XK_ECANCELED);
}

TEST(an_overlay_keeps_what_is_written_to_itself)
{
    static uint8_t model[2000 * XK_SECTOR], buf[300 * XK_SECTOR];
    struct ask a;

    open_disk();
    for (size_t i = 0; i < sizeof(model); i++)
        model[i] = (uint8_t)(i >> 9);
    EQ(ask_put(&disk.dev, &a, XK_BLK_WRITE, 0, model, sizeof(model)), 0);
    xk_blk_kick(&disk.dev);
    EQ(a.done, 1);
    EQ(xk_block_overlay(alloc(), &disk.dev, 1 << 21, &top), 0);
    EQ(top->info.features & XK_BLK_READONLY, 0);
    for (unsigned round = 0; round < 300; round++) {
        unsigned n = 1 + round * 7 % 200, at = round * 131 % (2000 - n);
        memset(buf, (int)(round + 100), n * XK_SECTOR);
        if (round % 3) {
            EQ(do_it(XK_BLK_WRITE, at, buf, n * XK_SECTOR), 0);
            memcpy(model + at * XK_SECTOR, buf, n * XK_SECTOR);
        } else {
            EQ(do_it(XK_BLK_READ, at, buf, n * XK_SECTOR), 0);
            MEMEQ(buf, model + at * XK_SECTOR, n * XK_SECTOR);
        }
    }
    EQ(do_it(XK_BLK_DISCARD, 0, NULL, 8 * XK_SECTOR), 0);
    EQ(ask_put(&disk.dev, &a, XK_BLK_READ, 300, buf, sizeof(buf)), 0);
    xk_blk_kick(&disk.dev);
    for (size_t i = 0; i < sizeof(buf); i++)
        EQ(buf[i], (uint8_t)(300 + (i >> 9))); /* below, nothing has changed */
    close_disk();
    open_disk();
    EQ(xk_block_overlay(alloc(), &disk.dev, 140000, &top), 0); /* two pieces of memory */
    EQ(do_it(XK_BLK_WRITE, 0, buf, XK_SECTOR), 0);
    EQ(do_it(XK_BLK_WRITE, 1000, buf, XK_SECTOR), 0);
    EQ(do_it(XK_BLK_WRITE, 2000, buf, XK_SECTOR), XK_ENOSPC);
    EQ(do_it(XK_BLK_WRITE, 5, buf, XK_SECTOR), 0);
    EQ(do_it(XK_BLK_READ, 2000, buf, XK_SECTOR), 0);
    close_disk();
}

TEST(faults_as_they_are_ordered)
{
    uint8_t buf[XK_SECTOR] = {0};
    struct xk_blk_fault f = {.ops = 1 << XK_BLK_WRITE, .first = 10, .sectors = 5, .after = 2, .err = XK_ENOSPC};
    int bad = 0;

    open_disk();
    EQ(xk_block_fault(alloc(), &disk.dev, &f, &top), 0);
    EQ(do_it(XK_BLK_WRITE, 9, buf, sizeof(buf)), 0);
    EQ(do_it(XK_BLK_WRITE, 10, buf, sizeof(buf)), 0);
    EQ(do_it(XK_BLK_WRITE, 14, buf, sizeof(buf)), 0);
    EQ(do_it(XK_BLK_WRITE, 14, buf, sizeof(buf)), XK_ENOSPC);
    EQ(do_it(XK_BLK_READ, 14, buf, sizeof(buf)), 0);
    EQ(do_it(XK_BLK_WRITE, 15, buf, sizeof(buf)), 0);
    close_disk();
    open_disk();
    f = (struct xk_blk_fault){.one_in = 10};
    EQ(xk_block_fault(alloc(), &disk.dev, &f, &top), 0);
    for (int i = 0; i < 1000; i++)
        bad += do_it(XK_BLK_READ, 0, buf, sizeof(buf)) == XK_EIO;
    OK(bad > 60 && bad < 150);
    close_disk();
}

TEST(layers_stand_on_layers)
{
    uint8_t buf[XK_SECTOR], in[XK_SECTOR];
    struct xk_blk_fault f = {.first = 60, .sectors = 1};

    open_disk();
    EQ(xk_block_fault(alloc(), &disk.dev, &f, &top), 0);
    EQ(xk_block_slice(alloc(), top, 50, 100, &top), 0);
    EQ(xk_block_throttle(alloc(), loop, top, 1000000, 0, &top), 0);
    memset(buf, 9, sizeof(buf));
    EQ(do_it(XK_BLK_WRITE, 9, buf, sizeof(buf)), 0);
    EQ(do_it(XK_BLK_READ, 9, in, sizeof(in)), 0);
    MEMEQ(in, buf, sizeof(in));
    EQ(do_it(XK_BLK_READ, 10, in, sizeof(in)), XK_EIO);
    close_disk();
}

TEST(each_allocation_fails_once)
{
    for (unsigned nth = 1; nth < 3; nth++) {
        int r;
        open_disk();
        xk_fake_fail(w.fake, XK_FAKE_ALLOC, nth);
        r = xk_block_slice(alloc(), &disk.dev, 0, 8, &top);
        if (r < 0)
            top = NULL;
        xk_fake_fail(w.fake, XK_FAKE_ALLOC, 0);
        EQ(r, nth == 1 ? XK_ENOMEM : 0);
        close_disk();
    }
}
