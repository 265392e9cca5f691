/* xenkit.core.host - what only the host tool may do: open, bind, make domains. Absent from domain programs.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/host.h>
#include <xenkit/hosted.h>
#include <xenkit/hypervisor.h>
#include <xenkit/pty.h>
#include <xenkit/xen.h>

#include "bindings/world.h"

int luaopen_xenkit_core_host(lua_State *L);

/* A descriptor as an integer; the caller owns it. */
static int push_bound(lua_State *L, int r, unsigned bound, const char *what)
{
    if (r < 0)
        return xk_lua_failf(L, r, what);
    lua_pushinteger(L, r);
    lua_pushinteger(L, bound);
    return 2;
}

static int listen_tcp(lua_State *L)
{
    const char *address = luaL_checkstring(L, 1);
    unsigned bound = 0, port = (unsigned)xk_lua_integer(L, 2, 0, 65535);
    int r = xk_host_listen_tcp(address, port, &bound);

    return push_bound(L, r, bound, lua_pushfstring(L, "%s port %d", address, (int)port));
}

static int bind_udp(lua_State *L)
{
    const char *address = luaL_checkstring(L, 1);
    unsigned bound = 0, port = (unsigned)xk_lua_integer(L, 2, 0, 65535);
    int r = xk_host_bind_udp(address, port, &bound);

    return push_bound(L, r, bound, lua_pushfstring(L, "%s port %d", address, (int)port));
}

static int push_named(lua_State *L, int r, const char *name)
{
    if (r < 0)
        return xk_lua_failf(L, r, name);
    lua_pushinteger(L, r);
    return 1;
}

static int connect_tcp(lua_State *L)
{
    const char *address = luaL_checkstring(L, 1);

    return push_named(L, xk_host_connect_tcp(address, (unsigned)xk_lua_integer(L, 2, 0, 65535)), address);
}

static const char *const types[] = {"stream", "seqpacket", NULL};

static int listen_unix(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);

    return push_named(L, xk_host_listen_unix(path, (enum xk_host_socket)luaL_checkoption(L, 2, "stream", types)), path);
}

static int connect_unix(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);

    return push_named(L, xk_host_connect_unix(path, (enum xk_host_socket)luaL_checkoption(L, 2, "stream", types)),
                      path);
}

static int make_pair(lua_State *L)
{
    int pair[2], r = xk_host_socketpair(pair, (enum xk_host_socket)luaL_checkoption(L, 1, "stream", types));

    if (r < 0)
        return xk_lua_fail(L, r);
    lua_pushinteger(L, pair[0]);
    lua_pushinteger(L, pair[1]);
    return 2;
}

/* pass (handle, text[, descriptor]) - one packet. */
static int pass(lua_State *L)
{
    size_t n;
    int handle = (int)luaL_checkinteger(L, 1);
    const char *text = luaL_checklstring(L, 2, &n);

    return xk_lua_ok(L, xk_host_pass(handle, text, n, (int)luaL_optinteger(L, 3, -1)));
}

/* pty () - the master's descriptor and the path of the slave. */
static int open_pty(lua_State *L)
{
    char path[64];
    int r = xk_pty_open(path, sizeof(path));

    if (r < 0)
        return xk_lua_failf(L, r, "a pseudo terminal");
    lua_pushinteger(L, r);
    lua_pushstring(L, path);
    return 2;
}

/* identity (path) - a string that tells one file from another. */
static int identity(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    uint64_t id[2];
    int r = xk_host_identity(path, id);

    if (r < 0)
        return xk_lua_failf(L, r, path);
    lua_pushlstring(L, (const char *)id, sizeof(id));
    return 1;
}

/* hypervisor_log (world, index) - what Xen has logged since (index), at most 16 KiB, and the next index. */
static int hypervisor_log(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    uint32_t index = (uint32_t)xk_lua_integer(L, 2, 0, UINT32_MAX);
    char text[16384];
    int r = xk_xen_console_read(w->platform, &index, text, sizeof(text));

    if (r < 0)
        return xk_lua_failf(L, r, "Xen's log");
    lua_pushlstring(L, text, (size_t)r);
    lua_pushinteger(L, index);
    return 2;
}

static int fork_process(lua_State *L) { return xk_lua_result(L, xk_host_fork()); }

/* direct_align (descriptor) -> bytes: what requests to a file opened with "direct" are multiples of. */
static int direct_align(lua_State *L) { return xk_lua_result(L, xk_host_direct_align((int)luaL_checkinteger(L, 1))); }

static int open_file(lua_State *L)
{
    static const char *const modes[] = {"r", "w", "rw", "a", "r direct", "rw direct", NULL};
    const char *path = luaL_checkstring(L, 1);

    return push_named(L, xk_host_open(path, modes[luaL_checkoption(L, 2, "r", modes)]), path);
}

