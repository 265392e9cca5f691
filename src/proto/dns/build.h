/* A zone under construction: names and records in the order in which they come, checked as they come, so that a
 * complaint names the line; then packed into an immutable zone. SPDX-License-Identifier: MIT */
#ifndef XK_PROTO_DNS_BUILD_H
#define XK_PROTO_DNS_BUILD_H

#include "proto/dns/lex.h"
#include "proto/dns/zone.h"

/* A growing array. */
struct xk__dns_vec {
    void *p;
    size_t n, cap, item;
};

struct xk__dns_build {
    xk_alloc alloc;
    struct xk_diag *diag;
    size_t bytes, max_bytes;
    struct xk__dns_vec nodes, records, names; /* names: bytes; node 0 is the apex */
    uint8_t *data;                            /* of all records */
    size_t data_n, data_cap;
    struct xk__dns_slot *slots; /* node: index + 1 */
    uint32_t mask;
    uint8_t apex_labels, have_apex;
    size_t rrsets, count, duplicates;
};

struct xk__dns_place {
    unsigned line, column;
};

void xk__dns_build_init(struct xk__dns_build *b, const xk_alloc *alloc, size_t max_bytes, struct xk_diag *diag);
void xk__dns_build_fini(struct xk__dns_build *b);

/* Once, before anything else. */
int xk__dns_build_apex(struct xk__dns_build *b, const uint8_t *name);

/* The index of the name's node, made with all its ancestors when new. XK_ENOENT: the name is not in the zone. */
int xk__dns_build_node(struct xk__dns_build *b, const uint8_t *name, uint32_t *index);

int xk__dns_build_add(struct xk__dns_build *b, uint32_t node, unsigned type, uint32_t ttl, const uint8_t *data,
                      size_t len, struct xk__dns_place at);

/* The last checks, and the zone. (at) is the end of the text. */
int xk__dns_build_finish(struct xk__dns_build *b, struct xk__dns_place at, struct xk_dns_zone **zone);

#endif
