/* Two guests of a hosted world, each a process of its own; the parent is domain 0 and the hypervisor.
 * SPDX-License-Identifier: MIT */
#ifndef XK_BENCH_HOSTED_PAIR_H
#define XK_BENCH_HOSTED_PAIR_H

#include <xenkit/platform.h>

/* Sockets from the parent to each side, made before the sides are forked. */
struct hosted_pair {
    int parent[2], side[2];
};

int hosted_pair_prepare(struct hosted_pair *p);                              /* before the forks: 0 or -1 */
int hosted_pair_attend(struct hosted_pair *p);                               /* in the parent: builds both guests */
struct xk_platform *hosted_pair_join(const struct hosted_pair *p, int side); /* in a side; NULL */

#endif
