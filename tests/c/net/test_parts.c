/* Large packets between two guests of a switch: the head comes by, the rest goes from the sender's pages into the
 * receiver's. Domains 1 and 2 are guests, 3 has the switch and, at its third port, an end of a cable.
 * SPDX-License-Identifier: MIT */
#include <xenkit/fake.h>
#include <xenkit/netback.h>
#include <xenkit/netfront.h>
#include <xenkit/ring.h>
#include <xenkit/switch.h>

#include "tests/c/tap.h" /* first */

#include "drivers/net/proto.h"
#include "drivers/net/queues.h"
#include "tests/c/net/frames.h"
#include "tests/c/net/liar.h"

enum { ALL = XK_NET_CSUM4 | XK_NET_CSUM6 | XK_NET_GSO4 | XK_NET_GSO6 | XK_NET_LARGE, CABLE = 2 };

struct sink {
    uint8_t bytes[1 << 21];
    struct xk_packet p[400];
    size_t used, n;
};

static struct xk_fake *world;
static struct xk_platform *dom[4];
static struct xk_loop *loop[4];
static struct xk_netfront *front[2];
static struct xk_netback *back[2];
static struct xk_switch *sw;
static struct xk_switch_port *port[3];
static struct xk_netdev *end[3], *plug[3]; /* the fronts and our end of the cable; what the switch has */
static struct sink sink[3];
static int broken;

static uint64_t seed = 1;
static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* --- the world ---------------------------------------------------------------------------------------------------- */

static void receive(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    struct sink *s = d->user;

    for (unsigned i = 0; i < n; i++) {
        OK(s->n < 400 && s->used + p[i].len <= sizeof(s->bytes));
        EQ(xk_packet_whole(&p[i]), 0);
        memcpy(s->bytes + s->used, p[i].data, p[i].len);
        s->p[s->n] = p[i];
        s->p[s->n++].data = s->bytes + s->used;
        s->used += p[i].len;
    }
}

static void take(int i, struct xk_netdev *d)
{
    end[i] = d;
    d->receive = receive;
    d->user = &sink[i];
}

static void on_broken(void *arg, int err)
{
    (void)arg;
    broken = err;
}

static void empty_sinks(void)
{
    for (int i = 0; i < 3; i++)
        sink[i].n = sink[i].used = 0;
}

static void world_without_guests(void)
{
    static const uint8_t mac[2][6] = {{2, 0, 0, 0, 0, 3}, {2, 0, 0, 0, 0, 3}};
    struct xk_netdev *ends[2];

    EQ(xk_fake_create(1, &world), 0);
    for (int i = 0; i < 4; i++) {
        char name[2] = {(char)('a' + i), 0};
        EQ(xk_fake_domain(world, name, &dom[i]), 0);
        EQ(xk_loop_create(NULL, dom[i], &loop[i]), 0);
    }
    EQ(xk_switch_create(xk_fake_alloc(world), loop[3], &sw), 0);
    EQ(xk_net_cable(xk_fake_alloc(world), mac, ends), 0);
    take(CABLE, ends[0]);
    plug[CABLE] = ends[1];
    EQ(xk_switch_add(sw, plug[CABLE], NULL, &port[CABLE]), 0);
    broken = 0;
    empty_sinks();
}

static struct xk_netback_config back_config(int i)
{
    struct xk_netback_config c = {.front = (xk_domid)(i + 1), .features = ALL, .broken = on_broken};

    memcpy(c.mac, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(i + 1)}, 6);
    return c;
}

static void add_back(int i, const struct xk_netback_config *c)
{
    EQ(xk_netback_open(xk_fake_alloc(world), loop[3], c, &back[i]), 0);
    plug[i] = xk_netback_device(back[i]);
    EQ(xk_switch_add(sw, plug[i], NULL, &port[i]), 0);
}

