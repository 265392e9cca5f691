/* An image opened: its directory is checked as a whole, then each file is two numbers, where its record is and where
 * its contents are, in the order of paths. No field is believed before it was looked at, and what the directory and a
 * file's own header say is the same, or other programs would see another file than this one. SPDX-License-Identifier:
 * MIT */
#include <stdio.h>
#include <string.h>

#include "archive/zip.h"

enum { COMMENT_MAX = 65535, SHOWN = 80, BLOWN_UP = 1032 /* deflate's most: 258 bytes of two bits */ };

struct entry {
    uint32_t central, data;
};

struct xk_crunch {
    xk_alloc alloc;
    const uint8_t *p;
    uint32_t end; /* where the directory begins: contents end before it */
    uint32_t count, room;
    struct entry list[];
};

static size_t bytes_for(uint32_t files) { return sizeof(struct xk_crunch) + files * sizeof(struct entry); }

/* --- fields of a record of the directory --- */

static const char *path_of(const uint8_t *central) { return (const char *)central + ZIP_CENTRAL_SIZE; }
static uint16_t path_len(const uint8_t *central) { return zip_get16(central + 28); }
static uint32_t local_of(const uint8_t *central) { return zip_get32(central + 42); }

/* The time of Info-ZIP's extra field, which is UTC; else MS-DOS', which has no zone and is taken to be UTC. */
static int64_t time_of(const uint8_t *central)
{
    const uint8_t *p = central + ZIP_CENTRAL_SIZE + path_len(central), *end = p + zip_get16(central + 30);

    while (end - p >= 4) {
        uint16_t n = zip_get16(p + 2);
        if (end - p - 4 < n)
            break;
        if (zip_get16(p) == ZIP_EXTRA_TIME && n >= 5 && p[4] & 1) {
            int64_t t = (int32_t)zip_get32(p + 5);
            return t <= ZIP_NO_TIME ? 0 : t;
        }
        p += 4 + n;
    }
    return zip_time(zip_get32(central + 12));
}

/* --- checks --- */

/* A record whose path was found to be one. */
static int bad(struct xk_diag *d, const uint8_t *central, const char *what)
{
    unsigned n = path_len(central);

    xk_diag_set(d, XK_EPROTO, 0, 0, "'%.*s%s' %s", n > SHOWN ? SHOWN : (int)n, path_of(central), n > SHOWN ? "..." : "",
                what);
    return XK_EPROTO;
}

static int bad_image(struct xk_diag *d, const char *what)
{
    xk_diag_set(d, XK_EPROTO, 0, 0, "%s", what);
    return XK_EPROTO;
}

/* The last record: where it is. The last signature counts, as it does for other programs, and it must end the image. */
static int find_end(const uint8_t *p, size_t n, size_t *out, struct xk_diag *d)
{
    size_t least, at;

    if (n < ZIP_END_SIZE)
        return bad_image(d, "it is no ZIP file: too short");
    least = n > ZIP_END_SIZE + COMMENT_MAX ? n - ZIP_END_SIZE - COMMENT_MAX : 0;
    at = n - ZIP_END_SIZE;
    while (zip_get32(p + at) != ZIP_END) {
        if (at == least)
            return bad_image(d, "it is no ZIP file, or its end is missing");
        at--;
    }
    if (zip_get16(p + at + 20) != n - at - ZIP_END_SIZE)
        return bad_image(d, "there is something behind its end, or its end is missing");
    *out = at;
    return 0;
}

/* What the last record says of the directory. */
static int check_end(const uint8_t *p, size_t at, uint32_t *start, uint32_t *files, struct xk_diag *d)
{
    const uint8_t *e = p + at;
    uint32_t size = zip_get32(e + 12), offset = zip_get32(e + 16), n = zip_get16(e + 10);

    if (n > XK_CRUNCH_FILES_MAX || size == UINT32_MAX || offset == UINT32_MAX)
        return bad_image(d, "it is a ZIP64 file: at most 65534 files and 4 GiB are read here");
    if (zip_get16(e + 4) != 0 || zip_get16(e + 6) != 0 || zip_get16(e + 8) != n)
        return bad_image(d, "it is a part of a ZIP file in several parts");
    if (size > at || offset > at)
        return bad_image(d, "its directory is said to be behind its end");
    if (offset + (uint64_t)size != at)
        return bad_image(
            d, "there are bytes before it that it does not count (`zip -A` puts that right), or it is damaged");
    if (n > size / ZIP_CENTRAL_SIZE)
        return bad_image(d, "its directory is too short for its files");
    *start = offset;
    *files = n;
    return 0;
}

static int is_folder(const uint8_t *central) { return path_of(central)[path_len(central) - 1] == '/'; }

static int check_path(const uint8_t *central, uint32_t number, struct xk_diag *d)
{
    size_t n = path_len(central);
    const char *fault = zip_path_fault(path_of(central), n > 1 && is_folder(central) ? n - 1 : n);

    return fault ? xk_diag_set(d, XK_EPROTO, 0, 0, "the path of its file %u %s", number + 1, fault) : 0;
}

