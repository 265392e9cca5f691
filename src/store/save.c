/* The state as a stream. Nothing of the server changes. What a transaction has seen is compared now with what is there
 * now: one that conflicts already is marked, so that the tree of its start need not be written.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "store/record.h"

enum { FLUSH = 64 * 1024 };

struct save {
    struct xk_store_server *s;
    const struct xk_store_saver *saver;
    struct xk_buf buf;
};

static int flush(struct save *v, size_t above)
{
    size_t n = xk_buf_len(&v->buf);
    int rc;

    if (n <= above)
        return 0;
    rc = v->saver->write(v->saver->arg, xk_buf_head(&v->buf), n);
    xk_buf_take(&v->buf, n);
    return rc < 0 ? rc : 0;
}

static bool plain(const struct save *v) { return v->saver->flags & XK_STORE_SAVE_PLAIN; }

/* --- the server and its domains ----------------------------------------------------------------------------------- */

static int put_head(struct save *v)
{
    static const uint8_t head[16] = "xenstore\0\0\0\1\0\0\0"; /* ident, version, flags: big endian numbers */
    struct xk__rec r;
    int rc = xk_buf_put(&v->buf, head, sizeof(head));

    if (rc)
        return rc;
    xk__rec_begin(&r, &v->buf, XK__REC_GLOBAL);
    xk__rec_u32(&r, (uint32_t)v->saver->listener);
    xk__rec_u32(&r, (uint32_t)v->saver->events);
    return xk__rec_end(&r);
}

static void put_quotas(struct xk__rec *r, uint32_t features, const uint32_t *quota)
{
    xk__rec_u32(r, features);
    xk__rec_u32(r, XK__Q_COUNT);
    for (int q = 0; q < XK__Q_COUNT; q++)
        xk__rec_u32(r, quota[q]);
}

int xk__save_server(struct xk_buf *b, const struct xk_store_server *s)
{
    struct xk__rec r;

    xk__rec_begin(&r, b, XK__REC_SERVER);
    xk__rec_u64(&r, s->tree.gen);
    put_quotas(&r, s->features, s->quota);
    return xk__rec_end(&r);
}

int xk__save_domain(struct xk_buf *b, const struct xk__dom *d)
{
    struct xk__rec r;

    xk__rec_begin(&r, b, XK__REC_DOMAIN);
    xk__rec_u16(&r, d->domid);
    xk__rec_u16(&r, (d->introduced ? XK__DOMAIN_INTRODUCED : 0) | (d->shutdown ? XK__DOMAIN_SHUTDOWN : 0));
    xk__rec_u32(&r, d->target < 0 ? XK__NO_TARGET : (uint32_t)d->target);
    put_quotas(&r, d->features, d->quota);
    return xk__rec_end(&r);
}

static int put_domains(struct save *v)
{
    int rc = 0;

    for (int i = 0; i < 256; i++)
        for (int j = 0; v->s->doms[i] && j < 256 && rc == 0; j++)
            if (v->s->doms[i][j])
                rc = xk__save_domain(&v->buf, v->s->doms[i][j]);
    return rc;
}

/* --- connections and watches -------------------------------------------------------------------------------------- */

static int put_conn_more(struct save *v, const struct xk_store_conn *c)
{
    struct xk__rec r;

    xk__rec_begin(&r, &v->buf, XK__REC_CONN_MORE);
    xk__rec_u32(&r, c->id);
    xk__rec_u32(&r,
                (c->privileged ? XK__CONN_PRIVILEGED : 0) | (xk__conn_partial_reply(c) ? XK__CONN_PARTIAL_REPLY : 0));
    xk__rec_u32(&r, c->next_tx);
    xk__rec_u32(&r, c->former_tx);
    return xk__rec_end(&r);
}

static int put_watches(struct save *v, const struct xk_store_conn *c)
{
    int rc = 0;

    XK_LIST_EACH(e, &c->watches)
    {
        const struct xk__watch *w = XK_CONTAINER(e, struct xk__watch, link);
        if (rc == 0)
            rc = xk__rec_watch(&v->buf, XK__REC_WATCH, w);
        if (rc == 0 && !plain(v) && (w->depth >= 0 || w->lost))
            rc = xk__rec_watch(&v->buf, XK__REC_WATCH_MORE, w);
    }
    return rc;
}

/* A connection that its transport does not want to keep has no id for the rest of this. */
static int put_conns(struct save *v)
{
    int rc = 0;

    XK_LIST_EACH(e, &v->s->conns)
    {
        struct xk_store_conn *c = XK_CONTAINER(e, struct xk_store_conn, link);
        struct xk_store_link link = {.fd = -1};
        c->kept = v->saver->link && v->saver->link(v->saver->arg, c, &link) == 0;
        if (!c->kept)
            continue;
        rc = xk__rec_conn(&v->buf, c, &link);
        if (rc == 0 && !plain(v))
            rc = put_conn_more(v, c);
        if (rc == 0)
            rc = put_watches(v, c);
        if (rc == 0)
            rc = flush(v, FLUSH);
        if (rc)
            return rc;
    }
    return 0;
}

/* --- transactions ------------------------------------------------------------------------------------------------- */

