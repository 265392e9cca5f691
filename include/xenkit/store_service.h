/* xenkit/store_service.h - the xenstore server on a platform: ring pages of domains, and unix sockets for tools.
 *
 * The engine is store_server.h; this connects it: INTRODUCE maps reference 1 of the guest and binds its port, RELEASE
 * and a guest's death take both back (XK_VIRQ_DOM_EXC). A guest whose ring makes no sense is ignored from then on, with
 * the error word of its page set, until it dies (XSA-325); nobody else notices. SPDX-License-Identifier: MIT */
#ifndef XENKIT_STORE_SERVICE_H
#define XENKIT_STORE_SERVICE_H

#include <xenkit/file.h>
#include <xenkit/loop.h>
#include <xenkit/store_server.h>

XK_API_BEGIN

struct xk_store_service;

/* xk_store_service_create (alloc, loop, limits, out) - a server on (loop) and its platform. It binds XK_VIRQ_DOM_EXC if
 * it may; else it must be told of deaths (RELEASE). */
XK_MUSTCHECK int xk_store_service_create(const xk_alloc *alloc, struct xk_loop *loop,
                                         const struct xk_store_limits *limits, struct xk_store_service **out);
void xk_store_service_destroy(struct xk_store_service *s);

/* xk_store_service_introduce (s, domid, port) - connects a domain before anybody can ask for it: domain 0, whose own
 * requests introduce all others. */
int xk_store_service_introduce(struct xk_store_service *s, xk_domid domid, xk_port port);

/* xk_store_service_trust (s, on) - guests are privileged, as domain 0 is: for a private world. Off at first. */
void xk_store_service_trust(struct xk_store_service *s, int on);

/* xk_store_service_listen (s, handle) - serves connections to (handle), a listening socket that stays the caller's, as
 * domain 0's. One listener a service. */
int xk_store_service_listen(struct xk_store_service *s, int handle);

/* xk_store_service_set_log (s, fn, arg) - (fn) gets a line about each peer that breaks the protocol: who, which field,
 * and what was done. It must not call the service. */
void xk_store_service_set_log(struct xk_store_service *s, void (*fn)(void *arg, const char *line), void *arg);

/* xk_store_service_set_update (s, fn, arg) - (fn) is called when somebody asks for a live update over the store's own
 * protocol; it must not call the service. Without it the answer is ENOSYS. */
void xk_store_service_set_update(struct xk_store_service *s, void (*fn)(void *arg), void *arg);

/* A policy for the engine: see store_server.h for when each is called. They must not call the service. */
struct xk_store_policy {
    int (*permit)(void *arg, unsigned domid, uint32_t type, const char *payload, size_t n);
    void (*audit)(void *arg, unsigned domid, uint32_t type, const char *payload, size_t n, int err);
    long (*control)(void *arg, const char *words, size_t n, char *out, size_t room);
};

/* xk_store_service_set_policy (s, policy, arg) - (policy) NULL: none. For which operations it is asked:
 * xk_store_server_hooks. */
void xk_store_service_set_policy(struct xk_store_service *s, const struct xk_store_policy *policy, void *arg);

/* xk_store_service_do (s, type, payload, n, out, room) - one request of the service itself, with all rights, answered
 * at once: the bytes of the answer, or the error. Not from a policy or another callback of the service. */
long xk_store_service_do(struct xk_store_service *s, uint32_t type, const void *payload, size_t n, void *out,
                         size_t room);

/* --- a store that outlives its process --------------------------------------------------------------------------- */

/* xk_store_service_save (s, file) - stops serving, for good, and writes the whole state to (file), from its first byte:
 * a migration stream (store_state.h) and behind it the trailer below. The process must stay until its successor has
 * taken the sockets; then it goes, and so do its event channels. */
XK_MUSTCHECK int xk_store_service_save(struct xk_store_service *s, struct xk_file *file);

/* Behind the stream: the descriptors of the sockets in it, for whoever passes them to the successor. */
#define XK_STORE_TRAILER "XKSTORE1"
struct xk_store_trailer { /* the last bytes of the file; before it (sockets) numbers of 32 bits, little endian */
    uint32_t sockets, reserved;
    char magic[8];
};

/* xk_store_service_load (s, bytes, n, fds, count, diag) - continues with a state that was saved: before anything else
 * is done with (s). Rings are mapped and bound anew; a socket whose number in the stream is fds[2 * i] is the
 * descriptor fds[2 * i + 1] here, which belongs to (s) from now on. Guests that are gone meanwhile die here, too.
 * XK_EPROTO. */
XK_MUSTCHECK int xk_store_service_load(struct xk_store_service *s, const void *bytes, size_t n, const int *fds,
                                       size_t count, struct xk_diag *diag);

/* xk_store_service_journal (s, a, b, diag) - keeps the state in two files, which belong to (s) from now on: one has the
 * last whole state and the changes since; when these outgrow it, the other one is begun. Every change is written before
 * it is answered; not synced, as a store does not outlive its machine. Returns 1 when the files held a state, which (s)
 * now continues - then nothing else may have been done with (s) before - and 0 when they were empty or
 * (s) had a state from xk_store_service_load already. XK_EPROTO: what
 * they hold is no journal. */
XK_MUSTCHECK int xk_store_service_journal(struct xk_store_service *s, struct xk_file *a, struct xk_file *b,
                                          struct xk_diag *diag);

/* xk_store_service_connected (s, domid) - 1 when the ring of (domid) is served, or 0. */
int xk_store_service_connected(struct xk_store_service *s, xk_domid domid);

/* xk_store_service_server (s) - the engine, for figures. */
struct xk_store_server *xk_store_service_server(struct xk_store_service *s);

XK_API_END

#endif
