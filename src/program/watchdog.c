/* SPDX-License-Identifier: MIT */
#include "program/watchdog.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#include <xenkit/loop.h>
#include <xenkit/platform.h>

#include "bindings/world.h"

enum { TICKS_A_SECOND = 4, PATIENCE = 6 }; /* C code may take so many times the limit */
enum { HANDLER = 100000 };                 /* instructions that a handler of the first error may take */

static lua_State *volatile running; /* the coroutine that runs now */
static struct xk_loop *loop;        /* whose rounds are progress */
static uint64_t last_round;
static volatile unsigned stuck, limit; /* ticks */
static unsigned raised;                /* errors since the loop last went round */
static char place[128];                /* of the first of them */

lua_State *xk__watchdog_running(void) { return running; }

static uint64_t rounds(void)
{
    struct xk_loop_stats s;

    xk_loop_get_stats(loop, &s);
    return s.rounds;
}

/* --- who runs --- */

/* Resumes (co) with the (count) values at the top of (L). Returns how many values it gave, now at the top of (L), or -1
 * with the error there. */
static int run(lua_State *L, lua_State *co, int count)
{
    lua_State *before = running;
    int status, given = 0;

    if (!lua_checkstack(co, count)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, count);
    running = co;
    status = lua_resume(co, L, count, &given);
    running = before;
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return -1;
    }
    if (!lua_checkstack(L, given + 1)) {
        lua_pop(co, given);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, given);
    return given;
}

static lua_State *check_coroutine(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);

    luaL_argexpected(L, co, 1, "thread");
    return co;
}

static int resume(lua_State *L)
{
    lua_State *co = check_coroutine(L);
    int n = run(L, co, lua_gettop(L) - 1);

    lua_pushboolean(L, n >= 0);
    lua_insert(L, n < 0 ? -2 : -(n + 1));
    return n < 0 ? 2 : n + 1;
}

static int close_status(lua_State *co)
{
    lua_State *before = running;
    int status;

    running = co;
    status = lua_resetthread(co);
    running = before;
    return status;
}

/* The function that wrap gives: errors go on, with the place of the call before a text, and the coroutine is closed. */
static int call_wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int n = run(L, co, lua_gettop(L)), status;

    if (n >= 0)
        return n;
    status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_pop(L, 1); /* closing gives it again, or an error of a __close handler instead */
        status = close_status(co);
        lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int wrap(lua_State *L)
{
    lua_State *co;

    luaL_checktype(L, 1, LUA_TFUNCTION);
    co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

/* Why (co) cannot be closed, or NULL. */
static const char *busy(lua_State *L, lua_State *co)
{
    lua_Debug ar;

    if (L == co)
        return "running";
    return lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar) ? "normal" : NULL;
}

static int close_coroutine(lua_State *L)
{
    lua_State *co = check_coroutine(L);
    const char *why = busy(L, co);

    if (why)
        return luaL_error(L, "cannot close a %s coroutine", why);
    if (close_status(co) == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return 2;
}

/* --- the watchdog --- */

/* The first error leaves room for its handler, which tells where it was; the second comes when that did not end it;
 * from then on each instruction raises one until the loop goes round again, so that a loop around pcall ends as well.
 */
static void on_hook(lua_State *L, lua_Debug *ar)
{
    if (!stuck || stuck < limit) {
        lua_sethook(L, NULL, 0, 0);
        return;
    }
    raised++;
    lua_sethook(L, on_hook, LUA_MASKCOUNT, raised == 1 ? HANDLER : 1);
    if (raised == 1) {
        lua_getinfo(L, "Sl", ar);
        snprintf(place, sizeof(place), "%s:%d", ar->short_src, ar->currentline);
    }
    luaL_error(L, "%s: runaway: ran for %d s without giving way; split the work or call task.yield()", place,
               (int)(limit / TICKS_A_SECOND));
}

static void on_tick(void)
{
    uint64_t now = rounds();

    if (now != last_round) {
        last_round = now;
        stuck = raised = 0;
        return;
    }
    stuck++;
    if (stuck >= limit * PATIENCE)
        abort(); /* in C code that does not return: the report names the place */
    if (stuck >= limit && running && raised != 1)
        lua_sethook(running, on_hook, LUA_MASKCOUNT, 1);
}

static int set(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    lua_Integer seconds = luaL_checkinteger(L, 2);
    int r;

    luaL_argcheck(L, seconds >= 0 && seconds <= 86400, 2, "0 to 86400 seconds");
    loop = w->loop;
    last_round = rounds();
    stuck = 0;
    limit = (unsigned)seconds * TICKS_A_SECOND;
    r = xk_tick(w->platform, seconds ? XK_SECOND / TICKS_A_SECOND : 0, seconds ? on_tick : NULL);
    return r == XK_ENOSYS ? 0 : xk_lua_ok(L, r);
}

static int open_module(lua_State *L)
{
    lua_pushcfunction(L, set);
    return 1;
}

void xk__watchdog_open(lua_State *L)
{
    running = L;
    lua_getglobal(L, LUA_COLIBNAME);
    lua_pushcfunction(L, resume);
    lua_setfield(L, -2, "resume");
    lua_pushcfunction(L, wrap);
    lua_setfield(L, -2, "wrap");
    lua_pushcfunction(L, close_coroutine);
    lua_setfield(L, -2, "close");
    lua_pop(L, 1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open_module);
    lua_setfield(L, -2, "xenkit.core.watchdog");
    lua_pop(L, 1);
}
