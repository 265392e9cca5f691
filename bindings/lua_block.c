/*** Disks: images, front ends, requests; back ends are in block_back.c.
 *
 *     local disk <close> = assert(core.block.front(world, store, "device/vbd/51712"))
 *     disk:arm(id) ... if disk:state() == "connected" then
 *     local q = disk:start(id, "read", 0, 4096) ... print(#q:result())
 *
 * Positions and lengths are in bytes, and multiples of 512. Requests and states are waited for by numbers, as all here;
 * `xenkit.block` waits in the running task.
 * @module xenkit.core.block
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/file.h>
#include <xenkit/vbd.h>

#include "bindings/block.h"
#include "bindings/block_back.h"
#include "bindings/image.h"
#include "bindings/xenbus.h"

int luaopen_xenkit_core_block(lua_State *L);

#define DEVICE "xenkit.block"
#define REQUEST "xenkit.block.request"

enum { MOST = 1 << 20 /* bytes of one request */ };

struct device {
    struct xk_lua_object o;
    struct xk_lua_store_user user; /* of a front end */
    struct xk_blkdev *dev;         /* of an image: ours */
    struct xk_vbd_front *front;
    lua_Integer id; /* who waits for a change of its state */
    int connected, err;
    struct xk_lua_disk_user *users;
    struct xk_lua_served served; /* by back ends */
    struct device *below;        /* a front end, which this is a layer of */
    int power;                   /* made by xk_block_power */
};

struct request {
    struct xk_blk_request r; /* first */
    struct xk_piece piece;
    struct xk_lua_world *world;
    lua_Integer id;
    int done, err, orphan; /* (orphan): Lua has forgotten it, the device has not */
    uint8_t *buf;
    size_t n;
};

struct handle {
    struct request *q; /* of its own: the device may have it for longer than Lua */
};

/* --- devices ------------------------------------------------------------------------------------------------------ */

static struct device *check_device(lua_State *L, int arg) { return xk_lua_check_object(L, arg, DEVICE, "disk"); }

static void device_shut(struct xk_lua_object *o)
{
    struct device *d = (struct device *)o;

    while (d->users)
        d->users->lost(d->users); /* which takes itself off the list */
    xk_lua_store_unuse(&d->user);
    if (d->front)
        xk_vbd_front_close(d->front);
    else
        xk_blk_close(d->dev);
    if (d->below)
        d->below->served.used--;
    xk_lua_note(o->world, d->id);
}

/* An image that back ends use is closed with the last of them. */
static int device_close(lua_State *L)
{
    struct device *d = luaL_checkudata(L, 1, DEVICE);

    if (d->served.used == 0)
        xk_lua_shut(&d->o);
    return 0;
}

struct xk_lua_served *xk_lua_disk_served(lua_State *L, int arg)
{
    struct device *d = check_device(L, arg);

    d->served.dev = d->dev;
    return &d->served;
}

struct xk_blkdev *xk_lua_disk_use(lua_State *L, int arg, struct xk_lua_disk_user *user, struct xk_loop **loop)
{
    struct device *d = check_device(L, arg);

    user->next = d->users;
    user->link = &d->users;
    if (user->next)
        user->next->link = &user->next;
    d->users = user;
    *loop = d->o.world->loop;
    return d->dev;
}

void xk_lua_disk_unuse(struct xk_lua_disk_user *user)
{
    if (!user->link)
        return;
    *user->link = user->next;
    if (user->next)
        user->next->link = user->link;
    user->link = NULL;
}

static struct device *new_device(lua_State *L)
{
    struct device *d = xk_lua_new(L, DEVICE, sizeof(*d), 2);

    xk_lua_adopt(L, &d->o, 1, device_shut);
    return d;
}

static int finish(lua_State *L, struct device *d, int r, const char *what)
{
    if (r == 0)
        return 1;
    d->dev = NULL;
    d->front = NULL;
    xk_lua_shut(&d->o);
    return xk_lua_failf(L, r, what);
}

/*** An image in memory.
 * @function memory
 * @param world
 * @tparam integer bytes */
static int l_memory(lua_State *L)
{
    lua_Integer bytes = xk_lua_integer(L, 2, XK_SECTOR, (lua_Integer)1 << 40);
    struct device *d = new_device(L);

    d->connected = 1;
    return finish(L, d, xk_block_memory(NULL, (uint64_t)bytes / XK_SECTOR, &d->dev), "image in memory");
}

