/* A network of its own (network_namespaces(7), user_namespaces(7)). SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "uplink/uplink.h"

static int put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), r = fd < 0 ? -1 : (int)write(fd, text, strlen(text)), err = errno;

    if (fd >= 0)
        close(fd);
    errno = err;
    return r < 0 ? -1 : 0;
}

int netns_enter(char *error)
{
    unsigned uid = geteuid(), gid = getegid();
    char map[32];

    if (uid == 0 && unshare(CLONE_NEWNET) == 0)
        return 0;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return uplink_fail(error, errno, "a network of its own (unshare)");
    snprintf(map, sizeof(map), "0 %u 1", uid);
    if (put("/proc/self/setgroups", "deny") < 0 || put("/proc/self/uid_map", map) < 0)
        return uplink_fail(error, errno, "a user namespace");
    snprintf(map, sizeof(map), "0 %u 1", gid);
    return put("/proc/self/gid_map", map) < 0 ? uplink_fail(error, errno, "a user namespace") : 0;
}
