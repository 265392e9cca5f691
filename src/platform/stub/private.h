/* platform/stub/private.h - the one domain of this program. SPDX-License-Identifier: MIT */
#ifndef XK_PLATFORM_STUB_PRIVATE_H
#define XK_PLATFORM_STUB_PRIVATE_H

#include <xenkit/stub.h>

#include "base/list.h"
#include "platform/stub/call.h"

struct stub {
    struct xk_platform base; /* first */
    xk_alloc alloc;
    xk_domid domid;
    struct xk_list shares; /* what was shared and not ended; also what was forgotten while it was mapped */
    struct xk_list maps;
    struct xk_list ports;
};

/* memory.c */
int stub_page_share(struct xk_platform *p, xk_domid peer, unsigned count, unsigned flags, xk_gref *refs, void **addr);
int stub_page_unshare(struct xk_platform *p, void *addr, unsigned count);
int stub_page_forget(struct xk_platform *p, void *addr, unsigned count);
int stub_page_map(struct xk_platform *p, xk_domid peer, const xk_gref *refs, unsigned count, unsigned flags,
                  int *status, void **addr);
int stub_page_unmap(struct xk_platform *p, void *addr, unsigned count);
int stub_page_copy(struct xk_platform *p, xk_domid peer, struct xk_page_copy *ops, unsigned count, unsigned flags);
void stub_memory_fini(struct stub *s);

/* evtchn.c */
int stub_evtchn_alloc(struct xk_platform *p, xk_domid peer);
int stub_evtchn_bind(struct xk_platform *p, xk_domid peer, xk_port remote);
int stub_evtchn_bind_virq(struct xk_platform *p, unsigned virq);
int stub_evtchn_notify(struct xk_platform *p, xk_port port);
int stub_evtchn_pending(struct xk_platform *p);
int stub_evtchn_unmask(struct xk_platform *p, xk_port port);
int stub_evtchn_unbind(struct xk_platform *p, xk_port port);
int stub_evtchn_peer(struct xk_platform *p, xk_port port);
void stub_evtchn_fini(struct stub *s);
int stub_wait(struct xk_platform *p, xk_time deadline, struct xk_ready *ready, int max);

/* domain.c */
int stub_store_page(struct xk_platform *p, struct xk_ring_page *out);
int stub_console_page(struct xk_platform *p, struct xk_ring_page *out);
int stub_store_port(struct xk_platform *p);
int stub_domain_info(struct xk_platform *p, xk_domid domid, struct xk_domain_info *out);
int stub_domain_next(struct xk_platform *p, xk_domid after, struct xk_domain_info *out);
int stub_domain_control(struct xk_platform *p, xk_domid domid, int verb, int arg);
xk_domid stub_domid(struct xk_platform *p);
void stub_resumed(struct stub *s); /* asks the kernel anew what a resume may have changed */

/* tick.c */
int stub_tick(struct xk_platform *p, xk_time period, void (*fn)(void));

#endif
