/* The reader of one connection. One block holds [ the head at hand | what came after it ]; (head) is where the head
 * begins, (pos) where reading goes on, (wr) where the next bytes go. While a message is at hand its head must not move,
 * since the caller has slices of it: when its block is full, the block is (held) until xk_http_conn_done and what came
 * after moves to a new one. So pipelined requests are parsed where they lie and most are never moved.
 *
 * States:  HEAD -> OPEN -> (DRAIN ->) HEAD ... CLOSED, and REFUSED from HEAD and OPEN. SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>

#include "proto/http/chars.h"
#include "proto/http/gate.h"

enum { HEAD, OPEN, DRAIN, CLOSED, REFUSED };
enum { OFFSET_MAX = 65535 };

const struct xk_http_limits xk_http_limits_default = {8 << 10, 32 << 10, 100, 16 << 20, 16 << 10, 256 << 10};

/* --- memory ----------------------------------------------------------------------------------------------------- */

static size_t data_max(const struct xk_http_conn *c)
{
    size_t head = c->limits.line + c->limits.head, ext = c->limits.chunk_ext;

    return (head > ext ? head : ext) + 4096;
}

static void free_held(struct xk_http_conn *c)
{
    xk_free(&c->alloc, c->held, c->held_cap);
    c->held = NULL;
    c->held_cap = 0;
}

static void free_tables(struct xk_http_conn *c)
{
    if (c->fields != c->first)
        xk_free(&c->alloc, c->fields, c->fields_cap * sizeof(*c->fields));
    c->fields = c->first;
    c->fields_cap = XK_HTTP_FIRST_FIELDS;
    xk_free(&c->alloc, c->path, c->path_cap);
    c->path = NULL;
    c->path_cap = 0;
}

static void free_data(struct xk_http_conn *c)
{
    xk_free(&c->alloc, c->data, c->cap);
    c->data = NULL;
    c->cap = c->head = c->pos = c->wr = 0;
}

/* Room for (want) more bytes, or for as many as the bound leaves, at least one. */
static int make_room(struct xk_http_conn *c, size_t want)
{
    size_t from = c->state == HEAD ? c->head : c->pos, len = c->wr - from, max = data_max(c), cap = XK_HTTP_KEEP;
    bool hold = c->state == OPEN && !c->held && c->data;
    uint8_t *data;

    if (len >= max)
        return XK_EAGAIN;
    if (want > max - len)
        want = max - len;
    if (!hold && from) {
        memmove(c->data, c->data + from, len);
        c->head = c->pos = 0;
        c->wr = (uint32_t)len;
    }
    if (!hold && len + want <= c->cap)
        return 0;
    while (cap < len + want)
        cap *= 2;
    if (cap > max)
        cap = max;
    data = hold ? xk_resize(&c->alloc, NULL, 0, cap) : xk_resize(&c->alloc, c->data, c->cap, cap);
    if (!data)
        return XK_ENOMEM;
    if (hold) {
        memcpy(data, c->data + from, len);
        c->held = c->data;
        c->held_cap = c->cap;
        c->head = c->pos = 0;
        c->wr = (uint32_t)len;
    }
    c->data = data;
    c->cap = (uint32_t)cap;
    return 0;
}

/* Sixteen fields are inside the connection, which is what most browsers send; few send more than twice that. */
static int more_fields(struct xk_http_conn *c)
{
    size_t cap = c->fields_cap < 32 ? 32 : (size_t)c->fields_cap * 2, old = c->fields_cap * sizeof(*c->fields);
    bool inside = c->fields == c->first;
    struct xk_http_field *f = xk_resize(&c->alloc, inside ? NULL : c->fields, inside ? 0 : old, cap * sizeof(*f));

    if (!f)
        return XK_ENOMEM;
    if (inside)
        memcpy(f, c->first, sizeof(c->first));
    c->fields = f;
    c->fields_cap = (uint32_t)cap;
    return 0;
}

