/* Event channels: sticky bits, with late and spurious events as the seed says. SPDX-License-Identifier: MIT */
#include <string.h>

#include "platform/fake/private.h"

static struct fake_port *port_of(struct fake_domain *d, xk_port port)
{
    return d && port >= 0 && port < d->port_count && d->ports[port].state != FPORT_FREE ? &d->ports[port] : NULL;
}

static int port_new(struct fake_domain *d)
{
    int count = d->port_count ? d->port_count * 2 : 8;
    void *p;

    for (int i = 1; i < d->port_count; i++) /* 0 is no port, as on Xen */
        if (d->ports[i].state == FPORT_FREE)
            return i;
    if (count > FAKE_PORTS_MAX)
        return XK_EMFILE;
    p = xk_resize(NULL, d->ports, (size_t)d->port_count * sizeof(*d->ports), (size_t)count * sizeof(*d->ports));
    if (!p)
        return XK_ENOMEM;
    d->ports = p;
    memset(d->ports + d->port_count, 0, (size_t)(count - d->port_count) * sizeof(*d->ports));
    count = d->port_count;
    d->port_count = count ? count * 2 : 8;
    return count ? count : 1;
}

int fake_evtchn_alloc(struct xk_platform *p, xk_domid peer)
{
    struct fake_domain *d = (struct fake_domain *)p;
    int port;

    if (fake_fails(d->world, XK_FAKE_EVTCHN))
        return XK_EMFILE;
    if (!fake_find(d->world, peer))
        return XK_EGONE;
    port = port_new(d);
    if (port >= 0)
        d->ports[port] = (struct fake_port){.state = FPORT_UNBOUND, .peer = peer, .remote = -1};
    return port;
}

int fake_evtchn_bind(struct xk_platform *p, xk_domid peer, xk_port remote)
{
    struct fake_domain *d = (struct fake_domain *)p, *q = fake_find(d->world, peer);
    struct fake_port *theirs = port_of(q, remote);
    int port;

    if (fake_fails(d->world, XK_FAKE_EVTCHN))
        return XK_EMFILE;
    if (!q)
        return XK_EGONE;
    if (!theirs || theirs->state != FPORT_UNBOUND || theirs->peer != d->domid)
        return XK_EINVAL;
    port = port_new(d);
    if (port < 0)
        return port;
    theirs = &q->ports[remote]; /* a loopback bind may have moved the table */
    theirs->state = FPORT_BOUND;
    theirs->remote = port;
    d->ports[port] = (struct fake_port){.state = FPORT_BOUND, .peer = peer, .remote = remote, .pending = 1};
    return port;
}

int fake_evtchn_bind_virq(struct xk_platform *p, unsigned virq)
{
    struct fake_domain *d = (struct fake_domain *)p;
    int port;

    if (virq >= FAKE_VIRQS)
        return XK_EINVAL;
    if (virq == XK_VIRQ_DOM_EXC && d->world->dom_exc_handler != d->domid)
        return fake_find(d->world, d->world->dom_exc_handler) ? XK_EEXIST : XK_EPERM;
    if (virq == XK_VIRQ_TOOLSTACK && d->domid != 0)
        return XK_EPERM;
    for (int i = 0; i < d->port_count; i++)
        if (d->ports[i].state == FPORT_VIRQ && d->ports[i].virq == virq)
            return XK_EEXIST;
    port = port_new(d);
    if (port >= 0)
        d->ports[port] = (struct fake_port){.state = FPORT_VIRQ, .virq = (uint8_t)virq};
    return port;
}

void fake_virq_raise(struct fake_domain *d, unsigned virq)
{
    for (int i = 0; d && i < d->port_count; i++)
        if (d->ports[i].state == FPORT_VIRQ && d->ports[i].virq == virq)
            d->ports[i].pending = 1;
}