/*** An image in a file, whose descriptor belongs to it from now on. Its requests are under way side by side where there
 * is an io_uring to be had, else one after the other.
 * @function file
 * @param world
 * @tparam integer descriptor
 * @tparam[opt] boolean readonly
 * @tparam[opt] integer direct the file was opened past the page cache (O_DIRECT), and this is the least that can be
 * addressed in it then, in bytes: 512 .. 4096 */
static int l_file(lua_State *L)
{
    int fd = (int)xk_lua_integer(L, 2, 0, INT32_MAX), readonly = lua_toboolean(L, 3), r;
    lua_Integer direct = lua_isnoneornil(L, 4) ? 0 : xk_lua_integer(L, 4, XK_SECTOR, 4096);
    unsigned features = (readonly ? XK_BLK_READONLY : 0) | (direct ? 0 : XK_BLK_CACHED);
    struct device *d = new_device(L);
    struct xk_file *file = NULL;

    d->connected = 1;
    r = xk_file_from_handle(NULL, fd, &file);
    if (r == 0)
        r = xk_lua_aio(d->o.world) ? xk_block_aio(NULL, xk_lua_aio(d->o.world), file, features, &d->dev)
                                   : xk_block_file(NULL, file, features, &d->dev);
    if (r == 0 && direct)
        d->dev->info.logical = (uint32_t)direct;
    return finish(L, d, r, "image in a file");
}

/*** Whether requests to files are under way side by side here: by an io_uring, which a kernel or container may forbid.
 * @function aio
 * @param world */
static int l_aio(lua_State *L)
{
    lua_pushboolean(L, xk_lua_aio(xk_lua_check_world(L, 1)) != NULL);
    return 1;
}

/*** A Virtual Hard Disk in files, whose descriptors belong to it from now on: the image, then its parent, and so on.
 * @function vhd
 * @param world
 * @tparam table descriptors
 * @tparam[opt] boolean readonly */
static int l_vhd(lua_State *L)
{
    unsigned features = lua_toboolean(L, 3) ? XK_BLK_READONLY : 0;
    struct device *d;

    luaL_checktype(L, 2, LUA_TTABLE);
    d = new_device(L);
    d->connected = 1;
    return finish(L, d, xk_lua_open_vhd(L, 2, features, &d->dev), "VHD");
}

/* --- layers --- */

/* A new device over the one at 1, which is gone for Lua then; a front end stays, and is kept. */
static struct device *new_layer(lua_State *L, struct xk_blkdev **below)
{
    struct device *under = check_device(L, 1), *d;

    luaL_argcheck(L, under->served.used == 0 && !under->users, 1, "it is in use");
    d = xk_lua_new(L, DEVICE, sizeof(*d), 3);
    lua_getiuservalue(L, 1, 1); /* the world */
    lua_insert(L, -2);
    xk_lua_adopt(L, &d->o, lua_gettop(L) - 1, device_shut);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 3);
    *below = under->dev;
    d->connected = 1;
    if (under->front) {
        d->below = under;
        under->served.used++;
    } else {
        under->dev = NULL;
        xk_lua_shut(&under->o);
    }
    return d;
}

int xk_lua_disk_layer(lua_State *L, int (*over)(void *arg, struct xk_blkdev *below, struct xk_blkdev **out), void *arg,
                      const char *what)
{
    struct xk_blkdev *below;
    struct device *d = new_layer(L, &below);

    return finish(L, d, over(arg, below, &d->dev), what);
}

/*** @type device */

/*** A part of it, as a device of its own; this one may not be used any more.
 * @function slice
 * @tparam integer at in bytes
 * @tparam integer bytes */
static int device_slice(lua_State *L)
{
    uint64_t at = (uint64_t)xk_lua_integer(L, 2, 0, LUA_MAXINTEGER),
             n = (uint64_t)xk_lua_integer(L, 3, 0, LUA_MAXINTEGER);
    struct xk_blkdev *below;
    struct device *d;

    luaL_argcheck(L, at % XK_SECTOR == 0, 2, "not a multiple of 512");
    luaL_argcheck(L, n % XK_SECTOR == 0, 3, "not a multiple of 512");
    d = new_layer(L, &below);
    return finish(L, d, xk_block_slice(NULL, below, at / XK_SECTOR, n / XK_SECTOR, &d->dev), "slice");
}

/*** The same device with a limit: so many `requests`, so many `bytes` a second.
 * @function throttle
 * @tparam table limits */
