/*** Addresses of names, over a stack of xenkit.core.inet. `xenkit.net` waits for them in the running task.
 *
 *     local q = assert(resolve.start(net, id, "www.example", { servers = { "10.0.0.53" } }))
 *     local list, ttl = q:result()                     -- when (id) was noted
 *
 * @module xenkit.core.resolve
 *
 * SPDX-License-Identifier: MIT */
#include <xenkit/resolve.h>

#include "bindings/inet.h"

int luaopen_xenkit_core_resolve(lua_State *L);

#define QUERY "xenkit.resolve"

struct query {
    struct xk_lua_object o;
    struct xk_lua_inet_child child;
    struct xk_lookup lookup;
    lua_Integer id;
    int over, err;
    unsigned n;
    uint32_t ttl;
    struct xk_ip found[XK_RESOLVE_ADDRESSES];
};

static void on_done(struct xk_lookup *l, int err, const struct xk_ip *list, unsigned n, uint32_t ttl)
{
    struct query *q = (struct query *)((char *)l - offsetof(struct query, lookup));

    memcpy(q->found, list, n * sizeof(*list));
    q->n = n;
    q->ttl = ttl;
    q->err = err;
    q->over = 1;
    xk_lua_note(q->o.world, q->id);
}

static void query_shut(struct xk_lua_object *o)
{
    struct query *q = (struct query *)o;

    xk_lua_inet_leave(&q->child);
    xk_lookup_stop(&q->lookup);
}

static int query_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, QUERY));
    return 0;
}

static void read_config(lua_State *L, int arg, struct xk_resolve_config *c)
{
    luaL_checktype(L, arg, LUA_TTABLE);
    c->servers = (uint8_t)xk_lua_ip_list(L, arg, "servers", c->server, XK_RESOLVE_SERVERS);
    c->tries = (uint8_t)xk_lua_field(L, arg, "tries", 0, 10);
    c->port = (uint16_t)xk_lua_field(L, arg, "port", 0, 65535);
    c->timeout = (uint32_t)xk_lua_field(L, arg, "timeout", 0, 60000);
    lua_getfield(L, arg, "domain");
    c->domain = lua_tostring(L, -1); /* on the stack until it is copied */
}

/*** Asks for a name's addresses; (id) is noted when its :result() is known.
 * @function start
 * @param inet a stack
 * @tparam integer id
 * @tparam string name
 * @tparam table config `servers`, a list; `version` 4 or 6, otherwise both; `port` (53), `timeout` in ms (1000),
 * `tries` (3), `domain` for names without a dot */
static int l_start(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    lua_Integer id = luaL_checkinteger(L, 2);
    const char *name = luaL_checkstring(L, 3);
    struct xk_resolve_config c = {.tries = 0};
    int version, r;
    struct query *q;

    lua_settop(L, 4);
    version = (int)xk_lua_field(L, 4, "version", 0, 6);
    read_config(L, 4, &c);
    q = xk_lua_new(L, QUERY, sizeof(*q), 2);
    lua_getiuservalue(L, 1, 1); /* the world */
    lua_insert(L, -2);
    xk_lua_adopt(L, &q->o, lua_gettop(L) - 1, query_shut);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 2);
    q->id = id;
    q->lookup.done = on_done;
    r = xk_lookup_start(NULL, q->o.world->loop, n->s, &c, name, version, &q->lookup);
    if (r < 0) {
        xk_lua_shut(&q->o);
        return xk_lua_failf(L, r, name);
    }
    xk_lua_inet_join(&q->child, n, &q->o);
    return 1;
}

/*** A list of addresses, and for how many seconds they are good; nil, message, code; XK_EAGAIN while it is under way.
 * @function result */
static int query_result(lua_State *L)
{
    struct query *q = xk_lua_check_object(L, 1, QUERY, "query");

    if (!q->over)
        return xk_lua_fail(L, XK_EAGAIN);
    if (q->err < 0)
        return xk_lua_fail(L, q->err);
    lua_newtable(L);
    for (unsigned i = 0; i < q->n; i++) {
        xk_lua_push_ip(L, q->found[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushinteger(L, q->ttl);
    return 2;
}

int luaopen_xenkit_core_resolve(lua_State *L)
{
    static const luaL_Reg functions[] = {{"start", l_start}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"result", query_result}, {"close", query_close}, {NULL, NULL}};

    xk_lua_type(L, QUERY, methods, query_close);
    luaL_newlib(L, functions);
    return 1;
}
