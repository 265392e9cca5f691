/* Disks whole: a store, a front end in domain 2, back ends in domains 3 and 4 with the same image, and the test as
 * toolstack. SPDX-License-Identifier: MIT */
#ifndef XK_TESTS_BLOCK_DISKS_H
#define XK_TESTS_BLOCK_DISKS_H

#include <xenkit/vbd.h>

#include "tests/c/tap.h" /* first */

#include "tests/c/block/pair.h"
#include "tests/c/store/ring.h"

enum { RINGS = XK_VBD_QUEUES };
enum { FRONT = 2, BACK = 3, OTHER = 4, SECTORS = 2048 };
#define F "/local/domain/2/device/vbd/51712"
#define B "/local/domain/3/backend/vbd/2/51712"

struct server {
    struct xk_loop *loop;
    struct xk_store *store;
    struct xk_vbd_back *back;
    char path[64];
    int opened, closed, connected, last, gone;
};

static struct ring_world world;
static struct server server[RING_DOMAINS];
static struct slow image; /* both back ends have the same */
static struct xk_loop *front_loop;
static struct xk_store *front_store;
static struct xk_vbd_front *front;
static struct xk_blkdev *disk;
static int told[8], tellings, front_connected;
static int no_flush;                       /* the back end offers barriers alone */
static unsigned front_queues, front_pages; /* what the front end asks for, and has */
static unsigned back_queues[RING_DOMAINS], back_order[RING_DOMAINS] = {[BACK] = 2, [OTHER] = 2}; /* what is offered */

static int open_image(void *arg, xk_domid who, const char *params, const char *mode, struct xk_blkdev **out)
{
    struct server *s = arg;

    EQ(who, FRONT);
    STREQ(params, "disk.img");
    STREQ(mode, "w");
    s->opened++;
    *out = &image.dev;
    return 0;
}

static void close_image(void *arg, struct xk_blkdev *d)
{
    OK(d == &image.dev);
    ((struct server *)arg)->closed++;
}

static void back_told(void *arg, int connected, int err)
{
    ((struct server *)arg)->connected = connected;
    ((struct server *)arg)->last = err;
}

static void back_gone(void *arg)
{
    struct server *s = arg;

    s->gone++;
    xk_vbd_back_close(s->back, NULL, NULL);
    s->back = NULL;
}

static void front_told(void *arg, int connected, int err)
{
    (void)arg;
    front_connected = connected;
    if (tellings < 8)
        told[tellings++] = connected ? 1 : err;
}

static void settle(void)
{
    for (int i = 0; i < 60; i++) {
        ring_round(&world);
        if (front_loop)
            OK(xk_loop_run_once(front_loop, XK_NOW) >= 0);
        for (int d = BACK; d <= OTHER; d++)
            OK(xk_loop_run_once(server[d].loop, XK_NOW) >= 0);
        xk_fake_advance(world.fake, XK_MS);
    }
}

static void node(const char *folder, const char *name, const char *value)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    EQ(ring_write(&world, 0, path, value), 0);
}

static void owned(const char *path, unsigned owner)
{
    char text[128];
    int n = snprintf(text, sizeof(text), "%s%cn%u%cr2%cr3%cr4", path, 0, owner, 0, 0, 0);

    EQ(ring_path(&world, 0, XK_STORE_MKDIR, path), 0);
    EQ(ring_call(&world, 0, XK_STORE_SET_PERMS, text, (size_t)n + 1), 0);
}

static inline void back_folder(unsigned domid)
{
    char *path = server[domid].path;

    snprintf(path, sizeof(server[domid].path), "/local/domain/%u/backend/vbd/2/51712", domid);
    owned(path, domid);
    node(path, "frontend-id", "2");
    node(path, "frontend", F);
    node(path, "params", "disk.img");
    node(path, "mode", "w");
    node(path, "online", "1");
    node(path, "state", "1");
}

static inline void start_back(unsigned domid)
{
    struct xk_vbd_back_options o = {.open_image = open_image,
                                    .close_image = close_image,
                                    .told = back_told,
                                    .gone = back_gone,
                                    .arg = &server[domid],
                                    .ring_order = (uint8_t)back_order[domid],
                                    .queues = (uint8_t)back_queues[domid],
                                    .max_pieces = 32};
    EQ(xk_vbd_back_open(xk_fake_alloc(world.fake), server[domid].loop, server[domid].store, server[domid].path, &o,
                        &server[domid].back),
       0);
}

