/* bindings/image.h - a chain of descriptors as a device. SPDX-License-Identifier: MIT */
#ifndef XK_BINDINGS_IMAGE_H
#define XK_BINDINGS_IMAGE_H

#include <lua.h>

#include <xenkit/blkdev.h>

/* The VHD whose files are the descriptors in the table at (arg), which belong to it from now on. May raise before
 * that. */
int xk_lua_open_vhd(lua_State *L, int arg, unsigned features, struct xk_blkdev **out);

#endif
