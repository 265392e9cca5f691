/* The console's front: in a domain. SPDX-License-Identifier: MIT */
#include <xenkit/console.h>
#include <xenkit/pipe_stream.h>

#include "base/shared.h"
#include "drivers/console/proto.h"

static int out_pipe(void *page, struct xk_pipe *out)
{
    return xk_pipe_init(out, console_word(page, CON_OUT_PROD), console_word(page, CON_OUT_CONS),
                        (uint8_t *)page + CON_OUT, CON_OUT_SIZE, xk_shared_load32(console_word(page, CON_OUT_PROD)));
}

int xk_console_front(const xk_alloc *alloc, struct xk_loop *loop, struct xk_stream **s)
{
    struct xk_ring_page ring;
    struct xk_pipe in, out;
    int r = xk_console_page(xk_loop_platform(loop), &ring);

    if (r == 0)
        r = xk_pipe_init(&in, console_word(ring.page, CON_IN_PROD), console_word(ring.page, CON_IN_CONS),
                         (uint8_t *)ring.page + CON_IN, CON_IN_SIZE,
                         xk_shared_load32(console_word(ring.page, CON_IN_CONS)));
    if (r == 0)
        r = out_pipe(ring.page, &out);
    return r < 0 ? r : xk_pipe_stream(alloc, loop, &in, &out, ring.port, s);
}

int xk_console_print(void *page, const void *data, size_t n)
{
    struct xk_pipe out;
    int r = out_pipe(page, &out);

    return r < 0 ? r : xk_pipe_write(&out, data, n);
}
