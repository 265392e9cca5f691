/* A way out of a world's networks, for domain 0, which runs it as
 *
 *     xenkit-uplink FD tap NAME [queues=N] [BRIDGE]             a tap of this host, perhaps a port of a bridge
 *     xenkit-uplink FD netns ADDRESS/BITS [queues=N] [GATEWAY]  a tap in a network of its own, for programs
 *     xenkit-uplink FD slirp [KEY=VALUE ...]                    libslirp: the host's sockets, no privilege
 *
 * FD is a packet socket. The first packet that is sent there says "ok HEADER MTU", with the tap's descriptors if there
 * are any, a queue each, or what is wrong. After that frames go over FD (slirp), or nothing does, and the process ends
 * with its other end (netns), or at once (tap). SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "uplink/uplink.h"

enum { TAP_HEADER = 12, MTU = 1500 };
static const char TAP[] = "xk0"; /* in a network of its own it may have any name */

int uplink_fail(char *error, int err, const char *format, ...)
{
    va_list ap;
    size_t n;

    va_start(ap, format);
    vsnprintf(error, UPLINK_ERROR, format, ap);
    va_end(ap);
    n = strlen(error);
    if (err)
        snprintf(error + n, UPLINK_ERROR - n, ": %s", strerror(err));
    return -1;
}

static void say(int fd, const char *text, const int *queues, int count)
{
    size_t size = (size_t)count * sizeof(int);
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(TAP_QUEUES * sizeof(int))];
    } control = {.head = {CMSG_LEN(size), SOL_SOCKET, SCM_RIGHTS}};
    char copy[UPLINK_ERROR + 8];
    struct iovec v = {copy, (size_t)snprintf(copy, sizeof(copy), "%s", text)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

    if (count) {
        memcpy(CMSG_DATA(&control.head), queues, size);
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(size);
    }
    if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0)
        exit(1); /* nobody waits for it */
}

static void say_ok(int fd, int header, const int *queues, int count)
{
    char text[32];

    snprintf(text, sizeof(text), "ok %d %d", header, MTU);
    say(fd, text, queues, count);
}

static void ready(int fd) { say_ok(fd, 0, NULL, 0); }

/* Takes "queues=N" out of the words. */
static int take_queues(char **argv, char *error)
{
    char *end = NULL, **to = argv;
    long n = 1;

    for (; *argv; argv++)
        if (strncmp(*argv, "queues=", 7))
            *to++ = *argv;
        else if ((n = strtol(*argv + 7, &end, 10)) < 1 || n > TAP_QUEUES || *end)
            return uplink_fail(error, 0, "'%s': a tap has 1 to %d queues", *argv, TAP_QUEUES);
    *to = NULL;
    return (int)n;
}

static int serve_tap(int fd, char **argv, char *error)
{
    int queues[TAP_QUEUES], n = take_queues(argv, error);

    if (n < 0 || (!argv[0] && uplink_fail(error, 0, "a tap has a name") < 0) ||
        tap_open(argv[0], queues, n, error) < 0 || (argv[1] && tap_bridge(argv[0], argv[1], error) < 0) ||
        tap_up(argv[0], error) < 0)
        return -1;
    say_ok(fd, TAP_HEADER, queues, n);
    return 0;
}

static int serve_netns(int fd, char **argv, char *error)
{
    struct pollfd end = {.fd = fd};
    int queues[TAP_QUEUES], n = take_queues(argv, error);

    if (n >= 0 && !argv[0])
        return uplink_fail(error, 0, "a network of its own needs an address such as 10.9.0.254/24");
    if (n < 0 || tap_check_address(argv[0], error) < 0 || netns_enter(error) < 0 ||
        tap_open(TAP, queues, n, error) < 0 || tap_address(TAP, argv[0], error) < 0 || tap_up(TAP, error) < 0 ||
        tap_up("lo", error) < 0 || (argv[1] && tap_route(argv[1], error) < 0))
        return -1;
    say_ok(fd, TAP_HEADER, queues, n);
    for (int i = 0; i < n; i++)
        close(queues[i]);
    while (poll(&end, 1, -1) <= 0 || !(end.revents & (POLLHUP | POLLERR)))
        ;
    return 0;
}

/* Who started domain 0 may wait for the end of what it prints. */
static void leave_output(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; fd < 3 && null >= 0; fd++)
        dup2(null, fd);
}

int main(int argc, char **argv)
{
    char error[UPLINK_ERROR] = "this is for xenkit itself to run; see src/uplink/main.c";
    int fd = argc > 2 ? atoi(argv[1]) : -1, r = -1;

    if (fd < 3) {
        fprintf(stderr, "xenkit-uplink: %s\n", error);
        return 2;
    }
    leave_output();
    if (strcmp(argv[2], "tap") == 0)
        r = serve_tap(fd, argv + 3, error);
    else if (strcmp(argv[2], "netns") == 0)
        r = serve_netns(fd, argv + 3, error);
    else if (strcmp(argv[2], "slirp") == 0)
        r = slirp_serve(fd, argv + 3, ready, error);
    else
        uplink_fail(error, 0, "there is no way out of the kind '%s'", argv[2]);
    if (r < 0)
        say(fd, error, NULL, 0);
    return r < 0;
}
