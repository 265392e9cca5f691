/* kernel/trap.h - exceptions, the upcall, and the end of a program that broke. SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_TRAP_H
#define XK_KERNEL_TRAP_H

#include <stdint.h>

enum { TRAP_UPCALL = 32, TRAP_SYSCALL = 256 };

/* What entry.S saves. */
struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

void trap_init(void);

/* The asynchronous upcall into the program: every (period) ns of running, 10 ms at least, (handler) is entered; 0: off.
 */
void trap_tick(uint64_t handler, uint64_t period);
void trap_tick_rearm(void); /* after idling */
void trap_tick_resumed(void);
uint64_t trap_ticks(void);

/* Reports (why) with registers and stack, and ends the domain as crashed. Does not return. */
void trap_crash(const struct frame *f, const char *why);

/* Ends the domain, or QEMU: (reason) SHUTDOWN_... of xen/sched.h. */
void trap_end(unsigned reason, int code);

#endif
