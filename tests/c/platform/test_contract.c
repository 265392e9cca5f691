/* The conformance suite of the platform contract (include/xenkit/platform.h): one body, every platform.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "tests/c/tap.h"
#include "tests/c/platform/world.h"

#define CONTRACT(name)                      \
    static void name##_on(struct world *w); \
    TEST(name##_fake)                       \
    {                                       \
        struct world w;                     \
        world_open_fake(&w);                \
        name##_on(&w);                      \
        world_close(&w);                    \
    }                                       \
    TEST(name##_hosted)                     \
    {                                       \
        struct world w;                     \
        world_open_hosted(&w);              \
        name##_on(&w);                      \
        world_close(&w);                    \
    }                                       \
    static void name##_on(struct world *w)

static xk_time soon(struct xk_platform *p) { return xk_now(p) + 2 * XK_SECOND; }

/* Waits for (port); other readiness is an error here. */
static int comes(struct xk_platform *p, xk_port port)
{
    struct xk_ready r;
    int n = xk_wait(p, soon(p), &r, 1);

    return n == 1 && r.port == port;
}

static int quiet(struct xk_platform *p)
{
    struct xk_ready r;

    return xk_wait(p, xk_now(p) + 20 * XK_MS, &r, 1) == 0;
}

/* A bound pair with nothing pending: (a) allocates, (b) binds. */
static void bound(struct xk_platform *a, struct xk_platform *b, xk_port *pa, xk_port *pb)
{
    *pa = xk_evtchn_alloc(a, xk_platform_domid(b));
    OK(*pa >= 0);
    *pb = xk_evtchn_bind(b, xk_platform_domid(a), *pa);
    OK(*pb >= 0);
    OK(comes(b, *pb)); /* ^ binding raises an event at the binder */
    EQ(xk_evtchn_unmask(b, *pb), 0);
    while (xk_evtchn_pending(a) >= 0) /* the allocator may be told as well */
        ;
    EQ(xk_evtchn_unmask(a, *pa), 0);
}

static void unbind(struct xk_platform *a, xk_port pa, struct xk_platform *b, xk_port pb)
{
    EQ(xk_evtchn_unbind(b, pb), 0);
    EQ(xk_evtchn_unbind(a, pa), 0);
}

CONTRACT(identity)
{
    for (int i = 0; i < 3; i++)
        EQ(xk_platform_domid(w->dom[i]), i);
}

CONTRACT(pages_are_shared_both_ways)
{
    xk_gref refs[3];
    uint8_t *mine, *theirs;

    EQ(xk_page_share(w->dom[1], 2, 3, 0, refs, (void **)&mine), 0);
    for (int i = 0; i < 3 * XK_PAGE_SIZE; i++)
        EQ(mine[i], 0);
    for (int i = 0; i < 3; i++)
        OK(refs[i] >= XK_GREF_RESERVED);
    mine[5000] = 42;
    EQ(xk_page_map(w->dom[2], 1, refs, 3, 0, NULL, (void **)&theirs), 0);
    EQ(theirs[5000], 42);
    theirs[9000] = 43;
    EQ(mine[9000], 43);
    EQ(xk_page_unmap(w->dom[2], theirs, 3), 0);
    EQ(xk_page_unmap(w->dom[2], theirs, 3), XK_EINVAL);
    EQ(xk_page_unshare(w->dom[1], mine, 3), 0);
    EQ(xk_page_unshare(w->dom[1], mine, 3), XK_EINVAL);
}

CONTRACT(recycled_pages_are_zeroed)
{
    xk_gref ref;
    uint8_t *p;

    for (int i = 0; i < 5000; i++) {
        EQ(xk_page_share(w->dom[1], 2, 1, 0, &ref, (void **)&p), 0);
        EQ(p[0], 0);
        EQ(p[4095], 0);
        p[0] = p[4095] = 0xaa;
        EQ(xk_page_unshare(w->dom[1], p, 1), 0);
    }
}

CONTRACT(refs_in_any_order)
{
    xk_gref refs[4], mixed[4];
    uint8_t *mine, *theirs;

    EQ(xk_page_share(w->dom[1], 2, 4, 0, refs, (void **)&mine), 0);
    for (int i = 0; i < 4; i++) {
        mine[i * XK_PAGE_SIZE] = (uint8_t)(i + 1);
        mixed[i] = refs[3 - i];
    }
    EQ(xk_page_map(w->dom[2], 1, mixed, 4, 0, NULL, (void **)&theirs), 0);
    for (int i = 0; i < 4; i++)
        EQ(theirs[i * XK_PAGE_SIZE], 4 - i);
    EQ(xk_page_unmap(w->dom[2], theirs, 4), 0);
    EQ(xk_page_unshare(w->dom[1], mine, 4), 0);
}

