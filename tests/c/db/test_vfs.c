/* The VFS under a workload, under single failures, and under power cuts. SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/mman.h>

#include <xenkit/db.h>

#include "tests/c/db/disk.h"

/* --- helpers ---------------------------------------------------------------------------------------------------- */

static int exec(struct xk_db *db, const char *sql) { return xk_db_exec(db, sql, strlen(sql)); }

static struct xk_db_stmt *prepare(struct xk_db *db, const char *sql)
{
    struct xk_db_stmt *st = NULL;

    EQ(xk_db_prepare(db, sql, strlen(sql), &st), 0);
    return st;
}

static int64_t number(struct xk_db *db, const char *sql)
{
    struct xk_db_stmt *st = prepare(db, sql);
    int64_t v;

    EQ(xk_db_step(st), 1);
    v = xk_db_column_integer(st, 0);
    xk_db_finalize(st);
    return v;
}

static void check_integrity(struct xk_db *db)
{
    struct xk_db_stmt *st = prepare(db, "PRAGMA integrity_check");
    size_t n;

    EQ(xk_db_step(st), 1);
    STREQ((const char *)xk_db_column_bytes(st, 0, &n), "ok");
    xk_db_finalize(st);
}

static struct xk_db *open_memory_files(void)
{
    struct xk_file *a, *b;
    struct xk_db *db;

    EQ(xk_file_memory(NULL, 1 << 24, &a), 0);
    EQ(xk_file_memory(NULL, 1 << 24, &b), 0);
    EQ(xk_db_open(NULL, a, b, NULL, NULL, &db), 0);
    return db;
}

static struct xk_file *temp_file(void)
{
    char name[] = "/tmp/xk-test-db-XXXXXX";
    struct xk_file *f;
    int fd = mkstemp(name);

    OK(fd >= 0);
    unlink(name);
    EQ(xk_file_from_handle(NULL, fd, &f), 0);
    return f;
}

/* --- files ------------------------------------------------------------------------------------------------------ */

static void check_file(struct xk_file *f)
{
    char buf[200000], back[200000];

    for (size_t i = 0; i < sizeof(buf); i++)
        buf[i] = (char)(i * 7 + i / 4096);
    EQ(xk_file_size(f), 0);
    EQ(xk_file_read(f, back, 10, 0), 0);
    EQ(xk_file_write(f, buf, sizeof(buf), 100), (int)sizeof(buf));
    EQ(xk_file_size(f), 100 + (int)sizeof(buf));
    EQ(xk_file_read(f, back, sizeof(back), 200), (int)sizeof(back) - 100);
    MEMEQ(back, buf + 100, sizeof(back) - 100);
    EQ(xk_file_sync(f), 0);
    EQ(xk_file_truncate(f, 70000), 0); /* what is cut off reads as zeroes when the file grows again */
    EQ(xk_file_truncate(f, 200000), 0);
    EQ(xk_file_read(f, back, 200000, 0), 200000);
    EQ(back[69999], buf[69899]);
    for (size_t i = 70000; i < 200000; i++)
        EQ(back[i], 0);
    EQ(xk_file_read(f, back, 10, 1u << 30), 0);
    EQ(xk_file_truncate(f, UINT64_MAX) < 0, 1);
    xk_file_close(f);
}

TEST(file_of_memory)
{
    struct xk_file *f;

    EQ(xk_file_memory(NULL, 1 << 20, &f), 0);
    check_file(f);
    EQ(xk_file_memory(NULL, 100, &f), 0);
    EQ(xk_file_write(f, "abc", 3, 97), 3);
    EQ(xk_file_write(f, "abc", 3, 98), XK_ENOSPC);
    EQ(xk_file_write(f, "abc", 3, UINT64_MAX - 1), XK_ENOSPC);
    EQ(xk_file_size(f), 100);
    xk_file_close(f);
}

