/* Hostile peers: a guest that speaks the control protocol by hand, and one that lies in what it shares. Whatever it
 * does, the hypervisor lives, others' traffic moves, nothing blocks and nothing is left over.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <xenkit/host.h>
#include <xenkit/loop.h>
#include <xenkit/store.h>
#include <xenkit/store_service.h>
#include <xenkit/vchan.h>
#include <xenkit/world.h>

#include "platform/hosted/control.h"
#include "platform/linux/sys.h"
#include "tests/c/tap.h"
#include "tests/c/platform/world.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SLOW = 10 }; /* a sanitizer watches */
#else
enum { SLOW = 1 };
#endif

/* world.h is for both platforms; hostility is hosted. */
static void (*const unused)(struct world *) __attribute__((unused)) = world_open_fake;

static int count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    OK(d != NULL);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Fewer or as many as (want), once what others do at the moment is over. */
static void fds_settle(int want)
{
    int n = 0;

    for (int i = 0; i < 2000 && (n = count_fds()) > want; i++)
        usleep(1000);
    OK(n <= want);
}

static long resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long pages = 0;

    OK(f && fscanf(f, "%*d %ld", &pages) == 1);
    fclose(f);
    return pages * 4;
}

/* --- a guest by hand --- */

static void *raw_join_thread(void *arg)
{
    struct world_join *j = arg;

    j->out = (struct xk_platform *)(intptr_t)xk_hypervisor_join(j->hyp, j->name);
    return NULL;
}

/* Builds the next domain that waits. */
static xk_domid build_one(struct xk_platform *dom0)
{
    struct xk_domain_info info;

    for (int i = 0; i < 5000; i++, usleep(1000)) {
        xk_domid after = 0;
        while (xk_domain_next(dom0, after, &info) == 0) {
            after = info.domid;
            if (info.state == XK_DOMAIN_BUILDING && xk_hosted_built(dom0, info.domid, 0, -1, 0, -1) == 0)
                return info.domid;
        }
    }
    TAP_FAIL("no domain waits to be built");
}

static int raw_guest(struct world *w, xk_domid *domid)
{
    struct world_join j = {w->hyp, "hostile", NULL};
    pthread_t t;

    OK(pthread_create(&t, NULL, raw_join_thread, &j) == 0);
    *domid = build_one(w->dom[0]);
    pthread_join(t, NULL);
    OK((intptr_t)j.out >= 0);
    return (int)(intptr_t)j.out;
}

enum { ENDED = -9999 };

/* One request and its answer; a descriptor of the answer goes to (got), or is closed. */
static int ask(int sock, uint32_t op, int32_t a0, int32_t a1, int32_t a2, int *got)
{
    struct xk__ctl m;
    int fd = -1, n = 1, r;

    memset(&m, 0, sizeof(m));
    m.op = op;
    m.arg[0] = a0;
    m.arg[1] = a1;
    m.arg[2] = a2;
    r = xk__fd_send(sock, &m, sizeof(m), NULL, 0);
    if (r < 0)
        return ENDED;
    r = xk__fd_recv(sock, &m, sizeof(m), &fd, &n, 1);
    if (r != (int)sizeof(m))
        return ENDED;
    if (got)
        *got = n > 0 ? fd : -1;
    else if (n > 0)
        close(fd);
    return m.result;
}

/* The hypervisor has ended the guest: after the answers that are left comes the end. */
static int ended(int sock)
{
    char buf[512];
    ssize_t n;

    while ((n = recv(sock, buf, sizeof(buf), 0)) > 0)
        ;
    return n == 0 || errno == ECONNRESET;
}

/* --- honest traffic that must go on --- */

struct traffic {
    struct xk_platform *a, *b;
    struct xk_vchan *server, *client;
    pthread_t ta, tb;
    uint64_t moved;
    int stop;
};

static void *traffic_write(void *arg)
{
    struct traffic *t = arg;
    char block[4096];

    memset(block, 7, sizeof(block));
    while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
        int r = xk_vchan_write_all(t->client, block, sizeof(block), xk_now(t->b) + 100 * XK_MS);
        if (r < 0 && r != XK_EAGAIN && r != XK_ETIMEDOUT)
            break;
        usleep(200); /* leave the processor to the attack */
    }
    return NULL;
}

