/* A pseudo terminal as a console's far end: users that come and go, what is typed last, nobody there and no busy loop.
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <termios.h>

#include <xenkit/loop.h>
#include <xenkit/pty.h>

#include "base/list.h"
#include "tests/c/tap.h"
#include "tests/c/platform/world.h"

static void (*const unused)(struct world *) __attribute__((unused)) = world_open_fake;

struct pty {
    struct world w;
    struct xk_loop *loop;
    struct xk_stream *s;
    struct xk_waiter reader, writer;
    int reads, writes;
    char path[64];
};

static void on_read(struct xk_waiter *w) { XK_CONTAINER(w, struct pty, reader)->reads++; }
static void on_write(struct xk_waiter *w) { XK_CONTAINER(w, struct pty, writer)->writes++; }

static void open_pty(struct pty *p)
{
    int fd;

    memset(p, 0, sizeof(*p));
    p->reader.fn = on_read;
    p->writer.fn = on_write;
    world_open_hosted(&p->w);
    EQ(xk_loop_create(NULL, p->w.dom[1], &p->loop), 0);
    fd = xk_pty_open(p->path, sizeof(p->path));
    OK(fd >= 0);
    EQ(xk_pty_stream(NULL, p->loop, fd, &p->s), 0);
}

static void close_pty(struct pty *p)
{
    xk_stream_close(p->s);
    xk_loop_destroy(p->loop);
    world_close(&p->w);
}

/* Runs the loop for (ms). Returns how many rounds that took. */
static int run(struct pty *p, int ms)
{
    xk_time end = xk_now(p->w.dom[1]) + ms * (XK_SECOND / 1000);
    int rounds = 0;

    for (; xk_now(p->w.dom[1]) < end; rounds++)
        xk_loop_run_once(p->loop, end);
    return rounds;
}

static int user(struct pty *p)
{
    int fd = open(p->path, O_RDWR | O_NOCTTY | O_CLOEXEC);

    OK(fd >= 0);
    return fd;
}

TEST(it_is_raw_and_nobody_is_there)
{
    struct termios t;
    struct pty p;
    char buf[16];
    int fd;

    open_pty(&p);
    EQ(xk_pty_attached(p.s), 0);
    EQ(xk_stream_read(p.s, buf, sizeof(buf)), XK_EAGAIN);
    EQ(xk_stream_write(p.s, "x", 1), XK_EAGAIN);
    fd = user(&p);
    EQ(tcgetattr(fd, &t), 0);
    EQ(t.c_lflag & (ECHO | ICANON | ISIG), 0);
    EQ(t.c_oflag & OPOST, 0);
    close(fd);
    close_pty(&p);
}

TEST(a_user_comes_types_reads_and_leaves)
{
    struct pty p;
    char buf[64];
    int fd;

    open_pty(&p);
    xk_stream_arm(p.s, XK_READABLE, &p.reader);
    fd = user(&p);
    run(&p, 600);
    EQ(p.reads, 1); /* told that somebody came */
    EQ(xk_pty_attached(p.s), 1);
    EQ(xk_stream_write(p.s, "hello", 5), 5);
    EQ(read(fd, buf, sizeof(buf)), 5);
    xk_stream_arm(p.s, XK_READABLE, &p.reader);
    EQ(write(fd, "typed\r", 6), 6);
    run(&p, 100);
    EQ(p.reads, 2);
    EQ(xk_stream_read(p.s, buf, sizeof(buf)), 6);
    MEMEQ(buf, "typed\r", 6);
    EQ(write(fd, "last", 4), 4);
    close(fd);
    EQ(xk_pty_attached(p.s), 1); /* what was typed last is still to be read */
    EQ(xk_stream_read(p.s, buf, sizeof(buf)), 4);
    EQ(xk_stream_read(p.s, buf, sizeof(buf)), XK_EAGAIN);
    EQ(xk_pty_attached(p.s), 0);
    close_pty(&p);
}

TEST(users_one_after_another)
{
    struct pty p;
    char buf[64];

    open_pty(&p);
    for (int i = 0; i < 3; i++) {
        int fd, reads;
        xk_stream_arm(p.s, XK_READABLE, &p.reader);
        fd = user(&p);
        run(&p, 400);
        EQ(xk_pty_attached(p.s), 1);
        EQ(xk_stream_write(p.s, "again", 5), 5);
        EQ(read(fd, buf, sizeof(buf)), 5);
        reads = p.reads;
        xk_stream_arm(p.s, XK_READABLE, &p.reader);
        close(fd);
        run(&p, 100);
        EQ(p.reads, reads + 1); /* told that it left */
        EQ(xk_pty_attached(p.s), 0);
    }
    close_pty(&p);
}

TEST(nobody_there_costs_next_to_nothing)
{
    struct pty p;
    int rounds;

    open_pty(&p);
    xk_stream_arm(p.s, XK_READABLE, &p.reader);
    xk_stream_arm(p.s, XK_WRITABLE, &p.writer);
    rounds = run(&p, 1000);
    OK(rounds <= 12); /* four looks */
    EQ(p.reads + p.writes, 0);
    close(user(&p));
    OK(run(&p, 1000) <= 20);
    close_pty(&p);
}

TEST(a_user_that_does_not_read_makes_the_writer_wait)
{
    static char block[4096];
    struct pty p;
    int fd, total = 0, r;

    open_pty(&p);
    fd = user(&p);
    EQ(xk_pty_attached(p.s), 1);
    for (int i = 0; i < 5; i++) { /* Linux moves what it has taken from one buffer to the next, and has room again */
        while ((r = xk_stream_write(p.s, block, sizeof(block))) > 0)
            total += r;
        EQ(r, XK_EAGAIN);
        run(&p, 20);
    }
    OK(total > 0 && total < 1 << 20);
    xk_stream_arm(p.s, XK_WRITABLE, &p.writer);
    OK(run(&p, 300) <= 5);
    EQ(p.writes, 0);
    while (total > 0 && (r = (int)read(fd, block, sizeof(block))) > 0) {
        total -= r;
        run(&p, 1);
    }
    run(&p, 50);
    EQ(p.writes, 1);
    xk_stream_arm(p.s, XK_WRITABLE, &p.writer);
    xk_stream_arm(p.s, XK_READABLE, &p.reader);
    close(fd); /* both are told */
    run(&p, 100);
    EQ(xk_pty_attached(p.s), 0);
    EQ(p.reads, 1);
    close_pty(&p);
}
