/* Read-only segments are mapped where they lie in the module, the writable one is copied. Then the stack with the
 * arguments and the auxiliary vector, as Linux lays it out. SPDX-License-Identifier: MIT */
#include "kernel/elf.h"

#include <elf.h>

#include "kernel/area.h"
#include "kernel/entropy.h"
#include "kernel/page.h"
#include "kernel/table.h"
#include "kernel/user.h"
#include "kernel/x86.h"

enum { STACK_SIZE = 512 << 10, SEGMENTS_MAX = 16, CMDLINE_MAX = 2048, IMAGE_MAX = 1 << 30 };

static uint64_t flags_of(uint32_t p_flags)
{
    return PTE_U | (p_flags & PF_W ? PTE_W : 0) | (p_flags & PF_X ? 0 : PTE_NX);
}

static int prot_of(uint32_t p_flags)
{
    return (p_flags & PF_R ? PROT_READ : 0) | (p_flags & PF_W ? PROT_WRITE : 0) | (p_flags & PF_X ? PROT_EXEC : 0);
}

static const char *check(const Elf64_Ehdr *e, uint64_t size)
{
    if (size < sizeof(*e) || *(const uint32_t *)e->e_ident != 0x464c457f || e->e_ident[EI_CLASS] != ELFCLASS64)
        return "the module is no 64-bit ELF file";
    if (e->e_type != ET_DYN || e->e_machine != EM_X86_64)
        return "the module is no static-PIE program for x86-64";
    if (e->e_entry >= IMAGE_MAX)
        return "the module's entry is out of place";
    if (e->e_phentsize != sizeof(Elf64_Phdr) || e->e_phnum > SEGMENTS_MAX || e->e_phoff > size ||
        size - e->e_phoff < e->e_phnum * sizeof(Elf64_Phdr))
        return "the module's program headers are out of place";
    return NULL;
}

/* One page of a writable segment: what the file has of it, zeros around. */
static const char *copy_page(uint64_t file, const Elf64_Phdr *p, uint64_t va)
{
    uint64_t first = p->p_vaddr, last = p->p_vaddr + p->p_filesz, page = va - XK__STUB_PROGRAM, from, to, pa;

    from = page > first ? page : first;
    to = page + PAGE < last ? page + PAGE : last;
    pa = to == from + PAGE ? page_take_raw() : page_take();
    if (page_reserve(1) < 0 || !pa || table_map(va, pa, flags_of(p->p_flags)) < 0)
        return "too little memory for the program's data";
    if (from < to)
        copy((void *)(pa + (from - page)), (const void *)(file + p->p_offset + (from - p->p_vaddr)), to - from);
    return NULL;
}

static const char *load_segment(uint64_t file, uint64_t size, const Elf64_Phdr *p, uint64_t *top)
{
    uint64_t start = XK__STUB_PROGRAM + (p->p_vaddr & ~(uint64_t)(PAGE - 1));
    uint64_t end = XK__STUB_PROGRAM + round_up(p->p_vaddr + p->p_memsz, PAGE);
    const char *wrong = NULL;

    if (p->p_offset > size || p->p_filesz > size - p->p_offset || p->p_filesz > p->p_memsz || p->p_vaddr > IMAGE_MAX ||
        p->p_memsz > IMAGE_MAX - p->p_vaddr || p->p_vaddr % PAGE != p->p_offset % PAGE)
        return "a segment of the module is out of place";
    if ((p->p_flags & PF_W) && (p->p_flags & PF_X))
        return "a segment of the module is writable and executable";
    if (!(p->p_flags & PF_W) && p->p_filesz != p->p_memsz)
        return "a read-only segment of the module is larger than its file";
    if (area_add(start, end, prot_of(p->p_flags), AREA_IMAGE) < 0)
        return "the module's segments overlap";
    for (uint64_t va = start; va < end && !wrong; va += PAGE)
        if (p->p_flags & PF_W)
            wrong = copy_page(file, p, va);
        else if (table_map(va, (file + p->p_offset - p->p_vaddr % PAGE) + (va - start), flags_of(p->p_flags)) < 0)
            wrong = "too little memory for page tables";
    if (end > *top)
        *top = end;
    return wrong;
}

