/* Starts xenkit-uplink, a way out of a world's networks, and waits for what it says. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xenkit/host.h>

#include "platform/linux/sys.h"

enum { QUEUES = sizeof(((struct xk_host_uplink *)0)->handles) / sizeof(int) };
enum { PATIENCE = 5000 /* ms */, WORDS = 64, FD_WORD = 12 };

/* Its first packet, and the descriptors that come with it. Its length, or XK_E... */
static int receive(int fd, char *text, size_t size, struct xk_host_uplink *u)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(QUEUES * sizeof(int))];
    } control;
    struct iovec v = {text, size - 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct cmsghdr *c;
    ssize_t n;

    if (poll(&p, 1, PATIENCE) <= 0)
        return XK_ETIMEDOUT;
    n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n <= 0)
        return XK_EGONE;
    text[n] = 0;
    c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        u->count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(u->handles, CMSG_DATA(c), u->count * sizeof(int));
    }
    return (int)n;
}

static int start(const char *program, char *const words[], int theirs)
{
    int file = xk_host_open(program, "r"), pid;
    char number[FD_WORD], *argv[WORDS + 3] = {NULL};
    int n = 0;

    if (file < 0)
        return file;
    snprintf(number, sizeof(number), "%d", theirs);
    argv[n++] = (char *)(uintptr_t)program;
    argv[n++] = number;
    for (; *words && n < WORDS + 2; words++)
        argv[n++] = *words;
    pid = xk_host_spawn(file, argv, &theirs, 1);
    close(file);
    return pid;
}

int xk_host_uplink(const char *program, char *const words[], struct xk_host_uplink *out, char *why, size_t size)
{
    int pair[2], r = xk_host_socketpair(pair, XK_HOST_SEQPACKET);
    char text[512] = "";

    memset(out, 0, sizeof(*out));
    if (r < 0)
        return r;
    out->pid = start(program, words, pair[1]);
    close(pair[1]);
    r = out->pid < 0 ? out->pid : receive(pair[0], text, sizeof(text), out);
    out->line = pair[0];
    if (r > 0 && sscanf(text, "ok %u %u", &out->header, &out->mtu) == 2) {
        if (out->count)
            return 0;
        out->handles[out->count++] = pair[0];
        out->line = -1;
        return 0;
    }
    snprintf(why, size, "%s",
             r > 0               ? text
             : r == XK_ETIMEDOUT ? "xenkit-uplink does not answer"
                                 : "xenkit-uplink does not run");
    xk_host_uplink_end(out);
    return r > 0 ? XK_EACCES : r < 0 ? r : XK_EGONE;
}

void xk_host_uplink_end(struct xk_host_uplink *u)
{
    struct timespec some = {0, 5000000};
    int i = 0;

    if (u->line >= 0)
        close(u->line);
    while (u->count > 0)
        close(u->handles[--u->count]);
    u->line = -1;
    for (; u->pid > 0 && i < 100 && waitpid(u->pid, NULL, WNOHANG) == 0; i++)
        nanosleep(&some, NULL);
    if (u->pid > 0 && i == 100) { /* somebody else has its other end still */
        kill(u->pid, SIGTERM);
        waitpid(u->pid, NULL, 0);
    }
    u->pid = 0;
}
