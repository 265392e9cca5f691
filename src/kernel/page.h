/* kernel/page.h - physical pages: who owns which is the caller's business, how many are left is ours.
 *
 * Memory is promised before it is used: page_reserve says now whether (n) pages will be there later, so that running
 * out of memory is an error of mmap or brk and never a fault. Page tables are promised and made with what they serve.
 * SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_PAGE_H
#define XK_KERNEL_PAGE_H

#include <stdint.h>

/* Gives [start, end) to the allocator, at boot; cut to whole pages. At most 8 ranges. */
void page_add_range(uint64_t start, uint64_t end);

int page_reserve(uint64_t n); /* 0, or -ENOMEM */
void page_unreserve(uint64_t n);

/* A zeroed page by its physical address, which the kernel sees at the same virtual one; 0 when there is none. */
uint64_t page_take(void);
uint64_t page_take_raw(void); /* not zeroed */
uint64_t page_take_top(void); /* nor this: the highest one that was never used, in a large mapping of the kernel's */
void page_give(uint64_t pa);

struct page_count {
    uint64_t total, free, reserved;
};
struct page_count page_count(void);
uint64_t page_top(void); /* the first address above all ranges */

#endif
