/* SPDX-License-Identifier: MIT */
#include <sys/socket.h>

#include <xenkit/loop.h>

#include "base/list.h"
#include "tests/c/tap.h"
#include "tests/c/platform/world.h"

static int calls, order[64];
struct numbered {
    struct xk_timer t;
    int id;
};

static void note(struct xk_timer *t) { order[calls++] = ((struct numbered *)(void *)t)->id; }

TEST(timers_fire_in_order)
{
    struct world w;
    struct xk_loop *loop;
    struct numbered n[32] = {{{0}, 0}};

    world_open_fake(&w);
    EQ(xk_loop_create(xk_fake_alloc(w.fake), w.dom[1], &loop), 0);
    for (int i = 0; i < 32; i++) {
        n[i].t.fn = note;
        n[i].id = (i * 7) % 32;
        EQ(xk_timer_start(loop, &n[i].t, xk_now(w.dom[1]) + (n[i].id + 1) * XK_MS), 0);
    }
    for (int i = 0; i < 32; i += 2) /* move some away, and back; drop one in four */
        EQ(xk_timer_start(loop, &n[i].t, xk_now(w.dom[1]) + (n[i].id + 1) * XK_MS), 0);
    for (int i = 0; i < 32; i += 4)
        xk_timer_stop(loop, &n[i].t);
    while (xk_loop_next(loop) != XK_FOREVER)
        OK(xk_loop_run_once(loop, XK_FOREVER) >= 0);
    EQ(calls, 24);
    for (int i = 1; i < calls; i++)
        OK(order[i] > order[i - 1]);
    xk_loop_destroy(loop);
    world_close(&w);
}

struct echo {
    struct xk_port_watch w;
    struct xk_platform *p;
    int seen;
};

static void on_port(struct xk_port_watch *w)
{
    struct echo *e = (struct echo *)(void *)w;

    if (++e->seen < 100)
        xk_evtchn_notify(e->p, w->port);
}

static struct xk_loop *other;
static xk_time run_other(void *arg)
{
    (void)arg;
    while (xk_loop_run_once(other, XK_NOW) > 0)
        ;
    return xk_loop_next(other);
}

TEST(two_loops_in_a_fake_world)
{
    struct world w;
    struct xk_loop *loop;
    struct echo a = {{0}, 0, 0}, b = {{0}, 0, 0};
    int pa, pb;

    world_open_fake(&w);
    xk_fake_chaos(w.fake, 300, 300);
    EQ(xk_loop_create(NULL, w.dom[1], &loop), 0);
    EQ(xk_loop_create(NULL, w.dom[2], &other), 0);
    pa = xk_evtchn_alloc(w.dom[1], 2);
    pb = xk_evtchn_bind(w.dom[2], 1, pa);
    a.w.fn = b.w.fn = on_port;
    a.p = w.dom[1];
    b.p = w.dom[2];
    EQ(xk_port_watch_start(loop, &a.w, pa), 0);
    EQ(xk_port_watch_start(other, &b.w, pb), 0);
    xk_fake_run_with(w.dom[2], run_other, NULL);
    while (xk_loop_run_once(loop, xk_now(w.dom[1]) + XK_SECOND) > 0)
        ;
    OK(a.seen >= 100 || b.seen >= 100);
    OK(a.seen >= 50 && b.seen >= 50);
    xk_port_watch_stop(loop, &a.w);
    xk_port_watch_stop(other, &b.w);
    xk_evtchn_unbind(w.dom[2], pb);
    xk_evtchn_unbind(w.dom[1], pa);
    xk_loop_destroy(loop);
    xk_loop_destroy(other);
    world_close(&w);
}

struct pair {
    struct xk_fd_watch w;
    struct xk_loop *loop;
    struct pair *victim;
    int seen;
};

static void kill_other(struct xk_fd_watch *w, unsigned events)
{
    struct pair *p = (struct pair *)(void *)w;

    OK(events & XK_READABLE);
    p->seen++;
    xk_fd_watch_stop(p->loop, &p->victim->w);
    memset(&p->victim->w, 0xff, sizeof(p->victim->w)); /* freed, as far as the loop is concerned */
}

