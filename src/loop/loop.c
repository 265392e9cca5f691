/* The loop: a heap of timers, a table of ports, watches of descriptors, deferred calls, and an adaptive spin.
 * Readiness is fetched in batches; a handle that is stopped while its entry waits in the batch is struck out of it.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/loop.h>

#include "loop/nap.h"

enum { BATCH = 64, SPIN_RARE = 64, UNPOLLED = 16, UNPOLLED_NS = 10000, LOOKS = 50, EXPECTED_LOOKS = 16 };

struct xk_loop {
    xk_alloc alloc;
    struct xk_platform *platform;
    struct xk_timer **heap;
    size_t heap_count, heap_cap;
    struct xk_port_watch **ports;
    int port_cap;
    struct xk_ready batch[BATCH];
    int batch_at, batch_count;
    struct xk_defer *defer_head, **defer_tail;
    struct xk_spinner spinners; /* a ring, which this one is in and is no spinner */
    struct xk_keeper *keepers;
    xk_time spin_max;
    xk_time spun, polled;             /* when last */
    unsigned unpolled;                /* rounds since then */
    unsigned spin_misses;             /* in a row */
    unsigned spin_skip, spin_skipped; /* after the second, that many sleeps go without a spin */
    struct xk__nap nap;
    xk_time asked; /* this wait is for an answer, since then; 0: it is not, or a spin found it */
    int expects;   /* the next spin looks at ports and descriptors, too */
    struct xk_loop_stats stats;
    int timed; /* somebody asks for them: sleeps are timed */
};

int xk_loop_create(const xk_alloc *alloc, struct xk_platform *platform, struct xk_loop **out)
{
    struct xk_loop *loop = xk_new(alloc, sizeof(*loop));

    if (!loop)
        return XK_ENOMEM;
    loop->alloc = alloc ? *alloc : *xk_alloc_libc();
    loop->platform = platform;
    loop->defer_tail = &loop->defer_head;
    loop->spinners.next = &loop->spinners;
    loop->spinners.link = &loop->spinners.next;
    *out = loop;
    return 0;
}

void xk_loop_destroy(struct xk_loop *loop)
{
    xk_alloc alloc;

    if (!loop)
        return;
    alloc = loop->alloc;
    while (loop->spinners.next != &loop->spinners)
        xk_spinner_stop(loop->spinners.next);
    while (loop->keepers)
        xk_keeper_stop(loop->keepers);
    xk_free(&alloc, loop->heap, loop->heap_cap * sizeof(*loop->heap));
    xk_free(&alloc, loop->ports, (size_t)loop->port_cap * sizeof(*loop->ports));
    xk_free(&alloc, loop, sizeof(*loop));
}

struct xk_platform *xk_loop_platform(struct xk_loop *loop) { return loop->platform; }

void xk_loop_get_stats(struct xk_loop *loop, struct xk_loop_stats *out)
{
    loop->timed = 1;
    *out = loop->stats;
}

/* --- timers: a binary heap, each timer knows its place --- */

static void heap_set(struct xk_loop *loop, size_t i, struct xk_timer *t)
{
    loop->heap[i] = t;
    t->slot = i + 1;
}

