/* The control ring of a network: a front end made by hand asks the back end; the front end's wishes are answered by a
 * back end made by hand. SPDX-License-Identifier: MIT */
#include "tests/c/tap.h"

#include "drivers/net/control.h"
#include "drivers/net/proto.h"
#include "tests/c/net/pair.h"

static struct net_pair p;

/* --- the hash ----------------------------------------------------------------------------------------------------- */

static const uint8_t microsoft[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                      0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                      0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                      0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

/* A TCP frame of the verification suite that Microsoft publishes: to 161.142.100.80:1766 or 3ffe:2501:200:3::1. */
static struct xk_packet suite(uint8_t *f, int v)
{
    static const uint8_t four[] = {66, 9, 149, 187, 161, 142, 100, 80};
    static const uint8_t six[] = {0x3f, 0xfe, 0x25, 0x01, 0x02, 0, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 7,
                                  0x3f, 0xfe, 0x25, 0x01, 0x02, 0, 0,    3,    0, 0, 0, 0, 0, 0, 0, 1};
    struct xk_packet q = {f, frame_tcp(f, v, 4, 0), 0, 0, 0};

    memcpy(f + (v == 4 ? 26 : 22), v == 4 ? four : six, v == 4 ? sizeof(four) : sizeof(six));
    xk_packet_put16(f + (v == 4 ? 34 : 54), 2794);
    xk_packet_put16(f + (v == 4 ? 36 : 56), 1766);
    return q;
}

TEST(hashes_are_those_of_the_published_suite)
{
    static const struct {
        int v;
        uint8_t types;
        int type;
        uint32_t value;
    } want[] = {{4, XK_NET_HASH_ALL, 1, 0x51ccc178}, {4, XK_NET_HASH_IP4, 0, 0x323e8fc2},
                {6, XK_NET_HASH_ALL, 3, 0x40207d3d}, {6, XK_NET_HASH_IP6, 2, 0x2cc18cd5},
                {4, XK_NET_HASH_IP6, -1, 0},         {6, XK_NET_HASH_IP4_TCP, -1, 0}};
    struct xk_net_hash h = {.algorithm = XK_NET_HASH_TOEPLITZ};
    uint8_t f[200];

    memcpy(h.key, microsoft, 40);
    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
        struct xk_packet q = suite(f, want[i].v);
        int type;
        h.types = want[i].types;
        EQ(xk_net_hash(&h, &q, &type), want[i].value);
        EQ(type, want[i].type);
    }
}

TEST(only_tcp_has_ports_and_a_fragment_has_none)
{
    struct xk_net_hash h = {.algorithm = XK_NET_HASH_TOEPLITZ, .types = XK_NET_HASH_ALL};
    uint8_t f[200];
    struct xk_packet q = suite(f, 4);
    int type;

    memcpy(h.key, microsoft, 40);
    f[23] = XK_IP_UDP;
    EQ(xk_net_hash(&h, &q, &type), 0x323e8fc2);
    EQ(type, 0);
    q = suite(f, 4);
    f[20] = 0x20; /* more fragments */
    EQ(xk_net_hash(&h, &q, &type), 0x323e8fc2);
    EQ(type, 0);
    q = suite(f, 4);
    f[12] = 0; /* no IP */
    EQ(xk_net_hash(&h, &q, &type), 0);
    EQ(type, -1);
}

TEST(a_hash_gives_a_place_and_that_a_queue)
{
    struct xk_net_hash h = {.map_size = 3, .map = {2, 0, 3}};

    EQ(xk_net_hash_queue(&h, 4, 4), 0);
    EQ(xk_net_hash_queue(&h, 5, 4), 3);
    h.map_size = 0;
    EQ(xk_net_hash_queue(&h, 5, 4), 1);
}

/* --- the back end ------------------------------------------------------------------------------------------------- */

