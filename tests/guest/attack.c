/* Attacks the kernel from ring 3: every call with hostile arguments, and sequences of the memory calls against a model.
 * Passes from one seed: after each the kernel must own what it did before (STATS), and ordinary work goes on. The word
 * seed=N (kernel command line, or argv[1] on Linux) chooses. On Linux only the model runs, as hostile arguments may be
 * served there. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "platform/stub/call.h"

enum { PAGE = 4096, WINDOW = 192, STEPS = 20000, ROUNDS = 100, LINUX_CALLS = 451, PRIVATE_CALLS = 33 };
enum { STACK = 512 << 10, RW = PROT_READ | PROT_WRITE, HUGE_BITS = 30, PASSES = 6 };
#define HIGH 0xffff800000000000ull
#define ANY(list) list[below(sizeof(list) / sizeof(*list))]

static uint64_t state, calls, heap_end, window; /* (heap_end): where brk stands; ours below is not attacked */
static int on_kernel, on_xen, huge_maps;
static uint8_t scratch[8 * PAGE] __attribute__((aligned(4096))); /* results land in it, or run on from its first half */

extern const uint8_t __executable_start[], etext[];

/* --- tools --- */

static uint64_t next(void) /* splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static uint64_t below(uint64_t n) { return next() % n; }

static _Noreturn void wrong(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("attack: after %llu calls: ", (unsigned long long)calls);
    vprintf(format, args);
    printf("\n");
    exit(1);
}

static int64_t call6(uint64_t nr, const uint64_t a[6])
{
    calls++;
    return stub_call(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define CALL(nr, ...) call6(nr, (const uint64_t[6]){__VA_ARGS__})

static struct xk__stub_stats stats(void)
{
    struct xk__stub_stats s;

    if (CALL(XK__STUB_STATS, (uintptr_t)&s) < 0)
        wrong("no stats");
    return s;
}

static uint64_t hash(const uint8_t *p, const uint8_t *end)
{
    uint64_t h = 14695981039346656037ull;

    for (; p < end; p++)
        h = (h ^ *p) * 1099511628211ull;
    return h;
}

/* --- the model: pages of a window, what may be done to each, and what it holds --- */

static struct {
    int there, prot;
    uint32_t value;
} model[WINDOW];

static uint64_t at(unsigned page) { return window + (uint64_t)page * PAGE; }
static volatile uint32_t *first_word(uint64_t va) { return (volatile uint32_t *)(uintptr_t)va; }
static volatile uint32_t *last_word(uint64_t va) { return (volatile uint32_t *)(uintptr_t)(va + PAGE - 4); }

static int64_t map(uint64_t where, uint64_t size, int prot, int flags)
{
    return CALL(SYS_mmap, where, size, (uint64_t)prot, (uint64_t)(flags | MAP_PRIVATE | MAP_ANONYMOUS), ~0ull, 0);
}

/* The kernel reads there, and writes there, without harm: a futex whose value is another, and a clock's resolution. */
static int can_read(uint64_t va) { return CALL(SYS_futex, va, FUTEX_WAIT_PRIVATE, 0xfeedf00d, 0, 0, 0) == -EAGAIN; }

static int can_write(uint64_t va) { return CALL(SYS_clock_getres, CLOCK_MONOTONIC, va) == 0; }

static void check_word(uint64_t va, uint32_t value, const char *when)
{
    if (*first_word(va) != value || *last_word(va) != value)
        wrong("%s: page %llx holds %x and %x, not %x", when, (unsigned long long)va, *first_word(va), *last_word(va),
              value);
}

static void check_page(unsigned i, const char *when)
{
    int readable = model[i].there && (model[i].prot & PROT_READ), writable = model[i].there && model[i].prot == RW;

    if (can_read(at(i)) != readable)
        wrong("%s: page %u of the window %s be read", when, i, readable ? "cannot" : "can");
    if (readable)
        check_word(at(i), model[i].value, when);
    if (can_write(at(i) + 64) != writable)
        wrong("%s: page %u of the window %s be written", when, i, writable ? "cannot" : "can");
}

static void write_page(unsigned i)
{
    if (!model[i].there || model[i].prot != RW)
        return;
    model[i].value = (uint32_t)next() & 0x7fffffff;
    *first_word(at(i)) = *last_word(at(i)) = model[i].value;
}

static void set_range(unsigned first, unsigned n, int there, int prot)
{
    for (unsigned i = first; i < first + n; i++) {
        model[i].there = there;
        model[i].prot = prot;
        model[i].value = 0;
    }
}

