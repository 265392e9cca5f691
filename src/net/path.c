/* What ICMP told of single destinations: the largest packet on the way there (RFC 1191, 8201), a better first hop (RFC
 * 4861 8). A row of four for each; the oldest makes room. SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet.h"

enum { ROW = 4, LEAST4 = 552 /* nobody has less in earnest, and a forger wants little */, LEAST6 = 1280 };
static const xk_time MEMORY = 600 * XK_SECOND; /* RFC 1191 6.3: then it may have grown */

static struct path *row_of(struct xk_inet *s, struct xk_ip to)
{
    uint32_t a = xk_packet_get32(to.b + 12) ^ xk_packet_get32(to.b + 4) * 31;

    return &s->path[(a * 2654435761u >> 20) % (INET_PATHS / ROW) * ROW];
}

static struct path *find(struct xk_inet *s, struct xk_ip to)
{
    struct path *row = row_of(s, to);

    for (int i = 0; i < ROW; i++) {
        if (row[i].used && row[i].until < s->now) {
            row[i].used = 0;
            s->paths--;
        }
        if (row[i].used && xk_ip_equal(row[i].to, to))
            return &row[i];
    }
    return NULL;
}

static struct path *get(struct xk_inet *s, struct xk_ip to)
{
    struct path *p = find(s, to), *row = row_of(s, to);

    if (!p) {
        p = row;
        for (int i = 0; i < ROW; i++)
            if (!row[i].used || (p->used && row[i].until < p->until))
                p = &row[i];
        s->paths += !p->used;
        *p = (struct path){.to = to, .used = 1};
    }
    p->until = s->now + MEMORY;
    return p;
}

size_t path_mtu(struct xk_inet *s, struct xk_ip to, size_t mtu)
{
    struct path *p = s->paths ? find(s, to) : NULL;

    return p && p->mtu && p->mtu < mtu ? p->mtu : mtu;
}

/* Only ever less: more is found out by forgetting. */
void path_too_big(struct xk_inet *s, struct xk_ip to, size_t mtu)
{
    size_t least = xk_ip_is4(to) ? LEAST4 : LEAST6;

    mtu = mtu < least ? least : mtu;
    if (mtu >= path_mtu(s, to, s->dev->info.mtu))
        return;
    get(s, to)->mtu = (uint16_t)mtu;
    s->stats.too_big++;
}

const struct xk_ip *path_hop(struct xk_inet *s, struct xk_ip to)
{
    struct path *p = s->paths ? find(s, to) : NULL;

    return p && p->redirected ? &p->hop : NULL;
}

void path_redirect(struct xk_inet *s, struct xk_ip to, struct xk_ip hop)
{
    struct path *p = get(s, to);

    p->redirected = 1;
    p->hop = hop;
}

void path_forget(struct xk_inet *s)
{
    memset(s->path, 0, sizeof(s->path));
    s->paths = 0;
}
