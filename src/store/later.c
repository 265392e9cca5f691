/* What no answer waits for is done after it, if the server has somebody to remind it (ops->later): the memory of a
 * transaction that has ended, with the nodes that only it still held; and what a transaction of a privileged client
 * removes: its nodes go, and are taken from the accounts of who owned them. A client that gets its answer soon has not
 * gone to sleep, and need not be woken. (docs/store.md has what that is worth.)
 *
 * Never more than the last transaction waits to be freed, and a transaction has up to XK__TX_GONE removals to be done.
 * It does them itself as soon as it is asked for anything but another removal elsewhere: an answer always knows of what
 * was answered before. Without memory for one, that request, at the latest the commit, says so. One that does nothing
 * but remove, while others commit, is not done on its own tree at all: its commit repeats it on theirs.
 * SPDX-License-Identifier: MIT */
#include "store/server.h"

bool xk__may_put_off(const struct xk_store_server *s) { return s->ops && s->ops->version >= 3 && s->ops->later; }

static void release_ended(struct xk_store_server *s)
{
    struct xk__txn *tx = s->ended;

    s->ended = NULL;
    if (tx)
        xk__txn_release(s, tx);
}

/* Nothing is counted here: a commit has done so, for all others it is of no use; and what the request at hand has
 * planned still stands. */
void xk__txn_end(struct xk__txn *tx)
{
    struct xk_store_server *s = tx->conn->server;

    if (!xk__may_put_off(s)) {
        xk__txn_free(tx);
        return;
    }
    xk__gone_forget(s, tx);
    release_ended(s);
    xk__txn_leave(tx);
    s->ended = tx;
    s->ops->later(s->arg);
}

/* --- what a transaction removed ----------------------------------------------------------------------------------- */

/* The node has been counted, or need not be. */
static void strike(struct xk_store_server *s, struct xk__txn *tx)
{
    xk__node_drop(&s->tree, tx->gone[--tx->ngone].node);
    if (tx->removed > tx->ngone)
        tx->removed = tx->ngone;
    if (!tx->ngone && s->uncounted == tx)
        s->uncounted = NULL;
}

void xk__gone_forget(struct xk_store_server *s, struct xk__txn *tx)
{
    while (tx->ngone)
        strike(s, tx);
}

int xk__gone_remove(struct xk__txn *tx)
{
    struct xk_store_server *s = tx->conn->server;
    int rc = 0;

    while (tx->removed < tx->ngone && rc == 0) {
        tx->way.n = 0;
        rc = xk__tree_remove(&s->tree, &tx->top, xk__entry_path(tx->gone[tx->removed].entry));
        tx->removed += rc == 0;
    }
    return rc;
}

int xk__gone_part(struct xk__txn *tx, struct xk__path path)
{
    for (uint32_t i = tx->removed; i < tx->ngone; i++) {
        struct xk__path gone = xk__entry_path(tx->gone[i].entry);
        if (xk__path_below(path, gone) >= 0 || xk__path_below(gone, path) >= 0)
            return xk__gone_remove(tx);
    }
    return 0;
}

/* No change may have planned anything yet: the server's deltas are used. */
int xk__gone_count(struct xk__txn *tx)
{
    struct xk_store_server *s = tx->conn->server;
    int rc = xk__gone_remove(tx);

    while (tx->ngone && rc == 0) {
        rc = xk__subtract(s, tx->gone[tx->ngone - 1].node);
        if (rc == 0)
            rc = xk__deltas_reserve(s, &tx->deltas, s->deltas.n);
        if (rc == 0) {
            xk__deltas_merge(&tx->deltas, &s->deltas);
            strike(s, tx);
        }
        s->deltas.n = 0;
    }
    return rc;
}

bool xk__gone_repeated(const struct xk__txn *tx)
{
    for (uint32_t i = 0; i < tx->n; i++)
        if (tx->v[i]->flags & XK__TX_MADE)
            return false;
    return tx->base != tx->conn->server->top;
}

/* What that takes and gives back is on the account of the transaction. */
static int charged(struct xk__txn *tx, int (*what)(struct xk__txn *tx), int64_t *more)
{
    struct xk_store_server *s = tx->conn->server;
    size_t before = s->memory;
    int rc = what(tx);

    *more += (int64_t)s->memory - (int64_t)before;
    xk__txn_charge(tx, (int64_t)s->memory - (int64_t)before);
    return rc;
}

/* Of the transaction that last removed something; if its commit repeats that, it is left to it. */
static int count_uncounted(struct xk_store_server *s, int64_t *more)
{
    if (s->uncounted && !xk__gone_repeated(s->uncounted))
        return charged(s->uncounted, xk__gone_count, more);
    s->uncounted = NULL;
    return 0;
}

int xk__gone_settle(struct xk_store_server *s)
{
    int64_t ignored = 0;
    int rc = 0;

    XK_LIST_EACH(c, &s->conns)
    XK_LIST_EACH(e, &XK_CONTAINER(c, struct xk_store_conn, link)->txns)
    if (rc == 0)
        rc = charged(XK_CONTAINER(e, struct xk__txn, link), xk__gone_remove, &ignored);
    return rc;
}

/* What a request takes is charged to its transaction when it is over: not what it counted here. */
int xk__gone_add(struct xk__txn *tx, struct xk__node *n, const struct xk__entry *e)
{
    struct xk_store_server *s = tx->conn->server;
    int64_t more = 0;
    int rc = 0;

    xk__node_ref(n); /* others are carried out, who may be all that holds it */
    if (s->uncounted != tx)
        rc = count_uncounted(s, &more);
    if (rc == 0 && tx->ngone == XK__TX_GONE)
        rc = charged(tx, xk__gone_count, &more);
    xk__txn_charge(tx, -more);
    if (rc) {
        xk__node_drop(&s->tree, n);
        return rc;
    }
    tx->gone[tx->ngone++] = (struct xk__gone){n, e};
    s->uncounted = tx;
    s->ops->later(s->arg);
    return 0;
}

void xk_store_server_tidy(struct xk_store_server *s)
{
    int64_t ignored = 0;

    release_ended(s);
    (void)!count_uncounted(s, &ignored); /* without memory now, later; at the latest for its commit */
}
