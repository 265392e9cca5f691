/* xenkit/socket.h - handed descriptors on a loop: streams, listeners, datagrams.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_SOCKET_H
#define XENKIT_SOCKET_H

#include <xenkit/handle.h>
#include <xenkit/loop.h>
#include <xenkit/stream.h>

XK_API_BEGIN

/* xk_socket_stream (alloc, loop, handle, out) - a stream over a connected descriptor (socket, pipe, terminal), which
 * belongs to it from now on, even when this fails. */
XK_MUSTCHECK int xk_socket_stream(const xk_alloc *alloc, struct xk_loop *loop, int handle, struct xk_stream **out);

/* A source of new connections or datagrams: (fn) is called when there may be some. Placed by the caller; start and stop
 * as for everything on a loop. Of several domains that share one listening descriptor one or more wake up; accept until
 * XK_EAGAIN. The descriptor stays the caller's. */
struct xk_acceptor {
    struct xk_fd_watch watch;
    void (*fn)(struct xk_acceptor *a);
};
int xk_acceptor_start(struct xk_loop *loop, struct xk_acceptor *a, int handle);
void xk_acceptor_stop(struct xk_loop *loop, struct xk_acceptor *a);

XK_API_END

#endif
