/* platform/stub/abi.h - what the stub kernel (src/kernel) and the program in ring 3 (src/platform/stub) agree on.
 *
 * The program is an ordinary static-PIE ELF for Linux. Beside some Linux system calls the kernel answers the private
 * calls below, by the same instruction (syscall; arguments in rdi rsi rdx r10 r8 r9). On Linux their numbers give
 * ENOSYS. Results: >= 0, or -errno with Linux's numbers and XK_EGONE. All pointers are the program's and are checked.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XK_PLATFORM_STUB_ABI_H
#define XK_PLATFORM_STUB_ABI_H

#include <stdint.h>

/* The auxiliary vector's private entry: the address of a struct xk__stub_boot, read-only for the program. */
#define XK__STUB_AT_BOOT 0x786b4254

enum { XK__STUB_VERSION = 1 };
enum { XK__STUB_ON_XEN = 1 }; /* flag: a hypervisor is below; without it there are no peers (plain QEMU) */

struct xk__stub_boot {
    uint32_t version, flags;
    uint64_t archive, archive_size; /* what was appended to the program; 0 when nothing was */
    uint64_t cmdline;               /* NUL-terminated */
    uint64_t entry_tsc;             /* the time-stamp counter at the kernel's first instruction */
    uint32_t domid, reserved;
};

/* A file that boots: the program, then the archive, then this trailer. */
#define XK__STUB_MAGIC "XKBOOT1\n"
struct xk__stub_trailer {
    uint64_t archive_size;
    char magic[8];
};

enum xk__stub_call {
    XK__STUB_SHARE = 0x10000, /* domid, count, flags, uint32_t *refs, uint64_t *addr */
    XK__STUB_UNSHARE,         /* addr, count: -EBUSY while one is mapped, then nothing has changed */
    XK__STUB_MAP,             /* domid, refs, count, flags, int32_t *status (or 0), uint64_t *addr */
    XK__STUB_UNMAP,           /* addr, count */
    XK__STUB_EVT_ALLOC,       /* domid -> port */
    XK__STUB_EVT_BIND,        /* domid, port -> port */
    XK__STUB_EVT_VIRQ,        /* virq -> port */
    XK__STUB_EVT_CLOSE,       /* port */
    XK__STUB_EVT_NOTIFY,      /* port */
    XK__STUB_EVT_UNMASK,      /* port */
    XK__STUB_EVT_PEER,        /* port -> 1 bound, 0 not */
    XK__STUB_WAIT,            /* deadline (ns, 0: only look), int32_t *ports, max -> how many, now masked */
    XK__STUB_RING,            /* enum xk__stub_ring, struct xk__stub_ring_page *: the program's own from now on */
    XK__STUB_SHUTDOWN,        /* reason (SHUTDOWN_* of xen/sched.h); returns after a suspend only: 1 cancelled */
    XK__STUB_TICK,            /* handler, period in ns; 0: off. See entry.S for how the handler is entered */
    XK__STUB_SEED,            /* bytes, count <= 64: entropy from the toolstack */
    XK__STUB_STATS,           /* struct xk__stub_stats * */
    XK__STUB_COPY,            /* domid, struct xk__stub_copy *, count, flags (XK__STUB_COPY_TO) */
    XK__STUB_DOMAIN, /* domid, struct xk__stub_domain *: the first from (domid) up; Xen lets store domains ask */
};

enum xk__stub_ring { XK__STUB_STORE, XK__STUB_CONSOLE };

struct xk__stub_ring_page {
    uint64_t addr;
    int32_t port;
    uint32_t peer;
};

enum { XK__STUB_READONLY = 1 };

/* As struct xk_page_copy. */
enum { XK__STUB_COPY_TO = 1 };
struct xk__stub_copy {
    uint64_t local; /* 0: from_... instead */
    uint32_t ref;
    uint16_t offset, len;
    int32_t status; /* 0 or -errno */
    uint32_t from_ref;
    uint16_t from_peer, from_offset;
    uint32_t reserved;
};

struct xk__stub_domain {
    uint64_t cpu_ns, pages;
    uint32_t domid, flags; /* XEN_DOMINF_... of xen/domctl.h */
};

struct xk__stub_stats {
    uint64_t pages_total, pages_free, pages_reserved; /* of 4 KiB */
    uint64_t faults, syscalls, refused, upcalls, ticks, dropped;
    uint32_t grants, maps, ports, areas;
    uint32_t last_refused; /* number of the last Linux system call that was refused */
    uint32_t seeded;
    uint32_t domid, reserved; /* another one after a resume */
};

/* Where things are in the program's address space. */
#define XK__STUB_PROGRAM 0x1000000000ull
#define XK__STUB_MMAP 0x2000000000ull
#define XK__STUB_GRANTS 0x3000000000ull
#define XK__STUB_FOREIGN 0x4000000000ull
#define XK__STUB_RINGS 0x5000000000ull
#define XK__STUB_STACK_TOP 0x6000000000ull
#define XK__STUB_USER_END 0x7000000000ull

#endif
