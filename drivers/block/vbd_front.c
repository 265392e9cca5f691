/* A disk's front end from the store to the ring. The device that it shows outlives rings: requests that were not
 * answered when one ended go to the next. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <xenkit/err.h>
#include <xenkit/vbd.h>

#include "drivers/block/front.h"

struct xk_vbd_front {
    struct xk_blkdev dev; /* first */
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_xenbus *bus;
    struct xk_vbd_front_options options;
    struct xk_blkfront *ring;               /* NULL: there is none */
    int connected, dead;                    /* (dead): the back end lied: XK_EPEER */
    struct xk_blk_request *waiting, **tail; /* for a ring */
    struct xk_defer later;
};

/* --- the device --------------------------------------------------------------------------------------------------- */

static void submit(struct xk_blkdev *d, struct xk_blk_request *r)
{
    struct xk_vbd_front *f = (struct xk_vbd_front *)d;
    struct xk_blkdev *ring = f->connected ? xk_blkfront_device(f->ring) : NULL;

    if (ring) {
        ring->ops->submit(ring, r);
        return;
    }
    *f->tail = r;
    f->tail = &r->next;
}

static void kick(struct xk_blkdev *d)
{
    struct xk_vbd_front *f = (struct xk_vbd_front *)d;

    if (f->connected)
        xk_blk_kick(xk_blkfront_device(f->ring));
    else if (f->dead)
        xk_defer_start(f->loop, &f->later);
}

static void no_close(struct xk_blkdev *d) { (void)d; }

static const struct xk_blkdev_ops ops = {XK_BLKDEV_VERSION, submit, kick, no_close, NULL, NULL};

/* What the ring had goes in front of what waits. */
static void end_ring(struct xk_vbd_front *f)
{
    struct xk_blk_request *first, **last;

    if (!f->ring)
        return;
    first = xk__blkfront_take_back(f->ring);
    for (last = &first; *last;)
        last = &(*last)->next;
    *last = f->waiting;
    if (!f->waiting)
        f->tail = first ? last : &f->waiting;
    f->waiting = first;
    if (!first)
        f->tail = &f->waiting;
    xk_blk_close(xk_blkfront_device(f->ring));
    f->ring = NULL;
    f->connected = 0;
}

/* Those that the new disk can serve go onto its ring, the others end. */
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

static int put_ring(struct xk_xenbus *bus, struct xk_blkfront *ring)
{
    xk_gref refs[XK_BLKFRONT_RING_MAX];
    unsigned n = xk_blkfront_ring(ring, refs), order = 0;
    char name[24];
    int r = 0;

    if (n == 1)
        r = xk_xenbus_put(bus, "ring-ref", "%u", refs[0]);
    for (unsigned i = 0; n > 1 && i < n && r == 0; i++) {
        snprintf(name, sizeof(name), "ring-ref%u", i);
        r = xk_xenbus_put(bus, name, "%u", refs[i]);
    }
    while (1u << order < n)
        order++;
    if (r == 0 && order)
        r = xk_xenbus_put(bus, "ring-page-order", "%u", order);
    if (r == 0)
        r = xk_xenbus_put(bus, "event-channel", "%d", xk_blkfront_port(ring));
    if (r == 0)
        r = xk_xenbus_put(bus, "protocol", "x86_64-abi");
    if (r == 0)
        r = xk_xenbus_put(bus, "feature-xenkit-move", "1"); /* it follows when `backend` becomes another */
    return r ? r : xk_xenbus_put(bus, "feature-persistent", "1");
}

static void cancel(struct xk_vbd_front *f, int err);

/* A back end that lies is not asked again. The ring has failed all that it had. */
static void on_broken(void *arg, int err)
{
    struct xk_vbd_front *f = arg;

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

    xk_xenbus_retire(f->bus);
    cancel(f, f->dead);
}

static int setup(struct xk_xenbus *bus, void *arg)
{
    struct xk_vbd_front *f = arg;
    uint64_t order = xk_xenbus_number(bus, "max-ring-page-order", 0);
    struct xk_blkfront_config c = {.back = xk_xenbus_peer(bus), .pages = f->options.pages};
    int r;

    end_ring(f);
    c.ring_order = order < f->options.ring_order ? (uint8_t)order : f->options.ring_order;
    c.max_pieces = f->options.max_pieces;
    r = xk_blkfront_create(&f->alloc, f->loop, &c, &f->ring);
    if (r < 0) {
        f->ring = NULL;
        return r;
    }
    xk_blkfront_on_broken(f->ring, on_broken, f);
    r = put_ring(bus, f->ring);
    if (r < 0)
        end_ring(f);
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
        return XK_EPEER;
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
    struct xk_blk_info info;
    int r = read_info(bus, &info);

    (void)again; /* a back end's */
    if (r < 0)
        return r;
    if (!xk_xenbus_number(bus, "feature-flush-cache", 0))
        xk__blkfront_flush_by_barrier(f->ring);
    xk_blkfront_connect(f->ring, &info, (unsigned)xk_xenbus_number(bus, "feature-max-indirect-segments", 0));
    f->dev.info = xk_blkfront_device(f->ring)->info;
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
    xk_blkfront_resize(f->ring, sectors);
    f->dev.info.sectors = sectors;
    if (f->dev.changed)
        f->dev.changed(&f->dev);
}

static void closing(struct xk_xenbus *bus, void *arg, int err)
{
    struct xk_vbd_front *f = arg;
    int was = f->connected;

    end_ring(f);
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

    if (options && (options->ring_order > 4 || options->max_pieces > XK_BLKBACK_PIECES_MAX))
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
    if (!f->ring)
        return XK_EAGAIN;
    xk_blkfront_stats(f->ring, out);
    return 0;
}

void xk_vbd_front_close(struct xk_vbd_front *f)
{
    xk_alloc alloc = f->alloc;

    xk_defer_stop(f->loop, &f->later);
    xk_xenbus_free(f->bus);
    end_ring(f);
    cancel(f, XK_ECANCELED);
    xk_free(&alloc, f, sizeof(*f));
}
