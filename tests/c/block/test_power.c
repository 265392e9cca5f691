/* A disk that loses its power: reads see what was written, a flush holds whatever comes, and of the rest each sector is
 * something that it may be. SPDX-License-Identifier: MIT */
#include <xenkit/fake.h>

#include "tests/c/block/pair.h"

enum { DISK = 8192, WRITTEN = 200, READS = 8, ASKED = 512 };

/* The disk below: takes requests when they come or when they are answered, answers in any order, and outlives its
 * device. */
static struct below {
    struct xk_blkdev dev; /* first */
    struct xk_blk_request *held[ASKED];
    uint8_t early[ASKED];
    int n, hold, busy, flushes;
    int fail; /* so many writes from now on */
    uint8_t data[DISK * XK_SECTOR];
} below;

static struct xk_blkdev *top;
static uint64_t rng;

static unsigned roll(unsigned n)
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(rng >> 33) % n;
}

static void take(struct xk_blk_request *r)
{
    uint8_t *at = below.data + r->sector * XK_SECTOR;

    for (unsigned i = 0; i < r->pieces; at += r->piece[i++].len)
        if (r->op == XK_BLK_READ)
            memcpy(r->piece[i].base, at, r->piece[i].len);
        else
            memcpy(at, r->piece[i].base, r->piece[i].len);
}

static void answer(int i)
{
    struct xk_blk_request *r = below.held[i];
    int err = r->op == XK_BLK_WRITE && below.fail ? XK_EIO : 0;

    below.fail -= err != 0;
    if (!below.early[i] && !err)
        take(r);
    below.n--;
    below.held[i] = below.held[below.n];
    below.early[i] = below.early[below.n];
    below.flushes += r->op == XK_BLK_FLUSH;
    r->done(r, err);
}

static void submit(struct xk_blkdev *d, struct xk_blk_request *r)
{
    (void)d;
    OK(below.n < ASKED);
    for (int i = 0; i < below.n; i++) /* devices have no order: who wants one waits */
        OK(r->op != XK_BLK_WRITE || below.held[i]->op != XK_BLK_WRITE || r->sector != below.held[i]->sector);
    below.early[below.n] = !below.fail && roll(2);
    if (below.early[below.n])
        take(r);
    below.held[below.n++] = r;
}

static void kick(struct xk_blkdev *d)
{
    (void)d;
    if (below.busy)
        return;
    below.busy = 1;
    while (below.n > below.hold)
        answer((int)roll((unsigned)below.n));
    below.busy = 0;
}

static void let_go(void)
{
    below.hold = 0;
    kick(NULL);
}

/* Its power is gone: what is under way fails, done or not. */
static void shut(struct xk_blkdev *d)
{
    (void)d;
    while (below.n) {
        struct xk_blk_request *r = below.held[--below.n];
        r->done(r, XK_ECANCELED);
    }
}

static const struct xk_blkdev_ops ops = {XK_BLKDEV_VERSION, submit, kick, shut, NULL, NULL};

static void open_top(uint64_t seed)
{
    below.dev.ops = &ops;
    below.dev.info = (struct xk_blk_info){
        .sectors = DISK, .logical = XK_SECTOR, .physical = 4096, .features = XK_BLK_CAN_FLUSH | XK_BLK_CAN_DISCARD};
    below.hold = 0;
    rng = seed;
    EQ(xk_block_power(NULL, &below.dev, seed, &top), 0);
}

static void start(struct ask *a, int op, uint64_t sector, void *buf, size_t n)
{
    EQ(ask_put(top, a, op, sector, buf, n), 0);
    xk_blk_kick(top);
}

static int do_it(int op, uint64_t sector, void *buf, size_t n)
{
    struct ask a;

    start(&a, op, sector, buf, n);
    for (int i = 0; !a.done && i < 100; i++) /* who holds what is below lets go of it now */
        let_go();
    EQ(a.done, 1);
    return a.err;
}

/* --- sectors that say which writing they are from ----------------------------------------------------------------- */

