/* Every module, registered statically: there is no dynamic loading in a static program. SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program/memory.h"
#include "program/program.h"
#include "program/watchdog.h"

#define CORE_MODULES(X) \
    X(world)            \
    X(stream)           \
    X(store)            \
    X(vchan)            \
    X(console)          \
    X(xenbus)           \
    X(block)            \
    X(image)            \
    X(net)              \
    X(inet)             \
    X(blackbox)         \
    X(stub)             \
    XK_CORE_FULL(X)     \
    XK_CORE_CRYPT(X)

#ifdef XK_PROGRAM_FULL
#define XK_CORE_FULL(X) X(http) X(dns) X(db) X(markup) X(resolve) X(crunch) X(fat)
#else
#define XK_CORE_FULL(X)
#endif

#ifdef XK_PROGRAM_CRYPT
#define XK_CORE_CRYPT(X) X(crypt)
#else
#define XK_CORE_CRYPT(X)
#endif

#define DECLARE(name) int luaopen_xenkit_core_##name(lua_State *L);
CORE_MODULES(DECLARE)
#ifdef XK_PROGRAM_HOST
DECLARE(host)
DECLARE(fat_files)
#endif
#undef DECLARE

static const luaL_Reg core[] = {
#define ENTRY(name) {"xenkit.core." #name, luaopen_xenkit_core_##name},
    CORE_MODULES(ENTRY)
#undef ENTRY
        {NULL, NULL},
};

/* os without what needs an operating system. */
static void restrict_os(lua_State *L)
{
    static const char *const gone[] = {"execute", "exit", "getenv", "remove", "rename", "setlocale", "tmpname", NULL};

    lua_getglobal(L, "os");
    for (int i = 0; gone[i]; i++) {
        lua_pushnil(L);
        lua_setfield(L, -2, gone[i]);
    }
    lua_pop(L, 1);
}

static void open_libs(lua_State *L, unsigned flags)
{
    static const luaL_Reg libs[] = {
        {LUA_GNAME, luaopen_base},          {LUA_LOADLIBNAME, luaopen_package},
        {LUA_COLIBNAME, luaopen_coroutine}, {LUA_TABLIBNAME, luaopen_table},
        {LUA_STRLIBNAME, luaopen_string},   {LUA_MATHLIBNAME, luaopen_math},
        {LUA_UTF8LIBNAME, luaopen_utf8},    {LUA_OSLIBNAME, luaopen_os},
        {LUA_DBLIBNAME, luaopen_debug},     {NULL, NULL},
    };

    if (flags & XK__PROGRAM_HOST) {
        luaL_openlibs(L);
        return;
    }
    for (const luaL_Reg *l = libs; l->func; l++) {
        luaL_requiref(L, l->name, l->func, 1);
        lua_pop(L, 1);
    }
    restrict_os(L);
    lua_pushnil(L);
    lua_setglobal(L, "dofile");
    lua_pushnil(L);
    lua_setglobal(L, "loadfile");
}

/* preload: loads the source that upvalue 1 points to, under its file's name. */
static int load_embedded(lua_State *L)
{
    const struct xk__module *m = lua_touserdata(L, lua_upvalueindex(1));
    char chunk[128];

    snprintf(chunk, sizeof(chunk), "@%s", m->name);
    if (luaL_loadbufferx(L, m->source, m->size, chunk, NULL) != LUA_OK)
        return lua_error(L);
    lua_pushstring(L, m->name);
    lua_call(L, 1, 1);
    return 1;
}

/* xenkit.core.embedded: a function that gives the source of an embedded module, or nil. */
static int embedded_source(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);

    for (const struct xk__module *m = xk__modules; m->name; m++)
        if (strcmp(m->name, name) == 0) {
            lua_pushlstring(L, m->source, m->size);
            return 1;
        }
    return 0;
}

static int open_embedded(lua_State *L)
{
    lua_pushcfunction(L, embedded_source);
    return 1;
}

/* package.preload[name] where nobody has put anything: what the program brings along. A loader for each of them from
 * the beginning would cost a program, which needs a third of them, more than all else before its first line. */
static int find_module(lua_State *L)
{
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";

    for (const luaL_Reg *c = core; c->name; c++)
        if (strcmp(c->name, name) == 0) {
            lua_pushcfunction(L, c->func);
            return 1;
        }
    for (const struct xk__module *m = xk__modules; m->name; m++)
        if (strcmp(m->name, name) == 0) {
            lua_pushlightuserdata(L, (void *)(uintptr_t)m);
            lua_pushcclosure(L, load_embedded, 1);
            return 1;
        }
    return 0;
}

static int open_state(lua_State *L)
{
    unsigned flags = (unsigned)lua_tointeger(L, 1);

    open_libs(L, flags);
    if (!(flags & XK__PROGRAM_HOST)) {
        xk__watchdog_open(L);
        xk__memory_open(L);
    }
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_newtable(L);
    lua_pushcfunction(L, find_module);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pushcfunction(L, open_embedded);
    lua_setfield(L, -2, "xenkit.core.embedded");
#ifdef XK_PROGRAM_HOST
    if (flags & XK__PROGRAM_HOST) {
        lua_pushcfunction(L, luaopen_xenkit_core_host);
        lua_setfield(L, -2, "xenkit.core.host");
        lua_pushcfunction(L, luaopen_xenkit_core_fat_files);
        lua_setfield(L, -2, "xenkit.core.fat_files");
    }
#endif
    return 0;
}

lua_State *xk__program_new(unsigned flags)
{
    lua_State *L = flags & XK__PROGRAM_HOST ? luaL_newstate() : xk__memory_new_state();

    if (!L)
        return NULL;
    lua_gc(L, LUA_GCSTOP); /* all that is made now stays; in a domain until its service starts (xenkit.domain) */
    lua_pushcfunction(L, open_state);
    lua_pushinteger(L, (lua_Integer)flags);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        fprintf(stderr, "xenkit: %s\n", lua_tostring(L, -1));
        lua_close(L);
        return NULL;
    }
    if (flags & XK__PROGRAM_HOST)
        lua_gc(L, LUA_GCRESTART);
    return L;
}

static int traceback(lua_State *L)
{
    const char *msg = lua_tostring(L, 1);

    if (!msg)
        msg = luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, msg, 1);
    return 1;
}

static int call_main(lua_State *L)
{
    const char *name = lua_touserdata(L, 1);

    lua_getglobal(L, "require");
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    if (lua_istable(L, -1))
        lua_getfield(L, -1, "main");
    lua_replace(L, 1);
    lua_settop(L, 2);
    lua_call(L, 1, 1);
    return 1;
}

int xk__program_main(lua_State *L, const char *name, int argc, char **argv)
{
    int code = 0;

    lua_pushcfunction(L, traceback);
    lua_pushcfunction(L, call_main);
    lua_pushlightuserdata(L, (void *)(uintptr_t)name);
    lua_createtable(L, argc, 0);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    if (lua_pcall(L, 2, 1, 1) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        return 1;
    }
    if (lua_isinteger(L, -1))
        code = (int)lua_tointeger(L, -1);
    else if (lua_isboolean(L, -1))
        code = !lua_toboolean(L, -1);
    return code;
}
