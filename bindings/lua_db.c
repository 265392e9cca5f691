/*** SQLite over files that were handed in.
 *
 *     local db <close> = assert(core.db.open{main = 3, wal = 4})      -- or {disk = ctx.disk.data}
 *     db:exec "CREATE TABLE IF NOT EXISTS t(k TEXT PRIMARY KEY, v)"
 *     db:prepare("INSERT INTO t VALUES(?, ?)"):run("answer", 42)
 *     for row in db:prepare("SELECT * FROM t WHERE v > ?"):rows(1) do print(row.k, row.v) end
 *
 * Values are nil, integers, floats, strings (as TEXT; any bytes) and blobs, which go in as `blob(string)` and come out
 * as strings. Statements are cached by their text, so `prepare` in a loop costs a table look-up. Calls do not yield.
 * @module xenkit.core.db
 *
 * SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>

#include <xenkit/db.h>
#include <xenkit/file.h>

#include <xenkit/volume.h>

#include "bindings/block.h"

#define DB_TYPE "xenkit.db"
#define STMT_TYPE "xenkit.statement"
#define ROWS_TYPE "xenkit.rows"
#define BLOB_TYPE "xenkit.blob"

enum { CACHE_DEFAULT = 64, CACHE_MOST = 4096, PAGE = 4096, LOG_DEFAULT = 1000 /* pages, as db.h */ };

struct lua_db {
    struct xk_db *db;                    /* NULL: closed */
    struct xk_db_stmt *begin, *commit;   /* every transaction needs them */
    lua_Integer tick, hits, misses, out; /* of the statement cache, which is user value 1 */
    int cached, bound;
    struct xk_lua_disk_user disk; /* on which it is, if it is on one; kept in user value 2 */
};

struct lua_stmt {
    struct xk_db_stmt *st; /* NULL: closed */
    lua_Integer used;      /* the tick of its last prepare */
    int busy;              /* between two rows of an iteration */
};

/* --- handles ---------------------------------------------------------------------------------------------------- */

static struct lua_db *check_db(lua_State *L)
{
    struct lua_db *d = luaL_checkudata(L, 1, DB_TYPE);

    if (!d->db)
        luaL_error(L, "attempt to use a closed database");
    return d;
}

static int is_open(const struct lua_stmt *s) { return s->st && xk_db_stmt_check(s->st) == 0; }

/* The database of the statement at (index) of the stack; it is kept in user value 1. */
static struct lua_db *db_of(lua_State *L, int index)
{
    struct lua_db *d;

    lua_getiuservalue(L, index, 1);
    d = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return d;
}

static struct lua_stmt *check_stmt(lua_State *L)
{
    struct lua_stmt *s = luaL_checkudata(L, 1, STMT_TYPE);

    if (!is_open(s))
        luaL_error(L, "attempt to use a closed statement");
    if (s->busy)
        luaL_error(L, "attempt to use a statement that is being iterated");
    return s;
}