struct asker { /* domain 1, by hand */
    struct control_back back;
    struct xk_netback *queue[1];
    struct xk_ring_front ring;
    uint8_t *memory; /* the ring, a page to point to, six to be kept */
    xk_gref ref[8];
    xk_port port;
    int broken;
};
static struct asker a;

static void on_broken(void *arg, int err) { ((struct asker *)arg)->broken = err; }

static void open_asker(unsigned keeps)
{
    void *m;

    net_world(&p);
    memset(&a, 0, sizeof(a));
    p.bc.grefs = (uint16_t)keeps;
    net_open(&p);
    EQ(xk_page_share(p.w.dom[1], 2, 8, 0, a.ref, &m), 0);
    a.memory = m;
    a.port = xk_evtchn_alloc(p.w.dom[1], 2);
    OK(a.port > 0);
    EQ(xk_ring_front_init(&a.ring, m, XK_PAGE_SIZE, sizeof(union control_slot)), 0);
    a.queue[0] = p.back;
    a.back = (struct control_back){.loop = p.back_loop, .front = 1, .queue = a.queue, .queues = 1};
    a.back.broken = on_broken;
    a.back.arg = &a;
    EQ(control_back_open(&a.back, a.ref[0], a.port), 0);
}

static void close_asker(void)
{
    xk_net_close(p.end[1]);
    p.back = NULL;
    control_back_close(&a.back);
    EQ(xk_page_unshare(p.w.dom[1], a.memory, 8), 0); /* nothing stayed mapped */
    EQ(xk_evtchn_unbind(p.w.dom[1], a.port), 0);
    net_close(&p);
}

/* Its status; (data) of the answer is put in (result), which may be NULL. */
static uint32_t asks(unsigned type, uint32_t d0, uint32_t d1, uint32_t d2, uint32_t *result)
{
    static uint16_t id;
    union control_slot s = {.request = {++id, (uint16_t)type, {d0, d1, d2}}};

    EQ(xk_ring_front_put(&a.ring, &s, 1), 1);
    if (xk_ring_front_publish(&a.ring))
        xk_evtchn_notify(p.w.dom[1], a.port);
    net_run(&p);
    EQ(xk_ring_front_take(&a.ring, &s, 1), 1);
    EQ(s.answer.id, id);
    EQ(s.answer.type, type);
    if (result)
        *result = s.answer.data;
    return s.answer.status;
}

static void *page(unsigned i) { return a.memory + i * XK_PAGE_SIZE; }

