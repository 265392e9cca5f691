/* A network's back half, one queue. In this file:
 *   1. from the guest   2. to the guest   3. what waits for it   4. the rings   5. life
 *
 * From the guest: slots are copied off the ring until a packet is whole, its pieces become copies, and when some
 * packets are gathered one call copies all of them into private memory. Of a large packet only the head is, where the
 * receiver takes parts; the guest has its answers once that has sent the rest on, or had it fetched. To the guest: a
 * packet becomes copies into the pages it gave, from here or from the sender's pages, made at the next kick; answers
 * keep the order in which it gave them. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/netback.h>
#include <xenkit/packet.h>
#include <xenkit/ring.h>

#include "base/list.h"
#include "drivers/net/answers.h"
#include "drivers/net/grefs.h"
#include "drivers/net/multicast.h"
#include "drivers/net/pages.h"
#include "drivers/net/proto.h"

enum { BATCH = 64, ROUND = 256, ARENA = 192 * 1024, ARENA_FULL = ARENA - XK_PACKET_MAX - 64, SCRATCH = 65536 };
enum { NOTES = NET_RING + NET_SLOTS_LIAR, BACKLOG = 256 * 1024 };
enum { PART_LEAST = XK_PAGE_SIZE, HEAD_LEAST = XK_ETHER_HEAD + 40 /* TCP in IPv4 */, HEAD = 192 };
enum { HEAD_MORE = 320 /* so few bytes more are no copy of their own */ };
enum { OUT_COPIES = NET_RING + 4 * NET_SLOTS_MAX, PACKET_COPIES = 2 * NET_SLOTS_MAX + 2 };

struct assembly { /* the packet of which not all slots have come */
    union net_tx_slot slot[NET_SLOTS_LIAR];
    uint8_t is_extra[NET_SLOTS_LIAR];
    unsigned slots;
    uint8_t extra, open; /* the next slot is an extra; there is more data */
};

struct gathered { /* a packet that is to be copied */
    struct xk_packet p;
    struct xk_packet_rest rest;
    struct xk_netback *of;
    unsigned first_copy, copies, notes;
    int bad; /* some of it could not be had */
};

struct note { /* an answer to the guest's slot */
    uint16_t id;
    int16_t status;
    uint8_t last; /* of its packet */
};

struct out { /* an answer to the guest, in the order of its pages */
    union net_rx_slot slot;
    uint8_t last;          /* of its packet */
    unsigned copy, copies; /* those that fill it, if any */
};

struct xk_netback {
    struct xk_netdev dev; /* first */
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_platform *platform;
    struct xk_netback_config config;
    struct xk_ring_back tx, rx;
    void *tx_page, *rx_page;
    struct xk_port_watch tx_watch, rx_watch;
    struct xk_spinner spinner;
    /* from the guest */
    struct assembly part;
    struct gathered gathered[BATCH];
    unsigned packets, copies, later, notes;
    struct xk_page_copy copy[NOTES], rest[NOTES]; /* now; later, if somebody wants it here */
    struct note note[NOTES];
    uint8_t *arena;
    uint32_t used;
    struct multicast groups;
    struct grefs kept;
    /* to the guest */
    const struct xk_net_hash *hash; /* NULL: the guest cannot ask for one */
    struct net_rx want[NET_RING];   /* pages it gave */
    uint32_t want_first, want_end;
    struct out out[NET_RING];
    struct xk_page_copy out_copy[OUT_COPIES];
    unsigned outs, out_copies;
    uint8_t *backlog;
    uint32_t backlog_size, backlog_first, backlog_end;
    struct xk_netback_stats stats;
    int want_room, failed, busy, closing;
};

/* --- 1. from the guest -------------------------------------------------------------------------------------------- */

/* Answers for all slots of the assembly. */
static void note_all(struct xk_netback *b, int16_t status)
{
    const struct assembly *a = &b->part;

    for (unsigned i = 0; i < a->slots; i++) {
        struct note *n = &b->note[b->notes++];
        n->id = a->is_extra[i] ? 0 : a->slot[i].tx.id;
        n->status = a->is_extra[i] ? NET_NULL : status;
        n->last = i + 1 == a->slots;
    }
}

/* Copies what was gathered to be copied now. */
static void copy_gathered(struct xk_netback *b)
{
    b->stats.copies += grefs_copy(&b->kept, b->copy, b->copies, 0);
    for (unsigned i = 0; i < b->packets; i++) {
        struct gathered *g = &b->gathered[i];
        for (unsigned k = 0; k < g->copies; k++)
            g->bad |= b->copy[g->first_copy + k].status;
    }
}