static void *traffic_read(void *arg)
{
    struct traffic *t = arg;
    char block[4096];

    while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
        int r = xk_vchan_read(t->server, block, sizeof(block));
        if (r > 0)
            __atomic_add_fetch(&t->moved, (uint64_t)r, __ATOMIC_RELAXED);
        else if (r == XK_EAGAIN)
            (void)!xk_vchan_wait(t->server, XK_READABLE, xk_now(t->a) + 50 * XK_MS);
        else
            break;
    }
    return NULL;
}

static void traffic_start(struct traffic *t, struct world *w)
{
    memset(t, 0, sizeof(*t));
    t->a = w->dom[1];
    t->b = w->dom[2];
    EQ(xk_vchan_listen(NULL, t->a, xk_platform_domid(t->b), 16384, 16384, &t->server), 0);
    EQ(xk_vchan_connect(NULL, t->b, xk_platform_domid(t->a), xk_vchan_ring_ref(t->server),
                        xk_vchan_event_channel(t->server), &t->client),
       0);
    OK(pthread_create(&t->ta, NULL, traffic_read, t) == 0);
    OK(pthread_create(&t->tb, NULL, traffic_write, t) == 0);
}

/* Something moves within two seconds from now, and domain 0 is answered. */
static void goes_on(struct traffic *t, struct world *w)
{
    uint64_t before = __atomic_load_n(&t->moved, __ATOMIC_RELAXED);
    struct xk_domain_info info;

    for (int i = 0; i < 2000 && __atomic_load_n(&t->moved, __ATOMIC_RELAXED) < before + 16384; i++)
        usleep(1000);
    OK(__atomic_load_n(&t->moved, __ATOMIC_RELAXED) > before);
    EQ(xk_domain_info(w->dom[0], 1, &info), 0);
    EQ(info.state, XK_DOMAIN_RUNNING);
}

static void traffic_stop(struct traffic *t)
{
    __atomic_store_n(&t->stop, 1, __ATOMIC_RELEASE);
    pthread_join(t->ta, NULL);
    pthread_join(t->tb, NULL);
    xk_vchan_close(t->client);
    xk_vchan_close(t->server);
}

/* --- the control socket --- */

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

static int send_fds(int sock, const void *buf, size_t n, int fd, int count)
{
    static union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * 250)];
    } c;
    struct iovec iov = {(void *)(uintptr_t)buf, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c};
    struct cmsghdr *h;

    m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
    h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
    for (int i = 0; i < count; i++)
        memcpy(CMSG_DATA(h) + sizeof(int) * (size_t)i, &fd, sizeof(fd));
    return (int)sendmsg(sock, &m, MSG_NOSIGNAL);
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

/* --- event channels --- */

/* An event channel between dom[1] and a raw guest, which has its socket. */
static int channel(struct world *w, int g, xk_domid id, xk_port *port)
{
    int fd = -1;

    *port = xk_evtchn_alloc(w->dom[1], id);
    OK(*port > 0);
    OK(ask(g, XK__CTL_EVT_BIND, 1, *port, 0, &fd) > 0);
    OK(fd >= 0);
    return fd;
}

/* The longest of (n) notifications. */
static xk_time slowest_notify(struct xk_platform *p, xk_port port, int n)
{
    xk_time worst = 0;

    for (int i = 0; i < n; i++) {
        xk_time t = xk_now(p);
        EQ(xk_evtchn_notify(p, port), 0);
        t = xk_now(p) - t;
        worst = t > worst ? t : worst;
    }
    return worst;
}

