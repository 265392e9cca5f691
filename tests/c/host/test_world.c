/* xk_open end to end: a private world, its store, a vchan found through the store. SPDX-License-Identifier: MIT */
#include <xenkit/store.h>
#include <xenkit/vchan.h>
#include <xenkit/world.h>

#include "tests/c/tap.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

TEST(private_world_has_a_store)
{
    struct xk_platform *a, *b;
    struct xk_loop *la, *lb;
    struct xk_store *sa, *sb;
    struct xk_buf v;

    EQ(xk_open(NULL, "alpha", &a), 0);
    EQ(xk_platform_domid(a), 1);
    EQ(xk_open_peer(a, "beta", &b), 0);
    EQ(xk_platform_domid(b), 2);
    EQ(xk_loop_create(NULL, a, &la), 0);
    EQ(xk_loop_create(NULL, b, &lb), 0);
    EQ(xk_store_open_domain(NULL, la, &sa), 0);
    EQ(xk_store_open_domain(NULL, lb, &sb), 0);
    EQ(xk_store_write(sa, 0, "/hello", "world", 5, xk_now(a) + 5 * XK_SECOND), 0);
    xk_buf_init(&v, NULL, 100);
    EQ(xk_store_read(sb, 0, "/hello", &v, xk_now(b) + 5 * XK_SECOND), 0);
    EQ(xk_buf_len(&v), 5);
    MEMEQ(xk_buf_head(&v), "world", 5);
    EQ(xk_store_read(sb, 0, "/none", &v, xk_now(b) + 5 * XK_SECOND), XK_ENOENT);
    xk_buf_fini(&v);
    xk_store_close(sa);
    xk_store_close(sb);
    xk_loop_destroy(la);
    xk_loop_destroy(lb);
    xk_platform_close(a);
    xk_platform_close(b);
}

TEST(signals_are_not_taken_by_the_threads_of_a_private_world)
{
    struct timespec most = {5, 0};
    struct xk_platform *a;
    sigset_t set;

    EQ(xk_open(NULL, "alpha", &a), 0);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    EQ(kill(getpid(), SIGTERM), 0);
    EQ(sigtimedwait(&set, NULL, &most), SIGTERM);
    xk_platform_close(a);
}

TEST(wrong_doors)
{
    struct xk_platform *a;

    EQ(xk_open("/no/such/world", "x", &a), XK_ENOENT);
    EQ(xk_open("/dev/null", "x", &a), XK_ECONNREFUSED);
    EQ(xk_open(NULL, "", &a), XK_EINVAL);
}

static struct xk_store_watch watch;
static int fired;
static void on_watch(struct xk_store_watch *w, const char *path)
{
    (void)w;
    STREQ(path, "/w/x");
    fired++;
}
static void on_registered(struct xk_store_call *c, int err, const uint8_t *d, size_t n)
{
    (void)c, (void)d, (void)n;
    EQ(err, 0);
}

TEST(watches_and_transactions)
{
    struct xk_platform *a;
    struct xk_loop *loop;
    struct xk_store *s;
    struct xk_store_call c = {.fn = on_registered};
    xk_time end;
    uint32_t t1, t2;
    struct xk_buf v;

    EQ(xk_open(NULL, "alpha", &a), 0);
    end = xk_now(a) + 10 * XK_SECOND;
    EQ(xk_loop_create(NULL, a, &loop), 0);
    EQ(xk_store_open_domain(NULL, loop, &s), 0);
    watch.fn = on_watch;
    EQ(xk_store_watch_add(s, &watch, "/w/x", &c), 0);
    while (!fired && xk_now(a) < end)
        xk_loop_run_once(loop, end);
    EQ(fired, 1);
    EQ(xk_store_begin(s, &t1, end), 0);
    EQ(xk_store_begin(s, &t2, end), 0);
    OK(t1 != t2);
    xk_buf_init(&v, NULL, 100);
    EQ(xk_store_read(s, t2, "/w/x", &v, end), XK_ENOENT);
    EQ(xk_store_write(s, t1, "/w/x", "1", 1, end), 0);
    EQ(fired, 1);
    EQ(xk_store_end(s, t1, 1, end), 0);
    while (fired < 2 && xk_now(a) < end)
        xk_loop_run_once(loop, end);
    EQ(fired, 2);
    EQ(xk_store_write(s, t2, "/w/y", "1", 1, end), 0);
    EQ(xk_store_end(s, t2, 1, end), XK_EAGAIN);
    xk_store_watch_remove(s, &watch, "/w/x");
    EQ(xk_store_rm(s, 0, "/w", end), 0);
    EQ(xk_store_list(s, 0, "/", &v, end), 0);
    EQ(fired, 2);
    xk_buf_fini(&v);
    xk_store_close(s);
    xk_loop_destroy(loop);
    xk_platform_close(a);
}

TEST(many_worlds_come_and_go)
{
    for (int i = 0; i < 40; i++) {
        struct xk_platform *p[5];
        EQ(xk_open(NULL, "first", &p[0]), 0);
        for (int k = 1; k < 5; k++)
            EQ(xk_open_peer(p[0], "more", &p[k]), 0);
        for (int k = 0; k < 5; k++)
            xk_platform_close(p[(k + i) % 5]);
    }
}
