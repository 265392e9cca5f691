/* The persistent tree; see tree.h for the idea. In this file:
 *   1. nodes   2. finding   3. owning the way down   4. changing   5. listing and walking   6. the check
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/err.h>
#include <xenkit/store_wire.h>

#include "store/tree.h"

enum { STACK_FIRST = 256, AHEAD = 8 };

_Static_assert(XK_STORE_ABS_PATH_MAX < 1 << 12 && XK_STORE_PAYLOAD_MAX - 2 <= XK__VALUE_MAX && XK__PERMS_MAX < 1 << 11,
               "what a node can hold");

/* --- 1. nodes ----------------------------------------------------------------------------------------------------- */

static char *name_of(struct xk__node *n) { return (char *)(n->perms + n->nperms); }
static char *value_of(struct xk__node *n) { return name_of(n) + n->name_len; }

/* Unlike the names, and the same whenever it is asked for. The root, whose name is empty, stands first below the top.
 */
static uint32_t priority(const struct xk__tree *t, const struct xk__node *n)
{
    uint32_t h = xk__hash(t->seed, xk__node_name(n), n->name_len);

    h = (h ^ h >> 16) * 0x85ebca6b; /* the last letters count as much as the first: MurmurHash3's end */
    h = (h ^ h >> 13) * 0xc2b2ae35;
    return n->name_len ? (h ^ h >> 16) >> 1 : UINT32_MAX;
}

struct xk__node *xk__node_new(struct xk__tree *t, struct xk__path name, struct xk__perms perms, const void *value,
                              size_t value_len)
{
    size_t size = xk__node_bytes(name.n, perms.n, value_len);
    struct xk__node *n = xk_resize(t->alloc, NULL, 0, size);

    if (!n)
        return NULL;
    n->left = n->right = n->kids = NULL;
    n->gen = ++t->gen;
    n->ref = 1;
    n->nperms = perms.n & 0x7ff;
    n->name_len = name.n & 0xfff;
    n->value_len = value_len & 0xfff;
    memcpy(n->perms, perms.v, perms.n * sizeof(struct xk__perm));
    if (name.n)
        memcpy(name_of(n), name.s, name.n);
    if (value_len)
        memcpy(value_of(n), value, value_len);
    t->held++;
    t->bytes += size;
    return n;
}

struct xk__node *xk__node_ref(struct xk__node *n)
{
    n->ref++;
    return n;
}

static void bury(struct xk__node **dead, struct xk__node *n)
{
    if (n && --n->ref == 0) {
        n->gen = (uintptr_t)*dead >> 3; /* a dead node has no generation: the field links the list */
        *dead = n;
    }
}

void xk__node_drop(struct xk__tree *t, struct xk__node *n)
{
    struct xk__node *dead = NULL;

    for (bury(&dead, n); dead;) {
        n = dead;
        dead = (struct xk__node *)((uintptr_t)n->gen << 3);
        bury(&dead, n->left);
        bury(&dead, n->right);
        bury(&dead, n->kids);
        t->held--;
        t->bytes -= xk__node_size(n);
        xk_free(t->alloc, n, xk__node_size(n));
    }
}

int xk__tree_init(struct xk__tree *t, const xk_alloc *alloc, uint32_t seed)
{
    memset(t, 0, sizeof(*t));
    t->alloc = alloc;
    t->seed = seed;
    t->cap = STACK_FIRST;
    t->stack = xk_resize(alloc, NULL, 0, t->cap * sizeof(*t->stack));
    return t->stack ? 0 : XK_ENOMEM;
}

void xk__tree_fini(struct xk__tree *t)
{
    if (t->stack)
        xk_resize(t->alloc, t->stack, t->cap * sizeof(*t->stack), 0);
    t->stack = NULL;
}

/* --- 2. finding --------------------------------------------------------------------------------------------------- */

