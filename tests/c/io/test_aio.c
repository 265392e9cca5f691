/* A ring of file operations: data, bounds, what it may not do, sleeping until something has ended.
 * SPDX-License-Identifier: MIT */
#include "tests/c/tap.h" /* first */

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xenkit/aio.h>
#include <xenkit/world.h>

struct op {
    struct xk_aio_op op; /* first */
    int done, result;
};

static struct xk_aio *aio;
static struct xk_file *file;

static void on_done(struct xk_aio_op *op, int result)
{
    ((struct op *)op)->done++;
    ((struct op *)op)->result = result;
}

static void open_ring(unsigned entries)
{
    char path[] = "/tmp/xk-aio-XXXXXX";
    int r = xk_aio_create(NULL, entries, &aio), fd = mkstemp(path);

    if (r == XK_ENOSYS || r == XK_EACCES) {
        printf("# no io_uring here: %s\n", xk_err_text(r));
        exit(TAP_SKIP);
    }
    EQ(r, 0);
    OK(fd >= 0);
    unlink(path);
    EQ(xk_file_from_handle(NULL, fd, &file), 0);
}

static void close_ring(void)
{
    xk_aio_destroy(aio);
    xk_file_close(file);
}

static int await(struct op *o)
{
    for (int i = 0; i < 1000 && !o->done; i++)
        OK(xk_aio_wait(aio) >= 0);
    EQ(o->done, 1);
    return o->result;
}

static int one(int write, void *base, size_t n, uint64_t at)
{
    struct xk_piece v = {base, n};
    struct op o = {.op = {on_done}};

    EQ(write ? xk_aio_write(aio, &o.op, file, &v, 1, at) : xk_aio_read(aio, &o.op, file, &v, 1, at), 0);
    return await(&o);
}

TEST(what_is_written_is_read)
{
    char out[3000], in[3000] = {0}, a[10], b[2990];
    struct xk_piece v[2] = {{a, sizeof(a)}, {b, sizeof(b)}};
    struct op o = {.op = {on_done}}, s = {.op = {on_done}};

    open_ring(8);
    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (char)(i * 3);
    EQ(one(1, out, sizeof(out), 100), sizeof(out));
    EQ(one(0, in, sizeof(in), 100), sizeof(in));
    MEMEQ(in, out, sizeof(in));
    EQ(xk_aio_read(aio, &o.op, file, v, 2, 100), 0);
    EQ(await(&o), sizeof(out));
    MEMEQ(a, out, sizeof(a));
    MEMEQ(b, out + sizeof(a), sizeof(b));
    EQ(one(0, in, sizeof(in), 2100), 1000); /* the end */
    EQ(one(0, in, sizeof(in), 1 << 20), 0);
    EQ(xk_aio_sync(aio, &s.op, file), 0);
    EQ(await(&s), 0);
    EQ(xk_aio_under_way(aio), 0);
    EQ(xk_aio_wait(aio), 0);
    close_ring();
}

TEST(no_more_than_there_is_room_for)
{
    enum { N = 8 };
    struct op o[N + 1];
    char buf[N + 1][16];
    unsigned n = 0;

    open_ring(N);
    EQ(one(1, buf, sizeof(buf), 0), sizeof(buf));
    for (unsigned i = 0; i <= N; i++) {
        struct xk_piece v = {buf[i], 16};
        int r;
        o[i] = (struct op){.op = {on_done}};
        if (i == N - 1)
            EQ(xk_aio_submit(aio), 0); /* what has ended and was not reaped counts, too */
        r = xk_aio_read(aio, &o[i].op, file, &v, 1, i * 16);
        EQ(r, i < N ? 0 : XK_EAGAIN);
        n += r == 0;
    }
    EQ(xk_aio_under_way(aio), n);
    EQ(xk_aio_submit(aio), 0);
    for (unsigned i = 0; i < N; i++)
        EQ(await(&o[i]), 16);
    EQ(one(0, buf, 16, 0), 16); /* there is room again */
    close_ring();
}

TEST(the_end_waits_for_what_is_under_way)
{
    char buf[64];
    struct xk_piece v = {buf, sizeof(buf)};
    struct op o[4];

    open_ring(8);
    for (int i = 0; i < 4; i++) {
        o[i] = (struct op){.op = {on_done}};
        EQ(xk_aio_read(aio, &o[i].op, file, &v, 1, 0), 0);
    }
    xk_aio_destroy(aio); /* not even submitted */
    for (int i = 0; i < 4; i++)
        EQ(o[i].done, 1);
    xk_file_close(file);
}

TEST(errors_are_results)
{
    struct xk_file *memory;
    char buf[16];
    struct xk_piece v = {buf, sizeof(buf)}, wild = {(void *)8, 16};
    struct op o = {.op = {on_done}};
    int fd = open("/dev/null", O_RDONLY), null = dup(fd);

    open_ring(8);
    EQ(xk_file_memory(NULL, 100, &memory), 0);
    EQ(xk_aio_read(aio, &o.op, memory, &v, 1, 0), XK_ENOSYS);
    xk_file_close(memory);
    EQ(one(1, buf, 16, 0), 16);
    EQ(xk_aio_read(aio, &o.op, file, &wild, 1, 0), 0);
    OK(await(&o) < 0);
    dup2(null, xk_file_handle(file)); /* not open for writing any more */
    OK(one(1, buf, 16, 0) < 0);
    close(fd);
    close(null);
    close_ring();
    EQ(xk_aio_create(NULL, 0, &aio), XK_EINVAL);
    EQ(xk_aio_create(NULL, 1 << 20, &aio), XK_EINVAL);
}

