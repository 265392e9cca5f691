/* Arenas: sealed memfds of fixed size, one for what a domain grants to one peer, made when first asked for. The size is
 * sealed, so a peer cannot cut it under the other's feet; the read-only half is given to the mapper through a
 * descriptor that was opened read-only. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/hyp.h"

static struct hyp_arena *find(struct hyp_domain *granter, xk_domid peer)
{
    XK_LIST_EACH(l, &granter->arenas)
    {
        struct hyp_arena *a = XK_CONTAINER(l, struct hyp_arena, link);
        if (a->peer == peer)
            return a;
    }
    return NULL;
}

static int memfd(int kind)
{
    size_t bytes = kind ? XK__ARENA_RO_BYTES : XK__ARENA_RW_BYTES;
    int fd = memfd_create(kind ? "xenkit-ro" : "xenkit-rw", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return xk__sys_err(errno);
    if (ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int r = xk__sys_err(errno);
        close(fd);
        return r;
    }
    return fd;
}

static struct hyp_arena *arena_new(struct hyp_domain *granter, xk_domid peer)
{
    struct hyp_arena *a = xk_new(&granter->hyp->alloc, sizeof(*a));

    if (!a)
        return NULL;
    a->peer = peer;
    a->half[0].fd = a->half[1].fd = -1;
    xk_list_add_tail(&granter->arenas, &a->link);
    return a;
}

/* A copy of (fd) for one side: the mapper of read-only pages gets one that cannot write. */
static int copy_for(int fd, int kind, int granter)
{
    char path[32];
    int r;

    if (kind == 0 || granter)
        return (r = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0 ? xk__sys_err(errno) : r;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    r = open(path, O_RDONLY | O_CLOEXEC);
    return r < 0 ? xk__sys_err(errno) : r;
}

/* The arena of what (owner) grants to (peer), with a descriptor of one half, on the account of (payer). */
static int arena_get(struct hyp_domain *owner, xk_domid peer, int kind, struct hyp_domain *payer,
                     struct hyp_arena **out)
{
    struct hyp_arena *a = find(owner, peer);
    int r;

    if (!a)
        a = arena_new(owner, peer);
    if (!a)
        return XK_ENOMEM;
    *out = a;
    if (a->half[kind].fd >= 0 || a->half[kind].fetched == 3)
        return 0;
    r = memfd(kind);
    if (r < 0)
        return r;
    a->half[kind].payer = payer;
    hyp_hold(payer, &a->half[kind].fd, r);
    return 0;
}

/* The builder grants the reserved pages before the domain runs, as libxl does, so that store and console may map them
 * at once. */
int hyp_arena_grant(struct hyp_domain *d, xk_domid peer, xk_gref ref)
{
    const uint32_t granted = XK__GRANTED;
    struct hyp_arena *a;
    int r = arena_get(d, peer, 0, d, &a);

    if (r < 0)
        return r;
    if (a->half[0].fd < 0)
        return XK_EEXIST;
    return pwrite(a->half[0].fd, &granted, sizeof(granted), (off_t)ref * 4) == sizeof(granted) ? 0 : XK_EIO;
}

/* Its next process will ask for the arena again. */
static int is_lasting(struct hyp *h, xk_domid domid)
{
    const struct hyp_domain *d = hyp_find(h, domid);

    return d && d->lasting;
}

int hyp_arena(struct hyp_domain *d, xk_domid peer, int granter, int kind, int *fd)
{
    struct hyp_domain *p = granter ? hyp_peer(d->hyp, peer) : hyp_find(d->hyp, peer), *owner = granter ? d : p;
    uint8_t side = granter ? 1 : 2;
    struct hyp_arena *a;
    int r;

    if (!p)
        return XK_EGONE;
    if (kind < 0 || kind > 1)
        return XK_EINVAL;
    a = find(owner, granter ? peer : d->domid);
    if ((!a || (a->half[kind].fd < 0 && !a->half[kind].fetched)) && (r = hyp_may_hold(d, 1)) < 0)
        return r;
    r = arena_get(owner, granter ? peer : d->domid, kind, d, &a);
    if (r < 0)
        return r;
    if (a->half[kind].fetched & side)
        return XK_EEXIST; /* each side keeps what it was given */
    r = copy_for(a->half[kind].fd, kind, granter);
    if (r < 0)
        return r;
    *fd = r;
    a->half[kind].fetched |= side;
    if (a->half[kind].fetched == 3 && !is_lasting(d->hyp, a->peer))
        hyp_shut(a->half[kind].payer, &a->half[kind].fd);
    return 0;
}

static void arena_free(struct hyp_domain *d, struct hyp_arena *a)
{
    for (int kind = 0; kind < 2; kind++)
        hyp_shut(a->half[kind].payer, &a->half[kind].fd);
    xk_list_del(&a->link);
    xk_free(&d->hyp->alloc, a, sizeof(*a));
}

/* What (d) granted, and what others granted to it. */
void hyp_arena_fini(struct hyp_domain *d)
{
    XK_LIST_EACH_SAFE(l, &d->arenas)
    arena_free(d, XK_CONTAINER(l, struct hyp_arena, link));
    for (unsigned i = 0; i < HYP_DOMID_END; i++) {
        struct hyp_domain *p = d->hyp->domains[i];
        struct hyp_arena *a = p && p != d ? find(p, d->domid) : NULL;
        if (a)
            arena_free(p, a);
    }
}

/* The marks of a mapper that is gone. */
static void clear_maps(int fd)
{
    size_t bytes = (size_t)XK__ARENA_TABLE * XK_PAGE_SIZE;
    uint32_t *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (table == MAP_FAILED)
        return;
    for (size_t i = 0; i < bytes / 4; i++)
        __atomic_fetch_and(&table[i], ~(uint32_t)XK__MAPPED, __ATOMIC_RELEASE);
    munmap(table, bytes);
}

void hyp_arena_renew(struct hyp_domain *d)
{
    XK_LIST_EACH_SAFE(l, &d->arenas)
    arena_free(d, XK_CONTAINER(l, struct hyp_arena, link));
    for (unsigned i = 0; i < HYP_DOMID_END; i++) {
        struct hyp_domain *p = d->hyp->domains[i];
        struct hyp_arena *a = p && p != d ? find(p, d->domid) : NULL;
        for (int kind = 0; a && kind < 2; kind++)
            a->half[kind].fetched &= 1;
        if (a && a->half[0].fd >= 0)
            clear_maps(a->half[0].fd);
    }
}
