/* bindings/block_back.h - what lua_block.c's disks and block_back.c's back ends share. SPDX-License-Identifier: MIT */
#ifndef XK_BINDINGS_BLOCK_BACK_H
#define XK_BINDINGS_BLOCK_BACK_H

#include "bindings/block.h"

struct back;

/* A disk that back ends serve: it is not closed before them. */
struct xk_lua_served {
    struct xk_blkdev *dev;
    int used;
    struct back *backs;
};

/* xk_lua_disk_served (L, arg) - that of the disk at (arg), open, or raises. It lives as long as the disk's object. */
struct xk_lua_served *xk_lua_disk_served(lua_State *L, int arg);

/* xk_lua_disk_counters (L, requests, bytes) - into the table on top: what both halves of a disk count alike. */
void xk_lua_disk_counters(lua_State *L, const uint64_t *requests, const uint64_t *bytes);

int xk_lua_block_back(lua_State *L);
void xk_lua_block_back_type(lua_State *L);

#endif
