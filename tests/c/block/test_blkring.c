/* blkfront and blkback over one ring: data of all shapes, ends, barriers, faults. What liars do stands in
 * test_blkliar.c. SPDX-License-Identifier: MIT */
#include <xenkit/ring.h>

#include "drivers/block/proto.h"
#include "tests/c/block/liar.h"

static uint64_t seed = 1;
static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* --- data --------------------------------------------------------------------------------------------------------- */

enum { AT_ONCE = 24, MODEL = 1024 /* sectors */ };

/* Random requests side by side, each on sectors that no other has now, against a model of the disk. */
static void churn(struct pair *p, int rounds, uint8_t *mine, size_t mine_bytes)
{
    static uint8_t model[MODEL * XK_SECTOR], buf[AT_ONCE][MODEL / AT_ONCE * XK_SECTOR];
    static struct ask asks[AT_ONCE];

    memset(model, 0, sizeof(model));
    for (int round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < AT_ONCE; i++) {
            unsigned span = MODEL / AT_ONCE, first = i * span + roll(span), n = 1 + roll(i * span + span - first);
            int write = roll(2) == 0;
            uint8_t *data = mine && i == 0 && n * XK_SECTOR <= mine_bytes ? mine : buf[i];
            for (unsigned k = 0; write && k < n * XK_SECTOR; k++)
                data[k] = (uint8_t)roll(256);
            if (write)
                memcpy(model + (size_t)first * XK_SECTOR, data, (size_t)n * XK_SECTOR);
            EQ(ask_put(p->dev, &asks[i], write ? XK_BLK_WRITE : XK_BLK_READ, first, data, (size_t)n * XK_SECTOR), 0);
            if (n > 3 && roll(2)) { /* in three pieces, in one order in memory and another on the disk */
                uint32_t one = (1 + roll(n - 2)) * XK_SECTOR, all = n * XK_SECTOR;
                asks[i].piece[0].len = one;
                asks[i].piece[1] = (struct xk_piece){data + one, XK_SECTOR};
                asks[i].piece[2] = (struct xk_piece){data + one + XK_SECTOR, all - one - XK_SECTOR};
                asks[i].r.pieces = asks[i].piece[2].len ? 3 : 2;
            }
        }
        xk_blk_kick(p->dev);
        pair_run(p);
        if (p->disk.hold)
            slow_go(&p->disk);
        for (int again = 0; again < 64; again++) {
            pair_run(p);
            if (p->disk.hold)
                slow_go(&p->disk);
        }
        for (unsigned i = 0; i < AT_ONCE; i++) {
            EQ(asks[i].done, 1);
            EQ(asks[i].err, 0);
            MEMEQ(asks[i].piece[0].base, model + asks[i].r.sector * XK_SECTOR, asks[i].r.sectors * XK_SECTOR);
        }
    }
}

static void data_of(unsigned order, unsigned pieces, int persistent, unsigned keep, unsigned pages)
{
    struct xk_blkback_stats b;
    struct xk_blkfront_stats f;
    struct pair p;

    pair_world(&p);
    p.fc.ring_order = (uint8_t)order;
    p.fc.max_pieces = p.bc.max_pieces = (uint16_t)pieces;
    p.fc.pages = (uint16_t)pages;
    p.bc.persistent = (uint8_t)persistent;
    p.bc.keep = (uint16_t)keep;
    pair_open(&p);
    p.disk.hold = order & 1;
    churn(&p, 20, NULL, 0);
    xk_blkback_stats(p.back, &b);
    xk_blkfront_stats(p.front, &f);
    EQ(b.errors, 0);
    EQ(b.under_way, 0);
    EQ(f.under_way + f.waiting, 0);
    EQ(b.bytes[0] + b.bytes[1], f.bytes[0] + f.bytes[1]);
    if (!persistent)
        EQ(b.kept, 0);
    if (keep)
        OK(b.kept <= keep);
    pair_close(&p);
}