static int put_tx_more(struct save *v, const struct xk__txn *tx)
{
    struct xk__rec r;

    xk__rec_begin(&r, &v->buf, XK__REC_TX_MORE);
    xk__rec_u32(&r, tx->conn->id);
    xk__rec_u32(&r, tx->id);
    xk__rec_u32(&r, (xk__txn_conflicts(tx) ? XK__TX_STALE : 0) | (tx->failed ? XK__TX_FAILED : 0));
    xk__rec_u32(&r, tx->deltas.n);
    for (uint32_t i = 0; i < tx->deltas.n; i++) {
        xk__rec_u16(&r, tx->deltas.v[i].domid);
        xk__rec_u16(&r, 0);
        xk__rec_u32(&r, (uint32_t)tx->deltas.v[i].owned);
        xk__rec_u32(&r, (uint32_t)tx->deltas.v[i].refs);
        xk__rec_u64(&r, (uint64_t)tx->deltas.v[i].bytes);
    }
    return xk__rec_end(&r);
}

/* Upstream's view of an entry: read, written, or both with nothing: deleted. */
static unsigned access_of(const struct xk__entry *e, const struct xk__node *n)
{
    unsigned access = e->flags & XK__TX_READ ? XK__NODE_READ : 0;

    if (!n)
        return 0;
    return e->flags & XK__TX_CHANGE ? access | XK__NODE_WRITTEN : access;
}

static int put_entries(struct save *v, const struct xk__txn *tx, uint32_t type)
{
    uint32_t shortest = 0, next;
    int rc = 0;

    /* Shorter paths first, so that a directory stands before what is in it. */
    for (next = 0; next <= XK_STORE_ABS_PATH_MAX && rc == 0; shortest = next) {
        next = XK_STORE_ABS_PATH_MAX + 1;
        for (uint32_t i = 0; i < tx->n && rc == 0; i++) {
            const struct xk__entry *e = tx->v[i];
            struct xk__path path = xk__entry_path(e);
            const struct xk__node *n = xk__tree_find(tx->top, path);
            if (e->len > shortest && e->len < next)
                next = e->len;
            if (e->len == shortest && (n || type != XK__REC_NODE || e->flags & XK__TX_CHANGE)) /* upstream's: deleted */
                rc = xk__rec_node(&v->buf, type, tx->conn->id, tx->id,
                                  type == XK__REC_NODE ? access_of(e, n) : e->flags, path, xk__content_of(n));
        }
        if (rc == 0)
            rc = flush(v, FLUSH);
    }
    return rc;
}

static int put_tx(struct save *v, const struct xk__txn *tx)
{
    struct xk__rec r;
    int rc;

    xk__rec_begin(&r, &v->buf, XK__REC_TX);
    xk__rec_u32(&r, tx->conn->id);
    xk__rec_u32(&r, tx->id);
    rc = xk__rec_end(&r);
    if (rc || plain(v))
        return rc ? rc : put_entries(v, tx, XK__REC_NODE);
    rc = put_tx_more(v, tx);
    return rc ? rc : put_entries(v, tx, XK__REC_ENTRY);
}

static int put_txns(struct save *v)
{
    int rc = 0;

    XK_LIST_EACH(e, &v->s->conns)
    {
        const struct xk_store_conn *c = XK_CONTAINER(e, struct xk_store_conn, link);
        XK_LIST_EACH(t, &c->txns)
        if (c->kept && rc == 0)
            rc = put_tx(v, XK_CONTAINER(t, struct xk__txn, link));
    }
    return rc;
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

static int put_node(void *arg, const struct xk__node *n, struct xk__path path, uint32_t hash)
{
    struct save *v = arg;
    int rc = xk__rec_node(&v->buf, XK__REC_NODE, 0, 0, 0, path, xk__content_of(n));

    (void)hash;
    return rc ? rc : flush(v, FLUSH);
}

static int put_nodes(struct save *v)
{
    static const char *const tops[] = {"/", "@introduceDomain", "@releaseDomain"};
    int rc = 0;

    for (int i = 0; i < 3 && rc == 0; i++) {
        struct xk__path path = {tops[i], strlen(tops[i])};
        const struct xk__node *n = xk__tree_find(v->s->top, path);
        if (!n)
            continue;
        rc = put_node(v, n, path, 0);
        if (rc == 0 && i == 0)
            rc = xk__tree_walk(&v->s->tree, n, v->s->walk, 0, put_node, v);
    }
    return rc;
}

int xk_store_server_save(struct xk_store_server *s, const struct xk_store_saver *saver)
{
    struct save v = {.s = s, .saver = saver};
    struct xk__rec r;
    int rc;

    if (!(saver->flags & XK_STORE_SAVE_NO_TRANSACTIONS) && xk__gone_settle(s))
        return XK_ENOMEM;
    /* A record fits into it on top of what waits to be flushed; its memory is not the server's. */
    xk_buf_init(&v.buf, &s->outer, FLUSH + 2 * XK__RECORD_MAX + XK__CONN_OUT_MAX);
    rc = put_head(&v);
    if (rc == 0 && !plain(&v))
        rc = xk__save_server(&v.buf, s);
    if (rc == 0 && !plain(&v))
        rc = put_domains(&v);
    if (rc == 0)
        rc = put_conns(&v);
    if (rc == 0 && !(saver->flags & XK_STORE_SAVE_NO_TRANSACTIONS))
        rc = put_txns(&v);
    if (rc == 0)
        rc = put_nodes(&v);
    if (rc == 0) {
        xk__rec_begin(&r, &v.buf, XK__REC_END);
        rc = xk__rec_end(&r);
    }
    if (rc == 0)
        rc = flush(&v, 0);
    xk_buf_fini(&v.buf);
    return rc;
}
