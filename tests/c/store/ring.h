/* tests/c/store/ring.h - a world of the fake platform with a store service in it, and guests that speak to it over
 * their ring pages. The guest's side is written out here, without xk_pipe: two opinions of the same ring. It needs no
 * test harness, so that fuzz targets use it, too. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_STORE_RING_H
#define XK_TESTS_STORE_RING_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenkit/fake.h>
#include <xenkit/store_service.h>

#define RING_MUST(cond)                                                    \
    do {                                                                   \
        if (!(cond)) {                                                     \
            fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, (#cond)); \
            abort();                                                       \
        }                                                                  \
    } while (0)

/* Domain 0 is the toolstack, 1 has the store, the others are guests. */
enum { RING_STORE = 1, RING_FIRST = 2, RING_DOMAINS = 5 };
enum { RING_REQ = 0, RING_RSP = 1024, RING_SIZE = 1024 };
enum { RING_REQ_CONS = 2048, RING_REQ_PROD = 2052, RING_RSP_CONS = 2056, RING_RSP_PROD = 2060, RING_ERROR_WORD = 2072 };

struct ring_guest {
    struct xk_platform *p;
    struct xk_ring_page page;
    uint32_t id; /* of the last request */
    uint8_t in[2 * XK_STORE_PACKET_MAX];
    size_t in_bytes;
    char reply[XK_STORE_PAYLOAD_MAX + 1]; /* of the last ring_call */
    uint32_t reply_bytes;
    unsigned events; /* that came meanwhile */
    char event[XK_STORE_PAYLOAD_MAX + 1];
};

struct ring_world {
    struct xk_fake *fake;
    struct xk_platform *dom[RING_DOMAINS];
    struct ring_guest guest[RING_DOMAINS];
    struct xk_loop *loop;
    struct xk_store_service *service;
};

static inline uint32_t ring_get(const struct ring_guest *g, unsigned at)
{
    return __atomic_load_n((uint32_t *)(void *)((uint8_t *)g->page.page + at), __ATOMIC_ACQUIRE);
}

static inline void ring_set(struct ring_guest *g, unsigned at, uint32_t v)
{
    __atomic_store_n((uint32_t *)(void *)((uint8_t *)g->page.page + at), v, __ATOMIC_RELEASE);
}

/* As many of (n) bytes as there is room for. */
static inline size_t ring_send(struct ring_guest *g, const uint8_t *bytes, size_t n)
{
    uint32_t prod = ring_get(g, RING_REQ_PROD), room = RING_SIZE - (prod - ring_get(g, RING_REQ_CONS));

    RING_MUST(room <= RING_SIZE);
    n = n < room ? n : room;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)g->page.page)[RING_REQ + (prod + i) % RING_SIZE] = bytes[i];
    ring_set(g, RING_REQ_PROD, prod + (uint32_t)n);
    return n;
}

static inline size_t ring_receive(struct ring_guest *g, size_t most)
{
    uint32_t cons = ring_get(g, RING_RSP_CONS), n = ring_get(g, RING_RSP_PROD) - cons;

    RING_MUST(n <= RING_SIZE);
    n = n < most ? n : (uint32_t)most;
    if (n > sizeof(g->in) - g->in_bytes)
        n = (uint32_t)(sizeof(g->in) - g->in_bytes);
    for (uint32_t i = 0; i < n; i++)
        g->in[g->in_bytes++] = ((uint8_t *)g->page.page)[RING_RSP + (cons + i) % RING_SIZE];
    ring_set(g, RING_RSP_CONS, cons + n);
    return n;
}

/* The next whole packet: its payload, with a NUL behind it, goes to (payload). 0: there is none yet. */
static inline int ring_packet(struct ring_guest *g, struct xk_store_header *h, char *payload)
{
    size_t n;

    if (g->in_bytes < XK_STORE_HEADER_SIZE)
        return 0;
    RING_MUST(xk_store_header_get(h, g->in) == 0);
    n = XK_STORE_HEADER_SIZE + h->len;
    if (g->in_bytes < n)
        return 0;
    memcpy(payload, g->in + XK_STORE_HEADER_SIZE, h->len);
    payload[h->len] = '\0';
    memmove(g->in, g->in + n, g->in_bytes - n);
    g->in_bytes -= n;
    return 1;
}

static inline size_t ring_request(uint8_t *out, uint32_t type, uint32_t id, uint32_t tx, const void *p, size_t n)
{
    struct xk_store_header h = {type, id, tx, (uint32_t)n};

    xk_store_header_put(&h, out);
    if (n)
        memcpy(out + XK_STORE_HEADER_SIZE, p, n);
    return XK_STORE_HEADER_SIZE + n;
}

