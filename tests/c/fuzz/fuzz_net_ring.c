/* A network's two rings, with a liar at one end. The first byte says at which: a lying front end writes slots, indices,
 * takes pages away; a lying back end answers what nobody asked. The honest end must go on or give the rings up, bring
 * only packets that can be, and leave nothing behind. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/fake.h>
#include <xenkit/netback.h>
#include <xenkit/netfront.h>

#include "tests/c/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGES = 6 };

static int broken;
static void on_broken(void *arg, int err)
{
    (void)arg;
    must(err == XK_EPEER);
    broken++;
}

/* How much of it is here: at times all is asked for. The parts add up. */
static uint32_t length_here(const struct xk_packet *p)
{
    uint32_t all;

    if (p->data[0] & 2 && xk_packet_whole(p) == 0)
        must(!p->rest || p->rest->pieces == 0);
    if (!p->rest || p->rest->pieces == 0)
        return p->len;
    all = p->rest->head;
    for (unsigned i = 0; i < p->rest->pieces; i++) {
        must(p->rest->piece[i].local == p->data + all && p->rest->piece[i].len > 0);
        must(p->rest->piece[i].offset + p->rest->piece[i].len <= 4096);
        all += p->rest->piece[i].len;
    }
    must(all == p->len && p->rest->head >= XK_ETHER_HEAD);
    return p->rest->head;
}

static void on_packets(struct xk_netdev *d, const struct xk_packet *p, unsigned n)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < n; i++) {
        must(p[i].len >= XK_ETHER_HEAD && p[i].len <= XK_PACKET_MAX);
        must(p[i].gso <= XK_GSO_TCP6 && (p[i].gso == 0 || p[i].gso_size > 0));
        for (uint32_t k = 0, n_here = length_here(&p[i]); k < n_here; k++)
            sum += p[i].data[k]; /* all of it can be read */
        (void)xk_net_send(d, &p[i]);
    }
    must(sum != 1 || n);
    xk_net_kick(d);
}

/* --- a lying front end -------------------------------------------------------------------------------------------- */

static void put_tx(struct input *in, uint8_t *ring, const xk_gref *ref)
{
    uint32_t prod = get_word(ring, 0), what = take(in, 1);
    uint8_t *slot = ring + 64 + prod % 256 * 12;
    uint16_t size = (uint16_t)take(in, 2), offset = what & 0x80 ? (uint16_t)take(in, 2) : 0;

    if (what & 0x40) { /* an extra */
        memset(slot, 0, 12);
        slot[0] = what & 7;
        slot[1] = what >> 3 & 1;
        slot[2] = (uint8_t)size;
        slot[4] = (uint8_t)(size >> 8);
    } else {
        memcpy(slot, &ref[what % PAGES], 4);
        memcpy(slot + 4, &offset, 2);
        slot[6] = (uint8_t)(take(in, 1) & 15);
        slot[7] = 0;
        slot[8] = (uint8_t)prod;
        slot[9] = 0;
        memcpy(slot + 10, &size, 2);
    }
    set_word(ring, 0, prod + 1);
}

static void put_rx(struct input *in, uint8_t *ring, const xk_gref *ref)
{
    uint32_t prod = get_word(ring, 0);
    uint8_t *slot = ring + 64 + prod % 256 * 8;

    memset(slot, 0, 8);
    slot[0] = (uint8_t)prod;
    memcpy(slot + 4, &ref[take(in, 1) % PAGES], 4);
    set_word(ring, 0, prod + 1);
}

static void against_back(struct input *in, struct xk_fake *w, struct xk_platform **dom, struct xk_loop *loop)
{
    uint32_t how = take(in, 1);
    struct xk_netback_config c = {.front = 1, .broken = on_broken, .multicast = how >> 1 & 1, .backlog = 131072};
    struct xk_netback *back;
    xk_gref ref[PAGES], ring_ref[2];
    void *rings, *pages;
    uint8_t *ring;

    c.features = how & 1 ? 31 : 0;
    must(xk_page_share(dom[1], 2, 2, 0, ring_ref, &rings) == 0);
    must(xk_page_share(dom[1], 2, PAGES, how & 16 ? XK_PAGE_READONLY : 0, ref, &pages) == 0);
    ring = rings;
    c.tx = ring_ref[0];
    c.rx = ring_ref[1];
    c.tx_port = c.rx_port = xk_evtchn_alloc(dom[1], 2);
    if (xk_netback_open(xk_fake_alloc(w), loop, &c, &back) == 0) {
        xk_netback_device(back)->receive = on_packets;
        xk_netback_device(back)->parts = how >> 5 & 1;
        while (in->n) {
            uint32_t what = take(in, 1) % 8;
            if (what == 0)
                set_word(ring + (take(in, 1) & 1) * 4096, take(in, 1) % 4, take(in, 4));
            else if (what == 1)
                ring[take(in, 2) % 8192] = (uint8_t)take(in, 1);
            else if (what == 2)
                put_rx(in, ring + 4096, ref);
            else if (what == 3)
                ((uint8_t *)pages)[take(in, 2) % (PAGES * 4096)] = (uint8_t)take(in, 1);
            else if (what == 4)
                xk_loop_run_once(loop, XK_NOW);
            else
                put_tx(in, ring, ref);
        }
        for (int i = 0; i < 4; i++) {
            xk_evtchn_notify(dom[1], c.tx_port);
            xk_loop_run_once(loop, XK_NOW);
        }
        must(broken <= 1);
        xk_net_close(xk_netback_device(back));
    }
    must(xk_page_unshare(dom[1], rings, 2) == 0);
    must(xk_page_unshare(dom[1], pages, PAGES) == 0);
    xk_evtchn_unbind(dom[1], c.tx_port);
}

