/* Databases: opening with every setting that the sandbox and the promise of durability need, and a guard that keeps SQL
 * from taking them back. SPDX-License-Identifier: MIT */
#include "db/db.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct xk_db_options defaults = {
    .max_temp = 64u << 20,
    .max_value = 64u << 20,
    .cache_kib = 8192,
    .log_pages = 1000,
};

static void fill_defaults(struct xk_db_options *o)
{
    o->max_temp = o->max_temp ? o->max_temp : defaults.max_temp;
    o->max_value = o->max_value ? o->max_value : defaults.max_value;
    o->cache_kib = o->cache_kib ? o->cache_kib : defaults.cache_kib;
    o->log_pages = o->log_pages ? o->log_pages : defaults.log_pages;
}

/* --- errors ----------------------------------------------------------------------------------------------------- */

static int constraint_err(int code)
{
    int unique =
        code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_ROWID;

    return unique ? XK_EEXIST : XK_EINVAL;
}

/* The file's own reason where SQLite only knows that something failed. */
static int io_err(struct xk_db *db, int code)
{
    int err = db->vfs.err;

    db->vfs.err = 0;
    return code == SQLITE_IOERR_NOMEM ? XK_ENOMEM : err ? err : XK_EIO;
}

int xk__db_err(struct xk_db *db, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_CONSTRAINT:
        return constraint_err(code);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return io_err(db, code);
    case SQLITE_FULL:
        return XK_ENOSPC;
    case SQLITE_NOMEM:
        return XK_ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return XK_EBUSY;
    case SQLITE_READONLY:
        return XK_EROFS;
    case SQLITE_AUTH:
    case SQLITE_PERM:
        return XK_EACCES;
    case SQLITE_TOOBIG:
        return XK_E2BIG;
    case SQLITE_RANGE:
        return XK_ERANGE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return XK_EPROTO;
    case SQLITE_ABORT:
    case SQLITE_INTERRUPT:
        return XK_ECANCELED;
    default: /* SQLITE_ERROR, MISUSE, MISMATCH, SCHEMA: the SQL or its values are wrong */
        return XK_EINVAL;
    }
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static uint32_t draw_seed(const struct xk_db_options *o)
{
    uint32_t seed = 0;

    if (!o->entropy || o->entropy(o->entropy_ctx, &seed, sizeof(seed)) < 0)
        seed = (uint32_t)time(NULL) * 2654435761u ^ (uint32_t)clock() ^ (uint32_t)((uintptr_t)o >> 4);
    return seed ? seed : 1; /* 0 means unseeded */
}

/* SQLite draws from its default VFS, which opens /dev/urandom: a call that may kill a sandboxed process. A seed set
 * before takes the place of that. Once a process, since setting it starts the sequence anew. */
static void seed_once(const struct xk_db_options *o)
{
    static int seeded;
    sqlite3_mutex *m = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP1);

    sqlite3_mutex_enter(m);
    if (!seeded)
        sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)draw_seed(o), NULL);
    seeded = 1;
    sqlite3_mutex_leave(m);
}

/* Settings that are promises of this header; changing them by SQL would break them silently. */
static int is_promise(const char *pragma)
{
    static const char *const list[] = {"journal_mode",         "locking_mode",        "synchronous",
                                       "temp_store",           "mmap_size",           "temp_store_directory",
                                       "data_store_directory", "max_page_count",      "trusted_schema",
                                       "writable_schema",      "checkpoint_fullfsync"};

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (sqlite3_stricmp(pragma, list[i]) == 0)
            return 1;
    return 0;
}

/* ATTACH could name another VFS by URI and so another file; VACUUM attaches the nameless temporary database. */
static int guard(void *ctx, int action, const char *a, const char *b, const char *schema, const char *trigger)
{
    (void)ctx;
    (void)schema;
    (void)trigger;
    if (action == SQLITE_ATTACH)
        return a && !*a ? SQLITE_OK : SQLITE_DENY;
    if (action == SQLITE_PRAGMA && b && is_promise(a))
        return SQLITE_DENY;
    return SQLITE_OK;
}

