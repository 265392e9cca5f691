/*** IPv6 of xenkit.core.inet.
 * @module xenkit.core.inet
 *
 * SPDX-License-Identifier: MIT */
#include "bindings/inet.h"

static void on_change(void *arg)
{
    struct xk_lua_inet *n = arg;

    xk_lua_note(n->o.world, n->id6);
    n->id6 = 0;
}

/*** Begins with IPv6. @return true; nil, message, code
 * @function start6
 * @tparam[opt=false] boolean quiet routers are not heard */
static int inet_start6(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    int r = xk_inet6_start(n->s, lua_toboolean(L, 2) ? XK_INET6_QUIET : 0);

    if (r == 0)
        xk_inet6_on_change(n->s, on_change, n);
    return xk_lua_ok(L, r);
}

/*** An address of its own choice. @return true; nil, message, code
 * @function add6
 * @tparam string address
 * @tparam integer prefix */
static int inet_add6(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    struct xk_ip ip = xk_lua_check_ip(L, 2);

    return xk_lua_ok(L, xk_inet6_add(n->s, ip, (unsigned)xk_lua_integer(L, 3, 1, 128)));
}

/*** A router beside those that advertise themselves.
 * @function gateway6
 * @tparam string address */
static int inet_gateway6(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);

    return xk_lua_ok(L, xk_inet6_gateway(n->s, xk_lua_check_ip(L, 2)));
}

static void push_address(lua_State *L, const struct xk_inet6_address *a)
{
    static const char *const state[] = {"tentative", "preferred", "deprecated", "duplicate"};

    lua_newtable(L);
    xk_lua_push_ip(L, a->ip);
    lua_setfield(L, -2, "address");
    xk_lua_set_integer(L, "prefix", a->prefix);
    lua_pushstring(L, state[a->state]);
    lua_setfield(L, -2, "state");
    lua_pushboolean(L, a->automatic);
    lua_setfield(L, -2, "automatic");
    if (a->valid != UINT32_MAX) {
        xk_lua_set_integer(L, "preferred", a->preferred);
        xk_lua_set_integer(L, "valid", a->valid);
    }
}

/*** Its addresses: a list of {address, prefix, state, automatic}, with preferred and valid where they end, in seconds;
 * (id) is noted when that changes. A state is "tentative", "preferred", "deprecated" or "duplicate".
 * @function addresses6
 * @tparam[opt=0] integer id */
static int inet_addresses6(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    struct xk_inet6_address a;

    n->id6 = luaL_optinteger(L, 2, 0);
    lua_newtable(L);
    for (unsigned i = 0; xk_inet6_address(n->s, i, &a) == 0; i++) {
        push_address(L, &a);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int push_list(lua_State *L, int (*get)(const struct xk_inet *s, unsigned i, struct xk_ip *out))
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    struct xk_ip ip;

    lua_newtable(L);
    for (unsigned i = 0; get(n->s, i, &ip) == 0; i++) {
        xk_lua_push_ip(L, ip);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/*** Routers in use: a list of addresses. dns6: name servers that they told.
 * @function routers6 */
static int inet_routers6(lua_State *L) { return push_list(L, xk_inet6_router); }
static int inet_dns6(lua_State *L) { return push_list(L, xk_inet6_dns); }

/*** Tells others how to make addresses.
 * @function advertise
 * @tparam table config prefix, of 64 bits, such as "fd00::"; and if wanted seconds, router (seconds), mtu, dns */
static int inet_advertise(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    struct xk_advertiser_config c = {0};
    struct xk_advertiser *a;
    int r;

    luaL_checktype(L, 2, LUA_TTABLE);
    c.prefix = xk_lua_ip_field(L, 2, "prefix", 1);
    c.seconds = (uint32_t)xk_lua_field(L, 2, "seconds", 0, UINT32_MAX);
    c.router = (uint16_t)xk_lua_field(L, 2, "router", 0, 65535);
    c.mtu = (uint16_t)xk_lua_field(L, 2, "mtu", 0, 65535);
    c.dns_count = (uint8_t)xk_lua_ip_list(L, 2, "dns", c.dns, 3);
    for (int i = 0; i < c.dns_count; i++)
        if (xk_ip_is4(c.dns[i]))
            return luaL_error(L, "field 'dns' has an IPv4 address, which DHCP tells");
    r = xk_advertiser_start(NULL, n->o.world->loop, n->s, &c, &a);
    if (r == 0)
        n->advertiser = a;
    return xk_lua_ok(L, r);
}

const luaL_Reg xk_lua_inet_six[] = {
    {"start6", inet_start6},     {"add6", inet_add6}, {"gateway6", inet_gateway6},   {"addresses6", inet_addresses6},
    {"routers6", inet_routers6}, {"dns6", inet_dns6}, {"advertise", inet_advertise}, {NULL, NULL}};
