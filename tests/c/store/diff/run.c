/* diff/run.c - one operation after the other on both stores, and the comparison of what comes back.
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"

/* --- life --------------------------------------------------------------------------------------------------------- */

void setup_quotas(struct setup *s, bool small)
{
    s->nodes = small ? 30 : 1000;
    s->watches = small ? 5 : 128;
    s->transactions = small ? 2 : 10;
    s->perms = small ? 3 : 5;
    s->path = small ? 40 : 2048;
    s->tx_nodes = small ? 25 : 1024;
    s->size = 3500; /* above what children of a node take in xenstored, where they count too */
}

void world_start(struct world *w, const struct setup *s)
{
    memset(w, 0, sizeof(*w));
    w->setup = *s;
    peer_start(&w->peer, s);
    ours_start(&w->ours, s, w->peer.control);
    for (unsigned i = 0; i < CONNS; i++)
        if (!is_ring(i)) {
            peer_open(&w->peer, i);
            ours_open(&w->ours, i);
            w->conn[i].open = true;
        }
}

void world_stop(struct world *w)
{
    inboxes_clear(w);
    for (unsigned i = 0; i < CONNS; i++)
        for (unsigned k = 0; k <= SLOTS; k++)
            txn_forget(&w->conn[i].txn[k]);
    txn_forget(&w->ended);
    trace_free(&w->pending);
    free(w->pending_req);
    ours_stop(&w->ours);
    if (getenv("DBGLOG")) {
        char cmd[200];
        sprintf(cmd, "cat %s/log", w->peer.dir);
        (void)!system(cmd);
    }
    peer_stop(&w->peer);
}

