/* Into the network of another process (setns(2), user_namespaces(7)). SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xenkit/host.h>

#include "platform/linux/sys.h"

static int open_ns(int pid, const char *kind)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, kind);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int is_ours(int ns, const char *kind)
{
    struct stat a, b;
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
    return fstat(ns, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

int xk_host_enter_net(int pid)
{
    int user = open_ns(pid, "user"), net = open_ns(pid, "net"), r = user < 0 || net < 0 ? xk__sys_err(errno) : 0;

    if (r == 0 && !is_ours(user, "user") && setns(user, CLONE_NEWUSER) < 0)
        r = xk__sys_err(errno);
    if (r == 0 && setns(net, CLONE_NEWNET) < 0)
        r = xk__sys_err(errno);
    if (user >= 0)
        close(user);
    if (net >= 0)
        close(net);
    return r;
}
