/* Naps: see nap.h. SPDX-License-Identifier: MIT */
#include "loop/nap.h"

enum {
    MARGIN = 10000,
    SHORTEST = 5000,
    LONGEST = 400 * 1000, /* of longer ones a wake-up is a small part */
    LATE_MAX = 100 * 1000,
    RARE = 64,
};

int xk__nap_plan(struct xk__nap *n, xk_time spin, struct xk__nap_plan *plan)
{
    xk_time ns = n->usual - n->late - MARGIN;

    if (!n->known || n->usual > LONGEST)
        return 0;
    if (n->skipped < n->skip) {
        n->skipped++;
        return 0;
    }
    plan->sleep = ns < SHORTEST ? 0 : ns;
    plan->spin = plan->sleep ? spin + MARGIN : n->usual + spin;
    return 1;
}

void xk__nap_late(struct xk__nap *n, xk_time late)
{
    if (late < 0 || late > LATE_MAX) /* somebody else had the processor */
        return;
    n->late = n->late ? n->late + (late - n->late) / 8 : late;
}

void xk__nap_found(struct xk__nap *n, int some)
{
    n->skipped = 0;
    if (some)
        n->misses = n->skip = 0;
    else if (++n->misses > 2)
        n->skip = n->skip ? (n->skip < RARE ? n->skip * 2 : RARE) : 1;
}

/* A fifth of all that come is to be shorter: one of those moves it down by four times what a longer one moves it up. */
void xk__nap_learn(struct xk__nap *n, xk_time took)
{
    xk_time step;

    if (!n->known) {
        n->known = 1;
        n->usual = took < LONGEST ? took : LONGEST;
        return;
    }
    step = n->usual / 40 + 100;
    if (took > n->usual)
        n->usual += took - n->usual < step ? took - n->usual : step;
    else
        n->usual -= n->usual - took < 4 * step ? n->usual - took : 4 * step;
    if (n->usual > 2 * LONGEST)
        n->usual = 2 * LONGEST;
}
