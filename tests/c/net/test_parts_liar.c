/* Large packets between two guests of a switch, of which one is made by hand: what is not right, and what is unusual.
 * SPDX-License-Identifier: MIT */
#include "tests/c/net/liar.h"

#include "tests/c/net/parts.h"

/* The first guest is made by hand. */
static void liar_open(struct liar *l)
{
    struct xk_netback_config c = back_config(0);
    uint8_t f[60];

    world_without_guests();
    liar_make(l, dom[1], 3, &c);
    add_back(0, &c);
    add_guest(1, back_config(1));
    run();
    say(1, CABLE, f, sizeof(f));
    say(CABLE, 1, f, sizeof(f));
    empty_sinks();
}

static void liar_close(struct liar *l)
{
    xk_switch_remove(port[0]);
    xk_net_close(plug[0]);
    plug[0] = NULL;
    liar_end(l);
    close_all();
}

/* A packet of up to 8 pieces of any size, none in step with pages. Its bytes go to (whole). */
static void uneven(struct liar *l, uint32_t len, unsigned pieces, struct net_tx *t, uint8_t *whole)
{
    struct xk_packet p = tcp(bytes[0], 0, 1, len - 54, 0);
    uint32_t at = 0;

    memcpy(whole, p.data, len);
    for (unsigned i = 0; i < pieces; i++) {
        uint32_t left = pieces - 1 - i, least = len - at > left * 4096 ? len - at - left * 4096 : 1;
        uint32_t most = len - at - left < 4096 ? len - at - left : 4096;
        uint16_t n = (uint16_t)(least + roll(most - least + 1)), offset = (uint16_t)roll(4097 - n);
        memcpy(l->data + i * 4096 + offset, whole + at, n);
        t[i] = (struct net_tx){l->ref[i], offset, i + 1 < pieces ? NET_MORE : 0, (uint16_t)i, n};
        at += n;
    }
    t[0].flags |= NET_TX_VALIDATED;
    t[0].size = (uint16_t)len;
}

/* A packet of three pages to (to); its pages are (l)'s first. */
static void lie(struct liar *l, int to, struct net_tx *t)
{
    struct xk_packet p = tcp(bytes[0], 0, to, 9000, 0);

    memcpy(l->data, p.data, p.len);
    for (int i = 0; i < 3; i++)
        t[i] = (struct net_tx){l->ref[i], 0, i < 2 ? NET_MORE : 0, (uint16_t)i,
                               (uint16_t)(i == 0   ? p.len
                                          : i == 1 ? 4096
                                                   : p.len - 8192)};
    t[0].flags |= NET_TX_VALIDATED;
}

static void put(struct liar *l, const struct net_tx *t)
{
    EQ(xk_ring_front_put(&l->tx, t, 3), 3);
    if (xk_ring_front_publish(&l->tx))
        xk_evtchn_notify(dom[1], l->port);
}

static void answers(struct liar *l, int status)
{
    union net_tx_slot a[8];

    EQ(xk_ring_front_take(&l->tx, a, 8), 3);
    for (int i = 0; i < 3; i++) {
        EQ(a[i].answer.id, i);
        EQ(a[i].answer.status, status);
    }
}

/* Both of them still come through. */
static void still_work(struct liar *l)
{
    struct net_tx t[3];
    size_t n = sink[1].n;

    lie(l, 1, t);
    put(l, t);
    run();
    answers(l, NET_OKAY);
    EQ(sink[1].n, n + 1);
    EQ(sink[1].p[n].len, 9054);
    MEMEQ(sink[1].p[n].data, l->data, 9054);
    say(CABLE, 1, bytes[0], 60);
    EQ(sink[1].n, n + 2);
    EQ(broken, 0);
}

TEST(pages_that_are_not_granted_cost_their_packet)
{
    struct liar l;
    struct net_tx t[3];

    liar_open(&l);
    for (int i = 0; i < 3; i++)
        for (int to = 1; to <= 2; to++) {
            empty_sinks();
            lie(&l, to, t);
            t[i].ref = 4000;
            put(&l, t);
            run();
            EQ(sink[1].n + sink[CABLE].n, 0);
            /* who sends from guest to guest learns no more than that it was sent */
            answers(&l, i && to == 1 ? NET_OKAY : NET_ERROR);
            EQ(broken, 0);
        }
    EQ(stats(0).errors[0], 4);
    EQ(stats(1).errors[1], 2);
    still_work(&l);
    liar_close(&l);
}

TEST(pieces_of_any_size)
{
    static uint8_t whole[65536];
    struct liar l;
    struct net_tx t[18];
    union net_tx_slot a[64];

    liar_open(&l);
    for (int round = 0; round < 300; round++) {
        unsigned n = 2 + roll(7);
        uint32_t len = 4097 + roll(n * 4096 - 4096);
        uneven(&l, len, n, t, whole);
        empty_sinks();
        EQ(xk_ring_front_put(&l.tx, t, n), n);
        if (xk_ring_front_publish(&l.tx))
            xk_evtchn_notify(dom[1], l.port);
        run();
        EQ(xk_ring_front_take(&l.tx, a, 64), n);
        for (unsigned i = 0; i < n; i++)
            EQ(a[i].answer.status, NET_OKAY);
        EQ(sink[1].n, 1);
        EQ(sink[1].p[0].len, len);
        MEMEQ(sink[1].p[0].data, whole, len);
    }
    EQ(stats(0).fetched, 0);
    still_work(&l);
    liar_close(&l);
}

