/* A file in memory: a table of chunks, so that growth never copies what is there, and a hole costs nothing. Bounded by
 * the size given at creation. Not durable, and not shared between threads.
 *
 * SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>

#include <xenkit/file.h>

enum { CHUNK = 64 * 1024 };

struct memory_file {
    struct xk_file base;
    xk_alloc alloc;
    uint8_t **chunks; /* NULL is a hole of zeroes */
    size_t slots;     /* of the table */
    uint64_t size, max;
};

static struct memory_file *memory_of(struct xk_file *f) { return (struct memory_file *)f; }

static size_t least(size_t a, uint64_t b) { return b < a ? (size_t)b : a; }

static int memory_read(struct xk_file *f, void *buf, size_t n, uint64_t at)
{
    struct memory_file *m = memory_of(f);
    size_t done = 0;

    if (n > INT_MAX)
        return XK_EINVAL;
    if (at >= m->size)
        return 0;
    n = least(n, m->size - at);
    while (done < n) {
        size_t i = (size_t)((at + done) / CHUNK), from = (size_t)((at + done) % CHUNK);
        size_t part = least(CHUNK - from, n - done);
        const uint8_t *chunk = i < m->slots ? m->chunks[i] : NULL;

        if (chunk)
            memcpy((uint8_t *)buf + done, chunk + from, part);
        else
            memset((uint8_t *)buf + done, 0, part);
        done += part;
    }
    return (int)n;
}

/* Room in the table for chunk (last). Doubles, so that appending stays linear. */
static int grow_table(struct memory_file *m, size_t last)
{
    size_t slots = m->slots ? m->slots : 16;
    uint8_t **table;

    if (last < m->slots)
        return 0;
    while (slots <= last)
        slots *= 2;
    table = xk_resize(&m->alloc, m->chunks, m->slots * sizeof(*table), slots * sizeof(*table));
    if (!table)
        return XK_ENOMEM;
    memset(table + m->slots, 0, (slots - m->slots) * sizeof(*table));
    m->chunks = table;
    m->slots = slots;
    return 0;
}

/* All chunks of the span exist afterwards, so that a write is all or nothing. */
static int make_chunks(struct memory_file *m, size_t first, size_t last)
{
    int r = grow_table(m, last);

    for (size_t i = first; r == 0 && i <= last; i++)
        if (!m->chunks[i] && !(m->chunks[i] = xk_new(&m->alloc, CHUNK)))
            r = XK_ENOMEM;
    return r;
}

static int memory_write(struct xk_file *f, const void *buf, size_t n, uint64_t at)
{
    struct memory_file *m = memory_of(f);
    size_t done = 0;
    int r;

    if (n > INT_MAX)
        return XK_EINVAL;
    if (at > m->max || n > m->max - at)
        return XK_ENOSPC;
    if (n == 0)
        return 0;
    r = make_chunks(m, (size_t)(at / CHUNK), (size_t)((at + n - 1) / CHUNK));
    if (r < 0)
        return r;
    while (done < n) {
        size_t from = (size_t)((at + done) % CHUNK), part = least(CHUNK - from, n - done);

        memcpy(m->chunks[(at + done) / CHUNK] + from, (const uint8_t *)buf + done, part);
        done += part;
    }
    if (m->size < at + n)
        m->size = at + n;
    return (int)n;
}

static int memory_sync(struct xk_file *f)
{
    (void)f;
    return 0;
}

static int64_t memory_size(struct xk_file *f) { return (int64_t)memory_of(f)->size; }

/* What is cut off must read as zeroes if the file grows again. */
static int memory_truncate(struct xk_file *f, uint64_t size)
{
    struct memory_file *m = memory_of(f);
    size_t keep = (size_t)((size + CHUNK - 1) / CHUNK), tail = (size_t)(size % CHUNK);

    if (size > m->max)
        return XK_ENOSPC;
    for (size_t i = keep; i < m->slots; i++) {
        xk_free(&m->alloc, m->chunks[i], CHUNK);
        m->chunks[i] = NULL;
    }
    if (tail && keep <= m->slots && m->chunks[keep - 1])
        memset(m->chunks[keep - 1] + tail, 0, CHUNK - tail);
    m->size = size;
    return 0;
}

static void memory_close(struct xk_file *f)
{
    struct memory_file *m = memory_of(f);
    xk_alloc alloc = m->alloc;

    for (size_t i = 0; i < m->slots; i++)
        xk_free(&alloc, m->chunks[i], CHUNK);
    xk_free(&alloc, m->chunks, m->slots * sizeof(*m->chunks));
    xk_free(&alloc, m, sizeof(*m));
}

static const struct xk_file_ops memory_ops = {
    .version = XK_FILE_VERSION,
    .read = memory_read,
    .write = memory_write,
    .sync = memory_sync,
    .size = memory_size,
    .truncate = memory_truncate,
    .close = memory_close,
};

int xk_file_memory(const xk_alloc *alloc, uint64_t max, struct xk_file **out)
{
    struct memory_file *m;

    *out = NULL;
    if (max > INT64_MAX)
        return XK_EINVAL;
    m = xk_new(alloc, sizeof(*m));
    if (!m)
        return XK_ENOMEM;
    m->base.ops = &memory_ops;
    m->alloc = alloc ? *alloc : *xk_alloc_libc();
    m->max = max;
    *out = &m->base;
    return 0;
}