static inline void stop_back(unsigned domid)
{
    xk_vbd_back_close(server[domid].back, NULL, NULL);
    server[domid].back = NULL;
}

static void open_world(void)
{
    struct xk_vbd_front_options o = {.ring_order = 1,
                                     .max_pieces = 64,
                                     .queues = (uint8_t)front_queues,
                                     .pages = (uint16_t)front_pages,
                                     .told = front_told};

    ring_world(&world, 11);
    ring_service(&world, NULL);
    ring_introduce_all(&world);
    image.dev.ops = &slow_ops;
    EQ(xk_block_memory(NULL, SECTORS, &image.below), 0);
    image.dev.info = image.below->info;
    image.dev.info.features |= XK_BLK_CAN_FLUSH;
    for (unsigned d = BACK; d <= OTHER; d++) {
        EQ(xk_loop_create(NULL, world.dom[d], &server[d].loop), 0);
        EQ(xk_store_open_domain(NULL, server[d].loop, &server[d].store), 0);
    }
    EQ(xk_loop_create(NULL, world.dom[FRONT], &front_loop), 0);
    EQ(xk_store_open_domain(NULL, front_loop, &front_store), 0);
    owned(F, FRONT);
    back_folder(BACK);
    node(F, "backend-id", "3");
    node(F, "backend", server[BACK].path);
    node(F, "state", "1");
    start_back(BACK);
    if (no_flush) {
        settle();
        node(server[BACK].path, "feature-flush-cache", "0");
    }
    EQ(xk_vbd_front_open(xk_fake_alloc(world.fake), front_loop, front_store, "device/vbd/51712", &o, &front), 0);
    disk = xk_vbd_front_device(front);
    settle();
}

static inline void move_to(unsigned domid)
{
    node(F, "backend-id", domid == BACK ? "3" : "4");
    node(F, "backend", server[domid].path);
    settle();
}

static void close_world(void)
{
    if (front)
        xk_vbd_front_close(front);
    xk_store_close(front_store);
    xk_loop_destroy(front_loop);
    for (unsigned d = BACK; d <= OTHER; d++) {
        if (server[d].back)
            stop_back(d);
        EQ(server[d].opened, server[d].closed);
        xk_store_close(server[d].store);
        xk_loop_destroy(server[d].loop);
    }
    xk_blk_close(&image.dev);
    ring_end(&world);
    front = NULL;
    front_loop = NULL;
    memset(server, 0, sizeof(server));
    memset(&image, 0, sizeof(image));
    tellings = front_connected = 0;
}

static inline void put(struct ask *a, int op, uint64_t sector, void *buf, size_t n)
{
    EQ(ask_put(disk, a, op, sector, buf, n), 0);
    xk_blk_kick(disk);
}

static inline void good(int op, uint64_t sector, void *buf, size_t n)
{
    struct ask a;

    put(&a, op, sector, buf, n);
    settle();
    EQ(a.done, 1);
    EQ(a.err, 0);
}

/* --- several rings --- */

static inline const char *read_node(const char *folder, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return ring_path(&world, 0, XK_STORE_READ, path) == 0 ? world.guest[0].reply : NULL;
}

static inline void rounds(int n)
{
    while (n--)
        settle();
}

static inline void open_with(unsigned of_front, unsigned of_back)
{
    front_queues = of_front;
    back_queues[BACK] = of_back;
    open_world();
}

/* Many requests of a sector each. */
enum { MANY = 240 };
static uint8_t bufs[MANY][XK_SECTOR];
static struct ask asks[MANY];

static inline void ask_many(unsigned n, int op)
{
    for (unsigned i = 0; i < n; i++) {
        memset(bufs[i], (int)i, XK_SECTOR);
        EQ(ask_put(disk, &asks[i], op, i, bufs[i], XK_SECTOR), 0);
    }
    xk_blk_kick(disk);
    settle();
}

static inline void all_done(unsigned n, int err)
{
    for (unsigned i = 0; i < n; i++) {
        EQ(asks[i].done, 1);
        EQ(asks[i].err, err);
    }
}

#endif
