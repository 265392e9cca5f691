/* diff/diff.h - the differential test of the store server: what its parts share.
 *
 * Two stores, ours in this process (ours.c) and xenstored in another (peer.c), get the same operations over the same
 * set of connections. An operation (op.c) comes out of a generator (generate.c) or out of a file. The run (run.c) lets
 * both execute it, and compares replies, events and, now and then, whole trees (tree.c). A difference has to be in the
 * table of allowed ones (allowed.c), else the run fails and the operations are reduced to those that it takes
 * (reduce.c). SPDX-License-Identifier: MIT */
#ifndef XK_DIFF_H
#define XK_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xenkit/store_server.h>

#include "shared.h"

/* Connections: sockets of domain 0, then one ring for each domain; the last is a socket for the test's own use. */
enum { SOCKETS = 2, WATCHER = SOCKETS + DOMAINS, CONNS = WATCHER + 1, SLOTS = 14, NO_SUCH_TX = SLOTS + 1 };
enum side { OURS, THEIRS, SIDES };

static inline unsigned domid_of(unsigned conn) { return conn >= SOCKETS && conn < WATCHER ? conn - SOCKETS + 1 : 0; }
static inline unsigned ring_of(unsigned domid) { return SOCKETS + domid - 1; }
static inline bool is_ring(unsigned conn) { return domid_of(conn) != 0; }

_Noreturn void die(const char *fmt, ...) XK_PRINTF(1, 2);
void *grow(void *p, size_t size); /* realloc that does not fail */

/* --- operations (op.c) -------------------------------------------------------------------------------------------- */

/* Types from here on are no requests but things that happen to connections and domains. */
enum happening {
    OP_CREATE = 0x10000, /* the hypervisor has a new domain; (tx) names it in this and the following */
    OP_SHUTDOWN,
    OP_DYING,
    OP_GONE,
    OP_OPEN, /* a socket is closed, or opened again */
    OP_CLOSE,
    OP_UPDATE,   /* our server hands over to a new one: its state is saved and loaded */
    OP_OVERSIZE, /* a header that announces more than the protocol allows */
    OP_END
};

struct op {
    uint8_t conn, tx; /* (tx): 0 none, else the slot of a transaction */
    bool more;        /* the next operation is sent before the reply to this one is awaited */
    uint16_t cut;     /* after so many bytes both servers get time to look at half a packet; 0: not cut */
    uint16_t len;
    uint32_t type;
    char *payload; /* followed by a NUL that does not count */
};

struct trace {
    struct op *v;
    size_t n, cap;
};

struct op *trace_add(struct trace *t, unsigned conn, unsigned tx, uint32_t type, const void *payload, size_t len);
void trace_free(struct trace *t);
void op_print(const struct op *op);
void trace_read(struct trace *t, const char *file); /* the lines that op_print writes */
void print_quoted(const void *p, size_t n);

/* The absolute path that the first string of the payload means; false if there is none. */
bool op_path(const struct op *op, char *out, size_t room);
const char *op_string(const struct op *op, unsigned index); /* NULL if there are not so many */

/* --- settings ----------------------------------------------------------------------------------------------------- */

/* Quotas. Those of xenstored that let one more through than they say are given to ours as one more. */
struct setup {
    const char *xenstored, *libraries, *shim;
    unsigned nodes, watches, transactions, perms, path, tx_nodes, size;
};

void setup_quotas(struct setup *s, bool small);

/* --- the two stores ----------------------------------------------------------------------------------------------- */

struct bytes {
    uint8_t *p;
    size_t n, cap;
};

void bytes_add(struct bytes *b, const void *p, size_t n);
void bytes_drop(struct bytes *b, size_t n); /* off the front */

struct peer {
    int pid, memory_fd, fd[CONNS];
    char dir[64];
    uint8_t *memory;
    struct diff_control *control;
    struct bytes to[CONNS], from[CONNS];
    bool closed[CONNS];
};

void peer_start(struct peer *p, const struct setup *s);
void peer_stop(struct peer *p);
void peer_open(struct peer *p, unsigned conn); /* a socket */
void peer_close(struct peer *p, unsigned conn);
bool peer_settle(struct peer *p); /* until all was handled and fetched; false if it died or hangs */
void peer_new_ring(struct peer *p, unsigned domid);
unsigned peer_ring_error(const struct peer *p, unsigned domid);

struct ours {
    struct xk_store_server *server;
    struct xk_store_conn *conn[CONNS];
    struct bytes from[CONNS];
    bool closed[CONNS], introduced[DOMAINS + 1];
    struct diff_control *control; /* the same hypervisor */
    struct xk_store_limits limits;
    struct bytes state;
    uint64_t time;
};

void ours_start(struct ours *o, const struct setup *s, struct diff_control *control);
void ours_stop(struct ours *o);
void ours_open(struct ours *o, unsigned conn);
void ours_close(struct ours *o, unsigned conn);
void ours_send(struct ours *o, unsigned conn, const void *p, size_t n);
void ours_fetch(struct ours *o);
const char *ours_update(struct ours *o); /* live update; what is wrong, or NULL */
void ours_virq(struct ours *o);          /* what the owner of the engine does at VIRQ_DOM_EXC */

/* --- the run (run.c, exchange.c, txn.c) --------------------------------------------------------------------------- */

struct reply {
    uint32_t type, req, tx, len;
    char *p; /* followed by a NUL that does not count */
};

struct event {
    char *path, *token;
};

