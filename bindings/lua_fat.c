/*** FAT file systems on a disk or in a file. Calls wait for the medium, and all other tasks with them; `xenkit.fat` is
 * for daily use.
 *
 *     local fs <close> = assert(core.fat.mount(disk))
 *     local f <close> = assert(fs:open("/log.txt", "create"))
 *     f:write(f:size(), "hello\n")
 *
 * Positions and sizes are in bytes, times in seconds after 1970. A descriptor belongs to what it is given to from then
 * on, also when that fails.
 * @module xenkit.core.fat
 *
 * SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>
#include <time.h>

#include <xenkit/fat.h>

#include "bindings/block.h"
#include "bindings/fat.h"

int luaopen_xenkit_core_fat(lua_State *L);

#define FAT "xenkit.fat"
#define FILE_TYPE "xenkit.fat.file"

enum { READ_MAX = 1 << 26 };

struct fat {
    struct xk_lua_object o;
    struct xk_fat *fat; /* NULL: closed */
    struct xk_lua_disk_user disk;
};

struct file {
    struct xk_file *file; /* NULL: closed */
};

/* --- where it is -------------------------------------------------------------------------------------------------- */

static int64_t now(void *arg)
{
    struct fat *f = arg;

    return f->o.world ? xk_wallclock(f->o.world->platform) / 1000000000 : (int64_t)time(NULL);
}

/* A descriptor, or a disk, at 1. */
static int open_medium(lua_State *L, struct xk_lua_disk_user *user, struct xk_file **out)
{
    struct xk_loop *loop;
    struct xk_blkdev *dev;

    if (lua_isinteger(L, 1))
        return xk_file_from_handle(NULL, (int)xk_lua_integer(L, 1, 0, INT32_MAX), out);
    dev = xk_lua_disk_use(L, 1, user, &loop);
    return xk_file_over_blk(NULL, dev, loop, out);
}

static int end(struct fat *f)
{
    struct xk_fat *fat = f->fat;
    int r;

    f->fat = NULL;
    r = xk_fat_unmount(fat);
    xk_lua_disk_unuse(&f->disk);
    return r;
}

static void shut(struct xk_lua_object *o) { (void)!end((struct fat *)o); }

static void disk_lost(struct xk_lua_disk_user *u)
{
    (void)!end((struct fat *)(void *)((char *)u - offsetof(struct fat, disk)));
}

static void ignore(struct xk_lua_disk_user *u) { (void)u; }

/*** An empty file system on all of it. `spec`: type (12, 16, 32; else what fits), cluster, sector (bytes), label, id (a
 * random number), bytes (of a new file).
 * @function format
 * @param disk of xenkit.core.block; or a descriptor
 * @tparam[opt] table spec */
static int l_format(lua_State *L)
{
    struct xk_lua_disk_user user = {.lost = ignore};
    struct xk_fat_spec s = {0};
    struct xk_file *file = NULL;
    int r;

    s.type = (int)xk_lua_field(L, 2, "type", 0, 32);
    s.cluster = (uint32_t)xk_lua_field(L, 2, "cluster", 0, UINT32_MAX);
    s.sector = (uint32_t)xk_lua_field(L, 2, "sector", 0, UINT32_MAX);
    s.id = (uint32_t)xk_lua_field(L, 2, "id", 0, UINT32_MAX);
    s.bytes = (uint64_t)xk_lua_field(L, 2, "bytes", 0, LUA_MAXINTEGER);
    s.time = xk_lua_field(L, 2, "time", 0, LUA_MAXINTEGER);
    if (lua_istable(L, 2) && lua_getfield(L, 2, "label") != LUA_TNIL)
        s.label = luaL_checkstring(L, -1);
    r = open_medium(L, &user, &file);
    if (r == 0)
        r = xk_fat_format(file, &s);
    xk_file_close(file);
    xk_lua_disk_unuse(&user);
    return xk_lua_ok(L, r);
}

/*** The file system on it. `options`: readonly: nobody else writes to it meanwhile, either.
 * @function mount
 * @param disk of xenkit.core.block; or a descriptor
 * @tparam[opt] table options */
