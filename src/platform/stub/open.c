/* Opening the stub platform, and its ops table. SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/auxv.h>

#include "platform/linux/sys.h"
#include "platform/stub/private.h"

static const struct xk__stub_boot *boot_info(void)
{
    return (const struct xk__stub_boot *)(uintptr_t)getauxval(XK__STUB_AT_BOOT);
}

xk_domid stub_domid(struct xk_platform *p) { return ((struct stub *)p)->domid; }

void stub_resumed(struct stub *s)
{
    struct xk__stub_stats stats;

    if (stub_call1(XK__STUB_STATS, (uint64_t)(uintptr_t)&stats) == 0)
        s->domid = (xk_domid)stats.domid;
}

static void stub_close(struct xk_platform *p)
{
    struct stub *s = (struct stub *)p;
    xk_alloc alloc = s->alloc;

    stub_memory_fini(s);
    stub_evtchn_fini(s);
    xk_free(&alloc, s, sizeof(*s));
}

static int no_watch(struct xk_platform *p, int handle, unsigned events, void *cookie)
{
    (void)p, (void)handle, (void)events, (void)cookie;
    return XK_ENOSYS;
}

static int no_watch_del(struct xk_platform *p, int handle)
{
    (void)p, (void)handle;
    return XK_ENOSYS;
}

static int no_handle(struct xk_platform *p, char *name, size_t size)
{
    (void)p, (void)name, (void)size;
    return XK_ENOSYS;
}

static xk_time stub_now(struct xk_platform *p)
{
    (void)p;
    return xk__sys_now();
}

static int64_t stub_wallclock(struct xk_platform *p)
{
    (void)p;
    return xk__sys_wallclock();
}

static int stub_entropy(struct xk_platform *p, void *buf, size_t n)
{
    (void)p;
    return xk__sys_entropy(buf, n);
}

static int stub_cpus(struct xk_platform *p)
{
    (void)p;
    return 1;
}

static const struct xk_platform_ops stub_ops = {
    .version = XK_PLATFORM_VERSION,
    .name = "stub",
    .domid = stub_domid,
    .close = stub_close,
    .page_share = stub_page_share,
    .page_unshare = stub_page_unshare,
    .page_forget = stub_page_forget,
    .page_map = stub_page_map,
    .page_unmap = stub_page_unmap,
    .page_copy = stub_page_copy,
    .evtchn_alloc = stub_evtchn_alloc,
    .evtchn_bind = stub_evtchn_bind,
    .evtchn_bind_virq = stub_evtchn_bind_virq,
    .evtchn_notify = stub_evtchn_notify,
    .evtchn_pending = stub_evtchn_pending,
    .evtchn_unmask = stub_evtchn_unmask,
    .evtchn_unbind = stub_evtchn_unbind,
    .evtchn_peer = stub_evtchn_peer,
    .wait = stub_wait,
    .watch_add = no_watch,
    .watch_mod = no_watch,
    .watch_del = no_watch_del,
    .store_page = stub_store_page,
    .console_page = stub_console_page,
    .handle_take = no_handle,
    .store_port = stub_store_port,
    .domain_info = stub_domain_info,
    .domain_next = stub_domain_next,
    .domain_control = stub_domain_control,
    .now = stub_now,
    .wallclock = stub_wallclock,
    .entropy = stub_entropy,
    .cpus = stub_cpus,
    .tick = stub_tick,
};

int xk_stub_attach(const xk_alloc *alloc, struct xk_platform **out)
{
    const struct xk__stub_boot *boot = boot_info();
    struct stub *s;

    if (!boot)
        return XK_ENODEV;
    if (boot->version != XK__STUB_VERSION)
        return XK_ENOSYS;
    s = xk_new(alloc, sizeof(*s));
    if (!s)
        return XK_ENOMEM;
    s->base.ops = &stub_ops;
    s->alloc = alloc ? *alloc : *xk_alloc_libc();
    s->domid = (xk_domid)boot->domid;
    xk_list_init(&s->shares);
    xk_list_init(&s->maps);
    xk_list_init(&s->ports);
    *out = &s->base;
    return 0;
}

const void *xk_stub_archive(size_t *size)
{
    const struct xk__stub_boot *boot = boot_info();

    *size = boot ? boot->archive_size : 0;
    return *size ? (const void *)(uintptr_t)boot->archive : NULL;
}

const char *xk_stub_cmdline(void)
{
    const struct xk__stub_boot *boot = boot_info();

    return boot && boot->cmdline ? (const char *)(uintptr_t)boot->cmdline : "";
}

int xk_stub_seed(const void *bytes, size_t n)
{
    return boot_info() ? stub_call2(XK__STUB_SEED, (uint64_t)(uintptr_t)bytes, n) : XK_ENODEV;
}

int xk_stub_get_stats(struct xk_stub_stats *out)
{
    struct xk__stub_stats s;

    if (!boot_info() || stub_call1(XK__STUB_STATS, (uint64_t)(uintptr_t)&s) < 0)
        return XK_ENODEV;
    memset(out, 0, sizeof(*out));
    out->pages_total = s.pages_total;
    out->pages_free = s.pages_free;
    out->pages_reserved = s.pages_reserved;
    out->faults = s.faults;
    out->syscalls = s.syscalls;
    out->refused = s.refused;
    out->upcalls = s.upcalls;
    out->ticks = s.ticks;
    out->console_dropped = s.dropped;
    out->grants = s.grants;
    out->maps = s.maps;
    out->ports = s.ports;
    out->areas = s.areas;
    out->last_refused = s.last_refused;
    out->seeded = s.seeded;
    out->entry_tsc = boot_info()->entry_tsc;
    return 0;
}
