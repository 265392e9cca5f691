/* Many small files at once. A batch of them gets its clusters first; then the contents are written, neighbours as one,
 * with zeroes for what the last cluster of a file has more; then the directory names them. So all that may fail of a
 * file but its name fails before anything names it. SPDX-License-Identifier: MIT */
#include <string.h>

#include "fs/path.h"

enum { BATCH = 32 /* files */, PIECES = 128, GAP = 4096 /* bytes of zeroes, which cost less than one more write */ };
#define BYTES_MAX (1u << 30) /* of a file, and of a write */

struct batch {
    struct xk_fat *f;
    uint32_t dir;
    struct fat_name name[BATCH];
    uint32_t first[BATCH]; /* clusters; 0: of an empty file */
    struct xk_piece piece[PIECES];
    unsigned pieces;
    uint64_t at, end; /* where they go */
    int failed;       /* something could not be written: none of the batch will be named */
};

static int flush(struct batch *b)
{
    int r = b->pieces ? xk_file_writev(b->f->file, b->piece, b->pieces, b->at) : 0;

    b->f->wrote |= b->pieces > 0;
    b->pieces = 0;
    if (r < 0)
        b->failed = r;
    return b->failed;
}

static void add_piece(struct batch *b, const void *data, size_t n)
{
    b->piece[b->pieces++] = (struct xk_piece){(void *)(uintptr_t)data, n}; /* a write only reads it */
    b->end += n;
}

/* Whether (at), where a cluster begins, is the end of what is collected but for the rest of that file's last cluster.
 */
static int adjoins(const struct batch *b, uint64_t at)
{
    return at >= b->end && at - b->end < b->f->shape.cluster && at - b->end <= GAP;
}

/* Contents that go to (at). */
static int collect(struct batch *b, const void *data, uint32_t n, uint64_t at)
{
    static const uint8_t none[GAP];
    int r = 0;

    if (b->pieces + 2 > PIECES || !adjoins(b, at) || b->end - b->at + n > BYTES_MAX)
        r = flush(b);
    if (b->pieces == 0)
        b->at = b->end = at;
    else if (at > b->end)
        add_piece(b, none, at - b->end);
    add_piece(b, data, n);
    return r;
}

/* Clusters for one file's contents, in runs. What was had when it fails is given back. */
static int place(struct batch *b, const struct xk_fat_new *file, uint32_t *first)
{
    struct xk_fat *f = b->f;
    uint32_t cluster = f->shape.cluster, last = 0, begin, count;
    int r = file->size > BYTES_MAX ? XK_ERANGE : 0;

    *first = 0;
    for (uint32_t done = 0, n; done < file->size && r == 0; done += n) {
        uint32_t left = file->size - done, want = left / cluster + (left % cluster != 0);
        n = 0;
        r = fat_take(f, last ? last + 1 : 0, want, &begin, &count);
        if (r == XK_ENOSPC && f->pendings) { /* what is to be given back will do */
            r = fat_commit(f);
            continue;
        }
        if (r == 0 && last)
            r = fat_set(f, last, begin);
        if (r < 0)
            break;
        *first = last ? *first : begin;
        last = begin + count - 1;
        n = count == want ? left : count * cluster;
        r = collect(b, (const uint8_t *)file->data + done, n, fat_cluster_at(&f->shape, begin));
    }
    if (r < 0)
        (void)!fat_give(f, *first);
    return r;
}

static int is_free(struct batch *b, const struct fat_name *name)
{
    struct fat_entry e;
    int r = fat_dir_find(b->f, b->dir, name, &e);

    return r == XK_ENOENT ? 0 : r < 0 ? r : fat_entry_is_dir(&e) ? XK_EISDIR : XK_EEXIST;
}

/* How many of (list) have their place, and why not the next. */
static unsigned place_all(struct batch *b, const struct xk_fat_new *list, unsigned n, int *why)
{
    unsigned i;

    *why = 0;
    for (i = 0; i < n; i++) {
        *why = strchr(list[i].name, '/') ? XK_EINVAL : fat_name_of(list[i].name, strlen(list[i].name), &b->name[i]);
        if (*why == 0)
            *why = is_free(b, &b->name[i]);
        if (*why == 0)
            *why = place(b, &list[i], &b->first[i]);
        if (*why < 0)
            break;
    }
    return i;
}

static int add_entry(struct batch *b, const struct xk_fat_new *file, unsigned i)
{
    uint8_t raw[FAT_SLOT];
    struct fat_entry e;

    fat_raw_new(b->f, XK_FAT_ARCHIVE, b->first[i], raw);
    fat_put32(raw + 28, file->size);
    return fat_dir_add(b->f, b->dir, &b->name[i], raw, &e);
}

/* One batch: how many are there, or why not the first. Of contents that could not be written nothing is named. */
static int add_batch(struct batch *b, const struct xk_fat_new *list, unsigned n)
{
    int why, r;
    unsigned placed, i = 0;

    b->pieces = 0;
    b->failed = 0;
    placed = place_all(b, list, n, &why);
    r = flush(b);
    while (i < placed && r == 0) {
        r = add_entry(b, &list[i], i);
        i += r == 0;
    }
    for (unsigned k = i; k < placed; k++)
        (void)!fat_give(b->f, b->first[k]);
    if (r == 0)
        r = why;
    return i > 0 ? (int)i : r;
}

static int find_dir(struct xk_fat *f, const char *path, uint32_t *dir)
{
    struct fat_place p;
    int r = fat_path_find(f, path, &p);

    if (r <= 0)
        return r < 0 ? r : XK_ENOENT;
    if (!p.root && !fat_entry_is_dir(&p.entry))
        return XK_ENOTDIR;
    *dir = p.root ? FAT_ROOT : fat_entry_cluster(&p.entry);
    return p.root || fat_is_cluster(&f->shape, *dir) ? 0 : XK_EPROTO;
}

int xk_fat_add(struct xk_fat *f, const char *path, const struct xk_fat_new *list, unsigned n)
{
    struct batch *b;
    uint32_t dir;
    unsigned done = 0;
    int r = find_dir(f, path, &dir);

    if (r == 0)
        r = fat_begin(f);
    if (r < 0 || n == 0)
        return r;
    b = xk_resize(&f->alloc, NULL, 0, sizeof(*b)); /* what is in it is set when it is used */
    if (!b)
        return XK_ENOMEM;
    b->f = f;
    b->dir = dir;
    while (done < n && r >= 0) {
        unsigned some = n - done < BATCH ? n - done : BATCH;
        r = add_batch(b, list + done, some);
        done += r > 0 ? (unsigned)r : 0;
        if (r > 0)
            r = fat_commit_if_much(f);
    }
    xk_free(&f->alloc, b, sizeof(*b));
    return done > 0 ? (int)done : r;
}
