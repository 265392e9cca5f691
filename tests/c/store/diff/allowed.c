/* diff/allowed.c - the differences from xenstored that the protocol (Xen's docs/misc/xenstore.txt, "the text" below)
 * allows, each as narrow as can be told. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenkit/err.h>

#include "diff.h"

static bool ours_is(const struct clash *c, const char *error) { return strcmp(error_of(c->ours), error) == 0; }
static bool theirs_is(const struct clash *c, const char *error) { return strcmp(error_of(c->theirs), error) == 0; }

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* Whether a path exists, and if not, whether that may be known. */
static bool is_look(const struct reply *r)
{
    return !failed_reply(r) || strcmp(r->p, "ENOENT") == 0 || strcmp(r->p, "EACCES") == 0;
}

static bool both_fail(const struct clash *c) { return failed_reply(c->ours) && failed_reply(c->theirs); }

/* Both are below some directory that is not /t, nor a home. */
static bool in_one_directory(const char *a, const char *b)
{
    unsigned slashes = strncmp(a, "/local/domain/", 14) == 0 ? 5 : 3;

    for (; *a == *b && *a; a++, b++)
        if (*a == '/' && --slashes == 0)
            return true;
    return slashes == 1 && (!*a || *a == '/') && (!*b || *b == '/'); /* one of them is that directory */
}

/* What the transaction has made has other permissions, as others have made a directory that it is in. */
static bool inherits(const struct clash *c)
{
    bool made = false, beside = false;
    char path[XK_STORE_PACKET_MAX];

    if (c->op->type != XK_STORE_GET_PERMS || both_fail(c) || !c->txn)
        return false;
    for (size_t i = 0; i < c->txn->log.n; i++)
        made |= (c->txn->log.v[i].type == XK_STORE_WRITE || c->txn->log.v[i].type == XK_STORE_MKDIR) &&
                op_path(&c->txn->log.v[i], path, sizeof(path)) && path_near(path, c->path);
    for (size_t i = 0; i < c->txn->noutside; i++)
        beside |= in_one_directory(c->txn->outside[i], c->path);
    return made && beside;
}

static bool snapshot(const struct clash *c)
{
    bool above = is_look(c->ours) && is_look(c->theirs) && (failed_reply(c->ours) || failed_reply(c->theirs));

    return c->txn && *c->path && (txn_touched(c->txn, c->path, above) || inherits(c));
}

static bool special_perms(const struct clash *c)
{
    if (c->path[0] != '@' || !theirs_is(c, "EINVAL"))
        return false;
    return c->op->type == XK_STORE_GET_PERMS || (c->op->type == XK_STORE_SET_PERMS && both_fail(c));
}

/* DOMID_ANY of xen.h */
static bool owner_any(const struct clash *c)
{
    const char *owner = op_string(c->op, 1);
    return c->op->type == XK_STORE_SET_PERMS && both_fail(c) && owner && strcmp(owner + (*owner != 0), "32757") == 0;
}

static bool unwatch_path(const struct clash *c)
{
    return c->op->type == XK_STORE_UNWATCH && ours_is(c, "EINVAL") && theirs_is(c, "ENOENT");
}

/* How many nodes the requests so far, and this one, can have to do with: their paths and all directories above. */
static unsigned nodes_in_reach(const struct clash *c)
{
    char paths[64][XK_STORE_PACKET_MAX];
    unsigned n = 0;

    for (size_t i = 0; i <= c->txn->log.n && n < 64; i++) {
        const struct op *op = i < c->txn->log.n ? &c->txn->log.v[i] : c->op;
        char path[XK_STORE_PACKET_MAX];
        bool more = op_path(op, path, sizeof(path));
        if (op->type == XK_STORE_RM)
            return 64; /* and all below, nobody knows how many */
        while (more && n < 64) {
            bool known = false;
            for (unsigned k = 0; k < n; k++)
                known |= strcmp(paths[k], path) == 0;
            if (!known)
                strcpy(paths[n++], path);
            more = path[0] == '/' && path[1];
            if (more)
                strrchr(path, '/')[strrchr(path, '/') == path] = 0; /* of "/a" the slash stays */
        }
    }
    return n;
}

