/* store/tree.h - the tree of nodes, persistent: a reference on a root is a snapshot, and costs nothing.
 *
 * A node is one block: header, permissions, name, value. The children of a node form a treap (a binary search tree by
 * name that is a heap by a priority), threaded through the children themselves, so that an index costs two pointers a
 * node, a directory of 10 000 is found in about 16 steps, and a change copies no more than these steps. The priority is
 * a hash of the name, begun with a number that nobody else knows: it needs no room, and no guest can choose names that
 * unbalance the tree.
 *
 * Ownership: a node is changed in place while its reference count is 1 and so is that of everything above it; else it
 * is copied on the way down. A copy has the same content and the same generation, therefore a descent that fails half
 * way for lack of memory has changed nothing that anybody can see. That is what makes every operation atomic.
 *
 * The top is a node without a meaning of its own: its children are the root (with the empty name) and the special nodes
 * "@introduceDomain" and "@releaseDomain", so that a snapshot covers these too. Nothing here is recursive: paths are
 * chosen by guests (XSA-418). SPDX-License-Identifier: MIT */
#ifndef XK_STORE_TREE_H
#define XK_STORE_TREE_H

#include <xenkit/alloc.h>

#include "store/path.h"
#include "store/perms.h"

/* Stores hold nodes by the hundred thousand: the header is 38 bytes. References: a count that overflows would need 2^29
 * nodes above this one, or 43 GB. Generations: 8 years of a million changes a second. */
enum { XK__VALUE_MAX = (1 << 12) - 1, XK__GEN_BITS = 48, XK__WAY_MAX = 62 };

struct xk__node {
    struct xk__node *left, *right, *kids;
    uint64_t ref : 29, name_len : 12, value_len : 12, nperms : 11;
    uint64_t gen
        : XK__GEN_BITS;      /* of the last change of value, permissions or list of children; unique in the server */
    struct xk__perm perms[]; /* then name, then value */
};

struct xk__frame {
    const struct xk__node *node;
    uint32_t len, hash; /* of the path of the directory that it is in */
};

/* What all trees of a server share. */
struct xk__tree {
    const xk_alloc *alloc;
    uint64_t gen;
    uint32_t seed;           /* of the priorities, and of the hashes of paths */
    uint32_t held;           /* nodes in memory */
    size_t bytes;            /* what they take */
    struct xk__frame *stack; /* of walks; only ever grows */
    size_t cap;
};

int xk__tree_init(struct xk__tree *t, const xk_alloc *alloc, uint32_t seed);
void xk__tree_fini(struct xk__tree *t);

/* What a node takes: the block that holds it. */
static inline size_t xk__node_bytes(size_t name, size_t nperms, size_t value)
{
    return offsetof(struct xk__node, perms) + nperms * sizeof(struct xk__perm) + name + value;
}
static inline size_t xk__node_size(const struct xk__node *n)
{
    return xk__node_bytes(n->name_len, n->nperms, n->value_len);
}

static inline struct xk__perms xk__node_perms(const struct xk__node *n)
{
    struct xk__perms p = {n->perms, n->nperms};
    return p;
}
static inline const char *xk__node_name(const struct xk__node *n) { return (const char *)(n->perms + n->nperms); }
static inline const char *xk__node_value(const struct xk__node *n) { return xk__node_name(n) + n->name_len; }

/* xk__node_new - a node of reference count 1 without children, or NULL. */
struct xk__node *xk__node_new(struct xk__tree *t, struct xk__path name, struct xk__perms perms, const void *value,
                              size_t value_len);
struct xk__node *xk__node_ref(struct xk__node *n);
void xk__node_drop(struct xk__tree *t, struct xk__node *n); /* NULL is allowed */

/* xk__tree_find (top, path) - the node at (path), or NULL. Allocates nothing. */
struct xk__node *xk__tree_find(const struct xk__node *top, struct xk__path path);

/* xk__tree_below (dir, path) - the same of a path that begins below (dir), without a slash before it. */
struct xk__node *xk__tree_below(const struct xk__node *dir, struct xk__path path);