static struct liar *watched;
static void nothing_is_answered(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    union net_tx_slot a[8];

    OK(n == 1 && p->rest && p->rest->pieces == 3);
    EQ(xk_ring_front_take(&watched->tx, a, 8), XK_EAGAIN);
    ((int *)d->user)[0]++;
}

TEST(pages_are_the_senders_again_only_when_they_were_copied)
{
    struct liar l;
    struct net_tx t[3];
    int n = 0;

    liar_open(&l);
    watched = &l;
    bring_parts_to(nothing_is_answered, &n);
    lie(&l, 1, t);
    put(&l, t);
    run();
    EQ(n, 1);
    answers(&l, NET_OKAY);
    EQ(xk_switch_add(sw, plug[0], NULL, &port[0]), 0);
    still_work(&l);
    liar_close(&l);
}

/* What was looked at is what goes on, whatever the sender writes there meanwhile. */
static void lie_meanwhile(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    (void)d;
    memset(watched->data, 0xee, 6); /* to all but the address that was seen */
    for (unsigned i = 0; i < n; i++)
        xk_net_send(plug[1], &p[i]);
    xk_net_kick(plug[1]);
}

TEST(heads_are_not_copied_twice)
{
    struct liar l;
    struct net_tx t[3];

    liar_open(&l);
    watched = &l;
    bring_parts_to(lie_meanwhile, NULL);
    lie(&l, 1, t);
    put(&l, t);
    run();
    answers(&l, NET_OKAY);
    EQ(sink[1].n, 1);
    EQ(sink[1].p[0].data[0], 2);
    EQ(l.data[0], 0xee);
    EQ(xk_switch_add(sw, plug[0], NULL, &port[0]), 0);
    still_work(&l);
    liar_close(&l);
}

static void note_head(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    OK(n == 1 && p->rest);
    ((unsigned *)d->user)[0] = p->rest->head;
    ((unsigned *)d->user)[1] = p->rest->pieces;
}

/* A packet of three slots, of which the first is so long. */
static void in_three(struct liar *l, uint16_t first, int six)
{
    struct xk_packet p = tcp(bytes[0], 0, 1, 8000, six);
    uint32_t rest = p.len - first - 4096;
    struct net_tx t[3];

    memcpy(l->data, p.data, first);
    memcpy(l->data + 4096, p.data + first, 4096);
    memcpy(l->data + 8192, p.data + first + 4096, rest);
    t[0] = (struct net_tx){l->ref[0], 0, NET_MORE | NET_TX_VALIDATED, 0, (uint16_t)p.len};
    t[1] = (struct net_tx){l->ref[1], 0, NET_MORE, 1, 4096};
    t[2] = (struct net_tx){l->ref[2], 0, 0, 2, (uint16_t)rest};
    put(l, t);
    run();
    answers(l, NET_OKAY);
}

/* A first slot that may hold all headers is the head, so that the second stays in one piece; what it does hold is seen.
 */
TEST(a_head_ends_with_its_slot)
{
    static const struct {
        uint16_t first, head, pieces;
        int six;
    } want[] = {{54, 54, 2, 0},   {53, 192, 2, 0},  {66, 66, 2, 0}, {191, 191, 2, 0}, {192, 192, 2, 0},
                {512, 512, 2, 0}, {513, 192, 3, 0}, {74, 74, 2, 1}, {73, 73, 0, 1}};
    unsigned got[2];
    struct liar l;

    liar_open(&l);
    bring_parts_to(note_head, got);
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        in_three(&l, want[i].first, want[i].six);
        EQ(got[0], want[i].head);
        EQ(got[1], want[i].pieces);
    }
    EQ(xk_switch_add(sw, plug[0], NULL, &port[0]), 0);
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        empty_sinks();
        in_three(&l, want[i].first, want[i].six);
        EQ(sink[1].n, 1);
        EQ(sink[1].p[0].len, want[i].six ? 8074 : 8054);
        MEMEQ(sink[1].p[0].data, bytes[0], sink[1].p[0].len);
    }
    EQ(stats(0).fetched, 2); /* once to the one, once to the other */
    still_work(&l);
    liar_close(&l);
}

/* 18 pages and what is said of them: as many as Linux' front end takes. There is one copy of the head and one for each
 * piece, where filled pages would take 33. */
