/* History: what nodes were, and taking changes back. A tree that is never changed in place is its own record: a version
 * is a reference to it. Off at first, as then a change need not copy the way down; CONTROL history on <n> keeps the
 * last (n) versions. Taking back is a change like others: watches fire, accounts and journal follow, and it can be
 * taken back. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "store/record.h"

enum { VERSIONS_MAX = 4096 };

struct xk__version {
    struct xk__node *top; /* after the change */
    uint64_t at, deaths;
    uint32_t type; /* of the request, or XK_STORE_OP_COUNT: a domain died */
    uint16_t domid;
};

static struct xk__version *version(const struct xk_store_server *s, uint32_t back)
{
    return &s->history.v[(s->history.head + s->history.n - 1 - back) % s->history.cap];
}

void xk__history_note(struct xk_store_server *s, unsigned domid, uint32_t type)
{
    struct xk__history *h = &s->history;
    struct xk__version *v;

    if (!h->cap)
        return;
    if (h->n == h->cap) {
        xk__node_drop(&s->tree, h->v[h->head].top);
        h->head = (h->head + 1) % h->cap;
        h->n--;
    }
    v = &h->v[(h->head + h->n++) % h->cap];
    *v = (struct xk__version){xk__node_ref(s->top), s->ops && s->ops->now ? s->ops->now(s->arg) : 0, s->deaths, type,
                              (uint16_t)domid};
}

void xk__history_fini(struct xk_store_server *s)
{
    for (uint32_t i = 0; i < s->history.n; i++)
        xk__node_drop(&s->tree, version(s, i)->top);
    xk_free(&s->alloc, s->history.v, s->history.cap * sizeof(*s->history.v));
    memset(&s->history, 0, sizeof(s->history));
}

/* Keeps (n) versions from now on, 0: none; what was kept before is forgotten. */
int xk__history_keep(struct xk_store_server *s, uint32_t n)
{
    struct xk__version *v = NULL;

    if (n > VERSIONS_MAX)
        return XK_EINVAL;
    if (n && !(v = xk_new(&s->alloc, (n + 1) * sizeof(*v))))
        return XK_ENOMEM;
    xk__history_fini(s);
    s->history.v = v;
    s->history.cap = n ? n + 1 : 0; /* n changes have n + 1 states */
    xk__history_note(s, 0, XK_STORE_OP_COUNT);
    return 0;
}

static bool same(const struct xk__node *a, const struct xk__node *b)
{
    return a == b || (a && b && a->gen == b->gen && a->kids == b->kids);
}

int xk__history_change(struct xk_store_server *s, struct xk__path path, uint32_t nth, uint32_t *back)
{
    for (uint32_t i = 0; i + 1 < s->history.n; i++) {
        if (same(xk__tree_find(version(s, i)->top, path), xk__tree_find(version(s, i + 1)->top, path)))
            continue;
        if (nth-- == 0) {
            *back = i;
            return 0;
        }
    }
    return XK_ENOENT;
}

size_t xk__history_line(struct xk_store_server *s, struct xk__path path, uint32_t nth, char *out, size_t room)
{
    const struct xk__version *v;
    const struct xk__node *n;
    const char *what;
    uint32_t back;
    char value[41];
    size_t len, i;
    int r;

    if (xk__history_change(s, path, nth, &back))
        return 0;
    v = version(s, back);
    n = xk__tree_find(v->top, path);
    what = v->type < XK_STORE_OP_COUNT ? xk_store_op_name(v->type) : "its end";
    len = n ? n->value_len : 0;
    for (i = 0; i < len && i < sizeof(value) - 1; i++) {
        char c = xk__node_value(n)[i];
        value[i] = (char)(c >= ' ' && c < 127 ? c : '.');
    }
    value[i] = '\0';
    r = snprintf(out, room, "%u  %.1f s ago  domain %u, %s: %s%s%s%s\n", nth + 1,
                 s->ops && s->ops->now ? (double)(s->ops->now(s->arg) - v->at) / 1e9 : 0.0, v->domid, what,
                 n ? "\"" : "removed", value, n ? "\"" : "", len > i ? "..." : "");
    return r < 0 || (size_t)r >= room ? 0 : (size_t)r;
}

/* --- taking back -------------------------------------------------------------------------------------------------- */

struct undo {
    struct xk_store_server *s;
    const struct xk__version *to;
    struct xk__node **top;
};

