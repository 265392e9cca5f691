/* xenkit.core.store - the store's client; its service is in store_service.c. Requests are started with a wait number;
 * the answer is fetched when the number has come true. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/store.h>
#include <xenkit/handle.h>

#include "bindings/store.h"
#include "bindings/store_service.h"
#include "bindings/stream.h"

int luaopen_xenkit_core_store(lua_State *L);

enum { EVENTS_MAX = 65536 };

struct client {
    struct xk_lua_object o;
    struct xk_store *store;
    struct xk_lua_store_user *users;
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
    int broken; /* the error that ended the connection */
};
#define WATCH "xenkit.store.watch"

static struct client *check_client(lua_State *L, int arg) { return xk_lua_check_object(L, arg, CLIENT, "store"); }

static void client_shut(struct xk_lua_object *o)
{
    struct client *c = (struct client *)o;

    while (c->users)
        xk_lua_shut(c->users->object); /* which takes itself off the list */
    xk_store_close(c->store);
}

struct xk_store *xk_lua_store_use(lua_State *L, int arg, struct xk_lua_store_user *user, struct xk_lua_object *object)
{
    struct client *c = check_client(L, arg);

    user->object = object;
    user->next = c->users;
    user->link = &c->users;
    if (user->next)
        user->next->link = &user->next;
    c->users = user;
    return c->store;
}

void xk_lua_store_unuse(struct xk_lua_store_user *user)
{
    if (!user->link)
        return;
    *user->link = user->next;
    if (user->next)
        user->next->link = user->link;
    user->link = NULL;
}

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

/* With a value: path, generation, both with their NUL, four bytes of length, value. */
static void on_value(struct xk_store_watch *watch, const char *path, const char *generation, const void *value,
                     size_t n)
{
    struct watch *w = (struct watch *)(void *)((char *)watch - offsetof(struct watch, watch));
    size_t a = strlen(path) + 1, b = strlen(generation) + 1;
    uint32_t len = (uint32_t)n;
    lua_Integer id = w->id;
    uint8_t *p;

    if (xk_buf_reserve(&w->events, a + b + sizeof(len) + n, &p) < 0) {
        w->lost++;
    } else {
        memcpy(p, path, a);
        memcpy(p + a, generation, b);
        memcpy(p + a + b, &len, sizeof(len));
        if (n)
            memcpy(p + a + b + sizeof(len), value, n);
        xk_buf_wrote(&w->events, a + b + sizeof(len) + n);
    }
    w->id = 0;
    xk_lua_note(w->o.world, id);
}

static void on_broken(struct xk_store_watch *watch, int err)
{
    struct watch *w = (struct watch *)(void *)((char *)watch - offsetof(struct watch, watch));
    lua_Integer id = w->id;

    w->broken = err;
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

/* watch (id, path, value) - a watch and the request that registers it. (value): events carry values. */
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
    w->w.watch.broken_fn = on_broken;
    w->w.watch.value_fn = lua_toboolean(L, 4) ? on_value : NULL;
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

/* value, generation; or nothing: it is to be read. */
static int push_value(lua_State *L, struct watch *w)
{
    const char *generation = (const char *)xk_buf_head(&w->events);
    size_t n = strlen(generation) + 1;
    uint32_t len;

    memcpy(&len, generation + n, sizeof(len));
    if (n > 1) {
        lua_pushlstring(L, generation + n + sizeof(len), len);
        lua_pushstring(L, generation);
    }
    xk_buf_take(&w->events, n + sizeof(len) + len);
    return n > 1 ? 2 : 0;
}

/* next (id) - the path of the next event, and its value and generation where they are known; or nil, and (id) comes
 * true with one; or nil, message, code when none will come any more. */
static int watch_next(lua_State *L)
{
    struct watch *w = xk_lua_check_object(L, 1, WATCH, "watch");
    const char *path = (const char *)xk_buf_head(&w->events);

    if (!xk_buf_len(&w->events) && w->broken)
        return xk_lua_fail(L, w->broken);
    if (!xk_buf_len(&w->events)) {
        w->id = luaL_checkinteger(L, 2);
        lua_pushnil(L);
        return 1;
    }
    lua_pushstring(L, path);
    xk_buf_take(&w->events, strlen(path) + 1);
    return w->watch.value_fn ? 1 + push_value(L, w) : 1;
}

static int watch_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, WATCH));
    return 0;
}

static const luaL_Reg client_methods[] = {
    {"start", client_start}, {"watch", client_watch}, {"close", client_close}, {NULL, NULL}};
static const luaL_Reg request_methods[] = {{"result", request_result}, {NULL, NULL}};
static const luaL_Reg watch_methods[] = {{"next", watch_next}, {"close", watch_close}, {NULL, NULL}};
int luaopen_xenkit_core_store(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", client_open}, {"service", xk_lua_store_service}, {NULL, NULL}};

    xk_lua_type(L, CLIENT, client_methods, client_close);
    xk_lua_type(L, REQUEST, request_methods, request_close);
    xk_lua_type(L, WATCH, watch_methods, watch_close);
    xk_lua_store_service_type(L);
    luaL_newlib(L, functions);
#define OP(name, number) (lua_pushinteger(L, number), lua_setfield(L, -2, #name));
    XK_STORE_OP_MAP(OP)
#undef OP
    return 1;
}