static int check_kind(const uint8_t *central, struct xk_diag *d)
{
    unsigned mode = central[5] == ZIP_UNIX ? zip_get16(central + 40) & ZIP_IFMT : 0;

    if (mode && mode != (is_folder(central) ? ZIP_IFDIR : ZIP_IFREG))
        return bad(d, central, "is a link or no plain file; `zip` without -y puts what links lead to");
    return 0;
}

static int check_sizes(const uint8_t *central, struct xk_diag *d)
{
    uint32_t stored = zip_get32(central + 20), size = zip_get32(central + 24);
    uint16_t flags = zip_get16(central + 8), method = zip_get16(central + 10);

    if (flags & (ZIP_ENCRYPTED | ZIP_STRONG | ZIP_MASKED))
        return bad(d, central, "is encrypted");
    if ((method != XK_CRUNCH_STORED && method != XK_CRUNCH_DEFLATED) || flags & ZIP_PATCHED)
        return bad(d, central, "is compressed otherwise than by deflate");
    if (size == UINT32_MAX || stored == UINT32_MAX || local_of(central) == UINT32_MAX)
        return bad(d, central, "is of ZIP64");
    if (zip_get16(central + 34) != 0)
        return bad(d, central, "is said to be in another part");
    if (method == XK_CRUNCH_STORED ? size != stored : size > (uint64_t)stored * BLOWN_UP)
        return bad(d, central, "has a size that cannot be");
    if (is_folder(central) && size != 0)
        return bad(d, central, "is a folder with contents");
    return 0;
}

/* The file's own header, and that its contents are before the directory. */
static int check_local(const struct xk_crunch *c, const uint8_t *central, uint32_t *data, struct xk_diag *d)
{
    uint32_t at = local_of(central), stored = zip_get32(central + 20);
    const uint8_t *l = c->p + at;
    uint64_t begin;

    if (at > c->end || c->end - at < ZIP_LOCAL_SIZE || zip_get32(l) != ZIP_LOCAL)
        return bad(d, central, "is not where the directory says");
    begin = (uint64_t)at + ZIP_LOCAL_SIZE + zip_get16(l + 26) + zip_get16(l + 28);
    if (begin + stored > c->end)
        return bad(d, central, "is cut off");
    if (zip_get16(l + 26) != path_len(central) || memcmp(l + ZIP_LOCAL_SIZE, path_of(central), path_len(central)) != 0)
        return bad(d, central, "has another path at its contents");
    if (zip_get16(l + 8) != zip_get16(central + 10) || (zip_get16(l + 6) ^ zip_get16(central + 8)) & ZIP_ENCRYPTED ||
        (!(zip_get16(l + 6) & ZIP_DESCRIPTOR) && memcmp(l + 14, central + 16, 12) != 0))
        return bad(d, central, "has another method, CRC or size at its contents");
    *data = (uint32_t)begin;
    return 0;
}

/* One record at (at): its length. Folders are checked and left out. */
static int take(struct xk_crunch *c, uint32_t at, uint32_t end, uint32_t number, struct xk_diag *d)
{
    const uint8_t *central = c->p + at;
    uint32_t left = end - at, n, data = 0;
    int r;

    if (left < ZIP_CENTRAL_SIZE || zip_get32(central) != ZIP_CENTRAL)
        return xk_diag_set(d, XK_EPROTO, 0, 0, "its directory is damaged at file %u", number + 1);
    n = ZIP_CENTRAL_SIZE + path_len(central) + zip_get16(central + 30) + (uint32_t)zip_get16(central + 32);
    if (n > left || path_len(central) == 0)
        return xk_diag_set(d, XK_EPROTO, 0, 0, "its directory is cut off at file %u", number + 1);
    r = check_path(central, number, d);
    if (r == 0)
        r = check_kind(central, d);
    if (r == 0)
        r = check_sizes(central, d);
    if (r == 0)
        r = check_local(c, central, &data, d);
    if (r < 0)
        return r;
    if (!is_folder(central)) {
        c->list[c->count].central = at;
        c->list[c->count++].data = data;
    }
    return (int)n;
}

/* --- order --- */

typedef int (*compare_fn)(const struct xk_crunch *c, struct entry a, struct entry b);

static int by_place(const struct xk_crunch *c, struct entry a, struct entry b)
{
    uint32_t x = local_of(c->p + a.central), y = local_of(c->p + b.central);

    return x < y ? -1 : x > y;
}

static int by_path(const struct xk_crunch *c, struct entry a, struct entry b)
{
    const uint8_t *x = c->p + a.central, *y = c->p + b.central;

    return zip_path_compare(path_of(x), path_len(x), path_of(y), path_len(y));
}

static void sift(struct xk_crunch *c, compare_fn compare, uint32_t at, uint32_t n)
{
    struct entry e = c->list[at];

    for (uint32_t child; (child = at * 2 + 1) < n; at = child) {
        if (child + 1 < n && compare(c, c->list[child], c->list[child + 1]) < 0)
            child++;
        if (compare(c, e, c->list[child]) >= 0)
            break;
        c->list[at] = c->list[child];
    }
    c->list[at] = e;
}

