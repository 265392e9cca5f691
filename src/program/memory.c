/* SPDX-License-Identifier: MIT */
#include "program/memory.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include "program/watchdog.h"

static char place[256];

/* Only what allocates nothing is called here: lua_getstack and lua_getinfo "Sl" read what is there. */
static void note_place(void)
{
    lua_State *L = xk__watchdog_running();
    lua_Debug ar;

    for (int level = 0; L && lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0) {
            snprintf(place, sizeof(place), "%s:%d", ar.short_src, ar.currentline);
            return;
        }
    }
}

static void *allocate(void *ud, void *p, size_t old, size_t size)
{
    void *q;

    (void)ud, (void)old;
    if (size == 0) {
        free(p);
        return NULL;
    }
    q = realloc(p, size);
    if (!q)
        note_place();
    return q;
}

lua_State *xk__memory_new_state(void) { return lua_newstate(allocate, NULL); }

static int last_place(lua_State *L)
{
    if (place[0])
        lua_pushstring(L, place);
    else
        lua_pushnil(L);
    return 1;
}

static int open_module(lua_State *L)
{
    lua_pushcfunction(L, last_place);
    return 1;
}

void xk__memory_open(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open_module);
    lua_setfield(L, -2, "xenkit.core.memory");
    lua_pop(L, 1);
}
