/* The ring against the macros of Xen's io/ring.h, in every pairing, from random start indices; and against a liar.
 * SPDX-License-Identifier: MIT */
#include <stdint.h>

#include <xenkit/ring.h>

#include "tests/c/tap.h"

#define mb() __sync_synchronize() /* 4.17 calls them so; later headers xen_mb ... */
#define rmb() __sync_synchronize()
#define wmb() __sync_synchronize()
#define xen_mb mb
#define xen_rmb rmb
#define xen_wmb wmb
#include <xen/io/ring.h>

struct demo_request {
    uint64_t id;
    uint32_t a, b;
};
struct demo_response {
    uint64_t id;
    uint32_t sum;
};
DEFINE_RING_TYPES(demo, struct demo_request, struct demo_response);

enum { SLOT = sizeof(union demo_sring_entry) };

static _Alignas(4096) uint8_t page[4096];

static void start_at(uint32_t index)
{
    uint32_t *w = (uint32_t *)(void *)page;

    memset(page, 0, sizeof(page));
    w[0] = w[2] = index;
    w[1] = w[3] = index + 1;
}

TEST(entries_and_first_state_are_xens)
{
    struct demo_front_ring theirs;
    struct xk_ring_front ours;
    uint8_t copy[4096];

    SHARED_RING_INIT((struct demo_sring *)(void *)page);
    FRONT_RING_INIT(&theirs, (struct demo_sring *)(void *)page, sizeof(page));
    memcpy(copy, page, sizeof(page));
    memset(page, 0, sizeof(page));
    EQ(xk_ring_front_init(&ours, page, sizeof(page), SLOT), 0);
    EQ(ours.count, theirs.nr_ents);
    MEMEQ(page, copy, sizeof(page));
    for (uint32_t slot = 1; slot < 5000; slot++) {
        uint32_t n = xk_ring_entries(4096, slot), want = 0;
        if (slot <= 4096 - 64)
            for (want = 1; (want * 2) * slot <= 4096 - 64; want *= 2)
                ;
        EQ(n, want);
    }
}

/* (ours) talks with Xen's macros; both wakeup decisions are compared with what the macros would have said. */
TEST(our_front_with_xens_back)
{
    for (int round = 0; round < 200; round++) {
        uint32_t base = round == 0 ? 0xfffffff0u : (uint32_t)rand() * 7u;
        struct xk_ring_front f;
        struct demo_back_ring b;
        uint64_t sent = 0, answered = 0, got = 0;

        start_at(base);
        EQ(xk_ring_front_attach(&f, page, sizeof(page), SLOT), 0);
        BACK_RING_ATTACH(&b, (struct demo_sring *)(void *)page, base, sizeof(page));
        while (got < 2000) {
            union demo_sring_entry batch[64];
            int n = rand() % 64, notify, more;
            for (int i = 0; i < n; i++)
                batch[i].req = (struct demo_request){sent + (unsigned)i, (uint32_t)i, 5};
            n = xk_ring_front_put(&f, batch, (uint32_t)n);
            sent += n > 0 ? (unsigned)n : 0;
            (void)!xk_ring_front_publish(&f);
            while (RING_HAS_UNCONSUMED_REQUESTS(&b) && rand() % 8) {
                struct demo_request req;
                RING_COPY_REQUEST(&b, b.req_cons, &req);
                b.req_cons++;
                EQ(req.id, answered);
                struct demo_response *rsp = RING_GET_RESPONSE(&b, b.rsp_prod_pvt);
                rsp->id = answered++;
                rsp->sum = req.a + req.b;
                b.rsp_prod_pvt++;
            }
            RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&b, notify);
            RING_FINAL_CHECK_FOR_REQUESTS(&b, more);
            (void)more;
            n = xk_ring_front_take(&f, batch, 16);
            for (int i = 0; i < n; i++)
                EQ(batch[i].rsp.id, got++);
            OK(n != XK_EPEER);
            (void)notify;
        }
    }
}

