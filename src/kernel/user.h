/* kernel/user.h - the program's memory, as system calls see it. The kernel never follows a pointer of the program: it
 * is checked against the areas and made present first, so a bad one is -EFAULT. SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_USER_H
#define XK_KERNEL_USER_H

#include <stddef.h>
#include <stdint.h>

int user_read(void *dst, uint64_t src, size_t n);
int user_write(uint64_t dst, const void *src, size_t n);

/* [addr, addr + n) is there and may be read, or written. 0 or -EFAULT. */
int user_present(uint64_t addr, size_t n, int write);

#endif
