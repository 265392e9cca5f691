/*** DHCP of xenkit.core.inet.
 * @module xenkit.core.inet
 *
 * SPDX-License-Identifier: MIT */
#include "bindings/inet.h"

static void on_lease(void *arg, const struct xk_dhcp_lease *lease)
{
    struct xk_lua_inet *n = arg;

    n->leased = lease != NULL;
    if (lease)
        n->lease = *lease;
    xk_lua_note(n->o.world, n->id);
    n->id = 0;
}

/*** Asks a server for an address, and keeps it renewed.
 * @function dhcp
 * @tparam[opt] string hostname */
static int inet_dhcp(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    const char *hostname = luaL_optstring(L, 2, NULL);
    int r;

    if (n->client)
        return xk_lua_fail(L, XK_EBUSY);
    r = xk_dhcp_client_start(NULL, n->o.world->loop, n->s, hostname, on_lease, n, &n->client);
    if (r < 0)
        n->client = NULL;
    return xk_lua_ok(L, r);
}

/*** What the server gave: {address, prefix, router, server, dns (a list), mtu, domain, seconds}; nil: nothing so far,
 * and number (id) is noted when that changes.
 * @function lease
 * @tparam[opt=0] integer id */
static int inet_lease(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    const struct xk_dhcp_lease *l = &n->lease;

    n->id = luaL_optinteger(L, 2, 0);
    if (!n->leased)
        return 0;
    lua_newtable(L);
    xk_lua_push_ip(L, xk_ip_of4(l->address));
    lua_setfield(L, -2, "address");
    xk_lua_set_integer(L, "prefix", l->prefix);
    if (l->router) {
        xk_lua_push_ip(L, xk_ip_of4(l->router));
        lua_setfield(L, -2, "router");
    }
    xk_lua_push_ip(L, xk_ip_of4(l->server));
    lua_setfield(L, -2, "server");
    lua_newtable(L);
    for (int i = 0; i < l->dns_count; i++) {
        xk_lua_push_ip(L, xk_ip_of4(l->dns[i]));
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "dns");
    if (l->mtu)
        xk_lua_set_integer(L, "mtu", l->mtu);
    if (l->domain[0]) {
        lua_pushstring(L, l->domain);
        lua_setfield(L, -2, "domain");
    }
    xk_lua_set_integer(L, "seconds", l->seconds);
    return 1;
}

/* An IPv4 address of a table. */
static xk_ip4 four_field(lua_State *L, int arg, const char *name, int must)
{
    struct xk_ip ip = xk_lua_ip_field(L, arg, name, must);

    if (!xk_ip_is4(ip) && !xk_ip_is_none(ip))
        luaL_error(L, "field '%s' is no IPv4 address", name);
    return xk_ip_to4(ip);
}

/*** Gives addresses to others.
 * @function dhcp_server
 * @tparam table config first, last; and if wanted seconds, router, dns (a list of up to three), mtu, domain */
static int inet_dhcp_server(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    struct xk_dhcp_server_config c = {0};
    struct xk_ip dns[3];
    int r, dns_count;

    luaL_checktype(L, 2, LUA_TTABLE);
    c.first = four_field(L, 2, "first", 1);
    c.last = four_field(L, 2, "last", 1);
    c.router = four_field(L, 2, "router", 0);
    c.seconds = (uint32_t)xk_lua_field(L, 2, "seconds", 0, UINT32_MAX);
    c.mtu = (uint16_t)xk_lua_field(L, 2, "mtu", 0, 65535);
    dns_count = xk_lua_ip_list(L, 2, "dns", dns, 3);
    for (int i = 0; i < dns_count; i++)
        if (xk_ip_is4(dns[i])) /* others are advertised by other means */
            c.dns[c.dns_count++] = xk_ip_to4(dns[i]);
    lua_getfield(L, 2, "domain");
    c.domain = lua_tostring(L, -1); /* on the stack until it is copied */
    if (n->server)
        return xk_lua_fail(L, XK_EBUSY);
    r = xk_dhcp_server_start(NULL, n->o.world->loop, n->s, &c, &n->server);
    if (r < 0)
        n->server = NULL;
    return xk_lua_ok(L, r);
}

/*** The addresses that the server gave: a list of {address, mac, seconds, name}.
 * @function leases */
static int inet_leases(lua_State *L)
{
    struct xk_lua_inet *n = xk_lua_check_inet(L, 1);
    struct xk_dhcp_binding b;

    lua_newtable(L);
    for (unsigned i = 0; n->server && xk_dhcp_server_binding(n->server, i, &b) == 0; i++) {
        lua_newtable(L);
        xk_lua_push_ip(L, xk_ip_of4(b.address));
        lua_setfield(L, -2, "address");
        xk_lua_push_mac(L, b.mac);
        lua_setfield(L, -2, "mac");
        xk_lua_set_integer(L, "seconds", b.seconds);
        if (b.name[0]) {
            lua_pushstring(L, b.name);
            lua_setfield(L, -2, "name");
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

const luaL_Reg xk_lua_inet_dhcp[] = {{"dhcp", inet_dhcp},
                                     {"lease", inet_lease},
                                     {"leases", inet_leases},
                                     {"dhcp_server", inet_dhcp_server},
                                     {NULL, NULL}};
