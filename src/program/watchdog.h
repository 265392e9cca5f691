/* program/watchdog.h - stops Lua code that never gives way.
 *
 * A permanent hook would halve Lua's speed. Instead the platform ticks (xk_tick), and a tick that finds the loop where
 * it was for too long sets a hook on the coroutine that runs: the next instruction raises an error that names its
 * place. So coroutines are resumed by functions of ours, which note who runs. C code that never returns ends the
 * program, as nothing else can. SPDX-License-Identifier: MIT */
#ifndef XK_PROGRAM_WATCHDOG_H
#define XK_PROGRAM_WATCHDOG_H

#include <lua.h>

/* Puts coroutine.resume, wrap and close in the place of Lua's own, with the same behaviour, and adds the module
 * xenkit.core.watchdog to package.preload: a function (world, seconds), 0: off. */
void xk__watchdog_open(lua_State *L);

/* The coroutine that runs, or NULL before xk__watchdog_open. */
lua_State *xk__watchdog_running(void);

#endif
