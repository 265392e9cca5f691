/* xenkit/piece.h - a piece of memory; several of them are what one read or write is spread over. Laid out as POSIX'
 * struct iovec, which not every ground has.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_PIECE_H
#define XENKIT_PIECE_H

#include <stddef.h>

struct xk_piece {
    void *base;
    size_t len; /* bytes */
};

#endif
