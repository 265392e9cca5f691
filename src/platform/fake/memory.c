/* Grants, strictly. All pages lie in one memfd of the world; sharing and mapping are maps of their own, so that a page
 * that was unmapped or ended faults when touched. References are of the granter, as on Xen. SPDX-License-Identifier:
 * MIT */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/shared.h"
#include "platform/fake/private.h"

static int grants_reserve(struct fake_domain *d, unsigned count)
{
    void *p;

    if (count <= d->grant_count)
        return 0;
    count = (count + 63) & ~63u;
    p = xk_resize(NULL, d->grants, d->grant_count * sizeof(*d->grants), count * sizeof(*d->grants));
    if (!p)
        return XK_ENOMEM;
    d->grants = p;
    memset(d->grants + d->grant_count, 0, (count - d->grant_count) * sizeof(*d->grants));
    d->grant_count = count;
    return 0;
}

static int find_run(struct fake_domain *d, unsigned count)
{
    unsigned run = 0;

    for (unsigned i = XK_GREF_RESERVED; i < d->grant_count; i++) {
        run = d->grants[i].used ? 0 : run + 1;
        if (run == count)
            return (int)(i + 1 - count);
    }
    return (int)(d->grant_count - run > XK_GREF_RESERVED ? d->grant_count - run : XK_GREF_RESERVED);
}

static void *place(struct xk_fake *w, uint32_t page, unsigned count, int prot)
{
    return mmap(NULL, (size_t)count * XK_PAGE_SIZE, prot, MAP_SHARED, w->memory, (off_t)page * XK_PAGE_SIZE);
}

static int grant(struct fake_domain *d, xk_domid peer, xk_gref first, unsigned count, int readonly, void **addr)
{
    struct xk_fake *w = d->world;
    struct fake_share *s;
    uint32_t page = w->pages;
    int r = grants_reserve(d, first + count);

    if (r < 0)
        return r;
    s = xk_new(NULL, sizeof(*s));
    if (!s || ftruncate(w->memory, (off_t)(w->pages + count) * XK_PAGE_SIZE) < 0) {
        xk_free(NULL, s, sizeof(*s));
        return XK_ENOMEM;
    }
    w->pages += count;
    s->addr = place(w, page, count, PROT_READ | PROT_WRITE);
    if (s->addr == MAP_FAILED) {
        xk_free(NULL, s, sizeof(*s));
        return XK_ENOMEM;
    }
    s->count = count;
    s->first = first;
    xk_list_add_tail(&d->shares, &s->link);
    for (unsigned i = 0; i < count; i++)
        d->grants[first + i] = (struct fake_grant){1, (uint8_t)readonly, peer, 0, page + i};
    *addr = s->addr;
    return 0;
}

static void retry_forgotten(struct fake_domain *d);

int fake_page_share(struct xk_platform *p, xk_domid peer, unsigned count, unsigned flags, xk_gref *refs, void **addr)
{
    struct fake_domain *d = (struct fake_domain *)p;
    int first, r;

    retry_forgotten(d);
    first = find_run(d, count);
    if (fake_fails(d->world, XK_FAKE_SHARE))
        return XK_ENOSPC;
    if (!fake_find(d->world, peer))
        return XK_EGONE;
    r = grant(d, peer, (xk_gref)first, count, (flags & XK_PAGE_READONLY) != 0, addr);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < count; i++)
        refs[i] = (xk_gref)first + i;
    return 0;
}

int fake_reserved_page(struct fake_domain *d, xk_domid peer, xk_gref ref, void **addr)
{
    return grant(d, peer, ref, 1, 0, addr);
}

static int end_share(struct fake_domain *d, struct fake_share *s)
{
    for (unsigned i = 0; i < s->count; i++)
        if (d->grants[s->first + i].mapped)
            return XK_EBUSY;
    munmap(s->addr, (size_t)s->count * XK_PAGE_SIZE);
    memset(&d->grants[s->first], 0, s->count * sizeof(*d->grants));
    xk_list_del(&s->link);
    xk_free(NULL, s, sizeof(*s));
    return 0;
}

