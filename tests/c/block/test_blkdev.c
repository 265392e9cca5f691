/* Waiting in line for a disk that may take too long. SPDX-License-Identifier: MIT */
#include "tests/c/block/pair.h"

TEST(a_request_in_line_has_its_data_when_it_is_done)
{
    uint8_t out[1024], in[1024] = {0};
    struct pair p;

    pair_world(&p);
    memset(out, 5, sizeof(out));
    EQ(xk_blk_do(&p.disk.dev, p.back_loop, XK_BLK_WRITE, 3, out, sizeof(out), XK_FOREVER), 0);
    EQ(xk_blk_do(&p.disk.dev, p.back_loop, XK_BLK_READ, 3, in, sizeof(in), XK_FOREVER), 0);
    MEMEQ(in, out, sizeof(in));
    EQ(xk_blk_do(&p.disk.dev, p.back_loop, XK_BLK_FLUSH, 0, NULL, 0, XK_FOREVER), 0);
    EQ(xk_blk_do(&p.disk.dev, p.back_loop, XK_BLK_DISCARD, 3, NULL, 512, XK_FOREVER), 0);
    EQ(xk_blk_do(&p.disk.dev, p.back_loop, XK_BLK_READ, 3, in, 100, XK_FOREVER), XK_EINVAL);
    EQ(xk_blk_do(&p.disk.dev, p.back_loop, XK_BLK_READ, PAIR_SECTORS, in, 512, XK_FOREVER), XK_EINVAL);
    pair_close(&p);
}

TEST(what_is_late_touches_nothing_of_the_caller)
{
    uint8_t *buf = malloc(512);
    struct pair p;

    pair_world(&p);
    memset(buf, 9, 512);
    p.disk.hold = 1;
    EQ(xk_blk_do(&p.disk.dev, p.back_loop, XK_BLK_READ, 0, buf, 512, xk_now(p.w.dom[2]) + XK_MS), XK_ETIMEDOUT);
    EQ(p.disk.n, 1);
    EQ(buf[0], 9);
    free(buf);
    p.disk.hold = 0;
    slow_go(&p.disk); /* into memory that is gone, were it the caller's */
    pair_close(&p);
}
