/* A loaded zone: its life and its lookups. How it comes to be: build.c. SPDX-License-Identifier: MIT */
#include "proto/dns/zone.h"

struct xk_dns_zone *xk_dns_zone_ref(struct xk_dns_zone *zone)
{
    atomic_fetch_add_explicit(&zone->refs, 1, memory_order_relaxed);
    return zone;
}

void xk_dns_zone_unref(struct xk_dns_zone *zone)
{
    xk_alloc alloc;

    /* Release: our reads are over before the count says so; acquire: the last one sees all others' reads over. */
    if (!zone || atomic_fetch_sub_explicit(&zone->refs, 1, memory_order_acq_rel) != 1)
        return;
    alloc = zone->alloc;
    xk_free(&alloc, zone->block, zone->block_size);
    xk_free(&alloc, zone->slots, ((size_t)zone->mask + 1) * sizeof(*zone->slots));
    xk_free(&alloc, zone, sizeof(*zone));
}

const uint8_t *xk_dns_zone_apex(const struct xk_dns_zone *zone)
{
    return xk__dns_node_name(xk__dns_node_at(zone, zone->apex));
}

uint32_t xk_dns_zone_serial(const struct xk_dns_zone *zone)
{
    const struct xk__dns_set *soa = xk__dns_node_find(xk__dns_node_at(zone, zone->apex), XK_DNS_SOA);
    unsigned len;
    const uint8_t *p = xk__dns_set_first(soa, &len) + len - 20;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void xk_dns_zone_stats(const struct xk_dns_zone *zone, struct xk_dns_zone_stats *stats) { *stats = zone->stats; }

unsigned xk__dns_zone_encloser(const struct xk_dns_zone *z, const struct xk__dns_qname *q, unsigned from,
                               uint32_t *node)
{
    unsigned lo = from, hi = q->labels - z->labels; /* the suffix at hi exists */

    *node = z->apex;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        uint32_t n = xk__dns_zone_find(z, q, mid);
        if (n) {
            hi = mid;
            *node = n;
        } else {
            lo = mid + 1;
        }
    }
    return hi;
}
