/* The small functions of xenkit.core.http: words, dates, URIs, forms, escapes. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/uri.h>

#include "bindings/http.h"

/* reason (status) - "Not Found"; "" for an unknown one. */
static int reason(lua_State *L)
{
    lua_pushstring(L, xk_http_reason((unsigned)luaL_checkinteger(L, 1)));
    return 1;
}

/* media_type (file name) - by its extension; application/octet-stream. */
static int media_type(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);

    lua_pushstring(L, xk_http_media_type(s, n));
    return 1;
}

/* date (seconds since 1970) - as header fields have it. */
static int date(lua_State *L)
{
    char text[XK_HTTP_DATE];
    int r = xk_http_date_format(text, (int64_t)luaL_checknumber(L, 1));

    if (r < 0)
        return xk_lua_fail(L, r);
    lua_pushstring(L, text);
    return 1;
}

/* parse_date (text) - seconds, or nil, text, name. */
static int parse_date(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    int64_t seconds;
    int r = xk_http_date_parse(s, n, &seconds);

    if (r < 0)
        return xk_lua_fail(L, r);
    lua_pushinteger(L, seconds);
    return 1;
}

/* etag (data) - a strong entity tag of the content: 64 bits of FNV-1a and the length. It tells versions apart; it is no
 * proof against somebody who makes collisions of his own pages. */
static int etag(lua_State *L)
{
    static const char hex[] = "0123456789abcdef";
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    uint64_t h = 0xcbf29ce484222325u;
    char out[19];

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    h ^= n;
    out[0] = out[17] = '"';
    out[18] = 0;
    for (int i = 16; i >= 1; i--, h >>= 4)
        out[i] = hex[h & 15];
    lua_pushstring(L, out);
    return 1;
}

/* parse_range (text, size) - first and last byte, from 0; false: to be ignored; nil, text, "XK_ERANGE". */
static int parse_range(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    uint64_t first, last;
    int r = xk_http_range_parse(s, n, (uint64_t)xk_lua_integer(L, 2, 0, INT64_MAX), &first, &last);

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

/* normal_path (text) - decoded once, without dot segments and double slashes; nil, text, name. */
static int normal_path(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, n + 1);
    int r = xk_http_path(p, s, n);

    if (r < 0)
        return xk_lua_fail(L, r);
    luaL_pushresultsize(&b, (size_t)r);
    return 1;
}

/* decode (text) - percent escapes; nil, text, name for a broken one. */
static int decode(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, n + 1);
    int r = xk_uri_decode(p, s, n);

    if (r < 0)
        return xk_lua_fail(L, r);
    luaL_pushresultsize(&b, (size_t)r);
    return 1;
}

/* encode (text, set) - percent escapes; (set): "unreserved" (the default), "segment", "path", "query", "form". */
static int encode(lua_State *L)
{
    static const char *const sets[] = {"unreserved", "segment", "path", "query", "form", NULL};
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    enum xk_uri_set set = (enum xk_uri_set)luaL_checkoption(L, 2, "unreserved", sets);
    luaL_Buffer b;
    struct xk_buf out;
    char *p;

    luaL_argcheck(L, n < XK_URI_MAX, 1, "too long");
    p = luaL_buffinitsize(L, &b, n * 3 + 1); /* at most "%XX" a byte */
    xk_buf_init(&out, NULL, n * 3 + 1);
    if (xk_uri_encode(&out, s, n, set) < 0) {
        xk_buf_fini(&out);
        return luaL_error(L, "out of memory");
    }
    n = xk_buf_len(&out);
    if (n)
        memcpy(p, xk_buf_head(&out), n);
    xk_buf_fini(&out);
    luaL_pushresultsize(&b, n);
    return 1;
}

static void set_part(lua_State *L, const char *text, struct xk_uri_part part, const char *name, int there)
{
    if (!there)
        return;
    lua_pushlstring(L, text + part.off, part.len);
    lua_setfield(L, -2, name);
}

/* uri (text) - its parts, undecoded: scheme, userinfo, host, port, path, query, fragment; nil, text, name. */
static int uri(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    struct xk_diag d = {0};
    struct xk_uri u;

    if (xk_uri_parse(&u, s, n, &d) < 0)
        return xk_lua_diag(L, &d, "uri");
    lua_createtable(L, 0, 8);
    set_part(L, s, u.scheme, "scheme", u.has & XK_URI_SCHEME);
    set_part(L, s, u.userinfo, "userinfo", u.has & XK_URI_USERINFO);
    set_part(L, s, u.host, "host", u.has & XK_URI_AUTHORITY);
    set_part(L, s, u.path, "path", 1);
    set_part(L, s, u.query, "query", u.has & XK_URI_QUERY);
    set_part(L, s, u.fragment, "fragment", u.has & XK_URI_FRAGMENT);
    if (u.port_number) {
        lua_pushinteger(L, u.port_number);
        lua_setfield(L, -2, "port");
    }
    return 1;
}

static void push_form(lua_State *L, const char *s, size_t n)
{
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, n + 1);

    luaL_pushresultsize(&b, xk_uri_form_decode(p, s, n));
}

/* form (text) - a query or a form's body as a table; of several fields of one name the first counts, and the second
 * result has them all, in order: {{name, value}, ...}. */
static int form(lua_State *L)
{
    struct xk_uri_query it;
    const char *name, *value;
    size_t nl, vl;

    it.p = luaL_checklstring(L, 1, &it.n);
    lua_settop(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    for (lua_Integer i = 1; xk_uri_query_next(&it, &name, &nl, &value, &vl) == 1; i++) {
        lua_createtable(L, 2, 0);
        push_form(L, name, nl);
        push_form(L, value, vl);
        lua_pushvalue(L, 5);
        if (lua_rawget(L, 2) == LUA_TNIL) {
            lua_pushvalue(L, 5);
            lua_pushvalue(L, 6);
            lua_rawset(L, 2);
        }
        lua_pop(L, 1);
        lua_rawseti(L, 4, 2);
        lua_rawseti(L, 4, 1);
        lua_rawseti(L, 3, i);
    }
    return 2;
}

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* escape_html (text) - for text and for quoted attributes. */
static int escape_html(lua_State *L)
{
    size_t n, from = 0;
    const char *s = luaL_checklstring(L, 1, &n), *e;
    luaL_Buffer b;

    luaL_buffinit(L, &b);
    for (size_t i = 0; i < n; i++) {
        e = entity(s[i]);
        if (!e)
            continue;
        luaL_addlstring(&b, s + from, i - from);
        luaL_addstring(&b, e);
        from = i + 1;
    }
    luaL_addlstring(&b, s + from, n - from);
    luaL_pushresult(&b);
    return 1;
}

const luaL_Reg xk_lua_http_util[] = {
    {"reason", reason},
    {"media_type", media_type},
    {"date", date},
    {"parse_date", parse_date},
    {"etag", etag},
    {"parse_range", parse_range},
    {"normal_path", normal_path},
    {"decode", decode},
    {"encode", encode},
    {"uri", uri},
    {"form", form},
    {"escape_html", escape_html},
    {NULL, NULL},
};