static void sift_up(struct xk_loop *loop, size_t i, struct xk_timer *t)
{
    while (i > 0 && loop->heap[(i - 1) / 2]->at > t->at) {
        heap_set(loop, i, loop->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_set(loop, i, t);
}

static void sift_down(struct xk_loop *loop, size_t i, struct xk_timer *t)
{
    for (;;) {
        size_t c = 2 * i + 1;
        if (c + 1 < loop->heap_count && loop->heap[c + 1]->at < loop->heap[c]->at)
            c++;
        if (c >= loop->heap_count || loop->heap[c]->at >= t->at)
            break;
        heap_set(loop, i, loop->heap[c]);
        i = c;
    }
    heap_set(loop, i, t);
}

int xk_timer_start(struct xk_loop *loop, struct xk_timer *t, xk_time at)
{
    xk_timer_stop(loop, t);
    if (loop->heap_count == loop->heap_cap) {
        size_t cap = loop->heap_cap ? loop->heap_cap * 2 : 16;
        void *p = xk_resize(&loop->alloc, loop->heap, loop->heap_cap * sizeof(*loop->heap), cap * sizeof(*loop->heap));
        if (!p)
            return XK_ENOMEM;
        loop->heap = p;
        loop->heap_cap = cap;
    }
    t->at = at;
    sift_up(loop, loop->heap_count++, t);
    return 0;
}

void xk_timer_stop(struct xk_loop *loop, struct xk_timer *t)
{
    size_t i = t->slot;
    struct xk_timer *last;

    if (!i--)
        return;
    t->slot = 0;
    last = loop->heap[--loop->heap_count];
    if (last == t)
        return;
    if (i > 0 && loop->heap[(i - 1) / 2]->at > last->at)
        sift_up(loop, i, last);
    else
        sift_down(loop, i, last);
}

xk_time xk_loop_next(struct xk_loop *loop)
{
    return loop->defer_head ? XK_NOW : loop->heap_count ? loop->heap[0]->at : XK_FOREVER;
}

static int run_timers(struct xk_loop *loop)
{
    xk_time now;
    int n = 0;

    if (!loop->heap_count)
        return 0;
    now = xk_now(loop->platform);
    while (loop->heap_count && loop->heap[0]->at <= now) {
        struct xk_timer *t = loop->heap[0];
        xk_timer_stop(loop, t);
        t->fn(t);
        n++;
    }
    loop->stats.timers += (uint64_t)n;
    return n;
}

/* --- ports --- */

int xk_port_watch_start(struct xk_loop *loop, struct xk_port_watch *w, xk_port port)
{
    int cap = loop->port_cap ? loop->port_cap : 16;
    void *p;

    if (port < 0)
        return XK_EINVAL;
    while (cap <= port)
        cap *= 2;
    if (cap > loop->port_cap) {
        p = xk_resize(&loop->alloc, loop->ports, (size_t)loop->port_cap * sizeof(*loop->ports),
                      (size_t)cap * sizeof(*loop->ports));
        if (!p)
            return XK_ENOMEM;
        loop->ports = p;
        memset(loop->ports + loop->port_cap, 0, (size_t)(cap - loop->port_cap) * sizeof(*loop->ports));
        loop->port_cap = cap;
    }
    if (loop->ports[port] && loop->ports[port] != w)
        return XK_EBUSY;
    loop->ports[port] = w;
    w->port = port;
    w->started = 1;
    return 0;
}

static void strike(struct xk_loop *loop, void *cookie, xk_port port)
{
    for (int i = loop->batch_at; i < loop->batch_count; i++)
        if (cookie ? loop->batch[i].cookie == cookie : !loop->batch[i].cookie && loop->batch[i].port == port)
            loop->batch[i] = (struct xk_ready){NULL, -1, 0};
}

void xk_port_watch_stop(struct xk_loop *loop, struct xk_port_watch *w)
{
    if (!w->started)
        return;
    w->started = 0;
    loop->ports[w->port] = NULL;
    strike(loop, NULL, w->port);
}

static void call_port(struct xk_loop *loop, xk_port port)
{
    struct xk_port_watch *w = port < loop->port_cap ? loop->ports[port] : NULL;

    loop->stats.ports++;
    if (w)
        w->fn(w);
    if (port < loop->port_cap && loop->ports[port])
        xk_evtchn_unmask(loop->platform, port);
}

/* --- descriptors --- */

int xk_fd_watch_start(struct xk_loop *loop, struct xk_fd_watch *w, int handle, unsigned events)
{
    int r;

    if (w->started && w->handle == handle && w->events == events)
        return 0;
    if (w->started && w->handle != handle)
        return XK_EBUSY;
    r = w->started ? xk_watch_mod(loop->platform, handle, events, w) : xk_watch_add(loop->platform, handle, events, w);
    if (r < 0)
        return r;
    w->handle = handle;
    w->events = events;
    w->started = 1;
    return 0;
}

void xk_fd_watch_stop(struct xk_loop *loop, struct xk_fd_watch *w)
{
    if (!w->started)
        return;
    w->started = 0;
    xk_watch_del(loop->platform, w->handle);
    strike(loop, w, -1);
}

/* --- deferred calls --- */

void xk_defer_start(struct xk_loop *loop, struct xk_defer *d)
{
    if (d->queued)
        return;
    d->queued = 1;
    d->next = NULL;
    *loop->defer_tail = d;
    loop->defer_tail = &d->next;
}

void xk_defer_stop(struct xk_loop *loop, struct xk_defer *d)
{
    struct xk_defer **at = &loop->defer_head;

    if (!d->queued)
        return;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    if (loop->defer_tail == &d->next)
        loop->defer_tail = at;
    d->queued = 0;
}

/* Those queued meanwhile run in the same round: they are the second half of something that has happened. A bound keeps
 * a pair that queues each other from holding the loop. */
static int run_deferred(struct xk_loop *loop)
{
    int n = 0;

    while (loop->defer_head && n < 1000) {
        struct xk_defer *d = loop->defer_head;
        xk_defer_stop(loop, d);
        d->fn(d);
        n++;
    }
    return n;
}

/* --- keepers --- */

void xk_keeper_start(struct xk_loop *loop, struct xk_keeper *k)
{
    k->next = loop->keepers;
    k->link = &loop->keepers;
    if (k->next)
        k->next->link = &k->next;
    loop->keepers = k;
}

void xk_keeper_stop(struct xk_keeper *k)
{
    if (!k->link)
        return;
    *k->link = k->next;
    if (k->next)
        k->next->link = k->link;
    k->link = NULL;
}

void xk_loop_give_back(struct xk_loop *loop)
{
    for (struct xk_keeper *k = loop->keepers; k; k = k->next)
        k->fn(k);
}

static xk_time sooner(xk_time a, xk_time b) { return a < b ? a : b; }

/* --- spinning --- */

void xk_loop_set_spin(struct xk_loop *loop, xk_time ns) { loop->spin_max = ns; }

void xk_loop_expect(struct xk_loop *loop) { loop->expects = 1; }

/* (s) stands after what (link) leads from. */
static void put_spinner(struct xk_spinner *s, struct xk_spinner **link)
{
    s->next = *link;
    s->link = link;
    s->next->link = &s->next;
    *link = s;
}

void xk_spinner_start(struct xk_loop *loop, struct xk_spinner *s)
{
    if (!s->link)
        put_spinner(s, loop->spinners.link); /* last */
}

void xk_spinner_stop(struct xk_spinner *s)
{
    if (!s->link)
        return;
    *s->link = s->next;
    s->next->link = s->link;
    s->link = NULL;
}

/* Each is looked at once, until one made progress: the next look begins behind that one, so that a busy one keeps
 * nobody waiting. A call may stop any spinner, and free it: the ring's own mark is behind it before it is called. */
static int look_once(struct xk_loop *loop, int sleeping)
{
    struct xk_spinner end = {0}, *s;
    int some = 0;

    put_spinner(&end, loop->spinners.link);
    while (!some && (s = loop->spinners.next) != &end) {
        xk_spinner_stop(&loop->spinners);
        put_spinner(&loop->spinners, &s->next);
        if (sleeping)
            s->asked = 1;
        some = s->fn(s, sleeping);
    }
    xk_spinner_stop(&end);
    return some;
}

/* All spinners, many times; then, if that is expected, what is ready otherwise: it is in the batch then. Who expects it
 * may have a spinner that makes a system call, too. */
static int look_often(struct xk_loop *loop, int expects)
{
    for (int i = 0; i < (expects ? EXPECTED_LOOKS : LOOKS); i++)
        if (look_once(loop, 0))
            return 1;
    return expects && (loop->batch_count = xk_wait(loop->platform, XK_NOW, loop->batch, BATCH)) != 0;
}

static enum xk_awaits awaited(const struct xk_loop *loop)
{
    enum xk_awaits most = XK_AWAITS_NOTHING;

    for (const struct xk_spinner *s = loop->spinners.next; s != &loop->spinners; s = s->next)
        if (s->awaits > most)
            most = s->awaits;
    return most;
}

/* Whether to spin now. Of a wait for an answer the begin is noted. */
static int may_spin(struct xk_loop *loop, int expects)
{
    enum xk_awaits what;

    if (!loop->spin_max || (loop->spinners.next == &loop->spinners && !expects))
        return 0;
    what = awaited(loop);
    if (what == XK_AWAITS_ANSWER)
        loop->asked = xk_now(loop->platform);
    if (what == XK_AWAITS_DEVICE && !expects)
        return 0;
    if (loop->spin_skipped >= loop->spin_skip)
        return 1;
    loop->spin_skipped++;
    return 0;
}

/* Peers that were asked to notify before a sleep need not now. */
static void say_awake(struct xk_loop *loop)
{
    for (struct xk_spinner *s = loop->spinners.next; s != &loop->spinners; s = s->next) {
        if (s->asked && s->awake)
            s->awake(s);
        s->asked = 0;
    }
}

static int spin_until(struct xk_loop *loop, xk_time end, int expects)
{
    say_awake(loop);
    do
        if (look_often(loop, expects))
            return 1;
    while (xk_now(loop->platform) < end);
    return 0;
}

/* A sleep costs some 25 us to wake from, so a spin of about as long pays when the answer is near. After a spin that
 * found nothing the next ones are skipped, more and more, so that an idle domain spends nothing. */
static int spin(struct xk_loop *loop, xk_time deadline)
{
    int expects = loop->expects;

    loop->asked = 0;
    if (deadline == XK_NOW)
        return 0;
    loop->expects = 0;
    if (!may_spin(loop, expects))
        return 0;
    loop->stats.spins++;
    loop->spun = loop->asked ? loop->asked : xk_now(loop->platform);
    if (spin_until(loop, sooner(loop->spun + loop->spin_max, deadline), expects)) {
        loop->stats.spin_hits++;
        loop->spin_misses = loop->spin_skip = loop->spin_skipped = 0;
        loop->asked = 0; /* nothing is learned of what a spin finds */
        return 1;
    }
    loop->spin_skipped = 0;
    if (++loop->spin_misses > 1)
        loop->spin_skip = loop->spin_skip ? (loop->spin_skip < SPIN_RARE ? loop->spin_skip * 2 : SPIN_RARE) : 1;
    return 0;
}

/* --- a round --- */

/* After a spin that found something: a system call for what else there may be is made now and then only. */
static int skips_poll(struct xk_loop *loop)
{
    if (++loop->unpolled < UNPOLLED && loop->spun - loop->polled < UNPOLLED_NS)
        return 1;
    loop->unpolled = 0;
    loop->polled = loop->spun;
    return 0;
}

/* A wait that may sleep is timed, if somebody wants to know: there are machines where reading a clock is a system call.
 */
static int wait_for_some(struct xk_loop *loop, xk_time deadline)
{
    xk_time start;
    int n;

    if (deadline == XK_NOW)
        return xk_wait(loop->platform, XK_NOW, loop->batch, BATCH);
    loop->stats.sleeps++;
    if (!loop->timed)
        return xk_wait(loop->platform, deadline, loop->batch, BATCH);
    start = xk_now(loop->platform);
    n = xk_wait(loop->platform, deadline, loop->batch, BATCH);
    loop->stats.idle_ns += (uint64_t)(xk_now(loop->platform) - start);
    return n;
}

/* The first part of a long wait for an answer, which usually ends with it. Peers have been asked to notify. @return 1:
 * a look found it */
static int nap(struct xk_loop *loop, const struct xk__nap_plan *plan, xk_time deadline)
{
    xk_time end = loop->asked + plan->sleep, now = xk_now(loop->platform);
    int some;

    loop->stats.naps++;
    if (plan->sleep && now < end) {
        loop->batch_count = wait_for_some(loop, end);
        now = xk_now(loop->platform);
        if (loop->batch_count || now < end)
            return 0;
        xk__nap_late(&loop->nap, now - end);
    }
    some = spin_until(loop, sooner(now + plan->spin, deadline), 0);
    xk__nap_found(&loop->nap, some);
    loop->stats.nap_hits += (unsigned)some;
    return some || look_once(loop, 1);
}

/* Waits with nothing to do until then. @return 1: a look found something; otherwise what is ready is in the batch */
static int rest(struct xk_loop *loop, xk_time deadline)
{
    struct xk__nap_plan plan;

    if (loop->asked && deadline != XK_NOW && xk__nap_plan(&loop->nap, loop->spin_max, &plan) &&
        deadline > loop->asked + plan.sleep) {
        if (nap(loop, &plan, deadline))
            return 1;
        if (loop->batch_count)
            return 0;
        deadline = sooner(deadline, xk_loop_next(loop)); /* a look may have started a timer */
    }
    loop->batch_count = wait_for_some(loop, deadline);
    return 0;
}

/* The answer came, by a look or, after a sleep, by an event; then what the wake-up costs, about a spin, is not its. */
static void learn(struct xk_loop *loop)
{
    xk_time took = xk_now(loop->platform) - loop->asked - (loop->batch_count ? loop->spin_max : 0);

    if (took > loop->spin_max)
        xk__nap_learn(&loop->nap, took);
}

int xk_loop_run_once(struct xk_loop *loop, xk_time deadline)
{
    int n = 0, spun = 0;

    loop->stats.rounds++;
    loop->batch_at = loop->batch_count = 0;
    deadline = sooner(deadline, xk_loop_next(loop));
    /* Peers are asked to notify only before a sleep: who made progress comes by again. */
    while ((n == 0 && (spun = spin(loop, deadline))) || look_once(loop, n == 0)) {
        deadline = XK_NOW; /* progress was made: fetch what else is there, do not sleep */
        if (loop->batch_count || ++n == BATCH)
            break;
    }
    deadline = sooner(deadline, xk_loop_next(loop)); /* who made no progress may have started a timer */
    if (!loop->batch_count && !(spun && skips_poll(loop)))
        n += rest(loop, deadline);
    if (loop->asked && (n || loop->batch_count > 0))
        learn(loop);
    if (loop->batch_count < 0) {
        int r = loop->batch_count;
        loop->batch_count = 0;
        return r;
    }
    while (loop->batch_at < loop->batch_count) {
        struct xk_ready r = loop->batch[loop->batch_at++];
        if (r.port >= 0) {
            call_port(loop, r.port);
        } else if (r.cookie) {
            struct xk_fd_watch *w = r.cookie;
            loop->stats.descriptors++;
            w->fn(w, r.events);
        } else {
            continue;
        }
        n++;
    }
    n += run_timers(loop);
    return n + run_deferred(loop);
}
