/* netfront and netback over one queue: packets of all shapes, faults, either half a liar. SPDX-License-Identifier: MIT
 */
#include <xenkit/ring.h>

#include "drivers/net/proto.h"
#include "tests/c/net/liar.h"
#include "tests/c/net/pair.h"

#include <xen/io/netif.h>

_Static_assert(sizeof(netif_tx_request_t) == sizeof(struct net_tx), "netif.h");
_Static_assert(sizeof(netif_rx_response_t) == sizeof(struct net_rx_answer), "netif.h");
_Static_assert(sizeof(struct netif_extra_info) == sizeof(struct net_extra), "netif.h");
_Static_assert(NETTXF_csum_blank == NET_TX_BLANK && NETTXF_more_data == NET_MORE && NETTXF_extra_info == NET_EXTRA &&
                   NETRXF_csum_blank == NET_RX_BLANK && NETRXF_data_validated == NET_RX_VALIDATED,
               "netif.h");

static struct net_pair p;
static uint64_t seed = 1;
static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static void show(int notify) { (void)notify; } /* the loops here look without being notified */

/* --- packets ------------------------------------------------------------------------------------------------------ */

enum { SENT_MAX = 600 };
static uint8_t sent_bytes[1 << 20];
static struct xk_packet sent[SENT_MAX];

/* A packet of any shape at the end of (sent_bytes). */
static struct xk_packet any_packet(uint8_t *at)
{
    static const uint32_t sizes[] = {14, 15, 60, 1514, 4095, 4096, 4097, 8192, 30000, 65535};
    struct xk_packet q = {at, sizes[roll(10)], 0, 0, 0};

    if (q.len > 1514 && roll(4))
        q.len = 14 + roll(1500);
    for (uint32_t i = 0; i < q.len; i += 1 + i / 64)
        at[i] = (uint8_t)roll(256);
    q.flags = (uint8_t)roll(4);
    q.flags |= q.flags & XK_PACKET_CSUM_BLANK ? XK_PACKET_CSUM_VALID : 0;
    if (q.len > 2000 && roll(2)) {
        q.gso = roll(2) ? XK_GSO_TCP4 : XK_GSO_TCP6;
        q.gso_size = (uint16_t)(500 + roll(1000));
    }
    return q;
}

static void churn(int from, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        struct sink *to = &p.sink[!from];
        size_t n = 0, used = 0, most = 1 + roll(30);
        to->n = to->used = 0;
        while (n < most && used < (1 << 20) - 65536) {
            sent[n] = any_packet(sent_bytes + used);
            int r = xk_net_send(p.end[from], &sent[n]);
            if (r == XK_EAGAIN) {
                xk_net_kick(p.end[from]);
                net_run(&p);
                continue;
            }
            EQ(r, 0);
            used += sent[n++].len;
            if (roll(3) == 0)
                xk_net_kick(p.end[from]);
            if (roll(5) == 0)
                net_run(&p);
        }
        xk_net_kick(p.end[from]);
        net_run(&p);
        EQ(to->n, n);
        for (size_t i = 0; i < n; i++) {
            EQ(to->p[i].len, sent[i].len);
            EQ(to->p[i].flags, sent[i].flags);
            EQ(to->p[i].gso, sent[i].gso);
            EQ(to->p[i].gso_size, sent[i].gso_size);
            MEMEQ(to->p[i].data, sent[i].data, sent[i].len);
        }
    }
}

static void both_ways(int split)
{
    struct xk_netfront_stats fs;
    struct xk_netback_stats bs;

    net_world(&p);
    p.fc.split = (uint8_t)split;
    net_open(&p);
    churn(0, 100);
    churn(1, 100);
    xk_netfront_stats(p.front, &fs);
    xk_netback_stats(p.back, &bs);
    EQ(fs.packets[0], bs.packets[0]);
    EQ(fs.packets[1], bs.packets[1]);
    EQ(fs.errors[0] + fs.errors[1] + bs.errors[0] + bs.errors[1], 0);
    OK(bs.copies < (bs.packets[0] + bs.packets[1]) / 2); /* in batches */
    net_close(&p);
}

TEST(packets_of_all_shapes_arrive_as_they_were) { both_ways(0); }
TEST(with_a_port_each_way) { both_ways(1); }

