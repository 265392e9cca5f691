/* store/server.h - what the parts of the store server share: the server, its connections, domains, watches and
 * transactions, and the request that is being answered.
 *
 * A change goes through three steps, so that it happens whole or not at all: plan (checks; collects matching watches,
 * account entries and log entries, and reserves memory for all of them), change the tree (which is atomic by itself),
 * and done (delivers the events and books the accounts; cannot fail). SPDX-License-Identifier: MIT */
#ifndef XK_STORE_SERVER_PRIVATE_H
#define XK_STORE_SERVER_PRIVATE_H

#include <xenkit/buf.h>
#include <xenkit/err.h>
#include <xenkit/store_server.h>

#include "base/list.h"
#include "store/path.h"
#include "store/perms.h"
#include "store/tree.h"

enum xk__quota {
    XK__Q_NODES,
    XK__Q_WATCHES,
    XK__Q_TRANSACTIONS,
    XK__Q_OUTSTANDING,
    XK__Q_TX_NODES,
    XK__Q_NODE_SIZE,
    XK__Q_NODE_PERMS,
    XK__Q_PATH_MAX,
    XK__Q_EVENTS,
    XK__Q_MEMORY,
    XK__Q_MEMORY_SOFT,
    XK__Q_COUNT
};

enum {
    XK__FEATURES =
        XK_STORE_FEATURE_RECONNECT | XK_STORE_FEATURE_ERROR | XK_STORE_FEATURE_WATCH_DEPTH | XK_STORE_FEATURE_DOMID_ANY,
    XK__PATH_BUF = XK_STORE_ABS_PATH_MAX + 1,
    XK__DEAD = 64 /* deaths remembered for the transactions that were open then */
};

/* --- domains (domain.c) ------------------------------------------------------------------------------------------- */

struct xk__dom {
    uint16_t domid;
    bool introduced, shutdown;
    int32_t target; /* SET_TARGET, or -1 */
    uint32_t features;
    int64_t owned, refs; /* nodes owned; entries in permission lists beyond the first */
    int64_t bytes;       /* of the nodes it owns */
    int64_t other;       /* bytes of its watches, transactions and connections; the buffers of these come on top */
    bool soft_told;      /* that it is beyond its soft quota of memory */
    int64_t credit;      /* of changes that may disturb others' transactions, in millionths: credit.c */
    uint64_t credit_at;  /* when it was last counted */
    struct xk__why *why; /* its last refusals; made when there is one */
    uint64_t ops, refused;
    uint32_t watches, transactions, conns;
    uint32_t quota[XK__Q_COUNT];
};

/* Changes of owned and refs that are planned but not booked. */
struct xk__delta {
    uint16_t domid;
    int32_t owned, refs;
    int64_t bytes;
};
struct xk__deltas {
    struct xk__delta *v;
    uint32_t n, cap;
};

struct xk__dom *xk__dom_find(const struct xk_store_server *s, unsigned domid);
struct xk__dom *xk__dom_get(struct xk_store_server *s, unsigned domid); /* made if missing; NULL: no memory */
void xk__dom_tidy(struct xk_store_server *s, struct xk__dom *d);        /* freed if nothing is known of it */
void xk__dom_untarget(struct xk_store_server *s, unsigned domid);       /* nobody has its rights any more */
void xk__doms_free(struct xk_store_server *s);

/* xk__quota_hit (c, q, v) - (v) is more than quota (q) of the connection's domain allows. */
bool xk__quota_hit(const struct xk_store_conn *c, enum xk__quota q, uint64_t v);
const char *xk__quota_name(enum xk__quota q);
int xk__quota_parse(const char *s, size_t n); /* the index or XK_EINVAL */

/* One node of (bytes) bytes more (sign 1) or less (-1), with these permissions. */
int xk__deltas_add(struct xk_store_server *s, struct xk__deltas *d, struct xk__perms p, size_t bytes, int sign);
int xk__deltas_grow(struct xk_store_server *s, struct xk__deltas *d, unsigned owner, int64_t bytes);
int64_t xk__deltas_bytes(const struct xk__deltas *d, unsigned domid);
/* xk__memory_of (s, d) - all that is held for a domain. xk__memory_hit (c, more) - (more) bytes are beyond what the
 * connection's domain may have. */
