/* xenkit.core.world - opening a world, running its loop, timers, ports, domains. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/alloc.h>
#include <xenkit/world.h>

#include "bindings/world.h"

int luaopen_xenkit_core_world(lua_State *L);

/* --- shared by all bindings --- */

struct xk_lua_world *xk_lua_check_world(lua_State *L, int arg)
{
    struct xk_lua_world *w = luaL_checkudata(L, arg, XK_LUA_WORLD);

    if (!w->platform)
        luaL_error(L, "attempt to use a closed world");
    return w;
}

void xk_lua_note(struct xk_lua_world *w, lua_Integer id)
{
    if (id == 0)
        return;
    if (w->fired_count == w->fired_cap) {
        size_t cap = w->fired_cap ? w->fired_cap * 2 : 64;
        void *p = xk_resize(NULL, w->fired, w->fired_cap * sizeof(*w->fired), cap * sizeof(*w->fired));
        if (!p) {
            w->lost = 1;
            return;
        }
        w->fired = p;
        w->fired_cap = cap;
    }
    w->fired[w->fired_count++] = id;
}

void xk_lua_adopt(lua_State *L, struct xk_lua_object *o, int world_arg, void (*shut)(struct xk_lua_object *o))
{
    struct xk_lua_world *w = xk_lua_check_world(L, world_arg);

    lua_pushvalue(L, world_arg);
    lua_setiuservalue(L, -2, 1); /* the world outlives it */
    o->shut = shut;
    o->world = w;
    o->next = w->objects;
    o->link = &w->objects;
    if (o->next)
        o->next->link = &o->next;
    w->objects = o;
}

void xk_lua_shut(struct xk_lua_object *o)
{
    if (!o->world)
        return;
    *o->link = o->next;
    if (o->next)
        o->next->link = o->link;
    o->shut(o);
    o->world = NULL;
}

void *xk_lua_check_object(lua_State *L, int arg, const char *type, const char *what)
{
    struct xk_lua_object *o = luaL_checkudata(L, arg, type);

    if (!o->world)
        luaL_error(L, "attempt to use a closed %s", what);
    return o;
}

xk_time xk_lua_deadline(struct xk_lua_world *w, lua_State *L, int arg)
{
    lua_Number s;

    if (lua_isnoneornil(L, arg))
        return XK_FOREVER;
    s = luaL_checknumber(L, arg);
    if (s <= 0)
        return XK_NOW;
    return s > 1e9 ? XK_FOREVER : xk_now(w->platform) + (xk_time)(s * 1e9);
}

/* --- its ring for files --- */

enum { AIO_ENTRIES = 512 };
static struct xk_aio *prepared;

void xk_lua_aio_prepare(void)
{
    if (!prepared && xk_aio_create(NULL, AIO_ENTRIES, &prepared) < 0)
        prepared = NULL;
}

struct xk_aio *xk_lua_aio(struct xk_lua_world *w)
{
    if (w->aio_asked)
        return w->aio;
    w->aio_asked = 1;
    xk_lua_aio_prepare();
    if (prepared && xk_aio_watch_start(w->loop, &w->aio_watch, prepared) == 0) {
        w->aio = prepared;
        prepared = NULL;
    }
    return w->aio;
}

/* --- the world --- */

static int world_close(lua_State *L)
{
    struct xk_lua_world *w = luaL_checkudata(L, 1, XK_LUA_WORLD);

    if (!w->platform)
        return 0;
    while (w->objects)
        xk_lua_shut(w->objects);
    xk_aio_watch_stop(&w->aio_watch);
    xk_aio_destroy(w->aio);
    w->aio = NULL;
    xk_loop_destroy(w->loop);
    xk_platform_close(w->platform);
    xk_free(NULL, w->fired, w->fired_cap * sizeof(*w->fired));
    w->platform = NULL;
    w->loop = NULL;
    w->fired = NULL;
    w->fired_count = w->fired_cap = 0;
    return 0;
}

void xk_lua_push_world(lua_State *L, struct xk_platform *platform)
{
    struct xk_lua_world *w = xk_lua_new(L, XK_LUA_WORLD, sizeof(*w), 0);

    w->platform = platform;
    if (xk_loop_create(NULL, platform, &w->loop) < 0) {
        w->platform = NULL;
        xk_platform_close(platform);
        luaL_error(L, "out of memory");
    }
    if (xk_cpus(platform) > 1)
        xk_loop_set_spin(w->loop, XK_SPIN_WAKE);
}

