/* zlib's memory (alloc.h): each block has its size before it. SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "archive/alloc.h"

union head {
    size_t size;
    max_align_t align;
};

voidpf zip_zalloc(voidpf alloc, uInt items, uInt size)
{
    size_t n = (size_t)items * size + sizeof(union head);
    union head *h = xk_resize(alloc, NULL, 0, n);

    if (!h)
        return Z_NULL;
    h->size = n;
    return h + 1;
}

void zip_zfree(voidpf alloc, voidpf p)
{
    union head *h = (union head *)p - 1;

    xk_free(alloc, h, h->size);
}
