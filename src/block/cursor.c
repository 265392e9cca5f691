/* Bytes of a request's pieces, part after part (cursor.h). SPDX-License-Identifier: MIT */
#include <string.h>

#include "block/cursor.h"

enum { PARTS = 64 };

/* At most (n) of the next bytes, in at most PARTS pieces: how many; *parts of (out). */
static size_t take(struct cursor *c, size_t n, struct xk_piece out[PARTS], unsigned *parts)
{
    size_t taken = 0;

    for (*parts = 0; taken < n && *parts < PARTS; (*parts)++) {
        size_t left = c->piece->len - c->skip, part = left < n - taken ? left : n - taken;
        out[*parts] = (struct xk_piece){(uint8_t *)c->piece->base + c->skip, part};
        taken += part;
        c->skip += part;
        if (c->skip == c->piece->len)
            *c = (struct cursor){c->piece + 1, 0};
    }
    return taken;
}

static void zero(const struct xk_piece *v, unsigned n, size_t from)
{
    for (unsigned i = 0; i < n; i++) {
        size_t skip = from < v[i].len ? from : v[i].len;
        memset((uint8_t *)v[i].base + skip, 0, v[i].len - skip);
        from -= skip;
    }
}

int cursor_read(struct cursor *c, struct xk_file *f, size_t n, uint64_t at)
{
    while (n) {
        struct xk_piece v[PARTS];
        unsigned parts;
        size_t part = take(c, n, v, &parts);
        int r = xk_file_readv(f, v, parts, at);
        if (r < 0)
            return r;
        if ((size_t)r < part)
            zero(v, parts, (size_t)r);
        at += part;
        n -= part;
    }
    return 0;
}

int cursor_write(struct cursor *c, struct xk_file *f, size_t n, uint64_t at)
{
    while (n) {
        struct xk_piece v[PARTS];
        unsigned parts;
        size_t part = take(c, n, v, &parts);
        int r = xk_file_writev(f, v, parts, at);
        if (r < 0 || (size_t)r < part)
            return r < 0 ? r : XK_EIO;
        at += part;
        n -= part;
    }
    return 0;
}

void cursor_zero(struct cursor *c, size_t n)
{
    while (n) {
        struct xk_piece v[PARTS];
        unsigned parts;
        n -= take(c, n, v, &parts);
        zero(v, parts, 0);
    }
}

void cursor_skip(struct cursor *c, size_t n)
{
    while (n) {
        struct xk_piece v[PARTS];
        unsigned parts;
        n -= take(c, n, v, &parts);
    }
}
