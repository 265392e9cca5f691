/* The store's service for xenkit.core.store: transports, state and journal, and the policy, whose hooks are Lua
 * functions. The hooks are the one place where C calls Lua while it works for somebody else: each runs protected, with
 * a budget, and cannot wait. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <xenkit/buf.h>
#include <xenkit/file.h>
#include <xenkit/handle.h>
#include <xenkit/store_service.h>
#include <xenkit/store_wire.h>

#include "bindings/store_service.h"
#include "bindings/world.h"

enum { PROBLEMS_MAX = 4096 };

struct service {
    struct xk_lua_object o;
    struct xk_store_service *service;
    int handle;
    struct xk_buf problems; /* lines, each with its NUL */
    lua_Integer id;
    lua_State *hooks; /* the policy's thread, anchored as a user value */
    int table;        /* of the hooks, in the registry */
    int budget;
};
#define SERVICE "xenkit.store.service"

static void service_shut(struct xk_lua_object *o)
{
    struct service *s = (struct service *)o;

    xk_store_service_destroy(s->service);
    xk_handle_close(s->handle);
    xk_lua_note(o->world, s->id);
    s->id = 0;
    xk_buf_fini(&s->problems);
}

static void stop_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    luaL_error(L, "it used up its budget of instructions");
}

static void on_problem(void *arg, const char *line)
{
    struct service *s = arg;
    lua_Integer id = s->id;

    (void)!xk_buf_put(&s->problems, line, strlen(line) + 1); /* a flood is cut: the first ones tell enough */
    s->id = 0;
    xk_lua_note(s->o.world, id);
}

static void on_update(void *arg) { on_problem(arg, "live update"); }

/* problem (id) - "live update" when somebody asks for one, or a line about a peer that broke the protocol; or nil, and
 * (id) comes true with the next. */
static int service_problem(lua_State *L)
{
    struct service *s = xk_lua_check_object(L, 1, SERVICE, "store service");
    const char *line = (const char *)xk_buf_head(&s->problems);

    if (!xk_buf_len(&s->problems)) {
        s->id = luaL_checkinteger(L, 2);
        lua_pushnil(L);
        return 1;
    }
    lua_pushstring(L, line);
    xk_buf_take(&s->problems, strlen(line) + 1);
    return 1;
}

int xk_lua_store_service(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    struct service *s = xk_lua_new(L, SERVICE, sizeof(*s), 2);
    int r;

    s->handle = -1;
    s->table = LUA_NOREF;
    xk_buf_init(&s->problems, NULL, PROBLEMS_MAX);
    xk_lua_adopt(L, &s->o, 1, service_shut);
    r = xk_store_service_create(NULL, w->loop, NULL, &s->service);
    if (r < 0) {
        s->service = NULL;
        xk_lua_shut(&s->o);
        return xk_lua_failf(L, r, "store service");
    }
    xk_store_service_set_log(s->service, on_problem, s);
    xk_store_service_set_update(s->service, on_update, s);
    return 1;
}

static int service_introduce(lua_State *L)
{
    struct service *s = xk_lua_check_object(L, 1, SERVICE, "store service");

    return xk_lua_ok(L, xk_store_service_introduce(s->service, (xk_domid)xk_lua_integer(L, 2, 0, 0x7fff),
                                                   (xk_port)xk_lua_integer(L, 3, 0, INT32_MAX)));
}

/* listen (handle) - which belongs to the service from now on. */
static int service_listen(lua_State *L)
{
    struct service *s = xk_lua_check_object(L, 1, SERVICE, "store service");
    int handle = (int)xk_lua_integer(L, 2, 0, INT32_MAX), r = xk_store_service_listen(s->service, handle);

    if (r == 0)
        s->handle = handle;
    return xk_lua_ok(L, r);
}

/* --- a state that goes on --- */

static int fail_diag(lua_State *L, int r, const struct xk_diag *d)
{
    lua_pushnil(L);
    lua_pushstring(L, d->text[0] ? d->text : xk_err_text(r));
    lua_pushstring(L, xk_err_name(r));
    return 3;
}

static int check_file(lua_State *L, int arg, struct xk_file **file)
{
    return xk_file_from_handle(NULL, (int)xk_lua_integer(L, arg, 0, INT32_MAX), file);
}

