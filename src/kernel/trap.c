/* Descriptor tables, dispatch, the crash report. Its lines are read by `xenkit symbolize`. SPDX-License-Identifier: MIT
 */
#include "kernel/trap.h"

#include <xen/sched.h>

#include "kernel/area.h"
#include "kernel/console.h"
#include "kernel/evtchn.h"
#include "kernel/hyper.h"
#include "platform/stub/abi.h"
#include "kernel/table.h"
#include "kernel/time.h"
#include "kernel/user.h"
#include "kernel/x86.h"

enum { GATE = 0x8e, GATE_IST = 1, PAGE_FAULT = 14, DOUBLE_FAULT = 8, STACK_WORDS = 64, RED_ZONE = 128 };
enum { MSR_STAR = 0xc0000081, MSR_LSTAR, MSR_FMASK = 0xc0000084 };
enum { TICK_MIN = 10000000 }; /* ns */
enum { PF_WRITE = 2, PF_USER = 4, PF_EXEC = 16 };

struct gate {
    uint16_t low, segment;
    uint8_t ist, type;
    uint16_t middle;
    uint32_t high, zero;
};

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, iomap;
} __attribute__((packed));

extern uint64_t gdt[];
extern char trap_stubs[], syscall_entry[], idle_hlt[], kernel_stack_top[], double_fault_stack_top[];

static struct gate idt[TRAP_UPCALL + 1];
static struct tss tss;
static uint64_t tick_handler, tick_period, tick_at, ticks;

uint64_t trap_ticks(void) { return ticks; }

static void set_gate(unsigned v)
{
    uint64_t at = (uint64_t)trap_stubs + v * 16;

    idt[v].low = (uint16_t)at;
    idt[v].segment = 0x08;
    idt[v].ist = v == DOUBLE_FAULT || v == 2 || v == 18 ? GATE_IST : 0; /* NMI and machine check, too */
    idt[v].type = GATE;
    idt[v].middle = (uint16_t)(at >> 16);
    idt[v].high = (uint32_t)(at >> 32);
}

static void set_tss(void)
{
    uint64_t at = (uint64_t)&tss;

    tss.rsp[0] = (uint64_t)kernel_stack_top;
    tss.ist[0] = (uint64_t)double_fault_stack_top;
    tss.iomap = sizeof(tss); /* no port is the program's */
    gdt[5] = (sizeof(tss) - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
    gdt[6] = at >> 32;
    __asm__ volatile("ltr %w0" : : "r"(0x28));
}

/* Without Xen there is a PC's interrupt controller, whose timer would come as exception 8. */
static void mask_pics(void)
{
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

void trap_init(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)idt};

    for (unsigned v = 0; v <= TRAP_UPCALL; v++)
        set_gate(v);
    __asm__ volatile("lidt %0" : : "m"(pointer));
    set_tss();
    mask_pics();
    wrmsr(MSR_STAR, 0x08ull << 32 | 0x13ull << 48); /* sysret: ss 0x1b, cs 0x23 */
    wrmsr(MSR_LSTAR, (uint64_t)syscall_entry);
    wrmsr(MSR_FMASK, 0x47700); /* TF IF DF IOPL NT AC are off in the kernel */
}

/* --- the end --- */

void trap_end(unsigned reason, int code)
{
    console_drain();
    if (hyper_present())
        hyper_shutdown(reason);
    outb(0xf4, (uint8_t)code); /* QEMU's isa-debug-exit: status 2 * code + 1 */
    outw(0x604, 0x2000);       /* QEMU's power off */
    for (;;)
        __asm__ volatile("cli; hlt");
}

static const char *trap_name(uint64_t vector)
{
    static const char *const names[] = {"division by zero",
                                        "debug",
                                        "NMI",
                                        "breakpoint",
                                        "overflow",
                                        "bound",
                                        "invalid instruction",
                                        "no coprocessor",
                                        "double fault",
                                        "9",
                                        "bad TSS",
                                        "no segment",
                                        "stack fault",
                                        "general protection fault",
                                        "page fault",
                                        "15",
                                        "x87 error",
                                        "misaligned access",
                                        "machine check",
                                        "SIMD error"};

    return vector < sizeof(names) / sizeof(names[0]) ? names[vector] : "trap";
}

