/* The client. Answers are matched by request id, so they may come in any order; a call that was cancelled leaves its id
 * behind and its answer is dropped. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <stdbool.h>
#include <string.h>

#include <xenkit/pipe_stream.h>
#include <xenkit/store.h>

#include "base/list.h"

enum { OUT_MAX = 65536, BUCKETS = 64 };
enum { REQ_DATA = 0, RSP_DATA = 1024, REQ_CONS = 2048, REQ_PROD = 2052, RSP_CONS = 2056, RSP_PROD = 2060, RING = 1024 };

struct xk_store {
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_stream *stream;
    struct xk_waiter reader, writer;
    struct xk_buf out;
    uint8_t packet[2 * XK_STORE_PACKET_MAX];
    size_t have;
    uint32_t next_id, next_watch;
    int broken;
    int one_by_one; /* see xk_store_one_by_one */
    int awaited;    /* then: a packet is out, and its answer is not there yet */
    size_t unsent;  /* then: how much of that packet has still to be written */
    struct xk_store_call *calls[BUCKETS];
    struct xk_store_watch *watches;
};

static void link_call(struct xk_store_call **head, struct xk_store_call *c)
{
    c->next = *head;
    c->link = head;
    if (c->next)
        c->next->link = &c->next;
    *head = c;
}

static void unlink_call(struct xk_store_call *c)
{
    if (!c->link)
        return;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->link = NULL;
}

/* The connection is of no more use: every call and every watch learns why. */
static void break_off(struct xk_store *s, int err)
{
    bool again = s->broken;

    s->broken = err;
    for (int i = 0; i < BUCKETS; i++)
        while (s->calls[i]) {
            struct xk_store_call *c = s->calls[i];
            unlink_call(c);
            c->fn(c, err, NULL, 0);
        }
    for (struct xk_store_watch *w = again ? NULL : s->watches, *next; w; w = next) {
        next = w->next;
        if (w->broken_fn)
            w->broken_fn(w, err);
    }
}

/* How much may be written now: everything, or the rest of one packet. */
static size_t may_write(struct xk_store *s)
{
    struct xk_store_header h;

    if (!s->one_by_one || xk_buf_len(&s->out) == 0)
        return xk_buf_len(&s->out);
    if (!s->awaited && s->unsent == 0 && xk_store_header_get(&h, xk_buf_head(&s->out)) == 0) {
        s->awaited = 1;
        s->unsent = XK_STORE_HEADER_SIZE + h.len;
    }
    return s->unsent;
}

static void flush(struct xk_store *s)
{
    size_t n;

    while ((n = may_write(s)) > 0) {
        int r = xk_stream_write(s->stream, xk_buf_head(&s->out), n);
        if (r == XK_EAGAIN) {
            xk_stream_arm(s->stream, XK_WRITABLE, &s->writer);
            return;
        }
        if (r < 0) {
            break_off(s, r);
            return;
        }
        xk_buf_take(&s->out, (size_t)r);
        s->unsent -= s->one_by_one ? (size_t)r : 0;
    }
}

static void on_writable(struct xk_waiter *w) { flush(XK_CONTAINER(w, struct xk_store, writer)); }

static void event(struct xk_store *s, const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n, *token = memchr(p, '\0', n),
                  *gen = token ? memchr(token + 1, '\0', n - (size_t)(token + 1 - p)) : NULL;
    const uint8_t *value = gen ? memchr(gen + 1, '\0', (size_t)(end - gen - 1)) : NULL;
    const size_t prefix = sizeof(XK_STORE_TOKEN_VALUE) - 1;
    unsigned long id;

    if (!gen)
        return;
    token++;
    if ((size_t)(gen - token) > prefix && memcmp(token, XK_STORE_TOKEN_VALUE, prefix) == 0)
        token += prefix;
    id = strtoul((const char *)token, NULL, 16);
    for (struct xk_store_watch *w = s->watches; w; w = w->next) {
        if (w->id != id)
            continue;
        if (!w->value_fn)
            w->fn(w, (const char *)p);
        else
            w->value_fn(w, (const char *)p, value ? (const char *)gen + 1 : "", value ? value + 1 : end,
                        value ? (size_t)(end - value - 1) : 0);
        return;
    }
}

