/* blkfront to blkback between two hosted guests, each a process; and, as limits, the same requests straight to the
 * file.
 *
 *     blk_bench ours|pread read|write BLOCK DEPTH MS FILE [direct]
 *
 * XK_BENCH_QUEUES: rings, 1 .. 4. Prints requests a second, the processor time of both sides for each, and how long one
 * takes. The parent is domain 0 and off the data path. SPDX-License-Identifier: MIT */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <xenkit/aio.h>
#include <xenkit/blkback.h>
#include <xenkit/blkfront.h>
#include <xenkit/file.h>

#include "hosted_pair.h"

enum { DEPTH_MAX = 256, SAMPLES = 1 << 16 };

static struct shared { /* of the processes */
    atomic_int domid[2], stop, refs_ready;
    uint32_t ref[XK_BLKFRONT_RINGS][XK_BLKFRONT_RING_MAX];
    int refs, port[XK_BLKFRONT_RINGS];
    uint64_t sectors, cpu_ns[2], done, ns, p50, p99;
    atomic_int finished;
} * shared;

static struct options {
    int write, direct, depth;
    uint32_t block;
    double ms;
    const char *file;
    int queues;
} o;

static void die(const char *what)
{
    fprintf(stderr, "blk_bench: %s: %s\n", what, strerror(errno));
    _exit(1);
}

/* The processors of who asks and of who does the input and output, as in blk_peer. */
enum { ASKS, SERVES };

static void pin(int cpu)
{
    if (!getenv("XK_BENCH_ONE_CPU"))
        bench_pin(cpu);
    bench_realtime();
}

static uint64_t await(atomic_int *word)
{
    for (int i = 0; atomic_load(word) < 0 && i < 50000; i++)
        usleep(100);
    return (uint64_t)atomic_load(word);
}