static int device_throttle(lua_State *L)
{
    uint64_t requests = (uint64_t)xk_lua_field(L, 2, "requests", 0, LUA_MAXINTEGER),
             bytes = (uint64_t)xk_lua_field(L, 2, "bytes", 0, LUA_MAXINTEGER);
    struct xk_blkdev *below;
    struct device *d;

    luaL_checktype(L, 2, LUA_TTABLE);
    d = new_layer(L, &below);
    return finish(L, d, xk_block_throttle(NULL, d->o.world->loop, below, requests, bytes, &d->dev), "throttle");
}

/*** The same device, only read: what is written stays in memory, so much of it at most, and is forgotten at the end.
 * @function overlay
 * @tparam integer bytes */
static int device_overlay(lua_State *L)
{
    uint64_t bytes = (uint64_t)xk_lua_integer(L, 2, 0, LUA_MAXINTEGER);
    struct xk_blkdev *below;
    struct device *d = new_layer(L, &below);

    return finish(L, d, xk_block_overlay(NULL, below, bytes, &d->dev), "overlay");
}

/*** The same device that fails: requests that touch `bytes` from `at` on, after so many (`after`), about one in so many
 * (`one_in`); what is not said does not matter. They end with XK_EIO.
 * @function fault
 * @tparam table what */
static int device_fault(lua_State *L)
{
    struct xk_blk_fault f = {.first = (uint64_t)xk_lua_field(L, 2, "at", 0, LUA_MAXINTEGER) / XK_SECTOR,
                             .sectors =
                                 ((uint64_t)xk_lua_field(L, 2, "bytes", 0, LUA_MAXINTEGER) + XK_SECTOR - 1) / XK_SECTOR,
                             .after = (uint64_t)xk_lua_field(L, 2, "after", 0, LUA_MAXINTEGER),
                             .one_in = (uint64_t)xk_lua_field(L, 2, "one_in", 0, LUA_MAXINTEGER),
                             .seed = (uint64_t)xk_lua_field(L, 2, "seed", 0, LUA_MAXINTEGER)};
    struct xk_blkdev *below;
    struct device *d = new_layer(L, &below);

    return finish(L, d, xk_block_fault(NULL, below, &f, &d->dev), "fault");
}

/*** The same device with a write cache that is lost at the end, but for a part, as when the power goes.
 * @function power
 * @tparam[opt] integer seed of the chance that chooses */
static int device_power(lua_State *L)
{
    uint64_t seed = (uint64_t)(lua_isnoneornil(L, 2) ? 1 : xk_lua_integer(L, 2, 1, LUA_MAXINTEGER));
    struct xk_blkdev *below;
    struct device *d = new_layer(L, &below);

    d->power = 1;
    return finish(L, d, xk_block_power(NULL, below, seed, &d->dev), "power");
}

/*** How many sectors of 512 bytes would be lost, or half lost, if the power went now; nil of a device without `power`.
 * @function at_risk */
static int device_at_risk(lua_State *L)
{
    struct device *d = check_device(L, 1);

    if (!d->power)
        return 0;
    lua_pushinteger(L, (lua_Integer)xk_block_power_at_risk(d->dev));
    return 1;
}

static void front_told(void *arg, int connected, int err)
{
    struct device *d = arg;

    d->connected = connected;
    d->err = err;
    xk_lua_note(d->o.world, d->id);
    d->id = 0;
}

/*** The disk whose folder in the store is (path), from its guest's side.
 * @function front
 * @param world
 * @param store of xenkit.core.store
 * @tparam string path "device/vbd/51712"
 * @tparam[opt] table options `queues` (1): so many rings, 1 .. 4, or as many as the back end offers */
static int l_front(lua_State *L)
{
    const char *path = luaL_checkstring(L, 3);
    struct xk_vbd_front_options o = {.ring_order = 2, .max_pieces = 64, .told = front_told};
    struct xk_store *store;
    struct device *d;
    int r;

    o.queues = (uint8_t)xk_lua_field(L, 4, "queues", 0, XK_VBD_QUEUES);
    d = new_device(L);
    o.arg = d;
    store = xk_lua_store_use(L, 2, &d->user, &d->o);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 2);
    r = xk_vbd_front_open(NULL, d->o.world->loop, store, path, &o, &d->front);
    if (r == 0)
        d->dev = xk_vbd_front_device(d->front);
    return finish(L, d, r, path);
}

/*** @type device */

/*** Before the domain is saved: its rings are given back, the store client is not used any more. `resume` goes on with
 * another one. Of what has no back end: nothing.
 * @function suspend */
