/* A device whose blocks are encrypted below. A request goes on in parts of up to 128 KiB, each with pages of the
 * device's own memory that hold ciphertext and nothing else: a write is encrypted into them, never where it lies, as
 * its owner may look at it or change it meanwhile; a read comes into them and is decrypted from there to where it
 * belongs. So who shares the caller's memory sees plaintext of his own or what was there before, and a page that
 * changes while it is encrypted gives a sector that decrypts to some mix of both, as with any disk.
 *
 * A part waits until it has all its pages, the requests behind it wait for it: first come, first served. What is under
 * way comes back, so each has its turn. SPDX-License-Identifier: MIT */
#include <xenkit/xts.h>

#include "crypt/cipher.h"

enum { PAGE = 4096, PAGES = 256, PARTS = 64, PART_PAGES = 32, PAGE_SECTORS = PAGE / XK_SECTOR };

struct xts;
struct part {
    struct xk_blk_request r; /* first: what goes on */
    struct xk_piece piece[PART_PAGES];
    struct xk_blk_request *of;
    uint64_t at; /* sectors of (of) that are before it */
    struct xts *xts;
    struct part *free;
};

struct xts {
    struct xk_blkdev dev; /* first */
    xk_alloc alloc;
    struct xk_blkdev *below; /* owned */
    struct crypt_xts cipher;
    uint64_t first, tweak;
    struct part part[PARTS], *free;
    uint8_t *memory, *page[PAGES]; /* (page): those that are free */
    unsigned pages;
    struct xk_blk_request *head, **tail; /* that are not yet below as a whole */
    unsigned busy;                       /* call-backs, or what makes them, that may close it */
    int again, closing;
    struct xk_xts_stats stats;
};

/* --- parts -------------------------------------------------------------------------------------------------------- */

static int has_data(const struct xk_blk_request *r) { return r->op == XK_BLK_READ || r->op == XK_BLK_WRITE; }

/* Each sector of a part, between where its owner has it and the part's pages. */
static int crypt(struct xts *x, struct part *p)
{
    const struct xk_piece *v = p->of->piece;
    uint64_t tweak = x->tweak + p->of->sector + p->at;
    size_t skip = (size_t)p->at * XK_SECTOR;
    int rc = 0;

    while (skip >= v->len)
        skip -= v++->len;
    for (uint64_t i = 0; i < p->r.sectors && rc == 0; i++) {
        uint8_t *user = (uint8_t *)v->base + skip,
                *ours = (uint8_t *)p->piece[i / PAGE_SECTORS].base + i % PAGE_SECTORS * XK_SECTOR;
        rc = p->r.op == XK_BLK_WRITE ? crypt_xts_encrypt(&x->cipher, tweak + i, user, ours)
                                     : crypt_xts_decrypt(&x->cipher, tweak + i, ours, user);
        skip += XK_SECTOR;
        if (skip == v->len) {
            skip = 0;
            v++;
        }
    }
    *(p->r.op == XK_BLK_WRITE ? &x->stats.encrypted : &x->stats.decrypted) += p->r.sectors;
    return rc;
}

static void take_pages(struct xts *x, struct part *p, uint64_t sectors)
{
    p->r.piece = p->piece;
    p->r.pieces = 0;
    p->r.sectors = sectors;
    while (sectors) {
        uint64_t n = sectors < PAGE_SECTORS ? sectors : PAGE_SECTORS;
        p->piece[p->r.pieces++] = (struct xk_piece){x->page[--x->pages], (size_t)n * XK_SECTOR};
        sectors -= n;
    }
    if (PAGES - x->pages > x->stats.most_pages)
        x->stats.most_pages = PAGES - x->pages;
}

static void give_back(struct xts *x, struct part *p)
{
    if (has_data(&p->r))
        for (unsigned i = 0; i < p->r.pieces; i++)
            x->page[x->pages++] = p->piece[i].base;
    p->free = x->free;
    x->free = p;
}