/* Most names are short or differ soon, so that a call of memcmp costs more than these steps. */
static inline int compare(const char *a, size_t an, const char *b, size_t bn)
{
    size_t n = an < bn ? an : bn, i = 0;
    int d;

    for (; i < n && i < 8; i++)
        if (a[i] != b[i])
            return (uint8_t)a[i] < (uint8_t)b[i] ? -1 : 1;
    d = i < n ? memcmp(a + i, b + i, n - i) : 0;
    return d ? d : (an > bn) - (an < bn);
}

static struct xk__node *find_child(const struct xk__node *dir, struct xk__path name)
{
    struct xk__node *n = dir->kids;

    while (n) {
        int d = compare(name.s, name.n, xk__node_name(n), n->name_len);
        if (d == 0)
            break;
        n = d < 0 ? n->left : n->right;
    }
    return n;
}

/* (dir) becomes the directory of the last node that is found. */
static struct xk__node *deepest(struct xk__node *top, struct xk__path path, struct xk__path *rest,
                                struct xk__node **dir)
{
    struct xk__node *n = top, *next;
    struct xk__path part, left = path;

    *dir = NULL;
    while (xk__path_next(&path, &part)) {
        next = find_child(n, part);
        if (!next) {
            *rest = left;
            return n;
        }
        *dir = n;
        n = next;
        left = path;
    }
    rest->s = NULL;
    rest->n = 0;
    return n;
}

struct xk__node *xk__tree_deepest(struct xk__node *top, struct xk__path path, struct xk__path *rest)
{
    struct xk__node *dir;

    return deepest(top, path, rest, &dir);
}

/* A path as its directory, without the slash, and its name; there is no directory for "/" and "@special". */
static struct xk__path directory_of(struct xk__path path, struct xk__path *name)
{
    *name = xk__path_last(path);
    return (struct xk__path){path.s, name->n && name->n < path.n ? path.n - name->n - 1 : 0};
}

static bool way_leads(const struct xk__way *w, const struct xk__node *top, struct xk__path dir)
{
    return w->n && w->n == dir.n && w->top == top && memcmp(w->path, dir.s, dir.n) == 0;
}

static void way_note(struct xk__way *w, struct xk__node *top, struct xk__path dir, struct xk__node *at, bool owned)
{
    w->n = at && dir.n <= sizeof(w->path) ? (uint8_t)dir.n : 0;
    memcpy(w->path, dir.s, w->n);
    w->top = top;
    w->dir = at;
    w->owned = owned;
}

struct xk__node *xk__tree_deepest_by(struct xk__node *top, struct xk__path path, struct xk__path *rest,
                                     struct xk__way *way)
{
    struct xk__path name, in = directory_of(path, &name);
    struct xk__node *dir, *n;

    *rest = (struct xk__path){NULL, 0};
    if (way && way_leads(way, top, in) && (n = find_child(way->dir, name)))
        return n;
    n = deepest(top, path, rest, &dir);
    if (way && !rest->s)
        way_note(way, top, in, dir, false);
    return n;
}

struct xk__node *xk__tree_below(const struct xk__node *dir, struct xk__path path)
{
    struct xk__path part;
    const struct xk__node *n = dir;
    struct xk__node *found = NULL;

    while (n && xk__path_next(&path, &part))
        n = found = find_child(n, part);
    return found;
}

/* Below the top the root's name is empty. */
struct xk__node *xk__tree_find(const struct xk__node *top, struct xk__path path) { return xk__tree_below(top, path); }

struct xk__node *xk__tree_find_near(const struct xk__node *top, struct xk__path path, struct xk__near *near)
{
    struct xk__path dir = path, name;
    size_t slash = path.n;

    while (slash && path.s[slash - 1] != '/')
        slash--;
    if (slash == 0 || path.n == 1)
        return xk__tree_find(top, path); /* a special node, or the root */
    dir.n = slash > 1 ? slash - 1 : 1;
    if (!near->path.s || !xk__path_equal(near->path, dir)) {
        near->path = dir;
        near->dir = xk__tree_find(top, dir);
    }
    name.s = path.s + slash;
    name.n = path.n - slash;
    return near->dir ? find_child(near->dir, name) : NULL;
}

/* --- 3. owning the way down --------------------------------------------------------------------------------------- */