static void add_guest(int i, struct xk_netback_config c)
{
    struct xk_netfront_config f = {.back = 3, .features = ALL};
    struct xk_netfront_rings rings;

    EQ(xk_netfront_create(xk_fake_alloc(world), loop[i + 1], &f, &front[i]), 0);
    take(i, xk_netfront_device(front[i]));
    xk_netfront_rings(front[i], &rings);
    c.tx = rings.tx;
    c.rx = rings.rx;
    c.tx_port = rings.tx_port;
    c.rx_port = rings.rx_port;
    add_back(i, &c);
    xk_netfront_connect(front[i]);
}

static void run(void)
{
    for (int idle = 0; idle < 3;) {
        int n = 0;
        for (int i = 1; i < 4; i++)
            n += xk_loop_run_once(loop[i], XK_NOW);
        idle = n > 0 ? 0 : idle + 1;
    }
}

/* A frame of these lengths, so that the switch knows where the three are. */
static void say(int from, int to, uint8_t *f, uint32_t len)
{
    struct xk_packet p = {f, len, 0, 0, 0, NULL};

    memset(f, 0, len);
    memcpy(f, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(to + 1)}, 6);
    memcpy(f + 6, (const uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(from + 1)}, 6);
    EQ(xk_net_send(end[from], &p), 0);
    xk_net_kick(end[from]);
    run();
}

static void open_all(void)
{
    uint8_t f[60];

    world_without_guests();
    add_guest(0, back_config(0));
    add_guest(1, back_config(1));
    run();
    for (int i = 0; i < 3; i++)
        say(i, (i + 1) % 3, f, sizeof(f));
    empty_sinks();
}

static void close_all(void)
{
    char report[512] = "";

    xk_switch_destroy(sw);
    for (int i = 0; i < 3; i++) {
        xk_net_close(plug[i]);
        xk_net_close(end[i]);
        end[i] = plug[i] = NULL;
    }
    for (int i = 0; i < 4; i++) {
        xk_loop_destroy(loop[i]);
        xk_platform_close(dom[i]);
    }
    OK(xk_fake_destroy(world, report, sizeof(report)) == 0);
    EQ(report[0], 0);
}

/* The first guest's back end is not the switch's any more: (fn) has what it brings, in parts. */
static void bring_parts_to(void (*fn)(struct xk_netdev *d, const struct xk_packet *p, unsigned n), void *user)
{
    xk_switch_remove(port[0]);
    plug[0]->receive = fn;
    plug[0]->user = user;
    plug[0]->parts = 1;
}

static struct xk_netback_stats stats(int i)
{
    struct xk_netback_stats s;

    xk_netback_stats(back[i], &s);
    return s;
}

/* A TCP frame from one to another, (payload) bytes that differ by (n). */
static struct xk_packet tcp(uint8_t *f, int from, int to, uint32_t payload, int n)
{
    struct xk_packet p = {f, frame_tcp(f, n & 1 ? 6 : 4, payload, (uint8_t)n), XK_PACKET_CSUM_VALID, 0, 0, NULL};

    f[5] = (uint8_t)(to + 1);
    f[11] = (uint8_t)(from + 1);
    if (to > 2)
        memset(f, 255, 6);
    if (payload > 1460) {
        p.gso = n & 1 ? XK_GSO_TCP6 : XK_GSO_TCP4;
        p.gso_size = 1400;
        p.flags |= XK_PACKET_CSUM_BLANK;
    }
    return p;
}

static void is_there(int at, size_t i, const struct xk_packet *want)
{
    OK(i < sink[at].n);
    EQ(sink[at].p[i].len, want->len);
    EQ(sink[at].p[i].gso, want->gso);
    EQ(sink[at].p[i].gso_size, want->gso_size);
    EQ(sink[at].p[i].flags, want->flags);
    MEMEQ(sink[at].p[i].data, want->data, want->len);
}

/* --- what is right ------------------------------------------------------------------------------------------------ */

static uint8_t bytes[20][65536];

