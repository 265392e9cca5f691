/* A device behind a descriptor (tap.h), or several, each a queue. Frames are read one after the other into one room,
 * and go up together; they are written as they come, as there is no call for several. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <xenkit/packet.h>
#include <xenkit/tap.h>

#include "base/list.h"

enum { ROOM = 256 * 1024, BATCH = 64, ROUNDS = 4 /* batches before others have their turn */ };

/* Linux' struct virtio_net_hdr, without the count of buffers; numbers in the machine's order. */
struct head {
    uint8_t flags, gso;
    uint16_t length, gso_size, csum_start, csum_offset;
};
enum { HEAD = 10, NEEDS_CSUM = 1, DATA_VALID = 2, GSO_TCP4 = 1, GSO_TCP6 = 4 };

struct queue {
    struct xk_fd_watch watch;
    struct tap *tap;
    int handle, full, number;
};

struct tap {
    struct xk_netdev dev; /* first */
    xk_alloc alloc;
    struct xk_loop *loop;
    struct queue queue[XK_TAP_QUEUES];
    unsigned count;
    uint16_t header;
    void (*ended)(void *arg);
    void *arg;
    struct xk_tap_stats stats;
    struct xk_packet packet[BATCH];
    uint8_t room[ROOM];
};

/* --- in ----------------------------------------------------------------------------------------------------------- */

/* What the header says of the frame behind it; (n) bytes in all. XK_EINVAL. */
static int parse(struct tap *t, const uint8_t *bytes, size_t n, struct xk_packet *p)
{
    struct head h = {0};

    if (n < (size_t)t->header + XK_ETHER_HEAD || n - t->header > XK_PACKET_MAX)
        return XK_EINVAL;
    if (t->header)
        memcpy(&h, bytes, HEAD);
    *p = (struct xk_packet){.data = bytes + t->header, .len = (uint32_t)(n - t->header)};
    if (h.flags & NEEDS_CSUM)
        p->flags = XK_PACKET_CSUM_BLANK;
    else if (h.flags & DATA_VALID)
        p->flags = XK_PACKET_CSUM_VALID;
    if (h.gso == GSO_TCP4 || h.gso == GSO_TCP6) {
        p->gso = h.gso == GSO_TCP4 ? XK_GSO_TCP4 : XK_GSO_TCP6;
        p->gso_size = h.gso_size;
        return h.gso_size >= XK_GSO_LEAST ? 0 : XK_EINVAL;
    }
    return h.gso ? XK_EINVAL : 0;
}

static void stop(struct tap *t)
{
    for (unsigned i = 0; i < t->count; i++)
        xk_fd_watch_stop(t->loop, &t->queue[i].watch);
}

static void go_down(struct tap *t)
{
    stop(t);
    t->dev.info.up = 0;
    if (t->dev.changed)
        t->dev.changed(&t->dev);
    if (t->ended)
        t->ended(t->arg);
}

/* One batch; 1: there may be more, 0: not now, XK_EGONE. */
static int read_some(struct queue *q)
{
    struct tap *t = q->tap;
    size_t used = 0;
    unsigned n = 0;
    ssize_t r = 1;

    while (n < BATCH && ROOM - used >= XK_PACKET_MAX + sizeof(struct head) + 2) {
        r = read(q->handle, t->room + used, ROOM - used);
        if (r <= 0)
            break;
        if (parse(t, t->room + used, (size_t)r, &t->packet[n]) < 0) {
            t->stats.bad++;
            continue;
        }
        t->stats.packets[0]++, t->stats.in[q->number]++;
        t->stats.bytes[0] += t->packet[n++].len;
        used += ((size_t)r + 7) & ~(size_t)7;
    }
    if (n && t->dev.receive)
        t->dev.receive(&t->dev, t->packet, n);
    if (r > 0)
        return 1;
    return r < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : XK_EGONE;
}

