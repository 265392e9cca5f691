/* bindings/xk_lua.h - what all bindings share: one error path, handles, argument checks.
 *
 * Rules: one file a public header, named lua_<noun>.c, opened by luaopen_xenkit_core_<noun>; bindings use the public
 * API of libxenkit and of Lua only. Wrong use raises (luaL_argcheck, "attempt to use a closed vchan"); the world
 * failing returns nil, message, "XK_ENAME". A userdata is created closed, with its metatable, before anything is
 * acquired, so that nothing leaks when Lua raises. __gc and __close are the same idempotent function. Parents are kept
 * in user values.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XK_BINDINGS_XK_LUA_H
#define XK_BINDINGS_XK_LUA_H

#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <xenkit/err.h>

/* xk_lua_fail (L, err) - pushes nil, text, name; returns 3. xk_lua_failf adds what was tried: "what: text". */
static inline int xk_lua_fail(lua_State *L, int err)
{
    lua_pushnil(L);
    lua_pushstring(L, xk_err_text(err));
    lua_pushstring(L, xk_err_name(err));
    return 3;
}

static inline int xk_lua_failf(lua_State *L, int err, const char *what)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", what, xk_err_text(err));
    lua_pushstring(L, xk_err_name(err));
    return 3;
}

/* xk_lua_result (L, r) - the count or 0 as an integer, or the failure. */
static inline int xk_lua_result(lua_State *L, int r)
{
    if (r < 0)
        return xk_lua_fail(L, r);
    lua_pushinteger(L, r);
    return 1;
}

/* xk_lua_ok (L, r) - true, or the failure. */
static inline int xk_lua_ok(lua_State *L, int r)
{
    if (r < 0)
        return xk_lua_fail(L, r);
    lua_pushboolean(L, 1);
    return 1;
}

/* xk_lua_diag (L, d, source) - nil, "source:line:column: text", name. */
static inline int xk_lua_diag(lua_State *L, const struct xk_diag *d, const char *source)
{
    lua_pushnil(L);
    if (d->line && d->column)
        lua_pushfstring(L, "%s:%d:%d: %s", source, (int)d->line, (int)d->column, d->text);
    else if (d->line)
        lua_pushfstring(L, "%s:%d: %s", source, (int)d->line, d->text);
    else
        lua_pushfstring(L, "%s: %s", source, d->text);
    lua_pushstring(L, xk_err_name(d->err));
    return 3;
}

/* xk_lua_new (L, type, size, values) - a zeroed userdata with the metatable of (type) and room for (values) user
 * values; it stays on the stack. */
static inline void *xk_lua_new(lua_State *L, const char *type, size_t size, int values)
{
    void *p = lua_newuserdatauv(L, size, values);

    for (size_t i = 0; i < size; i++)
        ((unsigned char *)p)[i] = 0;
    luaL_setmetatable(L, type);
    return p;
}

/* xk_lua_type (L, type, methods, close) - makes the metatable of (type) once: __index a table of (methods), __gc and
 * __close (close), __name for messages and tostring. */
static inline void xk_lua_type(lua_State *L, const char *type, const luaL_Reg *methods, lua_CFunction close)
{
    if (luaL_newmetatable(L, type)) {
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_setfield(L, -2, "__index");
        if (close) {
            lua_pushcfunction(L, close);
            lua_setfield(L, -2, "__gc");
            lua_pushcfunction(L, close);
            lua_setfield(L, -2, "__close");
        }
    }
    lua_pop(L, 1);
}

/* xk_lua_integer (L, arg, low, high) - an integer argument within a range. */
static inline lua_Integer xk_lua_integer(lua_State *L, int arg, lua_Integer low, lua_Integer high)
{
    lua_Integer v = luaL_checkinteger(L, arg);

    if (v < low || v > high)
        luaL_argerror(L, arg,
                      lua_pushfstring(L, "%I is not in %I .. %I", (LUAI_UACINT)v, (LUAI_UACINT)low, (LUAI_UACINT)high));
    return v;
}

/* xk_lua_set_integer (L, name, v) - field (name) of the table at the top. */
static inline void xk_lua_set_integer(lua_State *L, const char *name, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, name);
}

/* xk_lua_field (L, arg, name, otherwise, most) - an integer of 0 .. (most), or a boolean as 0 and 1, in the table at
 * (arg); (otherwise) where there is no table or no such field. */
static inline lua_Integer xk_lua_field(lua_State *L, int arg, const char *name, lua_Integer otherwise, lua_Integer most)
{
    lua_Integer v = otherwise;

    if (lua_istable(L, arg)) {
        if (lua_getfield(L, arg, name) != LUA_TNIL)
            v = lua_isboolean(L, -1) ? lua_toboolean(L, -1) : luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    if (v < 0 || v > most)
        luaL_error(L, "field '%s' is not in 0 .. %I", name, (LUAI_UACINT)most);
    return v;
}

#endif
