/*** Networks: front ends, a switch, its back ends.
 *
 *     local nic <close> = assert(core.net.front(world, store, "device/vif/0"))
 *     local switch <close> = core.net.switch(world)
 *     local port <close> = assert(core.net.back(switch, store, "backend/vif/7/0"))
 *
 * States are waited for by numbers, as all here; `xenkit.net` waits in the running task.
 * @module xenkit.core.net
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <xenkit/buf.h>
#include <xenkit/capture.h>
#include <xenkit/switch.h>
#include <xenkit/tap.h>
#include <xenkit/vif.h>

#include "bindings/net.h"
#include "bindings/xenbus.h"

int luaopen_xenkit_core_net(lua_State *L);

#define DEVICE "xenkit.net.device"
#define SWITCH "xenkit.net.switch"
#define BACK "xenkit.net.back"
#define CAPTURE "xenkit.net.capture"

enum { CAPTURES = 8 /* of one port */, CAPTURE_ROOM = 4 << 20 };

struct lua_switch {
    struct xk_lua_object o;
    struct xk_switch *s;
    struct port *ports;
};

/* What hangs on a switch, and is shut before it. */
struct port {
    struct xk_lua_object *object;
    struct xk_switch_port *port; /* NULL: not plugged in now */
    struct lua_switch *in;
    struct xk_switch_options options;
    struct capture *captures;
    struct port *next, **link;
};

/* What is seen of one port. */
struct capture {
    struct xk_lua_object o;
    struct xk_capture *c;
    struct port *port; /* NULL: it is gone */
    struct capture *next, **link;
    lua_Integer id;
};

struct device {
    struct xk_lua_object o;
    struct xk_lua_store_user user;
    struct xk_vif_front *front; /* either this, */
    struct xk_netdev *ends[2];  /* or a cable to a switch, */
    struct xk_netdev *tap;      /* or this */
    struct port port;
    struct xk_netdev *dev;
    struct xk_lua_net_user *net_user;
    lua_Integer id;
    int connected, err;
    int joined; /* it is a switch's port itself */
};

struct back {
    struct xk_lua_object o;
    struct xk_lua_store_user user;
    struct xk_vif_back *back;
    struct port port;
    lua_Integer id;
    int connected, err, gone;
};

static void check_mac(lua_State *L, int arg, uint8_t mac[6])
{
    unsigned b[6];
    char end;

    if (sscanf(luaL_checkstring(L, arg), "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) !=
        6)
        luaL_argerror(L, arg, "an Ethernet address is written 00:16:3e:00:00:01");
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)b[i];
    luaL_argcheck(L, !(mac[0] & 1), arg, "this is the address of a group");
}

/* --- ports of a switch -------------------------------------------------------------------------------------------- */

static struct lua_switch *check_switch(lua_State *L, int arg) { return xk_lua_check_object(L, arg, SWITCH, "switch"); }

static void port_join(struct port *p, struct lua_switch *s, struct xk_lua_object *object)
{
    p->object = object;
    p->in = s;
    p->next = s->ports;
    p->link = &s->ports;
    if (p->next)
        p->next->link = &p->next;
    s->ports = p;
}

static void capture_leave(struct capture *c)
{
    if (!c->port)
        return;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->port = NULL;
    xk_lua_note(c->o.world, c->id);
    c->id = 0;
}

static void port_leave(struct port *p)
{
    if (!p->link)
        return;
    while (p->captures)
        capture_leave(p->captures);
    if (p->port)
        xk_switch_remove(p->port);
    p->port = NULL;
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    p->link = NULL;
}

/* Of every frame that comes from the port or goes to it. */
static void on_see(void *arg, const struct xk_packet *f, int out)
{
    struct port *p = arg;

    if (!p->captures || xk_packet_whole(f) < 0)
        return;
    for (struct capture *c = p->captures; c; c = c->next) {
        xk_capture_frame(c->c, 0, f->data, f->len, (uint64_t)xk_wallclock(c->o.world->platform), out);
        xk_lua_note(c->o.world, c->id);
        c->id = 0;
    }
}

static void port_options(lua_State *L, int arg, struct xk_switch_options *o)
{
    o->vlan = (uint16_t)xk_lua_field(L, arg, "vlan", 0, 4094);
    o->strict = (uint8_t)xk_lua_field(L, arg, "strict", 0, 1);
    o->addresses = (uint16_t)xk_lua_field(L, arg, "addresses", 0, XK_SWITCH_ADDRESSES);
}

