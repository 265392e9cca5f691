/* Feeds a connection in pieces and writes down all that it says, so that two ways to cut the same bytes can be
 * compared. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_HTTP_FEED_H
#define XK_TESTS_HTTP_FEED_H

#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>

#include <xenkit/http.h>

#include "tests/c/tap.h"

struct script {
    char *text;
    size_t len, cap;
    unsigned messages;
    uint16_t status;
    uint8_t reason;
    struct xk_diag diag;
    bool in_body, over;
};

static void note(struct script *s, const void *p, size_t n)
{
    if (s->len + n + 1 > s->cap) {
        s->cap = (s->len + n + 1) * 2;
        s->text = realloc(s->text, s->cap);
    }
    if (n)
        memcpy(s->text + s->len, p, n);
    s->len += n;
    s->text[s->len] = 0;
}

static void notef(struct script *s, const char *fmt, ...) XK_PRINTF(2, 3);
static void notef(struct script *s, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    note(s, line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static void note_head(struct script *s, const struct xk_http_msg *m)
{
    struct xk_http_str name, value;

    notef(s, "%s %u %u form=%u framing=%u len=%llu ka=%d ex=%d q=%d\n", xk_http_method_name(m->method), m->status,
          m->minor, m->form, m->framing, (unsigned long long)m->length, m->keep_alive, m->expect_continue,
          m->has_query);
    note(s, m->target.p, m->target.n);
    note(s, "|", 1);
    note(s, m->path.p, m->path.n);
    note(s, "|", 1);
    note(s, m->query.p, m->query.n);
    note(s, "|", 1);
    note(s, m->host.p, m->host.n);
    note(s, "\n", 1);
    for (unsigned i = 0; xk_http_msg_at(m, i, &name, &value) == 0; i++) {
        note(s, name.p, name.n);
        note(s, "=", 1);
        note(s, value.p, value.n);
        note(s, "\n", 1);
    }
    note(s, "[", 1);
}

/* Takes all that can be taken. */
static void take_all(struct xk_http_conn *c, struct script *s)
{
    const struct xk_http_msg *m;
    struct xk_http_str piece;
    int r;

    while (!s->over) {
        if (!s->in_body) {
            r = xk_http_conn_next(c, &m, &s->diag);
            if (r == XK_EAGAIN)
                return;
            if (r == 1) {
                s->messages++;
                s->in_body = true;
                note_head(s, m);
                continue;
            }
        } else {
            r = xk_http_conn_body(c, &piece, &s->diag);
            if (r == XK_EAGAIN)
                return;
            if (r == 1) {
                OK(piece.n > 0);
                note(s, piece.p, piece.n);
                continue;
            }
            if (r == 0) {
                note(s, "]\n", 2);
                s->in_body = false;
                xk_http_conn_done(c);
                continue;
            }
        }
        s->over = true;
        if (r == XK_EPROTO) {
            s->status = c->status;
            s->reason = c->reason;
            notef(s, "refused %u %u line %u: %s\n", c->status, c->reason, s->diag.line, s->diag.text);
        } else {
            notef(s, "end %s\n", xk_err_name(r));
        }
    }
}

/* Feeds (n) bytes: the first (cut) in steps of (step), then the rest in one. */
static struct script play_on(struct xk_http_conn *c, const char *in, size_t n, size_t cut, size_t step)
{
    struct script s = {0};
    size_t at = 0;

    note(&s, "", 0);
    while (at < n && !s.over) {
        size_t want = at < cut ? (step < cut - at ? step : cut - at) : n - at;
        int r = xk_http_conn_feed(c, in + at, want);
        if (r < 0 && r != XK_EAGAIN) {
            notef(&s, "feed %s\n", xk_err_name(r));
            break;
        }
        if (r > 0)
            at += (size_t)r;
        take_all(c, &s);
    }
    return s;
}

static struct script play(const struct xk_http_limits *l, const char *in, size_t n, size_t cut, size_t step)
{
    struct xk_http_conn c;
    struct script s;

    xk_http_conn_init(&c, NULL, l, NULL);
    s = play_on(&c, in, n, cut, step);
    xk_http_conn_fini(&c);
    return s;
}

/* The same script however the bytes are cut. */
static inline struct script play_every_way(const struct xk_http_limits *l, const char *in, size_t n)
{
    struct script whole = play(l, in, n, 0, 1), other = play(l, in, n, n, 1);

    STREQ(other.text, whole.text);
    free(other.text);
    for (size_t cut = 1; cut<n; cut += n> 4000 ? 97 : 1) {
        other = play(l, in, n, cut, cut);
        if (strcmp(other.text, whole.text))
            TAP_FAIL("cut at %zu of %zu: \"%s\" is not \"%s\"", cut, n, other.text, whole.text);
        free(other.text);
    }
    return whole;
}

/* A copy of (n) bytes that ends at an unreadable page. */
static inline char *at_the_edge(const void *p, size_t n)
{
    size_t page = 4096, size = (n + page - 1) / page * page;
    char *m = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    OK(m != MAP_FAILED);
    EQ(mprotect(m + size, page, PROT_NONE), 0);
    if (n)
        memcpy(m + size - n, p, n);
    return m + size - n;
}

static inline void leave_the_edge(char *p, size_t n)
{
    size_t page = 4096, size = (n + page - 1) / page * page;
    munmap(p + n - size, size + page);
}

#endif
