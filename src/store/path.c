/* Store paths. The rules are docs/misc/xenstore.txt, "Paths are /-separated"; the trailing slash is the one that
 * XSA-481 was about. SPDX-License-Identifier: MIT */
#include <string.h>

#include "store/path.h"

/* 1 for a byte that a path may hold */
static const uint8_t allowed[256] = {
    ['-'] = 1, ['/'] = 1, ['_'] = 1, ['@'] = 1, ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1,
    ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1,
    ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1,
    ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
    ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1, ['I'] = 1, ['J'] = 1,
    ['K'] = 1, ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1,
    ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1, ['Z'] = 1,
};

bool xk__path_chars(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!allowed[(uint8_t)s[i]])
            return false;
    return true;
}

bool xk__path_valid(const char *s, size_t n)
{
    if (n == 0 || (s[0] != '/' && s[0] != '@') || (n > 1 && s[n - 1] == '/'))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!allowed[(uint8_t)s[i]] || (s[i] == '/' && i && s[i - 1] == '/'))
            return false;
    return true;
}

struct xk__path xk__path_parent(struct xk__path p)
{
    size_t n = p.n;

    while (n && p.s[n - 1] != '/')
        n--;
    if (n)
        p.n = n > 1 ? n - 1 : 1;
    return p;
}

bool xk__path_equal(struct xk__path a, struct xk__path b) { return a.n == b.n && memcmp(a.s, b.s, a.n) == 0; }

struct xk__path xk__path_last(struct xk__path p)
{
    size_t n = p.n;

    while (n && p.s[n - 1] != '/')
        n--;
    return (struct xk__path){p.s + n, p.n - n};
}

long xk__path_below(struct xk__path p, struct xk__path top)
{
    long levels = 0;
    size_t i;

    if (top.n > p.n || memcmp(p.s, top.s, top.n))
        return -1;
    if (top.n == p.n)
        return 0;
    i = top.n;
    if (top.n == 1 && top.s[0] == '/')
        i = 0;
    else if (p.s[i] != '/')
        return -1;
    for (; i < p.n; i++)
        levels += p.s[i] == '/';
    return levels;
}
