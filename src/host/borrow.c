/* Descriptors of a child, so that its successor can have them. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xenkit/host.h>

#include "platform/linux/sys.h"

int xk_host_borrow(int pid, int fd)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), r;

    if (pidfd < 0)
        return errno == ESRCH ? XK_ENOENT : xk__sys_err(errno);
    r = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0); /* close-on-exec from the start */
    r = r < 0 ? (errno == ESRCH ? XK_ENOENT : xk__sys_err(errno)) : r;
    close(pidfd);
    return r;
}
