/* kernel/elf.h - loads the program: a static-PIE ELF for x86-64 Linux, passed as a PVH module.
 * SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_ELF_H
#define XK_KERNEL_ELF_H

#include <stdint.h>

#include "platform/stub/abi.h"

/* Maps the file at physical [start, start + size) for the program, and what is appended to it (see the trailer in
 * abi.h); fills (boot)'s archive. Returns NULL, or what is wrong with the file. (entry), (stack): where to begin. */
const char *elf_load(uint64_t start, uint64_t size, struct xk__stub_boot *boot, const char *cmdline, uint64_t *entry,
                     uint64_t *stack);

#endif
