/* xenkit.core.http - HTTP/1.1 connections over streams, and what is needed to answer by the rules.
 *
 * A connection is one userdata that is also the request (at a client: the response) at hand, so that a request costs no
 * object of Lua but the strings that somebody asks for. Nothing waits: nil, text, "XK_EAGAIN", "r" or "w" says what to
 * arm before the same call is made again. Answers never need that: what the peer does not take at once is kept, and
 * `next` sees to it before it hands out another request. So a connection holds at most one body and XK_LUA_HTTP_HIGH
 * bytes.
 *
 * While more requests are buffered, answers are gathered and go out together. Whoever gets a count other than 0 from
 * `respond` and then does something else than `next` calls `flush`.
 *
 * The table `methods` is open: lua/xenkit/http adds what is written in Lua. Answers are in http_answer.c, the small
 * functions in http_util.c. SPDX-License-Identifier: MIT */
#include <string.h>

#include "bindings/http.h"

int luaopen_xenkit_core_http(lua_State *L);

enum {
    HEAD_READ = 8192,    /* below every bound of xk_http_conn, so that all of it can be fed */
    BODY_READ = 32768,   /* what is asked for where a body or the rest of a head is awaited */
    OUT_KEEP = 2048,     /* of an output buffer, between requests */
    LINGER_MAX = 1 << 20 /* read over after the last answer, so that no reset destroys it */
};

/* --- the connection --- */

/* All methods carry the metatable as upvalue 1. */
struct xk_lua_http *xk_lua_http_check(lua_State *L)
{
    struct xk_lua_http *c = lua_touserdata(L, 1);

    if (!c || !lua_getmetatable(L, 1) || !lua_rawequal(L, -1, lua_upvalueindex(1)))
        luaL_typeerror(L, 1, XK_LUA_HTTP);
    lua_pop(L, 1);
    return c;
}

struct xk_lua_http *xk_lua_http_check_open(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check(L);

    if (!c->open || !c->s->o.world)
        luaL_error(L, "attempt to use a closed HTTP connection");
    return c;
}

struct xk_lua_http *xk_lua_http_check_msg(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check(L);

    if (!c->msg || !c->open)
        luaL_error(L, "this request is answered already: keep what is needed of it before");
    return c;
}

int xk_lua_http_again(lua_State *L, const char *dir)
{
    lua_pushnil(L);
    lua_pushliteral(L, "not now");
    lua_pushliteral(L, "XK_EAGAIN");
    lua_pushstring(L, dir);
    return 4;
}

void xk_lua_http_free(struct xk_lua_http *c)
{
    xk_http_conn_fini(&c->http);
    xk_buf_fini(&c->out);
    xk_buf_fini(&c->body);
    c->rest_len = 0;
    c->msg = NULL;
    c->open = c->collecting = c->streaming = 0;
}

static int conn_close(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check(L);

    if (!c->open)
        return 0;
    if (!c->s) { /* a scratch one */
        xk_lua_http_free(c);
        return 0;
    }
    xk_lua_http_free(c);
    xk_lua_shut(&c->s->o);
    lua_settop(L, 1);
    for (int i = 2; i <= 3; i++) {
        lua_pushnil(L);
        lua_setiuservalue(L, 1, i);
    }
    return 0;
}

static int conn_closed(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check(L);

    lua_pushboolean(L, !c->open || !c->s->o.world);
    return 1;
}

static int new_conn(lua_State *L, int client)
{
    struct xk_http_limits limits = xk_http_limits_default;
    struct xk_lua_stream *s = xk_lua_check_stream(L, 1);
    const struct xk_lua_fields *f = lua_isnoneornil(L, 2) ? NULL : luaL_checkudata(L, 2, XK_LUA_FIELDS);
    struct xk_lua_http *c;

    if (!lua_isnoneornil(L, 3))
        limits.body = (uint64_t)xk_lua_integer(L, 3, 0, (lua_Integer)1 << 40);
    lua_settop(L, 2);
    c = xk_lua_new(L, XK_LUA_HTTP, sizeof(*c), 3);
    c->s = s;
    c->client = (uint8_t)client;
    c->clock = lua_touserdata(L, lua_upvalueindex(1));
    if (client)
        xk_http_conn_init_client(&c->http, NULL, &limits, NULL);
    else
        xk_http_conn_init(&c->http, NULL, &limits, NULL);
    xk_buf_init(&c->out, NULL, XK_LUA_HTTP_OUT);
    xk_buf_init(&c->body, NULL, 0);
    if (f) {
        c->fields = f->text;
        c->fields_len = f->n;
    }
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 3);
    c->open = 1;
    return 1;
}

