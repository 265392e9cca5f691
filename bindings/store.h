/* bindings/store.h - the store's client, for bindings whose objects use it. SPDX-License-Identifier: MIT */
#ifndef XK_BINDINGS_STORE_H
#define XK_BINDINGS_STORE_H

#include <xenkit/store.h>

#include "bindings/world.h"

/* Something that is closed with the client that it uses. */
struct xk_lua_store_user {
    struct xk_lua_object *object;
    struct xk_lua_store_user *next, **link;
};

/* xk_lua_store_use (L, arg, user, object) - the client at (arg), open, or raises. (object) is shut when the client is;
 * xk_lua_store_unuse before it is freed. */
struct xk_store *xk_lua_store_use(lua_State *L, int arg, struct xk_lua_store_user *user, struct xk_lua_object *object);
void xk_lua_store_unuse(struct xk_lua_store_user *user);

#endif
