/* A guest that speaks the control protocol by hand, and honest traffic that must go on beside it.
 * SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_HOST_HOSTILE_H
#define XK_TESTS_HOST_HOSTILE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <xenkit/host.h>
#include <xenkit/loop.h>
#include <xenkit/store.h>
#include <xenkit/store_service.h>
#include <xenkit/vchan.h>
#include <xenkit/world.h>

#include "platform/hosted/control.h"
#include "platform/linux/sys.h"
#include "tests/c/tap.h"
#include "tests/c/platform/world.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SLOW = 10 }; /* a sanitizer watches */
#else
enum { SLOW = 1 };
#endif

/* world.h is for both platforms; hostility is hosted. */
static void (*const unused)(struct world *) __attribute__((unused)) = world_open_fake;

static inline int count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    OK(d != NULL);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Fewer or as many as (want), once what others do at the moment is over. */
static inline void fds_settle(int want)
{
    int n = 0;

    for (int i = 0; i < 2000 && (n = count_fds()) > want; i++)
        usleep(1000);
    OK(n <= want);
}

static inline long resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long pages = 0;

    OK(f && fscanf(f, "%*d %ld", &pages) == 1);
    fclose(f);
    return pages * 4;
}

/* --- a guest by hand --- */

static inline void *raw_join_thread(void *arg)
{
    struct world_join *j = arg;

    j->out = (struct xk_platform *)(intptr_t)xk_hypervisor_join(j->hyp, j->name);
    return NULL;
}

/* Builds the next domain that waits. */
static inline xk_domid build_one(struct xk_platform *dom0)
{
    struct xk_domain_info info;

    for (int i = 0; i < 5000; i++, usleep(1000)) {
        xk_domid after = 0;
        while (xk_domain_next(dom0, after, &info) == 0) {
            after = info.domid;
            if (info.state == XK_DOMAIN_BUILDING && xk_hosted_built(dom0, info.domid, 0, -1, 0, -1) == 0)
                return info.domid;
        }
    }
    TAP_FAIL("no domain waits to be built");
}

static inline int raw_guest(struct world *w, xk_domid *domid)
{
    struct world_join j = {w->hyp, "hostile", NULL};
    pthread_t t;

    OK(pthread_create(&t, NULL, raw_join_thread, &j) == 0);
    *domid = build_one(w->dom[0]);
    pthread_join(t, NULL);
    OK((intptr_t)j.out >= 0);
    return (int)(intptr_t)j.out;
}

enum { ENDED = -9999 };

/* One request and its answer; a descriptor of the answer goes to (got), or is closed. */
static inline int ask(int sock, uint32_t op, int32_t a0, int32_t a1, int32_t a2, int *got)
{
    struct xk__ctl m;
    int fd = -1, n = 1, r;

    memset(&m, 0, sizeof(m));
    m.op = op;
    m.arg[0] = a0;
    m.arg[1] = a1;
    m.arg[2] = a2;
    r = xk__fd_send(sock, &m, sizeof(m), NULL, 0);
    if (r < 0)
        return ENDED;
    r = xk__fd_recv(sock, &m, sizeof(m), &fd, &n, 1);
    if (r != (int)sizeof(m))
        return ENDED;
    if (got)
        *got = n > 0 ? fd : -1;
    else if (n > 0)
        close(fd);
    return m.result;
}

static inline int send_fds(int sock, const void *buf, size_t n, int fd, int count)
{
    static union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * 250)];
    } c;
    struct iovec iov = {(void *)(uintptr_t)buf, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c};
    struct cmsghdr *h;

    m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
    h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
    for (int i = 0; i < count; i++)
        memcpy(CMSG_DATA(h) + sizeof(int) * (size_t)i, &fd, sizeof(fd));
    return (int)sendmsg(sock, &m, MSG_NOSIGNAL);
}

/* The hypervisor has ended the guest: after the answers that are left comes the end. */
static inline int ended(int sock)
{
    char buf[512];
    ssize_t n;

    while ((n = recv(sock, buf, sizeof(buf), 0)) > 0)
        ;
    return n == 0 || errno == ECONNRESET;
}

/* --- honest traffic that must go on --- */

struct traffic {
    struct xk_platform *a, *b;
    struct xk_vchan *server, *client;
    pthread_t ta, tb;
    uint64_t moved;
    int stop;
};

static inline void *traffic_write(void *arg)
{
    struct traffic *t = arg;
    char block[4096];

    memset(block, 7, sizeof(block));
    while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
        int r = xk_vchan_write_all(t->client, block, sizeof(block), xk_now(t->b) + 100 * XK_MS);
        if (r < 0 && r != XK_EAGAIN && r != XK_ETIMEDOUT)
            break;
        usleep(200); /* leave the processor to the attack */
    }
    return NULL;
}

static inline void *traffic_read(void *arg)
{
    struct traffic *t = arg;
    char block[4096];

    while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
        int r = xk_vchan_read(t->server, block, sizeof(block));
        if (r > 0)
            __atomic_add_fetch(&t->moved, (uint64_t)r, __ATOMIC_RELAXED);
        else if (r == XK_EAGAIN)
            (void)!xk_vchan_wait(t->server, XK_READABLE, xk_now(t->a) + 50 * XK_MS);
        else
            break;
    }
    return NULL;
}

static inline void traffic_start(struct traffic *t, struct world *w)
{
    memset(t, 0, sizeof(*t));
    t->a = w->dom[1];
    t->b = w->dom[2];
    EQ(xk_vchan_listen(NULL, t->a, xk_platform_domid(t->b), 16384, 16384, &t->server), 0);
    EQ(xk_vchan_connect(NULL, t->b, xk_platform_domid(t->a), xk_vchan_ring_ref(t->server),
                        xk_vchan_event_channel(t->server), &t->client),
       0);
    OK(pthread_create(&t->ta, NULL, traffic_read, t) == 0);
    OK(pthread_create(&t->tb, NULL, traffic_write, t) == 0);
}

/* Something moves within two seconds from now, and domain 0 is answered. */
static inline void goes_on(struct traffic *t, struct world *w)
{
    uint64_t before = __atomic_load_n(&t->moved, __ATOMIC_RELAXED);
    struct xk_domain_info info;

    for (int i = 0; i < 2000 && __atomic_load_n(&t->moved, __ATOMIC_RELAXED) < before + 16384; i++)
        usleep(1000);
    OK(__atomic_load_n(&t->moved, __ATOMIC_RELAXED) > before);
    EQ(xk_domain_info(w->dom[0], 1, &info), 0);
    EQ(info.state, XK_DOMAIN_RUNNING);
}

static inline void traffic_stop(struct traffic *t)
{
    __atomic_store_n(&t->stop, 1, __ATOMIC_RELEASE);
    pthread_join(t->ta, NULL);
    pthread_join(t->tb, NULL);
    xk_vchan_close(t->client);
    xk_vchan_close(t->server);
}

#endif
