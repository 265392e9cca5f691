/* A bounded byte buffer and the wire cursor. The buffer doubles from 256 bytes and slides its content down before it
 * grows, so that a stream that is read as fast as it is written stays in one small block. SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <xenkit/buf.h>

enum { BUF_FIRST = 256 };

void xk_buf_init(struct xk_buf *b, const xk_alloc *alloc, size_t max)
{
    memset(b, 0, sizeof(*b));
    b->alloc = alloc ? *alloc : *xk_alloc_libc();
    b->max = max;
}

void xk_buf_fini(struct xk_buf *b)
{
    xk_free(&b->alloc, b->data, b->cap);
    b->data = NULL;
    b->rd = b->wr = b->cap = 0;
}

static void slide(struct xk_buf *b)
{
    if (b->rd == 0)
        return;
    memmove(b->data, b->data + b->rd, b->wr - b->rd);
    b->wr -= b->rd;
    b->rd = 0;
}

int xk_buf_reserve(struct xk_buf *b, size_t n, uint8_t **p)
{
    size_t len = b->wr - b->rd, cap = b->cap ? b->cap : BUF_FIRST;
    uint8_t *data;

    if (n > b->max || len > b->max - n)
        return XK_EMSGSIZE;
    if (n > b->cap - b->wr) {
        slide(b);
        while (cap < len + n)
            cap *= 2;
        if (cap > b->max)
            cap = b->max;
        if (cap > b->cap) {
            data = xk_resize(&b->alloc, b->data, b->cap, cap);
            if (!data)
                return XK_ENOMEM;
            b->data = data;
            b->cap = cap;
        }
    }
    *p = b->data ? b->data + b->wr : NULL;
    return 0;
}

int xk_buf_put(struct xk_buf *b, const void *data, size_t n)
{
    uint8_t *p;
    int r = xk_buf_reserve(b, n, &p);

    if (r < 0)
        return r;
    if (n)
        memcpy(p, data, n);
    b->wr += n;
    return 0;
}

int xk_buf_printf(struct xk_buf *b, const char *fmt, ...)
{
    va_list ap;
    uint8_t *p;
    int n, r;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return XK_EINVAL;
    r = xk_buf_reserve(b, (size_t)n + 1, &p);
    if (r < 0)
        return r;
    va_start(ap, fmt);
    vsnprintf((char *)p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->wr += (size_t)n;
    return 0;
}

uint8_t xk_wire_u8(struct xk_wire *w)
{
    const uint8_t *p = xk_wire_get(w, 1);
    return p ? p[0] : 0;
}

uint16_t xk_wire_be16(struct xk_wire *w)
{
    const uint8_t *p = xk_wire_get(w, 2);
    return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

uint32_t xk_wire_be32(struct xk_wire *w)
{
    const uint8_t *p = xk_wire_get(w, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

uint16_t xk_wire_le16(struct xk_wire *w)
{
    const uint8_t *p = xk_wire_get(w, 2);
    return p ? (uint16_t)(p[1] << 8 | p[0]) : 0;
}

uint32_t xk_wire_le32(struct xk_wire *w)
{
    const uint8_t *p = xk_wire_get(w, 4);
    return p ? (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0] : 0;
}

void xk_wire_put(struct xk_wire *w, const void *src, size_t n)
{
    uint8_t *p = xk_wire_at(w, n, XK_EMSGSIZE);
    if (p && n)
        memcpy(p, src, n);
}

void xk_wire_put_u8(struct xk_wire *w, uint8_t v) { xk_wire_put(w, &v, 1); }

void xk_wire_put_be16(struct xk_wire *w, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    xk_wire_put(w, b, 2);
}

void xk_wire_put_be32(struct xk_wire *w, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    xk_wire_put(w, b, 4);
}

void xk_wire_put_le16(struct xk_wire *w, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    xk_wire_put(w, b, 2);
}

void xk_wire_put_le32(struct xk_wire *w, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    xk_wire_put(w, b, 4);
}
