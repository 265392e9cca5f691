/* How a guest wants its network's flows spread: the option `hash` of xenkit.core.net.front. SPDX-License-Identifier:
 * MIT
 */
#include <string.h>

#include "bindings/net.h"

static const struct {
    const char *name;
    uint8_t bit;
} types[] = {{"ip4", XK_NET_HASH_IP4},
             {"ip4_tcp", XK_NET_HASH_IP4_TCP},
             {"ip6", XK_NET_HASH_IP6},
             {"ip6_tcp", XK_NET_HASH_IP6_TCP}};

static uint8_t type_of(lua_State *L, const char *name)
{
    for (unsigned i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (name && strcmp(types[i].name, name) == 0)
            return types[i].bit;
    return (uint8_t)luaL_error(L, "hash: types are ip4, ip4_tcp, ip6, ip6_tcp, not '%s'", name ? name : "?");
}

/* At the top: a list of names. */
static uint8_t read_types(lua_State *L)
{
    uint8_t all = 0;

    luaL_checktype(L, -1, LUA_TTABLE);
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
        all |= type_of(L, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return all;
}

/* At the top: a list of queues, counted from 0 as Xen does. */
static uint16_t read_map(lua_State *L, uint8_t *map)
{
    uint16_t n = 0;

    luaL_checktype(L, -1, LUA_TTABLE);
    while (lua_rawgeti(L, -1, n + 1) != LUA_TNIL) {
        lua_Integer q = lua_tointeger(L, -1);
        if (n == XK_NET_HASH_MAP || !lua_isinteger(L, -1) || q < 0 || q >= XK_VIF_QUEUES)
            luaL_error(L, "hash: a map has up to %d places, each a queue of 0 to %d", XK_NET_HASH_MAP,
                       XK_VIF_QUEUES - 1);
        map[n++] = (uint8_t)q;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return n;
}

void xk_lua_net_hash(lua_State *L, int arg, struct xk_platform *platform, struct xk_net_hash *h)
{
    size_t n;

    memset(h, 0, sizeof(*h));
    if (!lua_istable(L, arg) || lua_getfield(L, arg, "hash") != LUA_TTABLE) {
        lua_settop(L, arg);
        return;
    }
    h->algorithm = XK_NET_HASH_TOEPLITZ;
    h->types = lua_getfield(L, -1, "types") == LUA_TNIL ? XK_NET_HASH_ALL : read_types(L);
    lua_pop(L, 1);
    if (lua_getfield(L, -1, "map") != LUA_TNIL)
        h->map_size = read_map(L, h->map);
    lua_pop(L, 1);
    if (lua_getfield(L, -1, "key") != LUA_TNIL) {
        const char *key = luaL_checklstring(L, -1, &n);
        if (n > sizeof(h->key))
            luaL_error(L, "hash: a key has up to %d bytes", XK_NET_HASH_KEY);
        memcpy(h->key, key, n);
    } else if (xk_entropy(platform, h->key, sizeof(h->key)) < 0) { /* nobody shall guess who shares a queue */
        luaL_error(L, "hash: no random key yet; give one");
    }
    lua_settop(L, arg);
}
