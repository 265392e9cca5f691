/* A network's control ring, from the front end's side: its wishes are requests, one under way at a time. A back end
 * that does not know one leaves the network as it would be without. SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/list.h"
#include "base/shared.h"
#include "drivers/net/control.h"

static void ask(struct control_front *c, enum control_type type, uint32_t a, uint32_t b, uint32_t d)
{
    union control_slot slot = {.request = {++c->id, (uint16_t)type, {a, b, d}}};

    c->asked = type;
    xk_ring_front_put(&c->ring, &slot, 1);
    if (xk_ring_front_publish(&c->ring))
        xk_evtchn_notify(c->platform, c->watch.port);
}

/* The page that requests point to. */
static void lay_down(struct control_front *c, const void *data, size_t n)
{
    xk_shared_copy_in(c->memory + XK_PAGE_SIZE, data, n);
}

/* --- pages that stay mapped --------------------------------------------------------------------------------------- */

static void ask_grefs(struct control_front *c)
{
    c->asked = 0;
    if (c->grefs == XK_EAGAIN && c->at < c->queues)
        ask(c, CONTROL_GET_GREFS_SIZE, c->at, 0, 0);
    else if (c->grefs == XK_EAGAIN)
        c->grefs = 0;
}

static void on_grefs_size(struct control_front *c, const struct control_answer *a)
{
    struct control_gref list[CONTROL_GREFS];
    unsigned room = a->data < CONTROL_GREFS ? a->data : CONTROL_GREFS;
    unsigned n = a->status == CONTROL_OK && room ? c->list(c->arg, c->at, list, room) : 0;

    if (n == 0) {
        c->grefs = XK_ENOSYS;
        ask_grefs(c);
        return;
    }
    lay_down(c, list, n * sizeof(*list));
    c->mapped += n;
    ask(c, CONTROL_ADD_GREFS, c->at, c->refs[1], n);
}

static void on_grefs_added(struct control_front *c, const struct control_answer *a)
{
    c->at++;
    if (a->status != CONTROL_OK) {
        c->mapped = 0;
        c->grefs = XK_EINVAL;
    }
    ask_grefs(c);
}

/* --- the hash ----------------------------------------------------------------------------------------------------- */

static void end_hash(struct control_front *c, int err)
{
    c->hash = err;
    ask_grefs(c);
}

static void on_flags(struct control_front *c, const struct control_answer *a)
{
    c->types = (uint8_t)(c->wish.types & a->data);
    ask(c, CONTROL_SET_FLAGS, c->types, 0, 0);
}

static void ask_key(struct control_front *c)
{
    lay_down(c, c->wish.key, sizeof(c->wish.key));
    ask(c, CONTROL_SET_KEY, c->refs[1], sizeof(c->wish.key), 0);
}

static void ask_map(struct control_front *c)
{
    uint32_t map[XK_NET_HASH_MAP] = {0};

    for (unsigned i = 0; i < c->wish.map_size; i++)
        map[i] = c->wish.map[i] % c->queues;
    lay_down(c, map, c->wish.map_size * sizeof(*map));
    ask(c, CONTROL_SET_MAP, c->refs[1], c->wish.map_size, 0);
}

static void on_map_size(struct control_front *c, const struct control_answer *a)
{
    if (a->data < c->wish.map_size)
        end_hash(c, XK_ENOSYS);
    else
        ask(c, CONTROL_SET_MAP_SIZE, c->wish.map_size, 0, 0);
}

/* The queue's choice is the last thing that is said, so that all of it is there when it counts: types come after key
 * and table, and before them the algorithm alone, without which there are no types. */
