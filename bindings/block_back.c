/* Back ends of disks in Lua: `core.block.back`, a part of lua_block.c's module. SPDX-License-Identifier: MIT */
#include "bindings/block_back.h"

#include <xenkit/vbd.h>

#include "bindings/xenbus.h"

#define BACK "xenkit.block.back"

struct back {
    struct xk_lua_object o;
    struct xk_lua_store_user user;
    struct xk_vbd_back *back;
    struct xk_lua_served *image;
    struct back *next, **link; /* of the image's */
    lua_Integer id;
    int connected, err, gone;
    int begun, writes, waits; /* has the image in use; for writing; would like to */
};

static struct back *check_back(lua_State *L) { return xk_lua_check_object(L, 1, BACK, "back end"); }

static int open_image(void *arg, xk_domid front, const char *params, const char *mode, struct xk_blkdev **out)
{
    (void)front;
    (void)params;
    (void)mode;
    *out = ((struct back *)arg)->image->dev;
    return 0;
}

static void back_told(void *arg, int connected, int err)
{
    struct back *b = arg;

    b->connected = connected;
    b->err = err;
    xk_lua_note(b->o.world, b->id);
    b->id = 0;
}

/* One may write an image, or several may read it, whoever is connected first; the others wait. */
static int back_begin(void *arg, int readonly)
{
    struct back *b = arg;

    for (struct back *o = b->image->backs; o; o = o->next)
        if (o != b && o->begun && (o->writes || !readonly)) {
            if (!b->waits)
                back_told(b, 0, XK_EBUSY);
            b->waits = 1;
            return XK_EAGAIN;
        }
    b->begun = 1;
    b->writes = !readonly;
    b->waits = 0;
    return 0;
}

static void back_end(void *arg)
{
    struct back *b = arg;

    b->begun = 0;
    for (struct back *o = b->image->backs; o; o = o->next)
        if (o != b && o->waits)
            xk_xenbus_update(xk_vbd_back_bus(o->back));
}

static void back_gone(void *arg)
{
    struct back *b = arg;

    b->gone = 1;
    back_told(arg, 0, XK_EGONE);
}

/* A request may be under way on an image of ours, which then is closed first: images answer at once or when closed. */
static void back_shut(struct xk_lua_object *o)
{
    struct back *b = (struct back *)o;

    xk_lua_store_unuse(&b->user);
    if (b->back)
        xk_vbd_back_close(b->back, NULL, NULL);
    *b->link = b->next;
    if (b->next)
        b->next->link = b->link;
    b->image->used--;
    xk_lua_note(o->world, b->id);
}

static int back_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, BACK));
    return 0;
}

/*** Serves (image) to the front end that the folder (path) names.
 * Several may serve one image, of which one may be connected for writing, or all for reading: the others wait, and say
 * XK_EBUSY meanwhile.
 * @function back
 * @param world
 * @param store of xenkit.core.store
 * @tparam string path "backend/vbd/7/51712"
 * @param image a device of this module
 * @tparam[opt] table options `ring_order` (2), `max_pieces` (64) of a request, `persistent` (1), `queues` (1): so many
 * rings are offered, 1 .. 4 */
int xk_lua_block_back(lua_State *L)
{
    const char *path = luaL_checkstring(L, 3);
    struct xk_lua_served *image = xk_lua_disk_served(L, 4);
    struct xk_vbd_back_options o = {
        .open_image = open_image, .begin = back_begin, .end = back_end, .told = back_told, .gone = back_gone};
    struct xk_store *store;
    struct back *b;
    int r;

    o.ring_order = (uint8_t)xk_lua_field(L, 5, "ring_order", 2, 4);
    o.max_pieces = (uint16_t)xk_lua_field(L, 5, "max_pieces", 64, XK_BLKBACK_PIECES_MAX);
    o.no_persistent = !xk_lua_field(L, 5, "persistent", 1, 1);
    o.queues = (uint8_t)xk_lua_field(L, 5, "queues", 0, XK_VBD_QUEUES);
    b = xk_lua_new(L, BACK, sizeof(*b), 3);
    b->image = image;
    b->next = image->backs;
    b->link = &image->backs;
    if (b->next)
        b->next->link = &b->next;
    image->backs = b;
    image->used++;
    o.arg = b;
    xk_lua_adopt(L, &b->o, 1, back_shut);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 2);
    lua_pushvalue(L, 4);
    lua_setiuservalue(L, -2, 3);
    store = xk_lua_store_use(L, 2, &b->user, &b->o);
    r = xk_vbd_back_open(NULL, b->o.world->loop, store, path, &o, &b->back);
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

/*** Tells the front end that the image has another size.
 * @function resized */
static int back_resized(lua_State *L) { return xk_lua_ok(L, xk_vbd_back_resized(check_back(L)->back)); }

/*** Counters, of all rings together (`queues` of them): of requests, bytes, errors, `refused` ones that made no sense,
 * notifications, pages.
 * @function stats */
static int back_stats(lua_State *L)
{
    struct back *b = check_back(L);
    struct xk_blkback_stats s;
    int r = xk_vbd_back_stats(b->back, &s);

    if (r < 0)
        return xk_lua_fail(L, r);
    lua_newtable(L);
    xk_lua_set_integer(L, "queues", xk_vbd_back_queues(b->back));
    xk_lua_disk_counters(L, s.requests, s.bytes);
    xk_lua_set_integer(L, "errors", s.errors);
    xk_lua_set_integer(L, "refused", s.refused);
    xk_lua_set_integer(L, "notified", s.notified);
    xk_lua_set_integer(L, "events", s.events);
    xk_lua_set_integer(L, "idle_events", s.idle_events);
    xk_lua_set_integer(L, "maps", s.maps);
    xk_lua_set_integer(L, "kept", s.kept);
    xk_lua_set_integer(L, "under_way", s.under_way);
    xk_lua_set_integer(L, "most_under_way", s.most_under_way);
    return 1;
}

void xk_lua_block_back_type(lua_State *L)
{
    static const luaL_Reg back_methods[] = {{"arm", back_arm},         {"state", back_state}, {"stats", back_stats},
                                            {"resized", back_resized}, {"close", back_close}, {NULL, NULL}};

    xk_lua_type(L, BACK, back_methods, back_close);
}