/* A heap sort, as a stranger's directory may have any order; what is sorted, as ours is, is left alone. */
static void sort(struct xk_crunch *c, compare_fn compare)
{
    uint32_t n = c->count, i = 1;

    while (i < n && compare(c, c->list[i - 1], c->list[i]) < 0)
        i++;
    if (i >= n)
        return;
    for (i = n / 2; i-- > 0;)
        sift(c, compare, i, n);
    for (i = n; i-- > 1;) {
        struct entry e = c->list[0];
        c->list[0] = c->list[i];
        c->list[i] = e;
        sift(c, compare, 0, i);
    }
}

static int check_order(struct xk_crunch *c, struct xk_diag *d)
{
    sort(c, by_place);
    for (uint32_t i = 1; i < c->count; i++) {
        const uint8_t *before = c->p + c->list[i - 1].central, *central = c->p + c->list[i].central;
        if (c->list[i - 1].data + zip_get32(before + 20) > local_of(central))
            return bad(d, central, "overlaps another file");
    }
    sort(c, by_path);
    for (uint32_t i = 1; i < c->count; i++)
        if (by_path(c, c->list[i - 1], c->list[i]) == 0)
            return bad(d, c->p + c->list[i].central, "is there twice");
    return 0;
}

static int check_all(struct xk_crunch *c, uint32_t end, uint32_t files, struct xk_diag *d)
{
    uint32_t at = c->end;

    for (uint32_t i = 0; i < files; i++) {
        int r = take(c, at, end, i, d);
        if (r < 0)
            return r;
        at += (uint32_t)r;
    }
    if (at != end)
        return bad_image(d, "its directory has more than its files");
    return check_order(c, d);
}

/* --- what is open --- */

int xk_crunch_open(const xk_alloc *alloc, const void *image, size_t n, struct xk_crunch **out, struct xk_diag *d)
{
    const uint8_t *p = image;
    struct xk_crunch *c;
    uint32_t start, files;
    size_t end;
    int r;

    *out = NULL;
    if (n > XK_CRUNCH_SIZE_MAX)
        return bad_image(d, "it is 4 GiB or more");
    r = find_end(p, n, &end, d);
    if (r == 0)
        r = check_end(p, end, &start, &files, d);
    if (r < 0)
        return r;
    c = xk_new(alloc, bytes_for(files));
    if (!c)
        return xk_diag_set(d, XK_ENOMEM, 0, 0, "%s", xk_err_text(XK_ENOMEM));
    c->alloc = alloc ? *alloc : *xk_alloc_libc();
    c->p = p;
    c->end = start;
    c->room = files;
    r = check_all(c, (uint32_t)end, files, d);
    if (r == 0)
        *out = c;
    else
        xk_crunch_close(c);
    return r;
}

void xk_crunch_close(struct xk_crunch *c)
{
    if (c) {
        xk_alloc alloc = c->alloc;
        xk_free(&alloc, c, bytes_for(c->room));
    }
}

unsigned xk_crunch_count(const struct xk_crunch *c) { return c->count; }

void xk_crunch_get(const struct xk_crunch *c, unsigned i, struct xk_crunch_file *out)
{
    const uint8_t *central = c->p + c->list[i].central;

    out->path = path_of(central);
    out->path_len = path_len(central);
    out->data = c->p + c->list[i].data;
    out->size = zip_get32(central + 24);
    out->stored_size = zip_get32(central + 20);
    out->crc = zip_get32(central + 16);
    out->method = zip_get16(central + 10) ? XK_CRUNCH_DEFLATED : XK_CRUNCH_STORED;
    out->time = time_of(central);
}

unsigned xk_crunch_seek(const struct xk_crunch *c, const char *path, size_t n)
{
    unsigned low = 0, high = c->count;

    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        const uint8_t *central = c->p + c->list[mid].central;
        if (zip_path_compare(path_of(central), path_len(central), path, n) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int xk_crunch_find(const struct xk_crunch *c, const char *path, size_t n, struct xk_crunch_file *out)
{
    unsigned i = xk_crunch_seek(c, path, n);
    const uint8_t *central;

    if (i == c->count)
        return XK_ENOENT;
    central = c->p + c->list[i].central;
    if (path_len(central) != n || memcmp(path_of(central), path, n) != 0)
        return XK_ENOENT;
    xk_crunch_get(c, i, out);
    return (int)i;
}

void xk_crunch_etag(const struct xk_crunch_file *f, char out[XK_CRUNCH_ETAG])
{
    snprintf(out, XK_CRUNCH_ETAG, "\"%08x-%x\"", (unsigned)f->crc, (unsigned)f->size);
}

const void *xk_crunch_bytes(const struct xk_crunch_file *f, uint32_t at, uint32_t n)
{
    return f->method == XK_CRUNCH_STORED && at <= f->size && n <= f->size - at ? f->data + at : NULL;
}