TEST(data_arrives_through_a_ring_of_a_page) { data_of(0, 0, 1, 0, 0); }
TEST(data_arrives_through_sixteen_pages_with_indirect_segments) { data_of(4, 256, 1, 0, 0); }
TEST(data_arrives_out_of_order) { data_of(1, 32, 1, 0, 0); }
TEST(data_arrives_without_persistent_grants) { data_of(0, 32, 0, 0, 0); }
TEST(data_arrives_when_few_pages_stay_mapped) { data_of(0, 0, 1, 5, 0); }
TEST(data_arrives_through_two_pages) { data_of(0, 32, 1, 0, 2); }

TEST(memory_of_the_device_is_not_copied)
{
    struct xk_blkfront_stats before, after;
    struct pair p;
    uint8_t *mine;

    pair_world(&p);
    p.fc.max_pieces = p.bc.max_pieces = 64;
    pair_open(&p);
    mine = p.dev->ops->memory(p.dev, 40 * XK_SECTOR);
    OK(mine != NULL);
    xk_blkfront_stats(p.front, &before);
    memset(mine, 7, 40 * XK_SECTOR);
    EQ(ask(&p, XK_BLK_WRITE, 3, mine, 40 * XK_SECTOR), 0);
    memset(mine, 0, 40 * XK_SECTOR);
    EQ(ask(&p, XK_BLK_READ, 3, mine + 3 * XK_SECTOR, 9 * XK_SECTOR), 0);
    EQ(mine[3 * XK_SECTOR - 1], 0);
    EQ(mine[3 * XK_SECTOR], 7);
    EQ(mine[12 * XK_SECTOR - 1], 7);
    EQ(mine[12 * XK_SECTOR], 0);
    xk_blkfront_stats(p.front, &after);
    EQ(after.copied, before.copied);
    EQ(ask(&p, XK_BLK_DISCARD, 0, NULL, 64 * XK_SECTOR), 0);
    churn(&p, 10, mine, 40 * XK_SECTOR);
    p.dev->ops->memory_free(p.dev, mine, 40 * XK_SECTOR);
    pair_close(&p);
}

TEST(the_rings_of_a_disk_divide_its_pages)
{
    struct xk_blkfront_stats s;
    static uint8_t buf[32][XK_SECTOR];
    static struct ask a[32];
    struct pair p;

    pair_world(&p);
    p.fc.pages = 15;
    p.fc.rings = 4;
    pair_open(&p);
    p.disk.hold = 1;
    for (unsigned i = 0; i < 32; i++)
        EQ(ask_put(p.dev, &a[i], XK_BLK_WRITE, i, buf[i], XK_SECTOR), 0);
    xk_blk_kick(p.dev);
    pair_run(&p);
    EQ(p.disk.n, 3);
    p.disk.hold = 0;
    slow_go(&p.disk);
    pair_run(&p);
    for (unsigned i = 0; i < 32; i++)
        OK(a[i].done == 1 && a[i].err == 0);
    xk_blkfront_stats(p.front, &s);
    EQ(s.under_way + s.waiting, 0);
    xk_blk_close(p.dev);
    p.fc.pages = 7;
    EQ(pair_front(&p), XK_EINVAL);
    p.fc.pages = 0;
    p.fc.rings = 5;
    EQ(pair_front(&p), XK_EINVAL);
    p.front = NULL;
    pair_close(&p);
}

TEST(flush_discard_and_fua)
{
    struct xk_blkback_stats b;
    uint8_t buf[2 * XK_SECTOR];
    struct ask a;
    struct pair p;

    pair_world(&p);
    pair_open(&p);
    memset(buf, 9, sizeof(buf));
    EQ(ask_put(p.dev, &a, XK_BLK_WRITE, 5, buf, sizeof(buf)), 0);
    a.r.flags = XK_BLK_FUA;
    xk_blk_kick(p.dev);
    pair_run(&p);
    EQ(a.done, 1);
    EQ(a.err, 0);
    EQ(a.r.flags, XK_BLK_FUA);
    xk_blkback_stats(p.back, &b);
    EQ(b.requests[XK_BLK_FLUSH], 1);
    EQ(ask(&p, XK_BLK_FLUSH, 0, NULL, 0), 0);
    EQ(ask(&p, XK_BLK_DISCARD, 5, NULL, XK_SECTOR), 0);
    EQ(ask(&p, XK_BLK_READ, 5, buf, sizeof(buf)), 0);
    EQ(buf[0], 0);
    EQ(buf[XK_SECTOR], 9);
    xk_blkback_stats(p.back, &b);
    EQ(b.requests[XK_BLK_FLUSH], 2);
    EQ(b.requests[XK_BLK_DISCARD], 1);
    pair_close(&p);
}

