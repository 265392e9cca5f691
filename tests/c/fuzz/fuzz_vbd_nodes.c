/* A disk's half whose other half writes any nodes it likes. The input is lines: the first says who is honest ("back" or
 * "front"); then NAME=VALUE writes a node of the liar's, -NAME takes one away, "." lets time pass. A value r0 .. r3 is
 * a reference of a ring that was granted, p0 .. p3 a port. The honest half refuses or connects, and leaves nothing
 * behind. SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/ring.h>
#include <xenkit/vbd.h>

#include "tests/c/fuzz/must.h"
#include "tests/c/store/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRONT = 2, BACK = 3, RINGS = XK_VBD_QUEUES, LINES = 64, ASKED = 20 };
#define F "/local/domain/2/device/vbd/51712"
#define B "/local/domain/3/backend/vbd/2/51712"

static struct ring_world world;
static struct xk_loop *loop;
static struct xk_blkdev *image, *disk; /* of the front end, if that is honest */
static xk_gref ref[RINGS];
static void *page[RINGS];
static int port[RINGS];

static void node(const char *folder, const char *name, const char *value)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    ring_write(&world, 0, path, value); /* what the store refuses is not there */
}

static void owned(const char *path, unsigned owner)
{
    char text[128];
    int n = snprintf(text, sizeof(text), "%s%cn%u%cr2%cr3", path, 0, owner, 0, 0);

    must(ring_path(&world, 0, XK_STORE_MKDIR, path) == 0);
    must(ring_call(&world, 0, XK_STORE_SET_PERMS, text, (size_t)n + 1) == 0);
}

/* --- requests, where the front end is honest --- */

static struct asked {
    struct xk_blk_request r;
    struct xk_piece piece;
    uint8_t buf[4096];
    int waits;
} asked[ASKED];
static unsigned asks;

static void on_done(struct xk_blk_request *r, int err)
{
    struct asked *a = r->arg;

    must(a->waits == 1 && err <= 0);
    a->waits = 0;
}

static void ask(void)
{
    struct asked *a = &asked[asks % ASKED];

    if (a->waits)
        return;
    a->piece = (struct xk_piece){a->buf, sizeof(a->buf)};
    a->r = (struct xk_blk_request){
        .done = on_done, .arg = a, .sectors = 8, .piece = &a->piece, .pieces = 1, .op = asks & 1 ? XK_BLK_WRITE : 0};
    asks++;
    a->waits = 1;
    if (xk_blk_submit(disk, &a->r) < 0)
        a->waits = 0;
    xk_blk_kick(disk);
}

static void pass(void)
{
    for (int i = 0; i < ASKED && disk; i++)
        ask();
    for (int i = 0; i < 24; i++) {
        ring_round(&world);
        must(xk_loop_run_once(loop, XK_NOW) >= 0);
        xk_fake_advance(world.fake, i < 20 ? XK_MS : 400 * XK_MS);
    }
}

/* --- the liar --- */

static void grant(unsigned from, unsigned to)
{
    for (unsigned i = 0; i < RINGS; i++) {
        struct xk_ring_front r;
        must(xk_page_share(world.dom[from], (xk_domid)to, 1, 0, &ref[i], &page[i]) == 0);
        must(xk_ring_front_init(&r, page[i], XK_PAGE_SIZE, 112) == 0);
        must((port[i] = xk_evtchn_alloc(world.dom[from], (xk_domid)to)) > 0);
    }
}

static void revoke(unsigned from)
{
    for (unsigned i = 0; i < RINGS; i++) {
        must(xk_page_unshare(world.dom[from], page[i], 1) == 0);
        xk_evtchn_unbind(world.dom[from], port[i]);
    }
}

static void say(const char *folder, char *line)
{
    char *value = strchr(line, '='), number[16], path[256];
    unsigned i;

    if (line[0] == '-') {
        snprintf(path, sizeof(path), "%s/%s", folder, line + 1);
        ring_path(&world, 0, XK_STORE_RM, path);
        return;
    }
    if (!value)
        return;
    *value++ = '\0';
    i = value[0] ? (unsigned char)value[1] - '0' : RINGS;
    if ((value[0] == 'r' || value[0] == 'p') && i < RINGS && !value[2]) {
        snprintf(number, sizeof(number), "%u", value[0] == 'r' ? ref[i] : (unsigned)port[i]);
        value = number;
    }
    node(folder, line, value);
}

static void listen(const char *folder, const uint8_t *data, size_t n)
{
    for (int lines = 0; n && lines < LINES; lines++) {
        const uint8_t *end = memchr(data, '\n', n);
        size_t len = end ? (size_t)(end - data) : n;
        char line[200];
        size_t copied = len < sizeof(line) - 1 ? len : sizeof(line) - 1;
        memcpy(line, data, copied);
        line[copied] = '\0';
        if (line[0] == '.')
            pass();
        else
            say(folder, line);
        data += end ? len + 1 : len;
        n -= end ? len + 1 : len;
    }
    pass();
}

/* --- the honest half --- */

static int open_image(void *arg, xk_domid front, const char *params, const char *mode, struct xk_blkdev **out)
{
    (void)arg, (void)front, (void)params, (void)mode;
    *out = image;
    return 0;
}

static void honest_back(struct xk_store *store, const uint8_t *data, size_t n)
{
    struct xk_vbd_back_options o = {.open_image = open_image, .ring_order = 2, .max_pieces = 32, .queues = RINGS};
    struct xk_vbd_back *back;

    grant(FRONT, BACK);
    must(xk_vbd_back_open(xk_fake_alloc(world.fake), loop, store, B, &o, &back) == 0);
    listen(F, data, n);
    xk_vbd_back_close(back, NULL, NULL);
    revoke(FRONT);
}

static void honest_front(struct xk_store *store, const uint8_t *data, size_t n)
{
    struct xk_vbd_front_options o = {.ring_order = 1, .max_pieces = 32, .queues = RINGS};
    struct xk_vbd_front *front;

    must(xk_vbd_front_open(xk_fake_alloc(world.fake), loop, store, "device/vbd/51712", &o, &front) == 0);
    disk = xk_vbd_front_device(front);
    listen(B, data, n);
    xk_vbd_front_close(front);
    disk = NULL;
    for (int i = 0; i < ASKED; i++)
        must(!asked[i].waits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int back = size && data[0] == 'b';
    struct xk_store *store;

    ring_world(&world, 1);
    ring_service(&world, NULL);
    ring_introduce_all(&world);
    must(xk_block_memory(NULL, 64, &image) == 0);
    must(xk_loop_create(NULL, world.dom[back ? BACK : FRONT], &loop) == 0);
    must(xk_store_open_domain(NULL, loop, &store) == 0);
    owned(F, FRONT);
    owned(B, BACK);
    node(B, "frontend-id", "2");
    node(B, "frontend", F);
    node(B, "mode", "w");
    node(B, "state", "1");
    node(F, "backend-id", "3");
    node(F, "backend", B);
    node(F, "state", "1");
    (back ? honest_back : honest_front)(store, data, size);
    xk_store_close(store);
    xk_loop_destroy(loop);
    xk_blk_close(image);
    ring_end(&world);
    return 0;
}
