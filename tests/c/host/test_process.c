/* Domains that end in awkward ways, and that nothing of them stays. SPDX-License-Identifier: MIT */
#include "tests/c/host/hostile.h"

/* --- processes --- */

static void wait_for_state(struct xk_platform *dom0, xk_domid id, int state, struct xk_domain_info *info)
{
    for (int i = 0; i < 3000; i++, usleep(1000)) {
        int r = xk_domain_info(dom0, id, info);
        EQ(r, 0);
        if (info->state == state)
            return;
    }
    TAP_FAIL("state is %d", info->state);
}

/* A domain's socket ends before its process does; how it ended must be known all the same. */
TEST(last_words_are_not_lost)
{
    struct world w;
    struct xk_domain_info info;
    xk_domid id;
    int program = open("/bin/false", O_RDONLY | O_CLOEXEC), fds;

    if (program < 0)
        SKIP("no /bin/false");
    world_open_hosted(&w);
    fds = count_fds();
    for (int i = 0; i < 100 / SLOW; i++) {
        EQ(xk_hosted_create(w.dom[0], "short", program, 0, &id), 0);
        wait_for_state(w.dom[0], id, XK_DOMAIN_SHUTDOWN, &info);
        EQ(info.exit_code, 1);
        EQ(info.reason, XK_CRASH);
        (void)!xk_hosted_built(w.dom[0], id, 0, -1, 0, -1); /* too late, and harmless */
        EQ(xk_page_map(w.dom[1], id, &(xk_gref){8}, 1, 0, NULL, &(void *){NULL}), XK_EINVAL); /* it never granted it */
        EQ(xk_domain_destroy(w.dom[0], id), 0);
        EQ(xk_domain_info(w.dom[0], id, &info), XK_ENOENT);
    }
    fds_settle(fds + 40); /* the mapper keeps a bounded number of idle arenas, and sweeps when it makes the next */
    world_close(&w);
}

TEST(an_embedder_that_reaps_children_itself)
{
    struct world w;
    struct xk_domain_info info;
    struct rusage before, after;
    xk_domid id;
    int program = open("/bin/false", O_RDONLY | O_CLOEXEC), r;

    if (program < 0)
        SKIP("no /bin/false");
    signal(SIGCHLD, SIG_IGN);
    world_open_hosted(&w);
    for (int i = 0; (r = xk_hosted_create(w.dom[0], "short", program, 0, &id)) < 0 && i < 100; i++)
        EQ(r, XK_EIO); /* it was over and reaped before it could be watched */
    wait_for_state(w.dom[0], id, XK_DOMAIN_SHUTDOWN, &info);
    EQ(info.exit_code, 255);
    getrusage(RUSAGE_SELF, &before);
    usleep(200000);
    getrusage(RUSAGE_SELF, &after);
    OK((after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
           after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec <
       100000);
    world_close(&w);
}

TEST(a_process_that_cannot_be_watched_leaves_nothing)
{
    static int hog[4096];
    struct rlimit few = {120, 120};
    struct world w;
    struct xk_domain_info info;
    xk_domid id;
    int program = open("/bin/cat", O_RDONLY | O_CLOEXEC), n = 0;
    xk_time start;

    if (program < 0)
        SKIP("no /bin/cat");
    EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    world_open_hosted(&w);
    while ((hog[n] = open("/dev/null", O_RDONLY)) >= 0)
        n++;
    for (int room = 0; room < 12; room++) {
        if (xk_hosted_create(w.dom[0], "short", program, 0, &id) == 0)
            EQ(xk_domain_destroy(w.dom[0], id), 0);
        close(hog[--n]);
    }
    while (n > 0)
        close(hog[--n]);
    for (int i = 0; i < 2000 && xk_domain_next(w.dom[0], 2, &info) == 0; i++)
        usleep(1000);
    EQ(xk_domain_next(w.dom[0], 2, &info), XK_ENOENT);
    start = xk_now(w.dom[0]);
    xk_platform_close(w.dom[2]);
    xk_platform_close(w.dom[1]);
    xk_platform_close(w.dom[0]);
    xk_hypervisor_stop(w.hyp); /* does not wait for what never comes */
    OK(xk__sys_now() - start < 3 * XK_SECOND);
}

/* --- what stays --- */

TEST(two_thousand_come_and_go)
{
    struct xk_platform *first, *p;
    int fds = 0;
    long kib = 0;

    EQ(xk_open(NULL, "first", &first), 0);
    for (int i = 0; i < 2000 / SLOW; i++) {
        EQ(xk_open_peer(first, "more", &p), 0);
        xk_platform_close(p);
        if (i == 200 / SLOW) {
            usleep(50000);
            fds = count_fds();
            kib = resident_kib();
        }
    }
    fds_settle(fds + 2);
    printf("# resident: %ld KiB after 200, %ld KiB after 2000\n", kib, resident_kib());
    OK(SLOW > 1 || resident_kib() < kib + 2048);
    xk_platform_close(first);
}

TEST(a_server_forgets_its_dead_clients)
{
    struct world w;
    int fds = 0, rounds = SLOW > 1 ? 60 : 300;

    world_open_hosted(&w);
    for (int i = 0; i < rounds; i++) {
        struct xk_platform *p = world_guest(&w, "client");
        xk_gref ref;
        void *mine, *theirs;
        xk_port a, b;
        EQ(xk_page_share(w.dom[1], xk_platform_domid(p), 1, 0, &ref, &mine), 0);
        EQ(xk_page_map(p, 1, &ref, 1, 0, NULL, &theirs), 0);
        a = xk_evtchn_alloc(w.dom[1], xk_platform_domid(p));
        b = xk_evtchn_bind(p, 1, a);
        OK(a > 0 && b > 0);
        EQ(xk_page_unmap(p, theirs, 1), 0);
        EQ(xk_page_unshare(w.dom[1], mine, 1), 0); /* while the client is still alive */
        EQ(xk_evtchn_unbind(w.dom[1], a), 0);
        xk_platform_close(p);
        if (i == 30)
            fds = count_fds();
    }
    fds_settle(fds + 12);
    world_close(&w);
}
