/* Answers by whole packets. SPDX-License-Identifier: MIT */
#include "drivers/net/answers.h"

#include <string.h>

#include "drivers/net/proto.h"

_Static_assert((int)NET_SLOTS_LIAR <= (int)XK_RING_SETTLE, "the slots of any packet can be answered together");

static void settle(struct answers *a)
{
    uint32_t done = a->whole * a->bytes;

    a->notify |= xk_ring_back_settle(a->ring, a->data, a->bytes, NULL, a->whole);
    a->n -= a->whole;
    a->whole = 0;
    memmove(a->data, a->data + done, (size_t)a->n * a->bytes);
}

void answers_add(struct answers *a, const void *answer, int last)
{
    if (a->n == XK_RING_SETTLE || (a->n + 1) * a->bytes > sizeof(a->data))
        settle(a);
    memcpy(a->data + (size_t)a->n * a->bytes, answer, a->bytes);
    a->n++;
    if (last)
        a->whole = a->n;
}

int answers_show(struct answers *a)
{
    settle(a);
    return a->notify;
}