static int fail(lua_State *L, const struct lua_db *d, int err)
{
    lua_pushnil(L);
    lua_pushstring(L, xk_db_message(d->db));
    lua_pushstring(L, xk_err_name(err));
    return 3;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static lua_Integer opt_integer(lua_State *L, const char *name, lua_Integer most)
{
    lua_Integer v = 0;
    int is;

    if (lua_getfield(L, 1, name) != LUA_TNIL) {
        v = lua_tointegerx(L, -1, &is);
        if (!is || v < 0 || v > most)
            luaL_error(L, "field '%s' is not an integer in 0 .. %I", name, (LUAI_UACINT)most);
    }
    lua_pop(L, 1);
    return v;
}

static int opt_handle(lua_State *L, const char *name)
{
    int fd = -1, is = 1;

    if (lua_getfield(L, 1, name) != LUA_TNIL)
        fd = (int)lua_tointegerx(L, -1, &is);
    lua_pop(L, 1);
    if (!is)
        luaL_error(L, "field '%s' is not a descriptor", name);
    return fd;
}

static int is_memory(lua_State *L)
{
    int yes = lua_getfield(L, 1, "main") == LUA_TSTRING && strcmp(lua_tostring(L, -1), "memory") == 0;

    lua_pop(L, 1);
    return yes;
}

static int seed_entropy(void *ctx, void *buf, size_t n)
{
    memcpy(buf, ctx, n < sizeof(lua_Integer) ? n : sizeof(lua_Integer));
    return 0;
}

/* Both descriptors are ours from here on, whatever happens. */
static int take_files(int main, int journal, struct xk_file **a, struct xk_file **b)
{
    int r = xk_file_from_handle(NULL, main, a), q = xk_file_from_handle(NULL, journal, b);

    if (r == 0 && q == 0)
        return 0;
    xk_file_close(*a);
    xk_file_close(*b);
    return r < 0 ? r : q;
}

/* Ends the database, not its Lua object. */
static void end(struct lua_db *d)
{
    struct xk_db *db = d->db;

    d->db = NULL;
    xk_db_finalize(d->begin);
    xk_db_finalize(d->commit);
    d->begin = d->commit = NULL;
    xk_db_close(db);
    xk_lua_disk_unuse(&d->disk);
}

/* The disk is closed: nothing of the database may be under way on it then. */
static void disk_lost(struct xk_lua_disk_user *u)
{
    end((struct lua_db *)(void *)((char *)u - offsetof(struct lua_db, disk)));
}

/* The two files on a disk of its own, which is divided when it is blank. 0, XK_E... */
static int files_of_disk(lua_State *L, struct lua_db *d, struct xk_db_options *o, struct xk_file **a,
                         struct xk_file **b)
{
    static const unsigned shares[] = {3, 1};
    struct xk_file *files[2];
    struct xk_loop *loop;
    struct xk_blkdev *dev;
    uint64_t log_pages;
    int r;

    d->disk.lost = disk_lost;
    dev = xk_lua_disk_use(L, lua_gettop(L), &d->disk, &loop);
    r = xk_volume_is_blank(dev, loop);
    if (r > 0)
        r = xk_volume_format(dev, loop, shares, 2);
    if (r == 0)
        r = xk_volume_open(NULL, dev, loop, files, 2);
    if (r < 0) {
        xk_lua_disk_unuse(&d->disk);
        return r;
    }
    *a = files[0];
    *b = files[1];
    log_pages = dev->info.sectors * XK_SECTOR / 4 / PAGE / 2; /* half of the log's room: a commit more still fits */
    if (log_pages < LOG_DEFAULT && (o->log_pages == 0 || o->log_pages > log_pages))
        o->log_pages = log_pages > 1 ? (uint32_t)log_pages : 1;
    return 0;
}

/* The option `disk`, of xenkit.core.block or of xenkit.block: pushed, or 0. */
static int push_disk(lua_State *L)
{
    int type = lua_getfield(L, 1, "disk");

    if (type == LUA_TTABLE) {
        type = lua_getfield(L, -1, "raw");
        lua_remove(L, -2);
    }
    if (type == LUA_TNIL)
        lua_pop(L, 1);
    return type != LUA_TNIL;
}

static int open_db(lua_State *L, struct lua_db *d, struct xk_db_options *o)
{
    struct xk_file *a = NULL, *b = NULL;
    struct xk_diag diag = {0};
    int r;

    if (push_disk(L)) {
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 2, 2);
        r = files_of_disk(L, d, o, &a, &b);
        lua_pop(L, 1);
        if (r < 0)
            return xk_lua_failf(L, r, "a database on a disk");
    } else if (!is_memory(L)) {
        int main = opt_handle(L, "main"), log = opt_handle(L, "wal"), journal = opt_handle(L, "journal");

        luaL_argcheck(L, main >= 0, 1, "field 'main' is neither a descriptor nor \"memory\"");
        luaL_argcheck(L, (log >= 0) != (journal >= 0), 1, "one of the fields 'wal' and 'journal' is needed");
        r = take_files(main, log >= 0 ? log : journal, &a, &b);
        if (r < 0)
            return xk_lua_failf(L, r, "descriptors of a database");
    }
    r = xk_db_open(NULL, a, b, o, &diag, &d->db);
    if (r == 0)
        return 1;
    xk_lua_disk_unuse(&d->disk);
    return xk_lua_diag(L, &diag, "database");
}

