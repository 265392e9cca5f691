/* xenkit/aio.h - files that are read, written and synced while the program goes on: Linux' io_uring (io_uring(7)).
 *
 * A ring is restricted for good when it is made: reads, writes and syncs of descriptors that the process has, nothing
 * else, and nothing can be registered with it any more. So a domain makes it before its sandbox closes, which has no
 * io_uring_setup. (Domain 0 cannot make it for another process: since Linux 6.7 the descriptor of a ring does not go
 * over a socket.)
 *
 * An operation is placed by its caller and given away from xk_aio_read ... until its (done) runs, and so are the pieces
 * and their memory. Blocking: nothing but xk_aio_wait and xk_aio_destroy. One thread, the one that made it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_AIO_H
#define XENKIT_AIO_H

#include <xenkit/file.h>
#include <xenkit/loop.h>

XK_API_BEGIN

struct xk_aio;

struct xk_aio_op {
    /* Called once, from within xk_aio_reap, xk_aio_wait. (result): bytes, which may be fewer than were asked for; of a
     * sync 0; XK_E... May begin further operations, this one too. */
    void (*done)(struct xk_aio_op *op, int result);
};

/* xk_aio_create (alloc, entries, out) - a ring for (entries) operations that are under way together, 1 .. 4096.
 * XK_ENOSYS: there is no io_uring here; XK_EACCES: it is not allowed; XK_ENOMEM. */
XK_MUSTCHECK int xk_aio_create(const xk_alloc *alloc, unsigned entries, struct xk_aio **out);

/* xk_aio_destroy (a) - waits for what is under way, whose (done) are called. NULL is allowed. */
void xk_aio_destroy(struct xk_aio *a);

/* xk_aio_read, xk_aio_write (a, op, file, v, n, at), xk_aio_sync (a, op, file) - begun by the next xk_aio_submit.
 * There is no order between operations that are under way together. XK_EAGAIN: so many are under way already;
 * XK_ENOSYS: the file is none of the operating system's. */
XK_MUSTCHECK int xk_aio_read(struct xk_aio *a, struct xk_aio_op *op, struct xk_file *file, const struct xk_piece *v,
                             unsigned n, uint64_t at);
XK_MUSTCHECK int xk_aio_write(struct xk_aio *a, struct xk_aio_op *op, struct xk_file *file, const struct xk_piece *v,
                              unsigned n, uint64_t at);
XK_MUSTCHECK int xk_aio_sync(struct xk_aio *a, struct xk_aio_op *op, struct xk_file *file);

/* xk_aio_submit (a) - one system call for all that was asked for; none when that is nothing. Returns how many could not
 * go, for want of memory in Linux: they go with the next call. */
unsigned xk_aio_submit(struct xk_aio *a);

/* xk_aio_reap (a) - calls (done) of what has ended. How many. No system call when that is none. */
int xk_aio_reap(struct xk_aio *a);

/* xk_aio_wait (a) - submits, waits until something has ended, and reaps. 0: nothing was under way. */
int xk_aio_wait(struct xk_aio *a);

/* xk_aio_handle (a) - a descriptor that becomes readable when something ends after xk_aio_arm; not without that. It
 * stays (a)'s. xk_aio_arm (a) - asks for that, once, and reaps what has ended meanwhile: 1 when there was something. */
int xk_aio_handle(const struct xk_aio *a);
int xk_aio_arm(struct xk_aio *a);

/* xk_aio_woken (a) - the descriptor was readable: it is no more, and what has ended is reaped. How many. */
int xk_aio_woken(struct xk_aio *a);

unsigned xk_aio_under_way(const struct xk_aio *a);

/* Reaps from within a loop. A handle as those of xenkit/loop.h: placed by the caller, zeroed. */
struct xk_aio_watch {
    struct xk_fd_watch fd;
    struct xk_spinner spinner;
    struct xk_aio *aio;
    struct xk_loop *loop;
};
int xk_aio_watch_start(struct xk_loop *loop, struct xk_aio_watch *w, struct xk_aio *a);
void xk_aio_watch_stop(struct xk_aio_watch *w);

XK_API_END

#endif
