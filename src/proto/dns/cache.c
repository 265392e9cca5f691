/* The answer cache. Positions count all bytes ever written, so that an entry is still whole if and only if the ring has
 * not come round to it: head <= pos + size. No entry wraps; the rest of the ring is skipped instead.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/err.h>

#include "proto/dns/cache.h"

enum { WAYS = 4, LINE = 64, LEAST = 16384, PER_WAY = 128 };

/* --- hash --------------------------------------------------------------------------------------------------------- */

static inline uint64_t rotl(uint64_t v, int n) { return v << n | v >> (64 - n); }

struct sip {
    uint64_t a, b, c, d;
};

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->c += s->d;
    s->b = rotl(s->b, 13) ^ s->a;
    s->d = rotl(s->d, 16) ^ s->c;
    s->a = rotl(s->a, 32);
    s->c += s->b;
    s->a += s->d;
    s->b = rotl(s->b, 17) ^ s->c;
    s->d = rotl(s->d, 21) ^ s->a;
    s->c = rotl(s->c, 32);
}

static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

uint64_t xk__dns_siphash(const uint64_t seed[2], const uint8_t *p, size_t n)
{
    struct sip s = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
                    seed[1] ^ 0x7465646279746573u};
    uint64_t m, last = (uint64_t)n << 56;

    for (; n >= 8; n -= 8, p += 8) {
        m = load_le64(p);
        s.d ^= m;
        sip_round(&s);
        s.a ^= m;
    }
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)p[i] << (8 * i);
    s.d ^= last;
    sip_round(&s);
    s.a ^= last;
    s.c ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

int xk__dns_cache_init(struct xk__dns_cache *c, const xk_alloc *alloc, size_t bytes, const uint64_t seed[2])
{
    size_t ways = WAYS;

    memset(c, 0, sizeof(*c));
    c->alloc = alloc ? *alloc : *xk_alloc_libc();
    c->seed[0] = seed[0];
    c->seed[1] = seed[1];
    if (bytes < LEAST)
        return 0;
    if (bytes > 0x40000000)
        bytes = 0x40000000;
    while (ways * 2 * PER_WAY <= bytes)
        ways *= 2;
    c->table_size = ways * sizeof(*c->ways) + LINE;
    c->size = (bytes - c->table_size) & ~(size_t)7;
    c->mask = ways / WAYS - 1;
    c->table = xk_new(&c->alloc, c->table_size);
    c->ring = xk_new(&c->alloc, c->size);
    if (!c->table || !c->ring) {
        xk__dns_cache_fini(c);
        return XK_ENOMEM;
    }
    c->ways = (struct xk__dns_way *)(((uintptr_t)c->table + LINE - 1) & ~(uintptr_t)(LINE - 1));
    c->head = c->size; /* so that 0 is the position of no entry */
    return 0;
}

void xk__dns_cache_fini(struct xk__dns_cache *c)
{
    xk_free(&c->alloc, c->table, c->table_size);
    xk_free(&c->alloc, c->ring, c->size);
    c->table = NULL;
    c->ring = NULL;
    c->size = 0;
}

void xk__dns_cache_flush(struct xk__dns_cache *c)
{
    if (!c->size)
        return;
    memset(c->ways, 0, (c->mask + 1) * WAYS * sizeof(*c->ways));
    c->head = c->size;
}

size_t xk__dns_cache_bytes(const struct xk__dns_cache *c)
{
    uint64_t written = c->head - c->size;
    return written < c->size ? (size_t)written : c->size;
}

size_t xk__dns_cache_max(const struct xk__dns_cache *c) { return c->size ? c->size + c->table_size : 0; }

/* --- use ---------------------------------------------------------------------------------------------------------- */

static inline int whole(const struct xk__dns_cache *c, const struct xk__dns_way *w)
{
    return w->pos && c->head <= w->pos + c->size;
}

const struct xk__dns_cached *xk__dns_cache_get(const struct xk__dns_cache *c, const uint8_t *key, size_t key_len,
                                               uint64_t *hash)
{
    uint64_t h = *hash = xk__dns_siphash(c->seed, key, key_len);
    const struct xk__dns_way *w;

    if (!c->size)
        return NULL;
    w = c->ways + (h & c->mask) * WAYS;
    for (int i = 0; i < WAYS; i++, w++) {
        const struct xk__dns_cached *e;
        if (w->tag != (uint32_t)(h >> 32) || !whole(c, w))
            continue;
        e = (const struct xk__dns_cached *)(const void *)(c->ring + w->off);
        if (e->key_len == key_len && memcmp(e + 1, key, key_len) == 0)
            return e;
    }
    return NULL;
}

/* The way to write to: the key's own (replaced, or seen before), a free one, or the oldest. NULL: a weak key that is
 * only noted, or not even that. */
static struct xk__dns_way *choose(struct xk__dns_cache *c, uint64_t h, int weak)
{
    struct xk__dns_way *w = c->ways + (h & c->mask) * WAYS, *oldest = w, *empty = NULL;

    for (int i = 0; i < WAYS; i++, w++) {
        if (w->tag == (uint32_t)(h >> 32) && (w->pos == 0 || whole(c, w)))
            return w;
        if (!whole(c, w))
            empty = w;
        else if (w->pos < oldest->pos || !whole(c, oldest))
            oldest = w;
    }
    if (weak) {
        if (empty) {
            empty->tag = (uint32_t)(h >> 32);
            empty->pos = 0;
        }
        return NULL;
    }
    return empty ? empty : oldest;
}

void xk__dns_cache_put(struct xk__dns_cache *c, uint64_t hash, const uint8_t *key, size_t key_len, const uint8_t *head,
                       const uint8_t *body, size_t body_len, int weak)
{
    size_t need = (sizeof(struct xk__dns_cached) + key_len + body_len + 7) & ~(size_t)7, at;
    struct xk__dns_cached e = {(uint16_t)key_len, (uint16_t)body_len, {0}};
    struct xk__dns_way *w;

    if (!c->size || body_len > DNS_CACHED_MAX)
        return;
    w = choose(c, hash, weak);
    if (!w)
        return;
    at = (size_t)(c->head % c->size);
    if (need > c->size - at) {
        c->head += c->size - at;
        at = 0;
    }
    memcpy(e.head, head, 12);
    memcpy(c->ring + at, &e, sizeof(e));
    memcpy(c->ring + at + sizeof(e), key, key_len);
    memcpy(c->ring + at + sizeof(e) + key_len, body, body_len);
    w->tag = (uint32_t)(hash >> 32);
    w->off = (uint32_t)at;
    w->pos = c->head;
    c->head += need;
    c->stores++;
}
