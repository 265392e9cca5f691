/* Byte pipes: the console and store layouts of Xen, sizes around powers of two, wrap of indices, and a liar.
 * SPDX-License-Identifier: MIT */
#include <stdint.h>

#include <xenkit/pipe.h>

#include "tests/c/tap.h"

#include <xen/io/console.h>
#include <xen/io/xs_wire.h>

static struct {
    uint32_t prod, cons;
    uint8_t data[4096];
} area;

static void make(struct xk_pipe *w, struct xk_pipe *r, uint32_t size, uint32_t start)
{
    area.prod = area.cons = start;
    EQ(xk_pipe_init(w, &area.prod, &area.cons, area.data, size, start), 0);
    EQ(xk_pipe_init(r, &area.prod, &area.cons, area.data, size, start), 0);
}

TEST(every_size_across_the_wrap)
{
    static const uint32_t starts[] = {0, 1, 0x7ffffff0u, 0xffffff00u, 0xffffffffu};
    uint8_t in[4200], out[4200];

    for (size_t s = 0; s < sizeof(starts) / sizeof(*starts); s++)
        for (uint32_t size = 1; size <= 4096; size *= 2)
            for (int d = -1; d <= 1; d++) {
                struct xk_pipe w, r;
                uint8_t next = 0, want = 0;
                long n = (long)size + d;

                make(&w, &r, size, starts[s]);
                for (int round = 0; round < 40 && n > 0; round++) {
                    int put, got;
                    for (long i = 0; i < n; i++)
                        in[i] = (uint8_t)(next + i);
                    put = xk_pipe_write(&w, in, (size_t)n);
                    OK(put == (n > (long)size ? (long)size : n));
                    next = (uint8_t)(next + put);
                    EQ(xk_pipe_ready(&r), put);
                    got = xk_pipe_read(&r, out, sizeof(out));
                    EQ(got, put);
                    for (int i = 0; i < got; i++)
                        EQ(out[i], want++);
                }
                EQ(xk_pipe_read(&r, out, 1), XK_EAGAIN);
            }
}

TEST(random_stream)
{
    struct xk_pipe w, r;
    uint32_t in = 1, out = 1;
    uint64_t total = 0;

    make(&w, &r, 1024, 0xfffff000u);
    while (total < 3000000) {
        uint8_t buf[1500];
        int n = rand() % 1500, k;
        for (int i = 0; i < n; i++)
            buf[i] = (uint8_t)((in + (uint32_t)i) * 2654435761u >> 24);
        k = xk_pipe_write(&w, buf, (size_t)n);
        in += k > 0 ? (uint32_t)k : 0;
        n = xk_pipe_read(&r, buf, (size_t)(rand() % 1500));
        for (int i = 0; i < n; i++)
            EQ(buf[i], (uint8_t)(out++ * 2654435761u >> 24));
        total += n > 0 ? (uint64_t)n : 0;
    }
}

TEST(put_is_all_or_nothing)
{
    struct xk_pipe w, r;
    char buf[16] = "0123456789abcde";

    make(&w, &r, 8, 0);
    EQ(xk_pipe_put(&w, buf, 9), XK_E2BIG);
    EQ(xk_pipe_put(&w, buf, 5), 0);
    EQ(xk_pipe_put(&w, buf, 4), XK_EAGAIN);
    EQ(xk_pipe_ready(&r), 5);
    EQ(xk_pipe_put(&w, buf, 3), 0);
    EQ(xk_pipe_put(&w, buf, 0), 0);
    EQ(xk_pipe_space(&w), 0);
}

TEST(peek_leaves_until_consumed)
{
    struct xk_pipe w, r;
    const volatile uint8_t *p;

    make(&w, &r, 8, 6);
    EQ(xk_pipe_write(&w, "abcd", 4), 4);
    EQ(xk_pipe_peek(&r, &p), 2);
    EQ(p[0], 'a');
    EQ(xk_pipe_ready(&r), 4);
    xk_pipe_consume(&r, 2);
    EQ(xk_pipe_peek(&r, &p), 2);
    EQ(p[0], 'c');
    EQ(xk_pipe_space(&w), 6);
}

TEST(a_lying_peer_is_found_out)
{
    struct xk_pipe w, r;
    char c;

    for (int i = 0; i < 20000; i++) {
        uint32_t start = (uint32_t)rand() * 3u, lie = (uint32_t)rand() * 3u;
        make(&w, &r, 1024, start);
        area.cons = start - lie; /* the reader claims to have read what was never written */
        EQ(xk_pipe_write(&w, "x", 1), lie > 1024 ? XK_EPEER : lie == 1024 ? XK_EAGAIN : 1);
        make(&w, &r, 1024, start);
        area.prod = start + lie;
        EQ(xk_pipe_read(&r, &c, 1), lie > 1024 ? XK_EPEER : lie == 0 ? XK_EAGAIN : 1);
    }
    make(&w, &r, 16, 0);
    area.prod = 17;
    EQ(xk_pipe_ready(&r), XK_EPEER);
    area.prod = 1;
    EQ(xk_pipe_ready(&r), XK_EPEER);
}

TEST(xens_own_layouts)
{
    static _Alignas(4096) struct xencons_interface con;
    static _Alignas(4096) struct xenstore_domain_interface xs;
    struct xk_pipe p;

    EQ(xk_pipe_init(&p, &con.out_prod, &con.out_cons, con.out, sizeof(con.out), 0), 0);
    EQ(xk_pipe_write(&p, "hello", 5), 5);
    EQ(con.out_prod, 5);
    MEMEQ(con.out, "hello", 5);
    EQ(xk_pipe_init(&p, &xs.req_prod, &xs.req_cons, xs.req, sizeof(xs.req), 0), 0);
    EQ(xk_pipe_write(&p, "hello", 5), 5);
    EQ(xs.req_prod, 5);
    EQ(xk_pipe_init(&p, &xs.req_prod, &xs.req_cons, xs.req, 1000, 0), XK_EINVAL);
}
