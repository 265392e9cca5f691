/* Hostile guests on the control socket, and strangers at the door of those who come by path: the hypervisor lives,
 * others' traffic moves, nothing blocks and nothing is left over. SPDX-License-Identifier: MIT */
#include "tests/c/host/hostile.h"

static void flood(struct world *w, struct traffic *t, uint32_t op)
{
    struct xk__ctl m;
    xk_domid id;
    int g = raw_guest(w, &id), r = 0;
    long sent = 0;

    memset(&m, 0, sizeof(m));
    m.op = op;
    m.arg[0] = 1;
    while (sent < 100000 && (r == 0 || r == XK_EAGAIN)) { /* never a look at the answers */
        r = xk__fd_send(g, &m, sizeof(m), NULL, 0);
        sent += r == 0;
        if (r == XK_EAGAIN)
            usleep(100);
    }
    OK(r < 0);
    goes_on(t, w);
    OK(ended(g));
    close(g);
}

TEST(a_flood_without_reading_ends_the_guest)
{
    struct world w;
    struct traffic t;
    int fds;

    world_open_hosted(&w);
    traffic_start(&t, &w);
    fds = count_fds();
    flood(&w, &t, XK__CTL_WIRING);
    flood(&w, &t, XK__CTL_EVT_ALLOC);
    flood(&w, &t, XK__CTL_ARENA);
    flood(&w, &t, 4711);
    fds_settle(fds);
    traffic_stop(&t);
    world_close(&w);
}

TEST(few_answers_wait_with_their_descriptors)
{
    struct world w;
    struct xk__ctl m;
    xk_domid id;
    int g, n = 0, fd, one = 1;

    world_open_hosted(&w);
    g = raw_guest(&w, &id);
    memset(&m, 0, sizeof(m));
    m.op = XK__CTL_EVT_ALLOC;
    m.arg[0] = 1;
    for (int i = 0; i < 1000 && xk__fd_send(g, &m, sizeof(m), NULL, 0) == 0; i++)
        usleep(50);
    while (xk__fd_recv(g, &m, sizeof(m), &fd, &one, 1) == (int)sizeof(m)) {
        if (one)
            close(fd);
        n++;
        one = 1;
    }
    OK(n >= 1 && n < 20);
    close(g);
    world_close(&w);
}

TEST(messages_of_any_size_and_content)
{
    static const size_t sizes[] = {1, 3, 4, sizeof(struct xk__ctl) - 1, sizeof(struct xk__ctl) + 1, 5000, 60000};
    static uint8_t junk[65536];
    struct world w;
    struct traffic t;
    xk_domid id;
    int fds, g;

    world_open_hosted(&w);
    traffic_start(&t, &w);
    fds = count_fds();
    for (size_t i = 0; i < sizeof(junk); i++)
        junk[i] = (uint8_t)rand();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        g = raw_guest(&w, &id);
        EQ(send(g, junk, sizes[i], MSG_NOSIGNAL), (int)sizes[i]);
        OK(ended(g));
        close(g);
    }
    g = raw_guest(&w, &id);
    EQ(send(g, junk, 0, MSG_NOSIGNAL), 0); /* an empty packet reads as an end */
    OK(ended(g));
    close(g);
    g = raw_guest(&w, &id);
    for (int i = 0; i < 20000 / SLOW; i++) {
        struct xk__ctl m;
        for (size_t k = 0; k < sizeof(m); k++)
            ((uint8_t *)&m)[k] = (uint8_t)rand();
        m.op = (uint32_t)rand() % 22;
        for (int k = 0; k < 6; k++)
            if (rand() % 4)
                m.arg[k] = rand() % 12 - 4;
        if (m.op == XK__CTL_START || (m.op == XK__CTL_DOMCTL && m.arg[1] == XK_DOMCTL_SHUTDOWN))
            continue;
        OK(ask(g, m.op, m.arg[0], m.arg[1], m.arg[2], NULL) != ENDED);
    }
    goes_on(&t, &w);
    close(g);
    fds_settle(fds);
    traffic_stop(&t);
    world_close(&w);
}

TEST(passed_descriptors_do_not_stay)
{
    static const int counts[] = {1, 2, 4, 5, 200};
    struct world w;
    struct xk__ctl m;
    xk_domid id;
    int fds, null = open("/dev/null", O_RDONLY);

    world_open_hosted(&w);
    fds = count_fds();
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
        for (int op = 0; op < 20; op++) {
            int g = raw_guest(&w, &id);
            memset(&m, 0, sizeof(m));
            m.op = (uint32_t)op;
            m.arg[0] = 1;
            OK(send_fds(g, &m, sizeof(m), null, counts[i]) > 0);
            if (counts[i] <= 4 && op != XK__CTL_START)
                OK(xk__fd_recv(g, &m, sizeof(m), NULL, NULL, 1) == (int)sizeof(m));
            close(g);
        }
    fds_settle(fds);
    world_close(&w);
}