TEST(notify_never_blocks)
{
    struct world w;
    xk_port port;
    xk_domid id;
    xk_time worst;
    int g, e;

    world_open_hosted(&w);
    g = raw_guest(&w, &id);
    e = channel(&w, g, id, &port);
    worst = slowest_notify(w.dom[1], port, 200000 / SLOW); /* it never reads */
    fcntl(e, F_SETFL, fcntl(e, F_GETFL) & ~O_NONBLOCK);    /* its own end is its own */
    worst = XK_MS + worst + slowest_notify(w.dom[1], port, 1000);
    printf("# the slowest notification took %lld us\n", (long long)(worst - XK_MS) / 1000);
    OK(worst < 200 * XK_MS); /* a time slice or two of this machine, not a wait */
    shutdown(e, SHUT_RD);
    EQ(xk_evtchn_notify(w.dom[1], port), 0);
    close(e);
    EQ(xk_evtchn_notify(w.dom[1], port), 0);
    close(g);
    EQ(xk_evtchn_notify(w.dom[1], port), 0);
    world_close(&w);
}

static void quiet_after(struct xk_platform *p)
{
    struct xk_ready r;
    int n = 0;

    while (xk_wait(p, xk_now(p) + 20 * XK_MS, &r, 1) == 1 && n++ < 10000)
        xk_evtchn_unmask(p, r.port);
    OK(n < 10000);
}

