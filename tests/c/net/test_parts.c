/* Large packets between two guests of a switch: the head comes by, the rest goes from the sender's pages into the
 * receiver's. SPDX-License-Identifier: MIT */
#include "tests/c/net/parts.h"

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
