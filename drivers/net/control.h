/* drivers/net/control.h - a network's third ring, by which a front end asks its back end for settings (xen/io/netif.h,
 * XEN_NETIF_CTRL_...): how what comes is spread over the queues, and which pages stay mapped.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_NET_CONTROL_H
#define XK_DRIVERS_NET_CONTROL_H

#include <xenkit/loop.h>
#include <xenkit/netback.h>
#include <xenkit/nethash.h>
#include <xenkit/ring.h>

enum control_type {
    CONTROL_GET_FLAGS = 1,
    CONTROL_SET_FLAGS,
    CONTROL_SET_KEY,
    CONTROL_GET_MAP_SIZE,
    CONTROL_SET_MAP_SIZE,
    CONTROL_SET_MAP,
    CONTROL_SET_ALGORITHM,
    CONTROL_GET_GREFS_SIZE,
    CONTROL_ADD_GREFS,
    CONTROL_DEL_GREFS
};
enum { CONTROL_OK, CONTROL_NOT_SUPPORTED, CONTROL_WRONG, CONTROL_OVERFLOW };
enum { CONTROL_GREFS = 512 /* in one list, which is a page */, CONTROL_GREF_READONLY = 1 };

struct control_request {
    uint16_t id, type;
    uint32_t data[3];
};
struct control_answer {
    uint16_t id, type;
    uint32_t status, data;
};
struct control_gref { /* of a list */
    uint32_t ref;
    uint16_t flags, status;
};
union control_slot {
    struct control_request request;
    struct control_answer answer;
};
_Static_assert(sizeof(union control_slot) == 16 && sizeof(struct control_gref) == 8, "netif.h");

/* --- back end --- */

struct control_back {
    const xk_alloc *alloc;
    struct xk_loop *loop;
    struct xk_platform *platform;
    xk_domid front;
    struct xk_netback *const *queue;
    unsigned queues;
    struct xk_net_hash hash;
    struct xk_ring_back ring;
    void *page; /* NULL: there is no such ring */
    struct xk_port_watch watch;
    struct xk_defer more;
    void (*broken)(void *arg, int err);
    void *arg;
    uint64_t requests, refused;
    struct control_gref list[CONTROL_GREFS];
};

/* control_back_open (c) - of the ring (ref) with the port (port), the rest of (c) being filled in; a guest that breaks
 * it gets (broken). What xk_page_map and xk_evtchn_bind say, XK_EPEER. control_back_close - also of one that is not
 * open; the queues, which look at its hash, end before it. */
int control_back_open(struct control_back *c, xk_gref ref, xk_port port);
void control_back_close(struct control_back *c);

/* --- front end --- */

struct control_front {
    struct xk_loop *loop;
    struct xk_platform *platform;
    xk_domid back;
    unsigned queues;
    struct xk_net_hash wish; /* algorithm XK_NET_HASH_NONE: none */
    int grefs_wish;          /* (list) is asked for each queue */
    unsigned (*list)(void *arg, unsigned queue, struct control_gref *list, unsigned room);
    void (*broken)(void *arg, int err);
    void *arg;
    struct xk_ring_front ring;
    uint8_t *memory; /* the ring, and a page for what requests point to; NULL: none */
    xk_gref refs[2];
    struct xk_port_watch watch;
    enum control_type asked; /* 0: nothing is under way */
    int restart;             /* when the answer to that has come */
    uint16_t id;
    unsigned at;     /* the queue whose pages are asked for */
    int hash, grefs; /* XK_EAGAIN: not answered yet; 0: done; XK_ENOSYS: the back end cannot; XK_EINVAL: it refused */
    uint32_t mapped; /* pages */
    uint8_t types;
};

/* control_front_create (c) - ring and port, the rest of (c) being filled in. XK_ENOMEM, XK_ENOSPC ...
 * control_front_start - the back end serves, or another one does: the wishes are said, one after the other.
 * control_front_close - also of one that was not made. */
int control_front_create(struct control_front *c);
void control_front_start(struct control_front *c);
void control_front_close(struct control_front *c);

#endif
