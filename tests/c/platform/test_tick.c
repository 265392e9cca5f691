/* The tick (xk_tick) of the hosted platform: it comes while the program runs, and not while it sleeps.
 * SPDX-License-Identifier: MIT */
#include "tests/c/tap.h"
#include "tests/c/platform/world.h"

static void (*const unused)(struct world *) __attribute__((unused)) = world_open_fake;
static volatile int ticks;

static void on_tick(void) { ticks++; }

static void burn(xk_time ns)
{
    struct timespec t;
    xk_time start, now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    start = (xk_time)t.tv_sec * XK_SECOND + t.tv_nsec;
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        now = (xk_time)t.tv_sec * XK_SECOND + t.tv_nsec;
    } while (now - start < ns);
}

TEST(comes_while_running_only)
{
    struct world w;
    struct xk_ready r;
    int before;

    world_open_hosted(&w);
    EQ(xk_tick(w.dom[0], 20 * XK_MS, on_tick), 0);
    burn(300 * XK_MS);
    OK(ticks >= 5 && ticks <= 16);
    before = ticks;
    EQ(xk_wait(w.dom[0], xk_now(w.dom[0]) + 300 * XK_MS, &r, 1), 0);
    OK(ticks <= before + 1);
    EQ(xk_tick(w.dom[0], 0, NULL), 0);
    before = ticks;
    burn(100 * XK_MS);
    EQ(ticks, before);
    world_close(&w);
}

TEST(wrong_arguments)
{
    struct world w;

    world_open_hosted(&w);
    EQ(xk_tick(w.dom[0], -1, on_tick), XK_EINVAL);
    EQ(xk_tick(w.dom[0], XK_MS, NULL), XK_EINVAL);
    world_close(&w);
}

TEST(a_platform_without_one_says_so)
{
    struct xk_fake *f;
    struct xk_platform *p;
    char report[100];

    EQ(xk_fake_create(1, &f), 0);
    EQ(xk_fake_domain(f, "x", &p), 0);
    EQ(xk_tick(p, XK_MS, on_tick), XK_ENOSYS);
    EQ(xk_store_handle(p), XK_ENOSYS);
    EQ(xk_fake_destroy(f, report, sizeof(report)), 0);
}
