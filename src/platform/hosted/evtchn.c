/* Event channels. Each is a pair of connected unix stream sockets; one byte is one notification.
 *
 * Why not an eventfd: both ends would share one description, on which a hostile peer can clear O_NONBLOCK, fill the
 * counter or take counts that are not its own. Here each end is its own: MSG_DONTWAIT holds whatever the peer does, a
 * full buffer means that a byte is already waiting (events coalesce), and the peer's end closing is seen as the end of
 * the stream. Bytes are drained when they are seen, so a masked port does not keep the poller awake.
 *
 * When the peer closes, the port is unbound and fetches a fresh socket from the hypervisor, which the same peer may
 * bind to again. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/hosted/private.h"

static void *port_cookie(xk_port port) { return (void *)(((uintptr_t)port << 1) | 1); }

static struct hosted_port *port_of(struct hosted *h, xk_port port)
{
    return port >= 0 && port < h->port_count && h->ports[port].used ? &h->ports[port] : NULL;
}

static void enqueue(struct hosted *h, xk_port port)
{
    struct hosted_port *e = &h->ports[port];

    if (e->queued || e->masked || !e->pending)
        return;
    e->queued = 1;
    e->next = -1;
    if (h->queue_tail >= 0)
        h->ports[h->queue_tail].next = port;
    else
        h->queue_head = port;
    h->queue_tail = port;
}

static void raise_port(struct hosted *h, xk_port port)
{
    h->ports[port].pending = 1;
    enqueue(h, port);
}

static void dequeue(struct hosted *h, xk_port port)
{
    xk_port *at = &h->queue_head, last = -1;

    if (!h->ports[port].queued)
        return;
    while (*at != port) {
        last = *at;
        at = &h->ports[*at].next;
    }
    *at = h->ports[port].next;
    if (h->queue_tail == port)
        h->queue_tail = last;
    h->ports[port].queued = 0;
}

static int ports_reserve(struct hosted *h, xk_port port)
{
    int count = h->port_count ? h->port_count : 16;
    void *ports;

    if (port < h->port_count)
        return 0;
    while (count <= port)
        count *= 2;
    ports =
        xk_resize(&h->alloc, h->ports, (size_t)h->port_count * sizeof(*h->ports), (size_t)count * sizeof(*h->ports));
    if (!ports)
        return XK_ENOMEM;
    h->ports = ports;
    memset(h->ports + h->port_count, 0, (size_t)(count - h->port_count) * sizeof(*h->ports));
    h->port_count = count;
    return 0;
}

/* Enters (fd) as the socket of (port), which the hypervisor numbered. */
static int port_open(struct hosted *h, xk_port port, int fd, int bound)
{
    struct hosted_port *e;
    int r = port < 0 || port >= XK__PORTS_MAX ? XK_EPROTO : ports_reserve(h, port);

    if (r == 0)
        r = xk__poll_add(&h->poll, fd, XK_READABLE, port_cookie(port));
    if (r < 0) {
        close(fd);
        hosted_ask_simple(h, XK__CTL_EVT_CLOSE, port, 0, 0, NULL);
        return r;
    }
    e = &h->ports[port];
    memset(e, 0, sizeof(*e));
    e->used = 1;
    e->fd = fd;
    e->bound = (uint8_t)bound;
    e->next = -1;
    return port;
}

int hosted_evtchn_alloc(struct xk_platform *p, xk_domid peer)
{
    struct hosted *h = (struct hosted *)p;
    int fd, port = hosted_ask_simple(h, XK__CTL_EVT_ALLOC, peer, 0, 0, &fd);

    return port < 0 ? port : port_open(h, port, fd, 0);
}

int hosted_evtchn_bind(struct xk_platform *p, xk_domid peer, xk_port remote)
{
    struct hosted *h = (struct hosted *)p;
    int fd, port = hosted_ask_simple(h, XK__CTL_EVT_BIND, peer, remote, 0, &fd);

    if (port >= 0)
        port = port_open(h, port, fd, 1);
    if (port < 0)
        return port;
    hosted_evtchn_notify(p, port); /* the other side learns that it is bound */
    raise_port(h, port);
    return port;
}

