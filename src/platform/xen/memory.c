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
    struct xen_pages *own; /* a map of a share of our own: that share */
    unsigned own_maps;     /* a share: how often we map it ourselves */
    int kernel;            /* a map of dom0's store page, which its kernel lends */
    xk_gref refs[];        /* of a share */
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

/* (refs) NULL: a map, which needs none. */
static size_t size_of(const xk_gref *refs, unsigned count)
{
    return sizeof(struct xen_pages) + (refs ? count * sizeof(*refs) : 0);
}

static int keep(struct xen *x, struct xk_list *list, void *addr, unsigned count, const xk_gref *refs)
{
    struct xen_pages *pages = xk_new(&x->alloc, size_of(refs, count));

    if (!pages)
        return XK_ENOMEM;
    pages->addr = addr;
    pages->count = count;
    if (refs)
        memcpy(pages->refs, refs, count * sizeof(*refs));
    xk_list_add_tail(list, &pages->link);
    return 0;
}

static void drop(struct xen *x, struct xen_pages *pages, int is_share)
{
    xk_list_del(&pages->link);
    xk_free(&x->alloc, pages, size_of(is_share ? pages->refs : NULL, pages->count));
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
    r = keep(x, &x->shares, at, count, refs);
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
    if (pages->own_maps)
        return XK_EBUSY;
    xengntshr_unshare(x->gntshr, addr, count);
    drop(x, pages, 1);
    return 0;
}

/* Xen takes a page away from its own place when its domain maps it at another. So a share of this handle, to this
 * domain, is not mapped but found: all its references, in their order. */
static int map_own(struct xen *x, const xk_gref *refs, unsigned count, void **addr)
{
    XK_LIST_EACH_SAFE(l, &x->shares)
    {
        struct xen_pages *share = XK_CONTAINER(l, struct xen_pages, link), *map;
        if (share->count != count || memcmp(share->refs, refs, count * sizeof(*refs)))
            continue;
        map = xk_new(&x->alloc, size_of(NULL, count));
        if (!map)
            return XK_ENOMEM;
        map->addr = *addr = share->addr;
        map->count = count;
        map->own = share;
        share->own_maps++;
        xk_list_add_tail(&x->maps, &map->link);
        return 0;
    }
    return XK_EINVAL;
}

/* Dom0's store page, for a store in dom0: no grant, as a domain cannot map what it granted to itself. */
static int map_store(struct xen *x, void **addr)
{
    void *at = mmap(NULL, XK_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, x->xsd_kva, 0);
    int r = at == MAP_FAILED ? xk__sys_err(errno) : keep(x, &x->maps, at, 1, NULL);

    if (r < 0) {
        if (at != MAP_FAILED)
            munmap(at, XK_PAGE_SIZE);
        return r;
    }
    XK_CONTAINER(x->maps.prev, struct xen_pages, link)->kernel = 1;
    *addr = at;
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
    void *at;
    int r = 0;

    if (peer == x->domid && x->xsd_kva >= 0 && count == 1 && refs[0] == XK_GREF_STORE)
        return map_store(x, addr);
    if (peer == x->domid)
        return map_own(x, refs, count, addr);
    at = map(x, peer, refs, count, flags);
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
    r = keep(x, &x->maps, at, count, NULL);
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
    if (pages->own)
        pages->own->own_maps--;
    else if (pages->kernel)
        munmap(addr, XK_PAGE_SIZE);
    else if (xengnttab_unmap(x->gnttab, addr, count) < 0)
        return xk__sys_err(errno);
    drop(x, pages, 0);
    return 0;
}

/* Through gntdev, in batches: one hypercall each. */
static int copy_some(struct xen *x, xk_domid peer, struct xk_page_copy *ops, unsigned count, unsigned flags)
{
    xengnttab_grant_copy_segment_t seg[BATCH];
    int to = (flags & XK_COPY_TO) != 0, first = 0;

    memset(seg, 0, count * sizeof(seg[0]));
    for (unsigned i = 0; i < count; i++) {
        union xengnttab_copy_ptr *far = to ? &seg[i].dest : &seg[i].source, *near = to ? &seg[i].source : &seg[i].dest;
        far->foreign.ref = ops[i].ref;
        far->foreign.offset = ops[i].offset;
        far->foreign.domid = peer;
        seg[i].len = ops[i].len;
        seg[i].flags = to ? GNTCOPY_dest_gref : GNTCOPY_source_gref;
        if (ops[i].local) {
            near->virt = ops[i].local;
            continue;
        }
        near->foreign.ref = ops[i].from.ref;
        near->foreign.offset = ops[i].from.offset;
        near->foreign.domid = ops[i].from.peer;
        seg[i].flags |= GNTCOPY_source_gref;
    }
    if (xengnttab_grant_copy(x->gnttab, count, seg) < 0)
        first = xk__sys_err(errno);
    for (unsigned i = 0; i < count; i++) {
        int16_t s = seg[i].status;
        ops[i].status = first                          ? first
                        : s == GNTST_okay              ? 0
                        : s == GNTST_permission_denied ? XK_EACCES
                        : s == GNTST_bad_domain        ? XK_EGONE
                                                       : XK_EINVAL;
    }
    return 0;
}

int xen_page_copy(struct xk_platform *p, xk_domid peer, struct xk_page_copy *ops, unsigned count, unsigned flags)
{
    struct xen *x = (struct xen *)p;

    for (unsigned at = 0; at < count; at += BATCH)
        copy_some(x, peer, ops + at, count - at < BATCH ? count - at : BATCH, flags);
    for (unsigned i = 0; i < count; i++)
        if (ops[i].status < 0)
            return ops[i].status;
    return 0;
}

void xen_memory_fini(struct xen *x)
{
    XK_LIST_EACH_SAFE(l, &x->maps)
    {
        struct xen_pages *pages = XK_CONTAINER(l, struct xen_pages, link);
        if (pages->kernel)
            munmap(pages->addr, XK_PAGE_SIZE);
        else if (!pages->own)
            xengnttab_unmap(x->gnttab, pages->addr, pages->count);
        drop(x, pages, 0);
    }
    XK_LIST_EACH_SAFE(l, &x->shares)
    {
        struct xen_pages *pages = XK_CONTAINER(l, struct xen_pages, link);
        xengntshr_unshare(x->gntshr, pages->addr, pages->count);
        drop(x, pages, 1);
    }
}
