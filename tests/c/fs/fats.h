/* FAT file systems under test: in memory, judged by fsck.fat, and with a model of what is in them.
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FS_FATS_H
#define TESTS_FS_FATS_H

#include "tests/c/tap.h" /* first */

#include <fcntl.h>
#include <unistd.h>

#include <xenkit/fat.h>

static uint64_t seed = 7;
static inline unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

#include "tests/c/frail.h"

/* --- judges ------------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/xk-fat-XXXXXX";

static inline void enter(void) { OK(mkdtemp(folder) != NULL); }
static inline void leave(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", folder);
    EQ(system(command), 0);
}

static inline int have(const char *what)
{
    char command[200];

    snprintf(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin; command -v %s > /dev/null", what);
    if (system(command) == 0)
        return 1;
    printf("# not here: %s\n", what);
    return 0;
}

static inline int shell(const char *text)
{
    char command[2000];

    snprintf(command, sizeof(command),
             "cd %s && PATH=$PATH:/sbin:/usr/sbin && { %.1700s; } > judge.log 2>&1 || { cat judge.log; false; }",
             folder, text);
    return system(command);
}

static inline void write_image(const struct frail *p, const char *name)
{
    char path[100];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    OK(fd >= 0);
    EQ(write(fd, p->now, p->size), p->size);
    close(fd);
}

/* --- file systems ------------------------------------------------------------------------------------------------- */

static inline void put_errors(void *arg, enum xk_fat_finding what, const char *text)
{
    if (what == XK_FAT_BAD || arg)
        printf("# %s: %s\n", what == XK_FAT_BAD ? "bad" : "left", text);
}

static inline void format(struct frail *p, int type, size_t bytes, uint32_t sector, uint32_t cluster)
{
    struct xk_fat_spec s = {
        .type = type, .sector = sector, .cluster = cluster, .id = 0x12345678, .label = "test", .time = 1700000000};

    frail_new(p);
    p->size = p->durable_size = bytes;
    EQ(xk_fat_format(&p->file, &s), 0);
}

static inline int64_t now(void *arg) { return arg ? *(int64_t *)arg : 1700000000; }

static inline struct xk_fat *mount(struct frail *p)
{
    struct xk_fat_options o = {.now = now};
    struct xk_fat *f;
    int r = xk_fat_mount(NULL, &p->file, &o, &f);

    if (r == XK_EPROTO)
        (void)!xk_fat_check(NULL, &p->file, 0, put_errors, p);
    EQ(r, 0);
    return f;
}

static inline void write_all(struct xk_fat *f, const char *path, const void *data, size_t n)
{
    struct xk_file *file;

    EQ(xk_fat_open(f, path, XK_FAT_CREATE, &file), 0);
    EQ(xk_file_truncate(file, 0), 0);
    if (n)
        EQ(xk_file_write(file, data, n, 0), n);
    xk_file_close(file);
}

static inline void has(struct xk_fat *f, const char *path, const void *data, size_t n)
{
    struct xk_file *file;
    uint8_t *buf = malloc(n + 1);

    EQ(xk_fat_open(f, path, 0, &file), 0);
    EQ(xk_file_size(file), n);
    EQ(xk_file_read(file, buf, n + 1, 0), n);
    MEMEQ(buf, data, n);
    xk_file_close(file);
    free(buf);
}

#endif