static void push_port_stats(lua_State *L, const struct port *p)
{
    struct xk_switch_stats s;

    if (!p->port)
        return;
    xk_switch_stats(p->port, &s);
    xk_lua_set_integer(L, "dropped", s.dropped);
    xk_lua_set_integer(L, "spoofed", s.spoofed);
    xk_lua_set_integer(L, "addresses", s.addresses);
}

static void switch_shut(struct xk_lua_object *o)
{
    struct lua_switch *s = (struct lua_switch *)o;

    while (s->ports)
        xk_lua_shut(s->ports->object); /* which leaves */
    if (s->s)
        xk_switch_destroy(s->s);
}

static int switch_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, SWITCH));
    return 0;
}

/*** A switch without ports.
 * @function switch
 * @param world */
static int l_switch(lua_State *L)
{
    struct lua_switch *s = xk_lua_new(L, SWITCH, sizeof(*s), 1);
    int r;

    xk_lua_adopt(L, &s->o, 1, switch_shut);
    r = xk_switch_create(NULL, s->o.world->loop, &s->s);
    if (r < 0) {
        s->s = NULL;
        xk_lua_shut(&s->o);
        return xk_lua_fail(L, r);
    }
    return 1;
}

/* --- devices ------------------------------------------------------------------------------------------------------ */

static struct device *check_device(lua_State *L, int arg)
{
    return xk_lua_check_object(L, arg, DEVICE, "network device");
}

static void device_shut(struct xk_lua_object *o)
{
    struct device *d = (struct device *)o;

    if (d->net_user)
        xk_lua_shut(d->net_user->object); /* which takes itself away */
    xk_lua_store_unuse(&d->user);
    port_leave(&d->port);
    if (d->front)
        xk_vif_front_close(d->front);
    for (int i = 0; i < 2; i++)
        xk_net_close(d->ends[i]);
    xk_net_close(d->tap);
    xk_lua_note(o->world, d->id);
}

static int device_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, DEVICE));
    return 0;
}

struct xk_netdev *xk_lua_net_use(lua_State *L, int arg, struct xk_lua_net_user *user, struct xk_lua_object *object)
{
    struct device *d = check_device(L, arg);

    luaL_argcheck(L, !d->net_user && !d->joined, arg, "it is in use already");
    user->object = object;
    user->link = &d->net_user;
    d->net_user = user;
    return d->dev;
}

void xk_lua_net_unuse(struct xk_lua_net_user *user)
{
    if (user->link)
        *user->link = NULL;
    user->link = NULL;
}

static void front_told(void *arg, int connected, int err)
{
    struct device *d = arg;

    d->connected = connected;
    d->err = err;
    xk_lua_note(d->o.world, d->id);
    d->id = 0;
}

/*** The network whose folder in the store is (path), from its guest's side.
 * @function front
 * @param world
 * @param store of xenkit.core.store
 * @tparam string path "device/vif/0"
 * @tparam[opt] table options `queues`, `plain` (no offloads), `keep` (its pages stay mapped by the back end), `hash`
 * (how flows are spread over queues: {key = up to 40 bytes, otherwise random, types = {"ip4", "ip4_tcp", "ip6",
 * "ip6_tcp"}, otherwise all, map = {0, 1, ...}, queues by hash}); the latter two where the back end knows them */
static int l_front(lua_State *L)
{
    const char *path = luaL_checkstring(L, 3);
    struct xk_vif_front_options o = {.told = front_told};
    struct xk_store *store;
    struct device *d;
    int r;

    o.queues = (uint8_t)xk_lua_field(L, 4, "queues", 0, XK_VIF_QUEUES);
    o.plain = (uint8_t)xk_lua_field(L, 4, "plain", 0, 1);
    o.keep = (uint8_t)xk_lua_field(L, 4, "keep", 0, 1);
    lua_settop(L, 4);
    xk_lua_net_hash(L, 4, xk_loop_platform(xk_lua_check_world(L, 1)->loop), &o.hash);
    d = xk_lua_new(L, DEVICE, sizeof(*d), 3);
    o.arg = d;
    xk_lua_adopt(L, &d->o, 1, device_shut);
    store = xk_lua_store_use(L, 2, &d->user, &d->o);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 2);
    r = xk_vif_front_open(NULL, d->o.world->loop, store, path, &o, &d->front);
    if (r < 0) {
        d->front = NULL;
        xk_lua_shut(&d->o);
        return xk_lua_failf(L, r, path);
    }
    d->dev = xk_vif_front_device(d->front);
    return 1;
}

