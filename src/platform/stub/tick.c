/* The tick in a stub domain. The kernel enters xk__stub_tick_entry below the red zone of whatever ran: on the stack the
 * flags, above them the address to go on at. All that a C function may change is saved: x87, SSE
 * and AVX state by xsave where the kernel turned it on, else by fxsave. SPDX-License-Identifier: MIT */
#include "platform/stub/private.h"

void xk__stub_tick_entry(void) __attribute__((visibility("hidden")));
void xk__stub_tick_run(void) __attribute__((visibility("hidden"), used));

uint8_t xk__stub_tick_xsave __attribute__((visibility("hidden")));

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
        "    sub $1024, %rsp\n"
        "    and $-64, %rsp\n"
        "    cld\n"
        "    cmpb $0, xk__stub_tick_xsave(%rip)\n"
        "    je 1f\n"
        "    lea 512(%rsp), %rdi\n" /* its header must be clear */
        "    xor %eax, %eax\n"
        "    mov $8, %ecx\n"
        "    rep stosq\n"
        "    mov $7, %eax\n"
        "    xor %edx, %edx\n"
        "    xsave64 (%rsp)\n"
        "    call xk__stub_tick_run\n"
        "    mov $7, %eax\n"
        "    xor %edx, %edx\n"
        "    xrstor64 (%rsp)\n"
        "    jmp 2f\n"
        "1:  fxsave64 (%rsp)\n"
        "    call xk__stub_tick_run\n"
        "    fxrstor64 (%rsp)\n"
        "2:\n"
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
    uint32_t a = 1, b, c = 0, d;

    (void)p;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    xk__stub_tick_xsave = c >> 27 & 1; /* OSXSAVE */
    handler = fn;
    return stub_call2(XK__STUB_TICK, period ? (uint64_t)(uintptr_t)xk__stub_tick_entry : 0, (uint64_t)period);
}
