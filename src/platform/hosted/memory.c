/* Pages and grants. For each peer and direction there is one arena (control.h), mapped once; a grant reference is a
 * page's index in it, so mapping consecutive references is arithmetic. References from XK__ARENA_PAGES on name pages of
 * the read-only half. References below XK_GREF_RESERVED are never handed out by page_share.
 * SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/shared.h"
#include "platform/hosted/private.h"

struct arena {
    struct xk_list link;
    xk_domid peer;
    int granter;        /* we grant */
    uint32_t born;      /* which domain of that number */
    int fd[2];          /* read-write, read-only; -1 not fetched */
    uint8_t *base[2];   /* first page of each kind */
    uint32_t *table;    /* one word a page, both kinds */
    unsigned in_use;    /* shares or maps */
    uint16_t *counts;   /* mapper: how often each ref is mapped */
    uint8_t *state;     /* granter: per page FREE, USED, STALE (free, but was written), FORGOTTEN (quarantined) */
    unsigned forgotten; /* pages in quarantine */
    unsigned hint[2];
};
enum { PAGE_FREE, PAGE_USED, PAGE_STALE, PAGE_FORGOTTEN };
enum { REFS = 2 * XK__ARENA_PAGES, IDLE_MIN = 8 };

struct mapping {
    struct xk_list link;
    struct arena *arena;
    uint8_t *addr;
    unsigned count;
    int remapped; /* a mapping of its own, as the refs were not consecutive */
    xk_gref refs[];
};

static size_t kind_bytes(int kind) { return kind ? XK__ARENA_RO_BYTES : XK__ARENA_RW_BYTES; }

static void arena_free(struct hosted *h, struct arena *a)
{
    if (a->table)
        munmap(a->table, kind_bytes(0));
    if (a->base[1])
        munmap(a->base[1], kind_bytes(1));
    for (int kind = 0; kind < 2; kind++)
        if (a->fd[kind] >= 0)
            close(a->fd[kind]);
    xk_free(&h->alloc, a->counts, REFS * sizeof(*a->counts));
    xk_free(&h->alloc, a->state, REFS);
    xk_list_del(&a->link);
    xk_free(&h->alloc, a, sizeof(*a));
}

/* Fetches and maps one half of an arena. */
static int arena_half(struct hosted *h, struct arena *a, int kind)
{
    int prot = kind && !a->granter ? PROT_READ : PROT_READ | PROT_WRITE, r;
    void *p;

    if (a->base[kind])
        return 0;
    if (a->fd[kind] < 0) {
        r = hosted_ask_simple(h, XK__CTL_ARENA, a->peer, a->granter, kind, &a->fd[kind]);
        if (r < 0)
            return r;
    }
    p = mmap(NULL, kind_bytes(kind), prot, MAP_SHARED | MAP_NORESERVE, a->fd[kind], 0);
    if (p == MAP_FAILED)
        return XK_ENOMEM;
    if (kind == 0)
        a->table = p;
    a->base[kind] = (uint8_t *)p + (kind ? 0 : (size_t)XK__ARENA_TABLE * XK_PAGE_SIZE);
    return 0;
}

static int ask_born(struct hosted *h, xk_domid peer, uint32_t *born)
{
    struct xk__ctl m;
    int r;

    memset(&m, 0, sizeof(m));
    m.op = XK__CTL_ALIVE;
    m.arg[0] = peer;
    r = hosted_ask(h, &m, -1, NULL);
    *born = (uint32_t)m.arg[1];
    return r;
}

/* The peer for which the arena was made still has an entry, be it dead: what it shared can be read until that goes. */
static int is_current(struct hosted *h, const struct arena *a)
{
    uint32_t born;

    ask_born(h, a->peer, &born);
    return born == a->born;
}

/* Arenas outlive their use, as a half is given out once; so those of peers that died meanwhile are let go here, before
 * a new one is made, whenever their number has doubled. */
