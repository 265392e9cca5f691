/* The algorithm of RFC 1034 section 4.3.2 over one zone. SPDX-License-Identifier: MIT */
#ifndef XK_PROTO_DNS_LOOKUP_H
#define XK_PROTO_DNS_LOOKUP_H

#include "proto/dns/reply.h"

/* Fills (r) with the answer to (q, type) from (z), which holds (q). (q) is used up. */
void xk__dns_lookup(const struct xk_dns_zone *z, struct xk__dns_qname *q, unsigned type, struct xk__dns_reply *r);

/* The SOA in the authority section, which makes an answer without records a negative one (RFC 2308 section 3). */
void xk__dns_lookup_soa(const struct xk_dns_zone *z, struct xk__dns_reply *r);

#endif
