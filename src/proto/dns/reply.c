/* Writes replies. Compression looks a name up among those already in the message: first by length, which almost always
 * decides, then byte by byte through the message; so no table of hashes need be filled for an answer of three records.
 * SPDX-License-Identifier: MIT */
#include "proto/dns/reply.h"

static void remember(struct xk__dns_reply *r, size_t off, unsigned len)
{
    if (off >= 0x4000 || r->names == REPLY_NAMES) /* RFC 1035 section 4.1.4: 14 bits */
        return;
    r->name[r->names].off = (uint16_t)off;
    r->name[r->names++].len = (uint8_t)len;
}

void xk__dns_reply_init(struct xk__dns_reply *r, uint8_t *p, size_t pos, size_t limit, const struct xk__dns_qname *name)
{
    r->p = p;
    r->pos = pos;
    r->limit = limit;
    memset(r->count, 0, sizeof(r->count));
    r->count[0] = 1;
    r->rcode = r->aa = r->tc = r->partial = r->synth = 0;
    r->names = r->sets = 0;
    for (unsigned i = 0; i < name->labels; i++)
        remember(r, XK_DNS_HEADER + (size_t)name->off[i], (unsigned)name->len - name->off[i]);
}

static int same_label(const uint8_t *a, const uint8_t *b)
{
    for (unsigned i = 0; i <= *a; i++)
        if (xk__dns_lower(a[i]) != xk__dns_lower(b[i]))
            return 0;
    return 1;
}

/* The name at (off) was written by us or is the question: it is well formed, and its pointers point backwards. */
static int stands_at(const struct xk__dns_reply *r, size_t off, const uint8_t *name)
{
    for (;;) {
        while (r->p[off] >= 0xc0)
            off = (size_t)(r->p[off] & 0x3f) << 8 | r->p[off + 1];
        if (!same_label(name, r->p + off))
            return 0;
        if (!*name)
            return 1;
        off += 1u + *name;
        name += 1 + *name;
    }
}

static int put(struct xk__dns_reply *r, const void *p, size_t n)
{
    if (n > r->limit - r->pos)
        return 0;
    memcpy(r->p + r->pos, p, n);
    r->pos += n;
    return 1;
}

static int put16(struct xk__dns_reply *r, unsigned v)
{
    const uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    return put(r, b, 2);
}

static int put_name(struct xk__dns_reply *r, const uint8_t *name)
{
    unsigned len = (unsigned)xk__dns_name_len(name), known = r->names;

    for (; *name; len -= 1u + *name, name += 1 + *name) {
        for (unsigned i = 0; i < known; i++)
            if (r->name[i].len == len && stands_at(r, r->name[i].off, name))
                return put16(r, 0xc000u | r->name[i].off);
        remember(r, r->pos, len);
        if (!put(r, name, 1u + *name))
            return 0;
    }
    return put(r, name, 1);
}

static int put_data(struct xk__dns_reply *r, unsigned type, const uint8_t *p, unsigned len)
{
    size_t at = r->pos, first;
    int ok;

    if (!put16(r, len))
        return 0;
    switch (type) { /* the types of RFC 1035 with names in them, no others: RFC 3597 section 4 */
    case XK_DNS_NS:
    case XK_DNS_CNAME:
    case XK_DNS_PTR:
        ok = put_name(r, p);
        break;
    case XK_DNS_MX:
        ok = put(r, p, 2) && put_name(r, p + 2);
        break;
    case XK_DNS_SOA:
        first = xk__dns_name_len(p);
        ok = put_name(r, p) && put_name(r, p + first) && put(r, p + len - 20, 20);
        break;
    default:
        return put(r, p, len);
    }
    if (!ok)
        return 0;
    r->p[at] = (uint8_t)((r->pos - at - 2) >> 8);
    r->p[at + 1] = (uint8_t)(r->pos - at - 2);
    return 1;
}

/* After the owner: type, class, TTL, data. */
static int put_rest(struct xk__dns_reply *r, unsigned type, uint32_t ttl, const uint8_t *data, unsigned len)
{
    const uint8_t fixed[8] = {(uint8_t)(type >> 8), (uint8_t)type,       0,           1, (uint8_t)(ttl >> 24),
                              (uint8_t)(ttl >> 16), (uint8_t)(ttl >> 8), (uint8_t)ttl};
    return put(r, fixed, 8) && put_data(r, type, data, len);
}

int xk__dns_reply_record(struct xk__dns_reply *r, unsigned section, const uint8_t *owner, unsigned type, uint32_t ttl,
                         const uint8_t *data, unsigned len)
{
    size_t start = r->pos;
    unsigned names = r->names;

    if (put_name(r, owner) && put_rest(r, type, ttl, data, len)) {
        r->count[section]++;
        return 1;
    }
    r->pos = start;
    r->names = names;
    return 0;
}

static int put_set(struct xk__dns_reply *r, const uint8_t *owner, const struct xk__dns_set *set, uint32_t ttl)
{
    size_t start = r->pos;
    unsigned len, pointer = 0;
    const uint8_t *p = xk__dns_set_first(set, &len);

    for (unsigned i = 0; i < set->count; i++) {
        if (pointer ? !put16(r, pointer) : !put_name(r, owner))
            return 0;
        /* The others of the set point where the first one points, or at it. */
        if (i == 0 && start < 0x4000)
            pointer = r->p[start] >= 0xc0 ? (unsigned)(r->p[start] << 8 | r->p[start + 1])
                      : r->p[start]       ? 0xc000u | (unsigned)start
                                          : 0;
        if (!put_rest(r, set->type, ttl, p, len))
            return 0;
        if (i + 1u < set->count)
            p = xk__dns_set_next(p, &len);
    }
    return 1;
}

int xk__dns_reply_set(struct xk__dns_reply *r, unsigned section, const uint8_t *owner, const struct xk__dns_set *set,
                      uint32_t ttl, int once)
{
    size_t start = r->pos;
    unsigned names = r->names;

    for (unsigned i = 0; once && i < r->sets; i++)
        if (r->set[i].set == set)
            return 1;
    if (!put_set(r, owner, set, ttl)) {
        r->pos = start;
        r->names = names;
        return 0;
    }
    r->count[section] = (uint16_t)(r->count[section] + set->count);
    if (r->sets < REPLY_SETS) {
        r->set[r->sets].set = set;
        r->set[r->sets++].section = section;
    }
    return 1;
}

void xk__dns_reply_header(struct xk__dns_reply *r)
{
    r->p[2] = (uint8_t)((XK_DNS_QR >> 8) | (r->aa ? XK_DNS_AA >> 8 : 0) | (r->tc ? XK_DNS_TC >> 8 : 0));
    r->p[3] = r->rcode & 15;
    for (int i = 0; i < 4; i++) {
        r->p[4 + 2 * i] = (uint8_t)(r->count[i] >> 8);
        r->p[5 + 2 * i] = (uint8_t)r->count[i];
    }
}
