/* store/record.h - records of the migration stream: their numbers, and writing them into a buffer. A record is type,
 * length, body, and zeros up to a multiple of eight bytes. SPDX-License-Identifier: MIT */
#ifndef XK_STORE_RECORD_H
#define XK_STORE_RECORD_H

#include <xenkit/buf.h>
#include <xenkit/store_state.h>

#include "store/server.h"

enum xk__record_type {
    XK__REC_END,
    XK__REC_GLOBAL, /* listener fd, event channel fd */
    XK__REC_CONN,   /* id, kind 16, 0 16, (domid 16, target 16, port | fd, 0), in 16, partial 16, out 32, bytes */
    XK__REC_WATCH,  /* conn, path bytes 16, token bytes 16, path, token: both with their NUL */
    XK__REC_TX,     /* conn, id */
    XK__REC_NODE,   /* conn, tx, path 16, value 16, access 16, perms 16, perms, path with its NUL, value */
    /* Ours. */
    XK__REC_SERVER = XK_STORE_RECORD_OURS, /* generation 64, features, quotas n, n * 32 */
    XK__REC_DOMAIN,                        /* domid 16, flags 16, target, features, quotas n, n * 32 */
    XK__REC_CONN_MORE,                     /* conn, flags, next and former transaction */
    XK__REC_WATCH_MORE,                    /* conn, depth, lost, path 16, token 16, path, token */
    XK__REC_TX_MORE,                       /* conn, id, flags, deltas n, n * (domid 16, 0 16, owned, refs, bytes 64) */
    XK__REC_ENTRY,                         /* as NODE, (access): the flags of the log; perms 0: there is no such node */
    /* Of a journal. */
    XK__REC_BATCH,   /* crc, 0, records: all of one change */
    XK__REC_REMOVE,  /* path with its NUL: the node there, and all below it */
    XK__REC_UNWATCH, /* as WATCH */
    XK__REC_RESET,   /* conn: it has no watches any more */
    XK__REC_CLOSED,  /* conn */
    XK__REC_RING,    /* conn, consumed, produced, in, out, partial, reply, bytes: its buffers when the ring showed these
                        indices */
};

enum {
    XK__DOMAIN_INTRODUCED = 1,
    XK__DOMAIN_SHUTDOWN = 2,
    XK__CONN_PRIVILEGED = 1,
    XK__CONN_PARTIAL_REPLY = 2, /* the packet that was begun to be sent is a reply */
    XK__TX_STALE = 1,           /* conflicts already */
    XK__TX_FAILED = 2,
    XK__NODE_READ = 1,
    XK__NODE_WRITTEN = 2,
    XK__NO_TARGET = 0xffff,
    XK__RECORD_MAX = 1 << 20, /* bytes of a body that is no connection */
    XK__BODY_MAX = 64 << 20   /* no body is longer */
};

/* A record on its way into a buffer; the first error stays. */
struct xk__rec {
    struct xk_buf *b;
    size_t at; /* of the record, from the buffer's head */
    int err;
};

void xk__rec_begin(struct xk__rec *r, struct xk_buf *b, uint32_t type);
void xk__rec_u16(struct xk__rec *r, unsigned v);
void xk__rec_u32(struct xk__rec *r, uint32_t v);
void xk__rec_u64(struct xk__rec *r, uint64_t v);
void xk__rec_bytes(struct xk__rec *r, const void *p, size_t n);
void xk__rec_string(struct xk__rec *r, const char *s, size_t n); /* and a NUL */
int xk__rec_end(struct xk__rec *r);                              /* 0 or the error; then nothing was appended */

/* What stands in a node. */
struct xk__content {
    struct xk__perms perms;
    const void *value;
    size_t bytes;
};
struct xk__content xk__content_of(const struct xk__node *n); /* NULL: without permissions: there is no such node */

/* Whole records. xk__rec_node: NODE or ENTRY. */
int xk__rec_node(struct xk_buf *b, uint32_t type, uint32_t conn, uint32_t tx, unsigned access, struct xk__path path,
                 struct xk__content content);
int xk__rec_watch(struct xk_buf *b, uint32_t type, const struct xk__watch *w);
/* How many bytes of the first packet in the output are still to be sent, when it was begun; and whether it is a reply.
 */
size_t xk__conn_partial(const struct xk_store_conn *c);
bool xk__conn_partial_reply(const struct xk_store_conn *c);
int xk__rec_conn(struct xk_buf *b, const struct xk_store_conn *c, const struct xk_store_link *link);

int xk__save_domain(struct xk_buf *b, const struct xk__dom *d);
int xk__save_server(struct xk_buf *b, const struct xk_store_server *s);

#endif
