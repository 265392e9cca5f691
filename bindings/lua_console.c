/* xenkit.core.console - consoles as streams. SPDX-License-Identifier: MIT */
#include <xenkit/console.h>

#include "bindings/stream.h"

int luaopen_xenkit_core_console(lua_State *L);

static int finish(lua_State *L, struct xk_lua_stream *s, int r)
{
    if (r < 0) {
        xk_lua_shut(&s->o);
        return xk_lua_failf(L, r, "console");
    }
    return 1;
}

/* front (world) - this domain's console. */
static int front(lua_State *L)
{
    struct xk_lua_stream *s = xk_lua_push_stream(L, 1);

    return finish(L, s, xk_console_front(NULL, s->o.world->loop, &s->stream));
}

/* back (world, domid, port) - another's, to serve it. */
static int back(lua_State *L)
{
    xk_domid domid = (xk_domid)xk_lua_integer(L, 2, 0, 0x7fff);
    xk_port port = (xk_port)xk_lua_integer(L, 3, 0, INT32_MAX);
    struct xk_lua_stream *s = xk_lua_push_stream(L, 1);

    return finish(L, s, xk_console_back(NULL, s->o.world->loop, domid, port, &s->stream));
}

int luaopen_xenkit_core_console(lua_State *L)
{
    static const luaL_Reg functions[] = {{"front", front}, {"back", back}, {NULL, NULL}};

    luaL_newlib(L, functions);
    return 1;
}
