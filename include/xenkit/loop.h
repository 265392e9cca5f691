/* xenkit/loop.h - timers, ports and descriptors of one platform handle, dispatched to call-backs.
 *
 * The life cycle of every handle here: the caller places it, zeroed; xk_*_start gives it to the loop; its function is
 * called from within xk_loop_run_once; xk_*_stop takes it back, also from within any call-back, and after that it is
 * not called. A handle that is stopped may be freed. Stopping one that is not started does nothing.
 *
 * One thread. Nothing here blocks but xk_loop_run_once, until its deadline. SPDX-License-Identifier: MIT */
#ifndef XENKIT_LOOP_H
#define XENKIT_LOOP_H

#include <xenkit/alloc.h>
#include <xenkit/platform.h>

XK_API_BEGIN

struct xk_loop;

struct xk_timer {
    void (*fn)(struct xk_timer *t);
    xk_time at;
    size_t slot; /* place in the loop's heap + 1; 0: not started */
};

struct xk_port_watch {
    void (*fn)(struct xk_port_watch *w); /* the port is unmasked after it returns */
    xk_port port;
    int started;
};

struct xk_fd_watch {
    void (*fn)(struct xk_fd_watch *w, unsigned events);
    int handle;
    unsigned events;
    int started;
};

/* A call for later in this round, after the call-back that asked for it; each at most once a round. */
struct xk_defer {
    void (*fn)(struct xk_defer *d);
    struct xk_defer *next;
    int queued;
};

/* What a spinner waits for, which (fn) and its owner keep true. XK_AWAITS_ANSWER: what was asked for is under way, so
 * that the loop learns how long it takes; of a long wait it sleeps through the first part and spins through the rest.
 * XK_AWAITS_DEVICE: something that interrupts. There is no spin, which may keep the interrupt from the processor. */
enum xk_awaits { XK_AWAITS_NOTHING, XK_AWAITS_ANSWER, XK_AWAITS_DEVICE };

/* Something that can be looked at without a system call, such as a ring: (fn) returns 1 when it made progress. It is
 * called in a tight loop before the loop goes to sleep, for as long as spinning pays off, and a last time with
 * (sleeping) 1: then it asks its peer to be notified, and looks once more. So a peer is only asked when that is needed.
 */
struct xk_spinner {
    int (*fn)(struct xk_spinner *s, int sleeping);
    struct xk_spinner *next, **link;
    enum xk_awaits awaits;
    void (*awake)(struct xk_spinner *s); /* or NULL: peers were asked to notify, and need not, as the loop spins now */
    int asked;                           /* the loop's: (fn) was called with (sleeping) since */
};

/* Something that keeps what it could do without, such as pages of a peer that stay mapped: (fn) gives back what is not
 * in use now. */
struct xk_keeper {
    void (*fn)(struct xk_keeper *k);
    struct xk_keeper *next, **link;
};

struct xk_loop_stats {
    uint64_t rounds, sleeps, ports, descriptors, timers;
    uint64_t spins, spin_hits; /* how often a spin was tried, and found something */
    uint64_t naps;             /* sleeps that were to end shortly before an answer, and the spins after them */
    uint64_t nap_hits;         /* answers that these spins found */
    uint64_t idle_ns; /* asleep, since somebody asked first: the rest of that time it was at work, or not let run */
};

/* xk_loop_create (alloc, platform, out) - a loop over (platform), which must outlive it. xk_loop_destroy frees it; what
 * is still started is forgotten. */
XK_MUSTCHECK int xk_loop_create(const xk_alloc *alloc, struct xk_platform *platform, struct xk_loop **out);
void xk_loop_destroy(struct xk_loop *loop);

struct xk_platform *xk_loop_platform(struct xk_loop *loop);

/* xk_loop_run_once (loop, deadline) - waits until something is ready, a timer is due or (deadline) passes, then makes
 * all calls that are due. Returns how many; XK_E... of xk_wait. Peers on rings have been asked to notify when it
 * returns 0: who waits by other means than this call makes it with XK_NOW until then. */
int xk_loop_run_once(struct xk_loop *loop, xk_time deadline);

/* xk_loop_next (loop) - when the first timer is due; XK_FOREVER. */
xk_time xk_loop_next(struct xk_loop *loop);

/* Timers: (at) is absolute; starting one again moves it. XK_ENOMEM. */
int xk_timer_start(struct xk_loop *loop, struct xk_timer *t, xk_time at);
void xk_timer_stop(struct xk_loop *loop, struct xk_timer *t);

/* Ports: one watch each. XK_EBUSY, XK_ENOMEM. The port stays its owner's. */
int xk_port_watch_start(struct xk_loop *loop, struct xk_port_watch *w, xk_port port);
void xk_port_watch_stop(struct xk_loop *loop, struct xk_port_watch *w);

/* Descriptors, level-triggered: XK_READABLE, XK_WRITABLE. (events) may be changed by starting again. */
int xk_fd_watch_start(struct xk_loop *loop, struct xk_fd_watch *w, int handle, unsigned events);
void xk_fd_watch_stop(struct xk_loop *loop, struct xk_fd_watch *w);

void xk_defer_start(struct xk_loop *loop, struct xk_defer *d);
void xk_defer_stop(struct xk_loop *loop, struct xk_defer *d);

void xk_spinner_start(struct xk_loop *loop, struct xk_spinner *s);
void xk_spinner_stop(struct xk_spinner *s);

/* xk_loop_set_spin (loop, ns) - the longest spin before a sleep; 0 (the default) never spins. It adapts: while spins
 * find nothing they get rarer. On one processor 0 is right. XK_SPIN_WAKE, about what a sleep and its wake-up cost, is a
 * good bound: who spins longer takes processors away from those who work on the answer.
 */
enum { XK_SPIN_WAKE = 30000 };
void xk_loop_set_spin(struct xk_loop *loop, xk_time ns);

/* xk_loop_expect (loop) - more is about to come over a port or a descriptor: the spin before the next sleep looks at
 * these, too, which takes a system call each time. For one sleep, and within the bound and the habits of all spins.
 * For who was just sent several requests at once, as the next ones of such a peer come while it is told to sleep; a
 * peer that waits for each answer is slower to come back than a sleep costs. */
void xk_loop_expect(struct xk_loop *loop);

/* xk_loop_give_back (loop) - for who finds no room: all keepers give back what they can. */
void xk_keeper_start(struct xk_loop *loop, struct xk_keeper *k);
void xk_keeper_stop(struct xk_keeper *k);
void xk_loop_give_back(struct xk_loop *loop);

void xk_loop_get_stats(struct xk_loop *loop, struct xk_loop_stats *out);

XK_API_END

#endif
