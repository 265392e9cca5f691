/* kernel/hyper.h - hypercalls, and what the kernel sets up with Xen once. Without Xen below, hyper_present() is 0 and
 * no hypercall is made. SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_HYPER_H
#define XK_KERNEL_HYPER_H

#include <stdint.h>

#include <xen/xen.h>

#include <xen/event_channel.h>
#include <xen/grant_table.h>

extern struct shared_info *hyper_shared;

/* Finds Xen by cpuid and installs the hypercall page. hyper_init: maps shared info and asks for the upcall on (vector).
 * Both also after a resume. */
void hyper_start(void);
void hyper_init(unsigned vector);

/* The memory map by XENMEM_memory_map: up to (max) entries, their number. Needs hyper_start only. */
struct hyper_memory {
    uint64_t start, size;
    uint32_t type; /* 1 is RAM */
} __attribute__((packed));
unsigned hyper_memory_map(struct hyper_memory *out, unsigned max);
int hyper_present(void);
uint32_t hyper_domid(void);

/* A frame number that is not RAM, from a window of (n) next to each other; -1 when the window is used up. */
uint64_t hyper_frames(unsigned n);

/* HVM_PARAM_... of this domain; 0 when it cannot be had. */
uint64_t hyper_param(unsigned index);

/* XENMEM_add_to_physmap: (space) XENMAPSPACE_..., 0 or -errno. */
int hyper_add_to_physmap(unsigned space, unsigned long index, uint64_t frame);

int hyper_evtchn(int op, void *arg);
int hyper_grant(int op, void *arg, unsigned count);
int hyper_timer(uint64_t ns); /* absolute, 0: none */

struct xk__stub_domain;
int hyper_domain(uint32_t from, struct xk__stub_domain *out); /* getdomaininfo: 0 or -errno */

/* Ends the domain, or with SHUTDOWN_suspend returns once it goes on: 1 when the suspend was cancelled. */
int hyper_shutdown(unsigned reason);
void hyper_yield(void);

#endif
