/* Peers and limits of blk_bench, without a line of xenkit's: NBD by libnbd, and io_uring straight on the file.
 *
 *     blk_peer nbd SOCKET SERVER-PID read|write BLOCK DEPTH MS
 *     blk_peer uring FILE 0 read|write BLOCK DEPTH MS [direct]
 *
 * The client runs on processor 1, as blk_bench's front end does. SPDX-License-Identifier: MIT */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <libnbd.h>
#include <liburing.h>

enum { DEPTH_MAX = 256, SAMPLES = 1 << 16 };

static struct {
    int write;
    uint32_t block;
    int depth;
    uint64_t size, until, done, running;
    long server;
} o;

static uint64_t began[DEPTH_MAX], samples[SAMPLES];
static void *buf[DEPTH_MAX];

static uint64_t seed = 88172645463325252u;
static uint64_t next_at(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % (o.size / o.block) * o.block;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "blk_peer: %s: %s\n", what, why ? why : strerror(errno));
    exit(1);
}

/* 1: the slot is to go again. */
static int finished(int slot)
{
    uint64_t t = bench_now();

    o.running--;
    samples[o.done++ % SAMPLES] = t - began[slot];
    return t < o.until;
}

static void tell(uint64_t start, uint64_t cpu)
{
    uint64_t n = o.done < SAMPLES ? o.done : SAMPLES, ns = bench_now() - start;
    uint64_t used = bench_cpu() + (o.server ? bench_cpu_tree(o.server) : 0) - cpu;

    printf("rate=%.0f cpu_ns=%.0f p50=%llu p99=%llu\n", (double)o.done / (double)ns * 1e9,
           (double)used / (double)o.done, (unsigned long long)bench_quantile(samples, n, 500),
           (unsigned long long)bench_quantile(samples, n, 990));
}

/* --- NBD ---------------------------------------------------------------------------------------------------------- */

static struct nbd_handle *nbd;

static int nbd_done(void *arg, int *error);

static void nbd_go(int slot)
{
    nbd_completion_callback done = {.callback = nbd_done, .user_data = &began[slot]};
    int64_t r;

    began[slot] = bench_now();
    r = o.write ? nbd_aio_pwrite(nbd, buf[slot], o.block, next_at(), done, 0)
                : nbd_aio_pread(nbd, buf[slot], o.block, next_at(), done, 0);
    if (r < 0)
        die("nbd", nbd_get_error());
    o.running++;
}

static int again[DEPTH_MAX], agains;

/* A new command may not be begun from here. */
static int nbd_done(void *arg, int *error)
{
    int slot = (int)((uint64_t *)arg - began);

    if (*error)
        die("nbd", strerror(*error));
    if (finished(slot))
        again[agains++] = slot;
    return 1;
}

static void nbd_run(const char *where, uint64_t ms)
{
    uint64_t cpu, start;

    nbd = nbd_create();
    if (!nbd || nbd_connect_unix(nbd, where) < 0)
        die(where, nbd_get_error());
    o.size = (uint64_t)nbd_get_size(nbd);
    for (int warm = 1; warm >= 0; warm--) {
        o.done = 0;
        cpu = bench_cpu() + bench_cpu_tree(o.server);
        start = bench_now();
        o.until = start + (warm ? 30 : ms) * 1000000;
        for (int i = 0; i < o.depth; i++)
            nbd_go(i);
        while (o.running) {
            if (nbd_poll(nbd, 1000) < 0)
                die("nbd", nbd_get_error());
            while (agains)
                nbd_go(again[--agains]);
        }
    }
    tell(start, cpu);
}

/* --- io_uring ------------------------------------------------------------------------------------------------------
 */

static struct io_uring ring;

static void uring_go(int fd, int slot)
{
    struct io_uring_sqe *e = io_uring_get_sqe(&ring);

    began[slot] = bench_now();
    if (o.write)
        io_uring_prep_write(e, fd, buf[slot], o.block, next_at());
    else
        io_uring_prep_read(e, fd, buf[slot], o.block, next_at());
    e->user_data = (uint64_t)slot;
    o.running++;
}

static void uring_run(const char *file, uint64_t ms, int direct)
{
    int fd = open(file, O_RDWR | (direct ? O_DIRECT : 0));
    uint64_t cpu = 0, start = 0;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        die(file, NULL);
    o.size = (uint64_t)st.st_size;
    if (io_uring_queue_init(DEPTH_MAX, &ring, 0) < 0)
        die("io_uring", "cannot be had");
    for (int warm = 1; warm >= 0; warm--) {
        o.done = 0;
        cpu = bench_cpu();
        start = bench_now();
        o.until = start + (warm ? 30 : ms) * 1000000;
        for (int i = 0; i < o.depth; i++)
            uring_go(fd, i);
        while (o.running) {
            struct io_uring_cqe *c;
            unsigned head, n = 0;
            if (io_uring_submit_and_wait(&ring, 1) < 0)
                die("io_uring", NULL);
            io_uring_for_each_cqe(&ring, head, c)
            {
                n++;
                if (c->res != (int)o.block)
                    die("io_uring", strerror(-c->res));
                if (finished((int)c->user_data))
                    uring_go(fd, (int)c->user_data);
            }
            io_uring_cq_advance(&ring, n);
        }
    }
    tell(start, cpu);
}

int main(int argc, char **argv)
{
    if (argc < 8) {
        fprintf(stderr, "use: blk_peer nbd|uring SOCKET|FILE SERVER-PID read|write BLOCK DEPTH MS [direct]\n");
        return 2;
    }
    o.server = strtol(argv[3], NULL, 10);
    o.write = strcmp(argv[4], "write") == 0;
    o.block = (uint32_t)atoi(argv[5]);
    o.depth = atoi(argv[6]);
    if (o.depth < 1 || o.depth > DEPTH_MAX || o.block < 512)
        return 2;
    bench_pin(strcmp(argv[1], "uring") == 0); /* whoever does the input and output is on 1, who asks for it on 0 */
    bench_realtime();
    for (int i = 0; i < o.depth; i++) {
        buf[i] = aligned_alloc(4096, o.block < 4096 ? 4096 : o.block);
        memset(buf[i], 7, o.block);
    }
    if (strcmp(argv[1], "nbd") == 0)
        nbd_run(argv[2], strtoull(argv[7], NULL, 10));
    else
        uring_run(argv[2], strtoull(argv[7], NULL, 10), argc > 8);
    return 0;
}
