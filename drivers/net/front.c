/* A network's front half, one queue. In this file:
 *   1. sending   2. receiving   3. the rings   4. the device   5. life
 *
 * A page of the sending pool has its number for an id. A page to receive into has, too; as back ends answer in the
 * order in which they were given pages, and an extra answers for a page with no id of its own, (posted) tells which
 * page stands where. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/netfront.h>
#include <xenkit/ring.h>

#include "base/list.h"
#include "base/shared.h"
#include "drivers/net/proto.h"

enum { BATCH = 64, ARENA = 192 * 1024, ARENA_FULL = ARENA - XK_PACKET_MAX, SCRATCH = 65536 };

struct side {
    struct xk_ring_front ring;
    uint8_t *memory;
    unsigned pages;
    xk_gref refs[NET_RING];
    struct xk_port_watch watch;
};

struct chain { /* a packet of which not all slots have come */
    uint32_t len;
    uint16_t slots, flags, gso_size;
    uint8_t gso, bad, extra, open; /* (extra): the next slot is one; (open): there is more to come */
};

struct xk_netfront {
    struct xk_netdev dev; /* first */
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_platform *platform;
    void *rings; /* both, in one piece */
    xk_gref ring_refs[2];
    xk_domid back;
    struct side tx, rx;
    uint16_t free_page[NET_RING];
    unsigned free_pages;
    uint8_t sent[NET_RING];    /* this page is with the back end */
    uint16_t posted[NET_RING]; /* by place on the ring: the page given there */
    struct chain chain;
    uint8_t *arena; /* what came, in private memory */
    uint32_t used;
    struct xk_packet batch[BATCH];
    unsigned packets;
    struct xk_spinner spinner;
    struct xk_netfront_stats stats;
    void (*broken)(void *arg, int err);
    void *broken_arg;
    int split, want_room, failed, busy, closing;
};

/* --- 1. sending --------------------------------------------------------------------------------------------------- */

static uint8_t *page_of(struct side *s, unsigned page) { return s->memory + (size_t)page * XK_PAGE_SIZE; }

static uint16_t tx_flags(const struct xk_packet *p)
{
    return (uint16_t)((p->flags & XK_PACKET_CSUM_BLANK ? NET_TX_BLANK | NET_TX_VALIDATED : 0) |
                      (p->flags & XK_PACKET_CSUM_VALID ? NET_TX_VALIDATED : 0));
}

static unsigned compose(struct xk_netfront *f, const struct xk_packet *p, union net_tx_slot *slot)
{
    unsigned n = 0;

    for (uint32_t at = 0; at < p->len;) {
        uint32_t some = p->len - at < XK_PAGE_SIZE ? p->len - at : XK_PAGE_SIZE;
        uint16_t page = f->free_page[--f->free_pages];
        struct net_tx *t = &slot[n++].tx;
        xk_shared_copy_in(page_of(&f->tx, page), p->data + at, some);
        f->sent[page] = 1;
        *t = (struct net_tx){f->tx.refs[page], 0, at + some < p->len ? NET_MORE : 0, page, (uint16_t)some};
        if (at == 0) {
            t->size = (uint16_t)p->len;
            t->flags |= tx_flags(p);
            if (p->gso) {
                t->flags |= NET_EXTRA;
                memset(&slot[n], 0, sizeof(slot[n]));
                slot[n].extra.type = NET_EXTRA_GSO;
                slot[n].extra.u.gso.size = p->gso_size;
                slot[n++].extra.u.gso.type = p->gso;
            }
        }
        at += some;
    }
    return n;
}

static int front_send(struct xk_netdev *d, const struct xk_packet *p)
{
    struct xk_netfront *f = (struct xk_netfront *)d;
    union net_tx_slot slot[NET_SLOTS_MAX + 1];
    unsigned pages = (p->len + XK_PAGE_SIZE - 1) / XK_PAGE_SIZE, n;

    if (f->failed || f->closing)
        return XK_EGONE;
    if (f->free_pages < pages || xk_ring_front_free(&f->tx.ring) < pages + (p->gso != 0)) {
        f->stats.full++;
        f->want_room = 1;
        return XK_EAGAIN;
    }
    n = compose(f, p, slot);
    xk_ring_front_put(&f->tx.ring, slot, n);
    f->stats.packets[0]++;
    f->stats.bytes[0] += p->len;
    return 0;
}

