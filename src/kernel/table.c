/* Four levels of page tables, made as needed. SPDX-License-Identifier: MIT */
#include "kernel/table.h"

#include "kernel/error.h"
#include "kernel/page.h"
#include "platform/stub/abi.h"
#include "kernel/x86.h"

extern uint64_t boot_pml4[512], boot_pd[512];
extern uint64_t low_table[512]; /* the first 2 MiB, page by page */
extern char text_end[], kernel_end[], kernel_stack[], hypercall_page[];

enum { CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21, GIB = 1 << 30, MIB2 = 1 << 21 };

static int has_smap;

static uint64_t *step(uint64_t *table, unsigned i, int make)
{
    uint64_t pa;

    if (table[i] & PTE_LARGE)
        return NULL;
    if (!(table[i] & PTE_P)) {
        if (!make || page_reserve(1) < 0)
            return NULL;
        pa = page_take();
        if (!pa) {
            page_unreserve(1);
            return NULL;
        }
        table[i] = pa | PTE_P | PTE_W | PTE_U;
    }
    return (uint64_t *)(table[i] & PTE_ADDRESS);
}

static uint64_t *entry(uint64_t va, int make)
{
    uint64_t *t = step(boot_pml4, (va >> 39) & 511, make);

    if (t)
        t = step(t, (va >> 30) & 511, make);
    if (t)
        t = step(t, (va >> 21) & 511, make);
    return t ? &t[(va >> 12) & 511] : NULL;
}

int table_make(uint64_t start, uint64_t end)
{
    for (uint64_t va = start; va < end; va = (va & ~(uint64_t)(MIB2 - 1)) + MIB2)
        if (!entry(va, 1))
            return -ENOMEM;
    return 0;
}

int table_map(uint64_t va, uint64_t pa, uint64_t flags)
{
    uint64_t *e = entry(va, 1);

    if (!e)
        return -ENOMEM;
    *e = pa | flags | PTE_P;
    invlpg(va);
    return 0;
}

uint64_t table_unmap(uint64_t va)
{
    uint64_t *e = entry(va, 0), old = e ? *e : 0;

    if (!(old & PTE_P))
        return 0;
    *e = 0;
    invlpg(va);
    return old;
}

uint64_t table_get(uint64_t va)
{
    uint64_t *e = entry(va, 0);

    return e && (*e & PTE_P) ? *e : 0;
}

uint64_t table_next(uint64_t va)
{
    while (va < XK__STUB_USER_END && !entry(va, 0))
        va = (va & ~(uint64_t)(MIB2 - 1)) + MIB2;
    return va;
}

int table_protect(uint64_t va, uint64_t flags)
{
    uint64_t *e = entry(va, 0);

    if (!e || !(*e & PTE_P))
        return -EFAULT;
    *e = (*e & PTE_ADDRESS) | flags | PTE_P;
    invlpg(va);
    return 0;
}

/* The first 2 MiB hold the kernel: code read-only, the rest not executable, the page below the stack and page 0 away.
 */
static void map_low(void)
{
    for (uint64_t pa = PAGE; pa < MIB2; pa += PAGE) {
        uint64_t flags = PTE_P | PTE_W | PTE_NX;
        if (pa >= 0x100000 && pa < (uint64_t)text_end)
            flags = PTE_P;
        if (pa == (uint64_t)hypercall_page)
            flags = PTE_P;
        if (pa == (uint64_t)kernel_stack - PAGE)
            continue;
        low_table[pa / PAGE] = pa | flags;
    }
    boot_pd[0] = (uint64_t)low_table | PTE_P | PTE_W;
}

/* The page directory for the GiB at (pa); the first is there since boot. */
static uint64_t *directory(uint64_t pa)
{
    uint64_t *pdpt = (uint64_t *)(boot_pml4[0] & PTE_ADDRESS), *pd;

    if (pdpt[pa / GIB] & PTE_P)
        return (uint64_t *)(pdpt[pa / GIB] & PTE_ADDRESS);
    pd = page_reserve(1) == 0 ? (uint64_t *)page_take() : NULL;
    if (pd)
        pdpt[pa / GIB] = (uint64_t)pd | PTE_P | PTE_W | PTE_U;
    return pd;
}

static void map_ram(uint64_t start, uint64_t end)
{
    for (uint64_t pa = start & ~(uint64_t)(MIB2 - 1); pa < end; pa += MIB2) {
        uint64_t *pd = directory(pa);
        if (pa && pd)
            pd[pa / MIB2 % 512] = pa | PTE_P | PTE_W | PTE_LARGE | PTE_NX;
    }
}

void table_init(const struct table_range *ram, int n)
{
    struct cpuid max = cpuid(0, 0), features = {0, 0, 0, 0};

    for (int i = 1; i < 512; i++)
        boot_pd[i] = 0; /* what is used now lies in the first 2 MiB, or comes back below */
    map_low();
    for (int i = 0; i < n; i++)
        map_ram(ram[i].start, ram[i].end);
    write_cr3((uint64_t)boot_pml4);
    if (max.a >= 7)
        features = cpuid(7, 0);
    has_smap = features.b >> 20 & 1;
    write_cr4(read_cr4() | (features.b >> 7 & 1 ? CR4_SMEP : 0) | (has_smap ? CR4_SMAP : 0));
}

void table_user_begin(void)
{
    if (has_smap)
        __asm__ volatile("stac" : : : "memory");
}

void table_user_end(void)
{
    if (has_smap)
        __asm__ volatile("clac" : : : "memory");
}