/* Reading the clock has a price: who never asks how long the loop slept does not pay it. */
TEST(sleeps_are_timed_once_somebody_asks)
{
    struct world w;
    struct xk_loop *loop;
    struct xk_loop_stats stats;
    struct numbered n = {{0}, 0};

    world_open_fake(&w);
    EQ(xk_loop_create(NULL, w.dom[1], &loop), 0);
    n.t.fn = note;
    for (uint64_t slept = 0; slept < 3; slept++) {
        EQ(xk_timer_start(loop, &n.t, xk_now(w.dom[1]) + 5 * XK_MS), 0);
        while (xk_loop_next(loop) != XK_FOREVER)
            OK(xk_loop_run_once(loop, XK_FOREVER) >= 0);
        xk_loop_get_stats(loop, &stats);
        EQ(stats.idle_ns, slept * 5 * XK_MS);
        EQ(stats.sleeps, slept + 1);
    }
    xk_loop_destroy(loop);
    world_close(&w);
}

TEST(a_watch_stopped_in_the_same_round_is_not_called)
{
    struct world w;
    struct xk_loop *loop;
    struct pair p[2] = {{{0}, 0, 0, 0}};
    int sv[2];

    world_open_hosted(&w);
    EQ(xk_loop_create(NULL, w.dom[1], &loop), 0);
    for (int i = 0; i < 2; i++) {
        OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
        OK(write(sv[1], "x", 1) == 1);
        p[i].loop = loop;
        p[i].victim = &p[1 - i];
        p[i].w.fn = kill_other;
        EQ(xk_fd_watch_start(loop, &p[i].w, sv[0], XK_READABLE), 0);
    }
    EQ(xk_loop_run_once(loop, xk_now(w.dom[1]) + XK_SECOND), 1);
    EQ(p[0].seen + p[1].seen, 1);
    xk_loop_destroy(loop);
    world_close(&w);
}

static struct xk_defer d1, d2;
static struct xk_loop *defer_loop;
static void again(struct xk_defer *d)
{
    calls++;
    if (d == &d1)
        xk_defer_start(defer_loop, &d2);
}

TEST(deferred_calls_run_once_each)
{
    struct world w;

    world_open_fake(&w);
    EQ(xk_loop_create(NULL, w.dom[1], &defer_loop), 0);
    d1.fn = d2.fn = again;
    xk_defer_start(defer_loop, &d1);
    xk_defer_start(defer_loop, &d1);
    EQ(xk_loop_run_once(defer_loop, XK_FOREVER), 2);
    EQ(calls, 2);
    xk_defer_start(defer_loop, &d2);
    xk_defer_stop(defer_loop, &d2);
    EQ(xk_loop_run_once(defer_loop, XK_NOW), 0);
    xk_loop_destroy(defer_loop);
    world_close(&w);
}

/* --- spinners --- */

struct greedy {
    struct xk_spinner s;
    int calls, idle_after; /* so often it says that there was something */
    struct greedy *stops;  /* and stops this one when it is called */
};

static int on_look(struct xk_spinner *s, int sleeping)
{
    struct greedy *g = (struct greedy *)s;

    (void)sleeping;
    g->calls++;
    if (g->stops)
        xk_spinner_stop(&g->stops->s);
    return g->calls <= g->idle_after;
}

static struct xk_loop *loop_alone(struct xk_fake **w, struct xk_platform **p)
{
    struct xk_loop *loop;

    EQ(xk_fake_create(1, w), 0);
    EQ(xk_fake_domain(*w, "a", p), 0);
    EQ(xk_loop_create(NULL, *p, &loop), 0);
    return loop;
}

static void loop_end(struct xk_loop *loop, struct xk_fake *w, struct xk_platform *p)
{
    xk_loop_destroy(loop);
    xk_platform_close(p);
    EQ(xk_fake_destroy(w, NULL, 0), 0);
}

TEST(a_busy_spinner_keeps_nobody_waiting)
{
    struct greedy a = {{.fn = on_look}, 0, 1 << 30, NULL}, b = {{.fn = on_look}, 0, 1 << 30, NULL},
                  c = {{.fn = on_look}, 0, 0, NULL};
    struct xk_platform *p;
    struct xk_loop *loop;
    struct xk_fake *w;

    loop = loop_alone(&w, &p);
    xk_spinner_start(loop, &a.s);
    xk_spinner_start(loop, &b.s);
    xk_spinner_start(loop, &c.s);
    for (int i = 0; i < 10; i++)
        OK(xk_loop_run_once(loop, XK_NOW) >= 0);
    OK(a.calls > 100 && b.calls > 100 && c.calls > 100);
    OK(a.calls - b.calls <= 1 && b.calls - a.calls <= 1);
    b.stops = &a; /* while it is looked at; and itself */
    OK(xk_loop_run_once(loop, XK_NOW) >= 0);
    a.calls = 0;
    b.stops = &b;
    OK(xk_loop_run_once(loop, XK_NOW) >= 0);
    EQ(a.calls, 0);
    b.calls = c.calls = 0;
    OK(xk_loop_run_once(loop, XK_NOW) >= 0);
    EQ(b.calls, 0);
    EQ(c.calls, 1);
    xk_spinner_stop(&c.s);
    xk_spinner_stop(&c.s);
    loop_end(loop, w, p);
}

