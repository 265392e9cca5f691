/* xenkit/hosted.h - the hosted platform's own door: a domain of a hosted world, by its control socket.
 *
 * Most programs want xk_open (world.h). This is for the domain program, which inherits the socket, and for the world's
 * own parts. Linux only. SPDX-License-Identifier: MIT */
#ifndef XENKIT_HOSTED_H
#define XENKIT_HOSTED_H

#include <xenkit/alloc.h>
#include <xenkit/platform.h>

XK_API_BEGIN

/* xk_hosted_attach (control, alloc, out) - takes part in a hosted world over (control), a socket to its hypervisor that
 * belongs to the platform from now on, even when this fails. Blocks until the domain has been built: the control domain
 * is the one to be patient with. XK_EGONE when the hypervisor went away. */
XK_MUSTCHECK int xk_hosted_attach(int control, const xk_alloc *alloc, struct xk_platform **out);

/* xk_hosted_fd (p) - a descriptor that is readable when xk_wait would not block, for an event loop of the embedder's.
 * XK_ENOSYS on another platform. */
int xk_hosted_fd(struct xk_platform *p);

/* The builder's half, for the control domain of a hosted world; XK_EPERM for others.
 *
 * xk_hosted_create (p, name, program, memory_mib, out) - starts (program), an open descriptor of an executable that
 * stays the caller's, as a new domain. It waits in state BUILDING until xk_hosted_built. (memory_mib) 0: no limit.
 * xk_hosted_create_lasting - the same, for a domain that outlives its process, as the store's: what others granted to
 * it stays at hand. xk_hosted_renew (p, domid, program, memory_mib) - starts another process for such a domain, whose
 * last one has ended (XK_EBUSY before that). It has the number and the peers' grants of the old one; ports, grants and
 * handed descriptors of its own are gone, its peers see their ports unbound. It waits as a new one does.
 * xk_hosted_evtchn_for (p, domid, peer) - an unbound port in (domid) for (peer); returns the port.
 * xk_hosted_hand (p, domid, name, fd) - hands a descriptor to (domid), which takes it with xk_handle_take; the caller
 * keeps its own. XK_EAGAIN when 64 wait already, for a lasting domain 4096.
 * xk_hosted_built (p, domid, store_peer, store_port, console_peer, console_port) - lets it run; a port of -1 means
 * none. */
int xk_hosted_create(struct xk_platform *p, const char *name, int program, unsigned memory_mib, xk_domid *out);
int xk_hosted_create_lasting(struct xk_platform *p, const char *name, int program, unsigned memory_mib, xk_domid *out);
int xk_hosted_renew(struct xk_platform *p, xk_domid domid, int program, unsigned memory_mib);
int xk_hosted_evtchn_for(struct xk_platform *p, xk_domid domid, xk_domid peer);
int xk_hosted_hand(struct xk_platform *p, xk_domid domid, const char *name, int fd);
int xk_hosted_built(struct xk_platform *p, xk_domid domid, xk_domid store_peer, xk_port store_port,
                    xk_domid console_peer, xk_port console_port);

XK_API_END

#endif
