/* Contents of files. In this file: 1. where a byte is  2. reading  3. growing  4. writing  5. shrinking  6. life
 * SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>

#include "fs/node.h"

enum {
    PART = 4 << 20, /* bytes that are written before it is seen whether enough waits */
    ROW = 1 << 30   /* of one read */
};

struct handle {
    struct xk_file file; /* first */
    struct xk_fat *f;
    struct fat_node *node;
    int writable;
};

static uint32_t size_of(const struct fat_node *n) { return fat_entry_size(&n->entry); }

/* --- 1. where a byte is ------------------------------------------------------------------------------------------- */

static int add_run(struct xk_fat *f, struct fat_node *n, uint32_t cluster, uint32_t count)
{
    struct fat_run *last = n->run_count ? &n->runs[n->run_count - 1] : NULL;

    if (last && last->cluster + last->count == cluster) {
        last->count += count;
    } else {
        if (n->run_count == n->run_room) {
            uint32_t room = n->run_room ? n->run_room * 2 : 8;
            struct fat_run *more = xk_resize(&f->alloc, n->runs, n->run_room * sizeof(*more), room * sizeof(*more));
            if (!more)
                return XK_ENOMEM;
            n->runs = more;
            n->run_room = room;
        }
        n->runs[n->run_count++] = (struct fat_run){n->clusters, cluster, count};
    }
    n->clusters += count;
    return 0;
}

/* The chain is followed until the runs have (want) clusters, or it ends. */
static int follow(struct xk_fat *f, struct fat_node *n, uint32_t want)
{
    int r = 0;

    while (n->clusters < want && !n->all && r == 0) {
        const struct fat_run *last = n->run_count ? &n->runs[n->run_count - 1] : NULL;
        uint32_t next = fat_entry_cluster(&n->entry);
        if (last)
            r = fat_next(f, last->cluster + last->count - 1, &next);
        else if (next == 0)
            next = FAT_END;
        else if (!fat_is_cluster(&f->shape, next))
            r = XK_EPROTO;
        if (r == 0 && next == FAT_END)
            n->all = 1;
        else if (r == 0)
            r = n->clusters > f->shape.clusters ? XK_EPROTO : add_run(f, n, next, 1); /* a ring */
    }
    return r;
}

/* Bytes in a row from (at) on: how many of (n), and where. XK_EPROTO: the chain is too short. */
static int locate(struct xk_fat *f, struct fat_node *n, uint32_t at, uint32_t bytes, uint64_t *where)
{
    uint32_t cluster = f->shape.cluster, nth = at / cluster, low = 0, high;
    uint64_t left;
    int r = follow(f, n, (uint32_t)(((uint64_t)at + bytes + cluster - 1) / cluster));

    if (r < 0 || nth >= n->clusters)
        return r < 0 ? r : XK_EPROTO;
    high = n->run_count - 1;
    while (low < high) {
        uint32_t mid = (low + high + 1) / 2;
        if (n->runs[mid].nth <= nth)
            low = mid;
        else
            high = mid - 1;
    }
    *where = fat_cluster_at(&f->shape, n->runs[low].cluster + (nth - n->runs[low].nth)) + at % cluster;
    left = (uint64_t)(n->runs[low].nth + n->runs[low].count) * cluster - at;
    return (int)(bytes < left ? bytes : left > INT_MAX ? INT_MAX : left);
}

/* --- 2. reading --------------------------------------------------------------------------------------------------- */

static int handle_read(struct xk_file *file, void *buf, size_t n, uint64_t at)
{
    struct handle *h = (struct handle *)file;
    uint32_t size = size_of(h->node), done = 0;

    if (h->f->gone)
        return XK_ECLOSED;
    if (at >= size)
        return 0;
    if (n > size - at)
        n = (size_t)(size - at);
    if (n > INT_MAX)
        n = INT_MAX;
    while (done < n) {
        uint64_t where;
        int part = locate(h->f, h->node, (uint32_t)at + done, (uint32_t)n - done, &where), r;
        if (part < 0)
            return part;
        r = xk_file_read(h->f->file, (uint8_t *)buf + done, (size_t)part, where);
        if (r < part)
            return r < 0 ? r : XK_EIO;
        done += (uint32_t)part;
    }
    return (int)done;
}

