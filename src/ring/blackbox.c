/* The last records of a program, for who reads them after its death. The writer keeps its indices privately, so that
 * nothing that is written into the area leads it astray; lengths of records it reads back, and checks.
 * SPDX-License-Identifier: MIT */
#include <xenkit/blackbox.h>

#include "base/shared.h"

enum { VERSION = 1, ALIGN = 8, BEGIN = 16, END = 24 };
static const uint8_t magic[4] = {'X', 'K', 'B', 'B'};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/* An index is one aligned store or load, so that no reader sees half of it. */
static void store_index(volatile uint8_t *area, size_t at, uint64_t v)
{
    xk_shared_store_release64((volatile uint64_t *)(volatile void *)(area + at), xk_shared_le64(v));
}

static uint64_t load_index(const volatile uint8_t *area, size_t at)
{
    return xk_shared_le64(xk_shared_load_acquire64((const volatile uint64_t *)(const volatile void *)(area + at)));
}

static size_t padded(size_t n) { return XK_BLACKBOX_RECORD + ((n + ALIGN - 1) & ~(size_t)(ALIGN - 1)); }

/* FNV-1a over the record's place, its length and its bytes: a torn or stale record does not pass, a liar may. */
static uint32_t checksum(uint64_t place, const uint8_t *data, size_t n)
{
    uint32_t h = 2166136261u;

    h = (h ^ (uint32_t)place) * 16777619u;
    h = (h ^ (uint32_t)(place >> 32)) * 16777619u;
    h = (h ^ (uint32_t)n) * 16777619u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ data[i]) * 16777619u;
    return h;
}

static volatile uint8_t *data_of(const struct xk_blackbox *b) { return b->area + XK_BLACKBOX_HEADER; }

static void copy_in(struct xk_blackbox *b, uint64_t place, const uint8_t *src, size_t n)
{
    size_t at = (size_t)(place % b->size), piece = b->size - at < n ? b->size - at : n;

    xk_shared_copy_in(data_of(b) + at, src, piece);
    if (piece < n)
        xk_shared_copy_in(data_of(b), src + piece, n - piece);
}

static int size_is_good(size_t bytes)
{
    return bytes % ALIGN == 0 && bytes >= XK_BLACKBOX_HEADER + padded(1) && bytes <= UINT32_MAX;
}

static void write_header(struct xk_blackbox *b)
{
    uint8_t head[XK_BLACKBOX_HEADER] = {0};

    memcpy(head, magic, sizeof(magic));
    put32(head + 4, VERSION);
    put32(head + 8, (uint32_t)b->size);
    xk_shared_copy_in(b->area, head, sizeof(head));
    store_index(b->area, BEGIN, b->begin);
    store_index(b->area, END, b->end);
}

int xk_blackbox_init(struct xk_blackbox *b, void *area, size_t bytes)
{
    if (!size_is_good(bytes))
        return XK_EINVAL;
    b->area = area;
    b->size = bytes - XK_BLACKBOX_HEADER;
    b->begin = b->end = b->dropped = 0;
    write_header(b);
    return 0;
}

void xk_blackbox_move(struct xk_blackbox *b, void *area)
{
    volatile uint8_t *old = data_of(b);

    b->area = area;
    xk_shared_copy_in(data_of(b), (const void *)(uintptr_t)old, b->size);
    write_header(b);
}

/* The oldest records go until (n) bytes are free. */
static void make_room(struct xk_blackbox *b, size_t n)
{
    uint64_t begin = b->begin;

    while (b->end + n - begin > b->size) {
        uint8_t head[4];
        size_t len;
        xk_shared_copy_out(head, data_of(b) + begin % b->size, sizeof(head));
        len = padded(get32(head));
        if (len > b->end - begin) /* somebody wrote wildly here: all that was goes */
            len = (size_t)(b->end - begin);
        begin += len;
        b->dropped++;
    }
    if (begin == b->begin)
        return;
    b->begin = begin;
    store_index(b->area, BEGIN, begin);
    xk_shared_fence(); /* it is seen before what it covered is overwritten */
}

int xk_blackbox_put(struct xk_blackbox *b, const void *data, size_t n)
{
    uint8_t head[XK_BLACKBOX_RECORD];

    if (n == 0)
        return XK_EINVAL;
    if (n > b->size || padded(n) > b->size)
        return XK_E2BIG;
    make_room(b, padded(n));
    put32(head, (uint32_t)n);
    put32(head + 4, checksum(b->end, data, n));
    copy_in(b, b->end, head, sizeof(head));
    copy_in(b, b->end + sizeof(head), data, n);
    b->end += padded(n);
    store_index(b->area, END, b->end);
    return 0;
}

/* --- reading --- */

static int header_is_good(const volatile uint8_t *area, size_t bytes)
{
    uint8_t head[12];

    xk_shared_copy_out(head, area, sizeof(head));
    return memcmp(head, magic, sizeof(magic)) == 0 && get32(head + 4) == VERSION &&
           get32(head + 8) == bytes - XK_BLACKBOX_HEADER;
}

static int indices_are_good(uint64_t begin, uint64_t end, size_t size)
{
    return begin <= end && end - begin <= size && begin % ALIGN == 0 && end % ALIGN == 0;
}

int xk_blackbox_copy(struct xk_blackbox_reader *r, const volatile void *area, size_t bytes, void *copy)
{
    const volatile uint8_t *from = area, *data = from + XK_BLACKBOX_HEADER;
    size_t size = bytes - XK_BLACKBOX_HEADER, at, piece;
    uint64_t begin, end, later;

    r->size = r->at = 0;
    if (!size_is_good(bytes) || !header_is_good(from, bytes))
        return XK_EPEER;
    end = load_index(from, END);
    begin = load_index(from, BEGIN);
    if (!indices_are_good(begin, end, size))
        return begin > end && begin % ALIGN == 0 ? XK_EAGAIN : XK_EPEER; /* it wrote a whole round in between */
    at = (size_t)(begin % size);
    r->size = (size_t)(end - begin);
    piece = size - at < r->size ? size - at : r->size;
    xk_shared_copy_out(copy, data + at, piece);
    xk_shared_copy_out((uint8_t *)copy + piece, data, r->size - piece);
    xk_shared_fence();
    later = load_index(from, BEGIN); /* what a living writer overwrote meanwhile */
    if (later < begin || later % ALIGN)
        return XK_EPEER;
    r->at = later - begin < r->size ? (size_t)(later - begin) : r->size;
    r->copy = copy;
    r->begin = begin;
    return 0;
}

int xk_blackbox_next(struct xk_blackbox_reader *r, const uint8_t **data)
{
    size_t left = r->size - r->at, n;
    const uint8_t *p;

    if (left == 0)
        return 0;
    p = r->copy + r->at;
    n = left < XK_BLACKBOX_RECORD ? 0 : get32(p);
    if (n == 0 || n > left - XK_BLACKBOX_RECORD || padded(n) > left ||
        get32(p + 4) != checksum(r->begin + r->at, p + XK_BLACKBOX_RECORD, n)) {
        r->at = r->size;
        return XK_EPEER;
    }
    *data = p + XK_BLACKBOX_RECORD;
    r->at += padded(n);
    return (int)n;
}