/* Some packets of all sizes each way, (kicked) together. */
static void churn(int rounds)
{
    static const uint32_t sizes[] = {0, 1, 1460, 3996, 4042, 4043, 4096, 8000, 30000, 65400};
    struct xk_packet p[20];

    for (int round = 0; round < rounds; round++) {
        int from = round & 1, n = 1 + (int)roll(6);
        empty_sinks();
        for (int i = 0; i < n; i++) {
            p[i] = tcp(bytes[i], from, !from, roll(2) ? sizes[roll(10)] : roll(65400), round + i);
            EQ(xk_net_send(end[from], &p[i]), 0);
        }
        xk_net_kick(end[from]);
        run();
        EQ(sink[!from].n, n);
        EQ(sink[CABLE].n, 0);
        for (int i = 0; i < n; i++)
            is_there(!from, (size_t)i, &p[i]);
    }
}

TEST(packets_of_all_shapes_arrive_as_they_were)
{
    struct xk_netback_stats s;

    open_all();
    churn(400);
    for (int i = 0; i < 2; i++) {
        s = stats(i);
        EQ(s.errors[0] + s.errors[1], 0);
        OK(s.copies <= s.packets[0] + s.packets[1]);
    }
    close_all();
}

TEST(the_rest_is_never_here)
{
    struct xk_netback_stats s0, t0, s1, t1;
    struct xk_packet p;

    open_all();
    s0 = stats(0);
    s1 = stats(1);
    for (int i = 0; i < 10; i++) {
        p = tcp(bytes[0], 0, 1, 60000, i);
        EQ(xk_net_send(end[0], &p), 0);
        xk_net_kick(end[0]);
        run();
        is_there(1, (size_t)i, &p);
    }
    t0 = stats(0);
    t1 = stats(1);
    EQ(t0.copies - s0.copies, 10); /* the heads */
    EQ(t0.fetched, 0);
    EQ(t1.copies - s1.copies, 10);
    EQ(t1.direct - s1.direct, 10);
    close_all();
}

/* Who never heard of parts. */
static void all_is_here(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        OK(!p[i].rest || p[i].rest->pieces == 0);
        *(uint64_t *)d->user += p[i].len;
    }
}

TEST(who_has_no_use_for_parts_gets_all)
{
    struct xk_packet p[3];
    uint64_t all = 0;

    open_all();
    for (int i = 0; i < 3; i++) { /* to a cable, to all, and to what does not know of them */
        p[i] = tcp(bytes[i], 0, i == 1 ? 255 : CABLE, 5000, 0);
        p[i].flags = XK_PACKET_CSUM_VALID; /* no device of ours fills it in */
        p[i].gso = p[i].gso_size = 0;
    }
    EQ(xk_net_send(end[0], &p[0]), 0);
    EQ(xk_net_send(end[0], &p[1]), 0);
    xk_net_kick(end[0]);
    run();
    EQ(sink[CABLE].n, 2);
    EQ(sink[1].n, 1);
    is_there(CABLE, 0, &p[0]);
    is_there(CABLE, 1, &p[1]);
    is_there(1, 0, &p[1]);
    EQ(stats(0).fetched, 2);
    xk_switch_remove(port[0]);
    plug[0]->receive = all_is_here;
    plug[0]->user = &all;
    EQ(xk_net_send(end[0], &p[2]), 0);
    xk_net_kick(end[0]);
    run();
    EQ(all, p[2].len);
    EQ(stats(0).fetched, 2);
    close_all();
}

static uint8_t seen[2][65536];
static uint32_t seen_len[2];
static void see(void *arg, const struct xk_packet *p, int out)
{
    (void)arg;
    EQ(xk_packet_whole(p), 0);
    memcpy(seen[out], p->data, p->len);
    seen_len[out] = p->len;
}

