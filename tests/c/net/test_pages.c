/* How a packet is laid over a guest's pages. SPDX-License-Identifier: MIT */
#include "tests/c/tap.h" /* first */

#include "drivers/net/pages.h"

static struct xk_page_copy piece[NET_SLOTS_MAX];
static struct xk_packet_rest rest;
static uint16_t fill[NET_SLOTS_MAX];

/* (head) bytes that are here, and so many pieces of a size. */
static struct xk_packet packet(uint32_t head, unsigned pieces, uint16_t len)
{
    rest = (struct xk_packet_rest){.head = head, .pieces = pieces, .piece = piece};
    for (unsigned i = 0; i < pieces; i++)
        piece[i] = (struct xk_page_copy){.len = len};
    return (struct xk_packet){.len = head + pieces * len, .rest = &rest};
}

/* All of it is laid out, no page is overfull or empty. */
static unsigned laid(const struct xk_packet *p, unsigned given)
{
    unsigned n = pages_for(p, given, fill);
    uint32_t all = 0;

    OK(n <= NET_SLOTS_MAX);
    for (unsigned i = 0; i < n; i++) {
        OK(fill[i] > 0 && fill[i] <= XK_PAGE_SIZE);
        all += fill[i];
    }
    EQ(all, p->len);
    return n;
}

TEST(each_piece_has_one_page)
{
    struct xk_packet p = packet(66, 6, 4096);

    EQ(laid(&p, 256), 7);
    EQ(fill[0], 66);
    for (int i = 1; i < 7; i++)
        EQ(fill[i], 4096);
}

TEST(what_fits_shares_a_page)
{
    struct xk_packet p = packet(66, 4, 1000);

    piece[2].len = 3000;
    piece[3].len = 4096;
    p.len += 2000 + 3096;
    EQ(laid(&p, 256), 3);
    EQ(fill[0], 2066);
    EQ(fill[1], 3000);
    EQ(fill[2], 4096);
    p = packet(96, 2, 2000);
    EQ(laid(&p, 256), 1);
    piece[1].len = 2001;
    p.len++;
    EQ(laid(&p, 256), 2);
    EQ(fill[0], 2096);
}

TEST(what_is_here_fills_pages)
{
    struct xk_packet p = packet(9000, 0, 0);

    EQ(laid(&p, 256), 3);
    EQ(fill[0], 4096);
    EQ(fill[2], 808);
    p.rest = NULL;
    EQ(laid(&p, 0), 3);
    p = packet(XK_PACKET_MAX, 0, 0);
    EQ(laid(&p, 256), 16);
    p = packet(9000, 1, 4000); /* heads that are longer than a page */
    EQ(laid(&p, 256), 4);
    EQ(fill[0], 4096);
    EQ(fill[1], 4096);
    EQ(fill[2], 808);
    EQ(fill[3], 4000);
}

/* Linux' front end takes 17 pages, and 18 if the first has no more than what it copies out at once. */
TEST(there_are_never_more_than_a_front_end_takes)
{
    struct xk_packet p = packet(66, 17, 3800);

    EQ(laid(&p, 256), 17);
    EQ(fill[0], 3866);
    p = packet(255, 17, 3840);
    EQ(laid(&p, 256), 17);
    rest.head = 256;
    piece[0].len = 3841; /* not into the first any more */
    p.len = 65535;
    piece[16].len = 3838;
    EQ(laid(&p, 256), 18);
    EQ(fill[0], 256);
    rest.head = 257;
    piece[0].len = 3840;
    EQ(laid(&p, 256), 16);
    EQ(fill[0], 4096);
}

TEST(where_pages_are_few_they_are_filled)
{
    struct xk_packet p = packet(66, 6, 3000);

    EQ(laid(&p, 6), 6);
    EQ(laid(&p, 5), 5);
    EQ(fill[0], 4096);
    EQ(laid(&p, 4), 5);
    EQ(laid(&p, 0), 5);
}
