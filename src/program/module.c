/* xenkit.so for a stock lua5.4: Lua's all-in-one loader finds each xenkit.core.NAME here, and xenkit.core gives their
 * names. SPDX-License-Identifier: MIT */
#include <lauxlib.h>

#ifdef XK_PROGRAM_FULL
#define CORE_FULL(X) X(http) X(dns) X(db) X(markup) X(resolve) X(crunch)
#else
#define CORE_FULL(X)
#endif
#define CORE_MODULES(X) \
    X(world)            \
    X(stream)           \
    X(store)            \
    X(vchan)            \
    X(console) X(xenbus) X(block) X(image) X(fat) X(fat_files) X(net) X(inet) X(blackbox) X(stub) X(host) CORE_FULL(X)

int luaopen_xenkit_core(lua_State *L);

#define DECLARE(name) int luaopen_xenkit_core_##name(lua_State *L);
CORE_MODULES(DECLARE)
#undef DECLARE

int luaopen_xenkit_core(lua_State *L)
{
    static const luaL_Reg modules[] = {
#define ENTRY(name) {#name, luaopen_xenkit_core_##name},
        CORE_MODULES(ENTRY)
#undef ENTRY
            {NULL, NULL},
    };

    lua_newtable(L);
    for (const luaL_Reg *m = modules; m->name; m++) {
        luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
        lua_pushfstring(L, "xenkit.core.%s", m->name);
        lua_pushcfunction(L, m->func);
        lua_settable(L, -3);
        lua_pop(L, 1);
    }
    return 1;
}
