/* This process becomes another program, with chosen descriptors. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <xenkit/host.h>

#include "platform/linux/sys.h"

extern char **environ;

/* A daemon for many guests needs more than the usual 1024 descriptors, and uses no select(). */
static void raise_limit(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

int xk_host_exec(int program, char *const argv[], const int *keep, int count)
{
    sigset_t none;

    for (int i = 0; i < count; i++)
        if (fcntl(keep[i], F_SETFD, 0) < 0)
            return xk__sys_err(errno);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    raise_limit();
    fflush(NULL);
    fexecve(program, argv, environ);
    return xk__sys_err(errno);
}

int xk_host_fork(void)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    return pid < 0 ? xk__sys_err(errno) : pid;
}
