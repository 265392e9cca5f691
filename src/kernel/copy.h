/* kernel/copy.h - bytes between the program's memory and pages that a peer granted, copied by Xen.
 * SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_COPY_H
#define XK_KERNEL_COPY_H

#include <stdint.h>

void copy_init(void);

/* (count) pieces (struct xk__stub_copy) at (ops) in the program's memory: out of pages of (peer), or (to) them. Writes
 * each one's status. 0, or -EFAULT: they, or the memory of one, cannot be touched; -ENOSYS: no Xen. */
int copy_pieces(uint16_t peer, uint64_t ops, uint32_t count, int to);

#endif