TEST(a_hash_is_set_as_netif_says)
{
    uint32_t got, map[4] = {0, 0, 0, 0};

    open_asker(0);
    EQ(asks(CONTROL_GET_FLAGS, 0, 0, 0, NULL), CONTROL_NOT_SUPPORTED); /* no algorithm yet */
    EQ(asks(CONTROL_SET_FLAGS, 1, 0, 0, NULL), CONTROL_WRONG);
    EQ(asks(CONTROL_SET_ALGORITHM, 2, 0, 0, NULL), CONTROL_WRONG);
    EQ(asks(CONTROL_SET_ALGORITHM, 1, 0, 0, NULL), CONTROL_OK);
    EQ(asks(CONTROL_GET_FLAGS, 0, 0, 0, &got), CONTROL_OK);
    EQ(got, XK_NET_HASH_ALL);
    EQ(asks(CONTROL_SET_FLAGS, 16, 0, 0, NULL), CONTROL_WRONG);
    EQ(asks(CONTROL_SET_FLAGS, 0x100000f, 0, 0, NULL), CONTROL_WRONG);
    EQ(asks(CONTROL_SET_FLAGS, 3, 0, 0, NULL), CONTROL_OK);
    EQ(a.back.hash.types, 3);
    memset(page(1), 0xab, 41);
    EQ(asks(CONTROL_SET_KEY, a.ref[1], 41, 0, NULL), CONTROL_OVERFLOW);
    EQ(asks(CONTROL_SET_KEY, 99999, 40, 0, NULL), CONTROL_WRONG);
    EQ(a.back.hash.key[0], 0);
    EQ(asks(CONTROL_SET_KEY, a.ref[1], 39, 0, NULL), CONTROL_OK);
    EQ(a.back.hash.key[38], 0xab);
    EQ(a.back.hash.key[39], 0); /* what is not said is zero */
    EQ(asks(CONTROL_SET_KEY, 0, 0, 0, NULL), CONTROL_OK);
    EQ(a.back.hash.key[0], 0);
    EQ(asks(CONTROL_GET_MAP_SIZE, 0, 0, 0, &got), CONTROL_OK);
    EQ(got, XK_NET_HASH_MAP);
    EQ(asks(CONTROL_SET_MAP_SIZE, 129, 0, 0, NULL), CONTROL_WRONG);
    EQ(asks(CONTROL_SET_MAP_SIZE, 4, 0, 0, NULL), CONTROL_OK);
    memcpy(page(1), map, sizeof(map));
    EQ(asks(CONTROL_SET_MAP, a.ref[1], 4, 0, NULL), CONTROL_OK);
    EQ(asks(CONTROL_SET_MAP, a.ref[1], 3, 2, NULL), CONTROL_WRONG); /* beyond its end */
    EQ(asks(CONTROL_SET_MAP, a.ref[1], 2, 0xffffffff, NULL), CONTROL_WRONG);
    EQ(asks(CONTROL_SET_MAP, a.ref[1], 129, 0, NULL), CONTROL_OVERFLOW);
    map[3] = 1; /* there is one queue */
    memcpy(page(1), map, sizeof(map));
    EQ(asks(CONTROL_SET_MAP, a.ref[1], 4, 0, NULL), CONTROL_WRONG);
    EQ(asks(0, 0, 0, 0, NULL), CONTROL_NOT_SUPPORTED);
    EQ(asks(11, 0, 0, 0, NULL), CONTROL_NOT_SUPPORTED);
    EQ(asks(65535, 0, 0, 0, NULL), CONTROL_NOT_SUPPORTED);
    EQ(a.back.refused, 15);
    close_asker();
}

TEST(what_comes_carries_its_hash)
{
    uint8_t f[200];
    struct xk_netfront_stats s;
    struct xk_packet q;

    open_asker(0);
    q = suite(f, 4);
    EQ(asks(CONTROL_SET_ALGORITHM, 1, 0, 0, NULL), CONTROL_OK);
    for (int on = 0; on < 2; on++) {
        EQ(xk_net_send(p.end[1], &q), 0);
        xk_net_kick(p.end[1]);
        net_run(&p);
        EQ(p.sink[0].n, on + 1u);
        EQ(memcmp(p.sink[0].p[on].data, f, q.len), 0);
        xk_netfront_stats(p.front, &s);
        EQ(s.hashed, on);
        EQ(asks(CONTROL_SET_FLAGS, 15, 0, 0, NULL), CONTROL_OK);
    }
    close_asker();
}

