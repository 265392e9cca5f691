/* Grants. A reference is free when its flags are 0, as the ABI has it; of a share the page is found through the page
 * tables and its reference by the frame in the entry. SPDX-License-Identifier: MIT */
#include "kernel/grant.h"

#include <xen/memory.h>

#include "kernel/area.h"
#include "kernel/error.h"
#include "kernel/hyper.h"
#include "kernel/page.h"
#include "platform/stub/abi.h"
#include "kernel/table.h"
#include "kernel/x86.h"

enum { FRAMES_MAX = 8, PER_FRAME = PAGE / sizeof(struct grant_entry_v1), RESERVED = 8, MAPS = AREA_MAPS };
enum { READONLY = 0x8000 };

/* Handles that are none of Xen's: a map of before a resume; a map of our own share, by its reference. */
#define LOST 0xffffffffu
#define OWN 0x80000000u

static struct grant_entry_v1 *entries;
static uint64_t table_frame; /* of the first; FRAMES_MAX are set aside */
static uint32_t frames, cursor;
static unsigned shared, mapped;

static uint64_t map_frame;            /* of slot 0 */
static uint64_t slot_used[MAPS / 64]; /* a slot is a frame and a place in the program's map area */
static uint32_t handles[MAPS];
static uint8_t own_maps[FRAMES_MAX * PER_FRAME];   /* by reference: how often this domain maps it itself */
static uint16_t share_ref[FRAMES_MAX * PER_FRAME]; /* by page number in the grants area: its reference, READONLY */

unsigned grant_count(void) { return shared; }
unsigned grant_map_count(void) { return mapped; }

static int add_frame(void)
{
    if (frames == FRAMES_MAX || hyper_add_to_physmap(XENMAPSPACE_grant_table, frames, table_frame + frames) < 0)
        return -ENOSPC;
    frames++;
    return 0;
}

void grant_init(void)
{
    if (!hyper_present())
        return;
    table_frame = hyper_frames(FRAMES_MAX);
    map_frame = hyper_frames(MAPS);
    for (unsigned i = 0; i < FRAMES_MAX; i++)
        table_map((table_frame + i) * PAGE, (table_frame + i) * PAGE, PTE_W | PTE_NX);
    entries = (struct grant_entry_v1 *)(table_frame * PAGE);
    cursor = RESERVED;
    add_frame();
}

/* A free reference, or 0. */
static uint32_t find_ref(void)
{
    for (;;) {
        uint32_t n = frames * PER_FRAME;
        for (uint32_t tried = RESERVED; tried < n; tried++) {
            uint32_t ref = cursor;
            cursor = cursor + 1 < n ? cursor + 1 : RESERVED;
            if (entries[ref].flags == 0)
                return ref;
        }
        if (add_frame() < 0)
            return 0;
        cursor = n > RESERVED ? n : RESERVED;
    }
}

static void open_ref(uint32_t ref, uint16_t peer, uint64_t pa, int readonly)
{
    entries[ref].domid = peer;
    entries[ref].frame = (uint32_t)(pa / PAGE);
    /* Partner: Xen reads flags, then the rest. */
    __atomic_store_n(&entries[ref].flags, (uint16_t)(GTF_permit_access | (readonly ? GTF_readonly : 0)),
                     __ATOMIC_RELEASE);
}