static void drop_idle(struct hosted *h)
{
    unsigned idle = 0;

    XK_LIST_EACH(l, &h->arenas)
    idle += XK_CONTAINER(l, struct arena, link)->in_use == 0;
    if (idle <= h->idle_max)
        return;
    idle = 0;
    XK_LIST_EACH_SAFE(l, &h->arenas)
    {
        struct arena *a = XK_CONTAINER(l, struct arena, link);
        if (a->in_use == 0 && !is_current(h, a))
            arena_free(h, a);
        else
            idle += a->in_use == 0;
    }
    h->idle_max = 2 * idle + IDLE_MIN;
}

static struct arena *arena_find(struct hosted *h, xk_domid peer, int granter)
{
    XK_LIST_EACH(l, &h->arenas)
    {
        struct arena *a = XK_CONTAINER(l, struct arena, link);
        if (a->peer == peer && a->granter == granter)
            return a;
    }
    return NULL;
}

static int arena_get(struct hosted *h, xk_domid peer, int granter, int kind, struct arena **out)
{
    struct arena *a = arena_find(h, peer, granter);
    uint32_t born;
    int r;

    if (a && a->in_use == 0 && !is_current(h, a)) {
        arena_free(h, a);
        a = NULL;
    }
    if (!a) {
        drop_idle(h);
        r = ask_born(h, peer, &born);
        if (r < 0 && (granter || born == 0))
            return r;
        a = xk_new(&h->alloc, sizeof(*a));
        if (!a)
            return XK_ENOMEM;
        a->peer = peer;
        a->granter = granter;
        a->born = born;
        a->fd[0] = a->fd[1] = -1;
        a->counts = granter ? NULL : xk_new(&h->alloc, REFS * sizeof(*a->counts));
        a->state = granter ? xk_new(&h->alloc, REFS) : NULL;
        xk_list_add_tail(&h->arenas, &a->link);
        if (!a->counts && !a->state) {
            arena_free(h, a);
            return XK_ENOMEM;
        }
    }
    r = arena_half(h, a, 0);
    if (r == 0 && kind)
        r = arena_half(h, a, 1);
    if (r < 0 && a->fd[0] < 0 && a->fd[1] < 0) /* what was fetched is kept: it is not given twice */
        arena_free(h, a);
    *out = a;
    return r;
}

/* An arena whose peer is dead is of no more use once nothing of it is held. */
static void arena_put(struct hosted *h, struct arena *a)
{
    if (--a->in_use == 0 && !is_current(h, a))
        arena_free(h, a);
}

static int find_run(struct arena *a, int kind, unsigned count)
{
    unsigned lo = (unsigned)kind * XK__ARENA_PAGES, end = lo + XK__ARENA_PAGES, first = lo + XK_GREF_RESERVED, run = 0;
    unsigned start = a->hint[kind] > first ? a->hint[kind] : first;

    for (int pass = 0; pass < 2; pass++, start = first, run = 0)
        for (unsigned i = start; i < end; i++) {
            run = a->state[i] == PAGE_FREE || a->state[i] == PAGE_STALE ? run + 1 : 0;
            if (run == count)
                return (int)(i + 1 - count);
        }
    return XK_ENOSPC;
}

static uint8_t *page_at(struct arena *a, xk_gref ref)
{
    int kind = ref >= XK__ARENA_PAGES;

    return a->base[kind] + (size_t)(ref - (kind ? XK__ARENA_PAGES : 0)) * XK_PAGE_SIZE;
}

