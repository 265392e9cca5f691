/* The suite's view of a world: three actors by number, wherever they are; and what a platform cannot know.
 * SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_CONTRACT_H
#define XK_TESTS_CONTRACT_H

#include <xenkit/xen.h>

#include "tests/c/platform/actor.h"
#include "tests/c/platform/world.h"

struct stage {
    struct world w;
    struct xk_platform *xen;
    struct actor at[3];
    int on_xen;      /* real domains: slower, and some things are Xen's to keep */
    int gone[3];     /* ended by the test */
    int defers[3];   /* the end of a share never says XK_EBUSY: Linux keeps the pages */
    int blind[3];    /* cannot ask whether a port has a peer */
    int peerless[3]; /* a map cannot tell XK_EGONE from XK_EINVAL */
};

/* --- calls --- */

static inline int64_t ask(struct stage *s, int who, struct actor_box *b)
{
    struct actor *at = &s->at[who];
    struct timespec nap = {0, 50000};

    if (at->p) {
        actor_serve(at->p, b);
        return b->result;
    }
    at->box->op = b->op;
    memcpy(at->box->a, b->a, sizeof(b->a));
    memcpy(at->box->data, b->data, sizeof(b->data));
    __atomic_store_n(&at->box->asked, at->box->asked + 1, __ATOMIC_RELEASE);
    for (int i = 0; __atomic_load_n(&at->box->answered, __ATOMIC_ACQUIRE) != at->box->asked; i++) {
        if (i > 200000)
            TAP_FAIL("the agent of domain %d does not answer", at->id);
        nanosleep(&nap, NULL);
    }
    memcpy(b->a, at->box->a, sizeof(b->a));
    memcpy(b->data, at->box->data, sizeof(b->data));
    return b->result = at->box->result;
}

static inline int64_t ask3(struct stage *s, int who, enum actor_op op, int64_t a0, int64_t a1, int64_t a2)
{
    struct actor_box b = {.op = op, .a = {a0, a1, a2}};

    return ask(s, who, &b);
}

/* The peer by its number in the test, or a domain number as it is from 4 up. */
static inline int64_t peer_id(struct stage *s, int peer) { return peer >= 0 && peer < 3 ? s->at[peer].id : peer; }

static inline int share(struct stage *s, int who, int peer, unsigned n, unsigned flags, xk_gref *refs, int64_t *addr)
{
    struct actor_box b = {.op = ACTOR_SHARE, .a = {peer_id(s, peer), n, flags}};
    int r = (int)ask(s, who, &b);

    if (r == 0) {
        memcpy(refs, b.data, n * sizeof(*refs));
        *addr = b.a[0];
    }
    return r;
}

static inline int map(struct stage *s, int who, int peer, const xk_gref *refs, unsigned n, unsigned flags, int *status,
                      int64_t *addr)
{
    struct actor_box b = {.op = ACTOR_MAP, .a = {peer_id(s, peer), n, flags}};
    int r;

    memcpy(b.data, refs, n * sizeof(*refs));
    r = (int)ask(s, who, &b);
    if (status)
        memcpy(status, b.data + ACTOR_DATA / 2, n * sizeof(*status));
    *addr = b.a[0];
    return r;
}

/* See actor_copy; (others): bytes that were not as they should be; -1: do not look. */
static inline int copy(struct stage *s, int who, int peer, const xk_gref *refs, unsigned n, int offset, int len,
                       unsigned flags, int value, int *status, int64_t *others)
{
    struct actor_box b = {.op = ACTOR_COPY, .a = {peer_id(s, peer), n, offset | len << 16, flags, value}};
    int r;

    memcpy(b.data, refs, n * sizeof(*refs));
    r = (int)ask(s, who, &b);
    memcpy(status, b.data + ACTOR_DATA / 2, n * sizeof(*status));
    *others = b.a[5];
    return r;
}

/* (len) bytes at (from_offset) of (from)'s page to (offset) of (peer)'s, as actor_between. */
static inline int between(struct stage *s, int who, int peer, xk_gref ref, int offset, int from, xk_gref from_ref,
                          int from_offset, int len, unsigned flags)
{
    struct actor_box b = {
        .op = ACTOR_BETWEEN,
        .a = {peer_id(s, peer), peer_id(s, from), offset, from_offset, len, flags},
    };
    int r;

    memcpy(b.data, &ref, 4);
    memcpy(b.data + 4, &from_ref, 4);
    r = (int)ask(s, who, &b);
    OK(b.a[4] == 1 || b.a[4] == r); /* 1: it was refused as a whole */
    return r;
}