CONTRACT(end_of_a_mapped_grant_fails)
{
    xk_gref ref;
    void *mine, *theirs, *again;

    EQ(xk_page_share(w->dom[1], 2, 1, 0, &ref, &mine), 0);
    EQ(xk_page_map(w->dom[2], 1, &ref, 1, 0, NULL, &theirs), 0);
    EQ(xk_page_map(w->dom[2], 1, &ref, 1, 0, NULL, &again), 0);
    EQ(xk_page_unshare(w->dom[1], mine, 1), XK_EBUSY);
    EQ(xk_page_unmap(w->dom[2], theirs, 1), 0);
    EQ(xk_page_unshare(w->dom[1], mine, 1), XK_EBUSY);
    EQ(xk_page_unmap(w->dom[2], again, 1), 0);
    EQ(xk_page_unshare(w->dom[1], mine, 1), 0);
}

CONTRACT(a_forgotten_grant_is_quarantined)
{
    xk_gref ref, next;
    uint8_t *mine, *theirs, *other;

    EQ(xk_page_share(w->dom[1], 2, 1, 0, &ref, (void **)&mine), 0);
    EQ(xk_page_map(w->dom[2], 1, &ref, 1, 0, NULL, (void **)&theirs), 0);
    mine[0] = 5;
    EQ(xk_page_forget(w->dom[1], mine, 1), 0);
    EQ(theirs[0], 5);
    for (int i = 0; i < 4200; i++) { /* never handed out while it is mapped */
        EQ(xk_page_share(w->dom[1], 2, 1, 0, &next, (void **)&other), 0);
        OK(next != ref);
        EQ(xk_page_unshare(w->dom[1], other, 1), 0);
    }
    EQ(xk_page_unmap(w->dom[2], theirs, 1), 0);
    EQ(xk_page_share(w->dom[1], 2, 1, 0, &next, (void **)&other), 0);
    EQ(xk_page_unshare(w->dom[1], other, 1), 0);
}

CONTRACT(map_fails_ref_by_ref)
{
    xk_gref refs[3];
    void *mine, *theirs;
    int status[3];

    EQ(xk_page_share(w->dom[1], 2, 2, 0, refs, &mine), 0);
    refs[2] = refs[1] + 100;
    EQ(xk_page_map(w->dom[2], 1, refs, 3, 0, status, &theirs), XK_EINVAL);
    EQ(status[0], 0);
    EQ(status[1], 0);
    EQ(status[2], XK_EINVAL);
    EQ(xk_page_map(w->dom[0], 1, refs, 1, 0, NULL, &theirs), XK_EINVAL); /* granted to another */
    EQ(xk_page_map(w->dom[2], 77, refs, 1, 0, NULL, &theirs), XK_EGONE);
    refs[2] = 0xffffffff;
    EQ(xk_page_map(w->dom[2], 1, refs + 2, 1, 0, NULL, &theirs), XK_EINVAL);
    EQ(xk_page_unshare(w->dom[1], mine, 2), 0); /* nothing stayed mapped */
    EQ(xk_page_map(w->dom[2], 1, refs, 1, 0, NULL, &theirs), XK_EINVAL);
}

CONTRACT(readonly_grants)
{
    xk_gref ref;
    uint8_t *mine, *theirs;

    EQ(xk_page_share(w->dom[1], 2, 1, XK_PAGE_READONLY, &ref, (void **)&mine), 0);
    EQ(xk_page_map(w->dom[2], 1, &ref, 1, 0, NULL, (void **)&theirs), XK_EACCES);
    EQ(xk_page_map(w->dom[2], 1, &ref, 1, XK_PAGE_READONLY, NULL, (void **)&theirs), 0);
    mine[7] = 9;
    EQ(theirs[7], 9);
    fflush(NULL);
    if (fork() == 0) {
        signal(SIGSEGV, SIG_DFL);
        theirs[7] = 1; /* must fault */
        _exit(0);
    }
    int st;
    wait(&st);
    OK(WIFSIGNALED(st) || WEXITSTATUS(st) != 0);
    EQ(mine[7], 9);
    EQ(xk_page_unmap(w->dom[2], theirs, 1), 0);
    EQ(xk_page_unshare(w->dom[1], mine, 1), 0);
}

