/* xenkit.core.store - the store's client and its service. Requests are started with a wait number; the answer is
 * fetched when the number has come true. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/store.h>
#include <xenkit/file.h>
#include <xenkit/handle.h>
#include <xenkit/store_service.h>

#include "bindings/stream.h"

int luaopen_xenkit_core_store(lua_State *L);

enum { EVENTS_MAX = 65536, PROBLEMS_MAX = 4096 };

struct client {
    struct xk_lua_object o;
    struct xk_store *store;
};
#define CLIENT "xenkit.store"

struct request {
    struct xk_store_call call; /* first */
    struct xk_lua_world *world;
    struct xk_buf data;
    lua_Integer id;
    int done, err;
};
#define REQUEST "xenkit.store.request"

struct watch {
    struct xk_lua_object o;
    struct xk_store_watch watch;
    struct client *client;
    struct xk_buf events; /* paths, each with its NUL */
    lua_Integer id;
    unsigned lost;
};
#define WATCH "xenkit.store.watch"

static struct client *check_client(lua_State *L, int arg) { return xk_lua_check_object(L, arg, CLIENT, "store"); }

static void client_shut(struct xk_lua_object *o) { xk_store_close(((struct client *)o)->store); }

static int client_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, CLIENT));
    return 0;
}

/* open (world [, stream]) - over the domain's own ring page, or over (stream), which it takes. */
static int client_open(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    struct client *c;
    int r;

    lua_settop(L, 2);
    c = xk_lua_new(L, CLIENT, sizeof(*c), 2);
    xk_lua_adopt(L, &c->o, 1, client_shut);
    if (lua_isnil(L, 2)) {
        r = xk_store_open_domain(NULL, w->loop, &c->store);
    } else {
        struct xk_lua_stream *s = xk_lua_check_stream(L, 2);
        struct xk_stream *stream = s->stream;
        s->stream = NULL;
        xk_lua_shut(&s->o);
        r = xk_store_open(NULL, w->loop, stream, &c->store);
        if (r == 0 && !strcmp(xk_platform_name(w->platform), "xen"))
            xk_store_one_by_one(c->store); /* it may be the device */
    }
    if (r < 0) {
        c->store = NULL;
        xk_lua_shut(&c->o);
        return xk_lua_failf(L, r, "store");
    }
    return 1;
}

static void on_answer(struct xk_store_call *call, int err, const uint8_t *data, size_t n)
{
    struct request *q = (struct request *)call;

    q->done = 1;
    q->err = err;
    if (err == 0 && xk_buf_put(&q->data, data, n) < 0)
        q->err = XK_ENOMEM;
    xk_lua_note(q->world, q->id);
}

/* start (id, type, tx, payload) - a request; its answer is fetched with request:result() when (id) came true. */
static int client_start(lua_State *L)
{
    struct client *c = check_client(L, 1);
    lua_Integer id = luaL_checkinteger(L, 2);
    uint32_t type = (uint32_t)xk_lua_integer(L, 3, 0, XK_STORE_OP_COUNT), tx = (uint32_t)luaL_checkinteger(L, 4);
    struct xk_store_piece piece;
    struct request *q;
    int r;

    piece.base = luaL_checklstring(L, 5, &piece.len);
    q = xk_lua_new(L, REQUEST, sizeof(*q), 1);
    xk_buf_init(&q->data, NULL, XK_STORE_PAYLOAD_MAX);
    q->call.fn = on_answer;
    q->world = c->o.world;
    q->id = id;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    r = xk_store_call_start(c->store, &q->call, type, tx, &piece, 1);
    if (r < 0)
        return xk_lua_fail(L, r);
    return 1;
}

static int request_result(lua_State *L)
{
    struct request *q = luaL_checkudata(L, 1, REQUEST);

    if (!q->done)
        return xk_lua_fail(L, XK_EAGAIN);
    if (q->err < 0)
        return xk_lua_fail(L, q->err);
    lua_pushlstring(L, xk_buf_len(&q->data) ? (const char *)xk_buf_head(&q->data) : "", xk_buf_len(&q->data));
    return 1;
}

static int request_close(lua_State *L)
{
    struct request *q = luaL_checkudata(L, 1, REQUEST);

    xk_store_call_cancel(NULL, &q->call);
    xk_buf_fini(&q->data);
    return 0;
}

/* --- watches --- */

static void on_event(struct xk_store_watch *watch, const char *path)
{
    struct watch *w = (struct watch *)(void *)((char *)watch - offsetof(struct watch, watch));
    lua_Integer id = w->id;

    if (xk_buf_put(&w->events, path, strlen(path) + 1) < 0)
        w->lost++;
    w->id = 0;
    xk_lua_note(w->o.world, id);
}