/* A large one has two extras: of how it is to be cut, and its hash; read off the ring by hand. */
TEST(the_hash_stands_behind_the_size_of_pieces)
{
    static uint8_t f[20000];
    struct xk_ring_front rx;
    union net_rx_slot s[8];
    struct xk_netfront_rings rings;
    struct xk_packet q;
    xk_gref ref[10];
    void *m;
    uint8_t *ring;

    open_asker(0);
    xk_net_close(p.end[1]);
    xk_netfront_rings(p.front, &rings);
    EQ(xk_page_share(p.w.dom[1], 2, 10, 0, ref, &m), 0);
    ring = m;
    EQ(xk_ring_front_init(&rx, ring, XK_PAGE_SIZE, NET_RX_SLOT), 0);
    for (unsigned i = 0; i < 8; i++) {
        s[0].rx = (struct net_rx){(uint16_t)i, 0, ref[i + 2]};
        xk_ring_front_put(&rx, s, 1);
    }
    OK(xk_ring_front_publish(&rx) >= 0);
    EQ(xk_ring_front_init(&(struct xk_ring_front){0}, ring + XK_PAGE_SIZE, XK_PAGE_SIZE, NET_TX_SLOT), 0);
    p.bc.rx = ref[0];
    p.bc.tx = ref[1];
    EQ(xk_netback_open(NULL, p.back_loop, &p.bc, &p.back), 0);
    p.end[1] = xk_netback_device(p.back);
    a.back.hash = (struct xk_net_hash){.algorithm = 1, .types = XK_NET_HASH_ALL};
    memcpy(a.back.hash.key, microsoft, 40);
    xk_netback_hash(p.back, &a.back.hash);
    q = suite(f, 4);
    q.len = frame_tcp(f, 4, 5000, 1);
    suite(f, 4);
    xk_packet_put16(f + 16, 5040);
    q.flags = XK_PACKET_CSUM_BLANK;
    q.gso = XK_GSO_TCP4;
    q.gso_size = 1000;
    EQ(xk_net_send(p.end[1], &q), 0);
    xk_net_kick(p.end[1]);
    EQ(xk_ring_front_take(&rx, s, 8), 4);
    OK(s[0].answer.flags & NET_EXTRA && s[0].answer.flags & NET_MORE);
    EQ(s[1].extra.type, NET_EXTRA_GSO);
    EQ(s[1].extra.flags, NET_EXTRA_MORE);
    EQ(s[1].extra.u.gso.size, 1000);
    EQ(s[2].extra.type, NET_EXTRA_HASH);
    EQ(s[2].extra.flags, 0);
    EQ(s[2].extra.u.hash.type, 1);
    EQ(s[2].extra.u.hash.algorithm, 1);
    EQ(memcmp(s[2].extra.u.hash.value, "\x78\xc1\xcc\x51", 4), 0);
    EQ(s[3].answer.flags, 0);
    xk_net_close(p.end[1]);
    p.back = NULL;
    EQ(net_back(&p), 0);
    EQ(xk_page_unshare(p.w.dom[1], m, 10), 0);
    close_asker();
}

static void list(unsigned first, unsigned n, uint16_t flags)
{
    struct control_gref *l = page(1);

    for (unsigned i = 0; i < n; i++)
        l[i] = (struct control_gref){a.ref[first + i], flags, 77};
}

TEST(pages_are_kept_and_let_go)
{
    const struct control_gref *l;
    struct xk_netback_stats s;
    uint32_t got;

    open_asker(4);
    EQ(asks(CONTROL_GET_GREFS_SIZE, 0, 0, 0, &got), CONTROL_OK);
    EQ(got, 4);
    EQ(asks(CONTROL_GET_GREFS_SIZE, 1, 0, 0, NULL), CONTROL_WRONG);
    list(2, 5, 0);
    EQ(asks(CONTROL_ADD_GREFS, 0, a.ref[1], 5, NULL), CONTROL_WRONG); /* all or none */
    xk_netback_stats(p.back, &s);
    EQ(s.kept, 0);
    EQ(asks(CONTROL_ADD_GREFS, 0, a.ref[1], 3, NULL), CONTROL_OK);
    EQ(asks(CONTROL_ADD_GREFS, 0, a.ref[1], 1, NULL), CONTROL_WRONG); /* it is there */
    EQ(asks(CONTROL_ADD_GREFS, 1, a.ref[1], 1, NULL), CONTROL_WRONG); /* no such queue */
    EQ(asks(CONTROL_ADD_GREFS, 0, a.ref[1], 0, NULL), CONTROL_WRONG);
    EQ(asks(CONTROL_ADD_GREFS, 0, a.ref[1], 513, NULL), CONTROL_WRONG);
    EQ(asks(CONTROL_ADD_GREFS, 0, 4444, 1, NULL), CONTROL_WRONG);
    xk_netback_stats(p.back, &s);
    EQ(s.kept, 3);
    EQ(xk_page_unshare(p.w.dom[1], a.memory, 8), XK_EBUSY);
    list(3, 3, 0); /* two of them, and one that is not */
    EQ(asks(CONTROL_DEL_GREFS, 0, a.ref[1], 3, &got), CONTROL_OK);
    EQ(got, 2);
    l = page(1);
    EQ(l[0].status, CONTROL_OK);
    EQ(l[1].status, CONTROL_OK);
    EQ(l[2].status, CONTROL_WRONG);
    xk_netback_stats(p.back, &s);
    EQ(s.kept, 1);
    close_asker();
}

