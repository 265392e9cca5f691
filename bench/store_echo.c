/* The limit of a store over a unix socket on this machine: takes the requests of store_load and gives answers of the
 * right type and size, but keeps and looks up nothing. In each turn all that came is received before anything is sent,
 * which is the cheapest order. What is left is the kernel's: receive, send, epoll_wait. As our store does, it looks out
 * for the next requests of a client that has several under way, and takes those from the socket with their answers.
 *
 *     store_echo SOCKET [paths]
 *
 * With "paths" it does the least that any store has to: of each request with a path it finds out whether that is there,
 * in one flat table of whole paths, without a tree, values, permissions or transactions. Nothing is ever removed.
 *
 * SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>

#include "bench.h"

enum { TURN = 64, VALUE = 100, ROOM = 16384, FDS = 4096, HASTY = 8, SPIN_NS = 30000, SLOTS = 1 << 20 };

static int hasty[FDS], last;
static struct slot {
    uint64_t hash; /* 0: free */
    char *path;
} * slots; /* NULL: no paths are kept */
static size_t nkept;

static struct {
    int fd;
    size_t n, owed; /* what was looked at, and is in the socket still */
    char out[ROOM];
} answers[TURN];

/* The answer to the request at (p), to (out): its length, 0 if the request is not whole. (taken) is the request's. */
static size_t answer(const char *p, size_t n, char *out, size_t *taken)
{
    struct xsd_sockmsg h;

    if (n < sizeof(h))
        return 0;
    memcpy(&h, p, sizeof(h));
    *taken = sizeof(h) + h.len;
    if (n - sizeof(h) < h.len)
        return 0;
    h.len = h.type == XS_READ ? VALUE : h.type == XS_TRANSACTION_START ? sizeof("1") : sizeof("OK");
    memcpy(out, &h, sizeof(h));
    memset(out + sizeof(h), 'v', h.len);
    if (h.len != VALUE)
        memcpy(out + sizeof(h), h.type == XS_TRANSACTION_START ? "1" : "OK", h.len);
    return sizeof(h) + h.len;
}

static uint64_t hash_of(const char *p, size_t n)
{
    uint64_t h = n, word;

    for (; n >= sizeof(word); p += sizeof(word), n -= sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    word = 0;
    memcpy(&word, p, n);
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return (h ^ h >> 32) | 1;
}

/* The slot where a path is, or would be. */
static struct slot *slot_of(const char *path, size_t n)
{
    uint64_t hash = hash_of(path, n);
    size_t i = hash % SLOTS;

    while (slots[i].hash && (slots[i].hash != hash || memcmp(slots[i].path, path, n) != 0 || slots[i].path[n]))
        i = (i + 1) % SLOTS;
    return &slots[i];
}

/* A path that is written, and the directories above it: one look-up if it is there. */
static void keep(const char *path, size_t n)
{
    struct slot *slot;

    while (n > 1 && !(slot = slot_of(path, n))->path && nkept < SLOTS / 2) {
        slot->path = strndup(path, n);
        slot->hash = hash_of(path, n);
        nkept++;
        while (n && path[n - 1] != '/')
            n--;
        n -= n > 0;
    }
}

/* Is the path of the request at (p) there? Of those that have none, which are transactions', nothing is asked. */
static bool is_there(const char *p)
{
    const char *path = p + sizeof(struct xsd_sockmsg);
    struct xsd_sockmsg h;
    size_t n;

    memcpy(&h, p, sizeof(h));
    n = strnlen(path, h.len);
    if (n < 2)
        return true;
    if (h.type != XS_WRITE && h.type != XS_MKDIR)
        return slot_of(path, n)->path != NULL;
    keep(path, n);
    return true;
}

/* Requests come whole, as store_load waits for each answer. */
static void take(int fd, int i)
{
    static char in[ROOM];
    int peek = last == fd && hasty[fd], count = 0;
    ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT | (peek ? MSG_PEEK : 0));
    size_t at = 0, taken = 0, more;

    last = fd;
    answers[i].fd = fd;
    answers[i].n = 0;
    answers[i].owed = peek && n > 0 ? (size_t)n : 0;
    if (n <= 0)
        close(fd);
    while (n > 0 && at < (size_t)n && answers[i].n + sizeof(struct xsd_sockmsg) + VALUE <= ROOM) {
        more = answer(in + at, (size_t)n - at, answers[i].out + answers[i].n, &taken);
        if (!more)
            break;
        if (slots && !is_there(in + at))
            memcpy(answers[i].out + answers[i].n + sizeof(struct xsd_sockmsg), "NO", 2); /* where others say OK */
        at += taken;
        answers[i].n += more;
        count++;
    }
    hasty[fd] = count > 1 ? HASTY : hasty[fd] ? hasty[fd] - 1 : 0;
}

static void give(int i)
{
    static char in[ROOM];

    if (answers[i].n)
        (void)!send(answers[i].fd, answers[i].out, answers[i].n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (answers[i].n && answers[i].owed)
        (void)!recv(answers[i].fd, in, answers[i].owed, MSG_DONTWAIT);
}

static int wait_for(int ep, struct epoll_event *e)
{
    uint64_t end = bench_now() + SPIN_NS;
    int n = 0;

    if (hasty[last])
        do
            n = epoll_wait(ep, e, TURN, 0);
        while (n == 0 && bench_now() < end);
    return n ? n : epoll_wait(ep, e, TURN, -1);
}

int main(int argc, char **argv)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct epoll_event e[TURN] = {{.events = EPOLLIN}};
    int ep = epoll_create1(EPOLL_CLOEXEC), listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", argc > 1 ? argv[1] : "");
    if (argc > 2 && strcmp(argv[2], "paths") == 0)
        slots = calloc(SLOTS, sizeof(*slots));
    if (argc < 2 || (argc > 2 && !slots) || bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        listen(listener, 1024) < 0) {
        perror("store_echo");
        return 1;
    }
    e[0].data.fd = listener;
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e[0]);
    for (;;) {
        int n = wait_for(ep, e);
        for (int i = 0; i < n; i++) {
            answers[i].n = 0;
            if (e[i].data.fd == listener) {
                struct epoll_event c = {.events = EPOLLIN, .data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)};
                epoll_ctl(ep, EPOLL_CTL_ADD, c.data.fd, &c);
            } else {
                take(e[i].data.fd, i);
            }
        }
        for (int i = 0; i < n; i++)
            give(i);
    }
}