static int fetch(struct xk_packet_rest *r)
{
    struct gathered *g = XK_CONTAINER(r, struct gathered, rest);
    struct xk_page_copy *piece = &g->of->rest[r->piece - g->of->rest];

    g->of->stats.fetched++;
    g->of->stats.copies += grefs_copy(&g->of->kept, piece, r->pieces, 0);
    for (unsigned k = 0; k < r->pieces; k++)
        g->bad |= piece[k].status;
    if (g->bad)
        return XK_EINVAL;
    r->pieces = 0;
    return 0;
}

/* Headers may be longer than thought: what heads says of them may then be nonsense, but that they are. */
static int heads_are_here(const struct gathered *g)
{
    struct xk_packet_heads h;

    return xk_packet_heads(g->p.data, g->p.len, &h) == 0 &&
           (h.proto == 0 || (h.l4 && h.l4_end <= g->rest.head && h.l4 <= g->rest.head));
}

static void answer_gathered(struct xk_netback *b)
{
    struct answers a;

    answers_init(&a, &b->tx, NET_TX_ANSWER);
    for (unsigned i = 0; i < b->packets; i++) {
        struct gathered *g = &b->gathered[i];
        unsigned end = i + 1 == b->packets ? b->notes : b->gathered[i + 1].notes;
        b->stats.errors[0] += g->bad != 0;
        for (unsigned at = g->notes; g->bad && at < end; at++)
            if (b->note[at].status == NET_OKAY)
                b->note[at].status = NET_ERROR;
    }
    for (unsigned i = 0; i < b->notes; i++)
        answers_add(&a, &b->note[i], b->note[i].last);
    if (answers_show(&a)) {
        b->stats.notified++;
        xk_evtchn_notify(b->platform, b->tx_watch.port);
    }
}

/* Copies, answers, delivers; delivers before it answers where pages are needed until then. */
static void finish_batch(struct xk_netback *b)
{
    struct xk_packet whole[BATCH];
    unsigned n = 0, parts = 0;

    copy_gathered(b);
    for (unsigned i = 0; i < b->packets; i++) {
        struct gathered *g = &b->gathered[i];
        if (g->bad || (g->p.rest && !heads_are_here(g) && fetch(&g->rest) < 0))
            continue;
        b->stats.packets[0]++;
        b->stats.bytes[0] += g->p.len;
        parts += g->p.rest && g->rest.pieces;
        whole[n++] = g->p;
    }
    if (!parts)
        answer_gathered(b);
    if (n && b->dev.receive && !b->closing)
        b->dev.receive(&b->dev, whole, n);
    if (parts)
        answer_gathered(b);
    b->packets = b->copies = b->later = b->notes = 0;
    b->used = 0;
}

/* Of its first bytes so many are copied at once: its first slot, where that can hold the headers and no more. */
static uint32_t head_of(const struct xk_netback *b, uint32_t total, uint32_t first)
{
    if (!b->dev.parts || total <= PART_LEAST || b->kept.count)
        return total;
    return first >= HEAD_LEAST && first < HEAD ? first : HEAD;
}

static void add_copies(struct xk_netback *b, struct gathered *g, uint32_t total, uint32_t first)
{
    uint32_t at = 0, head = head_of(b, total, first);
    uint8_t *to = b->arena + b->used;

    g->first_copy = b->copies;
    g->rest = (struct xk_packet_rest){0, b->config.front, 0, &b->rest[b->later], fetch};
    for (unsigned i = 0; i < b->part.slots; i++) {
        const struct net_tx *t = &b->part.slot[i].tx;
        uint16_t n = (uint16_t)(i ? t->size : first), now;
        if (b->part.is_extra[i])
            continue;
        now = at >= head ? 0 : n <= head - at + (head < total ? HEAD_MORE : 0) ? n : (uint16_t)(head - at);
        if (now)
            b->copy[b->copies++] = (struct xk_page_copy){to + at, t->ref, t->offset, now, XK_EINVAL, {0}};
        if (now < n)
            b->rest[b->later++] = (struct xk_page_copy){to + at + now,       t->ref,    (uint16_t)(t->offset + now),
                                                        (uint16_t)(n - now), XK_EINVAL, {0}};
        g->rest.head += now;
        at += n;
    }
    g->copies = b->copies - g->first_copy;
    g->rest.pieces = (unsigned)(&b->rest[b->later] - g->rest.piece);
    g->of = b;
    g->p.rest = g->rest.pieces ? &g->rest : NULL;
    g->p.data = to;
    g->p.len = total;
    b->used += (total + 63) & ~63u;
}