/*** A port of (switch) for this program itself, as a device with this address.
 * @function plug
 * @param world
 * @param switch
 * @tparam string mac
 * @tparam[opt] table options as of `back` */
static int l_plug(lua_State *L)
{
    struct lua_switch *s = check_switch(L, 2);
    struct device *d;
    uint8_t mac[2][6];
    int r;

    check_mac(L, 3, mac[0]);
    memcpy(mac[1], mac[0], 6);
    d = xk_lua_new(L, DEVICE, sizeof(*d), 3);
    xk_lua_adopt(L, &d->o, 1, device_shut);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 2);
    port_options(L, 4, &d->port.options);
    r = xk_net_cable(NULL, (const uint8_t(*)[6])mac, d->ends);
    if (r == 0) {
        port_join(&d->port, s, &d->o);
        r = xk_switch_add(s->s, d->ends[1], &d->port.options, &d->port.port);
    }
    if (r < 0) {
        d->port.port = NULL;
        xk_lua_shut(&d->o);
        return xk_lua_fail(L, r);
    }
    d->dev = d->ends[0];
    d->connected = 1;
    return 1;
}

static unsigned check_handles(lua_State *L, int arg, int *handles)
{
    lua_Integer n;

    luaL_checktype(L, arg, LUA_TTABLE);
    n = luaL_len(L, arg);
    luaL_argcheck(L, n >= 1 && n <= XK_TAP_QUEUES, arg, "1 to 8 descriptors are a tap");
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, arg, i);
        handles[i - 1] = (int)luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    return (unsigned)n;
}

static void tap_ended(void *arg) { front_told(arg, 0, XK_EGONE); }

/*** A device behind a descriptor that carries frames, or several, a tap's queues, such as ctx.link.NAME.handles, which
 * are the device's from now on.
 * @function tap
 * @param world
 * @tparam {integer,...} handles 1 to 8
 * @tparam[opt] table config `header` (0), `mtu` (1500) */
static int l_tap(lua_State *L)
{
    int handles[XK_TAP_QUEUES], r;
    unsigned count = check_handles(L, 2, handles);
    struct xk_tap_config c = {.ended = tap_ended};
    struct device *d;

    if (!lua_isnoneornil(L, 3)) {
        c.header = (uint16_t)xk_lua_field(L, 3, "header", 0, 12);
        c.mtu = (uint16_t)xk_lua_field(L, 3, "mtu", 0, 65535);
    }
    d = xk_lua_new(L, DEVICE, sizeof(*d), 3);
    xk_lua_adopt(L, &d->o, 1, device_shut);
    c.arg = d;
    r = xk_tap_open(NULL, d->o.world->loop, handles, count, &c, &d->tap);
    if (r < 0) {
        d->tap = NULL;
        xk_lua_shut(&d->o);
        return xk_lua_fail(L, r);
    }
    d->dev = d->tap;
    d->connected = 1;
    return 1;
}

/*** A device becomes a port of (switch), and goes with it.
 * @function join
 * @param switch
 * @param device
 * @tparam[opt] table options as of `back` */
static int l_join(lua_State *L)
{
    struct lua_switch *s = check_switch(L, 1);
    struct device *d = check_device(L, 2);
    int r;

    luaL_argcheck(L, !d->net_user && !d->port.link, 2, "it is in use already");
    port_options(L, 3, &d->port.options);
    r = xk_switch_add(s->s, d->dev, &d->port.options, &d->port.port);
    if (r < 0) {
        d->port.port = NULL;
        return xk_lua_fail(L, r);
    }
    d->joined = 1;
    port_join(&d->port, s, &d->o);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 2, 3);
    return xk_lua_ok(L, 0);
}

/*** @type device */

/*** Before the domain is saved: its rings are given back, the store client is not used any more. `resume` goes on with
 * another one. Of what has no back end: nothing.
 * @function suspend */
static int device_suspend(lua_State *L)
{
    struct device *d = check_device(L, 1);

    if (d->front)
        xk_lua_bus_suspend(&d->user, xk_vif_front_bus(d->front));
    return 0;
}

/*** @return true; nil, message, code
 * @function resume
 * @param store of xenkit.core.store */