TEST(what_the_back_end_cannot_do_is_not_asked_twice)
{
    struct pair p;

    pair_world(&p);
    pair_open(&p);
    p.disk.dev.info.features &= ~(unsigned)XK_BLK_CAN_FLUSH; /* after it has told the front end otherwise */
    EQ(ask(&p, XK_BLK_FLUSH, 0, NULL, 0), XK_ENOSYS);
    OK(!(p.dev->info.features & XK_BLK_CAN_FLUSH));
    EQ(ask(&p, XK_BLK_FLUSH, 0, NULL, 0), XK_ENOSYS);
    pair_close(&p);
}

TEST(requests_beyond_the_end_or_on_a_read_only_disk_are_refused)
{
    struct xk_blkback_stats b;
    uint8_t buf[XK_SECTOR];
    struct pair p;

    pair_world(&p);
    p.bc.readonly = 1;
    pair_open(&p);
    EQ(ask(&p, XK_BLK_READ, PAIR_SECTORS, buf, sizeof(buf)), XK_EINVAL);
    EQ(ask(&p, XK_BLK_READ, UINT64_MAX, buf, sizeof(buf)), XK_EINVAL);
    EQ(ask(&p, XK_BLK_READ, 0, buf, 0), XK_EINVAL);
    EQ(ask(&p, XK_BLK_WRITE, 0, buf, sizeof(buf)), XK_EIO); /* this front end was not told */
    EQ(ask(&p, XK_BLK_DISCARD, 0, NULL, sizeof(buf)), XK_EIO);
    EQ(ask(&p, XK_BLK_READ, PAIR_SECTORS - 1, buf, sizeof(buf)), 0);
    xk_blkback_stats(p.back, &b);
    EQ(b.refused, 2);
    pair_close(&p);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

TEST(closing_the_front_end_ends_its_requests)
{
    static uint8_t buf[100][XK_SECTOR];
    static struct ask a[100];
    struct pair p;

    pair_world(&p);
    pair_open(&p);
    p.disk.hold = 1;
    for (int i = 0; i < 100; i++)
        EQ(ask_put(p.dev, &a[i], XK_BLK_READ, (unsigned)i, buf[i], XK_SECTOR), 0);
    xk_blk_kick(p.dev);
    pair_run(&p);
    EQ(p.disk.n, 32);
    xk_blk_close(p.dev);
    p.front = NULL;
    for (int i = 0; i < 100; i++) {
        EQ(a[i].done, 1);
        EQ(a[i].err, XK_ECANCELED);
    }
    slow_go(&p.disk);
    pair_run(&p);
    pair_close(&p);
}

TEST(closing_the_back_end_waits_for_the_disk)
{
    static uint8_t buf[XK_SECTOR];
    struct ask a, late;
    struct pair p;

    pair_world(&p);
    pair_open(&p);
    p.disk.hold = 1;
    EQ(ask_put(p.dev, &a, XK_BLK_READ, 1, buf, XK_SECTOR), 0);
    xk_blk_kick(p.dev);
    pair_run(&p);
    xk_blkback_close(p.back, pair_back_closed, &p);
    EQ(ask_put(p.dev, &late, XK_BLK_READ, 1, buf, XK_SECTOR), 0);
    xk_blk_kick(p.dev);
    pair_run(&p);
    EQ(p.back_closed, 0);
    slow_go(&p.disk);
    pair_run(&p);
    EQ(p.back_closed, 1);
    p.back = NULL;
    EQ(a.done, 1);
    EQ(a.err, 0);
    EQ(late.done, 0); /* it waits in the ring for the next back end */
    p.back_closed = 0;
    EQ(pair_back(&p), 0);
    p.disk.hold = 0;
    pair_run(&p);
    EQ(late.done, 1);
    EQ(late.err, 0);
    pair_close(&p);
}

/* What the next back end would find on the ring, were this one killed now: which sectors are asked for. */
static unsigned asked_for(struct pair *p, uint64_t *sector)
{
    uint8_t slot[BLK_SLOT_MAX];
    struct xk_ring_back ring;
    struct blk_wire w;
    unsigned n = 0;
    void *page;

    EQ(xk_page_map(p->w.dom[2], 1, p->bc.ring, p->bc.ring_pages, 0, NULL, &page), 0);
    EQ(xk_ring_back_attach(&ring, page, p->bc.ring_pages * (size_t)XK_PAGE_SIZE, blk_abi_64.slot), 0);
    while (xk_ring_back_take(&ring, slot, 1) == 1) {
        blk_request_read(&blk_abi_64, slot, &w);
        sector[n++] = w.sector;
    }
    xk_page_unmap(p->w.dom[2], page, p->bc.ring_pages);
    return n;
}

TEST(what_is_not_answered_stays_on_the_ring_whatever_the_order)
{
    enum { N = 32 };
    static uint8_t buf[N][XK_SECTOR];
    static struct ask a[N];
    uint64_t sector[64];
    struct pair p;

    pair_world(&p);
    pair_open(&p);
    p.disk.hold = 1;
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < N; i++)
            EQ(ask_put(p.dev, &a[i], XK_BLK_READ, 100 + i, buf[i], XK_SECTOR), 0);
        xk_blk_kick(p.dev);
        pair_run(&p);
        EQ(p.disk.n, N);
        while (p.disk.n) {
            unsigned some = 1 + roll(4), left = 0, found;
            for (; some-- && p.disk.n; p.disk.n--) {
                unsigned i = roll((unsigned)p.disk.n);
                struct xk_blk_request *r = p.disk.held[i];
                p.disk.held[i] = p.disk.held[p.disk.n - 1];
                slow_pass(&p.disk, r);
            }
            pair_run(&p);
            found = asked_for(&p, sector);
            for (unsigned i = 0; i < N; i++) {
                unsigned times = 0;
                for (unsigned k = 0; k < found; k++)
                    times += sector[k] == 100 + i;
                EQ(times, !a[i].done);
                left += !a[i].done;
            }
            EQ(found, left);
        }
    }
    pair_close(&p);
}

