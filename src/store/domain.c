/* Domains as the store knows them: quotas, and exact accounts of what each owns and of where it is named in permission
 * lists. With these two counts at zero a death costs nothing, whatever the size of the store. SPDX-License-Identifier:
 * MIT */
#include <stdio.h>
#include <string.h>

#include "store/server.h"

static const char *const quota_names[XK__Q_COUNT] = {
    [XK__Q_NODES] = "nodes",
    [XK__Q_WATCHES] = "watches",
    [XK__Q_TRANSACTIONS] = "transactions",
    [XK__Q_OUTSTANDING] = "outstanding",
    [XK__Q_TX_NODES] = "transaction-nodes",
    [XK__Q_NODE_SIZE] = "node-size",
    [XK__Q_NODE_PERMS] = "node-permissions",
    [XK__Q_PATH_MAX] = "path-max",
    [XK__Q_EVENTS] = "watch-events",
    [XK__Q_MEMORY] = "memory",
    [XK__Q_MEMORY_SOFT] = "memory-soft",
};

const char *xk__quota_name(enum xk__quota q) { return quota_names[q]; }

int xk__quota_parse(const char *s, size_t n)
{
    /* xenstore.txt says "permissions" where xenstored says "node-permissions": both are understood. */
    if (n == 11 && memcmp(s, "permissions", n) == 0)
        return XK__Q_NODE_PERMS;
    for (int q = 0; q < XK__Q_COUNT; q++)
        if (strlen(quota_names[q]) == n && memcmp(s, quota_names[q], n) == 0)
            return q;
    return XK_EINVAL;
}

