/* The domain's own rings, what it may know of domains (itself), its end. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "platform/stub/private.h"

static int ring_page(enum xk__stub_ring which, struct xk_ring_page *out)
{
    struct xk__stub_ring_page page;
    int r = stub_call2(XK__STUB_RING, which, (uint64_t)(uintptr_t)&page);

    if (r < 0)
        return r;
    out->page = (void *)(uintptr_t)page.addr;
    out->port = page.port;
    out->peer = (xk_domid)page.peer;
    return 0;
}

int stub_store_page(struct xk_platform *p, struct xk_ring_page *out)
{
    (void)p;
    return ring_page(XK__STUB_STORE, out);
}

int stub_console_page(struct xk_platform *p, struct xk_ring_page *out)
{
    (void)p;
    return ring_page(XK__STUB_CONSOLE, out);
}

int stub_domain_info(struct xk_platform *p, xk_domid domid, struct xk_domain_info *out)
{
    struct xk_stub_stats st;

    if (domid != stub_domid(p))
        return XK_EPERM;
    memset(out, 0, sizeof(*out));
    xk_stub_get_stats(&st);
    out->domid = domid;
    out->state = XK_DOMAIN_RUNNING;
    out->ports = st.ports;
    out->mem_bytes = (st.pages_total - st.pages_free) * XK_PAGE_SIZE;
    snprintf(out->name, sizeof(out->name), "domain-%u", (unsigned)domid);
    return 0;
}

int stub_domain_next(struct xk_platform *p, xk_domid after, struct xk_domain_info *out)
{
    (void)p, (void)after, (void)out;
    return XK_EPERM;
}

int stub_domain_control(struct xk_platform *p, xk_domid domid, int verb, int arg)
{
    if (verb == XK_DOMCTL_SHUTDOWN && domid == stub_domid(p)) {
        int r;
        fflush(NULL);
        r = stub_call1(XK__STUB_SHUTDOWN, (uint64_t)arg); /* returns after a suspend only: 1 when it was cancelled */
        stub_resumed((struct stub *)p);
        return r;
    }
    return XK_EPERM;
}
