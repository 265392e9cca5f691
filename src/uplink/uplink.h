/* uplink/uplink.h - ways out of a world's networks, each a process of its own (main.c). SPDX-License-Identifier: MIT */
#ifndef XK_UPLINK_UPLINK_H
#define XK_UPLINK_UPLINK_H

#include <stddef.h>

enum { UPLINK_ERROR = 256, TAP_QUEUES = 8 };

/* All return 0 or a descriptor, or -1 with a message in (error), which has UPLINK_ERROR bytes. */

/* tap.c. open - (n) queues of the tap (name), made if it is not there; its frames have a header of 12 bytes, and large
 * packets and blank checksums are its own to deal with. bridge - makes it a port of the bridge (name). up - in use.
 * address - "10.0.0.1/24"; check_address only looks whether it is one. */
int tap_open(const char *name, int *queues, int n, char *error);
int tap_bridge(const char *name, const char *bridge, char *error);
int tap_up(const char *name, char *error);
int tap_check_address(const char *address, char *error);
int tap_address(const char *name, const char *address, char *error);
int tap_route(const char *gateway, char *error); /* by default */

/* netns.c - from here this process is in a network of its own; without root by a user namespace. */
int netns_enter(char *error);

/* slirp.c - serves (fd) with (options), "key=value" each, until it ends. Calls (ready) before the first frame. */
int slirp_serve(int fd, char *const options[], void (*ready)(int fd), char *error);

/* seal.c - this process may talk to the network and read files, no more. */
int seal_slirp(char *error);

/* main.c - a message, with what errno says if (err). Returns -1. */
int uplink_fail(char *error, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
