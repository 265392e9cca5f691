/* kernel/area.h - the program's address space as a list of areas.
 *
 * Memory of the program is demand zero and promised when it is asked for; a page is writable or executable, never both;
 * what no area covers faults. Only areas of the kinds ANON and IMAGE are the program's to change.
 * SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_AREA_H
#define XK_KERNEL_AREA_H

#include <stdint.h>

enum { PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum area_kind { AREA_ANON, AREA_IMAGE, AREA_GRANT, AREA_FOREIGN, AREA_RING };

/* How many pages of peers may be mapped, each in an area of its own: a back end keeps 1056 of each of its disks. */
enum { AREA_MAPS = 4096 };

/* add: -ENOMEM when there are too many, -EEXIST when it overlaps; its pages are the caller's. add_promised: anonymous
 * memory of the program, demand zero, with its promise. remove: exactly one area of that kind, or -EINVAL;
 * its pages are the caller's. hole: the first (size) free bytes from (from) up, 0 when there are none. */
int area_add(uint64_t start, uint64_t end, int prot, enum area_kind kind);
int area_add_promised(uint64_t start, uint64_t end, int prot);
int area_remove(uint64_t start, uint64_t end, enum area_kind kind);
uint64_t area_hole(uint64_t from, uint64_t size);
unsigned area_count(void);

/* The memory calls of Linux, with its results. */
int64_t area_mmap(uint64_t addr, uint64_t size, int prot, int flags, int fd);
int64_t area_munmap(uint64_t addr, uint64_t size);
int64_t area_mprotect(uint64_t addr, uint64_t size, int prot);
int64_t area_mremap(uint64_t addr, uint64_t old, uint64_t size, int flags);
int64_t area_madvise(uint64_t addr, uint64_t size, int advice);
int64_t area_brk(uint64_t to);
void area_brk_start(uint64_t at);

/* Makes the page at (va) present for reading, or for writing. 0, or -EFAULT. */
int area_touch(uint64_t va, int write);
uint64_t area_faults(void);

#endif