/* What its extras say. 1: it is no packet but a word to us. */
static int read_extras(struct xk_netback *b, struct xk_packet *p)
{
    int word = 0;

    for (unsigned i = 0; i < b->part.slots; i++) {
        const struct net_extra *e = &b->part.slot[i].extra;
        if (!b->part.is_extra[i])
            continue;
        if (e->type == NET_EXTRA_GSO) {
            p->gso = e->u.gso.type;
            p->gso_size = e->u.gso.size;
            if (p->gso == XK_GSO_NONE || p->gso > XK_GSO_TCP6 || p->gso_size < XK_GSO_LEAST)
                return XK_EINVAL;
        } else if (e->type == NET_EXTRA_MCAST_ADD || e->type == NET_EXTRA_MCAST_DEL) {
            int r = multicast_change(&b->groups, e->u.mcast, e->type == NET_EXTRA_MCAST_ADD);
            if (r < 0)
                return r;
            word = 1;
        }
    }
    return word;
}

/* The lengths of a packet whose slots are all there: of the first slot, or XK_EINVAL. */
static int check(const struct assembly *a)
{
    uint32_t total = a->slot[0].tx.size, rest = 0, data = 0, first;

    for (unsigned i = 0; i < a->slots; i++) {
        const struct net_tx *t = &a->slot[i].tx;
        if (a->is_extra[i])
            continue;
        data++;
        if (i && (t->size == 0 || (uint32_t)t->offset + t->size > XK_PAGE_SIZE))
            return XK_EINVAL;
        rest += i ? t->size : 0;
    }
    first = total - rest;
    if (data > NET_SLOTS_MAX || total < XK_ETHER_HEAD || rest >= total || a->slot[0].tx.offset + first > XK_PAGE_SIZE)
        return XK_EINVAL;
    return (int)first;
}

static void take_packet(struct xk_netback *b)
{
    struct gathered *g = &b->gathered[b->packets];
    uint16_t flags = b->part.slot[0].tx.flags;
    int word, first;

    memset(g, 0, sizeof(*g));
    g->p.flags = (uint8_t)((flags & NET_TX_BLANK ? XK_PACKET_CSUM_BLANK : 0) |
                           (flags & NET_TX_VALIDATED ? XK_PACKET_CSUM_VALID : 0));
    g->notes = b->notes;
    word = read_extras(b, &g->p);
    first = word == 0 ? check(&b->part) : 0;
    if (word < 0 || first < 0)
        b->stats.errors[0]++;
    note_all(b, word < 0 || first < 0 ? NET_ERROR : NET_OKAY);
    if (word != 0 || first < 0)
        return;
    add_copies(b, g, b->part.slot[0].tx.size, (uint32_t)first);
    b->packets++;
}

/* One slot more. XK_EPEER: nobody sends so many. */
static int feed(struct xk_netback *b, const union net_tx_slot *slot)
{
    struct assembly *a = &b->part;
    int extra = a->slots > 0 && a->extra;

    if (a->slots == NET_SLOTS_LIAR)
        return XK_EPEER;
    a->slot[a->slots] = *slot;
    a->is_extra[a->slots] = (uint8_t)extra;
    if (extra) {
        a->extra = slot->extra.flags & NET_EXTRA_MORE;
    } else {
        a->open = (slot->tx.flags & NET_MORE) != 0;
        if (a->slots == 0)
            a->extra = (slot->tx.flags & NET_EXTRA) != 0;
    }
    a->slots++;
    if (a->extra || a->open)
        return 0;
    take_packet(b);
    a->slots = 0;
    if (b->packets == BATCH || b->used > ARENA_FULL)
        finish_batch(b);
    return 0;
}

static int from_guest(struct xk_netback *b)
{
    union net_tx_slot slot[BATCH];
    int n = 0, r = 0, all = 0;

    while (r == 0 && all < ROUND && !b->closing && (n = xk_ring_back_take(&b->tx, slot, BATCH)) != XK_EAGAIN) {
        if (n < 0)
            return n;
        for (int i = 0; i < n && r == 0; i++)
            r = feed(b, &slot[i]);
        all += n;
    }
    if (b->notes || b->packets)
        finish_batch(b);
    return r < 0 ? r : all;
}

