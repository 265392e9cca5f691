/* The request/response ring against Xen's own macros, over one page, in one process.
 *
 *     ring_bench polled|notified 1|32|full [MS [ROUNDS]]   two threads on processors 0 and 1
 *     ring_bench single 32 [MS [ROUNDS]]                    both halves in one thread
 *     ring_bench count ours|macros|bare N                   N batches of 32 in one thread, for an instruction counter
 *
 * A request is 16 bytes, an entry 16: 128 of them in a page. Both sides do the same: the front numbers its requests,
 * the back answers each with its number, the front adds the numbers up. Both write in place (xk_ring_*_reserve);
 * xk_ring copies what it takes, the macros' user copies requests as RING_COPY_REQUEST asks. "macros" asks after each
 * push whether to notify, as every driver does and as xk_ring's publish does; "bare" only pushes, which is the limit of
 * polling.
 *
 * The sides take turns within the process, so that what else the machine does hits them alike.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <xenkit/ring.h>

#include "bench.h"

#define mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#include <xen/io/ring.h>

enum { PAGE = 4096, BATCH = 32, ENTRIES = 128 };

struct request {
    uint64_t id, argument;
};
struct response {
    uint64_t id, result;
};
DEFINE_RING_TYPES(bench, struct request, struct response);

enum impl { OURS, MACROS, BARE, IMPLS };
static const char *const impl_name[] = {"ours", "macros", "bare"};

struct slice {
    enum impl impl;
    void *page;
    uint32_t batch; /* 0: kept full */
    int notified, to_front, to_back;
    uint64_t end; /* when to stop */
    atomic_int stop, ready;
    uint64_t requests, wakes;
};

