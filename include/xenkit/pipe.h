/* xenkit/pipe.h - one direction of a byte stream in shared memory: a power-of-two area, a producer and a consumer
 * index.
 *
 * Consoles, the store's ring and vchan are pairs of these; they differ only in where the indices lie (io/console.h,
 * io/xs_wire.h, io/libxenvchan.h). A writer owns prod and reads cons; a reader the other way round. Pure memory: the
 * caller notifies.
 *
 * Reading has two phases: peek, handle, consume - so that what was not handled is still there after a crash. An index
 * that a correct peer cannot have written gives XK_EPEER, now and for ever.
 *
 * Placed by the caller; nothing is allocated, nothing blocks. One thread an end.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_PIPE_H
#define XENKIT_PIPE_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/err.h>

XK_API_BEGIN

struct xk_pipe {
    volatile uint32_t *prod, *cons;
    volatile uint8_t *data;
    uint32_t size;  /* a power of two */
    uint32_t mine;  /* the index this end owns, privately */
    uint32_t shown; /* what a reader has published of it */
    int broken;
};

/* xk_pipe_init (p, prod, cons, data, size, mine) - an end of a pipe. (mine) is the start value of the index this end
 * owns: what the shared word shows now. XK_EINVAL unless (size) is a power of two of at least 1. */
XK_MUSTCHECK int xk_pipe_init(struct xk_pipe *p, volatile uint32_t *prod, volatile uint32_t *cons, volatile void *data,
                              uint32_t size, uint32_t mine);

/* --- writer --- */

/* xk_pipe_space (w) - how many bytes can be written now; XK_EPEER. */
int xk_pipe_space(struct xk_pipe *w);

/* xk_pipe_write (w, buf, n) - copies up to (n) bytes in and shows them. Returns how many, XK_EAGAIN, XK_EPEER.
 * (n) == 0 gives 0. */
int xk_pipe_write(struct xk_pipe *w, const void *buf, size_t n);

/* xk_pipe_put (w, buf, n) - as xk_pipe_write, but all or nothing: 0, XK_EAGAIN, XK_EPEER, XK_E2BIG when it can never
 * fit. */
int xk_pipe_put(struct xk_pipe *w, const void *buf, size_t n);

/* --- reader --- */

/* xk_pipe_ready (r) - how many bytes can be read now; XK_EPEER. */
int xk_pipe_ready(struct xk_pipe *r);

/* xk_pipe_peek (r, ptr) - the first contiguous piece of what is there, still in shared memory: copy before parsing.
 * Returns its length, XK_EAGAIN, XK_EPEER. */
int xk_pipe_peek(struct xk_pipe *r, const volatile uint8_t **ptr);

/* xk_pipe_consume (r, n) - gives (n) bytes of what xk_pipe_ready told back to the writer. */
void xk_pipe_consume(struct xk_pipe *r, size_t n);

/* xk_pipe_skip (r, n) - as xk_pipe_consume, but the writer does not see it before xk_pipe_publish (r): for a reader who
 * must be able to begin anew after a crash. xk_pipe_unpublished (r) - how many bytes that are. */
void xk_pipe_skip(struct xk_pipe *r, size_t n);
void xk_pipe_publish(struct xk_pipe *r);
uint32_t xk_pipe_unpublished(const struct xk_pipe *r);

/* xk_pipe_read (r, buf, n) - copies up to (n) bytes out and consumes them. Returns how many, XK_EAGAIN, XK_EPEER. */
int xk_pipe_read(struct xk_pipe *r, void *buf, size_t n);

XK_API_END

#endif
