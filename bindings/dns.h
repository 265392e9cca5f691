/* bindings/dns.h - the part of xenkit.core.dns that needs no server. SPDX-License-Identifier: MIT */
#ifndef XK_BINDINGS_DNS_H
#define XK_BINDINGS_DNS_H

#include "bindings/xk_lua.h"

/* xk_lua_dns_type (L, index) - the number of the type at (index), a number or a name; less than 0: it is none. */
int xk_lua_dns_type(lua_State *L, int index);

int xk_lua_dns_query(lua_State *L);
int xk_lua_dns_decode(lua_State *L);

#endif