/*** Opens or creates a database. The descriptors belong to it from then on, even when this fails.
 * @function open
 * @tparam table options `main`: a descriptor or `"memory"`; `wal`: the descriptor of its write-ahead log, or `journal`:
 *  that of its rollback journal. Or `disk`: a disk of `xenkit.block` that is its alone, has both, with a log, and is
 *  divided when its first 64 KiB are zero; then calls wait while the loop runs, and other tasks stand. Bounds:
 * `max_bytes`, `max_value`, `max_temp`, `cache_kib`, `log_pages`, `statements` (how many are cached, 64). `seed`: an
 * integer for SQLite's random numbers, taken once a process.
 * @return database, or nil, message, code */
static int l_open(lua_State *L)
{
    struct xk_db_options o = {XK_DB_WAL};
    lua_Integer seed;
    struct lua_db *d;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    o.max_bytes = (uint64_t)opt_integer(L, "max_bytes", LUA_MAXINTEGER);
    o.max_value = (uint32_t)opt_integer(L, "max_value", 1 << 30);
    o.max_temp = (uint64_t)opt_integer(L, "max_temp", LUA_MAXINTEGER);
    o.cache_kib = (uint32_t)opt_integer(L, "cache_kib", 1 << 30);
    o.log_pages = (uint32_t)opt_integer(L, "log_pages", 1 << 30);
    o.journal = opt_handle(L, "journal") >= 0 ? XK_DB_ROLLBACK : XK_DB_WAL;
    seed = opt_integer(L, "seed", LUA_MAXINTEGER);
    o.entropy = seed ? seed_entropy : NULL;
    o.entropy_ctx = &seed;
    d = xk_lua_new(L, DB_TYPE, sizeof(*d), 2);
    d->bound = (int)opt_integer(L, "statements", CACHE_MOST);
    d->bound = d->bound ? d->bound : CACHE_DEFAULT;
    lua_newtable(L);
    lua_setiuservalue(L, 2, 1);
    return open_db(L, d, &o);
}

/*** Makes a value that is bound as a BLOB.
 * @function blob
 * @tparam string bytes */
