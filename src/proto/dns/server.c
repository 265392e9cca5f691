/* The authoritative server: one question in, one reply out. The way of a query: read it (query.c), look into the answer
 * cache, ask the hook, look into the zone, write the reply, keep it in the cache. SPDX-License-Identifier: MIT */
#include <string.h>

#include "proto/dns/cache.h"
#include "proto/dns/lookup.h"
#include "proto/dns/query.h"
#include "proto/dns/rdata.h"

enum { CACHE_DEFAULT = 4 << 20, UDP_DEFAULT = 1232, OPT_LEN = 11, HOOK_RECORDS = 32, HOOK_BYTES = 4096 };

struct xk_dns_hook {
    unsigned records, bytes, rcode, cache;
    struct {
        uint16_t type, off, len;
        uint32_t ttl;
    } record[HOOK_RECORDS];
    uint8_t data[HOOK_BYTES];
};

struct xk_dns_server {
    xk_alloc alloc;
    unsigned udp_max;
    struct xk_dns_zone **zones; /* hash table by apex; empty places are NULL */
    size_t zones_size, zones_count;
    uint64_t depths[2]; /* bit n: a zone's apex has n labels */
    xk_dns_hook_fn *hook_fn;
    void *hook_arg;
    unsigned hook_stages;
    struct xk_dns_stats stats;
    struct xk__dns_cache cache;
    struct xk_dns_hook hook;
};

/* --- life --------------------------------------------------------------------------------------------------------- */

int xk_dns_server_create(const xk_alloc *alloc, const struct xk_dns_server_opts *opts, struct xk_dns_server **server)
{
    static const struct xk_dns_server_opts none = {{0, 0}, 0, 0};
    struct xk_dns_server *s;
    int r;

    if (!opts)
        opts = &none;
    if (opts->udp_max && (opts->udp_max < 512 || opts->udp_max > 65535))
        return XK_EINVAL;
    s = xk_new(alloc, sizeof(*s));
    if (!s)
        return XK_ENOMEM;
    s->alloc = alloc ? *alloc : *xk_alloc_libc();
    s->udp_max = opts->udp_max ? opts->udp_max : UDP_DEFAULT;
    r = xk__dns_cache_init(&s->cache, alloc, opts->cache_bytes ? opts->cache_bytes : CACHE_DEFAULT, opts->seed);
    if (r < 0) {
        xk_free(alloc, s, sizeof(*s));
        return r;
    }
    *server = s;
    return 0;
}

void xk_dns_server_destroy(struct xk_dns_server *s)
{
    xk_alloc alloc;

    if (!s)
        return;
    for (size_t i = 0; i < s->zones_size; i++)
        xk_dns_zone_unref(s->zones[i]);
    alloc = s->alloc;
    xk_free(&alloc, s->zones, s->zones_size * sizeof(struct xk_dns_zone *));
    xk__dns_cache_fini(&s->cache);
    xk_free(&alloc, s, sizeof(*s));
}

void xk_dns_server_flush(struct xk_dns_server *s) { xk__dns_cache_flush(&s->cache); }

void xk_dns_server_stats(const struct xk_dns_server *s, struct xk_dns_stats *stats)
{
    *stats = s->stats;
    stats->cache_stores = s->cache.stores;
    stats->cache_bytes = xk__dns_cache_bytes(&s->cache);
    stats->cache_max = xk__dns_cache_max(&s->cache);
    stats->zones = s->zones_count;
}

/* --- zones -------------------------------------------------------------------------------------------------------- */

static void zones_put(struct xk_dns_zone **zones, size_t size, struct xk_dns_zone *z)
{
    size_t at = z->apex_hash & (size - 1);

    while (zones[at])
        at = (at + 1) & (size - 1);
    zones[at] = z;
}

static struct xk_dns_zone **zones_find(const struct xk_dns_server *s, const uint8_t *apex, size_t len, uint32_t hash)
{
    size_t at = hash & (s->zones_size - 1);

    for (; s->zones_size && s->zones[at]; at = (at + 1) & (s->zones_size - 1)) {
        const struct xk__dns_node *n = xk__dns_node_at(s->zones[at], s->zones[at]->apex);
        if (s->zones[at]->apex_hash == hash && n->len == len && memcmp(xk__dns_node_name(n), apex, len) == 0)
            return &s->zones[at];
    }
    return NULL;
}