TEST(file_of_a_handle)
{
    struct xk_file *f;
    int p[2];

    check_file(temp_file());
    EQ(xk_file_from_handle(NULL, memfd_create("t", 0), &f), 0);
    check_file(f);
    EQ(pipe(p), 0);
    EQ(xk_file_from_handle(NULL, p[0], &f), XK_EBADF);
    OK(!f);
    EQ(fcntl(p[0], F_GETFD), -1); /* ownership passed although it failed */
    EQ(xk_file_from_handle(NULL, 999, &f), XK_EBADF);
    EQ(xk_file_from_handle(NULL, -1, &f), XK_EBADF);
    EQ(xk_file_from_handle(NULL, open("/dev/null", O_RDWR), &f), XK_EBADF);
    EQ(xk_file_from_handle(NULL, open("/etc/passwd", O_RDONLY), &f), 0);
    OK(xk_file_write(f, "x", 1, 0) < 0);
    xk_file_close(f);
}

/* --- the workload ----------------------------------------------------------------------------------------------- */

/* Transaction (i) changes some of KEYS rows in a way that follows from (i) alone, so that the state after any number of
 * transactions can be computed and compared. */
enum { KEYS = 60 };

struct row {
    int64_t value; /* 0: no row */
    uint32_t size;
};

struct change {
    int key;
    struct row row;
};

static int plan(int64_t i, struct change *out)
{
    struct disk_power p = {.rng = (uint64_t)i * 0x9e3779b97f4a7c15u};
    int n;

    disk_random(&p, 2);
    n = 1 + (int)disk_random(&p, 6);
    for (int k = 0; k < n; k++) {
        out[k].key = (int)disk_random(&p, KEYS);
        out[k].row.value = disk_random(&p, 4) ? i : 0;
        out[k].row.size = disk_random(&p, 10) ? disk_random(&p, 300) : disk_random(&p, 12000);
    }
    return n;
}

static int apply_change(struct xk_db *db, const struct change *c, int64_t i)
{
    char sql[200];

    if (c->row.value)
        snprintf(sql, sizeof(sql), "REPLACE INTO kv VALUES(%d, %lld, randomblob(%u))", c->key, (long long)i,
                 c->row.size);
    else
        snprintf(sql, sizeof(sql), "DELETE FROM kv WHERE k=%d", c->key);
    return exec(db, sql);
}

static int commit_one(struct xk_db *db, int64_t i)
{
    struct change c[8];
    char sql[80];
    int n = plan(i, c), r = exec(db, "BEGIN IMMEDIATE");

    for (int k = 0; r == 0 && k < n; k++)
        r = apply_change(db, &c[k], i);
    snprintf(sql, sizeof(sql), "UPDATE last SET i=%lld", (long long)i);
    if (r == 0)
        r = exec(db, sql);
    if (r == 0)
        r = exec(db, "COMMIT");
    if (r < 0 && xk_db_in_transaction(db) && exec(db, "ROLLBACK") < 0)
        return r;
    return r;
}

static int create(struct xk_db *db)
{
    return exec(db, "BEGIN; CREATE TABLE kv(k INTEGER PRIMARY KEY, i INTEGER, pad BLOB);"
                    "CREATE INDEX kv_i ON kv(i); CREATE TABLE last(i INTEGER); INSERT INTO last VALUES(0); COMMIT");
}

/* The database holds exactly what transactions 1 .. (i) left. */
static void check_state(struct xk_db *db, int64_t i)
{
    struct row want[KEYS] = {{0, 0}};
    struct xk_db_stmt *st;
    struct change c[8] = {{0}};
    int live = 0;

    for (int64_t t = 1; t <= i; t++)
        for (int k = 0, n = plan(t, c); k < n; k++)
            want[c[k].key] = c[k].row;
    for (int k = 0; k < KEYS; k++)
        live += want[k].value != 0;
    st = prepare(db, "SELECT k, i, length(pad) FROM kv");
    while (xk_db_step(st) == 1) {
        const struct row *w = &want[xk_db_column_integer(st, 0)];

        EQ(xk_db_column_integer(st, 1), w->value);
        EQ(xk_db_column_integer(st, 2), w->size);
        live--;
    }
    EQ(live, 0);
    xk_db_finalize(st);
}

static int has_tables(struct xk_db *db) { return number(db, "SELECT count(*) FROM sqlite_schema") == 3; }

