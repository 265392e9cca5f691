/*** Devices that come, of any kind.
 *
 *     local watch <close> = assert(core.xenbus.watch(world, store, "backend/vbd", 2))
 *     local path = watch:next(id)      -- nil: (id) is noted when there is one
 *
 * @module xenkit.core.xenbus
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/buf.h>
#include <xenkit/xenbus.h>

#include "bindings/xenbus.h"

int luaopen_xenkit_core_xenbus(lua_State *L);

#define WATCH "xenkit.xenbus.watch"

enum { PATHS_MAX = 65536 };

struct watch {
    struct xk_lua_object o;
    struct xk_lua_store_user user;
    struct xk_xenbus_watch *watch;
    struct xk_buf paths; /* each with its NUL */
    lua_Integer id;
};

void xk_lua_bus_suspend(struct xk_lua_store_user *user, struct xk_xenbus *bus)
{
    xk_lua_store_unuse(user);
    xk_xenbus_suspend(bus);
}

int xk_lua_bus_resume(lua_State *L, struct xk_lua_store_user *user, struct xk_lua_object *object, struct xk_xenbus *bus)
{
    struct xk_store *store;
    int r;

    if (user->link) /* it was not suspended */
        return xk_lua_fail(L, XK_EBUSY);
    store = xk_lua_store_use(L, 2, user, object);
    r = xk_xenbus_resume(bus, store);
    if (r < 0)
        xk_lua_store_unuse(user);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, 1, 2);
    return xk_lua_ok(L, r);
}

static void on_found(void *arg, const char *path)
{
    struct watch *w = arg;
    size_t n = strlen(path) + 1, have = xk_buf_len(&w->paths);

    if (have >= n && memcmp(xk_buf_head(&w->paths) + have - n, path, n) == 0)
        return; /* once more the same */
    if (xk_buf_put(&w->paths, path, n) < 0)
        return; /* its next event tells */
    xk_lua_note(w->o.world, w->id);
    w->id = 0;
}

static void watch_shut(struct xk_lua_object *o)
{
    struct watch *w = (struct watch *)o;

    xk_lua_store_unuse(&w->user);
    if (w->watch)
        xk_xenbus_unwatch(w->watch);
    xk_buf_fini(&w->paths);
    xk_lua_note(o->world, w->id);
}

static int watch_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, WATCH));
    return 0;
}

/*** Devices below (root), such as "backend/vbd" with 2 levels.
 * @function watch
 * @param world
 * @param store of xenkit.core.store
 * @tparam string root
 * @tparam integer levels */
static int l_watch(lua_State *L)
{
    const char *root = luaL_checkstring(L, 3);
    unsigned levels = (unsigned)xk_lua_integer(L, 4, 1, 4);
    struct watch *w = xk_lua_new(L, WATCH, sizeof(*w), 2);
    struct xk_store *store;
    int r;

    xk_buf_init(&w->paths, NULL, PATHS_MAX);
    xk_lua_adopt(L, &w->o, 1, watch_shut);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 2);
    store = xk_lua_store_use(L, 2, &w->user, &w->o);
    r = xk_xenbus_watch(NULL, store, root, levels, on_found, w, &w->watch);
    if (r < 0) {
        w->watch = NULL;
        xk_lua_shut(&w->o);
        return xk_lua_failf(L, r, root);
    }
    return 1;
}

/*** The next folder that is there, or below which something changed; nil, and number (id) is noted when there is one.
 * @function next */
static int watch_next(lua_State *L)
{
    struct watch *w = xk_lua_check_object(L, 1, WATCH, "watch");
    const char *path;

    w->id = 0;
    if (xk_buf_len(&w->paths) == 0) {
        w->id = luaL_checkinteger(L, 2);
        return 0;
    }
    path = (const char *)xk_buf_head(&w->paths);
    lua_pushstring(L, path);
    xk_buf_take(&w->paths, strlen(path) + 1);
    return 1;
}

int luaopen_xenkit_core_xenbus(lua_State *L)
{
    static const luaL_Reg functions[] = {{"watch", l_watch}, {NULL, NULL}};
    static const luaL_Reg watch_methods[] = {{"next", watch_next}, {"close", watch_close}, {NULL, NULL}};

    xk_lua_type(L, WATCH, watch_methods, watch_close);
    luaL_newlib(L, functions);
    return 1;
}