TEST(requests_of_a_whole_ring_are_answered_in_turns)
{
    union control_slot s = {.request = {.type = CONTROL_GET_MAP_SIZE}};
    unsigned n = 0;

    open_asker(0);
    for (int round = 0; round < 3; round++) {
        while (xk_ring_front_put(&a.ring, &s, 1) == 1)
            n++;
        OK(xk_ring_front_publish(&a.ring) >= 0);
        xk_evtchn_notify(p.w.dom[1], a.port);
        net_run(&p);
        while (xk_ring_front_take(&a.ring, &s, 1) == 1) {
            EQ(s.answer.data, XK_NET_HASH_MAP);
            n--;
        }
        EQ(n, 0);
        s.request = (struct control_request){.type = CONTROL_GET_MAP_SIZE};
    }
    EQ(a.broken, 0);
    close_asker();
}

static unsigned told;
static void on_told(struct xk_port_watch *w)
{
    (void)w;
    told++;
}

/* Who was here before may have been killed between an answer and its notification. */
TEST(the_next_one_tells_of_answers_that_nobody_was_told_of)
{
    struct xk_port_watch w = {.fn = on_told};

    open_asker(0);
    EQ(xk_port_watch_start(p.front_loop, &w, a.port), 0);
    for (unsigned expect = 0; expect < 2; expect++) { /* not of a ring that has never been used */
        control_back_close(&a.back);
        net_run(&p);
        told = 0;
        EQ(control_back_open(&a.back, a.ref[0], a.port), 0);
        net_run(&p);
        EQ(told, expect);
        asks(CONTROL_GET_MAP_SIZE, 0, 0, 0, NULL);
    }
    xk_port_watch_stop(p.front_loop, &w);
    close_asker();
}

TEST(a_liars_ring_is_given_up)
{
    open_asker(0);
    ((volatile uint32_t *)page(0))[0] = 1000; /* more requests than it has room for */
    xk_evtchn_notify(p.w.dom[1], a.port);
    net_run(&p);
    EQ(a.broken, XK_EPEER);
    close_asker();
}

TEST(each_part_of_the_back_end_fails_once)
{
    static const enum xk_fake_fault what[] = {XK_FAKE_MAP, XK_FAKE_EVTCHN};

    for (int i = 0; i < 2; i++) {
        open_asker(4);
        control_back_close(&a.back);
        xk_fake_fail(p.w.fake, what[i], 1);
        OK(control_back_open(&a.back, a.ref[0], a.port) < 0);
        xk_fake_fail(p.w.fake, what[i], 0);
        EQ(control_back_open(&a.back, a.ref[0], a.port), 0);
        xk_fake_fail(p.w.fake, XK_FAKE_MAP, 2);
        list(2, 3, 0);
        EQ(asks(CONTROL_ADD_GREFS, 0, a.ref[1], 3, NULL), CONTROL_WRONG);
        xk_fake_fail(p.w.fake, XK_FAKE_MAP, 0);
        EQ(asks(CONTROL_ADD_GREFS, 0, a.ref[1], 3, NULL), CONTROL_OK);
        close_asker();
    }
}

