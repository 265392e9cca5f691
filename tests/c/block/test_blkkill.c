/* A disk's back end that is killed at any store while it shows answers, and the next one. SPDX-License-Identifier: MIT
 */
#include "tests/c/block/pair.h"
#include "tests/c/steps.h"

enum { N = 12 };

static struct pair p;
static struct ask asks[N];
static uint8_t bufs[N][XK_SECTOR], want[N][XK_SECTOR];
static uint8_t *ring;
static unsigned answers;

static uint64_t seed = 1;
static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* The disk has done (answers) of what it was asked, in any order, and the ring is told so. */
static void answer(void *arg)
{
    (void)arg;
    for (unsigned k = 0; k < answers && p.disk.n; k++) {
        unsigned i = roll((unsigned)p.disk.n);
        struct xk_blk_request *r = p.disk.held[i];
        p.disk.held[i] = p.disk.held[--p.disk.n];
        slow_pass(&p.disk, r);
    }
    while (xk_loop_run_once(p.back_loop, XK_NOW) > 0)
        ;
}

/* Some of N requests have been answered, the others are with the disk. Always the same, but for its memory. */
static void begin(unsigned before)
{
    void *page;

    seed = 1;
    pair_world(&p);
    pair_open(&p);
    for (unsigned i = 0; i < N; i++) {
        for (unsigned k = 0; k < XK_SECTOR; k++)
            want[i][k] = (uint8_t)roll(256);
        EQ(ask(&p, XK_BLK_WRITE, 100 + i, want[i], XK_SECTOR), 0);
    }
    EQ(xk_page_map(p.w.dom[2], 1, p.bc.ring, 1, 0, NULL, &page), 0);
    ring = page;
    p.disk.hold = 1;
    for (unsigned i = 0; i < N; i++)
        EQ(ask_put(p.dev, &asks[i], XK_BLK_READ, 100 + i, bufs[i], XK_SECTOR), 0);
    xk_blk_kick(p.dev);
    pair_run(&p);
    EQ(p.disk.n, N);
    answers = before;
    answer(NULL); /* what is still asked does not stand in order any more */
}

static unsigned answered_before;

/* In a process and a world of its own. */
static void next(const uint8_t *found)
{
    begin(answered_before);
    p.disk.hold = 0;
    slow_go(&p.disk);
    xk_blkback_close(p.back, NULL, NULL);
    memcpy(ring, found, XK_PAGE_SIZE); /* what it has really left */
    EQ(pair_back(&p), 0);
    pair_run(&p);
    for (unsigned i = 0; i < N; i++) {
        EQ(asks[i].done, 1);
        EQ(asks[i].err, 0);
        MEMEQ(bufs[i], want[i], XK_SECTOR);
    }
    EQ(p.front_broken, 0);
    EQ(p.back_broken, 0);
}

static void killed(void *arg, const uint8_t *found)
{
    (void)arg;
    steps_fork(next, found);
}

static void kill_it(unsigned n, unsigned before)
{
    struct steps s = {answer, killed, NULL, NULL, XK_PAGE_SIZE};

    answered_before = before;
    begin(before);
    s.area = ring;
    answers = n;
    OK(steps_run(&s) > 2 * n); /* in memory that both share: this process has no use for it any more */
}

TEST(one_answer) { kill_it(1, 0); }
TEST(some_answers) { kill_it(5, 3); }
TEST(all_answers) { kill_it(N, 0); }

/* Killed between its answers and its notification. */
TEST(the_next_one_tells_of_answers_that_nobody_was_told_of)
{
    struct xk_blkfront_stats before, after;
    uint8_t buf[XK_SECTOR];

    pair_world(&p);
    pair_open(&p);
    for (unsigned expect = 0; expect < 2; expect++) { /* not of a ring that has never been used */
        xk_blkback_close(p.back, NULL, NULL);
        pair_run(&p);
        xk_blkfront_stats(p.front, &before);
        EQ(pair_back(&p), 0);
        pair_run(&p);
        xk_blkfront_stats(p.front, &after);
        EQ(after.events - before.events, expect);
        EQ(ask(&p, XK_BLK_READ, 1, buf, XK_SECTOR), 0);
    }
    pair_close(&p);
}

TEST(who_cannot_have_the_port_does_not_touch_the_ring)
{
    enum { END = 64 + 32 * 112 };
    uint8_t was[XK_PAGE_SIZE], *page;
    void *m;

    pair_world(&p);
    pair_open(&p);
    EQ(xk_page_map(p.w.dom[2], 1, p.bc.ring, 1, 0, NULL, &m), 0);
    page = m;
    memset(page + END, 0x5a, XK_PAGE_SIZE - END);
    memcpy(was, page, XK_PAGE_SIZE);
    OK(pair_back(&p) < 0);
    MEMEQ(page, was, XK_PAGE_SIZE);
    EQ(xk_page_unmap(p.w.dom[2], page, 1), 0);
    pair_close(&p);
}