CONTRACT(wrong_arguments)
{
    xk_gref ref;
    void *p;

    EQ(xk_page_share(w->dom[1], 2, 0, 0, &ref, &p), XK_EINVAL);
    EQ(xk_page_share(w->dom[1], 2, 5000, 0, &ref, &p), XK_EINVAL);
    EQ(xk_page_share(w->dom[1], 2, 1, 8, &ref, &p), XK_EINVAL);
    EQ(xk_page_share(w->dom[1], 99, 1, 0, &ref, &p), XK_EGONE);
    EQ(xk_evtchn_alloc(w->dom[1], 99), XK_EGONE);
    EQ(xk_evtchn_bind(w->dom[1], 2, -1), XK_EINVAL);
    EQ(xk_evtchn_bind(w->dom[1], 2, 3000), XK_EINVAL);
    EQ(xk_evtchn_notify(w->dom[1], 999), XK_EINVAL);
    EQ(xk_evtchn_unbind(w->dom[1], -5), XK_EINVAL);
    EQ(xk_evtchn_unmask(w->dom[1], 999), XK_EINVAL);
    EQ(xk_evtchn_bind_virq(w->dom[1], 1000), XK_EINVAL);
}

CONTRACT(memory_of_a_peer_is_bounded)
{
    xk_gref refs[1024];
    void *p[64];
    int n = 0, r = 0;

    if (w->fake)
        SKIP("the fake platform has no bound on pages");
    while (n < 64 && (r = xk_page_share(w->dom[1], 2, 1000, 0, refs, &p[n])) == 0)
        n++;
    EQ(r, XK_ENOSPC);
    EQ(n, 4);
    while (n-- > 0)
        EQ(xk_page_unshare(w->dom[1], p[n], 1000), 0);
}

CONTRACT(events_coalesce_and_stick)
{
    xk_port a, b;

    bound(w->dom[1], w->dom[2], &a, &b);
    for (int i = 0; i < 1000; i++) /* ^ never blocks, though nobody looks */
        EQ(xk_evtchn_notify(w->dom[1], a), 0);
    OK(comes(w->dom[2], b));
    EQ(xk_evtchn_unmask(w->dom[2], b), 0);
    while (!quiet(w->dom[2])) /* a thousand in a buffer may take a few rounds, not a thousand */
        EQ(xk_evtchn_unmask(w->dom[2], b), 0);
    EQ(xk_evtchn_pending(w->dom[2]), XK_EAGAIN);
    unbind(w->dom[1], a, w->dom[2], b);
}

CONTRACT(a_pending_port_is_masked_until_unmasked)
{
    xk_port a, b;

    bound(w->dom[1], w->dom[2], &a, &b);
    EQ(xk_evtchn_notify(w->dom[1], a), 0);
    EQ(xk_evtchn_pending(w->dom[2]), b);
    EQ(xk_evtchn_notify(w->dom[1], a), 0);
    EQ(xk_evtchn_pending(w->dom[2]), XK_EAGAIN);
    OK(quiet(w->dom[2]));
    EQ(xk_evtchn_unmask(w->dom[2], b), 0);
    EQ(xk_evtchn_pending(w->dom[2]), b);
    unbind(w->dom[1], a, w->dom[2], b);
}

CONTRACT(events_go_both_ways)
{
    xk_port a, b;

    bound(w->dom[1], w->dom[2], &a, &b);
    for (int i = 0; i < 100; i++) {
        EQ(xk_evtchn_notify(w->dom[1], a), 0);
        OK(comes(w->dom[2], b));
        EQ(xk_evtchn_unmask(w->dom[2], b), 0);
        EQ(xk_evtchn_notify(w->dom[2], b), 0);
        OK(comes(w->dom[1], a));
        EQ(xk_evtchn_unmask(w->dom[1], a), 0);
    }
    unbind(w->dom[1], a, w->dom[2], b);
}

CONTRACT(notify_before_bind_is_not_needed)
{
    xk_port a = xk_evtchn_alloc(w->dom[1], 2), b;

    OK(a >= 0);
    EQ(xk_evtchn_peer(w->dom[1], a), 0);
    EQ(xk_evtchn_notify(w->dom[1], a), 0); /* unbound: dropped, no error */
    b = xk_evtchn_bind(w->dom[2], 1, a);
    OK(comes(w->dom[2], b));
    EQ(xk_evtchn_peer(w->dom[2], b), 1);
    EQ(xk_evtchn_peer(w->dom[1], a), 1);
    EQ(xk_evtchn_bind(w->dom[2], 1, a), XK_EINVAL); /* taken */
    unbind(w->dom[1], a, w->dom[2], b);
}

