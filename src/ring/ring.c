/* The request/response ring. The shared header is four words at offsets 0, 4, 8, 12 and the slots start at 64
 * (io/ring.h, struct __name##_sring). SPDX-License-Identifier: MIT */
#include <xenkit/ring.h>

#include "base/shared.h"

enum { REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT, HEADER_BYTES = 64 };

uint32_t xk_ring_entries(size_t bytes, uint32_t slot)
{
    uint32_t n = 1;

    if (slot == 0 || bytes < (size_t)HEADER_BYTES + slot)
        return 0;
    while (n < 0x80000000u / 2 && (size_t)n * 2 <= (bytes - HEADER_BYTES) / slot)
        n *= 2;
    return n;
}

static int front_place(struct xk_ring_front *f, void *area, size_t bytes, uint32_t slot)
{
    memset(f, 0, sizeof(*f));
    f->shared = area;
    f->slots = (volatile uint8_t *)area + HEADER_BYTES;
    f->count = xk_ring_entries(bytes, slot);
    f->slot = slot;
    return f->count && (uintptr_t)area % sizeof(uint32_t) == 0 ? 0 : XK_EINVAL;
}

int xk_ring_front_init(struct xk_ring_front *f, void *area, size_t bytes, uint32_t slot)
{
    int r = front_place(f, area, bytes, slot);

    if (r < 0)
        return r;
    memset(area, 0, HEADER_BYTES);
    xk_shared_store32(&f->shared[REQ_EVENT], 1);
    xk_shared_store32(&f->shared[RSP_EVENT], 1);
    return 0;
}

int xk_ring_front_attach(struct xk_ring_front *f, void *area, size_t bytes, uint32_t slot)
{
    int r = front_place(f, area, bytes, slot);

    if (r < 0)
        return r;
    f->req_prod = f->published = xk_shared_load32(&f->shared[REQ_PROD]);
    f->rsp_cons = xk_shared_load32(&f->shared[RSP_PROD]);
    return f->req_prod - f->rsp_cons > f->count ? XK_EPEER : 0;
}

int xk_ring_back_attach(struct xk_ring_back *b, void *area, size_t bytes, uint32_t slot)
{
    memset(b, 0, sizeof(*b));
    b->shared = area;
    b->slots = (volatile uint8_t *)area + HEADER_BYTES;
    b->count = xk_ring_entries(bytes, slot);
    b->slot = slot;
    if (b->count == 0 || (uintptr_t)area % sizeof(uint32_t))
        return XK_EINVAL;
    b->rsp_prod = b->published = b->req_cons = xk_shared_load32(&b->shared[RSP_PROD]);
    return xk_shared_load32(&b->shared[REQ_PROD]) - b->rsp_prod > b->count ? XK_EPEER : 0;
}

/* Copies (n) slots between private memory and the ring from index (at): one or two pieces. */
static void copy_in(volatile uint8_t *slots, uint32_t count, uint32_t slot, uint32_t at, const void *src, uint32_t n)
{
    uint32_t first = at & (count - 1), piece = count - first < n ? count - first : n;

    xk_shared_copy_in(slots + (size_t)first * slot, src, (size_t)piece * slot);
    if (piece < n)
        xk_shared_copy_in(slots, (const uint8_t *)src + (size_t)piece * slot, (size_t)(n - piece) * slot);
}

static void copy_out(void *dst, const volatile uint8_t *slots, uint32_t count, uint32_t slot, uint32_t at, uint32_t n)
{
    uint32_t first = at & (count - 1), piece = count - first < n ? count - first : n;

    xk_shared_copy_out(dst, slots + (size_t)first * slot, (size_t)piece * slot);
    if (piece < n)
        xk_shared_copy_out((uint8_t *)dst + (size_t)piece * slot, slots, (size_t)(n - piece) * slot);
}

/* Shows the producer index (now) in place of (old) and tells whether the peer's event index lies in between.
 * The release store pairs with the acquire load of the index in the peer's take; the fence pairs with the one in the
 * peer's rearm: either we see the event index it set, or it sees the index we set (ring.h, *_AND_CHECK_NOTIFY). */
static int publish(volatile uint32_t *prod, volatile uint32_t *event, uint32_t old, uint32_t now)
{
    xk_shared_store_release32(prod, now);
    xk_shared_fence();
    return now - xk_shared_load32(event) < now - old;
}

int xk_ring_front_put(struct xk_ring_front *f, const void *reqs, uint32_t n)
{
    uint32_t room = xk_ring_front_free(f);

    if (room == 0 || n == 0)
        return n == 0 ? 0 : XK_EAGAIN;
    if (n > room)
        n = room;
    copy_in(f->slots, f->count, f->slot, f->req_prod, reqs, n);
    f->req_prod += n;
    return (int)n;
}

/* Of (room) free entries from index (at), those that lie together, at most (max). */
static uint32_t together(uint32_t count, uint32_t at, uint32_t room, uint32_t max)
{
    uint32_t run = count - (at & (count - 1));

    run = run < room ? run : room;
    return run < max ? run : max;
}