/* (prot) of all pages of the range, -1 when they differ or one is not there. */
static int uniform(unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        if (!model[i].there || model[i].prot != model[first].prot)
            return -1;
    return model[first].prot;
}

static int all_there(unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        if (!model[i].there)
            return 0;
    return 1;
}

static int inside(uint64_t va, uint64_t pages) { return va >= window && va + pages * PAGE <= at(WINDOW); }

/* What the kernel put at (va), (n) pages, is given back; the window may have lost pages to it and loses them again. */
static void release(uint64_t va, unsigned n)
{
    if (CALL(SYS_munmap, va, (uint64_t)n * PAGE) != 0)
        wrong("munmap of %llx, %u pages, failed", (unsigned long long)va, n);
    for (uint64_t end = va + (uint64_t)n * PAGE; va < end; va += PAGE)
        if (inside(va, 1))
            set_range((unsigned)((va - window) / PAGE), 1, 0, 0);
}

static void step_mmap(unsigned first, unsigned n, int prot)
{
    int64_t r = map(at(first), (uint64_t)n * PAGE, prot, MAP_FIXED);

    if (r != (int64_t)at(first))
        wrong("mmap fixed of page %u, %u pages: %lld", first, n, (long long)r);
    set_range(first, n, 1, prot);
}

static void step_hole(unsigned n)
{
    int64_t r = map(0, (uint64_t)n * PAGE, RW, 0);

    if (r < 0)
        wrong("mmap of %u pages: %lld", n, (long long)r);
    for (uint64_t va = (uint64_t)r; va < (uint64_t)r + (uint64_t)n * PAGE; va += PAGE) {
        if (inside(va, 1) && model[(va - window) / PAGE].there)
            wrong("mmap gave page %llx, which is in use", (unsigned long long)va);
        check_word(va, 0, "mmap");
        *last_word(va) = 1;
    }
    release((uint64_t)r, n);
}

static void step_mprotect(unsigned first, unsigned n, int prot)
{
    int64_t r, want = all_there(first, n) ? 0 : -ENOMEM;

    if (want && model[first].there) /* Linux changes what lies before the hole */
        return;
    r = CALL(SYS_mprotect, at(first), (uint64_t)n * PAGE, (uint64_t)prot);
    if (r != want)
        wrong("mprotect of page %u, %u pages: %lld", first, n, (long long)r);
    for (unsigned i = first; r == 0 && i < first + n; i++)
        model[i].prot = prot;
}

static void step_madvise(unsigned first, unsigned n)
{
    if (!all_there(first, n))
        return;
    if (CALL(SYS_madvise, at(first), (uint64_t)n * PAGE, MADV_DONTNEED) != 0)
        wrong("madvise of page %u, %u pages", first, n);
    for (unsigned i = first; i < first + n; i++)
        model[i].value = 0;
}

/* mremap has moved (n) pages from (first) to (to), and made them (more) longer. */
static void check_moved(unsigned first, unsigned n, unsigned more, uint64_t to)
{
    int prot = model[first].prot;

    for (unsigned i = 0; i < n + more; i++)
        if (can_read(to + (uint64_t)i * PAGE) != (prot & PROT_READ))
            wrong("mremap to %llx: page %u is not as it was", (unsigned long long)to, i);
        else if (prot & PROT_READ)
            check_word(to + (uint64_t)i * PAGE, i < n ? model[first + i].value : 0, "mremap");
    set_range(first, n, 0, 0);
    for (unsigned i = first; i < first + n; i++)
        if (!(at(i) >= to && at(i) < to + (uint64_t)(n + more) * PAGE))
            check_page(i, "where mremap moved from");
    release(to, n + more);
}

/* How many pages are free below (first): a hole that just fits is the hardest for mremap. */
static unsigned hole_below(unsigned first)
{
    unsigned n = 0;

    while (n < first && !model[first - 1 - n].there)
        n++;
    return n;
}

static void step_mremap(unsigned first, unsigned n)
{
    unsigned hole = hole_below(first), size = hole > n ? hole : 1 + (unsigned)below(2 * n);
    int prot = uniform(first, n), flags = below(3) ? MREMAP_MAYMOVE : 0;
    int64_t r;

    if (prot < 0)
        return;
    r = CALL(SYS_mremap, at(first), (uint64_t)n * PAGE, (uint64_t)size * PAGE, (uint64_t)flags);
    if (r == -EFAULT || (r == -ENOMEM && !flags)) /* more than one area; something in the way */
        return;
    if (r < 0)
        wrong("mremap of page %u from %u to %u pages: %lld", first, n, size, (long long)r);
    if (r != (int64_t)at(first))
        return check_moved(first, n, size - n, (uint64_t)r);
    if (size <= n)
        set_range(first + size, n - size, 0, 0);
    else if (first + size <= WINDOW)
        set_range(first + n, size - n, 1, prot);
    else
        release((uint64_t)r, size);
}

