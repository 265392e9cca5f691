/* The VFS: names become the two files that were handed in. "main" is the database; "main-wal" and "main-journal" are
 * both the second file, which is one or the other by what stands in its first bytes.
 *
 * Why one file can be both: SQLite uses one at a time, but for the moment in which a new database turns from rollback
 * journal to log. A log taken for a hot journal would be "rolled back", that is, thrown away with its commits; hence a
 * name exists only when the file begins with that name's magic number. Deleting is truncating to nothing, and syncing
 * that: on a file system the deletion of a journal would be a directory's matter, here it must not come back.
 *
 * What is not here: locks (one owner), shared memory (the log's index is in the heap, locking_mode = EXCLUSIVE),
 * mapping (methods of version 1), and any promise about sectors: SQLite is told 4096 bytes that may all be lost when a
 * write into them is cut, since that is all pwrite gives (no SQLITE_IOCAP_POWERSAFE_OVERWRITE, ATOMIC or SEQUENTIAL).
 *
 * SPDX-License-Identifier: MIT */
#include "db/vfs.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SECTOR = 4096, NAME_MAX_BYTES = 64 };

struct vfs_file {
    sqlite3_file base;
    struct xk__vfs *vfs;
    struct xk_file *file;
    int is_main, is_temp;
};

static struct vfs_file *file_of(sqlite3_file *f) { return (struct vfs_file *)f; }
static struct xk__vfs *vfs_of(sqlite3_vfs *v) { return (struct xk__vfs *)v; }

/* Notes a file's failure for the message and the XK_E... code, and gives SQLite its own code. */
static int failed(struct xk__vfs *v, int err, int code)
{
    v->err = err;
    v->counts.failures++;
    return err == XK_ENOSPC || err == XK_EDQUOT ? SQLITE_FULL : err == XK_ENOMEM ? SQLITE_IOERR_NOMEM : code;
}

/* --- one open file ---------------------------------------------------------------------------------------------- */

static int file_close(sqlite3_file *f)
{
    struct vfs_file *h = file_of(f);

    if (h->is_temp)
        xk_file_close(h->file);
    if (h->is_main)
        h->vfs->main_open = 0;
    return SQLITE_OK;
}

static int file_read(sqlite3_file *f, void *buf, int n, sqlite3_int64 at)
{
    struct vfs_file *h = file_of(f);
    int got = xk_file_read(h->file, buf, (size_t)n, (uint64_t)at);

    h->vfs->counts.reads++;
    if (got < 0)
        return failed(h->vfs, got, SQLITE_IOERR_READ);
    if (got < n) {
        memset((char *)buf + got, 0, (size_t)(n - got)); /* sqlite3.h, xRead: or corruption follows */
        return SQLITE_IOERR_SHORT_READ;
    }
    return SQLITE_OK;
}

static int file_write(sqlite3_file *f, const void *buf, int n, sqlite3_int64 at)
{
    struct vfs_file *h = file_of(f);
    int r = xk_file_write(h->file, buf, (size_t)n, (uint64_t)at);

    h->vfs->counts.writes++;
    h->vfs->counts.written_bytes += (uint64_t)n;
    return r < 0 ? failed(h->vfs, r, SQLITE_IOERR_WRITE) : SQLITE_OK;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct vfs_file *h = file_of(f);
    int r = xk_file_truncate(h->file, (uint64_t)size);

    h->vfs->counts.truncates++;
    return r < 0 ? failed(h->vfs, r, SQLITE_IOERR_TRUNCATE) : SQLITE_OK;
}

static int file_sync(sqlite3_file *f, int flags)
{
    struct vfs_file *h = file_of(f);
    int r;

    (void)flags; /* xk_file knows one kind of sync, the strong one */
    if (h->is_temp)
        return SQLITE_OK;
    h->vfs->counts.syncs++;
    r = xk_file_sync(h->file);
    return r < 0 ? failed(h->vfs, r, SQLITE_IOERR_FSYNC) : SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
    struct vfs_file *h = file_of(f);
    int64_t n = xk_file_size(h->file);

    *size = n < 0 ? 0 : n;
    return n < 0 ? failed(h->vfs, (int)n, SQLITE_IOERR_FSTAT) : SQLITE_OK;
}

