/* A front end whose disk takes longer than a spin: it sleeps until shortly before the answer, and looks.
 * SPDX-License-Identifier: MIT */
#include "tests/c/block/pair.h"

enum { TAKES = 90000 };

static struct pair p;
static xk_time due;

/* The back end's domain: it has a disk that needs TAKES. */
static xk_time serve(void *unused)
{
    xk_time now = xk_now(p.w.dom[2]);

    (void)unused;
    do
        if (p.disk.n && now >= due)
            slow_go(&p.disk);
    while (xk_loop_run_once(p.back_loop, XK_NOW) > 0);
    return p.disk.n ? due : XK_FOREVER;
}

static int look_takes_time(struct xk_spinner *s, int sleeping)
{
    (void)s, (void)sleeping;
    xk_fake_advance(p.w.fake, 20);
    return 0;
}

/* One request; how late its answer is seen. */
static xk_time read_one(void)
{
    static uint8_t buf[XK_SECTOR];
    struct ask a;

    due = xk_now(p.w.dom[1]) + TAKES;
    EQ(ask_put(p.dev, &a, XK_BLK_READ, 1, buf, XK_SECTOR), 0);
    xk_blk_kick(p.dev);
    for (int i = 0; !a.done; i++) {
        OK(i < 100);
        OK(xk_loop_run_once(p.front_loop, due + XK_SECOND) >= 0);
    }
    EQ(a.err, 0);
    return xk_now(p.w.dom[1]) - due;
}

TEST(an_answer_is_met_awake_and_nobody_has_to_notify)
{
    struct xk_spinner clock = {.fn = look_takes_time};
    struct xk_loop_stats before, after;
    struct xk_blkfront_stats f;
    uint64_t events;

    pair_world(&p);
    pair_open(&p);
    p.disk.hold = 1;
    xk_loop_set_spin(p.front_loop, XK_SPIN_WAKE);
    xk_spinner_start(p.front_loop, &clock);
    xk_fake_run_with(p.w.dom[2], serve, NULL);
    for (int i = 0; i < 200; i++)
        read_one();
    xk_loop_get_stats(p.front_loop, &before);
    xk_blkfront_stats(p.front, &f);
    events = f.events;
    for (int i = 0; i < 50; i++)
        OK(read_one() < 1000);
    xk_loop_get_stats(p.front_loop, &after);
    xk_blkfront_stats(p.front, &f);
    EQ(after.naps - before.naps, 50);
    EQ(after.nap_hits - before.nap_hits, 50);
    EQ(f.events, events);
    xk_spinner_stop(&clock);
    xk_fake_run_with(p.w.dom[2], NULL, NULL);
    pair_close(&p);
}

static int looks;
static struct ask late_one;

/* Time passes; at the tenth look the front end asks. */
static int look_and_ask(struct xk_spinner *s, int sleeping)
{
    static uint8_t buf[XK_SECTOR];

    look_takes_time(s, sleeping);
    if (!sleeping && ++looks == 10) {
        EQ(ask_put(p.dev, &late_one, XK_BLK_READ, 1, buf, XK_SECTOR), 0);
        xk_blk_kick(p.dev);
    }
    return 0;
}

TEST(a_back_end_that_spins_is_not_notified)
{
    struct xk_spinner clock = {.fn = look_and_ask};
    struct xk_blkfront_stats before, after;

    pair_world(&p);
    pair_open(&p);
    pair_run(&p); /* it has asked to be notified */
    xk_blkfront_stats(p.front, &before);
    xk_loop_set_spin(p.back_loop, XK_SPIN_WAKE);
    xk_spinner_start(p.back_loop, &clock);
    while (looks < 10)
        OK(xk_loop_run_once(p.back_loop, xk_now(p.w.dom[2]) + XK_SECOND) >= 0);
    xk_spinner_stop(&clock);
    pair_run(&p);
    EQ(late_one.done, 1);
    xk_blkfront_stats(p.front, &after);
    EQ(after.notified, before.notified);
    pair_close(&p);
}
