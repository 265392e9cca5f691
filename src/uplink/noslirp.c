/* Where libslirp was not there when this was built. SPDX-License-Identifier: MIT */
#include "uplink/uplink.h"

int slirp_serve(int fd, char *const options[], void (*ready)(int fd), char *error)
{
    (void)fd;
    (void)options;
    (void)ready;
    return uplink_fail(error, 0, "this xenkit was built without libslirp (libslirp-dev)");
}
