/* An image made, file by file: what comes out depends on what goes in alone. The directory grows in memory until the
 * end. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/buf.h>

#include "archive/alloc.h"
#include "archive/zip.h"

enum { VERSION = 20, MODE = 0100644, TIME_EXTRA = 9, ALIGN_EXTRA = 6, MEMORY = 9 };

struct xk_crunch_writer {
    xk_alloc alloc;
    struct xk_crunch_spec spec;
    z_stream z;
    struct xk_buf dir;
    struct xk_buf packed; /* room for one file; nothing stays in it */
    uint32_t at, count;
    int err; /* why nothing more is done; XK_ECLOSED after its end */
    size_t last_len;
    char last[XK_CRUNCH_PATH_MAX];
};

/* One file on its way. */
struct adding {
    const char *path;
    const uint8_t *data, *stored;
    size_t n;
    uint32_t size, stored_size, crc, dos;
    uint32_t pad; /* of its local extra fields, for the alignment */
    int64_t time;
    int method;
};

int xk_crunch_writer_new(const xk_alloc *alloc, const struct xk_crunch_spec *spec, struct xk_crunch_writer **out)
{
    struct xk_crunch_writer *w;

    *out = NULL;
    if (spec->level < 0 || spec->level > 9 || spec->align > XK_CRUNCH_ALIGN_MAX || spec->align & (spec->align - 1))
        return XK_EINVAL;
    w = xk_new(alloc, sizeof(*w));
    if (!w)
        return XK_ENOMEM;
    w->alloc = alloc ? *alloc : *xk_alloc_libc();
    w->spec = *spec;
    xk_buf_init(&w->dir, &w->alloc, XK_CRUNCH_SIZE_MAX);
    xk_buf_init(&w->packed, &w->alloc, XK_CRUNCH_SIZE_MAX);
    w->z.zalloc = zip_zalloc;
    w->z.zfree = zip_zfree;
    w->z.opaque = &w->alloc;
    if (deflateInit2(&w->z, spec->level ? spec->level : 9, Z_DEFLATED, -MAX_WBITS, MEMORY, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        xk_free(alloc, w, sizeof(*w));
        return XK_ENOMEM;
    }
    *out = w;
    return 0;
}

void xk_crunch_writer_close(struct xk_crunch_writer *w)
{
    if (w) {
        xk_alloc alloc = w->alloc;
        deflateEnd(&w->z);
        xk_buf_fini(&w->dir);
        xk_buf_fini(&w->packed);
        xk_free(&alloc, w, sizeof(*w));
    }
}

static int put(struct xk_crunch_writer *w, const void *data, size_t n)
{
    int r = n ? w->spec.put(w->spec.arg, data, n) : 0;

    w->at += (uint32_t)n;
    return r < 0 ? r : 0;
}

/* Deflated into room for fifteen sixteenths of it; where that does not do it stays as it is. */
static int pack(struct xk_crunch_writer *w, struct adding *a)
{
    size_t room = a->size - (a->size / 16 ? a->size / 16 : 1);
    uint8_t *to;
    int r;

    a->stored = a->data;
    a->stored_size = a->size;
    a->method = XK_CRUNCH_STORED;
    if (a->size < 2)
        return 0;
    r = xk_buf_reserve(&w->packed, room, &to);
    if (r < 0)
        return r;
    deflateReset(&w->z);
    w->z.next_in = a->data;
    w->z.avail_in = a->size;
    w->z.next_out = to;
    w->z.avail_out = (uInt)room;
    if (deflate(&w->z, Z_FINISH) != Z_STREAM_END)
        return 0;
    a->stored = to;
    a->stored_size = (uint32_t)(room - w->z.avail_out);
    a->method = XK_CRUNCH_DEFLATED;
    return 0;
}

/* From the version that is needed to the size: the same in both headers (sections 4.3.7 and 4.3.12). */
static void put_common(uint8_t *p, const struct adding *a)
{
    zip_put16(p, VERSION);
    zip_put16(p + 2, ZIP_UTF8);
    zip_put16(p + 4, (uint32_t)a->method);
    zip_put32(p + 6, a->dos);
    zip_put32(p + 10, a->crc);
    zip_put32(p + 14, a->stored_size);
    zip_put32(p + 18, a->size);
    zip_put16(p + 22, (uint32_t)a->n);
}

/* MS-DOS' time has two seconds and no zone; this one ends in 2038. */
static size_t put_time(uint8_t *p, const struct adding *a)
{
    if (a->time <= ZIP_NO_TIME || a->time > INT32_MAX)
        return 0;
    zip_put16(p, ZIP_EXTRA_TIME);
    zip_put16(p + 2, TIME_EXTRA - 4);
    p[4] = 1;
    zip_put32(p + 5, (uint32_t)a->time);
    return TIME_EXTRA;
}

static int put_local(struct xk_crunch_writer *w, const struct adding *a)
{
    static const uint8_t none[4096];
    uint8_t head[ZIP_LOCAL_SIZE + XK_CRUNCH_PATH_MAX + TIME_EXTRA + ALIGN_EXTRA] = {0};
    size_t n = ZIP_LOCAL_SIZE + a->n, extra = put_time(head + n, a);
    uint32_t pad = a->pad;
    int r;

    zip_put32(head, ZIP_LOCAL);
    put_common(head + 4, a);
    zip_put16(head + 28, (uint32_t)extra + pad);
    memcpy(head + ZIP_LOCAL_SIZE, a->path, a->n);
    n += extra;
    if (pad) {
        zip_put16(head + n, ZIP_EXTRA_ALIGN);
        zip_put16(head + n + 2, pad - 4);
        zip_put16(head + n + 4, w->spec.align);
        n += ALIGN_EXTRA;
        pad -= ALIGN_EXTRA;
    }
    r = put(w, head, n);
    for (; r == 0 && pad; pad -= pad < sizeof(none) ? pad : (uint32_t)sizeof(none))
        r = put(w, none, pad < sizeof(none) ? pad : sizeof(none));
    return r;
}

static int put_central(struct xk_crunch_writer *w, const struct adding *a, uint32_t local)
{
    uint8_t head[ZIP_CENTRAL_SIZE + XK_CRUNCH_PATH_MAX + TIME_EXTRA] = {0};
    size_t n = ZIP_CENTRAL_SIZE + a->n, extra = put_time(head + n, a);

    zip_put32(head, ZIP_CENTRAL);
    zip_put16(head + 4, ZIP_UNIX << 8 | VERSION);
    put_common(head + 6, a);
    zip_put16(head + 30, (uint32_t)extra);
    zip_put16(head + 40, MODE);
    zip_put32(head + 42, local);
    memcpy(head + ZIP_CENTRAL_SIZE, a->path, a->n);
    return xk_buf_put(&w->dir, head, n + extra);
}

/* How much of extra fields makes the contents of a stored file begin at a multiple of the alignment. */
static uint32_t pad_for(const struct xk_crunch_writer *w, const struct adding *a)
{
    uint8_t time[TIME_EXTRA];
    uint32_t align = w->spec.align, begin, pad;

    if (align < 2 || a->method != XK_CRUNCH_STORED || a->size == 0)
        return 0;
    begin = w->at + (uint32_t)(ZIP_LOCAL_SIZE + a->n + put_time(time, a));
    pad = (0 - begin) & (align - 1);
    while (pad && pad < ALIGN_EXTRA)
        pad += align;
    return pad;
}

static int add(struct xk_crunch_writer *w, struct adding *a)
{
    uint32_t local = w->at;
    int r;

    a->crc = (uint32_t)crc32(crc32(0, NULL, 0), a->data, a->size);
    a->dos = zip_dos_time(a->time);
    r = pack(w, a);
    if (r < 0)
        return r;
    a->pad = pad_for(w, a);
    if ((uint64_t)w->at + ZIP_LOCAL_SIZE + a->n + TIME_EXTRA + a->pad + a->stored_size + xk_buf_len(&w->dir) +
                ZIP_CENTRAL_SIZE + a->n + TIME_EXTRA + ZIP_END_SIZE >
            XK_CRUNCH_SIZE_MAX ||
        w->count == XK_CRUNCH_FILES_MAX)
        return XK_E2BIG;
    r = put_local(w, a);
    if (r == 0)
        r = put(w, a->stored, a->stored_size);
    if (r == 0)
        r = put_central(w, a, local);
    w->count++;
    return r;
}

int xk_crunch_add(struct xk_crunch_writer *w, const char *path, size_t n, const void *data, size_t size, int64_t time,
                  struct xk_diag *d)
{
    struct adding a = {.path = path, .n = n, .data = data, .size = (uint32_t)size, .time = time};
    const char *fault = zip_path_fault(path, n);

    if (w->err)
        return w->err;
    if (fault)
        return xk_diag_set(d, XK_EINVAL, 0, 0, "the path %s", fault);
    if (w->last_len && zip_path_compare(path, n, w->last, w->last_len) <= 0)
        return xk_diag_set(d, XK_EINVAL, 0, 0, "paths come in the order of their bytes, each once");
    w->err = size > XK_CRUNCH_SIZE_MAX ? XK_E2BIG : add(w, &a);
    memcpy(w->last, path, n);
    w->last_len = n;
    return w->err;
}

int xk_crunch_finish(struct xk_crunch_writer *w)
{
    uint8_t end[ZIP_END_SIZE] = {0};
    uint32_t start = w->at;
    int r;

    if (w->err)
        return w->err;
    zip_put32(end, ZIP_END);
    zip_put16(end + 8, w->count);
    zip_put16(end + 10, w->count);
    zip_put32(end + 12, (uint32_t)xk_buf_len(&w->dir));
    zip_put32(end + 16, start);
    r = put(w, xk_buf_len(&w->dir) ? xk_buf_head(&w->dir) : end, xk_buf_len(&w->dir));
    if (r == 0)
        r = put(w, end, sizeof(end));
    w->err = r < 0 ? r : XK_ECLOSED;
    return r;
}
