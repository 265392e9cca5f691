/* Two processes joined by some byte transport: how many bytes a second, how long an echo, and what CPU on both sides.
 *
 * A transport fills in struct pair_transport; pair_main is the program. Side 0 is the server, side 1 the client that
 * sends. The parent forks both sides before it does anything else, then runs attend, so it may hold threads.
 * SPDX-License-Identifier: MIT */
#ifndef XK_BENCH_PAIR_H
#define XK_BENCH_PAIR_H

#include <stdatomic.h>
#include <stddef.h>

struct pair {
    const char *workload; /* "stream" or "echo" */
    size_t ring, block;
    unsigned ms;
    int socket[2];    /* parent's ends, one to each side; in a side: [side] leads to the parent */
    int fds[4];       /* of the transport */
    atomic_int *word; /* 4 words shared by all three, to begin with -1 */
};

struct pair_transport {
    const char *name;
    int (*prepare)(struct pair *p);                    /* in the parent, before the sides are forked; may be NULL */
    int (*attend)(struct pair *p);                     /* in the parent, beside the sides; may be NULL */
    void *(*open)(struct pair *p, int side);           /* in a side; NULL when it failed */
    int (*send)(void *end, const void *buf, size_t n); /* all of it: 0, or -1 */
    int (*recv)(void *end, void *buf, size_t n);
    void (*close)(void *end);
};

/* pair_main (argc, argv, list) - the program: TRANSPORT stream|echo RING BLOCK [MS]. (list) ends with a NULL name. */
int pair_main(int argc, char **argv, const struct pair_transport *list);

/* A pipe pair and a unix socket pair, which every such program offers. */
extern const struct pair_transport pair_pipe, pair_unix;

#endif
