/* Load for a xenstore server over its unix socket, at the level of the wire (xen/io/xs_wire.h).
 *
 *     store_load SOCKET PID WORKLOAD CONNECTIONS [MS]
 *
 * WORKLOAD: read, write (100 bytes), mkrm (mkdir and rm), txn (5 reads and 5 writes), gathered (the same, all behind
 * its start sent by one call), list (1000 children), or watch: one writer and CONNECTIONS watchers, from the write to
 * the last event. But for gathered each connection has one request under way, and its own paths, so that no transaction
 * conflicts. PID is the server: its CPU time, with that of its children, is
 * counted from the end of the warm-up. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bench.h"

#include <xen/io/xs_wire.h>

enum { CONNECTIONS = 1024, VALUE = 100, CHILDREN = 1000, SAMPLES = 1 << 20, TXN_OPS = 10, ROOM = 8192 };

struct connection {
    int fd, index;
    unsigned step; /* within an operation of several requests */
    uint32_t tx;
    uint64_t since;
    size_t got;
    char in[ROOM];
};

static const char *workload;
static char value[VALUE];
static uint64_t samples[SAMPLES], operations, retries, sampled;
static struct connection conn[CONNECTIONS];
static uint32_t next_id;
static char out[2 * (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)];
static size_t to_send;
static int gathering; /* until it ends nothing is sent */

