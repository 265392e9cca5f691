/* drivers/block/pages.h - the pages of a front end that a back end has mapped, by reference: those that stay
 * (persistent grants), and those of one request. SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_BLOCK_PAGES_H
#define XK_DRIVERS_BLOCK_PAGES_H

#include <xenkit/alloc.h>
#include <xenkit/platform.h>

#include "base/list.h"

struct blk_page { /* one that stays */
    struct blk_page *next;
    struct xk_list used; /* the one that was used last stands last */
    uint8_t *addr;
    xk_gref ref;
    uint32_t users;
};

struct blk_pages {
    const xk_alloc *alloc;
    struct xk_platform *platform;
    xk_domid front;
    unsigned keep, kept, mask;
    struct blk_page **bucket;
    struct xk_list used;
    uint64_t maps; /* calls */
};

/* (keep): how many may stay; 0: none. XK_ENOMEM. */
int blk_pages_init(struct blk_pages *p, const xk_alloc *alloc, struct xk_platform *platform, xk_domid front,
                   unsigned keep);
void blk_pages_fini(struct blk_pages *p); /* nothing is in use any more */

/* blk_pages_get (p, ref, out) - the page (ref), mapped for writing, in use until blk_pages_put. XK_EAGAIN: it cannot
 * stay, as too many do that are all in use: map it for the request. Else what xk_page_map says. */
int blk_pages_get(struct blk_pages *p, xk_gref ref, struct blk_page **out);
/* Pages that are not in use now stay no longer. */
void blk_pages_give_back(struct blk_pages *p);
void blk_pages_put(struct blk_page *page);

#endif
