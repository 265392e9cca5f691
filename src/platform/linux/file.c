/* A file over a descriptor that was handed in. Nothing here opens anything: a sandboxed domain gets its descriptors
 * from domain 0. After the hand-over the calls are pread64, pwrite64, preadv, preadv2, pwritev, fdatasync, ftruncate,
 * fallocate, fstatfs, lseek and close, and no others, so that the sandbox may refuse the rest; hence lseek for the size
 * and not fstat.
 *
 * A failed sync is remembered: Linux marks the pages it could not write as clean, so that a second fdatasync would
 * succeed without having written them. From the first failure on every sync fails, until the file is opened anew.
 *
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <xenkit/file.h>

#include "platform/linux/sys.h"

struct handle_file {
    struct xk_file base;
    xk_alloc alloc;
    int fd;
    int sync_err;                                              /* the first sync that failed, or 0 */
    enum { NOWAIT_TRIED, NOWAIT_MEMORY, NOWAIT_NEVER } nowait; /* what is known of reads that do not wait */
};

static int handle_fd(struct xk_file *f) { return ((struct handle_file *)f)->fd; }

/* The span as off_t, or XK_EINVAL: an off_t is signed and a result is an int. */
static int check_span(size_t n, uint64_t at) { return n > INT_MAX || at > INT64_MAX - n ? XK_EINVAL : 0; }

static int handle_read(struct xk_file *f, void *buf, size_t n, uint64_t at)
{
    size_t done = 0;
    int r = check_span(n, at);

    while (r == 0 && done < n) {
        ssize_t got = pread(handle_fd(f), (char *)buf + done, n - done, (off_t)(at + done));

        if (got == 0)
            break;
        if (got > 0)
            done += (size_t)got;
        else if (errno != EINTR)
            r = xk__sys_err(errno);
    }
    return r < 0 ? r : (int)done;
}

static int handle_write(struct xk_file *f, const void *buf, size_t n, uint64_t at)
{
    size_t done = 0;
    int r = check_span(n, at);

    while (r == 0 && done < n) {
        ssize_t put = pwrite(handle_fd(f), (const char *)buf + done, n - done, (off_t)(at + done));

        if (put > 0)
            done += (size_t)put;
        else if (put == 0)
            r = XK_ENOSPC; /* the end of a block device */
        else if (errno != EINTR)
            r = xk__sys_err(errno);
    }
    return r < 0 ? r : (int)n;
}