static void die(const char *what)
{
    fprintf(stderr, "store_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- wire -------------------------------------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        die(path);
    return fd;
}

/* (n) bytes of (text), its last NUL among them where the request has one, then (m) of (more). */
static void send_request(struct connection *c, uint32_t type, uint32_t tx, const char *text, size_t n, const char *more,
                         size_t m)
{
    struct xsd_sockmsg h = {type, ++next_id, tx, (uint32_t)(n + m)};

    memcpy(out + to_send, &h, sizeof(h));
    memcpy(out + to_send + sizeof(h), text, n);
    if (m)
        memcpy(out + to_send + sizeof(h) + n, more, m);
    to_send += sizeof(h) + n + m;
    if (gathering)
        return;
    if (send(c->fd, out, to_send, MSG_NOSIGNAL) != (ssize_t)to_send)
        die("send");
    to_send = 0;
}

/* A whole message at the front of (c)'s buffer: its length, or 0. */
static size_t message(const struct connection *c, struct xsd_sockmsg *h)
{
    if (c->got < sizeof(*h))
        return 0;
    memcpy(h, c->in, sizeof(*h));
    if (h->len > XENSTORE_PAYLOAD_MAX) {
        errno = EPROTO;
        die("reply");
    }
    return c->got >= sizeof(*h) + h->len ? sizeof(*h) + h->len : 0;
}

static void receive(struct connection *c)
{
    ssize_t n = recv(c->fd, c->in + c->got, sizeof(c->in) - c->got, 0);

    if (n <= 0)
        die("server closed");
    c->got += (size_t)n;
}

static void drop(struct connection *c, size_t n)
{
    c->got -= n;
    memmove(c->in, c->in + n, c->got);
}

static void complain(const struct connection *c, const struct xsd_sockmsg *h, const char *what)
{
    fprintf(stderr, "store_load: %s: server answers %.*s\n", what, (int)h->len, c->in + sizeof(*h));
    exit(1);
}

/* For set-up: one request, its answer awaited. */
static void call(struct connection *c, uint32_t type, const char *text, size_t n, const char *more, size_t m)
{
    struct xsd_sockmsg h;
    size_t whole;

    send_request(c, type, 0, text, n, more, m);
    for (;;) {
        while (!(whole = message(c, &h)))
            receive(c);
        if (h.type != XS_WATCH_EVENT)
            break;
        drop(c, whole);
    }
    if (h.type == XS_ERROR && type != XS_RM)
        complain(c, &h, text);
    drop(c, whole);
}

/* --- workloads --------------------------------------------------------------------------------------------------- */

static void set_up(struct connection *c, int connections)
{
    char path[64];

    call(c, XS_RM, "/bench", 7, NULL, 0);
    for (int i = 0; i < connections; i++)
        for (int k = 0; k < TXN_OPS; k++) {
            snprintf(path, sizeof(path), "/bench/c%d/%d", i, k);
            call(c, XS_WRITE, path, strlen(path) + 1, value, VALUE);
        }
    for (int i = 0; i < CHILDREN && strcmp(workload, "list") == 0; i++) {
        snprintf(path, sizeof(path), "/bench/list/%d", i);
        call(c, XS_WRITE, path, strlen(path) + 1, "", 0);
    }
}

static void begin_path(struct connection *c, uint32_t type, uint32_t tx, int k, int with_value)
{
    char path[64];
    int n = snprintf(path, sizeof(path), "/bench/c%d/%d", c->index, k);

    send_request(c, type, tx, path, (size_t)n + 1, value, with_value ? VALUE : 0);
}

static void step_txn(struct connection *c, unsigned n)
{
    if (n == 0)
        send_request(c, XS_TRANSACTION_START, 0, "", 1, NULL, 0);
    else if (n <= TXN_OPS)
        begin_path(c, n % 2 ? XS_READ : XS_WRITE, c->tx, (int)n - 1, n % 2 == 0);
    else
        send_request(c, XS_TRANSACTION_END, c->tx, "T", 2, NULL, 0);
}

/* All of a transaction behind its start. */
static void step_rest(struct connection *c)
{
    gathering = 1;
    for (unsigned n = 1; n <= TXN_OPS; n++)
        step_txn(c, n);
    gathering = 0;
    step_txn(c, TXN_OPS + 1);
}

/* Sends request number c->step of the operation. */
static void step(struct connection *c)
{
    if (c->step == 0)
        c->since = bench_now();
    switch (workload[0]) {
    case 'r':
        begin_path(c, XS_READ, 0, 0, 0);
        break;
    case 'w':
        begin_path(c, XS_WRITE, 0, 0, 1);
        break;
    case 'm':
        begin_path(c, c->step == 0 ? XS_MKDIR : XS_RM, 0, TXN_OPS, 0);
        break;
    case 'l':
        send_request(c, XS_DIRECTORY, 0, "/bench/list", 12, NULL, 0);
        break;
    case 'g':
        if (c->step == 1)
            step_rest(c);
        else if (c->step == 0)
            step_txn(c, 0);
        break;
    default: /* txn */
        step_txn(c, c->step);
    }
}

static unsigned steps(void) { return workload[0] == 'm' ? 2 : strchr("tg", workload[0]) ? TXN_OPS + 2 : 1; }

/* One answer has come. */
static void answered(struct connection *c, const struct xsd_sockmsg *h)
{
    const char *body = c->in + sizeof(*h);

    if (h->type == XS_ERROR) {
        if (c->step != TXN_OPS + 1 || strcmp(body, "EAGAIN") != 0)
            complain(c, h, workload);
        retries++;
        c->step = 0;
        return;
    }
    if (workload[0] == 'r' && h->len != VALUE)
        complain(c, h, "short value");
    if (strchr("tg", workload[0]) && c->step == 0)
        c->tx = (uint32_t)strtoul(body, NULL, 10);
    if (++c->step < steps())
        return;
    c->step = 0;
    operations++;
    if (sampled < SAMPLES)
        samples[sampled++] = bench_now() - c->since;
}

static void on_input(struct connection *c)
{
    struct xsd_sockmsg h;
    size_t whole;

    receive(c);
    while ((whole = message(c, &h))) {
        answered(c, &h);
        drop(c, whole);
        step(c);
    }
}

struct measured {
    uint64_t ns, cpu;
};

static struct measured run_requests(int connections, long pid, uint64_t ms)
{
    int ep = epoll_create1(EPOLL_CLOEXEC);
    uint64_t warm = bench_now() + 100 * 1000000u, begin = 0, cpu = 0, now;

    for (int i = 0; i < connections; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data = {.ptr = &conn[i]}};
        epoll_ctl(ep, EPOLL_CTL_ADD, conn[i].fd, &e);
        step(&conn[i]);
    }
    for (;;) {
        struct epoll_event e[64];
        int n = epoll_wait(ep, e, 64, 5000);
        if (n == 0) {
            errno = ETIMEDOUT;
            die("no answer");
        }
        for (int i = 0; i < n; i++)
            on_input(e[i].data.ptr);
        now = bench_now();
        if (!begin && now > warm) {
            operations = retries = sampled = 0;
            cpu = bench_cpu_tree(pid);
            begin = bench_now();
        } else if (begin && now - begin > ms * 1000000u) {
            break;
        }
    }
    close(ep);
    return (struct measured){now - begin, bench_cpu_tree(pid) - cpu};
}

