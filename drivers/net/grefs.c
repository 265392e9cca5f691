/* Pages that stay mapped: a table with open addresses, at most half full. SPDX-License-Identifier: MIT */
#include "drivers/net/grefs.h"

#include <string.h>

#include <xenkit/err.h>

#include "base/shared.h"

enum { RUN_MAX = 512 };

void grefs_init(struct grefs *g, const xk_alloc *alloc, struct xk_platform *platform, xk_domid front, unsigned most)
{
    memset(g, 0, sizeof(*g));
    g->alloc = alloc;
    g->platform = platform;
    g->front = front;
    g->most = most;
    xk_list_init(&g->runs);
    for (g->mask = 15; g->mask < 2 * most; g->mask = g->mask * 2 + 1)
        ;
}

static void end_run(struct grefs *g, struct gref_run *run)
{
    xk_list_del(&run->link);
    xk_page_unmap(g->platform, run->addr, run->pages);
    xk_free(g->alloc, run, sizeof(*run));
}

void grefs_fini(struct grefs *g)
{
    XK_LIST_EACH_SAFE(l, &g->runs)
    end_run(g, XK_CONTAINER(l, struct gref_run, link));
    if (g->page)
        xk_free(g->alloc, g->page, (g->mask + 1) * sizeof(*g->page));
    g->page = NULL;
    g->count = 0;
}

static unsigned home_of(const struct grefs *g, xk_gref ref) { return (ref * 2654435761u >> 8) & g->mask; }

/* Its place, or the free one where it would go. */
static struct gref_page *find(const struct grefs *g, xk_gref ref)
{
    unsigned i = home_of(g, ref);

    while (g->page[i].addr && g->page[i].ref != ref)
        i = (i + 1) & g->mask;
    return &g->page[i];
}

/* Those behind it that would not be found any more move up. */
static void erase(struct grefs *g, struct gref_page *p)
{
    unsigned hole = (unsigned)(p - g->page);

    g->count--;
    for (unsigned i = (hole + 1) & g->mask; g->page[i].addr; i = (i + 1) & g->mask) {
        unsigned home = home_of(g, g->page[i].ref);
        if (((i - home) & g->mask) >= ((i - hole) & g->mask)) {
            g->page[hole] = g->page[i];
            hole = i;
        }
    }
    g->page[hole].addr = NULL;
}

/* Puts the pages of (run) in the table: so many, fewer than (n): the next one is there already. */
static unsigned enter(struct grefs *g, struct gref_run *run, const xk_gref *refs, unsigned n, int readonly)
{
    for (unsigned i = 0; i < n; i++) {
        struct gref_page *p = find(g, refs[i]);
        if (p->addr)
            return i;
        p->addr = run->addr + (size_t)i * XK_PAGE_SIZE;
        p->run = run;
        p->ref = refs[i];
        p->readonly = (uint8_t)readonly;
        g->count++;
    }
    return n;
}

int grefs_add(struct grefs *g, const xk_gref *refs, unsigned n, int readonly)
{
    struct gref_run *run;
    unsigned entered;
    void *addr;
    int r;

    if (n > g->most - g->count || n > RUN_MAX)
        return XK_ENOSPC;
    if (!g->page)
        g->page = xk_new(g->alloc, (g->mask + 1) * sizeof(*g->page));
    run = g->page ? xk_new(g->alloc, sizeof(*run)) : NULL;
    if (!run)
        return XK_ENOMEM;
    r = xk_page_map(g->platform, g->front, refs, n, readonly ? XK_PAGE_READONLY : 0, NULL, &addr);
    if (r < 0) {
        xk_free(g->alloc, run, sizeof(*run));
        return r;
    }
    run->addr = addr;
    run->pages = n;
    xk_list_add_tail(&g->runs, &run->link);
    entered = enter(g, run, refs, n, readonly);
    if (entered == n)
        return 0;
    while (entered-- > 0)
        erase(g, find(g, refs[entered]));
    end_run(g, run);
    return XK_EEXIST;
}

/* The other pages of its run are mapped anew, each by itself: a guest takes single pages back only at its end. */
int grefs_remove(struct grefs *g, xk_gref ref)
{
    struct gref_page *p = g->page ? find(g, ref) : NULL, others[RUN_MAX];
    struct gref_run *run;
    unsigned n = 0;

    if (!p || !p->addr)
        return XK_ENOENT;
    run = p->run;
    erase(g, p);
    for (unsigned i = 0; run->pages > 1 && i <= g->mask; i++)
        if (g->page[i].addr && g->page[i].run == run)
            others[n++] = g->page[i];
    for (unsigned i = 0; i < n; i++)
        erase(g, find(g, others[i].ref));
    end_run(g, run);
    for (unsigned i = 0; i < n; i++)
        (void)!grefs_add(g, &others[i].ref, 1, others[i].readonly);
    return 0;
}

/* 1: it was copied here. */
static int copy_here(struct grefs *g, struct xk_page_copy *op, unsigned flags)
{
    const struct gref_page *p = find(g, op->ref);

    if (!p->addr || !op->local || ((flags & XK_COPY_TO) && p->readonly) ||
        (uint32_t)op->offset + op->len > XK_PAGE_SIZE)
        return 0;
    if (flags & XK_COPY_TO)
        xk_shared_copy_in(p->addr + op->offset, op->local, op->len);
    else
        xk_shared_copy_out(op->local, p->addr + op->offset, op->len);
    op->status = 0;
    return 1;
}

unsigned grefs_copy(struct grefs *g, struct xk_page_copy *ops, unsigned count, unsigned flags)
{
    unsigned calls = 0, from = 0;

    for (unsigned i = 0; i < count && g->count; i++) {
        if (!copy_here(g, &ops[i], flags))
            continue;
        if (i > from) {
            xk_page_copy(g->platform, g->front, ops + from, i - from, flags);
            calls++;
        }
        from = i + 1;
    }
    if (count > from) {
        xk_page_copy(g->platform, g->front, ops + from, count - from, flags);
        calls++;
    }
    return calls;
}
