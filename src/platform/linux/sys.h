/* platform/linux/sys.h - what the hosted and the xen platform share of Linux: errno to XK_E..., clocks, entropy, and a
 * poller. SPDX-License-Identifier: MIT */
#ifndef XK_PLATFORM_LINUX_SYS_H
#define XK_PLATFORM_LINUX_SYS_H

#include <xenkit/alloc.h>
#include <xenkit/platform.h>

/* The XK_E... code for (e), an errno value; XK_EIO for one that has none. */
int xk__sys_err(int e);

xk_time xk__sys_now(void);
int64_t xk__sys_wallclock(void);
int xk__sys_entropy(void *buf, size_t n);
int xk__sys_cpus(void); /* online; asked once */

/* The tick of xk_tick, by processor time. One a program. */
int xk__sys_tick(xk_time period, void (*fn)(void));

/* fstat by its own system call: glibc's is newfstatat, which the sandbox refuses as it can name a path. */
struct stat;
int xk__sys_fstat(int fd, struct stat *st);

/* A poller over descriptors. Each has an owner's cookie and a kind, so that ports and watches share one epoll. */
struct xk__poll {
    int epfd;
    xk_alloc alloc;
    struct xk__poll_entry {
        void *cookie;
        uint8_t used;
    } * entries; /* by descriptor */
    int count;
};

struct xk__poll_event {
    int fd;
    unsigned events;
    void *cookie;
};

int xk__poll_init(struct xk__poll *p, const xk_alloc *alloc);
void xk__poll_fini(struct xk__poll *p);
int xk__poll_add(struct xk__poll *p, int fd, unsigned events, void *cookie);
int xk__poll_mod(struct xk__poll *p, int fd, unsigned events, void *cookie);
int xk__poll_del(struct xk__poll *p, int fd);

/* Waits until (deadline) by the monotonic clock; fills up to (max). Returns the number, 0 at the deadline or after a
 * signal. */
int xk__poll_wait(struct xk__poll *p, xk_time deadline, struct xk__poll_event *out, int max);

/* Sends and receives one message with up to (nfds) descriptors over a SOCK_SEQPACKET socket. Received descriptors are
 * close-on-exec; a message whose descriptors did not fit is refused whole, with all of them closed.
 * recv: the length, 0 when the peer is gone, XK_EAGAIN, XK_EPROTO; XK_EMFILE when this process had no room for a
 * descriptor: the message is in (buf) then, and consumed. (*nfds) in: room; out: number. */
int xk__fd_send(int sock, const void *buf, size_t n, const int *fds, int nfds);
int xk__fd_recv(int sock, void *buf, size_t n, int *fds, int *nfds, int wait);

enum { XK__FD_MAX = 4 };

#endif