static void fill(uint8_t *sector, uint32_t id)
{
    for (unsigned i = 0; i < XK_SECTOR; i += 4)
        memcpy(sector + i, &id, 4);
}

/* 0 is that of a disk that was never written. @return the writing, or -1: it is torn */
static int64_t id_of(const uint8_t *sector)
{
    uint8_t whole[XK_SECTOR];
    uint32_t id;

    memcpy(&id, sector, 4);
    fill(whole, id);
    return memcmp(whole, sector, XK_SECTOR) ? -1 : (int64_t)id;
}

static struct { /* of each sector: the writing at the last flush, the last one, since the flush those in between */
    int64_t durable, last;
} model[WRITTEN];
static int64_t writings;
static uint8_t buf[WRITTEN * XK_SECTOR];

static void write_some(void)
{
    unsigned n = 1 + roll(8), at = roll(WRITTEN - n);

    for (unsigned i = 0; i < n; i++) {
        model[at + i].last = ++writings;
        fill(buf + i * XK_SECTOR, (uint32_t)writings);
    }
    EQ(do_it(XK_BLK_WRITE, at, buf, n * XK_SECTOR), 0);
}

static void all_durable(void)
{
    for (int i = 0; i < WRITTEN; i++) {
        EQ(id_of(below.data + i * XK_SECTOR), model[i].last);
        model[i].durable = model[i].last;
    }
}

static struct reading {
    struct ask ask;
    unsigned at;
    int64_t least; /* the writing that had been answered when it began */
    int begun;
    uint8_t data[XK_SECTOR];
} readings[READS];