static bool txn_nodes(const struct clash *c)
{
    return c->txn && is_ring(c->op->conn) &&
           (theirs_is(c, "ENOSPC") || ours_is(c, "ENOSPC") || (theirs_is(c, "EIO") && c->op->type == XK_STORE_RM) ||
            (theirs_is(c, "ENOMEM") && c->op->type == XK_STORE_TRANSACTION_END)) &&
           nodes_in_reach(c) > c->w->setup.tx_nodes;
}

static unsigned owned(const struct clash *c)
{
    struct tree t;
    unsigned n;

    tree_read(c->w, OURS, &t);
    n = tree_owned(&t, domid_of(c->op->conn));
    tree_free(&t);
    return n;
}

static bool txn_quota(const struct clash *c)
{
    bool counts_twice = c->txn && (c->txn->noutside || c->txn->everything);

    if (!c->txn || !is_ring(c->op->conn) || ours_is(c, "ENOSPC") == theirs_is(c, "ENOSPC"))
        return false;
    if (c->op->type == XK_STORE_TRANSACTION_END)
        return owned(c) + (!ours_is(c, "OK") || counts_twice) * nodes_in_reach(c) >= c->w->setup.nodes;
    return (c->op->type == XK_STORE_WRITE || c->op->type == XK_STORE_MKDIR) &&
           owned(c) + nodes_in_reach(c) > c->w->setup.nodes;
}

/* Cuts off the last part. False for the root and special nodes, which have no directory. */
static bool to_parent(char *path)
{
    if (path[0] != '/' || path[1] == 0)
        return false;
    strrchr(path, '/')[strrchr(path, '/') == path] = 0;
    return true;
}

/* The list of (path) leaves no room for (more) bytes in a node. */
static bool crowded(struct world *w, const char *path, size_t more)
{
    struct op op = {
        .type = XK_STORE_DIRECTORY, .payload = (char *)(uintptr_t)path, .len = (uint16_t)(strlen(path) + 1)};
    struct reply r;
    bool is;

    if (!ask(w, OURS, WATCHER, &op, 0, &r))
        return false;
    is = failed_reply(&r) ? strcmp(r.p, "E2BIG") == 0 : r.len + more + 100 > w->setup.size;
    free(r.p);
    return is;
}

static bool children(const struct clash *c)
{
    char up[XK_STORE_PACKET_MAX];

    if (!is_ring(c->op->conn) || !ours_is(c, "OK") || !theirs_is(c, "ENOSPC") || c->path[0] != '/')
        return false;
    snprintf(up, sizeof(up), "%s", c->path);
    return crowded(c->w, c->path, c->op->len) || (to_parent(up) && crowded(c->w, up, c->op->len));
}

static bool special_owner(const struct clash *c)
{
    static const char *const names[] = {"@introduceDomain", "@releaseDomain"};
    bool any = false;

    for (int i = 0; i < 2 && ours_is(c, "ENOSPC") && is_ring(c->op->conn); i++) {
        struct op op = {.type = XK_STORE_GET_PERMS, .payload = (char *)(uintptr_t)names[i]};
        struct reply r;
        op.len = (uint16_t)(strlen(names[i]) + 1);
        if (!ask(c->w, OURS, WATCHER, &op, 0, &r))
            return false;
        any |= !failed_reply(&r) && strtoul(r.p + 1, NULL, 10) == domid_of(c->op->conn);
        free(r.p);
    }
    return any && owned(c) + 2 >= c->w->setup.nodes;
}

static bool special_given(const struct clash *c)
{
    return c->op->type == XK_STORE_SET_PERMS && c->path[0] == '@' && is_ring(c->op->conn) && ours_is(c, "EPERM") &&
           theirs_is(c, "OK");
}

static bool refusal(const struct clash *c)
{
    return c->op->type == XK_STORE_TRANSACTION_END && both_fail(c) && ours_is(c, "EAGAIN") &&
           (c->txn->noutside || c->txn->everything);
}

static bool enospc_inside(const struct clash *c)
{
    return c->op->type == XK_STORE_TRANSACTION_END && theirs_is(c, "ENOMEM") && txn_enospc_inside(c->txn);
}

static bool dead_account(const struct clash *c)
{
    return c->op->type == XK_STORE_TRANSACTION_END && theirs_is(c, "ENOMEM") && c->txn->everything;
}

static bool plain_number(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n < 11 && !s[n] && strtoull(s, NULL, 10) <= 65535;
}