static int l_mount(lua_State *L)
{
    struct xk_fat_options o = {.now = now};
    struct xk_file *file = NULL;
    struct fat *f;
    int r;

    o.readonly = (int)xk_lua_field(L, 2, "readonly", 0, 1);
    f = xk_lua_new(L, FAT, sizeof(*f), 2);
    f->disk.lost = disk_lost;
    o.arg = f;
    if (!lua_isinteger(L, 1)) {
        lua_pushvalue(L, 1);
        lua_setiuservalue(L, -2, 2);
        lua_getiuservalue(L, 1, 1); /* its world */
        lua_insert(L, -2);
        xk_lua_adopt(L, &f->o, lua_gettop(L) - 1, shut);
    }
    r = open_medium(L, &f->disk, &file);
    if (r == 0 && o.readonly && lua_isinteger(L, 1))
        r = xk_file_ahead(NULL, file, &file);
    if (r == 0)
        r = xk_fat_mount(NULL, file, &o, &f->fat);
    if (r == 0)
        return 1;
    f->fat = NULL;
    xk_lua_shut(&f->o);
    return xk_lua_fail(L, r);
}

struct findings {
    size_t n;
    char text[16384];
};

static void found(void *arg, enum xk_fat_finding what, const char *text)
{
    struct findings *f = arg;
    size_t n = strlen(text) + 1;

    if (f->n + n + 1 > sizeof(f->text))
        return;
    f->text[f->n++] = (char)(what == XK_FAT_BAD);
    memcpy(f->text + f->n, text, n);
    f->n += n;
}

/*** Looks at the whole of it, and puts right what was left half done where (repair).
 * @function check
 * @param disk of xenkit.core.block; or a descriptor
 * @tparam[opt] boolean repair
 * @treturn integer how many findings are damage; a list of {bad, text}, the first hundred or so */
