/* The store's client against any bytes that a server, or whoever sits in its place, may send. SPDX-License-Identifier:
 * MIT */
#include <stdlib.h>
#include <string.h>

#include <xenkit/fake.h>
#include <xenkit/store.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
    struct xk_stream stream; /* first */
    const uint8_t *data;
    size_t left;
};

static int bytes_read(struct xk_stream *s, void *buf, size_t n)
{
    struct bytes *b = (struct bytes *)s;

    if (n > b->left)
        n = b->left;
    if (n == 0)
        return 0;
    n = n > 100 ? 1 + b->left % n : n; /* in pieces */
    memcpy(buf, b->data, n);
    b->data += n;
    b->left -= n;
    return (int)n;
}

static struct xk_waiter *waiting;

static int bytes_write(struct xk_stream *s, const void *buf, size_t n) { return (void)s, (void)buf, (int)n; }
static void bytes_arm(struct xk_stream *s, unsigned events, struct xk_waiter *w)
{
    (void)s;
    if (events & XK_READABLE)
        waiting = w;
}
static int bytes_shutdown(struct xk_stream *s) { return (void)s, 0; }
static void bytes_close(struct xk_stream *s) { (void)s; }

static const struct xk_stream_ops ops = {XK_STREAM_VERSION, bytes_read,     bytes_write,
                                         bytes_arm,         bytes_shutdown, bytes_close};

static void on_reply(struct xk_store_call *c, int err, const uint8_t *data, size_t n)
{
    static volatile uint8_t sink;

    (void)c, (void)err;
    for (size_t i = 0; i < n; i++)
        sink = (uint8_t)(sink ^ data[i]);
    (void)sink;
}

static void on_watch(struct xk_store_watch *w, const char *path)
{
    (void)w;
    if (strlen(path) > 4096)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct xk_fake *world;
    static struct xk_platform *p;
    static struct xk_loop *loop;
    struct bytes b = {{&ops}, data, size};
    struct xk_store_call calls[4] = {{.fn = on_reply}, {.fn = on_reply}, {.fn = on_reply}, {.fn = on_reply}};
    struct xk_store_watch watch = {.fn = on_watch};
    struct xk_store_piece piece = {"/a", 3};
    struct xk_store *s;

    if (!world &&
        (xk_fake_create(1, &world) < 0 || xk_fake_domain(world, "d", &p) < 0 || xk_loop_create(NULL, p, &loop) < 0))
        abort();
    if (xk_store_open(NULL, loop, &b.stream, &s) < 0)
        return 0;
    if (size & 1)
        xk_store_one_by_one(s);
    (void)!xk_store_call_start(s, &calls[0], XK_STORE_READ, 0, &piece, 1);
    (void)!xk_store_call_start(s, &calls[1], XK_STORE_DIRECTORY, 0, &piece, 1);
    (void)!xk_store_call_start(s, &calls[2], XK_STORE_READ, 5, &piece, 1);
    (void)!xk_store_watch_add(s, &watch, "/a", &calls[3]);
    waiting->fn(waiting);
    xk_store_close(s);
    return 0;
}
