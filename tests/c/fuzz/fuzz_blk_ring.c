/* A disk's ring, with a liar at one end. The first byte says at which: a lying front end writes slots, indices,
 * indirect pages, takes pages away; a lying back end answers what nobody asked. The honest end must go on or give the
 * ring up, end each request once, and leave nothing behind. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/blkback.h>
#include <xenkit/blkfront.h>
#include <xenkit/fake.h>

#include "tests/c/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGES = 6, SECTORS = 64, ASKED = 24 };

/* So many bytes of the input to a place in a page, over and over if it has fewer. */
static void scribble(struct input *in, uint8_t *page, size_t room)
{
    size_t at = take(in, 2) % room, n = 1 + take(in, 1) % 112;

    for (size_t i = 0; i < n && at + i < room && in->n; i++)
        page[at + i] = (uint8_t)take(in, 1);
}

static int broken;
static void on_broken(void *arg, int err)
{
    (void)arg;
    must(err == XK_EPEER);
    broken++;
}

/* --- a lying front end -------------------------------------------------------------------------------------------- */

/* A slot that may make sense: the fields that lead on are ones that the back end can follow. */
static void put_slot(struct input *in, uint8_t *ring, unsigned slot_bytes, const xk_gref *ref)
{
    unsigned wide = slot_bytes == 112, prod = get_word(ring, 0), at = 64 + prod % 32 * slot_bytes,
             more = wide ? 24 : 20;
    uint8_t *slot = ring + at;

    for (unsigned i = 0; i < slot_bytes; i++)
        slot[i] = 0;
    slot[0] = take(in, 1) % 8;
    slot[1] = (uint8_t)take(in, 1);
    slot[wide ? 16 : 12] = (uint8_t)take(in, 1);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t lies = take(in, 1);
        memcpy(slot + more + i * 8, &ref[lies % PAGES], 4);
        slot[more + i * 8 + 4] = lies >> 4 & 7;
        slot[more + i * 8 + 5] = lies >> 5 & 15;
    }
    if (slot[0] == 6) { /* indirect: its page is one of ours */
        uint16_t n = slot[1] % 70;
        slot[1] &= 3;
        memcpy(slot + 2, &n, 2);
        memcpy(slot + (wide ? 28 : 24), &ref[take(in, 1) % PAGES], 4);
    }
    set_word(ring, 0, prod + 1);
}

/* A disk that keeps requests until the input says which of them is done. */
struct late {
    struct xk_blkdev dev; /* first */
    struct xk_blkdev *below;
    struct xk_blk_request *held[64];
    unsigned n;
};

static void late_submit(struct xk_blkdev *d, struct xk_blk_request *r)
{
    struct late *l = (struct late *)d;

    must(l->n < 64);
    l->held[l->n++] = r;
}

static void late_kick(struct xk_blkdev *d) { (void)d; }
static void late_close(struct xk_blkdev *d) { xk_blk_close(((struct late *)d)->below); }
static const struct xk_blkdev_ops late_ops = {XK_BLKDEV_VERSION, late_submit, late_kick, late_close, NULL, NULL};

static void late_go(struct late *l, unsigned which)
{
    struct xk_blk_request *r;

    if (l->n == 0)
        return;
    r = l->held[which % l->n];
    l->held[which % l->n] = l->held[l->n - 1];
    l->n--;
    l->below->ops->submit(l->below, r);
    l->below->ops->kick(l->below);
}

static struct late late;

static void lie_to_back(struct input *in, struct xk_platform **dom, struct xk_loop *loop, struct xk_blkback_config *c,
                        uint8_t *ring, uint8_t *pages, const xk_gref *ref)
{
    unsigned slot = c->abi == XK_BLK_ABI_32 ? 108 : 112;

    while (in->n) {
        switch (take(in, 1) % 6) {
        case 0:
            scribble(in, ring, XK_PAGE_SIZE);
            break;
        case 1:
            set_word(ring, take(in, 1) % 4, take(in, 4));
            break;
        case 2:
            scribble(in, pages, PAGES * (size_t)XK_PAGE_SIZE);
            break;
        case 3:
            xk_evtchn_notify(dom[1], c->port);
            xk_loop_run_once(loop, XK_NOW);
            if (c->device == &late.dev)
                late_go(&late, take(in, 1));
            break;
        default:
            put_slot(in, ring, slot, ref);
        }
    }
    for (int i = 0; i < 4; i++) {
        xk_evtchn_notify(dom[1], c->port);
        xk_loop_run_once(loop, XK_NOW);
        while (late.n)
            late_go(&late, 0);
    }
    xk_loop_run_once(loop, XK_NOW); /* which shows the last answers */
}

