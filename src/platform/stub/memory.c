/* Grants by the kernel's private calls. What was forgotten while a peer had it mapped waits in quarantine and is tried
 * again whenever something is shared. SPDX-License-Identifier: MIT */
#include "platform/stub/private.h"

struct stub_pages {
    struct xk_list link;
    void *addr;
    unsigned count;
    int forgotten;
};

static struct stub_pages *find(struct xk_list *list, void *addr, unsigned count)
{
    XK_LIST_EACH_SAFE(l, list)
    {
        struct stub_pages *s = XK_CONTAINER(l, struct stub_pages, link);
        if (s->addr == addr && s->count == count && !s->forgotten)
            return s;
    }
    return NULL;
}

static void drop(struct stub *s, struct stub_pages *pages)
{
    xk_list_del(&pages->link);
    xk_free(&s->alloc, pages, sizeof(*pages));
}

static int end(struct stub_pages *pages)
{
    return stub_call2(XK__STUB_UNSHARE, (uint64_t)(uintptr_t)pages->addr, pages->count);
}

static void try_forgotten(struct stub *s)
{
    XK_LIST_EACH_SAFE(l, &s->shares)
    {
        struct stub_pages *pages = XK_CONTAINER(l, struct stub_pages, link);
        if (pages->forgotten && end(pages) == 0)
            drop(s, pages);
    }
}

int stub_page_share(struct xk_platform *p, xk_domid peer, unsigned count, unsigned flags, xk_gref *refs, void **addr)
{
    struct stub *s = (struct stub *)p;
    struct stub_pages *pages = xk_new(&s->alloc, sizeof(*pages));
    uint64_t at = 0;
    int r;

    if (!pages)
        return XK_ENOMEM;
    try_forgotten(s);
    r = (int)stub_call(XK__STUB_SHARE, peer, count, flags & XK_PAGE_READONLY ? XK__STUB_READONLY : 0,
                       (uint64_t)(uintptr_t)refs, (uint64_t)(uintptr_t)&at, 0);
    if (r < 0) {
        xk_free(&s->alloc, pages, sizeof(*pages));
        return r;
    }
    pages->addr = *addr = (void *)(uintptr_t)at;
    pages->count = count;
    xk_list_add_tail(&s->shares, &pages->link);
    return 0;
}

int stub_page_unshare(struct xk_platform *p, void *addr, unsigned count)
{
    struct stub *s = (struct stub *)p;
    struct stub_pages *pages = find(&s->shares, addr, count);
    int r = pages ? end(pages) : XK_EINVAL;

    if (r == 0)
        drop(s, pages);
    return r;
}

int stub_page_forget(struct xk_platform *p, void *addr, unsigned count)
{
    struct stub *s = (struct stub *)p;
    struct stub_pages *pages = find(&s->shares, addr, count);

    if (!pages)
        return XK_EINVAL;
    pages->forgotten = 1;
    try_forgotten(s);
    return 0;
}

int stub_page_map(struct xk_platform *p, xk_domid peer, const xk_gref *refs, unsigned count, unsigned flags,
                  int *status, void **addr)
{
    struct stub *s = (struct stub *)p;
    struct stub_pages *pages = xk_new(&s->alloc, sizeof(*pages));
    uint64_t at = 0;
    int r;

    if (!pages)
        return XK_ENOMEM;
    r = (int)stub_call(XK__STUB_MAP, peer, (uint64_t)(uintptr_t)refs, count,
                       flags & XK_PAGE_READONLY ? XK__STUB_READONLY : 0, (uint64_t)(uintptr_t)status,
                       (uint64_t)(uintptr_t)&at);
    if (r < 0) {
        xk_free(&s->alloc, pages, sizeof(*pages));
        return r;
    }
    pages->addr = *addr = (void *)(uintptr_t)at;
    pages->count = count;
    xk_list_add_tail(&s->maps, &pages->link);
    return 0;
}

static int unmap(struct stub_pages *pages)
{
    return stub_call2(XK__STUB_UNMAP, (uint64_t)(uintptr_t)pages->addr, pages->count);
}

int stub_page_unmap(struct xk_platform *p, void *addr, unsigned count)
{
    struct stub *s = (struct stub *)p;
    struct stub_pages *pages = find(&s->maps, addr, count);
    int r = pages ? unmap(pages) : XK_EINVAL;

    if (r == 0)
        drop(s, pages);
    return r;
}

_Static_assert(sizeof(struct xk_page_copy) == sizeof(struct xk__stub_copy), "the kernel reads them as they are");
_Static_assert(offsetof(struct xk_page_copy, status) == offsetof(struct xk__stub_copy, status), "so, too");
_Static_assert(offsetof(struct xk_page_copy, from) == offsetof(struct xk__stub_copy, from_ref) &&
                   offsetof(struct xk_page_place, peer) == 4 && offsetof(struct xk_page_place, offset) == 6,
               "and this");

int stub_page_copy(struct xk_platform *p, xk_domid peer, struct xk_page_copy *ops, unsigned count, unsigned flags)
{
    int r = (int)stub_call(XK__STUB_COPY, peer, (uint64_t)(uintptr_t)ops, count,
                           flags & XK_COPY_TO ? XK__STUB_COPY_TO : 0, 0, 0);

    (void)p;
    for (unsigned i = 0; r == 0 && i < count; i++)
        if (ops[i].status < 0)
            r = ops[i].status;
    return r;
}

void stub_memory_fini(struct stub *s)
{
    XK_LIST_EACH_SAFE(l, &s->maps)
    {
        unmap(XK_CONTAINER(l, struct stub_pages, link));
        drop(s, XK_CONTAINER(l, struct stub_pages, link));
    }
    XK_LIST_EACH_SAFE(l, &s->shares)
    {
        end(XK_CONTAINER(l, struct stub_pages, link));
        drop(s, XK_CONTAINER(l, struct stub_pages, link));
    }
}
