/* xenkit/store_server.h - the xenstore server as an engine: bytes in, bytes out.
 *
 * A server holds the tree, the watches, the transactions, the permissions and the quotas of xenstore. It makes no
 * system call and knows no transport: whoever owns a ring page or a socket opens a connection here, feeds it what came
 * in and sends what it has ready. The semantics are those of Xen's docs/misc/xenstore.txt and, where that is silent,
 * of C xenstored. Differences, all within the protocol: children are listed sorted; blind writes of transactions merge
 * (xenstored answers EAGAIN); a watch whose events were dropped fires later; the size of a node is that of its value
 * and permissions, its children do not count; numbers in requests are parsed strictly.
 *
 * Life: server create -> connections open -> ... -> connections close -> server destroy. Destroying a server closes
 * what is still open. Nothing blocks. One server and all its connections are for one thread at a time.
 *
 * Callbacks run inside the calls below. From `introduce` and `release` it is allowed to open connections and to close
 * those of the domain in question; from `wakeup` any call except destroying the server. From the others: none.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_STORE_SERVER_H
#define XENKIT_STORE_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>
#include <xenkit/store_wire.h>

XK_API_BEGIN

struct xk_store_server;
struct xk_store_conn;

enum { XK_STORE_SERVER_OPS_VERSION = 3 };

/* What the engine needs from outside. Any pointer may be NULL: the default stands in brackets. The table grows at its
 * end, with the version. It must outlive the server. Errors are XK_E... and reach the client as error reply. */
struct xk_store_server_ops {
    unsigned version; /* XK_STORE_SERVER_OPS_VERSION */

    /* Nanoseconds, monotonic [always 0]. Only seeds the balancing of the tree at creation. */
    uint64_t (*now)(void *arg);

    /* INTRODUCE: connect to the ring of (domid). Called again for a domain that is introduced already: connect anew;
     * its connections were reset by then (watches, transactions, buffered bytes) but stay open [0]. */
    int (*introduce)(void *arg, unsigned domid, int64_t gfn, uint32_t port);

    /* The domain was released or died: close its connections [its connections stay open, without rights to nodes]. */
    void (*release)(void *arg, unsigned domid);

    /* RESUME: the domain runs again [0]. */
    int (*resume)(void *arg, unsigned domid);

    /* Does a domain of this id exist? Permission entries for others are kept but have no effect [yes]. */
    int (*domain_exists)(void *arg, unsigned domid);

    /* The connection has output. Called once until the output was drained by xk_store_conn_sent [nobody is told]. */
    void (*wakeup)(void *arg, struct xk_store_conn *conn);

    /* A line of text from CONTROL print; not NUL-terminated [dropped]. */
    void (*log)(void *arg, const char *text, size_t n);

    /* CONTROL live-update: a new process is to take over. It may begin once this call is over [XK_ENOSYS]. */
    int (*update)(void *arg);

    /* For the operations of xk_store_server_hooks: may (domid) do this? (payload) is what it sent. 0, or the error that
     * it gets; it was not carried out then [yes]. Called after it: (err) is how it ended [nothing]. */
    int (*permit)(void *arg, unsigned domid, uint32_t type, const char *payload, size_t n);
    void (*audit)(void *arg, unsigned domid, uint32_t type, const char *payload, size_t n, int err);

    /* CONTROL with a word that the engine does not know: (words) as sent, the answer goes to (out). How long it is, or
     * an error [XK_EINVAL]. */
    long (*control)(void *arg, const char *words, size_t n, char *out, size_t room);

    /* There is work that no answer waits for: call xk_store_server_tidy when what is ready was sent. Not from within
     * this call [it is done before the answer; so it is without this hook]. Since version 3. */
    void (*later)(void *arg);
};