int64_t xk__memory_of(const struct xk_store_server *s, const struct xk__dom *d);
bool xk__memory_hit(struct xk_store_conn *c, int64_t more);

int xk__deltas_reserve(struct xk_store_server *s, struct xk__deltas *d, uint32_t more);
void xk__deltas_merge(struct xk__deltas *to, const struct xk__deltas *from); /* after reserve */
int32_t xk__deltas_owned(const struct xk__deltas *d, unsigned domid);
int xk__deltas_prepare(struct xk_store_server *s, const struct xk__deltas *d); /* makes the domains */
void xk__deltas_book(struct xk_store_server *s, const struct xk__deltas *d);
void xk__deltas_free(struct xk_store_server *s, struct xk__deltas *d);

/* --- connections (conn.c) ----------------------------------------------------------------------------------------- */

/* One packet in the output. */
struct xk__record {
    uint64_t at; /* in the stream of all output of the connection */
    uint32_t len, hash;
    bool reply;
};

struct xk_store_conn {
    struct xk_list link, wake;
    struct xk_store_server *server;
    struct xk__dom *dom;
    void *cookie;
    uint32_t id; /* in streams; unique in the server */
    uint16_t domid;
    bool privileged, broken, woken, lost, kept, partial, journaled;
    bool promised, noted; /* it was given a transaction; the journal has a note of its ring */
    bool busy, doomed;    /* a request of it runs; it was closed meanwhile, by a callback */
    struct xk_buf in, out;
    uint64_t sent;
    struct xk__record *records;
    uint32_t record_head, record_count, record_cap; /* filled are [head, head + count) */
    uint32_t replies, events;
    uint64_t stuck;                     /* since when nothing of its output was taken, while events are in it; 0: not */
    uint32_t batch_bytes, batch_events; /* reserved by the plan at hand */
    struct xk_list watches, txns;
    uint32_t next_tx;
    uint32_t consumed, produced; /* of the ring, when its buffers went into the journal */
    uint32_t former_tx;          /* transactions up to this were lost in a crash */
};

/* xk__conn_reserve (c, bytes, records) - room for that much, and for one reply after it. XK_ENOMEM, XK_EMSGSIZE. */
int xk__conn_reserve(struct xk_store_conn *c, size_t bytes, uint32_t records);
enum { XK__CONN_OUT_MAX = 4096 * 1024 + 4 * XK_STORE_PACKET_MAX }; /* bytes of output, of a privileged one */
int xk__conn_restore_out(struct xk_store_conn *c, const uint8_t *p, size_t n, size_t partial, bool partial_reply);
void xk__conn_packet(struct xk_store_conn *c, const struct xk_store_header *h, uint32_t hash, bool reply);
uint8_t *xk__conn_payload(struct xk_store_conn *c); /* where the next packet's payload goes */
void xk__conn_wake(struct xk_store_server *s);
void xk__conn_drop_state(struct xk_store_conn *c); /* watches and transactions */
size_t xk__conn_event_room(const struct xk_store_conn *c);

static inline struct xk__who xk__conn_who(const struct xk_store_conn *c)
{
    struct xk__who w = {c->domid, c->privileged, c->dom->target};
    return w;
}

/* --- watches (watch.c) -------------------------------------------------------------------------------------------- */

struct xk__watch {
    struct xk_list link, bucket;
    struct xk_store_conn *conn;
    uint32_t hash;
    int32_t depth;                        /* -1: any */
    uint16_t path_len, token_len, prefix; /* (prefix) bytes are cut off reported paths: the watch is relative */
    bool lost;                            /* an event of it was dropped; it fires when there is room again */
    char data[];                          /* path, token */
};

struct xk__watches {
    struct xk_list *buckets;
    uint32_t size, count;
};

struct xk__match {
    struct xk__watch *watch; /* NULL: no longer wanted */
    const char *path;
    uint32_t len;
};

