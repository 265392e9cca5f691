/* bindings/xenbus.h - for bindings of front ends: what they do before a domain is saved, and after.
 * SPDX-License-Identifier: MIT */
#ifndef XK_BINDINGS_XENBUS_H
#define XK_BINDINGS_XENBUS_H

#include <xenkit/xenbus.h>

#include "bindings/store.h"

/* xk_lua_bus_suspend (user, bus) - (user)'s client is not used any more. xk_lua_bus_resume (L, user, object, bus) -
 * with the client at 2, which the object at 1 keeps as its second user value: true; nil, message, code. */
void xk_lua_bus_suspend(struct xk_lua_store_user *user, struct xk_xenbus *bus);
int xk_lua_bus_resume(lua_State *L, struct xk_lua_store_user *user, struct xk_lua_object *object,
                      struct xk_xenbus *bus);

#endif
