/* Each system call that the stub kernel serves, with good and bad arguments. The output is the same on Linux and on the
 * kernel (tests/guest/run.lua compares them); what must differ is not printed. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define KERNEL ((void *)0x100000)            /* where the stub kernel lies: never the program's */
#define HIGH ((void *)0xffff800000000000ull) /* the kernel's half */
#define STRANGE ((void *)0x8000000000000000ull)

/* The result as the kernel gave it: a value, or -errno. */
static long call(long nr, long a, long b, long c, long d, long e, long f)
{
    long r = syscall(nr, a, b, c, d, e, f);

    return r == -1 ? -errno : r;
}

#define CALL6(nr, a, b, c, d, e, f, ...) call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define CALL(nr, ...) CALL6(nr, __VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define SAY(what, value) printf("%-28s %ld\n", what, (long)(value))

static long map(void *at, size_t size, int prot, int flags)
{
    return CALL(SYS_mmap, at, size, prot, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int all(const uint8_t *p, size_t n, uint8_t v)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != v)
            return 0;
    return 1;
}

static void memory_maps(void)
{
    uint8_t *p = (uint8_t *)map(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, 0), *q;

    SAY("mmap is aligned", (uintptr_t)p % PAGE);
    SAY("mmap is zero", all(p, 16 * PAGE, 0));
    memset(p, 7, 16 * PAGE);
    SAY("munmap a hole", CALL(SYS_munmap, p + 4 * PAGE, 2 * PAGE));
    SAY("munmap it again", CALL(SYS_munmap, p + 4 * PAGE, 2 * PAGE));
    SAY("write from the hole", CALL(SYS_write, 1, p + 4 * PAGE, 1));
    SAY("around the hole", all(p, 4 * PAGE, 7) && all(p + 6 * PAGE, 10 * PAGE, 7));
    SAY("mmap fixed into it", map(p + 4 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED) == (long)(p + 4 * PAGE));
    SAY("it is zero", all(p + 4 * PAGE, 2 * PAGE, 0));
    SAY("mmap fixed over", map(p, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED) == (long)p);
    SAY("that is zero", all(p, PAGE, 0));
    SAY("munmap all", CALL(SYS_munmap, p, 16 * PAGE));
    SAY("mmap of 0", map(NULL, 0, PROT_READ, 0));
    SAY("munmap of 0", CALL(SYS_munmap, p, 0));
    SAY("munmap unaligned", CALL(SYS_munmap, p + 1, PAGE));
    SAY("mmap absurd", map(NULL, 1ul << 46, PROT_READ | PROT_WRITE, 0));
    SAY("mmap neither kind", CALL(SYS_mmap, 0, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
    q = (uint8_t *)map(NULL, 64 * PAGE, PROT_NONE, 0);
    SAY("write from PROT_NONE", CALL(SYS_write, 1, q, 1));
    SAY("mprotect a part", CALL(SYS_mprotect, q + 8 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE));
    memset(q + 8 * PAGE, 9, 8 * PAGE);
    SAY("mprotect read-only", CALL(SYS_mprotect, q + 8 * PAGE, PAGE, PROT_READ));
    SAY("it is as written", all(q + 8 * PAGE, 8 * PAGE, 9));
    SAY("getrandom into it", CALL(SYS_getrandom, q + 8 * PAGE, 8, 0));
    SAY("mprotect unmapped", CALL(SYS_mprotect, (uint8_t *)0x7000000000 - 64 * PAGE, PAGE, PROT_READ));
    SAY("mprotect unaligned", CALL(SYS_mprotect, q + 1, PAGE, PROT_READ));
    SAY("madvise dontneed", CALL(SYS_madvise, q + 9 * PAGE, PAGE, MADV_DONTNEED));
    SAY("it is zero", all(q + 9 * PAGE, PAGE, 0) && all(q + 10 * PAGE, PAGE, 9));
    SAY("munmap", CALL(SYS_munmap, q, 64 * PAGE));
}

static void memory_moves(void)
{
    uint8_t *p = (uint8_t *)map(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, 0), *q;

    for (int i = 0; i < 8; i++)
        memset(p + i * PAGE, i + 1, PAGE);
    SAY("mremap shrink", CALL(SYS_mremap, p, 8 * PAGE, 4 * PAGE, 0) == (long)p);
    SAY("the rest is gone", CALL(SYS_write, 1, p + 4 * PAGE, 1));
    map(p + 4 * PAGE, PAGE, PROT_READ, MAP_FIXED); /* in the way */
    SAY("mremap grow in place", CALL(SYS_mremap, p, 4 * PAGE, 40 * PAGE, 0));
    q = (uint8_t *)CALL(SYS_mremap, p, 4 * PAGE, 40 * PAGE, MREMAP_MAYMOVE);
    SAY("mremap moved", (long)q > 0 && q != p);
    for (int i = 0; i < 4; i++)
        SAY("page is there", all(q + i * PAGE, PAGE, (uint8_t)(i + 1)));
    SAY("new part is zero", all(q + 4 * PAGE, 36 * PAGE, 0));
    SAY("old place is gone", CALL(SYS_write, 1, p, 1));
    SAY("mremap to 0", CALL(SYS_mremap, q, 40 * PAGE, 0, MREMAP_MAYMOVE));
    SAY("mremap unaligned", CALL(SYS_mremap, q + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    SAY("mremap unmapped", CALL(SYS_mremap, 0x6900000000, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    SAY("munmap", CALL(SYS_munmap, q, 40 * PAGE));
    SAY("munmap", CALL(SYS_munmap, p + 4 * PAGE, PAGE));
}

static void memory_break(void)
{
    uintptr_t start = (uintptr_t)CALL(SYS_brk, 0), end = (uintptr_t)CALL(SYS_brk, start + 10 * PAGE);

    SAY("brk grows", end - start == 10 * PAGE);
    SAY("it is zero", all((uint8_t *)start + PAGE, 9 * PAGE, 0));
    memset((uint8_t *)start + PAGE, 5, 9 * PAGE);
    SAY("brk shrinks", (uintptr_t)CALL(SYS_brk, start + 2 * PAGE) == start + 2 * PAGE);
    CALL(SYS_brk, start + 10 * PAGE);
    SAY("what came back is zero", all((uint8_t *)start + 4 * PAGE, PAGE, 0));
    SAY("brk below is no", (uintptr_t)CALL(SYS_brk, 4096) == start + 10 * PAGE);
    CALL(SYS_brk, start);
}

static void output(void)
{
    struct iovec v[3] = {{"wri", 3}, {"te", 2}, {"v\n", 2}}, bad[2] = {{KERNEL, 5}, {"half\n", 5}};

    fflush(stdout);
    SAY("write", CALL(SYS_write, 1, "hello\n", 6));
    SAY("write nothing", CALL(SYS_write, 1, "", 0));
    SAY("write to 77", CALL(SYS_write, 77, "x", 1));
    SAY("write from 0", CALL(SYS_write, 1, 0, 5));
    SAY("write from the kernel", CALL(SYS_write, 1, KERNEL, 5));
    SAY("write from on high", CALL(SYS_write, 1, HIGH, 5));
    SAY("write from nowhere", CALL(SYS_write, 1, STRANGE, 5));
    fflush(stdout);
    SAY("writev", CALL(SYS_writev, 1, v, 3));
    fflush(stdout);
    SAY("writev bad first", CALL(SYS_writev, 1, bad, 2));
    SAY("writev bad table", CALL(SYS_writev, 1, KERNEL, 2));
    SAY("read the end", CALL(SYS_read, 0, v, 16));
    SAY("read 77", CALL(SYS_read, 77, v, 16));
    SAY("close 77", CALL(SYS_close, 77));
    SAY("lseek", CALL(SYS_lseek, 1, 0, SEEK_CUR));
    SAY("lseek 77", CALL(SYS_lseek, 77, 0, SEEK_CUR));
    SAY("ioctl", CALL(SYS_ioctl, 1, 0x5401, v));
    SAY("ioctl 77", CALL(SYS_ioctl, 77, 0x5401, v));
    SAY("fcntl F_GETFD", CALL(SYS_fcntl, 1, F_GETFD));
    SAY("fcntl F_SETFD", CALL(SYS_fcntl, 1, F_SETFD, 0));
    SAY("fcntl 77", CALL(SYS_fcntl, 77, F_GETFD));
}

static void files(void)
{
    struct stat st;
    char buf[64];

    SAY("fstat 77", CALL(SYS_fstat, 77, &st));
    SAY("fstat", CALL(SYS_fstat, 1, &st));
    SAY("fstat to the kernel", CALL(SYS_fstat, 1, KERNEL));
    SAY("fstatat empty", CALL(SYS_newfstatat, 1, "", &st, AT_EMPTY_PATH));
    SAY("fstatat absent", CALL(SYS_newfstatat, AT_FDCWD, "/no such", &st, 0));
    SAY("open absent", CALL(SYS_open, "/no such", O_RDONLY));
    SAY("openat absent", CALL(SYS_openat, AT_FDCWD, "/no such", O_RDONLY));
    SAY("access absent", CALL(SYS_access, "/no such", 0));
    SAY("stat absent", CALL(SYS_stat, "/no such", &st));
    SAY("readlink absent", CALL(SYS_readlink, "/no such", buf, sizeof(buf)));
    SAY("unlink absent", CALL(SYS_unlink, "/no such"));
}

static void clocks(void)
{
    static const int ids[] = {CLOCK_REALTIME,          CLOCK_MONOTONIC,     CLOCK_PROCESS_CPUTIME_ID,
                              CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
                              CLOCK_MONOTONIC_COARSE,  CLOCK_BOOTTIME};
    struct timespec a, b, bad = {0, 1000000000}, minus = {-1, 0}, past = {1, 0}, ms5 = {0, 5000000};
    struct timeval tv;
    long t;

    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
        SAY("clock_gettime", CALL(SYS_clock_gettime, ids[i], &a));
        CALL(SYS_clock_gettime, ids[i], &b);
        SAY("it does not go back", b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
        SAY("nanoseconds", a.tv_nsec >= 0 && a.tv_nsec < 1000000000);
    }
    SAY("clock_gettime 99", CALL(SYS_clock_gettime, 99, &a));
    SAY("clock_gettime to 0", CALL(SYS_clock_gettime, 0, KERNEL));
    SAY("clock_getres", CALL(SYS_clock_getres, CLOCK_MONOTONIC, &a));
    SAY("it is", a.tv_sec == 0 && a.tv_nsec == 1);
    SAY("clock_getres 99", CALL(SYS_clock_getres, 99, &a));
    SAY("gettimeofday", CALL(SYS_gettimeofday, &tv, NULL));
    t = CALL(SYS_time, NULL);
    SAY("time agrees", labs(t - tv.tv_sec) <= 1);
    CALL(SYS_clock_gettime, CLOCK_MONOTONIC, &a);
    SAY("nanosleep", CALL(SYS_nanosleep, &ms5, NULL));
    SAY("clock_nanosleep", CALL(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ms5, NULL));
    CALL(SYS_clock_gettime, CLOCK_MONOTONIC, &b);
    SAY("it slept", (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec >= 10000000);
    SAY("clock_nanosleep past", CALL(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL));
    SAY("nanosleep 1e9 ns", CALL(SYS_nanosleep, &bad, NULL));
    SAY("nanosleep -1 s", CALL(SYS_nanosleep, &minus, NULL));
    SAY("nanosleep from 0", CALL(SYS_nanosleep, NULL, NULL));
}

static void process(void)
{
    struct rlimit limit;
    struct sysinfo info;
    struct utsname name;
    uint64_t fs = 0, mask = 0;
    uint32_t word = 5;
    uint8_t random[32] = {0};
    struct timespec ms1 = {0, 1000000};

    SAY("arch_prctl get", CALL(SYS_arch_prctl, 0x1003, &fs));
    SAY("it is", fs != 0);
    SAY("arch_prctl bad", CALL(SYS_arch_prctl, 0x7777, 0));
    SAY("arch_prctl high", CALL(SYS_arch_prctl, 0x1002, HIGH));
    SAY("getpid", CALL(SYS_getpid, 0) > 0);
    SAY("gettid", CALL(SYS_gettid, 0) > 0);
    SAY("sched_yield", CALL(SYS_sched_yield, 0));
    SAY("prlimit stack", CALL(SYS_prlimit64, 0, RLIMIT_STACK, NULL, &limit));
    SAY("it is", limit.rlim_cur > 0);
    SAY("prlimit 99", CALL(SYS_prlimit64, 0, 99, NULL, &limit));
    SAY("getrandom", CALL(SYS_getrandom, random, sizeof(random), GRND_NONBLOCK));
    SAY("it is random", !all(random, sizeof(random), 0));
    SAY("getrandom to 0", CALL(SYS_getrandom, 0, 16, 0));
    SAY("getrandom nothing", CALL(SYS_getrandom, random, 0, 0));
    SAY("futex wake", CALL(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1));
    SAY("futex wait other", CALL(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 6, NULL));
    SAY("futex wait in vain", CALL(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 5, &ms1));
    SAY("futex wait nowhere", CALL(SYS_futex, KERNEL, FUTEX_WAIT_PRIVATE, 5, &ms1));
    SAY("sysinfo", CALL(SYS_sysinfo, &info));
    SAY("memory", info.totalram * info.mem_unit > 1 << 20 && info.freeram <= info.totalram);
    SAY("uname", CALL(SYS_uname, &name));
    printf("%s %s\n", name.sysname, name.machine);
    SAY("uname to 0", CALL(SYS_uname, 0));
    SAY("affinity", CALL(SYS_sched_getaffinity, 0, 8, &mask) > 0);
    SAY("one at least", mask & 1);
    SAY("affinity short", CALL(SYS_sched_getaffinity, 0, 1, &mask));
    SAY("rt_sigprocmask", CALL(SYS_rt_sigprocmask, SIG_BLOCK, NULL, NULL, 8));
    SAY("no such call", CALL(4999, 0));
    SAY("nor that", CALL(0x8000, 0));
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    memory_maps();
    memory_moves();
    memory_break();
    output();
    files();
    clocks();
    process();
    puts("end");
    return 0;
}
