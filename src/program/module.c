/* xenkit/core.so for a stock lua5.4: `require "xenkit.core"` gives all core modules by name, and Lua's all-in-one loader
 * finds `require "xenkit.core.vchan"` here, too. SPDX-License-Identifier: MIT */
#include <lauxlib.h>

#define CORE_MODULES(X) X(world) X(stream) X(store) X(vchan) X(console) X(http) X(dns) X(db) X(markup) X(host)

__attribute__((visibility("default"))) int luaopen_xenkit_core(lua_State *L);

#define DECLARE(name) __attribute__((visibility("default"))) int luaopen_xenkit_core_##name(lua_State *L);
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
        lua_pushcfunction(L, m->func);
        lua_setfield(L, -2, lua_pushfstring(L, "xenkit.core.%s", m->name));
        lua_settop(L, 2);
    }
    return 1;
}