/* The clusters from (*cluster) on that lie in a row, of (left) bytes at most, and no more than one read takes: so many
 * *bytes. *cluster is the next after them. 0 or XK_E... */
static int row(struct xk_fat *f, uint32_t *cluster, uint32_t left, uint32_t *bytes)
{
    uint32_t whole = f->shape.cluster, before;
    int r = 0;

    *bytes = 0;
    do {
        *bytes += left - *bytes < whole ? left - *bytes : whole;
        before = *cluster;
        if (*bytes < left)
            r = fat_next(f, before, cluster);
        if (r == 0 && *cluster == FAT_END)
            r = XK_EPROTO;
    } while (r == 0 && *bytes < left && *bytes < ROW && *cluster == before + 1);
    return r;
}

int fat_read_entry(struct xk_fat *f, const struct fat_entry *e, uint8_t *to)
{
    uint32_t left = fat_entry_size(e), cluster = fat_entry_cluster(e), n;
    int r = 0;

    if (left && !fat_is_cluster(&f->shape, cluster))
        r = XK_EPROTO;
    if (left > (uint64_t)f->shape.clusters * f->shape.cluster)
        r = XK_EPROTO; /* its chain is a ring */

    for (; left && r == 0; left -= n, to += n) {
        uint64_t at = fat_cluster_at(&f->shape, cluster);
        r = row(f, &cluster, left, &n);
        if (r == 0)
            r = xk_file_read(f->file, to, n, at);
        r = r < 0 ? r : (uint32_t)r < n ? XK_EIO : 0;
    }
    return r;
}

/* --- 3. growing --------------------------------------------------------------------------------------------------- */

/* The chain has (want) clusters. */
static int grow_chain(struct xk_fat *f, struct fat_node *n, uint32_t want)
{
    int r = follow(f, n, want);

    while (r == 0 && n->clusters < want) {
        struct fat_run *last = n->run_count ? &n->runs[n->run_count - 1] : NULL;
        uint32_t end = last ? last->cluster + last->count - 1 : 0, first, count;
        r = fat_take(f, last ? end + 1 : 0, want - n->clusters, &first, &count);
        if (r == XK_ENOSPC && f->pendings) { /* what is to be given back will do */
            r = fat_commit(f);
            if (r == 0)
                continue;
        }
        if (r == 0 && last)
            r = fat_set(f, end, first);
        else if (r == 0)
            fat_raw_set_cluster(n->entry.raw, first);
        if (r == 0)
            r = add_run(f, n, first, count);
    }
    return r;
}

static int put(struct xk_fat *f, struct fat_node *n, uint32_t at, const uint8_t *data, uint32_t bytes)
{
    static const uint8_t none[16384];

    f->wrote = 1;
    while (bytes) {
        uint64_t where;
        int part = locate(f, n, at, bytes, &where), r;
        if (!data && part > (int)sizeof(none))
            part = sizeof(none);
        if (part < 0)
            return part;
        r = xk_file_write(f->file, data ? data : none, (size_t)part, where);
        if (r < 0)
            return r;
        at += (uint32_t)part;
        data = data ? data + part : NULL;
        bytes -= (uint32_t)part;
    }
    return 0;
}

/* The entry says how long the file is now, and when. */
static int set_size(struct xk_fat *f, struct fat_node *n, uint32_t size)
{
    fat_put32(n->entry.raw + 28, size);
    fat_put32(n->entry.raw + 22, fat_now(f));
    fat_put16(n->entry.raw + 18, fat_now(f) >> 16);
    n->entry.raw[11] |= XK_FAT_ARCHIVE;
    return fat_dir_update(f, &n->entry);
}

