/* Writing records. SPDX-License-Identifier: MIT */
#include <string.h>

#include "store/record.h"

enum { HEAD = 8 };

static void put_le(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static void put_number(struct xk__rec *r, uint64_t v, unsigned bytes)
{
    uint8_t p[8];

    put_le(p, v, bytes);
    xk__rec_bytes(r, p, bytes);
}

void xk__rec_begin(struct xk__rec *r, struct xk_buf *b, uint32_t type)
{
    r->b = b;
    r->at = xk_buf_len(b);
    r->err = 0;
    xk__rec_u32(r, type);
    xk__rec_u32(r, 0);
}

void xk__rec_u16(struct xk__rec *r, unsigned v) { put_number(r, v, 2); }
void xk__rec_u32(struct xk__rec *r, uint32_t v) { put_number(r, v, 4); }
void xk__rec_u64(struct xk__rec *r, uint64_t v) { put_number(r, v, 8); }

void xk__rec_bytes(struct xk__rec *r, const void *p, size_t n)
{
    if (r->err == 0 && n)
        r->err = xk_buf_put(r->b, p, n);
}

void xk__rec_string(struct xk__rec *r, const char *s, size_t n)
{
    xk__rec_bytes(r, s, n);
    xk__rec_bytes(r, "", 1);
}

int xk__rec_end(struct xk__rec *r)
{
    size_t body = xk_buf_len(r->b) - r->at - HEAD;

    if (r->err == 0)
        xk__rec_bytes(r, "\0\0\0\0\0\0\0", (8 - body % 8) % 8);
    if (r->err)
        r->b->wr = r->b->rd + r->at; /* as if it had not been begun */
    else
        put_le(xk_buf_head(r->b) + r->at + 4, body, 4);
    return r->err;
}

int xk__rec_node(struct xk_buf *b, uint32_t type, uint32_t conn, uint32_t tx, unsigned access, struct xk__path path,
                 const struct xk__node *n)
{
    static const char letter[4] = {'n', 'r', 'w', 'b'};
    struct xk__rec r;

    xk__rec_begin(&r, b, type);
    xk__rec_u32(&r, conn);
    xk__rec_u32(&r, tx);
    xk__rec_u16(&r, (unsigned)path.n + 1);
    xk__rec_u16(&r, n ? n->value_len : 0);
    xk__rec_u16(&r, access);
    xk__rec_u16(&r, n ? n->nperms : 0);
    for (unsigned i = 0; n && i < n->nperms; i++) {
        uint8_t p[4] = {(uint8_t)letter[n->perms[i].bits & 3], n->perms[i].bits & XK__PERM_IGNORE ? 1 : 0};
        put_le(p + 2, n->perms[i].domid, 2);
        xk__rec_bytes(&r, p, sizeof(p));
    }
    xk__rec_string(&r, path.s, path.n);
    if (n)
        xk__rec_bytes(&r, xk__node_value(n), n->value_len);
    return xk__rec_end(&r);
}
