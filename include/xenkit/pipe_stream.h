/* xenkit/pipe_stream.h - two pipes and a port as a stream: a console, or the store's ring, from either side.
 *
 * Each round of the loop that moved bytes notifies the peer once. A peer that has gone reads and writes nothing: the
 * stream then answers XK_EAGAIN, until the peer (or its successor) binds again. SPDX-License-Identifier: MIT */
#ifndef XENKIT_PIPE_STREAM_H
#define XENKIT_PIPE_STREAM_H

#include <xenkit/loop.h>
#include <xenkit/pipe.h>
#include <xenkit/stream.h>

XK_API_BEGIN

/* xk_pipe_stream (alloc, loop, in, out, port, s) - (in), (out) are copied; the memory behind them and (port) stay the
 * caller's and must outlive the stream. */
XK_MUSTCHECK int xk_pipe_stream(const xk_alloc *alloc, struct xk_loop *loop, const struct xk_pipe *in,
                                const struct xk_pipe *out, xk_port port, struct xk_stream **s);

XK_API_END

#endif
