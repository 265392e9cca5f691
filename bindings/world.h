/* bindings/world.h - the world userdata: a platform handle, its loop, and the list of waits that came true.
 *
 * Waiting from Lua: a coroutine picks a number, gives it to whatever it waits for (stream:arm, store:start, ...), and
 * yields. When that is ready its C call-back only notes the number here; no Lua runs inside call-backs of C, so nothing
 * can raise there. (A store's policy does, on a thread of its own: see (ran).) world:run hands the numbers to the
 * scheduler, which resumes the coroutines.
 *
 * Every object that hangs on a world begins with struct xk_lua_object and is closed with it. SPDX-License-Identifier:
 * MIT */
#ifndef XK_BINDINGS_WORLD_H
#define XK_BINDINGS_WORLD_H

#include <xenkit/aio.h>
#include <xenkit/loop.h>
#include <xenkit/platform.h>

#include "bindings/xk_lua.h"

struct xk_lua_object {
    struct xk_lua_world *world; /* NULL: closed */
    struct xk_lua_object *next, **link;
    void (*shut)(struct xk_lua_object *o); /* releases what C holds; called once */
};

/* xk_lua_aio_prepare () - makes the ring for files that the first world will take which asks for one: afterwards, in a
 * sandbox, none can be made. Where Linux gives none, files are read and written in line. */
void xk_lua_aio_prepare(void);

struct xk_lua_world;

/* xk_lua_aio (w) - the world's ring for files, reaped by its loop; NULL: there is none. */
struct xk_aio *xk_lua_aio(struct xk_lua_world *w);

struct xk_lua_world {
    struct xk_platform *platform; /* NULL: closed */
    struct xk_loop *loop;
    struct xk_lua_object *objects;
    lua_Integer *fired;
    size_t fired_count, fired_cap;
    struct xk_aio *aio;
    struct xk_aio_watch aio_watch;
    int aio_asked;
    int lost; /* a number could not be noted: out of memory; world:run raises */
    int ran;  /* Lua ran inside a call-back, and may have readied a task: world:run returns */
};

#define XK_LUA_WORLD "xenkit.world"

/* xk_lua_push_world (L, platform) - a world around (platform), which belongs to it from now on. May raise: then the
 * platform is closed. */
void xk_lua_push_world(lua_State *L, struct xk_platform *platform);

/* xk_lua_check_world (L, arg) - the open world at (arg), or raises. */
struct xk_lua_world *xk_lua_check_world(lua_State *L, int arg);

/* xk_lua_note (w, id) - wait number (id) came true; 0 is nobody. */
void xk_lua_note(struct xk_lua_world *w, lua_Integer id);

/* xk_lua_adopt (L, o, world_arg, shut) - (o), the userdata at the top, hangs on the world at (world_arg). */
void xk_lua_adopt(lua_State *L, struct xk_lua_object *o, int world_arg, void (*shut)(struct xk_lua_object *o));

/* xk_lua_shut (o) - closes (o) if it is open. */
void xk_lua_shut(struct xk_lua_object *o);

/* xk_lua_check_object (L, arg, type, what) - the open object at (arg), or raises "attempt to use a closed (what)". */
void *xk_lua_check_object(lua_State *L, int arg, const char *type, const char *what);

/* xk_lua_deadline (w, L, arg) - seconds from now at (arg); nil or none: for ever. */
xk_time xk_lua_deadline(struct xk_lua_world *w, lua_State *L, int arg);

#endif