static void set_limits(struct xk_db *db, const struct xk_db_options *o)
{
    int most = o->max_value > INT_MAX ? INT_MAX : (int)o->max_value;

    sqlite3_limit(db->raw, SQLITE_LIMIT_LENGTH, most);
    sqlite3_limit(db->raw, SQLITE_LIMIT_SQL_LENGTH, most);
    sqlite3_limit(db->raw, SQLITE_LIMIT_WORKER_THREADS, 0);
    sqlite3_db_config(db->raw, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_db_config(db->raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
}

static int exec_text(struct xk_db *db, const char *sql) { return xk_db_exec(db, sql, strlen(sql)); }

/* Sets the journal's mode and looks at what SQLite answers: it refuses by answering the old one. */
static int set_journal(struct xk_db *db, const char *mode)
{
    struct xk_db_stmt *st;
    char sql[64];
    int n = snprintf(sql, sizeof(sql), "PRAGMA journal_mode=%s", mode);
    int r = xk_db_prepare(db, sql, (size_t)n, &st);
    const char *got;

    if (r < 0)
        return r;
    r = xk_db_step(st);
    if (r == 1) {
        got = xk_db_column_bytes(st, 0, &(size_t){0});
        r = got && sqlite3_stricmp(got, mode) == 0 ? 0 : XK_EIO;
    } else if (r == 0) {
        r = XK_EIO;
    }
    xk_db_finalize(st);
    return r;
}

/* A log that a crash left is copied back at once. SQLite would append to it, and its last commit then shares a sector
 * with the next write: the frames that pad a commit to the sector's end are not found again by recovery when they were
 * torn. A second power cut would lose a commit that had been read since (found by test_vfs, power_cuts_with_a_log). */
static int empty_log(struct xk_db *db) { return xk_db_checkpoint(db); }

static int set_up(struct xk_db *db, const struct xk_db_options *o)
{
    const char *mode = !db->vfs.main ? "memory" : o->journal == XK_DB_ROLLBACK ? "truncate" : "wal";
    char sql[256];
    int r = exec_text(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY; PRAGMA page_size=4096;"
                          "PRAGMA mmap_size=0; PRAGMA foreign_keys=ON; PRAGMA secure_delete=FAST");

    if (r >= 0)
        r = set_journal(db, mode);
    if (r < 0)
        return r;
    snprintf(sql, sizeof(sql),
             "PRAGMA synchronous=FULL; PRAGMA cache_size=-%u; PRAGMA wal_autocheckpoint=%u;"
             "PRAGMA journal_size_limit=%llu",
             o->cache_kib, o->log_pages, 4096ull * 2 * o->log_pages);
    r = exec_text(db, sql);
    if (r >= 0 && o->max_bytes) {
        snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%llu",
                 (unsigned long long)(o->max_bytes < 4096 ? 1 : o->max_bytes / 4096));
        r = exec_text(db, sql);
    }
    /* Reads the schema, so that a foreign or damaged file is refused here and not by the first query. */
    if (r >= 0)
        r = exec_text(db, "SELECT count(*) FROM sqlite_schema");
    return r < 0 || o->journal != XK_DB_WAL || !db->vfs.main ? r : empty_log(db);
}

static int open_raw(struct xk_db *db, const struct xk_db_options *o)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                      SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(db->vfs.main ? "main" : ":memory:", &db->raw, flags, db->vfs.name);

    if (code != SQLITE_OK)
        return xk__db_err(db, code);
    set_limits(db, o);
    return 0;
}

static void free_db(struct xk_db *db)
{
    xk_alloc alloc = db->alloc;

    sqlite3_close(db->raw);
    xk__vfs_fini(&db->vfs);
    xk_free(&alloc, db, sizeof(*db));
}

/* A database from files whose ownership has passed; they are closed with it. */
static int make(const xk_alloc *a, struct xk_file *main, struct xk_file *journal, const struct xk_db_options *o,
                struct xk_db **out)
{
    struct xk_db *db = xk_new(a, sizeof(*db));

    if (!db || sqlite3_initialize() != SQLITE_OK) {
        xk_free(a, db, sizeof(*db));
        xk_file_close(main);
        xk_file_close(journal);
        return XK_ENOMEM;
    }
    seed_once(o);
    db->alloc = *a;
    if (xk__vfs_init(&db->vfs, a, main, journal, o->max_temp) < 0) {
        free_db(db);
        return XK_ENOMEM;
    }
    *out = db;
    return 0;
}

int xk_db_open(const xk_alloc *alloc, struct xk_file *main, struct xk_file *journal,
               const struct xk_db_options *options, struct xk_diag *d, struct xk_db **out)
{
    struct xk_db_options o = options ? *options : defaults;
    struct xk_db *db;
    int r;

    *out = NULL;
    fill_defaults(&o);
    if (!main != !journal || (main && main == journal)) {
        xk_file_close(main);
        xk_file_close(main == journal ? NULL : journal);
        return xk_diag_set(d, XK_EINVAL, 0, 0, "a database needs two files, or none to be in memory");
    }
    r = make(alloc ? alloc : xk_alloc_libc(), main, journal, &o, &db);
    if (r < 0)
        return xk_diag_set(d, r, 0, 0, "%s", xk_err_text(r));
    r = open_raw(db, &o);
    if (r >= 0)
        r = set_up(db, &o);
    if (r < 0) {
        /* SQLite may have no complaint of its own: it refuses a journal mode by keeping the old one. */
        xk_diag_set(d, r, 0, 0, "%s", sqlite3_errcode(db->raw) ? xk_db_message(db) : xk_err_text(r));
        xk_db_close(db);
        return r;
    }
    sqlite3_set_authorizer(db->raw, guard, NULL);
    sqlite3_db_config(db->raw, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    *out = db;
    return 0;
}

void xk_db_close(struct xk_db *db)
{
    if (!db)
        return;
    while (db->stmts)
        xk__db_detach(db->stmts);
    free_db(db);
}

/* --- questions -------------------------------------------------------------------------------------------------- */

const char *xk_db_message(const struct xk_db *db) { return db->raw ? sqlite3_errmsg(db->raw) : "out of memory"; }

int64_t xk_db_last_insert_rowid(const struct xk_db *db) { return sqlite3_last_insert_rowid(db->raw); }

int64_t xk_db_changes(const struct xk_db *db) { return sqlite3_changes64(db->raw); }

int xk_db_in_transaction(const struct xk_db *db) { return !sqlite3_get_autocommit(db->raw); }

struct xk_db_counts xk_db_counts(const struct xk_db *db) { return db->vfs.counts; }

int xk_db_checkpoint(struct xk_db *db)
{
    return xk__db_err(db, sqlite3_wal_checkpoint_v2(db->raw, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
}