struct rig {
    struct disk_power power;
    struct disk *main, *log;
    struct xk_db_options options;
    int64_t acked; /* -1: not even the tables */
};

static void rig_init(struct rig *g, uint64_t seed, enum xk_db_journal journal)
{
    memset(g, 0, sizeof(*g));
    g->power.rng = seed * 0x9e3779b97f4a7c15u;
    disk_random(&g->power, 2);
    g->main = disk_new(&g->power);
    g->log = disk_new(&g->power);
    g->options.journal = journal;
    g->options.log_pages = 25; /* so that checkpoints and restarts of the log happen often */
    g->acked = -1;
}

static void rig_fini(struct rig *g)
{
    disk_free(g->main);
    disk_free(g->log);
}

static int rig_open(struct rig *g, struct xk_db **db)
{
    return xk_db_open(NULL, disk_open(g->main), disk_open(g->log), &g->options, NULL, db);
}

/* Opens, finds where it stands, and commits until (upto) or until the first failure. Returns that. */
static int rig_run(struct rig *g, int64_t upto)
{
    struct xk_db *db;
    int64_t i = 0;
    int r = rig_open(g, &db);

    if (r < 0)
        return r;
    if (g->acked < 0 && !has_tables(db))
        r = create(db);
    if (r == 0) {
        struct xk_db_stmt *st;

        /* Reading may fail too when the power is gone, hence no assertion here. */
        r = xk_db_prepare(db, "SELECT i FROM last", 18, &st);
        if (r == 0 && (r = xk_db_step(st)) == 1)
            r = 0, i = xk_db_column_integer(st, 0);
        xk_db_finalize(st);
    }
    if (r == 0 && g->acked < i)
        g->acked = i;
    while (r == 0 && ++i <= upto)
        if ((r = commit_one(db, i)) == 0)
            g->acked = i;
    xk_db_close(db);
    return r;
}

/* After a crash or failure: whole, nothing acknowledged lost, and at most the one in flight on top. */
static void rig_check(struct rig *g)
{
    struct xk_db *db;
    int64_t i;

    g->power.cut = g->power.fail = 0;
    EQ(rig_open(g, &db), 0);
    check_integrity(db);
    if (has_tables(db)) {
        i = number(db, "SELECT i FROM last");
        if (i != g->acked && i != g->acked + 1)
            TAP_FAIL("acknowledged %lld, found %lld", (long long)g->acked, (long long)i);
        check_state(db, i);
        g->acked = i;
    } else {
        EQ(g->acked, -1);
    }
    xk_db_close(db);
    EQ(rig_run(g, g->acked + 5), 0); /* and it goes on */
}

static void workload(enum xk_db_journal journal)
{
    struct rig g;

    rig_init(&g, 1, journal);
    EQ(rig_run(&g, 300), 0);
    EQ(g.log->now_n, 0); /* closing leaves no journal */
    rig_check(&g);
    EQ(g.acked, 305);
    rig_fini(&g);
}

TEST(workload_with_a_log) { workload(XK_DB_WAL); }

TEST(workload_with_a_rollback_journal) { workload(XK_DB_ROLLBACK); }

/* A database can change its kind of journal from one opening to the next. */
TEST(change_of_journal)
{
    struct rig g;

    rig_init(&g, 2, XK_DB_WAL);
    for (int i = 1; i <= 6; i++) {
        g.options.journal = i % 2 ? XK_DB_WAL : XK_DB_ROLLBACK;
        EQ(rig_run(&g, 20 * i), 0);
        rig_check(&g);
    }
    rig_fini(&g);
}

TEST(real_files)
{
    struct xk_file *a = temp_file(), *b = temp_file();
    struct xk_db *db;

    EQ(xk_db_open(NULL, a, b, NULL, NULL, &db), 0);
    EQ(create(db), 0);
    for (int i = 1; i <= 100; i++)
        EQ(commit_one(db, i), 0);
    check_state(db, 100);
    check_integrity(db);
    OK(xk_db_counts(db).syncs >= 100); /* each commit was synced */
    EQ(xk_db_checkpoint(db), 0);
    xk_db_close(db);
}

/* --- failures --------------------------------------------------------------------------------------------------- */

