/* The `xenkit` command: an interpreter with the host's modules; all verbs are in lua/xenkit/cli.
 * SPDX-License-Identifier: MIT */
#include <signal.h>

#include "program/program.h"

int main(int argc, char **argv)
{
    lua_State *L;
    int code;

    signal(SIGPIPE, SIG_IGN);
    L = xk__program_new(XK__PROGRAM_HOST);
    if (!L)
        return 1;
    code = xk__program_main(L, "xenkit.cli.main", argc, argv);
    lua_close(L);
    return code;
}
