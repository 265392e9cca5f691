/* xenkit/handle.h - descriptors of the operating system below, where there is one.
 *
 * A domain opens nothing itself: the control domain opens, binds and connects, and hands descriptors over
 * (xk_handle_take). These are the calls for what was handed. None blocks: descriptors are used non-blocking whatever
 * their flags say (sockets), or are files and terminals for which that has no meaning. XK_ENOSYS in a stub domain.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_HANDLE_H
#define XENKIT_HANDLE_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/err.h>

XK_API_BEGIN

enum xk_handle_kind { XK_HANDLE_STREAM = 1, XK_HANDLE_LISTENER, XK_HANDLE_DATAGRAM, XK_HANDLE_FILE, XK_HANDLE_OTHER };

/* xk_handle_kind (h) - what it is; XK_EBADF. */
int xk_handle_kind(int h);

/* xk_handle_read (h, buf, n) - bytes read, 0 at the end, XK_EAGAIN, XK_ECONNRESET, ...
 * xk_handle_peek (h, buf, n) - the same of a socket, and what it returns is still there to be read.
 * xk_handle_write (h, buf, n), xk_handle_writev - bytes taken, XK_EAGAIN, XK_EPIPE (never a signal on a socket). */
int xk_handle_read(int h, void *buf, size_t n);
int xk_handle_peek(int h, void *buf, size_t n);
int xk_handle_write(int h, const void *buf, size_t n);

struct xk_iovec {
    const void *base;
    size_t len;
};
int xk_handle_writev(int h, const struct xk_iovec *v, int count); /* count <= 16 */

/* xk_handle_accept (h) - a new connection's descriptor, which is the caller's; XK_EAGAIN; XK_EMFILE. */
int xk_handle_accept(int h);
int xk_handle_shutdown_write(int h);
void xk_handle_close(int h);

/* xk_handle_receive (h, buf, n, fd) - a packet from a unix socket, with the descriptor that came with it, which is the
 * caller's, in *fd, or -1. Its length, 0 at the end, XK_EAGAIN, XK_EPROTO: it was longer than (n). */
int xk_handle_receive(int h, void *buf, size_t n, int *fd);

/* xk_handle_nodelay (h) - small writes go out at once (TCP); no error elsewhere. */
void xk_handle_nodelay(int h);

/* Datagrams, many a call. (peer) is an opaque address, to be given back for the answer. */
enum { XK_DATAGRAM_BATCH = 64, XK_ADDRESS_MAX = 28 };
struct xk_datagram {
    uint8_t *data;
    size_t len; /* receive: in room, out length; send: length */
    uint8_t peer[XK_ADDRESS_MAX];
    uint32_t peer_len;
    int truncated;
};
int xk_handle_recv_many(int h, struct xk_datagram *d, int count); /* how many, XK_EAGAIN */
int xk_handle_send_many(int h, struct xk_datagram *d, int count); /* how many went, XK_EAGAIN */

/* xk_handle_peer_name (h, buf, size) - "127.0.0.1:4711", "[::1]:53", "unix"; always NUL-terminated. */
void xk_handle_peer_name(int h, char *buf, size_t size);

XK_API_END

#endif
