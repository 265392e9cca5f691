/* The world, its domains, its allocator and its faults. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/fake/private.h"
#include "platform/linux/sys.h"

uint64_t fake_random(struct xk_fake *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

int fake_fails(struct xk_fake *w, enum xk_fake_fault what)
{
    w->calls[what]++;
    if (!w->fail_at[what] || --w->fail_at[what])
        return 0;
    return 1;
}

void xk_fake_fail(struct xk_fake *w, enum xk_fake_fault what, unsigned nth) { w->fail_at[what] = nth; }

void xk_fake_map_max(struct xk_fake *w, unsigned pages) { w->map_max = pages; }

unsigned xk_fake_calls(struct xk_fake *w, enum xk_fake_fault what) { return w->calls[what]; }

void xk_fake_chaos(struct xk_fake *w, unsigned late, unsigned spurious)
{
    w->late = late;
    w->spurious = spurious;
}

/* The counting allocator. Growing and making are what can fail; shrinking and freeing cannot. */
static void *counted_resize(void *ctx, void *p, size_t old, size_t size)
{
    struct xk_fake *w = ctx;

    if (size > (p ? old : 0) && fake_fails(w, XK_FAKE_ALLOC))
        return NULL;
    if (!p && size)
        w->block_count++;
    if (p && !size)
        w->block_count--;
    return xk_resize(NULL, p, old, size);
}

const xk_alloc *xk_fake_alloc(struct xk_fake *w) { return &w->alloc; }

int xk_fake_create(uint64_t seed, struct xk_fake **out)
{
    struct xk_fake *w = xk_new(NULL, sizeof(*w));

    if (!w)
        return XK_ENOMEM;
    w->random = seed * 0x9e3779b97f4a7c15u + 1;
    if (!w->random)
        w->random = 1;
    w->now = XK_SECOND;
    w->alloc = (xk_alloc){counted_resize, w};
    w->memory = memfd_create("xenkit-fake", MFD_CLOEXEC);
    if (w->memory < 0) {
        xk_free(NULL, w, sizeof(*w));
        return xk__sys_err(errno);
    }
    *out = w;
    return 0;
}

static xk_domid get_domid(struct xk_platform *p) { return ((struct fake_domain *)p)->domid; }
static xk_time get_now(struct xk_platform *p) { return ((struct fake_domain *)p)->world->now; }

static int64_t get_wallclock(struct xk_platform *p)
{
    return 1767225600 * (int64_t)1000000000 + ((struct fake_domain *)p)->world->now; /* begins 2026-01-01 */
}

static int get_entropy(struct xk_platform *p, void *buf, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = (uint8_t)(fake_random(((struct fake_domain *)p)->world) >> 32);
    return 0;
}

/* The handle stays valid memory until the world ends, so that late callers get errors instead of crashes. */
static void close_domain(struct xk_platform *p)
{
    struct fake_domain *d = (struct fake_domain *)p;

    if (!d->closed)
        fake_domain_release(d);
}

static int one_cpu(struct xk_platform *p)
{
    (void)p;
    return 1;
}

static const struct xk_platform_ops fake_ops = {
    .version = XK_PLATFORM_VERSION,
    .name = "fake",
    .domid = get_domid,
    .close = close_domain,
    .page_share = fake_page_share,
    .page_unshare = fake_page_unshare,
    .page_forget = fake_page_forget,
    .page_map = fake_page_map,
    .page_unmap = fake_page_unmap,
    .page_copy = fake_page_copy,
    .evtchn_alloc = fake_evtchn_alloc,
    .evtchn_bind = fake_evtchn_bind,
    .evtchn_bind_virq = fake_evtchn_bind_virq,
    .evtchn_notify = fake_evtchn_notify,
    .evtchn_pending = fake_evtchn_pending,
    .evtchn_unmask = fake_evtchn_unmask,
    .evtchn_unbind = fake_evtchn_unbind,
    .evtchn_peer = fake_evtchn_peer,
    .wait = fake_wait,
    .watch_add = fake_watch_add,
    .watch_mod = fake_watch_mod,
    .watch_del = fake_watch_del,
    .store_page = fake_store_page,
    .console_page = fake_console_page,
    .handle_take = fake_handle_take,
    .domain_info = fake_domain_info,
    .domain_next = fake_domain_next,
    .domain_control = fake_domain_control,
    .now = get_now,
    .wallclock = get_wallclock,
    .entropy = get_entropy,
    .cpus = one_cpu,
};

