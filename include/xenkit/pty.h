/* xenkit/pty.h - a pseudo terminal as the far end of a console: what `xl console` and its like open.
 *
 * Its users come and go, one after another, and between them there is nobody. So the stream over the master is not at
 * its end when a user leaves: it has nothing to read then, takes nothing, and says by xk_pty_attached that nobody is
 * there. Linux tells when a user leaves but not when one comes: it is looked for four times a second, and only while
 * somebody waits for the stream. SPDX-License-Identifier: MIT */
#ifndef XENKIT_PTY_H
#define XENKIT_PTY_H

#include <stddef.h>

#include <xenkit/alloc.h>
#include <xenkit/loop.h>
#include <xenkit/stream.h>

XK_API_BEGIN

/* xk_pty_open (path, size) - a new one, in raw mode, that nobody has open; the slave's name in (path). Returns the
 * master's descriptor, which is the caller's. For who may open: a domain in its sandbox is handed the descriptor. */
int xk_pty_open(char *path, size_t size);

/* xk_pty_stream (alloc, loop, handle, out) - a stream over a master of xk_pty_open, which belongs to it from now on,
 * even when this fails. Waiters are also called when somebody comes or leaves. */
XK_MUSTCHECK int xk_pty_stream(const xk_alloc *alloc, struct xk_loop *loop, int handle, struct xk_stream **out);

/* xk_pty_attached (s) - whether somebody has the slave open. What they typed last can be read before this says 0. A
 * stream that is no pty's: 1. */
int xk_pty_attached(struct xk_stream *s);

XK_API_END

#endif
