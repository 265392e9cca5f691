/* xenkit/platform.h - the contract between xenkit and the ground it stands on.
 *
 * A *domain* is an isolated program: a process (hosted), a Xen guest (xen, stub) or a handful of structures in a test
 * (fake). struct xk_platform is one domain's hold on its platform. All above this header is the same on every platform.
 *
 * Errors      int results: >= 0 success or a count, < 0 XK_E... (err.h).
 * Blocking    only xk_wait blocks, and never past its deadline. Set-up calls (share, map, evtchn_alloc, ...) may ask
 *             the hypervisor and return at its answer; the hypervisor does not wait for other domains.
 * Threads     one handle is for one thread at a time. Two handles may be used by two threads.
 * Ownership   what a call hands out belongs to the handle; xk_platform_close gives all of it back.
 * Hot paths   pushing and popping rings never passes through here; only notify, map and wait do.
 *
 * The semantics are Xen's (xen/include/public/{grant_table,event_channel}.h):
 *   - a port is one sticky bit: notifications coalesce, none is lost; a pending port is masked until it is unmasked;
 *   - binding raises an event at the binder's side, as notifications sent before cannot be known;
 *   - closing one side leaves the other unbound, not dead: it may be bound again by the same domain;
 *   - ending a grant can fail while the peer has the page mapped; nobody can force an unmap;
 *   - a global VIRQ is delivered to one handler domain;
 *   - a map of several refs succeeds or fails ref by ref.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_PLATFORM_H
#define XENKIT_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/err.h>

XK_API_BEGIN

typedef uint16_t xk_domid; /* 0 .. 0x7fef is a domain; 0 is the control domain */
typedef uint32_t xk_gref;  /* a grant reference */
typedef int32_t xk_port;   /* an event channel of this domain, >= 1 */
typedef int64_t xk_time;   /* nanoseconds of the monotonic clock */

#define XK_DOMID_SELF ((xk_domid)0x7ff0) /* as xen.h's DOMID_SELF */
#define XK_FOREVER INT64_MAX             /* a deadline that never comes */
#define XK_NOW ((xk_time)0)              /* a deadline that has passed: look, do not wait */
#define XK_MS ((xk_time)1000000)
#define XK_SECOND ((xk_time)1000000000)

enum { XK_PAGE_SIZE = 4096 };
enum { XK_PAGE_READONLY = 1 }; /* the peer may read only (share); map read-only (map) */

/* Grant references and VIRQs with a fixed meaning: xen's grant_table.h, xen.h. */
enum { XK_GREF_CONSOLE = 0, XK_GREF_STORE = 1, XK_GREF_RESERVED = 8 };
enum {
    XK_VIRQ_DOM_EXC = 3,    /* a domain died or was shut down; global, one handler */
    XK_VIRQ_HANDLE = 16,    /* a descriptor was handed to this domain: see xk_handle_take */
    XK_VIRQ_TOOLSTACK = 17, /* a domain came or went; the control domain only */
};

struct xk_platform {
    const struct xk_platform_ops *ops;
};

/* Readiness of one thing, from xk_wait. */
struct xk_ready {
    void *cookie;    /* of xk_watch_add; NULL for a port */
    xk_port port;    /* the port, or -1 for a watched descriptor */
    unsigned events; /* XK_READABLE ... for a descriptor */
};
enum { XK_READABLE = 1, XK_WRITABLE = 2, XK_HANGUP = 4 };
enum { XK_EXCLUSIVE = 8 }; /* with xk_watch_add: of the domains that share the descriptor, wake one */

/* How this domain reaches the store, and its console: a shared page and a port, as every Xen guest has them. */
struct xk_ring_page {
    void *page;    /* XK_PAGE_SIZE bytes, owned by the platform */
    xk_port port;  /* bound or to be bound by the other side */
    xk_domid peer; /* who serves it */
};

enum xk_domain_state { XK_DOMAIN_BUILDING, XK_DOMAIN_RUNNING, XK_DOMAIN_PAUSED, XK_DOMAIN_SHUTDOWN, XK_DOMAIN_DYING };