static int device_resume(lua_State *L)
{
    struct device *d = check_device(L, 1);

    if (!d->front)
        return xk_lua_ok(L, 0);
    return xk_lua_bus_resume(L, &d->user, &d->o, xk_vif_front_bus(d->front));
}

/*** Notes number (id) when the state changes next.
 * @function arm */
static int device_arm(lua_State *L)
{
    check_device(L, 1)->id = luaL_checkinteger(L, 2);
    return 0;
}

/*** "connected"; or nil, why not, code.
 * @function state */
static int device_state(lua_State *L)
{
    struct device *d = check_device(L, 1);

    if (!d->connected)
        return xk_lua_fail(L, d->err ? d->err : XK_EAGAIN);
    lua_pushstring(L, "connected");
    return 1;
}

/*** {mac, mtu, up}
 * @function info */
static int device_info(lua_State *L)
{
    const struct xk_net_info *i = &check_device(L, 1)->dev->info;

    lua_newtable(L);
    xk_lua_push_mac(L, i->mac);
    lua_setfield(L, -2, "mac");
    xk_lua_set_integer(L, "mtu", i->mtu);
    lua_pushboolean(L, i->up);
    lua_setfield(L, -2, "up");
    return 1;
}

/* What became of `hash` and `keep`, and what each queue got. */
static void push_control(lua_State *L, const struct xk_vif_front *front)
{
    struct xk_netfront_stats s;
    struct xk_vif_control c;

    xk_vif_front_control(front, &c);
    lua_pushstring(L, c.hash == 0 ? "in use" : xk_err_name(c.hash));
    lua_setfield(L, -2, "hash");
    lua_pushstring(L, c.keep == 0 ? "in use" : xk_err_name(c.keep));
    lua_setfield(L, -2, "keep");
    xk_lua_set_integer(L, "kept", c.kept);
    lua_newtable(L);
    for (unsigned i = 0; xk_vif_front_queue(front, i, &s) == 0; i++) {
        lua_pushinteger(L, (lua_Integer)s.packets[1]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "received");
}

/*** Counters of a front end; of a port of ours, its switch's. A front end's `hash` and `keep` are "in use", XK_ENOSYS
 * (not asked for, or not known by the back end), XK_EAGAIN (not answered yet), XK_EINVAL (refused); `kept` pages,
 * packets `hashed`; `received` is a list, of queue 0 first.
 * @function stats */
static int device_stats(lua_State *L)
{
    struct device *d = check_device(L, 1);
    struct xk_netfront_stats s;

    lua_newtable(L);
    if (!d->front) {
        push_port_stats(L, &d->port);
        return 1;
    }
    xk_lua_set_integer(L, "queues", xk_vif_front_stats(d->front, &s));
    push_control(L, d->front);
    xk_lua_set_integer(L, "hashed", s.hashed);
    xk_lua_set_integer(L, "packets_sent", s.packets[0]);
    xk_lua_set_integer(L, "packets_received", s.packets[1]);
    xk_lua_set_integer(L, "bytes_sent", s.bytes[0]);
    xk_lua_set_integer(L, "bytes_received", s.bytes[1]);
    xk_lua_set_integer(L, "errors", s.errors[0] + s.errors[1]);
    xk_lua_set_integer(L, "full", s.full);
    xk_lua_set_integer(L, "notified", s.notified);
    xk_lua_set_integer(L, "events", s.events);
    return 1;
}

/* --- back ends ---------------------------------------------------------------------------------------------------- */

static struct back *check_back(lua_State *L) { return xk_lua_check_object(L, 1, BACK, "back end"); }

static int attach(void *arg, struct xk_netdev *device, xk_domid front, const char *path)
{
    struct back *b = arg;

    (void)front;
    (void)path;
    return xk_switch_add(b->port.in->s, device, &b->port.options, &b->port.port);
}

static void detach(void *arg, struct xk_netdev *device)
{
    struct back *b = arg;

    (void)device;
    if (b->port.port)
        xk_switch_remove(b->port.port);
    b->port.port = NULL;
}

static void back_told(void *arg, int connected, int err)
{
    struct back *b = arg;

    b->connected = connected;
    b->err = err;
    xk_lua_note(b->o.world, b->id);
    b->id = 0;
}

static void back_gone(void *arg)
{
    struct back *b = arg;

    b->gone = 1;
    back_told(arg, 0, XK_EGONE);
}

static void back_shut(struct xk_lua_object *o)
{
    struct back *b = (struct back *)o;

    xk_lua_store_unuse(&b->user);
    if (b->back)
        xk_vif_back_close(b->back);
    port_leave(&b->port);
    xk_lua_note(o->world, b->id);
}

static int back_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, BACK));
    return 0;
}