/* Quotas, by upstream's names where it has one; 0 disables the check. They bind unprivileged connections only. */
struct xk_store_limits {
    uint32_t nodes;            /* owned by a domain: 1000 */
    uint32_t watches;          /* of a domain: 128 */
    uint32_t transactions;     /* open, of a domain: 10 */
    uint32_t outstanding;      /* replies that were not fetched yet, of a connection: 20 */
    uint32_t tx_nodes;         /* that one transaction touches: 1024 */
    uint32_t node_size;        /* value and permissions (4 bytes each) of a node: 2048 */
    uint32_t node_permissions; /* entries of a node: 5 */
    uint32_t path_max;         /* bytes of a path, "/local/domain/<domid>/" not counted: 2048 */
    uint32_t watch_events;     /* queued on a connection: 1024 */
    uint32_t memory;           /* bytes held for a domain, all of it: 2560 KiB */
    uint32_t memory_soft;      /* from here on there is a word in the log: 2048 KiB */
    uint32_t features;         /* XK_STORE_FEATURE_... that guests are offered: all */
};

/* xk_store_limits_default (l) - the figures above. */
void xk_store_limits_default(struct xk_store_limits *l);

/* xk_store_server_create (alloc, ops, arg, limits) - a server with "/", "/tool/xenstored" and the special nodes
 * "@introduceDomain" and "@releaseDomain", all "n0". (limits) NULL takes the default and is copied otherwise. NULL when
 * memory is short or (ops) is of an unknown version; (ops) itself may be NULL. */
struct xk_store_server *xk_store_server_create(const xk_alloc *alloc, const struct xk_store_server_ops *ops, void *arg,
                                               const struct xk_store_limits *limits);

/* xk_store_server_destroy (s) - closes every connection (without callbacks) and frees all. NULL is allowed. */
void xk_store_server_destroy(struct xk_store_server *s);

/* xk_store_server_tidy (s) - does what was put off (ops->later): frees what transactions held that have ended, and
 * removes what others were told is removed. Costs as much as there is of that; without any it returns at once. Not from
 * within a callback. */
void xk_store_server_tidy(struct xk_store_server *s);

/* --- connections ------------------------------------------------------------------------------------------------- */

/* xk_store_conn_open (s, domid, privileged, cookie) - a connection that speaks for (domid). A privileged one passes
 * every permission check and quota and may use the operations of the control domain. Relative paths are taken from
 * /local/domain/<domid>. NULL when memory is short or (domid) is above 65535. */
struct xk_store_conn *xk_store_conn_open(struct xk_store_server *s, unsigned domid, int privileged, void *cookie);

/* xk_store_conn_close (c) - drops its watches, transactions and unsent output. NULL is allowed. */
void xk_store_conn_close(struct xk_store_conn *c);

/* xk_store_conn_reset (c) - as if closed and opened anew: ring reconnection (xenstore-ring.txt). */
void xk_store_conn_reset(struct xk_store_conn *c);

void *xk_store_conn_cookie(const struct xk_store_conn *c);
unsigned xk_store_conn_domid(const struct xk_store_conn *c);

/* xk_store_conn_input (c, bytes, n) - the next (n) bytes of the request stream, cut anywhere. Complete packets are
 * executed at once; one that lies whole in (bytes) is executed in place, nothing is copied. Returns how many bytes were
 * consumed. Fewer than (n) is back-pressure: the client does not fetch its replies. Offer the rest again after
 * xk_store_conn_sent. XK_EPROTO: the client announced more than XK_STORE_PAYLOAD_MAX bytes; close the connection.
 * XK_ECLOSED: a callback closed (c) while its request ran; (c) is gone. */
XK_MUSTCHECK long xk_store_conn_input(struct xk_store_conn *c, const void *bytes, size_t n);

/* xk_store_conn_blocked (c) - 1 while input would consume nothing, because output must be fetched first or because the
 * domain has made too many changes beside others' transactions; or 0. xk_store_conn_wait (c) - the nanoseconds after
 * which the latter is over; offer the rest of the input then. 0: it is not that. */
int xk_store_conn_blocked(const struct xk_store_conn *c);
uint64_t xk_store_conn_wait(const struct xk_store_conn *c);

/* xk_store_conn_output (c, p) - all bytes that are ready to be sent, in one piece at (p); 0 if none. The pointer ends
 * with the next call that is not xk_store_conn_output. */
