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
    if (r->err == 0 && n && xk_buf_put(r->b, p, n) < 0)
        r->err = XK_ENOMEM;
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

struct xk__content xk__content_of(const struct xk__node *n)
{
    struct xk__content c = {{NULL, 0}, NULL, 0};

    if (n)
        c = (struct xk__content){xk__node_perms(n), xk__node_value(n), n->value_len};
    return c;
}

int xk__rec_node(struct xk_buf *b, uint32_t type, uint32_t conn, uint32_t tx, unsigned access, struct xk__path path,
                 struct xk__content content)
{
    static const char letter[4] = {'n', 'r', 'w', 'b'};
    struct xk__rec r;

    xk__rec_begin(&r, b, type);
    xk__rec_u32(&r, conn);
    xk__rec_u32(&r, tx);
    xk__rec_u16(&r, (unsigned)path.n + 1);
    xk__rec_u16(&r, (unsigned)content.bytes);
    xk__rec_u16(&r, access);
    xk__rec_u16(&r, content.perms.n);
    for (unsigned i = 0; i < content.perms.n; i++) {
        const struct xk__perm *perm = &content.perms.v[i];
        uint8_t p[4] = {(uint8_t)letter[perm->bits & 3], perm->bits & XK__PERM_IGNORE ? 1 : 0};
        put_le(p + 2, perm->domid, 2);
        xk__rec_bytes(&r, p, sizeof(p));
    }
    xk__rec_string(&r, path.s, path.n);
    xk__rec_bytes(&r, content.value, content.bytes);
    return xk__rec_end(&r);
}

int xk__rec_watch(struct xk_buf *b, uint32_t type, const struct xk__watch *w)
{
    struct xk__rec r;

    xk__rec_begin(&r, b, type);
    xk__rec_u32(&r, w->conn->id);
    if (type == XK__REC_WATCH_MORE) {
        xk__rec_u32(&r, (uint32_t)w->depth);
        xk__rec_u32(&r, w->lost);
    }
    xk__rec_u16(&r, w->path_len - w->prefix + 1u);
    xk__rec_u16(&r, w->token_len + 1u);
    xk__rec_string(&r, w->data + w->prefix, w->path_len - w->prefix);
    xk__rec_string(&r, w->data + w->path_len, w->token_len);
    return xk__rec_end(&r);
}

size_t xk__conn_partial(const struct xk_store_conn *c)
{
    const struct xk__record *r = &c->records[c->record_head];

    return c->record_count && r->at < c->sent ? (size_t)(r->at + r->len - c->sent) : 0;
}

bool xk__conn_partial_reply(const struct xk_store_conn *c)
{
    return xk__conn_partial(c) && c->records[c->record_head].reply;
}

int xk__rec_conn(struct xk_buf *b, const struct xk_store_conn *c, const struct xk_store_link *link)
{
    size_t in = xk_buf_len(&c->in) + link->unread_bytes, out = xk_buf_len(&c->out);
    struct xk__rec r;

    xk__rec_begin(&r, b, XK__REC_CONN);
    xk__rec_u32(&r, c->id);
    xk__rec_u16(&r, link->kind);
    xk__rec_u16(&r, 0);
    if (link->kind == XK_STORE_LINK_RING) {
        xk__rec_u16(&r, c->domid);
        xk__rec_u16(&r, c->dom->target < 0 ? XK__NO_TARGET : (unsigned)c->dom->target);
        xk__rec_u32(&r, link->port);
    } else {
        xk__rec_u32(&r, (uint32_t)link->fd);
        xk__rec_u32(&r, 0);
    }
    xk__rec_u16(&r, (unsigned)in);
    xk__rec_u16(&r, (unsigned)xk__conn_partial(c));
    xk__rec_u32(&r, (uint32_t)out);
    xk__rec_bytes(&r, xk_buf_head(&c->in), xk_buf_len(&c->in));
    xk__rec_bytes(&r, link->unread, link->unread_bytes);
    xk__rec_bytes(&r, xk_buf_head(&c->out), out);
    if (in > 0xffff)
        r.err = XK_E2BIG;
    return xk__rec_end(&r);
}