/*** Connects the guest whose back end's folder is (path) with (switch).
 * @function back
 * @param world
 * @param switch
 * @param store of xenkit.core.store
 * @tparam string path "backend/vif/7/0"
 * @tparam[opt] table options `vlan` (1 .. 4094), `strict` (its own address alone), `addresses` that may be learnt (64),
 * `queues` (1 .. 4), `plain` (no offloads), `keep` (0 .. 512: pages of a queue that its guest may have us keep mapped)
 */
static int l_back(lua_State *L)
{
    struct lua_switch *s = check_switch(L, 2);
    const char *path = luaL_checkstring(L, 4);
    struct xk_vif_back_options o = {.attach = attach, .detach = detach, .told = back_told, .gone = back_gone};
    struct xk_store *store;
    struct back *b;
    int r;

    o.queues = (uint8_t)xk_lua_field(L, 5, "queues", 0, XK_VIF_QUEUES);
    o.plain = (uint8_t)xk_lua_field(L, 5, "plain", 0, 1);
    o.keep = (uint16_t)xk_lua_field(L, 5, "keep", 0, XK_NETBACK_GREFS);
    b = xk_lua_new(L, BACK, sizeof(*b), 3);
    o.arg = b;
    xk_lua_adopt(L, &b->o, 1, back_shut);
    port_options(L, 5, &b->port.options);
    b->port.options.see = on_see;
    b->port.options.arg = &b->port;
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 2);
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, -2, 3);
    store = xk_lua_store_use(L, 3, &b->user, &b->o);
    port_join(&b->port, s, &b->o);
    r = xk_vif_back_open(NULL, b->o.world->loop, store, path, &o, &b->back);
    if (r < 0) {
        b->back = NULL;
        xk_lua_shut(&b->o);
        return xk_lua_failf(L, r, path);
    }
    return 1;
}

/*** @type back */

static int back_arm(lua_State *L)
{
    check_back(L)->id = luaL_checkinteger(L, 2);
    return 0;
}

/*** "connected", "gone" (close it), or nil, why not, code.
 * @function state */
static int back_state(lua_State *L)
{
    struct back *b = check_back(L);

    if (!b->gone && !b->connected)
        return xk_lua_fail(L, b->err ? b->err : XK_EAGAIN);
    lua_pushstring(L, b->gone ? "gone" : "connected");
    return 1;
}

/*** Counters: packets, bytes, errors, `delayed` and `full` (the guest was too slow), `dropped` and `spoofed` by the
 * switch, calls to copy, packets that went from one guest's pages into another's (`direct`) and those whose rest had to
 * be `fetched` from the sender's, notifications.
 * @function stats */
static int back_stats(lua_State *L)
{
    struct back *b = check_back(L);
    struct xk_netback_stats s;

    lua_newtable(L);
    xk_lua_set_integer(L, "queues", xk_vif_back_stats(b->back, &s));
    xk_lua_set_integer(L, "packets_from", s.packets[0]);
    xk_lua_set_integer(L, "packets_to", s.packets[1]);
    xk_lua_set_integer(L, "bytes_from", s.bytes[0]);
    xk_lua_set_integer(L, "bytes_to", s.bytes[1]);
    xk_lua_set_integer(L, "errors", s.errors[0] + s.errors[1]);
    xk_lua_set_integer(L, "delayed", s.delayed);
    xk_lua_set_integer(L, "full", s.full);
    xk_lua_set_integer(L, "copies", s.copies);
    xk_lua_set_integer(L, "direct", s.direct);
    xk_lua_set_integer(L, "fetched", s.fetched);
    xk_lua_set_integer(L, "notified", s.notified);
    xk_lua_set_integer(L, "events", s.events);
    xk_lua_set_integer(L, "idle_events", s.idle_events);
    xk_lua_set_integer(L, "waiting", s.waiting);
    xk_lua_set_integer(L, "kept", s.kept);
    push_port_stats(L, &b->port);
    return 1;
}

/* --- captures ----------------------------------------------------------------------------------------------------- */

static struct capture *check_capture(lua_State *L) { return xk_lua_check_object(L, 1, CAPTURE, "capture"); }

