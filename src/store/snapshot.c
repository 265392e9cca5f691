/* A bound for what open transactions keep alive. A snapshot costs nothing when it is taken; but what others (or its own
 * domain) change afterwards stays in memory in its old form, and belongs to nobody's account: whoever changes it does
 * not know how long it is kept, whoever keeps it does not know how much is changed. So it is bounded as a whole: old
 * versions take no more than the store itself, or 1 MiB. Beyond that the domain with the most transactions open loses
 * its snapshots: it goes on with the store as it is, and its commits say EAGAIN, which is always a legal answer.
 * Domain 0 and the like are spared. SPDX-License-Identifier: MIT */
#include "store/server.h"

enum { OLD_MIN = 1 << 20, VERSION = 8192 /* about what a version in the history holds: a node and the way to it */ };

/* What is in memory, is not the store as it is now, and is on no account. */
static int64_t old_bytes(const struct xk_store_server *s)
{
    return (int64_t)s->tree.bytes - s->live - s->tx_bytes - (int64_t)s->history.n * VERSION;
}

static int64_t bound(const struct xk_store_server *s) { return s->live > OLD_MIN ? s->live : OLD_MIN; }

/* The oldest snapshot of the domain that has most of them open. */
static struct xk__txn *victim(const struct xk_store_server *s)
{
    struct xk__txn *found = NULL;

    XK_LIST_EACH(e, &s->conns)
    {
        struct xk_store_conn *c = XK_CONTAINER(e, struct xk_store_conn, link);
        if (c->privileged || (found && c->dom->transactions <= found->conn->dom->transactions))
            continue;
        XK_LIST_EACH(f, &c->txns)
        {
            struct xk__txn *tx = XK_CONTAINER(f, struct xk__txn, link);
            if (tx->base != s->top) {
                found = tx;
                break;
            }
        }
    }
    return found;
}

static void let_go(struct xk_store_server *s, struct xk__txn *tx)
{
    struct xk__path none = {"", 0};

    xk__node_drop(&s->tree, tx->base);
    xk__node_drop(&s->tree, tx->top);
    tx->base = xk__node_ref(s->top);
    tx->top = xk__node_ref(s->top);
    tx->way.n = 0;
    xk__gone_forget(s, tx);
    xk__deltas_free(s, &tx->deltas);
    xk__txn_charge(tx, xk__txn_log_bytes(tx) - tx->bytes);
    tx->stale = XK__STALE_LET_GO;
    xk__why(s, none, "transaction %u: its snapshot was let go, as old versions of nodes took more than the store",
            tx->id);
    xk__why_keep(tx->conn, XK_STORE_TRANSACTION_START, XK_EAGAIN);
}

void xk__snapshots_bound(struct xk_store_server *s)
{
    struct xk__txn *tx;

    if (s->ntxns == 0)
        return;
    if (old_bytes(s) > bound(s))
        xk_store_server_tidy(s); /* some of it may only not be freed yet */
    while (old_bytes(s) > bound(s) && (tx = victim(s)))
        let_go(s, tx);
}
