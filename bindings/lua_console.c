/* xenkit.core.console - consoles as streams. SPDX-License-Identifier: MIT */
#include <xenkit/console.h>
#include <xenkit/pty.h>

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

/* back (world, domid, port[, ref]) - another's, to serve it; without (ref) its first one. */
static int back(lua_State *L)
{
    xk_domid domid = (xk_domid)xk_lua_integer(L, 2, 0, 0x7fff);
    xk_port port = (xk_port)xk_lua_integer(L, 3, 0, INT32_MAX);
    xk_gref ref = (xk_gref)(lua_isnoneornil(L, 4) ? XK_GREF_CONSOLE : xk_lua_integer(L, 4, 0, UINT32_MAX));
    struct xk_lua_stream *s = xk_lua_push_stream(L, 1);

    return finish(L, s, xk_console_back_at(NULL, s->o.world->loop, domid, ref, port, &s->stream));
}

/* pty (world, handle) - a stream over a pseudo terminal's master, which belongs to it from now on. */
static int pty(lua_State *L)
{
    int handle = (int)xk_lua_integer(L, 2, 0, INT32_MAX);
    struct xk_lua_stream *s = xk_lua_push_stream(L, 1);

    return finish(L, s, xk_pty_stream(NULL, s->o.world->loop, handle, &s->stream));
}

/* attached (pty) - whether somebody has it open. */
static int attached(lua_State *L)
{
    lua_pushboolean(L, xk_pty_attached(xk_lua_check_stream(L, 1)->stream));
    return 1;
}

int luaopen_xenkit_core_console(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"front", front}, {"back", back}, {"pty", pty}, {"attached", attached}, {NULL, NULL}};

    luaL_newlib(L, functions);
    return 1;
}