_Static_assert(sizeof(struct xk_piece) == sizeof(struct iovec) &&
                   offsetof(struct xk_piece, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(struct xk_piece, len) == offsetof(struct iovec, iov_len),
               "a piece is an iovec");

/* The first call takes nearly always all; the rest goes piece by piece. */
static int vectored(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at, int writing)
{
    const struct iovec *iov = (const struct iovec *)v;
    ssize_t first;
    size_t done;

    do
        first = writing ? pwritev(handle_fd(f), iov, (int)n, (off_t)at) : preadv(handle_fd(f), iov, (int)n, (off_t)at);
    while (first < 0 && errno == EINTR);
    if (first < 0)
        return xk__sys_err(errno);
    done = (size_t)first;
    for (; n && (size_t)first >= v->len; v++, n--)
        first -= (ssize_t)v->len;
    for (; n; v++, n--, first = 0) {
        uint8_t *base = (uint8_t *)v->base + first;
        size_t len = v->len - (size_t)first;
        int r = writing ? handle_write(f, base, len, at + done) : handle_read(f, base, len, at + done);

        if (r < 0)
            return r;
        done += (size_t)r;
        if ((size_t)r < len)
            break;
    }
    return (int)done;
}

static int handle_readv(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at)
{
    return at > INT64_MAX - (uint64_t)INT_MAX ? XK_EINVAL : vectored(f, v, n, at, 0);
}

/* A file system that does not know RWF_NOWAIT may wait; one in memory never does. */
static int without_nowait(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at)
{
    struct handle_file *h = (struct handle_file *)f;
    struct statfs st;

    if (h->nowait == NOWAIT_TRIED)
        h->nowait = fstatfs(h->fd, &st) == 0 && st.f_type == TMPFS_MAGIC ? NOWAIT_MEMORY : NOWAIT_NEVER;
    return h->nowait == NOWAIT_MEMORY ? vectored(f, v, n, at, 0) : XK_EAGAIN;
}

static int handle_readv_now(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at)
{
    struct handle_file *h = (struct handle_file *)f;
    ssize_t got;

    if (at > INT64_MAX - (uint64_t)INT_MAX)
        return XK_EINVAL;
    if (h->nowait != NOWAIT_TRIED)
        return without_nowait(f, v, n, at);
    got = preadv2(h->fd, (const struct iovec *)v, (int)n, (off_t)at, RWF_NOWAIT);
    if (got >= 0)
        return (int)got;
    return errno == EOPNOTSUPP || errno == ENOSYS ? without_nowait(f, v, n, at)
           : errno == EINTR                       ? XK_EAGAIN
                                                  : xk__sys_err(errno);
}

static int handle_writev(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at)
{
    return at > INT64_MAX - (uint64_t)INT_MAX ? XK_EINVAL : vectored(f, v, n, at, 1);
}

static int handle_punch(struct xk_file *f, uint64_t at, uint64_t n)
{
    int r;

    if (at > INT64_MAX || n > INT64_MAX - at)
        return XK_EINVAL;
    do
        r = fallocate(handle_fd(f), FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, (off_t)at, (off_t)n);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == EOPNOTSUPP || errno == ENOSYS ? XK_ENOSYS : xk__sys_err(errno);
    return 0;
}

static int handle_sync(struct xk_file *f)
{
    struct handle_file *h = (struct handle_file *)f;
    int r;

    if (h->sync_err)
        return h->sync_err;
    do
        r = fdatasync(h->fd);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        h->sync_err = xk__sys_err(errno);
    return h->sync_err;
}

static int64_t handle_size(struct xk_file *f)
{
    off_t end = lseek(handle_fd(f), 0, SEEK_END); /* of a block device too, where fstat says 0 */

    return end < 0 ? xk__sys_err(errno) : (int64_t)end;
}

static int64_t handle_data(struct xk_file *f, uint64_t at)
{
    off_t next = at > INT64_MAX ? -1 : lseek(handle_fd(f), (off_t)at, SEEK_DATA);

    if (next >= 0)
        return next;
    return at <= INT64_MAX && errno == ENXIO ? handle_size(f) : (int64_t)at; /* nothing follows; or nobody knows */
}

static int handle_truncate(struct xk_file *f, uint64_t size)
{
    int r;

    if (size > INT64_MAX)
        return XK_EINVAL;
    do
        r = ftruncate(handle_fd(f), (off_t)size);
    while (r < 0 && errno == EINTR);
    return r < 0 ? xk__sys_err(errno) : 0;
}

static void handle_close(struct xk_file *f)
{
    struct handle_file *h = (struct handle_file *)f;
    xk_alloc alloc = h->alloc;

    close(h->fd);
    xk_free(&alloc, h, sizeof(*h));
}

static const struct xk_file_ops handle_ops = {
    .version = XK_FILE_VERSION,
    .read = handle_read,
    .write = handle_write,
    .sync = handle_sync,
    .size = handle_size,
    .truncate = handle_truncate,
    .close = handle_close,
    .readv = handle_readv,
    .writev = handle_writev,
    .readv_now = handle_readv_now,
    .punch = handle_punch,
    .handle = handle_fd,
    .data = handle_data,
};

/* Only what has positions and keeps bytes: a pipe or socket would block or lose them. */
static int check_kind(int fd)
{
    struct stat st;

    if (xk__sys_fstat(fd, &st) < 0)
        return xk__sys_err(errno);
    return S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ? 0 : XK_EBADF;
}

int xk_file_from_handle(const xk_alloc *alloc, int handle, struct xk_file **out)
{
    struct handle_file *h;
    int r;

    *out = NULL;
    if (handle < 0)
        return XK_EBADF;
    r = check_kind(handle);
    h = r == 0 ? xk_new(alloc, sizeof(*h)) : NULL;
    if (!h) {
        close(handle);
        return r < 0 ? r : XK_ENOMEM;
    }
    h->base.ops = &handle_ops;
    h->alloc = alloc ? *alloc : *xk_alloc_libc();
    h->fd = handle;
    *out = &h->base;
    return 0;
}
