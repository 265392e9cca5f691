/* kernel/table.h - the page tables. The kernel sees RAM at its physical addresses, in the first half of the address
 * space below the program's; its code is read-only, all else not executable. SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_TABLE_H
#define XK_KERNEL_TABLE_H

#include <stdint.h>

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_LARGE = 128 };
#define PTE_NX (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull

struct table_range {
    uint64_t start, end;
};

/* Replaces the boot map by a strict one of these (n) ranges of RAM, and turns on what protects the kernel from the
 * program. */
void table_init(const struct table_range *ram, int n);

/* One page of 4 KiB. -ENOMEM when a table cannot be had. unmap and get give the entry, 0 when there is none. */
int table_map(uint64_t va, uint64_t pa, uint64_t flags);
uint64_t table_unmap(uint64_t va);
uint64_t table_get(uint64_t va);
uint64_t table_next(uint64_t va);               /* the first address from (va) up that has a table */
int table_protect(uint64_t va, uint64_t flags); /* new flags for a page that is there */

/* Makes the tables for [start, end), so that mapping there cannot fail. -ENOMEM; what was made stays. */
int table_make(uint64_t start, uint64_t end);

/* What may be touched between these is the program's memory (SMAP). */
void table_user_begin(void);
void table_user_end(void);

#endif
