/* The journal: what each change made of the store, as records of the migration stream, in batches with a checksum.
 * Whoever serves the store writes them out before the answers go out: so what was acknowledged is there again after a
 * crash. What is written at once is one batch, so a write that was cut off by the end of its process never leaves a
 * change without the note that its request was answered. Records are collected before their change happens, so that
 * want of memory ends the request and not the journal. SPDX-License-Identifier: MIT */
#include <string.h>

#include "store/record.h"

enum { HEAD = 16 }; /* of a batch: type, length, checksum, 0 */

/* CRC-32 (IEEE 802.3), four bits a step. */
uint32_t xk__crc32(const uint8_t *p, size_t n)
{
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffff;

    while (n--) {
        crc ^= *p++;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static void patch(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/* --- a batch ------------------------------------------------------------------------------------------------------ */

/* The buffer, with the head of a batch in it; NULL: there is no journal, or (err) is XK_ENOMEM. */
static struct xk_buf *opened(struct xk_store_server *s, int *err)
{
    static const uint8_t head[HEAD] = {0};
    struct xk__journal *j = &s->journal;

    *err = 0;
    if (!j->on)
        return NULL;
    if (!j->open && j->done == 0 && xk_buf_put(&j->buf, head, HEAD) < 0) {
        *err = XK_ENOMEM;
        return NULL;
    }
    j->open = true;
    return &j->buf;
}

void xk__journal_keep(struct xk_store_server *s)
{
    struct xk__journal *j = &s->journal;

    if (!j->open)
        return;
    j->open = false;
    j->done = xk_buf_len(&j->buf);
    s->stats.journal_batches++;
}

void xk__journal_drop(struct xk_store_server *s)
{
    struct xk__journal *j = &s->journal;

    if (!j->open)
        return;
    j->open = false;
    j->buf.wr = j->buf.rd + j->done;
    if (j->done == 0)
        j->buf.wr = j->buf.rd = 0;
}

/* The head is written last: a checksum a change would cost the square of what is pending. */
static void seal(struct xk__journal *j)
{
    uint8_t *head = xk_buf_head(&j->buf);

    patch(head, XK__REC_BATCH);
    patch(head + 4, (uint32_t)j->done - 8);
    patch(head + 8, xk__crc32(head + HEAD, j->done - HEAD));
}

/* --- what goes into it -------------------------------------------------------------------------------------------- */

int xk__journal_node(struct xk_store_server *s, struct xk__path path, struct xk__content content)
{
    int err;
    struct xk_buf *b = opened(s, &err);

    return b ? xk__rec_node(b, XK__REC_NODE, 0, 0, 0, path, content) : err;
}

int xk__journal_remove(struct xk_store_server *s, struct xk__path path)
{
    int err;
    struct xk_buf *b = opened(s, &err);
    struct xk__rec r;

    if (!b)
        return err;
    xk__rec_begin(&r, b, XK__REC_REMOVE);
    xk__rec_string(&r, path.s, path.n);
    return xk__rec_end(&r);
}

int xk__journal_domain(struct xk_store_server *s, const struct xk__dom *d)
{
    int err;
    struct xk_buf *b = opened(s, &err);

    return b ? xk__save_domain(b, d) : err;
}

int xk__journal_server(struct xk_store_server *s)
{
    int err;
    struct xk_buf *b = opened(s, &err);

    return b ? xk__save_server(b, s) : err;
}

int xk__journal_watch(const struct xk__watch *w, bool gone)
{
    int err;
    struct xk_buf *b = w->conn->journaled ? opened(w->conn->server, &err) : (err = 0, NULL);

    if (!b)
        return err;
    err = xk__rec_watch(b, gone ? XK__REC_UNWATCH : XK__REC_WATCH, w);
    return err || gone || w->depth < 0 ? err : xk__rec_watch(b, XK__REC_WATCH_MORE, w);
}

static int number(struct xk_store_conn *c, uint32_t type)
{
    int err;
    struct xk_buf *b = c->journaled ? opened(c->server, &err) : (err = 0, NULL);
    struct xk__rec r;

    if (!b)
        return err;
    xk__rec_begin(&r, b, type);
    xk__rec_u32(&r, c->id);
    return xk__rec_end(&r);
}

int xk__journal_reset(struct xk_store_conn *c) { return number(c, XK__REC_RESET); }

/* Without memory for it, what is to be forgotten is remembered too long: after a crash a connection whose domain is
 * gone is not found, or a watch too many fires. */
void xk__journal_closed(struct xk_store_conn *c)
{
    bool alone = !c->server->journal.open; /* else it is part of the change at hand */

    (void)!number(c, XK__REC_CLOSED);
    if (alone)
        xk__journal_keep(c->server);
}

/* --- for whoever serves the store --------------------------------------------------------------------------------- */

void xk_store_journal_start(struct xk_store_server *s, size_t max)
{
    xk_buf_init(&s->journal.buf, &s->alloc, max);
    s->journal.done = 0;
    s->journal.on = true;
    s->journal.open = false;
}

void xk_store_journal_stop(struct xk_store_server *s)
{
    s->journal.on = s->journal.open = false;
    s->journal.done = 0;
    xk_buf_fini(&s->journal.buf);
}

size_t xk_store_journal_pending(struct xk_store_server *s, const uint8_t **bytes)
{
    struct xk__journal *j = &s->journal;

    *bytes = NULL;
    if (j->open || j->done == 0)
        return 0;
    seal(j);
    *bytes = xk_buf_head(&j->buf);
    return j->done;
}

void xk_store_journal_written(struct xk_store_server *s, size_t n)
{
    xk_buf_take(&s->journal.buf, n);
    s->journal.done = 0;
}

int xk_store_journal_conn(struct xk_store_conn *c, const struct xk_store_link *link)
{
    bool alone = !c->server->journal.open;
    int err;
    struct xk_buf *b = opened(c->server, &err);

    if (b)
        err = xk__rec_conn(b, c, link);
    if (alone && err == 0)
        xk__journal_keep(c->server);
    c->journaled = err == 0;
    return err;
}

void xk_store_journal_known(struct xk_store_conn *c) { c->journaled = true; }

int xk_store_journal_due(const struct xk_store_conn *c) { return c->promised || c->server->journal.done > 0; }

int xk_store_journal_ring(struct xk_store_conn *c, uint32_t consumed, uint32_t produced)
{
    size_t in = xk_buf_len(&c->in), out = xk_buf_len(&c->out);
    int err;
    struct xk_buf *b = c->journaled ? opened(c->server, &err) : (err = 0, NULL);
    struct xk__rec r;

    if (!b)
        return err;
    xk__rec_begin(&r, b, XK__REC_RING);
    xk__rec_u32(&r, c->id);
    xk__rec_u32(&r, consumed);
    xk__rec_u32(&r, produced);
    xk__rec_u32(&r, (uint32_t)in);
    xk__rec_u32(&r, (uint32_t)out);
    xk__rec_u32(&r, (uint32_t)xk__conn_partial(c));
    xk__rec_u32(&r, xk__conn_partial_reply(c));
    xk__rec_bytes(&r, xk_buf_head(&c->in), in);
    xk__rec_bytes(&r, xk_buf_head(&c->out), out);
    err = xk__rec_end(&r);
    if (err)
        xk__journal_drop(c->server);
    else
        xk__journal_keep(c->server);
    c->promised &= err != 0;
    return err;
}
