/* Chains of VHDs in a folder of their own, and what each level holds. SPDX-License-Identifier: MIT */
#ifndef TESTS_BLOCK_VHDS_H
#define TESTS_BLOCK_VHDS_H

#include "tests/c/tap.h" /* first */

#include <fcntl.h>
#include <unistd.h>

#include "block/vhd.h"

enum { SECTORS = 1500, BLOCK = 65536, LEVELS = 4 };

static uint64_t seed = 11;
static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static int told;
static void on_done(struct xk_blk_request *r, int err)
{
    (void)r;
    told = err;
}

static inline void on_done_at(struct xk_blk_request *r, int err) { *(int *)r->arg = err; }

static int ask(struct xk_blkdev *dev, int op, unsigned flags, uint64_t sector, void *buf, size_t bytes)
{
    struct xk_piece v[2] = {{buf, bytes > XK_SECTOR ? XK_SECTOR : bytes},
                            {(uint8_t *)buf + XK_SECTOR, bytes - XK_SECTOR}};
    struct xk_blk_request r = {.done = on_done,
                               .sector = sector,
                               .sectors = bytes / XK_SECTOR,
                               .piece = v,
                               .pieces = op > XK_BLK_WRITE   ? 0
                                         : bytes > XK_SECTOR ? 2
                                                             : 1,
                               .op = (uint8_t)op,
                               .flags = (uint8_t)flags};
    int err = xk_blk_submit(dev, &r);

    told = 1;
    if (err < 0)
        return err;
    xk_blk_kick(dev);
    return told;
}

/* --- files in a folder of their own ------------------------------------------------------------------------------- */

static char folder[] = "/tmp/xk-vhd-XXXXXX", path[LEVELS][64];

static void enter(void)
{
    OK(mkdtemp(folder) != NULL);
    for (int i = 0; i < LEVELS; i++)
        snprintf(path[i], sizeof(path[i]), "%s/level%d.vhd", folder, i);
}

static void leave(void)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", folder);
    EQ(system(command), 0);
}

static struct xk_file *open_file(const char *name)
{
    struct xk_file *f;
    int fd = open(name, O_RDWR | O_CREAT, 0600);

    OK(fd >= 0);
    EQ(xk_file_from_handle(NULL, fd, &f), 0);
    return f;
}

static void uuid_of(uint8_t uuid[16], int level) { memset(uuid, level + 1, 16); }

static int batmaps; /* what is made has one, unless it is fixed */

/* Level 0 is the base. (type): the base's. */
static inline void create(int level, enum xk_vhd_type type, uint64_t size)
{
    struct xk_vhd_spec s = {.type = level ? XK_VHD_DIFFERENCING : type, .size = size, .block_size = BLOCK, .time = 99};
    struct xk_file *f = open_file(path[level]);
    char name[32];

    uuid_of(s.uuid, level);
    if (level) {
        uuid_of(s.parent_uuid, level - 1);
        snprintf(name, sizeof(name), "level%d.vhd", level - 1);
        s.parent_name = name;
    }
    s.batmap = batmaps && s.type != XK_VHD_FIXED;
    EQ(xk_vhd_create(f, &s), 0);
    xk_file_close(f);
}

static inline struct xk_blkdev *open_chain(int top, unsigned features)
{
    struct xk_file *chain[LEVELS];
    struct xk_blkdev *dev;

    for (int i = 0; i <= top; i++)
        chain[i] = open_file(path[top - i]);
    EQ(xk_block_vhd(NULL, chain, (unsigned)top + 1, features, &dev), 0);
    return dev;
}

/* --- data --------------------------------------------------------------------------------------------------------- */

static uint8_t model[LEVELS][SECTORS * XK_SECTOR];

static inline void churn(struct xk_blkdev *dev, uint8_t *m, int rounds)
{
    static uint8_t buf[64 * XK_SECTOR];

    for (int i = 0; i < rounds; i++) {
        uint32_t n = 1 + roll(roll(2) ? 8 : 64), at = roll(SECTORS - n);
        if (roll(3) == 0) {
            for (size_t k = 0; k < n * XK_SECTOR; k++)
                buf[k] = (uint8_t)roll(256);
            memcpy(m + at * XK_SECTOR, buf, n * XK_SECTOR);
            EQ(ask(dev, XK_BLK_WRITE, roll(10) ? 0 : XK_BLK_FUA, at, buf, n * XK_SECTOR), 0);
        } else {
            EQ(ask(dev, XK_BLK_READ, 0, at, buf, n * XK_SECTOR), 0);
            MEMEQ(buf, m + at * XK_SECTOR, n * XK_SECTOR);
        }
    }
    EQ(ask(dev, XK_BLK_FLUSH, 0, 0, NULL, 0), 0);
}

static void all_is(struct xk_blkdev *dev, const uint8_t *m)
{
    static uint8_t buf[SECTORS * XK_SECTOR];

    EQ(dev->info.sectors, SECTORS);
    EQ(ask(dev, XK_BLK_READ, 0, 0, buf, sizeof(buf)), 0);
    MEMEQ(buf, m, sizeof(buf));
}

/* --- judges ------------------------------------------------------------------------------------------------------- */

static inline void write_raw(int level)
{
    char name[100];
    int fd;

    snprintf(name, sizeof(name), "%.80s.raw", path[level]);
    fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    EQ(write(fd, model[level], sizeof(model[0])), sizeof(model[0]));
    close(fd);
}

static int shell(const char *text)
{
    char command[2000];

    snprintf(command, sizeof(command), "cd %s && { %.1600s; } > judge.log 2>&1 || { cat judge.log; false; }", folder,
             text);
    return system(command);
}

static inline void need(const char *what)
{
    char command[100];

    snprintf(command, sizeof(command), "%s > /dev/null 2>&1", what);
    if (system(command) != 0) {
        printf("# not here: %s\n", what);
        exit(TAP_SKIP);
    }
}

#endif