static int path_room(struct xk_http_conn *c, size_t n)
{
    char *p;

    if (n <= c->path_cap)
        return 0;
    p = xk_resize(&c->alloc, c->path, c->path_cap, n);
    if (!p)
        return XK_ENOMEM;
    c->path = p;
    c->path_cap = (uint32_t)n;
    return 0;
}

/* --- life cycle ------------------------------------------------------------------------------------------------- */

void xk_http_conn_init(struct xk_http_conn *c, const xk_alloc *alloc, const struct xk_http_limits *limits,
                       struct xk_http_stats *stats)
{
    memset(c, 0, sizeof(*c));
    c->alloc = alloc ? *alloc : *xk_alloc_libc();
    c->limits = limits ? *limits : xk_http_limits_default;
    c->stats = stats;
    c->fields = c->first;
    c->fields_cap = XK_HTTP_FIRST_FIELDS;
    /* offsets into a head are 16 bits wide */
    if (c->limits.line > OFFSET_MAX / 2)
        c->limits.line = OFFSET_MAX / 2;
    if (c->limits.head > OFFSET_MAX - c->limits.line)
        c->limits.head = OFFSET_MAX - c->limits.line;
    if (c->limits.fields > OFFSET_MAX / 4)
        c->limits.fields = OFFSET_MAX / 4;
    if (c->limits.chunk_ext > 1 << 20)
        c->limits.chunk_ext = 1 << 20;
}

void xk_http_conn_init_client(struct xk_http_conn *c, const xk_alloc *alloc, const struct xk_http_limits *limits,
                              struct xk_http_stats *stats)
{
    xk_http_conn_init(c, alloc, limits, stats);
    c->client = c->gate.client = true;
}

void xk_http_conn_fini(struct xk_http_conn *c)
{
    free_held(c);
    free_data(c);
    free_tables(c);
    c->state = CLOSED;
}

static int refused(struct xk_http_conn *c, uint8_t reason)
{
    c->state = REFUSED;
    c->reason = reason;
    c->status = (uint16_t)xk__http_refusal_status(reason);
    if (c->stats)
        c->stats->refused[reason]++;
    return XK_EPROTO;
}

/* The message is over: the next one begins at (pos). */
static void next_head(struct xk_http_conn *c)
{
    free_held(c);
    c->state = HEAD;
    c->head = c->pos;
    c->skipped = c->asked = false;
    memset(&c->gate, 0, sizeof(c->gate));
    c->gate.client = c->client;
    if (c->head < c->wr)
        return;
    c->head = c->pos = c->wr = 0;
    if (c->cap > XK_HTTP_KEEP)
        free_data(c);
    free_tables(c);
}

static void closed(struct xk_http_conn *c)
{
    free_held(c);
    free_data(c);
    free_tables(c);
    c->state = CLOSED;
}

/* --- feeding ---------------------------------------------------------------------------------------------------- */

int xk_http_conn_space(struct xk_http_conn *c, size_t want, uint8_t **p)
{
    if (c->state == CLOSED || c->state == REFUSED || c->eof)
        return XK_ECLOSED;
    if (c->cap - c->wr < want) {
        int r = make_room(c, want);
        if (r < 0 && c->cap == c->wr)
            return r;
    }
    *p = c->data + c->wr;
    return (int)(c->cap - c->wr);
}

void xk_http_conn_wrote(struct xk_http_conn *c, size_t n)
{
    c->wr += (uint32_t)n;
    if (c->stats)
        c->stats->bytes_in += n;
}

int xk_http_conn_feed(struct xk_http_conn *c, const void *data, size_t n)
{
    uint8_t *p;
    int r;

    if (n == 0)
        return 0;
    r = xk_http_conn_space(c, n, &p);
    if (r < 0)
        return r;
    if (n > (size_t)r)
        n = (size_t)r;
    memcpy(p, data, n);
    xk_http_conn_wrote(c, n);
    return (int)n;
}

