/* xenkit.core.markup - Markdown to HTML. SPDX-License-Identifier: MIT */
#include <xenkit/markup.h>

#include "bindings/xk_lua.h"

int luaopen_xenkit_core_markup(lua_State *L);

enum { HTML_MAX = 64 << 20 };

/* What C holds while Lua may raise. */
struct work {
    struct xk_buf html;
    struct xk_headings headings;
};
#define WORK "xenkit.markdown"

static int work_close(lua_State *L)
{
    struct work *w = luaL_checkudata(L, 1, WORK);

    xk_buf_fini(&w->html);
    xk_headings_fini(&w->headings);
    return 0;
}

static unsigned option(lua_State *L, const char *name, unsigned bit)
{
    int on;

    if (lua_isnoneornil(L, 2))
        return 0;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, name);
    on = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return on ? bit : 0;
}

static void push_headings(lua_State *L, const struct xk_headings *h)
{
    lua_createtable(L, (int)h->count, 0);
    for (size_t i = 0; i < h->count; i++) {
        const char *s;
        size_t n;

        lua_createtable(L, 0, 3);
        lua_pushinteger(L, h->list[i].level);
        lua_setfield(L, -2, "level");
        s = xk_headings_text(h, i, &n);
        lua_pushlstring(L, s, n);
        lua_setfield(L, -2, "text");
        s = xk_headings_id(h, i, &n);
        lua_pushlstring(L, s, n);
        lua_setfield(L, -2, "id");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* markdown (text, opts) - the HTML, and its headings as a list of {level, text, id}, in order; the first is the title.
 * opts: unsafe, smart, no_ids. */
static int markdown(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    unsigned options = option(L, "unsafe", XK_MARKDOWN_UNSAFE) | option(L, "smart", XK_MARKDOWN_SMART) |
                       option(L, "no_ids", XK_MARKDOWN_NO_IDS);
    struct xk_diag d = {0};
    struct work *w = lua_newuserdatauv(L, sizeof(*w), 0);

    xk_buf_init(&w->html, NULL, HTML_MAX);
    xk_headings_init(&w->headings, NULL);
    luaL_setmetatable(L, WORK);
    lua_toclose(L, -1);
    if (xk_markdown_html(NULL, text, n, options, &w->html, &w->headings, &d) < 0)
        return xk_lua_diag(L, &d, "markdown");
    lua_pushlstring(L, w->html.data ? (const char *)xk_buf_head(&w->html) : "", xk_buf_len(&w->html));
    push_headings(L, &w->headings);
    return 2;
}

int luaopen_xenkit_core_markup(lua_State *L)
{
    static const luaL_Reg functions[] = {{"markdown", markdown}, {NULL, NULL}};
    static const luaL_Reg none[] = {{NULL, NULL}};

    xk_lua_type(L, WORK, none, work_close);
    luaL_newlib(L, functions);
    return 1;
}
