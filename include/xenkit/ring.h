/* xenkit/ring.h - Xen's request/response ring, byte for byte (xen/include/public/io/ring.h).
 *
 * The front puts requests and takes responses, the back takes requests and puts responses, over one shared area that
 * the front initialised. This is pure memory: nobody is notified here. A publish call says whether the peer asked to be
 * notified; a rearm call asks for a notification and looks once more, which closes the race between "ring is empty" and
 * "go to sleep".
 *
 * Requests and responses are copied, never parsed in place. Indices are uint32 and wrap. Sizes and masks are private.
 * An index that a correct peer cannot have written gives XK_EPEER, now and for ever: close the channel.
 *
 * Both structures are placed by the caller; nothing is allocated, nothing blocks. One thread a half.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_RING_H
#define XENKIT_RING_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/err.h>

XK_API_BEGIN

struct xk_ring_front {
    volatile uint32_t *shared; /* req_prod, req_event, rsp_prod, rsp_event */
    volatile uint8_t *slots;
    uint32_t count, slot; /* entries (a power of two), bytes each */
    uint32_t req_prod, rsp_cons;
    uint32_t published;
    int broken;
};

struct xk_ring_back {
    volatile uint32_t *shared;
    volatile uint8_t *slots;
    uint32_t count, slot;
    uint32_t req_cons, rsp_prod;
    uint32_t published;
    int broken;
    volatile void *record; /* behind the last entry, or NULL */
};

/* xk_ring_entries (bytes, slot) - how many entries a shared area of (bytes) holds: the largest power of two that fits
 * behind the 64-byte header. 0 when none fits. (slot) is the size of the larger of request and response. */
uint32_t xk_ring_entries(size_t bytes, uint32_t slot);

/* xk_ring_front_init (f, area, bytes, slot) - makes a new, empty ring in (area), of which the peer has not heard yet.
 * (area) is 4-byte aligned and stays the caller's. XK_EINVAL when no entry fits.
 * xk_ring_front_attach, xk_ring_back_attach - take part in a ring that exists, at the indices it shows (after a
 * restart, or at a test's chosen start). XK_EPEER when they make no sense. */
XK_MUSTCHECK int xk_ring_front_init(struct xk_ring_front *f, void *area, size_t bytes, uint32_t slot);
XK_MUSTCHECK int xk_ring_front_attach(struct xk_ring_front *f, void *area, size_t bytes, uint32_t slot);
XK_MUSTCHECK int xk_ring_back_attach(struct xk_ring_back *b, void *area, size_t bytes, uint32_t slot);

/* xk_ring_front_free (f) - for how many further requests there is room. */
static inline uint32_t xk_ring_front_free(const struct xk_ring_front *f)
{
    return f->count - (f->req_prod - f->rsp_cons);
}

/* xk_ring_front_put (f, reqs, n) - copies up to (n) requests into the ring; they are not seen before publish. Returns
 * how many, XK_EAGAIN when there is room for none. */
int xk_ring_front_put(struct xk_ring_front *f, const void *reqs, uint32_t n);

/* xk_ring_front_reserve (f, max, slots) - up to (max) free entries that lie together, in the ring itself, for a caller
 * that composes in place: write them in full, never read them (the peer may write there). They count as put, and are
 * seen at publish. Returns how many, XK_EAGAIN. */
int xk_ring_front_reserve(struct xk_ring_front *f, uint32_t max, void **slots);

/* xk_ring_front_publish (f) - shows what was put. Returns 1 when the peer wants a notification for it, else 0. */
XK_MUSTCHECK int xk_ring_front_publish(struct xk_ring_front *f);

/* xk_ring_front_take (f, rsps, max) - copies up to (max) responses out. Returns how many, XK_EAGAIN, XK_EPEER. */
int xk_ring_front_take(struct xk_ring_front *f, void *rsps, uint32_t max);

/* xk_ring_front_rearm (f) - asks to be notified of the next response. Returns 1 when one is there already (do not
 * sleep), 0 when none is, XK_EPEER. */
XK_MUSTCHECK int xk_ring_front_rearm(struct xk_ring_front *f);
/* xk_ring_front_unarm (f) - takes that back, for who looks by itself. A peer that just saw the wish may notify once
 * more. */
void xk_ring_front_unarm(struct xk_ring_front *f);

/* The same for the other half. back_put takes at most as many responses as requests are unanswered. */
int xk_ring_back_take(struct xk_ring_back *b, void *reqs, uint32_t max);
/* xk_ring_back_untake (b, n) - the (n) requests that were taken last come again. */
void xk_ring_back_untake(struct xk_ring_back *b, uint32_t n);
int xk_ring_back_put(struct xk_ring_back *b, const void *rsps, uint32_t n);
int xk_ring_back_reserve(struct xk_ring_back *b, uint32_t max, void **slots);
XK_MUSTCHECK int xk_ring_back_publish(struct xk_ring_back *b);
XK_MUSTCHECK int xk_ring_back_rearm(struct xk_ring_back *b);
void xk_ring_back_unarm(struct xk_ring_back *b);

/* Answers that outlive who gives them. An answer takes the place of a request, so that a back half that is killed
 * between put and publish leaves entries that are neither. These two write first what will be done, into bytes of the
 * area behind its last entry, which no protocol uses; the next back half finishes it.
 *
 * xk_ring_back_take_up (b, area, bytes, slot) - attaches, once no other back half can be alive (its event channel is
 * ours): looks whether somebody was killed within xk_ring_back_settle, finishes what that had begun, and has (b) record
 * its own from now on. Returns 1 when there are answers of somebody else, of which the peer may not have been told:
 * notify it. 0; XK_EPEER as attach; XK_EINVAL when the area has no room for a record. A peer that writes there harms
 * its own ring alone.
 *
 * xk_ring_back_settle (b, rsps, bytes, place, n) - puts (n) answers of (bytes) each, at most a slot, which lie one
 * after the other in (rsps), and shows them together; of a slot no more than (bytes) is written. (n) is at most
 * XK_RING_SETTLE, and all of them have at most XK_RING_SETTLE_BYTES. (place[i]): in which entry the request stands that
 * the i-th answers, when all before are done; NULL: it is the next one's for each. A request that stands where an
 * answer goes and is still under way moves into the place of the one that was answered: what is not answered is always
 * one stretch of the ring. The caller does the same with its notes: before the i-th answer whoever stands in entry
 * (rsp_prod + i) % count moves to (place[i]). Everything that was put has been shown before. Returns 1 when the peer
 * wants a notification, else 0; XK_EINVAL, and nothing is done, when they are too many, or more than requests were
 * taken. After a mere attach it does the same, unprotected. */
enum { XK_RING_SETTLE = 32, XK_RING_SETTLE_BYTES = 256 };
XK_MUSTCHECK int xk_ring_back_take_up(struct xk_ring_back *b, void *area, size_t bytes, uint32_t slot);
XK_MUSTCHECK int xk_ring_back_settle(struct xk_ring_back *b, const void *rsps, uint32_t bytes, const uint32_t *place,
                                     uint32_t n);

XK_API_END

#endif