static void against_back(struct input *in, struct xk_fake *w, struct xk_platform **dom, struct xk_loop *loop)
{
    uint32_t how = take(in, 1);
    struct xk_blkback_config c = {.front = 1,
                                  .ring_pages = 1,
                                  .abi = how & 1,
                                  .persistent = how >> 1 & 1,
                                  .readonly = how >> 2 & 1,
                                  .max_pieces = how & 8 ? 64 : 0,
                                  .keep = 3,
                                  .broken = on_broken};
    struct xk_blkback_stats s;
    struct xk_blkback *back;
    xk_gref ref[PAGES];
    void *ring, *pages;

    late = (struct late){.dev = {.ops = &late_ops}};
    must(xk_block_memory(xk_fake_alloc(w), SECTORS, &late.below) == 0);
    late.dev.info = late.below->info;
    c.device = how & 32 ? &late.dev : late.below;
    must(xk_page_share(dom[1], 2, 1, 0, c.ring, &ring) == 0);
    must(xk_page_share(dom[1], 2, PAGES, how & 16 ? XK_PAGE_READONLY : 0, ref, &pages) == 0);
    c.port = xk_evtchn_alloc(dom[1], 2);
    if (xk_blkback_open(xk_fake_alloc(w), loop, &c, &back) == 0) {
        lie_to_back(in, dom, loop, &c, ring, pages, ref);
        xk_blkback_stats(back, &s);
        must(s.under_way == 0 && s.kept <= 3);
        must(broken <= 1);
        xk_blkback_close(back, NULL, NULL);
    }
    xk_blk_close(c.device);
    must(xk_page_unshare(dom[1], ring, 1) == 0);
    must(xk_page_unshare(dom[1], pages, PAGES) == 0);
    xk_evtchn_unbind(dom[1], c.port);
}

/* --- a lying back end --------------------------------------------------------------------------------------------- */

struct asked {
    struct xk_blk_request r;
    struct xk_piece piece;
    uint8_t buf[3 * 4096];
    int done, taken;
};

static void on_done(struct xk_blk_request *r, int err)
{
    struct asked *a = r->arg;

    must(a->done == 0);
    must(err <= 0);
    a->done = 1;
}

static void ask(struct input *in, struct xk_blkdev *dev, struct asked *a)
{
    uint32_t what = take(in, 1);

    a->piece = (struct xk_piece){a->buf, (1 + what / 4 % 24) * XK_SECTOR};
    a->r = (struct xk_blk_request){
        .done = on_done, .arg = a, .sectors = a->piece.len / XK_SECTOR, .piece = &a->piece, .op = what % 4};
    a->r.pieces = a->r.op <= XK_BLK_WRITE;
    a->r.flags = what >> 7 ? XK_BLK_FUA : 0;
    a->taken = xk_blk_submit(dev, &a->r) == 0;
    a->done = !a->taken;
}

static void lie_to_front(struct input *in, struct xk_platform **dom, struct xk_loop *loop, struct xk_blkdev *dev,
                         uint8_t *ring, int port)
{
    static struct asked a[ASKED];
    unsigned n = 0;

    while (in->n) {
        uint32_t at;
        switch (take(in, 1) % 5) {
        case 0:
            if (n < ASKED)
                ask(in, dev, &a[n++]);
            xk_blk_kick(dev);
            break;
        case 1:
            scribble(in, ring, XK_PAGE_SIZE);
            break;
        case 2:
            set_word(ring, take(in, 1) % 4, take(in, 4));
            break;
        case 3: /* an answer that may be right: (id), operation, status */
            at = 64 + get_word(ring, 2) % 32 * 112;
            memset(ring + at, 0, 16);
            ring[at] = (uint8_t)(take(in, 1) % 40);
            ring[at + 8] = (uint8_t)(take(in, 1) % 7);
            ring[at + 10] = ring[at + 11] = (uint8_t)(take(in, 1) & 1 ? 0xff : 0);
            set_word(ring, 2, get_word(ring, 2) + 1);
            break;
        default:
            xk_evtchn_notify(dom[2], port);
            xk_loop_run_once(loop, XK_NOW);
        }
    }
    xk_blk_close(dev);
    for (unsigned i = 0; i < n; i++)
        must(a[i].done);
}

static void against_front(struct input *in, struct xk_fake *w, struct xk_platform **dom, struct xk_loop *loop)
{
    uint32_t how = take(in, 1);
    struct xk_blkfront_config c = {.back = 2, .max_pieces = how & 1 ? 64 : 0, .pages = how & 2 ? 4 : 0};
    struct xk_blk_info info = {.sectors = SECTORS, .logical = XK_SECTOR, .features = how & 4 ? 0 : 0xe};
    struct xk_blkfront *front;
    xk_gref ref[XK_BLKFRONT_RING_MAX];
    void *ring;
    int port;

    must(xk_blkfront_create(xk_fake_alloc(w), loop, &c, &front) == 0);
    xk_blkfront_on_broken(front, on_broken, NULL);
    must(xk_blkfront_ring(front, ref) == 1);
    must(xk_page_map(dom[2], 1, ref, 1, 0, NULL, &ring) == 0);
    port = xk_evtchn_bind(dom[2], 1, xk_blkfront_port(front));
    xk_blkfront_connect(front, &info, c.max_pieces);
    lie_to_front(in, dom, loop, xk_blkfront_device(front), ring, port);
    must(broken <= 1);
    must(xk_page_unmap(dom[2], ring, 1) == 0);
    xk_evtchn_unbind(dom[2], port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size < 4096 ? size : 4096};
    struct xk_platform *dom[3];
    struct xk_loop *loop;
    struct xk_fake *w;
    char report[256];
    int front = take(&in, 1) & 1;

    broken = 0;
    must(xk_fake_create(1, &w) == 0);
    for (int i = 0; i < 3; i++)
        must(xk_fake_domain(w, "domain", &dom[i]) == 0);
    must(xk_loop_create(xk_fake_alloc(w), dom[front ? 1 : 2], &loop) == 0);
    (front ? against_front : against_back)(&in, w, dom, loop);
    xk_loop_destroy(loop);
    must(xk_fake_destroy(w, report, sizeof(report)) == 0);
    return 0;
}