static struct fake_share *find_share(struct fake_domain *d, const void *addr, unsigned count)
{
    XK_LIST_EACH(l, &d->shares)
    {
        struct fake_share *s = XK_CONTAINER(l, struct fake_share, link);
        if (s->addr == addr && s->count == count && !s->forgotten)
            return s;
    }
    return NULL;
}

int fake_page_unshare(struct xk_platform *p, void *addr, unsigned count)
{
    struct fake_share *s = find_share((struct fake_domain *)p, addr, count);

    return s ? end_share((struct fake_domain *)p, s) : XK_EINVAL;
}

int fake_page_forget(struct xk_platform *p, void *addr, unsigned count)
{
    struct fake_share *s = find_share((struct fake_domain *)p, addr, count);

    if (!s)
        return XK_EINVAL;
    if (end_share((struct fake_domain *)p, s) < 0)
        s->forgotten = 1;
    return 0;
}

static void retry_forgotten(struct fake_domain *d)
{
    XK_LIST_EACH_SAFE(l, &d->shares)
    if (XK_CONTAINER(l, struct fake_share, link)->forgotten)
        end_share(d, XK_CONTAINER(l, struct fake_share, link));
}

static int check_ref(struct fake_domain *granter, xk_domid mapper, xk_gref ref, unsigned flags)
{
    struct fake_grant *g = ref < granter->grant_count ? &granter->grants[ref] : NULL;

    if (!g || !g->used || g->peer != mapper)
        return XK_EINVAL;
    return g->readonly && !(flags & XK_PAGE_READONLY) ? XK_EACCES : 0;
}

static int map_pages(struct fake_domain *d, struct fake_domain *granter, struct fake_map *m, unsigned flags)
{
    int prot = flags & XK_PAGE_READONLY ? PROT_READ : PROT_READ | PROT_WRITE;

    m->addr = mmap(NULL, (size_t)m->count * XK_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->addr == MAP_FAILED)
        return XK_ENOMEM;
    for (unsigned i = 0; i < m->count; i++)
        if (mmap(m->addr + (size_t)i * XK_PAGE_SIZE, XK_PAGE_SIZE, prot, MAP_SHARED | MAP_FIXED, d->world->memory,
                 (off_t)granter->grants[m->refs[i]].page * XK_PAGE_SIZE) == MAP_FAILED) {
            munmap(m->addr, (size_t)m->count * XK_PAGE_SIZE);
            return XK_ENOMEM;
        }
    return 0;
}

static unsigned mapped(const struct fake_domain *d)
{
    unsigned n = 0;

    XK_LIST_EACH(l, &d->maps) { n += XK_CONTAINER(l, struct fake_map, link)->count; }
    return n;
}

int fake_page_map(struct xk_platform *p, xk_domid peer, const xk_gref *refs, unsigned count, unsigned flags,
                  int *status, void **addr)
{
    struct fake_domain *d = (struct fake_domain *)p, *g = fake_find(d->world, peer);
    int first = g ? 0 : XK_EGONE, r;
    struct fake_map *m;

    for (unsigned i = 0; i < count; i++) {
        r = !g ? XK_EGONE : fake_fails(d->world, XK_FAKE_MAP) ? XK_ENOSPC : check_ref(g, d->domid, refs[i], flags);
        if (status)
            status[i] = r;
        if (first == 0)
            first = r;
    }
    if (first == 0 && d->world->map_max && mapped(d) + count > d->world->map_max)
        first = XK_ENOSPC;
    if (first < 0)
        return first;
    m = xk_new(NULL, sizeof(*m) + count * sizeof(*refs));
    if (!m)
        return XK_ENOMEM;
    m->count = count;
    m->peer = peer;
    memcpy(m->refs, refs, count * sizeof(*refs));
    r = map_pages(d, g, m, flags);
    if (r < 0) {
        xk_free(NULL, m, sizeof(*m) + count * sizeof(*refs));
        return r;
    }
    for (unsigned i = 0; i < count; i++)
        g->grants[refs[i]].mapped++;
    xk_list_add_tail(&d->maps, &m->link);
    *addr = m->addr;
    return 0;
}

