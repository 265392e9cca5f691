/* bindings/stream.h - the stream userdata, for every binding that makes one. SPDX-License-Identifier: MIT */
#ifndef XK_BINDINGS_STREAM_H
#define XK_BINDINGS_STREAM_H

#include <xenkit/stream.h>

#include "bindings/world.h"

#define XK_LUA_STREAM "xenkit.stream"

struct xk_lua_stream {
    struct xk_lua_object o;
    struct xk_stream *stream;
    struct xk_lua_waiter {
        struct xk_waiter w;
        struct xk_lua_stream *stream;
        lua_Integer id;
    } reader, writer;
};

/* xk_lua_push_stream (L, world_arg) - an open userdata without a stream yet: the caller sets ->stream next, without
 * raising in between, or shuts it. */
struct xk_lua_stream *xk_lua_push_stream(lua_State *L, int world_arg);

/* xk_lua_check_stream (L, arg) */
struct xk_lua_stream *xk_lua_check_stream(lua_State *L, int arg);

#endif
