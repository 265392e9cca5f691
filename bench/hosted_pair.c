/* SPDX-License-Identifier: MIT */
#include "hosted_pair.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xenkit/hosted.h>
#include <xenkit/hypervisor.h>

union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
};

static int give(int socket, int fd)
{
    union control control = {{0}};
    char byte = 0;
    struct iovec io = {&byte, 1};
    struct msghdr msg = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    return sendmsg(socket, &msg, 0) == 1 ? 0 : -1;
}

static int take(int socket)
{
    union control control;
    char byte;
    struct iovec io = {&byte, 1};
    struct msghdr msg = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    int fd;

    if (recvmsg(socket, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
        return -1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
    return fd;
}

static struct xk_hypervisor *hypervisor;

static void *join_thread(void *out)
{
    *(int *)out = xk_hypervisor_join(hypervisor, "guest"); /* answers once domain 0 has built it */
    return NULL;
}

static int build_next(struct xk_platform *dom0)
{
    for (int i = 0; i < 5000; i++) {
        struct xk_domain_info info;
        for (xk_domid after = 0; xk_domain_next(dom0, after, &info) == 0; after = info.domid)
            if (info.state == XK_DOMAIN_BUILDING)
                return xk_hosted_built(dom0, info.domid, 0, -1, 0, -1);
        usleep(200);
    }
    return -1;
}

int hosted_pair_prepare(struct hosted_pair *p)
{
    for (int i = 0; i < 2; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
            return -1;
        p->parent[i] = pair[0];
        p->side[i] = pair[1];
    }
    return 0;
}

/* The world lives until the parent exits. */
int hosted_pair_attend(struct hosted_pair *p)
{
    struct xk_platform *dom0;
    int control;

    if (xk_hypervisor_start(NULL, NULL, &hypervisor, &control) < 0 || xk_hosted_attach(control, NULL, &dom0) < 0)
        return -1;
    for (int side = 0; side < 2; side++) {
        pthread_t joining;
        int fd = -1, built;
        if (pthread_create(&joining, NULL, join_thread, &fd))
            return -1;
        built = build_next(dom0);
        pthread_join(joining, NULL);
        if (built < 0 || fd < 0 || give(p->parent[side], fd) < 0)
            return -1;
        close(fd);
    }
    return 0;
}

struct xk_platform *hosted_pair_join(const struct hosted_pair *p, int side)
{
    struct xk_platform *platform;
    int fd = take(p->side[side]);

    return fd >= 0 && xk_hosted_attach(fd, NULL, &platform) == 0 ? platform : NULL;
}