struct polite {
    struct xk_spinner s; /* first */
    int looks, asked;    /* its peer, to notify */
};

static int on_polite(struct xk_spinner *s, int sleeping)
{
    struct polite *p = (struct polite *)s;

    p->asked += sleeping;
    return p->looks++ == 0;
}

TEST(a_peer_is_asked_to_notify_only_before_a_sleep)
{
    struct polite s = {{.fn = on_polite}, 0, 0};
    struct xk_platform *p;
    struct xk_loop *loop;
    struct xk_fake *w;

    loop = loop_alone(&w, &p);
    xk_loop_set_spin(loop, XK_SPIN_WAKE);
    xk_spinner_start(loop, &s.s);
    OK(xk_loop_run_once(loop, xk_now(p) + XK_MS) > 0);
    EQ(s.asked, 0); /* the spin found something: there is no sleep yet */
    EQ(xk_loop_run_once(loop, XK_NOW), 0);
    EQ(s.asked, 1);
    xk_spinner_stop(&s.s);
    loop_end(loop, w, p);
}

/* A look that is no progress may start something nevertheless: a ring that waits for room, one that is broken. */
struct starter {
    struct xk_spinner s; /* first */
    struct xk_loop *loop;
    struct xk_timer t;
    struct xk_defer d;
    int looks, fired, deferred;
};

static void on_started(struct xk_timer *t) { XK_CONTAINER(t, struct starter, t)->fired++; }
static void on_deferred(struct xk_defer *d) { XK_CONTAINER(d, struct starter, d)->deferred++; }

static int on_start(struct xk_spinner *s, int sleeping)
{
    struct starter *g = (struct starter *)s;

    (void)sleeping;
    g->looks++;
    if (g->looks == 1)
        EQ(xk_timer_start(g->loop, &g->t, xk_now(xk_loop_platform(g->loop)) + XK_MS), 0);
    else if (g->looks == 2)
        xk_defer_start(g->loop, &g->d);
    return 0;
}

TEST(what_a_look_starts_is_not_slept_past)
{
    struct starter s = {.s.fn = on_start, .t.fn = on_started, .d.fn = on_deferred};
    struct xk_platform *p;
    struct xk_fake *w;
    xk_time begin;

    s.loop = loop_alone(&w, &p);
    xk_spinner_start(s.loop, &s.s);
    begin = xk_now(p);
    OK(xk_loop_run_once(s.loop, begin + 10 * XK_SECOND) > 0);
    EQ(s.fired, 1);
    OK(xk_now(p) < begin + XK_SECOND);
    begin = xk_now(p);
    OK(xk_loop_run_once(s.loop, begin + 10 * XK_SECOND) > 0);
    EQ(s.deferred, 1);
    OK(xk_now(p) < begin + XK_SECOND);
    xk_spinner_stop(&s.s);
    loop_end(s.loop, w, p);
}

/* --- something that is expected --- */

struct sender {
    struct xk_spinner s; /* first */
    int fd, looks, at;   /* sends at that look, and notifies */
    struct xk_platform *p;
    xk_port port;
};

static int on_send(struct xk_spinner *s, int sleeping)
{
    struct sender *g = (struct sender *)s;

    (void)sleeping;
    if (++g->looks == g->at) {
        EQ(send(g->fd, "x", 1, 0), 1);
        xk_evtchn_notify(g->p, g->port);
    }
    return 0;
}

static int heard;

static void on_byte(struct xk_fd_watch *w, unsigned events)
{
    char c;

    (void)events;
    heard += recv(w->handle, &c, 1, MSG_DONTWAIT) == 1;
}

static struct xk_loop_stats stats_of(struct xk_loop *loop)
{
    struct xk_loop_stats s;

    xk_loop_get_stats(loop, &s);
    return s;
}

