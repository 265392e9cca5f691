/* Clocks and the one-shot timer. SPDX-License-Identifier: MIT */
#include "kernel/time.h"

#include "kernel/hyper.h"
#include "kernel/x86.h"

enum { PIT_HZ = 1193182, PIT_TICKS = 11932 }; /* 10 ms */

static uint64_t before_suspend, offset; /* (offset): ours is Xen's clock and this */
static uint64_t per_tick, armed;        /* nanoseconds a tick without Xen, times 2^32 */

static void set_frequency(uint64_t hz) { per_tick = (1000000000ull << 32) / (hz ? hz : 1000000000); }

void time_init(uint64_t hz)
{
    if (hz)
        set_frequency(hz);
}

/* Counts the time-stamp counter over 10 ms of the PIT's channel 2, as every PC has it. */
static void measure(void)
{
    uint64_t start;

    outb(0x61, (inb(0x61) & 0xfc) | 1);
    outb(0x43, 0xb0);
    outb(0x42, PIT_TICKS & 255);
    outb(0x42, PIT_TICKS >> 8);
    start = rdtsc();
    while (!(inb(0x61) & 0x20) && rdtsc() - start < 10000000000ull)
        ;
    set_frequency((rdtsc() - start) * 100);
}

static uint64_t scale(uint64_t ticks, uint32_t mul, int shift)
{
    ticks = shift < 0 ? ticks >> -shift : ticks << shift;
    return (uint64_t)(((unsigned __int128)ticks * mul) >> 32);
}

static uint64_t raw_now(void)
{
    volatile struct vcpu_time_info *t;
    uint32_t version;
    uint64_t now;

    if (!hyper_present()) {
        if (!per_tick)
            measure();
        return (uint64_t)(((unsigned __int128)rdtsc() * per_tick) >> 32);
    }
    t = &hyper_shared->vcpu_info[0].time;
    do { /* an odd version is being written */
        version = t->version;
        __asm__ volatile("" : : : "memory");
        now = t->system_time + scale(rdtsc() - t->tsc_timestamp, t->tsc_to_system_mul, t->tsc_shift);
        __asm__ volatile("" : : : "memory");
    } while ((version & 1) || version != t->version);
    return now;
}

uint64_t time_now(void) { return raw_now() + offset; }

uint64_t time_wall(void)
{
    volatile struct shared_info *s = hyper_shared;
    uint32_t version;
    uint64_t base;

    if (!hyper_present())
        return raw_now();
    do {
        version = s->wc_version;
        __asm__ volatile("" : : : "memory");
        base = ((uint64_t)s->wc_sec_hi << 32 | s->wc_sec) * 1000000000 + s->wc_nsec;
        __asm__ volatile("" : : : "memory");
    } while ((version & 1) || version != s->wc_version);
    return base + raw_now();
}

void time_arm(uint64_t at)
{
    if (!hyper_present() || (armed && armed <= at))
        return;
    armed = at;
    hyper_timer(at - offset);
}

void time_fired(void) { armed = 0; }

void time_suspend(void) { before_suspend = time_now(); }

void time_resumed(void)
{
    armed = 0;
    offset = 0;
    if (raw_now() < before_suspend)
        offset = before_suspend - raw_now();
}
