/*** Encrypted disks: LUKS1, and AES-XTS alone. `xenkit.crypt` is for daily use.
 *
 *     local key <close> = assert(core.crypt.key(descriptor))
 *     local opening <close> = assert(core.crypt.luks(disk, key))
 *     repeat local open = assert(opening:step(4000) ~= nil) ... until open       -- and lets others run meanwhile
 *     local plain = assert(core.crypt.open(disk, opening))                       -- in the place of disk
 *
 * A descriptor belongs to what it is given to from then on, also when that fails. Headers in files (info, create, add,
 * remove) are worked on while the caller waits.
 * @module xenkit.core.crypt
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/luks.h>
#include <xenkit/xts.h>

#include "bindings/block.h"

int luaopen_xenkit_core_crypt(lua_State *L);

#define KEY "xenkit.crypt.key"
#define OPENING "xenkit.crypt.opening"

/* In memory of C, as Lua keeps copies where nobody can overwrite them. */
struct key {
    size_t n;
    uint8_t *bytes; /* NULL: closed */
};

struct opening {
    struct xk_lua_disk_user user;
    struct xk_file *file; /* over the disk; NULL: it is not read any more */
    struct xk_luks *luks;
};

static int fail_diag(lua_State *L, int r, const struct xk_diag *d)
{
    lua_pushnil(L);
    lua_pushstring(L, d->text[0] ? d->text : xk_err_text(r));
    lua_pushstring(L, xk_err_name(r));
    return 3;
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static int key_close(lua_State *L)
{
    struct key *k = luaL_checkudata(L, 1, KEY);

    for (volatile uint8_t *p = k->bytes; p && p < k->bytes + k->n; p++)
        *p = 0;
    xk_free(NULL, k->bytes, k->n);
    k->bytes = NULL;
    return 0;
}

static struct key *check_key(lua_State *L, int arg)
{
    struct key *k = luaL_checkudata(L, arg, KEY);

    luaL_argcheck(L, k->bytes, arg, "it is closed");
    return k;
}

/* All of a file. */
static int read_key(struct key *k, int fd)
{
    struct xk_file *file;
    int r = xk_file_from_handle(NULL, fd, &file);
    int64_t n = r == 0 ? xk_file_size(file) : 0;

    if (r == 0)
        r = n < 0 ? (int)n : n == 0 ? XK_EINVAL : n > XK_LUKS_PASSPHRASE_MAX ? XK_E2BIG : 0;
    k->bytes = r == 0 ? xk_new(NULL, (size_t)n) : NULL;
    if (k->bytes) {
        k->n = (size_t)n;
        r = xk_file_read(file, k->bytes, k->n, 0);
        r = r >= 0 && (size_t)r < k->n ? XK_EIO : r < 0 ? r : 0;
    } else if (r == 0) {
        r = XK_ENOMEM;
    }
    xk_file_close(file);
    return r;
}

/*** A key: all bytes of a file, a line end at its end too, or those of a string. It is overwritten when it is closed.
 * @function key
 * @tparam integer|string from a descriptor, or the bytes */
static int l_key(lua_State *L)
{
    struct key *k = xk_lua_new(L, KEY, sizeof(*k), 0);
    size_t n;
    const char *s;
    int r;

    if (lua_isinteger(L, 1)) {
        r = read_key(k, (int)xk_lua_integer(L, 1, 0, INT32_MAX));
        if (r == XK_EINVAL)
            return xk_lua_failf(L, r, "it is empty");
        return r < 0 ? xk_lua_fail(L, r) : 1;
    }
    s = luaL_checklstring(L, 1, &n);
    luaL_argcheck(L, n > 0 && n <= XK_LUKS_PASSPHRASE_MAX, 1, "a key has 1 to 1048576 bytes");
    k->bytes = xk_new(NULL, n);
    if (!k->bytes)
        return xk_lua_fail(L, XK_ENOMEM);
    memcpy(k->bytes, s, n);
    k->n = n;
    return 1;
}

/* --- disks -------------------------------------------------------------------------------------------------------- */

static int over_xts(void *arg, struct xk_blkdev *below, struct xk_blkdev **out)
{
    return xk_block_xts(NULL, below, arg, out);
}

/*** A disk that is encrypted with AES-XTS from its first sector on, without a header: the key is the cipher's own, of
 * 32 or 64 bytes. Takes the place of the disk. `options`: discard, pass discards on; tweak, of its first sector.
 * @function xts
 * @param disk
 * @param key
 * @tparam[opt] table options */
static int l_xts(lua_State *L)
{
    struct key *k = check_key(L, 2);
    struct xk_xts_options o = {.key = k->bytes,
                               .key_bytes = k->n,
                               .tweak = (uint64_t)xk_lua_field(L, 3, "tweak", 0, LUA_MAXINTEGER),
                               .discard = (int)xk_lua_field(L, 3, "discard", 0, 1)};

    if ((k->n != 32 && k->n != 64) || memcmp(k->bytes, k->bytes + k->n / 2, k->n / 2) == 0)
        return fail_diag(L, XK_EINVAL,
                         &(struct xk_diag){.text = "a key of AES-XTS has 32 or 64 bytes, whose halves differ"});
    return xk_lua_disk_layer(L, over_xts, &o, "encrypted disk");
}

static void leave_disk(struct opening *o)
{
    xk_lua_disk_unuse(&o->user);
    xk_file_close(o->file);
    o->file = NULL;
}

static void opening_end(struct opening *o)
{
    leave_disk(o);
    xk_luks_close(o->luks);
    o->luks = NULL;
}

static void disk_lost(struct xk_lua_disk_user *u) { opening_end((struct opening *)u); }

static int opening_close(lua_State *L)
{
    opening_end(luaL_checkudata(L, 1, OPENING));
    return 0;
}

static struct opening *check_opening(lua_State *L, int arg)
{
    struct opening *o = luaL_checkudata(L, arg, OPENING);

    luaL_argcheck(L, o->luks, arg, "it is closed");
    return o;
}

/*** Begins to open a disk with a LUKS header: reads that.
 * @function luks
 * @param disk
 * @param key */
static int l_luks(lua_State *L)
{
    struct key *k = check_key(L, 2);
    struct opening *o = xk_lua_new(L, OPENING, sizeof(*o), 1);
    struct xk_diag d = {0};
    struct xk_loop *loop;
    struct xk_blkdev *dev;
    int r;

    o->user.lost = disk_lost;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    dev = xk_lua_disk_use(L, 1, &o->user, &loop);
    r = xk_file_over_blk(NULL, dev, loop, &o->file);
    if (r == 0)
        r = xk_luks_open(NULL, o->file, k->bytes, k->n, &d, &o->luks);
    else
        o->file = NULL;
    if (r == 0)
        return 1;
    o->luks = NULL;
    opening_end(o);
    return fail_diag(L, r, &d);
}

/*** @type opening */

/*** Does about so many iterations. @treturn boolean whether it is open; nil, message, code
 * @function step
 * @tparam integer iterations */
static int opening_step(lua_State *L)
{
    struct opening *o = check_opening(L, 1);
    int r = xk_luks_step(o->luks, (uint32_t)xk_lua_integer(L, 2, 1, XK_LUKS_ITERATIONS_MAX));

    if (r == XK_EACCES)
        return fail_diag(L, r, &(struct xk_diag){.text = "no key slot opens with that key"});
    if (r < 0)
        return xk_lua_fail(L, r);
    lua_pushboolean(L, r == 0);
    return 1;
}

struct over {
    struct xk_luks *luks;
    int discard;
};

static int over_luks(void *arg, struct xk_blkdev *below, struct xk_blkdev **out)
{
    struct over *o = arg;

    return xk_block_luks(NULL, o->luks, below, o->discard, out);
}

/*** What is in a disk whose header was opened. Takes the place of the disk. `options`: discard, pass discards on.
 * @function open
 * @param disk
 * @param opening
 * @tparam[opt] table options */
static int l_open(lua_State *L)
{
    struct opening *o = check_opening(L, 2);
    struct over over = {o->luks, (int)xk_lua_field(L, 3, "discard", 0, 1)};

    luaL_argcheck(L, xk_luks_slot(o->luks) >= 0, 2, "it is not open yet");
    leave_disk(o);
    return xk_lua_disk_layer(L, over_luks, &over, "encrypted disk");
}

/* --- headers in files --------------------------------------------------------------------------------------------- */

static struct xk_file *check_file(lua_State *L, int *err)
{
    struct xk_file *file = NULL;

    *err = xk_file_from_handle(NULL, (int)xk_lua_integer(L, 1, 0, INT32_MAX), &file);
    return file;
}

static void push_info(lua_State *L, const struct xk_luks_info *i)
{
    lua_newtable(L);
    lua_pushfstring(L, "%s-%s", i->cipher, i->mode);
    lua_setfield(L, -2, "cipher");
    lua_pushstring(L, i->hash);
    lua_setfield(L, -2, "hash");
    lua_pushstring(L, i->uuid);
    lua_setfield(L, -2, "uuid");
    xk_lua_set_integer(L, "key_bytes", i->key_bytes);
    xk_lua_set_integer(L, "iterations", i->iterations);
    xk_lua_set_integer(L, "first", i->first * XK_SECTOR);
    lua_newtable(L);
    for (int k = 0; k < XK_LUKS_SLOTS; k++) {
        lua_newtable(L);
        lua_pushboolean(L, i->slot[k].active);
        lua_setfield(L, -2, "active");
        xk_lua_set_integer(L, "iterations", i->slot[k].iterations);
        lua_rawseti(L, -2, k);
    }
    lua_setfield(L, -2, "slots");
}

/*** What stands in a LUKS header: cipher, hash, uuid, key_bytes, iterations of the digest, first (where the data begin,
 * in bytes), bytes (of the data), slots (0 .. 7) of {active, iterations}.
 * @function info
 * @tparam integer descriptor */
static int l_info(lua_State *L)
{
    struct xk_luks_info i;
    struct xk_diag d = {0};
    int r;
    struct xk_file *file = check_file(L, &r);
    int64_t size = r == 0 ? xk_file_size(file) : 0;

    if (r == 0)
        r = xk_luks_read_info(file, &i, &d);
    xk_file_close(file);
    if (r < 0)
        return fail_diag(L, r, &d);
    push_info(L, &i);
    xk_lua_set_integer(L, "bytes", ((uint64_t)size / XK_SECTOR - i.first) * XK_SECTOR);
    return 1;
}

/*** A new header in a file: `spec` has hash ("sha256"), key_bytes (64), iterations (of the slot), digest_iterations.
 * @treturn integer where the data begin, in bytes
 * @function create
 * @tparam integer descriptor
 * @tparam table spec
 * @param key */
static int l_create(lua_State *L)
{
    struct key *k = check_key(L, 3);
    struct xk_luks_spec s = {.key_bytes = (uint32_t)xk_lua_field(L, 2, "key_bytes", 0, 64),
                             .iterations = (uint32_t)xk_lua_field(L, 2, "iterations", 0, XK_LUKS_ITERATIONS_MAX),
                             .digest_iterations =
                                 (uint32_t)xk_lua_field(L, 2, "digest_iterations", 0, XK_LUKS_ITERATIONS_MAX)};
    struct xk_file *file;
    uint64_t first = 0;
    int r;

    luaL_checktype(L, 2, LUA_TTABLE);
    s.hash = lua_getfield(L, 2, "hash") == LUA_TSTRING ? lua_tostring(L, -1) : NULL; /* stays on the stack */
    file = check_file(L, &r);
    if (r == 0)
        r = xk_luks_create(file, &s, k->bytes, k->n, &first);
    xk_file_close(file);
    if (r < 0)
        return xk_lua_fail(L, r);
    lua_pushinteger(L, (lua_Integer)(first * XK_SECTOR));
    return 1;
}

/*** One key more for the header in a file. @treturn integer its slot
 * @function add
 * @tparam integer descriptor
 * @param key one that opens it
 * @param other
 * @tparam integer iterations */
static int l_add(lua_State *L)
{
    struct key *k = check_key(L, 2), *other = check_key(L, 3);
    uint32_t iterations = (uint32_t)xk_lua_integer(L, 4, 1000, XK_LUKS_ITERATIONS_MAX);
    struct xk_diag d = {0};
    struct xk_luks *luks = NULL;
    int r;
    struct xk_file *file = check_file(L, &r);

    if (r == 0)
        r = xk_luks_open(NULL, file, k->bytes, k->n, &d, &luks);
    if (r == 0)
        do
            r = xk_luks_step(luks, UINT32_MAX);
        while (r > 0);
    if (r == XK_EACCES)
        (void)xk_diag_set(&d, r, 0, 0, "no key slot opens with that key");
    if (r == 0)
        r = xk_luks_add(luks, file, other->bytes, other->n, iterations);
    if (r == XK_ENOSPC && !d.text[0])
        (void)xk_diag_set(&d, r, 0, 0, "all of its key slots are in use; remove one first");
    xk_luks_close(luks);
    xk_file_close(file);
    if (r < 0)
        return fail_diag(L, r, &d);
    lua_pushinteger(L, r);
    return 1;
}

/*** Makes a slot useless.
 * @function remove
 * @tparam integer descriptor
 * @tparam integer slot */
static int l_remove(lua_State *L)
{
    unsigned slot = (unsigned)xk_lua_integer(L, 2, 0, XK_LUKS_SLOTS - 1);
    struct xk_diag d = {0};
    int r;
    struct xk_file *file = check_file(L, &r);

    if (r == 0)
        r = xk_luks_remove(file, slot, &d);
    xk_file_close(file);
    return r < 0 ? fail_diag(L, r, &d) : xk_lua_ok(L, r);
}

/*** The work of so many iterations, to be measured.
 * @function try
 * @tparam string hash
 * @tparam integer key_bytes
 * @tparam integer iterations */
static int l_try(lua_State *L)
{
    return xk_lua_ok(L, xk_luks_try(luaL_checkstring(L, 1), (uint32_t)xk_lua_integer(L, 2, 32, 64),
                                    (uint32_t)xk_lua_integer(L, 3, 1, XK_LUKS_ITERATIONS_MAX)));
}

int luaopen_xenkit_core_crypt(lua_State *L)
{
    static const luaL_Reg functions[] = {{"key", l_key},   {"xts", l_xts},       {"luks", l_luks}, {"open", l_open},
                                         {"info", l_info}, {"create", l_create}, {"add", l_add},   {"remove", l_remove},
                                         {"try", l_try},   {NULL, NULL}};
    static const luaL_Reg key_methods[] = {{"close", key_close}, {NULL, NULL}};
    static const luaL_Reg opening_methods[] = {{"step", opening_step}, {"close", opening_close}, {NULL, NULL}};

    xk_lua_type(L, KEY, key_methods, key_close);
    xk_lua_type(L, OPENING, opening_methods, opening_close);
    luaL_newlib(L, functions);
    return 1;
}
