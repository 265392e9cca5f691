/* xenkit/world.h - the front door: a world to be in.
 *
 * xk_open(NULL, ...) gives a program a private world with nothing to install or start: a hypervisor and a store run as
 * threads of this process. xk_open("/path/to/world", ...) joins a running one as a guest domain. Both give a platform
 * handle; everything else in libxenkit stands on that. On real Xen, xk_open("xen:", ...) is the Linux domain that the
 * program runs in (xen.h). SPDX-License-Identifier: MIT */
#ifndef XENKIT_WORLD_H
#define XENKIT_WORLD_H

#include <xenkit/alloc.h>
#include <xenkit/platform.h>

XK_API_BEGIN

/* xk_open (world, name, out) - a domain called (name), at most 63 bytes, in (world): NULL for a private one, else the
 * directory of a running world (`xenkit info --json` tells it) or its join socket. Blocks until domain 0 of that world
 * has built the domain. XK_ENOENT no such world, XK_ECONNREFUSED nobody runs it, XK_EACCES. "xen:", or NULL while the
 * environment has XENKIT_PLATFORM=xen: as xk_xen_attach, and (name) is not used.
 *
 * In a private world the store trusts its members: they may write anywhere. Timers of the calling thread are exact from
 * then on (PR_SET_TIMERSLACK of prctl(2)): Linux would prolong its sleeps by 50 us. */
XK_MUSTCHECK int xk_open(const char *world, const char *name, struct xk_platform **out);

/* xk_open_peer (p, name, out) - one more domain in the private world of (p), which a call of xk_open(NULL) made. It may
 * be used from another thread. XK_ENOSYS when (p) is in no private world. */
XK_MUSTCHECK int xk_open_peer(struct xk_platform *p, const char *name, struct xk_platform **out);

/* A private world ends when the last of its handles is closed with xk_platform_close. */

XK_API_END

#endif
