/* block/cursor.h - a place in a request's pieces, from which on bytes are taken in order. SPDX-License-Identifier: MIT
 */
#ifndef XK_BLOCK_CURSOR_H
#define XK_BLOCK_CURSOR_H

#include <xenkit/file.h>

struct cursor {
    const struct xk_piece *piece;
    size_t skip; /* bytes of it that are behind us */
};

/* The next (n) bytes, which there are, are read from (f) at (at), or written to it. Zero stands for what lies beyond
 * the file's end. 0; XK_E... */
int cursor_read(struct cursor *c, struct xk_file *f, size_t n, uint64_t at);
int cursor_write(struct cursor *c, struct xk_file *f, size_t n, uint64_t at);
void cursor_zero(struct cursor *c, size_t n);
void cursor_skip(struct cursor *c, size_t n);

#endif
