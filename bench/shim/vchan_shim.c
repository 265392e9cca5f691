/* What libxenvchan needs of Xen, for two processes of one family on plain Linux: a preload library.
 *
 * The constructor makes a memfd of pages, a table and a handful of eventfds; the sides are forked afterwards and
 * inherit all of it. A grant reference is a page number in the memfd, an event channel is two eventfds, the store is a
 * few entries in the table. It does for one pair of processes what the hypervisor does: no access control, nothing is
 * reused. One system call each to notify and to wait, none to unmask: no dearer than the real devices.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

enum { PAGE = 4096, PAGES = 2048, PORTS = 16, ENTRIES = 16, TEXT = 120 };

/* Port p's other end is port p ^ 1; alloc_unbound gives even ones, bind_interdomain the odd neighbour. */
struct table {
    atomic_uint next_page, next_port;
    atomic_int lock;
    struct {
        char path[TEXT], value[TEXT];
    } entry[ENTRIES];
};

static struct table *table;
static int pages_fd, port_fd[PORTS];

struct xenevtchn_handle {
    int port;
};
struct xengntdev_handle {
    int unused;
};
struct xs_handle {
    int unused;
};

static struct xengntdev_handle the_gnttab;
static struct xs_handle the_store;

__attribute__((constructor)) static void shim_start(void)
{
    table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pages_fd = memfd_create("vchan-shim", MFD_CLOEXEC);
    if (table == MAP_FAILED || pages_fd < 0 || ftruncate(pages_fd, (off_t)PAGES * PAGE) < 0)
        abort();
    table->next_page = 1; /* neither 0 is a reference nor 0 a port to libxenvchan */
    table->next_port = 2;
    for (int i = 0; i < PORTS; i++)
        port_fd[i] = eventfd(0, EFD_CLOEXEC);
}

/* --- event channels ---------------------------------------------------------------------------------------------- */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
    struct xenevtchn_handle *h = calloc(1, sizeof(*h));

    (void)logger, (void)flags;
    if (h)
        h->port = -1;
    return h;
}

int xenevtchn_close(xenevtchn_handle *h)
{
    free(h);
    return 0;
}

int xenevtchn_fd(xenevtchn_handle *h) { return h->port < 0 ? -1 : port_fd[h->port]; }

static int raise_port(unsigned port)
{
    static const uint64_t one = 1;
    return write(port_fd[port], &one, sizeof(one)) == sizeof(one) ? 0 : -1;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h;
    return raise_port(port ^ 1);
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *h, uint32_t domid)
{
    unsigned port = atomic_fetch_add(&table->next_port, 2);

    (void)domid;
    if (port + 1 >= PORTS) {
        errno = ENOSPC;
        return -1;
    }
    return h->port = (int)port;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid, evtchn_port_t remote)
{
    (void)domid;
    h->port = (int)(remote ^ 1);
    raise_port((unsigned)h->port); /* as Xen does: what was sent before cannot be known */
    return h->port;
}

int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)port;
    h->port = -1;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
    uint64_t n;
    return read(port_fd[h->port], &n, sizeof(n)) == sizeof(n) ? h->port : -1;
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h, (void)port;
    return 0;
}

/* --- grants ------------------------------------------------------------------------------------------------------ */

xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned flags)
{
    (void)logger, (void)flags;
    return &the_gnttab;
}

int xengntshr_close(xengntshr_handle *h)
{
    (void)h;
    return 0;
}

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned flags)
{
    (void)logger, (void)flags;
    return &the_gnttab;
}

int xengnttab_close(xengnttab_handle *h)
{
    (void)h;
    return 0;
}

static void *map_pages(uint32_t first, uint32_t count)
{
    void *p = mmap(NULL, (size_t)count * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, pages_fd, (off_t)first * PAGE);
    return p == MAP_FAILED ? NULL : p;
}

void *xengntshr_share_pages(xengntshr_handle *h, uint32_t domid, int count, uint32_t *refs, int writable)
{
    uint32_t first = atomic_fetch_add(&table->next_page, (unsigned)count);

    (void)h, (void)domid, (void)writable;
    if (first + (unsigned)count > PAGES) {
        errno = ENOSPC;
        return NULL;
    }
    for (int i = 0; i < count; i++)
        refs[i] = first + (uint32_t)i;
    return map_pages(first, (uint32_t)count);
}

void *xengntshr_share_page_notify(xengntshr_handle *h, uint32_t domid, uint32_t *ref, int writable,
                                  uint32_t notify_offset, evtchn_port_t notify_port)
{
    (void)notify_offset, (void)notify_port;
    return xengntshr_share_pages(h, domid, 1, ref, writable);
}

int xengntshr_unshare(xengntshr_handle *h, void *start, uint32_t count)
{
    (void)h;
    return munmap(start, (size_t)count * PAGE);
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *h, uint32_t count, uint32_t domid, uint32_t *refs, int prot)
{
    (void)h, (void)domid, (void)prot;
    for (uint32_t i = 1; i < count; i++)
        if (refs[i] != refs[0] + i) {
            errno = EINVAL;
            return NULL;
        }
    return map_pages(refs[0], count);
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *h, uint32_t domid, uint32_t ref, int prot,
                                     uint32_t notify_offset, evtchn_port_t notify_port)
{
    (void)notify_offset, (void)notify_port;
    return xengnttab_map_domain_grant_refs(h, 1, domid, &ref, prot);
}

int xengnttab_unmap(xengnttab_handle *h, void *start, uint32_t count)
{
    (void)h;
    return munmap(start, (size_t)count * PAGE);
}

/* --- store ------------------------------------------------------------------------------------------------------- */

static void lock(void)
{
    while (atomic_exchange(&table->lock, 1))
        usleep(10);
}

static void unlock(void) { atomic_store(&table->lock, 0); }

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return &the_store;
}

void xs_close(struct xs_handle *h) { (void)h; }

static int find(const char *path)
{
    for (int i = 0; i < ENTRIES; i++)
        if (strcmp(table->entry[i].path, path) == 0)
            return i;
    return -1;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
    char *value = NULL;
    int i;

    (void)h, (void)t;
    if (strcmp(path, "domid") == 0) {
        value = strdup("0");
    } else {
        lock();
        i = find(path);
        value = i < 0 ? NULL : strdup(table->entry[i].value);
        unlock();
    }
    if (len && value)
        *len = (unsigned)strlen(value);
    if (!value)
        errno = ENOENT;
    return value;
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data, unsigned int len)
{
    int i;

    (void)h, (void)t;
    if (strlen(path) >= TEXT || len >= TEXT)
        return false;
    lock();
    i = find(path);
    if (i < 0)
        i = find(""); /* a free one */
    if (i >= 0) {
        snprintf(table->entry[i].path, TEXT, "%s", path);
        snprintf(table->entry[i].value, TEXT, "%.*s", (int)len, (const char *)data);
    }
    unlock();
    return i >= 0;
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    int i;

    (void)h, (void)t;
    lock();
    i = find(path);
    if (i >= 0)
        table->entry[i].path[0] = 0;
    unlock();
    return i >= 0;
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path, struct xs_permissions *perms,
                        unsigned int n)
{
    (void)h, (void)t, (void)path, (void)perms, (void)n;
    return true;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    (void)h;
    return 1;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort_it)
{
    (void)h, (void)t, (void)abort_it;
    return true;
}
