/* Sockets that the host tool makes for its domains. SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <xenkit/host.h>

#include "platform/linux/sys.h"

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int parse(const char *text, unsigned port, union address *a, socklen_t *len)
{
    memset(a, 0, sizeof(*a));
    if (port > 65535)
        return XK_ERANGE;
    if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons((uint16_t)port);
        *len = sizeof(a->v4);
        return 0;
    }
    if (inet_pton(AF_INET6, text, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons((uint16_t)port);
        *len = sizeof(a->v6);
        return 0;
    }
    return XK_EINVAL;
}

static int fail(int fd)
{
    int r = xk__sys_err(errno);

    if (fd >= 0)
        close(fd);
    return r;
}

static int bind_to(const char *text, unsigned port, int type, unsigned *bound)
{
    union address a;
    socklen_t len;
    int on = 1, r = parse(text, port, &a, &len), fd;

    if (r < 0)
        return r;
    fd = socket(a.any.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(fd);
    if (type == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, &a.any, len) < 0 || (type == SOCK_STREAM && listen(fd, 1024) < 0))
        return fail(fd);
    if (bound && getsockname(fd, &a.any, &len) == 0)
        *bound = ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
    return fd;
}

int xk_host_listen_tcp(const char *address, unsigned port, unsigned *bound)
{
    return bind_to(address, port, SOCK_STREAM, bound);
}

int xk_host_bind_udp(const char *address, unsigned port, unsigned *bound)
{
    int fd = bind_to(address, port, SOCK_DGRAM, bound), size = 4 << 20;

    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* the kernel cuts it to what is allowed */
    return fd;
}

int xk_host_connect_tcp(const char *address, unsigned port)
{
    union address a;
    socklen_t len;
    int r = parse(address, port, &a, &len), fd;

    if (r < 0)
        return r;
    fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &a.any, len) < 0)
        return fail(fd);
    return fd;
}

static int unix_address(const char *path, struct sockaddr_un *a)
{
    memset(a, 0, sizeof(*a));
    a->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(a->sun_path))
        return XK_E2BIG;
    memcpy(a->sun_path, path, strlen(path) + 1);
    return 0;
}

static int type_of(enum xk_host_socket type) { return type == XK_HOST_SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM; }

/* A socket file that refuses connections is a leftover of a server that was killed. */
static void remove_leftover(const char *path, enum xk_host_socket type)
{
    struct stat st;
    int fd;

    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = xk_host_connect_unix(path, type);
    if (fd == XK_ECONNREFUSED)
        unlink(path);
    if (fd >= 0)
        close(fd);
}

int xk_host_listen_unix(const char *path, enum xk_host_socket type)
{
    struct sockaddr_un a;
    int r = unix_address(path, &a), fd;

    if (r < 0)
        return r;
    remove_leftover(path, type);
    fd = socket(AF_UNIX, type_of(type) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1024) < 0)
        return fail(fd);
    return fd;
}

int xk_host_connect_unix(const char *path, enum xk_host_socket type)
{
    struct sockaddr_un a;
    int r = unix_address(path, &a), fd;

    if (r < 0)
        return r;
    fd = socket(AF_UNIX, type_of(type) | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        return fail(fd);
    return fd;
}

int xk_host_socketpair(int pair[2], enum xk_host_socket type)
{
    int kind = (type == XK_HOST_SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;

    return socketpair(AF_UNIX, kind, 0, pair) < 0 ? xk__sys_err(errno) : 0;
}

int xk_host_pass(int handle, const void *data, size_t n, int fd) { return xk__fd_send(handle, data, n, &fd, fd >= 0); }