/* lock (descriptor, shared) */
static int lock_file(lua_State *L)
{
    return xk_lua_ok(L, xk_host_lock((int)luaL_checkinteger(L, 1), lua_toboolean(L, 2)));
}

/* modified (path) -> seconds after 1970. */
static int modified(lua_State *L)
{
    int64_t r = xk_host_modified(luaL_checkstring(L, 1));

    if (r < 0)
        return xk_lua_failf(L, (int)r, lua_tostring(L, 1));
    lua_pushinteger(L, r);
    return 1;
}

static int memory_file(lua_State *L)
{
    size_t n;
    const char *name = luaL_checkstring(L, 1), *data = luaL_checklstring(L, 2, &n);

    return push_named(L, xk_host_memory(name, data, n), name);
}

static int make_dir(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);

    return push_named(L, xk_host_mkdir(path), path);
}

static int remove_dir(lua_State *L) { return xk_lua_ok(L, xk_host_rmdir(luaL_checkstring(L, 1))); }

static int is_dir(lua_State *L)
{
    lua_pushboolean(L, xk_host_is_dir(luaL_checkstring(L, 1)) == 1);
    return 1;
}

/* kind (path) -> "f", "d", "l" (a link, which is not followed), "o"; nil, message, name. */
static int kind(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int r = xk_host_kind(path);
    char c = (char)r;

    if (r < 0)
        return xk_lua_failf(L, r, path);
    lua_pushlstring(L, &c, 1);
    return 1;
}

/* real (path) -> the path from the root, without links. */
static int real_path(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char real[4096];
    int r = xk_host_real(path, real, sizeof(real));

    if (r < 0)
        return xk_lua_failf(L, r, path);
    lua_pushstring(L, real);
    return 1;
}

/* Lua may raise (memory) while the directory is open; so names are gathered in a C buffer first. */
struct names {
    luaL_Buffer b;
};

static int add_name(void *arg, const char *name, int dir)
{
    luaL_Buffer *b = &((struct names *)arg)->b;

    luaL_addchar(b, dir ? 'd' : 'f');
    luaL_addstring(b, name);
    luaL_addchar(b, '\0');
    return 0;
}

/* list (path) - a string of entries: "d" or "f", the name, NUL. lua/xenkit/host makes a table of it. */
static int list_dir(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct names n;
    int r;

    luaL_buffinit(L, &n.b);
    r = xk_host_list(path, add_name, &n);
    luaL_pushresult(&n.b);
    return r < 0 ? xk_lua_failf(L, r, path) : 1;
}

static int sandbox(lua_State *L)
{
    static const char *const names[] = {"accept", "datagram", "file", "xen", "hypercall", "aio", NULL};
    unsigned allow = 0;

    for (int i = 1; i <= lua_gettop(L); i++)
        allow |= 1u << luaL_checkoption(L, i, NULL, names);
    return xk_lua_result(L, xk_host_sandbox(allow));
}

static int tty_raw(lua_State *L)
{
    return xk_lua_ok(L, xk_host_tty_raw((int)luaL_checkinteger(L, 1), lua_toboolean(L, 2)));
}

static int tty_size(lua_State *L)
{
    unsigned columns, rows;
    int r = xk_host_tty_size((int)luaL_checkinteger(L, 1), &columns, &rows);

    if (r < 0)
        return xk_lua_fail(L, r);
    lua_pushinteger(L, columns);
    lua_pushinteger(L, rows);
    return 2;
}

static int is_tty(lua_State *L)
{
    lua_pushboolean(L, xk_host_is_tty((int)luaL_checkinteger(L, 1)));
    return 1;
}

static int signals(lua_State *L) { return xk_lua_result(L, xk_host_signals()); }

static int signal_next(lua_State *L) { return xk_lua_result(L, xk_host_signal_next((int)luaL_checkinteger(L, 1))); }

static int detach(lua_State *L) { return xk_lua_ok(L, xk_host_detach((int)luaL_checkinteger(L, 1))); }

static int detached(lua_State *L)
{
    xk_host_detached(lua_toboolean(L, 1));
    return 0;
}

static int pid(lua_State *L)
{
    lua_pushinteger(L, xk_host_pid());
    return 1;
}

static int uid(lua_State *L)
{
    lua_pushinteger(L, xk_host_uid());
    return 1;
}

static int cpus(lua_State *L)
{
    lua_pushinteger(L, xk_host_cpus());
    return 1;
}

