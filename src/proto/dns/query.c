/* Reads a query. What is malformed gets FORMERR with as much as could be read; what is a response gets nothing, or two
 * servers would talk for ever. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/dns.h>

#include "proto/dns/name.h"
#include "proto/dns/query.h"

static int malformed(struct xk__dns_query *q, const char *why)
{
    q->why = why;
    return XK_DNS_FORMERR;
}

static unsigned be16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

/* RFC 6891 section 6.1.2: options are code, length, data; all are ignored, but must be whole. */
static int options_ok(const uint8_t *p, size_t n)
{
    while (n) {
        if (n < 4 || be16(p + 2) > n - 4)
            return 0;
        n -= 4 + be16(p + 2);
        p += 4 + be16(p + 2);
    }
    return 1;
}

/* The additional section: at most one OPT, whose owner is the root. Others, as TSIG, are passed over. */
static int read_additional(struct xk__dns_query *q, size_t n, unsigned count)
{
    const uint8_t *p = q->p;
    size_t pos = q->end;

    while (count--) {
        size_t start = pos, len;
        uint8_t owner[XK_DNS_NAME_MAX];
        if (pos < n && p[pos] == 0)
            pos++;
        else if (xk_dns_name_read(p, n, &pos, owner) < 0)
            return malformed(q, "additional section: a name that is cut off or loops");
        if (n - pos < 10)
            return malformed(q, "additional section: a record that is cut off");
        len = be16(p + pos + 8);
        if (len > n - pos - 10)
            return malformed(q, "additional section: an RDLENGTH beyond the end");
        if (be16(p + pos) == XK_DNS_OPT) {
            if (q->edns || p[start] != 0 || !options_ok(p + pos + 10, len))
                return malformed(q, "OPT: a second one, an owner that is not the root, or an option that is cut off");
            q->edns = 1;
            q->size = be16(p + pos + 2);
            q->edns_do = p[pos + 6] >> 7;
            if (p[pos + 5] != 0)
                return XK_DNS_BADVERS;
        }
        pos += 10 + len;
    }
    return pos == n ? 0 : malformed(q, "bytes after the last record");
}

/* The name of the question may not be compressed: there is nothing before it to point to. */
static int read_question(struct xk__dns_query *q, size_t n)
{
    size_t pos = XK_DNS_HEADER;
    int len = xk__dns_name_scan(q->p + pos, n - pos);

    if (len < 0)
        return malformed(q, "question: a name that is cut off, too long or compressed");
    if (n - pos - (size_t)len < 4)
        return malformed(q, "question: type or class is cut off");
    for (int i = 0; i < len; i++)
        q->key[i] = xk__dns_lower(q->p[pos + (size_t)i]);
    pos += (size_t)len;
    q->type = be16(q->p + pos);
    q->key[len] = q->p[pos];
    q->key[len + 1] = q->p[pos + 1];
    q->key_len = (unsigned)len + 3;
    q->end = pos + 4;
    return 0;
}

/* What is no plain question for a type. */
static int judge(const struct xk__dns_query *q)
{
    unsigned rclass = be16(q->p + q->end - 2);

    if (q->type == XK_DNS_AXFR || q->type == XK_DNS_IXFR)
        return XK_DNS_REFUSED;
    if (q->type >= 249 && q->type < XK_DNS_ANY)
        return XK_DNS_NOTIMP;
    return rclass == 1 || rclass == 255 ? 0 : XK_DNS_REFUSED;
}

int xk__dns_query_read(struct xk__dns_query *q, const uint8_t *p, size_t n)
{
    int r;

    q->p = p;
    q->why = NULL;
    q->end = 0;
    q->edns = q->edns_do = q->tcp = 0;
    q->size = 512;
    if (n < XK_DNS_HEADER || (p[2] & 0x80))
        return -1;
    if (p[2] & 0x78)
        return XK_DNS_NOTIMP;
    if (be16(p + 4) != 1)
        return malformed(q, "header: QDCOUNT is not 1");
    r = read_question(q, n);
    if (r)
        return r;
    if (q->type == XK_DNS_IXFR) /* brings its SOA along (RFC 1995 section 3) */
        return XK_DNS_REFUSED;
    if (be16(p + 6) || be16(p + 8))
        return malformed(q, "header: ANCOUNT or NSCOUNT in a query");
    r = read_additional(q, n, be16(p + 10));
    if (r == 0)
        r = judge(q);
    q->key[q->key_len - 1] = (uint8_t)(q->edns | q->edns_do << 1);
    return r;
}
