/* xenkit/console.h - the PV console: a ring of 1024 bytes in and 2048 out (xen/io/console.h), either half as a stream.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_CONSOLE_H
#define XENKIT_CONSOLE_H

#include <xenkit/alloc.h>
#include <xenkit/loop.h>
#include <xenkit/stream.h>

XK_API_BEGIN

/* xk_console_front (alloc, loop, out) - the domain's own console: what it writes appears at whoever serves it, what it
 * reads was typed there. XK_ENODEV: it has none. */
XK_MUSTCHECK int xk_console_front(const xk_alloc *alloc, struct xk_loop *loop, struct xk_stream **out);

/* xk_console_back (alloc, loop, domid, port, out) - the console of (domid): maps its reference 0 and binds (port). The
 * stream reads what the domain wrote, and writes what it shall read. Closing gives both back. A domain whose ring makes
 * no sense reads as XK_EPEER. xk_console_back_at: the same for a further console, whose page its domain grants by
 * (ref). */
XK_MUSTCHECK int xk_console_back(const xk_alloc *alloc, struct xk_loop *loop, xk_domid domid, xk_port port,
                                 struct xk_stream **out);
XK_MUSTCHECK int xk_console_back_at(const xk_alloc *alloc, struct xk_loop *loop, xk_domid domid, xk_gref ref,
                                    xk_port port, struct xk_stream **out);

/* xk_console_print (page, data, n) - for early words before there is a loop: copies what fits into the out ring of
 * (page), notifies nobody. Returns how many bytes. */
int xk_console_print(void *page, const void *data, size_t n);

XK_API_END

#endif
