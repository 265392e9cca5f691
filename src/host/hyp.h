/* host/hyp.h - the hypervisor's own state. All of it belongs to its thread. SPDX-License-Identifier: MIT */
#ifndef XK_HOST_HYP_H
#define XK_HOST_HYP_H

#include <pthread.h>

#include <xenkit/hypervisor.h>

#include "base/list.h"
#include "platform/hosted/control.h"
#include "platform/linux/sys.h"

enum { HYP_VIRQS = 32, HYP_HANDLES = 64, HYP_HANDLES_LASTING = 4096, HYP_DOMID_END = 0x7ff0 };

enum hyp_port_state { PORT_FREE, PORT_UNBOUND, PORT_BOUND, PORT_VIRQ };

struct hyp_port {
    uint8_t state;
    uint8_t virq;
    xk_domid peer;
    xk_port remote;
    int own;   /* this domain's end, while it has not fetched it; -1 */
    int other; /* the peer's end, while nobody has bound it; for a VIRQ our own end to raise it; -1 */
};

struct hyp_arena { /* what a domain grants to (peer) */
    struct xk_list link;
    xk_domid peer;
    struct {
        int fd;                   /* -1 once both sides have it */
        uint8_t fetched;          /* bit 0 granter, bit 1 mapper */
        struct hyp_domain *payer; /* on whose account (fd) is held: granter or peer, so it lives as long as this */
    } half[2];
};

struct hyp_handle {
    struct xk_list link;
    int fd;
    char name[64];
};

struct hyp_domain {
    struct hyp *hyp;
    struct xk_list link; /* of domains to free after this round, or of guests that have not said JOIN */
    xk_domid domid;
    uint8_t state, reason, joined, gone, lasting;
    uint32_t born; /* tells two domains of one number apart; 0 is domain 0 */
    unsigned held; /* descriptors that the hypervisor keeps on its account */
    char name[64];
    int control;
    int pid, pidfd, exit_code;
    uint32_t waiting_op; /* JOIN or START that waits until the domain is built, or 0 */
    int32_t wiring[4];
    struct hyp_port *ports;
    int port_count;
    unsigned ports_used;
    struct xk_list arenas;
    struct xk_list handles;
    int handle_count;
    xk_port virqs[HYP_VIRQS]; /* -1: not bound */
};

struct hyp {
    xk_alloc alloc;
    struct xk__poll poll;
    pthread_t thread;
    int command[2]; /* socket pair: join and stop requests of this process */
    int listener, stderr_handle, devnull;
    unsigned max_domains, domain_count;
    unsigned held, held_max, held_share; /* descriptors kept for guests: now, at most, and for one at most */
    uint32_t births;
    int spare; /* a descriptor to give up when there is no other, so that a connection can be taken and dropped */
    xk_domid next_domid;
    xk_domid dom_exc_handler;
    int stopping;
    struct hyp_domain *domains[HYP_DOMID_END];
    struct xk_list strangers; /* connections that have not said JOIN yet */
    int stranger_count;
    struct xk_list dead; /* to be freed when the round is over */
};

struct hyp_domain *hyp_find(struct hyp *h, int32_t domid);
struct hyp_domain *hyp_peer(struct hyp *h, int32_t domid); /* the same, but not one whose process has ended */

/* Descriptors that wait here for a domain to fetch them are on that domain's account, so that no guest can use up those
 * of this process. may: 0 or XK_EMFILE; domain 0 always may. */
int hyp_may_hold(struct hyp_domain *d, unsigned n);
void hyp_hold(struct hyp_domain *d, int *slot, int fd);
int hyp_take(struct hyp_domain *d, int *slot); /* the descriptor, now the caller's, or -1 */
void hyp_shut(struct hyp_domain *d, int *slot);

/* hyp_domain.c */
struct hyp_domain *hyp_domain_new(struct hyp *h, const char *name, int control);
int hyp_domain_enter(struct hyp *h, struct hyp_domain *d);
int hyp_domain_create(struct hyp_domain *caller, struct xk__ctl *m, int fd);
int hyp_domain_renew(struct hyp_domain *d, int program, int memory_mib);
void hyp_domain_remove(struct hyp_domain *d);
void hyp_domain_hung_up(struct hyp_domain *d);
void hyp_domain_free(struct hyp_domain *d);
void hyp_domain_exited(struct hyp_domain *d);
int hyp_domctl(struct hyp_domain *caller, struct xk__ctl *m);
void hyp_domain_info(struct hyp_domain *d, struct xk_domain_info *out);

/* hyp_evtchn.c */
int hyp_evt_alloc(struct hyp_domain *d, xk_domid peer, int *fd);
int hyp_evt_bind(struct hyp_domain *d, xk_domid peer, xk_port remote, int *fd);
int hyp_evt_virq(struct hyp_domain *d, unsigned virq, int *fd);
int hyp_evt_fetch(struct hyp_domain *d, xk_port port, int *fd);
int hyp_evt_close(struct hyp_domain *d, xk_port port);
void hyp_evt_fini(struct hyp_domain *d);
void hyp_virq_raise(struct hyp_domain *d, unsigned virq);

/* hyp_memory.c */
int hyp_arena(struct hyp_domain *d, xk_domid peer, int granter, int kind, int *fd);
int hyp_arena_grant(struct hyp_domain *d, xk_domid peer, xk_gref ref);
void hyp_arena_fini(struct hyp_domain *d);
void hyp_arena_renew(struct hyp_domain *d); /* what others granted to it can be fetched and mapped again */

/* hyp_request.c: one message of one domain. Ends the domain when it misbehaves. */
void hyp_request(struct hyp_domain *d);
void hyp_built(struct hyp_domain *d);

#endif