/* Fails each n-th op of each kind once, every third write under sanitizers; returns how often that was reported. */
static int fault_series(enum xk_db_journal journal, int kind, int error)
{
    int reported = 0, step = kind == DISK_WRITE && getenv("XK_SHORT") ? 3 : 1;

    for (long n = 1;; n += step) {
        struct rig g;
        int r, hit;

        rig_init(&g, 7, journal);
        g.power.kind = kind;
        g.power.fail = n;
        g.power.error = error;
        r = rig_run(&g, 12);
        hit = g.power.failed;
        if (r < 0) {
            OK(hit);
            EQ(r, error);
            reported++;
        } else {
            EQ(g.acked, 12); /* only what may fail unheard failed: a checkpoint, the clean-up at the end */
        }
        rig_check(&g);
        rig_fini(&g);
        if (!hit)
            return reported;
    }
}

TEST(failing_writes)
{
    OK(fault_series(XK_DB_WAL, DISK_WRITE, XK_EIO) > 10);
    OK(fault_series(XK_DB_WAL, DISK_WRITE, XK_ENOSPC) > 10);
    OK(fault_series(XK_DB_ROLLBACK, DISK_WRITE, XK_EIO) > 10);
    OK(fault_series(XK_DB_ROLLBACK, DISK_WRITE, XK_ENOSPC) > 10);
}

TEST(failing_syncs)
{
    OK(fault_series(XK_DB_WAL, DISK_SYNC, XK_EIO) > 10);
    OK(fault_series(XK_DB_ROLLBACK, DISK_SYNC, XK_EIO) > 10);
}

TEST(failing_truncates)
{
    fault_series(XK_DB_WAL, DISK_TRUNCATE, XK_EIO);
    OK(fault_series(XK_DB_ROLLBACK, DISK_TRUNCATE, XK_EIO) > 10);
}

TEST(failing_reads)
{
    OK(fault_series(XK_DB_WAL, DISK_READ, XK_EIO) > 0);
    OK(fault_series(XK_DB_ROLLBACK, DISK_READ, XK_EIO) > 0);
}

/* --- power cuts ------------------------------------------------------------------------------------------------- */

static void power_cuts(enum xk_db_journal journal)
{
    int rounds = getenv("XK_LONG") ? 2000 : tap_rounds(200), first = 0, cuts = 0;

    if (getenv("XK_SEED"))
        first = atoi(getenv("XK_SEED")), rounds = first + 1;
    for (int i = first; i < rounds; i++) {
        struct rig g;

        rig_init(&g, 1000 + (uint64_t)i, journal);
        for (int lives = 0; lives < 3; lives++) { /* the power may go during recovery, too */
            g.power.ops = 0;
            g.power.cut = 1 + (long)disk_random(&g.power, lives == 1 ? 12 : 400);
            cuts += rig_run(&g, g.acked + 60) < 0;
            disk_power_cut(g.main);
            disk_power_cut(g.log);
        }
        fflush(stdout);
        if (getenv("XK_SEED"))
            printf("# seed %d: acknowledged %lld\n", i, (long long)g.acked);
        rig_check(&g);
        rig_fini(&g);
    }
    OK(cuts > (rounds - first) / 2);
}

TEST(power_cuts_with_a_log) { power_cuts(XK_DB_WAL); }

TEST(power_cuts_with_a_rollback_journal) { power_cuts(XK_DB_ROLLBACK); }

/* --- the API ---------------------------------------------------------------------------------------------------- */

TEST(several_databases_and_no_default)
{
    const sqlite3_vfs *before = sqlite3_vfs_find(NULL);
    struct xk_db *a = open_memory_files(), *b = open_memory_files(), *c;

    EQ(xk_db_open(NULL, NULL, NULL, NULL, NULL, &c), 0);
    OK(sqlite3_vfs_find(NULL) == before || !before);
    EQ(exec(a, "CREATE TABLE t(x); INSERT INTO t VALUES(1)"), 0);
    EQ(exec(b, "CREATE TABLE t(x); INSERT INTO t VALUES(2)"), 0);
    EQ(exec(c, "CREATE TABLE t(x); INSERT INTO t VALUES(3)"), 0);
    EQ(number(a, "SELECT x FROM t"), 1);
    xk_db_close(a);
    EQ(number(b, "SELECT x FROM t"), 2);
    EQ(number(c, "SELECT x FROM t"), 3);
    xk_db_close(b);
    xk_db_close(c);
    OK(strncmp(sqlite3_vfs_find(NULL)->zName, "xenkit", 6) != 0);
    for (sqlite3_vfs *v = sqlite3_vfs_find(NULL); v; v = v->pNext)
        OK(strncmp(v->zName, "xenkit", 6) != 0); /* all are unregistered */
}

