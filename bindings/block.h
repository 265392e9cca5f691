/* bindings/block.h - a disk, for bindings whose objects keep something on it. SPDX-License-Identifier: MIT */
#ifndef XK_BINDINGS_BLOCK_H
#define XK_BINDINGS_BLOCK_H

#include <xenkit/blkdev.h>

#include "bindings/world.h"

/* Something that is ended before the disk that it uses is closed: (lost) is called then, and may use the disk a last
 * time. */
struct xk_lua_disk_user {
    void (*lost)(struct xk_lua_disk_user *u);
    struct xk_lua_disk_user *next, **link;
};

/* xk_lua_disk_use (L, arg, user, loop) - the disk at (arg) of xenkit.core.block, open, or raises. Its loop goes to
 * (loop). */
struct xk_blkdev *xk_lua_disk_use(lua_State *L, int arg, struct xk_lua_disk_user *user, struct xk_loop **loop);
void xk_lua_disk_unuse(struct xk_lua_disk_user *user);

/* xk_lua_disk_layer (L, over, arg, what) - pushes what (over) makes of the disk at 1, which is gone for Lua then, or
 * the failure, said of (what). Returns how many values. */
int xk_lua_disk_layer(lua_State *L, int (*over)(void *arg, struct xk_blkdev *below, struct xk_blkdev **out), void *arg,
                      const char *what);

#endif
