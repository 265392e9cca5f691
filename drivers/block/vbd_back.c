/* A disk's back end from the store to the rings. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <xenkit/err.h>
#include <xenkit/vbd.h>

#include "base/list.h"
#include "drivers/block/nodes.h"

struct xk_vbd_back {
    xk_alloc alloc;
    struct xk_loop *loop;
    struct xk_xenbus *bus;
    struct xk_vbd_back_options options;
    struct xk_blkdev *image; /* NULL: not open */
    struct xk_blkback *ring[XK_VBD_QUEUES];
    unsigned rings, leaving; /* in use; that have requests under way while they are closed */
    struct xk_xenbus_driver driver;
    struct blk_nodes nodes;
    struct xk_defer later;
    int begun;                    /* (begin) was called, and (end) not yet */
    int readonly, broken, ending; /* (ending): closed for good when the rings are */
    void (*closed)(void *arg);
    void *closed_arg;
};

static const char *const wanted[] = {"multi-queue-num-queues", "ring-page-order", "protocol", "feature-persistent",
                                     NULL};
static const char *const own[] = {"params", "mode", "device-type", "removable", NULL};

/* --- what is offered ---------------------------------------------------------------------------------------------- */

static const char *text_of(struct xk_xenbus *bus, const char *name)
{
    const char *s = xk_xenbus_get(bus, name);
    return s ? s : "";
}

static int open_image(struct xk_vbd_back *b)
{
    const char *mode = text_of(b->bus, "mode");
    int r;

    if (b->image)
        return 0;
    b->readonly = mode[0] != 'w';
    r = b->options.open_image(b->options.arg, xk_xenbus_peer(b->bus), text_of(b->bus, "params"), mode, &b->image);
    if (r < 0)
        b->image = NULL;
    else
        b->readonly |= (b->image->info.features & XK_BLK_READONLY) != 0;
    return r;
}

static unsigned queues_of(const struct xk_vbd_back *b) { return b->options.queues ? b->options.queues : 1; }

static int offer_discard(struct xk_xenbus *bus, const struct xk_blk_info *info)
{
    int r = xk_xenbus_put(bus, "feature-discard", "1");

    if (r == 0)
        r = xk_xenbus_put(bus, "discard-granularity", "%u", info->discard_granularity);
    if (r == 0)
        r = xk_xenbus_put(bus, "discard-alignment", "%u", info->discard_alignment);
    return r ? r : xk_xenbus_put(bus, "discard-secure", "%d", (info->features & XK_BLK_CAN_SECURE) != 0);
}

static int offer(struct xk_xenbus *bus, void *arg)
{
    struct xk_vbd_back *b = arg;
    int r = open_image(b);

    if (r == 0)
        r = xk_xenbus_put(bus, "feature-flush-cache", "%d", (b->image->info.features & XK_BLK_CAN_FLUSH) != 0);
    if (r == 0)
        r = xk_xenbus_put(bus, "feature-barrier", "1");
    if (r == 0)
        r = xk_xenbus_put(bus, "feature-persistent", "%d", !b->options.no_persistent);
    if (r == 0 && b->options.max_pieces)
        r = xk_xenbus_put(bus, "feature-max-indirect-segments", "%u", b->options.max_pieces);
    if (r == 0)
        r = xk_xenbus_put(bus, "max-ring-page-order", "%u", b->options.ring_order);
    if (r == 0)
        r = xk_xenbus_put(bus, "multi-queue-max-queues", "%u", queues_of(b));
    if (r == 0 && !b->readonly && !b->options.no_discard && b->image->info.features & XK_BLK_CAN_DISCARD)
        r = offer_discard(bus, &b->image->info);
    return r;
}

