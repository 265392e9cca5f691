/*** DNS: an authoritative server that answers datagrams in C, and messages for tools.
 *
 *     local server = assert(core.dns.server(world))
 *     assert(server:load(nil, text, "site/xenkit.zone"))
 *     assert(server:serve_udp(handle))
 *     server:hook(function(name, type) if name == "now.xenkit.test." then return { { "TXT", os.date('"%T"'), 0 } } end
 * end)
 *
 * Between a datagram and its reply there is no Lua unless a hook is asked. A hook runs inside a call-back of the loop,
 * protected: it may not wait, nor change or ask its own server, nor close the world.
 * @module xenkit.core.dns
 *
 * SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>

#include <xenkit/dns.h>
#include <xenkit/socket.h>

#include "bindings/dns.h"
#include "bindings/world.h"

int luaopen_xenkit_core_dns(lua_State *L);

#define SERVER "xenkit.dns.server"
#define KEPT "xenkit.dns.servers"

/* The stride of buffers is an odd number of cache lines, so that the heads of 64 do not fall into the same few sets. */
enum {
    BATCH = XK_DATAGRAM_BATCH,
    BATCH_LEAST = 8,
    ROUNDS = 32,
    QUERY_ROOM = 2048 + 64,
    UDP_DEFAULT = 1232,
    UDP_MOST = 4096,
    SKIP_MOST = 16,
    FAILURES_MOST = 16,
    LISTENERS_MOST = 64
};

struct server;

struct udp {
    struct xk_acceptor a; /* first */
    struct server *server;
    struct udp *next;
    int handle;
    int want;               /* datagrams asked for in one call */
    unsigned skip, skipped; /* after a look that found nothing, that many wake-ups go without a second look */
    unsigned failures;      /* in a row */
};

struct udp_stats {
    uint64_t wakeups, batches, received, sent, unsent, oversize, empty, failures;
};

struct server {
    struct xk_lua_object o;
    struct xk_dns_server *dns;
    struct udp *listeners;
    int listener_count;
    uint8_t *space; /* room for a batch of queries and replies; NULL until it is needed */
    uint8_t *large; /* one reply over TCP; NULL until it is needed */
    size_t reply_room;
    struct xk_datagram in[BATCH], out[BATCH];
    struct udp_stats udp;
    lua_State *hook; /* a thread, in user value 2; its stack holds the function */
    uint64_t hook_errors;
    char hook_error[200]; /* the last one */
    int busy, dying;      /* answering; was shut meanwhile */
};

/* --- life --------------------------------------------------------------------------------------------------------- */

static size_t space_size(const struct server *s) { return BATCH * (QUERY_ROOM + s->reply_room); }

static void release(struct server *s)
{
    while (s->listeners) {
        struct udp *u = s->listeners;
        s->listeners = u->next;
        xk_free(NULL, u, sizeof(*u));
    }
    xk_free(NULL, s->space, s->space ? space_size(s) : 0);
    xk_free(NULL, s->large, s->large ? XK_DNS_MESSAGE_MAX : 0);
    xk_dns_server_destroy(s->dns);
    s->space = s->large = NULL;
    s->dns = NULL;
    s->dying = 0;
}

/* May be called from the server's own hook: then what xk_dns_answer stands on goes when that has returned. */
static void server_shut(struct xk_lua_object *o)
{
    struct server *s = (struct server *)o;

    for (struct udp *u = s->listeners; u; u = u->next) {
        xk_acceptor_stop(o->world->loop, &u->a);
        xk_handle_close(u->handle);
        u->handle = -1;
    }
    if (s->busy)
        s->dying = 1;
    else
        release(s);
}

static void leave(struct server *s)
{
    if (--s->busy == 0 && s->dying)
        release(s);
}

static struct server *check_server(lua_State *L)
{
    struct server *s = xk_lua_check_object(L, 1, SERVER, "dns server");

    if (s->busy)
        luaL_error(L, "attempt to use a dns server from its own hook");
    return s;
}

/* Makes the world keep the server at 1: one that serves must not end by a garbage collection. The table has weak keys,
 * so that both can go together. */