/* A domain that died since may have a successor of its number, which is to inherit nothing (XSA-322). */
static bool names_dead(const struct undo *u, const struct xk__node *n)
{
    const struct xk_store_server *s = u->s;

    if (s->deaths - u->to->deaths > XK__DEAD)
        return true;
    for (unsigned i = 0; i < n->nperms; i++)
        for (uint64_t d = u->to->deaths; d < s->deaths; d++)
            if (s->dead[d % XK__DEAD].domid == n->perms[i].domid)
                return true;
    return false;
}

static int bring(void *arg, const struct xk__node *n, struct xk__path path, uint32_t hash)
{
    struct undo *u = arg;
    struct xk__perms perms = xk__node_perms(n);
    int rc = names_dead(u, n) ? XK_EPERM : 0;

    (void)hash;
    if (rc) {
        xk__why(u->s, path, "it named a domain that is gone now");
        return rc;
    }
    rc = xk__deltas_add(u->s, &u->s->deltas, perms, xk__node_size(n), 1);
    if (rc == 0)
        rc = xk__journal_node(u->s, path, xk__content_of(n));
    return rc;
}

static int take_away(struct undo *u, struct xk__path path, const struct xk__node *now)
{
    struct xk_store_server *s = u->s;
    int rc = xk__subtract(s, now);

    if (rc == 0)
        rc = xk__journal_remove(s, path);
    if (rc == 0) {
        memcpy(s->walk, path.s, path.n);
        rc = xk__events_plan_below(s, now, s->walk, path.n);
    }
    if (rc == 0)
        rc = xk__tree_remove(&s->tree, u->top, path);
    return rc;
}

static int bring_back(struct undo *u, struct xk__path path, const struct xk__node *was)
{
    struct xk_store_server *s = u->s;
    struct xk__node *copy, **slot;
    int rc = xk__tree_find(*u->top, xk__path_parent(path)) ? 0 : XK_ENOENT;

    if (rc == 0)
        rc = bring(u, was, path, 0);
    if (rc == 0 && was->kids) {
        memcpy(s->walk, path.s, path.n);
        rc = xk__tree_walk(&s->tree, was, s->walk, path.n, bring, u);
    }
    if (rc == 0 && was->kids) {
        memcpy(s->walk, path.s, path.n);
        rc = xk__events_plan_below(s, was, s->walk, path.n);
    }
    if (rc)
        return rc;
    copy = xk__node_new(&s->tree, xk__path_last(path), xk__node_perms(was), xk__node_value(was), was->value_len);
    if (!copy)
        return XK_ENOMEM;
    copy->kids = was->kids ? xk__node_ref(was->kids) : NULL;
    rc = xk__tree_own(&s->tree, u->top, xk__path_parent(path), &slot);
    if (rc == 0)
        rc = xk__tree_insert(&s->tree, *slot, copy);
    if (rc)
        xk__node_drop(&s->tree, copy);
    return rc;
}

static int build(struct undo *u, struct xk__path path)
{
    struct xk_store_server *s = u->s;
    const struct xk__node *was = xk__tree_find(u->to->top, path), *now = xk__tree_find(s->top, path);
    const struct xk__node *up = xk__tree_find(s->top, xk__path_parent(path));
    struct xk__perms v[3];
    unsigned n = 0;
    int rc = now ? take_away(u, path, now) : 0;

    if (rc == 0 && was)
        rc = bring_back(u, path, was);
    if (was)
        v[n++] = xk__node_perms(was);
    if (now)
        v[n++] = xk__node_perms(now);
    if (up)
        v[n++] = xk__node_perms(up);
    return rc ? rc : xk__events_plan(s, path, XK__FIRE_SUBTREE, v, n);
}

int xk__history_undo(struct xk__req *r, struct xk__path path, uint32_t nth)
{
    struct xk_store_server *s = r->s;
    struct xk__node *after = NULL, *before = s->top;
    struct undo u = {s, NULL, &after};
    uint32_t back = 0;
    int rc = path.n == 1 || path.s[0] == '@' ? XK_EINVAL : xk__history_change(s, path, nth, &back);

    if (rc)
        return rc;
    u.to = version(s, back + 1);
    after = xk__node_ref(s->top);
    rc = build(&u, path);
    if (rc == 0)
        rc = xk__deltas_prepare(s, &s->deltas);
    if (rc == 0)
        rc = xk__events_reserve(s);
    if (rc) {
        xk__node_drop(&s->tree, after);
        return rc;
    }
    s->top = after;
    xk__deltas_book(s, &s->deltas);
    xk__journal_keep(s);
    xk__events_done(s);
    xk__history_note(s, r->c->domid, r->h.type);
    xk__node_drop(&s->tree, before);
    return 0;
}
