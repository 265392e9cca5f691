/* xenkit/store_state.h - the state of a store server as bytes: handing a running store over to another process, and
 * what a journal is made of.
 *
 * The format is upstream's migration stream (Xen's docs/designs/xenstore-migration.md, version 1, little endian):
 * nodes, connections with unread requests and unsent replies, watches, transactions. Records of our own, numbered from
 * XK_STORE_RECORD_OURS on, hold what upstream's have no room for (quotas and features of domains, depth of watches, the
 * log of open transactions); XK_STORE_SAVE_PLAIN leaves them out, for a xenstored that does not know them. A
 * transaction that came in upstream's records alone ends with EAGAIN.
 *
 * SPDX-License-Identifier: MIT */
#ifndef XENKIT_STORE_STATE_H
#define XENKIT_STORE_STATE_H

#include <xenkit/err.h>
#include <xenkit/store_server.h>

XK_API_BEGIN

enum { XK_STORE_RECORD_OURS = 0x786b0000 };

/* How a connection reaches its client: what only its transport knows. */
enum xk_store_link_kind { XK_STORE_LINK_RING, XK_STORE_LINK_SOCKET };
struct xk_store_link {
    enum xk_store_link_kind kind;
    unsigned domid;
    int privileged;
    uint32_t port;       /* ring: the event channel of the domain */
    int fd;              /* socket */
    const void *unread;  /* bytes that were taken from the client and that the engine has not consumed yet */
    size_t unread_bytes; /* at most 64 KiB */
};

enum { XK_STORE_SAVE_PLAIN = 1, XK_STORE_SAVE_NO_TRANSACTIONS = 2 /* for a journal: their ends are not in it */ };

struct xk_store_saver {
    /* The next (n) bytes. XK_E...: stop, and return that. */
    int (*write)(void *arg, const void *bytes, size_t n);
    /* Fills (link) for a connection; XK_ENOENT: leave it and all of its out. NULL: leaves all out. */
    int (*link)(void *arg, struct xk_store_conn *c, struct xk_store_link *link);
    void *arg;
    unsigned flags;
    int listener, events; /* descriptors for the record GLOBAL_DATA, or -1 */
};

/* xk_store_server_save (s, saver) - writes the whole state, and changes nothing. XK_ENOMEM, or what (write) returned.
 * It must not be called from a callback of the server. */
XK_MUSTCHECK int xk_store_server_save(struct xk_store_server *s, const struct xk_store_saver *saver);

struct xk_store_loader {
    /* Makes the transport and its connection (xk_store_conn_open) anew. (link->unread) is to be offered to the engine
     * before anything else, once loading is over. NULL: the client is gone, or has to do without. */
    struct xk_store_conn *(*conn)(void *arg, const struct xk_store_link *link);
    /* A journal tells that (c) was closed: close it and its transport. NULL: it stays. */
    void (*closed)(void *arg, struct xk_store_conn *c);
    void *arg;
    int listener, events; /* out: the descriptors of GLOBAL_DATA, -1 where there are none */
    size_t used;          /* out: bytes up to and with the record END */
};

/* xk_store_server_load (s, bytes, n, loader, diag) - fills a server that was just created. (loader) NULL: no
 * connections. XK_EPROTO with the record and its place in (diag), XK_ENOMEM: then (s) is to be destroyed. */
XK_MUSTCHECK int xk_store_server_load(struct xk_store_server *s, const void *bytes, size_t n,
                                      struct xk_store_loader *loader, struct xk_diag *diag);

/* --- a journal ---------------------------------------------------------------------------------------------------- *
 *
 * For crash recovery: a saved state, and behind it the changes since, in batches. Whoever serves the store takes the
 * pending bytes, which are one batch, and writes all of them out before it sends what the changes were answered with.
 * Reading back ends at the first batch that is not whole. Only ring connections are in it; a socket's client sees its
 * end and comes again.
 *
 * xk_store_journal_start (s, max) - from now on changes are collected, up to (max) bytes that were not taken; beyond
 * that requests fail with ENOMEM. xk_store_journal_stop forgets what is pending. */
void xk_store_journal_start(struct xk_store_server *s, size_t max);
void xk_store_journal_stop(struct xk_store_server *s);
size_t xk_store_journal_pending(struct xk_store_server *s, const uint8_t **bytes);
void xk_store_journal_written(struct xk_store_server *s, size_t n);

/* xk_store_journal_conn (c, link) - the connection of a ring belongs into the journal, and its watches. XK_ENOMEM.
 * xk_store_journal_ring (c, consumed, produced) - a note of what it has of half a request, and what it has not sent
 * yet, when that much is consumed and produced. Once that is written, (consumed) may be shown to the guest, and then
 * the answers: so no request is carried out twice. To be called before consuming requests that changed something
 * (xk_store_journal_due) or half of one, and before producing half a packet. */
XK_MUSTCHECK int xk_store_journal_conn(struct xk_store_conn *c, const struct xk_store_link *link);
void xk_store_journal_known(struct xk_store_conn *c); /* the state before the changes has it already */
int xk_store_journal_due(const struct xk_store_conn *c);
XK_MUSTCHECK int xk_store_journal_ring(struct xk_store_conn *c, uint32_t consumed, uint32_t produced);

/* xk_store_server_replay (s, bytes, n, loader, used, diag) - carries out the batches in (bytes), which follow a state
 * that was just loaded. (used) is where the first that is not whole begins. XK_EPROTO: a batch that is whole makes no
 * sense.
 * xk_store_conn_recover (c, epoch, consumed, produced) - after that, for each connection, with the indices that its
 * ring shows. Returns how much is consumed: a note may know of more. Answers that were produced are dropped,
 * transactions that were lost in the crash end with EAGAIN, all watches fire, as nobody knows which events were seen.
 * (epoch) goes up with each recovery. Requests that changed nothing may be answered twice. */
XK_MUSTCHECK int xk_store_server_replay(struct xk_store_server *s, const void *bytes, size_t n,
                                        struct xk_store_loader *loader, size_t *used, struct xk_diag *diag);
uint32_t xk_store_conn_recover(struct xk_store_conn *c, uint32_t epoch, uint32_t consumed, uint32_t produced);

XK_API_END

#endif
