/*** Images in files, made and changed while nobody uses them. Calls wait for the disk.
 *
 *     local image <close> = assert(core.image.open("vhd", { fd, parents_fd }, { lazy = true }))
 *     local at = 0
 *     repeat at = assert(raw:copy(image, at, 1 << 24, true)) until at == raw:bytes()
 *
 * Descriptors belong to what they are given to from then on, also when that fails. Positions and sizes are in bytes.
 * @module xenkit.core.image
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/vhd.h>

#include "bindings/image.h"
#include "bindings/xk_lua.h"

int luaopen_xenkit_core_image(lua_State *L);

#define IMAGE "xenkit.image"

struct image {
    struct xk_blkdev *dev;
};

static struct xk_file *check_file(lua_State *L, int arg, int *err)
{
    int fd = (int)xk_lua_integer(L, arg, 0, INT32_MAX);
    struct xk_file *file = NULL;

    *err = xk_file_from_handle(NULL, fd, &file);
    return file;
}

/* --- what is told, made, changed --- */

static void set_uuid(lua_State *L, const char *name, const uint8_t uuid[16])
{
    lua_pushlstring(L, (const char *)uuid, 16);
    lua_setfield(L, -2, name);
}

/*** What stands in a VHD: type ("fixed", "dynamic", "differencing"), size, block_size, blocks, allocated, uuid,
 * creator; of one with a batmap batmap ("used", "wrong") and how many blocks it says are full; of a differencing one
 * parent_uuid, parent_time (seconds after 2000), parent_name. A uuid is 16 bytes.
 * @function info
 * @tparam integer descriptor */
static int l_info(lua_State *L)
{
    static const char *const types[] = {
        [XK_VHD_FIXED] = "fixed", [XK_VHD_DYNAMIC] = "dynamic", [XK_VHD_DIFFERENCING] = "differencing"};
    struct xk_vhd_info info;
    int r;
    struct xk_file *file = check_file(L, 1, &r);

    if (r == 0)
        r = xk_vhd_read_info(file, &info);
    xk_file_close(file);
    if (r < 0)
        return xk_lua_fail(L, r);
    lua_newtable(L);
    lua_pushstring(L, types[info.type]);
    lua_setfield(L, -2, "type");
    xk_lua_set_integer(L, "size", info.size);
    xk_lua_set_integer(L, "block_size", info.block_size);
    xk_lua_set_integer(L, "blocks", info.blocks);
    xk_lua_set_integer(L, "allocated", info.allocated);
    set_uuid(L, "uuid", info.uuid);
    lua_pushstring(L, info.creator);
    lua_setfield(L, -2, "creator");
    if (info.batmap) {
        lua_pushstring(L, info.batmap == XK_VHD_BATMAP_USED ? "used" : "wrong");
        lua_setfield(L, -2, "batmap");
        xk_lua_set_integer(L, "full", info.full);
    }
    if (info.type != XK_VHD_DIFFERENCING)
        return 1;
    set_uuid(L, "parent_uuid", info.parent_uuid);
    xk_lua_set_integer(L, "parent_time", info.parent_time);
    lua_pushstring(L, info.parent_name);
    lua_setfield(L, -2, "parent_name");
    return 1;
}

static void get_uuid(lua_State *L, int arg, const char *name, uint8_t out[16])
{
    size_t n = 0;
    const char *s = lua_getfield(L, arg, name) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;

    if (s) {
        luaL_argcheck(L, n == 16, arg, "a uuid is 16 bytes");
        memcpy(out, s, 16);
    }
    lua_pop(L, 1);
}