TEST(values)
{
    struct xk_db *db = open_memory_files();
    struct xk_db_stmt *st = prepare(db, "SELECT ?1, ?2, ?3, ?4, ?5, ?6 AS six");
    size_t n;

    EQ(xk_db_params(st), 6);
    EQ(xk_db_bind_integer(st, 1, INT64_MIN), 0);
    EQ(xk_db_bind_real(st, 2, 0.5), 0);
    EQ(xk_db_bind_text(st, 3, "a\0b", 3), 0);
    EQ(xk_db_bind_blob(st, 4, "\0\xff", 2), 0);
    EQ(xk_db_bind_null(st, 5), 0);
    EQ(xk_db_bind_text(st, 6, NULL, 0), 0);
    EQ(xk_db_bind_integer(st, 7, 1), XK_ERANGE);
    EQ(xk_db_step(st), 1);
    EQ(xk_db_columns(st), 6);
    EQ(xk_db_column_integer(st, 0), INT64_MIN);
    OK(xk_db_column_real(st, 1) == 0.5);
    EQ(xk_db_column_type(st, 2), XK_DB_TEXT);
    MEMEQ(xk_db_column_bytes(st, 2, &n), "a\0b", 3);
    EQ(n, 3);
    EQ(xk_db_column_type(st, 3), XK_DB_BLOB);
    MEMEQ(xk_db_column_bytes(st, 3, &n), "\0\xff", 2);
    EQ(n, 2);
    EQ(xk_db_column_type(st, 4), XK_DB_NULL);
    EQ(xk_db_column_type(st, 5), XK_DB_TEXT);
    STREQ(xk_db_column_name(st, 5), "six");
    EQ(xk_db_step(st), 0);
    xk_db_finalize(st);
    xk_db_close(db);
}

TEST(wrong_use)
{
    struct xk_db *db = open_memory_files();
    struct xk_db_stmt *st;

    EQ(xk_db_prepare(db, "SELEC 1", 7, &st), XK_EINVAL);
    OK(!st);
    OK(strstr(xk_db_message(db), "syntax error"));
    EQ(xk_db_prepare(db, "SELECT 1; SELECT 2", 18, &st), XK_EINVAL);
    EQ(xk_db_prepare(db, "SELECT 1; -- more", 17, &st), 0);
    xk_db_finalize(st);
    EQ(xk_db_prepare(db, "", 0, &st), XK_EINVAL);
    EQ(exec(db, "CREATE TABLE t(x INTEGER PRIMARY KEY CHECK(x < 10)); INSERT INTO t VALUES(1)"), 0);
    EQ(exec(db, "INSERT INTO t VALUES(1)"), XK_EEXIST);
    EQ(exec(db, "INSERT INTO t VALUES(11)"), XK_EINVAL);
    EQ(exec(db, "ATTACH 'main' AS other"), XK_EACCES);
    EQ(exec(db, "ATTACH 'file:/etc/passwd?vfs=unix' AS other"), XK_EACCES);
    EQ(exec(db, "VACUUM INTO '/tmp/leak'"), XK_EACCES);
    EQ(exec(db, "PRAGMA journal_mode=OFF"), XK_EACCES);
    EQ(exec(db, "PRAGMA synchronous=OFF"), XK_EACCES);
    EQ(exec(db, "SELECT load_extension('x')"), XK_EINVAL);
    EQ(exec(db, "VACUUM"), 0);
    EQ(number(db, "PRAGMA synchronous"), 2);
    st = prepare(db, "SELECT 1");
    EQ(xk_db_step(st), 1);
    xk_db_close(db);
    EQ(xk_db_stmt_check(st), XK_ECLOSED);
    EQ(xk_db_step(st), XK_ECLOSED);
    EQ(xk_db_bind_null(st, 1), XK_ECLOSED);
    EQ(xk_db_columns(st), 0);
    xk_db_reset(st);
    xk_db_finalize(st);
    xk_db_close(NULL);
    xk_db_finalize(NULL);
}

