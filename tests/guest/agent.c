/* The other end of tests/c/platform/actor.h: a domain that does what the driver in domain 0 writes into a page. It runs
 * as a stub domain, or in a Linux guest on Xen. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <unistd.h>

#include <xenkit/stub.h>
#include <xenkit/xen.h>

#include "tests/c/platform/actor.h"

enum { FAST_US = 200, FAST_NAPS = 50, SLOW_US = 5000, LIFE_S = 600 }; /* no port may wake us: they are the tests' */

int main(void)
{
    struct xk_platform *p;
    struct actor_box *box;
    xk_gref ref;
    void *page;
    uint32_t done = 0;
    int naps = 0;
    int r = xk_stub_attach(NULL, &p);

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (r == XK_ENODEV)
        r = xk_xen_attach(NULL, &p);
    if (r == 0)
        r = xk_page_share(p, 0, 1, 0, &ref, &page);
    if (r < 0) {
        printf("agent: %s\n", xk_err_text(r));
        return 1;
    }
    box = page;
    printf("agent %u %u\n", (unsigned)xk_platform_domid(p), (unsigned)ref);
    for (xk_time end = xk_now(p) + LIFE_S * XK_SECOND; xk_now(p) < end;
         usleep(naps++ < FAST_NAPS ? FAST_US : SLOW_US)) {
        uint32_t asked = __atomic_load_n(&box->asked, __ATOMIC_ACQUIRE); /* with the driver's release in ask() */
        if (asked == done)
            continue;
        if (box->op == ACTOR_END)
            break;
        actor_serve(p, box);
        done = asked;
        naps = 0;
        __atomic_store_n(&box->answered, done, __ATOMIC_RELEASE);
    }
    return 0;
}
