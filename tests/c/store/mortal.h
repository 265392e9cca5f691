/* tests/c/store/mortal.h - what ends with a process that is killed: its memory, its ports, its maps. The store domain
 * itself lives on, so that another process can take its place. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_STORE_MORTAL_H
#define XK_TESTS_STORE_MORTAL_H

#include "platform/fake/private.h"
#include "tests/c/store/ring.h"

enum { MORTAL_HEAD = 32 };

static struct xk_list mortal_blocks = {&mortal_blocks, &mortal_blocks};

/* What is freed is overwritten, so that whoever uses it afterwards is found out. */
static void *mortal_resize(void *ctx, void *p, size_t old, size_t size)
{
    struct xk_list *l = p ? (struct xk_list *)(void *)((uint8_t *)p - MORTAL_HEAD) : NULL;

    (void)ctx;
    if (l)
        xk_list_del(l);
    if (!size) {
        if (l)
            memset(l, 0xdd, old + MORTAL_HEAD);
        free(l);
        return NULL;
    }
    l = realloc(l, size + MORTAL_HEAD);
    RING_MUST(l != NULL);
    xk_list_add_tail(&mortal_blocks, l);
    return (uint8_t *)l + MORTAL_HEAD;
}

static const xk_alloc mortal_alloc = {mortal_resize, NULL};

/* What the system does when the process of the store is gone. */
static inline void mortal_end(struct ring_world *w)
{
    struct fake_domain *d = (struct fake_domain *)w->dom[RING_STORE];

    fake_evtchn_fini(d);
    fake_memory_fini(d);
    XK_LIST_EACH_SAFE(l, &mortal_blocks)
    free(l);
    xk_list_init(&mortal_blocks);
    w->service = NULL;
    w->loop = NULL;
}

#endif
