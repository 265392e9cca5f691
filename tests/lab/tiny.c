/* SPDX-License-Identifier: MIT
 * The smallest guest that has something to say: a PVH kernel without paging, interrupts or libc. It writes one line to
 * port 0xe9 (xl dmesg), LINES numbered lines to its Xen console, and shuts down. tests/lab/test_lab.sh builds and
 * starts it, to see that `scripts/lab create` and the console log have all of even a very short life. */
enum { LINES = 200, DOMID_SELF = 0x7ff0, CONSOLE_PFN = 17, CONSOLE_EVTCHN = 18 };
enum { SCHED_OP = 29, EVENT_CHANNEL_OP = 32, HVM_OP = 34 };

/* The note PHYS32_ENTRY (18) tells Xen where a PVH guest starts. */
__asm__(".section .note.Xen, \"a\", @note\n.long 4, 4, 18\n.asciz \"Xen\"\n.long start\n"
        ".text\n.globl start\nstart: mov $stack + 4096, %esp\ncall run\n1: cli\nhlt\njmp 1b");

struct console { /* xen/io/console.h */
    char in[1024], out[2048];
    volatile unsigned in_cons, in_prod, out_cons, out_prod;
};

char stack[4096];
static char hypercalls[4096] __attribute__((aligned(4096)));

static int hypercall(int number, int op, void *argument)
{
    int result;
    __asm__ volatile("call *%1" : "=a"(result) : "r"(hypercalls + number * 32), "b"(op), "c"(argument) : "memory");
    return result;
}

static void set_up_hypercalls(void)
{
    unsigned a = 0x40000002, msr, c, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(msr), "=c"(c), "=d"(d));
    __asm__ volatile("wrmsr" : : "c"(msr), "a"(hypercalls), "d"(0));
}

static unsigned parameter(unsigned index)
{
    struct {
        unsigned short domid;
        unsigned index;
        unsigned long long value __attribute__((aligned(8)));
    } p = {DOMID_SELF, index, 0};
    hypercall(HVM_OP, 1, &p);
    return (unsigned)p.value;
}

static void put(struct console *console, unsigned port, const char *text)
{
    unsigned send = port;
    for (; *text; text++) {
        while (console->out_prod - console->out_cons == sizeof console->out) {
            hypercall(EVENT_CHANNEL_OP, 4, &send);
            hypercall(SCHED_OP, 0, 0); /* yield */
        }
        console->out[console->out_prod % sizeof console->out] = *text;
        __asm__ volatile("" : : : "memory");
        console->out_prod++;
    }
    hypercall(EVENT_CHANNEL_OP, 4, &send);
}

void run(void);
void run(void)
{
    char line[] = "line 000\n";
    unsigned poweroff = 0;
    for (const char *s = "tiny begins\n"; *s; s++)
        __asm__ volatile("outb %0, %1" : : "a"(*s), "Nd"((unsigned short)0xe9));
    set_up_hypercalls();
    struct console *console = (struct console *)(parameter(CONSOLE_PFN) << 12);
    unsigned port = parameter(CONSOLE_EVTCHN);
    for (int i = 1; i <= LINES; i++) {
        line[5] = (char)('0' + i / 100);
        line[6] = (char)('0' + i / 10 % 10);
        line[7] = (char)('0' + i % 10);
        put(console, port, line);
    }
    hypercall(SCHED_OP, 2, &poweroff);
}
