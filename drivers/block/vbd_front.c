/* A disk's front end from the store to the rings. The device that it shows outlives rings: requests that were not
 * answered when they ended go to the next. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <xenkit/err.h>
#include <xenkit/vbd.h>

#include "drivers/block/front.h"
#include "drivers/block/nodes.h"
#include "drivers/block/queues.h"

struct xk_vbd_front {
    struct xk_blkdev dev; /* first */
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_xenbus *bus;
    struct xk_vbd_front_options options;
    struct blk_queues rings;                /* made, and perhaps connected */
    int connected, dead;                    /* (dead): the back end lied: XK_EPEER */
    struct xk_blk_request *waiting, **tail; /* for a ring */
    struct xk_defer later;
};

/* --- the device --------------------------------------------------------------------------------------------------- */

static void submit(struct xk_blkdev *d, struct xk_blk_request *r)
{
    struct xk_vbd_front *f = (struct xk_vbd_front *)d;

    if (f->connected) {
        blk_queues_submit(&f->rings, r);
        return;
    }
    *f->tail = r;
    f->tail = &r->next;
}

static void kick(struct xk_blkdev *d)
{
    struct xk_vbd_front *f = (struct xk_vbd_front *)d;

    if (f->connected)
        blk_queues_kick(&f->rings);
    else if (f->dead)
        xk_defer_start(f->loop, &f->later);
}

static void no_close(struct xk_blkdev *d) { (void)d; }

static const struct xk_blkdev_ops ops = {XK_BLKDEV_VERSION, submit, kick, no_close, NULL, NULL};

/* What the rings had goes in front of what waits. */
static void end_rings(struct xk_vbd_front *f)
{
    struct xk_blk_request *first, **last;

    f->connected = 0;
    first = blk_queues_end(&f->rings);
    for (last = &first; *last;)
        last = &(*last)->next;
    *last = f->waiting;
    if (!f->waiting)
        f->tail = first ? last : &f->waiting;
    f->waiting = first;
    if (!first)
        f->tail = &f->waiting;
}

/* Those that the new disk can serve go onto its rings, the others end. */
static void resume(struct xk_vbd_front *f)
{
    struct xk_blk_request *r = f->waiting, *next;

    f->waiting = NULL;
    f->tail = &f->waiting;
    for (; r; r = next) {
        int rc;
        next = r->next;
        rc = xk_blk_submit(&f->dev, r);
        if (rc < 0)
            r->done(r, rc == XK_EINVAL ? XK_EIO : rc);
    }
    kick(&f->dev);
}

/* --- what is negotiated ------------------------------------------------------------------------------------------- */

static const char *const wanted[] = {"feature-max-indirect-segments",
                                     "max-ring-page-order",
                                     "multi-queue-max-queues",
                                     "feature-flush-cache",
                                     "feature-barrier",
                                     "feature-discard",
                                     "discard-granularity",
                                     "discard-alignment",
                                     "discard-secure",
                                     "sectors",
                                     "sector-size",
                                     "physical-sector-size",
                                     "info",
                                     NULL};

/* A page's reference has two names where there is one page, as a ring may have had more with the back end before. */
static int put_ring(struct xk_xenbus *bus, const struct xk_blkfront *ring, unsigned i, unsigned n)
{
    xk_gref refs[XK_BLKFRONT_RING_MAX];
    unsigned pages = xk_blkfront_ring(ring, refs);
    char name[BLK_NODE];
    int r = 0;

    blk_node(name, i, n, "ring-ref");
    if (pages == 1)
        r = xk_xenbus_put(bus, name, "%u", refs[0]);
    for (unsigned k = 0; k < pages && r == 0; k++) {
        blk_node_ref(name, i, n, k);
        r = xk_xenbus_put(bus, name, "%u", refs[k]);
    }
    blk_node(name, i, n, "event-channel");
    return r ? r : xk_xenbus_put(bus, name, "%d", xk_blkfront_port(ring));
}

/* The number of rings and the order of their pages are said also when they are 1 and 0: they may have been others with
 * the back end before, and nodes are not taken away. */
static int put_rings(struct xk_vbd_front *f, unsigned order)
{
    unsigned n = f->rings.count;
    int r = xk_xenbus_put(f->bus, "multi-queue-num-queues", "%u", n);

    if (r == 0)
        r = xk_xenbus_put(f->bus, "ring-page-order", "%u", order);
    for (unsigned i = 0; i < n && r == 0; i++)
        r = put_ring(f->bus, f->rings.ring[i], i, n);
    if (r == 0)
        r = xk_xenbus_put(f->bus, "protocol", "x86_64-abi");
    if (r == 0)
        r = xk_xenbus_put(f->bus, "feature-xenkit-move", "1"); /* it follows when `backend` becomes another */
    return r ? r : xk_xenbus_put(f->bus, "feature-persistent", "1");
}

