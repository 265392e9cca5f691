/* Life cycle, wiring. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "platform/fake/private.h"

struct fake_domain *fake_find(struct xk_fake *w, int domid)
{
    struct fake_domain *d = domid >= 0 && (unsigned)domid < w->domain_count ? w->domains[domid] : NULL;

    return d && !d->closed ? d : NULL;
}

static int wire(struct fake_domain *d, struct xk_ring_page *page, int peer, int port, xk_gref ref,
                struct xk_ring_page *out)
{
    int r;

    if (peer < 0)
        return XK_ENODEV;
    if (!page->page) {
        r = fake_reserved_page(d, (xk_domid)peer, ref, &page->page);
        if (r < 0)
            return r;
        page->port = port;
        page->peer = (xk_domid)peer;
    }
    *out = *page;
    return 0;
}

int fake_store_page(struct xk_platform *p, struct xk_ring_page *out)
{
    struct fake_domain *d = (struct fake_domain *)p;

    return wire(d, &d->store, d->store_peer, d->store_port, XK_GREF_STORE, out);
}

int fake_console_page(struct xk_platform *p, struct xk_ring_page *out)
{
    struct fake_domain *d = (struct fake_domain *)p;

    return wire(d, &d->console, d->console_peer, d->console_port, XK_GREF_CONSOLE, out);
}

int xk_fake_wire(struct xk_fake *w, xk_domid domid, int store, int console)
{
    struct fake_domain *d = fake_find(w, domid);
    struct xk_ring_page page;
    int r = 0;

    if (!d)
        return XK_ENOENT;
    d->store_peer = store;
    d->console_peer = console;
    if (store >= 0 && (r = d->store_port = fake_evtchn_alloc(&d->base, (xk_domid)store)) < 0)
        return r;
    if (console >= 0 && (r = d->console_port = fake_evtchn_alloc(&d->base, (xk_domid)console)) < 0)
        return r;
    if (store >= 0 && (r = fake_store_page(&d->base, &page)) < 0)
        return r;
    if (console >= 0 && (r = fake_console_page(&d->base, &page)) < 0)
        return r;
    return store >= 0 ? d->store_port : d->console_port;
}

int fake_handle_take(struct xk_platform *p, char *name, size_t size)
{
    (void)p, (void)name, (void)size;
    return XK_ENOSYS;
}

static void fill(struct fake_domain *d, struct xk_domain_info *out)
{
    memset(out, 0, sizeof(*out));
    out->domid = d->domid;
    out->state = d->state;
    out->reason = d->reason;
    for (int i = 0; i < d->port_count; i++)
        out->ports += d->ports[i].state != FPORT_FREE;
    snprintf(out->name, sizeof(out->name), "%s", d->name);
}

static int may_see(struct fake_domain *d, int domid)
{
    return d->domid == 0 || d->domid == d->world->dom_exc_handler || d->domid == domid;
}

int fake_domain_info(struct xk_platform *p, xk_domid domid, struct xk_domain_info *out)
{
    struct fake_domain *d = (struct fake_domain *)p, *t = fake_find(d->world, domid);

    if (!may_see(d, domid))
        return XK_EPERM;
    if (!t)
        return XK_ENOENT;
    fill(t, out);
    return 0;
}

int fake_domain_next(struct xk_platform *p, xk_domid after, struct xk_domain_info *out)
{
    struct fake_domain *d = (struct fake_domain *)p;

    if (!may_see(d, -1))
        return XK_EPERM;
    for (int i = after + 1; (unsigned)i < d->world->domain_count; i++)
        if (fake_find(d->world, i)) {
            fill(d->world->domains[i], out);
            return 0;
        }
    return XK_ENOENT;
}

/* All that (d) held is released; its peers see their ports unbound. */
void fake_domain_release(struct fake_domain *d)
{
    struct xk_fake *w = d->world;

    d->closed = 1;
    XK_LIST_EACH_SAFE(l, &d->watches)
    {
        xk_list_del(l);
        xk_free(NULL, XK_CONTAINER(l, struct fake_watch, link), sizeof(struct fake_watch));
    }
    fake_evtchn_fini(d);
    fake_memory_fini(d);
    fake_virq_raise(fake_find(w, w->dom_exc_handler), XK_VIRQ_DOM_EXC);
    fake_virq_raise(fake_find(w, 0), XK_VIRQ_TOOLSTACK);
}

int fake_domain_control(struct xk_platform *p, xk_domid domid, int verb, int arg)
{
    struct fake_domain *d = (struct fake_domain *)p, *t = fake_find(d->world, domid);

    if (d->domid != 0 && !(t == d && verb == XK_DOMCTL_SHUTDOWN))
        return XK_EPERM;
    if (!t)
        return XK_ENOENT;
    if (t->domid == 0 && verb != XK_DOMCTL_SET_VIRQ_HANDLER && verb != XK_DOMCTL_SHUTDOWN)
        return XK_EINVAL;
    switch (verb) {
    case XK_DOMCTL_PAUSE:
        t->state = XK_DOMAIN_PAUSED;
        return 0;
    case XK_DOMCTL_UNPAUSE:
        t->state = XK_DOMAIN_RUNNING;
        return 0;
    case XK_DOMCTL_DESTROY:
        fake_domain_release(t);
        return 0;
    case XK_DOMCTL_SHUTDOWN:
        t->state = XK_DOMAIN_SHUTDOWN;
        t->reason = (uint8_t)arg;
        fake_virq_raise(fake_find(d->world, d->world->dom_exc_handler), XK_VIRQ_DOM_EXC);
        return 0;
    case XK_DOMCTL_SET_VIRQ_HANDLER:
        if (arg != XK_VIRQ_DOM_EXC)
            return XK_EINVAL;
        d->world->dom_exc_handler = t->domid;
        return 0;
    default:
        return XK_ENOSYS;
    }
}