/* xk__tree_find_near (top, path, near) - the same for one path after the other: (near), which begins empty, remembers
 * the directory of the last one, whose bytes must stay. It ends with the next change of the tree. */
struct xk__near {
    struct xk__path path;
    const struct xk__node *dir;
};
struct xk__node *xk__tree_find_near(const struct xk__node *top, struct xk__path path, struct xk__near *near);

/* xk__tree_deepest (top, path, rest) - the last node on the way to (path) that exists, never NULL; (rest) is what is
 * missing after it, of length 0 with s = NULL if nothing is. */
struct xk__node *xk__tree_deepest(struct xk__node *top, struct xk__path path, struct xk__path *rest);

/* A way that was just gone, for the next path in the same directory: where that directory is in the tree below (top),
 * and whether all down to it is owned. It begins zeroed, and is to be forgotten (n = 0) before any change of that tree
 * but by xk__tree_own_by and a new value of the node that it gave. */
struct xk__way {
    char path[XK__WAY_MAX];
    uint8_t n;
    bool owned;
    struct xk__node *top, *dir;
};

/* xk__tree_deepest_by, xk__tree_own_by - xk__tree_deepest and xk__tree_own along a (way); NULL: each goes its own. */
struct xk__node *xk__tree_deepest_by(struct xk__node *top, struct xk__path path, struct xk__path *rest,
                                     struct xk__way *way);
int xk__tree_own_by(struct xk__tree *t, struct xk__node **top, struct xk__path path, struct xk__node ***slot,
                    struct xk__way *way);

/* xk__tree_own (t, top, path, slot) - makes everything on the way to (path), which must exist, changeable in place and
 * gives where the node hangs. The slot ends with the next change of the tree. XK_ENOMEM: nothing changed. */
int xk__tree_own(struct xk__tree *t, struct xk__node **top, struct xk__path path, struct xk__node ***slot);

/* The following change owned nodes. All or nothing, XK_ENOMEM. They set generations. */
int xk__tree_set_value(struct xk__tree *t, struct xk__node **slot, const void *value, size_t n);
int xk__tree_set_perms(struct xk__tree *t, struct xk__node **slot, struct xk__perms perms);
int xk__tree_insert(struct xk__tree *t, struct xk__node *dir, struct xk__node *child); /* takes the reference */

/* xk__tree_remove (t, top, path) - and all below it; (path) must exist and be neither "/" nor special. XK_ENOMEM:
 * nothing changed but what is owned. */
int xk__tree_remove(struct xk__tree *t, struct xk__node **top, struct xk__path path);

/* xk__tree_list (t, dir, skip, out, room, done) - the names of the children, sorted, each with its NUL, from byte
 * (skip) of that list on; stops before the first that does not fit. Bytes written or XK_ENOMEM. (done) is set at the
 * end. */
long xk__tree_list(struct xk__tree *t, const struct xk__node *dir, size_t skip, char *out, size_t room, bool *done);

/* xk__tree_walk (t, from, path, fn, arg) - calls fn for every node below (from), parents first. (path) is a buffer of
 * XK_STORE_ABS_PATH_MAX + 1 bytes that already holds the path of (from), of (len) bytes, 0 for the root. fn gets the
 * path and its hash; it returns 1 to leave out what is below, a code < 0 to end the walk. It must not change the tree.
 */
typedef int xk__walk_fn(void *arg, const struct xk__node *n, struct xk__path path, uint32_t hash);
int xk__tree_walk(struct xk__tree *t, const struct xk__node *from, char *path, size_t len, xk__walk_fn *fn, void *arg);

/* xk__tree_each (t, from, fn, arg) - calls fn for every node below (from), in any order, until it returns a code < 0. A
 * walk that needs no path; the memory of some nodes is fetched while others are looked at. */
typedef int xk__each_fn(void *arg, const struct xk__node *n);
int xk__tree_each(struct xk__tree *t, const struct xk__node *from, xk__each_fn *fn, void *arg);

/* xk__tree_check (t, top) - NULL, or what is wrong with the order, the balance or the counts. */
const char *xk__tree_check(struct xk__tree *t, const struct xk__node *top);

#endif
