/* xenkit.core.stream - byte streams, whoever carries them; and acceptors. Methods do not wait: "again" is answered and
 * arm asks to be told. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/socket.h>

#include "bindings/stream.h"

int luaopen_xenkit_core_stream(lua_State *L);

enum { READ_STACK = 16384, READ_MAX = 1 << 20, PACKET_MAX = 1024 };

static void on_waiter(struct xk_waiter *w)
{
    struct xk_lua_waiter *m = (struct xk_lua_waiter *)(void *)w;
    lua_Integer id = m->id;

    m->id = 0;
    xk_lua_note(m->stream->o.world, id);
}

static void stream_shut(struct xk_lua_object *o)
{
    struct xk_lua_stream *s = (struct xk_lua_stream *)o;

    xk_waiter_cancel(&s->reader.w);
    xk_waiter_cancel(&s->writer.w);
    xk_lua_note(o->world, s->reader.id); /* whoever waits finds it closed */
    xk_lua_note(o->world, s->writer.id);
    s->reader.id = s->writer.id = 0;
    xk_stream_close(s->stream);
    s->stream = NULL;
}

struct xk_lua_stream *xk_lua_push_stream(lua_State *L, int world_arg)
{
    struct xk_lua_stream *s;

    world_arg = lua_absindex(L, world_arg);
    xk_lua_check_world(L, world_arg);
    s = xk_lua_new(L, XK_LUA_STREAM, sizeof(*s), 2);
    s->reader.w.fn = s->writer.w.fn = on_waiter;
    s->reader.stream = s->writer.stream = s;
    xk_lua_adopt(L, &s->o, world_arg, stream_shut);
    return s;
}

struct xk_lua_stream *xk_lua_check_stream(lua_State *L, int arg)
{
    return xk_lua_check_object(L, arg, XK_LUA_STREAM, "stream");
}

/* read (n) - some bytes, up to (n); nil, "end of stream", nil at the end; nil, text, "XK_EAGAIN"; nil, text, name. */
static int stream_read(lua_State *L)
{
    struct xk_lua_stream *s = xk_lua_check_stream(L, 1);
    size_t n = (size_t)(lua_isnoneornil(L, 2) ? READ_STACK : xk_lua_integer(L, 2, 1, READ_MAX));
    char small[READ_STACK];
    int r;

    if (n > sizeof(small))
        n = sizeof(small);
    r = xk_stream_read(s->stream, small, n);
    if (r > 0) {
        lua_pushlstring(L, small, (size_t)r);
        return 1;
    }
    if (r == 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "end of stream");
        return 2;
    }
    return xk_lua_fail(L, r);
}

/* write (data, from) - how many bytes were taken, from byte (from) on (1 is the first). */
static int stream_write(lua_State *L)
{
    struct xk_lua_stream *s = xk_lua_check_stream(L, 1);
    size_t n, from;
    const char *p = luaL_checklstring(L, 2, &n);

    from = (size_t)(lua_isnoneornil(L, 3) ? 0 : xk_lua_integer(L, 3, 1, (lua_Integer)n + 1) - 1);
    if (from == n) {
        lua_pushinteger(L, 0);
        return 1;
    }
    return xk_lua_result(L, xk_stream_write(s->stream, p + from, n - from));
}

/* arm ("r" or "w", id) - (id) comes true when trying again makes sense. One waiter each. */
static int stream_arm(lua_State *L)
{
    static const char *const what[] = {"r", "w", NULL};
    struct xk_lua_stream *s = xk_lua_check_stream(L, 1);
    int write = luaL_checkoption(L, 2, NULL, what);
    struct xk_lua_waiter *w = write ? &s->writer : &s->reader;

    if (w->id)
        return luaL_error(L, "two tasks wait for the same end of a stream");
    w->id = luaL_checkinteger(L, 3);
    xk_stream_arm(s->stream, write ? XK_WRITABLE : XK_READABLE, &w->w);
    return 0;
}

static int stream_disarm(lua_State *L)
{
    struct xk_lua_stream *s = xk_lua_check_stream(L, 1);
    struct xk_lua_waiter *w = luaL_checkstring(L, 2)[0] == 'w' ? &s->writer : &s->reader;

    w->id = 0;
    xk_waiter_cancel(&w->w);
    return 0;
}

static int stream_shutdown(lua_State *L) { return xk_lua_ok(L, xk_stream_shutdown(xk_lua_check_stream(L, 1)->stream)); }

static int stream_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, XK_LUA_STREAM));
    return 0;
}

static int stream_closed(lua_State *L)
{
    lua_pushboolean(L, ((struct xk_lua_object *)luaL_checkudata(L, 1, XK_LUA_STREAM))->world == NULL);
    return 1;
}

/* from_handle (world, handle) - a stream over a descriptor, which belongs to it from now on. */
static int from_handle(lua_State *L)
{
    int handle = (int)xk_lua_integer(L, 2, 0, INT32_MAX), r;
    struct xk_lua_stream *s = xk_lua_push_stream(L, 1);

    r = xk_socket_stream(NULL, s->o.world->loop, handle, &s->stream);
    if (r < 0) {
        xk_lua_shut(&s->o);
        return xk_lua_fail(L, r);
    }
    return 1;
}