static int device_suspend(lua_State *L)
{
    struct device *d = check_device(L, 1);

    if (d->front)
        xk_lua_bus_suspend(&d->user, xk_vbd_front_bus(d->front));
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
    return xk_lua_bus_resume(L, &d->user, &d->o, xk_vbd_front_bus(d->front));
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

/*** Lets go of it in order: its state in the store becomes Closed, and the back end lets go, too. Of a front end only.
 * @function retire */
static int device_retire(lua_State *L)
{
    struct device *d = check_device(L, 1);

    if (d->front)
        xk_xenbus_retire(xk_vbd_front_bus(d->front));
    return 0;
}

/*** Size in bytes, and what it can do: a table with bytes, sector, readonly, flush, discard, removable, cdrom.
 * @function info */
static int device_info(lua_State *L)
{
    const struct xk_blk_info *i = &check_device(L, 1)->dev->info;
    static const struct {
        const char *name;
        unsigned bit;
    } bits[] = {{"readonly", XK_BLK_READONLY}, {"flush", XK_BLK_CAN_FLUSH},     {"discard", XK_BLK_CAN_DISCARD},
                {"cdrom", XK_BLK_CDROM},       {"removable", XK_BLK_REMOVABLE}, {NULL, 0}};

    lua_newtable(L);
    lua_pushinteger(L, (lua_Integer)(i->sectors * XK_SECTOR));
    lua_setfield(L, -2, "bytes");
    lua_pushinteger(L, i->logical);
    lua_setfield(L, -2, "sector");
    for (int k = 0; bits[k].name; k++) {
        lua_pushboolean(L, (i->features & bits[k].bit) != 0);
        lua_setfield(L, -2, bits[k].name);
    }
    return 1;
}

void xk_lua_disk_counters(lua_State *L, const uint64_t *requests, const uint64_t *bytes)
{
    xk_lua_set_integer(L, "reads", requests[XK_BLK_READ]);
    xk_lua_set_integer(L, "writes", requests[XK_BLK_WRITE]);
    xk_lua_set_integer(L, "flushes", requests[XK_BLK_FLUSH]);
    xk_lua_set_integer(L, "discards", requests[XK_BLK_DISCARD]);
    xk_lua_set_integer(L, "bytes_read", bytes[0]);
    xk_lua_set_integer(L, "bytes_written", bytes[1]);
}

/*** Counters of a front end's rings together, and how many there are: `queues`; nil for an image.
 * @function stats */
static int device_stats(lua_State *L)
{
    struct device *d = check_device(L, 1);
    struct xk_blkfront_stats s;
    int r = d->front ? xk_vbd_front_stats(d->front, &s) : XK_ENOSYS;

    if (r < 0)
        return xk_lua_fail(L, r);
    lua_newtable(L);
    xk_lua_set_integer(L, "queues", xk_vbd_front_queues(d->front));
    xk_lua_disk_counters(L, s.requests, s.bytes);
    xk_lua_set_integer(L, "errors", s.errors);
    xk_lua_set_integer(L, "notified", s.notified);
    xk_lua_set_integer(L, "events", s.events);
    xk_lua_set_integer(L, "under_way", s.under_way);
    xk_lua_set_integer(L, "waiting", s.waiting);
    return 1;
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static void request_free(struct request *q)
{
    xk_free(NULL, q->buf, q->n);
    xk_free(NULL, q, sizeof(*q));
}

static void on_done(struct xk_blk_request *r, int err)
{
    struct request *q = (struct request *)r;

    q->done = 1;
    q->err = err;
    if (q->orphan)
        request_free(q);
    else
        xk_lua_note(q->world, q->id);
}

static int request_close(lua_State *L)
{
    struct handle *h = luaL_checkudata(L, 1, REQUEST);

    if (h->q && h->q->done)
        request_free(h->q);
    else if (h->q)
        h->q->orphan = 1;
    h->q = NULL;
    return 0;
}

static struct request *new_request(size_t n, int with_memory)
{
    struct request *q = xk_new(NULL, sizeof(*q));

    if (q && with_memory) {
        q->n = n;
        q->buf = xk_new(NULL, n);
        if (!q->buf) {
            xk_free(NULL, q, sizeof(*q));
            return NULL;
        }
    }
    return q;
}

/*** Begins a request: "read" with a length, "write" with bytes, "flush", "discard" with a length. `fua` after the bytes
 * of a write: they are on the medium when it is done. @return request, whose :result() is to be asked when (id) came
 * true
 * @function start
 * @tparam integer id
 * @tparam string op
 * @tparam integer at in bytes
 * @param what bytes, or how many
 * @tparam[opt] boolean fua */
static int device_start(lua_State *L)
{
    static const char *const names[] = {"read", "write", "flush", "discard", NULL};
    static const uint8_t ops[] = {XK_BLK_READ, XK_BLK_WRITE, XK_BLK_FLUSH, XK_BLK_DISCARD};
    struct device *d = check_device(L, 1);
    lua_Integer id = luaL_checkinteger(L, 2);
    unsigned op = ops[luaL_checkoption(L, 3, NULL, names)];
    uint64_t at = op == XK_BLK_FLUSH ? 0 : (uint64_t)xk_lua_integer(L, 4, 0, LUA_MAXINTEGER);
    const char *bytes = op == XK_BLK_WRITE ? luaL_checklstring(L, 5, NULL) : NULL;
    size_t n = op == XK_BLK_FLUSH ? 0 : 1;
    struct handle *h;
    struct request *q;
    int r;

    if (op == XK_BLK_WRITE)
        bytes = luaL_checklstring(L, 5, &n);
    else if (op != XK_BLK_FLUSH)
        n = (size_t)xk_lua_integer(L, 5, 1, op == XK_BLK_READ ? MOST : LUA_MAXINTEGER);
    luaL_argcheck(L, at % XK_SECTOR == 0, 4, "not a multiple of 512");
    luaL_argcheck(L, n % XK_SECTOR == 0 && (n || op == XK_BLK_FLUSH), 5, "its length is not a multiple of 512");
    luaL_argcheck(L, op > XK_BLK_WRITE || n <= MOST, 5, "more than 1 MiB at a time");
    h = xk_lua_new(L, REQUEST, sizeof(*h), 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    q = h->q = new_request(n, op <= XK_BLK_WRITE);
    if (!q)
        return xk_lua_fail(L, XK_ENOMEM);
    if (bytes)
        memcpy(q->buf, bytes, n);
    q->world = d->o.world;
    q->id = id;
    q->piece = (struct xk_piece){q->buf, n};
    q->r = (struct xk_blk_request){
        .done = on_done, .sector = at / XK_SECTOR, .sectors = n / XK_SECTOR, .piece = &q->piece, .op = (uint8_t)op};
    q->r.pieces = op <= XK_BLK_WRITE;
    q->r.flags = op == XK_BLK_WRITE && lua_toboolean(L, 6) ? XK_BLK_FUA : 0;
    r = xk_blk_submit(d->dev, &q->r);
    if (r < 0) {
        q->done = 1;
        return xk_lua_fail(L, r);
    }
    xk_blk_kick(d->dev);
    return 1;
}

/*** The bytes that were read, or true; nil, message, code; XK_EAGAIN while it is under way.
 * @function result */
static int request_result(lua_State *L)
{
    struct handle *h = luaL_checkudata(L, 1, REQUEST);
    struct request *q = h->q;

    if (!q || !q->done)
        return xk_lua_fail(L, XK_EAGAIN);
    if (q->err < 0)
        return xk_lua_fail(L, q->err);
    if (q->r.op == XK_BLK_READ)
        lua_pushlstring(L, (const char *)q->buf, q->n);
    else
        lua_pushboolean(L, 1);
    return 1;
}

int luaopen_xenkit_core_block(lua_State *L)
{
    static const luaL_Reg functions[] = {{"memory", l_memory}, {"file", l_file},   {"aio", l_aio},
                                         {"vhd", l_vhd},       {"front", l_front}, {"back", xk_lua_block_back},
                                         {NULL, NULL}};
    static const luaL_Reg device_methods[] = {{"suspend", device_suspend}, {"resume", device_resume},
                                              {"arm", device_arm},         {"state", device_state},
                                              {"info", device_info},       {"stats", device_stats},
                                              {"start", device_start},     {"retire", device_retire},
                                              {"slice", device_slice},     {"throttle", device_throttle},
                                              {"fault", device_fault},     {"overlay", device_overlay},
                                              {"power", device_power},     {"at_risk", device_at_risk},
                                              {"close", device_close},     {NULL, NULL}};
    static const luaL_Reg request_methods[] = {{"result", request_result}, {NULL, NULL}};

    xk_lua_type(L, DEVICE, device_methods, device_close);
    xk_lua_type(L, REQUEST, request_methods, request_close);
    xk_lua_block_back_type(L);
    luaL_newlib(L, functions);
    return 1;
}
