/* Libraries when they are needed (lazy.h). Several threads may come at once: they find the same.
 * SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/lazy.h"

uintptr_t xk__lazy_find(unsigned long i)
{
    const struct xk__lazy *f = &xk__lazy[i];
    void *library = dlopen(f->library, RTLD_NOW | RTLD_LOCAL); /* stays for good; the second time it is the same */
    void *at = library ? dlsym(library, f->name) : NULL;

    if (!at) {
        fprintf(stderr, "xenkit: a library is missing or too old: %s\n", dlerror());
        _exit(127);
    }
    __atomic_store_n(&xk__lazy_slot[i], (uintptr_t)at, __ATOMIC_RELEASE);
    return (uintptr_t)at;
}