TEST(what_is_expected_is_found_without_a_sleep)
{
    struct sender g = {{.fn = on_send}, -1, 0, 60, NULL, 0};
    struct xk_fd_watch watch = {.fn = on_byte};
    struct echo port = {{.fn = on_port}, NULL, 100}; /* which does not notify back */
    struct xk_loop *loop;
    struct world w;
    int sv[2], mine;

    world_open_hosted(&w);
    EQ(xk_loop_create(NULL, w.dom[1], &loop), 0);
    EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv), 0);
    EQ(xk_fd_watch_start(loop, &watch, sv[0], XK_READABLE), 0);
    mine = xk_evtchn_alloc(w.dom[1], 2);
    g.port = xk_evtchn_bind(w.dom[2], 1, mine);
    EQ(xk_port_watch_start(loop, &port.w, mine), 0);
    while (xk_loop_run_once(loop, XK_NOW) > 0) /* a port that is bound is ready once */
        ;
    port.seen = 100;
    xk_loop_set_spin(loop, 10 * XK_SECOND); /* which the test does not take */
    g.p = w.dom[2];
    g.fd = sv[1];
    xk_spinner_start(loop, &g.s);
    xk_loop_expect(loop);
    EQ(xk_loop_run_once(loop, xk_now(w.dom[1]) + 60 * XK_SECOND), 2);
    EQ(heard, 1);
    EQ(port.seen, 101);
    EQ(stats_of(loop).spins, 1);
    EQ(stats_of(loop).spin_hits, 1);
    EQ(stats_of(loop).sleeps, 0);
    OK(g.looks < 200); /* it was not passed over until some spinner made progress */
    xk_spinner_stop(&g.s);
    xk_port_watch_stop(loop, &port.w);
    xk_evtchn_unbind(w.dom[2], g.port);
    xk_evtchn_unbind(w.dom[1], mine);
    xk_fd_watch_stop(loop, &watch);
    close(sv[0]);
    close(sv[1]);
    xk_loop_destroy(loop);
    world_close(&w);
}

TEST(an_expectation_holds_for_one_sleep)
{
    struct xk_loop *loop;
    struct world w;

    world_open_hosted(&w);
    EQ(xk_loop_create(NULL, w.dom[1], &loop), 0);
    xk_loop_expect(loop);
    EQ(xk_loop_run_once(loop, xk_now(w.dom[1]) + XK_MS), 0);
    xk_loop_set_spin(loop, XK_SPIN_WAKE);
    EQ(xk_loop_run_once(loop, xk_now(w.dom[1]) + XK_MS), 0);
    EQ(stats_of(loop).spins, 0); /* at the sleep that it was for nobody allowed it */
    xk_loop_expect(loop);
    EQ(xk_loop_run_once(loop, xk_now(w.dom[1]) + XK_MS), 0);
    EQ(xk_loop_run_once(loop, xk_now(w.dom[1]) + XK_MS), 0);
    EQ(xk_loop_run_once(loop, xk_now(w.dom[1]) + XK_MS), 0);
    EQ(stats_of(loop).spins, 1);
    for (int i = 0; i < 200; i++) {
        xk_loop_expect(loop);
        EQ(xk_loop_run_once(loop, xk_now(w.dom[1]) + XK_MS / 20), 0);
    }
    OK(stats_of(loop).spins < 20); /* in vain: rarer and rarer */
    EQ(stats_of(loop).spin_hits, 0);
    xk_loop_destroy(loop);
    world_close(&w);
}

/* --- an answer that is under way --- */

struct slow {            /* a device in another domain, which rings when it was asked to; a look at it takes 20 ns */
    struct xk_spinner s; /* first */
    struct xk_port_watch ring;
    struct xk_fake *w;
    struct xk_platform *p, *device;
    struct xk_loop *loop;
    xk_port port;
    xk_time due, takes;
    int interrupts, armed, arms, found;
};

static xk_time run_device(void *arg)
{
    struct slow *d = arg;
    xk_port port;

    while ((port = xk_evtchn_pending(d->device)) >= 0)
        xk_evtchn_unmask(d->device, port);
    if (!d->due || !d->armed)
        return XK_FOREVER;
    if (xk_now(d->device) < d->due)
        return d->due;
    d->armed = 0;
    xk_evtchn_notify(d->device, d->port);
    return XK_FOREVER;
}

static int on_slow(struct xk_spinner *s, int sleeping)
{
    struct slow *d = (struct slow *)s;

    xk_fake_advance(d->w, 20);
    if (sleeping) {
        d->armed = 1;
        d->arms++;
        xk_fake_run_with(d->device, run_device, d);
    }
    if (!d->due || xk_now(d->p) < d->due)
        return 0;
    d->due = 0;
    d->armed = 0;
    d->found++;
    d->s.awaits = XK_AWAITS_NOTHING;
    return 1;
}

static void on_awake(struct xk_spinner *s) { ((struct slow *)s)->armed = 0; }

static void on_rung(struct xk_port_watch *w) { on_slow(&XK_CONTAINER(w, struct slow, ring)->s, 0); }

