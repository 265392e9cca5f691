/* Descriptors in packets, from the opener to a sealed domain; and what file stands at a path.
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>

#include <xenkit/err.h>
#include <xenkit/handle.h>
#include <xenkit/host.h>

#include "tests/c/tap.h"

TEST(a_packet_with_and_without_a_descriptor)
{
    int pair[2], fd, given;
    char buf[16];

    EQ(xk_host_socketpair(pair, XK_HOST_SEQPACKET), 0);
    EQ(xk_handle_receive(pair[0], buf, sizeof(buf), &fd), XK_EAGAIN);
    EQ(fd, -1);
    given = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    EQ(xk_host_pass(pair[1], "with", 4, given), 0);
    EQ(xk_host_pass(pair[1], "alone", 5, -1), 0);
    close(given);
    EQ(xk_handle_receive(pair[0], buf, sizeof(buf), &fd), 4);
    MEMEQ(buf, "with", 4);
    OK(fd >= 0);
    OK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    EQ(read(fd, buf, 4), 4);
    close(fd);
    EQ(xk_handle_receive(pair[0], buf, sizeof(buf), &fd), 5);
    EQ(fd, -1);
    close(pair[1]);
    EQ(xk_handle_receive(pair[0], buf, sizeof(buf), &fd), 0);
    close(pair[0]);
}

/* Lowest free descriptor: tells whether one leaked. */
static int lowest(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

TEST(a_packet_that_is_too_long_leaks_nothing)
{
    int pair[2], fd, before;
    char buf[4];

    EQ(xk_host_socketpair(pair, XK_HOST_SEQPACKET), 0);
    before = lowest();
    EQ(xk_host_pass(pair[1], "too long for it", 15, 0), 0);
    EQ(xk_handle_receive(pair[0], buf, sizeof(buf), &fd), XK_EPROTO);
    EQ(fd, -1);
    EQ(lowest(), before);
    EQ(xk_handle_receive(pair[0], buf, sizeof(buf), &fd), XK_EAGAIN); /* it is gone, the next is read as usual */
    EQ(xk_host_pass(pair[1], "x", 1, -1), 0);
    EQ(xk_handle_receive(pair[0], buf, sizeof(buf), &fd), 1);
    close(pair[0]);
    EQ(xk_host_pass(pair[1], "x", 1, -1), XK_EGONE);
    close(pair[1]);
}

TEST(a_full_socket_says_so)
{
    int pair[2], r = 0;

    EQ(xk_host_socketpair(pair, XK_HOST_SEQPACKET), 0);
    for (int i = 0; i < 100000 && r == 0; i++)
        r = xk_host_pass(pair[1], "packet", 6, -1);
    EQ(r, XK_EAGAIN);
}

TEST(what_file_stands_at_a_path)
{
    char path[] = "/tmp/xk-pass-XXXXXX", moved[64];
    uint64_t a[2], b[2];
    int fd = mkstemp(path);

    OK(fd >= 0);
    snprintf(moved, sizeof(moved), "%s.1", path);
    EQ(xk_host_identity(path, a), 0);
    EQ(xk_host_identity(path, b), 0);
    MEMEQ(a, b, sizeof(a));
    EQ(rename(path, moved), 0);
    EQ(xk_host_identity(path, b), XK_ENOENT);
    close(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    EQ(xk_host_identity(path, b), 0);
    OK(memcmp(a, b, sizeof(a)) != 0);
    unlink(path);
    unlink(moved);
    close(fd);
}
