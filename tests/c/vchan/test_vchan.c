/* vchan on the fake and the hosted platform: sizes off by one around powers of two, both roles, every end, and liars.
 * SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdint.h>

#include <xenkit/loop.h>
#include <xenkit/vchan.h>

#include "tests/c/tap.h"
#include "tests/c/platform/world.h"

#include <xen/io/libxenvchan.h>

static void pair(struct world *w, size_t left, size_t right, struct xk_vchan **srv, struct xk_vchan **cli)
{
    EQ(xk_vchan_listen(NULL, w->dom[1], 2, left, right, srv), 0);
    EQ(xk_vchan_state(*srv), XK_VCHAN_WAITING);
    EQ(xk_vchan_connect(NULL, w->dom[2], 1, xk_vchan_ring_ref(*srv), xk_vchan_event_channel(*srv), cli), 0);
    EQ(xk_vchan_state(*srv), XK_VCHAN_OPEN);
    EQ(xk_vchan_state(*cli), XK_VCHAN_OPEN);
}

static uint8_t byte_at(uint64_t i) { return (uint8_t)((i * 2654435761u) >> 23); }

/* Moves (total) bytes from (a) to (b) in one thread, with blocks of random size. */
static void stream(struct xk_vchan *a, struct xk_vchan *b, uint64_t total, size_t block)
{
    uint8_t buf[70000];
    uint64_t in = 0, out = 0;

    while (out < total) {
        size_t n = 1 + (size_t)rand() % block;
        int r;
        if (n > total - in)
            n = (size_t)(total - in);
        for (size_t i = 0; i < n; i++)
            buf[i] = byte_at(in + i);
        r = n ? xk_vchan_write(a, buf, n) : XK_EAGAIN;
        OK(r > 0 || r == XK_EAGAIN);
        in += r > 0 ? (uint64_t)r : 0;
        r = xk_vchan_read(b, buf, 1 + (size_t)rand() % block);
        OK(r > 0 || r == XK_EAGAIN);
        for (int i = 0; i < r; i++)
            EQ(buf[i], byte_at(out + (uint64_t)i));
        out += r > 0 ? (uint64_t)r : 0;
    }
}

static void all_sizes(struct world *w)
{
    static const size_t sizes[] = {1, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097, 65536, 65537, 1 << 20};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
            struct xk_vchan *s, *c;
            struct xk_vchan_stats st;
            pair(w, sizes[i], sizes[k], &s, &c);
            xk_vchan_get_stats(s, &st);
            OK(st.ring_in >= sizes[i] && st.ring_out >= sizes[k]);
            stream(c, s, 20000, 3000);
            stream(s, c, 20000, 3000);
            xk_vchan_close(c);
            xk_vchan_close(s);
        }
}

TEST(all_sizes_fake)
{
    struct world w;
    world_open_fake(&w);
    all_sizes(&w);
    world_close(&w);
}

TEST(all_sizes_hosted)
{
    struct world w;
    world_open_hosted(&w);
    all_sizes(&w);
    world_close(&w);
}

TEST(layout_is_xens)
{
    struct world w;
    struct xk_vchan *s;
    struct vchan_interface *page;
    xk_gref ref;

    world_open_fake(&w);
    EQ(xk_vchan_listen(NULL, w.dom[1], 2, 8192, 5000, &s), 0);
    ref = xk_vchan_ring_ref(s);
    EQ(xk_page_map(w.dom[2], 1, &ref, 1, 0, NULL, (void **)&page), 0);
    EQ(page->left_order, 13);
    EQ(page->right_order, 13);
    EQ(page->cli_live, 2);
    EQ(page->srv_live, 1);
    EQ(page->cli_notify, VCHAN_NOTIFY_WRITE);
    for (int i = 0; i < 4; i++)
        OK(page->grants[i] != 0);
    EQ(page->grants[4], 0);
    EQ(xk_vchan_write(s, "abc", 3), 3);
    EQ(page->right.prod, 3);
    EQ(xk_page_unmap(w.dom[2], page, 1), 0);
    xk_vchan_close(s);
    world_close(&w);
}

TEST(packets_are_whole)
{
    struct world w;
    struct xk_vchan *s, *c;
    char buf[4096];

    world_open_fake(&w);
    pair(&w, 1024, 1024, &s, &c);
    EQ(xk_vchan_send(c, buf, 1025), XK_EMSGSIZE);
    EQ(xk_vchan_send(c, buf, 1000), 1000);
    EQ(xk_vchan_send(c, buf, 100), XK_EAGAIN);
    EQ(xk_vchan_recv(s, buf, 1001), XK_EAGAIN);
    EQ(xk_vchan_recv(s, buf, 1000), 1000);
    EQ(xk_vchan_recv(s, buf, 1), XK_EAGAIN);
    EQ(xk_vchan_recv(s, buf, 4000), XK_EMSGSIZE);
    EQ(xk_vchan_send(c, "xy", 2), 2);
    xk_vchan_close(c);
    EQ(xk_vchan_recv(s, buf, 3), XK_EPIPE); /* cut within a packet */
    EQ(xk_vchan_recv(s, buf, 2), 2);
    EQ(xk_vchan_recv(s, buf, 2), 0);
    xk_vchan_close(s);
    world_close(&w);
}

