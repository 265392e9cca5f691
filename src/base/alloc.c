/* The allocator value. The only file that names realloc and free. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <xenkit/alloc.h>

static void *libc_resize(void *ctx, void *p, size_t old, size_t size)
{
    (void)ctx;
    (void)old;
    if (size == 0) {
        free(p);
        return NULL;
    }
    return realloc(p, size);
}

const xk_alloc *xk_alloc_libc(void)
{
    static const xk_alloc libc = {libc_resize, NULL};
    return &libc;
}

void *xk_resize(const xk_alloc *a, void *p, size_t old, size_t size)
{
    if (!a)
        a = xk_alloc_libc();
    return a->resize(a->ctx, p, old, size);
}

void *xk_new(const xk_alloc *a, size_t size)
{
    void *p = xk_resize(a, NULL, 0, size);

    if (p)
        memset(p, 0, size);
    return p;
}

void xk_free(const xk_alloc *a, void *p, size_t size)
{
    if (p)
        xk_resize(a, p, size, 0);
}