/* Why a domain stopped: SHUTDOWN_* of xen/include/public/sched.h. */
enum xk_shutdown { XK_POWEROFF = 0, XK_REBOOT = 1, XK_SUSPEND = 2, XK_CRASH = 3 };

struct xk_domain_info {
    xk_domid domid;
    uint8_t state;      /* enum xk_domain_state */
    uint8_t reason;     /* enum xk_shutdown, in states SHUTDOWN and DYING */
    int32_t exit_code;  /* hosted: the exit status, or 128 + signal; else 0 */
    int32_t pid;        /* hosted: the process; else 0 */
    uint32_t ports;     /* event channels in use */
    uint32_t peers;     /* domains it shares pages with */
    uint64_t cpu_ns;    /* processor time used so far */
    uint64_t mem_bytes; /* memory in use */
    char name[64];      /* NUL-terminated */
};

/* A place in a page that (peer) granted to this domain. */
struct xk_page_place {
    xk_gref ref;
    xk_domid peer;
    uint16_t offset;
};

/* One piece of xk_page_copy. */
struct xk_page_copy {
    void *local;               /* memory of this program, not a page that it mapped; NULL: (from) instead */
    xk_gref ref;               /* a page that the peer granted to this domain */
    uint16_t offset, len;      /* bytes in that page; not beyond its end, (len) > 0 */
    int status;                /* result: 0, XK_EINVAL no such grant, XK_EACCES, XK_EGONE ..., of either page */
    struct xk_page_place from; /* XK_COPY_TO only: what is copied lies in a page of another domain, or the same */
};

/* The table a platform fills. It grows at its end only; (version) is the number of the last known call's revision.
 * Callers use the functions below, which check arguments first. */
enum { XK_PLATFORM_VERSION = 4 };
struct xk_platform_ops {
    uint32_t version;
    const char *name; /* "hosted", "xen", "stub", "fake" */
    xk_domid (*domid)(struct xk_platform *p);
    void (*close)(struct xk_platform *p);
    /* memory and grants */
    int (*page_share)(struct xk_platform *p, xk_domid peer, unsigned count, unsigned flags, xk_gref *refs, void **addr);
    int (*page_unshare)(struct xk_platform *p, void *addr, unsigned count);
    int (*page_forget)(struct xk_platform *p, void *addr, unsigned count);
    int (*page_map)(struct xk_platform *p, xk_domid peer, const xk_gref *refs, unsigned count, unsigned flags,
                    int *status, void **addr);
    int (*page_unmap)(struct xk_platform *p, void *addr, unsigned count);
    /* event channels */
    int (*evtchn_alloc)(struct xk_platform *p, xk_domid peer);
    int (*evtchn_bind)(struct xk_platform *p, xk_domid peer, xk_port remote);
    int (*evtchn_bind_virq)(struct xk_platform *p, unsigned virq);
    int (*evtchn_notify)(struct xk_platform *p, xk_port port);
    int (*evtchn_pending)(struct xk_platform *p);
    int (*evtchn_unmask)(struct xk_platform *p, xk_port port);
    int (*evtchn_unbind)(struct xk_platform *p, xk_port port);
    int (*evtchn_peer)(struct xk_platform *p, xk_port port);
    /* waiting */
    int (*wait)(struct xk_platform *p, xk_time deadline, struct xk_ready *ready, int max);
    int (*watch_add)(struct xk_platform *p, int handle, unsigned events, void *cookie);
    int (*watch_mod)(struct xk_platform *p, int handle, unsigned events, void *cookie);
    int (*watch_del)(struct xk_platform *p, int handle);
    /* store, console, handed descriptors */
    int (*store_page)(struct xk_platform *p, struct xk_ring_page *out);
    int (*console_page)(struct xk_platform *p, struct xk_ring_page *out);
    int (*handle_take)(struct xk_platform *p, char *name, size_t size);
    /* domain life cycle */
    int (*domain_info)(struct xk_platform *p, xk_domid domid, struct xk_domain_info *out);
    int (*domain_next)(struct xk_platform *p, xk_domid after, struct xk_domain_info *out);
    int (*domain_control)(struct xk_platform *p, xk_domid domid, int verb, int arg);
    /* clock and entropy */
    xk_time (*now)(struct xk_platform *p);
    int64_t (*wallclock)(struct xk_platform *p);
    int (*entropy)(struct xk_platform *p, void *buf, size_t n);
    int (*cpus)(struct xk_platform *p);
    /* version 2 */
    int (*store_handle)(struct xk_platform *p);                           /* NULL: XK_ENOSYS */
    int (*tick)(struct xk_platform *p, xk_time period, void (*fn)(void)); /* NULL: XK_ENOSYS */
    /* version 3 */
    int (*store_port)(struct xk_platform *p); /* NULL: XK_ENOSYS */
    /* version 4 */
    int (*page_copy)(struct xk_platform *p, xk_domid peer, struct xk_page_copy *ops, unsigned count, unsigned flags);
};

