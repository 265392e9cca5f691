/* Arbitrary bytes as an image. The first byte says whether the last record is put right; the rest is the image. What is
 * opened is listed, found, and read as a whole, in pieces and as gzip; nothing may crash, lead out of the image, go
 * beyond the size that was said, or keep memory. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "archive/zip.h"
#include "tests/c/fuzz/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 18 /* bytes that are read of an image, so that a bomb takes no time */ };

static size_t held;

static void *counting(void *ctx, void *p, size_t old, size_t size)
{
    (void)ctx;
    held += size - (p ? old : 0);
    if (size)
        return realloc(p, size);
    free(p);
    return NULL;
}

static const xk_alloc alloc = {counting, NULL};

static uint32_t whole(const struct xk_crunch_file *f, uint8_t *buf)
{
    uint32_t n = f->size;

    buf[n] = 0x5a;
    if (xk_crunch_read(&alloc, f, buf) < 0)
        n = UINT32_MAX;
    must(buf[f->size] == 0x5a);
    return n;
}

/* In pieces: the same, or as far as it goes. */
static void pieces(const struct xk_crunch_file *f, const uint8_t *want, uint32_t n, size_t most)
{
    struct xk_crunch_stream *s;
    uint8_t buf[1000];
    size_t at = 0;
    int r;

    must(xk_crunch_stream_open(&alloc, f, &s) == 0);
    while ((r = xk_crunch_stream_read(s, buf, sizeof(buf))) > 0 && at < most) {
        must(at + (size_t)r <= f->size);
        must(n == UINT32_MAX || memcmp(want + at, buf, (size_t)r) == 0);
        at += (size_t)r;
    }
    must(at >= most || (r == 0 && at == n) || (r < 0 && n == UINT32_MAX));
    xk_crunch_stream_close(s);
}

static void read_all(struct xk_crunch *c, const uint8_t *image, size_t size)
{
    static uint8_t buf[MOST + 1];
    size_t left = MOST;

    for (unsigned i = 0; i < xk_crunch_count(c); i++) {
        uint8_t head[XK_CRUNCH_GZIP_HEAD], tail[XK_CRUNCH_GZIP_TAIL];
        struct xk_crunch_file f, found;
        char etag[XK_CRUNCH_ETAG];
        xk_crunch_get(c, i, &f);
        must(zip_path_fault(f.path, f.path_len) == NULL);
        must(f.data >= image && f.stored_size <= size && f.data + f.stored_size <= image + size);
        must(xk_crunch_find(c, f.path, f.path_len, &found) == (int)i && found.data == f.data);
        must(*xk_crunch_type(&f) && f.time >= 0);
        xk_crunch_etag(&f, etag);
        must((xk_crunch_gzip(&f, head, tail) == 0) == (f.method == XK_CRUNCH_DEFLATED));
        must(!f.size || (xk_crunch_bytes(&f, f.size - 1, 1) != NULL) == (f.method == XK_CRUNCH_STORED));
        if (f.size > left) {
            pieces(&f, NULL, UINT32_MAX, 0);
            continue;
        }
        left -= f.size;
        pieces(&f, buf, whole(&f, buf), MOST);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xk_diag d = {0};
    struct xk_crunch *c;
    uint8_t *image;
    size_t n = size - 1;

    if (size == 0)
        return 0;
    image = malloc(n ? n : 1); /* a sanitizer sees what is beyond it */
    must(image != NULL);
    memcpy(image, data + 1, n);
    if (data[0] & 1 && n > ZIP_END_SIZE) { /* the directory ends where the last record begins */
        uint8_t *end = image + n - ZIP_END_SIZE;
        zip_put32(end, ZIP_END);
        zip_put32(end + 16, (uint32_t)(n - ZIP_END_SIZE) - zip_get32(end + 12));
        zip_put16(end + 20, 0);
    }
    held = 0;
    if (xk_crunch_open(&alloc, image, n, &c, &d) == 0) {
        read_all(c, image, n);
        xk_crunch_close(c);
    } else
        must(d.err == XK_EPROTO && d.text[0]);
    must(held == 0);
    free(image);
    return 0;
}
