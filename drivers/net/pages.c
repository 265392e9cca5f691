/* How a packet is laid over a guest's pages: a piece of a page that goes into two costs two copies, and in a PVH domain
 * Xen takes longer for finding what to copy than for copying it. SPDX-License-Identifier: MIT */
#include "drivers/net/pages.h"

/* The bytes from (at) on, where the next piece is (*piece), that go into one page. Moves (*piece). */
static uint16_t whole_pieces(const struct xk_packet *p, uint32_t at, unsigned *piece)
{
    uint32_t head = pages_head(p), n = at < head ? head - at : 0;

    if (n > XK_PAGE_SIZE)
        return XK_PAGE_SIZE;
    while (at + n < p->len && n + p->rest->piece[*piece].len <= XK_PAGE_SIZE)
        n += p->rest->piece[(*piece)++].len;
    return (uint16_t)n;
}

/* Any two neighbours hold more than one page would, so these are less than twice as many as filled ones. 0: too many.
 */
static unsigned apart(const struct xk_packet *p, unsigned given, uint16_t fill[NET_SLOTS_MAX])
{
    unsigned n = 0, piece = 0, most = NET_PAGES_MAX;

    for (uint32_t at = 0; at < p->len; at += fill[n++]) {
        if (n == most || n == given)
            return 0;
        fill[n] = whole_pieces(p, at, &piece);
        most += n == 0 && fill[0] <= NET_HEAD_MAX;
    }
    return n;
}

unsigned pages_for(const struct xk_packet *p, unsigned given, uint16_t fill[NET_SLOTS_MAX])
{
    unsigned n = pages_head(p) < p->len ? apart(p, given, fill) : 0;

    if (n)
        return n;
    for (uint32_t left = p->len; left; left -= fill[n++])
        fill[n] = (uint16_t)(left < XK_PAGE_SIZE ? left : XK_PAGE_SIZE);
    return n;
}