/* xk_platform_domid (p) - the number of this domain. xk_platform_name (p) - "hosted", "fake", ... */
xk_domid xk_platform_domid(struct xk_platform *p);
const char *xk_platform_name(struct xk_platform *p);

/* xk_platform_close (p) - gives back all pages, ports and watches and frees (p). NULL is fine. Peers see the ports
 * unbound; a guest that joined a world is gone from it. */
void xk_platform_close(struct xk_platform *p);

/* --- memory and grants ------------------------------------------------------------------------------------------ */

/* xk_page_share (p, peer, count, flags, refs, addr) - allocates (count) zeroed, contiguous pages, 1 <= count <= 1024,
 * and grants each to (peer). (refs) receives (count) references, (addr) the place of the first page. Only such pages
 * can be granted: nothing else ever lies on them. XK_ENOSPC when the peer's share of memory is used up. */
XK_MUSTCHECK int xk_page_share(struct xk_platform *p, xk_domid peer, unsigned count, unsigned flags, xk_gref *refs,
                               void **addr);

/* xk_page_unshare (p, addr, count) - ends the grants of one xk_page_share, whole. XK_EBUSY while the peer has one
 * mapped: nothing has changed then, the pages are not reused, try again later. A dead peer has nothing mapped. */
int xk_page_unshare(struct xk_platform *p, void *addr, unsigned count);

/* xk_page_forget (p, addr, count) - as xk_page_unshare, but when the peer still maps a page the platform keeps all of
 * them in quarantine and reuses them once the peer has let go. The caller does not touch them again. */
int xk_page_forget(struct xk_platform *p, void *addr, unsigned count);

/* xk_page_map (p, peer, refs, count, flags, status, addr) - maps (count) pages that (peer) granted to this domain, one
 * after the other. When all succeed: 0. Otherwise nothing stays mapped, the first failure is returned and (status), if
 * not NULL, says for each ref 0 or XK_E...: XK_EINVAL no such grant, XK_EACCES it is read-only. XK_EGONE: no such
 * domain. What a peer that has died shared stays readable until it is unmapped. */
XK_MUSTCHECK int xk_page_map(struct xk_platform *p, xk_domid peer, const xk_gref *refs, unsigned count, unsigned flags,
                             int *status, void **addr);
int xk_page_unmap(struct xk_platform *p, void *addr, unsigned count);

/* xk_page_copy (p, peer, ops, count, flags) - copies (count) pieces, 1 <= count <= 1024, out of pages that (peer)
 * granted to this domain, or with XK_COPY_TO into them, without mapping: GNTTABOP_copy of xen/grant_table.h. What is
 * read was the page's content at one moment or another, each byte on its own. A piece may go from one domain's page
 * into another's, and is then never in this program's memory. Each piece has its own (status); returns 0 or the first
 * that is not. The pieces that could be copied are, whatever the others' status. */
