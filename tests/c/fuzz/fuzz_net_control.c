/* A network's control ring, with a liar at one end. The first byte says at which: a lying front end asks for anything,
 * with pages that change or are none; a lying back end answers anything. The honest end goes on or gives the ring up,
 * once, and leaves nothing behind. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/fake.h>

#include "drivers/net/control.h"
#include "tests/c/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGES = 4, KEEPS = 3 };

static int broken;
static void on_broken(void *arg, int err)
{
    (void)arg;
    must(err == XK_EPEER);
    broken++;
}

/* --- a lying front end -------------------------------------------------------------------------------------------- */

/* Numbers that mean something more often than not. */
static uint32_t number(struct input *in, const xk_gref *ref)
{
    uint32_t how = take(in, 1);

    return how < 128 ? how & 7 : how < 192 ? ref[how % PAGES] : how < 224 ? take(in, 2) : take(in, 4);
}

static void request(struct input *in, uint8_t *ring, const xk_gref *ref)
{
    uint32_t prod = get_word(ring, 0);
    struct control_request q = {(uint16_t)prod, (uint16_t)(take(in, 1) % 12), {0}};

    for (int i = 0; i < 3; i++)
        q.data[i] = number(in, ref);
    memcpy(ring + 64 + prod % 128 * 16, &q, 16);
    set_word(ring, 0, prod + 1);
}

/* What the guest has set is within what the rest of the driver relies on. */
static void look(const struct control_back *c, struct xk_netback *q)
{
    struct xk_netback_stats s;

    must(c->hash.algorithm <= XK_NET_HASH_TOEPLITZ && c->hash.types <= XK_NET_HASH_ALL);
    must(c->hash.map_size <= XK_NET_HASH_MAP);
    for (unsigned i = 0; i < XK_NET_HASH_MAP; i++)
        must(c->hash.map[i] < c->queues);
    xk_netback_stats(q, &s);
    must(s.kept <= KEEPS);
}

static void against_back(struct input *in, struct xk_fake *w, struct xk_platform **dom, struct xk_loop *loop)
{
    struct xk_netback_config nc = {.front = 1, .grefs = KEEPS};
    static struct control_back c;
    struct xk_netback *queue[1];
    xk_gref ref[PAGES];
    void *memory = NULL;
    uint8_t *page;
    xk_port port = xk_evtchn_alloc(dom[1], 2), bell = xk_evtchn_alloc(dom[1], 2);

    must(port > 0 && bell > 0 && xk_page_share(dom[1], 2, PAGES, 0, ref, &memory) == 0);
    page = memory;
    nc.tx = ref[1];
    nc.rx = ref[2];
    nc.tx_port = nc.rx_port = bell;
    must(xk_netback_open(xk_fake_alloc(w), loop, &nc, &queue[0]) == 0);
    c = (struct control_back){.loop = loop, .front = 1, .queue = queue, .queues = 1, .broken = on_broken};
    must(control_back_open(&c, ref[0], port) == 0);
    while (in->n) {
        uint32_t what = take(in, 1) % 8;
        if (what == 0)
            set_word(page, take(in, 1) % 4, take(in, 4));
        else if (what == 1)
            page[XK_PAGE_SIZE * 3 + take(in, 2) % XK_PAGE_SIZE] = (uint8_t)take(in, 1);
        else if (what == 2)
            set_word(page + XK_PAGE_SIZE * 3, 2 * (take(in, 1) % 8), number(in, ref));
        else if (what < 5)
            xk_evtchn_notify(dom[1], port);
        else
            request(in, page, ref);
        xk_loop_run_once(loop, XK_NOW);
        look(&c, queue[0]);
    }
    must(broken <= 1);
    xk_net_close(xk_netback_device(queue[0]));
    control_back_close(&c);
    must(xk_page_unshare(dom[1], memory, PAGES) == 0);
    xk_evtchn_unbind(dom[1], port);
    xk_evtchn_unbind(dom[1], bell);
}

/* --- a lying back end --------------------------------------------------------------------------------------------- */

static unsigned pages(void *arg, unsigned queue, struct control_gref *list, unsigned room)
{
    (void)arg;
    must(queue < 2 && room <= CONTROL_GREFS);
    for (unsigned i = 0; i < room; i++)
        list[i] = (struct control_gref){i, 0, 0};
    return room;
}

/* To what was asked, or to something else. */
static void answer(struct input *in, uint8_t *ring)
{
    uint32_t prod = get_word(ring, 2), how = take(in, 1);
    uint8_t *slot = ring + 64 + prod % 128 * 16;
    struct control_answer a;

    memcpy(&a, slot, 4);
    if (how & 1)
        a.id = (uint16_t)take(in, 1);
    if (how & 2)
        a.type = (uint16_t)(take(in, 1) % 12);
    a.status = how & 4 ? take(in, 1) % 5 : 0;
    a.data = how & 8 ? take(in, 4) : 128;
    memcpy(slot, &a, sizeof(a));
    set_word(ring, 2, prod + 1);
}

static void against_front(struct input *in, struct xk_platform **dom, struct xk_loop *loop)
{
    struct control_front c = {.loop = loop, .back = 2, .queues = 2, .list = pages, .broken = on_broken};
    xk_port port;
    void *ring;

    c.wish = (struct xk_net_hash){1, (uint8_t)(take(in, 1) % 16), {1}, (uint16_t)(take(in, 1) % 129), {1, 0, 3}};
    c.grefs_wish = (int)take(in, 1) & 1;
    must(control_front_create(&c) == 0);
    must(xk_page_map(dom[2], 1, c.refs, 1, 0, NULL, &ring) == 0);
    port = xk_evtchn_bind(dom[2], 1, c.watch.port);
    must(port > 0);
    control_front_start(&c);
    while (in->n) {
        uint32_t what = take(in, 1) % 8;
        if (what == 0)
            set_word(ring, take(in, 1) % 4, take(in, 4));
        else if (what == 1 && !broken)
            control_front_start(&c);
        else
            answer(in, ring);
        xk_evtchn_notify(dom[2], port);
        xk_loop_run_once(loop, XK_NOW);
        must(c.mapped <= 2 * CONTROL_GREFS && c.types <= XK_NET_HASH_ALL);
    }
    must(broken <= 1);
    must(xk_page_unmap(dom[2], ring, 1) == 0);
    xk_evtchn_unbind(dom[2], port);
    control_front_close(&c);
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
        against_front(&in, dom, loop);
    else
        against_back(&in, w, dom, loop);
    xk_loop_destroy(loop);
    for (int i = 0; i < 3; i++)
        xk_platform_close(dom[i]);
    must(xk_fake_destroy(w, report, sizeof(report)) == 0);
    return 0;
}
