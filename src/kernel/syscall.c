/* The Linux system calls that glibc, Lua, SQLite, c-ares and OpenSSL make on their way. Each is compared with Linux by
 * tests/guest/calls.c. All others are refused with ENOSYS and counted. SPDX-License-Identifier: MIT */
#include "kernel/syscall.h"

#include <asm/unistd_64.h>

#include <xen/sched.h>

#include "kernel/area.h"
#include "kernel/console.h"
#include "kernel/entropy.h"
#include "kernel/error.h"
#include "kernel/evtchn.h"
#include "kernel/page.h"
#include "platform/stub/abi.h"
#include "kernel/time.h"
#include "kernel/user.h"
#include "kernel/x86.h"

enum { ARCH_SET_FS = 0x1002, ARCH_GET_FS = 0x1003, MSR_FS_BASE = 0xc0000100, AT_EMPTY_PATH = 0x1000 };
enum { FAR = 4000000000 };
enum { SECOND = 1000000000, CHUNK = 256, IOV_MAX_HERE = 16, GRND_NONBLOCK = 1, TIMER_ABSTIME = 1 };
enum { CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_PROCESS = 2, CLOCK_THREAD = 3, CLOCK_LAST = 11 };
enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1, FUTEX_WAIT_BITSET = 9, FUTEX_OP_MASK = 0x7f };
enum { SIGACTION_SIZE = 32, STACK_T_SIZE = 24, SS_DISABLE = 2 };
enum { RLIMIT_STACK = 3, RLIMIT_DATA = 2, RLIMIT_NOFILE = 7, RLIMIT_AS = 9, RLIMITS = 16 };

struct timespec {
    int64_t sec, nsec;
};

static struct syscall_counts counts;
static uint64_t fs_base;

struct syscall_counts syscall_counts(void) { return counts; }

/* --- output --- */

static int64_t sys_write(uint64_t fd, uint64_t buf, uint64_t n)
{
    char piece[CHUNK];

    if (fd != 1 && fd != 2)
        return -EBADF;
    for (uint64_t done = 0; done < n;) {
        uint64_t m = n - done < CHUNK ? n - done : CHUNK;
        if (user_read(piece, buf + done, m) < 0)
            return done ? (int64_t)done : -EFAULT;
        console_write(piece, m);
        done += m;
    }
    return (int64_t)n;
}

static int64_t sys_writev(uint64_t fd, uint64_t iov, uint64_t count)
{
    int64_t total = 0;

    if (count > IOV_MAX_HERE)
        return -EINVAL;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t v[2];
        int64_t r;
        if (user_read(v, iov + i * 16, 16) < 0)
            return total ? total : -EFAULT;
        r = sys_write(fd, v[0], v[1]);
        if (r < 0)
            return total ? total : r;
        total += r;
    }
    return total;
}

/* Descriptors 0, 1 and 2 are a terminal (character device 136:0), so that stdio flushes at each line. */
static int64_t sys_fstat(uint64_t fd, uint64_t out)
{
    struct {
        uint64_t dev, ino, nlink;
        uint32_t mode, uid, gid, pad;
        uint64_t rdev;
        int64_t size, blksize, blocks, times[6], unused[3];
    } st = {.dev = 1, .ino = 3, .nlink = 1, .mode = 0020620, .rdev = 136 << 8, .blksize = 1024};

    return fd > 2 ? -EBADF : user_write(out, &st, sizeof(st));
}

static int64_t sys_newfstatat(uint64_t fd, uint64_t path, uint64_t out, uint64_t flags)
{
    char first;

    if (user_read(&first, path, 1) < 0)
        return -EFAULT;
    return !first && (flags & AT_EMPTY_PATH) ? sys_fstat(fd, out) : -ENOENT;
}

/* --- time --- */

static int64_t clock(uint64_t id, uint64_t *ns)
{
    if (id > CLOCK_LAST)
        return -EINVAL;
    *ns = id == CLOCK_REALTIME || id == 5 || id == 11 ? time_wall() : time_now(); /* 5 coarse, 11 TAI */
    return 0;
}

static int64_t put_time(uint64_t out, uint64_t ns, uint64_t unit)
{
    struct timespec t = {(int64_t)(ns / SECOND), (int64_t)(ns % SECOND / unit)};

    return user_write(out, &t, sizeof(t));
}

static int64_t sys_clock_gettime(uint64_t id, uint64_t out)
{
    uint64_t ns;
    int64_t r = clock(id, &ns);

    return r < 0 ? r : put_time(out, ns, 1);
}

static int64_t sys_time(uint64_t out)
{
    int64_t s = (int64_t)(time_wall() / SECOND);

    return out && user_write(out, &s, sizeof(s)) < 0 ? -EFAULT : s;
}