/* Waiting is for what the last call lacked, so that a loop of recv and wait sleeps. */
TEST(waiting_is_for_what_was_lacking)
{
    struct world w;
    struct xk_vchan *s, *c;
    char buf[2048];

    world_open_fake(&w);
    EQ(xk_vchan_listen(NULL, w.dom[1], 2, 1024, 2048, &s), 0);
    EQ(xk_vchan_accept(s), XK_EAGAIN);
    EQ(xk_vchan_wait(s, XK_READABLE, xk_now(w.dom[1]) + XK_SECOND), XK_ETIMEDOUT);
    EQ(xk_vchan_connect(NULL, w.dom[2], 1, xk_vchan_ring_ref(s), xk_vchan_event_channel(s), &c), 0);
    EQ(xk_vchan_wait(s, XK_READABLE, xk_now(w.dom[1]) + XK_SECOND), 0);
    EQ(xk_vchan_accept(s), 0);
    EQ(xk_vchan_recv(s, buf, 100), XK_EAGAIN);
    EQ(xk_vchan_send(c, buf, 99), 99);
    EQ(xk_vchan_wait(s, XK_READABLE, xk_now(w.dom[1]) + XK_SECOND), XK_ETIMEDOUT);
    EQ(xk_vchan_send(c, buf, 1), 1);
    EQ(xk_vchan_wait(s, XK_READABLE, xk_now(w.dom[1]) + XK_SECOND), 0);
    EQ(xk_vchan_drain(c), XK_EAGAIN);
    EQ(xk_vchan_wait(c, XK_WRITABLE, xk_now(w.dom[2]) + XK_SECOND), XK_ETIMEDOUT);
    EQ(xk_vchan_recv(s, buf, 100), 100);
    EQ(xk_vchan_wait(c, XK_WRITABLE, xk_now(w.dom[2]) + XK_SECOND), 0);
    EQ(xk_vchan_drain(c), 0);
    EQ(xk_vchan_send(c, buf, 1000), 1000);
    EQ(xk_vchan_send(c, buf, 25), XK_EAGAIN);
    EQ(xk_vchan_wait(c, XK_WRITABLE, xk_now(w.dom[2]) + XK_SECOND), XK_ETIMEDOUT);
    EQ(xk_vchan_recv(s, buf, 1), 1);
    EQ(xk_vchan_wait(c, XK_WRITABLE, xk_now(w.dom[2]) + XK_SECOND), 0);
    xk_vchan_set_gone(c);
    EQ(xk_vchan_send(c, buf, 25), XK_EGONE);
    EQ(xk_vchan_recv(c, buf, 25), XK_EGONE);
    EQ(xk_vchan_drain(c), XK_EGONE);
    xk_vchan_close(c);
    xk_vchan_close(s);
    world_close(&w);
}

TEST(the_end_comes_after_the_last_byte)
{
    struct world w;
    struct xk_vchan *s, *c;
    char buf[100];

    world_open_fake(&w);
    pair(&w, 4096, 4096, &s, &c);
    EQ(xk_vchan_write(s, "last words", 10), 10);
    xk_vchan_close(s);
    EQ(xk_vchan_write(c, "x", 1), XK_EPIPE);
    EQ(xk_vchan_read(c, buf, 4), 4);
    EQ(xk_vchan_read(c, buf, 100), 6);
    EQ(xk_vchan_read(c, buf, 100), 0);
    EQ(xk_vchan_wait(c, XK_READABLE, XK_FOREVER), 0);
    xk_vchan_close(c);
    world_close(&w);
}

TEST(a_peer_that_dies_without_a_word)
{
    struct world w;
    struct xk_vchan *s, *c;
    char buf[10];

    world_open_hosted(&w);
    pair(&w, 4096, 4096, &s, &c);
    EQ(xk_vchan_write(c, "abc", 3), 3);
    xk_platform_close(w.dom[2]); /* as kill -9 does: nothing is said in the page */
    w.dom[2] = NULL;
    EQ(xk_vchan_read_all(s, buf, 3, xk_now(w.dom[1]) + 5 * XK_SECOND), 3);
    EQ(xk_vchan_read_all(s, buf, 10, xk_now(w.dom[1]) + 5 * XK_SECOND), XK_EGONE);
    EQ(xk_vchan_read(s, buf, 10), XK_EGONE);
    EQ(xk_vchan_write(s, buf, 10), XK_EGONE);
    xk_vchan_close(s);
    free(c); /* its platform is gone, so it cannot be closed: as with kill -9 */
    world_close(&w);
}

