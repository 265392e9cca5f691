/* Copies by Xen. A piece whose memory lies on two pages becomes two copies. SPDX-License-Identifier: MIT */
#include "kernel/copy.h"

#include <xen/grant_table.h>

#include "kernel/error.h"
#include "kernel/hyper.h"
#include "kernel/page.h"
#include "platform/stub/abi.h"
#include "kernel/table.h"
#include "kernel/user.h"
#include "kernel/x86.h"

enum { BATCH = 32, HALVES = 2 };

static struct xk__stub_copy piece[BATCH]; /* one call at a time */
static struct gnttab_copy *half;          /* BATCH * HALVES, in a page of its own */
static uint8_t halves[BATCH];

static int status_error(int16_t status)
{
    return status == GNTST_okay                ? 0
           : status == GNTST_bad_domain        ? -EGONE
           : status == GNTST_permission_denied ? -EACCES
                                               : -EINVAL;
}

/* (n) bytes from (done) on, within one page of the program's memory. */
static void add_half(struct gnttab_copy *c, uint16_t peer, const struct xk__stub_copy *p, uint32_t done, uint32_t n,
                     int to)
{
    uint64_t va = p->local + done;
    struct gnttab_copy_ptr far = {.u.ref = p->ref, .domid = peer, .offset = (uint16_t)(p->offset + done)};
    struct gnttab_copy_ptr near = {
        .u.gmfn = (table_get(va) & PTE_ADDRESS) / PAGE, .domid = DOMID_SELF, .offset = (uint16_t)(va % PAGE)};

    c->source = to ? near : far;
    c->dest = to ? far : near;
    c->len = (uint16_t)n;
    c->flags = to ? GNTCOPY_dest_gref : GNTCOPY_source_gref;
    c->status = 0;
}

/* From one domain's page into another's. */
static int between(uint16_t peer, uint32_t i, uint32_t at)
{
    const struct xk__stub_copy *p = &piece[i];

    if (p->from_offset + p->len > PAGE)
        return -EFAULT;
    half[at] = (struct gnttab_copy){
        .source = {.u.ref = p->from_ref, .domid = p->from_peer, .offset = p->from_offset},
        .dest = {.u.ref = p->ref, .domid = peer, .offset = p->offset},
        .len = p->len,
        .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref,
    };
    halves[i] = 1;
    return 0;
}

static int split(uint16_t peer, uint32_t i, uint32_t at, int to)
{
    const struct xk__stub_copy *p = &piece[i];
    uint32_t first = (uint32_t)(PAGE - p->local % PAGE);

    if (p->len == 0 || p->offset + p->len > PAGE)
        return -EFAULT;
    if (to && p->local == 0)
        return between(peer, i, at);
    if (user_present(p->local, p->len, !to) < 0)
        return -EFAULT;
    first = first < p->len ? first : p->len;
    halves[i] = first < p->len ? 2 : 1;
    add_half(&half[at], peer, p, 0, first, to);
    if (first < p->len)
        add_half(&half[at + 1], peer, p, first, p->len - first, to);
    return 0;
}

static int copy_batch(uint16_t peer, uint32_t n, int to)
{
    uint32_t all = 0, at = 0;
    int r = 0;

    for (uint32_t i = 0; i < n && r == 0; i++) {
        r = split(peer, i, all, to);
        all += halves[i];
    }
    if (r == 0)
        r = hyper_grant(GNTTABOP_copy, half, all);
    for (uint32_t i = 0; i < n; i++) {
        piece[i].status = r;
        for (uint32_t k = 0; r == 0 && k < halves[i]; k++, at++)
            if (half[at].status != GNTST_okay)
                piece[i].status = status_error(half[at].status);
    }
    return r == -EFAULT ? r : 0;
}

/* Xen finds each of them by our page tables, twice: one step sooner in memory that is mapped by 2 MiB, which the
 * kernel's own is not. */
void copy_init(void)
{
    _Static_assert(BATCH * HALVES * sizeof(*half) <= PAGE, "a page is enough");

    if (hyper_present() && page_reserve(1) == 0)
        half = (struct gnttab_copy *)page_take_top();
}

int copy_pieces(uint16_t peer, uint64_t ops, uint32_t count, int to)
{
    if (!half)
        return -ENOSYS;
    for (uint32_t done = 0; done < count;) {
        uint32_t n = count - done < BATCH ? count - done : BATCH;
        uint64_t at = ops + (uint64_t)done * sizeof(piece[0]);
        int r = user_read(piece, at, n * sizeof(piece[0]));
        if (r == 0)
            r = copy_batch(peer, n, to);
        if (r == 0)
            r = user_write(at, piece, n * sizeof(piece[0]));
        if (r < 0)
            return r;
        done += n;
    }
    return 0;
}