static void read_some(void)
{
    struct reading *r = &readings[roll(READS)];

    if (r->begun && !r->ask.done)
        return;
    if (r->begun) /* a later one may be in it, an earlier one not */
        OK(id_of(r->data) >= r->least && id_of(r->data) <= model[r->at].last);
    r->at = roll(WRITTEN);
    r->least = model[r->at].last;
    r->begun = 1;
    start(&r->ask, XK_BLK_READ, r->at, r->data, XK_SECTOR);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static int lost, early, there, torn;

static void cut(void)
{
    xk_blk_close(top);
    memset(readings, 0, sizeof(readings));
    for (int i = 0; i < WRITTEN; i++) {
        int64_t id = id_of(below.data + i * XK_SECTOR);
        if (model[i].durable == model[i].last)
            EQ(id, model[i].durable);
        else if (id >= 0)
            OK(id >= model[i].durable && id <= model[i].last);
        torn += id < 0;
        lost += id >= 0 && id == model[i].durable && model[i].durable != model[i].last;
        early += id > model[i].durable && id < model[i].last;
        there += id == model[i].last && model[i].durable != model[i].last;
        model[i].last = model[i].durable = ++writings; /* as the owner of the disk finds out by reading */
        fill(below.data + i * XK_SECTOR, (uint32_t)writings);
    }
}

TEST(what_was_flushed_holds_and_the_rest_may_be_anything)
{
    int cuts = 200;

    for (int k = 1; k <= cuts; k++) {
        open_top((uint64_t)k * 7919);
        for (unsigned i = roll(300); i > 0; i--) {
            below.hold = (int)roll(40);
            if (roll(3))
                write_some();
            else
                read_some();
            if (roll(60) == 0) {
                EQ(do_it(XK_BLK_FLUSH, 0, NULL, 0), 0);
                all_durable();
            }
            if (roll(8) == 0)
                let_go();
        }
        cut();
    }
    printf("# %d cuts: %d lost, %d of an earlier writing, %d there, %d torn\n", cuts, lost, early, there, torn);
    OK(below.flushes > 100);
    OK(lost > cuts && early > cuts && there > cuts && torn > cuts);
}

TEST(a_write_with_fua_is_a_flush)
{
    struct ask a;

    open_top(3);
    memset(model, 0, sizeof(model));
    for (int i = 0; i < 50; i++)
        write_some();
    fill(buf, (uint32_t)(model[0].last = ++writings));
    EQ(ask_put(top, &a, XK_BLK_WRITE, 0, buf, XK_SECTOR), 0);
    a.r.flags = XK_BLK_FUA;
    xk_blk_kick(top);
    let_go();
    EQ(a.done, 1);
    EQ(a.err, 0);
    all_durable();
    xk_blk_close(top);
}

/* What passes by the cache is not hidden by what a slow read keeps there, and no later write overtakes it. */
TEST(a_write_with_fua_beside_a_slow_read)
{
    struct ask slow, fua, plain;
    static uint8_t sector[3][XK_SECTOR], in[XK_SECTOR];

    for (int overlap = 0; overlap < 2; overlap++) {
        open_top(11);
        for (int i = 0; i < 3; i++)
            fill(sector[i], (uint32_t)i + 1);
        EQ(do_it(XK_BLK_WRITE, 5, sector[0], XK_SECTOR), 0);
        below.hold = ASKED;
        start(&slow, XK_BLK_READ, 100, in, XK_SECTOR);
        EQ(ask_put(top, &fua, XK_BLK_WRITE, 5, sector[1], XK_SECTOR), 0);
        fua.r.flags = XK_BLK_FUA;
        xk_blk_kick(top);
        if (overlap) {
            start(&plain, XK_BLK_WRITE, 5, sector[2], XK_SECTOR);
            EQ(plain.done, 0);
        }
        let_go();
        let_go();
        EQ(slow.done + fua.done, 2);
        EQ(id_of(below.data + 5 * XK_SECTOR) >= 2, 1);
        EQ(do_it(XK_BLK_READ, 5, in, XK_SECTOR), 0);
        EQ(id_of(in), 2 + overlap);
        EQ(do_it(XK_BLK_FLUSH, 0, NULL, 0), 0);
        EQ(id_of(below.data + 5 * XK_SECTOR), 2 + overlap);
        xk_blk_close(top);
    }
}

/* A device that answers when all is done has no flush; it needs none. */
TEST(what_is_below_need_not_flush)
{
    uint8_t sector[XK_SECTOR];

    below.dev.ops = &ops;
    below.hold = 0;
    below.dev.info = (struct xk_blk_info){
        .sectors = DISK, .logical = XK_SECTOR, .physical = 4096, .features = XK_BLK_CAN_DISCARD | XK_BLK_CAN_SECURE};
    EQ(xk_block_power(NULL, &below.dev, 4, &top), 0);
    EQ(top->info.features, XK_BLK_CAN_FLUSH | XK_BLK_CAN_DISCARD); /* a secure discard would leave a copy */
    fill(sector, 77);
    EQ(do_it(XK_BLK_WRITE, 1, sector, XK_SECTOR), 0);
    OK(xk_block_power_at_risk(top) <= 1);
    EQ(do_it(XK_BLK_FLUSH, 0, NULL, 0), 0);
    EQ(xk_block_power_at_risk(top), 0);
    EQ(id_of(below.data + XK_SECTOR), 77);
    xk_blk_close(top);
}

/* In several pieces, and a read of more than there is cache. */
TEST(pieces)
{
    static uint8_t all[DISK * XK_SECTOR];
    static struct ask a;

    open_top(13);
    for (int i = 0; i < 12; i++)
        fill(all + i * XK_SECTOR, (uint32_t)i + 1);
    EQ(ask_put(top, &a, XK_BLK_WRITE, 20, all, 2 * XK_SECTOR), 0);
    xk_blk_kick(top);
    a.r.pieces = 3;
    a.piece[1] = (struct xk_piece){all + 8 * XK_SECTOR, 4 * XK_SECTOR};
    a.piece[2] = (struct xk_piece){all + 2 * XK_SECTOR, XK_SECTOR};
    a.r.sectors = 7;
    a.r.sector = 30;
    a.done = 0;
    EQ(xk_blk_submit(top, &a.r), 0);
    xk_blk_kick(top);
    EQ(a.done, 1);
    EQ(do_it(XK_BLK_READ, 0, all, sizeof(all)), 0);
    EQ(id_of(all + 21 * XK_SECTOR), 2);
    for (int i = 0; i < 7; i++)
        EQ(id_of(all + (30 + i) * XK_SECTOR), i < 2 ? i + 1 : i < 6 ? i + 7 : 3);
    xk_blk_close(top);
}

/* A front end below ends its requests with itself, not with the close of its device. */
static void shut_later(struct xk_blkdev *d) { (void)d; }

TEST(its_own_writes_come_back_after_the_close)
{
    static const struct xk_blkdev_ops stays = {XK_BLKDEV_VERSION, submit, kick, shut_later, NULL, NULL};
    uint8_t sector[XK_SECTOR] = {0};

    open_top(1);
    below.dev.ops = &stays;
    below.hold = ASKED;
    for (uint64_t i = 0; i < 60; i++)
        EQ(do_it(XK_BLK_WRITE, i, sector, sizeof(sector)), 0);
    OK(below.n > 0);
    below.hold = ASKED;
    xk_blk_close(top);
    let_go(); /* ASan sees what is wrong then */
    EQ(below.n, 0);
}

TEST(more_than_the_cache_holds)
{
    static uint8_t big[4096 * XK_SECTOR];

    open_top(5);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4096; i++)
            fill(big + i * XK_SECTOR, (uint32_t)i + 1);
        EQ(do_it(XK_BLK_WRITE, 0, big, sizeof(big)), 0);
        EQ(do_it(XK_BLK_WRITE, 4000, big, sizeof(big)), 0);
        memset(big, 0, sizeof(big));
        EQ(do_it(XK_BLK_READ, 4000, big, sizeof(big)), 0);
        for (int i = 0; i < 4096; i++)
            EQ(id_of(big + i * XK_SECTOR), i + 1);
    }
    EQ(do_it(XK_BLK_FLUSH, 0, NULL, 0), 0);
    for (int i = 0; i < 8096; i++)
        EQ(id_of(below.data + i * XK_SECTOR), i < 4000 ? i + 1 : i - 3999);
    EQ(do_it(XK_BLK_DISCARD, 0, NULL, 8 * XK_SECTOR), 0);
    xk_blk_close(top);
}

