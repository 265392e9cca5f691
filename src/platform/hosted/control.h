/* platform/hosted/control.h - what a hosted domain and the hosted hypervisor (src/host) say to each other.
 *
 * One SOCK_SEQPACKET socket a domain. The domain asks, the hypervisor answers, in order, one answer a question; it
 * never speaks first. Only set-up passes here: pages and events go from domain to domain. A domain that does not read
 * its answers is ended. SPDX-License-Identifier: MIT */
#ifndef XK_PLATFORM_HOSTED_CONTROL_H
#define XK_PLATFORM_HOSTED_CONTROL_H

#include <stdint.h>

#include <xenkit/platform.h>

enum xk__ctl_op {
    XK__CTL_JOIN = 1,  /* first word of a guest that connected by path: name. -> domid; answered once it is built */
    XK__CTL_START,     /* -> arg[0] domid, name. Answered once the domain is built */
    XK__CTL_WIRING,    /* -> arg[0] store peer, [1] store port, [2] console peer, [3] console port; ports -1: none */
    XK__CTL_ARENA,     /* arg[0] peer, [1] 1: I grant, 0: I map, [2] 1: read-only pages -> one descriptor */
    XK__CTL_ALIVE,     /* arg[0] domid -> 0 or XK_EGONE; arg[1] which of those that had the number */
    XK__CTL_EVT_ALLOC, /* arg[0] peer -> result port, one descriptor */
    XK__CTL_EVT_BIND,  /* arg[0] peer, [1] its port -> result port, one descriptor */
    XK__CTL_EVT_VIRQ,  /* arg[0] virq -> result port, one descriptor */
    XK__CTL_EVT_CLOSE, /* arg[0] port */
    XK__CTL_EVT_FETCH, /* arg[0] port that was made for this domain, or whose peer closed -> one fresh descriptor */
    XK__CTL_HANDLE,    /* -> name and one descriptor, or XK_EAGAIN */
    XK__CTL_INFO,      /* arg[0] domid -> info */
    XK__CTL_NEXT,      /* arg[0] after -> info */
    XK__CTL_DOMCTL,    /* arg[0] domid, [1] verb, [2] argument */
    /* The control domain only: the builder's half. */
    XK__CTL_CREATE,  /* name, arg[0] memory MiB, arg[1] 1: lasting, descriptor of the program -> domid */
    XK__CTL_EVT_FOR, /* arg[0] domid, [1] peer: an unbound port in (domid) for (peer) -> result port */
    XK__CTL_HAND,    /* arg[0] domid, name, one descriptor */
    XK__CTL_RENEW,   /* arg[0] domid, arg[1] memory MiB, descriptor of the program */
    XK__CTL_BUILT,   /* arg[0] domid, [1] store peer, [2] store port, [3] console peer, [4] console port */
};

struct xk__ctl {
    uint32_t op;
    int32_t result;
    int32_t arg[6];
    union {
        char name[64];
        struct xk_domain_info info;
    } u;
};

/* An arena is one memfd of fixed size: what one domain grants to another. It starts with a table of one word a page,
 * for the read-write pages and for the read-only ones, which lie in a second memfd that the peer can only read. The
 * table's bits are set by the two sides for each other, as the hypervisor does on Xen; a peer that lies in it harms
 * only what it shares itself. */
enum {
    XK__ARENA_PAGES = 4096,                                   /* that can be granted to one peer, of each kind */
    XK__ARENA_TABLE = 2 * XK__ARENA_PAGES * 4 / XK_PAGE_SIZE, /* pages of the table */
    XK__GRANTED = 1,
    XK__MAPPED = 2,
};
#define XK__ARENA_RW_BYTES ((size_t)(XK__ARENA_TABLE + XK__ARENA_PAGES) * XK_PAGE_SIZE)
#define XK__ARENA_RO_BYTES ((size_t)XK__ARENA_PAGES * XK_PAGE_SIZE)

enum { XK__PORTS_MAX = 4096 }; /* event channels of one domain, as Xen's two-level ABI */

#endif
