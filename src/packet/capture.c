/* pcapng, block by block, into a ring of bytes (capture.h). SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/capture.h>

enum {
    SECTION = 0x0a0d0d0a,
    INTERFACE = 1,
    PACKET = 6,
    BYTE_ORDER = 0x1a2b3c4d,
    ETHERNET = 1, /* LINKTYPE_ETHERNET */
    OPT_END = 0,
    SHB_USERAPPL = 4,
    IF_NAME = 2,
    IF_TSRESOL = 9,
    EPB_FLAGS = 2,
    EPB_DROPCOUNT = 4,
    INBOUND = 1,
    OUTBOUND = 2
};

struct interface {
    char name[64];
    int described;     /* its block is in the stream */
    uint64_t left_out; /* frames, since the last that was not */
};

struct xk_capture {
    xk_alloc alloc;
    uint8_t *data;
    size_t room, head, used; /* (head): the oldest byte */
    uint32_t snap;
    int interfaces;
    struct xk_capture_stats stats;
    struct interface interface[XK_CAPTURE_INTERFACES];
};

static uint32_t padded(uint32_t n) { return (n + 3) & ~3u; }

/* --- the ring of bytes; there is room --- */

static void put(struct xk_capture *c, const void *data, size_t n)
{
    size_t tail = (c->head + c->used) % c->room, first = c->room - tail < n ? c->room - tail : n;

    memcpy(c->data + tail, data, first);
    memcpy(c->data, (const uint8_t *)data + first, n - first);
    c->used += n;
}

static void put32(struct xk_capture *c, uint32_t v) { put(c, &v, sizeof(v)); }

static void put_padded(struct xk_capture *c, const void *data, uint32_t n)
{
    static const uint8_t zero[4];

    put(c, data, n);
    put(c, zero, padded(n) - n);
}

static void put_option(struct xk_capture *c, uint16_t code, const void *data, uint16_t n)
{
    put(c, &code, sizeof(code));
    put(c, &n, sizeof(n));
    put_padded(c, data, n);
}

/* --- blocks: type, length, body, length --- */

static void begin_section(struct xk_capture *c)
{
    static const char program[] = "xenkit";
    static const uint16_t version[2] = {1, 0};
    const uint32_t len = 28 + 4 + 8 + 4;
    const int64_t unknown = -1;

    put32(c, SECTION);
    put32(c, len);
    put32(c, BYTE_ORDER);
    put(c, version, sizeof(version));
    put(c, &unknown, sizeof(unknown));
    put_option(c, SHB_USERAPPL, program, sizeof(program) - 1);
    put32(c, OPT_END);
    put32(c, len);
}

static uint32_t interface_len(const struct interface *i) { return 20 + 4 + padded((uint32_t)strlen(i->name)) + 8 + 4; }

static void describe(struct xk_capture *c, struct interface *i)
{
    static const uint16_t link[2] = {ETHERNET, 0};
    static const uint8_t nanoseconds = 9;
    uint32_t len = interface_len(i);

    put32(c, INTERFACE);
    put32(c, len);
    put(c, link, sizeof(link));
    put32(c, c->snap);
    put_option(c, IF_NAME, i->name, (uint16_t)strlen(i->name));
    put_option(c, IF_TSRESOL, &nanoseconds, 1);
    put32(c, OPT_END);
    put32(c, len);
    i->described = 1;
}

static void put_frame(struct xk_capture *c, uint32_t number, const void *data, uint32_t kept, uint32_t len, uint64_t ns,
                      int out, uint32_t block)
{
    struct interface *i = &c->interface[number];
    uint32_t flags = out ? OUTBOUND : INBOUND;

    put32(c, PACKET);
    put32(c, block);
    put32(c, number);
    put32(c, (uint32_t)(ns >> 32));
    put32(c, (uint32_t)ns);
    put32(c, kept);
    put32(c, len);
    put_padded(c, data, kept);
    put_option(c, EPB_FLAGS, &flags, sizeof(flags));
    if (i->left_out)
        put_option(c, EPB_DROPCOUNT, &i->left_out, sizeof(i->left_out));
    put32(c, OPT_END);
    put32(c, block);
    i->left_out = 0;
}

/* --- what others see --- */

int xk_capture_create(const xk_alloc *alloc, size_t room, uint32_t snap, struct xk_capture **out)
{
    struct xk_capture *c;

    if (room < 4096 || snap > XK_CAPTURE_SNAP)
        return XK_EINVAL;
    c = xk_new(alloc, sizeof(*c));
    if (!c)
        return XK_ENOMEM;
    c->alloc = alloc ? *alloc : *xk_alloc_libc();
    c->room = room;
    c->snap = snap ? snap : XK_CAPTURE_SNAP;
    c->data = xk_new(alloc, room);
    if (!c->data) {
        xk_free(alloc, c, sizeof(*c));
        return XK_ENOMEM;
    }
    begin_section(c);
    *out = c;
    return 0;
}

void xk_capture_destroy(struct xk_capture *c)
{
    xk_alloc alloc;

    if (!c)
        return;
    alloc = c->alloc;
    xk_free(&alloc, c->data, c->room);
    xk_free(&alloc, c, sizeof(*c));
}

int xk_capture_interface(struct xk_capture *c, const char *name)
{
    struct interface *i = &c->interface[c->interfaces];

    if (c->interfaces == XK_CAPTURE_INTERFACES)
        return XK_ENOSPC;
    strncpy(i->name, name, sizeof(i->name) - 1);
    return c->interfaces++;
}

/* Interfaces are numbered by the order of their blocks: all before it are described, too. */
static uint32_t to_describe(const struct xk_capture *c, int number)
{
    uint32_t len = 0;

    for (int i = number; i >= 0 && !c->interface[i].described; i--)
        len += interface_len(&c->interface[i]);
    return len;
}

void xk_capture_frame(struct xk_capture *c, int number, const void *data, uint32_t len, uint64_t ns, int out)
{
    struct interface *i = &c->interface[number];
    uint32_t kept = len < c->snap ? len : c->snap;
    uint32_t block = 32 + padded(kept) + 8 + (i->left_out ? 12 : 0) + 4, before = to_describe(c, number);

    c->stats.frames++;
    if ((uint64_t)before + block > c->room - c->used) {
        c->stats.left_out++;
        i->left_out++;
        return;
    }
    for (int k = 0; before && k <= number; k++)
        if (!c->interface[k].described)
            describe(c, &c->interface[k]);
    put_frame(c, (uint32_t)number, data, kept, len, ns, out, block);
}

size_t xk_capture_take(struct xk_capture *c, void *buf, size_t n)
{
    size_t first;

    n = n < c->used ? n : c->used;
    first = c->room - c->head < n ? c->room - c->head : n;
    memcpy(buf, c->data + c->head, first);
    memcpy((uint8_t *)buf + first, c->data, n - first);
    c->head = (c->head + n) % c->room;
    c->used -= n;
    return n;
}

size_t xk_capture_waiting(const struct xk_capture *c) { return c->used; }

void xk_capture_stats(const struct xk_capture *c, struct xk_capture_stats *out) { *out = c->stats; }
