/* A tape of what one domain's connections ask and are answered, packet by packet, with the time of each: to see what a
 * guest does, and to ask another store the same. It is off until CONTROL record <domid>; bounded, and what does not fit
 * is counted. SPDX-License-Identifier: MIT */
#include <string.h>

#include "store/server.h"

enum { TAPE_MAX = 1 << 20, HEAD = 16 };

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/* An entry: length of the packet, 1 for what the store sent, microseconds since the start twice 32 bits, the packet. */
void xk__tape_packet(struct xk_store_conn *c, bool sent, const struct xk_store_header *h, const void *payload)
{
    struct xk__tape *t = &c->server->tape;
    uint64_t now;
    uint8_t *p;

    if (!t->on || t->domid != c->domid)
        return;
    if (xk_buf_reserve(&t->buf, HEAD + XK_STORE_HEADER_SIZE + h->len, &p) < 0) {
        t->lost++;
        return;
    }
    now = c->server->ops && c->server->ops->now ? (c->server->ops->now(c->server->arg) - t->start) / 1000 : 0;
    put32(p, XK_STORE_HEADER_SIZE + h->len);
    put32(p + 4, sent);
    put32(p + 8, (uint32_t)now);
    put32(p + 12, (uint32_t)(now >> 32));
    xk_store_header_put(h, p + HEAD);
    memcpy(p + HEAD + XK_STORE_HEADER_SIZE, payload, h->len);
    xk_buf_wrote(&t->buf, HEAD + XK_STORE_HEADER_SIZE + h->len);
}

void xk__tape_stop(struct xk_store_server *s)
{
    xk_buf_fini(&s->tape.buf);
    s->tape.on = false;
}

void xk__tape_start(struct xk_store_server *s, unsigned domid)
{
    xk__tape_stop(s);
    xk_buf_init(&s->tape.buf, &s->alloc, TAPE_MAX);
    s->tape.on = true;
    s->tape.domid = (uint16_t)domid;
    s->tape.lost = 0;
    s->tape.start = s->ops && s->ops->now ? s->ops->now(s->arg) : 0;
}

/* The next bytes of the tape, which are not kept. */
size_t xk__tape_take(struct xk_store_server *s, void *out, size_t room)
{
    size_t n = xk_buf_len(&s->tape.buf);

    n = n < room ? n : room;
    if (n) {
        memcpy(out, xk_buf_head(&s->tape.buf), n);
        xk_buf_take(&s->tape.buf, n);
    }
    return n;
}
