/* A ring of last words in memory that a liar writes, too. The input is a row of steps: put a record, write a header
 * word or a byte, read. The reader gives only what lies within its copy, and ends; the writer keeps to its area.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <xenkit/blackbox.h>

#include "tests/c/fuzz/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AREA = 512 };

struct input {
    const uint8_t *p;
    size_t n;
};

static uint64_t take(struct input *in, size_t bytes)
{
    uint64_t v = 0;

    for (size_t i = 0; i < bytes && in->n; i++, in->p++, in->n--)
        v |= (uint64_t)*in->p << (8 * i);
    return v;
}

static void put(struct input *in, struct xk_blackbox *b)
{
    size_t n = (size_t)take(in, 1) * 2;
    uint8_t *record = malloc(n ? n : 1);
    int r;

    must(record != NULL);
    memset(record, (int)n, n);
    r = xk_blackbox_put(b, record, n);
    must(n == 0 ? r == XK_EINVAL : r == 0 || r == XK_E2BIG);
    must(b->end - b->begin <= b->size);
    free(record);
}

static void lie(struct input *in, uint8_t *area)
{
    size_t at = (size_t)take(in, 2);

    if (at & 1) {
        area[at / 2 % AREA] = (uint8_t)take(in, 1);
    } else {
        uint64_t v = take(in, 8);
        memcpy(area + at / 2 % (XK_BLACKBOX_HEADER / 8) * 8, &v, 8);
    }
}

/* The copy is memory of its own, so that one byte read too far is seen; so is each record. */
static void read_all(const uint8_t *area)
{
    uint8_t *copy = malloc(AREA - XK_BLACKBOX_HEADER);
    struct xk_blackbox_reader r;
    const uint8_t *data;
    size_t total = 0;
    int n = xk_blackbox_copy(&r, area, AREA, copy);

    must(copy != NULL && (n == 0 || n == XK_EPEER || n == XK_EAGAIN));
    while (n == 0 && (n = xk_blackbox_next(&r, &data)) > 0) {
        must(data >= copy && data + n <= copy + AREA - XK_BLACKBOX_HEADER);
        total += (size_t)n + XK_BLACKBOX_RECORD;
        must(total <= AREA);
        n = 0;
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size < 4096 ? size : 4096};
    uint8_t *area = aligned_alloc(8, AREA);
    struct xk_blackbox b;

    must(area && xk_blackbox_init(&b, area, AREA) == 0);
    while (in.n)
        switch (take(&in, 1) % 4) {
        case 0:
        case 1:
            put(&in, &b);
            break;
        case 2:
            lie(&in, area);
            break;
        default:
            read_all(area);
        }
    read_all(area);
    free(area);
    return 0;
}
