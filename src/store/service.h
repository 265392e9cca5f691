/* store/service.h - what the parts of the store service share: the service, and its transports, one a connection. A
 * transport is a ring page (service_ring.c) or a socket (service_socket.c); both feed the engine and send what it has
 * ready, in the same round in which the requests came, so a batch costs one notification or one write.
 * SPDX-License-Identifier: MIT */
#ifndef XK_STORE_SERVICE_PRIVATE_H
#define XK_STORE_SERVICE_PRIVATE_H

#include <xenkit/buf.h>
#include <xenkit/file.h>
#include <xenkit/loop.h>
#include <xenkit/pipe.h>
#include <xenkit/socket.h>
#include <xenkit/store_service.h>
#include <xenkit/store_state.h>

#include "base/list.h"

enum { XK__SOCKET_READ = 16384 };

struct xk__transport {
    struct xk_list link;
    struct xk_store_service *service;
    struct xk_store_conn *conn;
    struct xk_defer flush;
    int ring;
    int busy, closed; /* its requests run; it was closed by one of them, and is freed after that */
    xk_domid domid;
    /* ring */
    xk_port port;
    uint32_t remote; /* the domain's port */
    void *page;
    struct xk_pipe in, out;
    struct xk_port_watch watch;
    int ignored;
    uint32_t noted;   /* the journal has all that is produced up to this index */
    uint32_t unnoted; /* bytes in both directions since the journal's last note */
    /* socket */
    struct xk_stream *stream;
    int fd;
    int hasty;   /* for how many more reads its next requests are taken to come soon */
    size_t owed; /* bytes that were looked at, and are still in the socket */
    struct xk_waiter reader, writer;
    struct xk_buf left; /* input that the engine did not take yet */
};

/* The journal: two files, of which one holds the last state and what changed since. */
struct xk__keeper {
    struct xk_file *file[2];
    int at; /* the one that is written */
    uint64_t generation, end, state_bytes;
    uint32_t epoch;
    int on;
};

struct xk_store_service {
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_platform *platform;
    struct xk_store_server *server;
    struct xk_list transports;
    struct xk__transport *last; /* the socket that was read last */
    int alone;                  /* as was the one before */
    int looked;                 /* so often since the last flush */
    int vain;                   /* the last look found nothing */
    struct xk_spinner spinner;  /* looks at it, while its next request is taken to come soon */
    struct xk_acceptor acceptor;
    int listener;
    int trust, frozen, loaded;
    int untidy;            /* the engine has put something off until its answers are sent */
    struct xk_timer later; /* for rings that have to be looked at without their asking */
    xk_time later_at;      /* 0: it does not run */
    xk_port virq;
    struct xk_port_watch virq_watch;
    uint8_t alive[0x8000 / 8]; /* domains of which the platform said so since somebody died */
    void (*log)(void *arg, const char *line);
    void *log_arg;
    void (*update)(void *arg);
    void *update_arg;
    const struct xk_store_policy *policy;
    void *policy_arg;
    struct xk__keeper keeper;
    uint8_t scratch[XK__SOCKET_READ];
};

void xk__service_say(struct xk_store_service *s, const char *fmt, ...) XK_PRINTF(2, 3);

void xk__service_tidy(struct xk_store_service *s); /* does what the engine has put off */

struct xk__transport *xk__transport_new(struct xk_store_service *s, int ring, xk_domid domid);
void xk__transport_close(struct xk__transport *t);
void xk__transport_flush(struct xk__transport *t); /* its output is sent at the end of the loop's turn */
void xk__transport_soon(struct xk__transport *t);  /* looks at both of its directions in this round of the loop */
struct xk__transport *xk__ring_of(struct xk_store_service *s, unsigned domid);

/* service_ring.c. connect: maps the page and binds the port, nothing is served before start. */
int xk__ring_connect(struct xk__transport *t, uint32_t remote);
int xk__ring_start(struct xk__transport *t);
void xk__ring_stop(struct xk__transport *t); /* lets go of the port, so that a successor can bind it */
void xk__ring_run(struct xk__transport *t);
void xk__ring_later(struct xk_timer *timer);
void xk__ring_close(struct xk__transport *t);

/* service_socket.c */
struct xk__transport *xk__socket_new(struct xk_store_service *s, int handle);
void xk__socket_output(struct xk__transport *t);
void xk__socket_run(struct xk__transport *t);
int xk__socket_look(struct xk__transport *t);    /* serves what has come, if anything. @return 1: it has */
void xk__socket_settle(struct xk__transport *t); /* takes what was looked at from the socket */
void xk__socket_close(struct xk__transport *t);
void xk__socket_accept(struct xk_acceptor *a);

/* service_state.c: what is pending for the journal is written out. Before anything is sent. */
void xk__keeper_flush(struct xk_store_service *s);
void xk__keeper_fini(struct xk_store_service *s);
void xk__service_bury(struct xk_store_service *s); /* the domains that have died or shut down */
struct xk_store_link xk__transport_link(const struct xk__transport *t);

#endif