enum xk__fire {
    XK__FIRE_EXACT,      /* watches on the very path */
    XK__FIRE_SUBTREE,    /* and on everything above it */
    XK__FIRE_SPECIAL,    /* "@releaseDomain", for watches without depth */
    XK__FIRE_SPECIAL_DOM /* "@releaseDomain/5", for watches on it or on "@releaseDomain" with depth */
};

int xk__watches_init(struct xk_store_server *s);
void xk__watches_fini(struct xk_store_server *s);
struct xk__watch *xk__watch_find(struct xk_store_conn *c, struct xk__path path, const char *token, size_t n);
int xk__watch_add(struct xk_store_conn *c, struct xk__path path, struct xk__path token, int32_t depth, size_t prefix,
                  struct xk__watch **out);
void xk__watch_del(struct xk__watch *w);

/* xk__events_plan (s, path, kind, v, n) - collects the watches that see an event at (path); a connection sees it if one
 * of the (n) permission lists lets it read. (path) must stay until done. XK_ENOMEM. */
int xk__events_plan(struct xk_store_server *s, struct xk__path path, enum xk__fire kind, const struct xk__perms *v,
                    unsigned n);
/* xk__events_plan_below - the exact events of everything below (from), which is about to be removed. (path) as for
 * xk__tree_walk; its bytes are free again afterwards. */
int xk__events_plan_below(struct xk_store_server *s, const struct xk__node *from, char *path, size_t len);
/* xk__watched (s, path) - 0: no watch is at (path) or above it. xk__watched_below - 0: none is below it. */
bool xk__watched(const struct xk_store_server *s, struct xk__path path);
bool xk__watched_below(const struct xk_store_server *s, struct xk__path path);
int xk__events_plan_special(struct xk_store_server *s, const char *name, unsigned domid, char *room, bool plain);
int xk__events_plan_one(struct xk_store_server *s, struct xk__watch *w); /* the watch's own path, unconditionally */
int xk__events_reserve(struct xk_store_server *s);
void xk__events_done(struct xk_store_server *s);   /* delivers */
void xk__events_cancel(struct xk_store_server *s); /* forgets */
void xk__events_forget(struct xk_store_server *s, struct xk_store_conn *c, struct xk__watch *w);

/* --- transactions (txn.c) ----------------------------------------------------------------------------------------- */

enum {
    XK__TX_READ = 1, /* what was there was seen, or that nothing was */
    XK__TX_CREATED = 2,
    XK__TX_VALUE = 4,
    XK__TX_PERMS = 8,
    XK__TX_REMOVED = 16, /* with everything below */
    XK__TX_EVENT = 32,
    XK__TX_GONE = 8,
    XK__TX_MADE = XK__TX_CREATED | XK__TX_VALUE | XK__TX_PERMS,
    XK__TX_CHANGE = XK__TX_MADE | XK__TX_REMOVED
};

struct xk__entry {
    uint32_t hash;
    uint16_t flags, len;
    char path[];
};

static inline struct xk__path xk__entry_path(const struct xk__entry *e) { return (struct xk__path){e->path, e->len}; }

struct xk__chunk {
    struct xk__chunk *next;
    size_t size, used;
};

/* A removal that was answered and is not in the transaction's accounts yet. */
struct xk__gone {
    struct xk__node *node; /* with all below it */
    const struct xk__entry *entry;
};

enum { XK__STALE_BEFORE = 1 /* conflicted or lost before this server */, XK__STALE_LET_GO /* snapshot.c */ };

struct xk__txn {
    struct xk_list link;
    struct xk_store_conn *conn;
    uint32_t id;
    bool failed;           /* a quota was hit inside: it can only be aborted */
    uint8_t stale;         /* it ends with EAGAIN, and why */
    struct xk__node *base; /* the tree at the start */
    struct xk__node *top;  /* the tree as the transaction sees it */
    struct xk__entry **v;  /* the log, in order of first touch */
    uint32_t *index;       /* open addressing over v, from 16 entries on; 0 is empty */
    uint32_t n, cap;
    int64_t bytes; /* on its domain's account */
    struct xk__chunk *chunks;
    struct xk__deltas deltas;
    struct xk__gone gone[XK__TX_GONE]; /* later.c */
    uint32_t ngone, removed;           /* the first (removed) of them are out of (top) */
    uint64_t deaths;                   /* of the server at the start */
    struct xk__way way;                /* below (top), to the last node that was read or written */
};

