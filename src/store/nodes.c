/* Requests on nodes: DIRECTORY, READ, WRITE, MKDIR, RM, permissions. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "store/record.h"

enum { WORTH_KEEPING = 256 /* bytes of a list of children */ };

static struct xk__perms no_perms(void)
{
    struct xk__perms p = {NULL, 0};
    return p;
}

/* What a node may hold, as this server counts it. */
static bool too_big(const struct xk__req *r, size_t value_len, unsigned nperms)
{
    return xk__quota_hit(r->c, XK__Q_NODE_SIZE, value_len + nperms * sizeof(struct xk__perm));
}

static int refuse(struct xk__req *r, struct xk__path path, struct xk__path rest, unsigned want,
                  const struct xk__node *n)
{
    size_t there = !rest.s ? path.n : rest.s > path.s ? (size_t)(rest.s - path.s) - 1 : 0;
    struct xk__path decides = {path.s, there ? there : 1};
    int rc;

    xk__why(r->s, decides, "it may not %s%s: owner %u, %u further entries",
            want & XK__PERM_OWNER   ? "change permissions"
            : want & XK__PERM_WRITE ? "write"
                                    : "read",
            rest.s ? " here, and what was asked for does not exist" : "", n->perms[0].domid, n->nperms - 1u);
    rc = xk__txn_read(r->tx, decides);
    return rc ? rc : XK_EACCES;
}

/* For changes of the tree's shape and of permissions, which a way that is remembered does not outlive. */
static int own(struct xk__req *r, struct xk__path path, struct xk__node ***slot)
{
    if (r->tx)
        r->tx->way.n = 0;
    return xk__tree_own(&r->s->tree, r->top, path, slot);
}

/* The node at (path), if the caller has all rights of (want) on it. Who has not must not learn whether it exists: then
 * the nearest ancestor that does exist decides between XK_ENOENT and XK_EACCES, as upstream. A transaction remembers
 * who refused, as it may be committed only if that would happen again. */
static int look(struct xk__req *r, struct xk__path path, unsigned want, struct xk__node **out, struct xk__path *rest)
{
    unsigned have;

    *out = xk__tree_deepest_by(*r->top, path, rest, r->tx ? &r->tx->way : NULL);
    have = xk__perms_of(xk__node_perms(*out), &r->who);
    if (!rest->s ? (have & want) != want : !(have & want))
        return refuse(r, path, *rest, want, *out);
    return rest->s ? XK_ENOENT : 0;
}

/* For requests that only look: also notes in the transaction that (path) was seen. */
static int look_single(struct xk__req *r, struct xk__path text, bool special, unsigned want, struct xk__path *path,
                       struct xk__node **out)
{
    struct xk__path rest;
    int rc;

