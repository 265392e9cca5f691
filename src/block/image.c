/* Requests wait until the kick, and are answered in it. SPDX-License-Identifier: MIT */
#include "block/image.h"

static struct xk_blk_request *take(struct xk__image *i)
{
    struct xk_blk_request *r = i->head;

    if (r) {
        i->head = r->next;
        if (!i->head)
            i->tail = &i->head;
        r->next = NULL;
    }
    return r;
}

static void submit(struct xk_blkdev *d, struct xk_blk_request *r)
{
    struct xk__image *i = (struct xk__image *)d;

    *i->tail = r;
    i->tail = &r->next;
}

/* The requests that were done since the last time, now that all of them have come to stand or not. */
static void answer(struct xk__image *i, struct xk_blk_request *head)
{
    int err = i->settle ? i->settle(i) : 0;

    while (head) {
        struct xk_blk_request *r = head;
        head = r->next;
        r->next = NULL;
        r->done(r, r->err == 0 && r->op != XK_BLK_READ ? err : r->err);
    }
}

/* Who submits and kicks from within done adds to the list that is being worked on. */
static void kick(struct xk_blkdev *d)
{
    struct xk__image *i = (struct xk__image *)d;
    struct xk_blk_request *r;

    if (i->running)
        return;
    i->running = 1;
    while (i->head) {
        struct xk_blk_request *head = NULL, **tail = &head;
        for (unsigned n = 0; (n < 1 || i->settle) && (r = take(i)); n++) {
            r->err = i->run(i, r);
            *tail = r;
            tail = &r->next;
        }
        answer(i, head);
    }
    i->running = 0;
}

static void image_close(struct xk_blkdev *d)
{
    struct xk__image *i = (struct xk__image *)d;
    struct xk_blk_request *r;
    xk_alloc alloc = i->alloc;

    i->running = 1;
    while ((r = take(i)))
        r->done(r, XK_ECANCELED);
    i->fini(i);
    xk_free(&alloc, i, i->size);
}

static const struct xk_blkdev_ops ops = {XK_BLKDEV_VERSION, submit, kick, image_close, NULL, NULL};

struct xk__image *xk__image_new(const xk_alloc *alloc, size_t size,
                                int (*run)(struct xk__image *i, struct xk_blk_request *r),
                                void (*fini)(struct xk__image *i))
{
    struct xk__image *i = xk_new(alloc, size);

    if (!i)
        return NULL;
    i->dev.ops = &ops;
    i->dev.info.logical = XK_SECTOR;
    i->dev.info.physical = 4096;
    i->alloc = alloc ? *alloc : *xk_alloc_libc();
    i->tail = &i->head;
    i->size = size;
    i->run = run;
    i->fini = fini;
    return i;
}

const struct xk_blkdev_ops *xk__image_ops(void) { return &ops; }
