/* db/vfs.h - the VFS that shows two handed-in files to SQLite. SPDX-License-Identifier: MIT */
#ifndef XK_DB_VFS_H
#define XK_DB_VFS_H

#include <sqlite3.h>

#include <xenkit/alloc.h>
#include <xenkit/db.h>
#include <xenkit/file.h>

/* One a database: the VFS's own fields say which files its names mean. */
struct xk__vfs {
    sqlite3_vfs base; /* first: SQLite hands a pointer to it back */
    char name[32];
    xk_alloc alloc;
    struct xk_file *main, *journal; /* owned; NULL in memory */
    uint64_t max_temp;
    int main_open; /* the one handle on (main) that may exist */
    int err;       /* the last XK_E... of a file: SQLite's codes are coarser */
    struct xk_db_counts counts;
};

/* Registers (v) under a name of its own, never as the default. xk__vfs_fini unregisters and closes both files; no
 * connection may be left. */
int xk__vfs_init(struct xk__vfs *v, const xk_alloc *alloc, struct xk_file *main, struct xk_file *journal,
                 uint64_t max_temp);
void xk__vfs_fini(struct xk__vfs *v);

#endif
