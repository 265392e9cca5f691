/* Files of the operating system and of memory: pieces, holes, what is at hand. SPDX-License-Identifier: MIT */
#include "tests/c/tap.h" /* first */

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xenkit/file.h>

static char path[] = "/tmp/xk-file-XXXXXX";

static struct xk_file *of_disk(void)
{
    struct xk_file *f;
    int fd = mkstemp(path);

    OK(fd >= 0);
    unlink(path);
    EQ(xk_file_from_handle(NULL, fd, &f), 0);
    return f;
}

static void pieces_of(struct xk_file *f)
{
    static char a[5000], b[3], c[9000], all[sizeof(a) + sizeof(b) + sizeof(c)], back[sizeof(all)];
    struct xk_piece v[3] = {{a, sizeof(a)}, {b, sizeof(b)}, {c, sizeof(c)}};
    struct xk_piece w[2] = {{back, 100}, {back + 100, sizeof(back) - 100}};

    for (unsigned i = 0; i < sizeof(all); i++)
        all[i] = (char)(i * 7 + i / 256);
    memcpy(a, all, sizeof(a));
    memcpy(b, all + sizeof(a), sizeof(b));
    memcpy(c, all + sizeof(a) + sizeof(b), sizeof(c));
    EQ(xk_file_writev(f, v, 3, 1000), sizeof(all));
    EQ(xk_file_readv(f, w, 2, 1000), sizeof(all));
    MEMEQ(back, all, sizeof(all));
    EQ(xk_file_readv(f, w, 2, 1000 + sizeof(all) - 150), 150); /* the end, in the second piece */
    MEMEQ(back, all + sizeof(all) - 150, 150);
    EQ(xk_file_readv(f, w, 2, 1 << 20), 0);
    EQ(xk_file_readv(f, w, 0, 0), 0);
    w[1].len = INT_MAX;
    EQ(xk_file_readv(f, w, 2, 0), XK_EINVAL);
    EQ(xk_file_readv(f, w, XK_PIECES_MAX + 1, 0), XK_EINVAL);
    EQ(xk_file_writev(f, w, 2, 0), XK_EINVAL);
}

TEST(pieces_of_a_file_on_disk)
{
    struct xk_file *f = of_disk();

    pieces_of(f);
    xk_file_close(f);
}

TEST(pieces_of_a_file_in_memory)
{
    struct xk_file *f;

    EQ(xk_file_memory(NULL, 1 << 20, &f), 0);
    pieces_of(f);
    EQ(xk_file_handle(f), XK_ENOSYS);
    EQ(xk_file_punch(f, 0, 4096), XK_ENOSYS);
    xk_file_close(f);
}

TEST(a_hole_reads_as_zeroes_and_gives_its_room_back)
{
    struct xk_file *f = of_disk();
    static char buf[1 << 20], zero[1 << 18];
    struct stat before, after;
    int r;

    memset(buf, 5, sizeof(buf));
    EQ(xk_file_write(f, buf, sizeof(buf), 0), sizeof(buf));
    EQ(fsync(xk_file_handle(f)), 0);
    EQ(fstat(xk_file_handle(f), &before), 0);
    r = xk_file_punch(f, 1 << 18, sizeof(zero));
    if (r == XK_ENOSYS)
        exit(TAP_SKIP); /* not on this file system */
    EQ(r, 0);
    EQ(xk_file_read(f, buf, sizeof(buf), 0), sizeof(buf));
    MEMEQ(buf + (1 << 18), zero, sizeof(zero));
    EQ(buf[(1 << 18) - 1] + buf[(1 << 18) + sizeof(zero)], 10);
    EQ(fstat(xk_file_handle(f), &after), 0);
    OK(after.st_blocks < before.st_blocks);
    EQ(after.st_size, before.st_size);
    EQ(xk_file_punch(f, UINT64_MAX - 5, 10), XK_EINVAL);
    xk_file_close(f);
}

static void at_hand(const char *where)
{
    char name[64], buf[4096], in[4096];
    struct xk_piece v = {in, sizeof(in)};
    struct xk_file *f;
    int fd, r;

    snprintf(name, sizeof(name), "%s/xk-now-XXXXXX", where);
    fd = mkstemp(name);
    if (fd < 0)
        exit(TAP_SKIP);
    unlink(name);
    memset(buf, 9, sizeof(buf));
    EQ(xk_file_from_handle(NULL, fd, &f), 0);
    EQ(xk_file_write(f, buf, sizeof(buf), 0), sizeof(buf));
    for (int i = 0; i < 3; i++) {
        r = xk_file_readv_now(f, &v, 1, 0);
        OK(r == (int)sizeof(buf) || r == XK_EAGAIN);
        if (r > 0)
            MEMEQ(in, buf, sizeof(buf));
    }
    xk_file_close(f);
}

TEST(what_is_in_the_page_cache_is_read_without_waiting) { at_hand("/tmp"); }
TEST(a_file_system_in_memory_never_waits)
{
    struct xk_piece v;
    char in[512];
    struct xk_file *f;
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);

    if (fd < 0)
        exit(TAP_SKIP);
    EQ(ftruncate(fd, 512), 0);
    EQ(xk_file_from_handle(NULL, fd, &f), 0);
    v = (struct xk_piece){in, sizeof(in)};
    for (int i = 0; i < 3; i++)
        EQ(xk_file_readv_now(f, &v, 1, 0), 512);
    xk_file_close(f);
}

static unsigned reads;
static const struct xk_file_ops *plain;
static int count_read(struct xk_file *f, void *buf, size_t n, uint64_t at)
{
    reads++;
    return plain->read(f, buf, n, at);
}

TEST(a_file_is_read_ahead)
{
    static uint8_t all[300000], back[sizeof(all)];
    struct xk_file *below, *f;
    struct xk_file_ops counted;

    for (unsigned i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)(i * 7 + i / 256);
    EQ(xk_file_memory(NULL, 1 << 20, &below), 0);
    EQ(xk_file_write(below, all, sizeof(all), 0), sizeof(all));
    plain = below->ops;
    counted = *plain;
    counted.read = count_read;
    below->ops = &counted;
    EQ(xk_file_ahead(NULL, below, &f), 0);
    EQ(xk_file_size(f), sizeof(all));
    for (unsigned at = 0; at < sizeof(all); at += 500) /* three places in turn */
        for (unsigned k = 0; k < 3; k++) {
            unsigned from = (at + k * 100000) % sizeof(all),
                     n = sizeof(all) - from < 500 ? (unsigned)sizeof(all) - from : 500;
            EQ(xk_file_read(f, back, 500, from), n);
            MEMEQ(back, all + from, n);
        }
    OK(reads < 40);
    EQ(xk_file_read(f, back, sizeof(back), 0), sizeof(all)); /* large ones go past it */
    MEMEQ(back, all, sizeof(all));
    EQ(xk_file_read(f, back, 10, sizeof(all)), 0);
    EQ(xk_file_read(f, back, 10, 1u << 30), 0);
    EQ(xk_file_write(f, back, 10, 0), XK_EROFS);
    EQ(xk_file_truncate(f, 0), XK_EROFS);
    EQ(xk_file_sync(f), 0);
    xk_file_close(f);
}
