/* diff/exchange.c - requests to both servers, and what comes back, sorted into replies and events; when two replies are
 * the same. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"

void update(struct world *w)
{
    const char *bad = ours_update(&w->ours);

    if (bad)
        world_fail(w, "update", "%s", bad);
    for (unsigned i = 0; i < CONNS; i++) /* what is handed over is not what they began on, if others changed that */
        for (unsigned k = 1; k <= SLOTS; k++)
            w->conn[i].txn[k].everything |= w->conn[i].txn[k].noutside > 0;
}

/* --- sending and sorting ------------------------------------------------------------------------------------------ */

void send_part(struct world *w, enum side side, unsigned conn, const uint8_t *p, size_t n)
{
    if (side == OURS)
        ours_send(&w->ours, conn, p, n);
    else
        bytes_add(&w->peer.to[conn], p, n);
}

void send_request(struct world *w, enum side side, unsigned conn, const struct op *op, uint32_t tx, uint32_t req)
{
    uint8_t packet[XK_STORE_PACKET_MAX];
    struct xk_store_header h = {op->type, req, tx, op->len};
    size_t n = XK_STORE_HEADER_SIZE + op->len, first = op->cut < n ? op->cut : n;

    if (first == XK_STORE_HEADER_SIZE && !is_ring(conn))
        first++; /* after the header xenstored reads on, and waits if there is nothing */
    xk_store_header_put(&h, packet);
    memcpy(packet + XK_STORE_HEADER_SIZE, op->payload, op->len);
    if (first && first < n) {
        send_part(w, side, conn, packet, first);
        if (side == THEIRS)
            peer_settle(&w->peer);
        else if (first % 3 == 0)
            update(w); /* with half a request */
    } else
        first = 0;
    send_part(w, side, conn, packet + first, n - first);
}

static void add_packet(struct world *w, struct inbox *in, const struct xk_store_header *h, const uint8_t *p)
{
    char *copy = grow(NULL, h->len + 2);

    memcpy(copy, p, h->len);
    copy[h->len] = copy[h->len + 1] = 0;
    if (h->type == XK_STORE_WATCH_EVENT) {
        struct event e = {copy, copy + strlen(copy) + 1};
        if (h->req_id || h->tx_id)
            world_fail(w, "event header", "an event has request %u, transaction %u", h->req_id, h->tx_id);
        in->events = grow(in->events, (in->nevents + 1) * sizeof(e));
        in->events[in->nevents++] = e;
    } else {
        struct reply r = {h->type, h->req_id, h->tx_id, h->len, copy};
        in->replies = grow(in->replies, (in->nreplies + 1) * sizeof(r));
        in->replies[in->nreplies++] = r;
    }
}

static void sort_bytes(struct world *w, enum side side, unsigned conn)
{
    struct bytes *b = side == OURS ? &w->ours.from[conn] : &w->peer.from[conn];
    struct xk_store_header h;
    size_t at = 0;

    while (b->n - at >= XK_STORE_HEADER_SIZE && !w->failed) {
        if (xk_store_header_get(&h, b->p + at) < 0) {
            world_fail(w, "packet", "%s sends a packet of %u bytes", side == OURS ? "ours" : "theirs", h.len);
            return;
        }
        if (b->n - at - XK_STORE_HEADER_SIZE < h.len)
            break;
        add_packet(w, &w->conn[conn].in[side], &h, b->p + at + XK_STORE_HEADER_SIZE);
        at += XK_STORE_HEADER_SIZE + h.len;
    }
    bytes_drop(b, at);
    if (b->n)
        world_fail(w, "packet", "%s sends half a packet", side == OURS ? "ours" : "theirs");
}

void collect(struct world *w)
{
    if (!peer_settle(&w->peer)) {
        world_fail(w, w->peer.pid < 0 ? "xenstored ended" : "xenstored hangs", "its last words are in %s/log",
                   w->peer.dir);
        return;
    }
    ours_fetch(&w->ours);
    for (unsigned i = 0; i < CONNS; i++) {
        sort_bytes(w, OURS, i);
        sort_bytes(w, THEIRS, i);
    }
}

