/* RFC 1034 section 4.3.2, with wildcards as in RFC 4592, DNAME as in RFC 6672, referral glue as in RFC 9471, and ANY as
 * in RFC 8482. A step looks at one name; CNAME and DNAME make a further step. SPDX-License-Identifier: MIT */
#include "proto/dns/lookup.h"

enum { STEPS_MAX = 16 };

struct lookup {
    const struct xk_dns_zone *z;
    struct xk__dns_qname *q; /* the name of this step */
    struct xk__dns_reply *r;
    unsigned type, steps;
    struct {
        uint8_t len;
        uint32_t hash;
    } seen[STEPS_MAX]; /* names of the steps before, to see a loop; a chance hit only ends the chain early, which is
                          legal */
};

/* --- additional section ------------------------------------------------------------------------------------------- */

static unsigned target_offset(unsigned type)
{
    switch (type) {
    case XK_DNS_NS:
        return 0;
    case XK_DNS_MX:
    case XK_DNS_SVCB:
    case XK_DNS_HTTPS:
        return 2;
    case XK_DNS_SRV:
        return 6;
    default:
        return 255;
    }
}

static int add_addresses(struct lookup *l, const uint8_t *name, const struct xk__dns_node *n)
{
    static const uint16_t types[] = {XK_DNS_A, XK_DNS_AAAA};
    int all = 1;

    for (unsigned i = 0; i < 2; i++) {
        const struct xk__dns_set *s = xk__dns_node_find(n, types[i]);
        if (s && !xk__dns_reply_set(l->r, XK_DNS_ADDITIONAL, name, s, s->ttl, 1))
            all = 0;
    }
    return all;
}

/* Addresses of the hosts that a set names. (cut): the delegation, or 0 when this is an answer. (inside): only hosts
 * below that delegation, without which it cannot be followed; else only the others. 0 when something did not fit. */
static int add_hosts(struct lookup *l, const struct xk__dns_set *set, uint32_t cut, int inside)
{
    unsigned len, skip = target_offset(set->type);
    const uint8_t *p = xk__dns_set_first(set, &len);
    struct xk__dns_qname host;
    int all = 1;

    for (unsigned i = 0; i < set->count; i++) {
        const struct xk__dns_node *n;
        uint32_t at;
        xk__dns_qname_init(&host, p + skip);
        at = xk__dns_zone_holds(l->z, &host) ? xk__dns_zone_find(l->z, &host, 0) : 0;
        n = xk__dns_node_at(l->z, at);
        /* Below another delegation stands glue, which only a list of name servers may show. */
        if (at && (set->type == XK_DNS_NS || !n->stop) && (cut && n->stop == cut) == inside)
            all &= add_addresses(l, p + skip, n);
        if (i + 1u < set->count)
            p = xk__dns_set_next(p, &len);
    }
    return all;
}

