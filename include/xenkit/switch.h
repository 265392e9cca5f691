/* xenkit/switch.h - an Ethernet switch in memory: any network devices are its ports. It learns which addresses are
 * behind which port, up to a bound for each, and forgets them after five minutes; ports of different VLANs do not see
 * each other. A frame is passed on from where it lies, to one port or, when its address is a group's or not known, to
 * all. What a port has no room for is dropped and counted. Never blocks. One thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_SWITCH_H
#define XENKIT_SWITCH_H

#include <xenkit/loop.h>
#include <xenkit/netdev.h>

XK_API_BEGIN

struct xk_switch;
struct xk_switch_port;

enum { XK_SWITCH_PORTS = 256, XK_SWITCH_ADDRESSES = 4096 /* at most */ };

struct xk_switch_options {
    uint16_t vlan;  /* 1 .. 4094: the port is of this VLAN alone, and knows no tags; 0: tags are passed on as they are,
                     * and ports with 0 are together */
    uint8_t strict; /* frames come from its device's own address only, others are dropped (spoofed) */
    uint16_t addresses; /* that may be learnt behind it; 0: 64 */
    /* Sees what comes from the port (out 0) and goes to it (out 1), before it is passed on; what it wants to see of a
     * packet that is not all here it asks for (xk_packet_whole). NULL allowed. */
    void (*see)(void *arg, const struct xk_packet *p, int out);
    void *arg;
};

struct xk_switch_stats {
    uint64_t packets[2], bytes[2]; /* from the port, to it */
    uint64_t dropped;              /* no room to send there */
    uint64_t spoofed;
    uint32_t addresses;
};

XK_MUSTCHECK int xk_switch_create(const xk_alloc *alloc, struct xk_loop *loop, struct xk_switch **out);
/* xk_switch_destroy (s) - takes all ports away; their devices stay their owners'. */
void xk_switch_destroy(struct xk_switch *s);

/* xk_switch_add (s, device, options, out) - one more port; sets the device's (receive) and (user). XK_ENOSPC,
 * XK_ENOMEM, XK_EINVAL. A port for this program itself is one end of a cable (netdev.h). xk_switch_remove - may be
 * called from within the switch's own call-backs. */
XK_MUSTCHECK int xk_switch_add(struct xk_switch *s, struct xk_netdev *device, const struct xk_switch_options *options,
                               struct xk_switch_port **out);
void xk_switch_remove(struct xk_switch_port *port);

void xk_switch_stats(const struct xk_switch_port *port, struct xk_switch_stats *out);

/* xk_switch_find (s, vlan, mac) - the port behind which (mac) was seen last, or NULL. */
struct xk_switch_port *xk_switch_find(struct xk_switch *s, uint16_t vlan, const uint8_t mac[6]);

XK_API_END

#endif
