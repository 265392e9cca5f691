/* Folders into FAT and out of it (fat_files.h): into it a batch of files is read, then added; out of it one is made as
 * it is read. In this file: 1. what both have  2. a folder's names  3. put  4. get. SPDX-License-Identifier: MIT */
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
    uint8_t *data; /* SMALL bytes of each file; never touched where a file is shorter */
    size_t bytes;
    struct xk__batch *batch; /* put: what is read at once */
    struct xk__batch_file file[XK__BATCH_MAX];
    unsigned n;
};

static int fail(struct xk_fat_files_failure *why, int in_fat, const char *name, int err)
{
    why->in_fat = in_fat;
    snprintf(why->name, sizeof(why->name), "%s", name);
    return err;
}

/* (files): how many are in (data) at a time. */
static int begin(struct copy *c, const char *folder, unsigned files)
{
    c->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->folder < 0)
        return fail(c->why, 0, "", xk__sys_err(errno));
    c->bytes = (size_t)SMALL * files;
    c->data = xk_resize(NULL, NULL, 0, c->bytes);
    return c->data ? 0 : fail(c->why, 0, "", XK_ENOMEM);
}

static void end(struct copy *c)
{
    xk_free(NULL, c->data, c->bytes);
    if (c->folder >= 0)
        close(c->folder);
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

static void take(struct copy *c, const char *name)
{
    c->file[c->n] = (struct xk__batch_file){name, c->data + (size_t)c->n * SMALL, SMALL, 0};
    c->n++;
}

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

static int put_names(struct copy *c, const struct names *l)
{
    int r = 0;

    for (size_t i = 0; i < l->n && r == 0; i++) {
        const char *name = l->text + l->at[i] + 1;
        enum kind kind = (enum kind)name[-1];
        if (kind == PLAIN)
            take(c, name);
        else
            r = c->rest(c->arg, name, kind == FOLDER);
        if (r == 0 && c->n == XK__BATCH_MAX)
            r = put_batch(c);
    }
    return r == 0 && c->n ? put_batch(c) : r;
}

int xk_fat_files_put(struct xk_fat *fat, const char *from, const char *path, xk_fat_files_rest *rest, void *arg,
                     struct xk_fat_files_failure *why)
{
    struct copy c = {.fat = fat, .path = path, .rest = rest, .arg = arg, .why = why};
    struct names l = {.n = 0};
    int r = begin(&c, from, XK__BATCH_MAX);

    if (r == 0 && !(c.batch = xk__batch_new()))
        r = fail(why, 0, "", XK_ENOMEM);
    if (r == 0 && (r = read_names(c.folder, &l)) < 0)
        (void)fail(why, 0, "", r);
    if (r == 0)
        r = put_names(&c, &l);
    xk_free(NULL, l.text, l.room);
    xk_free(NULL, l.at, l.at_room * sizeof(*l.at));
    xk__batch_free(c.batch);
    end(&c);
    return r;
}

/* --- 4. get ------------------------------------------------------------------------------------------------------- */

/* A new file of these bytes. A ring would save two of three system calls, but Linux gives opens that make a file, and
 * writes in memory, to threads then, which cost more than that. */
static int make(int folder, const char *name, const uint8_t *data, uint32_t size)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r = 0;

    if (fd < 0)
        return xk__sys_err(errno);
    while (size && r == 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno != EINTR)
            r = xk__sys_err(errno);
        data += n > 0 ? n : 0;
        size -= n > 0 ? (uint32_t)n : 0;
    }
    if (close(fd) < 0 && errno != EINTR && r == 0)
        r = xk__sys_err(errno);
    return r;
}

/* A name that leads out of the folder is none for FAT, so that no contents come with it. */
static int get_one(void *arg, const struct xk_fat_stat *e, const void *data)
{
    struct copy *c = arg;
    int r = data ? make(c->folder, e->name, data, e->size) : XK_EEXIST;

    if (r == XK_EEXIST)
        return c->rest(c->arg, e->name, (e->attributes & XK_FAT_DIRECTORY) != 0);
    return r < 0 ? fail(c->why, 0, e->name, r) : 0;
}

int xk_fat_files_get(struct xk_fat *fat, const char *path, const char *to, xk_fat_files_rest *rest, void *arg,
                     struct xk_fat_files_failure *why)
{
    struct copy c = {.fat = fat, .path = path, .rest = rest, .arg = arg, .why = why};
    int r = begin(&c, to, 1);

    if (r == 0) {
        (void)fail(why, 1, "", 0); /* unless it is said of a file */
        r = xk_fat_read_each(fat, path, c.data, SMALL, get_one, &c);
    }
    end(&c);
    return r;
}
