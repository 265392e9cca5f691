/* diff/reduce.c - cuts a trace that fails down to the operations that it takes (delta debugging): pieces of it are left
 * out, ever smaller ones, as long as what is left fails in the same way. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "diff.h"

static bool fails(const struct op *v, size_t n, const struct setup *s, const char *failure)
{
    struct world w;
    bool same;

    world_start(&w, s);
    w.quiet = true;
    for (size_t i = 0; i < n; i++)
        if (!world_step(&w, &v[i], i + 1 == n || i % 100 == 99))
            break;
    same = w.failed && strcmp(w.failure, failure) == 0;
    world_stop(&w);
    return same;
}

static void cut_out(struct op *to, const struct op *v, size_t n, size_t at, size_t len)
{
    memcpy(to, v, at * sizeof(*v));
    if (at + len < n)
        memcpy(to + at, v + at + len, (n - at - len) * sizeof(*v));
}

void reduce(struct trace *t, const struct setup *s, const char *failure, unsigned seconds)
{
    struct op *try = grow(NULL, (t->n + 1) * sizeof(*try));
    time_t end = time(NULL) + (time_t)seconds;

    for (size_t len = t->n / 2; len > 0 && time(NULL) < end;) {
        bool any = false;
        for (size_t at = 0; at < t->n && time(NULL) < end;) {
            size_t part = len < t->n - at ? len : t->n - at;
            cut_out(try, t->v, t->n, at, part);
            if (part == t->n || !fails(try, t->n - part, s, failure)) {
                at += part;
                continue;
            }
            for (size_t i = at; i < at + part; i++)
                free(t->v[i].payload);
            t->n -= part;
            memcpy(t->v, try, t->n * sizeof(*try));
            any = true;
        }
        if (len > 1 || !any)
            len /= 2;
        if (len > t->n / 2 && len > 1)
            len = t->n / 2;
    }
    free(try);
}