/* The archive's pages, read-only, above the program's place for brk: at the start of the rings' part. */
static const char *map_archive(uint64_t file, uint64_t size, struct xk__stub_boot *boot)
{
    struct xk__stub_trailer t;
    uint64_t first, va = XK__STUB_RINGS + (1ull << 30);

    if (size < sizeof(t))
        return NULL;
    copy(&t, (const void *)(file + size - sizeof(t)), sizeof(t));
    for (unsigned i = 0; i < sizeof(t.magic); i++)
        if (t.magic[i] != XK__STUB_MAGIC[i])
            return NULL;
    if (t.archive_size > size - sizeof(t))
        return "the archive behind the module was cut or changed";
    first = file + size - sizeof(t) - t.archive_size;
    boot->archive = va + first % PAGE;
    boot->archive_size = t.archive_size;
    first &= ~(uint64_t)(PAGE - 1);
    if (area_add(va, va + round_up(file + size - first, PAGE), PROT_READ, AREA_RING) < 0)
        return "no room for the archive";
    for (uint64_t pa = first; pa < file + size; pa += PAGE, va += PAGE)
        if (table_map(va, pa, PTE_U | PTE_NX) < 0)
            return "too little memory for page tables";
    return NULL;
}

static uint64_t push(uint64_t sp, const void *bytes, uint64_t n)
{
    sp = (sp - n) & ~15ull;
    user_write(sp, bytes, n);
    return sp;
}

static uint64_t length(const char *s)
{
    uint64_t n = 0;

    while (n < CMDLINE_MAX - 1 && s[n])
        n++;
    return n;
}

static const char *make_stack(const Elf64_Ehdr *e, struct xk__stub_boot *boot, const char *cmdline, uint64_t *stack)
{
    static const char name[] = "xenkit-domain", nothing[16] = "";
    uint8_t random[16];
    uint64_t top = XK__STUB_STACK_TOP, sp = top, at_name, at_random, at_boot;
    Elf64_Ehdr h = *e;

    if (area_add_promised(top - STACK_SIZE, top, PROT_READ | PROT_WRITE) < 0)
        return "too little memory for the stack";
    entropy_get(random, sizeof(random));
    sp = push(sp, nothing, sizeof(nothing));
    sp = at_name = push(sp, name, sizeof(name));
    sp = at_random = push(sp, random, sizeof(random));
    sp = push(sp, nothing, 1);
    sp = boot->cmdline = push(sp, cmdline, length(cmdline)); /* the zeros above end it */
    sp = at_boot = push(sp, boot, sizeof(*boot));
    {
        const uint64_t words[] = {1,
                                  at_name,
                                  0,
                                  0, /* argc, argv, environment */
                                  AT_PHDR,
                                  XK__STUB_PROGRAM + h.e_phoff,
                                  AT_PHENT,
                                  sizeof(Elf64_Phdr),
                                  AT_PHNUM,
                                  h.e_phnum,
                                  AT_PAGESZ,
                                  PAGE,
                                  AT_ENTRY,
                                  XK__STUB_PROGRAM + h.e_entry,
                                  AT_UID,
                                  0,
                                  AT_EUID,
                                  0,
                                  AT_GID,
                                  0,
                                  AT_EGID,
                                  0,
                                  AT_SECURE,
                                  0,
                                  AT_RANDOM,
                                  at_random,
                                  AT_EXECFN,
                                  at_name,
                                  AT_CLKTCK,
                                  100,
                                  AT_HWCAP,
                                  cpuid(1, 0).d,
                                  XK__STUB_AT_BOOT,
                                  at_boot,
                                  AT_NULL,
                                  0};
        sp = push(sp - sizeof(words) % 16, words, sizeof(words));
    }
    *stack = sp;
    return NULL;
}

const char *elf_load(uint64_t start, uint64_t size, struct xk__stub_boot *boot, const char *cmdline, uint64_t *entry,
                     uint64_t *stack)
{
    const Elf64_Ehdr *e = (const Elf64_Ehdr *)start;
    const char *wrong = start % PAGE ? "the module does not lie on a page" : check(e, size);
    uint64_t top = 0;

    for (unsigned i = 0; !wrong && i < e->e_phnum; i++) {
        const Elf64_Phdr *p = (const Elf64_Phdr *)(start + e->e_phoff) + i;
        if (p->p_type == PT_INTERP)
            return "the module needs a dynamic linker; link it with -static-pie";
        if (p->p_type == PT_LOAD)
            wrong = load_segment(start, size, p, &top);
    }
    if (!wrong)
        wrong = map_archive(start, size, boot);
    if (!wrong)
        wrong = make_stack(e, boot, cmdline, stack);
    area_brk_start(top + PAGE);
    *entry = XK__STUB_PROGRAM + (wrong ? 0 : e->e_entry);
    return wrong;
}