TEST(what_belongs_to_others_is_refused)
{
    struct world w;
    xk_domid id, dead;
    int g, h, a, r;

    world_open_hosted(&w);
    g = raw_guest(&w, &id);
    h = raw_guest(&w, &dead);
    close(h);
    a = xk_evtchn_alloc(w.dom[1], 2); /* waits for 2, not for us */
    OK(a > 0);
    EQ(ask(g, XK__CTL_EVT_BIND, 1, a, 0, NULL), XK_EINVAL);
    EQ(ask(g, XK__CTL_EVT_BIND, 1, -1, 0, NULL), XK_EINVAL);
    EQ(ask(g, XK__CTL_EVT_BIND, 1, INT32_MIN, 0, NULL), XK_EINVAL);
    EQ(ask(g, XK__CTL_EVT_BIND, 1, INT32_MAX, 0, NULL), XK_EINVAL);
    for (int p = -2; p < 20; p++) {
        EQ(ask(g, XK__CTL_EVT_FETCH, p, 0, 0, NULL), XK_EINVAL);
        EQ(ask(g, XK__CTL_EVT_CLOSE, p, 0, 0, NULL), XK_EINVAL);
    }
    for (int op = XK__CTL_CREATE; op <= XK__CTL_BUILT; op++)
        EQ(ask(g, (uint32_t)op, 1, 0, 0, NULL), XK_EPERM);
    for (int verb = 0; verb < 9; verb++)
        EQ(ask(g, XK__CTL_DOMCTL, 1, verb, 0, NULL), XK_EPERM);
    EQ(ask(g, XK__CTL_INFO, 1, 0, 0, NULL), XK_EPERM);
    EQ(ask(g, XK__CTL_NEXT, 0, 0, 0, NULL), XK_EPERM);
    EQ(ask(g, XK__CTL_EVT_VIRQ, XK_VIRQ_TOOLSTACK, 0, 0, NULL), XK_EPERM);
    EQ(ask(g, XK__CTL_EVT_VIRQ, -1, 0, 0, NULL), XK_EINVAL);
    EQ(ask(g, XK__CTL_HANDLE, 0, 0, 0, NULL), XK_EAGAIN);
    for (int i = 0; i < 1000 && (r = ask(g, XK__CTL_ALIVE, dead, 0, 0, NULL)) == 0; i++)
        usleep(1000);
    EQ(r, XK_EGONE);
    for (int kind = 0; kind < 2; kind++)
        for (int granter = 0; granter < 2; granter++) {
            EQ(ask(g, XK__CTL_ARENA, dead, granter, kind, NULL), XK_EGONE);
            EQ(ask(g, XK__CTL_ARENA, -7, granter, kind, NULL), XK_EGONE);
            EQ(ask(g, XK__CTL_ARENA, 1, granter, kind, NULL), 0);
            EQ(ask(g, XK__CTL_ARENA, 1, granter, kind, NULL), XK_EEXIST);
        }
    EQ(ask(g, XK__CTL_ARENA, 1, 1, 2, NULL), XK_EINVAL);
    EQ(ask(g, XK__CTL_EVT_ALLOC, dead, 0, 0, NULL), XK_EGONE);
    EQ(ask(g, XK__CTL_EVT_BIND, dead, 1, 0, NULL), XK_EGONE);
    close(g);
    world_close(&w);
}

/* One guest, or several that help each other, cannot take the descriptors of the process that the hypervisor lives in.
 */
TEST(waiting_ports_are_bounded)
{
    struct rlimit few = {300, 300};
    struct world w;
    struct traffic t;
    xk_domid id;
    int g[4], fds, held = 0;

    EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    world_open_hosted(&w);
    traffic_start(&t, &w);
    fds = count_fds();
    for (int i = 0; i < 4; i++) {
        int r;
        g[i] = raw_guest(&w, &id);
        while ((r = ask(g[i], XK__CTL_EVT_ALLOC, 1, 0, 0, NULL)) > 0)
            held++;
        EQ(r, XK_EMFILE);
        for (int k = 0; k < 4; k++) /* one more may fit, not four */
            r = ask(g[i], XK__CTL_ARENA, 1 + k / 2, 1, k % 2, NULL);
        EQ(r, XK_EMFILE);
    }
    OK(held >= 20 && held < 160);
    OK(count_fds() < fds + 170);
    goes_on(&t, &w);
    OK(xk_evtchn_alloc(w.dom[0], 1) > 0);
    int more = raw_guest(&w, &id); /* and there is room for others */
    OK(more >= 0);
    close(more);
    for (int i = 0; i < 4; i++)
        close(g[i]);
    fds_settle(fds + 2); /* domain 0's port */
    traffic_stop(&t);
    world_close(&w);
}