static void keep(lua_State *L)
{
    if (!luaL_getsubtable(L, LUA_REGISTRYINDEX, KEPT)) {
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "k");
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
    }
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
    lua_pushvalue(L, 1);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 3);
}

static void unkeep(lua_State *L)
{
    if (luaL_getsubtable(L, LUA_REGISTRYINDEX, KEPT) && lua_getiuservalue(L, 1, 1) != LUA_TNIL &&
        lua_rawget(L, -2) == LUA_TTABLE) {
        lua_pushvalue(L, 1);
        lua_pushnil(L);
        lua_rawset(L, -3);
    }
    lua_settop(L, 1);
}

static int server_close(lua_State *L)
{
    struct server *s = luaL_checkudata(L, 1, SERVER);

    lua_settop(L, 1);
    if (s->o.world && !s->busy) /* from its hook: the world keeps it, since the call-back still stands on it */
        unkeep(L);
    xk_lua_shut(&s->o);
    return 0;
}

static lua_Integer option(lua_State *L, int arg, const char *name, lua_Integer fallback, lua_Integer low,
                          lua_Integer high)
{
    lua_Integer v;

    if (lua_getfield(L, arg, name) == LUA_TNIL) {
        v = fallback;
    } else {
        int ok;
        v = lua_tointegerx(L, -1, &ok);
        if (!ok || v < low || v > high)
            luaL_error(L, "option '%s' is not an integer in %I .. %I", name, (LUAI_UACINT)low, (LUAI_UACINT)high);
    }
    lua_pop(L, 1);
    return v;
}

/* server (world [, {cache_bytes, udp_max}]) */
static int new_server(lua_State *L)
{
    struct xk_dns_server_opts o = {{0, 0}, 0, UDP_DEFAULT};
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    struct server *s;
    int r;

    lua_settop(L, 2);
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        o.cache_bytes = (size_t)option(L, 2, "cache_bytes", 0, 0, 1 << 30);
        o.udp_max = (unsigned)option(L, 2, "udp_max", UDP_DEFAULT, 512, UDP_MOST);
    }
    s = xk_lua_new(L, SERVER, sizeof(*s), 2);
    xk_lua_adopt(L, &s->o, 1, server_shut);
    s->reply_room = ((o.udp_max + 63) & ~63u) | 64;
    r = xk_entropy(w->platform, o.seed, sizeof(o.seed));
    if (r >= 0)
        r = xk_dns_server_create(NULL, &o, &s->dns);
    if (r < 0) {
        xk_lua_shut(&s->o);
        return xk_lua_failf(L, r, "dns server");
    }
    return 1;
}

/* --- zones -------------------------------------------------------------------------------------------------------- */

static void push_name(lua_State *L, const uint8_t *name)
{
    char text[XK_DNS_NAME_TEXT_MAX];

    xk_dns_name_text(name, text, sizeof(text));
    lua_pushstring(L, text);
}

static void set_count(lua_State *L, const char *name, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, name);
}

/* load (origin or nil, text, source) - parses, and only then replaces the zone of the same apex. {apex, serial, names,
 * records, bytes}, or nil, "source:line:column: what", name: then all is as it was. */
static int server_load(lua_State *L)
{
    struct server *s = check_server(L);
    struct xk_dns_zone_opts o = {luaL_optstring(L, 2, NULL), 0, NULL, NULL};
    size_t n;
    const char *text = luaL_checklstring(L, 3, &n), *source = luaL_optstring(L, 4, "zone");
    struct xk_diag diag;
    struct xk_dns_zone *zone;
    struct xk_dns_zone_stats stats;
    int r;

    memset(&diag, 0, sizeof(diag));
    lua_settop(L, 4);
    lua_createtable(L, 0, 5); /* before anything is held that an error of Lua would leak */
    r = xk_dns_zone_load_with(NULL, &o, text, n, &diag, &zone);
    if (r < 0)
        return diag.err ? xk_lua_diag(L, &diag, source) : xk_lua_failf(L, r, source);
    r = xk_dns_server_set_zone(s->dns, zone);
    xk_dns_zone_unref(zone); /* the server has a reference of its own, and nobody else can drop it here */
    if (r < 0)
        return xk_lua_failf(L, r, source);
    xk_dns_zone_stats(zone, &stats);
    push_name(L, xk_dns_zone_apex(zone));
    lua_setfield(L, -2, "apex");
    set_count(L, "serial", xk_dns_zone_serial(zone));
    set_count(L, "names", stats.names);
    set_count(L, "records", stats.records);
    set_count(L, "bytes", stats.bytes);
    return 1;
}