static inline int end_share(struct stage *s, int who, int64_t addr, unsigned n)
{
    return (int)ask3(s, who, ACTOR_UNSHARE, addr, n, 0);
}
static inline int forget(struct stage *s, int who, int64_t addr, unsigned n)
{
    return (int)ask3(s, who, ACTOR_FORGET, addr, n, 0);
}
static inline int unmap(struct stage *s, int who, int64_t addr, unsigned n)
{
    return (int)ask3(s, who, ACTOR_UNMAP, addr, n, 0);
}
static inline int peek(struct stage *s, int who, int64_t addr) { return (int)ask3(s, who, ACTOR_PEEK, addr, 0, 0); }
static inline void poke(struct stage *s, int who, int64_t addr, int v) { ask3(s, who, ACTOR_POKE, addr, v, 0); }
static inline int others(struct stage *s, int who, int64_t addr, int64_t n, int v)
{
    return (int)ask3(s, who, ACTOR_OTHERS, addr, n, v);
}
static inline int alloc(struct stage *s, int who, int peer)
{
    return (int)ask3(s, who, ACTOR_ALLOC, peer_id(s, peer), 0, 0);
}
static inline int bind_port(struct stage *s, int who, int peer, xk_port remote)
{
    return (int)ask3(s, who, ACTOR_BIND, peer_id(s, peer), remote, 0);
}
static inline int virq(struct stage *s, int who, unsigned v) { return (int)ask3(s, who, ACTOR_VIRQ, v, 0, 0); }
static inline int notify(struct stage *s, int who, xk_port p) { return (int)ask3(s, who, ACTOR_NOTIFY, p, 0, 0); }
static inline int pending(struct stage *s, int who) { return (int)ask3(s, who, ACTOR_PENDING, 0, 0, 0); }
static inline int unmask(struct stage *s, int who, xk_port p) { return (int)ask3(s, who, ACTOR_UNMASK, p, 0, 0); }
static inline int unbind(struct stage *s, int who, xk_port p) { return (int)ask3(s, who, ACTOR_UNBIND, p, 0, 0); }
/* Is it as (want), as far as (who) can know? */
static inline int peer_is(struct stage *s, int who, xk_port p, int want)
{
    return ask3(s, who, ACTOR_PEER, p, 0, 0) == (s->blind[who] ? XK_ENOSYS : want);
}
static inline int control(struct stage *s, int who, int target, int verb, int arg)
{
    return (int)ask3(s, who, ACTOR_CONTROL, peer_id(s, target), verb, arg);
}

static inline int info(struct stage *s, int who, enum actor_op op, int domid, struct xk_domain_info *out)
{
    struct actor_box b = {.op = op, .a = {domid}};
    int r = (int)ask(s, who, &b);

    memcpy(out, b.data, sizeof(*out));
    return r;
}

/* Waits up to (ns); the port that is ready, or XK_EAGAIN. */
static inline int ready(struct stage *s, int who, int64_t ns)
{
    struct actor_box b = {.op = ACTOR_WAIT, .a = {ns}};
    int n = (int)ask(s, who, &b);

    return n < 0 ? n : n == 0 ? XK_EAGAIN : (int)b.a[0];
}

/* --- stages --- */

static inline void stage_of_world(struct stage *s)
{
    for (int i = 0; i < 3; i++) {
        s->at[i].p = s->w.dom[i];
        s->at[i].id = (xk_domid)i;
    }
}

static inline void stage_fake(struct stage *s)
{
    memset(s, 0, sizeof(*s));
    world_open_fake(&s->w);
    stage_of_world(s);
}

static inline void stage_hosted(struct stage *s)
{
    memset(s, 0, sizeof(*s));
    world_open_hosted(&s->w);
    stage_of_world(s);
}

/* XK_CONTRACT="DOMID:REF:KIND DOMID:REF:KIND": two agents, KIND stub or xen. Domain 0 is this process. */
static inline void stage_xen(struct stage *s)
{
    unsigned id[3] = {0}, ref[3] = {0};
    char kind[3][8] = {"xen"};

    memset(s, 0, sizeof(*s));
    s->on_xen = 1;
    OK(sscanf(getenv("XK_CONTRACT"), "%u:%u:%7s %u:%u:%7s", &id[1], &ref[1], kind[1], &id[2], &ref[2], kind[2]) == 6);
    EQ(xk_xen_attach(NULL, &s->xen), 0);
    s->at[0].p = s->xen;
    for (int i = 0; i < 3; i++) {
        s->at[i].id = (xk_domid)id[i];
        s->defers[i] = s->peerless[i] = strcmp(kind[i], "xen") == 0;
        s->blind[i] = i && s->defers[i]; /* Linux lets only dom0 make hypercalls */
        if (i)
            EQ(xk_page_map(s->xen, s->at[i].id, &ref[i], 1, 0, NULL, (void **)&s->at[i].box), 0);
    }
}

static inline void stage_close(struct stage *s)
{
    if (s->on_xen)
        xk_platform_close(s->xen);
    else
        world_close(&s->w);
}

#endif
