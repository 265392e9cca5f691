/* xenkit/alloc.h - the allocator as a value.
 *
 * libxenkit never calls malloc by name: whoever creates an object passes an allocator, and the object keeps a copy of
 * it until it is destroyed. NULL in place of an allocator means xk_alloc_libc().
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_ALLOC_H
#define XENKIT_ALLOC_H

#include <stddef.h>

#include <xenkit/api.h>

XK_API_BEGIN

/* resize (ctx, p, old, size) - as Lua's allocator: (p) NULL allocates, (size) 0 frees and returns NULL, otherwise the
 * block is resized and the first min(old, size) bytes are kept. Returns NULL when memory is short; (p) is then
 * untouched. (old) is always the exact size of the block. MUST NOT block and MUST NOT fail when (size) <= (old). */
typedef struct xk_alloc {
    void *(*resize)(void *ctx, void *p, size_t old, size_t size);
    void *ctx;
} xk_alloc;

/* The C library's realloc and free. */
const xk_alloc *xk_alloc_libc(void);

/* xk_new - (size) bytes of zeroes, or NULL. xk_free accepts NULL. xk_resize as resize above. */
void *xk_new(const xk_alloc *a, size_t size);
void *xk_resize(const xk_alloc *a, void *p, size_t old, size_t size);
void xk_free(const xk_alloc *a, void *p, size_t size);

XK_API_END

#endif
