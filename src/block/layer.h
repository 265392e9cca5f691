/* block/layer.h - what devices have in common that pass requests on to one below, changed or later: the caller's
 * request stays as it is, a copy goes on. SPDX-License-Identifier: MIT */
#ifndef XK_BLOCK_LAYER_H
#define XK_BLOCK_LAYER_H

#include <xenkit/blkdev.h>

enum { XK__LAYER_AT_ONCE = 64 }; /* requests that are below at the same time */

struct xk__layer;
struct xk__passed {
    struct xk_blk_request r; /* first: what goes on */
    struct xk_blk_request *of;
    struct xk__layer *layer;
    struct xk__passed *free;
};

struct xk__layer {
    struct xk_blkdev dev; /* first */
    xk_alloc alloc;
    struct xk_blkdev *below; /* owned */
    struct xk__passed pool[XK__LAYER_AT_ONCE], *free;
    struct xk_blk_request *head, **tail; /* that wait */
    unsigned busy;                       /* call-backs, or what makes them, that may close it */
    unsigned under_way;                  /* requests that are below */
    int again, closing, closed;
    size_t size; /* of the whole structure */
    /* Looks at a request that is to go on, and may change it. 0; 1: it is done, and does not go on; XK_EAGAIN: it waits
     * until xk__layer_go; XK_E...: that is its answer. */
    int (*pass)(struct xk__layer *l, struct xk_blk_request *r);
    /* One that went on was done, or failed, before its owner is told. NULL allowed. */
    void (*after)(struct xk__layer *l, struct xk_blk_request *r, int err);
    void (*fini)(struct xk__layer *l); /* NULL allowed */
};

/* xk__layer_new (alloc, size, below, pass, fini) - zeroes of (size) bytes that begin with a struct xk__layer; it takes
 * (below)'s info over. NULL: no memory; (below) is closed then. */
struct xk__layer *xk__layer_new(const xk_alloc *alloc, size_t size, struct xk_blkdev *below,
                                int (*pass)(struct xk__layer *l, struct xk_blk_request *r),
                                void (*fini)(struct xk__layer *l));
void xk__layer_go(struct xk__layer *l);

/* xk__layer_own (l, r) - a request of the layer's own goes below, which its (done) ends with xk__layer_own_done: the
 * layer may be gone after that. */
void xk__layer_own(struct xk__layer *l, struct xk_blk_request *r);
void xk__layer_own_done(struct xk__layer *l);

#endif
