/* A large TCP packet becomes the frames that it stands for (RFC 9293 3.7.1). SPDX-License-Identifier: MIT */
#include <string.h>

#include <xenkit/packet.h>

enum { FIN = 1, PSH = 8, CWR = 0x80 };

struct cutter {
    const struct xk_packet *p;
    struct xk_packet_heads h;
    uint8_t *frame;
    int blank;
};

static void fix_ip(struct cutter *c, uint32_t l4_bytes, unsigned i)
{
    uint8_t *ip = c->frame + c->h.l3;
    uint32_t head = c->h.l4 - c->h.l3;

    if (c->h.type == XK_ETHER_IP6) {
        xk_packet_put16(ip + 4, (uint16_t)(head - 40 + l4_bytes));
        return;
    }
    xk_packet_put16(ip + 2, (uint16_t)(head + l4_bytes));
    xk_packet_put16(ip + 4, (uint16_t)(xk_packet_get16(c->p->data + c->h.l3 + 4) + i));
    xk_packet_put16(ip + 10, 0);
    xk_packet_put16(ip + 10, xk_sum_fold(xk_sum(ip, head, 0)));
}

static void fix_tcp(struct cutter *c, uint32_t at, int first, int last)
{
    uint8_t *tcp = c->frame + c->h.l4;

    xk_packet_put32(tcp + 4, xk_packet_get32(c->p->data + c->h.l4 + 4) + at);
    if (!last)
        tcp[13] &= (uint8_t) ~(FIN | PSH);
    if (!first)
        tcp[13] &= (uint8_t)~CWR;
}

static void fix_sum(struct cutter *c, uint32_t l4_bytes)
{
    uint8_t *field = c->frame + c->h.l4 + 16;
    uint32_t pseudo = xk_packet_pseudo(c->frame, &c->h, l4_bytes);

    xk_packet_put16(field, 0);
    if (c->blank)
        xk_packet_put16(field, (uint16_t)~xk_sum_fold(pseudo));
    else
        xk_packet_put16(field, xk_sum_fold(xk_sum(c->frame + c->h.l4, l4_bytes, pseudo)));
}

int xk_packet_cut(const struct xk_packet *p, int blank, uint8_t *scratch, size_t size,
                  int (*each)(void *arg, const struct xk_packet *frame), void *arg)
{
    struct cutter c = {.p = p, .frame = scratch, .blank = blank};
    uint32_t payload, head;
    unsigned i = 0;

    if (p->gso == XK_GSO_NONE || p->gso_size == 0 || xk_packet_heads(p->data, p->len, &c.h) < 0 ||
        c.h.proto != XK_IP_TCP || !c.h.l4 || c.h.type != (p->gso == XK_GSO_TCP4 ? XK_ETHER_IP4 : XK_ETHER_IP6))
        return XK_EINVAL;
    head = c.h.l4_end;
    payload = c.h.end - head;
    if (payload == 0 || head + (payload < p->gso_size ? payload : p->gso_size) > size)
        return XK_EINVAL;
    memcpy(scratch, p->data, head);
    for (uint32_t at = 0; at < payload; i++) {
        uint32_t n = payload - at < p->gso_size ? payload - at : p->gso_size, l4_bytes = head - c.h.l4 + n;
        struct xk_packet frame = {scratch, head + n, p->flags, XK_GSO_NONE, 0};
        int r;
        memcpy(scratch + c.h.l4, p->data + c.h.l4, head - c.h.l4);
        memcpy(scratch + head, p->data + head + at, n);
        fix_ip(&c, l4_bytes, i);
        fix_tcp(&c, at, at == 0, at + n == payload);
        fix_sum(&c, l4_bytes);
        frame.flags = blank ? XK_PACKET_CSUM_BLANK | XK_PACKET_CSUM_VALID : XK_PACKET_CSUM_VALID;
        r = each(arg, &frame);
        if (r < 0)
            return r;
        at += n;
    }
    return (int)i;
}
