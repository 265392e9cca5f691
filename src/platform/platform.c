/* The portable half of the contract: checks what a caller may get wrong, then calls the platform's function of the same
 * noun. SPDX-License-Identifier: MIT */
#include <xenkit/platform.h>

enum { SHARE_MAX = 1024, ENTROPY_MAX = 256 };

xk_domid xk_platform_domid(struct xk_platform *p) { return p->ops->domid(p); }

const char *xk_platform_name(struct xk_platform *p) { return p->ops->name; }

void xk_platform_close(struct xk_platform *p)
{
    if (p)
        p->ops->close(p);
}

static xk_domid resolve(struct xk_platform *p, xk_domid domid)
{
    return domid == XK_DOMID_SELF ? p->ops->domid(p) : domid;
}

int xk_page_share(struct xk_platform *p, xk_domid peer, unsigned count, unsigned flags, xk_gref *refs, void **addr)
{
    if (count == 0 || count > SHARE_MAX || !refs || !addr || (flags & ~(unsigned)XK_PAGE_READONLY))
        return XK_EINVAL;
    return p->ops->page_share(p, resolve(p, peer), count, flags, refs, addr);
}

int xk_page_unshare(struct xk_platform *p, void *addr, unsigned count)
{
    if (!addr || count == 0)
        return XK_EINVAL;
    return p->ops->page_unshare(p, addr, count);
}

int xk_page_forget(struct xk_platform *p, void *addr, unsigned count)
{
    if (!addr || count == 0)
        return XK_EINVAL;
    return p->ops->page_forget(p, addr, count);
}

int xk_page_map(struct xk_platform *p, xk_domid peer, const xk_gref *refs, unsigned count, unsigned flags, int *status,
                void **addr)
{
    if (count == 0 || count > SHARE_MAX || !refs || !addr || (flags & ~(unsigned)XK_PAGE_READONLY))
        return XK_EINVAL;
    return p->ops->page_map(p, resolve(p, peer), refs, count, flags, status, addr);
}

int xk_page_unmap(struct xk_platform *p, void *addr, unsigned count)
{
    if (!addr || count == 0)
        return XK_EINVAL;
    return p->ops->page_unmap(p, addr, count);
}

int xk_page_copy(struct xk_platform *p, xk_domid peer, struct xk_page_copy *ops, unsigned count, unsigned flags)
{
    if (count == 0 || count > SHARE_MAX || !ops || (flags & ~(unsigned)XK_COPY_TO))
        return XK_EINVAL;
    for (unsigned i = 0; i < count; i++)
        if (ops[i].len == 0 || ops[i].offset + ops[i].len > XK_PAGE_SIZE ||
            (!ops[i].local && (!(flags & XK_COPY_TO) || ops[i].from.offset + ops[i].len > XK_PAGE_SIZE)))
            return XK_EINVAL;
    if (p->ops->version < 4 || !p->ops->page_copy)
        return XK_ENOSYS;
    return p->ops->page_copy(p, resolve(p, peer), ops, count, flags);
}

int xk_evtchn_alloc(struct xk_platform *p, xk_domid peer) { return p->ops->evtchn_alloc(p, resolve(p, peer)); }

int xk_evtchn_bind(struct xk_platform *p, xk_domid peer, xk_port remote)
{
    return remote < 0 ? XK_EINVAL : p->ops->evtchn_bind(p, resolve(p, peer), remote);
}

int xk_evtchn_bind_virq(struct xk_platform *p, unsigned virq) { return p->ops->evtchn_bind_virq(p, virq); }

int xk_evtchn_notify(struct xk_platform *p, xk_port port) { return p->ops->evtchn_notify(p, port); }

int xk_evtchn_pending(struct xk_platform *p) { return p->ops->evtchn_pending(p); }

int xk_evtchn_unmask(struct xk_platform *p, xk_port port) { return p->ops->evtchn_unmask(p, port); }

int xk_evtchn_unbind(struct xk_platform *p, xk_port port) { return p->ops->evtchn_unbind(p, port); }

