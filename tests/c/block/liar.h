/* A front end that writes into the ring by itself, what it likes, against a back end of ours.
 * SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_BLOCK_LIAR_H
#define XK_TESTS_BLOCK_LIAR_H

#include <xenkit/ring.h>

#include "tests/c/block/pair.h"

#include <xen/io/blkif.h>

struct liar {
    struct pair p;
    struct xk_ring_front ring;
    void *page;
    uint8_t *data;
    xk_gref ring_ref, ref[4];
    xk_port port;
    struct xk_blkback_config bc;
    uint64_t next_id;
};

static inline void liar_open(struct liar *l, enum xk_blk_abi abi, unsigned max_pieces)
{
    void *data;
    int port;

    memset(l, 0, sizeof(*l));
    pair_world(&l->p);
    EQ(xk_page_share(l->p.w.dom[1], 2, 1, 0, &l->ring_ref, &l->page), 0);
    EQ(xk_page_share(l->p.w.dom[1], 2, 4, 0, l->ref, &data), 0);
    l->data = data;
    port = xk_evtchn_alloc(l->p.w.dom[1], 2);
    OK(port > 0);
    EQ(xk_ring_front_init(&l->ring, l->page, XK_PAGE_SIZE, abi == XK_BLK_ABI_32 ? 108 : 112), 0);
    l->p.bc = (struct xk_blkback_config){.device = &l->p.disk.dev,
                                         .front = 1,
                                         .ring_pages = 1,
                                         .abi = (uint8_t)abi,
                                         .persistent = 1,
                                         .max_pieces = (uint16_t)max_pieces,
                                         .port = port,
                                         .broken = pair_back_broken,
                                         .arg = &l->p};
    l->p.bc.ring[0] = l->ring_ref;
    l->port = port;
    EQ(xk_blkback_open(NULL, l->p.back_loop, &l->p.bc, &l->p.back), 0);
}

static inline void liar_close(struct liar *l)
{
    xk_blkback_close(l->p.back, pair_back_closed, &l->p);
    l->p.back = NULL;
    EQ(xk_page_unshare(l->p.w.dom[1], l->page, 1), 0);
    EQ(xk_page_unshare(l->p.w.dom[1], l->data, 4), 0);
    EQ(xk_evtchn_unbind(l->p.w.dom[1], l->port), 0);
    pair_close(&l->p);
}

/* Puts a slot as it is, and gives the status of its answer, or 99: none came. */
static inline int tell(struct liar *l, const void *slot, size_t bytes)
{
    uint8_t out[128] = {0}, in[128];
    blkif_response_t rsp;

    memcpy(out, slot, bytes);
    EQ(xk_ring_front_put(&l->ring, out, 1), 1);
    if (xk_ring_front_publish(&l->ring))
        xk_evtchn_notify(l->p.w.dom[1], l->port);
    for (int i = 0; i < 3; i++)
        xk_loop_run_once(l->p.back_loop, XK_NOW);
    if (xk_ring_front_take(&l->ring, in, 1) != 1)
        return 99;
    memcpy(&rsp, in, sizeof(rsp));                                    /* the 64-bit layout */
    EQ(rsp.operation, out[0] == BLKIF_OP_INDIRECT ? out[1] : out[0]); /* as Linux' blkfront wants it */
    EQ(rsp.id, l->next_id);
    return rsp.status;
}

static inline blkif_request_t rw(struct liar *l, unsigned op, uint64_t sector, unsigned n)
{
    blkif_request_t q;

    memset(&q, 0, sizeof(q));
    q.operation = (uint8_t)op;
    q.nr_segments = (uint8_t)n;
    q.id = ++l->next_id;
    q.sector_number = sector;
    for (unsigned i = 0; i < n && i < 11; i++)
        q.seg[i] = (struct blkif_request_segment){l->ref[i % 4], 0, 7};
    return q;
}

static inline int honest(struct liar *l)
{
    blkif_request_t q = rw(l, BLKIF_OP_READ, 0, 1);
    return tell(l, &q, sizeof(q));
}

static inline void put_one(struct liar *l, unsigned op, uint64_t sector, unsigned segments)
{
    uint8_t out[128] = {0};
    blkif_request_t q = rw(l, op, sector, segments);

    memcpy(out, &q, sizeof(q));
    EQ(xk_ring_front_put(&l->ring, out, 1), 1);
}

static inline void run_back(struct liar *l)
{
    if (xk_ring_front_publish(&l->ring))
        xk_evtchn_notify(l->p.w.dom[1], l->port);
    for (int i = 0; i < 6; i++)
        xk_loop_run_once(l->p.back_loop, XK_NOW);
}

/* The answers that came: how many; all well. */
static inline int answers(struct liar *l)
{
    uint8_t in[128];
    int n = 0;

    for (; xk_ring_front_take(&l->ring, in, 1) == 1; n++) {
        blkif_response_t rsp;
        memcpy(&rsp, in, sizeof(rsp));
        EQ(rsp.status, BLKIF_RSP_OKAY);
    }
    return n;
}

#endif