TEST(refused_files)
{
    struct xk_file *a, *b;
    struct xk_diag d = {0};
    struct xk_db *db;

    EQ(xk_file_memory(NULL, 1 << 20, &a), 0);
    EQ(xk_file_memory(NULL, 1 << 20, &b), 0);
    for (int i = 0; i < 5000; i++)
        EQ(xk_file_write(a, "no database", 11, (uint64_t)i * 11), 11);
    EQ(xk_db_open(NULL, a, b, NULL, &d, &db), XK_EPROTO);
    OK(!db);
    STREQ(d.text, "file is not a database");
    EQ(xk_file_memory(NULL, 1 << 20, &a), 0);
    EQ(xk_db_open(NULL, a, NULL, NULL, NULL, &db), XK_EINVAL);
    EQ(xk_file_memory(NULL, 1 << 20, &a), 0);
    EQ(xk_db_open(NULL, a, a, NULL, NULL, &db), XK_EINVAL);
}

TEST(bounds)
{
    struct xk_db_options o = {.max_bytes = 200000, .max_value = 100000};
    struct xk_file *a, *b;
    struct xk_db *db;

    EQ(xk_file_memory(NULL, 1 << 24, &a), 0);
    EQ(xk_file_memory(NULL, 1 << 24, &b), 0);
    EQ(xk_db_open(NULL, a, b, &o, NULL, &db), 0);
    EQ(exec(db, "CREATE TABLE t(x)"), 0);
    EQ(exec(db, "INSERT INTO t VALUES(randomblob(90000)), (randomblob(90000))"), 0);
    EQ(exec(db, "INSERT INTO t VALUES(randomblob(90000))"), XK_ENOSPC);
    EQ(exec(db, "INSERT INTO t VALUES(zeroblob(200000))"), XK_E2BIG);
    EQ(number(db, "SELECT count(*) FROM t"), 2);
    EQ(exec(db, "DELETE FROM t; INSERT INTO t VALUES(randomblob(90000))"), 0);
    check_integrity(db);
    EQ(xk_db_checkpoint(db), 0);
    OK(xk_file_size(a) <= 200000);
    xk_db_close(db);
}

/* Sorting and temporary tables need no file of ours. */
TEST(temporary_things_stay_in_memory)
{
    struct xk_db *db = open_memory_files();
    struct xk_db_counts before;

    EQ(exec(db, "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000)"
                "INSERT INTO t SELECT randomblob(100) FROM n"),
       0);
    before = xk_db_counts(db);
    EQ(exec(db, "CREATE TEMP TABLE s AS SELECT x FROM t ORDER BY x DESC; CREATE INDEX temp.s_x ON s(x)"), 0);
    EQ(number(db, "SELECT count(DISTINCT x) FROM (SELECT x FROM t UNION ALL SELECT x FROM s)"), 20000);
    EQ(xk_db_counts(db).writes, before.writes);
    xk_db_close(db);
}

static int fixed_entropy(void *ctx, void *buf, size_t n)
{
    ++*(int *)ctx;
    memset(buf, 7, n);
    return 0;
}

TEST(entropy_is_asked_once)
{
    int asked = 0;
    struct xk_db_options o = {.entropy = fixed_entropy, .entropy_ctx = &asked};
    struct xk_db *a, *b;

    EQ(xk_db_open(NULL, NULL, NULL, &o, NULL, &a), 0);
    EQ(xk_db_open(NULL, NULL, NULL, &o, NULL, &b), 0);
    EQ(asked, 1);
    OK(number(a, "SELECT random()") != number(b, "SELECT random()"));
    xk_db_close(a);
    xk_db_close(b);
}