static void answer(struct xk_store *s, const struct xk_store_header *h, const uint8_t *p)
{
    struct xk_store_call *c = s->calls[h->req_id % BUCKETS];

    if (h->type == XK_STORE_WATCH_EVENT) {
        event(s, p, h->len);
        return;
    }
    s->awaited = 0;
    while (c && c->req_id != h->req_id)
        c = c->next;
    if (!c)
        return; /* cancelled */
    unlink_call(c);
    if (h->type == XK_STORE_ERROR)
        c->fn(c, xk_store_error_code((const char *)p, h->len), NULL, 0);
    else if (h->type != c->type)
        c->fn(c, XK_EPEER, NULL, 0);
    else
        c->fn(c, 0, p, h->len);
}

/* Handles all whole packets of what was read, in place. XK_EPEER when one makes no sense. */
static int packets(struct xk_store *s)
{
    struct xk_store_header h;
    size_t at = 0;
    int r = 0;

    while (s->have - at >= XK_STORE_HEADER_SIZE) {
        r = xk_store_header_get(&h, s->packet + at);
        if (r < 0 || s->have - at < XK_STORE_HEADER_SIZE + h.len)
            break;
        answer(s, &h, s->packet + at + XK_STORE_HEADER_SIZE);
        at += XK_STORE_HEADER_SIZE + h.len;
    }
    s->have -= at;
    memmove(s->packet, s->packet + at, s->have);
    return r < 0 ? XK_EPEER : 0;
}

static void on_readable(struct xk_waiter *w)
{
    struct xk_store *s = XK_CONTAINER(w, struct xk_store, reader);
    int r;

    do {
        r = xk_stream_read(s->stream, s->packet + s->have, sizeof(s->packet) - s->have);
        if (r > 0) {
            s->have += (size_t)r;
            if (packets(s) < 0)
                r = XK_EPEER;
        }
    } while (r > 0);
    if (r == XK_EAGAIN) {
        xk_stream_arm(s->stream, XK_READABLE, &s->reader);
        if (s->one_by_one && !s->awaited)
            flush(s);
    } else
        break_off(s, r == 0 ? XK_EGONE : r);
}

int xk_store_open(const xk_alloc *alloc, struct xk_loop *loop, struct xk_stream *stream, struct xk_store **out)
{
    struct xk_store *s = xk_new(alloc, sizeof(*s));

    if (!s) {
        xk_stream_close(stream);
        return XK_ENOMEM;
    }
    s->alloc = alloc ? *alloc : *xk_alloc_libc();
    s->loop = loop;
    s->stream = stream;
    s->reader.fn = on_readable;
    s->writer.fn = on_writable;
    xk_buf_init(&s->out, alloc, OUT_MAX);
    xk_stream_arm(stream, XK_READABLE, &s->reader);
    *out = s;
    return 0;
}

void xk_store_one_by_one(struct xk_store *s) { s->one_by_one = 1; }

static volatile uint32_t *word(void *page, size_t at) { return (volatile uint32_t *)(void *)((uint8_t *)page + at); }

/* The guest's view of the store's ring page (io/xs_wire.h, struct xenstore_domain_interface). */
int xk_store_open_domain(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store **out)
{
    struct xk_ring_page ring;
    struct xk_pipe in, req;
    struct xk_stream *stream;
    int r = xk_store_page(xk_loop_platform(loop), &ring);

    if (r < 0)
        return r;
    r = xk_pipe_init(&in, word(ring.page, RSP_PROD), word(ring.page, RSP_CONS), (uint8_t *)ring.page + RSP_DATA, RING,
                     *word(ring.page, RSP_CONS));
    if (r == 0)
        r = xk_pipe_init(&req, word(ring.page, REQ_PROD), word(ring.page, REQ_CONS), (uint8_t *)ring.page + REQ_DATA,
                         RING, *word(ring.page, REQ_PROD));
    if (r == 0)
        r = xk_pipe_stream(alloc, loop, &in, &req, ring.port, &stream);
    return r < 0 ? r : xk_store_open(alloc, loop, stream, out);
}

void xk_store_close(struct xk_store *s)
{
    xk_alloc alloc;

    if (!s)
        return;
    break_off(s, XK_ECANCELED);
    while (s->watches) {
        struct xk_store_watch *w = s->watches;
        s->watches = w->next;
        w->link = NULL;
    }
    xk_stream_close(s->stream);
    xk_buf_fini(&s->out);
    alloc = s->alloc;
    xk_free(&alloc, s, sizeof(*s));
}

