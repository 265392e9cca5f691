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

int xk_host_seal_in(const void *filter, size_t n)
{
    struct sock_fprog prog = {(unsigned short)(n / sizeof(struct sock_filter)), (void *)(uintptr_t)filter};

    if (n == 0 || n % sizeof(struct sock_filter) || n / sizeof(struct sock_filter) > 4096)
        return XK_EINVAL;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return xk__sys_err(errno);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0 ? xk__sys_err(errno) : 0;
}