static inline void ring_round(struct ring_world *w)
{
    int r = xk_loop_run_once(w->loop, XK_NOW);

    RING_MUST(r >= 0);
}

/* One request, with rounds of the service until it is answered: 0 or the error; XK_ETIMEDOUT when no answer comes. */
static inline int ring_call(struct ring_world *w, unsigned domid, uint32_t type, const void *p, size_t n)
{
    struct ring_guest *g = &w->guest[domid];
    uint8_t packet[XK_STORE_PACKET_MAX];
    size_t len = ring_request(packet, type, ++g->id, 0, p, n), sent = 0;

    for (int round = 0; round < 100; round++) {
        struct xk_store_header h;
        sent += ring_send(g, packet + sent, len - sent);
        xk_evtchn_notify(g->p, g->page.port);
        ring_round(w);
        xk_fake_advance(w->fake, XK_MS); /* it may have to wait for credit */
        ring_receive(g, sizeof(g->in));
        while (ring_packet(g, &h, g->reply)) {
            if (h.type == XK_STORE_WATCH_EVENT) {
                g->events++;
                memcpy(g->event, g->reply, h.len + 1);
                continue;
            }
            if (h.req_id != g->id)
                continue;
            g->reply_bytes = h.len;
            return h.type == XK_STORE_ERROR ? xk_store_error_code(g->reply, h.len) : 0;
        }
    }
    return XK_ETIMEDOUT;
}

/* The same with a path and, after its NUL, a text without one: WRITE. */
static inline int ring_write(struct ring_world *w, unsigned domid, const char *path, const char *value)
{
    char text[XK_STORE_PAYLOAD_MAX];
    size_t n = strlen(path) + 1, v = strlen(value);

    memcpy(text, path, n);
    memcpy(text + n, value, v);
    return ring_call(w, domid, XK_STORE_WRITE, text, n + v);
}

#define ring_text(w, domid, type, literal) ring_call(w, domid, type, literal, sizeof(literal))
#define ring_path(w, domid, type, path) ring_call(w, domid, type, path, strlen(path) + 1)

/* Domains, without a store in the world yet. */
static inline void ring_world(struct ring_world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    RING_MUST(xk_fake_create(seed, &w->fake) == 0);
    for (int i = 0; i < RING_DOMAINS; i++)
        RING_MUST(xk_fake_domain(w->fake, "domain", &w->dom[i]) == 0);
    for (unsigned i = 0; i < RING_DOMAINS; i++) {
        if (i == RING_STORE)
            continue;
        RING_MUST(xk_fake_wire(w->fake, (xk_domid)i, RING_STORE, -1) > 0);
        w->guest[i].p = w->dom[i];
        RING_MUST(xk_store_page(w->dom[i], &w->guest[i].page) == 0);
    }
    RING_MUST(xk_domain_set_virq_handler(w->dom[0], RING_STORE, XK_VIRQ_DOM_EXC) == 0);
}

static inline void ring_service(struct ring_world *w, const xk_alloc *alloc)
{
    RING_MUST(xk_loop_create(alloc, w->dom[RING_STORE], &w->loop) == 0);
    RING_MUST(xk_store_service_create(alloc, w->loop, NULL, &w->service) == 0);
}

static inline int ring_introduce(struct ring_world *w, unsigned domid)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "%u%c1%c%d", domid, 0, 0, w->guest[domid].page.port);

    return ring_call(w, 0, XK_STORE_INTRODUCE, text, (size_t)n + 1);
}

/* Domain 0 first, then the guests, each with a home of its own. */
static inline void ring_introduce_all(struct ring_world *w)
{
    RING_MUST(xk_store_service_introduce(w->service, 0, w->guest[0].page.port) == 0);
    for (unsigned i = RING_FIRST; i < RING_DOMAINS; i++) {
        char text[64];
        int n = snprintf(text, sizeof(text), "/local/domain/%u%cn%u", i, 0, i);
        RING_MUST(ring_introduce(w, i) == 0);
        RING_MUST(ring_path(w, 0, XK_STORE_MKDIR, text) == 0);
        RING_MUST(ring_call(w, 0, XK_STORE_SET_PERMS, text, (size_t)n + 1) == 0);
    }
}

static inline void ring_end(struct ring_world *w)
{
    char report[256];
    int left;

    xk_store_service_destroy(w->service);
    xk_loop_destroy(w->loop);
    left = xk_fake_destroy(w->fake, report, sizeof(report));
    (void)left; /* the guests' own pages and ports are among what is left */
}

#endif