static uint64_t seed = 88172645463325252u;
static uint64_t roll(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

static void open_rings(struct xk_loop *loop, struct xk_blkback_config *c, struct xk_blkback **back)
{
    for (int i = 0; i < o.queues; i++) {
        memcpy(c->ring, shared->ref[i], sizeof(c->ring));
        c->port = shared->port[i];
        if (xk_blkback_open(NULL, loop, c, &back[i]) < 0)
            die("the ring");
    }
}

/* From now on the loop's sleeps are timed. */
static void begin_stats(struct xk_loop *loop)
{
    struct xk_loop_stats s;

    if (getenv("XK_BENCH_VERBOSE"))
        xk_loop_get_stats(loop, &s);
}

static void tell_loop(const char *who, struct xk_loop *loop)
{
    struct xk_loop_stats s;

    xk_loop_get_stats(loop, &s);
    fprintf(stderr, "%s: rounds %llu sleeps %llu spins %llu hits %llu naps %llu hits %llu idle %llu us\n", who,
            (unsigned long long)s.rounds, (unsigned long long)s.sleeps, (unsigned long long)s.spins,
            (unsigned long long)s.spin_hits, (unsigned long long)s.naps, (unsigned long long)s.nap_hits,
            (unsigned long long)(s.idle_ns / 1000));
}

/* --- the back end ------------------------------------------------------------------------------------------------- */

static void serve(const struct hosted_pair *pair)
{
    struct xk_platform *p = hosted_pair_join(pair, 0);
    struct xk_blkback_config c = {.persistent = 1, .max_pieces = 64};
    struct xk_loop *loop;
    struct xk_blkback *back[XK_BLKFRONT_RINGS];
    struct xk_file *file;
    struct xk_aio *aio;
    struct xk_aio_watch watch = {0};
    int fd = open(o.file, O_RDWR | (o.direct ? O_DIRECT : 0));
    uint64_t cpu = 0;

    if (!p || fd < 0 || xk_cpus(p) < 1 || xk_loop_create(NULL, p, &loop) < 0 ||
        xk_file_from_handle(NULL, fd, &file) < 0 || xk_aio_create(NULL, 256, &aio) < 0 ||
        xk_aio_watch_start(loop, &watch, aio) < 0 ||
        (getenv("XK_BENCH_SYNC") ? xk_block_file(NULL, file, 0, &c.device)
                                 : xk_block_aio(NULL, aio, file, o.direct ? 0 : XK_BLK_CACHED, &c.device)) < 0)
        die("the back end");
    pin(SERVES);
    xk_loop_set_spin(loop, XK_SPIN_WAKE);
    begin_stats(loop);
    shared->sectors = c.device->info.sectors;
    atomic_store(&shared->domid[0], xk_platform_domid(p));
    await(&shared->refs_ready);
    c.front = (xk_domid)await(&shared->domid[1]);
    c.ring_pages = (uint8_t)shared->refs;
    open_rings(loop, &c, back);
    while (!atomic_load(&shared->stop)) {
        if (!cpu && atomic_load(&shared->refs_ready) == 2)
            cpu = bench_cpu();
        xk_loop_run_once(loop, xk_now(p) + 50 * XK_MS);
    }
    shared->cpu_ns[0] = bench_cpu() - cpu;
    if (getenv("XK_BENCH_VERBOSE")) {
        struct xk_blkback_stats s;
        tell_loop("back", loop);
        xk_blkback_stats(back[0], &s);
        fprintf(stderr, "back: reads %llu writes %llu notified %llu events %llu idle %llu kept %u most %u\n",
                (unsigned long long)s.requests[0], (unsigned long long)s.requests[1], (unsigned long long)s.notified,
                (unsigned long long)s.events, (unsigned long long)s.idle_events, s.kept, s.most_under_way);
    }
}

/* --- the front end ------------------------------------------------------------------------------------------------ */

static struct slot {
    struct xk_blk_request r;
    struct xk_piece piece;
    uint64_t began;
} slots[DEPTH_MAX];
static uint64_t samples[SAMPLES];
static uint64_t done_count, until;
static struct xk_blkdev *dev[XK_BLKFRONT_RINGS];
static int running;

static void go(struct slot *s)
{
    s->began = bench_now();
    s->r.sector = roll(shared->sectors / (o.block / XK_SECTOR)) * (o.block / XK_SECTOR);
    if (xk_blk_submit(dev[(s - slots) % o.queues], &s->r) < 0)
        die("submit");
    running++;
}

static void done(struct xk_blk_request *r, int err)
{
    struct slot *s = (struct slot *)r;
    uint64_t t = bench_now();

    if (err)
        die("a request failed");
    running--;
    samples[done_count++ % SAMPLES] = t - s->began;
    if (t < until)
        go(s);
}

static void run(struct xk_loop *loop, struct xk_platform *p, double ms)
{
    until = bench_now() + (uint64_t)(ms * 1e6);
    for (int i = 0; i < o.depth; i++)
        go(&slots[i]);
    for (int i = 0; i < o.queues; i++)
        xk_blk_kick(dev[i]);
    while (running)
        xk_loop_run_once(loop, xk_now(p) + XK_SECOND);
}

static void make_rings(struct xk_loop *loop, const struct xk_blkfront_config *c, struct xk_blkfront **front)
{
    struct xk_blk_info info = {
        .sectors = shared->sectors, .logical = XK_SECTOR, .physical = 4096, .features = XK_BLK_CAN_FLUSH};

    for (int i = 0; i < o.queues; i++) {
        if (xk_blkfront_create(NULL, loop, c, &front[i]) < 0)
            die("the ring");
        shared->refs = (int)xk_blkfront_ring(front[i], shared->ref[i]);
        shared->port[i] = xk_blkfront_port(front[i]);
        xk_blkfront_connect(front[i], &info, 64);
        dev[i] = xk_blkfront_device(front[i]);
    }
}

static void drive(const struct hosted_pair *pair)
{
    struct xk_platform *p = hosted_pair_join(pair, 1);
    struct xk_blkfront_config c = {.ring_order = 2, .max_pieces = 64, .rings = (uint8_t)o.queues};
    struct xk_blkfront *front[XK_BLKFRONT_RINGS];
    struct xk_loop *loop;
    uint64_t cpu, began;

    if (!p || xk_cpus(p) < 1 || xk_loop_create(NULL, p, &loop) < 0)
        die("the front end");
    pin(ASKS);
    xk_loop_set_spin(loop, XK_SPIN_WAKE);
    begin_stats(loop);
    atomic_store(&shared->domid[1], xk_platform_domid(p));
    c.back = (xk_domid)await(&shared->domid[0]);
    c.pages =
        (uint16_t)(o.depth * ((o.block + 4095) / 4096 + 1) < 1000 ? o.depth * ((o.block + 4095) / 4096 + 1) : 1000);
    if (c.pages < 2 * o.queues)
        c.pages = (uint16_t)(2 * o.queues);
    make_rings(loop, &c, front);
    for (int i = 0; i < o.depth; i++) {
        struct slot *s = &slots[i];
        struct xk_blkdev *d = dev[i % o.queues];
        void *mem = getenv("XK_BENCH_COPY") ? NULL : d->ops->memory(d, o.block);
        s->piece = (struct xk_piece){mem ? mem : aligned_alloc(4096, o.block < 4096 ? 4096 : o.block), o.block};
        s->r = (struct xk_blk_request){.done = done,
                                       .sectors = o.block / XK_SECTOR,
                                       .piece = &s->piece,
                                       .pieces = 1,
                                       .op = o.write ? XK_BLK_WRITE : XK_BLK_READ};
    }
    atomic_store(&shared->refs_ready, 1);
    run(loop, p, 30);
    done_count = 0;
    atomic_store(&shared->refs_ready, 2);
    cpu = bench_cpu();
    began = bench_now();
    run(loop, p, o.ms);
    shared->ns = bench_now() - began;
    shared->cpu_ns[1] = bench_cpu() - cpu;
    shared->done = done_count;
    done_count = done_count < SAMPLES ? done_count : SAMPLES;
    shared->p50 = bench_quantile(samples, done_count, 500);
    shared->p99 = bench_quantile(samples, done_count, 990);
    if (getenv("XK_BENCH_VERBOSE")) {
        struct xk_blkfront_stats s;
        tell_loop("front", loop);
        xk_blkfront_stats(front[0], &s);
        fprintf(stderr, "front: notified %llu events %llu full %llu copied %llu\n", (unsigned long long)s.notified,
                (unsigned long long)s.events, (unsigned long long)s.full, (unsigned long long)s.copied);
    }
    atomic_store(&shared->stop, 1);
}

/* --- the limit ---------------------------------------------------------------------------------------------------- */

static void straight(void)
{
    int fd = open(o.file, O_RDWR | (o.direct ? O_DIRECT : 0));
    struct stat st;
    void *buf = aligned_alloc(4096, o.block < 4096 ? 4096 : o.block);
    uint64_t cpu = bench_cpu(), began = bench_now(), n = 0;

    if (fd < 0 || fstat(fd, &st) < 0 || !buf)
        die(o.file);
    pin(SERVES);
    memset(buf, 7, o.block);
    while (bench_now() < began + (uint64_t)(o.ms * 1e6)) {
        off_t at = (off_t)(roll((uint64_t)st.st_size / o.block) * o.block);
        ssize_t r = o.write ? pwrite(fd, buf, o.block, at) : pread(fd, buf, o.block, at);
        if (r != (ssize_t)o.block)
            die("pread");
        n++;
    }
    printf("rate=%.0f cpu_ns=%.0f\n", (double)n / (double)(bench_now() - began) * 1e9,
           (double)(bench_cpu() - cpu) / (double)n);
}

int main(int argc, char **argv)
{
    struct hosted_pair pair;
    pid_t side[2];

    if (argc < 7) {
        fprintf(stderr, "use: blk_bench ours|pread read|write BLOCK DEPTH MS FILE [direct]\n");
        return 2;
    }
    o = (struct options){strcmp(argv[2], "write") == 0,
                         argc > 7,
                         atoi(argv[4]),
                         (uint32_t)atoi(argv[3]),
                         atof(argv[5]),
                         argv[6],
                         getenv("XK_BENCH_QUEUES") ? atoi(getenv("XK_BENCH_QUEUES")) : 1};
    if (o.queues < 1 || o.queues > XK_BLKFRONT_RINGS)
        return 2;
    if (o.depth < 1 || o.depth > DEPTH_MAX || o.block < 512 || o.block > 262144)
        return 2;
    if (strcmp(argv[1], "pread") == 0) {
        straight();
        return 0;
    }
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || hosted_pair_prepare(&pair) < 0)
        die("set-up");
    atomic_store(&shared->domid[0], -1);
    atomic_store(&shared->domid[1], -1);
    atomic_store(&shared->refs_ready, -1);
    for (int i = 0; i < 2; i++) {
        side[i] = fork();
        if (side[i] == 0) {
            i == 0 ? serve(&pair) : drive(&pair);
            _exit(0);
        }
    }
    if (hosted_pair_attend(&pair) < 0)
        die("the world");
    for (int i = 0; i < 2; i++) {
        int status;
        waitpid(side[i], &status, 0);
        if (status)
            return 1;
    }
    printf("rate=%.0f cpu_ns=%.0f p50=%llu p99=%llu back_ns=%.0f\n", (double)shared->done / (double)shared->ns * 1e9,
           (double)(shared->cpu_ns[0] + shared->cpu_ns[1]) / (double)shared->done, (unsigned long long)shared->p50,
           (unsigned long long)shared->p99, (double)shared->cpu_ns[0] / (double)shared->done);
    return 0;
}
