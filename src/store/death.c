/* The end of a domain: the nodes that it owns go, with all below them, and so do the permission entries that name it,
 * so that the next domain of that id inherits nothing (XSA-322, XSA-419). The accounts say how much there is to find:
 * mostly nothing, as the toolstack has removed the trees, and then no walk takes place; else its home directory is
 * searched first, and the search ends when all was found. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "store/record.h"

struct victim {
    struct victim *next;
    uint32_t len;
    bool remove; /* else only its permissions change */
    char path[];
};

struct search {
    struct xk_store_server *s;
    uint16_t domid;
    int64_t owned, refs;                   /* still to be found */
    struct victim *first, **last, *inside; /* (inside): the last one that is to be removed */
    struct xk__path skip;
};

static struct xk__path victim_path(const struct victim *v)
{
    struct xk__path p = {v->path, v->len};
    return p;
}

static int add_victim(struct search *q, struct xk__path path, bool remove)
{
    struct victim *v = xk_new(&q->s->alloc, sizeof(*v) + path.n);

    if (!v)
        return XK_ENOMEM;
    v->len = (uint32_t)path.n;
    v->remove = remove;
    memcpy(v->path, path.s, path.n);
    *q->last = v;
    q->last = &v->next;
    if (remove)
        q->inside = v;
    return 0;
}

static int visit(void *arg, const struct xk__node *n, struct xk__path path, uint32_t hash)
{
    struct search *q = arg;
    bool inside = q->inside && xk__path_below(path, victim_path(q->inside)) > 0, named = false;
    int rc = 0;

    (void)hash;
    if (q->owned <= 0 && q->refs <= 0 && !inside)
        return XK_ECANCELED; /* all found */
    if (q->skip.n && xk__path_equal(path, q->skip))
        return 1;
    q->owned -= n->perms[0].domid == q->domid;
    for (unsigned i = 1; i < n->nperms; i++)
        if (n->perms[i].domid == q->domid) {
            named = true;
            q->refs--;
        }
    if (!inside && n->perms[0].domid == q->domid) {
        rc = add_victim(q, path, true);
        inside = true;
    }
    if (rc == 0 && inside)
        return xk__deltas_add(q->s, &q->s->deltas, xk__node_perms(n), xk__node_size(n), -1);
    return rc == 0 && named ? add_victim(q, path, false) : rc;
}

/* Does the domain own "/local" or "/local/domain"? Then its home goes with these, and is no special case. */
static bool owns_above(const struct search *q, struct xk__path path)
{
    while (path.n > 1) {
        const struct xk__node *n;
        path = xk__path_parent(path);
        n = xk__tree_find(q->s->top, path);
        if (n && path.n > 1 && n->perms[0].domid == q->domid)
            return true;
    }
    return false;
}

static int search(struct search *q)
{
    struct xk_store_server *s = q->s;
    struct xk__path root = {"/", 1}, home;
    struct xk__node *n;
    char text[32];
    int rc = 0;

    if (q->owned <= 0 && q->refs <= 0)
        return 0;
    home.s = text;
    home.n = (size_t)snprintf(text, sizeof(text), "/local/domain/%u", q->domid);
    n = xk__tree_find(s->top, home);
    if (n && !owns_above(q, home)) {
        memcpy(s->walk, text, home.n);
        rc = visit(q, n, home, 0);
        if (rc == 0)
            rc = xk__tree_walk(&s->tree, n, s->walk, home.n, visit, q);
        q->skip = home;
    }
    if (rc == 0)
        rc = xk__tree_walk(&s->tree, xk__tree_find(s->top, root), s->walk, 0, visit, q);
    return rc == XK_ECANCELED ? 0 : rc;
}

/* "/", "@introduceDomain" and "@releaseDomain" are never removed. */
static int search_tops(struct search *q)
{
    static const char *const tops[] = {"/", "@introduceDomain", "@releaseDomain"};

    for (int i = 0; i < 3; i++) {
        struct xk__path p = {tops[i], strlen(tops[i])};
        const struct xk__node *n = xk__tree_find(q->s->top, p);
        unsigned named = 0;
        if (!n)
            continue;
        for (unsigned k = 1; k < n->nperms; k++)
            named += n->perms[k].domid == q->domid;
        q->refs -= named;
        q->owned -= n->perms[0].domid == q->domid;
        if ((named || n->perms[0].domid == q->domid) && add_victim(q, p, false))
            return XK_ENOMEM;
    }
    return 0;
}

static int plan_victim(struct xk_store_server *s, const struct victim *v)
{
    struct xk__path path = victim_path(v);
    const struct xk__node *n = xk__tree_find(s->top, path), *up = xk__tree_find(s->top, xk__path_parent(path));
    struct xk__perms perms[2];
    int rc;

    if (!v->remove || !n || !up)
        return 0;
    perms[0] = xk__node_perms(n);
    perms[1] = xk__node_perms(up);
    memcpy(s->walk, path.s, path.n);
    rc = xk__events_plan_below(s, n, s->walk, path.n);
    return rc ? rc : xk__events_plan(s, path, XK__FIRE_SUBTREE, perms, 2);
}

/* Takes the domain off the permissions of a node that stays. Domain 0 inherits what cannot be removed. */
static int forget_perms(struct xk_store_server *s, struct xk__node **top, struct xk__path path, unsigned domid)
{
    struct xk__node **slot;
    struct xk__perms kept = {s->perms, 0};
    int rc = xk__tree_own(&s->tree, top, path, &slot);

    if (rc == 0)
        rc = xk__deltas_add(s, &s->deltas, xk__node_perms(*slot), xk__node_size(*slot), -1);
    if (rc)
        return rc;
    for (unsigned i = 0; i < (*slot)->nperms; i++) {
        if (i && (*slot)->perms[i].domid == domid)
            continue;
        s->perms[kept.n] = (*slot)->perms[i];
        if (i == 0 && s->perms[0].domid == domid)
            s->perms[0].domid = 0;
        kept.n++;
    }
    rc = xk__deltas_add(s, &s->deltas, kept, xk__node_bytes((*slot)->name_len, kept.n, (*slot)->value_len), 1);
    return rc ? rc : xk__tree_set_perms(&s->tree, slot, kept);
}

