/* xenkit/capture.h - frames as a stream of pcapng (draft-ietf-opsawg-pcapng), which Wireshark and tcpdump read.
 *
 * What is seen waits in memory of a fixed size until somebody takes it; a frame that has no room is left out, and the
 * next one of its interface that has room says how many were (epb_dropcount). So a reader that is slow, or gone, holds
 * up no frame. Nothing is allocated for one. Never blocks. One thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_CAPTURE_H
#define XENKIT_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>
#include <xenkit/err.h>

XK_API_BEGIN

struct xk_capture;

enum { XK_CAPTURE_INTERFACES = 256, XK_CAPTURE_SNAP = 262144 /* bytes of a frame, at most */ };

/* xk_capture_create (alloc, room, snap, out) - with (room) bytes for what waits, 4096 or more; of a frame the first
 * (snap) bytes are kept, 0: all. XK_EINVAL, XK_ENOMEM. */
XK_MUSTCHECK int xk_capture_create(const xk_alloc *alloc, size_t room, uint32_t snap, struct xk_capture **out);
void xk_capture_destroy(struct xk_capture *c);

/* xk_capture_interface (c, name) - the number of one more interface; of (name) the first 63 bytes count. XK_ENOSPC:
 * there are 256. */
int xk_capture_interface(struct xk_capture *c, const char *name);

/* xk_capture_frame (c, interface, data, len, ns, out) - an Ethernet frame, seen (ns) after 1970, UTC; (out) 0: it came
 * from the interface's guest (inbound), 1: it went there. */
void xk_capture_frame(struct xk_capture *c, int interface, const void *data, uint32_t len, uint64_t ns, int out);

/* xk_capture_take (c, buf, n) - the next bytes of the stream, at most (n). How many; 0: there are none just now. */
size_t xk_capture_take(struct xk_capture *c, void *buf, size_t n);

/* xk_capture_waiting (c) - bytes that can be taken. */
size_t xk_capture_waiting(const struct xk_capture *c);

struct xk_capture_stats {
    uint64_t frames, left_out; /* of those that were seen */
};
void xk_capture_stats(const struct xk_capture *c, struct xk_capture_stats *out);

XK_API_END

#endif
