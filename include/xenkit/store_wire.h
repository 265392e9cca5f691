/* xenkit/store_wire.h - the xenstore wire: packets, operation numbers, error names.
 *
 * The protocol is Xen's public io/xs_wire.h and docs/misc/xenstore.txt; a packet is a header of four 32-bit little
 * endian words and at most 4096 bytes of payload. Everything here is a pure function over bytes that the caller owns:
 * nothing allocates, nothing blocks, all of it may be called from any thread.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_STORE_WIRE_H
#define XENKIT_STORE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/api.h>

XK_API_BEGIN

/* Bounds of xs_wire.h. More payload than XK_STORE_PAYLOAD_MAX kills the connection; a longer path is XK_EINVAL. */
enum {
    XK_STORE_HEADER_SIZE = 16,
    XK_STORE_PAYLOAD_MAX = 4096,
    XK_STORE_PACKET_MAX = XK_STORE_HEADER_SIZE + XK_STORE_PAYLOAD_MAX,
    XK_STORE_ABS_PATH_MAX = 3072,
    XK_STORE_REL_PATH_MAX = 2048
};

/* X(name, number). 20 was RESTRICT and stays unused. */
#define XK_STORE_OP_MAP(X)      \
    X(CONTROL, 0)               \
    X(DIRECTORY, 1)             \
    X(READ, 2)                  \
    X(GET_PERMS, 3)             \
    X(WATCH, 4)                 \
    X(UNWATCH, 5)               \
    X(TRANSACTION_START, 6)     \
    X(TRANSACTION_END, 7)       \
    X(INTRODUCE, 8)             \
    X(RELEASE, 9)               \
    X(GET_DOMAIN_PATH, 10)      \
    X(WRITE, 11)                \
    X(MKDIR, 12)                \
    X(RM, 13)                   \
    X(SET_PERMS, 14)            \
    X(WATCH_EVENT, 15)          \
    X(ERROR, 16)                \
    X(IS_DOMAIN_INTRODUCED, 17) \
    X(RESUME, 18)               \
    X(SET_TARGET, 19)           \
    X(RESET_WATCHES, 21)        \
    X(DIRECTORY_PART, 22)       \
    X(GET_FEATURE, 23)          \
    X(SET_FEATURE, 24)          \
    X(GET_QUOTA, 25)            \
    X(SET_QUOTA, 26)

enum xk_store_op {
#define XK_STORE_OP_ENUM(name, number) XK_STORE_##name = (number),
    XK_STORE_OP_MAP(XK_STORE_OP_ENUM)
#undef XK_STORE_OP_ENUM
        XK_STORE_OP_COUNT = 27,
    XK_STORE_INVALID = 0xffff
};

/* Bits of the server_features word in the ring page (xs_wire.h, XENSTORE_SERVER_FEATURE_...). */
enum {
    XK_STORE_FEATURE_RECONNECT = 1,
    XK_STORE_FEATURE_ERROR = 2,
    XK_STORE_FEATURE_WATCH_DEPTH = 4,
    XK_STORE_FEATURE_DOMID_ANY = 8
};

/* Values of the error word in the ring page (xs_wire.h, XENSTORE_ERROR_...). */
enum { XK_STORE_RING_OK = 0, XK_STORE_RING_COMM = 1, XK_STORE_RING_INDEX = 2, XK_STORE_RING_PROTO = 3 };

struct xk_store_header {
    uint32_t type, req_id, tx_id, len;
};

/* xk_store_header_get (h, p) - reads the XK_STORE_HEADER_SIZE bytes at (p). XK_EPROTO if the payload would be longer
 * than XK_STORE_PAYLOAD_MAX; (h) is filled all the same. An unknown type is no error here: the server answers it. */
XK_MUSTCHECK int xk_store_header_get(struct xk_store_header *h, const void *p);

/* xk_store_header_put (h, p) - writes XK_STORE_HEADER_SIZE bytes to (p). */
void xk_store_header_put(const struct xk_store_header *h, void *p);

/* xk_store_op_name (type) - "READ" for XK_STORE_READ, NULL for a number that names no operation. Static. */
const char *xk_store_op_name(uint32_t type);

/* xk_store_error_name (err) - the string that an ERROR packet carries for XK_E... (err): "ENOENT" for XK_ENOENT.
 * A code outside the sixteen of xs_wire.h becomes "EINVAL", as upstream does. Static. */
const char *xk_store_error_name(int err);

/* xk_store_error_code (s, n) - the XK_E... code for the (n) bytes at (s), a final NUL counted or not. XK_EIO for a
 * string that xs_wire.h does not list. */
int xk_store_error_code(const char *s, size_t n);

/* A watch whose token begins so gets with each event, behind the token's NUL, the generation of the node in decimal
 * with a NUL, and its value; the generation is empty when the node is gone, may not be read, or does not fit. Ours;
 * other servers send events as ever. */
#define XK_STORE_TOKEN_VALUE "xk-value:"

XK_API_END

#endif
