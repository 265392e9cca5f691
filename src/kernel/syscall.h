/* kernel/syscall.h - what the program may ask: some Linux system calls (syscall.c) and the private ones of
 * platform/stub/abi.h (private.c). SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_SYSCALL_H
#define XK_KERNEL_SYSCALL_H

#include <stdint.h>

#include "kernel/trap.h"

void syscall_dispatch(struct frame *f);
int64_t private_call(uint64_t nr, const uint64_t a[6]);

struct syscall_counts {
    uint64_t calls, refused;
    uint32_t last_refused;
};
struct syscall_counts syscall_counts(void);

#endif
