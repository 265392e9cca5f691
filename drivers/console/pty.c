/* A pseudo terminal behind a console: makes it, and is a stream over its master. The slave is never kept open here:
 * then one could not see that a user has left, and what nobody reads would fill the terminal's buffer, to meet the next
 * user in place of what was said last. The price is that the master hangs up between users, which would keep epoll
 * busy; so it is taken out, and a slow timer looks for the next one. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <xenkit/handle.h>
#include <xenkit/pty.h>

#include "base/list.h"

#define LOOK_EVERY (XK_SECOND / 4)

struct pty {
    struct xk_stream stream; /* first */
    xk_alloc alloc;
    struct xk_loop *loop;
    int handle;
    int there; /* somebody has the slave open, as far as we have seen */
    struct xk_fd_watch watch;
    struct xk_timer timer;
    struct xk_defer wake;
    struct xk_waiter *readers, *writers;
};

static int failed(void)
{
    return errno == EMFILE || errno == ENFILE  ? XK_EMFILE
           : errno == ENOSPC                   ? XK_ENOSPC
           : errno == EACCES || errno == EPERM ? XK_EACCES
                                               : XK_EIO;
}

/* Raw mode is set through the slave, which hangs the master up when it is closed: from then on nobody is there. */
static int make_raw(const char *path)
{
    struct termios t;
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC), r;

    if (fd < 0)
        return failed();
    r = tcgetattr(fd, &t);
    if (r == 0) {
        cfmakeraw(&t);
        r = tcsetattr(fd, TCSANOW, &t);
    }
    r = r < 0 ? failed() : 0;
    close(fd);
    return r;
}

int xk_pty_open(char *path, size_t size)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), r;

    if (fd < 0)
        return failed();
    if (grantpt(fd) < 0 || unlockpt(fd) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        r = failed();
    else if (ptsname_r(fd, path, size) != 0)
        r = XK_EINVAL;
    else
        r = make_raw(path);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

static int look(struct pty *p)
{
    struct pollfd f = {.fd = p->handle, .events = POLLIN | POLLOUT};

    return poll(&f, 1, 0) < 0 ? 0 : f.revents;
}

/* What was typed before a user left is still to be read. */
static int is_left(int revents) { return (revents & (POLLHUP | POLLIN)) == POLLHUP; }

static void update(struct pty *p)
{
    unsigned want = (p->readers ? XK_READABLE : 0u) | (p->writers ? XK_WRITABLE : 0u);

    if (p->there && want)
        (void)!xk_fd_watch_start(p->loop, &p->watch, p->handle, want);
    else
        xk_fd_watch_stop(p->loop, &p->watch);
    if (p->there || !want)
        xk_timer_stop(p->loop, &p->timer);
    else if (!p->timer.slot)
        (void)!xk_timer_start(p->loop, &p->timer, xk_now(xk_loop_platform(p->loop)) + LOOK_EVERY);
}

static void changed(struct pty *p, int there)
{
    if (p->there == there)
        return;
    p->there = there;
    xk_defer_start(p->loop, &p->wake);
    update(p);
}

/* One waiter at a time: after its call the stream may be gone. */
static void wake_one(struct pty *p, struct xk_waiter *w)
{
    xk_waiter_cancel(w);
    update(p);
    w->fn(w);
}

static void on_wake(struct xk_defer *d)
{
    struct pty *p = XK_CONTAINER(d, struct pty, wake);
    struct xk_waiter *w = p->readers ? p->readers : p->writers;

    if (!w)
        return;
    if (p->readers && p->writers)
        xk_defer_start(p->loop, &p->wake);
    wake_one(p, w);
}

static void on_ready(struct xk_fd_watch *watch, unsigned events)
{
    struct pty *p = XK_CONTAINER(watch, struct pty, watch);
    int revents = look(p);

    (void)events;
    if (is_left(revents))
        changed(p, 0);
    else if (revents & POLLIN && p->readers)
        wake_one(p, p->readers);
    else if (revents & POLLOUT && p->writers)
        wake_one(p, p->writers);
    else
        update(p);
}

static void on_timer(struct xk_timer *t)
{
    struct pty *p = XK_CONTAINER(t, struct pty, timer);

    if (look(p) & POLLHUP)
        update(p);
    else
        changed(p, 1);
}

static int pty_read(struct xk_stream *s, void *buf, size_t n)
{
    struct pty *p = (struct pty *)s;
    ssize_t r = p->there ? read(p->handle, buf, n) : -1;

    if (r > 0)
        return (int)r;
    if (p->there && (r == 0 || (errno != EAGAIN && errno != EINTR)))
        changed(p, 0); /* EIO: the last user has left */
    return XK_EAGAIN;
}

static int pty_write(struct xk_stream *s, const void *buf, size_t n)
{
    struct pty *p = (struct pty *)s;
    ssize_t r = p->there ? write(p->handle, buf, n) : -1;

    return r > 0 ? (int)r : XK_EAGAIN;
}

static void pty_arm(struct xk_stream *s, unsigned events, struct xk_waiter *w)
{
    struct pty *p = (struct pty *)s;

    xk_waiter_arm(events & XK_READABLE ? &p->readers : &p->writers, w);
    update(p);
}

static int pty_shutdown(struct xk_stream *s)
{
    (void)s;
    return XK_ENOSYS;
}

static void pty_close(struct xk_stream *s)
{
    struct pty *p = (struct pty *)s;
    xk_alloc alloc = p->alloc;

    while (p->readers)
        xk_waiter_cancel(p->readers);
    while (p->writers)
        xk_waiter_cancel(p->writers);
    xk_fd_watch_stop(p->loop, &p->watch);
    xk_timer_stop(p->loop, &p->timer);
    xk_defer_stop(p->loop, &p->wake);
    xk_handle_close(p->handle);
    xk_free(&alloc, p, sizeof(*p));
}

static const struct xk_stream_ops pty_ops = {
    XK_STREAM_VERSION, pty_read, pty_write, pty_arm, pty_shutdown, pty_close,
};

int xk_pty_stream(const xk_alloc *alloc, struct xk_loop *loop, int handle, struct xk_stream **out)
{
    struct pty *p = handle < 0 ? NULL : xk_new(alloc, sizeof(*p));

    if (!p) {
        xk_handle_close(handle);
        return handle < 0 ? XK_EBADF : XK_ENOMEM;
    }
    p->stream.ops = &pty_ops;
    p->alloc = alloc ? *alloc : *xk_alloc_libc();
    p->loop = loop;
    p->handle = handle;
    p->watch.fn = on_ready;
    p->timer.fn = on_timer;
    p->wake.fn = on_wake;
    *out = &p->stream;
    return 0;
}

int xk_pty_attached(struct xk_stream *s)
{
    struct pty *p = (struct pty *)s;
    int revents;

    if (s->ops != &pty_ops)
        return 1;
    revents = look(p);
    if (p->there && is_left(revents))
        changed(p, 0);
    else if (!p->there && !(revents & POLLHUP))
        changed(p, 1);
    return p->there;
}
