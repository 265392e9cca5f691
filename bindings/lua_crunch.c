/*** A folder as one image: read where it lies, and made. `xenkit.crunch` is for daily use.
 *
 *     local image = assert(core.crunch.open(bytes))
 *     local file = image:find "index.html"
 *     print(file.size, file.type, image:read "index.html")
 *
 * Times are in seconds after 1970, positions in bytes from 0.
 * @module xenkit.core.crunch
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/buf.h>
#include <xenkit/crunch.h>

#include "bindings/xk_lua.h"

int luaopen_xenkit_core_crunch(lua_State *L);

#define IMAGE "xenkit.crunch"
#define WRITER "xenkit.crunch.writer"

/* User value 1: the string that is the image. */
struct image {
    struct xk_crunch *c;
    const uint8_t *bytes;
};

/* What was put is taken out after each file. */
struct writer {
    struct xk_crunch_writer *w;
    struct xk_buf out;
};

/* --- reading ------------------------------------------------------------------------------------------------------ */

/*** Looks at the whole directory of an image.
 * @function open
 * @tparam string bytes
 * @return the image; or nil, what is wrong with it, "XK_EPROTO" */
static int l_open(lua_State *L)
{
    size_t n;
    const char *bytes = luaL_checklstring(L, 1, &n);
    struct image *i = xk_lua_new(L, IMAGE, sizeof(*i), 1);
    struct xk_diag d = {0};
    int r;

    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    i->bytes = (const uint8_t *)bytes;
    r = xk_crunch_open(NULL, bytes, n, &i->c, &d);
    if (r == 0)
        return 1;
    i->c = NULL;
    return xk_lua_diag(L, &d, "image");
}

static struct image *check_image(lua_State *L)
{
    struct image *i = luaL_checkudata(L, 1, IMAGE);

    luaL_argcheck(L, i->c, 1, "attempt to use a closed image");
    return i;
}

static void push_file(lua_State *L, const struct image *i, const struct xk_crunch_file *f)
{
    char etag[XK_CRUNCH_ETAG];

    lua_createtable(L, 0, 10);
    lua_pushlstring(L, f->path, f->path_len);
    lua_setfield(L, -2, "path");
    xk_lua_set_integer(L, "size", f->size);
    xk_lua_set_integer(L, "stored", f->stored_size);
    xk_lua_set_integer(L, "crc", f->crc);
    xk_lua_set_integer(L, "at", (uint64_t)(f->data - i->bytes));
    lua_pushstring(L, f->method == XK_CRUNCH_DEFLATED ? "deflated" : "stored");
    lua_setfield(L, -2, "method");
    if (f->time)
        xk_lua_set_integer(L, "time", (uint64_t)f->time);
    lua_pushstring(L, xk_crunch_type(f));
    lua_setfield(L, -2, "type");
    xk_crunch_etag(f, etag);
    lua_pushstring(L, etag);
    lua_setfield(L, -2, "etag");
}

/*** @type image */

/*** A file: path, size, stored (bytes in the image), method ("stored", "deflated"), at (where those begin in the
 * image), crc, time (nil: not known), type (its media type), etag; or nil.
 * @function find
 * @tparam string path */
static int image_find(lua_State *L)
{
    struct image *i = check_image(L);
    size_t n;
    const char *path = luaL_checklstring(L, 2, &n);
    struct xk_crunch_file f;

    if (xk_crunch_find(i->c, path, n, &f) < 0)
        return 0;
    push_file(L, i, &f);
    return 1;
}

/*** Whether there is such a file.
 * @function has
 * @tparam string path */
static int image_has(lua_State *L)
{
    struct image *i = check_image(L);
    size_t n;
    const char *path = luaL_checklstring(L, 2, &n);
    struct xk_crunch_file f;

    lua_pushboolean(L, xk_crunch_find(i->c, path, n, &f) >= 0);
    return 1;
}

/*** The file of a number, 1 .. count, in the order of paths, as `find` gives it.
 * @function at
 * @tparam integer number */
static int image_at(lua_State *L)
{
    struct image *i = check_image(L);
    struct xk_crunch_file f;

    xk_crunch_get(i->c, (unsigned)xk_lua_integer(L, 2, 1, xk_crunch_count(i->c)) - 1, &f);
    push_file(L, i, &f);
    return 1;
}