static bool plain_entries(const struct op *op)
{
    const char *s;

    for (unsigned i = 1; (s = op_string(op, i)); i++)
        if (*s && !plain_number(s + 1))
            return false;
    return true;
}

static bool numbers(const struct clash *c)
{
    const char *s = op_string(c->op, c->op->type == XK_STORE_DIRECTORY_PART);

    switch (c->op->type) {
    case XK_STORE_DIRECTORY_PART:
    case XK_STORE_GET_DOMAIN_PATH:
    case XK_STORE_IS_DOMAIN_INTRODUCED:
    case XK_STORE_RELEASE:
    case XK_STORE_RESUME:
        return s && !plain_number(s) && ours_is(c, "EINVAL");
    case XK_STORE_SET_PERMS:
        return ours_is(c, "EINVAL") && !plain_entries(c->op);
    default:
        return false;
    }
}

static bool dead_entries(const struct clash *c)
{
    char text[SIDES][XK_STORE_PACKET_MAX];
    const struct reply *r[SIDES] = {c->ours, c->theirs};

    if (c->op->type != XK_STORE_GET_PERMS || failed_reply(c->ours) || failed_reply(c->theirs))
        return false;
    for (enum side side = OURS; side < SIDES; side++) {
        memcpy(text[side], r[side]->p, r[side]->len + 1);
        for (uint32_t i = 0; i + 1 < r[side]->len; i++)
            if (!text[side][i])
                text[side][i] = ' ';
    }
    return allowed_perms(c->w, text[OURS], text[THEIRS]);
}

/* The entries of (path) differ by some of the dead. */
static bool has_dead_entry(struct world *w, const char *path)
{
    struct op op = {
        .type = XK_STORE_GET_PERMS, .payload = (char *)(uintptr_t)path, .len = (uint16_t)(strlen(path) + 1)};
    struct op probe = {.type = XK_STORE_GET_PERMS};
    struct clash c = {.w = w, .op = &probe};
    struct reply ours, theirs;
    bool differ;

    if (!ask(w, OURS, WATCHER, &op, 0, &ours))
        return false;
    if (!ask(w, THEIRS, WATCHER, &op, 0, &theirs)) {
        free(ours.p);
        return false;
    }
    c.ours = &ours;
    c.theirs = &theirs;
    differ = !same_reply(&probe, &ours, &theirs) && dead_entries(&c);
    free(ours.p);
    free(theirs.p);
    return differ;
}

/* What ours has on the way to (path), the last of it, has no entry for the domain. */
static bool not_named(struct world *w, const char *path, unsigned domid)
{
    char at[XK_STORE_PACKET_MAX];
    struct op op = {.type = XK_STORE_GET_PERMS, .payload = at};
    struct reply r;
    bool named = false;

    snprintf(at, sizeof(at), "%s", path);
    for (;;) {
        op.len = (uint16_t)(strlen(at) + 1);
        if (!ask(w, OURS, WATCHER, &op, 0, &r))
            return false;
        if (!failed_reply(&r) || strrchr(at, '/') <= at)
            break;
        free(r.p);
        *strrchr(at, '/') = 0;
    }
    for (size_t k = 0; !failed_reply(&r) && k + 1 < r.len; k += strlen(r.p + k) + 1)
        named |= strtoul(r.p + k + 1, NULL, 10) == domid;
    free(r.p);
    return !named;
}

static bool dead_rights(const struct clash *c)
{
    char path[XK_STORE_PACKET_MAX];

    if (ours_is(c, "EACCES") == theirs_is(c, "EACCES") || !is_ring(c->op->conn) || c->path[0] != '/' ||
        !c->w->died_once[domid_of(c->op->conn)])
        return false;
    if (c->op->type == XK_STORE_RM && !failed_reply(c->theirs)) /* there it cannot be looked at any more */
        return not_named(c->w, c->path, domid_of(c->op->conn));
    snprintf(path, sizeof(path), "%s", c->path);
    while (!has_dead_entry(c->w, path)) {
        if (strrchr(path, '/') <= path)
            return false;
        *strrchr(path, '/') = 0;
    }
    return true;
}

static bool special_watch(const struct clash *c)
{
    return (c->op->type == XK_STORE_WATCH || c->op->type == XK_STORE_UNWATCH) && c->path[0] == '@' &&
           ours_is(c, "EINVAL") && !theirs_is(c, "EINVAL");
}

