/* xenkit/err.h - error codes.
 *
 * Every call of libxenkit that can fail returns an int (or a signed count): zero or more is success or a count, less
 * than zero is one of the codes below. There is no errno: a stub domain has none. The values are fixed on every
 * platform, so they may be stored and sent; where Linux has a code of the same name the number is Linux's, negated.
 *
 * One list makes the enum, the name, the text and the Lua constant. On shared memory three answers exist: progress
 * (>= 0), XK_EAGAIN (not now) and XK_EPEER (the peer broke the protocol: close the channel).
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_ERR_H
#define XENKIT_ERR_H

#include <xenkit/api.h>

XK_API_BEGIN

/* X(name, value, text) */
#define XK_ERR_MAP(X)                                \
    X(EPERM, -1, "not permitted")                    \
    X(ENOENT, -2, "no such entry")                   \
    X(EIO, -5, "input or output failed")             \
    X(E2BIG, -7, "too big for the protocol")         \
    X(EBADF, -9, "not a descriptor of this kind")    \
    X(EAGAIN, -11, "not now")                        \
    X(ENOMEM, -12, "out of memory")                  \
    X(EACCES, -13, "access denied")                  \
    X(EBUSY, -16, "in use")                          \
    X(EEXIST, -17, "exists already")                 \
    X(ENODEV, -19, "no such device")                 \
    X(ENOTDIR, -20, "not a directory")               \
    X(EISDIR, -21, "is a directory")                 \
    X(EINVAL, -22, "invalid argument")               \
    X(EMFILE, -24, "too many open handles")          \
    X(ENOSPC, -28, "no space left")                  \
    X(EROFS, -30, "read-only")                       \
    X(EPIPE, -32, "closed for writing")              \
    X(ERANGE, -34, "out of range")                   \
    X(ENOSYS, -38, "not supported by this platform") \
    X(ENOTEMPTY, -39, "not empty")                   \
    X(EPROTO, -71, "malformed message")              \
    X(EMSGSIZE, -90, "message too long")             \
    X(EADDRINUSE, -98, "address in use")             \
    X(ECONNRESET, -104, "connection reset")          \
    X(EISCONN, -106, "connected already")            \
    X(ENOTCONN, -107, "not connected")               \
    X(ETIMEDOUT, -110, "the deadline passed")        \
    X(ECONNREFUSED, -111, "connection refused")      \
    X(EDQUOT, -122, "quota exceeded")                \
    X(ECANCELED, -125, "cancelled")                  \
    X(ECLOSED, -1001, "the handle is closed")        \
    X(EGONE, -1002, "the peer is gone")              \
    X(EPEER, -1003, "the peer broke the protocol")

enum xk_err {
    XK_OK = 0,
#define XK_ERR_ENUM(name, value, text) XK_##name = (value),
    XK_ERR_MAP(XK_ERR_ENUM)
#undef XK_ERR_ENUM
};

/* xk_err_name (err) - "XK_ENOENT" for XK_ENOENT; "XK_OK" for any (err) >= 0; "XK_EUNKNOWN" for any other number.
 * The string is static. Never fails, never blocks. */
const char *xk_err_name(int err);

/* xk_err_text (err) - a short English text without a full stop, static as above. */
const char *xk_err_text(int err);

/* A diagnosis: what is wrong, and where. Parsers of user input fill one in. Plain value, owned by the caller. */
struct xk_diag {
    int err;         /* XK_E... or 0 */
    unsigned line;   /* 1 is the first line; 0 where lines mean nothing */
    unsigned column; /* 1 is the first byte of the line; 0 unknown */
    char text[224];  /* NUL-terminated; names the field or token and what to do */
};

/* xk_diag_set (d, err, line, column, fmt, ...) - fills (d), which may be NULL; returns (err), so that a parser can
 * `return xk_diag_set(...)`. Only the first diagnosis is kept: a filled (d) is left as it is. */
int xk_diag_set(struct xk_diag *d, int err, unsigned line, unsigned column, const char *fmt, ...) XK_PRINTF(5, 6);

XK_API_END

#endif
