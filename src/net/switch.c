/* The switch. Addresses stand in a table of fixed size, in rows of a few; in a full row the one that was not seen for
 * the longest time goes. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/packet.h>
#include <xenkit/switch.h>

#include "base/list.h"

enum { ACCESS = 0x8000 /* of ports that know no tags: another one than that of a tag */ };
enum { ROW = 4, ROWS = XK_SWITCH_ADDRESSES / ROW, EACH = 64 };
static const xk_time AGE = 300 * XK_SECOND;

struct address {
    uint8_t mac[6];
    uint16_t vlan;
    struct xk_switch_port *port; /* NULL: the place is free */
    xk_time seen;
};

struct xk_switch_port {
    struct xk_list link;
    struct xk_switch *s;
    struct xk_netdev *dev; /* NULL: removed while the switch was at work */
    struct xk_switch_options options;
    struct xk_switch_stats stats;
    int touched;
};

struct xk_switch {
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_list ports;
    unsigned count;
    int busy, removed;
    uint64_t salt; /* rows are not to be foreseen */
    xk_time now;
    struct address table[ROWS][ROW];
};

/* --- addresses ---------------------------------------------------------------------------------------------------- */

static struct address *row_of(struct xk_switch *s, uint16_t vlan, const uint8_t mac[6])
{
    uint64_t key = 0;

    memcpy(&key, mac, 6);
    key = (key ^ (uint64_t)vlan << 48 ^ s->salt) * 0x9e3779b97f4a7c15u;
    key ^= key >> 29;
    key *= 0xbf58476d1ce4e5b9u;
    return s->table[(key >> 40) % ROWS];
}

static int is(const struct address *a, uint16_t vlan, const uint8_t mac[6])
{
    return a->port && a->vlan == vlan && memcmp(a->mac, mac, 6) == 0;
}

static void forget(struct address *a)
{
    a->port->stats.addresses--;
    a->port = NULL;
}

static struct xk_switch_port *lookup(struct xk_switch *s, uint16_t vlan, const uint8_t mac[6])
{
    struct address *row = row_of(s, vlan, mac);

    for (int i = 0; i < ROW; i++) {
        if (!is(&row[i], vlan, mac))
            continue;
        if (s->now - row[i].seen < AGE)
            return row[i].port;
        forget(&row[i]);
    }
    return NULL;
}

static void learn(struct xk_switch_port *port, uint16_t vlan, const uint8_t mac[6])
{
    struct xk_switch *s = port->s;
    struct address *row = row_of(s, vlan, mac), *oldest = row;
    uint32_t most = port->options.addresses ? port->options.addresses : EACH;

    if (mac[0] & 1)
        return;
    for (int i = 0; i < ROW; i++) {
        if (is(&row[i], vlan, mac)) {
            row[i].seen = s->now;
            if (row[i].port == port)
                return;
            if (port->stats.addresses >= most)
                return;
            row[i].port->stats.addresses--; /* it moved here */
            row[i].port = port;
            port->stats.addresses++;
            return;
        }
        if (!row[i].port || (oldest->port && row[i].seen < oldest->seen))
            oldest = &row[i];
    }
    if (port->stats.addresses >= most)
        return;
    if (oldest->port)
        forget(oldest);
    memcpy(oldest->mac, mac, 6);
    oldest->vlan = vlan;
    oldest->port = port;
    oldest->seen = s->now;
    port->stats.addresses++;
}

