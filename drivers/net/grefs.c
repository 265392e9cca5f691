/* Pages that stay mapped: a table with open addresses, at most half full. SPDX-License-Identifier: MIT */
#include "drivers/net/grefs.h"

#include <string.h>

#include <xenkit/err.h>

#include "base/shared.h"

void grefs_init(struct grefs *g, const xk_alloc *alloc, struct xk_platform *platform, xk_domid front, unsigned most)
{
    memset(g, 0, sizeof(*g));
    g->alloc = alloc;
    g->platform = platform;
    g->front = front;
    g->most = most;
    for (g->mask = 15; g->mask < 2 * most; g->mask = g->mask * 2 + 1)
        ;
}

void grefs_fini(struct grefs *g)
{
    for (unsigned i = 0; g->page && i <= g->mask; i++)
        if (g->page[i].addr)
            xk_page_unmap(g->platform, g->page[i].addr, 1);
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

int grefs_add(struct grefs *g, xk_gref ref, int readonly)
{
    struct gref_page *p;
    void *addr;
    int r;

    if (g->count == g->most)
        return XK_ENOSPC;
    if (!g->page)
        g->page = xk_new(g->alloc, (g->mask + 1) * sizeof(*g->page));
    if (!g->page)
        return XK_ENOMEM;
    p = find(g, ref);
    if (p->addr)
        return XK_EEXIST;
    r = xk_page_map(g->platform, g->front, &ref, 1, readonly ? XK_PAGE_READONLY : 0, NULL, &addr);
    if (r < 0)
        return r;
    *p = (struct gref_page){addr, ref, (uint8_t)readonly};
    g->count++;
    return 0;
}

/* Those behind it that would not be found any more move up. */
int grefs_remove(struct grefs *g, xk_gref ref)
{
    struct gref_page *p = g->page ? find(g, ref) : NULL;
    unsigned hole, i;

    if (!p || !p->addr)
        return XK_ENOENT;
    xk_page_unmap(g->platform, p->addr, 1);
    g->count--;
    hole = (unsigned)(p - g->page);
    for (i = (hole + 1) & g->mask; g->page[i].addr; i = (i + 1) & g->mask) {
        unsigned home = home_of(g, g->page[i].ref);
        if (((i - home) & g->mask) >= ((i - hole) & g->mask)) {
            g->page[hole] = g->page[i];
            hole = i;
        }
    }
    g->page[hole].addr = NULL;
    return 0;
}

/* 1: it was copied here. */
static int copy_here(struct grefs *g, struct xk_page_copy *op, unsigned flags)
{
    const struct gref_page *p = find(g, op->ref);

    if (!p->addr || ((flags & XK_COPY_TO) && p->readonly) || (uint32_t)op->offset + op->len > XK_PAGE_SIZE)
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
