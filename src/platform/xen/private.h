/* platform/xen/private.h - one process's hold on Xen through Linux's devices. SPDX-License-Identifier: MIT */
#ifndef XK_PLATFORM_XEN_PRIVATE_H
#define XK_PLATFORM_XEN_PRIVATE_H

#include <xenkit/xen.h>

#include <xencall.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "base/list.h"
#include "platform/linux/sys.h"

enum { XEN_HANDLES = 2048, XEN_PORTS = 4096 };

struct xen {
    struct xk_platform base; /* first */
    xk_alloc alloc;
    xk_domid domid;
    struct xk__poll poll;
    xenevtchn_handle *evtchn;
    xengnttab_handle *gnttab;
    xengntshr_handle *gntshr;
    xencall_handle *call; /* NULL: no privcmd here */
    int store;            /* a descriptor that speaks the store's protocol, or -1 */
    int xsd_kva;          /* in dom0: its store page, for a store here; or -1 */
    int xsd_port;         /* and the port that waits for it */
    struct xk_list shares, maps;
    uint64_t mine[XEN_PORTS / 64]; /* ports of this handle */
    struct {
        char name[64];
        int fd;
    } handles[XEN_HANDLES];
    int handle_count;
};

/* call.c: hypercalls. */
int xen_find_domid(struct xen *x);
int xen_port_bound(struct xen *x, xk_port port); /* 1, 0, XK_E... */
int xen_domain_info(struct xk_platform *p, xk_domid domid, struct xk_domain_info *out);
int xen_domain_next(struct xk_platform *p, xk_domid after, struct xk_domain_info *out);
int xen_domain_control(struct xk_platform *p, xk_domid domid, int verb, int arg);

/* memory.c */
int xen_page_share(struct xk_platform *p, xk_domid peer, unsigned count, unsigned flags, xk_gref *refs, void **addr);
int xen_page_unshare(struct xk_platform *p, void *addr, unsigned count);
int xen_page_map(struct xk_platform *p, xk_domid peer, const xk_gref *refs, unsigned count, unsigned flags, int *status,
                 void **addr);
int xen_page_unmap(struct xk_platform *p, void *addr, unsigned count);
int xen_page_copy(struct xk_platform *p, xk_domid peer, struct xk_page_copy *ops, unsigned count, unsigned flags);
void xen_memory_fini(struct xen *x);

/* evtchn.c */
int xen_evtchn_alloc(struct xk_platform *p, xk_domid peer);
int xen_evtchn_bind(struct xk_platform *p, xk_domid peer, xk_port remote);
int xen_evtchn_bind_virq(struct xk_platform *p, unsigned virq);
int xen_evtchn_notify(struct xk_platform *p, xk_port port);
int xen_evtchn_pending(struct xk_platform *p);
int xen_evtchn_unmask(struct xk_platform *p, xk_port port);
int xen_evtchn_unbind(struct xk_platform *p, xk_port port);
int xen_evtchn_peer(struct xk_platform *p, xk_port port);
int xen_wait(struct xk_platform *p, xk_time deadline, struct xk_ready *ready, int max);

#endif