struct xk_switch_port *xk_switch_find(struct xk_switch *s, uint16_t vlan, const uint8_t mac[6])
{
    s->now = xk_now(xk_loop_platform(s->loop));
    return lookup(s, vlan ? vlan | ACCESS : 0, mac);
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

static void pass(struct xk_switch_port *to, const struct xk_packet *p)
{
    if (!to->dev)
        return;
    if (to->options.see)
        to->options.see(to->options.arg, p, 1);
    if (xk_net_send(to->dev, p) < 0) {
        to->stats.dropped++;
        return;
    }
    to->touched = 1;
    to->stats.packets[1]++;
    to->stats.bytes[1] += p->len;
}

/* The VLAN in which a frame that came from (port) is: its port's, or its tag's. */
static uint16_t vlan_of(const struct xk_switch_port *port, const struct xk_packet *p)
{
    if (port->options.vlan)
        return port->options.vlan | ACCESS;
    return xk_packet_get16(p->data + 12) == XK_ETHER_VLAN && p->len >= 18 ? xk_packet_get16(p->data + 14) & 0xfff : 0;
}

static void forward(struct xk_switch_port *from, const struct xk_packet *p)
{
    struct xk_switch *s = from->s;
    const uint8_t *to_mac = p->data, *mac = p->data + 6;
    uint16_t vlan = vlan_of(from, p);
    struct xk_switch_port *to;

    from->stats.packets[0]++;
    from->stats.bytes[0] += p->len;
    if (from->options.see)
        from->options.see(from->options.arg, p, 0);
    if (from->options.strict && memcmp(mac, from->dev->info.mac, 6)) {
        from->stats.spoofed++;
        return;
    }
    learn(from, vlan, mac);
    to = to_mac[0] & 1 ? NULL : lookup(s, vlan, to_mac);
    if (to) {
        if (to != from && to->options.vlan == from->options.vlan)
            pass(to, p);
        return;
    }
    XK_LIST_EACH(l, &s->ports)
    {
        to = XK_CONTAINER(l, struct xk_switch_port, link);
        if (to != from && to->options.vlan == from->options.vlan)
            pass(to, p);
    }
}

static void port_free(struct xk_switch_port *port)
{
    struct xk_switch *s = port->s;

    for (unsigned r = 0; r < ROWS; r++)
        for (unsigned i = 0; i < ROW; i++)
            if (s->table[r][i].port == port)
                s->table[r][i].port = NULL;
    xk_list_del(&port->link);
    s->count--;
    xk_free(&s->alloc, port, sizeof(*port));
}

/* All that was touched is kicked before the frames go. */
static void receive(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    struct xk_switch_port *from = d->user;
    struct xk_switch *s = from->s;

    s->now = xk_now(xk_loop_platform(s->loop));
    s->busy++;
    for (unsigned i = 0; i < n && from->dev; i++)
        forward(from, &p[i]);
    XK_LIST_EACH(l, &s->ports)
    {
        struct xk_switch_port *to = XK_CONTAINER(l, struct xk_switch_port, link);
        if (to->touched && to->dev)
            xk_net_kick(to->dev);
        to->touched = 0;
    }
    if (--s->busy || !s->removed)
        return;
    s->removed = 0;
    XK_LIST_EACH_SAFE(l, &s->ports)
    if (!XK_CONTAINER(l, struct xk_switch_port, link)->dev)
        port_free(XK_CONTAINER(l, struct xk_switch_port, link));
}

/* --- ports -------------------------------------------------------------------------------------------------------- */

int xk_switch_add(struct xk_switch *s, struct xk_netdev *device, const struct xk_switch_options *options,
                  struct xk_switch_port **out)
{
    struct xk_switch_port *port;

    if (options && options->vlan > 4094)
        return XK_EINVAL;
    if (s->count == XK_SWITCH_PORTS)
        return XK_ENOSPC;
    port = xk_new(&s->alloc, sizeof(*port));
    if (!port)
        return XK_ENOMEM;
    port->s = s;
    port->dev = device;
    if (options)
        port->options = *options;
    device->user = port;
    device->parts = 1;
    device->receive = receive;
    xk_list_add_tail(&s->ports, &port->link);
    s->count++;
    *out = port;
    return 0;
}

void xk_switch_remove(struct xk_switch_port *port)
{
    struct xk_switch *s = port->s;

    port->dev->receive = NULL;
    port->dev->parts = 0;
    port->dev = NULL;
    if (s->busy)
        s->removed = 1;
    else
        port_free(port);
}

void xk_switch_stats(const struct xk_switch_port *port, struct xk_switch_stats *out) { *out = port->stats; }

int xk_switch_create(const xk_alloc *alloc, struct xk_loop *loop, struct xk_switch **out)
{
    struct xk_switch *s = xk_new(alloc, sizeof(*s));

    if (!s)
        return XK_ENOMEM;
    s->alloc = alloc ? *alloc : *xk_alloc_libc();
    s->loop = loop;
    xk_list_init(&s->ports);
    if (xk_entropy(xk_loop_platform(loop), &s->salt, sizeof(s->salt)) < 0)
        s->salt = (uint64_t)xk_now(xk_loop_platform(loop));
    *out = s;
    return 0;
}

void xk_switch_destroy(struct xk_switch *s)
{
    XK_LIST_EACH_SAFE(l, &s->ports)
    {
        struct xk_switch_port *port = XK_CONTAINER(l, struct xk_switch_port, link);
        if (port->dev) {
            port->dev->receive = NULL;
            port->dev->parts = 0;
        }
        xk_list_del(l);
        xk_free(&s->alloc, port, sizeof(*port));
    }
    xk_free(&s->alloc, s, sizeof(*s));
}