static void die(const char *what)
{
    fprintf(stderr, "ring_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Between two looks at an empty ring: 0 to 3 pauses by chance. Equal pauses let the two threads fall into step, in one
 * of several ways that differ by a third and last for a whole run. */
static inline void look_again(uint32_t *chance)
{
    *chance = *chance * 1664525u + 1013904223u;
    for (uint32_t i = *chance >> 30; i > 0; i--)
        bench_relax();
}

static void wake(int fd)
{
    static const uint64_t one = 1;
    if (write(fd, &one, sizeof(one)) != sizeof(one))
        die("eventfd write");
}

static void sleep_on(int fd)
{
    uint64_t n;
    if (read(fd, &n, sizeof(n)) != sizeof(n))
        die("eventfd read");
}

/* --- ours -------------------------------------------------------------------------------------------------------- */

static void compose_requests(struct xk_ring_front *f, uint32_t n, uint64_t *next)
{
    struct request *slot;

    while (n) {
        int k = xk_ring_front_reserve(f, n, (void **)&slot);
        if (k <= 0)
            die("reserve");
        for (int i = 0; i < k; i++)
            slot[i] = (struct request){.id = (*next)++};
        n -= (uint32_t)k;
    }
}

static void compose_responses(struct xk_ring_back *b, const struct request *req, uint32_t n)
{
    struct response *slot;

    while (n) {
        int k = xk_ring_back_reserve(b, n, (void **)&slot);
        if (k <= 0)
            die("reserve");
        for (int i = 0; i < k; i++)
            slot[i] = (struct response){.id = req[i].id, .result = req[i].argument + 1};
        req += k;
        n -= (uint32_t)k;
    }
}

static void ours_front(struct slice *s)
{
    struct xk_ring_front f;
    struct response rsp[ENTRIES];
    uint64_t next = 0, sum = 0, turn = 0, wakes = 0;
    uint32_t chance = 1;
    int over = 0;

    if (xk_ring_front_attach(&f, s->page, PAGE, sizeof(struct request)) < 0)
        die("attach");
    while (!over || f.rsp_cons != f.req_prod) {
        uint32_t room = xk_ring_front_free(&f), n = s->batch ? (room == f.count ? s->batch : 0) : room;
        int got;
        if (n && !over) {
            compose_requests(&f, n, &next);
            if (xk_ring_front_publish(&f) && s->notified) {
                wakes++;
                wake(s->to_back);
            }
        }
        got = xk_ring_front_take(&f, rsp, ENTRIES);
        if (got == XK_EAGAIN) {
            if (!s->notified)
                look_again(&chance);
            else if (xk_ring_front_rearm(&f) == 0)
                sleep_on(s->to_front);
            continue;
        }
        if (got < 0)
            die("take");
        for (int i = 0; i < got; i++)
            sum += rsp[i].id;
        if ((++turn & 63) == 0 && bench_now() >= s->end)
            over = 1;
    }
    if (sum != next * (next - 1) / 2)
        die("sum");
    s->requests = next;
    s->wakes = wakes;
}

static void ours_back(struct slice *s)
{
    struct xk_ring_back b;
    struct request req[ENTRIES];
    uint32_t chance = 2;

    if (xk_ring_back_attach(&b, s->page, PAGE, sizeof(req[0])) < 0)
        die("attach");
    atomic_store(&s->ready, 1);
    for (;;) {
        int n = xk_ring_back_take(&b, req, ENTRIES);
        if (n == XK_EAGAIN) {
            if (atomic_load_explicit(&s->stop, memory_order_relaxed))
                return;
            if (!s->notified)
                look_again(&chance);
            else if (xk_ring_back_rearm(&b) == 0)
                sleep_on(s->to_back);
            continue;
        }
        if (n < 0)
            die("take");
        compose_responses(&b, req, (uint32_t)n);
        if (xk_ring_back_publish(&b) && s->notified)
            wake(s->to_front);
    }
}

/* --- the macros -------------------------------------------------------------------------------------------------- */

static void macros_front(struct slice *s)
{
    bench_front_ring_t f;
    uint64_t next = 0, sum = 0, turn = 0, wakes = 0;
    uint32_t chance = 1;
    int over = 0, more, notify;

    FRONT_RING_INIT(&f, (bench_sring_t *)s->page, PAGE);
    while (!over || f.rsp_cons != f.req_prod_pvt) {
        uint32_t room = RING_FREE_REQUESTS(&f), n = s->batch ? (room == RING_SIZE(&f) ? s->batch : 0) : room;
        RING_IDX prod;
        if (n && !over) {
            for (uint32_t i = 0; i < n; i++) {
                struct request *r = RING_GET_REQUEST(&f, f.req_prod_pvt++);
                r->id = next++;
                r->argument = 0;
            }
            notify = 0;
            if (s->impl == BARE)
                RING_PUSH_REQUESTS(&f);
            else
                RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&f, notify);
            if (notify && s->notified) {
                wakes++;
                wake(s->to_back);
            }
        }
        prod = *(volatile RING_IDX *)&f.sring->rsp_prod;
        if (prod == f.rsp_cons) {
            if (!s->notified) {
                look_again(&chance);
                continue;
            }
            RING_FINAL_CHECK_FOR_RESPONSES(&f, more);
            if (!more)
                sleep_on(s->to_front);
            continue;
        }
        xen_rmb();
        if (RING_RESPONSE_PROD_OVERFLOW(&f, prod))
            die("overflow");
        while (f.rsp_cons != prod) {
            struct response r;
            RING_COPY_RESPONSE(&f, f.rsp_cons++, &r);
            sum += r.id;
        }
        if ((++turn & 63) == 0 && bench_now() >= s->end)
            over = 1;
    }
    if (sum != next * (next - 1) / 2)
        die("sum");
    s->requests = next;
    s->wakes = wakes;
}

static void macros_answer(bench_back_ring_t *b, RING_IDX prod)
{
    while (b->req_cons != prod) {
        struct request r;
        struct response *a;
        RING_COPY_REQUEST(b, b->req_cons++, &r);
        a = RING_GET_RESPONSE(b, b->rsp_prod_pvt++);
        a->id = r.id;
        a->result = r.argument + 1;
    }
}

static void macros_back(struct slice *s)
{
    bench_back_ring_t b;
    uint32_t chance = 2;
    int more, notify;

    BACK_RING_INIT(&b, (bench_sring_t *)s->page, PAGE);
    atomic_store(&s->ready, 1);
    for (;;) {
        RING_IDX prod = *(volatile RING_IDX *)&b.sring->req_prod;
        if (prod == b.req_cons) {
            if (atomic_load_explicit(&s->stop, memory_order_relaxed))
                return;
            if (!s->notified) {
                look_again(&chance);
                continue;
            }
            RING_FINAL_CHECK_FOR_REQUESTS(&b, more);
            if (!more)
                sleep_on(s->to_back);
            continue;
        }
        xen_rmb();
        if (RING_REQUEST_PROD_OVERFLOW(&b, prod))
            die("overflow");
        macros_answer(&b, prod);
        notify = 0;
        if (s->impl == BARE)
            RING_PUSH_RESPONSES(&b);
        else
            RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&b, notify);
        if (notify && s->notified)
            wake(s->to_front);
    }
}