static bool long_path(const struct clash *c)
{
    return !is_ring(c->op->conn) && theirs_is(c, "EINVAL") && strlen(c->path) > c->w->setup.path &&
           strlen(c->path) <= XK_STORE_ABS_PATH_MAX;
}

static bool newer(const struct clash *c)
{
    return c->op->type >= XK_STORE_GET_FEATURE && c->op->type <= XK_STORE_SET_QUOTA && theirs_is(c, "ENOSYS");
}

static const struct {
    const char *name;
    bool (*fits)(const struct clash *c);
    enum effect effect;
    const char *why;
} answers[] = {
    {"special-perms", special_perms, PLAIN,
     "permissions of @introduceDomain and @releaseDomain: the text lets them be set and says nothing about reading "
     "them, "
     "which is EINVAL in xenstored; the error of a refused SET_PERMS is whatever errno held there"},
    {"owner-any", owner_any, PLAIN,
     "DOMID_ANY as owner is an error of another name: ENOENT in 4.17, which does not "
     "know it"},
    {"unwatch-path", unwatch_path, PLAIN,
     "UNWATCH of a path that is none: EINVAL, as in later xenstoreds; 4.17 does not "
     "check it and finds no such watch"},
    {"refusal", refusal, PLAIN,
     "a commit that fails for two reasons: ours looks for conflicts first, and a client that "
     "tries again will be told the other"},
    {"txn-nodes", txn_nodes, ABORT,
     "the quota for the nodes that a transaction touches: ours counts those that were named, xenstored all that it had "
     "to "
     "look at on the way"},
    {"txn-quota", txn_quota, ABORT,
     "the quota of nodes, in a transaction: ours counts what it has made and removed so far; xenstored does that at "
     "its "
     "end, and there lets one less pass than without a transaction, and counts what somebody else has made meanwhile "
     "once "
     "more"},
    {"children", children, PLAIN,
     "the quota for the size of a node, which counts the names of its children in xenstored"},
    {"special-owner", special_owner, PLAIN,
     "@introduceDomain and @releaseDomain count as nodes of who was made their "
     "owner; the text does not say whether"},
    {"special-given", special_given, PLAIN,
     "whom the control domain made owner of @introduceDomain or @releaseDomain may not make somebody else "
     "that: XSA-330 for all nodes; 4.17, where these are none, does not look"},
    {"enospc-inside", enospc_inside, PLAIN,
     "after a request in a transaction has failed with ENOSPC, 4.17 also fails the "
     "commit, with ENOMEM; in ours that request has simply not happened"},
    {"dead-account", dead_account, PLAIN,
     "a commit with changes to the nodes of a domain that is gone meanwhile: xenstored cannot book them, and says "
     "ENOMEM"},
    {"numbers", numbers, PLAIN,
     "what is no decimal number in the range of 0..65535 is EINVAL: the text says that such errors \"generally go "
     "undetected\", as in xenstored, which takes the digits that it finds"},
    {"dead-entries", dead_entries, PLAIN,
     "of domains that are gone, permission lists have no entries; xenstored shows them, without effect"},
    {"special-watch", special_watch, PLAIN,
     "watches on special paths that no event will ever have, such as \"@/\", are EINVAL; in xenstored any are set"},
    {"long-path", long_path, PLAIN,
     "domain 0 may use paths of up to 3072 bytes, as the text has it; in xenstored the quota binds it, too"},
    {"newer", newer, PLAIN, "operations that came after 4.17, which answers ENOSYS"},
    {"snapshot", snapshot, STALE,
     "inside a transaction, about a path near one that others changed since its start: \"When transaction is started "
     "whole db is copied\" is what ours does; xenstored shows the live node until the transaction has touched it"},
    {"dead-rights", dead_rights, PLAIN,
     "a domain that is released, is named in permissions, and introduced again has in xenstored what entries of its "
     "earlier life were rewritten in between"},
};

enum { ANSWERS = sizeof(answers) / sizeof(answers[0]) };

/* --- events ------------------------------------------------------------------------------------------------------- */

