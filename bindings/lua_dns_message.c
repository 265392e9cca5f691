/* Messages of xenkit.core.dns, for tools and tests: a query to bytes, bytes to a table. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/dns.h>

#include "bindings/dns.h"

enum { QUERY_MOST = 300, CLASS_IN = 1 };

int xk_lua_dns_type(lua_State *L, int index)
{
    size_t n;
    const char *text;

    if (lua_isinteger(L, index)) {
        lua_Integer v = lua_tointeger(L, index);
        return v < 1 || v > 65535 ? XK_EINVAL : (int)v;
    }
    if (lua_type(L, index) != LUA_TSTRING)
        return XK_EINVAL;
    text = lua_tolstring(L, index, &n);
    return xk_dns_type_parse(text, n);
}

/* --- queries ------------------------------------------------------------------------------------------------------ */

static int flag(lua_State *L, int arg, const char *name, int fallback)
{
    int v = lua_getfield(L, arg, name) == LUA_TNIL ? fallback : lua_toboolean(L, -1);

    lua_pop(L, 1);
    return v;
}

static unsigned number(lua_State *L, int arg, const char *name)
{
    lua_Integer v = 0;

    if (lua_getfield(L, arg, name) != LUA_TNIL) {
        int ok;
        v = lua_tointegerx(L, -1, &ok);
        if (!ok || v < 0 || v > 65535)
            luaL_error(L, "option '%s' is not an integer in 0 .. 65535", name);
    }
    lua_pop(L, 1);
    return (unsigned)v;
}

/* query (name, type [, {id, rd, cd, udp_size, dnssec}]) - a query's bytes; with EDNS where udp_size is not 0. */
int xk_lua_dns_query(lua_State *L)
{
    uint8_t out[QUERY_MOST];
    const char *name = luaL_checkstring(L, 1);
    int type = xk_lua_dns_type(L, 2), r, dnssec;
    unsigned flags;

    lua_settop(L, 3);
    if (type < 0)
        return luaL_argerror(L, 2, "no type; types are \"A\", \"TXT\", ..., \"TYPE65280\" or numbers");
    if (lua_isnil(L, 3)) {
        lua_newtable(L);
        lua_replace(L, 3);
    }
    luaL_checktype(L, 3, LUA_TTABLE);
    flags = (flag(L, 3, "rd", 0) ? XK_DNS_RD : 0u) | (flag(L, 3, "cd", 0) ? XK_DNS_CD : 0u);
    dnssec = flag(L, 3, "dnssec", 0);
    r = xk_dns_query_write(out, sizeof(out), number(L, 3, "id"), flags, name, (unsigned)type, number(L, 3, "udp_size"),
                           dnssec);
    if (r < 0)
        return xk_lua_failf(L, r, name);
    lua_pushlstring(L, (const char *)out, (size_t)r);
    return 1;
}

/* --- decoding ----------------------------------------------------------------------------------------------------- */

static void set_number(lua_State *L, const char *name, lua_Integer v)
{
    lua_pushinteger(L, v);
    lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, int v)
{
    lua_pushboolean(L, v);
    lua_setfield(L, -2, name);
}

static void set_rcode(lua_State *L, unsigned rcode)
{
    const char *text = xk_dns_rcode_text(rcode);

    if (text)
        lua_pushstring(L, text);
    else
        lua_pushfstring(L, "RCODE%d", (int)rcode);
    lua_setfield(L, -2, "rcode");
}

/* The form of RFC 3597 section 5 for data that is not what its type demands. */
static void push_generic(lua_State *L, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    luaL_Buffer b;

    luaL_buffinit(L, &b);
    lua_pushfstring(L, n ? "\\# %d " : "\\# %d", (int)n);
    luaL_addvalue(&b);
    for (size_t i = 0; i < n; i++) {
        luaL_addchar(&b, digits[p[i] >> 4]);
        luaL_addchar(&b, digits[p[i] & 15]);
    }
    luaL_pushresult(&b);
}

/* The text of data of n bytes: \DDD for each in a quoted string of a parameter doubles backslashes; names of two bytes
 * may be pointers to long ones. */