/* --- both halves in one thread ----------------------------------------------------------------------------------- */

static uint64_t ours_single(void *page, uint64_t end, uint64_t limit)
{
    struct xk_ring_front f;
    struct xk_ring_back b;
    struct request in[BATCH];
    struct response out[BATCH];
    uint64_t next = 0, sum = 0;

    if (xk_ring_front_attach(&f, page, PAGE, sizeof(in[0])) < 0 ||
        xk_ring_back_attach(&b, page, PAGE, sizeof(in[0])) < 0)
        die("attach");
    for (uint64_t turn = 0; turn < limit; turn++) {
        int n;
        compose_requests(&f, BATCH, &next);
        (void)!xk_ring_front_publish(&f);
        n = xk_ring_back_take(&b, in, BATCH);
        compose_responses(&b, in, n > 0 ? (uint32_t)n : 0);
        (void)!xk_ring_back_publish(&b);
        n = xk_ring_front_take(&f, out, BATCH);
        for (int i = 0; i < n; i++)
            sum += out[i].id;
        if ((turn & 255) == 255 && bench_now() >= end)
            break;
    }
    if (sum != next * (next - 1) / 2)
        die("sum");
    return next;
}

static uint64_t macros_single(void *page, uint64_t end, uint64_t limit, int bare)
{
    bench_front_ring_t f;
    bench_back_ring_t b;
    uint64_t next = 0, sum = 0;
    int notify;

    FRONT_RING_INIT(&f, (bench_sring_t *)page, PAGE);
    BACK_RING_INIT(&b, (bench_sring_t *)page, PAGE);
    for (uint64_t turn = 0; turn < limit; turn++) {
        RING_IDX prod;
        for (int i = 0; i < BATCH; i++) {
            struct request *r = RING_GET_REQUEST(&f, f.req_prod_pvt++);
            r->id = next++;
            r->argument = 0;
        }
        if (bare)
            RING_PUSH_REQUESTS(&f);
        else
            RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&f, notify);
        prod = *(volatile RING_IDX *)&b.sring->req_prod;
        xen_rmb();
        if (RING_REQUEST_PROD_OVERFLOW(&b, prod))
            die("overflow");
        macros_answer(&b, prod);
        if (bare)
            RING_PUSH_RESPONSES(&b);
        else
            RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&b, notify);
        prod = *(volatile RING_IDX *)&f.sring->rsp_prod;
        xen_rmb();
        if (RING_RESPONSE_PROD_OVERFLOW(&f, prod))
            die("overflow");
        while (f.rsp_cons != prod) {
            struct response r;
            RING_COPY_RESPONSE(&f, f.rsp_cons++, &r);
            sum += r.id;
        }
        if ((turn & 255) == 255 && bench_now() >= end)
            break;
    }
    (void)notify;
    if (sum != next * (next - 1) / 2)
        die("sum");
    return next;
}