int xk_fake_domain(struct xk_fake *w, const char *name, struct xk_platform **out)
{
    struct fake_domain *d;

    if (w->domain_count == FAKE_DOMAINS_MAX)
        return XK_ENOSPC;
    d = xk_new(NULL, sizeof(*d));
    if (!d)
        return XK_ENOMEM;
    d->base.ops = &fake_ops;
    d->world = w;
    d->domid = (xk_domid)w->domain_count;
    d->state = XK_DOMAIN_RUNNING;
    d->store_peer = d->console_peer = -1;
    d->next_run = XK_FOREVER;
    snprintf(d->name, sizeof(d->name), "%s", name);
    xk_list_init(&d->shares);
    xk_list_init(&d->maps);
    xk_list_init(&d->watches);
    w->domains[w->domain_count++] = d;
    fake_virq_raise(fake_find(w, 0), XK_VIRQ_TOOLSTACK);
    *out = &d->base;
    return 0;
}

struct report {
    char *text;
    size_t size, used;
    int count;
};

static void note(struct report *r, const char *fmt, ...) XK_PRINTF(2, 3);
static void note(struct report *r, const char *fmt, ...)
{
    va_list ap;
    int n;

    r->count++;
    if (r->used >= r->size)
        return;
    va_start(ap, fmt);
    n = vsnprintf(r->text + r->used, r->size - r->used, fmt, ap);
    va_end(ap);
    r->used += n > 0 ? (size_t)n : 0;
}

static void look(struct fake_domain *d, struct report *r)
{
    if (d->closed)
        return;
    XK_LIST_EACH(l, &d->shares)
    {
        struct fake_share *s = XK_CONTAINER(l, struct fake_share, link);
        if (s->first >= XK_GREF_RESERVED && !s->forgotten)
            note(r, "domain %u grants ref %u (%u pages)\n", d->domid, s->first, s->count);
    }
    XK_LIST_EACH(l, &d->maps)
    {
        struct fake_map *m = XK_CONTAINER(l, struct fake_map, link);
        note(r, "domain %u maps ref %u of domain %u (%u pages)\n", d->domid, m->refs[0], m->peer, m->count);
    }
    for (int i = 0; i < d->port_count; i++)
        if (d->ports[i].state != FPORT_FREE && !(d->store_peer >= 0 && i == d->store_port) &&
            !(d->console_peer >= 0 && i == d->console_port))
            note(r, "domain %u holds port %d\n", d->domid, i);
    XK_LIST_EACH(l, &d->watches)
    note(r, "domain %u watches descriptor %d\n", d->domid, XK_CONTAINER(l, struct fake_watch, link)->handle);
}

int xk_fake_destroy(struct xk_fake *w, char *report, size_t size)
{
    struct report r = {report, size, 0, 0};

    if (report && size)
        report[0] = '\0';
    for (unsigned i = 0; i < w->domain_count; i++)
        look(w->domains[i], &r);
    if (w->block_count)
        note(&r, "%u blocks of memory\n", w->block_count);
    for (unsigned i = 0; i < w->domain_count; i++)
        close_domain(&w->domains[i]->base);
    for (unsigned i = 0; i < w->domain_count; i++)
        xk_free(NULL, w->domains[i], sizeof(*w->domains[i]));
    close(w->memory);
    xk_free(NULL, w, sizeof(*w));
    return r.count;
}