int xk_http_conn_eof(struct xk_http_conn *c, struct xk_diag *d)
{
    c->eof = true;
    if (c->state == HEAD && c->head == c->wr)
        return 0;
    if (c->state == OPEN && (xk__http_body_ended(&c->body) || c->body.kind == XK_HTTP_TO_CLOSE))
        return 0;
    if (c->state == CLOSED || c->state == REFUSED)
        return 0;
    return xk_diag_set(d, XK_ECONNRESET, 0, 0, "the connection ended in the middle of a message");
}

/* --- heads ----------------------------------------------------------------------------------------------------------
 */

static void set_framing(struct xk_http_conn *c)
{
    const struct xk_http_gate *g = &c->gate;
    struct xk_http_msg *m = &c->msg;

    m->length = 0;
    if (c->client && (c->head_only || g->status < 200 || g->status == 204 || g->status == 304))
        m->framing = XK_HTTP_NO_BODY;
    else if (g->chunked)
        m->framing = XK_HTTP_CHUNKED;
    else if (g->has_length)
        m->framing = XK_HTTP_LENGTH, m->length = g->length;
    else
        m->framing = c->client ? XK_HTTP_TO_CLOSE : XK_HTTP_NO_BODY;
    memset(&c->body, 0, sizeof(c->body));
    c->body.kind = m->framing;
    c->body.left = m->length;
}

/* What the gate found, as the caller sees it. */
static int set_message(struct xk_http_conn *c, uint8_t *reason, struct xk_diag *d)
{
    const struct xk_http_gate *g = &c->gate;
    struct xk_http_msg *m = &c->msg;
    const char *head = (const char *)c->data + c->head;
    int r;

    memset(m, 0, sizeof(*m));
    m->head = head;
    m->fields = c->fields;
    m->field_count = g->fields;
    m->status = g->status;
    m->minor = g->minor;
    m->method = g->method;
    m->keep_alive = !g->close && (g->minor || g->keep_alive);
    set_framing(c);
    if (m->length > c->limits.body)
        return xk__http_refuse(reason, d, XK_HTTP_BAD_BODY_SIZE, 0, 0, "");
    if (c->client) {
        m->keep_alive = m->keep_alive && m->framing != XK_HTTP_TO_CLOSE;
        return 0;
    }
    m->expect_continue = g->expect_continue && !xk__http_body_ended(&c->body);
    m->target.p = head + g->target.value_off;
    m->target.n = g->target.value_len;
    m->host.p = head + g->host.value_off;
    m->host.n = g->host.value_len;
    if (!xk__http_path_is_plain(m->target.p, m->target.n)) {
        r = path_room(c, m->target.n);
        if (r < 0)
            return r;
    }
    return xk__http_target(m, c->path, reason, d);
}

/* An empty line before a request is read over once: old clients send one after a body (RFC 9112 section 2.2). */
static int skip_empty_line(struct xk_http_conn *c)
{
    const uint8_t *p = c->data + c->head;
    size_t n = c->wr - c->head;

    if (c->skipped || c->gate.scanned || n == 0 || p[0] != '\r')
        return 0;
    if (n == 1)
        return XK_EAGAIN;
    if (p[1] == '\n')
        c->head += 2;
    c->skipped = true;
    return 0;
}