int xk__txn_start(struct xk_store_conn *c, struct xk__txn **out);
struct xk__txn *xk__txn_find(const struct xk_store_conn *c, uint32_t id);
void xk__txn_free(struct xk__txn *tx);  /* leave and release */
void xk__txn_leave(struct xk__txn *tx); /* it is over for its connection, and on no account */
void xk__txn_release(struct xk_store_server *s, struct xk__txn *tx); /* gives back what it holds */
void xk__txn_charge(struct xk__txn *tx, int64_t more);               /* on its domain's account */
int64_t xk__txn_log_bytes(const struct xk__txn *tx);                 /* what it takes but for its tree */
int xk__txn_touch(struct xk__txn *tx, struct xk__path path, struct xk__entry **out); /* XK_ENOSPC, XK_ENOMEM */
int xk__txn_read(struct xk__txn *tx, struct xk__path path);                          /* tx may be NULL */
int xk__txn_commit(struct xk__txn *tx);              /* XK_EAGAIN, XK_ENOSPC, XK_ENOMEM */
bool xk__txn_conflicts(const struct xk__txn *tx);    /* a commit would say XK_EAGAIN now */
void xk__snapshots_bound(struct xk_store_server *s); /* snapshot.c: after a request */

/* --- what is done after the answers (later.c) --------------------------------------------------------------------- */

bool xk__may_put_off(const struct xk_store_server *s);
void xk__txn_end(struct xk__txn *tx); /* xk__txn_free, whose second half may be put off */

/* xk__gone_add (tx, n, e) - (tx) removes (n), which it has at the path of (e), and all below it, later; only if that
 * may be put off. xk__gone_remove - now: before (tx) is asked for anything else. xk__gone_part - now, unless (path) is
 * neither above nor below any of it. xk__gone_count - it is to be in (deltas), too. xk__gone_settle (s) - what any
 * transaction removes is out of its tree. XK_ENOMEM: some is left, or was not added. xk__gone_forget - it need not be
 * done. xk__gone_repeated - nor for a commit: it does nothing but remove, and does so on the tree that others made
 * meanwhile. */
int xk__gone_add(struct xk__txn *tx, struct xk__node *n, const struct xk__entry *e);
int xk__gone_remove(struct xk__txn *tx);
int xk__gone_part(struct xk__txn *tx, struct xk__path path);
int xk__gone_count(struct xk__txn *tx);
bool xk__gone_repeated(const struct xk__txn *tx);
int xk__gone_settle(struct xk_store_server *s);
void xk__gone_forget(struct xk_store_server *s, struct xk__txn *tx);

/* --- why a request was refused (why.c) ------------------------------------------------------------------------------
 */

enum { XK__WHY_KEPT = 4, XK__WHY_PATH = 200 };

struct xk__refusal {
    int err;
    uint32_t type, count; /* of the request; how often the same was refused */
    uint64_t at;
    char path[XK__WHY_PATH], text[96];
};
struct xk__why {
    struct xk__refusal last[XK__WHY_KEPT];
    uint32_t n;
};

/* xk__why (s, path, fmt, ...) - what stands against the request at hand; the last one said counts. xk__why_keep - it
 * was refused with (err). */
void xk__why(struct xk_store_server *s, struct xk__path path, const char *fmt, ...) XK_PRINTF(3, 4);
void xk__why_keep(struct xk_store_conn *c, uint32_t type, int err);

/* The last list of children that was worth keeping (nodes.c). A generation of 0 is nobody's. */
struct xk__listing {
    uint64_t gen;
    size_t n;
    char names[XK_STORE_PAYLOAD_MAX];
};

/* --- a tape of one domain (tape.c)
 * ------------------------------------------------------------------------------------ */

