/* One direction of a byte stream. The release store of an index pairs with the acquire load of it at the other end:
 * bytes are there before the index says so, and have been copied out before the space is given back.
 * SPDX-License-Identifier: MIT */
#include <xenkit/pipe.h>

#include "base/shared.h"

int xk_pipe_init(struct xk_pipe *p, volatile uint32_t *prod, volatile uint32_t *cons, volatile void *data,
                 uint32_t size, uint32_t mine)
{
    memset(p, 0, sizeof(*p));
    p->prod = prod;
    p->cons = cons;
    p->data = data;
    p->size = size;
    p->mine = p->shown = mine;
    return size == 0 || (size & (size - 1)) ? XK_EINVAL : 0;
}

/* The bytes between consumer and producer must fit; anything else no correct peer can have written. */
static int checked(struct xk_pipe *p, uint32_t filled)
{
    if (p->broken || filled > p->size) {
        p->broken = 1;
        return XK_EPEER;
    }
    return (int)filled;
}

int xk_pipe_space(struct xk_pipe *w)
{
    int filled = checked(w, w->mine - xk_shared_load_acquire32(w->cons));

    return filled < 0 ? filled : (int)(w->size - (uint32_t)filled);
}

static void append(struct xk_pipe *w, const void *buf, uint32_t n)
{
    uint32_t at = w->mine & (w->size - 1), piece = w->size - at < n ? w->size - at : n;

    xk_shared_copy_in(w->data + at, buf, piece);
    if (piece < n)
        xk_shared_copy_in(w->data, (const uint8_t *)buf + piece, n - piece);
    w->mine += n;
    xk_shared_store_release32(w->prod, w->mine);
}

int xk_pipe_write(struct xk_pipe *w, const void *buf, size_t n)
{
    int space;

    if (n == 0)
        return 0;
    space = xk_pipe_space(w);
    if (space <= 0)
        return space < 0 ? space : XK_EAGAIN;
    if (n > (size_t)space)
        n = (size_t)space;
    append(w, buf, (uint32_t)n);
    return (int)n;
}

int xk_pipe_put(struct xk_pipe *w, const void *buf, size_t n)
{
    int space;

    if (n > w->size)
        return XK_E2BIG;
    space = xk_pipe_space(w);
    if (space < 0)
        return space;
    if (n > (size_t)space)
        return XK_EAGAIN;
    if (n)
        append(w, buf, (uint32_t)n);
    return 0;
}

int xk_pipe_ready(struct xk_pipe *r) { return checked(r, xk_shared_load_acquire32(r->prod) - r->mine); }

int xk_pipe_peek(struct xk_pipe *r, const volatile uint8_t **ptr)
{
    int filled = xk_pipe_ready(r);
    uint32_t at = r->mine & (r->size - 1);

    if (filled <= 0)
        return filled < 0 ? filled : XK_EAGAIN;
    *ptr = r->data + at;
    return (uint32_t)filled > r->size - at ? (int)(r->size - at) : filled;
}

void xk_pipe_skip(struct xk_pipe *r, size_t n) { r->mine += (uint32_t)n; }

void xk_pipe_publish(struct xk_pipe *r)
{
    r->shown = r->mine;
    xk_shared_store_release32(r->cons, r->mine);
}

uint32_t xk_pipe_unpublished(const struct xk_pipe *r) { return r->mine - r->shown; }

void xk_pipe_consume(struct xk_pipe *r, size_t n)
{
    xk_pipe_skip(r, n);
    xk_pipe_publish(r);
}

int xk_pipe_read(struct xk_pipe *r, void *buf, size_t n)
{
    int filled;
    uint32_t at, piece;

    if (n == 0)
        return 0;
    filled = xk_pipe_ready(r);
    if (filled <= 0)
        return filled < 0 ? filled : XK_EAGAIN;
    if (n > (size_t)filled)
        n = (size_t)filled;
    at = r->mine & (r->size - 1);
    piece = r->size - at < n ? r->size - at : (uint32_t)n;
    xk_shared_copy_out(buf, r->data + at, piece);
    if (piece < n)
        xk_shared_copy_out((uint8_t *)buf + piece, r->data, n - piece);
    xk_pipe_consume(r, n);
    return (int)n;
}