/* server (stream, fields, body limit) - takes the stream. (fields), of http.fields, go with every answer. */
static int new_server(lua_State *L) { return new_conn(L, 0); }
static int new_client(lua_State *L) { return new_conn(L, 1); }

/* arm ("r" or "w", id) - (id) comes true when trying again makes sense, or when the connection is closed. */
static int conn_arm(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_open(L);
    int write = luaL_checkstring(L, 2)[0] == 'w';
    struct xk_lua_waiter *w = write ? &c->s->writer : &c->s->reader;

    if (w->id)
        return luaL_error(L, "two tasks wait for the same end of a connection");
    w->id = luaL_checkinteger(L, 3);
    if (!write)
        c->drained = 0;
    xk_stream_arm(c->s->stream, write ? XK_WRITABLE : XK_READABLE, &w->w);
    return 0;
}

static int conn_disarm(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check(L);

    if (!c->open || !c->s->o.world)
        return 0;
    c->s->reader.id = c->s->writer.id = 0;
    xk_waiter_cancel(&c->s->reader.w);
    xk_waiter_cancel(&c->s->writer.w);
    return 0;
}

/* --- in and out --- */

/* Lets out what waits. 0, XK_EAGAIN, or why the connection is of no more use. The connection is at index 1. */
int xk_lua_http_flush(lua_State *L, struct xk_lua_http *c)
{
    int r;

    if (c->err)
        return c->err;
    while (xk_lua_http_pending(c)) {
        size_t n = xk_buf_len(&c->out);
        r = xk_stream_write(c->s->stream, n ? (const char *)xk_buf_head(&c->out) : c->rest, n ? n : c->rest_len);
        if (r < 0) {
            c->err = r == XK_EAGAIN ? 0 : r;
            return r;
        }
        if (n) {
            xk_buf_take(&c->out, (size_t)r);
        } else {
            c->rest += r;
            c->rest_len -= (size_t)r;
        }
    }
    if (c->out.cap > OUT_KEEP)
        xk_buf_fini(&c->out);
    if (c->rest) {
        c->rest = NULL;
        lua_pushnil(L);
        lua_setiuservalue(L, 1, 2);
    }
    return 0;
}

/* Reads once: 0 when something came or the end was noted, XK_EAGAIN, or the failure. After a read that left room
 * nothing more can be there, which saves the call that would say so. */
static int fill(struct xk_lua_http *c)
{
    char head[HEAD_READ];
    uint8_t *p = (uint8_t *)head;
    int n = HEAD_READ, r, direct;

    if (c->drained)
        return XK_EAGAIN;
    direct = !xk_http_conn_idle(&c->http);
    if (direct)
        n = xk_http_conn_space(&c->http, BODY_READ, &p);
    if (n < 0)
        return n;
    r = xk_stream_read(c->s->stream, p, (size_t)n);
    if (r == XK_EAGAIN)
        c->drained = 1;
    if (r < 0)
        return r;
    if (r == 0) {
        c->torn = xk_http_conn_eof(&c->http, NULL) < 0;
        return 0;
    }
    c->drained = r < n;
    if (direct)
        xk_http_conn_wrote(&c->http, (size_t)r);
    else if (xk_http_conn_feed(&c->http, head, (size_t)r) != r)
        return XK_ENOMEM;
    return 0;
}

static int refusal(lua_State *L, struct xk_lua_http *c, const struct xk_diag *d)
{
    xk_lua_diag(L, d, c->client ? "response" : "request");
    lua_pushinteger(L, c->http.status);
    return 4;
}

/* No more messages come: nil, when all is out. */
static int ended(lua_State *L, struct xk_lua_http *c)
{
    int r = xk_lua_http_flush(L, c);

    if (r == XK_EAGAIN)
        return xk_lua_http_again(L, "w");
    if (r < 0)
        return xk_lua_fail(L, r);
    if (c->torn)
        return xk_lua_fail(L, XK_ECONNRESET);
    lua_pushnil(L);
    return 1;
}