/* drop (apex) */
static int server_drop(lua_State *L)
{
    struct server *s = check_server(L);
    const char *apex = luaL_checkstring(L, 2);
    int r = xk_dns_server_drop_zone(s->dns, apex);

    return r < 0 ? xk_lua_failf(L, r, apex) : xk_lua_ok(L, r);
}

static int server_flush(lua_State *L)
{
    xk_dns_server_flush(check_server(L)->dns);
    return 0;
}

/* --- hook --------------------------------------------------------------------------------------------------------- */

struct asked {
    const struct xk_dns_hook_question *question;
    struct xk_dns_hook *hook;
    int result;
};

/* Field (name) or, without one, (index) of the table at the top. */
static void push_field(lua_State *L, const char *name, int index)
{
    if (lua_getfield(L, -1, name) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    lua_geti(L, -1, index);
}

/* The record at the top: {type, rdata, ttl}, by name or by place. One of another type than the question's is passed
 * over, so that a hook may give all it has. */
static void add_record(lua_State *L, const struct asked *q, int i)
{
    struct xk_diag diag;
    size_t n;
    const char *text;
    lua_Integer ttl;
    int type;

    if (!lua_istable(L, -1))
        luaL_error(L, "record %d is a %s, not {type, rdata, ttl}", i, luaL_typename(L, -1));
    memset(&diag, 0, sizeof(diag));
    push_field(L, "type", 1);
    type = xk_lua_dns_type(L, -1);
    if (type < 0)
        luaL_error(L, "record %d: '%s' is no type", i, luaL_tolstring(L, -1, NULL));
    lua_pop(L, 1);
    push_field(L, "rdata", 2);
    text = lua_tolstring(L, -1, &n);
    if (!text)
        luaL_error(L, "record %d has no rdata", i);
    lua_insert(L, -2); /* kept below the record while its TTL is fetched */
    push_field(L, "ttl", 3);
    ttl = lua_tointeger(L, -1);
    if (ttl < 0 || ttl > INT32_MAX)
        luaL_error(L, "record %d: a TTL is 0 .. 2147483647", i);
    if (type == (int)q->question->type || q->question->type == XK_DNS_ANY || type == XK_DNS_CNAME)
        if (xk_dns_hook_add(q->hook, (unsigned)type, (uint32_t)ttl, text, n, &diag) < 0)
            luaL_error(L, "record %d: %s", i, diag.text);
    lua_pop(L, 3);
}

static int rcode_of(lua_State *L, int arg)
{
    const char *text;

    if (lua_isinteger(L, arg))
        return (int)xk_lua_integer(L, arg, 0, 15);
    text = luaL_checkstring(L, arg);
    for (unsigned i = 0; i < 16; i++)
        if (xk_dns_rcode_text(i) && strcmp(xk_dns_rcode_text(i), text) == 0)
            return (int)i;
    return luaL_error(L, "'%s' is no rcode; they are NOERROR, NXDOMAIN, REFUSED, ...", text);
}

/* What the function returned, at 3 and 4. */
static int understand(lua_State *L, const struct asked *q)
{
    switch (lua_type(L, 3)) {
    case LUA_TNIL:
        return XK_DNS_HOOK_PASS;
    case LUA_TBOOLEAN:
        if (lua_toboolean(L, 3))
            luaL_error(L, "a hook returns records, an rcode, nil or false");
        return XK_DNS_HOOK_DROP;
    case LUA_TTABLE:
        lua_settop(L, 4);
        for (int i = 1; lua_geti(L, 3, i) != LUA_TNIL; i++) {
            add_record(L, q, i);
            lua_settop(L, 4);
        }
        return XK_DNS_HOOK_ANSWER;
    default:
        xk_dns_hook_rcode(q->hook, (unsigned)rcode_of(L, 3));
        return XK_DNS_HOOK_ANSWER;
    }
}

/* run_hook (function, asked) - all of Lua that a question costs, protected by the caller. */
static int run_hook(lua_State *L)
{
    struct asked *q = lua_touserdata(L, 2);
    char type[12];

    xk_dns_type_text(q->question->type, type, sizeof(type));
    lua_pushvalue(L, 1);
    lua_pushstring(L, q->question->name);
    lua_pushstring(L, type);
    lua_pushstring(L, q->question->stage == XK_DNS_HOOK_BEFORE ? "before" : "after");
    lua_call(L, 3, 2);
    if (lua_toboolean(L, 4))
        xk_dns_hook_cache(q->hook);
    q->result = understand(L, q);
    return 0;
}

static int on_question(void *arg, const struct xk_dns_hook_question *question, struct xk_dns_hook *hook)
{
    struct server *s = arg;
    struct asked q = {question, hook, XK_EIO};
    lua_State *L = s->hook;
    const char *text = "out of stack";

    if (lua_checkstack(L, 4)) {
        lua_pushcfunction(L, run_hook);
        lua_pushvalue(L, 1);
        lua_pushlightuserdata(L, &q);
        if (lua_pcall(L, 2, 0, 0) == LUA_OK)
            return q.result;
        text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "an error that is not a string";
    }
    s->hook_errors++;
    strncpy(s->hook_error, text, sizeof(s->hook_error) - 1);
    lua_settop(L, 1);
    return XK_EIO;
}

/* hook (fn or nil [, "after", "before" or "both"]) - fn(name, type, stage) returns nil: as if there were no hook; a
 * list of {type, rdata, ttl}; an rcode, number or name; false: send nothing. True as a second value: the answer may be
 * cached. "after" asks only where the zones gave NXDOMAIN or REFUSED. */
static int server_hook(lua_State *L)
{
    static const char *const names[] = {"after", "before", "both", NULL};
    static const unsigned stages[] = {XK_DNS_HOOK_AFTER, XK_DNS_HOOK_BEFORE, XK_DNS_HOOK_AFTER | XK_DNS_HOOK_BEFORE};
    struct server *s = check_server(L);
    unsigned stage = stages[luaL_checkoption(L, 3, "after", names)];
    lua_State *thread;

    if (lua_isnoneornil(L, 2)) {
        xk_dns_server_set_hook(s->dns, NULL, NULL, 0);
        s->hook = NULL;
        lua_pushnil(L);
        lua_setiuservalue(L, 1, 2);
        return 0;
    }
    luaL_checktype(L, 2, LUA_TFUNCTION);
    thread = lua_newthread(L);
    lua_pushvalue(L, 2);
    lua_xmove(L, thread, 1);
    lua_setiuservalue(L, 1, 2);
    s->hook = thread;
    xk_dns_server_set_hook(s->dns, on_question, s, stage);
    return 0;
}

/* --- datagrams ---------------------------------------------------------------------------------------------------- */

static int receive(struct server *s, struct udp *u)
{
    int n;

    for (int i = 0; i < u->want; i++) {
        s->in[i].data = s->space + (size_t)i * QUERY_ROOM;
        s->in[i].len = QUERY_ROOM;
    }
    n = xk_handle_recv_many(u->handle, s->in, u->want);
    if (n <= 0)
        return n;
    s->udp.batches++;
    s->udp.received += (uint64_t)n;
    if (n == u->want && n < BATCH)
        u->want *= 2;
    else if (n < u->want / 4 && u->want > BATCH_LEAST)
        u->want /= 2;
    return n;
}

/* Returns how many replies there are; less than zero when a hook has closed the server. */
static int answer_batch(struct server *s, int n)
{
    uint8_t *reply = s->space + (size_t)BATCH * QUERY_ROOM;
    int k = 0;

    for (int i = 0; i < n; i++) {
        struct xk_datagram *in = &s->in[i], *out = &s->out[k];
        int len;
        if (in->truncated) {
            s->udp.oversize++;
            continue;
        }
        len = xk_dns_answer(s->dns, in->data, in->len, reply, s->reply_room, XK_DNS_UDP);
        if (s->dying)
            return XK_ECLOSED;
        if (len <= 0)
            continue;
        out->data = reply;
        out->len = (size_t)len;
        memcpy(out->peer, in->peer, sizeof(out->peer));
        out->peer_len = in->peer_len;
        reply += s->reply_room;
        k++;
    }
    return k;
}

/* A datagram that cannot go now is lost, as on any network; one that cannot go at all does not stop the others. */
static void send_batch(struct server *s, struct udp *u, int n)
{
    int at = 0;

    while (at < n) {
        int r = xk_handle_send_many(u->handle, s->out + at, n - at);
        if (r == XK_EAGAIN)
            break;
        if (r > 0) {
            s->udp.sent += (uint64_t)r;
            at += r;
        } else {
            s->udp.unsent++;
            at++;
        }
    }
    s->udp.unsent += (uint64_t)(n - at);
}

static void failed(struct server *s, struct udp *u)
{
    s->udp.failures++;
    if (++u->failures == FAILURES_MOST)
        xk_acceptor_stop(s->o.world->loop, &u->a); /* it would be ready for ever */
}

/* One batch. 1: there may be more; 0: no, or the server is gone. */
static int serve_batch(struct server *s, struct udp *u, int first)
{
    int n = receive(s, u), k;

    if (n <= 0) {
        if (n != XK_EAGAIN && n != 0)
            failed(s, u);
        s->udp.empty++;
        if (!first) {
            u->skip = u->skip == 0 ? 1 : u->skip < SKIP_MOST ? u->skip * 2 : SKIP_MOST;
            u->skipped = 0;
        }
        return 0;
    }
    u->failures = 0;
    k = answer_batch(s, n);
    if (k < 0)
        return 0;
    send_batch(s, u, k);
    if (!first)
        u->skip = 0;
    return 1;
}

/* While replies go out new queries come in, so looking again is cheaper than asking the kernel whether to look; where
 * that finds nothing it is left out more and more. The bound keeps a flood from holding the loop. */
static void on_udp(struct xk_acceptor *a)
{
    struct udp *u = (struct udp *)(void *)a;
    struct server *s = u->server;

    s->busy++;
    s->udp.wakeups++;
    for (int round = 0; round < ROUNDS && serve_batch(s, u, round == 0); round++)
        if (u->skipped < u->skip) {
            u->skipped++;
            break;
        }
    leave(s);
}

static int make_space(struct server *s)
{
    if (!s->space)
        s->space = xk_new(NULL, space_size(s));
    return s->space ? 0 : XK_ENOMEM;
}

/* serve_udp (handle) - answers what comes at a datagram descriptor, which belongs to the server from now on. The server
 * lives as long as the world, then, or until it is closed. */
static int server_serve_udp(lua_State *L)
{
    struct server *s = check_server(L);
    int handle = (int)xk_lua_integer(L, 2, 0, INT32_MAX), r = 0;
    struct udp *u;

    keep(L);
    if (xk_handle_kind(handle) != XK_HANDLE_DATAGRAM)
        r = XK_EBADF;
    else if (s->listener_count == LISTENERS_MOST)
        r = XK_EMFILE;
    else
        r = make_space(s);
    u = r < 0 ? NULL : xk_new(NULL, sizeof(*u));
    if (u) {
        u->a.fn = on_udp;
        u->server = s;
        u->handle = handle;
        u->want = BATCH_LEAST;
        r = xk_acceptor_start(s->o.world->loop, &u->a, handle);
    }
    if (!u || r < 0) {
        xk_free(NULL, u, sizeof(*u));
        xk_handle_close(handle);
        return xk_lua_failf(L, r < 0 ? r : XK_ENOMEM, "serve_udp");
    }
    u->next = s->listeners;
    s->listeners = u;
    s->listener_count++;
    lua_pushboolean(L, 1);
    return 1;
}

/* --- one message -------------------------------------------------------------------------------------------------- */

/* answer (query [, "udp" or "tcp"]) - the reply; nil, text when there is none to be sent. */
static int server_answer(lua_State *L)
{
    static const char *const names[] = {"udp", "tcp", NULL};
    struct server *s = check_server(L);
    size_t n;
    const char *query = luaL_checklstring(L, 2, &n);
    int tcp = luaL_checkoption(L, 3, "udp", names), len;

    if (!s->large)
        s->large = xk_new(NULL, XK_DNS_MESSAGE_MAX);
    if (!s->large)
        return xk_lua_fail(L, XK_ENOMEM);
    s->busy++;
    len = xk_dns_answer(s->dns, (const uint8_t *)query, n, s->large, XK_DNS_MESSAGE_MAX, tcp ? XK_DNS_TCP : XK_DNS_UDP);
    if (s->dying)
        len = XK_ECLOSED;
    leave(s);
    if (len < 0)
        return xk_lua_fail(L, len);
    if (len > 0) {
        lua_pushlstring(L, (const char *)s->large, (size_t)len);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "nothing is to be sent");
    return 2;
}

/* --- counters ----------------------------------------------------------------------------------------------------- */

static void push_udp_stats(lua_State *L, const struct udp_stats *u)
{
    lua_createtable(L, 0, 8);
    set_count(L, "wakeups", u->wakeups);
    set_count(L, "batches", u->batches);
    set_count(L, "received", u->received);
    set_count(L, "sent", u->sent);
    set_count(L, "unsent", u->unsent);
    set_count(L, "oversize", u->oversize);
    set_count(L, "empty", u->empty);
    set_count(L, "failures", u->failures);
}

static int server_stats(lua_State *L)
{
    struct server *s = xk_lua_check_object(L, 1, SERVER, "dns server");
    struct xk_dns_stats d;

    xk_dns_server_stats(s->dns, &d);
    lua_createtable(L, 0, 16);
    set_count(L, "queries", d.queries);
    set_count(L, "cache_hits", d.cache_hits);
    set_count(L, "cache_misses", d.cache_misses);
    set_count(L, "cache_stores", d.cache_stores);
    set_count(L, "cache_bytes", d.cache_bytes);
    set_count(L, "dropped", d.dropped);
    if (d.malformed) {
        lua_pushstring(L, d.malformed);
        lua_setfield(L, -2, "malformed");
    }
    set_count(L, "truncated", d.truncated);
    set_count(L, "hook_calls", d.hook_calls);
    set_count(L, "hook_errors", s->hook_errors);
    set_count(L, "zones", d.zones);
    if (s->hook_errors) {
        lua_pushstring(L, s->hook_error);
        lua_setfield(L, -2, "hook_error");
    }
    lua_createtable(L, 0, 8);
    for (unsigned i = 0; i < XK_DNS_RCODES; i++)
        if (d.rcode[i])
            set_count(L, xk_dns_rcode_text(i) ? xk_dns_rcode_text(i) : "other", d.rcode[i]);
    lua_setfield(L, -2, "rcode");
    push_udp_stats(L, &s->udp);
    lua_setfield(L, -2, "udp");
    return 1;
}

static const luaL_Reg methods[] = {
    {"load", server_load},   {"drop", server_drop},           {"flush", server_flush},
    {"hook", server_hook},   {"serve_udp", server_serve_udp}, {"answer", server_answer},
    {"stats", server_stats}, {"close", server_close},         {NULL, NULL},
};

int luaopen_xenkit_core_dns(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"server", new_server}, {"query", xk_lua_dns_query}, {"decode", xk_lua_dns_decode}, {NULL, NULL}};

    xk_lua_type(L, SERVER, methods, server_close);
    luaL_newlib(L, functions);
    return 1;
}