/* --- 2. to the guest ---------------------------------------------------------------------------------------------- */

/* Pages that the guest gave and that are free. XK_EPEER. */
static int pages_given(struct xk_netback *b)
{
    union net_rx_slot slot[BATCH];
    int n;

    while (b->want_end - b->want_first < NET_RING &&
           (n = xk_ring_back_take(
                &b->rx, slot,
                BATCH < NET_RING - (b->want_end - b->want_first) ? BATCH : NET_RING - (b->want_end - b->want_first))) !=
               XK_EAGAIN) {
        if (n < 0)
            return n;
        for (int i = 0; i < n; i++)
            b->want[b->want_end++ % NET_RING] = slot[i].rx;
    }
    return (int)(b->want_end - b->want_first);
}

static int hashes(const struct xk_netback *b) { return b->hash && b->hash->algorithm && b->hash->types; }

static struct out *next_out(struct xk_netback *b, struct net_rx *page)
{
    struct out *o = &b->out[b->outs++];

    *page = b->want[b->want_first++ % NET_RING];
    memset(o, 0, sizeof(*o));
    return o;
}

/* What is said of a packet behind its first page. 1: something is. */
static int place_extras(struct xk_netback *b, const struct xk_packet *p)
{
    struct net_extra gso = {.type = NET_EXTRA_GSO}, hash = {.type = NET_EXTRA_HASH};
    struct net_rx page;
    int type = -1;
    uint32_t value = hashes(b) ? xk_net_hash(b->hash, p, &type) : 0;

    if (p->gso) {
        gso.flags = type >= 0 ? NET_EXTRA_MORE : 0;
        gso.u.gso.size = p->gso_size;
        gso.u.gso.type = p->gso;
        next_out(b, &page)->slot.extra = gso;
    }
    if (type >= 0) {
        hash.u.hash.type = (uint8_t)type;
        hash.u.hash.algorithm = b->hash->algorithm;
        for (int i = 0; i < 4; i++)
            hash.u.hash.value[i] = (uint8_t)(value >> (8 * i));
        next_out(b, &page)->slot.extra = hash;
    }
    return p->gso || type >= 0;
}

/* Makes the copies and shows the answers. */
static void flush(struct xk_netback *b)
{
    struct answers a;

    answers_init(&a, &b->rx, sizeof(struct net_rx_answer));
    b->stats.copies += grefs_copy(&b->kept, b->out_copy, b->out_copies, XK_COPY_TO);
    for (unsigned i = 0; i < b->outs; i++) {
        struct out *o = &b->out[i];
        int bad = 0;
        for (unsigned k = 0; k < o->copies; k++)
            bad |= b->out_copy[o->copy + k].status;
        if (bad) {
            o->slot.answer.status = NET_ERROR;
            b->stats.errors[1]++;
        }
        answers_add(&a, &o->slot, o->last);
    }
    if (answers_show(&a)) {
        b->stats.notified++;
        xk_evtchn_notify(b->platform, b->rx_watch.port);
    }
    b->outs = b->out_copies = 0;
}

/* Where in a packet we are: the next of its pieces that are not here, and what of that has gone. */
struct place {
    unsigned piece;
    uint32_t gone;
};

static unsigned extras_for(const struct xk_netback *b, const struct xk_packet *p)
{
    return (p->gso != XK_GSO_NONE) + (hashes(b) != 0);
}

/* How many of the guest's slots it takes, and how many bytes go into each page. */
static unsigned slots_for(const struct xk_netback *b, const struct xk_packet *p, uint16_t fill[NET_SLOTS_MAX])
{
    unsigned extras = extras_for(b, p), given = b->want_end - b->want_first;

    return pages_for(p, given > extras ? given - extras : 0, fill) + extras;
}

/* The copies that fill a page with (n) bytes of a packet, from (at) on. */
static void fill_page(struct xk_netback *b, const struct xk_packet *p, uint32_t at, uint32_t n, xk_gref ref,
                      struct place *here)
{
    const struct xk_packet_rest *r = p->rest;
    uint32_t head = pages_head(p), m;