/* --- pages that stay: packets ------------------------------------------------------------------------------------- */

TEST(a_page_that_goes_takes_others_along_only_where_they_cannot_be_mapped_anew)
{
    struct xk_netback_stats s;

    open_asker(4);
    EQ(xk_netback_keep(p.back, a.ref + 2, 4, 0), 0);
    xk_fake_fail(p.w.fake, XK_FAKE_MAP, 2);
    EQ(xk_netback_let_go(p.back, a.ref[3]), 0);
    xk_fake_fail(p.w.fake, XK_FAKE_MAP, 0);
    xk_netback_stats(p.back, &s);
    EQ(s.kept, 2);
    EQ(xk_netback_keep(p.back, (xk_gref[]){a.ref[3], a.ref[6], a.ref[3]}, 3, 0), XK_ENOSPC);
    EQ(xk_netback_keep(p.back, (xk_gref[]){a.ref[3], a.ref[3]}, 2, 0), XK_EEXIST);
    close_asker();
}

/* With some of the front end's pages kept, packets of all lengths come through, both ways, as they were. */
static void kept(unsigned n_kept, int readonly)
{
    static uint8_t f[9000];
    struct xk_netback_stats s;
    xk_gref refs[512];
    unsigned to_send, n;

    net_world(&p);
    p.bc.grefs = 512;
    net_open(&p);
    n = xk_netfront_pages(p.front, refs, 512, &to_send);
    EQ(n, 512);
    EQ(to_send, 256);
    for (unsigned i = 0; i < n_kept; i++) /* spread over all */
        EQ(xk_netback_keep(p.back, &refs[i * 512 / n_kept], 1, readonly || i * 512 / n_kept < to_send), 0);
    for (unsigned i = 0; i < 400; i++) {
        struct xk_packet q = {f, 60 + i * 22, 0, 0, 0};
        int from = i & 1;
        memset(f, (int)i, sizeof(f));
        f[q.len - 1] = 1;
        p.sink[!from].n = p.sink[!from].used = 0;
        EQ(xk_net_send(p.end[from], &q), 0);
        xk_net_kick(p.end[from]);
        net_run(&p);
        EQ(p.sink[!from].n, 1);
        EQ(p.sink[!from].p[0].len, q.len);
        EQ(memcmp(p.sink[!from].bytes, f, q.len), 0);
    }
    xk_netback_stats(p.back, &s);
    EQ(s.kept, n_kept);
    if (n_kept == 512 && !readonly)
        EQ(s.copies, 0); /* the hypervisor had nothing to do */
    else
        OK(s.copies > 0);
    net_close(&p);
}

TEST(pages_that_all_stay_are_copied_without_the_hypervisor) { kept(512, 0); }
TEST(pages_of_which_some_stay) { kept(100, 0); }
TEST(pages_that_stay_for_reading_are_not_written) { kept(512, 1); }

TEST(kept_pages_come_and_go_in_any_order)
{
    xk_gref refs[512];
    uint8_t in[512] = {0};
    unsigned to_send, count = 0;
    uint64_t seed = 7;
    struct xk_netback_stats s;

    net_world(&p);
    p.bc.grefs = 300;
    net_open(&p);
    xk_netfront_pages(p.front, refs, 512, &to_send);
    for (int i = 0; i < 20000; i++) {
        unsigned at, n = 1, there = 0;
        int r, add;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        at = (unsigned)(seed >> 33) % 500;
        add = (seed >> 60 & 3) == 0;
        if (add)
            n = 1 + (unsigned)(seed >> 50) % 12; /* by one call */
        for (unsigned k = 0; k < n; k++)
            there += in[at + k];
        r = add ? xk_netback_keep(p.back, &refs[at], n, 0) : xk_netback_let_go(p.back, refs[at]);
        if (add)
            EQ(r, count + n > 300 ? XK_ENOSPC : there ? XK_EEXIST : 0);
        else
            EQ(r, there ? 0 : XK_ENOENT);
        for (unsigned k = 0; k < n && r == 0; k++) {
            in[at + k] ^= 1;
            count += in[at + k] ? 1u : -1u;
        }
    }
    xk_netback_stats(p.back, &s);
    EQ(s.kept, count);
    net_close(&p);
}

