/* Requests to an encrypted image in this process, one block behind the other, as `qemu-img bench` makes them.
 *
 *     crypt_bench read|write BLOCK DEPTH COUNT IMAGE KEYFILE [plain]
 *
 * Prints requests a second and the processor time of one. With `plain` the same image without encryption, header
 * included. SPDX-License-Identifier: MIT */
#include "bench.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <xenkit/luks.h>

enum { DEPTH_MAX = 64 };

static struct slot {
    struct xk_blk_request r; /* first */
    struct xk_piece piece;
} slot[DEPTH_MAX];
static struct xk_blkdev *dev;
static unsigned long begun, done, count;
static uint64_t at, first;

static void die(const char *what, int err)
{
    fprintf(stderr, "crypt_bench: %s: %s\n", what, xk_err_text(err));
    exit(1);
}

static void put(struct slot *s)
{
    int r;

    if (begun == count)
        return;
    begun++;
    if (at + s->r.sectors > dev->info.sectors)
        at = first;
    s->r.sector = at;
    at += s->r.sectors;
    r = xk_blk_submit(dev, &s->r);
    if (r < 0)
        die("submit", r);
}

static void on_done(struct xk_blk_request *r, int err)
{
    if (err < 0)
        die("request", err);
    done++;
    put((struct slot *)r);
}

static struct xk_file *open_file(const char *path)
{
    struct xk_file *f;
    int r = xk_file_from_handle(NULL, open(path, O_RDWR), &f);

    if (r < 0)
        die(path, r);
    return f;
}

static void open_image(const char *path, const char *key_path, int plain)
{
    struct xk_file *f = open_file(path), *k = open_file(key_path);
    struct xk_blkdev *below;
    struct xk_luks *l;
    char key[4096];
    int n = xk_file_read(k, key, sizeof(key), 0), r = 1;

    if (xk_luks_open(NULL, f, key, n > 0 ? (size_t)n : 0, NULL, &l) < 0)
        die(path, XK_EPROTO);
    while (r > 0)
        r = xk_luks_step(l, UINT32_MAX);
    if (r == 0)
        r = xk_block_file(NULL, f, 0, &below);
    if (r == 0 && !plain)
        r = xk_block_luks(NULL, l, below, 0, &dev);
    else
        dev = below;
    if (r < 0)
        die(path, r);
    xk_luks_close(l);
    xk_file_close(k);
}

int main(int argc, char **argv)
{
    unsigned long block, depth;
    uint64_t t, cpu;

    if (argc < 7) {
        fprintf(stderr, "usage: crypt_bench read|write BLOCK DEPTH COUNT IMAGE KEYFILE [plain]\n");
        return 2;
    }
    block = strtoul(argv[2], NULL, 10);
    depth = strtoul(argv[3], NULL, 10);
    depth = depth < DEPTH_MAX ? depth : DEPTH_MAX;
    count = strtoul(argv[4], NULL, 10);
    open_image(argv[5], argv[6], argc > 7);
    if (argc > 7) /* the header stays what it is */
        at = first = 4096;
    t = bench_now();
    cpu = bench_cpu();
    for (unsigned long i = 0; i < depth; i++) {
        slot[i].piece = (struct xk_piece){aligned_alloc(4096, block), block};
        memset(slot[i].piece.base, (int)i, block);
        slot[i].r = (struct xk_blk_request){.done = on_done, .piece = &slot[i].piece, .pieces = 1};
        slot[i].r.sectors = block / XK_SECTOR;
        slot[i].r.op = strcmp(argv[1], "write") == 0 ? XK_BLK_WRITE : XK_BLK_READ;
        put(&slot[i]);
    }
    while (done < count)
        xk_blk_kick(dev);
    t = bench_now() - t;
    cpu = bench_cpu() - cpu;
    printf("rate=%.0f cpu_ns=%.0f\n", (double)count * 1e9 / (double)t, (double)cpu / (double)count);
    xk_blk_close(dev);
    return 0;
}