TEST(our_back_with_xens_front)
{
    for (int round = 0; round < 200; round++) {
        uint32_t base = round == 0 ? 0xfffffff0u : (uint32_t)rand() * 7u;
        struct demo_front_ring f;
        struct xk_ring_back b;
        uint64_t sent = 0, answered = 0, got = 0;

        start_at(base);
        FRONT_RING_ATTACH(&f, (struct demo_sring *)(void *)page, base, sizeof(page));
        EQ(xk_ring_back_attach(&b, page, sizeof(page), SLOT), 0);
        while (got < 2000) {
            union demo_sring_entry batch[64];
            int n, want_notify;
            while (!RING_FULL(&f) && rand() % 8) {
                struct demo_request *req = RING_GET_REQUEST(&f, f.req_prod_pvt);
                req->id = sent++;
                f.req_prod_pvt++;
            }
            RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&f, want_notify);
            (void)want_notify;
            n = xk_ring_back_take(&b, batch, (uint32_t)(rand() % 64) + 1);
            for (int i = 0; i < n; i++) {
                struct demo_response rsp = {batch[i].req.id, 1};
                EQ(rsp.id, answered++);
                batch[i].rsp = rsp;
            }
            if (n > 0)
                EQ(xk_ring_back_put(&b, batch, (uint32_t)n), n);
            (void)!xk_ring_back_publish(&b);
            while (RING_HAS_UNCONSUMED_RESPONSES(&f)) {
                EQ(RING_GET_RESPONSE(&f, f.rsp_cons)->id, got++);
                f.rsp_cons++;
            }
        }
    }
}

/* For every relation of event index and published range, we notify when the macro does. */
TEST(notify_decision_is_xens)
{
    for (int i = 0; i < 100000; i++) {
        uint32_t base = (uint32_t)rand() * 3u, n = 1 + (uint32_t)rand() % 32,
                 event = base + (uint32_t)(rand() % 70) - 20;
        struct xk_ring_front f;
        struct demo_front_ring x;
        uint8_t reqs[32 * SLOT] = {0};
        int theirs;

        start_at(base);
        FRONT_RING_ATTACH(&x, (struct demo_sring *)(void *)page, base, sizeof(page));
        ((struct demo_sring *)(void *)page)->req_event = event;
        x.req_prod_pvt += n;
        RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&x, theirs);
        start_at(base);
        ((struct demo_sring *)(void *)page)->req_event = event;
        EQ(xk_ring_front_attach(&f, page, sizeof(page), SLOT), 0);
        EQ(xk_ring_front_put(&f, reqs, n), n);
        EQ(xk_ring_front_publish(&f), theirs);
    }
}

TEST(full_and_empty)
{
    struct xk_ring_front f;
    struct xk_ring_back b;
    uint8_t entry[SLOT] = {0};

    EQ(xk_ring_front_init(&f, page, sizeof(page), SLOT), 0);
    EQ(xk_ring_back_attach(&b, page, sizeof(page), SLOT), 0);
    EQ(xk_ring_back_take(&b, entry, 1), XK_EAGAIN);
    EQ(xk_ring_back_put(&b, entry, 1), XK_EAGAIN); /* no question, no answer */
    for (uint32_t i = 0; i < f.count; i++)
        EQ(xk_ring_front_put(&f, entry, 1), 1);
    EQ(xk_ring_front_put(&f, entry, 1), XK_EAGAIN);
    EQ(xk_ring_back_take(&b, entry, 1), XK_EAGAIN); /* not published */
    EQ(xk_ring_front_publish(&f), 1);
    EQ(xk_ring_front_publish(&f), 0);
    EQ(xk_ring_back_take(&b, entry, 1), 1);
    EQ(xk_ring_front_init(&f, page, 64, SLOT), XK_EINVAL);
    EQ(xk_ring_front_init(&f, page + 1, 4000, SLOT), XK_EINVAL);
}

TEST(slots_reserved_in_place)
{
    struct xk_ring_front f;
    struct xk_ring_back b;
    uint64_t sent = 0, seen = 0;

    start_at(0xffffff00u);
    EQ(xk_ring_front_attach(&f, page, sizeof(page), SLOT), 0);
    EQ(xk_ring_back_attach(&b, page, sizeof(page), SLOT), 0);
    while (seen < 20000) {
        union demo_sring_entry batch[64], *at;
        int n = xk_ring_front_reserve(&f, 1 + (uint32_t)rand() % 64, (void **)&at);
        OK(n != 0);
        for (int i = 0; i < n; i++)
            at[i].req.id = sent++;
        (void)!xk_ring_front_publish(&f);
        n = xk_ring_back_take(&b, batch, 1 + (uint32_t)rand() % 64);
        for (int done = 0; n > 0 && done < n;) {
            int k = xk_ring_back_reserve(&b, (uint32_t)(n - done), (void **)&at);
            OK(k > 0);
            for (int i = 0; i < k; i++)
                at[i].rsp.id = batch[done + i].req.id;
            done += k;
        }
        (void)!xk_ring_back_publish(&b);
        n = xk_ring_front_take(&f, batch, 64);
        for (int i = 0; i < n; i++)
            EQ(batch[i].rsp.id, seen++);
    }
    EQ(xk_ring_front_reserve(&f, 0, (void **)&(void *){NULL}), 0);
}

