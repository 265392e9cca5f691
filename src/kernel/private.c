/* The private calls: arguments from the program are copied in, checked, and results copied out.
 * SPDX-License-Identifier: MIT */
#include <stdint.h>

#include <xen/hvm/params.h>
#include <xen/sched.h>

#include "kernel/area.h"
#include "kernel/console.h"
#include "kernel/copy.h"
#include "kernel/entropy.h"
#include "kernel/error.h"
#include "kernel/evtchn.h"
#include "kernel/grant.h"
#include "kernel/hyper.h"
#include "kernel/page.h"
#include "platform/stub/abi.h"
#include "kernel/syscall.h"
#include "kernel/table.h"
#include "kernel/time.h"
#include "kernel/user.h"
#include "kernel/x86.h"

enum { PAGES_MAX = 1024, PORTS_AT_ONCE = 64, SEED_MAX = 64 };

static uint32_t refs[PAGES_MAX]; /* one call at a time */
static int32_t status[PAGES_MAX];

static int64_t share(const uint64_t a[6])
{
    uint64_t addr = 0;
    int r;

    if (a[1] == 0 || a[1] > PAGES_MAX || user_present(a[3], a[1] * 4, 1) < 0 || user_present(a[4], 8, 1) < 0)
        return -EINVAL;
    r = grant_share((uint16_t)a[0], (uint32_t)a[1], a[2] & XK__STUB_READONLY, refs, &addr);
    if (r < 0)
        return r;
    user_write(a[3], refs, a[1] * 4);
    user_write(a[4], &addr, 8);
    return 0;
}

static int64_t map(const uint64_t a[6])
{
    uint64_t addr = 0;
    int r;

    if (a[2] == 0 || a[2] > PAGES_MAX || user_read(refs, a[1], a[2] * 4) < 0 || user_present(a[5], 8, 1) < 0)
        return -EINVAL;
    for (uint32_t i = 0; i < a[2]; i++)
        status[i] = 0;
    r = grant_map((uint16_t)a[0], refs, (uint32_t)a[2], a[3] & XK__STUB_READONLY, status, &addr);
    if (a[4] && user_write(a[4], status, a[2] * 4) < 0 && r == 0) {
        grant_unmap(addr, (uint32_t)a[2]);
        return -EFAULT;
    }
    if (r == 0)
        user_write(a[5], &addr, 8);
    return r;
}

static int64_t wait(const uint64_t a[6])
{
    int32_t ports[PORTS_AT_ONCE];
    int max = a[2] < PORTS_AT_ONCE ? (int)a[2] : PORTS_AT_ONCE, n;

    if (max <= 0 || user_present(a[1], (uint64_t)max * 4, 1) < 0)
        return -EINVAL;
    n = evtchn_wait(a[0], ports, max);
    trap_tick_rearm();
    user_write(a[1], ports, (uint64_t)n * 4);
    return n;
}

/* Xen's builder made these two pages and ports. */
static int64_t ring(uint64_t which, uint64_t out)
{
    static const uint64_t addr[] = {XK__STUB_RINGS, XK__STUB_RINGS + 2 * PAGE};
    uint64_t frame, port;
    struct xk__stub_ring_page page;

    if (which > XK__STUB_CONSOLE)
        return -EINVAL;
    frame = hyper_present() ? hyper_param(which ? HVM_PARAM_CONSOLE_PFN : HVM_PARAM_STORE_PFN) : 0;
    port = frame ? hyper_param(which ? HVM_PARAM_CONSOLE_EVTCHN : HVM_PARAM_STORE_EVTCHN) : 0;
    if (!frame || !port)
        return -ENODEV;
    page = (struct xk__stub_ring_page){addr[which], (int32_t)port, 0};
    if (user_present(out, sizeof(page), 1) < 0)
        return -EFAULT;
    if (!table_get(addr[which])) {
        if (table_map(addr[which], frame * PAGE, PTE_U | PTE_W | PTE_NX) < 0)
            return -ENOMEM;
        area_add(addr[which], addr[which] + PAGE, PROT_READ | PROT_WRITE, AREA_RING);
    }
    evtchn_own((uint32_t)port);
    if (which == XK__STUB_CONSOLE)
        console_take();
    user_write(out, &page, sizeof(page));
    return 0;
}

/* All that Xen forgets of a domain that it saves is set up anew; ports are gone, and the program binds its own again.
 */
