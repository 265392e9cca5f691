/* kernel/console.h - the kernel's own words: on the PV console until the program takes it over, and on port 0xe9, which
 * reaches `xl dmesg` (and QEMU's -debugcon), for crashes. SPDX-License-Identifier: MIT */
#ifndef XK_KERNEL_CONSOLE_H
#define XK_KERNEL_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

/* The ring page's frame and port, from Xen's parameters; gives the port to the program when it is taken. */
void console_init(void);
int console_taken(void);
void console_take(void);

/* Waits a little until what was written is read: the last words of a domain that ends. */
void console_drain(void);

/* What the program writes to descriptors 1 and 2. */
void console_write(const char *text, size_t n);

/* %s, %d, %u, %x (64 bit), %p as 0x and 16 digits. console_print: to whoever listens; crash_print: to port 0xe9, and to
 * the console unless it is taken. */
void console_print(const char *format, ...);
void crash_print(const char *format, ...);

uint64_t console_dropped(void);

#endif