static void step_brk(void)
{
    uint64_t to = heap_end + below(64 * PAGE), from = (heap_end + PAGE - 1) & ~(uint64_t)(PAGE - 1);

    if (CALL(SYS_brk, to) != (int64_t)to)
        wrong("brk does not grow");
    for (uint64_t va = from; va + PAGE <= to; va += PAGE) {
        check_word(va, 0, "brk");
        *first_word(va) = *last_word(va) = 7;
    }
    if (CALL(SYS_brk, heap_end) != (int64_t)heap_end)
        wrong("brk does not shrink");
    if (can_read(from))
        wrong("what brk gave back can be read");
}

static void run_model(void)
{
    static const int prots[] = {RW, RW, RW, PROT_READ, PROT_NONE};
    int64_t r = map(0, (uint64_t)WINDOW * PAGE, RW, 0);

    if (r < 0)
        wrong("no window: %lld", (long long)r);
    window = (uint64_t)r;
    set_range(0, WINDOW, 1, RW);
    for (int step = 0; step < STEPS; step++) {
        unsigned first = (unsigned)below(WINDOW - 1),
                 n = 1 + (unsigned)below(WINDOW - first < 24 ? WINDOW - first : 24);
        switch (below(12)) {
        case 0:
        case 1:
            step_mmap(first, n, ANY(prots));
            break;
        case 2:
            release(at(first), n);
            break;
        case 3:
            step_mprotect(first, n, ANY(prots));
            break;
        case 4:
            step_madvise(first, n);
            break;
        case 5:
        case 6:
            step_mremap(first, n);
            break;
        case 7:
            step_hole(n);
            break;
        case 8:
            step_brk();
            break;
        default:
            for (unsigned i = first; i < first + n; i++)
                write_page(i);
        }
        check_page((unsigned)below(WINDOW), "later");
    }
    for (unsigned i = 0; i < WINDOW; i++)
        check_page(i, "at the end");
    release(window, WINDOW);
}

/* --- hostile arguments --- */

static uint64_t hostile(void)
{
    static const uint64_t borders[] = {
        0,
        PAGE,
        0x100000, /* the kernel */
        0x200000,
        1ull << 30,
        1ull << 32,
        XK__STUB_PROGRAM,
        XK__STUB_MMAP,
        XK__STUB_GRANTS,
        XK__STUB_FOREIGN,
        XK__STUB_RINGS,
        XK__STUB_RINGS + (1ull << 30),
        XK__STUB_STACK_TOP - STACK,
        XK__STUB_USER_END,
        1ull << 47,
        1ull << 63,
        HIGH,
        INT32_MAX,
        UINT32_MAX,
    };

    switch (below(9)) {
    case 0:
        return below(8);
    case 1:
        return below(64) * PAGE;
    case 2:
        return 0x100000 + below(0x40000);
    case 3:
        return 0 - below(4 * PAGE);
    case 4:
        return ANY(borders) + below(64) - 32;
    case 5:
        return ANY(borders) + (below(64) - 32) * PAGE;
    case 6:
        return (uintptr_t)scratch + below(sizeof(scratch) / 2);
    case 7:
        return (uintptr_t)__executable_start + below(3 * PAGE); /* not to be written */
    default:
        return next() >> below(64);
    }
}

/* A place that is never the program's to be read or written: a call with it fails. */
static uint64_t bad_place(void)
{
    static const uint64_t places[] = {
        8, 0x100000, XK__STUB_PROGRAM - 8, XK__STUB_STACK_TOP + 8, XK__STUB_USER_END - 1, HIGH, 1ull << 63, 0 - 16ull};

    return ANY(places);
}

/* Would the call take away what this program stands on? What wraps around, or begins below, must be refused. */
static int touches_us(uint64_t addr, uint64_t size)
{
    uint64_t end = addr + size + PAGE;

    if (end < addr || addr < XK__STUB_PROGRAM)
        return 0;
    return addr < heap_end + PAGE || (addr < XK__STUB_STACK_TOP && end > XK__STUB_STACK_TOP - STACK);
}

/* Reservations of many gigabytes cost time page by page: a few are enough. */
static int too_huge(uint64_t size) { return size >> HUGE_BITS && size <= XK__STUB_USER_END && ++huge_maps > 2; }

