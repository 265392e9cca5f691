/* Either half of a disk's ring against a liar: its own requests fail, or the device ends, and nothing else suffers.
 * SPDX-License-Identifier: MIT */
#include "tests/c/block/liar.h"

/* --- a lying front end -------------------------------------------------------------------------------------------- */

TEST(requests_that_make_no_sense_are_answered_and_harm_nothing)
{
    struct xk_blkback_stats s;
    struct liar l;
    blkif_request_t q;
    int wrong = 0;

    liar_open(&l, XK_BLK_ABI_64, 0);
#define WRONG(change)                                 \
    do {                                              \
        q = rw(&l, BLKIF_OP_WRITE, 8, 2);             \
        change;                                       \
        EQ(tell(&l, &q, sizeof(q)), BLKIF_RSP_ERROR); \
        wrong++;                                      \
        EQ(honest(&l), BLKIF_RSP_OKAY);               \
    } while (0)
    WRONG(q.nr_segments = 0);
    WRONG(q.nr_segments = 12);
    WRONG(q.nr_segments = 255);
    WRONG(q.seg[1].first_sect = 3; q.seg[1].last_sect = 2);
    WRONG(q.seg[1].last_sect = 8);
    WRONG(q.seg[0].first_sect = 255; q.seg[0].last_sect = 255);
    WRONG(q.seg[1].gref = 0x7fffffff);
    WRONG(q.seg[0].gref = 4711);
    WRONG(q.sector_number = PAIR_SECTORS - 15);
    WRONG(q.sector_number = UINT64_MAX);
    WRONG(q.sector_number = UINT64_MAX / 512);
    WRONG(q.operation = 4);
    WRONG(q.operation = 200);
    WRONG(q.operation = BLKIF_OP_INDIRECT; q.nr_segments = BLKIF_OP_READ);
#undef WRONG
    q = rw(&l, BLKIF_OP_WRITE_BARRIER, 8, 1);
    EQ(tell(&l, &q, sizeof(q)), BLKIF_RSP_OKAY);
    q = rw(&l, BLKIF_OP_WRITE, 8, 11); /* the same page several times is all right */
    EQ(tell(&l, &q, sizeof(q)), BLKIF_RSP_OKAY);
    xk_blkback_stats(l.p.back, &s);
    EQ(s.refused, wrong);
    EQ(l.p.back_broken, 0);
    liar_close(&l);
}

TEST(indirect_requests_that_make_no_sense)
{
    struct blkif_request_segment *seg;
    struct liar l;
    blkif_request_indirect_t q;

    liar_open(&l, XK_BLK_ABI_64, 64);
    seg = (struct blkif_request_segment *)(void *)(l.data + 3 * XK_PAGE_SIZE);
    for (int i = 0; i < 512; i++)
        seg[i] = (struct blkif_request_segment){l.ref[0], 0, 0};
#define INDIRECT(change, want)             \
    do {                                   \
        memset(&q, 0, sizeof(q));          \
        q.operation = BLKIF_OP_INDIRECT;   \
        q.indirect_op = BLKIF_OP_READ;     \
        q.id = ++l.next_id;                \
        q.nr_segments = 64;                \
        q.indirect_grefs[0] = l.ref[3];    \
        change;                            \
        EQ(tell(&l, &q, sizeof(q)), want); \
        EQ(honest(&l), BLKIF_RSP_OKAY);    \
    } while (0)
    INDIRECT(, BLKIF_RSP_OKAY);
    INDIRECT(q.nr_segments = 1, BLKIF_RSP_OKAY);
    INDIRECT(q.nr_segments = 0, BLKIF_RSP_ERROR);
    INDIRECT(q.nr_segments = 65, BLKIF_RSP_ERROR);
    INDIRECT(q.nr_segments = 65535, BLKIF_RSP_ERROR);
    INDIRECT(q.indirect_op = BLKIF_OP_INDIRECT, BLKIF_RSP_ERROR);
    INDIRECT(q.indirect_op = BLKIF_OP_FLUSH_DISKCACHE, BLKIF_RSP_EOPNOTSUPP);
    INDIRECT(q.indirect_op = BLKIF_OP_DISCARD, BLKIF_RSP_ERROR);
    INDIRECT(q.indirect_grefs[0] = 999999, BLKIF_RSP_ERROR);
    INDIRECT(seg[63].last_sect = 9, BLKIF_RSP_ERROR);
    seg[63].last_sect = 0;
    INDIRECT(seg[10].gref = 12345678, BLKIF_RSP_ERROR);
#undef INDIRECT
    liar_close(&l);
}