static struct pair *closer;
static void close_in_done(struct xk_blk_request *r, int err)
{
    ask_done(r, err);
    if (closer->front) {
        closer->front = NULL;
        xk_blk_close(closer->dev);
    }
}

TEST(a_request_that_is_done_may_close_the_device)
{
    static uint8_t buf[50][XK_SECTOR];
    static struct ask a[50];
    struct pair p;

    pair_world(&p);
    pair_open(&p);
    closer = &p;
    for (int i = 0; i < 50; i++) {
        EQ(ask_put(p.dev, &a[i], XK_BLK_READ, 0, buf[i], XK_SECTOR), 0);
        a[i].r.done = close_in_done;
    }
    xk_blk_kick(p.dev);
    pair_run(&p);
    for (int i = 0; i < 50; i++)
        EQ(a[i].done, 1);
    EQ(a[0].err, 0);
    EQ(a[49].err, XK_ECANCELED);
    pair_close(&p);
}

static int ever;
static void again(struct xk_blk_request *r, int err)
{
    (void)err;
    if (ever++ < 100000) {
        EQ(xk_blk_submit(r->arg, r), 0);
        xk_blk_kick(r->arg);
    }
}

TEST(who_asks_again_when_it_failed_does_not_stop_the_loop)
{
    uint8_t buf[XK_SECTOR];
    struct ask a;
    struct pair p;

    pair_world(&p);
    pair_open(&p);
    EQ(ask_put(p.dev, &a, XK_BLK_READ, 0, buf, XK_SECTOR), 0);
    a.r.done = again;
    a.r.arg = p.dev;
    xk_blkfront_fail(p.front, XK_EGONE);
    EQ(ever, 1);
    xk_loop_run_once(p.front_loop, XK_NOW);
    OK(ever >= 2 && ever < 2000); /* the loop takes a thousand deferred calls a round */
    ever = 100000;
    pair_close(&p);
}

