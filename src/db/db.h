/* db/db.h - a database and its statements, as both files see them. SPDX-License-Identifier: MIT */
#ifndef XK_DB_DB_H
#define XK_DB_DB_H

#include "db/vfs.h"

struct xk_db {
    xk_alloc alloc;
    struct xk__vfs vfs;
    sqlite3 *raw;
    struct xk_db_stmt *stmts; /* all that are not detached */
};

/* A statement outlives its database as an empty shell, so that closing is safe in any order. */
struct xk_db_stmt {
    xk_alloc alloc;
    struct xk_db *db;  /* NULL: detached */
    sqlite3_stmt *raw; /* NULL: detached */
    struct xk_db_stmt *next, **link;
};

/* The XK_E... code for SQLite's extended (code). */
int xk__db_err(struct xk_db *db, int code);

/* Finalizes the raw statement and takes (st) off its database's list. */
void xk__db_detach(struct xk_db_stmt *st);

#endif
