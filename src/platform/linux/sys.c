/* errno, clocks and entropy of Linux. SPDX-License-Identifier: MIT */
#include "platform/linux/sys.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <unistd.h>

int xk__sys_err(int e)
{
    switch (-e) {
#define SAME(name, value, text) \
    case value:                 \
        return value;
        XK_ERR_MAP(SAME)
#undef SAME
    case -ENAMETOOLONG:
    case -ELOOP:
        return XK_EINVAL; /* of a path */
    default:
        return XK_EIO;
    }
}

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

xk_time xk__sys_now(void) { return read_clock(CLOCK_MONOTONIC); }

int64_t xk__sys_wallclock(void) { return read_clock(CLOCK_REALTIME); }

int xk__sys_entropy(void *buf, size_t n)
{
    ssize_t r = getrandom(buf, n, GRND_NONBLOCK); /* n <= 256 is never cut short (getrandom(2)) */

    return r == (ssize_t)n ? 0 : r < 0 ? xk__sys_err(errno) : XK_EAGAIN;
}

/* How many processors are online: a peer that is pinned elsewhere runs beside us although we may use one only. */
int xk__sys_cpus(void)
{
    static int count;

    if (!count) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        count = n > 0 ? (int)n : 1;
    }
    return count;
}

int xk__sys_fstat(int fd, struct stat *st)
{
#if defined(SYS_fstat) && __SIZEOF_POINTER__ == 8 /* there the kernel's struct stat is the library's */
    return (int)syscall(SYS_fstat, fd, st);
#else
    return fstat(fd, st);
#endif
}
