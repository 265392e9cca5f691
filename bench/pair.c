/* The measuring half of pair.h. The first word of a block says what it is: the clocks start at START, which the writer
 * sends when the transport is warm, and stop at LAST. SPDX-License-Identifier: MIT */
#include "pair.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "bench.h"

enum { SIDES = 2, ECHOES = 1 << 20, WARM_NS = 20000000 };
enum { BODY, START, LAST };

struct result {
    uint64_t ns, bytes, cpu, echoes, p50, p99;
    int done;
};

static void set_kind(void *block, uint32_t kind) { memcpy(block, &kind, sizeof(kind)); }

static uint32_t kind_of(const void *block)
{
    uint32_t kind;
    memcpy(&kind, block, sizeof(kind));
    return kind;
}

static int stream_send(const struct pair_transport *t, const struct pair *p, void *end, char *buf, struct result *r)
{
    uint64_t begin = bench_now(), cpu = 0, turn = 0, every = p->block >= 65536 ? 1 : 16;
    uint32_t kind = BODY;
    int started = 0;

    for (;;) {
        if (turn++ % every == 0) {
            uint64_t now = bench_now();
            if (!started && now - begin > WARM_NS) {
                kind = START;
                started = 1;
                begin = now;
                cpu = bench_cpu();
            } else if (started && now - begin > (uint64_t)p->ms * 1000000u) {
                kind = LAST;
            }
        }
        set_kind(buf, kind);
        if (t->send(end, buf, p->block) < 0)
            return -1;
        if (kind == LAST)
            break;
        kind = BODY;
    }
    r->cpu = bench_cpu() - cpu;
    return 0;
}

static int stream_recv(const struct pair_transport *t, const struct pair *p, void *end, char *buf, struct result *r)
{
    uint64_t begin = 0, cpu = 0;

    for (;;) {
        if (t->recv(end, buf, p->block) < 0)
            return -1;
        if (kind_of(buf) == START) {
            begin = bench_now();
            cpu = bench_cpu();
            continue;
        }
        r->bytes += begin ? p->block : 0;
        if (kind_of(buf) == LAST)
            break;
    }
    r->ns = bench_now() - begin;
    r->cpu = bench_cpu() - cpu;
    return 0;
}

static int echo_ask(const struct pair_transport *t, const struct pair *p, void *end, char *buf, struct result *r)
{
    uint64_t *took = malloc(ECHOES * sizeof(*took)), first = bench_now(), begin = 0, cpu = 0, n = 0, last = first;
    uint32_t kind = BODY;

    if (!took)
        return -1;
    while (kind != LAST) {
        uint64_t now;
        kind = BODY;
        if (!begin && last - first > WARM_NS) {
            kind = START;
            begin = last = bench_now();
            cpu = bench_cpu();
        } else if (begin && (last - begin > (uint64_t)p->ms * 1000000u || n == ECHOES)) {
            kind = LAST;
        }
        set_kind(buf, kind);
        if (t->send(end, buf, p->block) < 0 || t->recv(end, buf, p->block) < 0)
            return -1;
        now = bench_now();
        if (begin && kind == BODY)
            took[n++] = now - last;
        last = now;
    }
    r->ns = last - begin;
    r->cpu = bench_cpu() - cpu;
    r->echoes = n;
    r->p50 = bench_quantile(took, n, 500);
    r->p99 = bench_quantile(took, n, 990);
    free(took);
    return 0;
}

static int echo_answer(const struct pair_transport *t, const struct pair *p, void *end, char *buf, struct result *r)
{
    uint64_t cpu = 0;

    do {
        if (t->recv(end, buf, p->block) < 0)
            return -1;
        if (kind_of(buf) == START)
            cpu = bench_cpu();
        if (t->send(end, buf, p->block) < 0)
            return -1;
    } while (kind_of(buf) != LAST);
    r->cpu = bench_cpu() - cpu;
    return 0;
}

static int run_side(const struct pair_transport *t, struct pair *p, int side, struct result *r)
{
    int stream = strcmp(p->workload, "stream") == 0, ok;
    char *buf = calloc(1, p->block);
    void *end;

    end = t->open(p, side);
    if (!end || !buf) {
        fprintf(stderr, "%s: side %d cannot open: %s\n", t->name, side, strerror(errno));
        return 1;
    }
    if (getenv("XK_BENCH_ONE_CPU") == NULL)
        bench_pin(side);
    bench_realtime();
    if (side == 0)
        ok = stream ? stream_recv(t, p, end, buf, r) : echo_answer(t, p, end, buf, r);
    else
        ok = stream ? stream_send(t, p, end, buf, r) : echo_ask(t, p, end, buf, r);
    r->done = ok == 0;
    atomic_fetch_add(&p->word[3], 1); /* neither closes before both are done */
    for (int i = 0; atomic_load(&p->word[3]) < SIDES - 1 && i < 2000; i++)
        usleep(1000);
    t->close(end);
    free(buf);
    return ok == 0 ? 0 : 1;
}

