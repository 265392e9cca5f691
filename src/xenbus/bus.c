/* Devices that come: a watch on the folder of all of a kind, and a look at those that are there.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/err.h>
#include <xenkit/xenbus.h>

#include "base/list.h"

enum { DEEPEST = 4 };

struct listing { /* a folder that is being listed */
    struct xk_store_call call;
    struct xk_xenbus_watch *bus;
    struct xk_list link;
    unsigned level;
    size_t n;
    char path[];
};

struct xk_xenbus_watch {
    xk_alloc alloc;
    struct xk_store *store;
    struct xk_store_watch watch;
    struct xk_store_call call;
    struct xk_list listings;
    void (*found)(void *arg, const char *path);
    void *arg;
    unsigned levels;
    size_t root_len;
    char root[XK_STORE_ABS_PATH_MAX + 1];
};

static void list(struct xk_xenbus_watch *b, const char *folder, const char *name, unsigned level);

static void listing_free(struct listing *l)
{
    struct xk_xenbus_watch *b = l->bus;

    xk_store_call_cancel(b->store, &l->call);
    xk_list_del(&l->link);
    xk_free(&b->alloc, l, sizeof(*l) + l->n + 1);
}

static void on_list(struct xk_store_call *c, int err, const uint8_t *data, size_t n)
{
    struct listing *l = (struct listing *)c;

    for (size_t at = 0; err == 0 && at < n;) {
        const char *name = (const char *)data + at;
        size_t len = strnlen(name, n - at);
        if (at + len == n)
            break; /* without its NUL: no name */
        list(l->bus, l->path, name, l->level + 1);
        at += len + 1;
    }
    listing_free(l);
}

/* Folder (name) of (folder), which is (level) below the root. Without memory it is found at its next event. */
static void list(struct xk_xenbus_watch *b, const char *folder, const char *name, unsigned level)
{
    size_t n = strlen(folder), m = strlen(name), all = n + m + (m > 0);
    struct listing *l = xk_new(&b->alloc, sizeof(*l) + all + 1);
    struct xk_store_piece p;

    if (!l)
        return;
    l->bus = b;
    l->level = level;
    l->n = all;
    memcpy(l->path, folder, n);
    if (m) {
        l->path[n] = '/';
        memcpy(l->path + n + 1, name, m);
    }
    xk_list_init(&l->link);
    l->call.fn = on_list;
    if (level < b->levels) {
        xk_list_add_tail(&b->listings, &l->link);
        p = (struct xk_store_piece){l->path, all + 1};
        if (xk_store_call_start(b->store, &l->call, XK_STORE_DIRECTORY, 0, &p, 1) == 0)
            return;
    } else {
        b->found(b->arg, l->path);
    }
    listing_free(l);
}

static void on_event(struct xk_store_watch *w, const char *path)
{
    struct xk_xenbus_watch *b = XK_CONTAINER(w, struct xk_xenbus_watch, watch);
    char device[XK_STORE_ABS_PATH_MAX + 1];
    size_t n = strlen(path), i = b->root_len;
    unsigned level = 0;

    if (n == b->root_len) {
        list(b, b->root, "", 0);
        return;
    }
    if (n > XK_STORE_ABS_PATH_MAX || n < b->root_len || path[i] != '/')
        return;
    for (; i < n; i++)
        if (path[i] == '/' && level++ == b->levels)
            break;
    if (level < b->levels)
        return;
    memcpy(device, path, i);
    device[i] = '\0';
    b->found(b->arg, device);
}

static void on_watched(struct xk_store_call *c, int err, const uint8_t *data, size_t n)
{
    (void)c;
    (void)err;
    (void)data;
    (void)n;
}

int xk_xenbus_watch(const xk_alloc *alloc, struct xk_store *store, const char *root, unsigned levels,
                    void (*found)(void *arg, const char *path), void *arg, struct xk_xenbus_watch **out)
{
    struct xk_xenbus_watch *b;
    int r;

    if (strlen(root) > XK_STORE_ABS_PATH_MAX || levels == 0 || levels > DEEPEST)
        return XK_EINVAL;
    b = xk_new(alloc, sizeof(*b));
    if (!b)
        return XK_ENOMEM;
    b->alloc = alloc ? *alloc : *xk_alloc_libc();
    b->store = store;
    b->found = found;
    b->arg = arg;
    b->levels = levels;
    b->root_len = strlen(root);
    memcpy(b->root, root, b->root_len + 1);
    xk_list_init(&b->listings);
    b->watch.fn = on_event;
    b->call.fn = on_watched;
    r = xk_store_watch_add(store, &b->watch, b->root, &b->call);
    if (r < 0) {
        xk_free(&b->alloc, b, sizeof(*b));
        return r;
    }
    *out = b;
    return 0;
}

void xk_xenbus_unwatch(struct xk_xenbus_watch *b)
{
    xk_alloc alloc = b->alloc;

    xk_store_watch_remove(b->store, &b->watch, b->root);
    xk_store_call_cancel(b->store, &b->call);
    XK_LIST_EACH_SAFE(l, &b->listings)
    listing_free(XK_CONTAINER(l, struct listing, link));
    xk_free(&alloc, b, sizeof(*b));
}