struct xk__tape {
    bool on;
    uint16_t domid;
    struct xk_buf buf;
    uint64_t start, lost;
};

void xk__tape_start(struct xk_store_server *s, unsigned domid);
void xk__tape_stop(struct xk_store_server *s);
void xk__tape_packet(struct xk_store_conn *c, bool sent, const struct xk_store_header *h, const void *payload);
size_t xk__tape_take(struct xk_store_server *s, void *out, size_t room);

/* --- history (history.c) -------------------------------------------------------------------------------------------
 */

struct xk__version;
struct xk__req;
struct xk__history {
    struct xk__version *v; /* a ring of the last states, the newest at the end */
    uint32_t head, n, cap; /* cap 0: off */
};

int xk__history_keep(struct xk_store_server *s, uint32_t n);
void xk__history_fini(struct xk_store_server *s);
void xk__history_note(struct xk_store_server *s, unsigned domid, uint32_t type); /* after each change */

/* The (nth) last change of (path), 0 the last: how many versions ago. XK_ENOENT. As a line of text: its length, 0:
 * none. */
int xk__history_change(struct xk_store_server *s, struct xk__path path, uint32_t nth, uint32_t *back);
size_t xk__history_line(struct xk_store_server *s, struct xk__path path, uint32_t nth, char *out, size_t room);
int xk__history_undo(struct xk__req *r, struct xk__path path, uint32_t nth);

/* --- who disturbs transactions pays for it (credit.c) ---------------------------------------------------------------
 */

void xk__credit_spend(struct xk_store_conn *c);          /* it changed something while others have transactions */
uint64_t xk__credit_wait(const struct xk_store_conn *c); /* nanoseconds until it is served again, 0: now */

/* --- the journal (journal.c) -------------------------------------------------------------------------------------- */

struct xk__journal {
    struct xk_buf buf;
    size_t done; /* bytes of changes that happened, with the head of their batch */
    bool on, open;
};

struct xk__content;
struct xk__req;

/* Add to the change at hand; without a journal they do nothing. XK_ENOMEM. keep ends it: the change happened. drop
 * forgets it: it did not. */
int xk__journal_node(struct xk_store_server *s, struct xk__path path, struct xk__content content);
int xk__journal_remove(struct xk_store_server *s, struct xk__path path);
int xk__journal_domain(struct xk_store_server *s, const struct xk__dom *d);
int xk__journal_server(struct xk_store_server *s);
int xk__journal_watch(const struct xk__watch *w, bool gone);
int xk__journal_reset(struct xk_store_conn *c);
void xk__journal_closed(struct xk_store_conn *c);
void xk__journal_keep(struct xk_store_server *s);
void xk__journal_drop(struct xk_store_server *s);
uint32_t xk__crc32(const uint8_t *p, size_t n);

/* --- small blocks at hand (spare.c) ------------------------------------------------------------------------------- */

enum { XK__SPARE_SIZES = 33 };

struct xk__spare;
struct xk__spares {
    struct xk__spare *v[XK__SPARE_SIZES]; /* by size */
    uint32_t bytes[XK__SPARE_SIZES];
    bool on;
};

/* As an allocator's resize, with (outer) behind it. */
void *xk__spare_resize(struct xk__spares *k, const xk_alloc *outer, void *p, size_t old, size_t size);
void xk__spare_free(struct xk__spares *k, const xk_alloc *outer);

/* --- the server (server.c) ---------------------------------------------------------------------------------------- */