/* Puts all zones but (without) into a table of (size). */
static int zones_move(struct xk_dns_server *s, size_t size, const struct xk_dns_zone *without)
{
    struct xk_dns_zone **zones = xk_new(&s->alloc, size * sizeof(struct xk_dns_zone *));

    if (!zones)
        return XK_ENOMEM;
    s->depths[0] = s->depths[1] = 0;
    for (size_t i = 0; i < s->zones_size; i++) {
        struct xk_dns_zone *z = s->zones[i];
        if (!z || z == without)
            continue;
        zones_put(zones, size, z);
        s->depths[z->labels / 64] |= (uint64_t)1 << z->labels % 64;
    }
    xk_free(&s->alloc, s->zones, s->zones_size * sizeof(struct xk_dns_zone *));
    s->zones = zones;
    s->zones_size = size;
    return 0;
}

int xk_dns_server_set_zone(struct xk_dns_server *s, struct xk_dns_zone *zone)
{
    const struct xk__dns_node *apex = xk__dns_node_at(zone, zone->apex);
    struct xk_dns_zone **old = zones_find(s, xk__dns_node_name(apex), apex->len, zone->apex_hash), *before;
    int r;

    if (!old && (s->zones_count + 1) * 2 > s->zones_size) {
        r = zones_move(s, s->zones_size ? s->zones_size * 2 : 8, NULL);
        if (r < 0)
            return r;
    }
    xk_dns_zone_ref(zone);
    if (old) {
        before = *old;
        *old = zone;
        xk_dns_zone_unref(before);
    } else {
        zones_put(s->zones, s->zones_size, zone);
        s->zones_count++;
        s->depths[zone->labels / 64] |= (uint64_t)1 << zone->labels % 64;
    }
    xk_dns_server_flush(s);
    return 0;
}

int xk_dns_server_drop_zone(struct xk_dns_server *s, const char *apex)
{
    uint8_t name[XK_DNS_NAME_MAX];
    struct xk__dns_qname q;
    struct xk_dns_zone **at, *zone;
    int r = xk_dns_name_parse(name, apex, strlen(apex), NULL);

    if (r < 0)
        return r;
    xk__dns_qname_init(&q, name);
    at = zones_find(s, q.name, q.len, q.hash[0]);
    if (!at)
        return XK_ENOENT;
    zone = *at;
    r = zones_move(s, s->zones_size, zone);
    if (r < 0)
        return r;
    s->zones_count--;
    xk_dns_zone_unref(zone);
    xk_dns_server_flush(s);
    return 0;
}

/* The zone with the longest apex that holds (q). DS stands in the parent's zone: there the zone above is meant, when
 * it is here too (RFC 4035 section 3.1.4.1). */
static const struct xk_dns_zone *zone_for(const struct xk_dns_server *s, const struct xk__dns_qname *q, unsigned type)
{
    const struct xk_dns_zone *own = NULL;

    for (unsigned i = 0; i <= q->labels; i++) {
        unsigned labels = q->labels - i;
        struct xk_dns_zone **at;
        if (!(s->depths[labels / 64] >> labels % 64 & 1))
            continue;
        at = zones_find(s, q->name + q->off[i], (size_t)q->len - q->off[i], q->hash[i]);
        if (!at)
            continue;
        if (type != XK_DNS_DS || i > 0)
            return *at;
        own = *at;
    }
    return own;
}

/* --- hook --------------------------------------------------------------------------------------------------------- */

void xk_dns_server_set_hook(struct xk_dns_server *s, xk_dns_hook_fn *fn, void *arg, unsigned stages)
{
    s->hook_fn = fn;
    s->hook_arg = arg;
    s->hook_stages = fn ? stages : 0;
    xk_dns_server_flush(s);
}

int xk_dns_hook_add(struct xk_dns_hook *h, unsigned type, uint32_t ttl, const char *text, size_t len,
                    struct xk_diag *diag)
{
    static const uint8_t root[1] = {0};
    int n;

    if (type == 0 || type > 65535 || ttl > 0x7fffffff)
        return xk_diag_set(diag, XK_EINVAL, 0, 0, "expected a type from 1 to 65535 and a TTL below 2147483648");
    if (h->records == HOOK_RECORDS)
        return xk_diag_set(diag, XK_EMSGSIZE, 0, 0, "more than %d records in one answer", HOOK_RECORDS);
    n = xk_dns_rdata_parse(type, text, len, root, h->data + h->bytes, HOOK_BYTES - h->bytes, diag);
    if (n < 0)
        return n;
    h->record[h->records].type = (uint16_t)type;
    h->record[h->records].off = (uint16_t)h->bytes;
    h->record[h->records].len = (uint16_t)n;
    h->record[h->records++].ttl = ttl;
    h->bytes += (unsigned)n;
    return 0;
}