static int world_open(lua_State *L)
{
    const char *world = luaL_optstring(L, 1, NULL), *name = luaL_optstring(L, 2, "lua");
    struct xk_platform *p;
    int r = xk_open(world, name, &p);

    if (r < 0)
        return xk_lua_failf(L, r, world ? world : "private world");
    xk_lua_push_world(L, p);
    return 1;
}

static int world_peer(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    struct xk_platform *p;
    int r = xk_open_peer(w->platform, luaL_optstring(L, 2, "peer"), &p);

    if (r < 0)
        return xk_lua_fail(L, r);
    xk_lua_push_world(L, p);
    return 1;
}

/* What happened in the last round is nothing to the scheduler. Where a hook is set, by a signal or the watchdog, Lua
 * has to run so that it is called; and a round in which nothing happened is one that a signal ended. */
static int goes_on(lua_State *L, const struct xk_lua_world *w, int happened)
{
    return happened > 0 && !w->fired_count && !w->ran && !w->lost && !lua_gethookmask(L);
}

/* run (seconds or nil, out) - one round, or as many as it takes until one concerns Lua if there is no time limit: a
 * service whose work is done in C goes round without it. Fills (out) with the numbers that came true and returns how
 * many. */
static int world_run(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    xk_time deadline = w->fired_count ? XK_NOW : xk_lua_deadline(w, L, 2);
    int r;

    luaL_checktype(L, 3, LUA_TTABLE);
    w->ran = 0;
    do
        r = xk_loop_run_once(w->loop, deadline);
    while (deadline == XK_FOREVER && goes_on(L, w, r));
    if (r < 0)
        return xk_lua_fail(L, r);
    if (w->lost)
        return luaL_error(L, "out of memory: a wake-up was lost");
    for (size_t i = 0; i < w->fired_count; i++) {
        lua_pushinteger(L, w->fired[i]);
        lua_rawseti(L, 3, (lua_Integer)i + 1);
    }
    lua_pushinteger(L, (lua_Integer)w->fired_count);
    w->fired_count = 0;
    return 1;
}

static int world_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)xk_now(xk_lua_check_world(L, 1)->platform) / 1e9);
    return 1;
}

static int world_wallclock(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)xk_wallclock(xk_lua_check_world(L, 1)->platform) / 1e9);
    return 1;
}

static int world_domid(lua_State *L)
{
    lua_pushinteger(L, xk_platform_domid(xk_lua_check_world(L, 1)->platform));
    return 1;
}

static int world_platform(lua_State *L)
{
    lua_pushstring(L, xk_platform_name(xk_lua_check_world(L, 1)->platform));
    return 1;
}

static int world_entropy(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    char buf[256];
    size_t n = (size_t)xk_lua_integer(L, 2, 1, 256);
    int r = xk_entropy(w->platform, buf, n);

    if (r < 0)
        return xk_lua_fail(L, r);
    lua_pushlstring(L, buf, n);
    return 1;
}

static int world_take_handle(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    char name[64];
    int r = xk_handle_take(w->platform, name, sizeof(name));

    if (r < 0)
        return xk_lua_fail(L, r);
    lua_pushinteger(L, r);
    lua_pushstring(L, name);
    return 2;
}

static int world_store_handle(lua_State *L)
{
    return xk_lua_result(L, xk_store_handle(xk_lua_check_world(L, 1)->platform));
}

/* store_port () - the port of domain 0 that waits for a store. */
static int world_store_port(lua_State *L)
{
    return xk_lua_result(L, xk_store_port(xk_lua_check_world(L, 1)->platform));
}

static int world_stats(lua_State *L)
{
    struct xk_loop_stats s;

    xk_loop_get_stats(xk_lua_check_world(L, 1)->loop, &s);
    lua_createtable(L, 0, 10);
#define FIELD(name) (lua_pushinteger(L, (lua_Integer)s.name), lua_setfield(L, -2, #name))
    FIELD(rounds);
    FIELD(sleeps);
    FIELD(ports);
    FIELD(descriptors);
    FIELD(timers);
    FIELD(spins);
    FIELD(spin_hits);
    FIELD(naps);
    FIELD(nap_hits);
    FIELD(idle_ns);
#undef FIELD
    return 1;
}

/* --- domains --- */

static const char *const states[] = {"building", "running", "paused", "shutdown", "dying"};
static const char *const reasons[] = {"poweroff", "reboot", "suspend", "crash", NULL};

