/* Transactions. A start takes two references on the tree; requests work on a private tree and log which paths they saw
 * and which they changed. A commit finds either that nothing happened in between, then the private tree becomes the
 * tree; or it checks the log against what is there now and repeats the changes on it. Both cost what the transaction
 * touched.
 *
 * The rule for conflicts (upstream's, transaction.c, tells by generation): what was read must be as it was at the
 * start. What was only written may have changed, and the writes merge, as long as the write would have been allowed and
 * would have meant the same: the permissions it relied on are the same, the directory it went into still exists. EAGAIN
 * is always a legal answer, so in doubt it is given. SPDX-License-Identifier: MIT */
#include <string.h>

#include "store/record.h"

enum { CHUNK = 1024, INDEX_FROM = 16 };

/* --- the log ------------------------------------------------------------------------------------------------------ */

static void index_put(struct xk__txn *tx, uint32_t i)
{
    uint32_t mask = tx->cap * 2 - 1, at = tx->v[i]->hash & mask;

    while (tx->index[at])
        at = (at + 1) & mask;
    tx->index[at] = i + 1;
}

static struct xk__entry *log_find(const struct xk__txn *tx, struct xk__path path, uint32_t hash)
{
    uint32_t mask = tx->cap * 2 - 1;

    if (!tx->index) {
        for (uint32_t i = 0; i < tx->n; i++)
            if (tx->v[i]->hash == hash && xk__path_equal(xk__entry_path(tx->v[i]), path))
                return tx->v[i];
        return NULL;
    }
    for (uint32_t at = hash & mask; tx->index[at]; at = (at + 1) & mask) {
        struct xk__entry *e = tx->v[tx->index[at] - 1];
        if (e->hash == hash && xk__path_equal(xk__entry_path(e), path))
            return e;
    }
    return NULL;
}

/* Doubles the log; from INDEX_FROM entries on it has an index. */
static int log_grow(struct xk__txn *tx)
{
    const xk_alloc *a = &tx->conn->server->alloc;
    uint32_t cap = tx->cap ? tx->cap * 2 : INDEX_FROM;
    uint32_t *index = NULL;
    struct xk__entry **v;

    if (cap > INDEX_FROM) {
        index = xk_new(a, cap * 2 * sizeof(*index));
        if (!index)
            return XK_ENOMEM;
    }
    v = xk_resize(a, tx->v, tx->cap * sizeof(*v), cap * sizeof(*v));
    if (!v) {
        xk_free(a, index, cap * 2 * sizeof(*index));
        return XK_ENOMEM;
    }
    xk_free(a, tx->index, tx->index ? tx->cap * 2 * sizeof(*index) : 0);
    tx->v = v;
    tx->cap = cap;
    tx->index = index;
    for (uint32_t i = 0; index && i < tx->n; i++)
        index_put(tx, i);
    return 0;
}

static struct xk__entry *entry_new(struct xk__txn *tx, size_t n)
{
    const xk_alloc *a = &tx->conn->server->alloc;
    size_t size = (sizeof(struct xk__entry) + n + 7) & ~(size_t)7, want;
    struct xk__chunk *c = tx->chunks;

    if (!c || c->size - c->used < size) {
        want = sizeof(*c) + size > CHUNK ? sizeof(*c) + size : CHUNK;
        c = xk_resize(a, NULL, 0, want);
        if (!c)
            return NULL;
        c->size = want;
        c->used = sizeof(*c);
        c->next = tx->chunks;
        tx->chunks = c;
    }
    c->used += size;
    return (struct xk__entry *)(void *)((char *)c + c->used - size);
}

int xk__txn_touch(struct xk__txn *tx, struct xk__path path, struct xk__entry **out)
{
    uint32_t hash = xk__hash(tx->conn->server->tree.seed, path.s, path.n);
    struct xk__entry *e = log_find(tx, path, hash);

    if (!e) {
        if (xk__quota_hit(tx->conn, XK__Q_TX_NODES, (uint64_t)tx->n + 1) ||
            xk__memory_hit(tx->conn, (int64_t)(sizeof(*e) + path.n))) {
            tx->failed = true; /* as upstream: half a transaction must not be committed */
            return XK_ENOSPC;
        }
        if (tx->n == tx->cap && log_grow(tx))
            return XK_ENOMEM;
        e = entry_new(tx, path.n);
        if (!e)
            return XK_ENOMEM;
        e->hash = hash;
        e->flags = 0;
        e->len = (uint16_t)path.n;
        memcpy(e->path, path.s, path.n);
        tx->v[tx->n++] = e;
        if (tx->index)
            index_put(tx, tx->n - 1);
    }
    *out = e;
    return 0;
}