bool ask(struct world *w, enum side side, unsigned conn, const struct op *op, uint32_t tx, struct reply *out)
{
    struct inbox *in = &w->conn[conn].in[side];
    size_t before = in->nreplies;

    send_request(w, side, conn, op, tx, ++w->req);
    collect(w);
    if (!w->failed && in->nreplies != before + 1)
        world_fail(w, "no reply", "%s does not answer %s", side == OURS ? "ours" : "theirs",
                   xk_store_op_name(op->type));
    if (w->failed)
        return false;
    *out = in->replies[--in->nreplies]; /* the caller frees it */
    return true;
}

static void inbox_clear(struct inbox *in)
{
    for (size_t i = 0; i < in->nreplies; i++)
        free(in->replies[i].p);
    for (size_t i = 0; i < in->nevents; i++)
        free(in->events[i].path);
    free(in->replies);
    free(in->events);
    memset(in, 0, sizeof(*in));
}

void inboxes_clear(struct world *w)
{
    for (unsigned i = 0; i < CONNS; i++) {
        inbox_clear(&w->conn[i].in[OURS]);
        inbox_clear(&w->conn[i].in[THEIRS]);
    }
}

/* --- replies ------------------------------------------------------------------------------------------------------ */

void show_reply(const char *who, const struct reply *r)
{
    printf("#   %-6s %s ", who, xk_store_op_name(r->type) ? xk_store_op_name(r->type) : "?");
    print_quoted(r->p, r->len);
    putchar('\n');
}

void reply_copy(struct reply *to, const struct reply *from)
{
    *to = *from;
    to->p = grow(NULL, from->len + 2);
    memcpy(to->p, from->p, from->len);
    to->p[from->len] = to->p[from->len + 1] = 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Lists of names, whose order nobody promises. */
static bool same_names(const char *a, size_t an, const char *b, size_t bn)
{
    const char *v[SIDES][XK_STORE_PAYLOAD_MAX];
    size_t n[SIDES] = {0, 0};

    if (an != bn)
        return false;
    for (size_t i = 0; i < an; i += strlen(a + i) + 1)
        v[0][n[0]++] = a + i;
    for (size_t i = 0; i < bn; i += strlen(b + i) + 1)
        v[1][n[1]++] = b + i;
    if (n[0] != n[1])
        return false;
    qsort(v[0], n[0], sizeof(v[0][0]), by_name);
    qsort(v[1], n[1], sizeof(v[1][0]), by_name);
    for (size_t i = 0; i < n[0]; i++)
        if (strcmp(v[0][i], v[1][i]) != 0)
            return false;
    return true;
}

/* A part of a list: its first word is a generation, which is each server's own; where a part begins and ends depends on
 * the order, so only a list that is whole is compared. */
static bool same_part(const struct op *op, const struct reply *a, const struct reply *b)
{
    size_t an = strlen(a->p) + 1, bn = strlen(b->p) + 1;
    const char *offset = op_string(op, 1);

    if (an > a->len || bn > b->len)
        return false;
    if (!offset || strcmp(offset, "0") != 0 || a->len > XK_STORE_PAYLOAD_MAX / 2)
        return true;
    return same_names(a->p + an, a->len - an, b->p + bn, b->len - bn);
}

bool same_reply(const struct op *op, const struct reply *a, const struct reply *b)
{
    if (a->type != b->type)
        return false;
    if (!failed_reply(a)) {
        if (op->type == XK_STORE_DIRECTORY)
            return same_names(a->p, a->len, b->p, b->len);
        if (op->type == XK_STORE_DIRECTORY_PART)
            return same_part(op, a, b);
        if (op->type == XK_STORE_TRANSACTION_START)
            return true; /* an opaque number */
    }
    return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}
