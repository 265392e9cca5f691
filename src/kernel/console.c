/* Early console: the out ring of xen/io/console.h, written without waiting longer than a fifth of a second.
 * SPDX-License-Identifier: MIT */
#include "kernel/console.h"

#include <stdarg.h>

#include <xen/hvm/params.h>
#include <xen/io/console.h>

#include "kernel/evtchn.h"
#include "kernel/hyper.h"
#include "kernel/table.h"
#include "kernel/time.h"
#include "kernel/x86.h"

enum { DEBUG_PORT = 0xe9, LINE = 256, PATIENCE = 200000000 };

static struct xencons_interface *ring;
static int taken;
static int stalled; /* nobody read for as long as we wait: drop at once until somebody does */
static uint64_t dropped;

uint64_t console_dropped(void) { return dropped; }
int console_taken(void) { return taken; }
void console_take(void) { taken = 1; }

void console_init(void)
{
    uint64_t frame = hyper_present() ? hyper_param(HVM_PARAM_CONSOLE_PFN) : 0;

    if (!frame || table_map(frame * PAGE, frame * PAGE, PTE_W | PTE_NX) < 0)
        return;
    ring = (struct xencons_interface *)(frame * PAGE);
}

static void debug_write(const char *text, size_t n)
{
    while (n--)
        outb(DEBUG_PORT, (uint8_t)*text++);
}

static int room(uint32_t prod) { return prod - *(volatile XENCONS_RING_IDX *)&ring->out_cons < sizeof(ring->out); }

static void notify(void) { evtchn_notify((uint32_t)hyper_param(HVM_PARAM_CONSOLE_EVTCHN)); }

static void ring_write(const char *text, size_t n)
{
    uint32_t prod = ring->out_prod;
    uint64_t give_up = time_now() + PATIENCE;

    while (n) {
        if (room(prod)) {
            ring->out[MASK_XENCONS_IDX(prod++, ring->out)] = *text++;
            n--;
            continue;
        }
        __atomic_store_n(&ring->out_prod, prod, __ATOMIC_RELEASE); /* with xenconsoled's load of it */
        notify();
        while (!stalled && !room(prod) && time_now() < give_up)
            hyper_yield();
        stalled = !room(prod);
        if (stalled) {
            dropped += n;
            break;
        }
    }
    __atomic_store_n(&ring->out_prod, prod, __ATOMIC_RELEASE);
    notify();
}

void console_drain(void)
{
    uint64_t give_up = time_now() + PATIENCE;

    if (!ring || stalled)
        return;
    notify();
    while (*(volatile XENCONS_RING_IDX *)&ring->out_cons != ring->out_prod && time_now() < give_up)
        hyper_yield();
}

void console_write(const char *text, size_t n)
{
    if (ring && !taken)
        ring_write(text, n);
    else
        debug_write(text, n);
}

static char *put_number(char *p, char *end, uint64_t v, unsigned base, unsigned width)
{
    char digits[24];
    unsigned n = 0;

    do
        digits[n++] = "0123456789abcdef"[v % base];
    while ((v /= base) || n < width);
    while (n && p < end)
        *p++ = digits[--n];
    return p;
}

static char *put_argument(char *p, char *end, char kind, va_list *args)
{
    const char *s;

    switch (kind) {
    case 's':
        for (s = va_arg(*args, const char *); *s && p < end; s++)
            *p++ = *s;
        return p;
    case 'p':
        if (p + 2 < end) {
            *p++ = '0';
            *p++ = 'x';
        }
        return put_number(p, end, va_arg(*args, uint64_t), 16, 16);
    case 'x':
        return put_number(p, end, va_arg(*args, uint64_t), 16, 1);
    default:
        return put_number(p, end, va_arg(*args, uint64_t), 10, 1);
    }
}

static size_t format_line(char *line, const char *format, va_list *args)
{
    char *p = line, *end = line + LINE;

    for (; *format && p < end; format++)
        if (*format == '%')
            p = put_argument(p, end, *++format, args);
        else
            *p++ = *format;
    return (size_t)(p - line);
}

void console_print(const char *format, ...)
{
    char line[LINE];
    va_list args;

    va_start(args, format);
    console_write(line, format_line(line, format, &args));
    va_end(args);
}

void crash_print(const char *format, ...)
{
    char line[LINE];
    size_t n;
    va_list args;

    va_start(args, format);
    n = format_line(line, format, &args);
    va_end(args);
    debug_write(line, n);
    if (ring && !taken)
        ring_write(line, n);
}