enum { XK_COPY_TO = 1 };
int xk_page_copy(struct xk_platform *p, xk_domid peer, struct xk_page_copy *ops, unsigned count, unsigned flags);

/* --- event channels --------------------------------------------------------------------------------------------- */

/* xk_evtchn_alloc (p, peer) - a port that (peer) may bind to (EVTCHNOP_alloc_unbound). Returns the port. XK_EMFILE
 * when this domain has as many ports as it may have. */
XK_MUSTCHECK int xk_evtchn_alloc(struct xk_platform *p, xk_domid peer);

/* xk_evtchn_bind (p, peer, remote) - binds to (peer)'s port (remote) (EVTCHNOP_bind_interdomain). Returns our port,
 * which is pending at once. XK_EINVAL when (remote) does not wait for this domain; XK_EGONE: no such domain. */
XK_MUSTCHECK int xk_evtchn_bind(struct xk_platform *p, xk_domid peer, xk_port remote);

/* xk_evtchn_bind_virq (p, virq) - a port that the hypervisor raises. XK_EEXIST when a global VIRQ has a handler or this
 * domain has bound it; XK_EPERM. */
XK_MUSTCHECK int xk_evtchn_bind_virq(struct xk_platform *p, unsigned virq);

/* xk_evtchn_notify (p, port) - raises the other side's event. Never blocks, whatever the peer does, and is never lost:
 * if the peer has not yet seen an earlier one the two are one. On an unbound port it is dropped: 0 all the same. */
int xk_evtchn_notify(struct xk_platform *p, xk_port port);

/* xk_evtchn_pending (p) - the next pending port, now cleared and masked; XK_EAGAIN when there is none. Does not wait.
 * xk_wait does the same and more; use one of them. */
int xk_evtchn_pending(struct xk_platform *p);

/* xk_evtchn_unmask (p, port) - lets (port) become pending again. An event that came meanwhile is pending at once. */
int xk_evtchn_unmask(struct xk_platform *p, xk_port port);

/* xk_evtchn_unbind (p, port) - closes (port); its number may be reused. The other side is unbound. */
int xk_evtchn_unbind(struct xk_platform *p, xk_port port);

/* xk_evtchn_peer (p, port) - 1 bound to a peer, 0 waiting for one (never bound yet, or the peer closed or died);
 * XK_ENOSYS where the system below does not tell (xen.h). */
int xk_evtchn_peer(struct xk_platform *p, xk_port port);

/* --- waiting ---------------------------------------------------------------------------------------------------- */

/* xk_wait (p, deadline, ready, max) - waits until something is ready or (deadline) has passed, and gives up to (max)
 * ready things, max >= 1. Returns their number; 0 at the deadline. Ports given are cleared and masked, as by
 * xk_evtchn_pending. Descriptors are level-triggered. Spurious readiness is legal. */
int xk_wait(struct xk_platform *p, xk_time deadline, struct xk_ready *ready, int max);

/* xk_watch_add (p, handle, events, cookie) - from now on xk_wait reports (handle), a descriptor of the operating system
 * below (XK_ENOSYS where there is none), with (cookie). One watch a descriptor. The caller keeps owning the descriptor
 * and takes the watch back before closing it. */
int xk_watch_add(struct xk_platform *p, int handle, unsigned events, void *cookie);
int xk_watch_mod(struct xk_platform *p, int handle, unsigned events, void *cookie);
int xk_watch_del(struct xk_platform *p, int handle);

/* --- store, console, handed descriptors ------------------------------------------------------------------------- */

/* xk_store_page, xk_console_page (p, out) - the page and port over which this domain talks to the store, and its
 * console. XK_ENODEV where it has none. The page stays with the platform. */
int xk_store_page(struct xk_platform *p, struct xk_ring_page *out);
int xk_console_page(struct xk_platform *p, struct xk_ring_page *out);

/* xk_store_handle (p) - where this domain has no store page because the system below drives it: a descriptor over which
 * the store's wire protocol is spoken. It is the caller's from now on, and there is one. XK_ENOSYS, XK_ENODEV. */
