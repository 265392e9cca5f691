/* xenkit.core.vchan - vchans, as streams. SPDX-License-Identifier: MIT */
#include <xenkit/vchan.h>

#include "bindings/stream.h"

int luaopen_xenkit_core_vchan(lua_State *L);

static int attach(lua_State *L, struct xk_lua_stream *s, struct xk_vchan *v, int r)
{
    if (r == 0) {
        s->stream = xk_vchan_stream(v);
        r = xk_vchan_attach(v, s->o.world->loop);
    }
    if (r < 0) {
        xk_lua_shut(&s->o);
        return xk_lua_failf(L, r, "vchan");
    }
    return 1;
}

/* listen (world, peer, left, right) - a stream, its ring reference and its event channel. */
static int do_listen(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    xk_domid peer = (xk_domid)xk_lua_integer(L, 2, 0, 0x7ff0);
    size_t left = (size_t)luaL_optinteger(L, 3, 4096), right = (size_t)luaL_optinteger(L, 4, 4096);
    struct xk_lua_stream *s = xk_lua_push_stream(L, 1);
    struct xk_vchan *v = NULL;
    int r = xk_vchan_listen(NULL, w->platform, peer, left, right, &v), n = attach(L, s, v, r);

    if (n != 1)
        return n;
    lua_pushinteger(L, xk_vchan_ring_ref(v));
    lua_pushinteger(L, xk_vchan_event_channel(v));
    return 3;
}

/* connect (world, peer, ring_ref, event_channel) - a stream. */
static int do_connect(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    xk_domid peer = (xk_domid)xk_lua_integer(L, 2, 0, 0x7ff0);
    xk_gref ref = (xk_gref)xk_lua_integer(L, 3, 0, UINT32_MAX);
    xk_port port = (xk_port)xk_lua_integer(L, 4, 0, INT32_MAX);
    struct xk_lua_stream *s = xk_lua_push_stream(L, 1);
    struct xk_vchan *v = NULL;
    int r = xk_vchan_connect(NULL, w->platform, peer, ref, port, &v);

    return attach(L, s, v, r);
}

static struct xk_vchan *check_vchan(lua_State *L, int arg)
{
    struct xk_vchan *v = xk_vchan_of(xk_lua_check_stream(L, arg)->stream);

    luaL_argcheck(L, v != NULL, arg, "a stream that is a vchan");
    return v;
}

/* state (stream) - "waiting", "open", "closed", "broken". */
static int do_state(lua_State *L)
{
    static const char *const names[] = {"waiting", "open", "closed", "broken"};
    lua_pushstring(L, names[xk_vchan_state(check_vchan(L, 1))]);
    return 1;
}

static int do_stats(lua_State *L)
{
    struct xk_vchan_stats st;

    xk_vchan_get_stats(check_vchan(L, 1), &st);
    lua_createtable(L, 0, 6);
#define FIELD(name) (lua_pushinteger(L, (lua_Integer)st.name), lua_setfield(L, -2, #name))
    FIELD(bytes_in);
    FIELD(bytes_out);
    FIELD(notifies_sent);
    FIELD(events);
    FIELD(ring_in);
    FIELD(ring_out);
#undef FIELD
    return 1;
}

/* send (stream, data) - all of it or nothing. */
static int do_send(lua_State *L)
{
    struct xk_vchan *v = check_vchan(L, 1);
    size_t n;
    const char *data = luaL_checklstring(L, 2, &n);

    return xk_lua_result(L, n == 0 ? 0 : xk_vchan_send(v, data, n));
}

/* recv (stream, n) - exactly so many bytes; nil, "end of stream" at the end. */
static int do_recv(lua_State *L)
{
    struct xk_vchan *v = check_vchan(L, 1);
    size_t n = (size_t)xk_lua_integer(L, 2, 1, 1 << 20);
    luaL_Buffer b;
    char *at = luaL_buffinitsize(L, &b, n);
    int r = xk_vchan_recv(v, at, n);

    if (r < 0)
        return xk_lua_fail(L, r);
    if (r == 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "end of stream");
        return 2;
    }
    luaL_pushresultsize(&b, (size_t)r);
    return 1;
}

/* accept, drain (stream) - true, or nil, text, "XK_EAGAIN": arm "r", "w". bound, set_gone (stream) - as in vchan.h. */
static int do_accept(lua_State *L) { return xk_lua_ok(L, xk_vchan_accept(check_vchan(L, 1))); }
static int do_drain(lua_State *L) { return xk_lua_ok(L, xk_vchan_drain(check_vchan(L, 1))); }

static int do_bound(lua_State *L) { return xk_lua_result(L, xk_vchan_bound(check_vchan(L, 1))); }

static int do_set_gone(lua_State *L)
{
    xk_vchan_set_gone(check_vchan(L, 1));
    return 0;
}

int luaopen_xenkit_core_vchan(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"listen", do_listen}, {"connect", do_connect},   {"state", do_state},   {"stats", do_stats},
        {"send", do_send},     {"recv", do_recv},         {"accept", do_accept}, {"drain", do_drain},
        {"bound", do_bound},   {"set_gone", do_set_gone}, {NULL, NULL}};

    luaL_newlib(L, functions);
    return 1;
}
