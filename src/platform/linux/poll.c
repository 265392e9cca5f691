/* The poller: one epoll, level-triggered, a table of cookies by descriptor. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "platform/linux/sys.h"

enum { BATCH = 64, TABLE_FIRST = 64 };

int xk__poll_init(struct xk__poll *p, const xk_alloc *alloc)
{
    memset(p, 0, sizeof(*p));
    p->alloc = *alloc;
    prctl(PR_SET_TIMERSLACK, 1); /* of this thread: sleeps are not prolonged by 50 us, in which an answer may come */
    p->epfd = epoll_create1(EPOLL_CLOEXEC);
    return p->epfd < 0 ? xk__sys_err(errno) : 0;
}

void xk__poll_fini(struct xk__poll *p)
{
    if (p->epfd >= 0)
        close(p->epfd);
    xk_free(&p->alloc, p->entries, (size_t)p->count * sizeof(*p->entries));
    p->entries = NULL;
    p->count = 0;
    p->epfd = -1;
}

static int make_room(struct xk__poll *p, int fd)
{
    int count = p->count ? p->count : TABLE_FIRST;
    void *entries;

    if (fd < p->count)
        return 0;
    while (count <= fd)
        count *= 2;
    entries =
        xk_resize(&p->alloc, p->entries, (size_t)p->count * sizeof(*p->entries), (size_t)count * sizeof(*p->entries));
    if (!entries)
        return XK_ENOMEM;
    p->entries = entries;
    memset(p->entries + p->count, 0, (size_t)(count - p->count) * sizeof(*p->entries));
    p->count = count;
    return 0;
}

static int control(struct xk__poll *p, int op, int fd, unsigned events)
{
    struct epoll_event e = {
        .events = (events & XK_READABLE ? EPOLLIN | (events & XK_EXCLUSIVE ? EPOLLEXCLUSIVE : EPOLLRDHUP) : 0u) |
                  (events & XK_WRITABLE ? EPOLLOUT : 0u),
        .data.fd = fd};

    return epoll_ctl(p->epfd, op, fd, &e) < 0 ? xk__sys_err(errno) : 0;
}

int xk__poll_add(struct xk__poll *p, int fd, unsigned events, void *cookie)
{
    int r = make_room(p, fd);

    if (r < 0)
        return r;
    r = control(p, EPOLL_CTL_ADD, fd, events);
    if (r < 0)
        return r;
    p->entries[fd].cookie = cookie;
    p->entries[fd].used = 1;
    return 0;
}

int xk__poll_mod(struct xk__poll *p, int fd, unsigned events, void *cookie)
{
    if (fd >= p->count || !p->entries[fd].used)
        return XK_ENOENT;
    p->entries[fd].cookie = cookie;
    return control(p, EPOLL_CTL_MOD, fd, events);
}

int xk__poll_del(struct xk__poll *p, int fd)
{
    if (fd >= p->count || !p->entries[fd].used)
        return XK_ENOENT;
    p->entries[fd].used = 0;
    epoll_ctl(p->epfd, EPOLL_CTL_DEL, fd, NULL);
    return 0;
}

/* epoll_pwait2 takes nanoseconds (Linux 5.11); where it is missing, milliseconds are rounded up. */
static int wait_until(int epfd, struct epoll_event *e, int max, xk_time deadline)
{
    static int have_pwait2 = 1;
    xk_time left = 0;
    int n;

    if (deadline == XK_NOW)
        return epoll_wait(epfd, e, max, 0);
    if (deadline == XK_FOREVER)
        return epoll_wait(epfd, e, max, -1);
    left = deadline - xk__sys_now();
    if (left <= 0)
        return epoll_wait(epfd, e, max, 0);
    if (have_pwait2) {
        struct timespec t = {.tv_sec = left / XK_SECOND, .tv_nsec = left % XK_SECOND};
        n = (int)syscall(SYS_epoll_pwait2, epfd, e, max, &t, NULL, 0);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        have_pwait2 = 0;
    }
    left = (left + XK_MS - 1) / XK_MS;
    return epoll_wait(epfd, e, max, left > 3600000 ? 3600000 : (int)left);
}

int xk__poll_wait(struct xk__poll *p, xk_time deadline, struct xk__poll_event *out, int max)
{
    struct epoll_event e[BATCH];
    int n, k = 0;

    n = wait_until(p->epfd, e, max < BATCH ? max : BATCH, deadline);
    if (n < 0)
        return errno == EINTR ? 0 : xk__sys_err(errno);
    for (int i = 0; i < n; i++) {
        int fd = e[i].data.fd;
        if (fd >= p->count || !p->entries[fd].used)
            continue;
        out[k].fd = fd;
        out[k].cookie = p->entries[fd].cookie;
        out[k].events = (e[i].events & EPOLLIN ? XK_READABLE : 0u) | (e[i].events & EPOLLOUT ? XK_WRITABLE : 0u) |
                        (e[i].events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) ? XK_HANGUP | XK_READABLE : 0u);
        k++;
    }
    return k;
}