TEST(few_pages_are_enough)
{
    net_world(&p);
    p.fc.tx_pages = 18;
    p.fc.rx_pages = 19;
    net_open(&p);
    churn(0, 50);
    churn(1, 50);
    net_close(&p);
}

TEST(events_late_or_from_nowhere_change_nothing)
{
    net_world(&p);
    net_open(&p);
    xk_fake_chaos(p.w.fake, 300, 300);
    for (int i = 0; i < 200; i++) {
        uint8_t f[60] = {(uint8_t)i};
        struct xk_packet q = {f, sizeof(f), 0, 0, 0};
        p.sink[i & 1].n = p.sink[i & 1].used = 0;
        EQ(xk_net_send(p.end[!(i & 1)], &q), 0);
        xk_net_kick(p.end[!(i & 1)]);
        for (int k = 0; k < 50 && p.sink[i & 1].n == 0; k++) {
            net_run(&p);
            xk_fake_advance(p.w.fake, XK_MS);
        }
        EQ(p.sink[i & 1].n, 1);
        EQ(p.sink[i & 1].bytes[0], (uint8_t)i);
    }
    net_close(&p);
}

/* --- what the other cannot do ------------------------------------------------------------------------------------- */

/* A large packet with a blank checksum, to an end that can do neither: it gets frames with right ones. */
static void weak_end(int from)
{
    static uint8_t f[65536];
    struct xk_packet_heads h;
    struct xk_packet q;
    uint32_t got = 0;

    net_world(&p);
    p.fc.features = p.bc.features = 0;
    net_open(&p);
    for (int v = 4; v <= 6; v += 2) {
        uint32_t len = frame_tcp(f, v, 20000, 3);
        p.sink[!from].n = p.sink[!from].used = got = 0;
        q = (struct xk_packet){f, len, XK_PACKET_CSUM_BLANK, v == 4 ? XK_GSO_TCP4 : XK_GSO_TCP6, 1400};
        EQ(xk_net_send(p.end[from], &q), 0);
        xk_net_kick(p.end[from]);
        net_run(&p);
        EQ(p.sink[!from].n, 15);
        for (size_t i = 0; i < p.sink[!from].n; i++) {
            const struct xk_packet *r = &p.sink[!from].p[i];
            EQ(xk_packet_heads(r->data, r->len, &h), 0);
            EQ(xk_packet_check(r->data, &h), 1);
            EQ(r->flags & XK_PACKET_CSUM_BLANK, 0);
            EQ(r->gso, 0);
            got += r->len - h.l4_end;
        }
        EQ(got, 20000);
        q = (struct xk_packet){f, 5000, 0, 0, 0};
        EQ(xk_net_send(p.end[from], &q), XK_EINVAL); /* a frame beyond a page, which is not to be cut */
        q = (struct xk_packet){f, frame_tcp(f, v, 100, 1), XK_PACKET_CSUM_BLANK, 0, 0};
        f[q.len - 1]++; /* makes the sum wrong, if it is not computed */
        EQ(xk_net_send(p.end[from], &q), 0);
        xk_net_kick(p.end[from]);
        net_run(&p);
        EQ(p.sink[!from].n, 16);
        EQ(xk_packet_heads(p.sink[!from].p[15].data, q.len, &h), 0);
        EQ(xk_packet_check(p.sink[!from].p[15].data, &h), 1);
    }
    net_close(&p);
}

/* What a sender says of the size of the pieces is not believed beyond what there is room for. */
TEST(pieces_are_neither_tiny_nor_longer_than_the_network_takes)
{
    static uint8_t f[65536];
    struct xk_packet q = {f, 0, XK_PACKET_CSUM_BLANK, XK_GSO_TCP4, 20000};

    net_world(&p);
    p.fc.features = p.bc.features = 0;
    net_open(&p);
    q.len = frame_tcp(f, 4, 20000, 3);
    EQ(xk_net_send(p.end[0], &q), 0);
    xk_net_kick(p.end[0]);
    net_run(&p);
    EQ(p.sink[1].n, 14); /* of 1460 bytes */
    EQ(p.sink[1].p[0].len, 1514);
    q.gso_size = 47;
    EQ(xk_net_send(p.end[0], &q), XK_EINVAL);
    net_close(&p);
}

TEST(a_back_end_that_can_nothing_gets_plain_frames) { weak_end(0); }
TEST(a_front_end_that_can_nothing_gets_plain_frames) { weak_end(1); }