size_t xk_store_conn_output(struct xk_store_conn *c, const uint8_t **p);

/* xk_store_conn_whole (c, room) - how many bytes of the output, at most (room), end where a packet ends.
 * xk_store_conn_halfway (c) - 1 while it has the beginning of a request. */
size_t xk_store_conn_whole(const struct xk_store_conn *c, size_t room);
int xk_store_conn_halfway(const struct xk_store_conn *c);

/* xk_store_conn_sent (c, n) - the first (n) of these bytes were sent. */
void xk_store_conn_sent(struct xk_store_conn *c, size_t n);

/* xk_store_conn_expire (c, now, limit) - a guest that has not taken any of its output for (limit) nanoseconds while
 * events wait: these are forgotten, and what they told fires again once there is somebody to hear it. The rest of a
 * packet that was begun stays, and so do replies. To be called now and then. */
void xk_store_conn_expire(struct xk_store_conn *c, uint64_t now, uint64_t limit);

/* --- policy ------------------------------------------------------------------------------------------------------ */

/* xk_store_server_hooks (s, permit, audit) - for which operations `permit` and `audit` are called: one bit each, by
 * number. Not for CONTROL, so that a policy that refuses all can be taken back. None at first.
 * xk_store_server_quota (s, domid, name, value) - sets a quota of one domain, also before it is introduced. XK_EINVAL:
 * no such quota; XK_ENOMEM. */
void xk_store_server_hooks(struct xk_store_server *s, uint32_t permit, uint32_t audit);
XK_MUSTCHECK int xk_store_server_quota(struct xk_store_server *s, unsigned domid, const char *name, uint32_t value);

/* --- domains ----------------------------------------------------------------------------------------------------- */

/* xk_store_domain_died (s, domid) - the domain is gone for good: what it owns is removed from the tree (watches fire),
 * its permission entries too, the `release` callback is called if it was introduced, and @releaseDomain fires. A new
 * domain of the same id inherits nothing. XK_ENOENT if the server never heard of it; XK_ENOMEM: nothing happened, call
 * again; XK_EINVAL for domain 0. */
XK_MUSTCHECK int xk_store_domain_died(struct xk_store_server *s, unsigned domid);

/* xk_store_domain_shutdown (s, domid) - an introduced domain shut down or crashed but still exists: fires
 * @releaseDomain once, and again only after RESUME. XK_ENOENT, XK_ENOMEM. */
XK_MUSTCHECK int xk_store_domain_shutdown(struct xk_store_server *s, unsigned domid);

/* xk_store_domain_introduce (s, domid) - marks a domain as introduced without a request, for one that the toolstack did
 * not announce (dom0less, hosted). Fires @introduceDomain; the callback is not called. XK_EEXIST, XK_EINVAL, XK_ENOMEM.
 */
XK_MUSTCHECK int xk_store_domain_introduce(struct xk_store_server *s, unsigned domid);

/* xk_store_domain_next (s, after) - the first domain with a number above (after) that is introduced, or owns or is
 * named by nodes, or has a connection; -1. */
int xk_store_domain_next(const struct xk_store_server *s, int after);

/* xk_store_domain_features (s, domid) - the feature word for the ring page of (domid). */
uint32_t xk_store_domain_features(const struct xk_store_server *s, unsigned domid);

/* --- figures ----------------------------------------------------------------------------------------------------- */

struct xk_store_stats {
    uint64_t requests[XK_STORE_OP_COUNT]; /* executed, by operation */
    uint64_t errors;                      /* error replies */
    uint64_t bytes_in, bytes_out;         /* of packets */
    uint64_t events_queued, events_merged, events_dropped, events_expired;
    uint64_t commits, conflicts;
    uint64_t journal_batches;
    uint64_t memory;     /* bytes that the server holds */
    uint32_t nodes;      /* in the tree, root and special nodes included */
    uint32_t nodes_held; /* the same, with what transactions keep alive */
    uint32_t watches, transactions, connections, domains;
};

void xk_store_server_stats(const struct xk_store_server *s, struct xk_store_stats *out);

XK_API_END

#endif
