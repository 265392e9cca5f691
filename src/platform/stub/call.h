/* platform/stub/call.h - the private calls as an instruction. SPDX-License-Identifier: MIT */
#ifndef XK_PLATFORM_STUB_CALL_H
#define XK_PLATFORM_STUB_CALL_H

#include <stdint.h>

#include <xenkit/platform.h>

#include "platform/stub/abi.h"

static inline int64_t stub_call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    int64_t result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline int stub_call1(uint64_t nr, uint64_t a) { return (int)stub_call(nr, a, 0, 0, 0, 0, 0); }
static inline int stub_call2(uint64_t nr, uint64_t a, uint64_t b) { return (int)stub_call(nr, a, b, 0, 0, 0, 0); }

#endif
