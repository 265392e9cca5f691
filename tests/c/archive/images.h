/* Images under test: made in memory, opened where they end at an unreadable page, judged by stock tools.
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_ARCHIVE_IMAGES_H
#define TESTS_ARCHIVE_IMAGES_H

#include "tests/c/tap.h" /* first */

#include <fcntl.h>
#include <sys/mman.h>

#include <xenkit/buf.h>

#include "archive/zip.h"

static uint64_t seed = 11;
static inline unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* Size bytes that end at an unreadable page. */
static inline uint8_t *guarded(const void *bytes, size_t size)
{
    size_t room = (size + 4095) & ~(size_t)4095;
    uint8_t *p = mmap(NULL, room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    OK(p != MAP_FAILED);
    EQ(mprotect(p + room, 4096, PROT_NONE), 0);
    memcpy(p + room - size, bytes, size);
    return p + room - size;
}

static inline void unguard(uint8_t *p, size_t size)
{
    size_t room = (size + 4095) & ~(size_t)4095;

    EQ(munmap(p + size - room, room + 4096), 0);
}

/* --- an allocator that counts, and fails at the (fail)th allocation ---------------------------------------------- */

static size_t held;
static long taken, fail;

static inline void *frail_resize(void *ctx, void *p, size_t old, size_t size)
{
    (void)ctx;
    if (size > old && ++taken == fail)
        return NULL;
    held += size - (p ? old : 0);
    if (size)
        return realloc(p, size);
    free(p);
    return NULL;
}

static const xk_alloc frail = {frail_resize, NULL};

/* --- making ------------------------------------------------------------------------------------------------------- */

static inline int put_buf(void *arg, const void *data, size_t n) { return xk_buf_put(arg, data, n); }

struct file {
    const char *path;
    const void *data;
    size_t size;
    int64_t time;
};

static inline int try_make(const xk_alloc *alloc, const struct file *files, unsigned n, uint32_t align,
                           struct xk_buf *out)
{
    struct xk_crunch_spec spec = {.put = put_buf, .arg = out, .align = align};
    struct xk_crunch_writer *w;
    int r = xk_crunch_writer_new(alloc, &spec, &w);

    xk_buf_init(out, alloc, 64 << 20);
    for (unsigned i = 0; i < n && r == 0; i++)
        r = xk_crunch_add(w, files[i].path, strlen(files[i].path), files[i].data, files[i].size, files[i].time, NULL);
    if (r == 0)
        r = xk_crunch_finish(w);
    xk_crunch_writer_close(w);
    return r;
}

static inline void make(const struct file *files, unsigned n, uint32_t align, struct xk_buf *out)
{
    EQ(try_make(NULL, files, n, align, out), 0);
}

static inline struct xk_crunch *open_image(const void *p, size_t n)
{
    struct xk_diag d = {0};
    struct xk_crunch *c;

    if (xk_crunch_open(NULL, p, n, &c, &d) < 0)
        TAP_FAIL("not opened: %s", d.text);
    return c;
}

/* --- judges ------------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/xk-crunch-XXXXXX";

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

    snprintf(command, sizeof(command), "command -v %s > /dev/null", what);
    if (system(command) == 0)
        return 1;
    printf("# not here: %s\n", what);
    return 0;
}

static inline int shell(const char *text)
{
    char command[2000];

    snprintf(command, sizeof(command), "cd %s && { %.1700s; } > judge.log 2>&1 || { cat judge.log; false; }", folder,
             text);
    return system(command);
}

static inline void write_file(const char *name, const void *data, size_t n)
{
    char path[200];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    OK(fd >= 0);
    EQ(write(fd, data, n), n);
    close(fd);
}

static inline size_t read_file(const char *name, void *buf, size_t room)
{
    char path[200];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_RDONLY);
    OK(fd >= 0);
    n = read(fd, buf, room);
    OK(n >= 0);
    close(fd);
    return (size_t)n;
}

#endif
