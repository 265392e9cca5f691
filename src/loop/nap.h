/* How to wait for an answer that takes longer than a spin: awake when it comes, if that can be had.
 *
 * A wake-up costs about as much as a spin, and an answer is late by that. What is learned of one such wait after the
 * other is how long they take at least, four times in five (so most end soon after that), and how much later than asked
 * a sleep ends. So a wait begins with a nap and goes on with a spin; one that is too short for a nap is one spin. While
 * these find nothing they get rarer. No clock is read here. SPDX-License-Identifier: MIT */
#ifndef XK_LOOP_NAP_H
#define XK_LOOP_NAP_H

#include <xenkit/platform.h>

struct xk__nap {
    xk_time usual, late;
    int known;
    unsigned misses, skip, skipped; /* naps in a row that found nothing; so many waits go without; went */
};

struct xk__nap_plan {
    xk_time sleep, spin; /* since the wait began; after that */
};

/* How to spend a wait, if a spin of (spin) ns costs as much as a wake-up. @return 0: with an ordinary sleep */
int xk__nap_plan(struct xk__nap *n, xk_time spin, struct xk__nap_plan *plan);

/* A sleep ended by itself, (late) after the time it was to end. */
void xk__nap_late(struct xk__nap *n, xk_time late);

/* What was planned found something, or nothing. */
void xk__nap_found(struct xk__nap *n, int some);

/* An answer took so long, from the begin of the wait. */
void xk__nap_learn(struct xk__nap *n, xk_time took);

#endif
