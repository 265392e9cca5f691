/* Reads through ring pages: guests that join a running world and keep requests under way.
 *
 *     store_ring WORLD PID ACTIVE IDLE [MS]
 *
 * ACTIVE guests read a node of 20 bytes, each with 16 requests under way; IDLE ones are there and ask nothing. Up to
 * four threads share the active ones. PID is the store's process: its CPU time for each read is printed, and how many
 * reads a second all made together. With ACTIVE 0 it prints the number of the first idle one and stays until it is
 * ended. SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdatomic.h>

#include "bench.h"

#include <xenkit/loop.h>
#include <xenkit/store.h>
#include <xenkit/world.h>

enum { WINDOW = 16, GUESTS = 2000, THREADS = 4 };

struct guest {
    struct xk_platform *platform;
    struct xk_loop *loop;
    struct xk_store *store;
    struct xk_store_call call[WINDOW];
};

static struct guest guest[GUESTS];
static int active, threads;
static atomic_int stop;
static atomic_long done, failed;

static void die(const char *what, int err)
{
    fprintf(stderr, "store_ring: %s: %s\n", what, xk_err_text(err));
    exit(1);
}

static void ask(struct guest *g, struct xk_store_call *c)
{
    struct xk_store_piece p = {"data/bench", 11};

    if (xk_store_call_start(g->store, c, XK_STORE_READ, 0, &p, 1) < 0)
        failed++;
}

/* Whose loop runs in this thread. */
static _Thread_local struct guest *current;
static void answered(struct xk_store_call *c, int err, const uint8_t *data, size_t n)
{
    (void)data;
    if (err || n != 20)
        failed++;
    done++;
    if (!stop)
        ask(current, c);
}

static void *run(void *arg)
{
    int first = (int)(intptr_t)arg;

    while (!stop)
        for (int i = first; i < active; i += threads) {
            current = &guest[i];
            xk_loop_run_once(guest[i].loop, active > threads ? XK_NOW : xk_now(guest[i].platform) + 10 * XK_MS);
        }
    return NULL;
}

static void join_world(const char *world, int i)
{
    struct guest *g = &guest[i];
    char name[32];
    int r;

    snprintf(name, sizeof(name), "ring-%d", i);
    r = xk_open(world, name, &g->platform);
    if (r == 0)
        r = xk_loop_create(NULL, g->platform, &g->loop);
    if (r == 0)
        r = xk_store_open_domain(NULL, g->loop, &g->store);
    if (r == 0 && i < active)
        r = xk_store_write(g->store, 0, "data/bench", "twenty bytes of text", 20, xk_now(g->platform) + 10 * XK_SECOND);
    if (r < 0)
        die(name, r);
}

int main(int argc, char **argv)
{
    pthread_t thread[THREADS];
    uint64_t ms = argc > 5 ? strtoull(argv[5], NULL, 10) : 500, ns, cpu;
    int idle = argc > 4 ? atoi(argv[4]) : 0;
    long n;

    active = argc > 3 ? atoi(argv[3]) : 0;
    if (active < 0 || active + idle < 1 || active + idle > GUESTS) {
        fprintf(stderr, "use: store_ring WORLD PID ACTIVE IDLE [MS]\n");
        return 2;
    }
    threads = active < THREADS ? active : THREADS;
    for (int i = 0; i < active + idle; i++)
        join_world(argv[1], i);
    if (active == 0) {
        printf("first=%d\n", (int)xk_platform_domid(guest[0].platform));
        fflush(stdout);
        pause();
    }
    for (int i = 0; i < active; i++) {
        current = &guest[i];
        for (int k = 0; k < WINDOW; k++) {
            guest[i].call[k].fn = answered;
            ask(&guest[i], &guest[i].call[k]);
        }
    }
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, run, (void *)(intptr_t)i))
            die("pthread_create", XK_ENOMEM);
    usleep(200000);
    n = done;
    ns = bench_now();
    cpu = bench_cpu_tree(atol(argv[2]));
    usleep((useconds_t)(ms * 1000));
    n = done - n;
    ns = bench_now() - ns;
    cpu = bench_cpu_tree(atol(argv[2])) - cpu;
    stop = 1;
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    printf("rate=%.0f cpu_ns=%.0f failed=%ld\n", (double)n * 1e9 / (double)ns, (double)cpu / (double)(n ? n : 1),
           (long)failed);
    fflush(stdout);
    _exit(failed != 0); /* the world takes them back all at once */
}
