/* The client when requests go one by one. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/fake.h>
#include <xenkit/store.h>

#include "tests/c/tap.h"

/* A server's end of which the test is the server: what the client wrote, and what it will read. */
struct end {
    struct xk_stream stream; /* first */
    struct xk_waiter *reader, *writer;
    uint8_t sent[4096], answers[4096];
    size_t sent_n, taken, answers_n, room;
};

static int end_read(struct xk_stream *s, void *buf, size_t n)
{
    struct end *e = (struct end *)s;

    if (e->answers_n == 0)
        return XK_EAGAIN;
    if (n > e->answers_n)
        n = e->answers_n;
    memcpy(buf, e->answers, n);
    memmove(e->answers, e->answers + n, e->answers_n -= n);
    return (int)n;
}

static int end_write(struct xk_stream *s, const void *buf, size_t n)
{
    struct end *e = (struct end *)s;

    if (n > e->room)
        n = e->room;
    if (n == 0)
        return XK_EAGAIN;
    memcpy(e->sent + e->sent_n, buf, n);
    e->sent_n += n;
    e->room -= n;
    return (int)n;
}

static void end_arm(struct xk_stream *s, unsigned events, struct xk_waiter *w)
{
    struct end *e = (struct end *)s;

    *(events & XK_READABLE ? &e->reader : &e->writer) = w;
}

static int end_shutdown(struct xk_stream *s) { return (void)s, 0; }
static void end_close(struct xk_stream *s) { (void)s; }

static const struct xk_stream_ops ops = {XK_STREAM_VERSION, end_read, end_write, end_arm, end_shutdown, end_close};

struct kit {
    struct xk_fake *world;
    struct xk_platform *p;
    struct xk_loop *loop;
    struct end end;
    struct xk_store *s;
    struct xk_store_call calls[4];
    int answered;
};

static struct kit *kit;

static void on_answer(struct xk_store_call *c, int err, const uint8_t *data, size_t n)
{
    (void)data;
    if (err == XK_ECANCELED)
        return; /* the end of the test */
    EQ(err, 0);
    EQ(n, 1);
    OK(c == &kit->calls[kit->answered]);
    kit->answered++;
}

static void kit_open(struct kit *k)
{
    memset(k, 0, sizeof(*k));
    kit = k;
    k->end.stream.ops = &ops;
    k->end.room = sizeof(k->end.sent);
    EQ(xk_fake_create(1, &k->world), 0);
    EQ(xk_fake_domain(k->world, "d", &k->p), 0);
    EQ(xk_loop_create(NULL, k->p, &k->loop), 0);
    EQ(xk_store_open(NULL, k->loop, &k->end.stream, &k->s), 0);
    for (int i = 0; i < 4; i++)
        k->calls[i].fn = on_answer;
}

static void kit_close(struct kit *k)
{
    char report[200];

    xk_store_close(k->s);
    xk_loop_destroy(k->loop);
    xk_platform_close(k->p);
    EQ(xk_fake_destroy(k->world, report, sizeof(report)), 0);
}

static void start(struct kit *k, int i)
{
    struct xk_store_piece piece = {"/a", 3};

    EQ(xk_store_call_start(k->s, &k->calls[i], XK_STORE_READ, 0, &piece, 1), 0);
}

/* How many whole packets came since the last time; (h) is the last. */
static int came(struct kit *k, struct xk_store_header *h)
{
    struct end *e = &k->end;
    int n = 0;

    while (e->sent_n - e->taken >= XK_STORE_HEADER_SIZE) {
        EQ(xk_store_header_get(h, e->sent + e->taken), 0);
        if (e->sent_n - e->taken < XK_STORE_HEADER_SIZE + h->len)
            break;
        e->taken += XK_STORE_HEADER_SIZE + h->len;
        n++;
    }
    return n;
}

static void say(struct kit *k, uint32_t type, uint32_t req_id, const char *data, uint32_t n)
{
    struct xk_store_header h = {type, req_id, 0, n};

    xk_store_header_put(&h, k->end.answers + k->end.answers_n);
    memcpy(k->end.answers + k->end.answers_n + XK_STORE_HEADER_SIZE, data, n);
    k->end.answers_n += XK_STORE_HEADER_SIZE + n;
    k->end.reader->fn(k->end.reader);
}

TEST(requests_overlap)
{
    struct xk_store_header h;
    struct kit k;

    kit_open(&k);
    for (int i = 0; i < 3; i++)
        start(&k, i);
    EQ(came(&k, &h), 3);
    kit_close(&k);
}

TEST(one_by_one_they_do_not)
{
    struct xk_store_header h;
    struct kit k;

    kit_open(&k);
    xk_store_one_by_one(k.s);
    for (int i = 0; i < 3; i++)
        start(&k, i);
    for (int i = 0; i < 3; i++) {
        EQ(came(&k, &h), 1);
        say(&k, XK_STORE_WATCH_EVENT, 0, "/a\0001", 5); /* is no answer */
        EQ(came(&k, &h), 0);
        say(&k, XK_STORE_READ, k.calls[i].req_id, "x", 1);
        EQ(k.answered, i + 1);
    }
    EQ(came(&k, &h), 0);
    start(&k, 3);
    EQ(came(&k, &h), 1);
    kit_close(&k);
}

TEST(one_by_one_the_answer_of_a_cancelled_call_lets_the_next_go)
{
    struct xk_store_header h;
    struct kit k;
    uint32_t id;

    kit_open(&k);
    xk_store_one_by_one(k.s);
    start(&k, 1);
    id = k.calls[1].req_id;
    start(&k, 0);
    xk_store_call_cancel(k.s, &k.calls[1]);
    EQ(came(&k, &h), 1);
    say(&k, XK_STORE_READ, id, "x", 1);
    EQ(came(&k, &h), 1);
    EQ(h.req_id, k.calls[0].req_id);
    say(&k, XK_STORE_READ, h.req_id, "x", 1);
    EQ(k.answered, 1);
    kit_close(&k);
}

TEST(one_by_one_in_pieces_and_with_a_server_that_answers_too_early)
{
    struct xk_store_header h;
    struct kit k;

    kit_open(&k);
    xk_store_one_by_one(k.s);
    k.end.room = 7;
    start(&k, 0);
    start(&k, 1);
    EQ(came(&k, &h), 0);
    say(&k, XK_STORE_READ, k.calls[0].req_id, "x", 1);
    EQ(k.answered, 1);
    for (int i = 0; i < 12 && k.end.writer; i++) {
        struct xk_waiter *w = k.end.writer;
        k.end.writer = NULL;
        k.end.room = 5;
        w->fn(w);
    }
    EQ(k.end.sent_n, 38);
    EQ(came(&k, &h), 2);
    EQ(h.req_id, k.calls[1].req_id);
    EQ(k.end.sent_n, k.end.taken);
    kit_close(&k);
}