/* --- slices ------------------------------------------------------------------------------------------------------ */

static void new_ring(void *page)
{
    bench_sring_t *ring = page;
    memset(page, 0, PAGE);
    SHARED_RING_INIT(ring);
}

static void *back_thread(void *arg)
{
    struct slice *s = arg;

    bench_pin(1);
    if (s->impl == OURS)
        ours_back(s);
    else
        macros_back(s);
    return NULL;
}

static void run_pair(enum impl impl, void *page, uint32_t batch, int notified, uint64_t ms)
{
    struct slice s = {.impl = impl, .page = page, .batch = batch, .notified = notified};
    uint64_t t, cpu;
    pthread_t back;

    new_ring(page);
    s.to_front = eventfd(0, EFD_CLOEXEC);
    s.to_back = eventfd(0, EFD_CLOEXEC);
    if (s.to_front < 0 || s.to_back < 0 || pthread_create(&back, NULL, back_thread, &s))
        die("set-up");
    while (!atomic_load(&s.ready))
        sched_yield();
    cpu = bench_cpu();
    t = bench_now();
    s.end = t + ms * 1000000u;
    if (impl == OURS)
        ours_front(&s);
    else
        macros_front(&s);
    t = bench_now() - t;
    cpu = bench_cpu() - cpu;
    atomic_store(&s.stop, 1);
    wake(s.to_back);
    pthread_join(back, NULL);
    close(s.to_front);
    close(s.to_back);
    printf("impl=%s rate=%.0f cpu_ns=%.3f wakes=%.4f\n", impl_name[impl], (double)s.requests * 1e9 / (double)t,
           (double)cpu / (double)s.requests, (double)s.wakes / (double)s.requests);
}

static uint64_t run_single(enum impl impl, void *page, uint64_t end, uint64_t limit)
{
    new_ring(page);
    return impl == OURS ? ours_single(page, end, limit) : macros_single(page, end, limit, impl == BARE);
}

int main(int argc, char **argv)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *mode = argc > 2 ? argv[1] : "", *what = argc > 2 ? argv[2] : "";
    uint64_t ms = argc > 3 ? strtoull(argv[3], NULL, 10) : 50;
    int rounds = argc > 4 ? atoi(argv[4]) : 5, notified = strcmp(mode, "notified") == 0;

    if (page == MAP_FAILED)
        die("mmap");
    bench_pin(0);
    bench_realtime();
    if (strcmp(mode, "count") == 0) {
        for (int i = 0; i < IMPLS; i++)
            if (strcmp(what, impl_name[i]) == 0)
                printf("requests=%llu\n", (unsigned long long)run_single((enum impl)i, page, UINT64_MAX, ms));
        return 0;
    }
    if (strcmp(mode, "polled") != 0 && !notified && strcmp(mode, "single") != 0) {
        fprintf(stderr, "use: ring_bench polled|notified|single 1|32|full [MS [ROUNDS]]\n"
                        "     ring_bench count ours|macros|bare N\n");
        return 2;
    }
    for (int r = 0; r < rounds; r++)
        for (int k = 0; k < IMPLS; k++) {
            enum impl impl = (enum impl)((k + r) % IMPLS);
            if (notified && impl == BARE)
                continue;
            if (strcmp(mode, "single") == 0) {
                uint64_t cpu = bench_cpu(), t = bench_now();
                uint64_t n = run_single(impl, page, t + ms * 1000000u, UINT64_MAX);
                t = bench_now() - t;
                cpu = bench_cpu() - cpu;
                printf("impl=%s rate=%.0f cpu_ns=%.3f\n", impl_name[impl], (double)n * 1e9 / (double)t,
                       (double)cpu / (double)n);
            } else {
                run_pair(impl, page, strcmp(what, "full") == 0 ? 0 : (uint32_t)atoi(what), notified, ms);
            }
            fflush(stdout);
        }
    return 0;
}