static int put_disk(struct xk_vbd_back *b)
{
    enum { CDROM = 1, REMOVABLE = 2, READONLY = 4 };
    const struct xk_blk_info *i = &b->image->info;
    unsigned bits = (b->readonly ? READONLY : 0) | (i->features & XK_BLK_REMOVABLE ? REMOVABLE : 0) |
                    (i->features & XK_BLK_CDROM ? CDROM : 0);
    int r = xk_xenbus_put(b->bus, "sectors", "%llu", (unsigned long long)i->sectors);

    if (r == 0)
        r = xk_xenbus_put(b->bus, "info", "%u", bits);
    if (r == 0)
        r = xk_xenbus_put(b->bus, "sector-size", "%u", i->logical);
    return r ? r : xk_xenbus_put(b->bus, "physical-sector-size", "%u", i->physical);
}

/* --- the rings ---------------------------------------------------------------------------------------------------- */

/* A node of the front end's says no such number. */
static int no_number(struct xk_xenbus *bus, const char *name, const char *what)
{
    const char *text = xk_xenbus_get(bus, name);

    return text ? xk_xenbus_refuse(bus, XK_EPEER, "the front end's %s is '%.24s', and has to be %s", name, text, what)
                : xk_xenbus_refuse(bus, XK_EPEER, "the front end's %s is not there, and has to be %s", name, what);
}

static int read_refs(struct xk_xenbus *bus, struct xk_blkback_config *c, unsigned queue, unsigned queues)
{
    char name[BLK_NODE];

    for (unsigned i = 0; i < c->ring_pages; i++) {
        uint64_t ref;
        blk_node_ref(name, queue, queues, i);
        ref = xk_xenbus_number(bus, name, UINT64_MAX);
        if (ref == UINT64_MAX && c->ring_pages == 1) {
            blk_node(name, queue, queues, "ring-ref");
            ref = xk_xenbus_number(bus, name, UINT64_MAX);
        }
        if (ref > UINT32_MAX)
            return no_number(bus, name, "a grant reference");
        c->ring[i] = (xk_gref)ref;
    }
    return 0;
}

static int read_queue(struct xk_xenbus *bus, struct xk_blkback_config *c, unsigned queue, unsigned queues)
{
    char name[BLK_NODE];
    uint64_t port;

    blk_node(name, queue, queues, "event-channel");
    port = xk_xenbus_number(bus, name, 0);
    if (port == 0 || port > INT32_MAX)
        return no_number(bus, name, "a port");
    c->port = (xk_port)port;
    return read_refs(bus, c, queue, queues);
}

/* What holds for all rings. How many there are, or XK_EPEER: more than (most). */
static int read_common(struct xk_vbd_back *b, struct xk_blkback_config *c, unsigned most)
{
    uint64_t order = xk_xenbus_number(b->bus, "ring-page-order", 0);
    uint64_t n = xk_xenbus_number(b->bus, "multi-queue-num-queues", 1);
    const char *protocol = text_of(b->bus, "protocol");

    if (n == 0 || n > most)
        return xk_xenbus_refuse(b->bus, XK_EPEER,
                                "the front end's multi-queue-num-queues is %llu, and has to be 1 to %u",
                                (unsigned long long)n, most);
    if (order > b->options.ring_order)
        return xk_xenbus_refuse(b->bus, XK_EPEER, "the front end's ring-page-order is %llu, and has to be 0 to %u",
                                (unsigned long long)order, b->options.ring_order);
    c->ring_pages = (uint8_t)(1u << order);
    c->abi = XK_BLK_ABI_64;
    if (strcmp(protocol, "x86_32-abi") == 0)
        c->abi = XK_BLK_ABI_32;
    else if (*protocol && strcmp(protocol, "x86_64-abi") && strcmp(protocol, "arm-abi"))
        return no_number(b->bus, "protocol", "x86_64-abi or x86_32-abi");
    c->persistent = !b->options.no_persistent && xk_xenbus_number(b->bus, "feature-persistent", 0) == 1;
    return (int)n;
}

