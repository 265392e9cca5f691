/* Socket streams on a loop: what a peer does with its end must not keep us busy. SPDX-License-Identifier: MIT */
#include <sys/socket.h>

#include <xenkit/loop.h>
#include <xenkit/socket.h>

#include "base/list.h"
#include "tests/c/tap.h"
#include "tests/c/platform/world.h"

static void (*const unused)(struct world *) __attribute__((unused)) = world_open_fake;

struct end {
    struct xk_waiter reader, writer;
    struct xk_stream *s;
    int reads, writes;
};

static void on_read(struct xk_waiter *w)
{
    struct end *e = XK_CONTAINER(w, struct end, reader);
    char buf[64];

    e->reads++;
    if (xk_stream_read(e->s, buf, sizeof(buf)) == XK_EAGAIN)
        xk_stream_arm(e->s, XK_READABLE, w);
}

static void on_write(struct xk_waiter *w)
{
    static char block[65536];
    struct end *e = XK_CONTAINER(w, struct end, writer);
    int r;

    e->writes++;
    while ((r = xk_stream_write(e->s, block, sizeof(block))) > 0)
        ;
    if (r == XK_EAGAIN)
        xk_stream_arm(e->s, XK_WRITABLE, w);
}

/* A client sends its request, closes its sending side, and does not read the answer. */
TEST(half_closed_and_not_reading)
{
    struct end e = {{.fn = on_read}, {.fn = on_write}, NULL, 0, 0};
    struct world w;
    struct xk_loop *loop;
    xk_time end;
    int sv[2];

    world_open_hosted(&w);
    EQ(xk_loop_create(NULL, w.dom[1], &loop), 0);
    EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv), 0);
    EQ(xk_socket_stream(NULL, loop, sv[0], &e.s), 0);
    xk_stream_arm(e.s, XK_READABLE, &e.reader);
    EQ(send(sv[1], "GET", 3, 0), 3);
    xk_loop_run_once(loop, xk_now(w.dom[1]) + XK_SECOND);
    EQ(e.reads, 1);
    xk_stream_arm(e.s, XK_READABLE, &e.reader); /* it would hear the end, and does not ask again */
    xk_stream_arm(e.s, XK_WRITABLE, &e.writer);
    shutdown(sv[1], SHUT_WR);
    end = xk_now(w.dom[1]) + 200 * XK_MS;
    while (xk_now(w.dom[1]) < end)
        xk_loop_run_once(loop, end);
    printf("# the writer was woken %d times\n", e.writes);
    OK(e.writes >= 1 && e.writes < 10);
    close(sv[1]); /* and when it goes at last, the writer learns it */
    int before = e.writes;
    end = xk_now(w.dom[1]) + XK_SECOND;
    while (e.writes == before && xk_now(w.dom[1]) < end)
        xk_loop_run_once(loop, end);
    OK(e.writes > before);
    xk_stream_close(e.s);
    xk_loop_destroy(loop);
    world_close(&w);
}
