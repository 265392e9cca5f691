/* An image in a file whose requests are under way side by side (aio.h).
 *
 * A *run* is what goes to the file as one operation: a request, or several that are neighbours on the disk and were
 * kicked together. Whatever does not go the plain way - an error, fewer bytes than asked for, a ring without room - is
 * done anew request by request while the caller waits (file.h), so that each has an answer of its own.
 * SPDX-License-Identifier: MIT */
#include <xenkit/aio.h>

#include "base/list.h"
#include "block/file.h"

enum { RUNS = 64, JOIN_PIECES = 64, JOIN_BYTES = 1 << 20 };

struct run {
    struct xk_aio_op op;
    struct aio_image *image;
    struct run *free;
    struct xk_blk_request *first; /* linked by their (next) */
    uint64_t bytes;
    unsigned pieces;
    int syncing;
    struct xk_piece joined[JOIN_PIECES];
};

struct aio_image {
    struct xk_blkdev dev; /* first */
    xk_alloc alloc;
    struct xk_aio *aio;
    struct xk_file *file;
    struct xk_blk_request *head, **tail;
    struct run *free;
    unsigned under_way;
    unsigned char cached, busy, closing;
    int sync_err; /* the first that failed: Linux forgets what it could not write */
    struct run runs[RUNS];
};

static struct xk_blk_request *take(struct aio_image *i)
{
    struct xk_blk_request *r = i->head;

    i->head = r->next;
    if (!i->head)
        i->tail = &i->head;
    r->next = NULL;
    return r;
}

static void put_back(struct run *u)
{
    u->free = u->image->free;
    u->image->free = u;
    u->first = NULL;
}

/* --- the end of a run --- */

/* All its requests are answered alike. The run is free before, as (done) may submit. */
static void answer(struct run *u, int err)
{
    struct xk_blk_request *r = u->first, *next;

    put_back(u);
    for (; r; r = next) {
        next = r->next;
        r->next = NULL;
        r->done(r, err);
    }
}

static int do_now(struct aio_image *i, const struct xk_blk_request *r)
{
    int err = i->sync_err && (r->op == XK_BLK_FLUSH || r->flags & XK_BLK_FUA) ? i->sync_err : xk__file_do(i->file, r);

    if (err < 0 && r->op == XK_BLK_FLUSH)
        i->sync_err = err;
    return err;
}

static void run_now(struct run *u)
{
    struct aio_image *i = u->image;
    struct xk_blk_request *r = u->first, *next;

    put_back(u);
    for (; r; r = next) {
        next = r->next;
        r->next = NULL;
        r->done(r, do_now(i, r));
    }
}

static void go(struct aio_image *i);
static void destroy(struct aio_image *i);

static void on_synced(struct run *u, int result)
{
    struct aio_image *i = u->image;

    if (result < 0 && !i->sync_err)
        i->sync_err = result;
    answer(u, i->sync_err);
}

static void on_data(struct run *u, int result)
{
    if (result < 0 || (uint64_t)result != u->bytes) {
        run_now(u);
    } else if (u->first->flags & XK_BLK_FUA) {
        u->syncing = 1;
        if (xk_aio_sync(u->image->aio, &u->op, u->image->file) == 0)
            u->image->under_way++;
        else
            run_now(u); /* with its sync */
    } else {
        answer(u, 0);
    }
}

static void on_done(struct xk_aio_op *op, int result)
{
    struct run *u = XK_CONTAINER(op, struct run, op);
    struct aio_image *i = u->image;

    i->under_way--;
    i->busy++;
    if (u->syncing)
        on_synced(u, result);
    else
        on_data(u, result);
    if (--i->busy > 0)
        return;
    if (i->closing)
        destroy(i);
    else
        go(i);
}

/* --- the begin of one --- */

static int joins(const struct run *u, const struct xk_blk_request *last, const struct xk_blk_request *r)
{
    return r && r->op == last->op && last->op <= XK_BLK_WRITE && !last->flags && !r->flags &&
           r->sector == last->sector + last->sectors && u->pieces + r->pieces <= JOIN_PIECES &&
           u->bytes + r->sectors * XK_SECTOR <= JOIN_BYTES;
}

/* The next request, with those after it that are its neighbours. */
static struct run *next_run(struct aio_image *i)
{
    struct run *u = i->free;
    struct xk_blk_request *last = take(i);

