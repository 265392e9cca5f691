/*** The files of a folder of Linux into a directory of a FAT file system and back, many at a time. For the host tool.
 *
 * Both give what they leave to be done one by one, as one string: "d" (a directory) or "f", the name, NUL.
 * @module xenkit.core.fat_files
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/fat_files.h>

#include "bindings/fat.h"

int luaopen_xenkit_core_fat_files(lua_State *L);

/* In memory of C, as Lua may raise. */
struct rest {
    char *text;
    size_t n, room;
};

static int keep(void *arg, const char *name, int is_dir)
{
    struct rest *l = arg;
    size_t bytes = strlen(name) + 2;

    if (l->n + bytes > l->room) {
        size_t room = l->room ? l->room * 2 : 2048; /* more than one name has */
        char *more = xk_resize(NULL, l->text, l->room, room);
        if (!more)
            return XK_ENOMEM;
        l->text = more;
        l->room = room;
    }
    l->text[l->n] = is_dir ? 'd' : 'f';
    memcpy(l->text + l->n + 1, name, bytes - 1);
    l->n += bytes;
    return 0;
}

static int push_rest(lua_State *L)
{
    const struct rest *l = lua_touserdata(L, 1);

    lua_pushlstring(L, l->text ? l->text : "", l->n);
    return 1;
}

/* The text, or what failed: "folder/name: why". */
static int give(lua_State *L, int r, struct rest *l, const struct xk_fat_files_failure *why, const char *linux_side,
                const char *fat_side)
{
    const char *folder = why->in_fat ? fat_side : linux_side;
    int raised;

    if (r < 0) {
        xk_free(NULL, l->text, l->room);
        lua_pushnil(L);
        lua_pushfstring(L, "%s%s%s: %s", folder, why->name[0] ? "/" : "", why->name, xk_err_text(r));
        lua_pushstring(L, xk_err_name(r));
        return 3;
    }
    lua_pushcfunction(L, push_rest);
    lua_pushlightuserdata(L, l);
    raised = lua_pcall(L, 1, 1, 0);
    xk_free(NULL, l->text, l->room);
    return raised ? lua_error(L) : 1;
}

/*** @function put
 * @param fat of xenkit.core.fat
 * @tparam string from a folder of Linux
 * @tparam string path a directory in the file system */
static int put(lua_State *L)
{
    struct xk_fat_files_failure why = {.in_fat = 0};
    struct xk_fat *fat = xk_lua_fat(L, 1);
    const char *from = luaL_checkstring(L, 2), *path = luaL_checkstring(L, 3);
    struct rest l = {.n = 0};

    return give(L, xk_fat_files_put(fat, from, path, keep, &l, &why), &l, &why, from, path);
}

/*** @function get
 * @param fat of xenkit.core.fat
 * @tparam string path a directory in the file system
 * @tparam string to a folder of Linux */
static int get(lua_State *L)
{
    struct xk_fat_files_failure why = {.in_fat = 0};
    struct xk_fat *fat = xk_lua_fat(L, 1);
    const char *path = luaL_checkstring(L, 2), *to = luaL_checkstring(L, 3);
    struct rest l = {.n = 0};

    return give(L, xk_fat_files_get(fat, path, to, keep, &l, &why), &l, &why, to, path);
}

int luaopen_xenkit_core_fat_files(lua_State *L)
{
    static const luaL_Reg functions[] = {{"put", put}, {"get", get}, {NULL, NULL}};

    luaL_newlib(L, functions);
    return 1;
}