void xk_dns_hook_rcode(struct xk_dns_hook *h, unsigned rcode) { h->rcode = rcode & 15; }
void xk_dns_hook_cache(struct xk_dns_hook *h) { h->cache = 1; }

static int hook_call(struct xk_dns_server *s, const struct xk__dns_query *q, unsigned stage)
{
    char name[XK_DNS_NAME_TEXT_MAX];
    struct xk_dns_hook_question question = {name, q->type, stage, q->tcp};

    if (!(s->hook_stages & stage))
        return XK_DNS_HOOK_PASS;
    xk_dns_name_text(q->key, name, sizeof(name));
    s->hook.records = s->hook.bytes = s->hook.rcode = s->hook.cache = 0;
    s->stats.hook_calls++;
    return s->hook_fn(s->hook_arg, &question, &s->hook);
}

static void hook_answer(const struct xk_dns_server *s, const struct xk__dns_query *q, const struct xk_dns_zone *z,
                        struct xk__dns_reply *r)
{
    const struct xk_dns_hook *h = &s->hook;

    r->aa = 1;
    r->rcode = (uint8_t)h->rcode;
    for (unsigned i = 0; i < h->records && !r->tc; i++)
        if (!xk__dns_reply_record(r, XK_DNS_ANSWER, q->key, h->record[i].type, h->record[i].ttl,
                                  h->data + h->record[i].off, h->record[i].len))
            r->tc = 1;
    if (h->records == 0 && z && (h->rcode == XK_DNS_NOERROR || h->rcode == XK_DNS_NXDOMAIN))
        xk__dns_lookup_soa(z, r);
}

/* --- replies ------------------------------------------------------------------------------------------------------ */

static void put_opt(const struct xk_dns_server *s, const struct xk__dns_query *q, struct xk__dns_reply *r)
{
    /* RFC 6891 section 6.1.3: root, type, our size, the upper bits of rcode, version 0, DO as it came */
    const uint8_t opt[OPT_LEN] = {0,
                                  0,
                                  XK_DNS_OPT,
                                  (uint8_t)(s->udp_max >> 8),
                                  (uint8_t)s->udp_max,
                                  (uint8_t)(r->rcode >> 4),
                                  0,
                                  q->edns_do ? 0x80 : 0,
                                  0,
                                  0,
                                  0};

    if (!q->edns)
        return;
    memcpy(r->p + r->pos, opt, OPT_LEN); /* its room was set aside */
    r->pos += OPT_LEN;
    r->count[XK_DNS_ADDITIONAL]++;
}

static int count(struct xk_dns_server *s, unsigned rcode, unsigned tc, size_t len)
{
    s->stats.rcode[rcode < XK_DNS_RCODES ? rcode : XK_DNS_SERVFAIL]++;
    s->stats.truncated += tc != 0;
    return (int)len;
}

static int dropped(struct xk_dns_server *s)
{
    s->stats.dropped++;
    return 0;
}

static void patch(const struct xk__dns_query *q, uint8_t *reply)
{
    reply[0] = q->p[0];
    reply[1] = q->p[1];
    reply[2] = (uint8_t)(reply[2] | (q->p[2] & (XK_DNS_RD >> 8)));
}

/* A reply without records; with the question when there is one that could be read. */
static int refuse(struct xk_dns_server *s, const struct xk__dns_query *q, uint8_t *reply, unsigned rcode)
{
    struct xk__dns_reply r;

    memset(&r, 0, sizeof(r));
    r.p = reply;
    r.pos = XK_DNS_HEADER;
    r.rcode = (uint8_t)rcode;
    if (q->end) {
        memcpy(reply + XK_DNS_HEADER, q->p + XK_DNS_HEADER, q->end - XK_DNS_HEADER);
        r.pos = q->end;
        r.count[0] = 1;
    }
    put_opt(s, q, &r);
    xk__dns_reply_header(&r);
    reply[2] = (uint8_t)(reply[2] | (q->p[2] & 0x78)); /* the opcode is given back */
    patch(q, reply);
    return count(s, rcode, 0, r.pos);
}

static int from_cache(struct xk_dns_server *s, const struct xk__dns_query *q, const struct xk__dns_cached *e,
                      uint8_t *reply)
{
    memcpy(reply, e->head, XK_DNS_HEADER);
    patch(q, reply);
    memcpy(reply + XK_DNS_HEADER, q->p + XK_DNS_HEADER, q->end - XK_DNS_HEADER);
    memcpy(reply + q->end, xk__dns_cached_body(e), e->body_len);
    s->stats.cache_hits++;
    return count(s, e->head[3] & 15, 0, q->end + e->body_len);
}