/* --- the front end ------------------------------------------------------------------------------------------------ */

struct answerer { /* domain 2, by hand */
    struct control_front front;
    struct xk_ring_back ring;
    void *page;
    xk_port port;
    int broken;
    unsigned types[40], n; /* what it was asked */
    uint32_t data[40][3], map[4];
};
static struct answerer b;

static void front_broken(void *arg, int err) { ((struct answerer *)arg)->broken = err; }

static unsigned some_pages(void *arg, unsigned queue, struct control_gref *l, unsigned room)
{
    (void)arg;
    for (unsigned i = 0; i < 3 && i < room; i++)
        l[i] = (struct control_gref){queue * 10 + i, (uint16_t)(i == 0), 0};
    return room < 3 ? room : 3;
}

static void open_answerer(void)
{
    net_world(&p);
    memset(&b, 0, sizeof(b));
    b.front = (struct control_front){.loop = p.front_loop, .back = 2, .queues = 2, .list = some_pages, .arg = &b};
    b.front.wish = (struct xk_net_hash){1, 3, {9, 8}, 4, {0, 1, 1, 7}};
    b.front.grefs_wish = 1;
    b.front.broken = front_broken;
    EQ(control_front_create(&b.front), 0);
    EQ(xk_page_map(p.w.dom[2], 1, b.front.refs, 1, 0, NULL, &b.page), 0);
    EQ(xk_ring_back_attach(&b.ring, b.page, XK_PAGE_SIZE, sizeof(union control_slot)), 0);
    b.port = xk_evtchn_bind(p.w.dom[2], 1, b.front.watch.port);
    OK(b.port > 0);
    control_front_start(&b.front);
}

static void close_answerer(void)
{
    EQ(xk_page_unmap(p.w.dom[2], b.page, 1), 0);
    EQ(xk_evtchn_unbind(p.w.dom[2], b.port), 0);
    control_front_close(&b.front);
    net_close(&p);
}

static void say(const union control_slot *s)
{
    EQ(xk_ring_back_put(&b.ring, s, 1), 1);
    OK(xk_ring_back_publish(&b.ring) >= 0);
    xk_evtchn_notify(p.w.dom[2], b.port);
    net_run(&p);
}

/* Answers what was asked, until nothing more is; the request of (refused) gets (status). 64 places, 3 pages. */
static void answers(unsigned refused, uint32_t status)
{
    union control_slot s;

    while (xk_ring_back_take(&b.ring, &s, 1) == 1) {
        struct control_request q = s.request;
        unsigned ok = q.type == refused ? status : CONTROL_OK;
        b.types[b.n] = q.type;
        memcpy(b.data[b.n++], q.data, sizeof(q.data));
        if (q.type == CONTROL_SET_MAP)
            memcpy(b.map, b.front.memory + XK_PAGE_SIZE, sizeof(b.map));
        s.answer = (struct control_answer){q.id, q.type, ok, 0};
        s.answer.data = q.type == CONTROL_GET_MAP_SIZE     ? 64
                        : q.type == CONTROL_GET_FLAGS      ? XK_NET_HASH_ALL & ~2u
                        : q.type == CONTROL_GET_GREFS_SIZE ? 3
                                                           : 0;
        say(&s);
    }
}

