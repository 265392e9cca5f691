/* diff/shared.h - the memory that the driver and the preload library inside xenstored share: a memfd of pages. Page 0
 * is domain 0's ring, page 1 the control page below, the others are the rings of domains 1, 2, ...
 *
 * The two run in lock step. The driver leaves bytes in rings and sockets, then counts `work` up; xenstored, when it is
 * about to sleep with nothing left to do, puts the number it has worked off into `done`. So when both are equal, every
 * reply and every event has been written: there is no waiting by time anywhere. SPDX-License-Identifier: MIT */
#ifndef XK_DIFF_SHARED_H
#define XK_DIFF_SHARED_H

#include <stdint.h>

enum { PAGE = 4096, PAGE_DOM0 = 0, PAGE_CONTROL = 1, PAGE_RINGS = 2, DOMAINS = 4, PAGES = PAGE_RINGS + DOMAINS };

/* What getdomaininfo answers for a domain. */
struct diff_domain {
    uint32_t exists, shutdown, dying;
};

struct diff_control {
    uint32_t work, done; /* futexes */
    uint32_t full;       /* xenstored has more to say on a socket, but that is full */
    uint32_t virq;       /* VIRQ_DOM_EXC is to be raised */
    struct diff_domain domain[DOMAINS + 1];
};

#define DIFF_FD_NAME "XK_DIFF_FD"

#endif
