/* diff/tree.c - whole trees, as domain 0 sees them: reading, comparing, and making them the same again.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"

static void add_node(struct tree *t, const char *dir, const char *name)
{
    struct node *n;

    t->v = grow(t->v, (t->n + 1) * sizeof(*t->v));
    n = &t->v[t->n++];
    memset(n, 0, sizeof(*n));
    n->path = grow(NULL, strlen(dir) + strlen(name) + 2);
    sprintf(n->path, "%s%s%s", dir, strcmp(dir, "/") == 0 || !*dir ? "" : "/", name);
}

void tree_free(struct tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->v[i].path);
        free(t->v[i].value);
        free(t->v[i].perms);
    }
    free(t->v);
    memset(t, 0, sizeof(*t));
}

static void add_children(struct tree *t, const char *dir, const char *names, size_t n)
{
    for (size_t i = 0; i < n; i += strlen(names + i) + 1)
        add_node(t, dir, names + i);
}

/* A list that is too long for one reply. */
static void add_in_parts(struct world *w, enum side side, struct tree *t, const char *dir)
{
    char payload[XK_STORE_PACKET_MAX];
    struct op op = {.type = XK_STORE_DIRECTORY_PART, .payload = payload};
    struct reply r;
    unsigned offset = 0;

    for (bool more = true; more && !w->failed;) {
        size_t n = strlen(dir) + 1, head;
        memcpy(payload, dir, n);
        op.len = (uint16_t)(n + (size_t)sprintf(payload + n, "%u", offset) + 1);
        if (!ask(w, side, WATCHER, &op, 0, &r))
            return;
        head = strlen(r.p) + 1;
        if (failed_reply(&r) || head >= r.len) {
            world_fail(w, "parts of a directory", "%s of %s", error_of(&r), dir);
        } else {
            more = r.len < head + 2 || r.p[r.len - 2] != 0; /* an empty name ends the list */
            if (r.len == head + 1)
                more = false;
            n = r.len - head - !more;
            add_children(t, dir, r.p + head, n);
            offset += (unsigned)n;
        }
        free(r.p);
    }
}

static void ask_level(struct world *w, enum side side, const struct tree *t, size_t from)
{
    static const uint32_t types[] = {XK_STORE_READ, XK_STORE_GET_PERMS, XK_STORE_DIRECTORY};

    for (size_t i = from; i < t->n; i++)
        for (int k = 0; k < 3; k++) {
            struct op op = {.type = types[k], .payload = t->v[i].path, .len = (uint16_t)(strlen(t->v[i].path) + 1)};
            send_request(w, side, WATCHER, &op, 0, ++w->req);
        }
    collect(w);
}

static void fill_node(struct world *w, enum side side, struct tree *t, size_t i, struct reply *r)
{
    char *path = t->v[i].path;

    if (failed_reply(&r[0]) || failed_reply(&r[1]) || (failed_reply(&r[2]) && strcmp(r[2].p, "E2BIG") != 0)) {
        world_fail(w, "the tree cannot be read", "%s of %s: %s %s %s", path, side == OURS ? "ours" : "theirs",
                   error_of(&r[0]), error_of(&r[1]), error_of(&r[2]));
        return;
    }
    for (uint32_t k = 0; k + 1 < r[1].len; k++)
        if (!r[1].p[k])
            r[1].p[k] = ' ';
    t->v[i].value = r[0].p;
    t->v[i].value_len = r[0].len;
    t->v[i].perms = r[1].p;
    r[0].p = r[1].p = NULL;
    if (failed_reply(&r[2]))
        add_in_parts(w, side, t, path);
    else
        add_children(t, path, r[2].p, r[2].len);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct node *)a)->path, ((const struct node *)b)->path);
}

/* Level by level: the requests of a whole level go out at once. */
void tree_read(struct world *w, enum side side, struct tree *t)
{
    struct inbox *in = &w->conn[WATCHER].in[side];

    memset(t, 0, sizeof(*t));
    add_node(t, "", "/");
    for (size_t from = 0, to; from < t->n && !w->failed; from = to) {
        struct reply *replies;
        size_t first = in->nreplies;
        to = t->n;
        ask_level(w, side, t, from);
        if (!w->failed && in->nreplies != first + 3 * (to - from))
            world_fail(w, "no reply", "%s gives %zu answers for %zu nodes", side == OURS ? "ours" : "theirs",
                       in->nreplies - first, to - from);
        if (w->failed)
            return;
        replies = grow(NULL, 3 * (to - from) * sizeof(*replies));
        memcpy(replies, in->replies + first, 3 * (to - from) * sizeof(*replies));
        in->nreplies = first;
        for (size_t i = from; i < to; i++)
            fill_node(w, side, t, i, replies + 3 * (i - from));
        for (size_t i = 0; i < 3 * (to - from); i++)
            free(replies[i].p);
        free(replies);
    }
    if (t->n)
        qsort(t->v, t->n, sizeof(*t->v), by_path);
}

unsigned tree_owned(const struct tree *t, unsigned domid)
{
    unsigned n = 0;

    for (size_t i = 0; i < t->n; i++)
        n += t->v[i].perms && strtoul(t->v[i].perms + 1, NULL, 10) == domid;
    return n;
}