/*** The number of the first file whose path is not before `path`; count + 1 where there is none.
 * @function seek
 * @tparam string path */
static int image_seek(lua_State *L)
{
    struct image *i = check_image(L);
    size_t n;
    const char *path = luaL_checklstring(L, 2, &n);

    lua_pushinteger(L, (lua_Integer)xk_crunch_seek(i->c, path, n) + 1);
    return 1;
}

/*** How many files.
 * @function count */
static int image_count(lua_State *L)
{
    lua_pushinteger(L, xk_crunch_count(check_image(L)->c));
    return 1;
}

static int find_file(lua_State *L, struct xk_crunch_file *f)
{
    struct image *i = check_image(L);
    size_t n;
    const char *path = luaL_checklstring(L, 2, &n);

    return xk_crunch_find(i->c, path, n, f);
}

/* From (at) on, (n) bytes, of a deflated file. What is before it is inflated, too. (buf) has room for (n). */
static int read_part(const struct xk_crunch_file *f, uint32_t at, uint32_t n, char *buf)
{
    struct xk_crunch_stream *s;
    char skipped[4096];
    int r = xk_crunch_stream_open(NULL, f, &s);

    while (r >= 0 && at) {
        r = xk_crunch_stream_read(s, skipped, at < sizeof(skipped) ? at : sizeof(skipped));
        at -= r > 0 ? (uint32_t)r : 0;
    }
    while (r >= 0 && n) {
        r = xk_crunch_stream_read(s, buf, n);
        n -= r > 0 ? (uint32_t)r : 0;
        buf += r > 0 ? r : 0;
    }
    xk_crunch_stream_close(s);
    return r < 0 ? r : 0;
}

/*** Contents, or the bytes `first` to `last` of them, from 0 and both included. A whole is compared with its CRC.
 * @function read
 * @tparam string path
 * @tparam[opt=0] integer first
 * @tparam[opt] integer last at most the last one
 * @return bytes; or nil, message, "XK_ENOENT", "XK_EPROTO" (damage) */
static int image_read(lua_State *L)
{
    struct xk_crunch_file f;
    int r = find_file(L, &f), whole = lua_isnoneornil(L, 3) && lua_isnoneornil(L, 4);
    lua_Integer first = luaL_optinteger(L, 3, 0), last = luaL_optinteger(L, 4, LUA_MAXINTEGER);
    luaL_Buffer b;
    char *to;
    size_t n;

    luaL_argcheck(L, first >= 0, 3, "less than 0");
    if (r < 0)
        return xk_lua_failf(L, r, lua_tostring(L, 2));
    last = last < (lua_Integer)f.size ? last : (lua_Integer)f.size - 1;
    n = first <= last ? (size_t)(last - first) + 1 : 0;
    if (!whole && f.method == XK_CRUNCH_STORED) {
        lua_pushlstring(L, n ? xk_crunch_bytes(&f, (uint32_t)first, (uint32_t)n) : "", n);
        return 1;
    }
    to = luaL_buffinitsize(L, &b, n);
    r = whole ? xk_crunch_read(NULL, &f, to) : n ? read_part(&f, (uint32_t)first, (uint32_t)n, to) : 0;
    if (r < 0)
        return xk_lua_failf(L, r, lua_tostring(L, 2));
    luaL_pushresultsize(&b, n);
    return 1;
}

/*** Contents as gzip, without work, of a deflated file.
 * @function gzip
 * @tparam string path
 * @return bytes; or nil, message, "XK_ENOENT", "XK_EINVAL" (it is stored) */
static int image_gzip(lua_State *L)
{
    uint8_t head[XK_CRUNCH_GZIP_HEAD], tail[XK_CRUNCH_GZIP_TAIL];
    struct xk_crunch_file f;
    int r = find_file(L, &f);
    luaL_Buffer b;

    if (r >= 0)
        r = xk_crunch_gzip(&f, head, tail);
    if (r == XK_EINVAL) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s: it is stored as it is, as deflate would not make it smaller", lua_tostring(L, 2));
        lua_pushstring(L, xk_err_name(r));
        return 3;
    }
    if (r < 0)
        return xk_lua_failf(L, r, lua_tostring(L, 2));
    luaL_buffinitsize(L, &b, (size_t)f.stored_size + sizeof(head) + sizeof(tail));
    luaL_addlstring(&b, (const char *)head, sizeof(head));
    luaL_addlstring(&b, (const char *)f.data, f.stored_size);
    luaL_addlstring(&b, (const char *)tail, sizeof(tail));
    luaL_pushresult(&b);
    return 1;
}