static int send_signal(lua_State *L)
{
    return xk_lua_ok(L, xk_host_signal((int)luaL_checkinteger(L, 1), (int)xk_lua_integer(L, 2, 0, 64)));
}

static int program(lua_State *L)
{
    char path[4096];
    const char *name = luaL_checkstring(L, 1);
    int r = xk_host_program(name, path, sizeof(path));

    if (r < 0)
        return xk_lua_failf(L, r, name);
    lua_pushstring(L, path);
    return 1;
}

/* --- the hypervisor and its domain 0 --- */

struct hypervisor {
    struct xk_hypervisor *h;
};
#define HYPERVISOR "xenkit.hypervisor"

static int hypervisor_close(lua_State *L)
{
    struct hypervisor *h = luaL_checkudata(L, 1, HYPERVISOR);

    xk_hypervisor_stop(h->h);
    h->h = NULL;
    return 0;
}

/* hypervisor ([join listener, stderr handle]) - starts one; returns it and domain 0's world. */
static int hypervisor(lua_State *L)
{
    struct xk_hypervisor_options o = {(int)luaL_optinteger(L, 1, -1), (int)luaL_optinteger(L, 2, -1), 0};
    struct hypervisor *h = xk_lua_new(L, HYPERVISOR, sizeof(*h), 0);
    struct xk_platform *p;
    int control, r = xk_hypervisor_start(NULL, &o, &h->h, &control);

    if (r == 0)
        r = xk_hosted_attach(control, NULL, &p);
    if (r < 0)
        return xk_lua_failf(L, r, "hypervisor");
    xk_lua_push_world(L, p);
    return 2;
}

/* create (world, name, program handle, memory MiB, lasting) - a domain in state building; its number. */
static int create(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);
    xk_domid domid;
    int (*make)(struct xk_platform *, const char *, int, unsigned, xk_domid *) =
        lua_toboolean(L, 5) ? xk_hosted_create_lasting : xk_hosted_create;
    int r = make(w->platform, luaL_checkstring(L, 2), (int)luaL_checkinteger(L, 3), (unsigned)luaL_optinteger(L, 4, 0),
                 &domid);

    if (r < 0)
        return xk_lua_failf(L, r, lua_tostring(L, 2));
    lua_pushinteger(L, domid);
    return 1;
}

/* renew (world, domid, program handle, memory MiB) - another process for a lasting domain. */
static int renew(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);

    return xk_lua_ok(L, xk_hosted_renew(w->platform, (xk_domid)luaL_checkinteger(L, 2), (int)luaL_checkinteger(L, 3),
                                        (unsigned)luaL_optinteger(L, 4, 0)));
}

/* borrow (pid, descriptor) - a copy of a descriptor of a process that is a child of this one. */
static int borrow(lua_State *L)
{
    return xk_lua_result(L, xk_host_borrow((int)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2)));
}

static int evtchn_for(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);

    return xk_lua_result(
        L, xk_hosted_evtchn_for(w->platform, (xk_domid)luaL_checkinteger(L, 2), (xk_domid)luaL_checkinteger(L, 3)));
}

static int hand(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);

    return xk_lua_ok(L, xk_hosted_hand(w->platform, (xk_domid)luaL_checkinteger(L, 2), luaL_checkstring(L, 3),
                                       (int)luaL_checkinteger(L, 4)));
}

/* built (world, domid, store domid, store port, console domid, console port); ports -1: none. */
static int built(lua_State *L)
{
    struct xk_lua_world *w = xk_lua_check_world(L, 1);

    return xk_lua_ok(L, xk_hosted_built(w->platform, (xk_domid)luaL_checkinteger(L, 2),
                                        (xk_domid)luaL_optinteger(L, 3, 0), (xk_port)luaL_optinteger(L, 4, -1),
                                        (xk_domid)luaL_optinteger(L, 5, 0), (xk_port)luaL_optinteger(L, 6, -1)));
}

/* The words and descriptors of exec and spawn, in blocks that Lua frees; the words stay on the stack. */
struct command {
    char **argv;
    int *keep, count;
};

enum { WORDS_MAX = 4096 };

static struct command check_command(lua_State *L)
{
    struct command c = {NULL, NULL, 0};
    int n;

    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TTABLE);
    n = (int)lua_rawlen(L, 2);
    c.count = (int)lua_rawlen(L, 3);
    luaL_argcheck(L, n <= WORDS_MAX && c.count <= WORDS_MAX, 2, "too many words or descriptors");
    luaL_checkstack(L, n + 8, NULL);
    c.argv = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof(*c.argv), 0);
    c.keep = lua_newuserdatauv(L, ((size_t)c.count + 1) * sizeof(*c.keep), 0);
    for (int i = 0; i < c.count; i++) {
        lua_rawgeti(L, 3, i + 1);
        c.keep[i] = (int)luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, 2, i + 1);
        c.argv[i] = (char *)(uintptr_t)luaL_checkstring(L, -1);
    }
    c.argv[n] = NULL;
    return c;
}

