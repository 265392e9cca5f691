/* A query as the server reads it: in one pass, without copies but for the key. SPDX-License-Identifier: MIT */
#ifndef XK_PROTO_DNS_QUERY_H
#define XK_PROTO_DNS_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include "proto/dns/cache.h"

struct xk__dns_query {
    const uint8_t *p;
    size_t end;      /* of the question; 0: there is none that can be given back */
    const char *why; /* with FORMERR: which field, static */
    unsigned type, size;
    uint8_t edns, edns_do, tcp;
    unsigned key_len;
    uint8_t key[DNS_KEY_MAX]; /* the name in lower case, the type, the kind of EDNS */
};

/* 0: a question to answer; > 0: the rcode to refuse it with; < 0: no reply at all. */
int xk__dns_query_read(struct xk__dns_query *q, const uint8_t *p, size_t n);

#endif