TEST(indices_that_cannot_be_end_the_device)
{
    struct liar l;

    liar_open(&l, XK_BLK_ABI_64, 0);
    EQ(honest(&l), BLKIF_RSP_OKAY);
    *(volatile uint32_t *)l.page = 1000; /* req_prod */
    xk_evtchn_notify(l.p.w.dom[1], l.port);
    for (int i = 0; i < 3; i++)
        xk_loop_run_once(l.p.back_loop, XK_NOW);
    EQ(l.p.back_broken, XK_EPEER);
    liar_close(&l);
}

TEST(pages_that_are_taken_away_are_an_error_of_one_request)
{
    struct liar l;
    blkif_request_t q;
    xk_gref ref;
    void *page;

    liar_open(&l, XK_BLK_ABI_64, 0);
    EQ(xk_page_share(l.p.w.dom[1], 2, 1, XK_PAGE_READONLY, &ref, &page), 0);
    q = rw(&l, BLKIF_OP_WRITE, 0, 1);
    q.seg[0].gref = ref;
    EQ(tell(&l, &q, sizeof(q)), BLKIF_RSP_OKAY); /* granted for reading: enough to write it to the disk */
    q = rw(&l, BLKIF_OP_READ, 0, 1);
    q.seg[0].gref = ref;
    EQ(tell(&l, &q, sizeof(q)), BLKIF_RSP_ERROR);
    EQ(xk_page_unshare(l.p.w.dom[1], page, 1), 0); /* nothing of it stayed mapped */
    q = rw(&l, BLKIF_OP_WRITE, 0, 1);
    q.seg[0].gref = ref;
    EQ(tell(&l, &q, sizeof(q)), BLKIF_RSP_ERROR);
    EQ(honest(&l), BLKIF_RSP_OKAY);
    liar_close(&l);
}

TEST(a_storm_of_events_is_counted)
{
    struct xk_blkback_stats s;
    struct liar l;

    liar_open(&l, XK_BLK_ABI_64, 0);
    for (int i = 0; i < 100; i++) {
        xk_evtchn_notify(l.p.w.dom[1], l.port);
        xk_loop_run_once(l.p.back_loop, XK_NOW);
    }
    EQ(honest(&l), BLKIF_RSP_OKAY);
    xk_blkback_stats(l.p.back, &s);
    OK(s.idle_events > 50);
    liar_close(&l);
}

/* --- a lying back end --------------------------------------------------------------------------------------------- */

struct cheat {
    struct pair p;
    struct xk_ring_back ring;
    void *page;
    int port;
    uint8_t buf[4][XK_SECTOR];
    struct ask a[4];
    blkif_request_t q[4];
};

static void cheat_open(struct cheat *c)
{
    xk_gref ref[XK_BLKFRONT_RING_MAX];

    memset(c, 0, sizeof(*c));
    pair_world(&c->p);
    EQ(pair_front(&c->p), 0);
    EQ(xk_blkfront_ring(c->p.front, ref), 1);
    EQ(xk_page_map(c->p.w.dom[2], 1, ref, 1, 0, NULL, &c->page), 0);
    c->port = xk_evtchn_bind(c->p.w.dom[2], 1, xk_blkfront_port(c->p.front));
    OK(c->port > 0);
    EQ(xk_ring_back_attach(&c->ring, c->page, XK_PAGE_SIZE, sizeof(blkif_request_t)), 0);
    xk_blkfront_connect(c->p.front, &c->p.disk.dev.info, 0);
    for (int i = 0; i < 4; i++)
        EQ(ask_put(c->p.dev, &c->a[i], XK_BLK_READ, (unsigned)i, c->buf[i], XK_SECTOR), 0);
    xk_blk_kick(c->p.dev);
    EQ(xk_ring_back_take(&c->ring, c->q, 4), 4);
}