/* --- a lying back end --------------------------------------------------------------------------------------------- */

static void answer(struct input *in, uint8_t *tx, uint8_t *rx)
{
    uint32_t what = take(in, 1);
    uint8_t *slot;

    if (what & 1) {
        slot = tx + 64 + get_word(tx, 2) % 256 * 12;
        slot[0] = (uint8_t)(what >> 1);
        slot[1] = 0;
        slot[2] = slot[3] = (uint8_t)(take(in, 1) & 1 ? 0xff : 0);
        set_word(tx, 2, get_word(tx, 2) + 1);
    } else {
        uint16_t status = (uint16_t)(take(in, 2) & 0x1fff), offset = what & 2 ? (uint16_t)take(in, 2) : 0;
        slot = rx + 64 + get_word(rx, 2) % 256 * 8;
        slot[0] = what & 4 ? (uint8_t)take(in, 1) : (uint8_t)get_word(rx, 2);
        slot[1] = 0;
        memcpy(slot + 2, &offset, 2);
        slot[4] = (uint8_t)(what >> 3 & 15);
        slot[5] = 0;
        memcpy(slot + 6, &status, 2);
        set_word(rx, 2, get_word(rx, 2) + 1);
    }
}

static void against_front(struct input *in, struct xk_fake *w, struct xk_platform **dom, struct xk_loop *loop)
{
    struct xk_netfront_config c = {.back = 2, .features = take(in, 1) & 1 ? 31 : 0};
    struct xk_netfront_rings rings;
    struct xk_netfront *front;
    static uint8_t frame[9000];
    struct xk_netdev *dev;
    void *tx, *rx;
    int port;

    must(xk_netfront_create(xk_fake_alloc(w), loop, &c, &front) == 0);
    dev = xk_netfront_device(front);
    dev->receive = on_packets;
    xk_netfront_on_broken(front, on_broken, NULL);
    xk_netfront_rings(front, &rings);
    must(xk_page_map(dom[2], 1, &rings.tx, 1, 0, NULL, &tx) == 0);
    must(xk_page_map(dom[2], 1, &rings.rx, 1, 0, NULL, &rx) == 0);
    port = xk_evtchn_bind(dom[2], 1, rings.tx_port);
    must(port >= 0);
    xk_netfront_connect(front);
    while (in->n) {
        uint32_t what = take(in, 1) % 6;
        if (what == 0) {
            set_word(take(in, 1) & 1 ? tx : rx, take(in, 1) % 4, take(in, 4));
        } else if (what == 1) {
            struct xk_packet p = {frame, 14 + take(in, 2) % 8986, 0, 0, 0};
            (void)xk_net_send(dev, &p);
            xk_net_kick(dev);
        } else if (what == 2) {
            xk_evtchn_notify(dom[2], port);
            xk_loop_run_once(loop, XK_NOW);
        } else {
            answer(in, tx, rx);
        }
    }
    xk_evtchn_notify(dom[2], port);
    xk_loop_run_once(loop, XK_NOW);
    must(broken <= 1);
    must(xk_page_unmap(dom[2], tx, 1) == 0 && xk_page_unmap(dom[2], rx, 1) == 0);
    xk_evtchn_unbind(dom[2], port);
    xk_net_close(dev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct xk_platform *dom[3];
    struct xk_loop *loop;
    struct xk_fake *w;
    char report[256];
    int lying_back;

    if (size == 0 || size > 4096)
        return 0;
    broken = 0;
    lying_back = (int)take(&in, 1) & 1;
    must(xk_fake_create(1, &w) == 0);
    for (int i = 0; i < 3; i++)
        must(xk_fake_domain(w, "d", &dom[i]) == 0);
    must(xk_loop_create(NULL, dom[lying_back ? 1 : 2], &loop) == 0);
    if (lying_back)
        against_front(&in, w, dom, loop);
    else
        against_back(&in, w, dom, loop);
    xk_loop_destroy(loop);
    for (int i = 0; i < 3; i++)
        xk_platform_close(dom[i]);
    must(xk_fake_destroy(w, report, sizeof(report)) == 0);
    return 0;
}