static int file_lock(sqlite3_file *f, int level)
{
    (void)f;
    (void)level;
    return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *f, int *held)
{
    (void)f;
    *held = 0; /* by somebody else: there is nobody else */
    return SQLITE_OK;
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    (void)f;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int file_sector(sqlite3_file *f)
{
    (void)f;
    return SECTOR;
}

static int file_traits(sqlite3_file *f)
{
    (void)f;
    return 0;
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
};

/* --- names ------------------------------------------------------------------------------------------------------ */

enum role { ROLE_NONE, ROLE_MAIN, ROLE_LOG, ROLE_JOURNAL };

static enum role role_of_name(const char *name)
{
    if (strcmp(name, "main") == 0)
        return ROLE_MAIN;
    if (strcmp(name, "main-wal") == 0)
        return ROLE_LOG;
    return strcmp(name, "main-journal") == 0 ? ROLE_JOURNAL : ROLE_NONE;
}

/* What the second file is now, by its magic number (sqlite.org/fileformat2.html, 3.0 and 4.1); or XK_E.... */
static int role_of_content(struct xk__vfs *v)
{
    static const uint8_t journal[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    static const uint8_t log[3] = {0x37, 0x7f, 0x06}; /* and 0x82 or 0x83, the checksum's byte order */
    uint8_t head[8];
    int n = v->journal ? xk_file_read(v->journal, head, sizeof(head), 0) : 0;

    if (n < (int)sizeof(head))
        return n < 0 ? n : ROLE_NONE;
    if (memcmp(head, journal, sizeof(journal)) == 0)
        return ROLE_JOURNAL;
    return memcmp(head, log, sizeof(log)) == 0 && (head[3] & 0xfe) == 0x82 ? ROLE_LOG : ROLE_NONE;
}

/* Empties the second file durably. A block device cannot shrink; there the first sector, and with it the magic number,
 * becomes zero. */
static int wipe(struct xk__vfs *v)
{
    static const uint8_t zeroes[SECTOR];
    int r = xk_file_truncate(v->journal, 0);

    v->counts.truncates++;
    if (r == XK_EINVAL || r == XK_ENOSYS)
        r = xk_file_write(v->journal, zeroes, sizeof(zeroes), 0);
    v->counts.syncs++;
    return r < 0 ? r : xk_file_sync(v->journal);
}

/* --- the VFS ---------------------------------------------------------------------------------------------------- */

static int open_temp(struct vfs_file *h)
{
    int r = xk_file_memory(&h->vfs->alloc, h->vfs->max_temp, &h->file);

    h->is_temp = 1;
    return r < 0 ? failed(h->vfs, r, SQLITE_CANTOPEN) : SQLITE_OK;
}

/* The second file in the role that is asked for. Left-overs of the other role go: SQLite has looked for them under
 * their name before it makes a new file. */
static int open_second(struct vfs_file *h, enum role role, int flags)
{
    int now;

    if (!h->vfs->journal)
        return SQLITE_CANTOPEN;
    now = role_of_content(h->vfs);
    if (now != (int)role && now > ROLE_NONE)
        now = (flags & SQLITE_OPEN_CREATE) ? wipe(h->vfs) : XK_ENOENT;
    if (now < 0)
        return failed(h->vfs, now, SQLITE_CANTOPEN);
    h->file = h->vfs->journal;
    return SQLITE_OK;
}

static int open_main(struct vfs_file *h)
{
    if (!h->vfs->main || h->vfs->main_open)
        return SQLITE_CANTOPEN; /* a second handle would not see the first one's locks: there are none */
    h->file = h->vfs->main;
    h->is_main = h->vfs->main_open = 1;
    return SQLITE_OK;
}

static int vfs_open(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *f, int flags, int *out_flags)
{
    const int kinds = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
    struct vfs_file *h = file_of(f);
    enum role role = name ? role_of_name(name) : ROLE_NONE;
    int r = SQLITE_CANTOPEN;

    memset(h, 0, sizeof(*h));
    h->vfs = vfs_of(v);
    if ((flags & SQLITE_OPEN_MAIN_DB) && role == ROLE_MAIN)
        r = open_main(h);
    else if ((flags & SQLITE_OPEN_WAL) && role == ROLE_LOG)
        r = open_second(h, role, flags);
    else if ((flags & SQLITE_OPEN_MAIN_JOURNAL) && role == ROLE_JOURNAL)
        r = open_second(h, role, flags);
    else if (!(flags & kinds))
        r = open_temp(h);
    if (r == SQLITE_OK) {
        h->base.pMethods = &methods;
        if (out_flags)
            *out_flags = flags;
    }
    return r;
}

static int vfs_delete(sqlite3_vfs *v, const char *name, int sync_directory)
{
    enum role role = role_of_name(name);
    int r;

    (void)sync_directory;
    if (role == ROLE_MAIN)
        return failed(vfs_of(v), XK_EACCES, SQLITE_IOERR_DELETE);
    r = role == ROLE_NONE ? ROLE_NONE : role_of_content(vfs_of(v));
    if (r >= 0 && (r == ROLE_NONE || r != (int)role))
        return SQLITE_IOERR_DELETE_NOENT;
    if (r >= 0)
        r = wipe(vfs_of(v));
    return r < 0 ? failed(vfs_of(v), r, SQLITE_IOERR_DELETE) : SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *v, const char *name, int flags, int *yes)
{
    struct xk__vfs *x = vfs_of(v);
    enum role role = role_of_name(name);
    int64_t r = 0;

    (void)flags; /* what exists is readable and writable */
    *yes = 0;
    if (role == ROLE_MAIN) {
        r = x->main ? xk_file_size(x->main) : 0;
        *yes = r > 0;
    } else if (role != ROLE_NONE) {
        r = role_of_content(x);
        *yes = r == (int)role;
    }
    return r < 0 ? failed(x, (int)r, SQLITE_IOERR_ACCESS) : SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *v, const char *name, int room, char *out)
{
    int n = snprintf(out, (size_t)room, "%s", name);

    (void)v;
    return n >= 0 && n < room ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* SQLite asks its default VFS instead, or the seed that xk_db_open sets; this one only has to be there. */
static int vfs_random(sqlite3_vfs *v, int n, char *out)
{
    uint64_t x = (uint64_t)time(NULL) ^ (uint64_t)(uintptr_t)v;

    for (int i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        out[i] = (char)(x >> 56);
    }
    return n;
}

static int vfs_sleep(sqlite3_vfs *v, int us)
{
    (void)v;
    return us; /* asked for only when a lock is busy: never */
}

static int vfs_time(sqlite3_vfs *v, double *julian)
{
    (void)v;
    *julian = 2440587.5 + (double)time(NULL) / 86400.0; /* 1970-01-01 as a Julian day */
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *v, int n, char *text)
{
    int err = vfs_of(v)->err;

    if (n > 0)
        snprintf(text, (size_t)n, "%s", xk_err_text(err));
    return err;
}

int xk__vfs_init(struct xk__vfs *v, const xk_alloc *alloc, struct xk_file *main, struct xk_file *journal,
                 uint64_t max_temp)
{
    static atomic_uint number;

    memset(v, 0, sizeof(*v));
    snprintf(v->name, sizeof(v->name), "xenkit-%u", atomic_fetch_add(&number, 1));
    v->alloc = *alloc;
    v->main = main;
    v->journal = journal;
    v->max_temp = max_temp;
    v->base.iVersion = 1;
    v->base.szOsFile = sizeof(struct vfs_file);
    v->base.mxPathname = NAME_MAX_BYTES;
    v->base.zName = v->name;
    v->base.xOpen = vfs_open;
    v->base.xDelete = vfs_delete;
    v->base.xAccess = vfs_access;
    v->base.xFullPathname = vfs_full_name;
    v->base.xRandomness = vfs_random;
    v->base.xSleep = vfs_sleep;
    v->base.xCurrentTime = vfs_time;
    v->base.xGetLastError = vfs_last_error;
    return sqlite3_vfs_register(&v->base, 0) == SQLITE_OK ? 0 : XK_ENOMEM;
}

void xk__vfs_fini(struct xk__vfs *v)
{
    sqlite3_vfs_unregister(&v->base);
    xk_file_close(v->main);
    xk_file_close(v->journal);
}
