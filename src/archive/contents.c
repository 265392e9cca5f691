/* Contents of files: in pieces, as a whole, as gzip. What comes out is as long as the directory says and has its CRC,
 * or is damaged. SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>

#include "archive/alloc.h"
#include "archive/zip.h"

struct xk_crunch_stream {
    xk_alloc alloc;
    struct xk_crunch_file file;
    z_stream z;
    uint32_t left, crc;
    int ended; /* the end was looked at: 1, or XK_EPROTO */
};

int xk_crunch_stream_open(const xk_alloc *alloc, const struct xk_crunch_file *f, struct xk_crunch_stream **out)
{
    struct xk_crunch_stream *s = xk_new(alloc, sizeof(*s));

    *out = NULL;
    if (!s)
        return XK_ENOMEM;
    s->alloc = alloc ? *alloc : *xk_alloc_libc();
    s->file = *f;
    s->left = f->size;
    if (f->method == XK_CRUNCH_DEFLATED) {
        s->z.zalloc = zip_zalloc;
        s->z.zfree = zip_zfree;
        s->z.opaque = &s->alloc;
        s->z.next_in = f->data;
        s->z.avail_in = f->stored_size;
        if (inflateInit2(&s->z, -MAX_WBITS) != Z_OK) {
            xk_free(alloc, s, sizeof(*s));
            return XK_ENOMEM;
        }
    }
    *out = s;
    return 0;
}

void xk_crunch_stream_close(struct xk_crunch_stream *s)
{
    if (s) {
        xk_alloc alloc = s->alloc;
        if (s->file.method == XK_CRUNCH_DEFLATED)
            inflateEnd(&s->z);
        xk_free(&alloc, s, sizeof(*s));
    }
}

/* (n) bytes, 0 < n <= left. Once all is wanted zlib needs no window. */
static int inflate_some(struct xk_crunch_stream *s, uint8_t *buf, uint32_t n)
{
    int r = Z_OK;

    s->z.next_out = buf;
    s->z.avail_out = n;
    while (s->z.avail_out && r == Z_OK)
        r = inflate(&s->z, n == s->left ? Z_FINISH : Z_NO_FLUSH);
    if (r == Z_MEM_ERROR)
        return XK_ENOMEM;
    return s->z.avail_out ? XK_EPROTO : 0;
}

/* All was given: nothing is left of what was stored, and the CRC is right. */
static int look_at_end(struct xk_crunch_stream *s)
{
    uint8_t more;

    if (s->crc != s->file.crc)
        return XK_EPROTO;
    if (s->file.method == XK_CRUNCH_STORED)
        return 1;
    s->z.next_out = &more;
    s->z.avail_out = 1;
    return inflate(&s->z, Z_FINISH) == Z_STREAM_END && s->z.avail_out == 1 && s->z.avail_in == 0 ? 1 : XK_EPROTO;
}

int xk_crunch_stream_read(struct xk_crunch_stream *s, void *buf, size_t n)
{
    uint32_t some = n < s->left ? (uint32_t)n : s->left;
    int r = 0;

    if (s->ended < 0)
        return s->ended;
    some = some > INT_MAX ? INT_MAX : some;
    if (some && s->file.method == XK_CRUNCH_STORED)
        memcpy(buf, s->file.data + (s->file.size - s->left), some);
    else if (some)
        r = inflate_some(s, buf, some);
    if (r == 0) {
        s->crc = some ? (uint32_t)crc32(s->crc, buf, some) : s->crc;
        s->left -= some;
        if (s->left == 0 && !s->ended)
            r = look_at_end(s);
    }
    if (r != 0)
        s->ended = r;
    return r < 0 ? r : (int)some;
}

int xk_crunch_read(const xk_alloc *alloc, const struct xk_crunch_file *f, void *buf)
{
    struct xk_crunch_stream *s;
    uint8_t none;
    int r = xk_crunch_stream_open(alloc, f, &s);

    for (uint32_t at = 0; r >= 0;) {
        r = xk_crunch_stream_read(s, f->size ? (uint8_t *)buf + at : &none, f->size - at);
        if (r <= 0 || (at += (uint32_t)r) == f->size)
            break;
    }
    xk_crunch_stream_close(s);
    return r < 0 ? r : 0;
}

/* RFC 1952, section 2.3: no name, no time, so that equal contents are equal; the system is not said. */
int xk_crunch_gzip(const struct xk_crunch_file *f, uint8_t head[XK_CRUNCH_GZIP_HEAD], uint8_t tail[XK_CRUNCH_GZIP_TAIL])
{
    static const uint8_t begin[XK_CRUNCH_GZIP_HEAD] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};

    if (f->method != XK_CRUNCH_DEFLATED)
        return XK_EINVAL;
    memcpy(head, begin, sizeof(begin));
    zip_put32(tail, f->crc);
    zip_put32(tail + 4, f->size);
    return 0;
}