/* The transaction that has just ended removed (path), or a directory that it was in. */
static bool removed_in_it(const struct world *w, const char *path)
{
    char gone[XK_STORE_PACKET_MAX];

    for (size_t i = 0; i < w->ended.log.n; i++)
        if (w->ended.log.v[i].type == XK_STORE_RM && !failed_reply(&w->ended.said[i]) &&
            op_path(&w->ended.log.v[i], gone, sizeof(gone)) && strlen(gone) <= strlen(path) && path_near(gone, path))
            return true;
    return false;
}

static bool event_path(unsigned conn, const struct event *e, char *out, size_t room)
{
    struct op op = {.conn = (uint8_t)conn, .payload = e->path, .len = (uint16_t)(strlen(e->path) + 1)};
    return op_path(&op, out, room);
}

/* Ours decides by the permissions of the directory, too, which xenstored forgets where the node is gone. */
static bool gone_in_txn(struct world *w, const struct op *op, enum side extra, unsigned conn, const struct event *e)
{
    char path[XK_STORE_PACKET_MAX];

    return extra == OURS && op->type == XK_STORE_TRANSACTION_END && is_ring(conn) &&
           event_path(conn, e, path, sizeof(path)) && removed_in_it(w, path);
}

/* What was made, removed and made again inside. Either the watch has an event of what is there in the end, or the
 * watcher cannot read that. */
static bool remade_in_txn(struct world *w, const struct op *op, enum side extra, unsigned conn, const struct event *e)
{
    struct op read = {.type = XK_STORE_READ, .payload = e->path, .len = (uint16_t)(strlen(e->path) + 1)};
    const struct inbox *in = &w->conn[conn].in[OURS];
    char path[XK_STORE_PACKET_MAX];
    struct reply r;
    bool hidden;

    if (extra != THEIRS || op->type != XK_STORE_TRANSACTION_END || !event_path(conn, e, path, sizeof(path)) ||
        !removed_in_it(w, path))
        return false;
    for (size_t i = 0; i < in->nevents; i++)
        if (strcmp(in->events[i].token, e->token) == 0 && path_near(in->events[i].path, e->path))
            return true;
    if (!ask(w, THEIRS, conn, &read, 0, &r))
        return false;
    hidden = failed_reply(&r);
    free(r.p);
    return hidden;
}

/* Which of the permissions of the directory count, those before or those after the commit? */
static bool txn_directory_set(struct world *w, const struct op *op, enum side extra, unsigned conn,
                              const struct event *e)
{
    char path[XK_STORE_PACKET_MAX], set[XK_STORE_PACKET_MAX];

    if (extra != THEIRS || op->type != XK_STORE_TRANSACTION_END || !is_ring(conn) ||
        !event_path(conn, e, path, sizeof(path)) || !to_parent(path))
        return false;
    for (size_t i = 0; i < w->ended.log.n; i++)
        if (w->ended.log.v[i].type == XK_STORE_SET_PERMS && !failed_reply(&w->ended.said[i]) &&
            op_path(&w->ended.log.v[i], set, sizeof(set)) && strcmp(set, path) == 0)
            return true;
    return false;
}

static bool txn_directory(struct world *w, const struct op *op, enum side extra, unsigned conn, const struct event *e)
{
    char path[XK_STORE_PACKET_MAX];
    struct op list = {.type = XK_STORE_DIRECTORY, .conn = (uint8_t)conn, .payload = path};
    struct reply r;
    bool may;

    if (extra != OURS || op->type != XK_STORE_TRANSACTION_END || !is_ring(conn) ||
        !event_path(conn, e, path, sizeof(path)) || !to_parent(path))
        return false;
    list.len = (uint16_t)(strlen(path) + 1);
    if (!ask(w, THEIRS, conn, &list, 0, &r))
        return false;
    may = !failed_reply(&r);
    free(r.p);
    return may;
}

static bool merged_change(struct world *w, const struct op *op, enum side extra, unsigned conn, const struct event *e)
{
    char path[XK_STORE_PACKET_MAX], made[XK_STORE_PACKET_MAX];

    if (extra != OURS || op->type != XK_STORE_TRANSACTION_END || !event_path(conn, e, path, sizeof(path)) ||
        !txn_touched(&w->ended, path, false))
        return false;
    for (size_t i = 0; i < w->ended.log.n; i++)
        if ((w->ended.log.v[i].type == XK_STORE_MKDIR || w->ended.log.v[i].type == XK_STORE_RM) &&
            op_path(&w->ended.log.v[i], made, sizeof(made)) && strcmp(made, path) == 0)
            return true;
    return false;
}