static size_t limit_of(const struct xk_dns_server *s, const struct xk__dns_query *q, size_t max)
{
    size_t limit = XK_DNS_MESSAGE_MAX;

    if (!q->tcp) {
        limit = q->edns && q->size > 512 ? q->size : 512; /* RFC 6891 section 6.2.3 */
        if (limit > s->udp_max)
            limit = s->udp_max;
    }
    return limit < max ? limit : max;
}

/* Fills (r). 0: an answer; 1: one that may be cached; 2: REFUSED; otherwise what a hook returned. */
enum { MADE, MADE_CACHE, MADE_REFUSED, MADE_NOTHING };

static int hooked(struct xk_dns_server *s, const struct xk__dns_query *q, const struct xk_dns_zone *z, int said,
                  struct xk__dns_reply *r)
{
    if (said == XK_DNS_HOOK_ANSWER) {
        hook_answer(s, q, z, r);
        return s->hook.cache ? MADE_CACHE : MADE;
    }
    if (said == XK_DNS_HOOK_DROP)
        return MADE_NOTHING;
    if (said == XK_EAGAIN)
        return XK_EAGAIN;
    r->rcode = XK_DNS_SERVFAIL;
    return MADE;
}

static int make(struct xk_dns_server *s, const struct xk__dns_query *q, struct xk__dns_qname *name,
                struct xk__dns_reply *r)
{
    const struct xk_dns_zone *z = zone_for(s, name, q->type);
    struct xk__dns_reply fresh;
    int said = hook_call(s, q, XK_DNS_HOOK_BEFORE);

    if (said != XK_DNS_HOOK_PASS)
        return hooked(s, q, z, said, r);
    if (s->hook_stages & XK_DNS_HOOK_AFTER)
        fresh = *r;
    if (z)
        xk__dns_lookup(z, name, q->type, r);
    if (z && r->rcode != XK_DNS_NXDOMAIN)
        return MADE_CACHE;
    if (s->hook_stages & XK_DNS_HOOK_AFTER) {
        said = hook_call(s, q, XK_DNS_HOOK_AFTER);
        if (said != XK_DNS_HOOK_PASS) {
            *r = fresh;
            return hooked(s, q, z, said, r);
        }
        return z ? s->hook.cache ? MADE_CACHE : MADE : MADE_REFUSED;
    }
    return z ? MADE_CACHE : MADE_REFUSED;
}

static int uncached(struct xk_dns_server *s, const struct xk__dns_query *q, uint64_t hash, uint8_t *reply, size_t limit)
{
    struct xk__dns_qname name;
    struct xk__dns_reply r;
    int made;

    xk__dns_qname_init(&name, q->key);
    memcpy(reply + XK_DNS_HEADER, q->p + XK_DNS_HEADER, q->end - XK_DNS_HEADER);
    xk__dns_reply_init(&r, reply, q->end, limit - (q->edns ? OPT_LEN : 0), &name);
    s->stats.cache_misses++;
    made = make(s, q, &name, &r);
    if (made == MADE_NOTHING)
        return dropped(s);
    if (made == MADE_REFUSED)
        return refuse(s, q, reply, XK_DNS_REFUSED);
    if (made < 0)
        return made;
    put_opt(s, q, &r);
    xk__dns_reply_header(&r);
    if (made == MADE_CACHE && !r.tc && !r.partial)
        xk__dns_cache_put(&s->cache, hash, q->key, q->key_len, reply, reply + q->end, r.pos - q->end, r.synth);
    patch(q, reply);
    return count(s, r.rcode, r.tc, r.pos);
}

int xk_dns_answer(struct xk_dns_server *s, const uint8_t *query, size_t n, uint8_t *reply, size_t max, unsigned flags)
{
    const struct xk__dns_cached *e;
    struct xk__dns_query q;
    uint64_t hash;
    size_t limit;
    int rcode;

    if (max < 512)
        return XK_EMSGSIZE;
    s->stats.queries++;
    rcode = xk__dns_query_read(&q, query, n);
    if (rcode < 0)
        return dropped(s);
    q.tcp = (flags & XK_DNS_TCP) != 0;
    if (q.why)
        s->stats.malformed = q.why;
    if (rcode > 0)
        return refuse(s, &q, reply, (unsigned)rcode);
    limit = limit_of(s, &q, max);
    e = xk__dns_cache_get(&s->cache, q.key, q.key_len, &hash);
    if (e && q.end + e->body_len <= limit)
        return from_cache(s, &q, e, reply);
    return uncached(s, &q, hash, reply, limit);
}