TEST(a_full_table_of_descriptors_does_not_end_the_world)
{
    static int hog[4096];
    struct rlimit few = {200, 200};
    struct world w;
    struct traffic t;
    xk_domid id;
    int n = 0, g;

    EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    world_open_hosted(&w);
    traffic_start(&t, &w);
    for (int i = 0; i < 60; i++) { /* room for the joiner's pair, mostly none for the hypervisor's end */
        struct world_join j = {w.hyp, "unlucky", NULL};
        struct xk_domain_info info;
        pthread_t thread;
        while (n < 4096 && (hog[n] = open("/dev/null", O_RDONLY)) >= 0)
            n++;
        close(hog[--n]);
        close(hog[--n]);
        OK(pthread_create(&thread, NULL, raw_join_thread, &j) == 0);
        while (pthread_tryjoin_np(thread, NULL) != 0) {
            if (xk_domain_next(w.dom[0], 2, &info) == 0)
                (void)!xk_domain_destroy(w.dom[0], info.domid);
            usleep(100);
        }
        if ((intptr_t)j.out >= 0)
            close((int)(intptr_t)j.out);
    }
    while ((hog[n] = open("/dev/null", O_RDONLY)) >= 0)
        n++;
    EQ(xk_hosted_hand(w.dom[0], 1, "x", 0), XK_EMFILE); /* and domain 0 is not ended for it */
    OK(xk_evtchn_alloc(w.dom[0], 1) < 0);
    while (n > 0)
        close(hog[--n]);
    goes_on(&t, &w);
    g = raw_guest(&w, &id);
    close(g);
    traffic_stop(&t);
    world_close(&w);
}

/* --- those who come by path --- */

static char dir[64], path[96];

static void world_with_door(struct world *w, int *listener)
{
    struct xk_hypervisor_options o = {.stderr_handle = -1};
    int control;

    memset(w, 0, sizeof(*w));
    strcpy(dir, "/tmp/xenkit-hostile-XXXXXX");
    OK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof(path), "%s/join", dir);
    o.listener = *listener = xk_host_listen_unix(path, XK_HOST_SEQPACKET);
    OK(o.listener >= 0);
    EQ(xk_hypervisor_start(NULL, &o, &w->hyp, &control), 0);
    EQ(xk_hosted_attach(control, NULL, &w->dom[0]), 0);
    w->dom[1] = world_guest(w, "one");
    w->dom[2] = world_guest(w, "two");
}

static void door_closed(struct world *w, int listener)
{
    world_close(w);
    close(listener);
    unlink(path);
    rmdir(dir);
}

TEST(strangers_touch_nothing)
{
    struct world w;
    xk_gref ref;
    void *mine, *theirs;
    int door;

    world_with_door(&w, &door);
    EQ(xk_page_share(w.dom[1], 0, 1, 0, &ref, &mine), 0);
    for (int i = 0; i < 10; i++) {
        int s = xk_host_connect_unix(path, XK_HOST_SEQPACKET);
        OK(s >= 0);
        if (i % 2)
            OK(send(s, "?", 1, MSG_NOSIGNAL) == 1);
        else
            shutdown(s, SHUT_WR);
        OK(ended(s));
        close(s);
    }
    EQ(xk_page_map(w.dom[0], 1, &ref, 1, 0, NULL, &theirs), 0); /* ^ still the page that 1 granted */
    *(volatile char *)mine = 42;
    EQ(*(volatile char *)theirs, 42);
    door_closed(&w, door);
}

TEST(a_crowd_at_the_door_lets_others_in)
{
    enum { CROWD = 150 };
    struct world w;
    xk_domid id;
    int s[CROWD], door, g;

    world_with_door(&w, &door);
    for (int i = 0; i < CROWD; i++) {
        s[i] = -1;
        for (int k = 0; k < 1000 && s[i] < 0; k++) /* the backlog may be full for a moment */
            if ((s[i] = xk_host_connect_unix(path, XK_HOST_SEQPACKET)) < 0)
                usleep(1000);
        OK(s[i] >= 0);
    }
    g = raw_guest(&w, &id);
    close(g);
    for (int i = 0; i < CROWD; i++)
        close(s[i]);
    door_closed(&w, door);
}

TEST(a_full_door_does_not_spin)
{
    static int hog[4096];
    struct rlimit few = {120, 120};
    struct rusage before, after;
    struct world w;
    int n = 0, door, s;

    EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    world_with_door(&w, &door);
    s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    while ((hog[n] = open("/dev/null", O_RDONLY)) >= 0)
        n++;
    struct sockaddr_un {
        sa_family_t family;
        char path[108];
    } a = {AF_UNIX, ""};
    snprintf(a.path, sizeof(a.path), "%s", path);
    EQ(connect(s, (struct sockaddr *)&a, sizeof(a)), 0);
    getrusage(RUSAGE_SELF, &before);
    usleep(300000);
    getrusage(RUSAGE_SELF, &after);
    while (n > 0)
        close(hog[--n]);
    OK((after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
           after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec <
       150000);
    close(s);
    door_closed(&w, door);
}