/* All of it, before any ring is opened. (again): there may be more rings than are offered now. */
static int read_front(struct xk_vbd_back *b, struct xk_blkback_config c[XK_VBD_QUEUES], int again)
{
    int n = read_common(b, &c[0], again ? XK_VBD_QUEUES : queues_of(b)), r = n;

    for (int i = 0; i < n && r >= 0; i++) {
        c[i] = c[0];
        r = read_queue(b->bus, &c[i], (unsigned)i, (unsigned)n);
    }
    return r < 0 ? r : n;
}

static int begin(struct xk_vbd_back *b)
{
    int r = b->options.begin && !b->begun ? b->options.begin(b->options.arg, b->readonly) : 0;

    b->begun |= r == 0;
    return r;
}

static void end(struct xk_vbd_back *b)
{
    if (b->begun && b->options.end)
        b->options.end(b->options.arg);
    b->begun = 0;
}

static void ring_closed(void *arg);

/* Of one ring: the whole device is closed. */
static void on_broken(void *arg, int err)
{
    struct xk_vbd_back *b = arg;

    b->broken = err;
    xk_defer_start(b->loop, &b->later);
}

/* A front end that broke the protocol gets nothing more: as the folder of a device that is closed stays, its guest can
 * only begin anew. */
static void on_later(struct xk_defer *d) { xk_xenbus_retire(XK_CONTAINER(d, struct xk_vbd_back, later)->bus); }

/* (b) may be gone afterwards: (ring_closed) is called for each ring, and ends what waits for the last. */
static void close_rings(struct xk_vbd_back *b)
{
    struct xk_blkback *ring[XK_VBD_QUEUES];
    unsigned n = b->rings;

    memcpy(ring, b->ring, sizeof(ring));
    b->rings = 0;
    b->leaving = n;
    for (unsigned i = 0; i < n; i++)
        xk_blkback_close(ring[i], ring_closed, b);
}

/* The life cycle closes nothing that did not connect. None of them has done anything yet. */
static int drop_rings(struct xk_vbd_back *b, int err)
{
    while (b->rings)
        xk_blkback_close(b->ring[--b->rings], NULL, NULL);
    end(b);
    return err;
}

static int open_rings(struct xk_vbd_back *b, struct xk_blkback_config *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++, c++) {
        int r;
        c->device = b->image;
        c->readonly = (uint8_t)b->readonly;
        r = xk_blkback_open(&b->alloc, b->loop, c, &b->ring[i]);
        if (r < 0)
            return xk_xenbus_refuse(
                b->bus, r, "the front end's ring %u of %u cannot be used: its pages, its port %d or what stands in it",
                i, n, c->port);
        b->rings++;
    }
    return 0;
}

static int connect(struct xk_xenbus *bus, void *arg, int again)
{
    struct xk_vbd_back *b = arg;
    struct xk_blkback_config c[XK_VBD_QUEUES] = {
        {.front = xk_xenbus_peer(bus), .max_pieces = b->options.max_pieces, .broken = on_broken, .arg = b}};
    int n = read_front(b, c, again), r = n; /* the rings show where their answers end */

    if (r >= 0)
        r = open_image(b);
    if (r == 0)
        r = begin(b);
    if (r < 0)
        return r;
    r = open_rings(b, c, (unsigned)n);
    if (r == 0)
        r = put_disk(b);
    if (r < 0)
        return drop_rings(b, r);
    if (b->options.told)
        b->options.told(b->options.arg, 1, 0);
    return 0;
}

static void closing(struct xk_xenbus *bus, void *arg, int err)
{
    struct xk_vbd_back *b = arg;

    if (b->options.told)
        b->options.told(b->options.arg, 0, b->broken ? b->broken : err);
    if (b->rings)
        close_rings(b);
    else {
        end(b);
        xk_xenbus_closed(bus);
    }
}

static void gone(struct xk_xenbus *bus, void *arg)
{
    struct xk_vbd_back *b = arg;

    (void)bus;
    if (b->options.gone)
        b->options.gone(b->options.arg);
}

static const struct xk_xenbus_driver driver = {NULL, own, offer, NULL, connect, NULL, closing, gone, 0};