/* Up to (size) bytes; what comes is zeroes. What did not fit is given back: the chain ends where the file does. */
static int grow(struct xk_fat *f, struct fat_node *n, uint32_t size, int zeroed)
{
    uint32_t old = size_of(n), cluster = f->shape.cluster;
    int r = grow_chain(f, n, (uint32_t)(((uint64_t)size + cluster - 1) / cluster));

    if (r == 0 && zeroed)
        r = put(f, n, old, NULL, size - old);
    return r;
}

/* --- 4. writing --------------------------------------------------------------------------------------------------- */

static int cut_chain(struct xk_fat *f, struct fat_node *n, uint32_t keep);

static int write_part(struct handle *h, const uint8_t *buf, uint32_t n, uint32_t at)
{
    struct fat_node *node = h->node;
    uint32_t size = size_of(node), cluster = h->f->shape.cluster;
    int r = 0;

    if (at > size)
        r = grow(h->f, node, at, 1);
    if (r == 0 && at + n > size)
        r = grow(h->f, node, at + n, 0);
    if (r == 0)
        r = put(h->f, node, at, buf, n);
    if (r == 0)
        return set_size(h->f, node, at + n > size ? at + n : size);
    (void)!cut_chain(h->f, node, (uint32_t)(((uint64_t)size + cluster - 1) / cluster));
    return r;
}

static int handle_write(struct xk_file *file, const void *buf, size_t n, uint64_t at)
{
    struct handle *h = (struct handle *)file;
    int r = h->f->gone ? XK_ECLOSED : !h->writable ? XK_EROFS : fat_begin(h->f);

    if (r < 0 || n == 0)
        return r;
    if (n > INT_MAX)
        return XK_EINVAL;
    if (at > XK_FAT_SIZE_MAX || n > XK_FAT_SIZE_MAX - at)
        return XK_ERANGE;
    for (size_t done = 0, part; done < n && r == 0; done += part) {
        part = n - done < PART ? n - done : PART;
        r = write_part(h, (const uint8_t *)buf + done, (uint32_t)part, (uint32_t)(at + done));
        if (r == 0)
            r = fat_commit_if_much(h->f);
    }
    return r < 0 ? r : (int)n;
}

/* --- 5. shrinking ------------------------------------------------------------------------------------------------- */

static void forget_runs(struct xk_fat *f, struct fat_node *n)
{
    xk_free(&f->alloc, n->runs, n->run_room * sizeof(*n->runs));
    n->runs = NULL;
    n->run_count = n->run_room = n->clusters = 0;
    n->all = 0;
}

/* The chain has (keep) clusters from now on, and the rest is given back at once: the entry on the medium wants no more
 * than them. */
static int cut_chain(struct xk_fat *f, struct fat_node *n, uint32_t keep)
{
    uint32_t c = fat_entry_cluster(&n->entry), next;
    int r = 0;

    forget_runs(f, n);
    if (keep == 0) {
        fat_raw_set_cluster(n->entry.raw, 0);
        r = fat_dir_update(f, &n->entry);
        return r < 0 || c == 0 ? r : fat_give(f, c);
    }
    if (!fat_is_cluster(&f->shape, c))
        return XK_EPROTO;
    while (--keep > 0 && r == 0) {
        r = fat_next(f, c, &next);
        if (r < 0 || next == FAT_END)
            return r;
        c = next;
    }
    if (r == 0)
        r = fat_next(f, c, &next);
    if (r < 0 || next == FAT_END)
        return r;
    r = fat_set(f, c, FAT_END);
    return r < 0 ? r : fat_give(f, next);
}

int fat_empty(struct xk_fat *f, struct fat_entry *e)
{
    uint32_t first = fat_entry_cluster(e);
    int r;

    fat_raw_set_cluster(e->raw, 0);
    fat_put32(e->raw + 28, 0);
    fat_put32(e->raw + 22, fat_now(f));
    r = fat_dir_update(f, e);
    return r < 0 ? r : fat_give_later(f, first);
}

