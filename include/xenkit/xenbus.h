/* xenkit/xenbus.h - the life of a device that two domains share: its nodes, its states, what is negotiated. Once for
 * disks and networks (xen/io/xenbus.h; states as Linux' drivers pass through them).
 *
 * A *device* is one half: a front end, which has a folder such as device/vbd/51712, or a back end, which has one such
 * as backend/vbd/7/51712. It reads what the other half says, calls its *driver* when something is to be done, and
 * writes what the driver says together with its new state, in one transaction. The toolstack makes and removes the
 * folders.
 *
 * Nothing blocks; all calls to a driver come from within the loop. One thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_XENBUS_H
#define XENKIT_XENBUS_H

#include <xenkit/store.h>

XK_API_BEGIN

enum xk_xenbus_state { /* XenbusState */
                       XK_XENBUS_UNKNOWN,
                       XK_XENBUS_INITIALISING,
                       XK_XENBUS_INIT_WAIT,
                       XK_XENBUS_INITIALISED,
                       XK_XENBUS_CONNECTED,
                       XK_XENBUS_CLOSING,
                       XK_XENBUS_CLOSED
};

struct xk_xenbus;

/* Results of a driver's calls: 0, or XK_E...: the device is closed, and says so in its `error` node. */
struct xk_xenbus_driver {
    const char *const *wanted; /* names in the other half's folder that it wants to know, and NULL */
    const char *const *own;    /* names in its own folder, and NULL; may be NULL */
    /* Back end: puts what it offers. */
    int (*offer)(struct xk_xenbus *d, void *arg);
    /* Front end: the back end waits. Makes rings, puts their references and ports. */
    int (*setup)(struct xk_xenbus *d, void *arg);
    /* The other half is ready. Back end: maps, puts what the disk or network is. Front end: takes it in use. (again) 1:
     * it takes the place of one that died. XK_EAGAIN: not now, and nothing is put; asked again when something happens,
     * xk_xenbus_update for one. */
    int (*connect)(struct xk_xenbus *d, void *arg, int again);
    /* Connected, and one of the (wanted) is another. NULL allowed. */
    void (*changed)(struct xk_xenbus *d, void *arg);
    /* What was set up or connected ends, (err) 0: in order, or for a suspend; XK_EGONE: the other half or the folder is
     * gone. The driver calls xk_xenbus_closed when it has given everything back, from here or later. */
    void (*close)(struct xk_xenbus *d, void *arg, int err);
    /* The folder is gone: there is no such device any more. Called once, last; the driver calls xk_xenbus_free. */
    void (*gone)(struct xk_xenbus *d, void *arg);
    /* Front end: it says that it is connected as soon as it is set up, and the back end after it: Linux' netback waits
     * for that. (connect) is called when the back end is. */
    int first;
};

/* xk_xenbus_front, xk_xenbus_back (alloc, loop, store, path, driver, arg, out) - the half whose folder is (path). */
XK_MUSTCHECK int xk_xenbus_front(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store, const char *path,
                                 const struct xk_xenbus_driver *driver, void *arg, struct xk_xenbus **out);
XK_MUSTCHECK int xk_xenbus_back(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store, const char *path,
                                const struct xk_xenbus_driver *driver, void *arg, struct xk_xenbus **out);

/* xk_xenbus_free (d) - forgets the device; its state stays as it is. The driver is not called. */
void xk_xenbus_free(struct xk_xenbus *d);

/* xk_xenbus_retire (d) - closes it in order (a front end that is not wanted any more, a back end that hands over):
 * close, then state Closed. */
void xk_xenbus_retire(struct xk_xenbus *d);

/* xk_xenbus_suspend (d) - for a domain that is about to be saved: what was set up is closed without a word to the other
 * half, and the store client is not used any more; from within a call of the driver: when that returns, and until then
 * the client has to stay. The half's states are UNKNOWN. Again: nothing.
 * xk_xenbus_resume (d, store) - goes on as after a break, with a client that was opened since, when the driver has
 * closed what there was; what was retired stays so. Where the domain was not saved after all, the other half is asked
 * to begin anew. XK_EBUSY: it was not suspended; XK_ENOMEM, XK_E... of the client: it is as before. */
void xk_xenbus_suspend(struct xk_xenbus *d);
XK_MUSTCHECK int xk_xenbus_resume(struct xk_xenbus *d, struct xk_store *store);

/* For a driver, within its calls. get - the value of a (wanted) or (own) name, or NULL: it is not there; valid until
 * the call ends. number - as a decimal, or (otherwise). put - a node of its own folder, NUL-terminated text; XK_ENOMEM,
 * XK_ENOTCONN: suspended. */
const char *xk_xenbus_get(const struct xk_xenbus *d, const char *name);
uint64_t xk_xenbus_number(const struct xk_xenbus *d, const char *name, uint64_t otherwise);
int xk_xenbus_put(struct xk_xenbus *d, const char *name, const char *fmt, ...) XK_PRINTF(3, 4);

/* xk_xenbus_refuse (d, err, fmt) - (err), for a driver's call to return, which the `error` node then explains: what, in
 * which node, and what would be right. At most 200 bytes. */
int xk_xenbus_refuse(struct xk_xenbus *d, int err, const char *fmt, ...) XK_PRINTF(3, 4);

/* xk_xenbus_update (d) - writes what was put outside of a driver's call. A front end looks again when its back end
 * says that it is connected once more: so a new size is told by (put) and update. */
void xk_xenbus_update(struct xk_xenbus *d);

void xk_xenbus_closed(struct xk_xenbus *d);

/* The other half's domain; its folder; ours; the two states as they were read last. */
xk_domid xk_xenbus_peer(const struct xk_xenbus *d);
const char *xk_xenbus_path(const struct xk_xenbus *d);
enum xk_xenbus_state xk_xenbus_state_of(const struct xk_xenbus *d, int peer);
/* Why it was closed last: 0, or the error of a driver's call, of the store, or XK_EGONE. */
int xk_xenbus_error(const struct xk_xenbus *d);

/* --- devices that come ------------------------------------------------------------------------------------------- */

/* xk_xenbus_watch (alloc, store, root, levels, found, arg, out) - calls (found) for each folder (levels) below
 * (root), as "backend/vbd" with 2 or "device/vbd" with 1, that is there, or below which something changes: the caller
 * knows which of them it has. The folder may be gone: a device that is made for it then says so. */
struct xk_xenbus_watch;
XK_MUSTCHECK int xk_xenbus_watch(const xk_alloc *alloc, struct xk_store *store, const char *root, unsigned levels,
                                 void (*found)(void *arg, const char *path), void *arg, struct xk_xenbus_watch **out);
void xk_xenbus_unwatch(struct xk_xenbus_watch *w);

XK_API_END

#endif
