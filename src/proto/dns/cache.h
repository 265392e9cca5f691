/* The answer cache: replies as bytes, found by one look into a table of four-way buckets, kept in a ring in the order
 * in which they came. Writing overwrites the oldest, so there is nothing to free and memory never grows. The hash is
 * SipHash-1-3 under a secret, since strangers choose the keys. SPDX-License-Identifier: MIT */
#ifndef XK_PROTO_DNS_CACHE_H
#define XK_PROTO_DNS_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include <xenkit/alloc.h>

/* name in lower case, type, and one byte for the kind of EDNS */
enum { DNS_KEY_MAX = 255 + 3, DNS_CACHED_MAX = 4096 };

struct xk__dns_cached {
    uint16_t key_len, body_len;
    uint8_t head[12]; /* of the message, without ID and RD */
    /* key, then what follows the question */
};

struct xk__dns_way {
    uint32_t tag, off;
    uint64_t pos; /* of the entry since the cache was made; 0: none, but the key of (tag) was seen */
};

struct xk__dns_cache {
    xk_alloc alloc;
    uint64_t seed[2];
    uint8_t *ring;
    size_t size; /* of the ring; 0: no cache */
    uint64_t head;
    struct xk__dns_way *ways; /* four are one bucket and one line of the processor's cache */
    void *table;              /* what (ways) was cut from */
    size_t table_size;
    uint64_t mask; /* of buckets */
    uint64_t stores;
};

int xk__dns_cache_init(struct xk__dns_cache *c, const xk_alloc *alloc, size_t bytes, const uint64_t seed[2]);
void xk__dns_cache_fini(struct xk__dns_cache *c);
void xk__dns_cache_flush(struct xk__dns_cache *c);

/* SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"). */
uint64_t xk__dns_siphash(const uint64_t seed[2], const uint8_t *p, size_t n);

/* The entry, valid until the next store; NULL. (hash) is for the store that may follow. */
const struct xk__dns_cached *xk__dns_cache_get(const struct xk__dns_cache *c, const uint8_t *key, size_t key_len,
                                               uint64_t *hash);

/* Keeps a reply. (weak): only when the same key came before, so that a stream of names that nobody asks for twice does
 * not push out those that many ask for. */
void xk__dns_cache_put(struct xk__dns_cache *c, uint64_t hash, const uint8_t *key, size_t key_len, const uint8_t *head,
                       const uint8_t *body, size_t body_len, int weak);

static inline const uint8_t *xk__dns_cached_body(const struct xk__dns_cached *e)
{
    return (const uint8_t *)(e + 1) + e->key_len;
}

size_t xk__dns_cache_bytes(const struct xk__dns_cache *c);
size_t xk__dns_cache_max(const struct xk__dns_cache *c);

#endif