static void front_kick(struct xk_netdev *d)
{
    struct xk_netfront *f = (struct xk_netfront *)d;

    if (f->failed || !xk_ring_front_publish(&f->tx.ring))
        return;
    f->stats.notified++;
    xk_evtchn_notify(f->platform, f->tx.watch.port);
}

/* Answers to what was sent. 1: there were some, XK_EPEER. */
static int reap(struct xk_netfront *f)
{
    union net_tx_slot slot[BATCH];
    int n, some = 0;

    while ((n = xk_ring_front_take(&f->tx.ring, slot, BATCH)) != XK_EAGAIN) {
        if (n < 0)
            return n;
        for (int i = 0; i < n; i++) {
            const struct net_tx_answer *a = &slot[i].answer;
            if (a->status == NET_NULL) /* for an extra: its id is nothing */
                continue;
            if (a->id >= f->tx.pages || !f->sent[a->id])
                return XK_EPEER;
            f->sent[a->id] = 0;
            f->free_page[f->free_pages++] = a->id;
            f->stats.errors[0] += a->status != NET_OKAY;
        }
        some = 1;
    }
    return some;
}

/* --- 2. receiving ------------------------------------------------------------------------------------------------- */

static void deliver(struct xk_netfront *f)
{
    unsigned n = f->packets;

    f->packets = 0;
    if (n && f->dev.receive && !f->closing)
        f->dev.receive(&f->dev, f->batch, n);
    if (f->chain.len) /* the beginning of one whose end has not come */
        memmove(f->arena, f->arena + f->used, f->chain.len);
    f->used = 0;
}

static void post(struct xk_netfront *f, uint16_t page)
{
    union net_rx_slot slot = {.rx = {page, 0, f->rx.refs[page]}};

    f->posted[f->rx.ring.req_prod & (NET_RING - 1)] = page;
    xk_ring_front_put(&f->rx.ring, &slot, 1);
}

static void end_chain(struct xk_netfront *f)
{
    struct chain *c = &f->chain;

    if (c->bad || c->len < XK_ETHER_HEAD) {
        f->stats.errors[1]++;
    } else {
        uint8_t flags = (c->flags & NET_RX_BLANK ? XK_PACKET_CSUM_BLANK : 0) |
                        (c->flags & NET_RX_VALIDATED ? XK_PACKET_CSUM_VALID : 0);
        f->batch[f->packets++] = (struct xk_packet){f->arena + f->used, c->len, flags, c->gso, c->gso_size};
        f->used += (c->len + 63) & ~63u;
        f->stats.packets[1]++;
        f->stats.bytes[1] += c->len;
    }
    memset(c, 0, sizeof(*c));
    if (f->packets == BATCH || f->used > ARENA_FULL - 64)
        deliver(f);
}

static void take_extra(struct xk_netfront *f, const struct net_extra *e)
{
    struct chain *c = &f->chain;

    c->extra = (e->flags & NET_EXTRA_MORE) != 0;
    f->stats.hashed += e->type == NET_EXTRA_HASH;
    if (e->type != NET_EXTRA_GSO)
        return;
    c->gso = e->u.gso.type;
    c->gso_size = e->u.gso.size;
    c->bad |= c->gso == XK_GSO_NONE || c->gso > XK_GSO_TCP6 || c->gso_size < XK_GSO_LEAST;
}

static int take_data(struct xk_netfront *f, const struct net_rx_answer *a, uint16_t page)
{
    struct chain *c = &f->chain;

    if (a->id != page || (a->status > 0 && (uint32_t)a->offset + (uint16_t)a->status > XK_PAGE_SIZE))
        return XK_EPEER;
    if (c->slots == 1) {
        c->flags = a->flags;
        c->extra = (a->flags & NET_EXTRA) != 0;
    }
    c->open = (a->flags & NET_MORE) != 0;
    if (a->status <= 0 || c->len + (uint16_t)a->status > XK_PACKET_MAX) {
        c->bad = 1;
        return 0;
    }
    xk_shared_copy_out(f->arena + f->used + c->len, page_of(&f->rx, page) + a->offset, (size_t)a->status);
    c->len += (uint16_t)a->status;
    return 0;
}

static int take_slot(struct xk_netfront *f, const union net_rx_slot *slot, uint32_t index)
{
    struct chain *c = &f->chain;
    uint16_t page = f->posted[index & (NET_RING - 1)];
    int r = 0;

    c->slots++;
    if (c->slots > 1 && c->extra)
        take_extra(f, &slot->extra);
    else
        r = take_data(f, &slot->answer, page);
    if (r < 0 || c->slots > NET_SLOTS_LIAR)
        return XK_EPEER;
    post(f, page);
    if (!c->extra && !c->open)
        end_chain(f);
    return 0;
}

