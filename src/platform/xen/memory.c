/* Grants through gntalloc (what we share) and gntdev (what we map). SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/xen/private.h"

enum { BATCH = 128 };

struct xen_pages {
    struct xk_list link;
    void *addr;
    unsigned count;
};

static struct xen_pages *find(struct xk_list *list, void *addr, unsigned count)
{
    XK_LIST_EACH_SAFE(l, list)
    {
        struct xen_pages *s = XK_CONTAINER(l, struct xen_pages, link);
        if (s->addr == addr && s->count == count)
            return s;
    }
    return NULL;
}

static int keep(struct xen *x, struct xk_list *list, void *addr, unsigned count)
{
    struct xen_pages *pages = xk_new(&x->alloc, sizeof(*pages));

    if (!pages)
        return XK_ENOMEM;
    pages->addr = addr;
    pages->count = count;
    xk_list_add_tail(list, &pages->link);
    return 0;
}

static void drop(struct xen *x, struct xen_pages *pages)
{
    xk_list_del(&pages->link);
    xk_free(&x->alloc, pages, sizeof(*pages));
}

/* Linux's bound on shared pages (module parameter gntalloc.limit) shows as ENOSPC. */
int xen_page_share(struct xk_platform *p, xk_domid peer, unsigned count, unsigned flags, xk_gref *refs, void **addr)
{
    struct xen *x = (struct xen *)p;
    void *at;
    int r;

    if (!x->gntshr)
        return XK_ENODEV;
    at = xengntshr_share_pages(x->gntshr, peer, (int)count, refs, !(flags & XK_PAGE_READONLY));
    if (!at)
        return errno == ENOMEM ? XK_ENOMEM : errno == ENOSPC ? XK_ENOSPC : xk__sys_err(errno);
    r = keep(x, &x->shares, at, count);
    if (r < 0) {
        xengntshr_unshare(x->gntshr, at, count);
        return r;
    }
    memset(at, 0, (size_t)count * XK_PAGE_SIZE);
    *addr = at;
    return 0;
}

int xen_page_unshare(struct xk_platform *p, void *addr, unsigned count)
{
    struct xen *x = (struct xen *)p;
    struct xen_pages *pages = find(&x->shares, addr, count);

    if (!pages)
        return XK_EINVAL;
    xengntshr_unshare(x->gntshr, addr, count);
    drop(x, pages);
    return 0;
}

static void *map(struct xen *x, xk_domid peer, const xk_gref *refs, unsigned count, unsigned flags)
{
    uint32_t copy[BATCH * 8];

    if (count > sizeof(copy) / sizeof(*copy))
        return NULL;
    memcpy(copy, refs, count * sizeof(*refs));
    return xengnttab_map_domain_grant_refs(x->gnttab, count, peer, copy,
                                           flags & XK_PAGE_READONLY ? PROT_READ : PROT_READ | PROT_WRITE);
}

/* What is wrong with one reference: gntdev does not say, so it is mapped alone, and once more for reading. */
static int why(struct xen *x, xk_domid peer, xk_gref ref, unsigned flags)
{
    void *at = map(x, peer, &ref, 1, flags);
    int r = at ? 0 : XK_EINVAL;

    if (!at && !(flags & XK_PAGE_READONLY) && (at = map(x, peer, &ref, 1, XK_PAGE_READONLY)))
        r = XK_EACCES;
    if (at)
        xengnttab_unmap(x->gnttab, at, 1);
    return r;
}

int xen_page_map(struct xk_platform *p, xk_domid peer, const xk_gref *refs, unsigned count, unsigned flags, int *status,
                 void **addr)
{
    struct xen *x = (struct xen *)p;
    void *at = map(x, peer, refs, count, flags);
    int r = 0;

    if (!at) {
        for (unsigned i = 0; i < count; i++) {
            int e = why(x, peer, refs[i], flags);
            if (status)
                status[i] = e;
            if (r == 0)
                r = e;
        }
        return r ? r : XK_ENOSPC;
    }
    r = keep(x, &x->maps, at, count);
    if (r < 0) {
        xengnttab_unmap(x->gnttab, at, count);
        return r;
    }
    if (status)
        memset(status, 0, count * sizeof(*status));
    *addr = at;
    return 0;
}

int xen_page_unmap(struct xk_platform *p, void *addr, unsigned count)
{
    struct xen *x = (struct xen *)p;
    struct xen_pages *pages = find(&x->maps, addr, count);

    if (!pages)
        return XK_EINVAL;
    if (xengnttab_unmap(x->gnttab, addr, count) < 0)
        return xk__sys_err(errno);
    drop(x, pages);
    return 0;
}

void xen_memory_fini(struct xen *x)
{
    XK_LIST_EACH_SAFE(l, &x->maps)
    {
        struct xen_pages *pages = XK_CONTAINER(l, struct xen_pages, link);
        xengnttab_unmap(x->gnttab, pages->addr, pages->count);
        drop(x, pages);
    }
    XK_LIST_EACH_SAFE(l, &x->shares)
    {
        struct xen_pages *pages = XK_CONTAINER(l, struct xen_pages, link);
        xengntshr_unshare(x->gntshr, pages->addr, pages->count);
        drop(x, pages);
    }
}