TEST(what_is_no_frame_is_refused)
{
    uint8_t f[60] = {0};
    struct xk_packet q = {f, 13, 0, 0, 0};

    net_world(&p);
    net_open(&p);
    EQ(xk_net_send(p.end[0], &q), XK_EINVAL);
    q.len = 65536;
    EQ(xk_net_send(p.end[0], &q), XK_EINVAL);
    q = (struct xk_packet){f, 60, 0, XK_GSO_TCP4, 0};
    EQ(xk_net_send(p.end[0], &q), XK_EINVAL);
    q.gso = 7;
    EQ(xk_net_send(p.end[0], &q), XK_EINVAL);
    net_close(&p);
}

/* --- a slow guest ------------------------------------------------------------------------------------------------- */

TEST(what_a_guest_is_too_slow_for_waits_up_to_a_bound)
{
    static uint8_t f[1514];
    struct xk_packet q = {f, sizeof(f), 0, 0, 0};
    struct xk_netback_stats s;
    size_t n = 0;
    int r;

    net_world(&p);
    p.bc.backlog = 200000;
    net_open(&p);
    for (;; n++) { /* its loop does not run */
        xk_packet_put32(f, (uint32_t)n);
        r = xk_net_send(p.end[1], &q);
        xk_net_kick(p.end[1]);
        if (r < 0)
            break;
        OK(n < 1000);
    }
    EQ(r, XK_EAGAIN);
    xk_netback_stats(p.back, &s);
    OK(s.waiting <= 200000 && s.waiting > 190000);
    EQ(n, 256 + s.delayed);
    net_run(&p);
    EQ(p.sink[0].n, n);
    for (size_t i = 0; i < n; i++)
        EQ(xk_packet_get32(p.sink[0].p[i].data), i);
    EQ(p.sink[1].rooms, 1);
    xk_netback_stats(p.back, &s);
    EQ(s.waiting, 0);
    net_close(&p);
}