    i->free = u->free;
    u->syncing = last->op == XK_BLK_FLUSH;
    u->first = last;
    u->bytes = last->sectors * XK_SECTOR;
    u->pieces = last->pieces;
    while (joins(u, last, i->head)) {
        last->next = take(i);
        last = last->next;
        u->bytes += last->sectors * XK_SECTOR;
        u->pieces += last->pieces;
    }
    return u;
}

static const struct xk_piece *pieces(struct run *u)
{
    unsigned n = 0;

    if (!u->first->next)
        return u->first->piece;
    for (const struct xk_blk_request *r = u->first; r; r = r->next)
        for (unsigned k = 0; k < r->pieces; k++)
            u->joined[n++] = r->piece[k];
    return u->joined;
}

/* 0: under way. 1: it is done. XK_E...: it has to be done now. */
static int begin(struct aio_image *i, struct run *u)
{
    uint64_t at = u->first->sector * XK_SECTOR;
    const struct xk_piece *v;

    if (u->syncing)
        return i->sync_err ? i->sync_err : xk_aio_sync(i->aio, &u->op, i->file);
    if (u->first->op == XK_BLK_DISCARD || u->pieces > XK_PIECES_MAX || (i->cached && u->first->op == XK_BLK_WRITE))
        return XK_ENOSYS;
    v = pieces(u);
    if (u->first->op == XK_BLK_WRITE)
        return xk_aio_write(i->aio, &u->op, i->file, v, u->pieces, at);
    if (i->cached && xk_file_readv_now(i->file, v, u->pieces, at) == (int)u->bytes)
        return 1;
    return xk_aio_read(i->aio, &u->op, i->file, v, u->pieces, at);
}

/* A run of several as one call; what goes wrong with it is told apart by doing each. */
static void joined_now(struct aio_image *i, struct run *u)
{
    if (u->first->op == XK_BLK_WRITE && u->first->next &&
        xk_file_writev(i->file, pieces(u), u->pieces, u->first->sector * XK_SECTOR) == (int)u->bytes)
        answer(u, 0);
    else
        run_now(u);
}

static void go(struct aio_image *i)
{
    i->busy++;
    while (i->head && i->free && !i->closing) {
        struct run *u = next_run(i);
        int r = begin(i, u);
        if (r == 0)
            i->under_way++;
        else if (r > 0)
            answer(u, 0);
        else
            joined_now(i, u);
    }
    xk_aio_submit(i->aio);
    i->busy--;
    if (i->closing && !i->busy)
        destroy(i);
}

/* --- the device --- */

static void submit(struct xk_blkdev *d, struct xk_blk_request *r)
{
    struct aio_image *i = (struct aio_image *)d;

    *i->tail = r;
    i->tail = &r->next;
}

/* Who kicks from within (done) is served by the loop of go, or at the end of on_done. */
static void kick(struct xk_blkdev *d)
{
    struct aio_image *i = (struct aio_image *)d;

    if (!i->busy)
        go(i);
}

static void destroy(struct aio_image *i)
{
    xk_alloc alloc = i->alloc;

    i->busy = 1; /* for good */
    while (i->under_way && xk_aio_wait(i->aio) >= 0)
        ;
    while (i->head) {
        struct xk_blk_request *r = take(i);
        r->done(r, XK_ECANCELED);
    }
    xk_file_close(i->file);
    xk_free(&alloc, i, sizeof(*i));
}

static void aio_close(struct xk_blkdev *d)
{
    struct aio_image *i = (struct aio_image *)d;

    i->closing = 1;
    if (!i->busy)
        destroy(i);
}

static const struct xk_blkdev_ops ops = {XK_BLKDEV_VERSION, submit, kick, aio_close, NULL, NULL};

int xk_block_aio(const xk_alloc *alloc, struct xk_aio *aio, struct xk_file *file, unsigned features,
                 struct xk_blkdev **out)
{
    struct xk_blk_info info = {0};
    int fd = xk_file_handle(file), r = fd < 0 ? fd : xk__file_info(file, features, &info);
    struct aio_image *i = r < 0 ? NULL : xk_new(alloc, sizeof(*i));

    if (!i) {
        xk_file_close(file);
        return r < 0 ? r : XK_ENOMEM;
    }
    i->dev.ops = &ops;
    i->dev.info = info;
    i->alloc = alloc ? *alloc : *xk_alloc_libc();
    i->aio = aio;
    i->file = file;
    i->cached = (features & XK_BLK_CACHED) != 0;
    i->tail = &i->head;
    for (int k = RUNS; k-- > 0;) {
        i->runs[k].image = i;
        i->runs[k].op.done = on_done;
        put_back(&i->runs[k]);
    }
    *out = &i->dev;
    return 0;
}