static int l_blob(lua_State *L)
{
    luaL_checkstring(L, 1);
    xk_lua_new(L, BLOB_TYPE, 1, 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

/*** @type database */

/*** Closes; rolls back an open transaction. Statements are closed with it. May be called again.
 * @function database:close */
static int db_close(lua_State *L)
{
    struct lua_db *d = luaL_checkudata(L, 1, DB_TYPE);

    if (!d->db)
        return 0;
    end(d);
    lua_pushnil(L);
    lua_setiuservalue(L, 1, 1);
    return 0;
}

/*** Runs all statements of a text; rows are dropped.
 * @function database:exec
 * @tparam string sql
 * @return true, or nil, message, code */
static int db_exec(lua_State *L)
{
    struct lua_db *d = check_db(L);
    size_t n;
    const char *sql = luaL_checklstring(L, 2, &n);
    int r = xk_db_exec(d->db, sql, n);

    return r < 0 ? fail(L, d, r) : xk_lua_ok(L, r);
}

/* --- the statement cache ---------------------------------------------------------------------------------------- */

/* Drops the entry that was not prepared for longest. The statement itself lives on if somebody holds it. The cache is
 * small and this happens on a miss only, which costs a compilation: hence the plain scan. */
static void drop_oldest(lua_State *L, struct lua_db *d, int cache)
{
    lua_Integer oldest = LUA_MAXINTEGER;

    lua_pushnil(L); /* becomes the key to drop */
    lua_pushnil(L);
    while (lua_next(L, cache)) {
        const struct lua_stmt *s = lua_touserdata(L, -1);

        if (s->used < oldest) {
            oldest = s->used;
            lua_pushvalue(L, -2);
            lua_replace(L, -4);
        }
        lua_pop(L, 1);
    }
    if (!lua_isnil(L, -1)) {
        lua_pushnil(L);
        lua_rawset(L, cache);
        d->cached--;
        d->out++;
    } else {
        lua_pop(L, 1);
    }
}

/* Pushes the cached statement of the text at 2 when it is open and idle. */
static int push_cached(lua_State *L, struct lua_db *d, int cache)
{
    struct lua_stmt *s;

    lua_pushvalue(L, 2);
    if (lua_rawget(L, cache) != LUA_TNIL) {
        s = lua_touserdata(L, -1);
        if (is_open(s) && !s->busy) {
            s->used = ++d->tick;
            d->hits++;
            return 1;
        }
    }
    lua_pop(L, 1);
    return 0;
}

/*** Compiles one statement, or takes it from the cache. Two calls with the same text may give the same statement.
 * @function database:prepare
 * @tparam string sql
 * @return statement, or nil, message, code */
static int db_prepare(lua_State *L)
{
    struct lua_db *d = check_db(L);
    size_t n;
    const char *sql = luaL_checklstring(L, 2, &n);
    struct lua_stmt *s;
    int r;

    lua_settop(L, 2);
    lua_getiuservalue(L, 1, 1);
    if (push_cached(L, d, 3))
        return 1;
    d->misses++;
    s = xk_lua_new(L, STMT_TYPE, sizeof(*s), 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 4, 1);
    r = xk_db_prepare(d->db, sql, n, &s->st);
    if (r == XK_EINVAL && strcmp(xk_db_message(d->db), "not an error") == 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "prepare wants exactly one statement");
        lua_pushstring(L, xk_err_name(r));
        return 3;
    }
    if (r < 0)
        return fail(L, d, r);
    s->used = ++d->tick;
    lua_pushvalue(L, 2);
    if (lua_rawget(L, 3) == LUA_TNIL) { /* one that is closed or busy is replaced in its place */
        if (d->cached >= d->bound)
            drop_oldest(L, d, 3);
        d->cached++;
    }
    lua_settop(L, 4);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 4);
    lua_rawset(L, 3);
    return 1;
}

/* --- transactions ----------------------------------------------------------------------------------------------- */

static int exec_text(struct lua_db *d, const char *sql) { return xk_db_exec(d->db, sql, strlen(sql)); }

static int run_kept(struct lua_db *d, struct xk_db_stmt **st, const char *sql)
{
    int r = *st ? 0 : xk_db_prepare(d->db, sql, strlen(sql), st);

    return r < 0 ? r : xk_db_step(*st);
}

static int enter(struct lua_db *d, int nested)
{
    return nested ? exec_text(d, "SAVEPOINT xk_nested") : run_kept(d, &d->begin, "BEGIN IMMEDIATE");
}

static int leave(struct lua_db *d, int nested)
{
    return nested ? exec_text(d, "RELEASE xk_nested") : run_kept(d, &d->commit, "COMMIT");
}

/* SQLite may have rolled all back itself (disk full, I/O error): then there is nothing left to do. */
static void undo(struct lua_db *d, int nested)
{
    if (d->db && xk_db_in_transaction(d->db) &&
        exec_text(d, nested ? "ROLLBACK TO xk_nested; RELEASE xk_nested" : "ROLLBACK") < 0)
        return; /* the failure that led here is the one to report */
}

/* Commits, or leaves nil, message, code of the reason on the stack and returns 3. */
static int commit(lua_State *L, struct lua_db *d, int nested)
{
    int r;

    if (!d->db || !xk_db_in_transaction(d->db)) {
        lua_pushnil(L);
        lua_pushliteral(L, "the transaction was rolled back inside");
        lua_pushstring(L, xk_err_name(XK_ECANCELED));
        return 3;
    }
    r = leave(d, nested);
    if (r >= 0)
        return 0;
    fail(L, d, r); /* the message first: undo may change it */
    undo(d, nested);
    return 3;
}