static void push_rdata(lua_State *L, const struct xk_dns_msg *m, const struct xk_dns_rr *rr)
{
    size_t room = 8 * rr->rdata_len + (size_t)4 * XK_DNS_NAME_TEXT_MAX;
    luaL_Buffer b;
    int n = xk_dns_rr_text(m, rr, luaL_buffinitsize(L, &b, room), room);

    luaL_pushresultsize(&b, n > 0 ? (size_t)n : 0);
    if (n < 0) {
        lua_pop(L, 1);
        push_generic(L, m->data + rr->rdata, rr->rdata_len);
    }
}

static void push_rr(lua_State *L, const struct xk_dns_msg *m, const struct xk_dns_rr *rr)
{
    char text[XK_DNS_NAME_TEXT_MAX];

    lua_createtable(L, 0, 5);
    xk_dns_name_text(rr->name, text, sizeof(text));
    lua_pushstring(L, text);
    lua_setfield(L, -2, "name");
    xk_dns_type_text(rr->type, text, sizeof(text));
    lua_pushstring(L, text);
    lua_setfield(L, -2, "type");
    if (rr->rclass == CLASS_IN)
        lua_pushliteral(L, "IN");
    else
        lua_pushfstring(L, "CLASS%d", (int)rr->rclass);
    lua_setfield(L, -2, "class");
    if (rr->section == XK_DNS_QUESTION)
        return;
    set_number(L, "ttl", rr->ttl);
    push_rdata(L, m, rr);
    lua_setfield(L, -2, "rdata");
}

/* OPT is no record but the extended header (RFC 6891 section 6.1.3): upper bits of rcode, version, flags, size. */
static void set_edns(lua_State *L, const struct xk_dns_msg *m, const struct xk_dns_rr *rr)
{
    lua_createtable(L, 0, 3);
    set_number(L, "udp_size", rr->rclass);
    set_number(L, "version", rr->ttl >> 16 & 255);
    set_flag(L, "dnssec", rr->ttl >> 15 & 1);
    lua_setfield(L, 1, "edns");
    lua_pushvalue(L, 1);
    set_rcode(L, (rr->ttl >> 24 << 4) | (m->flags & 15));
    lua_pop(L, 1);
}

static void set_header(lua_State *L, const struct xk_dns_msg *m)
{
    set_number(L, "id", m->id);
    set_number(L, "opcode", m->flags >> 11 & 15);
    set_flag(L, "qr", m->flags & XK_DNS_QR);
    set_flag(L, "aa", m->flags & XK_DNS_AA);
    set_flag(L, "tc", m->flags & XK_DNS_TC);
    set_flag(L, "rd", m->flags & XK_DNS_RD);
    set_flag(L, "ra", m->flags & XK_DNS_RA);
    set_flag(L, "ad", m->flags & XK_DNS_AD);
    set_flag(L, "cd", m->flags & XK_DNS_CD);
    set_rcode(L, m->flags & 15);
}

/* decode (bytes) - {id, opcode, qr, aa, tc, rd, ra, ad, cd, rcode, edns, question, answer, authority, additional}; the
 * sections are lists of {name, type, class, ttl, rdata}. nil, text, "XK_EPROTO" for what is no whole message. */
int xk_lua_dns_decode(lua_State *L)
{
    static const char *const sections[] = {"question", "answer", "authority", "additional"};
    struct xk_dns_msg m;
    struct xk_dns_rr rr;
    size_t n;
    const char *data = luaL_checklstring(L, 1, &n);
    int r = xk_dns_msg_open(&m, data, n);

    if (r < 0)
        return xk_lua_fail(L, r);
    lua_settop(L, 1);
    lua_createtable(L, 0, 16);
    lua_insert(L, 1); /* the table at 1, its string at 2, so that it stays */
    lua_pushvalue(L, 1);
    set_header(L, &m);
    for (int i = 0; i < 4; i++) {
        lua_newtable(L); /* at 4 + i */
        lua_pushvalue(L, -1);
        lua_setfield(L, 1, sections[i]);
    }
    while ((r = xk_dns_msg_next(&m, &rr)) > 0) {
        if (rr.type == XK_DNS_OPT && rr.section == XK_DNS_ADDITIONAL) {
            set_edns(L, &m, &rr);
            continue;
        }
        push_rr(L, &m, &rr);
        lua_rawseti(L, 4 + (int)rr.section, (lua_Integer)lua_rawlen(L, 4 + (int)rr.section) + 1);
    }
    if (r < 0)
        return xk_lua_fail(L, r);
    lua_settop(L, 1);
    return 1;
}