/* --- barriers ----------------------------------------------------------------------------------------------------- */

/* What the disk holds now, and nothing that comes from that. */
static void go_on(struct slow *d)
{
    struct xk_blk_request *r[8];
    int n = d->n;

    OK(n <= 8);
    memcpy(r, d->held, sizeof(*r) * (size_t)n);
    d->n = 0;
    for (int i = 0; i < n; i++)
        slow_pass(d, r[i]);
}

/* What came before it is done, and flushed, before it is; what comes after waits for it. */
TEST(a_barrier_parts_requests)
{
    struct liar l;
    struct slow *d = &l.p.disk;

    liar_open(&l, XK_BLK_ABI_64, 0);
    d->hold = 1;
    put_one(&l, BLKIF_OP_WRITE, 0, 1);
    put_one(&l, BLKIF_OP_READ, 8, 1);
    put_one(&l, BLKIF_OP_WRITE_BARRIER, 16, 1);
    put_one(&l, BLKIF_OP_WRITE, 24, 1);
    put_one(&l, BLKIF_OP_WRITE_BARRIER, 0, 0); /* without data */
    put_one(&l, BLKIF_OP_READ, 32, 1);
    run_back(&l);
    EQ(d->n, 2); /* the two before */
    go_on(d);
    run_back(&l);
    EQ(d->n, 1);
    EQ(d->held[0]->op, XK_BLK_FLUSH);
    go_on(d);
    run_back(&l);
    EQ(d->n, 1);
    EQ(d->held[0]->op, XK_BLK_WRITE);
    EQ(d->held[0]->sector, 16);
    OK(d->held[0]->flags & XK_BLK_FUA);
    EQ(answers(&l), 2);
    go_on(d);
    run_back(&l);
    EQ(d->n, 1);
    EQ(d->held[0]->sector, 24);
    go_on(d);
    run_back(&l);
    EQ(d->n, 1);
    EQ(d->held[0]->op, XK_BLK_FLUSH);
    EQ(answers(&l), 2);
    go_on(d);
    run_back(&l);
    EQ(d->n, 1);
    EQ(d->held[0]->sector, 32);
    go_on(d);
    run_back(&l);
    EQ(answers(&l), 2);
    d->hold = 0;
    EQ(honest(&l), BLKIF_RSP_OKAY);
    liar_close(&l);
}

/* It is closed while a barrier waits: what is under way is finished, the barrier too. */
TEST(a_barrier_does_not_keep_a_back_end_open)
{
    struct liar l;
    struct slow *d = &l.p.disk;

    liar_open(&l, XK_BLK_ABI_64, 0);
    d->hold = 1;
    put_one(&l, BLKIF_OP_WRITE, 0, 1);
    put_one(&l, BLKIF_OP_WRITE_BARRIER, 16, 1);
    run_back(&l);
    xk_blkback_close(l.p.back, pair_back_closed, &l.p);
    run_back(&l);
    EQ(l.p.back_closed, 0);
    for (int i = 0; i < 3; i++) {
        slow_go(d);
        run_back(&l);
    }
    EQ(l.p.back_closed, 1);
    EQ(answers(&l), 2);
    l.p.back = NULL;
    EQ(xk_page_unshare(l.p.w.dom[1], l.page, 1), 0);
    EQ(xk_page_unshare(l.p.w.dom[1], l.data, 4), 0);
    EQ(xk_evtchn_unbind(l.p.w.dom[1], l.port), 0);
    pair_close(&l.p);
}

/* --- another ABI -------------------------------------------------------------------------------------------------- */