static void slow_open(struct slow *d, xk_time takes)
{
    memset(d, 0, sizeof(*d));
    d->loop = loop_alone(&d->w, &d->p);
    d->s.fn = on_slow;
    d->s.awake = on_awake;
    d->ring.fn = on_rung;
    d->takes = takes;
    EQ(xk_fake_domain(d->w, "device", &d->device), 0);
    OK((d->port = xk_evtchn_alloc(d->device, xk_platform_domid(d->p))) >= 0);
    OK((d->ring.port = xk_evtchn_bind(d->p, xk_platform_domid(d->device), d->port)) >= 0);
    EQ(xk_port_watch_start(d->loop, &d->ring, d->ring.port), 0);
    while (xk_loop_run_once(d->loop, XK_NOW) > 0)
        ;
    xk_loop_set_spin(d->loop, XK_SPIN_WAKE);
    xk_spinner_start(d->loop, &d->s);
}

static void slow_close(struct slow *d)
{
    xk_spinner_stop(&d->s);
    xk_port_watch_stop(d->loop, &d->ring);
    xk_evtchn_unbind(d->p, d->ring.port);
    xk_evtchn_unbind(d->device, d->port);
    xk_platform_close(d->device);
    loop_end(d->loop, d->w, d->p);
}

static void ask(struct slow *d)
{
    d->due = xk_now(d->p) + d->takes;
    d->s.awaits = d->interrupts ? XK_AWAITS_DEVICE : XK_AWAITS_ANSWER;
}

/* Waits for an answer to its end. @return how late it was seen */
static xk_time answer(struct slow *d)
{
    int had = d->found;
    xk_time due;

    ask(d);
    due = d->due;
    for (int i = 0; d->found == had; i++) {
        OK(i < 1000);
        OK(xk_loop_run_once(d->loop, due + XK_SECOND) >= 0);
    }
    return xk_now(d->p) - due;
}

TEST(an_answer_that_takes_longer_than_a_spin_is_napped_for)
{
    struct xk_loop_stats before;
    struct slow d;

    slow_open(&d, 100000);
    for (int i = 0; i < 20; i++)
        answer(&d);
    before = stats_of(d.loop);
    for (int i = 0; i < 100; i++) {
        d.arms = 0;
        OK(answer(&d) < 2000); /* the spin looks 50 times before it reads the clock */
        EQ(d.arms, 1);         /* who sleeps has asked its peer to notify */
    }
    EQ(stats_of(d.loop).naps - before.naps, 100);
    EQ(stats_of(d.loop).ports, before.ports); /* and takes that back when it is awake before the answer */
    EQ(stats_of(d.loop).nap_hits - before.nap_hits, 100);
    d.takes = 20000;
    for (int i = 0; i < 100; i++)
        answer(&d);
    before = stats_of(d.loop);
    for (int i = 0; i < 100; i++)
        answer(&d);
    EQ(stats_of(d.loop).naps, before.naps); /* a spin finds these */
    EQ(stats_of(d.loop).spin_hits - before.spin_hits, 100);
    slow_close(&d);
}

TEST(a_device_that_interrupts_is_slept_for)
{
    struct slow d;

    slow_open(&d, 10000);
    d.interrupts = 1;
    for (int i = 0; i < 50; i++)
        answer(&d);
    EQ(stats_of(d.loop).spins, 0);
    EQ(stats_of(d.loop).naps, 0);
    d.interrupts = 0;
    for (int i = 0; i < 50; i++)
        answer(&d);
    EQ(stats_of(d.loop).spin_hits, 50);
    slow_close(&d);
}

TEST(a_nap_that_found_nothing_is_followed_by_a_sleep)
{
    struct slow d;

    slow_open(&d, 100000);
    for (int i = 0; i < 20; i++)
        answer(&d);
    d.takes = 300000; /* three times as long as the others */
    d.arms = 0;
    EQ(answer(&d), 20); /* it was notified, and looked once */
    EQ(d.arms, 2);      /* before the nap, and before the sleep */
    d.takes = 50000;
    EQ(answer(&d), 20); /* within the nap */
    slow_close(&d);
}

TEST(a_nap_ends_at_the_deadline)
{
    struct slow d;
    xk_time begin;

    slow_open(&d, 100000);
    for (int i = 0; i < 20; i++)
        answer(&d);
    ask(&d);
    begin = xk_now(d.p);
    EQ(xk_loop_run_once(d.loop, begin + 20000), 0);
    OK(xk_now(d.p) >= begin + 20000 && xk_now(d.p) < begin + 21000);
    EQ(stats_of(d.loop).timers, 0);
    while (d.due)
        OK(xk_loop_run_once(d.loop, begin + XK_SECOND) >= 0);
    slow_close(&d);
}