int xk_ring_front_reserve(struct xk_ring_front *f, uint32_t max, void **slots)
{
    uint32_t n = together(f->count, f->req_prod, xk_ring_front_free(f), max);

    if (n == 0)
        return max ? XK_EAGAIN : 0;
    *slots = (void *)(uintptr_t)(f->slots + (size_t)(f->req_prod & (f->count - 1)) * f->slot);
    f->req_prod += n;
    return (int)n;
}

int xk_ring_back_reserve(struct xk_ring_back *b, uint32_t max, void **slots)
{
    uint32_t n = together(b->count, b->rsp_prod, b->req_cons - b->rsp_prod, max);

    if (n == 0)
        return max ? XK_EAGAIN : 0;
    *slots = (void *)(uintptr_t)(b->slots + (size_t)(b->rsp_prod & (b->count - 1)) * b->slot);
    b->rsp_prod += n;
    return (int)n;
}

int xk_ring_front_publish(struct xk_ring_front *f)
{
    uint32_t old = f->published;

    if (old == f->req_prod)
        return 0;
    f->published = f->req_prod;
    return publish(&f->shared[REQ_PROD], &f->shared[REQ_EVENT], old, f->req_prod);
}

/* How many responses wait. Acquire pairs with the release of the back's publish. */
static int responses(struct xk_ring_front *f)
{
    uint32_t n = xk_shared_load_acquire32(&f->shared[RSP_PROD]) - f->rsp_cons;

    if (f->broken || n > f->published - f->rsp_cons) {
        f->broken = 1; /* more answers than questions */
        return XK_EPEER;
    }
    return (int)n;
}

int xk_ring_front_take(struct xk_ring_front *f, void *rsps, uint32_t max)
{
    int n = responses(f);

    if (n <= 0 || max == 0)
        return n < 0 ? n : max ? XK_EAGAIN : 0;
    if ((uint32_t)n > max)
        n = (int)max;
    copy_out(rsps, f->slots, f->count, f->slot, f->rsp_cons, (uint32_t)n);
    f->rsp_cons += (uint32_t)n;
    return n;
}

int xk_ring_front_rearm(struct xk_ring_front *f)
{
    int n = responses(f);

    if (n)
        return n < 0 ? n : 1;
    xk_shared_store32(&f->shared[RSP_EVENT], f->rsp_cons + 1);
    xk_shared_fence(); /* pairs with the fence in the back's publish */
    n = responses(f);
    return n < 0 ? n : n > 0;
}

/* No response that is to come passes this number; all before were taken. */
void xk_ring_front_unarm(struct xk_ring_front *f) { xk_shared_store32(&f->shared[RSP_EVENT], f->rsp_cons); }

/* How many requests wait. A front may not have more in flight than there are slots. */
static int requests(struct xk_ring_back *b)
{
    uint32_t prod = xk_shared_load_acquire32(&b->shared[REQ_PROD]);

    if (b->broken || prod - b->rsp_prod > b->count || prod - b->req_cons > b->count) {
        b->broken = 1;
        return XK_EPEER;
    }
    return (int)(prod - b->req_cons);
}

int xk_ring_back_take(struct xk_ring_back *b, void *reqs, uint32_t max)
{
    int n = requests(b);

    if (n <= 0 || max == 0)
        return n < 0 ? n : max ? XK_EAGAIN : 0;
    if ((uint32_t)n > max)
        n = (int)max;
    copy_out(reqs, b->slots, b->count, b->slot, b->req_cons, (uint32_t)n);
    b->req_cons += (uint32_t)n;
    return n;
}

void xk_ring_back_untake(struct xk_ring_back *b, uint32_t n) { b->req_cons -= n; }

int xk_ring_back_put(struct xk_ring_back *b, const void *rsps, uint32_t n)
{
    uint32_t room = b->req_cons - b->rsp_prod;

    if (n == 0)
        return 0;
    if (room == 0)
        return XK_EAGAIN;
    if (n > room)
        n = room;
    copy_in(b->slots, b->count, b->slot, b->rsp_prod, rsps, n);
    b->rsp_prod += n;
    return (int)n;
}

int xk_ring_back_publish(struct xk_ring_back *b)
{
    uint32_t old = b->published;

    if (old == b->rsp_prod)
        return 0;
    b->published = b->rsp_prod;
    return publish(&b->shared[RSP_PROD], &b->shared[RSP_EVENT], old, b->rsp_prod);
}

int xk_ring_back_rearm(struct xk_ring_back *b)
{
    int n = requests(b);

    if (n)
        return n < 0 ? n : 1;
    xk_shared_store32(&b->shared[REQ_EVENT], b->req_cons + 1);
    xk_shared_fence(); /* pairs with the fence in the front's publish */
    n = requests(b);
    return n < 0 ? n : n > 0;
}

void xk_ring_back_unarm(struct xk_ring_back *b) { xk_shared_store32(&b->shared[REQ_EVENT], b->req_cons); }