CONTRACT(only_the_named_peer_may_bind)
{
    xk_port a = xk_evtchn_alloc(w->dom[1], 2);

    EQ(xk_evtchn_bind(w->dom[0], 1, a), XK_EINVAL);
    EQ(xk_evtchn_bind(w->dom[2], 0, a), XK_EINVAL);
    EQ(xk_evtchn_unbind(w->dom[1], a), 0);
    EQ(xk_evtchn_bind(w->dom[2], 1, a), XK_EINVAL);
}

CONTRACT(closing_one_side_leaves_the_other_unbound)
{
    xk_port a, b;

    bound(w->dom[1], w->dom[2], &a, &b);
    EQ(xk_evtchn_unbind(w->dom[2], b), 0);
    EQ(xk_evtchn_peer(w->dom[1], a), 0);
    EQ(xk_evtchn_notify(w->dom[1], a), 0);
    while (xk_evtchn_pending(w->dom[1]) >= 0)
        ;
    EQ(xk_evtchn_unmask(w->dom[1], a), 0);
    b = xk_evtchn_bind(w->dom[2], 1, a); /* bound again, and it works */
    OK(b >= 0);
    OK(comes(w->dom[2], b));
    EQ(xk_evtchn_unmask(w->dom[2], b), 0);
    EQ(xk_evtchn_notify(w->dom[1], a), 0);
    OK(comes(w->dom[2], b));
    unbind(w->dom[1], a, w->dom[2], b);
}

CONTRACT(loopback)
{
    xk_port a, b;
    xk_gref ref;
    uint8_t *mine, *theirs;

    a = xk_evtchn_alloc(w->dom[1], XK_DOMID_SELF);
    OK(a >= 0);
    b = xk_evtchn_bind(w->dom[1], XK_DOMID_SELF, a);
    OK(b >= 0 && b != a);
    for (int p; (p = xk_evtchn_pending(w->dom[1])) >= 0;)
        EQ(xk_evtchn_unmask(w->dom[1], p), 0);
    EQ(xk_evtchn_notify(w->dom[1], a), 0);
    OK(comes(w->dom[1], b));
    EQ(xk_page_share(w->dom[1], 1, 1, 0, &ref, (void **)&mine), 0);
    EQ(xk_page_map(w->dom[1], 1, &ref, 1, 0, NULL, (void **)&theirs), 0);
    mine[1] = 5;
    EQ(theirs[1], 5);
    EQ(xk_page_unmap(w->dom[1], theirs, 1), 0);
    EQ(xk_page_unshare(w->dom[1], mine, 1), 0);
    unbind(w->dom[1], a, w->dom[1], b);
}

CONTRACT(global_virqs_have_one_handler)
{
    xk_port p;

    EQ(xk_evtchn_bind_virq(w->dom[1], XK_VIRQ_DOM_EXC), XK_EEXIST);
    EQ(xk_domain_set_virq_handler(w->dom[1], 1, XK_VIRQ_DOM_EXC), XK_EPERM);
    EQ(xk_domain_set_virq_handler(w->dom[0], 1, XK_VIRQ_DOM_EXC), 0);
    p = xk_evtchn_bind_virq(w->dom[1], XK_VIRQ_DOM_EXC);
    OK(p >= 0);
    EQ(xk_evtchn_bind_virq(w->dom[1], XK_VIRQ_DOM_EXC), XK_EEXIST);
    EQ(xk_evtchn_bind_virq(w->dom[0], XK_VIRQ_DOM_EXC), XK_EEXIST);
    xk_platform_close(w->dom[2]);
    w->dom[2] = NULL;
    OK(comes(w->dom[1], p));
    EQ(xk_evtchn_unbind(w->dom[1], p), 0);
}

