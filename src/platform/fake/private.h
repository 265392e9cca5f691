/* platform/fake/private.h - a world of fake domains. SPDX-License-Identifier: MIT */
#ifndef XK_PLATFORM_FAKE_PRIVATE_H
#define XK_PLATFORM_FAKE_PRIVATE_H

#include <xenkit/fake.h>

#include "base/list.h"

enum { FAKE_VIRQS = 32, FAKE_PORTS_MAX = 4096, FAKE_DOMAINS_MAX = 8192 };

enum fake_port_state { FPORT_FREE, FPORT_UNBOUND, FPORT_BOUND, FPORT_VIRQ };

struct fake_port {
    uint8_t state, pending, masked, virq;
    xk_domid peer;
    xk_port remote;
    xk_time late; /* an event that is on its way, or 0 */
};

struct fake_grant { /* by reference, in the granter */
    uint8_t used, readonly;
    xk_domid peer;
    unsigned mapped;
    uint32_t page; /* in the world's memory */
};

struct fake_share {
    struct xk_list link;
    uint8_t *addr;
    unsigned count;
    xk_gref first;
    int forgotten;
};

struct fake_map {
    struct xk_list link;
    uint8_t *addr;
    unsigned count;
    xk_domid peer;
    xk_gref refs[];
};

struct fake_watch {
    struct xk_list link;
    int handle;
    unsigned events;
    void *cookie;
};

struct fake_domain {
    struct xk_platform base; /* first */
    struct xk_fake *world;
    xk_domid domid;
    uint8_t state, reason, running, closed;
    char name[64];
    struct fake_port *ports;
    int port_count;
    struct fake_grant *grants;
    unsigned grant_count;
    struct xk_list shares, maps, watches;
    struct xk_ring_page store, console;
    int store_port, console_port, store_peer, console_peer;
    xk_time (*run)(void *arg);
    void *run_arg;
    xk_time next_run;
};

struct xk_fake {
    uint64_t random;
    xk_time now;
    int memory; /* a memfd */
    uint32_t pages;
    xk_alloc alloc; /* what xk_fake_alloc gives */
    unsigned block_count;
    unsigned calls[XK_FAKE_FAULTS], fail_at[XK_FAKE_FAULTS];
    unsigned late, spurious, map_max;
    xk_domid dom_exc_handler;
    struct fake_domain *domains[FAKE_DOMAINS_MAX];
    unsigned domain_count;
};

/* 1 when this call of kind (what) is to fail. */
int fake_fails(struct xk_fake *w, enum xk_fake_fault what);
uint64_t fake_random(struct xk_fake *w);
struct fake_domain *fake_find(struct xk_fake *w, int domid);

int fake_page_share(struct xk_platform *p, xk_domid peer, unsigned count, unsigned flags, xk_gref *refs, void **addr);
int fake_page_unshare(struct xk_platform *p, void *addr, unsigned count);
int fake_page_forget(struct xk_platform *p, void *addr, unsigned count);
int fake_page_map(struct xk_platform *p, xk_domid peer, const xk_gref *refs, unsigned count, unsigned flags,
                  int *status, void **addr);
int fake_page_unmap(struct xk_platform *p, void *addr, unsigned count);
int fake_page_copy(struct xk_platform *p, xk_domid peer, struct xk_page_copy *ops, unsigned count, unsigned flags);
int fake_reserved_page(struct fake_domain *d, xk_domid peer, xk_gref ref, void **addr);
void fake_memory_fini(struct fake_domain *d);

int fake_evtchn_alloc(struct xk_platform *p, xk_domid peer);
int fake_evtchn_bind(struct xk_platform *p, xk_domid peer, xk_port remote);
int fake_evtchn_bind_virq(struct xk_platform *p, unsigned virq);
int fake_evtchn_notify(struct xk_platform *p, xk_port port);
int fake_evtchn_pending(struct xk_platform *p);
int fake_evtchn_unmask(struct xk_platform *p, xk_port port);
int fake_evtchn_unbind(struct xk_platform *p, xk_port port);
int fake_evtchn_peer(struct xk_platform *p, xk_port port);
void fake_virq_raise(struct fake_domain *d, unsigned virq);
int fake_has_pending(struct fake_domain *d);
xk_time fake_next_late(struct xk_fake *w);
void fake_deliver_late(struct xk_fake *w);
void fake_evtchn_fini(struct fake_domain *d);

int fake_wait(struct xk_platform *p, xk_time deadline, struct xk_ready *ready, int max);
int fake_watch_add(struct xk_platform *p, int handle, unsigned events, void *cookie);
int fake_watch_mod(struct xk_platform *p, int handle, unsigned events, void *cookie);
int fake_watch_del(struct xk_platform *p, int handle);

int fake_store_page(struct xk_platform *p, struct xk_ring_page *out);
int fake_console_page(struct xk_platform *p, struct xk_ring_page *out);
int fake_handle_take(struct xk_platform *p, char *name, size_t size);
int fake_domain_info(struct xk_platform *p, xk_domid domid, struct xk_domain_info *out);
int fake_domain_next(struct xk_platform *p, xk_domid after, struct xk_domain_info *out);
int fake_domain_control(struct xk_platform *p, xk_domid domid, int verb, int arg);
void fake_domain_release(struct fake_domain *d);

#endif
