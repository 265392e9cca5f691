/* xenkit/fake.h - many domains in one process, for tests and simulation: deterministic, strict, and willing to fail.
 *
 * Time is virtual: it stands still while anybody can run, and jumps to the next deadline when all wait. Which domain
 * runs next, and which events are late or doubled, follows from a seed. Memory is strict where the hosted platform is
 * cooperative: what was unmapped or unshared faults when it is touched, a read-only map is read-only.
 *
 * One thread. A domain is driven either by the caller, who calls xk_wait on its handle, or by a function given to
 * xk_fake_run_with, which is called whenever that domain has something to do while another one waits.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_FAKE_H
#define XENKIT_FAKE_H

#include <xenkit/alloc.h>
#include <xenkit/platform.h>

XK_API_BEGIN

struct xk_fake;

/* xk_fake_create (seed, out) - an empty world. The same seed and the same calls give the same run. */
XK_MUSTCHECK int xk_fake_create(uint64_t seed, struct xk_fake **out);

/* xk_fake_destroy (w, report, size) - ends the world, and all domains that are still open. Returns how many grants,
 * maps, ports, watches and blocks of xk_fake_alloc were left over in domains that were open; (report) names the first
 * few, NUL-terminated. A clean world gives 0. */
int xk_fake_destroy(struct xk_fake *w, char *report, size_t size);

/* xk_fake_domain (w, name, out) - one more domain; the first has number 0. */
XK_MUSTCHECK int xk_fake_domain(struct xk_fake *w, const char *name, struct xk_platform **out);

/* xk_fake_wire (w, domid, store, console) - gives (domid) a store page and a console page served by these domains; -1:
 * none. Returns the store's port in (domid), which the server binds to; the console's is the next. */
int xk_fake_wire(struct xk_fake *w, xk_domid domid, int store, int console);

/* xk_fake_run_with (p, fn, arg) - (fn) does all that can be done now without waiting, and returns the time at which it
 * wants to be called again though nothing happens (XK_FOREVER: never). */
void xk_fake_run_with(struct xk_platform *p, xk_time (*fn)(void *arg), void *arg);

/* xk_fake_alloc (w) - an allocator that counts, and fails as told. */
const xk_alloc *xk_fake_alloc(struct xk_fake *w);

/* Faults. xk_fake_fail (w, what, nth) - the (nth) call of this kind from now on fails, once; 0 clears. */
enum xk_fake_fault {
    XK_FAKE_ALLOC,
    XK_FAKE_SHARE,
    XK_FAKE_MAP,
    XK_FAKE_EVTCHN,
    XK_FAKE_NOTIFY,
    XK_FAKE_COPY,
    XK_FAKE_FAULTS
};
void xk_fake_fail(struct xk_fake *w, enum xk_fake_fault what, unsigned nth);

/* xk_fake_map_max (w, pages) - a domain maps so many at once, more are XK_ENOSPC; 0: as many as it likes. */
void xk_fake_map_max(struct xk_fake *w, unsigned pages);

/* xk_fake_calls (w, what) - how many calls of this kind there were; to know where to stop counting (nth) up. */
unsigned xk_fake_calls(struct xk_fake *w, enum xk_fake_fault what);

/* xk_fake_chaos (w, late, spurious) - of 1000 notifications so many come up to 1 ms late, and so many events come that
 * nobody sent. Both are legal: correct code does not notice. */
void xk_fake_chaos(struct xk_fake *w, unsigned late, unsigned spurious);

/* xk_fake_advance (w, ns) - lets virtual time pass, running what becomes due. */
void xk_fake_advance(struct xk_fake *w, xk_time ns);

XK_API_END

#endif
