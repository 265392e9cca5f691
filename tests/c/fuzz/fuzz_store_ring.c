/* A guest's ring page, written by a liar: any bytes at any place of it, indices that jump, requests in pieces, between
 * the rounds of a store service. The first byte of the input says whether the service keeps a journal; then it may be
 * killed and started again, or handed over, at any time. Whatever happens, the other guest and domain 0 are served, the
 * store is sound, and all memory returns. SPDX-License-Identifier: MIT */
#include <stdbool.h>

#include "tests/c/fuzz/input.h"
#include "tests/c/store/mortal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIAR = 2, HONEST = 3, INPUT_MOST = 3000 };

static struct ring_world world;
static struct xk_file *files[2];
static bool journal;
static unsigned written; /* by the honest one */

/* A file that stays when the service that it was given to goes. */
struct lent {
    struct xk_file base;
    struct xk_file *real;
};

static int lent_read(struct xk_file *f, void *buf, size_t n, uint64_t at)
{
    return xk_file_read(((struct lent *)f)->real, buf, n, at);
}
static int lent_write(struct xk_file *f, const void *buf, size_t n, uint64_t at)
{
    return xk_file_write(((struct lent *)f)->real, buf, n, at);
}
static int lent_sync(struct xk_file *f) { return xk_file_sync(((struct lent *)f)->real); }
static int64_t lent_size(struct xk_file *f) { return xk_file_size(((struct lent *)f)->real); }
static int lent_truncate(struct xk_file *f, uint64_t size) { return xk_file_truncate(((struct lent *)f)->real, size); }
static void lent_close(struct xk_file *f) { (void)f; }

static const struct xk_file_ops lent_ops = {.version = XK_FILE_VERSION,
                                            .read = lent_read,
                                            .write = lent_write,
                                            .sync = lent_sync,
                                            .size = lent_size,
                                            .truncate = lent_truncate,
                                            .close = lent_close};
static struct lent lent[2] = {{{&lent_ops}, NULL}, {{&lent_ops}, NULL}};

static int start(void)
{
    struct xk_diag diag = {0};

    ring_service(&world, &mortal_alloc);
    return journal ? xk_store_service_journal(world.service, &lent[0].base, &lent[1].base, &diag) : 0;
}

static void open_world(void)
{
    ring_world(&world, 1);
    for (int i = 0; i < 2; i++) {
        RING_MUST(xk_file_memory(NULL, 1 << 26, &files[i]) == 0);
        lent[i].real = files[i];
    }
    RING_MUST(start() == 0);
    ring_introduce_all(&world);
    written = 0;
    RING_MUST(ring_write(&world, HONEST, "v", "0") == 0);
}

static void check_others(void)
{
    char value[16];

    RING_MUST(ring_path(&world, HONEST, XK_STORE_READ, "v") == 0);
    snprintf(value, sizeof(value), "%u", written);
    RING_MUST(strcmp(world.guest[HONEST].reply, value) == 0);
    snprintf(value, sizeof(value), "%u", ++written);
    RING_MUST(ring_write(&world, HONEST, "v", value) == 0);
    RING_MUST(ring_text(&world, 0, XK_STORE_CONTROL, "check") == 0);
    RING_MUST(strcmp(world.guest[0].reply, "OK") == 0);
}

/* A request that makes sense at first sight: its type and its payload are the input's. */
static void request(struct input *in, struct ring_guest *g)
{
    static uint8_t packet[XK_STORE_PACKET_MAX];
    uint8_t payload[256];
    uint32_t type = take(in, 1), tx = take(in, 1), n = take(in, 1);
    uint32_t prod = ring_get(g, RING_REQ_PROD), room = RING_SIZE - (prod - ring_get(g, RING_REQ_CONS));
    size_t len;

    for (uint32_t i = 0; i < n; i++)
        payload[i] = (uint8_t)take(in, 1);
    len = ring_request(packet, type, ++g->id, tx & 15, payload, n);
    if (room <= RING_SIZE) /* else it has lied about these itself */
        ring_send(g, packet, len);
}

static void lie(struct input *in, struct ring_guest *g)
{
    uint8_t *page = g->page.page;
    uint32_t at = take(in, 2) % XK_PAGE_SIZE, n = take(in, 1);

    for (uint32_t i = 0; i < n % 32; i++)
        page[(at + i) % XK_PAGE_SIZE] = (uint8_t)take(in, 1);
}

static void jump(struct input *in, struct ring_guest *g)
{
    static const unsigned words[] = {RING_REQ_CONS, RING_REQ_PROD, RING_RSP_CONS, RING_RSP_PROD};
    uint32_t which = take(in, 1), by = take(in, which & 4 ? 4 : 1);

    ring_set(g, words[which & 3], which & 8 ? by : ring_get(g, words[which & 3]) + by);
}

static void update(void)
{
    static uint8_t state[1 << 20];
    struct xk_diag diag = {0};
    struct xk_file *f;
    int n;

    RING_MUST(xk_file_memory(NULL, sizeof(state), &f) == 0);
    RING_MUST(xk_store_service_save(world.service, f) == 0);
    n = xk_file_read(f, state, sizeof(state), 0);
    xk_file_close(f);
    mortal_end(&world);
    ring_service(&world, &mortal_alloc);
    RING_MUST(xk_store_service_load(world.service, state, (size_t)n, NULL, 0, &diag) == 0);
    if (journal)
        RING_MUST(xk_store_service_journal(world.service, &lent[0].base, &lent[1].base, &diag) == 0);
}

static void step(struct input *in)
{
    struct ring_guest *g = &world.guest[LIAR];

    switch (take(in, 1) % 16) {
    case 0:
    case 1:
        lie(in, g);
        break;
    case 2:
        jump(in, g);
        break;
    case 3:
        ring_set(g, RING_RSP_CONS, ring_get(g, RING_RSP_PROD));
        break;
    case 4:
        check_others();
        break;
    case 5:
        xk_fake_advance(world.fake, (xk_time)(1 + take(in, 1)) * 100 * XK_MS);
        break;
    case 6:
        RING_MUST(ring_introduce(&world, LIAR) == 0);
        break;
    case 7:
        (void)!ring_text(&world, 0, XK_STORE_RELEASE, "2");
        RING_MUST(ring_introduce(&world, LIAR) == 0);
        (void)!ring_text(&world, 0, XK_STORE_SET_PERMS, "/local/domain/2\0n2");
        break;
    case 8:
        if (journal) {
            mortal_end(&world);
            RING_MUST(start() == 1);
        }
        break;
    case 9:
        update();
        break;
    case 10:
        (void)!ring_write(&world, 0, "/local/domain/2/event", "1");
        break;
    case 11:
    case 12:
    case 13:
        request(in, g);
        break;
    default:
        xk_evtchn_notify(g->p, g->page.port);
        ring_round(&world);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size < INPUT_MOST ? size : INPUT_MOST};
    char report[256];

    journal = take(&in, 1) & 1;
    open_world();
    while (in.n)
        step(&in);
    check_others();
    RING_MUST(ring_text(&world, 0, XK_STORE_RELEASE, "2") != XK_ETIMEDOUT);
    check_others();
    xk_store_service_destroy(world.service);
    xk_loop_destroy(world.loop);
    RING_MUST(xk_list_empty(&mortal_blocks));
    xk_fake_destroy(world.fake, report, sizeof(report));
    for (int i = 0; i < 2; i++)
        xk_file_close(files[i]);
    return 0;
}
