/* Opening and closing the hosted platform, and its ops table. SPDX-License-Identifier: MIT */
#include <string.h>
#include <unistd.h>

#include <xenkit/hosted.h>

#include "platform/hosted/private.h"

static xk_domid get_domid(struct xk_platform *p) { return ((struct hosted *)p)->domid; }

static void hosted_close(struct xk_platform *p)
{
    struct hosted *h = (struct hosted *)p;
    xk_alloc alloc = h->alloc;

    hosted_memory_fini(h);
    hosted_evtchn_fini(h);
    xk__poll_fini(&h->poll);
    if (h->control >= 0)
        close(h->control);
    xk_free(&alloc, h, sizeof(*h));
}

static xk_time hosted_now(struct xk_platform *p)
{
    (void)p;
    return xk__sys_now();
}

static int64_t hosted_wallclock(struct xk_platform *p)
{
    (void)p;
    return xk__sys_wallclock();
}

static int hosted_entropy(struct xk_platform *p, void *buf, size_t n)
{
    (void)p;
    return xk__sys_entropy(buf, n);
}

static int hosted_tick(struct xk_platform *p, xk_time period, void (*fn)(void))
{
    (void)p;
    return xk__sys_tick(period, fn);
}

static int hosted_cpus(struct xk_platform *p)
{
    (void)p;
    return xk__sys_cpus();
}

static const struct xk_platform_ops hosted_ops = {
    .version = XK_PLATFORM_VERSION,
    .name = "hosted",
    .domid = get_domid,
    .close = hosted_close,
    .page_share = hosted_page_share,
    .page_unshare = hosted_page_unshare,
    .page_forget = hosted_page_forget,
    .page_map = hosted_page_map,
    .page_unmap = hosted_page_unmap,
    .page_copy = hosted_page_copy,
    .evtchn_alloc = hosted_evtchn_alloc,
    .evtchn_bind = hosted_evtchn_bind,
    .evtchn_bind_virq = hosted_evtchn_bind_virq,
    .evtchn_notify = hosted_evtchn_notify,
    .evtchn_pending = hosted_evtchn_pending,
    .evtchn_unmask = hosted_evtchn_unmask,
    .evtchn_unbind = hosted_evtchn_unbind,
    .evtchn_peer = hosted_evtchn_peer,
    .wait = hosted_wait,
    .watch_add = hosted_watch_add,
    .watch_mod = hosted_watch_mod,
    .watch_del = hosted_watch_del,
    .store_page = hosted_store_page,
    .console_page = hosted_console_page,
    .handle_take = hosted_handle_take,
    .domain_info = hosted_domain_info,
    .domain_next = hosted_domain_next,
    .domain_control = hosted_domain_control,
    .now = hosted_now,
    .wallclock = hosted_wallclock,
    .entropy = hosted_entropy,
    .cpus = hosted_cpus,
    .tick = hosted_tick,
};

int xk_hosted_attach(int control, const xk_alloc *alloc, struct xk_platform **out)
{
    struct hosted *h;
    struct xk__ctl m;
    int r;

    if (!alloc)
        alloc = xk_alloc_libc();
    h = xk_new(alloc, sizeof(*h));
    if (!h) {
        close(control);
        return XK_ENOMEM;
    }
    h->base.ops = &hosted_ops;
    h->alloc = *alloc;
    h->control = control;
    h->queue_head = h->queue_tail = -1;
    h->poll.epfd = -1;
    h->idle_max = 8;
    xk__sys_cpus(); /* read while files can be opened: a sandbox may follow */
    xk_list_init(&h->arenas);
    xk_list_init(&h->maps);
    memset(&m, 0, sizeof(m));
    m.op = XK__CTL_START;
    r = hosted_ask(h, &m, -1, NULL);
    if (r >= 0) {
        h->domid = (xk_domid)m.arg[0];
        r = xk__poll_init(&h->poll, alloc);
    }
    if (r < 0) {
        hosted_close(&h->base);
        return r;
    }
    *out = &h->base;
    return 0;
}

int xk_hosted_fd(struct xk_platform *p) { return p->ops == &hosted_ops ? ((struct hosted *)p)->poll.epfd : XK_ENOSYS; }
