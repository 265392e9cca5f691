/* Arbitrary bytes as a migration stream. What is taken must be a sound store, which can be saved and loaded again; all
 * memory returns. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <xenkit/store_state.h>

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

static struct xk_store_conn *adopt(void *arg, const struct xk_store_link *link)
{
    return link->domid == 13 ? NULL : xk_store_conn_open(arg, link->domid, link->privileged, NULL);
}

static int describe(void *arg, struct xk_store_conn *c, struct xk_store_link *link)
{
    (void)arg;
    link->domid = xk_store_conn_domid(c);
    link->kind = link->domid ? XK_STORE_LINK_RING : XK_STORE_LINK_SOCKET;
    return 0;
}

static uint8_t saved[1 << 20];
static size_t saved_bytes;

static int keep(void *arg, const void *bytes, size_t n)
{
    (void)arg;
    if (saved_bytes + n > sizeof(saved))
        return XK_ENOSPC;
    memcpy(saved + saved_bytes, bytes, n);
    saved_bytes += n;
    return 0;
}

static void check(struct xk_store_server *s)
{
    static const uint8_t ask[] = {0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 'c', 'h', 'e', 'c', 'k', 0};
    struct xk_store_conn *c = xk_store_conn_open(s, 0, 1, NULL);
    const uint8_t *p;

    must(c && xk_store_conn_input(c, ask, sizeof(ask)) == sizeof(ask));
    must(xk_store_conn_output(c, &p) == 19 && memcmp(p + 16, "OK", 3) == 0);
    xk_store_conn_close(c);
}

static int load(const uint8_t *data, size_t size, int again)
{
    struct xk_store_server *s = xk_store_server_create(&alloc, NULL, NULL, NULL);
    struct xk_store_loader loader = {.conn = adopt, .arg = s};
    struct xk_store_saver saver = {.write = keep, .link = describe, .listener = -1, .events = -1};
    struct xk_diag diag = {0};
    int rc;

    must(s != NULL);
    rc = xk_store_server_load(s, data, size, &loader, &diag);
    must(rc == 0 || diag.text[0]);
    if (rc == 0) {
        check(s);
        if (!again) {
            saved_bytes = 0;
            rc = xk_store_server_save(s, &saver);
            must(rc == 0 || rc == XK_ENOSPC || rc == XK_E2BIG);
        }
    }
    xk_store_server_destroy(s);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (load(data, size, 0) == 0)
        must(load(saved, saved_bytes, 1) == 0);
    must(held == 0);
    return 0;
}