/* A part has come back, or did not get away. */
static void finish(struct xts *x, struct part *p, int err)
{
    struct xk_blk_request *of = p->of;

    if (err < 0 && of->err == 0)
        of->err = err;
    give_back(x, p);
    if (--of->under_way == 0 && x->head != of)
        of->done(of, of->err);
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static void drop_head(struct xts *x)
{
    struct xk_blk_request *r = x->head;

    x->head = r->next;
    if (!x->head)
        x->tail = &x->head;
    r->next = NULL;
}

/* One that failed does not go on. */
static void end_head(struct xts *x, int err)
{
    struct xk_blk_request *r = x->head;

    drop_head(x);
    r->err = r->err ? r->err : err;
    if (r->under_way == 0)
        r->done(r, r->err);
}

static void on_done(struct xk_blk_request *r, int err);

/* The next part of the first request. 0; XK_EAGAIN: it has to wait. */
static int pass_on(struct xts *x)
{
    struct xk_blk_request *r = x->head;
    struct part *p = x->free;
    uint64_t sectors = r->sectors - r->at;
    int rc = 0;

    if (r->err < 0) {
        end_head(x, r->err);
        return 0;
    }
    if (has_data(r) && sectors > PART_PAGES * PAGE_SECTORS)
        sectors = PART_PAGES * PAGE_SECTORS;
    if (!p || (has_data(r) && x->pages < (sectors + PAGE_SECTORS - 1) / PAGE_SECTORS)) {
        x->stats.waited++;
        return XK_EAGAIN;
    }
    x->free = p->free;
    p->of = r;
    p->at = r->at;
    p->r = *r;
    p->r.done = on_done;
    p->r.next = NULL;
    p->r.sector = r->op == XK_BLK_FLUSH ? 0 : x->first + r->sector + r->at;
    if (has_data(r))
        take_pages(x, p, sectors);
    r->at += sectors;
    r->under_way++;
    if (r->at == r->sectors || !has_data(r))
        drop_head(x);
    if (r->op == XK_BLK_WRITE)
        rc = crypt(x, p);
    if (rc == 0)
        rc = xk_blk_submit(x->below, &p->r);
    if (rc < 0)
        finish(x, p, rc);
    return 0;
}

static void destroy(struct xts *x)
{
    xk_alloc alloc = x->alloc;

    x->busy++; /* for good */
    while (x->head)
        end_head(x, XK_ECANCELED);
    xk_blk_close(x->below); /* which ends what is there */
    crypt_xts_close(&x->cipher);
    xk_free(&alloc, x->memory, (PAGES + 1) * PAGE);
    xk_free(&alloc, x, sizeof(*x));
}

static void leave(struct xts *x)
{
    if (--x->busy == 0 && x->closing)
        destroy(x);
}

static void go(struct xts *x)
{
    if (x->busy) { /* from within (done): not deeper and deeper */
        x->again = 1;
        return;
    }
    x->busy++;
    do {
        x->again = 0;
        while (x->head && !x->closing && pass_on(x) == 0)
            ;
        if (!x->closing)
            xk_blk_kick(x->below);
    } while (x->again && !x->closing);
    leave(x);
}

static void on_done(struct xk_blk_request *r, int err)
{
    struct part *p = (struct part *)r;
    struct xts *x = p->xts;

    x->busy++;
    if (err == 0 && r->op == XK_BLK_READ)
        err = crypt(x, p);
    finish(x, p, err);
    if (x->head)
        x->again = 1;
    if (x->busy > 1 || x->closing || !x->again) {
        leave(x);
        return;
    }
    x->busy--;
    go(x);
}

/* --- device ------------------------------------------------------------------------------------------------------- */

static void submit(struct xk_blkdev *d, struct xk_blk_request *r)
{
    struct xts *x = (struct xts *)d;

    *x->tail = r;
    x->tail = &r->next;
}

static void kick(struct xk_blkdev *d) { go((struct xts *)d); }

static void xts_close(struct xk_blkdev *d)
{
    struct xts *x = (struct xts *)d;

    x->closing = 1;
    if (x->busy == 0)
        destroy(x);
}

static const struct xk_blkdev_ops ops = {XK_BLKDEV_VERSION, submit, kick, xts_close, NULL, NULL};

static void set_up(struct xts *x, const xk_alloc *alloc, struct xk_blkdev *below, const struct xk_xts_options *o)
{
    uint8_t *page = (uint8_t *)(((uintptr_t)x->memory + PAGE - 1) & ~(uintptr_t)(PAGE - 1)); /* O_DIRECT wants that */

    x->dev.ops = &ops;
    x->dev.info = below->info;
    x->dev.info.sectors = o->sectors ? o->sectors : below->info.sectors - o->first;
    if (!o->discard)
        x->dev.info.features &= ~(uint32_t)(XK_BLK_CAN_DISCARD | XK_BLK_CAN_SECURE);
    x->alloc = alloc ? *alloc : *xk_alloc_libc();
    x->below = below;
    x->first = o->first;
    x->tweak = o->tweak;
    x->tail = &x->head;
    for (x->pages = 0; x->pages < PAGES; x->pages++)
        x->page[x->pages] = page + x->pages * PAGE;
    for (int i = PARTS; i-- > 0;) {
        x->part[i].xts = x;
        x->part[i].free = x->free;
        x->free = &x->part[i];
    }
}

static int check(const struct xk_blk_info *i, const struct xk_xts_options *o)
{
    uint64_t unit = i->logical / XK_SECTOR, sectors = o->sectors ? o->sectors : i->sectors - o->first;

    if (i->logical > PAGE || o->first >= i->sectors || sectors > i->sectors - o->first)
        return XK_EINVAL;
    return o->first % unit || sectors % unit ? XK_EINVAL : 0;
}

int xk_block_xts(const xk_alloc *alloc, struct xk_blkdev *below, const struct xk_xts_options *o, struct xk_blkdev **out)
{
    struct xts *x = NULL;
    int rc = check(&below->info, o);

    if (rc == 0)
        x = xk_new(alloc, sizeof(*x));
    if (x) {
        x->memory = xk_new(alloc, (PAGES + 1) * PAGE);
        rc = x->memory ? crypt_xts_open(&x->cipher, o->key, o->key_bytes) : XK_ENOMEM;
    } else if (rc == 0) {
        rc = XK_ENOMEM;
    }
    if (rc < 0) {
        if (x)
            xk_free(alloc, x->memory, (PAGES + 1) * PAGE);
        xk_free(alloc, x, sizeof(*x));
        xk_blk_close(below);
        return rc;
    }
    set_up(x, alloc, below, o);
    *out = &x->dev;
    return 0;
}

void xk_block_xts_stats(const struct xk_blkdev *dev, struct xk_xts_stats *out)
{
    const struct xts *x = (const struct xts *)dev;

    *out = x->stats;
    out->pages = PAGES - x->pages;
}