/* Makes *slot changeable in place, given that everything above it is. The copy takes over one reference of *slot. */
static int own(struct xk__tree *t, struct xk__node **slot)
{
    struct xk__node *n = *slot, *copy;

    if (n->ref == 1)
        return 0;
    copy = xk_resize(t->alloc, NULL, 0, xk__node_size(n));
    if (!copy)
        return XK_ENOMEM;
    memcpy(copy, n, xk__node_size(n));
    copy->ref = 1;
    if (n->left)
        n->left->ref++;
    if (n->right)
        n->right->ref++;
    if (n->kids)
        n->kids->ref++;
    n->ref--;
    t->held++;
    t->bytes += xk__node_size(copy);
    *slot = copy;
    return 0;
}

/* Owns the way from (dir), which is owned, to its child of that name, which exists. */
static int own_child(struct xk__tree *t, struct xk__node *dir, struct xk__path name, struct xk__node ***out)
{
    struct xk__node **slot = &dir->kids;

    for (;;) {
        int d;
        if (own(t, slot))
            return XK_ENOMEM;
        d = compare(name.s, name.n, xk__node_name(*slot), (*slot)->name_len);
        if (d == 0)
            break;
        slot = d < 0 ? &(*slot)->left : &(*slot)->right;
    }
    *out = slot;
    return 0;
}

int xk__tree_own_by(struct xk__tree *t, struct xk__node **top, struct xk__path path, struct xk__node ***slot,
                    struct xk__way *way)
{
    struct xk__path part, name, in = directory_of(path, &name);
    struct xk__node **dir = NULL;

    if (way && way_leads(way, *top, in) && way->owned && (*top)->ref == 1)
        return own_child(t, way->dir, name, slot);
    if (way)
        way->n = 0; /* what is copied leads elsewhere, also when the rest fails */
    *slot = top;
    if (own(t, top))
        return XK_ENOMEM;
    while (xk__path_next(&path, &part)) {
        dir = *slot;
        if (own_child(t, *dir, part, slot))
            return XK_ENOMEM;
    }
    if (way)
        way_note(way, *top, in, dir ? *dir : NULL, true);
    return 0;
}

int xk__tree_own(struct xk__tree *t, struct xk__node **top, struct xk__path path, struct xk__node ***slot)
{
    return xk__tree_own_by(t, top, path, slot, NULL);
}

/* --- 4. changing -------------------------------------------------------------------------------------------------- */

int xk__tree_set_value(struct xk__tree *t, struct xk__node **slot, const void *value, size_t n)
{
    struct xk__node *node = *slot;
    size_t old = xk__node_size(node), size = old - node->value_len + n;

    if (size != old) {
        node = xk_resize(t->alloc, node, old, size);
        if (!node)
            return XK_ENOMEM;
        *slot = node;
        t->bytes += size - old;
    }
    node->value_len = n & 0xfff;
    node->gen = ++t->gen;
    if (n)
        memcpy(value_of(node), value, n);
    return 0;
}

int xk__tree_set_perms(struct xk__tree *t, struct xk__node **slot, struct xk__perms perms)
{
    struct xk__node *old = *slot, *n;
    struct xk__path name = {xk__node_name(old), old->name_len};

    n = xk__node_new(t, name, perms, xk__node_value(old), old->value_len);
    if (!n)
        return XK_ENOMEM;
    n->left = old->left;
    n->right = old->right;
    n->kids = old->kids;
    *slot = n;
    t->held--;
    t->bytes -= xk__node_size(old);
    xk_free(t->alloc, old, xk__node_size(old));
    return 0;
}

