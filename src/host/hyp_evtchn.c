/* Event channels: numbers, who may bind to whom, and the socket pairs. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/hyp.h"

static int pair(int sv[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) < 0 ? xk__sys_err(errno) : 0;
}

static struct hyp_port *port_of(struct hyp_domain *d, xk_port port)
{
    return port >= 0 && port < d->port_count && d->ports[port].state != PORT_FREE ? &d->ports[port] : NULL;
}

static int port_new(struct hyp_domain *d)
{
    int count = d->port_count ? d->port_count * 2 : 8;
    void *ports;

    for (int i = 1; i < d->port_count; i++) /* 0 is no port, as on Xen */
        if (d->ports[i].state == PORT_FREE)
            return i;
    if (count > XK__PORTS_MAX)
        return XK_EMFILE;
    ports = xk_resize(&d->hyp->alloc, d->ports, (size_t)d->port_count * sizeof(*d->ports),
                      (size_t)count * sizeof(*d->ports));
    if (!ports)
        return XK_ENOMEM;
    d->ports = ports;
    for (int i = d->port_count; i < count; i++)
        d->ports[i] = (struct hyp_port){.own = -1, .other = -1};
    count = d->port_count ? d->port_count : 0;
    d->port_count = count ? count * 2 : 8;
    return count ? count : 1;
}

static void port_free(struct hyp_domain *d, struct hyp_port *e)
{
    hyp_shut(d, &e->own);
    hyp_shut(d, &e->other);
    *e = (struct hyp_port){.own = -1, .other = -1};
    d->ports_used--;
}

/* An unbound port with a fresh pair: one end for its domain, one for whoever binds. */
static int port_unbound(struct hyp_domain *d, xk_domid peer)
{
    int sv[2], r, port = port_new(d);

    if (port < 0)
        return port;
    r = pair(sv);
    if (r < 0)
        return r;
    d->ports[port] = (struct hyp_port){.state = PORT_UNBOUND, .peer = peer, .remote = -1, .own = -1, .other = -1};
    hyp_hold(d, &d->ports[port].own, sv[0]);
    hyp_hold(d, &d->ports[port].other, sv[1]);
    d->ports_used++;
    return port;
}

/* A fresh pair for a port whose peer has closed: what is left of the old one is of no use. */
static int renew(struct hyp_domain *d, struct hyp_port *e)
{
    int sv[2], r = pair(sv);

    if (r < 0)
        return r;
    hyp_shut(d, &e->own);
    hyp_shut(d, &e->other);
    hyp_hold(d, &e->own, sv[0]);
    hyp_hold(d, &e->other, sv[1]);
    return 0;
}

int hyp_evt_alloc(struct hyp_domain *d, xk_domid peer, int *fd)
{
    int port;

    if (!hyp_peer(d->hyp, peer))
        return XK_EGONE;
    if (fd && (port = hyp_may_hold(d, 2)) < 0) /* what the builder makes for it is not for its asking */
        return port;
    port = port_unbound(d, peer);
    if (port >= 0 && fd)
        *fd = hyp_take(d, &d->ports[port].own);
    return port;
}

int hyp_evt_bind(struct hyp_domain *d, xk_domid peer, xk_port remote, int *fd)
{
    struct hyp_domain *p = hyp_find(d->hyp, peer); /* also one that has ended: its console may come late */
    struct hyp_port *theirs;
    int port, r;

    if (!p)
        return XK_EGONE;
    theirs = port_of(p, remote);
    if (!theirs || theirs->state != PORT_UNBOUND || theirs->peer != d->domid)
        return XK_EINVAL;
    port = port_new(d);
    if (port < 0)
        return port;
    theirs = &p->ports[remote]; /* a loopback bind may have moved the table */
    if (theirs->other < 0) { /* its peer closed, and it has not yet asked for a new pair: it will, and finds this one */
        r = p->control < 0 ? XK_EGONE : hyp_may_hold(p, 2);
        if (r == 0)
            r = renew(p, theirs);
        if (r < 0)
            return r;
    }
    *fd = hyp_take(p, &theirs->other);
    theirs->state = PORT_BOUND;
    theirs->remote = port;
    d->ports[port] = (struct hyp_port){.state = PORT_BOUND, .peer = peer, .remote = remote, .own = -1, .other = -1};
    d->ports_used++;
    return port;
}