TEST(a_packet_may_take_eighteen_pages)
{
    enum { FIRST = 256, LEN = FIRST + 3841 + 16 * 3839 };
    static uint8_t whole[LEN];
    union net_tx_slot t[19], a[32];
    struct liar l;
    uint32_t at = FIRST;

    liar_open(&l);
    memcpy(whole, tcp(bytes[0], 0, 1, LEN - 54, 0).data, FIRST);
    memset(t, 0, sizeof(t));
    memcpy(l.data, whole, FIRST);
    t[0].tx = (struct net_tx){l.ref[0], 0, NET_MORE | NET_EXTRA | NET_TX_VALIDATED | NET_TX_BLANK, 0, LEN};
    t[1].extra.type = NET_EXTRA_GSO;
    t[1].extra.u.gso.size = 1400;
    t[1].extra.u.gso.type = XK_GSO_TCP4;
    for (unsigned i = 1; i < 18; i++) {
        uint16_t n = i == 1 ? 3841 : 3839;
        uint8_t *page = l.data + (1 + i % 7) * 4096;
        for (unsigned k = 0; i < 8 && k < 4096; k++)
            page[k] = (uint8_t)roll(256);
        t[1 + i].tx = (struct net_tx){l.ref[1 + i % 7], (uint16_t)i, i < 17 ? NET_MORE : 0, (uint16_t)i, n};
        memcpy(whole + at, page + i, n);
        at += n;
    }
    EQ(at, LEN);
    xk_fake_fail(world, XK_FAKE_COPY, 1 + 18 + 1); /* the first that is not needed */
    EQ(xk_ring_front_put(&l.tx, t, 19), 19);
    if (xk_ring_front_publish(&l.tx))
        xk_evtchn_notify(dom[1], l.port);
    run();
    xk_fake_fail(world, XK_FAKE_COPY, 0);
    EQ(xk_ring_front_take(&l.tx, a, 32), 19);
    EQ(sink[1].n, 1);
    EQ(sink[1].p[0].gso, XK_GSO_TCP4);
    EQ(sink[1].p[0].len, LEN);
    MEMEQ(sink[1].p[0].data, whole, LEN);
    EQ(stats(1).direct, 1);
    still_work(&l);
    liar_close(&l);
}

TEST(each_copy_fails_once)
{
    unsigned all = 0, lost = 0;

    for (unsigned nth = 1; all == 0; nth++) {
        struct xk_packet p[2];
        open_all();
        for (int i = 0; i < 2; i++) {
            p[i] = tcp(bytes[i], 0, i ? CABLE : 1, 9000, 0);
            p[i].gso = p[i].gso_size = 0;
            p[i].flags = XK_PACKET_CSUM_VALID;
            EQ(xk_net_send(end[0], &p[i]), 0);
        }
        xk_fake_fail(world, XK_FAKE_COPY, nth);
        xk_net_kick(end[0]);
        run();
        all = sink[1].n == 1 && sink[CABLE].n == 1;
        lost += !all;
        if (!all)
            EQ(sink[1].n + sink[CABLE].n, 1); /* the other one came through */
        for (int i = 0; i < 2; i++)
            if (sink[i + 1].n)
                is_there(i + 1, 0, &p[i]);
        xk_fake_fail(world, XK_FAKE_COPY, 0);
        EQ(broken, 0);
        churn(2);
        close_all();
    }
    OK(lost >= 2 + 4 + 3); /* heads, what fills the one's three pages, the rest of the other */
}

static void send_often(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    EQ(n, 1);
    for (int i = 0; i < *(int *)d->user; i++)
        EQ(xk_net_send(plug[1], p), 0);
    xk_net_kick(plug[1]);
}

TEST(there_are_more_copies_than_one_call_takes)
{
    struct liar l;
    struct net_tx t[18];
    int often = 60;

    liar_open(&l);
    bring_parts_to(send_often, &often);
    tcp(l.data, 0, 1, 3000, 0);
    for (unsigned i = 0; i < 18; i++)
        t[i] = (struct net_tx){l.ref[0], (uint16_t)(i * 100), i < 17 ? NET_MORE : 0, (uint16_t)i, i == 1 ? 2600 : 100};
    t[0].size = 100 * 17 + 2600;
    EQ(xk_ring_front_put(&l.tx, t, 18), 18);
    if (xk_ring_front_publish(&l.tx))
        xk_evtchn_notify(dom[1], l.port);
    run();
    EQ(sink[1].n, often);
    for (int i = 0; i < often; i++) {
        EQ(sink[1].p[i].len, 4300);
        MEMEQ(sink[1].p[i].data, l.data, 100);
        MEMEQ(sink[1].p[i].data + 4200, l.data + 1700, 100);
    }
    EQ(xk_switch_add(sw, plug[0], NULL, &port[0]), 0);
    liar_close(&l);
}

static void close_meanwhile(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    (void)p;
    (void)n;
    xk_net_close(d);
}

TEST(a_back_end_may_be_closed_while_it_brings_a_part)
{
    struct xk_packet p;

    open_all();
    bring_parts_to(close_meanwhile, NULL);
    p = tcp(bytes[0], 0, 1, 9000, 0);
    EQ(xk_net_send(end[0], &p), 0);
    xk_net_kick(end[0]);
    run();
    plug[0] = NULL;
    close_all();
}