int hosted_evtchn_bind_virq(struct xk_platform *p, unsigned virq)
{
    struct hosted *h = (struct hosted *)p;
    int fd, port = hosted_ask_simple(h, XK__CTL_EVT_VIRQ, (int32_t)virq, 0, 0, &fd);

    return port < 0 ? port : port_open(h, port, fd, 1);
}

/* A port that the builder made for this domain before it ran. */
int hosted_evtchn_adopt(struct hosted *h, xk_port port)
{
    int fd, r = hosted_ask_simple(h, XK__CTL_EVT_FETCH, port, 0, 0, &fd);

    return r < 0 ? r : port_open(h, port, fd, 0);
}

int hosted_evtchn_notify(struct xk_platform *p, xk_port port)
{
    struct hosted *h = (struct hosted *)p;
    struct hosted_port *e = port_of(h, port);

    if (!e)
        return XK_EINVAL;
    if (e->fd >= 0)
        send(e->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL); /* full: one is waiting; closed: unbound */
    return 0;
}

static void peer_closed(struct hosted *h, xk_port port)
{
    struct hosted_port *e = &h->ports[port];
    int fd;

    xk__poll_del(&h->poll, e->fd);
    close(e->fd);
    e->fd = -1;
    e->bound = 0;
    if (hosted_ask_simple(h, XK__CTL_EVT_FETCH, port, 0, 0, &fd) >= 0) {
        if (xk__poll_add(&h->poll, fd, XK_READABLE, port_cookie(port)) < 0)
            close(fd);
        else
            h->ports[port].fd = fd;
    }
}

/* Takes what waits in the port's socket and makes the port pending. */
void hosted_evtchn_drain(struct hosted *h, xk_port port)
{
    struct hosted_port *e = port_of(h, port);
    char bytes[256];
    ssize_t n;

    if (!e || e->fd < 0)
        return;
    n = recv(e->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0)
        e->bound = 1;
    else
        peer_closed(h, port);
    raise_port(h, port);
}

/* The next pending port, cleared and masked, or -1. */
xk_port hosted_evtchn_next(struct hosted *h)
{
    xk_port port = h->queue_head;
    struct hosted_port *e;

    if (port < 0)
        return -1;
    dequeue(h, port);
    e = &h->ports[port];
    e->pending = 0;
    e->masked = 1;
    return port;
}

int hosted_evtchn_pending(struct xk_platform *p)
{
    struct hosted *h = (struct hosted *)p;
    xk_port port;
    int r;

    if (h->queue_head < 0 && (r = hosted_poll_ports(h)) < 0)
        return r;
    port = hosted_evtchn_next(h);
    return port < 0 ? XK_EAGAIN : port;
}

int hosted_evtchn_unmask(struct xk_platform *p, xk_port port)
{
    struct hosted *h = (struct hosted *)p;
    struct hosted_port *e = port_of(h, port);

    if (!e)
        return XK_EINVAL;
    e->masked = 0;
    enqueue(h, port);
    return 0;
}

static void port_close(struct hosted *h, xk_port port)
{
    struct hosted_port *e = &h->ports[port];

    dequeue(h, port);
    if (e->fd >= 0) {
        xk__poll_del(&h->poll, e->fd);
        close(e->fd);
    }
    memset(e, 0, sizeof(*e));
}

int hosted_evtchn_unbind(struct xk_platform *p, xk_port port)
{
    struct hosted *h = (struct hosted *)p;

    if (!port_of(h, port))
        return XK_EINVAL;
    /* The hypervisor first: once the peer sees our end closed it must find its port unbound. */
    hosted_ask_simple(h, XK__CTL_EVT_CLOSE, port, 0, 0, NULL);
    port_close(h, port);
    return 0;
}

int hosted_evtchn_peer(struct xk_platform *p, xk_port port)
{
    struct hosted_port *e = port_of((struct hosted *)p, port);

    if (!e)
        return XK_EINVAL;
    hosted_evtchn_drain((struct hosted *)p, port); /* so that a peer that went is known at once */
    return e->bound;
}

void hosted_evtchn_fini(struct hosted *h)
{
    for (xk_port i = 0; i < h->port_count; i++)
        if (h->ports[i].used)
            port_close(h, i);
    xk_free(&h->alloc, h->ports, (size_t)h->port_count * sizeof(*h->ports));
}