static void cheat_close(struct cheat *c)
{
    EQ(c->p.front_broken, XK_EPEER);
    for (int i = 0; i < 4; i++)
        EQ(c->a[i].done, 1);
    EQ(c->a[3].err, XK_EPEER);
    EQ(ask(&c->p, XK_BLK_READ, 0, c->buf[0], XK_SECTOR), XK_EPEER);
    EQ(xk_page_unmap(c->p.w.dom[2], c->page, 1), 0);
    EQ(xk_evtchn_unbind(c->p.w.dom[2], c->port), 0);
    pair_close(&c->p);
}

static void cheat_answer(struct cheat *c, uint64_t id, unsigned op, int status)
{
    uint8_t slot[sizeof(blkif_request_t)] = {0};
    blkif_response_t r = {.id = id, .operation = (uint8_t)op, .status = (int16_t)status};

    memcpy(slot, &r, sizeof(r));
    EQ(xk_ring_back_put(&c->ring, slot, 1), 1);
    xk_ring_back_publish(&c->ring) ? xk_evtchn_notify(c->p.w.dom[2], c->port) : 0;
    xk_loop_run_once(c->p.front_loop, XK_NOW);
}

TEST(an_answer_to_nothing_ends_the_disk)
{
    static struct cheat c;

    cheat_open(&c);
    cheat_answer(&c, 31, BLKIF_OP_READ, 0);
    cheat_close(&c);
    cheat_open(&c);
    cheat_answer(&c, UINT64_MAX, BLKIF_OP_READ, 0);
    cheat_close(&c);
}

static struct cheat *closer;
static void close_when_done(struct xk_blk_request *r, int err)
{
    ask_done(r, err);
    if (closer->p.front)
        xk_blk_close(closer->p.dev);
    closer->p.front = NULL;
}

TEST(who_closed_the_disk_is_not_told_that_it_is_broken)
{
    static struct cheat c;

    cheat_open(&c);
    closer = &c;
    c.a[0].r.done = close_when_done;
    cheat_answer(&c, 31, BLKIF_OP_READ, 0);
    EQ(c.a[0].err, XK_EPEER);
    EQ(c.a[3].done, 1);
    EQ(c.p.front == NULL, 1);
    EQ(c.p.front_broken, 0); /* its owner may be gone */
    EQ(xk_page_unmap(c.p.w.dom[2], c.page, 1), 0);
    EQ(xk_evtchn_unbind(c.p.w.dom[2], c.port), 0);
    pair_close(&c.p);
}

TEST(a_second_answer_to_the_same_ends_the_disk)
{
    static struct cheat c;

    cheat_open(&c);
    cheat_answer(&c, c.q[0].id, BLKIF_OP_READ, 0);
    EQ(c.a[0].err, 0);
    cheat_answer(&c, c.q[0].id, BLKIF_OP_READ, 0);
    cheat_close(&c);
}

TEST(an_answer_to_another_operation_ends_the_disk)
{
    static struct cheat c;

    cheat_open(&c);
    cheat_answer(&c, c.q[0].id, BLKIF_OP_WRITE, 0);
    cheat_close(&c);
}

TEST(more_answers_than_requests_end_the_disk)
{
    static struct cheat c;

    cheat_open(&c);
    ((volatile uint32_t *)c.page)[2] = 77; /* rsp_prod */
    xk_evtchn_notify(c.p.w.dom[2], c.port);
    xk_loop_run_once(c.p.front_loop, XK_NOW);
    cheat_close(&c);
}

TEST(a_status_of_any_kind_is_an_error_of_one_request)
{
    static struct cheat c;

    cheat_open(&c);
    cheat_answer(&c, c.q[2].id, BLKIF_OP_READ, -77);
    cheat_answer(&c, c.q[1].id, BLKIF_OP_READ, 5);
    EQ(c.a[2].err, XK_EIO);
    EQ(c.a[1].err, XK_EIO);
    EQ(c.p.front_broken, 0);
    cheat_answer(&c, 99, BLKIF_OP_READ, 0);
    cheat_close(&c);
}
