/* xenkit/stub.h - the stub platform's own door: a program that our kernel (src/kernel) runs as a bare Xen guest.
 *
 * The same program runs on Linux, where xk_stub_attach says XK_ENODEV. SPDX-License-Identifier: MIT */
#ifndef XENKIT_STUB_H
#define XENKIT_STUB_H

#include <stddef.h>

#include <xenkit/alloc.h>
#include <xenkit/platform.h>

XK_API_BEGIN

/* xk_stub_attach (alloc, out) - the domain that this program is. Once in a program. XK_ENODEV when no stub kernel is
 * below, XK_ENOSYS when it speaks another version. */
XK_MUSTCHECK int xk_stub_attach(const xk_alloc *alloc, struct xk_platform **out);

/* xk_stub_archive (size) - what was appended to the program, read-only, for as long as it runs; NULL when nothing was.
 * xk_stub_cmdline - the kernel's command line (extra= of an xl config); "" where there is none. */
const void *xk_stub_archive(size_t *size);
const char *xk_stub_cmdline(void);

/* xk_stub_seed (bytes, n) - gives up to 64 bytes of entropy from outside to the kernel; with 16 or more it is seeded.
 */
int xk_stub_seed(const void *bytes, size_t n);

/* What the kernel counts, for a prompt inside the domain. */
struct xk_stub_stats {
    uint64_t pages_total, pages_free, pages_reserved; /* of 4 KiB; reserved: promised to the program */
    uint64_t faults, syscalls, refused, upcalls, ticks, console_dropped;
    uint32_t grants, maps, ports, areas; /* shared pages, mapped pages, event channels, parts of the address space */
    uint32_t last_refused;               /* the last Linux system call that was refused */
    uint32_t seeded;
    uint64_t entry_tsc; /* the time-stamp counter at the kernel's first instruction */
};
int xk_stub_get_stats(struct xk_stub_stats *out); /* XK_ENODEV */

XK_API_END

#endif
