/* Mapped pages that stay. SPDX-License-Identifier: MIT */
#include "drivers/block/pages.h"

#include <xenkit/err.h>

static struct blk_page **slot_of(struct blk_pages *p, xk_gref ref)
{
    return &p->bucket[(ref * 2654435761u >> 8) & p->mask];
}

int blk_pages_init(struct blk_pages *p, const xk_alloc *alloc, struct xk_platform *platform, xk_domid front,
                   unsigned keep)
{
    p->alloc = alloc;
    p->platform = platform;
    p->front = front;
    p->keep = keep;
    xk_list_init(&p->used);
    if (keep == 0)
        return 0;
    for (p->mask = 15; p->mask < keep; p->mask = p->mask * 2 + 1)
        ;
    p->bucket = xk_new(alloc, (p->mask + 1) * sizeof(*p->bucket));
    return p->bucket ? 0 : XK_ENOMEM;
}

static void drop(struct blk_pages *p, struct blk_page *page)
{
    struct blk_page **at = slot_of(p, page->ref);

    while (*at != page)
        at = &(*at)->next;
    *at = page->next;
    xk_list_del(&page->used);
    xk_page_unmap(p->platform, page->addr, 1);
    xk_free(p->alloc, page, sizeof(*page));
    p->kept--;
}

void blk_pages_fini(struct blk_pages *p)
{
    XK_LIST_EACH_SAFE(l, &p->used)
    drop(p, XK_CONTAINER(l, struct blk_page, used));
    if (p->bucket)
        xk_free(p->alloc, p->bucket, (p->mask + 1) * sizeof(*p->bucket));
    p->bucket = NULL;
}

void blk_pages_give_back(struct blk_pages *p)
{
    XK_LIST_EACH_SAFE(l, &p->used)
    {
        struct blk_page *page = XK_CONTAINER(l, struct blk_page, used);
        if (!page->users)
            drop(p, page);
    }
}

/* Room for one more: the page that was not used for the longest time goes. */
static int make_room(struct blk_pages *p)
{
    if (p->kept < p->keep)
        return 0;
    XK_LIST_EACH(l, &p->used)
    {
        struct blk_page *page = XK_CONTAINER(l, struct blk_page, used);
        if (page->users)
            continue;
        drop(p, page);
        return 0;
    }
    return XK_EAGAIN;
}

static int add(struct blk_pages *p, xk_gref ref, struct blk_page **out)
{
    struct blk_page **at = slot_of(p, ref), *page;
    void *addr;
    int r = make_room(p);

    if (r < 0)
        return r;
    page = xk_new(p->alloc, sizeof(*page));
    if (!page)
        return XK_ENOMEM;
    p->maps++;
    r = xk_page_map(p->platform, p->front, &ref, 1, 0, NULL, &addr);
    if (r < 0) {
        xk_free(p->alloc, page, sizeof(*page));
        return r;
    }
    page->addr = addr;
    page->ref = ref;
    page->next = *at;
    *at = page;
    xk_list_add_tail(&p->used, &page->used);
    p->kept++;
    *out = page;
    return 0;
}

int blk_pages_get(struct blk_pages *p, xk_gref ref, struct blk_page **out)
{
    struct blk_page *page;
    int r = 0;

    if (p->keep == 0)
        return XK_EAGAIN;
    for (page = *slot_of(p, ref); page && page->ref != ref;)
        page = page->next;
    if (!page)
        r = add(p, ref, &page);
    if (r < 0)
        return r;
    xk_list_del(&page->used);
    xk_list_add_tail(&p->used, &page->used);
    page->users++;
    *out = page;
    return 0;
}

void blk_pages_put(struct blk_page *page) { page->users--; }