/* --- comparing ---------------------------------------------------------------------------------------------------- */

/* What is different about two nodes; NULL: nothing. */
static const char *difference(struct world *w, const struct node *a, const struct node *b)
{
    if (a->value_len != b->value_len || memcmp(a->value, b->value, a->value_len))
        return "value";
    if (strcmp(a->perms, b->perms) == 0)
        return NULL;
    if (!allowed_perms(w, a->perms, b->perms))
        return "permissions";
    allowed_count("dead-entries-tree");
    return NULL;
}

/* Calls (found) for each difference: a node of only one side, or what differs in one of both. */
static void compare(struct world *w, const struct tree *a, const struct tree *b,
                    void (*found)(struct world *w, const struct node *a, const struct node *b, const char *what))
{
    size_t x = 0, y = 0;

    while (x < a->n || y < b->n) {
        int d = x == a->n ? 1 : y == b->n ? -1 : strcmp(a->v[x].path, b->v[y].path);
        const char *what = d ? "only" : difference(w, &a->v[x], &b->v[y]);
        if (what)
            found(w, d > 0 ? NULL : &a->v[x], d < 0 ? NULL : &b->v[y], what);
        x += d <= 0;
        y += d >= 0;
    }
}

static void report(struct world *w, const struct node *a, const struct node *b, const char *what)
{
    char kind[160];

    snprintf(kind, sizeof(kind), "tree: %s%s",
             !a   ? "only theirs has a node"
             : !b ? "only ours has a node"
                  : what,
             a && b ? " of a node" : "");
    world_fail(w, kind, "%s, ours %s, theirs %s", a ? a->path : b->path, a ? a->perms : "-", b ? b->perms : "-");
}

static void check_ours(struct world *w)
{
    struct op op = {.type = XK_STORE_CONTROL, .len = 6, .payload = (char[]){"check"}};
    struct reply r;

    if (!ask(w, OURS, WATCHER, &op, 0, &r))
        return;
    if (strcmp(r.p, "OK") != 0)
        world_fail(w, "check", "ours finds itself unsound: %s", r.p);
    free(r.p);
}

void trees_compare(struct world *w)
{
    struct tree t[SIDES];

    check_ours(w);
    tree_read(w, OURS, &t[OURS]);
    tree_read(w, THEIRS, &t[THEIRS]);
    if (!w->failed)
        compare(w, &t[OURS], &t[THEIRS], report);
    tree_free(&t[OURS]);
    tree_free(&t[THEIRS]);
}

/* --- healing ------------------------------------------------------------------------------------------------------ */

static void do_both(struct world *w, uint32_t type, const char *path, const char *more)
{
    char payload[XK_STORE_PACKET_MAX];
    size_t n = strlen(path) + 1, m = more ? strlen(more) + 1 : 0;
    struct op op = {.type = type, .payload = payload, .len = (uint16_t)(n + m)};
    struct reply r;

    memcpy(payload, path, n);
    if (more)
        memcpy(payload + n, more, m);
    for (enum side side = OURS; side < SIDES; side++)
        if (ask(w, side, WATCHER, &op, 0, &r))
            free(r.p);
}

void write_both(struct world *w, const char *path, const char *value)
{
    do_both(w, XK_STORE_WRITE, path, value);
    txn_outside(w, NULL, path);
}

void rm_both(struct world *w, const char *path) { do_both(w, XK_STORE_RM, path, NULL); }

void hide_both(struct world *w, const char *path) { do_both(w, XK_STORE_SET_PERMS, path, "n0"); }

static void remove_both(struct world *w, const struct node *a, const struct node *b, const char *what)
{
    const char *path = a ? a->path : b->path;

    (void)what;
    if (strcmp(path, "/") != 0) {
        rm_both(w, path);
        return;
    }
    do_both(w, XK_STORE_WRITE, path, "");
    hide_both(w, path);
}

static void abort_all(struct world *w)
{
    struct op end = {.type = XK_STORE_TRANSACTION_END, .len = 2, .payload = (char[]){'F', 0, 0}};
    struct reply r;

    for (unsigned i = 0; i < CONNS; i++)
        for (unsigned k = 1; k <= SLOTS; k++) {
            struct txn *t = &w->conn[i].txn[k];
            for (enum side side = OURS; t->open && side < SIDES; side++)
                if (ask(w, side, i, &end, t->id[side], &r))
                    free(r.p);
            txn_forget(t);
        }
}

void world_heal(struct world *w)
{
    struct tree t[SIDES];

    abort_all(w);
    tree_read(w, OURS, &t[OURS]);
    tree_read(w, THEIRS, &t[THEIRS]);
    if (!w->failed)
        compare(w, &t[OURS], &t[THEIRS], remove_both);
    tree_free(&t[OURS]);
    tree_free(&t[THEIRS]);
    if (!w->failed)
        trees_compare(w);
    for (unsigned i = 0; i < CONNS; i++)
        for (enum side side = OURS; side < SIDES; side++) { /* of what was done to heal */
            struct inbox *in = &w->conn[i].in[side];
            while (in->nevents)
                free(in->events[--in->nevents].path);
        }
}
