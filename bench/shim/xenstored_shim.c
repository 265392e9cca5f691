/* What the C xenstored of Xen 4.17 needs of Xen, on plain Linux: a preload library. There are no guests; domain 0 is
 * introduced at the start, as the store comes into being only with it, and nobody speaks over its ring. All clients
 * come by the socket. Event channels are never raised, grants always refused, and of domains there is only 0.
 *
 * Two files of /proc/xen are replaced: xsd_port (domain 0's port, a number) and xsd_kva (its ring page).
 * SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

enum { DOM0_REMOTE_PORT = 1, VIRQ_PORT = 2, DOM0_PORT = 3, PAGE = 4096 };

static int handle, quiet_fd = -1;

static int file_of(const char *text, size_t n, off_t size)
{
    int fd = memfd_create("xenstored-shim", MFD_CLOEXEC);

    if (fd >= 0 && (ftruncate(fd, size) < 0 || pwrite(fd, text, n, 0) != (ssize_t)n)) {
        close(fd);
        return -1;
    }
    return fd;
}

int open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...);
    mode_t mode = 0;

    if (strcmp(path, "/proc/xen/xsd_port") == 0)
        return file_of("1\n", 2, 2);
    if (strcmp(path, "/proc/xen/xsd_kva") == 0)
        return file_of("", 0, PAGE);
    if (flags & O_CREAT) {
        va_list args;
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    *(void **)&real = dlsym(RTLD_NEXT, "open");
    return real(path, flags, mode);
}

/* --- event channels ---------------------------------------------------------------------------------------------- */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
    (void)logger, (void)flags;
    quiet_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return quiet_fd < 0 ? NULL : (xenevtchn_handle *)&handle;
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd, unsigned flags)
{
    (void)logger, (void)flags;
    quiet_fd = fd;
    return (xenevtchn_handle *)&handle;
}

int xenevtchn_fd(xenevtchn_handle *h)
{
    (void)h;
    return quiet_fd;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h, (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid, evtchn_port_t remote)
{
    (void)h;
    if (domid == 0 && remote == DOM0_REMOTE_PORT)
        return DOM0_PORT;
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
    (void)h;
    errno = EAGAIN;
    return -1;
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h, (void)port;
    return 0;
}

/* --- grants ------------------------------------------------------------------------------------------------------ */

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
    (void)h, (void)domid, (void)ref, (void)prot;
    errno = EINVAL;
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

/* --- domains ----------------------------------------------------------------------------------------------------- */

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

int xc_domain_getinfo(xc_interface *h, uint32_t first, unsigned int max, xc_dominfo_t *info)
{
    (void)h;
    if (max == 0)
        return 0;
    memset(info, 0, sizeof(*info));
    info->domid = first; /* whatever its number, it lives */
    info->running = 1;
    return 1;
}

/* oxenstored raises its number of descriptors beyond what is allowed here, and ends when it cannot. */
int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    (void)resource, (void)limit;
    return 0;
}
