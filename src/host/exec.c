/* This process becomes another program, or starts one, with chosen descriptors. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xenkit/host.h>

#include "platform/linux/sys.h"

extern char **environ;

void xk_host_raise_nofile(void)
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
    xk_host_raise_nofile(); /* a daemon for many guests */
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

int xk_host_spawn(int program, char *const argv[], const int *keep, int count)
{
    int pid = xk_host_fork();

    if (pid == 0) {
        xk_host_exec(program, argv, keep, count);
        _exit(127);
    }
    return pid;
}

int xk_host_wait(int pid)
{
    int status;
    pid_t r = waitpid(pid, &status, WNOHANG);

    if (r <= 0)
        return r == 0 ? XK_EAGAIN : xk__sys_err(errno);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
