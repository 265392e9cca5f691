/* xenkit/crunch.h - a folder as one image that is read where it lies. The image is a ZIP file (PKWARE's APPNOTE.TXT
 * 6.3.10) without encryption, ZIP64 or parts: unzip and others read it, and theirs are read here.
 *
 * Paths are UTF-8 without control letters, 1 .. 1024 bytes, parts divided by "/". One that could lead out of a folder
 * is refused when an image is made and when one is opened: "." and ".." and empty parts, a slash or a drive ("c:") at
 * its beginning, a backslash; and so is a path that is there twice. Paths are found byte by byte, in their order as
 * bytes.
 *
 * The reader's image must not change while it is open. Nothing blocks; sizes are in bytes, times in seconds after 1970.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_CRUNCH_H
#define XENKIT_CRUNCH_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>
#include <xenkit/err.h>
#include <xenkit/http.h>

XK_API_BEGIN

enum {
    XK_CRUNCH_PATH_MAX = 1024,
    XK_CRUNCH_FILES_MAX = 65534,
    XK_CRUNCH_ALIGN_MAX = 32768,
};
#define XK_CRUNCH_SIZE_MAX (UINT32_MAX - 1) /* of a file, and of an image */

/* --- reading ---------------------------------------------------------------------------------------------------- */

struct xk_crunch;

enum xk_crunch_method { XK_CRUNCH_STORED = 0, XK_CRUNCH_DEFLATED = 8 }; /* section 4.4.5 */

/* A file of an image. Pointers lead into the image. */
struct xk_crunch_file {
    const char *path; /* without a NUL */
    const uint8_t *data;
    uint32_t path_len;
    uint32_t size, stored_size; /* of its contents; of (data) */
    uint32_t crc;               /* CRC-32 of its contents, as the image says */
    enum xk_crunch_method method;
    int64_t time; /* of its last change; 0: not known (ZIP's first day, 1980-01-01) */
};

/* xk_crunch_open (alloc, image, n, out, d) - looks at the whole directory of the image once: each field, each path,
 * where contents lie and that none overlap. It takes eight bytes a file. XK_EPROTO, and (d), which may be NULL, says
 * what is wrong where: no ZIP file, damage, bytes before or behind it that it does not count, encryption, ZIP64,
 * another method, a link, a path as above. XK_ENOMEM. Contents are not looked at. */
XK_MUSTCHECK int xk_crunch_open(const xk_alloc *alloc, const void *image, size_t n, struct xk_crunch **out,
                                struct xk_diag *d);
void xk_crunch_close(struct xk_crunch *c); /* NULL allowed */

/* xk_crunch_count: how many files. xk_crunch_get (c, i, out): the file (i) in the order of paths, i < count.
 * xk_crunch_find (c, path, n, out): its number, or XK_ENOENT. xk_crunch_seek (c, path, n): the number of the first
 * file whose path is not before (path); count where there is none. None allocates. */
unsigned xk_crunch_count(const struct xk_crunch *c);
void xk_crunch_get(const struct xk_crunch *c, unsigned i, struct xk_crunch_file *out);
XK_MUSTCHECK int xk_crunch_find(const struct xk_crunch *c, const char *path, size_t n, struct xk_crunch_file *out);
unsigned xk_crunch_seek(const struct xk_crunch *c, const char *path, size_t n);

/* xk_crunch_type (f) - its media type, by the ending of its path (xk_http_media_type). Static. */
static inline const char *xk_crunch_type(const struct xk_crunch_file *f)
{
    return xk_http_media_type(f->path, f->path_len);
}

/* xk_crunch_etag (f, out) - a strong entity tag of its contents, from CRC-32 and size, with quotes and a NUL. It tells
 * versions apart; it is no proof against somebody who makes collisions of his own files. */
enum { XK_CRUNCH_ETAG = 24 };
void xk_crunch_etag(const struct xk_crunch_file *f, char out[XK_CRUNCH_ETAG]);

/* xk_crunch_bytes (f, at, n) - the bytes [at, at + n) of a stored file, where they lie. NULL: it is deflated, or is
 * shorter. */
const void *xk_crunch_bytes(const struct xk_crunch_file *f, uint32_t at, uint32_t n);

/* xk_crunch_gzip (f, head, tail) - (head), its (data) and (tail) together are its contents as gzip (RFC 1952), without
 * work. XK_EINVAL: it is not deflated. */
enum { XK_CRUNCH_GZIP_HEAD = 10, XK_CRUNCH_GZIP_TAIL = 8 };
XK_MUSTCHECK int xk_crunch_gzip(const struct xk_crunch_file *f, uint8_t head[XK_CRUNCH_GZIP_HEAD],
                                uint8_t tail[XK_CRUNCH_GZIP_TAIL]);

/* xk_crunch_read (alloc, f, buf) - all of its contents into (buf), which has room for f->size bytes. XK_EPROTO: they
 * are damaged, what is in (buf) is nothing; XK_ENOMEM: some 10 KiB are needed meanwhile. */
XK_MUSTCHECK int xk_crunch_read(const xk_alloc *alloc, const struct xk_crunch_file *f, void *buf);

/* Its contents from the beginning to the end in pieces; some 42 KiB. xk_crunch_stream_read gives how many bytes, (n),
 * at most INT_MAX, or what is left; 0 at the end; XK_EPROTO: damaged, from then on. That the whole is right is known
 * when the last byte was given. close: NULL allowed. */
struct xk_crunch_stream;
XK_MUSTCHECK int xk_crunch_stream_open(const xk_alloc *alloc, const struct xk_crunch_file *f,
                                       struct xk_crunch_stream **out);
XK_MUSTCHECK int xk_crunch_stream_read(struct xk_crunch_stream *s, void *buf, size_t n);
void xk_crunch_stream_close(struct xk_crunch_stream *s);

/* --- making ----------------------------------------------------------------------------------------------------- */

/* The image goes to (put) from its beginning to its end; what that returns below 0 ends the writer. */
struct xk_crunch_spec {
    int (*put)(void *arg, const void *data, size_t n);
    void *arg;
    int level;      /* of deflate, 1 .. 9; 0: 9 */
    uint32_t align; /* contents of stored files begin at multiples of it: a power of two up to 32768; 0: anywhere */
};

struct xk_crunch_writer;
/* XK_EINVAL, XK_ENOMEM: some 300 KiB. close: NULL allowed; without xk_crunch_finish there is no image. */
XK_MUSTCHECK int xk_crunch_writer_new(const xk_alloc *alloc, const struct xk_crunch_spec *spec,
                                      struct xk_crunch_writer **out);
void xk_crunch_writer_close(struct xk_crunch_writer *w);

/* xk_crunch_add (w, path, n, data, size, time, d) - a file. Paths come in the order of their bytes. It is deflated
 * where that takes a sixteenth off it. (time) before 1980: not known. The same files in the same order make the same
 * bytes with the same zlib. XK_EINVAL and (d), NULL allowed: the path is none, or comes too late; XK_E2BIG: more files,
 * or bytes, than fit; XK_ENOMEM; what (put) said. The writer is of no more use then, but for XK_EINVAL. */
XK_MUSTCHECK int xk_crunch_add(struct xk_crunch_writer *w, const char *path, size_t n, const void *data, size_t size,
                               int64_t time, struct xk_diag *d);

/* xk_crunch_finish (w) - the directory. Nothing is added after it. */
XK_MUSTCHECK int xk_crunch_finish(struct xk_crunch_writer *w);

XK_API_END

#endif