static void add_additional(struct lookup *l)
{
    unsigned sets = l->r->sets; /* those that this adds have no hosts in them */

    for (unsigned i = 0; i < sets && !l->r->tc; i++)
        if (l->r->set[i].section == XK_DNS_ANSWER && target_offset(l->r->set[i].set->type) < 255)
            if (!add_hosts(l, l->r->set[i].set, 0, 0))
                l->r->partial = 1;
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

void xk__dns_lookup_soa(const struct xk_dns_zone *z, struct xk__dns_reply *r)
{
    const struct xk__dns_node *apex = xk__dns_node_at(z, z->apex);
    const struct xk__dns_set *soa = xk__dns_node_find(apex, XK_DNS_SOA);

    if (!xk__dns_reply_set(r, XK_DNS_AUTHORITY, xk__dns_node_name(apex), soa, z->negative_ttl, 1))
        r->tc = 1;
}

static void refer(struct lookup *l, uint32_t cut)
{
    const struct xk__dns_node *n = xk__dns_node_at(l->z, cut);
    const struct xk__dns_set *ns = xk__dns_node_find(n, XK_DNS_NS);

    if (l->steps == 0)
        l->r->aa = 0;
    if (!xk__dns_reply_set(l->r, XK_DNS_AUTHORITY, xk__dns_node_name(n), ns, ns->ttl, 1) ||
        !add_hosts(l, ns, cut, 1)) /* RFC 9471 section 3.1: these must be there */
        l->r->tc = 1;
    else if (!add_hosts(l, ns, cut, 0))
        l->r->partial = 1;
}

static int add_answer(struct lookup *l, const struct xk__dns_set *s)
{
    if (xk__dns_reply_set(l->r, XK_DNS_ANSWER, l->q->name, s, s->ttl, 0))
        return 1;
    l->r->tc = 1;
    return 0;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

/* Goes on at (name). 0: the answer ends here, as the name is elsewhere, was seen before, or is one too many; whoever
 * asked goes on by himself from the last CNAME. */
static int go_on(struct lookup *l, const uint8_t *name)
{
    l->seen[l->steps].len = l->q->len;
    l->seen[l->steps++].hash = l->q->hash[0];
    if (l->steps == STEPS_MAX)
        return 0;
    xk__dns_qname_init(l->q, name);
    for (unsigned i = 0; i < l->steps; i++)
        if (l->seen[i].hash == l->q->hash[0] && l->seen[i].len == l->q->len)
            return 0;
    return xk__dns_zone_holds(l->z, l->q);
}

static int follow_cname(struct lookup *l, const struct xk__dns_set *s)
{
    unsigned len;

    return add_answer(l, s) && go_on(l, xk__dns_set_first(s, &len));
}

/* RFC 6672 section 3.2: the DNAME, and a CNAME made from it for this name. */
static int follow_dname(struct lookup *l, uint32_t at)
{
    const struct xk__dns_node *n = xk__dns_node_at(l->z, at);
    const struct xk__dns_set *s = xk__dns_node_find(n, XK_DNS_DNAME);
    unsigned len, keep = (unsigned)l->q->len - n->len;
    const uint8_t *target = xk__dns_set_first(s, &len);
    uint8_t name[2 * XK_DNS_NAME_MAX];

    l->r->synth = 1;
    if (!xk__dns_reply_set(l->r, XK_DNS_ANSWER, xk__dns_node_name(n), s, s->ttl, 1)) {
        l->r->tc = 1;
        return 0;
    }
    if (keep + len > XK_DNS_NAME_MAX) {
        l->r->rcode = XK_DNS_YXDOMAIN;
        return 0;
    }
    memcpy(name, l->q->name, keep);
    memcpy(name + keep, target, len);
    if (!xk__dns_reply_record(l->r, XK_DNS_ANSWER, l->q->name, XK_DNS_CNAME, s->ttl, name, keep + len)) {
        l->r->tc = 1;
        return 0;
    }
    /* Who asks for the CNAME has it. */
    return l->type != XK_DNS_CNAME && l->type != XK_DNS_ANY && go_on(l, name);
}

/* The name exists, or a wildcard stands for it. 1: another step. */
static int match(struct lookup *l, const struct xk__dns_node *n)
{
    const struct xk__dns_set *s;

    if (l->type == XK_DNS_ANY) /* RFC 8482 section 4.1: any one set will do */
        s = n->sets ? xk__dns_node_sets(n) : NULL;
    else
        s = xk__dns_node_find(n, l->type);
    if (s) {
        add_answer(l, s);
        return 0;
    }
    if ((n->flags & DNS_NODE_CNAME) && l->type != XK_DNS_ANY)
        return follow_cname(l, xk__dns_node_find(n, XK_DNS_CNAME));
    xk__dns_lookup_soa(l->z, l->r);
    return 0;
}

static int step(struct lookup *l)
{
    uint32_t at = xk__dns_zone_find(l->z, l->q, 0), stop;
    const struct xk__dns_node *n;
    int exact = at != 0;

    if (!exact)
        xk__dns_zone_encloser(l->z, l->q, 1, &at);
    n = xk__dns_node_at(l->z, at);
    stop = n->stop || exact || !(n->flags & DNS_NODE_DNAME) ? n->stop : at;
    if (stop) {
        const struct xk__dns_node *end = xk__dns_node_at(l->z, stop);
        if ((end->flags & DNS_NODE_DNAME) && !((end->flags & DNS_NODE_NS) && stop != l->z->apex))
            return follow_dname(l, stop);
        /* RFC 4035 section 3.1.4.1: DS is the parent's. */
        if (!(exact && stop == at && l->type == XK_DNS_DS)) {
            refer(l, stop);
            return 0;
        }
    }
    if (exact)
        return match(l, n);
    l->r->synth = 1;
    if (n->wild) /* RFC 4592 section 3.3.1: the closest encloser's wildcard, no other */
        return match(l, xk__dns_node_at(l->z, n->wild));
    l->r->rcode = XK_DNS_NXDOMAIN;
    xk__dns_lookup_soa(l->z, l->r);
    return 0;
}

void xk__dns_lookup(const struct xk_dns_zone *z, struct xk__dns_qname *q, unsigned type, struct xk__dns_reply *r)
{
    struct lookup l;

    l.z = z;
    l.q = q;
    l.r = r;
    l.type = type;
    l.steps = 0;
    r->aa = 1;
    while (step(&l))
        ;
    add_additional(&l);
}