struct inbox {
    struct reply *replies;
    struct event *events;
    size_t nreplies, nevents;
};

/* A transaction that is open on both sides. */
struct txn {
    bool open;
    uint32_t id[SIDES];
    bool stale;      /* it has seen another state than the other side: see "snapshot" in allowed.c */
    bool everything; /* a domain died or got a target meanwhile, or more changed than is remembered */
    char **outside;  /* paths that others changed since the start */
    size_t noutside;
    struct trace log;   /* what was done inside */
    struct reply *said; /* and answered by ours */
};

struct conn_state {
    bool open, dead; /* (dead): ignored for a protocol error until the domain is gone */
    struct txn txn[SLOTS + 1];
    struct inbox in[SIDES];
};

struct world {
    struct setup setup;
    struct peer peer;
    struct ours ours;
    struct conn_state conn[CONNS];
    bool target;                 /* domain 4 has the rights of domain 3 */
    bool died_once[DOMAINS + 1]; /* so that old permission entries may name it */
    uint32_t req;
    size_t step;
    uint64_t done, skipped;
    struct txn ended; /* the last one, for who judges its events */
    bool failed;
    char failure[256]; /* the same words for the same failure, whatever the paths and values */
    bool quiet;
    struct trace pending;
    uint32_t *pending_req;
};

void world_start(struct world *w, const struct setup *s);
void world_stop(struct world *w);
bool world_step(struct world *w, const struct op *op, bool last); /* false: failed */
void world_fail(struct world *w, const char *kind, const char *fmt, ...) XK_PRINTF(3, 4);
void update(struct world *w);
void send_part(struct world *w, enum side side, unsigned conn, const uint8_t *p, size_t n);
void send_request(struct world *w, enum side side, unsigned conn, const struct op *op, uint32_t tx, uint32_t req);
void collect(struct world *w); /* lets both work and sorts what they said into the inboxes */
/* One request to one side, and its answer, whose bytes are the caller's to free; false: the run has failed. */
bool ask(struct world *w, enum side side, unsigned conn, const struct op *op, uint32_t tx, struct reply *out);
void inboxes_clear(struct world *w);
bool same_reply(const struct op *op, const struct reply *a, const struct reply *b);
void show_reply(const char *who, const struct reply *r);
static inline bool failed_reply(const struct reply *r) { return r->type == XK_STORE_ERROR; }
static inline const char *error_of(const struct reply *r) { return failed_reply(r) ? r->p : "OK"; }

void txn_started(struct world *w, const struct op *op, const struct reply *ours, const struct reply *theirs);
void txn_note(struct world *w, const struct op *op, const struct reply *ours);
void txn_ended(struct world *w, const struct op *op, const struct reply *ours, const struct reply *theirs);
bool txn_enospc_inside(const struct txn *t);
void txn_forget(struct txn *t);
bool path_near(const char *a, const char *b);                                  /* one is the other or lies below it */
void txn_outside(struct world *w, const struct txn *except, const char *path); /* NULL: everything */
/* Others have changed (path), what is below it, or a directory that it is in; or anything below such a directory. */
bool txn_touched(const struct txn *t, const char *path, bool or_above);
void reply_copy(struct reply *to, const struct reply *from);

/* --- trees (tree.c) ----------------------------------------------------------------------------------------------- */

struct node {
    char *path, *value, *perms; /* (perms) joined by blanks */
    size_t value_len;
};

struct tree {
    struct node *v;
    size_t n;
};

void tree_read(struct world *w, enum side side, struct tree *t);
void tree_free(struct tree *t);
void trees_compare(struct world *w);
void write_both(struct world *w, const char *path, const char *value);
void rm_both(struct world *w, const char *path);
void hide_both(struct world *w, const char *path); /* permissions n0 */
void world_heal(struct world *w);                  /* after an allowed difference: makes both the same again */
unsigned tree_owned(const struct tree *t, unsigned domid);

/* --- allowed differences (allowed.c) ------------------------------------------------------------------------------ */

enum effect {
    PLAIN, /* what only one of both has done is undone */
    ABORT, /* the transaction is ended: its two sides are no longer the same */
    STALE  /* it has seen another state: see txn.c */
};

struct clash {
    struct world *w;
    const struct op *op;
    struct txn *txn; /* NULL: none */
    const struct reply *ours, *theirs;
    const char *path; /* of the operation, absolute; "" if it has none */
};

bool allowed_reply(const struct clash *c, enum effect *effect);
bool allowed_event(struct world *w, const struct op *op, enum side extra, unsigned conn, const struct event *e);
bool allowed_perms(struct world *w, const char *ours, const char *theirs);
/* An answer that is another when (t) is done again, on the side that has not committed it. */
bool allowed_again(struct world *w, const struct op *op, struct txn *t, const struct reply *ours,
                   const struct reply *theirs);
bool allowed_count(const char *name); /* for those that are found elsewhere; true: it is to be shown */
void allowed_show(const char *name);  /* print each use of it */
void allowed_print(bool why);

/* --- operations at random (generate.c), reducing (reduce.c) ------------------------------------------------------- */

struct generator {
    uint64_t state;
    struct trace queue;
    size_t next;
    const struct setup *setup;
    unsigned value;
};

void generate_start(struct generator *g, uint64_t seed, const struct setup *s);
const struct op *generate(struct generator *g);
void generate_end(struct generator *g);

void reduce(struct trace *t, const struct setup *s, const char *failure, unsigned seconds);

#endif
