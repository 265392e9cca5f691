/* The console's two halves, in a fake world: both directions, back-pressure, the early words, and a liar.
 * SPDX-License-Identifier: MIT */
#include <xenkit/console.h>
#include <xenkit/handle.h>

#include "tests/c/tap.h"
#include "tests/c/platform/world.h"

#include <xen/io/console.h>

struct pair {
    struct world w;
    struct xk_loop *front_loop, *back_loop;
    struct xk_stream *front, *back;
};

static void open_pair(struct pair *p)
{
    struct xk_ring_page page;

    world_open_fake(&p->w);
    OK(xk_fake_wire(p->w.fake, 1, -1, 2) >= 0);
    EQ(xk_console_page(p->w.dom[1], &page), 0);
    EQ(xk_loop_create(NULL, p->w.dom[1], &p->front_loop), 0);
    EQ(xk_loop_create(NULL, p->w.dom[2], &p->back_loop), 0);
    EQ(xk_console_print(page.page, "early\n", 6), 6);
    EQ(xk_console_front(NULL, p->front_loop, &p->front), 0);
    EQ(xk_console_back(NULL, p->back_loop, 1, page.port, &p->back), 0);
}

static void close_pair(struct pair *p)
{
    xk_stream_close(p->front);
    xk_stream_close(p->back);
    xk_loop_destroy(p->front_loop);
    xk_loop_destroy(p->back_loop);
    world_close(&p->w);
}

TEST(both_ways_and_early_words)
{
    struct pair p;
    char buf[64];

    open_pair(&p);
    EQ(xk_stream_read(p.back, buf, sizeof(buf)), 6);
    MEMEQ(buf, "early\n", 6);
    EQ(xk_stream_write(p.front, "out", 3), 3);
    EQ(xk_stream_read(p.back, buf, sizeof(buf)), 3);
    EQ(xk_stream_write(p.back, "typed", 5), 5);
    EQ(xk_stream_read(p.front, buf, sizeof(buf)), 5);
    MEMEQ(buf, "typed", 5);
    EQ(xk_stream_read(p.front, buf, sizeof(buf)), XK_EAGAIN);
    close_pair(&p);
}

static int woken;
static void wake(struct xk_waiter *w)
{
    (void)w;
    woken++;
}

TEST(a_full_ring_makes_its_writer_wait_and_wakes_it)
{
    struct xk_waiter w = {.fn = wake};
    struct pair p;
    char buf[4096] = {0};

    open_pair(&p);
    EQ(xk_stream_write(p.front, buf, sizeof(buf)), 2048 - 6);
    EQ(xk_stream_write(p.front, buf, 1), XK_EAGAIN);
    xk_stream_arm(p.front, XK_WRITABLE, &w);
    xk_loop_run_once(p.front_loop, XK_NOW);
    EQ(woken, 0);
    EQ(xk_stream_read(p.back, buf, sizeof(buf)), 2048);
    xk_loop_run_once(p.back_loop, XK_NOW); /* the notification goes out once a round */
    xk_loop_run_once(p.front_loop, xk_now(p.w.dom[1]) + XK_SECOND);
    EQ(woken, 1);
    close_pair(&p);
}

TEST(a_lying_guest_reads_as_broken)
{
    struct xk_ring_page page;
    struct pair p;
    char buf[64];

    open_pair(&p);
    EQ(xk_console_page(p.w.dom[1], &page), 0);
    ((struct xencons_interface *)page.page)->out_prod += 100000;
    EQ(xk_stream_read(p.back, buf, sizeof(buf)), XK_EPEER);
    ((struct xencons_interface *)page.page)->in_cons -= 5000;
    EQ(xk_stream_write(p.back, "x", 1), XK_EPEER);
    close_pair(&p);
}

/* A further console: any page that its domain has granted, by its reference. */
TEST(a_console_by_its_reference)
{
    struct world w;
    struct xk_loop *loop;
    struct xk_stream *s;
    struct xencons_interface *page;
    xk_port port;
    xk_gref ref;
    void *at;
    char buf[16];

    world_open_fake(&w);
    EQ(xk_loop_create(NULL, w.dom[2], &loop), 0);
    EQ(xk_page_share(w.dom[1], 2, 1, 0, &ref, &at), 0);
    port = xk_evtchn_alloc(w.dom[1], 2);
    OK(port >= 0);
    page = at;
    memcpy(page->out, "second", 6);
    page->out_prod = 6;
    EQ(xk_console_back_at(NULL, loop, 1, ref + 77, port, &s), XK_EINVAL);
    EQ(xk_console_back_at(NULL, loop, 1, ref, port, &s), 0);
    EQ(xk_stream_read(s, buf, sizeof(buf)), 6);
    MEMEQ(buf, "second", 6);
    EQ(xk_stream_write(s, "in", 2), 2);
    EQ(page->in_prod, 2);
    xk_stream_close(s);
    EQ(xk_page_unshare(w.dom[1], at, 1), 0);
    EQ(xk_evtchn_unbind(w.dom[1], port), 0);
    xk_loop_destroy(loop);
    world_close(&w);
}

TEST(no_console_no_stream)
{
    struct world w;
    struct xk_loop *loop;
    struct xk_stream *s;

    world_open_fake(&w);
    EQ(xk_loop_create(NULL, w.dom[1], &loop), 0);
    EQ(xk_console_front(NULL, loop, &s), XK_ENODEV);
    EQ(xk_console_back(NULL, loop, 2, 5, &s), XK_EINVAL);
    xk_loop_destroy(loop);
    world_close(&w);
}
