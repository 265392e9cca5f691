/* xenkit/file.h - a file or disk as an ops table: bytes at positions, sizes, and a promise of durability.
 *
 * Calls block for as long as the medium takes. Positions and sizes are in bytes, 0 .. 2^63-1. SPDX-License-Identifier:
 * MIT */
#ifndef XENKIT_FILE_H
#define XENKIT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>
#include <xenkit/err.h>
#include <xenkit/piece.h>

XK_API_BEGIN

struct xk_file {
    const struct xk_file_ops *ops;
};

enum { XK_FILE_VERSION = 2 };
struct xk_file_ops {
    uint32_t version;
    /* Returns how many bytes, less than (n) only at the end of the file; XK_E... */
    int (*read)(struct xk_file *f, void *buf, size_t n, uint64_t at);
    /* All (n) bytes, or XK_ENOSPC, XK_EIO, XK_EROFS. */
    int (*write)(struct xk_file *f, const void *buf, size_t n, uint64_t at);
    /* What was written before is durable when it returns 0. */
    int (*sync)(struct xk_file *f);
    int64_t (*size)(struct xk_file *f);
    int (*truncate)(struct xk_file *f, uint64_t size);
    void (*close)(struct xk_file *f);
    /* What not every file has; NULL allowed.
     * The same as read and write for (n) pieces, one after the other. */
    int (*readv)(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at);
    int (*writev)(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at);
    /* As readv, of what is in memory already: XK_EAGAIN, or fewer bytes, where it would have to wait for a disk. */
    int (*readv_now)(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at);
    /* (n) bytes from (at) on become zeroes, and their room is given back; the size stays. */
    int (*punch)(struct xk_file *f, uint64_t at, uint64_t n);
    /* The operating system's descriptor, which stays the file's. */
    int (*handle)(struct xk_file *f);
    /* The first byte at or after (at) that may be other than zero; the file's size: there is none. */
    int64_t (*data)(struct xk_file *f, uint64_t at);
};

/* xk_file_from_handle (alloc, handle, out) - a file over a descriptor of the operating system below, which belongs to
 * the file from now on, even when this fails. XK_EBADF when it is no regular file, block device or memory file. */
XK_MUSTCHECK int xk_file_from_handle(const xk_alloc *alloc, int handle, struct xk_file **out);

/* xk_file_memory (alloc, max, out) - a file in memory that grows to (max) bytes; sync promises nothing. */
XK_MUSTCHECK int xk_file_memory(const xk_alloc *alloc, uint64_t max, struct xk_file **out);

/* xk_file_ahead (alloc, file, out) - (file), which belongs to it from now on, also when this fails, and which nobody
 * writes meanwhile; small reads come out of some windows of 32 KiB in memory. XK_EROFS for writes. */
XK_MUSTCHECK int xk_file_ahead(const xk_alloc *alloc, struct xk_file *file, struct xk_file **out);

static inline int xk_file_read(struct xk_file *f, void *buf, size_t n, uint64_t at)
{
    return f->ops->read(f, buf, n, at);
}
static inline int xk_file_write(struct xk_file *f, const void *buf, size_t n, uint64_t at)
{
    return f->ops->write(f, buf, n, at);
}
static inline int xk_file_sync(struct xk_file *f) { return f->ops->sync(f); }
static inline int64_t xk_file_size(struct xk_file *f) { return f->ops->size(f); }
static inline int xk_file_truncate(struct xk_file *f, uint64_t size) { return f->ops->truncate(f, size); }

/* xk_file_readv, xk_file_writev (f, v, n, at) - as read and write, for pieces: bytes, or XK_E... At most XK_PIECES_MAX
 * pieces, INT_MAX bytes together. */
enum { XK_PIECES_MAX = 1024 };
int xk_file_readv(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at);
int xk_file_writev(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at);

/* xk_file_readv_now (f, v, n, at) - as xk_file_readv, of what is in memory already. XK_EAGAIN; fewer bytes. */
int xk_file_readv_now(struct xk_file *f, const struct xk_piece *v, unsigned n, uint64_t at);

/* xk_file_punch (f, at, n) - makes a hole. XK_ENOSYS: this file, or what it lies on, cannot. */
static inline int xk_file_punch(struct xk_file *f, uint64_t at, uint64_t n)
{
    return f->ops->punch ? f->ops->punch(f, at, n) : XK_ENOSYS;
}
/* xk_file_handle (f) - its descriptor, or XK_ENOSYS. */
static inline int xk_file_handle(struct xk_file *f) { return f->ops->handle ? f->ops->handle(f) : XK_ENOSYS; }
/* xk_file_data (f, at) - the first byte at or after (at), which is within the file, that may be other than zero; its
 * size: there is none. (at) itself where nobody knows. */
static inline int64_t xk_file_data(struct xk_file *f, uint64_t at)
{
    return f->ops->data ? f->ops->data(f, at) : (int64_t)at;
}

static inline void xk_file_close(struct xk_file *f)
{
    if (f)
        f->ops->close(f);
}

XK_API_END

#endif
