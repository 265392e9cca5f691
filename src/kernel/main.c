/* The order in which the kernel comes up, and the end of its own work: the first step into the program.
 * SPDX-License-Identifier: MIT */
#include <stdint.h>

#include <xen/sched.h>

#include "kernel/console.h"
#include "kernel/copy.h"
#include "kernel/elf.h"
#include "kernel/entropy.h"
#include "kernel/evtchn.h"
#include "kernel/grant.h"
#include "kernel/hyper.h"
#include "kernel/page.h"
#include "kernel/start_info.h"
#include "kernel/syscall.h"
#include "kernel/table.h"
#include "kernel/time.h"
#include "kernel/trap.h"
#include "kernel/x86.h"

void kernel_main(uint64_t start_info, uint64_t entry_tsc);
void enter_user(uint64_t rip, uint64_t rsp);

/* The value of "key=" among the words of the command line as a number, or 0. */
static uint64_t option(const char *cmdline, const char *key)
{
    for (const char *p = cmdline; *p; p++) {
        const char *k = key, *q = p;
        uint64_t v = 0;
        if (p != cmdline && p[-1] != ' ')
            continue;
        while (*k && *q == *k)
            k++, q++;
        if (*k)
            continue;
        while (*q >= '0' && *q <= '9')
            v = v * 10 + (uint64_t)(*q++ - '0');
        return v;
    }
    return 0;
}

static void enable_vectors(void)
{
    struct cpuid features = cpuid(1, 0);
    uint32_t low = 7; /* x87, SSE, AVX */

    if (!(features.c >> 26 & 1)) /* no XSAVE: SSE alone */
        return;
    write_cr4(read_cr4() | 1 << 18);
    low &= cpuid(0xd, 0).a;
    __asm__ volatile("xsetbv" : : "a"(low), "d"(0), "c"(0));
}

/* As Linux starts a program: 64-bit precision, no exception unmasked. Xen leaves another state. */
static void reset_float(void)
{
    uint32_t mxcsr = 0x1f80;

    __asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
}

static void stop(const char *why)
{
    crash_print("xk-crash begin: cannot start: %s\nxk-crash end\n", why);
    trap_end(SHUTDOWN_crash, 97);
}

void kernel_main(uint64_t start_info, uint64_t entry_tsc)
{
    struct xk__stub_boot boot = {.version = XK__STUB_VERSION, .entry_tsc = entry_tsc};
    struct start_info_found found = {0};
    const char *wrong;
    uint64_t entry, stack;

    trap_init();
    hyper_start();
    wrong = start_info_read(start_info, &found);
    if (page_top())
        table_init(found.ram, found.ram_count);
    hyper_init(TRAP_UPCALL);
    if (wrong)
        stop(wrong);
    time_init(option(found.cmdline, "tsc_hz="));
    console_init();
    evtchn_init();
    grant_init();
    copy_init();
    entropy_init();
    enable_vectors();
    reset_float();
    boot.flags = hyper_present() ? XK__STUB_ON_XEN : 0;
    boot.domid = hyper_domid();
    wrong = elf_load(found.module, found.module_size, &boot, found.cmdline, &entry, &stack);
    if (wrong)
        stop(wrong);
    enter_user(entry, stack);
}
