/* bindings/store_service.h - the store's service, a part of xenkit.core.store. SPDX-License-Identifier: MIT */
#ifndef XK_BINDINGS_STORE_SERVICE_H
#define XK_BINDINGS_STORE_SERVICE_H

#include "bindings/xk_lua.h"

int xk_lua_store_service(lua_State *L); /* service (world) */
void xk_lua_store_service_type(lua_State *L);

#endif