static void capture_shut(struct xk_lua_object *o)
{
    struct capture *c = (struct capture *)o;

    capture_leave(c);
    xk_capture_destroy(c->c);
}

static int capture_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, CAPTURE));
    return 0;
}

/*** Sees what a back end's guest sends and gets, as pcapng. Up to eight at a time; 4 MiB wait for who reads.
 * @function capture
 * @tparam string name of the interface, for who reads
 * @tparam[opt] integer snap so many bytes of each frame; 0: all */
static int back_capture(lua_State *L)
{
    struct back *b = check_back(L);
    const char *name = luaL_checkstring(L, 2);
    uint32_t snap = lua_isnoneornil(L, 3) ? 0 : (uint32_t)xk_lua_integer(L, 3, 0, XK_CAPTURE_SNAP);
    struct capture *c;
    int n = 0, r;

    for (c = b->port.captures; c; c = c->next)
        n++;
    if (n >= CAPTURES)
        return xk_lua_failf(L, XK_ENOSPC, "captures of this network");
    lua_getiuservalue(L, 1, 1); /* the world */
    lua_insert(L, 1);
    c = xk_lua_new(L, CAPTURE, sizeof(*c), 1);
    xk_lua_adopt(L, &c->o, 1, capture_shut);
    r = xk_capture_create(NULL, CAPTURE_ROOM, snap, &c->c);
    if (r == 0)
        r = xk_capture_interface(c->c, name);
    if (r < 0) {
        xk_lua_shut(&c->o);
        return xk_lua_failf(L, r, name);
    }
    c->port = &b->port;
    c->next = b->port.captures;
    c->link = &b->port.captures;
    if (c->next)
        c->next->link = &c->next;
    b->port.captures = c;
    return 1;
}

/*** @type capture */

static int capture_arm(lua_State *L)
{
    struct capture *c = check_capture(L);

    c->id = luaL_checkinteger(L, 2);
    if (xk_capture_waiting(c->c) || !c->port) {
        xk_lua_note(c->o.world, c->id);
        c->id = 0;
    }
    return 0;
}

/*** The next bytes, up to 64 KiB; nil, message, "XK_EAGAIN"; "XK_EGONE": the back end is gone and there are no more.
 * @function take */
static int capture_take(lua_State *L)
{
    struct capture *c = check_capture(L);
    luaL_Buffer b;
    char *room;
    size_t n;

    if (!xk_capture_waiting(c->c))
        return xk_lua_fail(L, c->port ? XK_EAGAIN : XK_EGONE);
    room = luaL_buffinitsize(L, &b, 65536);
    n = xk_capture_take(c->c, room, 65536);
    luaL_pushresultsize(&b, n);
    return 1;
}

/*** Counters: `frames` seen, of which `left_out` had no room.
 * @function stats */
static int capture_stats(lua_State *L)
{
    struct xk_capture_stats s;

    xk_capture_stats(check_capture(L)->c, &s);
    lua_newtable(L);
    xk_lua_set_integer(L, "frames", s.frames);
    xk_lua_set_integer(L, "left_out", s.left_out);
    return 1;
}

int luaopen_xenkit_core_net(lua_State *L)
{
    static const luaL_Reg functions[] = {{"switch", l_switch}, {"front", l_front}, {"plug", l_plug}, {"back", l_back},
                                         {"tap", l_tap},       {"join", l_join},   {NULL, NULL}};
    static const luaL_Reg device_methods[] = {
        {"suspend", device_suspend}, {"resume", device_resume}, {"arm", device_arm},     {"state", device_state},
        {"info", device_info},       {"stats", device_stats},   {"close", device_close}, {NULL, NULL}};
    static const luaL_Reg back_methods[] = {{"arm", back_arm},         {"state", back_state}, {"stats", back_stats},
                                            {"capture", back_capture}, {"close", back_close}, {NULL, NULL}};
    static const luaL_Reg capture_methods[] = {
        {"arm", capture_arm}, {"take", capture_take}, {"stats", capture_stats}, {"close", capture_close}, {NULL, NULL}};
    static const luaL_Reg switch_methods[] = {{"close", switch_close}, {NULL, NULL}};

    xk_lua_type(L, DEVICE, device_methods, device_close);
    xk_lua_type(L, BACK, back_methods, back_close);
    xk_lua_type(L, SWITCH, switch_methods, switch_close);
    xk_lua_type(L, CAPTURE, capture_methods, capture_close);
    luaL_newlib(L, functions);
    return 1;
}