/* -EBUSY when the peer maps it: it may start to at any moment, so the end is one exchange. */
static int close_ref(uint32_t ref)
{
    uint16_t flags = __atomic_load_n(&entries[ref].flags, __ATOMIC_SEQ_CST);

    if (own_maps[ref])
        return -EBUSY;
    do
        if (flags & (GTF_reading | GTF_writing))
            return -EBUSY;
    while (!__atomic_compare_exchange_n(&entries[ref].flags, &flags, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return 0;
}

static unsigned share_index(uint64_t va) { return (unsigned)((va - XK__STUB_GRANTS) / PAGE); }

static void end_page(uint64_t va)
{
    uint64_t e = table_unmap(va);

    share_ref[share_index(va)] = 0;
    page_give(e & PTE_ADDRESS);
    page_unreserve(1);
    shared--;
}

static int share_one(uint64_t va, uint16_t peer, int readonly, uint32_t *ref)
{
    uint64_t pa;

    if (page_reserve(1) < 0)
        return -ENOMEM;
    *ref = find_ref();
    pa = *ref ? page_take() : 0;
    if (!pa || table_map(va, pa, PTE_U | PTE_W | PTE_NX) < 0) {
        page_unreserve(1);
        if (pa)
            page_give(pa);
        return pa ? -ENOMEM : -ENOSPC;
    }
    share_ref[share_index(va)] = (uint16_t)(*ref | (readonly ? READONLY : 0));
    open_ref(*ref, peer, pa, readonly);
    shared++;
    return 0;
}

/* Ends all of them or none: a peer may begin to map one while we are at it. */
static int close_all(uint64_t addr, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (close_ref(share_ref[share_index(addr) + i] & ~READONLY) == 0)
            continue;
        while (i-- > 0) {
            uint16_t v = share_ref[share_index(addr) + i];
            uint32_t ref = v & ~READONLY;
            open_ref(ref, entries[ref].domid, (uint64_t)entries[ref].frame * PAGE, v & READONLY);
        }
        return -EBUSY;
    }
    return 0;
}

int grant_share(uint16_t peer, uint32_t count, int readonly, uint32_t *refs, uint64_t *addr)
{
    uint64_t size = (uint64_t)count * PAGE, va = area_hole(XK__STUB_GRANTS, size);
    uint32_t done = 0;
    int r;

    if (!hyper_present())
        return -ENOSYS;
    if (!va || share_index(va + size) > FRAMES_MAX * PER_FRAME)
        return -ENOSPC;
    r = area_add(va, va + size, PROT_READ | PROT_WRITE, AREA_GRANT);
    while (r == 0 && done < count)
        if ((r = share_one(va + (uint64_t)done * PAGE, peer, readonly, &refs[done])) == 0)
            done++;
    if (r == 0) {
        *addr = va;
        return 0;
    }
    if (done && close_all(va, done) < 0) /* somebody guessed a reference and maps it: the pages stay what they are */
        return r;
    for (uint32_t i = 0; i < done; i++)
        end_page(va + (uint64_t)i * PAGE);
    area_remove(va, va + size, AREA_GRANT);
    return r;
}

int grant_unshare(uint64_t addr, uint32_t count)
{
    uint64_t end = addr + (uint64_t)count * PAGE;

    if (area_remove(addr, end, AREA_GRANT) < 0)
        return -EINVAL;
    if (close_all(addr, count) < 0) {
        area_add(addr, end, PROT_READ | PROT_WRITE, AREA_GRANT);
        return -EBUSY;
    }
    for (uint64_t va = addr; va < end; va += PAGE)
        end_page(va);
    return 0;
}

/* --- peers' pages --- */

static int slots_free(uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++)
        if (slot_used[i / 64] >> i % 64 & 1)
            return 0;
    return 1;
}

static int find_slots(uint32_t count)
{
    for (uint32_t first = 0; first + count <= MAPS; first++)
        if (slots_free(first, count))
            return (int)first;
    return -ENOSPC;
}

static void mark_slots(uint32_t first, uint32_t count, int used)
{
    for (uint32_t i = first; i < first + count; i++)
        if (used)
            slot_used[i / 64] |= 1ull << i % 64;
        else
            slot_used[i / 64] &= ~(1ull << i % 64);
}

static int status_error(int16_t status)
{
    return status == GNTST_okay              ? 0
           : status == GNTST_bad_domain      ? -EGONE
           : status == GNTST_no_device_space ? -ENOSPC
                                             : -EINVAL;
}

/* Xen would take the page away from its own place when it maps it at another; so a share of our own, to ourselves, is
 * only entered once more into the page tables. */
static int map_own(uint32_t slot, uint32_t ref, int readonly)
{
    uint16_t flags = ref < frames * PER_FRAME ? entries[ref].flags : 0;

    if (!(flags & GTF_permit_access) || entries[ref].domid != hyper_domid() || own_maps[ref] == 255)
        return -EINVAL;
    if ((flags & GTF_readonly) && !readonly)
        return -EACCES;
    own_maps[ref]++;
    handles[slot] = OWN | ref;
    return 0;
}

static int map_one(uint32_t slot, uint16_t peer, uint32_t ref, int readonly)
{
    struct gnttab_map_grant_ref m = {
        .host_addr = (map_frame + slot) * PAGE,
        .flags = GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0),
        .ref = ref,
        .dom = peer,
    };
    int r;

    if (peer == hyper_domid())
        return map_own(slot, ref, readonly);
    r = hyper_grant(GNTTABOP_map_grant_ref, &m, 1);
    if (r < 0 || m.status != GNTST_okay)
        return r < 0 ? r : status_error(m.status);
    handles[slot] = m.handle;
    return 0;
}

static void unmap_one(uint32_t slot)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = (map_frame + slot) * PAGE, .handle = handles[slot]};

    if (handles[slot] == LOST)
        return;
    if (handles[slot] & OWN)
        own_maps[handles[slot] & ~OWN]--;
    else
        hyper_grant(GNTTABOP_unmap_grant_ref, &u, 1);
}

