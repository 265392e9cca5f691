/* The zone as it is looked up: one block with all nodes, and a hash table of places in it. A node is followed by its
 * name and its RRsets, so that an answer touches one slot and then neighbouring memory. Node numbers are byte offsets
 * into the block; 0 is none. SPDX-License-Identifier: MIT */
#ifndef XK_PROTO_DNS_ZONE_H
#define XK_PROTO_DNS_ZONE_H

#include <stdatomic.h>
#include <string.h>

#include <xenkit/dns.h>

#include "proto/dns/name.h"

enum {
    DNS_NODE_CNAME = 1, /* has a CNAME */
    DNS_NODE_DNAME = 2,
    DNS_NODE_NS = 4
};

struct xk__dns_node {
    uint32_t stop; /* the highest node at or above where authority ends (NS, not the apex) or, above, a DNAME; or 0 */
    uint32_t wild; /* the child "*", or 0 */
    uint16_t sets; /* 0: an empty non-terminal */
    uint8_t flags, len;
    /* name[len], then to the next multiple of 4 the sets */
};

struct xk__dns_set {
    uint32_t ttl;
    uint32_t size; /* of the set in the block, this header and padding included */
    uint16_t type, count;
    /* count times: length (2 bytes, of this machine's order), data in wire form */
};

struct xk__dns_slot {
    uint32_t hash, node; /* node 0: empty */
};

struct xk_dns_zone {
    xk_alloc alloc;
    atomic_uint refs;
    uint8_t *block;
    size_t block_size;
    struct xk__dns_slot *slots;
    uint32_t mask;
    uint32_t apex, apex_hash;
    uint8_t labels;        /* of the apex */
    uint32_t negative_ttl; /* RFC 2308 section 3 */
    struct xk_dns_zone_stats stats;
};

static inline const struct xk__dns_node *xk__dns_node_at(const struct xk_dns_zone *z, uint32_t at)
{
    return (const struct xk__dns_node *)(const void *)(z->block + at);
}

static inline const uint8_t *xk__dns_node_name(const struct xk__dns_node *n) { return (const uint8_t *)(n + 1); }

static inline size_t xk__dns_round4(size_t n) { return (n + 3) & ~(size_t)3; }

static inline const struct xk__dns_set *xk__dns_node_sets(const struct xk__dns_node *n)
{
    return (const struct xk__dns_set *)(const void *)((const uint8_t *)n + xk__dns_round4(sizeof(*n) + n->len));
}

static inline const struct xk__dns_set *xk__dns_set_after(const struct xk__dns_set *s)
{
    return (const struct xk__dns_set *)(const void *)((const uint8_t *)s + s->size);
}

static inline const struct xk__dns_set *xk__dns_node_find(const struct xk__dns_node *n, unsigned type)
{
    const struct xk__dns_set *s = xk__dns_node_sets(n);

    for (unsigned i = 0; i < n->sets; i++, s = xk__dns_set_after(s))
        if (s->type == type)
            return s;
    return NULL;
}

/* The first record of a set; and the next after the record (p) of (*len) bytes. */
static inline const uint8_t *xk__dns_set_first(const struct xk__dns_set *s, unsigned *len)
{
    uint16_t n;
    memcpy(&n, s + 1, 2);
    *len = n;
    return (const uint8_t *)(s + 1) + 2;
}

static inline const uint8_t *xk__dns_set_next(const uint8_t *p, unsigned *len)
{
    uint16_t n;
    p += *len;
    memcpy(&n, p, 2);
    *len = n;
    return p + 2;
}

/* The node of the suffix of (q) that begins at label (i); 0 when the zone has no such name. */
static inline uint32_t xk__dns_zone_find(const struct xk_dns_zone *z, const struct xk__dns_qname *q, unsigned i)
{
    uint32_t h = q->hash[i], at = h & z->mask;
    unsigned len = q->len - q->off[i];

    for (; z->slots[at].node; at = (at + 1) & z->mask) {
        const struct xk__dns_node *n;
        if (z->slots[at].hash != h)
            continue;
        n = xk__dns_node_at(z, z->slots[at].node);
        if (n->len == len && memcmp(xk__dns_node_name(n), q->name + q->off[i], len) == 0)
            return z->slots[at].node;
    }
    return 0;
}

/* The label at which the longest suffix of (q) begins that is in the zone, starting from label (from); (q) is in the
 * zone's bailiwick. All ancestors of a name exist, so that the answer is found by halving. (node) gets it. */
unsigned xk__dns_zone_encloser(const struct xk_dns_zone *z, const struct xk__dns_qname *q, unsigned from,
                               uint32_t *node);

/* 1 when (q) is the apex or below it. */
static inline int xk__dns_zone_holds(const struct xk_dns_zone *z, const struct xk__dns_qname *q)
{
    const struct xk__dns_node *apex = xk__dns_node_at(z, z->apex);
    return q->labels >= z->labels && q->hash[q->labels - z->labels] == z->apex_hash && q->len >= apex->len &&
           memcmp(q->name + q->len - apex->len, xk__dns_node_name(apex), apex->len) == 0;
}

#endif