TEST(who_looks_sees_all)
{
    struct xk_switch_options o = {.see = see};

    open_all();
    for (int i = 0; i < 2; i++) { /* at either port */
        struct xk_packet p = tcp(bytes[0], 0, 1, 30000 + (uint32_t)i, i);
        xk_switch_remove(port[i]);
        EQ(xk_switch_add(sw, plug[i], &o, &port[i]), 0);
        if (i == 1) {
            xk_switch_remove(port[0]);
            EQ(xk_switch_add(sw, plug[0], NULL, &port[0]), 0);
        }
        EQ(xk_net_send(end[0], &p), 0);
        xk_net_kick(end[0]);
        run();
        is_there(1, (size_t)i, &p);
        EQ(seen_len[i], p.len);
        MEMEQ(seen[i], p.data, p.len);
    }
    close_all();
}

TEST(what_waits_is_kept_as_it_was)
{
    struct xk_packet p[12];
    size_t n = 0;

    open_all();
    for (int i = 0; i < 12; i++) { /* the second does not run, and what it gave is soon used up */
        p[i] = tcp(bytes[i], 0, 1, 16000 + (uint32_t)i, i);
        p[i].gso_size = 1000;
    }
    for (int round = 0; round < 7; round++)
        for (int i = 0; i < 12; i++) {
            if (xk_net_send(end[0], &p[i]) < 0)
                continue;
            xk_net_kick(end[0]);
            n++;
            for (int k = 0; k < 4; k++) {
                xk_loop_run_once(loop[3], XK_NOW);
                xk_loop_run_once(loop[1], XK_NOW);
            }
        }
    EQ(n, 84);
    OK(stats(1).waiting > 0 && stats(0).fetched > 0);
    p[11] = tcp(bytes[12], 0, 0, 16000, 0); /* another part, of no use to anybody, where what waits was once */
    EQ(xk_net_send(end[0], &p[11]), 0);
    p[11] = tcp(bytes[11], 0, 1, 16011, 11);
    p[11].gso_size = 1000;
    xk_net_kick(end[0]);
    for (int k = 0; k < 4; k++)
        xk_loop_run_once(loop[3], XK_NOW);
    run();
    OK(sink[1].n > 256 / 5 && sink[1].n < 84); /* there is a bound to what waits */
    for (size_t i = 0; i < sink[1].n; i++)
        is_there(1, i, &p[i % 12]);
    EQ(stats(1).waiting, 0);
    close_all();
}

/* The headers of a packet whose extensions go on for (extensions) times 256 bytes. */
static uint32_t long_heads(uint8_t *f, int extensions, uint32_t payload)
{
    uint32_t at = 14 + 40, tail = frame_tcp(f, 6, payload, 3) - at, more = 256u * (uint32_t)extensions;

    memmove(f + at + more, f + at, tail);
    for (int i = 0; i < extensions; i++) {
        memset(f + at + 256 * i, 0, 256);
        f[at + 256 * (uint32_t)i] = i + 1 < extensions ? 60 : XK_IP_TCP;
        f[at + 256 * (uint32_t)i + 1] = 31;
    }
    f[14 + 6] = extensions ? 60 : XK_IP_TCP;
    xk_packet_put16(f + 14 + 4, (uint16_t)(tail + more));
    return at + more + tail;
}

static struct xk_packet_heads heads_seen;
static int whole_seen;
static void look(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    (void)d;
    EQ(n, 1);
    EQ(xk_packet_heads(p->data, p->len, &heads_seen), 0);
    whole_seen = !p->rest || p->rest->pieces == 0;
    OK(whole_seen || p->rest->head >= heads_seen.l4_end);
}

TEST(all_headers_are_here)
{
    open_all();
    bring_parts_to(look, NULL);
    for (int extensions = 0; extensions <= 5; extensions++) {
        uint32_t len = long_heads(bytes[0], extensions, 9000);
        struct xk_packet p = {bytes[0], len, 0, 0, 0, NULL}, *q = &p;
        memset(&heads_seen, 0, sizeof(heads_seen));
        EQ(xk_net_send(end[0], q), 0);
        xk_net_kick(end[0]);
        run();
        EQ(heads_seen.l4, 54 + 256 * extensions);
        EQ(heads_seen.l4_end, 74 + 256 * extensions);
        EQ(whole_seen, extensions > 0);
    }
    close_all();
}

