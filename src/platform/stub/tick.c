/* The tick in a stub domain. The kernel enters xk__stub_tick_entry below the red zone of whatever ran: on the stack the
 * flags, above them the address to go on at. All that a C function may change is saved, SSE state with it (what it
 * calls touches no AVX registers' upper halves). SPDX-License-Identifier: MIT */
#include "platform/stub/private.h"

void xk__stub_tick_entry(void) __attribute__((visibility("hidden")));
void xk__stub_tick_run(void) __attribute__((visibility("hidden"), used));

static void (*handler)(void);
static volatile int inside; /* a tick that comes while the handler runs is none */

void xk__stub_tick_run(void)
{
    if (inside || !handler)
        return;
    inside = 1;
    handler();
    inside = 0;
}

__asm__(".text\n"
        ".hidden xk__stub_tick_entry\n"
        ".globl xk__stub_tick_entry\n"
        ".type xk__stub_tick_entry, @function\n"
        "xk__stub_tick_entry:\n"
        "    push %rbp\n"
        "    mov %rsp, %rbp\n"
        "    push %rax\n"
        "    push %rcx\n"
        "    push %rdx\n"
        "    push %rsi\n"
        "    push %rdi\n"
        "    push %r8\n"
        "    push %r9\n"
        "    push %r10\n"
        "    push %r11\n"
        "    sub $528, %rsp\n"
        "    and $-16, %rsp\n"
        "    fxsave64 (%rsp)\n"
        "    cld\n"
        "    call xk__stub_tick_run\n"
        "    fxrstor64 (%rsp)\n"
        "    lea -72(%rbp), %rsp\n"
        "    pop %r11\n"
        "    pop %r10\n"
        "    pop %r9\n"
        "    pop %r8\n"
        "    pop %rdi\n"
        "    pop %rsi\n"
        "    pop %rdx\n"
        "    pop %rcx\n"
        "    pop %rax\n"
        "    pop %rbp\n"
        "    popfq\n"
        "    ret $128\n"
        ".size xk__stub_tick_entry, . - xk__stub_tick_entry\n");

int stub_tick(struct xk_platform *p, xk_time period, void (*fn)(void))
{
    (void)p;
    handler = fn;
    return stub_call2(XK__STUB_TICK, period ? (uint64_t)(uintptr_t)xk__stub_tick_entry : 0, (uint64_t)period);
}