static void cancel(struct xk_vbd_front *f, int err);

/* A back end that lies on one ring is not asked again on any. That ring has failed all that it had. */
static void on_broken(void *arg, int err)
{
    struct xk_vbd_front *f = arg;

    if (f->dead)
        return;
    f->connected = 0;
    f->dead = err;
    f->dev.info.sectors = 0;
    f->dev.info.features = 0;
    if (f->options.told)
        f->options.told(f->options.arg, 0, err);
    xk_defer_start(f->loop, &f->later); /* the ring is in use further up the stack */
}

static void on_later(struct xk_defer *d)
{
    struct xk_vbd_front *f = XK_CONTAINER(d, struct xk_vbd_front, later);

    blk_queues_fail(&f->rings, f->dead);
    xk_xenbus_retire(f->bus);
    cancel(f, f->dead);
}

static int make_rings(struct xk_vbd_front *f, const struct xk_blkfront_config *c)
{
    for (unsigned i = 0; i < c->rings; i++) {
        int r = xk_blkfront_create(&f->alloc, f->loop, c, &f->rings.ring[i]);
        if (r < 0)
            return xk_xenbus_refuse(f->bus, r, "no memory, pages or port for ring %u of %u", i, c->rings);
        xk_blkfront_on_broken(f->rings.ring[i], on_broken, f);
        f->rings.count++;
    }
    return 0;
}

static int setup(struct xk_xenbus *bus, void *arg)
{
    struct xk_vbd_front *f = arg;
    uint64_t order = xk_xenbus_number(bus, "max-ring-page-order", 0),
             most = xk_xenbus_number(bus, "multi-queue-max-queues", 1);
    struct xk_blkfront_config c = {.back = xk_xenbus_peer(bus), .pages = f->options.pages};
    int r;

    end_rings(f);
    c.ring_order = order < f->options.ring_order ? (uint8_t)order : f->options.ring_order;
    c.max_pieces = f->options.max_pieces;
    c.rings = f->options.queues > 1 ? f->options.queues : 1;
    if (most < c.rings)
        c.rings = most ? (uint8_t)most : 1;
    r = make_rings(f, &c);
    if (r == 0)
        r = put_rings(f, c.ring_order);
    if (r < 0)
        end_rings(f);
    return r;
}

/* What the back end says of the disk. XK_EPEER: that cannot be. */
static int read_info(struct xk_xenbus *bus, struct xk_blk_info *info)
{
    enum { CDROM = 1, REMOVABLE = 2, READONLY = 4, SECTORS_MAX = 1 << 30 };
    uint64_t bits = xk_xenbus_number(bus, "info", 0), size = xk_xenbus_number(bus, "sector-size", XK_SECTOR);

    memset(info, 0, sizeof(*info));
    info->sectors = xk_xenbus_number(bus, "sectors", 0);
    if (info->sectors == 0 || info->sectors > UINT64_MAX / XK_SECTOR || size < XK_SECTOR || size > 65536 ||
        size & (size - 1))
        return xk_xenbus_refuse(bus, XK_EPEER, "the back end's sectors, %llu, or sector-size, %llu, cannot be",
                                (unsigned long long)info->sectors, (unsigned long long)size);
    info->logical = (uint32_t)size;
    info->physical = (uint32_t)xk_xenbus_number(bus, "physical-sector-size", size);
    info->features = (bits & READONLY ? XK_BLK_READONLY : 0) | (bits & REMOVABLE ? XK_BLK_REMOVABLE : 0) |
                     (bits & CDROM ? XK_BLK_CDROM : 0);
    if (xk_xenbus_number(bus, "feature-flush-cache", 0) || xk_xenbus_number(bus, "feature-barrier", 0))
        info->features |= XK_BLK_CAN_FLUSH;
    if (xk_xenbus_number(bus, "feature-discard", 0)) {
        info->features |= XK_BLK_CAN_DISCARD | (xk_xenbus_number(bus, "discard-secure", 0) ? XK_BLK_CAN_SECURE : 0);
        info->discard_granularity = (uint32_t)xk_xenbus_number(bus, "discard-granularity", size);
        info->discard_alignment = (uint32_t)xk_xenbus_number(bus, "discard-alignment", 0);
    }
    return 0;
}

