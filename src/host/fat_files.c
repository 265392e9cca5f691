/* Folders into FAT and out of it (fat_files.h): a batch of files is read on the one side, then written on the other.
 * In this file: 1. what both have  2. a folder's names  3. put  4. get. SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xenkit/fat_files.h>

#include "host/batch.h"
#include "platform/linux/sys.h"

enum { SMALL = 16384 /* bytes of a file */ };

/* --- 1. what both have -------------------------------------------------------------------------------------------- */

struct copy {
    struct xk_fat *fat;
    const char *path; /* the directory in FAT */
    int folder;       /* Linux' one */
    xk_fat_files_rest *rest;
    void *arg;
    struct xk_fat_files_failure *why;
    struct xk__batch *batch;
    uint8_t *data; /* SMALL bytes of each file; never touched where a file is shorter */
    struct xk__batch_file file[XK__BATCH_MAX];
    char (*name)[XK_FAT_NAME_MAX]; /* get: what (file) names */
    unsigned n;
};

static int fail(struct xk_fat_files_failure *why, int in_fat, const char *name, int err)
{
    why->in_fat = in_fat;
    snprintf(why->name, sizeof(why->name), "%s", name);
    return err;
}

static int begin(struct copy *c, struct xk_fat *fat, const char *path, const char *folder,
                 struct xk_fat_files_failure *why)
{
    c->fat = fat;
    c->path = path;
    c->why = why;
    c->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->folder < 0)
        return fail(why, 0, "", xk__sys_err(errno));
    c->batch = xk__batch_new();
    c->data = xk_resize(NULL, NULL, 0, (size_t)SMALL * XK__BATCH_MAX);
    return c->batch && c->data ? 0 : fail(why, 0, "", XK_ENOMEM);
}

static void end(struct copy *c)
{
    xk__batch_free(c->batch);
    xk_free(NULL, c->data, (size_t)SMALL * XK__BATCH_MAX);
    xk_free(NULL, c->name, sizeof(*c->name) * XK__BATCH_MAX);
    if (c->folder >= 0)
        close(c->folder);
}

static void take(struct copy *c, const char *name, uint32_t size)
{
    c->file[c->n] = (struct xk__batch_file){name, c->data + (size_t)c->n * SMALL, size, 0};
    c->n++;
}

/* --- 2. a folder's names ------------------------------------------------------------------------------------------ */

enum kind { PLAIN, FOLDER, OTHER };

struct names {
    char *text; /* each with its kind before it */
    size_t used, room;
    uint32_t *at; /* where they begin */
    size_t n, at_room;
};

/* Room for (more) in (*p), which has (used) of (*room) elements of (size) bytes. */
static int need(void *p, size_t *room, size_t used, size_t more, size_t size)
{
    void **list = p, *larger;
    size_t want = *room ? *room : 4096;

    if (used + more <= *room)
        return 0;
    while (want < used + more)
        want *= 2;
    larger = xk_resize(NULL, *list, *room * size, want * size);
    if (!larger)
        return XK_ENOMEM;
    *list = larger;
    *room = want;
    return 0;
}

/* What readdir says is enough of nearly all; links are followed. */
static enum kind kind_of(int folder, const struct dirent *e)
{
    struct stat st;

    if (e->d_type == DT_REG || e->d_type == DT_DIR)
        return e->d_type == DT_REG ? PLAIN : FOLDER;
    if (fstatat(folder, e->d_name, &st, 0) < 0)
        return OTHER;
    return S_ISREG(st.st_mode) ? PLAIN : S_ISDIR(st.st_mode) ? FOLDER : OTHER;
}

static int add_name(struct names *l, const char *name, enum kind kind)
{
    size_t n = strlen(name) + 1;
    int r = need(&l->text, &l->room, l->used, n + 1, 1);

    if (r == 0)
        r = need(&l->at, &l->at_room, l->n, 1, sizeof(*l->at));
    if (r < 0 || l->used > UINT32_MAX - n)
        return XK_ENOMEM;
    l->at[l->n++] = (uint32_t)l->used;
    l->text[l->used] = (char)kind;
    memcpy(l->text + l->used + 1, name, n);
    l->used += n + 1;
    return 0;
}

static int by_name(const void *a, const void *b, void *text)
{
    return strcmp((char *)text + *(const uint32_t *)a + 1, (char *)text + *(const uint32_t *)b + 1);
}

static int read_names(int folder, struct names *l)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *e;

    if (!d) {
        r = xk__sys_err(errno);
        if (copy >= 0)
            close(copy);
        return r;
    }
    while (r == 0 && (errno = 0, e = readdir(d)))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            r = add_name(l, e->d_name, kind_of(folder, e));
    if (r == 0 && errno)
        r = xk__sys_err(errno);
    closedir(d);
    if (l->n)
        qsort_r(l->at, l->n, sizeof(*l->at), by_name, l->text);
    return r;
}

/* --- 3. put ------------------------------------------------------------------------------------------------------- */

/* What is done one by one, with what it may need: the name is there, or cannot be. */
static int is_for_rest(int err) { return err == XK_EEXIST || err == XK_EISDIR || err == XK_EINVAL; }

static int add_to_fat(struct copy *c, const struct xk_fat_new *list, unsigned n)
{
    for (unsigned i = 0; i < n;) {
        int r = xk_fat_add(c->fat, c->path, list + i, n - i);
        if (r > 0) {
            i += (unsigned)r;
            continue;
        }
        r = is_for_rest(r) ? c->rest(c->arg, list[i].name, 0) : fail(c->why, 1, list[i].name, r);
        if (r)
            return r;
        i++;
    }
    return 0;
}

