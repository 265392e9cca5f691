/* Installing a sandbox that the host tool wrote. In the domain program this is the last thing before the first line of
 * the service. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xenkit/host.h>

#include "platform/linux/sys.h"

enum { LANDLOCK_CREATE = 444, LANDLOCK_RESTRICT = 446 }; /* the same number on every architecture */

/* Landlock (Linux 5.13) as a second lock on the same door: it knows paths, ports and signals where seccomp knows only
 * numbers and words. Every right that this kernel can take is taken, and none is given back. A kernel without it leaves
 * us with the filter alone. The rights' numbers stand in linux/landlock.h of kernels younger than our headers. */
static int lock_land(void)
{
    struct {
        uint64_t fs, net, scoped;
    } rules = {0, 0, 0};
    size_t size = 8;
    long abi = syscall(LANDLOCK_CREATE, NULL, 0, 1), fd;

    if (abi < 0)
        return 0;
    rules.fs = (1u << (abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13)) - 1;
    if (abi >= 4) {
        rules.net = 3; /* bind, connect */
        size = 16;
    }
    if (abi >= 6) {
        rules.scoped = 3; /* abstract unix sockets, signals */
        size = 24;
    }
    fd = syscall(LANDLOCK_CREATE, &rules, size, 0);
    if (fd < 0)
        return xk__sys_err(errno);
    abi = syscall(LANDLOCK_RESTRICT, fd, 0);
    close((int)fd);
    return abi < 0 ? xk__sys_err(errno) : 0;
}

int xk_host_seal_in(const void *filter, size_t n)
{
    struct sock_fprog prog = {(unsigned short)(n / sizeof(struct sock_filter)), (void *)(uintptr_t)filter};
    int r;

    if (n == 0 || n % sizeof(struct sock_filter) || n / sizeof(struct sock_filter) > 4096)
        return XK_EINVAL;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return xk__sys_err(errno);
    r = lock_land();
    if (r < 0)
        return r;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0 ? xk__sys_err(errno) : 0;
}
