/* Wiring to store and console, handed descriptors, and the life cycle as a domain may see and ask for it.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "platform/hosted/private.h"

/* The builder made the port before this domain ran, but domain 0 runs before the store does: so ask when needed. */
static int wire(struct hosted *h, struct xk_ring_page *page, int which, xk_gref ref)
{
    struct xk__ctl m;
    int r;

    if (page->page)
        return 0;
    memset(&m, 0, sizeof(m));
    m.op = XK__CTL_WIRING;
    r = hosted_ask(h, &m, -1, NULL);
    if (r < 0)
        return r;
    if (m.arg[2 * which + 1] < 0)
        return XK_ENODEV;
    page->peer = (xk_domid)m.arg[2 * which];
    r = hosted_reserved_page(h, page->peer, ref, &page->page);
    if (r == 0)
        r = hosted_evtchn_adopt(h, m.arg[2 * which + 1]);
    if (r < 0) {
        page->page = NULL;
        return r;
    }
    page->port = r;
    return 0;
}

int hosted_store_page(struct xk_platform *p, struct xk_ring_page *out)
{
    struct hosted *h = (struct hosted *)p;
    int r = wire(h, &h->store, 0, XK_GREF_STORE);

    *out = h->store;
    return r;
}

int hosted_console_page(struct xk_platform *p, struct xk_ring_page *out)
{
    struct hosted *h = (struct hosted *)p;
    int r = wire(h, &h->console, 1, XK_GREF_CONSOLE);

    *out = h->console;
    return r;
}

int hosted_handle_take(struct xk_platform *p, char *name, size_t size)
{
    struct xk__ctl m;
    int fd, r;

    memset(&m, 0, sizeof(m));
    m.op = XK__CTL_HANDLE;
    r = hosted_ask((struct hosted *)p, &m, -1, &fd);
    if (r < 0)
        return r;
    m.u.name[sizeof(m.u.name) - 1] = '\0';
    snprintf(name, size, "%s", m.u.name);
    return fd;
}

static int ask_info(struct xk_platform *p, uint32_t op, xk_domid domid, struct xk_domain_info *out)
{
    struct xk__ctl m;
    int r;

    memset(&m, 0, sizeof(m));
    m.op = op;
    m.arg[0] = domid;
    r = hosted_ask((struct hosted *)p, &m, -1, NULL);
    if (r < 0)
        return r;
    *out = m.u.info;
    out->name[sizeof(out->name) - 1] = '\0';
    return 0;
}

int hosted_domain_info(struct xk_platform *p, xk_domid domid, struct xk_domain_info *out)
{
    return ask_info(p, XK__CTL_INFO, domid, out);
}

int hosted_domain_next(struct xk_platform *p, xk_domid after, struct xk_domain_info *out)
{
    return ask_info(p, XK__CTL_NEXT, after, out);
}

int hosted_domain_control(struct xk_platform *p, xk_domid domid, int verb, int arg)
{
    return hosted_ask_simple((struct hosted *)p, XK__CTL_DOMCTL, domid, verb, arg, NULL);
}
