/* bindings/fat.h - what other bindings do with a file system of xenkit.core.fat. SPDX-License-Identifier: MIT */
#ifndef XK_BINDINGS_FAT_H
#define XK_BINDINGS_FAT_H

#include <xenkit/fat.h>

#include "bindings/xk_lua.h"

/* The file system at (at) of the stack; raises where it is none, or closed. */
struct xk_fat *xk_lua_fat(lua_State *L, int at);

#endif
