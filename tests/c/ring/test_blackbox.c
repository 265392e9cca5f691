/* The ring of last words: what is kept is the end of what was put, whenever the writer stops, and whatever a liar does.
 * SPDX-License-Identifier: MIT */
#include <xenkit/blackbox.h>

#include "tests/c/tap.h"

enum { AREA = 1024, ROUNDS = 3000 };

static _Alignas(8) uint8_t area[AREA], copy[AREA];

/* Record (i): its number, then bytes that follow from it. */
static size_t make(uint32_t i, uint8_t *out)
{
    size_t n = 4 + (i * 2654435761u >> 8) % 180;

    memcpy(out, &i, 4);
    for (size_t k = 4; k < n; k++)
        out[k] = (uint8_t)(i * 31 + k);
    return n;
}

/* Reads all; each must be record (*first), (*first)+1, ...; returns how many. */
static int read_all(const uint8_t *from, uint32_t *first)
{
    struct xk_blackbox_reader r;
    const uint8_t *data;
    uint8_t want[256];
    int n, count = 0;

    EQ(xk_blackbox_copy(&r, from, AREA, copy), 0);
    while ((n = xk_blackbox_next(&r, &data)) > 0) {
        uint32_t number;
        memcpy(&number, data, 4);
        if (count == 0)
            *first = number;
        EQ(number, *first + (uint32_t)count);
        EQ(n, make(number, want));
        MEMEQ(data, want, (size_t)n);
        count++;
    }
    EQ(n, 0);
    return count;
}

TEST(sizes)
{
    struct xk_blackbox b;
    uint8_t big[AREA] = {0};

    EQ(xk_blackbox_init(&b, area, XK_BLACKBOX_HEADER), XK_EINVAL);
    EQ(xk_blackbox_init(&b, area, XK_BLACKBOX_HEADER + 20), XK_EINVAL);
    EQ(xk_blackbox_init(&b, area, AREA), 0);
    EQ(xk_blackbox_put(&b, big, 0), XK_EINVAL);
    EQ(xk_blackbox_put(&b, big, AREA - XK_BLACKBOX_HEADER - XK_BLACKBOX_RECORD + 1), XK_E2BIG);
    EQ(xk_blackbox_put(&b, big, SIZE_MAX), XK_E2BIG);
    EQ(xk_blackbox_put(&b, big, AREA - XK_BLACKBOX_HEADER - XK_BLACKBOX_RECORD), 0);
    EQ(xk_blackbox_put(&b, big, 1), 0);
    EQ(b.dropped, 1);
}

TEST(the_last_ones_are_there)
{
    struct xk_blackbox b;
    uint8_t record[256];
    uint32_t first = 0;

    EQ(xk_blackbox_init(&b, area, AREA), 0);
    EQ(read_all(area, &first), 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        size_t n = make(i, record);
        int count;
        EQ(xk_blackbox_put(&b, record, n), 0);
        count = read_all(area, &first);
        OK(count >= 1);
        EQ(first + (uint32_t)count, i + 1); /* the newest is the last */
        EQ(b.dropped + (uint32_t)count, i + 1);
        if (first > 0) { /* no more is dropped than need be */
            uint8_t prior[256];
            OK(AREA - XK_BLACKBOX_HEADER - (b.end - b.begin) < XK_BLACKBOX_RECORD + make(first - 1, prior) + n + 16);
        }
    }
}

/* A writer that is killed in the middle: the new begin is out, some of the bytes are, the new end is not. */
TEST(killed_anywhere)
{
    static _Alignas(8) uint8_t before[AREA], between[AREA];
    struct xk_blackbox b;
    uint8_t record[256];
    uint32_t first;

    EQ(xk_blackbox_init(&b, area, AREA), 0);
    for (uint32_t i = 0; i < 300; i++) {
        size_t n = make(i, record);
        memcpy(before, area, AREA);
        EQ(xk_blackbox_put(&b, record, n), 0);
        for (size_t cut = XK_BLACKBOX_HEADER; i > 20 && cut <= AREA; cut += 8) {
            int count;
            memcpy(between, before, AREA);
            memcpy(between + 16, area + 16, 8); /* begin */
            memcpy(between + XK_BLACKBOX_HEADER, area + XK_BLACKBOX_HEADER, cut - XK_BLACKBOX_HEADER);
            count = read_all(between, &first);
            OK(count == 0 || first + (uint32_t)count == i);
        }
    }
}

TEST(a_torn_record_ends_the_reading)
{
    struct xk_blackbox_reader r;
    struct xk_blackbox b;
    const uint8_t *data;

    EQ(xk_blackbox_init(&b, area, AREA), 0);
    EQ(xk_blackbox_put(&b, "first", 5), 0);
    EQ(xk_blackbox_put(&b, "second", 6), 0);
    area[XK_BLACKBOX_HEADER + 16 + 8] ^= 1;
    EQ(xk_blackbox_copy(&r, area, AREA, copy), 0);
    EQ(xk_blackbox_next(&r, &data), 5);
    EQ(xk_blackbox_next(&r, &data), XK_EPEER);
    EQ(xk_blackbox_next(&r, &data), 0);
}

TEST(moves_with_all_it_has)
{
    static _Alignas(8) uint8_t other[AREA];
    struct xk_blackbox b;
    uint8_t record[256];
    uint32_t first, again;
    int count;

    EQ(xk_blackbox_init(&b, area, AREA), 0);
    for (uint32_t i = 0; i < 100; i++)
        EQ(xk_blackbox_put(&b, record, make(i, record)), 0);
    count = read_all(area, &first);
    xk_blackbox_move(&b, other);
    memset(area, 0xff, AREA);
    EQ(read_all(other, &again), count);
    EQ(again, first);
    EQ(xk_blackbox_put(&b, record, make(100, record)), 0);
    count = read_all(other, &first);
    EQ(first + (uint32_t)count, 101);
}

TEST(headers_of_a_liar)
{
    static const struct {
        size_t at, n;
        uint64_t v;
    } lies[] = {{0, 1, 'Y'},        {4, 4, 2},        {8, 4, AREA},        {8, 4, 8},
                {8, 4, UINT32_MAX}, {24, 8, 1 << 20}, {24, 8, UINT64_MAX}, {16, 8, UINT64_MAX},
                {16, 8, 4},         {24, 8, 1},       {16, 8, 1 << 30}};
    struct xk_blackbox_reader r;
    struct xk_blackbox b;

    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        int e;
        EQ(xk_blackbox_init(&b, area, AREA), 0);
        EQ(xk_blackbox_put(&b, "x", 1), 0);
        memcpy(area + lies[i].at, &lies[i].v, lies[i].n);
        e = xk_blackbox_copy(&r, area, AREA, copy);
        OK(e == XK_EPEER || e == XK_EAGAIN);
    }
}

/* Lengths written back by somebody lead the writer to no other memory, and do not make it loop. */
TEST(the_writer_trusts_no_length)
{
    struct xk_blackbox b;
    uint8_t record[256];

    for (uint32_t seed = 1; seed < 200; seed++) {
        EQ(xk_blackbox_init(&b, area, AREA), 0);
        srand(seed);
        for (uint32_t i = 0; i < 50; i++) {
            EQ(xk_blackbox_put(&b, record, make(i, record)), 0);
            for (int k = 0; k < 8; k++)
                area[(size_t)rand() % AREA] = (uint8_t)rand();
            OK(b.end - b.begin <= b.size && b.begin % 8 == 0);
        }
    }
}
