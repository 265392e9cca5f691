/* Files on a block device: any bytes at any place, sizes, bounds, damage; and a database on them that loses power.
 * SPDX-License-Identifier: MIT */
#include "tests/c/tap.h"

#include <xenkit/db.h>
#include <xenkit/fake.h>
#include <xenkit/volume.h>

#include "tests/c/block/cut.h"

enum { SECTORS = 8192 };

static struct xk_fake *world;
static struct xk_platform *domain;
static struct xk_loop *loop;
static struct cut *disk;
static struct xk_blkdev *dev;

static void setup(uint64_t seed)
{
    EQ(xk_fake_create(1, &world), 0);
    EQ(xk_fake_domain(world, "d", &domain), 0);
    EQ(xk_loop_create(NULL, domain, &loop), 0);
    disk = cut_new(SECTORS, seed);
    dev = &disk->image.dev;
}

static void done(void)
{
    char report[256];

    xk_blk_close(dev);
    xk_loop_destroy(loop);
    EQ(xk_fake_destroy(world, report, sizeof(report)), 0);
}

static void format(struct xk_file **f)
{
    static const unsigned shares[] = {3, 1};

    EQ(xk_volume_is_blank(dev, loop), 1);
    EQ(xk_volume_format(dev, loop, shares, 2), 0);
    EQ(xk_volume_is_blank(dev, loop), 0);
    EQ(xk_volume_open(NULL, dev, loop, f, 2), 0);
}

static void close_both(struct xk_file **f)
{
    xk_file_close(f[0]);
    xk_file_close(f[1]);
}

TEST(bytes_at_any_place_against_a_model)
{
    static uint8_t model[2][60000], buf[9000], back[9000];
    size_t size[2] = {0, 0};
    struct xk_file *f[2];

    setup(5);
    format(f);
    for (int i = 0; i < 3000; i++) {
        unsigned k = (unsigned)cut_roll(disk, 2);
        size_t n = cut_roll(disk, cut_roll(disk, 2) ? 9000 : 700), at = cut_roll(disk, 60000 - 9000);
        if (cut_roll(disk, 3) == 0) {
            int r = xk_file_read(f[k], back, n, at);
            size_t want = at >= size[k] ? 0 : size[k] - at < n ? size[k] - at : n;
            EQ(r, want);
            MEMEQ(back, model[k] + at, want);
        } else if (cut_roll(disk, 20) == 0) {
            size_t to = cut_roll(disk, 60000);
            EQ(xk_file_truncate(f[k], to), 0);
            if (to < size[k])
                memset(model[k] + to, 0, size[k] - to);
            size[k] = to;
        } else {
            for (size_t b = 0; b < n; b++)
                buf[b] = (uint8_t)cut_roll(disk, 256);
            EQ(xk_file_write(f[k], buf, n, at), n);
            memcpy(model[k] + at, buf, n);
            if (n && at + n > size[k])
                size[k] = at + n;
        }
        EQ(xk_file_size(f[k]), size[k]);
        if (cut_roll(disk, 100) == 0) { /* and again from the disk */
            EQ(xk_file_sync(f[0]), 0);
            close_both(f);
            EQ(xk_volume_open(NULL, dev, loop, f, 2), 0);
        }
    }
    close_both(f);
    done();
}

TEST(rooms_have_an_end)
{
    struct xk_file *f[2];
    uint8_t buf[4096] = {1};
    uint64_t at = 0;

    setup(1);
    format(f);
    while (xk_file_write(f[1], buf, sizeof(buf), at) == (int)sizeof(buf))
        at += sizeof(buf);
    EQ(at, (SECTORS * 512ull - 65536) / 4096 / 4 * 4096);
    EQ(xk_file_write(f[1], buf, 1, at), XK_ENOSPC);
    EQ(xk_file_write(f[1], buf, 1, UINT64_MAX), XK_ENOSPC);
    EQ(xk_file_truncate(f[1], at + 1), XK_ENOSPC);
    EQ(xk_file_read(f[0], buf, 1, 0), 0); /* nothing ran into the other one */
    close_both(f);
    done();
}

TEST(what_is_no_volume_is_told)
{
    static const unsigned shares[] = {1, 1000000, 1};
    struct xk_file *f[3];
    uint8_t junk[65536];

    setup(1);
    EQ(xk_volume_open(NULL, dev, loop, f, 2), XK_EPROTO);
    EQ(xk_volume_format(dev, loop, shares, 0), XK_EINVAL);
    EQ(xk_volume_format(dev, loop, shares, 3), XK_ENOSPC); /* one would have no block */
    EQ(xk_volume_format(dev, loop, shares, 1), 0);
    EQ(xk_volume_open(NULL, dev, loop, f, 2), XK_EPROTO);
    for (int i = 0; i < 2000; i++) { /* garbage in the headers */
        for (size_t k = 0; k < 200; k++)
            junk[k] = (uint8_t)cut_roll(disk, 256);
        memcpy(disk->now + cut_roll(disk, 8192), junk, 1 + cut_roll(disk, 200));
        if (xk_volume_open(NULL, dev, loop, f, 1) == 0)
            xk_file_close(f[0]);
    }
    done();
}