    path->n = 0;
    rc = xk__req_path(r, text, special, path);
    if (rc)
        path->n = 0;
    if (rc == 0)
        rc = xk__txn_read(r->tx, *path);
    return rc ? rc : look(r, *path, want, out, &rest);
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

int xk__do_read(struct xk__req *r)
{
    struct xk__path text, path = {NULL, 0};
    struct xk__node *n;
    int rc = xk__req_single(r, &text);

    if (rc == 0)
        rc = look_single(r, text, false, XK__PERM_READ, &path, &n);
    if (rc)
        return xk__stats_path(path) ? xk__stats_read(r, path) : rc;
    return xk__reply_text(r, xk__node_value(n), n->value_len);
}

/* The names of a directory's children, to (out), which has XK_STORE_PAYLOAD_MAX bytes. Toolstacks list the same one
 * again and again: the last long list is kept, under the directory's generation, which no other state of any directory
 * has. */
static long list(struct xk__req *r, const struct xk__node *dir, char *out)
{
    struct xk__listing *last = &r->s->listing;
    bool done;
    long used;

    if (last->gen == dir->gen) {
        memcpy(out, last->names, last->n);
        return (long)last->n;
    }
    used = xk__tree_list(&r->s->tree, dir, 0, out, XK_STORE_PAYLOAD_MAX, &done);
    if (used >= 0 && !done)
        return XK_E2BIG; /* the caller is to use DIRECTORY_PART */
    if (used >= WORTH_KEEPING) {
        memcpy(last->names, out, (size_t)used);
        last->n = (size_t)used;
        last->gen = dir->gen;
    }
    return used;
}

int xk__do_directory(struct xk__req *r)
{
    struct xk__path text, path = {NULL, 0};
    struct xk__node *n;
    long used;
    int rc = xk__req_single(r, &text);

    if (rc == 0)
        rc = look_single(r, text, false, XK__PERM_READ, &path, &n);
    if (rc)
        return xk__stats_path(path) ? xk__stats_list(r, path) : rc;
    used = list(r, n, (char *)xk__conn_payload(r->c));
    if (used < 0)
        return (int)used;
    xk__reply(r, (size_t)used);
    return 0;
}

/* <path>|<offset> -> <gencnt>|<child-leaf-name>|*, and an empty name after the last one. */
int xk__do_directory_part(struct xk__req *r)
{
    struct xk__path text, offset, path = {NULL, 0};
    struct xk__node *n;
    char *out = (char *)xk__conn_payload(r->c);
    uint32_t skip;
    size_t at = 0, head;
    long used;
    bool done;
    int rc;

    if (xk__req_strings(r) != 2 || xk__req_string(r, &at, &text) || xk__req_string(r, &at, &offset) ||
        xk__decimal(offset.s, offset.n, 0xffffffffu, &skip))
        return XK_EINVAL;
    rc = look_single(r, text, false, XK__PERM_READ, &path, &n);
    if (rc)
        return rc;
    head = (size_t)snprintf(out, 24, "%llu", (unsigned long long)n->gen) + 1;
    used = xk__tree_list(&r->s->tree, n, skip, out + head, XK_STORE_PAYLOAD_MAX - head - 1, &done);
    if (used < 0)
        return (int)used;
    if (done)
        out[head + (size_t)used++] = '\0';
    xk__reply(r, head + (size_t)used);
    return 0;
}

int xk__do_get_perms(struct xk__req *r)
{
    struct xk__path text, path = {NULL, 0};
    struct xk__node *n;
    long used;
    int rc = xk__req_single(r, &text);

    if (rc == 0)
        rc = look_single(r, text, true, XK__PERM_READ, &path, &n);
    if (rc)
        return rc;
    used = xk__perms_format(xk__node_perms(n), (char *)xk__conn_payload(r->c), XK_STORE_PAYLOAD_MAX);
    if (used < 0)
        return (int)used;
    xk__reply(r, (size_t)used);
    return 0;
}

/* --- noting and announcing a change ------------------------------------------------------------------------------- */

static int plan_entry(struct xk__req *r, struct xk__path path)
{
    struct xk__entry *ignored;
    return r->tx ? xk__txn_touch(r->tx, path, &ignored) : 0;
}

/* After the change: cannot fail, plan_entry has made the entry. */
static void note(struct xk__req *r, struct xk__path path, unsigned flags)
{
    struct xk__entry *e;

    if (r->tx && xk__txn_touch(r->tx, path, &e) == 0)
        e->flags |= (uint16_t)flags;
}

static int plan_event(struct xk__req *r, struct xk__path path, struct xk__perms a, struct xk__perms b,
                      struct xk__perms c)
{
    struct xk__perms v[3] = {a, b, c};
    return r->tx ? 0 : xk__events_plan(r->s, path, XK__FIRE_SUBTREE, v, 3);
}

/* For plan_event, which is the only one to need them. */
static struct xk__perms parent_perms(const struct xk__req *r, struct xk__path path)
{
    bool needed = !r->tx && r->s->watches.count && path.s[0] == '/';
    struct xk__node *up = needed ? xk__tree_find(*r->top, xk__path_parent(path)) : NULL;
    return up ? xk__node_perms(up) : no_perms();
}

/* --- creating ----------------------------------------------------------------------------------------------------- */

/* The new nodes of (rest), each the only child of the one before it; the last one gets the value. */
static struct xk__node *chain(struct xk__req *r, struct xk__path rest, struct xk__perms perms, const char *value,
                              size_t n)
{
    struct xk__node *head = NULL, **hook = &head;
    struct xk__path part;

    while (xk__path_next(&rest, &part)) {
        *hook = xk__node_new(&r->s->tree, part, perms, value, rest.s ? 0 : n);
        if (!*hook) {
            xk__node_drop(&r->s->tree, head);
            return NULL;
        }
        hook = &(*hook)->kids;
    }
    return head;
}

/* Calls plan_entry or note for every prefix of (path) that is about to be created. */
static int each_created(struct xk__req *r, struct xk__path path, struct xk__path rest, unsigned last_flags)
{
    struct xk__path part, at = {path.s, 0};
    int rc = 0;

    while (r->tx && rc == 0 && xk__path_next(&rest, &part)) {
        at.n = (size_t)(part.s + part.n - path.s);
        if (last_flags)
            note(r, at, XK__TX_CREATED | (rest.s ? 0 : last_flags));
        else
            rc = plan_entry(r, at);
    }
    return rc;
}

/* The bytes that are planned for the caller's account, on top of what its transaction has planned already. */
static bool memory_hit(struct xk__req *r)
{
    int64_t more = xk__deltas_bytes(&r->s->deltas, r->c->domid);

    return xk__memory_hit(r->c, r->tx && more > 0 ? more + xk__deltas_bytes(&r->tx->deltas, r->c->domid) : more);
}

static int plan_create(struct xk__req *r, struct xk__path path, struct xk__path rest, struct xk__perms perms,
                       size_t value, struct xk__perms up)
{
    struct xk__path part, left = rest;
    int64_t made = 0, owned = r->c->dom->owned;
    int rc = 0;

    while (rc == 0 && xk__path_next(&left, &part)) {
        rc = xk__deltas_add(r->s, &r->s->deltas, perms, xk__node_bytes(part.n, perms.n, left.s ? 0 : value), 1);
        made++;
    }
    if (rc)
        return rc;
    if (r->tx)
        owned += xk__deltas_owned(&r->tx->deltas, r->c->domid);
    if (xk__quota_hit(r->c, XK__Q_NODES, (uint64_t)(owned + made)))
        return XK_ENOSPC;
    if (memory_hit(r))
        return XK_ENOMEM;
    rc = each_created(r, path, rest, 0);
    if (rc == 0)
        rc = plan_event(r, path, perms, up, no_perms());
    return rc ? rc : xk__change_begin(r);
}

/* The new nodes go into the journal, one after the other. */
static int journal_created(struct xk__req *r, struct xk__path path, struct xk__path rest, struct xk__perms perms,
                           const char *value, size_t n)
{
    struct xk__content content = {perms, NULL, 0};
    struct xk__path part, at = {path.s, 0};
    int rc = 0;

    while (!r->tx && rc == 0 && xk__path_next(&rest, &part)) {
        at.n = (size_t)(part.s + part.n - path.s);
        if (!rest.s) {
            content.value = value;
            content.bytes = n;
        }
        rc = xk__journal_node(r->s, at, content);
    }
    return rc;
}

/* Creates (path), of which (rest) is missing below (dir). "Inherits" the permissions of the directory, but who is not
 * privileged owns what he makes. */
static int create(struct xk__req *r, struct xk__path path, struct xk__path rest, struct xk__node *dir,
                  const char *value, size_t n, unsigned flags)
{
    struct xk_store_server *s = r->s;
    struct xk__path where = {path.s, (size_t)(rest.s - path.s) - 1};
    struct xk__perms perms = {s->perms, dir->nperms};
    struct xk__node *head, **slot;
    int rc;

    if (where.n == 0)
        where.n = 1;
    memcpy(s->perms, dir->perms, dir->nperms * sizeof(s->perms[0]));
    if (!r->c->privileged)
        s->perms[0].domid = r->c->domid;
    if (too_big(r, n, perms.n))
        return XK_ENOSPC;
    /* Of several new levels the parent is new too, and inherits the same. */
    rc = plan_create(r, path, rest, perms, n, memchr(rest.s, '/', rest.n) ? perms : xk__node_perms(dir));
    if (rc == 0)
        rc = journal_created(r, path, rest, perms, value, n);
    if (rc)
        return rc;
    head = chain(r, rest, perms, value, n);
    if (!head)
        return XK_ENOMEM;
    rc = own(r, where, &slot);
    if (rc == 0)
        rc = xk__tree_insert(&s->tree, *slot, head);
    if (rc) {
        xk__node_drop(&s->tree, head);
        return rc;
    }
    each_created(r, path, rest, flags);
    xk__change_done(r);
    return xk__reply_ok(r);
}

static int overwrite(struct xk__req *r, struct xk__path path, struct xk__node *n, const char *value, size_t len)
{
    struct xk__entry *e = NULL;
    struct xk__node **slot;
    int rc;

    if (too_big(r, len, n->nperms))
        return XK_ENOSPC;
    rc = r->tx ? xk__txn_touch(r->tx, path, &e) : 0;
    if (rc == 0 && len != n->value_len)
        rc = xk__deltas_grow(r->s, &r->s->deltas, n->perms[0].domid, (int64_t)len - n->value_len);
    if (rc == 0 && memory_hit(r))
        rc = XK_ENOMEM;
    if (rc == 0)
        rc = plan_event(r, path, xk__node_perms(n), parent_perms(r, path), no_perms());
    if (rc == 0)
        rc = xk__change_begin(r);
    if (rc == 0 && !r->tx)
        rc = xk__journal_node(r->s, path, (struct xk__content){xk__node_perms(n), value, len});
    if (rc == 0)
        rc = xk__tree_own_by(&r->s->tree, r->top, path, &slot, r->tx ? &r->tx->way : NULL);
    if (rc == 0)
        rc = xk__tree_set_value(&r->s->tree, slot, value, len);
    if (rc)
        return rc;
    if (e)
        e->flags |= XK__TX_VALUE | XK__TX_EVENT;
    xk__change_done(r);
    return xk__reply_ok(r);
}

int xk__do_write(struct xk__req *r)
{
    struct xk__path text, path, rest;
    struct xk__node *n;
    size_t at = 0, len;
    int rc;

    if (xk__req_string(r, &at, &text))
        return XK_EINVAL;
    rc = xk__req_path(r, text, false, &path);
    if (rc)
        return rc;
    len = r->h.len - at;
    if (xk__stats_path(path))
        return XK_EROFS;
    rc = look(r, path, XK__PERM_WRITE, &n, &rest);
    if (rc == XK_ENOENT)
        return create(r, path, rest, n, r->p + at, len, XK__TX_VALUE | XK__TX_EVENT);
    return rc ? rc : overwrite(r, path, n, r->p + at, len);
}

int xk__do_mkdir(struct xk__req *r)
{
    struct xk__path text, path, rest;
    struct xk__node *n;
    int rc = xk__req_single(r, &text);

    if (rc == 0)
        rc = xk__req_path(r, text, false, &path);
    if (rc)
        return rc;
    if (xk__stats_path(path))
        return XK_EROFS;
    rc = look(r, path, XK__PERM_WRITE, &n, &rest);
    if (rc == XK_ENOENT)
        return create(r, path, rest, n, NULL, 0, XK__TX_EVENT);
    if (rc == 0)
        rc = xk__txn_read(r->tx, path); /* that it existed decided what happened: nothing */
    return rc ? rc : xk__reply_ok(r);
}

/* --- removing ----------------------------------------------------------------------------------------------------- */

static int plan_remove(struct xk__req *r, struct xk__path path, struct xk__node *n)
{
    struct xk_store_server *s = r->s;
    int rc = plan_entry(r, path);

    if (rc == 0)
        rc = xk__subtract(s, n);
    if (rc == 0 && !r->tx) {
        memcpy(s->walk, path.s, path.n);
        rc = xk__events_plan_below(s, n, s->walk, path.n);
    }
    if (rc == 0)
        rc = plan_event(r, path, xk__node_perms(n), parent_perms(r, path), no_perms());
    return rc ? rc : xk__change_begin(r);
}

/* "It is not an error if <path> does not exist, but it _is_ an error if <path>'s immediate parent does not exist". */
static int remove_missing(struct xk__req *r, struct xk__path path, struct xk__path rest)
{
    int rc = xk__txn_read(r->tx, path);

    if (rc)
        return rc;
    return memchr(rest.s, '/', rest.n) ? XK_ENOENT : xk__reply_ok(r);
}

static int remove_node(struct xk__req *r, struct xk__path path, struct xk__node *n)
{
    int rc = plan_remove(r, path, n);

    if (rc == 0 && !r->tx)
        rc = xk__journal_remove(r->s, path);
    if (r->tx)
        r->tx->way.n = 0;
    return rc ? rc : xk__tree_remove(&r->s->tree, r->top, path);
}

/* How much it is matters only to quotas, which a privileged connection has none of, until a commit; and what it leaves
 * to whoever asks next. */
static int remove_later(struct xk__req *r, struct xk__path path, struct xk__node *n)
{
    struct xk__entry *e;
    int rc = xk__txn_touch(r->tx, path, &e);

    return rc ? rc : xk__gone_add(r->tx, n, e);
}

int xk__do_rm(struct xk__req *r)
{
    struct xk__path text, path, rest;
    struct xk__node *n;
    int rc = xk__req_single(r, &text);

    if (rc == 0)
        rc = xk__req_path(r, text, false, &path);
    if (rc == 0 && r->tx)
        rc = xk__gone_part(r->tx, path);
    if (rc)
        return rc;
    rc = look(r, path, XK__PERM_WRITE, &n, &rest);
    if (rc == XK_ENOENT)
        return remove_missing(r, path, rest);
    if (rc)
        return rc;
    if (path.n == 1)
        return XK_EINVAL; /* the root stays */
    rc = r->tx && r->c->privileged && xk__may_put_off(r->s) ? remove_later(r, path, n) : remove_node(r, path, n);
    if (rc)
        return rc;
    note(r, path, XK__TX_REMOVED | XK__TX_EVENT);
    xk__change_done(r);
    return xk__reply_ok(r);
}

/* --- permissions -------------------------------------------------------------------------------------------------- */

static bool exists(const struct xk__req *r, unsigned domid)
{
    const struct xk_store_server *s = r->s;
    const struct xk__dom *d;

    if (domid == 0 || domid == r->c->domid || !s->ops || !s->ops->domain_exists)
        return true;
    d = xk__dom_find(s, domid);
    return (d && d->introduced) || s->ops->domain_exists(s->arg, domid);
}

/* Reads the list into s->perms. */
static int parse_perms(struct xk__req *r, size_t at, struct xk__perms *out)
{
    struct xk_store_server *s = r->s;
    struct xk__path one;
    bool no_owner = false;
    unsigned n = 0;

    while (xk__req_string(r, &at, &one) == 0) {
        if (n == XK__PERMS_MAX || xk__perm_parse(one.s, one.n, &s->perms[n]))
            return XK_EINVAL;
        if (s->perms[n].domid == XK__DOMID_ANY) {
            if (n == 0)
                return XK_EINVAL; /* everybody cannot own a node */
            if (!(r->c->dom->features & XK_STORE_FEATURE_DOMID_ANY))
                s->perms[n].bits |= XK__PERM_IGNORE;
        } else if (!exists(r, s->perms[n].domid)) {
            no_owner |= n == 0;
            s->perms[n].bits |= XK__PERM_IGNORE; /* a later domain of that id must not get it */
        }
        n++;
    }
    out->v = s->perms;
    out->n = n;
    return no_owner ? XK_ENOENT : 0; /* after all errors of spelling, as upstream */
}

static int plan_perms(struct xk__req *r, struct xk__path path, struct xk__node *n, struct xk__perms perms)
{
    int rc = plan_entry(r, path);

    if (rc == 0)
        rc = xk__deltas_add(r->s, &r->s->deltas, xk__node_perms(n), xk__node_size(n), -1);
    if (rc == 0)
        rc = xk__deltas_add(r->s, &r->s->deltas, perms, xk__node_bytes(n->name_len, perms.n, n->value_len), 1);
    if (rc == 0 && memory_hit(r))
        rc = XK_ENOMEM;
    if (rc == 0)
        rc = plan_event(r, path, xk__node_perms(n), perms, parent_perms(r, path));
    return rc ? rc : xk__change_begin(r);
}

int xk__do_set_perms(struct xk__req *r)
{
    struct xk__path text, path, rest;
    struct xk__perms perms;
    struct xk__node *n, **slot;
    unsigned strings = xk__req_strings(r);
    size_t at = 0;
    int rc;

    if (strings < 2 || xk__req_string(r, &at, &text))
        return XK_EINVAL;
    if (xk__quota_hit(r->c, XK__Q_NODE_PERMS, strings - 1))
        return XK_ENOSPC;
    rc = parse_perms(r, at, &perms);
    if (rc == 0)
        rc = xk__req_path(r, text, true, &path);
    if (rc)
        return rc;
    rc = look(r, path, XK__PERM_WRITE | XK__PERM_OWNER, &n, &rest);
    if (rc == XK_ENOENT) {
        rc = xk__txn_read(r->tx, path);
        return rc ? rc : XK_ENOENT;
    }
    if (rc)
        return rc;
    if (!r->c->privileged && perms.v[0].domid != n->perms[0].domid) {
        rc = xk__txn_read(r->tx, path);
        return rc ? rc : XK_EPERM; /* only the control domain changes owners (XSA-330) */
    }
    if (too_big(r, n->value_len, perms.n))
        return XK_ENOSPC;
    rc = plan_perms(r, path, n, perms);
    if (rc == 0 && !r->tx)
        rc = xk__journal_node(r->s, path, (struct xk__content){perms, xk__node_value(n), n->value_len});
    if (rc == 0)
        rc = own(r, path, &slot);
    if (rc == 0)
        rc = xk__tree_set_perms(&r->s->tree, slot, perms);
    if (rc)
        return rc;
    note(r, path, XK__TX_PERMS | XK__TX_EVENT);
    xk__change_done(r);
    return xk__reply_ok(r);
}