/* next () - the connection itself when a whole head has come; nil at the end; nil, text, "XK_EPROTO", status for a
 * request to be refused; nil, text, "XK_EAGAIN", "r" or "w", and true after "r" when a part of a head is here. */
static int conn_next(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_open(L);
    struct xk_diag d;
    int r;

    lua_settop(L, 1);
    d.err = 0;
    if (c->msg && !c->client)
        return luaL_error(L, "the request at hand was not answered");
    if (c->msg) {
        xk_http_conn_done(&c->http);
        c->msg = NULL;
    }
    for (;;) {
        if (c->ended)
            return ended(L, c);
        r = c->rest_len || xk_buf_len(&c->out) > XK_LUA_HTTP_HIGH ? xk_lua_http_flush(L, c) : 0;
        if (r == 0)
            r = xk_http_conn_next(&c->http, &c->msg, &d);
        else if (r == XK_EAGAIN)
            return xk_lua_http_again(L, "w");
        if (r == 1)
            return 1; /* itself */
        c->msg = NULL;
        if (r == XK_ECLOSED)
            return ended(L, c);
        if (r == XK_EPROTO)
            return refusal(L, c, &d);
        if (r == XK_EAGAIN && xk_lua_http_pending(c)) {
            r = xk_lua_http_flush(L, c);
            if (r == XK_EAGAIN)
                return xk_lua_http_again(L, "w");
        }
        if (r == 0 || r == XK_EAGAIN)
            r = fill(c);
        if (r == XK_EAGAIN) {
            xk_lua_http_again(L, "r");
            lua_pushboolean(L, !xk_http_conn_idle(&c->http));
            return 5;
        }
        if (r < 0)
            return xk_lua_fail(L, r);
    }
}

/* body (max) - the whole body of the message at hand, at most (max) bytes, when it has come; nil, text, "XK_EPROTO",
 * status; or as next. */
static int conn_body(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_msg(L);
    size_t max = (size_t)(lua_isnoneornil(L, 2) ? 1 << 20 : xk_lua_integer(L, 2, 0, (lua_Integer)1 << 40));
    struct xk_diag d = {0};
    int r;

    lua_settop(L, 1);
    if (!c->collecting) {
        xk_buf_fini(&c->body);
        xk_buf_init(&c->body, NULL, max);
        c->collecting = 1;
    }
    for (;;) {
        r = xk_http_conn_collect(&c->http, &c->body, &d);
        if (r == 0)
            break;
        if (r == XK_EPROTO)
            return refusal(L, c, &d);
        if (r != XK_EAGAIN)
            return xk_lua_fail(L, r);
        r = xk_http_conn_continue(&c->http, &c->out);
        if (r == 0)
            r = xk_lua_http_flush(L, c);
        if (r == XK_EAGAIN)
            return xk_lua_http_again(L, "w");
        if (r == 0)
            r = fill(c);
        if (r == XK_EAGAIN)
            return xk_lua_http_again(L, "r");
        if (r < 0)
            return xk_lua_fail(L, r);
    }
    lua_pushlstring(L, c->body.data ? (const char *)xk_buf_head(&c->body) : "", xk_buf_len(&c->body));
    xk_buf_fini(&c->body);
    c->collecting = 0;
    return 1;
}

/* flush () - true when nothing waits any more. */
static int conn_flush(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_open(L);
    int r = xk_lua_http_flush(L, c);

    lua_settop(L, 1);
    return r == XK_EAGAIN ? xk_lua_http_again(L, "w") : xk_lua_ok(L, r);
}

/* last () - the answer to come says that the connection ends with it. */
static int conn_last(lua_State *L)
{
    xk_http_conn_last(&xk_lua_http_check_open(L)->http);
    return 0;
}