bool xk__quota_hit(const struct xk_store_conn *c, enum xk__quota q, uint64_t v)
{
    struct xk__path none = {"", 0};

    if (c->privileged || !c->dom->quota[q] || v <= c->dom->quota[q])
        return false;
    xk__why(c->server, none, "quota %s: %u, and this would be %llu", quota_names[q], c->dom->quota[q],
            (unsigned long long)v);
    return true;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static int64_t buffers(const struct xk_store_conn *c)
{
    return (int64_t)(c->in.cap + c->out.cap + c->record_cap * sizeof(*c->records));
}

int64_t xk__memory_of(const struct xk_store_server *s, const struct xk__dom *d)
{
    int64_t sum = d->bytes + d->other;

    XK_LIST_EACH(e, &s->conns)
    {
        const struct xk_store_conn *c = XK_CONTAINER(e, struct xk_store_conn, link);
        if (c->dom == d)
            sum += buffers(c);
    }
    return sum;
}

/* Beyond the soft quota there is a word in the log, once; beyond the other one requests fail. */
bool xk__memory_hit(struct xk_store_conn *c, int64_t more)
{
    struct xk__dom *d = c->dom;
    int64_t now = d->bytes + d->other + buffers(c) + more;
    uint32_t hard = d->quota[XK__Q_MEMORY], soft = d->quota[XK__Q_MEMORY_SOFT];
    struct xk__path none = {"", 0};
    char line[96];
    int n;

    if (c->privileged || more <= 0)
        return false;
    if (soft && now <= soft)
        d->soft_told = false;
    if (soft && now > soft && !d->soft_told && c->server->ops && c->server->ops->log) {
        d->soft_told = true;
        n = snprintf(line, sizeof(line), "domain %u: its %lld bytes are beyond the soft quota of %u", d->domid,
                     (long long)now, soft);
        c->server->ops->log(c->server->arg, line, (size_t)n);
    }
    if (!hard || now <= hard)
        return false;
    xk__why(c->server, none, "quota memory: %u bytes, and this would be %lld", hard, (long long)now);
    return true;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

struct xk__dom *xk__dom_find(const struct xk_store_server *s, unsigned domid)
{
    struct xk__dom **row = domid > 0xffff ? NULL : s->doms[domid >> 8];
    return row ? row[domid & 0xff] : NULL;
}

struct xk__dom *xk__dom_get(struct xk_store_server *s, unsigned domid)
{
    struct xk__dom ***row = &s->doms[(domid >> 8) & 0xff], *d;

    if (!*row)
        *row = xk_new(&s->alloc, 256 * sizeof(**row));
    if (!*row)
        return NULL;
    d = (*row)[domid & 0xff];
    if (d)
        return d;
    d = xk_new(&s->alloc, sizeof(*d));
    if (!d)
        return NULL;
    d->domid = (uint16_t)domid;
    d->target = -1;
    d->features = s->features;
    memcpy(d->quota, s->quota, sizeof(d->quota));
    (*row)[domid & 0xff] = d;
    s->ndoms++;
    return d;
}

void xk__dom_tidy(struct xk_store_server *s, struct xk__dom *d)
{
    if (d->introduced || d->conns || d->owned || d->refs)
        return;
    s->doms[d->domid >> 8][d->domid & 0xff] = NULL;
    s->ndoms--;
    xk_free(&s->alloc, d->why, sizeof(*d->why));
    xk_free(&s->alloc, d, sizeof(*d));
}

void xk__dom_untarget(struct xk_store_server *s, unsigned domid)
{
    for (int i = 0; s->targets && i < 256; i++)
        for (int j = 0; s->doms[i] && j < 256; j++)
            if (s->doms[i][j] && s->doms[i][j]->target == (int32_t)domid)
                s->doms[i][j]->target = -1;
}

void xk__doms_free(struct xk_store_server *s)
{
    for (int i = 0; i < 256; i++) {
        for (int j = 0; s->doms[i] && j < 256; j++) {
            if (s->doms[i][j])
                xk_free(&s->alloc, s->doms[i][j]->why, sizeof(struct xk__why));
            xk_free(&s->alloc, s->doms[i][j], sizeof(struct xk__dom));
        }
        xk_free(&s->alloc, s->doms[i], 256 * sizeof(*s->doms[i]));
        s->doms[i] = NULL;
    }
}

/* --- accounts ----------------------------------------------------------------------------------------------------- */

int xk__deltas_reserve(struct xk_store_server *s, struct xk__deltas *d, uint32_t more)
{
    uint32_t cap = d->cap ? d->cap : 8;
    struct xk__delta *v;

    while (cap < d->n + more)
        cap *= 2;
    if (cap == d->cap)
        return 0;
    v = xk_resize(&s->alloc, d->v, d->cap * sizeof(*v), cap * sizeof(*v));
    if (!v)
        return XK_ENOMEM;
    d->v = v;
    d->cap = cap;
    return 0;
}

/* The place of (domid), added if missing: the caller has reserved. Neighbours in the tree mostly have the same owner,
 * so the search starts at the end. */
static struct xk__delta *place(struct xk__deltas *d, uint16_t domid)
{
    struct xk__delta *e;

    for (uint32_t i = d->n; i-- > 0;)
        if (d->v[i].domid == domid)
            return &d->v[i];
    e = &d->v[d->n++];
    e->domid = domid;
    e->owned = e->refs = 0;
    e->bytes = 0;
    return e;
}

int xk__deltas_add(struct xk_store_server *s, struct xk__deltas *d, struct xk__perms p, size_t bytes, int sign)
{
    if (xk__deltas_reserve(s, d, p.n))
        return XK_ENOMEM;
    place(d, p.v[0].domid)->owned += sign;
    place(d, p.v[0].domid)->bytes += sign * (int64_t)bytes;
    for (unsigned i = 1; i < p.n; i++)
        place(d, p.v[i].domid)->refs += sign;
    return 0;
}

int xk__deltas_grow(struct xk_store_server *s, struct xk__deltas *d, unsigned owner, int64_t bytes)
{
    if (xk__deltas_reserve(s, d, 1))
        return XK_ENOMEM;
    place(d, (uint16_t)owner)->bytes += bytes;
    return 0;
}

void xk__deltas_merge(struct xk__deltas *to, const struct xk__deltas *from)
{
    for (uint32_t i = 0; i < from->n; i++) {
        struct xk__delta *e = place(to, from->v[i].domid);
        e->owned += from->v[i].owned;
        e->refs += from->v[i].refs;
        e->bytes += from->v[i].bytes;
    }
}

int32_t xk__deltas_owned(const struct xk__deltas *d, unsigned domid)
{
    for (uint32_t i = 0; i < d->n; i++)
        if (d->v[i].domid == domid)
            return d->v[i].owned;
    return 0;
}

int64_t xk__deltas_bytes(const struct xk__deltas *d, unsigned domid)
{
    for (uint32_t i = 0; i < d->n; i++)
        if (d->v[i].domid == domid)
            return d->v[i].bytes;
    return 0;
}

int xk__deltas_prepare(struct xk_store_server *s, const struct xk__deltas *d)
{
    /* Of one that was named and is not any more nothing is known. */
    for (uint32_t i = 0; i < d->n; i++)
        if ((d->v[i].owned || d->v[i].refs || d->v[i].bytes) && !xk__dom_get(s, d->v[i].domid))
            return XK_ENOMEM;
    return 0;
}

/* A record that was made because permissions named the domain: nothing was said of it otherwise. */
static bool only_named(const struct xk_store_server *s, const struct xk__dom *d)
{
    return d->target < 0 && d->features == s->features && memcmp(d->quota, s->quota, sizeof(d->quota)) == 0;
}

void xk__deltas_book(struct xk_store_server *s, const struct xk__deltas *d)
{
    for (uint32_t i = 0; i < d->n; i++) {
        struct xk__dom *dom = xk__dom_find(s, d->v[i].domid);
        s->nodes += d->v[i].owned;
        s->live += d->v[i].bytes;
        if (!dom)
            continue;
        dom->owned += d->v[i].owned;
        dom->refs += d->v[i].refs;
        dom->bytes += d->v[i].bytes;
        if ((d->v[i].owned < 0 || d->v[i].refs < 0) && only_named(s, dom))
            xk__dom_tidy(s, dom); /* else a guest could have us keep one for each domain that there can be */
    }
}

void xk__deltas_free(struct xk_store_server *s, struct xk__deltas *d)
{
    xk_free(&s->alloc, d->v, d->cap * sizeof(*d->v));
    memset(d, 0, sizeof(*d));
}

static int subtract_one(void *arg, const struct xk__node *n)
{
    struct xk_store_server *s = arg;

    return xk__deltas_add(s, &s->deltas, xk__node_perms(n), xk__node_size(n), -1);
}

int xk__subtract(struct xk_store_server *s, const struct xk__node *n)
{
    int rc = xk__deltas_add(s, &s->deltas, xk__node_perms(n), xk__node_size(n), -1);

    if (rc == 0 && n->kids)
        rc = xk__tree_each(&s->tree, n, subtract_one, s);
    return rc;
}