static bool special_perms_event(struct world *w, const struct op *op, enum side extra, unsigned conn,
                                const struct event *e)
{
    (void)op, (void)conn;
    for (size_t i = 0; i < w->pending.n; i++)
        if (extra == OURS && w->pending.v[i].type == XK_STORE_SET_PERMS && e->path[0] == '@' &&
            op_string(&w->pending.v[i], 0) && strcmp(op_string(&w->pending.v[i], 0), e->path) == 0)
            return true;
    return false;
}

/* The entry of a domain that died keeps the next of its number from reading, in xenstored, what others may read; or
 * lets it, if it has been written anew, what is gone now. */
static bool dead_rights_event(struct world *w, const struct op *op, enum side extra, unsigned conn,
                              const struct event *e)
{
    char path[XK_STORE_PACKET_MAX];

    (void)op;
    if (!is_ring(conn) || !w->died_once[domid_of(conn)] || !event_path(conn, e, path, sizeof(path)))
        return false;
    if (extra == THEIRS && not_named(w, path, domid_of(conn)))
        return true;
    while (!has_dead_entry(w, path))
        if (!to_parent(path))
            return false;
    return true;
}

static bool one_domain(struct world *w, const struct op *op, enum side extra, unsigned conn, const struct event *e)
{
    (void)w, (void)op, (void)conn;
    return extra == OURS &&
           (strncmp(e->path, "@releaseDomain/", 15) == 0 || strncmp(e->path, "@introduceDomain/", 17) == 0);
}

static const struct {
    const char *name;
    bool (*fits)(struct world *w, const struct op *op, enum side extra, unsigned conn, const struct event *e);
    const char *why;
} events[] = {
    {"gone-in-txn", gone_in_txn,
     "a node that cannot be read, but whose directory could, was removed in a transaction: xenstored tells of it only "
     "without one; \"Watches may be triggered spuriously\""},
    {"remade-in-txn", remade_in_txn,
     "made, removed and made again in a transaction: ours tells who watches there what is there in the end, xenstored "
     "each "
     "step"},
    {"txn-directory", txn_directory,
     "a node that cannot be read, but whose directory can, was made or changed in a transaction: xenstored tells of it "
     "only if it happens to store the directory first"},
    {"txn-directory-set", txn_directory_set,
     "a node that cannot be read was changed in a transaction that also took the right to read its directory: \"A "
     "notification may omitted if a node's permissions are changed so as to make it unreadable\""},
    {"merged-change", merged_change,
     "MKDIR in a transaction of what others made meanwhile, or RM of what they removed, is a change to ours, as it "
     "sees "
     "the store as it was; "
     "\"Watches may be triggered spuriously\""},
    {"special-perms-event", special_perms_event,
     "SET_PERMS of a special path is told to who watches it, as by later xenstoreds; \"Watches may be triggered "
     "spuriously\""},
    {"dead-rights-event", dead_rights_event, "\"dead-rights\", of who may read what has changed"},
    {"one-domain", one_domain, "\"it is possible to watch only for a specific domain\", which came after 4.17"},
};

enum { EVENTS = sizeof(events) / sizeof(events[0]) };