static int l_check(lua_State *L)
{
    struct findings *f = (lua_settop(L, 2), lua_newuserdatauv(L, sizeof(*f), 0));
    struct xk_lua_disk_user user = {.lost = ignore};
    struct xk_file *file = NULL;
    int r;

    f->n = 0;
    r = open_medium(L, &user, &file);
    if (r == 0)
        r = xk_fat_check(NULL, file, lua_toboolean(L, 2), found, f);
    xk_file_close(file);
    xk_lua_disk_unuse(&user);
    if (r < 0)
        return xk_lua_fail(L, r);
    lua_pushinteger(L, r);
    lua_newtable(L);
    for (size_t at = 0, i = 1; at < f->n; at += strlen(f->text + at + 1) + 2, i++) {
        lua_newtable(L);
        lua_pushboolean(L, f->text[at]);
        lua_setfield(L, -2, "bad");
        lua_pushstring(L, f->text + at + 1);
        lua_setfield(L, -2, "text");
        lua_rawseti(L, -2, (lua_Integer)i);
    }
    return 2;
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static struct fat *check_fat(lua_State *L)
{
    struct fat *f = luaL_checkudata(L, 1, FAT);

    luaL_argcheck(L, f->fat, 1, "attempt to use a closed file system");
    return f;
}

struct xk_fat *xk_lua_fat(lua_State *L, int at)
{
    struct fat *f = luaL_checkudata(L, at, FAT);

    luaL_argcheck(L, f->fat, at, "attempt to use a closed file system");
    return f->fat;
}

static int fail_path(lua_State *L, int r)
{
    if (r != XK_EINVAL)
        return xk_lua_failf(L, r, luaL_checkstring(L, 2));
    lua_pushnil(L);
    lua_pushfstring(L,
                    "%s: FAT has no such name: up to 255 letters, none of \"*:<>?\\|, no dot or space at its end; and "
                    "no directory goes below itself",
                    luaL_checkstring(L, 2));
    lua_pushstring(L, xk_err_name(r));
    return 3;
}

static int ok_path(lua_State *L, int r)
{
    if (r < 0)
        return fail_path(L, r);
    lua_pushboolean(L, 1);
    return 1;
}

static void push_stat(lua_State *L, const struct xk_fat_stat *s)
{
    static const struct {
        const char *name;
        unsigned bit;
    } bits[] = {{"directory", XK_FAT_DIRECTORY}, {"readonly", XK_FAT_READONLY}, {"hidden", XK_FAT_HIDDEN},
                {"system", XK_FAT_SYSTEM},       {"archive", XK_FAT_ARCHIVE},   {NULL, 0}};

    lua_newtable(L);
    lua_pushstring(L, s->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, s->short_name);
    lua_setfield(L, -2, "short_name");
    xk_lua_set_integer(L, "size", s->size);
    xk_lua_set_integer(L, "modified", (uint64_t)s->modified);
    xk_lua_set_integer(L, "created", (uint64_t)s->created);
    for (int k = 0; bits[k].name; k++) {
        lua_pushboolean(L, (s->attributes & bits[k].bit) != 0);
        lua_setfield(L, -2, bits[k].name);
    }
}

/*** @type fat */

/*** What is known of a file or directory: name, short_name, size, modified, created, directory, readonly, hidden,
 * system, archive.
 * @function stat
 * @tparam string path */
static int fat_stat(lua_State *L)
{
    struct xk_fat_stat s;
    int r = xk_fat_stat(check_fat(L)->fat, luaL_checkstring(L, 2), &s);

    if (r < 0)
        return fail_path(L, r);
    push_stat(L, &s);
    return 1;
}

/* Entries in memory of C while the directory is read: Lua may raise. */
struct entries {
    struct xk_fat_stat *list;
    size_t n, room;
};

static int gather(void *arg, const struct xk_fat_stat *s)
{
    struct entries *e = arg;

    if (e->n == e->room) {
        size_t room = e->room ? e->room * 2 : 32;
        struct xk_fat_stat *more = xk_resize(NULL, e->list, e->room * sizeof(*more), room * sizeof(*more));
        if (!more)
            return XK_ENOMEM;
        e->list = more;
        e->room = room;
    }
    e->list[e->n++] = *s;
    return 0;
}

static int push_entries(lua_State *L)
{
    struct entries *e = lua_touserdata(L, 1);

    lua_createtable(L, (int)e->n, 0);
    for (size_t i = 0; i < e->n; i++) {
        push_stat(L, &e->list[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/*** The entries of a directory: a list of what `stat` gives, in the order of the medium.
 * @function list
 * @tparam string path */
static int fat_list(lua_State *L)
{
    struct entries e = {NULL, 0, 0};
    int r = xk_fat_list(check_fat(L)->fat, luaL_checkstring(L, 2), gather, &e), raised;

    if (r < 0) {
        xk_free(NULL, e.list, e.room * sizeof(*e.list));
        return fail_path(L, r);
    }
    lua_pushcfunction(L, push_entries);
    lua_pushlightuserdata(L, &e);
    raised = lua_pcall(L, 1, 1, 0);
    xk_free(NULL, e.list, e.room * sizeof(*e.list));
    return raised ? lua_error(L) : 1;
}

/*** @function mkdir
 * @tparam string path */
static int fat_mkdir(lua_State *L) { return ok_path(L, xk_fat_mkdir(check_fat(L)->fat, luaL_checkstring(L, 2))); }

/*** A file or an empty directory is gone.
 * @function remove
 * @tparam string path */
static int fat_remove(lua_State *L) { return ok_path(L, xk_fat_remove(check_fat(L)->fat, luaL_checkstring(L, 2))); }

/*** Another name, also of a file that is there, which is gone then.
 * @function rename
 * @tparam string from
 * @tparam string to */
static int fat_rename(lua_State *L)
{
    return ok_path(L, xk_fat_rename(check_fat(L)->fat, luaL_checkstring(L, 2), luaL_checkstring(L, 3)));
}

/*** Attributes (readonly, hidden, system, archive: what is not said is not) and `modified`.
 * @function set
 * @tparam string path
 * @tparam table what */
static int fat_set(lua_State *L)
{
    unsigned attributes = (xk_lua_field(L, 3, "readonly", 0, 1) ? XK_FAT_READONLY : 0) |
                          (xk_lua_field(L, 3, "hidden", 0, 1) ? XK_FAT_HIDDEN : 0) |
                          (xk_lua_field(L, 3, "system", 0, 1) ? XK_FAT_SYSTEM : 0) |
                          (xk_lua_field(L, 3, "archive", 0, 1) ? XK_FAT_ARCHIVE : 0);
    int64_t modified = xk_lua_field(L, 3, "modified", -1, LUA_MAXINTEGER);

    return ok_path(L, xk_fat_set(check_fat(L)->fat, luaL_checkstring(L, 2), attributes, modified));
}

/*** All that was done is on the medium.
 * @function sync */
static int fat_sync(lua_State *L) { return xk_lua_ok(L, xk_fat_sync(check_fat(L)->fat)); }

/*** type, sector, cluster, clusters, free, id, label.
 * @function info */
static int fat_info(lua_State *L)
{
    struct xk_fat_info i;
    int r = xk_fat_get_info(check_fat(L)->fat, &i);

    if (r < 0)
        return xk_lua_fail(L, r);
    lua_newtable(L);
    xk_lua_set_integer(L, "type", (uint64_t)i.type);
    xk_lua_set_integer(L, "sector", i.sector);
    xk_lua_set_integer(L, "cluster", i.cluster);
    xk_lua_set_integer(L, "clusters", i.clusters);
    xk_lua_set_integer(L, "free", i.free);
    xk_lua_set_integer(L, "id", i.id);
    lua_pushstring(L, i.label);
    lua_setfield(L, -2, "label");
    return 1;
}

/*** All is on the medium, and it is marked as sound. Closing does the same and tells nobody.
 * @function unmount */
static int fat_unmount(lua_State *L)
{
    struct fat *f = luaL_checkudata(L, 1, FAT);
    int r = f->fat ? end(f) : 0;

    xk_lua_shut(&f->o);
    return xk_lua_ok(L, r);
}

static int fat_close(lua_State *L)
{
    struct fat *f = luaL_checkudata(L, 1, FAT);

    if (f->fat)
        (void)!end(f);
    xk_lua_shut(&f->o);
    return 0;
}

/* --- contents ----------------------------------------------------------------------------------------------------- */

/*** A file. `how`: "read", "write", "create" (if it is not there), "new" (it may not be).
 * @function open
 * @tparam string path
 * @tparam[opt="read"] string how */
static int fat_open(lua_State *L)
{
    static const char *const names[] = {"read", "write", "create", "new", NULL};
    static const unsigned flags[] = {0, XK_FAT_WRITE, XK_FAT_CREATE, XK_FAT_NEW};
    struct fat *f = check_fat(L);
    const char *path = luaL_checkstring(L, 2);
    unsigned how = flags[luaL_checkoption(L, 3, "read", names)];
    struct file *file = xk_lua_new(L, FILE_TYPE, sizeof(*file), 1);
    int r;

    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    r = xk_fat_open(f->fat, path, how, &file->file);
    if (r == 0)
        return 1;
    file->file = NULL;
    return fail_path(L, r);
}

static struct xk_file *check_open(lua_State *L)
{
    struct file *f = luaL_checkudata(L, 1, FILE_TYPE);

    luaL_argcheck(L, f->file, 1, "it is closed");
    return f->file;
}

/*** @type file */

/*** `n` bytes from `at` on, fewer at the end.
 * @function read
 * @tparam integer at
 * @tparam integer n */
static int file_read(lua_State *L)
{
    struct xk_file *f = check_open(L);
    uint64_t at = (uint64_t)xk_lua_integer(L, 2, 0, LUA_MAXINTEGER);
    int64_t size = xk_file_size(f), n = xk_lua_integer(L, 3, 0, READ_MAX);
    luaL_Buffer b;
    int r;

    n = at >= (uint64_t)size ? 0 : n < size - (int64_t)at ? n : size - (int64_t)at;
    r = xk_file_read(f, luaL_buffinitsize(L, &b, (size_t)n), (size_t)n, at);
    if (r < 0)
        return xk_lua_fail(L, r);
    luaL_pushresultsize(&b, (size_t)r);
    return 1;
}

/*** @function write
 * @tparam integer at
 * @tparam string bytes */
static int file_write(lua_State *L)
{
    struct xk_file *f = check_open(L);
    size_t n;
    uint64_t at = (uint64_t)xk_lua_integer(L, 2, 0, LUA_MAXINTEGER);
    const char *bytes = luaL_checklstring(L, 3, &n);
    int r = xk_file_write(f, bytes, n, at);

    return xk_lua_ok(L, r < 0 ? r : 0);
}

/* From the beginning to the end of the one, a part at a time. */
static int copy(lua_State *L, struct xk_file *from, struct xk_file *to)
{
    enum { PART = 1 << 18 };
    int64_t size = xk_file_size(from), at = 0;
    uint8_t *buf = lua_newuserdatauv(L, size < PART ? (size_t)(size > 0 ? size : 1) : PART, 0);

    while (at < size) {
        int n = xk_file_read(from, buf, size - at < PART ? (size_t)(size - at) : PART, (uint64_t)at), r;
        if (n <= 0)
            return n; /* it became shorter */
        r = xk_file_write(to, buf, (size_t)n, (uint64_t)at);
        if (r < 0)
            return r;
        at += n;
    }
    return size < 0 ? (int)size : 0;
}

/*** All of another file, from its beginning on.
 * @function copy_from
 * @tparam integer descriptor */
static int file_copy_from(lua_State *L)
{
    struct xk_file *to = check_open(L), *from = NULL;
    int r = xk_file_from_handle(NULL, (int)xk_lua_integer(L, 2, 0, INT32_MAX), &from);

    if (r == 0)
        r = copy(L, from, to);
    xk_file_close(from);
    return xk_lua_ok(L, r);
}

/*** All of it into another file, from its beginning on.
 * @function copy_to
 * @tparam integer descriptor */
static int file_copy_to(lua_State *L)
{
    struct xk_file *from = check_open(L), *to = NULL;
    int r = xk_file_from_handle(NULL, (int)xk_lua_integer(L, 2, 0, INT32_MAX), &to);

    if (r == 0)
        r = copy(L, from, to);
    xk_file_close(to);
    return xk_lua_ok(L, r);
}

/*** @function size */
static int file_size(lua_State *L)
{
    lua_pushinteger(L, xk_file_size(check_open(L)));
    return 1;
}

/*** Cuts it, or makes it longer by zeroes.
 * @function truncate
 * @tparam integer size */
static int file_truncate(lua_State *L)
{
    struct xk_file *f = check_open(L);

    return xk_lua_ok(L, xk_file_truncate(f, (uint64_t)xk_lua_integer(L, 2, 0, LUA_MAXINTEGER)));
}

/*** As the file system's.
 * @function sync */
static int file_sync(lua_State *L) { return xk_lua_ok(L, xk_file_sync(check_open(L))); }

static int file_close(lua_State *L)
{
    struct file *f = luaL_checkudata(L, 1, FILE_TYPE);

    xk_file_close(f->file);
    f->file = NULL;
    return 0;
}

int luaopen_xenkit_core_fat(lua_State *L)
{
    static const luaL_Reg functions[] = {{"format", l_format}, {"mount", l_mount}, {"check", l_check}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"stat", fat_stat},     {"list", fat_list},       {"mkdir", fat_mkdir},
                                       {"remove", fat_remove}, {"rename", fat_rename},   {"set", fat_set},
                                       {"sync", fat_sync},     {"info", fat_info},       {"open", fat_open},
                                       {"close", fat_close},   {"unmount", fat_unmount}, {NULL, NULL}};
    static const luaL_Reg file_methods[] = {
        {"read", file_read},   {"copy_from", file_copy_from}, {"copy_to", file_copy_to},
        {"write", file_write}, {"size", file_size},           {"truncate", file_truncate},
        {"sync", file_sync},   {"close", file_close},         {NULL, NULL}};

    xk_lua_type(L, FAT, methods, fat_close);
    xk_lua_type(L, FILE_TYPE, file_methods, file_close);
    luaL_newlib(L, functions);
    return 1;
}