static int push_info(lua_State *L, int r, const struct xk_domain_info *i)
{
    if (r < 0)
        return xk_lua_fail(L, r);
    lua_createtable(L, 0, 10);
    lua_pushinteger(L, i->domid);
    lua_setfield(L, -2, "domid");
    lua_pushstring(L, i->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, i->state < 5 ? states[i->state] : "?");
    lua_setfield(L, -2, "state");
    if (i->state == XK_DOMAIN_SHUTDOWN && i->reason < 4) {
        lua_pushstring(L, reasons[i->reason]);
        lua_setfield(L, -2, "reason");
    }
    lua_pushinteger(L, i->exit_code);
    lua_setfield(L, -2, "exit_code");
    lua_pushinteger(L, i->pid);
    lua_setfield(L, -2, "pid");
    lua_pushinteger(L, i->ports);
    lua_setfield(L, -2, "ports");
    lua_pushinteger(L, i->peers);
    lua_setfield(L, -2, "peers");
    lua_pushnumber(L, (lua_Number)i->cpu_ns / 1e9);
    lua_setfield(L, -2, "cpu");
    lua_pushinteger(L, (lua_Integer)i->mem_bytes);
    lua_setfield(L, -2, "memory");
    return 1;
}

static int world_domain(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    struct xk_domain_info info;
    int r = xk_domain_info(w->platform, (xk_domid)xk_lua_integer(L, 2, 0, 0x7fff), &info);

    return push_info(L, r, &info);
}

static int world_domain_next(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    struct xk_domain_info info;
    int r = xk_domain_next(w->platform, (xk_domid)xk_lua_integer(L, 2, 0, 0x7fff), &info);

    return push_info(L, r, &info);
}

static int world_domctl(lua_State *L)
{
    static const char *const verbs[] = {"pause", "unpause", "destroy", "shutdown", "set_virq_handler", NULL};
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    xk_domid domid = (xk_domid)xk_lua_integer(L, 2, 0, 0x7fff);

    switch (luaL_checkoption(L, 3, NULL, verbs)) {
    case 0:
        return xk_lua_ok(L, xk_domain_pause(w->platform, domid));
    case 1:
        return xk_lua_ok(L, xk_domain_unpause(w->platform, domid));
    case 2:
        return xk_lua_ok(L, xk_domain_destroy(w->platform, domid));
    case 3:
        return xk_lua_ok(
            L, xk_domain_shutdown(w->platform, domid, (enum xk_shutdown)luaL_checkoption(L, 4, "poweroff", reasons)));
    default:
        return xk_lua_ok(L, xk_domain_set_virq_handler(w->platform, domid, (unsigned)luaL_checkinteger(L, 4)));
    }
}

/* --- timers: one a wait --- */

struct timer {
    struct xk_lua_object o;
    struct xk_timer t;
    lua_Integer id;
};
#define TIMER "xenkit.timer"

static void on_timer(struct xk_timer *t)
{
    struct timer *m = (struct timer *)(void *)((char *)t - offsetof(struct timer, t));

    xk_lua_note(m->o.world, m->id);
}

static void timer_shut(struct xk_lua_object *o) { xk_timer_stop(o->world->loop, &((struct timer *)o)->t); }

static int world_timer(lua_State *L)
{
    struct timer *m;

    xk_lua_check_world(L, 1);
    m = xk_lua_new(L, TIMER, sizeof(*m), 1);
    m->t.fn = on_timer;
    xk_lua_adopt(L, &m->o, 1, timer_shut);
    return 1;
}

/* start (at, id): (at) in seconds of world:now(). */
static int timer_start(lua_State *L)
{
    struct timer *m = xk_lua_check_object(L, 1, TIMER, "timer");
    lua_Number at = luaL_checknumber(L, 2);

    m->id = luaL_checkinteger(L, 3);
    return xk_lua_ok(L, xk_timer_start(m->o.world->loop, &m->t, at > 9e9 ? XK_FOREVER : (xk_time)(at * 1e9)));
}

static int timer_stop(lua_State *L)
{
    struct timer *m = xk_lua_check_object(L, 1, TIMER, "timer");

    xk_timer_stop(m->o.world->loop, &m->t);
    return 0;
}

static int timer_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, TIMER));
    return 0;
}

/* --- ports --- */

struct port {
    struct xk_lua_object o;
    struct xk_port_watch w;
    xk_port port;
    lua_Integer id;
    int pending;
};
#define PORT "xenkit.port"

static void on_port(struct xk_port_watch *w)
{
    struct port *p = (struct port *)(void *)((char *)w - offsetof(struct port, w));

    p->pending = 1;
    xk_lua_note(p->o.world, p->id);
    p->id = 0;
}