/* save (handle) - stops serving and writes the whole state there; the descriptor is closed. */
static int service_save(lua_State *L)
{
    struct service *s = xk_lua_check_object(L, 1, SERVICE, "store service");
    struct xk_file *file;
    int r = check_file(L, 2, &file);

    if (r < 0)
        return xk_lua_fail(L, r);
    r = xk_store_service_save(s->service, file);
    xk_file_close(file);
    return xk_lua_ok(L, r);
}

enum { SOCKETS_MAX = 16384 };

/* load (handle, sockets) - continues with the state there. (sockets): descriptor of then = descriptor of now. */
static int service_load(lua_State *L)
{
    struct service *s = xk_lua_check_object(L, 1, SERVICE, "store service");
    struct xk_diag diag = {0};
    struct xk_file *file;
    int64_t size;
    size_t count = 0;
    void *bytes;
    int *fds, r;

    luaL_checktype(L, 3, LUA_TTABLE);
    r = check_file(L, 2, &file);
    if (r < 0)
        return xk_lua_fail(L, r);
    size = xk_file_size(file);
    fds = lua_newuserdatauv(L, SOCKETS_MAX * 2 * sizeof(*fds), 0);
    bytes = lua_newuserdatauv(L, size > 0 ? (size_t)size : 1, 0);
    for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
        if (count == SOCKETS_MAX)
            continue;
        fds[2 * count] = (int)lua_tointeger(L, -2);
        fds[2 * count++ + 1] = (int)lua_tointeger(L, -1);
    }
    r = xk_file_read(file, bytes, (size_t)size, 0);
    xk_file_close(file);
    r = r != size ? XK_EIO : xk_store_service_load(s->service, bytes, (size_t)size, fds, count, &diag);
    return r < 0 ? fail_diag(L, r, &diag) : xk_lua_ok(L, r);
}

/* journal (handle, handle) - keeps the state in two files. -> true: a state was in them, false: none was */
static int service_journal(lua_State *L)
{
    struct service *s = xk_lua_check_object(L, 1, SERVICE, "store service");
    struct xk_diag diag = {0};
    struct xk_file *a = NULL, *b = NULL;
    int r = check_file(L, 2, &a);

    if (r == 0)
        r = check_file(L, 3, &b);
    if (r < 0) {
        xk_file_close(a);
        return xk_lua_fail(L, r);
    }
    r = xk_store_service_journal(s->service, a, b, &diag);
    if (r < 0)
        return fail_diag(L, r, &diag);
    lua_pushboolean(L, r);
    return 1;
}

static int service_connected(lua_State *L)
{
    struct service *s = xk_lua_check_object(L, 1, SERVICE, "store service");

    lua_pushboolean(L, xk_store_service_connected(s->service, (xk_domid)xk_lua_integer(L, 2, 0, 0x7fff)));
    return 1;
}

static int service_stats(lua_State *L)
{
    struct service *s = xk_lua_check_object(L, 1, SERVICE, "store service");
    struct xk_store_stats st;
    uint64_t total = 0;

    xk_store_server_stats(xk_store_service_server(s->service), &st);
    for (int i = 0; i < XK_STORE_OP_COUNT; i++)
        total += st.requests[i];
    lua_createtable(L, 0, 12);
#define FIELD(name, value) (lua_pushinteger(L, (lua_Integer)(value)), lua_setfield(L, -2, name))
    FIELD("requests", total);
    FIELD("errors", st.errors);
    FIELD("nodes", st.nodes);
    FIELD("watches", st.watches);
    FIELD("transactions", st.transactions);
    FIELD("connections", st.connections);
    FIELD("domains", st.domains);
    FIELD("commits", st.commits);
    FIELD("conflicts", st.conflicts);
    FIELD("events", st.events_queued);
    FIELD("memory", st.memory);
#undef FIELD
    return 1;
}

/* --- the policy --- */

/* What hooks run on: a thread of their own, so that no other one's stack is touched. Its error, or that it took too
 * long, ends the hook and not the request: it is off from then on, and that is said. */
