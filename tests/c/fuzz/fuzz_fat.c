/* Arbitrary bytes as a FAT file system. The first 16 bytes are what is done to it; the rest is the image. Nothing that
 * is listed, read, written, renamed, removed or put right may crash, go on for ever or keep memory; what is found sound
 * is sound after it was used. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenkit/fat.h>

#include "tests/c/fuzz/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 20, DEEP = 4, MANY = 200, PATH = XK_FAT_PATH_MAX };

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

static struct xk_file *file_of(const void *p, size_t n)
{
    struct xk_file *file;

    must(xk_file_memory(&alloc, ROOM, &file) == 0);
    must(n == 0 || xk_file_write(file, p, n, 0) == (int)n);
    return file;
}

/* --- all of it is read -------------------------------------------------------------------------------------------- */

struct walk {
    struct xk_fat *f;
    char path[PATH];
    int depth, *seen;
};

static void read_one(struct xk_fat *f, const char *path)
{
    uint8_t buf[3000];
    struct xk_file *h;

    if (xk_fat_open(f, path, 0, &h) < 0)
        return;
    for (uint64_t at = 0; at < 30000; at += 7000)
        (void)!xk_file_read(h, buf, sizeof(buf), at);
    xk_file_close(h);
}

static int see(void *arg, const struct xk_fat_stat *e)
{
    struct walk *w = arg, below = {.f = w->f, .depth = w->depth + 1, .seen = w->seen};

    if (++*w->seen > MANY || strlen(w->path) + strlen(e->name) + 2 > PATH)
        return 1;
    must(memchr(e->name, 0, sizeof(e->name)) && memchr(e->short_name, 0, sizeof(e->short_name)));
    snprintf(below.path, PATH, "%.3300s/%s", w->path, e->name);
    if (!(e->attributes & XK_FAT_DIRECTORY))
        read_one(w->f, below.path);
    else if (below.depth < DEEP)
        (void)!xk_fat_list(w->f, below.path, see, &below);
    return 0;
}

enum { CONTENTS = 1000 };

static int see_contents(void *arg, const struct xk_fat_stat *e, const void *contents)
{
    must(!contents || (contents == arg && e->size <= CONTENTS && !(e->attributes & XK_FAT_DIRECTORY)));
    return 0;
}

static void read_all(struct xk_fat *f)
{
    uint8_t buf[CONTENTS];
    int seen = 0;
    struct walk w = {.f = f, .seen = &seen};

    (void)!xk_fat_list(f, "/", see, &w);
    (void)!xk_fat_read_each(f, "/", buf, sizeof(buf), see_contents, buf);
}

/* --- it is used --------------------------------------------------------------------------------------------------- */

static void add_some(struct xk_fat *f, const char *dir, const uint8_t *bytes, unsigned size)
{
    struct xk_fat_new list[3] = {{"A", bytes, size}, {"many at once", bytes, size * 7}, {"B.C", bytes, 0}};

    for (unsigned i = 0; i < 3;) {
        int r = xk_fat_add(f, dir, list + i, 3 - i);
        must(r != 0 && r <= (int)(3 - i));
        i += r > 0 ? (unsigned)r : 1;
    }
}

static void use(struct xk_fat *f, const uint8_t *what)
{
    static const char *const names[] = {"/A",   "/dir",  "/dir/a long name", "/FILE.TXT", "/dir/sub/x", "/\xc3\xa4",
                                        "/B.C", "/dir/y"};
    struct xk_fat_info info;
    uint8_t buf[2000];

    for (int i = 0; i < 15; i++) {
        const char *a = names[what[i] & 7], *b = names[what[i] >> 3 & 7];
        struct xk_file *h;
        memset(buf, what[i], sizeof(buf));
        switch (what[i] >> 6) {
        case 0:
            (void)!xk_fat_mkdir(f, a);
            (void)!xk_fat_rename(f, a, b);
            add_some(f, what[i] & 8 ? "/dir" : "/", buf, what[i + 1]);
            break;
        case 1:
            (void)!xk_fat_remove(f, a);
            (void)!xk_fat_sync(f);
            break;
        default:
            if (xk_fat_open(f, a, XK_FAT_CREATE, &h) < 0)
                break;
            if (xk_file_write(h, buf, 1000, what[i + 1] * 10) == 1000)
                must(xk_file_read(h, buf + 1000, 1000, what[i + 1] * 10) == 1000 && memcmp(buf, buf + 1000, 1000) == 0);
            if (what[i] & 0x40)
                (void)!xk_file_truncate(h, what[i + 1] * 20);
            xk_file_close(h);
        }
    }
    (void)!xk_fat_get_info(f, &info);
}

static int bad(const struct xk_file *file)
{
    return xk_fat_check(&alloc, (struct xk_file *)(uintptr_t)file, 0, NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xk_fat_options o = {.readonly = 1};
    struct xk_file *file, *copy;
    struct xk_fat *f;
    static uint8_t bytes[ROOM];
    int was;

    if (size < 16 || size > ROOM / 2)
        return 0;
    held = 0;
    file = file_of(data + 16, size - 16);
    was = bad(file);
    if (xk_fat_mount(&alloc, file, &o, &f) == 0) {
        read_all(f);
        must(xk_fat_mkdir(f, "/new") < 0);
        must(xk_fat_unmount(f) == 0);
    }
    must(held == 0);
    file = file_of(data + 16, size - 16);
    copy = file_of("", 0);
    if (xk_fat_check(&alloc, file, 1, NULL, NULL) == 0)
        must(bad(file) == 0);
    xk_file_close(copy);
    if (xk_fat_mount(&alloc, file, NULL, &f) == 0) {
        int64_t n;
        use(f, data);
        read_all(f);
        must(xk_fat_sync(f) == 0);
        must(xk_fat_check(&alloc, file, 0, NULL, NULL) == 0 || was != 0);
        n = xk_file_size(file);
        must(xk_file_read(file, bytes, (size_t)n, 0) == n);
        must(xk_fat_unmount(f) == 0);
    }
    must(held == 0);
    return 0;
}