void world_fail(struct world *w, const char *kind, const char *fmt, ...)
{
    va_list ap;

    if (w->failed)
        return;
    w->failed = true;
    snprintf(w->failure, sizeof(w->failure), "%s", kind);
    if (w->quiet)
        return;
    printf("# step %zu: %s: ", w->step, kind);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

/* --- what a request has led to ------------------------------------------------------------------------------------ */

static unsigned small_number(const struct op *op, unsigned index)
{
    const char *text = op_string(op, index);
    return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static void forget_conn(struct world *w, unsigned conn)
{
    for (unsigned i = 0; i <= SLOTS; i++)
        txn_forget(&w->conn[conn].txn[i]);
}

static void domain_ended(struct world *w, unsigned domid)
{
    forget_conn(w, ring_of(domid));
    w->conn[ring_of(domid)].open = w->conn[ring_of(domid)].dead = false;
    peer_new_ring(&w->peer, domid);
    w->died_once[domid] = true;
    w->target &= domid != 4 && domid != 3;
    txn_outside(w, NULL, NULL);
    write_both(w, "/tool/xenstored", ""); /* see "rights of the dead" in README.md */
}

static void succeeded(struct world *w, const struct op *op, const struct txn *t)
{
    char path[XK_STORE_PACKET_MAX];
    unsigned domid = small_number(op, 0);

    switch (op->type) {
    case XK_STORE_WRITE:
    case XK_STORE_MKDIR:
    case XK_STORE_RM:
    case XK_STORE_SET_PERMS:
        if (!t && op_path(op, path, sizeof(path)))
            txn_outside(w, NULL, path);
        break;
    case XK_STORE_INTRODUCE:
        if (domid > 0 && domid <= DOMAINS) {
            forget_conn(w, ring_of(domid));
            w->conn[ring_of(domid)].open = true;
        }
        break;
    case XK_STORE_RELEASE:
        domain_ended(w, domid);
        break;
    case XK_STORE_SET_TARGET:
        w->target = true;
        txn_outside(w, NULL, NULL); /* it has other rights now */
        break;
    case XK_STORE_RESET_WATCHES:
        forget_conn(w, op->conn);
        break;
    default:
        break;
    }
}

static void reset_watches(struct world *w, unsigned conn)
{
    struct op op = {.type = XK_STORE_RESET_WATCHES, .len = 1, .payload = (char[]){0, 0}};
    struct reply r;

    for (enum side side = OURS; side < SIDES; side++)
        if (ask(w, side, conn, &op, 0, &r))
            free(r.p);
    forget_conn(w, conn);
}

static void abort_txn(struct world *w, unsigned conn, struct txn *t)
{
    struct op op = {.type = XK_STORE_TRANSACTION_END, .len = 2, .payload = (char[]){'F', 0, 0}};
    struct reply r;

    for (enum side side = OURS; side < SIDES; side++)
        if (ask(w, side, conn, &op, t->id[side], &r))
            free(r.p);
    txn_forget(t);
}

static bool is_about_nodes(uint32_t type)
{
    return type == XK_STORE_READ || type == XK_STORE_DIRECTORY || type == XK_STORE_DIRECTORY_PART ||
           type == XK_STORE_GET_PERMS || type == XK_STORE_WRITE || type == XK_STORE_MKDIR || type == XK_STORE_RM ||
           type == XK_STORE_SET_PERMS;
}

/* After an allowed difference: what only one server has done is undone. True if the trees have to be healed. */
static bool differ_now(struct world *w, const struct op *op, struct txn *t, bool only_one)
{
    char path[XK_STORE_PACKET_MAX];

    switch (only_one ? op->type : XK_STORE_READ) {
    case XK_STORE_WRITE:
    case XK_STORE_MKDIR:
    case XK_STORE_RM:
    case XK_STORE_SET_PERMS:
        if (op->payload[0] == '@')
            hide_both(w, op->payload); /* special nodes are in no tree that can be read */
        else if (t)
            abort_txn(w, op->conn, t);
        else if (op->type == XK_STORE_SET_PERMS && op_path(op, path, sizeof(path)))
            rm_both(w, path); /* entries may look like those of the dead */
        return t == NULL;
    case XK_STORE_WATCH:
    case XK_STORE_UNWATCH:
        reset_watches(w, op->conn);
        return true;
    case XK_STORE_TRANSACTION_START:
        reset_watches(w, op->conn); /* which ends transactions, too */
        return true;
    default:
        return false;
    }
}

/* Both servers' answers to one request. True if from now on events and trees cannot be compared until healed. */
static bool judge(struct world *w, const struct op *op, struct txn *t, const struct reply *ours,
                  const struct reply *theirs)
{
    char path[XK_STORE_PACKET_MAX] = "", kind[160];
    struct clash c = {w, op, t, ours, theirs, path};
    enum effect effect = PLAIN;

    if (op->type == XK_STORE_TRANSACTION_START && !failed_reply(ours) && !failed_reply(theirs)) {
        txn_started(w, op, ours, theirs);
        return false;
    }
    if (op->type == XK_STORE_TRANSACTION_END && t) {
        txn_ended(w, op, ours, theirs);
        return false;
    }
    if (!is_about_nodes(op->type))
        t = c.txn = NULL; /* the transaction is without meaning to it */
    if (t && t->stale) {  /* it works on another state already: its end tells whether that was right */
        txn_note(w, op, ours);
        return false;
    }
    if (same_reply(op, ours, theirs)) {
        if (t)
            txn_note(w, op, ours);
        if (!failed_reply(ours))
            succeeded(w, op, t);
        return false;
    }
    op_path(op, path, sizeof(path));
    if (!allowed_reply(&c, &effect)) {
        snprintf(kind, sizeof(kind), "reply to %s%s: ours %s, theirs %s", xk_store_op_name(op->type),
                 t ? " in a transaction" : "", error_of(ours), error_of(theirs));
        world_fail(w, kind, "the answers differ");
        if (!w->quiet) {
            fputs("#   ", stdout);
            op_print(op);
            show_reply("ours", ours);
            show_reply("theirs", theirs);
        }
        return false;
    }
    if (effect == STALE) {
        t->stale = true;
        txn_note(w, op, ours);
        return false;
    }
    if (effect == ABORT) {
        abort_txn(w, op->conn, t);
        return false;
    }
    return differ_now(w, op, t, failed_reply(ours) != failed_reply(theirs));
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static int by_event(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    int d = strcmp(x->path, y->path);
    return d ? d : strcmp(x->token, y->token);
}

/* Ordinary events that are the same may be told once, so doubles do not count; special ones are told each, but for what
 * one interrupt brings. */
static void sort_events(struct inbox *in, bool special_once)
{
    size_t n = 0;

    if (in->nevents)
        qsort(in->events, in->nevents, sizeof(*in->events), by_event);
    for (size_t i = 0; i < in->nevents; i++) {
        if (n && by_event(&in->events[n - 1], &in->events[i]) == 0 && (special_once || in->events[i].path[0] != '@'))
            free(in->events[i].path);
        else
            in->events[n++] = in->events[i];
    }
    in->nevents = n;
}

static void extra_event(struct world *w, const struct op *op, enum side side, unsigned conn, const struct event *e)
{
    char kind[160];

    if (w->failed || allowed_event(w, op, side, conn, e))
        return;
    snprintf(kind, sizeof(kind), "event of %s, only from %s",
             op->type >= OP_CREATE                  ? "a happening"
             : op->type == XK_STORE_TRANSACTION_END ? "a commit"
                                                    : "a request",
             side == OURS ? "ours" : "theirs");
    world_fail(w, kind, "connection %u, path \"%s\", token \"%s\"", conn, e->path, e->token);
    if (!w->quiet) {
        fputs("#   ", stdout);
        op_print(op);
    }
}

static void compare_events(struct world *w, const struct op *op)
{
    for (unsigned i = 0; i < CONNS; i++) {
        struct inbox *a = &w->conn[i].in[OURS], *b = &w->conn[i].in[THEIRS];
        size_t x = 0, y = 0;
        sort_events(a, op->type >= OP_CREATE);
        sort_events(b, op->type >= OP_CREATE);
        while (x < a->nevents || y < b->nevents) {
            int d = x == a->nevents ? 1 : y == b->nevents ? -1 : by_event(&a->events[x], &b->events[y]);
            if (d < 0)
                extra_event(w, op, OURS, i, &a->events[x]);
            if (d > 0)
                extra_event(w, op, THEIRS, i, &b->events[y]);
            x += d <= 0;
            y += d >= 0;
        }
    }
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

/* Requests that the test leaves out, since they break xenstored itself; see README.md. */
static bool harmful(const struct world *w, const struct op *op)
{
    char path[XK_STORE_PACKET_MAX];
    const char *a = op_string(op, 0), *b = op_string(op, 1);
    unsigned x = small_number(op, 0), y = small_number(op, 1);

    switch (op->type) {
    case XK_STORE_SET_PERMS:
        if (!op_path(op, path, sizeof(path)))
            return false;
        return (strcmp(path, "/") == 0 && (!b || strcmp(b + (*b != 0), "0") != 0)) || (path[0] == '@' && op->tx);
    case XK_STORE_INTRODUCE:
        return a && (x == 0 || (x <= DOMAINS && (w->conn[ring_of(x)].dead || w->peer.control->domain[x].dying)));
    case XK_STORE_RELEASE:
        return x == 3 && w->target;
    case XK_STORE_SET_TARGET:
        if (x == 4 && y == 3)
            return false;
        return x <= DOMAINS && y <= DOMAINS && (x == 0 || w->ours.introduced[x]) && (y == 0 || w->ours.introduced[y]);
    default:
        return false;
    }
}

static void add_pending(struct world *w, const struct op *op)
{
    struct op *copy = trace_add(&w->pending, op->conn, op->tx, op->type, op->payload, op->len);

    copy->cut = op->cut;
    w->pending_req = grow(w->pending_req, w->pending.n * sizeof(*w->pending_req));
    w->pending_req[w->pending.n - 1] = ++w->req;
}

/* The slot's transaction, which is open; NULL: none. */
static struct txn *txn_of(struct world *w, const struct op *op)
{
    struct txn *t = op->tx && op->tx <= SLOTS ? &w->conn[op->conn].txn[op->tx] : NULL;
    return t && t->open ? t : NULL;
}

/* A transaction that has seen something else than xenstored's is committed by ours only: see txn_ended. */
static void send_end(struct world *w, const struct op *op, const struct txn *t, uint32_t req)
{
    struct op abort = *op;

    abort.payload = (char[]){'F', 0, 0};
    abort.len = 2;
    abort.cut = 0;
    send_request(w, OURS, op->conn, op, t->id[OURS], req);
    send_request(w, THEIRS, op->conn, &abort, t->id[THEIRS], req);
}

static bool is_end(const struct op *op)
{
    return op->len == 2 && (op->payload[0] == 'T' || op->payload[0] == 'F') && !op->payload[1];
}

static bool request(struct world *w, const struct op *op)
{
    const struct conn_state *c = &w->conn[op->conn];
    const struct txn *t = txn_of(w, op);
    uint32_t tx[SIDES] = {0, 0};

    if (!c->open || c->dead || harmful(w, op))
        return false;
    if (op->type == XK_STORE_TRANSACTION_START ? t != NULL || op->tx == 0 : op->tx && op->tx <= SLOTS && !t)
        return false;
    add_pending(w, op);
    for (enum side side = OURS; side < SIDES; side++)
        tx[side] = t ? t->id[side] : op->tx == NO_SUCH_TX ? 0xdeadbeef : 0;
    if (t && op->type == XK_STORE_TRANSACTION_END && t->stale && is_end(op)) {
        send_end(w, op, t, w->req);
        return true;
    }
    send_request(w, OURS, op->conn, op, tx[OURS], w->req);
    send_request(w, THEIRS, op->conn, op, tx[THEIRS], w->req);
    return true;
}

static bool counts_fit(struct world *w)
{
    for (unsigned i = 0; i < CONNS; i++)
        for (enum side side = OURS; side < SIDES; side++) {
            size_t want = w->pending.n && w->pending.v[0].conn == i ? w->pending.n : 0;
            if (w->conn[i].in[side].nreplies != want) {
                world_fail(w, "number of replies", "connection %u: %s has %zu replies, not %zu", i,
                           side == OURS ? "ours" : "theirs", w->conn[i].in[side].nreplies, want);
                return false;
            }
        }
    return true;
}

static bool judge_one(struct world *w, size_t i)
{
    const struct op *op = &w->pending.v[i];
    struct txn *t = txn_of(w, op);
    struct reply ours = w->conn[op->conn].in[OURS].replies[i], theirs = w->conn[op->conn].in[THEIRS].replies[i];

    if (ours.req != w->pending_req[i] || theirs.req != w->pending_req[i])
        world_fail(w, "request id", "request %u got %u and %u", w->pending_req[i], ours.req, theirs.req);
    else if (t && op->type != XK_STORE_TRANSACTION_START && (ours.tx != t->id[OURS] || theirs.tx != t->id[THEIRS]))
        world_fail(w, "transaction id", "the replies have %u and %u", ours.tx, theirs.tx);
    else if ((ours.type != op->type && !failed_reply(&ours)) || (theirs.type != op->type && !failed_reply(&theirs)))
        world_fail(w, "type", "the replies are of type %u and %u", ours.type, theirs.type);
    else
        return judge(w, op, t, &ours, &theirs);
    return false;
}

static void flush(struct world *w)
{
    bool heal = false;
    struct op last;

    if (w->pending.n == 0)
        return;
    collect(w);
    if (!w->failed && counts_fit(w)) {
        for (size_t i = 0; i < w->pending.n && !w->failed && !heal;
             i++) /* what comes after a difference differs, too */
            heal = judge_one(w, i);
        last = w->pending.v[w->pending.n - 1];
        if (!w->failed && !heal)
            compare_events(w, &last);
        if (!w->failed && heal)
            world_heal(w);
    }
    w->done += w->pending.n;
    trace_free(&w->pending);
    inboxes_clear(w);
}

/* --- happenings --------------------------------------------------------------------------------------------------- */

static void raise_virq(struct world *w, unsigned changed)
{
    bool was[DOMAINS + 1];

    for (unsigned d = 1; d <= DOMAINS; d++)
        was[d] = w->ours.introduced[d];
    w->peer.control->virq = 1;
    ours_virq(&w->ours);
    collect(w);
    for (unsigned d = 1; d <= DOMAINS; d++)
        if ((was[d] && !w->ours.introduced[d]) || (d == changed && !w->peer.control->domain[d].exists))
            domain_ended(w, d);
}

static bool change_domain(struct world *w, uint32_t what, unsigned domid)
{
    struct diff_domain *d = &w->peer.control->domain[domid];

    if (what == OP_CREATE) {
        if (!d->exists) {
            peer_new_ring(&w->peer, domid);
            txn_outside(w, NULL, NULL); /* it may own nodes now */
        }
        d->exists = 1;
        d->shutdown = d->dying = 0; /* of one that exists: it was resumed */
        return true;
    }
    if (!d->exists || (domid == 3 && w->target && what != OP_SHUTDOWN))
        return false;
    if (what == OP_SHUTDOWN)
        d->shutdown = 1;
    else if (what == OP_DYING)
        d->dying = 1;
    else
        d->exists = 0;
    raise_virq(w, domid);
    return true;
}

static bool oversize(struct world *w, unsigned conn)
{
    struct xk_store_header h = {XK_STORE_READ, 1, 0, XK_STORE_PAYLOAD_MAX + 1};
    uint8_t bytes[XK_STORE_HEADER_SIZE];
    unsigned domid = domid_of(conn);

    if (!w->conn[conn].open || w->conn[conn].dead)
        return false;
    xk_store_header_put(&h, bytes);
    send_part(w, OURS, conn, bytes, sizeof(bytes));
    send_part(w, THEIRS, conn, bytes, sizeof(bytes));
    collect(w);
    if (!w->ours.closed[conn] ||
        !(domid ? peer_ring_error(&w->peer, domid) == XK_STORE_RING_PROTO : w->peer.closed[conn]))
        world_fail(w, "oversize", "a connection lives on after a packet that is too long");
    forget_conn(w, conn);
    if (domid) {
        w->conn[conn].dead = true;
        w->ours.closed[conn] = false;
    } else {
        w->conn[conn].open = false;
        peer_close(&w->peer, conn);
    }
    return true;
}

static bool change_socket(struct world *w, uint32_t what, unsigned conn)
{
    if (is_ring(conn) || conn == WATCHER || w->conn[conn].open == (what == OP_OPEN))
        return false;
    if (what == OP_OPEN) {
        peer_open(&w->peer, conn);
        ours_open(&w->ours, conn);
    } else {
        peer_close(&w->peer, conn);
        ours_close(&w->ours, conn);
        forget_conn(w, conn);
    }
    w->conn[conn].open = what == OP_OPEN;
    collect(w);
    return true;
}

static bool happen(struct world *w, const struct op *op)
{
    bool any;

    if (op->type == OP_OVERSIZE)
        any = oversize(w, op->conn);
    else if (op->type == OP_UPDATE)
        any = (update(w), true);
    else if (op->type == OP_OPEN || op->type == OP_CLOSE)
        any = change_socket(w, op->type, op->conn);
    else
        any = op->tx >= 1 && op->tx <= DOMAINS && change_domain(w, op->type, op->tx);
    if (!w->failed && counts_fit(w))
        compare_events(w, op);
    inboxes_clear(w);
    return any;
}

/* Only requests whose meaning does not depend on the answers before go out together. */
static bool together(const struct op *op)
{
    if (op->type == XK_STORE_WATCH || op->type == XK_STORE_UNWATCH)
        return op->payload[0] != '@';
    return is_about_nodes(op->type);
}

bool world_step(struct world *w, const struct op *op, bool last)
{
    bool any;

    w->step++;
    if (w->pending.n && (!together(op) || op->conn != w->pending.v[0].conn))
        flush(w);
    if (w->failed)
        return false;
    any = op->type >= OP_CREATE ? happen(w, op) : request(w, op);
    w->skipped += !any;
    w->done += any && op->type >= OP_CREATE;
    if (!op->more || !together(op) || last)
        flush(w);
    if (!w->failed && last)
        trees_compare(w);
    return !w->failed;
}