/* The 32-bit layout by offsets: id at 4, sector at 12, segments at 20; the answer's operation at 8. */
TEST(the_32_bit_abi)
{
    struct liar l;
    uint8_t q[108] = {0}, in[108];
    uint64_t id = 0x1122334455667788, sector = 6;
    struct blkif_request_segment seg = {0, 2, 3};

    liar_open(&l, XK_BLK_ABI_32, 0);
    seg.gref = l.ref[1];
    memset(l.data + XK_PAGE_SIZE, 'x', XK_PAGE_SIZE);
    q[0] = BLKIF_OP_WRITE;
    q[1] = 1;
    memcpy(q + 4, &id, 8);
    memcpy(q + 12, &sector, 8);
    memcpy(q + 20, &seg, sizeof(seg));
    EQ(xk_ring_front_put(&l.ring, q, 1), 1);
    q[0] = BLKIF_OP_DISCARD;
    q[1] = 0;
    sector = 7;
    memcpy(q + 12, &sector, 8);
    memset(q + 20, 0, 8);
    q[20] = 1; /* one sector */
    EQ(xk_ring_front_put(&l.ring, q, 1), 1);
    EQ(xk_ring_front_publish(&l.ring), 1);
    for (int i = 0; i < 3; i++)
        xk_loop_run_once(l.p.back_loop, XK_NOW);
    for (int i = 0; i < 2; i++) {
        EQ(xk_ring_front_take(&l.ring, in, 1), 1);
        EQ(memcmp(in, &id, 8), 0);
        EQ(in[8], i ? BLKIF_OP_DISCARD : BLKIF_OP_WRITE);
        EQ(in[10] | in[11], 0);
    }
    {
        struct ask a;
        uint8_t back[4 * XK_SECTOR];
        EQ(ask_put(l.p.disk.below, &a, XK_BLK_READ, 5, back, sizeof(back)), 0);
        xk_blk_kick(l.p.disk.below);
        EQ(back[XK_SECTOR - 1], 0);
        EQ(back[XK_SECTOR], 'x');
        EQ(back[2 * XK_SECTOR], 0); /* discarded */
    }
    liar_close(&l);
}

/* --- what may fail ------------------------------------------------------------------------------------------------ */

/* Each call of one kind fails once: the halves are not made, or a request fails, and nothing is left. */
static void fail_each(enum xk_fake_fault what, int persistent)
{
    int made = 0;

    for (unsigned nth = 1; made < 2 && nth < 400; nth++) {
        uint8_t buf[14 * XK_SECTOR] = {0};
        struct pair p;
        int r;

        pair_world(&p);
        p.bc.persistent = (uint8_t)persistent;
        p.fc.max_pieces = p.bc.max_pieces = 32;
        xk_fake_fail(p.w.fake, what, nth);
        r = pair_front(&p);
        if (r == 0 && (r = pair_back(&p)) == 0) {
            xk_blkfront_connect(p.front, &p.disk.dev.info, 32);
            r = ask(&p, XK_BLK_WRITE, 0, buf, sizeof(buf));
            OK(r == 0 || r == XK_EIO);
            xk_fake_fail(p.w.fake, what, 0);
            EQ(ask(&p, XK_BLK_WRITE, 0, buf, sizeof(buf)), 0);
            made += r == 0;
        } else {
            OK(r < 0);
            made = 0;
        }
        xk_fake_fail(p.w.fake, what, 0);
        pair_close(&p);
    }
    OK(made == 2);
}

TEST(each_allocation_fails_once) { fail_each(XK_FAKE_ALLOC, 1); }
TEST(each_share_fails_once) { fail_each(XK_FAKE_SHARE, 1); }
TEST(each_map_fails_once) { fail_each(XK_FAKE_MAP, 1); }
TEST(each_map_of_a_request_fails_once) { fail_each(XK_FAKE_MAP, 0); }
TEST(each_event_channel_fails_once) { fail_each(XK_FAKE_EVTCHN, 1); }

/* --- room for pages --- */

static struct xk_blkback *second_back; /* of another disk, in the same domain */