/* linger () - after the last answer: no more is sent; reads over what the peer was still sending. true at its end. */
static int conn_linger(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_open(L);
    char sink[16384];
    int r;

    if (!c->lingered)
        (void)!xk_stream_shutdown(c->s->stream);
    c->lingered++;
    for (; c->lingered < LINGER_MAX / sizeof(sink); c->lingered++) {
        r = xk_stream_read(c->s->stream, sink, sizeof(sink));
        if (r == XK_EAGAIN)
            return xk_lua_http_again(L, "r");
        if (r <= 0)
            break;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* trim () - frees what an idle connection does not need. */
static int conn_trim(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_open(L);

    xk_http_conn_trim(&c->http);
    if (!xk_lua_http_pending(c))
        xk_buf_fini(&c->out);
    return 0;
}

/* request (method, target, host, body, fields) - composes and sends. Returns how many bytes wait. */
static int conn_request(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_open(L);
    const char *name = luaL_checkstring(L, 2), *target = luaL_checkstring(L, 3), *host = luaL_checkstring(L, 4), *bad;
    size_t n = 0;
    const char *body = luaL_optlstring(L, 5, NULL, &n);
    unsigned m = 0;
    int r;

    lua_settop(L, 6);
    if (!c->client)
        return luaL_error(L, "a server does not ask");
    while (m < XK_HTTP_METHODS && strcmp(xk_http_method_name((enum xk_http_method)m), name) != 0)
        m++;
    xk_http_begin_request(&c->w, &c->out, (enum xk_http_method)m, target, host, body ? XK_HTTP_LENGTH : XK_HTTP_NO_BODY,
                          n);
    bad = xk_lua_http_put_fields(L, &c->w, 6);
    r = xk_http_end(&c->w);
    if (r == 0)
        r = xk_http_put_body(&c->w, body, n);
    if (r < 0)
        return luaL_error(L, "request: %s%s%s", bad ? bad : "", bad ? ": " : "", xk_err_text(r));
    xk_http_conn_expect(&c->http, m == XK_HTTP_HEAD);
    r = xk_lua_http_flush(L, c);
    if (r < 0 && r != XK_EAGAIN)
        return xk_lua_fail(L, r);
    lua_pushinteger(L, (lua_Integer)xk_lua_http_pending(c));
    return 1;
}

/* --- the message at hand --- */

enum field { METHOD = 1, PATH, QUERY, TARGET, HOST, VERSION, STATUS, KEEP_ALIVE, LENGTH, CHUNKED };

static int push_str(lua_State *L, struct xk_http_str s)
{
    lua_pushlstring(L, s.p ? s.p : "", s.n);
    return 1;
}

static int push_field(lua_State *L, const struct xk_http_msg *m, lua_Integer field)
{
    switch (field) {
    case METHOD:
        lua_pushstring(L, xk_http_method_name((enum xk_http_method)m->method));
        return 1;
    case PATH:
        return push_str(L, m->path);
    case QUERY:
        if (!m->has_query)
            return 0;
        return push_str(L, m->query);
    case TARGET:
        return push_str(L, m->target);
    case HOST:
        return push_str(L, m->host);
    case VERSION:
        lua_pushstring(L, m->minor ? "1.1" : "1.0");
        return 1;
    case STATUS:
        lua_pushinteger(L, m->status);
        return 1;
    case KEEP_ALIVE:
        lua_pushboolean(L, m->keep_alive);
        return 1;
    case LENGTH:
        if (m->framing == XK_HTTP_CHUNKED || m->framing == XK_HTTP_TO_CLOSE)
            return 0;
        lua_pushinteger(L, (lua_Integer)m->length);
        return 1;
    default:
        lua_pushboolean(L, m->framing == XK_HTTP_CHUNKED);
        return 1;
    }
}

/* conn.NAME: a method, or a field of the message, which upvalue 2 has as its number. */
static int conn_index(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNUMBER)
        return 1;
    return push_field(L, xk_lua_http_check_msg(L)->msg, lua_tointeger(L, 3));
}

/* header (name) - the first field of that name, in any case; nil. */
static int conn_header(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_msg(L);
    struct xk_http_str v;

    if (xk_http_msg_find(c->msg, luaL_checkstring(L, 2), 0, &v) < 0)
        return 0;
    return push_str(L, v);
}

static void push_lower(lua_State *L, struct xk_http_str s)
{
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, s.n);

    for (size_t i = 0; i < s.n; i++)
        p[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
    luaL_pushresultsize(&b, s.n);
}

/* headers () - all of them, names in small letters; several of one name are joined by ", " (cookies by "; "), but
 * those of Set-Cookie, which are a list. */
static int conn_headers(lua_State *L)
{
    const struct xk_http_msg *m = xk_lua_http_check_msg(L)->msg;
    struct xk_http_str name, value;

    lua_settop(L, 1);
    lua_createtable(L, 0, m->field_count);
    for (unsigned i = 0; xk_http_msg_at(m, i, &name, &value) >= 0; i++) {
        push_lower(L, name);
        if (strcmp(lua_tostring(L, 3), "set-cookie") == 0) {
            luaL_getsubtable(L, 2, "set-cookie");
            push_str(L, value);
            lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
            lua_settop(L, 2);
            continue;
        }
        lua_pushvalue(L, 3);
        if (lua_rawget(L, 2) == LUA_TNIL) {
            lua_pop(L, 1);
            push_str(L, value);
        } else {
            lua_pushstring(L, strcmp(lua_tostring(L, 3), "cookie") == 0 ? "; " : ", ");
            push_str(L, value);
            lua_concat(L, 3);
        }
        lua_rawset(L, 2);
    }
    return 1;
}

/* not_modified (etag or nil, seconds or nil) - whether 304 is the answer. */
static int conn_not_modified(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_msg(L);

    lua_pushboolean(L, xk_http_not_modified(c->msg, xk_lua_http_str(L, 2), luaL_optinteger(L, 3, -1)));
    return 1;
}

static int push_range(lua_State *L, int r, uint64_t first, uint64_t last)
{
    if (r < 0)
        return xk_lua_fail(L, r);
    if (r == 0) {
        lua_pushboolean(L, 0);
        return 1;
    }
    lua_pushinteger(L, (lua_Integer)first);
    lua_pushinteger(L, (lua_Integer)last);
    return 2;
}

/* range (size, etag, seconds) - first and last byte, from 0, for 206; false: all of it; nil, text, "XK_ERANGE": 416. */
static int conn_range(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_msg(L);
    uint64_t first = 0, last = 0, size = (uint64_t)xk_lua_integer(L, 2, 0, INT64_MAX);

    return push_range(L, xk_http_range(c->msg, xk_lua_http_str(L, 3), luaL_optinteger(L, 4, -1), size, &first, &last),
                      first, last);
}

/* accepts (coding) - whether an answer in it, such as "gzip", is better than one without. */
static int conn_accepts(lua_State *L)
{
    lua_pushboolean(L, xk_http_accepts(xk_lua_http_check_msg(L)->msg, luaL_checkstring(L, 2)));
    return 1;
}

static const luaL_Reg methods[] = {
    {"next", conn_next},
    {"body", conn_body},
    {"arm", conn_arm},
    {"disarm", conn_disarm},
    {"flush", conn_flush},
    {"last", conn_last},
    {"linger", conn_linger},
    {"trim", conn_trim},
    {"request", conn_request},
    {"close", conn_close},
    {"closed", conn_closed},
    {"header", conn_header},
    {"headers", conn_headers},
    {"range", conn_range},
    {"accepts", conn_accepts},
    {"not_modified", conn_not_modified},
    {NULL, NULL},
};

/* The metatable, with its methods under `methods`; leaves both on the stack. */
static void make_type(lua_State *L)
{
    static const struct {
        const char *name;
        int field;
    } names[] = {
        {"method", METHOD},   {"path", PATH},     {"query", QUERY},           {"target", TARGET}, {"host", HOST},
        {"version", VERSION}, {"status", STATUS}, {"keep_alive", KEEP_ALIVE}, {"length", LENGTH}, {"chunked", CHUNKED},
    };

    luaL_newmetatable(L, XK_LUA_HTTP);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        lua_pushinteger(L, names[i].field);
        lua_setfield(L, -2, names[i].name);
    }
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, methods, 1);
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, xk_lua_http_answers, 1);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, conn_index, 2);
    lua_setfield(L, -3, "__index");
    lua_getfield(L, -1, "close");
    lua_setfield(L, -3, "__gc");
    lua_getfield(L, -1, "close");
    lua_setfield(L, -3, "__close");
}

int luaopen_xenkit_core_http(lua_State *L)
{
    static const luaL_Reg functions[] = {{"server", new_server}, {"client", new_client}, {NULL, NULL}};
    struct xk_lua_clock *clock;

    xk_lua_http_resource_types(L);
    make_type(L);
    lua_newtable(L);
    lua_insert(L, -3);
    lua_setfield(L, -3, "methods");
    lua_pop(L, 1);
    luaL_setfuncs(L, xk_lua_http_util, 0);
    luaL_setfuncs(L, xk_lua_http_makers, 0);
    clock = lua_newuserdatauv(L, sizeof(*clock), 0);
    memset(clock, 0, sizeof(*clock));
    clock->second = -1;
    luaL_setfuncs(L, functions, 1);
    return 1;
}