TEST(errors_below_are_the_next_flushes)
{
    uint8_t sector[XK_SECTOR];

    open_top(9);
    below.fail = 1 << 30; /* what goes by itself, too */
    for (uint64_t i = 0; i < 100; i++) {
        fill(sector, (uint32_t)i + 1);
        EQ(do_it(XK_BLK_WRITE, i, sector, sizeof(sector)), 0);
    }
    below.fail = 3;
    EQ(do_it(XK_BLK_FLUSH, 0, NULL, 0), XK_EIO);
    let_go();
    while (below.fail)
        EQ(do_it(XK_BLK_FLUSH, 0, NULL, 0), XK_EIO);
    (void)!do_it(XK_BLK_FLUSH, 0, NULL, 0); /* of those that had failed meanwhile */
    EQ(do_it(XK_BLK_FLUSH, 0, NULL, 0), 0);
    for (uint64_t i = 0; i < 100; i++)
        EQ(id_of(below.data + i * XK_SECTOR), i + 1);
    below.fail = 1 << 30; /* nothing gets out any more, and there is no room in the end */
    for (uint64_t i = 0, full = 0; !full; i++) {
        int r = do_it(XK_BLK_WRITE, i % DISK, sector, sizeof(sector));
        OK(i < DISK);
        OK(r == 0 || r == XK_EIO);
        full = r < 0;
    }
    below.fail = 0;
    xk_blk_close(top);
}

TEST(what_it_does_not_stand_on)
{
    struct world w;

    below.dev.ops = &ops;
    below.dev.info = (struct xk_blk_info){.sectors = DISK, .logical = 4096, .physical = 4096};
    EQ(xk_block_power(NULL, &below.dev, 1, &top), XK_EINVAL);
    world_open_fake(&w);
    below.dev.info.logical = XK_SECTOR;
    xk_fake_fail(w.fake, XK_FAKE_ALLOC, 1);
    EQ(xk_block_power(xk_fake_alloc(w.fake), &below.dev, 1, &top), XK_ENOMEM);
    world_close(&w);
}
