/* A domain as the contract's suite sees it: here, by a platform handle of this process, or elsewhere, by a page that it
 * shares with us and an agent that carries out what stands there (tests/guest/agent.c). Both ends go through
 * actor_serve, so a call is the same call wherever it is made. Addresses are numbers, since the memory may be another
 * domain's. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_ACTOR_H
#define XK_TESTS_ACTOR_H

#include <string.h>
#include <time.h>

#include <xenkit/platform.h>

enum { ACTOR_DATA = 2048 };

/* The page: the driver writes (op, a, data), then (asked); the agent writes (result, a, data), then (answered). */
struct actor_box {
    uint32_t asked, answered;
    uint32_t op, pad;
    int64_t a[8];
    int64_t result;
    uint8_t data[ACTOR_DATA];
};

struct actor {
    struct xk_platform *p; /* here; or NULL */
    struct actor_box *box; /* elsewhere */
    xk_domid id;
};

enum actor_op {
    ACTOR_SHARE = 1,
    ACTOR_UNSHARE,
    ACTOR_FORGET,
    ACTOR_MAP,
    ACTOR_UNMAP,
    ACTOR_COPY,
    ACTOR_BETWEEN,
    ACTOR_ALLOC,
    ACTOR_BIND,
    ACTOR_VIRQ,
    ACTOR_NOTIFY,
    ACTOR_PENDING,
    ACTOR_UNMASK,
    ACTOR_UNBIND,
    ACTOR_PEER,
    ACTOR_WAIT,
    ACTOR_PEEK,
    ACTOR_POKE,
    ACTOR_OTHERS,
    ACTOR_INFO,
    ACTOR_NEXT,
    ACTOR_CONTROL,
    ACTOR_ENTROPY,
    ACTOR_NOW,
    ACTOR_WALLCLOCK,
    ACTOR_DOMID,
    ACTOR_END
};

static inline int64_t actor_others(const volatile uint8_t *p, int64_t n, uint8_t v)
{
    int64_t found = 0;

    for (int64_t i = 0; i < n; i++)
        found += p[i] != v;
    return found;
}

/* Pieces of (len) bytes at (offset) of (count) pages, to or from memory that lies across pages. To: piece i is full of
 * (value) + i. From: a[5] becomes the number of bytes that are not. */
static inline int64_t actor_copy(struct xk_platform *p, struct actor_box *b)
{
    enum { PIECES = 8 };
    static uint8_t memory[(PIECES + 1) * XK_PAGE_SIZE];
    int64_t *a = b->a, count = a[1], offset = a[2] & 0xffff, len = a[2] >> 16, flags = a[3], value = a[4], r;
    struct xk_page_copy piece[PIECES];
    xk_gref refs[PIECES];

    if (count > PIECES || len > XK_PAGE_SIZE)
        return XK_EINVAL;
    memcpy(refs, b->data, (size_t)count * sizeof(refs[0]));
    for (int64_t i = 0; i < count; i++) {
        piece[i] = (struct xk_page_copy){memory + 1000 + i * len, refs[i], (uint16_t)offset, (uint16_t)len, 1};
        memset(piece[i].local, (int)(value + (flags & XK_COPY_TO ? i : -i - 1)), (size_t)len);
    }
    r = xk_page_copy(p, (xk_domid)a[0], piece, (unsigned)count, (unsigned)flags);
    a[5] = 0;
    for (int64_t i = 0; i < count; i++) {
        memcpy(b->data + ACTOR_DATA / 2 + i * 4, &piece[i].status, 4);
        a[5] += actor_others(piece[i].local, len, (uint8_t)(value + i));
    }
    return r;
}

/* a[4] bytes from a[3] of a page of domain a[1] to a[2] of one of a[0], flags a[5]; the pages are in (data), that to
 * write first. a[4] becomes the piece's status. */
static inline int64_t actor_between(struct xk_platform *p, struct actor_box *b)
{
    int64_t *a = b->a, r;
    struct xk_page_copy piece = {.status = 1};

    memcpy(&piece.ref, b->data, 4);
    memcpy(&piece.from.ref, b->data + 4, 4);
    piece.offset = (uint16_t)a[2];
    piece.from.peer = (xk_domid)a[1];
    piece.from.offset = (uint16_t)a[3];
    piece.len = (uint16_t)a[4];
    r = xk_page_copy(p, (xk_domid)a[0], &piece, 1, (unsigned)a[5]);
    a[4] = piece.status;
    return r;
}

