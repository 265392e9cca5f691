/* Arbitrary bytes as requests, of a guest and of the control domain. The first byte of the input says which and how the
 * stream is cut into pieces. Afterwards the store must be sound and all memory returned. SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include <xenkit/store_server.h>

#include "tests/c/fuzz/must.h"

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
static const struct xk_store_server_ops ops = {.version = XK_STORE_SERVER_OPS_VERSION};

/* Feeds all of it, fetching the output whenever the input stops; 0 when the connection must be dropped. */
static int feed(struct xk_store_conn *c, const uint8_t *p, size_t n, size_t piece)
{
    const uint8_t *out;

    while (n) {
        size_t m = n < piece ? n : piece;
        long used = xk_store_conn_input(c, p, m);
        if (used < 0)
            return 0;
        if (used == 0 || (n & 7) == 0)
            xk_store_conn_sent(c, xk_store_conn_output(c, &out));
        p += used;
        n -= (size_t)used;
    }
    return 1;
}

static void ask(struct xk_store_conn *c, uint32_t type, const char *p, size_t n)
{
    uint8_t packet[XK_STORE_PACKET_MAX];
    struct xk_store_header h = {type, 1, 0, (uint32_t)n};

    xk_store_header_put(&h, packet);
    memcpy(packet + XK_STORE_HEADER_SIZE, p, n);
    must(xk_store_conn_input(c, packet, XK_STORE_HEADER_SIZE + n) == (long)(XK_STORE_HEADER_SIZE + n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char home[] = "/local/domain/3\0n3", check[] = "check";
    struct xk_store_server *s = xk_store_server_create(&alloc, &ops, NULL, NULL);
    struct xk_store_conn *dom0 = xk_store_conn_open(s, 0, 1, NULL), *guest = xk_store_conn_open(s, 3, 0, NULL);
    struct xk_store_conn *watcher = xk_store_conn_open(s, 0, 1, NULL);
    const uint8_t *out;
    size_t n;

    ask(dom0, XK_STORE_MKDIR, home, 16);
    ask(dom0, XK_STORE_SET_PERMS, home, sizeof(home));
    ask(watcher, XK_STORE_WATCH, "/\0t", 4);
    if (size)
        feed(data[0] & 1 ? dom0 : guest, data + 1, size - 1, data[0] & 2 ? (size_t)(data[0] >> 2) + 1 : size);
    xk_store_conn_sent(watcher, xk_store_conn_output(watcher, &out));
    ask(watcher, XK_STORE_CONTROL, check, sizeof(check));
    n = xk_store_conn_output(watcher, &out);
    must(n >= 19 && memcmp(out + n - 3, "OK", 3) == 0);
    xk_store_conn_sent(watcher, n);
    if (xk_store_domain_died(s, 3) == 0) {
        ask(watcher, XK_STORE_CONTROL, check, sizeof(check));
        n = xk_store_conn_output(watcher, &out);
        must(n >= 19 && memcmp(out + n - 3, "OK", 3) == 0);
    }
    xk_store_server_destroy(s);
    must(held == 0);
    return 0;
}
