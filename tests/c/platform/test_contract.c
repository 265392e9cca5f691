/* The conformance suite of the platform contract (include/xenkit/platform.h): one body, every platform. Here on fake
 * and hosted; with XK_CONTRACT in the environment on real domains (tests/lab/test_contract.sh).
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "tests/c/tap.h"
#include "tests/c/platform/contract.h"

/* Registers (id) when the suite runs on real domains, or when it does not. */
#define ON(id, stage_open, real)                                \
    static void id(void)                                        \
    {                                                           \
        struct stage s;                                         \
        stage_open(&s);                                         \
        id##_body(&s);                                          \
        stage_close(&s);                                        \
    }                                                           \
    __attribute__((constructor)) static void tap_add_##id(void) \
    {                                                           \
        static struct tap_test test = {#id, id, NULL};          \
        if ((getenv("XK_CONTRACT") != NULL) != (real))          \
            return;                                             \
        *tap_last = &test;                                      \
        tap_last = &test.next;                                  \
    }

#define CONTRACT(name)                                           \
    static void name(struct stage *s);                           \
    static void name##_fake_body(struct stage *s) { name(s); }   \
    static void name##_hosted_body(struct stage *s) { name(s); } \
    static void name##_xen_body(struct stage *s) { name(s); }    \
    ON(name##_fake, stage_fake, 0)                               \
    ON(name##_hosted, stage_hosted, 0)                           \
    ON(name##_xen, stage_xen, 1)                                 \
    static void name(struct stage *s)

static const int64_t SOON = 2 * XK_SECOND;

/* Waits for (port); other readiness is an error here. */
static int comes(struct stage *s, int who, xk_port port) { return ready(s, who, SOON) == port; }

static int quiet(struct stage *s, int who) { return ready(s, who, 20 * XK_MS) == XK_EAGAIN; }

/* A bound pair with nothing pending: (x) allocates, (y) binds. */
static void bound(struct stage *s, int x, int y, xk_port *px, xk_port *py)
{
    *px = alloc(s, x, y);
    OK(*px >= 0);
    *py = bind_port(s, y, x, *px);
    OK(*py >= 0);
    OK(comes(s, y, *py)); /* ^ binding raises an event at the binder */
    EQ(unmask(s, y, *py), 0);
    while (pending(s, x) >= 0) /* the allocator may be told as well */
        ;
    EQ(unmask(s, x, *px), 0);
}

static void unbind_both(struct stage *s, int x, xk_port px, int y, xk_port py)
{
    EQ(unbind(s, y, py), 0);
    EQ(unbind(s, x, px), 0);
}

CONTRACT(identity)
{
    for (int i = 0; i < 3; i++)
        EQ(ask3(s, i, ACTOR_DOMID, 0, 0, 0), s->at[i].id);
}

CONTRACT(pages_are_shared_both_ways)
{
    xk_gref refs[3];
    int64_t mine, theirs;

    EQ(share(s, 1, 2, 3, 0, refs, &mine), 0);
    EQ(others(s, 1, mine, 3 * XK_PAGE_SIZE, 0), 0);
    for (int i = 0; i < 3; i++)
        OK(refs[i] >= XK_GREF_RESERVED);
    poke(s, 1, mine + 5000, 42);
    EQ(map(s, 2, 1, refs, 3, 0, NULL, &theirs), 0);
    EQ(peek(s, 2, theirs + 5000), 42);
    poke(s, 2, theirs + 9000, 43);
    EQ(peek(s, 1, mine + 9000), 43);
    EQ(unmap(s, 2, theirs, 3), 0);
    EQ(unmap(s, 2, theirs, 3), XK_EINVAL);
    EQ(end_share(s, 1, mine, 3), 0);
    EQ(end_share(s, 1, mine, 3), XK_EINVAL);
}

CONTRACT(recycled_pages_are_zeroed)
{
    xk_gref ref;
    int64_t p;

    for (int i = 0; i < (s->on_xen ? 50 : 5000); i++) {
        EQ(share(s, 1, 2, 1, 0, &ref, &p), 0);
        EQ(others(s, 1, p, XK_PAGE_SIZE, 0), 0);
        poke(s, 1, p, 0xaa);
        poke(s, 1, p + 4095, 0xaa);
        EQ(end_share(s, 1, p, 1), 0);
    }
}

CONTRACT(refs_in_any_order)
{
    xk_gref refs[4], mixed[4];
    int64_t mine, theirs;

    EQ(share(s, 1, 2, 4, 0, refs, &mine), 0);
    for (int i = 0; i < 4; i++) {
        poke(s, 1, mine + i * XK_PAGE_SIZE, i + 1);
        mixed[i] = refs[3 - i];
    }
    EQ(map(s, 2, 1, mixed, 4, 0, NULL, &theirs), 0);
    for (int i = 0; i < 4; i++)
        EQ(peek(s, 2, theirs + i * XK_PAGE_SIZE), 4 - i);
    EQ(unmap(s, 2, theirs, 4), 0);
    EQ(end_share(s, 1, mine, 4), 0);
}

CONTRACT(end_of_a_mapped_grant_fails)
{
    xk_gref ref;
    int64_t mine, theirs, again;

    if (s->defers[1])
        SKIP("Linux keeps the page itself until the peer lets go, and does not say so");
    EQ(share(s, 1, 2, 1, 0, &ref, &mine), 0);
    EQ(map(s, 2, 1, &ref, 1, 0, NULL, &theirs), 0);
    EQ(map(s, 2, 1, &ref, 1, 0, NULL, &again), 0);
    EQ(end_share(s, 1, mine, 1), XK_EBUSY);
    EQ(unmap(s, 2, theirs, 1), 0);
    EQ(end_share(s, 1, mine, 1), XK_EBUSY);
    EQ(unmap(s, 2, again, 1), 0);
    EQ(end_share(s, 1, mine, 1), 0);
}

CONTRACT(a_forgotten_grant_is_quarantined)
{
    xk_gref ref, next;
    int64_t mine, theirs, other;

    EQ(share(s, 1, 2, 1, 0, &ref, &mine), 0);
    EQ(map(s, 2, 1, &ref, 1, 0, NULL, &theirs), 0);
    poke(s, 1, mine, 5);
    EQ(forget(s, 1, mine, 1), 0);
    EQ(peek(s, 2, theirs), 5);
    for (int i = 0; i < (s->on_xen ? 600 : 4200); i++) { /* never handed out while it is mapped */
        EQ(share(s, 1, 2, 1, 0, &next, &other), 0);
        OK(next != ref);
        EQ(end_share(s, 1, other, 1), 0);
    }
    EQ(peek(s, 2, theirs), 5);
    EQ(unmap(s, 2, theirs, 1), 0);
    EQ(share(s, 1, 2, 1, 0, &next, &other), 0);
    EQ(end_share(s, 1, other, 1), 0);
}

CONTRACT(map_fails_ref_by_ref)
{
    xk_gref refs[3];
    int64_t mine, theirs;
    int status[3];

    EQ(share(s, 1, 2, 2, 0, refs, &mine), 0);
    refs[2] = refs[1] + 100;
    EQ(map(s, 2, 1, refs, 3, 0, status, &theirs), XK_EINVAL);
    EQ(status[0], 0);
    EQ(status[1], 0);
    EQ(status[2], XK_EINVAL);
    EQ(map(s, 0, 1, refs, 1, 0, NULL, &theirs), XK_EINVAL); /* granted to another */
    EQ(map(s, 2, 777, refs, 1, 0, NULL, &theirs), s->peerless[2] ? XK_EINVAL : XK_EGONE);
    refs[2] = 0xffffffff;
    EQ(map(s, 2, 1, refs + 2, 1, 0, NULL, &theirs), XK_EINVAL);
    EQ(end_share(s, 1, mine, 2), 0); /* nothing stayed mapped */
    EQ(map(s, 2, 1, refs, 1, 0, NULL, &theirs), XK_EINVAL);
}

CONTRACT(pages_are_copied_without_a_map)
{
    xk_gref refs[4];
    int64_t mine, readonly, off;
    int status[4];

    EQ(share(s, 1, 2, 3, 0, refs, &mine), 0);
    EQ(copy(s, 2, 1, refs, 3, 90, 4000, XK_COPY_TO, 7, status, &off), 0);
    for (int i = 0; i < 3; i++) {
        EQ(status[i], 0);
        EQ(others(s, 1, mine + i * XK_PAGE_SIZE + 90, 4000, 7 + i), 0);
        EQ(others(s, 1, mine + i * XK_PAGE_SIZE, 90, 0), 0);
        EQ(others(s, 1, mine + i * XK_PAGE_SIZE + 4090, 6, 0), 0);
    }
    EQ(copy(s, 2, 1, refs, 3, 90, 4000, 0, 7, status, &off), 0);
    EQ(off, 0);
    refs[3] = refs[2] + 100; /* what is not granted fails alone */
    EQ(copy(s, 2, 1, refs, 4, 100, 10, 0, 7, status, &off), XK_EINVAL);
    EQ(off, 10);
    EQ(status[0] | status[1] | status[2], 0);
    EQ(status[3], XK_EINVAL);
    OK(copy(s, 0, 1, refs, 1, 0, 1, 0, 0, status, &off) < 0); /* granted to another */
    EQ(copy(s, 2, 1, refs, 1, 4000, 97, 0, 0, status, &off), XK_EINVAL);
    EQ(copy(s, 2, 1, refs, 1, 4000, 0, 0, 0, status, &off), XK_EINVAL);
    OK(copy(s, 2, 777, refs, 1, 0, 1, 0, 0, status, &off) < 0);
    EQ(share(s, 1, 2, 1, XK_PAGE_READONLY, refs + 3, &readonly), 0);
    poke(s, 1, readonly, 9);
    EQ(copy(s, 2, 1, refs + 3, 1, 0, 1, 0, 9, status, &off), 0);
    EQ(off, 0);
    OK(copy(s, 2, 1, refs + 3, 1, 0, 1, XK_COPY_TO, 8, status, &off) < 0);
    EQ(peek(s, 1, readonly), 9);
    EQ(end_share(s, 1, readonly, 1), 0); /* nothing stayed in use */
    EQ(end_share(s, 1, mine, 3), 0);
    OK(copy(s, 2, 1, refs, 1, 0, 1, 0, 0, status, &off) < 0);
}

CONTRACT(pages_are_copied_from_one_domain_to_another)
{
    xk_gref from, to, readonly, own;
    int64_t source, target, fixed, other;

    EQ(share(s, 1, 2, 1, XK_PAGE_READONLY, &from, &source), 0);
    EQ(share(s, 0, 2, 1, 0, &to, &target), 0);
    EQ(share(s, 0, 2, 1, XK_PAGE_READONLY, &readonly, &fixed), 0);
    EQ(share(s, 1, 2, 1, 0, &own, &other), 0);
    poke(s, 1, source + 4000, 5);
    poke(s, 1, source + 4095, 6);
    EQ(between(s, 2, 0, to, 100, 1, from, 4000, 96, XK_COPY_TO), 0);
    EQ(peek(s, 0, target + 100), 5);
    EQ(others(s, 0, target + 101, 94, 0), 0);
    EQ(peek(s, 0, target + 195), 6);
    EQ(others(s, 0, target, 100, 0), 0);
    EQ(others(s, 0, target + 196, 3900, 0), 0);
    EQ(between(s, 2, 1, own, 4095, 1, from, 4095, 1, XK_COPY_TO), 0); /* within one domain */
    EQ(peek(s, 1, other + 4095), 6);
    OK(between(s, 2, 0, readonly, 0, 1, from, 4000, 1, XK_COPY_TO) < 0);
    EQ(peek(s, 0, fixed), 0);
    EQ(between(s, 2, 0, to, 0, 1, from + 100, 4000, 1, XK_COPY_TO), XK_EINVAL);
    EQ(between(s, 2, 0, to + 100, 0, 1, from, 4000, 1, XK_COPY_TO), XK_EINVAL);
    EQ(between(s, 2, 0, to, 0, 1, from, 4095, 2, XK_COPY_TO), XK_EINVAL);
    EQ(between(s, 2, 0, to, 4095, 1, from, 4000, 2, XK_COPY_TO), XK_EINVAL);
    EQ(between(s, 2, 0, to, 0, 1, from, 4000, 1, 0), XK_EINVAL);
    OK(between(s, 2, 0, to, 0, 777, from, 4000, 1, XK_COPY_TO) < 0);
    OK(between(s, 1, 0, to, 0, 2, from, 4000, 1, XK_COPY_TO) < 0); /* granted to another */
    EQ(peek(s, 0, target), 0);
    EQ(end_share(s, 1, source, 1), 0); /* nothing stayed in use */
    EQ(between(s, 2, 0, to, 0, 1, from, 4000, 1, XK_COPY_TO), XK_EINVAL);
    EQ(end_share(s, 0, target, 1), 0);
    EQ(end_share(s, 0, fixed, 1), 0);
    EQ(end_share(s, 1, other, 1), 0);
}

CONTRACT(readonly_grants)
{
    xk_gref ref;
    int64_t mine, theirs;

    EQ(share(s, 1, 2, 1, XK_PAGE_READONLY, &ref, &mine), 0);
    EQ(map(s, 2, 1, &ref, 1, 0, NULL, &theirs), XK_EACCES);
    EQ(map(s, 2, 1, &ref, 1, XK_PAGE_READONLY, NULL, &theirs), 0);
    poke(s, 1, mine + 7, 9);
    EQ(peek(s, 2, theirs + 7), 9);
    if (s->at[2].p) {
        int st;
        fflush(NULL);
        if (fork() == 0) {
            signal(SIGSEGV, SIG_DFL);
            *(volatile uint8_t *)(uintptr_t)(theirs + 7) = 1; /* must fault */
            _exit(0);
        }
        wait(&st);
        OK(WIFSIGNALED(st) || WEXITSTATUS(st) != 0);
    }
    EQ(peek(s, 1, mine + 7), 9);
    EQ(unmap(s, 2, theirs, 1), 0);
    EQ(end_share(s, 1, mine, 1), 0);
}

CONTRACT(wrong_arguments)
{
    xk_gref ref;
    int64_t p;

    EQ(share(s, 1, 2, 0, 0, &ref, &p), XK_EINVAL);
    EQ(share(s, 1, 2, 5000, 0, &ref, &p), XK_EINVAL);
    EQ(share(s, 1, 2, 1, 8, &ref, &p), XK_EINVAL);
    if (!s->on_xen) { /* Xen takes any number for a peer that may yet come */
        EQ(share(s, 1, 99, 1, 0, &ref, &p), XK_EGONE);
        EQ(alloc(s, 1, 99), XK_EGONE);
    }
    EQ(bind_port(s, 1, 2, -1), XK_EINVAL);
    EQ(bind_port(s, 1, 2, 3000), XK_EINVAL);
    EQ(notify(s, 1, 999), XK_EINVAL);
    EQ(unbind(s, 1, -5), XK_EINVAL);
    EQ(unmask(s, 1, 999), XK_EINVAL);
    EQ(virq(s, 1, 1000), XK_EINVAL);
}

CONTRACT(memory_of_a_peer_is_bounded)
{
    xk_gref refs[256];
    int64_t p[64];
    int n = 0, r = 0;

    if (s->w.fake)
        SKIP("the fake platform has no bound on pages");
    while (n < 64 && (r = share(s, 1, 2, 250, 0, refs, &p[n])) == 0)
        n++;
    OK(r == XK_ENOSPC || (s->on_xen && r == XK_ENOMEM));
    OK(s->on_xen ? n >= 1 && n < 17 : n == 16);
    while (n-- > 0)
        EQ(end_share(s, 1, p[n], 250), 0);
}

CONTRACT(events_coalesce_and_stick)
{
    xk_port a, b;

    bound(s, 1, 2, &a, &b);
    for (int i = 0; i < (s->on_xen ? 100 : 1000); i++) /* ^ never blocks, though nobody looks */
        EQ(notify(s, 1, a), 0);
    OK(comes(s, 2, b));
    EQ(unmask(s, 2, b), 0);
    while (!quiet(s, 2)) /* a thousand in a buffer may take a few rounds, not a thousand */
        EQ(unmask(s, 2, b), 0);
    EQ(pending(s, 2), XK_EAGAIN);
    unbind_both(s, 1, a, 2, b);
}

CONTRACT(a_pending_port_is_masked_until_unmasked)
{
    xk_port a, b;

    bound(s, 1, 2, &a, &b);
    EQ(notify(s, 1, a), 0);
    OK(comes(s, 2, b));
    EQ(notify(s, 1, a), 0);
    EQ(pending(s, 2), XK_EAGAIN);
    OK(quiet(s, 2));
    EQ(unmask(s, 2, b), 0);
    OK(comes(s, 2, b));
    unbind_both(s, 1, a, 2, b);
}

CONTRACT(events_go_both_ways)
{
    xk_port a, b;

    bound(s, 1, 2, &a, &b);
    for (int i = 0; i < 100; i++) {
        EQ(notify(s, 1, a), 0);
        OK(comes(s, 2, b));
        EQ(unmask(s, 2, b), 0);
        EQ(notify(s, 2, b), 0);
        OK(comes(s, 1, a));
        EQ(unmask(s, 1, a), 0);
    }
    unbind_both(s, 1, a, 2, b);
}

CONTRACT(notify_before_bind_is_not_needed)
{
    xk_port a = alloc(s, 1, 2), b;

    OK(a >= 0);
    OK(peer_is(s, 1, a, 0));
    EQ(notify(s, 1, a), 0); /* unbound: dropped, no error */
    b = bind_port(s, 2, 1, a);
    OK(comes(s, 2, b));
    OK(peer_is(s, 2, b, 1));
    OK(peer_is(s, 1, a, 1));
    EQ(bind_port(s, 2, 1, a), XK_EINVAL); /* taken */
    unbind_both(s, 1, a, 2, b);
}

CONTRACT(only_the_named_peer_may_bind)
{
    xk_port a = alloc(s, 1, 2);

    EQ(bind_port(s, 0, 1, a), XK_EINVAL);
    EQ(bind_port(s, 2, 0, a), XK_EINVAL);
    EQ(unbind(s, 1, a), 0);
    EQ(bind_port(s, 2, 1, a), XK_EINVAL);
}

CONTRACT(closing_one_side_leaves_the_other_unbound)
{
    xk_port a, b;

    bound(s, 1, 2, &a, &b);
    EQ(unbind(s, 2, b), 0);
    OK(peer_is(s, 1, a, 0));
    EQ(notify(s, 1, a), 0);
    while (pending(s, 1) >= 0)
        ;
    EQ(unmask(s, 1, a), 0);
    b = bind_port(s, 2, 1, a); /* bound again, and it works */
    OK(b >= 0);
    OK(comes(s, 2, b));
    EQ(unmask(s, 2, b), 0);
    EQ(notify(s, 1, a), 0);
    OK(comes(s, 2, b));
    unbind_both(s, 1, a, 2, b);
}

CONTRACT(loopback)
{
    xk_port a, b;
    xk_gref ref;
    int64_t mine, theirs;

    a = alloc(s, 1, XK_DOMID_SELF);
    OK(a >= 0);
    b = bind_port(s, 1, XK_DOMID_SELF, a);
    OK(b >= 0 && b != a);
    for (int p; (p = pending(s, 1)) >= 0;)
        EQ(unmask(s, 1, p), 0);
    EQ(notify(s, 1, a), 0);
    OK(comes(s, 1, b));
    unbind_both(s, 1, a, 1, b);
    EQ(share(s, 1, 1, 1, 0, &ref, &mine), 0);
    EQ(map(s, 1, 1, &ref, 1, 0, NULL, &theirs), 0);
    poke(s, 1, mine + 1, 5);
    EQ(peek(s, 1, theirs + 1), 5);
    EQ(unmap(s, 1, theirs, 1), 0);
    EQ(end_share(s, 1, mine, 1), 0);
}

CONTRACT(global_virqs_have_one_handler)
{
    xk_port p;

    if (s->on_xen)
        SKIP("Xen 4.17 lets anybody bind a global VIRQ, and its handler is the store's");
    EQ(virq(s, 1, XK_VIRQ_DOM_EXC), XK_EEXIST);
    EQ(control(s, 1, 1, XK_DOMCTL_SET_VIRQ_HANDLER, XK_VIRQ_DOM_EXC), XK_EPERM);
    EQ(control(s, 0, 1, XK_DOMCTL_SET_VIRQ_HANDLER, XK_VIRQ_DOM_EXC), 0);
    p = virq(s, 1, XK_VIRQ_DOM_EXC);
    OK(p >= 0);
    EQ(virq(s, 1, XK_VIRQ_DOM_EXC), XK_EEXIST);
    EQ(virq(s, 0, XK_VIRQ_DOM_EXC), XK_EEXIST);
    xk_platform_close(s->w.dom[2]);
    s->w.dom[2] = NULL;
    OK(comes(s, 1, p));
    EQ(unbind(s, 1, p), 0);
}

CONTRACT(control_is_for_domain_0)
{
    struct xk_domain_info i;

    EQ(control(s, 1, 2, XK_DOMCTL_DESTROY, 0), XK_EPERM);
    EQ(control(s, 1, 2, XK_DOMCTL_PAUSE, 0), XK_EPERM);
    EQ(control(s, 1, 2, XK_DOMCTL_SHUTDOWN, XK_CRASH), XK_EPERM);
    EQ(info(s, 1, ACTOR_INFO, s->at[2].id, &i), XK_EPERM);
    EQ(info(s, 1, ACTOR_NEXT, 0, &i), XK_EPERM);
    EQ(info(s, 1, ACTOR_INFO, XK_DOMID_SELF, &i), 0);
    EQ(i.domid, s->at[1].id);
    EQ(info(s, 0, ACTOR_NEXT, s->at[1].id - 1, &i), 0);
    EQ(i.domid, s->at[1].id);
    EQ(info(s, 0, ACTOR_NEXT, 30000, &i), XK_ENOENT);
    EQ(control(s, 0, 0, XK_DOMCTL_DESTROY, 0), XK_EINVAL);
    EQ(control(s, 0, 555, XK_DOMCTL_DESTROY, 0), XK_ENOENT);
    if (s->on_xen)
        return; /* the rest would end the domain */
    EQ(info(s, 1, ACTOR_INFO, XK_DOMID_SELF, &i), 0);
    STREQ(i.name, "one");
    EQ(control(s, 1, XK_DOMID_SELF, XK_DOMCTL_SHUTDOWN, XK_REBOOT), 0);
    EQ(info(s, 0, ACTOR_INFO, 1, &i), 0);
    EQ(i.state, XK_DOMAIN_SHUTDOWN);
    EQ(i.reason, XK_REBOOT);
}

CONTRACT(many_ports)
{
    enum { N = 300 };
    static xk_port a[N], b[N];
    int n = s->on_xen ? 100 : N;

    for (int i = 0; i < n; i++)
        bound(s, 1, 2, &a[i], &b[i]);
    for (int i = 0; i < n; i++)
        EQ(notify(s, 1, a[i]), 0);
    for (int seen = 0; seen < n; seen++)
        OK(ready(s, 2, SOON) >= 0);
    OK(quiet(s, 2));
    for (int i = 0; i < n; i++)
        unbind_both(s, 1, a[i], 2, b[i]);
}

CONTRACT(waiting_ends_at_the_deadline)
{
    int64_t start = ask3(s, 1, ACTOR_NOW, 0, 0, 0);

    EQ(ready(s, 1, 0), XK_EAGAIN);
    EQ(ready(s, 1, 30 * XK_MS), XK_EAGAIN);
    OK(ask3(s, 1, ACTOR_NOW, 0, 0, 0) >= start + 30 * XK_MS);
    OK(ask3(s, 1, ACTOR_NOW, 0, 0, 0) < start + 2 * XK_SECOND);
    if (s->at[1].p) {
        struct xk_ready r;
        EQ(xk_wait(s->at[1].p, XK_NOW, &r, 0), XK_EINVAL);
    }
}

CONTRACT(clock_and_entropy)
{
    struct actor_box a = {.op = ACTOR_ENTROPY, .a = {32}}, b = a;

    EQ(ask(s, 1, &a), 0);
    EQ(ask(s, 1, &b), 0);
    OK(memcmp(a.data, b.data, 32) != 0);
    EQ(ask3(s, 1, ACTOR_ENTROPY, 257, 0, 0), XK_EINVAL);
    OK(ask3(s, 1, ACTOR_WALLCLOCK, 0, 0, 0) > 1700000000 * XK_SECOND);
    OK(ask3(s, 1, ACTOR_NOW, 0, 0, 0) > 0);
}

CONTRACT(no_store_unless_wired)
{
    struct xk_ring_page page;

    if (s->on_xen)
        SKIP("every real domain has both");
    EQ(xk_store_page(s->w.dom[1], &page), XK_ENODEV);
    EQ(xk_console_page(s->w.dom[1], &page), XK_ENODEV);
}

static void end_domain_2(struct stage *s)
{
    struct xk_domain_info i;

    if (s->on_xen) {
        EQ(control(s, 0, 2, XK_DOMCTL_DESTROY, 0), 0);
    } else {
        xk_platform_close(s->w.dom[2]);
        s->w.dom[2] = NULL;
    }
    for (int k = 0; k < 1000 && info(s, 0, ACTOR_INFO, s->at[2].id, &i) == 0 && i.state != XK_DOMAIN_DYING; k++)
        usleep(1000);
    if (!s->on_xen) /* Xen keeps a dead domain while its pages are mapped */
        EQ(info(s, 0, ACTOR_INFO, 2, &i), XK_ENOENT);
}

/* Last, since on real domains it ends one of them. */
CONTRACT(death_releases_and_peers_see_it)
{
    xk_port a, b;
    xk_gref ref, back;
    int64_t mine, theirs, kept, seen;

    bound(s, 1, 2, &a, &b);
    EQ(share(s, 1, 2, 1, 0, &ref, &mine), 0);
    EQ(map(s, 2, 1, &ref, 1, 0, NULL, &theirs), 0);
    EQ(share(s, 2, 1, 1, 0, &back, &kept), 0);
    EQ(map(s, 1, 2, &back, 1, 0, NULL, &seen), 0);
    poke(s, 2, kept + 3, 77);
    end_domain_2(s);
    OK(peer_is(s, 1, a, 0));
    EQ(notify(s, 1, a), 0);
    EQ(end_share(s, 1, mine, 1), 0); /* ^ a dead peer has nothing mapped */
    EQ(peek(s, 1, seen + 3), 77);    /* ^ what it shared stays readable until unmapped */
    EQ(unmap(s, 1, seen, 1), 0);
    EQ(unbind(s, 1, a), 0);
    if (!s->on_xen)
        EQ(share(s, 1, 2, 1, 0, &ref, &mine), XK_EGONE);
}
