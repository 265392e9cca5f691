/* The domain program, on whatever ground it finds itself. In a stub domain our kernel is below and the boot archive was
 * appended to this file. Hosted, descriptor 3 is the socket to the hypervisor: it takes what it was handed and seals
 * itself in the sandbox it was given. Only then the first line of Lua runs: module xenkit.domain, with the world, a
 * table of handed descriptors and the archive. SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenkit/console.h>
#include <xenkit/host.h>
#include <xenkit/hosted.h>
#include <xenkit/stub.h>
#include <xenkit/xen.h>

#include "bindings/world.h"
#include "program/program.h"

enum { CONTROL = 3, HANDED_MAX = 8192, FILTER_MAX = 32768 };

static struct handed {
    char name[64];
    int fd;
} * handed;
static int handed_count, handed_room;

/* Room for one more, or 0. */
static int make_room(void)
{
    int room = handed_room ? 2 * handed_room : 16;
    struct handed *more;

    if (handed_count < handed_room)
        return 1;
    if (room > HANDED_MAX)
        return 0;
    more = xk_resize(NULL, handed, (size_t)handed_room * sizeof(*more), (size_t)room * sizeof(*more));
    if (!more)
        return 0;
    handed = more;
    handed_room = room;
    return 1;
}

static void take_handles(struct xk_platform *p)
{
    while (make_room()) {
        int fd = xk_handle_take(p, handed[handed_count].name, sizeof(handed[0].name));
        if (fd < 0)
            return;
        handed[handed_count++].fd = fd;
    }
}

/* Installs the sandbox if one was handed. A domain that was to have one and cannot must not run. "sandbox+aio": it may
 * ask a ring for reads and writes, which has to be made before. */
static int seal(void)
{
    static unsigned char filter[FILTER_MAX];

    for (int i = 0; i < handed_count; i++) {
        ssize_t n;
        if (strcmp(handed[i].name, "sandbox") && strcmp(handed[i].name, "sandbox+aio"))
            continue;
        if (strchr(handed[i].name, '+'))
            xk_lua_aio_prepare();
        n = pread(handed[i].fd, filter, sizeof(filter), 0);
        close(handed[i].fd);
        handed[i].fd = -1;
        return n <= 0 ? XK_EIO : xk_host_seal_in(filter, (size_t)n);
    }
    return 0;
}

/* The boot archive as one string: (read_bytes) when it was read, before the sandbox closes, into memory of our own. */
static const char *boot;
static char *read_bytes;
static size_t boot_size;

static int read_boot(void)
{
    for (int i = 0; i < handed_count; i++) {
        off_t size;
        if (strcmp(handed[i].name, "boot"))
            continue;
        size = lseek(handed[i].fd, 0, SEEK_END);
        boot = read_bytes = size > 0 ? xk_new(NULL, (size_t)size) : NULL;
        if (!boot || pread(handed[i].fd, read_bytes, (size_t)size, 0) != size)
            return XK_EIO;
        boot_size = (size_t)size;
        close(handed[i].fd);
        handed[i].fd = -1;
    }
    return 0;
}

/* Last words: to the console, where somebody reads them, and to standard error. */
static void say(struct xk_platform *p, const char *text)
{
    struct xk_ring_page ring;

    fprintf(stderr, "%s\n", text);
    if (xk_console_page(p, &ring) < 0)
        return;
    xk_console_print(ring.page, text, strlen(text));
    xk_console_print(ring.page, "\n", 1);
    xk_evtchn_notify(p, ring.port);
}

static int traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* xenkit.domain.main(world, handles, boot) */
static int run(lua_State *L)
{
    struct xk_platform *p = lua_touserdata(L, 1);

    lua_getglobal(L, "require");
    lua_pushliteral(L, "xenkit.domain");
    lua_call(L, 1, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "xenkit.core.world"); /* makes the type of worlds */
    lua_call(L, 1, 0);
    lua_getfield(L, -1, "main");
    xk_lua_push_world(L, p);
    lua_createtable(L, 0, handed_count);
    for (int i = 0; i < handed_count; i++) {
        if (handed[i].fd < 0)
            continue;
        lua_pushinteger(L, handed[i].fd);
        lua_setfield(L, -2, handed[i].name);
    }
    lua_pushlstring(L, boot ? boot : "", boot_size);
    xk_free(NULL, read_bytes, boot_size);
    lua_call(L, 3, 1);
    return 1;
}

/* --- the grounds --- */

static int attach_hosted(struct xk_platform **p)
{
    int r;

    signal(SIGPIPE, SIG_IGN);
    fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
    r = xk_hosted_attach(CONTROL, NULL, p);
    if (r < 0)
        return r;
    take_handles(*p);
    return 0;
}

/* xenkit-domain --on xen NAME=DESCRIPTOR...: in a Linux domain on Xen, started by `xenkit run --on xen`. */
static int attach_xen(int argc, char **argv, struct xk_platform **p)
{
    int r = xk_xen_attach(NULL, p);

    signal(SIGPIPE, SIG_IGN);
    for (int i = 3; i < argc && r == 0; i++) {
        char *end = strchr(argv[i], '=');
        if (!end)
            return XK_EINVAL;
        *end = '\0';
        fcntl(atoi(end + 1), F_SETFD, FD_CLOEXEC);
        r = xk_xen_hand(*p, argv[i], atoi(end + 1));
    }
    if (r == 0)
        take_handles(*p);
    return r;
}

static int enter_hosted(void)
{
    int r = read_boot();

    return r < 0 ? r : seal();
}

static int enter_stub(void)
{
    boot = xk_stub_archive(&boot_size);
    return boot ? 0 : XK_ENOENT;
}

int main(int argc, char **argv)
{
    struct xk_platform *p;
    lua_State *L;
    int r = xk_stub_attach(NULL, &p), stub = r != XK_ENODEV, code = 0;

    if (!stub)
        r = argc > 2 && strcmp(argv[1], "--on") == 0 && strcmp(argv[2], "xen") == 0 ? attach_xen(argc, argv, &p)
                                                                                    : attach_hosted(&p);
    if (r < 0) {
        fprintf(stderr, "xenkit-domain is started by xenkit, not by hand (%s); see `xenkit run --help`\n",
                xk_err_text(r));
        return 2;
    }
    r = stub ? enter_stub() : enter_hosted();
    L = r < 0 ? NULL : xk__program_new(0);
    if (!L) {
        say(p, r == 0 ? "out of memory"
               : stub ? "no archive is appended to this program; `xenkit build` makes what boots"
                      : "the domain could not be sealed in its sandbox");
        return 3;
    }
    lua_pushcfunction(L, traceback);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, p);
    if (lua_pcall(L, 1, 1, 1) != LUA_OK) {
        say(p, lua_tostring(L, -1));
        code = 1;
    } else if (lua_isinteger(L, -1)) {
        code = (int)lua_tointeger(L, -1);
    }
    fflush(NULL);
    _exit(code); /* the hypervisor takes everything back */
}
