/* DHCP's server (RFC 2131 4.3). A client is known by its hardware address. An address that was offered is kept for ten
 * seconds, one whose lease ended until somebody else needs it. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/packet.h>

#include "base/list.h"
#include "net/dhcp.h"

enum { MOST = 4096, HOUR = 3600, LEAST = 60, BROADCAST = 0x8000 };
static const xk_time OFFERED = 10 * XK_SECOND, DECLINED = 600 * XK_SECOND;

struct place {                     /* one address */
    uint8_t mac[6], used, foreign; /* (foreign): somebody else was found to use it */
    xk_time end;
    char name[64];
};

struct xk_dhcp_server {
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_inet *s;
    struct xk_udp udp;
    struct xk_dhcp_server_config config;
    char domain[64];
    unsigned count;
    struct place *place;
};

static xk_time now(const struct xk_dhcp_server *d) { return xk_now(xk_loop_platform(d->loop)); }

static xk_ip4 address_of(const struct xk_dhcp_server *d, const struct place *p)
{
    return d->config.first + (xk_ip4)(p - d->place);
}

static struct place *place_of(struct xk_dhcp_server *d, xk_ip4 ip)
{
    return ip >= d->config.first && ip <= d->config.last && ip != xk_inet_address(d->s, NULL, NULL)
               ? &d->place[ip - d->config.first]
               : NULL;
}

static struct place *place_for(struct xk_dhcp_server *d, const uint8_t mac[6])
{
    for (unsigned i = 0; i < d->count; i++)
        if (d->place[i].used && !d->place[i].foreign && memcmp(d->place[i].mac, mac, 6) == 0)
            return &d->place[i];
    return NULL;
}

static int is_free(const struct xk_dhcp_server *d, const struct place *p) { return !p->used || p->end <= now(d); }

/* Where the search begins follows from the hardware address, so that a client finds the same even when all was
 * forgotten. First one that nobody had, then the one that ended first. */
static struct place *choose(struct xk_dhcp_server *d, const struct dhcp_message *m)
{
    struct place *p = place_for(d, m->mac), *best = NULL;
    uint32_t hash = 2166136261u;

    if (p)
        return p;
    p = place_of(d, dhcp_number(m, OPT_REQUESTED, 0));
    if (p && !p->used)
        return p;
    for (int i = 0; i < 6; i++)
        hash = (hash ^ m->mac[i]) * 16777619u;
    for (unsigned i = 0; i < d->count; i++) {
        p = place_of(d, d->config.first + (hash + i) % d->count);
        if (!p || !is_free(d, p))
            continue;
        if (!p->used)
            return p;
        if (!best || p->end < best->end)
            best = p;
    }
    return best;
}

static void take(struct place *p, const struct dhcp_message *m, xk_time end)
{
    if (!p->used || memcmp(p->mac, m->mac, 6))
        p->name[0] = '\0';
    memcpy(p->mac, m->mac, 6);
    p->used = 1;
    p->foreign = 0;
    p->end = end;
    if (p->name[0] == '\0')
        dhcp_text(m, OPT_HOSTNAME, p->name, sizeof(p->name));
}

static void put_options(struct xk_dhcp_server *d, struct dhcp_writer *w, int lease)
{
    const struct xk_dhcp_server_config *c = &d->config;
    uint8_t dns[12], mtu[2];
    unsigned prefix;
    xk_ip4 own = xk_inet_address(d->s, &prefix, NULL), mask = prefix ? 0xffffffff << (32 - prefix) : 0;

    dhcp_put32(w, OPT_SERVER, own);
    if (lease) {
        dhcp_put32(w, OPT_SECONDS, c->seconds);
        dhcp_put32(w, OPT_T1, c->seconds / 2);
        dhcp_put32(w, OPT_T2, c->seconds / 8 * 7);
    }
    dhcp_put32(w, OPT_MASK, mask);
    dhcp_put32(w, OPT_BROADCAST, own | ~mask);
    if (c->router)
        dhcp_put32(w, OPT_ROUTER, c->router);
    for (unsigned i = 0; i < c->dns_count; i++)
        xk_packet_put32(dns + i * 4, c->dns[i]);
    if (c->dns_count)
        dhcp_put(w, OPT_DNS, dns, c->dns_count * 4u);
    if (d->domain[0])
        dhcp_put(w, OPT_DOMAIN, d->domain, strlen(d->domain));
    xk_packet_put16(mtu, c->mtu);
    if (c->mtu)
        dhcp_put(w, OPT_MTU, mtu, 2);
}