/*** The image's own bytes.
 * @function bytes */
static int image_bytes(lua_State *L)
{
    check_image(L);
    lua_getiuservalue(L, 1, 1);
    return 1;
}

static int image_close(lua_State *L)
{
    struct image *i = luaL_checkudata(L, 1, IMAGE);

    xk_crunch_close(i->c);
    i->c = NULL;
    lua_pushnil(L);
    lua_setiuservalue(L, 1, 1);
    return 0;
}

/* --- making ------------------------------------------------------------------------------------------------------- */

static int put(void *arg, const void *data, size_t n) { return xk_buf_put(&((struct writer *)arg)->out, data, n); }

/*** Makes an image. `spec`: level (1 .. 9, of deflate; 9), align (contents of stored files begin at multiples of it: a
 * power of two up to 32768).
 * @function writer
 * @tparam[opt] table spec */
static int l_writer(lua_State *L)
{
    struct xk_crunch_spec spec = {.put = put};
    struct writer *w;
    int r;

    spec.level = (int)xk_lua_field(L, 1, "level", 0, 9);
    spec.align = (uint32_t)xk_lua_field(L, 1, "align", 0, XK_CRUNCH_ALIGN_MAX);
    w = xk_lua_new(L, WRITER, sizeof(*w), 0);
    xk_buf_init(&w->out, NULL, XK_CRUNCH_SIZE_MAX);
    spec.arg = w;
    r = xk_crunch_writer_new(NULL, &spec, &w->w);
    return r < 0 ? xk_lua_fail(L, r) : 1;
}

static struct writer *check_writer(lua_State *L)
{
    struct writer *w = luaL_checkudata(L, 1, WRITER);

    luaL_argcheck(L, w->w, 1, "attempt to use a closed writer");
    return w;
}

static int push_out(lua_State *L, struct writer *w)
{
    lua_pushlstring(L, (const char *)(w->out.data ? xk_buf_head(&w->out) : (const uint8_t *)""), xk_buf_len(&w->out));
    xk_buf_take(&w->out, xk_buf_len(&w->out));
    return 1;
}

/*** @type writer */

/*** A file; paths come in the order of their bytes.
 * @function add
 * @tparam string path
 * @tparam string contents
 * @tparam[opt] integer time
 * @return the image's next bytes, to be kept */
static int writer_add(lua_State *L)
{
    struct writer *w = check_writer(L);
    size_t n, size;
    const char *path = luaL_checklstring(L, 2, &n), *data = luaL_checklstring(L, 3, &size);
    struct xk_diag d = {0};
    int r = xk_crunch_add(w->w, path, n, data, size, luaL_optinteger(L, 4, 0), &d);

    if (r == XK_EINVAL)
        return xk_lua_diag(L, &d, path);
    return r < 0 ? xk_lua_failf(L, r, path) : push_out(L, w);
}

/*** The directory.
 * @function finish
 * @return the image's last bytes */
static int writer_finish(lua_State *L)
{
    struct writer *w = check_writer(L);
    int r = xk_crunch_finish(w->w);

    return r < 0 ? xk_lua_fail(L, r) : push_out(L, w);
}

static int writer_close(lua_State *L)
{
    struct writer *w = luaL_checkudata(L, 1, WRITER);

    if (w->w)
        xk_buf_fini(&w->out);
    xk_crunch_writer_close(w->w);
    w->w = NULL;
    return 0;
}

int luaopen_xenkit_core_crunch(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", l_open}, {"writer", l_writer}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"find", image_find}, {"has", image_has},     {"at", image_at},
                                       {"seek", image_seek}, {"count", image_count}, {"read", image_read},
                                       {"gzip", image_gzip}, {"bytes", image_bytes}, {"close", image_close},
                                       {NULL, NULL}};
    static const luaL_Reg writer_methods[] = {
        {"add", writer_add}, {"finish", writer_finish}, {"close", writer_close}, {NULL, NULL}};

    xk_lua_type(L, IMAGE, methods, image_close);
    xk_lua_type(L, WRITER, writer_methods, writer_close);
    luaL_newlib(L, functions);
    return 1;
}
