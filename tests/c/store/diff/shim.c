/* diff/shim.c - what the C xenstored of Xen 4.17 needs of Xen, on plain Linux, with guests: a preload library. The
 * driver plays the hypervisor and all guests through the memory of shared.h: it says which domains exist, and a ring
 * page that xenstored maps is a page of that memory.
 *
 * Event channels carry nothing: xenstored looks at all rings whenever poll returns, and poll is where the two meet. Its
 * clock runs very fast, so that the limit on the rate of writes (XSA-206) never makes it wait.
 * SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "shared.h"

enum { VIRQ_PORT = 1, DOM0_PORT = 2, FIRST_PORT = 16, CLOCK_STEP = 100 /* seconds a look at the clock */ };

static int handle, event_fd = -1;

static int shared_fd(void)
{
    const char *text = getenv(DIFF_FD_NAME);
    return text ? atoi(text) : -1;
}

static void *map_page(unsigned page)
{
    void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd(), (off_t)page * PAGE);
    return p == MAP_FAILED ? NULL : p;
}

static struct diff_control *control(void)
{
    static struct diff_control *page;

    if (!page && !(page = map_page(PAGE_CONTROL)))
        abort();
    return page;
}

static const struct diff_domain *domain_of(uint32_t domid)
{
    const struct diff_domain *d = domid > 0 && domid <= DOMAINS ? &control()->domain[domid] : NULL;
    return d && d->exists ? d : NULL;
}

/* --- files, clock, poll ------------------------------------------------------------------------------------------- */

int open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...);
    mode_t mode = 0;
    int fd;

    if (strcmp(path, "/proc/xen/xsd_port") == 0) {
        fd = memfd_create("xsd_port", MFD_CLOEXEC);
        if (fd >= 0 && pwrite(fd, "1\n", 2, 0) != 2)
            abort();
        return fd;
    }
    if (strcmp(path, "/proc/xen/xsd_kva") == 0)
        return dup(shared_fd()); /* domain 0's ring is its first page */
    if (flags & O_CREAT) {
        va_list args;
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    *(void **)&real = dlsym(RTLD_NEXT, "open");
    return real(path, flags, mode);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    static time_t now;

    (void)id;
    ts->tv_sec = now += CLOCK_STEP;
    ts->tv_nsec = 0;
    return 0;
}

static void futex(uint32_t *word, int op, uint32_t value) { syscall(SYS_futex, word, op, value, NULL, NULL, 0); }

static bool wants_to_write(const struct pollfd *fds, nfds_t n)
{
    for (nfds_t i = 0; i < n; i++)
        if (fds[i].events & POLLOUT)
            return true;
    return false;
}

/* xenstored 4.17 answers some malformed requests with whatever errno holds, and ends itself if that is 0, as it is
 * after a WATCH. So poll, which comes before each request, leaves the code that is meant. */
int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    static int (*real)(struct pollfd *, nfds_t, int);
    static uint32_t seen;
    struct diff_control *c = control();

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "poll");
    for (;;) {
        uint32_t work = __atomic_load_n(&c->work, __ATOMIC_ACQUIRE);
        int ready;
        if (__atomic_exchange_n(&c->virq, 0, __ATOMIC_ACQ_REL))
            eventfd_write(event_fd, 1);
        ready = real(fds, n, 0);
        errno = ready < 0 ? errno : EINVAL;
        if (ready != 0 || timeout == 0)
            return ready;
        if (work != seen) { /* the caller has not looked at the rings since */
            seen = work;
            return 0;
        }
        c->full = wants_to_write(fds, n);
        __atomic_store_n(&c->done, work, __ATOMIC_RELEASE);
        futex(&c->done, FUTEX_WAKE, 1);
        futex(&c->work, FUTEX_WAIT, work);
    }
}

/* --- event channels ----------------------------------------------------------------------------------------------- */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
    (void)logger, (void)flags;
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return event_fd < 0 ? NULL : (xenevtchn_handle *)&handle;
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd, unsigned flags)
{
    (void)logger, (void)flags;
    event_fd = fd;
    return (xenevtchn_handle *)&handle;
}

int xenevtchn_fd(xenevtchn_handle *h)
{
    (void)h;
    return event_fd;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h, (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid, evtchn_port_t remote)
{
    (void)h, (void)remote;
    if (domid == 0)
        return DOM0_PORT;
    if (domain_of(domid))
        return (xenevtchn_port_or_error_t)(FIRST_PORT + domid);
    errno = ESRCH;
    return -1;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *h, unsigned int virq)
{
    (void)h, (void)virq;
    return VIRQ_PORT;
}

int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h, (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
    eventfd_t n;

    (void)h;
    if (eventfd_read(event_fd, &n) == 0)
        return VIRQ_PORT;
    errno = EAGAIN;
    return -1;
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h, (void)port;
    return 0;
}

/* --- grants ------------------------------------------------------------------------------------------------------- */

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned flags)
{
    (void)logger, (void)flags;
    return (xengnttab_handle *)&handle;
}

int xengnttab_close(xengnttab_handle *h)
{
    (void)h;
    return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *h, uint32_t domid, uint32_t ref, int prot)
{
    (void)h, (void)ref, (void)prot;
    if (domain_of(domid))
        return map_page(PAGE_RINGS + domid - 1);
    errno = ESRCH;
    return NULL;
}

int xengnttab_set_max_grants(xengnttab_handle *h, uint32_t n)
{
    (void)h, (void)n;
    return 0;
}

int xengnttab_unmap(xengnttab_handle *h, void *start, uint32_t count)
{
    (void)h;
    return munmap(start, (size_t)count * PAGE);
}

/* --- domains ------------------------------------------------------------------------------------------------------ */

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *builder, unsigned flags)
{
    (void)logger, (void)builder, (void)flags;
    return (xc_interface *)&handle;
}

int xc_interface_close(xc_interface *h)
{
    (void)h;
    return 0;
}

/* The first domain from (first) on, as xenstored only ever asks for one. */
int xc_domain_getinfo(xc_interface *h, uint32_t first, unsigned int max, xc_dominfo_t *info)
{
    (void)h;
    if (max == 0)
        return 0;
    memset(info, 0, sizeof(*info));
    while (first > 0 && first <= DOMAINS && !domain_of(first))
        first++;
    if (first > DOMAINS)
        return 0;
    info->domid = first;
    info->running = 1;
    if (first) {
        info->shutdown = domain_of(first)->shutdown != 0;
        info->dying = domain_of(first)->dying != 0;
    }
    return 1;
}