static void unmap(struct fake_domain *d, struct fake_map *m)
{
    struct fake_domain *g = d->world->domains[m->peer];

    munmap(m->addr, (size_t)m->count * XK_PAGE_SIZE);
    for (unsigned i = 0; g && i < m->count; i++)
        if (m->refs[i] < g->grant_count && g->grants[m->refs[i]].mapped)
            g->grants[m->refs[i]].mapped--;
    xk_list_del(&m->link);
    xk_free(NULL, m, sizeof(*m) + m->count * sizeof(*m->refs));
}

int fake_page_unmap(struct xk_platform *p, void *addr, unsigned count)
{
    struct fake_domain *d = (struct fake_domain *)p;

    XK_LIST_EACH(l, &d->maps)
    {
        struct fake_map *m = XK_CONTAINER(l, struct fake_map, link);
        if (m->addr != addr || m->count != count)
            continue;
        unmap(d, m);
        return 0;
    }
    return XK_EINVAL;
}

/* Maps (g)'s page for one copy. */
static int copy_map(struct fake_domain *d, struct fake_domain *g, xk_gref ref, unsigned flags, void **at)
{
    int r = g ? check_ref(g, d->domid, ref, flags) : XK_EGONE;

    if (r < 0)
        return r;
    *at = place(d->world, g->grants[ref].page, 1, PROT_READ | PROT_WRITE);
    return *at == MAP_FAILED ? XK_ENOMEM : 0;
}

static int copy_one(struct fake_domain *d, struct fake_domain *g, struct xk_page_copy *op, unsigned flags)
{
    int r = fake_fails(d->world, XK_FAKE_COPY) ? XK_ENOSPC : 0;
    void *at, *from = NULL;

    if (r == 0)
        r = copy_map(d, g, op->ref, flags & XK_COPY_TO ? 0 : XK_PAGE_READONLY, &at);
    if (r < 0)
        return r;
    if (!op->local)
        r = copy_map(d, fake_find(d->world, op->from.peer), op->from.ref, XK_PAGE_READONLY, &from);
    if (r == 0 && flags & XK_COPY_TO)
        xk_shared_copy_in((uint8_t *)at + op->offset, op->local ? op->local : (uint8_t *)from + op->from.offset,
                          op->len);
    else if (r == 0)
        xk_shared_copy_out(op->local, (uint8_t *)at + op->offset, op->len);
    munmap(at, XK_PAGE_SIZE);
    if (r == 0 && from)
        munmap(from, XK_PAGE_SIZE);
    return r;
}

int fake_page_copy(struct xk_platform *p, xk_domid peer, struct xk_page_copy *ops, unsigned count, unsigned flags)
{
    struct fake_domain *d = (struct fake_domain *)p, *g = fake_find(d->world, peer);
    int first = 0;

    for (unsigned i = 0; i < count; i++) {
        ops[i].status = copy_one(d, g, &ops[i], flags);
        if (first == 0)
            first = ops[i].status;
    }
    return first;
}

void fake_memory_fini(struct fake_domain *d)
{
    XK_LIST_EACH_SAFE(l, &d->maps)
    unmap(d, XK_CONTAINER(l, struct fake_map, link));
    XK_LIST_EACH_SAFE(l, &d->shares)
    {
        struct fake_share *s = XK_CONTAINER(l, struct fake_share, link);
        munmap(s->addr, (size_t)s->count * XK_PAGE_SIZE);
        xk_list_del(l);
        xk_free(NULL, s, sizeof(*s));
    }
    xk_free(NULL, d->grants, d->grant_count * sizeof(*d->grants));
    d->grants = NULL;
    d->grant_count = 0;
}