struct xk_store_server {
    xk_alloc outer, alloc; /* (alloc) counts, and hands on to (outer) what (spares) has not */
    struct xk__spares spares;
    size_t memory;
    int64_t live, tx_bytes; /* of it: the nodes of the tree as it is; what transactions are charged */
    const struct xk_store_server_ops *ops;
    void *arg;
    struct xk__tree tree;
    struct xk__node *top;
    uint32_t quota[XK__Q_COUNT];
    uint32_t features;
    uint32_t permit, audit;     /* operations that hooks are called for */
    struct xk__dom **doms[256]; /* by the two bytes of the domid */
    uint32_t ndoms;
    struct xk_list conns, wake;
    uint32_t nconns, ntxns, next_conn;
    bool targets;              /* SET_TARGET was ever used */
    struct xk__txn *ended;     /* the last one, if its memory is still to be freed: later.c */
    struct xk__txn *uncounted; /* the last one that removed what is not counted yet */
    struct xk__watches watches;
    struct xk__match *matches;
    uint32_t nmatches, match_cap;
    struct xk__deltas deltas; /* of the plan at hand */
    struct xk__journal journal;
    struct xk__history history;
    struct xk__tape tape;
    struct xk__listing listing;
    struct xk__refusal whyfor; /* what the request at hand fails for, while it runs */
    struct {
        uint16_t domid;
    } dead[XK__DEAD];
    uint64_t deaths;
    int64_t nodes;
    struct xk_store_stats stats; /* the counters in it */
    struct xk__perm perms[XK__PERMS_MAX];
    char path[XK__PATH_BUF + 32]; /* relative paths are completed here */
    char walk[XK__PATH_BUF];
};

struct xk__req {
    struct xk_store_server *s;
    struct xk_store_conn *c;
    struct xk__txn *tx;
    struct xk__node **top; /* the tree that the request is about */
    struct xk_store_header h;
    const char *p; /* payload, h.len bytes */
    struct xk__who who;
};

typedef int xk__handler(struct xk__req *r);

void xk__execute(struct xk_store_conn *c, const struct xk_store_header *h, const uint8_t *payload);
void xk__reply(struct xk__req *r, size_t n);                       /* (n) bytes stand at xk__conn_payload */
int xk__reply_text(struct xk__req *r, const char *text, size_t n); /* always 0 */
int xk__reply_ok(struct xk__req *r);                               /* "OK", always 0 */

/* Strings of a payload: xk__req_string takes the next NUL-terminated one from (*at) on; xk__req_strings counts them;
 * xk__req_single is the payload that is one string and nothing else. XK_EINVAL. */
int xk__req_string(const struct xk__req *r, size_t *at, struct xk__path *out);
unsigned xk__req_strings(const struct xk__req *r);
int xk__req_single(const struct xk__req *r, struct xk__path *out);
int xk__req_domid(struct xk__path text, unsigned *domid);

/* xk__req_path (r, text, special, out) - the absolute path that (text) means to the caller. */
int xk__req_path(const struct xk__req *r, struct xk__path text, bool special, struct xk__path *out);

/* xk__change_begin (r) - reserves for the plan in s->matches and s->deltas; xk__change_done books it. */
int xk__change_begin(struct xk__req *r);
void xk__change_done(struct xk__req *r);
void xk__plan_clear(struct xk_store_server *s);

/* Figures as nodes (stats.c). */
bool xk__stats_path(struct xk__path path);
int xk__stats_read(struct xk__req *r, struct xk__path path);
int xk__stats_list(struct xk__req *r, struct xk__path path);

/* xk__subtract (s, n) - plans the removal of (n) and all below it in the accounts. */
int xk__subtract(struct xk_store_server *s, const struct xk__node *n);

/* xk__domain_gone (s, d) - RELEASE or death: removes all that is left of it (death.c). XK_ENOMEM: nothing happened. */
int xk__domain_gone(struct xk_store_server *s, struct xk__dom *d);

/* nodes.c, admin.c, control.c */
xk__handler xk__do_directory, xk__do_directory_part, xk__do_read, xk__do_write, xk__do_mkdir, xk__do_rm;
xk__handler xk__do_get_perms, xk__do_set_perms, xk__do_watch, xk__do_unwatch, xk__do_reset_watches;
xk__handler xk__do_tx_start, xk__do_tx_end, xk__do_introduce, xk__do_release, xk__do_resume, xk__do_set_target;
xk__handler xk__do_domain_path, xk__do_is_introduced, xk__do_get_feature, xk__do_set_feature, xk__do_get_quota;
xk__handler xk__do_set_quota, xk__do_control;

#endif
