/* Physical pages: ranges that nobody has touched yet, and a list through the pages that came back. Fresh memory is not
 * written at boot, so the start costs the same with 4 MiB and with 4 GiB. SPDX-License-Identifier: MIT */
#include "kernel/page.h"

#include "kernel/error.h"
#include "kernel/x86.h"

enum { RANGES = 8, SLACK = 8 }; /* pages that are never promised */

static struct {
    uint64_t next, end;
} ranges[RANGES];
static int range_count;
static uint64_t free_list, total, free_pages, reserved, top;

void page_add_range(uint64_t start, uint64_t end)
{
    start = round_up(start, PAGE);
    end &= ~(uint64_t)(PAGE - 1);
    if (start >= end || range_count == RANGES)
        return;
    ranges[range_count].next = start;
    ranges[range_count++].end = end;
    total += (end - start) / PAGE;
    free_pages += (end - start) / PAGE;
    if (end > top)
        top = end;
}

int page_reserve(uint64_t n)
{
    uint64_t want = reserved + n;

    if (want < n || want + SLACK > total)
        return -ENOMEM;
    reserved = want;
    return 0;
}

void page_unreserve(uint64_t n) { reserved -= n; }

uint64_t page_take_raw(void)
{
    uint64_t pa = free_list;

    if (pa) {
        free_list = *(uint64_t *)pa;
        free_pages--;
        return pa;
    }
    for (int i = 0; i < range_count; i++) {
        if (ranges[i].next == ranges[i].end)
            continue;
        pa = ranges[i].next;
        ranges[i].next += PAGE;
        free_pages--;
        return pa;
    }
    return 0;
}

uint64_t page_take_top(void)
{
    int best = -1;

    for (int i = 0; i < range_count; i++)
        if (ranges[i].next < ranges[i].end && (best < 0 || ranges[i].end > ranges[best].end))
            best = i;
    if (best < 0)
        return 0;
    free_pages--;
    return ranges[best].end -= PAGE;
}

uint64_t page_take(void)
{
    uint64_t pa = page_take_raw();

    if (pa)
        zero_page((void *)pa);
    return pa;
}

void page_give(uint64_t pa)
{
    *(uint64_t *)pa = free_list;
    free_list = pa;
    free_pages++;
}

struct page_count page_count(void)
{
    struct page_count c = {total, free_pages, reserved};

    return c;
}

uint64_t page_top(void) { return top; }
