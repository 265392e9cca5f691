/* Answers in any order, by one that may be killed at any of its stores.
 *
 * What will be done is recorded first. Then requests that stand where answers go move into the places that have become
 * free (MOVING), then the answers are written and shown (ANSWERING). Each of the two can be repeated from its
 * beginning, wherever it was left: an answer is written over whatever is there, and no move writes where it or an
 * earlier one reads, as the place of an answered request lies at or behind the entry that its answer takes. A record
 * counts as long as the ring shows none of its answers. SPDX-License-Identifier: MIT */
#include <xenkit/ring.h>

#include "base/shared.h"

enum { REQ_PROD = 0, RSP_PROD = 2 };                           /* words of the ring's header */
enum { NOTHING, MOVING = 0x6d766b78, ANSWERING = 0x61766b78 }; /* not to be taken for what else may stand there */

struct record {
    uint32_t stage, first; /* (first): number of the first answer */
    uint32_t n, bytes;
    uint32_t place[XK_RING_SETTLE];
    uint8_t answer[XK_RING_SETTLE_BYTES];
};

static volatile uint8_t *entry(struct xk_ring_back *b, uint32_t at)
{
    return b->slots + (size_t)(at & (b->count - 1)) * b->slot;
}

static void move(struct xk_ring_back *b, uint32_t from, uint32_t to)
{
    volatile uint8_t *src = entry(b, from), *dst = entry(b, to);
    uint8_t part[128];

    for (uint32_t done = 0, n; src != dst && done < b->slot; done += n) {
        n = b->slot - done < sizeof(part) ? b->slot - done : (uint32_t)sizeof(part);
        xk_shared_copy_out(part, src + done, n);
        xk_shared_copy_in(dst + done, part, n);
    }
}

static void enter(struct xk_ring_back *b, uint32_t stage)
{
    struct record volatile *record = b->record;

    xk_shared_order();
    if (record)
        xk_shared_store32(&record->stage, stage);
    xk_shared_order();
}

/* From where a record was left, or from the beginning. */
static int finish(struct xk_ring_back *b, const struct record *r, uint32_t stage)
{
    int notify;

    if (stage == MOVING) {
        for (uint32_t i = 0; i < r->n; i++)
            move(b, r->first + i, r->place[i]);
        enter(b, ANSWERING);
    }
    for (uint32_t i = 0; i < r->n; i++)
        xk_shared_copy_in(entry(b, r->first + i), r->answer + (size_t)i * r->bytes, r->bytes);
    b->rsp_prod += r->n;
    notify = xk_ring_back_publish(b);
    enter(b, NOTHING);
    return notify;
}

/* Whether a record of somebody else, which the peer may have written, is of answers that were not shown. */
static int begun(const struct xk_ring_back *b, const struct record *r)
{
    return (r->stage == MOVING || r->stage == ANSWERING) && r->first == b->rsp_prod && r->n > 0 &&
           r->n <= XK_RING_SETTLE && r->n <= xk_shared_load32(&b->shared[REQ_PROD]) - b->rsp_prod &&
           r->bytes <= b->slot && r->bytes <= XK_RING_SETTLE_BYTES / r->n;
}

int xk_ring_back_take_up(struct xk_ring_back *b, void *area, size_t bytes, uint32_t slot)
{
    int err = xk_ring_back_attach(b, area, bytes, slot);
    size_t at = bytes < sizeof(struct record) ? 0 : (bytes - sizeof(struct record)) & ~(size_t)7;
    struct record r;

    if (err < 0)
        return err;
    if ((uint8_t *)area + at < b->slots + (size_t)b->count * slot)
        return XK_EINVAL;
    b->record = (uint8_t *)area + at;
    xk_shared_copy_out(&r, b->record, sizeof(r));
    if (begun(b, &r)) {
        b->req_cons += r.n; /* they need not be taken any more */
        (void)finish(b, &r, r.stage);
        return 1;
    }
    enter(b, NOTHING);
    return b->rsp_prod != 0;
}

int xk_ring_back_settle(struct xk_ring_back *b, const void *rsps, uint32_t bytes, const uint32_t *place, uint32_t n)
{
    struct record r;

    if (n == 0)
        return 0;
    if (n > XK_RING_SETTLE || bytes > XK_RING_SETTLE_BYTES / n || bytes > b->slot || n > b->req_cons - b->rsp_prod)
        return XK_EINVAL;
    memset(&r, 0, offsetof(struct record, answer)); /* the peer sees all of that */
    r.first = b->rsp_prod;
    r.n = n;
    r.bytes = bytes;
    for (uint32_t i = 0; i < n; i++)
        r.place[i] = place ? place[i] : r.first + i;
    memcpy(r.answer, rsps, (size_t)n * bytes);
    if (b->record)
        xk_shared_copy_in(b->record, &r, offsetof(struct record, answer) + (size_t)n * bytes);
    enter(b, MOVING);
    return finish(b, &r, MOVING);
}
