/* xenkit/vchan.h - byte and packet channels between two domains, wire-compatible with libxenvchan.
 *
 * A vchan is two byte pipes in shared memory and an event channel (xen/io/libxenvchan.h). The server allocates all of
 * it and publishes <path>/ring-ref and <path>/event-channel in the store; the client maps what it finds there. This
 * header knows no store: it takes the two numbers. store.h and the Lua modules look them up.
 *
 * A vchan is also an xk_stream, so whatever speaks over streams speaks over it.
 *
 * Results: >= 0 progress; XK_EAGAIN not now; XK_EPIPE (write) or 0 (read) the peer closed in good order; XK_EGONE the
 * peer's domain is gone or it never came; XK_EPEER it broke the protocol: close. Nothing here blocks but
 * xk_vchan_wait and the calls named for it, and those never past their deadline.
 *
 * On Xen no event tells of a domain's death, so who waits looks each second whether the port still has a peer. A
 * process on Linux may often not ask that: then the caller learns it elsewhere, or waits with deadlines.
 *
 * One thread an end. SPDX-License-Identifier: MIT */
#ifndef XENKIT_VCHAN_H
#define XENKIT_VCHAN_H

#include <xenkit/alloc.h>
#include <xenkit/platform.h>
#include <xenkit/stream.h>

XK_API_BEGIN

struct xk_vchan;
struct xk_loop;

/* xk_vchan_listen (alloc, p, peer, left, right, out) - the server's end, for domain (peer). (left) is the least number
 * of bytes that the client can have under way to the server, (right) the other direction; each 0 < n <= 1 MiB, rounded
 * up to what the format has: 1024 and 2048 (one of each fits in the shared page), 2048 beside a larger one, and
 * 4096, 8192 ... 1 MiB.
 * XK_EINVAL, XK_ENOSPC, XK_ENOMEM, XK_EGONE no such domain. */
XK_MUSTCHECK int xk_vchan_listen(const xk_alloc *alloc, struct xk_platform *p, xk_domid peer, size_t left, size_t right,
                                 struct xk_vchan **out);

/* What the server publishes: the reference of the shared page, and the port to bind to. */
xk_gref xk_vchan_ring_ref(const struct xk_vchan *v);
xk_port xk_vchan_event_channel(const struct xk_vchan *v);

/* xk_vchan_connect (alloc, p, peer, ring_ref, event_channel, out) - the client's end, from what (peer) published.
 * XK_EPEER when the page makes no sense. */
XK_MUSTCHECK int xk_vchan_connect(const xk_alloc *alloc, struct xk_platform *p, xk_domid peer, xk_gref ring_ref,
                                  xk_port event_channel, struct xk_vchan **out);

/* xk_vchan_close (v) - tells the peer and frees. What was written and not read is lost to the peer only if it maps no
 * longer; the server's pages wait in quarantine while the client has them mapped. NULL is fine. */
void xk_vchan_close(struct xk_vchan *v);

/* xk_vchan_set_persist (v, on) - a server's end takes a new client after one has left. Off at first. */
void xk_vchan_set_persist(struct xk_vchan *v, int on);

/* xk_vchan_accept (v) - of a server: 0 once the client has come, XK_EAGAIN before: waiting for reading is for that
 * then. xk_vchan_drain (v) - 0 once the peer has read all that was written; XK_EAGAIN: waiting for writing is for that
 * then; XK_EPIPE, XK_EGONE. Ask before closing: libxenvchan's programs often drop what they find in a ring whose peer
 * left. */
int xk_vchan_accept(struct xk_vchan *v);
int xk_vchan_drain(struct xk_vchan *v);

/* xk_vchan_bound (v) - xk_evtchn_peer of its port: 1, 0, XK_ENOSYS.
 * xk_vchan_set_gone (v) - the caller knows from elsewhere, the store say, that the peer's domain is gone. */
int xk_vchan_bound(struct xk_vchan *v);
void xk_vchan_set_gone(struct xk_vchan *v);

enum xk_vchan_state { XK_VCHAN_WAITING, XK_VCHAN_OPEN, XK_VCHAN_CLOSED, XK_VCHAN_BROKEN };

/* xk_vchan_state (v) - WAITING: a server whose client has not come; CLOSED: the peer has left or is gone. */
enum xk_vchan_state xk_vchan_state(struct xk_vchan *v);

/* xk_vchan_read, xk_vchan_write (v, buf, n) - stream use: some bytes, at once. 0 from read: the peer left and all it
 * sent was read. xk_vchan_recv, xk_vchan_send - packet use: all (n) bytes or XK_EAGAIN; XK_EMSGSIZE when the ring can
 * never hold (n). A packet has no length of its own here: both ends must agree on it. */
int xk_vchan_read(struct xk_vchan *v, void *buf, size_t n);
int xk_vchan_write(struct xk_vchan *v, const void *buf, size_t n);
int xk_vchan_recv(struct xk_vchan *v, void *buf, size_t n);
int xk_vchan_send(struct xk_vchan *v, const void *buf, size_t n);

/* xk_vchan_ready, xk_vchan_space (v) - bytes that can be read or written now; XK_EPEER. */
int xk_vchan_ready(struct xk_vchan *v);
int xk_vchan_space(struct xk_vchan *v);

/* xk_vchan_wait (v, events, deadline) - blocks until reading (XK_READABLE) or writing (XK_WRITABLE) makes sense, or the
 * peer left. What makes sense is what last answered XK_EAGAIN: after recv of 100 bytes, 100 bytes. 0, XK_ETIMEDOUT,
 * XK_EPEER. Spins a little first where that pays. For a program that has no loop: it takes and drops events of other
 * ports of the handle. xk_vchan_read_all, xk_vchan_write_all (v, buf, n, deadline) - loops over both: (n), or fewer
 * when the peer left (read: at its end), XK_ETIMEDOUT, XK_EPIPE, XK_EGONE, XK_EPEER. */
int xk_vchan_wait(struct xk_vchan *v, unsigned events, xk_time deadline);
int xk_vchan_read_all(struct xk_vchan *v, void *buf, size_t n, xk_time deadline);
int xk_vchan_write_all(struct xk_vchan *v, const void *buf, size_t n, xk_time deadline);

/* xk_vchan_attach (v, loop) - from now on events come through (loop), and the stream's waiters are woken.
 * xk_vchan_stream (v) - the stream in it. Closing the stream closes the vchan; do one of the two. */
int xk_vchan_attach(struct xk_vchan *v, struct xk_loop *loop);
struct xk_stream *xk_vchan_stream(struct xk_vchan *v);

/* xk_vchan_of (s) - the vchan that (s) is the stream of, or NULL when it is something else. */
struct xk_vchan *xk_vchan_of(struct xk_stream *s);

struct xk_vchan_stats {
    uint64_t bytes_in, bytes_out, notifies_sent, events, sleeps, spins, spin_hits;
    uint32_t ring_in, ring_out; /* sizes in bytes */
};
void xk_vchan_get_stats(const struct xk_vchan *v, struct xk_vchan_stats *out);

XK_API_END

#endif
