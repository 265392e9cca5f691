/* A network's back end that is killed at any store while it shows answers, and the next one: no packet comes that
 * nobody sent, none in parts, and no page is lost. SPDX-License-Identifier: MIT */
#include "tests/c/net/pair.h"
#include "tests/c/steps.h"

enum { N = 9, LATER = 5 }; /* the eighth of N would lie across 32 entries, which can be shown at once */

static struct net_pair p;
static uint8_t bytes[N + LATER][70000];
static struct xk_packet sent[N + LATER];
static uint8_t *ring;
static int from; /* whose packets */

/* Small ones, some of several pages, with and without more to say of them. */
static void make(unsigned i)
{
    static const uint32_t payload[] = {10, 9000, 1400, 5000, 4000, 100, 20000, 60000};

    sent[i] = (struct xk_packet){bytes[i], frame_tcp(bytes[i], 4, payload[i % 8], (uint8_t)(17 * i)), 0, 0, 0};
    sent[i].flags = XK_PACKET_CSUM_VALID;
    if (sent[i].len > 2000) {
        sent[i].gso = XK_GSO_TCP4;
        sent[i].gso_size = 1448;
        sent[i].flags |= XK_PACKET_CSUM_BLANK;
    }
}

static void run_back(void)
{
    while (xk_loop_run_once(p.back_loop, XK_NOW) > 0)
        ;
}

static void send_from(int end, unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        EQ(xk_net_send(p.end[end], &sent[i]), 0);
    xk_net_kick(p.end[end]);
}

static void work(void *arg)
{
    (void)arg;
    if (from == 1)
        send_from(1, 0, N);
    run_back();
}

/* Which of those sent a packet is. */
static unsigned which(const struct xk_packet *q)
{
    unsigned i = 0;

    while (i < N + LATER && (q->len != sent[i].len || memcmp(q->data, sent[i].data, q->len)))
        i++;
    OK(i < N + LATER);
    EQ(q->gso, sent[i].gso);
    return i;
}

/* Always the same, but for its memory. */
static void begin(void)
{
    void *page;

    net_world(&p);
    net_open(&p);
    EQ(xk_page_map(p.w.dom[2], 1, from ? &p.bc.rx : &p.bc.tx, 1, 0, NULL, &page), 0);
    ring = page;
    send_from(from, 0, 2); /* no index is 0 any more */
    net_run(&p);
    if (from == 0)
        send_from(0, 0, N);
}

/* In a process and a world of its own. */
static void next(const uint8_t *found)
{
    struct sink *to = &p.sink[!from];
    unsigned last = 0, i = 0;

    begin();
    work(NULL);
    xk_net_close(p.end[1]);
    memcpy(ring, found, XK_PAGE_SIZE); /* what it has really left */
    to->n = to->used = 0;
    EQ(net_back(&p), 0);
    net_run(&p);
    for (int round = 0; round < tap_rounds(40); round++) { /* all pages come round */
        send_from(from, N, LATER);
        net_run(&p);
        for (; i < to->n; i++) {
            unsigned k = which(&to->p[i]);
            OK(k >= N || (round == 0 && k >= last));
            last = k;
        }
        OK(to->n >= LATER);
        for (unsigned k = 0; k < LATER; k++)
            EQ(which(&to->p[to->n - LATER + k]), N + k);
        i = 0;
        to->n = to->used = 0;
    }
    EQ(p.front_broken, 0);
    EQ(p.back_broken, 0);
}

static void killed(void *arg, const uint8_t *found)
{
    (void)arg;
    steps_fork(next, found);
}

static void kill_it(int end)
{
    struct steps s = {work, killed, NULL, NULL, XK_PAGE_SIZE};

    from = end;
    for (unsigned i = 0; i < N + LATER; i++)
        make(i);
    begin();
    s.area = ring;
    OK(steps_run(&s) > 2 * N); /* in memory that both share: this process has no use for it any more */
}

TEST(while_it_answers_what_the_guest_sent) { kill_it(0); }
TEST(while_it_gives_to_the_guest) { kill_it(1); }

/* Killed between its answers and its notification. */
static void tells(int split, int end)
{
    struct xk_netfront_stats before, after;

    make(0);
    net_world(&p);
    p.fc.split = (uint8_t)split;
    net_open(&p);
    for (unsigned expect = 0; expect < 2; expect++) { /* not of rings that have never been used */
        xk_net_close(p.end[1]);
        net_run(&p);
        xk_netfront_stats(p.front, &before);
        EQ(net_back(&p), 0);
        net_run(&p);
        xk_netfront_stats(p.front, &after);
        EQ(after.events - before.events, expect);
        send_from(end, 0, 1);
        net_run(&p);
    }
    net_close(&p);
}

TEST(the_next_one_tells_of_answers_that_nobody_was_told_of) { tells(0, 0); }
TEST(and_of_packets) { tells(0, 1); }
TEST(by_the_port_for_answers) { tells(1, 0); }
TEST(by_the_port_for_packets) { tells(1, 1); }

TEST(who_cannot_have_the_port_touches_no_ring)
{
    struct xk_netdev *first;
    struct xk_netback *back;
    uint8_t *page[2], was[2][XK_PAGE_SIZE];
    void *m;

    net_world(&p);
    net_open(&p);
    first = p.end[1];
    back = p.back;
    for (int i = 0; i < 2; i++) {
        EQ(xk_page_map(p.w.dom[2], 1, i ? &p.bc.rx : &p.bc.tx, 1, 0, NULL, &m), 0);
        page[i] = m;
        memset(page[i] + 64 + 12 * 256, 0x5a, XK_PAGE_SIZE - 64 - 12 * 256);
        memcpy(was[i], page[i], XK_PAGE_SIZE);
    }
    OK(net_back(&p) < 0);
    for (int i = 0; i < 2; i++) {
        MEMEQ(page[i], was[i], XK_PAGE_SIZE);
        EQ(xk_page_unmap(p.w.dom[2], page[i], 1), 0);
    }
    OK(p.back == back && p.end[1] == first);
    net_close(&p);
}
