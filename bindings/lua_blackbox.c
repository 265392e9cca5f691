/* xenkit.core.blackbox - rings of last words: the writer's end, and the reader's. SPDX-License-Identifier: MIT */
#include <xenkit/alloc.h>
#include <xenkit/blackbox.h>

#include "bindings/world.h"

int luaopen_xenkit_core_blackbox(lua_State *L);

enum { PAGES_MAX = 16 };

/* An area of (pages) pages: of plain memory until it is shared, shared with one peer, or mapped of one. */
struct box {
    struct xk_lua_object o;
    struct xk_blackbox ring;
    void *area;
    size_t pages;
    enum { PLAIN, SHARED, MAPPED } kind;
};
#define BOX "xenkit.blackbox"

static size_t bytes_of(const struct box *b) { return b->pages * XK_PAGE_SIZE; }

static void let_go(struct box *b)
{
    struct xk_platform *p = b->o.world->platform;

    if (!b->area)
        return;
    if (b->kind == PLAIN)
        xk_free(NULL, b->area, bytes_of(b));
    else if (b->kind == SHARED)
        xk_page_forget(p, b->area, (unsigned)b->pages);
    else
        xk_page_unmap(p, b->area, (unsigned)b->pages);
    b->area = NULL;
}

static void box_shut(struct xk_lua_object *o) { let_go((struct box *)o); }

static struct box *new_box(lua_State *L)
{
    struct box *b = xk_lua_new(L, BOX, sizeof(*b), 1);

    xk_lua_adopt(L, &b->o, 1, box_shut);
    return b;
}

static int fail(lua_State *L, struct box *b, int r)
{
    xk_lua_shut(&b->o);
    return xk_lua_failf(L, r, "black box");
}

/* new (world, pages) - a writer, in memory of its own at first. */
static int box_new(lua_State *L)
{
    size_t pages = (size_t)xk_lua_integer(L, 2, 1, PAGES_MAX);
    struct box *b;
    int r;

    xk_lua_check_world(L, 1);
    b = new_box(L);
    b->pages = pages;
    b->area = xk_new(NULL, bytes_of(b));
    if (!b->area)
        return fail(L, b, XK_ENOMEM);
    r = xk_blackbox_init(&b->ring, b->area, bytes_of(b));
    return r < 0 ? fail(L, b, r) : 1;
}

static struct box *check(lua_State *L, int is_writer)
{
    struct box *b = xk_lua_check_object(L, 1, BOX, "black box");

    luaL_argcheck(L, (b->kind != MAPPED) == is_writer, 1, is_writer ? "a reader" : "a writer");
    return b;
}

/* put (record) - adds it; nil, text, "XK_E2BIG". */
static int box_put(lua_State *L)
{
    struct box *b = check(L, 1);
    size_t n;
    const char *data = luaL_checklstring(L, 2, &n);

    return xk_lua_ok(L, xk_blackbox_put(&b->ring, data, n));
}

/* share (peer) - moves to pages that (peer) may read; who had the former ones keeps what it has mapped. Gives the list
 * of references. */
static int box_share(lua_State *L)
{
    struct box *b = check(L, 1);
    xk_domid peer = (xk_domid)xk_lua_integer(L, 2, 0, 0x7ff0);
    xk_gref refs[PAGES_MAX];
    void *area;
    int r = xk_page_share(b->o.world->platform, peer, (unsigned)b->pages, XK_PAGE_READONLY, refs, &area);

    if (r < 0)
        return xk_lua_failf(L, r, "black box");
    xk_blackbox_move(&b->ring, area);
    let_go(b);
    b->area = area;
    b->kind = SHARED;
    lua_createtable(L, (int)b->pages, 0);
    for (size_t i = 0; i < b->pages; i++) {
        lua_pushinteger(L, refs[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* map (world, peer, refs) - a reader of (peer)'s. */
static int box_map(lua_State *L)
{
    xk_domid peer = (xk_domid)xk_lua_integer(L, 2, 0, 0x7ff0);
    xk_gref refs[PAGES_MAX];
    lua_Integer pages;
    struct box *b;
    int r;

    luaL_checktype(L, 3, LUA_TTABLE);
    pages = (lua_Integer)lua_rawlen(L, 3);
    luaL_argcheck(L, pages >= 1 && pages <= PAGES_MAX, 3, "1 to 16 references");
    for (lua_Integer i = 0; i < pages; i++) {
        lua_rawgeti(L, 3, i + 1);
        refs[i] = (xk_gref)xk_lua_integer(L, -1, 0, UINT32_MAX);
        lua_pop(L, 1);
    }
    xk_lua_check_world(L, 1);
    b = new_box(L);
    b->kind = MAPPED;
    b->pages = (size_t)pages;
    r = xk_page_map(b->o.world->platform, peer, refs, (unsigned)pages, XK_PAGE_READONLY, NULL, &b->area);
    return r < 0 ? fail(L, b, r) : 1;
}

/* records () - a list of what lies there, oldest first, and whether all of it made sense; nil, text, "XK_EPEER". */
static int box_records(lua_State *L)
{
    struct box *b = check(L, 0);
    void *copy = lua_newuserdatauv(L, bytes_of(b), 0);
    struct xk_blackbox_reader reader;
    int r = XK_EAGAIN;

    for (int tries = 0; r == XK_EAGAIN && tries < 3; tries++) /* a living writer may have gone a round meanwhile */
        r = xk_blackbox_copy(&reader, b->area, bytes_of(b), copy);
    if (r < 0)
        return xk_lua_failf(L, r, "black box");
    lua_newtable(L);
    for (lua_Integer i = 1;; i++) {
        const uint8_t *data;
        r = xk_blackbox_next(&reader, &data);
        if (r <= 0)
            break;
        lua_pushlstring(L, (const char *)data, (size_t)r);
        lua_rawseti(L, -2, i);
    }
    lua_pushboolean(L, r == 0);
    return 2;
}

static int box_dropped(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check(L, 1)->ring.dropped);
    return 1;
}

static int box_close(lua_State *L)
{
    xk_lua_shut(luaL_checkudata(L, 1, BOX));
    return 0;
}

int luaopen_xenkit_core_blackbox(lua_State *L)
{
    static const luaL_Reg functions[] = {{"new", box_new}, {"map", box_map}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"put", box_put},         {"share", box_share}, {"records", box_records},
                                       {"dropped", box_dropped}, {"close", box_close}, {NULL, NULL}};

    xk_lua_type(L, BOX, methods, box_close);
    luaL_newlib(L, functions);
    return 1;
}
