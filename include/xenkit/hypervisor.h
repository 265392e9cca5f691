/* xenkit/hypervisor.h - the hosted hypervisor: what Xen is to a Xen host, as a thread of the process that holds domain
 * 0.
 *
 * It makes arenas and event channels for pairs of domains, starts and ends domain processes, and tells who is there. It
 * is not on the data path: once two domains are connected they talk without it. It trusts no domain: each request is
 * checked, it never waits for a domain, and a domain that does not read its answers is ended. Linux only.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_HYPERVISOR_H
#define XENKIT_HYPERVISOR_H

#include <xenkit/alloc.h>
#include <xenkit/platform.h>

XK_API_BEGIN

struct xk_hypervisor;

struct xk_hypervisor_options {
    int listener;         /* a listening SOCK_SEQPACKET unix socket where guests may join, or -1; stays the caller's */
    int stderr_handle;    /* where the standard error of domain processes goes, or -1: nowhere; stays the caller's */
    unsigned max_domains; /* at a time; 0: 4096 */
};

/* xk_hypervisor_start (alloc, options, out, control) - starts the thread. (control) receives domain 0's control socket,
 * for xk_hosted_attach; it is the caller's. (options) may be NULL. */
XK_MUSTCHECK int xk_hypervisor_start(const xk_alloc *alloc, const struct xk_hypervisor_options *options,
                                     struct xk_hypervisor **out, int *control);

/* xk_hypervisor_join (h, name) - a control socket for one more guest in this process, in state BUILDING until domain 0
 * has built it. Returns the descriptor, which is the caller's, for xk_hosted_attach. Any thread may call it. */
XK_MUSTCHECK int xk_hypervisor_join(struct xk_hypervisor *h, const char *name);

/* xk_hypervisor_stop (h) - ends all domain processes, waits for them and for the thread, frees. NULL is fine. */
void xk_hypervisor_stop(struct xk_hypervisor *h);

XK_API_END

#endif
