/* xenkit/store_service.h - the xenstore server on a platform: ring pages of domains, and unix sockets for tools.
 *
 * The engine is store_server.h; this connects it: INTRODUCE maps reference 1 of the guest and binds its port, RELEASE
 * and a guest's death take both back (XK_VIRQ_DOM_EXC). A guest whose ring makes no sense is ignored from then on, with
 * the error word of its page set, until it dies (XSA-325); nobody else notices. SPDX-License-Identifier: MIT */
#ifndef XENKIT_STORE_SERVICE_H
#define XENKIT_STORE_SERVICE_H

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

/* xk_store_service_server (s) - the engine, for figures. */
struct xk_store_server *xk_store_service_server(struct xk_store_service *s);

XK_API_END

#endif
