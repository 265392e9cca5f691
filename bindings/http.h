/* bindings/http.h - an HTTP connection of Lua, shared by the files that read and answer. SPDX-License-Identifier: MIT
 */
#ifndef XK_BINDINGS_HTTP_H
#define XK_BINDINGS_HTTP_H

#include <xenkit/http.h>

#include "bindings/stream.h"

enum {
    XK_LUA_HTTP_COPY = 16384,  /* longer bodies are sent from Lua's memory */
    XK_LUA_HTTP_HIGH = 65536,  /* no further request is taken while as much waits to go out */
    XK_LUA_HTTP_OUT = 8 << 20, /* one head, chunk or request; what is longer is refused */
};

struct xk_lua_http {
    struct xk_lua_stream *s;       /* user value 1 */
    const struct xk_http_msg *msg; /* at hand */
    struct xk_lua_clock *clock;
    const char *fields; /* for every answer; user value 3 */
    size_t fields_len;
    const char *rest; /* of a body in Lua's memory, user value 2; goes out after (out) */
    size_t rest_len;
    int err; /* why nothing more goes out */
    unsigned lingered;
    uint8_t client, drained, streaming, ended, torn, collecting, open;
    struct xk_buf out, body;
    struct xk_http_writer w;
    struct xk_http_conn http;
};
#define XK_LUA_HTTP "xenkit.http"

/* The date of this second, one a state. */
struct xk_lua_clock {
    int64_t second;
    char text[XK_HTTP_DATE];
};

/* A header block that was checked once: "Name: value\r\n"... */
struct xk_lua_fields {
    size_t n;
    char text[];
};
#define XK_LUA_FIELDS "xenkit.http.fields"

/* The connection at index 1 of a method, or raises: it must be one; be open; have a message at hand. Methods carry the
 * metatable as upvalue 1. */
struct xk_lua_http *xk_lua_http_check(lua_State *L);
struct xk_lua_http *xk_lua_http_check_open(lua_State *L);
struct xk_lua_http *xk_lua_http_check_msg(lua_State *L);

/* nil, text, "XK_EAGAIN", (dir): "r" or "w". */
int xk_lua_http_again(lua_State *L, const char *dir);

static inline size_t xk_lua_http_pending(const struct xk_lua_http *c) { return xk_buf_len(&c->out) + c->rest_len; }

/* Lets out what waits. 0, XK_EAGAIN, or why the connection is of no more use. The connection is at index 1. */
int xk_lua_http_flush(lua_State *L, struct xk_lua_http *c);

void xk_lua_http_free(struct xk_lua_http *c);

/* The fields at (arg) - nil, a table, or checked ones - go to (w). Returns the name of one that is refused. */
const char *xk_lua_http_put_fields(lua_State *L, struct xk_http_writer *w, int arg);

/* A string argument, or an empty one. */
static inline struct xk_http_str xk_lua_http_str(lua_State *L, int arg)
{
    struct xk_http_str s = {NULL, 0};

    if (!lua_isnoneornil(L, arg))
        s.p = luaL_checklstring(L, arg, &s.n);
    return s;
}

/* What answers: methods of a connection, and functions of the module. */
extern const luaL_Reg xk_lua_http_answers[];
extern const luaL_Reg xk_lua_http_makers[];
extern const luaL_Reg xk_lua_http_util[];
void xk_lua_http_resource_types(lua_State *L);

#endif