static inline int64_t actor_memory(struct xk_platform *p, struct actor_box *b)
{
    int64_t *a = b->a;
    void *addr = (void *)(uintptr_t)a[0];
    int r;

    switch (b->op) {
    case ACTOR_SHARE:
        r = xk_page_share(p, (xk_domid)a[0], (unsigned)a[1], (unsigned)a[2], (xk_gref *)(void *)b->data, &addr);
        a[0] = (int64_t)(uintptr_t)addr;
        return r;
    case ACTOR_UNSHARE:
        return xk_page_unshare(p, addr, (unsigned)a[1]);
    case ACTOR_FORGET:
        return xk_page_forget(p, addr, (unsigned)a[1]);
    case ACTOR_MAP:
        r = xk_page_map(p, (xk_domid)a[0], (xk_gref *)(void *)b->data, (unsigned)a[1], (unsigned)a[2],
                        (int *)(void *)(b->data + ACTOR_DATA / 2), &addr);
        a[0] = (int64_t)(uintptr_t)addr;
        return r;
    case ACTOR_COPY:
        return actor_copy(p, b);
    case ACTOR_BETWEEN:
        return actor_between(p, b);
    default:
        return xk_page_unmap(p, addr, (unsigned)a[1]);
    }
}

static inline int64_t actor_wait(struct xk_platform *p, int64_t *a)
{
    struct xk_ready r = {NULL, -1, 0};
    int n = xk_wait(p, a[0] ? xk_now(p) + a[0] : XK_NOW, &r, 1);

    a[0] = r.port;
    return n;
}

static inline int64_t actor_other(struct xk_platform *p, struct actor_box *b)
{
    int64_t *a = b->a;

    switch (b->op) {
    case ACTOR_WAIT:
        return actor_wait(p, a);
    case ACTOR_PEEK:
        return *(volatile uint8_t *)(uintptr_t)a[0];
    case ACTOR_POKE:
        *(volatile uint8_t *)(uintptr_t)a[0] = (uint8_t)a[1];
        return 0;
    case ACTOR_OTHERS:
        return actor_others((const volatile uint8_t *)(uintptr_t)a[0], a[1], (uint8_t)a[2]);
    case ACTOR_INFO:
        return xk_domain_info(p, (xk_domid)a[0], (struct xk_domain_info *)(void *)b->data);
    case ACTOR_NEXT:
        return xk_domain_next(p, (xk_domid)a[0], (struct xk_domain_info *)(void *)b->data);
    case ACTOR_CONTROL:
        return a[1] == XK_DOMCTL_DESTROY    ? xk_domain_destroy(p, (xk_domid)a[0])
               : a[1] == XK_DOMCTL_PAUSE    ? xk_domain_pause(p, (xk_domid)a[0])
               : a[1] == XK_DOMCTL_SHUTDOWN ? xk_domain_shutdown(p, (xk_domid)a[0], (enum xk_shutdown)a[2])
                                            : xk_domain_set_virq_handler(p, (xk_domid)a[0], (unsigned)a[2]);
    case ACTOR_ENTROPY:
        return xk_entropy(p, b->data, (size_t)a[0]);
    case ACTOR_NOW:
        return xk_now(p);
    case ACTOR_WALLCLOCK:
        return xk_wallclock(p);
    case ACTOR_DOMID:
        return xk_platform_domid(p);
    default:
        return XK_ENOSYS;
    }
}

/* Carries out what stands in (b). */
static inline void actor_serve(struct xk_platform *p, struct actor_box *b)
{
    int64_t *a = b->a;

    switch (b->op) {
    case ACTOR_SHARE:
    case ACTOR_UNSHARE:
    case ACTOR_FORGET:
    case ACTOR_MAP:
    case ACTOR_UNMAP:
    case ACTOR_COPY:
    case ACTOR_BETWEEN:
        b->result = actor_memory(p, b);
        break;
    case ACTOR_ALLOC:
        b->result = xk_evtchn_alloc(p, (xk_domid)a[0]);
        break;
    case ACTOR_BIND:
        b->result = xk_evtchn_bind(p, (xk_domid)a[0], (xk_port)a[1]);
        break;
    case ACTOR_VIRQ:
        b->result = xk_evtchn_bind_virq(p, (unsigned)a[0]);
        break;
    case ACTOR_NOTIFY:
        b->result = xk_evtchn_notify(p, (xk_port)a[0]);
        break;
    case ACTOR_PENDING:
        b->result = xk_evtchn_pending(p);
        break;
    case ACTOR_UNMASK:
        b->result = xk_evtchn_unmask(p, (xk_port)a[0]);
        break;
    case ACTOR_UNBIND:
        b->result = xk_evtchn_unbind(p, (xk_port)a[0]);
        break;
    case ACTOR_PEER:
        b->result = xk_evtchn_peer(p, (xk_port)a[0]);
        break;
    default:
        b->result = actor_other(p, b);
    }
}

#endif
