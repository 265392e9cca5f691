/* bindings/net.h - a network device, for bindings whose objects use it. SPDX-License-Identifier: MIT */
#ifndef XK_BINDINGS_NET_H
#define XK_BINDINGS_NET_H

#include <stdio.h>

#include <xenkit/netdev.h>
#include <xenkit/vif.h>

#include "bindings/world.h"

/* A device has one user, which is shut before it is closed. */
struct xk_lua_net_user {
    struct xk_lua_object *object;
    struct xk_lua_net_user **link;
};

/* xk_lua_net_use (L, arg, user, object) - the device at (arg) of xenkit.core.net, open, or raises; also when it is used
 * already. xk_lua_net_unuse - before (object) is freed. */
struct xk_netdev *xk_lua_net_use(lua_State *L, int arg, struct xk_lua_net_user *user, struct xk_lua_object *object);
void xk_lua_net_unuse(struct xk_lua_net_user *user);

/* xk_lua_net_hash (L, arg, platform, h) - the field `hash` of the options at (arg), which is the top of the stack, or
 * raises; algorithm XK_NET_HASH_NONE: there is none. */
void xk_lua_net_hash(lua_State *L, int arg, struct xk_platform *platform, struct xk_net_hash *h);

/* xk_lua_push_mac (L, mac) - as "00:16:3e:00:00:01". */
static inline void xk_lua_push_mac(lua_State *L, const uint8_t mac[6])
{
    char text[18];

    snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    lua_pushstring(L, text);
}

#endif
