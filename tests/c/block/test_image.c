/* Images in files, in line and side by side: data against a model, neighbours that are joined, errors that belong to
 * one request, a file that is shorter than it was, O_DIRECT. SPDX-License-Identifier: MIT */
#include "tests/c/tap.h" /* first */

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <xenkit/aio.h>
#include <xenkit/blkdev.h>
#include <xenkit/fake.h>

enum { SECTORS = 2048, N = 150, ROOM = 64 };

static struct xk_aio *aio;
static struct xk_blkdev *dev;
static int fd; /* of the image, for us */

struct ask {
    struct xk_blk_request r; /* first */
    struct xk_piece piece[4];
    int done, err;
};

static void on_done(struct xk_blk_request *r, int err)
{
    ((struct ask *)r)->done++;
    ((struct ask *)r)->err = err;
}

static unsigned roll(unsigned n)
{
    static uint64_t seed = 7;

    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* (flags): O_DIRECT. (features) of xk_block_aio, or -1: xk_block_file. */
static void open_image(int flags, int features)
{
    char path[] = "/tmp/xk-image-XXXXXX";
    struct xk_file *file;
    int r = xk_aio_create(NULL, 64, &aio), image;

    if (r == XK_ENOSYS || r == XK_EACCES)
        exit(TAP_SKIP);
    EQ(r, 0);
    fd = mkstemp(path);
    EQ(ftruncate(fd, SECTORS * XK_SECTOR), 0);
    image = open(path, O_RDWR | flags);
    unlink(path);
    if (image < 0)
        exit(TAP_SKIP); /* no O_DIRECT on this file system */
    EQ(xk_file_from_handle(NULL, image, &file), 0);
    EQ(features < 0 ? xk_block_file(NULL, file, 0, &dev) : xk_block_aio(NULL, aio, file, (unsigned)features, &dev), 0);
    EQ(dev->info.sectors, SECTORS);
}

static void close_image(void)
{
    xk_blk_close(dev);
    xk_aio_destroy(aio);
    close(fd);
}

static void put(struct ask *a, int op, unsigned flags, uint64_t sector, void *buf, size_t bytes)
{
    *a = (struct ask){.piece = {{buf, bytes}}, .err = 1};
    a->r = (struct xk_blk_request){.done = on_done,
                                   .sector = sector,
                                   .sectors = bytes / XK_SECTOR,
                                   .piece = a->piece,
                                   .pieces = op <= XK_BLK_WRITE,
                                   .op = (uint8_t)op,
                                   .flags = (uint8_t)flags};
    EQ(xk_blk_submit(dev, &a->r), 0);
}

static void settle(struct ask *a, unsigned n)
{
    xk_blk_kick(dev);
    for (unsigned i = 0; i < n; i++)
        for (int k = 0; k < 1000 && !a[i].done; k++)
            xk_aio_wait(aio);
    for (unsigned i = 0; i < n; i++)
        EQ(a[i].done, 1);
}

/* Random requests, each on sectors that no other has now; of some neighbours. (skew): memory that O_DIRECT refuses. */
static void churn(unsigned skew)
{
    static uint8_t model[SECTORS * XK_SECTOR], memory[SECTORS * XK_SECTOR + 8192], back[SECTORS * XK_SECTOR];
    uint8_t *buf = memory + (4096 - (uintptr_t)memory % 4096) + skew;
    static struct ask a[N];

    for (int round = 0; round < 30; round++) {
        uint64_t at = 0;
        unsigned n = 0;
        for (; n < N && at + 20 < SECTORS; n++) {
            unsigned sectors = 1 + roll(12), op = roll(8), flags = 0;
            size_t bytes = sectors * XK_SECTOR;
            uint8_t *data = buf + at * XK_SECTOR;
            op = op == 0 ? XK_BLK_FLUSH : op == 1 ? XK_BLK_DISCARD : op < 5 ? XK_BLK_WRITE : XK_BLK_READ;
            if (op == XK_BLK_WRITE) {
                for (size_t k = 0; k < bytes; k++)
                    data[k] = (uint8_t)roll(256);
                memcpy(model + at * XK_SECTOR, data, bytes);
                flags = roll(10) == 0 ? XK_BLK_FUA : 0;
            } else if (op == XK_BLK_DISCARD) {
                memset(model + at * XK_SECTOR, 0, bytes);
            }
            put(&a[n], (int)op, flags, at, data, op == XK_BLK_FLUSH ? 0 : bytes);
            if (op == XK_BLK_DISCARD)
                a[n].r.sectors = sectors;
            if (op <= XK_BLK_WRITE && sectors > 2) {
                a[n].piece[0].len = XK_SECTOR;
                a[n].piece[1] = (struct xk_piece){data + XK_SECTOR, bytes - XK_SECTOR};
                a[n].r.pieces = 2;
            }
            at += sectors + (roll(3) == 0);
        }
        settle(a, n);
        for (unsigned i = 0; i < n; i++) {
            EQ(a[i].err, 0);
            if (a[i].r.op == XK_BLK_READ)
                MEMEQ(a[i].piece[0].base, model + a[i].r.sector * XK_SECTOR, a[i].r.sectors * XK_SECTOR);
        }
    }
    EQ(pread(fd, back, sizeof(back), 0), sizeof(back));
    MEMEQ(back, model, sizeof(back));
}

static void data_of(int flags, int features, unsigned skew)
{
    open_image(flags, features);
    churn(skew);
    close_image();
}

TEST(data_in_line) { data_of(0, -1, 0); }
TEST(data_side_by_side) { data_of(0, 0, 0); }
TEST(data_through_the_page_cache) { data_of(0, XK_BLK_CACHED, 0); }
TEST(data_past_the_page_cache) { data_of(O_DIRECT, 0, 0); }
TEST(data_past_the_page_cache_in_line) { data_of(O_DIRECT, -1, 0); }
TEST(memory_that_the_disk_refuses_is_copied) { data_of(O_DIRECT, 0, 8); }
TEST(memory_that_the_disk_refuses_is_copied_in_line) { data_of(O_DIRECT, -1, 8); }

/* A file that may not grow beyond a place: of neighbours that go as one, only those beyond it fail. */
static void errors_of(int features)
{
    struct rlimit limit = {100 * XK_SECTOR, RLIM_INFINITY};
    static uint8_t buf[20][XK_SECTOR];
    static struct ask a[20];

    open_image(0, features);
    signal(SIGXFSZ, SIG_IGN);
    EQ(ftruncate(fd, 90 * XK_SECTOR), 0);
    EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (unsigned i = 0; i < 20; i++) {
        memset(buf[i], (int)i + 1, XK_SECTOR);
        put(&a[i], XK_BLK_WRITE, i == 19 ? XK_BLK_FUA : 0, 90 + i, buf[i], XK_SECTOR);
    }
    settle(a, 20);
    for (unsigned i = 0; i < 20; i++) {
        OK(i < 10 ? a[i].err == 0 : a[i].err < 0);
        memset(buf[i], 0, XK_SECTOR);
        put(&a[i], XK_BLK_READ, 0, 90 + i, buf[i], XK_SECTOR);
    }
    settle(a, 20);
    for (unsigned i = 0; i < 20; i++) {
        EQ(a[i].err, 0);
        EQ(buf[i][XK_SECTOR - 1], i < 10 ? i + 1 : 0); /* beyond the end there are zeroes */
    }
    close_image();
}

TEST(errors_belong_to_one_request_side_by_side) { errors_of(0); }
TEST(errors_belong_to_one_request_in_the_page_cache) { errors_of(XK_BLK_CACHED); }
TEST(errors_belong_to_one_request_in_line) { errors_of(-1); }

/* --- from within done --- */

struct chain {
    struct ask a; /* first */
    unsigned left;
    uint8_t buf[XK_SECTOR];
};

static void again(struct xk_blk_request *r, int err)
{
    struct chain *c = (struct chain *)r;

    EQ(err, 0);
    c->a.done++;
    if (c->left-- == 0)
        return;
    r->sector = roll(SECTORS);
    r->op = roll(2) ? XK_BLK_READ : XK_BLK_WRITE;
    EQ(xk_blk_submit(dev, r), 0);
    xk_blk_kick(dev);
}

static void chains_of(int features)
{
    static struct chain c[100];

    open_image(0, features);
    for (unsigned i = 0; i < 100; i++) {
        put(&c[i].a, XK_BLK_READ, 0, i, c[i].buf, XK_SECTOR);
        c[i].a.r.done = again;
        c[i].left = 50;
    }
    xk_blk_kick(dev);
    for (unsigned i = 0; i < 100; i++) {
        for (int k = 0; k < 100000 && c[i].a.done < 51; k++)
            xk_aio_wait(aio);
        EQ(c[i].a.done, 51);
    }
    close_image();
}

TEST(who_asks_again_when_it_is_done) { chains_of(0); }
TEST(who_asks_again_when_it_is_done_in_the_page_cache) { chains_of(XK_BLK_CACHED); }

static void closes(struct xk_blk_request *r, int err)
{
    on_done(r, err);
    if (dev) {
        struct xk_blkdev *d = dev;
        dev = NULL;
        xk_blk_close(d);
    }
}

static void closed_by(int features)
{
    static uint8_t buf[N][XK_SECTOR];
    static struct ask a[N];

    open_image(0, features);
    for (unsigned i = 0; i < N; i++) {
        put(&a[i], i % 9 == 8 ? XK_BLK_FLUSH : XK_BLK_READ, 0, i % 9 == 8 ? 0 : i * 3, buf[i],
            i % 9 == 8 ? 0 : XK_SECTOR);
        a[i].r.done = closes;
    }
    xk_blk_kick(dev);
    for (int k = 0; k < 10000 && dev; k++)
        xk_aio_wait(aio);
    OK(!dev);
    for (unsigned i = 0; i < N; i++) {
        EQ(a[i].done, 1);
        OK(a[i].err == 0 || a[i].err == XK_ECANCELED);
    }
    EQ(xk_aio_under_way(aio), 0);
    xk_aio_destroy(aio);
    close(fd);
}

TEST(a_request_that_is_done_may_close_the_image) { closed_by(0); }
TEST(a_request_that_is_done_may_close_the_image_in_the_page_cache) { closed_by(XK_BLK_CACHED); }

TEST(closing_ends_what_is_under_way_and_what_waits)
{
    static uint8_t buf[N][XK_SECTOR];
    static struct ask a[N];
    unsigned ended = 0;

    open_image(0, 0);
    for (unsigned i = 0; i < N; i++)
        put(&a[i], XK_BLK_READ, 0, i * 2, buf[i], XK_SECTOR);
    xk_blk_kick(dev);
    xk_blk_close(dev);
    for (unsigned i = 0; i < N; i++) {
        EQ(a[i].done, 1);
        OK(a[i].err == 0 || a[i].err == XK_ECANCELED);
        ended += a[i].err == 0;
    }
    OK(ended >= 1 && ended < N); /* those beyond the ring's room had not begun */
    xk_aio_destroy(aio);
    close(fd);
}

/* More images than the ring has room for. */
TEST(images_that_share_a_ring_wait_for_each_other)
{
    static uint8_t buf[4][ROOM][XK_SECTOR];
    static struct ask a[4][ROOM];
    struct xk_blkdev *d[4];

    open_image(0, 0);
    d[0] = dev;
    for (int i = 1; i < 4; i++) {
        struct xk_file *file;
        EQ(xk_file_from_handle(NULL, dup(fd), &file), 0);
        EQ(xk_block_aio(NULL, aio, file, 0, &d[i]), 0);
    }
    for (unsigned round = 0; round < 20; round++) {
        for (int i = 0; i < 4; i++) {
            dev = d[i];
            for (unsigned k = 0; k < ROOM; k++)
                put(&a[i][k], XK_BLK_READ, 0, k * 2, buf[i][k], XK_SECTOR);
            xk_blk_kick(dev);
        }
        for (int i = 0; i < 4; i++) {
            dev = d[i];
            settle(a[i], ROOM);
        }
    }
    for (int i = 1; i < 4; i++)
        xk_blk_close(d[i]);
    dev = d[0];
    close_image();
}

TEST(files_that_are_no_image)
{
    struct xk_file *file;

    open_image(0, 0);
    EQ(xk_file_memory(NULL, 1000, &file), 0);
    EQ(xk_block_aio(NULL, aio, file, 0, &dev), XK_ENOSYS);
    EQ(ftruncate(fd, 100), 0);
    EQ(xk_file_from_handle(NULL, dup(fd), &file), 0);
    EQ(xk_block_aio(NULL, aio, file, 0, &dev), XK_EINVAL);
    EQ(xk_file_from_handle(NULL, dup(fd), &file), 0);
    EQ(xk_block_file(NULL, file, 0, &dev), XK_EINVAL);
}