TEST(a_full_ring_says_so_and_when_it_is_free)
{
    uint8_t f[60] = {0};
    struct xk_packet q = {f, 60, 0, 0, 0};
    int n = 0;

    net_world(&p);
    net_open(&p);
    while (xk_net_send(p.end[0], &q) == 0)
        n++;
    EQ(n, 256);
    xk_net_kick(p.end[0]);
    net_run(&p);
    EQ(p.sink[1].n, 256);
    EQ(p.sink[0].rooms, 1);
    EQ(xk_net_send(p.end[0], &q), 0);
    net_close(&p);
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

static void liar_open(struct liar *l)
{
    net_world(&p);
    liar_make(l, p.w.dom[1], 2, &p.bc);
    p.bc.front = 1;
    p.bc.broken = net_back_broken;
    p.bc.arg = &p;
    EQ(xk_netback_open(xk_fake_alloc(p.w.fake), p.back_loop, &p.bc, &p.back), 0);
    p.end[1] = xk_netback_device(p.back);
    net_sink(&p, 1);
}

static void liar_close(struct liar *l)
{
    xk_net_close(p.end[1]);
    p.back = NULL;
    liar_end(l);
    net_close(&p);
}

static void say(struct liar *l, const void *slots, unsigned n)
{
    EQ(xk_ring_front_put(&l->tx, slots, n), n);
    if (xk_ring_front_publish(&l->tx))
        xk_evtchn_notify(p.w.dom[1], l->port);
    net_run(&p);
}

static int heard(struct liar *l, union net_tx_slot *a) { return xk_ring_front_take(&l->tx, a, 64); }

static struct net_tx plain(struct liar *l, uint16_t id, uint16_t size)
{
    return (struct net_tx){l->ref[0], 0, 0, id, size};
}

/* The back end still serves. */
static void still_serves(struct liar *l)
{
    struct net_tx t = plain(l, 77, 60);
    union net_tx_slot a[64];
    size_t n = p.sink[1].n;

    say(l, &t, 1);
    EQ(heard(l, a), 1);
    EQ(a[0].answer.id, 77);
    EQ(a[0].answer.status, NET_OKAY);
    EQ(p.sink[1].n, n + 1);
    EQ(p.back_broken, 0);
}

TEST(wrong_packets_are_answered_and_nothing_else)
{
    struct liar l;
    union net_tx_slot a[64];

    liar_open(&l);
    for (int i = 0; i < 9; i++) {
        union net_tx_slot s[20] = {{.tx = plain(&l, 5, 60)}};
        unsigned n = 1, nulls = 0;
        switch (i) {
        case 0:
            s[0].tx.size = 13;
            break;
        case 1:
            s[0].tx.size = 0;
            break;
        case 2:
            s[0].tx.offset = 4090;
            break;
        case 3:
            s[0].tx.ref = 4000;
            break; /* no such grant */
        case 4:    /* the rest is longer than the whole */
            s[0].tx.flags = NET_MORE;
            s[1].tx = plain(&l, 6, 60);
            n = 2;
            break;
        case 5: /* the rest leaves its page */
            s[0].tx = (struct net_tx){l.ref[0], 0, NET_MORE, 5, 5000};
            s[1].tx = (struct net_tx){l.ref[1], 100, 0, 6, 4000};
            n = 2;
            break;
        case 6: /* cut into nothing */
            s[0].tx.flags = NET_EXTRA;
            s[1].extra = (struct net_extra){.type = NET_EXTRA_GSO, .u.gso = {0, 1, 0, 0}};
            n = 2, nulls = 1;
            break;
        case 7: /* a page of the second that is not granted */
            s[0].tx = (struct net_tx){l.ref[0], 0, NET_MORE, 5, 5000};
            s[1].tx = (struct net_tx){9999, 0, 0, 6, 1000};
            n = 2;
            break;
        default: /* more than anybody has to take */
            for (unsigned k = 0; k < 19; k++)
                s[k].tx = (struct net_tx){l.ref[k % 8], 0, k < 18 ? NET_MORE : 0, (uint16_t)k, k ? 100 : 4000};
            n = 19;
        }
        say(&l, s, n);
        EQ(heard(&l, a), n);
        for (unsigned k = 0; k < n; k++)
            EQ(a[k].answer.status, nulls && k == 1 ? NET_NULL : NET_ERROR);
        EQ(p.back_broken, 0);
    }
    still_serves(&l);
    EQ(p.sink[1].n, 1);
    liar_close(&l);
}

/* One call copies a whole batch: what is wrong in it is not even asked for, and costs the others nothing. */
TEST(a_wrong_packet_among_others_is_the_only_one_that_fails)
{
    struct liar l;
    union net_tx_slot s[4], a[64];

    liar_open(&l);
    for (unsigned i = 0; i < 4; i++)
        s[i].tx = plain(&l, (uint16_t)i, 60);
    s[1].tx.offset = 4090;
    s[2].tx.ref = 4000;
    say(&l, s, 4);
    EQ(heard(&l, a), 4);
    EQ(a[0].answer.status, NET_OKAY);
    EQ(a[1].answer.status, NET_ERROR);
    EQ(a[2].answer.status, NET_ERROR);
    EQ(a[3].answer.status, NET_OKAY);
    EQ(p.sink[1].n, 2);
    liar_close(&l);
}

TEST(a_packet_may_come_in_pieces_of_time)
{
    struct liar l;
    union net_tx_slot s, a[64];

    liar_open(&l);
    memset(l.data, 'a', 4096);
    memset(l.data + 4096, 'b', 4096);
    s.tx = (struct net_tx){l.ref[0], 10, NET_MORE, 1, 300};
    say(&l, &s, 1);
    EQ(heard(&l, a), XK_EAGAIN);
    s.tx = (struct net_tx){l.ref[1], 20, 0, 2, 100};
    say(&l, &s, 1);
    EQ(heard(&l, a), 2);
    EQ(p.sink[1].n, 1);
    EQ(p.sink[1].p[0].len, 300);
    EQ(p.sink[1].bytes[199], 'a');
    EQ(p.sink[1].bytes[200], 'b');
    liar_close(&l);
}

TEST(a_chain_without_end_is_given_up)
{
    struct liar l;

    liar_open(&l);
    for (int i = 0; i < 40 && !p.back_broken; i++) {
        union net_tx_slot s = {.tx = {l.ref[0], 0, NET_MORE, 1, 100}};
        say(&l, &s, 1);
    }
    EQ(p.back_broken, XK_EPEER);
    EQ(p.end[1]->info.up, 0);
    liar_close(&l);
}

TEST(indices_that_jump_are_given_up)
{
    for (int ring = 0; ring < 2; ring++) {
        struct liar l;
        uint8_t f[60] = {0};
        struct xk_packet q = {f, 60, 0, 0, 0};
        liar_open(&l);
        ((volatile uint32_t *)(void *)(l.rings + ring * 4096))[0] = 300;
        xk_evtchn_notify(p.w.dom[1], l.port);
        net_run(&p);
        EQ(xk_net_send(p.end[1], &q), XK_EGONE);
        EQ(p.back_broken, XK_EPEER);
        liar_close(&l);
    }
}

TEST(pages_to_receive_into_that_are_none)
{
    struct liar l;
    union net_rx_slot s[2] = {{.rx = {3, 0, 5555}}, {.rx = {4, 0, 0}}}, a[64];
    uint8_t f[60] = {1};
    struct xk_packet q = {f, 60, 0, 0, 0};

    liar_open(&l);
    s[1].rx.ref = l.ref[2];
    EQ(xk_ring_front_put(&l.rx, s, 2), 2);
    show(xk_ring_front_publish(&l.rx));
    EQ(xk_net_send(p.end[1], &q), 0);
    EQ(xk_net_send(p.end[1], &q), 0);
    xk_net_kick(p.end[1]);
    EQ(xk_ring_front_take(&l.rx, a, 64), 2);
    EQ(a[0].answer.id, 3);
    EQ(a[0].answer.status, NET_ERROR);
    EQ(a[1].answer.status, 60);
    EQ(l.data[2 * 4096], 1);
    still_serves(&l);
    liar_close(&l);
}

TEST(groups_that_were_not_asked_for_do_not_come)
{
    struct liar l;
    union net_tx_slot s[2] = {{.tx = {0, 0, NET_EXTRA, 9, 0}}, {.extra = {.type = NET_EXTRA_MCAST_ADD}}}, a[64];
    union net_rx_slot r[4], got[64];
    uint8_t f[60] = {1, 0, 0x5e, 0, 0, 1};
    struct xk_packet q = {f, 60, 0, 0, 0};

    memset(&p.bc, 0, sizeof(p.bc));
    liar_open(&l);
    xk_net_close(p.end[1]);
    p.bc.multicast = 1;
    EQ(xk_netback_open(xk_fake_alloc(p.w.fake), p.back_loop, &p.bc, &p.back), 0);
    p.end[1] = xk_netback_device(p.back);
    net_sink(&p, 1);
    for (unsigned i = 0; i < 4; i++)
        r[i].rx = (struct net_rx){(uint16_t)i, 0, l.ref[i]};
    EQ(xk_ring_front_put(&l.rx, r, 4), 4);
    show(xk_ring_front_publish(&l.rx));
    EQ(xk_net_send(p.end[1], &q), 0);
    xk_net_kick(p.end[1]);
    EQ(xk_ring_front_take(&l.rx, got, 64), XK_EAGAIN);
    memcpy(s[1].extra.u.mcast, f, 6);
    say(&l, s, 2);
    EQ(heard(&l, a), 2);
    EQ(a[0].answer.status, NET_OKAY);
    EQ(a[1].answer.status, NET_NULL);
    EQ(xk_net_send(p.end[1], &q), 0);
    xk_net_kick(p.end[1]);
    EQ(xk_ring_front_take(&l.rx, got, 64), 1);
    s[1].extra.type = NET_EXTRA_MCAST_DEL;
    say(&l, s, 2);
    EQ(xk_net_send(p.end[1], &q), 0);
    memset(f, 255, 6);
    EQ(xk_net_send(p.end[1], &q), 0); /* all are meant */
    xk_net_kick(p.end[1]);
    EQ(xk_ring_front_take(&l.rx, got, 64), 1);
    s[1].extra.u.mcast[0] = 2; /* not a group */
    s[1].extra.type = NET_EXTRA_MCAST_ADD;
    say(&l, s, 2);
    EQ(heard(&l, a), 4);
    EQ(a[2].answer.status, NET_ERROR);
    liar_close(&l);
}

/* --- a lying back end --------------------------------------------------------------------------------------------- */

static struct xk_ring_back lie_tx, lie_rx;
static void *lie_page[2];

static void lying_back(void)
{
    struct xk_netfront_rings rings;

    net_world(&p);
    EQ(net_front(&p), 0);
    xk_netfront_connect(p.front);
    xk_netfront_rings(p.front, &rings);
    EQ(xk_page_map(p.w.dom[2], 1, &rings.tx, 1, 0, NULL, &lie_page[0]), 0);
    EQ(xk_page_map(p.w.dom[2], 1, &rings.rx, 1, 0, NULL, &lie_page[1]), 0);
    EQ(xk_ring_back_attach(&lie_tx, lie_page[0], 4096, NET_TX_SLOT), 0);
    EQ(xk_ring_back_attach(&lie_rx, lie_page[1], 4096, NET_RX_SLOT), 0);
}

static void lying_back_close(void)
{
    EQ(xk_page_unmap(p.w.dom[2], lie_page[0], 1), 0);
    EQ(xk_page_unmap(p.w.dom[2], lie_page[1], 1), 0);
    net_close(&p);
}

static void lie(const struct net_rx_answer *a, unsigned n)
{
    union net_rx_slot took[64];

    EQ(xk_ring_back_take(&lie_rx, took, n), n);
    EQ(xk_ring_back_put(&lie_rx, a, n), n);
    show(xk_ring_back_publish(&lie_rx));
    net_run(&p);
}

TEST(what_a_back_end_may_never_write)
{
    for (int i = 0; i < 6; i++) {
        struct net_rx_answer a[40] = {{0, 0, 0, 60}};
        struct net_tx_answer t = {.id = 7, .status = 0};
        uint8_t f[60] = {0};
        struct xk_packet q = {f, 60, 0, 0, 0};
        union net_tx_slot took;
        lying_back();
        switch (i) {
        case 0: /* of another page */
            a[0].id = 9;
            lie(a, 1);
            break;
        case 1:
            a[0].offset = 4090;
            lie(a, 1);
            break;
        case 2: /* an answer to what was not sent */
            EQ(xk_net_send(p.end[0], &q), 0);
            xk_net_kick(p.end[0]);
            EQ(xk_ring_back_take(&lie_tx, &took, 1), 1);
            t.id = (uint16_t)(took.tx.id + 1);
            EQ(xk_ring_back_put(&lie_tx, &t, 1), 1);
            show(xk_ring_back_publish(&lie_tx));
            net_run(&p);
            break;
        case 3: /* without end */
            for (unsigned k = 0; k < 40; k++)
                a[k] = (struct net_rx_answer){(uint16_t)k, 0, NET_MORE, 10};
            lie(a, 40);
            break;
        case 4:
            ((volatile uint32_t *)lie_page[0])[2] = 5;
            net_run(&p);
            break;
        default:
            ((volatile uint32_t *)lie_page[1])[2] = 1000;
            net_run(&p);
        }
        EQ(p.front_broken, XK_EPEER);
        EQ(p.sink[0].n, 0);
        EQ(xk_net_send(p.end[0], &q), XK_EGONE);
        lying_back_close();
    }
}

TEST(what_comes_in_two_parts_of_time_is_one_packet)
{
    struct net_rx_answer a[2] = {{0, 0, 0, 100}, {1, 0, NET_MORE, 200}}, b = {2, 0, 0, 300};
    struct xk_netfront_rings rings;
    void *pages[3];

    lying_back();
    xk_netfront_rings(p.front, &rings);
    for (int i = 0; i < 3; i++) { /* its pages, by the requests that stand on the ring */
        struct net_rx r;
        memcpy(&r, (uint8_t *)lie_page[1] + 64 + i * 8, 8);
        EQ(xk_page_map(p.w.dom[2], 1, &r.ref, 1, 0, NULL, &pages[i]), 0);
        memset(pages[i], 'a' + i, 4096);
    }
    lie(a, 2);
    EQ(p.sink[0].n, 1);
    lie(&b, 1);
    EQ(p.sink[0].n, 2);
    EQ(p.sink[0].p[1].len, 500);
    EQ(p.sink[0].p[1].data[0], 'b');
    EQ(p.sink[0].p[1].data[199], 'b');
    EQ(p.sink[0].p[1].data[200], 'c');
    for (int i = 0; i < 3; i++)
        EQ(xk_page_unmap(p.w.dom[2], pages[i], 1), 0);
    lying_back_close();
}

TEST(what_makes_no_sense_is_dropped_alone)
{
    struct net_rx_answer a[8] = {{0, 0, 0, -1}, {1, 0, 0, 13}, {2, 0, NET_EXTRA, 60}, {0}, {4, 0, NET_MORE, 60}};
    struct xk_netfront_stats s;

    lying_back();
    ((struct net_extra *)(void *)&a[3])->type = NET_EXTRA_GSO; /* in pieces of 0 bytes */
    a[5] = (struct net_rx_answer){5, 0, 0, -1};
    a[6] = (struct net_rx_answer){6, 8, 0, 60};
    lie(a, 7);
    EQ(p.front_broken, 0);
    EQ(p.sink[0].n, 1);
    xk_netfront_stats(p.front, &s);
    EQ(s.errors[1], 4);
    lying_back_close();
}

/* --- faults ------------------------------------------------------------------------------------------------------- */

static void fail_each(enum xk_fake_fault what)
{
    for (unsigned nth = 1;; nth++) {
        int r;
        net_world(&p);
        xk_fake_fail(p.w.fake, what, nth);
        r = net_front(&p);
        if (r < 0) {
            p.front = NULL;
        } else {
            r = net_back(&p);
            if (r < 0)
                p.back = NULL;
            else
                xk_netfront_connect(p.front);
        }
        xk_fake_fail(p.w.fake, what, 0);
        if (r == 0)
            churn((int)(nth & 1), 2);
        net_close(&p); /* and nothing is left over */
        if (r == 0) {
            OK(nth > 2);
            return;
        }
    }
}

TEST(each_allocation_fails_once) { fail_each(XK_FAKE_ALLOC); }
TEST(each_share_fails_once) { fail_each(XK_FAKE_SHARE); }
TEST(each_map_fails_once) { fail_each(XK_FAKE_MAP); }
TEST(each_event_channel_fails_once) { fail_each(XK_FAKE_EVTCHN); }

TEST(a_copy_that_fails_costs_its_packet)
{
    uint8_t f[3][60] = {{1}, {2}, {3}};

    net_world(&p);
    net_open(&p);
    for (int from = 0; from < 2; from++) {
        for (int i = 0; i < 3; i++) {
            struct xk_packet q = {f[i], 60, 0, 0, 0};
            EQ(xk_net_send(p.end[from], &q), 0);
        }
        xk_fake_fail(p.w.fake, XK_FAKE_COPY, 2);
        xk_net_kick(p.end[from]);
        net_run(&p);
        EQ(p.sink[!from].n, 2);
        EQ(p.sink[!from].bytes[0], 1);
        EQ(p.sink[!from].bytes[60], 3);
    }
    net_close(&p);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

static void close_in_it(struct xk_netdev *d, const struct xk_packet *q, unsigned n)
{
    (void)q;
    (void)n;
    xk_net_close(d);
}

TEST(either_may_be_closed_while_it_brings_something)
{
    for (int end = 0; end < 2; end++) {
        uint8_t f[60] = {0};
        struct xk_packet q = {f, 60, 0, 0, 0};
        net_world(&p);
        net_open(&p);
        p.end[end]->receive = close_in_it;
        EQ(xk_net_send(p.end[!end], &q), 0);
        xk_net_kick(p.end[!end]);
        net_run(&p);
        if (end)
            p.back = NULL;
        else
            p.front = NULL;
        net_close(&p);
    }
}

TEST(a_back_end_that_was_killed_is_followed_by_another)
{
    uint8_t f[60] = {7};
    struct xk_packet q = {f, 60, 0, 0, 0};
    struct xk_netfront_rings rings;

    net_world(&p);
    net_open(&p);
    churn(0, 3);
    churn(1, 3);
    xk_net_close(p.end[1]);
    p.back = NULL;
    p.sink[0].n = p.sink[1].n = p.sink[0].used = p.sink[1].used = 0;
    EQ(xk_net_send(p.end[0], &q), 0);
    xk_net_kick(p.end[0]);
    net_run(&p);
    xk_netfront_rings(p.front, &rings);
    p.bc.tx_port = p.bc.rx_port = rings.tx_port;
    EQ(xk_netback_open(xk_fake_alloc(p.w.fake), p.back_loop, &p.bc, &p.back), 0);
    p.end[1] = xk_netback_device(p.back);
    net_sink(&p, 1);
    net_run(&p);
    EQ(p.sink[1].n, 1);
    EQ(p.sink[1].bytes[0], 7);
    churn(0, 3);
    churn(1, 3);
    net_close(&p);
}
