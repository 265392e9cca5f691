/* bindings/inet.h - a stack, for the files that make up xenkit.core.inet. SPDX-License-Identifier: MIT */
#ifndef XK_BINDINGS_INET_H
#define XK_BINDINGS_INET_H

#include <xenkit/dhcp.h>
#include <xenkit/inet6.h>

#include "bindings/net.h"

#define XK_LUA_INET "xenkit.inet"

struct xk_lua_inet_child { /* what hangs on a stack, and is shut before it */
    struct xk_lua_object *object;
    struct xk_lua_inet_child *next, **link;
};

struct xk_lua_inet {
    struct xk_lua_object o;
    struct xk_lua_net_user user;
    struct xk_inet *s;
    struct xk_lua_inet_child *children;
    struct xk_dhcp_client *client;
    struct xk_dhcp_server *server;
    struct xk_advertiser *advertiser;
    struct xk_dhcp_lease lease;
    int leased;
    lua_Integer id, id6; /* who waits for a lease, for another IPv6 address */
};

struct xk_lua_inet *xk_lua_check_inet(lua_State *L, int arg);

/* (object) is shut with the stack, unless it leaves before. */
void xk_lua_inet_join(struct xk_lua_inet_child *c, struct xk_lua_inet *n, struct xk_lua_object *object);
void xk_lua_inet_leave(struct xk_lua_inet_child *c);

/* Addresses, as text in Lua. check - of either version, or raises; field - of a table: none if it is not there and need
 * not be, else raises. */
void xk_lua_push_ip(lua_State *L, struct xk_ip ip);
struct xk_ip xk_lua_check_ip(lua_State *L, int arg);
xk_ip4 xk_lua_check_ip4(lua_State *L, int arg);
struct xk_ip xk_lua_ip_field(lua_State *L, int arg, const char *name, int must);

/* Up to (most) addresses of the list in field (name) of the table at (arg). */
int xk_lua_ip_list(lua_State *L, int arg, const char *name, struct xk_ip *out, int most);

/* Methods of a stack, ended by {NULL, NULL}. */
extern const luaL_Reg xk_lua_inet_dhcp[], xk_lua_inet_six[];

#endif
