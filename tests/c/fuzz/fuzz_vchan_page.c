/* The shared page of a vchan, written by a liar. The input is a row of steps: a byte says who acts, then what it needs.
 * The liar writes fields or bytes of the page at any time, before the other end connects and while it talks; the honest
 * end reads, writes, asks. It must answer with progress, not now, closed or broken, and leave nothing behind.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/fake.h>
#include <xenkit/vchan.h>

#include <xen/io/libxenvchan.h>

#include "tests/c/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One lie: a 32-bit or an 8-bit value at one of the first 64 places of the page. */
static void lie(struct input *in, uint8_t *page)
{
    uint32_t at = take(in, 1);

    if (at & 1) {
        page[at >> 1] = (uint8_t)take(in, 1);
    } else {
        uint32_t v = take(in, 4);
        memcpy(page + (at >> 3) * 4, &v, 4);
    }
}

static void step(struct input *in, struct xk_vchan *v, uint8_t *page)
{
    static uint8_t buf[8192];
    size_t n;
    int r;

    switch (take(in, 1) % 8) {
    case 0:
        n = take(in, 2) % sizeof(buf);
        r = xk_vchan_read(v, buf, n);
        must(r <= (int)n && (r >= 0 || r == XK_EAGAIN || r == XK_EPEER));
        break;
    case 1:
        n = take(in, 2) % sizeof(buf);
        r = xk_vchan_write(v, buf, n);
        must(r <= (int)n && (r >= 0 || r == XK_EAGAIN || r == XK_EPEER || r == XK_EPIPE));
        break;
    case 2:
        n = 1 + take(in, 1);
        r = xk_vchan_recv(v, buf, n);
        must(r == (int)n || r == 0 || r == XK_EAGAIN || r == XK_EPEER || r == XK_EPIPE);
        break;
    case 3:
        n = 1 + take(in, 1);
        r = xk_vchan_send(v, buf, n);
        must(r == (int)n || r == XK_EAGAIN || r == XK_EPEER || r == XK_EPIPE);
        break;
    case 4:
        r = xk_vchan_ready(v);
        must(r >= 0 || r == XK_EPEER);
        r = xk_vchan_space(v);
        must(r >= 0 || r == XK_EPEER);
        break;
    default:
        lie(in, page);
    }
}

static void check_over(struct xk_fake *w)
{
    char report[256];

    must(xk_fake_destroy(w, report, sizeof(report)) == 0);
}

/* The client lies to a server. */
static void against_server(struct input *in, struct xk_fake *w, struct xk_platform **dom)
{
    static const size_t sizes[] = {1024, 2048, 4096, 16384};
    struct xk_vchan *s, *c;
    size_t left = sizes[take(in, 1) % 4], right = sizes[take(in, 1) % 4];
    xk_gref ref;
    void *page;

    must(xk_vchan_listen(xk_fake_alloc(w), dom[1], 2, left, right, &s) == 0);
    ref = xk_vchan_ring_ref(s);
    must(xk_vchan_connect(xk_fake_alloc(w), dom[2], 1, ref, xk_vchan_event_channel(s), &c) == 0);
    must(xk_page_map(dom[2], 1, &ref, 1, 0, NULL, &page) == 0);
    while (in->n)
        step(in, s, page);
    must(xk_page_unmap(dom[2], page, 1) == 0);
    xk_vchan_close(c);
    xk_vchan_close(s);
    check_over(w);
}

/* A page made up by a server, which lies on. */
static void against_client(struct input *in, struct xk_fake *w, struct xk_platform **dom)
{
    struct vchan_interface *page;
    struct xk_vchan *c;
    xk_gref refs[9];
    void *ring;
    xk_port port = xk_evtchn_alloc(dom[1], 2);
    int r;

    must(xk_page_share(dom[1], 2, 9, 0, refs, (void **)&page) == 0);
    page->left_order = (uint16_t)take(in, 1);
    page->right_order = (uint16_t)take(in, 1);
    page->cli_live = 2;
    page->srv_live = 1;
    for (int i = 0; i < 8; i++)
        page->grants[i] = refs[1 + i];
    for (uint32_t lies = take(in, 1) % 8; lies--;)
        lie(in, (uint8_t *)page);
    r = xk_vchan_connect(xk_fake_alloc(w), dom[2], 1, refs[0], port, &c);
    must(r == 0 || r == XK_EPEER || r == XK_EINVAL || r == XK_EGONE);
    while (r == 0 && in->n)
        step(in, c, (uint8_t *)page);
    if (r == 0)
        xk_vchan_close(c);
    ring = page;
    must(xk_page_unshare(dom[1], ring, 9) == 0);
    must(xk_evtchn_unbind(dom[1], port) == 0);
    check_over(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size < 4096 ? size : 4096};
    struct xk_platform *dom[3];
    struct xk_fake *w;

    must(xk_fake_create(1, &w) == 0);
    for (int i = 0; i < 3; i++)
        must(xk_fake_domain(w, "domain", &dom[i]) == 0);
    if (take(&in, 1) & 1)
        against_server(&in, w, dom);
    else
        against_client(&in, w, dom);
    return 0;
}