/*** Calls a function inside a transaction: commits when it returns, rolls back when it raises (and raises again).
 * Inside another transaction it is a savepoint. The function must not yield: nobody else could use the database.
 * @function database:transaction
 * @tparam function f
 * @param ... its arguments
 * @return true and what the function returned, or nil, message, code when the database could not begin or commit */
static int db_transaction(lua_State *L)
{
    struct lua_db *d = check_db(L);
    int nested = xk_db_in_transaction(d->db), r;

    luaL_checktype(L, 2, LUA_TFUNCTION);
    r = enter(d, nested);
    if (r < 0)
        return fail(L, d, r);
    if (lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0) != LUA_OK) {
        undo(d, nested);
        return lua_error(L);
    }
    luaL_checkstack(L, 8, "too many results");
    r = commit(L, d, nested);
    if (r)
        return r;
    lua_pushboolean(L, 1);
    lua_replace(L, 1);
    return lua_gettop(L);
}

/*** Is a transaction open?
 * @function database:in_transaction */
static int db_in_transaction(lua_State *L)
{
    lua_pushboolean(L, xk_db_in_transaction(check_db(L)->db));
    return 1;
}

/*** The rowid of the last row that was inserted.
 * @function database:last_insert_rowid */
static int db_last_insert_rowid(lua_State *L)
{
    lua_pushinteger(L, xk_db_last_insert_rowid(check_db(L)->db));
    return 1;
}

/*** How many rows the last INSERT, UPDATE or DELETE changed.
 * @function database:changes */
static int db_changes(lua_State *L)
{
    lua_pushinteger(L, xk_db_changes(check_db(L)->db));
    return 1;
}

/*** Copies the log back into the database and empties it.
 * @function database:checkpoint
 * @return true, or nil, message, code */
static int db_checkpoint(lua_State *L)
{
    struct lua_db *d = check_db(L);
    int r = xk_db_checkpoint(d->db);

    return r < 0 ? fail(L, d, r) : xk_lua_ok(L, r);
}

static void set_count(lua_State *L, const char *name, lua_Integer v)
{
    lua_pushinteger(L, v);
    lua_setfield(L, -2, name);
}

/*** What the files were asked to do, and how the statement cache does.
 * @function database:counts
 * @treturn table `reads`, `writes`, `written_bytes`, `syncs`, `truncates`, `failures`; `statements`, `hits`, `misses`,
 *  `evictions` */
static int db_counts(lua_State *L)
{
    struct lua_db *d = check_db(L);
    struct xk_db_counts c = xk_db_counts(d->db);

    lua_createtable(L, 0, 10);
    set_count(L, "reads", (lua_Integer)c.reads);
    set_count(L, "writes", (lua_Integer)c.writes);
    set_count(L, "written_bytes", (lua_Integer)c.written_bytes);
    set_count(L, "syncs", (lua_Integer)c.syncs);
    set_count(L, "truncates", (lua_Integer)c.truncates);
    set_count(L, "failures", (lua_Integer)c.failures);
    set_count(L, "statements", d->cached);
    set_count(L, "hits", d->hits);
    set_count(L, "misses", d->misses);
    set_count(L, "evictions", d->out);
    return 1;
}

/*** @type statement
 * Each call binds its arguments to the parameters in order; missing ones are nil. */

/* --- statements ------------------------------------------------------------------------------------------------- */

static int bind_blob(lua_State *L, struct xk_db_stmt *st, int i, int arg)
{
    size_t n;
    const char *p;
    int r;

    luaL_argexpected(L, luaL_testudata(L, arg, BLOB_TYPE), arg, "nil, boolean, number, string or blob");
    lua_getiuservalue(L, arg, 1);
    p = lua_tolstring(L, -1, &n);
    r = xk_db_bind_blob(st, i, p, n);
    lua_pop(L, 1);
    return r;
}