static void print_stack(const struct frame *f)
{
    uint64_t sp = f->rsp & ~7ull, word;

    for (unsigned i = 0; i < STACK_WORDS; i++, sp += 8) {
        if (f->cs & 3 ? user_read(&word, sp, 8) < 0 : sp >= (uint64_t)kernel_stack_top)
            break;
        if (!(f->cs & 3))
            word = *(uint64_t *)sp;
        if (i % 4 == 0)
            crash_print("%sxk-crash stack %p:", i ? "\n" : "", sp);
        crash_print(" %p", word);
    }
    crash_print("\n");
}

void trap_crash(const struct frame *f, const char *why)
{
    static int again;

    if (again++) /* the report itself broke */
        trap_end(SHUTDOWN_crash, 99);
    crash_print("xk-crash begin: %s in the %s\n", why, f->cs & 3 ? "program" : "kernel");
    crash_print("xk-crash base %p rip %p rsp %p cr2 %p\n", XK__STUB_PROGRAM, f->rip, f->rsp, read_cr2());
    crash_print("xk-crash rax %p rbx %p rcx %p rdx %p\n", f->rax, f->rbx, f->rcx, f->rdx);
    crash_print("xk-crash rsi %p rdi %p rbp %p r8 %p\n", f->rsi, f->rdi, f->rbp, f->r8);
    crash_print("xk-crash r9 %p r10 %p r11 %p r12 %p\n", f->r9, f->r10, f->r11, f->r12);
    crash_print("xk-crash r13 %p r14 %p r15 %p flags %p\n", f->r13, f->r14, f->r15, f->rflags);
    crash_print("xk-crash vector %u error %x\n", f->vector, f->error);
    print_stack(f);
    crash_print("xk-crash end\n");
    trap_end(SHUTDOWN_crash, 98);
}

/* --- dispatch --- */

static void page_fault(struct frame *f)
{
    uint64_t va = read_cr2();

    if ((f->error & PF_USER) && !(f->error & (PF_EXEC | 1)) && area_touch(va, (f->error & PF_WRITE) != 0) == 0)
        return;
    if (va >= XK__STUB_STACK_TOP - (1ull << 30) && va < XK__STUB_STACK_TOP)
        trap_crash(f, "stack overflow");
    if (f->error & PF_EXEC)
        trap_crash(f, va < 4096 ? "jump to 0" : "jump to what is no code");
    trap_crash(f, f->error & PF_WRITE ? "wild write" : "wild read");
}

void trap_tick(uint64_t handler, uint64_t period)
{
    tick_handler = handler < XK__STUB_USER_END ? handler : 0;
    tick_period = period && period < TICK_MIN ? TICK_MIN : period;
    tick_at = 0;
    trap_tick_rearm();
}

void trap_tick_rearm(void)
{
    uint64_t now;

    if (!tick_period || !tick_handler)
        return;
    now = time_now();
    if (now >= tick_at)
        tick_at = now + tick_period;
    time_arm(tick_at); /* again: an earlier deadline may have taken the one timer */
}

void trap_tick_resumed(void)
{
    tick_at = 0;
    trap_tick_rearm();
}

/* Enters the handler as if the program had called it, below its red zone: on the stack the address to go on at, under
 * it the flags. The handler saves what it uses, and ends with popfq; ret $128. */
static void tick(struct frame *f)
{
    uint64_t words[2] = {f->rflags, f->rip};

    if (!tick_handler || !tick_period)
        return;
    if (time_now() < tick_at) {
        trap_tick_rearm();
        return;
    }
    ticks++;
    tick_at = 0;
    trap_tick_rearm();
    if (user_write(f->rsp - RED_ZONE - sizeof(words), words, sizeof(words)) < 0)
        return; /* no room on the stack: its own fault is near */
    f->rsp -= RED_ZONE + sizeof(words);
    f->rip = tick_handler;
}

void trap_dispatch(struct frame *f);

void trap_dispatch(struct frame *f)
{
    table_user_end(); /* the program may have set AC, which a gate does not clear */
    if (f->vector == TRAP_UPCALL) {
        evtchn_upcall();
        if (f->cs & 3)
            tick(f);
        else if (f->rip == (uint64_t)idle_hlt)
            f->rip++; /* what it was to wait for has come */
    } else if (f->vector == PAGE_FAULT && (f->cs & 3)) {
        page_fault(f);
    } else {
        trap_crash(f, trap_name(f->vector));
    }
}
