/* Ports as bits. The kernel runs with interrupts off, so an upcall comes only in ring 3 or while idling here.
 * SPDX-License-Identifier: MIT */
#include "kernel/evtchn.h"

#include "kernel/error.h"
#include "kernel/hyper.h"
#include "kernel/time.h"
#include "kernel/x86.h"

enum { PORTS = 4096, WORDS = PORTS / 64, ESRCH = 3 };

static uint64_t ready[WORDS]; /* fired, masked, not yet taken */
static uint64_t owned[WORDS]; /* the program's */
static uint64_t fixed[WORDS]; /* of those: not to be closed */
static uint64_t ready_words;
static uint32_t timer_port;
static uint64_t upcalls;
static unsigned count;

uint64_t evtchn_upcalls(void) { return upcalls; }
unsigned evtchn_count(void) { return count; }

static int has(const uint64_t *bits, uint32_t port) { return port < PORTS && (bits[port / 64] >> port % 64 & 1); }
static void set(uint64_t *bits, uint32_t port) { bits[port / 64] |= 1ull << port % 64; }
static void clear(uint64_t *bits, uint32_t port) { bits[port / 64] &= ~(1ull << port % 64); }

static uint64_t shared_and(xen_ulong_t *word, uint64_t v) { return __atomic_fetch_and(word, v, __ATOMIC_SEQ_CST); }
static uint64_t shared_or(xen_ulong_t *word, uint64_t v) { return __atomic_fetch_or(word, v, __ATOMIC_SEQ_CST); }

static void mask(uint32_t port) { shared_or(&hyper_shared->evtchn_mask[port / 64], 1ull << port % 64); }
static void unmask(uint32_t port) { shared_and(&hyper_shared->evtchn_mask[port / 64], ~(1ull << port % 64)); }

/* Takes the pending bit away; 1 when it was there. */
static int take_pending(uint32_t port)
{
    return (int)(shared_and(&hyper_shared->evtchn_pending[port / 64], ~(1ull << port % 64)) >> port % 64 & 1);
}

static void fire(uint32_t port)
{
    if (port == timer_port) {
        take_pending(port);
        time_fired();
        return;
    }
    mask(port);
    take_pending(port);
    if (!has(owned, port))
        return;
    set(ready, port);
    ready_words |= 1ull << port / 64;
}

void idle_wait(void); /* entry.S */

void evtchn_upcall(void)
{
    struct vcpu_info *v = &hyper_shared->vcpu_info[0];
    uint64_t words;

    upcalls++;
    __atomic_store_n(&v->evtchn_upcall_pending, 0,
                     __ATOMIC_SEQ_CST); /* before looking: what comes later upcalls anew */
    words = __atomic_exchange_n(&v->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    while (words) {
        unsigned w = (unsigned)__builtin_ctzll(words);
        uint64_t bits = __atomic_load_n(&hyper_shared->evtchn_pending[w], __ATOMIC_SEQ_CST) &
                        ~__atomic_load_n(&hyper_shared->evtchn_mask[w], __ATOMIC_SEQ_CST);
        words &= words - 1;
        for (; bits; bits &= bits - 1)
            fire(w * 64 + (unsigned)__builtin_ctzll(bits));
    }
}

void evtchn_init(void)
{
    struct evtchn_bind_virq v = {.virq = VIRQ_TIMER};

    if (!hyper_present())
        return;
    for (unsigned i = 0; i < WORDS; i++) {
        ready[i] = owned[i] = fixed[i] = 0;
        __atomic_store_n(&hyper_shared->evtchn_mask[i], ~0ull, __ATOMIC_SEQ_CST);
    }
    ready_words = count = 0;
    timer_port = 0;
    if (hyper_evtchn(EVTCHNOP_bind_virq, &v) == 0) {
        timer_port = v.port;
        unmask(timer_port);
    }
}

static int error(int xen) { return xen == -ESRCH ? -EGONE : xen == -ENOSPC ? -EMFILE : xen; }

static int give(uint32_t port)
{
    if (port >= PORTS)
        return -EMFILE;
    set(owned, port);
    clear(ready, port);
    count++;
    unmask(port);
    if (take_pending(port)) /* a binding raises an event: it may be there already */
        fire(port);
    return (int)port;
}

int evtchn_alloc(uint16_t peer)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = peer};
    int r = hyper_present() ? hyper_evtchn(EVTCHNOP_alloc_unbound, &a) : -ENOSYS;

    return r < 0 ? error(r) : give(a.port);
}

int evtchn_bind(uint16_t peer, uint32_t remote)
{
    struct evtchn_bind_interdomain b = {.remote_dom = peer, .remote_port = remote};
    int r = hyper_present() ? hyper_evtchn(EVTCHNOP_bind_interdomain, &b) : -ENOSYS;

    return r < 0 ? error(r) : give(b.local_port);
}

int evtchn_bind_virq(uint32_t virq)
{
    struct evtchn_bind_virq v = {.virq = virq};
    int r = !hyper_present() ? -ENOSYS : virq == VIRQ_TIMER ? -EEXIST : hyper_evtchn(EVTCHNOP_bind_virq, &v);

    return r < 0 ? error(r) : give(v.port);
}

void evtchn_own(uint32_t port)
{
    if (port >= PORTS || has(owned, port))
        return;
    give(port);
    set(fixed, port);
}

int evtchn_close(uint32_t port)
{
    struct evtchn_close c = {.port = port};

    if (!has(owned, port) || has(fixed, port))
        return -EINVAL;
    mask(port);
    clear(owned, port);
    clear(ready, port);
    count--;
    return hyper_evtchn(EVTCHNOP_close, &c);
}

void evtchn_notify(uint32_t port)
{
    struct evtchn_send s = {.port = port};

    hyper_evtchn(EVTCHNOP_send, &s);
}

int evtchn_send(uint32_t port)
{
    if (!has(owned, port))
        return -EINVAL;
    evtchn_notify(port);
    return 0;
}

int evtchn_unmask(uint32_t port)
{
    if (!has(owned, port))
        return -EINVAL;
    if (has(ready, port)) /* fired already, not taken: it stays masked until it is */
        return 0;
    unmask(port);
    if (take_pending(port))
        fire(port);
    return 0;
}

int evtchn_peer(uint32_t port)
{
    struct evtchn_status s = {.dom = DOMID_SELF, .port = port};

    if (!has(owned, port))
        return -EINVAL;
    return hyper_evtchn(EVTCHNOP_status, &s) == 0 && s.status == EVTCHNSTAT_interdomain;
}

static int collect(int32_t *ports, int max)
{
    int n = 0;

    while (ready_words && n < max) {
        unsigned w = (unsigned)__builtin_ctzll(ready_words);
        while (ready[w] && n < max) {
            uint32_t port = w * 64 + (unsigned)__builtin_ctzll(ready[w]);
            ready[w] &= ready[w] - 1;
            take_pending(port); /* what came since it fired is this same event */
            ports[n++] = (int32_t)port;
        }
        if (!ready[w])
            ready_words &= ~(1ull << w);
    }
    return n;
}

void evtchn_sleep(uint64_t deadline)
{
    if (!hyper_present()) { /* no interrupts there: the clock alone wakes */
        __asm__ volatile("pause");
        return;
    }
    if (deadline != INT64_MAX)
        time_arm(deadline);
    idle_wait();
}

int evtchn_wait(uint64_t deadline, int32_t *ports, int max)
{
    for (;;) {
        int n = collect(ports, max);
        if (n || deadline == 0 || (deadline != INT64_MAX && time_now() >= deadline))
            return n;
        evtchn_sleep(deadline);
    }
}