    for (uint32_t done = 0; done < n; done += m) {
        struct xk_page_copy *c = &b->out_copy[b->out_copies++];
        *c = (struct xk_page_copy){NULL, ref, (uint16_t)done, 0, XK_EINVAL, {0}};
        if (at + done < head) {
            m = n - done < head - at - done ? n - done : head - at - done;
            c->local = (void *)(uintptr_t)(p->data + at + done);
        } else {
            const struct xk_page_copy *piece = &r->piece[here->piece];
            uint32_t left = piece->len - here->gone;
            m = n - done < left ? n - done : left;
            c->from = (struct xk_page_place){piece->ref, r->peer, (uint16_t)(piece->offset + here->gone)};
            here->gone = m < left ? here->gone + m : 0;
            here->piece += m == left;
        }
        c->len = (uint16_t)m;
    }
}

/* The guest has given enough pages. */
static void place(struct xk_netback *b, const struct xk_packet *p, const uint16_t fill[NET_SLOTS_MAX])
{
    struct net_rx page;
    struct place here = {0};

    if (b->out_copies + PACKET_COPIES > OUT_COPIES)
        flush(b);
    for (uint32_t at = 0, n, i = 0; at < p->len; at += n, i++) {
        struct out *o = next_out(b, &page);
        struct net_rx_answer *a = &o->slot.answer;
        n = fill[i];
        o->copy = b->out_copies;
        fill_page(b, p, at, n, page.ref, &here);
        o->copies = b->out_copies - o->copy;
        *a = (struct net_rx_answer){page.id, 0, at + n < p->len ? NET_MORE : 0, (int16_t)n};
        if (at == 0) {
            a->flags |= p->flags & XK_PACKET_CSUM_BLANK   ? NET_RX_BLANK | NET_RX_VALIDATED
                        : p->flags & XK_PACKET_CSUM_VALID ? NET_RX_VALIDATED
                                                          : 0;
            a->flags |= place_extras(b, p) ? NET_EXTRA : 0;
        }
    }
    b->out[b->outs - 1].last = 1;
    b->stats.direct += here.piece > 0;
    b->stats.packets[1]++;
    b->stats.bytes[1] += p->len;
}

/* --- 3. what waits for it ----------------------------------------------------------------------------------------- */

static uint32_t waiting(const struct xk_netback *b) { return b->backlog_end - b->backlog_first; }

static uint32_t room_for(const struct xk_packet *p) { return (uint32_t)((sizeof(*p) + p->len + 15) & ~(size_t)15); }

static int wait_in_line(struct xk_netback *b, const struct xk_packet *p)
{
    uint32_t n = room_for(p);

    if (xk_packet_whole(p) < 0)
        return XK_EINVAL;
    if (waiting(b) + n > b->backlog_size) {
        b->stats.full++;
        b->want_room = 1;
        return XK_EAGAIN;
    }
    if (b->backlog_end + n > b->backlog_size) {
        memmove(b->backlog, b->backlog + b->backlog_first, waiting(b));
        b->backlog_end = waiting(b);
        b->backlog_first = 0;
    }
    memcpy(b->backlog + b->backlog_end, p, sizeof(*p));
    memcpy(b->backlog + b->backlog_end + sizeof(*p), p->data, p->len);
    b->backlog_end += n;
    b->stats.delayed++;
    return 0;
}

/* 1: some could go, XK_EPEER. */
static int drain(struct xk_netback *b)
{
    int given = waiting(b) ? pages_given(b) : 0, some = 0;
    uint16_t fill[NET_SLOTS_MAX];

    while (waiting(b) && given >= 0) {
        struct xk_packet p;
        memcpy(&p, b->backlog + b->backlog_first, sizeof(p));
        p.rest = NULL;
        p.data = b->backlog + b->backlog_first + sizeof(p);
        if (slots_for(b, &p, fill) > b->want_end - b->want_first)
            break;
        place(b, &p, fill);
        b->backlog_first += room_for(&p);
        some = 1;
    }
    if (some)
        flush(b);
    if (!waiting(b))
        b->backlog_first = b->backlog_end = 0;
    return given < 0 ? given : some;
}

static void fail(struct xk_netback *b, int err);

