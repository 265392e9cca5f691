/* SPDX-License-Identifier: MIT */
#include "kernel/start_info.h"

#include "kernel/hyper.h"
#include "kernel/page.h"
#include "kernel/x86.h"

enum { MAGIC = 0x336ec578, RAM = 1, HOLES = 6, RANGES = 8, ASKED = 16 };
#define RAM_MAX (32ull << 30) /* the program's addresses begin at 64 GiB */

struct pvh_info {
    uint32_t magic, version, flags, modules;
    uint64_t modlist, cmdline, rsdp, memmap;
    uint32_t memmap_entries, reserved;
};

struct module {
    uint64_t start, size, cmdline, reserved;
};

struct memory {
    uint64_t start, size;
    uint32_t type, reserved;
};

struct range {
    uint64_t start, end;
};

extern char kernel_end[];

static void give_between(uint64_t start, uint64_t end, const struct range *hole, int n)
{
    for (; n; hole++, n--) {
        if (hole->end <= start || hole->start >= end)
            continue;
        if (hole->start > start)
            give_between(start, hole->start & ~(uint64_t)(PAGE - 1), hole + 1, n - 1);
        start = round_up(hole->end, PAGE);
        if (start >= end)
            return;
    }
    page_add_range(start, end);
}

static void add_ram(struct start_info_found *out, uint32_t type, uint64_t start, uint64_t size,
                    const struct range *holes)
{
    uint64_t end = start + size;

    if (type != RAM || start >= RAM_MAX || end < start || out->ram_count == RANGES)
        return;
    end = end < RAM_MAX ? end : RAM_MAX;
    out->ram[out->ram_count++] = (struct table_range){start, end};
    give_between(start, end, holes, HOLES);
}

const char *start_info_read(uint64_t at, struct start_info_found *out)
{
    static char none[] = "";
    const struct pvh_info *s = (const struct pvh_info *)at;
    const struct module *m = (const struct module *)s->modlist;
    const struct memory *map = (const struct memory *)s->memmap;
    const char *c = s->cmdline ? (const char *)s->cmdline : none;
    struct range holes[HOLES] = {{0, PAGE}, {0x100000, (uint64_t)kernel_end}};

    if (s->magic != MAGIC || s->version < 1)
        return "no start info of version 1";
    out->cmdline = c;
    while (*c)
        c++;
    if (s->modules) {
        out->module = m->start;
        out->module_size = m->size;
        holes[2] = (struct range){m->start, m->start + m->size};
    }
    holes[3] = (struct range){at, at + sizeof(*s)};
    holes[4] = (struct range){s->modlist, s->modlist + sizeof(*m) * s->modules};
    holes[5] = (struct range){s->cmdline, s->cmdline ? (uint64_t)c + 1 : 0};
    for (uint32_t i = 0; i < s->memmap_entries; i++)
        add_ram(out, map[i].type, map[i].start, map[i].size, holes);
    if (!s->memmap_entries) { /* as init-xenstore-domain leaves it */
        struct hyper_memory asked[ASKED];
        unsigned n = hyper_memory_map(asked, ASKED);
        for (unsigned i = 0; i < n; i++)
            add_ram(out, asked[i].type, asked[i].start, asked[i].size, holes);
    }
    if (!page_top())
        return "no memory";
    return out->module_size ? NULL : "no program: give one as the module (ramdisk= in an xl config)";
}
