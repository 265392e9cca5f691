/* platform/hosted/private.h - one hosted domain's hold on its platform. SPDX-License-Identifier: MIT */
#ifndef XK_PLATFORM_HOSTED_PRIVATE_H
#define XK_PLATFORM_HOSTED_PRIVATE_H

#include "base/list.h"
#include "platform/hosted/control.h"
#include "platform/linux/sys.h"

struct hosted_port {
    int fd; /* -1: free */
    uint8_t used, bound, pending, masked, queued;
    xk_port next; /* in the queue of pending ports */
};

struct hosted {
    struct xk_platform base; /* first */
    xk_alloc alloc;
    int control; /* socket to the hypervisor */
    xk_domid domid;
    struct xk__poll poll;
    struct hosted_port *ports;
    int port_count;
    xk_port queue_head, queue_tail; /* of pending, unmasked ports; -1 empty */
    struct xk_list arenas, maps;
    unsigned idle_max; /* arenas that nothing is held of, before they are looked through for dead peers */
    struct xk_ring_page store, console;
};

/* One question and its answer. (fd) in: a descriptor to send or -1; (got) where a received one goes, or NULL. */
int hosted_ask(struct hosted *h, struct xk__ctl *m, int fd, int *got);

/* control.c */
int hosted_ask_simple(struct hosted *h, uint32_t op, int32_t a0, int32_t a1, int32_t a2, int *got);

/* memory.c */
int hosted_page_share(struct xk_platform *p, xk_domid peer, unsigned count, unsigned flags, xk_gref *refs, void **addr);
int hosted_page_unshare(struct xk_platform *p, void *addr, unsigned count);
int hosted_page_forget(struct xk_platform *p, void *addr, unsigned count);
int hosted_page_map(struct xk_platform *p, xk_domid peer, const xk_gref *refs, unsigned count, unsigned flags,
                    int *status, void **addr);
int hosted_page_unmap(struct xk_platform *p, void *addr, unsigned count);
int hosted_page_copy(struct xk_platform *p, xk_domid peer, struct xk_page_copy *ops, unsigned count, unsigned flags);
int hosted_reserved_page(struct hosted *h, xk_domid peer, xk_gref ref, void **addr);
void hosted_memory_fini(struct hosted *h);

/* evtchn.c */
int hosted_evtchn_alloc(struct xk_platform *p, xk_domid peer);
int hosted_evtchn_bind(struct xk_platform *p, xk_domid peer, xk_port remote);
int hosted_evtchn_bind_virq(struct xk_platform *p, unsigned virq);
int hosted_evtchn_notify(struct xk_platform *p, xk_port port);
int hosted_evtchn_pending(struct xk_platform *p);
int hosted_evtchn_unmask(struct xk_platform *p, xk_port port);
int hosted_evtchn_unbind(struct xk_platform *p, xk_port port);
int hosted_evtchn_peer(struct xk_platform *p, xk_port port);
int hosted_evtchn_adopt(struct hosted *h, xk_port port);
void hosted_evtchn_drain(struct hosted *h, xk_port port);
xk_port hosted_evtchn_next(struct hosted *h);
void hosted_evtchn_fini(struct hosted *h);

/* wait.c */
int hosted_wait(struct xk_platform *p, xk_time deadline, struct xk_ready *ready, int max);
int hosted_watch_add(struct xk_platform *p, int handle, unsigned events, void *cookie);
int hosted_watch_mod(struct xk_platform *p, int handle, unsigned events, void *cookie);
int hosted_watch_del(struct xk_platform *p, int handle);
int hosted_poll_ports(struct hosted *h);

/* domain.c */
int hosted_store_page(struct xk_platform *p, struct xk_ring_page *out);
int hosted_console_page(struct xk_platform *p, struct xk_ring_page *out);
int hosted_handle_take(struct xk_platform *p, char *name, size_t size);
int hosted_domain_info(struct xk_platform *p, xk_domid domid, struct xk_domain_info *out);
int hosted_domain_next(struct xk_platform *p, xk_domid after, struct xk_domain_info *out);
int hosted_domain_control(struct xk_platform *p, xk_domid domid, int verb, int arg);

#endif
