/* Answers of a server: composed from what a handler gives, or made in advance. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "bindings/http.h"

/* An answer made in advance. The image is what most requests get, byte by byte but for the date: built when the first
 * one comes, and anew for connections with another block of fields. User values: 1 body, 2 type, 3 fields, 4 image. */
struct resource {
    struct image *image;
    unsigned status;
    size_t body_len, at; /* a part of the string, from (at) on */
    int part;            /* it is one: no copy is made of it */
    int64_t modified;    /* -1: unknown */
    char etag[40];
};
#define RESOURCE "xenkit.http.resource"

struct image {
    const char *of; /* the connection's fields it was made with */
    size_t date, head, total;
    char text[];
};

/* --- answers --- */

static struct xk_http_str date_now(struct xk_lua_http *c)
{
    int64_t now = xk_wallclock(c->s->o.world->platform) / 1000000000;
    struct xk_http_str s = {c->clock->text, XK_HTTP_DATE - 1};

    if (now != c->clock->second) {
        c->clock->second = now;
        if (xk_http_date_format(c->clock->text, now) < 0)
            c->clock->second = -1;
    }
    return s;
}

/* One field, or several of the same name when the value is a list. */
static void put_field(lua_State *L, struct xk_http_writer *w, int key, int value)
{
    size_t n;
    const char *s;

    if (lua_type(L, key) != LUA_TSTRING) {
        w->err = w->err ? w->err : XK_EINVAL;
        return;
    }
    if (lua_type(L, value) == LUA_TTABLE) {
        for (lua_Integer i = 1; lua_rawgeti(L, value, i) == LUA_TSTRING; i++) {
            s = lua_tolstring(L, -1, &n);
            xk_http_put(w, lua_tostring(L, key), s, n);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
        return;
    }
    if (lua_type(L, value) == LUA_TNUMBER) {
        lua_pushvalue(L, value);
        s = lua_tolstring(L, -1, &n);
        xk_http_put(w, lua_tostring(L, key), s, n);
        lua_pop(L, 1);
        return;
    }
    s = lua_type(L, value) == LUA_TSTRING ? lua_tolstring(L, value, &n) : NULL;
    if (s)
        xk_http_put(w, lua_tostring(L, key), s, n);
    else
        w->err = w->err ? w->err : XK_EINVAL;
}

static void put_raw(struct xk_http_writer *w, const char *p, size_t n)
{
    if (!w->err && n)
        w->err = xk_buf_put(w->out, p, n);
}

/* The fields at (arg): nil, a table, or checked ones. Returns the name that was refused, to raise with. */
const char *xk_lua_http_put_fields(lua_State *L, struct xk_http_writer *w, int arg)
{
    const struct xk_lua_fields *f;

    if (lua_isnoneornil(L, arg))
        return NULL;
    f = luaL_testudata(L, arg, XK_LUA_FIELDS);
    if (f) {
        put_raw(w, f->text, f->n);
        return NULL;
    }
    if (lua_type(L, arg) != LUA_TTABLE) {
        w->err = w->err ? w->err : XK_EINVAL;
        return "(a table is wanted)";
    }
    lua_pushnil(L);
    while (lua_next(L, arg)) {
        int top = lua_gettop(L);
        put_field(L, w, top - 1, top);
        if (w->err)
            return lua_type(L, top - 1) == LUA_TSTRING ? lua_tostring(L, top - 1) : "(not a string)";
        lua_pop(L, 1);
    }
    return NULL;
}

/* Composes a head into (out), with (extra), a whole line, if not NULL; raises, with (out) as before, when a field is
 * not to be sent. */
static void put_head(lua_State *L, struct xk_lua_http *c, const struct xk_http_answer *a, int type, int fields,
                     const char *extra)
{
    const char *bad = NULL, *s;
    size_t n;
    int r;

    xk_http_begin(&c->w, &c->out, a);
    if (!lua_isnoneornil(L, type)) {
        s = luaL_tolstring(L, type, &n);
        xk_http_put(&c->w, "Content-Type", s, n);
        lua_pop(L, 1);
        bad = c->w.err ? "Content-Type" : NULL;
    }
    put_raw(&c->w, c->fields, c->fields_len);
    put_raw(&c->w, extra, extra ? strlen(extra) : 0);
    if (!bad)
        bad = xk_lua_http_put_fields(L, &c->w, fields);
    r = xk_http_end(&c->w);
    if (r < 0 && bad)
        luaL_error(L, "header field %s: not to be sent, or with a bad value", bad);
    else if (r < 0)
        luaL_error(L, "answer: %s", xk_err_text(r));
}

static struct xk_http_answer answer(lua_State *L, struct xk_lua_http *c, unsigned status)
{
    struct xk_http_answer a;

    if (c->client)
        luaL_error(L, "a client does not answer");
    if (c->streaming)
        luaL_error(L, "an answer has begun already");
    if (!c->msg && c->ended)
        luaL_error(L, "there is no request to answer");
    a = xk_http_answer(&c->http, status);
    a.date = date_now(c);
    return a;
}

/* The message is answered. */
static void done(struct xk_lua_http *c, int keep)
{
    c->msg = NULL;
    c->streaming = 0;
    if (c->collecting) {
        xk_buf_fini(&c->body);
        c->collecting = 0;
    }
    if (!keep) {
        xk_http_conn_last(&c->http);
        c->ended = 1;
    }
    xk_http_conn_done(&c->http);
}

/* Sends now, or not yet when the next request is here already. How many bytes wait. */
static size_t send_soon(lua_State *L, struct xk_lua_http *c)
{
    if (c->ended || xk_http_conn_idle(&c->http) || c->rest_len || xk_buf_len(&c->out) > XK_LUA_HTTP_HIGH)
        (void)!xk_lua_http_flush(L, c); /* next tells of errors */
    return c->err ? 0 : xk_lua_http_pending(c);
}

/* The body that stands at index (arg): short ones are copied behind the head, long ones go out from where they are. */
static void put_body(lua_State *L, struct xk_lua_http *c, int arg, const char *body, size_t n)
{
    if (n <= XK_LUA_HTTP_COPY) {
        if (xk_http_put_body(&c->w, body, n) < 0)
            c->err = XK_ENOMEM;
        return;
    }
    if (xk_http_took(&c->w, n) < 0 || c->w.bodiless)
        return;
    lua_pushvalue(L, arg);
    lua_setiuservalue(L, 1, 2);
    c->rest = body;
    c->rest_len = n;
}

/* respond (status, body, type, fields) - the whole answer. Returns how many bytes wait to go out. */
static int conn_respond(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_open(L);
    unsigned status = (unsigned)xk_lua_integer(L, 2, 100, 999);
    size_t n = 0;
    const char *body = luaL_optlstring(L, 3, NULL, &n);
    struct xk_http_answer a = answer(L, c, status);

    lua_settop(L, 5);
    if (status < 200)
        return luaL_argerror(L, 2, "200 .. 999 wanted");
    if (c->rest_len)
        return luaL_error(L, "the answer before is not out yet");
    a.framing = XK_HTTP_LENGTH;
    a.length = n;
    put_head(L, c, &a, 4, 5, NULL);
    if (c->w.framing == XK_HTTP_LENGTH)
        put_body(L, c, 3, body, n);
    if (!c->msg)
        c->w.keep_alive = false;
    done(c, c->w.keep_alive);
    lua_pushinteger(L, (lua_Integer)send_soon(L, c));
    return 1;
}

/* begin (status, type, fields) - a head; the body comes in chunks. False when none is wanted (HEAD): finish at once. */
static int conn_begin(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_open(L);
    struct xk_http_answer a = answer(L, c, (unsigned)xk_lua_integer(L, 2, 200, 999));

    lua_settop(L, 4);
    if (!c->msg)
        return luaL_error(L, "there is no request to answer");
    a.framing = XK_HTTP_CHUNKED;
    put_head(L, c, &a, 3, 4, NULL);
    c->streaming = 1;
    lua_pushboolean(L, !c->w.bodiless);
    return 1;
}

static struct xk_lua_http *check_streaming(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_open(L);

    if (!c->streaming)
        luaL_error(L, "begin comes first");
    return c;
}

/* chunk (data) - how many bytes wait to go out: flush before there are too many. */
static int conn_chunk(lua_State *L)
{
    struct xk_lua_http *c = check_streaming(L);
    size_t n;
    const char *s = luaL_checklstring(L, 2, &n);
    int r = xk_http_put_body(&c->w, s, n);

    if (r == 0)
        r = xk_lua_http_flush(L, c);
    if (r < 0 && r != XK_EAGAIN)
        return xk_lua_fail(L, r);
    lua_pushinteger(L, (lua_Integer)xk_lua_http_pending(c));
    return 1;
}

/* finish () - the last chunk. Returns as respond. */
static int conn_finish(lua_State *L)
{
    struct xk_lua_http *c = check_streaming(L);
    int r = xk_http_end_body(&c->w);

    if (r < 0)
        return xk_lua_fail(L, r);
    done(c, c->w.keep_alive);
    lua_pushinteger(L, (lua_Integer)send_soon(L, c));
    return 1;
}

/* --- answers made in advance --- */

/* fields (table) - checked once, for many answers. */
static int new_fields(lua_State *L)
{
    static const char line[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    struct xk_http_answer a = {.status = 200, .keep_alive = true, .minor = 1};
    struct xk_lua_http *c = xk_lua_new(L, XK_LUA_HTTP, sizeof(*c), 0); /* its buffer is freed with it */
    struct xk_lua_fields *f;
    const char *bad;
    size_t n;
    int r;

    luaL_checktype(L, 1, LUA_TTABLE);
    xk_buf_init(&c->out, NULL, XK_LUA_HTTP_OUT);
    xk_http_conn_init(&c->http, NULL, NULL, NULL);
    c->open = 1;
    a.date.p = "";
    xk_http_begin(&c->w, &c->out, &a);
    bad = xk_lua_http_put_fields(L, &c->w, 1);
    r = xk_http_end(&c->w);
    if (r < 0)
        return luaL_error(L, "header field %s: not to be sent, or with a bad value", bad ? bad : "?");
    n = xk_buf_len(&c->out) - (sizeof(line) - 1) - 2;
    f = lua_newuserdatauv(L, sizeof(*f) + n, 0);
    f->n = n;
    memcpy(f->text, xk_buf_head(&c->out) + sizeof(line) - 1, n);
    luaL_setmetatable(L, XK_LUA_FIELDS);
    xk_lua_http_free(c);
    return 1;
}

/* resource (status, body, type, fields, etag, modified, at, n) - an answer made in advance, for `send`. With status 200
 * it obeys conditions and ranges, and refuses all methods but GET and HEAD. With (at) and (n) its body is the (n) bytes
 * of the string from (at) on, and is sent from there. */
static int new_resource(lua_State *L)
{
    struct xk_http_str etag = xk_lua_http_str(L, 5);
    struct resource *r;
    size_t n, at = 0;
    int part = !lua_isnoneornil(L, 7);

    luaL_checklstring(L, 2, &n);
    if (part) {
        at = (size_t)xk_lua_integer(L, 7, 0, (lua_Integer)n);
        n = (size_t)xk_lua_integer(L, 8, 0, (lua_Integer)(n - at));
    }
    lua_settop(L, 6);
    r = xk_lua_new(L, RESOURCE, sizeof(*r), 4);
    luaL_argcheck(L, etag.n < sizeof(r->etag), 5, "too long");
    r->status = (unsigned)xk_lua_integer(L, 1, 200, 999);
    r->body_len = n;
    r->at = at;
    r->part = part;
    r->modified = luaL_optinteger(L, 6, -1);
    if (etag.n)
        memcpy(r->etag, etag.p, etag.n);
    for (int i = 1; i <= 3; i++) {
        lua_pushvalue(L, i + 1);
        lua_setiuservalue(L, -2, i);
    }
    return 1;
}

/* What a plain request for the resource at index 2 gets; its parts are at 3 (body), 4 (type), 5 (fields). */
static struct image *make_image(lua_State *L, struct xk_lua_http *c, struct resource *res)
{
    struct xk_http_answer a = {.status = res->status, .keep_alive = true, .minor = 1};
    size_t at = c->out.rd, len, head;
    const char *date;
    struct image *m;

    a.framing = XK_HTTP_LENGTH;
    a.length = res->body_len;
    a.date = date_now(c);
    len = xk_buf_len(&c->out);
    put_head(L, c, &a, 4, 5, NULL);
    at = c->out.rd + len;
    head = c->out.wr - at;
    m = lua_newuserdatauv(L, sizeof(*m) + head + res->body_len, 1);
    lua_getiuservalue(L, 1, 3);
    lua_setiuservalue(L, -2, 1); /* so that no other block takes the address it is known by */
    memcpy(m->text, c->out.data + at, head);
    c->out.wr = at;
    memcpy(m->text + head, lua_tostring(L, 3), res->body_len);
    date = memchr(m->text, '\n', head);
    m->date = (size_t)(date - m->text) + 1 + 6; /* behind the first line and "Date: " */
    m->head = head;
    m->total = head + res->body_len;
    m->of = c->fields;
    lua_setiuservalue(L, 2, 4);
    res->image = m;
    return m;
}

/* Sends an image without making a copy where that can be. */
static void send_image(lua_State *L, struct xk_lua_http *c, struct image *m)
{
    struct xk_http_str date = date_now(c);
    int r = 0;

    memcpy(m->text + m->date, date.p, date.n);
    done(c, 1);
    if (!xk_lua_http_pending(c) && !c->err && (xk_http_conn_idle(&c->http) || m->total > XK_LUA_HTTP_COPY)) {
        r = xk_stream_write(c->s->stream, m->text, m->total);
        if (r < 0 && r != XK_EAGAIN)
            c->err = r;
        r = r < 0 ? 0 : r;
    }
    if ((size_t)r == m->total || c->err)
        return;
    if (m->total <= XK_LUA_HTTP_COPY || (size_t)r < m->head) {
        size_t n = m->total <= XK_LUA_HTTP_COPY ? m->total : m->head;
        if (xk_buf_put(&c->out, m->text + r, n - (size_t)r) < 0)
            c->err = XK_ENOMEM;
        r = (int)n;
    }
    c->rest_len = m->total - (size_t)r;
    if (!c->rest_len)
        return;
    c->rest = m->text + r;
    lua_getiuservalue(L, 2, 4);
    lua_setiuservalue(L, 1, 2);
}

/* All other cases: a part of the resource, its head only, or why not. */
static void send_part(lua_State *L, struct xk_lua_http *c, const struct resource *res, unsigned status, uint64_t first,
                      uint64_t last)
{
    struct xk_http_answer a = answer(L, c, status);
    const char *body = lua_tostring(L, 3) + res->at;
    char extra[80] = "";

    a.framing = XK_HTTP_LENGTH;
    a.length = status == res->status ? res->body_len : status == 206 ? last - first + 1 : 0;
    if (status == 206)
        snprintf(extra, sizeof(extra), "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)first,
                 (unsigned long long)last, (unsigned long long)res->body_len);
    else if (status == 416)
        snprintf(extra, sizeof(extra), "Content-Range: bytes */%llu\r\n", (unsigned long long)res->body_len);
    else if (status == 405)
        snprintf(extra, sizeof(extra), "Allow: GET, HEAD\r\n");
    if (status != res->status && status != 206) {
        lua_pushnil(L);
        lua_replace(L, 4); /* no body, no type */
        if (status != 304) {
            lua_pushnil(L);
            lua_replace(L, 5);
        }
    }
    put_head(L, c, &a, 4, 5, extra);
    if (c->w.framing == XK_HTTP_LENGTH && a.length)
        put_body(L, c, 3, body + (status == 206 ? first : 0), (size_t)a.length);
    done(c, c->w.keep_alive);
    send_soon(L, c);
}

/* What the request's method, conditions and range make of the resource: the status. */
static unsigned judge(const struct xk_http_msg *m, const struct resource *res, uint64_t *first, uint64_t *last)
{
    struct xk_http_str etag = {res->etag, strlen(res->etag)};
    int r;

    if (res->status != 200)
        return res->status;
    if (m->method != XK_HTTP_GET && m->method != XK_HTTP_HEAD)
        return 405;
    if (xk_http_not_modified(m, etag, res->modified))
        return 304;
    r = xk_http_range(m, etag, res->modified, res->body_len, first, last);
    return r == 1 ? 206 : r < 0 ? 416 : 200;
}

/* send (resource) - answers with it. Returns how many bytes wait, and the status. */
static int conn_send(lua_State *L)
{
    struct xk_lua_http *c = xk_lua_http_check_msg(L);
    struct resource *res = luaL_checkudata(L, 2, RESOURCE);
    uint64_t first = 0, last = 0;
    unsigned status = judge(c->msg, res, &first, &last);
    int plain = !res->part && status == res->status && c->msg->method != XK_HTTP_HEAD && c->msg->minor &&
                xk_http_conn_keep_alive(&c->http) && status != 204 && status != 304;

    if (c->streaming || c->rest_len || !c->s->o.world)
        return luaL_error(L, "an answer has begun already, or the connection is closed");
    lua_settop(L, 2);
    if (!plain || !res->image || res->image->of != c->fields) {
        for (int i = 1; i <= 3; i++)
            lua_getiuservalue(L, 2, i);
    }
    if (!plain)
        send_part(L, c, res, status, first, last);
    else
        send_image(L, c, lua_gettop(L) == 2 ? res->image : make_image(L, c, res));
    lua_pushinteger(L, c->err ? 0 : (lua_Integer)xk_lua_http_pending(c));
    lua_pushinteger(L, status);
    return 2;
}

const luaL_Reg xk_lua_http_answers[] = {
    {"respond", conn_respond}, {"begin", conn_begin}, {"chunk", conn_chunk},
    {"finish", conn_finish},   {"send", conn_send},   {NULL, NULL},
};

const luaL_Reg xk_lua_http_makers[] = {{"fields", new_fields}, {"resource", new_resource}, {NULL, NULL}};

void xk_lua_http_resource_types(lua_State *L)
{
    static const luaL_Reg none[] = {{NULL, NULL}};

    xk_lua_type(L, XK_LUA_FIELDS, none, NULL);
    xk_lua_type(L, RESOURCE, none, NULL);
}