/* --- life --------------------------------------------------------------------------------------------------------- */

static void destroy(struct xk_vbd_back *b)
{
    xk_alloc alloc = b->alloc;
    void (*closed)(void *arg) = b->closed;
    void *arg = b->closed_arg;

    xk_defer_stop(b->loop, &b->later);
    end(b);
    if (b->bus)
        xk_xenbus_free(b->bus);
    if (b->image && b->options.close_image)
        b->options.close_image(b->options.arg, b->image);
    xk_free(&alloc, b, sizeof(*b));
    if (closed)
        closed(arg);
}

static void ring_closed(void *arg)
{
    struct xk_vbd_back *b = arg;

    if (--b->leaving)
        return;
    end(b);
    if (b->ending)
        destroy(b);
    else
        xk_xenbus_closed(b->bus);
}

int xk_vbd_back_open(const xk_alloc *alloc, struct xk_loop *loop, struct xk_store *store, const char *path,
                     const struct xk_vbd_back_options *options, struct xk_vbd_back **out)
{
    struct xk_vbd_back *b;
    int r;

    if (!options || !options->open_image || options->ring_order > 4 || options->max_pieces > XK_BLKBACK_PIECES_MAX ||
        options->queues > XK_VBD_QUEUES)
        return XK_EINVAL;
    b = xk_new(alloc, sizeof(*b));
    if (!b)
        return XK_ENOMEM;
    b->alloc = alloc ? *alloc : *xk_alloc_libc();
    b->loop = loop;
    b->options = *options;
    b->later.fn = on_later;
    b->driver = driver;
    b->driver.wanted = b->nodes.list;
    blk_nodes_init(&b->nodes, wanted, XK_VBD_QUEUES, 1u << options->ring_order);
    r = xk_xenbus_back(alloc, loop, store, path, &b->driver, b, &b->bus);
    if (r < 0) {
        xk_free(alloc, b, sizeof(*b));
        return r;
    }
    *out = b;
    return 0;
}

void xk_vbd_back_close(struct xk_vbd_back *b, void (*closed)(void *arg), void *arg)
{
    struct xk_xenbus *bus = b->bus;

    b->closed = closed;
    b->closed_arg = arg;
    b->ending = 1;
    end(b); /* the last word to its user, though requests may be under way */
    b->options.told = NULL;
    b->bus = NULL;
    xk_xenbus_free(bus); /* before the rings: nothing is said any more */
    if (b->rings)
        close_rings(b);
    else if (b->leaving == 0)
        destroy(b);
}

struct xk_xenbus *xk_vbd_back_bus(struct xk_vbd_back *b) { return b->bus; }

static void add_stats(struct xk_blkback_stats *out, const struct xk_blkback_stats *s)
{
    for (int op = 0; op < XK_BLK_OPS; op++)
        out->requests[op] += s->requests[op];
    for (int way = 0; way < 2; way++)
        out->bytes[way] += s->bytes[way];
    out->errors += s->errors;
    out->refused += s->refused;
    out->notified += s->notified;
    out->events += s->events;
    out->idle_events += s->idle_events;
    out->maps += s->maps;
    out->kept += s->kept;
    out->under_way += s->under_way;
    if (s->most_under_way > out->most_under_way)
        out->most_under_way = s->most_under_way;
}

int xk_vbd_back_stats(const struct xk_vbd_back *b, struct xk_blkback_stats *out)
{
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < b->rings; i++) {
        struct xk_blkback_stats s;
        xk_blkback_stats(b->ring[i], &s);
        add_stats(out, &s);
    }
    return b->rings ? 0 : XK_EAGAIN;
}

unsigned xk_vbd_back_queues(const struct xk_vbd_back *b) { return b->rings; }

int xk_vbd_back_resized(struct xk_vbd_back *b)
{
    int r = b->rings ? put_disk(b) : 0;

    if (r == 0 && b->rings)
        xk_xenbus_update(b->bus);
    return r;
}
