/* xenkit/store.h - a client of xenstore: requests in flight side by side, transactions, watches.
 *
 * A client speaks over a stream: the ring page of its domain, or a unix socket. Every request is a call that the caller
 * places; its function runs once, from within the loop, with the answer. For programs that want to wait in line there
 * are calls that run the loop until the answer is there or a deadline passes.
 *
 * Paths are absolute, or relative to the domain's own home. Values are bytes. Operations and semantics: store_wire.h,
 * Xen's docs/misc/xenstore.txt. One thread. SPDX-License-Identifier: MIT */
#ifndef XENKIT_STORE_H
#define XENKIT_STORE_H

#include <xenkit/buf.h>
#include <xenkit/loop.h>
#include <xenkit/store_wire.h>
#include <xenkit/stream.h>

XK_API_BEGIN

struct xk_store;

/* xk_store_open (alloc, loop, stream, out) - a client over (stream), which belongs to it from now on, even when this
 * fails. xk_store_open_domain (alloc, loop, out) - over the store page of the loop's platform; XK_ENODEV: it has none.
 */
XK_MUSTCHECK int xk_store_open(const xk_alloc *alloc, struct xk_loop *loop, struct xk_stream *stream,
                               struct xk_store **out);
XK_MUSTCHECK int xk_store_open_domain(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store **out);

/* xk_store_one_by_one (s) - a request is sent when the one before it has been answered. Linux's device /dev/xen/xenbus
 * needs that: it keeps a request in the buffer into which the next one is written. */
void xk_store_one_by_one(struct xk_store *s);

/* xk_store_close (s) - all calls in flight end with XK_ECANCELED, watches without a word. NULL is fine. */
void xk_store_close(struct xk_store *s);

/* --- calls ------------------------------------------------------------------------------------------------------- */

struct xk_store_call {
    /* (err) 0, the error the server gave, XK_ECANCELED, or why the connection broke. (data) is valid during the call
     * only. The call may be started again, also from here; the loop may not be run and (s) not be closed from here. */
    void (*fn)(struct xk_store_call *c, int err, const uint8_t *data, size_t n);
    struct xk_store_call *next, **link; /* private */
    uint32_t req_id, type;
};

struct xk_store_piece {
    const void *base;
    size_t len;
};

/* xk_store_call_start (s, c, type, tx, pieces, count) - sends one request whose payload is (pieces) end to end.
 * XK_E2BIG for more than 4096 bytes, XK_EAGAIN when 64 KiB wait to be sent, XK_ENOMEM, or why the connection broke. */
int xk_store_call_start(struct xk_store *s, struct xk_store_call *c, uint32_t type, uint32_t tx,
                        const struct xk_store_piece *pieces, int count);

/* xk_store_call_cancel (s, c) - (fn) will not run; the answer is dropped when it comes. */
void xk_store_call_cancel(struct xk_store *s, struct xk_store_call *c);

/* --- watches ----------------------------------------------------------------------------------------------------- */

struct xk_store_watch {
    void (*fn)(struct xk_store_watch *w, const char *path); /* path as the server gave it, NUL-terminated */
    /* If not NULL, called instead: with what a server of ours tells beside the path (XK_STORE_TOKEN_VALUE).
     * (generation) is "" when there is no value to be had with the event: the node is gone, may not be read, is too
     * long, or the server is another's; then it is to be read. (value) is valid during the call only. */
    void (*value_fn)(struct xk_store_watch *w, const char *path, const char *generation, const void *value, size_t n);
    /* If not NULL, called once when the connection broke: no event will come any more. */
    void (*broken_fn)(struct xk_store_watch *w, int err);
    struct xk_store_watch *next, **link; /* private */
    uint32_t id;
    char token[24];
};

/* xk_store_watch_add (s, w, path, c) - registers (w) at (path); (c) is the call that carries the request, and tells
 * whether it was taken. The server fires it at once, once. (path) is needed again to take it back.
 * xk_store_watch_remove (s, w, path, c) - (w) is not called from now on; (c) may be NULL. */
int xk_store_watch_add(struct xk_store *s, struct xk_store_watch *w, const char *path, struct xk_store_call *c);
void xk_store_watch_remove(struct xk_store *s, struct xk_store_watch *w, const char *path);

/* --- in line ----------------------------------------------------------------------------------------------------- */

/* xk_store_do (s, type, tx, pieces, count, out, deadline) - one request and its answer; (out), if not NULL, is appended
 * to. Runs the loop meanwhile. The server's error, XK_ETIMEDOUT, ... */
int xk_store_do(struct xk_store *s, uint32_t type, uint32_t tx, const struct xk_store_piece *pieces, int count,
                struct xk_buf *out, xk_time deadline);

/* The usual ones. read and list append to (out): the value; the names, each with its NUL. */
int xk_store_read(struct xk_store *s, uint32_t tx, const char *path, struct xk_buf *out, xk_time deadline);
int xk_store_write(struct xk_store *s, uint32_t tx, const char *path, const void *value, size_t n, xk_time deadline);
int xk_store_list(struct xk_store *s, uint32_t tx, const char *path, struct xk_buf *out, xk_time deadline);
int xk_store_rm(struct xk_store *s, uint32_t tx, const char *path, xk_time deadline);
int xk_store_mkdir(struct xk_store *s, uint32_t tx, const char *path, xk_time deadline);

/* list_all - as list, for directories of any size: in parts where the names do not fit into one answer, from the start
 * again when it changes meanwhile. get_perms appends "n0", "r5", ..., each with its NUL; set_perms takes such, (n)
 * bytes. */
int xk_store_list_all(struct xk_store *s, uint32_t tx, const char *path, struct xk_buf *out, xk_time deadline);
int xk_store_get_perms(struct xk_store *s, uint32_t tx, const char *path, struct xk_buf *out, xk_time deadline);
int xk_store_set_perms(struct xk_store *s, uint32_t tx, const char *path, const char *perms, size_t n,
                       xk_time deadline);

int xk_store_begin(struct xk_store *s, uint32_t *tx, xk_time deadline);
/* commit 1: XK_EAGAIN when it conflicts with somebody else's: begin again. */
int xk_store_end(struct xk_store *s, uint32_t tx, int commit, xk_time deadline);

XK_API_END

#endif
