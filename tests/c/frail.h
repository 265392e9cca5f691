/* A file in memory whose power is cut: what was not synced is lost, there, or reordered, sector by sector.
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FRAIL_H
#define TESTS_FRAIL_H

#include "tests/c/tap.h"

#include <xenkit/file.h>

#ifndef FRAIL_ROOM
#define FRAIL_ROOM (4 << 20) /* bytes */
#endif
enum { ROOM = FRAIL_ROOM, LOG = 16384, SECTOR = 512 };
#define SHORTER UINT32_MAX /* in place of a sector: the file was cut to this size */

/* A file whose writes since the last sync are there or not, sector by sector, each as one of them left it. */
struct frail {
    struct xk_file file; /* first */
    uint8_t *now, *durable;
    size_t size, durable_size;
    struct {
        uint32_t sector;
        uint8_t data[SECTOR];
    } * log;
    unsigned logged;
    long ops, cut, syncs;
};

static int frail_read(struct xk_file *f, void *buf, size_t n, uint64_t at)
{
    struct frail *p = (struct frail *)f;

    if (at >= p->size)
        return 0;
    n = n < p->size - at ? n : p->size - (size_t)at;
    memcpy(buf, p->now + at, n);
    return (int)n;
}

static int frail_write(struct xk_file *f, const void *buf, size_t n, uint64_t at)
{
    struct frail *p = (struct frail *)f;

    OK(at + n <= ROOM);
    if (p->cut && p->ops >= p->cut)
        return XK_EIO;
    p->ops++;
    memcpy(p->now + at, buf, n);
    p->size = p->size > at + n ? p->size : (size_t)at + n;
    for (uint64_t s = at / SECTOR; s * SECTOR < at + n; s++) {
        OK(p->logged < LOG);
        p->log[p->logged].sector = (uint32_t)s;
        memcpy(p->log[p->logged++].data, p->now + s * SECTOR, SECTOR);
    }
    return (int)n;
}

static void frail_apply(struct frail *p, unsigned k)
{
    size_t at = p->log[k].sector * (size_t)SECTOR, size;

    if (p->log[k].sector == SHORTER) {
        memcpy(&size, p->log[k].data, sizeof(size));
        if (size < p->durable_size)
            memset(p->durable + size, 0, p->durable_size - size);
        p->durable_size = size < p->durable_size ? size : p->durable_size;
        return;
    }
    memcpy(p->durable + at, p->log[k].data, SECTOR);
    p->durable_size = p->durable_size > at + SECTOR ? p->durable_size : at + SECTOR;
}

static int frail_sync(struct xk_file *f)
{
    struct frail *p = (struct frail *)f;

    if (p->cut && p->ops >= p->cut)
        return XK_EIO;
    p->ops++;
    p->syncs++;
    for (unsigned i = 0; i < p->logged; i++)
        frail_apply(p, i);
    p->logged = 0;
    return 0;
}

static int64_t frail_size(struct xk_file *f) { return (int64_t)((struct frail *)f)->size; }
static int frail_truncate(struct xk_file *f, uint64_t size)
{
    struct frail *p = (struct frail *)f;

    if (p->cut && p->ops >= p->cut)
        return XK_EIO;
    OK(size <= p->size && p->logged < LOG);
    p->ops++;
    memset(p->now + size, 0, p->size - (size_t)size);
    p->size = (size_t)size;
    p->log[p->logged].sector = SHORTER;
    memcpy(p->log[p->logged++].data, &p->size, sizeof(p->size));
    return 0;
}

static void frail_close(struct xk_file *f) { (void)f; }
static const struct xk_file_ops frail_ops = {.version = XK_FILE_VERSION,
                                             .read = frail_read,
                                             .write = frail_write,
                                             .sync = frail_sync,
                                             .size = frail_size,
                                             .truncate = frail_truncate,
                                             .close = frail_close};

/* An empty one. */
static void frail_new(struct frail *p)
{
    p->file.ops = &frail_ops;
    if (!p->now) {
        p->now = malloc(ROOM);
        p->durable = malloc(ROOM);
        p->log = calloc(LOG, sizeof(*p->log));
    }
    memset(p->now, 0, ROOM);
    memset(p->durable, 0, ROOM);
    p->size = p->durable_size = 0;
    p->logged = 0;
    p->cut = p->ops = 0;
}

static inline void frail_free(struct frail *p)
{
    free(p->now);
    free(p->durable);
    free(p->log);
}

static inline void frail_cut(struct frail *p)
{
    for (unsigned i = 0; i < p->logged; i++)
        frail_apply(p, roll(p->logged));
    memcpy(p->now, p->durable, ROOM);
    p->size = p->durable_size;
    p->logged = 0;
    p->cut = p->ops = 0;
}

#endif
