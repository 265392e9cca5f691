/* kernel/start_info.h - what the builder of a PVH domain hands over: struct hvm_start_info of Xen's
 * public/arch-x86/hvm/start_info.h, which libxen-dev does not carry. SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_START_INFO_H
#define XK_KERNEL_START_INFO_H

#include <stdint.h>

#include "kernel/table.h"

struct start_info_found {
    struct table_range ram[8];
    int ram_count;
    uint64_t module, module_size;
    const char *cmdline;
};

/* Gives all memory that nothing lies on to the page allocator. Returns NULL, or what is wrong. */
const char *start_info_read(uint64_t at, struct start_info_found *out);

#endif
