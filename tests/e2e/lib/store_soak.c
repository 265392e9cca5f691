/* Clients of a store's socket that notice everything: each thread sends bursts of requests and wants each reply once,
 * in order, with the value that it must have; holds transactions open for a while; and counts the events of its watch.
 *   store_soak SOCKET CONNECTIONS SECONDS         any break of a connection is a failure (live update)
 *   store_soak SOCKET CONNECTIONS SECONDS crash   connections may break; what was acknowledged must be there afterwards
 * Prints what it counted, and ends with 0 when nothing was wrong. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <xenkit/store_wire.h>

enum { BURST = 3, TRIES = 5000 };

static const char *path;
static int crash;
static double end_time;
static atomic_long requests, events, commits, conflicts, breaks, wrong;
static atomic_long slowest_us;

struct client {
    int number, fd;
    uint32_t req_id;
    long acked, sent; /* the last value that was acknowledged, and the last that was sent */
    long seen;        /* events */
    uint8_t in[65536];
    size_t have;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void complain(struct client *c, const char *fmt, ...)
{
    va_list ap;

    if (wrong++ > 20)
        return;
    va_start(ap, fmt);
    flockfile(stderr);
    fprintf(stderr, "# client %d: ", c->number);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    funlockfile(stderr);
    va_end(ap);
}

static int connect_store(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {20, 0};

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    for (int i = 0; i < TRIES; i++) {
        if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
            return fd;
        }
        usleep(2000);
    }
    close(fd);
    return -1;
}

/* -1: the connection broke. */
static int send_request(struct client *c, uint32_t type, uint32_t tx, const char *payload, size_t n)
{
    uint8_t packet[512];
    struct xk_store_header h = {type, ++c->req_id, tx, (uint32_t)n};

    xk_store_header_put(&h, packet);
    memcpy(packet + XK_STORE_HEADER_SIZE, payload, n);
    n += XK_STORE_HEADER_SIZE;
    return send(c->fd, packet, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -1;
}

/* The reply to request (id), NUL-terminated; an event before it is counted. -1: the connection broke. */
static int receive(struct client *c, uint32_t id, char *out, struct xk_store_header *h)
{
    for (;;) {
        ssize_t r;
        while (c->have >= XK_STORE_HEADER_SIZE) {
            size_t size;
            if (xk_store_header_get(h, c->in) < 0) {
                complain(c, "a header that is none");
                return -1;
            }
            size = XK_STORE_HEADER_SIZE + h->len;
            if (c->have < size)
                break;
            memcpy(out, c->in + XK_STORE_HEADER_SIZE, h->len);
            out[h->len] = '\0';
            memmove(c->in, c->in + size, c->have - size);
            c->have -= size;
            if (h->type == XK_STORE_WATCH_EVENT) {
                c->seen++;
                events++;
                continue;
            }
            if (h->req_id != id) {
                complain(c, "a reply to request %u where %u was due", h->req_id, id);
                return -1;
            }
            requests++;
            return 0;
        }
        r = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, 0);
        if (r <= 0) {
            if (r < 0 && errno == EAGAIN)
                complain(c, "no reply to request %u for 20 s", id);
            return -1;
        }
        c->have += (size_t)r;
    }
}

static int ask(struct client *c, uint32_t type, uint32_t tx, const char *payload, size_t n, char *out)
{
    struct xk_store_header h;

    if (send_request(c, type, tx, payload, n) < 0 || receive(c, c->req_id, out, &h) < 0)
        return -1;
    return h.type == XK_STORE_ERROR;
}

static size_t write_payload(char *p, struct client *c, const char *name, long value)
{
    size_t n = (size_t)sprintf(p, "/soak-%d/%d/%s", (int)getpid(), c->number, name) + 1;

    return n + (size_t)sprintf(p + n, "%ld", value);
}

/* A write, a read, a read of the other node, all at once; then the three answers. */
static int burst(struct client *c)
{
    char p[BURST][64], out[4200], want[32];
    struct xk_store_header h;
    double began = now();
    uint32_t first = c->req_id + 1;
    size_t n = write_payload(p[0], c, "v", ++c->sent);
    long us;

    sprintf(p[1], "/soak-%d/%d/v", (int)getpid(), c->number);
    sprintf(p[2], "/soak-%d/%d/v", (int)getpid(), c->number);
    if (send_request(c, XK_STORE_WRITE, 0, p[0], n) < 0 ||
        send_request(c, XK_STORE_READ, 0, p[1], strlen(p[1]) + 1) < 0 ||
        send_request(c, XK_STORE_READ, 0, p[2], strlen(p[2]) + 1) < 0)
        return -1;
    sprintf(want, "%ld", c->sent);
    for (uint32_t i = 0; i < BURST; i++) {
        if (receive(c, first + i, out, &h) < 0)
            return -1;
        if (i == 0)
            c->acked = c->sent;
        if (h.type == XK_STORE_ERROR || (i > 0 && strcmp(out, want)))
            complain(c, "request %u: '%s' where '%s' was due", first + i, out, i ? want : "OK");
    }
    us = (long)((now() - began) * 1e6);
    for (long old = slowest_us; us > old && !atomic_compare_exchange_weak(&slowest_us, &old, us);)
        ;
    return 0;
}