static int shrink(struct xk_fat *f, struct fat_node *n, uint32_t size)
{
    uint32_t cluster = f->shape.cluster;
    int r;

    if (size == 0) {
        forget_runs(f, n);
        return fat_empty(f, &n->entry);
    }
    r = set_size(f, n, size);
    if (r == 0)
        r = fat_commit(f);
    return r < 0 ? r : cut_chain(f, n, (uint32_t)(((uint64_t)size + cluster - 1) / cluster));
}

static int handle_truncate(struct xk_file *file, uint64_t size)
{
    struct handle *h = (struct handle *)file;
    uint32_t old, cluster = h->f->shape.cluster;
    int r = h->f->gone ? XK_ECLOSED : !h->writable ? XK_EROFS : fat_begin(h->f);

    if (r < 0)
        return r;
    if (size > XK_FAT_SIZE_MAX)
        return XK_ERANGE;
    old = size_of(h->node);
    if (size < old)
        return shrink(h->f, h->node, (uint32_t)size);
    if (size == old)
        return 0;
    r = grow(h->f, h->node, (uint32_t)size, 1);
    if (r == 0)
        return set_size(h->f, h->node, (uint32_t)size);
    (void)!cut_chain(h->f, h->node, (uint32_t)(((uint64_t)old + cluster - 1) / cluster));
    return r;
}

/* --- 6. life ------------------------------------------------------------------------------------------------------ */

static int handle_sync(struct xk_file *file)
{
    struct handle *h = (struct handle *)file;

    return h->f->gone ? XK_ECLOSED : h->f->options.readonly ? 0 : fat_commit(h->f);
}

static int64_t handle_size(struct xk_file *file) { return size_of(((struct handle *)file)->node); }

static void node_close(struct xk_fat *f, struct fat_node *n)
{
    struct fat_node **link = &f->nodes;

    if (--n->refs > 0)
        return;
    while (*link != n)
        link = &(*link)->next;
    *link = n->next;
    forget_runs(f, n);
    xk_free(&f->alloc, n, sizeof(*n));
}

static void handle_close(struct xk_file *file)
{
    struct handle *h = (struct handle *)file;
    struct xk_fat *f = h->f;
    xk_alloc alloc = f->alloc;

    node_close(f, h->node);
    xk_free(&alloc, h, sizeof(*h));
    if (--f->refs == 0)
        xk_free(&alloc, f, sizeof(*f));
}

static const struct xk_file_ops ops = {.version = XK_FILE_VERSION,
                                       .read = handle_read,
                                       .write = handle_write,
                                       .sync = handle_sync,
                                       .size = handle_size,
                                       .truncate = handle_truncate,
                                       .close = handle_close};

struct fat_node *fat_node_at(struct xk_fat *f, uint32_t sector, uint32_t offset)
{
    struct fat_node *n = f->nodes;

    while (n && (n->entry.sector != sector || n->entry.offset != offset))
        n = n->next;
    return n;
}

int fat_node_open(struct xk_fat *f, uint32_t parent, const struct fat_entry *e, int writable, struct xk_file **out)
{
    struct fat_node *n = fat_node_at(f, e->sector, e->offset);
    struct handle *h = xk_new(&f->alloc, sizeof(*h));

    if (!n && h) {
        n = xk_new(&f->alloc, sizeof(*n));
        if (n) {
            n->parent = parent;
            n->entry = *e;
            n->next = f->nodes;
            f->nodes = n;
        }
    }
    if (!n || !h) {
        xk_free(&f->alloc, h, sizeof(*h));
        return XK_ENOMEM;
    }
    n->refs++;
    f->refs++;
    *h = (struct handle){{&ops}, f, n, writable};
    *out = &h->file;
    return 0;
}
