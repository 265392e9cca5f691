/* xenbus/device.h - one half of a device, as its three files see it: nodes.c reads and writes, front.c and back.c
 * decide, device.c turns the wheel. SPDX-License-Identifier: MIT */
#ifndef XK_XENBUS_DEVICE_H
#define XK_XENBUS_DEVICE_H

#include <xenkit/buf.h>
#include <xenkit/xenbus.h>

/* A node that is read each time something happened. */
struct xk__node_value {
    struct xk_store_call call;
    struct xk_xenbus *device;
    const char *name;
    char *text; /* NULL: it is not there */
    uint8_t peers;
};

enum xk__phase { XK__IDLE, XK__READ_OWN, XK__READ_PEER, XK__WRITE, XK__CLOSING, XK__GONE };

/* What is to happen, as front.c and back.c see it. */
enum xk__step { XK__NOTHING, XK__OFFER, XK__SETUP, XK__CONNECT, XK__CONNECT_AGAIN, XK__CHANGED, XK__CLOSE, XK__SAY };
struct xk__decision {
    enum xk__step step;
    enum xk_xenbus_state next; /* the state that is written after it; UNKNOWN: none */
    int err;                   /* of a CLOSE */
};

/* What writes. It outlives the device until the transaction that it has begun is ended. */
struct xk__xenbus_writer {
    struct xk_store_call call;
    xk_alloc alloc;
    struct xk_store *store;
    struct xk_xenbus *device; /* NULL: it is on its own */
    uint32_t tx;
    unsigned step;
    int busy; /* an answer is awaited */
};

struct xk_xenbus {
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_store *store; /* NULL: suspended */
    const struct xk_xenbus_driver *driver;
    void *arg;
    const char *link_name, *link_id, *peer_link; /* "backend", "backend-id", "frontend", or the other way round */
    struct xk__decision (*decide)(struct xk_xenbus *d);
    enum xk__phase phase;
    enum xk_xenbus_state me, other, next;
    uint8_t dirty, in_use, retired, calling;
    uint8_t freed, suspending; /* as soon as the driver is not being called */
    uint8_t closing;           /* the driver was asked to, and has not said yet that it has */
    uint8_t moved;             /* while it was in use: the link leads to another folder */
    uint8_t up;                /* a front end whose (connect) was called */
    uint8_t news;              /* one of the (wanted) is another than it was */
    uint8_t failures;          /* of the driver, one after the other; */
    xk_time not_before;        /* it is not asked again before */
    int err;
    xk_domid peer;
    char *path, *peer_path; /* (peer_path) NULL: not known yet */
    struct xk_store_watch own_watch, peer_watch;
    char *peer_state; /* what (peer_watch) watches */
    struct xk_store_call own_call, peer_call;
    struct xk_timer again;
    struct xk__node_value *value;
    unsigned values, reading;
    struct xk_buf puts; /* name NUL value NUL ... */
    size_t put_at;      /* how much of it was written */
    struct xk__xenbus_writer *writer;
    int write_err;
    char why[200]; /* of the driver's failure, "": it did not say */
};

/* device.c */
void xk__xenbus_read_done(struct xk_xenbus *d);           /* all values are there */
void xk__xenbus_write_done(struct xk_xenbus *d, int err); /* the state is written, or not */
void xk__xenbus_store_failed(struct xk_xenbus *d, int err);

/* nodes.c. The values begin with state, link, link-id, online; and the other half's state and its link to us. */
enum { XK__V_STATE, XK__V_LINK, XK__V_LINK_ID, XK__V_ONLINE, XK__V_PEER_STATE, XK__V_PEER_LINK, XK__V_FIXED };
int xk__xenbus_nodes_init(struct xk_xenbus *d);
void xk__xenbus_nodes_fini(struct xk_xenbus *d);
void xk__xenbus_read(struct xk_xenbus *d);
void xk__xenbus_write(struct xk_xenbus *d, enum xk_xenbus_state state); /* with what was put; UNKNOWN: only that */

/* front.c, back.c */
struct xk__decision xk__xenbus_front_decides(struct xk_xenbus *d);
struct xk__decision xk__xenbus_back_decides(struct xk_xenbus *d);

#endif
