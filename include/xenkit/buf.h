/* xenkit/buf.h - a byte buffer with a bound, and a wire cursor with a sticky error.
 *
 * xk_buf speaks in three positions: read (rd), write (wr) and end (cap). Bytes between rd and wr are filled. It grows
 * up to its maximum and never beyond, so that every buffer in xenkit has a bound.
 *
 * xk_wire parses or composes a message field by field. After the first failure all further calls do nothing and give
 * zero, so that ten fields are parsed and one result is checked. It owns nothing and never reads past its end.
 *
 * Neither blocks; both are for one thread at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_BUF_H
#define XENKIT_BUF_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>
#include <xenkit/err.h>

XK_API_BEGIN

struct xk_buf {
    xk_alloc alloc;
    uint8_t *data;
    size_t rd, wr, cap; /* 0 <= rd <= wr <= cap <= max */
    size_t max;
};

/* xk_buf_init (b, alloc, max) - an empty buffer that may grow to (max) bytes. Allocates nothing, cannot fail.
 * xk_buf_fini frees and leaves an empty buffer with the same bound. */
void xk_buf_init(struct xk_buf *b, const xk_alloc *alloc, size_t max);
void xk_buf_fini(struct xk_buf *b);

/* xk_buf_reserve (b, n, p) - makes room for (n) more bytes and gives their place. XK_EMSGSIZE past the bound,
 * XK_ENOMEM. Moves what is filled, so earlier pointers into (b) end here. */
XK_MUSTCHECK int xk_buf_reserve(struct xk_buf *b, size_t n, uint8_t **p);

/* xk_buf_put (b, data, n) - appends a copy, all or nothing. Errors as xk_buf_reserve. */
XK_MUSTCHECK int xk_buf_put(struct xk_buf *b, const void *data, size_t n);

/* xk_buf_printf (b, fmt, ...) - appends formatted text without its NUL, all or nothing. */
XK_MUSTCHECK int xk_buf_printf(struct xk_buf *b, const char *fmt, ...) XK_PRINTF(2, 3);

static inline size_t xk_buf_len(const struct xk_buf *b) { return b->wr - b->rd; }
static inline uint8_t *xk_buf_head(const struct xk_buf *b) { return b->data + b->rd; }

/* xk_buf_wrote (b, n) - (n) bytes were written at the place xk_buf_reserve gave; n <= what was reserved. */
static inline void xk_buf_wrote(struct xk_buf *b, size_t n) { b->wr += n; }

/* xk_buf_take (b, n) - drops the first (n) filled bytes; n <= xk_buf_len. */
static inline void xk_buf_take(struct xk_buf *b, size_t n)
{
    b->rd += n;
    if (b->rd == b->wr)
        b->rd = b->wr = 0;
}

/* --- wire cursor ------------------------------------------------------------------------------------------------ */

struct xk_wire {
    uint8_t *base;
    size_t pos, end; /* pos <= end */
    int err;         /* 0, or the first XK_E...: XK_EPROTO when reading, XK_EMSGSIZE when writing past the end */
};

/* A cursor over (n) bytes to read, or to write. A read cursor never writes, so the constness is only cast away here. */
static inline struct xk_wire xk_wire_read(const void *p, size_t n)
{
    struct xk_wire w = {(uint8_t *)(uintptr_t)p, 0, n, 0};
    return w;
}
static inline struct xk_wire xk_wire_write(void *p, size_t n)
{
    struct xk_wire w = {(uint8_t *)p, 0, n, 0};
    return w;
}
static inline size_t xk_wire_left(const struct xk_wire *w) { return w->end - w->pos; }

/* xk_wire_at (w, n, err) - the place of the next (n) bytes, and moves past them; NULL and (err) when fewer are left. */
static inline uint8_t *xk_wire_at(struct xk_wire *w, size_t n, int err)
{
    uint8_t *p = w->base + w->pos;
    if (w->err)
        return NULL;
    if (n > w->end - w->pos) {
        w->err = err;
        return NULL;
    }
    w->pos += n;
    return p;
}

static inline const uint8_t *xk_wire_get(struct xk_wire *w, size_t n) { return xk_wire_at(w, n, XK_EPROTO); }

/* get: big endian (be, the network's) and little endian (le); 0 after an error. */
uint8_t xk_wire_u8(struct xk_wire *w);
uint16_t xk_wire_be16(struct xk_wire *w);
uint32_t xk_wire_be32(struct xk_wire *w);
uint16_t xk_wire_le16(struct xk_wire *w);
uint32_t xk_wire_le32(struct xk_wire *w);

/* put */
void xk_wire_put(struct xk_wire *w, const void *p, size_t n);
void xk_wire_put_u8(struct xk_wire *w, uint8_t v);
void xk_wire_put_be16(struct xk_wire *w, uint16_t v);
void xk_wire_put_be32(struct xk_wire *w, uint32_t v);
void xk_wire_put_le16(struct xk_wire *w, uint16_t v);
void xk_wire_put_le32(struct xk_wire *w, uint32_t v);

XK_API_END

#endif