static int64_t suspend(void)
{
    int cancelled;

    if (grant_suspend() < 0)
        return -ENOMEM;
    time_suspend();
    cancelled = hyper_shutdown(SHUTDOWN_suspend);
    if (!cancelled) {
        hyper_start();
        hyper_init(TRAP_UPCALL);
        time_resumed();
        evtchn_init();
    }
    entropy_resumed();
    trap_tick_resumed();
    grant_resume(cancelled);
    return cancelled;
}

static int64_t shutdown(uint64_t reason)
{
    if (reason > SHUTDOWN_crash)
        return -EINVAL;
    if (reason == SHUTDOWN_suspend)
        return hyper_present() ? suspend() : -ENOSYS;
    trap_end((unsigned)reason, reason == SHUTDOWN_crash);
    return 0;
}

static int64_t seed(uint64_t bytes, uint64_t n)
{
    uint8_t buf[SEED_MAX];

    if (n > SEED_MAX || user_read(buf, bytes, n) < 0)
        return -EINVAL;
    entropy_add(buf, n, 1);
    return 0;
}

static int64_t stats(uint64_t out)
{
    struct page_count p = page_count();
    struct syscall_counts c = syscall_counts();
    struct xk__stub_stats s = {
        .pages_total = p.total,
        .pages_free = p.free,
        .pages_reserved = p.reserved,
        .faults = area_faults(),
        .syscalls = c.calls,
        .refused = c.refused,
        .upcalls = evtchn_upcalls(),
        .ticks = trap_ticks(),
        .dropped = console_dropped(),
        .grants = grant_count(),
        .maps = grant_map_count(),
        .ports = evtchn_count(),
        .areas = area_count(),
        .last_refused = c.last_refused,
        .seeded = (uint32_t)entropy_seeded(),
        .domid = hyper_domid(),
    };

    return user_write(out, &s, sizeof(s));
}

static int64_t domain(uint64_t from, uint64_t out)
{
    struct xk__stub_domain d;
    int r = hyper_present() ? hyper_domain((uint32_t)from, &d) : -ENOSYS;

    return r < 0 ? r : user_write(out, &d, sizeof(d));
}

int64_t private_call(uint64_t nr, const uint64_t a[6])
{
    switch (nr) {
    case XK__STUB_SHARE:
        return share(a);
    case XK__STUB_UNSHARE:
        return a[1] > PAGES_MAX ? -EINVAL : grant_unshare(a[0], (uint32_t)a[1]);
    case XK__STUB_MAP:
        return map(a);
    case XK__STUB_UNMAP:
        return a[1] > PAGES_MAX ? -EINVAL : grant_unmap(a[0], (uint32_t)a[1]);
    case XK__STUB_COPY:
        if (!hyper_present())
            return -ENOSYS;
        return a[2] > PAGES_MAX ? -EINVAL : copy_pieces((uint16_t)a[0], a[1], (uint32_t)a[2], a[3] & XK__STUB_COPY_TO);
    case XK__STUB_EVT_ALLOC:
        return evtchn_alloc((uint16_t)a[0]);
    case XK__STUB_EVT_BIND:
        return evtchn_bind((uint16_t)a[0], (uint32_t)a[1]);
    case XK__STUB_EVT_VIRQ:
        return evtchn_bind_virq((uint32_t)a[0]);
    case XK__STUB_EVT_CLOSE:
        return evtchn_close((uint32_t)a[0]);
    case XK__STUB_EVT_NOTIFY:
        return evtchn_send((uint32_t)a[0]);
    case XK__STUB_EVT_UNMASK:
        return evtchn_unmask((uint32_t)a[0]);
    case XK__STUB_EVT_PEER:
        return evtchn_peer((uint32_t)a[0]);
    case XK__STUB_WAIT:
        return wait(a);
    case XK__STUB_RING:
        return ring(a[0], a[1]);
    case XK__STUB_SHUTDOWN:
        return shutdown(a[0]);
    case XK__STUB_TICK:
        trap_tick(a[0], a[1]);
        return 0;
    case XK__STUB_SEED:
        return seed(a[0], a[1]);
    case XK__STUB_STATS:
        return stats(a[0]);
    case XK__STUB_DOMAIN:
        return domain(a[0], a[1]);
    default:
        return -ENOSYS;
    }
}