static int call_hook(struct service *s, int nargs, int nresults)
{
    lua_State *L = s->hooks;
    int r;

    lua_sethook(L, stop_hook, LUA_MASKCOUNT, s->budget);
    r = lua_pcall(L, nargs, nresults, 0);
    lua_sethook(L, NULL, 0, 0);
    if (s->o.world)
        s->o.world->ran = 1;
    return r;
}

/* The table of hooks, and in it (name): on the stack, or 0 and nothing. */
static int push_hook(struct service *s, const char *name)
{
    if (!s->hooks || !lua_checkstack(s->hooks, 16))
        return 0;
    lua_rawgeti(s->hooks, LUA_REGISTRYINDEX, s->table);
    if (lua_getfield(s->hooks, -1, name) == LUA_TFUNCTION) {
        lua_remove(s->hooks, -2);
        return 1;
    }
    lua_settop(s->hooks, 0);
    return 0;
}

static void hook_failed(struct service *s, const char *name)
{
    char line[300];

    snprintf(line, sizeof(line), "policy: %s: %s; it is off from now on", name,
             lua_isstring(s->hooks, -1) ? lua_tostring(s->hooks, -1) : "an error that is no text");
    lua_rawgeti(s->hooks, LUA_REGISTRYINDEX, s->table);
    lua_pushnil(s->hooks);
    lua_setfield(s->hooks, -2, name);
    lua_settop(s->hooks, 0);
    on_problem(s, line);
}

/* domid, operation, first string of the payload (mostly the path), the rest. */
static int push_request(lua_State *L, unsigned domid, uint32_t type, const char *payload, size_t n)
{
    const char *nul = memchr(payload, 0, n);
    size_t first = nul ? (size_t)(nul - payload) : n;

    lua_pushinteger(L, domid);
    lua_pushstring(L, xk_store_op_name(type));
    lua_pushlstring(L, payload, first);
    lua_pushlstring(L, nul ? nul + 1 : "", nul ? n - first - 1 : 0);
    return 4;
}

/* true: yes. false, or false and an error's name: no. */
static int on_permit(void *arg, unsigned domid, uint32_t type, const char *payload, size_t n)
{
    struct service *s = arg;
    const char *name;
    int r = 0;

    if (!push_hook(s, "permit"))
        return 0;
    push_request(s->hooks, domid, type, payload, n);
    if (call_hook(s, 4, 2) != LUA_OK) {
        hook_failed(s, "permit");
        return 0;
    }
    if (!lua_toboolean(s->hooks, -2)) {
        name = lua_tostring(s->hooks, -1);
        r = name ? xk_store_error_code(name, strlen(name)) : XK_EACCES;
    }
    lua_settop(s->hooks, 0);
    return r;
}

static void on_audit(void *arg, unsigned domid, uint32_t type, const char *payload, size_t n, int err)
{
    struct service *s = arg;

    if (!push_hook(s, "audit"))
        return;
    push_request(s->hooks, domid, type, payload, n);
    if (err < 0)
        lua_pushstring(s->hooks, xk_store_error_name(err));
    else
        lua_pushnil(s->hooks);
    if (call_hook(s, 5, 0) != LUA_OK)
        hook_failed(s, "audit");
    lua_settop(s->hooks, 0);
}

/* The words in a row; the answer is text, or nil and an error's name. */
static long on_control(void *arg, const char *words, size_t n, char *out, size_t room)
{
    struct service *s = arg;
    const char *text;
    size_t len = 0, at = 0;
    long r = XK_EINVAL;
    int count = 0;

    if (!push_hook(s, "control"))
        return XK_EINVAL;
    for (const char *nul; at < n && count < 10 && (nul = memchr(words + at, 0, n - at)); count++) {
        lua_pushlstring(s->hooks, words + at, (size_t)(nul - words) - at);
        at = (size_t)(nul - words) + 1;
    }
    if (call_hook(s, count, 2) != LUA_OK) {
        hook_failed(s, "control");
        return XK_EINVAL;
    }
    text = lua_tolstring(s->hooks, -2, &len);
    if (text && len < room) {
        memcpy(out, text, len);
        out[len] = 0;
        r = (long)len + 1;
    } else if (!text && lua_isstring(s->hooks, -1)) {
        r = xk_store_error_code(lua_tostring(s->hooks, -1), strlen(lua_tostring(s->hooks, -1)));
    }
    lua_settop(s->hooks, 0);
    return r;
}