TEST(rearm_asks_and_looks_again)
{
    struct xk_ring_front f;
    struct xk_ring_back b;
    uint8_t e[SLOT] = {0};

    EQ(xk_ring_front_init(&f, page, sizeof(page), SLOT), 0);
    EQ(xk_ring_back_attach(&b, page, sizeof(page), SLOT), 0);
    EQ(xk_ring_back_rearm(&b), 0);
    EQ(xk_ring_front_put(&f, e, 1), 1);
    EQ(xk_ring_front_publish(&f), 1);
    EQ(xk_ring_back_rearm(&b), 1);
    EQ(xk_ring_back_take(&b, e, 1), 1);
    EQ(xk_ring_front_put(&f, e, 1), 1);
    EQ(xk_ring_front_publish(&f), 0); /* not asked for since: the back is awake */
    EQ(xk_ring_back_rearm(&b), 1);
}

TEST(a_wish_to_be_notified_is_taken_back)
{
    struct xk_ring_front f;
    struct xk_ring_back b;
    uint8_t e[SLOT] = {0};

    start_at(UINT32_MAX - 5);
    EQ(xk_ring_front_attach(&f, page, sizeof(page), SLOT), 0);
    EQ(xk_ring_back_attach(&b, page, sizeof(page), SLOT), 0);
    for (int i = 0; i < 20; i++) {
        EQ(xk_ring_back_rearm(&b), 0);
        if (i % 2)
            xk_ring_back_unarm(&b);
        EQ(xk_ring_front_put(&f, e, 1), 1);
        EQ(xk_ring_front_publish(&f), i % 2 == 0);
        EQ(xk_ring_back_take(&b, e, 1), 1);
        EQ(xk_ring_front_rearm(&f), 0);
        if (i % 2)
            xk_ring_front_unarm(&f);
        EQ(xk_ring_back_put(&b, e, 1), 1);
        EQ(xk_ring_back_publish(&b), i % 2 == 0);
        EQ(xk_ring_front_take(&f, e, 1), 1);
    }
}

TEST(a_lying_back_is_found_out)
{
    struct xk_ring_front f;
    uint8_t e[SLOT] = {0};
    uint32_t *w = (uint32_t *)(void *)page;

    for (int i = 0; i < 20000; i++) {
        uint32_t jump = (uint32_t)rand() * 3u + 1, base = (uint32_t)rand() * 5u;
        start_at(base);
        EQ(xk_ring_front_attach(&f, page, sizeof(page), SLOT), 0);
        (void)!xk_ring_front_put(&f, e, 1);
        (void)!xk_ring_front_publish(&f);
        w[2] = base + jump;
        if (jump <= 1)
            continue;
        EQ(xk_ring_front_take(&f, e, 1), XK_EPEER);
        w[2] = base; /* repentance comes too late */
        EQ(xk_ring_front_take(&f, e, 1), XK_EPEER);
        EQ(xk_ring_front_rearm(&f), XK_EPEER);
    }
}

TEST(a_lying_front_is_found_out)
{
    struct xk_ring_back b;
    uint8_t e[SLOT] = {0};
    uint32_t *w = (uint32_t *)(void *)page, count = xk_ring_entries(sizeof(page), SLOT);

    for (int i = 0; i < 20000; i++) {
        uint32_t base = (uint32_t)rand() * 5u, jump = (uint32_t)rand() * 3u;
        start_at(base);
        EQ(xk_ring_back_attach(&b, page, sizeof(page), SLOT), 0);
        w[0] = base + jump;
        EQ(xk_ring_back_take(&b, e, 1), jump == 0 ? XK_EAGAIN : jump <= count ? 1 : XK_EPEER);
    }
    start_at(5);
    w[0] = 5 + count + 1;
    EQ(xk_ring_back_attach(&b, page, sizeof(page), SLOT), XK_EPEER);
}
