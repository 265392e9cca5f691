/* cli/lazy.h - shared libraries that are loaded when they are needed. Half of the time of a short command is its start,
 * and half of that the loading and linking of libraries that few commands use. scripts/lazy.lua makes a function for
 * each that a library has and we use; the first call of it comes here. SPDX-License-Identifier: MIT */
#ifndef XK_CLI_LAZY_H
#define XK_CLI_LAZY_H

#include <stdint.h>

struct xk__lazy {
    const char *library, *name;
};

/* Made by scripts/lazy.lua: the functions, the last one NULL; where each of them is. */
extern const struct xk__lazy xk__lazy[];
extern const unsigned xk__lazy_count;
extern uintptr_t xk__lazy_slot[];

/* Where function (i) is, from now on in its slot. Where its library is missing this ends the program, as its start
 * would without us. */
uintptr_t xk__lazy_find(unsigned long i);

#endif