CONTRACT(death_releases_and_peers_see_it)
{
    struct xk_domain_info info;
    xk_port a, b;
    xk_gref ref, back;
    uint8_t *mine, *theirs, *kept, *map;

    bound(w->dom[1], w->dom[2], &a, &b);
    EQ(xk_page_share(w->dom[1], 2, 1, 0, &ref, (void **)&mine), 0);
    EQ(xk_page_map(w->dom[2], 1, &ref, 1, 0, NULL, (void **)&theirs), 0);
    EQ(xk_page_share(w->dom[2], 1, 1, 0, &back, (void **)&kept), 0);
    EQ(xk_page_map(w->dom[1], 2, &back, 1, 0, NULL, (void **)&map), 0);
    kept[3] = 77;
    xk_platform_close(w->dom[2]);
    w->dom[2] = NULL;
    for (int i = 0; i < 1000 && xk_domain_info(w->dom[0], 2, &info) == 0; i++)
        usleep(1000);
    EQ(xk_domain_info(w->dom[0], 2, &info), XK_ENOENT);
    EQ(xk_evtchn_peer(w->dom[1], a), 0);
    EQ(xk_evtchn_notify(w->dom[1], a), 0);
    EQ(xk_page_unshare(w->dom[1], mine, 1), 0); /* ^ a dead peer has nothing mapped */
    EQ(map[3], 77);                             /* ^ what it shared stays readable until unmapped */
    EQ(xk_page_unmap(w->dom[1], map, 1), 0);
    EQ(xk_evtchn_unbind(w->dom[1], a), 0);
    EQ(xk_page_share(w->dom[1], 2, 1, 0, &ref, (void **)&mine), XK_EGONE);
}

CONTRACT(control_is_for_domain_0)
{
    struct xk_domain_info info;

    EQ(xk_domain_destroy(w->dom[1], 2), XK_EPERM);
    EQ(xk_domain_pause(w->dom[1], 2), XK_EPERM);
    EQ(xk_domain_shutdown(w->dom[1], 2, XK_CRASH), XK_EPERM);
    EQ(xk_domain_info(w->dom[1], 2, &info), XK_EPERM);
    EQ(xk_domain_next(w->dom[1], 0, &info), XK_EPERM);
    EQ(xk_domain_info(w->dom[1], XK_DOMID_SELF, &info), 0);
    STREQ(info.name, "one");
    EQ(xk_domain_next(w->dom[0], 0, &info), 0);
    EQ(info.domid, 1);
    EQ(xk_domain_next(w->dom[0], 2, &info), XK_ENOENT);
    EQ(xk_domain_destroy(w->dom[0], 0), XK_EINVAL);
    EQ(xk_domain_destroy(w->dom[0], 55), XK_ENOENT);
    EQ(xk_domain_shutdown(w->dom[1], XK_DOMID_SELF, XK_REBOOT), 0);
    EQ(xk_domain_info(w->dom[0], 1, &info), 0);
    EQ(info.state, XK_DOMAIN_SHUTDOWN);
    EQ(info.reason, XK_REBOOT);
}

CONTRACT(many_ports)
{
    enum { N = 300 };
    static xk_port a[N], b[N];

    for (int i = 0; i < N; i++)
        bound(w->dom[1], w->dom[2], &a[i], &b[i]);
    for (int i = 0; i < N; i++)
        EQ(xk_evtchn_notify(w->dom[1], a[i]), 0);
    for (int seen = 0; seen < N; seen++) {
        struct xk_ready r;
        EQ(xk_wait(w->dom[2], soon(w->dom[2]), &r, 1), 1);
        OK(r.port >= 0);
    }
    OK(quiet(w->dom[2]));
    for (int i = 0; i < N; i++)
        unbind(w->dom[1], a[i], w->dom[2], b[i]);
}

CONTRACT(waiting_ends_at_the_deadline)
{
    struct xk_ready r;
    xk_time start = xk_now(w->dom[1]), end = start + 30 * XK_MS;

    EQ(xk_wait(w->dom[1], XK_NOW, &r, 1), 0);
    EQ(xk_wait(w->dom[1], end, &r, 1), 0);
    OK(xk_now(w->dom[1]) >= end);
    OK(xk_now(w->dom[1]) < end + XK_SECOND);
    EQ(xk_wait(w->dom[1], end, &r, 0), XK_EINVAL);
}

CONTRACT(clock_and_entropy)
{
    uint8_t a[32], b[32];

    EQ(xk_entropy(w->dom[1], a, sizeof(a)), 0);
    EQ(xk_entropy(w->dom[1], b, sizeof(b)), 0);
    OK(memcmp(a, b, sizeof(a)) != 0);
    EQ(xk_entropy(w->dom[1], a, 257), XK_EINVAL);
    OK(xk_wallclock(w->dom[1]) > 1700000000 * XK_SECOND);
    OK(xk_now(w->dom[1]) > 0);
}

CONTRACT(no_store_unless_wired)
{
    struct xk_ring_page page;

    EQ(xk_store_page(w->dom[1], &page), XK_ENODEV);
    EQ(xk_console_page(w->dom[1], &page), XK_ENODEV);
}