static int read_head(struct xk_http_conn *c, struct xk_diag *d)
{
    const char *p;
    size_t n;
    int r;

    if (c->head == c->wr || skip_empty_line(c) < 0)
        return XK_EAGAIN;
    p = (const char *)c->data + c->head;
    n = c->wr - c->head;
    for (;;) {
        r = xk__http_gate_run(&c->gate, &c->limits, p, n, c->fields, c->fields_cap, d);
        if (r != XK_ENOSPC)
            break;
        r = more_fields(c);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return r == XK_EPROTO ? refused(c, c->gate.reason) : r;
    n = (size_t)r;
    r = set_message(c, &c->gate.reason, d);
    if (r == 0 && xk__http_second_opinion(&c->gate, p, n) < 0)
        r = xk__http_refuse(&c->gate.reason, d, XK_HTTP_BAD_SECOND, 0, 0, "");
    if (r < 0)
        return r == XK_EPROTO ? refused(c, c->gate.reason) : r;
    c->pos = c->head + (uint32_t)n;
    c->state = OPEN;
    if (c->stats)
        c->stats->messages++;
    return 1;
}

/* Reads over what is left of an answered request's body. There is nobody to complain to: trouble ends the connection.
 */
static int drain(struct xk_http_conn *c)
{
    while (!xk__http_body_ended(&c->body)) {
        size_t used, len;
        uint8_t reason = 0;
        int r = xk__http_body_next(&c->body, &c->limits, (const char *)c->data + c->pos, c->wr - c->pos, &used, &len,
                                   &reason, NULL);
        c->pos += (uint32_t)(used + len);
        c->drained += (uint32_t)(used + len);
        if (r == XK_EPROTO || c->drained > c->limits.drain) {
            closed(c);
            return XK_ECLOSED;
        }
        if (r < 0)
            return r;
    }
    next_head(c);
    return 0;
}

int xk_http_conn_next(struct xk_http_conn *c, const struct xk_http_msg **msg, struct xk_diag *d)
{
    int r;

    if (c->state == REFUSED)
        return xk_diag_set(d, XK_EPROTO, 0, 0, "%s", xk_http_refusal_text(c->reason));
    if (c->state == CLOSED)
        return XK_ECLOSED;
    if (c->state == OPEN)
        return XK_EBUSY;
    if (c->state == DRAIN) {
        r = drain(c);
        if (r < 0)
            return r == XK_EAGAIN && c->eof ? XK_ECLOSED : r;
    }
    r = read_head(c, d);
    /* interim responses are of no use to our clients but for 101, which ends HTTP (RFC 9110 section 15.2) */
    while (r == 1 && c->client && c->msg.status < 200 && c->msg.status != 101) {
        next_head(c);
        r = read_head(c, d);
    }
    if (r == 1)
        *msg = &c->msg;
    return r == XK_EAGAIN && c->eof ? XK_ECLOSED : r;
}

/* --- bodies ----------------------------------------------------------------------------------------------------- */

int xk_http_conn_body(struct xk_http_conn *c, struct xk_http_str *piece, struct xk_diag *d)
{
    const char *p = (const char *)c->data + c->pos;
    size_t used, len;
    uint8_t reason = 0;
    int r;

    if (c->state == REFUSED)
        return xk_diag_set(d, XK_EPROTO, 0, 0, "%s", xk_http_refusal_text(c->reason));
    if (c->state != OPEN)
        return XK_ENOENT;
    r = xk__http_body_next(&c->body, &c->limits, p, c->wr - c->pos, &used, &len, &reason, d);
    if (r == XK_EPROTO)
        return refused(c, reason);
    c->pos += (uint32_t)(used + len);
    if (r == 1) {
        piece->p = p + used;
        piece->n = len;
    }
    if (r == XK_EAGAIN && c->eof)
        return c->body.kind == XK_HTTP_TO_CLOSE
                   ? 0
                   : xk_diag_set(d, XK_ECONNRESET, 0, 0, "the connection ended in the middle of a body");
    return r;
}

int xk_http_conn_collect(struct xk_http_conn *c, struct xk_buf *to, struct xk_diag *d)
{
    struct xk_http_str piece;
    uint8_t reason = 0, *room;
    int r;

    for (;;) {
        /* Room comes first, for as much as the next piece can be, so that a piece that was taken is never lost. */
        size_t n = c->state == OPEN ? c->wr - c->pos : 0;
        if (c->state == OPEN && c->body.kind == XK_HTTP_LENGTH && n > c->body.left)
            n = (size_t)c->body.left;
        if (c->state == OPEN && c->body.kind == XK_HTTP_LENGTH && c->body.left > to->max - xk_buf_len(to)) {
            (void)xk__http_refuse(&reason, d, XK_HTTP_BAD_BODY_SIZE, 0, 0, "");
            return refused(c, reason);
        }
        if (n > to->max - xk_buf_len(to))
            n = to->max - xk_buf_len(to);
        r = n ? xk_buf_reserve(to, n, &room) : 0;
        if (r < 0)
            return r;
        r = xk_http_conn_body(c, &piece, d);
        if (r <= 0)
            return r;
        if (xk_buf_put(to, piece.p, piece.n) < 0) {
            (void)xk__http_refuse(&reason, d, XK_HTTP_BAD_BODY_SIZE, 0, 0, "");
            return refused(c, reason);
        }
    }
}

/* --- between messages ------------------------------------------------------------------------------------------- */

/* The sender holds the body back and none of it has come. */
static bool waits(const struct xk_http_conn *c)
{
    return c->msg.expect_continue && !c->asked && c->pos == c->wr && c->body.total == 0 && c->body.step == 0;
}

int xk_http_conn_continue(struct xk_http_conn *c, struct xk_buf *out)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    int r;

    if (c->state != OPEN || !waits(c))
        return 0;
    r = xk_buf_put(out, interim, sizeof(interim) - 1);
    if (r == 0)
        c->asked = true;
    return r;
}