/* (name) stays on the stack. */
static void get_spec(lua_State *L, int arg, struct xk_vhd_spec *s)
{
    luaL_checktype(L, arg, LUA_TTABLE);
    s->size = (uint64_t)xk_lua_field(L, arg, "size", 0, LUA_MAXINTEGER);
    s->block_size = (uint32_t)xk_lua_field(L, arg, "block_size", 0, UINT32_MAX);
    s->time = (uint32_t)xk_lua_field(L, arg, "time", 0, UINT32_MAX);
    s->parent_time = (uint32_t)xk_lua_field(L, arg, "parent_time", 0, UINT32_MAX);
    get_uuid(L, arg, "uuid", s->uuid);
    get_uuid(L, arg, "parent_uuid", s->parent_uuid);
    s->batmap = lua_getfield(L, arg, "batmap") != LUA_TNIL && lua_toboolean(L, -1);
    lua_pop(L, 1);
    s->parent_name = lua_getfield(L, arg, "parent_name") == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/*** A new VHD in an empty file: `spec` as `info` gives it, `time`, seconds after 2000, and whether it has a `batmap`.
 * @function create
 * @tparam integer descriptor
 * @tparam table spec */
static int l_create(lua_State *L)
{
    static const char *const types[] = {"fixed", "dynamic", "differencing", NULL};
    struct xk_vhd_spec s = {0};
    struct xk_file *file;
    int r;

    get_spec(L, 2, &s);
    lua_getfield(L, 2, "type");
    s.type = XK_VHD_FIXED + luaL_checkoption(L, -1, "dynamic", types);
    file = check_file(L, 1, &r);
    if (r == 0)
        r = xk_vhd_create(file, &s);
    xk_file_close(file);
    return xk_lua_ok(L, r);
}

/*** Another parent for a differencing VHD: `parent_uuid`, `parent_time`, `parent_name` of `spec`.
 * @function set_parent
 * @tparam integer descriptor
 * @tparam table spec */
static int l_set_parent(lua_State *L)
{
    struct xk_vhd_spec s = {0};
    struct xk_file *file;
    int r;

    get_spec(L, 2, &s);
    file = check_file(L, 1, &r);
    if (r == 0)
        r = xk_vhd_set_parent(file, &s);
    xk_file_close(file);
    return xk_lua_ok(L, r);
}

/*** The batmap of a VHD is made anew from the bitmaps of its blocks.
 * @function mend_batmap
 * @tparam integer descriptor */
static int l_mend_batmap(lua_State *L)
{
    int r;
    struct xk_file *file = check_file(L, 1, &r);

    if (r == 0)
        r = xk_vhd_mend_batmap(file);
    xk_file_close(file);
    return xk_lua_ok(L, r);
}

/* Sentences, each behind a byte: whether it is bad. In memory of C, as Lua may raise. */
struct findings {
    size_t n;
    char text[16384];
};

static void found(void *arg, int bad, const char *text)
{
    struct findings *f = arg;
    size_t n = strlen(text) + 1;

    if (f->n + n + 1 > sizeof(f->text))
        return;
    f->text[f->n++] = (char)bad;
    memcpy(f->text + f->n, text, n);
    f->n += n;
}

/*** Looks at the whole of a VHD. @treturn integer how many findings are bad; a list of {bad, text}, the first hundred
 * or so
 * @function check
 * @tparam integer descriptor */
static int l_check(lua_State *L)
{
    struct findings *f = lua_newuserdatauv(L, sizeof(*f), 0);
    int r;
    struct xk_file *file = check_file(L, 1, &r);

    f->n = 0;
    if (r == 0)
        r = xk_vhd_check(file, found, f);
    xk_file_close(file);
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

/* --- images that are copied --- */

int xk_lua_open_vhd(lua_State *L, int arg, unsigned features, struct xk_blkdev **out)
{
    struct xk_file *chain[XK_VHD_CHAIN_MAX];
    lua_Integer n = luaL_len(L, arg), fd[XK_VHD_CHAIN_MAX];
    int r = 0, opened = 0;

    luaL_argcheck(L, n >= 1 && n <= XK_VHD_CHAIN_MAX, arg, "a chain has 1 to 30 files");
    for (int i = 0; i < n; i++) {
        lua_geti(L, arg, i + 1);
        fd[i] = luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    for (int i = 0; i < n; i++) { /* all are taken, whatever becomes of one */
        int e = xk_file_from_handle(NULL, (int)fd[i], &chain[opened]);
        opened += e == 0;
        r = r < 0 ? r : e;
    }
    if (r == 0)
        return xk_block_vhd(NULL, chain, (unsigned)n, features, out);
    while (opened)
        xk_file_close(chain[--opened]);
    return r;
}

static struct image *check_image(lua_State *L, int arg)
{
    struct image *i = luaL_checkudata(L, arg, IMAGE);

    luaL_argcheck(L, i->dev, arg, "it is closed");
    return i;
}

/*** An image: "raw" of one file, or "vhd" of a chain, the image itself first. `options`: readonly; lazy, for one that
 * is being made: until all is copied to it a cut of the power may leave anything of it.
 * @function open
 * @tparam string format
 * @tparam table descriptors
 * @tparam[opt] table options */
static int l_open(lua_State *L)
{
    static const char *const formats[] = {"raw", "vhd", NULL};
    int vhd = luaL_checkoption(L, 1, NULL, formats), r;
    unsigned features = (xk_lua_field(L, 3, "readonly", 0, 1) ? XK_BLK_READONLY : 0) |
                        (xk_lua_field(L, 3, "lazy", 0, 1) ? XK_VHD_LAZY : 0);
    struct image *i = xk_lua_new(L, IMAGE, sizeof(*i), 0);
    struct xk_file *file;

    luaL_checktype(L, 2, LUA_TTABLE);
    if (vhd) {
        r = xk_lua_open_vhd(L, 2, features, &i->dev);
    } else {
        lua_geti(L, 2, 1);
        file = check_file(L, -1, &r);
        lua_pop(L, 1);
        if (r == 0)
            r = xk_block_file(NULL, file, features & XK_BLK_READONLY, &i->dev);
    }
    if (r < 0)
        i->dev = NULL;
    return r < 0 ? xk_lua_fail(L, r) : 1;
}

/*** Makes a raw file of so many bytes, all zero.
 * @function truncate
 * @tparam integer descriptor
 * @tparam integer bytes */
static int l_truncate(lua_State *L)
{
    uint64_t bytes = (uint64_t)xk_lua_integer(L, 2, 0, LUA_MAXINTEGER);
    int r;
    struct xk_file *file = check_file(L, 1, &r);

    if (r == 0)
        r = xk_file_truncate(file, bytes);
    xk_file_close(file);
    return xk_lua_ok(L, r);
}

/*** @type image */

/*** @function bytes */
static int image_bytes(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)(check_image(L, 1)->dev->info.sectors * XK_SECTOR));
    return 1;
}

static int step(lua_State *L, int (*f)(struct xk_blkdev *, struct xk_blkdev *, uint64_t *, uint32_t, int))
{
    struct image *from = check_image(L, 1), *to = check_image(L, 2);
    uint64_t sector = (uint64_t)xk_lua_integer(L, 3, 0, LUA_MAXINTEGER) / XK_SECTOR;
    uint32_t budget = (uint32_t)(xk_lua_integer(L, 4, XK_SECTOR, 1 << 30) / XK_SECTOR);
    int r = f(from->dev, to->dev, &sector, budget, lua_toboolean(L, 5));

    if (r < 0)
        return xk_lua_fail(L, r);
    lua_pushinteger(L, (lua_Integer)(sector * XK_SECTOR));
    lua_pushboolean(L, r == 0);
    return 2;
}

/*** A part of it, about `n` bytes from `at` on, is written to another. @treturn integer where to go on; true: all is
 * there and on the medium
 * @function copy
 * @tparam image to
 * @tparam integer at
 * @tparam integer n
 * @tparam boolean sparse the other is all zeroes so far, so that zeroes need no copy */
static int image_copy(lua_State *L) { return step(L, xk_blk_copy); }

static int coalesce(struct xk_blkdev *top, struct xk_blkdev *parent, uint64_t *sector, uint32_t budget, int unused)
{
    (void)unused;
    return xk_vhd_coalesce(top, parent, sector, budget);
}

/*** A part of what it has of its own, about `n` bytes from `at` on, is written to its parent. Results as of copy.
 * @function coalesce
 * @tparam image parent
 * @tparam integer at
 * @tparam integer n */
static int image_coalesce(lua_State *L) { return step(L, coalesce); }

static int image_close(lua_State *L)
{
    struct image *i = luaL_checkudata(L, 1, IMAGE);

    xk_blk_close(i->dev);
    i->dev = NULL;
    return 0;
}

int luaopen_xenkit_core_image(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"info", l_info}, {"create", l_create},     {"set_parent", l_set_parent},   {"check", l_check},
        {"open", l_open}, {"truncate", l_truncate}, {"mend_batmap", l_mend_batmap}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"bytes", image_bytes},
                                       {"copy", image_copy},
                                       {"coalesce", image_coalesce},
                                       {"close", image_close},
                                       {NULL, NULL}};

    xk_lua_type(L, IMAGE, methods, image_close);
    luaL_newlib(L, functions);
    return 1;
}
