/* The domain's own rings, what it may know of domains (itself), its end. SPDX-License-Identifier: MIT */
#define __XEN_TOOLS__ 1
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/stub/private.h"

#include <xen/xen.h>

#include <xen/domctl.h>

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

/* --- what there is of domains --- */

static void self_info(xk_domid domid, struct xk_domain_info *out)
{
    struct xk_stub_stats st;

    memset(out, 0, sizeof(*out));
    xk_stub_get_stats(&st);
    out->domid = domid;
    out->state = XK_DOMAIN_RUNNING;
    out->ports = st.ports;
    out->mem_bytes = (st.pages_total - st.pages_free) * XK_PAGE_SIZE;
}

/* Xen answers a store domain, and nobody else. */
static int info_from(xk_domid from, struct xk_domain_info *out)
{
    struct xk__stub_domain d;
    int r = stub_call2(XK__STUB_DOMAIN, from, (uint64_t)(uintptr_t)&d);

    if (r < 0)
        return r == XK_EACCES || r == XK_ENOSYS ? XK_EPERM : r;
    memset(out, 0, sizeof(*out));
    out->domid = (xk_domid)d.domid;
    out->state = d.flags & XEN_DOMINF_dying      ? XK_DOMAIN_DYING
                 : d.flags & XEN_DOMINF_shutdown ? XK_DOMAIN_SHUTDOWN
                 : d.flags & XEN_DOMINF_paused   ? XK_DOMAIN_PAUSED
                                                 : XK_DOMAIN_RUNNING;
    out->reason = (uint8_t)((d.flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask);
    out->cpu_ns = d.cpu_ns;
    out->mem_bytes = d.pages * XK_PAGE_SIZE;
    snprintf(out->name, sizeof(out->name), "domain-%u", (unsigned)d.domid);
    return 0;
}

int stub_domain_info(struct xk_platform *p, xk_domid domid, struct xk_domain_info *out)
{
    int r = 0;

    if (domid == stub_domid(p)) {
        self_info(domid, out);
        snprintf(out->name, sizeof(out->name), "domain-%u", (unsigned)domid);
    } else {
        r = info_from(domid, out);
        if (r == 0 && out->domid != domid) /* Xen gives the next one */
            r = XK_ENOENT;
    }
    return r;
}

int stub_domain_next(struct xk_platform *p, xk_domid after, struct xk_domain_info *out)
{
    (void)p;
    return info_from((xk_domid)(after + 1), out);
}

/* The builder of a store domain names domain 0's port on the command line: "--event 25". */
int stub_store_port(struct xk_platform *p)
{
    const char *at = strstr(xk_stub_cmdline(), "--event ");

    (void)p;
    return at ? atoi(at + 8) : XK_ENODEV;
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