static int back_send(struct xk_netdev *d, const struct xk_packet *p)
{
    struct xk_netback *b = (struct xk_netback *)d;
    uint16_t fill[NET_SLOTS_MAX];
    int given, in_scratch = d->scratch && p->data >= d->scratch && p->data < d->scratch + d->scratch_size;

    if (b->failed || b->closing)
        return XK_EGONE;
    if (b->config.multicast && !multicast_wanted(&b->groups, p->data))
        return 0;
    given = pages_given(b);
    if (given < 0) {
        fail(b, given);
        return XK_EGONE;
    }
    if (waiting(b) || slots_for(b, p, fill) > (unsigned)given)
        return wait_in_line(b, p);
    place(b, p, fill);
    if (in_scratch)
        flush(b);
    return 0;
}

static void back_kick(struct xk_netdev *d)
{
    struct xk_netback *b = (struct xk_netback *)d;

    if (!b->failed && !b->closing)
        flush(b);
}

/* --- 4. the rings ------------------------------------------------------------------------------------------------- */

static void destroy(struct xk_netback *b);

static void fail(struct xk_netback *b, int err)
{
    if (b->failed)
        return;
    b->failed = 1;
    b->dev.info.up = 0;
    xk_spinner_stop(&b->spinner);
    if (b->config.broken)
        b->config.broken(b->config.arg, err);
}

/* The guest is asked to say when it has given pages only while something waits for them. */
static int rearm(struct xk_netback *b)
{
    int r = xk_ring_back_rearm(&b->tx);

    return r || !waiting(b) ? r : xk_ring_back_rearm(&b->rx);
}

static int work(struct xk_netback *b, int sleeping)
{
    int came, went = 0;

    if (b->failed || b->closing)
        return 0;
    b->busy++;
    came = from_guest(b);
    if (came >= 0 && !b->closing)
        went = drain(b);
    if (went > 0 && b->want_room && !b->closing) {
        b->want_room = 0;
        if (b->dev.room)
            b->dev.room(&b->dev);
    }
    if (sleeping && came == 0 && went == 0 && !b->closing)
        came = rearm(b);
    if (--b->busy == 0 && b->closing) {
        destroy(b);
        return 1;
    }
    if (came < 0 || went < 0)
        fail(b, XK_EPEER);
    return came > 0 || went > 0;
}

static int on_spin(struct xk_spinner *s, int sleeping)
{
    return work(XK_CONTAINER(s, struct xk_netback, spinner), sleeping);
}

static void on_event(struct xk_netback *b)
{
    b->stats.events++;
    if (!work(b, 0))
        b->stats.idle_events++;
}

static void on_tx_event(struct xk_port_watch *w) { on_event(XK_CONTAINER(w, struct xk_netback, tx_watch)); }
static void on_rx_event(struct xk_port_watch *w) { on_event(XK_CONTAINER(w, struct xk_netback, rx_watch)); }

static void back_close(struct xk_netdev *d)
{
    struct xk_netback *b = (struct xk_netback *)d;

    b->closing = 1;
    d->info.up = 0;
    if (b->busy == 0)
        destroy(b);
}

static const struct xk_netdev_ops ops = {XK_NETDEV_VERSION, back_send, back_kick, back_close};

/* --- 5. life ------------------------------------------------------------------------------------------------------ */

static void end_port(struct xk_netback *b, struct xk_port_watch *w)
{
    if (w->started)
        xk_port_watch_stop(b->loop, w);
    if (w->port > 0 && (w == &b->tx_watch || w->port != b->tx_watch.port))
        xk_evtchn_unbind(b->platform, w->port);
}

static void destroy(struct xk_netback *b)
{
    xk_alloc alloc = b->alloc;

    xk_spinner_stop(&b->spinner);
    end_port(b, &b->rx_watch);
    end_port(b, &b->tx_watch);
    grefs_fini(&b->kept);
    if (b->tx_page)
        xk_page_unmap(b->platform, b->tx_page, 1);
    if (b->rx_page)
        xk_page_unmap(b->platform, b->rx_page, 1);
    if (b->arena)
        xk_free(&alloc, b->arena, ARENA);
    if (b->backlog)
        xk_free(&alloc, b->backlog, b->backlog_size);
    if (b->dev.scratch)
        xk_free(&alloc, b->dev.scratch, SCRATCH);
    xk_free(&alloc, b, sizeof(*b));
}

static int map_ring(struct xk_netback *b, xk_gref ref, void **page)
{
    int r = xk_page_map(b->platform, b->config.front, &ref, 1, 0, NULL, page);

    if (r < 0)
        *page = NULL;
    return r;
}