int xk_store_call_start(struct xk_store *s, struct xk_store_call *c, uint32_t type, uint32_t tx,
                        const struct xk_store_piece *pieces, int count)
{
    struct xk_store_header h = {type, ++s->next_id, tx, 0};
    size_t n = 0;
    uint8_t *p;
    int r, was_empty = xk_buf_len(&s->out) == 0;

    if (s->broken)
        return s->broken;
    for (int i = 0; i < count; i++)
        n += pieces[i].len;
    if (n > XK_STORE_PAYLOAD_MAX)
        return XK_E2BIG;
    h.len = (uint32_t)n;
    r = xk_buf_reserve(&s->out, XK_STORE_HEADER_SIZE + n, &p);
    if (r < 0)
        return r == XK_EMSGSIZE ? XK_EAGAIN : r;
    xk_store_header_put(&h, p);
    p += XK_STORE_HEADER_SIZE;
    for (int i = 0; i < count; i++) {
        if (pieces[i].len)
            memcpy(p, pieces[i].base, pieces[i].len);
        p += pieces[i].len;
    }
    xk_buf_wrote(&s->out, XK_STORE_HEADER_SIZE + n);
    c->req_id = h.req_id;
    c->type = type;
    link_call(&s->calls[h.req_id % BUCKETS], c);
    if (was_empty)
        flush(s);
    return 0;
}

void xk_store_call_cancel(struct xk_store *s, struct xk_store_call *c)
{
    (void)s;
    unlink_call(c);
}

/* --- watches --- */

int xk_store_watch_add(struct xk_store *s, struct xk_store_watch *w, const char *path, struct xk_store_call *c)
{
    struct xk_store_piece p[2] = {{path, strlen(path) + 1}, {w->token, 0}};
    int r;

    w->id = ++s->next_watch;
    p[1].len = (size_t)snprintf(w->token, sizeof(w->token), "%s%x", w->value_fn ? XK_STORE_TOKEN_VALUE : "", w->id) + 1;
    r = xk_store_call_start(s, c, XK_STORE_WATCH, 0, p, 2);
    if (r < 0)
        return r;
    w->next = s->watches; /* events may come before the answer */
    w->link = &s->watches;
    if (w->next)
        w->next->link = &w->next;
    s->watches = w;
    return 0;
}

struct throwaway {
    struct xk_store_call call; /* first */
    xk_alloc alloc;
};

static void throw_away(struct xk_store_call *c, int err, const uint8_t *data, size_t n)
{
    struct throwaway *t = (struct throwaway *)c;
    xk_alloc alloc = t->alloc;

    (void)err, (void)data, (void)n;
    xk_free(&alloc, t, sizeof(*t));
}

void xk_store_watch_remove(struct xk_store *s, struct xk_store_watch *w, const char *path)
{
    struct xk_store_piece p[2] = {{path, strlen(path) + 1}, {w->token, strlen(w->token) + 1}};
    struct throwaway *t;

    if (!w->link)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->link = NULL;
    t = xk_new(&s->alloc, sizeof(*t));
    if (!t)
        return; /* the server goes on telling; nobody listens */
    t->alloc = s->alloc;
    t->call.fn = throw_away;
    if (xk_store_call_start(s, &t->call, XK_STORE_UNWATCH, 0, p, 2) < 0)
        xk_free(&s->alloc, t, sizeof(*t));
}

/* --- in line --- */

struct in_line {
    struct xk_store_call call; /* first */
    struct xk_buf *out;
    int done, err;
};

static void finish(struct xk_store_call *c, int err, const uint8_t *data, size_t n)
{
    struct in_line *l = (struct in_line *)c;

    l->done = 1;
    l->err = err;
    if (err == 0 && l->out)
        l->err = xk_buf_put(l->out, data, n);
}

int xk_store_do(struct xk_store *s, uint32_t type, uint32_t tx, const struct xk_store_piece *pieces, int count,
                struct xk_buf *out, xk_time deadline)
{
    struct in_line l = {.call.fn = finish, .out = out};
    int r = xk_store_call_start(s, &l.call, type, tx, pieces, count);

    while (r >= 0 && !l.done) {
        r = xk_loop_run_once(s->loop, deadline);
        if (r >= 0 && !l.done && deadline != XK_FOREVER && xk_now(xk_loop_platform(s->loop)) >= deadline)
            r = XK_ETIMEDOUT;
    }
    if (!l.done)
        xk_store_call_cancel(s, &l.call);
    return l.done ? l.err : r;
}

static int do_path(struct xk_store *s, uint32_t type, uint32_t tx, const char *path, struct xk_buf *out,
                   xk_time deadline)
{
    struct xk_store_piece p = {path, strlen(path) + 1};

    return xk_store_do(s, type, tx, &p, 1, out, deadline);
}

int xk_store_read(struct xk_store *s, uint32_t tx, const char *path, struct xk_buf *out, xk_time deadline)
{
    return do_path(s, XK_STORE_READ, tx, path, out, deadline);
}