static int receive(struct xk_netfront *f)
{
    union net_rx_slot slot[BATCH];
    int n, r = 0, some = 0;

    while (r == 0 && !f->closing && (n = xk_ring_front_take(&f->rx.ring, slot, BATCH)) != XK_EAGAIN) {
        uint32_t first = f->rx.ring.rsp_cons - (uint32_t)n;
        if (n < 0)
            return n;
        for (int i = 0; i < n && r == 0; i++)
            r = take_slot(f, &slot[i], first + (uint32_t)i);
        some = 1;
    }
    if (r < 0)
        return r;
    if (some && xk_ring_front_publish(&f->rx.ring)) {
        f->stats.notified++;
        xk_evtchn_notify(f->platform, f->rx.watch.port);
    }
    deliver(f);
    return some;
}

/* --- 3. the rings ------------------------------------------------------------------------------------------------- */

static void destroy(struct xk_netfront *f);

static void fail(struct xk_netfront *f, int err)
{
    f->failed = 1;
    f->dev.info.up = 0;
    xk_spinner_stop(&f->spinner);
    if (f->broken)
        f->broken(f->broken_arg, err);
}

static int rearm(struct xk_netfront *f)
{
    int a = xk_ring_front_rearm(&f->rx.ring), b = a ? 0 : xk_ring_front_rearm(&f->tx.ring);

    return a ? a : b;
}

static int work(struct xk_netfront *f, int sleeping)
{
    int sent, came = 0;

    if (f->failed || f->closing)
        return 0;
    f->busy++;
    sent = reap(f);
    if (sent >= 0)
        came = receive(f);
    if (sent > 0 && came >= 0 && f->want_room && !f->closing) {
        f->want_room = 0;
        if (f->dev.room)
            f->dev.room(&f->dev);
    }
    if (sleeping && sent == 0 && came == 0 && !f->closing)
        came = rearm(f);
    if (--f->busy == 0 && f->closing) {
        destroy(f);
        return 1;
    }
    if (sent < 0 || came < 0)
        fail(f, XK_EPEER);
    return sent > 0 || came > 0;
}

static int on_spin(struct xk_spinner *s, int sleeping)
{
    return work(XK_CONTAINER(s, struct xk_netfront, spinner), sleeping);
}

static void on_tx_event(struct xk_port_watch *w)
{
    struct xk_netfront *f = XK_CONTAINER(w, struct xk_netfront, tx.watch);

    f->stats.events++;
    work(f, 0);
}

static void on_rx_event(struct xk_port_watch *w)
{
    struct xk_netfront *f = XK_CONTAINER(w, struct xk_netfront, rx.watch);

    f->stats.events++;
    work(f, 0);
}

/* --- 4. the device ------------------------------------------------------------------------------------------------ */

static void front_close(struct xk_netdev *d)
{
    struct xk_netfront *f = (struct xk_netfront *)d;

    f->closing = 1;
    f->dev.info.up = 0;
    if (f->busy == 0)
        destroy(f);
}

static const struct xk_netdev_ops ops = {XK_NETDEV_VERSION, front_send, front_kick, front_close};

/* --- 5. life ------------------------------------------------------------------------------------------------------ */

static void end_side(struct xk_netfront *f, struct side *s)
{
    if (s->watch.started)
        xk_port_watch_stop(f->loop, &s->watch);
    if (s->watch.port > 0 && (s == &f->tx || f->split))
        xk_evtchn_unbind(f->platform, s->watch.port);
    if (s->memory)
        xk_page_forget(f->platform, s->memory, s->pages);
}

static void destroy(struct xk_netfront *f)
{
    xk_alloc alloc = f->alloc;

    xk_spinner_stop(&f->spinner);
    end_side(f, &f->tx);
    end_side(f, &f->rx);
    if (f->rings)
        xk_page_forget(f->platform, f->rings, 2);
    if (f->arena)
        xk_free(&alloc, f->arena, ARENA);
    if (f->dev.scratch)
        xk_free(&alloc, f->dev.scratch, SCRATCH);
    xk_free(&alloc, f, sizeof(*f));
}

