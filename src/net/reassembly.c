/* Datagrams from fragments (RFC 791 3.2, 815), with bounds on how many, on all their bytes and on their time. Fragments
 * that overlap end their datagram (RFC 5722 says so for IPv6, and nobody honest sends them).
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "net/inet.h"

enum { DATAGRAMS = 16, BYTES = 512 * 1024, MOST = 65535, BLOCKS = 8192 / 8 /* a bit for each 8 bytes */ };
static const xk_time PATIENCE = 15 * XK_SECOND; /* RFC 1122 3.3.2: 60 to 120 s; slow links are none of ours */

struct datagram {
    struct xk_ip from, to;
    uint32_t id;
    uint8_t proto, next, used;
    xk_time until;
    size_t size, room, have, most; /* (size) 0: the last fragment has not come; (most): where the farthest ends */
    uint8_t *data;
    uint8_t filled[BLOCKS];
};

struct reassembly {
    struct datagram d[DATAGRAMS];
    size_t bytes;
};

static void end(struct xk_inet *s, struct datagram *d)
{
    s->reassembly->bytes -= d->room;
    xk_free(&s->alloc, d->data, d->room);
    memset(d, 0, sizeof(*d));
}

static int is_of(const struct datagram *d, const struct fragment *f)
{
    return d->used && d->id == f->id && d->proto == f->proto && xk_ip_equal(d->from, f->from) &&
           xk_ip_equal(d->to, f->to);
}

static struct datagram *get(struct xk_inet *s, const struct fragment *f)
{
    struct datagram *d, *oldest = s->reassembly->d;

    for (d = s->reassembly->d; d < s->reassembly->d + DATAGRAMS; d++) {
        if (d->used && d->until < s->now) {
            s->stats.lost++;
            end(s, d);
        }
        if (is_of(d, f))
            return d;
        if (!d->used || (oldest->used && d->until < oldest->until))
            oldest = d;
    }
    if (oldest->used) {
        s->stats.lost++;
        end(s, oldest);
    }
    *oldest = (struct datagram){.from = f->from, .to = f->to, .id = f->id, .proto = f->proto, .used = 1};
    oldest->until = s->now + PATIENCE;
    return oldest;
}

/* Those who are late make room for those who come. */
static int end_oldest_but(struct xk_inet *s, const struct datagram *but)
{
    struct datagram *oldest = NULL;

    for (struct datagram *d = s->reassembly->d; d < s->reassembly->d + DATAGRAMS; d++)
        if (d->used && d != but && (!oldest || d->until < oldest->until))
            oldest = d;
    if (!oldest)
        return 0;
    s->stats.lost++;
    end(s, oldest);
    return 1;
}

static int make_room(struct xk_inet *s, struct datagram *d, size_t n)
{
    size_t room = d->room ? d->room : 4096;
    uint8_t *p;

    if (n <= d->room)
        return 0;
    while (room < n)
        room *= 2;
    while (s->reassembly->bytes + room - d->room > BYTES)
        if (!end_oldest_but(s, d))
            return XK_ENOMEM;
    p = xk_resize(&s->alloc, d->data, d->room, room);
    if (!p)
        return XK_ENOMEM;
    s->reassembly->bytes += room - d->room;
    d->data = p;
    d->room = room;
    return 0;
}

/* Marks 8-byte blocks; XK_EINVAL: one has come before. */
static int mark(struct datagram *d, size_t at, size_t n)
{
    for (size_t b = at / 8; b < (at + n + 7) / 8; b++) {
        if (d->filled[b / 8] >> (b % 8) & 1)
            return XK_EINVAL;
        d->filled[b / 8] |= (uint8_t)(1 << b % 8);
    }
    return 0;
}

/* It may be answered from where it lies. */
static const uint8_t *take(struct xk_inet *s, struct datagram *d, size_t *whole, uint8_t *next)
{
    uint8_t *out = inet_out(s, d->size);

    *whole = d->size;
    *next = d->next;
    if (out)
        memcpy(out, d->data, d->size);
    s->stats.reassembled++;
    end(s, d);
    return out;
}

const uint8_t *reassembly_add(struct xk_inet *s, const struct fragment *f, const uint8_t *data, size_t n, size_t *whole,
                              uint8_t *next)
{
    size_t at = f->at;
    struct datagram *d;

    s->stats.fragments++;
    if (n == 0 || (f->more && n % 8) || at + n > MOST - IP4_HEAD) {
        s->stats.bad++;
        return NULL;
    }
    if (!s->reassembly && !(s->reassembly = xk_new(&s->alloc, sizeof(*s->reassembly)))) {
        s->stats.no_room++;
        return NULL;
    }
    d = get(s, f);
    if ((d->size && (!f->more || at + n > d->size)) || (!f->more && d->most > at) || make_room(s, d, at + n) < 0 ||
        mark(d, at, n) < 0) {
        s->stats.lost++;
        end(s, d);
        return NULL;
    }
    memcpy(d->data + at, data, n);
    if (at == 0)
        d->next = f->next;
    d->have += n;
    d->most = d->most > at + n ? d->most : at + n;
    if (!f->more)
        d->size = at + n;
    return d->have == d->size ? take(s, d, whole, next) : NULL;
}

void reassembly_fini(struct xk_inet *s)
{
    for (int i = 0; s->reassembly && i < DATAGRAMS; i++)
        if (s->reassembly->d[i].used)
            end(s, &s->reassembly->d[i]);
    xk_free(&s->alloc, s->reassembly, sizeof(*s->reassembly));
    s->reassembly = NULL;
}
