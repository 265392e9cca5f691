/* Guests that lie in what they share: event channels, grant tables, a ring of the store. It harms its author alone.
 * SPDX-License-Identifier: MIT */
#include "tests/c/host/hostile.h"

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