static int connect(struct xk_xenbus *bus, void *arg, int again)
{
    struct xk_vbd_front *f = arg;
    unsigned pieces = (unsigned)xk_xenbus_number(bus, "feature-max-indirect-segments", 0);
    struct xk_blk_info info;
    int r = read_info(bus, &info);

    (void)again; /* a back end's */
    if (r < 0)
        return r;
    for (unsigned i = 0; i < f->rings.count; i++) {
        if (!xk_xenbus_number(bus, "feature-flush-cache", 0))
            xk__blkfront_flush_by_barrier(f->rings.ring[i]);
        xk_blkfront_connect(f->rings.ring[i], &info, pieces);
    }
    f->dev.info = xk_blkfront_device(f->rings.ring[0])->info;
    f->connected = 1;
    if (f->options.told)
        f->options.told(f->options.arg, 1, 0);
    resume(f);
    return 0;
}

static void changed(struct xk_xenbus *bus, void *arg)
{
    struct xk_vbd_front *f = arg;
    uint64_t sectors = xk_xenbus_number(bus, "sectors", 0);

    if (!sectors || sectors == f->dev.info.sectors)
        return;
    for (unsigned i = 0; i < f->rings.count; i++)
        xk_blkfront_resize(f->rings.ring[i], sectors);
    f->dev.info.sectors = sectors;
    if (f->dev.changed)
        f->dev.changed(&f->dev);
}

static void closing(struct xk_xenbus *bus, void *arg, int err)
{
    struct xk_vbd_front *f = arg;
    int was = f->connected;

    end_rings(f);
    if (was && f->options.told)
        f->options.told(f->options.arg, 0, err);
    xk_xenbus_closed(bus);
}

static void cancel(struct xk_vbd_front *f, int err)
{
    struct xk_blk_request *r;

    while ((r = f->waiting)) {
        f->waiting = r->next;
        if (!f->waiting)
            f->tail = &f->waiting;
        r->next = NULL;
        r->done(r, err);
    }
}

static void gone(struct xk_xenbus *bus, void *arg)
{
    (void)bus;
    cancel(arg, XK_EGONE);
}

static const struct xk_xenbus_driver driver = {wanted, NULL, NULL, setup, connect, changed, closing, gone, 0};

/* --- life --------------------------------------------------------------------------------------------------------- */

int xk_vbd_front_open(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store, const char *path,
                      const struct xk_vbd_front_options *options, struct xk_vbd_front **out)
{
    struct xk_vbd_front *f;
    int r;

    if (options &&
        (options->ring_order > 4 || options->max_pieces > XK_BLKBACK_PIECES_MAX || options->queues > XK_VBD_QUEUES ||
         (options->pages && options->pages < 2 * (options->queues ? options->queues : 1))))
        return XK_EINVAL;
    f = xk_new(alloc, sizeof(*f));
    if (!f)
        return XK_ENOMEM;
    f->dev.ops = &ops;
    f->dev.info.logical = f->dev.info.physical = XK_SECTOR;
    f->alloc = alloc ? *alloc : *xk_alloc_libc();
    f->loop = loop;
    if (options)
        f->options = *options;
    f->tail = &f->waiting;
    f->later.fn = on_later;
    r = xk_xenbus_front(alloc, loop, store, path, &driver, f, &f->bus);
    if (r < 0) {
        xk_free(alloc, f, sizeof(*f));
        return r;
    }
    *out = f;
    return 0;
}

struct xk_blkdev *xk_vbd_front_device(struct xk_vbd_front *f) { return &f->dev; }
struct xk_xenbus *xk_vbd_front_bus(struct xk_vbd_front *f) { return f->bus; }

int xk_vbd_front_stats(const struct xk_vbd_front *f, struct xk_blkfront_stats *out)
{
    if (!f->rings.count)
        return XK_EAGAIN;
    blk_queues_stats(&f->rings, out);
    return 0;
}

unsigned xk_vbd_front_queues(const struct xk_vbd_front *f) { return f->rings.count; }

void xk_vbd_front_close(struct xk_vbd_front *f)
{
    xk_alloc alloc = f->alloc;

    xk_defer_stop(f->loop, &f->later);
    xk_xenbus_free(f->bus);
    end_rings(f);
    cancel(f, XK_ECANCELED);
    xk_free(&alloc, f, sizeof(*f));
}
