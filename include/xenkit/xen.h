/* xenkit/xen.h - the xen platform's own door: a process in a Linux domain (dom0 or a guest) on real Xen.
 *
 * It uses the devices of /dev/xen by libxengnttab, libxenevtchn and libxencall. The domain is the whole Linux guest:
 * its number, its store home and its grants are shared with all other processes there. What differs from other
 * platforms, because Linux keeps it from its programs: the end of a share never says XK_EBUSY (Linux itself keeps the
 * pages until the peer lets go), a failed map cannot tell XK_EGONE, and there is no console page.
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_XEN_H
#define XENKIT_XEN_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>
#include <xenkit/platform.h>

XK_API_BEGIN

/* xk_xen_attach (alloc, out) - opens the devices. XK_ENODEV: this Linux does not run on Xen or lacks the modules
 * (xen-evtchn, xen-gntdev, xen-gntalloc); XK_EACCES, XK_EPERM: not root. */
XK_MUSTCHECK int xk_xen_attach(const xk_alloc *alloc, struct xk_platform **out);

/* xk_xen_hand (p, name, fd) - a descriptor for xk_handle_take, as domain 0 of a hosted world hands them. It belongs to
 * (p) until it is taken. XK_EMFILE when 2048 wait. */
int xk_xen_hand(struct xk_platform *p, const char *name, int fd);

/* xk_xen_console_read (p, index, buf, n) - for dom0: what Xen has logged from *index on (0: all it still has), at most
 * (n) bytes; *index becomes where to go on. Returns how many bytes; XK_EPERM: this is not dom0. What Xen has meanwhile
 * overwritten is left out, and *index shows it. XK_VIRQ_CON_RING tells of more. */
enum { XK_VIRQ_CON_RING = 8 };
int xk_xen_console_read(struct xk_platform *p, uint32_t *index, char *buf, size_t n);

XK_API_END

#endif