/* Pages in quarantine are free once the peer has let go of them. */
static void retry_forgotten(struct arena *a)
{
    for (unsigned i = 0; a->forgotten && i < REFS; i++) {
        uint32_t want = XK__GRANTED;
        if (a->state[i] != PAGE_FORGOTTEN ||
            !__atomic_compare_exchange_n(&a->table[i], &want, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            continue;
        a->state[i] = PAGE_STALE;
        a->forgotten--;
    }
}

int hosted_page_share(struct xk_platform *p, xk_domid peer, unsigned count, unsigned flags, xk_gref *refs, void **addr)
{
    struct hosted *h = (struct hosted *)p;
    int kind = (flags & XK_PAGE_READONLY) != 0, first, r;
    struct arena *a;

    r = arena_get(h, peer, 1, kind, &a);
    if (r < 0)
        return r;
    retry_forgotten(a);
    first = find_run(a, kind, count);
    if (first < 0)
        return first;
    for (unsigned i = 0; i < count; i++) {
        xk_gref ref = (xk_gref)first + i;
        if (a->state[ref] == PAGE_STALE)
            memset(page_at(a, ref), 0, XK_PAGE_SIZE);
        a->state[ref] = PAGE_USED;
        refs[i] = ref;
        xk_shared_store_release32(&a->table[ref], XK__GRANTED); /* zeroed before it is granted */
    }
    a->in_use++;
    a->hint[kind] = (unsigned)first + count;
    *addr = page_at(a, (xk_gref)first);
    return 0;
}

/* Finds the granting arena and reference of an address that page_share gave. */
static struct arena *arena_of(struct hosted *h, const uint8_t *addr, xk_gref *ref)
{
    XK_LIST_EACH(l, &h->arenas)
    {
        struct arena *a = XK_CONTAINER(l, struct arena, link);
        for (int kind = 0; a->granter && kind < 2; kind++) {
            if (!a->base[kind] || addr < a->base[kind] || addr >= a->base[kind] + XK__ARENA_RO_BYTES)
                continue;
            *ref = (xk_gref)((size_t)(addr - a->base[kind]) / XK_PAGE_SIZE) + (kind ? XK__ARENA_PAGES : 0);
            return a;
        }
    }
    return NULL;
}

/* Ends one grant. Only a peer that is alive can hold it. */
static int end_grant(struct hosted *h, struct arena *a, xk_gref ref)
{
    uint32_t want = XK__GRANTED;

    if (__atomic_compare_exchange_n(&a->table[ref], &want, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return 0;
    if (hosted_ask_simple(h, XK__CTL_ALIVE, a->peer, 0, 0, NULL) >= 0)
        return XK_EBUSY;
    xk_shared_store32(&a->table[ref], 0);
    return 0;
}

int hosted_page_unshare(struct xk_platform *p, void *addr, unsigned count)
{
    struct hosted *h = (struct hosted *)p;
    xk_gref ref = 0;
    struct arena *a = arena_of(h, addr, &ref);
    unsigned i;
    int r = 0;

    if (!a || (uintptr_t)addr % XK_PAGE_SIZE || count > XK__ARENA_PAGES - ref % XK__ARENA_PAGES)
        return XK_EINVAL;
    for (i = 0; i < count; i++)
        if (a->state[ref + i] != PAGE_USED)
            return XK_EINVAL;
    for (i = 0; i < count && r == 0; i++)
        r = end_grant(h, a, ref + i);
    if (r < 0) { /* grant again what was ended: nothing has changed */
        for (i--; i-- > 0;)
            xk_shared_store_release32(&a->table[ref + i], XK__GRANTED);
        return r;
    }
    memset(a->state + ref, PAGE_STALE, count);
    arena_put(h, a);
    return 0;
}

int hosted_page_forget(struct xk_platform *p, void *addr, unsigned count)
{
    struct hosted *h = (struct hosted *)p;
    int r = hosted_page_unshare(p, addr, count);
    struct arena *a;
    xk_gref ref = 0;

    if (r != XK_EBUSY)
        return r;
    a = arena_of(h, addr, &ref);
    memset(a->state + ref, PAGE_FORGOTTEN, count);
    a->forgotten += count;
    arena_put(h, a);
    return 0;
}

static int take_ref(struct arena *a, xk_gref ref, unsigned flags)
{
    uint32_t seen = XK__GRANTED;

    if (ref >= REFS || (ref >= XK__ARENA_PAGES && !a->base[1]))
        return XK_EINVAL;
    if (ref >= XK__ARENA_PAGES && !(flags & XK_PAGE_READONLY))
        return XK_EACCES;
    if (a->counts[ref] == UINT16_MAX)
        return XK_ENOSPC;
    if (a->counts[ref] == 0 && !__atomic_compare_exchange_n(&a->table[ref], &seen, XK__GRANTED | XK__MAPPED, 0,
                                                            __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return XK_EINVAL;
    a->counts[ref]++;
    return 0;
}

static void drop_ref(struct arena *a, xk_gref ref)
{
    if (--a->counts[ref] == 0)
        __atomic_fetch_and(&a->table[ref], ~(uint32_t)XK__MAPPED, __ATOMIC_RELEASE);
}

static int consecutive(const xk_gref *refs, unsigned count)
{
    for (unsigned i = 1; i < count; i++)
        if (refs[i] != refs[0] + i || (refs[i] == XK__ARENA_PAGES))
            return 0;
    return 1;
}

/* References that are not neighbours get an address range of their own. */
static int remap(struct arena *a, struct mapping *m)
{
    size_t bytes = (size_t)m->count * XK_PAGE_SIZE;
    uint8_t *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED)
        return XK_ENOMEM;
    for (unsigned i = 0; i < m->count; i++) {
        int kind = m->refs[i] >= XK__ARENA_PAGES;
        size_t page = m->refs[i] - (kind ? XK__ARENA_PAGES : 0) + (kind ? 0 : XK__ARENA_TABLE);
        if (mmap(at + (size_t)i * XK_PAGE_SIZE, XK_PAGE_SIZE, kind ? PROT_READ : PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED, a->fd[kind], (off_t)(page * XK_PAGE_SIZE)) == MAP_FAILED) {
            munmap(at, bytes);
            return XK_ENOMEM;
        }
    }
    m->addr = at;
    m->remapped = 1;
    return 0;
}

static struct mapping *mapping_new(struct hosted *h, struct arena *a, const xk_gref *refs, unsigned count)
{
    struct mapping *m = xk_new(&h->alloc, sizeof(*m) + count * sizeof(*refs));

    if (!m)
        return NULL;
    m->arena = a;
    m->count = count;
    memcpy(m->refs, refs, count * sizeof(*refs));
    return m;
}

static void mapping_free(struct hosted *h, struct mapping *m)
{
    for (unsigned i = 0; i < m->count; i++)
        drop_ref(m->arena, m->refs[i]);
    if (m->remapped)
        munmap(m->addr, (size_t)m->count * XK_PAGE_SIZE);
    xk_free(&h->alloc, m, sizeof(*m) + m->count * sizeof(*m->refs));
}

static int wants_ro(const xk_gref *refs, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (refs[i] >= XK__ARENA_PAGES && refs[i] < REFS)
            return 1;
    return 0;
}

int hosted_page_map(struct xk_platform *p, xk_domid peer, const xk_gref *refs, unsigned count, unsigned flags,
                    int *status, void **addr)
{
    struct hosted *h = (struct hosted *)p;
    struct mapping *m = NULL;
    struct arena *a;
    int r = arena_get(h, peer, 0, wants_ro(refs, count), &a), first = 0;
    unsigned taken;

    if (r < 0) {
        for (unsigned i = 0; status && i < count; i++)
            status[i] = r;
        return r;
    }
    a->in_use++;
    for (taken = 0; taken < count; taken++) {
        r = take_ref(a, refs[taken], flags);
        if (status)
            status[taken] = r;
        if (r < 0 && first == 0)
            first = r;
        if (r < 0 && !status)
            break;
    }
    if (first == 0 && (m = mapping_new(h, a, refs, count)) == NULL)
        first = XK_ENOMEM;
    if (first == 0) {
        m->addr = page_at(a, refs[0]);
        if (!consecutive(refs, count))
            first = remap(a, m);
    }
    if (first < 0) {
        for (unsigned i = 0; i < taken; i++)
            if (!status || status[i] == 0)
                drop_ref(a, refs[i]);
        if (m)
            xk_free(&h->alloc, m, sizeof(*m) + m->count * sizeof(*m->refs));
        arena_put(h, a);
        return first;
    }
    xk_list_add_tail(&h->maps, &m->link);
    *addr = m->addr;
    return 0;
}

int hosted_page_unmap(struct xk_platform *p, void *addr, unsigned count)
{
    struct hosted *h = (struct hosted *)p;

    XK_LIST_EACH(l, &h->maps)
    {
        struct mapping *m = XK_CONTAINER(l, struct mapping, link);
        struct arena *a = m->arena;
        if (m->addr != addr || m->count != count)
            continue;
        xk_list_del(&m->link);
        mapping_free(h, m);
        arena_put(h, a);
        return 0;
    }
    return XK_EINVAL;
}

/* The arena of (peer) to copy from or into; (ro): with its pages that are only read. While nothing of the peer's is
 * mapped, whether it is still the same domain would have to be asked; one that uses this has a ring mapped. */
static int copy_arena(struct hosted *h, xk_domid peer, int ro, struct arena **out)
{
    *out = arena_find(h, peer, 0);
    return *out && (*out)->in_use && (*out)->base[0] && (!ro || (*out)->base[1]) ? 0 : arena_get(h, peer, 0, ro, out);
}

static int is_ro(xk_gref ref) { return ref >= XK__ARENA_PAGES && ref < REFS; }

/* Where a granted page lies. */
static int copy_page(struct arena *a, xk_gref ref, int write, uint8_t **at)
{
    if (ref >= REFS || (is_ro(ref) && !a->base[1]))
        return XK_EINVAL;
    if (is_ro(ref) && write)
        return XK_EACCES;
    if (!(xk_shared_load32(&a->table[ref]) & XK__GRANTED))
        return XK_EINVAL;
    *at = page_at(a, ref);
    return 0;
}

static int copy_one(struct hosted *h, struct arena *a, struct xk_page_copy *op, unsigned flags)
{
    uint8_t *at, *from = op->local;
    int r = copy_page(a, op->ref, flags & XK_COPY_TO, &at);

    if (r == 0 && !op->local) {
        r = copy_arena(h, op->from.peer, is_ro(op->from.ref), &a);
        if (r == 0)
            r = copy_page(a, op->from.ref, 0, &from);
        if (r == 0)
            from += op->from.offset;
    }
    if (r < 0)
        return r;
    if (flags & XK_COPY_TO)
        xk_shared_copy_in(at + op->offset, from, op->len);
    else
        xk_shared_copy_out(op->local, at + op->offset, op->len);
    return 0;
}

int hosted_page_copy(struct xk_platform *p, xk_domid peer, struct xk_page_copy *ops, unsigned count, unsigned flags)
{
    struct hosted *h = (struct hosted *)p;
    struct arena *a;
    int first = 0, ro = 0, r;

    for (unsigned i = 0; i < count; i++)
        ro |= is_ro(ops[i].ref);
    r = copy_arena(h, peer, ro, &a);
    if (r == 0)
        a->in_use++; /* that of (from) may be made meanwhile, and idle ones go then */
    for (unsigned i = 0; i < count; i++) {
        ops[i].status = r < 0 ? r : copy_one(h, a, &ops[i], flags);
        if (first == 0)
            first = ops[i].status;
    }
    if (r == 0)
        a->in_use--;
    return first;
}

/* The page of a reserved reference: granted by the builder's convention, not by page_share. */
int hosted_reserved_page(struct hosted *h, xk_domid peer, xk_gref ref, void **addr)
{
    struct arena *a;
    int r = arena_get(h, peer, 1, 0, &a);

    if (r < 0)
        return r;
    if (a->state[ref] != PAGE_USED) {
        a->state[ref] = PAGE_USED;
        a->in_use++;
        __atomic_fetch_or(&a->table[ref], XK__GRANTED,
                          __ATOMIC_RELEASE); /* the builder did; the peer may map already */
    }
    *addr = page_at(a, ref);
    return 0;
}

void hosted_memory_fini(struct hosted *h)
{
    XK_LIST_EACH_SAFE(l, &h->maps)
    {
        struct mapping *m = XK_CONTAINER(l, struct mapping, link);
        xk_list_del(&m->link);
        mapping_free(h, m);
    }
    XK_LIST_EACH_SAFE(l, &h->arenas)
    arena_free(h, XK_CONTAINER(l, struct arena, link));
}