int xk_store_list(struct xk_store *s, uint32_t tx, const char *path, struct xk_buf *out, xk_time deadline)
{
    return do_path(s, XK_STORE_DIRECTORY, tx, path, out, deadline);
}

int xk_store_rm(struct xk_store *s, uint32_t tx, const char *path, xk_time deadline)
{
    return do_path(s, XK_STORE_RM, tx, path, NULL, deadline);
}

int xk_store_write(struct xk_store *s, uint32_t tx, const char *path, const void *value, size_t n, xk_time deadline)
{
    struct xk_store_piece p[2] = {{path, strlen(path) + 1}, {value, n}};

    return xk_store_do(s, XK_STORE_WRITE, tx, p, 2, NULL, deadline);
}

int xk_store_begin(struct xk_store *s, uint32_t *tx, xk_time deadline)
{
    struct xk_store_piece p = {"", 1};
    struct xk_buf b;
    int r;

    xk_buf_init(&b, &s->alloc, XK_STORE_PAYLOAD_MAX + 1);
    r = xk_store_do(s, XK_STORE_TRANSACTION_START, 0, &p, 1, &b, deadline);
    if (r == 0)
        r = xk_buf_put(&b, "", 1);
    if (r == 0)
        *tx = (uint32_t)strtoul((const char *)xk_buf_head(&b), NULL, 10);
    xk_buf_fini(&b);
    return r;
}

int xk_store_end(struct xk_store *s, uint32_t tx, int commit, xk_time deadline)
{
    struct xk_store_piece p = {commit ? "T" : "F", 2};

    return xk_store_do(s, XK_STORE_TRANSACTION_END, tx, &p, 1, NULL, deadline);
}

int xk_store_mkdir(struct xk_store *s, uint32_t tx, const char *path, xk_time deadline)
{
    return do_path(s, XK_STORE_MKDIR, tx, path, NULL, deadline);
}

int xk_store_get_perms(struct xk_store *s, uint32_t tx, const char *path, struct xk_buf *out, xk_time deadline)
{
    return do_path(s, XK_STORE_GET_PERMS, tx, path, out, deadline);
}

int xk_store_set_perms(struct xk_store *s, uint32_t tx, const char *path, const char *perms, size_t n, xk_time deadline)
{
    struct xk_store_piece p[2] = {{path, strlen(path) + 1}, {perms, n}};

    return xk_store_do(s, XK_STORE_SET_PERMS, tx, p, 2, NULL, deadline);
}

/* Adds the names of one part to (out), where (from) bytes were before the first. 1: the last part, 0: more to come,
 * XK_EAGAIN: the directory is another by now. */
static int take_part(struct xk_buf *out, size_t from, const char *part, size_t n, char generation[24])
{
    const char *names = memchr(part, '\0', n);
    size_t len = names ? (size_t)(names - part) : 24;
    int r;

    if (len >= 24)
        return XK_EPEER;
    if (xk_buf_len(out) > from && strcmp(generation, part))
        return XK_EAGAIN;
    memcpy(generation, part, len + 1);
    names++;
    n -= len + 1;
    if (n && names[n - 1] == '\0' && (n == 1 || names[n - 2] == '\0')) {
        r = n > 1 ? xk_buf_put(out, names, n - 1) : 0;
        return r < 0 ? r : 1;
    }
    return n ? xk_buf_put(out, names, n) : 1;
}

int xk_store_list_all(struct xk_store *s, uint32_t tx, const char *path, struct xk_buf *out, xk_time deadline)
{
    size_t from = xk_buf_len(out);
    char offset[24], generation[24] = "";
    int r = xk_store_list(s, tx, path, out, deadline);

    while (r == 0 || r == XK_E2BIG || r == XK_EAGAIN) {
        struct xk_buf part;
        struct xk_store_piece p[2] = {{path, strlen(path) + 1}, {offset, 0}};
        if (r == 0 && generation[0] == '\0')
            return 0; /* it was listed whole */
        if (r == XK_EAGAIN)
            out->wr = out->rd + from;
        p[1].len = (size_t)snprintf(offset, sizeof(offset), "%zu", xk_buf_len(out) - from) + 1;
        xk_buf_init(&part, &s->alloc, XK_STORE_PAYLOAD_MAX);
        r = xk_store_do(s, XK_STORE_DIRECTORY_PART, tx, p, 2, &part, deadline);
        if (r == 0)
            r = take_part(out, from, (const char *)xk_buf_head(&part), xk_buf_len(&part), generation);
        xk_buf_fini(&part);
        if (r == 1)
            return 0;
    }
    return r;
}