/* 0: leave this one out. Arguments are made harmless to us, never to the kernel. */
static int tame_memory(uint64_t nr, uint64_t a[6])
{
    switch (nr) {
    case SYS_mmap:
        a[3] = below(4) ? (a[3] & MAP_FIXED) | MAP_PRIVATE | MAP_ANONYMOUS : a[3];
        a[4] = below(4) ? ~0ull : a[4];
        return !too_huge(a[1]) && !((a[3] & MAP_FIXED) && touches_us(a[0], a[1]));
    case SYS_mremap:
        return !too_huge(a[1]) && !too_huge(a[2]) && !touches_us(a[0], a[1] > a[2] ? a[1] : a[2]);
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_madvise:
        return !too_huge(a[1]) && !touches_us(a[0], a[1]);
    default: /* brk */
        return a[0] < XK__STUB_PROGRAM || a[0] >= heap_end;
    }
}

static int tame_linux(uint64_t nr, uint64_t a[6])
{
    static const struct timespec times[] = {{0, 0}, {0, 500}, {-1, 0}, {0, 1000000000}, {INT64_MIN, -1}};

    switch (nr) {
    case SYS_exit:
    case SYS_exit_group:
    case SYS_kill:
    case SYS_tgkill:
        return 0;
    case SYS_brk:
    case SYS_mmap:
    case SYS_mremap:
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_madvise:
        return tame_memory(nr, a);
    case SYS_write: /* nothing is printed */
    case SYS_writev:
        a[0] = below(3) ? a[0] | 4 : a[0];
        a[1] = bad_place();
        return 1;
    case SYS_nanosleep:
        a[0] = below(2) ? bad_place() : (uintptr_t)&ANY(times);
        return 1;
    case SYS_clock_nanosleep:
        a[2] = below(2) ? bad_place() : (uintptr_t)&ANY(times);
        return 1;
    case SYS_arch_prctl: /* where thread-local storage is stays */
        a[0] = below(2) ? 0x1003 : 0x1002;
        a[1] = a[0] == 0x1002 ? XK__STUB_USER_END + below(1ull << 50) : a[1];
        return 1;
    default:
        return 1;
    }
}

static int tame_private(uint64_t nr, uint64_t a[6])
{
    switch (nr) {
    case XK__STUB_SHUTDOWN:
        a[0] = 4 + (next() >> below(60));
        return 1;
    case XK__STUB_TICK:
        a[0] = 0;
        return 1;
    case XK__STUB_WAIT:
        a[0] = below(2);
        return 1;
    case XK__STUB_RING: /* taking the console would leave nobody to print */
        a[1] = on_xen ? bad_place() : a[1];
        return 1;
    default:
        return 1;
    }
}

/* What a call gave is given back, so that the counts can be compared. */
static void undo(uint64_t nr, const uint64_t a[6], int64_t r)
{
    uint64_t addr;

    if (nr == SYS_brk)
        CALL(SYS_brk, heap_end);
    if (r < 0)
        return;
    if (nr >= XK__STUB_EVT_ALLOC && nr <= XK__STUB_EVT_VIRQ)
        CALL(XK__STUB_EVT_CLOSE, (uint64_t)r);
    if (nr != XK__STUB_SHARE && nr != XK__STUB_MAP)
        return;
    memcpy(&addr, (const void *)(uintptr_t)a[nr == XK__STUB_SHARE ? 4 : 5], sizeof(addr));
    if (CALL(nr + 1, addr, nr == XK__STUB_SHARE ? a[1] : a[2]) != 0)
        wrong("what call %llx gave cannot be given back", (unsigned long long)nr);
}

static void one_call(uint64_t nr)
{
    uint64_t a[6];
    int64_t r;

    for (int i = 0; i < 6; i++)
        a[i] = hostile();
    if (nr >= XK__STUB_SHARE ? !tame_private(nr, a) : !tame_linux(nr, a))
        return;
    r = call6(nr, a);
    if (r < -4095 && r >= -0x100000000)
        wrong("call %llu gave %lld", (unsigned long long)nr, (long long)r);
    undo(nr, a, r);
}

/* Flags that the kernel must not run with: direction, alignment check, nested task. */
static void strange_flags(void)
{
    struct timespec t = {-1, -1};
    int64_t r = SYS_clock_getres;

    calls++;
    __asm__ volatile("pushfq\n\torq $0x44400, (%%rsp)\n\tpopfq\n\tsyscall\n\tpushfq\n\tandq $~0x44400, (%%rsp)\n\tpopfq"
                     : "+a"(r)
                     : "D"(CLOCK_MONOTONIC), "S"(&t)
                     : "rcx", "r11", "memory", "cc");
    if (r != 0 || t.tv_sec != 0 || t.tv_nsec != 1)
        wrong("a call with strange flags: %lld", (long long)r);
}

