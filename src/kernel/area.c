/* Areas, sorted by address, in one array. Neighbours that are alike are one, so a heap that grows stays one entry.
 * SPDX-License-Identifier: MIT */
#include "kernel/area.h"

#include "kernel/error.h"
#include "kernel/page.h"
#include "platform/stub/abi.h"
#include "kernel/table.h"
#include "kernel/x86.h"

enum { MAX = 1024 + AREA_MAPS };
enum { MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_PRIVATE = 2, MREMAP_MAYMOVE = 1, MADV_DONTNEED = 4 };

struct area {
    uint64_t start, end;
    uint8_t prot, kind;
    uint8_t charged; /* its pages are promised */
};

static struct area areas[MAX];
static unsigned count;
static uint64_t brk_start, brk_end, faults;

unsigned area_count(void) { return count; }
uint64_t area_faults(void) { return faults; }

static uint64_t pte_flags(int prot)
{
    return PTE_U | (prot & PROT_WRITE ? PTE_W : 0) | (prot & PROT_EXEC ? 0 : PTE_NX);
}

/* The first area that ends above (va). */
static unsigned find(uint64_t va)
{
    unsigned lo = 0, hi = count;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (areas[mid].end > va)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static void move(unsigned to, unsigned from)
{
    if (to > from)
        for (unsigned i = count - from; i-- > 0;)
            areas[to + i] = areas[from + i];
    else
        for (unsigned i = 0; i < count - from; i++)
            areas[to + i] = areas[from + i];
    count += to - from;
}

static int alike(const struct area *a, const struct area *b)
{
    return a->end == b->start && a->prot == b->prot && a->kind == b->kind && a->charged == b->charged &&
           a->kind == AREA_ANON;
}

static void join(unsigned i)
{
    if (i + 1 < count && alike(&areas[i], &areas[i + 1])) {
        areas[i].end = areas[i + 1].end;
        move(i + 1, i + 2);
    }
}

static int insert(struct area a)
{
    unsigned i = find(a.start);

    if (i < count && areas[i].start < a.end)
        return -EEXIST;
    if (i && alike(&areas[i - 1], &a)) { /* no new entry, so no want of one */
        areas[i - 1].end = a.end;
        join(i - 1);
        return 0;
    }
    if (count == MAX)
        return -ENOMEM;
    move(i + 1, i);
    areas[i] = a;
    join(i);
    return 0;
}

/* Makes one of all that are alike from (start) to (end), and of their neighbours. */
static void tidy(uint64_t start, uint64_t end)
{
    unsigned i = find(start);

    i -= i > 0;
    while (i < count && areas[i].start <= end) {
        unsigned before = count;
        join(i);
        i += count == before;
    }
}

/* Promises the memory of [start, end) and makes its tables, so that touching it later cannot fail. */
static int promise(uint64_t start, uint64_t end)
{
    if (page_reserve((end - start) / PAGE) < 0)
        return -ENOMEM;
    if (table_make(start, end) == 0)
        return 0;
    page_unreserve((end - start) / PAGE);
    return -ENOMEM;
}

int area_add_promised(uint64_t start, uint64_t end, int prot)
{
    struct area a = {start, end, (uint8_t)prot, AREA_ANON, 1};
    int r = promise(start, end);

    if (r == 0 && (r = insert(a)) < 0)
        page_unreserve((end - start) / PAGE);
    return r;
}

int area_add(uint64_t start, uint64_t end, int prot, enum area_kind kind)
{
    struct area a = {start, end, (uint8_t)prot, (uint8_t)kind, 0};

    return insert(a);
}

int area_remove(uint64_t start, uint64_t end, enum area_kind kind)
{
    unsigned i = find(start);

    if (i == count || areas[i].start != start || areas[i].end != end || areas[i].kind != kind)
        return -EINVAL;
    move(i, i + 1);
    return 0;
}

uint64_t area_hole(uint64_t from, uint64_t size)
{
    for (unsigned i = find(from); i < count; i++) {
        if (areas[i].start >= from + size)
            break;
        from = areas[i].end;
    }
    return from + size <= XK__STUB_USER_END && from + size > from ? from : 0;
}

/* Cuts so that an area begins at (at). Merging goes the other way, so nothing is lost when it fails half-way. */
static int cut(uint64_t at)
{
    unsigned i = find(at);

    if (i == count || areas[i].start >= at)
        return 0;
    if (count == MAX)
        return -ENOMEM;
    move(i + 1, i);
    areas[i].end = at;
    areas[i + 1].start = at;
    return 0;
}

static void drop_pages(uint64_t start, uint64_t end)
{
    for (uint64_t va = table_next(start); va < end; va = table_next(va + PAGE)) {
        uint64_t e = table_unmap(va);
        if (e)
            page_give(e & PTE_ADDRESS);
    }
}

/* No area in [start, end) is of a kind above (kind); and, unless (holes), there is no gap. */
static int changeable(uint64_t start, uint64_t end, enum area_kind kind, int holes)
{
    for (unsigned i = find(start); i < count && areas[i].start < end; i++) {
        if (areas[i].kind > kind || (!holes && areas[i].start > start))
            return 0;
        start = areas[i].end;
    }
    return holes || start >= end;
}

static int in_user(uint64_t addr, uint64_t size)
{
    return addr % PAGE == 0 && addr >= XK__STUB_PROGRAM && size <= XK__STUB_USER_END &&
           addr <= XK__STUB_USER_END - size;
}

int64_t area_munmap(uint64_t addr, uint64_t size)
{
    uint64_t end = addr + round_up(size, PAGE);
    unsigned first, last;

    if (size == 0 || !in_user(addr, size) || !changeable(addr, end, AREA_ANON, 1))
        return -EINVAL;
    if (cut(addr) < 0 || cut(end) < 0) {
        tidy(addr, end);
        return -ENOMEM;
    }
    for (first = last = find(addr); last < count && areas[last].start < end; last++) {
        drop_pages(areas[last].start, areas[last].end);
        if (areas[last].charged)
            page_unreserve((areas[last].end - areas[last].start) / PAGE);
    }
    move(first, last);
    return 0;
}

int64_t area_mmap(uint64_t addr, uint64_t size, int prot, int flags, int fd)
{
    struct area a = {0, 0, (uint8_t)prot, AREA_ANON, prot != 0};
    int64_t r;

    size = round_up(size, PAGE);
    if (size == 0 || !(flags & MAP_PRIVATE))
        return -EINVAL;
    if (!(flags & MAP_ANONYMOUS)) /* of any descriptor (fd) */
        return fd > 2 ? -EBADF : -ENODEV;
    if ((prot & PROT_WRITE) && (prot & PROT_EXEC))
        return -EACCES;
    if (flags & MAP_FIXED) {
        if (!in_user(addr, size) || (r = area_munmap(addr, size)) < 0)
            return -EINVAL;
    } else {
        addr = area_hole(XK__STUB_MMAP, size);
    }
    a.start = addr;
    a.end = addr + size;
    if (!addr || a.end > XK__STUB_GRANTS || (a.charged && promise(addr, a.end) < 0))
        return -ENOMEM;
    r = insert(a);
    if (r < 0 && a.charged)
        page_unreserve(size / PAGE);
    return r < 0 ? -ENOMEM : (int64_t)addr;
}

static int protect_one(struct area *a, int prot)
{
    if (prot && !a->charged && a->kind == AREA_ANON) {
        if (promise(a->start, a->end) < 0)
            return -ENOMEM;
        a->charged = 1;
    }
    a->prot = (uint8_t)prot;
    for (uint64_t va = table_next(a->start); va < a->end; va = table_next(va + PAGE))
        table_protect(va, prot ? pte_flags(prot) : PTE_NX);
    return 0;
}

int64_t area_mprotect(uint64_t addr, uint64_t size, int prot)
{
    uint64_t end = addr + round_up(size, PAGE);
    int r = 0;

    if (!in_user(addr, size))
        return -EINVAL;
    if ((prot & PROT_WRITE) && (prot & PROT_EXEC))
        return -EACCES;
    if (!changeable(addr, end, AREA_IMAGE, 0))
        return -ENOMEM;
    if (cut(addr) < 0 || cut(end) < 0)
        r = -ENOMEM;
    for (unsigned i = find(addr); r == 0 && i < count && areas[i].start < end; i++)
        r = protect_one(&areas[i], prot);
    tidy(addr, end);
    return r;
}

static void move_pages(uint64_t from, uint64_t to, uint64_t size)
{
    for (uint64_t va = table_next(from); va < from + size; va = table_next(va + PAGE)) {
        uint64_t e = table_unmap(va);
        if (e) /* the tables of (to) exist: move_area made them before */
            table_map(to + (va - from), e & PTE_ADDRESS, e & ~PTE_ADDRESS);
    }
}

/* (a) moves to (to), larger; the old place is free before the new one is taken, or they would become one area. */
static int64_t move_area(struct area a, uint64_t to, uint64_t size)
{
    struct area b = a;
    uint64_t more = (size - (a.end - a.start)) / PAGE;

    b.start = to;
    b.end = to + size;
    if (b.charged && page_reserve(more) < 0)
        return -ENOMEM;
    if (b.charged && table_make(b.start, b.end) < 0) {
        page_unreserve(more);
        return -ENOMEM;
    }
    area_remove(a.start, a.end, AREA_ANON);
    insert(b); /* the old one left its place in the list */
    move_pages(a.start, to, a.end - a.start);
    return (int64_t)to;
}

/* Grows one anonymous area of exactly [addr, addr + old) to (size), in place or elsewhere. */
static int64_t grow(struct area *a, uint64_t old, uint64_t size, int flags)
{
    uint64_t addr = a->start, end = addr + old, to;

    if (area_hole(end, size - old) == end && addr + size <= XK__STUB_GRANTS) {
        if (a->charged && promise(end, addr + size) < 0)
            return -ENOMEM;
        a->end = addr + size;
        join((unsigned)(a - areas));
        return (int64_t)addr;
    }
    to = flags & MREMAP_MAYMOVE ? area_hole(XK__STUB_MMAP, size) : 0;
    return to && to + size <= XK__STUB_GRANTS ? move_area(*a, to, size) : -ENOMEM;
}

int64_t area_mremap(uint64_t addr, uint64_t old, uint64_t size, int flags)
{
    struct area *a;
    int64_t r;

    old = round_up(old, PAGE);
    size = round_up(size, PAGE);
    if (!in_user(addr, old) || !in_user(addr, size) || !old || !size || (flags & ~MREMAP_MAYMOVE))
        return -EINVAL;
    a = &areas[find(addr)];
    if (a == areas + count || a->start > addr || a->end < addr + old || a->kind != AREA_ANON)
        return -EFAULT;
    if (size <= old) {
        r = size < old ? area_munmap(addr + size, old - size) : 0;
        return r < 0 ? r : (int64_t)addr;
    }
    r = cut(addr) < 0 || cut(addr + old) < 0 ? -ENOMEM : grow(&areas[find(addr)], old, size, flags);
    tidy(addr, addr + old);
    return r;
}

int64_t area_madvise(uint64_t addr, uint64_t size, int advice)
{
    uint64_t end = addr + round_up(size, PAGE);

    if (!in_user(addr, size))
        return -EINVAL;
    if (advice != MADV_DONTNEED)
        return 0;
    for (unsigned i = find(addr); i < count && areas[i].start < end; i++) {
        struct area *a = &areas[i];
        if (a->kind == AREA_ANON)
            drop_pages(a->start > addr ? a->start : addr, a->end < end ? a->end : end);
    }
    return 0;
}

void area_brk_start(uint64_t at) { brk_start = brk_end = at; }

int64_t area_brk(uint64_t to)
{
    uint64_t old = round_up(brk_end, PAGE), new = round_up(to, PAGE);

    if (to < brk_start || new > XK__STUB_MMAP)
        return (int64_t)brk_end;
    if (new > old) {
        if (area_add_promised(old, new, PROT_READ | PROT_WRITE) < 0)
            return (int64_t)brk_end;
    } else if (new < old && area_munmap(new, old - new) < 0) {
        return (int64_t)brk_end;
    }
    brk_end = to;
    return (int64_t)to;
}

int area_touch(uint64_t va, int write)
{
    unsigned i = find(va);
    uint64_t e = table_get(va), pa;

    if (i == count || areas[i].start > va || !(areas[i].prot & (write ? PROT_WRITE : PROT_READ)))
        return -EFAULT;
    if (e & PTE_U)
        return write && !(e & PTE_W) ? -EFAULT : 0;
    if (areas[i].kind != AREA_ANON || e)
        return -EFAULT;
    faults++;
    pa = page_take();
    if (!pa)
        return -EFAULT;
    if (table_map(va & ~(uint64_t)(PAGE - 1), pa, pte_flags(areas[i].prot)) < 0) {
        page_give(pa);
        return -EFAULT;
    }
    return 0;
}
