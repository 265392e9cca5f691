/* tests/c/db/disk.h - a disk that fails on order and loses power: a pair of xk_files whose writes stay in a cache until
 * they are synced. At a power cut each sector that was written since the last sync is old, new, half new or garbage,
 * all of it, bytes beside the write included: no more than pwrite promises. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_DB_DISK_H
#define XK_TESTS_DB_DISK_H

#include <stdint.h>

#include <xenkit/file.h>

#include "tests/c/tap.h"

enum { DISK_SECTOR = 4096, DISK_MAX = 4 << 20, DISK_OPS = 4096 };
enum disk_kind { DISK_READ, DISK_WRITE, DISK_SYNC, DISK_TRUNCATE };

/* The machine both files are part of. */
struct disk_power {
    uint64_t rng;
    long ops; /* writes, syncs and truncates so far */
    long cut; /* power goes at this op; 0 never */
    int kind; /* the (fail)-th op of this kind fails; fail == 0 none */
    long fail, seen;
    int error;  /* with this code */
    int failed; /* how often it did */
};

struct disk_op {
    uint8_t *data; /* NULL: a truncate to (n) */
    size_t n, at;
};

struct disk {
    struct xk_file base;
    struct disk_power *power;
    uint8_t *now, *durable;
    size_t now_n, durable_n, used; /* from (used) on, whole sectors, both are zero */
    struct disk_op log[DISK_OPS];
    int count, open;
};

static inline uint32_t disk_random(struct disk_power *p, uint32_t below)
{
    p->rng = p->rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(p->rng >> 33) % below;
}

static inline struct disk *disk_of(struct xk_file *f) { return (struct disk *)f; }

static inline int disk_trip(struct disk_power *p, int kind)
{
    if (kind != DISK_READ && p->cut && ++p->ops >= p->cut)
        return XK_EIO;
    if (p->fail && kind == p->kind && ++p->seen == p->fail) {
        p->failed++;
        return p->error;
    }
    return 0;
}

static inline void disk_note(struct disk *d, const void *data, size_t n, size_t at)
{
    struct disk_op *op = &d->log[d->count++];

    OK(d->count < DISK_OPS);
    if (d->used < at + n)
        d->used = (at + n + DISK_SECTOR - 1) / DISK_SECTOR * DISK_SECTOR;
    *op = (struct disk_op){NULL, n, at};
    if (data) {
        op->data = malloc(n);
        memcpy(op->data, data, n);
    }
}

static int disk_read(struct xk_file *f, void *buf, size_t n, uint64_t at)
{
    struct disk *d = disk_of(f);
    int r = disk_trip(d->power, DISK_READ);

    OK(d->open);
    if (r < 0)
        return r;
    if (at >= d->now_n)
        return 0;
    if (n > d->now_n - at)
        n = d->now_n - (size_t)at;
    memcpy(buf, d->now + at, n);
    return (int)n;
}

static int disk_write(struct xk_file *f, const void *buf, size_t n, uint64_t at)
{
    struct disk *d = disk_of(f);
    int r = disk_trip(d->power, DISK_WRITE);

    OK(d->open);
    if (at + n > DISK_MAX)
        return XK_ENOSPC;
    disk_note(d, buf, n, (size_t)at); /* the write that the power cut interrupts may be on the disk in part */
    if (r < 0)
        return r;
    memcpy(d->now + at, buf, n);
    if (d->now_n < at + n)
        d->now_n = (size_t)at + n;
    return (int)n;
}

static int disk_truncate(struct xk_file *f, uint64_t size)
{
    struct disk *d = disk_of(f);
    int r = disk_trip(d->power, DISK_TRUNCATE);

    OK(d->open);
    OK(size <= DISK_MAX);
    disk_note(d, NULL, (size_t)size, 0);
    if (r < 0)
        return r;
    if (size < d->now_n)
        memset(d->now + size, 0, d->now_n - (size_t)size);
    d->now_n = (size_t)size;
    return 0;
}

static inline void disk_forget(struct disk *d)
{
    while (d->count > 0)
        free(d->log[--d->count].data);
}

static int disk_sync(struct xk_file *f)
{
    struct disk *d = disk_of(f);
    int r = disk_trip(d->power, DISK_SYNC);

    OK(d->open);
    if (r < 0)
        return r;
    memcpy(d->durable, d->now, d->used);
    d->durable_n = d->now_n;
    disk_forget(d);
    return 0;
}

static int64_t disk_size(struct xk_file *f)
{
    OK(disk_of(f)->open);
    return (int64_t)disk_of(f)->now_n;
}

static void disk_close(struct xk_file *f)
{
    OK(disk_of(f)->open);
    disk_of(f)->open = 0;
}

static const struct xk_file_ops disk_ops = {XK_FILE_VERSION, disk_read,     disk_write, disk_sync,
                                            disk_size,       disk_truncate, disk_close};

static inline struct disk *disk_new(struct disk_power *p)
{
    struct disk *d = calloc(1, sizeof(*d));

    d->base.ops = &disk_ops;
    d->power = p;
    d->now = calloc(1, DISK_MAX);
    d->durable = calloc(1, DISK_MAX);
    return d;
}

static inline void disk_free(struct disk *d)
{
    disk_forget(d);
    free(d->now);
    free(d->durable);
    free(d);
}

static inline struct xk_file *disk_open(struct disk *d)
{
    OK(!d->open);
    d->open = 1;
    return &d->base;
}

/* One sector of an unsynced write meets its fate. */
static inline void disk_sector_fate(struct disk *d, const struct disk_op *op, size_t from, size_t to)
{
    size_t sector = from / DISK_SECTOR * DISK_SECTOR, half = from + (to - from) / 2;

    switch (disk_random(d->power, 8)) {
    case 0:
    case 1:
    case 2:
        return; /* lost */
    case 3:
        for (size_t i = 0; i < DISK_SECTOR; i++)
            d->durable[sector + i] = (uint8_t)disk_random(d->power, 256);
        break;
    case 4:
        to = half; /* torn */
        memcpy(d->durable + from, op->data + (from - op->at), to - from);
        break;
    default:
        memcpy(d->durable + from, op->data + (from - op->at), to - from);
    }
    if (d->durable_n < to)
        d->durable_n = to;
}

/* After the power cut: what is durable plus a random part of what was not. */
static inline void disk_power_cut(struct disk *d)
{
    OK(!d->open);
    for (int i = 0; i < d->count; i++) {
        const struct disk_op *op = &d->log[i];

        if (!op->data && disk_random(d->power, 2)) {
            if (op->n < d->durable_n)
                memset(d->durable + op->n, 0, d->durable_n - op->n);
            d->durable_n = op->n;
        }
        for (size_t at = op->at, end = op->at + (op->data ? op->n : 0), next; at < end; at = next) {
            next = (at / DISK_SECTOR + 1) * DISK_SECTOR;
            next = next < end ? next : end;
            disk_sector_fate(d, op, at, next);
        }
    }
    memset(d->durable + d->durable_n, 0, d->used - d->durable_n);
    memcpy(d->now, d->durable, d->used);
    d->now_n = d->durable_n;
    disk_forget(d);
}

#endif