int xk__txn_read(struct xk__txn *tx, struct xk__path path)
{
    struct xk__entry *e;
    int rc = tx ? xk__txn_touch(tx, path, &e) : 0;

    if (tx && rc == 0)
        e->flags |= XK__TX_READ;
    return rc;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

struct xk__txn *xk__txn_find(const struct xk_store_conn *c, uint32_t id)
{
    XK_LIST_EACH(e, &c->txns)
    {
        struct xk__txn *tx = XK_CONTAINER(e, struct xk__txn, link);
        if (tx->id == id)
            return tx;
    }
    return NULL;
}

int xk__txn_start(struct xk_store_conn *c, struct xk__txn **out)
{
    struct xk_store_server *s = c->server;
    struct xk__txn *tx = xk_new(&s->alloc, sizeof(*tx));

    if (!tx)
        return XK_ENOMEM;
    tx->conn = c;
    tx->base = xk__node_ref(s->top);
    tx->top = xk__node_ref(s->top);
    tx->deaths = s->deaths;
    do
        tx->id = ++c->next_tx;
    while (tx->id == 0 || xk__txn_find(c, tx->id));
    xk_list_add_tail(&c->txns, &tx->link);
    c->dom->transactions++;
    xk__txn_charge(tx, (int64_t)sizeof(*tx));
    s->ntxns++;
    *out = tx;
    return 0;
}

void xk__txn_charge(struct xk__txn *tx, int64_t more)
{
    tx->bytes += more;
    tx->conn->dom->other += more;
    tx->conn->server->tx_bytes += more;
}

int64_t xk__txn_log_bytes(const struct xk__txn *tx)
{
    size_t n = sizeof(*tx) + tx->cap * sizeof(*tx->v) + (tx->index ? tx->cap * 2 * sizeof(*tx->index) : 0);

    for (const struct xk__chunk *c = tx->chunks; c; c = c->next)
        n += c->size;
    return (int64_t)n;
}

void xk__txn_leave(struct xk__txn *tx)
{
    xk_list_del(&tx->link);
    tx->conn->dom->transactions--;
    xk__txn_charge(tx, -tx->bytes);
    tx->conn->server->ntxns--;
}

void xk__txn_release(struct xk_store_server *s, struct xk__txn *tx)
{
    struct xk__chunk *next;

    xk__gone_forget(s, tx);
    for (struct xk__chunk *c = tx->chunks; c; c = next) {
        next = c->next;
        xk_free(&s->alloc, c, c->size);
    }
    xk_free(&s->alloc, tx->index, tx->index ? tx->cap * 2 * sizeof(*tx->index) : 0);
    xk_free(&s->alloc, tx->v, tx->cap * sizeof(*tx->v));
    xk__deltas_free(s, &tx->deltas);
    xk__node_drop(&s->tree, tx->base);
    xk__node_drop(&s->tree, tx->top);
    xk_free(&s->alloc, tx, sizeof(*tx));
}

void xk__txn_free(struct xk__txn *tx)
{
    struct xk_store_server *s = tx->conn->server;

    xk__txn_leave(tx);
    xk__txn_release(s, tx);
}

/* --- may it be committed? ----------------------------------------------------------------------------------------- */

/* Where the log was last looked up: entries that follow each other are mostly of one directory. */
struct places {
    struct xk__near base, now;
};

static bool same_perms(const struct xk__node *a, const struct xk__node *b)
{
    return a && b && (a == b || xk__perms_equal(xk__node_perms(a), xk__node_perms(b)));
}

/* Of a node that others have made meanwhile (now), and whose permissions were set: only the control domain changes
 * owners (XSA-330). */
static bool keeps_owner(const struct xk__txn *tx, const struct xk__entry *e, const struct xk__node *now)
{
    const struct xk__node *made = e->flags & XK__TX_PERMS ? xk__tree_find(tx->top, xk__entry_path(e)) : NULL;

    return !made || tx->conn->privileged || made->perms[0].domid == now->perms[0].domid;
}

static bool creation_holds(const struct xk__txn *tx, const struct xk__entry *e, const struct xk__node *was,
                           const struct xk__node *now)
{
    struct xk__node *now_top = tx->conn->server->top;
    struct xk__path up = xk__path_parent(xk__entry_path(e));
    const struct xk__node *dir = xk__tree_find(tx->base, up), *dir_now = xk__tree_find(now_top, up);
    struct xk__who who = xk__conn_who(tx->conn);
    unsigned want = e->flags & XK__TX_PERMS ? XK__PERM_WRITE | XK__PERM_OWNER : XK__PERM_WRITE;

    if (!dir && dir_now)
        dir = xk__tree_find(tx->top, up); /* others have made the directory, too */
    if (dir && !same_perms(dir, dir_now))
        return false; /* it would inherit other permissions */
    if (!was && now)  /* MKDIR, too, is for who may write */
        return (xk__perms_of(xk__node_perms(now), &who) & want) == want && keeps_owner(tx, e, now);
    return true;
}

/* A change that was made without looking: what it relied on, silently, was that it was permitted. */
static bool change_holds(const struct xk__txn *tx, const struct xk__entry *e, const struct xk__node *was,
                         const struct xk__node *now)
{
    bool removed = e->flags & XK__TX_REMOVED, set = e->flags & (XK__TX_VALUE | XK__TX_PERMS);

    if (removed && !was && now)
        return false;
    if (removed && was &&
        (now ? !same_perms(was, now) : set)) /* (set): it must have been there before it was removed */
        return false;
    if (!(e->flags & XK__TX_CREATED))
        return removed || same_perms(was, now);
    return creation_holds(tx, e, was, now);
}

static uint64_t gen_of(const struct xk__node *n) { return n ? n->gen : 0; }

static bool entry_holds(const struct xk__txn *tx, const struct xk__entry *e, struct places *at)
{
    const struct xk__node *was = xk__tree_find_near(tx->base, xk__entry_path(e), &at->base);
    const struct xk__node *now = xk__tree_find_near(tx->conn->server->top, xk__entry_path(e), &at->now);

    if (e->flags & XK__TX_READ && gen_of(was) != gen_of(now))
        return false;
    return !(e->flags & XK__TX_CHANGE) || change_holds(tx, e, was, now);
}

/* Permissions given inside the transaction to a domain that died meanwhile would pass to the next of its id. */
static bool names_dead(const struct xk__txn *tx, const struct xk__entry *e)
{
    const struct xk_store_server *s = tx->conn->server;
    uint64_t since = s->deaths - tx->deaths;
    const struct xk__node *n;

    if (since == 0 || !(e->flags & (XK__TX_CREATED | XK__TX_PERMS)))
        return false;
    n = xk__tree_find(tx->top, xk__entry_path(e));
    if (!n)
        return false;
    if (since > XK__DEAD)
        return true;
    for (unsigned i = 0; i < n->nperms; i++)
        for (uint64_t d = tx->deaths; d < s->deaths; d++)
            if (s->dead[d % XK__DEAD].domid == n->perms[i].domid)
                return true;
    return false;
}

static void explain(const struct xk__txn *tx, const struct xk__entry *e)
{
    const struct xk__node *was = xk__tree_find(tx->base, xk__entry_path(e));
    const struct xk__node *now = xk__tree_find(tx->conn->server->top, xk__entry_path(e));

    xk__why(tx->conn->server, xk__entry_path(e), "the transaction %s it, and meanwhile somebody else %s it",
            e->flags & XK__TX_READ ? "read" : "changed",
            names_dead(tx, e) ? "whom it names died beside"
            : !was && now     ? "created"
            : was && !now     ? "removed"
                              : "changed");
}

static int check(const struct xk__txn *tx)
{
    bool moved = tx->base != tx->conn->server->top;
    struct xk__path none = {"", 0};
    struct places at = {0};

    if (tx->stale) {
        xk__why(tx->conn->server, none,
                tx->stale == XK__STALE_LET_GO
                    ? "its snapshot was let go, as old versions of nodes took more than the store"
                    : "it was open when the store changed its process, and conflicted or was lost");
        return XK_EAGAIN;
    }
    for (uint32_t i = 0; i < tx->n; i++)
        if ((moved && !entry_holds(tx, tx->v[i], &at)) || names_dead(tx, tx->v[i])) {
            explain(tx, tx->v[i]);
            return XK_EAGAIN;
        }
    return 0;
}

bool xk__txn_conflicts(const struct xk__txn *tx) { return check(tx) != 0; }

/* --- repeating the changes on today's tree ------------------------------------------------------------------------ */

static int merge_removal(struct xk_store_server *s, struct xk__node **top, struct xk__path path)
{
    struct xk__node *n = xk__tree_find(*top, path);
    int rc = n ? xk__subtract(s, n) : 0;

    return !n || rc ? rc : xk__tree_remove(&s->tree, top, path);
}

/* Creates what is missing on the way to (path) as it is in the transaction. One level a turn, top down. */
static int merge_missing(struct xk__txn *tx, struct xk__node **top, struct xk__path path)
{
    struct xk_store_server *s = tx->conn->server;
    struct xk__path rest, part, at, up;
    struct xk__node **dir, *n;
    const struct xk__node *mine;
    int rc;

    for (;;) {
        xk__tree_deepest(*top, path, &rest);
        if (!rest.s)
            return 0;
        xk__path_next(&rest, &part);
        at.s = path.s;
        at.n = (size_t)(part.s + part.n - path.s);
        up = xk__path_parent(at);
        mine = xk__tree_find(tx->top, at);
        if (!mine)
            return XK_EAGAIN;
        n = xk__node_new(&s->tree, part, xk__node_perms(mine), xk__node_value(mine), mine->value_len);
        if (!n)
            return XK_ENOMEM;
        rc = xk__deltas_add(s, &s->deltas, xk__node_perms(n), xk__node_size(n), 1);
        if (rc == 0)
            rc = xk__tree_own(&s->tree, top, up, &dir);
        if (rc == 0)
            rc = xk__tree_insert(&s->tree, *dir, n);
        if (rc) {
            xk__node_drop(&s->tree, n);
            return rc;
        }
    }
}

/* Where changes were last made: (mine) in the transaction's own tree, which stays as it is, (way) in the new one. */
struct merging {
    struct xk__near mine;
    struct xk__way way;
};

static int merge_change(struct xk__txn *tx, struct xk__node **top, const struct xk__entry *e, struct merging *at)
{
    struct xk_store_server *s = tx->conn->server;
    const struct xk__node *mine = xk__tree_find_near(tx->top, xk__entry_path(e), &at->mine);
    struct xk__path rest;
    struct xk__node **slot;
    int rc = 0;

    if (!mine)
        return 0; /* removed again */
    xk__tree_deepest_by(*top, xk__entry_path(e), &rest, &at->way);
    if (rest.s) {
        at->way.n = 0;
        return merge_missing(tx, top, xk__entry_path(e));
    }
    if (!(e->flags & (XK__TX_VALUE | XK__TX_PERMS)))
        return 0; /* MKDIR on an existing node leaves it alone */
    rc = xk__tree_own_by(&s->tree, top, xk__entry_path(e), &slot, &at->way);
    if (rc == 0 && e->flags & XK__TX_VALUE)
        rc = xk__deltas_grow(s, &s->deltas, (*slot)->perms[0].domid, (int64_t)mine->value_len - (*slot)->value_len);
    if (rc == 0 && e->flags & XK__TX_VALUE)
        rc = xk__tree_set_value(&s->tree, slot, xk__node_value(mine), mine->value_len);
    if (rc == 0 && e->flags & XK__TX_PERMS) {
        at->way.n = 0;
        rc = xk__deltas_add(s, &s->deltas, xk__node_perms(*slot), xk__node_size(*slot), -1);
        if (rc == 0)
            rc = xk__deltas_add(s, &s->deltas, xk__node_perms(mine),
                                xk__node_bytes((*slot)->name_len, mine->nperms, (*slot)->value_len), 1);
        if (rc == 0)
            rc = xk__tree_set_perms(&s->tree, slot, xk__node_perms(mine));
    }
    return rc;
}

static int merge(struct xk__txn *tx, struct xk__node **top)
{
    struct xk_store_server *s = tx->conn->server;
    struct merging at = {0};
    int rc = 0;

    for (uint32_t i = 0; i < tx->n && rc == 0; i++)
        if (tx->v[i]->flags & XK__TX_REMOVED)
            rc = merge_removal(s, top, xk__entry_path(tx->v[i]));
    for (uint32_t i = 0; i < tx->n && rc == 0; i++)
        if (tx->v[i]->flags & XK__TX_MADE)
            rc = merge_change(tx, top, tx->v[i], &at);
    return rc;
}

/* --- commit ------------------------------------------------------------------------------------------------------- */

static int plan_events(struct xk__txn *tx, struct xk__node *after, const struct xk__entry *e)
{
    struct xk_store_server *s = tx->conn->server;
    struct xk__path path = xk__entry_path(e);
    struct xk__node *was, *now, *up;
    struct xk__perms v[3];
    unsigned n = 0;
    int rc = 0;

    if (!xk__watched(s, path) && !(e->flags & XK__TX_REMOVED && xk__watched_below(s, path)))
        return 0;
    was = xk__tree_find(s->top, path);
    now = xk__tree_find(after, path);
    up = xk__tree_find(after, xk__path_parent(path));
    if (!was && !now)
        return 0; /* came and went inside the transaction */
    if (!up)
        up = xk__tree_find(s->top, xk__path_parent(path));
    if (was)
        v[n++] = xk__node_perms(was);
    if (now)
        v[n++] = xk__node_perms(now);
    if (up)
        v[n++] = xk__node_perms(up);
    if (was && e->flags & XK__TX_REMOVED) {
        memcpy(s->walk, path.s, path.n);
        rc = xk__events_plan_below(s, was, s->walk, path.n);
    }
    return rc ? rc : xk__events_plan(s, path, XK__FIRE_SUBTREE, v, n);
}

static int build(struct xk__txn *tx, struct xk__node **after)
{
    struct xk_store_server *s = tx->conn->server;
    int rc;

    if (tx->base == s->top) {
        *after = xk__node_ref(tx->top);
        rc = xk__gone_count(tx);
        if (rc == 0)
            rc = xk__deltas_reserve(s, &s->deltas, tx->deltas.n);
        if (rc == 0)
            xk__deltas_merge(&s->deltas, &tx->deltas);
        return rc;
    }
    *after = xk__node_ref(s->top);
    return merge(tx, after);
}

/* What the commit makes of each path that it changes, as (after) has it. */
static int journal(struct xk__txn *tx, struct xk__node *after)
{
    struct xk_store_server *s = tx->conn->server;
    int rc = 0;

    for (uint32_t i = 0; i < tx->n && rc == 0; i++)
        if (tx->v[i]->flags & XK__TX_REMOVED)
            rc = xk__journal_remove(s, xk__entry_path(tx->v[i]));
    /* A directory before what is in it: an entry whose parent comes later in the log waits for the next turn. */
    for (size_t n = 0, next = 1; next && rc == 0; n = next) {
        next = 0;
        for (uint32_t i = 0; i < tx->n && rc == 0; i++) {
            const struct xk__entry *e = tx->v[i];
            const struct xk__node *now = e->flags & XK__TX_CHANGE ? xk__tree_find(after, xk__entry_path(e)) : NULL;
            if (now && e->len > n && (next == 0 || e->len < next))
                next = e->len;
            if (now && e->len == n)
                rc = xk__journal_node(s, xk__entry_path(e), xk__content_of(now));
        }
    }
    return rc;
}

int xk__txn_commit(struct xk__txn *tx)
{
    struct xk_store_server *s = tx->conn->server;
    struct xk__node *after = NULL, *before = s->top;
    int32_t more;
    int rc;

    if (tx->failed)
        return XK_ENOMEM; /* upstream's answer */
    rc = xk__gone_repeated(tx) ? 0 : xk__gone_remove(tx);
    if (rc == 0)
        rc = check(tx);
    if (rc == 0)
        rc = build(tx, &after);
    more = xk__deltas_owned(&s->deltas, tx->conn->domid);
    if (rc == 0 && more > 0 && xk__quota_hit(tx->conn, XK__Q_NODES, (uint64_t)(tx->conn->dom->owned + more)))
        rc = XK_ENOSPC;
    for (uint32_t i = 0; i < tx->n && rc == 0 && s->watches.count; i++)
        if (tx->v[i]->flags & XK__TX_EVENT)
            rc = plan_events(tx, after, tx->v[i]);
    if (rc == 0)
        rc = xk__deltas_prepare(s, &s->deltas);
    if (rc == 0)
        rc = xk__events_reserve(s);
    if (rc == 0 && s->journal.on)
        rc = journal(tx, after);
    if (rc) {
        xk__node_drop(&s->tree, after);
        s->stats.conflicts += rc == XK_EAGAIN;
        return rc;
    }
    s->top = after;
    if (after != before) {
        xk__credit_spend(tx->conn);
        xk__history_note(s, tx->conn->domid, XK_STORE_TRANSACTION_END);
    }
    xk__deltas_book(s, &s->deltas);
    xk__journal_keep(s);
    xk__events_done(s);
    xk__node_drop(&s->tree, before);
    s->stats.commits++;
    return 0;
}