int fake_evtchn_notify(struct xk_platform *p, xk_port port)
{
    struct fake_domain *d = (struct fake_domain *)p;
    struct fake_port *e = port_of(d, port), *theirs;

    if (!e)
        return XK_EINVAL;
    if (fake_fails(d->world, XK_FAKE_NOTIFY))
        return 0; /* lost: no correct platform does this; a deadline must catch it */
    theirs = e->state == FPORT_BOUND ? port_of(fake_find(d->world, e->peer), e->remote) : NULL;
    if (!theirs)
        return 0;
    if (d->world->late && fake_random(d->world) % 1000 < d->world->late && !theirs->late)
        theirs->late = d->world->now + 1 + (xk_time)(fake_random(d->world) % (uint64_t)XK_MS);
    else
        theirs->pending = 1;
    return 0;
}

static xk_port next_pending(struct fake_domain *d)
{
    int start = d->port_count ? (int)(fake_random(d->world) % (uint64_t)d->port_count) : 0;

    for (int i = 0; i < d->port_count; i++) {
        xk_port port = (start + i) % d->port_count;
        struct fake_port *e = &d->ports[port];
        if (e->state != FPORT_FREE && e->pending && !e->masked)
            return port;
    }
    return -1;
}

int fake_has_pending(struct fake_domain *d)
{
    for (int i = 0; i < d->port_count; i++)
        if (d->ports[i].state != FPORT_FREE && d->ports[i].pending && !d->ports[i].masked)
            return 1;
    return 0;
}

int fake_evtchn_pending(struct xk_platform *p)
{
    struct fake_domain *d = (struct fake_domain *)p;
    xk_port port = next_pending(d);

    if (port < 0)
        return XK_EAGAIN;
    d->ports[port].pending = 0;
    d->ports[port].masked = 1;
    if (d->world->spurious && fake_random(d->world) % 1000 < d->world->spurious)
        d->ports[port].pending = 1; /* comes once more, for nothing */
    return port;
}

int fake_evtchn_unmask(struct xk_platform *p, xk_port port)
{
    struct fake_port *e = port_of((struct fake_domain *)p, port);

    if (!e)
        return XK_EINVAL;
    e->masked = 0;
    return 0;
}

int fake_evtchn_unbind(struct xk_platform *p, xk_port port)
{
    struct fake_domain *d = (struct fake_domain *)p;
    struct fake_port *e = port_of(d, port), *theirs;

    if (!e)
        return XK_EINVAL;
    theirs = e->state == FPORT_BOUND ? port_of(fake_find(d->world, e->peer), e->remote) : NULL;
    if (theirs && theirs != e && theirs->state == FPORT_BOUND) {
        theirs->state = FPORT_UNBOUND;
        theirs->remote = -1;
        theirs->pending = 1; /* legal, and lets a waiter look */
    }
    memset(e, 0, sizeof(*e));
    return 0;
}

int fake_evtchn_peer(struct xk_platform *p, xk_port port)
{
    struct fake_port *e = port_of((struct fake_domain *)p, port);

    return !e ? XK_EINVAL : e->state == FPORT_BOUND || e->state == FPORT_VIRQ;
}

xk_time fake_next_late(struct xk_fake *w)
{
    xk_time next = XK_FOREVER;

    for (unsigned i = 0; i < w->domain_count; i++)
        for (int k = 0; w->domains[i] && k < w->domains[i]->port_count; k++)
            if (w->domains[i]->ports[k].late && w->domains[i]->ports[k].late < next)
                next = w->domains[i]->ports[k].late;
    return next;
}

void fake_deliver_late(struct xk_fake *w)
{
    for (unsigned i = 0; i < w->domain_count; i++)
        for (int k = 0; w->domains[i] && k < w->domains[i]->port_count; k++) {
            struct fake_port *e = &w->domains[i]->ports[k];
            if (e->late && e->late <= w->now) {
                e->late = 0;
                e->pending = 1;
            }
        }
}

void fake_evtchn_fini(struct fake_domain *d)
{
    for (xk_port i = 0; i < d->port_count; i++)
        fake_evtchn_unbind(&d->base, i);
    xk_free(NULL, d->ports, (size_t)d->port_count * sizeof(*d->ports));
    d->ports = NULL;
    d->port_count = 0;
}