int xk__tree_insert(struct xk__tree *t, struct xk__node *dir, struct xk__node *child)
{
    struct xk__node **slot = &dir->kids, **s, **l = &child->left, **r = &child->right, *n;
    const char *name = xk__node_name(child);
    const uint32_t rank = priority(t, child);
    size_t len = child->name_len;

    while (*slot && priority(t, *slot) >= rank) {
        if (own(t, slot))
            return XK_ENOMEM;
        n = *slot;
        slot = compare(name, len, xk__node_name(n), n->name_len) < 0 ? &n->left : &n->right;
    }
    /* What hangs here is split by the name. First own the seam, so that the split itself cannot fail. */
    for (s = slot; *s;) {
        if (own(t, s))
            return XK_ENOMEM;
        n = *s;
        s = compare(name, len, xk__node_name(n), n->name_len) < 0 ? &n->left : &n->right;
    }
    for (n = *slot; n;) {
        if (compare(name, len, xk__node_name(n), n->name_len) < 0) {
            *r = n;
            r = &n->left;
            n = n->left;
        } else {
            *l = n;
            l = &n->right;
            n = n->right;
        }
    }
    *l = *r = NULL;
    *slot = child;
    dir->gen = ++t->gen;
    return 0;
}

int xk__tree_remove(struct xk__tree *t, struct xk__node **top, struct xk__path path)
{
    struct xk__node **dir, **slot, **out, **l, **r, *gone, *a, *b;

    if (xk__tree_own(t, top, xk__path_parent(path), &dir) || own_child(t, *dir, xk__path_last(path), &slot))
        return XK_ENOMEM;
    gone = *slot;
    /* Own the seam along which the two subtrees are merged, so that the merge itself cannot fail. */
    for (l = &gone->left, r = &gone->right; *l && *r;) {
        struct xk__node ***higher = priority(t, *l) >= priority(t, *r) ? &l : &r;
        if (own(t, *higher))
            return XK_ENOMEM;
        *higher = higher == &l ? &(*l)->right : &(*r)->left;
    }
    for (out = slot, a = gone->left, b = gone->right; a && b;) {
        if (priority(t, a) >= priority(t, b)) {
            *out = a;
            out = &a->right;
            a = a->right;
        } else {
            *out = b;
            out = &b->left;
            b = b->left;
        }
    }
    *out = a ? a : b;
    gone->left = gone->right = NULL;
    (*dir)->gen = ++t->gen;
    xk__node_drop(t, gone);
    return 0;
}

/* --- 5. listing and walking --------------------------------------------------------------------------------------- */

static int stack_room(struct xk__tree *t, size_t used, size_t more)
{
    struct xk__frame *p;
    size_t cap = t->cap;

    if (used + more <= cap)
        return 0;
    p = xk_resize(t->alloc, t->stack, cap * sizeof(*p), cap * 2 * sizeof(*p));
    if (!p)
        return XK_ENOMEM;
    t->stack = p;
    t->cap = cap * 2;
    return 0;
}

long xk__tree_list(struct xk__tree *t, const struct xk__node *dir, size_t skip, char *out, size_t room, bool *done)
{
    const struct xk__node *n = dir->kids;
    size_t depth = 0, at = 0, used = 0;

    *done = false;
    while (n || depth) {
        size_t len, from;
        for (; n; n = n->left) {
            if (stack_room(t, depth, 1))
                return XK_ENOMEM;
            t->stack[depth++].node = n;
        }
        n = t->stack[--depth].node;
        len = (size_t)n->name_len + 1;
        if (at + len > skip) {
            from = skip > at ? skip - at : 0;
            if (used + len - from > room)
                return (long)used;
            memcpy(out + used, xk__node_name(n) + from, len - 1 - from);
            used += len - from;
            out[used - 1] = '\0';
        }
        at += len;
        n = n->right;
    }
    *done = true;
    return (long)used;
}

static void push(struct xk__tree *t, size_t *depth, const struct xk__node *n, size_t len, uint32_t hash)
{
    if (!n)
        return;
    __builtin_prefetch(n);
    t->stack[*depth].node = n;
    t->stack[*depth].len = (uint32_t)len;
    t->stack[(*depth)++].hash = hash;
}

