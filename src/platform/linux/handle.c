/* Descriptors that were handed to this domain. Reads and writes of sockets carry MSG_DONTWAIT, since O_NONBLOCK belongs
 * to the description, which others may share. SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <xenkit/handle.h>

#include "platform/linux/sys.h"

enum { IOV_MAX_HERE = 16, MISC_MAJOR = 10 };

int xk_handle_kind(int h)
{
    struct stat st;
    int type, listening = 0;
    socklen_t len = sizeof(type);

    if (xk__sys_fstat(h, &st) < 0)
        return XK_EBADF;
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
        return XK_HANDLE_FILE;
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        return XK_HANDLE_STREAM;
    if (!S_ISSOCK(st.st_mode) || getsockopt(h, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
        return XK_HANDLE_OTHER;
    len = sizeof(listening);
    getsockopt(h, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
    if (listening)
        return XK_HANDLE_LISTENER;
    return type == SOCK_STREAM ? XK_HANDLE_STREAM : XK_HANDLE_DATAGRAM;
}

static int failed(void)
{
    return errno == EAGAIN || errno == EINTR ? XK_EAGAIN : errno == EPIPE ? XK_EPIPE : xk__sys_err(errno);
}

/* A terminal or pipe has no MSG_DONTWAIT, and its O_NONBLOCK is shared with whoever else holds it: ask first. */
static int is_ready(int h, short events)
{
    struct pollfd p = {.fd = h, .events = events};

    return poll(&p, 1, 0) != 0;
}

/* Linux's door to the store, /dev/xen/xenbus, takes writes at any time and never says so (major number 10: misc). */
static int is_always_writable(int h)
{
    struct stat st;

    return xk__sys_fstat(h, &st) == 0 && S_ISCHR(st.st_mode) && major(st.st_rdev) == MISC_MAJOR;
}

int xk_handle_read(int h, void *buf, size_t n)
{
    ssize_t r = recv(h, buf, n, MSG_DONTWAIT);

    if (r < 0 && errno == ENOTSOCK) {
        if (!is_ready(h, POLLIN))
            return XK_EAGAIN;
        r = read(h, buf, n);
    }
    return r < 0 ? failed() : (int)r;
}

int xk_handle_peek(int h, void *buf, size_t n)
{
    ssize_t r = recv(h, buf, n, MSG_DONTWAIT | MSG_PEEK);

    return r < 0 ? failed() : (int)r;
}

int xk_handle_write(int h, const void *buf, size_t n)
{
    ssize_t r = send(h, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (r < 0 && errno == ENOTSOCK) {
        if (!is_ready(h, POLLOUT) && !is_always_writable(h))
            return XK_EAGAIN;
        r = write(h, buf, n);
    }
    return r < 0 ? failed() : (int)r;
}

/* Through writev, which a sandbox may allow, and not sendmsg, which could carry descriptors. A reset connection would
 * raise SIGPIPE, which the domain program ignores; embedders write sockets with xk_handle_write. */
int xk_handle_writev(int h, const struct xk_iovec *v, int count)
{
    struct iovec iov[IOV_MAX_HERE];
    ssize_t r;

    if (count < 1 || count > IOV_MAX_HERE)
        return XK_EINVAL;
    if (count == 1)
        return xk_handle_write(h, v[0].base, v[0].len);
    for (int i = 0; i < count; i++)
        iov[i] = (struct iovec){(void *)(uintptr_t)v[i].base, v[i].len};
    r = writev(h, iov, count);
    return r < 0 ? failed() : (int)r;
}

int xk_handle_accept(int h)
{
    int fd = accept4(h, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0)
        return fd;
    switch (errno) { /* accept(2): errors of the connection, not of the listener */
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return XK_EAGAIN;
    case ENFILE:
    case EMFILE:
        return XK_EMFILE;
    default:
        return failed();
    }
}

int xk_handle_receive(int h, void *buf, size_t n, int *fd)
{
    int count = 1, r;

    *fd = -1;
    r = xk__fd_recv(h, buf, n, fd, &count, 0);
    if (r < 0)
        *fd = -1; /* it was closed again */
    return r;
}

int xk_handle_shutdown_write(int h) { return shutdown(h, SHUT_WR) < 0 ? failed() : 0; }

void xk_handle_close(int h)
{
    if (h >= 0)
        close(h);
}

void xk_handle_nodelay(int h)
{
    int on = 1;

    setsockopt(h, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int xk_handle_recv_many(int h, struct xk_datagram *d, int count)
{
    struct mmsghdr m[XK_DATAGRAM_BATCH];
    struct iovec iov[XK_DATAGRAM_BATCH];
    int n;

    if (count > XK_DATAGRAM_BATCH)
        count = XK_DATAGRAM_BATCH;
    memset(m, 0, sizeof(*m) * (size_t)count);
    for (int i = 0; i < count; i++) {
        iov[i] = (struct iovec){d[i].data, d[i].len};
        m[i].msg_hdr.msg_iov = &iov[i];
        m[i].msg_hdr.msg_iovlen = 1;
        m[i].msg_hdr.msg_name = d[i].peer;
        m[i].msg_hdr.msg_namelen = sizeof(d[i].peer);
    }
    n = recvmmsg(h, m, (unsigned)count, MSG_DONTWAIT, NULL);
    if (n < 0)
        return failed();
    for (int i = 0; i < n; i++) {
        d[i].len = m[i].msg_len;
        d[i].peer_len = m[i].msg_hdr.msg_namelen;
        d[i].truncated = (m[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    }
    return n;
}

int xk_handle_send_many(int h, struct xk_datagram *d, int count)
{
    struct mmsghdr m[XK_DATAGRAM_BATCH];
    struct iovec iov[XK_DATAGRAM_BATCH];
    int n;

    if (count > XK_DATAGRAM_BATCH)
        count = XK_DATAGRAM_BATCH;
    memset(m, 0, sizeof(*m) * (size_t)count);
    for (int i = 0; i < count; i++) {
        iov[i] = (struct iovec){d[i].data, d[i].len};
        m[i].msg_hdr.msg_iov = &iov[i];
        m[i].msg_hdr.msg_iovlen = 1;
        m[i].msg_hdr.msg_name = d[i].peer;
        m[i].msg_hdr.msg_namelen = d[i].peer_len;
    }
    n = sendmmsg(h, m, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? failed() : n;
}

void xk_handle_peer_name(int h, char *buf, size_t size)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage space;
    } a;
    socklen_t len = sizeof(a);
    char text[INET6_ADDRSTRLEN] = "?";

    if (size == 0)
        return;
    memset(&a, 0, sizeof(a));
    if (getpeername(h, &a.any, &len) < 0 || a.any.sa_family == AF_UNIX) {
        snprintf(buf, size, "%s", a.any.sa_family == AF_UNIX ? "unix" : "?");
    } else if (a.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a.v6.sin6_addr, text, sizeof(text));
        snprintf(buf, size, "[%s]:%u", text, ntohs(a.v6.sin6_port));
    } else {
        inet_ntop(AF_INET, &a.v4.sin_addr, text, sizeof(text));
        snprintf(buf, size, "%s:%u", text, ntohs(a.v4.sin_port));
    }
}
