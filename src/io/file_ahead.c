/* A file that is read a window at a time, so that many small reads beside each other are few of the file below. There
 * are some windows, as a file system reads its tables, a directory and contents in turn; the one that was used longest
 * ago is read anew. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/file.h>

enum { WINDOWS = 4, WINDOW = 32768 };

struct window {
    uint64_t at, used;
    int n;         /* bytes of the file from (at) on; 0: nothing */
    uint8_t *data; /* NULL: it was not needed yet */
};

struct ahead {
    struct xk_file file; /* first */
    xk_alloc alloc;
    struct xk_file *below;
    uint64_t tick;
    struct window window[WINDOWS];
};

static struct window *window_at(struct ahead *a, uint64_t at)
{
    for (int i = 0; i < WINDOWS; i++)
        if (at >= a->window[i].at && at - a->window[i].at < (uint64_t)a->window[i].n)
            return &a->window[i];
    return NULL;
}

/* (at) and what follows, in place of the oldest. Its (n) is 0 at the end of the file. */
static int load(struct ahead *a, uint64_t at, struct window **out)
{
    struct window *w = &a->window[0];
    int r;

    for (int i = 1; i < WINDOWS; i++)
        if (a->window[i].used < w->used)
            w = &a->window[i];
    w->n = 0;
    if (!w->data)
        w->data = xk_resize(&a->alloc, NULL, 0, WINDOW);
    if (!w->data)
        return XK_ENOMEM;
    r = xk_file_read(a->below, w->data, WINDOW, at);
    if (r < 0)
        return r;
    w->at = at;
    w->n = r;
    *out = w;
    return 0;
}

static int ahead_read(struct xk_file *f, void *buf, size_t n, uint64_t at)
{
    struct ahead *a = (struct ahead *)f;
    size_t done = 0;

    if (n >= WINDOW)
        return xk_file_read(a->below, buf, n, at);
    while (done < n) {
        struct window *w = window_at(a, at + done);
        int r = w ? 0 : load(a, at + done, &w);
        size_t from, part;
        if (r < 0)
            return r;
        if (w->n == 0)
            break;
        from = (size_t)(at + done - w->at);
        part = (size_t)w->n - from < n - done ? (size_t)w->n - from : n - done;
        memcpy((uint8_t *)buf + done, w->data + from, part);
        w->used = ++a->tick;
        done += part;
    }
    return (int)done;
}

static int ahead_write(struct xk_file *f, const void *buf, size_t n, uint64_t at)
{
    (void)f, (void)buf, (void)n, (void)at;
    return XK_EROFS;
}

static int ahead_sync(struct xk_file *f)
{
    (void)f;
    return 0;
}

static int64_t ahead_size(struct xk_file *f) { return xk_file_size(((struct ahead *)f)->below); }

static int ahead_truncate(struct xk_file *f, uint64_t size)
{
    (void)f, (void)size;
    return XK_EROFS;
}

static void ahead_close(struct xk_file *f)
{
    struct ahead *a = (struct ahead *)f;
    xk_alloc alloc = a->alloc;

    xk_file_close(a->below);
    for (int i = 0; i < WINDOWS; i++)
        xk_free(&alloc, a->window[i].data, WINDOW);
    xk_free(&alloc, a, sizeof(*a));
}

static const struct xk_file_ops ops = {.version = XK_FILE_VERSION,
                                       .read = ahead_read,
                                       .write = ahead_write,
                                       .sync = ahead_sync,
                                       .size = ahead_size,
                                       .truncate = ahead_truncate,
                                       .close = ahead_close};

int xk_file_ahead(const xk_alloc *alloc, struct xk_file *below, struct xk_file **out)
{
    struct ahead *a = xk_new(alloc, sizeof(*a));

    if (!a) {
        xk_file_close(below);
        return XK_ENOMEM;
    }
    a->file.ops = &ops;
    a->alloc = alloc ? *alloc : *xk_alloc_libc();
    a->below = below;
    *out = &a->file;
    return 0;
}