/* Sleeps; ports that fire meanwhile stay ready for whoever waits for them. */
static int64_t sys_sleep(uint64_t id, uint64_t flags, uint64_t in)
{
    struct timespec t;
    uint64_t now, at;

    if (user_read(&t, in, sizeof(t)) < 0)
        return -EFAULT;
    if (t.sec < 0 || t.nsec < 0 || t.nsec >= SECOND || clock(id, &now) < 0)
        return -EINVAL;
    at = t.sec < FAR ? (uint64_t)t.sec * SECOND + (uint64_t)t.nsec : (uint64_t)FAR * SECOND;
    if (flags & TIMER_ABSTIME)
        at = at > now ? at - now : 0;
    at += time_now(); /* some 130 years: no overflow */
    while (time_now() < at)
        evtchn_sleep(at);
    trap_tick_rearm();
    return 0;
}

/* --- the rest --- */

static int64_t sys_arch_prctl(uint64_t what, uint64_t addr)
{
    if (what == ARCH_GET_FS)
        return user_write(addr, &fs_base, 8);
    if (what != ARCH_SET_FS)
        return -EINVAL;
    if (addr >= XK__STUB_USER_END)
        return -EPERM;
    fs_base = addr;
    wrmsr(MSR_FS_BASE, addr);
    return 0;
}

static int64_t sys_getrandom(uint64_t buf, uint64_t n)
{
    uint8_t piece[CHUNK];
    uint64_t m = n < CHUNK ? n : CHUNK;

    if (!entropy_seeded())
        return -EAGAIN;
    if (user_present(buf, m, 1) < 0)
        return -EFAULT;
    entropy_get(piece, m);
    user_write(buf, piece, m);
    return (int64_t)m;
}

static int64_t sys_prlimit(uint64_t resource, uint64_t new_limit, uint64_t out)
{
    uint64_t limit[2] = {~0ull, ~0ull};

    if (resource >= RLIMITS)
        return -EINVAL;
    if (new_limit)
        return -EPERM;
    if (resource == RLIMIT_STACK)
        limit[0] = limit[1] = 512 << 10;
    if (resource == RLIMIT_NOFILE)
        limit[0] = limit[1] = 3;
    return out ? user_write(out, limit, sizeof(limit)) : 0;
}

/* One thread: nobody could wake a waiter, and nobody waits to be woken. */
static int64_t sys_futex(uint64_t addr, uint64_t op, uint64_t value)
{
    uint32_t now;

    op &= FUTEX_OP_MASK;
    if (op == FUTEX_WAKE)
        return 0;
    if (op != FUTEX_WAIT && op != FUTEX_WAIT_BITSET)
        return -ENOSYS;
    if (user_read(&now, addr, 4) < 0)
        return -EFAULT;
    return now != (uint32_t)value ? -EAGAIN : -ETIMEDOUT;
}

static int64_t sys_sysinfo(uint64_t out)
{
    struct page_count p = page_count();
    struct {
        int64_t uptime;
        uint64_t loads[3], total, free, shared, buffer, total_swap, free_swap;
        uint16_t processes, pad;
        uint64_t total_high, free_high;
        uint32_t unit;
    } s = {.uptime = (int64_t)(time_now() / SECOND),
           .total = p.total * PAGE,
           .free = p.free * PAGE,
           .processes = 1,
           .unit = 1};

    return user_write(out, &s, sizeof(s));
}

static int64_t sys_uname(uint64_t out)
{
    static const char *const fields[6] = {"Linux", "xenkit", "6.1.0-xenkit", "#1 xenkit stub kernel", "x86_64", ""};
    char all[6][65];

    fill_zero(all, sizeof(all));
    for (int i = 0; i < 6; i++)
        for (int k = 0; fields[i][k]; k++)
            all[i][k] = fields[i][k];
    return user_write(out, all, sizeof(all));
}

static int64_t sys_exit(uint64_t code)
{
    trap_end(code & 255 ? SHUTDOWN_crash : SHUTDOWN_poweroff, (int)(code & 255));
    return 0;
}

static int64_t sys_affinity(uint64_t size, uint64_t out)
{
    uint64_t one = 1;

    return size < 8 ? -EINVAL : user_write(out, &one, 8) < 0 ? -EFAULT : 8;
}

/* What a call gives as the former state: nothing, with (flag) in its second word. */
static int64_t sys_old(uint64_t out, size_t size, uint64_t flag)
{
    uint64_t zeros[4] = {0, flag, 0, 0};

    return out ? user_write(out, zeros, size) : 0;
}

static int64_t refuse(uint64_t nr)
{
    counts.refused++;
    counts.last_refused = (uint32_t)nr;
    return -ENOSYS;
}