static int build(struct search *q, struct xk__node **top)
{
    struct xk_store_server *s = q->s;
    int rc = 0;

    for (const struct victim *v = q->first; v && rc == 0; v = v->next) {
        rc = plan_victim(s, v);
        if (rc == 0)
            rc = v->remove ? xk__tree_remove(&s->tree, top, victim_path(v))
                           : forget_perms(s, top, victim_path(v), q->domid);
    }
    return rc;
}

/* The domain's record follows when it has been buried. */
static int journal(const struct search *q, struct xk__node *after, const struct xk__dom *d)
{
    struct xk__dom gone = *d;
    int rc = 0;

    for (const struct victim *v = q->first; v && rc == 0; v = v->next)
        rc = v->remove ? xk__journal_remove(q->s, victim_path(v))
                       : xk__journal_node(q->s, victim_path(v), xk__content_of(xk__tree_find(after, victim_path(v))));
    XK_LIST_EACH(e, &q->s->conns)
    {
        struct xk_store_conn *c = XK_CONTAINER(e, struct xk_store_conn, link);
        if (rc == 0 && c->domid == d->domid && !c->privileged)
            rc = xk__journal_reset(c);
    }
    gone.introduced = gone.shutdown = false;
    gone.target = -1;
    gone.features = q->s->features;
    memcpy(gone.quota, q->s->quota, sizeof(gone.quota));
    return rc ? rc : xk__journal_domain(q->s, &gone);
}

/* From here on nothing can fail. The caller has taken one of d->conns, which keeps the record while callbacks run. */
static void bury(struct xk_store_server *s, struct xk__dom *d)
{
    unsigned domid = d->domid;
    bool was_introduced = d->introduced;

    s->dead[s->deaths % XK__DEAD].domid = d->domid;
    s->deaths++;
    XK_LIST_EACH(e, &s->conns)
    {
        struct xk_store_conn *c = XK_CONTAINER(e, struct xk_store_conn, link);
        if (c->domid == domid && !c->privileged)
            xk__conn_drop_state(c); /* it is not told about its own end */
    }
    xk__dom_untarget(s, domid);
    d->introduced = d->shutdown = false;
    d->target = -1;
    d->features = s->features;
    memcpy(d->quota, s->quota, sizeof(d->quota)); /* XSA-483: the next of this id starts with the standard ones */
    xk__events_done(s);
    if (was_introduced && s->ops && s->ops->release)
        s->ops->release(s->arg, domid);
    d->conns--;
    xk__dom_tidy(s, d);
}

int xk__domain_gone(struct xk_store_server *s, struct xk__dom *d)
{
    struct search q = {.s = s, .domid = d->domid, .owned = d->owned, .refs = d->refs};
    struct xk__node *after = xk__node_ref(s->top), *before = s->top;
    struct victim *v;
    char room[32];
    int rc;

    q.last = &q.first;
    rc = d->refs > 0 || d->owned > 0 ? search_tops(&q) : 0;
    if (rc == 0)
        rc = search(&q);
    if (rc == 0 && q.first)
        rc = build(&q, &after);
    if (rc == 0 && d->introduced)
        rc = xk__events_plan_special(s, "@releaseDomain", d->domid, room, true);
    if (rc == 0)
        rc = xk__deltas_prepare(s, &s->deltas);
    if (rc == 0)
        rc = xk__events_reserve(s);
    if (rc == 0 && s->journal.on)
        rc = journal(&q, after, d);
    if (rc == 0) {
        s->top = after;
        d->conns++;
        xk__deltas_book(s, &s->deltas);
        xk__journal_keep(s);
        if (after != before)
            xk__history_note(s, d->domid, XK_STORE_OP_COUNT);
        bury(s, d); /* delivers events, whose paths are those of the victims */
        after = before;
    }
    xk__plan_clear(s);
    xk__journal_drop(s);
    xk__node_drop(&s->tree, after);
    while ((v = q.first)) {
        q.first = v->next;
        xk_free(&s->alloc, v, sizeof(*v) + v->len);
    }
    return rc;
}

int xk_store_domain_died(struct xk_store_server *s, unsigned domid)
{
    struct xk__dom *d = xk__dom_find(s, domid);
    int rc;

    if (domid == 0)
        return XK_EINVAL;
    if (!d)
        return XK_ENOENT;
    rc = xk__domain_gone(s, d);
    xk__conn_wake(s);
    return rc;
}

int xk_store_domain_shutdown(struct xk_store_server *s, unsigned domid)
{
    struct xk__dom *d = xk__dom_find(s, domid);
    char room[32];
    int rc;

    if (!d || !d->introduced)
        return XK_ENOENT;
    if (d->shutdown)
        return 0;
    rc = xk__events_plan_special(s, "@releaseDomain", domid, room, true);
    if (rc == 0)
        rc = xk__events_reserve(s);
    if (rc == 0) {
        d->shutdown = true;
        rc = xk__journal_domain(s, d);
        d->shutdown = rc == 0;
    }
    if (rc == 0) {
        xk__journal_keep(s);
        xk__events_done(s);
    }
    xk__journal_drop(s);
    xk__plan_clear(s);
    xk__conn_wake(s);
    return rc;
}
