/* tests/c/store/kit.h - a small synchronous client for the store server, for its tests. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_STORE_KIT_H
#define XK_TESTS_STORE_KIT_H

#include <stdarg.h>

#include <xenkit/err.h>
#include <xenkit/store_server.h>

#include "tests/c/tap.h"

struct kit_event {
    char path[3200], token[64];
};

/* What the last reply was, and the events that came so far. */
struct kit {
    struct xk_store_server *server;
    struct xk_store_conn *conn;
    uint32_t tx, req_id;
    uint8_t reply[XK_STORE_PAYLOAD_MAX + 1];
    uint32_t type, len;
    struct kit_event events[64];
    unsigned nevents;
};

static inline void kit_open(struct kit *k, struct xk_store_server *s, unsigned domid)
{
    memset(k, 0, sizeof(*k));
    k->server = s;
    k->conn = xk_store_conn_open(s, domid, domid == 0, k);
    OK(k->conn != NULL);
}

/* Fetches all output; 1 if a reply was in it. */
static inline int kit_fetch(struct kit *k)
{
    const uint8_t *p;
    size_t n = xk_store_conn_output(k->conn, &p), at = 0;
    int replies = 0;

    while (at < n) {
        struct xk_store_header h;
        EQ(xk_store_header_get(&h, p + at), 0);
        OK(at + XK_STORE_HEADER_SIZE + h.len <= n);
        if (h.type == XK_STORE_WATCH_EVENT) {
            const char *path = (const char *)p + at + XK_STORE_HEADER_SIZE;
            EQ(h.req_id, 0);
            EQ(h.tx_id, 0);
            OK(k->nevents < 64);
            snprintf(k->events[k->nevents].path, sizeof(k->events[0].path), "%s", path);
            snprintf(k->events[k->nevents++].token, sizeof(k->events[0].token), "%s", path + strlen(path) + 1);
        } else {
            EQ(h.req_id, k->req_id);
            EQ(h.tx_id, k->tx);
            k->type = h.type;
            k->len = h.len;
            memcpy(k->reply, p + at + XK_STORE_HEADER_SIZE, h.len);
            k->reply[h.len] = 0;
            replies++;
        }
        at += XK_STORE_HEADER_SIZE + h.len;
    }
    xk_store_conn_sent(k->conn, n);
    OK(replies <= 1);
    return replies;
}

static inline size_t kit_packet(uint8_t *out, uint32_t type, uint32_t req, uint32_t tx, const void *p, size_t n)
{
    struct xk_store_header h = {type, req, tx, (uint32_t)n};
    xk_store_header_put(&h, out);
    if (n)
        memcpy(out + XK_STORE_HEADER_SIZE, p, n);
    return XK_STORE_HEADER_SIZE + n;
}

/* One request; 0 or the error of the reply. */
static inline int kit_call(struct kit *k, uint32_t type, const void *p, size_t n)
{
    uint8_t packet[XK_STORE_PACKET_MAX];
    size_t len = kit_packet(packet, type, ++k->req_id, k->tx, p, n);

    EQ(xk_store_conn_input(k->conn, packet, len), (long)len);
    EQ(kit_fetch(k), 1);
    if (k->type == XK_STORE_ERROR)
        return xk_store_error_code((char *)k->reply, k->len);
    EQ(k->type, type);
    return 0;
}

/* The same with strings, each sent with its NUL; ends at NULL. */
static inline int kit_do(struct kit *k, uint32_t type, ...)
{
    char payload[XK_STORE_PAYLOAD_MAX];
    size_t n = 0;
    va_list ap;
    const char *s;

    va_start(ap, type);
    while ((s = va_arg(ap, const char *))) {
        memcpy(payload + n, s, strlen(s) + 1);
        n += strlen(s) + 1;
    }
    va_end(ap);
    return kit_call(k, type, payload, n);
}

static inline int kit_write(struct kit *k, const char *path, const char *value)
{
    char payload[XK_STORE_PAYLOAD_MAX];
    size_t n = strlen(path) + 1, v = strlen(value);

    memcpy(payload, path, n);
    memcpy(payload + n, value, v);
    return kit_call(k, XK_STORE_WRITE, payload, n + v);
}

#define kit_read(k, path) kit_do(k, XK_STORE_READ, path, NULL)
#define kit_mkdir(k, path) kit_do(k, XK_STORE_MKDIR, path, NULL)
#define kit_rm(k, path) kit_do(k, XK_STORE_RM, path, NULL)
#define kit_watch(k, path, token) kit_do(k, XK_STORE_WATCH, path, token, NULL)

/* READ must succeed with this value. */
#define VALUE(k, path, want)             \
    do {                                 \
        EQ(kit_read(k, path), 0);        \
        STREQ((char *)(k)->reply, want); \
    } while (0)

static inline int kit_begin(struct kit *k)
{
    int rc;
    k->tx = 0;
    rc = kit_do(k, XK_STORE_TRANSACTION_START, "", NULL);
    if (rc == 0)
        k->tx = (uint32_t)strtoul((char *)k->reply, NULL, 10);
    return rc;
}

static inline int kit_end(struct kit *k, const char *how)
{
    int rc = kit_do(k, XK_STORE_TRANSACTION_END, how, NULL);
    k->tx = 0;
    return rc;
}

/* The child names of a DIRECTORY reply, joined by blanks. */
static inline const char *kit_list(struct kit *k, const char *path)
{
    static char joined[XK_STORE_PAYLOAD_MAX + 1];
    if (kit_do(k, XK_STORE_DIRECTORY, path, NULL))
        return "(error)";
    memcpy(joined, k->reply, k->len + 1);
    for (uint32_t i = 0; i + 1 < k->len; i++)
        if (!joined[i])
            joined[i] = ' ';
    return joined;
}

/* The next event must be this one. */
#define EVENT(k, want_path, want_token)                                                 \
    do {                                                                                \
        kit_fetch(k);                                                                   \
        OK((k)->nevents > 0);                                                           \
        STREQ((k)->events[0].path, want_path);                                          \
        STREQ((k)->events[0].token, want_token);                                        \
        memmove((k)->events, (k)->events + 1, --(k)->nevents * sizeof((k)->events[0])); \
    } while (0)

#define NO_EVENT(k)                                                                        \
    do {                                                                                   \
        kit_fetch(k);                                                                      \
        if ((k)->nevents)                                                                  \
            TAP_FAIL("unexpected event %s %s", (k)->events[0].path, (k)->events[0].token); \
    } while (0)

/* CONTROL check must say OK. */
#define SOUND(k)                                           \
    do {                                                   \
        uint32_t sound_tx = (k)->tx;                       \
        (k)->tx = 0;                                       \
        EQ(kit_do(k, XK_STORE_CONTROL, "check", NULL), 0); \
        STREQ((char *)(k)->reply, "OK");                   \
        (k)->tx = sound_tx;                                \
    } while (0)

#endif