static void next(struct control_front *c, const struct control_answer *a)
{
    switch (c->asked) {
    case CONTROL_SET_ALGORITHM:
        ask_key(c);
        break;
    case CONTROL_SET_KEY:
        ask(c, CONTROL_GET_MAP_SIZE, 0, 0, 0);
        break;
    case CONTROL_GET_MAP_SIZE:
        on_map_size(c, a);
        break;
    case CONTROL_SET_MAP_SIZE:
        if (c->wish.map_size)
            ask_map(c);
        else
            ask(c, CONTROL_GET_FLAGS, 0, 0, 0);
        break;
    case CONTROL_SET_MAP:
        ask(c, CONTROL_GET_FLAGS, 0, 0, 0);
        break;
    case CONTROL_GET_FLAGS:
        on_flags(c, a);
        break;
    default:
        end_hash(c, c->types ? 0 : XK_ENOSYS);
        break; /* CONTROL_SET_FLAGS */
    }
}

/* --- the ring ----------------------------------------------------------------------------------------------------- */

static void begin(struct control_front *c)
{
    c->asked = 0;
    c->restart = 0;
    c->at = 0;
    c->mapped = 0;
    c->types = 0;
    c->hash = XK_EAGAIN;
    c->grefs = c->grefs_wish ? XK_EAGAIN : XK_ENOSYS;
    if (c->wish.algorithm != XK_NET_HASH_NONE)
        ask(c, CONTROL_SET_ALGORITHM, c->wish.algorithm, 0, 0);
    else
        end_hash(c, XK_ENOSYS);
}

/* XK_EPEER: nobody asked for it. */
static int answer(struct control_front *c, const struct control_answer *a)
{
    if (!c->asked || a->id != c->id || a->type != c->asked)
        return XK_EPEER;
    if (c->restart)
        begin(c);
    else if (c->asked == CONTROL_GET_GREFS_SIZE)
        on_grefs_size(c, a);
    else if (c->asked == CONTROL_ADD_GREFS)
        on_grefs_added(c, a);
    else if (a->status != CONTROL_OK)
        end_hash(c, a->status == CONTROL_NOT_SUPPORTED ? XK_ENOSYS : XK_EINVAL);
    else
        next(c, a);
    return 0;
}

static void on_event(struct xk_port_watch *w)
{
    struct control_front *c = XK_CONTAINER(w, struct control_front, watch);
    union control_slot slot;
    int r;

    do {
        while ((r = xk_ring_front_take(&c->ring, &slot, 1)) > 0 && (r = answer(c, &slot.answer)) == 0)
            ;
        if (r == XK_EAGAIN)
            r = xk_ring_front_rearm(&c->ring);
    } while (r > 0);
    if (r < 0) {
        xk_port_watch_stop(c->loop, w);
        c->broken(c->arg, XK_EPEER);
    }
}

int control_front_create(struct control_front *c)
{
    void *memory;
    int r;

    c->platform = xk_loop_platform(c->loop);
    c->watch = (struct xk_port_watch){.fn = on_event};
    c->asked = 0;
    c->restart = 0;
    c->hash = c->grefs = XK_EAGAIN;
    r = xk_page_share(c->platform, c->back, 2, 0, c->refs, &memory);
    if (r < 0)
        return r;
    c->memory = memory;
    r = xk_ring_front_init(&c->ring, memory, XK_PAGE_SIZE, sizeof(union control_slot));
    if (r == 0)
        r = c->watch.port = xk_evtchn_alloc(c->platform, c->back);
    if (r >= 0)
        r = xk_port_watch_start(c->loop, &c->watch, c->watch.port);
    if (r < 0)
        control_front_close(c);
    return r < 0 ? r : 0;
}

void control_front_start(struct control_front *c)
{
    if (c->memory && c->asked)
        c->restart = 1;
    else if (c->memory)
        begin(c);
}

void control_front_close(struct control_front *c)
{
    if (!c->memory)
        return;
    if (c->watch.started)
        xk_port_watch_stop(c->loop, &c->watch);
    if (c->watch.port > 0)
        xk_evtchn_unbind(c->platform, c->watch.port);
    xk_page_forget(c->platform, c->memory, 2);
    c->memory = NULL;
}
