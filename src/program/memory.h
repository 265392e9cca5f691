/* program/memory.h - the interpreter's memory, and where it ran out.
 *
 * Lua's own error for that, "not enough memory", has no place and calls no handler. So the allocator looks at the
 * running coroutine when it has nothing to give, and notes the line. SPDX-License-Identifier: MIT */
#ifndef XK_PROGRAM_MEMORY_H
#define XK_PROGRAM_MEMORY_H

#include <lua.h>

/* A state with this allocator, or NULL; and the module xenkit.core.memory in its package.preload later: a function that
 * gives the place where memory last ran out ("file:line"), or nil. */
lua_State *xk__memory_new_state(void);
void xk__memory_open(lua_State *L);

#endif
