/* drivers/block/proto.h - what stands in a slot of a disk's ring, in each of the three ABIs (xen/io/blkif.h). 64-bit
 * x86, and all others that call themselves native, align the 64-bit fields on 8 bytes, 32-bit x86 on 4. Read from and
 * written to copies of slots, never in the ring. SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_BLOCK_PROTO_H
#define XK_DRIVERS_BLOCK_PROTO_H

#include <stdint.h>
#include <string.h>

#include <xenkit/platform.h>

enum { BLK_READ = 0, BLK_WRITE = 1, BLK_BARRIER = 2, BLK_FLUSH = 3, BLK_DISCARD = 5, BLK_INDIRECT = 6 };
enum { BLK_OKAY = 0, BLK_ERROR = -1, BLK_UNSUPPORTED = -2 };
enum {
    BLK_SEGMENTS = 11,           /* in the slot itself */
    BLK_INDIRECT_PAGES = 8,      /* of further ones, */
    BLK_PER_PAGE = 512,          /* each with so many, */
    BLK_MOST = 8 * BLK_PER_PAGE, /* that is at most */
    BLK_RING_ORDER = 4,          /* rings of up to 16 pages */
    BLK_SLOT_MAX = 112,
    BLK_ANSWER_MAX = 16,
    BLK_SECTORS_PAGE = XK_PAGE_SIZE / 512,
    BLK_SECURE = 1
};

struct blk_abi {
    uint8_t slot, id, sector, more; /* bytes of a slot; where id, sector, and what follows stand */
    uint8_t grefs, response, op;    /* indirect pages; of a response: its length */
};

static const struct blk_abi blk_abi_64 = {112, 8, 16, 24, 28, 16, 8}, blk_abi_32 = {108, 4, 12, 20, 24, 12, 8};

struct blk_segment {
    uint32_t gref;
    uint8_t first, last; /* sectors of its page, both inclusive */
    uint8_t pad[2];
};

struct blk_wire {
    uint64_t id, sector, count; /* (count): sectors of a DISCARD */
    uint16_t handle, segments;
    uint8_t op, flags; /* the operation that is meant: never BLK_INDIRECT */
    uint8_t indirect;
    uint32_t page[BLK_INDIRECT_PAGES];
    struct blk_segment seg[BLK_SEGMENTS];
};

struct blk_answer {
    uint64_t id;
    uint8_t op; /* as it stood in the request */
    int16_t status;
};

static inline void blk_get(void *to, const uint8_t *slot, unsigned at, size_t n) { memcpy(to, slot + at, n); }
static inline void blk_put(uint8_t *slot, unsigned at, const void *from, size_t n) { memcpy(slot + at, from, n); }

static inline void blk_request_read(const struct blk_abi *abi, const uint8_t *slot, struct blk_wire *w)
{
    memset(w, 0, offsetof(struct blk_wire, seg));
    w->op = slot[0];
    blk_get(&w->id, slot, abi->id, 8);
    blk_get(&w->sector, slot, abi->sector, 8);
    if (w->op == BLK_INDIRECT) {
        w->indirect = 1;
        w->op = slot[1];
        blk_get(&w->segments, slot, 2, 2);
        blk_get(w->page, slot, abi->grefs, sizeof(w->page));
        return;
    }
    blk_get(&w->handle, slot, 2, 2);
    if (w->op == BLK_DISCARD) {
        w->flags = slot[1];
        blk_get(&w->count, slot, abi->more, 8);
        return;
    }
    w->segments = slot[1];
    blk_get(w->seg, slot, abi->more, sizeof(w->seg));
}

static inline void blk_request_write(const struct blk_abi *abi, uint8_t *slot, const struct blk_wire *w)
{
    memset(slot, 0, abi->slot);
    blk_put(slot, abi->id, &w->id, 8);
    blk_put(slot, abi->sector, &w->sector, 8);
    slot[0] = w->indirect ? BLK_INDIRECT : w->op;
    if (w->indirect) {
        slot[1] = w->op;
        blk_put(slot, 2, &w->segments, 2);
        blk_put(slot, abi->more, &w->handle, 2);
        blk_put(slot, abi->grefs, w->page, sizeof(w->page));
        return;
    }
    blk_put(slot, 2, &w->handle, 2);
    if (w->op == BLK_DISCARD) {
        slot[1] = w->flags;
        blk_put(slot, abi->more, &w->count, 8);
        return;
    }
    slot[1] = (uint8_t)w->segments;
    blk_put(slot, abi->more, w->seg, w->segments * sizeof(w->seg[0]));
}

static inline void blk_answer_read(const struct blk_abi *abi, const uint8_t *slot, struct blk_answer *a)
{
    blk_get(&a->id, slot, 0, 8);
    a->op = slot[abi->op];
    blk_get(&a->status, slot, abi->op + 2u, 2);
}

static inline void blk_answer_write(const struct blk_abi *abi, uint8_t *slot, const struct blk_answer *a)
{
    memset(slot, 0, abi->response);
    blk_put(slot, 0, &a->id, 8);
    slot[abi->op] = a->op;
    blk_put(slot, abi->op + 2u, &a->status, 2);
}

#endif
