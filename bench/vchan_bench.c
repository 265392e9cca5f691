/* xk_vchan between two guests of a hosted world, each a process. The parent is domain 0 and the hypervisor, which is
 * off the data path. SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xenkit/hosted.h>
#include <xenkit/hypervisor.h>
#include <xenkit/vchan.h>

#include "pair.h"

struct end {
    struct xk_platform *platform;
    struct xk_vchan *vchan;
};

static int give(int socket, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
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
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
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

/* Builds both guests. The world lives until the parent exits. */
static int world_attend(struct pair *p)
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
        if (built < 0 || fd < 0 || give(p->socket[side], fd) < 0)
            return -1;
        close(fd);
    }
    return 0;
}

static int await(atomic_int *word)
{
    for (int i = 0; atomic_load(word) < 0 && i < 5000; i++)
        usleep(1000);
    return atomic_load(word);
}

static struct end guest;

static void *vchan_open(struct pair *p, int side)
{
    int fd = take(p->socket[side]);

    if (fd < 0 || xk_hosted_attach(fd, NULL, &guest.platform) < 0)
        return NULL;
    (void)xk_cpus(guest.platform); /* before pair.c pins this side: the platform counts the processors once */
    if (side == 0) {
        atomic_store(&p->word[0], xk_platform_domid(guest.platform));
        if (xk_vchan_listen(NULL, guest.platform, (xk_domid)await(&p->word[1]), p->ring, p->ring, &guest.vchan) < 0)
            return NULL;
        p->word[2] = (int)xk_vchan_ring_ref(guest.vchan);
        atomic_store(&p->word[3], xk_vchan_event_channel(guest.vchan));
        while (atomic_load(&p->word[3]) >= 0) /* the client takes the word back: pair.c counts in it */
            usleep(500);
        return &guest;
    }
    atomic_store(&p->word[1], xk_platform_domid(guest.platform));
    if (await(&p->word[3]) < 0)
        return NULL;
    if (xk_vchan_connect(NULL, guest.platform, (xk_domid)await(&p->word[0]), (xk_gref)atomic_load(&p->word[2]),
                         atomic_load(&p->word[3]), &guest.vchan) < 0)
        return NULL;
    atomic_store(&p->word[3], -1);
    return &guest;
}

static int vchan_send(void *end, const void *buf, size_t n)
{
    return xk_vchan_write_all(((struct end *)end)->vchan, buf, n, XK_FOREVER) == (int)n ? 0 : -1;
}

static int vchan_recv(void *end, void *buf, size_t n)
{
    return xk_vchan_read_all(((struct end *)end)->vchan, buf, n, XK_FOREVER) == (int)n ? 0 : -1;
}

static void vchan_close(void *end)
{
    struct end *e = end;
    struct xk_vchan_stats s;

    xk_vchan_get_stats(e->vchan, &s);
    if (getenv("XK_BENCH_VERBOSE"))
        fprintf(stderr, "notifies %llu events %llu sleeps %llu spins %llu hits %llu\n",
                (unsigned long long)s.notifies_sent, (unsigned long long)s.events, (unsigned long long)s.sleeps,
                (unsigned long long)s.spins, (unsigned long long)s.spin_hits);
    xk_vchan_close(e->vchan);
    xk_platform_close(e->platform);
}

int main(int argc, char **argv)
{
    const struct pair_transport list[] = {{"ours", NULL, world_attend, vchan_open, vchan_send, vchan_recv, vchan_close},
                                          pair_pipe,
                                          pair_unix,
                                          {.name = NULL}};

    return pair_main(argc, argv, list);
}
