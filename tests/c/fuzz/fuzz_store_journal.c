/* Arbitrary bytes as the changes in a journal. With an even first byte they are what a batch has in it, with the right
 * checksum; else they are batches. They follow the state of a small store. What is taken must leave a sound store,
 * whose connections recover wherever their rings say they are, and which can be saved and loaded again; all memory
 * returns. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "store/record.h"
#include "tests/c/fuzz/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t held;

static void *counting(void *ctx, void *p, size_t old, size_t size)
{
    (void)ctx;
    held += size - (p ? old : 0);
    if (size)
        return realloc(p, size);
    free(p);
    return NULL;
}

static const xk_alloc alloc = {counting, NULL};

static struct xk_store_conn *adopt(void *arg, const struct xk_store_link *link)
{
    return link->domid == 13 ? NULL : xk_store_conn_open(arg, link->domid, link->privileged, NULL);
}

static void closed(void *arg, struct xk_store_conn *c)
{
    (void)arg;
    xk_store_conn_close(c);
}

static int describe(void *arg, struct xk_store_conn *c, struct xk_store_link *link)
{
    (void)arg;
    link->domid = xk_store_conn_domid(c);
    link->kind = link->domid ? XK_STORE_LINK_RING : XK_STORE_LINK_SOCKET;
    return 0;
}

static uint8_t state[1 << 16], saved[1 << 20], batch[1 << 17];
static size_t state_bytes, saved_bytes;

static int keep(void *arg, const void *bytes, size_t n)
{
    (void)arg;
    if (saved_bytes + n > sizeof(saved))
        return XK_ENOSPC;
    memcpy(saved + saved_bytes, bytes, n);
    saved_bytes += n;
    return 0;
}

static int save(struct xk_store_server *s)
{
    struct xk_store_saver saver = {.write = keep, .link = describe, .listener = -1, .events = -1};

    saved_bytes = 0;
    return xk_store_server_save(s, &saver);
}

static void ask(struct xk_store_conn *c, uint32_t type, const char *p, size_t n)
{
    uint8_t packet[128];
    struct xk_store_header h = {type, 1, 0, (uint32_t)n};
    const uint8_t *out;

    xk_store_header_put(&h, packet);
    memcpy(packet + XK_STORE_HEADER_SIZE, p, n);
    must(xk_store_conn_input(c, packet, XK_STORE_HEADER_SIZE + n) == (long)(XK_STORE_HEADER_SIZE + n));
    xk_store_conn_sent(c, xk_store_conn_output(c, &out));
}

/* Domains 1 and 2, whose connections have the numbers 2 and 3, a watch, some nodes. */
static void first_state(void)
{
    struct xk_store_server *s = xk_store_server_create(&alloc, NULL, NULL, NULL);
    struct xk_store_conn *zero = xk_store_conn_open(s, 0, 1, NULL);
    struct xk_store_conn *one = xk_store_conn_open(s, 1, 0, NULL), *two = xk_store_conn_open(s, 2, 0, NULL);

    must(xk_store_domain_introduce(s, 1) == 0 && xk_store_domain_introduce(s, 2) == 0);
    ask(zero, XK_STORE_MKDIR, "/local/domain/1", 16);
    ask(zero, XK_STORE_SET_PERMS, "/local/domain/1\0n1\0r2", 22);
    ask(zero, XK_STORE_MKDIR, "/local/domain/2", 16);
    ask(zero, XK_STORE_SET_PERMS, "/local/domain/2\0n2", 19);
    ask(one, XK_STORE_WRITE, "data/a/b\0value", 14);
    ask(one, XK_STORE_WATCH, "data\0t", 7);
    ask(two, XK_STORE_WATCH, "/local/domain/1\0t", 18);
    must(save(s) == 0 && saved_bytes <= sizeof(state));
    memcpy(state, saved, state_bytes = saved_bytes);
    xk_store_server_destroy(s);
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static size_t make_batch(const uint8_t *p, size_t n)
{
    n &= ~(size_t)7;
    memset(batch, 0, 16);
    memcpy(batch + 16, p, n);
    put32(batch, XK__REC_BATCH);
    put32(batch + 4, (uint32_t)n + 8);
    put32(batch + 8, xk__crc32(batch + 16, n));
    return n + 16;
}

static void check(struct xk_store_server *s)
{
    static const uint8_t question[] = {0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 'c', 'h', 'e', 'c', 'k', 0};
    struct xk_store_conn *c = xk_store_conn_open(s, 0, 1, NULL);
    const uint8_t *p;

    must(c && xk_store_conn_input(c, question, sizeof(question)) == sizeof(question));
    must(xk_store_conn_output(c, &p) == 19 && memcmp(p + 16, "OK", 3) == 0);
    xk_store_conn_close(c);
}

/* But for the rest of one that was begun, there are whole packets, and it knows where they end. */
static void check_output(struct xk_store_conn *c)
{
    const uint8_t *p;
    size_t n = xk_store_conn_output(c, &p), at = xk__conn_partial(c);
    struct xk_store_header h;

    must(at <= n && xk_store_conn_whole(c, n) == n);
    while (at < n) {
        must(n - at >= XK_STORE_HEADER_SIZE && xk_store_header_get(&h, p + at) == 0);
        must(n - at >= XK_STORE_HEADER_SIZE + h.len);
        at += XK_STORE_HEADER_SIZE + h.len;
        must(at == n || xk_store_conn_whole(c, at) == at);
    }
}

/* Each goes on from indices of the input's choice, and its output is drained in pieces. */
static void recover(struct xk_store_server *s, uint32_t consumed, uint32_t produced)
{
    static const uint8_t more[64] = {2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, '/', 0};
    const uint8_t *p;

    XK_LIST_EACH(l, &s->conns)
    {
        struct xk_store_conn *c = XK_CONTAINER(l, struct xk_store_conn, link);
        size_t n;
        xk_store_conn_recover(c, 1, consumed, produced);
        check_output(c);
        while ((n = xk_store_conn_output(c, &p))) {
            size_t whole = xk_store_conn_whole(c, 1000);
            must(whole <= n && whole <= 1000);
            xk_store_conn_sent(c, n > 700 ? 700 : n);
        }
        (void)!xk_store_conn_input(c, more, sizeof(more));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xk_store_server *s;
    struct xk_store_loader loader = {.conn = adopt, .closed = closed};
    struct xk_diag diag = {0};
    size_t n, used = 0;
    int rc;

    if (!state_bytes)
        first_state();
    if (size < 9 || size > sizeof(batch) - 16)
        return 0;
    s = xk_store_server_create(&alloc, NULL, NULL, NULL);
    loader.arg = s;
    must(xk_store_server_load(s, state, state_bytes, &loader, NULL) == 0);
    n = data[0] & 1 ? size - 9 : make_batch(data + 9, size - 9);
    rc = xk_store_server_replay(s, data[0] & 1 ? data + 9 : batch, n, &loader, &used, &diag);
    must(used <= n && (rc == 0 || (rc == XK_EPROTO && diag.text[0])));
    if (rc == 0) {
        must(data[0] & 1 || used == n);
        check(s);
        recover(s, (uint32_t)data[1] | (uint32_t)data[2] << 8 | (uint32_t)data[3] << 24,
                (uint32_t)data[5] | (uint32_t)data[6] << 8 | (uint32_t)data[7] << 24);
        check(s);
        rc = save(s);
        must(rc == 0 || rc == XK_ENOSPC || rc == XK_E2BIG);
    }
    xk_store_server_destroy(s);
    must(held == 0);
    return 0;
}
