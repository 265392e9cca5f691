/* archive/alloc.h - zlib's memory from an allocator that wants to be told sizes. SPDX-License-Identifier: MIT */
#ifndef XK_ARCHIVE_ALLOC_H
#define XK_ARCHIVE_ALLOC_H

#define ZLIB_CONST
#include <zlib.h>

#include <xenkit/alloc.h>

/* For the members zalloc and zfree; opaque is a pointer to an xk_alloc. */
voidpf zip_zalloc(voidpf alloc, uInt items, uInt size);
void zip_zfree(voidpf alloc, voidpf p);

#endif