TEST(waiting_has_a_deadline)
{
    struct world w;
    struct xk_vchan *s, *c;
    char buf[10];

    world_open_fake(&w);
    pair(&w, 4096, 4096, &s, &c);
    EQ(xk_vchan_wait(c, XK_READABLE, xk_now(w.dom[2]) + XK_SECOND), XK_ETIMEDOUT);
    EQ(xk_vchan_read_all(c, buf, 10, xk_now(w.dom[2]) + XK_SECOND), XK_ETIMEDOUT);
    EQ(xk_vchan_wait(c, XK_WRITABLE, XK_NOW), 0);
    xk_vchan_close(c);
    xk_vchan_close(s);
    world_close(&w);
}

TEST(persistent_server_takes_the_next_client)
{
    struct world w;
    struct xk_vchan *s, *c;

    world_open_fake(&w);
    EQ(xk_vchan_listen(NULL, w.dom[1], 2, 4096, 4096, &s), 0);
    xk_vchan_set_persist(s, 1);
    for (int i = 0; i < 5; i++) {
        EQ(xk_vchan_connect(NULL, w.dom[2], 1, xk_vchan_ring_ref(s), xk_vchan_event_channel(s), &c), 0);
        EQ(xk_vchan_state(s), XK_VCHAN_OPEN);
        stream(c, s, 10000, 999);
        stream(s, c, 10000, 999);
        xk_vchan_close(c);
        EQ(xk_vchan_state(s), XK_VCHAN_WAITING);
    }
    xk_vchan_close(s);
    world_close(&w);
}

static void *pump(void *arg)
{
    struct xk_vchan *v = arg;
    uint8_t buf[4096];
    uint64_t at = 0;

    for (int r; (r = xk_vchan_read_all(v, buf, 4096, XK_FOREVER)) > 0; at += (uint64_t)r)
        for (int i = 0; i < r; i++)
            if (buf[i] != byte_at(at + (uint64_t)i))
                return NULL;
    return (void *)(uintptr_t)at;
}

TEST(two_threads_64_megabytes)
{
    struct world w;
    struct xk_vchan *s, *c;
    struct xk_vchan_stats st;
    uint8_t buf[4096];
    uint64_t at = 0;
    pthread_t t;
    void *got;

    world_open_hosted(&w);
    pair(&w, 65536, 4096, &s, &c);
    OK(pthread_create(&t, NULL, pump, s) == 0);
    for (; at < 64 << 20; at += sizeof(buf)) {
        for (size_t i = 0; i < sizeof(buf); i++)
            buf[i] = byte_at(at + i);
        EQ(xk_vchan_write_all(c, buf, sizeof(buf), XK_FOREVER), sizeof(buf));
    }
    xk_vchan_get_stats(c, &st);
    xk_vchan_close(c);
    pthread_join(t, &got);
    EQ((uintptr_t)got, at);
    OK(st.notifies_sent <= at / sizeof(buf)); /* asked for, not sent each time */
    xk_vchan_close(s);
    world_close(&w);
}

TEST(a_lying_server_page_is_refused)
{
    struct world w;
    struct vchan_interface *page;
    struct xk_vchan *c;
    xk_gref ref;
    int accepted = 0;

    world_open_fake(&w);
    EQ(xk_page_share(w.dom[1], 2, 1, 0, &ref, (void **)&page), 0);
    for (int i = 0; i < 20000; i++) {
        xk_port port = xk_evtchn_alloc(w.dom[1], 2);
        int r;
        for (size_t k = 0; k < XK_PAGE_SIZE; k++)
            ((uint8_t *)page)[k] = (uint8_t)rand();
        page->left_order = (uint16_t)(rand() % 24);
        page->right_order = (uint16_t)(rand() % 24);
        if (rand() % 2)
            page->left.prod = page->left.cons, page->right.prod = page->right.cons;
        r = xk_vchan_connect(NULL, w.dom[2], 1, ref, port, &c);
        OK(r == 0 || r == XK_EPEER);
        accepted += r == 0;
        if (r == 0)
            xk_vchan_close(c);
        xk_evtchn_unbind(w.dom[1], port);
    }
    OK(accepted > 0); /* 10 and 11 with sane indices is all a liar can offer */
    EQ(xk_page_unshare(w.dom[1], page, 1), 0);
    world_close(&w);
}