bool xk_http_conn_keep_alive(const struct xk_http_conn *c)
{
    if (c->state != OPEN || c->last || c->eof || !c->msg.keep_alive)
        return false;
    if (xk__http_body_ended(&c->body))
        return true;
    return !waits(c) && (c->body.kind != XK_HTTP_LENGTH || c->body.left <= c->limits.drain);
}

void xk_http_conn_last(struct xk_http_conn *c) { c->last = true; }

void xk_http_conn_done(struct xk_http_conn *c)
{
    if (c->state != OPEN)
        return;
    /* The end of what the peer sends does not take from us what it sent before. */
    if (c->last || !c->msg.keep_alive || (!c->eof && !xk_http_conn_keep_alive(c))) {
        closed(c);
    } else if (xk__http_body_ended(&c->body)) {
        next_head(c);
    } else {
        free_held(c);
        c->drained = 0;
        c->state = DRAIN;
    }
}

bool xk_http_conn_idle(const struct xk_http_conn *c) { return c->state == HEAD && c->head == c->wr; }

void xk_http_conn_trim(struct xk_http_conn *c)
{
    if (!xk_http_conn_idle(c))
        return;
    free_data(c);
    free_tables(c);
}

struct xk_http_str xk_http_conn_rest(const struct xk_http_conn *c)
{
    struct xk_http_str s = {NULL, 0};

    if (c->state == OPEN && c->wr > c->pos) {
        s.p = (const char *)c->data + c->pos;
        s.n = c->wr - c->pos;
    }
    return s;
}

void xk_http_conn_expect(struct xk_http_conn *c, bool head_only) { c->head_only = head_only; }

void xk_http_conn_sent(struct xk_http_conn *c, size_t n)
{
    if (c->stats)
        c->stats->bytes_out += n;
}

/* --- fields ----------------------------------------------------------------------------------------------------- */

int xk_http_msg_at(const struct xk_http_msg *m, unsigned i, struct xk_http_str *name, struct xk_http_str *value)
{
    if (i >= m->field_count)
        return XK_ENOENT;
    if (name) {
        name->p = m->head + m->fields[i].name_off;
        name->n = m->fields[i].name_len;
    }
    value->p = m->head + m->fields[i].value_off;
    value->n = m->fields[i].value_len;
    return 0;
}

int xk_http_msg_find(const struct xk_http_msg *m, const char *name, unsigned from, struct xk_http_str *value)
{
    size_t n = strlen(name);

    for (unsigned i = from; i < m->field_count; i++)
        if (m->fields[i].name_len == n && xk__ieq(m->head + m->fields[i].name_off, name, n)) {
            xk_http_msg_at(m, i, NULL, value);
            return (int)i;
        }
    return XK_ENOENT;
}