/* Pages that nobody uses go, of other disks, too. */
TEST(idle_pages_make_room)
{
    static uint8_t buf[20 * XK_PAGE_SIZE];
    struct xk_blkback_stats s;
    struct pair p;

    pair_world(&p);
    p.fc.max_pieces = p.bc.max_pieces = 32;
    pair_open(&p);
    EQ(ask(&p, XK_BLK_WRITE, 0, buf, sizeof(buf)), 0);
    xk_blkback_stats(p.back, &s);
    OK(s.kept >= 20);
    xk_fake_map_max(p.w.fake, s.kept + 1);
    { /* a second ring, whose pages find no room but by the first one's */
        struct xk_blkfront *front;
        struct xk_blkback_config c = p.bc;
        struct ask a;
        EQ(xk_blkfront_create(NULL, p.front_loop, &p.fc, &front), 0);
        c.ring_pages = (uint8_t)xk_blkfront_ring(front, c.ring);
        c.port = xk_blkfront_port(front);
        xk_fake_map_max(p.w.fake, 0);
        EQ(xk_blkback_open(NULL, p.back_loop, &c, &second_back), 0);
        xk_fake_map_max(p.w.fake, s.kept + 3);
        xk_blkfront_connect(front, &p.disk.dev.info, 32);
        EQ(ask_put(xk_blkfront_device(front), &a, XK_BLK_WRITE, 100, buf, sizeof(buf)), 0);
        xk_blk_kick(xk_blkfront_device(front));
        pair_run(&p);
        EQ(a.done, 1);
        EQ(a.err, 0);
        xk_blkback_stats(p.back, &s);
        EQ(s.kept, 0);
        xk_blk_close(xk_blkfront_device(front));
        xk_blkback_close(second_back, NULL, NULL);
    }
    EQ(ask(&p, XK_BLK_READ, 0, buf, sizeof(buf)), 0);
    pair_close(&p);
}

/* A request whose pages find no room waits until those before it are answered. */
TEST(a_request_waits_for_room)
{
    for (int persistent = 0; persistent < 2; persistent++) {
        static uint8_t buf[6][8 * XK_PAGE_SIZE];
        struct xk_blkback_stats s;
        struct ask a[6];
        struct pair p;
        pair_world(&p);
        p.bc.persistent = (uint8_t)persistent;
        p.fc.max_pieces = p.bc.max_pieces = 32;
        p.fc.pages = 256;
        pair_open(&p);
        xk_fake_map_max(p.w.fake, 1 + 20); /* the ring, and two requests with a bit */
        p.disk.hold = 1;
        for (int i = 0; i < 6; i++)
            EQ(ask_put(p.dev, &a[i], i & 1 ? XK_BLK_READ : XK_BLK_WRITE, i * 64u, buf[i], sizeof(buf[i])), 0);
        xk_blk_kick(p.dev);
        pair_run(&p);
        EQ(p.disk.n, 2);
        for (int i = 0; i < 5; i++) {
            slow_go(&p.disk);
            pair_run(&p);
        }
        for (int i = 0; i < 6; i++)
            OK(a[i].done == 1 && a[i].err == 0);
        xk_blkback_stats(p.back, &s);
        EQ(s.refused, 0);
        pair_close(&p);
    }
}

/* But not for ever: what others have may never come back. */
TEST(a_request_that_finds_no_room_fails_in_the_end)
{
    static uint8_t buf[8 * XK_PAGE_SIZE];
    struct pair p;
    struct ask a;

    pair_world(&p);
    pair_open(&p);
    xk_fake_map_max(p.w.fake, 4);
    EQ(ask_put(p.dev, &a, XK_BLK_WRITE, 0, buf, sizeof(buf)), 0);
    xk_blk_kick(p.dev);
    for (int i = 0; i < 9 * 100; i++) {
        pair_run(&p);
        xk_fake_advance(p.w.fake, 10 * XK_MS);
    }
    EQ(a.done, 0);
    for (int i = 0; i < 2 * 100; i++) {
        pair_run(&p);
        xk_fake_advance(p.w.fake, 10 * XK_MS);
    }
    EQ(a.done, 1);
    EQ(a.err, XK_EIO);
    xk_fake_map_max(p.w.fake, 0);
    EQ(ask(&p, XK_BLK_WRITE, 0, buf, sizeof(buf)), 0);
    pair_close(&p);
}

TEST(events_late_or_from_nowhere_change_nothing)
{
    struct pair p;
    uint8_t buf[XK_SECTOR];

    pair_world(&p);
    pair_open(&p);
    xk_fake_chaos(p.w.fake, 300, 300);
    for (unsigned i = 0; i < 300; i++) {
        struct ask a;
        memset(buf, (int)i, sizeof(buf));
        EQ(ask_put(p.dev, &a, i & 1 ? XK_BLK_READ : XK_BLK_WRITE, i / 2, buf, sizeof(buf)), 0);
        xk_blk_kick(p.dev);
        for (int k = 0; k < 50 && !a.done; k++) {
            pair_run(&p);
            xk_fake_advance(p.w.fake, XK_MS);
        }
        EQ(a.done, 1);
        EQ(a.err, 0);
        EQ(buf[0], (uint8_t)(i & 1 ? i - 1 : i));
    }
    pair_close(&p);
}