/* Reads and writes in a transaction that stays open for a moment. Nobody else touches the node: it must not conflict,
 * but for a crash. */
static int transaction(struct client *c)
{
    char out[4200], p[64];
    uint32_t tx;
    size_t n;
    int r = ask(c, XK_STORE_TRANSACTION_START, 0, "", 1, out);

    if (r)
        return r < 0 ? -1 : 0;
    tx = (uint32_t)strtoul(out, NULL, 10);
    n = (size_t)sprintf(p, "/soak-%d/%d/v", (int)getpid(), c->number) + 1;
    if (ask(c, XK_STORE_READ, tx, p, n, out) < 0)
        return -1;
    if (strtol(out, NULL, 10) != c->acked)
        complain(c, "in a transaction %s where %ld was due", out, c->acked);
    usleep(2000);
    n = write_payload(p, c, "t", c->acked);
    if (ask(c, XK_STORE_WRITE, tx, p, n, out) < 0)
        return -1;
    r = ask(c, XK_STORE_TRANSACTION_END, tx, "T", 2, out);
    if (r < 0)
        return -1;
    commits += r == 0;
    conflicts += r != 0;
    if (r && !crash)
        complain(c, "a transaction that nobody disturbed ended with %s", out);
    return 0;
}

/* A connection, its watch, and after a crash a look at what is there. */
static int begin(struct client *c)
{
    char p[64], out[4200];
    long v;
    int r;

    c->fd = connect_store();
    c->have = 0;
    if (c->fd < 0) {
        complain(c, "cannot connect");
        return -1;
    }
    r = ask(c, XK_STORE_READ, 0, p, (size_t)sprintf(p, "/soak-%d/%d/v", (int)getpid(), c->number) + 1, out);
    if (r < 0)
        return 1;
    v = r ? 0 : strtol(out, NULL, 10);
    if (v < c->acked || v > c->sent)
        complain(c, "%ld is there, but %ld was acknowledged and %ld sent", v, c->acked, c->sent);
    c->acked = c->sent = v > c->acked ? v : c->acked;
    sprintf(p, "/soak-%d/%d", (int)getpid(), c->number);
    memcpy(p + strlen(p) + 1, "token", 6);
    return ask(c, XK_STORE_WATCH, 0, p, strlen(p) + 7, out) < 0 ? 1 : 0;
}

static void *run(void *arg)
{
    struct client *c = arg;
    int r = begin(c), n = 0;

    while (r >= 0 && now() < end_time) {
        if (r == 0)
            r = ++n % 8 ? burst(c) : transaction(c);
        if (r == 0)
            continue;
        breaks++;
        close(c->fd);
        if (!crash) {
            complain(c, "the connection broke");
            return NULL;
        }
        r = begin(c);
    }
    if (r == 0 && c->seen == 0 && !crash)
        complain(c, "no event came");
    close(c->fd);
    return NULL;
}

int main(int argc, char **argv)
{
    int count = argc > 3 ? atoi(argv[2]) : 0;
    pthread_t *thread = calloc((size_t)count, sizeof(*thread));
    struct client *client = calloc((size_t)count, sizeof(*client));

    if (count <= 0 || !thread || !client) {
        fprintf(stderr, "store_soak SOCKET CONNECTIONS SECONDS [crash]\n");
        return 2;
    }
    path = argv[1];
    end_time = now() + atof(argv[3]);
    crash = argc > 4;
    for (int i = 0; i < count; i++) {
        client[i].number = i;
        if (pthread_create(&thread[i], NULL, run, &client[i]))
            return 2;
    }
    for (int i = 0; i < count; i++)
        pthread_join(thread[i], NULL);
    printf("requests=%ld events=%ld commits=%ld conflicts=%ld breaks=%ld wrong=%ld slowest_ms=%.1f\n", (long)requests,
           (long)events, (long)commits, (long)conflicts, (long)breaks, (long)wrong, (double)slowest_us / 1000);
    return wrong != 0;
}