/* --- found elsewhere ---------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *why;
} others[] = {
    {"merge",
     "ours commits what xenstored refuses with EAGAIN: \"only intervening `conflicting' writes cause EAGAIN\" is "
     "the text's plan; done again on xenstored at once, the transaction must say and do the same"},
    {"eagain",
     "ours refuses with EAGAIN what xenstored commits, after others changed the store: the text allows it for "
     "\"any other intervening writes\"; done again on ours, it must say and do the same"},
    {"dead-entries-tree", "the same when trees are compared"},
    {"enospc-inside-again", "\"enospc-inside\", when a transaction is done again"},
    {"owner-again", "which domains exist is no part of the store: SET_PERMS, done again after one came or went, may be "
                    "granted or refused instead"},
    {"rights-again",
     "what a domain may is no part of the store: a request, done again after a SET_TARGET or a death, may be "
     "granted or refused instead"},
    {"txn-nodes-again", "\"txn-nodes\", when a transaction is done again"},
    {"quota-again",
     "how many nodes a domain owns is no part of what a transaction has seen: done again after others have changed the "
     "store, which may have taken nodes from it or given it some, a request may be granted or refused with ENOSPC "
     "instead"},
    {"error-kind",
     "done again, a request that was refused is refused for another reason, as its directory has changed: "
     "that a path does not exist is all that ours remembers of a failed look"},
};

enum { OTHERS = sizeof(others) / sizeof(others[0]), ALL = ANSWERS + EVENTS + OTHERS };

static uint64_t used[ALL];
static const char *shown = "";

void allowed_show(const char *name) { shown = name; }

bool allowed_reply(const struct clash *c, enum effect *effect)
{
    for (int i = 0; i < ANSWERS; i++)
        if (answers[i].fits(c)) {
            *effect = answers[i].effect;
            used[i]++;
            if (strcmp(answers[i].name, shown) == 0) {
                op_print(c->op);
                show_reply("ours", c->ours);
                show_reply("theirs", c->theirs);
            }
            return true;
        }
    return false;
}

static bool quota_again(const struct clash *c)
{
    uint32_t type = c->op->type;

    return is_ring(c->op->conn) && ours_is(c, "ENOSPC") != theirs_is(c, "ENOSPC") &&
           (type == XK_STORE_WRITE || type == XK_STORE_MKDIR || type == XK_STORE_SET_PERMS);
}

bool allowed_again(struct world *w, const struct op *op, struct txn *t, const struct reply *ours,
                   const struct reply *theirs)
{
    char path[XK_STORE_PACKET_MAX] = "";
    struct clash c = {w, op, t, ours, theirs, path};
    enum effect ignored;

    if (txn_nodes(&c)) {
        allowed_count("txn-nodes-again");
        return true;
    }
    if (op->type == XK_STORE_SET_PERMS && t->everything) {
        allowed_count("owner-again");
        return true;
    }
    if (t->everything && (strcmp(error_of(ours), "EACCES") == 0) != (strcmp(error_of(theirs), "EACCES") == 0)) {
        allowed_count("rights-again");
        return true;
    }
    if ((t->noutside || t->everything) && quota_again(&c)) {
        allowed_count("quota-again");
        return true;
    }
    c.txn = NULL; /* there is only one state now */
    op_path(op, path, sizeof(path));
    return allowed_reply(&c, &ignored);
}

bool allowed_event(struct world *w, const struct op *op, enum side extra, unsigned conn, const struct event *e)
{
    for (int i = 0; i < EVENTS; i++)
        if (events[i].fits(w, op, extra, conn, e)) {
            used[ANSWERS + i]++;
            if (strcmp(events[i].name, shown) == 0) {
                op_print(op);
                printf("# %s tell connection %u: %s %s\n", extra == OURS ? "ours" : "theirs", conn, e->path, e->token);
            }
            return true;
        }
    return false;
}

/* Ours is theirs without some entries of domains that are gone, or never were. */
bool allowed_perms(struct world *w, const char *ours, const char *theirs)
{
    size_t n;

    for (bool owner = true; *theirs; theirs += n + (theirs[n] == ' '), owner = false) {
        unsigned domid = (unsigned)strtoul(theirs + 1, NULL, 10);
        n = strcspn(theirs, " ");
        if (strncmp(ours, theirs, n) == 0 && (ours[n] == ' ' || !ours[n]))
            ours += n + (ours[n] == ' ');
        else if (owner || domid > DOMAINS || (!w->died_once[domid] && w->peer.control->domain[domid].exists))
            return false;
    }
    return !*ours;
}

bool allowed_count(const char *name)
{
    for (int i = 0; i < OTHERS; i++)
        if (strcmp(others[i].name, name) == 0)
            used[ANSWERS + EVENTS + i]++;
    return strcmp(name, shown) == 0;
}

static void print_one(bool why, const char *name, const char *reason, uint64_t n)
{
    if (why)
        printf("%-20s %s\n", name, reason);
    else
        printf("# allowed: %-20s %llu times\n", name, (unsigned long long)n);
}

void allowed_print(bool why)
{
    for (int i = 0; i < ANSWERS; i++)
        print_one(why, answers[i].name, answers[i].why, used[i]);
    for (int i = 0; i < EVENTS; i++)
        print_one(why, events[i].name, events[i].why, used[ANSWERS + i]);
    for (int i = 0; i < OTHERS; i++)
        print_one(why, others[i].name, others[i].why, used[ANSWERS + EVENTS + i]);
}
