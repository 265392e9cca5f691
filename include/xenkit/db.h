/* xenkit/db.h - SQLite over files that were handed in.
 *
 * A sandboxed domain cannot open, lock, map or unlink a file. It is handed two: one for the database, one for its
 * write-ahead log or rollback journal. A VFS of our own shows them to SQLite by name; one process may have several
 * databases, and none touches SQLite's default VFS. Temporary tables, sorting and statement journals stay in memory.
 *
 * The files belong to one xk_db alone (there are no locks: whoever hands them out must hand them out once). Commits are
 * durable when the call returns (synchronous = FULL) if the file's sync keeps its promise; many changes in one
 * transaction cost one sync, and that batching is the caller's. Calls block for as long as the files do.
 *
 * SQLite takes its memory from the C library; (alloc) is for what is ours. A xk_db and its statements are for one
 * thread at a time. SPDX-License-Identifier: MIT */
#ifndef XENKIT_DB_H
#define XENKIT_DB_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>
#include <xenkit/err.h>
#include <xenkit/file.h>

XK_API_BEGIN

struct xk_db;
struct xk_db_stmt;

enum xk_db_journal {
    XK_DB_WAL = 0,     /* write-ahead log: one sync a commit */
    XK_DB_ROLLBACK = 1 /* rollback journal: two to three syncs a commit, the database file alone is complete */
};

/* Zero in a field means its default. A NULL in place of all options means all defaults. */
struct xk_db_options {
    enum xk_db_journal journal;
    uint64_t max_bytes; /* the database never grows beyond; XK_ENOSPC then. No bound by default */
    uint64_t max_temp;  /* bytes of each temporary file in memory. 64 MiB */
    uint32_t max_value; /* bytes of one string, blob or row, and of one SQL text. 64 MiB */
    uint32_t cache_kib; /* of pages. 8 MiB */
    uint32_t log_pages; /* the log is copied back into the database when it has so many pages. 1000 */
    /* Fills (buf) with (n) random bytes, returns 0 or XK_E.... Asked once a process, for the salts of SQLite's journals
     * and its random(): SQLite would open /dev/urandom otherwise. By default a mix of clocks and addresses, which is
     * enough for salts. random() in SQL is not for secrets: SQLite takes 32 bits of seed this way. */
    int (*entropy)(void *ctx, void *buf, size_t n);
    void *entropy_ctx;
};

/* What the files were asked to do since the opening. */
struct xk_db_counts {
    uint64_t reads, writes, written_bytes, syncs, truncates, failures;
};

/* --- the database ----------------------------------------------------------------------------------------------- */

/* xk_db_open (alloc, main, journal, options, d, out) - opens or, when (main) is empty, creates a database; recovers
 * what a crash left. Both files belong to it from now on, even when this fails. (main) and (journal) NULL: a database
 * in memory. XK_EPROTO when (main) is no database or corrupt; (d) may be NULL and says what SQLite said. */
XK_MUSTCHECK int xk_db_open(const xk_alloc *alloc, struct xk_file *main, struct xk_file *journal,
                            const struct xk_db_options *options, struct xk_diag *d, struct xk_db **out);

/* xk_db_close (db) - rolls back an open transaction, copies the log back, closes both files. Statements that live on
 * answer XK_ECLOSED and must still be finalized. NULL is nothing. */
void xk_db_close(struct xk_db *db);

/* xk_db_message (db) - what the last failed call of (db) or of its statements complained of; valid until the next. */
const char *xk_db_message(const struct xk_db *db);

/* xk_db_exec (db, sql, n) - runs all statements of a text, rows are dropped; the first failure ends it.
 * Errors of this and all calls below: XK_EINVAL wrong SQL, value out of type, or a CHECK, NOT NULL or foreign key that
 * failed; XK_EEXIST a UNIQUE or PRIMARY KEY; XK_ENOSPC, XK_EIO and what the file reported; XK_ENOMEM; XK_E2BIG;
 * XK_EACCES for what would leave the files or their promises (ATTACH, PRAGMA journal_mode ...); XK_EPROTO corrupt. */
XK_MUSTCHECK int xk_db_exec(struct xk_db *db, const char *sql, size_t n);

int64_t xk_db_last_insert_rowid(const struct xk_db *db);
int64_t xk_db_changes(const struct xk_db *db);    /* rows that the last INSERT, UPDATE or DELETE changed */
int xk_db_in_transaction(const struct xk_db *db); /* 0 also after SQLite rolled back on its own (disk full, I/O) */
struct xk_db_counts xk_db_counts(const struct xk_db *db);

/* xk_db_checkpoint (db) - copies the whole log back and empties it. */
XK_MUSTCHECK int xk_db_checkpoint(struct xk_db *db);

/* --- statements ------------------------------------------------------------------------------------------------- */

/* xk_db_prepare (db, sql, n, out) - exactly one statement. */
XK_MUSTCHECK int xk_db_prepare(struct xk_db *db, const char *sql, size_t n, struct xk_db_stmt **out);
void xk_db_finalize(struct xk_db_stmt *st); /* NULL is nothing; may come after xk_db_close */

/* XK_ECLOSED after xk_db_close, else 0. */
int xk_db_stmt_check(const struct xk_db_stmt *st);

/* Parameters are numbered from 1 and keep their value until bound again or cleared; bytes are copied. XK_ERANGE: no
 * such parameter. The statement must not be between two rows. */
int xk_db_params(const struct xk_db_stmt *st);
int xk_db_bind_null(struct xk_db_stmt *st, int i);
int xk_db_bind_integer(struct xk_db_stmt *st, int i, int64_t v);
int xk_db_bind_real(struct xk_db_stmt *st, int i, double v);
int xk_db_bind_text(struct xk_db_stmt *st, int i, const char *p, size_t n);
int xk_db_bind_blob(struct xk_db_stmt *st, int i, const void *p, size_t n);
void xk_db_clear(struct xk_db_stmt *st);

/* xk_db_step (st) - 1: a row stands in the columns until the next call on (st). 0: done, and reset. XK_E...: failed,
 * and reset. xk_db_reset ends a statement before its last row. */
XK_MUSTCHECK int xk_db_step(struct xk_db_stmt *st);
void xk_db_reset(struct xk_db_stmt *st);

enum xk_db_type { XK_DB_NULL, XK_DB_INTEGER, XK_DB_REAL, XK_DB_TEXT, XK_DB_BLOB };

/* Columns are numbered from 0. */
int xk_db_columns(const struct xk_db_stmt *st);
const char *xk_db_column_name(struct xk_db_stmt *st, int i);
enum xk_db_type xk_db_column_type(struct xk_db_stmt *st, int i);
int64_t xk_db_column_integer(struct xk_db_stmt *st, int i);
double xk_db_column_real(struct xk_db_stmt *st, int i);
const void *xk_db_column_bytes(struct xk_db_stmt *st, int i, size_t *n); /* of a text or blob; NULL only when *n is 0 */

XK_API_END

#endif