/* raise_nofile () - see xenkit/host.h. */
static int raise_nofile(lua_State *L)
{
    (void)L;
    xk_host_raise_nofile();
    return 0;
}

/* exec (program, {words}, {descriptors}) - this process becomes another; returns only a failure. */
static int exec(lua_State *L)
{
    struct command c = check_command(L);

    return xk_lua_fail(L, xk_host_exec((int)luaL_checkinteger(L, 1), c.argv, c.keep, c.count));
}

/* spawn (program, {words}, {descriptors}) -> pid. wait (pid) -> how it ended, or nil, message, "XK_EAGAIN". */
static int spawn(lua_State *L)
{
    struct command c = check_command(L);

    return xk_lua_result(L, xk_host_spawn((int)luaL_checkinteger(L, 1), c.argv, c.keep, c.count));
}

static int wait_for(lua_State *L) { return xk_lua_result(L, xk_host_wait((int)luaL_checkinteger(L, 1))); }

#define UPLINK "xenkit.host.uplink"

static int uplink_close(lua_State *L)
{
    xk_host_uplink_end(luaL_checkudata(L, 1, UPLINK));
    return 0;
}

/* uplink (program, {words}) -> it, with :close(); its descriptors, which stay its own; header, mtu, pid. See
 * xenkit/host.h.
 */
static int uplink(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct xk_host_uplink *u;
    struct command c;
    char why[512];
    int r;

    lua_settop(L, 2);
    lua_newtable(L);
    c = check_command(L);
    u = lua_newuserdatauv(L, sizeof(*u), 0);
    r = xk_host_uplink(path, c.argv, u, why, sizeof(why));
    if (r < 0) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        lua_pushstring(L, xk_err_name(r));
        return 3;
    }
    luaL_setmetatable(L, UPLINK);
    lua_createtable(L, (int)u->count, 0);
    for (unsigned i = 0; i < u->count; i++) {
        lua_pushinteger(L, u->handles[i]);
        lua_seti(L, -2, i + 1);
    }
    lua_pushinteger(L, u->header);
    lua_pushinteger(L, u->mtu);
    lua_pushinteger(L, u->pid);
    return 5;
}

/* enter_net (pid) - this process goes on in the network of that one. */
static int enter_net(lua_State *L) { return xk_lua_ok(L, xk_host_enter_net((int)luaL_checkinteger(L, 1))); }

int luaopen_xenkit_core_host(lua_State *L)
{
    static const luaL_Reg uplink_methods[] = {{"close", uplink_close}, {NULL, NULL}};
    static const luaL_Reg hypervisor_methods[] = {{"close", hypervisor_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"listen_tcp", listen_tcp},
        {"bind_udp", bind_udp},
        {"connect_tcp", connect_tcp},
        {"listen_unix", listen_unix},
        {"connect_unix", connect_unix},
        {"socketpair", make_pair},
        {"pass", pass},
        {"pty", open_pty},
        {"identity", identity},
        {"modified", modified},
        {"hypervisor_log", hypervisor_log},
        {"fork", fork_process},
        {"open", open_file},
        {"direct_align", direct_align},
        {"lock", lock_file},
        {"memory", memory_file},
        {"mkdir", make_dir},
        {"rmdir", remove_dir},
        {"is_dir", is_dir},
        {"kind", kind},
        {"real", real_path},
        {"list", list_dir},
        {"sandbox", sandbox},
        {"tty_raw", tty_raw},
        {"tty_size", tty_size},
        {"is_tty", is_tty},
        {"signals", signals},
        {"signal_next", signal_next},
        {"detach", detach},
        {"detached", detached},
        {"pid", pid},
        {"uid", uid},
        {"cpus", cpus},
        {"signal", send_signal},
        {"program", program},
        {"raise_nofile", raise_nofile},
        {"exec", exec},
        {"spawn", spawn},
        {"wait", wait_for},
        {"uplink", uplink},
        {"enter_net", enter_net},
        {"hypervisor", hypervisor},
        {"create", create},
        {"renew", renew},
        {"borrow", borrow},
        {"evtchn_for", evtchn_for},
        {"hand", hand},
        {"built", built},
        {NULL, NULL},
    };

    xk_lua_type(L, HYPERVISOR, hypervisor_methods, hypervisor_close);
    xk_lua_type(L, UPLINK, uplink_methods, uplink_close);
    luaL_newlib(L, functions);
    return 1;
}