static int bind_one(lua_State *L, struct xk_db_stmt *st, int i, int arg)
{
    size_t n;
    const char *p;

    switch (lua_type(L, arg)) {
    case LUA_TNONE:
    case LUA_TNIL:
        return xk_db_bind_null(st, i);
    case LUA_TBOOLEAN:
        return xk_db_bind_integer(st, i, lua_toboolean(L, arg));
    case LUA_TNUMBER:
        return lua_isinteger(L, arg) ? xk_db_bind_integer(st, i, lua_tointeger(L, arg))
                                     : xk_db_bind_real(st, i, lua_tonumber(L, arg));
    case LUA_TSTRING:
        p = lua_tolstring(L, arg, &n);
        return xk_db_bind_text(st, i, p, n);
    default:
        return bind_blob(L, st, i, arg);
    }
}

/* Binds the arguments from 2 on. Raises for too many or a wrong type; a failure of SQLite (too big) is returned. */
static int bind_all(lua_State *L, struct xk_db_stmt *st)
{
    int given = lua_gettop(L) - 1, params = xk_db_params(st), r = 0;

    if (given > params)
        luaL_error(L, "%d values for a statement with %d parameters", given, params);
    for (int i = 1; r == 0 && i <= params; i++)
        r = bind_one(L, st, i, i + 1);
    return r;
}

static void push_column(lua_State *L, struct xk_db_stmt *st, int i)
{
    const char *p;
    size_t n;

    switch (xk_db_column_type(st, i)) {
    case XK_DB_INTEGER:
        lua_pushinteger(L, xk_db_column_integer(st, i));
        break;
    case XK_DB_REAL:
        lua_pushnumber(L, xk_db_column_real(st, i));
        break;
    case XK_DB_NULL:
        lua_pushnil(L);
        break;
    default:
        p = xk_db_column_bytes(st, i, &n);
        lua_pushlstring(L, p ? p : "", n);
    }
}

static void push_row(lua_State *L, struct xk_db_stmt *st)
{
    int n = xk_db_columns(st);

    lua_createtable(L, 0, n);
    for (int i = 0; i < n; i++) {
        push_column(L, st, i);
        lua_setfield(L, -2, xk_db_column_name(st, i));
    }
}

/*** Runs to the end; rows are dropped.
 * @function statement:run
 * @return how many rows the last change of data touched, or nil, message, code */
static int stmt_run(lua_State *L)
{
    struct lua_stmt *s = check_stmt(L);
    struct lua_db *d = db_of(L, 1);
    int r = bind_all(L, s->st);

    while (r >= 0 && (r = xk_db_step(s->st)) == 1)
        ;
    xk_db_clear(s->st);
    if (r < 0)
        return fail(L, d, r);
    lua_pushinteger(L, xk_db_changes(d->db));
    return 1;
}

/*** The first row as a table by column names.
 * @function statement:row
 * @return table, or false when there is no row, or nil, message, code */
static int stmt_row(lua_State *L)
{
    struct lua_stmt *s = check_stmt(L);
    int r = bind_all(L, s->st);

    if (r >= 0)
        r = xk_db_step(s->st);
    if (r < 0)
        return fail(L, db_of(L, 1), r);
    if (r == 1)
        push_row(L, s->st);
    else
        lua_pushboolean(L, 0);
    xk_db_reset(s->st);
    xk_db_clear(s->st);
    return 1;
}

/*** The first row as values, without a table: `local ok, id, name = st:values(5)`.
 * @function statement:values
 * @return true and the columns, or false when there is no row, or nil, message, code */