static void on_ready(struct xk_fd_watch *w, unsigned events)
{
    struct queue *q = XK_CONTAINER(w, struct queue, watch);
    struct tap *t = q->tap;
    int r = 1;

    if (events & XK_WRITABLE && q->full) {
        q->full = 0;
        xk_fd_watch_start(t->loop, &q->watch, q->handle, XK_READABLE);
        if (t->dev.room)
            t->dev.room(&t->dev);
    }
    for (int i = 0; i < ROUNDS && r > 0; i++)
        r = read_some(q);
    if (r < 0)
        go_down(t);
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

static int write_head(const struct xk_packet *p, struct head *h)
{
    struct xk_packet_heads at;

    memset(h, 0, sizeof(*h));
    if (!(p->flags & XK_PACKET_CSUM_BLANK) && !p->gso) {
        h->flags = p->flags & XK_PACKET_CSUM_VALID ? DATA_VALID : 0;
        return 0;
    }
    if (xk_packet_heads(p->data, p->len, &at) < 0 || !at.l4)
        return XK_EINVAL;
    h->flags = NEEDS_CSUM;
    h->csum_start = at.l4;
    h->csum_offset = at.proto == XK_IP_UDP ? 6 : 16;
    if (p->gso) {
        h->gso = p->gso == XK_GSO_TCP4 ? GSO_TCP4 : GSO_TCP6;
        h->gso_size = p->gso_size;
        h->length = at.l4_end;
    }
    return 0;
}

/* Any key will do, as Linux learns by which queue a flow comes. */
static struct queue *queue_of(struct tap *t, const struct xk_packet *p)
{
    static const uint8_t key[40] = {0x9e, 0x37, 0x79, 0xb9, 0x7f, 0x4a, 0x7c, 0x15, 0xf3, 0x9c, 0xc0, 0x60, 0x5c, 0xed,
                                    0xc8, 0x34, 0x10, 0x82, 0x27, 0x6b, 0xf3, 0xa2, 0x72, 0x51, 0xf8, 0x6c, 0x6a, 0x11,
                                    0xd0, 0xc1, 0x8e, 0x95, 0x27, 0x67, 0xf0, 0xb1, 0x53, 0xd2, 0x7b, 0x7f};

    return &t->queue[t->count == 1 ? 0 : xk_packet_hash(key, p) % t->count];
}

static int tap_send(struct xk_netdev *d, const struct xk_packet *p)
{
    struct tap *t = (struct tap *)d;
    struct queue *q = queue_of(t, p);
    uint8_t bytes[HEAD + 2] = {0};
    union {
        const uint8_t *in;
        void *out;
    } data = {p->data}; /* writev reads only */
    struct iovec v[2] = {{bytes, t->header}, {data.out, p->len}};
    struct head h;
    ssize_t r;

    if (t->header && write_head(p, &h) < 0)
        return XK_EINVAL;
    if (t->header)
        memcpy(bytes, &h, HEAD);
    r = t->header ? writev(q->handle, v, 2) : send(q->handle, p->data, p->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (r < 0) {
        if (errno != EAGAIN && errno != ENOBUFS)
            return errno == EINVAL || errno == EMSGSIZE ? XK_EINVAL : XK_EGONE;
        q->full = 1;
        t->stats.full++;
        xk_fd_watch_start(t->loop, &q->watch, q->handle, XK_READABLE | XK_WRITABLE);
        return XK_EAGAIN;
    }
    t->stats.packets[1]++, t->stats.out[q->number]++;
    t->stats.bytes[1] += p->len;
    return 0;
}

static void tap_kick(struct xk_netdev *d) { (void)d; }

static void tap_close(struct xk_netdev *d)
{
    struct tap *t = (struct tap *)d;
    xk_alloc alloc = t->alloc;

    stop(t);
    for (unsigned i = 0; i < t->count; i++)
        close(t->queue[i].handle);
    if (d->scratch)
        xk_free(&alloc, d->scratch, d->scratch_size);
    xk_free(&alloc, t, sizeof(*t));
}

static const struct xk_netdev_ops ops = {XK_NETDEV_VERSION, tap_send, tap_kick, tap_close};

/* --- from the beginning ------------------------------------------------------------------------------------------- */

/* All are watched, or none. */
static int start(struct tap *t, const int *handles, unsigned count)
{
    for (int r; t->count < count; t->count++) {
        struct queue *q = &t->queue[t->count];

        *q = (struct queue){.tap = t, .handle = handles[t->count], .number = (int)t->count};
        q->watch.fn = on_ready;
        r = xk_fd_watch_start(t->loop, &q->watch, q->handle, XK_READABLE);
        if (r < 0) {
            stop(t);
            return r;
        }
    }
    return 0;
}

int xk_tap_open(const xk_alloc *alloc, struct xk_loop *loop, const int *handles, unsigned count,
                const struct xk_tap_config *config, struct xk_netdev **out)
{
    struct tap *t;
    int r;

    if ((config->header != 0 && config->header != HEAD && config->header != HEAD + 2) || count < 1 ||
        count > XK_TAP_QUEUES)
        return XK_EINVAL;
    t = xk_new(alloc, sizeof(*t));
    if (!t)
        return XK_ENOMEM;
    t->alloc = alloc ? *alloc : *xk_alloc_libc();
    t->loop = loop;
    t->header = config->header;
    t->ended = config->ended;
    t->arg = config->arg;
    t->dev.ops = &ops;
    memcpy(t->dev.info.mac, config->mac, 6);
    t->dev.info.mtu = config->mtu ? config->mtu : 1500;
    t->dev.info.up = 1;
    if (t->header)
        t->dev.info.features = XK_NET_CSUM4 | XK_NET_CSUM6 | XK_NET_GSO4 | XK_NET_GSO6 | XK_NET_LARGE;
    t->dev.scratch_size = XK_PACKET_MAX;
    t->dev.scratch = xk_new(alloc, t->dev.scratch_size);
    r = t->dev.scratch ? start(t, handles, count) : XK_ENOMEM;
    if (r < 0) {
        if (t->dev.scratch)
            xk_free(alloc, t->dev.scratch, t->dev.scratch_size);
        xk_free(alloc, t, sizeof(*t));
        return r;
    }
    *out = &t->dev;
    return 0;
}

void xk_tap_stats(const struct xk_netdev *d, struct xk_tap_stats *out) { *out = ((const struct tap *)d)->stats; }