TEST(wishes_are_said_one_after_the_other)
{
    static const unsigned want[] = {CONTROL_SET_ALGORITHM,  CONTROL_SET_KEY,        CONTROL_GET_MAP_SIZE,
                                    CONTROL_SET_MAP_SIZE,   CONTROL_SET_MAP,        CONTROL_GET_FLAGS,
                                    CONTROL_SET_FLAGS,      CONTROL_GET_GREFS_SIZE, CONTROL_ADD_GREFS,
                                    CONTROL_GET_GREFS_SIZE, CONTROL_ADD_GREFS};

    open_answerer();
    EQ(b.front.hash, XK_EAGAIN);
    answers(0, 0);
    EQ(b.n, sizeof(want) / sizeof(*want));
    for (unsigned i = 0; i < b.n; i++)
        EQ(b.types[i], want[i]);
    EQ(b.data[1][1], 40);
    EQ(b.data[3][0], 4);
    EQ(b.map[2], 1);
    EQ(b.map[3], 1);     /* there are two queues */
    EQ(b.data[6][0], 1); /* what both know */
    EQ(b.data[10][0], 1);
    EQ(b.data[10][2], 3);
    EQ(b.front.hash, 0);
    EQ(b.front.types, 1);
    EQ(b.front.grefs, 0);
    EQ(b.front.mapped, 6);
    b.n = 0;
    control_front_start(&b.front); /* another back end */
    control_front_start(&b.front); /* while something is under way */
    answers(0, 0);
    EQ(b.n, 12);
    EQ(b.front.hash, 0);
    close_answerer();
}

TEST(what_a_back_end_cannot_is_left)
{
    static const struct {
        unsigned type, status;
        int hash, grefs;
    } want[] = {{CONTROL_SET_ALGORITHM, CONTROL_NOT_SUPPORTED, XK_ENOSYS, 0},
                {CONTROL_SET_KEY, CONTROL_OVERFLOW, XK_EINVAL, 0},
                {CONTROL_SET_MAP, CONTROL_WRONG, XK_EINVAL, 0},
                {CONTROL_SET_FLAGS, CONTROL_WRONG, XK_EINVAL, 0},
                {CONTROL_GET_GREFS_SIZE, CONTROL_NOT_SUPPORTED, 0, XK_ENOSYS},
                {CONTROL_ADD_GREFS, CONTROL_WRONG, 0, XK_EINVAL}};

    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
        open_answerer();
        answers(want[i].type, want[i].status);
        EQ(b.front.hash, want[i].hash);
        EQ(b.front.grefs, want[i].grefs);
        if (want[i].grefs)
            EQ(b.front.mapped, 0);
        EQ(b.broken, 0);
        close_answerer();
    }
}

TEST(an_answer_that_nobody_asked_for_ends_it)
{
    for (int i = 0; i < 3; i++) {
        union control_slot s;
        struct control_request q;
        open_answerer();
        EQ(xk_ring_back_take(&b.ring, &s, 1), 1);
        q = s.request;
        s.answer = (struct control_answer){(uint16_t)(q.id + (i == 0)), (uint16_t)(q.type + (i == 1)), 0, 0};
        if (i == 2) { /* fifty answers to one request */
            ((volatile uint32_t *)b.page)[2] = 50;
            xk_evtchn_notify(p.w.dom[2], b.port);
            net_run(&p);
        } else {
            say(&s);
        }
        EQ(b.broken, XK_EPEER);
        close_answerer();
    }
}

TEST(each_part_of_the_front_end_fails_once)
{
    static const enum xk_fake_fault what[] = {XK_FAKE_SHARE, XK_FAKE_EVTCHN};

    for (int i = 0; i < 2; i++) {
        net_world(&p);
        b.front = (struct control_front){.loop = p.front_loop, .back = 2, .queues = 1};
        xk_fake_fail(p.w.fake, what[i], 1);
        OK(control_front_create(&b.front) < 0);
        xk_fake_fail(p.w.fake, what[i], 0);
        OK(!b.front.memory);
        net_close(&p);
    }
}