/* All that hostile calls may have mapped: nothing of ours lies there. */
static void sweep(void)
{
    uint64_t heap = (heap_end + PAGE - 1) & ~(uint64_t)(PAGE - 1);

    int64_t r = CALL(SYS_munmap, heap, XK__STUB_GRANTS - heap);

    if (r != 0)
        wrong("the sweep failed: %lld", (long long)r);
}

static void run_hostile(void)
{
    static const uint64_t favourites[] = {SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk};

    huge_maps = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (uint64_t nr = 0; nr < LINUX_CALLS; nr++)
            one_call(nr);
        for (uint64_t nr = 0; nr < PRIVATE_CALLS; nr++)
            for (int i = 0; i < 4; i++)
                one_call(XK__STUB_SHARE + nr);
        for (int i = 0; i < 400; i++)
            one_call(ANY(favourites));
        strange_flags();
    }
    for (int i = 0; i < 64; i++) /* numbers beyond all tables */
        call6(next() | 1ull << (17 + below(47)), (const uint64_t[6]){hostile(), hostile(), hostile()});
    sweep();
}

/* --- the whole --- */

static void ordinary_work(void)
{
    unsigned good = 0, all = 0;

    for (size_t size = 1; size < 1 << 18; size = size * 5 / 3 + 1) {
        uint8_t *p = malloc(size), *q;
        if (!p)
            wrong("malloc of %zu bytes failed", size);
        memset(p, (int)(size & 127), size);
        q = realloc(p, 2 * size);
        if (!q)
            wrong("realloc to %zu bytes failed", 2 * size);
        good += q[size - 1] == (size & 127);
        all++;
        free(q);
    }
    if (good != all)
        wrong("ordinary work: %u of %u are right", good, all);
}

static int same_memory(const struct xk__stub_stats *a, const struct xk__stub_stats *b)
{
    return a->pages_free == b->pages_free && a->pages_reserved == b->pages_reserved;
}

static void must_be_same(const struct xk__stub_stats *a, const struct xk__stub_stats *b, int memory)
{
    if (a->areas == b->areas && a->grants == b->grants && a->maps == b->maps && a->ports == b->ports &&
        (!memory || same_memory(a, b)))
        return;
    wrong("a pass leaves something: free %lld, reserved %lld, areas %u, grants %u, maps %u, ports %u; "
          "before %lld %lld %u %u %u %u",
          (long long)b->pages_free, (long long)b->pages_reserved, b->areas, b->grants, b->maps, b->ports,
          (long long)a->pages_free, (long long)a->pages_reserved, a->areas, a->grants, a->maps, a->ports);
}

/* Page tables stay, and what they cost moves the limit of memory, and with it what the next pass gets: so a few passes
 * may each leave some, but what leaks leaks in each. */
static void run_passes(uint64_t seed)
{
    struct xk__stub_stats before = stats(), after;
    uint64_t code = hash(__executable_start, etext);

    for (int pass = 1, same = 0; !same; pass++) {
        state = seed;
        run_model();
        run_hostile();
        after = stats();
        must_be_same(&before, &after, pass == PASSES);
        same = pass > 1 && same_memory(&before, &after);
        before = after;
    }
    if (code != hash(__executable_start, etext))
        wrong("the program's code has changed");
}

static uint64_t seed_of(const char *words)
{
    const char *p = strstr(words, "seed=");

    return p ? strtoull(p + 5, NULL, 0) : 1;
}

int main(int argc, char **argv)
{
    const struct xk__stub_boot *boot = (const struct xk__stub_boot *)(uintptr_t)getauxval(XK__STUB_AT_BOOT);
    uint64_t seed = seed_of(boot ? (const char *)(uintptr_t)boot->cmdline : argc > 1 ? argv[1] : "");

    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    printf("attack: seed %llu\n", (unsigned long long)seed); /* stdio has its buffer now: the heap stands still */
    on_kernel = boot != NULL;
    on_xen = boot && boot->flags & XK__STUB_ON_XEN;
    state = seed;
    heap_end = (uint64_t)CALL(SYS_brk, 0);
    if (on_kernel)
        run_passes(seed);
    else
        run_model();
    ordinary_work();
    printf("attack: %llu calls, well\n", (unsigned long long)calls);
    return 0;
}