/* Once its port is ours: as long as it is another's, that may be alive and write there. */
static int attach(struct xk_netback *b, struct xk_ring_back *ring, void *page, uint32_t slot, xk_port port)
{
    int r = xk_ring_back_take_up(ring, page, XK_PAGE_SIZE, slot);

    if (r == 1)
        xk_evtchn_notify(b->platform, port);
    return r < 0 ? r : 0;
}

static int bind_port(struct xk_netback *b, struct xk_port_watch *w, xk_port remote)
{
    int r = w->port = xk_evtchn_bind(b->platform, b->config.front, remote);

    return r < 0 ? r : xk_port_watch_start(b->loop, w, w->port);
}

static int bind_ports(struct xk_netback *b)
{
    const struct xk_netback_config *c = &b->config;
    int r = bind_port(b, &b->tx_watch, c->tx_port);

    if (r < 0 || c->rx_port == c->tx_port)
        b->rx_watch.port = b->tx_watch.port;
    else
        r = bind_port(b, &b->rx_watch, c->rx_port);
    return r;
}

static int make_memory(struct xk_netback *b)
{
    const uint32_t all = XK_NET_CSUM4 | XK_NET_CSUM6 | XK_NET_GSO4 | XK_NET_GSO6 | XK_NET_LARGE;

    b->backlog_size = b->config.backlog ? b->config.backlog : BACKLOG;
    b->arena = xk_new(&b->alloc, ARENA);
    b->backlog = xk_new(&b->alloc, b->backlog_size);
    if ((b->config.features & all) != all) {
        b->dev.scratch = xk_new(&b->alloc, SCRATCH);
        b->dev.scratch_size = SCRATCH;
        if (!b->dev.scratch)
            return XK_ENOMEM;
    }
    return b->arena && b->backlog ? 0 : XK_ENOMEM;
}

static int make(struct xk_netback *b)
{
    int r = map_ring(b, b->config.tx, &b->tx_page);

    if (r == 0)
        r = map_ring(b, b->config.rx, &b->rx_page);
    if (r == 0)
        r = make_memory(b);
    if (r == 0)
        r = bind_ports(b);
    if (r == 0)
        r = attach(b, &b->tx, b->tx_page, NET_TX_SLOT, b->tx_watch.port);
    if (r == 0)
        r = attach(b, &b->rx, b->rx_page, NET_RX_SLOT, b->rx_watch.port);
    return r;
}

int xk_netback_open(const xk_alloc *alloc, struct xk_loop *loop, const struct xk_netback_config *config,
                    struct xk_netback **out)
{
    struct xk_netback *b;
    int r;

    if ((config->backlog && config->backlog < 2 * XK_PACKET_MAX) || config->grefs > XK_NETBACK_GREFS)
        return XK_EINVAL;
    b = xk_new(alloc, sizeof(*b));
    if (!b)
        return XK_ENOMEM;
    b->config = *config;
    b->dev.ops = &ops;
    memcpy(b->dev.info.mac, config->mac, 6);
    b->dev.info.mtu = config->mtu ? config->mtu : 1500;
    b->dev.info.features = config->features | XK_NET_PARTS;
    b->alloc = alloc ? *alloc : *xk_alloc_libc();
    b->loop = loop;
    b->platform = xk_loop_platform(loop);
    grefs_init(&b->kept, &b->alloc, b->platform, config->front, config->grefs);
    b->tx_watch.fn = on_tx_event;
    b->rx_watch.fn = on_rx_event;
    b->spinner.fn = on_spin;
    r = make(b);
    if (r < 0) {
        destroy(b);
        return r;
    }
    b->dev.info.up = 1;
    xk_spinner_start(loop, &b->spinner);
    *out = b;
    return 0;
}

struct xk_netdev *xk_netback_device(struct xk_netback *b) { return &b->dev; }

unsigned xk_netback_keeps(const struct xk_netback *b) { return b->config.grefs; }
int xk_netback_keep(struct xk_netback *b, const xk_gref *refs, unsigned n, int readonly)
{
    return grefs_add(&b->kept, refs, n, readonly);
}
int xk_netback_let_go(struct xk_netback *b, xk_gref ref) { return grefs_remove(&b->kept, ref); }
void xk_netback_hash(struct xk_netback *b, const struct xk_net_hash *hash) { b->hash = hash; }

void xk_netback_stats(const struct xk_netback *b, struct xk_netback_stats *out)
{
    *out = b->stats;
    out->waiting = waiting(b);
    out->kept = b->kept.count;
}
