/* Ways to break, one a start: the word on the kernel's command line (or argv[1] on Linux) chooses. Each must end with a
 * report that names the place (function break_by_...), or, where the kernel promises an error, with "well".
 * SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "platform/stub/abi.h"

#define APART __attribute__((noinline, noclone))

static volatile int zero, hundred = 100;

APART static void break_by_wild_write(void) { *(volatile int *)0x7777777000 = 1; }
APART static void break_by_writing_the_kernel(void) { *(volatile int *)0x100000 = 1; }
APART static void break_by_writing_code(void) { *(volatile char *)(uintptr_t)break_by_wild_write = 1; }
APART static void break_by_reading_0(void) { zero = *(volatile int *)(uintptr_t)(8 + zero); }
APART static void break_by_dividing(void) { zero = hundred / zero; }
APART static void break_by_abort(void) { abort(); }
APART static void break_by_privilege(void) { __asm__ volatile("cli"); }
APART static void break_by_port(void) { __asm__ volatile("outb %%al, %%dx" : : "a"(0), "d"(0xf4)); }

APART static void break_by_jump_to_0(void)
{
    void (*volatile f)(void) = NULL;

    f();
    zero = 0; /* not a jump, but a call that would return here */
}

APART static void break_by_running_data(void)
{
    static unsigned char code[] = {0xc3};
    void (*volatile f)(void) = (void (*)(void))(uintptr_t)code;

    f();
    zero = 0; /* not a jump, but a call that would return here */
}

APART static int break_by_stack_overflow(int n)
{
    volatile char here[1000];

    here[0] = (char)n;
    return (n >= 0 ? break_by_stack_overflow(n + 1) : 0) + here[0];
}

/* Memory runs out as NULL, never as a fault; what was given can be used to the last byte. */
APART static void exhaust_memory(void)
{
    size_t got = 0;
    void *last = NULL;

    for (size_t size = 1 << 20; size >= 64; size /= 2)
        for (void **p; (p = malloc(size)); last = p, got += size) {
            memset(p, 0x55, size);
            *p = last;
        }
    printf("malloc says NULL after %s\n", got > 1 << 20 ? "more than 1 MiB" : "too little");
    while (last) {
        void *next = *(void **)last;
        free(last);
        last = next;
    }
    printf("well %d\n", malloc(1 << 20) != NULL);
}

APART static void write_and_execute(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    printf("well %d\n", p == MAP_FAILED);
}

static const char *choice(int argc, char **argv)
{
    const struct xk__stub_boot *boot = (const struct xk__stub_boot *)(uintptr_t)getauxval(XK__STUB_AT_BOOT);

    return boot ? (const char *)(uintptr_t)boot->cmdline : argc > 1 ? argv[1] : "";
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } ways[] = {
        {"wild_write", break_by_wild_write},
        {"kernel_write", break_by_writing_the_kernel},
        {"code_write", break_by_writing_code},
        {"read_0", break_by_reading_0},
        {"division", break_by_dividing},
        {"abort", break_by_abort},
        {"privilege", break_by_privilege},
        {"port", break_by_port},
        {"jump_0", break_by_jump_to_0},
        {"run_data", break_by_running_data},
        {"memory", exhaust_memory},
        {"wx", write_and_execute},
    };
    const char *way = choice(argc, argv);

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
        if (strcmp(ways[i].name, way) == 0)
            ways[i].run();
    if (strcmp(way, "stack") == 0)
        return break_by_stack_overflow(0);
    return 0;
}