/* To a client that has an address: there. To one that has none: to all, since it can be reached in no other way. */
static void reply(struct xk_dhcp_server *d, const struct dhcp_message *m, uint8_t type, xk_ip4 address)
{
    struct dhcp_message a = {.op = 2, .type = type, .xid = m->xid, .flags = m->flags, .yiaddr = address};
    struct dhcp_writer w;

    a.ciaddr = type == NAK ? 0 : m->ciaddr;
    memcpy(a.mac, m->mac, 6);
    dhcp_begin(&w, &a);
    if (type == NAK)
        dhcp_put32(&w, OPT_SERVER, xk_inet_address(d->s, NULL, NULL));
    else
        put_options(d, &w, m->type != INFORM);
    dhcp_end(&w);
    xk_udp_send(&d->udp, xk_ip_of4(type != NAK && m->ciaddr ? m->ciaddr : 0xffffffff), DHCP_CLIENT_PORT, w.bytes, w.n);
}

static void on_discover(struct xk_dhcp_server *d, const struct dhcp_message *m)
{
    struct place *p = choose(d, m);

    if (!p)
        return;
    if (!p->used || memcmp(p->mac, m->mac, 6) || p->end < now(d) + OFFERED)
        take(p, m, now(d) + OFFERED);
    reply(d, m, OFFER, address_of(d, p));
}

/* 4.3.2: after an offer it names the server; after a reboot the address as an option; else it has it in use. */
static void on_request(struct xk_dhcp_server *d, const struct dhcp_message *m)
{
    xk_ip4 wanted = dhcp_number(m, OPT_REQUESTED, m->ciaddr), own = xk_inet_address(d->s, NULL, NULL);
    xk_ip4 chosen = dhcp_number(m, OPT_SERVER, 0);
    struct place *p = place_of(d, wanted);
    int mine = p && p->used && !p->foreign && memcmp(p->mac, m->mac, 6) == 0;

    if (chosen && chosen != own) { /* it took another's offer */
        p = place_for(d, m->mac);
        if (p && p->end <= now(d) + OFFERED)
            p->end = now(d);
        return;
    }
    if (p && !mine && is_free(d, p) && !place_for(d, m->mac))
        mine = 1; /* we have forgotten it, and nobody else has it */
    if (!mine) {
        reply(d, m, NAK, 0);
        return;
    }
    take(p, m, now(d) + (xk_time)d->config.seconds * XK_SECOND);
    reply(d, m, ACK, wanted);
}

static void receive(struct xk_udp *u, struct xk_ip from, uint16_t port, struct xk_ip to, const uint8_t *data, size_t n)
{
    struct xk_dhcp_server *d = XK_CONTAINER(u, struct xk_dhcp_server, udp);
    struct dhcp_message m;
    struct place *p;

    (void)from;
    (void)to;
    if (port != DHCP_CLIENT_PORT || dhcp_read(data, n, &m) < 0 || m.op != 1 || m.giaddr)
        return;
    if (memcmp(m.mac, xk_inet_source(d->s), 6)) /* who speaks for another might take its address away */
        return;
    switch (m.type) {
    case DISCOVER:
        on_discover(d, &m);
        break;
    case REQUEST:
        on_request(d, &m);
        break;
    case DECLINE:
        p = place_of(d, dhcp_number(&m, OPT_REQUESTED, 0));
        if (p && p->used && memcmp(p->mac, m.mac, 6) == 0) {
            p->foreign = 1;
            p->end = now(d) + DECLINED;
        }
        break;
    case RELEASE:
        p = place_of(d, m.ciaddr);
        if (p && p->used && memcmp(p->mac, m.mac, 6) == 0)
            p->end = now(d);
        break;
    case INFORM:
        reply(d, &m, ACK, 0);
        break;
    default:
        break;
    }
}