/* What has been taken is read and added, up to the first that could not be read. */
static int put_batch(struct copy *c)
{
    struct xk_fat_new list[XK__BATCH_MAX];
    unsigned n = 0, i;
    int r = 0, bad = 0;

    xk__batch_read(c->batch, c->folder, c->file, c->n);
    for (i = 0; i < c->n && r == 0; i++) {
        const struct xk__batch_file *f = &c->file[i];
        if (f->result < 0)
            break;
        if (f->result == SMALL)
            r = c->rest(c->arg, f->name, 0);
        else
            list[n++] = (struct xk_fat_new){f->name, f->data, (uint32_t)f->result};
    }
    if (r == 0 && i < c->n)
        bad = c->file[i].result;
    c->n = 0;
    if (r == 0)
        r = add_to_fat(c, list, n);
    return r == 0 && bad ? fail(c->why, 0, c->file[i].name, bad) : r;
}

int xk_fat_files_put(struct xk_fat *fat, const char *from, const char *path, xk_fat_files_rest *rest, void *arg,
                     struct xk_fat_files_failure *why)
{
    struct copy *c = xk_new(NULL, sizeof(*c));
    struct names l = {.n = 0};
    int r;

    if (!c)
        return fail(why, 0, "", XK_ENOMEM);
    c->rest = rest;
    c->arg = arg;
    r = begin(c, fat, path, from, why);
    if (r == 0 && (r = read_names(c->folder, &l)) < 0)
        (void)fail(why, 0, "", r);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        const char *name = l.text + l.at[i] + 1;
        enum kind kind = (enum kind)name[-1];
        if (kind == PLAIN)
            take(c, name, SMALL);
        else
            r = rest(arg, name, kind == FOLDER);
        if (r == 0 && c->n == XK__BATCH_MAX)
            r = put_batch(c);
    }
    if (r == 0 && c->n)
        r = put_batch(c);
    xk_free(NULL, l.text, l.room);
    xk_free(NULL, l.at, l.at_room * sizeof(*l.at));
    end(c);
    xk_free(NULL, c, sizeof(*c));
    return r;
}

/* --- 4. get ------------------------------------------------------------------------------------------------------- */

static int get_batch(struct copy *c)
{
    unsigned n = c->n;

    xk__batch_write(c->batch, c->folder, c->file, n);
    c->n = 0;
    for (unsigned i = 0; i < n; i++)
        if (c->file[i].result < 0)
            return fail(c->why, 0, c->file[i].name, c->file[i].result);
    return 0;
}

/* A name of a medium that is made to lead elsewhere. Who asks FAT for it by a path is told that there is none such. */
static int leads_out(const char *name)
{
    return !*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..");
}

static int read_from_fat(struct copy *c, const char *name)
{
    char path[XK_FAT_PATH_MAX + XK_FAT_NAME_MAX + 1];
    struct xk_file *f;
    int64_t size;
    int r;

    snprintf(path, sizeof(path), "%s/%s", c->path, name);
    r = xk_fat_open(c->fat, path, 0, &f);
    if (r < 0)
        return fail(c->why, 1, name, r);
    size = xk_file_size(f);
    if (size > SMALL) /* of two of one name the other is meant */
        r = c->rest(c->arg, name, 0);
    else {
        r = xk_file_read(f, c->data + (size_t)c->n * SMALL, (size_t)size, 0);
        if (r < 0)
            (void)fail(c->why, 1, name, r);
    }
    xk_file_close(f);
    if (r >= 0 && size <= SMALL) {
        snprintf(c->name[c->n], XK_FAT_NAME_MAX, "%s", name);
        take(c, c->name[c->n], (uint32_t)r);
        r = 0;
    }
    return r;
}

static int get_one(void *arg, const struct xk_fat_stat *e)
{
    struct copy *c = arg;
    int is_dir = (e->attributes & XK_FAT_DIRECTORY) != 0, r;

    if (is_dir || e->size > SMALL || leads_out(e->name))
        return c->rest(c->arg, e->name, is_dir);
    r = read_from_fat(c, e->name);
    return r == 0 && c->n == XK__BATCH_MAX ? get_batch(c) : r;
}

int xk_fat_files_get(struct xk_fat *fat, const char *path, const char *to, xk_fat_files_rest *rest, void *arg,
                     struct xk_fat_files_failure *why)
{
    struct copy *c = strlen(path) > XK_FAT_PATH_MAX ? NULL : xk_new(NULL, sizeof(*c));
    int r;

    if (!c)
        return fail(why, 1, "", strlen(path) > XK_FAT_PATH_MAX ? XK_E2BIG : XK_ENOMEM);
    c->rest = rest;
    c->arg = arg;
    r = begin(c, fat, path, to, why);
    why->name[0] = '\0';
    c->name = xk_resize(NULL, NULL, 0, sizeof(*c->name) * XK__BATCH_MAX);
    if (r == 0 && !c->name)
        r = XK_ENOMEM;
    if (r == 0) {
        why->in_fat = 1; /* unless it is said of a file */
        r = xk_fat_list(fat, path, get_one, c);
    }
    if (r == 0 && c->n)
        r = get_batch(c);
    end(c);
    xk_free(NULL, c, sizeof(*c));
    return r;
}