static const struct xk_store_policy policy = {on_permit, on_audit, on_control};

static uint32_t check_ops(lua_State *L, const char *field)
{
    uint32_t mask = 0;

    if (lua_getfield(L, 2, field) == LUA_TTABLE)
        for (lua_Integer i = 1; lua_geti(L, -1, i) != LUA_TNIL; i++, lua_pop(L, 1)) {
            const char *name = luaL_checkstring(L, -1);
            uint32_t type = 0;
            while (type < XK_STORE_OP_COUNT && (!xk_store_op_name(type) || strcmp(xk_store_op_name(type), name)))
                type++;
            if (type == XK_STORE_OP_COUNT)
                luaL_error(L, "%s: no operation '%s'", field, name);
            mask |= 1u << type;
        }
    lua_settop(L, 2);
    return mask;
}

/* hooks {permit, audit, control = functions, permit_ops, audit_ops = lists of names, budget = instructions} */
static int service_hooks(lua_State *L)
{
    struct service *s = xk_lua_check_object(L, 1, SERVICE, "store service");
    uint32_t permit, audit;

    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    permit = check_ops(L, "permit_ops");
    audit = check_ops(L, "audit_ops");
    lua_getfield(L, 2, "budget");
    s->budget = (int)luaL_optinteger(L, -1, 10000);
    luaL_argcheck(L, s->budget > 0, 2, "budget must be above 0");
    if (!s->hooks) {
        s->hooks = lua_newthread(L);
        lua_setiuservalue(L, 1, 2);
    }
    luaL_unref(L, LUA_REGISTRYINDEX, s->table);
    lua_pushvalue(L, 2);
    s->table = luaL_ref(L, LUA_REGISTRYINDEX);
    xk_store_service_set_policy(s->service, &policy, s);
    xk_store_server_hooks(xk_store_service_server(s->service), permit, audit);
    return 0;
}

/* quota (domid, name, value) */
static int service_quota(lua_State *L)
{
    struct service *s = xk_lua_check_object(L, 1, SERVICE, "store service");

    return xk_lua_ok(L, xk_store_server_quota(xk_store_service_server(s->service),
                                              (unsigned)xk_lua_integer(L, 2, 0, 0x7fef), luaL_checkstring(L, 3),
                                              (uint32_t)xk_lua_integer(L, 4, 0, 0x7fffffff)));
}

/* ask (operation, payload) - one request of its own, with all rights. Not from a hook. */
static int service_ask(lua_State *L)
{
    struct service *s = xk_lua_check_object(L, 1, SERVICE, "store service");
    char out[XK_STORE_PAYLOAD_MAX];
    size_t n;
    const char *payload = luaL_checklstring(L, 3, &n);
    long r = xk_store_service_do(s->service, (uint32_t)xk_lua_integer(L, 2, 0, XK_STORE_OP_COUNT), payload, n, out,
                                 sizeof(out));

    if (r < 0)
        return xk_lua_fail(L, (int)r);
    lua_pushlstring(L, out, (size_t)r);
    return 1;
}

static int service_close(lua_State *L)
{
    struct service *s = luaL_checkudata(L, 1, SERVICE);

    luaL_unref(L, LUA_REGISTRYINDEX, s->table);
    s->table = LUA_NOREF;
    xk_lua_shut(luaL_checkudata(L, 1, SERVICE));
    return 0;
}

static const luaL_Reg service_methods[] = {{"introduce", service_introduce},
                                           {"listen", service_listen},
                                           {"stats", service_stats},
                                           {"problem", service_problem},
                                           {"save", service_save},
                                           {"load", service_load},
                                           {"journal", service_journal},
                                           {"connected", service_connected},
                                           {"hooks", service_hooks},
                                           {"quota", service_quota},
                                           {"ask", service_ask},
                                           {"close", service_close},
                                           {NULL, NULL}};

void xk_lua_store_service_type(lua_State *L) { xk_lua_type(L, SERVICE, service_methods, service_close); }