static uint64_t slot_address(uint32_t slot)
{
    return handles[slot] & OWN ? (uint64_t)entries[handles[slot] & ~OWN].frame * PAGE : (map_frame + slot) * PAGE;
}

/* Read-only or not there: Xen answers the same, so it is asked once more. */
static int why(uint32_t slot, uint16_t peer, uint32_t ref, int readonly, int r)
{
    if (r != -EINVAL || readonly || map_one(slot, peer, ref, 1) < 0)
        return r;
    unmap_one(slot);
    return -EACCES;
}

int grant_map(uint16_t peer, const uint32_t *refs, uint32_t count, int readonly, int32_t *status, uint64_t *addr)
{
    int first = hyper_present() ? find_slots(count) : -ENOSYS, r = 0;
    uint64_t va = XK__STUB_FOREIGN + (uint64_t)(first < 0 ? 0 : first) * PAGE, end = va + (uint64_t)count * PAGE;
    uint32_t slot = (uint32_t)first;

    if (first < 0)
        return first;
    for (uint32_t i = 0; i < count; i++) {
        int e = map_one(slot + i, peer, refs[i], readonly);
        status[i] = e < 0 ? why(slot + i, peer, refs[i], readonly, e) : 0;
        if (r == 0)
            r = status[i];
    }
    if (r == 0)
        r = area_add(va, end, PROT_READ | (readonly ? 0 : PROT_WRITE), AREA_FOREIGN);
    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = table_map(va + (uint64_t)i * PAGE, slot_address(slot + i), PTE_U | PTE_NX | (readonly ? 0 : PTE_W));
    if (r < 0) {
        area_remove(va, end, AREA_FOREIGN);
        for (uint32_t i = 0; i < count; i++) {
            table_unmap(va + (uint64_t)i * PAGE);
            if (status[i] == 0)
                unmap_one(slot + i);
        }
        return r;
    }
    mark_slots(slot, count, 1);
    mapped += count;
    *addr = va;
    return 0;
}

int grant_unmap(uint64_t addr, uint32_t count)
{
    uint32_t slot = (uint32_t)((addr - XK__STUB_FOREIGN) / PAGE);

    if (area_remove(addr, addr + (uint64_t)count * PAGE, AREA_FOREIGN) < 0)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t e = table_unmap(addr + (uint64_t)i * PAGE);
        if (handles[slot + i] == LOST && e) {
            page_give(e & PTE_ADDRESS);
            page_unreserve(1);
        }
        unmap_one(slot + i);
    }
    mark_slots(slot, count, 0);
    mapped -= count;
    return 0;
}

/* --- suspend --- */

static uint64_t saved[FRAMES_MAX];

int grant_suspend(void)
{
    if (page_reserve(frames) < 0)
        return -ENOMEM;
    for (unsigned i = 0; i < frames; i++) {
        saved[i] = page_take_raw();
        copy((void *)saved[i], (char *)entries + i * PAGE, PAGE);
    }
    return 0;
}

/* What peers shared is gone. The program still holds it and must not fault: empty pages take its place. */
static void lose_maps(void)
{
    for (uint32_t slot = 0; slot < MAPS; slot++) {
        uint64_t va = XK__STUB_FOREIGN + (uint64_t)slot * PAGE, pa;
        if (!(slot_used[slot / 64] >> slot % 64 & 1) || (handles[slot] & OWN))
            continue;
        handles[slot] = LOST;
        table_unmap(va);
        if (page_reserve(1) < 0)
            continue; /* it faults when it is touched */
        pa = page_take();
        table_map(va, pa, PTE_U | PTE_W | PTE_NX);
    }
}

/* Shares are as before, for the same domain numbers; nobody has them mapped. Entries 0 and 1 are the builder's. */
static void rebuild(void)
{
    uint32_t n = frames;

    lose_maps();
    for (frames = 0; frames < n;)
        if (add_frame() < 0)
            break;
    for (uint32_t ref = RESERVED; ref < frames * PER_FRAME; ref++) {
        struct grant_entry_v1 *old = (struct grant_entry_v1 *)saved[ref / PER_FRAME];
        if (old && old[ref % PER_FRAME].flags)
            open_ref(ref, old[ref % PER_FRAME].domid, (uint64_t)old[ref % PER_FRAME].frame * PAGE,
                     old[ref % PER_FRAME].flags & GTF_readonly);
    }
}

void grant_resume(int cancelled)
{
    if (!cancelled)
        rebuild();
    for (unsigned i = 0; i < FRAMES_MAX; i++) {
        if (!saved[i])
            continue;
        page_give(saved[i]);
        page_unreserve(1);
        saved[i] = 0;
    }
}