static int check(const struct xk_inet *s, const struct xk_dhcp_server_config *c)
{
    unsigned prefix;
    xk_ip4 own = xk_inet_address(s, &prefix, NULL), mask = prefix ? 0xffffffff << (32 - prefix) : 0;

    if (!own || c->first > c->last || c->last - c->first >= MOST || c->dns_count > 3)
        return XK_EINVAL;
    if ((c->first ^ own) & mask || (c->last ^ own) & mask || c->first == (own & mask) || c->last == (own | ~mask))
        return XK_EINVAL;
    return c->seconds && c->seconds < LEAST ? XK_EINVAL : 0;
}

int xk_dhcp_server_start(const xk_alloc *alloc, struct xk_loop *loop, struct xk_inet *s,
                         const struct xk_dhcp_server_config *config, struct xk_dhcp_server **out)
{
    struct xk_dhcp_server *d;
    int r = check(s, config);

    if (r < 0)
        return r;
    d = xk_new(alloc, sizeof(*d));
    if (!d)
        return XK_ENOMEM;
    d->alloc = alloc ? *alloc : *xk_alloc_libc();
    d->loop = loop;
    d->s = s;
    d->config = *config;
    d->config.seconds = config->seconds ? config->seconds : HOUR;
    if (config->domain)
        strncpy(d->domain, config->domain, sizeof(d->domain) - 1);
    d->count = config->last - config->first + 1;
    d->place = xk_new(alloc, d->count * sizeof(*d->place));
    d->udp.receive = receive;
    r = d->place ? xk_udp_open(s, &d->udp, DHCP_SERVER_PORT) : XK_ENOMEM;
    if (r < 0) {
        xk_free(alloc, d->place, d->count * sizeof(*d->place));
        xk_free(alloc, d, sizeof(*d));
        return r;
    }
    *out = d;
    return 0;
}

void xk_dhcp_server_stop(struct xk_dhcp_server *d)
{
    xk_alloc alloc = d->alloc;

    xk_udp_close(&d->udp);
    xk_free(&alloc, d->place, d->count * sizeof(*d->place));
    xk_free(&alloc, d, sizeof(*d));
}

int xk_dhcp_server_binding(const struct xk_dhcp_server *d, unsigned i, struct xk_dhcp_binding *out)
{
    for (unsigned k = 0; k < d->count; k++) {
        const struct place *p = &d->place[k];
        if (!p->used || p->foreign || i-- > 0)
            continue;
        memset(out, 0, sizeof(*out));
        out->address = address_of(d, p);
        memcpy(out->mac, p->mac, 6);
        out->seconds = p->end > now(d) ? (uint32_t)((p->end - now(d) + XK_SECOND - 1) / XK_SECOND) : 0;
        memcpy(out->name, p->name, sizeof(out->name));
        return 0;
    }
    return XK_ENOENT;
}

int xk_dhcp_server_keep(struct xk_dhcp_server *d, const struct xk_dhcp_binding *b)
{
    struct place *p = place_of(d, b->address);

    if (!p || p->used)
        return XK_EINVAL;
    memcpy(p->mac, b->mac, 6);
    p->used = 1;
    p->end = now(d) + (xk_time)b->seconds * XK_SECOND;
    memcpy(p->name, b->name, sizeof(p->name));
    p->name[sizeof(p->name) - 1] = '\0';
    return 0;
}
