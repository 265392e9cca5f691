/* xenkit.core.stub - what a stub domain's kernel knows. All of it answers nil, message, "XK_ENODEV" elsewhere.
 * SPDX-License-Identifier: MIT */
#include <xenkit/stub.h>

#include "bindings/xk_lua.h"

int luaopen_xenkit_core_stub(lua_State *L);

/* cmdline () - the kernel's command line. */
static int cmdline(lua_State *L)
{
    lua_pushstring(L, xk_stub_cmdline());
    return 1;
}

/* stats () - what the kernel counts, as a table. */
static int stats(lua_State *L)
{
    struct xk_stub_stats s;
    int r = xk_stub_get_stats(&s);

    if (r < 0)
        return xk_lua_fail(L, r);
    lua_createtable(L, 0, 16);
#define FIELD(name) xk_lua_set_integer(L, #name, s.name)
    FIELD(pages_total);
    FIELD(pages_free);
    FIELD(pages_reserved);
    FIELD(faults);
    FIELD(syscalls);
    FIELD(refused);
    FIELD(last_refused);
    FIELD(upcalls);
    FIELD(ticks);
    FIELD(console_dropped);
    FIELD(grants);
    FIELD(maps);
    FIELD(ports);
    FIELD(areas);
    FIELD(entry_tsc);
#undef FIELD
    lua_pushboolean(L, s.seeded != 0);
    lua_setfield(L, -2, "seeded");
    return 1;
}

/* tsc () - the time-stamp counter, to count from entry_tsc. */
static int tsc(lua_State *L)
{
#if defined(__x86_64__)
    lua_pushinteger(L, (lua_Integer)__builtin_ia32_rdtsc());
#else
    lua_pushinteger(L, 0);
#endif
    return 1;
}

/* seed (bytes) - entropy from outside. */
static int seed(lua_State *L)
{
    size_t n;
    const char *bytes = luaL_checklstring(L, 1, &n);

    return xk_lua_ok(L, xk_stub_seed(bytes, n));
}

int luaopen_xenkit_core_stub(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"cmdline", cmdline}, {"stats", stats}, {"tsc", tsc}, {"seed", seed}, {NULL, NULL}};

    luaL_newlib(L, functions);
    return 1;
}