int xk__tree_walk(struct xk__tree *t, const struct xk__node *from, char *path, size_t len, xk__walk_fn *fn, void *arg)
{
    size_t depth = 0;

    push(t, &depth, from->kids, len, xk__hash(t->seed, path, len));
    while (depth) {
        struct xk__frame f = t->stack[--depth];
        struct xk__path p = {path, f.len + 1u + f.node->name_len};
        uint32_t hash;
        int rc;

        if (p.n > XK_STORE_ABS_PATH_MAX)
            return XK_EINVAL; /* cannot be: no such path was ever let in */
        path[f.len] = '/';
        hash = xk__hash_copy(xk__hash(f.hash, "/", 1), path + f.len + 1, xk__node_name(f.node), f.node->name_len);
        if (stack_room(t, depth, 3))
            return XK_ENOMEM;
        push(t, &depth, f.node->right, f.len, f.hash);
        push(t, &depth, f.node->left, f.len, f.hash);
        rc = fn(arg, f.node, p, hash);
        if (rc < 0)
            return rc;
        if (rc == 0)
            push(t, &depth, f.node->kids, p.n, hash);
    }
    return 0;
}

/* A node that nobody looked at lately is far away, and a chain of such nodes takes its time. So a few that are known
 * are asked for, and the one that was asked for first is looked at next. */
int xk__tree_each(struct xk__tree *t, const struct xk__node *from, xk__each_fn *fn, void *arg)
{
    const struct xk__node *asked[AHEAD];
    size_t depth = 0;
    unsigned head = 0, tail = 0;
    int rc = 0;

    push(t, &depth, from->kids, 0, 0);
    while (rc >= 0 && (depth || head != tail)) {
        const struct xk__node *n;
        while (depth && tail - head < AHEAD) {
            asked[tail++ % AHEAD] = n = t->stack[--depth].node;
            __builtin_prefetch(n);
            __builtin_prefetch(n->perms);
        }
        n = asked[head++ % AHEAD];
        if (stack_room(t, depth, 3))
            return XK_ENOMEM;
        push(t, &depth, n->right, 0, 0);
        push(t, &depth, n->left, 0, 0);
        push(t, &depth, n->kids, 0, 0);
        rc = fn(arg, n);
    }
    return rc;
}

/* --- 6. the check ------------------------------------------------------------------------------------------------- */

static const char *check_directory(struct xk__tree *t, const struct xk__node *dir, size_t *budget)
{
    const struct xk__node *n = dir->kids, *prev = NULL;

    /* In-order by searching for the successor: slow, but needs no stack, which the caller is using. */
    while (n && n->left)
        n = n->left;
    while (n) {
        const struct xk__node *next = NULL, *at = dir->kids;
        if (prev && compare(xk__node_name(prev), prev->name_len, xk__node_name(n), n->name_len) >= 0)
            return "children out of order";
        if (n->ref == 0 || n->nperms == 0)
            return "a node without reference or owner";
        if ((n->left && priority(t, n->left) > priority(t, n)) || (n->right && priority(t, n->right) > priority(t, n)))
            return "priorities out of order";
        if (--*budget == 0)
            return "more nodes than were ever made";
        while (at) {
            int d = compare(xk__node_name(n), n->name_len, xk__node_name(at), at->name_len);
            if (d < 0)
                next = at;
            at = d < 0 ? at->left : at->right;
        }
        prev = n;
        n = next;
    }
    return NULL;
}

struct check {
    struct xk__tree *tree;
    const char *bad;
    size_t budget;
};

static int check_node(void *arg, const struct xk__node *n, struct xk__path path, uint32_t hash)
{
    struct check *c = arg;

    (void)path;
    (void)hash;
    c->bad = check_directory(c->tree, n, &c->budget);
    return c->bad ? XK_EIO : 0;
}

const char *xk__tree_check(struct xk__tree *t, const struct xk__node *top)
{
    char path[XK_STORE_ABS_PATH_MAX + 1];
    struct check c = {t, NULL, (size_t)t->held + 1};

    c.bad = check_directory(t, top, &c.budget);
    if (!c.bad && top->kids && xk__tree_walk(t, top->kids, path, 0, check_node, &c) < 0 && !c.bad)
        c.bad = "the walk failed";
    return c.bad;
}
