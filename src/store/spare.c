/* Small blocks that were freed, kept for the next of their size. A transaction copies the nodes on its way and drops
 * them at its end, two dozen at a time: more than the C library keeps at hand, so that it would join them and cut them
 * again. What is kept here is on nobody's account, but bounded.
 *
 * Sizes are rounded up to what fills a block of the C library, so that rounding costs no memory there.
 * SPDX-License-Identifier: MIT */
#include "store/server.h"

/* A sanitizer is to see each block that is freed. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif
#ifdef SANITIZED
enum { BYTES = 0 }; /* of one size */
#else
enum { BYTES = 16 * 1024 }; /* half a megabyte in all, if every size was in use */
#endif

enum { STEP = 16, EDGE = 8, LARGEST = (XK__SPARE_SIZES - 1) * STEP + EDGE };

struct xk__spare {
    struct xk__spare *next;
};

static size_t row(size_t size) { return (size + STEP - EDGE - 1) / STEP; }
static size_t rounded(size_t size) { return size > LARGEST ? size : row(size) * STEP + EDGE; }

static void *take(struct xk__spares *k, size_t size)
{
    struct xk__spare *p = size > LARGEST ? NULL : k->v[row(size)];

    if (!p)
        return NULL;
    k->v[row(size)] = p->next;
    k->bytes[row(size)] -= (uint32_t)rounded(size);
    return p;
}

static bool keep(struct xk__spares *k, struct xk__spare *p, size_t size)
{
    if (size > LARGEST || k->bytes[row(size)] + rounded(size) > BYTES)
        return false;
    p->next = k->v[row(size)];
    k->v[row(size)] = p;
    k->bytes[row(size)] += (uint32_t)rounded(size);
    return true;
}

void *xk__spare_resize(struct xk__spares *k, const xk_alloc *outer, void *p, size_t old, size_t size)
{
    void *q;

    if (p && size)
        return rounded(old) == rounded(size) ? p : xk_resize(outer, p, rounded(old), rounded(size));
    if (size) {
        q = take(k, size);
        return q ? q : xk_resize(outer, NULL, 0, rounded(size));
    }
    if (p && !keep(k, p, old))
        xk_free(outer, p, rounded(old));
    return NULL;
}

void xk__spare_free(struct xk__spares *k, const xk_alloc *outer)
{
    for (size_t i = 0; i < XK__SPARE_SIZES; i++)
        for (struct xk__spare *p = k->v[i], *next; p; p = next) {
            next = p->next;
            xk_free(outer, p, i * STEP + EDGE);
        }
    *k = (struct xk__spares){0};
}