/* The path is needed again to take the watch back; it lies behind the struct. */
struct watch_with_path {
    struct watch w;
    char path[];
};

static void watch_shut(struct xk_lua_object *o)
{
    struct watch_with_path *w = (struct watch_with_path *)o;

    if (w->w.client->o.world && w->w.client->store)
        xk_store_watch_remove(w->w.client->store, &w->w.watch, w->path);
    xk_lua_note(o->world, w->w.id);
    w->w.id = 0;
    xk_buf_fini(&w->w.events);
}

/* watch (id, path) - a watch and the request that registers it. */
static int client_watch(lua_State *L)
{
    struct client *c = check_client(L, 1);
    lua_Integer id = luaL_checkinteger(L, 2);
    size_t n;
    const char *path = luaL_checklstring(L, 3, &n);
    struct watch_with_path *w;
    struct request *q;
    int r;

    lua_getiuservalue(L, 1, 1); /* the world */
    w = xk_lua_new(L, WATCH, sizeof(*w) + n + 1, 2);
    memcpy(w->path, path, n + 1);
    xk_buf_init(&w->w.events, NULL, EVENTS_MAX);
    w->w.watch.fn = on_event;
    w->w.client = c;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 2);
    q = xk_lua_new(L, REQUEST, sizeof(*q), 1);
    xk_buf_init(&q->data, NULL, XK_STORE_PAYLOAD_MAX);
    q->call.fn = on_answer;
    q->world = c->o.world;
    q->id = id;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, -2);
    xk_lua_adopt(L, &w->w.o, lua_gettop(L) - 3, watch_shut);
    lua_pop(L, 1);
    r = xk_store_watch_add(c->store, &w->w.watch, path, &q->call);
    if (r < 0) {
        xk_lua_shut(&w->w.o);
        return xk_lua_fail(L, r);
    }
    return 2;
}

/* next (id) - the path of the next event; or nil, and (id) comes true with one. */
static int watch_next(lua_State *L)
{
    struct watch *w = xk_lua_check_object(L, 1, WATCH, "watch");
    const char *path = (const char *)xk_buf_head(&w->events);

    if (!xk_buf_len(&w->events)) {
        w->id = luaL_checkinteger(L, 2);
        lua_pushnil(L);
        return 1;
    }
    lua_pushstring(L, path);
    xk_buf_take(&w->events, strlen(path) + 1);
    return 1;
}

static int watch_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, WATCH));
    return 0;
}

/* --- the service --- */

struct service {
    struct xk_lua_object o;
    struct xk_store_service *service;
    int handle;
    struct xk_buf problems; /* lines, each with its NUL */
    lua_Integer id;
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

static void on_problem(void *arg, const char *line)
{
    struct service *s = arg;
    lua_Integer id = s->id;

    (void)!xk_buf_put(&s->problems, line, strlen(line) + 1); /* a flood is cut: the first ones tell enough */
    s->id = 0;
    xk_lua_note(s->o.world, id);
}

static void on_update(void *arg) { on_problem(arg, "live update"); }

/* problem (id) - "live update" when somebody asks for one, or a line about a peer that broke the protocol; or nil, and (id) comes true with the next. */
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

static int service_new(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    struct service *s = xk_lua_new(L, SERVICE, sizeof(*s), 1);
    int r;

    s->handle = -1;
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

static int service_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, SERVICE));
    return 0;
}

static const luaL_Reg client_methods[] = {
    {"start", client_start}, {"watch", client_watch}, {"close", client_close}, {NULL, NULL}};
static const luaL_Reg request_methods[] = {{"result", request_result}, {NULL, NULL}};
static const luaL_Reg watch_methods[] = {{"next", watch_next}, {"close", watch_close}, {NULL, NULL}};
static const luaL_Reg service_methods[] = {{"introduce", service_introduce}, {"listen", service_listen},
                                           {"stats", service_stats},         {"problem", service_problem},
                                           {"save", service_save},           {"load", service_load},
                                           {"journal", service_journal},     {"connected", service_connected},
                                           {"close", service_close},         {NULL, NULL}};

int luaopen_xenkit_core_store(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", client_open}, {"service", service_new}, {NULL, NULL}};

    xk_lua_type(L, CLIENT, client_methods, client_close);
    xk_lua_type(L, REQUEST, request_methods, request_close);
    xk_lua_type(L, WATCH, watch_methods, watch_close);
    xk_lua_type(L, SERVICE, service_methods, service_close);
    luaL_newlib(L, functions);
#define OP(name, number) (lua_pushinteger(L, number), lua_setfield(L, -2, #name));
    XK_STORE_OP_MAP(OP)
#undef OP
    return 1;
}
