/* Requests go through in their order, as many as there are copies for. A layer stays until the last request that it has
 * below is back, as a front end below ends them with itself, not with a close. SPDX-License-Identifier: MIT */
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

static void release(struct xk__layer *l)
{
    xk_alloc alloc = l->alloc;

    if (l->fini)
        l->fini(l);
    xk_free(&alloc, l, l->size);
}

static void cancel(struct xk__layer *l)
{
    while (l->head) {
        struct xk_blk_request *r = take(l);
        r->done(r, XK_ECANCELED);
    }
}

static void finish(struct xk__layer *l)
{
    l->busy++; /* for good */
    cancel(l);
    xk_blk_close(l->below); /* which ends what is there */
    cancel(l);
    l->closed = 1;
    if (l->under_way == 0)
        release(l);
}

/* The end of a call-back, in which anything may have been asked for. */
static void unbusy(struct xk__layer *l)
{
    l->busy--;
    if (l->closed) {
        if (l->under_way == 0)
            release(l);
    } else if (l->busy) {
        l->again |= l->head != NULL;
    } else if (l->closing) {
        finish(l);
    } else if (l->again || l->head) {
        xk__layer_go(l);
    }
}

void xk__layer_own(struct xk__layer *l, struct xk_blk_request *r)
{
    int rc;

    l->under_way++;
    rc = xk_blk_submit(l->below, r);
    if (rc < 0)
        r->done(r, rc);
}

void xk__layer_own_done(struct xk__layer *l)
{
    l->busy++;
    l->under_way--;
    unbusy(l);
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

    l->busy++;
    if (l->after)
        l->after(l, &p->r, err);
    put_back(p);
    l->under_way--;
    of->done(of, err);
    unbusy(l);
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
    if (rc == 0) {
        rc = xk_blk_submit(l->below, &p->r);
        l->under_way += rc == 0;
        if (rc < 0 && l->after)
            l->after(l, &p->r, rc);
    }
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
    l->busy++;
    do {
        l->again = 0;
        while (l->head && l->free && !l->closing)
            if (pass_on(l) < 0)
                break;
        if (!l->closing)
            xk_blk_kick(l->below);
    } while (l->again && !l->closing);
    l->busy--;
    if (l->closing)
        finish(l);
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
        finish(l);
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