int xk_store_handle(struct xk_platform *p);

/* xk_store_port (p) - for who is to serve the store: the port of domain 0 that waits to be bound by it. Domain 0's
 * store page is its reference XK_GREF_STORE, also where this is domain 0 itself. XK_ENODEV: this domain is not to be
 * the store; XK_ENOSYS where a store is told in another way (hosted). */
int xk_store_port(struct xk_platform *p);

/* xk_handle_take (p, name, size) - takes the next descriptor that the control domain handed to this one, with the name
 * it was handed under (NUL-terminated, cut at (size)). The caller owns it. XK_EAGAIN when none waits (bind
 * XK_VIRQ_HANDLE to learn of the next), XK_ENOSYS where there are no descriptors. */
int xk_handle_take(struct xk_platform *p, char *name, size_t size);

/* --- domain life cycle ------------------------------------------------------------------------------------------ */

/* xk_domain_info (p, domid, out) - what is known of a domain. XK_ENOENT. A domain may ask about itself; the control
 * domain and the handler of XK_VIRQ_DOM_EXC about all: XK_EPERM otherwise.
 * xk_domain_next (p, after, out) - the same for the first domain with a number greater than (after); XK_ENOENT at the
 * end. To begin with domain 0, ask xk_domain_info for it. */
int xk_domain_info(struct xk_platform *p, xk_domid domid, struct xk_domain_info *out);
int xk_domain_next(struct xk_platform *p, xk_domid after, struct xk_domain_info *out);

/* Verbs of the control domain on another; XK_EPERM for anybody else (but shutdown of oneself), XK_ENOENT. destroy ends
 * it without asking; what it held is released and its peers see their ports unbound. shutdown marks (domid) as shut
 * down with (reason); a domain says it of itself as its last word. With XK_SUSPEND the call returns when the domain
 * goes on: 0 after it was saved and restored, 1 when the suspend was cancelled. After a restore its ports are gone,
 * what it mapped of others is empty, and store and console page have new ports; close what hangs on them before. */
int xk_domain_pause(struct xk_platform *p, xk_domid domid);
int xk_domain_unpause(struct xk_platform *p, xk_domid domid);
int xk_domain_destroy(struct xk_platform *p, xk_domid domid);
int xk_domain_shutdown(struct xk_platform *p, xk_domid domid, enum xk_shutdown reason);

enum { XK_DOMCTL_PAUSE = 1, XK_DOMCTL_UNPAUSE, XK_DOMCTL_DESTROY, XK_DOMCTL_SHUTDOWN, XK_DOMCTL_SET_VIRQ_HANDLER };

/* xk_domain_set_virq_handler (p, domid, virq) - global (virq) goes to (domid) from now on. */
int xk_domain_set_virq_handler(struct xk_platform *p, xk_domid domid, unsigned virq);

/* --- clock and entropy ------------------------------------------------------------------------------------------ */

/* xk_now (p) - the monotonic clock. xk_wallclock (p) - nanoseconds since 1970-01-01 UTC, by the host's clock. */
xk_time xk_now(struct xk_platform *p);
int64_t xk_wallclock(struct xk_platform *p);

/* xk_tick (p, period, fn) - from now on (fn) is called about every (period) ns of this program's running, in the middle
 * of whatever it does: it may do only what a signal handler may (signal-safety(7)). 0 ends it. Idling does not count,
 * so it costs nothing then. One a program. XK_ENOSYS where there is no such thing (fake). */
int xk_tick(struct xk_platform *p, xk_time period, void (*fn)(void));

/* xk_cpus (p) - on how many processors this domain and its peers may run; 1: spinning for a peer is never right. */
int xk_cpus(struct xk_platform *p);

/* xk_entropy (p, buf, n) - (n) <= 256 unpredictable bytes. XK_EAGAIN until the platform is seeded. (fake: a repeatable
 * sequence from the seed.) */
XK_MUSTCHECK int xk_entropy(struct xk_platform *p, void *buf, size_t n);

XK_API_END

#endif