TEST(one_copy_of_the_header_is_enough)
{
    struct xk_file *f[2];
    uint8_t buf[100] = {7};

    setup(1);
    format(f);
    EQ(xk_file_write(f[0], buf, 100, 0), 100);
    EQ(xk_file_sync(f[0]), 0);
    close_both(f);
    for (int copy = 0; copy < 2; copy++) {
        uint8_t sector[512];
        memcpy(sector, disk->now + copy * 4096, 512);
        disk->now[copy * 4096 + 30] ^= 1;
        EQ(xk_volume_open(NULL, dev, loop, f, 2), 0);
        EQ(xk_file_size(f[0]) == 100 || xk_file_size(f[0]) == 0, 1); /* the newest that is sound */
        close_both(f);
        memcpy(disk->now + copy * 4096, sector, 512);
    }
    done();
}

TEST(a_sync_without_a_new_size_costs_one_flush)
{
    struct xk_file *f[2];
    uint8_t buf[4096] = {7};
    long flushes, writes;

    setup(1);
    format(f);
    EQ(xk_file_write(f[0], buf, sizeof(buf), 0), sizeof(buf));
    EQ(xk_file_sync(f[0]), 0);
    flushes = disk->flushes;
    writes = disk->writes;
    EQ(xk_file_write(f[0], buf, sizeof(buf), 0), sizeof(buf));
    EQ(xk_file_sync(f[0]), 0);
    EQ(disk->flushes - flushes, 1);
    EQ(disk->writes - writes, 1);
    close_both(f);
    done();
}

/* --- a database that loses power ---------------------------------------------------------------------------------- */

static int exec(struct xk_db *db, const char *sql) { return xk_db_exec(db, sql, strlen(sql)); }

static int one_row(struct xk_db *db, const char *sql, int64_t *number, char *text, size_t room)
{
    struct xk_db_stmt *s;
    const char *p;
    size_t n = 0;
    int r = xk_db_prepare(db, sql, strlen(sql), &s);

    if (r < 0)
        return r;
    r = xk_db_step(s);
    if (r == 1 && number)
        *number = xk_db_column_integer(s, 0);
    if (r == 1 && text) {
        p = xk_db_column_bytes(s, 0, &n);
        snprintf(text, room, "%.*s", (int)n, n ? p : "");
    }
    xk_db_finalize(s);
    return r == 1 ? 0 : XK_EIO;
}

/* Inserts until the power goes. How many commits were acknowledged in all. */
static int64_t insert(struct xk_db *db, int64_t from)
{
    char sql[300];

    for (int64_t i = from;; i++) {
        int n = snprintf(sql, sizeof(sql),
                         "BEGIN; INSERT INTO t VALUES(%lld, hex(zeroblob(%d))); UPDATE sums SET n = n + 1; COMMIT",
                         (long long)i + 1, (int)cut_roll(disk, 1500));
        if (xk_db_exec(db, sql, (size_t)n) < 0)
            return i;
    }
}

static void power_cuts(enum xk_db_journal journal, int cuts)
{
    struct xk_db_options o = {.journal = journal, .log_pages = 20};
    int64_t acknowledged = 0, rows, sum;
    struct xk_file *f[2];
    struct xk_db *db;
    char said[100];

    setup(journal + 77);
    format(f);
    for (int cut = 0; cut <= cuts; cut++) {
        struct xk_diag d = {0};
        int r = xk_db_open(NULL, f[0], f[1], &o, &d, &db);
        if (r < 0)
            TAP_FAIL("cut %d: the database does not open: %s", cut, d.text);
        if (cut == 0)
            EQ(exec(db, "CREATE TABLE t(i INTEGER PRIMARY KEY, v); CREATE TABLE sums(n); INSERT INTO sums VALUES(0)"),
               0);
        EQ(one_row(db, "PRAGMA integrity_check", NULL, said, sizeof(said)), 0);
        STREQ(said, "ok");
        EQ(one_row(db, "SELECT count(*) FROM t", &rows, NULL, 0), 0);
        EQ(one_row(db, "SELECT n FROM sums", &sum, NULL, 0), 0);
        EQ(rows, sum);
        if (rows < acknowledged || rows > acknowledged + 1)
            TAP_FAIL("cut %d: %lld rows, %lld were acknowledged", cut, (long long)rows, (long long)acknowledged);
        if (rows > 400) { /* so that the disk does not fill */
            EQ(exec(db, "BEGIN; DELETE FROM t; UPDATE sums SET n = 0; COMMIT"), 0);
            rows = 0;
        }
        disk->requests = 0;
        disk->at = 1 + (long)cut_roll(disk, 300);
        acknowledged = insert(db, rows);
        xk_db_close(db); /* of a process that is gone: nothing of it reaches the disk any more */
        cut_power(disk);
        EQ(xk_volume_open(NULL, dev, loop, f, 2), 0);
    }
    close_both(f);
    done();
}

TEST(a_database_with_a_log_survives_500_power_cuts) { power_cuts(XK_DB_WAL, 500); }
TEST(a_database_with_a_rollback_journal_survives_500_power_cuts) { power_cuts(XK_DB_ROLLBACK, 500); }
