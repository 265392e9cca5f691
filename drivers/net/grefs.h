/* drivers/net/grefs.h - pages that a guest has its back end keep mapped (XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING): what
 * lies in them is copied without asking the hypervisor. SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_NET_GREFS_H
#define XK_DRIVERS_NET_GREFS_H

#include <xenkit/alloc.h>
#include <xenkit/platform.h>

#include "base/list.h"

struct gref_run { /* pages that were mapped by one call, and are unmapped by one */
    struct xk_list link;
    uint8_t *addr;
    unsigned pages;
};

struct gref_page {
    uint8_t *addr; /* NULL: no page */
    struct gref_run *run;
    xk_gref ref;
    uint8_t readonly;
};

struct grefs {
    const xk_alloc *alloc;
    struct xk_platform *platform;
    xk_domid front;
    unsigned most, count, mask;
    struct xk_list runs;
    struct gref_page *page; /* NULL before the first */
};

/* At most (most) pages; 0: none. */
void grefs_init(struct grefs *g, const xk_alloc *alloc, struct xk_platform *platform, xk_domid front, unsigned most);
void grefs_fini(struct grefs *g);

/* grefs_add (g, refs, n, readonly) - maps (n) more, 1 .. 512, or none: XK_EEXIST, XK_ENOSPC: as many as there may be;
 * XK_ENOMEM; what xk_page_map says. grefs_remove - XK_ENOENT. Where the others of its call cannot be mapped anew they
 * are not here any more. */
int grefs_add(struct grefs *g, const xk_gref *refs, unsigned n, int readonly);
int grefs_remove(struct grefs *g, xk_gref ref);

/* grefs_copy (g, ops, count, flags) - xk_page_copy, but for pages that are here. Returns how often that was called. */
unsigned grefs_copy(struct grefs *g, struct xk_page_copy *ops, unsigned count, unsigned flags);

#endif
