/* Xen's side of the kernel, by the public headers of libxen-dev. SPDX-License-Identifier: MIT */
#define __XEN_TOOLS__ 1
#include "kernel/hyper.h"

#include <xen/domctl.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/sched.h>

#include "kernel/error.h"
#include "kernel/page.h"
#include "platform/stub/abi.h"
#include "kernel/table.h"
#include "kernel/x86.h"

extern char hypercall_page[]; /* kernel.lds */
struct shared_info *hyper_shared;

enum { WINDOW = 8192, LEAF_FIRST = 0x40000000, LEAF_LAST = 0x40010000 };

static uint32_t leaf, domid = DOMID_SELF;
static uint64_t window_next, window_end;

static long hypercall(unsigned nr, uint64_t a, uint64_t b, uint64_t c)
{
    long result;

    __asm__ volatile("call *%[page]"
                     : "=a"(result), "+D"(a), "+S"(b), "+d"(c)
                     : [page] "r"(hypercall_page + nr * 32)
                     : "memory", "r8", "r9", "r10", "r11", "rcx");
    return result;
}

int hyper_present(void) { return leaf != 0; }

int hyper_evtchn(int op, void *arg)
{
    return (int)hypercall(__HYPERVISOR_event_channel_op, (uint64_t)op, (uint64_t)arg, 0);
}

int hyper_grant(int op, void *arg, unsigned count)
{
    return (int)hypercall(__HYPERVISOR_grant_table_op, (uint64_t)op, (uint64_t)arg, count);
}

int hyper_timer(uint64_t ns) { return (int)hypercall(__HYPERVISOR_set_timer_op, ns, 0, 0); }

int hyper_domain(uint32_t from, struct xk__stub_domain *out)
{
    struct xen_domctl op; /* Xen reads no more of it than these three */
    const struct xen_domctl_getdomaininfo *i = &op.u.getdomaininfo;
    int r;

    op.cmd = XEN_DOMCTL_getdomaininfo;
    op.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op.domain = (domid_t)from;
    r = (int)hypercall(__HYPERVISOR_domctl, (uint64_t)&op, 0, 0);
    *out = (struct xk__stub_domain){i->cpu_time, i->tot_pages, i->domain, i->flags};
    return r;
}

void hyper_yield(void) { hypercall(__HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0); }

int hyper_shutdown(unsigned reason)
{
    struct sched_shutdown s = {reason};

    return (int)hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (uint64_t)&s, 0);
}

int hyper_add_to_physmap(unsigned space, unsigned long index, uint64_t frame)
{
    struct xen_add_to_physmap x = {.domid = DOMID_SELF, .space = space, .idx = index, .gpfn = frame};

    return (int)hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (uint64_t)&x, 0);
}

uint64_t hyper_param(unsigned index)
{
    struct xen_hvm_param p = {.domid = DOMID_SELF, .index = index};

    return hypercall(__HYPERVISOR_hvm_op, HVMOP_get_param, (uint64_t)&p, 0) == 0 ? p.value : 0;
}

static void set_param(unsigned index, uint64_t value)
{
    struct xen_hvm_param p = {.domid = DOMID_SELF, .index = index, .value = value};

    hypercall(__HYPERVISOR_hvm_op, HVMOP_set_param, (uint64_t)&p, 0);
}

uint64_t hyper_frames(unsigned n)
{
    uint64_t first = window_next;

    if (n > window_end - window_next)
        return (uint64_t)-1;
    window_next += n;
    return first;
}

static void find_xen(void)
{
    for (uint32_t l = LEAF_FIRST; l < LEAF_LAST; l += 0x100) {
        struct cpuid r = cpuid(l, 0);
        if (r.b == 0x566e6558 && r.c == 0x65584d4d && r.d == 0x4d4d566e && r.a >= l + 2) { /* XenVMMXenVMM */
            leaf = l;
            return;
        }
    }
}

uint32_t hyper_domid(void) { return domid; }

/* By cpuid since Xen 4.13; asked once, as each cpuid goes to Xen, and again after a resume. */
static uint32_t find_domid(void)
{
    struct cpuid r;

    if (cpuid(leaf, 0).a < leaf + 4)
        return DOMID_SELF;
    r = cpuid(leaf + 4, 0);
    return r.a & 1 << 4 ? r.c : DOMID_SELF;
}

/* Shared info lies on a frame of its own, once; a resumed domain puts it there again. */
static void map_shared_info(void)
{
    static uint64_t frame;

    if (!frame) {
        frame = hyper_frames(1);
        table_map(frame * PAGE, frame * PAGE, PTE_W | PTE_NX);
        hyper_shared = (struct shared_info *)(frame * PAGE);
    }
    hyper_add_to_physmap(XENMAPSPACE_shared_info, 0, frame);
}

void hyper_start(void)
{
    find_xen();
    if (leaf)
        wrmsr(cpuid(leaf + 2, 0).b, (uint64_t)hypercall_page);
}

unsigned hyper_memory_map(struct hyper_memory *out, unsigned max)
{
    struct xen_memory_map m = {.nr_entries = max};

    set_xen_guest_handle(m.buffer, (void *)out);
    return leaf && hypercall(__HYPERVISOR_memory_op, XENMEM_memory_map, (uint64_t)&m, 0) == 0 ? m.nr_entries : 0;
}

void hyper_init(unsigned vector)
{
    if (!leaf)
        return;
    if (!window_end) {
        window_next = round_up(page_top(), 1 << 21) / PAGE + 512; /* beyond RAM, below what Xen has under 4 GiB */
        window_end = window_next + WINDOW;
    }
    domid = find_domid();
    map_shared_info();
    set_param(HVM_PARAM_CALLBACK_IRQ, 2ull << 56 | vector); /* no local APIC, no end of interrupt */
}
