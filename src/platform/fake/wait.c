/* The scheduler: while one domain waits, others run; when nobody can, virtual time jumps. SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "platform/fake/private.h"

static int runnable(struct fake_domain *d)
{
    return d && d->run && !d->running && !d->closed && d->state == XK_DOMAIN_RUNNING &&
           (fake_has_pending(d) || d->next_run <= d->world->now);
}

static void run_one(struct fake_domain *d)
{
    d->running = 1;
    d->next_run = XK_FOREVER;
    d->next_run = d->run(d->run_arg);
    d->running = 0;
}

/* Runs one other domain that has something to do; which one, the seed decides. */
static int step(struct xk_fake *w)
{
    unsigned start = w->domain_count ? (unsigned)(fake_random(w) % w->domain_count) : 0;

    for (unsigned i = 0; i < w->domain_count; i++) {
        struct fake_domain *d = w->domains[(start + i) % w->domain_count];
        if (runnable(d)) {
            run_one(d);
            return 1;
        }
    }
    return 0;
}

/* The next moment at which anything at all happens. */
static xk_time next_moment(struct xk_fake *w)
{
    xk_time next = fake_next_late(w);

    for (unsigned i = 0; i < w->domain_count; i++) {
        struct fake_domain *d = w->domains[i];
        if (d && d->run && !d->running && !d->closed && d->next_run < next)
            next = d->next_run;
    }
    return next;
}

static void pass(struct xk_fake *w, xk_time to)
{
    if (to > w->now)
        w->now = to;
    fake_deliver_late(w);
}

static int collect(struct fake_domain *d, struct xk_ready *ready, int max)
{
    int n = 0, port;

    while (n < max && (port = fake_evtchn_pending(&d->base)) >= 0)
        ready[n++] = (struct xk_ready){NULL, port, 0};
    return n;
}

int fake_wait(struct xk_platform *p, xk_time deadline, struct xk_ready *ready, int max)
{
    struct fake_domain *d = (struct fake_domain *)p;
    struct xk_fake *w = d->world;
    xk_time next;
    int n;

    for (;;) {
        fake_deliver_late(w);
        n = collect(d, ready, max);
        if (n > 0 || deadline == XK_NOW)
            return n;
        if (step(w))
            continue;
        next = next_moment(w);
        if (next > deadline)
            next = deadline;
        if (next == XK_FOREVER)
            return XK_ETIMEDOUT; /* all wait, for ever: in a test that is a dead lock */
        pass(w, next);
        if (w->now >= deadline)
            return collect(d, ready, max);
    }
}

void xk_fake_run_with(struct xk_platform *p, xk_time (*fn)(void *arg), void *arg)
{
    struct fake_domain *d = (struct fake_domain *)p;

    d->run = fn;
    d->run_arg = arg;
    d->next_run = d->world->now;
}

void xk_fake_advance(struct xk_fake *w, xk_time ns)
{
    xk_time end = w->now + ns;

    for (;;) {
        while (step(w))
            ;
        if (next_moment(w) >= end)
            break;
        pass(w, next_moment(w));
    }
    pass(w, end);
    while (step(w))
        ;
}

/* There are no descriptors here; a watch is remembered, so that a leak is seen, and never ready. */
int fake_watch_add(struct xk_platform *p, int handle, unsigned events, void *cookie)
{
    struct fake_watch *watch = xk_new(NULL, sizeof(*watch));

    if (!watch)
        return XK_ENOMEM;
    watch->handle = handle;
    watch->events = events;
    watch->cookie = cookie;
    xk_list_add_tail(&((struct fake_domain *)p)->watches, &watch->link);
    return 0;
}

static struct fake_watch *find_watch(struct xk_platform *p, int handle)
{
    XK_LIST_EACH(l, &((struct fake_domain *)p)->watches)
    {
        struct fake_watch *watch = XK_CONTAINER(l, struct fake_watch, link);
        if (watch->handle == handle)
            return watch;
    }
    return NULL;
}

int fake_watch_mod(struct xk_platform *p, int handle, unsigned events, void *cookie)
{
    struct fake_watch *watch = find_watch(p, handle);

    if (!watch)
        return XK_ENOENT;
    watch->events = events;
    watch->cookie = cookie;
    return 0;
}

int fake_watch_del(struct xk_platform *p, int handle)
{
    struct fake_watch *watch = find_watch(p, handle);

    if (!watch)
        return XK_ENOENT;
    xk_list_del(&watch->link);
    xk_free(NULL, watch, sizeof(*watch));
    return 0;
}
