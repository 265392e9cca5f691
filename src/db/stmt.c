/* Statements: prepare, bind, step, read. Thin on purpose: what is added over SQLite is one kind of result code, exactly
 * one statement a text, and that a statement survives its database as an empty shell.
 *
 * SPDX-License-Identifier: MIT */
#include "db/db.h"

#include <limits.h>

void xk__db_detach(struct xk_db_stmt *st)
{
    if (!st->db)
        return;
    sqlite3_finalize(st->raw);
    *st->link = st->next;
    if (st->next)
        st->next->link = st->link;
    st->db = NULL;
    st->raw = NULL;
}

static void attach(struct xk_db *db, struct xk_db_stmt *st)
{
    st->db = db;
    st->next = db->stmts;
    st->link = &db->stmts;
    if (st->next)
        st->next->link = &st->next;
    db->stmts = st;
}

/* Is there a second statement in what the first one left over? Blanks and comments compile to nothing. */
static int only_one(struct xk_db *db, const char *tail, size_t n)
{
    sqlite3_stmt *more = NULL;
    int code = SQLITE_OK;

    while (n > 0 && code == SQLITE_OK && !more) {
        const char *next = tail;

        code = sqlite3_prepare_v2(db->raw, tail, (int)n, &more, &next);
        if (next == tail)
            break;
        n -= (size_t)(next - tail);
        tail = next;
    }
    if (code == SQLITE_OK && !more)
        return 0;
    sqlite3_finalize(more);
    return XK_EINVAL;
}

int xk_db_prepare(struct xk_db *db, const char *sql, size_t n, struct xk_db_stmt **out)
{
    struct xk_db_stmt *st;
    const char *tail = sql;
    int code, r;

    *out = NULL;
    if (n > INT_MAX)
        return XK_E2BIG;
    st = xk_new(&db->alloc, sizeof(*st));
    if (!st)
        return XK_ENOMEM;
    st->alloc = db->alloc;
    code = sqlite3_prepare_v3(db->raw, sql, (int)n, SQLITE_PREPARE_PERSISTENT, &st->raw, &tail);
    r = code != SQLITE_OK ? xk__db_err(db, code) : st->raw ? only_one(db, tail, n - (size_t)(tail - sql)) : XK_EINVAL;
    if (r < 0) {
        sqlite3_finalize(st->raw);
        xk_free(&db->alloc, st, sizeof(*st));
        return r;
    }
    attach(db, st);
    *out = st;
    return 0;
}

void xk_db_finalize(struct xk_db_stmt *st)
{
    xk_alloc alloc;

    if (!st)
        return;
    xk__db_detach(st);
    alloc = st->alloc;
    xk_free(&alloc, st, sizeof(*st));
}

int xk_db_stmt_check(const struct xk_db_stmt *st) { return st->raw ? 0 : XK_ECLOSED; }

static int run_to_end(sqlite3_stmt *raw)
{
    int code;

    do
        code = sqlite3_step(raw);
    while (code == SQLITE_ROW);
    sqlite3_finalize(raw);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int xk_db_exec(struct xk_db *db, const char *sql, size_t n)
{
    int code = SQLITE_OK;

    if (n > INT_MAX)
        return XK_E2BIG;
    while (n > 0 && code == SQLITE_OK) {
        sqlite3_stmt *raw = NULL;
        const char *tail = sql + n;

        code = sqlite3_prepare_v2(db->raw, sql, (int)n, &raw, &tail);
        if (code == SQLITE_OK && raw)
            code = run_to_end(raw);
        n -= (size_t)(tail - sql);
        sql = tail;
    }
    return xk__db_err(db, code);
}

/* --- parameters ------------------------------------------------------------------------------------------------- */

int xk_db_params(const struct xk_db_stmt *st) { return st->raw ? sqlite3_bind_parameter_count(st->raw) : 0; }

static int bound(struct xk_db_stmt *st, int code) { return st->db ? xk__db_err(st->db, code) : XK_ECLOSED; }

int xk_db_bind_null(struct xk_db_stmt *st, int i) { return bound(st, st->raw ? sqlite3_bind_null(st->raw, i) : 0); }

int xk_db_bind_integer(struct xk_db_stmt *st, int i, int64_t v)
{
    return bound(st, st->raw ? sqlite3_bind_int64(st->raw, i, v) : 0);
}

int xk_db_bind_real(struct xk_db_stmt *st, int i, double v)
{
    return bound(st, st->raw ? sqlite3_bind_double(st->raw, i, v) : 0);
}

int xk_db_bind_text(struct xk_db_stmt *st, int i, const char *p, size_t n)
{
    return bound(st, st->raw ? sqlite3_bind_text64(st->raw, i, p ? p : "", n, SQLITE_TRANSIENT, SQLITE_UTF8) : 0);
}

int xk_db_bind_blob(struct xk_db_stmt *st, int i, const void *p, size_t n)
{
    return bound(st, st->raw ? sqlite3_bind_blob64(st->raw, i, p ? p : "", n, SQLITE_TRANSIENT) : 0);
}

void xk_db_clear(struct xk_db_stmt *st)
{
    if (st->raw)
        sqlite3_clear_bindings(st->raw);
}

/* --- rows ------------------------------------------------------------------------------------------------------- */

int xk_db_step(struct xk_db_stmt *st)
{
    int code;

    if (!st->raw)
        return XK_ECLOSED;
    code = sqlite3_step(st->raw);
    if (code == SQLITE_ROW)
        return 1;
    sqlite3_reset(st->raw);
    return xk__db_err(st->db, code);
}

void xk_db_reset(struct xk_db_stmt *st)
{
    if (st->raw)
        sqlite3_reset(st->raw);
}

int xk_db_columns(const struct xk_db_stmt *st) { return st->raw ? sqlite3_column_count(st->raw) : 0; }

const char *xk_db_column_name(struct xk_db_stmt *st, int i)
{
    const char *name = st->raw ? sqlite3_column_name(st->raw, i) : NULL;

    return name ? name : "";
}

enum xk_db_type xk_db_column_type(struct xk_db_stmt *st, int i)
{
    switch (st->raw ? sqlite3_column_type(st->raw, i) : SQLITE_NULL) {
    case SQLITE_INTEGER:
        return XK_DB_INTEGER;
    case SQLITE_FLOAT:
        return XK_DB_REAL;
    case SQLITE_TEXT:
        return XK_DB_TEXT;
    case SQLITE_BLOB:
        return XK_DB_BLOB;
    default:
        return XK_DB_NULL;
    }
}

int64_t xk_db_column_integer(struct xk_db_stmt *st, int i) { return st->raw ? sqlite3_column_int64(st->raw, i) : 0; }

double xk_db_column_real(struct xk_db_stmt *st, int i) { return st->raw ? sqlite3_column_double(st->raw, i) : 0; }

const void *xk_db_column_bytes(struct xk_db_stmt *st, int i, size_t *n)
{
    const void *p = NULL;

    *n = 0;
    if (st->raw) {
        p = sqlite3_column_blob(st->raw, i); /* before the length: sqlite3.h, sqlite3_column_bytes */
        *n = (size_t)sqlite3_column_bytes(st->raw, i);
    }
    return p;
}
