/* Headers, checksums, cutting of one frame: the first three bytes say how it is to be cut, the rest is the frame. What
 * lies beyond its end is not touched. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <xenkit/packet.h>

#include "tests/c/fuzz/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_frame(void *arg, const struct xk_packet *p)
{
    struct xk_packet_heads h;
    uint32_t *sum = arg;

    must(xk_packet_heads(p->data, p->len, &h) == 0);
    must(h.l4_end <= p->len);
    *sum += h.end - h.l4_end;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[40] = {1, 2, 3};
    struct xk_packet_heads h;
    struct xk_packet p;
    uint8_t scratch[2048], *frame;
    uint32_t sum = 0;
    int n;

    if (size < 3 || size > XK_PACKET_MAX)
        return 0;
    frame = malloc(size - 3 + 1);
    must(frame != NULL);
    memcpy(frame, data + 3, size - 3);
    p = (struct xk_packet){frame, (uint32_t)(size - 3), 0, data[0] % 3, xk_packet_get16(data + 1)};
    if (xk_packet_heads(frame, p.len, &h) == 0) {
        must(h.end <= p.len && h.l3 <= p.len && h.l4 <= h.end && h.l4_end <= h.end);
        (void)xk_packet_check(frame, &h);
        n = xk_packet_cut(&p, data[0] >> 7, scratch, sizeof(scratch), on_frame, &sum);
        must(n == XK_EINVAL || (n > 0 && sum == h.end - h.l4_end));
        (void)xk_packet_hash(key, &p);
        if (xk_packet_fill(frame, p.len) == 0)
            must(xk_packet_check(frame, &h) == 1);
    } else {
        must(xk_packet_fill(frame, p.len) < 0);
        must(xk_packet_hash(key, &p) == 0);
    }
    free(frame);
    return 0;
}
