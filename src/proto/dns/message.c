/* Messages for tools and tests: questions and records one after another, and queries to send. The server does not use
 * this file: it reads one question and writes its replies with reply.c. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/buf.h>
#include <xenkit/dns.h>

#include "proto/dns/name.h"

const char *xk_dns_rcode_text(unsigned rcode)
{
    static const char *const names[] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
                                        "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};

    if (rcode == XK_DNS_BADVERS)
        return "BADVERS";
    return rcode < sizeof(names) / sizeof(names[0]) ? names[rcode] : NULL;
}

int xk_dns_msg_open(struct xk_dns_msg *m, const void *data, size_t n)
{
    struct xk_wire w = xk_wire_read(data, n);

    memset(m, 0, sizeof(*m));
    m->data = data;
    m->len = n;
    m->id = xk_wire_be16(&w);
    m->flags = xk_wire_be16(&w);
    for (int i = 0; i < 4; i++)
        m->count[i] = xk_wire_be16(&w);
    m->pos = w.pos;
    return w.err;
}

static int bad(struct xk_dns_msg *m)
{
    m->section = 5;
    return XK_EPROTO;
}

int xk_dns_msg_next(struct xk_dns_msg *m, struct xk_dns_rr *rr)
{
    struct xk_wire w;

    while (m->section < 4 && m->index == m->count[m->section]) {
        m->section++;
        m->index = 0;
    }
    if (m->section >= 4)
        return m->section == 4 ? 0 : XK_EPROTO;
    memset(rr, 0, sizeof(*rr));
    rr->section = m->section;
    if (xk_dns_name_read(m->data, m->len, &m->pos, rr->name) < 0)
        return bad(m);
    w = xk_wire_read(m->data, m->len);
    w.pos = m->pos;
    rr->type = xk_wire_be16(&w);
    rr->rclass = xk_wire_be16(&w);
    if (m->section != XK_DNS_QUESTION) {
        rr->ttl = xk_wire_be32(&w);
        rr->rdata_len = xk_wire_be16(&w);
        rr->rdata = w.pos;
        xk_wire_get(&w, rr->rdata_len);
    }
    if (w.err)
        return bad(m);
    m->pos = w.pos;
    m->index++;
    return 1;
}

int xk_dns_query_write(uint8_t *out, size_t max, unsigned id, unsigned flags, const char *name, unsigned type,
                       unsigned udp_size, int edns_do)
{
    struct xk_wire w = xk_wire_write(out, max);
    uint8_t wire[XK_DNS_NAME_MAX];
    int n = xk_dns_name_parse(wire, name, strlen(name), NULL);

    if (n < 0)
        return n;
    xk_wire_put_be16(&w, (uint16_t)id);
    xk_wire_put_be16(&w, (uint16_t)flags);
    xk_wire_put_be32(&w, 1u << 16);
    xk_wire_put_be32(&w, udp_size ? 1 : 0);
    xk_wire_put(&w, wire, (size_t)n);
    xk_wire_put_be16(&w, (uint16_t)type);
    xk_wire_put_be16(&w, 1);
    if (udp_size) { /* RFC 6891 section 6.1.2 */
        xk_wire_put_u8(&w, 0);
        xk_wire_put_be16(&w, XK_DNS_OPT);
        xk_wire_put_be16(&w, (uint16_t)udp_size);
        xk_wire_put_be32(&w, edns_do ? 0x8000 : 0);
        xk_wire_put_be16(&w, 0);
    }
    return w.err ? w.err : (int)w.pos;
}