static int print(const struct pair_transport *t, const struct pair *p, const struct result *r)
{
    const struct result *srv = &r[0], *cli = &r[1];
    double ops;

    if (!srv->done || !cli->done)
        return 1;
    if (strcmp(p->workload, "stream") == 0) {
        ops = (double)srv->bytes;
        printf("impl=%s rate=%.0f cpu_ns=%.4f cpu_send=%.4f cpu_recv=%.4f\n", t->name, ops * 1e9 / (double)srv->ns,
               (double)(srv->cpu + cli->cpu) / ops, (double)cli->cpu / ops, (double)srv->cpu / ops);
    } else {
        ops = (double)cli->echoes;
        printf("impl=%s rate=%.0f cpu_ns=%.1f p50=%llu p99=%llu\n", t->name, ops * 1e9 / (double)cli->ns,
               (double)(srv->cpu + cli->cpu) / ops, (unsigned long long)cli->p50, (unsigned long long)cli->p99);
    }
    return 0;
}

/* Waits for both sides; a side that hangs is ended. */
static int reap(const pid_t *pid, unsigned ms)
{
    uint64_t deadline = bench_now() + ((uint64_t)ms + 10000) * 1000000u;
    int left = SIDES, bad = 0, gone[SIDES] = {0};

    while (left > 0) {
        for (int i = 0; i < SIDES; i++) {
            int status;
            if (gone[i] || waitpid(pid[i], &status, WNOHANG) != pid[i])
                continue;
            gone[i] = 1;
            left--;
            bad |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        }
        if (left > 0 && (bad || bench_now() > deadline)) {
            for (int i = 0; i < SIDES; i++)
                if (!gone[i])
                    kill(pid[i], SIGKILL);
            bad = 1;
        }
        usleep(2000);
    }
    return bad;
}

static int run(const struct pair_transport *t, struct pair *p)
{
    struct result *r = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ends[SIDES][2];
    pid_t pid[SIDES];

    p->word = (atomic_int *)(void *)(r + SIDES);
    for (int i = 0; i < 4; i++)
        p->word[i] = -1;
    if (t->prepare && t->prepare(p) < 0)
        return 1;
    for (int side = 0; side < SIDES; side++) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends[side]) < 0)
            return 1;
        p->socket[side] = ends[side][0];
    }
    for (int side = 0; side < SIDES; side++) {
        pid[side] = fork();
        if (pid[side] == 0) {
            p->socket[side] = ends[side][1];
            _exit(run_side(t, p, side, &r[side]));
        }
    }
    if (t->attend && t->attend(p) < 0)
        fprintf(stderr, "%s: set-up failed\n", t->name);
    return reap(pid, p->ms) || print(t, p, r);
}

int pair_main(int argc, char **argv, const struct pair_transport *list)
{
    struct pair p = {.fds = {-1, -1, -1, -1}};

    signal(SIGPIPE, SIG_IGN);
    if (getenv("XK_BENCH_ONE_CPU"))
        bench_pin(0); /* both sides share a processor: nobody gains by spinning */
    if (argc >= 5 && (strcmp(argv[2], "stream") == 0 || strcmp(argv[2], "echo") == 0)) {
        p.workload = argv[2];
        p.ring = strtoul(argv[3], NULL, 10);
        p.block = strtoul(argv[4], NULL, 10);
        p.ms = argc > 5 ? (unsigned)strtoul(argv[5], NULL, 10) : 200;
        for (; list->name; list++)
            if (strcmp(list->name, argv[1]) == 0 && p.block >= 4)
                return run(list, &p);
    }
    fprintf(stderr, "use: %s TRANSPORT stream|echo RING BLOCK [MS]\n", argv[0]);
    return 2;
}

/* --- pipe, unix socket pair --------------------------------------------------------------------------------------- */

static int fds[SIDES][2]; /* of this side: read, write */

static int pipe_prepare(struct pair *p)
{
    int a[2], b[2];

    (void)p;
    if (pipe(a) < 0 || pipe(b) < 0)
        return -1;
    fds[0][0] = a[0], fds[1][1] = a[1];
    fds[1][0] = b[0], fds[0][1] = b[1];
    return 0;
}

static int unix_prepare(struct pair *p)
{
    int s[2];

    (void)p;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
        return -1;
    fds[0][0] = fds[0][1] = s[0];
    fds[1][0] = fds[1][1] = s[1];
    return 0;
}

static void *fd_open(struct pair *p, int side)
{
    (void)p;
    return fds[side];
}

static int fd_send(void *end, const void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = write(((int *)end)[1], (const char *)buf + done, n - done);
        if (r <= 0)
            return -1;
        done += (size_t)r;
    }
    return 0;
}

static int fd_recv(void *end, void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = read(((int *)end)[0], (char *)buf + done, n - done);
        if (r <= 0)
            return -1;
        done += (size_t)r;
    }
    return 0;
}

static void fd_close(void *end) { close(((int *)end)[0]); }

const struct pair_transport pair_pipe = {"pipe", pipe_prepare, NULL, fd_open, fd_send, fd_recv, fd_close};
const struct pair_transport pair_unix = {"unix", unix_prepare, NULL, fd_open, fd_send, fd_recv, fd_close};