static int64_t memory_call(uint64_t nr, const uint64_t a[6])
{
    switch (nr) {
    case __NR_brk:
        return area_brk(a[0]);
    case __NR_mmap:
        return area_mmap(a[0], a[1], (int)a[2], (int)a[3], (int)a[4]);
    case __NR_munmap:
        return area_munmap(a[0], a[1]);
    case __NR_mprotect:
        return area_mprotect(a[0], a[1], (int)a[2]);
    case __NR_mremap:
        return area_mremap(a[0], a[1], a[2], (int)a[3]);
    default:
        return area_madvise(a[0], a[1], (int)a[2]);
    }
}

static int64_t linux_call(uint64_t nr, const uint64_t a[6])
{
    switch (nr) {
    case __NR_brk:
    case __NR_mmap:
    case __NR_munmap:
    case __NR_mprotect:
    case __NR_mremap:
    case __NR_madvise:
        return memory_call(nr, a);
    case __NR_write:
        return sys_write(a[0], a[1], a[2]);
    case __NR_writev:
        return sys_writev(a[0], a[1], a[2]);
    case __NR_read: /* nothing to read, ever: the end */
        return a[0] == 0 ? 0 : -EBADF;
    case __NR_close:
        return a[0] > 2 ? -EBADF : 0;
    case __NR_fstat:
        return sys_fstat(a[0], a[1]);
    case __NR_newfstatat:
        return sys_newfstatat(a[0], a[1], a[2], a[3]);
    case __NR_lseek:
        return a[0] > 2 ? -EBADF : -ESPIPE;
    case __NR_ioctl:
        return a[0] > 2 ? -EBADF : -ENOTTY;
    case __NR_open:
    case __NR_openat:
    case __NR_access:
    case __NR_readlink:
    case __NR_stat:
    case __NR_lstat:
    case __NR_unlink:
    case __NR_getcwd:
        return -ENOENT; /* there are no files */
    case __NR_fcntl:
        return a[0] > 2 ? -EBADF : a[1] == 1 || a[1] == 2 ? 0 : a[1] == 3 ? 2 : -EINVAL; /* F_GETFD, F_SETFD, F_GETFL */
    case __NR_clock_gettime:
        return sys_clock_gettime(a[0], a[1]);
    case __NR_clock_getres:
        return a[0] > CLOCK_LAST ? -EINVAL : a[1] ? put_time(a[1], 1, 1) : 0;
    case __NR_gettimeofday:
        return a[0] ? put_time(a[0], time_wall(), 1000) : 0;
    case __NR_time:
        return sys_time(a[0]);
    case __NR_nanosleep:
        return sys_sleep(CLOCK_MONOTONIC, 0, a[0]);
    case __NR_clock_nanosleep:
        return sys_sleep(a[0], a[1], a[2]);
    case __NR_arch_prctl:
        return sys_arch_prctl(a[0], a[1]);
    case __NR_set_tid_address:
    case __NR_getpid:
    case __NR_gettid:
        return 1;
    case __NR_kill: /* of signal 0 */
    case __NR_tgkill:
    case __NR_getppid:
    case __NR_getuid:
    case __NR_geteuid:
    case __NR_getgid:
    case __NR_getegid:
    case __NR_sched_yield:
        return 0;
    case __NR_rt_sigaction: /* there are no signals: all was as at the start, and stays so */
        return sys_old(a[2], SIGACTION_SIZE, 0);
    case __NR_rt_sigprocmask:
        return sys_old(a[2], 8, 0);
    case __NR_sigaltstack:
        return sys_old(a[1], STACK_T_SIZE, SS_DISABLE);
    case __NR_prlimit64:
        return sys_prlimit(a[1], a[2], a[3]);
    case __NR_getrlimit:
        return sys_prlimit(a[0], 0, a[1]);
    case __NR_getrandom:
        return sys_getrandom(a[0], a[1]);
    case __NR_futex:
        return sys_futex(a[0], a[1], a[2]);
    case __NR_sysinfo:
        return sys_sysinfo(a[0]);
    case __NR_uname:
        return sys_uname(a[0]);
    case __NR_sched_getaffinity:
        return sys_affinity(a[1], a[2]);
    case __NR_exit:
    case __NR_exit_group:
        return sys_exit(a[0]);
    default:
        return refuse(nr);
    }
}

void syscall_dispatch(struct frame *f)
{
    const uint64_t a[6] = {f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9};

    counts.calls++;
    if ((f->rax == __NR_tgkill && a[2]) || (f->rax == __NR_kill && a[1])) /* abort(), or a failed check of libc's */
        trap_crash(f, "the program aborted");
    f->rax = (uint64_t)(f->rax >= XK__STUB_SHARE ? private_call(f->rax, a) : linux_call(f->rax, a));
}