TEST(queues_pass_parts_on_to_who_takes_them)
{
    struct net_queues q = {0};
    struct xk_netdev *one;
    struct xk_packet p;
    uint64_t all = 0;

    open_all();
    xk_switch_remove(port[0]);
    one = plug[0];
    net_queues_init(&q, (const uint8_t[]){2, 0, 0, 0, 0, 1}, 1500);
    net_queues_up(&q, &one, 1);
    EQ(xk_switch_add(sw, &q.dev, NULL, &port[0]), 0);
    for (int i = 0; i < 3; i++) { /* the first time they have not heard that it does */
        p = tcp(bytes[0], 0, 1, 9000, i);
        EQ(xk_net_send(end[0], &p), 0);
        xk_net_kick(end[0]);
        run();
        is_there(1, (size_t)i, &p);
        p = tcp(bytes[0], 1, 0, 9000, i);
        EQ(xk_net_send(end[1], &p), 0);
        xk_net_kick(end[1]);
        run();
        is_there(0, (size_t)i, &p);
    }
    EQ(stats(1).direct, 2);
    EQ(stats(0).direct, 3);
    xk_switch_remove(port[0]);
    q.dev.receive = all_is_here;
    q.dev.user = &all;
    for (int i = 0; i < 2; i++) { /* and who comes after it is not one of those */
        p = tcp(bytes[0], 0, 1, 9000, 0);
        EQ(xk_net_send(end[0], &p), 0);
        xk_net_kick(end[0]);
        run();
        EQ(all, (unsigned)(i + 1) * p.len);
    }
    q.count = 0;
    close_all();
}

/* A guest that can do little gets what it can. */
static void plain_guest(uint32_t features)
{
    struct xk_netback_config c = back_config(1);
    uint8_t f[60];

    world_without_guests();
    c.features = features;
    add_guest(0, back_config(0));
    add_guest(1, c);
    run();
    say(1, 0, f, sizeof(f));
    empty_sinks();
}

TEST(checksums_are_filled_in_over_all)
{
    struct xk_packet p = tcp(bytes[0], 0, 1, 9000, 0);

    plain_guest(XK_NET_LARGE);
    p.gso = p.gso_size = 0;
    EQ(xk_net_send(end[0], &p), 0);
    xk_net_kick(end[0]);
    run();
    p.flags = XK_PACKET_CSUM_VALID;
    is_there(1, 0, &p);
    close_all();
}

TEST(frames_are_cut_from_all)
{
    struct xk_packet p = tcp(bytes[0], 0, 1, 9000, 0);
    uint32_t at = 54;

    plain_guest(XK_NET_CSUM4);
    EQ(xk_net_send(end[0], &p), 0);
    xk_net_kick(end[0]);
    run();
    EQ(sink[1].n, 7);
    for (size_t i = 0; i < 7; at += sink[1].p[i++].len - 54)
        MEMEQ(sink[1].p[i].data + 54, p.data + at, sink[1].p[i].len - 54);
    EQ(at, p.len);
    close_all();
}

TEST(pages_that_stay_mapped_are_written_all_the_same)
{
    xk_gref refs[512];
    unsigned to_send;

    open_all();
    xk_switch_remove(port[1]);
    xk_net_close(plug[1]);
    xk_net_close(end[1]);
    {
        struct xk_netback_config c = back_config(1);
        c.grefs = 512;
        add_guest(1, c);
    }
    run();
    EQ(xk_netfront_pages(front[1], refs, 512, &to_send), 512);
    EQ(xk_netback_keep(back[1], refs + to_send, 512 - to_send, 0), 0);
    say(1, CABLE, bytes[0], 60);
    churn(40);
    OK(stats(1).direct > 0);
    EQ(stats(0).direct, 0); /* who has pages here sends no parts */
    close_all();
}

/* --- what is not right -------------------------------------------------------------------------------------------- */

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