TEST(a_lying_client_is_found_out)
{
    struct world w;
    struct vchan_interface *page;
    struct xk_vchan *s, *c;
    xk_gref ref;
    char buf[16];

    world_open_fake(&w);
    for (int i = 0; i < 2000; i++) {
        int r;
        pair(&w, 1024, 2048, &s, &c);
        ref = xk_vchan_ring_ref(s);
        EQ(xk_page_map(w.dom[2], 1, &ref, 1, 0, NULL, (void **)&page), 0);
        page->left_order = page->right_order = (uint16_t)rand(); /* ^ sizes are private: this changes nothing */
        switch (rand() % 3) {
        case 0:
            page->left.prod += (uint32_t)rand() * 3u + 1025;
            break;
        case 1:
            page->right.cons -= 1 + (uint32_t)rand() % 100000;
            break;
        default:
            page->cli_live = (uint8_t)rand();
            page->cli_notify = page->srv_notify = (uint8_t)rand();
        }
        r = xk_vchan_read(s, buf, sizeof(buf));
        OK(r == XK_EPEER || r == XK_EAGAIN || r == 0 || r > 0);
        r = xk_vchan_write(s, buf, sizeof(buf));
        OK(r == XK_EPEER || r == XK_EPIPE || r > 0 || r == XK_EAGAIN);
        EQ(xk_page_unmap(w.dom[2], page, 1), 0);
        xk_vchan_close(c);
        xk_vchan_close(s);
    }
    world_close(&w);
}

/* Every call of the platform that can fail fails once; nothing leaks (world_close looks). */
TEST(every_fault_at_set_up)
{
    for (int what = XK_FAKE_ALLOC; what <= XK_FAKE_EVTCHN; what++)
        for (unsigned nth = 1;; nth++) {
            struct world w;
            struct xk_vchan *s = NULL, *c = NULL;
            int r;
            world_open_fake(&w);
            xk_fake_fail(w.fake, (enum xk_fake_fault)what, nth);
            r = xk_vchan_listen(xk_fake_alloc(w.fake), w.dom[1], 2, 5000, 70000, &s);
            if (r == 0)
                r = xk_vchan_connect(xk_fake_alloc(w.fake), w.dom[2], 1, xk_vchan_ring_ref(s),
                                     xk_vchan_event_channel(s), &c);
            if (r == 0)
                xk_vchan_close(c);
            xk_vchan_close(s);
            world_close(&w);
            if (r == 0)
                break;
            OK(nth < 100);
        }
}

struct waiter {
    struct xk_waiter w;
    struct xk_vchan *v;
    struct xk_loop *loop;
    uint64_t done;
};

static void echo_ready(struct xk_waiter *w)
{
    struct waiter *e = (struct waiter *)(void *)w;
    char buf[512];
    int r;

    while ((r = xk_vchan_read(e->v, buf, sizeof(buf))) > 0)
        OK(xk_vchan_write(e->v, buf, (size_t)r) == r);
    e->done++;
    if (r == XK_EAGAIN)
        xk_stream_arm(xk_vchan_stream(e->v), XK_READABLE, w);
}

static xk_time run_loop(void *arg)
{
    while (xk_loop_run_once(arg, XK_NOW) > 0)
        ;
    return xk_loop_next(arg);
}

TEST(streams_on_loops_with_late_events)
{
    struct world w;
    struct xk_loop *la, *lb;
    struct waiter server = {0};
    struct xk_vchan *c;

    world_open_fake(&w);
    xk_fake_chaos(w.fake, 200, 100);
    EQ(xk_loop_create(NULL, w.dom[1], &la), 0);
    EQ(xk_loop_create(NULL, w.dom[2], &lb), 0);
    pair(&w, 2048, 1024, &server.v, &c);
    server.w.fn = echo_ready;
    EQ(xk_vchan_attach(server.v, la), 0);
    xk_stream_arm(xk_vchan_stream(server.v), XK_READABLE, &server.w);
    xk_fake_run_with(w.dom[1], run_loop, la);
    for (int i = 0; i < 300; i++) {
        char out[100], in[100];
        memset(out, i, sizeof(out));
        EQ(xk_vchan_write_all(c, out, sizeof(out), xk_now(w.dom[2]) + XK_SECOND), 100);
        EQ(xk_vchan_read_all(c, in, sizeof(in), xk_now(w.dom[2]) + XK_SECOND), 100);
        MEMEQ(in, out, sizeof(out));
    }
    xk_vchan_close(server.v);
    EQ(xk_vchan_wait(c, XK_READABLE, xk_now(w.dom[2]) + XK_SECOND), 0);
    xk_vchan_close(c);
    xk_loop_destroy(la);
    xk_loop_destroy(lb);
    world_close(&w);
}