/* --- watches ----------------------------------------------------------------------------------------------------- */

static void await_event(struct connection *c)
{
    struct xsd_sockmsg h = {0, 0, 0, 0};

    do {
        size_t whole;
        while (!(whole = message(c, &h)))
            receive(c);
        drop(c, whole);
    } while (h.type != XS_WATCH_EVENT);
}

static struct measured run_watch(struct connection *writer, int watchers, long pid, uint64_t ms)
{
    uint64_t first = bench_now(), begin = 0, cpu = 0, now = first;

    call(writer, XS_WRITE, "/bench/watched", 15, value, VALUE);
    for (int i = 0; i < watchers; i++) {
        send_request(&conn[i], XS_WATCH, 0, "/bench/watched\0token", 21, NULL, 0);
        await_event(&conn[i]); /* each watch fires once at once; the answer lies before or behind */
    }
    while (!begin || now - begin < ms * 1000000u) {
        uint64_t t = bench_now();
        if (!begin && t - first > 100 * 1000000u) {
            begin = t;
            operations = sampled = 0;
            cpu = bench_cpu_tree(pid);
            t = bench_now();
        }
        send_request(writer, XS_WRITE, 0, "/bench/watched", 15, value, VALUE);
        for (int i = 0; i < watchers; i++)
            await_event(&conn[i]);
        now = bench_now();
        if (sampled < SAMPLES)
            samples[sampled++] = now - t;
        operations++;
        while (!writer->got) /* the answer to the write */
            receive(writer);
        writer->got = 0;
    }
    return (struct measured){now - begin, bench_cpu_tree(pid) - cpu};
}

int main(int argc, char **argv)
{
    struct connection *admin = calloc(1, sizeof(*admin));
    struct measured m;
    uint64_t ms;
    int n;

    if (argc < 5 || !strchr("rwmtgl", argv[3][0])) {
        fprintf(stderr, "use: store_load SOCKET PID read|write|mkrm|txn|gathered|list|watch CONNECTIONS [MS]\n");
        return 2;
    }
    workload = argv[3];
    n = atoi(argv[4]);
    ms = argc > 5 ? strtoull(argv[5], NULL, 10) : 500;
    if (!admin || n < 1 || n > CONNECTIONS)
        return 2;
    memset(value, 'v', sizeof(value));
    admin->fd = connect_to(argv[1]);
    for (int i = 0; i < n; i++) {
        conn[i].fd = connect_to(argv[1]);
        conn[i].index = i;
    }
    set_up(admin, n);
    if (strcmp(workload, "watch") == 0)
        m = run_watch(admin, n, strtol(argv[2], NULL, 10), ms);
    else
        m = run_requests(n, strtol(argv[2], NULL, 10), ms);
    printf("rate=%.0f cpu_ns=%.0f retries=%llu ", (double)operations * 1e9 / (double)m.ns,
           (double)m.cpu / (double)(operations ? operations : 1), (unsigned long long)retries);
    printf("p50=%llu ", (unsigned long long)bench_quantile(samples, sampled, 500));
    printf("p99=%llu\n", (unsigned long long)bench_quantile(samples, sampled, 990));
    return 0;
}