static int is_global(unsigned virq) { return virq == XK_VIRQ_DOM_EXC; }

int hyp_evt_virq(struct hyp_domain *d, unsigned virq, int *fd)
{
    int sv[2], port, r;

    if (virq >= HYP_VIRQS)
        return XK_EINVAL;
    if (is_global(virq) && d->hyp->dom_exc_handler != d->domid)
        return hyp_find(d->hyp, d->hyp->dom_exc_handler) ? XK_EEXIST : XK_EPERM;
    if (virq == XK_VIRQ_TOOLSTACK && d->domid != 0)
        return XK_EPERM;
    if (d->virqs[virq] >= 0)
        return XK_EEXIST;
    port = port_new(d);
    if (port < 0)
        return port;
    r = pair(sv);
    if (r < 0)
        return r;
    *fd = sv[0];
    d->ports[port] = (struct hyp_port){.state = PORT_VIRQ, .virq = (uint8_t)virq, .own = -1, .other = -1};
    hyp_hold(d, &d->ports[port].other, sv[1]);
    d->ports_used++;
    d->virqs[virq] = port;
    return port;
}

void hyp_virq_raise(struct hyp_domain *d, unsigned virq)
{
    if (d && !d->gone && d->virqs[virq] >= 0)
        send(d->ports[d->virqs[virq]].other, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The other side of a bound port becomes unbound; it asks for a new pair when it sees its socket end. */
static void unbind_remote(struct hyp_domain *d, struct hyp_port *e)
{
    struct hyp_domain *p = hyp_find(d->hyp, e->peer);
    struct hyp_port *theirs = p ? port_of(p, e->remote) : NULL;

    if (e->state != PORT_BOUND || !theirs || theirs == e || theirs->state != PORT_BOUND || theirs->peer != d->domid)
        return;
    theirs->state = PORT_UNBOUND;
    theirs->remote = -1;
}

/* The first fetch of a port that the builder made, or a fresh pair for one whose peer has closed. */
int hyp_evt_fetch(struct hyp_domain *d, xk_port port, int *fd)
{
    struct hyp_port *e = port_of(d, port);
    int r;

    if (!e || e->state == PORT_VIRQ)
        return XK_EINVAL;
    if (e->state == PORT_BOUND && e->own < 0) {
        /* It saw the end of its socket, and so the pair is of no use to either side: its peer's process has ended,
         * which we are about to hear. */
        unbind_remote(d, e);
        e->state = PORT_UNBOUND;
        e->remote = -1;
    }
    if (e->own < 0) {
        if (!hyp_find(d->hyp, e->peer))
            return XK_EGONE;
        r = e->other < 0 ? hyp_may_hold(d, 2) : 0;
        if (r == 0)
            r = renew(d, e);
        if (r < 0)
            return r;
    }
    *fd = hyp_take(d, &e->own);
    return port;
}

int hyp_evt_close(struct hyp_domain *d, xk_port port)
{
    struct hyp_port *e = port_of(d, port);

    if (!e)
        return XK_EINVAL;
    if (e->state == PORT_VIRQ)
        d->virqs[e->virq] = -1;
    unbind_remote(d, e);
    port_free(d, e);
    return 0;
}

void hyp_evt_fini(struct hyp_domain *d)
{
    for (xk_port i = 0; i < d->port_count; i++)
        hyp_evt_close(d, i);
    xk_free(&d->hyp->alloc, d->ports, (size_t)d->port_count * sizeof(*d->ports));
    d->ports = NULL;
    d->port_count = 0;
}