TEST(whatever_a_peer_writes_is_an_event)
{
    static char bytes[65536];
    struct rusage before, after;
    struct world w;
    struct xk_ready r;
    xk_port port, good;
    xk_domid id;
    int g, e, fds;

    world_open_hosted(&w);
    fds = count_fds();
    g = raw_guest(&w, &id);
    e = channel(&w, g, id, &port);
    good = xk_evtchn_alloc(w.dom[1], 2);
    OK(xk_evtchn_bind(w.dom[2], 1, good) > 0);
    while (send(e, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    for (int i = 0; i < 3; i++)
        send(e, "!", 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL);
    quiet_after(w.dom[1]);
    for (int i = 0; i < 3; i++)
        send(e, "!", 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)send_fds(e, "x", 1, e, 4);
    quiet_after(w.dom[1]);
    shutdown(e, SHUT_WR); /* looks closed, though the hypervisor knows nothing of it */
    quiet_after(w.dom[1]);
    getrusage(RUSAGE_THREAD, &before);
    EQ(xk_wait(w.dom[1], xk_now(w.dom[1]) + 200 * XK_MS, &r, 1), 0);
    getrusage(RUSAGE_THREAD, &after);
    EQ(after.ru_utime.tv_sec - before.ru_utime.tv_sec, 0);
    OK(after.ru_stime.tv_usec + after.ru_utime.tv_usec + 1000000 - before.ru_stime.tv_usec - before.ru_utime.tv_usec <
       1000000 + 100000 * SLOW);
    EQ(xk_evtchn_unbind(w.dom[1], port), 0);
    EQ(xk_evtchn_unbind(w.dom[1], good), 0);
    close(e);
    close(g);
    fds_settle(fds + 3);
    world_close(&w);
}

TEST(a_port_is_bound_again_at_once)
{
    struct world w;
    xk_port a, b;
    struct xk_ready r;

    world_open_hosted(&w);
    a = xk_evtchn_alloc(w.dom[1], 2);
    for (int i = 0; i < 20; i++) {
        b = xk_evtchn_bind(w.dom[2], 1, a);
        OK(b > 0);
        if (i % 3 == 0) { /* the other side may or may not have looked meanwhile */
            EQ(xk_wait(w.dom[1], xk_now(w.dom[1]) + XK_SECOND, &r, 1), 1);
            EQ(xk_evtchn_unmask(w.dom[1], a), 0);
        }
        if (i < 19)
            EQ(xk_evtchn_unbind(w.dom[2], b), 0);
    }
    quiet_after(w.dom[1]);
    quiet_after(w.dom[2]);
    EQ(xk_evtchn_peer(w.dom[1], a), 1);
    EQ(xk_evtchn_notify(w.dom[1], a), 0);
    EQ(xk_wait(w.dom[2], xk_now(w.dom[2]) + XK_SECOND, &r, 1), 1);
    EQ(r.port, b);
    EQ(xk_evtchn_notify(w.dom[2], b), 0);
    EQ(xk_wait(w.dom[1], xk_now(w.dom[1]) + XK_SECOND, &r, 1), 1);
    EQ(r.port, a);
    world_close(&w);
}

/* --- grant tables --- */

TEST(garbage_in_grant_tables_harms_its_author_alone)
{
    struct world w;
    struct traffic t;
    xk_domid id;
    uint8_t *theirs, *ours;
    int g, fd, ro;

    world_open_hosted(&w);
    traffic_start(&t, &w);
    g = raw_guest(&w, &id);
    EQ(ask(g, XK__CTL_ARENA, 0, 0, 0, &fd), 0); /* what domain 0 grants to it */
    EQ(ask(g, XK__CTL_ARENA, 0, 0, 1, &ro), 0);
    EQ(ftruncate(fd, 0), -1);
    EQ(ftruncate(fd, (off_t)1 << 30), -1);
    EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    theirs = mmap(NULL, XK__ARENA_RW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    OK(theirs != MAP_FAILED);
    OK(mmap(NULL, XK__ARENA_RO_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED);
    EQ(pwrite(ro, "x", 1, 0), -1);
    EQ(ask(g, XK__CTL_ARENA, 0, 1, 0, &fd), 0); /* what it grants to domain 0 */
    ours = mmap(NULL, XK__ARENA_RW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    OK(ours != MAP_FAILED);
    for (int round = 0; round < 30; round++) {
        xk_gref refs[8];
        void *p = NULL, *q = NULL;
        for (size_t i = 0; i < 8 * XK__ARENA_PAGES; i++) {
            theirs[i] = (uint8_t)rand();
            ours[i] = (uint8_t)rand();
        }
        int r = xk_page_share(w.dom[0], id, 8, (unsigned)round & 1, refs, &p);
        OK(r == 0 || r == XK_ENOSPC);
        for (size_t i = 0; i < 8 * XK__ARENA_PAGES; i++)
            theirs[i] = (uint8_t)rand();
        if (r == 0) {
            r = xk_page_unshare(w.dom[0], p, 8);
            OK(r == 0 || r == XK_EBUSY);
            if (r < 0)
                EQ(xk_page_forget(w.dom[0], p, 8), 0);
        }
        for (int i = 0; i < 8; i++)
            refs[i] = (xk_gref)rand() % 9000;
        r = xk_page_map(w.dom[0], id, refs, 8, XK_PAGE_READONLY, NULL, &q);
        if (r == 0)
            EQ(xk_page_unmap(w.dom[0], q, 8), 0);
    }
    fallocate(fd, 3 /* punch a hole, keep the size */, 0, XK__ARENA_RW_BYTES);
    goes_on(&t, &w);
    close(g);
    traffic_stop(&t);
    world_close(&w);
}

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

/* --- the store --- */

enum { ERROR_WORD = 2072 };

struct store_world {
    struct xk_hypervisor *hyp;
    struct xk_platform *dom0;
    struct xk_loop *loop;
    struct xk_store_service *store;
    pthread_t thread;
    int stop;
};

struct store_build {
    struct xk_port_watch watch;
    struct store_world *w;
};

/* Domain 0 of a world whose guests are not trusted. */
static void store_toolstack(struct xk_port_watch *watch)
{
    struct store_world *w = ((struct store_build *)(void *)watch)->w;
    struct xk_domain_info info;
    xk_domid after = 0;

    while (xk_domain_next(w->dom0, after, &info) == 0) {
        after = info.domid;
        if (info.state == XK_DOMAIN_BUILDING) {
            xk_port port = xk_hosted_evtchn_for(w->dom0, info.domid, 0);
            EQ(xk_hosted_built(w->dom0, info.domid, 0, port, 0, -1), 0);
            (void)!xk_store_service_introduce(w->store, info.domid, port);
        }
    }
}

static void *store_run(void *arg)
{
    struct store_world *w = arg;

    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE))
        xk_loop_run_once(w->loop, xk_now(w->dom0) + 20 * XK_MS);
    return NULL;
}

static void store_world_open(struct store_world *w, struct store_build *b)
{
    int control;

    memset(w, 0, sizeof(*w));
    memset(b, 0, sizeof(*b));
    EQ(xk_hypervisor_start(NULL, NULL, &w->hyp, &control), 0);
    EQ(xk_hosted_attach(control, NULL, &w->dom0), 0);
    EQ(xk_loop_create(NULL, w->dom0, &w->loop), 0);
    EQ(xk_store_service_create(NULL, w->loop, NULL, &w->store), 0);
    b->w = w;
    b->watch.fn = store_toolstack;
    EQ(xk_port_watch_start(w->loop, &b->watch, xk_evtchn_bind_virq(w->dom0, XK_VIRQ_TOOLSTACK)), 0);
    OK(pthread_create(&w->thread, NULL, store_run, w) == 0);
}

static void store_world_close(struct store_world *w, struct store_build *b)
{
    __atomic_store_n(&w->stop, 1, __ATOMIC_RELEASE);
    pthread_join(w->thread, NULL);
    xk_port_watch_stop(w->loop, &b->watch);
    xk_store_service_destroy(w->store);
    xk_loop_destroy(w->loop);
    xk_platform_close(w->dom0);
    xk_hypervisor_stop(w->hyp);
}

static struct xk_platform *store_guest(struct store_world *w)
{
    struct xk_platform *p;
    int fd = xk_hypervisor_join(w->hyp, "guest");

    OK(fd >= 0);
    EQ(xk_hosted_attach(fd, NULL, &p), 0);
    return p;
}

TEST(a_liar_on_a_store_ring_is_alone)
{
    struct store_world w;
    struct store_build b;
    struct xk_platform *honest, *liar;
    struct xk_loop *loop;
    struct xk_store *s;
    struct xk_buf v;
    int caught = 0;

    store_world_open(&w, &b);
    honest = store_guest(&w);
    EQ(xk_loop_create(NULL, honest, &loop), 0);
    EQ(xk_store_open_domain(NULL, loop, &s), 0);
    xk_buf_init(&v, NULL, 1000);
    for (int i = 0; i < 30; i++) {
        struct xk_ring_page ring;
        volatile uint32_t *words;
        int set = 0;
        liar = store_guest(&w);
        EQ(xk_store_page(liar, &ring), 0);
        words = ring.page;
        for (int k = 0; k < 60 && !set; k++) {
            int far = i % 3;
            for (int n = 0; n < 256; n++) /* the request ring */
                words[n] = far == 2 && n % 4 == 3 ? (uint32_t)rand() % 64 : (uint32_t)rand() * 3u;
            if (far == 2) { /* well-formed headers with random types, so that the engine sees something */
                words[0] = (uint32_t)rand() % 22;
                words[3] = (uint32_t)rand() % 32;
            }
            words[513] = far == 0 ? (uint32_t)rand() * 3u : words[512] + (uint32_t)rand() % 1025; /* request producer */
            if (far == 1)
                words[514] = (uint32_t)rand() * 3u; /* response consumer */
            xk_evtchn_notify(liar, ring.port);
            EQ(xk_store_rm(s, 0, "/local", xk_now(honest) + 5 * XK_SECOND) == XK_EGONE, 0);
            OK(xk_store_read(s, 0, "/", &v, xk_now(honest) + 5 * XK_SECOND) != XK_ETIMEDOUT);
            set = words[ERROR_WORD / 4] != 0;
        }
        caught += set;
        if (set) /* it is not served any more, whatever else it writes */
            for (int k = 0; k < 20; k++) {
                for (int n = 0; n < 1024; n++)
                    words[n] = (uint32_t)rand() * 3u;
                xk_evtchn_notify(liar, ring.port);
            }
        xk_platform_close(liar);
    }
    OK(caught >= 20);
    OK(xk_store_read(s, 0, "/", &v, xk_now(honest) + 5 * XK_SECOND) != XK_ETIMEDOUT);
    xk_buf_fini(&v);
    xk_store_close(s);
    xk_loop_destroy(loop);
    xk_platform_close(honest);
    store_world_close(&w, &b);
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
