/* store/path.h - store paths: which bytes they may hold, their pieces, their hash. Paths are counted bytes, not
 * strings: they are taken from request payloads in place. SPDX-License-Identifier: MIT */
#ifndef XK_STORE_PATH_H
#define XK_STORE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xk__path {
    const char *s;
    size_t n;
};

/* xk__path_valid (s, n) - the rules of xenstore.txt for an absolute path or, with a leading '@', a special one: not
 * empty, only alphanumerics and -/_@, no doubled slash, none at the end except for "/" itself. */
bool xk__path_valid(const char *s, size_t n);

/* xk__path_chars (s, n) - all bytes are allowed in a path. */
bool xk__path_chars(const char *s, size_t n);

/* xk__path_next (p, part) - takes the next component off (p) into (part); false at the end. The root is a component
 * with the empty name, so "/a" gives "" and "a", "/" gives "", "@x" gives "@x": both kinds start from one node. Here,
 * and without memchr: names are short, and each step down the tree does this. */
static inline bool xk__path_next(struct xk__path *p, struct xk__path *part)
{
    const char *s = p->s;
    size_t i = 0, n = p->n;

    if (!s)
        return false;
    while (i < n && s[i] != '/')
        i++;
    part->s = s;
    part->n = i;
    p->n = i < n ? n - i - 1 : n;
    p->s = i < n && p->n ? s + i + 1 : NULL; /* after a slash nothing follows only in "/" */
    return true;
}

/* xk__path_parent (p) - "/a" for "/a/b", "/" for "/a"; (p) itself for "/" and for special paths. */
struct xk__path xk__path_parent(struct xk__path p);

/* xk__path_last (p) - its last component: "b" of "/a/b", "" of "/", a special path itself. */
struct xk__path xk__path_last(struct xk__path p);

/* xk__path_below (p, top) - the number of levels that (p) lies below (top), 0 if equal, -1 if it does not. */
long xk__path_below(struct xk__path p, struct xk__path top);

bool xk__path_equal(struct xk__path a, struct xk__path b);

/* FNV-1a, started with (h), so that a path's hash extends its parent's. */
static inline uint32_t xk__hash(uint32_t h, const char *s, size_t n)
{
    while (n--)
        h = (h ^ (uint8_t)*s++) * 16777619u;
    return h;
}

/* The same, of what it copies to (to). */
static inline uint32_t xk__hash_copy(uint32_t h, char *to, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)(to[i] = s[i])) * 16777619u;
    return h;
}

#endif