/* --- acceptors --- */

struct acceptor {
    struct xk_lua_object o;
    struct xk_acceptor a;
    int handle, ready;
    lua_Integer id;
};
#define ACCEPTOR "xenkit.acceptor"

static void on_acceptor(struct xk_acceptor *a)
{
    struct acceptor *m = (struct acceptor *)(void *)((char *)a - offsetof(struct acceptor, a));

    xk_acceptor_stop(m->o.world->loop, a); /* level-triggered: look again when armed again */
    xk_lua_note(m->o.world, m->id);
    m->id = 0;
}

static void acceptor_shut(struct xk_lua_object *o)
{
    struct acceptor *m = (struct acceptor *)o;

    xk_acceptor_stop(o->world->loop, &m->a);
    xk_lua_note(o->world, m->id);
    m->id = 0;
    xk_handle_close(m->handle);
}

/* acceptor (world, handle) - over a listening or datagram descriptor, which belongs to it from now on. */
static int new_acceptor(lua_State *L)
{
    int handle = (int)xk_lua_integer(L, 2, 0, INT32_MAX);
    struct acceptor *m;

    xk_lua_check_world(L, 1);
    m = xk_lua_new(L, ACCEPTOR, sizeof(*m), 1);
    m->a.fn = on_acceptor;
    m->handle = handle;
    xk_lua_adopt(L, &m->o, 1, acceptor_shut);
    return 1;
}

static int acceptor_accept(lua_State *L)
{
    struct acceptor *m = xk_lua_check_object(L, 1, ACCEPTOR, "acceptor");

    return xk_lua_result(L, xk_handle_accept(m->handle));
}

/* receive () - a packet, and the descriptor that came with it, which is the caller's, or nil; nil, "end of stream". */
static int acceptor_receive(lua_State *L)
{
    struct acceptor *m = xk_lua_check_object(L, 1, ACCEPTOR, "acceptor");
    char text[PACKET_MAX];
    int fd, r = xk_handle_receive(m->handle, text, sizeof(text), &fd);

    if (r < 0)
        return xk_lua_fail(L, r);
    if (r == 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "end of stream");
        return 2;
    }
    lua_pushlstring(L, text, (size_t)r);
    if (fd < 0)
        return 1;
    lua_pushinteger(L, fd);
    return 2;
}

/* send (text) - a packet. */
static int acceptor_send(lua_State *L)
{
    struct acceptor *m = xk_lua_check_object(L, 1, ACCEPTOR, "acceptor");
    size_t n;
    const char *text = luaL_checklstring(L, 2, &n);

    return xk_lua_result(L, xk_handle_write(m->handle, text, n));
}

static int acceptor_arm(lua_State *L)
{
    struct acceptor *m = xk_lua_check_object(L, 1, ACCEPTOR, "acceptor");

    m->id = luaL_checkinteger(L, 2);
    return xk_lua_ok(L, xk_acceptor_start(m->o.world->loop, &m->a, m->handle));
}

static int acceptor_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, ACCEPTOR));
    return 0;
}

static int acceptor_handle(lua_State *L)
{
    lua_pushinteger(L, ((struct acceptor *)xk_lua_check_object(L, 1, ACCEPTOR, "acceptor"))->handle);
    return 1;
}

/* --- descriptors --- */

static int handle_close(lua_State *L)
{
    xk_handle_close((int)luaL_checkinteger(L, 1));
    return 0;
}

static int handle_nodelay(lua_State *L)
{
    xk_handle_nodelay((int)luaL_checkinteger(L, 1));
    return 0;
}

static int handle_peer_name(lua_State *L)
{
    char text[80];

    xk_handle_peer_name((int)luaL_checkinteger(L, 1), text, sizeof(text));
    lua_pushstring(L, text);
    return 1;
}

static const luaL_Reg stream_methods[] = {
    {"read", stream_read},         {"write", stream_write}, {"arm", stream_arm},       {"disarm", stream_disarm},
    {"shutdown", stream_shutdown}, {"close", stream_close}, {"closed", stream_closed}, {NULL, NULL},
};
static const luaL_Reg acceptor_methods[] = {
    {"accept", acceptor_accept},
    {"arm", acceptor_arm},
    {"handle", acceptor_handle},
    {"receive", acceptor_receive},
    {"send", acceptor_send},
    {"close", acceptor_close},
    {NULL, NULL},
};

int luaopen_xenkit_core_stream(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"from_handle", from_handle},       {"acceptor", new_acceptor},        {"handle_close", handle_close},
        {"handle_nodelay", handle_nodelay}, {"handle_peer", handle_peer_name}, {NULL, NULL},
    };

    xk_lua_type(L, XK_LUA_STREAM, stream_methods, stream_close);
    xk_lua_type(L, ACCEPTOR, acceptor_methods, acceptor_close);
    luaL_newlib(L, functions);
    return 1;
}