static void port_shut(struct xk_lua_object *o)
{
    struct port *p = (struct port *)o;

    xk_port_watch_stop(o->world->loop, &p->w);
    if (p->port >= 0)
        xk_evtchn_unbind(o->world->platform, p->port);
}

static int port_of(lua_State *L, int r)
{
    struct port *p = lua_touserdata(L, -1);

    if (r >= 0) {
        p->port = r;
        r = xk_port_watch_start(p->o.world->loop, &p->w, r);
    }
    if (r < 0) {
        xk_lua_shut(&p->o);
        return xk_lua_fail(L, r);
    }
    return 1;
}

static struct xk_lua_world *new_port(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    struct port *p = xk_lua_new(L, PORT, sizeof(*p), 1);

    p->port = -1;
    p->w.fn = on_port;
    xk_lua_adopt(L, &p->o, 1, port_shut);
    return w;
}

static int world_bind_virq(lua_State *L)
{
    unsigned virq = (unsigned)xk_lua_integer(L, 2, 0, 31);

    return port_of(L, xk_evtchn_bind_virq(new_port(L)->platform, virq));
}

static int world_evtchn_alloc(lua_State *L)
{
    xk_domid peer = (xk_domid)xk_lua_integer(L, 2, 0, 0x7ff0);

    return port_of(L, xk_evtchn_alloc(new_port(L)->platform, peer));
}

static int world_evtchn_bind(lua_State *L)
{
    xk_domid peer = (xk_domid)xk_lua_integer(L, 2, 0, 0x7ff0);
    xk_port remote = (xk_port)xk_lua_integer(L, 3, 0, INT32_MAX);

    return port_of(L, xk_evtchn_bind(new_port(L)->platform, peer, remote));
}

/* arm (id): true when an event has come since the last time, else (id) comes true at the next one. */
static int port_arm(lua_State *L)
{
    struct port *p = xk_lua_check_object(L, 1, PORT, "port");
    int pending = p->pending;

    p->pending = 0;
    p->id = pending ? 0 : luaL_checkinteger(L, 2);
    lua_pushboolean(L, pending);
    return 1;
}

static int port_notify(lua_State *L)
{
    struct port *p = xk_lua_check_object(L, 1, PORT, "port");

    return xk_lua_ok(L, xk_evtchn_notify(p->o.world->platform, p->port));
}

static int port_number(lua_State *L)
{
    lua_pushinteger(L, ((struct port *)xk_lua_check_object(L, 1, PORT, "port"))->port);
    return 1;
}

static int port_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, PORT));
    return 0;
}

static const luaL_Reg world_methods[] = {
    {"peer", world_peer},
    {"run", world_run},
    {"now", world_now},
    {"wallclock", world_wallclock},
    {"domid", world_domid},
    {"platform", world_platform},
    {"entropy", world_entropy},
    {"take_handle", world_take_handle},
    {"store_handle", world_store_handle},
    {"store_port", world_store_port},
    {"stats", world_stats},
    {"domain", world_domain},
    {"domain_next", world_domain_next},
    {"domctl", world_domctl},
    {"timer", world_timer},
    {"bind_virq", world_bind_virq},
    {"evtchn_alloc", world_evtchn_alloc},
    {"evtchn_bind", world_evtchn_bind},
    {"close", world_close},
    {NULL, NULL},
};
static const luaL_Reg timer_methods[] = {
    {"start", timer_start}, {"stop", timer_stop}, {"close", timer_close}, {NULL, NULL}};
static const luaL_Reg port_methods[] = {
    {"arm", port_arm}, {"notify", port_notify}, {"number", port_number}, {"close", port_close}, {NULL, NULL}};

int luaopen_xenkit_core_world(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", world_open}, {NULL, NULL}};

    xk_lua_type(L, XK_LUA_WORLD, world_methods, world_close);
    xk_lua_type(L, TIMER, timer_methods, timer_close);
    xk_lua_type(L, PORT, port_methods, port_close);
    luaL_newlib(L, functions);
    lua_pushinteger(L, XK_VIRQ_DOM_EXC);
    lua_setfield(L, -2, "VIRQ_DOM_EXC");
    lua_pushinteger(L, XK_VIRQ_HANDLE);
    lua_setfield(L, -2, "VIRQ_HANDLE");
    lua_pushinteger(L, XK_VIRQ_TOOLSTACK);
    lua_setfield(L, -2, "VIRQ_TOOLSTACK");
    return 1;
}
