/* Messages with descriptors over a unix socket. On the hosted platform this carries grants, so truncation is an error,
 * nothing leaks, and what is received is close-on-exec from the start. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/linux/sys.h"

union control_space {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int) * XK__FD_MAX)];
};

int xk__fd_send(int sock, const void *buf, size_t n, const int *fds, int nfds)
{
    union control_space c;
    struct iovec iov = {(void *)(uintptr_t)buf, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t r;

    if (nfds > XK__FD_MAX || n == 0)
        return XK_EINVAL;
    if (nfds > 0) {
        struct cmsghdr *h;
        memset(&c, 0, sizeof(c));
        m.msg_control = &c;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
        h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
        memcpy(CMSG_DATA(h), fds, sizeof(int) * (size_t)nfds);
        r = sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
        r = send(sock, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL); /* a sandboxed domain has no sendmsg */
    }
    if (r < 0)
        return errno == EPIPE ? XK_EGONE : xk__sys_err(errno);
    return 0;
}

static int collect(struct msghdr *m, int *fds, int room, int *total)
{
    int n = 0;

    *total = 0;

    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        int got[XK__FD_MAX], k;
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        k = (int)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(got, CMSG_DATA(h), sizeof(int) * (size_t)(k < XK__FD_MAX ? k : XK__FD_MAX));
        for (int i = 0; i < k && i < XK__FD_MAX; i++) {
            ++*total;
            if (n < room)
                fds[n++] = got[i];
            else
                close(got[i]);
        }
    }
    return n;
}

int xk__fd_recv(int sock, void *buf, size_t n, int *fds, int *nfds, int wait)
{
    union control_space c;
    struct iovec iov = {buf, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
    int room = nfds ? *nfds : 0, got, total;
    ssize_t r;

    if (nfds)
        *nfds = 0;
    do
        r = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == ECONNRESET ? 0 : xk__sys_err(errno);
    got = collect(&m, fds, room, &total);
    if (m.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
        while (got > 0)
            close(fds[--got]);
        /* cut although there was space for more: it was the table of descriptors that had none */
        return !(m.msg_flags & MSG_TRUNC) && total < XK__FD_MAX ? XK_EMFILE : XK_EPROTO;
    }
    if (nfds)
        *nfds = got;
    return (int)r;
}