/* The ring's descriptor is the one with that name. */
static int ring_handle(void)
{
    for (int fd = 3; fd < 64; fd++) {
        char link[32], name[64] = "";
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (readlink(link, name, sizeof(name) - 1) > 0 && strstr(name, "[io_uring]"))
            return fd;
    }
    TAP_FAIL("no ring");
}

/* What a domain could try that has its ring. */
TEST(a_ring_does_nothing_but_read_write_and_sync)
{
    char buf[16];
    int fd, fds[1] = {0};

    open_ring(8);
    fd = ring_handle();
    /* nothing can be registered */
    OK(syscall(SYS_io_uring_register, fd, IORING_REGISTER_FILES, fds, 1) < 0);
    OK(syscall(SYS_io_uring_register, fd, IORING_REGISTER_PERSONALITY, NULL, 0) < 0);
    OK(syscall(SYS_io_uring_register, fd, IORING_REGISTER_RESTRICTIONS, fds, 0) < 0);
    /* and no operation but those five: their entries are written as the kernel's header has them */
    {
        static const uint8_t others[] = {IORING_OP_OPENAT,   IORING_OP_CONNECT, IORING_OP_SENDMSG,
                                         IORING_OP_SOCKET,   IORING_OP_ACCEPT,  IORING_OP_CLOSE,
                                         IORING_OP_UNLINKAT, IORING_OP_SPLICE,  IORING_OP_MSG_RING};
        struct io_uring ring = {0};
        for (unsigned i = 0; i < sizeof(others); i++) {
            struct io_uring_sqe *sqe;
            struct op o = {.op = {on_done}};
            struct xk_piece v = {buf, sizeof(buf)};
            EQ(xk_aio_read(aio, &o.op, file, &v, 1, 0), 0);
            memcpy(&ring, aio, sizeof(ring)); /* its first member */
            sqe = &ring.sq.sqes[(ring.sq.sqe_tail - 1) & ring.sq.ring_mask];
            EQ(sqe->opcode, IORING_OP_READ);
            sqe->opcode = others[i];
            EQ(await(&o), XK_EACCES);
        }
    }
    close_ring();
}

static unsigned ended(const struct op *o, unsigned n)
{
    unsigned done = 0;

    for (unsigned i = 0; i < n; i++)
        done += o[i].done;
    return done;
}

TEST(a_loop_wakes_up_when_something_has_ended)
{
    static char buf[1 << 20];
    struct xk_aio_watch w = {0};
    struct xk_platform *p;
    struct xk_loop *loop;
    struct op o[16];

    open_ring(32);
    EQ(xk_open(NULL, "aio", &p), 0);
    EQ(xk_loop_create(NULL, p, &loop), 0);
    EQ(xk_aio_watch_start(loop, &w, aio), 0);
    EQ(one(1, buf, sizeof(buf), 0), sizeof(buf));
    for (int round = 0; round < 50; round++) {
        xk_time until = xk_now(p) + 5 * XK_SECOND;
        if (round == 25)
            xk_loop_set_spin(loop, 20000);
        for (int i = 0; i < 16; i++) {
            struct xk_piece v = {buf + i * 4096, 4096};
            o[i] = (struct op){.op = {on_done}};
            EQ(i % 4 == 3 ? xk_aio_sync(aio, &o[i].op, file)
                          : xk_aio_write(aio, &o[i].op, file, &v, 1, (uint64_t)i * 4096),
               0);
        }
        xk_aio_submit(aio);
        OK(xk_loop_run_once(loop, XK_NOW) >= 0);
        EQ(w.spinner.awaits, xk_aio_under_way(aio) ? XK_AWAITS_DEVICE : XK_AWAITS_NOTHING);
        while (ended(o, 16) < 16 && xk_now(p) < until) /* that look may have found them all */
            OK(xk_loop_run_once(loop, until) >= 0);
        EQ(ended(o, 16), 16);
        EQ(w.spinner.awaits, XK_AWAITS_NOTHING);
        OK(xk_now(p) < until - 4 * XK_SECOND); /* not by the deadline */
    }
    xk_aio_watch_stop(&w);
    xk_aio_watch_stop(&w);
    close_ring();
    xk_loop_destroy(loop);
    xk_platform_close(p);
}

TEST(a_result_makes_the_descriptor_readable_once)
{
    struct pollfd fd;
    static char buf[4096];

    open_ring(4);
    fd = (struct pollfd){xk_aio_handle(aio), POLLIN, 0};
    for (int i = 0; i < 4; i++) {
        struct xk_piece v = {buf, sizeof(buf)};
        struct op o = {.op = {on_done}};
        EQ(xk_aio_write(aio, &o.op, file, &v, 1, 0), 0);
        EQ(xk_aio_arm(aio), 0);
        xk_aio_submit(aio);
        EQ(poll(&fd, 1, 5000), 1);
        OK(xk_aio_woken(aio) >= 0);
        EQ(await(&o), sizeof(buf));
        EQ(poll(&fd, 1, 20), 0); /* not again while the result is worked out */
    }
    close_ring();
}