int xk_evtchn_peer(struct xk_platform *p, xk_port port) { return p->ops->evtchn_peer(p, port); }

int xk_wait(struct xk_platform *p, xk_time deadline, struct xk_ready *ready, int max)
{
    return max < 1 || !ready ? XK_EINVAL : p->ops->wait(p, deadline, ready, max);
}

int xk_watch_add(struct xk_platform *p, int handle, unsigned events, void *cookie)
{
    return handle < 0 || !cookie ? XK_EINVAL : p->ops->watch_add(p, handle, events, cookie);
}

int xk_watch_mod(struct xk_platform *p, int handle, unsigned events, void *cookie)
{
    return handle < 0 || !cookie ? XK_EINVAL : p->ops->watch_mod(p, handle, events, cookie);
}

int xk_watch_del(struct xk_platform *p, int handle) { return handle < 0 ? XK_EINVAL : p->ops->watch_del(p, handle); }

int xk_store_page(struct xk_platform *p, struct xk_ring_page *out) { return p->ops->store_page(p, out); }

int xk_console_page(struct xk_platform *p, struct xk_ring_page *out) { return p->ops->console_page(p, out); }

int xk_handle_take(struct xk_platform *p, char *name, size_t size)
{
    return !name || size == 0 ? XK_EINVAL : p->ops->handle_take(p, name, size);
}

int xk_domain_info(struct xk_platform *p, xk_domid domid, struct xk_domain_info *out)
{
    return !out ? XK_EINVAL : p->ops->domain_info(p, resolve(p, domid), out);
}

int xk_domain_next(struct xk_platform *p, xk_domid after, struct xk_domain_info *out)
{
    return !out ? XK_EINVAL : p->ops->domain_next(p, after, out);
}

int xk_domain_pause(struct xk_platform *p, xk_domid domid)
{
    return p->ops->domain_control(p, resolve(p, domid), XK_DOMCTL_PAUSE, 0);
}

int xk_domain_unpause(struct xk_platform *p, xk_domid domid)
{
    return p->ops->domain_control(p, resolve(p, domid), XK_DOMCTL_UNPAUSE, 0);
}

int xk_domain_destroy(struct xk_platform *p, xk_domid domid)
{
    return p->ops->domain_control(p, resolve(p, domid), XK_DOMCTL_DESTROY, 0);
}

int xk_domain_shutdown(struct xk_platform *p, xk_domid domid, enum xk_shutdown reason)
{
    if (reason < XK_POWEROFF || reason > XK_CRASH)
        return XK_EINVAL;
    return p->ops->domain_control(p, resolve(p, domid), XK_DOMCTL_SHUTDOWN, (int)reason);
}

int xk_domain_set_virq_handler(struct xk_platform *p, xk_domid domid, unsigned virq)
{
    return p->ops->domain_control(p, resolve(p, domid), XK_DOMCTL_SET_VIRQ_HANDLER, (int)virq);
}

xk_time xk_now(struct xk_platform *p) { return p->ops->now(p); }

int64_t xk_wallclock(struct xk_platform *p) { return p->ops->wallclock(p); }

int xk_entropy(struct xk_platform *p, void *buf, size_t n)
{
    return !buf || n > ENTROPY_MAX ? XK_EINVAL : p->ops->entropy(p, buf, n);
}

int xk_cpus(struct xk_platform *p) { return p->ops->cpus(p); }

int xk_store_handle(struct xk_platform *p)
{
    return p->ops->version >= 2 && p->ops->store_handle ? p->ops->store_handle(p) : XK_ENOSYS;
}

int xk_store_port(struct xk_platform *p)
{
    return p->ops->version >= 3 && p->ops->store_port ? p->ops->store_port(p) : XK_ENOSYS;
}

int xk_tick(struct xk_platform *p, xk_time period, void (*fn)(void))
{
    if (period < 0 || (period > 0 && !fn))
        return XK_EINVAL;
    return p->ops->version >= 2 && p->ops->tick ? p->ops->tick(p, period, fn) : XK_ENOSYS;
}
