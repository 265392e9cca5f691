/* Small blocks that are kept for the next of their size. SPDX-License-Identifier: MIT */
#include "store/server.h"
#include "tests/c/tap.h"

enum { MANY = 1000, MOST = 16 * 1024 };

static long held; /* bytes of blocks that the allocator behind has given */

static void *count(void *ctx, void *p, size_t old, size_t size)
{
    (void)ctx;
    held += (long)size - (p ? (long)old : 0);
    return xk_resize(xk_alloc_libc(), p, old, size);
}

static const xk_alloc outer = {count, NULL};
static struct xk__spares spares;

static void *get(void *p, size_t old, size_t size) { return xk__spare_resize(&spares, &outer, p, old, size); }

TEST(blocks_in_use_are_distinct_and_keep_what_is_in_them)
{
    static uint8_t *p[MANY];
    static size_t size[MANY];

    for (int turn = 0; turn < 50; turn++)
        for (unsigned i = 0; i < MANY; i++) {
            size_t n = 1 + (i * 7919u + (unsigned)turn * 31u) % 700;
            if (turn % 3 == 0 && p[i]) {
                OK(get(p[i], size[i], 0) == NULL);
                p[i] = NULL;
                size[i] = 0;
            }
            for (size_t k = 0; k<size[i]; k += size[i]> 1 ? size[i] - 1 : 1)
                EQ(p[i][k], (uint8_t)i);
            p[i] = get(p[i], size[i], n);
            for (size_t k = 0; k < size[i] && k < n; k++)
                EQ(p[i][k], (uint8_t)i);
            memset(p[i], (int)i, n);
            size[i] = n;
        }
    for (unsigned i = 0; i < MANY; i++)
        OK(get(p[i], size[i], 0) == NULL);
    xk__spare_free(&spares, &outer);
    EQ(held, 0);
}

TEST(what_is_kept_is_bounded)
{
    static void *p[MANY];

    for (unsigned i = 0; i < MANY; i++)
        p[i] = get(NULL, 0, 100);
    for (unsigned i = 0; i < MANY; i++)
        get(p[i], 100, 0);
    OK(held <= MOST);
    for (unsigned i = 0; i < 10; i++)
        get(get(NULL, 0, 5000), 5000, 0); /* large ones are not kept */
    OK(held <= MOST);
    xk__spare_free(&spares, &outer);
    EQ(held, 0);
}

/* The figures of a server count what is in use. */
TEST(a_server_counts_what_is_in_use)
{
    struct xk_store_server *s = xk_store_server_create(NULL, NULL, NULL, NULL);
    struct xk_store_stats before, after;
    void *p;

    xk_store_server_stats(s, &before);
    for (int i = 0; i < 2; i++) {
        p = xk_new(&s->alloc, 77);
        xk_store_server_stats(s, &after);
        EQ(after.memory, before.memory + 77);
        xk_free(&s->alloc, p, 77);
        xk_store_server_stats(s, &after);
        EQ(after.memory, before.memory);
    }
    xk_store_server_destroy(s);
}
