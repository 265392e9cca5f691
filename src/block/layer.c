/* Requests go through in their order, as many as there are copies for. SPDX-License-Identifier: MIT */
#include "block/layer.h"

static struct xk_blk_request *take(struct xk__layer *l)
{
    struct xk_blk_request *r = l->head;

    l->head = r->next;
    if (!l->head)
        l->tail = &l->head;
    r->next = NULL;
    return r;
}

static void destroy(struct xk__layer *l)
{
    xk_alloc alloc = l->alloc;

    while (l->head) {
        struct xk_blk_request *r = take(l);
        r->done(r, XK_ECANCELED);
    }
    xk_blk_close(l->below); /* which ends what is there */
    if (l->fini)
        l->fini(l);
    xk_free(&alloc, l, l->size);
}

static void put_back(struct xk__passed *p)
{
    p->free = p->layer->free;
    p->layer->free = p;
}

static void on_done(struct xk_blk_request *r, int err)
{
    struct xk__passed *p = (struct xk__passed *)r;
    struct xk__layer *l = p->layer;
    struct xk_blk_request *of = p->of;

    if (l->after)
        l->after(l, &p->r, err);
    put_back(p);
    of->done(of, err);
    if (l->head && !l->closing)
        xk__layer_go(l);
}

/* One request on its way. 0; XK_EAGAIN: it has to wait. */
static int pass_on(struct xk__layer *l)
{
    struct xk__passed *p = l->free;
    struct xk_blk_request *r = l->head;
    int rc;

    l->free = p->free;
    p->of = r;
    p->r = *r;
    p->r.done = on_done;
    p->r.next = NULL;
    rc = l->pass(l, &p->r);
    if (rc == XK_EAGAIN) {
        put_back(p);
        return rc;
    }
    take(l);
    if (rc == 0 && (rc = xk_blk_submit(l->below, &p->r)) < 0 && l->after)
        l->after(l, &p->r, rc);
    if (rc != 0) {
        put_back(p);
        r->done(r, rc > 0 ? 0 : rc);
    }
    return 0;
}

void xk__layer_go(struct xk__layer *l)
{
    if (l->busy) { /* from within (done): not deeper and deeper */
        l->again = 1;
        return;
    }
    l->busy = 1;
    do {
        l->again = 0;
        while (l->head && l->free && !l->closing)
            if (pass_on(l) < 0)
                break;
        if (!l->closing)
            xk_blk_kick(l->below);
    } while (l->again && !l->closing);
    l->busy = 0;
    if (l->closing)
        destroy(l);
}

static void submit(struct xk_blkdev *d, struct xk_blk_request *r)
{
    struct xk__layer *l = (struct xk__layer *)d;

    *l->tail = r;
    l->tail = &r->next;
}

static void kick(struct xk_blkdev *d) { xk__layer_go((struct xk__layer *)d); }

static void layer_close(struct xk_blkdev *d)
{
    struct xk__layer *l = (struct xk__layer *)d;

    l->closing = 1;
    if (!l->busy)
        destroy(l);
}

static const struct xk_blkdev_ops ops = {XK_BLKDEV_VERSION, submit, kick, layer_close, NULL, NULL};

struct xk__layer *xk__layer_new(const xk_alloc *alloc, size_t size, struct xk_blkdev *below,
                                int (*pass)(struct xk__layer *l, struct xk_blk_request *r),
                                void (*fini)(struct xk__layer *l))
{
    struct xk__layer *l = xk_new(alloc, size);

    if (!l) {
        xk_blk_close(below);
        return NULL;
    }
    l->dev.ops = &ops;
    l->dev.info = below->info;
    l->alloc = alloc ? *alloc : *xk_alloc_libc();
    l->below = below;
    l->size = size;
    l->pass = pass;
    l->fini = fini;
    l->tail = &l->head;
    for (int i = XK__LAYER_AT_ONCE; i-- > 0;) {
        l->pool[i].layer = l;
        put_back(&l->pool[i]);
    }
    return l;
}