static int make_side(struct xk_netfront *f, struct side *s)
{
    void *memory;
    int r = xk_page_share(f->platform, f->back, s->pages, 0, s->refs, &memory);

    if (r < 0)
        return r;
    s->memory = memory;
    if (s == &f->rx && !f->split) {
        s->watch.port = f->tx.watch.port;
        return 0;
    }
    r = s->watch.port = xk_evtchn_alloc(f->platform, f->back);
    return r < 0 ? r : xk_port_watch_start(f->loop, &s->watch, s->watch.port);
}

static int make(struct xk_netfront *f)
{
    int r = xk_page_share(f->platform, f->back, 2, 0, f->ring_refs, &f->rings);

    if (r < 0) {
        f->rings = NULL;
        return r;
    }
    r = xk_ring_front_init(&f->tx.ring, f->rings, XK_PAGE_SIZE, NET_TX_SLOT);
    if (r == 0)
        r = xk_ring_front_init(&f->rx.ring, (uint8_t *)f->rings + XK_PAGE_SIZE, XK_PAGE_SIZE, NET_RX_SLOT);
    if (r == 0)
        r = make_side(f, &f->tx);
    if (r >= 0)
        r = make_side(f, &f->rx);
    if (r < 0)
        return r;
    f->arena = xk_new(&f->alloc, ARENA);
    f->dev.scratch = xk_new(&f->alloc, SCRATCH);
    f->dev.scratch_size = SCRATCH;
    if (!f->arena || !f->dev.scratch)
        return XK_ENOMEM;
    for (unsigned i = f->tx.pages; i-- > 0;)
        f->free_page[f->free_pages++] = (uint16_t)i;
    for (unsigned i = 0; i < f->rx.pages; i++)
        post(f, (uint16_t)i);
    return 0;
}

int xk_netfront_create(const xk_alloc *alloc, struct xk_loop *loop, const struct xk_netfront_config *config,
                       struct xk_netfront **out)
{
    unsigned tx = config->tx_pages ? config->tx_pages : NET_RING, rx = config->rx_pages ? config->rx_pages : NET_RING;
    struct xk_netfront *f;
    int r;

    if (tx > NET_RING || rx > NET_RING || tx < NET_SLOTS_MAX || rx < NET_SLOTS_MAX + 1)
        return XK_EINVAL;
    f = xk_new(alloc, sizeof(*f));
    if (!f)
        return XK_ENOMEM;
    f->dev.ops = &ops;
    memcpy(f->dev.info.mac, config->mac, 6);
    f->dev.info.mtu = config->mtu ? config->mtu : 1500;
    f->dev.info.features = config->features;
    f->alloc = alloc ? *alloc : *xk_alloc_libc();
    f->loop = loop;
    f->platform = xk_loop_platform(loop);
    f->back = config->back;
    f->split = config->split;
    f->tx.pages = tx;
    f->rx.pages = rx;
    f->tx.watch.fn = on_tx_event;
    f->rx.watch.fn = on_rx_event;
    f->spinner.fn = on_spin;
    r = make(f);
    if (r < 0) {
        destroy(f);
        return r;
    }
    *out = f;
    return 0;
}

void xk_netfront_rings(const struct xk_netfront *f, struct xk_netfront_rings *out)
{
    *out = (struct xk_netfront_rings){f->ring_refs[0], f->ring_refs[1], f->tx.watch.port, f->rx.watch.port};
}

unsigned xk_netfront_pages(const struct xk_netfront *f, xk_gref *refs, unsigned room, unsigned *to_send)
{
    unsigned n = 0;

    for (unsigned i = 0; i < f->tx.pages && n < room; i++)
        refs[n++] = f->tx.refs[i];
    *to_send = n;
    for (unsigned i = 0; i < f->rx.pages && n < room; i++)
        refs[n++] = f->rx.refs[i];
    return n;
}

void xk_netfront_connect(struct xk_netfront *f)
{
    f->dev.info.up = 1;
    if (xk_ring_front_publish(&f->rx.ring))
        xk_evtchn_notify(f->platform, f->rx.watch.port);
    xk_spinner_start(f->loop, &f->spinner);
}

struct xk_netdev *xk_netfront_device(struct xk_netfront *f) { return &f->dev; }

void xk_netfront_on_broken(struct xk_netfront *f, void (*broken)(void *arg, int err), void *arg)
{
    f->broken = broken;
    f->broken_arg = arg;
}

void xk_netfront_stats(const struct xk_netfront *f, struct xk_netfront_stats *out) { *out = f->stats; }