/* --- all at work at the same time --- */

/* Requests that the disk holds at its first kicks, of 20. */
static void first_kicks(uint32_t features, int *first, int *second)
{
    static uint8_t buf[20][XK_SECTOR];
    static struct ask a[20];
    struct pair p;

    pair_world(&p);
    p.disk.dev.info.features |= features;
    pair_open(&p);
    p.disk.hold = 1;
    for (unsigned i = 0; i < 20; i++)
        EQ(ask_put(p.dev, &a[i], XK_BLK_WRITE, i, buf[i], XK_SECTOR), 0);
    xk_blk_kick(p.dev);
    pair_run(&p);
    EQ(p.disk.n, 20);
    *first = p.disk.at_kick[0];
    *second = p.disk.at_kick[1];
    p.disk.hold = 0;
    slow_go(&p.disk);
    pair_run(&p);
    for (unsigned i = 0; i < 20; i++)
        EQ(a[i].done, 1);
    pair_close(&p);
}

TEST(a_disk_with_nothing_to_do_gets_a_few_requests_before_the_rest)
{
    int first, second;

    first_kicks(0, &first, &second);
    EQ(first, 8);
    EQ(second, 20);
}

TEST(a_disk_whose_kick_is_dear_gets_all_at_once)
{
    int first, second;

    first_kicks(XK_BLK_DEAR_KICK, &first, &second);
    EQ(first, 20);
}

struct again {
    struct xk_blk_request r; /* first */
    struct xk_piece piece;
    int rounds;
};

static struct xk_ring_back watched; /* the front end's ring, as its peer sees it */
static struct xk_blkdev *asked;
static int heard, seen_at_answer[64];

static void ask_again(struct xk_blk_request *r, int err)
{
    struct again *a = (struct again *)r;
    uint8_t slots[64 * BLK_SLOT_MAX];
    int n = xk_ring_back_take(&watched, slots, 64);

    EQ(err, 0);
    seen_at_answer[heard++] = n > 0 ? n : 0;
    if (a->rounds-- > 0)
        EQ(xk_blk_submit(asked, r), 0);
}

TEST(who_asks_again_is_heard_before_all_answers_are_taken)
{
    static struct again a[20];
    static uint8_t buf[20][XK_SECTOR];
    xk_gref refs[XK_BLKFRONT_RING_MAX];
    struct pair p;
    void *page;

    pair_world(&p);
    pair_open(&p);
    asked = p.dev;
    heard = 0;
    for (unsigned i = 0; i < 20; i++) {
        a[i] = (struct again){
            {.done = ask_again, .sector = i, .sectors = 1, .pieces = 1, .op = XK_BLK_READ}, {buf[i], XK_SECTOR}, 1};
        a[i].r.piece = &a[i].piece;
        EQ(xk_blk_submit(p.dev, &a[i].r), 0);
    }
    xk_blk_kick(p.dev);
    for (int i = 0; i < 4; i++)
        EQ(xk_loop_run_once(p.back_loop, XK_NOW) < 0, 0); /* all is answered */
    EQ(xk_blkfront_ring(p.front, refs), 1);
    EQ(xk_page_map(p.w.dom[2], 1, refs, 1, 0, NULL, &page), 0);
    EQ(xk_ring_back_attach(&watched, page, XK_PAGE_SIZE, blk_abi_64.slot), 0);
    while (heard < 20)
        OK(xk_loop_run_once(p.front_loop, XK_NOW) >= 0);
    EQ(seen_at_answer[7], 0);
    EQ(seen_at_answer[8], 8);
    EQ(seen_at_answer[16], 8);
    pair_run(&p);
    EQ(heard, 40);
    EQ(xk_page_unmap(p.w.dom[2], page, 1), 0);
    pair_close(&p);
}