static int stmt_values(lua_State *L)
{
    struct lua_stmt *s = check_stmt(L);
    int r = bind_all(L, s->st), n = r >= 0 ? xk_db_columns(s->st) : 0;

    luaL_checkstack(L, n + 4, "too many columns");
    if (r >= 0)
        r = xk_db_step(s->st);
    if (r < 0)
        return fail(L, db_of(L, 1), r);
    lua_pushboolean(L, r == 1);
    n = r == 1 ? n : 0;
    for (int i = 0; i < n; i++)
        push_column(L, s->st, i);
    xk_db_reset(s->st);
    xk_db_clear(s->st);
    return n + 1;
}

/* An iteration ends at its last row, at break (__close), or when it is collected. */
static int rows_close(lua_State *L)
{
    int *live = luaL_checkudata(L, 1, ROWS_TYPE);
    struct lua_stmt *s;

    if (!*live)
        return 0;
    *live = 0;
    lua_getiuservalue(L, 1, 1);
    s = lua_touserdata(L, -1);
    s->busy = 0;
    if (is_open(s)) {
        xk_db_reset(s->st);
        xk_db_clear(s->st);
    }
    return 0;
}

static int rows_next(lua_State *L)
{
    int *live = luaL_checkudata(L, 1, ROWS_TYPE), r;
    struct lua_stmt *s;

    lua_settop(L, 1);
    lua_getiuservalue(L, 1, 1);
    s = lua_touserdata(L, 2);
    if (!*live)
        return 0;
    if (!is_open(s))
        return luaL_error(L, "attempt to use a closed statement");
    r = xk_db_step(s->st);
    if (r == 1) {
        push_row(L, s->st);
        return 1;
    }
    *live = s->busy = 0;
    xk_db_clear(s->st);
    return r < 0 ? luaL_error(L, "%s", xk_db_message(db_of(L, 2)->db)) : 0;
}

/*** Iterates over all rows as tables by column names; raises when the database fails on the way.
 * @function statement:rows
 * @usage for row in st:rows(1, 2) do print(row.id) end */
static int stmt_rows(lua_State *L)
{
    struct lua_stmt *s = check_stmt(L);
    int r = bind_all(L, s->st), *live;

    if (r < 0)
        return luaL_error(L, "%s", xk_db_message(db_of(L, 1)->db));
    lua_pushcfunction(L, rows_next);
    live = xk_lua_new(L, ROWS_TYPE, sizeof(*live), 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    *live = s->busy = 1;
    lua_pushnil(L);
    lua_pushvalue(L, -2);
    return 4;
}

/*** Frees the statement. May be called again.
 * @function statement:close */
static int stmt_close(lua_State *L)
{
    struct lua_stmt *s = luaL_checkudata(L, 1, STMT_TYPE);
    struct xk_db_stmt *st = s->st;

    s->st = NULL;
    xk_db_finalize(st);
    return 0;
}

static const luaL_Reg db_methods[] = {
    {"close", db_close},
    {"exec", db_exec},
    {"prepare", db_prepare},
    {"transaction", db_transaction},
    {"in_transaction", db_in_transaction},
    {"last_insert_rowid", db_last_insert_rowid},
    {"changes", db_changes},
    {"checkpoint", db_checkpoint},
    {"counts", db_counts},
    {NULL, NULL},
};

static const luaL_Reg stmt_methods[] = {
    {"run", stmt_run},   {"row", stmt_row},     {"values", stmt_values},
    {"rows", stmt_rows}, {"close", stmt_close}, {NULL, NULL},
};

static const luaL_Reg none[] = {{NULL, NULL}};

static const luaL_Reg functions[] = {{"open", l_open}, {"blob", l_blob}, {NULL, NULL}};

LUAMOD_API int luaopen_xenkit_core_db(lua_State *L);

int luaopen_xenkit_core_db(lua_State *L)
{
    xk_lua_type(L, DB_TYPE, db_methods, db_close);
    xk_lua_type(L, STMT_TYPE, stmt_methods, stmt_close);
    xk_lua_type(L, ROWS_TYPE, none, rows_close);
    xk_lua_type(L, BLOB_TYPE, none, NULL);
    luaL_newlib(L, functions);
    return 1;
}
