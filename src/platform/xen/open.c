/* Opening the xen platform, and its ops table. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/xen/private.h"

static xk_domid get_domid(struct xk_platform *p) { return ((struct xen *)p)->domid; }

static void xen_close(struct xk_platform *p)
{
    struct xen *x = (struct xen *)p;
    xk_alloc alloc = x->alloc;

    xen_memory_fini(x);
    for (int i = 0; i < x->handle_count; i++)
        close(x->handles[i].fd);
    if (x->evtchn)
        xenevtchn_close(x->evtchn);
    if (x->gntshr)
        xengntshr_close(x->gntshr);
    if (x->gnttab)
        xengnttab_close(x->gnttab);
    if (x->call)
        xencall_close(x->call);
    if (x->store >= 0)
        close(x->store);
    if (x->xsd_kva >= 0)
        close(x->xsd_kva);
    xk__poll_fini(&x->poll);
    xk_free(&alloc, x, sizeof(*x));
}

static int xen_watch_add(struct xk_platform *p, int handle, unsigned events, void *cookie)
{
    return xk__poll_add(&((struct xen *)p)->poll, handle, events, cookie);
}

static int xen_watch_mod(struct xk_platform *p, int handle, unsigned events, void *cookie)
{
    return xk__poll_mod(&((struct xen *)p)->poll, handle, events, cookie);
}

static int xen_watch_del(struct xk_platform *p, int handle) { return xk__poll_del(&((struct xen *)p)->poll, handle); }

static int no_page(struct xk_platform *p, struct xk_ring_page *out)
{
    (void)p, (void)out;
    return XK_ENODEV; /* Linux itself drives both */
}

static int xen_store_handle(struct xk_platform *p)
{
    struct xen *x = (struct xen *)p;
    int fd = x->store;

    x->store = -1;
    return fd < 0 ? XK_ENODEV : fd;
}

static int xen_store_port(struct xk_platform *p)
{
    struct xen *x = (struct xen *)p;

    return x->xsd_kva < 0 ? XK_ENODEV : x->xsd_port;
}

static int xen_handle_take(struct xk_platform *p, char *name, size_t size)
{
    struct xen *x = (struct xen *)p;
    int fd;

    if (!x->handle_count)
        return XK_EAGAIN;
    fd = x->handles[0].fd;
    snprintf(name, size, "%s", x->handles[0].name);
    memmove(x->handles, x->handles + 1, (size_t)--x->handle_count * sizeof(x->handles[0]));
    return fd;
}

int xk_xen_hand(struct xk_platform *p, const char *name, int fd)
{
    struct xen *x = (struct xen *)p;

    if (x->handle_count == XEN_HANDLES)
        return XK_EMFILE;
    snprintf(x->handles[x->handle_count].name, sizeof(x->handles[0].name), "%s", name);
    x->handles[x->handle_count++].fd = fd;
    return 0;
}

static xk_time xen_now(struct xk_platform *p)
{
    (void)p;
    return xk__sys_now();
}

static int64_t xen_wallclock(struct xk_platform *p)
{
    (void)p;
    return xk__sys_wallclock();
}

static int xen_entropy(struct xk_platform *p, void *buf, size_t n)
{
    (void)p;
    return xk__sys_entropy(buf, n);
}

static int xen_tick(struct xk_platform *p, xk_time period, void (*fn)(void))
{
    (void)p;
    return xk__sys_tick(period, fn);
}

static int xen_cpus(struct xk_platform *p)
{
    (void)p;
    return xk__sys_cpus();
}

static const struct xk_platform_ops xen_ops = {
    .version = XK_PLATFORM_VERSION,
    .name = "xen",
    .domid = get_domid,
    .close = xen_close,
    .page_share = xen_page_share,
    .page_unshare = xen_page_unshare,
    .page_forget = xen_page_unshare,
    .page_map = xen_page_map,
    .page_unmap = xen_page_unmap,
    .page_copy = xen_page_copy,
    .evtchn_alloc = xen_evtchn_alloc,
    .evtchn_bind = xen_evtchn_bind,
    .evtchn_bind_virq = xen_evtchn_bind_virq,
    .evtchn_notify = xen_evtchn_notify,
    .evtchn_pending = xen_evtchn_pending,
    .evtchn_unmask = xen_evtchn_unmask,
    .evtchn_unbind = xen_evtchn_unbind,
    .evtchn_peer = xen_evtchn_peer,
    .wait = xen_wait,
    .watch_add = xen_watch_add,
    .watch_mod = xen_watch_mod,
    .watch_del = xen_watch_del,
    .store_page = no_page,
    .console_page = no_page,
    .handle_take = xen_handle_take,
    .domain_info = xen_domain_info,
    .domain_next = xen_domain_next,
    .domain_control = xen_domain_control,
    .now = xen_now,
    .wallclock = xen_wallclock,
    .entropy = xen_entropy,
    .cpus = xen_cpus,
    .tick = xen_tick,
    .store_handle = xen_store_handle,
    .store_port = xen_store_port,
};

/* As libxenstore: the daemon's socket where there is one, else the kernel's device. */
static int open_store(void)
{
    static const char *const devices[] = {"/dev/xen/xenbus", "/proc/xen/xenbus"};
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/var/run/xenstored/socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    for (int i = 0; i < 2; i++)
        if ((fd = open(devices[i], O_RDWR | O_CLOEXEC)) >= 0)
            return fd;
    return -1;
}

/* Linux as dom0 shows its store page and port to whoever serves the store there: two files of xenfs. */
static void open_dom0(struct xen *x)
{
    char text[16] = "";
    int fd = open("/proc/xen/xsd_port", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (read(fd, text, sizeof(text) - 1) > 0 && (x->xsd_port = atoi(text)) > 0)
        x->xsd_kva = open("/proc/xen/xsd_kva", O_RDWR | O_CLOEXEC);
    close(fd);
}

static int open_devices(struct xen *x)
{
    int fd, r;

    x->evtchn = xenevtchn_open(NULL, 0);
    if (!x->evtchn)
        return errno == ENOENT || errno == ENXIO ? XK_ENODEV : xk__sys_err(errno);
    x->gnttab = xengnttab_open(NULL, 0);
    if (!x->gnttab)
        return errno == ENOENT || errno == ENXIO ? XK_ENODEV : xk__sys_err(errno);
    x->gntshr = xengntshr_open(NULL, 0); /* sharing is not had everywhere */
    x->call = xencall_open(NULL, 0);
    x->store = open_store();
    open_dom0(x);
    fd = xenevtchn_fd(x->evtchn);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    r = xk__poll_init(&x->poll, &x->alloc);
    return r < 0 ? r : xk__poll_add(&x->poll, fd, XK_READABLE, x);
}

int xk_xen_attach(const xk_alloc *alloc, struct xk_platform **out)
{
    struct xen *x = xk_new(alloc, sizeof(*x));
    int r;

    if (!x)
        return XK_ENOMEM;
    x->base.ops = &xen_ops;
    x->alloc = alloc ? *alloc : *xk_alloc_libc();
    x->store = x->xsd_kva = x->poll.epfd = -1;
    xk_list_init(&x->shares);
    xk_list_init(&x->maps);
    xk__sys_cpus();
    r = open_devices(x);
    if (r >= 0)
        r = xen_find_domid(x);
    if (r < 0) {
        xen_close(&x->base);
        return r;
    }
    x->domid = (xk_domid)r;
    *out = &x->base;
    return 0;
}
