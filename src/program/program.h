/* program/program.h - an interpreter with xenkit in it: for the domain program, the host tool and tests.
 * SPDX-License-Identifier: MIT */
#ifndef XK_PROGRAM_PROGRAM_H
#define XK_PROGRAM_PROGRAM_H

#include <stddef.h>

#include <lua.h>

/* One embedded Lua module; the list ends with a NULL name. Made at build time by scripts/embed.lua. */
struct xk__module {
    const char *name;
    const char *source;
    size_t size;
};
extern const struct xk__module xk__modules[];

enum { XK__PROGRAM_HOST = 1 }; /* with io, os, debug and xenkit.core.host: the host tool */

/* A state with the standard libraries and all of xenkit in package.preload; NULL when memory is short. */
lua_State *xk__program_new(unsigned flags);

/* Runs module (name), a function or a table with main, with (argc, argv) as its strings. Returns the process's exit
 * code: what main returned as a number, 0 for nothing, 1 for false or an error, whose traceback goes to standard
 * error. */
int xk__program_main(lua_State *L, const char *name, int argc, char **argv);

#endif
